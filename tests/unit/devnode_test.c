/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/devnode.c, on a /dev and /sys of the test's own. Device nodes are made but never
 * opened. Skipped (77) where no nodes may be made.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <transport/devnode.h>

#define OURS	makedev(240, 7)
#define OTHER	makedev(241, 9)
#define STATIC	makedev(10, 196)

static char root[] = "/tmp/cused-devnode-XXXXXX";
static struct cused_error err;
static struct devnode node;

static const char *at(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	return path;
}

static void shell(const char *command)
{
	char line[1024];

	snprintf(line, sizeof(line), "cd %s && { %s; }", root, command);
	ck_assert_int_eq(system(line), 0);
}

static void setup(void)
{
	memset(&node, 0, sizeof(node));
	umask(077);		/* what is asked for counts */
	shell("rm -rf dev sys run && mkdir -p -m 755 dev sys/dev/char sys/class/misc");
}

static void is_node(const char *name, dev_t dev, mode_t mode, uid_t uid, gid_t gid)
{
	struct stat st;

	ck_assert_int_eq(lstat(at(name), &st), 0);
	ck_assert(S_ISCHR(st.st_mode));
	ck_assert_uint_eq(st.st_rdev, dev);
	ck_assert_uint_eq(st.st_mode & 07777, mode);
	ck_assert_uint_eq(st.st_uid, uid);
	ck_assert_uint_eq(st.st_gid, gid);
}

static bool is_there(const char *name)
{
	struct stat st;

	return lstat(at(name), &st) == 0;
}

static int ensure_or_replace(const char *name, bool replace)
{
	struct devnode_wish wish = { .name = name, .dev = OURS, .mode = 0660, .uid = 3,
				     .gid = 4, .replace = replace };

	return devnode_ensure(root, &wish, &node, &err);
}

static int ensure(const char *name)
{
	return ensure_or_replace(name, false);
}

START_TEST(made_where_nothing_is)
{
	struct stat st;

	ck_assert_int_eq(ensure("vfio/1"), 0);
	is_node("dev/vfio/1", OURS, 0660, 3, 4);
	ck_assert_int_eq(stat(at("dev/vfio"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0755);
	ck_assert_int_eq(devnode_restore(&node), 0);
	ck_assert(!is_there("dev/vfio"));
	ck_assert_int_eq(devnode_restore(&node), 0);	/* once more is no harm */
}
END_TEST

START_TEST(directory_of_others_stays)
{
	shell("mkdir dev/vfio && touch dev/vfio/x");
	ck_assert_int_eq(ensure("vfio/1"), 0);
	ck_assert_int_eq(devnode_restore(&node), 0);
	ck_assert(!is_there("dev/vfio/1"));
	ck_assert(is_there("dev/vfio/x"));
}
END_TEST

START_TEST(node_of_the_kernel_gets_its_rights)
{
	shell("mkdir dev/vfio && mknod -m 600 dev/vfio/1 c 240 7");
	ck_assert_int_eq(ensure("vfio/1"), 0);
	is_node("dev/vfio/1", OURS, 0660, 3, 4);
	/* The kernel removes it with the device. */
	shell("rm dev/vfio/1");
	ck_assert_int_eq(devnode_restore(&node), 0);
	ck_assert(is_there("dev/vfio"));
}
END_TEST

START_TEST(static_node_is_replaced_and_comes_back)
{
	shell("mkdir dev/vfio && mknod -m 640 dev/vfio/vfio c 10 196 && chown 1:2 dev/vfio/vfio");
	ck_assert_int_eq(ensure("vfio/vfio"), 0);
	is_node("dev/vfio/vfio", OURS, 0660, 3, 4);
	ck_assert_int_eq(devnode_restore(&node), 0);
	is_node("dev/vfio/vfio", STATIC, 0640, 1, 2);
	shell("test \"$(ls -A dev/vfio)\" = vfio");
}
END_TEST

START_TEST(static_node_comes_back_to_an_empty_name)
{
	shell("mkdir dev/vfio && mknod -m 666 dev/vfio/vfio c 10 196");
	ck_assert_int_eq(ensure("vfio/vfio"), 0);
	shell("rm dev/vfio/vfio");
	ck_assert_int_eq(devnode_restore(&node), 0);
	is_node("dev/vfio/vfio", STATIC, 0666, getuid(), getgid());
}
END_TEST

/* The service is killed: whoever comes later knows what was there. */
START_TEST(static_node_is_put_back_by_others)
{
	shell("mkdir -p run/vfio-cused dev/vfio && mknod -m 640 dev/vfio/vfio c 10 196 &&"
	      "chown 1:2 dev/vfio/vfio");
	ck_assert_int_eq(devnode_recover(root), 0);
	ck_assert_int_eq(ensure("vfio/vfio"), 0);
	ck_assert(is_there("run/vfio-cused/nodes/vfio!vfio"));
	/* Not while it is served. */
	shell("ln -s ../../devices/virtual/cuse/vfio sys/dev/char/240:7");
	ck_assert_int_eq(devnode_recover(root), -EBUSY);
	is_node("dev/vfio/vfio", OURS, 0660, 3, 4);
	shell("rm sys/dev/char/240:7");
	ck_assert_int_eq(devnode_recover(root), 0);
	is_node("dev/vfio/vfio", STATIC, 0640, 1, 2);
	ck_assert(!is_there("run/vfio-cused/nodes/vfio!vfio"));
	/* The name has gone, with its directory. */
	ck_assert_int_eq(ensure("vfio/vfio"), 0);
	shell("rm -r dev/vfio");
	ck_assert_int_eq(devnode_recover(root), 0);
	is_node("dev/vfio/vfio", STATIC, 0640, 1, 2);
	/* Who ends in order leaves no record. */
	ck_assert_int_eq(ensure("vfio/vfio"), 0);
	ck_assert_int_eq(devnode_restore(&node), 0);
	ck_assert(!is_there("run/vfio-cused/nodes/vfio!vfio"));
	ck_assert(!is_there("run/vfio-cused/nodes"));
	/* One that nobody wrote is thrown away. */
	shell("mkdir run/vfio-cused/nodes && echo 10:x >run/vfio-cused/nodes/vfio!vfio");
	ck_assert_int_eq(devnode_recover(root), -EINVAL);
	ck_assert(!is_there("run/vfio-cused/nodes/vfio!vfio"));
}
END_TEST

START_TEST(kernel_module_is_not_touched)
{
	shell("mkdir dev/vfio && mknod -m 666 dev/vfio/vfio c 10 196 &&"
	      "ln -s ../../devices/virtual/misc/vfio sys/dev/char/10:196");
	ck_assert_int_eq(ensure("vfio/vfio"), -EEXIST);
	ck_assert_ptr_nonnull(strstr(err.text, "modprobe -r"));
	ck_assert_ptr_nonnull(strstr(err.text, "dev/vfio/vfio"));
	is_node("dev/vfio/vfio", STATIC, 0666, getuid(), getgid());
	ck_assert_str_eq(node.path, "");
}
END_TEST

START_TEST(kernel_module_gives_way_where_told)
{
	shell("mkdir -p run/vfio-cused dev/vfio && mknod -m 640 dev/vfio/vfio c 10 196 &&"
	      "chown 1:2 dev/vfio/vfio && ln -s x sys/dev/char/10:196");
	ck_assert_int_eq(ensure_or_replace("vfio/vfio", true), 0);
	is_node("dev/vfio/vfio", OURS, 0660, 3, 4);
	ck_assert_int_eq(devnode_restore(&node), 0);
	is_node("dev/vfio/vfio", STATIC, 0640, 1, 2);
	/* By whoever comes after one that was killed, too. */
	ck_assert_int_eq(ensure_or_replace("vfio/vfio", true), 0);
	ck_assert_int_eq(devnode_recover(root), 0);
	is_node("dev/vfio/vfio", STATIC, 0640, 1, 2);
	/* The number at another name is somebody's own node, and so is another number. */
	shell("mknod dev/vfio/1 c 10 196 && mknod dev/vfio/2 c 241 9 && ln -s x sys/dev/char/241:9");
	ck_assert_int_eq(ensure_or_replace("vfio/1", true), -EEXIST);
	ck_assert_int_eq(ensure_or_replace("vfio/2", true), -EEXIST);
	is_node("dev/vfio/2", OTHER, 0600, getuid(), getgid());
}
END_TEST

/* A device of the kernel's group, bound. */
#define DEVICE(group) "sys/kernel/iommu_groups/" group "/devices/0000:00:01.0"
#define BOUND(group) "mkdir -p " DEVICE(group) "/driver " DEVICE(group) "/vfio-dev &&"
#define GROUP BOUND("7") "mkdir -p run/vfio-cused dev/vfio && mknod -m 640 dev/vfio/7 c 241 9 && chown 1:2 dev/vfio/7 &&"

START_TEST(group_of_the_kernel_gives_way_where_told)
{
	shell(GROUP "ln -s ../../devices/virtual/vfio/7 sys/dev/char/241:9");
	ck_assert_int_eq(ensure("vfio/7"), -EEXIST);
	ck_assert_ptr_nonnull(strstr(err.text, "replace=on"));
	is_node("dev/vfio/7", OTHER, 0640, 1, 2);
	ck_assert_int_eq(ensure_or_replace("vfio/7", true), 0);
	is_node("dev/vfio/7", OURS, 0660, 3, 4);
	ck_assert(is_there("run/vfio-cused/nodes/vfio!7"));
	ck_assert_int_eq(devnode_restore(&node), 0);
	is_node("dev/vfio/7", OTHER, 0640, 1, 2);
	ck_assert(!is_there("run/vfio-cused/nodes"));
	/* Meanwhile the group was gone, and has another number. */
	ck_assert_int_eq(ensure_or_replace("vfio/7", true), 0);
	shell("mv sys/dev/char/241:9 sys/dev/char/241:11");
	ck_assert_int_eq(devnode_restore(&node), 0);
	is_node("dev/vfio/7", makedev(241, 11), 0640, 1, 2);
	/* Or it goes: of a device that is unbound the driver is no more, then vfio's part. */
	ck_assert_int_eq(ensure_or_replace("vfio/7", true), 0);
	shell("rmdir " DEVICE("7") "/driver");
	ck_assert_int_eq(devnode_restore(&node), 0);
	ck_assert(!is_there("dev/vfio/7"));
	shell("mknod dev/vfio/7 c 241 11 && mkdir " DEVICE("7") "/driver && "
	      "rmdir " DEVICE("7") "/vfio-dev");
	ck_assert_int_eq(ensure_or_replace("vfio/7", true), 0);
	ck_assert_int_eq(devnode_restore(&node), 0);
	ck_assert(!is_there("dev/vfio/7"));
	/* Another device of the group is not. */
	shell("mkdir -p " DEVICE("7") "0/driver " DEVICE("7") "0/vfio-dev && "
	      "mknod -m 640 dev/vfio/7 c 241 11 && chown 1:2 dev/vfio/7");
	ck_assert_int_eq(ensure_or_replace("vfio/7", true), 0);
	ck_assert_int_eq(devnode_restore(&node), 0);
	is_node("dev/vfio/7", makedev(241, 11), 0640, 1, 2);
	/* Or it is gone. */
	ck_assert_int_eq(ensure_or_replace("vfio/7", true), 0);
	shell("rm sys/dev/char/241:11");
	ck_assert_int_eq(devnode_restore(&node), 0);
	ck_assert(!is_there("dev/vfio/7"));
	ck_assert(!is_there("run/vfio-cused/nodes"));
}
END_TEST

/* Several, after a service that was killed. */
START_TEST(groups_of_the_kernel_are_put_back_by_others)
{
	struct devnode first;

	shell(BOUND("8") GROUP "mknod -m 600 dev/vfio/8 c 241 10 &&"
	      "ln -s ../../devices/virtual/vfio/7 sys/dev/char/241:9 &&"
	      "ln -s ../../devices/virtual/vfio/8 sys/dev/char/241:10");
	ck_assert_int_eq(ensure_or_replace("vfio/7", true), 0);
	first = node;
	ck_assert_int_eq(ensure_or_replace("vfio/8", true), 0);
	shell("ln -s ../../devices/virtual/cuse/vfio!7 sys/dev/char/240:7");
	ck_assert_int_eq(devnode_recover(root), -EBUSY);
	/* One is put back by hand. */
	shell("rm sys/dev/char/240:7 && rm dev/vfio/8 && mknod -m 666 dev/vfio/8 c 241 10");
	ck_assert_int_eq(devnode_recover(root), 0);
	is_node("dev/vfio/7", OTHER, 0640, 1, 2);
	is_node("dev/vfio/8", makedev(241, 10), 0666, getuid(), getgid());
	ck_assert(!is_there("run/vfio-cused/nodes"));
	/* Nothing is ours there any more. */
	ck_assert_int_eq(devnode_restore(&first), 0);
	is_node("dev/vfio/7", OTHER, 0640, 1, 2);
}
END_TEST

/* The number of another group, and a group's number under another name. */
START_TEST(other_groups_do_not_give_way)
{
	shell(GROUP "ln -s ../../devices/virtual/vfio/17 sys/dev/char/241:9");
	ck_assert_int_eq(ensure_or_replace("vfio/7", true), -EEXIST);
	shell("mkdir dev/other && mknod dev/other/17 c 241 9");
	ck_assert_int_eq(ensure_or_replace("other/17", true), -EEXIST);
	is_node("dev/vfio/7", OTHER, 0640, 1, 2);
}
END_TEST

START_TEST(group_of_somebody_else_is_not_touched)
{
	shell("mkdir dev/vfio && mknod -m 666 dev/vfio/1 c 241 9 && ln -s x sys/dev/char/241:9");
	ck_assert_int_eq(ensure("vfio/1"), -EEXIST);
	ck_assert_ptr_nonnull(strstr(err.text, "241:9"));
	is_node("dev/vfio/1", OTHER, 0666, getuid(), getgid());
}
END_TEST

/* Without a sysfs nobody can tell whether there is a driver. */
START_TEST(unknown_is_not_touched)
{
	shell("rm -r sys && mkdir dev/vfio && mknod dev/vfio/vfio c 10 196");
	ck_assert_int_eq(ensure("vfio/vfio"), -EEXIST);
}
END_TEST

/* A service that was killed leaves a node without a device, and perhaps half of one. */
START_TEST(dead_node_is_replaced)
{
	shell("mkdir dev/vfio && mknod dev/vfio/1 c 241 9 && mknod dev/vfio/1.new c 241 9");
	ck_assert_int_eq(ensure("vfio/1"), 0);
	is_node("dev/vfio/1", OURS, 0660, 3, 4);
	ck_assert_int_eq(devnode_restore(&node), 0);
	shell("test -z \"$(ls -A dev/vfio)\"");
}
END_TEST

START_TEST(files_are_not_touched)
{
	static const char *const makes[] = { "echo x > dev/vfio/1", "mkdir dev/vfio/1",
		"ln -s nowhere dev/vfio/1", "mknod dev/vfio/1 b 241 9" };

	for (size_t i = 0; i < sizeof(makes) / sizeof(makes[0]); i++) {
		shell("rm -rf dev/vfio && mkdir dev/vfio");
		shell(makes[i]);
		ck_assert_int_eq(ensure("vfio/1"), -EEXIST);
		ck_assert_ptr_nonnull(strstr(err.text, "dev/vfio/1"));
		ck_assert(is_there("dev/vfio/1"));
	}
}
END_TEST

START_TEST(another_that_came_meanwhile_stays)
{
	shell("mkdir dev/vfio && mknod dev/vfio/vfio c 10 196");
	ck_assert_int_eq(ensure("vfio/vfio"), 0);
	shell("rm dev/vfio/vfio && mknod -m 600 dev/vfio/vfio c 241 9");
	ck_assert_int_eq(devnode_restore(&node), 0);
	is_node("dev/vfio/vfio", OTHER, 0600, getuid(), getgid());
}
END_TEST

START_TEST(impossible_places_are_told)
{
	char name[300];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_assert_int_eq(ensure(name), -ENAMETOOLONG);
	shell("echo > dev/vfio");
	ck_assert_int_eq(ensure("vfio/1"), -ENOTDIR);
	ck_assert_ptr_nonnull(strstr(err.text, "dev/vfio/1"));
}
END_TEST

static bool nodes_work(void)
{
	return mknod(at("probe"), S_IFCHR | 0600, OURS) == 0 && unlink(at("probe")) == 0 &&
	       geteuid() == 0;
}

int main(void)
{
	Suite *suite = suite_create("devnode");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	char line[64];
	int failed;

	if (!mkdtemp(root))
		return 1;
	if (!nodes_work()) {
		rmdir(root);
		puts("skip (host): only root may make device files, outside of containers");
		return 77;
	}
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, made_where_nothing_is);
	tcase_add_test(tc, directory_of_others_stays);
	tcase_add_test(tc, node_of_the_kernel_gets_its_rights);
	tcase_add_test(tc, static_node_is_replaced_and_comes_back);
	tcase_add_test(tc, static_node_comes_back_to_an_empty_name);
	tcase_add_test(tc, kernel_module_is_not_touched);
	tcase_add_test(tc, kernel_module_gives_way_where_told);
	tcase_add_test(tc, group_of_the_kernel_gives_way_where_told);
	tcase_add_test(tc, groups_of_the_kernel_are_put_back_by_others);
	tcase_add_test(tc, other_groups_do_not_give_way);
	tcase_add_test(tc, group_of_somebody_else_is_not_touched);
	tcase_add_test(tc, unknown_is_not_touched);
	tcase_add_test(tc, dead_node_is_replaced);
	tcase_add_test(tc, static_node_is_put_back_by_others);
	tcase_add_test(tc, files_are_not_touched);
	tcase_add_test(tc, another_that_came_meanwhile_stays);
	tcase_add_test(tc, impossible_places_are_told);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	snprintf(line, sizeof(line), "rm -rf %s", root);
	return system(line) || failed ? 1 : 0;
}
