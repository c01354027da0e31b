/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The type1 driver (v1 and v2), after drivers/vfio/vfio_iommu_type1.c of Linux 7.2.
 *
 * Theory of operation
 *
 *   A container's type1 data is a set of mappings (the ioas), a budget of them, and what
 *   follows from the groups attached: page sizes, the valid IOVA ranges, and whether
 *   mappings are *real* (a group behind an IOMMU is attached: they are pinned, charged
 *   and programmed) or mere *records* (emulated groups only). The first real group turns
 *   all records into real mappings, the last one that leaves turns them back.
 *
 *   One domain of a backend serves all real groups of a container, so that the second
 *   always fits where the first is (T1-122). Groups of different backends do not meet in
 *   a container: the second is refused as one that its domain cannot take (T1-117).
 *
 *   v1 and v2 differ in the range rules of UNMAP_DMA and in DIRTY_PAGES, nowhere else.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/vfio.h>

#include <core/type1.h>

/* Id 6 asked for nested translation up to Linux 6.12; now its number is kept free. */
#define TYPE1_NESTING_ID 6u

int type1_lock(struct container *container, struct type1 **ret)
{
	void *data;
	int r = container_driver_lock(container, &iommu_type1_driver, &data);

	if (r == 0)
		*ret = data;
	return r;
}

void type1_unlock(struct container *container)
{
	container_driver_unlock(container);
}

/* CG-028. With emulated groups alone there is no domain to say no. */
static int type1_coherent(const struct type1 *t)
{
	if (!t)
		return 0;
	return t->n_real == 0 || type1_backend_flags(t) & CUSED_IOMMU_COHERENT;
}

static int type1_check_extension(struct topology *topology, void *data, uint64_t id)
{
	const struct type1 *t = data;

	switch (id) {
	case VFIO_TYPE1_IOMMU:						/* CG-025 */
	case VFIO_TYPE1v2_IOMMU:					/* CG-027 */
	case VFIO_UNMAP_ALL:						/* CG-033 */
		return 1;
	case TYPE1_NESTING_ID:						/* CG-030 */
		return topology_params(topology)->reports_nesting;
	case VFIO_DMA_CC_IOMMU:
		return type1_coherent(t) != 0;
	case VFIO_UPDATE_VADDR:						/* CG-034 */
		return t && t->n_emulated == 0;
	default:
		return 0;						/* CG-035 */
	}
}

static int type1_open(struct topology *topology, const struct caller *caller, uint64_t id,
		      void **ret_data)
{
	const struct topology_params *p = topology_params(topology);
	struct type1 *t;
	int r;

	if (id != VFIO_TYPE1_IOMMU && id != VFIO_TYPE1v2_IOMMU &&
	    !(id == TYPE1_NESTING_ID && p->reports_nesting))
		return -EINVAL;						/* CG-040 */
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	r = ioas_new(&t->ioas);
	if (r) {
		free(t);
		return r;
	}
	t->topology = topology;
	t->v2 = id != VFIO_TYPE1_IOMMU;
	list_init(&t->groups);
	t->dma_avail = p->dma_entry_limit ? p->dma_entry_limit : TYPE1_DMA_ENTRY_LIMIT;
	type1_layout_none(&t->layout);
	*ret_data = t;
	return 0;
}

/* The core detaches every group first, so nothing is mapped and no domain is left, unless a
 * client has it. */
static void type1_release(void *data)
{
	struct type1 *t = data;

	if (t->domain)
		type1_domain_free(t);
	ioas_free(t->ioas);
	free(t);
}

static struct ioas *type1_ioas(void *data)
{
	return ((struct type1 *)data)->ioas;
}

/* Emulated devices go by the map that is here, so they are not to be with a client who does
 * not use it. */
static int type1_swap(void *data, const struct caller *caller)
{
	struct type1 *t = data;
	int r;

	if (caller->domain) {
		t->swapped = caller->domain->swapped;
		return t->swapped;
	}
	if (t->n_real == 0 || t->n_emulated > 0 || !caller->lender ||
	    !CUSED_HAS(t->backend, swap))
		return 0;
	r = t->backend->swap(t->domain, caller->lender, t->v2 ? 2 : 1);
	t->swapped = r > 0;
	return r;
}

static bool type1_renew(void *data)
{
	struct type1 *t = data;

	return CUSED_HAS(t->backend, renew) && t->backend->renew(t->domain) == 0;
}

static bool type1_is_file(void *data, intptr_t file)
{
	const struct type1 *t = data;

	return t->domain && CUSED_HAS(t->backend, is_file) &&
	       t->backend->is_file(t->domain, file);
}

static void type1_domain(void *data, struct domain_record *ret)
{
	const struct type1 *t = data;

	ret->file = t->file;
	ret->group = t->file ? t->group_id : 0;
	if (t->file)
		t->backend->domain_file(t->domain, &ret->number);
}

int type1_get_info(struct container *container, struct type1_info *ret)
{
	struct type1 *t;
	int r = type1_lock(container, &t);

	if (r)
		return r;
	ret->page_sizes = t->layout.page_sizes;				/* T1-009 */
	ret->migration_pgsize = type1_pgsize(t);			/* T1-011 */
	ret->max_bitmap_size = TYPE1_MAX_BITMAP_BYTES;
	ret->dma_avail = t->dma_avail;					/* T1-012 */
	ret->n_ranges = t->layout.n;					/* T1-013 */
	memcpy(ret->ranges, t->layout.ranges, t->layout.n * sizeof(ret->ranges[0]));
	type1_unlock(container);
	return 0;
}

const struct iommu_driver iommu_type1_driver = {
	.name = "type1",
	.kind = CONTAINER_DRIVER_TYPE1,
	.check_extension = type1_check_extension,
	.open = type1_open,
	.release = type1_release,
	.attach_group = type1_attach_group,
	.detach_group = type1_detach_group,
	.ioas = type1_ioas,
	.swap = type1_swap,
	.renew = type1_renew,
	.is_file = type1_is_file,
	.domain = type1_domain,
};
