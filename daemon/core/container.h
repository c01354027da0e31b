/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core/container.h - the object behind an open of /dev/vfio/vfio. */
#ifndef CORE_CONTAINER_H
#define CORE_CONTAINER_H

#include <stdbool.h>
#include <stdint.h>
#include <core/caller.h>
#include <core/topology.h>

struct container;

/* CG-005. One per open(); the returned reference belongs to the open file.
 * Return: 0, -ENOMEM. */
int container_open(struct topology *topology, struct container **ret);
/* CG-018: the open file is gone. Attached groups, driver and mappings stay. */
void container_release(struct container *container);

/* Which rules container ioctls other than the first three follow at the moment. */
enum container_driver {
	CONTAINER_DRIVER_NONE,		/* CG-045 */
	CONTAINER_DRIVER_TYPE1,
	CONTAINER_DRIVER_SPAPR,
	CONTAINER_DRIVER_NOIOMMU,	/* CG-047 */
};
enum container_driver container_driver(struct container *container);

/* CG-020 … CG-035. Return: the extension's answer, >= 0. */
int container_check_extension(struct container *container, uint64_t id);
/* CG-036 … CG-044. Return: 0 or -errno. */
int container_set_iommu(struct container *container, const struct caller *caller,
			uint64_t id);

/* Is the group attached? Locks: takes the container's. */
bool container_has_group(struct container *container, const struct group *group);

/* A snapshot for status output and tests. */
struct container_status {
	unsigned groups;
	uint64_t mappings, mapped_bytes;
};
void container_get_status(struct container *container, struct container_status *ret);

#endif
