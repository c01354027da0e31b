/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serve_kept.h - what a service leaves to the next process of its unit, and finds of the one
 * before.
 *
 * Theory of operation
 *
 *   Where a service manager keeps descriptors for the service (fd_store.h), the kernel sends
 *   requests again (Linux 6.9), and the agent is a unit of its own, which a restart does not end,
 *   the state of the service stands in records (util/keep.h), the first of those descriptors. A
 *   process that finds one takes over from the one before, in this order:
 *
 *     lock ─▶ descriptors ─▶ records ─▶ settings ─▶ devices ─▶ nodes, files ─▶ configuration
 *
 *   The settings, [iommu] and [service], stand for all that clients have open; so they are those
 *   of the process before, whatever the configuration says now, unless nothing is open: then the
 *   service begins afresh with new ones. Devices are made as they were, then the configuration as
 *   it is now is wanted, as at a reload.
 *
 *   What cannot be used, because it is of another version, or broken, or a part of it is missing,
 *   is dropped, and the service begins afresh; when devices were made by then, by executing the
 *   program anew, which ends all that had been begun.
 *
 *   At the end a process leaves all of it as it is if another is to follow (a restart), and drops it
 *   if none is.
 */
#ifndef SERVE_KEPT_H
#define SERVE_KEPT_H

#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "fd_store.h"
#include "host_sysfs.h"

struct serve_kept {
	struct fd_store *store;
	struct keep *keep;		/* these two: NULL: nothing outlives the process */
	struct fd_keep *fds;
	const char *why;		/* nothing is kept; NULL: nobody expects it */
	bool again;			/* it takes over; then: */
	struct host_sysfs sysfs;	/* the machine's; fd is -1 if there is none */
	struct conf settings;		/* without devices */
	uint64_t last_id;		/* of a device */
	uint64_t since;			/* clients wait since then, monotonic nanoseconds */
};

/*
 * serve_kept_open - take what the process before has left, and say so if it cannot be used.
 * @conf: loaded, not finished
 * Once in a process, with the lock, while there is one thread. Locks: none.
 */
void serve_kept_open(struct serve_kept *kept, const struct conf *conf);
/* Is that of use with this configuration, which is finished? If not, it is dropped. */
bool serve_kept_fits(struct serve_kept *kept, const struct conf *conf);
/* Begin to keep, if nothing is taken over and the service may. */
void serve_kept_begin(struct serve_kept *kept, const struct conf *conf);
/* All that is kept goes; waits until the manager has closed it. */
void serve_kept_drop(struct serve_kept *kept);

#endif
