/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <signal.h>

#include <transport/thread.h>

int thread_start(pthread_t *ret, size_t stack, bool detached, void *(*fn)(void *),
		 void *arg)
{
	static const int unblocked[] = { SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS,
					 SIGURG };
	pthread_attr_t attr;
	sigset_t mask, before;
	int r;

	pthread_attr_init(&attr);
	if (stack)
		pthread_attr_setstacksize(&attr, stack);
	if (detached)
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&mask);
	for (size_t i = 0; i < sizeof(unblocked) / sizeof(unblocked[0]); i++)
		sigdelset(&mask, unblocked[i]);
	pthread_sigmask(SIG_SETMASK, &mask, &before);
	r = pthread_create(ret, &attr, fn, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

struct timespec thread_deadline(clockid_t clock, unsigned ms)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

void thread_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

uint64_t thread_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void on_urg(int signal_number)
{
}

void thread_interruptible(void)
{
	struct sigaction action = { .sa_handler = on_urg };	/* no SA_RESTART */

	sigaction(SIGURG, &action, NULL);
}
