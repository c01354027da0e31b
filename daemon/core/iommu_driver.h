/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/iommu_driver.h - an IOMMU driver: one personality of the container API, as in the
 * kernel's list of registered drivers. A further driver is one file.
 */
#ifndef CORE_IOMMU_DRIVER_H
#define CORE_IOMMU_DRIVER_H

#include <core/caller.h>
#include <core/container.h>
#include <core/topology.h>

struct ioas;

struct iommu_driver {
	const char *name;
	enum container_driver kind;
	bool noiommu;		/* serves noiommu groups, and only those (CG-022, CG-038) */

	/* @data: of the container's driver, or NULL when asked without one (CG-021). */
	int (*check_extension)(struct topology *topology, void *data, uint64_t id);
	/* CG-039 … CG-041. */
	int (*open)(struct topology *topology, const struct caller *caller, uint64_t id,
		    void **ret_data);
	void (*release)(void *data);	/* CG-114: all mappings go */
	int (*attach_group)(void *data, struct group *group, const struct caller *caller);
	void (*detach_group)(void *data, struct group *group);
	/* The IOVA map that devices of attached groups translate through; NULL: none. */
	struct ioas *(*ioas)(void *data);
	/* The backend may give the caller's client a file in place of the container; NULL: never.
	 * Return: 1 it was done; 0 it was not; -errno SET_IOMMU fails. */
	int (*swap)(void *data, const struct caller *caller);
	/* The last group of a container with such a file has left: what it has mapped is to go,
	 * and the driver to be as new. Return: was it done? Else release() follows. */
	bool (*renew)(void *data);
	/* Is @file a copy of that file? NULL: no. */
	bool (*is_file)(void *data, intptr_t file);
	/* What caller.domain is to be in the next process, but for the mm. NULL: nothing. */
	void (*domain)(void *data, struct domain_record *ret);
};

/* Newest first in every walk. Return: 0, -EEXIST registered already, -ENOMEM. */
int iommu_driver_register(struct topology *topology, const struct iommu_driver *driver);

extern const struct iommu_driver iommu_type1_driver;
extern const struct iommu_driver iommu_noiommu_driver;

#endif
