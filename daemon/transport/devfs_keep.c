/* SPDX-License-Identifier: GPL-2.0-or-later */
/* devfs_keep.c - device files as records, and made of them again; devfs.h has the theory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <transport/devfs_internal.h>
#include <util/keep.h>
#include <vfio-cused/log.h>

/* By the file's number. */
struct file_record {
	uint64_t device;		/* device_params.keep_id */
	uint64_t place;
	int32_t opener;
	int32_t pid;			/* struct client_who, to who */
	uint32_t uid;
	char who[16];
	char name[SERVICE_TOKEN_NAME_SIZE];
	uint8_t state;			/* enum devfs_state */
	uint8_t has_access, flushed, by_opener;
	uint8_t zero[7];
};
_Static_assert(sizeof(struct file_record) == 88, "no bytes that nobody sets");
_Static_assert(sizeof(((struct file_record *)0)->who) ==
		      sizeof(((struct client_who *)0)->name), "names of clients");

void devfs_keep_file(struct devfs *devfs, const struct devfs_file *file)
{
	struct file_record record = {
		.place = file->place,
		.opener = file->opener,
		.pid = file->who.pid,
		.uid = file->who.uid,
		.state = (uint8_t)file->state,
		.has_access = file->access != NULL,
		.flushed = file->flushed,
		.by_opener = file->by_opener,
	};

	/* The device of a closed one is being released. */
	if (file->state == STATE_CLOSED)
		return;
	record.device = device_keep_id(device_file_device(file->device));
	/* One without records comes to nobody else. */
	if (!record.device)
		return;
	memcpy(record.who, file->who.name, sizeof(record.who));
	memcpy(record.name, file->name, sizeof(record.name));
	keep_put(devfs->keep, KEEP_DEVICE_FILE, file->ino, &record, sizeof(record));
}

void devfs_keep_closed(struct devfs *devfs, const struct devfs_file *file)
{
	if (device_keep_id(device_file_device(file->device)))
		keep_drop(devfs->keep, KEEP_DEVICE_FILE, file->ino);
}

/* ---- a process before ---- */

struct restoring {
	struct devfs *devfs;
	devfs_restore_fn *fn;
	void *arg;
	unsigned n, gone;
};

static bool is_record(const struct file_record *record, size_t size)
{
	return size == sizeof(*record) && record->state <= STATE_CLOSING &&
	       record->place <= SERVICE_PLACE_MAX &&
	       !record->who[sizeof(record->who) - 1] && !record->name[sizeof(record->name) - 1];
}

static struct devfs_file *file_of(const struct file_record *record, uint64_t ino)
{
	struct devfs_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->ino = ino;
	file->place = record->place;
	file->opener = record->opener;
	file->who.pid = record->pid;
	file->who.uid = record->uid;
	file->state = (enum devfs_state)record->state;
	file->flushed = record->flushed;
	file->by_opener = record->by_opener;
	memcpy(file->who.name, record->who, sizeof(record->who));
	memcpy(file->name, record->name, sizeof(record->name));
	return file;
}

static int restore_one(void *arg, uint64_t ino, const void *data, size_t size)
{
	struct restoring *restoring = arg;
	struct devfs *devfs = restoring->devfs;
	const struct file_record *record = data;
	struct access *access = NULL;
	struct devfs_file *file;

	if (!is_record(record, size) || ino & DEVFS_INO_PLACE)
		return -EBADMSG;
	if (ino > devfs->last_ino)
		devfs->last_ino = ino;
	file = file_of(record, ino);
	if (!file)
		return -ENOMEM;
	/* The kernel has closed it, and nobody sees what the call gave that was at work on it; or
	 * it was a file of another connection. */
	if (file->state != STATE_CLOSING && devfs->adopted)
		file->device = restoring->fn(restoring->arg, record->device, record->has_access,
					     &access);
	if (!file->device) {
		free(file);
		restoring->gone++;
		keep_drop(devfs->keep, KEEP_DEVICE_FILE, ino);
		return 0;
	}
	file->group = device_group(device_file_device(file->device));
	file->access = access ? access_ref(access) : NULL;
	pthread_mutex_lock(&devfs->lock);
	devfs_file_add(devfs, file);
	pthread_mutex_unlock(&devfs->lock);
	restoring->n++;
	return 0;
}

int devfs_restore(struct devfs *devfs, devfs_restore_fn *fn, void *arg)
{
	struct restoring restoring = { .devfs = devfs, .fn = fn, .arg = arg };
	int r = keep_each(devfs->keep, KEEP_DEVICE_FILE, restore_one, &restoring);

	if (restoring.n || restoring.gone)
		cused_log(CUSED_LOG_DEBUG, "service", "%u device files are as they were, and "
			  "%u are no more", restoring.n, restoring.gone);
	return r;
}
