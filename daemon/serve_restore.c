/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serve_restore.c - devices of a process that has ended, in the one that takes over; serve_devices.h
 * has the theory. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include <core/device.h>
#include <core/group.h>
#include <util/cleanup.h>
#include <util/log.h>

#include "conf_keep.h"
#include "serve_devices_internal.h"

/* The machine has it no more. Whoever has its file keeps that. */
static void lost(struct serve_devices *all, const struct conf_device *device, uint64_t id,
		 const char *why)
{
	struct log_about about = { .device = device->bdf };

	log_about(&about, CUSED_LOG_INFO, "serve", "device %s (%s) has left during the restart: %s",
		  device->id, device->bdf, why);
	conf_keep_drop(all->keep, id);
}

static int restore_one(void *arg, uint64_t id, struct conf *conf, struct cused_error *err)
{
	struct serve_devices *all = arg;
	struct generation *generation = generation_new(conf);
	int r;

	if (!generation)
		return cused_error_set(err, -ENOMEM, "out of memory");
	r = entry_make_numbered(all, generation, 0, id, true, err);
	if (r && r != -ENOMEM && conf_is_host(&generation->conf->devices[0])) {
		lost(all, &generation->conf->devices[0], id, err->text);
		r = 0;
	}
	generation_unuse(generation);
	if (r == 0 && id > all->last_id)
		all->last_id = id;
	return r;
}

int serve_devices_restore(struct serve_devices *all, struct cused_error *err)
{
	return conf_kept_devices(all->keep, all->settings, restore_one, all, err);
}

uint64_t serve_devices_last_id(const struct serve_devices *all)
{
	return all->last_id;
}

static bool has_node(const struct serve_devices *all, const struct group *group)
{
	char name[32];

	snprintf(name, sizeof(name), "%s%u", group_kind(group) == GROUP_NOIOMMU ? "noiommu-" : "",
		 group_id(group));
	return service_node_number(all->service, name) != 0;
}

int serve_devices_adopt(struct serve_devices *all, struct cused_error *err)
{
	/* Which nobody can have given: what is wanted is given to them. */
	static const struct access_rights unknown = { .mode = UINT_MAX };

	list_for_each(it, &all->entries) {
		const struct entry *entry = container_of(it, struct entry, item);
		struct group *group = device_group(entry->device);

		if (!shown_find(all, group) && has_node(all, group) &&
		    shown_add(all, group, &unknown))
			return cused_error_set(err, -ENOMEM, "out of memory");
	}
	return 0;
}
