/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/container_swap_test.c - containers in whose place a client has a file of the backend's;
 * the backend is a fake that gives such files. */
#include "unit/type1_fixture.h"

#define TOKEN 1234			/* of the file that was given */

static struct cused_iommu_ops hardware;
static struct cused_lender lender = { .size = sizeof(lender) };
static unsigned swaps, renewals, asked_version;
static bool alive;
static int swap_answer, renew_error;

static int hardware_swap(void *domain, struct cused_lender *by, unsigned version)
{
	ck_assert_ptr_eq(domain, &backend.domains);
	ck_assert_ptr_eq(by, &lender);
	swaps++;
	asked_version = version;
	return swap_answer;
}

static int hardware_renew(void *domain)
{
	renewals++;
	return renew_error;
}

static bool hardware_is_file(void *domain, intptr_t file)
{
	return file == TOKEN;
}

static bool client_alive(struct mm *mm)
{
	return alive;
}

static struct mm_ops client_ops;

static void setup(void)
{
	params = (struct topology_params){ 0 };
	fixture_start();
	hardware = backend_ops;
	hardware.swap = hardware_swap;
	hardware.renew = hardware_renew;
	hardware.is_file = hardware_is_file;
	for (unsigned i = 0; i < 2; i++)
		group_set_iommu(real[i], &hardware, NULL);
	client_ops = *client.mm.ops;
	client_ops.alive = client_alive;
	client.mm.ops = &client_ops;
	caller.lender = &lender;
	swaps = renewals = 0;
	swap_answer = 1;
	alive = true;
	renew_error = 0;
}

static bool is_swapped(void)
{
	struct container_status s;

	container_get_status(container, &s);
	return s.swapped;
}

static bool is_kept(void)
{
	struct container_status s;

	container_get_status(container, &s);
	return s.kept;
}

/* Is the container that a client means by that file this one? */
static bool found(intptr_t file)
{
	struct container *it = container_of_file(topology, file);
	bool r = it == container;

	ck_assert(r || !it);
	container_put(it);
	return r;
}

START_TEST(a_backend_gives_a_file)
{
	with(real[0], VFIO_TYPE1_IOMMU);
	ck_assert_uint_eq(swaps, 1);
	ck_assert_uint_eq(asked_version, 1);
	ck_assert(is_swapped());
	ck_assert(found(TOKEN));
	ck_assert(!found(TOKEN + 1));
	containers_end(topology);
	fixture_end(&real[0], 1);
}
END_TEST

START_TEST(version_two)
{
	with(real[0], VFIO_TYPE1v2_IOMMU);
	ck_assert_uint_eq(asked_version, 2);
	containers_end(topology);
	fixture_end(&real[0], 1);
}
END_TEST

/* Nobody to give it to, an old backend, one that does not; then all is as ever. */
START_TEST(or_it_does_not)
{
	caller.lender = NULL;
	with(real[0], VFIO_TYPE1v2_IOMMU);
	detach(real[0]);
	caller.lender = &lender;
	hardware.size = offsetof(struct cused_iommu_ops, swap);
	with(real[0], VFIO_TYPE1v2_IOMMU);
	ck_assert(!found(TOKEN));
	detach(real[0]);
	hardware.size = sizeof(hardware);
	ck_assert_uint_eq(swaps, 0);
	swap_answer = 0;
	with(real[0], VFIO_TYPE1v2_IOMMU);
	ck_assert_uint_eq(swaps, 1);
	ck_assert(!is_swapped());
	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), 0);
	fixture_end(&real[0], 1);
	ck_assert_uint_eq(renewals, 0);
}
END_TEST

/* Its client's call cannot be answered: all is as before SET_IOMMU. */
START_TEST(a_swap_that_is_lost)
{
	swap_answer = -EIO;
	ck_assert_int_eq(attach(real[0]), 0);
	ck_assert_int_eq(attach(real[1]), 0);
	ck_assert_int_eq(container_set_iommu(container, &caller, VFIO_TYPE1v2_IOMMU), -EIO);
	ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_NONE);
	ck_assert_int_eq(backend.domains, 0);
	ck_assert_int_eq(backend.attached, 0);
	ck_assert(!is_swapped());
	swap_answer = 1;
	ck_assert_int_eq(container_set_iommu(container, &caller, VFIO_TYPE1v2_IOMMU), 0);
	ck_assert(is_swapped());
	containers_end(topology);
	fixture_end(real, 2);
}
END_TEST

/* Their DMA goes by mappings that we do not know. */
START_TEST(emulated_devices_stay_away)
{
	ck_assert_int_eq(attach(emulated[0]), 0);
	with(real[0], VFIO_TYPE1v2_IOMMU);
	ck_assert_uint_eq(swaps, 0);
	detach(real[0]);
	detach(emulated[0]);
	with(real[0], VFIO_TYPE1v2_IOMMU);
	ck_assert(is_swapped());
	ck_assert_int_eq(attach(emulated[0]), -EINVAL);
	containers_end(topology);
	fixture_end(&real[0], 1);
}
END_TEST

START_TEST(further_groups_come_and_go)
{
	with(real[0], VFIO_TYPE1v2_IOMMU);
	/* Of another backend: T1-117. */
	ck_assert_int_eq(attach(real[2]), -EINVAL);
	ck_assert_int_eq(attach(real[1]), 0);
	ck_assert_int_eq(backend.attached, 2);
	detach(real[0]);
	ck_assert_uint_eq(renewals, 0);
	ck_assert(!is_kept());
	ck_assert(found(TOKEN));
	containers_end(topology);
	fixture_end(&real[1], 1);
	ck_assert_uint_eq(swaps, 1);
}
END_TEST

START_TEST(without_groups_it_is_kept)
{
	with(real[0], VFIO_TYPE1v2_IOMMU);
	for (unsigned i = 0; i < 3; i++) {
		detach(real[0]);
		ck_assert_uint_eq(renewals, i + 1);
		ck_assert_int_eq(backend.attached, 0);
		ck_assert_int_eq(backend.domains, 1);
		ck_assert(is_kept());
		ck_assert(found(TOKEN));
		ck_assert_int_eq(attach(real[2]), -EINVAL);
		ck_assert_int_eq(attach(emulated[0]), -EINVAL);
		backend.attach_error = -EIO;
		ck_assert_int_eq(attach(real[0]), -EIO);
		backend.attach_error = 0;
		ck_assert(is_kept());
		/* No SET_IOMMU comes: the client's file has been told. */
		ck_assert_int_eq(attach(real[0]), 0);
		ck_assert(!is_kept());
		ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_TYPE1);
	}
	ck_assert_uint_eq(swaps, 1);
	detach(real[0]);
	containers_end(topology);
	ck_assert(!found(TOKEN));
	fixture_end(NULL, 0);
}
END_TEST

START_TEST(a_backend_that_cannot_renew)
{
	renew_error = -EBUSY;
	with(real[0], VFIO_TYPE1v2_IOMMU);
	detach(real[0]);
	ck_assert_uint_eq(renewals, 1);
	ck_assert_int_eq(backend.domains, 0);
	ck_assert(!is_kept() && !is_swapped());
	ck_assert(!found(TOKEN));
	fixture_end(NULL, 0);
}
END_TEST

START_TEST(a_client_that_has_ended)
{
	struct container *other_container;

	with(real[0], VFIO_TYPE1v2_IOMMU);
	detach(real[0]);
	ck_assert_int_eq(container_open(topology, &other_container), 0);
	container_release(other_container);
	ck_assert_int_eq(backend.domains, 1);
	alive = false;
	ck_assert_int_eq(container_open(topology, &other_container), 0);
	container_release(other_container);
	ck_assert_int_eq(backend.domains, 0);
	fixture_end(NULL, 0);
}
END_TEST

/* CONTAINER_KEPT_MAX, and one more: the oldest goes. */
START_TEST(as_many_as_are_kept)
{
	struct container *many[CONTAINER_KEPT_MAX + 1];

	for (unsigned i = 0; i <= CONTAINER_KEPT_MAX; i++) {
		ck_assert_int_eq(backend.domains, i);
		ck_assert_int_eq(container_open(topology, &many[i]), 0);
		ck_assert_int_eq(container_attach_group(many[i], real[0], &caller), 0);
		ck_assert_int_eq(container_set_iommu(many[i], &caller, VFIO_TYPE1v2_IOMMU), 0);
		container_detach_group(many[i], real[0]);
	}
	ck_assert_int_eq(backend.domains, CONTAINER_KEPT_MAX);
	ck_assert_int_eq(container_driver(many[0]), CONTAINER_DRIVER_NONE);
	for (unsigned i = 1; i <= CONTAINER_KEPT_MAX; i++)
		ck_assert_int_eq(container_driver(many[i]), CONTAINER_DRIVER_TYPE1);
	/* The second is the oldest now, unless it is in use. */
	ck_assert_int_eq(container_attach_group(many[1], real[0], &caller), 0);
	ck_assert_int_eq(container_attach_group(many[0], real[1], &caller), 0);
	ck_assert_int_eq(container_set_iommu(many[0], &caller, VFIO_TYPE1v2_IOMMU), 0);
	container_detach_group(many[0], real[1]);
	ck_assert_int_eq(container_driver(many[2]), CONTAINER_DRIVER_TYPE1);
	container_detach_group(many[1], real[0]);
	ck_assert_int_eq(container_driver(many[2]), CONTAINER_DRIVER_NONE);
	ck_assert_int_eq(container_driver(many[1]), CONTAINER_DRIVER_TYPE1);
	for (unsigned i = 0; i <= CONTAINER_KEPT_MAX; i++)
		container_release(many[i]);
	containers_end(topology);
	fixture_end(NULL, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("container_swap");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_backend_gives_a_file);
	tcase_add_test(tc, version_two);
	tcase_add_test(tc, or_it_does_not);
	tcase_add_test(tc, a_swap_that_is_lost);
	tcase_add_test(tc, emulated_devices_stay_away);
	tcase_add_test(tc, further_groups_come_and_go);
	tcase_add_test(tc, without_groups_it_is_kept);
	tcase_add_test(tc, a_backend_that_cannot_renew);
	tcase_add_test(tc, a_client_that_has_ended);
	tcase_add_test(tc, as_many_as_are_kept);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
