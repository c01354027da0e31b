/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IOEVENTFD: a signal of an eventfd is a write to a BAR (section 9). */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <core/device_priv.h>
#include <util/range.h>

struct ioeventfd {
	struct list link;
	struct event *event;
	uint64_t cookie;
	uint64_t offset;		/* in the BAR */
	uint64_t data;
	unsigned bar, width;
};

static void ioeventfd_free(struct ioeventfd *it)
{
	list_remove(&it->link);
	it->event->ops->unwatch(it->event);
	event_unref(it->event);
	free(it);
}

void ioeventfd_remove_all(struct device *device)
{
	list_for_each_safe(link, next, &device->ioeventfds)
		ioeventfd_free(container_of(link, struct ioeventfd, link));
	device->n_ioeventfds = 0;
}

/* PCI-144; perhaps of one that is gone by now. */
static void fired(void *arg, uint64_t cookie)
{
	struct device *device = arg;

	device_lock(device);
	list_for_each(link, &device->ioeventfds) {
		const struct ioeventfd *it = container_of(link, struct ioeventfd, link);
		uint64_t data = htole64(it->data);

		if (it->cookie != cookie)
			continue;
		/* -EIO, memory decode is off: the write is skipped. */
		region_bar_write(device, it->bar, it->offset, &data, it->width);
		break;
	}
	device_unlock(device);
	poller_kick(device);
}

static struct ioeventfd *find(struct device *device, const struct ioeventfd *key)
{
	list_for_each(link, &device->ioeventfds) {
		struct ioeventfd *it = container_of(link, struct ioeventfd, link);

		if (it->bar == key->bar && it->offset == key->offset &&
		    it->width == key->width && it->data == key->data)
			return it;
	}
	return NULL;
}

/* PCI-142 … PCI-144 */
static int add(struct device *device, const struct ioeventfd *key,
	       const struct event_arg *arg)
{
	struct ioeventfd *it;
	int r;

	if (device->n_ioeventfds >= DEVICE_IOEVENTFD_MAX)
		return -ENOSPC;
	if (arg->err)
		return arg->err;
	it = malloc(sizeof(*it));
	if (!it)
		return -ENOMEM;
	*it = *key;
	it->event = event_ref(arg->event);
	it->cookie = device_new_cookie(device);
	list_init(&it->link);
	r = it->event->ops->watch(it->event, fired, device, it->cookie);
	if (r < 0) {
		event_unref(it->event);
		free(it);
		return r;
	}
	list_push_back(&device->ioeventfds, &it->link);
	device->n_ioeventfds++;
	return 0;
}

/* PCI-139 … PCI-144. Locks: device lock held. */
static int change(struct device *device, const struct ioeventfd *key,
		  const struct event_arg *arg)
{
	struct ioeventfd *it = find(device, key);

	if (it && arg->fd >= 0)
		return -EEXIST;					/* PCI-140 */
	if (it) {
		ioeventfd_free(it);				/* PCI-139 */
		device->n_ioeventfds--;
		return 0;
	}
	if (arg->fd < 0)
		return -ENODEV;					/* PCI-141 */
	return add(device, key, arg);
}

int device_ioeventfd(struct device_file *file, uint32_t flags, uint64_t offset,
		     uint64_t data, const struct event_arg *event)
{
	struct device *device = file->device;
	struct ioeventfd key = { .width = flags, .offset = offset & REGION_MASK };
	struct cused_range table, span;
	int r;

	device_wake(device);
	if (flags & ~0xfu)					/* PCI-132 */
		return -EINVAL;
	if (__builtin_popcount(flags) != 1 || event->fd < -1)	/* PCI-133 */
		return -EINVAL;
	if (offset >> REGION_SHIFT >= CUSED_PCI_BARS)		/* PCI-134 */
		return -EINVAL;
	key.bar = (unsigned)(offset >> REGION_SHIFT);
	if (!span_fits(key.offset, key.width, device->bars[key.bar].size)) /* PCI-135 */
		return -EINVAL;
	span = (struct cused_range){ key.offset, key.offset + key.width - 1 };
	if (region_msix_table(device, key.bar, &table) && range_overlaps(table, span))
		return -EINVAL;					/* PCI-136 */
	if (key.width == 8)					/* PCI-137 */
		return -EINVAL;
	key.data = data & ((1ull << key.width * 8) - 1);
	r = device_lock_alive(device);
	if (r)
		return r;
	r = change(device, &key, event);
	device_unlock(device);
	return r;
}
