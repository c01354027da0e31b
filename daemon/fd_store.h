/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fd_store.h - descriptors that the service manager holds for the next process of the service:
 * a struct fd_keep (transport/fd_keep.h) over sd_pid_notify_with_fds(3) and sd_listen_fds(3).
 *
 * Theory of operation
 *
 *   The manager has what it was sent under a name (FDSTORE=1, FDNAME=), and gives all of it to
 *   each process that it starts for the unit, after a restart and after a crash; when the unit is
 *   stopped, it closes them. It is told by name what to let go (FDSTOREREMOVE=1). It answers
 *   nothing: what it holds is known here by counting, so its limit has to be known, too.
 *
 *   It does not look at them (FDPOLL=0). Else it would close one that has hung up or has an error,
 *   which an eventfd shows when its counter is full, and a device when it is about to go.
 *
 *   The names of all go to the next process in one word of its environment, which the kernel
 *   limits to 128 KiB: with more of them no process could be started any more.
 *
 *   A message is sent for each, as all of one message would have one name. Messages are sent in
 *   the order of calls, so with the lock held; who sends waits if the manager is busy.
 *
 *   What cannot be kept breaks the records (keep_break()): the next process begins afresh.
 */
#ifndef FD_STORE_H
#define FD_STORE_H

#include <transport/fd_keep.h>
#include <util/keep.h>

#define FD_STORE_MAX 4096u		/* as FileDescriptorStoreMax= of the unit */
#define FD_STORE_NAMES_MAX (124u * 1024)	/* bytes, each name with its ':' */
#define FD_STORE_STATE "state"		/* the name of the records */

struct fd_store;

/*
 * fd_store_new - take what the manager has passed.
 * @max: what it keeps, at most; 0: nothing is kept, and what was passed is closed. More than
 * FD_STORE_MAX are not used
 * Return: 0; -ENOMEM; -errno of sd_listen_fds_with_names(3).  Locks: none; once in a process,
 * before there are threads, as it changes the environment.
 */
int fd_store_new(unsigned max, struct fd_store **ret);
/* What it holds stays with the manager. NULL is allowed. */
void fd_store_free(struct fd_store *store);

/* What is broken if something cannot be kept. */
void fd_store_set_keep(struct fd_store *store, struct keep *keep);
struct fd_keep *fd_store_files(struct fd_store *store);

/* Close, and have dropped, what was passed and nobody has taken. Return: how many these were. */
unsigned fd_store_sweep(struct fd_store *store);
/* The same with all that is kept; waits until the manager has closed them, FD_STORE_CLOSE_MS at
 * most. */
#define FD_STORE_CLOSE_MS 2000u
void fd_store_drop_all(struct fd_store *store);
/* How many are kept, and how many can be. */
unsigned fd_store_count(struct fd_store *store);
unsigned fd_store_room(const struct fd_store *store);

#endif
