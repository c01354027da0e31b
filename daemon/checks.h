/* SPDX-License-Identifier: GPL-2.0-or-later */
/* checks.h - between check.c and the parts of the check: what is found of a need, and how. */
#ifndef CHECKS_H
#define CHECKS_H

#include <stdbool.h>

struct cused_error;

#define CHECK_CHILD_DIED 255	/* for "ended by a signal", no errno is so big */

struct finding {
	bool ok;
	bool limited;		/* it works without, but does less; then ok is set too */
	char found[256];
	char cure[512];		/* only if not ok, or limited */
	char commands[1024];	/* part of the cure, for a shell: a command a line */
};

/* Sentences for the user; printf formats. */
void check_found(struct finding *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void check_cure(struct finding *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Run @fn in a child. Return: the errno it gives, or CHECK_CHILD_DIED. */
int check_in_child(int (*fn)(void));
/* The errno of an attempt in words. */
const char *check_why(int e);
/* The number in a file of /proc; -1 if there is none. */
long check_read_number(const char *path);

/* ---- needs of run (check_run.c) ---- */

void check_kernel(struct finding *f);
void check_notification(struct finding *f);
void check_namespaces(struct finding *f);
void check_mounts(struct finding *f);
void check_sysfs(struct finding *f);
void check_proc(struct finding *f);
void check_memory(struct finding *f);
void check_descriptors(struct finding *f);
void check_memfd(struct finding *f);

/* ---- needs of the service (check_serve.c) ---- */

void check_serve_rights(struct finding *f);
void check_serve_cuse(struct finding *f);
void check_serve_fuse(struct finding *f);
void check_serve_passthrough(struct finding *f);
void check_serve_vfio(struct finding *f);
void check_serve_ptrace(struct finding *f);

/* ---- needs of forwarding to the kernel's iommufd (check_iommufd.c) ---- */

/* Where these are mounted: "/sys", "/dev" and "/proc" but for tests. */
struct check_roots {
	const char *sysfs, *dev, *proc;
};

/* @f: what is found of the need @name; NULL if it was not looked at, without a device. */
typedef void (*check_report_fn)(void *arg, const char *name, const struct finding *f);

/*
 * check_iommufd - look for each need of forwarding.
 * @device: the address of a device, with or without the domain; NULL: any will do
 * @report, @arg: told of each need, in order
 * @ret_missing: how many were not found
 * @err: why devices cannot be read
 *
 * Return: 0, -ENOMEM, or the errno of reading directories of sysfs.
 */
int check_iommufd(const struct check_roots *roots, const char *device, check_report_fn report,
		  void *arg, unsigned *ret_missing, struct cused_error *err);

#endif
