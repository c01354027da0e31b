/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The generator of random runs.
 *
 * It never sees an answer. What it knows of the state is what ought to be open after what
 * it said, and the places that it mapped; from these it chooses most of the time, so that
 * the states behind the first checks are reached, and now and then from anything. Numbers
 * come from short tables of values at and beside the limits.
 */
#include "gen.h"

#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

/* ---- slots ---- */

uint64_t gen_slot(struct gen *g, unsigned first, unsigned end)
{
	unsigned at = first + below(g, end - first);

	if (one_in(g, 40))
		return below(g, SLOT_NAMES);
	for (unsigned i = 0; i < 3; i++)
		if (g->main[i] >= first && g->main[i] < end && g->open[g->main[i]] &&
		    !one_in(g, 4))
			return g->main[i];
	for (unsigned i = first; i < end; i++, at = at + 1 < end ? at + 1 : first)
		if (g->open[at])
			break;
	return at;
}

static uint64_t container(struct gen *g)
{
	return gen_slot(g, SLOT_CONTAINER, SLOT_GROUP);
}

static uint64_t group(struct gen *g)
{
	return gen_slot(g, SLOT_GROUP, SLOT_DEVICE);
}

static uint64_t device(struct gen *g)
{
	return gen_slot(g, SLOT_DEVICE, SLOT_EVENT);
}

/* A signal for SET_IRQS: of those whose counts are read, or none, or nonsense. */
static uint64_t trigger(struct gen *g)
{
	if (one_in(g, 5))
		return SLOT_M1;
	if (one_in(g, 12))
		return PICK(g, SLOT_M2, SLOT_BAD, SLOT_OTHER, SLOT_CONTAINER, SLOT_DEVICE);
	return gen_slot(g, SLOT_EVENT, SLOT_WATCHED);
}

/* One that VFIO is to listen to. */
static uint64_t watched(struct gen *g)
{
	if (one_in(g, 4))
		return SLOT_M1;
	if (one_in(g, 10))
		return PICK(g, SLOT_M2, SLOT_BAD, SLOT_OTHER, SLOT_GROUP);
	return SLOT_WATCHED + below(g, 2);
}

static uint64_t place(struct gen *g)
{
	return one_in(g, 16) ? below(g, AT_PLACES) : AT_ARG;
}

static uint64_t argsz(struct gen *g, uint64_t right)
{
	if (one_in(g, 12))
		return PICK(g, 0, 1, 4, right - 1, right - 4, right + 1, right + 8, 0xffffffff,
			    0x80000000);
	return right;
}

/* ---- memory ---- */

uint64_t gen_pages(struct gen *g)
{
	return (1 + below(g, 8)) * ARENA_PAGE;
}

/* Of a mapping that was asked for, or beside one, or at the limits. */
static uint64_t iova(struct gen *g)
{
	if (one_in(g, 14))
		return PICK(g, 0, ~0ull, ~0ull - 4095, 0xfee00000, 0xfedff000, 0xfef00000,
			    1ull << 39, (1ull << 39) - 4096, 1ull << 48, 1ull << 57, 1ull << 63,
			    0x1001, 0x800);
	if (g->n_maps && one_in(g, 2))
		return g->maps[below(g, g->n_maps)].iova;
	return below(g, 64) * ARENA_PAGE;
}

static uint64_t any_size(struct gen *g, uint64_t iova)
{
	if (one_in(g, 14))
		return PICK(g, 0, 1, 4095, 4097, ~0ull, ~0ull - 4095, 1ull << 63, 1ull << 43,
			    (1ull << 43) - 4096, 1ull << 30, 1ull << 39, 0x800);
	for (unsigned i = 0; i < g->n_maps; i++)
		if (g->maps[i].iova == iova && !one_in(g, 4))
			return g->maps[i].size;
	return one_in(g, 8) ? 64 * ARENA_PAGE : gen_pages(g);
}

/* No range ends at the top of all addresses: there comparisons overflow in kernels up to 6.12,
 * and what is then left mapped would be a difference in all that follows (T1-042). */
static uint64_t size_of(struct gen *g, uint64_t iova)
{
	uint64_t size = any_size(g, iova);

	return iova && iova + size == 0 ? size - ARENA_PAGE : size;
}

static uint64_t vaddr(struct gen *g)
{
	if (one_in(g, 6))
		return PICK(g, ARENA_RO, ARENA_RO - 1, ARENA_NONE, ARENA_NONE - 1, ARENA_HOLE,
			    ARENA_HOLE - 1, ARENA_SHARED, ARENA_SHARED + 1) * ARENA_PAGE;
	if (one_in(g, 16))
		return PICK(g, 1, 0x800, ~0ull - 4095, ~0ull, 1ull << 63, 1ull << 47, 1ull << 46,
			    (1ull << 47) - 4096);
	return below(g, ARENA_RO - 8) * ARENA_PAGE;
}

static void map(struct gen *g, struct op *op)
{
	unsigned at;

	op->arg[0] = container(g);
	op->arg[1] = argsz(g, 32);
	op->arg[2] = one_in(g, 8) ? PICK(g, 0, 4, 5, 6, 7, 8, 0x80000000, 4, 4) :
		PICK(g, 1, 2, 3, 3, 3);
	op->arg[3] = vaddr(g);
	op->arg[4] = op->arg[2] != 4 && one_in(g, 2) ? below(g, 64) * ARENA_PAGE : iova(g);
	op->arg[5] = size_of(g, op->arg[4]);
	op->arg[6] = place(g);
	at = g->n_maps < GEN_MAPS ? g->n_maps++ : below(g, GEN_MAPS);
	g->maps[at].iova = op->arg[4];
	g->maps[at].size = op->arg[5];
}

/* The bitmap of a request of @size, in op->arg[from …]. */
static void bitmap(struct gen *g, struct op *op, unsigned from, uint64_t size)
{
	uint64_t bytes = (size / ARENA_PAGE + 63) / 64 * 8;

	op->arg[from] = one_in(g, 12) ? PICK(g, 0, 1, 2048, 8192, 0x200000, 1ull << 63, 4097) :
		ARENA_PAGE;
	op->arg[from + 1] = one_in(g, 8) ? PICK(g, 0, 1, 7, 8, bytes - 1, bytes + 8, 1ull << 28,
		(1ull << 28) + 8, ~0ull) : bytes;
	op->arg[from + 2] = one_in(g, 10) ? PICK(g, ARENA_RO * ARENA_PAGE, 0xffff800000000000,
		ARENA_HOLE * ARENA_PAGE, ~0ull - 7, ARENA_ARG_RO * ARENA_PAGE - 8) :
		ARENA_BITMAP * ARENA_PAGE + (one_in(g, 6) ? below(g, 16) : 0);
}

static void unmap(struct gen *g, struct op *op)
{
	static const uint64_t flags[] = { 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 4, 4, 6, 3, 5, 7, 8,
		0x80000000 };

	op->arg[0] = container(g);
	op->arg[2] = pick(g, flags, sizeof(flags) / sizeof(flags[0]));
	op->arg[1] = argsz(g, op->arg[2] & 1 ? 48 : 24);
	op->arg[3] = op->arg[2] & 2 && !one_in(g, 6) ? 0 : iova(g);
	op->arg[4] = op->arg[2] & 2 && !one_in(g, 6) ? 0 : size_of(g, op->arg[3]);
	bitmap(g, op, 5, op->arg[4]);
	op->arg[8] = place(g);
}

static void dirty(struct gen *g, struct op *op)
{
	op->arg[0] = container(g);
	op->arg[1] = argsz(g, 48);
	op->arg[2] = one_in(g, 12) ? PICK(g, 0, 3, 5, 6, 7, 8) : PICK(g, 1, 4, 4, 4, 4, 4, 2);
	op->arg[3] = one_in(g, 3) ? 0 : iova(g);
	op->arg[4] = one_in(g, 3) ? 64 * ARENA_PAGE : size_of(g, op->arg[3]);
	bitmap(g, op, 5, op->arg[4]);
	op->arg[8] = place(g);
}

/* ---- devices ---- */

static uint64_t region(struct gen *g)
{
	return one_in(g, 6) ? below(g, 12) : PICK(g, 0, 0, 0, 7);
}

static uint64_t offset(struct gen *g, uint64_t region)
{
	if (one_in(g, 5))
		return PICK(g, 0xff, 0x100, 0xfff, 0x1000, 0x3ffc, 0x3fff, 0x4000, 0xffffc, 0xfffff,
			    0x100000, (1ull << 40) - 4, 0xa0000, 0x3b0, 0x2000, 0x20);
	return region == 7 ? below(g, 64) : PICK(g, 0, 4, 8);
}

static void irqs(struct gen *g, struct op *op)
{
	uint64_t type = one_in(g, 24) ? PICK(g, 0, 3, 5, 6, 7) : PICK(g, 1, 2, 4, 4, 4);
	uint64_t action = one_in(g, 24) ? PICK(g, 0, 0x18, 0x28, 0x30, 0x38, 0x60, 0x80) :
		PICK(g, 0x20, 0x20, 0x20, 0x20, 0x08, 0x10);
	uint64_t count;

	op->arg[0] = device(g);
	op->arg[3] = one_in(g, 24) ? PICK(g, 5, 6, 0xffffffff) : one_in(g, 3) ?
		PICK(g, 0, 1, 2, 3, 3, 4, 4) : g->irq;
	op->arg[4] = one_in(g, 8) ?
		PICK(g, 1, 2, 3, 4, 31, 63, 64, 65, 0xfffffffe, 0xffffffff) :
		op->arg[3] == 2 ? below(g, 4) : 0;
	count = one_in(g, 8) ?
		PICK(g, 0, 2, 5, 32, 64, 65, 66, 0x400, 0xfffffffe, 0xffffffff) :
		op->arg[3] == 2 ? 1 + below(g, 4) : 1;
	if (type == 1 && one_in(g, 2))
		count = 0;
	if (type == 1 && action == 0x20 && !count)	/* off */
		g->irq = PICK(g, 0, g->irq, g->main_irq);
	op->arg[2] = type | action;
	op->arg[5] = count;
	op->arg[1] = argsz(g, 20 + (type == 4 ? 4 : type == 2) * (count & 0xfff));
	for (unsigned i = 0; i < 4; i++)
		op->arg[6 + i] = action == 0x10 ? watched(g) : trigger(g);
	op->arg[10] = place(g);
}

/* A write that does no harm to the machine: not to the I/O bit of an emulated bridge's
 * device, nor to capabilities without looking where they are. */
static void cfg_set(struct gen *g, struct op *op)
{
	op->arg[0] = device(g);
	op->arg[1] = one_in(g, 3) ? 4 : one_in(g, 4) ? below(g, 0x40) :
		0x10 + 4 * below(g, 6);
	op->arg[2] = one_in(g, 6) ? PICK(g, 1, 2, 3, 4) : op->arg[1] == 4 ? 2 : 4;
	op->arg[3] = op->arg[1] == 4 ? PICK(g, 0, 2, 2, 2, 4, 6, 6, 0x402, 0x406, 0x400) :
		PICK(g, 0, ~0u, 0x12345678, ~0u, 0xf0000000, 1, 0x80);
}

static void cap_set(struct gen *g, struct op *op)
{
	static const uint64_t caps[][4] = {	/* id, offset, length, mask of the value */
		{ 5, 2, 2, 0xff }, { 5, 2, 2, 1 }, { 5, 4, 4, ~0u }, { 17, 2, 2, 0xc000 },
		{ 17, 4, 4, ~0u }, { 1, 4, 2, 3 }, { 1, 4, 2, 3 }, { 16, 8, 2, 0x10 },
	};
	const uint64_t *cap = caps[below(g, sizeof(caps) / sizeof(caps[0]))];

	op->arg[0] = device(g);
	memcpy(&op->arg[1], cap, 3 * sizeof(*cap));
	op->arg[4] = any(g) & cap[3];
	if (cap[0] == 1 && !one_in(g, 3))
		op->arg[4] = 0;
}

/* ---- the rest ---- */

static void raw_ioctl(struct gen *g, struct op *op)
{
	op->arg[0] = one_in(g, 3) ? container(g) : one_in(g, 2) ? group(g) : device(g);
	op->arg[1] = 100 + below(g, 26);
	if (op->arg[1] == 104)		/* its argument is a number of a file */
		op->arg[1] = 126;
	op->arg[2] = PICK(g, 0, 8, 12, 16, 24, 32, 40, 48);
	op->arg[3] = one_in(g, 4) ? below(g, AT_PLACES) : AT_ARG;
}

static bool is_main(struct gen *g, uint64_t slot)
{
	return slot == g->main[0] || slot == g->main[1] || slot == g->main[2];
}

uint64_t gen_target(struct gen *g, unsigned first, unsigned end)
{
	unsigned at = first + below(g, end - first);

	return is_main(g, at) && !one_in(g, 16) ? at + 1 < end ? at + 1 : first : at;
}

static void opens(struct gen *g, struct op *op)
{
	switch (op->code) {
	case OP_CONTAINER:
		op->arg[0] = gen_target(g, SLOT_CONTAINER, SLOT_GROUP);
		break;
	case OP_GROUP:
		op->arg[0] = gen_target(g, SLOT_GROUP, SLOT_DEVICE);
		op->arg[1] = below(g, DEVICES);
		break;
	case OP_DEVICE:
		op->arg[0] = group(g);
		op->arg[1] = gen_target(g, SLOT_DEVICE, SLOT_EVENT);
		op->arg[2] = one_in(g, 4) ? below(g, OP_NAMES) : below(g, DEVICES);
		op->arg[3] = place(g);
		g->open[op->arg[1]] = true;
		return;
	case OP_EVENTFD:
		op->arg[0] = SLOT_EVENT + below(g, SLOT_OTHER - SLOT_EVENT);
		op->arg[1] = one_in(g, 4) ? below(g, 4) : 0;
		break;
	default: {	/* OP_DUP: within a kind */
		static const unsigned first[] = { SLOT_CONTAINER, SLOT_GROUP, SLOT_DEVICE,
			SLOT_EVENT, SLOT_WATCHED };
		unsigned kind = below(g, 4);

		op->arg[0] = gen_slot(g, first[kind], first[kind + 1]);
		if (op->arg[0] < first[kind] || op->arg[0] >= first[kind + 1])
			op->arg[0] = first[kind];
		op->arg[1] = gen_target(g, first[kind], first[kind + 1]);
		g->open[op->arg[1]] = g->open[op->arg[0]];
		return;
	}
	}
	g->open[op->arg[0]] = true;
}

static void closes(struct gen *g, struct op *op)
{
	op->arg[0] = one_in(g, 2) ? device(g) : one_in(g, 3) ? group(g) : one_in(g, 2) ?
		container(g) : gen_slot(g, SLOT_EVENT, SLOT_OTHER);
	if (op->arg[0] >= SLOT_OTHER)
		op->arg[0] = SLOT_DEVICE;
	if (is_main(g, op->arg[0]) && !one_in(g, 6))
		op->arg[0] = SLOT_EVENT + below(g, 4);
	g->open[op->arg[0]] = false;
}

static void processes(struct gen *g, struct op *op)
{
	if (g->child || one_in(g, 3)) {
		op->code = g->held ? OP_UNHOLD : OP_HOLD;
		if (g->child)
			op->code = OP_VERSION;
		else
			g->held = !g->held;
		return;
	}
	op->code = OP_FORK;
	g->child = true;
	g->child_left = 1 + below(g, 12);
	memcpy(g->saved, g->open, sizeof(g->saved));
}

static void calls(struct gen *g, struct op *op)
{
	switch (op->code) {
	case OP_ATTACH:
		op->arg[0] = group(g);
		op->arg[1] = one_in(g, 10) ? below(g, SLOT_NAMES) : container(g);
		op->arg[2] = place(g);
		break;
	case OP_DETACH:
		op->arg[0] = group(g);
		break;
	case OP_STATUS:
		op->arg[0] = group(g);
		op->arg[1] = argsz(g, 8);
		op->arg[2] = place(g);
		break;
	case OP_IOMMU:
		op->arg[0] = container(g);
		op->arg[1] = one_in(g, 4) ? below(g, 13) : PICK(g, 1, 3, 3, 3);
		break;
	case OP_EXTENSION:
		op->arg[0] = container(g);
		op->arg[1] = one_in(g, 8) ? PICK(g, ~0ull, 1ull << 32, 1ull << 32 | 1) :
			below(g, 13);
		break;
	case OP_INFO:
		op->arg[0] = container(g);
		op->arg[1] = one_in(g, 2) ? 256 :
			PICK(g, 0, 8, 15, 16, 20, 23, 24, 56, 72, 103, 104, 120, 135, 136);
		op->arg[2] = place(g);
		break;
	case OP_DEV_INFO:
	case OP_HOT_INFO:
		op->arg[0] = device(g);
		op->arg[1] = argsz(g, op->code == OP_DEV_INFO ? 24 : 12 + 8 * below(g, 3));
		op->arg[2] = place(g);
		break;
	case OP_REGION_INFO:
	case OP_IRQ_INFO:
		op->arg[0] = device(g);
		op->arg[1] = op->code == OP_IRQ_INFO ? argsz(g, 16) :
			argsz(g, PICK(g, 32, 40, 64));
		op->arg[2] = one_in(g, 8) ? PICK(g, 10, 11, 0x80000000, ~0u) : below(g, 10);
		op->arg[3] = place(g);
		break;
	case OP_HOT_RESET:
		op->arg[0] = device(g);
		op->arg[1] = argsz(g, 16);
		op->arg[2] = one_in(g, 8);
		op->arg[3] = PICK(g, 0, 1, 2, 3, ~0u);
		op->arg[4] = PICK(g, SLOT_M1, SLOT_BAD, SLOT_OTHER, SLOT_CONTAINER);
		op->arg[5] = group(g);
		op->arg[6] = place(g);
		break;
	case OP_IOEVENTFD:
		op->arg[0] = device(g);
		op->arg[1] = argsz(g, 32);
		op->arg[2] = one_in(g, 4) ? PICK(g, 0, 3, 8, 16, 1, 2) : 4;
		op->arg[3] = region(g);
		op->arg[4] = one_in(g, 3) ? offset(g, op->arg[3]) : 0;
		op->arg[5] = below(g, 3);
		op->arg[6] = watched(g);
		op->arg[7] = place(g);
		break;
	case OP_FEATURE:
		op->arg[0] = device(g);
		op->arg[1] = argsz(g, 16);
		op->arg[2] = PICK(g, 0, 1, 2, 4, 5, 6, 7, 8, 4) << 16;
		op->arg[2] |= below(g, 14);
		op->arg[3] = watched(g);
		op->arg[4] = place(g);
		break;
	default:
		op->arg[0] = device(g);
		break;
	}
}

static void accesses(struct gen *g, struct op *op)
{
	op->arg[0] = device(g);
	switch (op->code) {
	case OP_CFG:
		op->arg[1] = PICK(g, 0, 4, 6, 8, 0x0e, 0x2c, 0x34, 0x3c, 0x3d, 0x3e, 0x30, 0x100,
			    0xff, 0xffc, 0xfff, 0x1000);
		op->arg[2] = PICK(g, 1, 2, 4, 3);
		break;
	case OP_MMAP:
		op->arg[1] = region(g);
		op->arg[2] = one_in(g, 3) ? offset(g, op->arg[1]) / ARENA_PAGE * ARENA_PAGE : 0;
		op->arg[3] = PICK(g, 4096, 4096, 8192, 0x4000, 0x5000, 0x100000, 0x101000);
		op->arg[4] = PICK(g, 1, 2, 3, 3);
		op->arg[5] = one_in(g, 6) ? 2 : 1;
		break;
	default:
		op->arg[1] = region(g);
		op->arg[2] = offset(g, op->arg[1]);
		op->arg[3] = one_in(g, 5) ? PICK(g, 0, 1, 2, 3, 8, 16, 255, 4096) : 4;
		op->arg[4] = PICK(g, 0, 1, 0x12345678, ~0u);
		break;
	}
}

/* How often in all that are listed. What opens a device is slow on the kernel. */
static const struct {
	enum op_code code;
	unsigned weight;
	void (*fill)(struct gen *g, struct op *op);
} kinds[] = {
	{ OP_CONTAINER, 6, opens }, { OP_GROUP, 12, opens }, { OP_DEVICE, 8, opens },
	{ OP_DUP, 8, opens }, { OP_EVENTFD, 8, opens }, { OP_CLOSE, 14, closes },
	{ OP_ATTACH, 12, calls }, { OP_DETACH, 5, calls }, { OP_STATUS, 8, calls },
	{ OP_IOMMU, 10, calls }, { OP_EXTENSION, 6, calls }, { OP_VERSION, 2, calls },
	{ OP_INFO, 10, calls }, { OP_MAP, 40, map }, { OP_UNMAP, 30, unmap },
	{ OP_DIRTY, 24, dirty }, { OP_IOCTL, 16, raw_ioctl }, { OP_DEV_INFO, 4, calls },
	{ OP_REGION_INFO, 10, calls }, { OP_IRQ_INFO, 6, calls }, { OP_IRQS, 50, irqs },
	{ OP_READ, 14, accesses }, { OP_WRITE, 8, accesses }, { OP_CFG, 12, accesses },
	{ OP_CFG_SET, 14, cfg_set }, { OP_CAP_SET, 10, cap_set }, { OP_RESET, 2, calls },
	{ OP_HOT_INFO, 3, calls }, { OP_HOT_RESET, 3, calls }, { OP_IOEVENTFD, 8, calls },
	{ OP_FEATURE, 8, calls }, { OP_COUNT, 20, NULL }, { OP_SIGNAL, 4, NULL },
	{ OP_MMAP, 6, accesses }, { OP_FORK, 6, processes },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

void gen_one(struct gen *g, struct op *op)
{
	unsigned total = 0, at, i;

	for (i = 0; i < KINDS; i++)
		total += kinds[i].weight;
	at = below(g, total);
	for (i = 0; at >= kinds[i].weight; i++)
		at -= kinds[i].weight;
	op->code = kinds[i].code;
	if (op->code == OP_COUNT)
		op->arg[0] = gen_slot(g, SLOT_EVENT, SLOT_WATCHED);
	else if (op->code == OP_SIGNAL)
		op->arg[0] = SLOT_WATCHED + below(g, 2);
	else
		kinds[i].fill(g, op);
}

