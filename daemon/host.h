/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host.h - PCI devices of this machine by IOMMU group, as its sysfs tells, and whether a
 * group can be handed to a VFIO client through the kernel's iommufd.
 *
 *     sysfs ──▶ host_read() ──▶ struct host ──┬─▶ list, check
 *                                             └─▶ whoever opens a device: node and number
 *
 * A picture of one moment: drivers come and go at any time, so what is read here is good for
 * messages and for finding nodes. Whether a device really can be had, the kernel decides when
 * it is asked. Nothing is opened but files and links of sysfs.
 *
 * DMA of a group belongs to one owner, so a group is viable while no member has a driver of
 * the host that does DMA (SD-067). Of PCI drivers, those of VFIO, pcieport and pci-stub leave
 * DMA alone (SD-068). A member that is no PCI device and has any driver counts as taken.
 */
#ifndef HOST_H
#define HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cused_error;

#define HOST_NO_GROUP (-1)

/* What the driver of a device means for its group. */
enum host_use {
	HOST_USE_NONE,		/* no driver is bound */
	HOST_USE_VFIO,		/* a VFIO driver */
	HOST_USE_HARMLESS,	/* one that does no DMA of its own */
	HOST_USE_TAKEN,		/* any other: the group is not viable */
};

struct host_device {
	char name[64];		/* "0000:01:00.0"; of a device that is not PCI any name */
	bool pci;
	long group;		/* number, or HOST_NO_GROUP */
	char driver[64];	/* "" without */
	enum host_use use;
	char node[32];		/* "vfio3", of /dev/vfio/devices; "" if it has none */
	dev_t number;		/* of that node */
	uint32_t class_code, vendor, id;	/* 0 where they cannot be read */
};

/* How far a group is from being handed out, the first that applies. */
enum host_state {
	HOST_UNBOUND,		/* no member is bound to a VFIO driver */
	HOST_NOIOMMU,		/* bound, but no IOMMU is behind it */
	HOST_NOT_VIABLE,	/* bound, but a driver of the host has another member */
	HOST_NO_NODES,		/* bound, but the kernel makes no device nodes */
	HOST_READY,
};

struct host_group {
	long number;		/* or HOST_NO_GROUP: the devices that have none */
	enum host_state state;
	bool noiommu;		/* made by VFIO itself (SD-008) */
	const struct host_device *devices;
	size_t n_devices;
};

struct host {
	struct host_device *devices;	/* by group, then by name; those without one last */
	size_t n_devices;
	struct host_group *groups;	/* by number; HOST_NO_GROUP last, if there are such */
	size_t n_groups;
};

/*
 * host_read - read groups and devices.
 * @sysfs: where sysfs is mounted, "/sys" but for tests
 * @ret: the picture; host_free() it
 * @err: the directory that cannot be read, and why. One that is not there is no error: a
 *	kernel without PCI or IOMMUs has none
 *
 * Devices that vanish while this runs are left out.
 * Return: 0, -ENOMEM, or the errno of reading a directory.
 */
int host_read(const char *sysfs, struct host *ret, struct cused_error *err);
void host_free(struct host *host);

/* Return: the group of that number, or NULL. */
const struct host_group *host_find_group(const struct host *host, long number);
/* @name: as in /sys/bus/pci/devices. Return: the PCI device, or NULL. */
const struct host_device *host_find_device(const struct host *host, const char *name);
/* Return: a member whose driver makes its group not viable, or NULL. */
const struct host_device *host_taken(const struct host_group *group);

/*
 * host_state_text - the state of a group in words, for a user.
 * @buf, @size: where to; 192 bytes are always enough
 *
 * Return: @buf.
 */
const char *host_state_text(const struct host_group *group, char *buf, size_t size);

/*
 * host_bind_command, host_unbind_command - what root types, to give a PCI device to
 * vfio-pci, or to take any device from its driver.
 * @buf, @size: where to, a command a line; HOST_COMMAND_MAX bytes are always enough
 *
 * Return: @buf.
 */
#define HOST_COMMAND_MAX 512
const char *host_bind_command(const struct host_device *device, char *buf, size_t size);
const char *host_unbind_command(const struct host_device *device, char *buf, size_t size);

#endif
