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
	struct mm *mm;			/* owner, T1-041 */
};

/* Add; takes a reference on mm. Return: 0, -EEXIST overlap, -ENOMEM. */
int ioas_map(struct ioas *ioas, const struct ioas_mapping *mapping);
/* Remove the mapping that starts at @first. Return: 0, -ENOENT. */
int ioas_unmap(struct ioas *ioas, uint64_t first);
/* The lowest mapping that overlaps @range. Return: true and a copy (mm borrowed: valid
 * while the caller keeps others from unmapping). */
bool ioas_find(struct ioas *ioas, struct cused_range range, struct ioas_mapping *ret);
/* T1-025, T1-079: change vaddr, owner or validity of the mapping that starts at first. */
int ioas_update(struct ioas *ioas, const struct ioas_mapping *mapping);
size_t ioas_count(struct ioas *ioas);
uint64_t ioas_mapped_bytes(struct ioas *ioas);
size_t ioas_memory(struct ioas *ioas);	/* bytes of heap in use, for the bench */

/*
 * Batched DMA. All pieces are translated before the first byte moves.
 * @to_client: true: write @v's buffers to client memory (needs PROT_WRITE)
 * Return: 0; -EFAULT with *ret_bad; -E2BIG.  A mapping with an invalid vaddr faults.
 */
int ioas_dma(struct ioas *ioas, const struct cused_dma *v, size_t n, bool to_client,
	     size_t *ret_bad);

#endif
