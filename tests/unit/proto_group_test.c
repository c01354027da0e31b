/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/proto_group_test.c - decoding of group ioctls, and rules common to all of them. */
#include <check.h>
#include <sys/ioctl.h>

#include "unit/fake_calls.h"

#define TOP 0xffffffffffffff00ull

/* ---- argsz, on every command that has it ---- */

struct argsz_case {
	const int *fd;
	unsigned cmd;
	uint32_t min;
};

static const struct argsz_case argsz_cases[] = {
	{ &container_fd, VFIO_IOMMU_GET_INFO, 16 },			/* T1-001 T1-002 */
	{ &container_fd, VFIO_IOMMU_MAP_DMA, 32 },			/* T1-014 T1-015 */
	{ &container_fd, VFIO_IOMMU_UNMAP_DMA, 24 },			/* T1-052 T1-053 */
	{ &container_fd, VFIO_IOMMU_DIRTY_PAGES, 8 },			/* T1-084 T1-085 */
	{ &group_fd, VFIO_GROUP_GET_STATUS, 8 },			/* CG-057 CG-058 */
	{ &device_fd, VFIO_DEVICE_GET_INFO, 16 },			/* PCI-016 PCI-017 */
	{ &device_fd, VFIO_DEVICE_GET_REGION_INFO, 32 },		/* PCI-026 PCI-027 */
	{ &device_fd, VFIO_DEVICE_GET_IRQ_INFO, 16 },			/* PCI-045 PCI-046 */
	{ &device_fd, VFIO_DEVICE_SET_IRQS, 20 },			/* PCI-052 PCI-053 */
	{ &device_fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, 12 },		/* PCI-109 PCI-110 */
	{ &device_fd, VFIO_DEVICE_PCI_HOT_RESET, 12 },			/* PCI-118 PCI-119 */
	{ &device_fd, VFIO_DEVICE_IOEVENTFD, 28 },			/* PCI-130 PCI-131 */
	{ &device_fd, VFIO_DEVICE_FEATURE, 8 },				/* PCI-145 PCI-146 */
};

#define N_ARGSZ (sizeof(argsz_cases) / sizeof(argsz_cases[0]))

/* CG-001: exactly the minimum is read, and a fault comes before argsz. */
START_TEST(fault_comes_before_argsz)
{
	const struct argsz_case *c = &argsz_cases[_i];
	uint64_t addr = client_page(2) - (c->min - 1);
	const uint32_t large = 4096, none = 0;
	static const uint64_t wild[] = { 0, 8, TOP, UINT64_MAX, 1ull << 63 };

	paged_mm_protect(&client.memory, client_page(2), 1, 0);
	ck_assert_int_eq(client_ioctl(&client, *c->fd, c->cmd, addr), -EFAULT);
	memcpy(client_at(&client, addr), &large, 4);
	ck_assert_int_eq(client_ioctl(&client, *c->fd, c->cmd, addr), -EFAULT);
	for (unsigned i = 0; i < sizeof(wild) / sizeof(wild[0]); i++)
		ck_assert_int_eq(client_ioctl(&client, *c->fd, c->cmd, wild[i]), -EFAULT);
	ck_assert_int_eq(fake.count, 0);
	/* One byte lower everything is there: argsz is 0 now. */
	memcpy(client_at(&client, addr - 1), &none, 4);
	ck_assert_int_eq(client_ioctl(&client, *c->fd, c->cmd, addr - 1), -EINVAL);
}
END_TEST

/* CG-002 */
START_TEST(small_argsz)
{
	const struct argsz_case *c = &argsz_cases[_i];
	uint8_t arg[64], before[64];

	for (uint32_t argsz = 0; argsz < c->min; argsz++) {
		memset(arg, 0x01, sizeof(arg));
		memcpy(arg, &argsz, 4);
		memcpy(before, arg, sizeof(arg));
		ck_assert_int_eq(client_ioctl_struct(&client, *c->fd, c->cmd, arg,
						     sizeof(arg)), -EINVAL);
		ck_assert_mem_eq(arg, before, sizeof(arg));
	}
	ck_assert_int_eq(fake.count, 0);
}
END_TEST

/* CG-003 CG-004: more than is known is fine, and comes back as it was. */
START_TEST(large_argsz)
{
	static const struct argsz_case *const end = argsz_cases + N_ARGSZ;

	for (const struct argsz_case *c = argsz_cases; c < end; c++) {
		uint8_t arg[256];
		int64_t r;

		if (c->cmd == VFIO_DEVICE_SET_IRQS || c->cmd == VFIO_DEVICE_PCI_HOT_RESET ||
		    c->cmd == VFIO_DEVICE_FEATURE || c->cmd == VFIO_IOMMU_DIRTY_PAGES)
			continue;	/* need more than zeros */
		memset(arg, 0, sizeof(arg));
		*(uint32_t *)arg = UINT32_MAX;
		memset(arg + 128, 0x77, 128);
		r = client_ioctl_struct(&client, *c->fd, c->cmd, arg, sizeof(arg));
		ck_assert_msg(r == 0, "command %#x: %d", c->cmd, (int)r);
		ck_assert_uint_eq(*(uint32_t *)arg, UINT32_MAX);
		ck_assert_uint_eq(arg[128], 0x77);
	}
}
END_TEST

/* ---- group ---- */

/* CG-055: in every state. */
START_TEST(unknown_commands)
{
	for (int round = 0; round < 2; round++) {
		for (unsigned nr = 100; nr < 130; nr++) {
			if (nr < 103 || nr > 106)
				ck_assert_int_eq(client_ioctl(&client, group_fd,
							      _IO(VFIO_TYPE, nr), TOP), -ENOTTY);
		}
		ck_assert_int_eq(client_ioctl(&client, group_fd, TCGETS, 0), -ENOTTY);
		fake_set_container(group_fd, container_fd);
	}
}
END_TEST

/* CG-060 CG-061 CG-062: flags are overwritten, 8 bytes and no more. */
START_TEST(status)
{
	uint32_t arg[3] = { 8, 0xffffffff, 0x77777777 };

	ck_assert_int_eq(client_ioctl_struct(&client, group_fd, VFIO_GROUP_GET_STATUS, arg,
					     sizeof(arg)), 0);
	ck_assert_uint_eq(arg[0], 8);
	ck_assert_uint_eq(arg[1], 1);
	ck_assert_uint_eq(arg[2], 0x77777777);
	group_set_foreign_owner(group, true);
	client_ioctl_struct(&client, group_fd, VFIO_GROUP_GET_STATUS, arg, sizeof(arg));
	ck_assert_uint_eq(arg[1], 0);
	group_set_foreign_owner(group, false);
	fake_set_container(group_fd, container_fd);
	client_ioctl_struct(&client, group_fd, VFIO_GROUP_GET_STATUS, arg, sizeof(arg));
	ck_assert_uint_eq(arg[1], 3);
}
END_TEST

/* CG-059 CG-063 */
START_TEST(status_failures)
{
	struct object object = { .kind = OBJECT_GROUP };
	uint32_t arg[2] = { 8, 0 };

	memcpy(client_at(&client, client_page(1)), arg, sizeof(arg));
	paged_mm_protect(&client.memory, client_page(1), 1, CUSED_PROT_READ);
	ck_assert_int_eq(client_ioctl(&client, group_fd, VFIO_GROUP_GET_STATUS,
				      client_page(1)), -EFAULT);
	ck_assert_int_eq(topology_add_group(topology, 9, GROUP_REAL, &object.group), 0);
	ck_assert_int_eq(client_call(&client, object, VFIO_GROUP_GET_STATUS,
				     client_page(1)), -ENODEV);
}
END_TEST

/* CG-064 CG-065 CG-066 CG-068 CG-070 CG-077 */
START_TEST(set_container)
{
	int other = client_other_file(&client), event = client_eventfd(&client);
	int second = client_open_container(&client, topology);

	paged_mm_protect(&client.memory, client_page(2), 1, 0);
	ck_assert_int_eq(client_ioctl(&client, group_fd, VFIO_GROUP_SET_CONTAINER,
				      client_page(2) - 3), -EFAULT);
	ck_assert_int_eq(fake_set_container(group_fd, -1), -EBADF);
	ck_assert_int_eq(fake_set_container(group_fd, INT32_MIN), -EBADF);
	ck_assert_int_eq(fake_set_container(group_fd, 60), -EBADF);
	ck_assert_int_eq(fake_set_container(group_fd, INT32_MAX), -EBADF);
	ck_assert_int_eq(fake_set_container(group_fd, other), -EBADFD);
	ck_assert_int_eq(fake_set_container(group_fd, event), -EBADFD);
	ck_assert_int_eq(fake_set_container(group_fd, group_fd), -EBADFD);
	ck_assert_int_eq(fake_set_container(group_fd, container_fd), 0);
	ck_assert_uint_eq(client.heap_used, 0);
	ck_assert_int_eq(fake_set_container(group_fd, container_fd), -EINVAL);
	ck_assert_int_eq(fake_set_container(group_fd, second), -EINVAL);
	ck_assert_int_eq(fake_set_container(group_fd, other), -EINVAL);
	ck_assert_int_eq(fake_set_container(group_fd, -1), -EBADF);
}
END_TEST

/* CG-071: the caller's rights reach the core. */
START_TEST(set_container_asks_for_rights)
{
	int fd;

	ck_assert_int_eq(client_open_group(&client, noiommu), -EPERM);	/* CG-050 */
	client.caller.cap_sys_rawio = true;
	fd = client_open_group(&client, noiommu);
	client.caller.cap_sys_rawio = false;
	ck_assert_int_eq(fake_set_container(fd, container_fd), -EPERM);
	client.caller.cap_sys_rawio = true;
	ck_assert_int_eq(fake_set_container(fd, container_fd), 0);
	ck_assert_int_eq(fake_set_container(group_fd, container_fd), -EPERM); /* CG-072 */
}
END_TEST

/* CG-083 CG-084 CG-085: whatever the argument. */
START_TEST(unset_container)
{
	ck_assert_int_eq(client_ioctl(&client, group_fd, VFIO_GROUP_UNSET_CONTAINER, TOP),
			 -EINVAL);
	fake_set_container(group_fd, container_fd);
	client_ioctl(&client, container_fd, VFIO_SET_IOMMU, 1);
	device_fd = (int)fake_get_device(group_fd, "0000:01:00.0");
	ck_assert_int_eq(client_ioctl(&client, group_fd, VFIO_GROUP_UNSET_CONTAINER, TOP),
			 -EBUSY);
	client_close(&client, device_fd);
	ck_assert_int_eq(client_ioctl(&client, group_fd, VFIO_GROUP_UNSET_CONTAINER, TOP), 0);
}
END_TEST

/* ---- GET_DEVICE_FD ---- */

static int64_t get_device_at(uint64_t addr)
{
	return client_ioctl(&client, group_fd, VFIO_GROUP_GET_DEVICE_FD, addr);
}

/* CG-087: unreadable, or running into what is unreadable. */
START_TEST(device_name_unreadable)
{
	char *end = client_at(&client, client_page(2));

	ck_assert_int_eq(get_device_at(0), -EFAULT);
	ck_assert_int_eq(get_device_at(TOP), -EFAULT);
	paged_mm_protect(&client.memory, client_page(2), 1, 0);
	memcpy(end - 12, "0000:01:00.0", 12);
	ck_assert_int_eq(get_device_at(client_page(2) - 12), -EFAULT);
	ck_assert_int_eq(get_device_at(client_page(2)), -EFAULT);
	/* One byte lower the NUL is in, and what follows does not matter. */
	memcpy(end - 13, "0000:01:00.0", 13);
	ck_assert_int_ge(get_device_at(client_page(2) - 13), 0);
}
END_TEST

/* CG-088 CG-089: 4095 characters and a NUL are a name, 4096 characters are none. */
START_TEST(device_name_length)
{
	char *name = client_at(&client, client_page(1) + 100);

	memset(name, 'x', 4096);
	ck_assert_int_eq(get_device_at(client_page(1) + 100), -EINVAL);
	name[4095] = '\0';
	ck_assert_int_eq(get_device_at(client_page(1) + 100), -ENODEV);
	name[0] = '\0';
	ck_assert_int_eq(get_device_at(client_page(1) + 100), -ENODEV);
}
END_TEST

/* CG-090 CG-094 CG-097 CG-102 CG-103 CG-130 */
START_TEST(device_fds)
{
	int a, b, copy;

	ck_assert_int_eq(fake_get_device(group_fd, "0000:07:00.0"), -ENODEV);
	ck_assert_int_eq(fake_get_device(group_fd, "0000:01:00.0 x=1"), -EINVAL);
	client_ioctl(&client, group_fd, VFIO_GROUP_UNSET_CONTAINER, 0);
	ck_assert_int_eq(fake_get_device(group_fd, "0000:01:00.0"), -EINVAL);
	fake_set_container(group_fd, container_fd);
	ck_assert_int_eq(fake_get_device(group_fd, "0000:01:00.0"), -EINVAL);
	client_ioctl(&client, container_fd, VFIO_SET_IOMMU, 1);
	a = (int)fake_get_device(group_fd, "0000:01:00.0");
	b = (int)fake_get_device(group_fd, "0000:01:00.0");
	ck_assert_int_ge(a, 0);
	ck_assert_int_ge(b, 0);
	copy = client_dup(&client, b);
	client_close(&client, a);
	client_close(&client, b);
	ck_assert_int_eq(client_ioctl(&client, group_fd, VFIO_GROUP_UNSET_CONTAINER, 0),
			 -EBUSY);
	client_close(&client, copy);
	ck_assert_int_eq(client_ioctl(&client, group_fd, VFIO_GROUP_UNSET_CONTAINER, 0), 0);
}
END_TEST

/* CG-092: the open file that found no number is closed again. */
START_TEST(no_free_fd)
{
	int fds[CLIENT_FDS], n = 0;

	fake_set_container(group_fd, container_fd);
	client_ioctl(&client, container_fd, VFIO_SET_IOMMU, 1);
	while ((fds[n] = client_other_file(&client)) >= 0)
		n++;
	ck_assert_int_eq(fake_get_device(group_fd, "0000:01:00.0"), -EMFILE);
	ck_assert_int_eq(client_ioctl(&client, group_fd, VFIO_GROUP_UNSET_CONTAINER, 0), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("proto_group");
	TCase *fresh = tcase_create("fresh"), *ready = tcase_create("ready");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(ready, fake_world_start_ready, fake_world_stop);
	tcase_add_loop_test(ready, fault_comes_before_argsz, 0, N_ARGSZ);
	tcase_add_loop_test(ready, small_argsz, 0, N_ARGSZ);
	tcase_add_test(ready, large_argsz);
	suite_add_tcase(suite, ready);

	tcase_add_checked_fixture(fresh, fake_world_start, fake_world_stop);
	tcase_add_test(fresh, unknown_commands);
	tcase_add_test(fresh, status);
	tcase_add_test(fresh, status_failures);
	tcase_add_test(fresh, set_container);
	tcase_add_test(fresh, set_container_asks_for_rights);
	tcase_add_test(fresh, unset_container);
	tcase_add_test(fresh, no_free_fd);
	suite_add_tcase(suite, fresh);
	tcase_add_test(ready, device_name_unreadable);
	tcase_add_test(ready, device_name_length);
	tcase_add_test(fresh, device_fds);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
