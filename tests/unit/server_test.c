/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/server.c, through the file system of devices: calls that take long, and what
 * they must not keep waiting. Skipped (77) without root or /dev/fuse.
 */
#include <sys/ioctl.h>
#include <sys/resource.h>

#include <unit/devfs_rig.h>

#define QUEUED 8u
#define NOBODY_UID 65534
#define OTHERS 2u		/* threads: the watch, and that of the open device */

static int fd;			/* of a device, in remote 0 and its copies */

static void setup(void)
{
	rig_start();
	fd = rig_file(0, rig.device);
}

static void setup_lone(void)
{
	rig_lone_readers = true;
	setup();
}

static void teardown(void)
{
	rig_open_gate();
	rig_stop();
}

/* Remotes from … to - 1 make calls that stall: those that are served, then others that
 * wait, one after the other. */
static void stall(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		unsigned n = i - from + 1;

		remote_fork(0, i);
		remote_begin(i, SYS_ioctl, fd, RIG_STALL, i);
		if (n <= LANE_THREADS)
			ck_assert(rig_wait(&rig.entered, n));
		else
			UNTIL(server_queued(rig.server) == n - LANE_THREADS);
	}
}

START_TEST(a_stalled_call_delays_nobody)
{
	uint64_t *word = remote_alloc(8);

	stall(1, 4);
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, i), RIG_RESULT);
		ck_assert_int_eq(remote_call(0, SYS_pread64, fd, word, 8, 0), 8);
	}
	UNTIL(server_stalled(rig.server) == 3);
	for (unsigned i = 1; i < 4; i++)
		ck_assert(!remote_is_back(i, 0));
	rig_open_gate();
	for (unsigned i = 1; i < 4; i++)
		ck_assert_int_eq(remote_end(i), RIG_RESULT);
	UNTIL(server_stalled(rig.server) == 0);
}
END_TEST

START_TEST(calls_of_one_user_queue_up_in_order)
{
	unsigned last = 1 + LANE_THREADS + QUEUED;

	stall(1, last);
	ck_assert_uint_eq(rig.entered, LANE_THREADS);
	rig_open_gate();
	for (unsigned i = 1; i < last; i++)
		ck_assert_int_eq(remote_end(i), RIG_RESULT);
	ck_assert_uint_eq(rig.entered, LANE_THREADS + QUEUED);
	ck_assert_uint_eq(server_queued(rig.server), 0);
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, 0), RIG_RESULT);
}
END_TEST

/* One place after the other becomes free, so the order is that of arrival. */
START_TEST(a_queue_is_served_first_come_first_served)
{
	unsigned last = 1 + LANE_THREADS + QUEUED;

	stall(1, last);
	for (unsigned n = 0; n < QUEUED; n++) {
		rig_let_pass();
		ck_assert(rig_wait(&rig.entered, LANE_THREADS + n + 1));
		ck_assert_int_eq(rig.order[LANE_THREADS + n], 1 + LANE_THREADS + n);
	}
	rig_open_gate();
	for (unsigned i = 1; i < last; i++)
		ck_assert_int_eq(remote_end(i), RIG_RESULT);
}
END_TEST

START_TEST(another_user_does_not_wait)
{
	unsigned other = 40, last = 1 + LANE_THREADS + QUEUED;
	uint64_t *word = remote_alloc(8);

	remote_fork(0, other);
	ck_assert_int_eq(remote_call(other, SYS_setresuid, NOBODY_UID, NOBODY_UID,
				     NOBODY_UID),
			 0);
	stall(1, last);
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_int_eq(remote_ioctl(other, fd, RIG_RECORD, i), RIG_RESULT);
		ck_assert_int_eq(remote_call(other, SYS_pread64, fd, word, 8, 0), 8);
	}
	ck_assert_uint_eq(rig.uid, NOBODY_UID);
	ck_assert_uint_eq(rig.entered, LANE_THREADS);
	/* What a handler answers at once has no lane. */
	ck_assert_int_eq(remote_call(0, SYS_ftruncate, fd, 0), -EINVAL);
	rig_open_gate();
	for (unsigned i = 1; i < last; i++)
		ck_assert_int_eq(remote_end(i), RIG_RESULT);
}
END_TEST

START_TEST(a_client_killed_in_a_call_is_gone_at_once)
{
	stall(1, 2);
	ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
	remote_kill(1);
	/* But what the call uses is there until it is done. */
	ck_assert_uint_eq(devfs_count(rig.devfs), 1);
	ck_assert(device_is_open(rig.device));
	ck_assert_uint_eq(rig.left, 0);
	rig_open_gate();
	UNTIL(!device_is_open(rig.device));
	UNTIL(devfs_count(rig.devfs) == 0);	/* the file goes after the device */
	ck_assert_uint_eq(rig.left, 1);
}
END_TEST

/* Its memory may be what the calls before it wait for. */
START_TEST(a_client_killed_in_the_queue_is_gone_at_once)
{
	unsigned last = 1 + LANE_THREADS + QUEUED;

	stall(1, last);
	for (unsigned i = 1 + LANE_THREADS; i < last; i++)
		remote_kill(i);
	ck_assert_uint_eq(server_queued(rig.server), 0);
	rig_open_gate();
	for (unsigned i = 1; i < 1 + LANE_THREADS; i++)
		ck_assert_int_eq(remote_end(i), RIG_RESULT);
	/* They were never served. */
	ck_assert_uint_eq(rig.entered, LANE_THREADS);
}
END_TEST

START_TEST(a_client_with_many_groups_dies_as_well)
{
	enum { GROUPS = 2000 };
	gid_t *groups = remote_alloc(GROUPS * sizeof(*groups));

	for (unsigned i = 0; i < GROUPS; i++)
		groups[i] = 100000000 + i;
	remote_fork(0, 1);
	ck_assert_int_eq(remote_call(1, SYS_setgroups, GROUPS, groups), 0);
	remote_begin(1, SYS_ioctl, fd, RIG_STALL, 0);
	ck_assert(rig_wait(&rig.entered, 1));
	remote_kill(1);
}
END_TEST

START_TEST(other_signals_do_not_end_a_call)
{
	stall(1, 2);
	UNTIL(server_stalled(rig.server) == 1);
	for (unsigned i = 0; i < 20; i++) {
		ck_assert_int_eq(kill(remotes.pids[1], SIGUSR1), 0);
		ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, i), RIG_RESULT);
	}
	ck_assert(!remote_is_back(1, 3 * WATCH_STALL_MS));
	rig_open_gate();
	ck_assert_int_eq(remote_end(1), RIG_RESULT);
	ck_assert_uint_eq(rig.entered, 1);
}
END_TEST

/* The watch reads files of /proc: that it cannot says nothing about the client. */
START_TEST(a_call_outlives_a_lack_of_descriptors)
{
	struct rlimit old, none = { 0 };

	stall(1, 2);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none.rlim_max = old.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	/* Several looks of the watch. */
	ck_assert(!remote_is_back(1, 5 * WATCH_STALL_MS));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	rig_open_gate();
	ck_assert_int_eq(remote_end(1), RIG_RESULT);
}
END_TEST

START_TEST(threads_go_when_they_are_not_needed)
{
	unsigned last = 1 + LANE_THREADS;

	stall(1, last);
	ck_assert_uint_ge(rig_threads(), rig.threads + LANE_THREADS);
	rig_open_gate();
	for (unsigned i = 1; i < last; i++)
		ck_assert_int_eq(remote_end(i), RIG_RESULT);
	UNTIL(rig_threads() <= rig.threads + OTHERS + CHANNEL_IDLE_MAX + READERS_PARKED_MAX);
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, 0), RIG_RESULT);
}
END_TEST

START_TEST(a_channel_without_calls_closes_at_once)
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	ck_assert_int_eq(devfs_free(rig.devfs), 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ck_assert_int_lt((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000,
			 WATCH_RELEASE_MS / 2);
	rig.devfs = NULL;
	ck_assert_int_eq(devfs_new(rig.server, rig_ioctl, &rig, NULL, NULL, &rig.devfs,
				   &(struct cused_error){ 0 }), 0);
}
END_TEST

/* The number of our descriptor whose link is this, or -1. */
static int number_of(const char *target)
{
	char path[64], text[64];

	for (int i = 3; i < 1024; i++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", i);
		n = readlink(path, text, sizeof(text) - 1);
		text[n < 0 ? 0 : n] = '\0';
		if (!strcmp(text, target))
			return i;
	}
	return -1;
}

static void is_null(int number)
{
	char path[64], text[64] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", number);
	ck_assert_int_gt(readlink(path, text, sizeof(text) - 1), 0);
	ck_assert_str_eq(text, "/dev/null");
}

static struct devfs *dead;	/* never freed, as the header says; static: it is no leak */

START_TEST(a_channel_closes_over_a_stalled_call)
{
	int number = number_of("/dev/fuse");
	struct timespec a, b;

	dead = rig.devfs;
	ck_assert_int_ge(number, 0);
	stall(1, 2);
	clock_gettime(CLOCK_MONOTONIC, &a);
	ck_assert_int_eq(devfs_free(rig.devfs), -EBUSY);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ck_assert_int_lt((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000,
			 2 * WATCH_RELEASE_MS);
	/* The client is free, and the number is nobody else's. */
	ck_assert_int_eq(remote_end(1), -ECONNABORTED);
	ck_assert_int_eq(remote_ioctl(1, fd, RIG_RECORD, 0), -ENOTCONN);
	is_null(number);
	ck_assert_uint_eq(rig.left, 0);
	rig_open_gate();
	ck_assert(rig_wait(&rig.left, 1));
	/* The thread ends, with its answer, which goes nowhere. */
	UNTIL(rig_threads() == rig.threads + OTHERS);
	is_null(number);
	/* Nobody releases what the dead file system has: that is the price. */
	ck_assert_uint_eq(devfs_count(dead), 1);
	ck_assert_int_eq(devfs_new(rig.server, rig_ioctl, &rig, NULL, NULL, &rig.devfs,
				   &(struct cused_error){ 0 }), 0);
	remotes_done();
	ck_assert_int_eq(devfs_free(rig.devfs), 0);
	server_free(rig.server);
	UNTIL(rig_threads() == rig.threads + OTHERS - 1);
}
END_TEST

/* No thread is started for calls that are answered at once, and one is for those that are not:
 * whoever stalls is replaced by the watch. */
START_TEST(one_reader_is_enough)
{
	unsigned threads;

	ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, 0), RIG_RESULT);
	UNTIL(server_stalled(rig.server) == 0);
	threads = rig_threads();
	for (unsigned i = 0; i < 200; i++)
		ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, i), RIG_RESULT);
	ck_assert_uint_le(rig_threads(), threads + 1);	/* a busy machine is slow for once */
	stall(1, 3);
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, 0), RIG_RESULT);
	ck_assert_uint_ge(rig_threads(), threads + 2);
	rig_open_gate();
	for (unsigned i = 1; i < 3; i++)
		ck_assert_int_eq(remote_end(i), RIG_RESULT);
}
END_TEST

/* Slow calls, one after the other, make a channel wary, for a while. */
START_TEST(slow_calls_make_a_channel_wary)
{
	remote_fork(0, 1);
	for (unsigned i = 0; !server_wary(rig.server); i++) {
		ck_assert_uint_lt(i, 100);
		remote_begin(1, SYS_ioctl, fd, RIG_STALL, i);
		ck_assert(rig_wait(&rig.entered, i + 1));
		UNTIL(server_stalled(rig.server) == 1);
		rig_let_pass();
		ck_assert_int_eq(remote_end(1), RIG_RESULT);
	}
	UNTIL(remote_ioctl(0, fd, RIG_RECORD, 0) == RIG_RESULT && !server_wary(rig.server));
}
END_TEST

START_TEST(a_lone_channel_is_never_wary)
{
	remote_fork(0, 1);
	for (unsigned i = 0; i < 20; i++) {
		remote_begin(1, SYS_ioctl, fd, RIG_STALL, i);
		ck_assert(rig_wait(&rig.entered, i + 1));
		UNTIL(server_stalled(rig.server) == 1);
		ck_assert_uint_eq(server_wary(rig.server), 0);
		rig_let_pass();
		ck_assert_int_eq(remote_end(1), RIG_RESULT);
	}
}
END_TEST

/* Two clients in turn: their reader waits awake, and none of their calls is lost by that. */
START_TEST(clients_in_turn_are_served)
{
	remote_fork(0, 1);
	for (unsigned i = 0; i < 500; i++) {
		remote_begin(1, SYS_ioctl, fd, RIG_RECORD, i);
		ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, i), RIG_RESULT);
		ck_assert_int_eq(remote_end(1), RIG_RESULT);
	}
}
END_TEST

/* The highest number of a thread of ours. */
static long newest_thread(void)
{
	DIR *dir = opendir("/proc/self/task");
	long newest = 0;

	ck_assert_ptr_ne(dir, NULL);
	for (struct dirent *e; (e = readdir(dir));) {
		if (atol(e->d_name) > newest)
			newest = atol(e->d_name);
	}
	closedir(dir);
	return newest;
}

/* The thread that a waiting call has needed serves the next one that waits. */
START_TEST(a_reader_is_parked)
{
	unsigned started = 0;
	long newest = 0;

	remote_fork(0, 1);
	for (unsigned i = 0; i < 20; i++) {
		remote_begin(1, SYS_ioctl, fd, RIG_STALL, i);
		ck_assert(rig_wait(&rig.entered, i + 1));
		ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, 0), RIG_RESULT);
		started += newest_thread() > newest;
		newest = newest_thread();
		rig_let_pass();
		ck_assert_int_eq(remote_end(1), RIG_RESULT);
	}
	ck_assert_uint_le(started, 4);	/* the second, and some of a busy machine */
}
END_TEST

/* With several readers at the ready, and with one, as where there is one CPU. */
static TCase *cases(const char *name, SFun up)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 100);
	tcase_add_checked_fixture(tc, up, teardown);
	tcase_add_test(tc, a_stalled_call_delays_nobody);
	tcase_add_test(tc, calls_of_one_user_queue_up_in_order);
	tcase_add_test(tc, a_queue_is_served_first_come_first_served);
	tcase_add_test(tc, another_user_does_not_wait);
	tcase_add_test(tc, a_client_killed_in_a_call_is_gone_at_once);
	tcase_add_test(tc, a_client_killed_in_the_queue_is_gone_at_once);
	tcase_add_test(tc, a_client_with_many_groups_dies_as_well);
	tcase_add_test(tc, other_signals_do_not_end_a_call);
	tcase_add_test(tc, a_call_outlives_a_lack_of_descriptors);
	tcase_add_test(tc, threads_go_when_they_are_not_needed);
	tcase_add_test(tc, a_channel_without_calls_closes_at_once);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("server");
	TCase *end = tcase_create("end"), *all = cases("all", setup);
	TCase *lone = cases("lone", setup_lone);
	SRunner *runner;
	int failed;

	if (!rig_is_possible())
		return 77;
	tcase_add_test(all, slow_calls_make_a_channel_wary);
	tcase_add_test(all, clients_in_turn_are_served);
	suite_add_tcase(suite, all);
	tcase_add_test(lone, one_reader_is_enough);
	tcase_add_test(lone, a_lone_channel_is_never_wary);
	tcase_add_test(lone, a_reader_is_parked);
	suite_add_tcase(suite, lone);
	tcase_set_timeout(end, 100);
	tcase_add_checked_fixture(end, setup, NULL);
	tcase_add_test(end, a_channel_closes_over_a_stalled_call);
	suite_add_tcase(suite, end);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
