/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/sysfs_pack.c - a plan as bytes.
 *
 * Depth first: each node is a head, its name and its data; a directory's children follow it.
 * The first one is the root, whose name is empty.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sysfs_internal.h"

#define NO_DATA UINT32_MAX

struct head {
	uint32_t kind, mode;
	uint64_t size;
	uint32_t name_len, data_len;	/* without the NULs; NO_DATA: there is none */
	uint32_t n_children, reserved;
};

/* ---- packing ---- */

struct packer {
	uint8_t *data;			/* NULL: only count */
	size_t size;
};

static void put(struct packer *p, const void *bytes, size_t len)
{
	if (p->data && len)
		memcpy(p->data + p->size, bytes, len);
	p->size += len;
}

static void pack(struct packer *p, const struct sysfs_node *node)
{
	struct head head = {
		.kind = node->kind, .mode = node->mode, .size = node->size,
		.name_len = node->name ? (uint32_t)strlen(node->name) : 0,
		.data_len = node->data ? (uint32_t)node->len : NO_DATA,
	};

	for (const struct sysfs_node *child = node->children; child; child = child->next)
		head.n_children++;
	put(p, &head, sizeof(head));
	put(p, node->name, head.name_len);
	put(p, node->data, node->data ? node->len : 0);
	for (const struct sysfs_node *child = node->children; child; child = child->next)
		pack(p, child);
}

int sysfs_plan_pack(const struct sysfs_plan *plan, uint8_t **ret, size_t *ret_size)
{
	struct packer p = { 0 };

	pack(&p, &plan->root);
	if (p.size > SYSFS_PACK_MAX)
		return -EFBIG;
	p.data = malloc(p.size);
	if (!p.data)
		return -ENOMEM;
	p.size = 0;
	pack(&p, &plan->root);
	*ret = p.data;
	*ret_size = p.size;
	return 0;
}

/* ---- unpacking ---- */

struct unpacker {
	const uint8_t *data;
	size_t left;
};

/* Return: a copy with a NUL behind it; NULL with *ret_err set. */
static char *take(struct unpacker *u, size_t len, int *ret_err)
{
	char *copy;

	if (len > u->left) {
		*ret_err = -EBADMSG;
		return NULL;
	}
	copy = malloc(len + 1);
	if (!copy) {
		*ret_err = -ENOMEM;
		return NULL;
	}
	memcpy(copy, u->data, len);
	copy[len] = '\0';
	u->data += len;
	u->left -= len;
	return copy;
}

/* One that names an entry of its directory and nothing else. */
static bool is_name(const char *name, size_t len)
{
	return len > 0 && strlen(name) == len && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

static bool is_head(const struct head *head, unsigned depth)
{
	bool dir = head->kind == SYSFS_DIR;

	if (head->kind > SYSFS_LINK || (head->mode & ~0777u))
		return false;
	if (dir ? head->data_len != NO_DATA : head->data_len == NO_DATA || head->n_children)
		return false;
	if (!dir && head->size < head->data_len)
		return false;
	return depth > 0 || dir;
}

/* @node: zeroed; what is in it after an error is freed with its plan */
static int unpack(struct unpacker *u, unsigned depth, struct sysfs_node *node)
{
	struct sysfs_node **end = &node->children;
	struct head head;
	int r = 0;

	if (depth > SYSFS_PACK_DEPTH || u->left < sizeof(head))
		return -EBADMSG;
	memcpy(&head, u->data, sizeof(head));
	u->data += sizeof(head);
	u->left -= sizeof(head);
	if (!is_head(&head, depth) || (depth == 0) != (head.name_len == 0))
		return -EBADMSG;
	node->kind = head.kind;
	node->mode = head.mode;
	node->size = head.size;
	if (depth > 0)
		node->name = take(u, head.name_len, &r);
	if (r == 0 && depth > 0 && !is_name(node->name, head.name_len))
		r = -EBADMSG;
	if (r == 0 && head.data_len != NO_DATA) {
		node->data = take(u, head.data_len, &r);
		node->len = node->data ? head.data_len : 0;
	}
	for (uint32_t i = 0; r == 0 && i < head.n_children; i++) {
		*end = calloc(1, sizeof(**end));
		if (!*end)
			return -ENOMEM;
		r = unpack(u, depth + 1, *end);
		end = &(*end)->next;
	}
	return r;
}

int sysfs_plan_unpack(const uint8_t *data, size_t size, struct sysfs_plan **ret)
{
	struct unpacker u = { data, size };
	struct sysfs_plan *plan = calloc(1, sizeof(*plan));
	int r;

	if (!plan)
		return -ENOMEM;
	r = size > SYSFS_PACK_MAX ? -EBADMSG : unpack(&u, 0, &plan->root);
	if (r == 0 && u.left)
		r = -EBADMSG;
	if (r) {
		sysfs_plan_free(plan);
		return r;
	}
	*ret = plan;
	return 0;
}
