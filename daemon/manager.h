/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * manager.h - what systemd says of the unit that this process is the main one of, by D-Bus.
 *
 * notify.h tells the manager, and is answered nothing. This asks it: at the start, how many
 * descriptors it keeps, and at a SIGTERM, whether that is a stop or half of a restart, which
 * nothing else tells apart. Nobody may be held up by a bus that hangs: there is a deadline over all
 * of a question, and no answer is one.
 *
 * Asked first is the manager's own socket, as systemctl does, which needs no dbus-daemon; then the
 * system's bus.
 */
#ifndef MANAGER_H
#define MANAGER_H

#include <stdbool.h>

/* For a question, all attempts together. On a busy machine an answer takes seconds, and without
 * one clients lose what they have. */
#define MANAGER_ANSWER_MS 10000u

/* A place to ask at. */
struct manager_bus {
	const char *address;		/* as of D-Bus; NULL: the end of them */
	bool is_bus;			/* with a dbus-daemon between */
};
extern const struct manager_bus manager_buses[];

enum manager_job {
	MANAGER_UNKNOWN,		/* it cannot be asked, or this is no unit */
	MANAGER_NO_JOB,			/* nobody wants anything of the unit */
	MANAGER_RESTART,
	MANAGER_OTHER,			/* "stop" and all others */
};

/* What is under way with our unit? Waits, at most MANAGER_ANSWER_MS. */
enum manager_job manager_job(const struct manager_bus *buses);
/* How many descriptors it keeps for our unit. Return: 0; -EIO it cannot be asked. Waits as
 * manager_job(). */
int manager_fd_store_max(const struct manager_bus *buses, unsigned *ret);

#endif
