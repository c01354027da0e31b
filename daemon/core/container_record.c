/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a process that takes over has to know of a container: see core/restore.h. */
#include <core/container_priv.h>
#include <util/keep.h>

/* Locks: record_lock held. */
static void put(struct container *container)
{
	keep_put(topology_keep(container->topology), KEEP_CONTAINER, container->id,
		 &container->record, sizeof(container->record));
}

void container_record_file(struct container *container, bool open)
{
	pthread_mutex_lock(&container->record_lock);
	container->record.file_open = open;
	put(container);
	pthread_mutex_unlock(&container->record_lock);
}

void container_record_driver(struct container *container, uint64_t id)
{
	pthread_mutex_lock(&container->record_lock);
	container->record.driver = id;
	container->record.tracking = false;
	put(container);
	pthread_mutex_unlock(&container->record_lock);
}

void container_record_tracking(struct container *container, bool on)
{
	pthread_mutex_lock(&container->record_lock);
	if (container->record.tracking != on) {
		container->record.tracking = on;
		put(container);
	}
	pthread_mutex_unlock(&container->record_lock);
}

void container_record_gone(struct container *container)
{
	keep_drop(topology_keep(container->topology), KEEP_CONTAINER, container->id);
}
