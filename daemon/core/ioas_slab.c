/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <sys/mman.h>

#include <core/ioas_slab.h>

/* At the start of its memory; slots follow, aligned to cache lines. */
struct ioas_slab {
	_Alignas(64) struct ioas_slab *prev, *next;	/* in the partial list */
	void *free;		/* freed slots, each beginning with the next */
	unsigned used;		/* slots in use */
	unsigned touched;	/* slots that were ever used; the rest is still zero pages */
};

#define SLOTS ((IOAS_SLAB_SIZE - sizeof(struct ioas_slab)) / IOAS_SLOT_SIZE)

static void *slab_slot(struct ioas_slab *slab, unsigned i)
{
	return (char *)(slab + 1) + (size_t)i * IOAS_SLOT_SIZE;
}

/* IOAS_SLAB_SIZE bytes at a multiple of it: cut out of twice as many. */
static struct ioas_slab *slab_map(void)
{
	char *p = mmap(NULL, 2 * IOAS_SLAB_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *base;

	if (p == MAP_FAILED)
		return NULL;
	base = p + (-(uintptr_t)p & (IOAS_SLAB_SIZE - 1));
	if (base > p)
		munmap(p, (size_t)(base - p));
	munmap(base + IOAS_SLAB_SIZE, (size_t)(p + IOAS_SLAB_SIZE - base));
	madvise(base, IOAS_SLAB_SIZE, MADV_HUGEPAGE);	/* without, it is only slower */
	return (struct ioas_slab *)(void *)base;
}

static void slab_link(struct ioas_slabs *slabs, struct ioas_slab *slab)
{
	slab->prev = NULL;
	slab->next = slabs->partial;
	if (slab->next)
		slab->next->prev = slab;
	slabs->partial = slab;
}

static void slab_unlink(struct ioas_slabs *slabs, struct ioas_slab *slab)
{
	if (slab->prev)
		slab->prev->next = slab->next;
	else
		slabs->partial = slab->next;
	if (slab->next)
		slab->next->prev = slab->prev;
}

static void slab_unmap(struct ioas_slabs *slabs, struct ioas_slab *slab, size_t *bytes)
{
	slab_unlink(slabs, slab);
	munmap(slab, IOAS_SLAB_SIZE);
	*bytes -= IOAS_SLAB_SIZE;
}

void *ioas_slab_alloc(struct ioas_slabs *slabs, size_t *bytes)
{
	struct ioas_slab *slab = slabs->partial;
	void *slot;

	if (!slab) {
		slab = slab_map();
		if (!slab)
			return NULL;
		*bytes += IOAS_SLAB_SIZE;
		slab_link(slabs, slab);
	}
	slot = slab->free;
	if (slot)
		slab->free = *(void **)slot;
	else
		slot = slab_slot(slab, slab->touched++);
	if (++slab->used == SLOTS)
		slab_unlink(slabs, slab);
	return slot;
}

void ioas_slab_free(struct ioas_slabs *slabs, void *slot, size_t *bytes)
{
	struct ioas_slab *slab = (void *)((uintptr_t)slot & ~(uintptr_t)(IOAS_SLAB_SIZE - 1));

	if (slab->used-- == SLOTS)
		slab_link(slabs, slab);
	*(void **)slot = slab->free;
	slab->free = slot;
	if (slab->used == 0 && (slabs->partial != slab || slab->next))
		slab_unmap(slabs, slab, bytes);
}

void ioas_slabs_done(struct ioas_slabs *slabs, size_t *bytes)
{
	if (slabs->partial)
		slab_unmap(slabs, slabs->partial, bytes);
}
