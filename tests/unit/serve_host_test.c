/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/serve_host_test.c - devices of the machine in a running service, on a machine made of files
 * (host_tree.h) whose nodes take every ioctl, with the service between sockets (cuse_rig.h).
 * On a real kernel: vm/iommufd-machine.sh.
 */
#include <check.h>
#include <core/group.h>

#include <conf_keep.h>
#include <conf_load.h>
#include <serve_devices.h>
#include <unit/cuse_rig.h>
#include <unit/fd_keep_fake.h>

#include "../../backends/device/host/host_device.h"
#include "unit/host_tree.h"

#define ONE "0000:00:04.0"
#define TWO "0000:00:05.0"
#define SECTION(id, bdf) "[device \"" id "\"]\nbackend = host\nbdf = " bdf "\n"
#define HAS_ONE SECTION("one", ONE)
#define WAITS_ONE HAS_ONE "wait = on\n"
#define WAITS_TWO SECTION("two", TWO) "wait = on\n"

static struct conf first;
static struct serve_devices *all;
static struct cused_error err;

/* ---- the machine ---- */

static int bind_error;		/* what VFIO_DEVICE_BIND_IOMMUFD gives */

static int machine_open(const char *path)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int machine_ioctl(int fd, unsigned long cmd, void *arg)
{
	return cmd == _IO(';', 118) ? bind_error : 0;
}

static void machine_close(int fd)
{
	close(fd);
}

static void machine_pause(void)
{
}

static const struct host_machine machine = {
	.dev = "/dev", .open = machine_open, .ioctl = machine_ioctl, .close = machine_close,
	.pause = machine_pause,
};

static void plug(const char *bdf, const char *group)
{
	tree_device(bdf, group, "vfio-pci", "0x00ff00");
}

static void bind_it(const char *bdf, const char *node)
{
	tree_node(bdf, node, "511:1");
	tree_do("mkdir -p dev/vfio/devices; : >dev/vfio/devices/%s", node);
}

static void unbind(const char *bdf)
{
	tree_do("rm -r sys/devices/pci0000:00/%s/vfio-dev", bdf);
}

static void unplug(const char *bdf, const char *group)
{
	tree_do("rm -r sys/devices/pci0000:00/%s sys/bus/pci/devices/%s "
		"sys/kernel/iommu_groups/%s", bdf, bdf, group);
}

/* ---- the service ---- */

static void finish(struct conf *conf, const char *text, bool beside)
{
	struct conf_running *running = NULL;
	int r;

	conf_init(conf);
	r = beside ? conf_add_device(conf, text, &err) :
		     conf_parse(conf, "F", text, strlen(text), &err);
	ck_assert_msg(r == 0, "%s", err.text);
	conf->file_read = true;
	if (all)
		ck_assert_int_eq(serve_devices_running(all, &running, &conf->n_running), 0);
	conf->running = running;
	r = beside ? conf_finish_beside(conf, &first, tree_sysfs, &err) :
		     conf_finish(conf, tree_sysfs, &err);
	ck_assert_msg(r == 0, "%s", err.text);
	free(running);
	conf->running = NULL;
	conf->n_running = 0;
}

static int try_begin(const char *text)
{
	host_machine = &machine;
	bind_error = 0;
	rig_begin(false);
	finish(&first, text, false);
	ck_assert_int_eq(serve_devices_new(&first, rig.service, NULL, &all, &err), 0);
	instance_look_at(serve_devices_instance(all), tree_sysfs, tree_dev);
	return serve_devices_make(all, &err);
}

static void begin(const char *text)
{
	ck_assert_msg(try_begin(text) == 0, "%s", err.text);
	ck_assert_int_eq(service_start(rig.service,
				       instance_topology(serve_devices_instance(all)), &err), 0);
	ck_assert_msg(serve_devices_show(all, &err) == 0, "%s", err.text);
}

static void end(void)
{
	ck_assert_int_eq(service_stop(rig.service), 0);
	serve_devices_free(all);
	all = NULL;
	conf_done(&first);
	rig_end();
}

/* News of the machine. Nothing more comes of the same. */
static void follow(bool changes)
{
	bool changed;

	serve_devices_follow(all, tree_sysfs);
	ck_assert(!serve_devices_settle(all, &changed));
	ck_assert_int_eq(changed, changes);
	serve_devices_follow(all, tree_sysfs);
	serve_devices_settle(all, &changed);
	ck_assert(!changed);
}

static void there(size_t devices, unsigned groups)
{
	struct service_status status;

	service_get_status(rig.service, &status);
	ck_assert_uint_eq(serve_devices_count(all), devices);
	ck_assert_uint_eq(status.nodes - 1, groups);
}

static struct group *group_of(unsigned number)
{
	struct group *group =
		topology_find_group(instance_topology(serve_devices_instance(all)), number, false);

	ck_assert_ptr_nonnull(group);
	return group;
}

static bool is_viable(unsigned number)
{
	struct group_state state;

	group_get_state(group_of(number), &state);
	return state.viable;
}

/* ---- cases ---- */

START_TEST(what_is_not_there_is_awaited)
{
	plug(TWO, "6");
	begin(WAITS_ONE WAITS_TWO);
	there(0, 0);
	plug(ONE, "5");
	follow(false);
	bind_it(ONE, "vfio0");
	follow(true);
	there(1, 1);
	ck_assert_str_eq(serve_devices_id(all, ONE), "one");
	bind_it(TWO, "vfio1");
	follow(true);
	there(2, 2);
	end();
}
END_TEST

START_TEST(what_may_not_be_missing_is_a_mistake)
{
	plug(ONE, "5");
	ck_assert_int_eq(try_begin(HAS_ONE), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "no device node"));
	end();
}
END_TEST

START_TEST(what_goes_comes_back)
{
	plug(ONE, "5");
	bind_it(ONE, "vfio0");
	begin(HAS_ONE);
	there(1, 1);
	unbind(ONE);
	follow(true);
	there(0, 0);
	ck_assert(!group_has_devices(group_of(5)));
	bind_it(ONE, "vfio0");
	follow(true);
	there(1, 1);
	unplug(ONE, "5");
	follow(true);
	there(0, 0);
	/* In another group now, and so the next time though nobody saw it go. */
	plug(ONE, "8");
	bind_it(ONE, "vfio3");
	follow(true);
	there(1, 1);
	ck_assert(group_has_devices(group_of(8)));
	unplug(ONE, "8");
	plug(ONE, "9");
	bind_it(ONE, "vfio3");
	follow(true);
	there(1, 1);
	ck_assert(group_has_devices(group_of(9)) && !group_has_devices(group_of(8)));
	/* Another node, and then another device. */
	unbind(ONE);
	bind_it(ONE, "vfio4");
	follow(true);
	ck_assert_str_eq(instance_node(serve_devices_instance(all),
				       instance_device(serve_devices_instance(all), 0)), "vfio4");
	tree_do("echo 0x4321 >sys/devices/pci0000:00/" ONE "/vendor");
	follow(true);
	there(1, 1);
	end();
}
END_TEST

/* By a program that lets go of it without a word. */
START_TEST(what_is_in_use_is_tried_again)
{
	plug(ONE, "5");
	bind_it(ONE, "vfio0");
	begin(WAITS_TWO);
	ck_assert_int_eq(serve_devices_retry_ms(all), -1);
	plug(TWO, "6");
	bind_it(TWO, "vfio1");
	bind_error = -EBUSY;
	follow(false);
	ck_assert_int_ge(serve_devices_retry_ms(all), 0);
	ck_assert_int_le(serve_devices_retry_ms(all), SERVE_RETRY_MS);
	bind_error = 0;
	follow(true);
	there(1, 1);
	ck_assert_int_eq(serve_devices_retry_ms(all), -1);
	end();
}
END_TEST

START_TEST(groups_are_viable_or_not)
{
	plug(ONE, "5");
	bind_it(ONE, "vfio0");
	tree_device(TWO, "5", "", "0x020000");
	begin(HAS_ONE);
	follow(false);
	ck_assert(is_viable(5));
	tree_do("mkdir -p sys/bus/pci/drivers/e1000; ln -s ../../../bus/pci/drivers/e1000 "
		"sys/devices/pci0000:00/" TWO "/driver");
	follow(false);
	ck_assert(!is_viable(5));					/* SD-067 */
	tree_do("rm sys/devices/pci0000:00/" TWO "/driver");
	follow(false);
	ck_assert(is_viable(5));
	end();
}
END_TEST

static void by_hand(const char *text)
{
	const struct conf_device *added;
	struct conf conf;

	finish(&conf, text, true);
	ck_assert_msg(serve_devices_add(all, &conf, &added, &err) == 0, "%s", err.text);
	conf_done(&conf);
}

START_TEST(by_hand_it_is_followed_too)
{
	bool changed;

	plug(ONE, "5");
	bind_it(ONE, "vfio0");
	begin(WAITS_TWO);
	by_hand("host,bdf=" ONE ",id=x");
	there(1, 1);
	unbind(ONE);
	follow(true);
	bind_it(ONE, "vfio0");
	follow(true);
	there(1, 1);
	/* Named by its group, it goes for good; named while it is awaited as well. */
	ck_assert_int_eq(serve_devices_dismiss(all, "group=5", false, 1, &err), 0);
	serve_devices_settle(all, &changed);
	ck_assert(changed);
	follow(false);
	by_hand("host,bdf=" ONE ",id=x");
	unbind(ONE);
	follow(true);
	ck_assert_int_eq(serve_devices_dismiss(all, "x", false, 2, &err), 0);
	bind_it(ONE, "vfio0");
	follow(false);
	ck_assert_int_eq(serve_devices_dismiss(all, "x", false, 3, &err), -ENOENT);
	/* So is one of the configuration. */
	ck_assert_int_eq(serve_devices_dismiss(all, TWO, false, 4, &err), 0);
	plug(TWO, "6");
	bind_it(TWO, "vfio1");
	follow(false);
	there(0, 0);
	/* The end with one that is awaited. */
	by_hand("host,bdf=" ONE ",id=x");
	unbind(ONE);
	follow(true);
	end();
}
END_TEST

/* A new configuration has the last word, and keeps what is the same. */
START_TEST(a_new_configuration)
{
	struct conf conf;
	bool changed;

	plug(ONE, "5");
	bind_it(ONE, "vfio0");
	begin(WAITS_ONE);
	by_hand("edu,bdf=2:0.0,group=7,id=e");
	finish(&conf, WAITS_ONE WAITS_TWO, false);
	ck_assert_int_eq(serve_devices_want(all, &conf), 0);
	serve_devices_settle(all, &changed);
	there(1, 1);
	plug(TWO, "6");
	bind_it(TWO, "vfio1");
	follow(true);
	there(2, 2);
	unbind(ONE);
	follow(true);
	finish(&conf, WAITS_TWO, false);
	ck_assert_int_eq(serve_devices_want(all, &conf), 0);
	bind_it(ONE, "vfio0");
	follow(false);
	there(1, 1);
	end();
}
END_TEST

START_TEST(numbers_of_groups_that_are_taken)
{
	bool changed;

	begin(WAITS_ONE);
	by_hand("edu,bdf=2:0.0,group=5,id=e");
	plug(ONE, "5");
	bind_it(ONE, "vfio0");
	follow(false);
	there(1, 1);
	ck_assert_int_eq(serve_devices_dismiss(all, "e", false, 1, &err), 0);
	serve_devices_settle(all, &changed);
	there(1, 1);
	ck_assert_str_eq(serve_devices_id(all, ONE), "one");
	/* The other way round: ctl add refuses it. */
	unplug(ONE, "5");
	follow(true);
	by_hand("edu,bdf=2:0.0,id=e");
	ck_assert_ptr_nonnull(topology_find_group(instance_topology(serve_devices_instance(all)),
						  CONF_GROUP_BESIDE, false));
	end();
}
END_TEST

/* ---- another process ---- */

static struct fake_kept kept;

static void begin_kept(const char *text)
{
	struct serve_devices_keep keep = { .fds = &kept.fds };

	host_machine = &machine;
	bind_error = 0;
	fake_kept_init(&kept);
	keep.keep = kept.keep;
	rig_begin(false);
	finish(&first, text, false);
	ck_assert_int_eq(serve_devices_new(&first, rig.service, &keep, &all, &err), 0);
	instance_look_at(serve_devices_instance(all), tree_sysfs, tree_dev);
	ck_assert_msg(serve_devices_make(all, &err) == 0, "%s", err.text);
	conf_keep_settings(kept.keep, &first, serve_devices_last_id(all), 0);
}

/* The devices of another process, beside those of the first, which are not served yet. Return:
 * how many it has. */
static size_t restored(struct conf *settings, struct serve_devices **ret)
{
	struct serve_devices_keep keep = { .keep = kept.keep, .fds = &kept.fds };
	uint64_t left_at;

	ck_assert_int_eq(conf_kept_settings(kept.keep, settings, &keep.last_id, &left_at, &err),
			 0);
	ck_assert_uint_eq(keep.last_id, serve_devices_last_id(all));
	ck_assert_int_eq(serve_devices_new(settings, rig.service, &keep, ret, &err), 0);
	instance_look_at(serve_devices_instance(*ret), tree_sysfs, tree_dev);
	ck_assert_msg(serve_devices_restore(*ret, &err) == 0, "%s", err.text);
	return serve_devices_count(*ret);
}

static void end_kept(struct conf *settings, struct serve_devices *after)
{
	serve_devices_free(after);
	conf_done(settings);
	end();
	fake_kept_done(&kept);
}

/* A client has it, so a try to bind it would be refused. */
START_TEST(another_process_has_it_again)
{
	struct serve_devices *after;
	struct conf settings, wanted;
	bool changed;

	plug(ONE, "5");
	bind_it(ONE, "vfio0");
	begin_kept(WAITS_ONE);
	bind_error = -EINVAL;
	ck_assert_uint_eq(restored(&settings, &after), 1);
	ck_assert_str_eq(serve_devices_id(after, ONE), "one");
	ck_assert_uint_eq(serve_devices_last_id(after), 1);
	/* It is what the configuration wants. */
	finish(&wanted, WAITS_ONE, false);
	ck_assert_int_eq(serve_devices_want(after, &wanted), 0);
	ck_assert(!serve_devices_settle(after, &changed));
	ck_assert(!changed);
	ck_assert_uint_eq(serve_devices_count(after), 1);
	conf_done(&wanted);
	end_kept(&settings, after);
}
END_TEST

/* One has left meanwhile, and the other is where it was. */
START_TEST(one_left_during_the_restart)
{
	struct serve_devices *after;
	struct conf settings;

	plug(ONE, "5");
	bind_it(ONE, "vfio0");
	plug(TWO, "6");
	bind_it(TWO, "vfio1");
	begin_kept(HAS_ONE WAITS_TWO);
	ck_assert_uint_eq(fake_kept_count(&kept, KEEP_CONF_DEVICE), 2);
	unbind(ONE);
	ck_assert_uint_eq(restored(&settings, &after), 1);
	ck_assert_str_eq(serve_devices_id(after, TWO), "two");
	ck_assert_ptr_null(serve_devices_id(after, ONE));
	ck_assert_uint_eq(fake_kept_count(&kept, KEEP_CONF_DEVICE), 1);
	end_kept(&settings, after);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("serve_host");
	TCase *tc = tcase_create("serve_host");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, tree_setup, tree_teardown);
	tcase_add_test(tc, what_is_not_there_is_awaited);
	tcase_add_test(tc, what_may_not_be_missing_is_a_mistake);
	tcase_add_test(tc, what_goes_comes_back);
	tcase_add_test(tc, what_is_in_use_is_tried_again);
	tcase_add_test(tc, groups_are_viable_or_not);
	tcase_add_test(tc, by_hand_it_is_followed_too);
	tcase_add_test(tc, a_new_configuration);
	tcase_add_test(tc, numbers_of_groups_that_are_taken);
	tcase_add_test(tc, another_process_has_it_again);
	tcase_add_test(tc, one_left_during_the_restart);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
