/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cused_bench_iommufd - what a client pays whose device of the machine is served, in a guest.
 *
 *     cused_bench_iommufd maps WAY private|shared DIR BDF KERNEL-BDF BARE-BDF
 *     cused_bench_iommufd device DIR BDF KERNEL-BDF
 *
 * BDF is served, with nodes in DIR, and memory gets there by WAY, a word for the table; the
 * kernel's own VFIO has KERNEL-BDF, and BARE-BDF is bound to an iommufd by this program itself.
 * The three are measured batch beside batch, and what counts is the median of the ratios. It
 * reports and fails only if it cannot measure.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../backends/device/host/abi.h"
#include "bench_util.h"
#include "vc.h"

#define ROUNDS 11
#define HUGE_ROUNDS 3
#define IOVA 0x100000000ull
#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define GIB (1ull << 30)

static void must(long r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "cused_bench_iommufd: %s: %s\n", what, strerror((int)-r));
	exit(1);
}

/* ---- three ways to map ---- */

enum { KERNEL, BARE, OURS, SIDES };

static struct vc vc[SIDES];		/* BARE: `container` is the iommufd */
static uint32_t bare_ioas;
static char *memory;
static uint64_t map_size;

static int bare_map(void)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map), .ioas_id = bare_ioas, .iova = IOVA, .length = map_size,
		.flags = IOMMU_MAP_FIXED_IOVA | IOMMU_MAP_READABLE | IOMMU_MAP_WRITEABLE,
		.user_va = (uintptr_t)memory,
	};

	return VC(vc[BARE].container, IOMMU_IOAS_MAP, &map);
}

static int bare_unmap(void)
{
	struct iommu_ioas_unmap unmap = { .size = sizeof(unmap), .ioas_id = bare_ioas,
					  .iova = IOVA, .length = map_size };

	return VC(vc[BARE].container, IOMMU_IOAS_UNMAP, &unmap);
}

static void map(unsigned side)
{
	must(side == BARE ? bare_map() : vc_map(vc[side].container, memory, IOVA, map_size, RW),
	     "map");
}

static void unmap(unsigned side)
{
	uint64_t done = map_size;

	must(side == BARE ? bare_unmap() : vc_unmap(vc[side].container, IOVA, map_size, &done),
	     "unmap");
	must(done == map_size ? 0 : -EIO, "unmap");
}

static void open_vfio(unsigned side, const char *dir, const char *bdf)
{
	struct vc_where where = { .dir = dir, .bdf = bdf, .group = vc_sysfs_group(bdf) };

	must(vc_open(&vc[side], &where, VFIO_TYPE1v2_IOMMU), bdf);
}

/* The node of a device, from sysfs. */
static int open_node(const char *bdf)
{
	char path[300];
	struct dirent *entry;
	int fd = -ENOENT;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	dir = opendir(path);
	while (dir && fd < 0 && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vfio", 4))
			continue;
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s", entry->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	}
	if (dir)
		closedir(dir);
	return fd;
}

static void open_bare(const char *bdf)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	int iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC), device = open_node(bdf);
	struct host_bind bind = { .argsz = sizeof(bind), .iommufd = iommufd };
	struct host_attach attach = { .argsz = sizeof(attach) };

	must(iommufd < 0 ? -errno : 0, "/dev/iommu");
	must(device, bdf);
	must(VC(device, HOST_DEVICE_BIND, &bind), "BIND_IOMMUFD");
	must(VC(iommufd, IOMMU_IOAS_ALLOC, &alloc), "IOAS_ALLOC");
	attach.pt_id = bare_ioas = alloc.out_ioas_id;
	must(VC(device, HOST_DEVICE_ATTACH, &attach), "ATTACH_IOMMUFD_PT");
	vc[BARE].container = iommufd;
	vc[BARE].device = device;
}

/* All of it is there, in pages of 4 KiB or of 2 MiB. */
static void memory_make(bool shared, bool huge)
{
	int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | (huge ? MAP_HUGETLB : 0);

	memory = mmap(NULL, GIB, PROT_READ | PROT_WRITE, flags, -1, 0);
	must(memory == MAP_FAILED ? -errno : 0, "1 GiB of memory");
	if (!huge)
		must(madvise(memory, GIB, MADV_NOHUGEPAGE) ? -errno : 0, "MADV_NOHUGEPAGE");
	for (uint64_t at = 0; at < GIB; at += 4096)
		memory[at] = 1;
}

/* ---- measuring ---- */

/* ns for one of @n. */
static void measure(unsigned side, unsigned n, double *ret_map, double *ret_unmap)
{
	uint64_t from, middle, maps = 0, unmaps = 0;

	for (unsigned i = 0; i < n; i++) {
		from = vc_now_ns();
		map(side);
		middle = vc_now_ns();
		unmap(side);
		maps += middle - from;
		unmaps += vc_now_ns() - middle;
	}
	*ret_map = (double)maps / n;
	*ret_unmap = (double)unmaps / n;
}

static void map_rows(const char *way, const char *what, uint64_t size, unsigned n,
		     unsigned rounds)
{
	double ns[2][ROUNDS], kernel[2][ROUNDS], bare[2][ROUNDS], one[SIDES][2];
	char name[64];

	map_size = size;
	for (unsigned side = 0; side < SIDES; side++)
		measure(side, 1, &one[side][0], &one[side][1]);
	for (unsigned r = 0; r < rounds; r++) {
		for (unsigned side = 0; side < SIDES; side++)
			measure(side, n, &one[side][0], &one[side][1]);
		for (unsigned k = 0; k < 2; k++) {
			ns[k][r] = one[OURS][k];
			kernel[k][r] = one[OURS][k] / one[KERNEL][k];
			bare[k][r] = one[OURS][k] / one[BARE][k];
		}
	}
	for (unsigned k = 0; k < 2; k++) {
		snprintf(name, sizeof(name), "%s %s", k ? "UNMAP_DMA" : "MAP_DMA", what);
		printf("  %-36s %-8s %12.1f us  %8.2f x type1  %8.2f x bare iommufd\n", name, way,
		       bench_median(ns[k], rounds) / 1000, bench_median(kernel[k], rounds),
		       bench_median(bare[k], rounds));
		fflush(stdout);
	}
}

static void maps(const char *way, bool shared)
{
	memory_make(shared, false);
	map_rows(way, "4 KiB", 4096, 20, ROUNDS);
	map_rows(way, "2 MiB of 4 KiB pages", 2 << 20, 4, ROUNDS);
	map_rows(way, "1 GiB of 4 KiB pages", GIB, 1, HUGE_ROUNDS);
	munmap(memory, GIB);
	memory_make(shared, true);
	map_rows(way, "2 MiB, one page", 2 << 20, 4, ROUNDS);
	map_rows(way, "1 GiB of 2 MiB pages", GIB, 1, HUGE_ROUNDS);
	munmap(memory, GIB);
}

/* ---- the device's own file ---- */

static uint64_t config_offset[SIDES];
static volatile uint32_t *bar[SIDES];

static void do_config(unsigned side)
{
	uint32_t v;

	must(pread(vc[side].device, &v, 4, (off_t)config_offset[side]) == 4 ? 0 : -errno,
	     "pread");
}

static void do_region(unsigned side)
{
	struct vfio_region_info info;

	must(vc_region(vc[side].device, 0, &info), "GET_REGION_INFO");
}

static void do_bar(unsigned side)
{
	(void)bar[side][0];
}

static void device_row(const char *what, void (*fn)(unsigned side), unsigned n)
{
	double ns[ROUNDS], kernel[ROUNDS], one[SIDES];

	for (unsigned r = 0; r < ROUNDS; r++) {
		for (unsigned side = 0; side < SIDES; side++) {
			uint64_t from = vc_now_ns();

			for (unsigned i = 0; side != BARE && i < n; i++)
				fn(side);
			one[side] = (double)(vc_now_ns() - from) / n;
		}
		ns[r] = one[OURS];
		kernel[r] = one[OURS] / one[KERNEL];
	}
	printf("  %-45s %12.1f ns  %8.2f x the kernel's\n", what, bench_median(ns, ROUNDS),
	       bench_median(kernel, ROUNDS));
}

static void device(void)
{
	static const unsigned sides[] = { KERNEL, OURS };

	for (unsigned i = 0; i < 2; i++) {
		struct vfio_region_info config;
		unsigned side = sides[i];
		size_t size;

		must(vc_region(vc[side].device, VFIO_PCI_CONFIG_REGION_INDEX, &config), "config");
		config_offset[side] = config.offset;
		must(vc_cfg16_set(vc[side].device, 4, 2), "memory decode");
		bar[side] = vc_mmap_region(vc[side].device, 0, &size);
		must(bar[side] ? 0 : -errno, "mmap of a BAR");
	}
	device_row("pread 4 bytes of configuration space", do_config, 1000);
	device_row("GET_REGION_INFO", do_region, 1000);
	device_row("load from a mapped BAR", do_bar, 1000);
}

int main(int argc, char **argv)
{
	if (argc == 8 && !strcmp(argv[1], "maps")) {
		open_vfio(KERNEL, "/dev/vfio", argv[6]);
		open_bare(argv[7]);
		open_vfio(OURS, argv[4], argv[5]);
		maps(argv[2], !strcmp(argv[3], "shared"));
	} else if (argc == 5 && !strcmp(argv[1], "device")) {
		open_vfio(KERNEL, "/dev/vfio", argv[4]);
		open_vfio(OURS, argv[2], argv[3]);
		device();
	} else {
		fputs("usage: cused_bench_iommufd maps WAY private|shared DIR BDF KERNEL-BDF "
		      "BARE-BDF | device DIR BDF KERNEL-BDF\n", stderr);
		return 2;
	}
	return 0;
}
