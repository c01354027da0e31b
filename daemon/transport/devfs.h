/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/devfs.h - a file system whose files are open devices.
 *
 * Theory of operation
 *
 *   A character device of CUSE has no mmap and loses the file position, so a device fd
 *   is a regular file of a FUSE file system that is mounted nowhere: its mount exists as
 *   a descriptor (fsmount()), which the agent has. For each GET_DEVICE_FD there is one
 *   file, whose name is a secret token. It can be looked up and opened once; then it has
 *   no name any more. Or it waits in a place, whose number is the secret, and never has a
 *   name (service_abi.h).
 *
 *     offset          index << 40 | offset in the region, as with kernel VFIO
 *     read, write     reach us whole (FOPEN_DIRECT_IO), at any 64-bit offset
 *     ioctl           reaches us as number and argument; memory is copied by us
 *     mmap            is *passed through* (Linux 6.9) to the memfd in which the BARs of
 *                     the device live at the same offsets. The kernel does not ask us:
 *                     what is no mappable region is memory that nobody reads. Without
 *                     passthrough there is no mmap, and regions do not offer it.
 *     close           FLUSH comes before close() returns, RELEASE of the last one some
 *                     time after. So a call whose answer depends on closes waits for a
 *                     RELEASE that may be on its way after a FLUSH (devfs_settle()).
 *                     The one of whoever opened the file for a client is known by its
 *                     number, and does not count once a client is known to have a copy.
 *                     A mapping does not keep the file open, unlike kernel VFIO's.
 *
 *   Restart without loss. The kernel's file /dev/fuse, which the connection and all that is open
 *   depend on, and the mount are held by somebody else, too (fd_keep.h), and files are records.
 *   Who takes over adopts them: the greeting that the kernel once gave, and the ids by which it
 *   knows the memory of devices, are records as well. So
 *
 *       devfs_new()         adopts what there is; nothing is served
 *       devfs_add_device()  for each device: known memory keeps its id
 *       devfs_restore()     files, open ones and those on their way to a client
 *       devfs_resume()      serves, first what was not answered (server.h)
 *
 *   Calls on a file whose device is no more are ENODEV.
 *
 *   libfuse 3.14 knows nothing of passthrough and O_TMPFILE, so its greeting and its answers
 *   to OPEN are amended on their way out, and a request on its way in, see devfs_wire.c.
 */
#ifndef TRANSPORT_DEVFS_H
#define TRANSPORT_DEVFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <core/device.h>
#include <transport/access.h>
#include <transport/open_notes.h>
#include <transport/server.h>
#include <transport/service_abi.h>
#include <vfio-cused/cused.h>

#define DEVFS_TOKEN_MS 10000u	/* a token that nobody has used by then is void */
#define DEVFS_SETTLE_MS 200u	/* for a RELEASE after the FLUSH of a last close … */
#define DEVFS_RELEASE_MS 1000u	/* … and for the work of it, which a client could stall */

struct devfs;
struct fd_keep;
struct keep;

/* A device file's ioctls go to whoever knows proto; answers with request_take(). */
typedef void devfs_ioctl_fn(void *arg, struct request *request, struct device_file *file,
			    unsigned cmd, uint64_t arg64);

/*
 * Make the file system, or adopt it. Needs CAP_SYS_ADMIN and /dev/fuse.
 * @keep, @fds: what outlives the process, as the server has it. Borrowed; NULL, both: nothing
 * Return: 0; -ESTALE there is one to be adopted, but not all of it; other -errno; all with @err
 * set.  Locks: none.
 */
int devfs_new(struct server *server, devfs_ioctl_fn *ioctl, void *arg, struct keep *keep,
	      struct fd_keep *fds, struct devfs **ret, struct cused_error *err);

/*
 * An open device file of the process before.
 * @device: device_params.keep_id
 * @wants_access: does its group have rules? @ret_access: these, borrowed; or NULL
 * Return: owned from now on; NULL: the device is no more, or was closed.
 */
typedef struct device_file *devfs_restore_fn(void *arg, uint64_t device, bool wants_access,
					     struct access **ret_access);
/*
 * devfs_restore - files, as they were: open, or granted, of which the time begins anew.
 * Once, of one that was adopted or not; after devfs_add_device() of all devices that there were.
 * Return: 0; -ENOMEM; -EBADMSG these are no records of files.
 */
int devfs_restore(struct devfs *devfs, devfs_restore_fn *fn, void *arg);
/* Serve one that was adopted; of another, nothing. Return: 0; -errno as channel_resume(). */
int devfs_resume(struct devfs *devfs);
/* Files that are still open fail from now on, and are released. NULL is allowed.
 * Return: 0; -EBUSY as channel_free(). */
int devfs_free(struct devfs *devfs);

/* Can device memory be mapped? Known after devfs_new(). */
bool devfs_can_map(const struct devfs *devfs);
/* The mount's descriptor, for the agent. Borrowed. */
int devfs_mount(const struct devfs *devfs);

/* Files of @device are backed by @memfd, if they can map. Borrowed.
 * Return: 0, -ENOMEM, -errno of the kernel. */
int devfs_add_device(struct devfs *devfs, const struct device *device, int memfd);

/* No new files of @device come. Mappings that clients have stay. */
void devfs_remove_device(struct devfs *devfs, const struct device *device);

/*
 * A new file around an open device; the file owns it on success, until the last close or
 * devfs_revoke().
 * @access: who may use it; NULL: whoever has it. A reference is taken.
 * @who: it is for, for status; NULL: nobody we know
 * Return: 0, -ENOMEM, -EIO (no random numbers).
 */
int devfs_grant(struct devfs *devfs, struct device_file *file, struct access *access,
		const struct client_who *who,
		uint8_t ret_token[SERVICE_TOKEN_SIZE]);
/* The same, with the file in a place of service_abi.h; one that is there is released.
 * Return: 0, -ENOMEM, -EINVAL @place. */
int devfs_grant_place(struct devfs *devfs, struct device_file *file, struct access *access,
		      const struct client_who *who, uint64_t place);
/* Whoever has used the token has given a client a copy, and closed its own; without this
 * word, devfs_settle() would take that for what may have been the last close. */
void devfs_delivered(struct devfs *devfs, const uint8_t token[SERVICE_TOKEN_SIZE]);
/* The token is worth nothing any more, if it was not used: the device is released. */
void devfs_revoke(struct devfs *devfs, const uint8_t token[SERVICE_TOKEN_SIZE]);

/* After return, closes of devices of @group (NULL: of all) that happened before the call have
 * taken effect. Who keeps a device of another group from closing delays nobody here. */
void devfs_settle(struct devfs *devfs, const struct group *group);

/*
 * The groups whose devices devfs_settle() would wait for or release.
 * @max: most that are told
 * Return: how many. They live as long as the topology.
 */
unsigned devfs_unsettled(struct devfs *devfs, const struct group **ret, unsigned max);

/* What is open, or is on its way to a client. Return: 0, -ENOMEM. */
int devfs_files(struct devfs *devfs, struct open_notes *ret);
/* Files whose device has not been released, for status and tests. */
unsigned devfs_count(struct devfs *devfs);

#endif
