/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <util/cleanup.h>
#include <util/list.h>
#include <util/log.h>

#include "fd_store.h"

#define BUCKETS 1024u

struct stored {
	struct list item;		/* of its bucket */
	int fd;				/* that was passed and not taken yet; or -1 */
	char name[FD_KEEP_NAME_SIZE];
};

struct fd_store {
	struct fd_keep files;		/* first */
	struct keep *keep;
	unsigned max;
	pthread_mutex_t lock;		/* all below, and messages */
	struct list buckets[BUCKETS];	/* struct stored */
	unsigned n;
	size_t names;			/* bytes */
	bool told;
};

static struct fd_store *store_of(struct fd_keep *files)
{
	return container_of(files, struct fd_store, files);
}

static struct list *bucket_of(struct fd_store *store, const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return &store->buckets[(hash ^ hash >> 16) % BUCKETS];
}

static struct stored *find(struct fd_store *store, const char *name)
{
	list_for_each(it, bucket_of(store, name)) {
		struct stored *stored = container_of(it, struct stored, item);

		if (!strcmp(stored->name, name))
			return stored;
	}
	return NULL;
}

/* NULL: no memory. */
static struct stored *add(struct fd_store *store, const char *name, int fd)
{
	struct stored *stored = calloc(1, sizeof(*stored));

	if (!stored)
		return NULL;
	stored->fd = fd;
	snprintf(stored->name, sizeof(stored->name), "%s", name);
	list_push_back(bucket_of(store, stored->name), &stored->item);
	store->n++;
	store->names += strlen(stored->name) + 1;
	return stored;
}

static void forget(struct fd_store *store, struct stored *stored)
{
	store->n--;
	store->names -= strlen(stored->name) + 1;
	list_remove(&stored->item);
	if (stored->fd >= 0)
		close(stored->fd);
	free(stored);
}

/* ---- messages ---- */

static void tell_removed(const char *name)
{
	char text[FD_KEEP_NAME_SIZE + 64];

	/* A manager that does not hear that holds it until the service is stopped. */
	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	sd_notify(0, text);
}

/* Return: 0; -errno. */
static int send_fd(const char *name, int fd)
{
	char text[FD_KEEP_NAME_SIZE + 64];
	int r;

	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	r = sd_pid_notify_with_fds(0, 0, text, &fd, 1);
	return r < 0 ? r : r == 0 ? -ENOTCONN : 0;
}

/* ---- struct fd_keep ---- */

/* With the lock. */
static void drop(struct fd_store *store, const char *name)
{
	struct stored *stored = find(store, name);

	if (!stored)
		return;
	tell_removed(name);
	forget(store, stored);
}

static int put(struct fd_store *store, const char *name, int fd)
{
	struct stored *stored;
	int r;

	drop(store, name);
	if (store->n >= store->max || store->names + strlen(name) + 1 > FD_STORE_NAMES_MAX)
		return -ENOSPC;
	stored = add(store, name, -1);
	if (!stored)
		return -ENOMEM;
	r = send_fd(name, fd);
	if (r)
		forget(store, stored);
	return r;
}

static void store_put(struct fd_keep *files, const char *name, int fd)
{
	struct fd_store *store = store_of(files);
	unsigned n;
	bool told;
	int r;

	pthread_mutex_lock(&store->lock);
	r = put(store, name, fd);
	n = store->n;
	told = store->told;
	store->told = told || r;
	pthread_mutex_unlock(&store->lock);
	if (!r)
		return;
	keep_break(store->keep);
	if (told)
		return;
	if (r == -ENOSPC)
		cused_log(CUSED_LOG_WARNING, "serve", "the service manager keeps %u descriptors, "
			  "and can keep no more (FileDescriptorStoreMax= of the unit): the next "
			  "restart of the service will be one that clients notice", n);
	else
		cused_log(CUSED_LOG_WARNING, "serve", "cannot give %s to the service manager: %s; the "
			  "next restart of the service will be one that clients notice", name,
			  strerror(-r));
}

static void store_drop(struct fd_keep *files, const char *name)
{
	struct fd_store *store = store_of(files);

	pthread_mutex_lock(&store->lock);
	drop(store, name);
	pthread_mutex_unlock(&store->lock);
}

static int store_take(struct fd_keep *files, const char *name)
{
	struct fd_store *store = store_of(files);
	struct stored *stored;
	int fd = -1;

	pthread_mutex_lock(&store->lock);
	stored = find(store, name);
	if (stored)
		fd = steal_fd(&stored->fd);
	pthread_mutex_unlock(&store->lock);
	return fd;
}

/* A device ends with the last descriptor of it. */
static void store_settle(struct fd_keep *files)
{
	sd_notify_barrier(0, FD_STORE_CLOSE_MS * 1000ull);
}

/* ---- all of them ---- */

static unsigned drop_if(struct fd_store *store, bool all)
{
	unsigned n = 0;

	pthread_mutex_lock(&store->lock);
	for (unsigned i = 0; i < BUCKETS; i++) {
		list_for_each_safe(it, tmp, &store->buckets[i]) {
			struct stored *stored = container_of(it, struct stored, item);

			if (!all && stored->fd < 0)
				continue;
			tell_removed(stored->name);
			forget(store, stored);
			n++;
		}
	}
	pthread_mutex_unlock(&store->lock);
	return n;
}

unsigned fd_store_sweep(struct fd_store *store)
{
	return drop_if(store, false);
}

void fd_store_drop_all(struct fd_store *store)
{
	if (drop_if(store, true))
		store_settle(&store->files);
}

unsigned fd_store_count(struct fd_store *store)
{
	unsigned n;

	pthread_mutex_lock(&store->lock);
	n = store->n;
	pthread_mutex_unlock(&store->lock);
	return n;
}

unsigned fd_store_room(const struct fd_store *store)
{
	return store->max;
}

/* ---- life ---- */

/* What was passed. Return: 0, -ENOMEM. */
static int take_passed(struct fd_store *store, int n, char **names)
{
	int r = 0;

	for (int i = 0; i < n; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		/* One of a name is what we have put; others are nobody's. */
		if (r || strlen(names[i]) >= FD_KEEP_NAME_SIZE || find(store, names[i])) {
			close(fd);
			continue;
		}
		if (!add(store, names[i], fd)) {
			close(fd);
			r = -ENOMEM;
		}
	}
	return r;
}

int fd_store_new(unsigned max, struct fd_store **ret)
{
	struct fd_store *store = calloc(1, sizeof(*store));
	char **names = NULL;
	int n, r;

	if (!store)
		return -ENOMEM;
	store->files = (struct fd_keep){ .put = store_put, .drop = store_drop,
					 .take = store_take, .settle = store_settle };
	store->max = max < FD_STORE_MAX ? max : FD_STORE_MAX;
	pthread_mutex_init(&store->lock, NULL);
	for (unsigned i = 0; i < BUCKETS; i++)
		list_init(&store->buckets[i]);
	n = sd_listen_fds_with_names(1, &names);
	r = n < 0 ? n : take_passed(store, n, names);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	if (r) {
		fd_store_free(store);
		return r;
	}
	if (store->max == 0)
		fd_store_drop_all(store);
	*ret = store;
	return 0;
}

void fd_store_free(struct fd_store *store)
{
	if (!store)
		return;
	for (unsigned i = 0; i < BUCKETS; i++) {
		list_for_each_safe(it, tmp, &store->buckets[i])
			forget(store, container_of(it, struct stored, item));
	}
	pthread_mutex_destroy(&store->lock);
	free(store);
}

void fd_store_set_keep(struct fd_store *store, struct keep *keep)
{
	store->keep = keep;
}

struct fd_keep *fd_store_files(struct fd_store *store)
{
	return &store->files;
}
