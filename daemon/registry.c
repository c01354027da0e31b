/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "registry.h"

/* The linker makes these where at least one entry exists; weak, so that a program without
 * a backend of one kind links too. */
extern const struct cused_device_ops *const __start_cused_devices[] __attribute__((weak));
extern const struct cused_device_ops *const __stop_cused_devices[] __attribute__((weak));
extern const struct cused_iommu_ops *const __start_cused_iommus[] __attribute__((weak));
extern const struct cused_iommu_ops *const __stop_cused_iommus[] __attribute__((weak));

/*
 * Sorted walk without a copy: the entry that exactly @index others come before. Link
 * order is chance, and messages and help have to be the same from build to build. An
 * entry of another interface version is left out.
 */
#define REGISTRY_NTH(type, start, stop, index)					\
	do {									\
		for (const type *const *a = (start); a != (stop); a++) {	\
			size_t before = 0;					\
										\
			if ((*a)->version != CUSED_API_VERSION)			\
				continue;					\
			for (const type *const *b = (start); b != (stop); b++)	\
				before += (*b)->version == CUSED_API_VERSION &&	\
					  strcmp((*b)->name, (*a)->name) < 0;	\
			if (before == (index))					\
				return *a;					\
		}								\
		return NULL;							\
	} while (0)

const struct cused_device_ops *registry_device(size_t index)
{
	REGISTRY_NTH(struct cused_device_ops, __start_cused_devices, __stop_cused_devices,
		     index);
}

const struct cused_iommu_ops *registry_iommu(size_t index)
{
	REGISTRY_NTH(struct cused_iommu_ops, __start_cused_iommus, __stop_cused_iommus,
		     index);
}

const struct cused_device_ops *registry_find_device(const char *name)
{
	const struct cused_device_ops *ops;

	for (size_t i = 0; (ops = registry_device(i)); i++)
		if (!strcmp(ops->name, name))
			return ops;
	return NULL;
}

const struct cused_iommu_ops *registry_find_iommu(const char *name)
{
	const struct cused_iommu_ops *ops;

	for (size_t i = 0; (ops = registry_iommu(i)); i++)
		if (!strcmp(ops->name, name))
			return ops;
	return NULL;
}
