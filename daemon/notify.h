/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * notify.h - what the service manager is told: sd_notify(3).
 *
 *     start ─▶ READY ─▶ RELOADING ─▶ READY … ─▶ STOPPING
 *
 * With each comes STATUS=, a line for `systemctl status`. Where nobody asked for it, as
 * NOTIFY_SOCKET is not set, all of this does nothing.
 *
 * The watchdog. Where a manager wants a sign of life (WATCHDOG_USEC), the main loop gives it
 * from its own round, when half of the time is over: one that hangs, or waits for the lock of a
 * thread that does, gives none, and is started anew. It is no thread's or timer's work, which
 * would go on.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdint.h>

enum notify_state { NOTIFY_READY, NOTIFY_RELOADING, NOTIFY_STOPPING };

/* @status: one line; NULL: it stays as it is. Errors are not reported: a manager that does not
 * listen is no reason to serve worse. */
void notify_state(enum notify_state state, const char *status);

struct notify_watchdog {
	uint64_t interval;		/* nanoseconds between two signs of life; 0: none wanted */
	uint64_t next;			/* when the next one is due, monotonic */
};

/* What the environment asks for. @now: monotonic nanoseconds */
void notify_watchdog_init(struct notify_watchdog *watchdog, uint64_t now);
/* A sign of life, if it is time. Return: milliseconds until it is the next time; -1: never. */
int notify_watchdog_feed(struct notify_watchdog *watchdog, uint64_t now);

#endif
