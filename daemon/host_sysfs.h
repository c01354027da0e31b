/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host_sysfs.h - the kernel's sysfs, whatever has been laid over /sys. */
#ifndef HOST_SYSFS_H
#define HOST_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <vfio-cused/cused.h>

#define HOST_SYSFS_PATH_SIZE 32

struct host_sysfs {
	int fd;				/* -1: it is /sys */
	char path[HOST_SYSFS_PATH_SIZE];	/* for host_read() and others, of this process */
};

/*
 * host_sysfs_open - mount it once more, at no place, for reading.
 * A service that lays simulated devices over /sys would not see there what has come to the
 * machine since. Takes CAP_SYS_ADMIN.
 * @ret: /sys itself, if this fails; for host_sysfs_close()
 * Return: 0; -errno of mounting, with @err set.
 */
int host_sysfs_open(struct host_sysfs *ret, struct cused_error *err);
void host_sysfs_close(struct host_sysfs *sysfs);

/* Does @shown ("/sys") show what is at @path otherwise than it is? */
bool host_sysfs_differs(const struct host_sysfs *sysfs, const char *shown, const char *path);
bool host_sysfs_has(const struct host_sysfs *sysfs, const char *path);
/* The last name of what a link leads to; "": there is none, or it is longer than @size - 1. */
void host_sysfs_link(const struct host_sysfs *sysfs, const char *path, char *ret, size_t size);

#endif
