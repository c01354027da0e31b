/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serve_lock_is_followed(): how an agent tells a service that is killed and comes again from one
 * that is gone. */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <serve_internal.h>
#include <transport/thread.h>

static char path[] = "/tmp/cused-lock-XXXXXX";
static int lock = -1;			/* of the service */

static void setup(void)
{
	int fd;

	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	close(fd);
	lock = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(lock, 0);
}

static void teardown(void)
{
	close(lock);
	unlink(path);
}

static uint64_t ms_since(uint64_t begin)
{
	return (thread_now_ns() - begin) / 1000000;
}

START_TEST(nobody_comes)
{
	uint64_t begin = thread_now_ns();

	ck_assert(!serve_lock_is_followed(path, 0, 3 * LOCK_PAUSE_MS));
	ck_assert_uint_ge(ms_since(begin), 3 * LOCK_PAUSE_MS);
	/* And the lock is left alone. */
	ck_assert_int_eq(flock(lock, LOCK_EX | LOCK_NB), 0);
}
END_TEST

START_TEST(another_is_there)
{
	ck_assert_int_eq(flock(lock, LOCK_EX | LOCK_NB), 0);
	ck_assert(serve_lock_is_followed(path, 2 * LOCK_PAUSE_MS, 1000 * LOCK_PAUSE_MS));
}
END_TEST

static void *goes(void *arg)
{
	/* Soon, but not before it was looked at. */
	poll(NULL, 0, 3 * LOCK_PAUSE_MS / 2);
	flock(lock, LOCK_UN);
	return NULL;
}

/* The old one's lock is none that counts. */
START_TEST(the_old_one_is_slow_to_go)
{
	pthread_t thread;

	ck_assert_int_eq(flock(lock, LOCK_EX | LOCK_NB), 0);
	pthread_create(&thread, NULL, goes, NULL);
	ck_assert(!serve_lock_is_followed(path, 20 * LOCK_PAUSE_MS, 22 * LOCK_PAUSE_MS));
	pthread_join(thread, NULL);
}
END_TEST

static void *comes(void *arg)
{
	poll(NULL, 0, 3 * LOCK_PAUSE_MS / 2);
	/* Who looks has it for a moment. */
	while (flock(lock, LOCK_EX | LOCK_NB))
		poll(NULL, 0, 1);
	return NULL;
}

START_TEST(another_comes_late)
{
	pthread_t thread;

	pthread_create(&thread, NULL, comes, NULL);
	ck_assert(serve_lock_is_followed(path, 0, 1000 * LOCK_PAUSE_MS));
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(there_is_no_lock)
{
	ck_assert(!serve_lock_is_followed("/nonexistent/lock", 0, 1000 * LOCK_PAUSE_MS));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("serve_lock");
	TCase *tc = tcase_create("serve_lock");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nobody_comes);
	tcase_add_test(tc, another_is_there);
	tcase_add_test(tc, the_old_one_is_slow_to_go);
	tcase_add_test(tc, another_comes_late);
	tcase_add_test(tc, there_is_no_lock);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
