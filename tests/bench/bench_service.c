/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cused_bench_service - what a client of `vfio-cused serve` pays, in a guest.
 *
 *     cused_bench_service floor NULL             the null device and the ping-pong alone
 *     cused_bench_service calls NULL BDF         the service's calls beside both
 *     cused_bench_service device-fd NULL BDF TEXT   GET_DEVICE_FD; TEXT: how it is handed over
 *     cused_bench_service maps NULL BDF DIR BDF  MAP_DMA and UNMAP_DMA, of the service with its
 *                                                nodes in DIR, and of the kernel's type1
 *     cused_bench_service pair NULL NULL BDF BDF   two clients at once, and each alone, on the
 *                                                null devices and on those of the service
 *
 * NULL is the node of a cused_bench_null. Time in an emulated machine means nothing, so every
 * batch of a call has a batch of null ioctls and one of ping-pongs beside it, and what counts
 * is the median of the ratios. It reports and fails only if it cannot measure.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench_service.h"
#include "bench_util.h"
#include "edu_user.h"
#include "vc.h"

/* Short batches and many: so the machine is the same for those beside each other. */
#define BATCH 100
#define ROUNDS 41
#define PAIR_NS 500000000ull		/* how long each client of a pair runs */
#define PAIR_ROUNDS 11

static int null_fd, sockets[2];
static struct vc vc;
static uint64_t bar_offset;
static const char *device_name;
static char *map_memory;
static uint64_t map_size;
static int new_device = -1;

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "cused_bench_service: %s: %s\n", what, strerror(-r));
	exit(1);
}

static void open_service(const char *dir, const char *bdf)
{
	struct vc_where where = { .dir = dir, .bdf = bdf,
				  .group = vc_sysfs_group(bdf) };
	struct vfio_region_info bar;

	must(vc_open(&vc, &where, VFIO_TYPE1v2_IOMMU), bdf);
	must(vc_region(vc.device, 0, &bar), "region 0");
	bar_offset = bar.offset;
	device_name = bdf;
}

/* ---- what is timed ---- */

static void do_null(void)
{
	must(ioctl(null_fd, NULL_NOTHING, 0) < 0 ? -errno : 0, "the null device");
}

static void do_null_data(void)
{
	char data[NULL_BYTES] = { 0 };

	must(ioctl(null_fd, NULL_DATA, data) < 0 ? -errno : 0, "the null device");
}

static void do_ping(void)
{
	char b[NULL_BYTES] = { 0 };

	if (write(sockets[0], b, sizeof(b)) != sizeof(b) ||
	    read(sockets[0], b, sizeof(b)) != sizeof(b))
		must(-EPIPE, "ping-pong");
}

static void do_region_info(void)
{
	struct vfio_region_info info;

	must(vc_region(vc.device, 0, &info), "GET_REGION_INFO");
}

static void do_iommu_info(void)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };

	must(VC(vc.container, VFIO_IOMMU_GET_INFO, &info), "IOMMU_GET_INFO");
}

static void do_version(void)
{
	must(VC(vc.container, VFIO_GET_API_VERSION, 0), "GET_API_VERSION");
}

static void do_pread(void)
{
	uint32_t v;

	must(pread(vc.device, &v, 4, (off_t)(bar_offset + EDU_LIVE)) == 4 ? 0 : -errno,
	     "pread");
}

static void do_pwrite(void)
{
	uint32_t v = 1;

	must(pwrite(vc.device, &v, 4, (off_t)(bar_offset + EDU_LIVE)) == 4 ? 0 : -errno,
	     "pwrite");
}

static void do_device_fd(void)
{
	new_device = vc_get_device(vc.group, device_name);
	must(new_device, "GET_DEVICE_FD");
}

/* The close has taken effect when the next call on the group is answered: otherwise its end
 * would be counted as part of the next GET_DEVICE_FD. */
static void undo_device_fd(void)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };

	close(new_device);
	must(VC(vc.group, VFIO_GROUP_GET_STATUS, &status), "GET_STATUS");
}

static void do_device_fd_close(void)
{
	do_device_fd();
	close(new_device);
}

static void do_map(void)
{
	must(vc_map(vc.container, map_memory, 0, map_size,
		    VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE), "MAP_DMA");
}

static void do_unmap(void)
{
	uint64_t size;

	must(vc_unmap(vc.container, 0, map_size, &size), "UNMAP_DMA");
	must(size == map_size ? 0 : -EIO, "UNMAP_DMA");
}

/* ---- ratios ---- */

static double batch(void (*fn)(void), unsigned n)
{
	uint64_t from = vc_now_ns();

	for (unsigned i = 0; i < n; i++)
		fn();
	return (double)(vc_now_ns() - from) / n;
}

/* @undo: what has to follow each time, and is not counted; or NULL */
static double batch_undone(void (*fn)(void), void (*undo)(void), unsigned n)
{
	uint64_t sum = 0;

	if (!undo)
		return batch(fn, n);
	for (unsigned i = 0; i < n; i++) {
		uint64_t from = vc_now_ns();

		fn();
		sum += vc_now_ns() - from;
		undo();
	}
	return (double)sum / n;
}

/* Return: the median, in ns. */
static double rounds(const char *name, void (*fn)(void), void (*undo)(void), unsigned n)
{
	double ns[ROUNDS], to_null[ROUNDS], to_ping[ROUNDS], median;

	batch_undone(fn, undo, n);
	for (unsigned b = 0; b < ROUNDS; b++) {
		double null = batch(do_null, BATCH), ping = batch(do_ping, BATCH);

		ns[b] = batch_undone(fn, undo, n);
		to_null[b] = ns[b] / null;
		to_ping[b] = ns[b] / ping;
	}
	median = bench_median(ns, ROUNDS);
	printf("  %-44s %8.1f us  %6.2f x null  %6.2f x ping-pong\n", name, median / 1000,
	       bench_median(to_null, ROUNDS), bench_median(to_ping, ROUNDS));
	fflush(stdout);
	return median;
}

static void row(const char *name, void (*fn)(void), unsigned n)
{
	rounds(name, fn, NULL, n);
}

static void echo_start(void)
{
	char b[NULL_BYTES];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) ? -errno : 0,
	     "socketpair");
	if (fork()) {
		close(sockets[1]);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(sockets[0]);
	while (read(sockets[1], b, sizeof(b)) == sizeof(b))
		if (write(sockets[1], b, sizeof(b)) != sizeof(b))
			break;
	_exit(0);
}

/* A guest that has just booted has other work as well, which makes a call take twice as
 * long for a second or two: wait until five batches are alike. */
static void settle(void)
{
	double last = 0;

	for (unsigned alike = 0, i = 0; alike < 5 && i < 200; i++) {
		double ns = batch(do_null, BATCH);

		alike = ns > 0.97 * last && ns < 1.03 * last && ns < 2 * batch(do_ping, BATCH) ?
			alike + 1 : 0;
		last = ns;
	}
}

static void floor_rows(void)
{
	settle();
	row("null ioctl without data", do_null, BATCH);
	row("null ioctl, 32 bytes in and out", do_null_data, BATCH);
	row("Unix socket ping-pong, 32 bytes", do_ping, BATCH);
}

static void calls(const char *bdf)
{
	open_service("/dev/vfio", bdf);
	row("GET_API_VERSION (container, no data)", do_version, BATCH);
	row("IOMMU_GET_INFO (container, 24 bytes)", do_iommu_info, BATCH);
	row("GET_REGION_INFO (device, 32 bytes)", do_region_info, BATCH);
	row("pread 4 bytes of a BAR", do_pread, BATCH);
	row("pwrite 4 bytes of a BAR", do_pwrite, BATCH);
	vc_close(&vc);
}

/* ---- mappings ---- */

#define SMALL 4096ull
#define HUGE_ (1ull << 30)
#define HUGE_ROUNDS 3

/* Of 4 KiB pages, each of them there. */
static void map_memory_make(void)
{
	map_memory = mmap(NULL, HUGE_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);
	must(map_memory == MAP_FAILED ? -errno : 0, "1 GiB of memory");
	must(madvise(map_memory, HUGE_, MADV_NOHUGEPAGE) ? -errno : 0, "MADV_NOHUGEPAGE");
	for (uint64_t at = 0; at < HUGE_; at += SMALL)
		map_memory[at] = 1;
}

/* Return: of 1 GiB, the median in ns. */
static double map_rows(const char *whose, const char *dir, const char *bdf)
{
	double map[HUGE_ROUNDS], unmap[HUGE_ROUNDS];
	char name[64];

	open_service(dir, bdf);
	map_size = SMALL;
	snprintf(name, sizeof(name), "MAP_DMA 4 KiB, %s", whose);
	rounds(name, do_map, do_unmap, BATCH);
	do_map();
	snprintf(name, sizeof(name), "UNMAP_DMA 4 KiB, %s", whose);
	rounds(name, do_unmap, do_map, BATCH);
	do_unmap();
	map_size = HUGE_;
	for (unsigned i = 0; i < HUGE_ROUNDS; i++) {
		map[i] = batch(do_map, 1);
		unmap[i] = batch(do_unmap, 1);
	}
	printf("  1 GiB of 4 KiB pages, %-22s map %10.1f us, unmap %10.1f us\n", whose,
	       bench_median(map, HUGE_ROUNDS) / 1000, bench_median(unmap, HUGE_ROUNDS) / 1000);
	vc_close(&vc);
	return bench_median(map, HUGE_ROUNDS);
}

static void maps(const char *ours, const char *dir, const char *kernels)
{
	double us, kernel;

	map_memory_make();
	settle();
	us = map_rows("service", dir, ours);
	kernel = map_rows("kernel's type1", "/dev/vfio", kernels);
	printf("  map of 1 GiB: the kernel's takes %.0f times as long (it pins and programs, the "
	       "service notes)\n", kernel / us);
}

/* ---- two clients ---- */

enum pair_kind { PAIR_NULL, PAIR_IOCTL, PAIR_MIXED, PAIR_KINDS };

struct pair {
	enum pair_kind kind;
	const char *const *nulls, *const *bdfs;		/* two of each */
	_Atomic unsigned ready;
	double rate[2];		/* calls a second */
};

/* An ioctl with 32 bytes in and out; or that and a read of a register, in turn. */
static unsigned pair_calls(const struct pair *p)
{
	switch (p->kind) {
	case PAIR_NULL:
		do_null_data();
		return 1;
	case PAIR_MIXED:
		do_iommu_info();
		do_pread();
		return 2;
	default:
		do_iommu_info();
		return 1;
	}
}

static void pair_client(struct pair *p, unsigned who, unsigned of)
{
	uint64_t n = 0, from, now;

	if (p->kind != PAIR_NULL) {
		open_service("/dev/vfio", p->bdfs[who]);
	} else {
		null_fd = open(p->nulls[who], O_RDWR | O_CLOEXEC);
		must(null_fd < 0 ? -errno : 0, p->nulls[who]);
	}
	p->ready++;
	for (unsigned ms = 0; p->ready < of; ms++) {
		must(ms < 10000 ? 0 : -ETIMEDOUT, "the other client");
		poll(NULL, 0, 1);
	}
	from = vc_now_ns();
	do {
		for (unsigned i = 0; i < 50; i++)
			n += pair_calls(p);
		now = vc_now_ns();
	} while (now - from < PAIR_NS);
	p->rate[who] = (double)n * 1e9 / (double)(now - from);
	if (p->kind != PAIR_NULL)
		vc_close(&vc);
}

/* Runs the clients of the mask @who at once. */
static void pair_run(struct pair *p, unsigned who)
{
	unsigned of = who == 3 ? 2 : 1, failed = 0;
	int status;

	p->ready = 0;
	fflush(NULL);
	for (unsigned i = 0; i < 2; i++) {
		if (!(who & 1u << i) || fork())
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pair_client(p, i, of);
		_exit(0);
	}
	while (of--)
		failed |= wait(&status) < 0 || status;
	if (failed)
		must(-EIO, "a client of the pair");
}

/* The null devices are what two clients can have at best: each has its server, a process, so
 * two clients are four that want a processor. */
static void pair(const char *const nulls[2], const char *const bdfs[2])
{
	static const char *const kinds[] = { "of null devices", "of the service",
					     "of that, with pread" };
	struct pair *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double alone[PAIR_KINDS][2][PAIR_ROUNDS], loss[PAIR_KINDS][2][PAIR_ROUNDS];

	must(p == MAP_FAILED ? -errno : 0, "mmap");
	p->nulls = nulls;
	p->bdfs = bdfs;
	for (unsigned r = 0; r < PAIR_KINDS * PAIR_ROUNDS; r++) {
		unsigned k = r % PAIR_KINDS, round = r / PAIR_KINDS;

		p->kind = k;
		for (unsigned i = 0; i < 2; i++) {
			pair_run(p, 1u << i);
			alone[k][i][round] = p->rate[i];
		}
		pair_run(p, 3);
		for (unsigned i = 0; i < 2; i++)
			loss[k][i][round] = 100 - 100 * p->rate[i] / alone[k][i][round];
	}
	for (unsigned k = 0; k < PAIR_KINDS; k++) {
		for (unsigned i = 0; i < 2; i++)
			printf("  client %u %-19s alone %6.0f calls a second; with the other it "
			       "loses %.0f %%\n", i + 1, kinds[k],
			       bench_median(alone[k][i], PAIR_ROUNDS),
			       bench_median(loss[k][i], PAIR_ROUNDS));
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (argc > 2) {
		null_fd = open(argv[2], O_RDWR | O_CLOEXEC);
		must(null_fd < 0 ? -errno : 0, argv[2]);
	}
	if (!strcmp(what, "pair") && argc == 6) {
		pair((const char *const *)(argv + 2), (const char *const *)(argv + 4));
		return 0;
	}
	echo_start();
	if (!strcmp(what, "floor") && argc == 3) {
		floor_rows();
	} else if (!strcmp(what, "calls") && argc == 4) {
		calls(argv[3]);
	} else if (!strcmp(what, "device-fd") && argc == 5) {
		open_service("/dev/vfio", argv[3]);
		rounds(argv[4], do_device_fd, undo_device_fd, 10);
		rounds("  and close", do_device_fd_close, NULL, 10);
		vc_close(&vc);
	} else if (!strcmp(what, "maps") && argc == 6) {
		maps(argv[3], argv[4], argv[5]);
	} else {
		fprintf(stderr, "usage: cused_bench_service floor|calls|device-fd|maps|pair NULL ...\n");
		return 2;
	}
	close(sockets[0]);
	return 0;
}
