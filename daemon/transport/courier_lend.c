/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/courier_lend.c - what a client does for us while the courier has its thread; see
 * courier.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <transport/client.h>
#include <transport/client_copies.h>
#include <transport/courier_internal.h>

int courier_ioctl(struct courier *c, int fd, unsigned long cmd, void *arg, size_t len,
		  unsigned deadline_ms, int *ret_result)
{
	uint64_t args[COURIER_ARGS] = { 0, cmd, c->page + COURIER_ARG_AT };
	int64_t value = 0;
	int theirs, r;

	if (len > COURIER_ARG_MAX)
		return -E2BIG;
	if (c->late)
		return -ETIMEDOUT;
	c->end = courier_now() + deadline_ms * NS_PER_MS;
	c->fd = fd;
	c->cloexec = true;
	theirs = courier_carry(c);
	if (theirs < 0)
		return theirs;
	args[0] = (uint32_t)theirs;
	r = client_write(c->tid, c->page + COURIER_ARG_AT, arg, len);
	if (r == 0)
		r = c->abi->narrow ? courier_make_wide(c, args, &value) :
				     courier_make(c, COURIER_IOCTL, args, &value);
	if (r == 0)
		r = client_read(c->tid, c->page + COURIER_ARG_AT, arg, len);
	courier_close(c, theirs);
	if (r)
		return r;
	*ret_result = value <= -512 && value >= -516 ? -EINTR : (int)value;
	return c->lost;
}

/* ---- another file in all its fds ---- */

/* O_CLOEXEC, if the client's @fd has it; else 0. */
static unsigned cloexec_of(const struct courier *c, int fd)
{
	char path[64], line[128];
	unsigned flags = 0;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)c->tid, fd);
	info = fopen(path, "re");
	while (info && fgets(line, sizeof(line), info)) {
		if (!strncmp(line, "flags:", 6))
			flags = (unsigned)strtoul(line + 6, NULL, 8);
	}
	if (info)
		fclose(info);
	return flags & O_CLOEXEC;
}

/* The client's @to becomes a copy of its @from, and stays as it was towards exec. */
static int put_over(struct courier *c, int from, int to)
{
	const uint64_t args[COURIER_ARGS] = { (uint32_t)from, (uint32_t)to, cloexec_of(c, to) };
	int64_t value;

	return courier_make_ok(c, COURIER_DUP3, args, &value);
}

/* The last of @copies is the fd of the client's own ioctl: as long as that is there, all can be
 * undone. */
static int replace(struct courier *c, int theirs, const int *copies, int n)
{
	int own = copies[n - 1], done = 0, r = 0;

	while (r == 0 && done < n) {
		/* Another thread may have put another file there. */
		r = client_same_file(c->tid, own, c->tid, copies[done]);
		r = r == 1 ? put_over(c, theirs, copies[done]) : r ? r : -EBADF;
		if (r == 0 && ++done < n && c->late)
			r = -ETIMEDOUT;
	}
	while (r && done > 0)
		put_over(c, own, copies[--done]);
	return r;
}

int courier_swap(struct courier *c, int fd, dev_t node, unsigned deadline_ms)
{
	int copies[CLIENT_COPIES_MAX], n, theirs, r;

	if (c->abi->narrow || !c->abi->ioctl_fd)
		return -EOPNOTSUPP;
	if (c->late)
		return -ETIMEDOUT;
	c->end = courier_now() + deadline_ms * NS_PER_MS;
	n = client_copies(c->tid, c->abi->ioctl_fd(&c->saved), node, c->end, copies);
	if (n < 0)
		return n;
	c->fd = fd;
	c->cloexec = true;
	theirs = courier_carry(c);
	if (theirs < 0)
		return c->lost ? -ESRCH : theirs;
	r = replace(c, theirs, copies, n);
	courier_close(c, theirs);
	return c->lost ? -ESRCH : r;
}
