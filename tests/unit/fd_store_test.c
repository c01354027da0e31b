/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fd_store.c, with a socket in the place of the service manager's, and descriptors that it would
 * have passed. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fd_store.h>
#include <transport/fd_message.h>
#include <unit/insist.h>
#include <unit/notify_rig.h>

static int manager = -1;
static struct fd_store *store;
static struct fd_keep *files;
static struct keep *keep;

static void setup(void)
{
	manager = notify_rig_open(0);
	ck_assert_int_eq(keep_new(&keep), 0);
}

static void teardown(void)
{
	fd_store_free(store);
	store = NULL;
	keep_free(keep);
	close(manager);
	unsetenv("NOTIFY_SOCKET");
}

static void store_begin(unsigned max)
{
	ck_assert_int_eq(fd_store_new(max, &store), 0);
	fd_store_set_keep(store, keep);
	files = fd_store_files(store);
}

/* What the manager was told; "": nothing. @ret: what came with it, or -1 */
static const char *told(int *ret)
{
	static char text[512];
	size_t n_fds = 1;
	int n = fd_message_receive(manager, text, sizeof(text) - 1, ret, &n_fds);

	if (n_fds == 0 || n < 0)
		*ret = -1;
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static bool is_quiet(void)
{
	char byte;

	return recv(manager, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

static void expect_removed(const char *name)
{
	char wanted[128];
	int fd;

	snprintf(wanted, sizeof(wanted), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	ck_assert_str_eq(told(&fd), wanted);
	ck_assert_int_eq(fd, -1);
}

/* And that it is an eventfd with @count in it. */
static void expect_stored(const char *name, uint64_t count)
{
	char wanted[128];
	eventfd_t value;
	int fd;

	snprintf(wanted, sizeof(wanted), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	ck_assert_str_eq(told(&fd), wanted);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(eventfd_read(fd, &value), 0);
	ck_assert_uint_eq(value, count);
	close(fd);
}

static void put(const char *name, unsigned count)
{
	int fd = eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK);

	ck_assert_int_ge(fd, 0);
	files->put(files, name, fd);
	close(fd);
}

START_TEST(put_and_dropped)
{
	store_begin(10);
	put("event-1", 5);
	expect_stored("event-1", 5);
	ck_assert_uint_eq(fd_store_count(store), 1);
	files->drop(files, "event-2");		/* nobody knows of it */
	ck_assert(is_quiet());
	files->drop(files, "event-1");
	expect_removed("event-1");
	ck_assert(is_quiet());
	ck_assert_uint_eq(fd_store_count(store), 0);
	/* What this process has put, it has. */
	put("event-1", 6);
	expect_stored("event-1", 6);
	ck_assert_int_eq(files->take(files, "event-1"), -1);
	ck_assert_int_eq(files->take(files, "event-2"), -1);
	ck_assert(!keep_is_broken(keep));
}
END_TEST

/* Two of one name would both be passed. */
START_TEST(a_name_has_one)
{
	store_begin(1);
	put("cuse-1", 1);
	expect_stored("cuse-1", 1);
	put("cuse-1", 2);
	expect_removed("cuse-1");
	expect_stored("cuse-1", 2);
	ck_assert_uint_eq(fd_store_count(store), 1);
	ck_assert(!keep_is_broken(keep));
}
END_TEST

/* Messages are taken as they come, so that no queue is full, until something is removed. */
static void *manager_main(void *arg)
{
	unsigned *n = arg;

	for (;;) {
		char text[512];
		size_t n_fds = 1;
		int fd = -1, r = fd_message_receive(manager, text, sizeof(text), &fd, &n_fds);

		if (r < 0 || n_fds == 0)
			return NULL;
		close(fd);
		++*n;
	}
}

START_TEST(the_limit)
{
	pthread_t thread;
	unsigned n = 0;
	char name[64];

	store_begin(UINT32_MAX);
	pthread_create(&thread, NULL, manager_main, &n);
	for (unsigned i = 0; i < FD_STORE_MAX - 1; i++) {
		snprintf(name, sizeof(name), "event-%u", i);
		put(name, 0);
	}
	put("last", 0);
	ck_assert_uint_eq(fd_store_count(store), FD_STORE_MAX);
	ck_assert(!keep_is_broken(keep));
	/* One more. */
	put("one more", 0);
	ck_assert_uint_eq(fd_store_count(store), FD_STORE_MAX);
	ck_assert(keep_is_broken(keep));
	files->drop(files, "last");
	pthread_join(thread, NULL);
	ck_assert_uint_eq(n, FD_STORE_MAX);
}
END_TEST

START_TEST(the_limit_of_the_unit)
{
	store_begin(2);
	put("a", 0);
	put("b", 0);
	ck_assert(!keep_is_broken(keep));
	files->drop(files, "a");
	put("c", 0);
	ck_assert(!keep_is_broken(keep));
	put("d", 0);
	ck_assert(keep_is_broken(keep));
	ck_assert_uint_eq(fd_store_count(store), 2);
}
END_TEST

START_TEST(nothing_is_kept_without_room)
{
	store_begin(0);
	put("a", 0);
	ck_assert(keep_is_broken(keep));
	ck_assert(is_quiet());
}
END_TEST

/* All names have to be one word of an environment. */
START_TEST(the_limit_of_names)
{
	const size_t length = FD_KEEP_NAME_SIZE - 1;
	unsigned fit = FD_STORE_NAMES_MAX / (unsigned)(length + 1), n = 0;
	pthread_t thread;
	char name[FD_KEEP_NAME_SIZE];

	ck_assert_uint_lt(fit, FD_STORE_MAX);
	ck_assert_uint_eq(FD_STORE_NAMES_MAX % (length + 1), 0);
	store_begin(FD_STORE_MAX);
	pthread_create(&thread, NULL, manager_main, &n);
	for (unsigned i = 0; i < fit; i++) {
		snprintf(name, sizeof(name), "%063u", i);
		put(name, 0);
	}
	ck_assert_uint_eq(fd_store_count(store), fit);
	ck_assert(!keep_is_broken(keep));
	put("", 0);
	ck_assert(keep_is_broken(keep));
	ck_assert_uint_eq(fd_store_count(store), fit);
	files->drop(files, name);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(n, fit);
}
END_TEST

START_TEST(nobody_listens)
{
	unsetenv("NOTIFY_SOCKET");
	store_begin(10);
	put("a", 0);
	ck_assert(keep_is_broken(keep));
	ck_assert_uint_eq(fd_store_count(store), 0);
}
END_TEST

/* ---- what was passed ---- */

static const char *const passed[] = { "state", "cuse-0", "stored", "cuse-0", "event-9" };
#define N_PASSED (sizeof(passed) / sizeof(passed[0]))
static const char passed_names[] = "state:cuse-0:stored:cuse-0:event-9";

/* With a process of its own, as their places are where the manager puts them. */
static void in_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		char text[16];

		INSIST(fcntl(manager, F_DUPFD, 100) == 100);
		manager = 100;
		for (unsigned i = 0; i < N_PASSED; i++) {
			int fd = eventfd(i + 1, EFD_NONBLOCK);

			INSIST(dup2(fd, 3 + (int)i) == 3 + (int)i);
		}
		snprintf(text, sizeof(text), "%d", getpid());
		setenv("LISTEN_PID", text, 1);
		snprintf(text, sizeof(text), "%zu", N_PASSED);
		setenv("LISTEN_FDS", text, 1);
		setenv("LISTEN_FDNAMES", passed_names, 1);
		fn();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

static void child_expect(const char *wanted)
{
	int fd = -1;
	const char *is = told(&fd);

	if (strcmp(is, wanted) != 0)
		dprintf(2, "is: %s\nnot: %s\n", is, wanted);
	INSIST(strcmp(is, wanted) == 0);
	if (fd >= 0)
		close(fd);
}

static void takes_some(void)
{
	eventfd_t count;
	int fd;

	INSIST(fd_store_new(10, &store) == 0);
	files = fd_store_files(store);
	INSIST(!getenv("LISTEN_FDS") && !getenv("LISTEN_PID") && !getenv("LISTEN_FDNAMES"));
	INSIST(fd_store_count(store) == 4);
	fd = files->take(files, "cuse-0");
	INSIST(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	INSIST(eventfd_read(fd, &count) == 0 && count == 2);
	INSIST(files->take(files, "cuse-0") == -1);
	INSIST(files->take(files, "cuse-1") == -1);
	fd = files->take(files, "event-9");
	INSIST(eventfd_read(fd, &count) == 0 && count == 5);
	INSIST(is_quiet());
	/* What nobody wants goes. */
	INSIST(fd_store_sweep(store) == 2);
	INSIST(fcntl(3, F_GETFD) < 0 && fcntl(5, F_GETFD) < 0 && fcntl(6, F_GETFD) < 0);
	told(&fd);
	told(&fd);
	INSIST(is_quiet());
	/* What was taken is still held by the manager. */
	INSIST(fd_store_count(store) == 2);
	files->drop(files, "cuse-0");
	child_expect("FDSTOREREMOVE=1\nFDNAME=cuse-0");
	/* It is waited until the manager has done that, but not for ever. */
	fd_store_drop_all(store);
	child_expect("FDSTOREREMOVE=1\nFDNAME=event-9");
	child_expect("BARRIER=1");
	INSIST(is_quiet() && fd_store_count(store) == 0);
	fd_store_free(store);
}

START_TEST(some_are_taken)
{
	in_child(takes_some);
}
END_TEST

static void takes_none(void)
{
	int fd;

	INSIST(fd_store_new(0, &store) == 0);
	INSIST(fd_store_count(store) == 0);
	for (fd = 3; fd < 3 + (int)N_PASSED; fd++)
		INSIST(fcntl(fd, F_GETFD) < 0);
	for (unsigned i = 0; i < N_PASSED - 1; i++)
		INSIST(strncmp(told(&fd), "FDSTOREREMOVE=1\n", 16) == 0);
	child_expect("BARRIER=1");
	INSIST(is_quiet());
	fd_store_free(store);
}

START_TEST(none_is_taken_without_room)
{
	in_child(takes_none);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fd_store");
	TCase *tc = tcase_create("fd_store");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, put_and_dropped);
	tcase_add_test(tc, a_name_has_one);
	tcase_add_test(tc, the_limit);
	tcase_add_test(tc, the_limit_of_the_unit);
	tcase_add_test(tc, nothing_is_kept_without_room);
	tcase_add_test(tc, the_limit_of_names);
	tcase_add_test(tc, nobody_listens);
	tcase_add_test(tc, some_are_taken);
	tcase_add_test(tc, none_is_taken_without_room);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
