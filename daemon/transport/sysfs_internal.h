/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/sysfs_internal.h - between the files sysfs*.c. */
#ifndef TRANSPORT_SYSFS_INTERNAL_H
#define TRANSPORT_SYSFS_INTERNAL_H

#include <transport/sysfs.h>

#define SYSFS_PATH_SIZE 512

struct sysfs_plan {
	struct sysfs_node root;
	bool failed;		/* an allocation failed while building */
};

/* Work on a tree of directories under /sys. */
struct sysfs_mounting {
	char path[SYSFS_PATH_SIZE];	/* of the directory at hand, for messages */
	struct cused_error *err;
};

/* "cannot @what PATH/@name: " and why errno says so. Return: -errno with m->err set. */
int sysfs_fail(struct sysfs_mounting *m, const char *what, const char *name);
/* Append a name to the path; *ret_length is what to cut it back to. Return: 0; -ENAMETOOLONG
 * with m->err set. */
int sysfs_path_push(struct sysfs_mounting *m, const char *name, size_t *ret_length);
/* NULL if there is none. */
const struct sysfs_node *sysfs_find_child(const struct sysfs_node *dir, const char *name);
/* Make one entry of a plan, with all below it, in the directory @dir of a tmpfs of ours. @real:
 * the machine's directory, whose entries are shown as well, or -1.
 * Return: 0; -errno with m->err set. */
int sysfs_show(struct sysfs_mounting *m, int real, int dir, const struct sysfs_node *node);

/* Whether the file system of ours at m->path can be written to. It cannot be made read-only while
 * somebody has a file open to write, who opened it when that was possible; this waits for them, a
 * second at most.
 * Return: 0; -errno with m->err set. */
int sysfs_remount(struct sysfs_mounting *m, bool writable);

#endif
