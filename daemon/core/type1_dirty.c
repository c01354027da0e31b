/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dirty page tracking of type1 (spec section 5).
 *
 * Theory of operation
 *
 *   With a real group attached every page of every mapping is dirty on every call
 *   (T1-106): type1 cannot know what assigned devices write, and clients rely on that
 *   answer. With emulated groups alone the ioas notes the pages that devices write
 *   (T1-107). When the last real group leaves, every mapping of that moment is dirty
 *   once more (T1-111).
 *
 *   The client's bitmap is up to 256 MiB and is never held here as a whole: a window of
 *   BITMAP_WORDS words moves over it. Neighbouring mappings share the window, so that
 *   many small ones do not cost a copy each. Words that belong to no mapping are neither
 *   read nor written (T1-109). A mapping that begins in the middle of a word adds its bits
 *   to that word, of which all stay, those above the mapping too; of a word that it begins
 *   with, or comes to later, nothing stays. That is what the kernel does; T1-108 has it
 *   that only the bits below stay.
 */
#include <errno.h>
#include <string.h>

#include <core/type1.h>
#include <util/range.h>

#define BITMAP_WORDS 1024u

int type1_bitmap_check(const struct type1_bitmap *bitmap, uint64_t size)
{
	uint64_t pages, words;

	if (!span_fits(bitmap->data.addr, bitmap->data.size, MEM_TASK_SIZE))
		return -EINVAL;						/* T1-057, T1-097 */
	if (bitmap->pgsize == 0)
		return -EINVAL;						/* T1-065, T1-099 */
	pages = size / (bitmap->pgsize & -bitmap->pgsize);
	words = pages / 64 + (pages % 64 != 0);
	if (pages == 0 || bitmap->data.size == 0 ||
	    bitmap->data.size > TYPE1_MAX_BITMAP_BYTES || bitmap->data.size / 8 < words)
		return -EINVAL;						/* T1-058, T1-098 */
	return 0;
}

/* Consecutive words on their way to the client. */
struct bitmap_window {
	const struct mem *data;
	uint64_t first;			/* index of words[0] in the client's bitmap */
	size_t n;
	uint64_t words[BITMAP_WORDS];
};

static int window_flush(struct bitmap_window *w)
{
	size_t n = w->n;

	w->n = 0;
	return n ? mem_write(w->data, w->first * 8, w->words, n * 8) : 0;
}

/* Make room for word @index and at least as many as @ret_room says, at most @max.
 * Return: 0, -EFAULT. */
static int window_extend(struct bitmap_window *w, uint64_t index, uint64_t max,
			 size_t *ret_room)
{
	int r;

	if (w->n == BITMAP_WORDS || w->first + w->n != index) {
		r = window_flush(w);
		if (r)
			return r;
		w->first = index;
	}
	*ret_room = max < BITMAP_WORDS - w->n ? max : BITMAP_WORDS - w->n;
	return 0;
}

/* Make word @index the last one of the window: as it is if @shift is not 0, else 0 (T1-108). */
static int window_open(struct bitmap_window *w, uint64_t index, unsigned shift)
{
	uint64_t word = 0;
	size_t room;
	int r;

	if (w->n > 0 && w->first + w->n - 1 == index)
		return 0;		/* of a mapping before it, so shift is not 0 */
	r = window_extend(w, index, 1, &room);
	if (r == 0 && shift)
		r = mem_read(w->data, index * 8, &word, sizeof(word));
	if (r)
		return r;
	w->words[w->n++] = word;
	return 0;
}

/* The dirty bits of pages of @m that make up @range. */
static void mapping_bits(struct type1 *t, const struct ioas_mapping *m,
			 struct cused_range range, uint64_t *ret_words)
{
	uint64_t n = range_size(range) / type1_pgsize(t), words = (n + 63) / 64;

	/* Also of a mapping that is dirty as a whole: what was noted before is told with it. */
	if (t->n_real == 0) {
		ioas_dirty_take(t->ioas, range, ret_words);		/* T1-107 */
		if (!m->dirty)
			return;
	}
	memset(ret_words, 0xff, words * 8);				/* T1-106, T1-111 */
	if (n % 64)
		ret_words[words - 1] = UINT64_MAX >> (64 - n % 64);
}

/* Put one mapping's bits into the window. @base: IOVA of bit 0. Return: 0, -EFAULT. */
static int window_put(struct type1 *t, struct bitmap_window *w, uint64_t base,
		      const struct ioas_mapping *m)
{
	uint64_t pgsize = type1_pgsize(t), bit = (m->iova.first - base) / pgsize;
	uint64_t pages = range_size(m->iova) / pgsize, done, bits;
	unsigned shift = bit % 64;
	size_t room;
	int r;

	r = window_open(w, bit / 64, shift);
	if (r)
		return r;
	done = pages < 64 - shift ? pages : 64 - shift;
	mapping_bits(t, m, (struct cused_range){ m->iova.first,
						 m->iova.first + done * pgsize - 1 }, &bits);
	w->words[w->n - 1] |= bits << shift;

	while (done < pages) {
		uint64_t from = m->iova.first + done * pgsize, n;

		r = window_extend(w, (bit + done) / 64, (pages - done + 63) / 64, &room);
		if (r)
			return r;
		n = room * 64 < pages - done ? room * 64 : pages - done;
		mapping_bits(t, m, (struct cused_range){ from, from + n * pgsize - 1 },
			     w->words + w->n);
		w->n += room;
		done += n;
	}
	return 0;
}

int type1_bitmap_report(struct type1 *t, const struct type1_bitmap *bitmap, uint64_t base,
			const struct ioas_mapping *m)
{
	struct bitmap_window w = { .data = &bitmap->data };
	int r = window_put(t, &w, base, m);

	if (r == 0)
		r = window_flush(&w);
	if (r && t->n_real == 0)
		ioas_dirty_fill(t->ioas);	/* rather too much than forgotten */
	return r;
}

void type1_dirty_real(struct type1 *t, bool real)
{
	if (!t->tracking)
		return;
	ioas_dirty_log(t->ioas, !real);
	if (!real)
		ioas_dirty_fill(t->ioas);				/* T1-111 */
}

/* T1-083. Return: 0 with the container locked; as type1_lock(); -EACCES. */
static int dirty_lock(struct container *container, struct type1 **ret)
{
	struct type1 *t;
	int r = type1_lock(container, &t);

	if (r)
		return r;
	if (!t->v2) {
		type1_unlock(container);
		return -EACCES;						/* T1-083 */
	}
	*ret = t;
	return 0;
}

int type1_dirty_allowed(struct container *container)
{
	struct type1 *t;
	int r = dirty_lock(container, &t);

	if (r == 0)
		type1_unlock(container);
	return r;
}

/* T1-088. */
static bool mappings_trackable(struct type1 *t)
{
	struct cused_range rest = { 0, UINT64_MAX };
	struct ioas_mapping m;

	while (ioas_find(t->ioas, rest, &m)) {
		if (range_size(m.iova) / type1_pgsize(t) > TYPE1_DIRTY_PAGES_MAX)
			return false;
		if (m.iova.last == UINT64_MAX)
			break;
		rest.first = m.iova.last + 1;
	}
	return true;
}

int type1_dirty_start(struct container *container)
{
	struct type1 *t;
	int r = dirty_lock(container, &t);

	if (r)
		return r;
	if (!t->tracking) {						/* else T1-087 */
		if (mappings_trackable(t)) {
			t->tracking = true;				/* T1-090 */
			ioas_dirty_log(t->ioas, t->n_real == 0);
			container_record_tracking(container, true);
		} else {
			r = -EINVAL;					/* T1-088 */
		}
	}
	type1_unlock(container);
	return r;
}

int type1_dirty_stop(struct container *container)
{
	struct type1 *t;
	int r = dirty_lock(container, &t);

	if (r)
		return r;
	t->tracking = false;						/* T1-091 */
	ioas_dirty_log(t->ioas, false);
	container_record_tracking(container, false);
	type1_unlock(container);
	return 0;
}

int type1_restore_tracking(struct container *container)
{
	struct type1 *t;

	if (dirty_lock(container, &t))
		return -ENOENT;
	t->tracking = true;
	type1_dirty_real(t, t->n_real > 0);
	container_record_tracking(container, true);
	type1_unlock(container);
	return 0;
}

/* T1-095 … T1-103. */
static int get_check(struct type1 *t, uint64_t iova, uint64_t size,
		     const struct type1_bitmap *bitmap, struct cused_range *ret)
{
	uint64_t pgsize = type1_pgsize(t);
	struct ioas_mapping m;
	int r;

	r = range_from_size(iova, size, ret);				/* T1-095, T1-096 */
	if (r)
		return r;
	r = type1_bitmap_check(bitmap, size);				/* T1-097, T1-098 */
	if (r)
		return r;
	if (bitmap->pgsize != pgsize)
		return -EINVAL;						/* T1-099 */
	if (!is_aligned(iova | size, pgsize))
		return -EINVAL;						/* T1-100, T1-101 */
	if (!t->tracking)
		return -EINVAL;						/* T1-102 */
	if (ioas_find(t->ioas, (struct cused_range){ ret->first, ret->first }, &m) &&
	    m.iova.first != ret->first)
		return -EINVAL;						/* T1-103 */
	if (ioas_find(t->ioas, (struct cused_range){ ret->last, ret->last }, &m) &&
	    m.iova.last != ret->last)
		return -EINVAL;						/* T1-103 */
	return 0;
}

static int get_locked(struct type1 *t, struct cused_range range,
		      const struct type1_bitmap *bitmap)
{
	struct bitmap_window w = { .data = &bitmap->data };
	struct cused_range rest = range;
	struct ioas_mapping m;
	int r = 0;

	while (r == 0 && ioas_find(t->ioas, rest, &m)) {
		r = window_put(t, &w, range.first, &m);
		if (m.iova.last >= rest.last)
			break;
		rest.first = m.iova.last + 1;
	}
	if (r == 0)
		r = window_flush(&w);
	if (t->n_real > 0)
		return r;
	if (r)
		ioas_dirty_fill(t->ioas);	/* rather too much than forgotten */
	else
		ioas_dirty_unfill(t->ioas, range);			/* T1-107 */
	return r;
}

int type1_dirty_get(struct container *container, const struct caller *caller,
		    uint64_t iova, uint64_t size, const struct type1_bitmap *bitmap)
{
	struct cused_range range;
	struct type1 *t;
	int r = dirty_lock(container, &t);

	if (r)
		return r;
	r = get_check(t, iova, size, bitmap, &range);
	if (r == 0)
		r = get_locked(t, range, bitmap);			/* T1-104, T1-105 */
	type1_unlock(container);
	return r;
}
