/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread of an open device: polls pages that clients mmap, and runs timers.
 *
 * While poll() reports work it is called again at once. After that the thread goes on
 * looking for POLLER_SPIN_NS, letting others have the processor in between, because the
 * next command mostly comes soon. Then it sleeps: each time for an eighth of the time
 * that the device has been idle, so that a late look costs a client at most an eighth of
 * the pause it made itself, up to POLLER_SLEEP_MAX_NS. An idle device thus costs 250
 * looks per second. A kick ends any sleep.
 *
 *     word     RUNNING ─ sleep ─▶ SLEEPING ─ kick or time ─▶ RUNNING
 *              RUNNING ─ kick ──▶ KICKED ─ next look ─▶ RUNNING
 */
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include <core/device_priv.h>

#define POLLER_SPIN_NS 40000ull
#define POLLER_SLEEP_SHARE 8		/* sleep one part in so many of the idle time */
#define POLLER_SLEEP_MIN_NS 10000ull
#define POLLER_SLEEP_MAX_NS 4000000ull
#define NEVER UINT64_MAX

enum poller_word { RUNNING, KICKED, SLEEPING };

uint64_t poller_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* ---- kick, sleep ---- */

void poller_kick(struct device *device)
{
	struct poller *poller = &device->poller;

	if (atomic_exchange(&poller->word, KICKED) != SLEEPING)
		return;
	pthread_mutex_lock(&poller->nap);
	pthread_cond_signal(&poller->wake);
	pthread_mutex_unlock(&poller->nap);
}

/* Until @deadline, or a kick. Return: true if it was a kick. */
static bool sleep_until(struct poller *poller, uint64_t deadline)
{
	struct timespec ts = { (time_t)(deadline / 1000000000ull),
			       (long)(deadline % 1000000000ull) };
	unsigned expected = RUNNING;
	int r = 0;

	pthread_mutex_lock(&poller->nap);
	if (atomic_compare_exchange_strong(&poller->word, &expected, SLEEPING))
		while (r == 0 && atomic_load(&poller->word) == SLEEPING)
			r = deadline == NEVER ?
				    pthread_cond_wait(&poller->wake, &poller->nap) :
				    pthread_cond_timedwait(&poller->wake, &poller->nap, &ts);
	pthread_mutex_unlock(&poller->nap);
	return atomic_exchange(&poller->word, RUNNING) == KICKED;
}

/* ---- timers; device lock held ---- */

void poller_arm(struct device *device, unsigned id, uint64_t ns)
{
	uint64_t now = poller_now();

	if (id >= CUSED_TIMERS)
		return;
	if (ns || device->poller.timers[id]) {
		device->poller.timers[id] = ns == 0 ? 0 : now + ns < now ? NEVER : now + ns;
		device_record_timers(device);
	}
	if (ns)
		poller_kick(device);
}

void poller_reset(struct device *device)
{
	memset(device->poller.timers, 0, sizeof(device->poller.timers));
	device_record_timers(device);
}

static uint64_t next_deadline(const struct poller *poller)
{
	uint64_t next = NEVER;

	for (unsigned i = 0; i < CUSED_TIMERS; i++)
		if (poller->timers[i] && poller->timers[i] < next)
			next = poller->timers[i];
	return next;
}

static bool run_timers(struct device *device)
{
	struct poller *poller = &device->poller;
	bool ran = false;
	uint64_t now;

	if (next_deadline(poller) == NEVER)
		return false;
	now = poller_now();
	for (unsigned i = 0; i < CUSED_TIMERS; i++) {
		if (!poller->timers[i] || poller->timers[i] > now)
			continue;
		poller->timers[i] = 0;
		if (device->ops->timer)
			device->ops->timer(device->state, i);
		/* Afterwards: what the model has not come to the end of is begun again. */
		if (!poller->timers[i])
			device_record_timers(device);
		ran = true;
	}
	return ran;
}

/* ---- the thread ---- */

/* One look under the device's lock. A function that sleeps does nothing; whatever wakes
 * it kicks. Return: true if there was work. */
static bool look(struct device *device, uint64_t *ret_deadline)
{
	bool worked = false;

	*ret_deadline = NEVER;
	device_lock(device);
	if (device_is_awake(device)) {
		worked = run_timers(device);
		if (device->ops->poll)
			worked |= device->ops->poll(device->state);
		*ret_deadline = next_deadline(&device->poller);
	}
	device_unlock(device);
	atomic_fetch_add_explicit(&device->counters.polls, 1, memory_order_relaxed);
	return worked;
}

/* When to look again, given that nothing has happened since @idle_since. */
static uint64_t next_look(const struct device *device, uint64_t now, uint64_t idle_since)
{
	uint64_t nap = (now - idle_since) / POLLER_SLEEP_SHARE;

	if (!device->ops->poll)
		return NEVER;
	if (nap < POLLER_SLEEP_MIN_NS)
		nap = POLLER_SLEEP_MIN_NS;
	return now + (nap < POLLER_SLEEP_MAX_NS ? nap : POLLER_SLEEP_MAX_NS);
}

static void *poller_main(void *arg)
{
	struct device *device = arg;
	struct poller *poller = &device->poller;
	uint64_t idle_since = 0;		/* 0: not idle */

	while (!atomic_load(&poller->stop)) {
		uint64_t deadline, now, until;

		if (look(device, &deadline)) {
			idle_since = 0;
			continue;
		}
		now = poller_now();
		if (!idle_since)
			idle_since = now;
		if (device->ops->poll && now - idle_since < POLLER_SPIN_NS) {
			sched_yield();
			continue;
		}
		until = next_look(device, now, idle_since);
		if (sleep_until(poller, until < deadline ? until : deadline))
			idle_since = 0;
	}
	return NULL;
}

void poller_init(struct poller *poller)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&poller->nap, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&poller->wake, &attr);
	pthread_condattr_destroy(&attr);
}

void poller_done(struct poller *poller)
{
	pthread_cond_destroy(&poller->wake);
	pthread_mutex_destroy(&poller->nap);
}

int poller_start(struct device *device)
{
	struct poller *poller = &device->poller;
	sigset_t all, old;
	int r;

	if (!device->ops->poll && !device->ops->timer)
		return 0;
	atomic_store(&poller->stop, false);
	atomic_store(&poller->word, RUNNING);
	/* Signals are for the program's main thread; faults are not, as a blocked one is
	 * deadly at once: a client that truncates a shared file causes SIGBUS here. */
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&poller->thread, NULL, poller_main, device);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r)
		return -r;
	pthread_setname_np(poller->thread, "device");
	poller->running = true;
	return 0;
}

void poller_stop(struct device *device)
{
	struct poller *poller = &device->poller;

	if (!poller->running)
		return;
	atomic_store(&poller->stop, true);
	poller_kick(device);
	pthread_join(poller->thread, NULL);
	poller->running = false;
}
