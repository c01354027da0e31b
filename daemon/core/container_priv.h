/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core/container_priv.h - the inside of a container, for container*.c and restore_container.c. */
#ifndef CORE_CONTAINER_PRIV_H
#define CORE_CONTAINER_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include <core/internal.h>
#include <util/list.h>

/* What stands in a container's record, KEEP_CONTAINER by its id. Its groups know where they are. */
struct container_record {
	uint64_t driver;		/* the id that it was set with; 0: none */
	uint8_t file_open;
	uint8_t tracking;		/* type1: the log of dirty pages is on */
	uint8_t pad[6];
	struct domain_record domain;
};

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
	pthread_mutex_t record_lock;		/* a leaf but for the keep's; that a file was
						 * closed is not to wait for `lock` */
	struct container_record record;		/* record_lock */
	/* From topology_restore() to its end, when nobody else is there: */
	bool restoring;				/* it has a reference, whether its file is open or not */
	bool restore_tracking;
	bool unclaimed;				/* its file is open, and nobody has asked for it */
};

/* Locks of all: the container's held. */

/* The last group has left, and the driver may be kept: then the reference of that group is the
 * list's. Return: is it? */
bool container_keep(struct container *container);
/* The same of one whose driver is as new: a reference goes to the list. */
void container_keep_renewed(struct container *container);
/* A group has come to one that was kept: the reference of the list is the caller's now. */
void container_unkeep(struct container *container);
void container_end_driver(struct container *container);

/* Make one, with a reference for the caller. @id: 0 for the next. Return: NULL: no memory. */
struct container *container_new(struct topology *topology, uint64_t id);

/* ---- container_record.c. Locks: take `record_lock`. ---- */

void container_record_file(struct container *container, bool open);
/* @id: 0 there is none any more */
void container_record_driver(struct container *container, uint64_t id);
/* What its driver has may have changed. */
void container_record_domain(struct container *container);
void container_record_gone(struct container *container);

/* ---- restore_container.c, for restore.c; nobody else is there ---- */

/* Return: 0, -EBADMSG, -ENOMEM. */
int container_restore(struct topology *topology, uint64_t id, const void *data, size_t size);
/* By its id; borrowed. NULL: there is none. */
struct container *container_restored(struct topology *topology, uint64_t id);
/* Once it has its groups. Without its domain it has no driver. @swapped_for: the mm of its record,
 * or NULL. Return: of container_set_iommu(). */
int container_restore_driver(struct container *container, const struct caller *caller,
			     struct mm *swapped_for);
/* Once it has its mappings. Return: of type1_restore_tracking(). */
int container_restore_tracking(struct container *container);
/* Those that have neither a file nor groups go. */
void containers_restored(struct topology *topology);
/* For whoever has the file. Return: is it open, and was it not asked for before? */
bool container_claim(struct container *container);

#endif
