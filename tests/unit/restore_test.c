/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What clients have open, out of the records of a process that was killed; at random:
 * restore_random_test.c. */
#include "unit/restore_calls.h"

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

int main(void)
{
	Suite *suite = suite_create("restore");
	TCase *cases = tcase_create("cases");
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
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
