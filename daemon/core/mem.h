/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/mem.h - a client's address space, as the core sees it.
 *
 * Client memory is never a pointer. It is a struct mm (whose memory) and an address in
 * it; a transport supplies the functions. Under a unit test or a fuzzer a byte array
 * stands in for the client.
 */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct mm;

/* A piece of a mapping that both sides can reach without a copy through the kernel. */
struct mm_share {
	void *base;		/* our address of the same pages as [addr, addr + size) */
	void *priv;
};

struct mm_ops {
	/*
	 * Copy between our pieces and the client's; pieces need not pair up, the totals
	 * are equal. At most MM_IOV_MAX pieces on either side. All or an error is
	 * what callers want; a short copy is returned as -EFAULT.
	 * Return: 0, -EFAULT (also: the client is gone).  Locks: none taken that a caller
	 * may hold; may sleep as long as the client's memory does.
	 */
	int (*read)(struct mm *mm, const struct iovec *local, size_t n_local,
		    const struct iovec *remote, size_t n_remote);
	int (*write)(struct mm *mm, const struct iovec *local, size_t n_local,
		     const struct iovec *remote, size_t n_remote);

	/*
	 * Could [addr, addr + size) be pinned for DMA with these rights (enum
	 * cused_prot)? Answers from the layout of the address space without touching
	 * pages, so the cost does not grow with @size. T1-032, T1-034.
	 * Return: 0, -EFAULT, -EINTR.
	 */
	int (*check)(struct mm *mm, uint64_t addr, uint64_t size, unsigned prot);

	/*
	 * Map the same pages here, where they belong to a file that can be had
	 * (memfd, hugetlbfs, shared memory). Lasts until unshare().
	 * Return: 0; -EOPNOTSUPP for private memory; other errors likewise mean "copy".
	 * The caller copies with util/guard.h: the client may truncate its file.
	 */
	int (*share)(struct mm *mm, uint64_t addr, uint64_t size, unsigned prot,
		     struct mm_share *ret_share);
	void (*unshare)(struct mm *mm, struct mm_share *share, uint64_t size);

	void (*free)(struct mm *mm);	/* last reference dropped */

	/* Is the process that it belongs to, or did before an exec, there still? Never waits for
	 * its memory. NULL: always. */
	bool (*alive)(struct mm *mm);

	/*
	 * Have it known to the process that takes over from this one (core/restore.h), until it
	 * is freed. Return: mm->keep_id; 0: it cannot be.  Locks: any of the core's may be held.
	 * NULL: mm->keep_id is as it is.
	 */
	uint64_t (*keep)(struct mm *mm);
};

#define MM_IOV_MAX 1024

struct mm {
	const struct mm_ops *ops;
	atomic_uint refs;
	atomic_uint_fast64_t locked_pages;	/* T1-045: pages charged by MAP_DMA */
	uint64_t keep_id;		/* by which the transport knows it after a restart; 0: it
					 * does not; set by mm_keep() */
	atomic_uint share_misses;	/* shares refused in a row: see ioas_dma.c */
};

void mm_init(struct mm *mm, const struct mm_ops *ops);	/* refs = 1 */
struct mm *mm_ref(struct mm *mm);
void mm_unref(struct mm *mm);				/* NULL is allowed */

/* For whoever puts a reference into a record: make sure that the mm outlives the process, too.
 * Clients come and go, so those that nothing lasting refers to are not kept.
 * Return: by what struct restore_ops will find it; 0: not at all.  Locks: as mm_ops.keep. */
static inline uint64_t mm_keep(struct mm *mm)
{
	return mm->ops->keep ? mm->ops->keep(mm) : mm->keep_id;
}

/* One range of one client's memory, handed down by proto for large copies. */
struct mem {
	struct mm *mm;
	uint64_t addr;
	uint64_t size;
};

/* Copy @len bytes at offset @off of @mem. Return: 0, -EFAULT (also off + len > size). */
int mem_read(const struct mem *mem, uint64_t off, void *buf, size_t len);
int mem_write(const struct mem *mem, uint64_t off, const void *buf, size_t len);

/* One past the last address that a process may own (T1-057, T1-097); x86-64. */
#define MEM_TASK_SIZE 0x7ffffffff000ull

#endif
