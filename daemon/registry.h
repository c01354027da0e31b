/* SPDX-License-Identifier: GPL-2.0-or-later */
/* registry.h - the backends that were linked in, as CUSED_DEVICE and CUSED_IOMMU list them. */
#ifndef REGISTRY_H
#define REGISTRY_H

#include <stddef.h>
#include <vfio-cused/device.h>
#include <vfio-cused/iommu.h>

/* Walk by number from 0; sorted by name. Return: NULL past the last. Locks: none. */
const struct cused_device_ops *registry_device(size_t index);
const struct cused_iommu_ops *registry_iommu(size_t index);

/* By name. Return: NULL if there is none. */
const struct cused_device_ops *registry_find_device(const char *name);
const struct cused_iommu_ops *registry_find_iommu(const char *name);

#endif
