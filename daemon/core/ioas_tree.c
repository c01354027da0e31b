/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 *   A B+tree. Leaves hold the mappings in order and are linked both ways; inner nodes
 *   hold children and, for each but the first, a separator: a lower bound of the keys
 *   below it, and above all keys of the child before. Separators stay when the mapping
 *   they came from goes, so the mapping that contains an address may end in the leaf
 *   *before* the one the search leads to: seek() looks at that one too.
 *
 *   Insertion splits full nodes on the way down. Each split leaves a good tree, so
 *   running out of memory halfway needs no undoing. A full node is cut in the middle,
 *   except at the two ends of the whole map: there the cut leaves the full part full,
 *   because maps are most often built upwards or downwards in order. (Cutting at the end
 *   of *any* leaf would let a client build leaves of one mapping each.)
 *
 *   Removal joins a node that is less than a quarter full with a neighbour if both fit
 *   in one, and frees nodes that are empty. It allocates nothing and cannot fail.
 */
#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <core/ioas_tree.h>

struct ioas_inner {
	uint16_t n;				/* children, >= 1 */
	bool in_slab;
	uint64_t key[IOAS_INNER_MAX];		/* key[0] is not used */
	void *child[IOAS_INNER_MAX];
};

/* Where a walk came through one inner node. */
struct tree_step {
	struct ioas_inner *node;
	unsigned i;
};

static_assert(sizeof(struct ioas_leaf) <= IOAS_SLOT_SIZE &&
	      sizeof(struct ioas_inner) <= IOAS_SLOT_SIZE, "nodes must fit into slots");

static void *tree_alloc(struct ioas_tree *tree, size_t size, bool *ret_in_slab)
{
	void *p = NULL;

	if (tree->slabs.partial || tree->bytes >= IOAS_SLABS_FROM)
		p = ioas_slab_alloc(&tree->slabs, &tree->bytes);
	*ret_in_slab = p != NULL;
	if (!p) {
		p = malloc(size);
		if (p)
			tree->bytes += malloc_usable_size(p) + sizeof(size_t);
	}
	return p;
}

static struct ioas_leaf *leaf_alloc(struct ioas_tree *tree)
{
	bool in_slab;
	struct ioas_leaf *leaf = tree_alloc(tree, sizeof(*leaf), &in_slab);

	if (leaf)
		leaf->in_slab = in_slab;
	return leaf;
}

static struct ioas_inner *inner_alloc(struct ioas_tree *tree)
{
	bool in_slab;
	struct ioas_inner *inner = tree_alloc(tree, sizeof(*inner), &in_slab);

	if (inner)
		inner->in_slab = in_slab;
	return inner;
}

static void tree_free(struct ioas_tree *tree, void *node, unsigned level)
{
	bool in_slab = level == 0 ? ((struct ioas_leaf *)node)->in_slab :
				    ((struct ioas_inner *)node)->in_slab;

	if (in_slab) {
		ioas_slab_free(&tree->slabs, node, &tree->bytes);
		return;
	}
	tree->bytes -= malloc_usable_size(node) + sizeof(size_t);
	free(node);
}

/* Number of the @n sorted keys that are <= @key. No branch depends on the data. */
static inline unsigned tree_upper(const uint64_t *keys, unsigned n, uint64_t key)
{
	const uint64_t *base = keys;

	while (n > 1) {
		unsigned half = n / 2;

		base = base[half - 1] <= key ? base + half : base;
		n -= half;
	}
	return (unsigned)(base - keys) + (n == 1 && *base <= key);
}

/* Index of the child whose keys may include @key. */
static inline unsigned inner_index(const struct ioas_inner *node, uint64_t key)
{
	return tree_upper(node->key + 1, node->n - 1u, key);
}

#define CACHE_LINE 64u

/* Load what a search is about to jump about in, all at once instead of line by line: in a
 * large map each line is a wait for memory. */
static inline void tree_prefetch(const void *p, size_t size)
{
	for (size_t i = 0; i < size; i += CACHE_LINE)
		__builtin_prefetch((const char *)p + i);
}

static struct ioas_leaf *tree_descend(const struct ioas_tree *tree, uint64_t key,
				      struct tree_step *ret_path)
{
	void *node = tree->root;

	for (unsigned level = tree->height; level > 0; level--) {
		struct ioas_inner *inner = node;
		unsigned i = inner_index(inner, key);

		if (ret_path)
			ret_path[level - 1] = (struct tree_step){ inner, i };
		node = inner->child[i];
		tree_prefetch(node, level > 1 ? sizeof(struct ioas_inner) :
						offsetof(struct ioas_leaf, keep_id));
	}
	return node;
}

bool ioas_tree_seek(const struct ioas_tree *tree, struct cused_range range,
		    struct ioas_pos *ret)
{
	struct ioas_leaf *leaf;
	unsigned i;

	if (!tree->root)
		return false;
	leaf = tree_descend(tree, range.first, NULL);
	i = tree_upper(leaf->first, leaf->n, range.first);

	/* The last mapping that starts at or below range.first, if it reaches that far. */
	if (i > 0) {
		if (leaf->value[i - 1].last >= range.first) {
			*ret = (struct ioas_pos){ leaf, i - 1 };
			return true;
		}
	} else if (leaf->prev && leaf->prev->value[leaf->prev->n - 1].last >= range.first) {
		*ret = (struct ioas_pos){ leaf->prev, leaf->prev->n - 1u };
		return true;
	}
	/* Else the first that starts above it. */
	if (i == leaf->n) {
		leaf = leaf->next;
		i = 0;
	}
	if (!leaf || leaf->first[i] > range.last)
		return false;
	*ret = (struct ioas_pos){ leaf, i };
	return true;
}

bool ioas_tree_next(struct ioas_pos *pos)
{
	if (++pos->i < pos->leaf->n)
		return true;
	pos->leaf = pos->leaf->next;
	pos->i = 0;
	return pos->leaf != NULL;
}

/* ---- insertion ---- */

/* Move entries [from, from + n) of @src to index @at of @dst; room must have been made. */
static void leaf_copy(struct ioas_leaf *dst, unsigned at, const struct ioas_leaf *src,
		      unsigned from, unsigned n)
{
	memmove(dst->flags + at, src->flags + from, n * sizeof(dst->flags[0]));
	memmove(dst->first + at, src->first + from, n * sizeof(dst->first[0]));
	memmove(dst->value + at, src->value + from, n * sizeof(dst->value[0]));
	memmove(dst->keep_id + at, src->keep_id + from, n * sizeof(dst->keep_id[0]));
}

static void inner_copy(struct ioas_inner *dst, unsigned at, const struct ioas_inner *src,
		       unsigned from, unsigned n)
{
	memmove(dst->key + at, src->key + from, n * sizeof(dst->key[0]));
	memmove(dst->child + at, src->child + from, n * sizeof(dst->child[0]));
}

/* Put @child with its separator at index @at, which is not 0. */
static void inner_insert(struct ioas_inner *node, unsigned at, uint64_t key, void *child)
{
	inner_copy(node, at + 1, node, at, node->n - at);
	node->key[at] = key;
	node->child[at] = child;
	node->n++;
}

/*
 * Cut the full leaf, child @i of @parent, for an insertion of @key.
 * @low_end, @high_end: the leaf is the first, the last of the map
 */
static int leaf_split(struct ioas_tree *tree, struct ioas_inner *parent, unsigned i,
		      uint64_t key, bool low_end, bool high_end)
{
	struct ioas_leaf *left = parent->child[i], *right;
	unsigned pos = tree_upper(left->first, left->n, key), cut = left->n / 2;

	if (high_end && pos == left->n)
		cut = left->n;
	else if (low_end && pos == 0)
		cut = 0;
	right = leaf_alloc(tree);
	if (!right)
		return -ENOMEM;
	right->n = (uint16_t)(left->n - cut);
	leaf_copy(right, 0, left, cut, right->n);
	left->n = (uint16_t)cut;
	right->prev = left;
	right->next = left->next;
	if (right->next)
		right->next->prev = right;
	left->next = right;
	inner_insert(parent, i + 1, right->n ? right->first[0] : key, right);
	return 0;
}

static int inner_split(struct ioas_tree *tree, struct ioas_inner *parent, unsigned i,
		       uint64_t key, bool low_end, bool high_end)
{
	struct ioas_inner *left = parent->child[i], *right;
	unsigned pos = inner_index(left, key), cut = left->n / 2u;

	if (high_end && pos == left->n - 1u)
		cut = left->n - 1u;
	else if (low_end && pos == 0)
		cut = 1;
	right = inner_alloc(tree);
	if (!right)
		return -ENOMEM;
	right->n = (uint16_t)(left->n - cut);
	inner_copy(right, 0, left, cut, right->n);
	left->n = (uint16_t)cut;
	inner_insert(parent, i + 1, right->key[0], right);
	return 0;
}

/* One more level on top, whose only child is the old root. */
static int tree_grow(struct ioas_tree *tree)
{
	struct ioas_inner *root;

	if (tree->height == IOAS_HEIGHT_MAX)
		return -ENOMEM;
	root = inner_alloc(tree);
	if (!root)
		return -ENOMEM;
	root->n = 1;
	root->key[0] = 0;
	root->child[0] = tree->root;
	tree->root = root;
	tree->height++;
	return 0;
}

static bool tree_full(const void *node, unsigned level)
{
	return level == 0 ? ((const struct ioas_leaf *)node)->n == IOAS_LEAF_MAX :
			    ((const struct ioas_inner *)node)->n == IOAS_INNER_MAX;
}

static int tree_first_leaf(struct ioas_tree *tree)
{
	struct ioas_leaf *leaf = leaf_alloc(tree);

	if (!leaf)
		return -ENOMEM;
	leaf->prev = leaf->next = NULL;
	leaf->n = 0;
	tree->root = leaf;
	return 0;
}

int ioas_tree_insert(struct ioas_tree *tree, uint64_t first,
		     const struct ioas_value *value, uint8_t flags, uint64_t keep_id)
{
	bool low_end = true, high_end = true;
	struct ioas_leaf *leaf;
	unsigned pos;
	void *node;
	int r = 0;

	if (!tree->root)
		r = tree_first_leaf(tree);
	else if (tree_full(tree->root, tree->height))
		r = tree_grow(tree);
	if (r)
		return r;

	node = tree->root;
	for (unsigned level = tree->height; level > 0; level--) {
		struct ioas_inner *inner = node;
		unsigned i = inner_index(inner, first);

		if (tree_full(inner->child[i], level - 1)) {
			bool low = low_end && i == 0, high = high_end && i == inner->n - 1u;

			r = level == 1 ? leaf_split(tree, inner, i, first, low, high) :
					 inner_split(tree, inner, i, first, low, high);
			if (r)
				return r;
			i = inner_index(inner, first);
		}
		low_end = low_end && i == 0;
		high_end = high_end && i == inner->n - 1u;
		node = inner->child[i];
	}

	leaf = node;
	pos = tree_upper(leaf->first, leaf->n, first);
	leaf_copy(leaf, pos + 1, leaf, pos, leaf->n - pos);
	leaf->first[pos] = first;
	leaf->value[pos] = *value;
	leaf->flags[pos] = flags;
	leaf->keep_id[pos] = keep_id;
	leaf->n++;
	tree->count++;
	return 0;
}

/* ---- removal ---- */

static void leaf_unlink(struct ioas_leaf *leaf)
{
	if (leaf->prev)
		leaf->prev->next = leaf->next;
	if (leaf->next)
		leaf->next->prev = leaf->prev;
}

static unsigned node_count(const void *node, unsigned level)
{
	return level == 0 ? ((const struct ioas_leaf *)node)->n :
			    ((const struct ioas_inner *)node)->n;
}

/* Take child @i out of @node; it has been freed or is about to be. */
static void inner_drop(struct ioas_inner *node, unsigned i)
{
	inner_copy(node, i, node, i + 1, node->n - i - 1u);
	node->n--;
}

/* Join children @i and @i + 1 of @parent, which are at @level, if one node can hold both. */
static bool tree_join(struct ioas_tree *tree, struct ioas_inner *parent, unsigned i,
		      unsigned level)
{
	void *a = parent->child[i], *b = parent->child[i + 1];
	unsigned max = level == 0 ? IOAS_LEAF_MAX : IOAS_INNER_MAX;

	if (node_count(a, level) + node_count(b, level) > max)
		return false;
	if (level == 0) {
		struct ioas_leaf *left = a, *right = b;

		leaf_copy(left, left->n, right, 0, right->n);
		left->n = (uint16_t)(left->n + right->n);
		leaf_unlink(right);
	} else {
		struct ioas_inner *left = a, *right = b;

		right->key[0] = parent->key[i + 1];
		inner_copy(left, left->n, right, 0, right->n);
		left->n = (uint16_t)(left->n + right->n);
	}
	inner_drop(parent, i + 1);
	tree_free(tree, b, level);
	return true;
}

/* Child @i of @parent at @level has lost something. Return: did @parent lose a child? */
static bool tree_repair(struct ioas_tree *tree, struct ioas_inner *parent, unsigned i,
			unsigned level)
{
	void *node = parent->child[i];
	unsigned n = node_count(node, level);

	if (n == 0) {
		if (level == 0)
			leaf_unlink(node);
		tree_free(tree, node, level);
		inner_drop(parent, i);
		return true;
	}
	if (n >= (level == 0 ? IOAS_LEAF_MAX : IOAS_INNER_MAX) / 4)
		return false;
	if (i > 0 && tree_join(tree, parent, i - 1, level))
		return true;
	return i + 1u < parent->n && tree_join(tree, parent, i, level);
}

bool ioas_tree_remove(struct ioas_tree *tree, uint64_t first)
{
	struct tree_step path[IOAS_HEIGHT_MAX];
	struct ioas_leaf *leaf;
	unsigned pos;

	if (!tree->root)
		return false;
	leaf = tree_descend(tree, first, path);
	pos = tree_upper(leaf->first, leaf->n, first);
	if (pos == 0 || leaf->first[pos - 1] != first)
		return false;
	leaf_copy(leaf, pos - 1, leaf, pos, leaf->n - pos);
	leaf->n--;
	tree->count--;

	for (unsigned level = 0; level < tree->height; level++)
		if (!tree_repair(tree, path[level].node, path[level].i, level))
			break;

	if (node_count(tree->root, tree->height) == 0) {
		tree_free(tree, tree->root, tree->height);
		ioas_slabs_done(&tree->slabs, &tree->bytes);
		tree->root = NULL;
		tree->height = 0;
	}
	while (tree->height > 0 && node_count(tree->root, tree->height) == 1) {
		struct ioas_inner *old = tree->root;

		tree->root = old->child[0];
		tree_free(tree, old, tree->height--);
	}
	return true;
}

static void tree_free_node(struct ioas_tree *tree, void *node, unsigned level)
{
	if (level > 0) {
		struct ioas_inner *inner = node;

		for (unsigned i = 0; i < inner->n; i++)
			tree_free_node(tree, inner->child[i], level - 1);
	}
	tree_free(tree, node, level);
}

void ioas_tree_clear(struct ioas_tree *tree)
{
	if (tree->root)
		tree_free_node(tree, tree->root, tree->height);
	ioas_slabs_done(&tree->slabs, &tree->bytes);
	*tree = (struct ioas_tree){ 0 };
}

/* ---- the structure's rules, for tests ---- */

struct tree_audit {
	const struct ioas_leaf *last;	/* leaf seen before */
	size_t count;
};

static bool audit_leaf(const struct ioas_leaf *leaf, struct cused_range keys,
		       struct tree_audit *audit)
{
	if (leaf->n == 0 || leaf->n > IOAS_LEAF_MAX || leaf->prev != audit->last)
		return false;
	if (audit->last && (audit->last->next != leaf ||
			    audit->last->value[audit->last->n - 1].last >= leaf->first[0]))
		return false;
	for (unsigned i = 0; i < leaf->n; i++) {
		if (leaf->first[i] < keys.first || leaf->first[i] > keys.last ||
		    leaf->value[i].last < leaf->first[i])
			return false;
		if (i > 0 && leaf->value[i - 1].last >= leaf->first[i])
			return false;
	}
	audit->last = leaf;
	audit->count += leaf->n;
	return true;
}

static bool audit_node(const void *node, unsigned level, struct cused_range keys,
		       struct tree_audit *audit)
{
	const struct ioas_inner *inner = node;

	if (level == 0)
		return audit_leaf(node, keys, audit);
	if (inner->n == 0 || inner->n > IOAS_INNER_MAX)
		return false;
	for (unsigned i = 0; i < inner->n; i++) {
		struct cused_range sub = { i == 0 ? keys.first : inner->key[i],
					   i + 1u == inner->n ? keys.last :
								inner->key[i + 1] - 1 };

		if (sub.first > sub.last || !audit_node(inner->child[i], level - 1, sub, audit))
			return false;
	}
	return true;
}

bool ioas_tree_check(const struct ioas_tree *tree)
{
	struct tree_audit audit = { 0 };

	if (!tree->root)
		return tree->height == 0 && tree->count == 0 && tree->bytes == 0;
	return audit_node(tree->root, tree->height, (struct cused_range){ 0, UINT64_MAX },
			  &audit) &&
	       audit.last->next == NULL && audit.count == tree->count;
}
