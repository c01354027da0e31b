/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serve_leave.c - devices of a running service that go; serve_devices.h has the theory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <core/device.h>
#include <core/group.h>
#include <transport/backing.h>
#include <transport/thread.h>
#include <util/log.h>

#include "conf_keep.h"
#include "serve_devices_internal.h"

static uint64_t now_ms(void)
{
	return thread_now_ns() / 1000000;
}

void entry_leave(struct serve_devices *all, struct entry *entry)
{
	entry->leaving = true;
	topology_hide_device(instance_topology(all->instance), entry->device);
}

/* ---- going ---- */

/* Of a device that is freed. */
static void entry_free(struct serve_devices *all, struct entry *entry)
{
	list_remove(&entry->item);
	if (!entry->out)
		conf_keep_drop(all->keep, entry->keep_id);
	backing_free(entry->backing);
	generation_unuse(entry->generation);
	free(entry);
}

/* Out of all that is served; the device stays for files that its clients have not closed. */
static void take_out(struct serve_devices *all, struct entry *entry)
{
	struct log_about about = { .device = entry->conf->bdf };

	pthread_join(entry->worker, NULL);
	entry->revoking = false;
	entry->out = true;
	conf_keep_drop(all->keep, entry->keep_id);
	service_remove_device(all->service, entry->device);
	instance_forget_device(all->instance, entry->device);
	hide_group_if_empty(all, device_group(entry->device));
	log_about(&about, CUSED_LOG_INFO, "serve", "device %s (%s) was taken from its clients, and has "
		  "gone", entry->conf->id, entry->conf->bdf);
}

/* What a client sees of a device of the machine is the kernel's, which asks for nothing. */
static void ask(struct entry *entry)
{
	struct log_about about = { .device = entry->conf->bdf, .row = "PCI-104" };
	bool is_host = conf_is_host(entry->conf);
	uint64_t now = now_ms();

	if (entry->asked == 0)
		log_about(&about, CUSED_LOG_INFO, "serve", "device %s (%s) is in use: %s, and it "
			  "goes then", entry->conf->id, entry->conf->bdf, !is_host ?
			  "its client is asked to close it" : entry->lost ?
			  "the kernel asks its client to close it" :
			  "it stays until its client closes it or ends, which it is not asked to");
	if (entry->asked == 0 || now - entry->asked >= SERVE_ASK_MS) {
		if (!is_host)
			device_signal_req(entry->device);
		entry->asked = now;
	}
}

/* Return: true: it has gone, as far as anybody can see. The entry may be freed. */
static bool leave(struct serve_devices *all, struct entry *entry)
{
	struct log_about about = { .device = entry->conf->bdf };
	struct group *group = device_group(entry->device);

	if (entry->revoking) {
		if (!atomic_load(&entry->revoked))
			return false;
		take_out(all, entry);
		return true;
	}
	/* A call that is still at work on a file keeps the device open as the file does. */
	if (device_is_open(entry->device)) {
		ask(entry);
		return false;
	}
	service_remove_device(all->service, entry->device);
	if (instance_free_device(all->instance, entry->device))
		return false;
	log_about(&about, CUSED_LOG_INFO, "serve", "device %s (%s) has gone", entry->conf->id,
		  entry->conf->bdf);
	entry_free(all, entry);
	hide_group_if_empty(all, group);
	return true;
}

bool settle_leaving(struct serve_devices *all, bool *ret_left)
{
	bool gone = false;

	*ret_left = false;
	list_for_each_safe(it, tmp, &all->entries) {
		struct entry *entry = container_of(it, struct entry, item);

		if (!entry->leaving || entry->out)
			continue;
		if (leave(all, entry))
			gone = true;
		else
			*ret_left = true;
	}
	return gone;
}

bool serve_devices_reap(struct serve_devices *all)
{
	struct topology *topology = instance_topology(all->instance);
	bool left = false;

	list_for_each_safe(it, tmp, &all->entries) {
		struct entry *entry = container_of(it, struct entry, item);

		if (!entry->out)
			continue;
		if (topology_free_device(topology, entry->device) == 0)
			entry_free(all, entry);
		else
			left = true;
	}
	return service_reap(all->service) || left;
}

/* ---- by hand ---- */

static void *revoke_main(void *arg)
{
	struct entry *entry = arg;

	device_revoke(entry->device);
	atomic_store(&entry->revoked, true);
	return NULL;
}

/* A client can hold up who revokes, so that has a thread. */
static int revoke(struct entry *entry, struct cused_error *err)
{
	int r;

	if (entry->revoking)
		return 0;
	r = thread_start(&entry->worker, 0, false, revoke_main, entry);
	if (r)
		return cused_error_set(err, r, "cannot start a thread to revoke %s: %s",
				       entry->conf->bdf, strerror(-r));
	entry->revoking = true;
	return 0;
}

/* "group=7", "group=noiommu-7", an address or an id; NULL: any. @group: that it is in; NULL: it
 * is not there. */
static bool is_named(const struct conf_device *device, const struct group *group,
		     const char *name)
{
	struct pci_address a;
	char text[40];

	if (!name)
		return true;
	/* Where one of the machine will come, only the machine knows. */
	snprintf(text, sizeof(text), "group=%s%u", device->noiommu ? "noiommu-" : "",
		 group ? group_id(group) : device->group);
	if ((!strcmp(text, name) && (group || !conf_is_host(device))) ||
	    !strcmp(device->id, name))
		return true;
	return conf_parse_bdf(name, &a) == 0 && a.segment == device->address.segment &&
	       a.bus == device->address.bus && a.slot == device->address.slot &&
	       a.function == device->address.function;
}

static bool entry_is_named(const struct entry *entry, const char *name)
{
	return is_named(entry->conf, device_group(entry->device), name);
}

/* What is there and is dismissed is not wanted any more, however it was named. */
static void dismiss_same(struct serve_devices *all, const struct conf_device *device)
{
	struct generation *wanted = all->wanted;

	for (size_t i = 0; i < wanted->conf->n_devices; i++)
		if (conf_device_same(&wanted->conf->devices[i], device))
			wanted->tried[i] = DISMISSED;
}

static int dismiss(struct serve_devices *all, struct entry *entry, bool take, uint64_t job,
		   struct cused_error *err)
{
	if (!entry->leaving)
		entry_leave(all, entry);
	if (!entry->first_job)
		entry->first_job = job;
	entry->last_job = job;
	return take && !conf_is_host(entry->conf) ? revoke(entry, err) : 0;
}

/* The file that a client has of a device of the machine is the kernel's: none can take it. */
static int check_takable(const struct serve_devices *all, const char *name,
			 struct cused_error *err)
{
	list_for_each(it, &all->entries) {
		const struct entry *entry = container_of(it, struct entry, item);

		if (!entry->out && entry_is_named(entry, name) && conf_is_host(entry->conf) &&
		    device_is_open(entry->device))
			return cused_error_set(err, -EOPNOTSUPP, "%s is a device of the machine, "
					       "whose open file is the kernel's and cannot be "
					       "taken from a client: leave --revoke out, and end "
					       "the client (vfio-cused ctl status names it)",
					       entry->conf->bdf);
	}
	return 0;
}

/* One of those that are wanted and not there. Return: how many. */
static unsigned dismiss_wanted(struct serve_devices *all, const char *name)
{
	struct generation *wanted = all->wanted;
	unsigned n = 0;

	for (size_t i = 0; i < wanted->conf->n_devices; i++) {
		if (!is_named(&wanted->conf->devices[i], NULL, name))
			continue;
		/* One that failed is nothing to take away. */
		n += wanted->tried[i] == WAITING || wanted->tried[i] == AWAITED;
		wanted->tried[i] = DISMISSED;
	}
	list_for_each_safe(it, tmp, &all->added) {
		struct generation *added = container_of(it, struct generation, item);

		if (!is_named(&added->conf->devices[0], NULL, name))
			continue;
		n++;
		host_forget(added);
	}
	return n;
}

/* Is one leaving already? Then it is meant, and not what comes in its place. */
static bool is_leaving(const struct serve_devices *all, const char *name)
{
	list_for_each(it, &all->entries) {
		const struct entry *entry = container_of(it, struct entry, item);

		/* One that the machine takes comes back in its own place. */
		if (entry->leaving && !entry->lost && !entry->out && entry_is_named(entry, name))
			return true;
	}
	return false;
}

int serve_devices_dismiss(struct serve_devices *all, const char *name, bool take, uint64_t job,
			  struct cused_error *err)
{
	bool whole = !name || !strncmp(name, "group=", strlen("group="));
	bool old = !whole && is_leaving(all, name);
	unsigned n = 0;
	int r = name && take ? check_takable(all, name, err) : 0;

	if (r)
		return r;
	if (!old)
		n = dismiss_wanted(all, name);
	list_for_each(it, &all->entries) {
		struct entry *entry = container_of(it, struct entry, item);

		if (r || entry->out || !entry_is_named(entry, name) || (old && !entry->leaving))
			continue;
		if (!old)
			dismiss_same(all, entry->conf);
		r = dismiss(all, entry, take, job, err);
		n++;
	}
	if (n == 0 && name)
		return cused_error_set(err, -ENOENT, "%.64s: no such %s is served; vfio-cused "
				       "ctl status lists them by address and name", name,
				       whole ? "group" : "device");
	return r;
}

bool serve_devices_is_done(const struct serve_devices *all, uint64_t job)
{
	list_for_each(it, &all->entries) {
		const struct entry *entry = container_of(it, struct entry, item);

		if (!entry->out && entry->first_job &&
		    (!job || (entry->first_job <= job && job <= entry->last_job)))
			return false;
	}
	return true;
}

int serve_devices_end(struct serve_devices *all)
{
	if (!all)
		return 0;
	list_for_each(it, &all->entries) {
		struct entry *entry = container_of(it, struct entry, item);

		if (!entry->revoking)
			continue;
		if (!atomic_load(&entry->revoked))
			return -EBUSY;
		pthread_join(entry->worker, NULL);
		entry->revoking = false;
	}
	return 0;
}
