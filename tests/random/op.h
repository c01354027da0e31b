/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * random/op.h - operations of the random runs: what they are, and their text.
 *
 * An operation is a code and numbers, nothing else, so that a sequence means the same on
 * every /dev/vfio: files are named by slot, memory by its place in the arena. A line of text
 * is one operation:
 *
 *     map c0 argsz=0x20 flags=0x3 vaddr=0x1000 iova=0x40000 size=0x2000 at=0x0
 *
 * Slots c0…c2 hold containers, g0…g3 groups, d0…d3 devices, e0…e3 eventfds whose counts are
 * read, u0 and u1 eventfds that VFIO listens to (whose counts nobody can know), and x0 a file
 * of another kind; m1, m2 and bad are -1, -2 and a number that is never open.
 */
#ifndef RANDOM_OP_H
#define RANDOM_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum op_code {
	OP_CONTAINER, OP_GROUP, OP_DEVICE, OP_CLOSE, OP_DUP, OP_ATTACH, OP_DETACH, OP_STATUS,
	OP_IOMMU, OP_EXTENSION, OP_VERSION, OP_INFO, OP_MAP, OP_UNMAP, OP_DIRTY, OP_IOCTL,
	OP_DEV_INFO, OP_REGION_INFO, OP_IRQ_INFO, OP_IRQS, OP_READ, OP_WRITE, OP_CFG,
	OP_CFG_SET, OP_CAP_SET, OP_RESET, OP_HOT_INFO, OP_HOT_RESET, OP_IOEVENTFD, OP_FEATURE,
	OP_EVENTFD, OP_COUNT, OP_SIGNAL, OP_MMAP, OP_FORK, OP_END, OP_HOLD, OP_UNHOLD,
	OP_CODES
};

#define OP_ARGS 11

struct op {
	enum op_code code;
	uint64_t arg[OP_ARGS];		/* in the order of its text */
};

/* ---- slots ---- */

enum {
	SLOT_CONTAINER = 0, SLOT_GROUP = 3, SLOT_DEVICE = 7, SLOT_EVENT = 11, SLOT_WATCHED = 15,
	SLOT_OTHER = 17, SLOTS = 18,	/* from here on no files */
	SLOT_M1 = SLOTS, SLOT_M2, SLOT_BAD, SLOT_NAMES
};

/* ---- memory ---- */

/*
 * The arena: ARENA_PAGES pages. Of the pages that mappings use, some lack rights. Arguments
 * of ioctls stand at one of the places below, which differ in what can be copied there.
 */
#define ARENA_PAGE 4096u
#define ARENA_PAGES 64u
#define ARENA_RO 32u			/* pages from here on are read-only */
#define ARENA_NONE 40u			/* … without rights */
#define ARENA_HOLE 44u			/* … not there */
#define ARENA_SHARED 48u		/* … shared and writable */
#define ARENA_ARG 56u			/* a page for arguments */
#define ARENA_ARG_RO 57u		/* a read-only one behind it */
#define ARENA_BITMAP 60u		/* where bitmaps stand as a rule; to the end */
#define ARENA_RAW (1ull << 40)		/* addresses from here on are not in the arena */

enum op_place {
	AT_ARG,				/* where everything works */
	AT_RO,				/* the kernel can read there, and not write */
	AT_EDGE,			/* 16 bytes before a page that is read-only */
	AT_HOLE,			/* nothing is there */
	AT_NULL,
	AT_KERNEL,			/* no address of a process */
	AT_PLACES
};

/* Files by name; which device a name means. */
enum { DEVICE_A, DEVICE_B, DEVICES };
#define OP_NAMES 10u			/* kinds of names for OP_DEVICE; see exec.c */

/* The argument's name, or NULL after the last; a slot's is "s", "t", "fd" or "d0" … "d3". */
const char *op_arg_name(enum op_code code, unsigned n);
bool op_arg_is_slot(enum op_code code, unsigned n);
const char *op_name(enum op_code code);

/* Writes the line, without newline. */
void op_print(const struct op *op, char *text, size_t size);

/* Return: false if the line is none of op_print(). */
bool op_parse(const char *line, struct op *ret_op);

/* ---- generator ---- */

/* @n operations that depend on @seed alone. The caller frees them. */
struct op *op_generate(uint64_t seed, size_t n);

#endif
