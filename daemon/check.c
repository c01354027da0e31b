/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check.c - `vfio-cused check`: what `run` needs of this machine, or the service, or
 * forwarding to iommufd, each tried for real.
 *
 * Every attempt is made in a child of its own, so that a filter, a namespace or a signal
 * stays there. A child tells its errno by its exit status; children that have to be
 * looked at from outside wait on a pipe and end when it closes, whatever happens to us.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <util/cleanup.h>

#include "checks.h"
#include "cli.h"

void check_found(struct finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->found, sizeof(f->found), fmt, ap);
	va_end(ap);
}

void check_cure(struct finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->cure, sizeof(f->cure), fmt, ap);
	va_end(ap);
}

long check_read_number(const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[32] = "";

	return fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 ? strtol(text, NULL, 10) : -1;
}

int check_in_child(int (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return errno;
	if (pid == 0)
		_exit(fn());
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : CHECK_CHILD_DIED;
}

const char *check_why(int e)
{
	return e == CHECK_CHILD_DIED ? "killed by a signal (a seccomp filter?)" : strerror(e);
}

/* ---- all of it ---- */

#define NEEDS_MAX 9

struct need {
	const char *name;
	void (*check)(struct finding *f);
	bool in_base;			/* cannot be tried without the base */
};

static const struct section {
	const char *name;		/* of the command */
	void (*base)(struct finding *f);	/* the need on which others depend … */
	const char *base_name;		/* … in a sentence */
	struct need needs[NEEDS_MAX];
} sections[] = {
	{ "run", check_namespaces, "namespaces", {
		{ "kernel", check_kernel, false },
		{ "seccomp notification", check_notification, false },
		{ "proc", check_proc, false },
		{ "sysfs", check_sysfs, false },
		{ "namespaces", check_namespaces, false },
		{ "mounts", check_mounts, true },
		{ "client memory", check_memory, true },
		{ "client descriptors", check_descriptors, true },
		{ "device files", check_memfd, false },
	} },
	{ "serve", check_serve_rights, "these rights", {
		{ "kernel", check_kernel, false },
		{ "rights", check_serve_rights, false },
		{ "sysfs", check_sysfs, false },
		{ "CUSE", check_serve_cuse, false },
		{ "FUSE", check_serve_fuse, false },
		{ "FUSE passthrough", check_serve_passthrough, true },
		{ "kernel's own vfio", check_serve_vfio, false },
		{ "ptrace", check_serve_ptrace, false },
		{ "device files", check_memfd, false },
	} },
};

static const struct section *find_section(const char *name)
{
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (!name || strcmp(name, sections[i].name) == 0)
			return &sections[i];
	}
	return NULL;
}

/* @base: what has to be there before a need can be looked at, which is then without @f. */
static void print_finding(const char *name, const struct finding *f, const char *base)
{
	if (!f) {
		printf("%-8s %-22s not tried without %s\n", "?", name, base);
		return;
	}
	printf("%-8s %-22s %s\n", !f->ok ? "missing" : f->limited ? "limited" : "ok", name,
	       f->found);
	if (f->ok && !f->limited)
		return;
	help_wrap(stdout, 9, f->cure);
	for (const char *line = f->commands; *line;) {
		int len = (int)strcspn(line, "\n");

		printf("%*s%.*s\n", 11, "", len, line);
		line += len + (line[len] == '\n');
	}
}

/* Return: the exit status. */
static int print_verdict(const char *subject, unsigned missing)
{
	if (missing)
		printf("\n%s does not work here: %u of its needs %s missing\n", subject, missing,
		       missing == 1 ? "is" : "are");
	else
		printf("\n%s works here\n", subject);
	return missing ? 1 : 0;
}

static void print_iommufd(void *arg, const char *name, const struct finding *f)
{
	(void)arg;
	print_finding(name, f, "such a device");
}

/* @device: an address, or NULL */
static int check_forwarding(const char *device)
{
	const struct check_roots roots = { "/sys", "/dev", "/proc" };
	struct cused_error err;
	unsigned missing;

	if (check_iommufd(&roots, device, print_iommufd, NULL, &missing, &err) < 0)
		return cli_complain("check iommufd: %s", err.text);
	return print_verdict("forwarding to iommufd", missing);
}

static int check_section(const struct section *section)
{
	unsigned missing = 0;
	bool base = false;
	char subject[64];

	for (size_t i = 0; i < NEEDS_MAX; i++) {
		const struct need *need = &section->needs[i];
		struct finding f = { 0 };

		if (need->in_base && !base) {
			print_finding(need->name, NULL, section->base_name);
			continue;
		}
		need->check(&f);
		print_finding(need->name, &f, NULL);
		missing += !f.ok;
		if (need->check == section->base)
			base = f.ok;
	}
	snprintf(subject, sizeof(subject), "vfio-cused %s", section->name);
	return print_verdict(subject, missing);
}

int check_command(const struct conf *conf, char **args)
{
	bool forwarding = args[0] && strcmp(args[0], "iommufd") == 0;
	const struct section *section = find_section(args[0]);

	(void)conf;
	if (!section && !forwarding)
		return cli_complain("check %s: known are run, serve and iommufd", args[0]);
	if (args[0] && args[1] && !forwarding)
		return cli_complain("check %s: what is %s? Only check iommufd takes an address",
				    args[0], args[1]);
	return forwarding ? check_forwarding(args[1]) : check_section(section);
}
