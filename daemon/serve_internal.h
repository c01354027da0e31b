/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serve_internal.h - between serve.c, serve_agent.c, serve_ctl.c and serve_sysfs.c.
 *
 * The main thread takes up new configurations and goes on with what comes and leaves; the
 * control's thread tells about it, and adds and dismisses devices. One at a time: each has
 * `lock` for what it does. None of those that serve clients wants it.
 */
#ifndef SERVE_INTERNAL_H
#define SERVE_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "conf.h"
#include "ctl.h"
#include "host_sysfs.h"
#include "serve_kept.h"

#define SERVE_SYSFS "/sys"

struct serve {
	const struct conf *conf;	/* its settings are in force */
	char **argv;			/* of the program */
	struct serve_kept *kept;
	struct service *service;
	pthread_mutex_t lock;
	struct serve_devices *devices;	/* lock, once the service is there; as the next ones */
	bool file_read;			/* the last configuration had a file */
	struct host_sysfs sysfs;	/* the machine's, under what was laid over it */
	struct host_watch *watch;	/* NULL: the machine is not followed */
	bool followed;			/* lock; since the last look at what lies over /sys */
	struct sysfs_plan *plan;	/* that lies over /sys; NULL: none */
	const char *agent_argv[7];	/* of the agent's program; of each one's, if it dies */
	char told[256];			/* to the service manager, of what is served */
	int signals;
	int wake;			/* an eventfd: look at the devices */

	int listener;			/* of the control socket, until it is served; or -1 */
	uid_t ctl_owner;
	const char *ctl_path;		/* "": there is none */
	struct ctl_server *ctl;
	uint64_t last_job;		/* lock */
	bool stopping;			/* lock */
	bool leaving;			/* lock; another process takes over */
	uint64_t stop_at;		/* lock; monotonic nanoseconds, at the latest; 0: no such */
};

/* ---- serve_agent.c ---- */

/* The socket of a manager that starts agents; NULL: the service starts its agent itself. (Before the
 * configuration is finished, what nobody has said is not there.) */
const char *serve_agent_connect(const struct conf *conf);

/* A service's agent has it for a moment while it cleans up. */
#define LOCK_TRIES 30
#define LOCK_PAUSE_MS 100

/* Held until the process ends; no child gets it. Return: 0; -EBUSY another one has it; -errno;
 * with @err set. */
int serve_lock_take(struct cused_error *err);
/*
 * serve_lock_is_followed - is there another service in the place of one that has gone?
 * @path: of the lock
 * @settle_ms: for the one that has gone to have lost the lock: its files go in no order
 * @grace_ms: for another one to come, @settle_ms included
 * Waits. Who looks has the lock for a moment, now and then.
 */
bool serve_lock_is_followed(const char *path, unsigned settle_ms, unsigned grace_ms);

/* ---- serve_sysfs.c ---- */

/* Change what lies over /sys to what there is, if that is wanted. The umask changes meanwhile:
 * nobody else may make files. Return: 0; -errno with @err set.  Locks: serve.lock held. */
int serve_sysfs(struct serve *serve, struct cused_error *err);
/* Take away what a killed service left there. Before there is an agent of ours. Return: 0; -errno with
 * @err set. */
int serve_sysfs_clear(const struct conf *conf, struct cused_error *err);
/* What lies there is the process's before: it is known from then on, or cleared. Return: as
 * serve_sysfs_clear(). */
int serve_sysfs_adopt(struct serve *serve, struct cused_error *err);
/* Does what lies there hide what has come to the machine since? */
bool serve_sysfs_shows_wrong(struct serve *serve);

/* ---- serve_ctl.c ---- */

/* Make the control socket, before anything is served, so that one that is in use is an early
 * error. Return: 0, also if there is to be none; -errno with @err set. */
int serve_ctl_listen(struct serve *serve, struct cused_error *err);
/* Answer. Return: 0; -errno with @err set. */
int serve_ctl_start(struct serve *serve, struct cused_error *err);
/* Has an orderly stop come to its end? Locks: serve.lock held. */
bool serve_ctl_may_end(struct serve *serve);
/* Return: 0; -EBUSY something is stalled by a client: nothing that is served may be freed. */
int serve_ctl_stop(struct serve *serve);

#endif
