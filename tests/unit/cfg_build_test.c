/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptions that cannot be, and the addresses that BARs get. */
#include <unistd.h>

#include <core/bar_space.h>
#include <core/cfgspace.h>

#include "unit/device_rig.h"

static void expect_refused(const struct cused_pci *pci)
{
	struct cused_error err = { "" };

	ck_assert_int_eq(cfg_check(pci, "x", (uint64_t)sysconf(_SC_PAGESIZE), &err), -EINVAL);
	ck_assert_uint_ne(strlen(err.text), 0);
}

#define REFUSE(change) \
	do { \
		struct cused_pci pci = model.pci; \
\
		change; \
		expect_refused(&pci); \
	} while (0)

START_TEST(bad_descriptions)
{
	ck_assert_int_eq(cfg_check(&model.pci, "x", 4096, NULL), 0);
	REFUSE(pci.bars[2].size = 0x180);
	REFUSE(pci.bars[2].size = 8);
	REFUSE(pci.bars[3].size = 512);
	REFUSE(pci.bars[2].size = 1ull << 32);
	REFUSE(pci.bars[0].size = 1ull << 40);
	REFUSE(pci.bars[1].size = 0x1000);
	REFUSE(pci.bars[5].flags = CUSED_BAR_64);
	REFUSE(pci.bars[3].n_areas = 1);
	REFUSE(pci.bars[0].n_areas = 5);
	REFUSE(pci.bars[0].areas[1].first = 0x800);
	REFUSE(pci.bars[0].areas[1].first = 0x2800);
	REFUSE(pci.bars[0].areas[1].last = 0x4000);
	REFUSE(pci.bars[0].areas[0].last = 0x7ff);
	REFUSE(pci.msi.vectors = 3);
	REFUSE(pci.msi.vectors = 64);
	REFUSE(pci.msix.vectors = 2049);
	REFUSE(pci.msix.table_bar = 1);
	REFUSE(pci.msix.table_bar = 3);
	REFUSE(pci.msix.table_bar = 6);
	REFUSE(pci.msix.table_offset = 0x3ff8);
	REFUSE(pci.msix.table_offset = 0x2004);
	REFUSE(pci.msix.pba_offset = 0x4000);
	REFUSE(pci.interrupt_pin = 5);
	REFUSE(pci.rom_size = 17 << 20);
	REFUSE(pci.rom = NULL);
}
END_TEST

START_TEST(addresses_are_aligned_and_apart)
{
	struct device *devices[3] = { rig_device };

	devices[1] = rig_add(1, 1, rig_group);
	devices[2] = rig_add(2, 0, rig_group);
	for (unsigned d = 0; d < 3; d++)
		for (unsigned i = 0; i < 7; i++) {
			struct cused_range r = device_bar_resource(devices[d], i);

			if (!r.last)
				continue;
			ck_assert_uint_eq(r.first & (r.last - r.first), 0);
			for (unsigned e = 0; e < d; e++)
				for (unsigned j = 0; j < 7; j++) {
					struct cused_range s =
						device_bar_resource(devices[e], j);

					ck_assert(r.last < s.first || s.last < r.first);
				}
		}
	ck_assert_uint_ge(device_bar_resource(rig_device, 0).first, 1ull << 32);
	ck_assert_uint_lt(device_bar_resource(rig_device, 2).last, 1ull << 32);
	ck_assert_uint_lt(device_bar_resource(rig_device, 3).last, 1 << 16);
	ck_assert_uint_eq(device_bar_resource(rig_device, 1).last, 0);
	ck_assert_uint_eq(device_bar_resource(rig_device, 7).last, 0);
}
END_TEST

static int add_at(uint64_t bar_base, uint8_t bus, struct device **ret, struct cused_error *err)
{
	const struct device_params params = {
		.address = { .bus = bus }, .ops = &rig_ops, .bar_base = bar_base,
	};

	return topology_add_device(rig_topology, rig_group, &params, ret, err);
}

START_TEST(addresses_by_request)
{
	struct device *d = NULL;
	struct cused_error err;

	ck_assert_int_eq(add_at(0xc0000000, 9, &d, &err), 0);
	ck_assert_uint_eq(device_bar_resource(d, 0).first, 0xc0000000);
	ck_assert_uint_eq(device_bar_resource(d, 2).first, 0xc0004000);
	ck_assert_uint_eq(device_bar_resource(d, 5).first, 0xc0005000);
	ck_assert_int_eq(add_at(0xc0000000, 10, &d, &err), -EEXIST);
	ck_assert_int_eq(add_at(0x100000000, 10, &d, &err), -EINVAL);	/* BAR2: 32 bits */
	ck_assert_int_eq(add_at(0xc0000800, 10, &d, &err), -EINVAL);
	ck_assert_int_eq(add_at(0x1000, 10, &d, &err), -EINVAL);
}
END_TEST

START_TEST(address_space_is_given_back)
{
	uint64_t a = 0, b = 0, c = 0, taken[8];
	unsigned n = 0;

	while (n < 8 && bar_space_alloc(BAR_WINDOW_32, 1 << 27, &taken[n]) == 0)
		n++;
	ck_assert_uint_gt(n, 0);
	ck_assert_uint_lt(n, 4);		/* 491M in all, the rig's BARs among them */
	bar_space_free(taken[0]);
	ck_assert_int_eq(bar_space_alloc(BAR_WINDOW_32, 1 << 27, &b), 0);
	ck_assert_uint_eq(b, taken[0]);
	while (n)
		bar_space_free(taken[--n]);
	ck_assert_int_eq(bar_space_alloc(BAR_WINDOW_IO, 4, &a), 0);
	ck_assert_int_eq(bar_space_alloc(BAR_WINDOW_IO, 4, &b), 0);
	ck_assert_uint_eq(b, a + 4);
	bar_space_free(a);
	ck_assert_int_eq(bar_space_alloc(BAR_WINDOW_IO, 4, &c), 0);
	ck_assert_uint_eq(c, a);
	bar_space_free(b);
	bar_space_free(c);
	bar_space_free(0);
}
END_TEST

static void fill(Suite *s)
{
	TCase *tc = tcase_create("build");

	tcase_add_checked_fixture(tc, rig_setup, rig_down);
	tcase_add_test(tc, bad_descriptions);
	tcase_add_test(tc, addresses_are_aligned_and_apart);
	tcase_add_test(tc, addresses_by_request);
	tcase_add_test(tc, address_space_is_given_back);
	suite_add_tcase(s, tc);
}

RIG_MAIN("cfg_build", fill)
