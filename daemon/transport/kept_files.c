/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <transport/kept_files.h>
#include <transport/thread.h>
#include <util/list.h>

/* A file that is kept, and is shared by copies of it. */
struct file {
	struct list item;		/* files->files */
	uint64_t id;			/* in its name */
	uint64_t key;			/* 0: nothing shares it */
	unsigned refs;
	int fd;				/* while they are restored; else -1 */
};

struct kept {
	struct list item;		/* files->restored, or files->dropped, once it is */
	uint64_t id;
	struct file *file;
	int fd;				/* while on files->restored */
};

struct kept_files {
	atomic_uint refs;
	enum keep_kind kind;
	const char *name;
	int (*key)(int fd, uint64_t *ret);
	struct keep *keep;
	struct fd_keep *fds;
	pthread_mutex_t lock;		/* all below */
	uint64_t last_id;
	struct list files;
	struct list dropped;		/* the record may still be in the log */
	struct list restored;		/* nobody has taken them yet */
};

/* What the record holds. */
struct words {
	uint64_t file, word;
};

int kept_files_new(enum keep_kind kind, const char *name, int (*key)(int fd, uint64_t *ret),
		   struct keep *keep, struct fd_keep *fds, struct kept_files **ret)
{
	struct kept_files *files;

	*ret = NULL;
	if (!keep)
		return 0;
	files = calloc(1, sizeof(*files));
	if (!files)
		return -ENOMEM;
	atomic_init(&files->refs, 1);
	files->kind = kind;
	files->name = name;
	files->key = key;
	files->keep = keep;
	files->fds = fds;
	files->last_id = thread_now_ns();
	list_init(&files->files);
	list_init(&files->dropped);
	list_init(&files->restored);
	pthread_mutex_init(&files->lock, NULL);
	*ret = files;
	return 0;
}

struct kept_files *kept_files_ref(struct kept_files *files)
{
	if (files)
		atomic_fetch_add(&files->refs, 1);
	return files;
}

static void name_of(const struct kept_files *files, uint64_t id, char ret[FD_KEEP_NAME_SIZE])
{
	snprintf(ret, FD_KEEP_NAME_SIZE, "%s-%" PRIu64, files->name, id);
}

/* With the lock, as all of the following. */
static void file_unref(struct kept_files *files, struct file *file)
{
	char name[FD_KEEP_NAME_SIZE];

	if (--file->refs)
		return;
	name_of(files, file->id, name);
	files->fds->drop(files->fds, name);
	list_remove(&file->item);
	free(file);
}

/* Let go of what no record speaks of any more, as far as the oldest of which one does: a batch can
 * have thousands, and looks at none but that each time. @all: whether or not one does */
static void sweep(struct kept_files *files, bool all)
{
	list_for_each_safe(it, tmp, &files->dropped) {
		struct kept *kept = container_of(it, struct kept, item);

		if (!all && keep_get(files->keep, files->kind, kept->id, NULL, 0) >= 0)
			break;
		list_remove(&kept->item);
		file_unref(files, kept->file);
		free(kept);
	}
}

void kept_files_unref(struct kept_files *files)
{
	if (!files || atomic_fetch_sub(&files->refs, 1) != 1)
		return;
	pthread_mutex_lock(&files->lock);
	sweep(files, true);
	pthread_mutex_unlock(&files->lock);
	pthread_mutex_destroy(&files->lock);
	free(files);
}

static struct file *file_find(struct kept_files *files, uint64_t key)
{
	list_for_each(it, &files->files) {
		struct file *file = container_of(it, struct file, item);

		if (key && file->key == key)
			return file;
	}
	return NULL;
}

static struct file *file_new(struct kept_files *files, uint64_t id, uint64_t key)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->id = id;
	file->key = key;
	file->fd = -1;
	list_push_back(&files->files, &file->item);
	return file;
}

/* Return: 0, -ENOMEM, -EMFILE. */
static int key_of(const struct kept_files *files, int fd, uint64_t *ret)
{
	*ret = 0;
	return files->key ? files->key(fd, ret) : 0;
}

static struct kept *kept_new(struct kept_files *files, int fd)
{
	char name[FD_KEEP_NAME_SIZE];
	struct kept *kept;
	struct file *file;
	uint64_t key;

	if (key_of(files, fd, &key))
		return NULL;
	kept = calloc(1, sizeof(*kept));
	if (!kept)
		return NULL;
	kept->id = ++files->last_id;
	file = file_find(files, key);
	if (!file) {
		file = file_new(files, kept->id, key);
		if (!file) {
			free(kept);
			return NULL;
		}
		name_of(files, file->id, name);
		files->fds->put(files->fds, name, fd);
	}
	file->refs++;
	kept->file = file;
	return kept;
}

uint64_t kept_put(struct kept_files *files, struct kept **kept, uint64_t *id, int fd,
		  uint64_t word)
{
	struct words words;
	uint64_t r;

	if (!files)
		return 0;
	r = __atomic_load_n(id, __ATOMIC_ACQUIRE);
	if (r)
		return r;
	pthread_mutex_lock(&files->lock);
	if (!*kept) {
		sweep(files, false);
		*kept = kept_new(files, fd);
		if (*kept) {
			words = (struct words){ (*kept)->file->id, word };
			keep_put_now(files->keep, files->kind, (*kept)->id, &words,
				     sizeof(words));
			__atomic_store_n(id, (*kept)->id, __ATOMIC_RELEASE);
		} else {
			keep_break(files->keep);
		}
	}
	r = *id;
	pthread_mutex_unlock(&files->lock);
	return r;
}

static void drop_locked(struct kept_files *files, struct kept *kept)
{
	keep_drop(files->keep, files->kind, kept->id);
	list_push_back(&files->dropped, &kept->item);
	sweep(files, false);
}

void kept_drop(struct kept_files *files, struct kept *kept)
{
	if (!kept)
		return;
	pthread_mutex_lock(&files->lock);
	drop_locked(files, kept);
	pthread_mutex_unlock(&files->lock);
}

/* ---- another process's ---- */

struct restoring {
	struct kept_files *files;
	kept_fn *fn;
	void *arg;
};

/* Return: 0; -ENOENT it is not to be had; -ENOMEM, -EMFILE. */
static int file_take(struct kept_files *files, uint64_t id, struct file **ret)
{
	char name[FD_KEEP_NAME_SIZE];
	uint64_t key;
	int fd, r;

	list_for_each(it, &files->files) {
		*ret = container_of(it, struct file, item);
		if ((*ret)->id == id)
			return 0;
	}
	name_of(files, id, name);
	fd = files->fds->take(files->fds, name);
	if (fd < 0)
		return -ENOENT;
	r = key_of(files, fd, &key);
	*ret = r ? NULL : file_new(files, id, key);
	if (!*ret) {
		close(fd);
		return r ? r : -ENOMEM;
	}
	(*ret)->fd = fd;
	return 0;
}

static int restore_one(void *arg, uint64_t id, const void *data, size_t size)
{
	const struct restoring *restoring = arg;
	struct kept_files *files = restoring->files;
	const struct words *words = data;
	struct kept *kept;
	struct file *file;
	int r, fd;

	if (size != sizeof(*words))
		return -EBADMSG;
	r = file_take(files, words->file, &file);
	if (r == -ENOENT) {
		keep_drop(files->keep, files->kind, id);
		return 0;
	}
	if (r)
		return r;
	kept = calloc(1, sizeof(*kept));
	if (!kept)
		return -ENOMEM;
	fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		r = -errno;
		free(kept);
		return r;
	}
	kept->id = id;
	kept->file = file;
	file->refs++;
	r = restoring->fn(restoring->arg, kept, id, fd, words->word);
	if (r) {
		file->refs--;
		free(kept);
		close(fd);
	}
	return r;
}

int kept_restore(struct kept_files *files, kept_fn *fn, void *arg)
{
	struct restoring restoring = { files, fn, arg };
	int r;

	if (!files)
		return 0;
	r = keep_each(files->keep, files->kind, restore_one, &restoring);
	pthread_mutex_lock(&files->lock);
	list_for_each_safe(it, tmp, &files->files) {
		struct file *file = container_of(it, struct file, item);

		close(file->fd);
		file->fd = -1;
		/* Of one that could not be made. */
		if (!file->refs) {
			list_remove(&file->item);
			free(file);
		}
	}
	pthread_mutex_unlock(&files->lock);
	return r;
}

static int leave_to_take(void *arg, struct kept *kept, uint64_t id, int fd, uint64_t word)
{
	struct kept_files *files = arg;

	kept->fd = fd;
	list_push_back(&files->restored, &kept->item);
	return 0;
}

int kept_restore_all(struct kept_files *files)
{
	return kept_restore(files, leave_to_take, files);
}

struct kept *kept_take(struct kept_files *files, uint64_t id, int *ret_fd)
{
	struct kept *ret = NULL;

	if (!files)
		return NULL;
	pthread_mutex_lock(&files->lock);
	list_for_each(it, &files->restored) {
		struct kept *kept = container_of(it, struct kept, item);

		if (kept->id == id) {
			ret = kept;
			break;
		}
	}
	if (ret) {
		list_remove(&ret->item);
		*ret_fd = ret->fd;
	}
	pthread_mutex_unlock(&files->lock);
	return ret;
}

void kept_drop_untaken(struct kept_files *files)
{
	if (!files)
		return;
	pthread_mutex_lock(&files->lock);
	list_for_each_safe(it, tmp, &files->restored) {
		struct kept *kept = container_of(it, struct kept, item);

		list_remove(&kept->item);
		close(kept->fd);
		drop_locked(files, kept);
	}
	pthread_mutex_unlock(&files->lock);
}
