/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/proto_event_test.c - decoding of SET_IRQS, IOEVENTFD and FEATURE. */
#include <check.h>

#include "unit/fake_calls.h"

static int64_t on_device(unsigned cmd, void *arg, size_t len)
{
	return client_ioctl_struct(&client, device_fd, cmd, arg, len);
}

/* ---- SET_IRQS ---- */

#define NONE VFIO_IRQ_SET_DATA_NONE
#define BOOL VFIO_IRQ_SET_DATA_BOOL
#define EVENTFD VFIO_IRQ_SET_DATA_EVENTFD
#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER
#define MSIX VFIO_PCI_MSIX_IRQ_INDEX

struct irqs {
	struct vfio_irq_set set;
	union {
		int32_t fds[FAKE_IRQS];
		uint8_t bools[FAKE_IRQS];
	};
};

static void setup_irqs(void)
{
	static const uint32_t counts[5] = { 1, 8, FAKE_IRQS, 0, 1 };

	fake_world_start_ready();
	memcpy(fake.irq_counts, counts, sizeof(counts));
}

static struct irqs irqs(uint32_t flags, uint32_t index, uint32_t start, uint32_t count)
{
	return (struct irqs){ .set = { .argsz = sizeof(struct irqs), .flags = flags,
		.index = index, .start = start, .count = count } };
}

static int64_t set_irqs(struct irqs arg)
{
	return on_device(VFIO_DEVICE_SET_IRQS, &arg, sizeof(arg));
}

/* PCI-053 PCI-054 PCI-055 PCI-056 */
START_TEST(irqs_checks)
{
	ck_assert_int_eq(set_irqs(irqs(NONE | TRIGGER | 0x40, MSIX, 0, 1)), -EINVAL);
	ck_assert_int_eq(set_irqs(irqs(NONE | TRIGGER, 5, 0, 1)), -EINVAL);
	ck_assert_int_eq(set_irqs(irqs(NONE | TRIGGER, UINT32_MAX, 0, 1)), -EINVAL);
	ck_assert_int_eq(set_irqs(irqs(NONE | TRIGGER, MSIX, 1, UINT32_MAX - 1)), -EINVAL);
	ck_assert_int_eq(set_irqs(irqs(NONE | TRIGGER, MSIX, 2, UINT32_MAX - 1)), -EINVAL);
	ck_assert_int_eq(set_irqs(irqs(NONE | TRIGGER, MSIX, UINT32_MAX, 0)), -EINVAL);
	ck_assert_int_eq(set_irqs(irqs(NONE | TRIGGER, MSIX, UINT32_MAX, UINT32_MAX)),
			 -EINVAL);
	ck_assert_int_eq(set_irqs(irqs(NONE | TRIGGER, MSIX, FAKE_IRQS, 0)), -EINVAL);
	ck_assert_int_eq(set_irqs(irqs(NONE | TRIGGER, 3, 0, 0)), -EINVAL);
	ck_assert_int_eq(set_irqs(irqs(NONE | TRIGGER, MSIX, 0, FAKE_IRQS + 1)), -EINVAL);
	ck_assert_int_eq(set_irqs(irqs(NONE | TRIGGER, MSIX, FAKE_IRQS - 1, 2)), -EINVAL);
	ck_assert_int_eq(set_irqs(irqs(TRIGGER, MSIX, 0, 1)), -EINVAL);
	ck_assert_int_eq(set_irqs(irqs(NONE | BOOL | TRIGGER, MSIX, 0, 1)), -EINVAL);
	ck_assert_int_eq(set_irqs(irqs(BOOL | EVENTFD | TRIGGER, MSIX, 0, 1)), -EINVAL);
	ck_assert_int_eq(set_irqs(irqs(7 | TRIGGER, MSIX, 0, 1)), -EINVAL);
	ck_assert_int_eq(fake.count, 0);
}
END_TEST

/* PCI-059 PCI-060: action bits and the answer are the core's, positive ones too (PCI-083). */
START_TEST(irqs_none)
{
	ck_assert_int_eq(set_irqs(irqs(NONE | 0x38, MSIX, 3, 2)), 0);
	ck_assert_uint_eq(fake.flags, NONE | 0x38);
	ck_assert_uint_eq(fake.index, MSIX);
	ck_assert_uint_eq(fake.start, 3);
	ck_assert_uint_eq(fake.n, 2);
	ck_assert(!fake.has_bools && !fake.has_events);
	ck_assert_uint_eq(client.heap_used, 0);
	fake.error = 16;
	ck_assert_int_eq(set_irqs(irqs(NONE | TRIGGER, MSIX, 0, 0)), 16);
	fake.error = -ENOTTY;
	ck_assert_int_eq(set_irqs(irqs(NONE, MSIX, 0, 0)), -ENOTTY);
}
END_TEST

/* PCI-057 PCI-058 */
START_TEST(irqs_data_size)
{
	struct irqs arg = irqs(BOOL | TRIGGER, MSIX, 0, 5);

	arg.set.argsz = 24;
	ck_assert_int_eq(set_irqs(arg), -EINVAL);
	arg.set.argsz = 25;
	arg.bools[4] = 0xff;
	ck_assert_int_eq(set_irqs(arg), 0);
	ck_assert(fake.has_bools && !fake.has_events);
	ck_assert_uint_eq(fake.bools[3], 0);
	ck_assert_uint_eq(fake.bools[4], 0xff);
	ck_assert_uint_eq(client.heap_used, 0);

	arg = irqs(EVENTFD | TRIGGER, MSIX, 0, 5);
	arg.set.argsz = 39;
	ck_assert_int_eq(set_irqs(arg), -EINVAL);
	arg.set.argsz = 40;
	memset(arg.fds, 0xff, sizeof(arg.fds));
	ck_assert_int_eq(set_irqs(arg), 0);
	ck_assert(!fake.has_bools && fake.has_events);
	ck_assert_int_eq(fake.count, 2);
	arg.set.count = 0;		/* no data, none is read */
	arg.set.argsz = 20;
	ck_assert_int_eq(set_irqs(arg), 0);
	ck_assert_uint_eq(client.steps, 1);
}
END_TEST

/* PCI-058: and the size is judged before the copy. */
START_TEST(irqs_data_unreadable)
{
	struct irqs arg = irqs(EVENTFD | TRIGGER, MSIX, 0, 2);
	uint64_t addr = client_page(2) - 27;

	paged_mm_protect(&client.memory, client_page(2), 1, 0);
	memcpy(client_at(&client, addr), &arg, 20);
	ck_assert_int_eq(client_ioctl(&client, device_fd, VFIO_DEVICE_SET_IRQS, addr),
			 -EFAULT);
	arg.set.argsz = 20;
	memcpy(client_at(&client, addr), &arg, 20);
	ck_assert_int_eq(client_ioctl(&client, device_fd, VFIO_DEVICE_SET_IRQS, addr),
			 -EINVAL);
	ck_assert_int_eq(fake.count, 0);
}
END_TEST

/* PCI-066 PCI-072 PCI-088 PCI-091: each fd goes down with its own error. */
START_TEST(irqs_eventfds)
{
	struct irqs arg = irqs(EVENTFD | TRIGGER, MSIX, 0, 4);
	int event = client_eventfd(&client), other = client_other_file(&client);

	arg.fds[0] = event;
	arg.fds[1] = -7;
	arg.fds[2] = other;
	arg.fds[3] = 62;
	fake.error = -EINVAL;
	ck_assert_int_eq(set_irqs(arg), -EINVAL);
	ck_assert_int_eq(fake.events[0].err, 0);
	ck_assert_int_eq(fake.events[1].fd, -7);
	ck_assert_int_eq(fake.events[1].err, 0);
	ck_assert_ptr_null(fake.events[1].event);
	ck_assert_int_eq(fake.events[2].err, -EINVAL);
	ck_assert_int_eq(fake.events[3].err, -EBADF);
	ck_assert_uint_eq(client_drain(&client, event), 1);
	ck_assert_uint_eq(client.heap_used, 0);		/* four are small enough */
	ck_assert_int_eq(client.fds[event]->eventfd->refs, 1);

	arg.fds[0] = group_fd;		/* ours, but no eventfd */
	ck_assert_int_eq(set_irqs(arg), -EINVAL);
	ck_assert_int_eq(fake.events[0].err, -EINVAL);
}
END_TEST

/* All vectors at once, each with an eventfd. */
START_TEST(irqs_many_eventfds)
{
	struct irqs arg = irqs(EVENTFD | TRIGGER, MSIX, 0, FAKE_IRQS);
	int event = client_eventfd(&client);

	for (unsigned i = 0; i < FAKE_IRQS; i++)
		arg.fds[i] = event;
	ck_assert_int_eq(set_irqs(arg), 0);
	ck_assert_uint_eq(client_drain(&client, event), FAKE_IRQS);
	ck_assert_int_eq(client.fds[event]->eventfd->refs, 1);
}
END_TEST

/* No lookup where no fd is given. */
START_TEST(irqs_all_negative)
{
	struct irqs arg = irqs(EVENTFD | TRIGGER, MSIX, 0, FAKE_IRQS);

	memset(arg.fds, 0xff, sizeof(arg.fds));
	ck_assert_int_eq(set_irqs(arg), 0);
	ck_assert_uint_eq(client.steps, 2);
	ck_assert_int_eq(fake.events[FAKE_IRQS - 1].fd, -1);
	ck_assert_int_eq(fake.events[FAKE_IRQS - 1].err, 0);
}
END_TEST

/* ---- IOEVENTFD ---- */

/* PCI-132 PCI-139 PCI-143 PCI-144 */
START_TEST(ioeventfd)
{
	struct vfio_device_ioeventfd arg = { .argsz = 28, .flags = 0xff4, .offset = 0x123,
		.data = 0x456, .fd = client_eventfd(&client) };
	int event = arg.fd;

	ck_assert_int_eq(on_device(VFIO_DEVICE_IOEVENTFD, &arg, 28), 0);
	ck_assert_uint_eq(fake.flags, 0xff4);
	ck_assert_uint_eq(fake.offset, 0x123);
	ck_assert_uint_eq(fake.data, 0x456);
	ck_assert_int_eq(fake.event.fd, event);
	ck_assert_int_eq(fake.event.err, 0);
	ck_assert_ptr_nonnull(fake.event.event);
	ck_assert_uint_eq(client.heap_used, 0);
	arg.fd = -2;
	ck_assert_int_eq(on_device(VFIO_DEVICE_IOEVENTFD, &arg, 28), 0);
	ck_assert_int_eq(fake.event.fd, -2);
	ck_assert_ptr_null(fake.event.event);
	arg.fd = 62;
	ck_assert_int_eq(on_device(VFIO_DEVICE_IOEVENTFD, &arg, 28), 0);
	ck_assert_int_eq(fake.event.err, -EBADF);
	arg.fd = container_fd;
	ck_assert_int_eq(on_device(VFIO_DEVICE_IOEVENTFD, &arg, 28), 0);
	ck_assert_int_eq(fake.event.err, -EINVAL);
}
END_TEST

/* ---- FEATURE ---- */

#define GET VFIO_DEVICE_FEATURE_GET
#define SET VFIO_DEVICE_FEATURE_SET
#define PROBE VFIO_DEVICE_FEATURE_PROBE

struct feature_arg {
	uint32_t argsz, flags;
	uint8_t data[64];
};

static int64_t feature(uint32_t argsz, uint32_t flags)
{
	struct feature_arg arg = { .argsz = argsz, .flags = flags };

	return on_device(VFIO_DEVICE_FEATURE, &arg, sizeof(arg));
}

/* PCI-147 PCI-148 PCI-149 PCI-150 PCI-151 PCI-152 PCI-153, in this order. */
START_TEST(feature_checks)
{
	fake.feature_error = -ENOTTY;
	fake.feature = (struct feature_info){ .set = true, .size = 8 };
	ck_assert_int_eq(feature(8, 1u << 19 | SET | 4), -EINVAL);
	ck_assert_int_eq(feature(8, 1u << 31), -EINVAL);
	ck_assert_int_eq(feature(8, GET | SET | 4), -EINVAL);
	ck_assert_int_eq(feature(8, SET | 0xfffe), -ENOTTY);
	ck_assert_uint_eq(fake.feature_id, 0xfffe);
	fake.feature_error = 0;
	ck_assert_int_eq(feature(8, GET | 4), -EINVAL);
	ck_assert_int_eq(feature(8, PROBE | GET | 4), -EINVAL);
	ck_assert_int_eq(feature(8, PROBE | GET | SET | 4), -EINVAL);
	ck_assert_int_eq(feature(8, PROBE | SET | 4), 0);
	ck_assert_int_eq(feature(8, PROBE | 4), 0);
	ck_assert_int_eq(feature(16, 4), -EINVAL);
	ck_assert_int_eq(feature(15, SET | 4), -EINVAL);
	ck_assert_int_eq(fake.count, 0);
	ck_assert_int_eq(feature(16, SET | 4), 0);
	ck_assert(fake.set);
	fake.feature = (struct feature_info){ .get = true };
	ck_assert_int_eq(feature(8, PROBE | SET | 4), -EINVAL);
	ck_assert_int_eq(feature(8, GET | 4), 0);
	ck_assert(!fake.set);
}
END_TEST

/* PCI-154 PCI-158: SET data goes in and does not come back; none is read if none is due. */
START_TEST(feature_set)
{
	struct feature_arg arg = { .argsz = 8 + 32, .flags = SET | 3, .data = "abc" }, before;

	before = arg;
	fake.feature = (struct feature_info){ .set = true, .size = 32 };
	ck_assert_int_eq(on_device(VFIO_DEVICE_FEATURE, &arg, sizeof(arg)), 0);
	ck_assert_mem_eq(fake.feature_data, arg.data, 32);
	ck_assert_mem_eq(&arg, &before, sizeof(arg));
	fake.feature.size = 0;
	arg.argsz = 8;
	ck_assert_int_eq(on_device(VFIO_DEVICE_FEATURE, &arg, sizeof(arg)), 0);
	ck_assert_uint_eq(client.steps, 1);
}
END_TEST

/* PCI-154: GET data comes back. */
START_TEST(feature_get)
{
	struct feature_arg arg = { .argsz = 8 + 32, .flags = GET | 3 };

	fake.feature = (struct feature_info){ .get = true, .size = 32 };
	ck_assert_int_eq(on_device(VFIO_DEVICE_FEATURE, &arg, sizeof(arg)), 0);
	ck_assert_uint_eq(arg.data[0], 0x5a);
	ck_assert_uint_eq(arg.data[31], 0x5a);
	ck_assert_uint_eq(arg.data[32], 0);
	fake.error = -EINVAL;
	memset(arg.data, 0, sizeof(arg.data));
	ck_assert_int_eq(on_device(VFIO_DEVICE_FEATURE, &arg, sizeof(arg)), -EINVAL);
	ck_assert_uint_eq(arg.data[0], 0);
}
END_TEST

/* PCI-168 PCI-170: data that cannot be read; an eventfd inside the data. */
START_TEST(feature_with_eventfd)
{
	struct feature_arg arg = { .argsz = 16, .flags = SET | 4 };
	int32_t fd = client_eventfd(&client);
	uint64_t addr = client_page(2) - 15;

	fake.feature = (struct feature_info){ .set = true, .size = 8, .takes_eventfd = true };
	memcpy(arg.data, &fd, 4);
	ck_assert_int_eq(on_device(VFIO_DEVICE_FEATURE, &arg, sizeof(arg)), 0);
	ck_assert_int_eq(fake.event.fd, fd);
	ck_assert_ptr_nonnull(fake.event.event);
	ck_assert_int_eq(client.fds[fd]->eventfd->refs, 1);
	fd = -3;
	memcpy(arg.data, &fd, 4);
	ck_assert_int_eq(on_device(VFIO_DEVICE_FEATURE, &arg, sizeof(arg)), 0);
	ck_assert_int_eq(fake.event.fd, -3);
	ck_assert_int_eq(fake.event.err, 0);
	fd = 62;
	memcpy(arg.data, &fd, 4);
	ck_assert_int_eq(on_device(VFIO_DEVICE_FEATURE, &arg, sizeof(arg)), 0);
	ck_assert_int_eq(fake.event.err, -EBADF);
	ck_assert_uint_eq(client.heap_used, 0);

	paged_mm_protect(&client.memory, client_page(2), 1, 0);
	memcpy(client_at(&client, addr), &arg, 8);
	ck_assert_int_eq(client_ioctl(&client, device_fd, VFIO_DEVICE_FEATURE, addr), -EFAULT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("proto_event");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup_irqs, fake_world_stop);
	tcase_add_test(tc, irqs_checks);
	tcase_add_test(tc, irqs_none);
	tcase_add_test(tc, irqs_data_size);
	tcase_add_test(tc, irqs_data_unreadable);
	tcase_add_test(tc, irqs_eventfds);
	tcase_add_test(tc, irqs_many_eventfds);
	tcase_add_test(tc, irqs_all_negative);
	tcase_add_test(tc, ioeventfd);
	tcase_add_test(tc, feature_checks);
	tcase_add_test(tc, feature_set);
	tcase_add_test(tc, feature_get);
	tcase_add_test(tc, feature_with_eventfd);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
