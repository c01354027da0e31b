/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/serve_devices_test.c - devices that come and go in a running service; see cuse_rig.h.
 * With a kernel that has CUSE: vm/service-conf.sh.
 */
#include <check.h>

#include <conf_load.h>
#include <serve_devices.h>
#include <unit/cuse_rig.h>

#define CONTAINER 1		/* channel; groups' follow as they are made */

static struct conf first;
static struct serve_devices *all;
static struct cused_error err;

static void finish(struct conf *conf, const char *text)
{
	struct conf_running *running = NULL;
	int r;

	conf_init(conf);
	r = conf_parse(conf, "F", text, strlen(text), &err);
	ck_assert_msg(r == 0, "%s", err.text);
	conf->file_read = true;
	if (all)
		ck_assert_int_eq(serve_devices_running(all, &running, &conf->n_running), 0);
	conf->running = running;
	r = conf_finish(conf, "/nonexistent", &err);
	ck_assert_msg(r == 0, "%s", err.text);
	free(running);
	conf->running = NULL;
	conf->n_running = 0;
}

static void begin(const char *text)
{
	rig_begin(false);
	finish(&first, text);
	ck_assert_int_eq(serve_devices_new(&first, rig.service, NULL, &all, &err), 0);
	ck_assert_msg(serve_devices_make(all, &err) == 0, "%s", err.text);
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

/* Return: is one still leaving? */
static bool change(const char *text, bool changes)
{
	struct conf conf;
	bool changed, left;

	finish(&conf, text);
	ck_assert_int_eq(serve_devices_want(all, &conf), 0);
	left = serve_devices_settle(all, &changed);
	ck_assert_int_eq(changed, changes);
	/* Once more, and nothing happens. */
	ck_assert_int_eq(serve_devices_settle(all, &changed), left);
	ck_assert(!changed);
	return left;
}

static unsigned nodes(void)
{
	struct service_status status;

	service_get_status(rig.service, &status);
	return status.nodes - 1;
}

static struct device *at_index(size_t i)
{
	return instance_device(serve_devices_instance(all), i);
}

static size_t there(void)
{
	return instance_n_devices(serve_devices_instance(all));
}

/* The device at @bdf of the group whose channel is given. Return: its fd; the group's is one
 * less. */
static int open_device(int channel, const char *bdf)
{
	int container = rig_open(CONTAINER), group = rig_open(channel);

	ck_assert_int_ge(container, RIG_FD);
	ck_assert_int_ge(group, RIG_FD);
	*(int32_t *)(void *)rig_memory = container;
	ck_assert_int_eq(rig_ioctl(group, VFIO_GROUP_SET_CONTAINER, RIG_BASE), 0);
	ck_assert_int_eq(rig_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	strcpy((char *)rig_memory + 256, bdf);
	/* The rig's courier answers so, and brings the file. */
	ck_assert_int_eq(rig_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, RIG_BASE + 256), -EIO);
	ck_assert_ptr_nonnull(rig_file(group + 1));
	return group + 1;
}

#define A "[device \"a\"]\nbackend = edu\ngroup = 5\nbdf = 1:0.0\n"
#define B "[device \"b\"]\nbackend = edu\ngroup = 6\nbdf = 2:0.0\n"
#define C "[device \"c\"]\nbackend = edu\ngroup = 6\nbdf = 3:0.0\n"
#define B_ELSEWHERE "[device \"d\"]\nbackend = edu\ngroup = 7\nbdf = 2:0.0\n"

START_TEST(devices_come_and_go)
{
	struct device *a;

	begin(A B);
	a = at_index(0);
	ck_assert_uint_eq(nodes(), 2);
	ck_assert(!change(B A, false));			/* the same, in another order */
	ck_assert_ptr_eq(at_index(0), a);
	ck_assert(!change(A B C, true));		/* another in a group that is there */
	ck_assert_uint_eq(nodes(), 2);
	ck_assert_uint_eq(there(), 3);
	ck_assert(!change(A C, true));
	ck_assert_uint_eq(nodes(), 2);
	ck_assert(!change(A, true));			/* the group goes with its last */
	ck_assert_uint_eq(nodes(), 1);
	ck_assert_ptr_eq(at_index(0), a);
	ck_assert(!change(A "delay = 7\n", true));	/* not as it was: made anew */
	ck_assert_uint_eq(there(), 1);
	ck_assert(!change("", true));
	ck_assert_uint_eq(nodes(), 0);
	ck_assert_uint_eq(serve_devices_count(all), 0);
	ck_assert(!change(A B, true));
	ck_assert_uint_eq(there(), 2);
	end();
}
END_TEST

START_TEST(one_in_use_leaves_when_it_is_closed)
{
	bool changed;
	int device;

	begin(A B);
	device = open_device(3, "0000:02:00.0");
	ck_assert(change(A B_ELSEWHERE, false));	/* its address is not free */
	ck_assert_uint_eq(there(), 2);
	ck_assert_uint_eq(serve_devices_count(all), 1);
	/* It works, and cannot be opened again (CG-089). */
	ck_assert_int_eq(rig_rw(device, false, CLIENT_CONFIG, rig_memory, 4), 4);
	strcpy((char *)rig_memory + 256, "0000:02:00.0");
	ck_assert_int_eq(rig_ioctl(device - 1, VFIO_GROUP_GET_DEVICE_FD, RIG_BASE + 256),
			 -ENODEV);
	/* A change of mind comes too late for it. */
	ck_assert(change(A B, false));
	ck_assert(change(A B_ELSEWHERE, false));
	rig_close(device);
	rig.files[device - 1 - RIG_FD].open = false;	/* its node goes now */
	ck_assert(!serve_devices_settle(all, &changed));
	ck_assert(changed);
	ck_assert_uint_eq(nodes(), 2);
	ck_assert_uint_eq(there(), 2);
	end();
}
END_TEST

START_TEST(mistakes_of_one_are_not_anothers)
{
	begin(A);
	ck_assert(!change(A B "[device \"n\"]\nbackend = nvme\nimage = /no/such/file\n", true));
	ck_assert_uint_eq(there(), 2);
	/* The next configuration has it in order. */
	ck_assert(!change(A B "[device \"n\"]\nbackend = nvme\nsize = 1M\n", true));
	ck_assert_uint_eq(there(), 3);
	end();
}
END_TEST

static bool caller_may(int group, unsigned uid)
{
	struct vfio_group_status *arg = (void *)rig_memory;

	rig.uid = rig.gid = uid;
	arg->argsz = sizeof(*arg);
	return rig_ioctl(group, VFIO_GROUP_GET_STATUS, RIG_BASE) == 0;
}

START_TEST(rights_follow_the_configuration)
{
	int group, device;

	begin(A B "[group \"6\"]\nowner = 7\n");
	rig.uid = rig.gid = 7;
	device = open_device(3, "0000:02:00.0");
	group = device - 1;
	ck_assert(caller_may(group, 7) && !caller_may(group, 8));
	ck_assert(!change(A B "[group \"6\"]\nowner = 8\n", false));
	ck_assert(!caller_may(group, 7) && caller_may(group, 8));
	/* A group that goes keeps the rights that it had. */
	ck_assert(change(A, false));
	ck_assert(!caller_may(group, 7) && caller_may(group, 8));
	/* One that comes into it brings those of the configuration. */
	ck_assert(change(A C "[group \"6\"]\nowner = 9\n", true));
	ck_assert(!caller_may(group, 8) && caller_may(group, 9));
	/* Nothing is said of it any more: the kernel's rules. */
	ck_assert(change(A C, false));
	ck_assert(caller_may(group, 8));
	rig.uid = rig.gid = 0;
	for (int i = 0; i < RIG_FILES; i++)
		rig_close(i + RIG_FD);
	end();
}
END_TEST

/* ---- by hand ---- */

static int add(const char *text)
{
	const struct conf_device *added;
	struct conf_running *running;
	struct conf conf;
	int r;

	conf_init(&conf);
	ck_assert_int_eq(conf_add_device(&conf, text, &err), 0);
	ck_assert_int_eq(serve_devices_running(all, &running, &conf.n_running), 0);
	conf.running = running;
	r = conf_finish_beside(&conf, &first, "/nonexistent", &err);
	if (r == 0)
		r = serve_devices_add(all, &conf, &added, &err);
	conf_done(&conf);
	free(running);
	return r;
}

/* Return: is one still leaving? */
static bool dismiss(const char *name, bool take, uint64_t job, bool changes)
{
	bool changed, left;

	ck_assert_msg(serve_devices_dismiss(all, name, take, job, &err) == 0, "%s", err.text);
	left = serve_devices_settle(all, &changed);
	ck_assert_int_eq(changed, changes);
	ck_assert_int_eq(serve_devices_is_done(all, job), !left);
	return left;
}

START_TEST(by_hand_until_the_next_configuration)
{
	begin(A B);
	ck_assert(!dismiss("b", false, 1, true));
	ck_assert_uint_eq(nodes(), 1);
	/* It does not come again by itself. */
	ck_assert_int_eq(add("edu,bdf=3:0.0,group=6,id=c"), 0);
	ck_assert_uint_eq(nodes(), 2);
	ck_assert_str_eq(serve_devices_id(all, "0000:03:00.0"), "c");
	ck_assert(!dismiss("0000:01:00.0", false, 2, true));
	ck_assert_uint_eq(there(), 1);
	ck_assert_int_eq(add("edu,bdf=3:0.0"), -EEXIST);
	ck_assert_int_eq(add("edu,id=c"), -EEXIST);
	ck_assert_int_eq(serve_devices_dismiss(all, "a", false, 3, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "no such device"));
	ck_assert_int_eq(serve_devices_dismiss(all, "group=5", false, 3, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "no such group"));
	/* That has the last word. */
	ck_assert(!change(A B, true));
	ck_assert_uint_eq(there(), 2);
	ck_assert_ptr_null(serve_devices_id(all, "0000:03:00.0"));
	ck_assert_str_eq(serve_devices_id(all, "0000:01:00.0"), "a");
	/* What it names as it is stays as it is. */
	ck_assert_int_eq(add("edu,bdf=3:0.0,group=6,id=c"), 0);
	ck_assert(!change(A B C, false));
	ck_assert(!dismiss("group=6", false, 3, true));
	ck_assert_uint_eq(there(), 1);
	ck_assert(!dismiss(NULL, false, 4, true));
	ck_assert_uint_eq(there(), 0);
	end();
}
END_TEST

/* There is room for as many as a configuration can have, and no more. */
START_TEST(as_many_by_hand_as_there_can_be)
{
	char text[40];

	begin(A);
	for (unsigned i = 1; i < CONF_DEVICES_MAX; i++) {
		snprintf(text, sizeof(text), "edu,bdf=%x:0.0,group=5", i + 1);
		ck_assert_int_eq(add(text), 0);
	}
	ck_assert_int_eq(add("edu,bdf=ff:0.0,group=5"), -ENOSPC);
	ck_assert(!dismiss("a", false, 1, true));
	ck_assert_int_eq(add("edu,bdf=ff:0.0,group=5"), 0);
	end();
}
END_TEST

/* Its client is asked first, and does not close. */
START_TEST(one_in_use_is_revoked)
{
	struct vfio_group_status *status;
	bool changed;
	int device;

	begin(A B);
	status = (void *)rig_memory;
	device = open_device(3, "0000:02:00.0");
	ck_assert(dismiss("b", false, 1, false));
	ck_assert_int_eq(rig_rw(device, false, CLIENT_CONFIG, rig_memory, 4), 4);
	ck_assert_int_eq(add("edu,bdf=2:0.0,group=7"), -EEXIST);
	ck_assert_int_eq(serve_devices_dismiss(all, "b", true, 2, &err), 0);
	while (!serve_devices_is_done(all, 0))
		serve_devices_settle(all, &changed);
	ck_assert(serve_devices_is_done(all, 1) && serve_devices_is_done(all, 2));
	ck_assert_uint_eq(nodes(), 1);
	ck_assert_uint_eq(there(), 1);
	ck_assert_int_eq(rig_rw(device, false, CLIENT_CONFIG, rig_memory, 4), -ENODEV);
	status->argsz = sizeof(*status);
	ck_assert_int_eq(rig_ioctl(device - 1, VFIO_GROUP_GET_STATUS, RIG_BASE), -ENODEV);
	/* Its address is free. */
	ck_assert_int_eq(add("edu,bdf=2:0.0,group=7,id=b"), 0);
	ck_assert(serve_devices_reap(all));
	rig_close(device);
	ck_assert(serve_devices_reap(all));
	rig_close(device - 1);
	ck_assert(!serve_devices_reap(all));
	ck_assert_str_eq(serve_devices_id(all, "0000:02:00.0"), "b");
	ck_assert_int_eq(serve_devices_end(all), 0);
	end();
}
END_TEST

/* What a configuration has in the place of one that leaves is not meant. */
START_TEST(one_that_leaves_is_meant)
{
	bool changed;

	begin(A B);
	open_device(3, "0000:02:00.0");
	ck_assert(change(A B_ELSEWHERE, false));
	ck_assert_int_eq(serve_devices_dismiss(all, "0000:02:00.0", true, 1, &err), 0);
	while (!serve_devices_is_done(all, 1))
		serve_devices_settle(all, &changed);
	ck_assert_str_eq(serve_devices_id(all, "0000:02:00.0"), "d");
	ck_assert_uint_eq(there(), 2);
	for (int i = 0; i < RIG_FILES; i++)
		rig_close(i + RIG_FD);
	end();
}
END_TEST

START_TEST(the_end_with_one_that_leaves)
{
	begin(A);
	open_device(2, "0000:01:00.0");
	ck_assert(change("", false));
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("serve_devices");
	TCase *tc = tcase_create("serve_devices");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, devices_come_and_go);
	tcase_add_test(tc, one_in_use_leaves_when_it_is_closed);
	tcase_add_test(tc, mistakes_of_one_are_not_anothers);
	tcase_add_test(tc, rights_follow_the_configuration);
	tcase_add_test(tc, by_hand_until_the_next_configuration);
	tcase_add_test(tc, as_many_by_hand_as_there_can_be);
	tcase_add_test(tc, one_in_use_is_revoked);
	tcase_add_test(tc, one_that_leaves_is_meant);
	tcase_add_test(tc, the_end_with_one_that_leaves);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
