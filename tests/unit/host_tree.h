/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/host_tree.h - a machine made of files: devices, groups and drivers as sysfs has them,
 * and a /dev and a /proc beside it. Include after <check.h>; one per test.
 */
#ifndef HOST_TREE_H
#define HOST_TREE_H

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char tree[] = "/tmp/cused-host-XXXXXX";
static char tree_sysfs[64], tree_dev[64], tree_proc[64];

/* A command of the shell, with the tree as the working directory. */
__attribute__((format(printf, 1, 2)))
static inline void tree_do(const char *fmt, ...)
{
	char command[2048];
	va_list ap;
	int n = snprintf(command, sizeof(command), "cd %s; ", tree);

	va_start(ap, fmt);
	vsnprintf(command + n, sizeof(command) - (size_t)n, fmt, ap);
	va_end(ap);
	ck_assert_msg(system(command) == 0, "failed: %s", command);
}

static inline void tree_setup(void)
{
	strcpy(tree + strlen(tree) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(tree));
	snprintf(tree_sysfs, sizeof(tree_sysfs), "%s/sys", tree);
	snprintf(tree_dev, sizeof(tree_dev), "%s/dev", tree);
	snprintf(tree_proc, sizeof(tree_proc), "%s/proc", tree);
	tree_do("mkdir -p sys/bus/pci/devices sys/bus/pci/drivers sys/kernel/iommu_groups "
		"sys/class/iommu sys/devices dev proc; : >proc/devices");
}

static inline void tree_teardown(void)
{
	ck_assert_int_eq(chdir("/"), 0);
	tree_do("rm -rf %s", tree);
}

/* @group: NULL without; @driver: "" without */
static inline void tree_device(const char *bdf, const char *group, const char *driver,
			const char *class_code)
{
	tree_do("d=devices/pci0000:00/%s; mkdir -p sys/$d; ln -s ../../../$d sys/bus/pci/devices/; d=sys/$d; "
		"ln -s ../../../bus/pci $d/subsystem; echo %s >$d/class; "
		"echo 0x1234 >$d/vendor; echo 0x11e8 >$d/device", bdf, class_code);
	if (group)
		tree_do("g=sys/kernel/iommu_groups/%s; mkdir -p $g/devices; "
			"ln -s ../../../../devices/pci0000:00/%s $g/devices/; "
			"ln -s ../../../kernel/iommu_groups/%s sys/devices/pci0000:00/%s/iommu_group",
			group, bdf, group, bdf);
	if (*driver)
		tree_do("mkdir -p sys/bus/pci/drivers/%s; ln -s ../../../bus/pci/drivers/%s "
			"sys/devices/pci0000:00/%s/driver", driver, driver, bdf);
}

/* The directory that VFIO makes; @number: NULL where there is no node. */
static inline void tree_node(const char *bdf, const char *node, const char *number)
{
	tree_do("mkdir -p sys/devices/pci0000:00/%s/vfio-dev/%s", bdf, node);
	if (number)
		tree_do("echo %s >sys/devices/pci0000:00/%s/vfio-dev/%s/dev", number, bdf, node);
}

/* A member of a group that is on another bus. */
static inline void tree_platform(const char *name, const char *group, const char *driver)
{
	tree_do("d=sys/devices/platform/%s; mkdir -p $d sys/bus/platform; "
		"ln -s ../../../bus/platform $d/subsystem; mkdir -p "
		"sys/kernel/iommu_groups/%s/devices; "
		"ln -s ../../../../devices/platform/%s sys/kernel/iommu_groups/%s/devices/; "
		"ln -s ../../../kernel/iommu_groups/%s $d/iommu_group; ",
		name, group, name, group, group);
	if (*driver)
		tree_do("ln -s ../../../bus/platform/drivers/%s sys/devices/platform/%s/driver",
			driver, name);
}

#endif
