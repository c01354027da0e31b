/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz/keep_fuzz.c - records out of a file of any bytes: it is refused, or it is a store that can
 * be read, written, and opened again.
 *
 * The first bytes of the input change the header, the others are the log.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <util/keep.h>
#include "fuzz.h"

#define HEADER 56u			/* bytes of it that mean something */
#define FIRST 4096

static int see(void *arg, uint64_t id, const void *data, size_t size)
{
	const unsigned char *bytes = data;
	unsigned *sum = arg;

	for (size_t i = 0; i < size; i++)
		*sum += bytes[i];
	return 0;
}

static void use(struct keep *keep)
{
	struct keep_batch batch;
	unsigned sum = 0;
	char buf[4];

	for (int kind = KEEP_SERVICE; kind < KEEP_KINDS; kind++)
		INSIST(keep_each(keep, (enum keep_kind)kind, see, &sum) == 0);
	keep_begin(keep, &batch);
	keep_put(keep, KEEP_DEVICE, 1, "mine", 4);
	keep_drop(keep, KEEP_DEVICE, 2);
	keep_end(&batch);
	if (keep_is_broken(keep))
		return;
	INSIST(keep_get(keep, KEEP_DEVICE, 1, buf, 4) == 4 && !memcmp(buf, "mine", 4));
	INSIST(keep_get(keep, KEEP_DEVICE, 2, buf, 4) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t header[HEADER];
	struct keep *keep, *other;
	int fd;

	INSIST(keep_new(&keep) == 0);
	fd = keep_fd(keep);
	INSIST(pread(fd, header, sizeof(header), 0) == (ssize_t)sizeof(header));
	/* The log is as long as the input, unless that says something else. */
	header[32] = (uint8_t)(FIRST + size);
	header[33] = (uint8_t)((FIRST + size) >> 8);
	for (unsigned n = (unsigned)take(&in, 1) % 8; n; n--)
		header[take(&in, 1) % HEADER] ^= (uint8_t)take(&in, 1);
	INSIST(pwrite(fd, header, sizeof(header), 0) == (ssize_t)sizeof(header));
	INSIST(pwrite(fd, in.at, in.left, FIRST) == (ssize_t)in.left);
	if (keep_open(fcntl(fd, F_DUPFD_CLOEXEC, 0), &other) == 0) {
		bool broken;

		use(other);
		broken = keep_is_broken(other);
		keep_free(other);
		INSIST(broken || keep_open(fcntl(fd, F_DUPFD_CLOEXEC, 0), &other) == 0);
		if (!broken) {
			use(other);
			keep_free(other);
		}
	}
	keep_free(keep);
	return 0;
}
