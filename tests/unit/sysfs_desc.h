/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sysfs_desc.h - an example of simulated devices for the tests of the synthetic sysfs. */
#ifndef TESTS_SYSFS_DESC_H
#define TESTS_SYSFS_DESC_H

#include <string.h>
#include <transport/sysfs.h>

/* Little-endian into configuration space. */
static inline void put(struct sysfs_device *device, unsigned at, unsigned len, uint32_t v)
{
	for (unsigned i = 0; i < len; i++)
		device->config[at + i] = (uint8_t)(v >> 8 * i);
}

/* Configuration space as lspci takes it apart. */
static inline void put_header(struct sysfs_device *device)
{
	const struct cused_pci *pci = &device->pci;

	put(device, 0x00, 2, pci->vendor);
	put(device, 0x02, 2, pci->device);
	put(device, 0x08, 4, pci->class_code << 8 | pci->revision);
	put(device, 0x2c, 2, pci->subvendor);
	put(device, 0x2e, 2, pci->subdevice);
	put(device, 0x3c, 1, pci->interrupt_pin ? 11 : 0);
	put(device, 0x3d, 1, pci->interrupt_pin);
	for (unsigned bar = 0; bar < CUSED_PCI_BARS; bar++)
		if (device->bars[bar].last)
			put(device, 0x10 + 4 * bar, 4, (uint32_t)device->bars[bar].first |
			    (pci->bars[bar].flags & CUSED_BAR_64 ? 4 : 0) |
			    (pci->bars[bar].flags & CUSED_BAR_PREFETCH ? 8 : 0) |
			    (pci->bars[bar].flags & CUSED_BAR_IO ? 1 : 0));
}

/* PCI Express capability at 0x40: 8 GT/s x4, running at 5 GT/s x2. */
static inline void put_pcie(struct sysfs_device *device)
{
	put(device, 0x06, 2, 0x10);
	put(device, 0x34, 1, 0x40);
	put(device, 0x40, 2, 0x0010);
	put(device, 0x42, 2, 0x0002);
	put(device, 0x4c, 4, 4 << 4 | 3);
	put(device, 0x52, 2, 2 << 4 | 2);
}

#define EXAMPLE_DEVICES 3
#define EXAMPLE_GROUPS 2

struct example {
	struct sysfs_device devices[EXAMPLE_DEVICES];
	struct sysfs_group groups[EXAMPLE_GROUPS];
	struct sysfs_desc desc;
};

/*
 * Two functions of one slot in group @group (a storage controller with a 64-bit BAR, and
 * one with every other kind of BAR), and a device without IOMMU in group @group + 1.
 */
static inline void example_init(struct example *e, unsigned bus, unsigned group)
{
	struct sysfs_device *d = e->devices;

	memset(e, 0, sizeof(*e));
	d[0].address = (struct pci_address){ 0, (uint8_t)bus, 0, 0 };
	d[0].pci = (struct cused_pci){ .vendor = 0x1b36, .device = 0x0010,
		.subvendor = 0x1af4, .subdevice = 0x1100, .revision = 2,
		.class_code = 0x010802, .interrupt_pin = 1, .pcie = true, .flr = true,
		.bars[0] = { .size = 0x4000, .flags = CUSED_BAR_64 } };
	d[0].bars[0] = (struct cused_range){ 0xfeb70000, 0xfeb73fff };
	d[0].config_size = 4096;
	put_header(&d[0]);
	put_pcie(&d[0]);

	d[1].address = (struct pci_address){ 0, (uint8_t)bus, 0, 1 };
	d[1].pci = (struct cused_pci){ .vendor = 0x1234, .device = 0x11e8,
		.subvendor = 0x1af4, .subdevice = 0x1100, .revision = 0x10,
		.class_code = 0x00ff00, .pm = true,
		.bars = { [0] = { .size = 0x100000 },
			  [1] = { .size = 64, .flags = CUSED_BAR_IO },
			  [2] = { .size = 0x1000,
				  .flags = CUSED_BAR_64 | CUSED_BAR_PREFETCH } } };
	d[1].bars[0] = (struct cused_range){ 0xfea00000, 0xfeafffff };
	d[1].bars[1] = (struct cused_range){ 0xc000, 0xc03f };
	d[1].bars[2] = (struct cused_range){ 0xfeb00000, 0xfeb00fff };
	d[1].bars[6] = (struct cused_range){ 0xfe900000, 0xfe93ffff };
	d[1].config_size = 256;
	put_header(&d[1]);

	d[2] = d[1];
	d[2].address = (struct pci_address){ 0, (uint8_t)(bus + 1), 3, 0 };
	d[2].group = 1;

	e->groups[0] = (struct sysfs_group){ .id = group, .n_resv = 4, .resv = {
		{ { 0xfee00000, 0xfeefffff }, CUSED_RESV_MSI },
		{ { 0x2000, 0x2fff }, CUSED_RESV_RESERVED },
		{ { 0x1000, 0x1fff }, CUSED_RESV_RESERVED },
		{ { 0x1800, 0x27ff }, CUSED_RESV_DIRECT_RELAXABLE } } };
	e->groups[1] = (struct sysfs_group){ .id = group + 1, .noiommu = true };
	e->desc = (struct sysfs_desc){ .devices = e->devices, .n_devices = EXAMPLE_DEVICES,
		.groups = e->groups, .n_groups = EXAMPLE_GROUPS, .address_bits = 39,
		.dma_entry_limit = 1234, .unsafe_noiommu = true,
		.host = { .n_cpus = 36, .iommu_number = 0 } };
}

#endif
