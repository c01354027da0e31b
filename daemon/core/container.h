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

/*
 * The container in whose place a client has this file (vfio-cused/iommu.h, swap).
 * @file: a token that the backend knows
 * Return: with a reference for container_put(); NULL: there is none.
 * Locks: takes each container's in turn.
 */
struct container *container_of_file(struct topology *topology, intptr_t file);
void container_put(struct container *container);	/* NULL is allowed */

/* Containers that have lost their last group, and whose client may come with another one and
 * such a file: as many are kept, the oldest is let go for one more. Those of clients that have
 * ended go with the next open of a container. */
#define CONTAINER_KEPT_MAX 64u
/* The program ends: none is kept any more, and what clients have mapped by such files they keep
 * as long as they have the files. Locks: as containers_each(). */
void containers_end(struct topology *topology);

/* A number that no other container of the topology ever had; from 1. Constant. */
uint64_t container_id(const struct container *container);

struct container_status {
	uint64_t id;
	bool file_open;			/* false: it lives by its groups alone (CG-122) */
	bool busy;			/* locked for long; what follows is not known, and 0 */
	unsigned groups;
	const char *driver;		/* "type1", "noiommu"; NULL: none */
	bool kept;			/* without groups, see CONTAINER_KEPT_MAX */
	bool swapped;			/* its client has a file of the backend's instead, and
					 * of its mappings nothing is known here */
	uint64_t mappings, mapped_bytes; /* bytes modulo 2^64 */
};
/*
 * A snapshot for status output and tests.
 * Locks: tries for the container's as status_lock() does, so it never waits for long; the
 * map of IOVAs is not locked, its totals are two numbers that are not of one moment.
 */
void container_get_status(struct container *container, struct container_status *ret);

/*
 * Walk over the containers of a topology, oldest first: those with an open file or with
 * groups. Stops at the first non-zero return and returns it.
 * Locks: none is held while @fn runs; the container lives as long.
 */
int containers_each(struct topology *topology,
		    int (*fn)(struct container *container, void *arg), void *arg);

#endif
