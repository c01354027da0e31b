/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <transport/client_event.h>
#include <transport/kept_files.h>
#include <transport/thread.h>
#include <util/list.h>

struct client_events {
	pthread_mutex_t lock;
	int epoll;
	int stop;			/* eventfd of our own */
	pthread_t thread;
	struct list watched;		/* lock; struct client_event.item */
	uint64_t last_number;		/* lock */
	struct kept_files *files;	/* or NULL */
	struct list restored;		/* lock; struct client_event, with a reference */
};

struct client_event {
	struct event event;
	struct client_events *events;
	int fd;
	struct kept_files *files;	/* of the events, or NULL */
	struct kept *kept;		/* the files' lock */
	struct list item;		/* events->lock; linked while watched, … */
	struct list restored;		/* … and while restored */
	uint64_t number;		/* events->lock; 0: not watched */
	void (*fn)(void *arg, uint64_t cookie);	/* events->lock, as the rest */
	void *arg;
	uint64_t cookie;
};

static struct client_event *client_event_of(struct event *event)
{
	return container_of(event, struct client_event, event);
}

/* Adding 1 would block at 2^64 - 2, as a client can arrange; the kernel's own signal
 * saturates there, so nothing is lost by leaving it out. */
static void event_signal(struct event *base)
{
	struct client_event *event = client_event_of(base);
	struct pollfd p = { .fd = event->fd, .events = POLLOUT };
	uint64_t one = 1;

	if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) &&
	    write(event->fd, &one, sizeof(one)) < 0)
		return;
}

static int event_watch(struct event *base, void (*fn)(void *arg, uint64_t cookie),
		       void *arg, uint64_t cookie)
{
	struct client_event *event = client_event_of(base);
	struct client_events *events = event->events;
	struct epoll_event what = { .events = EPOLLIN };
	int r = 0;

	pthread_mutex_lock(&events->lock);
	if (event->number) {
		r = -EBUSY;
	} else {
		what.data.u64 = ++events->last_number;
		if (epoll_ctl(events->epoll, EPOLL_CTL_ADD, event->fd, &what)) {
			r = -ENOMEM;
		} else {
			event->number = what.data.u64;
			event->fn = fn;
			event->arg = arg;
			event->cookie = cookie;
			list_push_back(&events->watched, &event->item);
		}
	}
	pthread_mutex_unlock(&events->lock);
	return r;
}

static void event_unwatch(struct event *base)
{
	struct client_event *event = client_event_of(base);
	struct client_events *events = event->events;

	pthread_mutex_lock(&events->lock);
	if (event->number) {
		/* Explicitly: the client's copies would keep the registration alive. */
		epoll_ctl(events->epoll, EPOLL_CTL_DEL, event->fd, NULL);
		event->number = 0;
		list_remove(&event->item);
	}
	pthread_mutex_unlock(&events->lock);
}

static void event_free(struct event *base)
{
	struct client_event *event = client_event_of(base);

	event_unwatch(base);
	kept_drop(event->files, event->kept);
	kept_files_unref(event->files);
	close(event->fd);
	free(event);
}

static uint64_t event_keep_op(struct event *base)
{
	struct client_event *event = client_event_of(base);

	return kept_put(event->files, &event->kept, &base->keep_id, event->fd, 0);
}

static const struct event_ops client_event_ops = {
	.signal = event_signal,
	.watch = event_watch,
	.unwatch = event_unwatch,
	.free = event_free,
	.keep = event_keep_op,
};

/* Take the counter without blocking, whatever the client's O_NONBLOCK says: it may have
 * read it first. */
static bool counter_take(int fd)
{
	uint64_t value;
	struct iovec iov = { &value, sizeof(value) };

	return preadv2(fd, &iov, 1, -1, RWF_NOWAIT) == sizeof(value);
}

static void number_ready(struct client_events *events, uint64_t number)
{
	void (*fn)(void *, uint64_t) = NULL;
	void *arg = NULL;
	uint64_t cookie = 0;

	pthread_mutex_lock(&events->lock);
	list_for_each(it, &events->watched) {
		struct client_event *event = container_of(it, struct client_event, item);

		if (event->number != number)
			continue;
		if (counter_take(event->fd)) {
			fn = event->fn;
			arg = event->arg;
			cookie = event->cookie;
		}
		break;
	}
	pthread_mutex_unlock(&events->lock);
	if (fn)
		fn(arg, cookie);
}

static void *events_main(void *arg)
{
	struct client_events *events = arg;
	struct epoll_event ready[16];

	for (;;) {
		int n = epoll_wait(events->epoll, ready, 16, -1);

		for (int i = 0; i < n; i++) {
			if (ready[i].data.u64 == 0)
				return NULL;
			number_ready(events, ready[i].data.u64);
		}
		if (n < 0 && errno != EINTR)
			return NULL;
	}
}

int client_events_new(struct client_events **ret)
{
	struct client_events *events = calloc(1, sizeof(*events));
	struct epoll_event stop = { .events = EPOLLIN };
	int r;

	if (!events)
		return -ENOMEM;
	list_init(&events->watched);
	list_init(&events->restored);
	pthread_mutex_init(&events->lock, NULL);
	events->epoll = epoll_create1(EPOLL_CLOEXEC);
	events->stop = eventfd(0, EFD_CLOEXEC);
	if (events->epoll < 0 || events->stop < 0 ||
	    epoll_ctl(events->epoll, EPOLL_CTL_ADD, events->stop, &stop)) {
		r = -errno;
		goto err;
	}
	r = thread_start(&events->thread, 0, false, events_main, events);
	if (r)
		goto err;
	*ret = events;
	return 0;
err:
	if (events->epoll >= 0)
		close(events->epoll);
	if (events->stop >= 0)
		close(events->stop);
	pthread_mutex_destroy(&events->lock);
	free(events);
	return r;
}

void client_events_free(struct client_events *events)
{
	uint64_t one = 1;

	if (!events)
		return;
	client_events_restored(events);
	if (write(events->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(events->thread, NULL);
	kept_files_unref(events->files);
	close(events->epoll);
	close(events->stop);
	pthread_mutex_destroy(&events->lock);
	free(events);
}

static bool is_eventfd(int fd)
{
	char path[64], target[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	return strcmp(target, "anon_inode:[eventfd]") == 0;
}

/* Takes @fd, but on failure. */
static struct client_event *event_new(struct client_events *events, int fd)
{
	struct client_event *event = calloc(1, sizeof(*event));

	if (!event)
		return NULL;
	event->events = events;
	event->fd = fd;
	event->files = kept_files_ref(events->files);
	list_init(&event->item);
	list_init(&event->restored);
	event_init(&event->event, &client_event_ops);
	return event;
}

int client_event_new(struct client_events *events, int fd, struct event **ret)
{
	struct client_event *event;

	if (!is_eventfd(fd)) {
		close(fd);
		return -EINVAL;
	}
	event = event_new(events, fd);
	if (!event) {
		close(fd);
		return -ENOMEM;
	}
	*ret = &event->event;
	return 0;
}

/* ---- of another process ---- */

/* Copies of one eventfd show one number in /proc (Linux 5.2), which others have once all are
 * closed. It can be 0. */
static int eventfd_key(int fd, uint64_t *ret)
{
	static const char name[] = "eventfd-id:";
	char text[512];
	const char *line;
	int info, r = 0;
	ssize_t n;

	snprintf(text, sizeof(text), "/proc/self/fdinfo/%d", fd);
	info = open(text, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -errno;
	n = read(info, text, sizeof(text) - 1);
	if (n < 0)
		r = -errno;
	close(info);
	text[n < 0 ? 0 : n] = '\0';
	line = strstr(text, name);
	*ret = line ? strtoull(line + sizeof(name) - 1, NULL, 10) + 1 : 0;
	return r;
}

static int restore_event(void *arg, struct kept *kept, uint64_t id, int fd, uint64_t word)
{
	struct client_events *events = arg;
	struct client_event *event = event_new(events, fd);

	if (!event)
		return -ENOMEM;
	event->kept = kept;
	event->event.keep_id = id;
	list_push_back(&events->restored, &event->restored);
	return 0;
}

int client_events_keep(struct client_events *events, struct keep *keep, struct fd_keep *fds)
{
	int r = kept_files_new(KEEP_EVENT, "event", eventfd_key, keep, fds, &events->files);

	return r ? r : kept_restore(events->files, restore_event, events);
}

struct event *client_event_restore(struct client_events *events, uint64_t id)
{
	struct event *found = NULL;

	pthread_mutex_lock(&events->lock);
	list_for_each(it, &events->restored) {
		struct client_event *event = container_of(it, struct client_event, restored);

		if (event->event.keep_id == id)
			found = event_ref(&event->event);
	}
	pthread_mutex_unlock(&events->lock);
	return found;
}

void client_events_restored(struct client_events *events)
{
	struct client_event *event;

	do {
		event = NULL;
		pthread_mutex_lock(&events->lock);
		if (!list_empty(&events->restored)) {
			event = container_of(events->restored.next, struct client_event, restored);
			list_remove(&event->restored);
		}
		pthread_mutex_unlock(&events->lock);
		/* Which takes the lock. */
		if (event)
			event_unref(&event->event);
	} while (event);
}
