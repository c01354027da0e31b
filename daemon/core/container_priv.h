/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core/container_priv.h - the inside of a container, for container.c and container_*.c. */
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
};

#endif
