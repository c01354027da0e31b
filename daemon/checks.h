/* SPDX-License-Identifier: GPL-2.0-or-later */
/* checks.h - between check.c and the parts of the check: what is found of a need, and how. */
#ifndef CHECKS_H
#define CHECKS_H

#include <stdbool.h>

#define CHECK_CHILD_DIED 255	/* for "ended by a signal", no errno is so big */

struct finding {
	bool ok;
	bool limited;		/* it works without, but does less; then ok is set too */
	char found[256];
	char cure[512];		/* only if not ok, or limited */
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

#endif
