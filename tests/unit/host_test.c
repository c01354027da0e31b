/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host.c: groups and devices of a machine that is made of files. */
#include <check.h>
#include <errno.h>
#include <sys/sysmacros.h>
#include <vfio-cused/cused.h>

#include <host.h>

#include "unit/host_tree.h"

static struct host host;
static struct cused_error err;

static void teardown(void)
{
	host_free(&host);
	tree_teardown();
}

static void look(void)
{
	int r;

	host_free(&host);
	r = host_read(tree_sysfs, &host, &err);
	ck_assert_msg(r == 0, "%s", err.text);
}

static const struct host_group *group(long number)
{
	const struct host_group *g = host_find_group(&host, number);

	ck_assert_msg(g != NULL, "no group %ld", number);
	return g;
}

static void says(const struct host_group *g, enum host_state state, const char *text)
{
	char buf[192];

	ck_assert_int_eq(g->state, state);
	ck_assert_str_eq(host_state_text(g, buf, sizeof(buf)), text);
}

START_TEST(no_machine)
{
	look();
	ck_assert_uint_eq(host.n_groups, 0);
	tree_do("rm -r sys/bus sys/kernel");
	look();
	ck_assert_uint_eq(host.n_devices, 0);
	ck_assert_ptr_null(host_find_group(&host, 0));
	ck_assert_ptr_null(host_find_device(&host, "0000:01:00.0"));
}
END_TEST

/* By number, not by name, and those without a group at the end. */
START_TEST(groups_in_order)
{
	tree_device("0000:00:00.0", NULL, "", "0x060000");
	tree_device("0000:03:00.0", "10", "nvme", "0x010802");
	tree_device("0000:01:00.1", "9", "", "0x00ff00");
	tree_device("0000:01:00.0", "9", "", "0x00ff00");
	tree_device("10000:e1:00.0", "0", "", "0x010802");
	look();
	ck_assert_uint_eq(host.n_devices, 5);
	ck_assert_uint_eq(host.n_groups, 4);
	ck_assert_int_eq(host.groups[0].number, 0);
	ck_assert_str_eq(host.groups[0].devices[0].name, "10000:e1:00.0");
	ck_assert_int_eq(host.groups[1].number, 9);
	ck_assert_uint_eq(host.groups[1].n_devices, 2);
	ck_assert_str_eq(host.groups[1].devices[0].name, "0000:01:00.0");
	ck_assert_str_eq(host.groups[1].devices[1].name, "0000:01:00.1");
	ck_assert_int_eq(host.groups[2].number, 10);
	ck_assert_int_eq(host.groups[3].number, HOST_NO_GROUP);
	ck_assert_uint_eq(host.groups[1].devices[0].vendor, 0x1234);
	ck_assert_uint_eq(host.groups[1].devices[0].id, 0x11e8);
	ck_assert_uint_eq(host.groups[2].devices[0].class_code, 0x010802);
	says(group(10), HOST_UNBOUND, "no device is bound to a VFIO driver");
	says(group(9), HOST_UNBOUND, "no device is bound to a VFIO driver");
}
END_TEST

/* The node's name and number are those of the directory vfio-dev. */
START_TEST(bound_and_ready)
{
	const struct host_device *device;

	tree_device("0000:01:00.0", "5", "vfio-pci", "0x00ff00");
	tree_node("0000:01:00.0", "vfio3", "511:3");
	tree_device("0000:02:00.0", "6", "mlx5_vfio_pci", "0x020000");
	tree_node("0000:02:00.0", "vfio0", "511:0");
	look();
	says(group(5), HOST_READY, "ready");
	says(group(6), HOST_READY, "ready");
	device = host_find_device(&host, "0000:01:00.0");
	ck_assert_ptr_nonnull(device);
	ck_assert_str_eq(device->driver, "vfio-pci");
	ck_assert_int_eq(device->use, HOST_USE_VFIO);
	ck_assert_str_eq(device->node, "vfio3");
	ck_assert(device->number == makedev(511, 3));
	ck_assert_int_eq(host_find_device(&host, "0000:02:00.0")->use, HOST_USE_VFIO);
}
END_TEST

/* Which drivers of other members matter. */
START_TEST(viability)
{
	tree_device("0000:01:00.0", "5", "vfio-pci", "0x00ff00");
	tree_node("0000:01:00.0", "vfio0", "511:0");
	tree_device("0000:00:01.0", "5", "pcieport", "0x060400");
	tree_device("0000:01:00.1", "5", "pci-stub", "0x00ff00");
	tree_device("0000:01:00.2", "5", "", "0x00ff00");
	look();
	says(group(5), HOST_READY, "ready");
	ck_assert_ptr_null(host_taken(group(5)));
	tree_device("0000:01:00.3", "5", "xhci_hcd", "0x0c0330");
	look();
	says(group(5), HOST_NOT_VIABLE, "not viable: 0000:01:00.3 has the driver xhci_hcd");
	ck_assert_str_eq(host_taken(group(5))->name, "0000:01:00.3");
	tree_do("rm sys/devices/pci0000:00/0000:01:00.3/driver");
	look();
	says(group(5), HOST_READY, "ready");
}
END_TEST

/* A member that is not on the PCI bus, and is called like a driver that does no harm there. */
START_TEST(members_of_other_buses)
{
	char command[HOST_COMMAND_MAX];

	tree_device("0000:01:00.0", "5", "vfio-pci", "0x00ff00");
	tree_node("0000:01:00.0", "vfio0", "511:0");
	tree_platform("fd000000.dma", "5", "");
	tree_platform("fe000000.dma", "7", "pl330");
	look();
	says(group(5), HOST_READY, "ready");
	ck_assert_uint_eq(group(5)->n_devices, 2);
	ck_assert_ptr_null(host_find_device(&host, "fd000000.dma"));
	says(group(7), HOST_UNBOUND, "no device is bound to a VFIO driver");
	tree_platform("fd000001.dma", "5", "pcieport");
	look();
	says(group(5), HOST_NOT_VIABLE, "not viable: fd000001.dma has the driver pcieport");
	ck_assert_str_eq(host_unbind_command(host_taken(group(5)), command, sizeof(command)),
			 "echo fd000001.dma >/sys/kernel/iommu_groups/5/devices/fd000001.dma/"
			 "driver/unbind\n");
}
END_TEST

/* Before Linux 6.1 there is no vfio-dev; without CONFIG_VFIO_DEVICE_CDEV, no number. */
START_TEST(no_nodes)
{
	tree_device("0000:01:00.0", "5", "vfio-pci", "0x00ff00");
	look();
	says(group(5), HOST_NO_NODES, "bound, but the kernel makes no device nodes");
	tree_node("0000:01:00.0", "vfio0", NULL);
	look();
	says(group(5), HOST_NO_NODES, "bound, but the kernel makes no device nodes");
	tree_do("echo rubbish >sys/devices/pci0000:00/0000:01:00.0/vfio-dev/vfio0/dev");
	look();
	ck_assert_str_eq(host_find_device(&host, "0000:01:00.0")->node, "");
}
END_TEST

/* A group that VFIO made, and a device without any. */
START_TEST(no_iommu)
{
	tree_device("0000:01:00.0", "0", "vfio-pci", "0x00ff00");
	tree_node("0000:01:00.0", "vfio0", NULL);
	tree_do("echo vfio-noiommu >sys/kernel/iommu_groups/0/name");
	tree_device("0000:02:00.0", NULL, "vfio-pci", "0x00ff00");
	look();
	ck_assert(group(0)->noiommu);
	says(group(0), HOST_NOIOMMU, "bound, but no IOMMU is behind it");
	says(group(HOST_NO_GROUP), HOST_NOIOMMU, "bound, but no IOMMU is behind it");
}
END_TEST

START_TEST(odd_entries)
{
	char name[100];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	tree_do("ln -s nowhere sys/bus/pci/devices/0000:09:00.0");
	tree_do("mkdir sys/bus/pci/devices/%s", name);
	tree_device("0000:01:00.0", "5", "vfio-pci", "0x00ff00");
	tree_node("0000:01:00.0", name, "1:1");
	tree_do("ln -sfn ../none sys/devices/pci0000:00/0000:01:00.0/iommu_group");
	look();
	ck_assert_uint_eq(host.n_devices, 1);
	ck_assert_int_eq(host.devices[0].group, HOST_NO_GROUP);
	ck_assert_str_eq(host.devices[0].node, "");
	tree_do("rm -r sys/bus/pci/devices; : >sys/bus/pci/devices");
	look();
	/* Groups still tell of it. */
	ck_assert_ptr_nonnull(host_find_device(&host, "0000:01:00.0"));
}
END_TEST

START_TEST(cannot_be_read)
{
	tree_do("rmdir sys/kernel/iommu_groups; ln -s iommu_groups sys/kernel/iommu_groups");
	ck_assert_int_eq(host_read(tree_sysfs, &host, &err), -ELOOP);
	ck_assert_msg(strstr(err.text, "/kernel/iommu_groups: ") != NULL, "%s", err.text);
}
END_TEST

START_TEST(commands)
{
	const struct host_device *device;
	char command[HOST_COMMAND_MAX];

	tree_device("0000:01:00.0", "5", "nvme", "0x010802");
	tree_device("0000:02:00.0", "6", "", "0x010802");
	look();
	device = host_find_device(&host, "0000:01:00.0");
	ck_assert_str_eq(host_bind_command(device, command, sizeof(command)),
			 "modprobe vfio-pci\n"
			 "echo vfio-pci >/sys/bus/pci/devices/0000:01:00.0/driver_override\n"
			 "echo 0000:01:00.0 >/sys/bus/pci/devices/0000:01:00.0/driver/unbind\n"
			 "echo 0000:01:00.0 >/sys/bus/pci/drivers_probe\n");
	device = host_find_device(&host, "0000:02:00.0");
	ck_assert_str_eq(host_bind_command(device, command, sizeof(command)),
			 "modprobe vfio-pci\n"
			 "echo vfio-pci >/sys/bus/pci/devices/0000:02:00.0/driver_override\n"
			 "echo 0000:02:00.0 >/sys/bus/pci/drivers_probe\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host");
	TCase *tc = tcase_create("host");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, tree_setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, no_machine);
	tcase_add_test(tc, groups_in_order);
	tcase_add_test(tc, bound_and_ready);
	tcase_add_test(tc, viability);
	tcase_add_test(tc, members_of_other_buses);
	tcase_add_test(tc, no_nodes);
	tcase_add_test(tc, no_iommu);
	tcase_add_test(tc, odd_entries);
	tcase_add_test(tc, cannot_be_read);
	tcase_add_test(tc, commands);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
