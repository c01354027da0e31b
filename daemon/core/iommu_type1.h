/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/iommu_type1.h - typed calls of a container whose driver is type1 (v1 or v2).
 *
 * Every function first checks, under the container's lock, that the driver is still
 * type1: -EINVAL without a driver (CG-045), -ENOTTY with another (CG-046).
 */
#ifndef CORE_IOMMU_TYPE1_H
#define CORE_IOMMU_TYPE1_H

#include <stdint.h>
#include <core/caller.h>
#include <core/container.h>
#include <core/mem.h>

#define TYPE1_MAX_BITMAP_BYTES (1ull << 28)
#define TYPE1_DMA_ENTRY_LIMIT 65535u	/* default of dma_entry_limit */

struct type1_info {
	uint64_t page_sizes;
	uint64_t migration_pgsize;		/* P only */
	uint64_t max_bitmap_size;
	uint32_t dma_avail;
	unsigned n_ranges;			/* 0: capability omitted (T1-013) */
	struct cused_range ranges[2 * CUSED_IOMMU_RESV_MAX + 1];
};
int type1_get_info(struct container *container, struct type1_info *ret);	/* T1-008… */

/* T1-016 … T1-037 and T1-022 … T1-025. proto has done T1-014, T1-015. */
int type1_map(struct container *container, const struct caller *caller, uint32_t flags,
	      uint64_t vaddr, uint64_t iova, uint64_t size);

struct type1_bitmap {
	uint64_t pgsize;
	struct mem data;		/* .size is the client's size in bytes */
};
/* T1-057 … T1-081. @bitmap: for GET_DIRTY_BITMAP, else NULL. */
int type1_unmap(struct container *container, const struct caller *caller, uint32_t flags,
		uint64_t iova, uint64_t size, const struct type1_bitmap *bitmap,
		uint64_t *ret_size);

int type1_dirty_allowed(struct container *container);		/* T1-083: 0, -EACCES */
int type1_dirty_start(struct container *container);		/* T1-087 … T1-090 */
int type1_dirty_stop(struct container *container);		/* T1-091 */
/* T1-094 … T1-111. */
int type1_dirty_get(struct container *container, const struct caller *caller,
		    uint64_t iova, uint64_t size, const struct type1_bitmap *bitmap);

#endif
