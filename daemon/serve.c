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

#include <core/group.h>
#include <core/topology.h>
#include <transport/agent.h>
#include <transport/backing.h>
#include <transport/devnode.h>
#include <transport/service.h>
#include <transport/sysfs.h>
#include <transport/window.h>
#include <util/cleanup.h>
#include <util/log.h>

#include "cli.h"
#include "instance.h"
#include "serve.h"

#define SYSFS "/sys"

struct serve {
	const struct conf *conf;
	struct service *service;
	struct instance *instance;
	struct backing *backings[CONF_DEVICES_MAX];
	struct cused_error backing_err;
	bool mounted;
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

static int backing_make(void *arg, unsigned index, struct instance_backing *ret)
{
	struct serve *serve = arg;
	int r;

	if (!service_can_map(serve->service)) {
		ret->no_mmap = true;
		return 0;
	}
	r = backing_new(0, &serve->backings[index], &serve->backing_err);
	if (r)
		return r;
	ret->ops = &backing_memfd_ops;
	ret->arg = serve->backings[index];
	return 0;
}

static int devices_make(struct serve *serve, struct cused_error *err)
{
	int r = instance_new(serve->conf, backing_make, serve, &serve->instance, err);

	if (r && serve->backing_err.text[0])
		*err = serve->backing_err;
	for (size_t i = 0; r == 0 && i < serve->conf->n_devices; i++) {
		struct backing *backing = serve->backings[i];

		if (!backing)
			continue;
		r = backing_seal(backing);
		if (r == 0)
			r = service_add_device(serve->service,
					       instance_device(serve->instance, i),
					       backing_fd(backing));
		if (r)
			cused_error_set(err, r, "device %s: cannot share its memory with "
					"clients: %s", serve->conf->devices[i].id,
					strerror(-r));
	}
	return r;
}

struct adding {
	struct serve *serve;
	struct cused_error *err;
	unsigned n;
};

static int add_group(struct group *group, void *arg)
{
	struct adding *adding = arg;
	struct conf_rights given = conf_rights(adding->serve->conf, group_id(group));
	struct access_rights rights = { .checked = given.given, .mode = given.mode,
					.uid = given.uid, .gid = given.gid };

	adding->n++;
	return service_add_group(adding->serve->service, group, &rights, adding->err);
}

static int sysfs_lay(struct serve *serve, struct cused_error *err)
{
	struct sysfs_plan *plan;
	struct cused_error ignored;
	int r = instance_sysfs(serve->instance, SYSFS, &plan, err);

	if (r)
		return r;
	r = sysfs_mount(plan, SYSFS, err);
	sysfs_plan_free(plan);
	if (r)
		sysfs_unmount(SYSFS, &ignored);
	else
		serve->mounted = true;
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

static int start(struct serve *serve, struct cused_error *err)
{
	bool sysfs = serve->conf->service[CONF_SERVICE_SYSFS].number;
	struct service_params params = {
		.agent = "/proc/self/exe", .agent_argv = serve->agent_argv,
		.socket = serve->conf->agent_socket ? serve->conf->agent_socket :
							SERVICE_AGENT_SOCKET,
		.prefix = serve->conf->service[CONF_SERVICE_PREFIX].string,
		.replace = serve->conf->service[CONF_SERVICE_REPLACE].number,
		.retry = !strcmp(serve->conf->service[CONF_SERVICE_MEMORY].string, "retry"),
		.courier = serve->conf->service[CONF_SERVICE_COURIER].number,
	};
	struct adding adding = { .err = err };
	int r;

	serve->agent_argv[0] = "vfio-cused";
	serve->agent_argv[1] = "agent";
	serve->agent_argv[2] = sysfs ? "sysfs" : "no-sysfs";
	serve->agent_argv[3] = params.socket;
	r = service_new(&params, &serve->service, err);

	if (r == 0)
		r = devices_make(serve, err);
	if (r == 0)
		r = service_start(serve->service, instance_topology(serve->instance), err);
	adding.serve = serve;
	if (r == 0)
		r = topology_each_group(instance_topology(serve->instance), add_group,
					&adding);
	if (r == 0 && sysfs)
		r = sysfs_lay(serve, err);
	if (r == 0)
		cused_log(CUSED_LOG_INFO, "serve", "ready: /dev/%s/vfio, %u group%s, %zu "
			  "device%s%s", params.prefix, adding.n, adding.n == 1 ? "" : "s",
			  serve->conf->n_devices, serve->conf->n_devices == 1 ? "" : "s",
			  service_can_map(serve->service) ? "" : "; this kernel has no FUSE "
			  "passthrough (Linux 6.9), so no region can be mapped");
	return r;
}

/* ---- the end ---- */

static void wait_for_the_end(const struct serve *serve)
{
	struct signalfd_siginfo info;

	while (read(serve->signals, &info, sizeof(info)) == sizeof(info)) {
		/* A terminal that hangs up is no reason for a service. */
		if (info.ssi_signo != SIGHUP)
			return;
	}
}

static int stop(struct serve *serve)
{
	struct cused_error err;
	int status = 0;

	if (serve->mounted && sysfs_unmount(SYSFS, &err))
		status = complain(err.text);
	if (service_stop(serve->service)) {
		cused_log(CUSED_LOG_WARNING, "serve", "a call is still stalled by the memory of "
			  "its client; ending nevertheless");
		_exit(status);
	}
	instance_free(serve->instance);
	for (size_t i = 0; i < CONF_DEVICES_MAX; i++)
		backing_free(serve->backings[i]);
	if (serve->signals >= 0)
		close(serve->signals);
	return status;
}

int serve_command(const struct conf *conf, char **args)
{
	struct serve serve = { .conf = conf };
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
