/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

int vc_ioctl(int fd, unsigned long cmd, uintptr_t arg)
{
	int r = ioctl(fd, cmd, arg);

	return r < 0 ? -errno : r;
}

uint64_t vc_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

void vc_pause(int ms)
{
	(void)poll(NULL, 0, ms);
}

int vc_sysfs_group(const char *bdf)
{
	char path[PATH_MAX], link[PATH_MAX], *slash, *end;
	ssize_t n;
	long id;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return -errno;
	link[n] = 0;
	slash = strrchr(link, '/');
	id = strtol(slash ? slash + 1 : link, &end, 10);
	return *end || id < 0 || id > INT_MAX ? -EINVAL : (int)id;
}

int vc_open_container(const struct vc_where *where)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/vfio", where->dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int vc_open_group(const struct vc_where *where)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%d", where->dir, where->group);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int vc_open_group_wait(const struct vc_where *where)
{
	uint64_t end = vc_now_ns() + 2000000000ull;
	int fd;

	while ((fd = vc_open_group(where)) == -EBUSY && vc_now_ns() < end)
		vc_pause(1);
	return fd;
}

int vc_get_device(int group, const char *name)
{
	return VC(group, VFIO_GROUP_GET_DEVICE_FD, name);
}

int vc_attach(int group, int container)
{
	return VC(group, VFIO_GROUP_SET_CONTAINER, &container);
}

int vc_open(struct vc *vc, const struct vc_where *where, int type)
{
	struct vc v = VC_NONE;
	int r;

	r = v.container = vc_open_container(where);
	if (r >= 0)
		r = v.group = vc_open_group(where);
	if (r >= 0)
		r = vc_attach(v.group, v.container);
	if (r >= 0)
		r = VC(v.container, VFIO_SET_IOMMU, type);
	if (r >= 0)
		r = v.device = vc_get_device(v.group, where->bdf);
	if (r < 0) {
		vc_close(&v);
		return r;
	}
	*vc = v;
	return 0;
}

void vc_close(struct vc *vc)
{
	int *fds[] = { &vc->device, &vc->group, &vc->container };

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

int vc_map(int container, void *vaddr, uint64_t iova, uint64_t size, uint32_t flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = flags, .vaddr = (uintptr_t)vaddr,
		.iova = iova, .size = size,
	};

	return VC(container, VFIO_IOMMU_MAP_DMA, &map);
}

int vc_unmap(int container, uint64_t iova, uint64_t size, uint64_t *ret_size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = iova, .size = size,
	};
	int r = VC(container, VFIO_IOMMU_UNMAP_DMA, &unmap);

	if (r >= 0 && ret_size)
		*ret_size = unmap.size;
	return r;
}

int vc_region(int device, uint32_t index, struct vfio_region_info *ret)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };
	int r = VC(device, VFIO_DEVICE_GET_REGION_INFO, &info);

	if (r >= 0)
		*ret = info;
	return r;
}

int vc_irq(int device, uint32_t index, struct vfio_irq_info *ret)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };
	int r = VC(device, VFIO_DEVICE_GET_IRQ_INFO, &info);

	if (r >= 0)
		*ret = info;
	return r;
}

void *vc_mmap_region(int device, uint32_t index, size_t *ret_size)
{
	struct vfio_region_info info;
	void *p;

	errno = EINVAL;
	if (vc_region(device, index, &info) < 0)
		return NULL;
	p = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, device,
		 (off_t)info.offset);
	if (p == MAP_FAILED)
		return NULL;
	if (ret_size)
		*ret_size = info.size;
	return p;
}

static int region_offset(int device, uint32_t index, uint64_t *ret)
{
	struct vfio_region_info info;
	int r = vc_region(device, index, &info);

	if (r >= 0)
		*ret = info.offset;
	return r;
}

int vc_read(int device, uint32_t index, uint64_t off, void *buf, size_t len)
{
	uint64_t base;
	ssize_t n;
	int r = region_offset(device, index, &base);

	if (r < 0)
		return r;
	n = pread(device, buf, len, (off_t)(base + off));
	return n < 0 ? -errno : (size_t)n == len ? 0 : -EIO;
}

int vc_write(int device, uint32_t index, uint64_t off, const void *buf, size_t len)
{
	uint64_t base;
	ssize_t n;
	int r = region_offset(device, index, &base);

	if (r < 0)
		return r;
	n = pwrite(device, buf, len, (off_t)(base + off));
	return n < 0 ? -errno : (size_t)n == len ? 0 : -EIO;
}

uint32_t vc_cfg32(int device, uint64_t off)
{
	uint32_t v;

	return vc_read(device, VFIO_PCI_CONFIG_REGION_INDEX, off, &v, 4) ? ~0u : v;
}

uint16_t vc_cfg16(int device, uint64_t off)
{
	uint16_t v;

	return vc_read(device, VFIO_PCI_CONFIG_REGION_INDEX, off, &v, 2) ? 0xffff : v;
}

int vc_cfg16_set(int device, uint64_t off, uint16_t value)
{
	return vc_write(device, VFIO_PCI_CONFIG_REGION_INDEX, off, &value, 2);
}

int vc_cfg32_set(int device, uint64_t off, uint32_t value)
{
	return vc_write(device, VFIO_PCI_CONFIG_REGION_INDEX, off, &value, 4);
}

int vc_bus_master(int device, bool on)
{
	uint16_t cmd = vc_cfg16(device, 4);

	return vc_cfg16_set(device, 4, on ? cmd | 4 : cmd & ~4);
}

int vc_set_irqs(int device, uint32_t flags, uint32_t index, uint32_t start,
		uint32_t count, const void *data, size_t data_len)
{
	size_t size = sizeof(struct vfio_irq_set) + data_len;
	struct vfio_irq_set *set = calloc(1, size);
	int r;

	if (!set)
		return -ENOMEM;
	set->argsz = (uint32_t)size;
	set->flags = flags;
	set->index = index;
	set->start = start;
	set->count = count;
	if (data_len)
		memcpy(set->data, data, data_len);
	r = VC(device, VFIO_DEVICE_SET_IRQS, set);
	free(set);
	return r;
}

int vc_irq_eventfds(int device, uint32_t index, uint32_t start, uint32_t count,
		    const int *fds)
{
	return vc_set_irqs(device,
			   VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			   index, start, count, fds, count * sizeof(int));
}

int vc_irq_disable(int device, uint32_t index)
{
	return vc_set_irqs(device, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
			   index, 0, 0, NULL, 0);
}

uint64_t vc_event_wait(int event, int ms)
{
	struct pollfd p = { .fd = event, .events = POLLIN };
	uint64_t n;

	if (poll(&p, 1, ms) != 1 || read(event, &n, sizeof(n)) != sizeof(n))
		return 0;
	return n;
}
