/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/event.h - a client's eventfd, as the core sees it.
 *
 * Signalling never blocks. Watching: each time the counter is non-zero it is consumed
 * and fn(arg, cookie) runs on the transport's event thread without any lock held.
 * unwatch() does not wait, so a call already under way may still arrive: the receiver
 * looks its cookie up under its own lock and ignores what it no longer knows. @arg must
 * outlive the transport's event thread (devices do).
 */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include <stdatomic.h>
#include <stdint.h>

struct event;

struct event_ops {
	void (*signal)(struct event *ev);
	/* At most one watch at a time on one event object. Return: 0, -ENOMEM, -EBUSY. */
	int (*watch)(struct event *ev, void (*fn)(void *arg, uint64_t cookie),
		     void *arg, uint64_t cookie);
	void (*unwatch)(struct event *ev);
	void (*free)(struct event *ev);
	/* Have it known to the process that takes over from this one (core/restore.h), until it
	 * is freed. Return: ev->keep_id; 0: it cannot be.  Locks: any of the core's may be held.
	 * NULL: ev->keep_id is as it is. */
	uint64_t (*keep)(struct event *ev);
};

struct event {
	const struct event_ops *ops;
	atomic_uint refs;
	uint64_t keep_id;	/* by which the transport knows it after a restart; 0: it does not;
				 * set by event_keep() */
};

void event_init(struct event *ev, const struct event_ops *ops);	/* refs = 1 */
struct event *event_ref(struct event *ev);
void event_unref(struct event *ev);				/* NULL is allowed */
uint64_t event_keep_id(const struct event *event);		/* of NULL: 0 */

/* For whoever puts a reference into a record: make sure that the event outlives the process, too.
 * NULL is allowed.
 * Return: by what struct restore_ops will find it; 0: not at all.  Locks: as event_ops.keep. */
static inline uint64_t event_keep(struct event *ev)
{
	return ev && ev->ops->keep ? ev->ops->keep(ev) : event_keep_id(ev);
}

/* A client's fd argument that ought to be an eventfd, resolved by the transport.
 * fd < 0: event NULL and err 0. fd >= 0: either event, or err -EBADF or -EINVAL. */
struct event_arg {
	int fd;			/* the client's number, only its sign and -1 matter */
	int err;
	struct event *event;	/* borrowed; who keeps it takes a reference */
};

#endif
