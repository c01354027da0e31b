/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 *   ioas.c holds the lock and the changes, ioas_tree.c the ordered set, ioas_dma.c the
 *   copies and the shared maps, ioas_dirty.c the pages that devices wrote.
 *
 *   DMA copies hold `rw` for reading all the way, so once an unmap has had it for
 *   writing, nobody reads or writes the range any more. The lock prefers writers: a
 *   device that polls without a pause must not keep an unmap out. Nothing that can take
 *   long runs with the lock held for writing; a shared map is dropped afterwards.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include <core/ioas_internal.h>
#include <util/range.h>

static int ioas_lock_init(pthread_rwlock_t *rw)
{
	pthread_rwlockattr_t attr;
	int r;

	r = pthread_rwlockattr_init(&attr);
	if (r)
		return -r;
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	r = pthread_rwlock_init(rw, &attr);
	pthread_rwlockattr_destroy(&attr);
	return -r;
}

int ioas_new(struct ioas **ret)
{
	struct ioas *ioas = calloc(1, sizeof(*ioas));
	int r;

	if (!ioas)
		return -ENOMEM;
	r = ioas_lock_init(&ioas->rw);
	if (r) {
		free(ioas);
		return r;
	}
	pthread_mutex_init(&ioas->share_lock, NULL);
	ioas_dirty_init(&ioas->dirty);
	*ret = ioas;
	return 0;
}

void ioas_free(struct ioas *ioas)
{
	struct ioas_pos pos;

	if (!ioas)
		return;
	if (ioas_tree_seek(&ioas->tree, (struct cused_range){ 0, UINT64_MAX }, &pos)) {
		do {
			struct ioas_value *v = &pos.leaf->value[pos.i];

			ioas_owner_drop(ioas, v->owner, v->last - pos.leaf->first[pos.i] + 1);
		} while (ioas_tree_next(&pos));
	}
	ioas_tree_clear(&ioas->tree);
	ioas_dirty_done(&ioas->dirty);
	pthread_mutex_destroy(&ioas->share_lock);
	pthread_rwlock_destroy(&ioas->rw);
	free(ioas);
}

static uint8_t ioas_flags_of(const struct ioas_mapping *m)
{
	return (uint8_t)((m->prot & IOAS_PROT_MASK) |
			 (m->vaddr_invalid ? IOAS_VADDR_INVALID : 0) |
			 (m->lock_exempt ? IOAS_LOCK_EXEMPT : 0));
}

/* Publish what a change made of the totals. @bytes: more than before, modulo 2^64.
 * Locks: `rw` held for writing, so that plain loads and stores do. */
static void totals_change(struct ioas *ioas, uint64_t bytes)
{
	uint64_t before = atomic_load_explicit(&ioas->mapped_bytes, memory_order_relaxed);

	atomic_store_explicit(&ioas->mapped_bytes, before + bytes, memory_order_relaxed);
	atomic_store_explicit(&ioas->count, ioas->tree.count, memory_order_relaxed);
}

void ioas_totals(struct ioas *ioas, uint64_t *ret_count, uint64_t *ret_bytes)
{
	*ret_count = atomic_load_explicit(&ioas->count, memory_order_relaxed);
	*ret_bytes = atomic_load_explicit(&ioas->mapped_bytes, memory_order_relaxed);
}

int ioas_map(struct ioas *ioas, const struct ioas_mapping *m)
{
	struct ioas_value value = { m->iova.last, m->vaddr, ioas_owner(m->mm) };
	struct ioas_pos pos;
	int r;

	if (m->iova.first > m->iova.last)
		return -EINVAL;
	pthread_rwlock_wrlock(&ioas->rw);
	if (ioas_tree_seek(&ioas->tree, m->iova, &pos))
		r = -EEXIST;
	else
		r = ioas_tree_insert(&ioas->tree, m->iova.first, &value, ioas_flags_of(m),
				     m->keep_id);
	if (r == 0) {
		mm_ref(m->mm);
		totals_change(ioas, range_size(m->iova));
	}
	pthread_rwlock_unlock(&ioas->rw);
	return r;
}

/* The mapping that starts at @first. Locks: `rw` held. */
static bool ioas_at(struct ioas *ioas, uint64_t first, struct ioas_pos *ret)
{
	return ioas_tree_seek(&ioas->tree, (struct cused_range){ first, first }, ret) &&
	       ret->leaf->first[ret->i] == first;
}

int ioas_unmap(struct ioas *ioas, uint64_t first)
{
	struct cused_range range = { first, first };
	struct ioas_pos pos;
	uintptr_t owner = 0;
	bool found;

	pthread_rwlock_wrlock(&ioas->rw);
	found = ioas_at(ioas, first, &pos);
	if (found) {
		range.last = pos.leaf->value[pos.i].last;
		owner = pos.leaf->value[pos.i].owner;
		ioas_tree_remove(&ioas->tree, first);
		totals_change(ioas, -range_size(range));
		ioas_dirty_forget(&ioas->dirty, range);
	}
	pthread_rwlock_unlock(&ioas->rw);
	if (!found)
		return -ENOENT;
	ioas_owner_drop(ioas, owner, range_size(range));
	return 0;
}

bool ioas_find(struct ioas *ioas, struct cused_range range, struct ioas_mapping *ret)
{
	struct ioas_pos pos;
	bool found;

	pthread_rwlock_rdlock(&ioas->rw);
	found = ioas_tree_seek(&ioas->tree, range, &pos);
	if (found) {
		const struct ioas_value *v = &pos.leaf->value[pos.i];
		unsigned flags = pos.leaf->flags[pos.i];

		*ret = (struct ioas_mapping){
			.iova = { pos.leaf->first[pos.i], v->last },
			.vaddr = v->vaddr,
			.prot = flags & IOAS_PROT_MASK,
			.vaddr_invalid = flags & IOAS_VADDR_INVALID,
			.lock_exempt = flags & IOAS_LOCK_EXEMPT,
			.dirty = flags & IOAS_DIRTY,
			.mm = ioas_owner_mm(__atomic_load_n(&v->owner, __ATOMIC_ACQUIRE)),
			.keep_id = pos.leaf->keep_id[pos.i],
		};
	}
	pthread_rwlock_unlock(&ioas->rw);
	return found;
}

int ioas_update(struct ioas *ioas, const struct ioas_mapping *m)
{
	struct cused_range range = m->iova;
	struct ioas_pos pos;
	uintptr_t old = 0;
	bool found;

	mm_ref(m->mm);
	pthread_rwlock_wrlock(&ioas->rw);
	found = ioas_at(ioas, m->iova.first, &pos);
	if (found) {
		struct ioas_value *v = &pos.leaf->value[pos.i];
		unsigned keep = IOAS_PROT_MASK | IOAS_DIRTY;

		range.last = v->last;
		old = v->owner;
		v->vaddr = m->vaddr;
		/* A new owner word also forgets the shared map, which shows old pages. */
		v->owner = ioas_owner(m->mm);
		pos.leaf->flags[pos.i] = (uint8_t)((pos.leaf->flags[pos.i] & keep) |
						   (ioas_flags_of(m) & ~keep));
	}
	pthread_rwlock_unlock(&ioas->rw);
	if (!found) {
		mm_unref(m->mm);
		return -ENOENT;
	}
	ioas_owner_drop(ioas, old, range_size(range));
	return 0;
}

size_t ioas_count(struct ioas *ioas)
{
	size_t n;

	pthread_rwlock_rdlock(&ioas->rw);
	n = ioas->tree.count;
	pthread_rwlock_unlock(&ioas->rw);
	return n;
}

uint64_t ioas_mapped_bytes(struct ioas *ioas)
{
	return atomic_load_explicit(&ioas->mapped_bytes, memory_order_relaxed);
}

size_t ioas_memory(struct ioas *ioas)
{
	size_t n;

	pthread_rwlock_rdlock(&ioas->rw);
	n = malloc_usable_size(ioas) + sizeof(size_t) + ioas->tree.bytes +
	    ioas_dirty_memory(&ioas->dirty) +
	    __atomic_load_n(&ioas->share_bytes, __ATOMIC_RELAXED);
	pthread_rwlock_unlock(&ioas->rw);
	return n;
}

void ioas_dirty_fill(struct ioas *ioas)
{
	struct ioas_pos pos;

	pthread_rwlock_wrlock(&ioas->rw);
	if (ioas_tree_seek(&ioas->tree, (struct cused_range){ 0, UINT64_MAX }, &pos)) {
		do {
			pos.leaf->flags[pos.i] |= IOAS_DIRTY;
		} while (ioas_tree_next(&pos));
	}
	pthread_rwlock_unlock(&ioas->rw);
}

/* Locks: `rw` held for writing. */
static void ioas_clear_flags(struct ioas *ioas, struct cused_range range)
{
	struct ioas_pos pos;

	if (!ioas_tree_seek(&ioas->tree, range, &pos))
		return;
	do {
		if (pos.leaf->first[pos.i] > range.last)
			return;
		pos.leaf->flags[pos.i] &= (uint8_t)~IOAS_DIRTY;
	} while (ioas_tree_next(&pos));
}

void ioas_dirty_log(struct ioas *ioas, bool on)
{
	struct cused_range everything = { 0, UINT64_MAX };

	pthread_rwlock_wrlock(&ioas->rw);
	ioas_clear_flags(ioas, everything);
	ioas_dirty_forget(&ioas->dirty, everything);
	ioas->dirty.on = on;
	pthread_rwlock_unlock(&ioas->rw);
}

void ioas_dirty_unfill(struct ioas *ioas, struct cused_range range)
{
	pthread_rwlock_wrlock(&ioas->rw);
	ioas_clear_flags(ioas, range);
	pthread_rwlock_unlock(&ioas->rw);
}

void ioas_dirty_take(struct ioas *ioas, struct cused_range range, uint64_t *ret_words)
{
	pthread_rwlock_wrlock(&ioas->rw);
	ioas_dirty_bits(&ioas->dirty, range, ret_words);
	if (!ioas->dirty.all)
		ioas_dirty_forget(&ioas->dirty, range);
	pthread_rwlock_unlock(&ioas->rw);
}
