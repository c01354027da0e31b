/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host_place.c: what keeps a device of the machine from being given away, and the cure. */
#include <check.h>
#include <errno.h>

#include <host_place.h>

#include "unit/host_tree.h"

#define BDF "0000:01:00.0"

static struct host_place place;
static struct cused_error err;

static void refused(int error, const char *what, const char *cure)
{
	ck_assert_int_eq(host_place(tree_sysfs, tree_dev, BDF, &place, &err), error);
	ck_assert_msg(strstr(err.text, what) != NULL, "no \"%s\" in \"%s\"", what, err.text);
	ck_assert_msg(strstr(err.text, cure) != NULL, "no \"%s\" in \"%s\"", cure, err.text);
}

static void found(void)
{
	int r = host_place(tree_sysfs, tree_dev, BDF, &place, &err);

	ck_assert_msg(r == 0, "%s", err.text);
}

static void good_device(const char *driver)
{
	tree_device(BDF, "5", driver, "0x00ff00");
	tree_node(BDF, "vfio3", "511:3");
	tree_do("mkdir -p dev/vfio/devices; : >dev/vfio/devices/vfio3");
}

START_TEST(a_device_that_can_be_had)
{
	char node[96];

	good_device("vfio-pci");
	found();
	snprintf(node, sizeof(node), "%s/vfio/devices/vfio3", tree_dev);
	ck_assert_str_eq(place.host.node, node);
	ck_assert_uint_eq(place.host.group, 5);
	ck_assert_uint_eq(place.host.vendor, 0x1234);
	ck_assert_uint_eq(place.host.device, 0x11e8);
	ck_assert_uint_eq(place.host.class_code, 0x00ff00);
}
END_TEST

START_TEST(devices_that_are_not_there)
{
	refused(-ENODEV, BDF " is no device of this machine", "vfio-cused list");
	tree_device(BDF, NULL, "vfio-pci", "0x00ff00");
	refused(-ENODEV, BDF " has no IOMMU group", "intel_iommu=on");
}
END_TEST

START_TEST(devices_of_other_drivers)
{
	tree_device(BDF, "5", "", "0x00ff00");
	refused(-ENODEV, BDF " is bound to no driver",
		"bind it: modprobe vfio-pci; echo vfio-pci >/sys/bus/pci/devices/" BDF
		"/driver_override; echo " BDF " >/sys/bus/pci/drivers_probe");
	tree_do("mkdir -p sys/bus/pci/drivers/nvme; ln -s ../../../bus/pci/drivers/nvme "
		"sys/devices/pci0000:00/" BDF "/driver");
	refused(-ENODEV, BDF " is bound to nvme",
		"; echo " BDF " >/sys/bus/pci/devices/" BDF "/driver/unbind; ");
}
END_TEST

START_TEST(kernels_without_nodes)
{
	good_device("vfio-pci");
	tree_do("rm dev/vfio/devices/vfio3");
	refused(-ENODEV, BDF " has no device node", "CONFIG_VFIO_DEVICE_CDEV");
	tree_do("rm -r sys/devices/pci0000:00/" BDF "/vfio-dev");
	refused(-ENODEV, BDF " has no device node", "CONFIG_VFIO_DEVICE_CDEV");
}
END_TEST

/* CG-138 */
START_TEST(groups_that_are_not_viable)
{
	good_device("vfio-pci");
	tree_device("0000:01:00.1", "5", "e1000e", "0x020000");
	refused(-EBUSY, "group 5 of " BDF " is not viable: 0000:01:00.1",
		"is bound to e1000e; unbind it: echo 0000:01:00.1 "
		">/sys/bus/pci/devices/0000:01:00.1/driver/unbind");
	tree_do("ln -sfn ../../../bus/pci/drivers/pcieport "
		"sys/devices/pci0000:00/0000:01:00.1/driver");
	found();
}
END_TEST

START_TEST(a_machine_that_cannot_be_read)
{
	tree_do("rmdir sys/kernel/iommu_groups; ln -s iommu_groups sys/kernel/iommu_groups");
	refused(-ELOOP, "/kernel/iommu_groups", "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host_place");
	TCase *tc = tcase_create("host_place");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, tree_setup, tree_teardown);
	tcase_add_test(tc, a_device_that_can_be_had);
	tcase_add_test(tc, devices_that_are_not_there);
	tcase_add_test(tc, devices_of_other_drivers);
	tcase_add_test(tc, kernels_without_nodes);
	tcase_add_test(tc, groups_that_are_not_viable);
	tcase_add_test(tc, a_machine_that_cannot_be_read);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
