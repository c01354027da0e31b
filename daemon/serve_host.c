/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serve_host.c - devices of the machine in a running service follow it; serve_devices.h has
 * the theory. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <core/device.h>
#include <core/group.h>
#include <transport/thread.h>
#include <util/log.h>

#include "host.h"
#include "serve_devices_internal.h"

static uint64_t now_ms(void)
{
	return thread_now_ns() / 1000000;
}

/* ---- what is awaited ---- */

/* FNV-1a; never 0. */
static uint32_t hash_of(const char *text)
{
	uint32_t hash = 2166136261u;

	while (*text)
		hash = (hash ^ (unsigned char)*text++) * 16777619u;
	return hash ? hash : 1;
}

bool host_may_come(int r)
{
	return r == -ENODEV || r == -EBUSY || r == -EPERM;
}

void host_await(struct serve_devices *all, struct generation *generation, size_t index, int r,
		const char *why)
{
	const struct conf_device *device = &generation->conf->devices[index];
	struct log_about about = { .device = device->bdf };
	bool is_mistake = generation->tried[index] == NEW && !conf_waits(device);
	uint32_t hash = hash_of(why);

	if (generation->tried[index] != AWAITED || generation->told[index] != hash)
		log_about(&about, is_mistake ? CUSED_LOG_ERROR : CUSED_LOG_INFO, "serve",
			  "device %s (%s) %s: %s", device->id, device->bdf,
			  is_mistake ? "cannot be made" : "is awaited", why);
	generation->tried[index] = AWAITED;
	generation->told[index] = hash;
	/* No uevent tells that another program has let go of it. */
	if (r == -EBUSY || r == -EPERM)
		all->retry_at = now_ms() + SERVE_RETRY_MS;
}

int serve_devices_retry_ms(const struct serve_devices *all)
{
	uint64_t now = now_ms();

	if (!all->retry_at)
		return -1;
	return all->retry_at > now ? (int)(all->retry_at - now) : 0;
}

void host_forget(struct generation *generation)
{
	list_remove(&generation->item);
	generation_unuse(generation);
}

/* It is wanted as long as nobody says otherwise. */
static void await_back(struct serve_devices *all, struct entry *entry)
{
	struct generation *wanted = all->wanted, *own = entry->generation;

	for (size_t i = 0; i < wanted->conf->n_devices; i++) {
		if (!conf_device_same(&wanted->conf->devices[i], entry->conf))
			continue;
		wanted->tried[i] = AWAITED;
		wanted->told[i] = 0;
		return;
	}
	/* Added by hand: its generation is its own. */
	own->users++;
	own->tried[0] = AWAITED;
	own->told[0] = 0;
	list_push_back(&all->added, &own->item);
}

/* ---- what is there ---- */

/* Return: why it is there no more, or NULL. */
static const char *lost(const struct serve_devices *all, const struct entry *entry,
			const struct host_device *now)
{
	const struct cused_pci *pci = device_pci(entry->device);

	if (!now)
		return "it is no device of this machine any more";
	if (now->use != HOST_USE_VFIO || !now->node[0])
		return "it is bound to a VFIO driver no more";
	if (now->group != (long)group_id(device_group(entry->device)) ||
	    now->vendor != pci->vendor || now->id != pci->device ||
	    now->class_code != pci->class_code ||
	    strcmp(now->node, instance_node(all->instance, entry->device)) != 0)
		return "another one is in its place";
	return NULL;
}

static void follow_group(struct serve_devices *all, struct entry *entry,
			 const struct host_group *now)
{
	struct group *group = device_group(entry->device);
	const struct host_device *taken = host_taken(now);
	char number[16];
	struct log_about about = { .group = number, .row = "SD-067" };
	struct group_state state;

	snprintf(number, sizeof(number), "%u", group_id(group));
	group_get_state(group, &state);
	if (state.busy)
		all->retry_at = now_ms() + SERVE_RETRY_MS;
	if (state.busy || state.viable == !taken ||
	    group_set_foreign_owner(group, taken != NULL))
		return;
	if (taken)
		log_about(&about, CUSED_LOG_WARNING, "serve", "group %s is not viable: %s has the "
			  "driver %s; no client can have it (EPERM) until that is unbound",
			  number, taken->name, taken->driver);
	else
		log_about(&about, CUSED_LOG_INFO, "serve", "group %s is viable again", number);
}

static bool is_any(const char *bdf, void *arg)
{
	return true;
}

void serve_devices_follow(struct serve_devices *all, const char *sysfs)
{
	struct cused_error err;
	struct host host;

	all->retry_at = 0;
	if (!serve_devices_each_host(all, is_any, NULL))
		return;
	if (host_read(sysfs, &host, &err)) {
		cused_log(CUSED_LOG_WARNING, "serve", "changes of the machine are not seen: %s",
			  err.text);
		return;
	}
	list_for_each(it, &all->entries) {
		struct entry *entry = container_of(it, struct entry, item);
		const struct host_device *now;
		const char *why;

		if (!conf_is_host(entry->conf) || entry->leaving || entry->out)
			continue;
		now = host_find_device(&host, entry->conf->bdf);
		why = lost(all, entry, now);
		if (!why) {
			follow_group(all, entry, host_find_group(&host, now->group));
			continue;
		}
		cused_log(CUSED_LOG_INFO, "serve", "device %s (%s) leaves: %s", entry->conf->id,
			  entry->conf->bdf, why);
		entry->lost = true;
		entry_leave(all, entry);
		await_back(all, entry);
	}
	host_free(&host);
	all->want_changed = true;
}

bool serve_devices_each_host(const struct serve_devices *all,
			     bool (*fn)(const char *bdf, void *arg), void *arg)
{
	const struct conf *wanted = all->wanted->conf;
	bool done = false;

	for (size_t i = 0; i < wanted->n_devices && !done; i++)
		done = conf_is_host(&wanted->devices[i]) && fn(wanted->devices[i].bdf, arg);
	list_for_each(it, &all->added) {
		const struct generation *added = container_of(it, struct generation, item);

		done = done || fn(added->conf->devices[0].bdf, arg);
	}
	list_for_each(it, &all->entries) {
		const struct entry *entry = container_of(it, struct entry, item);

		done = done || (conf_is_host(entry->conf) && fn(entry->conf->bdf, arg));
	}
	return done;
}
