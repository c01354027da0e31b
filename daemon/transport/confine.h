/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/confine.h - the rights that the service and its agent keep.
 *
 * Theory of operation
 *
 *   Both begin with all that root can do, or with what a unit of systemd leaves them, and give
 *   up the rest in two steps:
 *
 *     1. confine_capabilities(), as soon as it is known that the service is to run, while there is
 *        one thread: all capabilities but those of the table, for good, and with
 *        no_new_privs the way to others by a program's file.
 *     2. confine_calls(), when start-up is over, of a service whose agent a service manager
 *        starts: system calls that only start-up needs, or the agent, or nobody, fail with
 *        EPERM from then on, in all threads (seccomp). It can neither mount nor execute.
 *
 *   An agent has no seccomp filter, and so its unit must have nothing that makes one: a courier
 *   under a filter may not suspend a client's (courier.h). A service that starts its agent
 *   itself would pass its filter on, and has none, either.
 *
 *   Each capability is kept for a reason, which stands in a comment "CAP_…: why" beside what
 *   needs it. The same capabilities are in the units (systemd/) and in vfio-cused-serve(8);
 *   tests/lint/confinement.sh compares.
 */
#ifndef TRANSPORT_CONFINE_H
#define TRANSPORT_CONFINE_H

#include <vfio-cused/cused.h>

enum confine_who {
	CONFINE_SERVICE,		/* its agent is a unit of its own */
	CONFINE_SERVICE_AND_AGENT,	/* it starts its agent */
	CONFINE_AGENT,
	CONFINE_COURIER,		/* forked by an agent for one delivery */
	CONFINE_WHO,
};

/*
 * confine_capabilities - keep those of the table. What the process does not have it does not get,
 * and that is no error.
 * Return: 0; -errno with @err set.  Locks: none; single-threaded.
 */
int confine_capabilities(enum confine_who who, struct cused_error *err);

/*
 * confine_calls - refuse system calls of a CONFINE_SERVICE; of others, nothing is done.
 * Return: 0; -errno with @err set: no seccomp, …  Locks: none; any number of threads.
 */
int confine_calls(enum confine_who who, struct cused_error *err);

#endif
