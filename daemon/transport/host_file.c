/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <transport/host_file.h>
#include <transport/kept_files.h>
#include <transport/thread.h>
#include <util/cleanup.h>
#include <util/list.h>
#include <vfio-cused/log.h>

#define WAITER_STACK (256u * 1024)

struct host_file {
	struct list item;		/* files->lock */
	struct host_files *files;
	struct device_file *device;
	const struct group *group;
	uint64_t id;
	pid_t client;
	dev_t node;
	int probe;
	struct kept *kept;		/* the probe */
	uint64_t keep_id;		/* of that and the record; 0: not kept */
	bool delivering;		/* files->lock */
	pthread_t waiter;
	bool closed;			/* files->lock */
	bool released;			/* files->lock; the device is */
	bool waited;			/* files->lock; the waiter is done */
};

struct host_files {
	pthread_mutex_t lock;		/* never held in core */
	pthread_cond_t changed;		/* lock */
	struct list open;		/* lock; struct host_file, until released and waited */
	atomic_uint count;		/* on the list; changed with the lock */
	uint64_t last_id;		/* lock */
	atomic_bool stop;
	struct keep *keep;
	struct kept_files *probes;
};

/* A record of KEEP_HOST_FILE. */
struct record {
	uint64_t device;		/* device_keep_id() */
	uint64_t node;
	int64_t client;
};

int host_files_new(struct keep *keep, struct fd_keep *fds, struct host_files **ret)
{
	struct host_files *files = calloc(1, sizeof(*files));
	int r;

	if (!files)
		return -ENOMEM;
	files->keep = keep;
	r = kept_files_new(KEEP_HOST_PROBE, "host", NULL, keep, fds, &files->probes);
	if (r == 0)
		r = kept_restore_all(files->probes);
	if (r) {
		kept_drop_untaken(files->probes);
		kept_files_unref(files->probes);
		free(files);
		return r;
	}
	pthread_mutex_init(&files->lock, NULL);
	thread_cond_init(&files->changed);
	list_init(&files->open);
	thread_interruptible();
	*ret = files;
	return 0;
}

static int lock_byte(int fd, int command, short type, short *ret_type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_len = 1 };

	if (fcntl(fd, command, &lock))
		return -errno;
	if (ret_type)
		*ret_type = lock.l_type;
	return 0;
}

/* Both have to be done with it. Locks: files->lock held. */
static void free_if_done(struct host_file *file)
{
	if (!file->released || !file->waited)
		return;
	list_remove(&file->item);
	file->files->count--;
	pthread_cond_broadcast(&file->files->changed);
	kept_drop(file->files->probes, file->kept);
	close(file->probe);
	free(file);
}

/* The last copy has gone: release the device, or wait for whoever does. Called with the lock,
 * returns with it; @file may be gone then. */
static void close_locked(struct host_file *file)
{
	struct host_files *files = file->files;
	struct keep_batch batch;

	if (file->closed)
		return;
	file->closed = true;
	pthread_mutex_unlock(&files->lock);
	keep_begin(files->keep, &batch);
	device_file_release(file->device);
	if (file->keep_id)
		keep_drop(files->keep, KEEP_HOST_FILE, file->keep_id);
	keep_end(&batch);
	pthread_mutex_lock(&files->lock);
	file->released = true;
	pthread_cond_broadcast(&files->changed);
	free_if_done(file);
}

static void *waiter_main(void *arg)
{
	struct host_file *file = arg;
	struct host_files *files = file->files;
	int r;

	do {
		r = lock_byte(file->probe, F_OFD_SETLKW, F_WRLCK, NULL);
	} while (r == -EINTR && !atomic_load(&files->stop));
	if (r && r != -EINTR)
		cused_log(CUSED_LOG_WARNING, "host", "cannot wait for the close of a device: "
			  "lock error %d", -r);
	pthread_mutex_lock(&files->lock);
	file->waited = true;
	if (r == 0 && !file->closed)
		close_locked(file);
	else
		free_if_done(file);
	pthread_mutex_unlock(&files->lock);
	return NULL;
}

/* The record counts with whatever batch has the device open. */
static void keep_file(struct host_files *files, struct host_file *file)
{
	struct record record = {
		.device = device_keep_id(device_file_device(file->device)),
		.node = file->node,
		.client = file->client,
	};

	if (!record.device)
		return;
	if (kept_put(files->probes, &file->kept, &file->keep_id, file->probe, 0))
		keep_put(files->keep, KEEP_HOST_FILE, file->keep_id, &record, sizeof(record));
}

static int start_waiter(struct host_file *file)
{
	return thread_start(&file->waiter, WAITER_STACK, true, waiter_main, file);
}

static int watch(struct host_files *files, struct host_file *file, int fd, uint64_t *ret_id)
{
	char path[64];
	struct stat st;
	int r = fstat(fd, &st) ? -errno : lock_byte(fd, F_OFD_SETLK, F_WRLCK, NULL);

	if (r)
		return r;
	file->node = st.st_rdev;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	file->probe = open(path, O_RDWR | O_CLOEXEC);
	if (file->probe < 0)
		return -errno;
	pthread_mutex_lock(&files->lock);
	r = files->count >= HOST_FILES_MAX ? -ENFILE :
		start_waiter(file);
	if (r == 0) {
		keep_file(files, file);
		list_push_back(&files->open, &file->item);
		files->count++;
		*ret_id = file->id = ++files->last_id;
	}
	pthread_mutex_unlock(&files->lock);
	return r;
}

int host_files_add(struct host_files *files, struct device_file *device, int fd,
		   pid_t client, uint64_t *ret_id)
{
	struct host_file *file = calloc(1, sizeof(*file));
	int r;

	if (!file)
		return -ENOMEM;
	file->files = files;
	file->device = device;
	file->group = device_group(device_file_device(device));
	file->client = client;
	file->delivering = true;
	file->probe = -1;
	r = watch(files, file, fd, ret_id);
	if (r) {
		if (file->probe >= 0)
			close(file->probe);
		free(file);
	}
	return r;
}

void host_files_delivered(struct host_files *files, uint64_t id)
{
	pthread_mutex_lock(&files->lock);
	list_for_each(it, &files->open) {
		struct host_file *file = container_of(it, struct host_file, item);

		if (file->id == id)
			file->delivering = false;
	}
	pthread_cond_broadcast(&files->changed);
	pthread_mutex_unlock(&files->lock);
}

static bool is_closed(const struct host_file *file)
{
	short type = F_WRLCK;

	return file->closed ||
	       (lock_byte(file->probe, F_OFD_GETLK, F_WRLCK, &type) == 0 && type == F_UNLCK);
}

/* The file of @device that is open, or is to be. Locks: files->lock held. */
static struct host_file *find_device(struct host_files *files, const struct device *device)
{
	list_for_each(it, &files->open) {
		struct host_file *file = container_of(it, struct host_file, item);

		if (!is_closed(file) && device_file_device(file->device) == device)
			return file;
	}
	return NULL;
}

bool host_files_find(struct host_files *files, const struct device *device, pid_t *ret_client,
		     dev_t *ret_node)
{
	struct host_file *file;

	pthread_mutex_lock(&files->lock);
	while ((file = find_device(files, device)) && file->delivering)
		pthread_cond_wait(&files->changed, &files->lock);
	if (file) {
		*ret_client = file->client;
		*ret_node = file->node;
	}
	pthread_mutex_unlock(&files->lock);
	return file != NULL;
}

/* A file to be released or waited for; NULL: there is none. Locks: files->lock held. */
static struct host_file *find_unsettled(struct host_files *files, const struct group *group)
{
	list_for_each(it, &files->open) {
		struct host_file *file = container_of(it, struct host_file, item);

		if (!file->released && file->group == group && is_closed(file))
			return file;
	}
	return NULL;
}

unsigned host_files_unsettled(struct host_files *files, const struct group **ret,
			      unsigned max)
{
	unsigned n = 0;

	if (atomic_load(&files->count) == 0)
		return 0;
	pthread_mutex_lock(&files->lock);
	list_for_each(it, &files->open) {
		struct host_file *file = container_of(it, struct host_file, item);

		if (n < max && !file->released && is_closed(file))
			ret[n++] = file->group;
	}
	pthread_mutex_unlock(&files->lock);
	return n;
}

void host_files_settle(struct host_files *files, const struct group *group)
{
	struct host_file *file;

	pthread_mutex_lock(&files->lock);
	while ((file = find_unsettled(files, group))) {
		if (file->closed)
			pthread_cond_wait(&files->changed, &files->lock);
		else
			close_locked(file);
	}
	pthread_mutex_unlock(&files->lock);
}

/* ---- another process ---- */

struct restoring {
	struct host_files *files;
	host_files_fn *find;
	void *arg;
};

/* Return: whether there is something to watch, and what to watch it through. */
static bool restore_watch(const struct restoring *restoring, const struct record *record,
			  uint64_t id, struct host_file *ret)
{
	struct host_files *files = restoring->files;
	int probe;
	struct kept *kept = kept_take(files->probes, id, &probe);
	struct device_file *device =
		kept ? restoring->find(restoring->arg, record->device) : NULL;

	if (!device) {
		if (kept)
			close(probe);
		kept_drop(files->probes, kept);
		return false;
	}
	*ret = (struct host_file){
		.files = files, .device = device, .client = (pid_t)record->client,
		.group = device_group(device_file_device(device)),
		.id = ++files->last_id, .node = (dev_t)record->node,
		.probe = probe, .kept = kept, .keep_id = id,
		.waited = true,		/* until there is a waiter */
	};
	return true;
}

static int restore_file(void *arg, uint64_t id, const void *data, size_t size)
{
	const struct restoring *restoring = arg;
	struct host_files *files = restoring->files;
	struct host_file *file;
	struct record record;

	if (size != sizeof(record))
		return -EBADMSG;
	memcpy(&record, data, size);
	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	if (restore_watch(restoring, &record, id, file)) {
		list_push_back(&files->open, &file->item);
		files->count++;
	} else {
		free(file);
		keep_drop(files->keep, KEEP_HOST_FILE, id);
	}
	return 0;
}

int host_files_restore(struct host_files *files, host_files_fn *find, void *arg)
{
	struct restoring restoring = { files, find, arg };
	int r = keep_each(files->keep, KEEP_HOST_FILE, restore_file, &restoring);

	kept_drop_untaken(files->probes);
	return r;
}

int host_files_resume(struct host_files *files)
{
	int r = 0;

	pthread_mutex_lock(&files->lock);
	list_for_each(it, &files->open) {
		struct host_file *file = container_of(it, struct host_file, item);

		if (r || !file->waited)
			continue;
		file->waited = false;
		r = start_waiter(file);
		file->waited = r != 0;
	}
	pthread_mutex_unlock(&files->lock);
	return r;
}

unsigned host_files_count(struct host_files *files)
{
	unsigned n;

	pthread_mutex_lock(&files->lock);
	n = files->count;
	pthread_mutex_unlock(&files->lock);
	return n;
}

static struct host_file *find_open(struct host_files *files)
{
	list_for_each(it, &files->open) {
		struct host_file *file = container_of(it, struct host_file, item);

		if (!file->closed)
			return file;
	}
	return NULL;
}

static void interrupt_waiters(struct host_files *files)
{
	list_for_each(it, &files->open) {
		struct host_file *file = container_of(it, struct host_file, item);

		if (!file->waited)
			pthread_kill(file->waiter, SIGURG);
	}
}

void host_files_free(struct host_files *files)
{
	struct host_file *file;

	if (!files)
		return;
	atomic_store(&files->stop, true);
	pthread_mutex_lock(&files->lock);
	while ((file = find_open(files)))
		close_locked(file);
	/* A signal that comes before the wait begins is lost: again, then. */
	while (!list_empty(&files->open)) {
		struct timespec until = thread_deadline(CLOCK_MONOTONIC, 10);

		interrupt_waiters(files);
		pthread_cond_timedwait(&files->changed, &files->lock, &until);
	}
	pthread_mutex_unlock(&files->lock);
	kept_drop_untaken(files->probes);
	kept_files_unref(files->probes);
	pthread_cond_destroy(&files->changed);
	pthread_mutex_destroy(&files->lock);
	free(files);
}
