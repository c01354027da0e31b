/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/fake_event.h - eventfds without file descriptors. A fake_eventfd is the counter;
 * each struct event made of it is one holder, as a duplicate of the fd would be.
 */
#ifndef UNIT_FAKE_EVENT_H
#define UNIT_FAKE_EVENT_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <core/event.h>
#include <util/list.h>

struct fake_eventfd {
	atomic_uint refs;
	atomic_uint_fast64_t count;
	pthread_mutex_t lock;
	struct list watches;		/* struct fake_event; lock */
};

struct fake_event {
	struct event event;
	struct fake_eventfd *target;
	struct list link;		/* target->lock */
	void (*fn)(void *arg, uint64_t cookie);
	void *arg;
	uint64_t cookie;
};

static inline struct fake_eventfd *fake_eventfd_new(void)
{
	struct fake_eventfd *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	atomic_init(&e->refs, 1);
	pthread_mutex_init(&e->lock, NULL);
	list_init(&e->watches);
	return e;
}

static inline void fake_eventfd_unref(struct fake_eventfd *e)
{
	if (!e || atomic_fetch_sub(&e->refs, 1) != 1)
		return;
	pthread_mutex_destroy(&e->lock);
	free(e);
}

static inline void fake_event_signal(struct event *ev)
{
	atomic_fetch_add(&container_of(ev, struct fake_event, event)->target->count, 1);
}

static inline int fake_event_watch(struct event *ev, void (*fn)(void *arg, uint64_t cookie),
				   void *arg, uint64_t cookie)
{
	struct fake_event *e = container_of(ev, struct fake_event, event);
	int r = 0;

	pthread_mutex_lock(&e->target->lock);
	if (!list_empty(&e->link)) {
		r = -EBUSY;
	} else {
		e->fn = fn;
		e->arg = arg;
		e->cookie = cookie;
		list_push_back(&e->target->watches, &e->link);
	}
	pthread_mutex_unlock(&e->target->lock);
	return r;
}

static inline void fake_event_unwatch(struct event *ev)
{
	struct fake_event *e = container_of(ev, struct fake_event, event);

	pthread_mutex_lock(&e->target->lock);
	list_remove(&e->link);
	pthread_mutex_unlock(&e->target->lock);
}

static inline void fake_event_free(struct event *ev)
{
	struct fake_event *e = container_of(ev, struct fake_event, event);

	fake_event_unwatch(ev);
	fake_eventfd_unref(e->target);
	free(e);
}

static const struct event_ops fake_event_ops = {
	.signal = fake_event_signal,
	.watch = fake_event_watch,
	.unwatch = fake_event_unwatch,
	.free = fake_event_free,
};

/* One more holder of @target. NULL: out of memory. */
static inline struct event *fake_event_new(struct fake_eventfd *target)
{
	struct fake_event *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	event_init(&e->event, &fake_event_ops);
	list_init(&e->link);
	atomic_fetch_add(&target->refs, 1);
	e->target = target;
	return &e->event;
}

#define FAKE_EVENT_WATCHES 16

/* What the transport's event thread would do now. Call without locks. */
static inline void fake_eventfd_pump(struct fake_eventfd *e)
{
	struct { void (*fn)(void *, uint64_t); void *arg; uint64_t cookie; }
		calls[FAKE_EVENT_WATCHES];
	unsigned n = 0;

	pthread_mutex_lock(&e->lock);
	if (!list_empty(&e->watches) && atomic_exchange(&e->count, 0)) {
		list_for_each(it, &e->watches) {
			const struct fake_event *due =
				container_of(it, struct fake_event, link);

			if (n == FAKE_EVENT_WATCHES)
				break;
			calls[n].fn = due->fn;
			calls[n].arg = due->arg;
			calls[n++].cookie = due->cookie;
		}
	}
	pthread_mutex_unlock(&e->lock);
	for (unsigned i = 0; i < n; i++)
		calls[i].fn(calls[i].arg, calls[i].cookie);
}

#endif
