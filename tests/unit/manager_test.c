/* SPDX-License-Identifier: GPL-2.0-or-later */
/* manager.c, with a thread in the place of systemd that answers, or does not. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <manager.h>
#include <transport/thread.h>

#define UNIT_PATH "/org/freedesktop/systemd1/unit/vfio_2dcused_2eservice"
#define JOB_PATH "/org/freedesktop/systemd1/job/77"

static struct {
	int listener;
	char address[128];
	const char *job;		/* NULL: none */
	bool no_unit;
	unsigned fd_store_max;
	unsigned connections;
	pthread_t thread;
} rig;

static void setup(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length = sizeof(address.sun_family);

	memset(&rig, 0, sizeof(rig));
	/* The kernel chooses an abstract name: nothing is left in any folder. */
	rig.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(rig.listener, (struct sockaddr *)&address, length), 0);
	ck_assert_int_eq(listen(rig.listener, 4), 0);
	length = sizeof(address);
	ck_assert_int_eq(getsockname(rig.listener, (struct sockaddr *)&address, &length), 0);
	snprintf(rig.address, sizeof(rig.address), "unix:abstract=%.*s",
		 (int)(length - sizeof(address.sun_family) - 1), address.sun_path + 1);
}

static void teardown(void)
{
	close(rig.listener);
}

/* ---- systemd ---- */

static int get_unit(sd_bus_message *m, void *arg, sd_bus_error *err)
{
	uint32_t pid;

	if (sd_bus_message_read(m, "u", &pid) < 0 || pid != (uint32_t)getpid() || rig.no_unit)
		return sd_bus_error_set(err, "org.freedesktop.systemd1.NoUnitForPID", "none");
	return sd_bus_reply_method_return(m, "o", UNIT_PATH);
}

static int get_job(sd_bus *bus, const char *path, const char *interface, const char *property,
		   sd_bus_message *reply, void *arg, sd_bus_error *err)
{
	return sd_bus_message_append(reply, "(uo)", rig.job ? 77 : 0, rig.job ? JOB_PATH : "/");
}

static int get_type(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *arg, sd_bus_error *err)
{
	return sd_bus_message_append(reply, "s", rig.job);
}

static int get_max(sd_bus *bus, const char *path, const char *interface, const char *property,
		   sd_bus_message *reply, void *arg, sd_bus_error *err)
{
	return sd_bus_message_append(reply, "u", rig.fd_store_max);
}

static const sd_bus_vtable of_manager[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("GetUnitByPID", "u", "o", get_unit, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};
static const sd_bus_vtable of_unit[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Job", "(uo)", get_job, 0, 0),
	SD_BUS_VTABLE_END,
};
static const sd_bus_vtable of_service[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("FileDescriptorStoreMax", "u", get_max, 0, 0),
	SD_BUS_VTABLE_END,
};
static const sd_bus_vtable of_job[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("JobType", "s", get_type, 0, 0),
	SD_BUS_VTABLE_END,
};

static void serve_one(int fd)
{
	sd_bus *bus = NULL;
	sd_id128_t id = { { 1 } };

	if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 ||
	    sd_bus_set_server(bus, 1, id) < 0 || sd_bus_set_anonymous(bus, 1) < 0 ||
	    sd_bus_start(bus) < 0 ||
	    sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/systemd1",
				     "org.freedesktop.systemd1.Manager", of_manager, NULL) < 0 ||
	    sd_bus_add_object_vtable(bus, NULL, UNIT_PATH, "org.freedesktop.systemd1.Unit",
				     of_unit, NULL) < 0 ||
	    sd_bus_add_object_vtable(bus, NULL, UNIT_PATH, "org.freedesktop.systemd1.Service",
				     of_service, NULL) < 0 ||
	    sd_bus_add_object_vtable(bus, NULL, JOB_PATH, "org.freedesktop.systemd1.Job",
				     of_job, NULL) < 0)
		abort();
	for (;;) {
		int r = sd_bus_process(bus, NULL);

		if (r < 0 || (r == 0 && sd_bus_wait(bus, UINT64_MAX) < 0))
			break;
	}
	sd_bus_unref(bus);
}

static void *systemd_main(void *arg)
{
	int fd;

	while ((fd = accept4(rig.listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		rig.connections++;
		serve_one(fd);
	}
	return NULL;
}

static void systemd_start(void)
{
	pthread_create(&rig.thread, NULL, systemd_main, NULL);
}

static void systemd_stop(void)
{
	shutdown(rig.listener, SHUT_RDWR);
	pthread_join(rig.thread, NULL);
}

/* ---- tests ---- */

static const char nobody[] = "unix:path=/nonexistent/socket";

START_TEST(each_kind_of_job)
{
	static const struct {
		const char *type;
		enum manager_job job;
	} jobs[] = { { NULL, MANAGER_NO_JOB },	      { "restart", MANAGER_RESTART },
		     { "stop", MANAGER_OTHER },	      { "start", MANAGER_OTHER },
		     { "restarting", MANAGER_OTHER }, { "", MANAGER_OTHER } };
	const struct manager_bus buses[] = { { rig.address, false }, { NULL, false } };

	systemd_start();
	for (unsigned i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		rig.job = jobs[i].type;
		ck_assert_int_eq(manager_job(buses), jobs[i].job);
	}
	rig.no_unit = true;
	ck_assert_int_eq(manager_job(buses), MANAGER_UNKNOWN);
	systemd_stop();
}
END_TEST

START_TEST(the_size_of_the_store)
{
	const struct manager_bus buses[] = { { rig.address, false }, { NULL, false } };
	unsigned max;

	systemd_start();
	rig.fd_store_max = 4096;
	ck_assert_int_eq(manager_fd_store_max(buses, &max), 0);
	ck_assert_uint_eq(max, 4096);
	rig.fd_store_max = 0;
	ck_assert_int_eq(manager_fd_store_max(buses, &max), 0);
	ck_assert_uint_eq(max, 0);
	rig.no_unit = true;
	ck_assert_int_eq(manager_fd_store_max(buses, &max), -EIO);
	systemd_stop();
}
END_TEST

START_TEST(the_next_is_asked_if_one_is_not_there)
{
	const struct manager_bus buses[] = { { nobody, false }, { rig.address, false },
					     { NULL, false } };

	rig.job = "restart";
	systemd_start();
	ck_assert_int_eq(manager_job(buses), MANAGER_RESTART);
	systemd_stop();
	ck_assert_uint_eq(rig.connections, 1);
}
END_TEST

static unsigned ms_since(uint64_t begin)
{
	return (unsigned)((thread_now_ns() - begin) / 1000000);
}

START_TEST(nobody_is_there)
{
	const struct manager_bus none[] = { { NULL, false } };
	const struct manager_bus buses[] = { { nobody, true }, { nobody, false }, { NULL, false } };
	uint64_t begin = thread_now_ns();

	ck_assert_int_eq(manager_job(none), MANAGER_UNKNOWN);
	ck_assert_int_eq(manager_job(buses), MANAGER_UNKNOWN);
	ck_assert_uint_lt(ms_since(begin), MANAGER_ANSWER_MS);
}
END_TEST

/* It accepts, and says nothing. */
START_TEST(one_that_hangs)
{
	const struct manager_bus buses[] = { { rig.address, true }, { rig.address, false },
					     { NULL, false } };
	uint64_t begin = thread_now_ns();
	unsigned ms;

	ck_assert_int_eq(manager_job(buses), MANAGER_UNKNOWN);
	ms = ms_since(begin);
	ck_assert_uint_ge(ms, MANAGER_ANSWER_MS - 1);
	ck_assert_uint_lt(ms, 2 * MANAGER_ANSWER_MS);
}
END_TEST

/* Half of the time is left for the next one. */
START_TEST(one_hangs_and_the_next_answers)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length = sizeof(address.sun_family);
	int hanging = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[128];
	const struct manager_bus buses[] = { { text, false }, { rig.address, false },
					     { NULL, false } };

	ck_assert_int_eq(bind(hanging, (struct sockaddr *)&address, length), 0);
	ck_assert_int_eq(listen(hanging, 4), 0);
	length = sizeof(address);
	ck_assert_int_eq(getsockname(hanging, (struct sockaddr *)&address, &length), 0);
	snprintf(text, sizeof(text), "unix:abstract=%.*s",
		 (int)(length - sizeof(address.sun_family) - 1), address.sun_path + 1);
	rig.job = "restart";
	systemd_start();
	ck_assert_int_eq(manager_job(buses), MANAGER_RESTART);
	systemd_stop();
	close(hanging);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("manager");
	TCase *tc = tcase_create("manager");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, each_kind_of_job);
	tcase_add_test(tc, the_size_of_the_store);
	tcase_add_test(tc, the_next_is_asked_if_one_is_not_there);
	tcase_add_test(tc, nobody_is_there);
	tcase_add_test(tc, one_that_hangs);
	tcase_add_test(tc, one_hangs_and_the_next_answers);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
