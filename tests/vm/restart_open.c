/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Workers that have no device for long: containers alone; and all three, opened and closed.
 */
#include "restart_load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CONTAINERS 8u
#define NO_EXTENSION 999u

/* ---- containers ---- */

static void container_step(struct load *l, int *fd)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) }, before = info;

	if (*fd < 0) {
		*fd = load_open(l, "open container", "/dev/vfio/vfio", 0);
		return;
	}
	switch (load_draw(l, 6)) {
	case 0:
		load_close(l, "close container", fd);
		break;
	case 1:
		load_ioctl_number(l, "GET_API_VERSION", *fd, VFIO_GET_API_VERSION, 0,
				  VFIO_API_VERSION);
		break;
	case 2:
		load_ioctl_number(l, "CHECK_EXTENSION", *fd, VFIO_CHECK_EXTENSION,
				  VFIO_TYPE1v2_IOMMU, 1);
		break;
	case 3:
		load_ioctl_number(l, "CHECK_EXTENSION", *fd, VFIO_CHECK_EXTENSION, NO_EXTENSION,
				  0);
		break;
	case 4:
		/* There is no group. */
		load_ioctl_number(l, "SET_IOMMU", *fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU,
				  -EINVAL);
		break;
	case 5:
		load_ioctl(l, "IOMMU_GET_INFO", *fd, VFIO_IOMMU_GET_INFO, &info, sizeof(info),
			   &before, -EINVAL);
	}
}

void load_containers(struct load *l)
{
	int fds[CONTAINERS];

	memset(fds, -1, sizeof(fds));
	load_ready(l);
	while (!load_stops(l))
		container_step(l, &fds[load_draw(l, CONTAINERS)]);
}

/* ---- open and close ---- */

static void group_status(struct load *l, int group, uint32_t flags)
{
	struct vfio_group_status arg = { .argsz = sizeof(arg) }, want = arg;

	want.flags = VFIO_GROUP_FLAGS_VIABLE | flags;
	load_ioctl(l, "GROUP_GET_STATUS", group, VFIO_GROUP_GET_STATUS, &arg, sizeof(arg), &want,
		   0);
}

/* The device, as it was at first. */
struct known {
	const char *bdf;
	char path[64];	/* of its group */
	struct vfio_region_info config;
	uint8_t id[4];
};

static void use_device(struct load *l, int group, const struct known *known)
{
	int device = load_get_device(l, group, known->bdf, 0);
	struct vfio_region_info config = { .argsz = sizeof(config),
					   .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint8_t is[4];

	load_ioctl(l, "GET_REGION_INFO", device, VFIO_DEVICE_GET_REGION_INFO, &config,
		   sizeof(config), &known->config, 0);
	load_read(l, "read config", device, config.offset, is, sizeof(is));
	load_same(l, "read config", is, known->id, sizeof(is));
	load_ioctl_number(l, "UNSET_CONTAINER", group, VFIO_GROUP_UNSET_CONTAINER, 0, -EBUSY);
	load_close(l, "close device", &device);
}

static void open_all(struct load *l, const struct known *known)
{
	int group = load_open_soon(l, "open group", known->path), container;
	static struct maps maps;

	load_open(l, "open group", known->path, -EBUSY);
	group_status(l, group, 0);
	load_get_device(l, group, known->bdf, -EINVAL);	/* there is no container */
	container = load_open(l, "open container", "/dev/vfio/vfio", 0);
	load_ioctl(l, "SET_CONTAINER", group, VFIO_GROUP_SET_CONTAINER, &container,
		   sizeof(container), &(int){ container }, 0);
	load_ioctl(l, "SET_CONTAINER", group, VFIO_GROUP_SET_CONTAINER, &container,
		   sizeof(container), &(int){ container }, -EINVAL);
	group_status(l, group, VFIO_GROUP_FLAGS_CONTAINER_SET);
	load_ioctl_number(l, "SET_IOMMU", container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU, 0);
	load_ioctl_number(l, "SET_IOMMU", container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU, -EINVAL);
	load_get_device(l, group, "0000:ff:1f.7", -ENODEV);
	if (!maps.load)
		maps_init(&maps, l, container, 0);
	maps.container = container;
	for (unsigned i = 0; i < 4; i++)
		maps_map(&maps, load_draw(l, MAPS));
	use_device(l, group, known);
	load_ioctl_soon(l, "UNSET_CONTAINER", group, VFIO_GROUP_UNSET_CONTAINER);
	group_status(l, group, 0);
	/* The container's last group has taken all mappings with it. */
	memset(maps.mapped, 0, sizeof(maps.mapped));
	load_close(l, "close container", &container);
	load_close(l, "close group", &group);
}

void load_opener(struct load *l, const char *bdf)
{
	struct known known = { .bdf = bdf };
	struct vc_where where;
	struct vc vc;

	load_open_device(l, bdf, &vc, &where);
	snprintf(known.path, sizeof(known.path), "/dev/vfio/%d", where.group);
	if (vc_region(vc.device, VFIO_PCI_CONFIG_REGION_INDEX, &known.config) ||
	    vc_read(vc.device, VFIO_PCI_CONFIG_REGION_INDEX, 0, known.id, sizeof(known.id)))
		load_fail(l, "read config", "cannot be read");
	vc_close(&vc);
	load_ready(l);
	while (!load_stops(l))
		open_all(l, &known);
}
