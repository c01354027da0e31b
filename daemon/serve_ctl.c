/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serve_ctl.c - what the control socket can tell and change of a service.
 *
 * Theory of operation
 *
 *   Adding a device is done at once, by the control's thread. Removing one only begins here:
 *   serve_devices_dismiss(), and the main thread goes on with it, as with the devices that a
 *   new configuration lets go. The request is a job, which is done when they have gone.
 *
 *   Stopping is the removal of all devices; then the main thread ends. With revocation it waits
 *   no longer than STOP_REVOKED_MS for clients to see what has happened and to close.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <transport/open_notes.h>
#include <transport/service.h>
#include <transport/thread.h>
#include <util/cleanup.h>
#include <vfio-cused/log.h>

#include "serve_devices.h"
#include "serve_internal.h"

#define ENTER_MS 2000u
#define STOP_REVOKED_MS 2000u
#define STOP_JOB UINT64_MAX	/* done with the program */

static int serve_enter(void *arg)
{
	struct timespec until = thread_deadline(CLOCK_MONOTONIC, ENTER_MS);
	struct serve *serve = arg;

	return pthread_mutex_clocklock(&serve->lock, CLOCK_MONOTONIC, &until) ? -EBUSY : 0;
}

static void serve_leave(void *arg)
{
	struct serve *serve = arg;

	pthread_mutex_unlock(&serve->lock);
}

static void wake(struct serve *serve)
{
	eventfd_write(serve->wake, 1);
}

/* ---- changes ---- */

static int serve_remove(void *arg, const char *name, bool revoke, uint64_t *ret_job,
			struct cused_error *err)
{
	struct serve *serve = arg;
	int r = serve_devices_dismiss(serve->devices, name, revoke, serve->last_job + 1, err);

	wake(serve);
	if (r)
		return r;
	*ret_job = ++serve->last_job;
	return 0;
}

/* Make the device of @conf, which is chosen beside those that are there. */
static int finish_and_add(struct serve *serve, struct conf *conf,
			  const struct conf_device **ret, struct cused_error *err)
{
	struct conf_running *running = NULL;
	int r = serve_devices_running(serve->devices, &running, &conf->n_running);

	if (r)
		return cused_error_set(err, r, "out of memory");
	conf->running = running;
	r = conf_finish_beside(conf, serve->conf, serve->sysfs.path, err);
	free(running);
	conf->running = NULL;
	conf->n_running = 0;
	if (r)
		return r;
	r = serve_devices_add(serve->devices, conf, ret, err);
	return r ? r : serve_sysfs(serve, err);
}

static int serve_add(void *arg, const char *text, char ret_bdf[16], char ret_group[32],
		     struct cused_error *err)
{
	struct serve *serve = arg;
	const struct conf_device *added;
	struct cused_error ignored;
	struct conf conf;
	int r;

	if (serve->stopping)
		return cused_error_set(err, -ESHUTDOWN, "the service is stopping; add devices to "
				       "the next one");
	added = NULL;
	conf_init(&conf);
	r = conf_add_device(&conf, text, err);
	if (r == 0)
		r = finish_and_add(serve, &conf, &added, err);
	conf_done(&conf);
	if (r) {
		/* What was made and cannot be shown goes again. */
		if (added)
			serve_devices_dismiss(serve->devices, added->bdf, false,
					      ++serve->last_job, &ignored);
		wake(serve);
		return r;
	}
	wake(serve);
	memcpy(ret_bdf, added->bdf, sizeof(added->bdf));
	snprintf(ret_group, 32, "%s%u", added->noiommu ? "noiommu-" : "", added->group);
	cused_log(CUSED_LOG_INFO, "serve", "device %s (%s) is added, in group %s", added->id,
		  ret_bdf, ret_group);
	return 0;
}

static int serve_stop(void *arg, bool revoke, uint64_t *ret_job, struct cused_error *err)
{
	struct serve *serve = arg;
	int r;

	if (!serve->stopping)
		cused_log(CUSED_LOG_INFO, "serve", "stopping%s", revoke ? ", without waiting "
			  "for clients" : " when clients have closed their devices");
	r = serve_devices_dismiss(serve->devices, NULL, revoke, ++serve->last_job, err);
	serve->stopping = true;
	if (revoke && !serve->stop_at)
		serve->stop_at = thread_now_ns() + STOP_REVOKED_MS * 1000000ull;
	wake(serve);
	if (r)
		return r;
	*ret_job = STOP_JOB;
	return 0;
}

/* ---- jobs ---- */

static bool files_are_open(struct serve *serve)
{
	struct service_status status;

	service_get_status(serve->service, &status);
	return status.device_files > 0 || status.open_files > 0;
}

bool serve_ctl_may_end(struct serve *serve)
{
	bool late = serve->stop_at && thread_now_ns() >= serve->stop_at;

	if (!serve->stopping)
		return false;
	if (late)
		return true;
	if (!serve_devices_is_done(serve->devices, 0))
		return false;
	/* Clients that were robbed get a moment to see it. */
	return !serve->stop_at || !files_are_open(serve);
}

/* Others ask for the lock as well, each now and then. */
static bool serve_is_done(void *arg, uint64_t job)
{
	struct serve *serve = arg;
	bool done;

	if (job == STOP_JOB || pthread_mutex_trylock(&serve->lock))
		return false;
	done = serve_devices_is_done(serve->devices, job);
	pthread_mutex_unlock(&serve->lock);
	return done;
}

static bool serve_tick(void *arg)
{
	struct serve *serve = arg;
	bool busy;

	if (pthread_mutex_trylock(&serve->lock))
		return true;
	busy = !serve_devices_is_done(serve->devices, 0);
	pthread_mutex_unlock(&serve->lock);
	return busy;
}

/* ---- status ---- */

static int serve_files(void *arg, struct open_notes *ret)
{
	struct serve *serve = arg;

	return service_files(serve->service, ret);
}

static const char *serve_device_id(void *arg, const char *bdf)
{
	const struct serve *serve = arg;

	return serve_devices_id(serve->devices, bdf);
}

static int serve_status(void *arg, json_t *into)
{
	struct serve *serve = arg;
	struct service_status s;
	json_t *service;

	service_get_status(serve->service, &s);
	service = json_pack("{s:i, s:i, s:i, s:i, s:i, s:b}", "agent", (int)s.agent, "nodes",
			    (int)s.nodes, "open_files", (int)s.open_files, "device_files",
			    (int)s.device_files, "stalled_calls", (int)s.stalled_calls,
			    "can_map", service_can_map(serve->service));
	if (json_object_set_new(into, "service", service) ||
	    json_object_set_new(into, "stopping", json_boolean(serve->stopping)))
		return -ENOMEM;
	return 0;
}

static const struct ctl_ops ops = {
	.mode = "serve",
	.enter = serve_enter,
	.leave = serve_leave,
	.files = serve_files,
	.device_id = serve_device_id,
	.status = serve_status,
	.add = serve_add,
	.remove = serve_remove,
	.stop = serve_stop,
	.tick = serve_tick,
	.is_done = serve_is_done,
};

/* ---- life ---- */

int serve_ctl_listen(struct serve *serve, struct cused_error *err)
{
	struct ctl_socket where;
	int r = ctl_socket_of(&serve->conf->service_list, serve->conf->service, &where, err);

	serve->ctl_path = "";
	if (r)
		return r < 0 ? r : 0;
	r = ctl_listen(&where, &serve->listener, err);
	if (r)
		return r;
	serve->ctl_path = where.path;
	serve->ctl_owner = where.uid;
	return 0;
}

int serve_ctl_start(struct serve *serve, struct cused_error *err)
{
	struct ctl ctl = { &ops, serve,
			   instance_topology(serve_devices_instance(serve->devices)),
			   thread_now_ns() };
	int r;

	if (serve->listener < 0)
		return 0;
	r = ctl_server_start(&ctl, steal_fd(&serve->listener), serve->ctl_owner, &serve->ctl);
	return r ? cused_error_set(err, r, "cannot serve the control socket: %s",
				   strerror(-r)) : 0;
}

int serve_ctl_stop(struct serve *serve)
{
	int r = ctl_server_stop(serve->ctl);

	if (serve->listener >= 0)
		close(serve->listener);
	if (serve->ctl_path && *serve->ctl_path)
		unlink(serve->ctl_path);
	return r;
}
