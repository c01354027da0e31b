/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include <core/mem.h>
#include <util/range.h>

void mm_init(struct mm *mm, const struct mm_ops *ops)
{
	mm->ops = ops;
	atomic_init(&mm->refs, 1);
	atomic_init(&mm->locked_pages, 0);
	atomic_init(&mm->share_misses, 0);
	mm->keep_id = 0;
}

struct mm *mm_ref(struct mm *mm)
{
	atomic_fetch_add_explicit(&mm->refs, 1, memory_order_relaxed);
	return mm;
}

void mm_unref(struct mm *mm)
{
	if (!mm)
		return;
	/* acq_rel: what other threads did with the mm happens before its free(). */
	if (atomic_fetch_sub_explicit(&mm->refs, 1, memory_order_acq_rel) == 1 &&
	    mm->ops->free)
		mm->ops->free(mm);
}

/* The client address of @off, if all of the copy lies in @mem and does not wrap. */
static int mem_locate(const struct mem *mem, uint64_t off, size_t len, uint64_t *ret_addr)
{
	struct cused_range r;

	if (!span_fits(off, len, mem->size) || mem->addr > UINT64_MAX - off ||
	    range_from_size(mem->addr + off, len, &r) != 0)
		return -EFAULT;
	*ret_addr = r.first;
	return 0;
}

int mem_read(const struct mem *mem, uint64_t off, void *buf, size_t len)
{
	uint64_t addr;

	if (len == 0)
		return span_fits(off, 0, mem->size) ? 0 : -EFAULT;
	if (mem_locate(mem, off, len, &addr) != 0)
		return -EFAULT;
	return mem->mm->ops->read(mem->mm,
				  &(struct iovec){ buf, len }, 1,
				  &(struct iovec){ (void *)(uintptr_t)addr, len }, 1);
}

int mem_write(const struct mem *mem, uint64_t off, const void *buf, size_t len)
{
	uint64_t addr;

	if (len == 0)
		return span_fits(off, 0, mem->size) ? 0 : -EFAULT;
	if (mem_locate(mem, off, len, &addr) != 0)
		return -EFAULT;
	return mem->mm->ops->write(mem->mm,
				   &(struct iovec){ (void *)(uintptr_t)buf, len }, 1,
				   &(struct iovec){ (void *)(uintptr_t)addr, len }, 1);
}
