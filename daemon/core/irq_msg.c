/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI and MSI-X: SET_IRQS (6.3) and delivery.
 *
 * A vector of a mode is allocated or not, and has a trigger or not. An interrupt of a
 * vector without trigger finds its vector masked by the kernel, as on hardware: it stays
 * pending and is delivered when a trigger comes (MSI only if it can mask). A client may
 * mask MSI vectors itself in the capability's mask register.
 */
#include <errno.h>

#include <core/device_priv.h>

static bool can_mask(const struct device *device)
{
	return device->irq.mode == IRQ_MSIX || cfgspace_msi_maskable(&device->cfg);
}

static bool is_masked(const struct device *device, uint32_t vector)
{
	return device->irq.mode == IRQ_MSI &&
	       (cfgspace_msi_mask(&device->cfg) >> vector & 1);
}

/* The pending bits of MSI are a register that clients read; MSI-X's are made on read. */
static void show_pending(struct device *device)
{
	uint32_t bits = 0;

	if (device->irq.mode != IRQ_MSI)
		return;
	for (uint32_t i = 0; i < device->pci.msi.vectors; i++)
		bits |= (uint32_t)device->irq.vectors[i].pending << i;
	cfgspace_set_msi_pending(&device->cfg, bits);
}

static void set_pending(struct device *device, uint32_t vector, bool pending)
{
	if (device->irq.vectors[vector].pending == pending)
		return;
	device->irq.vectors[vector].pending = pending;
	show_pending(device);
}

static void deliver_pending(struct device *device, uint32_t vector)
{
	const struct irq_vector *v = &device->irq.vectors[vector];

	if (!v->pending || !v->trigger || is_masked(device, vector))
		return;
	set_pending(device, vector, false);
	irq_signal(device, v->trigger);
}

void irq_message(struct device *device, unsigned vector)
{
	struct irq_state *irq = &device->irq;

	if (irq->mode != IRQ_MSI && irq->mode != IRQ_MSIX)
		return;
	if (irq->mode == IRQ_MSI && !cfgspace_msi_enabled(&device->cfg))
		return;
	if (vector >= irq_vectors(device, irq->mode) ||
	    !cfgspace_bus_master(&device->cfg) || !device_is_awake(device))
		return;
	pthread_mutex_lock(&irq->lock);
	if (irq->vectors[vector].trigger && !is_masked(device, vector)) {
		irq_signal(device, irq->vectors[vector].trigger);
	} else if (can_mask(device) && !irq->vectors[vector].pending) {
		set_pending(device, vector, true);
		irq_record(device);
	}
	pthread_mutex_unlock(&irq->lock);
}

void irq_update_masks(struct device *device)
{
	struct irq_state *irq = &device->irq;

	if (irq->mode != IRQ_MSI)
		return;
	pthread_mutex_lock(&irq->lock);
	for (uint32_t i = 0; i < device->pci.msi.vectors; i++)
		deliver_pending(device, i);
	irq_record(device);
	pthread_mutex_unlock(&irq->lock);
}

/* ---- SET_IRQS ---- */

void irq_message_off(struct device *device)
{
	uint32_t n = irq_vectors(device, device->irq.mode);

	for (uint32_t i = 0; i < n; i++) {
		irq_drop(&device->irq.vectors[i].trigger);
		device->irq.vectors[i].allocated = false;
		device->irq.vectors[i].pending = false;
	}
	if (device->irq.mode == IRQ_MSIX) {
		cfgspace_set_msix(&device->cfg, false);
	} else {
		show_pending(device);
		cfgspace_set_msi_mask(&device->cfg, 0);
		cfgspace_set_msi(&device->cfg, 0);
	}
	device->irq.mode = IRQ_NONE;
}

/* Every vector that a simulated function has can be had, so PCI-083 does not arise. */
static int enter(struct device *device, enum irq_mode mode, uint32_t n)
{
	if (n == 0)						/* PCI-082 */
		return -ERANGE;
	if (cfgspace_d3hot(&device->cfg))			/* PCI-084 */
		return -EINVAL;
	device->irq.mode = mode;
	for (uint32_t i = 0; i < n; i++)			/* PCI-085 */
		device->irq.vectors[i].allocated = true;
	if (mode == IRQ_MSIX)
		cfgspace_set_msix(&device->cfg, true);
	else
		cfgspace_set_msi(&device->cfg, n);
	return 0;
}

/* PCI-088 … PCI-091: the old signal goes first, whatever comes of the new one. */
static int set_trigger(struct device *device, uint32_t vector, const struct event_arg *arg)
{
	struct irq_vector *v = &device->irq.vectors[vector];

	irq_drop(&v->trigger);
	if (arg->fd < 0)
		return 0;
	if (!v->allocated && device->irq.mode == IRQ_MSI)
		return -EINVAL;
	v->allocated = true;
	if (arg->err)
		return arg->err;
	v->trigger = event_ref(arg->event);
	if (device->irq.mode == IRQ_MSI)	/* the kernel unmasks what it has a handler for */
		cfgspace_set_msi_mask(&device->cfg,
				      cfgspace_msi_mask(&device->cfg) & ~(1u << vector));
	deliver_pending(device, vector);
	return 0;
}

static int set_triggers(struct device *device, uint32_t start, uint32_t count,
			const struct event_arg *events)
{
	for (uint32_t i = 0; i < count; i++) {
		int r = set_trigger(device, start + i, &events[i]);

		if (r < 0) {					/* PCI-092 */
			for (uint32_t j = 0; j <= i; j++)
				irq_drop(&device->irq.vectors[start + j].trigger);
			return r;
		}
	}
	return 0;
}

static int enter_and_set(struct device *device, enum irq_mode mode, uint32_t start,
			 uint32_t count, const struct event_arg *events)
{
	int r = enter(device, mode, start + count);

	if (r < 0)
		return r;
	r = set_triggers(device, start, count, events);
	if (r < 0)						/* PCI-085 */
		irq_message_off(device);
	return r;
}

/* PCI-094 */
static void loop_back(struct device *device, uint32_t start, uint32_t count,
		      const uint8_t *bools)
{
	for (uint32_t i = 0; i < count; i++)
		if (!bools || bools[i])
			irq_signal(device, device->irq.vectors[start + i].trigger);
}

int irq_message_set(struct device *device, enum irq_mode mode, uint32_t flags,
		    uint32_t start, uint32_t count, const uint8_t *bools,
		    const struct event_arg *events)
{
	bool none = flags & VFIO_IRQ_SET_DATA_NONE;
	bool in_mode = device->irq.mode == mode;

	if (in_mode && none && count == 0) {			/* PCI-080 */
		irq_message_off(device);
		return 0;
	}
	if (!in_mode && device->irq.mode != IRQ_NONE)		/* PCI-081 */
		return -EINVAL;
	if (flags & VFIO_IRQ_SET_DATA_EVENTFD)
		return in_mode ? set_triggers(device, start, count, events) :	/* PCI-087 */
				 enter_and_set(device, mode, start, count, events);
	if (!in_mode)						/* PCI-093 */
		return -EINVAL;
	loop_back(device, start, count, none ? NULL : bools);
	return 0;
}
