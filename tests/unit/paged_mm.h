/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/paged_mm.h - a client's address space made of a byte array.
 *
 * Pages have rights that tests change; everything outside the array faults. Copies move
 * the bytes up to the fault, as the kernel's do.
 */
#ifndef UNIT_PAGED_MM_H
#define UNIT_PAGED_MM_H

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <core/mem.h>
#include <util/list.h>
#include <util/range.h>

#define PAGED_MM_PAGE 4096u
#define PAGED_MM_BASE 0x10000000ull	/* address of the first byte of every paged_mm */

struct paged_mm {
	struct mm mm;
	uint64_t base, size;
	uint8_t *bytes;
	uint8_t *rights;		/* per page: enum cused_prot */
	bool shareable;			/* mm_ops.share works */
	int check_error;		/* mm_ops.check answers it, if not 0 */
	atomic_bool gone;		/* the process died: all copies fault */
	atomic_uint shares;		/* made and not undone */
	atomic_bool freed;		/* the last reference was dropped */
};

/* Our address of [addr, addr + len), NULL if some byte lacks @right. */
static inline uint8_t *paged_mm_at(struct paged_mm *m, uint64_t addr, uint64_t len,
				  unsigned right)
{
	if (addr < m->base || !span_fits(addr - m->base, len, m->size))
		return NULL;
	for (uint64_t at = (addr - m->base) / PAGED_MM_PAGE;
	     len && at <= (addr - m->base + len - 1) / PAGED_MM_PAGE; at++) {
		if ((m->rights[at] & right) != right)
			return NULL;
	}
	return m->bytes + (addr - m->base);
}

/* How many of @len bytes at @addr can be reached, up to the end of a page. */
static inline uint64_t paged_mm_reach(struct paged_mm *m, uint64_t addr, uint64_t len,
				     unsigned right)
{
	uint64_t done = 0;

	while (done < len) {
		uint64_t step = PAGED_MM_PAGE - (addr + done) % PAGED_MM_PAGE;

		if (step > len - done)
			step = len - done;
		if (!paged_mm_at(m, addr + done, step, right))
			break;
		done += step;
	}
	return done;
}

static inline int paged_mm_copy(struct mm *mm, const struct iovec *local, size_t n_local,
			       const struct iovec *remote, size_t n_remote, bool to_client)
{
	struct paged_mm *m = container_of(mm, struct paged_mm, mm);
	size_t i = 0, i_off = 0;

	if (atomic_load(&m->gone))
		return -EFAULT;
	for (size_t j = 0; j < n_remote; j++) {
		uint64_t addr = (uintptr_t)remote[j].iov_base;
		size_t left = remote[j].iov_len;

		while (left) {
			size_t step = i < n_local ? local[i].iov_len - i_off : 0;
			uint8_t *ours, *theirs;

			if (i >= n_local)
				return -EFAULT;
			if (!step) {
				i++;
				i_off = 0;
				continue;
			}
			if (step > left)
				step = left;
			if (step > PAGED_MM_PAGE - addr % PAGED_MM_PAGE)
				step = PAGED_MM_PAGE - addr % PAGED_MM_PAGE;
			theirs = paged_mm_at(m, addr, step, to_client ? 2 : 1);
			if (!theirs)
				return -EFAULT;
			ours = (uint8_t *)local[i].iov_base + i_off;
			memcpy(to_client ? theirs : ours, to_client ? ours : theirs, step);
			addr += step;
			left -= step;
			i_off += step;
		}
	}
	return 0;
}

static inline int paged_mm_read(struct mm *mm, const struct iovec *local, size_t n_local,
			       const struct iovec *remote, size_t n_remote)
{
	return paged_mm_copy(mm, local, n_local, remote, n_remote, false);
}

static inline int paged_mm_write(struct mm *mm, const struct iovec *local, size_t n_local,
				const struct iovec *remote, size_t n_remote)
{
	return paged_mm_copy(mm, local, n_local, remote, n_remote, true);
}

static inline int paged_mm_check(struct mm *mm, uint64_t addr, uint64_t size, unsigned prot)
{
	struct paged_mm *m = container_of(mm, struct paged_mm, mm);

	if (m->check_error)
		return m->check_error;
	return atomic_load(&m->gone) || !paged_mm_at(m, addr, size, prot) ? -EFAULT : 0;
}

static inline int paged_mm_share(struct mm *mm, uint64_t addr, uint64_t size, unsigned prot,
				struct mm_share *ret_share)
{
	struct paged_mm *m = container_of(mm, struct paged_mm, mm);
	uint8_t *base = paged_mm_at(m, addr, size, prot);

	if (!m->shareable || !base || atomic_load(&m->gone))
		return -EOPNOTSUPP;
	atomic_fetch_add(&m->shares, 1);
	*ret_share = (struct mm_share){ .base = base };
	return 0;
}

static inline void paged_mm_unshare(struct mm *mm, struct mm_share *share, uint64_t size)
{
	atomic_fetch_sub(&container_of(mm, struct paged_mm, mm)->shares, 1);
}

static inline void paged_mm_free(struct mm *mm)
{
	atomic_store(&container_of(mm, struct paged_mm, mm)->freed, true);
}

static const struct mm_ops paged_mm_ops = {
	.read = paged_mm_read,
	.write = paged_mm_write,
	.check = paged_mm_check,
	.share = paged_mm_share,
	.unshare = paged_mm_unshare,
	.free = paged_mm_free,
};

/* @pages zeroed pages at PAGED_MM_BASE, all readable and writable. */
static inline void paged_mm_init(struct paged_mm *m, unsigned pages)
{
	memset(m, 0, sizeof(*m));
	mm_init(&m->mm, &paged_mm_ops);
	m->base = PAGED_MM_BASE;
	m->size = (uint64_t)pages * PAGED_MM_PAGE;
	m->bytes = calloc(pages, PAGED_MM_PAGE);
	m->rights = malloc(pages);
	if (!m->bytes || !m->rights)
		abort();
	memset(m->rights, 3, pages);
}

static inline void paged_mm_free_bytes(struct paged_mm *m)
{
	free(m->bytes);
	free(m->rights);
}

/* Drops the reference of paged_mm_init(). Return: true if it was the last one; otherwise
 * the bytes stay, for paged_mm_free_bytes() later. */
static inline bool paged_mm_done(struct paged_mm *m)
{
	bool last;

	mm_unref(&m->mm);
	last = atomic_load(&m->freed);
	if (last)
		paged_mm_free_bytes(m);
	return last;
}

/* Whole pages from @addr on. @right: 0 … 3, enum cused_prot. */
static inline void paged_mm_protect(struct paged_mm *m, uint64_t addr, unsigned pages,
				   unsigned right)
{
	memset(m->rights + (addr - m->base) / PAGED_MM_PAGE, (int)right, pages);
}

#endif
