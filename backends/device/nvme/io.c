/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nvme/io.c - the NVM command set (6): flush, write, read, compare, write zeroes,
 * dataset management.
 *
 * Theory of operation
 *
 *   A fetched batch is worked off in parts, one a poll, so that a poll is short and the
 *   client has the first completions while the model is at the next ones. A part has at
 *   most NVME_PART commands and NVME_PART_BYTES of data:
 *
 *       prepare   decode and check; a command that fails here is done
 *       map       pieces for all that have data                          prp.c
 *       in        one DMA call for the data of writes
 *       do        the disk
 *       out       one DMA call for the data of reads
 *       finish    stage completions, or wait for the disk
 *
 *   Data of an image goes through the bounce buffer, data of a memory namespace straight
 *   to and from its place. A write is in the page cache before it completes, so it
 *   survives the death of this process; flush and FUA wait until it is on the disk.
 *
 *   What can take long (fdatasync, fallocate) is done by a helper thread (store.c); the
 *   command waits as a struct nvme_async, which keeps its completion slot.
 */
#include <errno.h>
#include <stdlib.h>

#include "nvme.h"

/* ---- commands that wait ---- */

static struct nvme_async *async_get(struct nvme *n, const struct nvme_cmd *c)
{
	struct nvme_async *a = c->again;

	/* The fetcher leaves one free for each command of a batch. */
	if (!a) {
		a = n->async_free;
		n->async_free = a->next;
		n->n_async_free--;
	}
	*a = (struct nvme_async){
		.used = true, .live = true, .sqid = c->sqid, .cid = c->e.cid, .e = c->e,
	};
	nvme_dirty_waiting(n, a);
	return a;
}

static void async_put(struct nvme *n, struct nvme_async *a)
{
	if (a->ranges != &a->one)
		free(a->ranges);
	*a = (struct nvme_async){ .next = n->async_free };
	n->async_free = a;
	n->n_async_free++;
	nvme_dirty_waiting(n, a);
}

/* All that is left to do is what a flush does: so another process would do that. */
static void async_is_flush(struct nvme *n, struct nvme_async *a)
{
	a->e.opcode = IO_FLUSH;
	a->e.flags = 0;
	nvme_dirty_waiting(n, a);
}

static void async_complete(struct nvme *n, struct nvme_async *a, uint16_t status)
{
	struct nvme_cmd c = { .sqid = a->sqid, .status = status, .e.cid = a->cid };

	if (a->live)
		nvme_io_finish(n, &c);
	a->live = false;
	nvme_dirty_waiting(n, a);
	if (!a->busy)
		async_put(n, a);
}

/* Has the command's data reached the disk? Then answer it. */
static void async_check(struct nvme *n, struct nvme_async *a)
{
	if (a->used && !a->busy && !a->again && a->work == WORK_NONE &&
	    nvme_store_met(n, &a->need))
		async_complete(n, a, a->status);
}

/* The helper is done with the zeroing or deallocation that @a asked for. */
static void async_worked(struct nvme *n, struct nvme_async *a)
{
	a->busy = false;
	a->ns->written++;
	if (!a->live) {
		async_put(n, a);
		return;
	}
	if (a->result)
		a->status = nvme_store_status(n, a->ns, a->result, true);
	if (a->status || !a->then_sync) {
		async_complete(n, a, a->status);
		return;
	}
	a->work = WORK_NONE;
	async_is_flush(n, a);
	nvme_store_need(n, 1u << (a->ns->nsid - 1), &a->need);
	async_check(n, a);
}

/* A sync of @ns is over; failed ones are not waited for any longer. */
static void async_synced(struct nvme *n, struct nvme_ns *ns, uint16_t status)
{
	unsigned bit = ns->nsid - 1;

	for (unsigned i = 0; i < NVME_ASYNC; i++) {
		struct nvme_async *a = &n->async[i];

		if (status && a->used && a->need.mask >> bit & 1 &&
		    a->need.seq[bit] <= ns->sync_target) {
			a->need.mask &= ~(1u << bit);
			a->status = status;
			nvme_dirty_waiting(n, a);
		}
		async_check(n, a);
	}
	if (status)
		n->shutdown.mask &= ~(1u << bit);
	nvme_store_sync_more(n, ns);
	nvme_ctrl_synced(n);
}

/* Take back what the helper finished. Return: true if there was anything. */
bool nvme_io_reap(struct nvme *n)
{
	struct nvme_async *a, *next;

	a = nvme_store_reap(n);
	if (!a)
		return false;
	for (; a; a = next) {
		next = a->next;
		if (a->work != WORK_SYNC) {
			async_worked(n, a);
			continue;
		}
		async_synced(n, a->ns, nvme_store_sync_done(n, a));
	}
	return true;
}

/* Reset: nobody waits any more. */
void nvme_io_drop(struct nvme *n)
{
	for (unsigned i = 0; i < NVME_ASYNC; i++) {
		struct nvme_async *a = &n->async[i];

		if (a->live)
			nvme_dirty_waiting(n, a);
		a->live = false;
		if (a->used && !a->busy)
			async_put(n, a);
	}
}

void nvme_io_drop_sq(struct nvme *n, uint16_t sqid)
{
	for (unsigned i = 0; i < NVME_ASYNC; i++)
		if (n->async[i].used && n->async[i].live && n->async[i].sqid == sqid)
			async_complete(n, &n->async[i], ST_SQ_DELETED);
}

/* Return: true if the command was found waiting; it was completed as aborted (5.1). */
bool nvme_io_abort(struct nvme *n, uint16_t sqid, uint16_t cid)
{
	for (unsigned i = 0; i < NVME_ASYNC; i++) {
		struct nvme_async *a = &n->async[i];

		if (a->used && a->live && a->sqid == sqid && a->cid == cid) {
			async_complete(n, a, ST_ABORTED);
			return true;
		}
	}
	return false;
}

/* Fill the batch with commands that waited in another process. Return: true if there were. */
bool nvme_io_again(struct nvme *n)
{
	if (!n->again_left)
		return false;
	n->batch_n = n->batch_next = 0;
	for (; n->again_next < NVME_ASYNC && n->batch_n < NVME_BATCH; n->again_next++) {
		struct nvme_async *a = &n->async[n->again_next];
		struct nvme_cmd *c = &n->batch[n->batch_n];

		if (!a->again)
			continue;
		memset(c, 0, sizeof(*c));
		c->e = a->e;
		c->sqid = a->sqid;
		c->status = a->status;
		c->again = a;
		n->batch_n++;
	}
	n->again_left = n->batch_n;
	return n->again_left;
}

/* ---- prepare ---- */

static uint16_t find_ns(struct nvme *n, struct nvme_cmd *c)
{
	if (!c->e.nsid || c->e.nsid > n->n_ns)
		return ST_NAMESPACE | ST_DNR;
	c->ns = &n->ns[c->e.nsid - 1];
	return ST_OK;
}

/* Starting block and number of blocks of read, write, compare and write zeroes. */
static uint16_t block_range(struct nvme_cmd *c, uint64_t *ret_bytes)
{
	uint64_t slba = (uint64_t)c->e.cdw11 << 32 | c->e.cdw10;
	uint64_t blocks = (c->e.cdw12 & 0xffff) + 1ull;

	if (slba >= c->ns->blocks || blocks > c->ns->blocks - slba)
		return ST_LBA_RANGE | ST_DNR;
	c->offset = slba << c->ns->lba_shift;
	*ret_bytes = blocks << c->ns->lba_shift;
	return ST_OK;
}

static uint16_t prepare_data(struct nvme *n, struct nvme_cmd *c, enum nvme_kind kind)
{
	uint64_t bytes = 0;
	uint16_t status = find_ns(n, c);

	if (status)
		return status;
	/* MDTS is checked on the count, before the range (5.15, 6.9). */
	if (((c->e.cdw12 & 0xffff) + 1ull) << c->ns->lba_shift > 4096ull << n->mdts)
		return ST_FIELD | ST_DNR;
	status = block_range(c, &bytes);
	if (status)
		return status;
	if (kind == KIND_WRITE && c->ns->readonly)
		return ST_WRITE_PROTECTED | ST_DNR;
	c->kind = kind;
	c->len = (uint32_t)bytes;
	c->fua = kind == KIND_WRITE && (c->e.cdw12 >> 30 & 1 || !n->feat.write_cache);
	return ST_OK;
}

static uint16_t prepare_dsm(struct nvme *n, struct nvme_cmd *c)
{
	uint16_t status = find_ns(n, c);

	if (status)
		return status;
	if (c->ns->readonly)
		return ST_WRITE_PROTECTED | ST_DNR;
	if (!(c->e.cdw11 & 4))		/* hints without deallocation: nothing to do */
		return ST_OK;
	c->kind = KIND_DSM;
	c->len = ((c->e.cdw10 & 0xff) + 1) * (uint32_t)sizeof(struct nvme_dsm_range);
	return ST_OK;
}

static uint16_t prepare_flush(struct nvme *n, struct nvme_cmd *c)
{
	c->kind = KIND_ASYNC;
	if (c->e.nsid == NVME_NSID_ALL)	/* Identify VWC bits 2:1 say so */
		return ST_OK;
	return find_ns(n, c);
}

/* Decode and check. Return: a status; c->kind says what there is to do. */
static uint16_t prepare(struct nvme *n, struct nvme_cmd *c)
{
	switch (c->e.opcode) {
	case IO_FLUSH: case IO_WRITE: case IO_READ: case IO_COMPARE: case IO_WRITE_ZEROES:
	case IO_DSM:
		break;
	default:
		return ST_OPCODE | ST_DNR;
	}
	if (c->e.flags & 3 || c->e.flags >> 6 == 3)	/* no fused commands */
		return ST_FIELD | ST_DNR;
	switch (c->e.opcode) {
	case IO_FLUSH:
		return prepare_flush(n, c);
	case IO_WRITE:
		return prepare_data(n, c, KIND_WRITE);
	case IO_READ:
		return prepare_data(n, c, KIND_READ);
	case IO_COMPARE:
		return prepare_data(n, c, KIND_COMPARE);
	case IO_DSM:
		return prepare_dsm(n, c);
	default:
		c->kind = KIND_ASYNC;
		return find_ns(n, c);
	}
}

/* Where the data lies on our side. @used: bytes of the bounce buffer taken so far. */
static void place(struct nvme *n, struct nvme_cmd *c, size_t *used)
{
	if (c->ns->mem && (c->kind == KIND_READ || c->kind == KIND_WRITE)) {
		c->buf = c->ns->mem + c->offset;
		return;
	}
	c->buf = n->bounce + *used;
	*used += c->len;
}

/* ---- do ---- */

/* Hand a zeroing or deallocation to the helper; memory is done here. */
static void start_work(struct nvme *n, struct nvme_cmd *c, enum nvme_work work,
		       struct nvme_range *ranges, unsigned count)
{
	struct nvme_async *a;

	if (c->ns->mem) {
		for (unsigned i = 0; i < count; i++)
			nvme_store_zero_memory(c->ns, &ranges[i]);
		if (count > 1)
			free(ranges);
		c->kind = KIND_DONE;
		return;
	}
	a = async_get(n, c);
	a->work = work;
	a->ns = c->ns;
	a->one = ranges[0];
	a->ranges = count > 1 ? ranges : &a->one;
	a->n_ranges = count;
	a->then_sync = c->fua;
	c->kind = KIND_ASYNC;
	nvme_store_submit(n, a);
}

/* 6.16 */
static uint16_t do_write_zeroes(struct nvme *n, struct nvme_cmd *c)
{
	bool deallocate = c->e.cdw12 >> 25 & 1 && c->ns->can_punch;
	struct nvme_range r = { 0 };
	uint16_t status = block_range(c, &r.len);

	if (status)
		return status;
	if (c->ns->readonly)
		return ST_WRITE_PROTECTED | ST_DNR;
	r.offset = c->offset;
	c->fua = c->e.cdw12 >> 30 & 1 || !n->feat.write_cache;
	start_work(n, c, deallocate ? WORK_PUNCH : WORK_ZERO, &r, 1);
	return ST_OK;
}

/* 6.7: all ranges are checked before any is given back. */
static uint16_t do_dsm(struct nvme *n, struct nvme_cmd *c)
{
	const struct nvme_dsm_range *d = (const struct nvme_dsm_range *)c->buf;
	unsigned count = c->len / sizeof(*d), used = 0;
	struct nvme_range *r = malloc(count * sizeof(*r)), one = { 0 };

	c->kind = KIND_DONE;
	if (!r)
		return ST_INTERNAL;
	for (unsigned i = 0; i < count; i++) {
		uint64_t slba = le64toh(d[i].slba), blocks = le32toh(d[i].blocks);

		if (slba > c->ns->blocks || blocks > c->ns->blocks - slba) {
			free(r);
			return ST_LBA_RANGE | ST_DNR;
		}
		if (blocks)
			r[used++] = (struct nvme_range){ slba << c->ns->lba_shift,
							 blocks << c->ns->lba_shift };
	}
	if (used)
		one = r[0];
	if (used < 2 || !c->ns->can_punch) {
		free(r);
		r = &one;
	}
	if (used && c->ns->can_punch)
		start_work(n, c, WORK_PUNCH, r, used);
	return ST_OK;
}

static uint16_t do_compare(struct nvme *n, struct nvme_cmd *c)
{
	const uint8_t *ours = n->scratch;
	uint16_t status = ST_OK;

	if (c->ns->mem)
		ours = c->ns->mem + c->offset;
	else
		status = nvme_store_read(n, c->ns, c->offset, n->scratch, c->len);
	if (!status && memcmp(ours, c->buf, c->len))
		status = ST_COMPARE;
	return status;
}

static uint16_t do_cmd(struct nvme *n, struct nvme_cmd *c)
{
	switch (c->kind) {
	case KIND_READ:
		n->reads++;
		n->units_read += c->len >> 9;
		return c->ns->mem ? ST_OK :
		       nvme_store_read(n, c->ns, c->offset, c->buf, c->len);
	case KIND_WRITE:
		n->writes++;
		n->units_written += c->len >> 9;
		return c->ns->mem ? ST_OK :
		       nvme_store_write(n, c->ns, c->offset, c->buf, c->len);
	case KIND_COMPARE:
		n->reads++;
		n->units_read += c->len >> 9;
		return do_compare(n, c);
	case KIND_DSM:
		return do_dsm(n, c);
	case KIND_ASYNC:
		return c->e.opcode == IO_WRITE_ZEROES ? do_write_zeroes(n, c) : ST_OK;
	default:
		return ST_OK;
	}
}

/* ---- finish ---- */

/* Stage the completion; a failure goes to the error log first (5.14.1.1). */
void nvme_io_finish(struct nvme *n, struct nvme_cmd *c)
{
	nvme_queue_room(n, 1);
	if (c->status) {
		nvme_log_error(n, c, c->status);
		c->status |= ST_MORE;
	}
	nvme_queue_complete(n, c->sqid, c->e.cid, c->status, c->result);
}

/* Answer now if everything that the command covers is on the disk, or wait for it. */
static void finish_synced(struct nvme *n, struct nvme_cmd *c)
{
	unsigned mask = c->ns ? 1u << (c->ns->nsid - 1) : (1u << n->n_ns) - 1;
	struct nvme_need need;
	struct nvme_async *a;

	nvme_store_need(n, mask, &need);
	if (!need.mask) {
		nvme_io_finish(n, c);
		return;
	}
	a = async_get(n, c);
	a->need = need;
	async_is_flush(n, a);
}

static void finish(struct nvme *n, struct nvme_cmd *c)
{
	bool flush = c->kind == KIND_ASYNC && c->e.opcode == IO_FLUSH;

	nvme_queue_room(n, 1);
	if (!c->again)
		nvme_queue_consumed(n, c->sqid);
	if (c->status)
		nvme_io_finish(n, c);
	else if (flush || (c->kind == KIND_WRITE && c->fua))
		finish_synced(n, c);
	else if (c->kind != KIND_ASYNC)
		nvme_io_finish(n, c);
	/* It does not wait any more, or as what it is now. */
	if (c->again && c->again->again)
		async_put(n, c->again);
}

/* ---- a part of the batch ---- */

static bool has_data(const struct nvme_cmd *c)
{
	return !c->status && (c->kind == KIND_READ || c->kind == KIND_WRITE ||
			      c->kind == KIND_COMPARE || c->kind == KIND_DSM);
}

/* Prepare commands from the batch until data or pieces are enough for one poll.
 * Return: how many, at least one; those with data go to @ret_data. */
static unsigned gather(struct nvme *n, struct nvme_cmd **ret_data, unsigned *ret_n_data)
{
	unsigned i = n->batch_next, n_data = 0;
	size_t bytes = 0, used = 0;
	uint32_t pieces = 0;

	for (; i < n->batch_n && i < n->batch_next + NVME_PART; i++) {
		struct nvme_cmd *c = &n->batch[i];

		if (!c->again || !c->status)
			c->status = prepare(n, c);
		if (!has_data(c))
			continue;
		if (n_data && (bytes + c->len > NVME_PART_BYTES ||
			       pieces + nvme_prp_worst(c) > NVME_PIECES))
			break;		/* prepared again with the next part */
		bytes += c->len;
		pieces += nvme_prp_worst(c);
		place(n, c, &used);
		ret_data[n_data++] = c;
	}
	*ret_n_data = n_data;
	return i - n->batch_next;
}

/* One part of the batch. */
void nvme_io_run(struct nvme *n)
{
	struct nvme_cmd *data[NVME_BATCH], *part = &n->batch[n->batch_next];
	unsigned n_data, count = gather(n, data, &n_data);

	if (n_data) {
		nvme_prp_map(n, data, n_data);
		nvme_prp_transfer(n, data, n_data, false);
	}
	for (unsigned i = 0; i < count; i++) {
		if (!part[i].status)
			part[i].status = do_cmd(n, &part[i]);
		if (part[i].status && part[i].kind == KIND_READ)
			nvme_prp_drop(n, &part[i]);
	}
	if (n_data)
		nvme_prp_transfer(n, data, n_data, true);
	nvme_dirty_post(n);
	for (unsigned i = 0; i < count; i++)
		finish(n, &part[i]);
	n->batch_next += count;
}
