/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vc.h - a plain VFIO client: what any program does with <linux/vfio.h> and sysfs.
 *
 * It knows nothing of vfio-cused; the same calls run on a machine's real VFIO. All
 * functions return 0 (or a useful number) or a negative errno.
 */
#ifndef SYSTEM_VC_H
#define SYSTEM_VC_H

#include <linux/vfio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where to find the device: what the command line of a test program says. */
struct vc_where {
	const char *dir;	/* "/dev/vfio" */
	const char *bdf;	/* "0000:01:00.0" */
	int group;		/* its IOMMU group */
};

struct vc {
	int container, group, device;	/* -1: not open */
};

#define VC_NONE { .container = -1, .group = -1, .device = -1 }

/* ioctl() that returns the result or -errno; arg is a pointer or a number. */
int vc_ioctl(int fd, unsigned long cmd, uintptr_t arg);
#define VC(fd, cmd, arg) vc_ioctl((fd), (cmd), (uintptr_t)(arg))

/* The number that /sys/bus/pci/devices/BDF/iommu_group ends in, or -errno. */
int vc_sysfs_group(const char *bdf);

int vc_open_container(const struct vc_where *where);	/* an fd or -errno */
int vc_open_group(const struct vc_where *where);
/* As vc_open_group(), but waits up to two seconds for EBUSY to pass: the release of a
 * killed client's files is allowed to take a moment. */
int vc_open_group_wait(const struct vc_where *where);
int vc_get_device(int group, const char *name);		/* an fd or -errno */
int vc_attach(int group, int container);		/* GROUP_SET_CONTAINER */

/* Container, group, SET_IOMMU(@type), device. On failure everything is closed. */
int vc_open(struct vc *vc, const struct vc_where *where, int type);
void vc_close(struct vc *vc);

int vc_map(int container, void *vaddr, uint64_t iova, uint64_t size, uint32_t flags);
int vc_unmap(int container, uint64_t iova, uint64_t size, uint64_t *ret_size);

int vc_region(int device, uint32_t index, struct vfio_region_info *ret);
int vc_irq(int device, uint32_t index, struct vfio_irq_info *ret);
/* Map all of a region. Return: the address, or NULL with errno set. */
void *vc_mmap_region(int device, uint32_t index, size_t *ret_size);

/* Register access by pread and pwrite; -EIO for a short count. */
int vc_read(int device, uint32_t index, uint64_t off, void *buf, size_t len);
int vc_write(int device, uint32_t index, uint64_t off, const void *buf, size_t len);
uint32_t vc_cfg32(int device, uint64_t off);		/* ~0 on failure */
uint16_t vc_cfg16(int device, uint64_t off);
int vc_cfg16_set(int device, uint64_t off, uint16_t value);
int vc_cfg32_set(int device, uint64_t off, uint32_t value);
int vc_bus_master(int device, bool on);

/* SET_IRQS. @fds: count eventfds or NULL for DATA_NONE. @flags: action and data bits. */
int vc_set_irqs(int device, uint32_t flags, uint32_t index, uint32_t start,
		uint32_t count, const void *data, size_t data_len);
int vc_irq_eventfds(int device, uint32_t index, uint32_t start, uint32_t count,
		    const int *fds);
int vc_irq_disable(int device, uint32_t index);

/* Sum of an eventfd after waiting at most @ms for it to become non-zero; 0 on time-out. */
uint64_t vc_event_wait(int event, int ms);

uint64_t vc_now_ns(void);
/* Between two looks at something that has no event to wait for. */
void vc_pause(int ms);

#endif
