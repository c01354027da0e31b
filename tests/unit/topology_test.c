/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/topology_test.c - groups, devices and drivers are listed once and walked safely. */
#include <check.h>
#include <pthread.h>

#include "unit/fake_device.h"

static struct topology *topology;

static void setup(void)
{
	fake_drivers_reset();
	ck_assert_int_eq(topology_new(&(struct topology_params){ 0 }, &topology), 0);
}

static void teardown(void)
{
	topology_free(topology);
	ck_assert_int_eq(fake_devices, 0);
}

static int add_device(struct group *group, unsigned bus, struct cused_error *err)
{
	struct device_params params = { .address = { .bus = (uint8_t)bus } };
	struct device *device;

	return topology_add_device(topology, group, &params, &device, err);
}

static int count(struct device *device, void *arg)
{
	++*(int *)arg;
	return 0;
}

static int stop_at_two(struct device *device, void *arg)
{
	return ++*(int *)arg == 2 ? -EINTR : 0;
}

START_TEST(settings_have_the_kernels_defaults)
{
	ck_assert_uint_eq(topology_params(topology)->dma_entry_limit, 65535);
}
END_TEST

/* CG-144: noiommu groups have numbers of their own. */
START_TEST(group_numbers_are_unique_per_kind)
{
	struct group *a, *b, *c = NULL;

	ck_assert_int_eq(topology_add_group(topology, 7, GROUP_REAL, &a), 0);
	ck_assert_int_eq(topology_add_group(topology, 7, GROUP_REAL, &c), -EEXIST);
	ck_assert_int_eq(topology_add_group(topology, 7, GROUP_EMULATED, &c), -EEXIST);
	ck_assert_ptr_null(c);
	ck_assert_int_eq(topology_add_group(topology, 7, GROUP_NOIOMMU, &b), 0);
	ck_assert_int_eq(topology_add_group(topology, 7, GROUP_NOIOMMU, &c), -EEXIST);
	ck_assert_ptr_eq(topology_find_group(topology, 7, false), a);
	ck_assert_ptr_eq(topology_find_group(topology, 7, true), b);
	ck_assert_ptr_null(topology_find_group(topology, 8, false));
}
END_TEST

START_TEST(an_address_is_given_once)
{
	struct cused_error err = { "" };
	struct group *a, *b;
	int n = 0;

	topology_add_group(topology, 1, GROUP_REAL, &a);
	topology_add_group(topology, 2, GROUP_REAL, &b);
	ck_assert_int_eq(add_device(a, 1, &err), 0);
	ck_assert_int_eq(add_device(b, 1, &err), -EEXIST);
	ck_assert_ptr_nonnull(strstr(err.text, "0000:01:00.0"));
	ck_assert_int_eq(add_device(b, 2, &err), 0);
	ck_assert_int_eq(topology_each_device(topology, NULL, count, &n), 0);
	ck_assert_int_eq(n, 2);
	n = 0;
	topology_each_device(topology, a, count, &n);
	ck_assert_int_eq(n, 1);
}
END_TEST

START_TEST(a_device_that_failed_leaves_its_address_free)
{
	struct cused_error err = { "" };
	struct group *a;
	int n = 0;

	topology_add_group(topology, 1, GROUP_REAL, &a);
	fake_new_error = -ENXIO;
	ck_assert_int_eq(add_device(a, 1, &err), -ENXIO);
	ck_assert_str_eq(err.text, "told to fail");
	topology_each_device(topology, NULL, count, &n);
	ck_assert_int_eq(n, 0);
	fake_new_error = 0;
	ck_assert_int_eq(add_device(a, 1, &err), 0);
}
END_TEST

START_TEST(a_walk_stops_at_the_first_answer)
{
	struct group *a;
	int n = 0;

	topology_add_group(topology, 1, GROUP_REAL, &a);
	for (unsigned i = 0; i < 4; i++)
		add_device(a, i, NULL);
	ck_assert_int_eq(topology_each_device(topology, NULL, stop_at_two, &n), -EINTR);
	ck_assert_int_eq(n, 2);
}
END_TEST

START_TEST(a_driver_registers_once)
{
	ck_assert_int_eq(iommu_driver_register(topology, &fake_a.ops), 0);
	ck_assert_int_eq(iommu_driver_register(topology, &fake_b.ops), 0);
	ck_assert_int_eq(iommu_driver_register(topology, &fake_a.ops), -EEXIST);
}
END_TEST

#define PER_THREAD 100

static void *add_some(void *arg)
{
	unsigned base = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < PER_THREAD; i++) {
		struct group *group;

		if (topology_add_group(topology, base + i, GROUP_REAL, &group))
			return (void *)1;
		if (!topology_find_group(topology, base + i, false))
			return (void *)1;
	}
	return NULL;
}

static int nothing(struct device *device, void *arg)
{
	return 0;
}

static struct device *made(struct group *group, unsigned bus)
{
	struct device_params params = { .address = { .bus = (uint8_t)bus } };
	struct device *device;

	ck_assert_int_eq(topology_add_device(topology, group, &params, &device, NULL), 0);
	return device;
}

static unsigned seen(struct group *group)
{
	int n = 0;

	topology_each_device(topology, group, count, &n);
	return (unsigned)n;
}

START_TEST(a_device_is_hidden_then_freed)
{
	struct device_params params = { .address = { .bus = 2 } };
	struct device *devices[3], *other;
	struct group *a, *b;
	int n = 0;

	topology_add_group(topology, 1, GROUP_REAL, &a);
	topology_add_group(topology, 2, GROUP_REAL, &b);
	devices[0] = made(a, 1);
	devices[1] = made(a, 2);
	devices[2] = made(b, 3);
	devices[1]->open_count = 1;
	topology_hide_device(topology, devices[1]);
	ck_assert_uint_eq(seen(a), 1);
	ck_assert_uint_eq(seen(NULL), 2);
	/* It is on its bus all the same, for hot resets. */
	ck_assert_int_eq(topology_each_present(topology, count, &n), 0);
	ck_assert_int_eq(n, 3);
	/* Open: it stays, and so does its address. */
	ck_assert_int_eq(topology_free_device(topology, devices[1]), -EBUSY);
	ck_assert_int_eq(topology_add_device(topology, b, &params, &other, NULL), -EEXIST);
	ck_assert_int_eq(fake_devices, 3);
	devices[1]->open_count = 0;
	ck_assert_int_eq(topology_free_device(topology, devices[1]), 0);
	ck_assert_int_eq(fake_devices, 2);
	ck_assert_int_eq(topology_add_device(topology, b, &params, &other, NULL), 0);
	/* The last of a list, then the first; what comes after is at the end again. */
	topology_hide_device(topology, other);
	made(b, 9);
	topology_hide_device(topology, devices[0]);
	ck_assert_uint_eq(seen(NULL), 2);
	ck_assert_int_eq(topology_free_device(topology, devices[0]), 0);
	/* The rest goes with the topology, hidden or not. */
}
END_TEST

/* As the kernel's group, which is not told before the device is unbound: CG-049, CG-059. */
START_TEST(a_hidden_device_is_its_groups_until_it_is_freed)
{
	struct caller caller = { 0 };
	struct device *device;
	struct group *group;
	uint32_t flags;

	topology_add_group(topology, 1, GROUP_REAL, &group);
	device = made(group, 1);
	device->open_count = 1;
	topology_hide_device(topology, device);
	ck_assert_int_eq(group_open(group, &caller), 0);
	ck_assert_int_eq(group_get_status(group, &flags), 0);
	device->open_count = 0;
	ck_assert_int_eq(topology_free_device(topology, device), 0);
	ck_assert_int_eq(group_get_status(group, &flags), -ENODEV);
	group_release(group);
	ck_assert_int_eq(group_open(group, &caller), -ENODEV);
}
END_TEST

static void *add_and_remove(void *arg)
{
	struct group *group = arg;

	for (unsigned i = 0; i < PER_THREAD; i++) {
		struct device *device = made(group, 10 + group_id(group));

		topology_hide_device(topology, device);
		if (topology_free_device(topology, device))
			return (void *)1;
	}
	return NULL;
}

static void *walk_for_long(void *arg)
{
	for (unsigned i = 0; i < 20 * PER_THREAD; i++) {
		topology_hold(topology);
		topology_each_device(topology, NULL, nothing, NULL);
		topology_let_go(topology);
	}
	return NULL;
}

/* What a walk is given is there; run under the sanitizers. */
START_TEST(walks_run_beside_removals)
{
	pthread_t threads[4];
	struct group *groups[2];
	void *failed;

	for (unsigned i = 0; i < 2; i++) {
		topology_add_group(topology, i, GROUP_REAL, &groups[i]);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, add_and_remove, groups[i]),
				 0);
		ck_assert_int_eq(pthread_create(&threads[2 + i], NULL, walk_for_long, NULL), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		ck_assert_ptr_null(failed);
	}
	ck_assert_uint_eq(seen(NULL), 0);
}
END_TEST

/* Walks take no lock; run under the thread sanitizer. */
START_TEST(walks_run_beside_adds)
{
	pthread_t threads[3];
	void *failed;

	for (uintptr_t i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, add_some,
						(void *)(i * 1000)), 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &failed);
		ck_assert_ptr_null(failed);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("topology");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, settings_have_the_kernels_defaults);
	tcase_add_test(tc, group_numbers_are_unique_per_kind);
	tcase_add_test(tc, an_address_is_given_once);
	tcase_add_test(tc, a_device_that_failed_leaves_its_address_free);
	tcase_add_test(tc, a_walk_stops_at_the_first_answer);
	tcase_add_test(tc, a_driver_registers_once);
	tcase_add_test(tc, walks_run_beside_adds);
	tcase_add_test(tc, a_device_is_hidden_then_freed);
	tcase_add_test(tc, a_hidden_device_is_its_groups_until_it_is_freed);
	tcase_add_test(tc, walks_run_beside_removals);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
