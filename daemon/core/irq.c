/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts: SET_IRQS, and INTx, ERR and REQ. Messages are in irq_msg.c.
 *
 * The INTx line is a level. When it is high in INTx mode and not masked, it is masked and
 * then signalled; unmasking with the line still high signals again at once (PCI-065). The
 * line's level is kept in every mode, so that entering INTx mode with the line high
 * delivers.
 */
#include <errno.h>
#include <stdlib.h>

#include <core/device_priv.h>

#define INTX_COUNT 1

/* ---- life ---- */

uint32_t irq_vectors(const struct device *device, enum irq_mode mode)
{
	return mode == IRQ_MSIX ? device->pci.msix.vectors :
	       mode == IRQ_MSI	? device->pci.msi.vectors :
				  0;
}

int irq_init(struct device *device)
{
	uint32_t msi = irq_vectors(device, IRQ_MSI), msix = irq_vectors(device, IRQ_MSIX);
	uint32_t n = msi > msix ? msi : msix;

	device->irq.vectors = calloc(n ? n : 1, sizeof(*device->irq.vectors));
	return device->irq.vectors ? 0 : -ENOMEM;
}

void irq_done(struct device *device)
{
	free(device->irq.vectors);
	pthread_mutex_destroy(&device->irq.lock);
}

void irq_drop(struct event **event)
{
	event_unref(*event);
	*event = NULL;
}

void irq_signal(struct device *device, struct event *event)
{
	if (!event)
		return;
	atomic_fetch_add_explicit(&device->counters.interrupts, 1, memory_order_relaxed);
	event->ops->signal(event);
}

/* ---- INTx ---- */

static void intx_drop_unmask(struct irq_state *irq)
{
	if (!irq->intx.unmask)
		return;
	if (irq->intx.unmask_cookie)
		irq->intx.unmask->ops->unwatch(irq->intx.unmask);
	irq->intx.unmask_cookie = 0;
	irq_drop(&irq->intx.unmask);
}

/* Mode INTx to none. Locks: device and irq lock held. */
static void intx_off(struct device *device)
{
	struct irq_state *irq = &device->irq;

	intx_drop_unmask(irq);
	irq_drop(&irq->intx.trigger);
	irq->intx.masked = false;
	irq->mode = IRQ_NONE;
}

/* Deliver if the line asks for it. Locks: irq lock held. */
static void intx_check(struct device *device)
{
	struct irq_state *irq = &device->irq;

	if (irq->mode != IRQ_INTX || !irq->intx.level || irq->intx.masked ||
	    irq->intx.disabled)
		return;
	irq->intx.masked = true;
	irq_signal(device, irq->intx.trigger);
}

/* PCI-065. Locks: irq lock held. */
static void intx_unmask(struct device *device)
{
	struct irq_state *irq = &device->irq;

	if (irq->mode != IRQ_INTX || !irq->intx.masked || irq->intx.disabled)
		return;
	irq->intx.masked = false;
	intx_check(device);
}

void irq_set_level(struct device *device, bool asserted)
{
	if (!device->pci.interrupt_pin)
		return;
	cfgspace_set_intx_status(&device->cfg, asserted);
	pthread_mutex_lock(&device->irq.lock);
	if (device->irq.intx.level != asserted) {
		device->irq.intx.level = asserted;
		intx_check(device);
		irq_record(device);
	}
	pthread_mutex_unlock(&device->irq.lock);
}

/* PCI-226 */
void irq_update_disable(struct device *device)
{
	struct irq_state *irq = &device->irq;
	bool disabled = cfgspace_intx_disabled(&device->cfg);

	pthread_mutex_lock(&irq->lock);
	if (disabled != irq->intx.disabled) {
		irq->intx.disabled = disabled;
		if (!disabled)
			intx_unmask(device);
		else if (irq->mode == IRQ_INTX)
			irq->intx.masked = true;
		irq_record(device);
	}
	pthread_mutex_unlock(&irq->lock);
}

/* PCI-068: a signal of the unmask eventfd, perhaps of one that is gone by now. */
static void unmask_event(void *arg, uint64_t cookie)
{
	struct device *device = arg;

	pthread_mutex_lock(&device->irq.lock);
	if (device->irq.intx.unmask_cookie == cookie) {
		intx_unmask(device);
		irq_record(device);
	}
	pthread_mutex_unlock(&device->irq.lock);
}

static int intx_watch_unmask(struct device *device)
{
	struct irq_state *irq = &device->irq;
	int r;

	/* Set first: the first signal may arrive as soon as it is watched. */
	irq->intx.unmask_cookie = device_new_cookie(device);
	r = irq->intx.unmask->ops->watch(irq->intx.unmask, unmask_event, device,
					 irq->intx.unmask_cookie);
	if (r < 0) {
		irq->intx.unmask_cookie = 0;
		irq_drop(&irq->intx.unmask);
	}
	return r;
}

int irq_resume(struct device *device)
{
	int r = 0;

	pthread_mutex_lock(&device->irq.lock);
	if (device->irq.intx.unmask)
		r = intx_watch_unmask(device);
	pthread_mutex_unlock(&device->irq.lock);
	return r;
}

/* PCI-066 … PCI-069 */
static int intx_set_unmask_event(struct device *device, const struct event_arg *arg)
{
	struct irq_state *irq = &device->irq;

	if (arg->fd < 0) {
		intx_drop_unmask(irq);
		return 0;
	}
	if (arg->err)
		return arg->err;
	if (irq->intx.unmask)
		return -EBUSY;
	irq->intx.unmask = event_ref(arg->event);
	return intx_watch_unmask(device);
}

/* ---- INTx requests, 6.2. Locks: device and irq lock held in all. ---- */

struct request {
	uint32_t flags, start, count;
	const uint8_t *bools;
	const struct event_arg *events;
};

static bool wants(const struct request *rq)
{
	return (rq->flags & VFIO_IRQ_SET_DATA_NONE) ||
	       ((rq->flags & VFIO_IRQ_SET_DATA_BOOL) && rq->bools[0]);
}

static int intx_mask_request(struct device *device, const struct request *rq, bool mask)
{
	struct irq_state *irq = &device->irq;

	if (irq->mode != IRQ_INTX || rq->start != 0 || rq->count != 1)	/* PCI-061 */
		return -EINVAL;
	if (rq->flags & VFIO_IRQ_SET_DATA_EVENTFD)
		return mask ? -ENOTTY :					/* PCI-064 */
			      intx_set_unmask_event(device, &rq->events[0]);
	if (!wants(rq))							/* PCI-063 */
		return 0;
	if (mask)
		irq->intx.masked = true;				/* PCI-062 */
	else
		intx_unmask(device);
	return 0;
}

/* PCI-072 … PCI-077 */
static int intx_set_trigger(struct device *device, const struct event_arg *arg)
{
	struct irq_state *irq = &device->irq;

	if (arg->fd >= 0 && arg->err)
		return arg->err;
	irq_drop(&irq->intx.trigger);
	if (arg->fd >= 0)
		irq->intx.trigger = event_ref(arg->event);
	if (irq->mode == IRQ_INTX)
		return 0;
	irq->mode = IRQ_INTX;
	irq->intx.masked = irq->intx.disabled;
	intx_check(device);
	return 0;
}

static int intx_trigger_request(struct device *device, const struct request *rq)
{
	struct irq_state *irq = &device->irq;

	if (irq->mode == IRQ_INTX && !rq->count && (rq->flags & VFIO_IRQ_SET_DATA_NONE)) {
		intx_off(device);					/* PCI-070 */
		return 0;
	}
	if ((irq->mode != IRQ_INTX && irq->mode != IRQ_NONE) || rq->start != 0 ||
	    rq->count != 1)						/* PCI-071 */
		return -EINVAL;
	if (rq->flags & VFIO_IRQ_SET_DATA_EVENTFD)
		return intx_set_trigger(device, &rq->events[0]);
	if (irq->mode != IRQ_INTX)					/* PCI-078 */
		return -EINVAL;
	if (wants(rq) && !irq->intx.disabled)				/* PCI-079 */
		irq_signal(device, irq->intx.trigger);
	return 0;
}

static int intx_request(struct device *device, const struct request *rq)
{
	switch (rq->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
	case VFIO_IRQ_SET_ACTION_MASK:
		return intx_mask_request(device, rq, true);
	case VFIO_IRQ_SET_ACTION_UNMASK:
		return intx_mask_request(device, rq, false);
	default:
		return intx_trigger_request(device, rq);
	}
}

/* ---- ERR and REQ, 6.4 ---- */

static int single_request(struct device *device, struct event **slot,
			  const struct request *rq)
{
	if (rq->start != 0 || rq->count > 1)				/* PCI-095 */
		return -EINVAL;
	if (rq->flags & VFIO_IRQ_SET_DATA_NONE) {
		if (!*slot)						/* PCI-096 */
			return -EINVAL;
		if (rq->count)
			irq_signal(device, *slot);			/* PCI-097 */
		else
			irq_drop(slot);					/* PCI-098 */
		return 0;
	}
	if (!rq->count)							/* PCI-099, PCI-101 */
		return -EINVAL;
	if (rq->flags & VFIO_IRQ_SET_DATA_BOOL) {			/* PCI-100 */
		if (rq->bools[0])
			irq_signal(device, *slot);
		return 0;
	}
	if (rq->events[0].fd < -1)					/* PCI-103 */
		return -EINVAL;
	if (rq->events[0].fd >= 0 && rq->events[0].err)			/* PCI-104 */
		return rq->events[0].err;
	irq_drop(slot);							/* PCI-102 */
	if (rq->events[0].fd >= 0)
		*slot = event_ref(rq->events[0].event);
	return 0;
}

static void signal_slot(struct device *device, struct event **slot)
{
	pthread_mutex_lock(&device->irq.lock);
	irq_signal(device, *slot);
	pthread_mutex_unlock(&device->irq.lock);
}

void device_signal_req(struct device *device)
{
	signal_slot(device, &device->irq.req);
}

void device_signal_err(struct device *device)
{
	signal_slot(device, &device->irq.err);
}

/* ---- all indices ---- */

uint32_t device_irq_count(struct device_file *file, uint32_t index)
{
	const struct device *device = file->device;

	switch (index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		return device->pci.interrupt_pin ? INTX_COUNT : 0;	/* PCI-048 */
	case VFIO_PCI_MSI_IRQ_INDEX:
		return irq_vectors(device, IRQ_MSI);			/* PCI-049 */
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return irq_vectors(device, IRQ_MSIX);			/* PCI-050 */
	case VFIO_PCI_ERR_IRQ_INDEX:
		return device->pci.pcie ? 1 : 0;			/* PCI-047 */
	case VFIO_PCI_REQ_IRQ_INDEX:
		return 1;						/* PCI-051 */
	default:
		return 0;
	}
}

int device_get_irq_info(struct device_file *file, uint32_t index, struct irq_info *ret)
{
	uint32_t flags = VFIO_IRQ_INFO_EVENTFD;

	device_wake(file->device);
	if (index >= VFIO_PCI_NUM_IRQS)					/* PCI-046 */
		return -EINVAL;
	if (index == VFIO_PCI_ERR_IRQ_INDEX && !file->device->pci.pcie)	/* PCI-047 */
		return -EINVAL;
	if (index == VFIO_PCI_INTX_IRQ_INDEX)
		flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	else if (index != VFIO_PCI_MSIX_IRQ_INDEX || !device_irq_count(file, index))
		flags |= VFIO_IRQ_INFO_NORESIZE;
	/* MSI-X vectors, where there are any, can be added while others are in use, as with
	 * an interrupt remapping IOMMU on x86 (PCI-050, PCI-090). */
	*ret = (struct irq_info){ flags, device_irq_count(file, index) };
	return 0;
}

static int dispatch(struct device *device, uint32_t index, const struct request *rq)
{
	switch (index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		return intx_request(device, rq);
	case VFIO_PCI_MSI_IRQ_INDEX:
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return irq_message_set(device, (enum irq_mode)index, rq->flags, rq->start,
				       rq->count, rq->bools, rq->events);
	case VFIO_PCI_ERR_IRQ_INDEX:
		return single_request(device, &device->irq.err, rq);
	default:
		return single_request(device, &device->irq.req, rq);
	}
}

/* PCI-059 */
static bool action_is_known(uint32_t action, uint32_t index)
{
	if (action == VFIO_IRQ_SET_ACTION_TRIGGER)
		return true;
	return index == VFIO_PCI_INTX_IRQ_INDEX && (action == VFIO_IRQ_SET_ACTION_MASK ||
						    action == VFIO_IRQ_SET_ACTION_UNMASK);
}

int device_set_irqs(struct device_file *file, uint32_t flags, uint32_t index,
		    uint32_t start, uint32_t count, const uint8_t *bools,
		    const struct event_arg *events)
{
	struct device *device = file->device;
	struct request rq = { flags, start, count, bools, events };
	uint32_t n = device_irq_count(file, index);
	int r;

	device_wake(device);
	/* proto answered these already (PCI-054, PCI-055); a wrong index is never safe. */
	if (start >= n || count > n - start)
		return -EINVAL;
	if (!action_is_known(flags & VFIO_IRQ_SET_ACTION_TYPE_MASK, index))
		return -ENOTTY;
	r = device_lock_alive(device);
	if (r)
		return r;
	pthread_mutex_lock(&device->irq.lock);
	r = dispatch(device, index, &rq);
	irq_record(device);
	pthread_mutex_unlock(&device->irq.lock);
	device_record_config(device);		/* enables and masks of messages */
	device_unlock(device);
	return r;
}

void irq_off(struct device *device)
{
	struct irq_state *irq = &device->irq;

	pthread_mutex_lock(&irq->lock);
	if (irq->mode == IRQ_INTX)
		intx_off(device);
	else if (irq->mode != IRQ_NONE)
		irq_message_off(device);
	irq->intx.level = irq->intx.disabled = false;
	irq_drop(&irq->err);
	irq_drop(&irq->req);
	pthread_mutex_unlock(&irq->lock);
}

void irq_reset(struct device *device)
{
	uint32_t n = irq_vectors(device, device->irq.mode);

	cfgspace_set_intx_status(&device->cfg, false);
	cfgspace_set_msi_pending(&device->cfg, 0);
	pthread_mutex_lock(&device->irq.lock);
	device->irq.intx.level = false;
	for (uint32_t i = 0; i < n; i++)
		device->irq.vectors[i].pending = false;
	irq_record(device);
	pthread_mutex_unlock(&device->irq.lock);
}

void irq_get_status(struct device *device, struct device_status *ret)
{
	struct irq_state *irq = &device->irq;
	uint32_t n;

	pthread_mutex_lock(&irq->lock);
	n = irq_vectors(device, irq->mode);
	ret->irq_mode = irq->mode;
	ret->irq_vectors = irq->mode == IRQ_INTX && irq->intx.trigger;
	for (uint32_t i = 0; i < n; i++)
		ret->irq_vectors += irq->vectors[i].trigger != NULL;
	ret->intx_masked = irq->mode == IRQ_INTX && irq->intx.masked;
	ret->err_set = irq->err != NULL;
	ret->req_set = irq->req != NULL;
	pthread_mutex_unlock(&irq->lock);
}
