/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts of a device as a process that takes over has to know them: see core/restore.h. */
#include <errno.h>
#include <stdlib.h>

#include <core/device_priv.h>

/* KEEP_IRQ; so many vectors follow, as have something to tell, counted from 0. */
struct irq_head {
	int32_t mode;			/* enum irq_mode */
	uint32_t n;
	uint8_t masked, disabled, level;	/* INTx */
	uint8_t pad[5];
	uint64_t trigger, unmask;	/* INTx; these are events, 0: none */
	uint64_t err, req;
};

struct irq_entry {
	uint64_t trigger;
	uint8_t allocated, pending;
	uint8_t pad[6];
};

#define FEW 64u				/* vectors, for which nothing is allocated */
#define RECORD(n) (sizeof(struct irq_head) + (n) * sizeof(struct irq_entry))

void irq_record(struct device *device)
{
	const struct irq_state *irq = &device->irq;
	struct irq_head head = {
		.mode = irq->mode,
		.n = irq_vectors(device, irq->mode),
		.masked = irq->intx.masked,
		.disabled = irq->intx.disabled,
		.level = irq->intx.level,
		.trigger = event_keep(irq->intx.trigger),
		.unmask = event_keep(irq->intx.unmask),
		.err = event_keep(irq->err),
		.req = event_keep(irq->req),
	};
	_Alignas(struct irq_head) unsigned char few[RECORD(FEW)], *rec = few;
	struct irq_entry *entries;

	if (!device->keep || device_is_revoked(device) || !device_is_open(device))
		return;
	while (head.n && !irq->vectors[head.n - 1].allocated &&
	       !irq->vectors[head.n - 1].pending && !irq->vectors[head.n - 1].trigger)
		head.n--;
	if (head.n > FEW)
		rec = malloc(RECORD(head.n));
	if (!rec) {
		keep_break(device->keep);
		return;
	}
	*(struct irq_head *)(void *)rec = head;
	entries = (void *)(rec + sizeof(head));
	for (uint32_t i = 0; i < head.n; i++)
		entries[i] = (struct irq_entry){
			.trigger = event_keep(irq->vectors[i].trigger),
			.allocated = irq->vectors[i].allocated,
			.pending = irq->vectors[i].pending,
		};
	keep_put(device->keep, KEEP_IRQ, device->keep_id, rec, RECORD(head.n));
	if (rec != few)
		free(rec);
}

static bool mode_exists(const struct device *device, int32_t mode)
{
	return mode == IRQ_NONE || (mode == IRQ_INTX && device->pci.interrupt_pin) ||
	       ((mode == IRQ_MSI || mode == IRQ_MSIX) &&
		irq_vectors(device, (enum irq_mode)mode) > 0);
}

static int check(const struct device *device, const struct irq_head *head, size_t size)
{
	const struct irq_entry *entries = (const void *)(head + 1);

	if (size < sizeof(*head) || !mode_exists(device, head->mode) ||
	    head->n > irq_vectors(device, (enum irq_mode)head->mode) ||
	    size != RECORD(head->n) || head->masked > 1 || head->disabled > 1 ||
	    head->level > 1)
		return -EBADMSG;
	for (uint32_t i = 0; i < head->n; i++)
		if (entries[i].allocated > 1 || entries[i].pending > 1)
			return -EBADMSG;
	return 0;
}

/* Locks: irq lock held. */
static void apply(struct device *device, const struct irq_head *head,
		  const struct restore *restore)
{
	const struct irq_entry *entries = (const void *)(head + 1);
	struct irq_state *irq = &device->irq;
	uint32_t pending = 0;

	irq->mode = (enum irq_mode)head->mode;
	irq->intx.masked = head->masked;
	irq->intx.disabled = head->disabled;
	irq->intx.level = head->level;
	irq->intx.trigger = restore_event(restore, head->trigger);
	irq->intx.unmask = restore_event(restore, head->unmask);
	irq->err = restore_event(restore, head->err);
	irq->req = restore_event(restore, head->req);
	for (uint32_t i = 0; i < head->n; i++) {
		irq->vectors[i].trigger = restore_event(restore, entries[i].trigger);
		irq->vectors[i].allocated = entries[i].allocated;
		irq->vectors[i].pending = entries[i].pending;
		if (irq->mode == IRQ_MSI)
			pending |= (uint32_t)entries[i].pending << i;
	}
	/* Their registers change without a word on configuration space. */
	cfgspace_set_intx_status(&device->cfg, irq->intx.level);
	cfgspace_set_msi_pending(&device->cfg, pending);
}

int irq_restore(struct device *device, const struct restore *restore)
{
	size_t room = RECORD(irq_vectors(device, IRQ_MSI) + irq_vectors(device, IRQ_MSIX));
	struct irq_head *head = malloc(room);
	long size;
	int r;

	if (!head)
		return -ENOMEM;
	size = keep_get(device->keep, KEEP_IRQ, device->keep_id, head, room);
	if (size == -ENOENT) {
		free(head);
		return 0;
	}
	r = (size_t)size > room ? -EBADMSG : check(device, head, (size_t)size);
	if (r == 0) {
		pthread_mutex_lock(&device->irq.lock);
		apply(device, head, restore);
		pthread_mutex_unlock(&device->irq.lock);
	}
	free(head);
	return r;
}
