/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core/container_priv.h - the inside of a container, for container.c and container_swap.c. */
#ifndef CORE_CONTAINER_PRIV_H
#define CORE_CONTAINER_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include <core/internal.h>
#include <util/list.h>

struct container {
	struct list link;			/* container_list.lock */
	struct topology *topology;		/* constant, as is id */
	uint64_t id;
	atomic_uint refs;
	atomic_bool file_open;
	pthread_mutex_t lock;
	struct list groups;			/* struct attachment; lock */
	bool noiommu;				/* CG-117: means nothing while empty; lock */
	const struct iommu_driver *driver;	/* lock */
	void *driver_data;			/* lock */
	atomic_bool swapped;			/* changes with the lock; by the driver in force */
	struct mm *mm;				/* lock; of the client that has the file */
	bool kept;				/* lock; without groups, with a driver */
	struct list kept_link;			/* container_list.lock */
};

/* Locks of all: the container's held. */

/* The last group has left, and the driver may be kept: then the reference of that group is the
 * list's. Return: is it? */
bool container_keep(struct container *container);
/* A group has come to one that was kept: the reference of the list is the caller's now. */
void container_unkeep(struct container *container);
void container_end_driver(struct container *container);

#endif
