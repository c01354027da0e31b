/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A device that clients have open, again: see core/restore.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <core/device_priv.h>

struct event *restore_event(const struct restore *restore, uint64_t id)
{
	return id ? restore->ops->event(restore->arg, id) : NULL;
}

int device_restore(struct device *device, struct ioas *ioas, unsigned files,
		   const struct restore *restore)
{
	int r;

	device_lock(device);
	device->ioas = ioas;
	device->restoring = true;
	device->unclaimed = files;
	atomic_store(&device->open_count, files);
	atomic_store(&device->files, files);
	r = device_restore_config(device, restore);
	if (r == 0)
		r = device_restore_timers(device);
	if (r == 0)
		r = irq_restore(device, restore);
	device_unlock(device);
	return r;
}

static int resume_model(struct device *device)
{
	const struct cused_device_ops *ops = device->ops;

	if (!CUSED_HAS(ops, restore))
		return ops->open ? ops->open(device->state) : 0;
	return CUSED_HAS(ops, resume) ? ops->resume(device->state) : 0;
}

int device_resume(struct device *device, struct cused_error *err)
{
	int r;

	if (!device->restoring)
		return 0;
	device_lock(device);
	r = resume_model(device);
	if (r == 0) {
		device->restoring = false;
		r = irq_resume(device);
	}
	if (r == 0)
		r = ioeventfd_resume(device);
	device_unlock(device);
	if (r == 0 && device->unclaimed < atomic_load(&device->open_count))
		r = poller_start(device);
	if (r < 0)
		return cused_error_set(err, r, "%s does not go on after the restart: %s",
				       device->name, strerror(-r));
	poller_kick(device);
	return 0;
}

int device_restore_file(struct device *device, struct device_file **ret)
{
	struct device_file *file;

	if (device->unclaimed == 0)
		return -ENOENT;
	file = malloc(sizeof(*file));
	if (!file)
		return -ENOMEM;
	file->device = device;
	device->unclaimed--;
	*ret = file;
	return 0;
}

/* ---- revoked devices ---- */

static const struct cused_device_ops revoked_ops = {
	.size = sizeof(revoked_ops),
	.version = CUSED_API_VERSION,
	.name = "revoked",
};

static int make_revoked(struct topology *topology, struct device **ret)
{
	const struct device_params params = { .ops = &revoked_ops };
	struct group *group;
	int r = group_new(topology, 0, GROUP_EMULATED, &group);

	if (r)
		return r;
	*ret = device_alloc(topology, group, &params);
	if (!*ret) {
		group_free(group);
		return -ENOMEM;
	}
	atomic_store(&(*ret)->revoked, true);
	topology_set_revoked(topology, *ret);
	return 0;
}

int device_restore_revoked_file(struct topology *topology, struct device_file **ret)
{
	struct device *device = topology_revoked(topology);
	struct device_file *file = malloc(sizeof(*file));
	int r = file ? 0 : -ENOMEM;

	if (r == 0 && !device)
		r = make_revoked(topology, &device);
	if (r) {
		free(file);
		return r;
	}
	file->device = device;
	atomic_fetch_add(&device->files, 1);
	*ret = file;
	return 0;
}
