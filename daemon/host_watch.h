/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host_watch.h - news of PCI devices, their drivers and their VFIO nodes, from the kernel.
 *
 *     kernel ── uevent, netlink ──▶ host_watch_take() ──▶ "0000:01:00.0 was bound"
 *
 * A uevent says that something has happened, at some time before it is read: whoever is told
 * of one reads the device anew (host.h) and does not believe that nothing has changed since.
 * Begin to watch, then read: what changes in between is told, and what is told may be known.
 *
 * Only the kernel is listened to: messages of processes, which have a port number, are
 * thrown away. Of other devices nothing is told. If messages come faster than they are taken,
 * the kernel drops some and says so once (-ENOBUFS): then everything has to be read anew.
 *
 * In a network namespace other than the first, or in a user namespace, the kernel sends
 * fewer uevents or none.
 */
#ifndef HOST_WATCH_H
#define HOST_WATCH_H

#include <stdbool.h>
#include <stddef.h>

enum host_event_kind {
	HOST_EVENT_ADDED,	/* a PCI device is there */
	HOST_EVENT_REMOVED,	/* … has gone */
	HOST_EVENT_BOUND,	/* … has a driver now */
	HOST_EVENT_UNBOUND,	/* … has none any more */
	HOST_EVENT_NODE_ADDED,	/* a VFIO driver has made its node */
	HOST_EVENT_NODE_REMOVED,
};

struct host_event {
	enum host_event_kind kind;
	char device[64];	/* address, as in struct host_device */
	char node[32];		/* of HOST_EVENT_NODE_…: "vfio3", else "" */
};

struct host_watch;

/*
 * host_watch_new - begin to watch. Needs no right.
 * Return: 0, -ENOMEM, or the errno of making the socket.
 */
int host_watch_new(struct host_watch **ret);
/* NULL is allowed. */
void host_watch_free(struct host_watch *watch);

/* Return: the descriptor to poll for POLLIN; it stays the watch's. */
int host_watch_fd(const struct host_watch *watch);

/*
 * host_watch_take - the next thing that has happened; never blocks.
 *
 * Return: 1 with *ret, 0 if there is nothing now, -ENOBUFS if some were lost, or the errno of
 * reading the socket.
 */
int host_watch_take(struct host_watch *watch, struct host_event *ret);

/*
 * host_watch_parse - what a message means. For host_watch_take() and tests.
 * @text, @len: "ACTION@PATH", then "KEY=VALUE", each with a NUL
 *
 * Return: whether it is one of the events above, then with *ret.
 */
bool host_watch_parse(const char *text, size_t len, struct host_event *ret);

#endif
