/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serve_agent.c - the agent's program, and the lock that it shares with the service: see serve.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <transport/agent.h>
#include <transport/confine.h>
#include <transport/devnode.h>
#include <transport/sysfs.h>
#include <transport/thread.h>
#include <util/cleanup.h>
#include <util/log.h>

#include "cli.h"
#include "serve.h"
#include "serve_internal.h"

const char *serve_agent_connect(const struct conf *conf)
{
	const char *path = conf->service[CONF_SERVICE_AGENT].string;

	return path && strcmp(path, "off") != 0 ? path : NULL;
}

int serve_lock_take(struct cused_error *err)
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

bool serve_lock_is_followed(const char *path, unsigned settle_ms, unsigned grace_ms)
{
	cleanup_close int fd = open(path, O_RDWR | O_CLOEXEC);

	uint64_t begin = thread_now_ns(), ms;

	if (fd < 0)
		return false;
	do {
		ms = (thread_now_ns() - begin) / 1000000;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			flock(fd, LOCK_UN);
		else if (ms >= settle_ms)
			return true;
		poll(NULL, 0, LOCK_PAUSE_MS);
	} while (ms < grace_ms);
	return false;
}

/* ---- the agent ---- */

static bool agent_cleans_sysfs, agent_waits;
static const char *agent_socket, *agent_ctl;

/* What a service that was killed has left; unless another one has taken its place. */
static void service_gone(bool orderly)
{
	struct cused_error err;

	if (orderly)
		return;
	if (agent_waits &&
	    serve_lock_is_followed(SERVE_LOCK, LOCK_TRIES * LOCK_PAUSE_MS, AGENT_GRACE_S * 1000))
		return;
	/* The dead one's lock goes with its files, in no order that we could rely on. */
	if (serve_lock_take(&err)) {
		cused_log(CUSED_LOG_WARNING, "agent", "nothing is cleaned up: %s", err.text);
		return;
	}
	if (agent_cleans_sysfs && sysfs_unmount(SERVE_SYSFS, &err))
		cused_log(CUSED_LOG_WARNING, "agent", "%s", err.text);
	if (agent_socket)
		unlink(agent_socket);
	if (agent_ctl && *agent_ctl)
		unlink(agent_ctl);
	/* It is on its way: the kernel has not taken its devices yet. */
	for (unsigned i = 0; devnode_recover("") == -EBUSY && i < LOCK_TRIES; i++)
		poll(NULL, 0, LOCK_PAUSE_MS);
}

int agent_command(const struct conf *conf, char **args)
{
	char *unit_args[AGENT_ARGS_MAX];
	struct cused_error err;

	if (agent_is_unit()) {
		int r = agent_unit_hello(unit_args);

		if (r <= 0) {
			if (r)
				cused_log(CUSED_LOG_ERROR, "agent", "who connected is no service: "
					  "%s", strerror(-r));
			return r ? CLI_FAILURE : 0;
		}
		args = unit_args;
	}
	agent_cleans_sysfs = args[0] && !strcmp(args[0], "sysfs");
	agent_socket = args[0] ? args[1] : NULL;
	agent_ctl = agent_socket ? args[2] : NULL;
	agent_waits = agent_ctl && args[3] && !strcmp(args[3], "keep");
	if (confine_capabilities(CONFINE_AGENT, &err)) {
		cused_log(CUSED_LOG_ERROR, "agent", "%s", err.text);
		return CLI_FAILURE;
	}
	if (agent_serve(service_gone) == 0)
		return 0;
	return cli_complain("agent: this command is started by vfio-cused serve, not by hand");
}
