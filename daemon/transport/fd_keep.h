/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/fd_keep.h - files that outlive the process, at somebody else's: what the service has to
 * have again after it was killed, beside the records of util/keep.h.
 *
 * The program gives the functions (the service manager's store of descriptors); tests give others.
 * A name is at most 63 printable characters without ':'.
 *
 *     state           the records themselves
 *     cuse-NUMBER     a node's /dev/cuse, by minor
 *     devfs           /dev/fuse of the devices' file system
 *     devfs-mount     its mount
 *     bar-NUMBER      the memfd of a device, by keep_id
 *     mem-NUMBER-ID   memory of a device's model, by keep_id and the model's number for it
 *     mm-NUMBER       /proc/PID/maps of a client, by mm.keep_id
 *     event-NUMBER    an eventfd of a client, by event.keep_id
 *     iommufd-NUMBER  a container's domain, see iommu_file.h
 *     host-NUMBER     what a device file of the machine is watched through, see host_file.h
 *     sysfs           a plan of what lies over /sys
 */
#ifndef TRANSPORT_FD_KEEP_H
#define TRANSPORT_FD_KEEP_H

#define FD_KEEP_NAME_SIZE 64

struct fd_keep {
	/* Have a copy of @fd kept under that name, which nothing else has. What cannot be kept is
	 * logged, once, and breaks the records (keep_break()). Any thread, any lock. */
	void (*put)(struct fd_keep *fds, const char *name, int fd);
	void (*drop)(struct fd_keep *fds, const char *name);
	/* What the process before has put. Return: the fd, the caller's from now on; -1. */
	int (*take)(struct fd_keep *fds, const char *name);
	/* After return, what was dropped is held no more. NULL: drop() sees to that. Waits for whoever
	 * holds it. */
	void (*settle)(struct fd_keep *fds);
};

#endif
