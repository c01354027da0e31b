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
};

struct event {
	const struct event_ops *ops;
	atomic_uint refs;
	uint64_t keep_id;	/* by which the transport knows it after a restart; 0: it does not */
};

void event_init(struct event *ev, const struct event_ops *ops);	/* refs = 1 */
struct event *event_ref(struct event *ev);
void event_unref(struct event *ev);				/* NULL is allowed */

/* A client's fd argument that ought to be an eventfd, resolved by the transport.
 * fd < 0: event NULL and err 0. fd >= 0: either event, or err -EBADF or -EINVAL. */
struct event_arg {
	int fd;			/* the client's number, only its sign and -1 matter */
	int err;
	struct event *event;	/* borrowed; who keeps it takes a reference */
};

#endif
