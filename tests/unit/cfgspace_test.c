/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/pci_regs.h>

#include "unit/device_rig.h"

/* PCI-012: after the first open decode is on, bus mastering off, addresses are shown. */
START_TEST(pci_012_state_after_open)
{
	struct cused_range bar = device_bar_resource(rig_device, 0);

	ck_assert_uint_eq(cfg_get(PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_0, 4),
			  (uint32_t)bar.first | PCI_BASE_ADDRESS_MEM_TYPE_64 |
				  PCI_BASE_ADDRESS_MEM_PREFETCH);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_1, 4), bar.first >> 32);
}
END_TEST

static void fill(Suite *s)
{
	TCase *tc = tcase_create("config");

	tcase_add_checked_fixture(tc, rig_setup, rig_down);
	tcase_add_test(tc, pci_012_state_after_open);
	suite_add_tcase(s, tc);
}

RIG_MAIN("cfgspace", fill)
