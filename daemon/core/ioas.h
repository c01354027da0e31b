/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/ioas.h - the map of IOVAs of one container: what is mapped where, and the checked
 * translation that every DMA of a simulated device goes through.
 *
 * Look-up is at most 300 ns with 1,000,000 mappings, and a mapping costs at most 96 bytes
 * (tests/bench/ioas).
 *
 * Locks: `rw`, inside. DMA copies hold it for reading, changes hold it for writing, so no
 * copy reaches a range after its unmap returned.
 */
#ifndef CORE_IOAS_H
#define CORE_IOAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vfio-cused/cused.h>
#include <vfio-cused/device.h>
#include <core/mem.h>

struct ioas;

int ioas_new(struct ioas **ret);
void ioas_free(struct ioas *ioas);	/* unmaps everything; NULL is allowed */

struct ioas_mapping {
	struct cused_range iova;
	uint64_t vaddr;
	unsigned prot;			/* enum cused_prot */
	bool vaddr_invalid;		/* T1-079 */
	bool lock_exempt;		/* the caller had CAP_IPC_LOCK */
	bool dirty;			/* out: all of it is, see ioas_dirty_fill() */
	struct mm *mm;			/* owner, T1-041 */
	uint64_t keep_id;		/* of its record; constant. 0: there is none */
};

/* Add; takes a reference on mm. Return: 0, -EEXIST overlap, -EINVAL first > last, -ENOMEM. */
int ioas_map(struct ioas *ioas, const struct ioas_mapping *mapping);
/* Remove the mapping that starts at @first. Return: 0, -ENOENT. */
int ioas_unmap(struct ioas *ioas, uint64_t first);
/* The lowest mapping that overlaps @range. Return: true and a copy (mm borrowed: valid
 * while the caller keeps others from unmapping). */
bool ioas_find(struct ioas *ioas, struct cused_range range, struct ioas_mapping *ret);
/* T1-025, T1-079: change vaddr, owner, exemption or validity of the mapping that starts at
 * iova.first; its end and its rights stay. Return: 0, -ENOENT. */
int ioas_update(struct ioas *ioas, const struct ioas_mapping *mapping);
size_t ioas_count(struct ioas *ioas);
uint64_t ioas_mapped_bytes(struct ioas *ioas);	/* modulo 2^64 */
/* Both numbers without a lock, so without waiting for DMA or changes; each may be of another
 * moment. */
void ioas_totals(struct ioas *ioas, uint64_t *ret_count, uint64_t *ret_bytes);
size_t ioas_memory(struct ioas *ioas);	/* bytes of heap in use, for the bench */

/*
 * Batched DMA. All pieces are translated before the first byte moves.
 * @v: at most CUSED_DMA_BATCH_MAX pieces
 * @to_client: true: write @v's buffers to client memory (needs PROT_WRITE)
 * @ret_bad: NULL is allowed; set on -EFAULT
 * Return: 0; -EFAULT with *ret_bad; -E2BIG.  A mapping with an invalid vaddr faults.
 * Locks: takes `rw` for reading; may sleep as long as the client's memory does.
 */
int ioas_dma(struct ioas *ioas, const struct cused_dma *v, size_t n, bool to_client,
	     size_t *ret_bad);

/*
 * Which pages devices wrote (T1-107). Off at first. Granularity is IOAS_DIRTY_PAGE. When
 * memory is short, pages are reported dirty rather than forgotten.
 */
#define IOAS_DIRTY_PAGE 4096u
void ioas_dirty_log(struct ioas *ioas, bool on);	/* nothing is dirty then */
/* T1-111: every mapping of this moment is dirty as a whole, until cleared. */
void ioas_dirty_fill(struct ioas *ioas);
/*
 * Report and forget the pages of @range that were written, in one step: a DMA is either
 * wholly in this report or in the next.
 * @range: its first is a multiple of IOAS_DIRTY_PAGE
 * @ret_words: a bit per page, bit 0 of word 0 the first; bits past the end are 0. Leaves
 * out what ioas_dirty_fill() did: see ioas_mapping.dirty
 */
void ioas_dirty_take(struct ioas *ioas, struct cused_range range, uint64_t *ret_words);
/* Take back ioas_dirty_fill() for the mappings that overlap @range. */
void ioas_dirty_unfill(struct ioas *ioas, struct cused_range range);

#endif
