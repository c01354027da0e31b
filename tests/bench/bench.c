/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cused_bench - what vfio-cused costs, as a table from one run.
 *
 *     cused_bench PATH-OF-vfio-cused [calls|maps|nvme|start]
 *
 * All figures are medians. A trapped call is compared with a 32-byte ping-pong over a
 * Unix socket, measured in the same run on the same core or cores: microseconds belong to
 * a machine, the ratio travels. It reports and never fails; needs about a minute.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench_inside.h"
#include "bench_util.h"
#include "vc.h"

#define EDU "0000:e0:00.0"
#define NVME_MEMORY "0000:e1:00.0"
#define NVME_IMAGE "0000:e2:00.0"

#define MAX_RESULTS 64

struct results {
	unsigned n;
	double pong;		/* median of all ping-pongs */
	struct { char name[64]; double value, ratio; } row[MAX_RESULTS];
};

static const char *program, *only = "";
static char self[PATH_MAX];
static double idle_cpu_ms = -1;

static void add(struct results *r, const char *name, double value, double ratio)
{
	if (r->n == MAX_RESULTS)
		return;
	snprintf(r->row[r->n].name, sizeof(r->row[0].name), "%.63s", name);
	r->row[r->n].ratio = ratio;
	r->row[r->n++].value = value;
}

static double get(const struct results *r, const char *name)
{
	for (unsigned i = 0; i < r->n; i++)
		if (!strcmp(r->row[i].name, name))
			return r->row[i].value;
	return -1;
}

/* ---- the yardstick ---- */

static int sockets[2];

static void ping(void *arg)
{
	char b[32] = { 0 };

	if (write(sockets[0], b, sizeof(b)) != sizeof(b)
	    || read(sockets[0], b, sizeof(b)) != sizeof(b))
		exit(1);
}

#define PINGS 1000

static pid_t echo_start(int cpu)
{
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		exit(1);
	pid = fork();
	if (!pid) {
		char b[32];

		close(sockets[0]);
		bench_pin(cpu);
		while (read(sockets[1], b, sizeof(b)) == sizeof(b))
			if (write(sockets[1], b, sizeof(b)) != sizeof(b))
				break;
		_exit(0);
	}
	close(sockets[1]);
	return pid;
}

static void echo_stop(pid_t pid)
{
	close(sockets[0]);
	waitpid(pid, NULL, 0);
}

/* Nanoseconds of one, over a batch. */
static double ping_pong(void)
{
	uint64_t from = vc_now_ns();

	for (unsigned i = 0; i < PINGS; i++)
		ping(NULL);
	return (double)(vc_now_ns() - from) / PINGS;
}

/* ---- running the other half ---- */

/* Nanoseconds on a CPU of all threads of a process. */
static double cpu_ns(pid_t pid)
{
	char path[300];
	double sum = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		unsigned long long ns;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, e->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%llu", &ns) == 1)
			sum += (double)ns;
		fclose(f);
	}
	if (d)
		closedir(d);
	return sum;
}

static pid_t start(const char *const argv[], int in, int out)
{
	pid_t pid = fork();

	if (!pid) {
		if (in >= 0)
			dup2(in, STDIN_FILENO);
		if (out >= 0)
			dup2(out, STDOUT_FILENO);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	return pid;
}

/* @cpu: for it, what it starts and us; -1: it may choose. */
static void inside(const char *const argv[], struct results *r, int cpu)
{
	double idle_from = 0;
	char line[256];
	double pong[1000];
	size_t pongs = 0;
	int p[2], q[2];
	pid_t pid;
	FILE *f;

	if (pipe2(p, O_CLOEXEC) || pipe2(q, O_CLOEXEC))
		return;
	bench_pin(cpu);
	pid = start(argv, q[0], p[1]);
	bench_pin(cpu < 0 ? 0 : cpu);	/* where we ping from */
	close(p[1]);
	close(q[0]);
	f = fdopen(p[0], "r");
	while (f && fgets(line, sizeof(line), f)) {
		char *tab = strchr(line, '\t'), *next;

		if (!tab)
			continue;
		*tab = 0;
		if (!strcmp(line, "ping-pong, please") && pongs < 1000) {
			pong[pongs] = ping_pong();
			dprintf(q[1], "%.3f\n", pong[pongs++]);
		} else if (!strcmp(line, "idle begins"))
			idle_from = cpu_ns(pid);
		else if (!strcmp(line, "idle ends"))
			idle_cpu_ms = (cpu_ns(pid) - idle_from) / 1e6;
		else {
			double value = strtod(tab + 1, &next);

			add(r, line, value, strtod(next, NULL));
		}
	}
	close(q[1]);
	if (pongs)
		r->pong = bench_median(pong, pongs);
	if (f)
		fclose(f);
	waitpid(pid, NULL, 0);
	bench_pin(-1);
}

static void run_calls(int cpu, struct results *r)
{
	const char *argv[] = { program, "run", "--device", "edu,bdf=" EDU, "--", self,
			 "--inside", "calls", EDU, NULL };

	pid_t echo = echo_start(cpu < 0 ? 1 : cpu);

	inside(argv, r, cpu);
	echo_stop(echo);
}

static void run_maps(struct results *r)
{
	const char *argv[] = { program, "run", "--device", "edu,bdf=" EDU, "--iommu",
			       "sim,dma_entry_limit=1000000", "--", self, "--inside", "maps",
			       EDU, NULL };

	inside(argv, r, 0);
}

static void run_nvme(struct results *r)
{
	char image[] = "/tmp/cused-bench.XXXXXX", device[PATH_MAX];
	const char *argv[] = { program, "run", "--device", "nvme,size=256M,bdf=" NVME_MEMORY,
			 "--device", device, "--", self, "--inside", "nvme", NVME_MEMORY,
			 NVME_IMAGE, NULL };
	static char block[1 << 20];
	int fd = mkstemp(image);

	if (fd < 0)
		return;
	for (unsigned i = 0; i < 256; i++) {
		memset(block, (int)i, sizeof(block));
		if (write(fd, block, sizeof(block)) != sizeof(block))
			break;
	}
	snprintf(device, sizeof(device), "nvme,image=%s,bdf=" NVME_IMAGE, image);
	inside(argv, r, -1);
	close(fd);
	unlink(image);
}

static double start_up(const char *const argv[])
{
	double v[15];

	for (unsigned i = 0; i < 15; i++) {
		uint64_t from = vc_now_ns();

		waitpid(start(argv, -1, -1), NULL, 0);
		v[i] = (double)(vc_now_ns() - from);
	}
	return bench_median(v, 15);
}

/* ---- tables ---- */

static struct results outside;

static void report_outside(const char *name, double ns)
{
	add(&outside, name, ns, 0);
}

static void table_calls(const char *title, const struct results *r)
{
	printf("\n%s: 32-byte Unix socket ping-pong %.2f us\n", title, r->pong / 1000);
	for (unsigned i = 0; i < r->n; i++)
		if (get(&outside, r->row[i].name) < 0)
			printf("  %-44s %8.2f us  %5.2f x\n", r->row[i].name,
			       r->row[i].value / 1000, r->row[i].ratio);
}

static void table_ordinary(const struct results *r)
{
	printf("\nordinary system calls, ns             outside   inside    added\n");
	for (unsigned i = 0; i < outside.n; i++) {
		double in = get(r, outside.row[i].name);

		printf("  %-34s %8.0f %8.0f %8.0f\n", outside.row[i].name,
		       outside.row[i].value, in, in - outside.row[i].value);
	}
}

static void table_nvme(const struct results *r)
{
	printf("\nnvme, 4 KiB random reads, queue depth 32, one queue\n");
	for (unsigned i = 0; i < r->n; i++)
		if (!strncmp(r->row[i].name, "nvme, ", 6))
			printf("  %-46s %9.0f IOPS\n", r->row[i].name, r->row[i].value);
	printf("  %-46s %9.2f us\n", "one at a time",
	       get(r, "nvme 4 KiB read, one at a time") / 1000);
	printf("\nmmapped BAR: %.1f ns for a read and a write; asleep %.0f times in 2,000,000 "
	       "accesses\n", get(r, "mmapped BAR, read + write"),
	       get(r, "times asleep in 2,000,000 mmapped accesses"));
	printf("idle second with an open drive: %.2f ms of CPU time in the supervisor\n",
	       idle_cpu_ms);
}

static void show_calls(void)
{
	static struct results one, two;

	run_calls(0, &one);
	run_calls(-1, &two);
	table_calls("supervisor and client on one core", &one);
	table_calls("supervisor and client on any core, ping-pong on one each", &two);
	table_ordinary(&one);
}

static void show_maps(void)
{
	static struct results r;
	double early, late;

	run_maps(&r);
	early = get(&r, "MAP_DMA beside 1,000 mappings");
	late = get(&r, "MAP_DMA beside 1,000,000 mappings");
	printf("\nMAP_DMA in no order, on one core: beside 1,000 mappings %.2f us, beside "
	       "1,000,000 %.2f us, %.2f x\n", early / 1000, late / 1000, late / early);
}

static void show_start_up(void)
{
	double bare = start_up((const char *[]){ "/bin/true", NULL });
	double run = start_up((const char *[]){ program, "run", "--device", "edu", "--",
						"/bin/true", NULL });

	printf("run -- true: %.1f ms, bare true %.1f ms, difference %.1f ms\n", run / 1e6,
	       bare / 1e6, (run - bare) / 1e6);
}

int main(int argc, char **argv)
{
	static struct results nvme;
	ssize_t n;

	if (argc > 2 && !strcmp(argv[1], "--inside"))
		return bench_inside(argc - 2, argv + 2);
	program = argc > 1 ? argv[1] : getenv("VFIO_CUSED");
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (argc > 2)
		only = argv[2];
	if (!program || n < 0) {
		fprintf(stderr, "usage: cused_bench PATH-OF-vfio-cused [calls|maps|nvme|start]\n");
		return 2;
	}
	if (!*only || !strcmp(only, "calls")) {
		bench_pin(0);
		bench_ordinary(report_outside);
		bench_pin(-1);
		show_calls();
	}
	if (!*only || !strcmp(only, "maps"))
		show_maps();
	if (!*only || !strcmp(only, "nvme")) {
		run_nvme(&nvme);
		table_nvme(&nvme);
	}
	if (!*only || !strcmp(only, "start"))
		show_start_up();
	return 0;
}
