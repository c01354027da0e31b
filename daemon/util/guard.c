/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 *   guard_copy() notes in a thread-local frame where to return to and which bytes it is
 *   about to touch, and copies. A SIGBUS inside those bytes jumps back. Frames do not
 *   nest (memcpy calls nothing), so one pointer per thread is enough.
 *
 *   The signal mask is not saved: that would cost a system call per copy. The handler
 *   puts back the mask that it interrupted before it jumps.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include <util/guard.h>

#define GUARD_PAGE_MASK 4095u

struct guard_frame {
	sigjmp_buf back;
	uintptr_t dst, src;
	size_t len;
};

static _Thread_local struct guard_frame *volatile guard_current;
static struct sigaction guard_previous;		/* written once, before the handler is */
static pthread_once_t guard_once = PTHREAD_ONCE_INIT;

static void guard_chain(int sig, siginfo_t *info, void *context)
{
	if (guard_previous.sa_flags & SA_SIGINFO) {
		guard_previous.sa_sigaction(sig, info, context);
		return;
	}
	if (guard_previous.sa_handler != SIG_DFL && guard_previous.sa_handler != SIG_IGN) {
		guard_previous.sa_handler(sig);
		return;
	}
	/* A fault comes again when the instruction does, now with the usual end; a signal
	 * that was sent (si_code <= 0) does not. */
	if (info->si_code <= 0 && guard_previous.sa_handler == SIG_IGN)
		return;
	signal(SIGBUS, SIG_DFL);
	if (info->si_code <= 0)
		raise(SIGBUS);		/* delivered when the handler returns */
}

/* By page: the kernel reports some faults with the page's address. */
static bool guard_touches(uintptr_t start, size_t len, uintptr_t addr)
{
	return (addr | GUARD_PAGE_MASK) >= start &&
	       (addr & ~(uintptr_t)GUARD_PAGE_MASK) < start + len;
}

static void guard_handler(int sig, siginfo_t *info, void *context)
{
	struct guard_frame *frame = guard_current;
	uintptr_t addr = (uintptr_t)info->si_addr;

	if (frame && info->si_code > 0 &&
	    (guard_touches(frame->dst, frame->len, addr) ||
	     guard_touches(frame->src, frame->len, addr))) {
		guard_current = NULL;
		pthread_sigmask(SIG_SETMASK, &((ucontext_t *)context)->uc_sigmask, NULL);
		siglongjmp(frame->back, 1);
	}
	guard_chain(sig, info, context);
}

static void guard_install(void)
{
	struct sigaction sa = { .sa_sigaction = guard_handler,
				.sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGBUS, NULL, &guard_previous);
	sigaction(SIGBUS, &sa, NULL);
}

int guard_copy(void *dst, const void *src, size_t len)
{
	struct guard_frame frame;

	pthread_once(&guard_once, guard_install);
	frame.dst = (uintptr_t)dst;
	frame.src = (uintptr_t)src;
	frame.len = len;
	if (sigsetjmp(frame.back, 0))
		return -EFAULT;
	guard_current = &frame;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	memcpy(dst, src, len);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	guard_current = NULL;
	return 0;
}
