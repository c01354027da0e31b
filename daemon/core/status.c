/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/status.c - looking at objects while they work.
 *
 * Theory of operation
 *
 *   Each object has one function that fills a plain struct: device_get_status(),
 *   group_get_state(), container_get_status(). Whoever looks must neither hold up those who
 *   work nor be held up by them:
 *
 *   - What happens often (DMA, interrupts, mappings) is counted where it happens, in atomic
 *     numbers, and is read without a lock. The numbers of one struct need not be of one
 *     moment.
 *   - The irq lock is held for a few stores at a time, by those who look as well.
 *   - A group's lock is held while a device opens or closes, a container's while its driver
 *     works, and both can take as long as memory of the client, which the client can stall.
 *     So these are tried for (status_lock()), and an object whose lock is not to be had is
 *     told as busy.
 */
#include <time.h>

#include <core/internal.h>

bool status_lock(pthread_mutex_t *lock)
{
	const struct timespec pause = { 0, STATUS_PAUSE_US * 1000l };

	for (unsigned i = 0; i < STATUS_TRIES; i++) {
		if (pthread_mutex_trylock(lock) == 0)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}
