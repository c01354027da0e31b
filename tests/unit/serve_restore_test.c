/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serve_restore.c and what serve_devices.c keeps: devices of a process, in another one. Both are
 * here, with a store of descriptors that is a table. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <conf_keep.h>
#include <serve_devices.h>
#include <transport/fd_keep.h>
#include <unit/cuse_rig.h>

static struct conf first;
static struct serve_devices *all;
static struct keep *keep;
static struct cused_error err;

/* ---- the store ---- */

#define STORED 16

static struct {
	char name[FD_KEEP_NAME_SIZE];
	int fd;
} stored[STORED];
static unsigned n_stored;

static int find(const char *name)
{
	for (unsigned i = 0; i < n_stored; i++)
		if (!strcmp(stored[i].name, name))
			return (int)i;
	return -1;
}

static void table_drop(struct fd_keep *fds, const char *name)
{
	int i = find(name);

	if (i < 0)
		return;
	close(stored[i].fd);
	stored[i] = stored[--n_stored];
}

static void table_put(struct fd_keep *fds, const char *name, int fd)
{
	table_drop(fds, name);
	ck_assert_uint_lt(n_stored, STORED);
	snprintf(stored[n_stored].name, sizeof(stored[0].name), "%s", name);
	stored[n_stored++].fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static int table_take(struct fd_keep *fds, const char *name)
{
	int i = find(name);

	return i < 0 ? -1 : fcntl(stored[i].fd, F_DUPFD_CLOEXEC, 0);
}

static struct fd_keep table = { .put = table_put, .drop = table_drop, .take = table_take };

/* ---- two processes ---- */

static void finish(struct conf *conf, const char *text)
{
	conf_init(conf);
	if (!*text)
		conf->file_read = true;
	for (const char *at = text; *at;) {
		size_t length = strcspn(at, " ");
		char one[128];

		snprintf(one, sizeof(one), "%.*s", (int)length, at);
		ck_assert_msg(conf_add_device(conf, one, &err) == 0, "%s", err.text);
		at += length + (at[length] == ' ');
	}
	ck_assert_msg(conf_finish(conf, "/nonexistent", &err) == 0, "%s", err.text);
}

static void begin(const char *text)
{
	const struct serve_devices_keep kept = { keep, &table, 0 };

	rig_begin(false);
	finish(&first, text);
	ck_assert_int_eq(serve_devices_new(&first, rig.service, &kept, &all, &err), 0);
	ck_assert_msg(serve_devices_make(all, &err) == 0, "%s", err.text);
	conf_keep_settings(keep, &first, serve_devices_last_id(all), 0);
}

/* What a process does that is not killed: of one that is, the records are as they were before. */
static void end(void)
{
	ck_assert_int_eq(service_stop(rig.service), 0);
	serve_devices_free(all);
	all = NULL;
	conf_done(&first);
	rig_end();
}

static struct conf settings;

/* Another process. Return: of serve_devices_restore(). */
static int take_over(struct serve_devices **ret)
{
	struct serve_devices_keep kept = { keep, &table, 0 };
	uint64_t left_at;
	int r = conf_kept_settings(keep, &settings, &kept.last_id, &left_at, &err);

	ck_assert_msg(r == 0, "%s", err.text);
	ck_assert_int_eq(serve_devices_new(&settings, rig.service, &kept, ret, &err), 0);
	return serve_devices_restore(*ret, &err);
}

static void setup(void)
{
	ck_assert_int_eq(keep_new(&keep), 0);
}

static void teardown(void)
{
	keep_free(keep);
	while (n_stored)
		table_drop(&table, stored[0].name);
}

static ino_t inode_of(const char *name)
{
	struct stat st;

	ck_assert_int_ge(find(name), 0);
	ck_assert_int_eq(fstat(stored[find(name)].fd, &st), 0);
	return st.st_ino;
}

static void expect_same(const struct serve_devices *a, const struct serve_devices *b)
{
	struct conf_running *x, *y;
	size_t n, m;

	ck_assert_int_eq(serve_devices_running(a, &x, &n), 0);
	ck_assert_int_eq(serve_devices_running(b, &y, &m), 0);
	ck_assert_uint_eq(n, m);
	for (size_t i = 0; i < n; i++) {
		ck_assert_str_eq(x[i].id, y[i].id);
		ck_assert_ptr_eq(x[i].ops, y[i].ops);
		ck_assert_int_eq(memcmp(&x[i].address, &y[i].address, sizeof(x[i].address)), 0);
		ck_assert_uint_eq(x[i].group, y[i].group);
	}
	free(x);
	free(y);
}

START_TEST(devices_as_they_were)
{
	struct serve_devices *next;
	ino_t one, two;

	begin("edu,id=a,group=7 edu,id=b,bdf=0000:c0:00.0");
	ck_assert_uint_eq(n_stored, 2);
	one = inode_of("bar-1");
	two = inode_of("bar-2");
	ck_assert_int_eq(take_over(&next), 0);
	expect_same(all, next);
	ck_assert_uint_eq(serve_devices_count(next), 2);
	ck_assert_uint_eq(serve_devices_last_id(next), 2);
	/* The memory is that of before. */
	ck_assert(inode_of("bar-1") == one && inode_of("bar-2") == two);
	serve_devices_free(next);
	conf_done(&settings);
	end();
}
END_TEST

static int count(void *arg, uint64_t id, const void *data, size_t size)
{
	(*(unsigned *)arg)++;
	return 0;
}

static unsigned n_records(void)
{
	unsigned n = 0;

	ck_assert_int_eq(keep_each(keep, KEEP_CONF_DEVICE, count, &n), 0);
	return n;
}

/* What goes leaves nothing, and its number is not given again. */
START_TEST(a_number_is_never_given_again)
{
	struct serve_devices *next;
	struct conf conf;
	bool changed;

	begin("edu,id=a edu,id=b");
	ck_assert_int_eq(serve_devices_dismiss(all, "b", false, 1, &err), 0);
	serve_devices_settle(all, &changed);
	ck_assert_uint_eq(n_records(), 1);
	ck_assert_int_eq(find("bar-2"), -1);
	ck_assert_int_eq(take_over(&next), 0);
	ck_assert_uint_eq(serve_devices_count(next), 1);
	ck_assert_uint_eq(serve_devices_last_id(next), 2);
	/* Want another one. */
	finish(&conf, "edu,id=a edu,id=c");
	ck_assert_int_eq(serve_devices_want(next, &conf), 0);
	conf_done(&conf);
	serve_devices_settle(next, &changed);
	ck_assert_uint_eq(n_records(), 2);
	ck_assert_int_ge(find("bar-3"), 0);
	ck_assert_uint_eq(serve_devices_last_id(next), 3);
	serve_devices_free(next);
	conf_done(&settings);
	end();
}
END_TEST

/* One whose client does not close it, and that the next configuration does not want. */
START_TEST(what_is_not_wanted_any_more_leaves)
{
	struct serve_devices *next;
	struct conf conf;
	bool changed;

	begin("edu,id=a edu,id=b");
	ck_assert_int_eq(take_over(&next), 0);
	finish(&conf, "edu,id=b,bdf=0000:02:00.0,group=1");
	ck_assert_int_eq(serve_devices_want(next, &conf), 0);
	conf_done(&conf);
	ck_assert(!serve_devices_settle(next, &changed));
	ck_assert(changed);
	ck_assert_uint_eq(n_records(), 1);
	ck_assert_int_eq(find("bar-1"), -1);
	ck_assert_int_ge(find("bar-2"), 0);
	serve_devices_free(next);
	conf_done(&settings);
	end();
}
END_TEST

START_TEST(memory_that_is_not_there)
{
	struct serve_devices *next;

	begin("edu,id=a");
	table_drop(&table, "bar-1");
	ck_assert_int_eq(take_over(&next), -EBADMSG);
	ck_assert_msg(strstr(err.text, "device a: its memory was not kept"), "%s", err.text);
	serve_devices_free(next);
	conf_done(&settings);
	end();
}
END_TEST

START_TEST(memory_that_is_another_file)
{
	struct serve_devices *next;
	int ends[2];

	begin("edu,id=a");
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	table_put(&table, "bar-1", ends[0]);
	close(ends[0]);
	close(ends[1]);
	ck_assert_int_eq(take_over(&next), -EBADMSG);
	serve_devices_free(next);
	conf_done(&settings);
	end();
}
END_TEST

/* A namespace of the NVMe drive. */
START_TEST(memory_of_a_model)
{
	struct serve_devices *next;
	ino_t one;

	begin("nvme,id=a,size=1M");
	ck_assert_uint_eq(n_stored, 2);
	one = inode_of("mem-1-0");
	ck_assert_int_eq(take_over(&next), 0);
	ck_assert(inode_of("mem-1-0") == one);
	serve_devices_free(next);
	conf_done(&settings);
	ck_assert_int_eq(find("mem-1-0"), -1);
	end();

	begin("nvme,id=a,size=1M");
	table_drop(&table, "mem-1-0");
	ck_assert_int_eq(take_over(&next), -EBADMSG);
	ck_assert_msg(strstr(err.text, "memory 0 of its model"), "%s", err.text);
	serve_devices_free(next);
	conf_done(&settings);
	end();
}
END_TEST

START_TEST(no_devices_at_all)
{
	struct serve_devices *next;

	begin("");
	ck_assert_int_eq(take_over(&next), 0);
	ck_assert_uint_eq(serve_devices_count(next), 0);
	serve_devices_free(next);
	conf_done(&settings);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("serve_restore");
	TCase *tc = tcase_create("serve_restore");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, devices_as_they_were);
	tcase_add_test(tc, a_number_is_never_given_again);
	tcase_add_test(tc, what_is_not_wanted_any_more_leaves);
	tcase_add_test(tc, memory_that_is_not_there);
	tcase_add_test(tc, memory_that_is_another_file);
	tcase_add_test(tc, memory_of_a_model);
	tcase_add_test(tc, no_devices_at_all);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
