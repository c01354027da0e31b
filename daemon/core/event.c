/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <core/event.h>

uint64_t event_keep_id(const struct event *event)
{
	return event ? event->keep_id : 0;
}

void event_init(struct event *ev, const struct event_ops *ops)
{
	ev->ops = ops;
	atomic_init(&ev->refs, 1);
	ev->keep_id = 0;
}

struct event *event_ref(struct event *ev)
{
	atomic_fetch_add_explicit(&ev->refs, 1, memory_order_relaxed);
	return ev;
}

void event_unref(struct event *ev)
{
	if (ev && atomic_fetch_sub_explicit(&ev->refs, 1, memory_order_acq_rel) == 1)
		ev->ops->free(ev);
}
