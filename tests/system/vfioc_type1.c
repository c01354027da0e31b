/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of the type1 container: information, mappings, limits, dirty pages. */
#include "vfioc.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define P 4096ull
#define MIB (1ull << 20)

static struct vc open_type(const struct vc_where *w, int type)
{
	struct vc vc = VC_NONE;

	REQUIRE_EQ(vc_open(&vc, w, type), 0);
	return vc;
}

static struct vfio_info_cap_header *find_cap(void *info, uint32_t first, uint16_t id)
{
	for (uint32_t at = first; at;) {
		struct vfio_info_cap_header *h = (void *)((char *)info + at);

		if (h->id == id)
			return h;
		REQUIRE(!h->next || h->next > at);
		at = h->next;
	}
	return NULL;
}

static uint32_t dma_avail(int container)
{
	uint64_t buf[512] = { 0 };
	struct vfio_iommu_type1_info *info = (void *)buf;
	struct vfio_iommu_type1_info_dma_avail *cap;

	info->argsz = sizeof(buf);
	REQUIRE_EQ(VC(container, VFIO_IOMMU_GET_INFO, info), 0);
	cap = (void *)find_cap(info, info->cap_offset, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
	REQUIRE(cap);
	return cap->avail;
}

/* struct vfio_iommu_type1_info_cap_migration as a 64-bit kernel lays it out; a 32-bit
 * program's own has no gap behind the flags. */
struct migration_cap {
	struct vfio_info_cap_header header;
	uint32_t flags, gap;
	uint64_t pgsize_bitmap, max_dirty_bitmap_size;
};

static void type1_info(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint64_t buf[512];
	struct vfio_iommu_type1_info *info = (void *)buf;
	struct vfio_iommu_type1_info_cap_iova_range *ranges;
	struct migration_cap *mig;
	uint32_t need;

	EXPECT_EQ(VC(vc.container, VFIO_IOMMU_GET_INFO, BAD_ADDRESS), -EFAULT); /* T1-001 */
	memset(buf, 0xee, sizeof(buf));
	info->argsz = 15;
	EXPECT_EQ(VC(vc.container, VFIO_IOMMU_GET_INFO, info), -EINVAL);	/* T1-002 */
	info->argsz = 24;
	EXPECT_EQ(VC(vc.container, VFIO_IOMMU_GET_INFO, info), 0);		/* T1-004 */
	EXPECT_EQ(info->flags, VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS);	/* T1-008 */
	EXPECT(info->argsz > 24);
	EXPECT_EQ(info->cap_offset, 0);
	EXPECT(buf[3] == 0xeeeeeeeeeeeeeeeeull);
	need = info->argsz;
	memset(buf, 0xee, sizeof(buf));
	info->argsz = 16;
	EXPECT_EQ(VC(vc.container, VFIO_IOMMU_GET_INFO, info), 0);		/* T1-007 */
	EXPECT(buf[2] == 0xeeeeeeeeeeeeeeeeull);
	info->argsz = sizeof(buf);
	REQUIRE_EQ(VC(vc.container, VFIO_IOMMU_GET_INFO, info), 0);		/* T1-006 */
	EXPECT_EQ(info->argsz, sizeof(buf));
	EXPECT_EQ(info->cap_offset, 24);
	EXPECT(info->iova_pgsizes & P);						/* T1-009 */
	mig = (void *)find_cap(info, 24, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION);	/* T1-011 */
	REQUIRE(mig);
	EXPECT_EQ(mig->pgsize_bitmap, info->iova_pgsizes & -info->iova_pgsizes);
	EXPECT_EQ(mig->max_dirty_bitmap_size, 1 << 28);
	EXPECT_EQ(dma_avail(vc.container), 65535);				/* T1-012 */
	ranges = (void *)find_cap(info, 24, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
	REQUIRE(ranges && ranges->nr_iovas > 0);				/* T1-013 */
	EXPECT_EQ(need, 88 + 16 * ranges->nr_iovas);
	for (uint32_t i = 0; i < ranges->nr_iovas; i++) {
		EXPECT(ranges->iova_ranges[i].start <= ranges->iova_ranges[i].end);
		if (i)
			EXPECT(ranges->iova_ranges[i - 1].end < ranges->iova_ranges[i].start);
	}
}

static int map_flags(int c, void *p, uint64_t iova, uint64_t size, uint32_t flags)
{
	return vc_map(c, p, iova, size, flags);
}

static void type1_map(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint8_t *p = vfioc_memory(4 * MIB, 1);
	struct vfio_iommu_type1_dma_map m = { .argsz = 31, .flags = RW,
		.vaddr = (uintptr_t)p, .iova = MIB, .size = P };
	int c = vc.container;
	uint8_t *ro;

	EXPECT_EQ(VC(c, VFIO_IOMMU_MAP_DMA, BAD_ADDRESS), -EFAULT);	/* T1-014 */
	EXPECT_EQ(VC(c, VFIO_IOMMU_MAP_DMA, &m), -EINVAL);		/* T1-015 */
	EXPECT_EQ(map_flags(c, p, MIB, P, 8 | RW), -EINVAL);
	EXPECT_EQ(map_flags(c, p, MIB, 0, RW), -EINVAL);		/* T1-017 */
	EXPECT_EQ(map_flags(c, p, ~0ull - P + 1, 2 * P, RW), -EOVERFLOW); /* T1-018 */
	EXPECT_EQ(map_flags(c, p, MIB, P, 0), -EINVAL);			/* T1-019 */
	/* T1-020 */
	EXPECT_EQ(map_flags(c, p, MIB, P, VFIO_DMA_MAP_FLAG_VADDR | 1), -EINVAL);
	EXPECT_EQ(map_flags(c, p, MIB, P + 1, RW), -EINVAL);		/* T1-021 */
	EXPECT_EQ(map_flags(c, p, MIB + 1, P, RW), -EINVAL);
	EXPECT_EQ(map_flags(c, p + 1, MIB, P, RW), -EINVAL);
	EXPECT_EQ(map_flags(c, p, MIB, P, VFIO_DMA_MAP_FLAG_VADDR), -ENOENT); /* T1-022 */
	EXPECT_EQ(map_flags(c, p, MIB, 2 * P, RW), 0);			/* T1-037 */
	EXPECT_EQ(map_flags(c, p, MIB, 2 * P, RW), -EEXIST);		/* T1-026 */
	EXPECT_EQ(map_flags(c, p, MIB + P, 2 * P, RW), -EEXIST);
	EXPECT_EQ(map_flags(c, p, MIB, P, VFIO_DMA_MAP_FLAG_VADDR), -EINVAL); /* T1-023 */
	EXPECT_EQ(map_flags(c, p, 0xfee00000, P, RW), -EINVAL);		/* T1-028, T1-134 */
	EXPECT_EQ(map_flags(c, p, 0xfedff000, 2 * P, RW), -EINVAL);
	EXPECT_EQ(map_flags(c, NULL, 8 * MIB, P, RW), -EFAULT);		/* T1-032 */
	EXPECT_EQ(dma_avail(c), 65534);					/* T1-039, T1-129 */
	ro = mmap(NULL, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(ro != MAP_FAILED);
	EXPECT_EQ(map_flags(c, ro, 8 * MIB, P, RW), -EFAULT);
	EXPECT_EQ(map_flags(c, ro, 8 * MIB, P, VFIO_DMA_MAP_FLAG_READ), 0);
	EXPECT_EQ(map_flags(c, p, 16 * MIB, 4 * MIB, RW), 0);
	EXPECT_EQ(map_flags(c, p, 32 * MIB, 4 * MIB, RW), 0); /* the same memory twice */
}

static void type1v2_unmap(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint8_t *p = vfioc_memory(MIB, 1);
	struct vfio_iommu_type1_dma_unmap u = { .argsz = 23 };
	int c = vc.container;
	uint64_t n = 77;

	EXPECT_EQ(VC(c, VFIO_IOMMU_UNMAP_DMA, BAD_ADDRESS), -EFAULT);	/* T1-052 */
	EXPECT_EQ(VC(c, VFIO_IOMMU_UNMAP_DMA, &u), -EINVAL);		/* T1-053 */
	u = (struct vfio_iommu_type1_dma_unmap){ .argsz = sizeof(u), .flags = 8,
		.iova = MIB, .size = P };
	EXPECT_EQ(VC(c, VFIO_IOMMU_UNMAP_DMA, &u), -EINVAL);
	u.flags = VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
	EXPECT_EQ(VC(c, VFIO_IOMMU_UNMAP_DMA, &u), -EINVAL);		/* T1-054 */
	u.flags = VFIO_DMA_UNMAP_FLAG_ALL;
	EXPECT_EQ(VC(c, VFIO_IOMMU_UNMAP_DMA, &u), -EINVAL);		/* T1-062 */
	EXPECT_EQ(u.size, P);						/* T1-069 */
	EXPECT_EQ(vc_unmap(c, MIB + 1, P, NULL), -EINVAL);		/* T1-061 */
	EXPECT_EQ(vc_unmap(c, MIB, 0, NULL), -EINVAL);			/* T1-063 */
	EXPECT_EQ(vc_unmap(c, MIB, P - 1, NULL), -EINVAL);
	EXPECT_EQ(vc_unmap(c, ~0ull - P + 1, 2 * P, NULL), -EOVERFLOW);	/* T1-064 */
	EXPECT_EQ(vc_unmap(c, MIB, P, &n), 0);				/* T1-071 */
	EXPECT_EQ(n, 0);
	for (int i = 0; i < 4; i++)		/* four pages each, gaps between */
		REQUIRE_EQ(vc_map(c, p, MIB + 8 * i * P, 4 * P, RW), 0);
	EXPECT_EQ(vc_unmap(c, MIB + P, 3 * P, NULL), -EINVAL);		/* T1-066, T1-072 */
	EXPECT_EQ(vc_unmap(c, MIB, 3 * P, NULL), -EINVAL);		/* T1-067 */
	EXPECT_EQ(dma_avail(c), 65531);
	EXPECT_EQ(vc_unmap(c, MIB, 14 * P, &n), 0);			/* T1-070 */
	EXPECT_EQ(n, 8 * P);
	EXPECT_EQ(dma_avail(c), 65533);
	u = (struct vfio_iommu_type1_dma_unmap){ .argsz = sizeof(u),
		.flags = VFIO_DMA_UNMAP_FLAG_ALL };
	EXPECT_EQ(VC(c, VFIO_IOMMU_UNMAP_DMA, &u), 0);			/* T1-076 */
	EXPECT_EQ(u.size, 8 * P);
	EXPECT_EQ(dma_avail(c), 65535);
}

static void type1v1_unmap(const struct vc_where *w)
{
	struct vc vc = open_type(w, VFIO_TYPE1_IOMMU);
	uint8_t *p = vfioc_memory(MIB, 1);
	int c = vc.container;
	struct vfio_iommu_type1_dirty_bitmap d = { .argsz = sizeof(d), .flags = 1 };
	uint64_t n = 77;

	for (int i = 0; i < 3; i++)
		REQUIRE_EQ(vc_map(c, p, MIB + 4 * i * P, 4 * P, RW), 0);
	EXPECT_EQ(vc_unmap(c, MIB + P, 11 * P, &n), 0);			/* T1-073 */
	EXPECT_EQ(n, 0);
	EXPECT_EQ(dma_avail(c), 65532);
	EXPECT_EQ(vc_unmap(c, MIB + 4 * P, P, &n), 0);			/* T1-074 */
	EXPECT_EQ(n, 4 * P);
	EXPECT_EQ(vc_unmap(c, MIB, 9 * P, &n), 0);			/* T1-075 */
	EXPECT_EQ(n, 8 * P);
	EXPECT_EQ(VC(c, VFIO_IOMMU_DIRTY_PAGES, &d), -EACCES);		/* T1-083 */
}

static void type1_update_vaddr(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint8_t *a = vfioc_memory(MIB, 1), *b = vfioc_memory(MIB, 2);
	struct vfio_iommu_type1_dma_unmap u = { .argsz = sizeof(u),
		.flags = VFIO_DMA_UNMAP_FLAG_VADDR, .iova = MIB, .size = MIB };
	int c = vc.container;

	REQUIRE_EQ(vc_map(c, a, MIB, MIB, RW), 0);
	EXPECT_EQ(VC(c, VFIO_IOMMU_UNMAP_DMA, &u), 0);			/* T1-079 */
	EXPECT_EQ(u.size, MIB);
	EXPECT_EQ(VC(c, VFIO_IOMMU_UNMAP_DMA, &u), -EINVAL);		/* T1-080 */
	EXPECT_EQ(dma_avail(c), 65534);
	EXPECT_EQ(vc_map(c, a, 4 * MIB, P, RW), 0);			/* T1-044 */
	EXPECT_EQ(vc_map(c, b, MIB, P, VFIO_DMA_MAP_FLAG_VADDR), -EINVAL); /* T1-023 */
	EXPECT_EQ(vc_map(c, b, MIB, MIB, VFIO_DMA_MAP_FLAG_VADDR), 0);	/* T1-025 */
	EXPECT_EQ(vc_map(c, b, MIB, MIB, VFIO_DMA_MAP_FLAG_VADDR), -EINVAL);
	u.flags |= VFIO_DMA_UNMAP_FLAG_ALL;
	u.iova = u.size = 0;
	EXPECT_EQ(VC(c, VFIO_IOMMU_UNMAP_DMA, &u), 0);
	EXPECT_EQ(u.size, MIB + P);
	EXPECT_EQ(vc_unmap(c, MIB, MIB, NULL), 0);			/* T1-078 */
}

/* struct vfio_bitmap as a kernel of 64 bits sees it, whatever size our pointers have. */
struct bitmap {
	uint64_t pgsize, size, data;
};

struct dirty_get {
	struct vfio_iommu_type1_dirty_bitmap head;
	struct { uint64_t iova, size; struct bitmap bitmap; } get;
};

static int dirty_op(int c, uint32_t flags)
{
	struct vfio_iommu_type1_dirty_bitmap d = { .argsz = sizeof(d), .flags = flags };

	return VC(c, VFIO_IOMMU_DIRTY_PAGES, &d);
}

static void type1_dirty(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint8_t *p = vfioc_memory(MIB, 1);
	uint64_t map[4] = { 0 };
	int c = vc.container;
	struct dirty_get d = {
		.head = { .argsz = sizeof(d), .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP },
		.get = { .iova = MIB, .size = 64 * P,
			 .bitmap = { .pgsize = P, .size = 8, .data = (uintptr_t)map } },
	};
	struct { struct vfio_iommu_type1_dma_unmap u; struct bitmap b; } u = {
		.u = { .argsz = sizeof(u), .flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
		       .iova = MIB, .size = 64 * P },
		.b = { .pgsize = P, .size = 8, .data = (uintptr_t)map },
	};

	EXPECT_EQ(VC(c, VFIO_IOMMU_DIRTY_PAGES, BAD_ADDRESS), -EFAULT);	/* T1-084 */
	EXPECT_EQ(dirty_op(c, 0), -EINVAL);				/* T1-086 */
	EXPECT_EQ(dirty_op(c, 3), -EINVAL);
	EXPECT_EQ(dirty_op(c, 8), -EINVAL);				/* T1-085 */
	REQUIRE_EQ(vc_map(c, p, MIB, 64 * P, RW), 0);
	EXPECT_EQ(VC(c, VFIO_IOMMU_DIRTY_PAGES, &d), -EINVAL);		/* T1-102 */
	EXPECT_EQ(dirty_op(c, VFIO_IOMMU_DIRTY_PAGES_FLAG_START), 0);	/* T1-090 */
	EXPECT_EQ(dirty_op(c, VFIO_IOMMU_DIRTY_PAGES_FLAG_START), 0);	/* T1-087 */
	for (int i = 0; i < 2; i++) {
		map[0] = 0;
		map[1] = 5;
		EXPECT_EQ(VC(c, VFIO_IOMMU_DIRTY_PAGES, &d), 0);	/* T1-105 */
		EXPECT(map[0] == ~0ull && map[1] == 5);			/* T1-106 */
	}
	d.get.bitmap.pgsize = 2 * P;
	EXPECT_EQ(VC(c, VFIO_IOMMU_DIRTY_PAGES, &d), -EINVAL);		/* T1-099 */
	d.get.bitmap.pgsize = P;
	d.get.bitmap.size = 4;
	EXPECT_EQ(VC(c, VFIO_IOMMU_DIRTY_PAGES, &d), -EINVAL);		/* T1-098 */
	d.get.bitmap.size = 8;
	d.get.iova = MIB + P;
	d.get.size = 63 * P;
	EXPECT_EQ(VC(c, VFIO_IOMMU_DIRTY_PAGES, &d), -EINVAL);		/* T1-103 */
	d.get.size = 0;
	EXPECT_EQ(VC(c, VFIO_IOMMU_DIRTY_PAGES, &d), -EINVAL);		/* T1-095 */
	d.get.iova = MIB;
	d.get.size = 64 * P;
	d.get.bitmap.data = (uintptr_t)BAD_ADDRESS;
	EXPECT_EQ(VC(c, VFIO_IOMMU_DIRTY_PAGES, &d), -EFAULT);		/* T1-104 */
	map[0] = 0;
	EXPECT_EQ(VC(c, VFIO_IOMMU_UNMAP_DMA, &u), 0);
	EXPECT_EQ(u.u.size, 64 * P);
	EXPECT(map[0] == ~0ull);
	EXPECT_EQ(dirty_op(c, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), 0);	/* T1-091 */
	EXPECT_EQ(dirty_op(c, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), 0);
	EXPECT_EQ(VC(c, VFIO_IOMMU_UNMAP_DMA, &u), -EINVAL);		/* T1-065 */
}

static void type1_budget(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint8_t *p = vfioc_memory(P, 1);
	int c = vc.container;
	uint64_t n;

	for (unsigned i = 0; i < 65535; i++)
		REQUIRE_EQ(vc_map(c, p, 0x100000000ull + i * P, P, RW), 0);
	EXPECT_EQ(dma_avail(c), 0);
	EXPECT_EQ(vc_map(c, p, MIB, P, RW), -ENOSPC);			/* T1-027 */
	EXPECT_EQ(vc_map(c, p, 0x100000000ull, P, RW), -EEXIST);	/* T1-130 */
	EXPECT_EQ(vc_map(c, p, 0xfee00000, P, RW), -ENOSPC);
	EXPECT_EQ(vc_unmap(c, 0x100000000ull, 65535 * P, &n), 0);
	EXPECT_EQ(n, 65535 * P);
	EXPECT_EQ(dma_avail(c), 65535);
}

/* CG-114: UNSET_CONTAINER of the last group takes the mappings away. */
static void type1_mappings_end(const struct vc_where *w)
{
	int c = vc_open_container(w), g = vc_open_group_wait(w);
	uint8_t *p = vfioc_memory(P, 1);

	REQUIRE(c >= 0 && g >= 0);
	for (int i = 0; i < 3; i++) {
		REQUIRE_EQ(vc_attach(g, c), 0);
		REQUIRE_EQ(VC(c, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
		EXPECT_EQ(dma_avail(c), 65535);
		EXPECT_EQ(vc_map(c, p, MIB, P, RW), 0);
		EXPECT_EQ(VC(g, VFIO_GROUP_UNSET_CONTAINER, 0), 0);
	}
}

const struct vcase cases_type1[] = {
	{ .name = "type1_info", .rows = "T1-001 T1-002 T1-004 T1-006 T1-007 T1-008 T1-009 "
	  "T1-011 T1-012 T1-013", .fn = type1_info },
	{ .name = "type1_map", .rows = "T1-014 T1-015 T1-017 T1-018 T1-019 T1-020 T1-021 "
	  "T1-022 T1-023 T1-026 T1-028 T1-032 T1-037 T1-039 T1-129 T1-134", .fn = type1_map },
	{ .name = "type1v2_unmap",
	  .rows = "T1-052 T1-053 T1-054 T1-061 T1-062 T1-063 T1-064 "
	  "T1-066 T1-067 T1-069 T1-070 T1-071 T1-072 T1-076", .fn = type1v2_unmap },
	{ .name = "type1v1_unmap",
	  .rows = "T1-073 T1-074 T1-075 T1-083", .fn = type1v1_unmap },
	{ .name = "type1_update_vaddr", .rows = "T1-023 T1-025 T1-044 T1-078 T1-079 T1-080",
	  .fn = type1_update_vaddr },
	{ .name = "type1_dirty", .rows = "T1-065 T1-084 T1-085 T1-086 T1-087 T1-090 T1-091 "
	  "T1-095 T1-098 T1-099 T1-102 T1-103 T1-104 T1-105 T1-106", .fn = type1_dirty },
	{ .name = "type1_budget", .rows = "T1-027 T1-130", .fn = type1_budget,
	  .seconds = 400 },	/* each of 65535 calls takes a millisecond in some guests */
	{ .name = "type1_mappings_end", .rows = "CG-114 T1-125", .fn = type1_mappings_end },
	{ .name = NULL },
};
