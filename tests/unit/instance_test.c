/* SPDX-License-Identifier: GPL-2.0-or-later */
/* instance.c: from a configuration to groups, devices and the plan of /sys. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <core/device.h>
#include <core/group.h>
#include <instance.h>
#include <registry.h>

/* A model with a ROM and one trapped BAR; it fails on demand. */
static int lives;

static int box_create(const struct cused_services *services, struct cused_port *port,
		      const struct cused_value *values, struct cused_pci *ret_pci,
		      void **ret_state, struct cused_error *err)
{
	static const uint8_t rom[4096] = { 0x55, 0xaa };

	if (values[0].number)
		return cused_error_set(err, -EDOM, "box: broken=on; mend it");
	*ret_pci = (struct cused_pci){ .vendor = 0x1234, .device = 0x4321,
		.class_code = 0xff0000, .bars[0].size = 4096, .rom = rom,
		.rom_size = sizeof(rom) };
	*ret_state = &lives;
	lives++;
	return 0;
}

static void box_destroy(void *state)
{
	lives--;
}

static const struct cused_param box_params[] = {
	{ "broken", CUSED_PARAM_BOOL, "off", 0, 0, "fail" },
};
static const struct cused_device_ops box_ops = {
	.size = sizeof(box_ops), .version = CUSED_API_VERSION, .name = "box",
	.summary = "a box", .params = box_params, .n_params = 1,
	.create = box_create, .destroy = box_destroy,
};
CUSED_DEVICE(box_ops);

static struct conf conf;
static struct cused_error err;
static struct instance *instance;

static void configure(const char *a, const char *b)
{
	const char *const texts[2] = { a, b };

	lives = 0;
	conf_init(&conf);
	ck_assert_int_eq(conf_set_iommu(&conf, "sim,aperture=48,unsafe_noiommu=on,"
					"dma_entry_limit=9", &err), 0);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_msg(conf_add_device(&conf, texts[i], &err) == 0, "%s", err.text);
	ck_assert_int_eq(conf_finish(&conf, "/nonexistent", &err), 0);
}

static int backing(void *arg, unsigned index, struct instance_backing *ret)
{
	int *calls = arg;

	ck_assert_uint_eq(index, (unsigned)*calls);
	++*calls;
	ret->offset_base = (uint64_t)(index + 1) << 44;
	return index == 7 ? -EIO : 0;
}

START_TEST(devices_are_in_their_groups)
{
	const struct topology_params *params;
	struct group *shared;
	int calls = 0;

	configure("box,group=5", "box,group=5");
	ck_assert_int_eq(instance_new(&conf, backing, &calls, &instance, &err), 0);
	ck_assert_int_eq(calls, 2);
	ck_assert_int_eq(lives, 2);
	ck_assert_uint_eq(instance_n_devices(instance), 2);
	shared = topology_find_group(instance_topology(instance), 5, false);
	ck_assert_ptr_nonnull(shared);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_ptr_eq(device_group(instance_device(instance, i)), shared);
	ck_assert_str_eq(device_name(instance_device(instance, 1)), "0000:02:00.0");
	params = topology_params(instance_topology(instance));
	ck_assert_uint_eq(params->dma_entry_limit, 9);
	ck_assert(params->unsafe_noiommu && !params->memlock_enforced);
	instance_free(instance);
	ck_assert_int_eq(lives, 0);
	conf_done(&conf);
}
END_TEST

/* SD-008, SD-018, SD-031 */
START_TEST(noiommu_devices_have_groups_of_their_own)
{
	struct group *group;

	configure("box,group=5", "box,group=6,noiommu=on");
	ck_assert_int_eq(instance_new(&conf, NULL, NULL, &instance, &err), 0);
	group = topology_find_group(instance_topology(instance), 6, true);
	ck_assert_ptr_nonnull(group);
	ck_assert_int_eq(group_kind(group), GROUP_NOIOMMU);
	ck_assert_ptr_null(topology_find_group(instance_topology(instance), 6, false));
	instance_free(instance);
	conf_done(&conf);
}
END_TEST

/* SD-004, SD-009, SD-029, SD-034: what the devices are is what sysfs says. */
START_TEST(sd_009_plan_follows_the_devices)
{
	const struct sysfs_node *node;
	struct sysfs_plan *plan;
	struct cused_range rom;
	char line[64];

	configure("box,group=5,bdf=03:00.0", "box,group=6,noiommu=on");
	ck_assert_int_eq(instance_new(&conf, NULL, NULL, &instance, &err), 0);
	ck_assert_int_eq(instance_sysfs(instance, "/nonexistent", &plan, &err), 0);
	node = sysfs_plan_find(plan, "devices/pci0000:03/0000:03:00.0/iommu_group");
	ck_assert_ptr_nonnull(node);
	ck_assert_str_eq(node->data, "../../../kernel/iommu_groups/5");
	ck_assert_ptr_nonnull(sysfs_plan_find(plan, "class/vfio/noiommu-6"));
	rom = device_bar_resource(instance_device(instance, 0), 6);
	ck_assert_uint_eq(rom.last - rom.first + 1, 4096);
	snprintf(line, sizeof(line), "0x%016llx 0x%016llx 0x0000000000046200\n",
		 (unsigned long long)rom.first, (unsigned long long)rom.last);
	node = sysfs_plan_find(plan, "devices/pci0000:03/0000:03:00.0/resource");
	ck_assert_ptr_nonnull(strstr(node->data, line));
	node = sysfs_plan_find(plan, "kernel/iommu_groups/5/reserved_regions");
	ck_assert_str_eq(node->data, "0x00000000fee00000 0x00000000feefffff msi\n");
	node = sysfs_plan_find(plan, "devices/virtual/iommu/dmar0/intel-iommu/cap");
	ck_assert_uint_eq(strtoull(node->data, NULL, 16) >> 16 & 0x3f, 47);
	node = sysfs_plan_find(plan, "module/vfio_iommu_type1/parameters/dma_entry_limit");
	ck_assert_str_eq(node->data, "9\n");
	sysfs_plan_free(plan);
	instance_free(instance);
	conf_done(&conf);
}
END_TEST

/* A model that cannot be made: its own words, and nothing is left of the others. */
START_TEST(models_that_fail)
{
	configure("box", "box,broken=on");
	ck_assert_int_eq(instance_new(&conf, NULL, NULL, &instance, &err), -EDOM);
	ck_assert_ptr_nonnull(strstr(err.text, "broken=on"));
	ck_assert_int_eq(lives, 0);
	conf_done(&conf);
}
END_TEST

START_TEST(backing_that_fails)
{
	int calls = 0;

	configure("box", "box");
	for (unsigned i = 2; i < 8; i++)
		ck_assert_int_eq(conf_add_device(&conf, "box", &err), 0);
	ck_assert_int_eq(conf_finish(&conf, "/nonexistent", &err), 0);
	ck_assert_int_eq(instance_new(&conf, backing, &calls, &instance, &err), -EIO);
	ck_assert_ptr_nonnull(strstr(err.text, "box7"));
	ck_assert_int_eq(lives, 0);
	instance_free(NULL);
	conf_done(&conf);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("instance");
	TCase *tc = tcase_create("instance");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, devices_are_in_their_groups);
	tcase_add_test(tc, noiommu_devices_have_groups_of_their_own);
	tcase_add_test(tc, sd_009_plan_follows_the_devices);
	tcase_add_test(tc, models_that_fail);
	tcase_add_test(tc, backing_that_fails);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
