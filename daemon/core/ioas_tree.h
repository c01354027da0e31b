/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/ioas_tree.h - ordered set of disjoint mappings; for ioas.c and ioas_dma.c alone.
 *
 * No locks of its own: reading calls need the ioas lock for reading, the others for
 * writing.
 */
#ifndef CORE_IOAS_TREE_H
#define CORE_IOAS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vfio-cused/cused.h>
#include <core/ioas_slab.h>

#define IOAS_LEAF_MAX 32
#define IOAS_INNER_MAX 64
#define IOAS_HEIGHT_MAX 24
/* Bytes of nodes from which on further ones go to slabs (about 100,000 mappings). */
#define IOAS_SLABS_FROM (4u << 20)

/* What a mapping is, apart from its first IOVA and its flags. */
struct ioas_value {
	uint64_t last;
	uint64_t vaddr;
	uintptr_t owner;	/* a struct mm or more, tagged: see ioas_dma.c */
};

/* Keys apart from values, so that a search runs over few lines; what is neither fits in
 * one more. */
struct ioas_leaf {
	struct ioas_leaf *prev, *next;
	uint16_t n;				/* 1 … IOAS_LEAF_MAX */
	bool in_slab;
	uint8_t flags[IOAS_LEAF_MAX];		/* enum ioas_flags of ioas_internal.h */
	uint64_t first[IOAS_LEAF_MAX];
	struct ioas_value value[IOAS_LEAF_MAX];
	uint64_t keep_id[IOAS_LEAF_MAX];	/* of no interest to who translates: last */
};

struct ioas_tree {
	void *root;		/* NULL; leaf if height is 0; else inner node */
	unsigned height;	/* inner nodes from the root to a leaf */
	size_t count;
	size_t bytes;		/* memory in use by nodes, allocator's overhead included */
	struct ioas_slabs slabs;
};

struct ioas_pos {
	struct ioas_leaf *leaf;
	unsigned i;
};

/* Add. The caller has seen that nothing overlaps. Return: 0, -ENOMEM. */
int ioas_tree_insert(struct ioas_tree *tree, uint64_t first,
		     const struct ioas_value *value, uint8_t flags, uint64_t keep_id);
/* The lowest mapping that overlaps @range. */
bool ioas_tree_seek(const struct ioas_tree *tree, struct cused_range range,
		    struct ioas_pos *ret);
/* The next one up. */
bool ioas_tree_next(struct ioas_pos *pos);
/* Remove the mapping with this first IOVA; needs no memory. Return: was it there? */
bool ioas_tree_remove(struct ioas_tree *tree, uint64_t first);
/* Free all nodes (not what values point to); the tree is empty afterwards. */
void ioas_tree_clear(struct ioas_tree *tree);
/* For tests: is every rule of the structure kept? */
bool ioas_tree_check(const struct ioas_tree *tree);

#endif
