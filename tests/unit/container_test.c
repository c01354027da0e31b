/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/container_test.c - which driver a container is given, asked and relieved of.
 * Drivers are fakes; what type1 answers is tested with type1.
 */
#include <check.h>

#include "unit/fake_device.h"

static struct topology *topology;
static struct container *container;
static struct group *g1, *g2, *gn;
static struct caller plain, admin = { .cap_sys_rawio = true };

static struct group *new_group(unsigned id, enum group_kind kind)
{
	struct device_params params = { .address = { .bus = (uint8_t)id,
						     .function = kind == GROUP_NOIOMMU } };
	struct device *device;
	struct group *group;

	ck_assert_int_eq(topology_add_group(topology, id, kind, &group), 0);
	ck_assert_int_eq(topology_add_device(topology, group, &params, &device, NULL), 0);
	ck_assert_int_eq(group_open(group, &admin), 0);
	return group;
}

static void start(bool unsafe_noiommu)
{
	struct topology_params params = { .unsafe_noiommu = unsafe_noiommu };

	fake_drivers_reset();
	ck_assert_int_eq(topology_new(&params, &topology), 0);
	ck_assert_int_eq(iommu_driver_register(topology, &iommu_noiommu_driver), 0);
	ck_assert_int_eq(iommu_driver_register(topology, &fake_a.ops), 0);
	ck_assert_int_eq(iommu_driver_register(topology, &fake_b.ops), 0);
	g1 = new_group(1, GROUP_REAL);
	g2 = new_group(2, GROUP_REAL);
	gn = new_group(1, GROUP_NOIOMMU);
	ck_assert_int_eq(container_open(topology, &container), 0);	/* CG-005 */
}

static void setup(void)
{
	start(true);
}

static void setup_safe(void)
{
	start(false);
}

static void teardown(void)
{
	container_release(container);
	group_release(g1);
	group_release(g2);
	group_release(gn);
	topology_free(topology);
	ck_assert_int_eq(fake_a.opens, fake_a.releases);
	ck_assert_int_eq(fake_b.opens, fake_b.releases);
}

static int attach(struct group *group)
{
	struct container_arg arg = { .container = container };

	return group_set_container(group, &admin, &arg);
}

/* CG-023 CG-025 CG-026 CG-027 CG-032: all drivers are asked, noiommu included. */
START_TEST(empty_container_asks_all_drivers)
{
	ck_assert_int_eq(container_check_extension(container, 1), 1);
	ck_assert_int_eq(container_check_extension(container, 2), 1);
	ck_assert_int_eq(container_check_extension(container, 3), 1);
	ck_assert_int_eq(container_check_extension(container, 8), 1);
}
END_TEST

/* CG-024 CG-035 */
START_TEST(unknown_extensions_are_zero)
{
	ck_assert_int_eq(container_check_extension(container, 0), 0);
	ck_assert_int_eq(container_check_extension(container, 11), 0);
	ck_assert_int_eq(container_check_extension(container, UINT64_MAX), 0);
	ck_assert_int_eq(container_check_extension(container, 1ull << 32 | 1), 0);
}
END_TEST

/* CG-032: the setting, not only the driver. */
START_TEST(noiommu_extension_needs_the_setting)
{
	ck_assert_int_eq(container_check_extension(container, 8), 0);
	ck_assert_int_eq(attach(gn), 0);
	ck_assert_int_eq(container_set_iommu(container, &admin, 8), -ENODEV);
}
END_TEST

/* CG-022 */
START_TEST(groups_decide_who_is_asked)
{
	ck_assert_int_eq(attach(g1), 0);
	ck_assert_int_eq(container_check_extension(container, 8), 0);
	ck_assert_int_eq(container_check_extension(container, 1), 1);
	ck_assert_int_eq(group_unset_container(g1), 0);
	ck_assert_int_eq(attach(gn), 0);
	ck_assert_int_eq(container_check_extension(container, 8), 1);
	ck_assert_int_eq(container_check_extension(container, 1), 0);
	ck_assert_int_eq(container_check_extension(container, 2), 0);
}
END_TEST

/* CG-020 */
START_TEST(only_the_driver_in_force_is_asked)
{
	attach(g1);
	ck_assert_int_eq(container_set_iommu(container, &plain, 1), 0);
	ck_assert_int_eq(container_check_extension(container, 3), 1);
	ck_assert_int_eq(container_check_extension(container, 2), 0);
	ck_assert_int_gt(fake_a.asked_with_data, 0);
	ck_assert_int_eq(fake_b.asked_with_data, 0);
}
END_TEST

/* CG-036 CG-037 CG-121 */
START_TEST(set_iommu_needs_a_group_and_no_driver)
{
	ck_assert_int_eq(container_set_iommu(container, &plain, 1), -EINVAL);
	attach(g1);
	ck_assert_int_eq(container_set_iommu(container, &plain, 1), 0);
	ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_TYPE1);
	ck_assert_int_eq(container_set_iommu(container, &plain, 1), -EINVAL);
	ck_assert_int_eq(container_set_iommu(container, &plain, 2), -EINVAL);
	ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_TYPE1);
}
END_TEST

/* CG-021 CG-039 CG-043 CG-044: newest first; nobody claims the id. */
START_TEST(drivers_are_tried_newest_first)
{
	fake_b.ids |= 1 << 1;
	attach(g1);
	ck_assert_int_eq(container_set_iommu(container, &plain, 4), -ENODEV);
	ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_NONE);
	ck_assert_int_eq(container_set_iommu(container, &plain, 1), 0);
	ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_SPAPR);
	ck_assert_int_eq(fake_a.opens, 0);
}
END_TEST

/* CG-038: a real container never gets noiommu, a noiommu one gets nothing else. */
START_TEST(kinds_do_not_mix)
{
	attach(g1);
	ck_assert_int_eq(container_set_iommu(container, &admin, 8), -ENODEV);
	ck_assert_int_eq(attach(gn), -EPERM);				/* CG-072 CG-147 */
	group_unset_container(g1);
	ck_assert_int_eq(attach(gn), 0);				/* CG-117 */
	ck_assert_int_eq(attach(g1), -EPERM);
	ck_assert_int_eq(container_set_iommu(container, &admin, 1), -ENODEV);
	ck_assert_int_eq(container_set_iommu(container, &plain, 8), -EPERM); /* CG-041 */
	ck_assert_int_eq(container_set_iommu(container, &admin, 8), 0);	/* CG-146 */
	ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_NOIOMMU);
	ck_assert_int_eq(container_check_extension(container, 8), 1);
	ck_assert_int_eq(container_check_extension(container, 1), 0);
}
END_TEST

/* CG-040 CG-044: the error of the driver tried last. */
START_TEST(open_errors_are_remembered)
{
	fake_b.ids |= 1 << 9;
	fake_a.ids |= 1 << 9;
	fake_b.open_error = -EBUSY;
	fake_a.open_error = -EINVAL;
	attach(g1);
	ck_assert_int_eq(container_set_iommu(container, &plain, 9), -EINVAL);
	fake_a.open_error = 0;
	ck_assert_int_eq(container_set_iommu(container, &plain, 9), 0);
	ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_TYPE1);
}
END_TEST

/* CG-042 CG-044: undone in reverse, and the call may be repeated. */
START_TEST(a_failing_attach_is_unwound)
{
	struct group *g3 = new_group(3, GROUP_REAL);

	attach(g1);
	attach(g2);
	attach(g3);
	fake_a.attach_error = -EBUSY;
	fake_a.attach_error_group = 3;
	ck_assert_int_eq(container_set_iommu(container, &plain, 1), -EBUSY);
	ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_NONE);
	ck_assert_uint_eq(fake_a.n_detached, 2);
	ck_assert_uint_eq(fake_a.detached[0], 2);
	ck_assert_uint_eq(fake_a.detached[1], 1);
	ck_assert_int_eq(fake_a.releases, 1);
	fake_a.attach_error = 0;
	ck_assert_int_eq(container_set_iommu(container, &plain, 1), 0);
	ck_assert_uint_eq(fake_a.n_attached, 2 + 3);			/* CG-120 */
	group_release(g3);
}
END_TEST

/* CG-042: the first group fails, nothing is there to undo. */
START_TEST(a_failing_first_attach_is_unwound)
{
	attach(g1);
	fake_a.attach_error = -EPERM;
	fake_a.attach_error_group = 1;
	ck_assert_int_eq(container_set_iommu(container, &plain, 1), -EPERM);
	ck_assert_uint_eq(fake_a.n_detached, 0);
	ck_assert_int_eq(fake_a.releases, 1);
}
END_TEST

/* CG-045 CG-046 */
START_TEST(typed_calls_check_the_driver)
{
	void *data = NULL;

	ck_assert_int_eq(container_driver_lock(container, &fake_a.ops, &data), -EINVAL);
	attach(g1);
	ck_assert_int_eq(container_driver_lock(container, &fake_a.ops, &data), -EINVAL);
	container_set_iommu(container, &plain, 1);
	ck_assert_int_eq(container_driver_lock(container, &fake_b.ops, &data), -ENOTTY);
	ck_assert_ptr_null(data);
	ck_assert_int_eq(container_driver_lock(container, &fake_a.ops, &data), 0);
	ck_assert_ptr_eq(data, &fake_a);
	container_driver_unlock(container);
}
END_TEST

/* CG-097 */
START_TEST(the_map_exists_with_the_driver)
{
	struct ioas *ioas = NULL;

	ck_assert_int_eq(container_get_ioas(container, &ioas), -EINVAL);
	attach(gn);
	container_set_iommu(container, &admin, 8);
	ioas = (struct ioas *)&ioas;
	ck_assert_int_eq(container_get_ioas(container, &ioas), 0);
	ck_assert_ptr_null(ioas);
	group_unset_container(gn);
	attach(g1);
	container_set_iommu(container, &plain, 1);
	ck_assert_int_eq(container_get_ioas(container, &ioas), 0);
	ck_assert_ptr_eq(ioas, (struct ioas *)&fake_a);
}
END_TEST

/* CG-114 CG-115 CG-116: the last group takes the driver along. */
START_TEST(last_group_releases_the_driver)
{
	struct container_status status;

	attach(g1);
	attach(g2);
	container_set_iommu(container, &plain, 1);
	container_get_status(container, &status);
	ck_assert_uint_eq(status.groups, 2);
	ck_assert_uint_eq(status.mappings, 3);
	ck_assert_uint_eq(status.mapped_bytes, 3 * 4096);
	group_unset_container(g1);
	ck_assert_int_eq(fake_a.releases, 0);
	ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_TYPE1);
	group_unset_container(g2);
	ck_assert_int_eq(fake_a.releases, 1);
	ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_NONE);
	ck_assert_int_eq(container_set_iommu(container, &plain, 1), -EINVAL);
	container_get_status(container, &status);
	ck_assert_uint_eq(status.groups, 0);
	ck_assert_uint_eq(status.mappings, 0);
	attach(g2);
	group_unset_container(g2);
	ck_assert_int_eq(container_check_extension(container, 8), 1);
}
END_TEST

/* CG-018 CG-122 CG-123: the object outlives its file while a group is attached. */
START_TEST(container_outlives_its_file)
{
	struct container *old = container;

	attach(g1);
	container_set_iommu(container, &plain, 1);
	container_release(container);
	ck_assert_int_eq(container_open(topology, &container), 0);
	ck_assert_int_eq(container_driver(old), CONTAINER_DRIVER_TYPE1);
	ck_assert_int_eq(attach(g1), -EINVAL);
	ck_assert_int_eq(group_unset_container(g1), 0);
	ck_assert_int_eq(fake_a.releases, 1);
	ck_assert_int_eq(attach(g1), 0);
}
END_TEST

static struct container_status seen_busy;

static void look(void)
{
	container_get_status(container, &seen_busy);
}

/* Who holds the container's lock for long does not hold up who looks. */
START_TEST(status_of_a_busy_container)
{
	struct container_status status;

	fake_a.in_attach = look;
	attach(g1);
	ck_assert_int_eq(container_set_iommu(container, &plain, 1), 0);
	ck_assert(seen_busy.busy);
	ck_assert(seen_busy.file_open);
	ck_assert_uint_eq(seen_busy.id, container_id(container));
	ck_assert_uint_eq(seen_busy.groups, 0);
	container_get_status(container, &status);
	ck_assert(!status.busy);
	ck_assert_uint_eq(status.groups, 1);
	ck_assert_str_eq(status.driver, "a");
}
END_TEST

#define LISTED_MAX 8
static uint64_t listed[LISTED_MAX];
static unsigned n_listed;

static int list_one(struct container *c, void *arg)
{
	struct container_status status;

	ck_assert_uint_lt(n_listed, LISTED_MAX);
	container_get_status(c, &status);
	listed[n_listed++] = status.id;
	return arg && n_listed == *(unsigned *)arg ? -EINTR : 0;
}

static unsigned list_all(void)
{
	n_listed = 0;
	ck_assert_int_eq(containers_each(topology, list_one, NULL), 0);
	return n_listed;
}

/* Those with an open file, and those that live by their groups. */
START_TEST(containers_are_listed)
{
	struct container_status status;
	struct container *second, *third;
	unsigned stop = 2;

	ck_assert_int_eq(container_open(topology, &second), 0);
	ck_assert_int_eq(container_open(topology, &third), 0);
	ck_assert_uint_eq(list_all(), 3);
	ck_assert_uint_eq(listed[0], 1);
	ck_assert_uint_eq(listed[1], 2);
	ck_assert_uint_eq(listed[2], 3);
	n_listed = 0;
	ck_assert_int_eq(containers_each(topology, list_one, &stop), -EINTR);
	ck_assert_uint_eq(n_listed, 2);

	container_release(second);
	ck_assert_uint_eq(list_all(), 2);
	ck_assert_uint_eq(listed[1], 3);
	attach(g1);
	container_release(container);
	ck_assert_uint_eq(list_all(), 2);
	container_get_status(container, &status);
	ck_assert(!status.file_open);
	ck_assert_uint_eq(status.groups, 1);
	ck_assert_int_eq(group_unset_container(g1), 0);
	ck_assert_uint_eq(list_all(), 1);
	container = third;		/* a number is not used again */
	ck_assert_int_eq(container_open(topology, &second), 0);
	ck_assert_uint_eq(list_all(), 2);
	ck_assert_uint_eq(listed[1], 4);
	container_release(second);
}
END_TEST

static struct container *going[3];

static int close_all(struct container *c, void *arg)
{
	(*(unsigned *)arg)++;
	for (unsigned i = 0; i < 3; i++) {
		if (going[i])
			container_release(going[i]);
		going[i] = NULL;
	}
	return 0;
}

/* The walk goes on from a container whose file was closed, and its neighbours', meanwhile. */
START_TEST(containers_go_while_they_are_listed)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(container_open(topology, &going[i]), 0);
	ck_assert_int_eq(containers_each(topology, close_all, &n), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(list_all(), 1);
	going[0] = container;
	n = 0;
	ck_assert_int_eq(containers_each(topology, close_all, &n), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(list_all(), 0);
	ck_assert_int_eq(container_open(topology, &container), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("container");
	TCase *tc = tcase_create("all"), *safe = tcase_create("safe");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_checked_fixture(safe, setup_safe, teardown);
	tcase_add_test(tc, empty_container_asks_all_drivers);
	tcase_add_test(tc, unknown_extensions_are_zero);
	tcase_add_test(safe, noiommu_extension_needs_the_setting);
	tcase_add_test(tc, groups_decide_who_is_asked);
	tcase_add_test(tc, only_the_driver_in_force_is_asked);
	tcase_add_test(tc, set_iommu_needs_a_group_and_no_driver);
	tcase_add_test(tc, drivers_are_tried_newest_first);
	tcase_add_test(tc, kinds_do_not_mix);
	tcase_add_test(tc, open_errors_are_remembered);
	tcase_add_test(tc, a_failing_attach_is_unwound);
	tcase_add_test(tc, a_failing_first_attach_is_unwound);
	tcase_add_test(tc, typed_calls_check_the_driver);
	tcase_add_test(tc, the_map_exists_with_the_driver);
	tcase_add_test(tc, last_group_releases_the_driver);
	tcase_add_test(tc, container_outlives_its_file);
	tcase_add_test(tc, status_of_a_busy_container);
	tcase_add_test(tc, containers_are_listed);
	tcase_add_test(tc, containers_go_while_they_are_listed);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, safe);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
