/* SPDX-License-Identifier: GPL-2.0-or-later */
/* proto/call_type1.c - ioctls of a container whose driver is type1. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <linux/vfio.h>

#include <core/iommu_type1.h>
#include <proto/call.h>

static_assert(sizeof(struct vfio_iommu_type1_info) == 24, "T1-001");
static_assert(sizeof(struct vfio_iommu_type1_info_cap_migration) == 32, "T1-011");
static_assert(sizeof(struct vfio_iommu_type1_info_dma_avail) == 12, "T1-012");
static_assert(sizeof(struct vfio_iommu_type1_info_cap_iova_range) == 16, "T1-013");
static_assert(sizeof(struct vfio_iommu_type1_dma_map) == 32, "T1-014");
static_assert(sizeof(struct vfio_iommu_type1_dma_unmap) == 24, "T1-052");
static_assert(sizeof(struct vfio_bitmap) == 24, "T1-055");
static_assert(sizeof(struct vfio_iommu_type1_dirty_bitmap) == 8, "T1-084");
static_assert(sizeof(struct vfio_iommu_type1_dirty_bitmap_get) == 40, "T1-092");

/* Linux 5.15 and later; not in all headers. */
#define UNMAP_FLAG_ALL (1 << 1)
#define UNMAP_FLAG_VADDR (1 << 2)

/* ---- GET_INFO ---- */

/* T1-011 … T1-013, in this order. */
static void add_capabilities(struct reply_chain *chain, const struct type1_info *info)
{
	struct vfio_iommu_type1_info_cap_migration *migration;
	struct vfio_iommu_type1_info_dma_avail *avail;
	struct vfio_iommu_type1_info_cap_iova_range *ranges;

	migration = reply_cap_add(chain, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, 1,
				  sizeof(*migration));
	migration->pgsize_bitmap = info->migration_pgsize;
	migration->max_dirty_bitmap_size = info->max_bitmap_size;

	avail = reply_cap_add(chain, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 1, sizeof(*avail));
	avail->avail = info->dma_avail;

	if (!info->n_ranges)
		return;
	ranges = reply_cap_add(chain, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1,
			       sizeof(*ranges) +
			       info->n_ranges * sizeof(ranges->iova_ranges[0]));
	ranges->nr_iovas = info->n_ranges;
	for (unsigned i = 0; i < info->n_ranges; i++) {
		ranges->iova_ranges[i].start = info->ranges[i].first;
		ranges->iova_ranges[i].end = info->ranges[i].last;
	}
}

static size_t capabilities_size(const struct type1_info *info)
{
	size_t size = reply_cap_size(sizeof(struct vfio_iommu_type1_info_cap_migration)) +
		      reply_cap_size(sizeof(struct vfio_iommu_type1_info_dma_avail));

	if (info->n_ranges)
		size += sizeof(struct vfio_iommu_type1_info_cap_iova_range) +
			info->n_ranges * sizeof(struct vfio_iova_range);
	return size;
}

int64_t call_type1_info(struct call *call)
{
	struct vfio_iommu_type1_info *reply = (void *)call->in;
	struct reply_chain chain = { .base = sizeof(*reply) };
	uint32_t argsz = reply->argsz;
	struct type1_info info;
	int r;

	r = type1_get_info(call->object.container, &info);
	if (r)
		return r;
	chain.buf = call_take(call, capabilities_size(&info));
	if (!chain.buf)
		return -ENOMEM;						/* T1-003 */
	add_capabilities(&chain, &info);

	memset(reply, 0, sizeof(*reply));
	reply->argsz = argsz;
	reply->flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;	/* T1-008 */
	reply->iova_pgsizes = info.page_sizes;
	reply_cap_put(call, &chain, &reply->argsz, &reply->cap_offset);
	/* T1-007, T1-010: what the caller had room for, whatever argsz says now. */
	call_reply(call, 0, reply, argsz < sizeof(*reply) ? argsz : sizeof(*reply));
	return 0;
}

/* ---- MAP_DMA, UNMAP_DMA ---- */

int64_t call_type1_map(struct call *call)
{
	const struct vfio_iommu_type1_dma_map *map = (void *)call->in;

	return type1_map(call->object.container, &call->caller, map->flags, map->vaddr,
			 map->iova, map->size);
}

static struct type1_bitmap bitmap_of(struct call *call, const struct vfio_bitmap *bitmap)
{
	return (struct type1_bitmap){
		.pgsize = bitmap->pgsize,
		.data = { call->caller.mm, (uintptr_t)bitmap->data, bitmap->size },
	};
}

int call_type1_unmap_tail(struct call *call)
{
	const struct vfio_iommu_type1_dma_unmap *unmap = (void *)call->in;

	if (!(unmap->flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP))
		return 0;
	if (unmap->flags & (UNMAP_FLAG_ALL | UNMAP_FLAG_VADDR))
		return -EINVAL;						/* T1-054 */
	if (unmap->argsz < sizeof(*unmap) + sizeof(struct vfio_bitmap))
		return -EINVAL;						/* T1-055 */
	return call_want_tail(call, sizeof(*unmap), sizeof(struct vfio_bitmap));
}

int64_t call_type1_unmap(struct call *call)
{
	struct vfio_iommu_type1_dma_unmap *unmap = (void *)call->in;
	struct type1_bitmap bitmap;
	uint64_t size;
	int r;

	if (call->tail)
		bitmap = bitmap_of(call, (const void *)call->tail);
	r = type1_unmap(call->object.container, &call->caller, unmap->flags, unmap->iova,
			unmap->size, call->tail ? &bitmap : NULL, &size);
	if (r)
		return r;						/* T1-069 */
	unmap->size = size;
	call_reply(call, 0, unmap, sizeof(*unmap));			/* T1-068 */
	return 0;
}

/* ---- DIRTY_PAGES ---- */

int call_type1_dirty_ready(struct call *call)
{
	return type1_dirty_allowed(call->object.container);		/* T1-083 */
}

int call_type1_dirty_tail(struct call *call)
{
	const struct vfio_iommu_type1_dirty_bitmap *dirty = (void *)call->in;

	if (__builtin_popcount(dirty->flags) != 1)
		return -EINVAL;						/* T1-086 */
	if (dirty->flags != VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP)
		return 0;
	if (dirty->argsz - sizeof(*dirty) < sizeof(struct vfio_iommu_type1_dirty_bitmap_get))
		return -EINVAL;						/* T1-092 */
	return call_want_tail(call, sizeof(*dirty),
			      sizeof(struct vfio_iommu_type1_dirty_bitmap_get));
}

int64_t call_type1_dirty(struct call *call)
{
	const struct vfio_iommu_type1_dirty_bitmap *dirty = (void *)call->in;
	const struct vfio_iommu_type1_dirty_bitmap_get *get = (void *)call->tail;
	struct type1_bitmap bitmap;

	switch (dirty->flags) {
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
		return type1_dirty_start(call->object.container);
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
		return type1_dirty_stop(call->object.container);
	default:
		bitmap = bitmap_of(call, &get->bitmap);
		return type1_dirty_get(call->object.container, &call->caller, get->iova,
				       get->size, &bitmap);
	}
}
