/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that runs out while a process takes over: see restore_test.c. */
#include "unit/alloc_fail.h"
#include "unit/restore_rig.h"

#define ON (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER)

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

/* Something of each kind. */
static void open_all(struct side *s)
{
	struct event_arg events[4];
	struct container_arg arg;
	uint64_t value = 5;

	ck_assert_int_eq(container_open(s->topology, &s->containers[0]), 0);
	arg = (struct container_arg){ 0, s->containers[0] };
	ck_assert_int_eq(group_open(s->groups[0], &s->callers[0]), 0);
	s->group_open[0] = true;
	ck_assert_int_eq(group_set_container(s->groups[0], &s->callers[0], &arg), 0);
	ck_assert_int_eq(container_set_iommu(s->containers[0], &s->callers[0], 3), 0);
	ck_assert_int_eq(group_get_device(s->groups[0], &s->callers[0], "0000:01:00.0",
					  &s->files[0][0]), 0);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(type1_map(s->containers[0], &s->callers[i % 2],
					   VFIO_DMA_MAP_FLAG_READ, RIG_VA, i * 0x10000,
					   RIG_PAGE), 0);
	for (unsigned i = 0; i < 4; i++)
		events[i] = (struct event_arg){ .fd = 3, .event = new_event(i) };
	ck_assert_int_eq(device_set_irqs(s->files[0][0], ON, VFIO_PCI_MSIX_IRQ_INDEX, 0, 4, NULL,
					 events), 0);
	ck_assert_int_eq(device_ioeventfd(s->files[0][0], 4, 0, 1, &events[0]), 0);
	for (unsigned i = 0; i < 4; i++)
		event_unref(events[i].event);
	ck_assert_int_eq(device_write(s->files[0][0], 0, &value, 8), 0);
}

/* Return: was the @nth allocation made? What fails leaves nothing behind: side_down() sees to
 * mms and teardown() to events, and the address sanitizer to the rest. */
static bool take_over(unsigned nth)
{
	bool hit;
	int r;

	side_leave_addresses(&before);
	side_up(&after, snapshot(before.keep));
	alloc_fail_arm(nth);
	r = side_restore(&after);
	hit = alloc_fail_disarm();
	if (r) {
		ck_assert_int_eq(r, -ENOMEM);
		ck_assert(hit);
		ck_assert_str_ne(after.err.text, "");
		for (unsigned i = 0; i < SIDE_DEVICES; i++)
			ck_assert(!device_is_open(after.devices[i]));
	} else {
		ck_assert_int_eq(topology_restore_end(after.topology, &after.err), 0);
	}
	side_down(&after);
	return hit;
}

START_TEST(each_allocation_may_fail)
{
	unsigned n = 1;

	open_all(&before);
	while (take_over(n))
		n++;
	printf("%u allocations\n", n - 1);
	ck_assert_uint_gt(n, 20);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("restore_alloc");
	TCase *cases = tcase_create("cases");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, each_allocation_may_fail);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
