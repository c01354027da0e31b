/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/guard_test.c - copies survive a file that is truncated under them. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <util/guard.h>

#define PAGE 4096

static int file;
static char *map;

static void setup(void)
{
	file = memfd_create("guard", MFD_CLOEXEC);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(ftruncate(file, 4 * PAGE), 0);
	map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
}

static void teardown(void)
{
	munmap(map, 4 * PAGE);
	close(file);
}

START_TEST(copies_when_nothing_happens)
{
	char buf[2 * PAGE];

	memset(buf, 7, sizeof(buf));
	ck_assert_int_eq(guard_copy(map + 100, buf, sizeof(buf)), 0);
	memset(buf, 0, sizeof(buf));
	ck_assert_int_eq(guard_copy(buf, map + 100, sizeof(buf)), 0);
	ck_assert_int_eq(buf[0], 7);
	ck_assert_int_eq(buf[sizeof(buf) - 1], 7);
	ck_assert_int_eq(guard_copy(map, buf, 0), 0);
}
END_TEST

START_TEST(a_truncated_file_is_a_fault_on_either_side)
{
	char buf[2 * PAGE] = { 0 };
	sigset_t mask;

	ck_assert_int_eq(ftruncate(file, PAGE), 0);
	for (int i = 0; i < 3; i++) {	/* the handler stays good */
		ck_assert_int_eq(guard_copy(map, buf, sizeof(buf)), -EFAULT);
		ck_assert_int_eq(guard_copy(buf, map + PAGE, PAGE), -EFAULT);
		ck_assert_int_eq(guard_copy(buf, map + 2 * PAGE - 3, 2), -EFAULT);
	}
	ck_assert_int_eq(guard_copy(buf, map, PAGE), 0);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
	ck_assert(!sigismember(&mask, SIGBUS));
}
END_TEST

static void *fault_often(void *arg)
{
	char buf[PAGE];

	for (int i = 0; i < 200; i++)
		if (guard_copy(buf, map + 2 * PAGE, PAGE) != -EFAULT ||
		    guard_copy(buf, map, PAGE) != 0)
			return (void *)1;
	return NULL;
}

START_TEST(threads_fault_by_themselves)
{
	pthread_t threads[4];
	void *r;

	ck_assert_int_eq(ftruncate(file, PAGE), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, fault_often, NULL), 0);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &r), 0);
		ck_assert_ptr_null(r);
	}
}
END_TEST

static void previous(int sig, siginfo_t *info, void *context)
{
	_exit(info->si_addr == map + 3 * PAGE ? 42 : 43);
}

/* A fault outside of a copy goes to whoever was there before. */
START_TEST(other_faults_reach_the_handler_before)
{
	struct sigaction sa = { .sa_sigaction = previous, .sa_flags = SA_SIGINFO };
	char buf[PAGE];

	ck_assert_int_eq(sigaction(SIGBUS, &sa, NULL), 0);
	ck_assert_int_eq(ftruncate(file, PAGE), 0);
	ck_assert_int_eq(guard_copy(buf, map + PAGE, PAGE), -EFAULT);
	*(volatile char *)(map + 3 * PAGE);
	ck_abort_msg("the fault was lost");
}
END_TEST

START_TEST(other_faults_kill_by_default)
{
	struct rlimit none = { 0, 0 };
	char buf[PAGE];

	setrlimit(RLIMIT_CORE, &none);
	signal(SIGBUS, SIG_DFL);	/* a sanitizer may have one of its own */
	ck_assert_int_eq(ftruncate(file, PAGE), 0);
	ck_assert_int_eq(guard_copy(buf, map + PAGE, PAGE), -EFAULT);
	*(volatile char *)(map + 3 * PAGE);
	ck_abort_msg("the fault was lost");
}
END_TEST

START_TEST(a_sent_signal_kills_too)
{
	struct rlimit none = { 0, 0 };
	char buf[1], from[1] = { 1 };

	setrlimit(RLIMIT_CORE, &none);
	signal(SIGBUS, SIG_DFL);
	ck_assert_int_eq(guard_copy(buf, from, 1), 0);
	raise(SIGBUS);
	ck_abort_msg("the signal was lost");
}
END_TEST

static volatile sig_atomic_t plain_seen;

static void plain(int sig)
{
	plain_seen++;
}

START_TEST(a_sent_signal_reaches_a_plain_handler)
{
	char buf[1], from[1] = { 1 };

	signal(SIGBUS, plain);
	ck_assert_int_eq(guard_copy(buf, from, 1), 0);
	raise(SIGBUS);
	ck_assert_int_eq(plain_seen, 1);
}
END_TEST

START_TEST(an_ignored_signal_stays_ignored)
{
	char buf[1], from[1] = { 1 };

	signal(SIGBUS, SIG_IGN);
	ck_assert_int_eq(guard_copy(buf, from, 1), 0);
	raise(SIGBUS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guard");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, copies_when_nothing_happens);
	tcase_add_test(tc, a_truncated_file_is_a_fault_on_either_side);
	tcase_add_test(tc, threads_fault_by_themselves);
	tcase_add_exit_test(tc, other_faults_reach_the_handler_before, 42);
	tcase_add_test_raise_signal(tc, other_faults_kill_by_default, SIGBUS);
	tcase_add_test_raise_signal(tc, a_sent_signal_kills_too, SIGBUS);
	tcase_add_test(tc, a_sent_signal_reaches_a_plain_handler);
	tcase_add_test(tc, an_ignored_signal_stays_ignored);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
