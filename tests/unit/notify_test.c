/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notify.c, with a socket in the place of the service manager's. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <notify.h>
#include <unit/notify_rig.h>

#define NS_PER_MS 1000000ull

static int manager = -1;

static void setup(void)
{
	manager = notify_rig_open(SOCK_NONBLOCK);
}

static void teardown(void)
{
	close(manager);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

/* What the manager was told; "": nothing. */
static const char *told(void)
{
	static char text[512];
	ssize_t n = recv(manager, text, sizeof(text) - 1, 0);

	if (n < 0)
		ck_assert_int_eq(errno, EAGAIN);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

START_TEST(each_state_and_its_line)
{
	unsigned long long us;
	char rest[64];

	notify_state(NOTIFY_READY, "2 groups");
	ck_assert_str_eq(told(), "READY=1\nSTATUS=2 groups");
	notify_state(NOTIFY_READY, NULL);
	ck_assert_str_eq(told(), "READY=1");
	notify_state(NOTIFY_STOPPING, "stopping");
	ck_assert_str_eq(told(), "STOPPING=1\nSTATUS=stopping");
	notify_state(NOTIFY_RELOADING, NULL);
	ck_assert_int_eq(sscanf(told(), "RELOADING=1\nMONOTONIC_USEC=%llu%63s", &us, rest), 1);
	ck_assert_uint_gt(us, 0);
}
END_TEST

START_TEST(nobody_listens)
{
	unsetenv("NOTIFY_SOCKET");
	notify_state(NOTIFY_READY, "2 groups");
	ck_assert_str_eq(told(), "");
}
END_TEST

START_TEST(no_watchdog_no_sign_of_life)
{
	struct notify_watchdog watchdog;

	notify_watchdog_init(&watchdog, 1000);
	ck_assert_int_eq(notify_watchdog_feed(&watchdog, 1000), -1);
	ck_assert_str_eq(told(), "");
}
END_TEST

START_TEST(a_watchdog_of_another_process)
{
	struct notify_watchdog watchdog;

	setenv("WATCHDOG_USEC", "20000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	notify_watchdog_init(&watchdog, 1000);
	ck_assert_int_eq(notify_watchdog_feed(&watchdog, 1000), -1);
	ck_assert_str_eq(told(), "");
}
END_TEST

/* 20 ms are wanted, so there is one each 10 ms, at once first, and none between. */
START_TEST(a_sign_of_life_at_half_of_the_time)
{
	struct notify_watchdog watchdog;

	setenv("WATCHDOG_USEC", "20000", 1);
	notify_watchdog_init(&watchdog, 1000);
	ck_assert_int_eq(notify_watchdog_feed(&watchdog, 1000), 10);
	ck_assert_str_eq(told(), "WATCHDOG=1");
	ck_assert_int_eq(notify_watchdog_feed(&watchdog, 1000 + 10 * NS_PER_MS - 1), 1);
	ck_assert_str_eq(told(), "");
	ck_assert_int_eq(notify_watchdog_feed(&watchdog, 1000 + 10 * NS_PER_MS), 10);
	ck_assert_str_eq(told(), "WATCHDOG=1");
	/* After a long time there is one, not all that were missed. */
	ck_assert_int_eq(notify_watchdog_feed(&watchdog, 1000 + 95 * NS_PER_MS), 10);
	ck_assert_str_eq(told(), "WATCHDOG=1");
	ck_assert_str_eq(told(), "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notify");
	TCase *tc = tcase_create("notify");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, each_state_and_its_line);
	tcase_add_test(tc, nobody_listens);
	tcase_add_test(tc, no_watchdog_no_sign_of_life);
	tcase_add_test(tc, a_watchdog_of_another_process);
	tcase_add_test(tc, a_sign_of_life_at_half_of_the_time);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
