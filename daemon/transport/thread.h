/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/thread.h - threads of the transport.
 *
 * Signals that others send are the main thread's. Faults (SIGBUS of a file that a client
 * truncated, see util/guard.h) come to the thread that makes them and must not be
 * blocked. SIGURG does nothing but interrupt a system call: it ends waits at the end.
 */
#ifndef TRANSPORT_THREAD_H
#define TRANSPORT_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/*
 * @stack: bytes, 0: the default; @detached: nobody will join it
 * Return: 0, -EAGAIN.  Locks: none needed.
 */
int thread_start(pthread_t *ret, size_t stack, bool detached, void *(*fn)(void *),
		 void *arg);

/* @ms milliseconds from now, for a wait that takes a deadline by @clock.  Locks: none. */
struct timespec thread_deadline(clockid_t clock, unsigned ms);

/* A condition whose timed waits take deadlines by CLOCK_MONOTONIC.  Locks: none. */
void thread_cond_init(pthread_cond_t *cond);

/* Monotonic nanoseconds.  Locks: none. */
uint64_t thread_now_ns(void);

/* Let SIGURG interrupt and do nothing, from now on. */
void thread_interruptible(void);

#endif
