/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <transport/agent.h>
#include <transport/devnode.h>
#include <transport/service.h>
#include <transport/sysfs.h>
#include <util/cleanup.h>
#include <util/log.h>

#include "cli.h"
#include "conf_load.h"
#include "serve.h"
#include "serve_devices.h"

#define SYSFS "/sys"
#define SETTLE_MS 100		/* between two looks at devices that leave */

struct serve {
	const struct conf *conf;
	struct service *service;
	struct serve_devices *devices;
	bool file_read;			/* the last configuration had a file */
	struct sysfs_plan *plan;	/* that lies over /sys; NULL: none */
	const char *agent_argv[5];	/* of the agent's program; of each one's, if it dies */
	int signals;
};

/* ---- before the configuration ---- */

static int complain(const char *text)
{
	fprintf(stderr, "vfio-cused: serve: %s\n", text);
	return CLI_FAILURE;
}

/* A service's agent has the lock for a moment while it cleans up. */
#define LOCK_TRIES 30
#define LOCK_PAUSE_MS 100

/* Held until the process ends; no child gets it. */
static int lock_take(struct cused_error *err)
{
	char folder[] = SERVE_LOCK;
	unsigned tries = LOCK_TRIES;
	int fd;

	*strrchr(folder, '/') = '\0';
	if (mkdir(folder, 0755) && errno != EEXIST)
		return cused_error_set(err, -errno, "cannot make %s: %s", folder,
				       strerror(errno));
	fd = open(SERVE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return cused_error_set(err, -errno, "cannot open %s: %s", SERVE_LOCK,
				       strerror(errno));
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (--tries > 0) {
			poll(NULL, 0, LOCK_PAUSE_MS);
			continue;
		}
		close(fd);
		return cused_error_set(err, -EBUSY, "another vfio-cused serve is running (it "
				       "holds %s): stop it first", SERVE_LOCK);
	}
	return 0;
}

int serve_prepare(const struct conf *conf)
{
	struct cused_error err;

	if (geteuid() != 0)
		return complain("it makes character devices for the whole machine, which takes "
				"root; without root, use vfio-cused run");
	if (lock_take(&err) || sysfs_unmount(SYSFS, &err))
		return complain(err.text);
	devnode_recover("");
	return 0;
}

/* ---- set-up ---- */

/* Lay what there is over /sys, or change what lies there to it. */
static int sysfs_lay(struct serve *serve, struct cused_error *err)
{
	struct instance *instance = serve_devices_instance(serve->devices);
	struct sysfs_plan *plan;
	struct cused_error why;
	int r;

	/* The machine's own are there without us. */
	if (!serve->plan && instance_n_simulated(instance) == 0)
		return 0;
	r = instance_sysfs(instance, SYSFS, &plan, err);
	if (r)
		return r;
	if (serve->plan && sysfs_update(serve->plan, plan, SYSFS, &why) == 0) {
		sysfs_plan_free(serve->plan);
		serve->plan = plan;
		return 0;
	}
	if (serve->plan) {
		/* For a moment there is nothing. */
		cused_log(CUSED_LOG_INFO, "serve", "%s is laid anew: %s", SYSFS, why.text);
		sysfs_plan_free(steal_ptr(serve->plan));
		r = sysfs_unmount(SYSFS, err);
	}
	if (r == 0)
		r = sysfs_mount(plan, SYSFS, err);
	if (r) {
		sysfs_plan_free(plan);
		sysfs_unmount(SYSFS, &why);
	} else {
		serve->plan = plan;
	}
	return r;
}

/* A node takes a file or two, a device and each client's interrupt one. */
static void files_allow(void)
{
	struct rlimit limit;

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
}

static void tell_state(struct serve *serve, const char *what, const char *more)
{
	struct service_status status;
	size_t devices = serve_devices_count(serve->devices);

	service_get_status(serve->service, &status);
	cused_log(CUSED_LOG_INFO, "serve", "%s: /dev/%s/vfio, %u group%s, %zu device%s%s",
		  what, serve->conf->service[CONF_SERVICE_PREFIX].string, status.nodes - 1, status.nodes == 2 ? "" : "s", devices,
		  devices == 1 ? "" : "s", more);
}

static int start(struct serve *serve, struct cused_error *err)
{
	bool sysfs = serve->conf->service[CONF_SERVICE_SYSFS].number;
	const char *dma = serve->conf->service[CONF_SERVICE_DMA].string;
	struct service_params params = {
		.agent = "/proc/self/exe", .agent_argv = serve->agent_argv,
		.socket = serve->conf->agent_socket ? serve->conf->agent_socket :
							SERVICE_AGENT_SOCKET,
		.prefix = serve->conf->service[CONF_SERVICE_PREFIX].string,
		.replace = serve->conf->service[CONF_SERVICE_REPLACE].number,
		.retry = !strcmp(serve->conf->service[CONF_SERVICE_MEMORY].string, "retry"),
		.courier = serve->conf->service[CONF_SERVICE_COURIER].number,
		.dma_by_file = strcmp(dma, "courier") != 0,
		.dma_by_courier = strcmp(dma, "file") != 0,
	};
	int r;

	serve->agent_argv[0] = "vfio-cused";
	serve->agent_argv[1] = "agent";
	serve->agent_argv[2] = sysfs ? "sysfs" : "no-sysfs";
	serve->agent_argv[3] = params.socket;
	r = service_new(&params, &serve->service, err);

	if (r == 0)
		r = serve_devices_new(serve->conf, serve->service, &serve->devices, err);
	if (r == 0)
		r = serve_devices_make(serve->devices, err);
	if (r == 0)
		r = service_start(serve->service,
				  instance_topology(serve_devices_instance(serve->devices)),
				  err);
	if (r == 0)
		r = serve_devices_show(serve->devices, err);
	if (r == 0 && sysfs)
		r = sysfs_lay(serve, err);
	if (r == 0)
		tell_state(serve, "ready", service_can_map(serve->service) ? "" :
			   "; this kernel has no FUSE passthrough (Linux 6.9), so no region can "
			   "be mapped");
	return r;
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
		r = conf_finish(conf, SYSFS, err);
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
	if (r == 0)
		r = serve_devices_want(serve->devices, &conf);
	conf_done(&conf);
	if (r) {
		cused_log(CUSED_LOG_ERROR, "serve", "the configuration stays as it was: %s",
			  r == -ENOMEM ? "out of memory" : err.text);
		return false;
	}
	serve->file_read = file_read;
	if (!same)
		cused_log(CUSED_LOG_WARNING, "serve", "settings of [iommu] and [service] have "
			  "changed; they take effect when the service is started again");
	return true;
}

static void sysfs_again(struct serve *serve)
{
	struct cused_error err;

	if (!serve->conf->service[CONF_SERVICE_SYSFS].number)
		return;
	if (sysfs_lay(serve, &err))
		cused_log(CUSED_LOG_ERROR, "serve", "%s", err.text);
}

/* Return: as serve_devices_settle(). */
static bool settle(struct serve *serve)
{
	bool changed, left = serve_devices_settle(serve->devices, &changed);

	if (changed)
		sysfs_again(serve);
	return left;
}

/* ---- the end ---- */

/* SIGHUP is for a new configuration; a terminal that hangs up is no reason to end. */
static void wait_for_the_end(struct serve *serve)
{
	struct pollfd p = { .fd = serve->signals, .events = POLLIN };
	struct signalfd_siginfo info;
	bool left = false;

	for (;;) {
		if (poll(&p, 1, left ? SETTLE_MS : -1) > 0) {
			if (read(serve->signals, &info, sizeof(info)) != sizeof(info))
				return;
			if (info.ssi_signo != SIGHUP)
				return;
			if (!reload(serve))
				continue;
			left = settle(serve);
			tell_state(serve, "reloaded", left ? ", and others that leave" : "");
		} else {
			left = settle(serve);
		}
	}
}

static int stop(struct serve *serve)
{
	struct cused_error err;
	int status = 0;

	if (serve->plan && sysfs_unmount(SYSFS, &err))
		status = complain(err.text);
	sysfs_plan_free(serve->plan);
	if (service_stop(serve->service)) {
		cused_log(CUSED_LOG_WARNING, "serve", "a call is still stalled by the memory of "
			  "its client; ending nevertheless");
		_exit(status);
	}
	serve_devices_free(serve->devices);
	if (serve->signals >= 0)
		close(serve->signals);
	return status;
}

int serve_command(const struct conf *conf, char **args)
{
	struct serve serve = { .conf = conf, .file_read = conf->file_read };
	struct cused_error err;
	int r, status;

	/* That it is ready is worth a line. */
	if (conf->verbose == 0)
		log_set_level(CUSED_LOG_INFO);
	files_allow();
	signals_take_over(&serve);
	r = serve.signals < 0 ? cused_error_set(&err, -EMFILE, "cannot make a signalfd") :
				start(&serve, &err);
	if (r == 0)
		wait_for_the_end(&serve);
	else
		cused_log(CUSED_LOG_ERROR, "serve", "%s", err.text);
	status = stop(&serve);
	return r ? CLI_FAILURE : status;
}

/* ---- the agent ---- */

static bool agent_cleans_sysfs;
static const char *agent_socket;

/* What a service that was killed has left; unless another one has taken its place. */
static void service_gone(void)
{
	struct cused_error err;

	/* The dead one's lock goes with its files, in no order that we could rely on. */
	if (lock_take(&err)) {
		cused_log(CUSED_LOG_WARNING, "agent", "nothing is cleaned up: %s", err.text);
		return;
	}
	if (agent_cleans_sysfs && sysfs_unmount(SYSFS, &err))
		cused_log(CUSED_LOG_WARNING, "agent", "%s", err.text);
	if (agent_socket)
		unlink(agent_socket);
	/* It is on its way: the kernel has not taken its devices yet. */
	for (unsigned i = 0; devnode_recover("") == -EBUSY && i < LOCK_TRIES; i++)
		poll(NULL, 0, LOCK_PAUSE_MS);
}

int agent_command(const struct conf *conf, char **args)
{
	agent_cleans_sysfs = args[0] && !strcmp(args[0], "sysfs");
	agent_socket = args[0] ? args[1] : NULL;
	if (agent_serve(service_gone) == 0)
		return 0;
	fputs("vfio-cused: agent: this command is started by vfio-cused serve, not by hand\n",
	      stderr);
	return CLI_FAILURE;
}
