/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz/type1_fuzz.c - maps, unmaps, dirty bitmaps and DMA of a type1v2 container beside a
 * plain model: an array of mappings and a flag per page. Every answer and every bitmap is
 * compared.
 *
 * The first byte chooses the groups: an emulated one, a real one, or an emulated one with a
 * real one that comes and goes. Then operations of 8 bytes.
 */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void insist(bool ok, int line)
{
	if (ok)
		return;
	fprintf(stderr, "%s:%d: differs from the model\n", __FILE__, line);
	abort();
}
#define SAME(a, b) insist((a) == (b), __LINE__)

/* libcheck's report to a runner, and there is none. */
#undef ck_assert_int_eq
#undef ck_assert_uint_eq
#undef ck_abort_msg
#define ck_assert_int_eq(a, b) SAME(a, b)
#define ck_assert_uint_eq(a, b) SAME(a, b)
#define ck_abort_msg(format, what) insist(!(what), __LINE__)

#define CLIENT_SIZE (17 * 16384u)	/* it is made anew for each input */
#include "unit/type1_fixture.h"

#define FIRST_PAGE 16u			/* IOVA of the model's page 0, in pages */
#define PAGES 300u
#define MAPPINGS 40
#define BITMAP (CLIENT + 64 * PAGE)	/* where bitmaps go, data is below */
#define MEMORY_END (CLIENT + CLIENT_SIZE)
#define BITMAP_BYTES 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct operation {
	uint8_t what, at, size, prot;
	uint16_t vaddr;
	uint8_t flags, bitmap;
};

static struct {
	struct { unsigned first, last; uint64_t vaddr; unsigned prot; bool invalid; }
		m[MAPPINGS];		/* sorted; pages */
	unsigned n;
	bool dirty[PAGES];		/* an emulated container's */
	bool tracking, real, emulated;
} model;

static uint64_t iova_of(unsigned page)
{
	return (FIRST_PAGE + page) * PAGE;
}

/* Index of the mapping that holds @page, or n. */
static unsigned holding(unsigned page)
{
	for (unsigned i = 0; i < model.n; i++) {
		if (model.m[i].first <= page && page <= model.m[i].last)
			return i;
	}
	return model.n;
}

static bool overlaps(unsigned i, unsigned first, unsigned last)
{
	return model.m[i].first <= last && first <= model.m[i].last;
}

static void all_dirty(void)
{
	for (unsigned i = 0; i < model.n; i++)
		memset(model.dirty + model.m[i].first, 1,
		       model.m[i].last - model.m[i].first + 1);
}

static void take_away(unsigned i)
{
	memset(model.dirty + model.m[i].first, 0, model.m[i].last - model.m[i].first + 1);
	memmove(&model.m[i], &model.m[i + 1], (--model.n - i) * sizeof(model.m[0]));
}

/* ---- operations ---- */

static void do_map(const struct operation *op)
{
	unsigned first = op->at, last = first + op->size % 40, i = 0;
	uint64_t vaddr = CLIENT + op->vaddr % 16 * PAGE;
	unsigned prot = 1 + op->prot % 3;
	int expect = 0;

	if (last >= PAGES || model.n == MAPPINGS)
		return;
	for (unsigned k = 0; k < model.n; k++)
		expect = overlaps(k, first, last) ? -EEXIST : expect;
	SAME(map(prot, vaddr, iova_of(first), (last - first + 1) * PAGE), expect);
	if (expect)
		return;
	while (i < model.n && model.m[i].first < first)
		i++;
	memmove(&model.m[i + 1], &model.m[i], (model.n++ - i) * sizeof(model.m[0]));
	model.m[i].first = first;
	model.m[i].last = last;
	model.m[i].vaddr = vaddr;
	model.m[i].prot = prot;
	model.m[i].invalid = false;
}

/* T1-022 … T1-025 */
static void do_new_vaddr(const struct operation *op)
{
	unsigned first = op->at, last = first + op->size % 40, i = 0;
	uint64_t vaddr = CLIENT + op->vaddr % 16 * PAGE;
	int expect = 0;

	if (model.n && op->flags & 1) {
		i = op->prot % model.n;
		first = model.m[i].first;
		last = model.m[i].last;
	}
	if (last >= PAGES)
		return;
	while (i < model.n && !overlaps(i, first, last))
		i++;
	if (i == model.n)
		expect = -ENOENT;
	else if (!model.m[i].invalid || model.m[i].first != first || model.m[i].last != last)
		expect = -EINVAL;
	SAME(map(VADDR, vaddr, iova_of(first), (last - first + 1) * PAGE), expect);
	if (expect == 0) {
		model.m[i].vaddr = vaddr;
		model.m[i].invalid = false;
	}
}

/* Where a client's bitmap is; sometimes half of it lies behind the end of memory. */
static struct type1_bitmap bitmap_of(const struct operation *op)
{
	bool odd = op->bitmap >= 0xc0;
	uint64_t at = odd && op->bitmap & 8 ? MEMORY_END - (op->bitmap % 8) * 8 : BITMAP;

	memset(client.bytes + (BITMAP - CLIENT), 0xa5, BITMAP_BYTES);
	return (struct type1_bitmap){ odd && op->bitmap & 16 ? 2 * PAGE : PAGE,
				      { &client.mm, at, odd && op->bitmap & 32 ? 8 :
								BITMAP_BYTES } };
}

/* T1-057, T1-058, T1-097, T1-098: would this do for so many pages? */
static bool bitmap_good(const struct type1_bitmap *b, unsigned pages)
{
	pages /= (unsigned)(b->pgsize / PAGE);
	return pages && b->data.size / 8 >= (pages + 63) / 64;
}

static bool word_there(const struct type1_bitmap *b, unsigned word)
{
	return b->data.addr + word * 8 + 8 <= MEMORY_END;
}

/* The words of one mapping, as they must come. Return: false: a fault. */
static bool put(const struct type1_bitmap *b, uint64_t words[BITMAP_BYTES / 8],
		unsigned base, unsigned i)
{
	unsigned from = model.m[i].first - base, to = model.m[i].last - base;

	for (unsigned w = from / 64; w <= to / 64; w++) {
		if (!word_there(b, w))
			return false;
		/* T1-108, as the kernel does it: where the mapping begins within a word, all
		 * other bits stay. */
		if (w != from / 64 || from % 64 == 0)
			words[w] = 0;
		for (unsigned bit = w * 64; bit < w * 64 + 64; bit++) {
			if (bit >= from && bit <= to && (model.real || model.dirty[base + bit]))
				words[w] |= 1ull << (bit % 64);
		}
	}
	return true;
}

static void bitmap_same(const uint64_t words[BITMAP_BYTES / 8])
{
	insist(!memcmp(words, client.bytes + (BITMAP - CLIENT), BITMAP_BYTES), __LINE__);
}

static void do_unmap(const struct operation *op)
{
	bool all = op->flags & 1, invalidate = op->flags & 2, with = op->flags & 4;
	unsigned first = op->at, last = first + op->size, done = 0;
	struct type1_bitmap b = bitmap_of(op);
	uint64_t words[BITMAP_BYTES / 8], expect = 0;
	int64_t r;
	uint64_t ret = 0;

	/* proto has refused these (T1-055, T1-056). */
	if (with && (all || invalidate))
		with = false;
	if (op->flags & 8 && model.n) {
		first = model.m[op->prot % model.n].first;
		last = model.m[op->vaddr % model.n].last;
	}
	if (last >= PAGES || last < first)
		return;
	if (all) {
		first = 0;
		last = PAGES - 1;
	}
	memset(words, 0xa5, sizeof(words));
	r = type1_unmap(container, &caller,
			(all ? UNMAP_ALL : 0) | (invalidate ? UNMAP_VADDR : 0) |
			(with ? UNMAP_BITMAP : 0), all ? 0 : iova_of(first),
			all ? 0 : (last - first + 1) * PAGE, with ? &b : NULL, &ret);
	if ((with && (!bitmap_good(&b, last - first + 1))) ||
	    (with && (b.pgsize != PAGE || !model.tracking))) {
		SAME(r, -EINVAL);
		return;
	}
	if (invalidate && model.emulated) {
		SAME(r, -EBUSY);
		return;
	}
	if (!all && ((holding(first) < model.n && model.m[holding(first)].first != first) ||
		     (holding(last) < model.n && model.m[holding(last)].last != last))) {
		SAME(r, -EINVAL);					/* T1-066, T1-067 */
		return;
	}
	for (unsigned i = 0; invalidate && i < model.n; i++) {
		if (overlaps(i, first, last) && model.m[i].invalid) {
			SAME(r, -EINVAL);				/* T1-080 */
			return;
		}
	}
	for (unsigned i = 0; i < model.n;) {
		if (!overlaps(i, first, last)) {
			i++;
			continue;
		}
		if (with && !put(&b, words, first, i)) {
			SAME(r, -EFAULT);
			if (!model.real)
				all_dirty();
			return;
		}
		done += model.m[i].last - model.m[i].first + 1;
		if (invalidate)
			model.m[i++].invalid = true;
		else
			take_away(i);
	}
	expect = (uint64_t)done * PAGE;
	SAME(r, 0);
	SAME(ret, expect);
	if (b.data.addr == BITMAP)
		bitmap_same(words);
}

static void do_get(const struct operation *op)
{
	unsigned first = op->at, last = first + op->size;
	struct type1_bitmap b = bitmap_of(op);
	uint64_t words[BITMAP_BYTES / 8];
	int r, expect = 0;

	if (op->flags & 8 && model.n) {
		first = model.m[op->prot % model.n].first;
		last = model.m[op->vaddr % model.n].last;
	}
	if (last >= PAGES || last < first)
		return;
	memset(words, 0xa5, sizeof(words));
	r = type1_dirty_get(container, &caller, iova_of(first), (last - first + 1) * PAGE, &b);
	if (!bitmap_good(&b, last - first + 1) || b.pgsize != PAGE || !model.tracking ||
	    (holding(first) < model.n && model.m[holding(first)].first != first) ||
	    (holding(last) < model.n && model.m[holding(last)].last != last)) {
		SAME(r, -EINVAL);					/* T1-097 … T1-103 */
		return;
	}
	for (unsigned i = 0; i < model.n; i++) {
		if (overlaps(i, first, last) && !put(&b, words, first, i))
			expect = -EFAULT;
	}
	SAME(r, expect);
	if (expect == 0 && b.data.addr == BITMAP)
		bitmap_same(words);
	if (model.real)
		return;
	if (expect)
		all_dirty();
	else
		memset(model.dirty + first, 0, last - first + 1);
}

static void do_track(const struct operation *op)
{
	if (op->flags % 8 == 0) {
		SAME(type1_dirty_stop(container), 0);
		model.tracking = false;
		memset(model.dirty, 0, sizeof(model.dirty));
	} else {
		SAME(type1_dirty_start(container), 0);
		if (!model.tracking)
			memset(model.dirty, 0, sizeof(model.dirty));
		model.tracking = true;
	}
}

static void do_dma(const struct operation *op)
{
	static uint8_t buf[3 * PAGE];
	size_t len = op->size % 4 ? op->size : op->size * 40u;
	uint64_t from = op->at * PAGE + op->vaddr % PAGE, to = from + len - 1;
	unsigned need = op->flags & 1 ? CUSED_PROT_WRITE : CUSED_PROT_READ;
	int expect = 0;

	if (len == 0 || to / PAGE >= PAGES)
		return;
	for (uint64_t page = from / PAGE; page <= to / PAGE; page++) {
		unsigned i = holding((unsigned)page);

		if (i == model.n || model.m[i].invalid || !(model.m[i].prot & need))
			expect = -EFAULT;
	}
	memset(buf, op->bitmap, len);
	SAME(dma(FIRST_PAGE * PAGE + from, buf, len, op->flags & 1), expect);
	for (uint64_t page = from / PAGE; !expect && page <= to / PAGE; page++) {
		unsigned i = holding((unsigned)page);
		uint64_t in = page == from / PAGE ? from % PAGE : 0;
		uint64_t at = model.m[i].vaddr + (page - model.m[i].first) * PAGE + in;

		if (op->flags & 1 && page == to / PAGE)
			SAME(client.bytes[at - CLIENT], op->bitmap);
		if (op->flags & 1 && model.tracking && !model.real)
			model.dirty[page] = true;
	}
}

/* The real group of a container that also has an emulated one comes or goes. */
static void do_group(const struct operation *op)
{
	if (!model.emulated || op->flags % 4)
		return;
	if (model.real) {
		detach(real[0]);
		if (model.tracking)
			all_dirty();					/* T1-111 */
	} else {
		SAME(attach(real[0]), 0);
	}
	model.real = !model.real;
}

static void (*const actions[])(const struct operation *op) = {
	do_map, do_map, do_map, do_unmap, do_get, do_get, do_track, do_dma, do_dma, do_group,
	do_new_vaddr,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct operation op;

	if (size < 1)
		return 0;
	memset(&model, 0, sizeof(model));
	model.emulated = *data % 3 != 1;
	model.real = !model.emulated;
	params = (struct topology_params){ 0 };
	fixture_start();
	client.share_base = *data & 0x80 ? client.bytes : NULL;
	client.check_all = true;
	with(model.emulated ? emulated[0] : real[0], VFIO_TYPE1v2_IOMMU);
	for (data++, size--; size >= sizeof(op); data += sizeof(op), size -= sizeof(op)) {
		memcpy(&op, data, sizeof(op));
		actions[op.what % (sizeof(actions) / sizeof(actions[0]))](&op);
		SAME(mappings(), model.n);
	}
	SAME(programmed(), model.real ? (int)model.n : 0);
	if (model.real)
		detach(real[0]);
	fixture_end(&emulated[0], model.emulated);
	SAME(client.shared, 0);
	return 0;
}
