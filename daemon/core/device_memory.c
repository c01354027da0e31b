/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory of a model's own that outlives the process, from create() to destroy(). */
#include <errno.h>
#include <string.h>

#include <core/device_priv.h>
#include <vfio-cused/log.h>

static bool has_own(const struct device *device)
{
	return device->backing && device->backing->alloc_own;
}

void *device_memory(struct device *device, unsigned id, uint64_t size)
{
	struct device_memory *memory = &device->memories[id % CUSED_MEMORIES];
	void *base = NULL;
	int r = -EINVAL;

	if (!has_own(device))
		return NULL;
	size = (size + device->page_size - 1) & ~(device->page_size - 1);
	if (id < CUSED_MEMORIES && size && !memory->size)
		r = device->backing->alloc_own(device->backing_arg, id, size, &base);
	if (r == 0 || r == -EBADMSG)
		*memory = (struct device_memory){ size, base };
	else
		device->memory_error = r;
	return base;
}

int device_check_memories(struct device *device, struct cused_error *err)
{
	for (unsigned i = 0; i < CUSED_MEMORIES; i++) {
		const struct device_memory *memory = &device->memories[i];

		if (memory->size && !memory->base)
			return cused_error_set(err, -EBADMSG, "%s: memory %u of its model, %llu "
					       "bytes, was not kept", device->name, i,
					       (unsigned long long)memory->size);
	}
	if (!device->memory_error)
		return 0;
	/* It goes on without, but no process after this one could. */
	cused_log(CUSED_LOG_WARNING, device->ops->name, "%s: its model has no memory that outlives "
		  "the service: %s; the next restart of the service will be one that clients notice",
		  device->name, strerror(-device->memory_error));
	keep_break(device->keep);
	return 0;
}

void device_free_memories(struct device *device)
{
	for (unsigned i = 0; i < CUSED_MEMORIES; i++) {
		struct device_memory *memory = &device->memories[i];

		if (memory->base)
			device->backing->free_own(device->backing_arg, i, memory->size,
						  memory->base);
	}
}
