/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <core/device.h>
#include <core/group.h>
#include <transport/backing.h>
#include <transport/fd_keep.h>
#include <util/cleanup.h>
#include <util/log.h>

#include "conf_keep.h"
#include "serve_devices_internal.h"

/* ---- configurations ---- */

void generation_unuse(struct generation *generation)
{
	if (--generation->users)
		return;
	conf_done(&generation->own);
	free(generation);
}

int serve_devices_new(const struct conf *conf, struct service *service,
		      const struct serve_devices_keep *keep, struct serve_devices **ret,
		      struct cused_error *err)
{
	struct serve_devices *all = calloc(1, sizeof(*all));
	struct generation *generation = calloc(1, sizeof(*generation));
	int r;

	if (!all || !generation) {
		free(all);
		free(generation);
		return cused_error_set(err, -ENOMEM, "out of memory");
	}
	conf_init(&generation->own);
	generation->conf = conf;
	generation->users = 1;
	all->service = service;
	all->settings = conf;
	if (keep) {
		all->keep = keep->keep;
		all->fds = keep->fds;
		all->last_id = keep->last_id;
	}
	all->wanted = generation;
	list_init(&all->added);
	list_init(&all->entries);
	list_init(&all->shown);
	r = instance_begin(conf, all->keep, service_backend_files(service), &all->instance, err);
	if (r) {
		serve_devices_free(all);
		return r;
	}
	*ret = all;
	return 0;
}

void serve_devices_free(struct serve_devices *all)
{
	if (!all)
		return;
	instance_free(all->instance);	/* and the devices, before what they use */
	list_for_each_safe(it, tmp, &all->entries) {
		struct entry *entry = container_of(it, struct entry, item);

		backing_free(entry->backing);
		generation_unuse(entry->generation);
		free(entry);
	}
	list_for_each_safe(it, tmp, &all->shown)
		free(container_of(it, struct shown, item));
	while (!list_empty(&all->added))
		host_forget(container_of(all->added.next, struct generation, item));
	generation_unuse(all->wanted);
	free(all);
}

struct instance *serve_devices_instance(const struct serve_devices *all)
{
	return all->instance;
}

size_t serve_devices_count(const struct serve_devices *all)
{
	size_t n = 0;

	list_for_each(it, &all->entries)
		n += !container_of(it, struct entry, item)->leaving;
	return n;
}

/* ---- coming ---- */

/* Memory that the model has, clients map, and a process after this one will have. */
static int back(struct serve_devices *all, struct entry *entry, bool again,
		struct cused_error *err)
{
	int memfd, r;

	if (!again)
		return backing_new(0, &entry->backing, err);
	memfd = backing_kept(all->fds, entry->keep_id);
	if (memfd < 0)
		return cused_error_set(err, -EBADMSG, "device %s: its memory was not kept",
				       entry->conf->id);
	r = backing_adopt(0, memfd, &entry->backing, err);
	if (r)
		close(memfd);
	return r;
}

/* Return: 0; -errno with @err set. */
static int make_backed(struct serve_devices *all, struct entry *entry, bool again,
		       struct cused_error *err)
{
	bool can_map = service_can_map(all->service);
	struct instance_backing where = { .no_mmap = !can_map, .keep_id = entry->keep_id,
					  .again = again };
	const char *id = entry->conf->id;
	int r;

	/* What the machine's own have, the kernel maps. */
	if ((can_map || entry->keep_id) && !conf_is_host(entry->conf)) {
		r = back(all, entry, again, err);
		if (r)
			return r;
		if (entry->keep_id)
			backing_keep_own(entry->backing, all->fds, entry->keep_id);
		where.ops = &backing_memfd_ops;
		where.arg = entry->backing;
	}
	r = instance_add_device(all->instance, entry->conf, &where, &entry->device, err);
	if (r || !entry->backing)
		return r;
	r = backing_seal(entry->backing);
	if (r == 0 && can_map)
		r = service_add_device(all->service, entry->device, backing_fd(entry->backing));
	if (r) {
		topology_hide_device(instance_topology(all->instance), entry->device);
		instance_free_device(all->instance, entry->device);
		cused_error_set(err, r, "device %s: cannot share its memory with clients: %s", id,
				strerror(-r));
	}
	return r;
}

/* The memory first: who finds a record needs it. */
static void entry_keep(struct serve_devices *all, struct entry *entry, bool again)
{
	if (!entry->keep_id)
		return;
	if (entry->backing)
		backing_keep(entry->backing, all->fds, entry->keep_id);
	if (!again)
		conf_keep_device(all->keep, entry->keep_id, entry->conf, all->settings);
}

int entry_make_numbered(struct serve_devices *all, struct generation *generation, size_t index,
			uint64_t keep_id, bool again, struct cused_error *err)
{
	struct entry *entry = calloc(1, sizeof(*entry));
	int r;

	if (!entry)
		return cused_error_set(err, -ENOMEM, "out of memory");
	entry->generation = generation;
	entry->conf = &generation->conf->devices[index];
	entry->keep_id = keep_id;
	r = make_backed(all, entry, again, err);
	if (r) {
		backing_free(entry->backing);
		free(entry);
		return r;
	}
	entry_keep(all, entry, again);
	generation->users++;
	list_push_back(&all->entries, &entry->item);
	return 0;
}

int entry_make(struct serve_devices *all, struct generation *generation, size_t index,
	       struct cused_error *err)
{
	uint64_t keep_id = all->keep ? ++all->last_id : 0;

	return entry_make_numbered(all, generation, index, keep_id, false, err);
}

int serve_devices_make(struct serve_devices *all, struct cused_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < all->wanted->conf->n_devices; i++) {
		r = entry_make(all, all->wanted, i, err);
		if (r && conf_waits(&all->wanted->conf->devices[i]) && host_may_come(r)) {
			host_await(all, all->wanted, i, r, err->text);
			r = 0;
		}
	}
	return r;
}

/* ---- groups ---- */

struct shown *shown_find(const struct serve_devices *all, const struct group *group)
{
	list_for_each(it, &all->shown) {
		struct shown *shown = container_of(it, struct shown, item);

		if (shown->group == group)
			return shown;
	}
	return NULL;
}

int shown_add(struct serve_devices *all, struct group *group,
	      const struct access_rights *rights)
{
	struct shown *shown = calloc(1, sizeof(*shown));

	if (!shown)
		return -ENOMEM;
	shown->group = group;
	shown->rights = *rights;
	list_push_back(&all->shown, &shown->item);
	return 0;
}

static int show_group(struct serve_devices *all, struct group *group,
		      const struct access_rights *rights, struct cused_error *err)
{
	int r = shown_add(all, group, rights);

	if (r)
		return cused_error_set(err, r, "out of memory");
	r = service_add_group(all->service, group, rights, err);
	if (r) {
		struct shown *shown = shown_find(all, group);

		list_remove(&shown->item);
		free(shown);
	}
	return r;
}

/* Only what is another than before is set: what was done by hand stays. */
static int change_rights(struct serve_devices *all, struct shown *shown,
			 const struct access_rights *rights, struct cused_error *err)
{
	const struct access_rights *old = &shown->rights;

	if (old->checked == rights->checked && old->mode == rights->mode &&
	    old->uid == rights->uid && old->gid == rights->gid)
		return 0;
	shown->rights = *rights;
	return service_set_rights(all->service, shown->group, rights, err);
}

int serve_devices_show(struct serve_devices *all, struct cused_error *err)
{
	struct cused_error why;
	int first = 0, r;

	list_for_each(it, &all->entries) {
		struct entry *entry = container_of(it, struct entry, item);
		struct group *group = device_group(entry->device);
		struct shown *shown = shown_find(all, group);
		struct conf_rights given = conf_rights(all->wanted->conf, group_id(group));
		struct access_rights rights = { .checked = given.given, .mode = given.mode,
						.uid = given.uid, .gid = given.gid };

		/* A group that goes has the rights that it had. */
		if (entry->leaving)
			continue;
		r = shown ? change_rights(all, shown, &rights, &why) :
			    show_group(all, group, &rights, &why);
		if (r && first == 0) {
			first = r;
			*err = why;
		}
	}
	return first;
}

void hide_group_if_empty(struct serve_devices *all, struct group *group)
{
	struct shown *shown = shown_find(all, group);
	struct cused_error err;

	list_for_each(it, &all->entries) {
		const struct entry *entry = container_of(it, struct entry, item);

		if (!entry->out && device_group(entry->device) == group)
			return;
	}
	if (!shown)
		return;
	list_remove(&shown->item);
	free(shown);
	if (service_hide_group(all->service, group, &err))
		cused_log(CUSED_LOG_WARNING, "serve", "%s", err.text);
}

/* ---- change ---- */

int serve_devices_running(const struct serve_devices *all, struct conf_running **ret,
			  size_t *ret_n)
{
	struct conf_running *running;
	size_t n = 0;

	list_for_each(it, &all->entries)
		n++;
	running = calloc(n + 1, sizeof(*running));
	if (!running)
		return -ENOMEM;
	n = 0;
	list_for_each(it, &all->entries) {
		const struct entry *entry = container_of(it, struct entry, item);
		struct conf_running *one = &running[n];

		/* The place of a device of the machine is never ours to give. */
		if (entry->out || conf_is_host(entry->conf))
			continue;
		n++;
		/* The place of one that leaves is ours, but no other's to inherit. */
		if (!entry->leaving)
			memcpy(one->id, entry->conf->id, sizeof(one->id));
		one->ops = entry->conf->ops;
		one->address = entry->conf->address;
		one->group = entry->conf->group;
		one->noiommu = entry->conf->noiommu;
	}
	*ret = running;
	*ret_n = n;
	return 0;
}

static const struct entry *find_same(const struct serve_devices *all,
				     const struct conf_device *device)
{
	list_for_each(it, &all->entries) {
		const struct entry *entry = container_of(it, struct entry, item);

		if (!entry->leaving && conf_device_same(entry->conf, device))
			return entry;
	}
	return NULL;
}

static bool is_wanted(const struct serve_devices *all, const struct conf_device *device)
{
	const struct conf *conf = all->wanted->conf;

	for (size_t i = 0; i < conf->n_devices; i++) {
		if (conf_device_same(&conf->devices[i], device))
			return true;
	}
	return false;
}

static void show_or_tell(struct serve_devices *all)
{
	struct cused_error err;

	if (serve_devices_show(all, &err))
		cused_log(CUSED_LOG_ERROR, "serve", "%s", err.text);
}

struct generation *generation_new(struct conf *conf)
{
	struct generation *generation = calloc(1, sizeof(*generation));

	if (!generation)
		return NULL;
	generation->own = *conf;
	generation->conf = &generation->own;
	generation->users = 1;
	conf_init(conf);
	return generation;
}

int serve_devices_want(struct serve_devices *all, struct conf *conf)
{
	struct generation *generation = generation_new(conf), *old = all->wanted;

	if (!generation)
		return -ENOMEM;
	all->wanted = generation;
	all->want_changed = true;
	while (!list_empty(&all->added))
		host_forget(container_of(all->added.next, struct generation, item));
	list_for_each(it, &all->entries) {
		struct entry *entry = container_of(it, struct entry, item);

		if (entry->leaving || is_wanted(all, entry->conf))
			continue;
		entry_leave(all, entry);
	}
	show_or_tell(all);
	generation_unuse(old);
	return 0;
}

static void tell_failure(struct generation *wanted, size_t i, bool may_wait, const char *why)
{
	const struct conf_device *device = &wanted->conf->devices[i];

	if (may_wait && wanted->tried[i] == NEW)
		cused_log(CUSED_LOG_INFO, "serve", "device %s cannot be made as long as another "
			  "is leaving: %s", device->id, why);
	if (!may_wait)
		cused_log(CUSED_LOG_ERROR, "serve", "device %s cannot be made: %s", device->id,
			  why);
	wanted->tried[i] = may_wait ? WAITING : FAILED;
}

/* Return: has one come? @may_wait: one that leaves may be in the way of what fails. */
static bool settle_coming(struct serve_devices *all, struct generation *from, bool may_wait)
{
	struct cused_error err;
	bool come = false;
	int r;

	for (size_t i = 0; i < from->conf->n_devices; i++) {
		const struct conf_device *device = &from->conf->devices[i];

		if (from->tried[i] == FAILED || from->tried[i] == DISMISSED ||
		    find_same(all, device))
			continue;
		r = entry_make(all, from, i, &err);
		if (r && conf_is_host(device) && !(may_wait && r == -EEXIST)) {
			host_await(all, from, i, r, err.text);
			continue;
		}
		if (r) {
			tell_failure(from, i, may_wait, err.text);
			continue;
		}
		come = true;
		from->tried[i] = NEW;
		cused_log(CUSED_LOG_INFO, "serve", "device %s (%s) is there", device->id,
			  device->bdf);
	}
	return come;
}

/* Those that were added by hand, and that the machine has taken since. */
static bool settle_added(struct serve_devices *all)
{
	bool come = false;

	list_for_each_safe(it, tmp, &all->added) {
		struct generation *generation = container_of(it, struct generation, item);

		if (!settle_coming(all, generation, false))
			continue;
		come = true;
		host_forget(generation);
	}
	return come;
}

static bool settle_all_coming(struct serve_devices *all, bool may_wait)
{
	bool come;

	all->want_changed = false;
	come = settle_coming(all, all->wanted, may_wait);
	return settle_added(all) || come;
}

bool serve_devices_settle(struct serve_devices *all, bool *ret_changed)
{
	bool left, gone = settle_leaving(all, &left);
	bool come = (gone || all->want_changed) && settle_all_coming(all, left);

	if (come)
		show_or_tell(all);
	*ret_changed = gone || come;
	return left;
}

/* ---- by hand ---- */

int serve_devices_add(struct serve_devices *all, struct conf *conf,
		      const struct conf_device **ret, struct cused_error *err)
{
	struct generation *generation;
	struct entry *entry;
	int r;

	if (serve_devices_count(all) >= CONF_DEVICES_MAX)
		return cused_error_set(err, -ENOSPC, "there are %u devices, which is the most; "
				       "remove one first", CONF_DEVICES_MAX);
	generation = generation_new(conf);
	if (!generation)
		return cused_error_set(err, -ENOMEM, "out of memory");
	r = entry_make(all, generation, 0, err);
	if (r == 0) {
		entry = container_of(all->entries.prev, struct entry, item);
		r = serve_devices_show(all, err);
		if (r)
			entry_leave(all, entry);	/* a client can be that quick */
		*ret = entry->conf;
	}
	generation_unuse(generation);
	return r;
}

const char *serve_devices_id(const struct serve_devices *all, const char *bdf)
{
	const char *id = NULL;

	list_for_each(it, &all->entries) {
		const struct entry *entry = container_of(it, struct entry, item);

		if (!strcmp(entry->conf->bdf, bdf))
			id = entry->conf->id;
	}
	return id;
}
