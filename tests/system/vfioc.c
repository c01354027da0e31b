/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vfioc - a VFIO client that checks what it sees against the contract of the kernel.
 *
 *     vfioc --bdf 0000:01:00.0 [--group N] [--vfio DIR] [--peer BDF] [--only NAME]…
 *           [--without NAME]… [--iterations N]
 *     vfioc --list
 *
 * Speaks TAP. It uses <linux/vfio.h> and sysfs and nothing else, so that it runs on a
 * machine's own VFIO as well. Exit status: 0 all well, 1 a case failed, 2 usage.
 */
#include "vfioc.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "edu_user.h"

unsigned vfioc_failures;
unsigned long vfioc_iterations = 2000;

static const struct vcase *const tables[] = {
	cases_container, cases_group, cases_type1, cases_device, cases_irq, cases_dma,
	cases_share, cases_stress, cases_nvme, cases_peer, cases_gaps,
};

#define MAX_ONLY 32

struct options {
	struct vc_where where;
	const char *only[MAX_ONLY], *without[MAX_ONLY];
	unsigned n_only, n_without;
	bool list;
};

struct vc vfioc_open(const struct vc_where *where)
{
	struct vc vc = VC_NONE;

	REQUIRE_EQ(vc_open(&vc, where, VFIO_TYPE1v2_IOMMU), 0);
	return vc;
}

uint8_t *vfioc_memory(size_t size, unsigned seed)
{
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	REQUIRE(p != MAP_FAILED);
	for (size_t i = 0; i < size; i++)
		p[i] = (uint8_t)(seed + i + (i >> 8));
	return p;
}

void *vfioc_bad_address(void)
{
	static void *volatile bad = (void *)8;

	return bad;
}

static uint32_t read_hex(const char *bdf, const char *name)
{
	char path[256], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return (uint32_t)strtoul(text, NULL, 16);
}

static int device_kind(const char *bdf)
{
	if ((read_hex(bdf, "device") << 16 | read_hex(bdf, "vendor")) == EDU_VENDOR_DEVICE)
		return NEEDS_EDU;
	return read_hex(bdf, "class") == 0x010802 ? NEEDS_NVME : NEEDS_ANY;
}

static void on_alarm(int sig)
{
	static const char text[] = "# deadline passed\n";

	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(1);
}

/* Return: exit status of the case's process; its group is gone afterwards. */
static int run_case(const struct vcase *c, const struct vc_where *where)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return 1;
	if (!pid) {
		setpgid(0, 0);
		signal(SIGALRM, on_alarm);
		alarm(c->seconds ? c->seconds : 20);
		c->fn(where);
		fflush(stdout);
		_exit(vfioc_failures ? 1 : 0);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	kill(-pid, SIGKILL);
	if (WIFSIGNALED(status)) {
		printf("# killed by signal %d\n", WTERMSIG(status));
		return 1;
	}
	return WEXITSTATUS(status);
}

static bool wanted(const struct options *o, const char *name)
{
	for (unsigned i = 0; i < o->n_without; i++)
		if (!strcmp(o->without[i], name))
			return false;
	if (!o->n_only)
		return true;
	for (unsigned i = 0; i < o->n_only; i++)
		if (!strcmp(o->only[i], name))
			return true;
	return false;
}

static unsigned run_all(const struct options *o, unsigned *ret_run)
{
	static const char *const names[] = { "any device", "an edu device", "an NVMe drive" };
	static const char expected[] = " # TO" "DO ";	/* TAP's word for it */
	int kind = device_kind(o->where.bdf);
	unsigned failed = 0, n = 0;

	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
		for (const struct vcase *c = tables[t]; c->name; c++) {
			int status;

			if (!wanted(o, c->name))
				continue;
			n++;
			if (c->needs != NEEDS_ANY && c->needs != kind) {
				printf("ok %u %s # SKIP needs %s\n", n, c->name,
				       names[c->needs]);
				continue;
			}
			status = run_case(c, &o->where);
			if (status == EXIT_SKIP)
				printf("ok %u %s # SKIP\n", n, c->name);
			else
				printf("%s %u %s (%s)%s%s\n", status ? "not ok" : "ok", n,
				       c->name, c->rows, c->gap ? expected : "",
				       c->gap ? c->gap : "");
			fflush(stdout);
			if (status && status != EXIT_SKIP && !c->gap)
				failed++;
		}
	*ret_run = n;
	return failed;
}

static int list_all(void)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
		for (const struct vcase *c = tables[t]; c->name; c++)
			printf("%-28s %s\n", c->name, c->rows);
	return 0;
}

static int usage(const char *problem)
{
	fprintf(stderr, "vfioc: %s\nusage: vfioc --bdf BDF [--group N] [--vfio DIR] "
		"[--peer BDF] [--only NAME]... [--without NAME]... [--iterations N] | --list\n",
		problem);
	return 2;
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "vfio", 1, 0, 'v' }, { "group", 1, 0, 'g' }, { "bdf", 1, 0, 'b' },
		{ "only", 1, 0, 'o' }, { "list", 0, 0, 'l' }, { "iterations", 1, 0, 'i' },
		{ "peer", 1, 0, 'p' }, { "without", 1, 0, 'w' },
		{ 0, 0, 0, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (c) {
		case 'v': o->where.dir = optarg; break;
		case 'g': o->where.group = atoi(optarg); break;
		case 'b': o->where.bdf = optarg; break;
		case 'i': vfioc_iterations = strtoul(optarg, NULL, 0); break;
		case 'p': vfioc_peer = optarg; break;
		case 'l': o->list = true; break;
		case 'o':
			if (o->n_only == MAX_ONLY)
				return usage("too many --only");
			o->only[o->n_only++] = optarg;
			break;
		case 'w':
			if (o->n_without == MAX_ONLY)
				return usage("too many --without");
			o->without[o->n_without++] = optarg;
			break;
		default: return usage("unknown option");
		}
	return optind < argc ? usage("unexpected argument") : 0;
}

int main(int argc, char **argv)
{
	struct options o = { .where = { .dir = "/dev/vfio", .group = -1 } };
	unsigned failed, n;
	int r = parse(argc, argv, &o);

	if (r)
		return r;
	if (o.list)
		return list_all();
	if (!o.where.bdf)
		return usage("--bdf is missing");
	if (o.where.group < 0)
		o.where.group = vc_sysfs_group(o.where.bdf);
	if (o.where.group < 0)
		return usage("the device has no IOMMU group in sysfs; give --group");
	failed = run_all(&o, &n);
	printf("1..%u\n", n);
	if (!n)
		return usage("no case of that name");
	return failed ? 1 : 0;
}
