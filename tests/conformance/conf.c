/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *     conformance --bdf BDF [--group N] [--peer BDF] [--peer-group N] [--vfio DIR]
 *                 [--only NAME]… [--record FILE] [--exhaustive | --short]
 *     conformance --list
 *
 * TAP on standard output: a case is ok if it ran to its end. Exit status: 0 all did, 1 one
 * did not, 2 usage.
 */
#include "conf.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>
#include "system/vc.h"

#define EXIT_SKIP 77
#define MAX_ONLY 32
#define LINE 1024

struct conf_where conf_where = { .dir = "/dev/vfio", .group = { -1, -1 } };

static const struct conf_case *const tables[] = {
	cases_container, cases_group, cases_sharing, cases_type1, cases_type1_unmap,
	cases_device, cases_access, cases_irq, cases_cfgspace, cases_closing,
	cases_discovery, cases_spapr,
};

static struct {
	const char *only[MAX_ONLY];
	unsigned n_only;
	bool list, exhaustive, few;
} options;

static const struct conf_case *now;	/* in its process */
static unsigned step;
static int record = -1;

/* ---- steps ---- */

const char *conf_text(const char *format, ...)
{
	static char texts[8][LINE];
	static unsigned next;
	char *text = texts[next++ % 8];
	va_list args;

	va_start(args, format);
	vsnprintf(text, LINE, format, args);
	va_end(args);
	return text;
}

const char *conf_errno(int64_t result)
{
	const char *name =
		result < 0 && result > -4096 ? strerrorname_np((int)-result) : "";

	return name ? name : "unknown errno";
}

/* A whole line by one write(), so that nothing is lost or torn when a case dies. */
static void write_line(const char *line)
{
	size_t len = strlen(line);

	if (record >= 0 && write(record, line, len) != (ssize_t)len)
		_exit(1);
}

void conf_step(const char *rows, int64_t result, const char *bytes, const char *what, ...)
{
	char text[LINE / 2], line[2 * LINE];
	va_list args;

	va_start(args, what);
	vsnprintf(text, sizeof(text), what, args);
	va_end(args);
	snprintf(line, sizeof(line), "%s.%u %s | %s | %lld%s%s%s%s\n", now->name, ++step,
		 rows, text, (long long)(result < 0 ? -1 : result), result < 0 ? " " : "",
		 result < 0 ? conf_errno(result) : "", bytes ? " | " : "",
		 bytes ? bytes : "");
	write_line(line);
}

_Noreturn void conf_skip(const char *why)
{
	write_line(conf_text("%s skip | %s\n", now->name, why));
	printf("# skip: %s\n", why);
	fflush(stdout);
	_exit(EXIT_SKIP);
}

_Noreturn void conf_abort(const char *what, int64_t result)
{
	printf("# %s: %lld %s\n", what, (long long)result, conf_errno(result));
	fflush(stdout);
	_exit(1);
}

/* ---- cases ---- */

static void on_alarm(int sig)
{
	static const char text[] = "# deadline passed\n";

	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(1);
}

_Noreturn static void be_case(const struct conf_case *c)
{
	int r;

	now = c;
	setpgid(0, 0);
	signal(SIGALRM, on_alarm);
	alarm(c->seconds ? c->seconds : 120);
	if (c->needs & NEEDS_SYSCALLS && T->no_syscalls)
		conf_skip(T->no_syscalls);
	if (c->needs & MANY_STEPS && options.few)
		conf_skip("its steps are many");
	if (c->needs & NEEDS_PEER && !conf_where.bdf[1])
		conf_skip("there is no --peer");
	if (c->needs & NEEDS_64 && sizeof(uintptr_t) < 8)
		conf_skip("addresses of this program have 32 bits");
	r = T->start();
	if (r < 0)
		conf_abort("start of the target", r);
	c->fn();
	T->stop();
	fflush(stdout);
	exit(0);
}

/* Return: exit status of the case's process; its group is gone afterwards. */
static int run_case(const struct conf_case *c)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return 1;
	if (!pid)
		be_case(c);
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

static bool wanted(const struct conf_case *c)
{
	if (!options.n_only)
		return options.exhaustive || !(c->needs & EXHAUSTIVE);
	for (unsigned i = 0; i < options.n_only; i++)
		if (!strcmp(options.only[i], c->name))
			return true;
	return false;
}

static unsigned run_all(unsigned *ret_run)
{
	unsigned failed = 0, n = 0;

	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
		for (const struct conf_case *c = tables[t]; c->name; c++) {
			int status;

			if (!wanted(c))
				continue;
			n++;
			status = run_case(c);
			if (status == EXIT_SKIP)
				printf("ok %u %s # SKIP\n", n, c->name);
			else
				printf("%s %u %s (%s)\n", status ? "not ok" : "ok", n,
				       c->name, c->rows);
			fflush(stdout);
			failed += status && status != EXIT_SKIP;
		}
	*ret_run = n;
	return failed;
}

static int list_all(void)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
		for (const struct conf_case *c = tables[t]; c->name; c++)
			printf("%-28s %s\n", c->name, c->rows);
	return 0;
}

/* ---- command line ---- */

static int usage(const char *problem)
{
	fprintf(stderr,
		"conformance: %s\nusage: conformance --bdf BDF [--group N] "
		"[--peer BDF] [--peer-group N] [--vfio DIR] [--only NAME]... "
		"[--record FILE] [--exhaustive | --short] | --list\n",
		problem);
	return 2;
}

static int parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "vfio", 1, 0, 'v' }, { "group", 1, 0, 'g' }, { "bdf", 1, 0, 'b' },
		{ "peer", 1, 0, 'p' }, { "peer-group", 1, 0, 'G' }, { "only", 1, 0, 'o' },
		{ "record", 1, 0, 'r' }, { "exhaustive", 0, 0, 'e' }, { "short", 0, 0, 's' },
		{ "list", 0, 0, 'l' },
		{ 0, 0, 0, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (c) {
		case 'v': conf_where.dir = optarg; break;
		case 'g': conf_where.group[0] = atoi(optarg); break;
		case 'G': conf_where.group[1] = atoi(optarg); break;
		case 'b': conf_where.bdf[0] = optarg; break;
		case 'p': conf_where.bdf[1] = optarg; break;
		case 'e': options.exhaustive = true; break;
		case 's': options.few = true; break;
		case 'l': options.list = true; break;
		case 'r':
			record = open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
				      0666);
			if (record < 0)
				return usage("cannot open the file of --record");
			break;
		case 'o':
			if (options.n_only == MAX_ONLY)
				return usage("too many --only");
			options.only[options.n_only++] = optarg;
			break;
		default: return usage("unknown option");
		}
	if (optind < argc)
		return usage("unexpected argument");
	return options.list || conf_where.bdf[0] ? 0 : usage("--bdf is missing");
}

int main(int argc, char **argv)
{
	unsigned failed, n;
	int r = parse(argc, argv);

	if (r)
		return r;
	if (options.list)
		return list_all();
	for (unsigned i = 0; i < 2 && !T->no_syscalls; i++) {
		if (conf_where.bdf[i] && conf_where.group[i] < 0)
			conf_where.group[i] = vc_sysfs_group(conf_where.bdf[i]);
		if (conf_where.bdf[i] && conf_where.group[i] < 0)
			return usage("a device has no IOMMU group in sysfs; give --group");
	}
	failed = run_all(&n);
	printf("1..%u\n", n);
	if (!n)
		return usage("no case of that name");
	return failed ? 1 : 0;
}
