/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-pinner - a client that maps memory for a device and holds it.
 *
 *     vm-pinner BDF private|shared|both MIB [TIMES]
 *
 * Opens the device, maps MIB of memory of its kind, touched beforehand, writes "mapped" and
 * holds it until its input ends. With TIMES it maps and unmaps that often first, and writes
 * "mapping" before. An error is written as its number, and the status is 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "system/vc.h"

#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define IOVA 0x100000000ull

static int failed(const char *what, int error)
{
	printf("%s: %d\n", what, error);
	return 1;
}

static void *memory(int kind, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | kind, -1, 0);

	return p == MAP_FAILED ? NULL : memset(p, 0x5a, size);
}

static int map_all(int container, void *const *parts, uint64_t size)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < 2; i++) {
		if (parts[i])
			r = vc_map(container, parts[i], IOVA + i * size, size, RW);
	}
	return r;
}

int main(int argc, char **argv)
{
	struct vc_where where = { .dir = "/dev/vfio" };
	void *parts[2] = { NULL, NULL };
	struct vc vc = VC_NONE;
	unsigned long times;
	uint64_t size, done;
	char byte;
	int r;

	if (argc < 4)
		return 2;
	where.bdf = argv[1];
	where.group = vc_sysfs_group(where.bdf);
	size = strtoull(argv[3], NULL, 0) << 20;
	times = argc > 4 ? strtoul(argv[4], NULL, 0) : 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	r = vc_open(&vc, &where, VFIO_TYPE1v2_IOMMU);
	if (r)
		return failed("open", r);
	if (strcmp(argv[2], "shared"))
		parts[0] = memory(MAP_PRIVATE, size);
	if (strcmp(argv[2], "private"))
		parts[1] = memory(MAP_SHARED, size);
	if (!parts[0] && !parts[1])
		return failed("memory", 0);
	if (times)
		puts("mapping");
	for (unsigned long i = 0; r == 0 && i < times; i++) {
		r = map_all(vc.container, parts, size);
		for (unsigned k = 0; r == 0 && k < 2; k++) {
			if (parts[k])
				r = vc_unmap(vc.container, IOVA + k * size, size, &done);
		}
	}
	if (r == 0)
		r = map_all(vc.container, parts, size);
	if (r)
		return failed("map", r);
	puts("mapped");
	while (read(0, &byte, 1) > 0)
		;
	vc_close(&vc);
	return 0;
}
