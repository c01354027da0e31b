/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of pages that devices wrote, for containers whose groups are all emulated
 * (T1-107). With an IOMMU-backed group attached every page counts as dirty (T1-106) and
 * nothing needs noting.
 *
 * Bits are kept in chunks, each for 128 MiB of IOVAs, made when the first page in it is
 * written: memory follows what was written, not what is mapped. Writers hold the ioas
 * lock for reading only, hence the log's own lock.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <core/ioas_internal.h>
#include <util/range.h>

#define CHUNK_PAGES (IOAS_CHUNK_WORDS * 64ull)

static uint64_t page_of(uint64_t iova)
{
	return iova / IOAS_DIRTY_PAGE;
}

void ioas_dirty_init(struct ioas_dirty *dirty)
{
	pthread_mutex_init(&dirty->lock, NULL);
}

static struct ioas_chunk **chunk_slot(struct ioas_dirty *dirty, uint64_t index)
{
	struct ioas_chunk **slot = &dirty->buckets[index % IOAS_DIRTY_BUCKETS];

	while (*slot && (*slot)->index != index)
		slot = &(*slot)->next;
	return slot;
}

static void chunk_drop(struct ioas_dirty *dirty, struct ioas_chunk **slot)
{
	struct ioas_chunk *chunk = *slot;

	*slot = chunk->next;
	free(chunk);
	dirty->n_chunks--;
}

/* Set or clear pages [from, to] of a chunk. */
static void chunk_fill(struct ioas_chunk *chunk, uint64_t from, uint64_t to, bool set)
{
	for (uint64_t w = from / 64; w <= to / 64; w++) {
		uint64_t mask = UINT64_MAX;

		if (w == from / 64)
			mask &= UINT64_MAX << (from % 64);
		if (w == to / 64)
			mask &= UINT64_MAX >> (63 - to % 64);
		if (set)
			chunk->words[w] |= mask;
		else
			chunk->words[w] &= ~mask;
	}
}

/* The pages of @pages, a range of page numbers, that lie in the chunk @index. */
static void chunk_apply(struct ioas_chunk *chunk, struct cused_range pages, bool set)
{
	uint64_t first = chunk->index * CHUNK_PAGES, last = first + CHUNK_PAGES - 1;

	if (pages.first > last || pages.last < first)
		return;
	chunk_fill(chunk, pages.first > first ? pages.first - first : 0,
		   (pages.last < last ? pages.last : last) - first, set);
}

void ioas_dirty_mark(struct ioas_dirty *dirty, struct cused_range range)
{
	struct cused_range pages = { page_of(range.first), page_of(range.last) };

	pthread_mutex_lock(&dirty->lock);
	for (uint64_t i = pages.first / CHUNK_PAGES; i <= pages.last / CHUNK_PAGES; i++) {
		struct ioas_chunk **slot = chunk_slot(dirty, i);

		if (!*slot) {
			*slot = calloc(1, sizeof(**slot));
			if (!*slot) {
				dirty->all = true;
				break;
			}
			(*slot)->index = i;
			dirty->n_chunks++;
		}
		chunk_apply(*slot, pages, true);
	}
	pthread_mutex_unlock(&dirty->lock);
}

/* Clear @pages of the chunk at @slot. Return: where the walk of the bucket goes on. */
static struct ioas_chunk **chunk_forget(struct ioas_dirty *dirty, struct ioas_chunk **slot,
					struct cused_range pages)
{
	uint64_t first = (*slot)->index * CHUNK_PAGES;

	if (pages.first <= first && first + CHUNK_PAGES - 1 <= pages.last) {
		chunk_drop(dirty, slot);
		return slot;
	}
	chunk_apply(*slot, pages, false);
	return &(*slot)->next;
}

void ioas_dirty_forget(struct ioas_dirty *dirty, struct cused_range range)
{
	struct cused_range pages = { page_of(range.first), page_of(range.last) };
	struct cused_range index = { pages.first / CHUNK_PAGES, pages.last / CHUNK_PAGES };

	pthread_mutex_lock(&dirty->lock);
	if (range.first == 0 && range.last == UINT64_MAX)
		dirty->all = false;
	/* Whichever is less work: the chunks that the range could have, or those there are. */
	if (index.last - index.first < dirty->n_chunks) {
		for (uint64_t i = index.first; i <= index.last; i++) {
			struct ioas_chunk **slot = chunk_slot(dirty, i);

			if (*slot)
				chunk_forget(dirty, slot, pages);
		}
	} else if (dirty->n_chunks > 0) {
		for (unsigned b = 0; b < IOAS_DIRTY_BUCKETS; b++)
			for (struct ioas_chunk **slot = &dirty->buckets[b]; *slot;)
				slot = chunk_forget(dirty, slot, pages);
	}
	pthread_mutex_unlock(&dirty->lock);
}

void ioas_dirty_done(struct ioas_dirty *dirty)
{
	ioas_dirty_forget(dirty, (struct cused_range){ 0, UINT64_MAX });
	pthread_mutex_destroy(&dirty->lock);
}

size_t ioas_dirty_memory(struct ioas_dirty *dirty)
{
	size_t n;

	pthread_mutex_lock(&dirty->lock);
	n = dirty->n_chunks * (sizeof(struct ioas_chunk) + 2 * sizeof(size_t));
	pthread_mutex_unlock(&dirty->lock);
	return n;
}

/* Word @w of the log, counted in pages / 64 from IOVA 0. */
static uint64_t log_word(struct ioas_dirty *dirty, uint64_t w)
{
	const struct ioas_chunk *chunk = *chunk_slot(dirty, w / IOAS_CHUNK_WORDS);

	if (dirty->all)
		return UINT64_MAX;
	return chunk ? chunk->words[w % IOAS_CHUNK_WORDS] : 0;
}

void ioas_dirty_bits(struct ioas_dirty *dirty, struct cused_range range,
		     uint64_t *ret_words)
{
	uint64_t page = page_of(range.first), n = page_of(range.last) - page + 1;
	unsigned shift = page % 64;

	pthread_mutex_lock(&dirty->lock);
	for (uint64_t i = 0; i * 64 < n; i++) {
		ret_words[i] = log_word(dirty, page / 64 + i) >> shift;
		if (shift)
			ret_words[i] |= log_word(dirty, page / 64 + i + 1) << (64 - shift);
	}
	if (n % 64)
		ret_words[n / 64] &= UINT64_MAX >> (64 - n % 64);
	pthread_mutex_unlock(&dirty->lock);
}
