/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/trap.h - serve the system calls of a client by seccomp user notification.
 *
 * Theory of operation
 *
 *   A client under the filter of trap_filter.h stops inside each VFIO call until we have
 *   answered. We read and write its memory, make fds in it (ADDFD), and answer either
 *   with a result or with "continue", upon which the kernel runs the call as if there
 *   were no filter.
 *
 *   "Continue" is never a decision about rights: between our look and the kernel's the
 *   client's other threads may change memory and fds. So it is used only where the kernel
 *   itself does what is right for any file the call could reach: container and group
 *   nodes are plain files and refuse VFIO commands (ENOTTY); a device is a memfd in which
 *   only BAR memory exists.
 *
 *   What has to be told apart in a call is in registers, or is read from memory once.
 *   After a read, and before a write, the notification is checked to be still valid, if
 *   the call is not quite young: if it is not, the thread was killed and its number may
 *   be another's.
 *
 *   An answer is sent after everything the call holds was given back, so that the
 *   client's next call finds it given back.
 *
 *   Receivers. One thread at a time takes notifications, and serves each itself: a
 *   hand-over would cost more than most calls. A client can stall its own memory (by
 *   userfaultfd, or a file system of its own), and with it the thread that reads it. A
 *   second thread watches: if the receiver spends RECEIVER_STALL_MS on one call, the
 *   watcher becomes the receiver. TRAP_RECEIVERS threads in all, so that many clients'
 *   threads can be stalled before others have to wait. The watcher sleeps while no call
 *   is made.
 *
 *   A receiver whose calls come in quick succession spins a little before it sleeps, if
 *   there is more than one CPU: it halves the latency, and narrows the window in which a
 *   signal makes a call fail with EINTR (a call that was not yet received; real VFIO has
 *   no such window).
 */
#ifndef TRANSPORT_TRAP_H
#define TRANSPORT_TRAP_H

#include <stddef.h>
#include <core/topology.h>
#include <vfio-cused/cused.h>

struct trap;
struct backing;

#define TRAP_RECEIVERS 4
#define RECEIVER_STALL_MS 5
#define TRAP_STOP_MS 2000	/* how long trap_stop() waits for a stalled receiver */

struct trap_device {
	struct device *device;
	struct backing *backing;
};

struct trap_params {
	struct topology *topology;
	const struct trap_device *devices;	/* borrowed during trap_start() */
	size_t n_devices;
	int listener;		/* owned by the trap from trap_start() on, also on failure */
	int directory;		/* the clients' /dev/vfio; borrowed during trap_start() */
};

/*
 * Start to serve. Each file in the directory has to be there: "vfio", and one per group.
 * Return: 0; -errno with @err set.
 */
int trap_start(const struct trap_params *params, struct trap **ret,
	       struct cused_error *err);
/*
 * Stop to serve: calls in flight and later ones fail with ENOSYS. Releases all open
 * files. NULL is allowed.
 * Return: 0; -EBUSY a receiver waits for memory that somebody outside of the run stalls.
 * Then nothing was freed, and the program should end without freeing what the trap uses.
 */
int trap_stop(struct trap *trap);

struct open_notes;
/* What clients have open, for status. Return: 0, -ENOMEM.  Locks: takes the table's. */
int trap_files(struct trap *trap, struct open_notes *ret);

/* Notifications so far, for tests and benchmarks. */
unsigned long trap_calls(const struct trap *trap);

#endif
