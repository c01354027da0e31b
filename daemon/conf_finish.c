/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conf_finish.c - what the user left open is chosen, and the whole is judged. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "host.h"

static void format_bdf(struct conf_device *device)
{
	snprintf(device->bdf, sizeof(device->bdf), "%04x:%02x:%02x.%x",
		 device->address.segment, device->address.bus, device->address.slot,
		 device->address.function);
}

/* ---- what is ours already ---- */

static bool address_eq(const struct pci_address *a, const struct pci_address *b)
{
	return a->segment == b->segment && a->bus == b->bus && a->slot == b->slot &&
	       a->function == b->function;
}

static bool address_runs(const struct conf *conf, const struct pci_address *address)
{
	for (size_t i = 0; i < conf->n_running; i++)
		if (address_eq(&conf->running[i].address, address))
			return true;
	return false;
}

static bool group_runs(const struct conf *conf, unsigned group)
{
	for (size_t i = 0; i < conf->n_running; i++)
		if (conf->running[i].group == group)
			return true;
	return false;
}

/* What @device was until now; NULL: it is new. */
static const struct conf_running *was(const struct conf *conf, const struct conf_device *device)
{
	for (size_t i = 0; i < conf->n_running && !conf->beside; i++)
		if (!strcmp(conf->running[i].id, device->id) &&
		    conf->running[i].ops == device->ops)
			return &conf->running[i];
	return NULL;
}

/* ---- addresses ---- */

static bool host_has(const char *sysfs, const char *dir, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s/%s", sysfs, dir, name);
	return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int check_host_address(const struct conf *conf, const struct conf_device *device,
			      const char *sysfs, struct cused_error *err)
{
	struct params_place place;

	if (conf->beside && address_runs(conf, &device->address))
		return cused_error_set(err, -EEXIST, "%s: bdf=%s is a device that is served, or "
				       "is leaving; choose another, or leave bdf out",
				       params_place(&device->list, "bdf", &place), device->bdf);
	if (conf_is_host(device) || address_runs(conf, &device->address) ||
	    !host_has(sysfs, "bus/pci/devices", device->bdf))
		return 0;
	return cused_error_set(err, -EEXIST, "%s: bdf=%s is a device of this machine; choose an "
			       "address that lspci -D does not list, or leave bdf out",
			       params_place(&device->list, "bdf", &place), device->bdf);
}

/* Mark the buses of segment 0 that are in use. */
static void used_buses(const struct conf *conf, const char *sysfs, bool used[256])
{
	struct pci_address address;
	char path[512];
	struct dirent *entry;
	DIR *dir;

	memset(used, 0, 256);
	used[0] = true;
	for (size_t i = 0; i < conf->n_devices; i++)
		if (conf->devices[i].bdf[0] && conf->devices[i].address.segment == 0)
			used[conf->devices[i].address.bus] = true;
	for (size_t i = 0; i < conf->n_running; i++)
		if (conf->running[i].address.segment == 0)
			used[conf->running[i].address.bus] = true;
	snprintf(path, sizeof(path), "%s/bus/pci/devices", sysfs);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (conf_parse_bdf(entry->d_name, &address) == 0 && address.segment == 0)
			used[address.bus] = true;
	if (dir)
		closedir(dir);
}

static bool address_given(const struct conf *conf, const struct pci_address *address)
{
	for (size_t i = 0; i < conf->n_devices; i++)
		if (conf->devices[i].bdf[0] && address_eq(&conf->devices[i].address, address))
			return true;
	return false;
}

/* Those for which nothing is given stay where they were, if they can. */
static void keep_addresses(struct conf *conf)
{
	for (size_t i = 0; i < conf->n_devices; i++) {
		struct conf_device *device = &conf->devices[i];
		const struct conf_running *old = was(conf, device);

		if (device->bdf[0] || !old || address_given(conf, &old->address))
			continue;
		device->address = old->address;
		format_bdf(device);
	}
}

static int finish_addresses(struct conf *conf, const char *sysfs, struct cused_error *err)
{
	struct params_place place, other;
	bool used[256];
	unsigned bus;

	for (size_t i = 0; i < conf->n_devices; i++) {
		struct conf_device *device = &conf->devices[i];

		if (!device->common[CONF_DEVICE_BDF].set)
			continue;
		format_bdf(device);
		for (size_t k = 0; k < i; k++)
			if (!strcmp(conf->devices[k].bdf, device->bdf))
				return cused_error_set(err, -EEXIST, "%s: bdf=%s is given to %s "
					"too; give each its own, or leave bdf out",
					params_place(&device->list, "bdf", &place), device->bdf,
					params_place(&conf->devices[k].list, "bdf", &other));
		int r = check_host_address(conf, device, sysfs, err);

		if (r < 0)
			return r;
	}
	keep_addresses(conf);
	used_buses(conf, sysfs, used);
	for (size_t i = 0; i < conf->n_devices; i++) {
		struct conf_device *device = &conf->devices[i];

		if (device->bdf[0])
			continue;
		for (bus = 1; bus < 256 && used[bus]; bus++)
			;
		if (bus == 256)
			return cused_error_set(err, -ENOSPC, "%s: no PCI bus of segment 0000 "
				"is free; choose an address with bdf=",
				params_place(&device->list, NULL, &place));
		used[bus] = true;
		device->address = (struct pci_address){ .bus = (uint8_t)bus };
		format_bdf(device);
	}
	return 0;
}

/* ---- groups ---- */

/* The group that the machine has put a device of its own in. */
static int take_host_group(const struct conf *conf, struct conf_device *device,
			   const struct host *host, struct cused_error *err)
{
	const struct host_device *found = host_find_device(host, device->bdf);
	const struct host_group *group = found ? host_find_group(host, found->group) : NULL;
	struct params_place place;

	params_place(&device->list, "bdf", &place);
	device->absent = !found && conf_waits(device);
	if (device->absent && !address_runs(conf, &device->address))
		return 0;
	if (!found || address_runs(conf, &device->address))
		return cused_error_set(err, -ENODEV, "%s: bdf=%s is no device of this machine; "
				       "vfio-cused list shows them%s", place.text, device->bdf,
				       conf_waits(device) ? "" : "; with wait=on it may come "
				       "later");
	if (!group || group->number == HOST_NO_GROUP || group->noiommu)
		return cused_error_set(err, -ENODEV, "%s: bdf=%s has no IOMMU group: this machine "
				       "has no IOMMU, or it is off; switch it on in the firmware "
				       "and on the kernel's command line (intel_iommu=on)",
				       place.text, device->bdf);
	device->group = (unsigned)group->number;
	return 0;
}

static bool has_host_devices(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_devices; i++)
		if (conf_is_host(&conf->devices[i]))
			return true;
	return false;
}

static int finish_host_groups(struct conf *conf, const char *sysfs, struct cused_error *err)
{
	struct host host;
	int r = 0;

	if (!has_host_devices(conf) || conf->kept)
		return 0;
	r = host_read(sysfs, &host, err);
	if (r)
		return r;
	for (size_t i = 0; r == 0 && i < conf->n_devices; i++)
		if (conf_is_host(&conf->devices[i]))
			r = take_host_group(conf, &conf->devices[i], &host, err);
	host_free(&host);
	return r;
}

static int check_group(const struct conf *conf, const struct conf_device *device,
		       const char *sysfs, struct cused_error *err)
{
	struct params_place place, place2;
	char name[16];

	snprintf(name, sizeof(name), "%u", device->group);
	if (!group_runs(conf, device->group) &&
	    host_has(sysfs, "kernel/iommu_groups", name))
		return cused_error_set(err, -EEXIST, "%s: group=%u is a group of this machine; "
			"choose a number that %s/kernel/iommu_groups does not have, or leave "
			"group out", params_place(&device->list, "group", &place), device->group,
			sysfs);
	for (size_t i = 0; conf->beside && i < conf->n_running; i++) {
		if (conf->running[i].group == device->group &&
		    (conf->running[i].noiommu || device->noiommu))
			return cused_error_set(err, -EEXIST, "%s: group=%u is served, and a "
				"noiommu group holds one device alone; choose another",
				params_place(&device->list, "group", &place), device->group);
	}
	for (const struct conf_device *other = conf->devices; other != device; other++) {
		if (!other->common[CONF_DEVICE_GROUP].set || other->group != device->group)
			continue;
		/* A noiommu group is made for one device, and numbers come from one set. */
		if (other->noiommu || device->noiommu)
			return cused_error_set(err, -EEXIST, "%s: group=%u is used by %s too, "
				"and a noiommu group holds one device alone; give each its own",
				params_place(&device->list, "group", &place), device->group,
				params_place(&other->list, "group", &place2));
	}
	return 0;
}

static bool group_is_used(const struct conf *conf, size_t n_assigned, unsigned group)
{
	for (size_t i = 0; i < conf->n_devices; i++)
		if ((i < n_assigned || conf->devices[i].common[CONF_DEVICE_GROUP].set) &&
		    !conf->devices[i].absent && conf->devices[i].group == group)
			return true;
	return false;
}

static int finish_groups(struct conf *conf, const struct conf *settings, const char *sysfs,
			 struct cused_error *err)
{
	struct params_place place;
	/* A device of the machine that comes gets the lowest number that the machine has free. */
	unsigned next = has_host_devices(conf) || has_host_devices(settings) ?
				CONF_GROUP_BESIDE : 0;
	char name[16];
	int r = finish_host_groups(conf, sysfs, err);

	if (r)
		return r;
	for (size_t i = 0; i < conf->n_devices; i++) {
		struct conf_device *device = &conf->devices[i];

		if (!device->common[CONF_DEVICE_GROUP].set)
			continue;
		device->group = (unsigned)device->common[CONF_DEVICE_GROUP].number;
		r = check_group(conf, device, sysfs, err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < conf->n_devices; i++) {
		struct conf_device *device = &conf->devices[i];
		const struct conf_running *old = was(conf, device);

		if (device->common[CONF_DEVICE_GROUP].set || conf_is_host(device))
			continue;
		if (old && !group_is_used(conf, i, old->group)) {
			device->group = old->group;
			continue;
		}
		for (;; next++) {
			snprintf(name, sizeof(name), "%u", next);
			if (!group_is_used(conf, i, next) && !group_runs(conf, next) &&
			    !host_has(sysfs, "kernel/iommu_groups", name))
				break;
			if (next == CONF_GROUP_MAX)
				return cused_error_set(err, -ENOSPC, "%s: no group number is "
					"free; choose one with group=",
					params_place(&device->list, NULL, &place));
		}
		device->group = next;
	}
	return 0;
}

static bool id_is_used(const struct conf *conf, const struct conf_device *but,
		       const char *id)
{
	for (size_t i = 0; i < conf->n_devices; i++)
		if (&conf->devices[i] != but && !strcmp(conf->devices[i].id, id))
			return true;
	for (size_t i = 0; i < conf->n_running && conf->beside; i++)
		if (!strcmp(conf->running[i].id, id))
			return true;
	return false;
}

static int finish_ids(struct conf *conf, struct cused_error *err)
{
	struct params_place place;

	for (size_t i = 0; i < conf->n_devices; i++) {
		struct conf_device *device = &conf->devices[i];
		const char *given = device->common[CONF_DEVICE_ID].string;

		device->id[0] = '\0';
		if (!given)
			continue;
		if (id_is_used(conf, device, given))
			return cused_error_set(err, -EEXIST, "%s: id=%s is given to another "
				"device too; give each its own",
				params_place(&device->list, "id", &place), given);
		snprintf(device->id, sizeof(device->id), "%s", given);
	}
	for (size_t i = 0; i < conf->n_devices; i++) {
		struct conf_device *device = &conf->devices[i];
		char id[sizeof(device->id)];

		for (unsigned n = 0; !device->id[0]; n++) {
			snprintf(id, sizeof(id), "%.20s%u", device->ops->name, n);
			if (!id_is_used(conf, device, id))
				memcpy(device->id, id, sizeof(id));
		}
	}
	return 0;
}

/* Rights that nobody would get are a slip of the pen. */
static int check_rights(const struct conf *conf, struct cused_error *err)
{
	struct params_place place;
	size_t k;

	for (k = 0; k < conf->n_devices; k++)
		if (conf->devices[k].absent)
			return 0;	/* it may come in any group */
	for (size_t i = 0; i < conf->n_groups; i++) {
		for (k = 0; k < conf->n_devices; k++)
			if (conf->devices[k].group == conf->groups[i].id)
				break;
		if (k == conf->n_devices)
			return cused_error_set(err, -ENOENT, "%s: no device is in group %u; give "
				"one group=%u, or leave this out",
				params_place(&conf->groups[i].list, NULL, &place),
				conf->groups[i].id, conf->groups[i].id);
	}
	return 0;
}

static int choose(struct conf *conf, const struct conf *settings, const char *sysfs,
		  struct cused_error *err)
{
	struct params_place place;
	int r;

	for (size_t i = 0; i < conf->n_devices; i++)
		if (conf->devices[i].noiommu &&
		    !settings->iommu_common[CONF_IOMMU_UNSAFE_NOIOMMU].number)
			return cused_error_set(err, -EINVAL, "%s: noiommu=on without "
				"enable_unsafe_noiommu_mode, as the kernel refuses it; give the "
				"IOMMU %s unsafe_noiommu=on",
				params_place(&conf->devices[i].list, "noiommu", &place),
				settings->iommu->name);	/* SD-062 */
	r = finish_ids(conf, err);
	if (r == 0)
		r = finish_addresses(conf, sysfs, err);
	if (r == 0)
		r = finish_groups(conf, settings, sysfs, err);
	return r;
}

int conf_finish(struct conf *conf, const char *sysfs, struct cused_error *err)
{
	int r = 0;

	if (!conf->iommu)
		r = conf_set_iommu(conf, "sim", err);
	if (r == 0 && !conf->service_list.name)
		r = conf_set_service(conf, "", err);
	if (r == 0 && conf->prefix)
		conf->service[CONF_SERVICE_PREFIX].string = conf->prefix;
	if (r == 0 && conf->n_devices == 0 && !conf->file_read)
		r = conf_add_device(conf, CONF_DEFAULT_DEVICE, err);
	if (r < 0)
		return r;
	r = choose(conf, conf, sysfs, err);
	return r ? r : check_rights(conf, err);
}

int conf_finish_beside(struct conf *conf, const struct conf *other, const char *sysfs,
		       struct cused_error *err)
{
	int r;

	conf->beside = true;
	r = choose(conf, other, sysfs, err);
	conf->beside = false;
	return r;
}
