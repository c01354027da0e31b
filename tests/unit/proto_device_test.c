/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/proto_device_test.c - decoding of device ioctls: information and resets. */
#include <check.h>
#include <sys/ioctl.h>

#include "unit/fake_calls.h"

static int64_t on_device(unsigned cmd, void *arg, size_t len)
{
	return client_ioctl_struct(&client, device_fd, cmd, arg, len);
}

#define BIND_IOMMUFD _IO(VFIO_TYPE, 118)

/* PCI-001: a file that was opened through its group is bound already, but first the struct
 * is read: CD-009 CD-010 CD-011 CD-012. */
START_TEST(bind_is_for_device_nodes)
{
	static uint32_t arg[4096 / 4 + 4];
	uint64_t end = client_page(2);

	for (uint32_t argsz = 0; argsz <= 64; argsz++) {
		arg[0] = argsz;
		ck_assert_int_eq(on_device(BIND_IOMMUFD, arg, 64), -EINVAL);
	}
	arg[6] = 1;			/* the first word behind the struct */
	for (uint32_t argsz = 0; argsz <= 64; argsz++) {
		arg[0] = argsz;
		ck_assert_int_eq(on_device(BIND_IOMMUFD, arg, 64),
				 argsz <= 24 ? -EINVAL : -E2BIG);
	}
	/* As far as it is looked at, and a byte further. */
	memset(arg, 0, sizeof(arg));
	arg[0] = UINT32_MAX;
	((uint8_t *)arg)[4096] = 1;
	ck_assert_int_eq(on_device(BIND_IOMMUFD, arg, sizeof(arg)), -EINVAL);
	((uint8_t *)arg)[4095] = 1;
	ck_assert_int_eq(on_device(BIND_IOMMUFD, arg, sizeof(arg)), -E2BIG);
	paged_mm_protect(&client.memory, client_page(2), 1, 0);
	*(uint32_t *)client_at(&client, end - 8) = 15;
	ck_assert_int_eq(client_ioctl(&client, device_fd, BIND_IOMMUFD, end - 8), -EINVAL);
	*(uint32_t *)client_at(&client, end - 8) = 16;
	ck_assert_int_eq(client_ioctl(&client, device_fd, BIND_IOMMUFD, end - 8), -EFAULT);
}
END_TEST

/* PCI-004 PCI-005 */
START_TEST(unknown_commands)
{
	for (unsigned nr = 100; nr < 107; nr++)
		ck_assert_int_eq(client_ioctl(&client, device_fd, _IO(VFIO_TYPE, nr), 0),
				 -ENOTTY);
	ck_assert_int_eq(client_ioctl(&client, device_fd, _IO(VFIO_TYPE, 114), 0), -ENOTTY);
	ck_assert_int_eq(client_ioctl(&client, device_fd, _IO(VFIO_TYPE, 115), 0), -ENOTTY);
	ck_assert_int_eq(client_ioctl(&client, device_fd, BIND_IOMMUFD, 0), -EFAULT);
	for (unsigned nr = 119; nr < 130; nr++)
		ck_assert_int_eq(client_ioctl(&client, device_fd, _IO(VFIO_TYPE, nr), 0),
				 -ENOTTY);
	ck_assert_int_eq(client_ioctl(&client, device_fd, TCGETS, 0), -ENOTTY);
}
END_TEST

/* ---- GET_INFO ---- */

/* PCI-020 PCI-024: cut to argsz, cap_offset 0. */
START_TEST(info_is_cut)
{
	for (uint32_t argsz = 16; argsz <= 25; argsz++) {
		uint32_t arg[7];

		memset(arg, 0x77, sizeof(arg));
		arg[0] = argsz;
		fake.device_info = (struct device_info){ 3, 9, 5 };
		ck_assert_int_eq(on_device(VFIO_DEVICE_GET_INFO, arg, sizeof(arg)), 0);
		ck_assert_uint_eq(arg[0], argsz);
		ck_assert_uint_eq(arg[1], 3);
		ck_assert_uint_eq(arg[2], 9);
		ck_assert_uint_eq(arg[3], 5);
		for (uint32_t i = 16; i < sizeof(arg); i++)
			ck_assert_uint_eq(((uint8_t *)arg)[i],
					  i < argsz && i < 24 ? 0 : 0x77);
	}
}
END_TEST

/* PCI-020: unwritable. */
START_TEST(device_info_unwritable)
{
	*(uint32_t *)client_at(&client, client_page(1)) = 24;
	paged_mm_protect(&client.memory, client_page(1), 1, CUSED_PROT_READ);
	ck_assert_int_eq(client_ioctl(&client, device_fd, VFIO_DEVICE_GET_INFO,
				      client_page(1)), -EFAULT);
	ck_assert_int_eq(client_ioctl(&client, device_fd, VFIO_DEVICE_GET_REGION_INFO,
				      client_page(1)), -EINVAL);	/* argsz first */
	*(uint32_t *)client_at(&client, client_page(1)) = 32;
	ck_assert_int_eq(client_ioctl(&client, device_fd, VFIO_DEVICE_GET_REGION_INFO,
				      client_page(1)), -EFAULT);
	ck_assert_int_eq(client_ioctl(&client, device_fd, VFIO_DEVICE_GET_IRQ_INFO,
				      client_page(1)), -EFAULT);
}
END_TEST

/* ---- GET_REGION_INFO ---- */

struct region_buf {
	struct vfio_region_info info;
	uint8_t chain[128];
};

/* PCI-028 PCI-031 PCI-032 */
START_TEST(region_without_capabilities)
{
	struct region_buf buf = { .info = { .argsz = 32, .flags = 0xff, .index = 7,
		.cap_offset = 0x1234 } }, before;

	fake.region = (struct region_info){ .flags = 3, .size = 4096, .offset = 7ull << 40 };
	ck_assert_int_eq(on_device(VFIO_DEVICE_GET_REGION_INFO, &buf, sizeof(buf)), 0);
	ck_assert_uint_eq(fake.index, 7);
	ck_assert_uint_eq(buf.info.flags, 3);
	ck_assert_uint_eq(buf.info.cap_offset, 0x1234);
	ck_assert_uint_eq(buf.info.size, 4096);
	ck_assert_uint_eq(buf.info.offset, 7ull << 40);
	ck_assert_uint_eq(client.heap_used, 0);
	fake.error = -EINVAL;
	before = buf;
	ck_assert_int_eq(on_device(VFIO_DEVICE_GET_REGION_INFO, &buf, sizeof(buf)), -EINVAL);
	ck_assert_mem_eq(&buf, &before, sizeof(buf));
}
END_TEST

/* PCI-029 PCI-030 PCI-039 */
START_TEST(region_with_msix)
{
	struct region_buf buf = { .info = { .argsz = 39, .cap_offset = 5 } };
	struct vfio_info_cap_header *cap = (void *)buf.chain;

	fake.region = (struct region_info){ .flags = 7, .msix_mappable = true };
	ck_assert_int_eq(on_device(VFIO_DEVICE_GET_REGION_INFO, &buf, sizeof(buf)), 0);
	ck_assert_uint_eq(buf.info.argsz, 40);
	ck_assert_uint_eq(buf.info.flags, 15);
	ck_assert_uint_eq(buf.info.cap_offset, 0);
	ck_assert_uint_eq(cap->id, 0);
	ck_assert_int_eq(on_device(VFIO_DEVICE_GET_REGION_INFO, &buf, sizeof(buf)), 0);
	ck_assert_uint_eq(buf.info.argsz, 40);
	ck_assert_uint_eq(buf.info.cap_offset, 32);
	ck_assert_uint_eq(cap->id, 3);
	ck_assert_uint_eq(cap->version, 1);
	ck_assert_uint_eq(cap->next, 0);
}
END_TEST

/* PCI-030 PCI-044: sparse areas, and a chain of two. */
START_TEST(region_with_areas)
{
	struct region_buf buf = { .info = { .argsz = sizeof(buf) } };
	struct vfio_region_info_cap_sparse_mmap *sparse = (void *)buf.chain;
	struct vfio_info_cap_header *msix;

	fake.region = (struct region_info){ .flags = 7, .msix_mappable = true, .n_areas = 4,
		.areas = { { 0, 0xfff }, { 0x2000, 0x2fff }, { 0x4000, 0x5fff },
			   { 0x8000, 0x8fff } } };
	ck_assert_int_eq(on_device(VFIO_DEVICE_GET_REGION_INFO, &buf, sizeof(buf)), 0);
	ck_assert_uint_eq(buf.info.argsz, sizeof(buf));
	ck_assert_uint_eq(buf.info.cap_offset, 32);
	ck_assert_uint_eq(sparse->header.id, 1);
	ck_assert_uint_eq(sparse->header.version, 1);
	ck_assert_uint_eq(sparse->header.next, 32 + 16 + 4 * 16);
	ck_assert_uint_eq(sparse->nr_areas, 4);
	ck_assert_uint_eq(sparse->reserved, 0);
	ck_assert_uint_eq(sparse->areas[2].offset, 0x4000);
	ck_assert_uint_eq(sparse->areas[2].size, 0x2000);
	msix = (void *)((char *)&buf + sparse->header.next);
	ck_assert_uint_eq(msix->id, 3);
	ck_assert_uint_eq(msix->next, 0);
	ck_assert_uint_eq(client.heap_used, 0);

	buf.info.argsz = 32 + 16 + 4 * 16 + 7;
	ck_assert_int_eq(on_device(VFIO_DEVICE_GET_REGION_INFO, &buf, sizeof(buf)), 0);
	ck_assert_uint_eq(buf.info.argsz, 32 + 16 + 4 * 16 + 8);
	ck_assert_uint_eq(buf.info.cap_offset, 0);
}
END_TEST

/* The chain is written first: a chain that faults leaves the struct alone. */
START_TEST(region_chain_unwritable)
{
	struct vfio_region_info info = { .argsz = 40 };

	fake.region = (struct region_info){ .flags = 7, .msix_mappable = true };
	memcpy(client_at(&client, client_page(2) - 32), &info, 32);
	paged_mm_protect(&client.memory, client_page(2), 1, 0);
	ck_assert_int_eq(client_ioctl(&client, device_fd, VFIO_DEVICE_GET_REGION_INFO,
				      client_page(2) - 32), -EFAULT);
	ck_assert_mem_eq(client_at(&client, client_page(2) - 32), &info, 32);
}
END_TEST

/* PCI-046 PCI-048 */
START_TEST(irq_info)
{
	struct vfio_irq_info arg = { .argsz = 16, .index = 2, .flags = 0xff, .count = 99 };

	fake.irq = (struct irq_info){ 9, 17 };
	ck_assert_int_eq(on_device(VFIO_DEVICE_GET_IRQ_INFO, &arg, sizeof(arg)), 0);
	ck_assert_uint_eq(fake.index, 2);
	ck_assert_uint_eq(arg.flags, 9);
	ck_assert_uint_eq(arg.count, 17);
	fake.error = -EINVAL;
	arg.index = 5;
	arg.count = 99;
	ck_assert_int_eq(on_device(VFIO_DEVICE_GET_IRQ_INFO, &arg, sizeof(arg)), -EINVAL);
	ck_assert_uint_eq(arg.count, 99);
}
END_TEST

/* PCI-105 PCI-108: the argument is not looked at. */
START_TEST(reset)
{
	ck_assert_int_eq(client_ioctl(&client, device_fd, VFIO_DEVICE_RESET, UINT64_MAX), 0);
	fake.error = -EINVAL;
	ck_assert_int_eq(client_ioctl(&client, device_fd, VFIO_DEVICE_RESET, 0), -EINVAL);
}
END_TEST

/* ---- hot reset ---- */

struct reset_info_buf {
	struct vfio_pci_hot_reset_info info;
	struct vfio_pci_dependent_device devices[4];
	uint32_t guard;
};

/* PCI-111 PCI-112 */
START_TEST(reset_info_without_room)
{
	struct reset_info_buf buf = { .info = { .argsz = 12 + 8 * 3 - 1, .flags = 9 } };

	fake.affected = -ENODEV;
	ck_assert_int_eq(on_device(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &buf, sizeof(buf)),
			 -ENODEV);
	ck_assert_uint_eq(buf.info.flags, 9);
	fake.affected = 3;
	memset(buf.devices, 0x77, sizeof(buf.devices));
	ck_assert_int_eq(on_device(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &buf, sizeof(buf)),
			 -ENOSPC);
	ck_assert_uint_eq(buf.info.argsz, 12 + 8 * 3 - 1);
	ck_assert_uint_eq(buf.info.flags, 0);
	ck_assert_uint_eq(buf.info.count, 3);
	ck_assert_uint_eq(buf.devices[0].group_id, 0x77777777);
}
END_TEST

/* PCI-115 PCI-116 */
START_TEST(reset_info)
{
	struct reset_info_buf buf = { .info = { .argsz = 12 + 8 * 3 }, .guard = 0x77 };
	uint64_t addr = client_page(2) - 12;

	fake.affected = 3;
	memset(buf.devices, 0x77, sizeof(buf.devices));
	ck_assert_int_eq(on_device(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &buf, sizeof(buf)), 0);
	ck_assert_uint_eq(buf.info.count, 3);
	ck_assert_uint_eq(buf.devices[2].group_id, 102);
	ck_assert_uint_eq(buf.devices[2].segment, 1);
	ck_assert_uint_eq(buf.devices[2].bus, 2);
	ck_assert_uint_eq(buf.devices[2].devfn, 2);
	ck_assert_uint_eq(buf.devices[3].group_id, 0x77777777);
	buf.info.count = 0x77;		/* the header stays as it is if the entries fault */
	memcpy(client_at(&client, addr), &buf, 12);
	paged_mm_protect(&client.memory, client_page(2), 1, 0);
	ck_assert_int_eq(client_ioctl(&client, device_fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
				      addr), -EFAULT);
	ck_assert_mem_eq(client_at(&client, addr), &buf, 12);
}
END_TEST

/* As many devices as a bus can have. */
START_TEST(reset_info_of_a_full_bus)
{
	static uint8_t buf[12 + 8 * HOT_RESET_MAX];
	struct vfio_pci_hot_reset_info *info = (void *)buf;

	info->argsz = sizeof(buf);
	fake.affected = HOT_RESET_MAX;
	ck_assert_int_eq(on_device(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, buf, sizeof(buf)), 0);
	ck_assert_uint_eq(info->devices[255].devfn, 255);
}
END_TEST

struct reset_buf {
	struct vfio_pci_hot_reset reset;
	int32_t fds[8];
};

/* PCI-119 PCI-120 PCI-121 PCI-122: argsz is not compared with count. */
START_TEST(hot_reset_checks)
{
	struct reset_buf buf = { .reset = { .argsz = 12, .flags = 1, .count = 1 } };

	fake.affected = 2;
	ck_assert_int_eq(on_device(VFIO_DEVICE_PCI_HOT_RESET, &buf, sizeof(buf)), -EINVAL);
	buf.reset.flags = 0;
	buf.reset.count = 0;
	fake.affected = -ENODEV;
	ck_assert_int_eq(on_device(VFIO_DEVICE_PCI_HOT_RESET, &buf, sizeof(buf)), -EINVAL);
	buf.reset.count = UINT32_MAX;
	ck_assert_int_eq(on_device(VFIO_DEVICE_PCI_HOT_RESET, &buf, sizeof(buf)), -ENODEV);
	fake.affected = 2;
	ck_assert_int_eq(on_device(VFIO_DEVICE_PCI_HOT_RESET, &buf, sizeof(buf)), -EINVAL);
	buf.reset.count = 3;
	ck_assert_int_eq(on_device(VFIO_DEVICE_PCI_HOT_RESET, &buf, sizeof(buf)), -EINVAL);
	ck_assert_int_eq(fake.count, 0);
	buf.reset.count = 2;
	buf.fds[0] = buf.fds[1] = group_fd;
	ck_assert_int_eq(on_device(VFIO_DEVICE_PCI_HOT_RESET, &buf, sizeof(buf)), 0);
	ck_assert_uint_eq(fake.n, 2);
	ck_assert_ptr_eq(fake.groups[1].group, group);
	ck_assert_int_eq(fake.groups[1].err, 0);
}
END_TEST

/* PCI-123 PCI-124 PCI-125: what each fd is goes to the core. */
START_TEST(hot_reset_fds)
{
	struct reset_buf buf = { .reset = { .argsz = 44, .count = 4 } };
	uint64_t addr = client_page(2) - 12 - 15;

	fake.affected = 4;
	fake.error = -EBADF;
	buf.fds[0] = group_fd;
	buf.fds[1] = container_fd;
	buf.fds[2] = -1;
	buf.fds[3] = 61;
	ck_assert_int_eq(on_device(VFIO_DEVICE_PCI_HOT_RESET, &buf, sizeof(buf)), -EBADF);
	ck_assert_int_eq(fake.groups[0].err, 0);
	ck_assert_int_eq(fake.groups[1].err, -EINVAL);
	ck_assert_int_eq(fake.groups[2].err, -EBADF);
	ck_assert_int_eq(fake.groups[3].err, -EBADF);
	memcpy(client_at(&client, addr), &buf, 12);
	paged_mm_protect(&client.memory, client_page(2), 1, 0);
	ck_assert_int_eq(client_ioctl(&client, device_fd, VFIO_DEVICE_PCI_HOT_RESET, addr),
			 -EFAULT);
	ck_assert_int_eq(fake.count, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("proto_device");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, fake_world_start_ready, fake_world_stop);
	tcase_add_test(tc, bind_is_for_device_nodes);
	tcase_add_test(tc, unknown_commands);
	tcase_add_test(tc, info_is_cut);
	tcase_add_test(tc, device_info_unwritable);
	tcase_add_test(tc, region_without_capabilities);
	tcase_add_test(tc, region_with_msix);
	tcase_add_test(tc, region_with_areas);
	tcase_add_test(tc, region_chain_unwritable);
	tcase_add_test(tc, irq_info);
	tcase_add_test(tc, reset);
	tcase_add_test(tc, reset_info_without_room);
	tcase_add_test(tc, reset_info);
	tcase_add_test(tc, reset_info_of_a_full_bus);
	tcase_add_test(tc, hot_reset_checks);
	tcase_add_test(tc, hot_reset_fds);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
