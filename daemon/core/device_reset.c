/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reset of a function and of a bus, and the power states that a reset leaves. */
#include <errno.h>
#include <string.h>

#include <core/device_priv.h>

bool device_is_awake(const struct device *device)
{
	return atomic_load_explicit(&device->open_count, memory_order_relaxed) > 0 &&
	       !cfgspace_d3hot(&device->cfg) &&
	       !atomic_load_explicit(&device->low_power, memory_order_relaxed);
}

void device_leave_low_power(struct device *device)
{
	event_unref(device->wakeup);
	device->wakeup = NULL;
	atomic_store(&device->low_power, false);
}

/* The client's accesses bring the device back for as long as they take; only with an
 * eventfd does it stay awake. */
void device_wake(struct device *device)
{
	if (!atomic_load_explicit(&device->low_power, memory_order_acquire))
		return;
	device_lock(device);
	if (atomic_load(&device->low_power) && device->wakeup &&
	    !atomic_load(&device->revoked)) {
		device->wakeup->ops->signal(device->wakeup);
		device_leave_low_power(device);
		device_record_config(device);
	}
	device_unlock(device);
	poller_kick(device);
}

/* The kernel saves and restores the registers of configuration space around a reset, and
 * wakes the function first; so all of it is as before, in D0. */
void device_reset_locked(struct device *device)
{
	cfgspace_power_up(&device->cfg);
	poller_reset(device);
	device_forget_saved(device);
	if (device->ops->reset)
		device->ops->reset(device->state);
	irq_reset(device);
	device_record_config(device);
}

int device_reset(struct device_file *file)
{
	struct device *device = file->device;
	int r;

	device_wake(device);
	if (!device->pci.flr)			/* PCI-105 */
		return -EINVAL;
	r = device_lock_alive(device);
	if (r)
		return r;
	device_reset_locked(device);
	device_unlock(device);
	poller_kick(device);
	return 0;
}

/* ---- hot reset, section 8 ---- */

struct bus_walk {
	const struct device *self;
	struct device *devices[HOT_RESET_MAX];
	unsigned n;
};

static int collect(struct device *device, void *arg)
{
	struct bus_walk *walk = arg;

	if (device->address.segment == walk->self->address.segment &&
	    device->address.bus == walk->self->address.bus && walk->n < HOT_RESET_MAX)
		walk->devices[walk->n++] = device;
	return 0;
}

/* PCI-111: nothing resets the root bus. */
static int collect_bus(struct device *self, struct bus_walk *walk)
{
	if (self->address.bus == 0)
		return -ENODEV;
	walk->self = self;
	walk->n = 0;
	topology_each_present(self->topology, collect, walk);
	return 0;
}

int device_hot_reset_info(struct device_file *file,
			  struct hot_reset_entry ret_entries[HOT_RESET_MAX])
{
	struct bus_walk walk;
	int r;

	device_wake(file->device);
	topology_hold(file->device->topology);
	r = collect_bus(file->device, &walk);
	if (r < 0)
		walk.n = 0;
	for (unsigned i = 0; i < walk.n; i++) {
		const struct device *d = walk.devices[i];

		ret_entries[i] = (struct hot_reset_entry){	/* PCI-116 */
			.group = group_id(d->group),
			.segment = d->address.segment,
			.bus = d->address.bus,
			.devfn = (uint8_t)(d->address.slot << 3 | d->address.function),
		};
	}
	topology_let_go(file->device->topology);
	return r < 0 ? r : (int)walk.n;
}

static bool is_listed(const struct group *group, const struct group_arg *groups, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (groups[i].group == group)
			return true;
	return false;
}

static int hot_reset(struct device_file *file, const struct group_arg *groups, unsigned n)
{
	struct bus_walk walk;
	int r;

	if (n == 0)						/* PCI-120 */
		return -EINVAL;
	r = collect_bus(file->device, &walk);			/* PCI-121 */
	if (r < 0)
		return r;
	if (n > walk.n)						/* PCI-122 */
		return -EINVAL;
	for (unsigned i = 0; i < n; i++)			/* PCI-124, PCI-125 */
		if (groups[i].err)
			return groups[i].err;
	for (unsigned i = 0; i < walk.n; i++)			/* PCI-127 */
		if (!is_listed(walk.devices[i]->group, groups, n))
			return -EINVAL;
	for (unsigned i = 0; i < walk.n; i++) {			/* PCI-129 */
		struct device *d = walk.devices[i];

		device_lock(d);
		if (device_is_open(d))
			device_reset_locked(d);
		device_unlock(d);
		poller_kick(d);
	}
	return 0;
}

int device_hot_reset(struct device_file *file, const struct group_arg *groups, unsigned n)
{
	struct topology *topology = file->device->topology;
	int r;

	device_wake(file->device);
	topology_hold(topology);
	r = hot_reset(file, groups, n);
	topology_let_go(topology);
	return r;
}
