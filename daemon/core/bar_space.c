/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <core/bar_space.h>
#include <util/list.h>
#include <util/range.h>

#define BAR_GRANULE 4096u	/* PCI-037: a small BAR has its page for itself */

/* I/O ports live in a space of their own. Memory below 4G is where firmware of a PC puts
 * it; above, it is where no machine's own devices are, which a client sees as well. */
#define IO_TAG (1ull << 63)	/* keeps ports apart from memory in the one list */
static const struct cused_range windows[] = {
	[BAR_WINDOW_IO] = { IO_TAG | 0x1000, IO_TAG | 0xffff },
	[BAR_WINDOW_32] = { 0xe0000000, 0xfebfffff },
	[BAR_WINDOW_64] = { 0x200000000000, 0x3fffffffffff },
};

struct claim {
	struct list link;
	struct cused_range range;
};

static pthread_mutex_t space_lock = PTHREAD_MUTEX_INITIALIZER;
/* Sorted by address; under space_lock. */
static struct list claims = { &claims, &claims };

static int insert(struct list *before, uint64_t base, uint64_t size)
{
	struct claim *c = malloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->range = (struct cused_range){ base, base + (size - 1) };
	list_insert_before(before, &c->link);
	return 0;
}

int bar_space_alloc(enum bar_window window, uint64_t size, uint64_t *ret_base)
{
	uint64_t granule = window == BAR_WINDOW_IO ? 1 : BAR_GRANULE;
	uint64_t align = size < granule ? granule : size;
	struct cused_range w = windows[window];
	uint64_t at = (w.first + align - 1) & ~(align - 1);
	struct list *before = &claims;
	int r = -ENOSPC;

	size = align;
	pthread_mutex_lock(&space_lock);
	list_for_each(it, &claims) {
		const struct claim *c = container_of(it, struct claim, link);

		if (c->range.last < at)
			continue;
		if (c->range.first > at + (size - 1)) {
			before = it;
			break;
		}
		at = (c->range.last + align) & ~(align - 1);
	}
	if (at + (size - 1) <= w.last && at + (size - 1) >= at)
		r = insert(before, at, size);
	pthread_mutex_unlock(&space_lock);
	if (r == 0)
		*ret_base = window == BAR_WINDOW_IO ? at & ~IO_TAG : at;
	return r;
}

/* @base: with IO_TAG for ports */
static int claim(uint64_t base, uint64_t size)
{
	struct list *before = &claims;
	struct cused_range range;
	int r = 0;

	if (!is_aligned(base, size) || range_from_size(base, size, &range) < 0)
		return -EINVAL;
	pthread_mutex_lock(&space_lock);
	list_for_each(it, &claims) {
		const struct claim *c = container_of(it, struct claim, link);

		if (range_overlaps(c->range, range))
			r = -EEXIST;
		if (c->range.first > range.last) {
			before = it;
			break;
		}
	}
	if (r == 0)
		r = insert(before, base, size);
	pthread_mutex_unlock(&space_lock);
	return r;
}

int bar_space_claim(uint64_t base, uint64_t size)
{
	if (base < 1 << 20 || (base & IO_TAG))
		return -EINVAL;
	return claim(base, size < BAR_GRANULE ? BAR_GRANULE : size);
}

int bar_space_reclaim(enum bar_window window, uint64_t size, uint64_t base)
{
	if (window != BAR_WINDOW_IO)
		return bar_space_claim(base, size);
	return base < 0x10000 ? claim(base | IO_TAG, size) : -EINVAL;
}

void bar_space_free(uint64_t base)
{
	uint64_t key = base < 0x10000 ? base | IO_TAG : base;

	if (!base)
		return;
	pthread_mutex_lock(&space_lock);
	list_for_each(it, &claims) {
		struct claim *c = container_of(it, struct claim, link);

		if (c->range.first == key) {
			list_remove(it);
			free(c);
			break;
		}
	}
	pthread_mutex_unlock(&space_lock);
}
