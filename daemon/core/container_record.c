/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a process that takes over has to know of a container: see core/restore.h. */
#include <string.h>

#include <core/container_priv.h>
#include <util/keep.h>

/* Locks: record_lock held. */
static void put(struct container *container)
{
	keep_put(topology_keep(container->topology), KEEP_CONTAINER, container->id,
		 &container->record, sizeof(container->record));
}

/* Locks: the container's held. */
static struct domain_record domain_of(const struct container *container)
{
	struct domain_record domain = { 0 };

	if (container->driver && container->driver->domain)
		container->driver->domain(container->driver_data, &domain);
	if (domain.file && container->swapped) {
		domain.swapped = true;
		domain.mm = mm_keep(container->mm);
	}
	return domain;
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
	container->record.domain = domain_of(container);
	put(container);
	pthread_mutex_unlock(&container->record_lock);
}

void container_record_domain(struct container *container)
{
	struct domain_record domain = domain_of(container);

	/* Its end is recorded with the driver's; before, it may be one to be restored. */
	if (!container->driver)
		return;
	pthread_mutex_lock(&container->record_lock);
	if (memcmp(&container->record.domain, &domain, sizeof(domain)) != 0) {
		container->record.domain = domain;
		put(container);
	}
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
