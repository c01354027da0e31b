/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <transport/agent.h>
#include <transport/confine.h>
#include <transport/devnode.h>
#include <transport/service.h>
#include <transport/sysfs.h>
#include <transport/thread.h>
#include <util/cleanup.h>
#include <util/log.h>

#include "cli.h"
#include "conf_keep.h"
#include "conf_load.h"
#include "host_watch.h"
#include "manager.h"
#include "notify.h"
#include "serve.h"
#include "serve_devices.h"
#include "serve_internal.h"

#define SETTLE_MS 100		/* between two looks at devices that leave */
#define LOG_USUAL CUSED_LOG_INFO	/* that it is ready is worth a line */
#define LOG_END_MS 2000		/* at the end, for who reads the last lines */

/* ---- before the configuration ---- */

static enum confine_who who(const struct conf *conf)
{
	return serve_agent_connect(conf) ? CONFINE_SERVICE : CONFINE_SERVICE_AND_AGENT;
}

/* One in a process, from serve_prepare() on. */
static struct serve_kept kept_state;

int serve_prepare(struct conf *conf)
{
	struct cused_error err;

	if (geteuid() != 0)
		return cli_complain("serve: it makes character devices for the whole machine, "
				    "which takes root; without root, use vfio-cused run");
	if (serve_lock_take(&err))
		return cli_complain("serve: %s", err.text);
	serve_kept_open(&kept_state, conf);
	if (kept_state.sysfs.fd >= 0) {
		conf->sysfs = kept_state.sysfs.path;
		return 0;
	}
	if (serve_sysfs_clear(conf, &err))
		return cli_complain("serve: %s", err.text);
	if (!kept_state.again)
		devnode_recover("");
	return 0;
}

/* ---- set-up ---- */

/* Threads come and go, each with a buffer for requests. As it is, malloc would take such ones out of
 * its heaps once the first was freed, where they are in the way of giving anything back. */
#define MMAP_THRESHOLD (64 * 1024)

/* A node takes a file or two, a device and each client's interrupt one. What the kernel pins in
 * our name for a device of the machine, by a file, is within the limit of the client, which
 * was looked at, so there is to be no other (CAP_SYS_RESOURCE: to raise it). */
static void limits_raise(void)
{
	struct rlimit limit, none = { RLIM_INFINITY, RLIM_INFINITY };

	mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	setrlimit(RLIMIT_MEMLOCK, &none);
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void signals_take_over(struct serve *serve)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	serve->signals = signalfd(-1, &mask, SFD_CLOEXEC);
	serve->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* Begun before the machine is looked at, so that no change is missed. */
static void machine_watch(struct serve *serve)
{
	enum cused_log_level level = CUSED_LOG_DEBUG;	/* of no interest to all others */
	struct cused_error err;
	int r = host_watch_new(&serve->watch);

	for (size_t i = 0; i < serve->conf->n_devices; i++)
		if (conf_is_host(&serve->conf->devices[i]))
			level = CUSED_LOG_WARNING;
	if (r)
		cused_log(level, "serve", "devices of the machine are not followed: "
			  "no uevents: %s", strerror(-r));
	if (serve->kept->sysfs.fd >= 0)
		serve->sysfs = serve->kept->sysfs;
	else if (host_sysfs_open(&serve->sysfs, &err))
		cused_log(level, "serve", "devices that come to the machine are not "
			  "found where simulated ones are laid over %s: %s", SERVE_SYSFS, err.text);
}

static void describe(struct serve *serve, char *ret, size_t size)
{
	struct service_status status;
	size_t devices = serve_devices_count(serve->devices);

	service_get_status(serve->service, &status);
	snprintf(ret, size, "/dev/%s/vfio, %u group%s, %zu device%s",
		 serve->conf->service[CONF_SERVICE_PREFIX].string, status.nodes - 1,
		 status.nodes == 2 ? "" : "s", devices, devices == 1 ? "" : "s");
}

/* What is served, in the log and for the service manager. */
static void tell_state(struct serve *serve, const char *what, const char *more)
{
	describe(serve, serve->told, sizeof(serve->told));
	cused_log(CUSED_LOG_INFO, "serve", "%s: %s%s", what, serve->told, more);
	notify_state(NOTIFY_READY, serve->told);
}

/* Devices come and go by the control socket, too, and some leave late. */
static void tell_changes(struct serve *serve)
{
	char line[sizeof(serve->told)];

	describe(serve, line, sizeof(line));
	if (strcmp(line, serve->told) == 0)
		return;
	strcpy(serve->told, line);
	notify_state(NOTIFY_READY, line);
}

/* ---- a new configuration ---- */

/* Return: 0; -errno with @err set, and nothing has changed. */
static int load_again(struct serve *serve, struct conf *conf, struct cused_error *err)
{
	struct conf_running *running = NULL;
	int r = serve_devices_running(serve->devices, &running, &conf->n_running);

	if (r)
		return cused_error_set(err, r, "out of memory");
	conf->running = running;
	r = conf_load(conf, serve->conf->source, err);
	/* To take everything away is done by an empty file. */
	if (r == 0 && serve->file_read && !conf->file_read)
		r = cused_error_set(err, -ENOENT, "%s is not there any more",
				    serve->conf->source->file);
	if (r == 0)
		r = conf_finish(conf, serve->sysfs.path, err);
	free(running);
	conf->running = NULL;
	conf->n_running = 0;
	return r;
}

/* Return: is it another configuration now? */
static bool reload(struct serve *serve)
{
	struct cused_error err;
	struct conf conf;
	bool same, file_read;
	int r;

	conf_init(&conf);
	r = load_again(serve, &conf, &err);
	same = r || conf_settings_same(serve->conf, &conf);
	file_read = conf.file_read;
	if (r == 0) {
		conf_log_apply(&conf, LOG_USUAL);
		r = serve_devices_want(serve->devices, &conf);
	}
	conf_done(&conf);
	if (r) {
		cused_log(CUSED_LOG_ERROR, "serve", "the configuration stays as it was: %s",
			  r == -ENOMEM ? "out of memory" : err.text);
		return false;
	}
	serve->file_read = file_read;
	if (!same)
		cused_log(CUSED_LOG_WARNING, "serve", "settings of [iommu] and [service] have "
			  "changed; they take effect when the service is started again%s",
			  serve->kept->keep ? " while no client has anything open" : "");
	return true;
}

/* ---- start ---- */

/* What is served again, from before. */
static void tell_taken(struct serve *serve)
{
	uint64_t ms = (thread_now_ns() - serve->kept->since) / 1000000;
	struct service_status status;
	char more[128];

	service_get_status(serve->service, &status);
	snprintf(more, sizeof(more), "; clients have %u containers and groups and %u devices open, "
		 "and waited %llu ms", status.open_files, status.device_files,
		 (unsigned long long)ms);
	tell_state(serve, "taken over from the process before", more);
}

/* Devices and nodes. What there was, and then what is wanted. */
static int serve_again(struct serve *serve, struct cused_error *err)
{
	struct topology *topology = instance_topology(serve_devices_instance(serve->devices));
	int r = serve_devices_restore(serve->devices, err);

	if (r == 0)
		r = service_start(serve->service, topology, err);
	if (r == 0)
		r = serve_devices_adopt(serve->devices, err);
	if (r == 0)
		r = serve_sysfs_adopt(serve, err);
	if (r == 0) {
		bool changed;
		unsigned n;

		conf_keep_settings(serve->kept->keep, serve->conf,
				   serve_devices_last_id(serve->devices), 0);
		/* One with a mistake changes nothing. */
		reload(serve);
		serve_devices_settle(serve->devices, &changed);
		/* A process that is killed between two steps leaves a file that no record speaks of. */
		n = fd_store_sweep(serve->kept->store);
		if (n)
			cused_log(CUSED_LOG_DEBUG, "serve", "%u descriptors of the process before are "
				  "nobody's", n);
	}
	return r;
}

static int serve_first(struct serve *serve, struct cused_error *err)
{
	struct topology *topology = instance_topology(serve_devices_instance(serve->devices));
	int r = serve_devices_make(serve->devices, err);

	if (r == 0)
		r = service_start(serve->service, topology, err);
	return r ? r : serve_devices_show(serve->devices, err);
}

static int start(struct serve *serve, struct cused_error *err)
{
	struct serve_kept *kept = serve->kept;
	const struct serve_devices_keep keep = { kept->keep, kept->fds, kept->last_id };
	bool sysfs = serve->conf->service[CONF_SERVICE_SYSFS].number;
	const char *dma = serve->conf->service[CONF_SERVICE_DMA].string;
	struct service_params params = {
		.agent_connect = serve_agent_connect(serve->conf),
		.agent = "/proc/self/exe", .agent_argv = serve->agent_argv,
		.socket = serve->conf->agent_socket ? serve->conf->agent_socket :
							SERVICE_AGENT_SOCKET,
		.prefix = serve->conf->service[CONF_SERVICE_PREFIX].string,
		.replace = serve->conf->service[CONF_SERVICE_REPLACE].number,
		.retry = !strcmp(serve->conf->service[CONF_SERVICE_MEMORY].string, "retry"),
		.courier = serve->conf->service[CONF_SERVICE_COURIER].number,
		.dma_by_file = strcmp(dma, "courier") != 0,
		.dma_by_courier = strcmp(dma, "file") != 0,
		.dma_swap = !strcmp(dma, "swap"),
		.keep = kept->keep, .fds = kept->fds, .restore = kept->again,
	};
	int r = serve_ctl_listen(serve, err);

	if (r)
		return r;
	serve->agent_argv[0] = "vfio-cused";
	serve->agent_argv[1] = "agent";
	serve->agent_argv[2] = sysfs ? "sysfs" : "no-sysfs";
	serve->agent_argv[3] = params.socket;
	serve->agent_argv[4] = serve->ctl_path;
	/* Of an agent of ours alone the command line would refuse it, and none waits. */
	serve->agent_argv[5] = kept->keep ? "keep" : NULL;
	r = service_new(&params, &serve->service, err);
	if (r == 0)
		r = serve_devices_new(serve->conf, serve->service, &keep, &serve->devices, err);
	if (r == 0) {
		instance_look_at(serve_devices_instance(serve->devices), serve->sysfs.path,
				 "/dev");
		r = kept->again ? serve_again(serve, err) : serve_first(serve, err);
	}
	if (r == 0)
		r = serve_sysfs(serve, err);
	if (r == 0)
		r = serve_ctl_start(serve, err);
	if (r == 0)
		r = confine_calls(who(serve->conf), err);
	if (r == 0 && kept->again)
		tell_taken(serve);
	else if (r == 0)
		tell_state(serve, "ready", service_can_map(serve->service) ? "" :
			   "; this kernel has no FUSE passthrough (Linux 6.9), so no region can "
			   "be mapped");
	return r;
}

/* ---- devices that come and go ---- */

/* Return: as serve_devices_settle(). @ret_again: look again after some time. */
static bool settle(struct serve *serve, bool *ret_again)
{
	bool changed, left = serve_devices_settle(serve->devices, &changed);
	struct cused_error err;

	/* One that cannot be served yet has to be seen by who will bind it, too. */
	changed |= serve->followed && serve_sysfs_shows_wrong(serve);
	serve->followed = false;
	if (changed && !serve->stopping && serve_sysfs(serve, &err))
		cused_log(CUSED_LOG_ERROR, "serve", "%s", err.text);
	*ret_again = serve_devices_reap(serve->devices) || left || serve->stopping;
	return left;
}

/* ---- the end ---- */

/* Half of a restart? A manager that does not say so stops the service. */
static bool another_follows(const struct serve *serve)
{
	return serve->kept->keep && !keep_is_broken(serve->kept->keep) && !serve->stopping &&
	       manager_job(manager_buses) == MANAGER_RESTART;
}

/* SIGHUP is for a new configuration; a terminal that hangs up is no reason to end.
 * Return: it is time to end. */
static bool take_signal(struct serve *serve, bool *ret_again)
{
	struct signalfd_siginfo info;

	if (read(serve->signals, &info, sizeof(info)) != sizeof(info))
		return true;
	serve->leaving = info.ssi_signo == SIGTERM && another_follows(serve);
	if (info.ssi_signo != SIGHUP)
		return true;
	if (serve->stopping) {
		cused_log(CUSED_LOG_WARNING, "serve", "no new configuration: the service is "
			  "stopping");
		return false;
	}
	notify_state(NOTIFY_RELOADING, NULL);
	if (reload(serve))
		tell_state(serve, "reloaded",
			   settle(serve, ret_again) ? ", and others that leave" : "");
	else
		notify_state(NOTIFY_READY, NULL);
	return false;
}

/* What has happened is not asked for: the whole is read anew. */
static void machine_news(struct serve *serve)
{
	struct host_event event;
	int r;

	do {
		r = host_watch_take(serve->watch, &event);
	} while (r == 1 || r == -ENOBUFS);
	if (r) {
		cused_log(CUSED_LOG_WARNING, "serve", "devices of the machine are not followed "
			  "any more: %s", strerror(-r));
		host_watch_free(serve->watch);
		serve->watch = NULL;
	}
}

/* Of two times to wait, in milliseconds; -1: for ever. */
static int sooner(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static void wait_for_the_end(struct serve *serve)
{
	struct pollfd p[3] = { { .fd = serve->signals, .events = POLLIN },
			       { .fd = serve->wake, .events = POLLIN },
			       { .events = POLLIN } };
	struct notify_watchdog watchdog;
	bool again = serve->kept->again, end = false;
	eventfd_t count;
	int ms;

	notify_watchdog_init(&watchdog, thread_now_ns());
	while (!end) {
		p[2].fd = serve->watch ? host_watch_fd(serve->watch) : -1;
		ms = sooner(notify_watchdog_feed(&watchdog, thread_now_ns()),
			    serve_devices_retry_ms(serve->devices));
		if (again)
			ms = sooner(ms, SETTLE_MS);
		if (poll(p, 3, ms) < 0)
			continue;
		pthread_mutex_lock(&serve->lock);
		if (p[1].revents)
			eventfd_read(serve->wake, &count);
		if (p[2].revents)
			machine_news(serve);
		if (p[2].revents || serve_devices_retry_ms(serve->devices) == 0) {
			serve_devices_follow(serve->devices, serve->sysfs.path);
			serve->followed = true;
		}
		if (p[0].revents)
			end = take_signal(serve, &again);
		if (!end && (!p[0].revents || p[2].revents))
			settle(serve, &again);
		end = end || serve_ctl_may_end(serve);
		if (!end)
			tell_changes(serve);
		pthread_mutex_unlock(&serve->lock);
	}
}

/* All stays as it is, for the process that follows. */
static void leave(struct serve *serve) __attribute__((noreturn));
static void leave(struct serve *serve)
{
	notify_state(NOTIFY_STOPPING, "restarting");
	cused_log(CUSED_LOG_INFO, "serve", "another process takes over");
	conf_keep_settings(serve->kept->keep, serve->conf, serve_devices_last_id(serve->devices),
			   thread_now_ns());
	service_leave(serve->service);
	log_writer_end(LOG_END_MS);
	_exit(0);
}

/* What was begun of another process's state ends with this program, which is executed anew. */
static void begin_afresh(struct serve *serve, const struct cused_error *why)
{
	cused_log(CUSED_LOG_ERROR, "serve", "the service begins afresh, and what clients have open "
		  "is lost; it cannot take over from the process before: %s", why->text);
	serve_kept_drop(serve->kept);
	log_writer_end(LOG_END_MS);
	execv("/proc/self/exe", serve->argv);
}

static int stop(struct serve *serve)
{
	bool stalled = serve_ctl_stop(serve) != 0;
	struct cused_error err;
	int status = 0;

	notify_state(NOTIFY_STOPPING, "stopping");
	/* First: nobody else may have a file of a device that is to go. */
	serve_kept_drop(serve->kept);
	if (serve->plan && service_sysfs(serve->service, NULL, NULL, SERVE_SYSFS, &err))
		status = cli_complain("serve: %s", err.text);
	sysfs_plan_free(serve->plan);
	/* Who revokes a device has its group, which the release of open files wants, too. */
	stalled = stalled || serve_devices_end(serve->devices);
	if (stalled || service_stop(serve->service)) {
		cused_log(CUSED_LOG_WARNING, "serve", "a call is still stalled by the memory of "
			  "its client; ending nevertheless");
		log_writer_end(LOG_END_MS);
		_exit(status);
	}
	serve_devices_free(serve->devices);
	if (serve->signals >= 0)
		close(serve->signals);
	if (serve->wake >= 0)
		close(serve->wake);
	host_watch_free(serve->watch);
	host_sysfs_close(&serve->sysfs);
	pthread_mutex_destroy(&serve->lock);
	return status;
}

/* Nothing that a client or the machine does waits for who reads the lines. */
static void log_start(void)
{
	if (log_writer_start())
		cused_log(CUSED_LOG_WARNING, "serve", "no memory for a queue of log lines: clients "
			  "wait while a line is written");
}

/* Whose settings are in force, and is anything kept? */
static int take_or_begin(struct serve *serve, struct cused_error *err)
{
	struct serve_kept *kept = serve->kept;
	bool was_again = kept->again;

	if (serve_kept_fits(kept, serve->conf)) {
		kept->settings.source = serve->conf->source;
		kept->settings.agent_socket = serve->conf->agent_socket;
		serve->conf = &kept->settings;
		return 0;
	}
	serve_kept_begin(kept, serve->conf);
	if (!was_again)
		return 0;
	devnode_recover("");
	return serve_sysfs_clear(serve->conf, err);
}

int serve_command(const struct conf *conf, char **args)
{
	struct serve serve = { .conf = conf, .kept = &kept_state, .file_read = conf->file_read,
			       .argv = conf->argv, .listener = -1,
			       .lock = PTHREAD_MUTEX_INITIALIZER };
	struct cused_error err;
	int r, status;

	conf_log_apply(conf, LOG_USUAL);
	/* Each thread has its own, so before there are more of them. */
	r = confine_capabilities(who(conf), &err);
	log_start();
	limits_raise();
	signals_take_over(&serve);
	machine_watch(&serve);
	if (r == 0)
		r = take_or_begin(&serve, &err);
	if (r == 0 && (serve.signals < 0 || serve.wake < 0))
		r = cused_error_set(&err, -EMFILE, "cannot make a signalfd or an eventfd");
	if (r == 0)
		r = start(&serve, &err);
	if (r && kept_state.again)
		begin_afresh(&serve, &err);
	if (r == 0)
		wait_for_the_end(&serve);
	else
		cused_log(CUSED_LOG_ERROR, "serve", "%s", err.text);
	if (serve.leaving)
		leave(&serve);
	status = stop(&serve);
	log_writer_end(LOG_END_MS);
	return r ? CLI_FAILURE : status;
}
