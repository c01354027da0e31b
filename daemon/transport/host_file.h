/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/host_file.h - device files that are the kernel's own, and are a client's now.
 *
 * Theory of operation
 *
 *   The file of a device of the machine goes to its client as it is, and no copy stays
 *   here, so that the client's last close is the kernel's. To know of that close, the
 *   open file description carries an OFD write lock on its first byte, which the kernel
 *   drops with the last copy of the file and the last mapping made through it, however they
 *   go. Two ways to notice, as with handle.h:
 *
 *     a waiter   a thread per file, blocked in F_OFD_SETLKW through a description of our own
 *                (a device node may be open any number of times; only one is bound)
 *     a look     F_OFD_GETLK, before calls whose answer depends on closes
 *
 *   The kernel binds one file of a device at a time. So a client that asks for the device
 *   again, where VFIO would make another file with the same state, gets a copy of the file
 *   that there is, which the agent fetches from the process that got it. Which of its fds it
 *   is, is told by the node's number and by the lock, which can be taken again through
 *   the same description alone.
 *
 *   Another process. The lock is the client's file's, and stays. Our own description is kept
 *   (kept_files.h), and whose file it watches stands in a record, which is dropped in one batch
 *   with the release of the device. If the client has closed its file while nobody was there, the
 *   lock is free, or that description has it already; either way it can be had.
 *
 *   Whoever comes first marks the file closed under the table's lock and releases the
 *   device; the other finds it so. A client could take the lock off, by fcntl() on its own
 *   file: then its device counts as closed while it has it open. It can be opened again
 *   only when the kernel is done with the old file (EBUSY until then), and when the
 *   group leaves its container nothing is mapped any more: it harms itself.
 */
#ifndef TRANSPORT_HOST_FILE_H
#define TRANSPORT_HOST_FILE_H

#include <core/device.h>
#include <core/group.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <transport/fd_keep.h>
#include <util/keep.h>

#define HOST_FILES_MAX 128u	/* as many devices as a configuration has, each open once */

struct host_files;

/*
 * @keep, @fds: borrowed; NULL: nothing outlives the process
 * Return: 0; -ENOMEM; of kept_restore().
 */
int host_files_new(struct keep *keep, struct fd_keep *fds, struct host_files **ret);
/* Releases devices that are still open; their clients keep the files. NULL is allowed. */
void host_files_free(struct host_files *files);

/*
 * Watch a file that is about to become a client's.
 * @device: released after the last close of @fd, unless this fails
 * @fd: borrowed; to be closed soon, as any copy of it counts
 * @client: a thread of the process that gets it
 * @ret_id: for host_files_delivered(), which has to follow
 * Return: 0; -ENFILE; -ENOMEM; -errno of locking and opening.
 * Locks: none held.
 */
int host_files_add(struct host_files *files, struct device_file *device, int fd,
		   pid_t client, uint64_t *ret_id);
/* The client has it, or never will. */
void host_files_delivered(struct host_files *files, uint64_t id);

/*
 * Who got the file of a device that is open? Waits while it is being delivered.
 * @ret_node: the number of the device's node, which tells the file from others
 * Return: true, if there is one.
 */
bool host_files_find(struct host_files *files, const struct device *device, pid_t *ret_client,
		     dev_t *ret_node);

/*
 * After return, the devices of @group are released whose last close happened before the call.
 * Locks: takes the table's; the core's through releases.
 */
void host_files_settle(struct host_files *files, const struct group *group);

/* The groups that host_files_settle() would release or wait for devices of. @max: most that
 * are told. Return: how many. */
unsigned host_files_unsettled(struct host_files *files, const struct group **ret,
			      unsigned max);

/*
 * host_files_restore - watch what a process before has watched.
 * @find: a device, open for us once more, by device_keep_id(), as device_restore_file() makes it;
 *        NULL: there is none
 * Nobody else is there yet; closes are not noticed before host_files_resume().
 * Return: 0; -ENOMEM; -EBADMSG these are no records.
 */
typedef struct device_file *host_files_fn(void *arg, uint64_t keep_id);
int host_files_restore(struct host_files *files, host_files_fn *find, void *arg);
/* Return: 0; -errno of starting threads. */
int host_files_resume(struct host_files *files);

unsigned host_files_count(struct host_files *files);	/* not released; for status, tests */

#endif
