/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 *   A batch is walked once to translate and check every piece; the segments found are
 *   noted in a plan as long as they fit. They nearly always do, and then the plan is
 *   carried out with one copy call. If not, the batch is walked a second time and the
 *   plan is carried out whenever it is full. Neighbouring segments are joined on either
 *   side separately: a ring of descriptors that lies in one piece there and one piece
 *   here is one vector each.
 *
 *   The owner word of a mapping says whose memory it is and whether we reach it without
 *   a copy through the kernel:
 *
 *       mm            not tried yet
 *       mm | PRIVATE  tried; copy
 *       share | SHARED
 *
 *   The first DMA to a mapping tries; the outcome is published with a release store and
 *   stays until the mapping goes or changes. Only mappings with a shared map pay for one.
 *   A client whose memory is private would pay for a try with each new mapping, so after
 *   SHARE_MISSES_MAX failures in a row only every SHARE_RETRY-th mapping is tried.
 */
#include <errno.h>
#include <malloc.h>
#include <assert.h>
#include <stdlib.h>

#include <core/ioas_internal.h>
#include <util/guard.h>
#include <util/range.h>

#define OWNER_SHARED 1u
#define OWNER_PRIVATE 2u
#define OWNER_TAGS (OWNER_SHARED | OWNER_PRIVATE)

#define SHARE_MISSES_MAX 16u
#define SHARE_RETRY 64u

/* process_vm_readv() and its like move less than 2 GiB in one call. */
#define DMA_CALL_MAX (1ull << 30)

static_assert(_Alignof(struct mm) > OWNER_TAGS, "tags must fit below a pointer");

struct ioas_share {
	struct mm *mm;
	struct mm_share share;
};

uintptr_t ioas_owner(struct mm *mm)
{
	return (uintptr_t)mm;
}

static struct ioas_share *owner_share(uintptr_t owner)
{
	return owner & OWNER_SHARED ? (void *)(owner & ~(uintptr_t)OWNER_TAGS) : NULL;
}

struct mm *ioas_owner_mm(uintptr_t owner)
{
	struct ioas_share *s = owner_share(owner);

	return s ? s->mm : (struct mm *)(owner & ~(uintptr_t)OWNER_TAGS);
}

void ioas_owner_drop(struct ioas *ioas, uintptr_t owner, uint64_t size)
{
	struct ioas_share *s = owner_share(owner);
	struct mm *mm = ioas_owner_mm(owner);

	if (s) {
		mm->ops->unshare(mm, &s->share, size);
		__atomic_fetch_sub(&ioas->share_bytes,
				   malloc_usable_size(s) + sizeof(size_t), __ATOMIC_RELAXED);
		free(s);
	}
	mm_unref(mm);
}

/* Locks: share_lock held. Return: the new owner word. */
static uintptr_t share_try(struct ioas *ioas, struct mm *mm, const struct ioas_value *v,
			   uint64_t first, unsigned prot)
{
	unsigned misses = atomic_load_explicit(&mm->share_misses, memory_order_relaxed);
	struct ioas_share *s = NULL;

	if (misses < SHARE_MISSES_MAX || misses % SHARE_RETRY == 0)
		s = malloc(sizeof(*s));
	if (s && mm->ops->share(mm, v->vaddr, v->last - first + 1, prot, &s->share) == 0) {
		s->mm = mm;
		__atomic_fetch_add(&ioas->share_bytes,
				   malloc_usable_size(s) + sizeof(size_t), __ATOMIC_RELAXED);
		atomic_store_explicit(&mm->share_misses, 0, memory_order_relaxed);
		return (uintptr_t)s | OWNER_SHARED;
	}
	free(s);
	atomic_fetch_add_explicit(&mm->share_misses, 1, memory_order_relaxed);
	return (uintptr_t)mm | OWNER_PRIVATE;
}

/* The owner word of a mapping, after a try to share it if that is still to come.
 * Locks: the ioas lock held for reading. */
static uintptr_t dma_owner(struct ioas *ioas, struct ioas_pos pos)
{
	struct ioas_value *v = &pos.leaf->value[pos.i];
	uintptr_t owner = __atomic_load_n(&v->owner, __ATOMIC_ACQUIRE);

	if (owner & OWNER_TAGS || !((struct mm *)owner)->ops->share)
		return owner;
	pthread_mutex_lock(&ioas->share_lock);
	owner = __atomic_load_n(&v->owner, __ATOMIC_RELAXED);
	if (!(owner & OWNER_TAGS)) {
		owner = share_try(ioas, (struct mm *)owner, v, pos.leaf->first[pos.i],
				  pos.leaf->flags[pos.i] & IOAS_PROT_MASK);
		__atomic_store_n(&v->owner, owner, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&ioas->share_lock);
	return owner;
}

/* A part of a piece that lies in one mapping. */
struct dma_segment {
	void *local;
	uint64_t vaddr;
	char *shared;		/* our address of the same bytes, or NULL */
	size_t len;
	struct mm *mm;
};

/*
 * Copies to be made, all of one mm. Vectors for the mm grow from the front of the arrays;
 * pairs to be copied through shared maps grow from the back.
 */
struct dma_plan {
	bool to_client;
	bool started;		/* false: only check; see dma_walk() */
	bool full;		/* a segment did not fit while only checking */
	struct mm *mm;
	uint64_t bytes;		/* of the vectors */
	size_t n_local, n_remote, n_shared;
	struct iovec local[MM_IOV_MAX], remote[MM_IOV_MAX];
};

static void plan_reset(struct dma_plan *plan)
{
	plan->mm = NULL;
	plan->bytes = 0;
	plan->n_local = plan->n_remote = plan->n_shared = 0;
}

/* Append to vectors, joining with the last one where it touches. */
static size_t vector_add(struct iovec *v, size_t n, void *base, size_t len)
{
	if (n > 0 && (char *)v[n - 1].iov_base + v[n - 1].iov_len == (char *)base) {
		v[n - 1].iov_len += len;
		return n;
	}
	v[n] = (struct iovec){ base, len };
	return n + 1;
}

/* Return: did it fit? */
static bool plan_add(struct dma_plan *plan, const struct dma_segment *seg)
{
	size_t front = plan->n_local > plan->n_remote ? plan->n_local : plan->n_remote;

	if (front + plan->n_shared >= MM_IOV_MAX)
		return false;
	if (seg->shared) {
		size_t i = MM_IOV_MAX - ++plan->n_shared;

		plan->local[i] = (struct iovec){ seg->local, seg->len };
		plan->remote[i] = (struct iovec){ seg->shared, seg->len };
		return true;
	}
	if ((plan->mm && plan->mm != seg->mm) || seg->len > DMA_CALL_MAX - plan->bytes)
		return false;
	plan->mm = seg->mm;
	plan->bytes += seg->len;
	plan->n_local = vector_add(plan->local, plan->n_local, seg->local, seg->len);
	plan->n_remote = vector_add(plan->remote, plan->n_remote,
				    (void *)(uintptr_t)seg->vaddr, seg->len);
	return true;
}

/* Carry the plan out and empty it. Return: 0, -EFAULT. */
static int plan_run(struct dma_plan *plan)
{
	int r = 0;

	for (size_t i = MM_IOV_MAX; i-- > MM_IOV_MAX - plan->n_shared && r == 0;) {
		void *ours = plan->local[i].iov_base, *theirs = plan->remote[i].iov_base;

		r = plan->to_client ? guard_copy(theirs, ours, plan->local[i].iov_len) :
				      guard_copy(ours, theirs, plan->local[i].iov_len);
	}
	if (r == 0 && plan->n_local > 0) {
		const struct mm_ops *ops = plan->mm->ops;

		r = (plan->to_client ? ops->write : ops->read)(plan->mm, plan->local,
							       plan->n_local, plan->remote,
							       plan->n_remote);
	}
	plan_reset(plan);
	return r ? -EFAULT : 0;
}

/* While checking, a segment that does not fit is remembered as such; later on it makes
 * room for itself. */
static int plan_take(struct dma_plan *plan, const struct dma_segment *seg)
{
	int r = 0;

	if (!plan->full && !plan_add(plan, seg)) {
		if (plan->started) {
			r = plan_run(plan);
			plan_add(plan, seg);	/* an empty plan takes any segment */
		} else {
			plan->full = true;
		}
	}
	return r;
}

/* Translate one piece. Return: 0; -EFAULT no mapping, no right, or a copy failed. */
static int dma_piece(struct ioas *ioas, const struct cused_dma *piece, struct dma_plan *plan)
{
	unsigned need = plan->to_client ? CUSED_PROT_WRITE : CUSED_PROT_READ;
	struct cused_range range;
	struct ioas_pos pos;
	uint64_t at, end;
	int r;

	if (piece->len == 0)
		return 0;
	if (range_from_size(piece->iova, piece->len, &range) != 0 ||
	    !ioas_tree_seek(&ioas->tree, (struct cused_range){ range.first, range.first },
			    &pos))
		return -EFAULT;
	for (at = range.first;; at = end + 1) {
		const struct ioas_value *v = &pos.leaf->value[pos.i];
		uint64_t first = pos.leaf->first[pos.i], off = at - first;
		unsigned flags = pos.leaf->flags[pos.i];
		struct ioas_share *share;
		struct dma_segment seg;
		uintptr_t owner;

		if (first > at || !(flags & need) || flags & IOAS_VADDR_INVALID)
			return -EFAULT;
		end = v->last < range.last ? v->last : range.last;
		if (end - at >= DMA_CALL_MAX)
			end = at + DMA_CALL_MAX - 1;
		owner = dma_owner(ioas, pos);
		share = owner_share(owner);
		seg = (struct dma_segment){
			.local = (char *)piece->buf + (at - range.first),
			.vaddr = v->vaddr + off,
			.shared = share ? (char *)share->share.base + off : NULL,
			.len = end - at + 1,
			.mm = ioas_owner_mm(owner),
		};
		r = plan_take(plan, &seg);
		if (r)
			return r;
		if (end == range.last)
			return 0;
		if (end == v->last && !ioas_tree_next(&pos))
			return -EFAULT;
	}
}

static int dma_walk(struct ioas *ioas, const struct cused_dma *v, size_t n,
		    struct dma_plan *plan, size_t *ret_bad)
{
	for (size_t i = 0; i < n; i++) {
		int r = dma_piece(ioas, &v[i], plan);

		if (r) {
			*ret_bad = i;
			return r;
		}
	}
	return 0;
}

/* A copy of several pieces failed: which was it? Copying again does no harm. */
static int dma_blame(struct ioas *ioas, const struct cused_dma *v, size_t n,
		     struct dma_plan *plan, size_t *ret_bad)
{
	plan->started = true;
	plan->full = false;
	for (size_t i = 0; i < n; i++) {
		int r;

		plan_reset(plan);
		r = dma_piece(ioas, &v[i], plan);
		if (r == 0)
			r = plan_run(plan);
		if (r) {
			*ret_bad = i;
			return r;
		}
	}
	return 0;
}

/* The pieces have been checked and, as far as they fit, planned. */
static int dma_copy(struct ioas *ioas, const struct cused_dma *v, size_t n,
		    struct dma_plan *plan, size_t *ret_bad)
{
	int r = 0;

	if (plan->full) {
		plan_reset(plan);
		plan->started = true;
		plan->full = false;
		r = dma_walk(ioas, v, n, plan, ret_bad);
	}
	if (r == 0)
		r = plan_run(plan);
	return r ? dma_blame(ioas, v, n, plan, ret_bad) : 0;
}

static void dma_mark(struct ioas *ioas, const struct cused_dma *v, size_t n)
{
	struct cused_range range;

	for (size_t i = 0; i < n; i++)
		if (range_from_size(v[i].iova, v[i].len, &range) == 0)
			ioas_dirty_mark(&ioas->dirty, range);
}

int ioas_dma(struct ioas *ioas, const struct cused_dma *v, size_t n, bool to_client,
	     size_t *ret_bad)
{
	struct dma_plan plan;
	size_t bad = 0;
	int r;

	if (n > CUSED_DMA_BATCH_MAX)
		return -E2BIG;
	plan.to_client = to_client;
	plan.started = plan.full = false;
	plan_reset(&plan);

	pthread_rwlock_rdlock(&ioas->rw);
	r = dma_walk(ioas, v, n, &plan, &bad);
	if (r == 0) {
		r = dma_copy(ioas, v, n, &plan, &bad);
		/* Also after a failure: some of it may have been written. */
		if (to_client && ioas->dirty.on)
			dma_mark(ioas, v, n);
	}
	pthread_rwlock_unlock(&ioas->rw);
	if (r && ret_bad)
		*ret_bad = bad;
	return r;
}
