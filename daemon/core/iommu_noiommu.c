/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/iommu_noiommu.c - the driver of noiommu containers: it lets devices be opened and
 * maps nothing (section 11 of the container rules).
 */
#include <errno.h>
#include <stddef.h>
#include <linux/vfio.h>

#include <core/iommu_driver.h>

/* CG-032: follows the setting, whether asked with a container or without. */
static int noiommu_check_extension(struct topology *topology, void *data, uint64_t id)
{
	return id == VFIO_NOIOMMU_IOMMU && topology_params(topology)->unsafe_noiommu;
}

static int noiommu_open(struct topology *topology, const struct caller *caller,
			uint64_t id, void **ret_data)
{
	if (!caller->cap_sys_rawio)
		return -EPERM;						/* CG-041 */
	*ret_data = NULL;
	return 0;
}

static void noiommu_release(void *data)
{
}

static int noiommu_attach_group(void *data, struct group *group,
				const struct caller *caller)
{
	return 0;
}

static void noiommu_detach_group(void *data, struct group *group)
{
}

const struct iommu_driver iommu_noiommu_driver = {
	.name = "noiommu",
	.kind = CONTAINER_DRIVER_NOIOMMU,
	.noiommu = true,
	.check_extension = noiommu_check_extension,
	.open = noiommu_open,
	.release = noiommu_release,
	.attach_group = noiommu_attach_group,
	.detach_group = noiommu_detach_group,
	/* No ioas: devices have no map to translate through. */
};
