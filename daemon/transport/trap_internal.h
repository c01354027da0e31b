/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/trap_internal.h - between the trap_*.c files. */
#ifndef TRANSPORT_TRAP_INTERNAL_H
#define TRANSPORT_TRAP_INTERNAL_H

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <core/topology.h>
#include <transport/client.h>
#include <transport/client_event.h>
#include <transport/handle.h>
#include <transport/trap.h>

#define NOBODY (-1)

/* The architecture whose calls are served; see trap_filter.h for the other one. */
#if defined(__x86_64__)
#define TRAP_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define TRAP_ARCH AUDIT_ARCH_AARCH64
#else
#error "the trap transport knows x86-64 and aarch64"
#endif

struct trap {
	int listener;
	struct topology *topology;
	struct handles *handles;
	struct clients *clients;
	struct client_events *events;
	pthread_mutex_t adopt_lock;	/* one description is adopted once; outer to all */

	/* receivers, see trap.c */
	pthread_mutex_t lock;
	pthread_cond_t changed;		/* lock */
	pthread_t threads[TRAP_RECEIVERS];
	unsigned n_threads;
	atomic_int receiver;		/* number of the receiving thread; changed with lock */
	int watcher;			/* lock */
	atomic_bool watcher_sleeps;	/* set and cleared with lock */
	atomic_bool busy;		/* the receiver serves a call … */
	atomic_ulong calls;		/* … the one of this number */
	atomic_bool stop;
	atomic_bool told_32bit;
	bool may_spin;
};

/* A notification being served. */
struct trap_call {
	struct trap *trap;
	const struct seccomp_notif *req;
	struct seccomp_notif_resp resp;
	uint64_t received;		/* monotonic nanoseconds */
};

/* Result of the system call: >= 0 or -errno. The last word counts. */
static inline void trap_answer(struct trap_call *call, int64_t result)
{
	call->resp.flags = 0;
	call->resp.val = result < 0 ? 0 : result;
	call->resp.error = result < 0 ? (int)result : 0;
}

static inline void trap_continue(struct trap_call *call)
{
	call->resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
}

/* Does the thread number still mean the thread that waits in this call? */
bool trap_valid(const struct trap_call *call);

/*
 * Make @fd, which is closed in any case, a new fd of the client.
 * Closed before the client runs again, so that ours never delays a last close.
 * Return: the client's number, or -errno (-EMFILE; -ENOENT the client is gone).
 */
int trap_give_fd(const struct trap_call *call, int fd, bool cloexec);

/* trap_ioctl.c */
void trap_ioctl(struct trap_call *call);
/* The handle behind @fd of the client, adopted if need be, with a use for handle_put().
 * Return: 0; 1 a file that is not ours; -EBADF, -ESRCH; -EBUSY and others of an
 * adoption. */
int trap_find(struct trap_call *call, struct client_thread *thread, int fd,
	      struct handle **ret);
/* The same, with the calling thread for client_put(). Nothing is held on failure. */
int trap_find_caller(struct trap_call *call, int fd, struct client_thread **ret_thread,
		     struct handle **ret);
/* Open the object of a container or group node. Return: 0; -EBUSY, -EPERM, -ENODEV,
 * -ENOMEM (CG-005, CG-049 … CG-053). */
int trap_open_object(struct trap_call *call, struct client_thread *thread,
		     struct node *node, struct object *ret);
void trap_release_object(struct object object);

/* trap_rw.c */
void trap_rw(struct trap_call *call, bool write, bool vector, bool with_flags);
void trap_mmap(struct trap_call *call);

/* trap_open.c */
void trap_open(struct trap_call *call, int dirfd, uint64_t path, int flags);
/* Could a path's last component name a node of ours? Exported for the unit test. */
bool trap_open_name_matches(const char *path);

#endif
