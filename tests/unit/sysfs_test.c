/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plan of the synthetic sysfs: text of files and targets of links, by SD row. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sysfs_desc.h"

static struct example example;
static struct sysfs_plan *plan;

static void setup(void)
{
	example_init(&example, 1, 7);
	ck_assert_int_eq(sysfs_plan_new(&example.desc, &plan), 0);
}

static void teardown(void)
{
	sysfs_plan_free(plan);
}

static const struct sysfs_node *node_at(const char *path, enum sysfs_kind kind)
{
	const struct sysfs_node *node = sysfs_plan_find(plan, path);

	ck_assert_msg(node != NULL, "no %s", path);
	ck_assert_msg(node->kind == kind, "%s is of kind %d", path, (int)node->kind);
	return node;
}

static void file_is(const char *path, const char *text)
{
	const struct sysfs_node *node = node_at(path, SYSFS_FILE);

	ck_assert_msg(!strcmp(node->data, text), "%s: got \"%s\", not \"%s\"", path,
		      node->data, text);
	ck_assert_uint_eq(node->len, strlen(text));
}

static void link_is(const char *path, const char *target)
{
	ck_assert_str_eq(node_at(path, SYSFS_LINK)->data, target);
}

static unsigned count(const char *path)
{
	unsigned n = 0;

	for (const struct sysfs_node *c = node_at(path, SYSFS_DIR)->children; c; c = c->next)
		n++;
	return n;
}

#define DEV0 "devices/pci0000:01/0000:01:00.0/"
#define DEV1 "devices/pci0000:01/0000:01:00.1/"
#define DEV2 "devices/pci0000:02/0000:02:03.0/"

/* SD-002, SD-003: one link per member, of the depth the kernel's have. */
START_TEST(sd_003_group_lists_its_members)
{
	ck_assert_uint_eq(count("kernel/iommu_groups"), 2);
	ck_assert_uint_eq(count("kernel/iommu_groups/7/devices"), 2);
	link_is("kernel/iommu_groups/7/devices/0000:01:00.0",
		"../../../../devices/pci0000:01/0000:01:00.0");
	link_is("kernel/iommu_groups/7/devices/0000:01:00.1",
		"../../../../devices/pci0000:01/0000:01:00.1");
	link_is("kernel/iommu_groups/8/devices/0000:02:03.0",
		"../../../../devices/pci0000:02/0000:02:03.0");
}
END_TEST

/* SD-004, SD-005, SD-006: sorted, inclusive, 16 digits; one type merged, types overlap. */
START_TEST(sd_004_reserved_regions)
{
	file_is("kernel/iommu_groups/7/reserved_regions",
		"0x0000000000001000 0x0000000000002fff reserved\n"
		"0x0000000000001800 0x00000000000027ff direct-relaxable\n"
		"0x00000000fee00000 0x00000000feefffff msi\n");
	file_is("kernel/iommu_groups/8/reserved_regions", "");
	ck_assert_uint_eq(node_at("kernel/iommu_groups/7/reserved_regions", SYSFS_FILE)->mode,
			  0444);
}
END_TEST

/* A region that ends at 2^64-1 touches nothing behind it. */
START_TEST(sd_004_reserved_region_to_the_end)
{
	struct sysfs_plan *other;

	example.groups[0].n_resv = 2;
	example.groups[0].resv[0] = (struct cused_resv){ { 1ull << 63, UINT64_MAX },
							 CUSED_RESV_RESERVED };
	example.groups[0].resv[1] = (struct cused_resv){ { 0, 0xfff }, CUSED_RESV_RESERVED };
	ck_assert_int_eq(sysfs_plan_new(&example.desc, &other), 0);
	ck_assert_str_eq(sysfs_plan_find(other, "kernel/iommu_groups/7/reserved_regions")->data,
			 "0x0000000000000000 0x0000000000000fff reserved\n"
			 "0x8000000000000000 0xffffffffffffffff reserved\n");
	sysfs_plan_free(other);
}
END_TEST

/* SD-007, SD-008 */
START_TEST(sd_007_type_and_name)
{
	file_is("kernel/iommu_groups/7/type", "DMA\n");
	ck_assert_ptr_null(sysfs_plan_find(plan, "kernel/iommu_groups/7/name"));
	file_is("kernel/iommu_groups/8/type", "unknown\n");
	file_is("kernel/iommu_groups/8/name", "vfio-noiommu\n");
}
END_TEST

/* SD-009, SD-074: the last component of the link is the number. */
START_TEST(sd_009_device_links)
{
	link_is(DEV0 "iommu_group", "../../../kernel/iommu_groups/7");
	link_is(DEV2 "iommu_group", "../../../kernel/iommu_groups/8");
	link_is(DEV0 "driver", "../../../bus/pci/drivers/vfio-pci");
	link_is(DEV0 "subsystem", "../../../bus/pci");
	link_is("bus/pci/devices/0000:01:00.0", "../../../devices/pci0000:01/0000:01:00.0");
	link_is("bus/pci/devices/0000:02:03.0", "../../../devices/pci0000:02/0000:02:03.0");
}
END_TEST

/* SD-017, SD-018, SD-022: class entries; minors have nothing to do with the number. */
START_TEST(sd_022_class_vfio)
{
	link_is("class/vfio/7", "../../devices/virtual/vfio/7");
	file_is("devices/virtual/vfio/7/dev", "511:0\n");
	file_is("devices/virtual/vfio/7/uevent", "MAJOR=511\nMINOR=0\nDEVNAME=vfio/7\n");
	link_is("devices/virtual/vfio/7/subsystem", "../../../../class/vfio");
	link_is("class/vfio/noiommu-8", "../../devices/virtual/vfio/noiommu-8");
	file_is("devices/virtual/vfio/noiommu-8/dev", "511:1\n");
	ck_assert_ptr_null(sysfs_plan_find(plan, "class/vfio/8"));
}
END_TEST

/* SD-016, SD-024 */
START_TEST(sd_024_misc)
{
	link_is("class/misc/vfio", "../../devices/virtual/misc/vfio");
	file_is("devices/virtual/misc/vfio/dev", "10:196\n");
}
END_TEST

/* SD-019, SD-079: no device nodes, so nothing may promise them. */
START_TEST(sd_079_no_device_nodes)
{
	ck_assert_ptr_null(sysfs_plan_find(plan, DEV0 "vfio-dev"));
	ck_assert_ptr_null(sysfs_plan_find(plan, "class/vfio-dev"));
}
END_TEST

/* SD-027, SD-028, SD-029: an Intel unit with the aperture's width; SD-031: not for noiommu. */
START_TEST(sd_027_iommu_class)
{
	unsigned long long cap;

	link_is("class/iommu/dmar0", "../../devices/virtual/iommu/dmar0");
	ck_assert_uint_eq(count("devices/virtual/iommu/dmar0/devices"), 2);
	link_is("devices/virtual/iommu/dmar0/devices/0000:01:00.0",
		"../../../../pci0000:01/0000:01:00.0");
	link_is(DEV0 "iommu", "../../virtual/iommu/dmar0");
	ck_assert_ptr_null(sysfs_plan_find(plan, DEV2 "iommu"));
	cap = strtoull(node_at("devices/virtual/iommu/dmar0/intel-iommu/cap",
			       SYSFS_FILE)->data, NULL, 16);
	ck_assert_uint_eq(((cap >> 16) & 0x3f) + 1, 39);
	file_is("devices/virtual/iommu/dmar0/intel-iommu/version", "1:0\n");
}
END_TEST

/* SD-031: noiommu groups alone leave the class empty. */
START_TEST(sd_031_noiommu_adds_no_iommu)
{
	struct sysfs_plan *other;

	example.desc.devices = &example.devices[2];
	example.desc.n_devices = 1;
	example.devices[2].group = 0;
	example.desc.groups = &example.groups[1];
	example.desc.n_groups = 1;
	ck_assert_int_eq(sysfs_plan_new(&example.desc, &other), 0);
	ck_assert_ptr_null(sysfs_plan_find(other, "class/iommu"));
	ck_assert_ptr_null(sysfs_plan_find(other, "devices/virtual/iommu"));
	sysfs_plan_free(other);
}
END_TEST

/* SD-032, SD-033, SD-034, SD-035, SD-036, SD-038, SD-077, SD-078 */
START_TEST(sd_033_modules)
{
	file_is("module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
	file_is("module/vfio_iommu_type1/parameters/dma_entry_limit", "1234\n");
	file_is("module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "N\n");
	file_is("module/vfio_iommu_type1/parameters/disable_hugepages", "N\n");
	file_is("module/vfio_pci/parameters/nointxmask", "N\n");
	file_is("module/vfio_pci/parameters/disable_idle_d3", "N\n");
	file_is("module/vfio_pci/parameters/disable_vga", "N\n");
	file_is("module/vfio_pci/parameters/disable_denylist", "N\n");
	/* SD-039: not visible. */
	ck_assert_ptr_null(sysfs_plan_find(plan, "module/vfio_pci/parameters/ids"));
}
END_TEST

/* SD-043, SD-046, SD-047, SD-051, SD-052, SD-055: the control files are there. */
START_TEST(sd_043_driver_files)
{
	static const char *const names[] = { "bind", "unbind", "new_id", "remove_id" };
	char path[64];

	file_is(DEV0 "driver_override", "vfio-pci\n");
	for (unsigned i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "bus/pci/drivers/vfio-pci/%s", names[i]);
		ck_assert_uint_eq(node_at(path, SYSFS_FILE)->mode, 0200);
	}
	link_is("bus/pci/drivers/vfio-pci/0000:01:00.1",
		"../../../../devices/pci0000:01/0000:01:00.1");
}
END_TEST

/* The same text as a device bound on a real kernel has. */
START_TEST(identity_of_a_device)
{
	file_is(DEV0 "vendor", "0x1b36\n");
	file_is(DEV0 "device", "0x0010\n");
	file_is(DEV0 "subsystem_vendor", "0x1af4\n");
	file_is(DEV0 "subsystem_device", "0x1100\n");
	file_is(DEV0 "class", "0x010802\n");
	file_is(DEV1 "class", "0x00ff00\n");
	file_is(DEV0 "revision", "0x02\n");
	file_is(DEV0 "irq", "11\n");
	file_is(DEV1 "irq", "0\n");
	file_is(DEV0 "numa_node", "-1\n");
	file_is(DEV0 "enable", "0\n");
	file_is(DEV0 "local_cpus", "f,ffffffff\n");
	file_is(DEV0 "local_cpulist", "0-35\n");
	file_is(DEV0 "reset_method", "flr\n");
	file_is(DEV1 "reset_method", "pm\n");
	file_is(DEV0 "modalias",
		"pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02\n");
	file_is(DEV0 "uevent",
		"DRIVER=vfio-pci\nPCI_CLASS=10802\nPCI_ID=1B36:0010\n"
		"PCI_SUBSYS_ID=1AF4:1100\nPCI_SLOT_NAME=0000:01:00.0\n"
		"MODALIAS=pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02\n");
}
END_TEST

START_TEST(resources_of_a_device)
{
	static const char none[] = "0x0000000000000000 0x0000000000000000 "
				   "0x0000000000000000\n";
	char text[512];

	snprintf(text, sizeof(text), "%s%s%s%s%s%s%s",
		 "0x00000000feb70000 0x00000000feb73fff 0x0000000000140204\n",
		 none, none, none, none, none, none);
	file_is(DEV0 "resource", text);
	snprintf(text, sizeof(text), "%s%s%s%s%s%s%s",
		 "0x00000000fea00000 0x00000000feafffff 0x0000000000040200\n",
		 "0x000000000000c000 0x000000000000c03f 0x0000000000040101\n",
		 "0x00000000feb00000 0x00000000feb00fff 0x000000000014220c\n",
		 none, none, none,
		 "0x00000000fe900000 0x00000000fe93ffff 0x0000000000046200\n");
	file_is(DEV1 "resource", text);

	/* Sizes, but no bytes that would not be the device's. */
	ck_assert_uint_eq(node_at(DEV0 "resource0", SYSFS_FILE)->size, 0x4000);
	ck_assert_uint_eq(node_at(DEV0 "resource0", SYSFS_FILE)->mode, 0);
	ck_assert_ptr_null(sysfs_plan_find(plan, DEV0 "resource1"));
	ck_assert_uint_eq(node_at(DEV1 "resource1", SYSFS_FILE)->size, 64);
	ck_assert_uint_eq(node_at(DEV1 "rom", SYSFS_FILE)->size, 0x40000);
}
END_TEST

START_TEST(config_and_link_state)
{
	ck_assert_uint_eq(node_at(DEV0 "config", SYSFS_FILE)->len, 4096);
	ck_assert_uint_eq(node_at(DEV1 "config", SYSFS_FILE)->len, 256);
	ck_assert_int_eq(memcmp(node_at(DEV0 "config", SYSFS_FILE)->data,
				example.devices[0].config, 4096), 0);
	file_is(DEV0 "max_link_speed", "8.0 GT/s PCIe\n");
	file_is(DEV0 "max_link_width", "4\n");
	file_is(DEV0 "current_link_speed", "5.0 GT/s PCIe\n");
	file_is(DEV0 "current_link_width", "2\n");
	ck_assert_ptr_null(sysfs_plan_find(plan, DEV1 "max_link_speed"));
}
END_TEST

/* A capability list that runs in a circle, or points at the end, ends the search. */
START_TEST(config_with_broken_capabilities)
{
	struct sysfs_device *d = &example.devices[0];
	struct sysfs_plan *other;

	put(d, 0x34, 1, 0xfc);
	put(d, 0xfc, 2, 0xfc09);
	ck_assert_int_eq(sysfs_plan_new(&example.desc, &other), 0);
	ck_assert_ptr_null(sysfs_plan_find(other, DEV0 "max_link_speed"));
	sysfs_plan_free(other);
	put(d, 0xfc, 2, 0x0010);
	ck_assert_int_eq(sysfs_plan_new(&example.desc, &other), 0);
	ck_assert_ptr_null(sysfs_plan_find(other, DEV0 "max_link_speed"));
	sysfs_plan_free(other);
}
END_TEST

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

START_TEST(host_facts)
{
	char root[] = "/tmp/cused-sysfs-XXXXXX", path[128], command[160];
	struct sysfs_host host;

	ck_assert_ptr_nonnull(mkdtemp(root));
	sysfs_host_read(root, &host);
	ck_assert_uint_eq(host.n_cpus, 1);
	ck_assert_uint_eq(host.iommu_number, 0);

	snprintf(command, sizeof(command),
		 "mkdir -p %s/devices/system/cpu %s/class/iommu/dmar0", root, root);
	ck_assert_int_eq(system(command), 0);
	snprintf(path, sizeof(path), "%s/devices/system/cpu/online", root);
	write_text(path, "0-3,6,8-11\n");
	sysfs_host_read(root, &host);
	ck_assert_uint_eq(host.n_cpus, 12);
	ck_assert_uint_eq(host.iommu_number, 1);
	write_text(path, "0\n");
	sysfs_host_read(root, &host);
	ck_assert_uint_eq(host.n_cpus, 1);

	snprintf(command, sizeof(command), "rm -r %s", root);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sysfs");
	TCase *tc = tcase_create("plan");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, sd_003_group_lists_its_members);
	tcase_add_test(tc, sd_004_reserved_regions);
	tcase_add_test(tc, sd_004_reserved_region_to_the_end);
	tcase_add_test(tc, sd_007_type_and_name);
	tcase_add_test(tc, sd_009_device_links);
	tcase_add_test(tc, sd_022_class_vfio);
	tcase_add_test(tc, sd_024_misc);
	tcase_add_test(tc, sd_079_no_device_nodes);
	tcase_add_test(tc, sd_027_iommu_class);
	tcase_add_test(tc, sd_031_noiommu_adds_no_iommu);
	tcase_add_test(tc, sd_033_modules);
	tcase_add_test(tc, sd_043_driver_files);
	tcase_add_test(tc, identity_of_a_device);
	tcase_add_test(tc, resources_of_a_device);
	tcase_add_test(tc, config_and_link_state);
	tcase_add_test(tc, config_with_broken_capabilities);
	tcase_add_test(tc, host_facts);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
