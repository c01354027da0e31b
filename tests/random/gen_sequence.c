/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sequences: single operations, and between them a few that belong together, for states
 * that chance alone would hardly reach.
 */
#include "gen.h"

#include <stdlib.h>
#include <string.h>

/* A device in use: closes what is open, so that it can be had, and opens all that is
 * needed. Return: how many operations that took. */
static size_t begin(struct gen *g, struct op *ops, size_t n)
{
	const uint64_t type = PICK(g, 1, 3, 3, 3), which = below(g, DEVICES);
	const unsigned c = below(g, 3), gr = SLOT_GROUP + below(g, 4);
	const unsigned d = SLOT_DEVICE + below(g, 4);
	const struct op start[] = {
		{ OP_CONTAINER, { c } },
		{ OP_GROUP, { gr, which } },
		{ OP_EVENTFD, { SLOT_EVENT, 0 } },
		{ OP_EVENTFD, { SLOT_WATCHED, 0 } },
		{ OP_ATTACH, { gr, c, AT_ARG } },
		{ OP_IOMMU, { c, type } },
		{ OP_DEVICE, { gr, d, which, AT_ARG } },
	};
	size_t many = 0;

	if (g->held && many < n) {
		g->held = false;
		ops[many++].code = OP_UNHOLD;
	}
	for (unsigned i = SLOT_GROUP; i < SLOT_EVENT && many < n; i++)
		if (g->open[i]) {
			g->open[i] = false;
			ops[many++] = (struct op){ OP_CLOSE, { i } };
		}
	for (size_t i = 0; i < sizeof(start) / sizeof(start[0]) && many < n; i++) {
		ops[many++] = start[i];
		g->open[start[i].code == OP_DEVICE ? d : start[i].arg[0]] = true;
	}
	g->main[0] = c;
	g->main[1] = gr;
	g->main[2] = d;
	g->main_irq = which == DEVICE_A ? 1 : 2;
	g->irq = one_in(g, 2) ? 0 : g->main_irq;
	g->n_maps = 0;
	g->lost = 0;
	return many;
}

/* Whether it is time for that: when one of the files in use has been closed for a while,
 * or in the middle of all to look at the other device. */
static bool is_lost(struct gen *g)
{
	if (!g->open[g->main[0]] || !g->open[g->main[1]] || !g->open[g->main[2]])
		g->lost++;
	return g->lost > 12 || one_in(g, 150);
}

/* The other group joins the container in use. The same return. */
static size_t join(struct gen *g, struct op *ops, size_t n)
{
	const uint64_t gr = gen_target(g, SLOT_GROUP, SLOT_DEVICE);
	const uint64_t which = below(g, DEVICES);
	const uint64_t d = gen_target(g, SLOT_DEVICE, SLOT_EVENT);
	const struct op list[] = {
		{ OP_GROUP, { gr, which } },
		{ OP_ATTACH, { gr, g->main[0], AT_ARG } },
		{ OP_DEVICE, { gr, d, which, AT_ARG } },
	};
	size_t many = sizeof(list) / sizeof(list[0]);

	if (many > n)
		many = n;
	memcpy(ops, list, many * sizeof(*ops));
	g->open[gr] = g->open[d] = true;
	return many;
}

/* The group in use leaves its container, which its devices have to be closed for, and
 * comes back, or goes to another one. */
static size_t leave(struct gen *g, struct op *ops, size_t n)
{
	const uint64_t c = one_in(g, 2) ? g->main[0] :
		gen_target(g, SLOT_CONTAINER, SLOT_GROUP);
	const struct op list[] = {
		{ OP_DETACH, { g->main[1] } },
		{ OP_INFO, { g->main[0], 256, AT_ARG } },
		{ OP_ATTACH, { g->main[1], c, AT_ARG } },
		{ OP_IOMMU, { c, PICK(g, 1, 3, 3) } },
	};
	size_t many = 0;

	for (unsigned i = SLOT_DEVICE; i < SLOT_EVENT && many < n; i++)
		if (g->open[i]) {
			g->open[i] = one_in(g, 6);
			if (!g->open[i])
				ops[many++] = (struct op){ OP_CLOSE, { i } };
		}
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && many < n; i++)
		ops[many++] = list[i];
	if (g->open[c])
		g->main[0] = (unsigned)c;
	return many;
}

/* What a program does that hands its memory on: vaddrs are taken away and given again. */
static size_t hand_on(struct gen *g, struct op *ops, size_t n)
{
	const uint64_t at = 70 * ARENA_PAGE, size = gen_pages(g), c = g->main[0];
	const uint64_t other = gen_slot(g, SLOT_GROUP, SLOT_DEVICE), flags = PICK(g, 4, 4, 6);
	const struct op list[] = {
		{ OP_MAP, { c, 32, 3, 0, at, size, AT_ARG } },
		{ OP_UNMAP, { c, 24, flags, 0, 0, ARENA_PAGE, 8,
			ARENA_BITMAP * ARENA_PAGE, AT_ARG } },
		{ OP_ATTACH, { other, c, AT_ARG } },
		{ OP_MAP, { c, 32, 4, ARENA_PAGE, at, size, AT_ARG } },
		{ OP_MAP, { c, 32, 4, ARENA_PAGE, at, size, AT_ARG } },
	};
	size_t many = sizeof(list) / sizeof(list[0]);

	if (many > n)
		many = n;
	memcpy(ops, list, many * sizeof(*ops));
	if (many > 1 && flags == 4) {
		ops[1].arg[3] = at;
		ops[1].arg[4] = size;
	}
	return many;
}

struct op *op_generate(uint64_t seed, size_t n)
{
	struct gen g = { .state = seed };
	struct op *ops = calloc(n ? n : 1, sizeof(*ops));
	size_t i = 0;

	if (!ops)
		return NULL;
	if (!one_in(&g, 6))
		i = begin(&g, ops, n);
	while (i < n) {
		if (g.child && !g.child_left--) {
			g.child = false;
			memcpy(g.open, g.saved, sizeof(g.open));
			ops[i++].code = OP_END;
		} else if (!g.child && is_lost(&g)) {
			i += begin(&g, ops + i, n - i);
		} else if (one_in(&g, 60)) {
			static size_t (*const scripts[])(struct gen *g, struct op *ops,
							 size_t n) = { join, leave, hand_on };

			i += scripts[g.child ? 0 : below(&g, 3)](&g, ops + i, n - i);
		} else {
			gen_one(&g, &ops[i++]);
		}
	}
	return ops;
}
