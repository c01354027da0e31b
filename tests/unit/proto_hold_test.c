/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/proto_hold_test.c - calls that are stopped before they act: CALL_READY. A transport
 * whose kernel copies memory gives a call up there and decodes it anew, so until then
 * nothing may have been done, and what is to be written lies where it was said to.
 */
#include <check.h>

#include "unit/harness.h"

#define IOVA 0x200000

static struct world world;
static struct client client;
static int container, group, device, event;

static void setup(void)
{
	world_init(&world, NULL);
	client_init(&client);
	container = client_open_container(&client, world.topology);
	group = client_open_group(&client, world.g1);
	event = client_eventfd(&client);
	ck_assert_int_eq(client_set_container(&client, group, container), 0);
	ck_assert_int_eq(client_ioctl(&client, container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
			 0);
	device = client_get_device(&client, group, "0000:01:00.0");
	ck_assert_int_ge(device, 0);
	client.hold = true;
}

static void teardown(void)
{
	ck_assert(!client.beyond_span);
	ck_assert(client_exit(&client));
	world_done(&world);
}

static uint64_t mappings(void)
{
	struct container_status status;

	container_get_status(client.fds[container]->object.container, &status);
	return status.mappings;
}

START_TEST(nothing_is_done_before)
{
	client.give_up = true;
	ck_assert_int_eq(client_map(&client, container, 3, client_page(8), IOVA, 4096),
			 -EINTR);
	ck_assert(client.ready);
	ck_assert_uint_eq(mappings(), 0);
	ck_assert_int_eq(client_get_device(&client, group, "0000:01:00.1"), -EINTR);
	ck_assert(!device_is_open(world.d11));
	client.give_up = false;
	ck_assert_int_eq(client_map(&client, container, 3, client_page(8), IOVA, 4096), 0);
	ck_assert_uint_eq(mappings(), 1);
}
END_TEST

/* What a call has looked up is given back. */
START_TEST(files_of_a_call_given_up)
{
	struct {
		struct vfio_irq_set set;
		int32_t fds[SCRATCH_VECTORS];
	} arg = { .set = { .argsz = sizeof(arg), .index = VFIO_PCI_MSIX_IRQ_INDEX,
			   .count = SCRATCH_VECTORS,
			   .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER } };

	for (unsigned i = 0; i < SCRATCH_VECTORS; i++)
		arg.fds[i] = event;
	client.give_up = true;
	ck_assert_int_eq(client_ioctl_struct(&client, device, VFIO_DEVICE_SET_IRQS, &arg,
					     sizeof(arg)), -EINTR);
	ck_assert(client.ready);
	ck_assert_uint_eq(atomic_load(&client.fds[event]->eventfd->refs), 1);
	client.give_up = false;
	ck_assert_int_eq(client_ioctl_struct(&client, device, VFIO_DEVICE_SET_IRQS, &arg,
					     sizeof(arg)), 0);
	ck_assert_uint_eq(atomic_load(&client.fds[event]->eventfd->refs), 1 + SCRATCH_VECTORS);
}
END_TEST

/* The room for an answer is argsz; who has none writes nothing. teardown() sees that no
 * answer lay beyond. */
START_TEST(answers_lie_within_the_span)
{
	static const struct { unsigned cmd; uint32_t index; } calls[] = {
		{ VFIO_DEVICE_GET_INFO, 0 }, { VFIO_DEVICE_GET_REGION_INFO, 0 },
		{ VFIO_DEVICE_GET_REGION_INFO, 2 }, { VFIO_DEVICE_GET_IRQ_INFO, 2 },
		{ VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, 0 },
	};

	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		for (uint32_t argsz = 0; argsz < 256; argsz += 4) {
			uint32_t arg[64] = { argsz, 0, calls[i].index };
			int64_t r = client_ioctl_struct(&client, device, calls[i].cmd, arg,
							sizeof(arg));

			/* Too small to be looked at. */
			ck_assert(client.ready || r == -EINVAL);
			ck_assert(!client.ready || client.span == argsz);
		}
	}
	for (uint32_t argsz = 16; argsz < 256; argsz += 4) {
		uint32_t arg[64] = { argsz };

		ck_assert_int_eq(client_ioctl_struct(&client, container, VFIO_IOMMU_GET_INFO,
						     arg, sizeof(arg)), 0);
		ck_assert_uint_eq(client.span, argsz);
	}
	ck_assert_int_eq(client_ioctl(&client, device, VFIO_DEVICE_RESET, 0), 0);
	ck_assert(client.ready);
	ck_assert_uint_eq(client.span, 0);
}
END_TEST

/* What is refused is refused without that stop. */
START_TEST(refused_calls_do_not_stop)
{
	uint32_t arg[64] = { 4 };

	ck_assert_int_eq(client_ioctl_struct(&client, device, VFIO_DEVICE_GET_INFO, arg,
					     sizeof(arg)), -EINVAL);
	ck_assert(!client.ready);
	ck_assert_int_eq(client_ioctl(&client, device, VFIO_DEVICE_GET_INFO, 0x1000), -EFAULT);
	ck_assert(!client.ready);
	ck_assert_int_eq(client_ioctl(&client, device, 0x1234, 0), -ENOTTY);
	ck_assert(!client.ready);
}
END_TEST

START_TEST(a_call_that_is_over_stays_over)
{
	const struct object object = client.fds[device]->object;
	struct call call;

	call_init(&call, object, VFIO_DEVICE_RESET, 0, &client.caller);
	ck_assert_int_eq(call_step(&call), CALL_DONE);
	call.fault = true;
	ck_assert_int_eq(call_step(&call), CALL_DONE);
	ck_assert_int_eq(call.result, 0);
	call_done(&call);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("proto_hold");
	TCase *tc = tcase_create("proto_hold");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nothing_is_done_before);
	tcase_add_test(tc, files_of_a_call_given_up);
	tcase_add_test(tc, answers_lie_within_the_span);
	tcase_add_test(tc, refused_calls_do_not_stop);
	tcase_add_test(tc, a_call_that_is_over_stays_over);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
