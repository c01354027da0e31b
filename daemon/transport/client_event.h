/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/client_event.h - a client's eventfd as a struct event of the core.
 *
 * One thread of ours watches those eventfds that the core wants to be told of (unmask by
 * eventfd, ioeventfd). It finds an event by a number, never by its address, so that an
 * event freed meanwhile is simply not found.
 *
 * A client may give one eventfd several times, each of which is an event of its own. What outlives
 * the process is one file then (kept_files.h).
 */
#ifndef TRANSPORT_CLIENT_EVENT_H
#define TRANSPORT_CLIENT_EVENT_H

#include <core/event.h>

struct client_events;
struct fd_keep;
struct keep;

/* Starts the thread. Return: 0, -ENOMEM, -errno. */
int client_events_new(struct client_events **ret);
/* Ends the thread. Events must not be watched afterwards. NULL is allowed. */
void client_events_free(struct client_events *events);

/*
 * client_events_keep - events that records refer to outlive the process (event_keep()); those
 * that another process has kept are there again, until client_events_restored().
 * @keep, @fds: borrowed, for as long as there are events; @keep NULL: nothing of it
 * Return: 0; -ENOMEM; -EMFILE; -EBADMSG these are no records.  Locks: none; nobody uses @events
 * yet.
 */
int client_events_keep(struct client_events *events, struct keep *keep, struct fd_keep *fds);
/* One of those, which nobody watches. Return: a reference; NULL: there was none. */
struct event *client_event_restore(struct client_events *events, uint64_t id);
/* Those that nobody has a reference to by now go. */
void client_events_restored(struct client_events *events);

/*
 * Make an event of @fd, a copy of a client's fd, which is owned from now on (closed on
 * failure).
 * Return: 0; -EINVAL it is no eventfd; -ENOMEM.
 */
int client_event_new(struct client_events *events, int fd, struct event **ret);

#endif
