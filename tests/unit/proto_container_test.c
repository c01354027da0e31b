/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/proto_container_test.c - decoding of container ioctls, type1's included. */
#include <check.h>
#include <sys/ioctl.h>

#include "unit/fake_calls.h"

#define TOP 0xffffffffffffff00ull	/* no process owns it */

static int64_t on_container(unsigned cmd, void *arg, size_t len)
{
	return client_ioctl_struct(&client, container_fd, cmd, arg, len);
}

/* CG-019: any argument, any state. */
START_TEST(version)
{
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_GET_API_VERSION, 0), 0);
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_GET_API_VERSION, TOP), 0);
	fake_set_container(group_fd, container_fd);
	client_ioctl(&client, container_fd, VFIO_SET_IOMMU, 1);
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_GET_API_VERSION, 5), 0);
}
END_TEST

/* CG-021 CG-024: the argument is the number itself, 64 bits of it. */
START_TEST(extension_by_value)
{
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_CHECK_EXTENSION, 1), 1);
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_CHECK_EXTENSION, 8), 1);
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_CHECK_EXTENSION, 4), 0);
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_CHECK_EXTENSION,
				      1ull << 32 | 1), 0);
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_CHECK_EXTENSION, TOP), 0);
}
END_TEST

/* CG-036 CG-037 CG-043 CG-044 through the ioctl. */
START_TEST(set_iommu_by_value)
{
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_SET_IOMMU, 1), -EINVAL);
	fake_set_container(group_fd, container_fd);
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_SET_IOMMU,
				      1ull << 32 | 1), -ENODEV);
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_SET_IOMMU, 3), 0);
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_SET_IOMMU, 3), -EINVAL);
}
END_TEST

static bool is_first_three(unsigned cmd)
{
	return cmd == VFIO_GET_API_VERSION || cmd == VFIO_CHECK_EXTENSION ||
	       cmd == VFIO_SET_IOMMU;
}

/* CG-045: without a driver all else is EINVAL, good pointer or bad. */
START_TEST(commands_without_driver)
{
	for (int round = 0; round < 2; round++) {
		for (unsigned nr = 100; nr < 130; nr++) {
			unsigned cmd = _IO(VFIO_TYPE, nr);

			if (is_first_three(cmd))
				continue;
			ck_assert_int_eq(client_ioctl(&client, container_fd, cmd, TOP), -EINVAL);
			ck_assert_int_eq(client_ioctl(&client, container_fd, cmd,
						      client_page(0)), -EINVAL);
		}
		ck_assert_int_eq(client_ioctl(&client, container_fd, TCGETS, 0), -EINVAL);
		fake_set_container(group_fd, container_fd);
	}
}
END_TEST

static bool is_type1(unsigned cmd)
{
	return cmd == VFIO_IOMMU_GET_INFO || cmd == VFIO_IOMMU_MAP_DMA ||
	       cmd == VFIO_IOMMU_UNMAP_DMA || cmd == VFIO_IOMMU_DIRTY_PAGES;
}

/* CG-046 */
START_TEST(commands_that_type1_does_not_know)
{
	for (unsigned nr = 100; nr < 130; nr++) {
		unsigned cmd = _IO(VFIO_TYPE, nr);

		if (!is_first_three(cmd) && !is_type1(cmd))
			ck_assert_int_eq(client_ioctl(&client, container_fd, cmd, 0), -ENOTTY);
	}
	ck_assert_int_eq(client_ioctl(&client, container_fd, TCGETS, 0), -ENOTTY);
	/* Size and direction bits belong to the command. */
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_IOMMU_GET_INFO | 1u << 30,
				      0), -ENOTTY);
}
END_TEST

/* CG-047 CG-146 */
START_TEST(commands_of_noiommu)
{
	int fd;

	client.caller.cap_sys_rawio = true;
	fd = client_open_group(&client, noiommu);
	ck_assert_int_eq(fake_set_container(fd, container_fd), 0);
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_SET_IOMMU, 8), 0);
	for (unsigned nr = 100; nr < 130; nr++) {
		unsigned cmd = _IO(VFIO_TYPE, nr);

		if (!is_first_three(cmd))
			ck_assert_int_eq(client_ioctl(&client, container_fd, cmd, 0), -ENOTTY);
	}
}
END_TEST

/* ---- GET_INFO ---- */

struct info_buf {
	struct vfio_iommu_type1_info info;
	uint8_t chain[256];
};

static void two_ranges(void)
{
	fake.info = (struct type1_info){ .page_sizes = 0x40201000, .migration_pgsize = 0x1000,
		.max_bitmap_size = 1 << 28, .dma_avail = 65535, .n_ranges = 2,
		.ranges = { { 0, 0xfedfffff }, { 0xfef00000, 0x7fffffffff } } };
}

/* T1-004 T1-007 T1-008 T1-009 */
START_TEST(info_without_room_for_the_chain)
{
	struct info_buf buf = { .info = { .argsz = 24, .flags = 0xffff, .cap_offset = 7 } };

	two_ranges();
	memset(buf.chain, 0x77, sizeof(buf.chain));
	ck_assert_int_eq(on_container(VFIO_IOMMU_GET_INFO, &buf, sizeof(buf)), 0);
	ck_assert_uint_eq(buf.info.argsz, 88 + 16 * 2);
	ck_assert_uint_eq(buf.info.flags, 3);
	ck_assert_uint_eq(buf.info.iova_pgsizes, 0x40201000);
	ck_assert_uint_eq(buf.info.cap_offset, 0);
	ck_assert_uint_eq(buf.chain[0], 0x77);
}
END_TEST

/* T1-006 T1-011 T1-012 T1-013 */
START_TEST(info_with_chain)
{
	struct info_buf buf = { .info = { .argsz = 88 + 32 } };
	struct vfio_iommu_type1_info_cap_migration *migration = (void *)((char *)&buf + 24);
	struct vfio_iommu_type1_info_dma_avail *avail = (void *)((char *)&buf + 56);
	struct vfio_iommu_type1_info_cap_iova_range *range = (void *)((char *)&buf + 72);

	two_ranges();
	memset(buf.chain, 0x77, sizeof(buf.chain));
	ck_assert_int_eq(on_container(VFIO_IOMMU_GET_INFO, &buf, sizeof(buf)), 0);
	ck_assert_uint_eq(buf.info.argsz, 120);
	ck_assert_uint_eq(buf.info.cap_offset, 24);
	ck_assert_uint_eq(migration->header.id, 2);
	ck_assert_uint_eq(migration->header.version, 1);
	ck_assert_uint_eq(migration->header.next, 56);
	ck_assert_uint_eq(migration->flags, 0);
	ck_assert_uint_eq(migration->pgsize_bitmap, 0x1000);
	ck_assert_uint_eq(migration->max_dirty_bitmap_size, 268435456);
	ck_assert_uint_eq(avail->header.id, 3);
	ck_assert_uint_eq(avail->header.version, 1);
	ck_assert_uint_eq(avail->header.next, 72);
	ck_assert_uint_eq(avail->avail, 65535);
	ck_assert_mem_eq((char *)&buf + 68, "\0\0\0\0", 4);
	ck_assert_uint_eq(range->header.id, 1);
	ck_assert_uint_eq(range->header.version, 1);
	ck_assert_uint_eq(range->header.next, 0);
	ck_assert_uint_eq(range->nr_iovas, 2);
	ck_assert_uint_eq(range->reserved, 0);
	ck_assert_uint_eq(range->iova_ranges[1].start, 0xfef00000);
	ck_assert_uint_eq(range->iova_ranges[1].end, 0x7fffffffff);
	ck_assert_uint_eq(buf.chain[120 - 24], 0x77);		/* CG-003: no byte more */
}
END_TEST

/* T1-013: no ranges, no capability. */
START_TEST(info_without_ranges)
{
	struct info_buf buf = { .info = { .argsz = 72 } };
	struct vfio_info_cap_header *avail = (void *)((char *)&buf + 56);

	ck_assert_int_eq(on_container(VFIO_IOMMU_GET_INFO, &buf, sizeof(buf)), 0);
	ck_assert_uint_eq(buf.info.argsz, 72);
	ck_assert_uint_eq(avail->next, 0);
	buf.info.argsz = 71;
	ck_assert_int_eq(on_container(VFIO_IOMMU_GET_INFO, &buf, sizeof(buf)), 0);
	ck_assert_uint_eq(buf.info.argsz, 72);
	ck_assert_uint_eq(buf.info.cap_offset, 0);
}
END_TEST

/* All ranges that a backend can have: the reply is larger than what a call keeps. */
START_TEST(info_with_many_ranges)
{
	unsigned n = sizeof(fake.info.ranges) / sizeof(fake.info.ranges[0]);
	static uint8_t buf[4096];
	struct vfio_iommu_type1_info *info = (void *)buf;
	struct vfio_iommu_type1_info_cap_iova_range *range = (void *)(buf + 72);

	fake.info.n_ranges = n;
	for (unsigned i = 0; i < n; i++)
		fake.info.ranges[i].last = i;
	info->argsz = 4096;
	ck_assert_int_eq(on_container(VFIO_IOMMU_GET_INFO, buf, sizeof(buf)), 0);
	ck_assert_uint_eq(info->argsz, 4096);
	ck_assert_uint_eq(range->nr_iovas, n);
	ck_assert_uint_eq(range->iova_ranges[n - 1].end, n - 1);
}
END_TEST

/* T1-007 T1-010: exactly min(argsz, 24) bytes are written. */
START_TEST(info_is_cut)
{
	for (uint32_t argsz = 16; argsz < 24; argsz++) {
		struct info_buf buf;

		two_ranges();
		memset(&buf, 0x77, sizeof(buf));
		buf.info.argsz = argsz;
		ck_assert_int_eq(on_container(VFIO_IOMMU_GET_INFO, &buf, sizeof(buf)), 0);
		ck_assert_uint_eq(buf.info.argsz, 120);
		ck_assert_uint_eq(((uint8_t *)&buf)[argsz - 1] == 0x77, 0);
		ck_assert_uint_eq(((uint8_t *)&buf)[argsz], 0x77);
	}
}
END_TEST

/* T1-005 T1-007: the chain first, then the struct. */
START_TEST(info_unwritable)
{
	struct info_buf buf = { .info = { .argsz = 120 } };
	uint64_t addr = client_page(2) - 24;

	two_ranges();
	memcpy(client_at(&client, addr), &buf, 24);
	paged_mm_protect(&client.memory, client_page(2), 1, CUSED_PROT_READ);
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_IOMMU_GET_INFO, addr),
			 -EFAULT);
	memcpy(&buf, client_at(&client, addr), 24);
	ck_assert_uint_eq(buf.info.flags, 0);
	paged_mm_protect(&client.memory, client_page(1), 2, CUSED_PROT_READ);
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_IOMMU_GET_INFO, addr),
			 -EFAULT);
}
END_TEST

/* ---- MAP_DMA, UNMAP_DMA ---- */

/* T1-015 T1-037: values arrive, nothing is written back, no heap is used. */
START_TEST(map_dma)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = 32, .flags = 3, .vaddr = 0x1111,
		.iova = 0x2222, .size = 0x3333 }, before = map;

	ck_assert_int_eq(on_container(VFIO_IOMMU_MAP_DMA, &map, sizeof(map)), 0);
	ck_assert_mem_eq(&map, &before, sizeof(map));
	ck_assert_uint_eq(fake.flags, 3);
	ck_assert_uint_eq(fake.vaddr, 0x1111);
	ck_assert_uint_eq(fake.iova, 0x2222);
	ck_assert_uint_eq(fake.size, 0x3333);
	ck_assert_uint_eq(client.heap_used, 0);
	ck_assert_uint_eq(client.steps, 1);
	map.flags = 8;
	ck_assert_int_eq(on_container(VFIO_IOMMU_MAP_DMA, &map, sizeof(map)), -EINVAL);
	map.flags = 7;			/* a known bit: the driver's to judge (T1-020) */
	fake.error = -ENOSPC;
	ck_assert_int_eq(on_container(VFIO_IOMMU_MAP_DMA, &map, sizeof(map)), -ENOSPC);
	ck_assert_int_eq(fake.count, 2);
}
END_TEST

/* T1-053 T1-068 T1-069 */
START_TEST(unmap_dma)
{
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = 24, .iova = 0x1000,
		.size = 0x5000 };

	fake.unmapped = 0x2000;
	ck_assert_int_eq(on_container(VFIO_IOMMU_UNMAP_DMA, &unmap, sizeof(unmap)), 0);
	ck_assert_uint_eq(unmap.size, 0x2000);
	ck_assert_uint_eq(fake.iova, 0x1000);
	ck_assert_uint_eq(fake.size, 0x5000);
	ck_assert(!fake.has_bitmap);
	ck_assert_uint_eq(client.heap_used, 0);
	fake.error = -EINVAL;
	ck_assert_int_eq(on_container(VFIO_IOMMU_UNMAP_DMA, &unmap, sizeof(unmap)), -EINVAL);
	ck_assert_uint_eq(unmap.size, 0x2000);
	unmap.flags = 8;
	fake.error = 0;
	ck_assert_int_eq(on_container(VFIO_IOMMU_UNMAP_DMA, &unmap, sizeof(unmap)), -EINVAL);
	ck_assert_int_eq(fake.count, 2);
}
END_TEST

/* T1-068: the unmap happened all the same. */
START_TEST(unmap_unwritable)
{
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = 24 };

	memcpy(client_at(&client, client_page(1)), &unmap, sizeof(unmap));
	paged_mm_protect(&client.memory, client_page(1), 1, CUSED_PROT_READ);
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_IOMMU_UNMAP_DMA,
				      client_page(1)), -EFAULT);
	ck_assert_int_eq(fake.count, 1);
}
END_TEST

struct unmap_bitmap {
	struct vfio_iommu_type1_dma_unmap unmap;
	struct vfio_bitmap bitmap;
};

/* T1-054 T1-055 T1-056 */
START_TEST(unmap_with_bitmap)
{
	struct unmap_bitmap arg = { { .argsz = 48, .flags = 1, .iova = 1, .size = 2 },
				    { 0x1000, 8, (void *)0x7000 } };
	uint64_t addr = client_page(2) - sizeof(arg.unmap);

	fake.unmapped = 9;
	ck_assert_int_eq(on_container(VFIO_IOMMU_UNMAP_DMA, &arg, sizeof(arg)), 0);
	ck_assert_uint_eq(arg.unmap.size, 9);
	ck_assert(fake.has_bitmap);
	ck_assert_uint_eq(fake.bitmap.pgsize, 0x1000);
	ck_assert_uint_eq(fake.bitmap.data.size, 8);
	ck_assert_uint_eq(fake.bitmap.data.addr, 0x7000);
	ck_assert_ptr_eq(fake.bitmap.data.mm, &client.memory.mm);
	ck_assert_uint_eq(client.heap_used, 0);

	arg.unmap.argsz = 47;						/* T1-055 */
	ck_assert_int_eq(on_container(VFIO_IOMMU_UNMAP_DMA, &arg, sizeof(arg)), -EINVAL);
	arg.unmap.flags = 1 | 2;					/* T1-054 first */
	ck_assert_int_eq(on_container(VFIO_IOMMU_UNMAP_DMA, &arg, sizeof(arg)), -EINVAL);
	arg.unmap.argsz = 48;
	ck_assert_int_eq(on_container(VFIO_IOMMU_UNMAP_DMA, &arg, sizeof(arg)), -EINVAL);
	arg.unmap.flags = 1 | 4;
	ck_assert_int_eq(on_container(VFIO_IOMMU_UNMAP_DMA, &arg, sizeof(arg)), -EINVAL);

	paged_mm_protect(&client.memory, client_page(2), 1, 0);		/* T1-056 */
	memcpy(client_at(&client, addr), &arg, sizeof(arg.unmap));
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_IOMMU_UNMAP_DMA, addr),
			 -EINVAL);	/* T1-054 before the copy */
	arg.unmap.flags = 1;
	memcpy(client_at(&client, addr), &arg, sizeof(arg.unmap));
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_IOMMU_UNMAP_DMA, addr),
			 -EFAULT);
	ck_assert_int_eq(fake.count, 1);
}
END_TEST

/* ---- DIRTY_PAGES ---- */

struct dirty_arg {
	struct vfio_iommu_type1_dirty_bitmap dirty;
	struct vfio_iommu_type1_dirty_bitmap_get get;
};

/* T1-083: before the argument is read. */
START_TEST(dirty_on_v1)
{
	fake.dirty_allowed = -EACCES;
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_IOMMU_DIRTY_PAGES, TOP),
			 -EACCES);
}
END_TEST

/* T1-084 T1-085 T1-086 */
START_TEST(dirty_flags)
{
	struct dirty_arg arg = { .dirty = { .argsz = 8 } };
	static const uint32_t bad[] = { 0, 3, 5, 6, 7, 8, 9 };

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		arg.dirty.flags = bad[i];
		ck_assert_int_eq(on_container(VFIO_IOMMU_DIRTY_PAGES, &arg, 8), -EINVAL);
	}
	arg.dirty.flags = 1;
	ck_assert_int_eq(on_container(VFIO_IOMMU_DIRTY_PAGES, &arg, 8), 0);
	ck_assert_str_eq(fake.dirty, "start");
	arg.dirty.flags = 2;
	ck_assert_int_eq(on_container(VFIO_IOMMU_DIRTY_PAGES, &arg, 8), 0);
	ck_assert_str_eq(fake.dirty, "stop");
	ck_assert_int_eq(fake.count, 2);
}
END_TEST

/* T1-092 T1-093 T1-105 */
START_TEST(dirty_get)
{
	struct dirty_arg arg = { { .argsz = 48, .flags = 4 },
		{ 0x1000, 0x2000, { 0x1000, 8, (void *)0x7000 } } }, before = arg;
	uint64_t addr = client_page(2) - 8;

	ck_assert_int_eq(on_container(VFIO_IOMMU_DIRTY_PAGES, &arg, sizeof(arg)), 0);
	ck_assert_mem_eq(&arg, &before, sizeof(arg));
	ck_assert_str_eq(fake.dirty, "get");
	ck_assert_uint_eq(fake.iova, 0x1000);
	ck_assert_uint_eq(fake.size, 0x2000);
	ck_assert_uint_eq(fake.bitmap.data.addr, 0x7000);
	ck_assert_uint_eq(client.heap_used, 0);
	arg.dirty.argsz = 47;
	ck_assert_int_eq(on_container(VFIO_IOMMU_DIRTY_PAGES, &arg, sizeof(arg)), -EINVAL);

	arg.dirty.argsz = 48;
	memcpy(client_at(&client, addr), &arg, 8);
	paged_mm_protect(&client.memory, client_page(2), 1, 0);
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_IOMMU_DIRTY_PAGES, addr),
			 -EFAULT);
	ck_assert_int_eq(fake.count, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("proto_container");
	TCase *fresh = tcase_create("fresh"), *tc = tcase_create("type1");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(fresh, fake_world_start, fake_world_stop);
	tcase_add_test(fresh, version);
	tcase_add_test(fresh, extension_by_value);
	tcase_add_test(fresh, set_iommu_by_value);
	tcase_add_test(fresh, commands_without_driver);
	tcase_add_test(fresh, commands_of_noiommu);
	suite_add_tcase(suite, fresh);

	tcase_add_checked_fixture(tc, fake_world_start_ready, fake_world_stop);
	tcase_add_test(tc, commands_that_type1_does_not_know);
	tcase_add_test(tc, info_without_room_for_the_chain);
	tcase_add_test(tc, info_with_chain);
	tcase_add_test(tc, info_without_ranges);
	tcase_add_test(tc, info_with_many_ranges);
	tcase_add_test(tc, info_is_cut);
	tcase_add_test(tc, info_unwritable);
	tcase_add_test(tc, map_dma);
	tcase_add_test(tc, unmap_dma);
	tcase_add_test(tc, unmap_unwritable);
	tcase_add_test(tc, unmap_with_bitmap);
	tcase_add_test(tc, dirty_on_v1);
	tcase_add_test(tc, dirty_flags);
	tcase_add_test(tc, dirty_get);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
