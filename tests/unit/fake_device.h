/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/fake_device.h - the device half of core/internal.h, counted instead of done, and
 * IOMMU drivers that do as they are told. For tests of the files above the device.
 */
#ifndef UNIT_FAKE_DEVICE_H
#define UNIT_FAKE_DEVICE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <core/internal.h>

struct device {
	struct group *group;
	struct pci_address address;
	char name[16];
	unsigned open_count;
	bool revoked;
	struct ioas *ioas;
};

struct device_file {
	struct device *device;
};

static int fake_new_error;		/* device_new() fails with it */
static int fake_open_error;		/* CG-100 */
static _Atomic int fake_devices;		/* alive */
static void (*fake_in_open)(struct group *group);	/* the group's lock is held; or NULL */

int device_new(struct topology *topology, struct group *group,
	       const struct device_params *params, struct device **ret,
	       struct cused_error *err)
{
	struct device *d;

	if (fake_new_error)
		return cused_error_set(err, fake_new_error, "told to fail");
	d = calloc(1, sizeof(*d));
	d->group = group;
	d->address = params->address;
	snprintf(d->name, sizeof(d->name), "%04x:%02x:%02x.%x", params->address.segment,
		 params->address.bus, params->address.slot, params->address.function & 7);
	fake_devices++;
	*ret = d;
	return 0;
}

void device_free(struct device *device)
{
	if (!device)
		return;
	fake_devices--;
	free(device);
}

int device_match_name(const struct device *device, const char *name)
{
	size_t n = strlen(device->name);

	if (strncmp(name, device->name, n) || (name[n] && name[n] != ' '))
		return -ENODEV;
	return name[n] ? -EINVAL : 0;
}

bool device_is_open(struct device *device)
{
	return device->open_count > 0;
}

struct group *device_group(const struct device *device)
{
	return device->group;
}

bool device_is_revoked(const struct device *device)
{
	return device->revoked;
}

bool device_has_files(struct device *device)
{
	return device->open_count > 0;
}

void device_shut(struct device *device)
{
	device->open_count = 0;
}

void device_record_gone(struct device *device)
{
}

int device_open(struct device *device, struct ioas *ioas, struct device_file **ret)
{
	if (fake_open_error)
		return fake_open_error;
	if (fake_in_open)
		fake_in_open(device->group);
	*ret = calloc(1, sizeof(**ret));
	(*ret)->device = device;
	if (device->open_count++ == 0)
		device->ioas = ioas;
	return 0;
}

bool device_close(struct device_file *file)
{
	struct device *device = file->device;

	free(file);
	return --device->open_count == 0;
}

void device_file_release(struct device_file *file)
{
	group_close_device(file->device->group, file);
}

/* ---- the map, for status ---- */

void ioas_totals(struct ioas *ioas, uint64_t *ret_count, uint64_t *ret_bytes)
{
	*ret_count = 3;
	*ret_bytes = 3 * 4096;
}

/* ---- drivers ---- */

#define FAKE_GROUPS 8

struct fake_driver {
	struct iommu_driver ops;	/* first */
	uint64_t ids;			/* bitmap of extensions that it claims */
	int open_error;
	int attach_error;		/* for group attach_error_group */
	unsigned attach_error_group;
	unsigned attached[FAKE_GROUPS], n_attached;
	unsigned detached[FAKE_GROUPS], n_detached;
	int opens, releases, asked_with_data;
	void (*in_attach)(void);	/* the container's lock is held; or NULL */
};

static struct fake_driver fake_a, fake_b;

static int fake_check(struct fake_driver *f, void *data, uint64_t id)
{
	f->asked_with_data += data != NULL;
	return id < 64 && (f->ids >> id & 1);
}

static int fake_check_a(struct topology *t, void *data, uint64_t id)
{
	return fake_check(&fake_a, data, id);
}

static int fake_check_b(struct topology *t, void *data, uint64_t id)
{
	return fake_check(&fake_b, data, id);
}

static int fake_open(struct fake_driver *f, void **ret_data)
{
	if (f->open_error)
		return f->open_error;
	f->opens++;
	*ret_data = f;
	return 0;
}

static int fake_open_a(struct topology *t, const struct caller *caller, uint64_t id,
		       void **ret_data)
{
	return fake_open(&fake_a, ret_data);
}

static int fake_open_b(struct topology *t, const struct caller *caller, uint64_t id,
		       void **ret_data)
{
	return fake_open(&fake_b, ret_data);
}

static void fake_release(void *data)
{
	((struct fake_driver *)data)->releases++;
}

static int fake_attach(void *data, struct group *group, const struct caller *caller)
{
	struct fake_driver *f = data;

	if (f->in_attach)
		f->in_attach();
	if (f->attach_error && group_id(group) == f->attach_error_group)
		return f->attach_error;
	f->attached[f->n_attached++ % FAKE_GROUPS] = group_id(group);
	return 0;
}

static void fake_detach(void *data, struct group *group)
{
	struct fake_driver *f = data;

	f->detached[f->n_detached++ % FAKE_GROUPS] = group_id(group);
}

static struct ioas *fake_ioas(void *data)
{
	return data;			/* never looked into */
}

static void fake_drivers_reset(void)
{
	fake_a = (struct fake_driver){ .ops = { "a", CONTAINER_DRIVER_TYPE1, false,
		fake_check_a, fake_open_a, fake_release, fake_attach, fake_detach,
		fake_ioas }, .ids = 1 << 1 | 1 << 3 };
	fake_b = (struct fake_driver){ .ops = { "b", CONTAINER_DRIVER_SPAPR, false,
		fake_check_b, fake_open_b, fake_release, fake_attach, fake_detach,
		fake_ioas }, .ids = 1 << 2 };
	fake_new_error = fake_open_error = 0;
}

#endif
