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
	uint64_t cookie;		/* 0: not watched yet */
	uint64_t number;		/* of its record */
	uint64_t offset;		/* in the BAR */
	uint64_t data;
	unsigned bar, width;
};

/* KEEP_IOEVENTFD */
struct ioeventfd_record {
	uint64_t device;		/* its keep_id */
	uint64_t event;
	uint64_t offset, data;
	uint32_t bar, width;
};

static void ioeventfd_free(struct device *device, struct ioeventfd *it)
{
	list_remove(&it->link);
	keep_drop(device->keep, KEEP_IOEVENTFD, it->number);
	if (it->cookie)
		it->event->ops->unwatch(it->event);
	event_unref(it->event);
	free(it);
}

void ioeventfd_remove_all(struct device *device)
{
	list_for_each_safe(link, next, &device->ioeventfds)
		ioeventfd_free(device, container_of(link, struct ioeventfd, link));
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

static void record(struct device *device, const struct ioeventfd *it)
{
	const struct ioeventfd_record rec = {
		.device = device->keep_id,
		.event = event_keep(it->event),
		.offset = it->offset,
		.data = it->data,
		.bar = it->bar,
		.width = it->width,
	};

	keep_put(device->keep, KEEP_IOEVENTFD, it->number, &rec, sizeof(rec));
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
	if (device->keep) {
		it->number = topology_keep_number(device->topology);
		record(device, it);
	}
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
		ioeventfd_free(device, it);			/* PCI-139 */
		device->n_ioeventfds--;
		return 0;
	}
	if (arg->fd < 0)
		return -ENODEV;					/* PCI-141 */
	return add(device, key, arg);
}

/* PCI-134 … PCI-137. @key: with bar, offset and width. */
static bool is_possible(const struct device *device, const struct ioeventfd *key)
{
	struct cused_range table, span = { key->offset, key->offset + key->width - 1 };

	if (key->bar >= CUSED_PCI_BARS)				/* PCI-134 */
		return false;
	if (!span_fits(key->offset, key->width, device->bars[key->bar].size)) /* PCI-135 */
		return false;
	if (region_msix_table(device, key->bar, &table) && range_overlaps(table, span))
		return false;					/* PCI-136 */
	return key->width != 8;					/* PCI-137 */
}

int device_ioeventfd(struct device_file *file, uint32_t flags, uint64_t offset,
		     uint64_t data, const struct event_arg *event)
{
	struct device *device = file->device;
	struct ioeventfd key = { .width = flags, .offset = offset & REGION_MASK };
	int r;

	device_wake(device);
	if (flags & ~0xfu)					/* PCI-132 */
		return -EINVAL;
	if (__builtin_popcount(flags) != 1 || event->fd < -1)	/* PCI-133 */
		return -EINVAL;
	key.bar = (unsigned)(offset >> REGION_SHIFT);
	if (!is_possible(device, &key))
		return -EINVAL;
	key.data = data & ((1ull << key.width * 8) - 1);
	r = device_lock_alive(device);
	if (r)
		return r;
	r = change(device, &key, event);
	device_unlock(device);
	return r;
}

/* ---- restore ---- */

int ioeventfd_record_parse(const void *data, size_t size, uint64_t *ret_device)
{
	const struct ioeventfd_record *rec = data;

	if (size != sizeof(*rec) || (rec->width != 1 && rec->width != 2 && rec->width != 4) ||
	    rec->data >= 1ull << rec->width * 8)
		return -EBADMSG;
	*ret_device = rec->device;
	return 0;
}

int ioeventfd_restore(struct device *device, uint64_t number, const void *data,
		      const struct restore *restore)
{
	const struct ioeventfd_record *rec = data;
	struct ioeventfd key = { .number = number, .offset = rec->offset, .data = rec->data,
				 .bar = rec->bar, .width = rec->width };
	struct ioeventfd *it;

	if (!is_possible(device, &key) || find(device, &key) ||
	    device->n_ioeventfds >= DEVICE_IOEVENTFD_MAX)
		return -EBADMSG;
	key.event = restore_event(restore, rec->event);
	if (!key.event) {
		keep_drop(device->keep, KEEP_IOEVENTFD, number);
		return -ENOENT;
	}
	it = malloc(sizeof(*it));
	if (!it) {
		event_unref(key.event);
		return -ENOMEM;
	}
	*it = key;
	list_push_back(&device->ioeventfds, &it->link);
	device->n_ioeventfds++;
	return 0;
}

int ioeventfd_resume(struct device *device)
{
	int r = 0;

	list_for_each(link, &device->ioeventfds) {
		struct ioeventfd *it = container_of(link, struct ioeventfd, link);
		uint64_t cookie = device_new_cookie(device);

		r = it->event->ops->watch(it->event, fired, device, cookie);
		if (r < 0)
			break;
		it->cookie = cookie;
	}
	return r;
}
