/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/ioas_model.h - the map of IOVAs again, as plainly as it can be written: a sorted
 * array. Random operations go to both, and every answer is compared. For the property
 * test and the fuzzer.
 */
#ifndef UNIT_IOAS_MODEL_H
#define UNIT_IOAS_MODEL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <core/ioas_internal.h>
#include "unit/fake_mm.h"

#define MODEL_MAX 4096
#define MODEL_MMS 3
/* Client memory: a few pages per mm, which all mappings lead into. */
#define MODEL_MEMORY 65536u
#define MODEL_BASE 0x100000u

struct model {
	struct ioas *ioas;
	struct fake_mm mms[MODEL_MMS];
	struct ioas_mapping m[MODEL_MAX];	/* sorted */
	size_t n;
	uint64_t bytes;
};

#define MODEL_REQUIRE(x) do { \
	if (!(x)) { \
		fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
		abort(); \
	} \
} while (0)

static inline struct model *model_new(void)
{
	struct model *s = calloc(1, sizeof(*s));

	MODEL_REQUIRE(s && ioas_new(&s->ioas) == 0);
	for (unsigned i = 0; i < MODEL_MMS; i++)
		fake_mm_init(&s->mms[i], MODEL_BASE, MODEL_MEMORY);
	s->mms[0].share_base = s->mms[0].bytes;		/* one that can be shared */
	return s;
}

static inline void model_free(struct model *s)
{
	ioas_free(s->ioas);
	for (unsigned i = 0; i < MODEL_MMS; i++) {
		MODEL_REQUIRE(s->mms[i].shared == 0);
		MODEL_REQUIRE(fake_mm_done(&s->mms[i]) == 1);
	}
	free(s);
}

/* Index of the lowest mapping that overlaps, or n. */
static inline size_t model_find(const struct model *s, struct cused_range r)
{
	size_t i = 0;

	while (i < s->n && s->m[i].iova.last < r.first)
		i++;
	return i < s->n && s->m[i].iova.first <= r.last ? i : s->n;
}

static inline bool model_same(const struct ioas_mapping *a, const struct ioas_mapping *b)
{
	return a->iova.first == b->iova.first && a->iova.last == b->iova.last &&
	       a->vaddr == b->vaddr && a->prot == b->prot && a->mm == b->mm &&
	       a->vaddr_invalid == b->vaddr_invalid && a->lock_exempt == b->lock_exempt &&
	       a->dirty == b->dirty;
}

static inline void model_map(struct model *s, struct ioas_mapping m)
{
	int expect = model_find(s, m.iova) < s->n ? -EEXIST : 0;

	if (s->n == MODEL_MAX)
		return;
	MODEL_REQUIRE(ioas_map(s->ioas, &m) == expect);
	if (expect == 0) {
		size_t i = 0;

		while (i < s->n && s->m[i].iova.first < m.iova.first)
			i++;
		memmove(&s->m[i + 1], &s->m[i], (s->n++ - i) * sizeof(m));
		s->m[i] = m;
		s->bytes += m.iova.last - m.iova.first + 1;
	}
}

static inline void model_unmap(struct model *s, uint64_t first)
{
	size_t i = model_find(s, (struct cused_range){ first, first });
	bool there = i < s->n && s->m[i].iova.first == first;

	MODEL_REQUIRE(ioas_unmap(s->ioas, first) == (there ? 0 : -ENOENT));
	if (there) {
		s->bytes -= s->m[i].iova.last - s->m[i].iova.first + 1;
		memmove(&s->m[i], &s->m[i + 1], (--s->n - i) * sizeof(s->m[0]));
	}
}

static inline void model_look(struct model *s, struct cused_range r)
{
	size_t i = model_find(s, r);
	struct ioas_mapping got;
	bool found = ioas_find(s->ioas, r, &got);

	MODEL_REQUIRE(found == (i < s->n));
	MODEL_REQUIRE(!found || model_same(&got, &s->m[i]));
}

static inline void model_update(struct model *s, struct ioas_mapping m)
{
	size_t i = model_find(s, (struct cused_range){ m.iova.first, m.iova.first });
	bool there = i < s->n && s->m[i].iova.first == m.iova.first;

	MODEL_REQUIRE(ioas_update(s->ioas, &m) == (there ? 0 : -ENOENT));
	if (there) {
		s->m[i].vaddr = m.vaddr;
		s->m[i].mm = m.mm;
		s->m[i].vaddr_invalid = m.vaddr_invalid;
		s->m[i].lock_exempt = m.lock_exempt;
	}
}

/* What DMA of @len bytes at @iova reaches, byte by byte. NULL: a fault. */
static inline uint8_t *model_byte(struct model *s, uint64_t iova, bool to_client)
{
	size_t i = model_find(s, (struct cused_range){ iova, iova });
	unsigned need = to_client ? CUSED_PROT_WRITE : CUSED_PROT_READ;

	if (i == s->n || s->m[i].vaddr_invalid || !(s->m[i].prot & need))
		return NULL;
	return fake_mm_at(fake_mm_of(s->m[i].mm), s->m[i].vaddr + (iova - s->m[i].iova.first),
			  1);
}

/* One DMA of up to two pieces; the second follows the first after @gap bytes. */
static inline void model_dma(struct model *s, uint64_t iova, size_t len, size_t gap,
			     bool to_client, uint8_t fill)
{
	uint8_t buf[2][512], expect[2][512];
	struct cused_dma v[2];
	size_t bad = 99;
	int want = 0, got;

	len %= 512;
	v[0] = (struct cused_dma){ iova, buf[0], len };
	v[1] = (struct cused_dma){ iova + len + gap, buf[1], len };
	memset(buf, fill, sizeof(buf));
	for (int i = 0; i < 2 && want == 0; i++) {
		if (len > 0 && v[i].iova + (len - 1) < v[i].iova)
			want = -EFAULT;
		for (size_t k = 0; k < len && want == 0; k++) {
			uint8_t *p = model_byte(s, v[i].iova + k, to_client);

			if (!p)
				want = -EFAULT;
			else if (!to_client)
				expect[i][k] = *p;
		}
	}
	got = ioas_dma(s->ioas, v, 2, to_client, &bad);
	MODEL_REQUIRE(got == want);
	MODEL_REQUIRE((got == 0) == (bad == 99));
	if (got)
		return;
	for (int i = 0; i < 2; i++) {
		for (size_t k = 0; k < len; k++) {
			if (to_client)
				MODEL_REQUIRE(*model_byte(s, v[i].iova + k, true) == fill);
			else
				MODEL_REQUIRE(buf[i][k] == expect[i][k]);
		}
	}
}

static inline void model_compare(struct model *s)
{
	struct cused_range rest = { 0, UINT64_MAX };
	struct ioas_mapping got;
	size_t i = 0;

	MODEL_REQUIRE(ioas_tree_check(&s->ioas->tree));
	MODEL_REQUIRE(ioas_count(s->ioas) == s->n);
	MODEL_REQUIRE(ioas_mapped_bytes(s->ioas) == s->bytes);
	for (; ioas_find(s->ioas, rest, &got); i++) {
		MODEL_REQUIRE(i < s->n && model_same(&got, &s->m[i]));
		if (got.iova.last == UINT64_MAX) {
			i++;
			break;
		}
		rest.first = got.iova.last + 1;
	}
	MODEL_REQUIRE(i == s->n);
}

#endif
