/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/pci_regs.h>

#include "unit/device_rig.h"

static struct region_info info_of(uint32_t index)
{
	struct region_info info;

	ck_assert_int_eq(device_get_region_info(rig_file, index, &info), 0);
	ck_assert_uint_eq(info.offset, (5ull << 44) + ((uint64_t)index << 40));	/* PCI-032 */
	return info;
}

#define RW (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)
#define RWM (RW | VFIO_REGION_INFO_FLAG_MMAP)

/* ---- GET_REGION_INFO ---- */

/* PCI-028: one past the last, and no VGA. */
START_TEST(pci_028_no_such_region)
{
	struct region_info info;

	ck_assert_int_eq(device_get_region_info(rig_file, 8, &info), -EINVAL);
	ck_assert_int_eq(device_get_region_info(rig_file, 9, &info), -EINVAL);
	ck_assert_int_eq(device_get_region_info(rig_file, UINT32_MAX, &info), -EINVAL);
}
END_TEST

/* PCI-033, PCI-034, PCI-035, PCI-038 */
START_TEST(pci_033_plain_regions)
{
	ck_assert_uint_eq(info_of(7).size, 4096);
	ck_assert_uint_eq(info_of(7).flags, RW);
	ck_assert_uint_eq(info_of(1).size, 0);		/* upper half of BAR0 */
	ck_assert_uint_eq(info_of(1).flags, 0);
	ck_assert_uint_eq(info_of(4).size, 0);
	ck_assert_uint_eq(info_of(3).size, 32);
	ck_assert_uint_eq(info_of(3).flags, RW);
	ck_assert_uint_eq(info_of(5).size, 0x1000);	/* trapped: cannot be mapped */
	ck_assert_uint_eq(info_of(5).flags, RW);
}
END_TEST

/* PCI-036, PCI-039, and the sparse areas of a BAR with a trapped page. */
START_TEST(pci_039_mappable_bar)
{
	struct region_info info = info_of(0);

	ck_assert_uint_eq(info.size, 0x4000);
	ck_assert_uint_eq(info.flags, RWM);
	ck_assert(info.msix_mappable);
	ck_assert_uint_eq(info.n_areas, 2);
	ck_assert_uint_eq(info.areas[1].first, 0x2000);
	ck_assert_uint_eq(info.areas[1].last, 0x3fff);
}
END_TEST

/* PCI-037: mappable as a whole needs no sparse areas. */
START_TEST(pci_037_small_bar)
{
	struct region_info info = info_of(2);

	ck_assert_uint_eq(info.size, 0x100);
	ck_assert_uint_eq(info.flags, RWM);
	ck_assert(!info.msix_mappable);
	ck_assert_uint_eq(info.n_areas, 0);
}
END_TEST

/* PCI-040, PCI-042 */
START_TEST(pci_040_rom)
{
	ck_assert_uint_eq(info_of(6).size, 4096);
	ck_assert_uint_eq(info_of(6).flags, VFIO_REGION_INFO_FLAG_READ);
	rig_down();
	model.pci.rom = NULL;
	model.pci.rom_size = 0;
	rig_up();
	ck_assert_uint_eq(info_of(6).size, 0);
	ck_assert_uint_eq(info_of(6).flags, 0);
}
END_TEST

/* ---- rules of the whole access ---- */

/* PCI-188, PCI-189, PCI-193, PCI-194, PCI-195, PCI-196, PCI-201 */
START_TEST(pci_189_checks_in_order)
{
	static const struct {
		uint64_t pos;
		size_t count;
		bool write;
		ssize_t result;
	} cases[] = {
		{ REGION(100, 0), 0, false, 0 },
		{ UINT64_MAX, 0, true, 0 },
		{ REGION(9, 0), 1, false, -EINVAL },
		{ UINT64_MAX, 1, false, -EINVAL },
		{ REGION(8, 0xa0000), 1, false, -EINVAL },
		{ REGION(6, 0), 1, true, -EINVAL },
		{ REGION(1, 0), 1, false, -EINVAL },
		{ REGION(4, 0), 1, true, -EINVAL },
		{ REGION(0, 0x4000), 1, false, -EINVAL },
		{ REGION(0, 0x3ffe), 8, false, 2 },
		{ REGION(0, 0), SIZE_MAX, true, 0x4000 },
		{ REGION(2, 0xfc), 8, true, 4 },
		{ REGION(6, 4090), 100, false, 6 },
		{ REGION(3, 0), 64, false, 32 },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ck_assert_int_eq(device_rw_check(rig_file, cases[i].pos, cases[i].count,
						 cases[i].write),
				 cases[i].result);
}
END_TEST

/* What was not checked before is refused, not carried out. */
START_TEST(accesses_check_for_themselves)
{
	uint8_t buf[16] = { 0 };

	ck_assert_int_eq(device_read(rig_file, REGION(9, 0), buf, 1), -EINVAL);
	ck_assert_int_eq(device_read(rig_file, REGION(0, 0x3ffc), buf, 8), -EINVAL);
	ck_assert_int_eq(device_write(rig_file, REGION(0, 0x3ffc), buf, 8), -EINVAL);
	ck_assert_int_eq(device_write(rig_file, REGION(6, 0), buf, 1), -EINVAL);
	ck_assert_int_eq(device_read(rig_file, REGION(0, 0), buf, 0), 0);
	ck_assert_uint_eq(model.reads + model.writes, 0);
}
END_TEST

/* ---- BARs ---- */

/* PCI-203: the widest aligned unit at each step. */
START_TEST(pci_203_widths)
{
	uint8_t buf[15];

	model.answer = 0x8877665544332211;
	ck_assert_int_eq(device_read(rig_file, REGION(0, 0x1001), buf, sizeof(buf)), 0);
	ck_assert_uint_eq(model.reads, 4);	/* 1, 2, 4, 8 */
	ck_assert_uint_eq(model.offset, 0x1008);
	ck_assert_uint_eq(model.len, 8);
	ck_assert_uint_eq(buf[0], 0x11);
	ck_assert_uint_eq(buf[2], 0x22);
	ck_assert_uint_eq(buf[6], 0x44);
	ck_assert_uint_eq(buf[14], 0x88);

	memcpy(buf, "\x01\x02\x03\x04\x05\x06\x07", 7);
	ck_assert_int_eq(device_write(rig_file, REGION(5, 0x18), buf, 7), 0);
	ck_assert_uint_eq(model.writes, 3);	/* 4, 2, 1 */
	ck_assert_uint_eq(model.bar, 5);
	ck_assert_uint_eq(model.offset, 0x1e);
	ck_assert_uint_eq(model.value, 7);
}
END_TEST

/* A memory page: the bytes are what is read and written, and the model hears of writes. */
START_TEST(memory_pages)
{
	uint8_t *memory = model.services->bar_memory(model.port, 0);
	uint64_t v = 0x1122334455667788;

	ck_assert_int_eq(device_write(rig_file, REGION(0, 0x3008), &v, 8), 0);
	ck_assert_mem_eq(memory + 0x3008, &v, 8);
	ck_assert_uint_eq(model.writes, 1);
	ck_assert_uint_eq(model.offset, 0x3008);
	ck_assert_uint_eq(model.value, v);
	memory[0x3009] = 0xee;
	v = 0;
	ck_assert_int_eq(device_read(rig_file, REGION(0, 0x3008), &v, 8), 0);
	ck_assert_uint_eq(v, 0x112233445566ee88);
	ck_assert_uint_eq(model.reads, 0);
	ck_assert_ptr_eq(model.services->bar_memory(model.port, 5), NULL);
	ck_assert_ptr_eq(model.services->bar_memory(model.port, 1), NULL);
	ck_assert_ptr_eq(model.services->bar_memory(model.port, 9), NULL);
	ck_assert_ptr_ne(model.services->bar_memory(model.port, 2), NULL);
}
END_TEST

/* Where the transport cannot map (FUSE without passthrough), no region says that it can be
 * mapped (PCI-038, PCI-253), and all of it is read and written as ever. */
START_TEST(memory_that_cannot_be_mapped)
{
	const struct device_params params = { .address = { .bus = 2 }, .ops = &rig_ops,
					      .offset_base = 5ull << 44, .no_mmap = true };
	uint64_t v = 0x1122334455667788;
	struct cused_error err = { "" };
	struct device *device;
	uint8_t *memory;

	device_close(rig_file);
	ck_assert_int_eq(topology_add_device(rig_topology, rig_group, &params, &device, &err),
			 0);
	ck_assert_int_eq(device_open(device, NULL, &rig_file), 0);
	for (uint32_t i = 0; i < 6; i++) {
		struct region_info info = info_of(i);

		ck_assert_uint_eq(info.flags, info.size ? RW : 0);
		ck_assert_uint_eq(info.n_areas, 0);
		ck_assert(!info.msix_mappable);
		ck_assert_int_eq(device_mmap_check(rig_file, REGION(i, 0), 4096, true), -EINVAL);
	}
	ck_assert_uint_eq(info_of(0).size, 0x4000);
	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	memory = model.services->bar_memory(model.port, 0);
	ck_assert_int_eq(device_write(rig_file, REGION(0, 0x3008), &v, 8), 0);
	ck_assert_mem_eq(memory + 0x3008, &v, 8);
	v = 0;
	ck_assert_int_eq(device_read(rig_file, REGION(0, 0x3008), &v, 8), 0);
	ck_assert_uint_eq(v, 0x1122334455667788);
}
END_TEST

/* PCI-204: table bytes read as ones and keep nothing; what lies beside is served. */
START_TEST(pci_204_msix_table)
{
	uint8_t *memory = model.services->bar_memory(model.port, 0);
	unsigned end = RIG_TABLE + 16 * RIG_VECTORS;
	uint8_t buf[12], zero[12] = { 0 };

	memset(memory + 0x1000, 0x5a, 0x2000);
	ck_assert_int_eq(device_read(rig_file, REGION(0, end - 6), buf, 12), 0);
	ck_assert_mem_eq(buf, "\xff\xff\xff\xff\xff\xff\x5a\x5a\x5a\x5a\x5a\x5a", 12);
	ck_assert_int_eq(device_write(rig_file, REGION(0, end - 6), zero, 12), 0);
	ck_assert_uint_eq(memory[end - 1], 0x5a);
	ck_assert_uint_eq(memory[end], 0);
	model.answer = 0;
	ck_assert_int_eq(device_read(rig_file, REGION(0, RIG_TABLE - 4), buf, 12), 0);
	ck_assert_mem_eq(buf, "\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12);
}
END_TEST

/* PCI-199 PCI-204: the table alone is no matter of the device, so it answers while memory
 * decode is off, as random runs showed of the kernel; a byte beside it does not. */
START_TEST(msix_table_without_decode)
{
	uint8_t buf[12] = { 0 };

	cfg_put(PCI_COMMAND, 2, 0);
	ck_assert_int_eq(device_read(rig_file, REGION(0, RIG_TABLE + 8), buf, 12), 0);
	ck_assert_mem_eq(buf, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
	ck_assert_int_eq(device_write(rig_file, REGION(0, RIG_TABLE), buf, 12), 0);
	ck_assert_int_eq(device_read(rig_file, REGION(0, RIG_TABLE - 4), buf, 8), -EIO);
	ck_assert_int_eq(device_read(rig_file, REGION(0, RIG_TABLE + 16 * RIG_VECTORS - 4), buf,
				     8), -EIO);
	ck_assert_int_eq(device_write(rig_file, REGION(0, RIG_TABLE - 4), buf, 8), -EIO);
}
END_TEST

/* PCI-204, last clause: the pending bits are what the core says they are. */
START_TEST(pending_bits_of_msix)
{
	struct event_arg none = rig_fd(-1, 0);
	uint8_t buf[16];

	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	ck_assert_int_eq(device_set_irqs(rig_file,
					 VFIO_IRQ_SET_DATA_EVENTFD |
						 VFIO_IRQ_SET_ACTION_TRIGGER,
					 VFIO_PCI_MSIX_IRQ_INDEX, 0, 1, NULL, &none),
			 0);
	model.services->irq_raise(model.port, 3);
	model.services->irq_raise(model.port, 70);
	ck_assert_int_eq(device_read(rig_file, REGION(0, RIG_PBA), buf, 16), 0);
	ck_assert_mem_eq(buf, "\x08\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0", 16);
	memset(buf, 0, sizeof(buf));
	ck_assert_int_eq(device_write(rig_file, REGION(0, RIG_PBA), buf, 16), 0);
	ck_assert_int_eq(device_read(rig_file, REGION(0, RIG_PBA + 8), buf, 1), 0);
	ck_assert_uint_eq(buf[0], 0x40);
	ck_assert_uint_eq(model.writes, 0);
}
END_TEST

/* PCI-205, PCI-199: the image, then ones; gated by memory decode. */
START_TEST(pci_205_rom)
{
	uint8_t buf[8];

	ck_assert_int_eq(device_read(rig_file, REGION(6, 0), buf, 4), 0);
	ck_assert_mem_eq(buf, "\x55\xaa\x06\0", 4);
	ck_assert_int_eq(device_read(rig_file, REGION(6, 2996), buf, 8), 0);
	ck_assert_mem_eq(buf, "\0\0\0\0\xff\xff\xff\xff", 8);
	ck_assert_int_eq(device_read(rig_file, REGION(6, 4088), buf, 8), 0);
	ck_assert_mem_eq(buf, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	cfg_put(PCI_COMMAND, 2, 0);
	ck_assert_int_eq(device_read(rig_file, REGION(6, 0), buf, 4), -EIO);
}
END_TEST

/* PCI-199, PCI-200, PCI-206: EIO for the whole access; I/O does not ask for its bit. */
START_TEST(pci_200_decode_off)
{
	uint32_t v = 0;

	cfg_put(PCI_COMMAND, 2, 0);
	ck_assert_int_eq(device_read(rig_file, REGION(5, 0), &v, 4), -EIO);
	ck_assert_int_eq(device_write(rig_file, REGION(5, 0), &v, 4), -EIO);
	ck_assert_uint_eq(model.reads + model.writes, 0);
	ck_assert_int_eq(device_write(rig_file, REGION(3, 4), &v, 4), 0);
	ck_assert_uint_eq(model.bar, 3);
}
END_TEST

/* ---- mmap ---- */

/* PCI-249, PCI-250, PCI-252, PCI-253, PCI-254, PCI-256, PCI-260, PCI-261 */
START_TEST(pci_254_mmap)
{
	static const struct {
		uint64_t pos, len;
		bool shared;
		int result;
	} cases[] = {
		{ REGION(0, 0), 0x1000, true, 0 },
		{ REGION(0, 0), 0x1000, false, -EINVAL },
		{ REGION(0, 0x2000), 0x2000, true, 0 },		/* the MSI-X table too */
		{ REGION(0, 0x3000), 0x1000, true, 0 },
		{ REGION(0, 0x3000), 0x2000, true, -EINVAL },
		{ REGION(0, 0), 0x4000, true, -EINVAL },	/* over the trapped page */
		{ REGION(0, 0x1000), 0x1000, true, -EINVAL },
		{ REGION(0, 0x1000), 0x3000, true, -EINVAL },
		{ REGION(0, 0), UINT64_MAX, true, -EINVAL },
		{ REGION(0, 0), 0, true, -EINVAL },
		{ REGION(2, 0), 0x100, true, 0 },
		{ REGION(2, 0), 0x1000, true, 0 },		/* one page, not more */
		{ REGION(2, 0), 0x2000, true, -EINVAL },
		{ REGION(1, 0), 0x1000, true, -EINVAL },
		{ REGION(3, 0), 0x1000, true, -EINVAL },
		{ REGION(5, 0), 0x1000, true, -EINVAL },
		{ REGION(6, 0), 0x1000, true, -EINVAL },
		{ REGION(7, 0), 0x1000, true, -EINVAL },
		{ REGION(8, 0), 0x1000, true, -EINVAL },
		{ REGION(9, 0), 0x1000, true, -EINVAL },
		{ UINT64_MAX & ~0xfffull, 0x1000, true, -EINVAL },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ck_assert_msg(device_mmap_check(rig_file, cases[i].pos, cases[i].len,
						cases[i].shared) == cases[i].result,
			      "case %u", i);
	cfg_put(PCI_COMMAND, 2, 0);
	ck_assert_int_eq(device_mmap_check(rig_file, REGION(0, 0), 0x1000, true), 0);
}
END_TEST

/* ---- ioeventfd ---- */

/* PCI-132, PCI-133, PCI-134, PCI-135, PCI-136, PCI-137, PCI-141, PCI-143 */
START_TEST(pci_132_ioeventfd_checks)
{
	static struct rig_event e;
	struct event_arg good = rig_event(&e);
	const struct {
		uint32_t flags;
		uint64_t offset;
		struct event_arg event;
		int result;
	} cases[] = {
		{ 0x10 | 4, 0, good, -EINVAL },
		{ 0, 0, good, -EINVAL },
		{ 1 | 4, 0, good, -EINVAL },
		{ 4, 0, rig_fd(-2, 0), -EINVAL },
		{ 4, REGION(6, 0), good, -EINVAL },
		{ 4, CONFIG(0), good, -EINVAL },
		{ 4, UINT64_MAX, good, -EINVAL },
		{ 4, REGION(1, 0), good, -EINVAL },
		{ 4, REGION(0, 0x3ffe), good, -EINVAL },
		{ 4, REGION(0, RIG_TABLE), good, -EINVAL },
		{ 4, REGION(0, RIG_TABLE - 2), good, -EINVAL },
		{ 8, REGION(0, 0), good, -EINVAL },
		{ 4, REGION(0, 0), rig_fd(-1, 0), -ENODEV },
		{ 4, REGION(0, 0), rig_fd(5, -EBADF), -EBADF },
		{ 4, REGION(0, 0), rig_fd(5, -EINVAL), -EINVAL },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ck_assert_msg(device_ioeventfd(rig_file, cases[i].flags, cases[i].offset, 1,
					       &cases[i].event) == cases[i].result,
			      "case %u", i);
	ck_assert_uint_eq(rig_refs(&e), 0);
}
END_TEST

/* PCI-139, PCI-140, PCI-144 */
START_TEST(pci_144_ioeventfd)
{
	static struct rig_event e, other;
	struct event_arg arg = rig_event(&e), again = rig_event(&other);
	struct event_arg off = rig_fd(-1, 0);

	ck_assert_int_eq(device_ioeventfd(rig_file, 2, REGION(5, 6), 0xabcdef, &arg), 0);
	e.fn(e.arg, e.cookie);
	ck_assert_uint_eq(model.writes, 1);
	ck_assert_uint_eq(model.bar, 5);
	ck_assert_uint_eq(model.offset, 6);
	ck_assert_uint_eq(model.len, 2);
	ck_assert_uint_eq(model.value, 0xcdef);
	ck_assert_int_eq(device_ioeventfd(rig_file, 2, REGION(5, 6), 0xcdef, &again), -EEXIST);
	ck_assert_int_eq(device_ioeventfd(rig_file, 2, REGION(5, 6), 0xcdee, &again), 0);

	cfg_put(PCI_COMMAND, 2, 0);		/* skipped while decode is off */
	e.fn(e.arg, e.cookie);
	ck_assert_uint_eq(model.writes, 1);
	cfg_put(PCI_COMMAND, 2, 2);

	ck_assert_int_eq(device_ioeventfd(rig_file, 2, REGION(5, 6), 0xcdef, &off), 0);
	ck_assert(!e.watched);
	ck_assert_uint_eq(rig_refs(&e), 0);
	e.fn(e.arg, e.cookie);			/* one that was under way */
	ck_assert_uint_eq(model.writes, 1);
	other.fn(other.arg, other.cookie);
	ck_assert_uint_eq(model.writes, 2);
	device_close(rig_file);			/* PCI-014 */
	rig_file = NULL;
	ck_assert_uint_eq(rig_refs(&other), 0);
	ck_assert(!other.watched);
}
END_TEST

/* PCI-142 */
START_TEST(pci_142_ioeventfd_limit)
{
	static struct rig_event events[1001];

	for (unsigned i = 0; i < 1001; i++) {
		struct event_arg arg = rig_event(&events[i]);

		ck_assert_int_eq(device_ioeventfd(rig_file, 4, REGION(5, 0), i, &arg),
				 i < 1000 ? 0 : -ENOSPC);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct event_arg off = rig_fd(-1, 0), arg = rig_event(&events[1000]);

		ck_assert_int_eq(device_ioeventfd(rig_file, 4, REGION(5, 0), i, &off), 0);
		ck_assert_int_eq(device_ioeventfd(rig_file, 4, REGION(5, 0), 2000 + i, &arg),
				 0);
	}
}
END_TEST

static void fill(Suite *s)
{
	TCase *tc = tcase_create("regions");

	tcase_add_checked_fixture(tc, rig_setup, rig_down);
	tcase_add_test(tc, pci_028_no_such_region);
	tcase_add_test(tc, pci_033_plain_regions);
	tcase_add_test(tc, pci_039_mappable_bar);
	tcase_add_test(tc, pci_037_small_bar);
	tcase_add_test(tc, pci_040_rom);
	tcase_add_test(tc, pci_189_checks_in_order);
	tcase_add_test(tc, accesses_check_for_themselves);
	tcase_add_test(tc, pci_203_widths);
	tcase_add_test(tc, memory_pages);
	tcase_add_test(tc, memory_that_cannot_be_mapped);
	tcase_add_test(tc, pci_204_msix_table);
	tcase_add_test(tc, msix_table_without_decode);
	tcase_add_test(tc, pending_bits_of_msix);
	tcase_add_test(tc, pci_205_rom);
	tcase_add_test(tc, pci_200_decode_off);
	tcase_add_test(tc, pci_254_mmap);
	tcase_add_test(tc, pci_132_ioeventfd_checks);
	tcase_add_test(tc, pci_144_ioeventfd);
	tcase_add_test(tc, pci_142_ioeventfd_limit);
	suite_add_tcase(s, tc);
}

RIG_MAIN("region", fill)
