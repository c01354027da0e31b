/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The half of the benchmark that is the client: it runs under `vfio-cused run` and prints
 * lines "name<TAB>value", which the other half makes a table of.
 */
#include "bench_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include "bench_util.h"
#include "edu_user.h"
#include "nvme_user.h"

#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define IOPS_SECONDS 1
#define IOPS_ROUNDS 5
#define DEPTH 32u

static void report(const char *name, double value)
{
	printf("%s\t%.3f\n", name, value);
	fflush(stdout);
}

static int open_at(struct vc *vc, const char *bdf)
{
	struct vc_where where = { .dir = "/dev/vfio", .bdf = bdf,
				  .group = vc_sysfs_group(bdf) };
	int r = vc_open(vc, &where, VFIO_TYPE1v2_IOMMU);

	if (r)
		fprintf(stderr, "bench: %s: %s\n", bdf, strerror(-r));
	return r;
}

/* ---- single calls ---- */

/*
 * Each batch of calls follows a batch of ping-pongs, which the other half makes outside
 * when asked, so that both see the same machine. Reports the median time of a call and
 * the median of the ratios.
 */
static void compare(const char *name, void (*fn)(void *arg), void *arg, unsigned long n)
{
	double ns[BENCH_BATCHES], ratio[BENCH_BATCHES];
	char line[64];

	for (unsigned long i = 0; i < n; i++)
		fn(arg);
	for (unsigned b = 0; b < BENCH_BATCHES; b++) {
		uint64_t from;

		report("ping-pong, please", 0);
		if (!fgets(line, sizeof(line), stdin))
			return;
		from = vc_now_ns();
		for (unsigned long i = 0; i < n; i++)
			fn(arg);
		ns[b] = (double)(vc_now_ns() - from) / (double)n;
		ratio[b] = ns[b] / strtod(line, NULL);
	}
	printf("%s\t%.3f\t%.3f\n", name, bench_median(ns, BENCH_BATCHES),
	       bench_median(ratio, BENCH_BATCHES));
	fflush(stdout);
}

static struct vc edu;
static uint64_t bar_offset;
static char container_path[] = "/dev/vfio/vfio";

static void do_pread(void *arg)
{
	uint32_t v;

	(void)!pread(edu.device, &v, 4, (off_t)(bar_offset + EDU_LIVE));
}

static void do_pwrite(void *arg)
{
	uint32_t v = 1;

	(void)!pwrite(edu.device, &v, 4, (off_t)(bar_offset + EDU_LIVE));
}

static void do_region_info(void *arg)
{
	struct vfio_region_info info;

	(void)vc_region(edu.device, 0, &info);
}

static void do_version(void *arg)
{
	(void)VC(edu.container, VFIO_GET_API_VERSION, 0);
}

static void do_extension(void *arg)
{
	(void)VC(edu.container, VFIO_CHECK_EXTENSION, 1);
}

static void do_open(void *arg)
{
	close(open(container_path, O_RDWR | O_CLOEXEC));
}

static void do_device_fd(void *arg)
{
	close(vc_get_device(edu.group, arg));
}

struct mapping {
	void *memory;
	uint64_t size;
};

static void do_map_unmap(void *arg)
{
	struct mapping *m = arg;

	(void)vc_map(edu.container, m->memory, 0x100000000ull, m->size, RW);
	(void)vc_unmap(edu.container, 0x100000000ull, m->size, NULL);
}

static int calls(const char *edu_bdf)
{
	static const struct { const char *name; uint64_t size; } sizes[] = {
		{ "MAP + UNMAP 4 KiB", 4096 }, { "MAP + UNMAP 2 MiB", 2u << 20 },
		{ "MAP + UNMAP 1 GiB", 1u << 30 },
	};
	struct vfio_region_info info;
	void *memory;

	if (open_at(&edu, edu_bdf) || vc_region(edu.device, 0, &info))
		return 1;
	bar_offset = info.offset;
	compare("pread 4 bytes of a BAR", do_pread, NULL, 1000);
	compare("pwrite 4 bytes of a BAR", do_pwrite, NULL, 1000);
	compare("ioctl GET_REGION_INFO (32 bytes)", do_region_info, NULL, 1000);
	compare("ioctl GET_API_VERSION", do_version, NULL, 1000);
	compare("ioctl CHECK_EXTENSION", do_extension, NULL, 1000);
	compare("open + close /dev/vfio/vfio", do_open, NULL, 200);
	compare("GET_DEVICE_FD + close", do_device_fd, (void *)(uintptr_t)edu_bdf, 100);
	memory = mmap(NULL, 1u << 30, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		compare(sizes[i].name, do_map_unmap, &(struct mapping){
			memory, sizes[i].size }, 300);
	vc_close(&edu);
	return 0;
}

/* ---- a container that fills ---- */

/*
 * A million mappings of one page each, at IOVAs in no order. Reports what a MAP_DMA costs
 * around the first thousand and around the last; the machine is shared, so each is the
 * median over small batches.
 */
static int maps(const char *edu_bdf)
{
	enum { BATCH = 100, BATCHES = 40, ALL = 1000000, STRIDE = 379009 };
	static double early[BATCHES], late[BATCHES];
	uint64_t from = 0;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	if (page == MAP_FAILED || open_at(&edu, edu_bdf))
		return 1;
	for (unsigned i = 0; i < ALL; i++) {
		uint64_t place = (uint64_t)i * STRIDE % ALL;	/* each once: no common factor */
		unsigned batch = (i - 1000) / BATCH, end = (ALL - i - 1) / BATCH;

		if (i % BATCH == 0)
			from = vc_now_ns();
		if (vc_map(edu.container, page, 0x100000000ull + place * 8192, 4096, RW)) {
			fprintf(stderr, "bench: MAP_DMA number %u: %s\n", i, strerror(errno));
			return 1;
		}
		if (i % BATCH < BATCH - 1)
			continue;
		if (i >= 1000 && batch < BATCHES)
			early[batch] = (double)(vc_now_ns() - from) / BATCH;
		if (end < BATCHES)
			late[end] = (double)(vc_now_ns() - from) / BATCH;
	}
	report("MAP_DMA beside 1,000 mappings", bench_median(early, BATCHES));
	report("MAP_DMA beside 1,000,000 mappings", bench_median(late, BATCHES));
	vc_close(&edu);
	return 0;
}

/* ---- a BAR that is mapped ---- */

static int mapped(const char *nvme_bdf)
{
	const unsigned n = 1000000;
	struct rusage before, after;
	volatile uint32_t *bar;
	uint64_t from;
	size_t size;
	struct vc vc;

	if (open_at(&vc, nvme_bdf))
		return 1;
	bar = vc_mmap_region(vc.device, 0, &size);
	if (!bar)
		return 1;
	(void)bar[2];
	getrusage(RUSAGE_SELF, &before);
	from = vc_now_ns();
	for (unsigned i = 0; i < n; i++) {
		(void)bar[2];
		bar[0x24 / 4] = i;
	}
	report("mmapped BAR, read + write", (double)(vc_now_ns() - from) / n);
	getrusage(RUSAGE_SELF, &after);
	/* each trap would have put us to sleep */
	report("times asleep in 2,000,000 mmapped accesses",
	       (double)(after.ru_nvcsw - before.ru_nvcsw));
	munmap((void *)(uintptr_t)bar, size);	/* it would keep the device open */
	vc_close(&vc);
	return 0;
}

/* ---- nvme ---- */

static double read_iops(struct nvme *n, unsigned *seed)
{
	unsigned per = NVME_PAGE / n->block_size;
	uint64_t pages = n->blocks / per, done = 0;
	uint64_t from = vc_now_ns(), end = from + IOPS_SECONDS * 1000000000ull;
	unsigned in_flight = 0, slot, free_slots[DEPTH], n_free = DEPTH;
	struct nvme_cqe cqe;

	for (unsigned i = 0; i < DEPTH; i++)
		free_slots[i] = i;
	for (bool more = true; more || in_flight;) {
		unsigned batch = 0;
		uint64_t before = done;

		while (more && n_free) {
			struct nvme_sqe sqe;

			slot = free_slots[--n_free];
			nvme_prepare_rw(n, 1, &sqe, slot, false,
					(uint64_t)rand_r(seed) % pages * per, per,
					n->data_iova + slot * NVME_PAGE);
			nvme_submit(n, 1, &sqe, false);
			batch++;
		}
		if (batch)
			nvme_ring(n, 1);
		in_flight += batch;
		while (nvme_reap(n, 1, &cqe)) {
			if (cqe.status >> 1)
				return -1;
			free_slots[n_free++] = cqe.cid;
			in_flight--;
			done++;
		}
		if (done == before)
			sched_yield();		/* somebody else may need this core */
		if (!(done & 15))
			more = vc_now_ns() < end;
	}
	return (double)done * 1e9 / (double)(vc_now_ns() - from);
}

static void iops(const char *name, const char *bdf, bool memfd)
{
	double v[IOPS_ROUNDS];
	unsigned seed = 1;
	struct nvme n;
	struct vc vc;

	if (open_at(&vc, bdf))
		return;
	if (nvme_open(&n, &vc, &(struct nvme_options){ .io_queues = 1, .depth = 64,
			.data = DEPTH * NVME_PAGE, .memfd = memfd })) {
		fprintf(stderr, "bench: %s: the drive does not start\n", bdf);
		return;
	}
	(void)read_iops(&n, &seed);
	for (unsigned i = 0; i < IOPS_ROUNDS; i++)
		v[i] = read_iops(&n, &seed);
	report(name, bench_median(v, IOPS_ROUNDS));
	nvme_close(&n);
	vc_close(&vc);
}

/* One command at a time, found by polling. */
static void latency(const char *bdf)
{
	double v[2001];
	struct nvme n;
	struct vc vc;

	if (open_at(&vc, bdf))
		return;
	if (nvme_open(&n, &vc, &(struct nvme_options){ .io_queues = 1, .depth = 16,
			.data = NVME_PAGE }))
		return;
	for (unsigned i = 0; i < 2001; i++) {
		uint64_t from = vc_now_ns();

		(void)nvme_rw(&n, 1, false, 0, NVME_PAGE / n.block_size, n.data_iova);
		v[i] = (double)(vc_now_ns() - from);
	}
	report("nvme 4 KiB read, one at a time", bench_median(v, 2001));
	nvme_close(&n);
	vc_close(&vc);
}

/* The drive is up and its BAR is polled, but nobody asks for anything. */
static int idle(const char *bdf)
{
	struct nvme n;
	struct vc vc;

	if (open_at(&vc, bdf))
		return 1;
	if (nvme_open(&n, &vc, &(struct nvme_options){ .io_queues = 2, .depth = 16,
			.data = NVME_PAGE }))
		return 1;
	(void)nvme_rw(&n, 1, false, 0, 1, n.data_iova);
	vc_pause(500);		/* it may look around for a while first */
	report("idle begins", 0);
	vc_pause(1000);
	report("idle ends", 0);
	nvme_close(&n);
	vc_close(&vc);
	return 0;
}

int bench_inside(int argc, char **argv)
{
	const char *what = argv[0];

	if (argc == 2 && !strcmp(what, "calls")) {
		bench_ordinary(report);
		return calls(argv[1]);
	}
	if (argc == 2 && !strcmp(what, "maps"))
		return maps(argv[1]);
	if (argc == 3 && !strcmp(what, "nvme")) {
		iops("nvme, memory-backed", argv[1], false);
		iops("nvme, memory-backed, client memory in a memfd", argv[1], true);
		iops("nvme, image-backed", argv[2], false);
		latency(argv[1]);
		return mapped(argv[1]) || idle(argv[1]);
	}
	return 2;
}
