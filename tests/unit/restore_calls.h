/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/restore_calls.h - what clients do to a side of restore_rig.h, in short. */
#ifndef UNIT_RESTORE_CALLS_H
#define UNIT_RESTORE_CALLS_H

#include <linux/pci_regs.h>

#include "unit/restore_rig.h"

#define ON          (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER)
#define OFF         (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER)
#define UNMASK      (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK)
#define RW          (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define BAR0        0ull
#define CONFIG(off) (((uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40) | (off))
#define NEVER_NS    (1ull << 60)

static struct side before, after;

static inline void setup(void)
{
	struct keep *keep;

	rig_setup_all();
	ck_assert_int_eq(keep_new(&keep), 0);
	side_up(&before, keep);
}

static inline void teardown(void)
{
	side_down(&before);
	rig_teardown_all();
}

/* ---- calls in short ---- */

static inline void open_container(struct side *s, unsigned c)
{
	ck_assert_int_eq(container_open(s->topology, &s->containers[c]), 0);
}

static inline int set_container(struct side *s, unsigned g, unsigned c)
{
	struct container_arg arg = {0, s->containers[c]};

	if (!s->group_open[g]) {
		ck_assert_int_eq(group_open(s->groups[g], &s->callers[0]), 0);
		s->group_open[g] = true;
	}
	return group_set_container(s->groups[g], &s->callers[0], &arg);
}

static inline void get_device(struct side *s, unsigned d, unsigned f)
{
	ck_assert_int_eq(group_get_device(device_group(s->devices[d]), &s->callers[0],
					  device_name(s->devices[d]), &s->files[d][f]),
			 0);
}

/* Container 0 with group 1 and its first device, open. */
static inline void usual(struct side *s)
{
	open_container(s, 0);
	ck_assert_int_eq(set_container(s, 0, 0), 0);
	ck_assert_int_eq(container_set_iommu(s->containers[0], &s->callers[0], 3), 0);
	get_device(s, 0, 0);
}

static inline int map(struct side *s, unsigned c, unsigned who, uint64_t vaddr,
		      uint64_t iova, uint64_t size)
{
	return type1_map(s->containers[c], &s->callers[who], RW, vaddr, iova, size);
}

static inline int64_t unmap(struct side *s, unsigned c, uint32_t flags, uint64_t iova,
			    uint64_t size)
{
	uint64_t done;
	int r = type1_unmap(s->containers[c], &s->callers[0], flags, iova, size, NULL,
			    &done);

	return r ? r : (int64_t)done;
}

static inline int put(struct side *s, unsigned d, uint64_t pos, uint64_t value, size_t len)
{
	return device_write(s->files[d][0], pos, &value, len);
}

static inline uint64_t get(struct side *s, unsigned d, uint64_t pos, size_t len)
{
	uint64_t v = 0;

	ck_assert_int_eq(device_read(s->files[d][0], pos, &v, len), 0);
	return v;
}

/* Events from number @first on. @first: -1 for none */
static inline int set_irqs(struct side *s, unsigned d, uint32_t flags, uint32_t index,
			   uint32_t start, uint32_t count, int first)
{
	struct event_arg args[8] = {0};
	int r;

	for (unsigned i = 0; i < count; i++)
		args[i] = first < 0 ? (struct event_arg){.fd = -1}
				    : (struct event_arg){
					      .fd = 3,
					      .event = new_event(((unsigned)first + i) %
								 RIG_EVENTS)};
	r = device_set_irqs(s->files[d][0], flags, index, start, count, NULL, args);
	for (unsigned i = 0; i < count; i++)
		event_unref(args[i].event);
	return r;
}

static inline int ioeventfd(struct side *s, unsigned d, uint32_t width, uint64_t pos,
			    uint64_t data, int event)
{
	struct event_arg arg = {.fd = -1};
	int r;

	if (event >= 0)
		arg = (struct event_arg){.fd = 3, .event = new_event((unsigned)event)};
	r = device_ioeventfd(s->files[d][0], width, pos, data, &arg);
	event_unref(arg.event);
	return r;
}

static inline uint64_t signals(unsigned event)
{
	return atomic_exchange(&eventfds[event]->count, 0);
}

#endif
