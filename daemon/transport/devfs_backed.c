/* SPDX-License-Identifier: GPL-2.0-or-later */
/* devfs_backed.c - which memory the files of a device are passed through to. */
#include <errno.h>
#include <stdlib.h>

#include <transport/devfs_internal.h>
#include <transport/devfs_wire.h>

/* A device without memory to map is better off without passthrough: mmap fails. */
static bool is_mappable(const struct device *device)
{
	const struct cused_pci *pci = device_pci(device);

	for (unsigned i = 0; i < sizeof(pci->bars) / sizeof(pci->bars[0]); i++) {
		if (pci->bars[i].n_areas)
			return true;
	}
	return false;
}

int devfs_add_device(struct devfs *devfs, const struct device *device, int memfd)
{
	struct devfs_backed *backed;
	int id;

	if (!devfs->offered || !is_mappable(device))
		return 0;
	backed = calloc(1, sizeof(*backed));
	if (!backed)
		return -ENOMEM;
	id = devfs_wire_backing(devfs->fd, memfd);
	if (id < 0) {
		free(backed);
		return id;
	}
	backed->device = device;
	backed->backing_id = (uint32_t)id;
	pthread_mutex_lock(&devfs->lock);
	list_push_back(&devfs->backed, &backed->item);
	pthread_mutex_unlock(&devfs->lock);
	return 0;
}

void devfs_remove_device(struct devfs *devfs, const struct device *device)
{
	struct devfs_backed *found = NULL;

	pthread_mutex_lock(&devfs->lock);
	list_for_each(it, &devfs->backed) {
		if (container_of(it, struct devfs_backed, item)->device == device)
			found = container_of(it, struct devfs_backed, item);
	}
	if (found)
		list_remove(&found->item);
	pthread_mutex_unlock(&devfs->lock);
	if (found)
		devfs_wire_backing_close(devfs->fd, found->backing_id);
	free(found);
}
