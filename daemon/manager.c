/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <transport/thread.h>
#include <util/cleanup.h>

#include "manager.h"

#define SYSTEMD "org.freedesktop.systemd1"

const struct manager_bus manager_buses[] = {
	{ "unix:path=/run/systemd/private", false },
	{ "unix:path=/run/dbus/system_bus_socket", true },
	{ NULL, false },
};

static uint64_t now_us(void)
{
	return thread_now_ns() / 1000;
}

/* ---- the connection ---- */

static void bus_close(sd_bus **bus)
{
	/* Nothing is flushed: who does not answer does not read, either. */
	sd_bus_close(*bus);
	sd_bus_unref(*bus);
}

#define cleanup_bus __attribute__((cleanup(bus_close)))

/* sd-bus itself would wait for much longer until it has said hello. Return: 0; -errno. */
static int wait_until_ready(sd_bus *bus, uint64_t until)
{
	for (;;) {
		uint64_t now;
		int r = sd_bus_process(bus, NULL);

		if (r >= 0 && sd_bus_is_ready(bus) > 0)
			return 0;
		if (r > 0)
			continue;
		now = now_us();
		if (r == 0 && now >= until)
			r = -ETIMEDOUT;
		if (r == 0)
			r = sd_bus_wait(bus, until - now);
		if (r < 0 && r != -EINTR)
			return r;
	}
}

static int bus_open(const struct manager_bus *where, uint64_t until, sd_bus **ret)
{
	cleanup_bus sd_bus *bus = NULL;
	int r = sd_bus_new(&bus);

	if (r >= 0)
		r = sd_bus_set_address(bus, where->address);
	if (r >= 0)
		r = sd_bus_set_bus_client(bus, where->is_bus);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r >= 0)
		r = wait_until_ready(bus, until);
	if (r >= 0)
		*ret = steal_ptr(bus);
	return r < 0 ? r : 0;
}

/* Of the next call. */
static void set_patience(sd_bus *bus, uint64_t until)
{
	uint64_t now = now_us();

	sd_bus_set_method_call_timeout(bus, now < until ? until - now : 1);
}

/* ---- questions ---- */

/* @ret: for free() */
static int unit_path(sd_bus *bus, uint64_t until, char **ret)
{
	sd_bus_message *reply = NULL;
	const char *path;
	int r;

	set_patience(bus, until);
	r = sd_bus_call_method(bus, SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD ".Manager",
			       "GetUnitByPID", NULL, &reply, "u", (uint32_t)getpid());
	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &path);
	if (r >= 0) {
		*ret = strdup(path);
		r = *ret ? 0 : -ENOMEM;
	}
	sd_bus_message_unref(reply);
	return r;
}

/* @question: fills in an answer. Return: 0; -errno */
typedef int question_fn(sd_bus *bus, const char *unit, uint64_t until, unsigned *ret);

/* With @unit's job. */
static int ask_job(sd_bus *bus, const char *unit, uint64_t until, unsigned *ret)
{
	cleanup_free char *type = NULL;
	sd_bus_message *reply = NULL;
	const char *path;
	uint32_t id;
	int r;

	set_patience(bus, until);
	r = sd_bus_get_property(bus, SYSTEMD, unit, SYSTEMD ".Unit", "Job", NULL, &reply, "(uo)");
	if (r >= 0)
		r = sd_bus_message_read(reply, "(uo)", &id, &path);
	if (r >= 0 && id == 0) {
		*ret = MANAGER_NO_JOB;
	} else if (r >= 0) {
		set_patience(bus, until);
		r = sd_bus_get_property_string(bus, SYSTEMD, path, SYSTEMD ".Job", "JobType",
					       NULL, &type);
		/* "try-restart" and its like have become this by the time they are at work. */
		if (r >= 0)
			*ret = strcmp(type, "restart") == 0 ? MANAGER_RESTART : MANAGER_OTHER;
	}
	sd_bus_message_unref(reply);
	return r;
}

static int ask_fd_store(sd_bus *bus, const char *unit, uint64_t until, unsigned *ret)
{
	uint32_t max;
	int r;

	set_patience(bus, until);
	r = sd_bus_get_property_trivial(bus, SYSTEMD, unit, SYSTEMD ".Service",
					"FileDescriptorStoreMax", NULL, 'u', &max);
	if (r >= 0)
		*ret = max;
	return r;
}

/* The first answer. Return: is there one? */
static bool ask(const struct manager_bus *buses, question_fn *question, unsigned *ret)
{
	uint64_t now = now_us(), end = now + MANAGER_ANSWER_MS * 1000ull;
	unsigned n = 0;

	while (buses[n].address)
		n++;
	for (unsigned i = 0; i < n; i++) {
		/* One that hangs leaves time for the next one. */
		uint64_t until = i + 1 < n ? now + (end - now) / 2 : end;
		cleanup_bus sd_bus *bus = NULL;
		cleanup_free char *unit = NULL;

		if (bus_open(&buses[i], until, &bus) == 0 &&
		    unit_path(bus, until, &unit) >= 0 && question(bus, unit, until, ret) >= 0)
			return true;
		now = now_us();
		if (now >= end)
			return false;
	}
	return false;
}

enum manager_job manager_job(const struct manager_bus *buses)
{
	unsigned job = MANAGER_UNKNOWN;

	ask(buses, ask_job, &job);
	return (enum manager_job)job;
}

int manager_fd_store_max(const struct manager_bus *buses, unsigned *ret)
{
	return ask(buses, ask_fd_store, ret) ? 0 : -EIO;
}
