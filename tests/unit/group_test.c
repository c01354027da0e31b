/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/group_test.c - a group's open file, container, status and devices. */
#include <check.h>
#include <pthread.h>

#include "unit/fake_device.h"

static struct topology *topology;
static struct container *container;
static struct group *g, *gn, *ge, *empty;
static struct caller plain, admin = { .cap_sys_rawio = true };

static struct group *new_group(unsigned id, enum group_kind kind, unsigned devices)
{
	struct group *group;

	ck_assert_int_eq(topology_add_group(topology, id, kind, &group), 0);
	for (unsigned i = 0; i < devices; i++) {
		struct device_params params = { .address = {
			.bus = (uint8_t)id, .slot = (uint8_t)i } };
		struct device *device;

		ck_assert_int_eq(topology_add_device(topology, group, &params, &device,
						     NULL), 0);
	}
	return group;
}

static void setup(void)
{
	struct topology_params params = { .unsafe_noiommu = true };

	fake_drivers_reset();
	ck_assert_int_eq(topology_new(&params, &topology), 0);
	ck_assert_int_eq(iommu_driver_register(topology, &iommu_noiommu_driver), 0);
	ck_assert_int_eq(iommu_driver_register(topology, &fake_a.ops), 0);
	g = new_group(1, GROUP_REAL, 2);
	gn = new_group(2, GROUP_NOIOMMU, 1);
	ge = new_group(3, GROUP_EMULATED, 1);
	empty = new_group(4, GROUP_REAL, 0);
	ck_assert_int_eq(container_open(topology, &container), 0);
}

static void teardown(void)
{
	container_release(container);
	topology_free(topology);
	ck_assert_int_eq(fake_a.opens, fake_a.releases);
	ck_assert_int_eq(fake_devices, 0);
}

static int attach(struct group *group)
{
	return group_set_container(group, &admin,
				   &(struct container_arg){ .container = container });
}

static uint32_t status(struct group *group)
{
	uint32_t flags = 0xdead;

	ck_assert_int_eq(group_get_status(group, &flags), 0);
	return flags;
}

static int open_device(struct group *group, const char *name, struct device_file **ret)
{
	return group_get_device(group, &plain, name, ret);
}

/* CG-049 CG-059 CG-067 */
START_TEST(a_group_without_devices_is_gone)
{
	uint32_t flags;

	ck_assert_int_eq(group_open(empty, &admin), -ENODEV);
	ck_assert_int_eq(group_get_status(empty, &flags), -ENODEV);
	ck_assert_int_eq(attach(empty), -ENODEV);
}
END_TEST

/* CG-050 CG-052 CG-053 CG-056 CG-145 */
START_TEST(one_open_file_at_a_time)
{
	ck_assert_int_eq(group_open(gn, &plain), -EPERM);
	ck_assert_int_eq(group_open(gn, &admin), 0);
	ck_assert_int_eq(group_open(g, &plain), 0);
	ck_assert_int_eq(group_open(g, &plain), -EBUSY);
	group_release(g);
	ck_assert_int_eq(group_open(g, &plain), 0);
	group_release(g);
	group_release(gn);
}
END_TEST

/* CG-060 CG-061 CG-062 */
START_TEST(status_tells_viable_and_container)
{
	group_open(g, &plain);
	ck_assert_uint_eq(status(g), 1);
	ck_assert_int_eq(group_set_foreign_owner(g, true), 0);
	ck_assert_uint_eq(status(g), 0);
	ck_assert_int_eq(group_set_foreign_owner(g, false), 0);
	ck_assert_int_eq(attach(g), 0);
	ck_assert_uint_eq(status(g), 3);
	ck_assert_int_eq(group_unset_container(g), 0);
	ck_assert_uint_eq(status(g), 1);
	group_release(g);
}
END_TEST

/* CG-073 CG-138 CG-140 CG-141 CG-142; emulated groups have no DMA to own. */
START_TEST(only_one_owner_of_dma)
{
	group_open(g, &plain);
	group_open(ge, &plain);
	group_set_foreign_owner(g, true);
	group_set_foreign_owner(ge, true);
	ck_assert_int_eq(attach(g), -EPERM);
	ck_assert_int_eq(attach(ge), 0);
	group_set_foreign_owner(g, false);
	ck_assert_int_eq(attach(g), 0);
	ck_assert_int_eq(group_set_foreign_owner(g, true), -EBUSY);
	ck_assert_int_eq(group_unset_container(g), 0);
	ck_assert_int_eq(group_set_foreign_owner(g, true), 0);
	group_release(g);
	group_release(ge);
}
END_TEST

/* CG-065 CG-066 CG-070: an fd that is not open first, then the group's state, then a fd
 * of something else. */
START_TEST(set_container_judges_its_fd)
{
	struct container_arg closed = { .err = -EBADF }, foreign = { .err = -EBADFD };

	group_open(g, &plain);
	ck_assert_int_eq(group_set_container(g, &plain, &closed), -EBADF);
	ck_assert_int_eq(group_set_container(g, &plain, &foreign), -EBADFD);
	ck_assert_int_eq(attach(g), 0);
	ck_assert_int_eq(group_set_container(g, &plain, &closed), -EBADF);
	ck_assert_int_eq(group_set_container(g, &plain, &foreign), -EINVAL);
	ck_assert_int_eq(attach(g), -EINVAL);
	group_release(g);
}
END_TEST

/* CG-071 */
START_TEST(noiommu_needs_rawio_to_attach)
{
	struct container_arg arg = { .container = container };

	group_open(gn, &admin);
	ck_assert_int_eq(group_set_container(gn, &plain, &arg), -EPERM);
	ck_assert_int_eq(group_set_container(gn, &admin, &arg), 0);
	ck_assert_uint_eq(status(gn), 3);
	group_release(gn);
}
END_TEST

/* CG-076: the driver's error, and ownership goes back. */
START_TEST(a_refusing_driver_keeps_the_group_out)
{
	struct group *second = new_group(9, GROUP_REAL, 1);

	group_open(g, &plain);
	group_open(second, &plain);
	attach(g);
	container_set_iommu(container, &plain, 1);
	fake_a.attach_error = -EINVAL;
	fake_a.attach_error_group = 9;
	ck_assert_int_eq(attach(second), -EINVAL);
	ck_assert_uint_eq(status(second), 1);
	ck_assert_int_eq(group_set_foreign_owner(second, true), 0);
	group_set_foreign_owner(second, false);
	fake_a.attach_error = 0;
	ck_assert_int_eq(attach(second), 0);				/* CG-077 CG-120 */
	ck_assert_uint_eq(fake_a.attached[fake_a.n_attached - 1], 9);
	group_release(second);
	group_release(g);
}
END_TEST

/* CG-083 CG-084 CG-085 CG-118 CG-127 CG-129 */
START_TEST(unset_needs_closed_devices)
{
	struct device_file *a, *b;

	group_open(g, &plain);
	ck_assert_int_eq(group_unset_container(g), -EINVAL);
	attach(g);
	container_set_iommu(container, &plain, 1);
	ck_assert_int_eq(open_device(g, "0000:01:00.0", &a), 0);
	ck_assert_int_eq(open_device(g, "0000:01:01.0", &b), 0);
	ck_assert_int_eq(group_unset_container(g), -EBUSY);
	device_file_release(a);
	ck_assert_int_eq(group_unset_container(g), -EBUSY);
	device_file_release(b);
	ck_assert_int_eq(group_unset_container(g), 0);
	group_release(g);
}
END_TEST

/* CG-089 CG-090 CG-094 CG-097 CG-100 CG-102: in that order. */
START_TEST(get_device_checks)
{
	struct device_file *file = NULL;

	group_open(g, &plain);
	ck_assert_int_eq(open_device(g, "", &file), -ENODEV);
	ck_assert_int_eq(open_device(g, "0000:02:00.0", &file), -ENODEV);
	ck_assert_int_eq(open_device(g, "0000:01:00.0 x", &file), -EINVAL);
	ck_assert_int_eq(open_device(g, "0000:01:00.0", &file), -EINVAL);
	attach(g);
	ck_assert_int_eq(open_device(g, "0000:02:00.0", &file), -ENODEV);
	ck_assert_int_eq(open_device(g, "0000:01:00.0", &file), -EINVAL);
	container_set_iommu(container, &plain, 1);
	fake_open_error = -EAGAIN;
	ck_assert_int_eq(open_device(g, "0000:01:00.0", &file), -EAGAIN);
	ck_assert_int_eq(group_unset_container(g), 0);		/* nothing was counted */
	attach(g);
	container_set_iommu(container, &plain, 1);
	fake_open_error = 0;
	ck_assert_ptr_null(file);
	ck_assert_int_eq(open_device(g, "0000:01:00.0", &file), 0);
	ck_assert_ptr_eq(file->device->ioas, (struct ioas *)&fake_a);
	device_file_release(file);
	group_release(g);
}
END_TEST

/* CG-098 CG-103 CG-145: only the first open of a noiommu device asks for the right. */
START_TEST(noiommu_device_needs_rawio_once)
{
	struct device_file *a, *b;

	group_open(gn, &admin);
	attach(gn);
	ck_assert_int_eq(group_get_device(gn, &plain, "0000:02:00.0", &a), -EINVAL);
	container_set_iommu(container, &admin, 8);
	ck_assert_int_eq(group_get_device(gn, &plain, "0000:02:00.0", &a), -EPERM);
	ck_assert_int_eq(group_get_device(gn, &admin, "0000:02:00.0", &a), 0);
	ck_assert_ptr_null(a->device->ioas);
	ck_assert_int_eq(group_get_device(gn, &plain, "0000:02:00.0", &b), 0);
	device_file_release(a);
	device_file_release(b);
	group_release(gn);
}
END_TEST

/* CG-103 CG-128: container_users counts devices, not files. */
START_TEST(second_file_of_a_device_is_not_counted)
{
	struct device_file *a, *b;

	group_open(g, &plain);
	attach(g);
	container_set_iommu(container, &plain, 1);
	ck_assert_int_eq(open_device(g, "0000:01:00.0", &a), 0);
	ck_assert_int_eq(open_device(g, "0000:01:00.0", &b), 0);
	ck_assert_ptr_eq(a->device, b->device);
	device_file_release(a);
	ck_assert_int_eq(group_unset_container(g), -EBUSY);
	device_file_release(b);
	ck_assert_int_eq(group_unset_container(g), 0);
	group_release(g);
}
END_TEST

/* CG-119 CG-124 CG-125 CG-126: an open device keeps the group open and attached. */
START_TEST(device_keeps_the_group)
{
	struct device_file *a;

	group_open(g, &plain);
	attach(g);
	container_set_iommu(container, &plain, 1);
	open_device(g, "0000:01:00.0", &a);
	group_release(g);
	ck_assert_int_eq(group_open(g, &plain), -EBUSY);
	ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_TYPE1);
	container_release(container);
	ck_assert_int_eq(fake_a.releases, 0);
	device_file_release(a);
	ck_assert_int_eq(fake_a.releases, 1);
	ck_assert_int_eq(container_open(topology, &container), 0);
	ck_assert_int_eq(group_open(g, &plain), 0);
	group_release(g);
}
END_TEST

/* CG-134: one group leaves, the other keeps driver and mappings. */
START_TEST(groups_leave_one_by_one)
{
	group_open(g, &plain);
	group_open(ge, &plain);
	attach(g);
	attach(ge);
	container_set_iommu(container, &plain, 1);
	group_release(g);
	ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_TYPE1);
	ck_assert_uint_eq(fake_a.n_detached, 1);
	group_release(ge);
	ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_NONE);
}
END_TEST

#define ROUNDS 300

static void *hammer(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct device_file *file;
		uint32_t flags;

		if (group_open(g, &plain))
			continue;
		attach(g);
		container_set_iommu(container, &plain, 1);
		container_check_extension(container, 1);
		group_get_status(g, &flags);
		if (!open_device(g, "0000:01:00.0", &file)) {
			group_release(g);
			device_file_release(file);
		} else {
			group_release(g);
		}
	}
	return NULL;
}

/* CG-133: threads open, attach and close as they like; run under the thread sanitizer. */
START_TEST(calls_may_race)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, hammer, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_NONE);
}
END_TEST

static struct group_state seen_busy;

static void look(struct group *group)
{
	group_get_state(group, &seen_busy);
}

/* What status output tells; the model's open does not hold it up. */
START_TEST(state_of_a_group)
{
	struct device_file *file, *second;
	struct group_state state;

	group_get_state(g, &state);
	ck_assert(!state.busy && !state.open && state.viable);
	ck_assert_uint_eq(state.container, 0);
	ck_assert_int_eq(group_open(g, &plain), 0);
	group_get_state(g, &state);
	ck_assert(state.open);
	ck_assert_uint_eq(state.container, 0);
	ck_assert_int_eq(attach(g), 0);
	ck_assert_int_eq(container_set_iommu(container, &plain, 1), 0);
	group_get_state(g, &state);
	ck_assert_uint_eq(state.container, container_id(container));
	ck_assert_uint_eq(state.open_devices, 0);
	fake_in_open = look;
	ck_assert_int_eq(group_get_device(g, &plain, "0000:01:00.0", &file), 0);
	ck_assert(seen_busy.busy && !seen_busy.open);
	fake_in_open = NULL;
	ck_assert_int_eq(group_get_device(g, &plain, "0000:01:00.0", &second), 0);
	group_get_state(g, &state);
	ck_assert_uint_eq(state.open_devices, 1);
	group_release(g);
	group_get_state(g, &state);
	ck_assert(state.open);		/* CG-124 */
	device_file_release(second);
	device_file_release(file);
	group_get_state(g, &state);
	ck_assert(!state.open);
	ck_assert_uint_eq(state.container, 0);
	ck_assert_int_eq(group_set_foreign_owner(g, true), 0);
	group_get_state(g, &state);
	ck_assert(!state.viable);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("group");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_group_without_devices_is_gone);
	tcase_add_test(tc, one_open_file_at_a_time);
	tcase_add_test(tc, status_tells_viable_and_container);
	tcase_add_test(tc, only_one_owner_of_dma);
	tcase_add_test(tc, set_container_judges_its_fd);
	tcase_add_test(tc, noiommu_needs_rawio_to_attach);
	tcase_add_test(tc, a_refusing_driver_keeps_the_group_out);
	tcase_add_test(tc, unset_needs_closed_devices);
	tcase_add_test(tc, get_device_checks);
	tcase_add_test(tc, noiommu_device_needs_rawio_once);
	tcase_add_test(tc, second_file_of_a_device_is_not_counted);
	tcase_add_test(tc, device_keeps_the_group);
	tcase_add_test(tc, groups_leave_one_by_one);
	tcase_add_test(tc, calls_may_race);
	tcase_add_test(tc, state_of_a_group);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
