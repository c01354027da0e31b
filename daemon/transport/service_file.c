/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/service_file.c - what clients have open of a node, by the numbers that the kernel has
 * for it (fuse_file_info.fh). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <core/container.h>
#include <core/group.h>
#include <transport/replay.h>
#include <transport/service_internal.h>
#include <transport/thread.h>

#define SETTLE_MS 200u			/* for calls at work on a file that is closed */
#define BUCKETS_MIN 16u			/* a power of 2 */

/* ---- the table of a node ---- */

int open_files_init(struct open_files *files)
{
	list_init(&files->all);
	files->n = 0;
	files->n_buckets = BUCKETS_MIN;
	files->buckets = calloc(BUCKETS_MIN, sizeof(struct open_file *));
	return files->buckets ? 0 : -ENOMEM;
}

void open_files_done(struct open_files *files)
{
	free(files->buckets);
	files->buckets = NULL;
}

/* Numbers follow each other, so their low bits are as good as any hash. */
static struct open_file **bucket(const struct open_files *files, uint64_t id)
{
	return &files->buckets[id & (files->n_buckets - 1)];
}

static void table_add(struct open_files *files, struct open_file *file)
{
	struct open_file **at = bucket(files, file->id);

	file->next = *at;
	*at = file;
}

/* Without memory the chains get longer. */
static void table_grow(struct open_files *files)
{
	struct open_files grown = *files;

	grown.n_buckets = 2 * files->n_buckets;
	grown.buckets = calloc(grown.n_buckets, sizeof(struct open_file *));
	if (!grown.buckets)
		return;
	for (size_t i = 0; i < files->n_buckets; i++) {
		struct open_file *file = files->buckets[i], *next;

		for (; file; file = next) {
			next = file->next;
			table_add(&grown, file);
		}
	}
	free(files->buckets);
	files->buckets = grown.buckets;
	files->n_buckets = grown.n_buckets;
}

/* Return: where the pointer to it is; of NULL: there is none. */
static struct open_file **table_find(const struct open_files *files, uint64_t id)
{
	struct open_file **at = bucket(files, id);

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

/* Return: NULL: there is none of that number. */
static struct open_file *table_take(struct open_files *files, uint64_t id)
{
	struct open_file **at = table_find(files, id), *file = *at;

	if (file) {
		*at = file->next;
		files->n--;
	}
	return file;
}

/* ---- records ---- */

static void record_put(const struct open_file *file)
{
	struct file_record record = { .minor = file->node->minor, .pid = file->who.pid,
				      .uid = file->who.uid };

	memcpy(record.name, file->who.name, sizeof(record.name));
	if (file->object.kind == OBJECT_CONTAINER)
		record.container = container_id(file->object.container);
	keep_put(file->node->service->params.keep, KEEP_OPEN_FILE, file->id, &record,
		 sizeof(record));
}

static void record_drop(const struct open_file *file)
{
	keep_drop(file->node->service->params.keep, KEEP_OPEN_FILE, file->id);
}

/* ---- open files ---- */

uint64_t open_file_first_id(void)
{
	struct timespec now;

	/* No process before has come that far since, as an open takes longer than a nanosecond. */
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void object_release(struct object object)
{
	if (object.kind == OBJECT_CONTAINER)
		container_release(object.container);
	else
		group_release(object.group);
}

static int object_open(struct node *node, const struct caller *caller, struct object *ret)
{
	ret->kind = node->kind;
	if (node->kind == OBJECT_CONTAINER)
		return container_open(node->service->topology, &ret->container);
	ret->group = node->group;
	return group_open(node->group, caller);
}

static void add(struct open_file *file)
{
	struct node *node = file->node;

	pthread_mutex_lock(&node->lock);
	list_push_back(&node->files.all, &file->item);
	if (node->files.n++ == node->files.n_buckets)
		table_grow(&node->files);
	table_add(&node->files, file);
	record_put(file);
	pthread_mutex_unlock(&node->lock);
}

int open_file_new(struct node *node, const struct caller *caller, const struct access_seen *seen,
		  const struct client_who *who, struct open_file **ret)
{
	struct open_file *file = calloc(1, sizeof(*file));
	int r;

	if (!file)
		return -ENOMEM;
	r = object_open(node, caller, &file->object);
	if (r) {
		free(file);
		return r;
	}
	file->id = atomic_fetch_add(&node->service->next_file, 1);
	file->node = node;
	file->seen = *seen;
	file->who = *who;
	file->uses = 1;
	add(file);
	*ret = file;
	return 0;
}

int open_file_adopt(struct node *node, uint64_t id, struct object object,
		    const struct file_record *record)
{
	struct open_file *file = calloc(1, sizeof(*file));

	if (!file) {
		object_release(object);
		return -ENOMEM;
	}
	file->id = id;
	file->node = node;
	file->object = object;
	file->who = (struct client_who){ .pid = record->pid, .uid = record->uid };
	memcpy(file->who.name, record->name, sizeof(file->who.name));
	file->uses = 1;
	if (atomic_load(&node->service->next_file) <= id)
		atomic_store(&node->service->next_file, id + 1);
	add(file);
	return 0;
}

struct open_file *open_file_get(struct node *node, uint64_t id)
{
	struct open_file *file;

	pthread_mutex_lock(&node->lock);
	file = *table_find(&node->files, id);
	if (file)
		file->uses++;
	pthread_mutex_unlock(&node->lock);
	return file;
}

void open_file_unuse(struct open_file *file)
{
	struct node *node;
	bool last;

	if (!file)
		return;
	node = file->node;
	pthread_mutex_lock(&node->lock);
	last = --file->uses == 0;
	if (last)
		list_remove(&file->item);
	else if (file->closing && file->uses == 1)
		pthread_cond_broadcast(&node->changed);
	pthread_mutex_unlock(&node->lock);
	if (!last)
		return;
	object_release(file->object);
	free(file);
}

void open_file_swap(struct open_file *file, bool on)
{
	pthread_mutex_lock(&file->node->lock);
	file->swapped = on;
	pthread_mutex_unlock(&file->node->lock);
}

/* The thread of a call that was just answered has the file a little longer than the client.
 * Wait for it, as the close is to have taken effect; but not for a call that is stalled. */
static void settle(struct open_file *file)
{
	struct timespec deadline = thread_deadline(CLOCK_MONOTONIC, SETTLE_MS);
	struct node *node = file->node;

	pthread_mutex_lock(&node->lock);
	file->closing = true;
	while (file->uses > 1 && !file->swapped &&
	       pthread_cond_timedwait(&node->changed, &node->lock, &deadline) == 0)
		;
	pthread_mutex_unlock(&node->lock);
}

void open_file_close(struct node *node, uint64_t id)
{
	struct open_file *file;

	pthread_mutex_lock(&node->lock);
	file = table_take(&node->files, id);
	if (file)
		record_drop(file);
	pthread_mutex_unlock(&node->lock);
	if (!file)
		return;
	/* What follows can take longer than the close waits. What has no file is closed by whoever
	 * takes over. */
	replay_commit();
	settle(file);
	open_file_unuse(file);
}

void open_files_abandon(struct node *node)
{
	struct open_file *file;

	pthread_mutex_lock(&node->lock);
	while (!list_empty(&node->files.all)) {
		file = container_of(node->files.all.next, struct open_file, item);
		list_remove(&file->item);	/* and again, harmlessly, by the last use */
		/* One that was closed has a stalled call, which gives it back. */
		if (!table_take(&node->files, file->id))
			continue;
		record_drop(file);
		pthread_mutex_unlock(&node->lock);
		open_file_unuse(file);
		pthread_mutex_lock(&node->lock);
	}
	pthread_mutex_unlock(&node->lock);
}
