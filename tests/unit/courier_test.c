/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/courier_test.c - transport/courier.c with clients of all kinds, in real calls. */
#include <unit/courier_rig.h>

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#define CLIENT(...) ((const char *[]){ COURIER_CLIENT, __VA_ARGS__, NULL })

static struct rig rig;

static void setup(void)
{
	ck_assert_int_eq(rig_open(&rig), 0);
}

static void teardown(void)
{
	rig_close(&rig);
}

/* ---- what is delivered ---- */

START_TEST(the_lowest_number_and_nothing_else)
{
	rig_run(&rig, CLIENT("once", "0"));
	rig.cloexec = true;
	rig_run(&rig, CLIENT("once", "1"));
	ck_assert_uint_eq(rig.delivered, 4);
	ck_assert_uint_eq(rig.failed, 0);
}
END_TEST

static int by_size(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

START_TEST(again_and_again)
{
	int64_t times[500];

	rig.times = times;
	rig_run(&rig, CLIENT("many", "500"));
	ck_assert_uint_eq(rig.n_times, 500);
	qsort(times, rig.n_times, sizeof(times[0]), by_size);
	printf("a delivery takes %.1f us (median of %zu; a tenth of them over %.1f)\n",
	       (double)times[rig.n_times / 2] / 1e3, rig.n_times,
	       (double)times[rig.n_times * 9 / 10] / 1e3);
}
END_TEST

START_TEST(many_threads)
{
	rig_run(&rig, CLIENT("threads", "8", "60"));
	ck_assert_uint_eq(rig.delivered, 8 * 60);
	ck_assert_uint_eq(rig.failed, 0);
}
END_TEST

START_TEST(registers_are_as_before)
{
#ifdef __x86_64__
	rig_run(&rig, CLIENT("registers", "0"));
	ck_assert_uint_eq(rig.delivered, 1);
#endif
}
END_TEST

/* The kernel may have no 32-bit calls. */
static bool has_int80(void)
{
	int status = rig_serve(&rig, rig_start(&rig, CLIENT("int80")));

	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

START_TEST(a_32_bit_call_of_a_64_bit_client)
{
#ifdef __x86_64__
	if (!has_int80())
		return;
	rig_run(&rig, CLIENT("registers", "1"));
	ck_assert_uint_eq(rig.delivered, 1);
#endif
}
END_TEST

START_TEST(a_32_bit_client)
{
	/* Not there if the compiler knows no such programs. */
	if (access(COURIER_CLIENT32, X_OK) || !has_int80())
		return;
	rig_run(&rig, (const char *[]){ COURIER_CLIENT32, NULL });
	ck_assert_uint_eq(rig.delivered, 2);
}
END_TEST

/* The same ioctl by its 64-bit and its 32-bit number: the second is none of a 64-bit program's. */
#define GETFLAGS_64 0x80086601u
#define GETFLAGS_32 0x80046601u

static int works;			/* that were begun before this courier was made */

static void count_works(struct rig *of, pid_t courier)
{
	works++;
}

/* Return: 4, then 5, as the client expects. */
static int ask_wide(struct courier *courier, void *arg)
{
	uint64_t flags = UINT64_MAX, other = UINT64_MAX;
	int fd = memfd_create("asked", MFD_CLOEXEC), result = 1, none = 0, r;

	r = courier_ioctl(courier, fd, GETFLAGS_64, &flags, sizeof(flags), 2000, &result);
	if (r == 0)
		r = courier_ioctl(courier, fd, GETFLAGS_32, &other, sizeof(other), 2000, &none);
	close(fd);
	if (r)
		return r;
	return result || (uint32_t)flags || none != -ENOTTY || other != UINT64_MAX ? -EBADMSG :
										     4 + works;
}

START_TEST(a_32_bit_client_makes_64_bit_ioctls)
{
#ifdef __x86_64__
	if (access(COURIER_CLIENT32, X_OK) || !has_int80())
		return;
	rig.work = ask_wide;
	rig.on_ioctl = count_works;
	works = 0;
	rig_run(&rig, (const char *[]){ COURIER_CLIENT32, "work", NULL });
	ck_assert_uint_eq(rig.delivered, 2);
#endif
}
END_TEST

/* ---- a call that is made again ---- */

static int again(struct courier *courier, void *arg)
{
	return COURIER_AGAIN;
}

static void then_deliver(struct rig *of, pid_t courier)
{
	of->work = NULL;
}

/* The client sees one call, with the registers that it gave it. */
START_TEST(a_call_is_made_again)
{
#ifdef __x86_64__
	static const char *const kinds[] = { "0", "1" };

	for (int i = 0; i < (has_int80() ? 2 : 1); i++) {
		rig.delivered = rig.failed = 0;
		rig.work = again;
		rig.on_ioctl = then_deliver;
		rig_run(&rig, CLIENT("registers", kinds[i]));
		ck_assert_uint_eq(rig.delivered, 1);
		ck_assert_uint_eq(rig.failed, 1);
	}
#endif
}
END_TEST

static int again_or_value(struct courier *courier, void *arg)
{
	return works % 2 ? 4 + works / 2 : COURIER_AGAIN;
}

START_TEST(calls_of_a_32_bit_client_are_made_again)
{
#ifdef __x86_64__
	if (access(COURIER_CLIENT32, X_OK) || !has_int80())
		return;
	rig.work = again_or_value;
	rig.on_ioctl = count_works;
	works = 0;
	rig_run(&rig, (const char *[]){ COURIER_CLIENT32, "work", NULL });
	ck_assert_uint_eq(rig.delivered, 2);
	ck_assert_uint_eq(rig.failed, 2);
#endif
}
END_TEST

/* ---- signals, stops, deaths ---- */

START_TEST(no_signal_is_lost_or_early)
{
	rig_run(&rig, CLIENT("signals", "300"));
	ck_assert_uint_eq(rig.delivered, 300);
	ck_assert_uint_eq(rig.failed, 0);
}
END_TEST

/*
 * A parent of the client which stops it and lets it go on, again and again. Each stop has
 * to come to pass (it waits for it), and so has each continuation.
 */
static void stopper(void)
{
	const struct itimerspec each = { { 0, 700000 }, { 0, 700000 } };
	int clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), started[2], status;
	unsigned stops = 0;
	uint64_t ticks;
	pid_t client;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pipe2(started, O_CLOEXEC))
		_exit(4);
	client = fork();
	if (client == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		rig_exec(&rig, CLIENT("many", "400"));
	}
	/* The kernel forgets a SIGSTOP during exec if there are threads, and a sanitizer's
	 * there may be. */
	close(started[1]);
	if (read(started[0], &ticks, 1) != 0)
		_exit(4);
	timerfd_settime(clock, 0, &each, NULL);
	for (;;) {
		if (read(clock, &ticks, sizeof(ticks)) != sizeof(ticks))
			_exit(4);
		kill(client, SIGSTOP);
		if (waitpid(client, &status, WUNTRACED) != client)
			_exit(5);
		if (WIFEXITED(status))
			_exit(WEXITSTATUS(status) ? 6 : stops < 20 ? 7 : 0);
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP)
			_exit(8);
		stops++;
		kill(client, SIGCONT);
	}
}

START_TEST(stops_stop_and_continuations_continue)
{
	pid_t pid = fork();

	if (pid == 0)
		stopper();
	ck_assert_int_eq(rig_serve(&rig, pid), 0);
	ck_assert_uint_eq(rig.delivered, 400);
	ck_assert_uint_eq(rig.failed, 0);
}
END_TEST

/* Each as random as the next, and the same in each run. */
static unsigned next_random(void)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33);
}

static unsigned kill_within_us;

static void spin(int64_t ns)
{
	int64_t end = rig_now() + ns;

	while (rig_now() < end)
		;
}

static void kill_soon(struct rig *r, pid_t courier)
{
	spin(next_random() % kill_within_us * 1000);
	kill(r->client, SIGKILL);
}

/* Has everybody closed the writing end but us? */
static void check_closed(int reading, int writing)
{
	struct pollfd p = { reading, POLLIN, 0 };

	close(writing);
	ck_assert_int_eq(poll(&p, 1, 10000), 1);
	ck_assert_int_eq(p.revents, POLLHUP);
	close(reading);
}

START_TEST(a_client_that_is_killed_leaves_nothing)
{
	unsigned gone = 0;

	rig.on_ioctl = kill_soon;
	for (int i = 0; i < 100; i++) {
		int ends[2], status;

		/* Up to some way beyond the end of a delivery. */
		kill_within_us = rig.last.ns && i % 2 ? (unsigned)(rig.last.ns / 500) + 1 : 1500;
		ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
		rig.deliver = ends[1];
		status = rig_serve(&rig, rig_start(&rig, CLIENT("call")));
		ck_assert(WIFSIGNALED(status) || WIFEXITED(status));
		if (rig.last.result < 0) {
			ck_assert_int_eq(rig.last.result, -ESRCH);
			gone++;
		}
		ck_assert_int_lt(rig.last.ns, 5000000000ll);
		check_closed(ends[0], ends[1]);
	}
	printf("of 100 couriers %u lost their clients\n", gone);
	ck_assert_uint_gt(gone, 5);
}
END_TEST

/* The program of the client is replaced while the courier attaches or is at work. */
START_TEST(an_exec_meanwhile)
{
	char us[16];

#ifdef __SANITIZE_THREAD__
	/* It runs no handler during a call that it does not know, and a handler it is that
	 * ends the wait for an exec. */
	return;
#endif
	rig.deadline_ms = 100;
	for (int i = 0; i < 40; i++) {
		snprintf(us, sizeof(us), "%u", 500 + next_random() % 2000);
		rig.last = (struct rig_report){ 0 };
		rig_run(&rig, CLIENT("exec", us));
		/* It was in time, or it waited for the exec in vain, or lost the thread. */
		ck_assert(rig.last.result == -ESRCH || rig.last.result >= 0 ||
			  (rig.last.result == -ETIMEDOUT && !rig.last.armed));
		ck_assert_int_lt(rig.last.ns, 5000000000ll);
	}
	printf("of %u couriers %u met an exec\n", rig.delivered + rig.failed, rig.failed);
	ck_assert_uint_gt(rig.failed, 5);
}
END_TEST

/* ---- limits and rights ---- */

/* May we raise limits of others? */
static bool can_raise(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	return syscall(SYS_capget, &header, data) == 0 &&
	       data[0].effective & 1u << CAP_SYS_RESOURCE;
}

START_TEST(one_free_number_is_enough)
{
	char error[16];

	snprintf(error, sizeof(error), "%d", can_raise() ? 0 : EMFILE);
	rig_run(&rig, CLIENT("limit", "2", "1", "0"));
	rig_run(&rig, CLIENT("limit", "1", "0", "0"));
	rig_run(&rig, CLIENT("limit", "1", "1", error));
}
END_TEST

START_TEST(no_free_number_is_emfile)
{
	char error[16];

	snprintf(error, sizeof(error), "%d", EMFILE);
	rig_run(&rig, CLIENT("limit", "0", "0", error));
	ck_assert_int_eq(rig.last.result, -EMFILE);
	rig_run(&rig, CLIENT("limit", "0", "1", error));
	ck_assert_int_eq(rig.last.result, -EMFILE);
}
END_TEST

START_TEST(a_client_that_may_map_nothing)
{
	rig_run(&rig, CLIENT("no-memory"));
	ck_assert_uint_eq(rig.delivered, 1);
}
END_TEST

START_TEST(a_filter_that_would_kill)
{
	rig_run(&rig, CLIENT("seccomp"));
	ck_assert_uint_eq(rig.delivered, 3);
}
END_TEST

START_TEST(a_client_of_another_user)
{
	if (geteuid())
		return;
	rig_run(&rig, CLIENT("other-user"));
	ck_assert_uint_eq(rig.delivered, 3);
}
END_TEST

/* A courier under a filter may not suspend those of others. */
static void under_filter(pid_t tid)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { 1, code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(1);
}

START_TEST(a_filter_that_cannot_be_suspended)
{
	char error[16];

	rig.in_courier = under_filter;
	snprintf(error, sizeof(error), "%d", RIG_ERROR);
	rig_run(&rig, CLIENT("seccomp-fails", error));
	ck_assert_int_eq(rig.last.result, -EPERM);
	ck_assert(!rig.last.armed);
	/* Without filter there is nothing to suspend. */
	rig_run(&rig, CLIENT("many", "3"));
	ck_assert_uint_eq(rig.delivered, 3);
}
END_TEST

static void under_debugger(pid_t tid)
{
	int ready[2];
	char byte;

	if (pipe(ready))
		_exit(1);
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ptrace(PTRACE_SEIZE, tid, 0, 0))
			_exit(1);
		close(ready[0]);
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		_exit(1);
	close(ready[0]);
}

START_TEST(a_client_with_a_debugger)
{
	char error[16];

	rig.in_courier = under_debugger;
	snprintf(error, sizeof(error), "%d", RIG_ERROR);
	rig_run(&rig, CLIENT("fails", error));
	ck_assert_int_eq(rig.last.result, -EPERM);
	ck_assert(!rig.last.armed);
}
END_TEST

/* ---- what goes wrong ---- */

START_TEST(a_call_that_is_not_answered_in_time)
{
	char error[16];

	rig.armed = RIG_SILENT;
	rig.deadline_ms = 50;
	snprintf(error, sizeof(error), "%d", RIG_ERROR);
	/* The answer comes when the courier has gone. */
	rig_run(&rig, CLIENT("fails", error));
	ck_assert_int_eq(rig.last.result, -ETIMEDOUT);
	ck_assert_int_ge(rig.last.ns, 50000000);
	ck_assert_int_lt(rig.last.ns, 5000000000ll);
}
END_TEST

START_TEST(the_daemon_may_think_better_of_it)
{
	char error[16];

	rig.armed = RIG_GIVE_UP;
	snprintf(error, sizeof(error), "%d", RIG_ERROR);
	rig_run(&rig, CLIENT("fails", error));
	ck_assert_int_eq(rig.last.result, -ECANCELED);
}
END_TEST

/*
 * What the courier learns of its client by, which can be made to be late: nothing is heard
 * after @stall_after stops, until the deadline has passed.
 */
#define STALL_MS 200
static int stall_after = -1, stall_more_ms = 5;
static int64_t stall_end;
static bool stalled;
pid_t __real_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);

pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
	if (!(options & WNOHANG) || stall_after < 0)
		return __real_waitpid(pid, status, options);
	if (stall_after == 0 && !stalled) {
		if (!stall_end)
			stall_end = rig_now() + (STALL_MS + stall_more_ms) * 1000000ll;
		/* Nothing yet: then the clock is looked at. */
		stalled = rig_now() >= stall_end;
		return 0;
	}
	pid = __real_waitpid(pid, status, options);
	if (pid > 0)
		stall_after--;
	return pid;
}

static int next_stall;

static void stall(pid_t tid)
{
	stall_after = next_stall;
}

static void count_stalls(struct rig *r, pid_t courier)
{
	next_stall++;
}

/* The deadline passes before each step in turn. */
START_TEST(a_deadline_in_the_middle_undoes_all)
{
	rig.deadline_ms = STALL_MS;
	rig.in_courier = stall;
	rig.on_ioctl = count_stalls;
	/* 13 stops: the first, and two for each of six calls. Once the fd is there and all
	 * is closed, it stays. */
	rig_run(&rig, CLIENT("late", "14"));
	ck_assert_uint_eq(rig.delivered, 3);
	ck_assert_uint_eq(rig.failed, 11);
}
END_TEST

/* A thread that is not heard of for long, as on a machine that has no time for it, is not let go
 * in the middle of a call of ours: it would have that call's result for its ioctl's. */
START_TEST(a_thread_that_is_very_late_is_not_harmed)
{
	rig.deadline_ms = STALL_MS;
	rig.in_courier = stall;
	stall_more_ms = 3000;
	next_stall = 3;			/* on the way into the second call */
	rig_run(&rig, CLIENT("late", "1"));
	ck_assert_uint_eq(rig.failed, 1);
	ck_assert_int_eq(rig.last.result, -ETIMEDOUT);
}
END_TEST

/* Other threads close what the courier opens, and put other files there. */
START_TEST(a_client_that_plays_tricks)
{
	rig_run(&rig, CLIENT("tricks", "200"));
	ck_assert_uint_eq(rig.delivered + rig.failed, 200);
	printf("of 200 couriers %u were tricked\n", rig.failed);
}
END_TEST

static int armed_for_nothing(void *arg)
{
	return 0;
}

/* A thread that is in another call, or in none. */
START_TEST(a_client_that_is_not_in_an_ioctl)
{
	struct courier_job job = { .fd = 1, .deadline_ms = 10000, .armed = armed_for_nothing };
	int go[2], status, r;
	char byte;

	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	job.tid = fork();
	if (job.tid == 0) {
		close(go[1]);
		/* Is interrupted, and has to go on. */
		_exit(read(go[0], &byte, 1) == 1 && byte == 'g' ? 0 : 1);
	}
	r = courier_deliver(&job);
	ck_assert_int_eq(r, -EIO);
	ck_assert_int_eq(write(go[1], "g", 1), 1);
	ck_assert_int_eq(waitpid(job.tid, &status, 0), job.tid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(courier_deliver(&job), -ESRCH);
	close(go[0]);
	close(go[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("courier");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed, r;

	r = rig_open(&rig);
	if (r) {
		printf("skip (host): no FUSE file can be made here: %s\n", strerror(r));
		return 77;
	}
	rig_close(&rig);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 110);
	tcase_add_test(tc, the_lowest_number_and_nothing_else);
	tcase_add_test(tc, again_and_again);
	tcase_add_test(tc, many_threads);
	tcase_add_test(tc, registers_are_as_before);
	tcase_add_test(tc, a_32_bit_call_of_a_64_bit_client);
	tcase_add_test(tc, a_32_bit_client);
	tcase_add_test(tc, a_32_bit_client_makes_64_bit_ioctls);
	tcase_add_test(tc, a_call_is_made_again);
	tcase_add_test(tc, calls_of_a_32_bit_client_are_made_again);
	tcase_add_test(tc, no_signal_is_lost_or_early);
	tcase_add_test(tc, stops_stop_and_continuations_continue);
	tcase_add_test(tc, a_client_that_is_killed_leaves_nothing);
	tcase_add_test(tc, an_exec_meanwhile);
	tcase_add_test(tc, one_free_number_is_enough);
	tcase_add_test(tc, no_free_number_is_emfile);
	tcase_add_test(tc, a_client_that_may_map_nothing);
	tcase_add_test(tc, a_client_of_another_user);
	tcase_add_test(tc, a_filter_that_would_kill);
	tcase_add_test(tc, a_filter_that_cannot_be_suspended);
	tcase_add_test(tc, a_client_with_a_debugger);
	tcase_add_test(tc, a_call_that_is_not_answered_in_time);
	tcase_add_test(tc, the_daemon_may_think_better_of_it);
	tcase_add_test(tc, a_deadline_in_the_middle_undoes_all);
	tcase_add_test(tc, a_thread_that_is_very_late_is_not_harmed);
	tcase_add_test(tc, a_client_that_plays_tricks);
	tcase_add_test(tc, a_client_that_is_not_in_an_ioctl);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
