/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench_util.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "vc.h"

double bench_time(void (*fn)(void *arg), void *arg, unsigned long n)
{
	double v[BENCH_BATCHES];

	for (int b = -1; b < BENCH_BATCHES; b++) {
		uint64_t from = vc_now_ns();

		for (unsigned long i = 0; i < n; i++)
			fn(arg);
		if (b >= 0)
			v[b] = (double)(vc_now_ns() - from) / (double)n;
	}
	return bench_median(v, BENCH_BATCHES);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double bench_median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return n & 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

void bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (cpu < 0 || i == cpu)
			CPU_SET(i, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/* ---- ordinary system calls ---- */

static int file = -1, zero = -1, pipe_in = -1;

static void do_getppid(void *arg)
{
	(void)syscall(SYS_getppid);
}

static void do_read(void *arg)
{
	char c[4];

	(void)!read(zero, c, sizeof(c));
}

static void do_pread(void *arg)
{
	char c[4];

	(void)!pread(file, c, sizeof(c), 0);
}

static void do_ioctl(void *arg)
{
	int n;

	(void)ioctl(pipe_in, FIONREAD, &n);
}

static void do_open(void *arg)
{
	close(openat(AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC));
}

static void do_mmap(void *arg)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);

	munmap(p, 4096);
}

void bench_ordinary(void (*report)(const char *name, double ns))
{
	int p[2];

	file = memfd_create("bench", MFD_CLOEXEC);
	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (file < 0 || zero < 0 || pipe(p) || ftruncate(file, 4096))
		return;
	pipe_in = p[0];
	report("getppid", bench_time(do_getppid, NULL, 100000));
	report("read 4 bytes", bench_time(do_read, NULL, 100000));
	report("pread 4 bytes", bench_time(do_pread, NULL, 100000));
	report("ioctl FIONREAD", bench_time(do_ioctl, NULL, 100000));
	report("mmap + munmap", bench_time(do_mmap, NULL, 20000));
	report("openat + close", bench_time(do_open, NULL, 20000));
	close(file);
	close(zero);
	close(p[0]);
	close(p[1]);
}
