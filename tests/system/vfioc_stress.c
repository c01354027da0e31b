/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases with threads, signals and many processes: every call counts exactly once. */
#include "vfioc.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "edu_user.h"

#define THREADS 4

struct worker {
	pthread_t thread;
	struct vc vc;
	const struct vc_where *where;
	unsigned number;
	unsigned long done, wrong, retried;
};

static void run_workers(struct worker *v, void *(*fn)(void *))
{
	for (unsigned i = 0; i < THREADS; i++) {
		v[i].number = i;
		REQUIRE(!pthread_create(&v[i].thread, NULL, fn, &v[i]));
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(v[i].thread, NULL);
		EXPECT_EQ(v[i].wrong, 0);
		EXPECT_EQ(v[i].done, vfioc_iterations);
	}
}

static void *work_reads(void *arg)
{
	struct worker *k = arg;
	uint32_t id = vc_cfg32(k->vc.device, 0);
	struct vfio_region_info cfg;

	if (vc_region(k->vc.device, VFIO_PCI_CONFIG_REGION_INDEX, &cfg))
		return NULL;
	for (unsigned long i = 0; i < vfioc_iterations; i++, k->done++) {
		uint32_t v = 0;

		if (k->number & 1) {
			struct vfio_region_info r;

			if (vc_region(k->vc.device, i % 6, &r) || r.index != i % 6)
				k->wrong++;
		} else if (pread(k->vc.device, &v, 4, (off_t)cfg.offset) != 4 || v != id) {
			k->wrong++;
		}
	}
	return NULL;
}

static void stress_threads(const struct vc_where *w)
{
	struct worker v[THREADS] = { 0 };
	struct vc vc = vfioc_open(w);

	for (unsigned i = 0; i < THREADS; i++)
		v[i].vc = vc;
	run_workers(v, work_reads);
}

static void *work_maps(void *arg)
{
	struct worker *k = arg;
	uint8_t *p = vfioc_memory(65536, k->number);
	uint64_t base = 0x10000000ull * (k->number + 1);

	for (unsigned long i = 0; i < vfioc_iterations; i++, k->done++) {
		uint64_t size = 4096ull << (i % 5), n = 0;

		if (vc_map(k->vc.container, p, base, size, 3) != 0)
			k->wrong++;
		if (vc_unmap(k->vc.container, base, size, &n) != 0 || n != size)
			k->wrong++;
	}
	return NULL;
}

static void stress_maps(const struct vc_where *w)
{
	struct worker v[THREADS] = { 0 };
	struct vc vc = vfioc_open(w);

	for (unsigned i = 0; i < THREADS; i++)
		v[i].vc = vc;
	run_workers(v, work_maps);
}

/* Device fds come and go in several threads; each is a good one. */
static void *work_devices(void *arg)
{
	struct worker *k = arg;

	for (unsigned long i = 0; i < vfioc_iterations; i++, k->done++) {
		int d = vc_get_device(k->vc.group, k->where->bdf);

		if (d < 0 || vc_cfg32(d, 0) == ~0u)
			k->wrong++;
		if (d >= 0)
			close(d);
	}
	return NULL;
}

static void stress_device_fds(const struct vc_where *w)
{
	struct worker v[THREADS] = { 0 };
	struct vc vc = vfioc_open(w);
	unsigned long all = vfioc_iterations;

	vfioc_iterations = all / 8 + 1;
	for (unsigned i = 0; i < THREADS; i++) {
		v[i].vc = vc;
		v[i].where = w;
	}
	run_workers(v, work_devices);
	close(vc.device);
	/* CG-127: all closed, so the group may leave */
	for (uint64_t end = vc_now_ns() + 2000000000ull;;) {
		int r = VC(vc.group, VFIO_GROUP_UNSET_CONTAINER, 0);

		if (r != -EBUSY || vc_now_ns() > end) {
			EXPECT_EQ(r, 0);
			break;
		}
		vc_pause(1);
	}
}

static volatile sig_atomic_t ticks;

static void on_tick(int sig)
{
	ticks++;
}

/* Writes to the interrupt register, each of which must happen once. Return: their sum. */
static uint64_t storm(const struct vc_where *w, int flags, unsigned long *ret_eintr)
{
	struct vc vc = vfioc_open(w);
	struct sigaction sa = { .sa_handler = on_tick, .sa_flags = flags };
	struct itimerval fast = { { 0, 500 }, { 0, 500 } }, off = { 0 };
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct vfio_region_info bar;
	uint32_t one = 1;
	uint64_t sum = 0;

	REQUIRE_EQ(vc_bus_master(vc.device, true), 0);
	REQUIRE_EQ(vc_irq_eventfds(vc.device, VFIO_PCI_MSI_IRQ_INDEX, 0, 1, &event), 0);
	REQUIRE_EQ(vc_region(vc.device, VFIO_PCI_BAR0_REGION_INDEX, &bar), 0);
	sigaction(SIGALRM, &sa, NULL);
	*ret_eintr = 0;
	setitimer(ITIMER_REAL, &fast, NULL);
	for (unsigned long i = 0; i < vfioc_iterations;) {
		if (pwrite(vc.device, &one, 4, (off_t)(bar.offset + EDU_IRQ_RAISE)) == 4) {
			i++;
		} else if (errno == EINTR) {
			++*ret_eintr;
			continue;
		} else {
			EXPECT_EQ(errno, 0);
			break;
		}
		while (pwrite(vc.device, &one, 4, (off_t)(bar.offset + EDU_IRQ_ACK)) != 4)
			++*ret_eintr;
	}
	setitimer(ITIMER_REAL, &off, NULL);
	EXPECT(ticks > 0);
	/* Delivery is over when the writes are: a message is sent inside the access. */
	if (read(event, &sum, 8) != 8)
		sum = 0;
	return sum;
}

static void stress_signals(const struct vc_where *w)
{
	unsigned long eintr;

	EXPECT_EQ(storm(w, SA_RESTART, &eintr), vfioc_iterations);
	EXPECT_EQ(eintr, 0);
}

/* Without SA_RESTART a call may fail with EINTR before it began, which the kernel's VFIO
 * never does; but it is never executed twice. */
static void stress_signals_norestart(const struct vc_where *w)
{
	unsigned long eintr;

	EXPECT_EQ(storm(w, 0, &eintr), vfioc_iterations);
	printf("# %lu of %lu calls interrupted\n", eintr, 2 * vfioc_iterations);
}

static void stress_signals_eintr(const struct vc_where *w)
{
	unsigned long eintr;

	storm(w, 0, &eintr);
	EXPECT_EQ(eintr, 0);
}

/* Children that use inherited fds at the same time, and are killed at any moment. */
static void stress_fork_kill(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint32_t id = vc_cfg32(vc.device, 0);

	for (unsigned i = 0; i < 50; i++) {
		pid_t pid = fork();
		int status;

		REQUIRE(pid >= 0);
		if (!pid) {
			for (;;)
				if (vc_cfg32(vc.device, 0) != id)
					_exit(1);
		}
		vc_pause(i % 4);
		EXPECT_EQ(vc_cfg32(vc.device, 0), id);
		kill(pid, SIGKILL);
		REQUIRE(waitpid(pid, &status, 0) == pid);
		EXPECT(WIFSIGNALED(status));
	}
}

const struct vcase cases_stress[] = {
	{ .name = "stress_threads", .rows = "PCI-192 PCI-032", .fn = stress_threads,
	  .seconds = 120 },
	{ .name = "stress_maps", .rows = "T1-132", .fn = stress_maps, .seconds = 120 },
	{ .name = "stress_device_fds", .rows = "CG-103 CG-127", .fn = stress_device_fds,
	  .seconds = 120 },
	{ .name = "stress_signals", .rows = "PCI-192", .fn = stress_signals,
	  .needs = NEEDS_EDU, .seconds = 120 },
	{ .name = "stress_signals_norestart", .rows = "PCI-192",
	  .fn = stress_signals_norestart, .needs = NEEDS_EDU, .seconds = 120 },
	{ .name = "stress_signals_eintr", .rows = "PCI-192", .fn = stress_signals_eintr,
	  .needs = NEEDS_EDU, .seconds = 120,
	  .gap = "a signal before the supervisor took the call makes it EINTR" },
	{ .name = "stress_fork_kill", .rows = "CG-131 CG-133", .fn = stress_fork_kill,
	  .seconds = 60 },
	{ .name = NULL },
};
