/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include <transport/thread.h>

#include "notify.h"

#define NS_PER_MS 1000000u

void notify_state(enum notify_state state, const char *status)
{
	const char *before = status ? "\nSTATUS=" : "", *line = status ? status : "";

	switch (state) {
	case NOTIFY_READY:
		sd_notifyf(0, "READY=1%s%s", before, line);
		break;
	case NOTIFY_RELOADING:
		/* By the time, a READY=1 that was under way is told from the one after this. */
		sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu%s%s",
			   (unsigned long long)thread_now_ns() / 1000, before, line);
		break;
	case NOTIFY_STOPPING:
		sd_notifyf(0, "STOPPING=1%s%s", before, line);
		break;
	}
}

void notify_watchdog_init(struct notify_watchdog *watchdog, uint64_t now)
{
	uint64_t us;

	watchdog->interval = sd_watchdog_enabled(0, &us) > 0 ? us * 1000u / 2u : 0;
	watchdog->next = now;
}

int notify_watchdog_feed(struct notify_watchdog *watchdog, uint64_t now)
{
	if (!watchdog->interval)
		return -1;
	if (now >= watchdog->next) {
		sd_notify(0, "WATCHDOG=1");
		watchdog->next = now + watchdog->interval;
	}
	/* Rounded up: who looks too early looks twice. */
	return (int)((watchdog->next - now + NS_PER_MS - 1) / NS_PER_MS);
}
