/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/close_order_test.c - every order of closing ends clean, and each step on the way
 * shows what the rules say.
 *
 * Six files are open: a container, two groups of it, a device of each, and a second file
 * of the first device. All 720 orders are gone through. What ought to be seen follows
 * from one sentence (section 9 of the container rules): a group lives while its file or
 * one of its devices is open; the container has its driver and mappings while a group
 * lives.
 */
#include <check.h>

#include "unit/harness.h"

enum { CONTAINER, GROUP1, GROUP2, DEVICE1, DEVICE1_AGAIN, DEVICE2, FILES };

#define IOVA 0x100000
#define VALUE 0x1122334455667788ull

static struct world world;
static struct client client, child;
static int fds[FILES];
static bool open_now[FILES];
static struct container *container;	/* a reference of the test's own, to look inside */

static void open_all(void)
{
	uint64_t value = VALUE;

	client_init(&client);
	fds[CONTAINER] = client_open_container(&client, world.topology);
	container = container_ref(client.fds[fds[CONTAINER]]->object.container);
	fds[GROUP1] = client_open_group(&client, world.g1);
	fds[GROUP2] = client_open_group(&client, world.g2);
	ck_assert_int_eq(client_set_container(&client, fds[GROUP1], fds[CONTAINER]), 0);
	ck_assert_int_eq(client_set_container(&client, fds[GROUP2], fds[CONTAINER]), 0);
	ck_assert_int_eq(client_ioctl(&client, fds[CONTAINER], VFIO_SET_IOMMU, 1), 0);
	ck_assert_int_eq(client_map(&client, fds[CONTAINER], 3, client_page(8), IOVA,
				    4096), 0);
	memcpy(client_at(&client, client_page(8)), &value, sizeof(value));
	fds[DEVICE1] = client_get_device(&client, fds[GROUP1], "0000:01:00.0");
	fds[DEVICE1_AGAIN] = client_get_device(&client, fds[GROUP1], "0000:01:00.0");
	fds[DEVICE2] = client_get_device(&client, fds[GROUP2], "0000:02:00.0");
	for (int i = 0; i < FILES; i++) {
		ck_assert_int_ge(fds[i], 0);
		open_now[i] = true;
	}
	ck_assert_int_eq(client_bus_master(&client, fds[DEVICE1], true), 0);
	ck_assert_int_eq(client_bus_master(&client, fds[DEVICE2], true), 0);
}

static void close_one(int which)
{
	ck_assert_int_eq(client_close(&client, fds[which]), 0);
	open_now[which] = false;
}

static bool device1_open(void)
{
	return open_now[DEVICE1] || open_now[DEVICE1_AGAIN];
}

static bool alive(int which)
{
	return which == GROUP1 ? open_now[GROUP1] || device1_open() :
				 open_now[GROUP2] || open_now[DEVICE2];
}

/* CG-018 CG-114 CG-116 CG-122 CG-125 CG-134: the container, seen from inside. */
static void check_container(void)
{
	unsigned groups = (unsigned)alive(GROUP1) + (unsigned)alive(GROUP2);
	struct container_status status;

	container_get_status(container, &status);
	ck_assert_uint_eq(status.groups, groups);
	ck_assert_uint_eq(status.mappings, groups ? 1 : 0);
	ck_assert_uint_eq(status.mapped_bytes, groups ? 4096 : 0);
	ck_assert_int_eq(container_driver(container), groups ? CONTAINER_DRIVER_TYPE1 :
							       CONTAINER_DRIVER_NONE);
	if (!open_now[CONTAINER])
		return;
	ck_assert_int_eq(client_ioctl(&client, fds[CONTAINER], VFIO_CHECK_EXTENSION, 8),
			 groups ? 0 : 1);
	ck_assert_int_eq(client_map(&client, fds[CONTAINER], 3, client_page(8), IOVA, 4096),
			 groups ? -EEXIST : -EINVAL);
}

/* CG-052 CG-056 CG-084 CG-119 CG-122 CG-124 CG-129 */
static void check_group(int which, struct group *group, const char *name, bool device_open)
{
	int fd = client_open_group(&client, group);

	if (alive(which))
		ck_assert_int_eq(fd, -EBUSY);
	else
		ck_assert_int_eq(client_close(&client, fd), 0);
	if (!open_now[which])
		return;
	ck_assert_int_eq(client_set_container(&client, fds[which], fds[which]), -EINVAL);
	if (device_open)
		ck_assert_int_eq(client_ioctl(&client, fds[which],
					      VFIO_GROUP_UNSET_CONTAINER, 0), -EBUSY);
	fd = client_get_device(&client, fds[which], name);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(client_close(&client, fd), 0);
}

/* CG-126 CG-128: an open device reaches the mapping, whoever else has gone. */
static void check_dma(int which)
{
	uint64_t value = 0;

	if (!open_now[which])
		return;
	ck_assert_int_eq(client_device_dma(&client, fds[which], IOVA, &value), 0);
	ck_assert_uint_eq(value, VALUE);
	ck_assert_int_eq(client_device_dma(&client, fds[which], IOVA + 4096, &value),
			 -EFAULT);
}

static void check_all(void)
{
	check_container();
	check_group(GROUP1, world.g1, "0000:01:00.0", device1_open());
	check_group(GROUP2, world.g2, "0000:02:00.0", open_now[DEVICE2]);
	check_dma(DEVICE1);
	check_dma(DEVICE1_AGAIN);
	check_dma(DEVICE2);
	ck_assert_int_eq(device_is_open(world.d10), device1_open());	/* CG-127 CG-128 */
	ck_assert_int_eq(device_is_open(world.d20), open_now[DEVICE2]);
}

/* The @n-th of the orders of six: n written with a falling radix picks each time one of
 * those that are left. */
static void order(unsigned n, int ret_order[FILES])
{
	int left[FILES] = { CONTAINER, GROUP1, GROUP2, DEVICE1, DEVICE1_AGAIN, DEVICE2 };

	for (unsigned i = 0; i < FILES; i++) {
		unsigned pick = n % (FILES - i);

		n /= FILES - i;
		ret_order[i] = left[pick];
		memmove(&left[pick], &left[pick + 1], (FILES - 1 - pick) * sizeof(left[0]));
	}
}

static void setup(void)
{
	world_init(&world, NULL);
}

static void teardown(void)
{
	world_done(&world);
}

#define ORDERS 720
#define SHARE (ORDERS / 8)

/* CG-122 CG-123 CG-124 CG-125 CG-126 CG-127 CG-133 CG-134 */
START_TEST(all_orders)
{
	for (unsigned n = (unsigned)_i * SHARE; n < (unsigned)(_i + 1) * SHARE; n++) {
		int closing[FILES];

		order(n, closing);
		open_all();
		check_all();
		for (int i = 0; i < FILES; i++) {
			close_one(closing[i]);
			check_all();
		}
		container_unref(container);
		ck_assert_msg(client_exit(&client), "order %u left a reference", n);
	}
}
END_TEST

/* The table of orders is what it claims to be. */
START_TEST(orders_are_all_different)
{
	static bool seen[46656];
	unsigned distinct = 0;

	for (unsigned n = 0; n < ORDERS; n++) {
		int closing[FILES];
		unsigned key = 0, members = 0;

		order(n, closing);
		for (int i = 0; i < FILES; i++) {
			key = key * 6 + (unsigned)closing[i];
			members |= 1u << closing[i];
		}
		ck_assert_uint_eq(members, 63);
		distinct += !seen[key];
		seen[key] = true;
	}
	ck_assert_uint_eq(distinct, ORDERS);
}
END_TEST

/* CG-123: the group goes to a new container, and the old mappings are gone. */
START_TEST(unset_after_the_container_is_closed)
{
	int fresh;

	open_all();
	close_one(GROUP2);
	close_one(DEVICE2);
	close_one(CONTAINER);
	close_one(DEVICE1);
	close_one(DEVICE1_AGAIN);
	ck_assert_int_eq(client_ioctl(&client, fds[GROUP1], VFIO_GROUP_UNSET_CONTAINER, 0), 0);
	ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_NONE);
	container_unref(container);
	fresh = client_open_container(&client, world.topology);
	ck_assert_int_eq(client_set_container(&client, fds[GROUP1], fresh), 0);
	ck_assert_int_eq(client_ioctl(&client, fresh, VFIO_SET_IOMMU, 3), 0);
	ck_assert_int_eq(client_map(&client, fresh, 3, client_page(8), IOVA, 4096), 0);
	ck_assert(client_exit(&client));
}
END_TEST

/* CG-114: a container that was emptied is as good as new. */
START_TEST(emptied_container_starts_again)
{
	open_all();
	close_one(GROUP1);
	close_one(GROUP2);
	close_one(DEVICE1);
	close_one(DEVICE1_AGAIN);
	close_one(DEVICE2);
	container_unref(container);
	fds[GROUP1] = client_open_group(&client, world.g1);
	ck_assert_int_eq(client_set_container(&client, fds[GROUP1], fds[CONTAINER]), 0);
	ck_assert_int_eq(client_ioctl(&client, fds[CONTAINER], VFIO_SET_IOMMU, 3), 0);
	ck_assert_int_eq(client_map(&client, fds[CONTAINER], 3, client_page(8), IOVA, 4096),
			 0);
	ck_assert(client_exit(&client));
}
END_TEST

static void share(int which)
{
	atomic_fetch_add(&client.fds[fds[which]]->refs, 1);
	child.fds[fds[which]] = client.fds[fds[which]];
}

/* CG-130 CG-131: copies count as one file; a child's mapping is of the child's memory. */
START_TEST(parent_and_child)
{
	uint64_t value = ~VALUE, seen = 0;
	struct container_status status;

	open_all();
	client_init(&child);
	for (int i = 0; i < FILES; i++)
		share(i);
	memcpy(client_at(&child, client_page(8)), &value, sizeof(value));
	ck_assert_int_eq(client_map(&child, fds[CONTAINER], 3, client_page(8),
				    IOVA + 0x10000, 4096), 0);
	for (int i = 0; i < FILES; i++)
		close_one(i);
	ck_assert(!client_exit(&client));	/* its mapping still holds the memory */
	ck_assert_int_eq(client_device_dma(&child, fds[DEVICE1], IOVA + 0x10000, &seen), 0);
	ck_assert_uint_eq(seen, ~VALUE);
	ck_assert_int_eq(client_device_dma(&child, fds[DEVICE1], IOVA, &seen), 0);
	ck_assert_uint_eq(seen, VALUE);
	container_get_status(container, &status);
	ck_assert_uint_eq(status.mappings, 2);
	container_unref(container);
	ck_assert(client_exit(&child));
	ck_assert(client.memory.freed);
	paged_mm_free_bytes(&client.memory);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("close_order");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, all_orders, 0, ORDERS / SHARE);
	tcase_add_test(tc, orders_are_all_different);
	tcase_add_test(tc, unset_after_the_container_is_closed);
	tcase_add_test(tc, emptied_container_starts_again);
	tcase_add_test(tc, parent_and_child);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
