/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/pci_regs.h>

#include "unit/device_rig.h"

/* Where cfg_build.c puts things; a client finds them by walking the list. */
static unsigned find_cap(unsigned id)
{
	for (unsigned at = cfg_get(PCI_CAPABILITY_LIST, 1), n = 0; at && n < 48; n++) {
		if (cfg_get(at, 1) == id)
			return at;
		at = cfg_get(at + 1, 1);
	}
	return 0;
}

static unsigned find_ext(unsigned id)
{
	for (unsigned at = 0x100, n = 0; at && n < 100; n++) {
		uint32_t head = cfg_get(at, 4);

		if ((head & 0xffff) == id)
			return at;
		at = head >> 20;
	}
	return 0;
}

/* What sysfs would show. */
static uint32_t hw_get(unsigned off, unsigned len)
{
	uint8_t bytes[4096];
	uint32_t v = 0;
	unsigned size;

	device_config_snapshot(rig_device, bytes, &size);
	memcpy(&v, bytes + off, len);
	return v;
}

static void give_event(uint32_t index, struct rig_event *e)
{
	struct event_arg arg = rig_event(e);

	ck_assert_int_eq(device_set_irqs(rig_file,
					 VFIO_IRQ_SET_DATA_EVENTFD |
						 VFIO_IRQ_SET_ACTION_TRIGGER,
					 index, 0, 1, NULL, &arg),
			 0);
}

/* ---- header ---- */

/* PCI-012: after the first open decode is on, bus mastering off, addresses are shown. */
START_TEST(pci_012_state_after_open)
{
	struct cused_range bar = device_bar_resource(rig_device, 0);

	ck_assert_uint_eq(cfg_get(PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_0, 4),
			  (uint32_t)bar.first | PCI_BASE_ADDRESS_MEM_TYPE_64 |
				  PCI_BASE_ADDRESS_MEM_PREFETCH);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_1, 4), bar.first >> 32);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_3, 4),
			  device_bar_resource(rig_device, 3).first | 1);
}
END_TEST

/* PCI-207, PCI-210, PCI-212, PCI-214, PCI-216, PCI-217, PCI-219, PCI-220: read-only. */
START_TEST(pci_207_read_only_fields)
{
	static const struct {
		unsigned off, len;
		uint32_t v;
	} fields[] = {
		{ 0, 4, 0x56781234 }, { 8, 4, 0x01080207 }, { 0xe, 1, 0 }, { 0x28, 4, 0 },
		{ 0x2c, 4, 0xdef09abc }, { 0x34, 1, 0x40 }, { 0x35, 1, 0 }, { 0x38, 4, 0 },
		{ 0x3d, 1, 1 }, { 0x3e, 2, 0 },
	};

	for (unsigned i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		ck_assert_uint_eq(cfg_get(fields[i].off, fields[i].len), fields[i].v);
		cfg_put(fields[i].off, fields[i].len, 0xffffffff);
		ck_assert_uint_eq(cfg_get(fields[i].off, fields[i].len), fields[i].v);
		cfg_put(fields[i].off, fields[i].len, 0);
		ck_assert_uint_eq(cfg_get(fields[i].off, fields[i].len), fields[i].v);
	}
}
END_TEST

/* PCI-208: bits that the function has; bit 10 is the client's own copy. */
START_TEST(pci_208_command)
{
	cfg_put(PCI_COMMAND, 2, 0xffff);
	ck_assert_uint_eq(cfg_get(PCI_COMMAND, 2), 0x0547);
	ck_assert_uint_eq(hw_get(PCI_COMMAND, 2), 0x0147);
	cfg_put(PCI_COMMAND, 2, 0);
	ck_assert_uint_eq(cfg_get(PCI_COMMAND, 2), 0);
}
END_TEST

/* PCI-209 */
START_TEST(pci_209_status_is_read_only)
{
	model.services->irq_level(model.port, true);
	ck_assert_uint_eq(cfg_get(PCI_STATUS, 2), PCI_STATUS_CAP_LIST | PCI_STATUS_INTERRUPT);
	cfg_put(PCI_STATUS, 2, 0xffff);
	ck_assert_uint_eq(cfg_get(PCI_STATUS, 2), PCI_STATUS_CAP_LIST | PCI_STATUS_INTERRUPT);
	model.services->irq_level(model.port, false);
	ck_assert_uint_eq(cfg_get(PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
}
END_TEST

/* PCI-211, PCI-218: a cache line size sticks in the function, the interrupt line in the
 * client's copy; a PCI Express function has no latency timer and this one no BIST. */
START_TEST(pci_211_scratch_fields)
{
	cfg_put(PCI_CACHE_LINE_SIZE, 1, 16);
	cfg_put(PCI_LATENCY_TIMER, 1, 64);
	cfg_put(PCI_BIST, 1, 0x40);
	cfg_put(PCI_INTERRUPT_LINE, 1, 11);
	ck_assert_uint_eq(cfg_get(PCI_CACHE_LINE_SIZE, 1), 16);
	ck_assert_uint_eq(hw_get(PCI_CACHE_LINE_SIZE, 1), 16);
	ck_assert_uint_eq(cfg_get(PCI_LATENCY_TIMER, 1), 0);
	ck_assert_uint_eq(cfg_get(PCI_BIST, 1), 0);
	ck_assert_uint_eq(cfg_get(PCI_INTERRUPT_LINE, 1), 11);
	ck_assert_uint_ne(hw_get(PCI_INTERRUPT_LINE, 1), 11);
}
END_TEST

/* PCI-213, PCI-221: sizing by all-ones, by dword and by byte; hardware never notices. */
START_TEST(pci_221_bar_sizing)
{
	uint32_t before = hw_get(PCI_BASE_ADDRESS_0, 4);

	for (unsigned i = 0; i < 6; i++)
		cfg_put(PCI_BASE_ADDRESS_0 + 4 * i, 4, 0xffffffff);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_0, 4), 0xffffc00c);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_1, 4), 0xffffffff);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_2, 4), 0xffffff00);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_3, 4), 0xffffffe1);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_4, 4), 0);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_5, 4), 0xfffff000);
	cfg_put(PCI_BASE_ADDRESS_2 + 3, 1, 0x12);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_2, 4), 0x12ffff00);
	cfg_put(PCI_BASE_ADDRESS_2, 4, 0);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_2, 4), 0);
	ck_assert_uint_eq(hw_get(PCI_BASE_ADDRESS_0, 4), before);
}
END_TEST

/* PCI-215, PCI-222: 3000 bytes of image need a ROM BAR of 4096; the enable bit is kept. */
START_TEST(pci_222_rom_bar)
{
	ck_assert_uint_eq(cfg_get(PCI_ROM_ADDRESS, 4),
			  device_bar_resource(rig_device, 6).first);
	cfg_put(PCI_ROM_ADDRESS, 4, 0xfffff800);
	ck_assert_uint_eq(cfg_get(PCI_ROM_ADDRESS, 4), 0xfffff000);
	cfg_put(PCI_ROM_ADDRESS, 4, 0xffffffff);
	ck_assert_uint_eq(cfg_get(PCI_ROM_ADDRESS, 4), 0xfffff001);
}
END_TEST

/* PCI-222 */
START_TEST(pci_222_no_rom)
{
	rig_down();
	model.pci.rom = NULL;
	model.pci.rom_size = 0;
	rig_up();
	cfg_put(PCI_ROM_ADDRESS, 4, 0xffffffff);
	ck_assert_uint_eq(cfg_get(PCI_ROM_ADDRESS, 4), 0);
}
END_TEST

/* PCI-223: the low bits of an I/O BAR follow the mask, and the kernel's quirk. */
START_TEST(pci_223_io_bar)
{
	rig_down();
	model.pci.bars[3].size = 4;
	rig_up();
	cfg_put(PCI_BASE_ADDRESS_3, 4, 0x100a);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_3, 4), 0x1009);
	cfg_put(PCI_BASE_ADDRESS_4, 4, 0x12345678);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_4, 4), 0);
	cfg_put(PCI_BASE_ADDRESS_3, 4, 0x1004);		/* passes for 64 bits wide */
	cfg_put(PCI_BASE_ADDRESS_4, 4, 0x12345678);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_3, 4), 0x1005);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_4, 4), 0x12345678);
}
END_TEST

/* PCI-224: memory decode follows writes that start at offset 4, and no others. */
START_TEST(pci_224_memory_enable)
{
	uint32_t v;

	cfg_put(PCI_COMMAND, 2, 0);
	ck_assert_int_eq(device_read(rig_file, REGION(0, 0), &v, 4), -EIO);
	ck_assert_int_eq(device_write(rig_file, REGION(0, 0), &v, 4), -EIO);
	cfg_put(PCI_COMMAND + 1, 1, PCI_COMMAND_MEMORY);	/* bit 9, not bit 1 */
	ck_assert_int_eq(device_read(rig_file, REGION(0, 0), &v, 4), -EIO);
	cfg_put(PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	ck_assert_int_eq(device_read(rig_file, REGION(0, 0), &v, 4), 0);
	cfg_put(PCI_COMMAND + 1, 1, 0);
	ck_assert_int_eq(device_read(rig_file, REGION(0, 0), &v, 4), 0);
}
END_TEST

/* PCI-227 */
START_TEST(pci_227_no_capabilities)
{
	rig_down();
	model.pci.pm = model.pci.pcie = model.pci.flr = false;
	model.pci.msi.vectors = 0;
	model.pci.msix.vectors = 0;
	rig_up();
	ck_assert_uint_eq(cfg_get(PCI_STATUS, 2), 0);
	ck_assert_uint_eq(cfg_get(PCI_CAPABILITY_LIST, 1), 0);
}
END_TEST

/* ---- capabilities ---- */

/* PCI-228, PCI-241: every capability is found by a walk, and the links stay put. */
START_TEST(pci_228_lists)
{
	static const uint8_t ids[] = { PCI_CAP_ID_PM, PCI_CAP_ID_MSI, PCI_CAP_ID_EXP,
				       PCI_CAP_ID_MSIX };

	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < sizeof(ids); i++) {
			ck_assert_uint_ne(find_cap(ids[i]), 0);
			cfg_put(find_cap(ids[i]), 2, 0xffff);
			cfg_put(find_cap(ids[i]) + 1, 1, 0);
		}
	ck_assert_uint_eq(find_cap(PCI_CAP_ID_AF), 0);
	for (unsigned round = 0; round < 2; round++) {
		ck_assert_uint_eq(find_ext(PCI_EXT_CAP_ID_ERR), 0x100);
		ck_assert_uint_ne(find_ext(PCI_EXT_CAP_ID_DSN), 0);
		cfg_put(0x100, 4, 0);
		cfg_put(find_ext(PCI_EXT_CAP_ID_DSN), 4, 0xffffffff);
	}
}
END_TEST

/* PCI-229, PCI-199: D3hot stops memory, PME bits read 0, D1 and D2 are refused. */
START_TEST(pci_229_power_state)
{
	unsigned pm = find_cap(PCI_CAP_ID_PM);
	uint32_t v;

	ck_assert_uint_eq(cfg_get(pm + PCI_PM_PMC, 2), 3);
	cfg_put(pm + PCI_PM_CTRL, 2, PCI_PM_CTRL_PME_ENABLE | 3);
	ck_assert_uint_eq(cfg_get(pm + PCI_PM_CTRL, 2), PCI_PM_CTRL_NO_SOFT_RESET | 3);
	ck_assert_int_eq(device_read(rig_file, REGION(0, 0), &v, 4), -EIO);
	ck_assert_int_eq(device_read(rig_file, REGION(3, 0), &v, 4), 0);	/* PCI-200 */
	cfg_put(pm + PCI_PM_CTRL, 2, 1);
	ck_assert_uint_eq(cfg_get(pm + PCI_PM_CTRL, 1) & 3, 3);
	cfg_put(pm + PCI_PM_CTRL + 1, 1, 0);		/* does not start at PMCSR */
	ck_assert_uint_eq(cfg_get(pm + PCI_PM_CTRL, 1) & 3, 3);
	cfg_put(pm + PCI_PM_CTRL, 1, 0);
	ck_assert_uint_eq(cfg_get(pm + PCI_PM_CTRL, 1) & 3, 0);
	ck_assert_int_eq(device_read(rig_file, REGION(0, 0), &v, 4), 0);
}
END_TEST

/* PCI-232: the client's enable bit means nothing until SET_IRQS says so. */
START_TEST(pci_232_msi)
{
	unsigned msi = find_cap(PCI_CAP_ID_MSI);
	static struct rig_event e;

	ck_assert_uint_eq(cfg_get(msi + PCI_MSI_FLAGS, 2), 0x0186);	/* 8, 64 bit, mask */
	cfg_put(msi + PCI_MSI_ADDRESS_LO, 4, 0xfee00000);
	cfg_put(msi + PCI_MSI_ADDRESS_HI, 4, 0x1);
	cfg_put(msi + PCI_MSI_DATA_64, 2, 0x4021);
	ck_assert_uint_eq(cfg_get(msi + PCI_MSI_ADDRESS_LO, 4), 0xfee00000);
	ck_assert_uint_eq(cfg_get(msi + PCI_MSI_ADDRESS_HI, 4), 0x1);
	ck_assert_uint_eq(cfg_get(msi + PCI_MSI_DATA_64, 2), 0x4021);
	ck_assert_uint_eq(hw_get(msi + PCI_MSI_ADDRESS_LO, 4), 0);

	cfg_put(msi + PCI_MSI_FLAGS, 2, 0x01b7);	/* enable, 8 vectors */
	ck_assert_uint_eq(cfg_get(msi + PCI_MSI_FLAGS, 2), 0x0186);
	ck_assert_uint_eq(hw_get(msi + PCI_MSI_FLAGS, 2), 0x0186);
	give_event(VFIO_PCI_MSI_IRQ_INDEX, &e);
	ck_assert_uint_eq(hw_get(msi + PCI_MSI_FLAGS, 2), 0x0187);
	cfg_put(msi + PCI_MSI_FLAGS, 2, 0x01b7);	/* one vector was turned on */
	ck_assert_uint_eq(cfg_get(msi + PCI_MSI_FLAGS, 2), 0x0187);
	cfg_put(msi + PCI_MSI_FLAGS, 1, 0x06);		/* and off again in hw */
	ck_assert_uint_eq(hw_get(msi + PCI_MSI_FLAGS, 1), 0x86);
	/* read-only bits of the low byte read back as written */
	cfg_put(msi + PCI_MSI_FLAGS, 1, 0);
	ck_assert_uint_eq(cfg_get(msi + PCI_MSI_FLAGS, 2), 0x0100);
	ck_assert_uint_eq(hw_get(msi + PCI_MSI_FLAGS, 1), 0x86);
}
END_TEST

/* PCI-236, PCI-241: what may be written of PCI Express. */
START_TEST(pci_236_device_control)
{
	unsigned exp = find_cap(PCI_CAP_ID_EXP);

	ck_assert_uint_eq(cfg_get(exp + PCI_EXP_FLAGS, 2), 2);
	cfg_put(exp + PCI_EXP_DEVCTL, 2, 0x7fff);
	/* payload and read request sizes are the client's; no phantom functions */
	ck_assert_uint_eq(cfg_get(exp + PCI_EXP_DEVCTL, 2), 0x78ff);
	ck_assert_uint_eq(hw_get(exp + PCI_EXP_DEVCTL, 2) & PCI_EXP_DEVCTL_PAYLOAD, 0);
	ck_assert_uint_eq(hw_get(exp + PCI_EXP_DEVCTL, 2) & PCI_EXP_DEVCTL_READRQ, 0x7000);
	cfg_put(exp + PCI_EXP_DEVCTL2, 2, 0xffff);
	ck_assert_uint_eq(cfg_get(exp + PCI_EXP_DEVCTL2, 2), PCI_EXP_DEVCTL2_COMP_TMOUT_DIS);
	cfg_put(exp + PCI_EXP_LNKCTL, 2, 0xffff);
	ck_assert_uint_eq(cfg_get(exp + PCI_EXP_LNKCTL, 2), 0);
	ck_assert_uint_eq(model.resets, 0);
}
END_TEST

/* PCI-236: FLR by config write resets, reads 0, and loses no register. */
START_TEST(pci_236_function_level_reset)
{
	unsigned exp = find_cap(PCI_CAP_ID_EXP);

	cfg_put(PCI_COMMAND, 2, 6);
	cfg_put(PCI_BASE_ADDRESS_2, 4, 0x12345600);
	cfg_put(exp + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR | PCI_EXP_DEVCTL_URRE);
	ck_assert_uint_eq(model.resets, 1);
	ck_assert_uint_eq(cfg_get(exp + PCI_EXP_DEVCTL, 2), PCI_EXP_DEVCTL_URRE);
	ck_assert_uint_eq(cfg_get(PCI_COMMAND, 2), 6);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_2, 4), 0x12345600);
}
END_TEST

/* PCI-236: a function that cannot do FLR. */
START_TEST(pci_236_no_flr)
{
	unsigned exp;

	rig_down();
	model.pci.flr = false;
	rig_up();
	exp = find_cap(PCI_CAP_ID_EXP);
	cfg_put(exp + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	ck_assert_uint_eq(model.resets, 0);
	ck_assert_uint_eq(cfg_get(exp + PCI_EXP_DEVCTL, 2), 0);
}
END_TEST

/* PCI-237: config writes do not turn MSI-X on; SET_IRQS does. */
START_TEST(pci_237_msix)
{
	unsigned msix = find_cap(PCI_CAP_ID_MSIX);
	static struct rig_event e;

	ck_assert_uint_eq(cfg_get(msix + PCI_MSIX_FLAGS, 2), RIG_VECTORS - 1);
	ck_assert_uint_eq(cfg_get(msix + PCI_MSIX_TABLE, 4), RIG_TABLE);
	ck_assert_uint_eq(cfg_get(msix + PCI_MSIX_PBA, 4), RIG_PBA);
	cfg_put(msix + PCI_MSIX_FLAGS, 2, 0xffff);
	ck_assert_uint_eq(cfg_get(msix + PCI_MSIX_FLAGS, 2), RIG_VECTORS - 1);
	give_event(VFIO_PCI_MSIX_IRQ_INDEX, &e);
	ck_assert_uint_eq(cfg_get(msix + PCI_MSIX_FLAGS, 2),
			  PCI_MSIX_FLAGS_ENABLE | (RIG_VECTORS - 1));
	cfg_put(msix + PCI_MSIX_FLAGS, 2, 0);
	ck_assert_uint_eq(cfg_get(msix + PCI_MSIX_FLAGS, 2),
			  PCI_MSIX_FLAGS_ENABLE | (RIG_VECTORS - 1));
}
END_TEST

/* PCI-239, PCI-211: a conventional function resets through advanced features, and has a
 * latency timer. PCI-191: its space has 256 bytes. */
START_TEST(pci_239_advanced_features)
{
	unsigned af;
	uint32_t v;

	rig_down();
	model.pci.pcie = false;
	rig_up();
	af = find_cap(PCI_CAP_ID_AF);
	ck_assert_uint_ne(af, 0);
	ck_assert_uint_eq(cfg_get(af + PCI_AF_LENGTH, 2), 0x0306);
	cfg_put(af + PCI_AF_CTRL, 1, PCI_AF_CTRL_FLR);
	ck_assert_uint_eq(model.resets, 1);
	ck_assert_uint_eq(cfg_get(af + PCI_AF_CTRL, 2), 0);
	cfg_put(PCI_LATENCY_TIMER, 1, 64);
	ck_assert_uint_eq(cfg_get(PCI_LATENCY_TIMER, 1), 64);
	ck_assert_int_eq(device_read(rig_file, CONFIG(256), &v, 1), -EFAULT);
}
END_TEST

/* PCI-242: masks and severity can be written where bits are defined. */
START_TEST(pci_242_aer)
{
	unsigned aer = find_ext(PCI_EXT_CAP_ID_ERR);

	cfg_put(aer + PCI_ERR_UNCOR_MASK, 4, 0xffffffff);
	ck_assert_uint_eq(cfg_get(aer + PCI_ERR_UNCOR_MASK, 4), 0x001ff010);
	cfg_put(aer + PCI_ERR_COR_MASK, 4, 0);
	ck_assert_uint_eq(cfg_get(aer + PCI_ERR_COR_MASK, 4), 0);
	cfg_put(aer + PCI_ERR_UNCOR_STATUS, 4, 0xffffffff);
	ck_assert_uint_eq(cfg_get(aer + PCI_ERR_UNCOR_STATUS, 4), 0);
	cfg_put(aer + PCI_ERR_HEADER_LOG, 4, 0xffffffff);
	ck_assert_uint_eq(cfg_get(aer + PCI_ERR_HEADER_LOG, 4), 0);
}
END_TEST

/* PCI-245 */
START_TEST(pci_245_serial_number)
{
	unsigned dsn = find_ext(PCI_EXT_CAP_ID_DSN);

	cfg_put(dsn + 4, 4, 0);
	ck_assert_uint_eq(cfg_get(dsn + 4, 4), 0x55667788);
	ck_assert_uint_eq(cfg_get(dsn + 8, 4), 0x11223344);
}
END_TEST

/* PCI-240: between capabilities is raw: the write reaches a function without such bits. */
START_TEST(pci_240_gaps)
{
	cfg_put(0xf0, 4, 0xffffffff);
	ck_assert_uint_eq(cfg_get(0xf0, 4), 0);
	cfg_put(0xa00, 4, 0xffffffff);
	ck_assert_uint_eq(cfg_get(0xa00, 4), 0);
}
END_TEST

/* PCI-192: any length at any place, and the same bytes whichever way they are read. */
START_TEST(pci_192_any_split)
{
	uint8_t all[4096], part[64];

	ck_assert_int_eq(device_read(rig_file, CONFIG(0), all, sizeof(all)), 0);
	for (unsigned off = 0; off < 0x110; off++)
		for (unsigned len = 1; len < 9; len++) {
			ck_assert_int_eq(device_read(rig_file, CONFIG(off), part, len), 0);
			ck_assert_mem_eq(part, all + off, len);
		}
	/* A write over several fields at once: COMMAND, then BARs beyond it. */
	memset(part, 0xff, sizeof(part));
	part[4] = PCI_COMMAND_MEMORY;
	part[5] = 0;
	ck_assert_int_eq(device_write(rig_file, CONFIG(0), part, 64), 0);
	ck_assert_uint_eq(cfg_get(PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_5, 4), 0xfffff000);
}
END_TEST

/* PCI-191: no short access at the end. */
START_TEST(pci_191_end_of_config)
{
	uint32_t v;

	ck_assert_int_eq(device_rw_check(rig_file, CONFIG(4094), 2, false), 2);
	ck_assert_int_eq(device_rw_check(rig_file, CONFIG(4094), 4, false), -EFAULT);
	ck_assert_int_eq(device_rw_check(rig_file, CONFIG(4096), 1, true), -EFAULT);
	ck_assert_int_eq(device_read(rig_file, CONFIG(4094), &v, 4), -EFAULT);
}
END_TEST

/* PCI-014: the next first open finds power-on contents. */
START_TEST(pci_014_rebuilt)
{
	cfg_put(PCI_COMMAND, 2, 0);
	cfg_put(PCI_BASE_ADDRESS_2, 4, 0);
	device_close(rig_file);
	ck_assert_int_eq(device_open(rig_device, NULL, &rig_file), 0);
	ck_assert_uint_eq(cfg_get(PCI_COMMAND, 2), 3);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_2, 4),
			  device_bar_resource(rig_device, 2).first);
}
END_TEST

static void fill(Suite *s)
{
	TCase *tc = tcase_create("config");

	tcase_add_checked_fixture(tc, rig_setup, rig_down);
	tcase_add_test(tc, pci_012_state_after_open);
	tcase_add_test(tc, pci_207_read_only_fields);
	tcase_add_test(tc, pci_208_command);
	tcase_add_test(tc, pci_209_status_is_read_only);
	tcase_add_test(tc, pci_211_scratch_fields);
	tcase_add_test(tc, pci_221_bar_sizing);
	tcase_add_test(tc, pci_222_rom_bar);
	tcase_add_test(tc, pci_222_no_rom);
	tcase_add_test(tc, pci_223_io_bar);
	tcase_add_test(tc, pci_224_memory_enable);
	tcase_add_test(tc, pci_227_no_capabilities);
	tcase_add_test(tc, pci_228_lists);
	tcase_add_test(tc, pci_229_power_state);
	tcase_add_test(tc, pci_232_msi);
	tcase_add_test(tc, pci_236_device_control);
	tcase_add_test(tc, pci_236_function_level_reset);
	tcase_add_test(tc, pci_236_no_flr);
	tcase_add_test(tc, pci_237_msix);
	tcase_add_test(tc, pci_239_advanced_features);
	tcase_add_test(tc, pci_242_aer);
	tcase_add_test(tc, pci_245_serial_number);
	tcase_add_test(tc, pci_240_gaps);
	tcase_add_test(tc, pci_192_any_split);
	tcase_add_test(tc, pci_191_end_of_config);
	tcase_add_test(tc, pci_014_rebuilt);
	suite_add_tcase(s, tc);
}

RIG_MAIN("cfgspace", fill)
