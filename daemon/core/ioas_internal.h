/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core/ioas_internal.h - the inside of an ioas, for its own three files alone. */
#ifndef CORE_IOAS_INTERNAL_H
#define CORE_IOAS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <vfio-cused/iommu.h>
#include <core/ioas.h>
#include <core/ioas_tree.h>

/* Flags of one mapping in the tree; prot is the low two bits. */
enum ioas_flags {
	IOAS_PROT_MASK     = CUSED_PROT_READ | CUSED_PROT_WRITE,
	IOAS_VADDR_INVALID = 1 << 2,
	IOAS_LOCK_EXEMPT   = 1 << 3,
	IOAS_DIRTY         = 1 << 4,
};

#define IOAS_CHUNK_WORDS 512u		/* of one piece of the dirty log: 32768 pages */
#define IOAS_DIRTY_BUCKETS 256u

struct ioas_chunk {
	struct ioas_chunk *next;
	uint64_t index;			/* iova / bytes that a chunk stands for */
	uint64_t words[IOAS_CHUNK_WORDS];
};

/* Pages written while the log is on. `lock` guards all but `on`, which changes under the
 * ioas lock held for writing. */
struct ioas_dirty {
	bool on;
	bool all;			/* a page could not be noted: report every one */
	pthread_mutex_t lock;
	size_t n_chunks;
	struct ioas_chunk *buckets[IOAS_DIRTY_BUCKETS];
};

struct ioas {
	pthread_rwlock_t rw;		/* prefers writers */
	struct ioas_tree tree;		/* rw; owner words: see ioas_dma.c */
	/* rw to change, atomic to read; the count is the tree's. */
	atomic_uint_fast64_t count, mapped_bytes;
	pthread_mutex_t share_lock;	/* one attempt to share at a time; inside rw */
	size_t share_bytes;		/* atomic; heap of shared maps */
	struct ioas_dirty dirty;
};

/* ---- ioas_dma.c: the owner word of a mapping ---- */

uintptr_t ioas_owner(struct mm *mm);			/* takes over the reference */
struct mm *ioas_owner_mm(uintptr_t owner);
/* Drop the shared map, if there is one, and the reference on the mm. @size: bytes of the
 * mapping. Locks: none; no DMA may reach the owner any more. */
void ioas_owner_drop(struct ioas *ioas, uintptr_t owner, uint64_t size);

/* ---- ioas_dirty.c ---- */

void ioas_dirty_init(struct ioas_dirty *dirty);
void ioas_dirty_done(struct ioas_dirty *dirty);
/* Note a write. Locks: called with the ioas lock held for reading. */
void ioas_dirty_mark(struct ioas_dirty *dirty, struct cused_range range);
/* Forget what is noted of a range; of all IOVAs: also that something could not be noted. */
void ioas_dirty_forget(struct ioas_dirty *dirty, struct cused_range range);
/* Locks: called with the ioas lock held for writing. */
void ioas_dirty_bits(struct ioas_dirty *dirty, struct cused_range range,
		     uint64_t *ret_words);
size_t ioas_dirty_memory(struct ioas_dirty *dirty);

#endif
