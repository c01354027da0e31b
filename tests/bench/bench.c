/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cused_bench - what vfio-cused costs, as a table from one run.
 *
 *     cused_bench PATH-OF-vfio-cused [calls|nvme|start]
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
	struct { char name[64]; double value; } row[MAX_RESULTS];
};

static const char *program, *only = "";
static char self[PATH_MAX];
static double idle_cpu_ms = -1;

static void add(struct results *r, const char *name, double value)
{
	if (r->n == MAX_RESULTS)
		return;
	snprintf(r->row[r->n].name, sizeof(r->row[0].name), "%.63s", name);
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

static double ping_pong(int cpu_here, int cpu_there)
{
	double ns;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		return -1;
	pid = fork();
	if (!pid) {
		char b[32];

		close(sockets[0]);
		bench_pin(cpu_there);
		while (read(sockets[1], b, sizeof(b)) == sizeof(b))
			if (write(sockets[1], b, sizeof(b)) != sizeof(b))
				break;
		_exit(0);
	}
	close(sockets[1]);
	bench_pin(cpu_here);
	ns = bench_time(ping, NULL, 5000);
	close(sockets[0]);
	bench_pin(-1);
	waitpid(pid, NULL, 0);
	return ns;
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

static pid_t start(const char *const argv[], int out)
{
	pid_t pid = fork();

	if (!pid) {
		if (out >= 0)
			dup2(out, STDOUT_FILENO);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	return pid;
}

static void inside(const char *const argv[], struct results *r)
{
	double idle_from = 0;
	char line[256];
	int p[2];
	pid_t pid;
	FILE *f;

	if (pipe2(p, O_CLOEXEC))
		return;
	pid = start(argv, p[1]);
	close(p[1]);
	f = fdopen(p[0], "r");
	while (f && fgets(line, sizeof(line), f)) {
		char *tab = strchr(line, '\t');

		if (!tab)
			continue;
		*tab = 0;
		if (!strcmp(line, "idle begins"))
			idle_from = cpu_ns(pid);
		else if (!strcmp(line, "idle ends"))
			idle_cpu_ms = (cpu_ns(pid) - idle_from) / 1e6;
		else
			add(r, line, strtod(tab + 1, NULL));
	}
	if (f)
		fclose(f);
	waitpid(pid, NULL, 0);
}

static void run_calls(int cpu, struct results *r)
{
	const char *argv[] = { program, "run", "--device", "edu,bdf=" EDU, "--", self,
			 "--inside", "calls", EDU, NULL };

	bench_pin(cpu);
	inside(argv, r);
	bench_pin(-1);
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
	inside(argv, r);
	close(fd);
	unlink(image);
}

static double start_up(const char *const argv[])
{
	double v[15];

	for (unsigned i = 0; i < 15; i++) {
		uint64_t from = vc_now_ns();

		waitpid(start(argv, -1), NULL, 0);
		v[i] = (double)(vc_now_ns() - from);
	}
	return bench_median(v, 15);
}

/* ---- tables ---- */

static struct results outside;

static void report_outside(const char *name, double ns)
{
	add(&outside, name, ns);
}

static void table_calls(const char *title, const struct results *r, double pong)
{
	printf("\n%s: 32-byte Unix socket ping-pong %.2f us\n", title, pong / 1000);
	for (unsigned i = 0; i < r->n; i++)
		if (get(&outside, r->row[i].name) < 0)
			printf("  %-44s %8.2f us  %5.2f x\n", r->row[i].name,
			       r->row[i].value / 1000, r->row[i].value / pong);
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
	double pong_one, pong_two;

	pong_one = ping_pong(0, 0);
	run_calls(0, &one);
	pong_two = ping_pong(0, 1);
	run_calls(-1, &two);
	table_calls("supervisor and client on one core", &one, pong_one);
	table_calls("supervisor and client on any core (ping-pong: one core each)", &two,
		    pong_two);
	table_ordinary(&one);
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
		fprintf(stderr, "usage: cused_bench PATH-OF-vfio-cused [calls|nvme|start]\n");
		return 2;
	}
	if (!*only || !strcmp(only, "calls")) {
		bench_pin(0);
		bench_ordinary(report_outside);
		bench_pin(-1);
		show_calls();
	}
	if (!*only || !strcmp(only, "nvme")) {
		run_nvme(&nvme);
		table_nvme(&nvme);
	}
	if (!*only || !strcmp(only, "start"))
		show_start_up();
	return 0;
}
