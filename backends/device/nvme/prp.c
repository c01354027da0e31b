/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nvme/prp.c - where the data of a command lies in client memory.
 *
 * Theory of operation
 *
 *   A command's buffer on our side is one run of bytes; on the client's side it is a
 *   list of pages (PRP, 4.3) or of segments (SGL, 4.4). Mapping makes pieces out of it,
 *   neighbours joined, and moves no data. One DMA call reads the PRP lists of all
 *   commands of a batch; a list that is chained takes calls of its own, at most two,
 *   since a full page of entries covers the longest command. SGLs are counted. Pieces of
 *   all commands then move in one call.
 *
 *   When a piece is not mapped, its command fails with Data Transfer Error, its pieces
 *   become empty, and the rest is tried again: a client that points one command to
 *   nowhere harms that command only.
 */
#include <errno.h>

#include "nvme.h"

static struct nvme_pieces *pieces_of(struct nvme *n, const struct nvme_cmd *c)
{
	return c->kind == KIND_READ || c->kind == KIND_ADMIN_OUT ? &n->to_client :
								   &n->from_client;
}

static void fail(struct nvme *n, struct nvme_cmd *c, uint16_t status)
{
	pieces_of(n, c)->n = c->first;
	c->count = 0;
	c->list = 0;
	c->list_left = 0;
	c->status = status;
}

/* An upper limit of the pieces that the command can need. */
uint32_t nvme_prp_worst(const struct nvme_cmd *c)
{
	return c->e.flags >> 6 ? NVME_SGL_MAX : c->len / 4096 + 2;
}

static uint32_t left(const struct nvme_cmd *c)
{
	return c->len - c->mapped;
}

static void add(struct nvme *n, struct nvme_cmd *c, uint64_t iova, uint32_t len)
{
	struct nvme_pieces *p = pieces_of(n, c);
	struct cused_dma *last = c->count ? &p->v[p->n - 1] : NULL;

	if (last && last->iova + last->len == iova && iova) {
		last->len += len;
	} else {
		p->v[p->n++] = (struct cused_dma){
			.iova = iova, .buf = c->buf + c->mapped, .len = len,
		};
		c->count++;
	}
	c->mapped += len;
}

/* ---- PRP ---- */

/* Bytes that PRP1 covers. */
static uint32_t prp1_len(const struct nvme *n, const struct nvme_cmd *c)
{
	uint64_t page = 1ull << n->page_shift;
	uint64_t in_page = page - (c->e.dptr[0] & (page - 1));

	return in_page < c->len ? (uint32_t)in_page : c->len;
}

/* One or two pages are mapped at once; more: c->list and c->list_left are set. */
static void prp_first(struct nvme *n, struct nvme_cmd *c)
{
	uint64_t page = 1ull << n->page_shift, prp1 = c->e.dptr[0], prp2 = c->e.dptr[1];
	uint32_t rest = c->len - prp1_len(n, c);

	if (prp1 & 3 || (rest && prp2 & (rest <= page ? page - 1 : 7))) {
		fail(n, c, ST_PRP_OFFSET | ST_DNR);
		return;
	}
	if (rest > page) {
		c->list = prp2;
		c->list_left = (uint32_t)((rest + page - 1) >> n->page_shift);
		return;
	}
	add(n, c, prp1, c->len - rest);
	if (rest)
		add(n, c, prp2, rest);
}

/* Entries to read from the list at c->list: all that are wanted, or to the page's end. */
static uint32_t list_entries(const struct nvme *n, const struct nvme_cmd *c)
{
	uint64_t page = 1ull << n->page_shift;
	uint64_t in_page = (page - (c->list & (page - 1))) / 8;

	return in_page < c->list_left ? (uint32_t)in_page : c->list_left;
}

/* Add what one list says; c->list becomes the next one. */
static void list_use(struct nvme *n, struct nvme_cmd *c, const uint64_t *entries)
{
	uint64_t page = 1ull << n->page_shift;
	bool chained = c->list_got < c->list_left;	/* its last entry is a pointer */
	uint32_t count = c->list_got - chained;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t prp = le64toh(entries[i]);

		if (prp & (page - 1)) {
			fail(n, c, ST_PRP_OFFSET | ST_DNR);
			return;
		}
		add(n, c, prp, left(c) < page ? left(c) : (uint32_t)page);
	}
	c->list_left -= count;
	c->list = chained ? le64toh(entries[count]) : 0;
	if (c->list & (page - 1))	/* lists after the first are page aligned */
		fail(n, c, ST_PRP_OFFSET | ST_DNR);
}

/* The whole of a command whose first list is in @entries. */
static void list_all(struct nvme *n, struct nvme_cmd *c, uint64_t *entries)
{
	c->first = pieces_of(n, c)->n;
	add(n, c, c->e.dptr[0], prp1_len(n, c));
	list_use(n, c, entries);
	while (c->list_left && !c->status) {
		struct cused_dma v = { .iova = c->list, .buf = entries };

		c->list_got = list_entries(n, c);
		v.len = c->list_got * 8ul;
		if (n->svc->dma_read(n->port, &v, 1, NULL))
			fail(n, c, ST_DATA_TRANSFER | ST_DNR);
		else
			list_use(n, c, entries);
	}
}

/* Read the first list of each command with one call, then map them one by one. */
static void lists(struct nvme *n, struct nvme_cmd *const *cmds, unsigned count)
{
	struct cused_dma v[NVME_BATCH];
	size_t bad = 0;
	int rc;

	for (unsigned i = 0; i < count; i++) {
		cmds[i]->list_got = list_entries(n, cmds[i]);
		v[i] = (struct cused_dma){
			.iova = cmds[i]->list, .buf = n->lists[i],
			.len = cmds[i]->list_got * 8ul,
		};
	}
	while ((rc = n->svc->dma_read(n->port, v, count, &bad)) == -EFAULT &&
	       bad < count && v[bad].len) {
		v[bad].len = 0;
		cmds[bad]->status = ST_DATA_TRANSFER | ST_DNR;
	}
	for (unsigned i = 0; i < count; i++) {
		if (rc)
			cmds[i]->status = ST_DATA_TRANSFER | ST_DNR;
		if (!cmds[i]->status)
			list_all(n, cmds[i], n->lists[i]);
	}
}

/* ---- SGL ---- */

struct sgl_walk {
	struct nvme_sgl d[NVME_SGL_MAX];
	unsigned n;		/* in d[] */
	unsigned seen;		/* of the command */
	bool last;		/* d[] is a last segment */
};

/* A descriptor that holds or drops data. Return: a status. */
static uint16_t sgl_data(struct nvme *n, struct nvme_cmd *c, const struct nvme_sgl *d)
{
	uint32_t len = le32toh(d->len);

	if (len > left(c))
		len = left(c);		/* SGLS says that longer lists are fine */
	if ((d->id & 0xf0) == SGL_DATA) {
		if (len)
			add(n, c, le64toh(d->addr), len);
		return ST_OK;
	}
	/* Bit bucket: takes bytes of a read, is ignored in a write (4.4.1). */
	if (c->kind == KIND_READ)
		c->mapped += len;
	return ST_OK;
}

/* Read the segment that @d points to. Return: a status. */
static uint16_t sgl_segment(struct nvme *n, struct nvme_cmd *c, const struct nvme_sgl *d,
			    struct sgl_walk *w)
{
	uint32_t len = le32toh(d->len);
	struct cused_dma v = { .iova = le64toh(d->addr), .buf = w->d, .len = len };

	if (!len || len % sizeof(*d))
		return ST_SGL_SEGMENT | ST_DNR;
	if (len / sizeof(*d) > NVME_SGL_MAX - w->seen)
		return ST_SGL_COUNT | ST_DNR;
	w->last = (d->id & 0xf0) == SGL_LAST_SEGMENT;
	w->n = len / sizeof(*d);
	w->seen += w->n;
	return n->svc->dma_read(n->port, &v, 1, NULL) ? ST_DATA_TRANSFER | ST_DNR : ST_OK;
}

/* All of one segment. @ret_next: set to the pointer at its end, if there is one. */
static uint16_t sgl_use(struct nvme *n, struct nvme_cmd *c, const struct sgl_walk *w,
			struct nvme_sgl *ret_next, bool *ret_more)
{
	uint16_t status = ST_OK;

	*ret_more = false;
	for (unsigned i = 0; i < w->n && !status; i++) {
		const struct nvme_sgl *d = &w->d[i];

		switch (d->id) {
		case SGL_DATA:
		case SGL_BIT_BUCKET:
			if (!w->last && i == w->n - 1)
				return ST_SGL_SEGMENT | ST_DNR;
			status = sgl_data(n, c, d);
			break;
		case SGL_SEGMENT:
		case SGL_LAST_SEGMENT:
			/* A pointer stands at the end of a segment that is not the last. */
			if (w->last || i != w->n - 1)
				return ST_SGL_SEGMENT | ST_DNR;
			*ret_next = *d;
			*ret_more = true;
			break;
		default:
			return ST_SGL_TYPE | ST_DNR;
		}
	}
	return status;
}

static void sgl_map(struct nvme *n, struct nvme_cmd *c)
{
	struct sgl_walk w = { .n = 0 };
	struct nvme_sgl d;
	uint16_t status = ST_OK;
	bool more;

	memcpy(&d, c->e.dptr, sizeof(d));
	/* sqe_decode() took the descriptor for two numbers. */
	put64((uint8_t *)&d, 0, c->e.dptr[0]);
	put64((uint8_t *)&d, 8, c->e.dptr[1]);
	more = d.id == SGL_SEGMENT || d.id == SGL_LAST_SEGMENT;
	if (!more) {
		if (d.id == SGL_DATA || d.id == SGL_BIT_BUCKET)
			status = sgl_data(n, c, &d);
		else
			status = ST_SGL_TYPE | ST_DNR;
	}
	while (more && !status) {	/* each turn adds to w.seen, which is limited */
		status = sgl_segment(n, c, &d, &w);
		if (!status)
			status = sgl_use(n, c, &w, &d, &more);
	}
	if (!status && left(c))
		status = ST_SGL_LENGTH | ST_DNR;
	if (status)
		fail(n, c, status);
}

/* ---- all of a batch ---- */

/*
 * nvme_prp_map - make pieces for commands whose kind, len and buf are set.
 * A command that cannot be mapped gets a status and no pieces. The caller has made sure
 * that the sum of nvme_prp_worst() fits the arrays, and that @count <= NVME_BATCH.
 */
void nvme_prp_map(struct nvme *n, struct nvme_cmd *const *cmds, unsigned count)
{
	struct nvme_cmd *wait[NVME_BATCH];
	unsigned n_wait = 0;

	for (unsigned i = 0; i < count; i++) {
		struct nvme_cmd *c = cmds[i];

		c->first = pieces_of(n, c)->n;
		c->count = c->mapped = c->list_left = 0;
		if (c->e.flags >> 6)
			sgl_map(n, c);
		else
			prp_first(n, c);
		if (c->list_left)
			wait[n_wait++] = c;
	}
	if (n_wait)
		lists(n, wait, n_wait);
}

static void fail_all(struct nvme *n, struct nvme_cmd *const *cmds, unsigned count,
		     const struct nvme_pieces *p)
{
	for (unsigned i = 0; i < count; i++)
		if (cmds[i]->count && pieces_of(n, cmds[i]) == p && !cmds[i]->status)
			cmds[i]->status = ST_DATA_TRANSFER | ST_DNR;
}

/* The command failed: none of its data will move. */
void nvme_prp_drop(struct nvme *n, struct nvme_cmd *c)
{
	struct nvme_pieces *p = pieces_of(n, c);

	for (uint32_t k = 0; k < c->count; k++)
		p->v[c->first + k].len = 0;
}

static void transfer_failed(struct nvme *n, struct nvme_cmd *c)
{
	c->status = ST_DATA_TRANSFER | ST_DNR;
	nvme_prp_drop(n, c);
}

/* Move the data of all commands of one direction. */
void nvme_prp_transfer(struct nvme *n, struct nvme_cmd *const *cmds, unsigned count,
		       bool to_client)
{
	struct nvme_pieces *p = to_client ? &n->to_client : &n->from_client;
	size_t bad = 0;
	int rc;

	while (p->n) {
		rc = to_client ? n->svc->dma_write(n->port, p->v, p->n, &bad) :
				 n->svc->dma_read(n->port, p->v, p->n, &bad);
		if (!rc)
			break;
		if (rc != -EFAULT || bad >= p->n || !p->v[bad].len) {
			fail_all(n, cmds, count, p);
			break;
		}
		for (unsigned i = 0; i < count; i++)
			if (pieces_of(n, cmds[i]) == p && bad >= cmds[i]->first &&
			    bad - cmds[i]->first < cmds[i]->count)
				transfer_failed(n, cmds[i]);
		p->v[bad].len = 0;	/* so that this ends */
	}
	p->n = 0;
}
