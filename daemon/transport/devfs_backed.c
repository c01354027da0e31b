/* SPDX-License-Identifier: GPL-2.0-or-later */
/* devfs_backed.c - which memory the files of a device are passed through to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <transport/devfs_internal.h>
#include <transport/devfs_wire.h>
#include <util/keep.h>

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

/* Return: false: the process before had no memory for it. */
static bool is_known(struct devfs *devfs, const struct device *device)
{
	uint64_t keep_id = device_keep_id(device);
	bool known = false;

	pthread_mutex_lock(&devfs->lock);
	list_for_each(it, &devfs->backed) {
		struct devfs_backed *backed = container_of(it, struct devfs_backed, item);

		if (!backed->device && backed->keep_id == keep_id) {
			backed->device = device;
			known = true;
		}
	}
	pthread_mutex_unlock(&devfs->lock);
	return known;
}

int devfs_add_device(struct devfs *devfs, const struct device *device, int memfd)
{
	struct devfs_backed *backed;
	int id;

	if (!devfs->offered || !is_mappable(device) || is_known(devfs, device))
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
	backed->keep_id = device_keep_id(device);
	backed->backing_id = (uint32_t)id;
	pthread_mutex_lock(&devfs->lock);
	list_push_back(&devfs->backed, &backed->item);
	if (backed->keep_id)
		keep_put(devfs->keep, KEEP_DEVFS, backed->keep_id, &backed->backing_id,
			 sizeof(backed->backing_id));
	pthread_mutex_unlock(&devfs->lock);
	return 0;
}

/* Out of the list. The record goes first: the number may soon be another's. */
static void forget(struct devfs *devfs, struct devfs_backed *backed)
{
	if (backed->keep_id)
		keep_drop(devfs->keep, KEEP_DEVFS, backed->keep_id);
	devfs_wire_backing_close(devfs->fd, backed->backing_id);
	free(backed);
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
		forget(devfs, found);
}

void devfs_backed_free(struct devfs *devfs)
{
	list_for_each_safe(it, tmp, &devfs->backed) {
		struct devfs_backed *backed = container_of(it, struct devfs_backed, item);

		if (backed->keep_id)
			keep_drop(devfs->keep, KEEP_DEVFS, backed->keep_id);
		free(backed);
	}
}

/* ---- a process before ---- */

static int adopt_one(void *arg, uint64_t id, const void *data, size_t size)
{
	struct devfs *devfs = arg;
	struct devfs_backed *backed;

	if (id == DEVFS_GREETING)
		return 0;
	if (size != sizeof(backed->backing_id))
		return -EBADMSG;
	backed = calloc(1, sizeof(*backed));
	if (!backed)
		return -ENOMEM;
	backed->keep_id = id;
	memcpy(&backed->backing_id, data, size);
	list_push_back(&devfs->backed, &backed->item);
	return 0;
}

int devfs_backed_adopt(struct devfs *devfs)
{
	return keep_each(devfs->keep, KEEP_DEVFS, adopt_one, devfs);
}

void devfs_backed_sweep(struct devfs *devfs)
{
	struct list gone;

	list_init(&gone);
	pthread_mutex_lock(&devfs->lock);
	list_for_each_safe(it, tmp, &devfs->backed) {
		struct devfs_backed *backed = container_of(it, struct devfs_backed, item);

		if (backed->device)
			continue;
		list_remove(&backed->item);
		list_push_back(&gone, &backed->item);
	}
	pthread_mutex_unlock(&devfs->lock);
	list_for_each_safe(it, tmp, &gone)
		forget(devfs, container_of(it, struct devfs_backed, item));
}
