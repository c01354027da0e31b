/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/handle.h - which open file of ours is behind a client's fd, and when is it
 * closed for the last time?
 *
 * Theory of operation
 *
 *   Node     a file that clients can have open: /dev/vfio/vfio and /dev/vfio/<group>,
 *            which are plain files of a tmpfs, and the memfd of each device. Known by
 *            (st_dev, st_ino). For each we hold a description of our own, the probe.
 *   Handle   one open file of a client: a struct file of the client's kernel view, made
 *            by open() or GET_DEVICE_FD, shared by dup, fork and SCM_RIGHTS.
 *
 *   Each handle has a number, and its open file description holds an OFD write lock on
 *   the byte of that number (a read lock if it is open read-only). The kernel drops such
 *   a lock when the last copy of the description goes, however it goes; a mapping of the
 *   file keeps the description, as with a real VFIO device. Two ways to notice:
 *
 *     a waiter   a thread per handle, blocked in F_OFD_SETLKW for that byte through the
 *                probe. It wakes some 50 to 400 us after the close.
 *     a look     F_OFD_GETLK through the probe, at the start of each call whose answer
 *                depends on earlier closes (handles_sync()), so that a client never sees
 *                the delay.
 *
 *   Whoever comes first marks the handle closed under the table's lock; the other finds
 *   it so. The object is released when the handle is closed and no call uses it, by the
 *   thread that saw both. handles_sync() waits for releases in progress.
 *
 *   The number is also the file position of container and group descriptions, which
 *   makes the look-up quick. A client could move it (a real VFIO file would refuse to
 *   seek), so the lock is asked too, and if it says no, all locks are. Device handles of one device are
 *   interchangeable: all open files of a device share its state.
 *
 *   A description that was not opened through us (open modes that are not trapped) has
 *   no handle until its first VFIO ioctl, when handle_adopt() gives it one.
 */
#ifndef TRANSPORT_HANDLE_H
#define TRANSPORT_HANDLE_H

#include <stdbool.h>
#include <stdint.h>
#include <proto/proto.h>
#include <transport/open_notes.h>

/* Open VFIO files of all clients of one run; beyond it: ENFILE. */
#define RUN_MAX_OPEN_FILES 1024

struct handles;
struct handle;
struct node;

int handles_new(struct handles **ret);
/* Releases what is still open; waiters are stopped. NULL is allowed. */
void handles_free(struct handles *handles);

/*
 * Make a file known, before clients run. @probe: a description of our own, opened
 * read-write; owned by the table from now on, also on failure.
 * @number: what window.h calls the device
 * Return: 0, -ENOMEM, -errno of fstat.
 */
int handles_add_container(struct handles *handles, int probe);
int handles_add_group(struct handles *handles, int probe, struct group *group);
int handles_add_device(struct handles *handles, int probe, struct device *device,
		       unsigned number);

/* The node behind (dev, ino), or NULL. */
struct node *handles_node(struct handles *handles, dev_t dev, ino_t ino);
struct node *handles_device_node(struct handles *handles, const struct device *device);
enum object_kind node_kind(const struct node *node);
struct group *node_group(const struct node *node);
/* window.h's number of a device node. */
unsigned node_number(const struct node *node);

/*
 * A new handle of @node around @object, with a new open file description for the client.
 * On success the table owns the object and releases it after the last close.
 * @via: descriptor through which the description is opened (an O_PATH fd in the client's
 *       mount namespace, so that /proc shows the client's path); -1: the probe
 * @who: opens it, for status; NULL: nobody we know
 * @ret_fd: give it to the client, then close it
 * Return: 0; -ENFILE too many; -ENOMEM; -errno of open.  The object stays the caller's on
 * failure.
 */
int handle_new(struct handles *handles, struct node *node, int via, struct object object,
	       const struct client_who *who, int *ret_fd);

/* The same for a description that exists: @fd is a copy of the client's. */
int handle_adopt(struct handles *handles, struct node *node, struct object object,
		 const struct client_who *who, int fd, struct handle **ret);

/*
 * The handle behind @fd, a copy of the client's whose node is @node, with a use to be
 * given back by handle_put().
 * Return: 0; -ENOENT no handle yet; -EBADF an O_PATH descriptor of a node (one of a
 * device is taken like any other).
 */
int handle_find(struct handles *handles, struct node *node, int fd, struct handle **ret);
/* Any open handle of a device. Return: 0, -ENOENT none (the device is closed). */
int handle_get_device(struct handles *handles, unsigned number, struct handle **ret);
struct object handle_object(const struct handle *handle);
const struct node *handle_node(const struct handle *handle);
/* May release the object, if it was closed meanwhile. NULL is allowed. */
void handle_put(struct handle *handle);

/*
 * After return every close that happened before the call has taken effect.
 * Locks: takes the table's; core's locks through releases. Not from within core.
 */
void handles_sync(struct handles *handles);
/* Open handles now, for tests and status. */
unsigned handles_count(struct handles *handles);
/* What is open, for status. Return: 0, -ENOMEM.  Locks: takes the table's. */
int handles_files(struct handles *handles, struct open_notes *ret);

#endif
