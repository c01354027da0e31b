/* SPDX-License-Identifier: GPL-2.0-or-later */
/* random/gen.h - the halves of the generator: operations, and what is made of them. */
#ifndef RANDOM_GEN_H
#define RANDOM_GEN_H

#include "op.h"

#define GEN_MAPS 12

struct gen {
	uint64_t state;
	bool open[SLOTS], saved[SLOTS];	/* now, and when the child began */
	unsigned main[3];		/* container, group and device in use */
	uint64_t main_irq;		/* index of the messages of the device in use */
	uint64_t irq;			/* index that most of SET_IRQS is about */
	unsigned lost;			/* operations since one of these was closed */
	bool child, held;
	unsigned child_left;		/* operations until it ends */
	struct { uint64_t iova, size; } maps[GEN_MAPS];
	unsigned n_maps;
};

/* splitmix64 */
static inline uint64_t any(struct gen *g)
{
	uint64_t z = g->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline unsigned below(struct gen *g, unsigned n)
{
	return (unsigned)(any(g) % n);
}

static inline bool one_in(struct gen *g, unsigned n)
{
	return below(g, n) == 0;
}

static inline uint64_t pick(struct gen *g, const uint64_t *values, size_t n)
{
	return values[below(g, (unsigned)n)];
}

/* One of the values. They are no calls of the generator: in which order would be the
 * compiler's choice, and a seed would mean something else there. */
#define PICK(g, ...) pick((g), (const uint64_t[]){ __VA_ARGS__ }, \
			  sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

/* One of [first, end), an open one if there is any, as a rule that in use; or now and then
 * any slot at all. */
uint64_t gen_slot(struct gen *g, unsigned first, unsigned end);
/* Of [first, end), rarely one in use: what is there is closed. */
uint64_t gen_target(struct gen *g, unsigned first, unsigned end);
/* Bytes of some pages. */
uint64_t gen_pages(struct gen *g);

/* Any operation. */
void gen_one(struct gen *g, struct op *op);

#endif
