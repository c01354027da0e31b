/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/restore.h - what clients have open, again, in a process that takes over from another one.
 *
 * Theory of operation
 *
 *   The state of containers, groups, devices and mappings stands in records (util/keep.h), which
 *   are put where it changes. Who takes over makes topology, groups and devices as they were (the
 *   devices with the same keep_id, and with the memory of their BARs), and then
 *
 *       topology_restore()          containers, groups, drivers, mappings, devices: all as they
 *                                   were, but nothing moves yet
 *       container_restore_file()    for each file that clients have open
 *       device_restore_file()
 *       topology_restore_end()      devices go on
 *
 *   before anything is served. What is not there any more, a client that has gone meanwhile for
 *   one, is as if that had happened just now: its memory faults, its close follows.
 *
 *   So it is with calls of several clients of which one was cut off: where records do not fit, a
 *   device is closed or a group in no container, and its open file is told -ENOENT.
 *
 *   A group that is behind a backend of its own (devices of the machine) is as it was if that
 *   backend's domains outlive the process (vfio-cused/iommu.h) and the transport keeps their files
 *   (struct backend_files): then nothing is mapped or unmapped. Else it begins anew: it is closed,
 *   and in no container. A container that its client has swapped, and that no group is in, is
 *   forgotten.
 */
#ifndef CORE_RESTORE_H
#define CORE_RESTORE_H

#include <stdint.h>
#include <core/container.h>
#include <core/device.h>
#include <core/event.h>
#include <core/mem.h>
#include <core/topology.h>

struct restore_ops {
	/* By keep_id. A reference for the caller; NULL: it has gone. */
	struct mm *(*mm)(void *arg, uint64_t id);
	struct event *(*event)(void *arg, uint64_t id);
};

/*
 * @topology: with the keep of its parameters; without containers yet
 * Return: 0; -ENOMEM; -EBADMSG records that contradict each other: then nothing may be served from
 * it. @err is set on failure.  Locks: none held; nobody else uses the topology.
 */
int topology_restore(struct topology *topology, const struct restore_ops *ops, void *arg,
		     struct cused_error *err);
/* These are for one file each, and are asked as often as there are files.
 * As container_open() returned it. Return: NULL: there is none of that id with an open file. */
struct container *container_restore_file(struct topology *topology, uint64_t id);
/* As group_open() left it: is the group's file open? */
bool group_restore_file(struct group *group);
/* As group_get_device() returned it. Return: 0; -ENOENT the device was not open; -ENOMEM. */
int device_restore_file(struct device *device, struct device_file **ret);
/*
 * A file of a device that was revoked: of such there are no records, and the device itself is not
 * made again. Each call on it is -ENODEV.
 * Return: 0; -ENOMEM.
 */
int device_restore_revoked_file(struct topology *topology, struct device_file **ret);
/* The end of it: what nobody has a file of is closed, and devices go on. Return: 0; -errno of
 * starting threads, with @err set. */
int topology_restore_end(struct topology *topology, struct cused_error *err);

#endif
