/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/client_event.h - a client's eventfd as a struct event of the core.
 *
 * One thread of ours watches those eventfds that the core wants to be told of (unmask by
 * eventfd, ioeventfd). It finds an event by a number, never by its address, so that an
 * event freed meanwhile is simply not found.
 */
#ifndef TRANSPORT_CLIENT_EVENT_H
#define TRANSPORT_CLIENT_EVENT_H

#include <core/event.h>

struct client_events;

/* Starts the thread. Return: 0, -ENOMEM, -errno. */
int client_events_new(struct client_events **ret);
/* Ends the thread. Events must not be watched afterwards. NULL is allowed. */
void client_events_free(struct client_events *events);

/*
 * Make an event of @fd, a copy of a client's fd, which is owned from now on (closed on
 * failure).
 * Return: 0; -EINVAL it is no eventfd; -ENOMEM.
 */
int client_event_new(struct client_events *events, int fd, struct event **ret);

#endif
