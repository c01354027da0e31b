/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core/group.h - the object behind /dev/vfio/<group>. At most one open file each. */
#ifndef CORE_GROUP_H
#define CORE_GROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <core/caller.h>
#include <core/container.h>
#include <core/topology.h>

struct device_file;

/* CG-049 … CG-053. Return: 0, -ENODEV, -EPERM, -EBUSY. */
int group_open(struct group *group, const struct caller *caller);
/* CG-056, CG-119, CG-124: the open file is gone. Open devices keep the group open. */
void group_release(struct group *group);

/* CG-059 … CG-062. Return: 0 with flags, -ENODEV. */
int group_get_status(struct group *group, uint32_t *ret_flags);

/* What a client's fd number turned out to be (CG-065, CG-068 … CG-070). */
struct container_arg {
	int err;			/* -EBADF, or -EBADFD: not a VFIO container; 0 */
	struct container *container;	/* borrowed, if err is 0 */
};
/* CG-065 … CG-077, in that order. Return: 0 or -errno. */
int group_set_container(struct group *group, const struct caller *caller,
			const struct container_arg *arg);
/* CG-083 … CG-085. */
int group_unset_container(struct group *group);
/*
 * CG-089 … CG-103.
 * @name: NUL-terminated, at most 4095 characters
 * @ret: one open file of the device; device_file_release() when its last fd is gone
 */
int group_get_device(struct group *group, const struct caller *caller, const char *name,
		     struct device_file **ret);

struct group_state {
	bool busy;			/* locked for long; the rest is not known, and 0 */
	bool open;			/* its file, or a device of it */
	uint64_t container;		/* container_id() of where it is attached; 0: nowhere */
	unsigned open_devices;
	bool viable;			/* CG-061, CG-062 */
};
/* A snapshot for status output. Locks: tries for the group's as status_lock() does. */
void group_get_state(struct group *group, struct group_state *ret);

/* Are there devices of it, one that leaves included? Locks: waits for none. */
bool group_has_devices(struct group *group);
unsigned group_id(const struct group *group);
enum group_kind group_kind(const struct group *group);

/*
 * The IOMMU backend that the group is behind; the topology's, unless another was set.
 * @ret_state: of the backend, from its create()
 * Locks: none; constant while the group has a device.
 */
const struct cused_iommu_ops *group_iommu(const struct group *group, void **ret_state);
/* Put the group behind another backend, while it has no devices. @state is borrowed. */
void group_set_iommu(struct group *group, const struct cused_iommu_ops *ops, void *state);

/* Some other driver owns the group's DMA ("not viable"): CG-062, CG-073, CG-138. Of groups of
 * the machine, and for tests. Return: 0, -EBUSY a container owns it (CG-141). */
int group_set_foreign_owner(struct group *group, bool owned);

#endif
