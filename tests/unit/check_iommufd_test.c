/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check_iommufd.c on machines that are made of files: what is missing is named, with its
 * cure. That everything is found where it is there, vm/iommufd-facts shows.
 */
#include <check.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <vfio-cused/cused.h>

#include <checks.h>

#include "unit/host_tree.h"

static struct {
	char name[32];
	bool tried;
	struct finding f;
} seen[8];
static size_t n_seen;
static unsigned missing;
static struct cused_error err;

static void report(void *arg, const char *name, const struct finding *f)
{
	ck_assert_ptr_eq(arg, &seen);
	ck_assert_uint_lt(n_seen, sizeof(seen) / sizeof(seen[0]));
	strcpy(seen[n_seen].name, name);
	seen[n_seen].tried = f;
	if (f)
		seen[n_seen].f = *f;
	n_seen++;
}

static void look(const char *device)
{
	const struct check_roots roots = { tree_sysfs, tree_dev, tree_proc };
	unsigned not_found = 0;
	int r;

	n_seen = 0;
	r = check_iommufd(&roots, device, report, &seen, &missing, &err);
	ck_assert_msg(r == 0, "%s", err.text);
	ck_assert_uint_eq(n_seen, 6);
	for (size_t i = 0; i < n_seen; i++) {
		const struct finding *f = &seen[i].f;

		if (!seen[i].tried)
			continue;
		not_found += !f->ok;
		ck_assert_msg(f->found[0], "%s: nothing said", seen[i].name);
		ck_assert_msg((f->ok && !f->limited) == !f->cure[0], "%s: \"%s\" and \"%s\"",
			      seen[i].name, f->found, f->cure);
	}
	ck_assert_uint_eq(missing, not_found);
}

static const struct finding *find(const char *name)
{
	for (size_t i = 0; i < n_seen; i++)
		if (strcmp(seen[i].name, name) == 0 && seen[i].tried)
			return &seen[i].f;
	return NULL;
}

enum verdict { MISSING, LIMITED, OK };

/* @parts: of what is found, and of the cure with its commands; NULL: anything */
static void says(const char *name, enum verdict verdict, const char *found, const char *cure)
{
	const struct finding *f = find(name);
	char all[sizeof(f->cure) + sizeof(f->commands) + 1];

	ck_assert_msg(f != NULL, "%s was not looked at", name);
	ck_assert_msg((!f->ok ? MISSING : f->limited ? LIMITED : OK) == verdict, "%s: \"%s\"",
		      name, f->found);
	ck_assert_msg(strstr(f->found, found) != NULL, "%s: no \"%s\" in \"%s\"", name, found,
		      f->found);
	snprintf(all, sizeof(all), "%s\n%s", f->cure, f->commands);
	ck_assert_msg(!cure || strstr(all, cure), "%s: no \"%s\" in \"%s\"", name, cure, all);
}

static void bound(const char *bdf, const char *group, const char *node, const char *number)
{
	tree_device(bdf, group, "vfio-pci", "0x00ff00");
	tree_node(bdf, node, number);
}

START_TEST(nothing_there)
{
	look(NULL);
	ck_assert_uint_eq(missing, 4);
	says("iommufd", MISSING, "/dev/iommu: No such file", "modprobe iommufd");
	says("IOMMU", MISSING, "/class/iommu has none", "intel_iommu=on");
	says("device nodes", MISSING, "not loaded", "modprobe vfio-pci");
	says("device", MISSING, "none is bound", "echo BDF >/sys/bus/pci/drivers_probe\n");
	ck_assert_ptr_null(find("group"));
	ck_assert_ptr_null(find("node of the device"));
}
END_TEST

START_TEST(kernel)
{
	tree_do(": >dev/iommu; mkdir sys/class/iommu/dmar0");
	tree_do("printf 'Character devices:\\n 10 misc\\n253 vfio\\n\\nBlock devices:\\n' "
		">proc/devices");
	look(NULL);
	says("iommufd", MISSING, "makes no address space", "remove it");
	says("IOMMU", OK, "dmar0", NULL);
	says("device nodes", MISSING, "makes none", "CONFIG_VFIO_DEVICE_CDEV");
	tree_do("mkdir sys/class/iommu/dmar1; echo '252 vfio-dev' >>proc/devices");
	look(NULL);
	says("IOMMU", OK, "and 1 more", NULL);
	says("device nodes", OK, "makes them", NULL);
}
END_TEST

START_TEST(one_device)
{
	tree_device("0000:01:00.0", "5", "nvme", "0x010802");
	tree_device("0000:00:01.0", "4", "pcieport", "0x060400");
	look("0000:01:00.0");
	says("device", MISSING, "0000:01:00.0 has the driver nvme",
	     "echo 0000:01:00.0 >/sys/bus/pci/devices/0000:01:00.0/driver/unbind\n");
	look("01:00.0");
	says("device", MISSING, "0000:01:00.0 has the driver nvme", "driver_override\n");
	look("0000:00:01.0");
	says("device", MISSING, "is a bridge", "behind it");
	look("0000:07:00.0");
	says("device", MISSING, "0000:07:00.0 is not there", "vfio-cused list");
	look("../../devices");
	says("device", MISSING, "is not there", NULL);
	tree_do("rm sys/devices/pci0000:00/0000:01:00.0/driver");
	look("0000:01:00.0");
	says("device", MISSING, "0000:01:00.0 has no driver", "drivers_probe\n");
}
END_TEST

START_TEST(groups)
{
	bound("0000:01:00.0", "5", "vfio0", "511:0");
	look(NULL);
	says("device", OK, "0000:01:00.0 is bound to vfio-pci", NULL);
	says("group", OK, "5 is viable", NULL);
	tree_device("0000:01:00.1", "5", "xhci_hcd", "0x0c0330");
	tree_device("0000:01:00.2", "5", "i2c_nvidia", "0x0c8000");
	look(NULL);
	says("group", MISSING, "5: not viable: 0000:01:00.1 has the driver xhci_hcd",
	     "echo 0000:01:00.1 >/sys/bus/pci/devices/0000:01:00.1/driver/unbind\n"
	     "echo 0000:01:00.2 >/sys/bus/pci/devices/0000:01:00.2/driver/unbind\n");
	/* Another group is well: forwarding works, but not for all. */
	bound("0000:02:00.0", "6", "vfio1", "511:1");
	look(NULL);
	says("device", OK, "and 1 more", NULL);
	says("group", LIMITED, "6 is viable, but 5: not viable", "/0000:01:00.1/driver/unbind\n");
	look("0000:02:00.0");
	says("group", OK, "6 is viable", NULL);
	look("0000:01:00.0");
	says("group", MISSING, "5: not viable", NULL);
}
END_TEST

START_TEST(group_without_nodes)
{
	bound("0000:01:00.0", "5", "vfio0", NULL);
	look(NULL);
	says("group", MISSING, "5: bound, but the kernel makes no device nodes",
	     "CONFIG_VFIO_DEVICE_CDEV");
	says("node of the device", MISSING, "none", NULL);
	tree_do("echo vfio-noiommu >sys/kernel/iommu_groups/5/name");
	look(NULL);
	says("group", MISSING, "no IOMMU is behind it", "boot with an IOMMU");
	tree_do("rm sys/devices/pci0000:00/0000:01:00.0/iommu_group");
	look("0000:01:00.0");
	says("group", MISSING, "no IOMMU is behind it", "boot with an IOMMU");
}
END_TEST

/* Commands for more members than there is room for: whole ones, as many as fit. */
START_TEST(very_many_members)
{
	const char *command = "echo 0000:02:00.0 >/sys/bus/pci/devices/0000:02:00.0/driver/unbind\n";
	const size_t fit = (sizeof(find("")->commands) - 1) / strlen(command);
	char bdf[32];

	bound("0000:01:00.0", "5", "vfio0", "511:0");
	for (unsigned i = 0; i < fit + 1; i++) {
		snprintf(bdf, sizeof(bdf), "0000:02:%02x.0", i);
		tree_device(bdf, "5", "ahci", "0x010601");
		look(NULL);
		says("group", MISSING, "0000:02:00.0 has the driver ahci", command);
		ck_assert_uint_eq(strlen(find("group")->commands),
				  strlen(command) * (i < fit ? i + 1 : fit));
	}
}
END_TEST

/* The node has to be the device that sysfs speaks of. */
START_TEST(nodes)
{
	struct stat st;
	char number[32];

	ck_assert_int_eq(stat("/dev/null", &st), 0);
	snprintf(number, sizeof(number), "%u:%u", major(st.st_rdev), minor(st.st_rdev));
	bound("0000:01:00.0", "5", "vfio0", number);
	look(NULL);
	says("node of the device", MISSING, "/vfio/devices/vfio0: No such file", "mknod ");
	tree_do("mkdir -p dev/vfio/devices; ln -s /dev/zero dev/vfio/devices/vfio0");
	look(NULL);
	says("node of the device", MISSING, "/vfio0 is not the device ", "rm ");
	/* A node that can be opened and has the number: that it is VFIO's is not asked. */
	tree_do("ln -sfn /dev/null dev/vfio/devices/vfio0");
	look(NULL);
	says("node of the device", OK, "/vfio0 can be opened", NULL);
	bound("0000:02:00.0", "6", "vfio1", "511:1");
	look(NULL);
	says("node of the device", LIMITED, "/vfio1: No such file", "mknod ");
	look("0000:01:00.0");
	says("node of the device", OK, "/vfio0 can be opened", NULL);
	look("0000:02:00.0");
	says("node of the device", MISSING, "/vfio1: No such file", " c 511 1\n");
}
END_TEST

START_TEST(cannot_be_read)
{
	const struct check_roots roots = { tree_sysfs, tree_dev, tree_proc };

	tree_do("rmdir sys/bus/pci/devices; ln -s devices sys/bus/pci/devices");
	n_seen = 0;
	ck_assert_int_eq(check_iommufd(&roots, NULL, report, &seen, &missing, &err), -ELOOP);
	ck_assert_uint_eq(n_seen, 0);
	ck_assert_msg(strstr(err.text, "/bus/pci/devices: ") != NULL, "%s", err.text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("check_iommufd");
	TCase *tc = tcase_create("check_iommufd");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, tree_setup, tree_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, nothing_there);
	tcase_add_test(tc, kernel);
	tcase_add_test(tc, one_device);
	tcase_add_test(tc, groups);
	tcase_add_test(tc, group_without_nodes);
	tcase_add_test(tc, very_many_members);
	tcase_add_test(tc, nodes);
	tcase_add_test(tc, cannot_be_read);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
