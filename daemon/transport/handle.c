/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <transport/handle.h>
#include <transport/thread.h>
#include <transport/window.h>
#include <util/cleanup.h>
#include <util/list.h>
#include <vfio-cused/log.h>

/* A waiter only waits and releases; the kernel gives it memory as it touches it. */
#define WAITER_STACK (256u * 1024)

struct node {
	struct list item;		/* handles->nodes; constant once clients run */
	enum object_kind kind;
	dev_t dev;
	ino_t ino;
	int probe;
	struct group *group;		/* of a group node */
	struct device *device;		/* of a device node, as number */
	unsigned number;
	struct list open;		/* handles->lock; struct handle.item */
};

struct handle {
	struct list item;		/* handles->lock; in node->open while not closed */
	struct handles *handles;
	struct node *node;
	struct object object;
	struct client_who who;		/* constant */
	int64_t number;
	bool closed;			/* handles->lock */
	unsigned uses;			/* handles->lock; 1 for the open file, 1 per call */
	bool waited;			/* handles->lock; the waiter thread has ended */
	pthread_t waiter;
};

struct handles {
	pthread_mutex_t lock;		/* innermost but for nothing: never held in core */
	pthread_cond_t changed;		/* lock */
	struct list nodes;
	struct node *devices[WINDOW_DEVICES];
	unsigned count;			/* lock; not closed */
	unsigned waiters;		/* lock; threads */
	unsigned releasing;		/* lock; releases in progress */
	int64_t last_number;		/* lock */
	atomic_bool stop;
};

/* ---- nodes ---- */

int handles_new(struct handles **ret)
{
	struct handles *handles = calloc(1, sizeof(*handles));

	if (!handles)
		return -ENOMEM;
	pthread_mutex_init(&handles->lock, NULL);
	pthread_cond_init(&handles->changed, NULL);
	list_init(&handles->nodes);
	*ret = handles;
	return 0;
}

static int node_add(struct handles *handles, enum object_kind kind, int probe,
		    struct node **ret)
{
	struct node *node;
	struct stat st;

	if (fstat(probe, &st)) {
		int r = -errno;

		close(probe);
		return r;
	}
	node = calloc(1, sizeof(*node));
	if (!node) {
		close(probe);
		return -ENOMEM;
	}
	node->kind = kind;
	node->dev = st.st_dev;
	node->ino = st.st_ino;
	node->probe = probe;
	list_init(&node->open);
	list_push_back(&handles->nodes, &node->item);
	*ret = node;
	return 0;
}

int handles_add_container(struct handles *handles, int probe)
{
	struct node *node;

	return node_add(handles, OBJECT_CONTAINER, probe, &node);
}

int handles_add_group(struct handles *handles, int probe, struct group *group)
{
	struct node *node;
	int r = node_add(handles, OBJECT_GROUP, probe, &node);

	if (r == 0)
		node->group = group;
	return r;
}

int handles_add_device(struct handles *handles, int probe, struct device *device,
		       unsigned number)
{
	struct node *node;
	int r = node_add(handles, OBJECT_DEVICE, probe, &node);

	if (r)
		return r;
	node->device = device;
	node->number = number;
	handles->devices[number] = node;
	return 0;
}

struct node *handles_node(struct handles *handles, dev_t dev, ino_t ino)
{
	list_for_each(it, &handles->nodes) {
		struct node *node = container_of(it, struct node, item);

		if (node->ino == ino && node->dev == dev)
			return node;
	}
	return NULL;
}

struct node *handles_device_node(struct handles *handles, const struct device *device)
{
	for (unsigned i = 0; i < WINDOW_DEVICES; i++) {
		if (handles->devices[i] && handles->devices[i]->device == device)
			return handles->devices[i];
	}
	return NULL;
}

enum object_kind node_kind(const struct node *node)
{
	return node->kind;
}

struct group *node_group(const struct node *node)
{
	return node->group;
}

unsigned node_number(const struct node *node)
{
	return node->number;
}

/* ---- locks on bytes ---- */

static int byte_lock(int fd, int command, int64_t number, short type, short *ret_type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = number,
			      .l_len = 1 };

	while (fcntl(fd, command, &lock)) {
		if (errno != EINTR)
			return -errno;
		if (command == F_OFD_SETLKW)
			return -EINTR;
	}
	if (ret_type)
		*ret_type = lock.l_type;
	return 0;
}

/* Would a write lock through @fd be granted? Then nobody but @fd itself holds the byte. */
static bool byte_is_free(int fd, int64_t number)
{
	short type = F_UNLCK;

	return byte_lock(fd, F_OFD_GETLK, number, F_WRLCK, &type) == 0 && type == F_UNLCK;
}

/* ---- closing ---- */

static void object_release(struct object object)
{
	switch (object.kind) {
	case OBJECT_CONTAINER:
		container_release(object.container);
		break;
	case OBJECT_GROUP:
		group_release(object.group);
		break;
	case OBJECT_DEVICE:
		device_file_release(object.device);
		break;
	case OBJECT_NONE:
		break;
	}
}

static void handle_free_if_done(struct handle *handle)
{
	if (handle->closed && handle->uses == 0 && handle->waited)
		free(handle);
}

/* One use less; the last one releases the object. Called with the lock, returns with it. */
static void handle_unuse_locked(struct handle *handle)
{
	struct handles *handles = handle->handles;

	if (--handle->uses)
		return;
	handle->uses = 1;		/* ours, so that the waiter does not free it */
	handles->releasing++;
	pthread_mutex_unlock(&handles->lock);
	object_release(handle->object);
	pthread_mutex_lock(&handles->lock);
	handle->uses = 0;
	handles->releasing--;
	pthread_cond_broadcast(&handles->changed);
	handle_free_if_done(handle);
}

/* The last copy of the client's fd is gone. Called with the lock, returns with it. */
static void handle_close_locked(struct handle *handle)
{
	if (handle->closed)
		return;
	handle->closed = true;
	list_remove(&handle->item);
	handle->handles->count--;
	handle_unuse_locked(handle);
}

static void *waiter_main(void *arg)
{
	struct handle *handle = arg;
	struct handles *handles = handle->handles;
	int r;

	do {
		r = byte_lock(handle->node->probe, F_OFD_SETLKW, handle->number, F_WRLCK,
			      NULL);
	} while (r == -EINTR && !atomic_load(&handles->stop));
	if (r == 0)
		byte_lock(handle->node->probe, F_OFD_SETLK, handle->number, F_UNLCK, NULL);
	else if (r != -EINTR)
		cused_log(CUSED_LOG_WARNING, "handle",
			  "cannot wait for the close of a file: lock error %d", -r);

	pthread_mutex_lock(&handles->lock);
	if (r == 0)
		handle_close_locked(handle);
	handle->waited = true;
	handle_free_if_done(handle);
	handles->waiters--;
	pthread_cond_broadcast(&handles->changed);
	pthread_mutex_unlock(&handles->lock);
	return NULL;
}

static int waiter_start(struct handle *handle)
{
	return thread_start(&handle->waiter, WAITER_STACK, true, waiter_main, handle);
}

/* ---- opening ---- */

static int handle_reserve(struct handles *handles, struct node *node,
			  struct object object, const struct client_who *who,
			  struct handle **ret)
{
	struct handle *handle = calloc(1, sizeof(*handle));

	if (!handle)
		return -ENOMEM;
	handle->handles = handles;
	handle->node = node;
	handle->object = object;
	if (who)
		handle->who = *who;
	handle->uses = 1;
	list_init(&handle->item);
	pthread_mutex_lock(&handles->lock);
	if (handles->count >= RUN_MAX_OPEN_FILES) {
		pthread_mutex_unlock(&handles->lock);
		free(handle);
		return -ENFILE;
	}
	handles->count++;
	handle->number = ++handles->last_number;
	pthread_mutex_unlock(&handles->lock);
	*ret = handle;
	return 0;
}

/* Undo handle_reserve(); the object stays with the caller. */
static void handle_abort(struct handle *handle)
{
	pthread_mutex_lock(&handle->handles->lock);
	list_remove(&handle->item);
	handle->handles->count--;
	pthread_mutex_unlock(&handle->handles->lock);
	free(handle);
}

/* Mark the description @fd, then let clients find the handle. */
static int handle_publish(struct handle *handle, int fd)
{
	struct handles *handles = handle->handles;
	short type = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY ? F_RDLCK : F_WRLCK;
	int r = byte_lock(fd, F_OFD_SETLK, handle->number, type, NULL);

	if (r)
		return r;
	if (handle->node->kind != OBJECT_DEVICE &&
	    lseek(fd, handle->number, SEEK_SET) != handle->number)
		return -EIO;
	pthread_mutex_lock(&handles->lock);
	list_push_front(&handle->node->open, &handle->item);
	handles->waiters++;
	r = waiter_start(handle);
	if (r) {
		handles->waiters--;
		list_remove(&handle->item);
	}
	pthread_mutex_unlock(&handles->lock);
	return r ? -ENFILE : 0;
}

int handle_new(struct handles *handles, struct node *node, int via, struct object object,
	       const struct client_who *who, int *ret_fd)
{
	struct handle *handle;
	char path[64];
	int fd, r;

	r = handle_reserve(handles, node, object, who, &handle);
	if (r)
		return r;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", via >= 0 ? via : node->probe);
	fd = open(path, O_RDWR | O_CLOEXEC);
	r = fd < 0 ? -errno : handle_publish(handle, fd);
	if (r) {
		if (fd >= 0)
			close(fd);
		handle_abort(handle);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int handle_adopt(struct handles *handles, struct node *node, struct object object,
		 const struct client_who *who, int fd, struct handle **ret)
{
	struct handle *handle;
	int r = handle_reserve(handles, node, object, who, &handle);

	if (r)
		return r;
	handle->uses = 2;		/* before it can be found; one is the caller's */
	r = handle_publish(handle, fd);
	if (r) {
		handle_abort(handle);
		return r;
	}
	*ret = handle;
	return 0;
}

/* ---- finding ---- */

int handle_find(struct handles *handles, struct node *node, int fd, struct handle **ret)
{
	struct handle *found = NULL;
	off_t position = 0;

	if (node->kind != OBJECT_DEVICE) {
		position = lseek(fd, 0, SEEK_CUR);
		if (position < 0)
			return -EBADF;
	}
	pthread_mutex_lock(&handles->lock);
	list_for_each(it, &node->open) {
		struct handle *handle = container_of(it, struct handle, item);

		if (node->kind == OBJECT_DEVICE ||
		    (handle->number == position && byte_is_free(fd, handle->number))) {
			found = handle;
			break;
		}
	}
	/* The client moved the position, or it is nobody's: whose lock does it hold? */
	if (!found) {
		list_for_each(it, &node->open) {
			struct handle *handle = container_of(it, struct handle, item);

			if (byte_is_free(fd, handle->number) &&
			    !byte_is_free(node->probe, handle->number)) {
				found = handle;
				break;
			}
		}
	}
	if (found)
		found->uses++;
	pthread_mutex_unlock(&handles->lock);
	if (!found)
		return -ENOENT;
	*ret = found;
	return 0;
}

int handle_get_device(struct handles *handles, unsigned number, struct handle **ret)
{
	struct node *node = handles->devices[number];
	int r = -ENOENT;

	if (!node)
		return r;
	pthread_mutex_lock(&handles->lock);
	while (!list_empty(&node->open)) {
		struct handle *handle = container_of(node->open.next, struct handle, item);

		if (byte_is_free(node->probe, handle->number)) {
			handle_close_locked(handle);
			continue;
		}
		handle->uses++;
		*ret = handle;
		r = 0;
		break;
	}
	pthread_mutex_unlock(&handles->lock);
	return r;
}

struct object handle_object(const struct handle *handle)
{
	return handle->object;
}

const struct node *handle_node(const struct handle *handle)
{
	return handle->node;
}

void handle_put(struct handle *handle)
{
	struct handles *handles;

	if (!handle)
		return;
	handles = handle->handles;
	pthread_mutex_lock(&handles->lock);
	handle_unuse_locked(handle);
	pthread_mutex_unlock(&handles->lock);
}

/* ---- all of them ---- */

/* A handle whose last fd is gone although it is still in the table, devices first: a
 * device keeps its group, a group its container. Locks: handles->lock held. */
static struct handle *closed_one(struct handles *handles)
{
	static const enum object_kind order[] = { OBJECT_DEVICE, OBJECT_GROUP,
						  OBJECT_CONTAINER };

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		list_for_each(n, &handles->nodes) {
			struct node *node = container_of(n, struct node, item);

			if (node->kind != order[i])
				continue;
			list_for_each(h, &node->open) {
				struct handle *handle =
					container_of(h, struct handle, item);

				if (byte_is_free(node->probe, handle->number))
					return handle;
			}
		}
	}
	return NULL;
}

void handles_sync(struct handles *handles)
{
	struct handle *handle;

	pthread_mutex_lock(&handles->lock);
	while ((handle = closed_one(handles)))
		handle_close_locked(handle);
	while (handles->releasing)
		pthread_cond_wait(&handles->changed, &handles->lock);
	pthread_mutex_unlock(&handles->lock);
}

unsigned handles_count(struct handles *handles)
{
	unsigned n;

	pthread_mutex_lock(&handles->lock);
	n = handles->count;
	pthread_mutex_unlock(&handles->lock);
	return n;
}

int handles_files(struct handles *handles, struct open_notes *ret)
{
	int r = 0;

	pthread_mutex_lock(&handles->lock);
	list_for_each(n, &handles->nodes) {
		struct node *node = container_of(n, struct node, item);

		list_for_each(h, &node->open) {
			struct handle *handle = container_of(h, struct handle, item);

			if (r == 0)
				r = open_notes_add(ret, &handle->who, handle->object);
		}
	}
	pthread_mutex_unlock(&handles->lock);
	return r;
}

/* ---- the end ---- */

/* Interrupt every waiter until all have ended: a signal that comes before the wait is
 * lost, so it is repeated. */
static void waiters_stop(struct handles *handles)
{
	thread_interruptible();
	atomic_store(&handles->stop, true);
	pthread_mutex_lock(&handles->lock);
	while (handles->waiters) {
		struct timespec deadline;

		list_for_each(n, &handles->nodes) {
			struct node *node = container_of(n, struct node, item);

			list_for_each(h, &node->open) {
				struct handle *handle =
					container_of(h, struct handle, item);

				if (!handle->waited)
					pthread_kill(handle->waiter, SIGURG);
			}
		}
		deadline = thread_deadline(CLOCK_REALTIME, 2);
		pthread_cond_timedwait(&handles->changed, &handles->lock, &deadline);
	}
	pthread_mutex_unlock(&handles->lock);
}

void handles_free(struct handles *handles)
{
	if (!handles)
		return;
	handles_sync(handles);
	waiters_stop(handles);
	/* What clients outside of the run still hold (an fd passed on). */
	pthread_mutex_lock(&handles->lock);
	for (int kind = OBJECT_DEVICE; kind >= OBJECT_CONTAINER; kind--) {
		list_for_each(n, &handles->nodes) {
			struct node *node = container_of(n, struct node, item);

			while ((int)node->kind == kind && !list_empty(&node->open))
				handle_close_locked(container_of(node->open.next,
								 struct handle, item));
		}
	}
	pthread_mutex_unlock(&handles->lock);
	list_for_each_safe(it, tmp, &handles->nodes) {
		struct node *node = container_of(it, struct node, item);

		list_remove(it);
		close(node->probe);
		free(node);
	}
	pthread_cond_destroy(&handles->changed);
	pthread_mutex_destroy(&handles->lock);
	free(handles);
}
