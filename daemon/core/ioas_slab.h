/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/ioas_slab.h - nodes of large maps, side by side in huge pages; for ioas_tree.c.
 *
 * A look-up in a map of many megabytes waits for memory, and with small pages once more
 * for the page tables. Small maps do not come here: they would waste a slab.
 */
#ifndef CORE_IOAS_SLAB_H
#define CORE_IOAS_SLAB_H

#include <stddef.h>

#define IOAS_SLAB_SIZE (2u << 20)	/* and alignment: a huge page of x86-64 */
#define IOAS_SLOT_SIZE 1344u		/* a node of either kind, in whole cache lines */

struct ioas_slab;

/* Slabs that have room, in no order. All zero: none. */
struct ioas_slabs {
	struct ioas_slab *partial;
};

/* One slot, not cleared. @bytes: grows by IOAS_SLAB_SIZE if it takes a new slab.
 * Return: NULL if there is no memory. */
void *ioas_slab_alloc(struct ioas_slabs *slabs, size_t *bytes);
/* A slab whose last slot is freed goes back to the system, unless it is the only one with
 * room: a map that goes up and down by a node must not pay for a slab each time. */
void ioas_slab_free(struct ioas_slabs *slabs, void *slot, size_t *bytes);
/* No slot is in use any more: give back that last one, too. */
void ioas_slabs_done(struct ioas_slabs *slabs, size_t *bytes);

#endif
