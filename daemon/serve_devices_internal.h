/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serve_devices_internal.h - between serve_devices.c, serve_leave.c and serve_host.c. */
#ifndef SERVE_DEVICES_INTERNAL_H
#define SERVE_DEVICES_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <util/list.h>

#include "serve_devices.h"

struct backing;

/* Of a device that is wanted and is not there. AWAITED: the machine does not have it. */
enum tried { NEW, WAITING, FAILED, DISMISSED, AWAITED };

/* A configuration that was loaded, or a device that was added. */
struct generation {
	const struct conf *conf;
	struct conf own;		/* what conf points to, but for the first one */
	unsigned users;			/* devices, and being wanted */
	enum tried tried[CONF_DEVICES_MAX];
	uint32_t told[CONF_DEVICES_MAX];	/* of AWAITED: a hash of why, as it was said */
	struct list item;		/* all->added */
};

struct entry {
	struct list item;		/* all->entries */
	struct generation *generation;
	const struct conf_device *conf;	/* in it */
	struct device *device;
	struct backing *backing;	/* NULL: its memory is in the core */
	uint64_t keep_id;		/* 0: it is not kept */
	bool leaving;
	bool lost;			/* it leaves because the machine takes it away */
	bool out;			/* revoked, and kept for its files alone */
	uint64_t asked;			/* monotonic milliseconds */
	uint64_t first_job, last_job;	/* of those who wait for it to go; 0: nobody */
	bool revoking;			/* there is a worker */
	pthread_t worker;
	atomic_bool revoked;		/* it has done its work */
};

/* A group that has a node. */
struct shown {
	struct list item;		/* all->shown */
	struct group *group;
	struct access_rights rights;	/* that we gave it; by hand it may have got others */
};

struct serve_devices {
	struct service *service;
	struct keep *keep;		/* these two: NULL: nothing outlives the process */
	struct fd_keep *fds;
	uint64_t last_id;		/* of entry.keep_id, of this process and those before */
	const struct conf *settings;	/* of the service */
	struct instance *instance;
	struct generation *wanted;
	bool want_changed;		/* since the last serve_devices_settle() */
	struct list added;		/* struct generation: by hand, and awaited */
	uint64_t retry_at;		/* monotonic milliseconds; 0: nothing is to be tried again */
	struct list entries, shown;
};

/* ---- serve_devices.c ---- */

void generation_unuse(struct generation *generation);
/* If no device of it is there, or all that are were revoked. */
void hide_group_if_empty(struct serve_devices *all, struct group *group);

/* Make the @index-th device of a configuration. Return: 0; -errno with @err set. */
int entry_make(struct serve_devices *all, struct generation *generation, size_t index,
	       struct cused_error *err);
/* The same with its number. @again: it is one of a process before, with that memory. */
int entry_make_numbered(struct serve_devices *all, struct generation *generation, size_t index,
			uint64_t keep_id, bool again, struct cused_error *err);
/* @conf: moved. NULL: no memory. */
struct generation *generation_new(struct conf *conf);
/* A group that has a node. @rights: as it has them. Return: 0, -ENOMEM. */
int shown_add(struct serve_devices *all, struct group *group,
	      const struct access_rights *rights);
struct shown *shown_find(const struct serve_devices *all, const struct group *group);

/* ---- serve_host.c ---- */

/* Is this error of making it one that passes? */
bool host_may_come(int r);
/* Of a device of the machine that cannot be made: it is awaited. Why is said, when it is
 * something else than before. @r: the error. */
void host_await(struct serve_devices *all, struct generation *generation, size_t index, int r,
		const char *why);
/* By hand, or a new configuration: it is not awaited any more. */
void host_forget(struct generation *generation);

/* ---- serve_leave.c ---- */

/* From now on nobody can open it. */
void entry_leave(struct serve_devices *all, struct entry *entry);
/* Go on with those that leave. Return: has one of them gone? @ret_left: is one still there? */
bool settle_leaving(struct serve_devices *all, bool *ret_left);

#endif
