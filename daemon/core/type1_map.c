/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MAP_DMA, UNMAP_DMA and the accounting of memory (spec sections 3 and 4). */
#include <errno.h>
#include <linux/vfio.h>

#include <core/type1.h>
#include <util/keep.h>
#include <util/range.h>

/* ---- records ---- */

/* KEEP_MAPPING, by ioas_mapping.keep_id. Of two that overlap the higher number counts: the other
 * one was unmapped before, in a batch that came to no end. */
struct mapping_record {
	uint64_t container, first, last, vaddr;
	uint64_t mm;			/* keep_id of the owner */
	uint8_t prot, vaddr_invalid, lock_exempt;
	uint8_t pad[5];
};

static void record_mapping(struct container *container, struct type1 *t,
			   const struct ioas_mapping *m)
{
	const struct mapping_record rec = {
		.container = container_id(container),
		.first = m->iova.first, .last = m->iova.last,
		.vaddr = m->vaddr,
		.mm = mm_keep(m->mm),
		.prot = (uint8_t)m->prot,
		.vaddr_invalid = m->vaddr_invalid,
		.lock_exempt = m->lock_exempt,
	};

	keep_put(topology_keep(t->topology), KEEP_MAPPING, m->keep_id, &rec, sizeof(rec));
}

int type1_record_parse(const void *data, size_t size, uint64_t *ret_container,
		       uint64_t *ret_mm, struct ioas_mapping *ret)
{
	const struct mapping_record *rec = data;

	if (size != sizeof(*rec) || rec->first > rec->last || rec->vaddr_invalid > 1 ||
	    rec->lock_exempt > 1 || !rec->prot ||
	    rec->prot & ~(CUSED_PROT_READ | CUSED_PROT_WRITE) ||
	    rec->last - rec->first > UINT64_MAX - rec->vaddr)
		return -EBADMSG;
	*ret_container = rec->container;
	*ret_mm = rec->mm;
	*ret = (struct ioas_mapping){
		.iova = { rec->first, rec->last },
		.vaddr = rec->vaddr,
		.prot = rec->prot,
		.vaddr_invalid = rec->vaddr_invalid,
		.lock_exempt = rec->lock_exempt,
	};
	return 0;
}

/* ---- accounting, 3.1 ---- */

/*
 * T1-045 … T1-048. Hardware pins what it is given, so there the limit is always kept. The
 * counter belongs to a process, which may be charged by several containers at once, hence
 * the loop.
 * Return: 0; -ENOMEM.
 */
static int type1_charge(const struct type1 *t, struct mm *mm, uint64_t pages, bool exempt,
			uint64_t limit)
{
	bool pins = !(type1_backend_flags(t) & CUSED_IOMMU_SIMULATED);
	bool enforced = (pins || topology_params(t->topology)->memlock_enforced) && !exempt &&
			limit != UINT64_MAX;
	uint_fast64_t old = atomic_load(&mm->locked_pages);

	do {
		if (enforced && (pages > limit / TYPE1_PAGE ||
				 old > limit / TYPE1_PAGE - pages))
			return -ENOMEM;
	} while (!atomic_compare_exchange_weak(&mm->locked_pages, &old, old + pages));
	return 0;
}

static void type1_uncharge(struct mm *mm, uint64_t pages)
{
	atomic_fetch_sub(&mm->locked_pages, pages);			/* T1-050 */
}

static uint64_t mapping_pages(const struct ioas_mapping *m)
{
	return range_size(m->iova) / TYPE1_PAGE;
}

int type1_pin(struct type1 *t, const struct ioas_mapping *m, const struct caller *caller)
{
	const struct cused_iommu_ops *backend = t->backend;
	struct cused_iommu_map map = {
		.iova = m->iova, .vaddr = m->vaddr, .prot = m->prot, .memory = m->mm,
		.lender = m->mm == caller->mm ? caller->lender : NULL,
	};
	int r;

	r = type1_charge(t, m->mm, mapping_pages(m), m->lock_exempt,
			 caller->memlock_limit);
	if (r)
		return r;						/* T1-031 */
	r = m->mm->ops->check(m->mm, m->vaddr, range_size(m->iova), m->prot);
	if (r == 0 && backend->map)
		r = backend->map(t->domain, &map);			/* T1-035 */
	if (r)
		type1_uncharge(m->mm, mapping_pages(m));		/* T1-032, T1-034 */
	return r;
}

void type1_unpin(struct type1 *t, const struct ioas_mapping *m)
{
	const struct cused_iommu_ops *backend = t->backend;

	if (backend->unmap)
		backend->unmap(t->domain, m->iova);
	type1_uncharge(m->mm, mapping_pages(m));
}

/* ---- MAP_DMA ---- */

/* T1-022 … T1-025: a mapping whose vaddr was invalidated gets a new one. */
static int map_update(struct container *container, struct type1 *t,
		      const struct caller *caller, uint64_t vaddr, struct cused_range range)
{
	struct mm *old = NULL;
	struct ioas_mapping m;
	int r;

	if (!ioas_find(t->ioas, range, &m))
		return -ENOENT;						/* T1-022 */
	if (!m.vaddr_invalid || m.iova.first != range.first || m.iova.last != range.last)
		return -EINVAL;						/* T1-023 */
	if (m.mm != caller->mm) {
		if (t->n_real > 0) {
			r = type1_charge(t, caller->mm, mapping_pages(&m),
					 caller->cap_ipc_lock, caller->memlock_limit);
			if (r)
				return r;				/* T1-024 */
			old = mm_ref(m.mm);
		}
		m.mm = caller->mm;
		m.lock_exempt = caller->cap_ipc_lock;
	}
	m.vaddr = vaddr;
	m.vaddr_invalid = false;
	ioas_update(t->ioas, &m);					/* T1-025 */
	record_mapping(container, t, &m);
	t->n_invalid--;
	if (old) {
		type1_uncharge(old, mapping_pages(&m));
		mm_unref(old);
	}
	return 0;
}

/* T1-028: inside one valid range. Records of emulated groups may lie anywhere. */
static bool map_valid(const struct type1 *t, struct cused_range range)
{
	for (unsigned i = 0; i < t->layout.n; i++)
		if (range_contains(t->layout.ranges[i], range))
			return true;
	return t->layout.n == 0;
}

/* T1-026 … T1-037. */
static int map_new(struct container *container, struct type1 *t, const struct caller *caller,
		   const struct ioas_mapping *mapping)
{
	bool real = t->n_real > 0;
	struct ioas_mapping m;
	int r;

	if (ioas_find(t->ioas, mapping->iova, &m))
		return -EEXIST;						/* T1-026 */
	if (t->dma_avail == 0)
		return -ENOSPC;						/* T1-027 */
	if (!map_valid(t, mapping->iova))
		return -EINVAL;						/* T1-028 */
	if (real) {							/* else T1-030 */
		r = type1_pin(t, mapping, caller);
		if (r)
			return r;
	}
	if (t->tracking &&
	    range_size(mapping->iova) / type1_pgsize(t) > TYPE1_DIRTY_PAGES_MAX)
		r = -EINVAL;						/* T1-036 */
	else
		r = ioas_map(t->ioas, mapping);				/* T1-029 */
	if (r) {
		if (real)
			type1_unpin(t, mapping);
		return r;
	}
	t->dma_avail--;							/* T1-037 */
	record_mapping(container, t, mapping);
	return 0;
}

static int map_locked(struct container *container, struct type1 *t,
		      const struct caller *caller, uint32_t flags, uint64_t vaddr,
		      uint64_t iova, uint64_t size)
{
	unsigned prot = (flags & VFIO_DMA_MAP_FLAG_READ ? CUSED_PROT_READ : 0) |
			(flags & VFIO_DMA_MAP_FLAG_WRITE ? CUSED_PROT_WRITE : 0);
	bool update = flags & VFIO_DMA_MAP_FLAG_VADDR;
	struct cused_range range, memory;
	int r;

	r = range_from_size(iova, size, &range);			/* T1-017, T1-018 */
	if (r == 0)
		r = range_from_size(vaddr, size, &memory);		/* T1-018 */
	if (r)
		return r;
	if (update == (prot != 0))
		return -EINVAL;						/* T1-019, T1-020 */
	if (!is_aligned(size | iova | vaddr, type1_pgsize(t)))
		return -EINVAL;						/* T1-021 */
	if (update)
		return map_update(container, t, caller, vaddr, range);
	return map_new(container, t, caller, &(struct ioas_mapping){
			.iova = range,
			.vaddr = vaddr,
			.prot = prot,
			.lock_exempt = caller->cap_ipc_lock,		/* T1-047 */
			.mm = caller->mm,				/* T1-041 */
			.keep_id = topology_keep_number(t->topology),
		});
}

int type1_map(struct container *container, const struct caller *caller, uint32_t flags,
	      uint64_t vaddr, uint64_t iova, uint64_t size)
{
	struct type1 *t;
	int r = type1_lock(container, &t);

	if (r)
		return r;
	r = map_locked(container, t, caller, flags, vaddr, iova, size);
	type1_unlock(container);
	return r;
}

/* ---- UNMAP_DMA ---- */

struct unmap {
	struct container *container;
	struct cused_range range;
	bool all, invalidate;
	const struct type1_bitmap *bitmap;
	uint64_t size;			/* bytes done so far */
};

/* Devices lose the range first, then the backend and the owner's account let go. */
static void remove_mapping(struct type1 *t, const struct ioas_mapping *m)
{
	struct mm *mm = mm_ref(m->mm);

	ioas_unmap(t->ioas, m->iova.first);
	keep_drop(topology_keep(t->topology), KEEP_MAPPING, m->keep_id);
	if (t->n_real > 0)
		type1_unpin(t, m);
	if (m->vaddr_invalid)						/* T1-078 */
		t->n_invalid--;
	t->dma_avail++;
	mm_unref(mm);
}

uint64_t type1_unmap_all(struct type1 *t)
{
	struct ioas_mapping m;
	uint64_t size = 0;

	while (ioas_find(t->ioas, (struct cused_range){ 0, UINT64_MAX }, &m)) {
		size += range_size(m.iova);
		remove_mapping(t, &m);
	}
	return size;
}

static void set_invalid(struct type1 *t, const struct unmap *u, struct ioas_mapping *m,
			bool invalid)
{
	m->vaddr_invalid = invalid;
	ioas_update(t->ioas, m);
	record_mapping(u->container, t, m);
	t->n_invalid += invalid ? 1 : (size_t)-1;
}

/* T1-080: take the marks of the range's mappings below @end back. */
static void validate_again(struct type1 *t, const struct unmap *u, uint64_t end)
{
	uint64_t from = u->range.first;
	struct ioas_mapping m;

	while (from < end && ioas_find(t->ioas, (struct cused_range){ from, end - 1 }, &m)) {
		set_invalid(t, u, &m, false);
		from = m.iova.last + 1;
	}
}

static int unmap_one(struct type1 *t, struct unmap *u, struct ioas_mapping *m)
{
	if (u->invalidate) {
		if (m->vaddr_invalid) {
			validate_again(t, u, m->iova.first);
			return -EINVAL;					/* T1-080 */
		}
		set_invalid(t, u, m, true);				/* T1-079 */
	} else {
		/* 4.3: what went before stays gone. */
		int r = u->bitmap ? type1_bitmap_report(t, u->bitmap, u->range.first, m) : 0;

		if (r)
			return r;
		remove_mapping(t, m);
	}
	u->size += range_size(m->iova);
	return 0;
}

/* 4.1. */
static int unmap_range(struct type1 *t, struct unmap *u)
{
	struct cused_range rest = u->range;
	struct ioas_mapping m;

	while (ioas_find(t->ioas, rest, &m)) {
		int r;

		if (!t->v2 && m.iova.first < u->range.first)
			break;						/* T1-073 */
		r = unmap_one(t, u, &m);
		if (r)
			return r;
		if (m.iova.last >= rest.last)
			break;						/* T1-074 */
		rest.first = m.iova.last + 1;
	}
	return 0;
}

/* T1-061 … T1-067, T1-103: which range is meant, and may it be cut there? */
static int unmap_check(struct type1 *t, struct unmap *u, uint64_t iova, uint64_t size)
{
	uint64_t pgsize = type1_pgsize(t);
	struct ioas_mapping m;
	int r;

	if (!is_aligned(iova, pgsize))
		return -EINVAL;						/* T1-061 */
	if (u->all) {
		if (iova || size)
			return -EINVAL;					/* T1-062 */
		u->range = (struct cused_range){ 0, UINT64_MAX };
	} else {
		if (size == 0 || !is_aligned(size, pgsize))
			return -EINVAL;					/* T1-063 */
		r = range_from_size(iova, size, &u->range);
		if (r)
			return r;					/* T1-064 */
	}
	if (u->bitmap && (!t->tracking || u->bitmap->pgsize != pgsize))
		return -EINVAL;						/* T1-065 */
	if (!t->v2 || u->all)
		return 0;
	if (ioas_find(t->ioas, (struct cused_range){ u->range.first, u->range.first }, &m) &&
	    m.iova.first != u->range.first)
		return -EINVAL;						/* T1-066, T1-072 */
	if (ioas_find(t->ioas, (struct cused_range){ u->range.last, u->range.last }, &m) &&
	    m.iova.last != u->range.last)
		return -EINVAL;						/* T1-067, T1-072 */
	return 0;
}

int type1_unmap(struct container *container, const struct caller *caller, uint32_t flags,
		uint64_t iova, uint64_t size, const struct type1_bitmap *bitmap,
		uint64_t *ret_size)
{
	struct unmap u = { .container = container,
			   .all = flags & VFIO_DMA_UNMAP_FLAG_ALL,
			   .invalidate = flags & VFIO_DMA_UNMAP_FLAG_VADDR,
			   .bitmap = bitmap };
	struct keep_batch batch;
	struct type1 *t;
	int r = type1_lock(container, &t);

	if (r)
		return r;
	keep_begin(topology_keep(t->topology), &batch);
	if (bitmap)
		r = type1_bitmap_check(bitmap, size);			/* T1-057, T1-058 */
	if (r == 0 && u.invalidate && t->n_emulated > 0)
		r = -EBUSY;						/* T1-059 */
	if (r == 0)
		r = unmap_check(t, &u, iova, size);
	if (r == 0)
		r = unmap_range(t, &u);
	keep_end(&batch);
	type1_unlock(container);
	if (r == 0)
		*ret_size = u.size;					/* T1-068 */
	return r;
}

/* ---- restore ---- */

int type1_restore_mapping(struct container *container, const struct ioas_mapping *m)
{
	struct ioas_mapping old;
	struct type1 *t;
	int r = type1_lock(container, &t);

	if (r)
		return -ENOENT;
	while (ioas_find(t->ioas, m->iova, &old))
		remove_mapping(t, &old);
	if (t->dma_avail == 0 || !map_valid(t, m->iova) ||
	    !is_aligned(m->iova.first | range_size(m->iova) | m->vaddr, type1_pgsize(t)))
		r = -EBADMSG;
	if (r == 0)
		r = ioas_map(t->ioas, m);
	/* It was pinned before: nobody asks for the limit, or whether the memory is there still. */
	if (r == 0 && t->n_real > 0) {
		type1_charge(t, m->mm, mapping_pages(m), true, UINT64_MAX);
		/* One whose domains outlive the process has it mapped. */
		if (t->backend->map && !CUSED_HAS(t->backend, domain_restore))
			r = t->backend->map(t->domain, &(struct cused_iommu_map){
				.iova = m->iova, .vaddr = m->vaddr, .prot = m->prot,
				.memory = m->mm });
		if (r) {
			type1_uncharge(m->mm, mapping_pages(m));
			ioas_unmap(t->ioas, m->iova.first);
		}
	}
	if (r == 0) {
		t->dma_avail--;
		t->n_invalid += m->vaddr_invalid;
	}
	type1_unlock(container);
	return r;
}
