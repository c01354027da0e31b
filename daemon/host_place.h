/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host_place.h - where the kernel has a device of this machine, and what keeps it from us. */
#ifndef HOST_PLACE_H
#define HOST_PLACE_H

#include <vfio-cused/device.h>

struct host_place {
	struct cused_host host;		/* with node below; do not copy */
	char node[64];
};

/*
 * host_place - look for a device, and judge whether it can be given to clients as far as sysfs
 * tells (host.h). The kernel has the last word.
 * @sysfs, @dev: "/sys" and "/dev" but for tests
 * @bdf: as in /sys/bus/pci/devices
 * Return: 0; -ENODEV there is no such device, it has no IOMMU group, no VFIO driver (SD-067) or
 * no node; -EBUSY its group is not viable (CG-138); -ENOMEM; errors of reading @sysfs; each
 * with @err set.  Locks: none.
 */
int host_place(const char *sysfs, const char *dev, const char *bdf, struct host_place *ret,
	       struct cused_error *err);

#endif
