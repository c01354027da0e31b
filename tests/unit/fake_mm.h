/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/fake_mm.h - a byte array that stands in for a client's address space, counts what
 * is asked of it and fails when told to.
 */
#ifndef UNIT_FAKE_MM_H
#define UNIT_FAKE_MM_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <core/mem.h>
#include <vfio-cused/iommu.h>

struct fake_mm {
	struct mm mm;
	uint64_t base, size;		/* addresses that exist */
	uint8_t *bytes;			/* of them */
	unsigned prot;			/* what may be pinned */
	int check_error;		/* check() answers it, if not 0 */
	bool check_all;			/* check() likes addresses that do not exist, too */
	int copy_error;			/* reads and writes answer it, if not 0 */
	unsigned fail_after;		/* > 0: writes before the copy that fails */
	void *share_base;		/* where share() shows the bytes; NULL: refuses */
	atomic_uint reads, writes, checks, shares, unshares, frees;
	atomic_int shared;		/* maps that live */
	atomic_size_t max_pieces;	/* on either side, in one call */
};

static inline struct fake_mm *fake_mm_of(struct mm *mm)
{
	return (struct fake_mm *)(void *)mm;
}

/* The bytes at a client address. NULL: not all of them exist. */
static inline uint8_t *fake_mm_at(struct fake_mm *f, uint64_t addr, uint64_t len)
{
	if (addr < f->base || addr - f->base > f->size || len > f->size - (addr - f->base))
		return NULL;
	return f->bytes + (addr - f->base);
}

static inline int fake_mm_copy(struct mm *mm, const struct iovec *local, size_t n_local,
			       const struct iovec *remote, size_t n_remote, bool write)
{
	struct fake_mm *f = fake_mm_of(mm);
	size_t l = 0, l_off = 0, most = n_local > n_remote ? n_local : n_remote;

	if (most > f->max_pieces)
		f->max_pieces = most;
	if (most > MM_IOV_MAX)
		abort();
	if (f->copy_error)
		return f->copy_error;
	if (f->fail_after && --f->fail_after == 0)
		return -EFAULT;
	for (size_t r = 0; r < n_remote; r++) {
		uint64_t addr = (uint64_t)(uintptr_t)remote[r].iov_base;
		size_t left = remote[r].iov_len;
		uint8_t *p = fake_mm_at(f, addr, left);

		if (!p)
			return -EFAULT;
		while (left > 0) {
			size_t n = local[l].iov_len - l_off;
			char *q = (char *)local[l].iov_base + l_off;

			if (l == n_local)
				abort();
			if (n > left)
				n = left;
			if (write)
				memcpy(p, q, n);
			else
				memcpy(q, p, n);
			p += n;
			left -= n;
			l_off += n;
			if (l_off == local[l].iov_len) {
				l++;
				l_off = 0;
			}
		}
	}
	if (l != n_local)
		abort();	/* totals must be equal */
	return 0;
}

static inline int fake_mm_read(struct mm *mm, const struct iovec *local, size_t n_local,
			       const struct iovec *remote, size_t n_remote)
{
	fake_mm_of(mm)->reads++;
	return fake_mm_copy(mm, local, n_local, remote, n_remote, false);
}

static inline int fake_mm_write(struct mm *mm, const struct iovec *local, size_t n_local,
				const struct iovec *remote, size_t n_remote)
{
	fake_mm_of(mm)->writes++;
	return fake_mm_copy(mm, local, n_local, remote, n_remote, true);
}

static inline int fake_mm_check(struct mm *mm, uint64_t addr, uint64_t size, unsigned prot)
{
	struct fake_mm *f = fake_mm_of(mm);

	f->checks++;
	if (f->check_error)
		return f->check_error;
	if (f->check_all)
		return 0;
	return fake_mm_at(f, addr, size) && !(prot & ~f->prot) ? 0 : -EFAULT;
}

static inline int fake_mm_share(struct mm *mm, uint64_t addr, uint64_t size, unsigned prot,
				struct mm_share *ret_share)
{
	struct fake_mm *f = fake_mm_of(mm);

	f->shares++;
	if (!f->share_base || !fake_mm_at(f, addr, size))
		return -EOPNOTSUPP;
	f->shared++;
	*ret_share = (struct mm_share){ .base = (char *)f->share_base + (addr - f->base) };
	return 0;
}

static inline void fake_mm_unshare(struct mm *mm, struct mm_share *share, uint64_t size)
{
	fake_mm_of(mm)->unshares++;
	fake_mm_of(mm)->shared--;
}

static inline void fake_mm_free(struct mm *mm)
{
	fake_mm_of(mm)->frees++;
}

static const struct mm_ops fake_mm_ops = {
	.read = fake_mm_read,
	.write = fake_mm_write,
	.check = fake_mm_check,
	.share = fake_mm_share,
	.unshare = fake_mm_unshare,
	.free = fake_mm_free,
};

/* @size bytes at @base, readable and writable. */
static inline void fake_mm_init(struct fake_mm *f, uint64_t base, uint64_t size)
{
	memset(f, 0, sizeof(*f));
	mm_init(&f->mm, &fake_mm_ops);
	f->base = base;
	f->size = size;
	f->bytes = calloc(1, size ? size : 1);
	f->prot = CUSED_PROT_READ | CUSED_PROT_WRITE;
}

/* The test's own reference goes; what the core kept would show in refs. */
static inline unsigned fake_mm_done(struct fake_mm *f)
{
	unsigned refs = f->mm.refs;

	mm_unref(&f->mm);
	free(f->bytes);
	return refs;
}

#endif
