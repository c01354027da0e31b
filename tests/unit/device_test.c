/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/pci_regs.h>

#include "unit/device_rig.h"
#include "unit/fake_mm.h"

#define FEATURE_LOW_POWER 3
#define FEATURE_LOW_POWER_WAKEUP 4
#define FEATURE_LOW_POWER_EXIT 5

/* ---- info, life ---- */

/* PCI-021, PCI-022, PCI-023 */
START_TEST(pci_021_info)
{
	struct device_info info;

	device_get_info(rig_file, &info);
	ck_assert_uint_eq(info.flags, VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET);
	ck_assert_uint_eq(info.num_regions, 9);
	ck_assert_uint_eq(info.num_irqs, 5);
	rig_down();
	model.pci.flr = false;
	rig_up();
	device_get_info(rig_file, &info);
	ck_assert_uint_eq(info.flags, VFIO_DEVICE_FLAGS_PCI);
}
END_TEST

START_TEST(facts)
{
	struct pci_address a = device_address(rig_device);

	ck_assert_str_eq(device_name(rig_device), "0000:01:00.0");
	ck_assert_str_eq(model.services->name(model.port), "0000:01:00.0");
	ck_assert_uint_eq(a.bus, 1);
	ck_assert_ptr_eq(device_group(rig_device), rig_group);
	ck_assert_ptr_eq(device_ops(rig_device), &rig_ops);
	ck_assert_uint_eq(device_pci(rig_device)->vendor, 0x1234);
	ck_assert_ptr_eq(device_file_device(rig_file), rig_device);
	/* Nothing of it is kept, so its model has nothing to save. */
	ck_assert(!CUSED_HAS(model.services, save) && !CUSED_HAS(model.services, save_now));
	ck_assert(!CUSED_HAS(model.services, memory));
}
END_TEST

/* CG-104, CG-105, CG-106, CG-107, CG-108, CG-113 */
START_TEST(cg_104_names)
{
	static const struct {
		const char *name;
		int result;
	} cases[] = {
		{ "0000:01:00.0", 0 },
		{ "0000:01:00.0   ", 0 },
		{ "", -ENODEV },
		{ "0000:01:00", -ENODEV },
		{ "0000:01:00.1", -ENODEV },
		{ "0000:01:00.00", -ENODEV },
		{ " 0000:01:00.0", -ENODEV },
		{ "0000:01:00.0 x", -EINVAL },
		{ "0000:01:00.0 vf_token=short", -EINVAL },
		{ "0000:01:00.0 vf_token=2ab74924-c335-45f4-9b16-8569e5b08258", -EINVAL },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ck_assert_int_eq(device_match_name(rig_device, cases[i].name),
				 cases[i].result);
}
END_TEST

/* PCI-011, PCI-013, PCI-014: state is the device's; the model is opened and closed once. */
START_TEST(pci_013_second_open)
{
	struct device_file *second;
	uint32_t v;

	cfg_put(PCI_COMMAND, 2, 0);
	ck_assert_int_eq(device_open(rig_device, NULL, &second), 0);
	ck_assert_uint_eq(model.opens, 1);
	ck_assert_int_eq(device_read(second, CONFIG(PCI_COMMAND), &v, 2), 0);
	ck_assert_uint_eq((uint16_t)v, 0);
	ck_assert(!device_close(rig_file));
	ck_assert_uint_eq(model.closes, 0);
	ck_assert(device_is_open(rig_device));
	ck_assert(device_close(second));
	ck_assert_uint_eq(model.closes, 1);
	ck_assert(!device_is_open(rig_device));
	ck_assert_int_eq(device_open(rig_device, NULL, &rig_file), 0);
	ck_assert_uint_eq(model.opens, 2);
	ck_assert_uint_eq(cfg_get(PCI_COMMAND, 2), 3);
}
END_TEST

/* CG-100: what the model says when it does not open. */
START_TEST(cg_100_model_refuses)
{
	device_close(rig_file);
	rig_file = NULL;
	model.open_error = -EIO;
	ck_assert_int_eq(device_open(rig_device, NULL, &rig_file), -EIO);
	ck_assert(!device_is_open(rig_device));
	ck_assert_ptr_eq(rig_file, NULL);
}
END_TEST

/* ---- making ---- */

static int create_fails(const struct cused_services *services, struct cused_port *port,
			const struct cused_value *values, struct cused_pci *ret_pci,
			void **ret_state, struct cused_error *err)
{
	return cused_error_set(err, -ENOENT, "no image");
}

static int backing_fails(void *arg, unsigned bar, uint64_t size, void **ret_base)
{
	return bar == 2 ? -ENOSPC : (*ret_base = calloc(1, size), 0);
}

static void backing_free(void *arg, unsigned bar, uint64_t size, void *base)
{
	++*(unsigned *)arg;
	free(base);
}

/* Nothing is left of a device that could not be made. */
START_TEST(making_fails)
{
	static const struct backing_ops backing = { .alloc = backing_fails, .free = backing_free };
	unsigned freed = 0;
	struct device_params params = {
		.address = { .bus = 5 }, .ops = &rig_ops,
		.backing = &backing, .backing_arg = &freed,
	};
	struct cused_error err = { "" };
	struct device *device = NULL;
	struct cused_device_ops bad = rig_ops;

	ck_assert_int_eq(topology_add_device(rig_topology, rig_group, &params, &device, &err),
			 -ENOSPC);
	ck_assert_uint_eq(freed, 1);
	ck_assert_uint_eq(model.destroys, 1);
	ck_assert_ptr_ne(strstr(err.text, "BAR2"), NULL);

	bad.create = create_fails;
	params.ops = &bad;
	ck_assert_int_eq(topology_add_device(rig_topology, rig_group, &params, &device, &err),
			 -ENOENT);
	ck_assert_str_eq(err.text, "no image");
	ck_assert_uint_eq(model.destroys, 1);

	params.ops = &rig_ops;
	params.backing = NULL;
	model.pci.msi.vectors = 5;
	ck_assert_int_eq(topology_add_device(rig_topology, rig_group, &params, &device, &err),
			 -EINVAL);
	ck_assert_uint_eq(model.destroys, 2);
	ck_assert_ptr_eq(device, NULL);
}
END_TEST

/* ---- reset ---- */

/* PCI-105, PCI-108 */
START_TEST(pci_105_reset)
{
	cfg_put(PCI_BASE_ADDRESS_2, 4, 0xabcdef00);
	cfg_put(0x40 + PCI_PM_CTRL, 2, 3);
	ck_assert_int_eq(device_reset(rig_file), 0);
	ck_assert_uint_eq(model.resets, 1);
	ck_assert_uint_eq(cfg_get(PCI_BASE_ADDRESS_2, 4), 0xabcdef00);
	ck_assert_uint_eq(cfg_get(0x40 + PCI_PM_CTRL, 1) & 3, 0);	/* awake */
	rig_down();
	model.pci.flr = false;
	rig_up();
	ck_assert_int_eq(device_reset(rig_file), -EINVAL);
	ck_assert_uint_eq(model.resets, 1);
}
END_TEST

/* PCI-111, PCI-121: nothing resets the root bus. */
START_TEST(pci_111_root_bus)
{
	struct device *root = rig_add(0, 3, rig_group);
	struct hot_reset_entry entries[HOT_RESET_MAX];
	struct group_arg arg = { .group = rig_group };
	struct device_file *file;

	ck_assert_int_eq(device_open(root, NULL, &file), 0);
	ck_assert_int_eq(device_hot_reset_info(file, entries), -ENODEV);
	ck_assert_int_eq(device_hot_reset(file, &arg, 1), -ENODEV);
	ck_assert_int_eq(device_hot_reset(file, &arg, 0), -EINVAL);	/* PCI-120 */
	device_close(file);
}
END_TEST

/* PCI-116: every device of the bus, wherever its group. */
START_TEST(pci_116_affected_devices)
{
	struct hot_reset_entry entries[HOT_RESET_MAX];
	struct group *other;

	ck_assert_int_eq(topology_add_group(rig_topology, 8, GROUP_REAL, &other), 0);
	rig_add(1, 2, other);
	rig_add(2, 0, other);
	ck_assert_int_eq(device_hot_reset_info(rig_file, entries), 2);
	ck_assert_uint_eq(entries[0].group, 7);
	ck_assert_uint_eq(entries[0].bus, 1);
	ck_assert_uint_eq(entries[0].devfn, 0);
	ck_assert_uint_eq(entries[1].group, 8);
	ck_assert_uint_eq(entries[1].devfn, 2 << 3);
	ck_assert_uint_eq(entries[1].segment, 0);
}
END_TEST

/* PCI-120, PCI-122, PCI-124, PCI-125, PCI-127, PCI-129 */
START_TEST(pci_127_hot_reset)
{
	struct group *other;
	struct group_arg args[3] = { { .group = rig_group } };
	struct device_file *file;
	struct device *second;

	ck_assert_int_eq(topology_add_group(rig_topology, 8, GROUP_REAL, &other), 0);
	second = rig_add(1, 2, other);
	ck_assert_int_eq(device_hot_reset(rig_file, args, 0), -EINVAL);
	ck_assert_int_eq(device_hot_reset(rig_file, args, 3), -EINVAL);
	ck_assert_int_eq(device_hot_reset(rig_file, args, 1), -EINVAL);
	args[1].err = -EBADF;
	ck_assert_int_eq(device_hot_reset(rig_file, args, 2), -EBADF);
	args[1].err = -EINVAL;
	ck_assert_int_eq(device_hot_reset(rig_file, args, 2), -EINVAL);
	ck_assert_uint_eq(model.resets, 0);
	args[1] = (struct group_arg){ .group = other };
	ck_assert_int_eq(device_hot_reset(rig_file, args, 2), 0);
	ck_assert_uint_eq(model.resets, 1);	/* the other is not open: as after power-on */
	ck_assert_int_eq(device_open(second, NULL, &file), 0);
	ck_assert_int_eq(device_hot_reset(rig_file, args, 2), 0);
	ck_assert_uint_eq(model.resets, 3);
	device_close(file);
}
END_TEST

/* ---- features ---- */

/* PCI-149, PCI-158, PCI-159, PCI-160, PCI-166, PCI-167 */
START_TEST(pci_149_features)
{
	struct feature_info info;

	for (uint16_t id = 0; id < 20; id++) {
		int want = id == 12 ? -EINVAL : id >= 3 && id <= 5 ? 0 : -ENOTTY;

		ck_assert_int_eq(device_feature_info(rig_file, id, &info), want);
		if (want)
			continue;
		ck_assert(info.set && !info.get);
		ck_assert_uint_eq(info.size, id == 4 ? 8 : 0);
		ck_assert_int_eq(info.takes_eventfd, id == 4);
	}
	ck_assert_int_eq(device_feature(rig_file, 0, true, NULL, NULL), -ENOTTY);
	ck_assert_int_eq(device_feature(rig_file, 3, false, NULL, NULL), -EINVAL);
}
END_TEST

static bool can_dma(void)
{
	return model.services->dma_read(model.port, NULL, 0, NULL) != -EACCES;
}

/* PCI-169, PCI-171, PCI-172: accesses work, the function itself sleeps until told. */
START_TEST(pci_169_low_power)
{
	cfg_put(PCI_COMMAND, 2, 6);
	ck_assert(can_dma());
	ck_assert_int_eq(device_feature(rig_file, FEATURE_LOW_POWER_EXIT, true, NULL, NULL), 0);
	ck_assert_int_eq(device_feature(rig_file, FEATURE_LOW_POWER, true, NULL, NULL), 0);
	ck_assert(!can_dma());
	ck_assert_int_eq(device_feature(rig_file, FEATURE_LOW_POWER, true, NULL, NULL),
			 -EINVAL);
	ck_assert_uint_eq(cfg_get(PCI_COMMAND, 2), 6);
	ck_assert(!can_dma());
	ck_assert_int_eq(device_feature(rig_file, FEATURE_LOW_POWER_EXIT, true, NULL, NULL), 0);
	ck_assert(can_dma());
}
END_TEST

/* PCI-170, PCI-171: the first use wakes, signals once, and low power is over. */
START_TEST(pci_170_wakeup)
{
	static struct rig_event e;
	struct event_arg good = rig_event(&e), none = rig_fd(-1, 0);
	struct event_arg closed = rig_fd(9, -EBADF), file = rig_fd(9, -EINVAL);
	const uint16_t id = FEATURE_LOW_POWER_WAKEUP;

	ck_assert_int_eq(device_feature(rig_file, id, true, NULL, &none), -EINVAL);
	ck_assert_int_eq(device_feature(rig_file, id, true, NULL, &closed), -EBADF);
	ck_assert_int_eq(device_feature(rig_file, id, true, NULL, &file), -EINVAL);
	ck_assert_int_eq(device_feature(rig_file, id, true, NULL, &good), 0);
	ck_assert_uint_eq(rig_refs(&e), 1);
	cfg_get(0, 4);
	ck_assert_uint_eq(e.signals, 1);
	ck_assert_uint_eq(rig_refs(&e), 0);
	cfg_get(0, 4);
	ck_assert_uint_eq(e.signals, 1);
	ck_assert_int_eq(device_feature(rig_file, id, true, NULL, &good), 0);
	device_close(rig_file);			/* PCI-014: asleep and closed */
	rig_file = NULL;
	ck_assert_uint_eq(rig_refs(&e), 0);
}
END_TEST

/* ---- DMA ---- */

#define CLIENT 0x10000000u

static struct ioas *map_client(struct fake_mm *mm)
{
	struct ioas *ioas;

	fake_mm_init(mm, CLIENT, 0x3000);
	ck_assert_int_eq(ioas_new(&ioas), 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct ioas_mapping m = {
			.iova = { i * 0x1000, i * 0x1000 + 0xfff },
			.vaddr = CLIENT + i * 0x1000,
			.prot = i ? CUSED_PROT_READ : CUSED_PROT_READ | CUSED_PROT_WRITE,
			.mm = &mm->mm,
		};

		ck_assert_int_eq(ioas_map(ioas, &m), 0);
	}
	return ioas;
}

START_TEST(dma)
{
	static const struct cused_dma many[CUSED_DMA_BATCH_MAX + 1];	/* of no bytes */
	struct fake_mm mm;
	struct ioas *ioas = map_client(&mm);
	struct device_counters counters;
	char buf[8] = "abcdefg", back[8] = "";
	struct cused_dma v[2] = { { 0x10, buf, 4 }, { 0x20, buf + 4, 4 } };
	size_t bad = 99;

	device_close(rig_file);
	ck_assert_int_eq(device_open(rig_device, ioas, &rig_file), 0);
	ck_assert_int_eq(model.services->dma_write(model.port, v, 2, &bad), -EACCES);
	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	ck_assert_int_eq(model.services->dma_write(model.port, v, 2, &bad), 0);
	ck_assert_mem_eq(mm.bytes + 0x10, "abcd", 4);
	ck_assert_mem_eq(mm.bytes + 0x20, "efg", 4);
	v[0].buf = back;
	ck_assert_int_eq(model.services->dma_read(model.port, v, 1, NULL), 0);
	ck_assert_mem_eq(back, "abcd", 4);
	ck_assert_uint_eq(bad, 99);

	v[1].iova = 0x1000;			/* read-only */
	ck_assert_int_eq(model.services->dma_write(model.port, v, 2, &bad), -EFAULT);
	ck_assert_uint_eq(bad, 1);
	ck_assert_int_eq(model.services->dma_read(model.port, v, 2, NULL), 0);
	v[0].iova = 0x2000;			/* not mapped */
	ck_assert_int_eq(model.services->dma_read(model.port, v, 2, &bad), -EFAULT);
	ck_assert_uint_eq(bad, 0);
	ck_assert_int_eq(model.services->dma_read(model.port, many, CUSED_DMA_BATCH_MAX, NULL),
			 0);
	ck_assert_int_eq(model.services->dma_read(model.port, many, CUSED_DMA_BATCH_MAX + 1,
						  NULL),
			 -E2BIG);
	cfg_put(0x40 + PCI_PM_CTRL, 2, 3);	/* PCI-229: asleep */
	ck_assert_int_eq(model.services->dma_read(model.port, v, 1, NULL), -EACCES);

	device_get_counters(rig_device, &counters);
	ck_assert_uint_eq(counters.dma_write_bytes, 8);
	ck_assert_uint_eq(counters.dma_read_bytes, 4 + 8);
	ck_assert_uint_eq(counters.dma_faults, 2);
	ck_assert_uint_eq(counters.dma_refused, 2);
	device_close(rig_file);
	rig_file = NULL;
	ioas_free(ioas);
	ck_assert_uint_eq(fake_mm_done(&mm), 1);
}
END_TEST

/* A noiommu group has no map: nothing can be reached. */
START_TEST(dma_without_a_map)
{
	char byte;
	const struct cused_dma v = { 0, &byte, 1 };
	size_t bad = 99;

	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	ck_assert_int_eq(model.services->dma_read(model.port, &v, 1, &bad), -EFAULT);
	ck_assert_uint_eq(bad, 0);
}
END_TEST

static void fill(Suite *s)
{
	TCase *tc = tcase_create("device");

	tcase_add_checked_fixture(tc, rig_setup, rig_down);
	tcase_add_test(tc, pci_021_info);
	tcase_add_test(tc, facts);
	tcase_add_test(tc, cg_104_names);
	tcase_add_test(tc, pci_013_second_open);
	tcase_add_test(tc, cg_100_model_refuses);
	tcase_add_test(tc, making_fails);
	tcase_add_test(tc, pci_105_reset);
	tcase_add_test(tc, pci_111_root_bus);
	tcase_add_test(tc, pci_116_affected_devices);
	tcase_add_test(tc, pci_127_hot_reset);
	tcase_add_test(tc, pci_149_features);
	tcase_add_test(tc, pci_169_low_power);
	tcase_add_test(tc, pci_170_wakeup);
	tcase_add_test(tc, dma);
	tcase_add_test(tc, dma_without_a_map);
	suite_add_tcase(s, tc);
}

RIG_MAIN("device", fill)
