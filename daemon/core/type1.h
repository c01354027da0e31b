/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/type1.h - the inside of the type1 driver, for its own files alone:
 * iommu_type1.c (the driver, GET_INFO), type1_group.c (attach, detach, the layout that
 * follows from the groups), type1_map.c (MAP_DMA, UNMAP_DMA, accounting), type1_dirty.c.
 *
 * Locks: the container's lock orders all calls; each member of struct type1 is under it.
 */
#ifndef CORE_TYPE1_H
#define CORE_TYPE1_H

#include <core/internal.h>
#include <core/iommu_type1.h>
#include <util/list.h>

/* Page of the processor, unit of accounting (T1-045). */
#define TYPE1_PAGE 4096ull
/* T1-036, T1-088: pages of the smallest size in one mapping, while tracking is on. */
#define TYPE1_DIRTY_PAGES_MAX 0x7fffffffull

#define TYPE1_RANGES_MAX (sizeof(((struct type1_info *)0)->ranges) / sizeof(struct cused_range))

struct type1_group {
	struct list link;
	struct group *group;
	bool real;			/* IOMMU-backed; else emulated */
	struct cused_iommu_geometry geometry;	/* if real */
};

/* What follows from the groups attached (spec section 1). */
struct type1_layout {
	uint64_t page_sizes;
	unsigned n;			/* ranges; 0: no real group, everything is valid */
	struct cused_range ranges[TYPE1_RANGES_MAX];
};

struct type1 {
	struct topology *topology;
	bool v2;
	struct list groups;		/* struct type1_group */
	unsigned n_real, n_emulated;
	/* Of all real groups; while n_real > 0, or swapped: */
	const struct cused_iommu_ops *backend;
	void *backend_state;
	void *domain;
	uint64_t file;			/* the domain's, of backend_files; 0: none */
	void *kept;			/* it */
	unsigned group_id;		/* of the group that was attached last */
	struct type1_layout layout;
	struct ioas *ioas;
	uint32_t dma_avail;
	size_t n_invalid;		/* mappings whose vaddr is invalid */
	bool tracking;			/* DIRTY_PAGES START */
	bool swapped;			/* the client maps by a file of the backend's */
};

/* The smallest page size, P; the unit of alignment. */
static inline uint64_t type1_pgsize(const struct type1 *t)
{
	return t->layout.page_sizes & -t->layout.page_sizes;
}

/* What the backend says of itself while there is a real group, enum cused_iommu_flags. */
static inline unsigned type1_backend_flags(const struct type1 *t)
{
	return CUSED_HAS(t->backend, domain_flags) ? t->backend->domain_flags(t->domain) :
						     t->backend->flags(t->backend_state);
}

/* Lock the container and get its type1 data. Return: as container_driver_lock(). */
int type1_lock(struct container *container, struct type1 **ret);
void type1_unlock(struct container *container);

/* ---- type1_map.c ---- */

/*
 * Pin, charge and program one mapping, as MAP_DMA and the first real group do.
 * @caller: who asks for it, whose limit counts
 * Return: 0; -ENOMEM (T1-031); what the mm or the backend answers (T1-032 … T1-035).
 * Nothing is left behind on failure.
 */
int type1_pin(struct type1 *t, const struct ioas_mapping *m, const struct caller *caller);
void type1_unpin(struct type1 *t, const struct ioas_mapping *m);
/* Remove every mapping. Return: their bytes. */
uint64_t type1_unmap_all(struct type1 *t);

/*
 * For restore.c: what a mapping's record says.
 * @ret: without its owner and its number
 * Return: 0, -EBADMSG.
 */
int type1_record_parse(const void *data, size_t size, uint64_t *ret_container,
		       uint64_t *ret_mm, struct ioas_mapping *ret);
/*
 * As it was, in order of their numbers.
 * Return: 0; -ENOENT the container's driver is not type1; -EBADMSG it cannot be one of this
 * container; -ENOMEM; what the backend answers.
 */
int type1_restore_mapping(struct container *container, const struct ioas_mapping *m);
/* Everything is dirty: nobody knows what was told of it. Return: 0; -ENOENT as above. */
int type1_restore_tracking(struct container *container);

/* ---- type1_group.c ---- */

void type1_layout_none(struct type1_layout *ret);
int type1_attach_group(void *data, struct group *group, const struct caller *caller);
void type1_detach_group(void *data, struct group *group);
void type1_domain_free(struct type1 *t);	/* there is one */
/* The domain of a container whose client has a file in its place, and that no group is in.
 * Return: 0; -ENOENT it is not to be had, -ENOMEM. Nobody else is there. */
int type1_restore_domain(struct type1 *t, const struct domain_record *was);

/* ---- type1_dirty.c ---- */

/* T1-057 and T1-058, T1-097 and T1-098. @size: bytes of IOVAs. Return: 0, -EINVAL. */
int type1_bitmap_check(const struct type1_bitmap *bitmap, uint64_t size);
/* Report one mapping that is about to go. @base: IOVA of bit 0. Return: 0, -EFAULT. */
int type1_bitmap_report(struct type1 *t, const struct type1_bitmap *bitmap, uint64_t base,
			const struct ioas_mapping *m);
/* The first real group came, the last one went (T1-106, T1-111). */
void type1_dirty_real(struct type1 *t, bool real);

#endif
