/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What clients have open, out of the records of a process that was killed. */
#include <linux/pci_regs.h>

#include "unit/restore_rig.h"

#define ON (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER)
#define OFF (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER)
#define UNMASK (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK)
#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define BAR0 0ull
#define CONFIG(off) (((uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40) | (off))
#define NEVER_NS (1ull << 60)

static struct side before, after;

static void setup(void)
{
	struct keep *keep;

	rig_setup_all();
	ck_assert_int_eq(keep_new(&keep), 0);
	side_up(&before, keep);
}

static void teardown(void)
{
	side_down(&before);
	rig_teardown_all();
}

/* ---- calls in short ---- */

static void open_container(struct side *s, unsigned c)
{
	ck_assert_int_eq(container_open(s->topology, &s->containers[c]), 0);
}

static int set_container(struct side *s, unsigned g, unsigned c)
{
	struct container_arg arg = { 0, s->containers[c] };

	if (!s->group_open[g]) {
		ck_assert_int_eq(group_open(s->groups[g], &s->callers[0]), 0);
		s->group_open[g] = true;
	}
	return group_set_container(s->groups[g], &s->callers[0], &arg);
}

static void get_device(struct side *s, unsigned d, unsigned f)
{
	ck_assert_int_eq(group_get_device(device_group(s->devices[d]), &s->callers[0],
					  device_name(s->devices[d]), &s->files[d][f]), 0);
}

/* Container 0 with group 1 and its first device, open. */
static void usual(struct side *s)
{
	open_container(s, 0);
	ck_assert_int_eq(set_container(s, 0, 0), 0);
	ck_assert_int_eq(container_set_iommu(s->containers[0], &s->callers[0], 3), 0);
	get_device(s, 0, 0);
}

static int map(struct side *s, unsigned c, unsigned who, uint64_t vaddr, uint64_t iova,
	       uint64_t size)
{
	return type1_map(s->containers[c], &s->callers[who], RW, vaddr, iova, size);
}

static int64_t unmap(struct side *s, unsigned c, uint32_t flags, uint64_t iova, uint64_t size)
{
	uint64_t done;
	int r = type1_unmap(s->containers[c], &s->callers[0], flags, iova, size, NULL, &done);

	return r ? r : (int64_t)done;
}

static int put(struct side *s, unsigned d, uint64_t pos, uint64_t value, size_t len)
{
	return device_write(s->files[d][0], pos, &value, len);
}

static uint64_t get(struct side *s, unsigned d, uint64_t pos, size_t len)
{
	uint64_t v = 0;

	ck_assert_int_eq(device_read(s->files[d][0], pos, &v, len), 0);
	return v;
}

/* Events from number @first on. @first: -1 for none */
static int set_irqs(struct side *s, unsigned d, uint32_t flags, uint32_t index, uint32_t start,
		    uint32_t count, int first)
{
	struct event_arg args[8] = { 0 };
	int r;

	for (unsigned i = 0; i < count; i++)
		args[i] = first < 0 ? (struct event_arg){ .fd = -1 } :
			(struct event_arg){ .fd = 3, .event =
				new_event(((unsigned)first + i) % RIG_EVENTS) };
	r = device_set_irqs(s->files[d][0], flags, index, start, count, NULL, args);
	for (unsigned i = 0; i < count; i++)
		event_unref(args[i].event);
	return r;
}

static int ioeventfd(struct side *s, unsigned d, uint32_t width, uint64_t pos, uint64_t data,
		     int event)
{
	struct event_arg arg = { .fd = -1 };
	int r;

	if (event >= 0)
		arg = (struct event_arg){ .fd = 3, .event = new_event((unsigned)event) };
	r = device_ioeventfd(s->files[d][0], width, pos, data, &arg);
	event_unref(arg.event);
	return r;
}

static uint64_t signals(unsigned event)
{
	return atomic_exchange(&eventfds[event]->count, 0);
}

/* ---- cases ---- */

START_TEST(nothing_is_nothing)
{
	side_take_over(&after, &before);
	assert_same(&before, &after, "nothing");
	side_down(&after);
}
END_TEST

START_TEST(without_a_keep_there_is_nothing_to_do)
{
	side_leave_addresses(&before);
	side_up(&after, NULL);
	usual(&after);
	ck_assert_int_eq(map(&after, 0, 0, RIG_VA, 0, RIG_PAGE), 0);
	ck_assert_int_eq(put(&after, 0, BAR0 + SCRATCH_DATA, 5, 8), 0);
	side_close(&after);
	ck_assert_int_eq(side_restore(&after), 0);
	ck_assert_int_eq(topology_restore_end(after.topology, &after.err), 0);
	side_down(&after);
}
END_TEST

START_TEST(all_is_as_it_was)
{
	uint64_t v = 0;

	usual(&before);
	get_device(&before, 0, 1);
	get_device(&before, 1, 0);
	ck_assert_int_eq(set_container(&before, 2, 0), 0);
	get_device(&before, 3, 0);
	open_container(&before, 1);
	ck_assert_int_eq(set_container(&before, 3, 1), 0);
	ck_assert_int_eq(container_set_iommu(before.containers[1], &before.callers[0],
					     VFIO_NOIOMMU_IOMMU), 0);
	get_device(&before, 4, 0);
	open_container(&before, 2);
	ck_assert_int_eq(set_container(&before, 1, 2), 0);
	ck_assert_int_eq(container_set_iommu(before.containers[2], &before.callers[0],
					     VFIO_TYPE1_IOMMU), 0);
	get_device(&before, 2, 0);
	ck_assert_int_eq(map(&before, 0, 0, RIG_VA, 0x10000, 0x3000), 0);
	ck_assert_int_eq(map(&before, 0, 1, RIG_VA + 0x8000, 0x20000, 0x1000), 0);
	ck_assert_int_eq(map(&before, 2, 1, RIG_VA, 0x10000, 0x1000), 0);
	ck_assert_int_eq(put(&before, 0, CONFIG(PCI_COMMAND), 6, 2), 0);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_DATA, 0x1122334455667788, 8), 0);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_TIMER, NEVER_NS, 8), 0);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_MEMORY, 0x77, 8), 0);
	ck_assert_int_eq(set_irqs(&before, 0, ON, VFIO_PCI_MSIX_IRQ_INDEX, 0, 3, 0), 0);
	ck_assert_int_eq(set_irqs(&before, 0, ON, VFIO_PCI_MSIX_IRQ_INDEX, 1, 1, -1), 0);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_MSI, 1, 8), 0);	/* stays pending */
	ck_assert_int_eq(set_irqs(&before, 0, ON, VFIO_PCI_REQ_IRQ_INDEX, 0, 1, 5), 0);
	ck_assert_int_eq(ioeventfd(&before, 0, 4, BAR0 + SCRATCH_DATA, 0x99, 6), 0);

	side_take_over(&after, &before);
	assert_same(&before, &after, "all");

	/* And it works: DMA, interrupts, what is pending, ioeventfds. */
	memcpy(after.mms[0].bytes + 0x1000, "through", 8);
	ck_assert_int_eq(put(&after, 0, BAR0 + SCRATCH_IOVA, 0x11000, 8), 0);
	ck_assert_int_eq(put(&after, 0, BAR0 + SCRATCH_DMA, 1, 8), 0);
	ck_assert_int_eq(get(&after, 0, BAR0 + SCRATCH_DMA, 8), 0);
	v = get(&after, 0, BAR0 + SCRATCH_DATA, 8);
	ck_assert_mem_eq(&v, "through", 8);
	ck_assert_uint_eq(get(&after, 0, BAR0 + SCRATCH_MEMORY, 8), 0x77);
	ck_assert_int_eq(put(&after, 0, BAR0 + SCRATCH_MSI, 2, 8), 0);
	ck_assert_uint_eq(signals(2), 1);
	ck_assert_uint_eq(get(&after, 0, BAR0 + 0x3000, 8), 2);
	ck_assert_int_eq(set_irqs(&after, 0, ON, VFIO_PCI_MSIX_IRQ_INDEX, 1, 1, 1), 0);
	ck_assert_uint_eq(signals(1), 1);
	device_signal_req(after.devices[0]);
	ck_assert_uint_eq(signals(5), 1);
	ck_assert_int_eq(ioeventfd(&after, 0, 4, BAR0 + SCRATCH_DATA, 0x99, 6), -EEXIST);
	atomic_store(&eventfds[6]->count, 1);
	fake_eventfd_pump(eventfds[6]);
	ck_assert_uint_eq(get(&after, 0, BAR0 + SCRATCH_DATA, 8), 0x99);
	ck_assert_int_eq(ioeventfd(&after, 0, 4, BAR0 + SCRATCH_DATA, 0x99, -1), 0);
	/* Numbers go on. */
	open_container(&after, 3);
	ck_assert_uint_eq(container_id(after.containers[3]), 4);
	ck_assert_int_eq(unmap(&after, 0, 0, 0x10000, 0x3000), 0x3000);
	ck_assert_uint_eq(after.mms[0].mm.locked_pages, 0);
	side_down(&after);
}
END_TEST

START_TEST(a_level_is_delivered_again)
{
	struct side third;

	usual(&before);
	ck_assert_int_eq(set_irqs(&before, 0, ON, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, 0), 0);
	ck_assert_int_eq(set_irqs(&before, 0, UNMASK, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, 1), 0);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_INTX, 1, 8), 0);
	ck_assert_uint_eq(signals(0), 1);
	side_take_over(&after, &before);
	assert_same(&before, &after, "INTx");
	ck_assert_uint_eq(signals(0), 0);
	device_file_release(before.files[0][0]);	/* it watches the eventfd, too */
	before.files[0][0] = NULL;
	atomic_store(&eventfds[1]->count, 1);
	fake_eventfd_pump(eventfds[1]);
	ck_assert_uint_eq(signals(0), 1);
	/* What nobody but the event's thread does stands in the records, too. */
	ck_assert_int_eq(put(&after, 0, BAR0 + SCRATCH_INTX, 0, 8), 0);
	atomic_store(&eventfds[1]->count, 1);
	fake_eventfd_pump(eventfds[1]);
	ck_assert(!after.devices[0]->irq.intx.masked);
	side_take_over(&third, &after);
	assert_same(&after, &third, "unmasked");
	side_down(&third);
	side_down(&after);
}
END_TEST

START_TEST(a_timer_fires_after_it)
{
	uint64_t *deadline;
	time_t until = time(NULL) + 10;
	struct side third;

	usual(&before);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_TIMER, NEVER_NS, 8), 0);
	/* Its time comes while nobody is there. */
	side_leave_addresses(&before);
	side_up(&after, snapshot(before.keep));
	ck_assert_int_eq(side_restore(&after), 0);
	side_claim(&after, &before);
	deadline = &after.devices[0]->poller.timers[0];
	ck_assert_uint_gt(*deadline, NEVER_NS);
	*deadline = 1;
	ck_assert_int_eq(topology_restore_end(after.topology, &after.err), 0);
	while (get(&after, 0, BAR0 + SCRATCH_TIMER, 8) == 0 && time(NULL) < until)
		sched_yield();
	ck_assert_uint_eq(get(&after, 0, BAR0 + SCRATCH_TIMER, 8), 1);
	/* That it did is safe, and that it is not armed. */
	side_take_over(&third, &after);
	assert_same(&after, &third, "after the timer");
	side_down(&third);
	side_down(&after);
}
END_TEST

START_TEST(low_power_and_configuration_stay)
{
	struct event_arg wake = { .fd = 3, .event = new_event(4) };
	uint8_t data[8] = { 0 };

	usual(&before);
	get_device(&before, 1, 0);
	ck_assert_int_eq(put(&before, 1, CONFIG(PCI_BASE_ADDRESS_2), 0xffffffff, 4), 0);
	ck_assert_int_eq(put(&before, 1, CONFIG(0x40 + PCI_PM_CTRL), 3, 2), 0);
	ck_assert_int_eq(put(&before, 0, CONFIG(PCI_COMMAND), 0x406, 2), 0);
	ck_assert_int_eq(device_feature(before.files[0][0], 4, true, data, &wake), 0);
	event_unref(wake.event);
	side_take_over(&after, &before);
	assert_same(&before, &after, "low power");
	ck_assert_uint_eq(get(&after, 0, CONFIG(PCI_COMMAND), 2), 0x406);
	ck_assert_uint_eq(signals(4), 1);
	ck_assert(!after.devices[0]->low_power);
	ck_assert_uint_eq(get(&after, 1, CONFIG(PCI_BASE_ADDRESS_2), 4), 0xfffff000);
	side_down(&after);
}
END_TEST

START_TEST(a_reset_stays)
{
	usual(&before);
	ck_assert_int_eq(put(&before, 0, CONFIG(PCI_COMMAND), 6, 2), 0);
	ck_assert_int_eq(set_irqs(&before, 0, ON, VFIO_PCI_MSIX_IRQ_INDEX, 0, 2, -1), 0);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_MSI, 1, 8), 0);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_DATA, 5, 8), 0);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_TIMER, NEVER_NS, 8), 0);
	ck_assert_int_eq(put(&before, 0, CONFIG(0x40 + PCI_PM_CTRL), 3, 2), 0);
	ck_assert_uint_eq(before.devices[0]->irq.vectors[1].pending, true);
	ck_assert_int_eq(device_reset(before.files[0][0]), 0);
	side_take_over(&after, &before);
	assert_same(&before, &after, "reset");
	ck_assert_uint_eq(get(&after, 0, BAR0 + 0x3000, 8), 0);
	side_down(&after);
}
END_TEST

START_TEST(what_a_mask_lets_through_is_not_pending)
{
	usual(&before);
	ck_assert_int_eq(put(&before, 0, CONFIG(PCI_COMMAND), 6, 2), 0);
	ck_assert_int_eq(set_irqs(&before, 0, ON, VFIO_PCI_MSI_IRQ_INDEX, 0, 2, 0), 0);
	ck_assert_int_eq(put(&before, 0, CONFIG(0x50 + PCI_MSI_MASK_64), 2, 4), 0);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_MSI, 1, 8), 0);
	side_take_over(&after, &before);
	assert_same(&before, &after, "masked");
	ck_assert_uint_eq(get(&after, 0, CONFIG(0x50 + PCI_MSI_PENDING_64), 4), 2);
	side_down(&after);
	ck_assert_uint_eq(signals(1), 0);
	ck_assert_int_eq(put(&before, 0, CONFIG(0x50 + PCI_MSI_MASK_64), 0, 4), 0);
	ck_assert_uint_eq(signals(1), 1);
	side_take_over(&after, &before);
	assert_same(&before, &after, "not masked");
	side_down(&after);
}
END_TEST

START_TEST(what_is_saved_at_once_does_not_wait_for_the_request)
{
	struct keep_batch batch;

	usual(&before);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_DATA, 1, 8), 0);
	keep_begin(before.keep, &batch);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_IOVA, 2, 8), 0);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_DATA, 3, 8), 0);
	side_take_over(&after, &before);
	ck_assert_uint_eq(get(&after, 0, BAR0 + SCRATCH_IOVA, 8), 2);
	ck_assert_uint_eq(get(&after, 0, BAR0 + SCRATCH_DATA, 8), 1);
	side_down(&after);
	ck_assert(keep_is_changed(&batch));
	keep_end(&batch);
	side_take_over(&after, &before);
	assert_same(&before, &after, "saved");
	side_down(&after);
}
END_TEST

START_TEST(invalid_addresses_stay_and_get_new_ones)
{
	usual(&before);
	ck_assert_int_eq(map(&before, 0, 0, RIG_VA, 0, 0x4000), 0);
	ck_assert_int_eq(unmap(&before, 0, VFIO_DMA_UNMAP_FLAG_VADDR, 0, 0x4000), 0x4000);
	side_take_over(&after, &before);
	assert_same(&before, &after, "invalid");
	ck_assert_int_eq(set_container(&after, 2, 0), -EBUSY);		/* T1-082 */
	side_down(&after);
	ck_assert_int_eq(type1_map(before.containers[0], &before.callers[1],
				   VFIO_DMA_MAP_FLAG_VADDR, RIG_VA + 0x10000, 0, 0x4000), 0);
	side_take_over(&after, &before);
	assert_same(&before, &after, "new address");
	ck_assert_uint_eq(after.mms[1].mm.locked_pages, 4);
	ck_assert_int_eq(set_container(&after, 2, 0), 0);
	side_down(&after);
}
END_TEST

START_TEST(all_is_dirty)
{
	uint64_t words[1] = { 0 };
	struct type1_bitmap bitmap = { RIG_PAGE, { NULL, RIG_VA, 8 } };

	open_container(&before, 0);
	ck_assert_int_eq(set_container(&before, 2, 0), 0);
	ck_assert_int_eq(container_set_iommu(before.containers[0], &before.callers[0], 3), 0);
	ck_assert_int_eq(map(&before, 0, 0, RIG_VA + 0x10000, 0, 0x4000), 0);
	ck_assert_int_eq(type1_dirty_start(before.containers[0]), 0);
	side_take_over(&after, &before);
	assert_same(&before, &after, "tracking");
	bitmap.data.mm = &after.mms[0].mm;
	ck_assert_int_eq(type1_dirty_get(after.containers[0], &after.callers[0], 0, 0x4000,
					 &bitmap), 0);
	memcpy(words, after.mms[0].bytes, 8);
	ck_assert_uint_eq(words[0], 0xf);
	ck_assert_int_eq(type1_dirty_get(after.containers[0], &after.callers[0], 0, 0x4000,
					 &bitmap), 0);
	memcpy(words, after.mms[0].bytes, 8);
	ck_assert_uint_eq(words[0], 0);
	side_down(&after);
}
END_TEST

START_TEST(what_is_closed_stays_closed)
{
	usual(&before);
	ck_assert_int_eq(map(&before, 0, 0, RIG_VA, 0, 0x4000), 0);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_DATA, 5, 8), 0);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_TIMER, NEVER_NS, 8), 0);
	ck_assert_int_eq(ioeventfd(&before, 0, 4, BAR0 + SCRATCH_DATA, 0x99, 6), 0);
	ck_assert_int_eq(set_irqs(&before, 0, ON, VFIO_PCI_MSI_IRQ_INDEX, 0, 3, 0), 0);
	side_close(&before);
	for (int kind = KEEP_SERVICE; kind < KEEP_KINDS; kind++) {
		unsigned n = 0;
		uint64_t none;

		for (uint64_t id = 0; id < 512; id++)
			n += keep_get(before.keep, kind, id, &none, 0) >= 0;
		ck_assert_msg(n == (kind == KEEP_DEVICE ? SIDE_DEVICES : 0), "%u of kind %d", n,
			      kind);
		if (kind == KEEP_MODEL)
			ck_assert_int_eq(keep_get(before.keep, kind, 100 << 16, NULL, 0), -ENOENT);
	}
	side_take_over(&after, &before);
	assert_same(&before, &after, "closed");
	side_down(&after);
}
END_TEST

START_TEST(a_file_that_was_closed_is_not_found)
{
	usual(&before);
	ck_assert_int_eq(map(&before, 0, 0, RIG_VA, 0, 0x4000), 0);
	container_release(before.containers[0]);	/* its group has it (CG-122) */
	before.containers[0] = NULL;
	side_leave_addresses(&before);
	side_up(&after, snapshot(before.keep));
	ck_assert_int_eq(side_restore(&after), 0);
	ck_assert_ptr_null(container_restore_file(after.topology, 1));
	side_claim(&after, &before);
	ck_assert_int_eq(topology_restore_end(after.topology, &after.err), 0);
	assert_same(&before, &after, "a container without a file");
	ck_assert_uint_eq(after.mms[0].mm.locked_pages, 4);
	side_down(&after);
}
END_TEST

START_TEST(what_nobody_asks_for_is_closed)
{
	struct side third;

	usual(&before);
	ck_assert_int_eq(map(&before, 0, 0, RIG_VA, 0, 0x4000), 0);
	ck_assert_int_eq(set_irqs(&before, 0, ON, VFIO_PCI_MSI_IRQ_INDEX, 0, 3, 0), 0);
	side_leave_addresses(&before);
	side_up(&after, snapshot(before.keep));
	ck_assert_int_eq(side_restore(&after), 0);
	ck_assert_uint_eq(after.mms[0].mm.locked_pages, 4);
	ck_assert_int_eq(topology_restore_end(after.topology, &after.err), 0);
	ck_assert_uint_eq(after.mms[0].mm.locked_pages, 0);
	ck_assert(!device_is_open(after.devices[0]));
	side_take_over(&third, &after);		/* it stands in the records, too */
	assert_same(&after, &third, "closed");
	side_down(&third);
	side_down(&after);
}
END_TEST

START_TEST(who_has_gone_faults)
{
	usual(&before);
	ck_assert_int_eq(put(&before, 0, CONFIG(PCI_COMMAND), 6, 2), 0);
	ck_assert_int_eq(map(&before, 0, 0, RIG_VA, 0, 0x4000), 0);
	ck_assert_int_eq(map(&before, 0, 1, RIG_VA, 0x10000, 0x4000), 0);
	ck_assert_int_eq(set_irqs(&before, 0, ON, VFIO_PCI_MSI_IRQ_INDEX, 0, 2, 0), 0);
	ck_assert_int_eq(ioeventfd(&before, 0, 4, BAR0 + SCRATCH_DATA, 0x99, 0), 0);
	side_leave_addresses(&before);
	side_up(&after, snapshot(before.keep));
	after.gone_mms = 1;
	after.gone_events = 1;
	ck_assert_int_eq(side_restore(&after), 0);
	side_claim(&after, &before);
	ck_assert_int_eq(topology_restore_end(after.topology, &after.err), 0);
	ck_assert_int_eq(put(&after, 0, BAR0 + SCRATCH_DMA, 1, 8), 0);
	ck_assert_uint_eq(get(&after, 0, BAR0 + SCRATCH_DMA, 8), EFAULT);
	ck_assert_int_eq(put(&after, 0, BAR0 + SCRATCH_IOVA, 0x10000, 8), 0);
	ck_assert_int_eq(put(&after, 0, BAR0 + SCRATCH_DMA, 1, 8), 0);
	ck_assert_uint_eq(get(&after, 0, BAR0 + SCRATCH_DMA, 8), 0);
	ck_assert_int_eq(put(&after, 0, BAR0 + SCRATCH_MSI, 0, 8), 0);	/* as without a trigger */
	ck_assert_int_eq(put(&after, 0, BAR0 + SCRATCH_MSI, 1, 8), 0);
	ck_assert_uint_eq(signals(1), 1);
	ck_assert_int_eq(ioeventfd(&after, 0, 4, BAR0 + SCRATCH_DATA, 0x99, -1), -ENODEV);
	ck_assert_int_eq(unmap(&after, 0, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0), 0x8000);
	side_down(&after);
}
END_TEST

START_TEST(a_revoked_device_is_not_known)
{
	struct device *device = before.devices[0];

	usual(&before);
	get_device(&before, 1, 0);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_DATA, 5, 8), 0);
	topology_hide_device(before.topology, device);
	device_revoke(device);
	ck_assert_int_eq(keep_get(before.keep, KEEP_DEVICE, 100, NULL, 0), -ENOENT);
	ck_assert_int_eq(keep_get(before.keep, KEEP_MODEL, 100 << 16, NULL, 0), -ENOENT);
	device_file_release(before.files[0][0]);
	before.files[0][0] = NULL;
	ck_assert_int_eq(keep_get(before.keep, KEEP_DEVICE, 100, NULL, 0), -ENOENT);
	side_take_over(&after, &before);
	ck_assert(!device_is_open(after.devices[0]));
	ck_assert(device_is_open(after.devices[1]));
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(device_restore_revoked_file(after.topology, &after.files[0][i]),
				 0);
	ck_assert_int_eq(device_file_check(after.files[0][0]), -ENODEV);
	ck_assert_int_eq(put(&after, 0, BAR0, 5, 8), -ENODEV);
	ck_assert_int_eq(device_mmap_check(after.files[0][1], 0, 4096, true), -ENODEV);
	ck_assert_int_eq(set_irqs(&after, 0, ON, VFIO_PCI_REQ_IRQ_INDEX, 0, 1, 5), -ENODEV);
	ck_assert_int_eq(group_open(after.groups[1], &after.callers[0]), 0);
	group_release(after.groups[1]);
	side_down(&after);
	ck_assert_int_eq(topology_free_device(before.topology, device), 0);
}
END_TEST

START_TEST(a_group_of_the_machine_begins_anew)
{
	static const struct cused_iommu_ops other = { .size = sizeof(other), .name = "other" };

	usual(&before);
	ck_assert_int_eq(map(&before, 0, 0, RIG_VA, 0, 0x4000), 0);
	side_leave_addresses(&before);
	side_up(&after, snapshot(before.keep));
	group_set_iommu(after.groups[0], &other, NULL);
	ck_assert_int_eq(side_restore(&after), 0);
	ck_assert(!group_restore_file(after.groups[0]));
	after.containers[0] = container_restore_file(after.topology, 1);
	ck_assert_ptr_nonnull(after.containers[0]);
	ck_assert_int_eq(topology_restore_end(after.topology, &after.err), 0);
	ck_assert_int_eq(container_driver(after.containers[0]), CONTAINER_DRIVER_NONE);
	ck_assert_uint_eq(after.mms[0].mm.locked_pages, 0);
	side_down(&after);
}
END_TEST

/* ---- calls that were cut off ---- */

/* Without the record that the other one needs, it is as the header of restore.c says. */
static void restore_without(enum keep_kind kind, uint64_t id)
{
	side_leave_addresses(&before);
	side_up(&after, snapshot(before.keep));
	ck_assert_int_ge(keep_get(after.keep, kind, id, NULL, 0), 0);
	keep_drop(after.keep, kind, id);
	ck_assert_msg(side_restore(&after) == 0, "%s", after.err.text);
	ck_assert_int_eq(topology_restore_end(after.topology, &after.err), 0);
	ck_assert_uint_eq(after.mms[0].mm.locked_pages, 0);
	side_down(&after);
}

START_TEST(records_that_do_not_fit_are_put_right)
{
	struct ioas_mapping m;
	struct ioas *ioas;
	uint8_t old[64];
	long size;

	usual(&before);
	ck_assert_int_eq(map(&before, 0, 0, RIG_VA, 0, 0x4000), 0);
	ck_assert_int_eq(ioeventfd(&before, 0, 4, BAR0 + SCRATCH_DATA, 0x99, 0), 0);
	restore_without(KEEP_CONTAINER, 1);
	restore_without(KEEP_GROUP, 1 << 2 | GROUP_REAL);
	restore_without(KEEP_DEVICE, 100);

	/* An unmap whose batch came to no end, and the map that it made room for. */
	size = keep_get(before.keep, KEEP_MAPPING, 1, old, sizeof(old));
	ck_assert_int_gt(size, 0);
	ck_assert_int_eq(unmap(&before, 0, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0), 0x4000);
	ck_assert_int_eq(map(&before, 0, 0, RIG_VA + 0x10000, 0x1000, 0x1000), 0);
	side_leave_addresses(&before);
	side_up(&after, snapshot(before.keep));
	keep_put(after.keep, KEEP_MAPPING, 1, old, (size_t)size);
	ck_assert_int_eq(side_restore(&after), 0);
	side_claim(&after, &before);
	ck_assert_int_eq(topology_restore_end(after.topology, &after.err), 0);
	ck_assert_int_eq(container_get_ioas(after.containers[0], &ioas), 0);
	ck_assert_uint_eq(ioas_count(ioas), 1);
	ck_assert(ioas_find(ioas, (struct cused_range){ 0, UINT64_MAX }, &m));
	ck_assert_uint_eq(m.iova.first, 0x1000);
	ck_assert_int_eq(keep_get(after.keep, KEEP_MAPPING, 1, NULL, 0), -ENOENT);
	side_down(&after);
}
END_TEST

START_TEST(a_model_that_refuses_ends_it)
{
	usual(&before);
	ck_assert_int_eq(put(&before, 0, BAR0 + SCRATCH_DATA, 5, 8), 0);
	side_leave_addresses(&before);
	side_up(&after, snapshot(before.keep));
	keeper_error = -EBADMSG;
	ck_assert_int_eq(side_restore(&after), -EBADMSG);
	ck_assert_str_ne(after.err.text, "");
	ck_assert(!device_is_open(after.devices[0]));
	side_down(&after);

	keeper_error = 0;
	side_leave_addresses(&before);
	side_up(&after, snapshot(before.keep));
	ck_assert_int_eq(side_restore(&after), 0);
	side_claim(&after, &before);
	keeper_error = -EIO;
	after.err.text[0] = 0;
	ck_assert_int_eq(topology_restore_end(after.topology, &after.err), -EIO);
	ck_assert_ptr_nonnull(strstr(after.err.text, "0000:01:00.0"));
	side_down(&after);
}
END_TEST

/* ---- at random ---- */

static uint64_t rng_state;

static unsigned rnd(unsigned n)
{
	uint64_t z = rng_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (unsigned)((z ^ z >> 31) >> 33) % n;
}

static void random_irqs(struct side *s, unsigned d)
{
	uint32_t index = rnd(5), start = rnd(3), count = rnd(4);
	static const uint32_t flags[] = { ON, ON, ON, OFF, OFF, UNMASK,
		VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK,
		VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK };

	if (index != VFIO_PCI_MSI_IRQ_INDEX && index != VFIO_PCI_MSIX_IRQ_INDEX) {
		start = 0;
		count = rnd(2);
	}
	set_irqs(s, d, flags[rnd(8)], index, start, count, rnd(4) ? (int)rnd(8) : -1);
}

static void random_config(struct side *s, unsigned d)
{
	static const struct {
		unsigned at, len;
		uint32_t mask;
	} writes[] = {
		{ PCI_COMMAND, 2, 0x406 }, { PCI_BASE_ADDRESS_0, 4, ~0u },
		{ PCI_INTERRUPT_LINE, 1, ~0u }, { 0x40 + PCI_PM_CTRL, 2, 3 },
		{ 0x50 + PCI_MSI_FLAGS, 2, ~0u }, { 0x50 + PCI_MSI_ADDRESS_LO, 4, ~0u },
		{ 0x50 + PCI_MSI_MASK_64, 4, 0xf }, { 0x70 + PCI_EXP_DEVCTL, 2, 0x7fff },
		{ 0x100 + PCI_ERR_UNCOR_MASK, 4, ~0u }, { PCI_COMMAND, 2, 6 },
	};
	unsigned i = rnd(sizeof(writes) / sizeof(writes[0]));

	put(s, d, CONFIG(writes[i].at), rnd(0x7fffffff) & writes[i].mask, writes[i].len);
}

static void random_device(struct side *s, unsigned d)
{
	static const uint8_t registers[] = { SCRATCH_DATA, SCRATCH_MSI, SCRATCH_INTX,
					     SCRATCH_IOVA, SCRATCH_DMA };
	struct event_arg wake = { .fd = 3 };
	uint8_t data[8] = { 0 };

	switch (rnd(9)) {
	case 0:
	case 1:
		random_irqs(s, d);
		break;
	case 2:
	case 3:
		random_config(s, d);
		break;
	case 4:
	case 5:
		put(s, d, BAR0 + registers[rnd(5)], rnd(6), 8);
		break;
	case 6:
		put(s, d, BAR0 + SCRATCH_TIMER, rnd(2) ? NEVER_NS : 0, 8);
		break;
	case 7:
		ioeventfd(s, d, 4, BAR0 + 8 * rnd(2), rnd(3), rnd(2) ? (int)rnd(8) : -1);
		break;
	case 8:
		wake.event = new_event(rnd(RIG_EVENTS));
		if (rnd(3) == 0)
			device_reset(s->files[d][0]);
		else
			device_feature(s->files[d][0], (uint16_t)(3 + rnd(3)), true, data, &wake);
		event_unref(wake.event);
		break;
	}
}

static void random_mapping(struct side *s, unsigned c)
{
	uint64_t iova = rnd(12) * RIG_PAGE, size = (1 + rnd(3)) * RIG_PAGE;
	uint64_t vaddr = RIG_VA + rnd(64) * RIG_PAGE;
	static const uint32_t prots[] = { RW, RW, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_VADDR };

	switch (rnd(8)) {
	case 0:
		unmap(s, c, 0, iova, size);
		break;
	case 1:
		unmap(s, c, VFIO_DMA_UNMAP_FLAG_VADDR, iova, size);
		break;
	case 2:
		unmap(s, c, rnd(4) ? VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_ALL :
				     VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);
		break;
	case 3:
		if (rnd(2))
			type1_dirty_start(s->containers[c]);
		else
			type1_dirty_stop(s->containers[c]);
		break;
	default:
		type1_map(s->containers[c], &s->callers[rnd(RIG_MMS)], prots[rnd(4)], vaddr, iova,
			  size);
	}
}

static void random_step(struct side *s)
{
	static const uint64_t drivers[] = { VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, 6,
					    VFIO_NOIOMMU_IOMMU, VFIO_TYPE1v2_IOMMU };
	unsigned c = rnd(SIDE_CONTAINERS), g = rnd(SIDE_GROUPS), d = rnd(SIDE_DEVICES);
	unsigned f = rnd(SIDE_FILES);

	switch (rnd(20)) {
	case 0:
		if (s->containers[c] && rnd(4) == 0) {
			container_release(s->containers[c]);
			s->containers[c] = NULL;
		} else if (!s->containers[c]) {
			open_container(s, c);
		}
		break;
	case 1:
		if (s->group_open[g] && rnd(4) == 0) {
			group_release(s->groups[g]);
			s->group_open[g] = false;
		} else if (!s->group_open[g]) {
			s->group_open[g] = group_open(s->groups[g], &s->callers[0]) == 0;
		}
		break;
	case 2:
	case 3:
		if (s->group_open[g] && s->containers[c])
			set_container(s, g, c);
		break;
	case 4:
		if (s->group_open[g] && rnd(4) == 0)
			group_unset_container(s->groups[g]);
		break;
	case 5:
	case 6:
		if (s->containers[c])
			container_set_iommu(s->containers[c], &s->callers[0], drivers[rnd(5)]);
		break;
	case 7:
	case 8:
		/* The first of them is what other calls are made by. */
		f = s->files[d][0] ? f : 0;
		if (!s->files[d][f]) {
			if (group_get_device(device_group(s->devices[d]), &s->callers[0],
					     device_name(s->devices[d]), &s->files[d][f]))
				s->files[d][f] = NULL;
		} else if (rnd(3) == 0 && f > 0) {
			device_file_release(s->files[d][f]);
			s->files[d][f] = NULL;
		} else if (rnd(12) == 0 && !s->files[d][1] && !s->files[d][2]) {
			device_file_release(s->files[d][0]);
			s->files[d][0] = NULL;
		}
		break;
	case 9:
	case 10:
	case 11:
	case 12:
	case 13:
		if (s->containers[c])
			random_mapping(s, c);
		break;
	default:
		if (s->files[d][0])
			random_device(s, d);
	}
}

#define SEEDS 8
#define STEPS 600
#define LOOK 30			/* one in so many */

START_TEST(random_calls)
{
	rng_state = (uint64_t)_i + 1;
	for (unsigned i = 0; i < STEPS; i++) {
		char what[64];

		/* As the transport does: a request is a batch. */
		struct keep_batch batch;

		keep_begin(before.keep, &batch);
		random_step(&before);
		keep_end(&batch);
		if (rnd(LOOK))
			continue;
		snprintf(what, sizeof(what), "seed %d, step %u", _i, i);
		side_take_over(&after, &before);
		assert_same(&before, &after, what);
		/* Who goes on may be killed as well. */
		if (rnd(2)) {
			struct side third;

			side_take_over(&third, &after);
			assert_same(&after, &third, what);
			side_down(&third);
		}
		side_down(&after);
	}
}
END_TEST

/* ---- records that were not written here ---- */

struct damage {
	struct keep *keep;
	enum keep_kind kind;
};

static int damage_record(void *arg, uint64_t id, const void *data, size_t size)
{
	const struct damage *damage = arg;
	unsigned char bytes[8192];

	if (size > sizeof(bytes) || rnd(4))
		return 0;
	memcpy(bytes, data, size);
	switch (rnd(4)) {
	case 0:
		size = size ? rnd((unsigned)size) : 1;
		break;
	case 1:
		memset(bytes + size, 0, 8);
		size += 8;
		break;
	default:
		for (unsigned i = 0; size && i <= rnd(3); i++)
			bytes[rnd((unsigned)size)] = (uint8_t)(rnd(2) ? 0xff : rnd(256));
	}
	keep_put(damage->keep, damage->kind, rnd(8) ? id : id + rnd(3), bytes, size);
	return 0;
}

START_TEST(broken_records_are_refused)
{
	unsigned refused = 0, taken = 0;

	rng_state = (uint64_t)_i + 1000;
	for (unsigned i = 0; i < STEPS; i++) {
		random_step(&before);
		if (rnd(12))
			continue;
		side_leave_addresses(&before);
		side_up(&after, snapshot(before.keep));
		for (int kind = KEEP_CONTAINER; kind <= KEEP_MODEL; kind++) {
			struct damage damage = { after.keep, (enum keep_kind)kind };

			if (rnd(3) == 0)
				keep_each(after.keep, (enum keep_kind)kind, damage_record, &damage);
		}
		if (side_restore(&after) == 0) {
			taken++;
			ck_assert_int_eq(topology_restore_end(after.topology, &after.err), 0);
		} else {
			refused++;
			ck_assert_str_ne(after.err.text, "");
		}
		side_down(&after);
	}
	ck_assert_uint_gt(refused, 0);
	ck_assert_uint_gt(taken, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("restore");
	TCase *cases = tcase_create("cases"), *random = tcase_create("random");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, nothing_is_nothing);
	tcase_add_test(cases, without_a_keep_there_is_nothing_to_do);
	tcase_add_test(cases, all_is_as_it_was);
	tcase_add_test(cases, a_level_is_delivered_again);
	tcase_add_test(cases, a_timer_fires_after_it);
	tcase_add_test(cases, low_power_and_configuration_stay);
	tcase_add_test(cases, a_reset_stays);
	tcase_add_test(cases, what_a_mask_lets_through_is_not_pending);
	tcase_add_test(cases, what_is_saved_at_once_does_not_wait_for_the_request);
	tcase_add_test(cases, invalid_addresses_stay_and_get_new_ones);
	tcase_add_test(cases, all_is_dirty);
	tcase_add_test(cases, what_is_closed_stays_closed);
	tcase_add_test(cases, a_file_that_was_closed_is_not_found);
	tcase_add_test(cases, what_nobody_asks_for_is_closed);
	tcase_add_test(cases, who_has_gone_faults);
	tcase_add_test(cases, a_revoked_device_is_not_known);
	tcase_add_test(cases, a_group_of_the_machine_begins_anew);
	tcase_add_test(cases, records_that_do_not_fit_are_put_right);
	tcase_add_test(cases, a_model_that_refuses_ends_it);
	suite_add_tcase(suite, cases);
	tcase_add_checked_fixture(random, setup, teardown);
	tcase_set_timeout(random, 100);
	tcase_add_loop_test(random, random_calls, 0, SEEDS);
	tcase_add_loop_test(random, broken_records_are_refused, 0, SEEDS / 2);
	suite_add_tcase(suite, random);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
