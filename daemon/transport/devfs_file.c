/* SPDX-License-Identifier: GPL-2.0-or-later */
/* devfs_file.c - device files: how they come, wait and go. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <transport/devfs_internal.h>
#include <transport/replay.h>
#include <transport/thread.h>
#include <util/keep.h>

struct devfs_file *devfs_file_find(struct devfs *devfs, uint64_t ino)
{
	list_for_each(it, &devfs->chains[ino % DEVFS_CHAINS]) {
		struct devfs_file *file = container_of(it, struct devfs_file, chain);

		if (file->ino == ino)
			return file;
	}
	return NULL;
}

struct devfs_file *devfs_file_named(struct devfs *devfs, const char *name)
{
	list_for_each(it, &devfs->files) {
		struct devfs_file *file = container_of(it, struct devfs_file, item);

		if (!strcmp(file->name, name))
			return file;
	}
	return NULL;
}

void devfs_file_end(struct devfs *devfs, struct devfs_file *file)
{
	struct device_file *device = file->device;
	struct keep_batch batch;

	if (file->state == STATE_CLOSED)
		return;
	if (file->uses) {
		file->state = STATE_CLOSING;
		devfs_keep_file(devfs, file);
		return;
	}
	file->state = STATE_CLOSED;
	atomic_store(&devfs->restless, true);
	file->flushed = true;
	file->until = thread_deadline(CLOCK_MONOTONIC, DEVFS_RELEASE_MS);
	pthread_mutex_unlock(&devfs->lock);
	/* The use of the device ends with the file, and before anybody who waits for that goes
	 * on. */
	keep_begin(devfs->keep, &batch);
	devfs_keep_closed(devfs, file);
	device_file_release(device);
	keep_end(&batch);
	replay_commit();
	pthread_mutex_lock(&devfs->lock);
	list_remove(&file->item);
	list_remove(&file->chain);
	pthread_cond_broadcast(&devfs->changed);
	access_unref(file->access);
	free(file);
}

struct devfs_file *devfs_file_at(struct devfs *devfs, uint64_t place)
{
	list_for_each(it, &devfs->files) {
		struct devfs_file *file = container_of(it, struct devfs_file, item);

		if (file->state == STATE_GRANTED && place && file->place == place)
			return file;
	}
	return NULL;
}

void devfs_file_restart_clock(struct devfs_file *file)
{
	unsigned ms = file->opener ? DEVFS_RELEASE_MS : DEVFS_SETTLE_MS;

	file->until = thread_deadline(CLOCK_MONOTONIC, file->state == STATE_GRANTED ?
							       DEVFS_TOKEN_MS : ms);
}

/* With the lock. */
static void file_not_flushed(struct devfs *devfs, struct devfs_file *file)
{
	file->flushed = false;
	devfs_keep_file(devfs, file);
}

static struct devfs_file *file_new(struct device_file *device, struct access *access,
			     const struct client_who *who)
{
	struct devfs_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	if (who)
		file->who = *who;
	file->device = device;
	file->group = device_group(device_file_device(device));
	file->access = access ? access_ref(access) : NULL;
	file->state = STATE_GRANTED;
	devfs_file_restart_clock(file);
	return file;
}

void devfs_file_add(struct devfs *devfs, struct devfs_file *file)
{
	list_for_each(it, &devfs->backed) {
		struct devfs_backed *backed = container_of(it, struct devfs_backed, item);

		if (backed->device == device_file_device(file->device))
			file->backing_id = backed->backing_id;
	}
	atomic_store(&devfs->restless, true);
	list_push_back(&devfs->files, &file->item);
	list_push_back(&devfs->chains[file->ino % DEVFS_CHAINS], &file->chain);
}

/* With the lock. */
static void file_publish(struct devfs *devfs, struct devfs_file *file)
{
	file->ino = ++devfs->last_ino;
	devfs_file_add(devfs, file);
	devfs_keep_file(devfs, file);
}

int devfs_grant(struct devfs *devfs, struct device_file *device, struct access *access,
		const struct client_who *who,
		uint8_t ret_token[SERVICE_TOKEN_SIZE])
{
	struct devfs_file *file;

	if (getrandom(ret_token, SERVICE_TOKEN_SIZE, 0) != SERVICE_TOKEN_SIZE)
		return -EIO;
	file = file_new(device, access, who);
	if (!file)
		return -ENOMEM;
	service_token_name(ret_token, file->name);
	pthread_mutex_lock(&devfs->lock);
	file_publish(devfs, file);
	pthread_mutex_unlock(&devfs->lock);
	return 0;
}

int devfs_grant_place(struct devfs *devfs, struct device_file *device, struct access *access,
		      const struct client_who *who, uint64_t place)
{
	struct devfs_file *file, *before;

	if (place == 0 || place > SERVICE_PLACE_MAX)
		return -EINVAL;
	file = file_new(device, access, who);
	if (!file)
		return -ENOMEM;
	file->place = place;
	pthread_mutex_lock(&devfs->lock);
	while ((before = devfs_file_at(devfs, place)))
		devfs_file_end(devfs, before);
	file_publish(devfs, file);
	pthread_mutex_unlock(&devfs->lock);
	return 0;
}

void devfs_file_flushed(struct devfs *devfs, struct devfs_file *file)
{
	atomic_store(&devfs->restless, true);
	file->flushed = true;
	file->by_opener = false;
	devfs_file_restart_clock(file);
}

void devfs_delivered(struct devfs *devfs, const uint8_t token[SERVICE_TOKEN_SIZE])
{
	char name[SERVICE_TOKEN_NAME_SIZE];
	struct devfs_file *file;

	service_token_name(token, name);
	pthread_mutex_lock(&devfs->lock);
	file = devfs_file_named(devfs, name);
	if (file && file->state != STATE_CLOSED && file->flushed && file->by_opener) {
		file_not_flushed(devfs, file);
		pthread_cond_broadcast(&devfs->changed);
	}
	pthread_mutex_unlock(&devfs->lock);
}

void devfs_revoke(struct devfs *devfs, const uint8_t token[SERVICE_TOKEN_SIZE])
{
	char name[SERVICE_TOKEN_NAME_SIZE];
	struct devfs_file *file;

	service_token_name(token, name);
	pthread_mutex_lock(&devfs->lock);
	file = devfs_file_named(devfs, name);
	if (file && file->state == STATE_GRANTED)
		devfs_file_end(devfs, file);
	pthread_mutex_unlock(&devfs->lock);
}

static bool is_over(const struct timespec *until)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > until->tv_sec ||
	       (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec);
}

static bool is_unsettled(const struct devfs_file *file)
{
	return file->flushed || (file->state == STATE_GRANTED && is_over(&file->until));
}

/* One file, of @group or of all, about which there is something to wait for or to do. With
 * the lock. */
static struct devfs_file *unsettled(struct devfs *devfs, const struct group *group)
{
	list_for_each(it, &devfs->files) {
		struct devfs_file *file = container_of(it, struct devfs_file, item);

		if (group && file->group != group)
			continue;
		if (is_unsettled(file))
			return file;
	}
	return NULL;
}

static bool is_among(const struct group *group, const struct group **groups, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (groups[i] == group)
			return true;
	}
	return false;
}

unsigned devfs_unsettled(struct devfs *devfs, const struct group **ret, unsigned max)
{
	bool restless = false;
	unsigned n = 0;

	if (!atomic_load(&devfs->restless))
		return 0;
	pthread_mutex_lock(&devfs->lock);
	list_for_each(it, &devfs->files) {
		struct devfs_file *file = container_of(it, struct devfs_file, item);

		restless |= file->flushed || file->state == STATE_GRANTED;
		if (n < max && is_unsettled(file) && !is_among(file->group, ret, n))
			ret[n++] = file->group;
	}
	atomic_store(&devfs->restless, restless);
	pthread_mutex_unlock(&devfs->lock);
	return n;
}

void devfs_settle(struct devfs *devfs, const struct group *group)
{
	struct timespec until;
	struct devfs_file *file;

	pthread_mutex_lock(&devfs->lock);
	while ((file = unsettled(devfs, group))) {
		until = file->until;
		if (file->state == STATE_GRANTED)
			devfs_file_end(devfs, file);
		/* A copy of the fd was closed, and another one is still open. */
		else if (is_over(&until))
			file_not_flushed(devfs, file);
		else
			pthread_cond_timedwait(&devfs->changed, &devfs->lock, &until);
	}
	pthread_mutex_unlock(&devfs->lock);
}

unsigned devfs_count(struct devfs *devfs)
{
	unsigned n = 0;

	pthread_mutex_lock(&devfs->lock);
	list_for_each(it, &devfs->files)
		n++;
	pthread_mutex_unlock(&devfs->lock);
	return n;
}

int devfs_files(struct devfs *devfs, struct open_notes *ret)
{
	int r = 0;

	pthread_mutex_lock(&devfs->lock);
	list_for_each(it, &devfs->files) {
		struct devfs_file *file = container_of(it, struct devfs_file, item);
		struct object object = { .kind = OBJECT_DEVICE, .device = file->device };

		/* The device of a closed one is being released. */
		if (r == 0 && file->state != STATE_CLOSED)
			r = open_notes_add(ret, &file->who, object);
	}
	pthread_mutex_unlock(&devfs->lock);
	return r;
}
