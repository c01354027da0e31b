/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/device.h - a PCI device and its open files, as the device fd's calls see them.
 *
 * Files that implement this: device.c (life, info, reset, features), region.c (access,
 * mmap rules), cfgspace.c (configuration space), irq.c (SET_IRQS and delivery),
 * dma.c (services for models), poller.c (the device's thread).
 */
#ifndef CORE_DEVICE_H
#define CORE_DEVICE_H

#include <stdint.h>
#include <sys/types.h>
#include <core/event.h>
#include <core/group.h>
#include <core/topology.h>

struct device_file;		/* one GET_DEVICE_FD; several may share a device */

/* The last copy of the fd, and the last mmap made through it, are gone. */
void device_file_release(struct device_file *file);
struct device *device_file_device(struct device_file *file);

/*
 * device_revoke - take a device from those that have it open.
 * @device: a hidden one (topology.h), once
 * DMA and interrupts end, the model is closed, and every call on its files fails with ENODEV;
 * a page that a client has mapped stays, but nobody reads it. It is its group's no more, and
 * its address is free.
 * Waits for what the model has under way, which a client can stall by its memory: not for a
 * thread that others wait for. Calls fail, and new DMA is refused, as soon as it begins.
 * Locks: none held, in particular not in a walk; takes the group's and the device's.
 */
void device_revoke(struct device *device);
/* Return: 0; -ENODEV the device was revoked.  Locks: none. */
int device_file_check(const struct device_file *file);

/* ---- facts about a device; constant after it was added ---- */
const char *device_name(const struct device *device);		/* "0000:01:00.0" */
struct pci_address device_address(const struct device *device);
struct group *device_group(const struct device *device);
const struct cused_pci *device_pci(const struct device *device);
const struct cused_device_ops *device_ops(const struct device *device);
/* Host addresses of a BAR (0 … 5) or the ROM (6), as sysfs "resource" shows them; 0,0 if
 * not implemented. */
struct cused_range device_bar_resource(const struct device *device, unsigned bar);
/* device_params.offset_base, for calls whose argument holds a told offset. */
uint64_t device_offset_base(const struct device *device);
/* device_params.keep_id, for others' records; 0: it is in none. */
uint64_t device_keep_id(const struct device *device);
/* Physical configuration space for sysfs "config" (not the client's virtual view). */
void device_config_snapshot(struct device *device, uint8_t ret_bytes[4096],
			    unsigned *ret_size);
bool device_is_open(struct device *device);

/* ---- devices of the machine (CUSED_DEVICE_HOST) ---- */

bool device_is_host(const struct device *device);
/*
 * The file to be the client's. What it is only transports and backends know; it is the
 * caller's from now on. device_file_release() after its last close.
 * Return: 0; -EBUSY it was taken, and is still open; -errno.
 * Locks: takes the device's.
 */
int device_take_file(struct device_file *file, intptr_t *ret);

/* ---- ioctls ---- */
struct device_info {
	uint32_t flags, num_regions, num_irqs;
};
void device_get_info(struct device_file *file, struct device_info *ret);	/* PCI-021… */

struct region_info {
	uint32_t flags;			/* READ, WRITE, MMAP; CAPS is proto's */
	uint64_t size, offset;
	bool msix_mappable;		/* PCI-039 */
	unsigned n_areas;		/* > 0: sparse mmap capability */
	struct cused_range areas[CUSED_PCI_BAR_AREAS];
};
/* PCI-028, PCI-033 … PCI-044. Return: 0, -EINVAL. */
int device_get_region_info(struct device_file *file, uint32_t index,
			   struct region_info *ret);

struct irq_info {
	uint32_t flags, count;
};
/* PCI-046 (index), PCI-047 … PCI-051. Return: 0, -EINVAL. */
int device_get_irq_info(struct device_file *file, uint32_t index, struct irq_info *ret);

/* Number of interrupts of an index for PCI-053/054; 0 for unknown ones. */
uint32_t device_irq_count(struct device_file *file, uint32_t index);
/*
 * PCI-059 … PCI-104; proto has done PCI-052 … PCI-058.
 * @flags: exactly one data type bit; action bits unchecked
 * @bools: @count bytes for BOOL;  @events: @count entries for EVENTFD
 * Return: 0, a positive number of vectors (PCI-083), or -errno.
 */
int device_set_irqs(struct device_file *file, uint32_t flags, uint32_t index,
		    uint32_t start, uint32_t count, const uint8_t *bools,
		    const struct event_arg *events);

int device_reset(struct device_file *file);			/* PCI-105 … PCI-108 */

struct hot_reset_entry {
	uint32_t group;
	uint16_t segment;
	uint8_t bus, devfn;
};
#define HOT_RESET_MAX 256
/* PCI-111, PCI-116: every device on the same bus. Return: the number, or -ENODEV. */
int device_hot_reset_info(struct device_file *file,
			  struct hot_reset_entry ret_entries[HOT_RESET_MAX]);
/* PCI-124, PCI-125: what a client's fd turned out to be. */
struct group_arg {
	int err;			/* -EBADF, -EINVAL: not a group fd; 0 */
	struct group *group;
};
/* PCI-120 … PCI-129. proto limits @n to the number of affected devices (PCI-122). */
int device_hot_reset(struct device_file *file, const struct group_arg *groups, unsigned n);

/* PCI-132 … PCI-144. @flags: as given; @offset: index << 40 | offset, without the base;
 * @event: fd -1 removes. */
int device_ioeventfd(struct device_file *file, uint32_t flags, uint64_t offset,
		     uint64_t data, const struct event_arg *event);

/* PCI-149, PCI-150: what a feature supports; proto does the flag checks. */
struct feature_info {
	bool get, set;
	uint32_t size;			/* of its data, bytes */
	bool takes_eventfd;		/* first data member is an eventfd number */
};
/* Return: 0; -ENOTTY, or the errno of PCI-166 / PCI-167. */
int device_feature_info(struct device_file *file, uint16_t id, struct feature_info *ret);
/* PCI-168 … PCI-183. @data: feature_info.size bytes, in and out. */
int device_feature(struct device_file *file, uint16_t id, bool set, void *data,
		   const struct event_arg *event);

/* ---- read, write, mmap ---- */

/*
 * Rules that hold for the whole access, before any byte moves (PCI-188 … PCI-202).
 * @pos: file offset without the transport's base: index << 40 | offset
 * Return: bytes that the access covers (0 … count; shortened at the end of a BAR), or
 * -errno.
 */
ssize_t device_rw_check(struct device_file *file, uint64_t pos, size_t count, bool write);
/* The access itself; @len as device_rw_check() allowed (it may be split anywhere at 8-byte
 * boundaries). Return: 0 or -errno.
 * Locks: takes the device's lock. */
int device_read(struct device_file *file, uint64_t pos, void *buf, size_t len);
int device_write(struct device_file *file, uint64_t pos, const void *buf, size_t len);
/* PCI-249 … PCI-255. @len: bytes. Return: 0, -EINVAL. */
int device_mmap_check(struct device_file *file, uint64_t pos, uint64_t len, bool shared);

/* Ask for the device back (PCI-104 REQ) or report an error (ERR): for ctl and tests. */
void device_signal_req(struct device *device);
void device_signal_err(struct device *device);

/* Counters since the device was made; read without a lock. */
struct device_counters {
	uint64_t dma_read_bytes, dma_write_bytes;
	uint64_t dma_faults;	/* batches that met no mapping or no right */
	uint64_t dma_refused;	/* batches while not bus master, asleep or closed */
	uint64_t interrupts;	/* signals to eventfds */
	uint64_t polls;
};
void device_get_counters(struct device *device, struct device_counters *ret);

struct device_status {
	unsigned open_files;
	bool low_power, revoked;
	int irq_mode;		/* VFIO_PCI_{INTX,MSI,MSIX}_IRQ_INDEX; -1: none */
	unsigned irq_vectors;	/* that have an eventfd, in that mode */
	bool intx_masked;
	bool err_set, req_set;	/* eventfds */
	struct device_counters counters;
};
/* A snapshot for status output. Locks: takes the irq lock. */
void device_get_status(struct device *device, struct device_status *ret);

#endif
