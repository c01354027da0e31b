/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serve_kept.c: what one process leaves, and what another finds and decides. The service manager is
 * a socket, and a number for the size of its store. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <conf_keep.h>
#include <manager.h>
#include <serve_kept.h>
#include <transport/fd_message.h>
#include <unit/conf_widget.h>
#include <unit/insist.h>
#include <unit/notify_rig.h>

static unsigned store_max;
static bool manager_is_deaf;
static const char *release;
static int manager = -1;

int __wrap_manager_fd_store_max(const struct manager_bus *buses, unsigned *ret);
int __wrap_manager_fd_store_max(const struct manager_bus *buses, unsigned *ret)
{
	*ret = store_max;
	return manager_is_deaf ? -EIO : 0;
}

int __wrap_uname(struct utsname *ret);
int __wrap_uname(struct utsname *ret)
{
	memset(ret, 0, sizeof(*ret));
	strcpy(ret->release, release);
	return 0;
}

static void setup(void)
{
	store_max = 100;
	release = "6.9.0";
	manager = notify_rig_open(0);
}

static void teardown(void)
{
	close(manager);
	unsetenv("NOTIFY_SOCKET");
}

static struct conf conf;
static struct cused_error err;

/* @iommu: NULL: none is given */
static void load(const char *iommu, const char *service)
{
	conf_init(&conf);
	conf.file_read = true;
	INSIST(!iommu || conf_set_iommu(&conf, iommu, &err) == 0);
	INSIST(conf_set_service(&conf, service, &err) == 0);
}

static void finish(void)
{
	INSIST(conf_finish(&conf, "/nonexistent", &err) == 0);
}

/* What the manager was told. @ret: what came with it; -1 */
static const char *told(int *ret)
{
	static char text[256];
	size_t n_fds = 1;
	int n;

	*ret = -1;
	n = fd_message_receive(manager, text, sizeof(text) - 1, ret, &n_fds);
	INSIST(n > 0);
	text[n] = '\0';
	return text;
}

static bool is_quiet(void)
{
	char byte;

	return recv(manager, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

#define AGENT "agent=/run/x"

/* A process that leaves a state. Return: it, as the manager has it. */
static int first_process(const char *iommu)
{
	static struct serve_kept kept;
	int fd;

	load(iommu, AGENT);
	serve_kept_open(&kept, &conf);
	INSIST(!kept.again);
	finish();
	INSIST(!serve_kept_fits(&kept, &conf));
	serve_kept_begin(&kept, &conf);
	INSIST(kept.keep && kept.fds);
	INSIST(!strcmp(told(&fd), "FDSTORE=1\nFDPOLL=0\nFDNAME=state"));
	INSIST(fd >= 0 && is_quiet());
	conf_done(&conf);
	return fd;
}

/* The next one: @state, and what else there is of the name. */
static void pass(int state, const char *name)
{
	char text[16];

	INSIST(dup2(state, 3) == 3);
	snprintf(text, sizeof(text), "%d", getpid());
	setenv("LISTEN_PID", text, 1);
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_FDNAMES", name, 1);
}

static void in_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		/* Out of the way of what is passed. */
		INSIST(fcntl(manager, F_DUPFD, 100) == 100);
		manager = 100;
		fn();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

static struct serve_kept next;

static bool deaf_to_next;

static void takes_over(void)
{
	uint64_t left = 77;
	struct keep *keep;
	int state = first_process("wires,aperture=50");

	INSIST(keep_open(fcntl(state, F_DUPFD_CLOEXEC, 50), &keep) == 0);
	load("wires,aperture=50", AGENT);
	finish();
	conf_keep_settings(keep, &conf, 9, left);
	conf_done(&conf);
	pass(state, "state");
	load("wires,aperture=50", AGENT);
	manager_is_deaf = deaf_to_next;
	serve_kept_open(&next, &conf);
	INSIST(next.again && next.keep && next.fds);
	INSIST(next.last_id == 9 && next.since == left);
	finish();
	INSIST(serve_kept_fits(&next, &conf));
	INSIST(conf_settings_same(&next.settings, &conf));
	serve_kept_begin(&next, &conf);
	INSIST(is_quiet());			/* it has it already */
	serve_kept_drop(&next);
	INSIST(!strcmp(told(&state), "FDSTOREREMOVE=1\nFDNAME=state"));
	INSIST(!strcmp(told(&state), "BARRIER=1"));
}

START_TEST(one_takes_over)
{
	in_child(takes_over);
}
END_TEST

/* It has passed some, so it keeps some. */
START_TEST(one_takes_over_though_the_manager_is_too_busy_to_say)
{
	deaf_to_next = true;
	in_child(takes_over);
}
END_TEST

static const enum keep_kind open_kinds[] = { KEEP_OPEN_FILE, KEEP_DEVICE_FILE, KEEP_CONTAINER };
static int open_kind = -1;		/* of a record that is there; -1: none */

static void settings_change(void)
{
	int state = first_process("wires,aperture=50"), fd;
	struct keep *keep;

	INSIST(keep_open(fcntl(state, F_DUPFD_CLOEXEC, 50), &keep) == 0);
	if (open_kind >= 0)
		keep_put(keep, open_kinds[open_kind], 5, "x", 1);
	pass(state, "state");
	load("wires,aperture=51", AGENT);
	serve_kept_open(&next, &conf);
	INSIST(next.again);
	finish();
	INSIST(serve_kept_fits(&next, &conf) == (open_kind >= 0));
	INSIST(next.again == (open_kind >= 0));
	serve_kept_begin(&next, &conf);
	INSIST(next.keep && next.fds);
	if (open_kind >= 0) {
		INSIST(is_quiet());
		INSIST(next.settings.iommu_values[0].number == 50);
		return;
	}
	INSIST(!strcmp(told(&fd), "FDSTOREREMOVE=1\nFDNAME=state"));
	INSIST(!strcmp(told(&fd), "BARRIER=1"));
	INSIST(!strcmp(told(&fd), "FDSTORE=1\nFDPOLL=0\nFDNAME=state"));
}

/* The old ones are in force as long as something is open. */
START_TEST(other_settings)
{
	open_kind = _i - 1;
	in_child(settings_change);
}
END_TEST

static void (*spoil)(int state);
static const char *passed_name = "state";

static void cannot_be_used(void)
{
	int state = first_process(NULL), fd;

	spoil(state);
	pass(state, passed_name);
	load(NULL, AGENT);
	serve_kept_open(&next, &conf);
	INSIST(!next.again && !next.keep);
	INSIST(fcntl(3, F_GETFD) < 0);
	INSIST(!strncmp(told(&fd), "FDSTOREREMOVE=1\n", 16));
	INSIST(!strcmp(told(&fd), "BARRIER=1"));
	finish();
	INSIST(!serve_kept_fits(&next, &conf));
	/* And the next one may find this one's. */
	serve_kept_begin(&next, &conf);
	INSIST(!strcmp(told(&fd), "FDSTORE=1\nFDPOLL=0\nFDNAME=state"));
	INSIST(next.keep && !keep_is_broken(next.keep));
}

static void nothing(int state)
{
}

static void breaks(int state)
{
	struct keep *keep;

	INSIST(keep_open(fcntl(state, F_DUPFD_CLOEXEC, 50), &keep) == 0);
	keep_break(keep);
}

static void ages(int state)
{
	uint32_t version = KEEP_VERSION + 1;

	INSIST(pwrite(state, &version, sizeof(version), 8) == sizeof(version));
}

static void loses_settings(int state)
{
	struct keep *keep;

	INSIST(keep_open(fcntl(state, F_DUPFD_CLOEXEC, 50), &keep) == 0);
	keep_drop(keep, KEEP_SERVICE, 0);
}

START_TEST(what_cannot_be_used)
{
	static void (*const ways[])(int state) = { breaks, ages, loses_settings, nothing };

	spoil = ways[_i];
	passed_name = spoil == nothing ? "cuse-0" : "state";
	in_child(cannot_be_used);
}
END_TEST

static const char *service_text = AGENT;

static void keeps_nothing(void)
{
	load(NULL, service_text);
	serve_kept_open(&next, &conf);
	finish();
	INSIST(!next.again && !serve_kept_fits(&next, &conf));
	serve_kept_begin(&next, &conf);
	INSIST(!next.keep && !next.fds);
	serve_kept_drop(&next);
	INSIST(is_quiet());
}

START_TEST(where_nothing_can_be_kept)
{
	static const char *const releases[] = { "6.8.12-1-amd64", "5.10.0", "x" };

	for (unsigned i = 0; i < sizeof(releases) / sizeof(releases[0]); i++) {
		release = releases[i];
		in_child(keeps_nothing);
	}
	release = "7.2.0";
	store_max = 0;
	in_child(keeps_nothing);
	store_max = 100;
	manager_is_deaf = true;
	in_child(keeps_nothing);
	manager_is_deaf = false;
	service_text = "agent=off";
	in_child(keeps_nothing);
	service_text = AGENT;
	unsetenv("NOTIFY_SOCKET");
	in_child(keeps_nothing);
}
END_TEST

static void small_store(void)
{
	int fd;

	load(NULL, AGENT);
	serve_kept_open(&next, &conf);
	finish();
	serve_kept_begin(&next, &conf);
	told(&fd);
	next.fds->put(next.fds, "cuse-0", fd);
	INSIST(keep_is_broken(next.keep));
}

START_TEST(a_store_that_is_full)
{
	store_max = 1;
	in_child(small_store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("serve_kept");
	TCase *tc = tcase_create("serve_kept");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, one_takes_over);
	tcase_add_test(tc, one_takes_over_though_the_manager_is_too_busy_to_say);
	tcase_add_loop_test(tc, other_settings, 0, 4);
	tcase_add_loop_test(tc, what_cannot_be_used, 0, 4);
	tcase_add_test(tc, where_nothing_can_be_kept);
	tcase_add_test(tc, a_store_that_is_full);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
