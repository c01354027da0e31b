/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nvme/queue.c - queue pairs: doorbells, fetching, completions, interrupts.
 *
 * Theory of operation
 *
 *   A DMA call costs about as much as three commands' worth of everything else, so each
 *   round makes as few as it can: one that fetches commands from all queues, one that
 *   posts all completions.
 *
 *   A slot of the completion queue is reserved when a command is fetched, and given back
 *   when its completion is staged; a queue without room is not fetched from. So a
 *   completion never has to wait for room, and a client that never moves its head
 *   doorbell stops itself only. Asynchronous Event Requests give their slot back while
 *   they wait, and look for a new one when there is an event.
 *
 *   A completion is written twice in one call, first with the phase tag that hides it.
 *   A copy into another process gives no order inside 16 bytes, and a client that polls
 *   must not see the tag before the command id.
 *
 *   Doorbells are memory. What is found there is compared with what was found last; a
 *   value that cannot be is put back and reported (5.2.1, error events 00h and 01h).
 */
#include <errno.h>

#include "nvme.h"

static unsigned doorbell(unsigned id, bool cq)
{
	return NVME_DOORBELLS + id * 8 + (cq ? 4 : 0);
}

static uint32_t distance(uint32_t from, uint32_t to, uint32_t size)
{
	return to >= from ? to - from : to + size - from;
}

/* Completions that the client has not taken yet. */
uint32_t nvme_queue_unread(const struct nvme_cq *cq)
{
	return distance(cq->head, cq->tail, cq->size);
}

static uint32_t cq_room(const struct nvme_cq *cq)
{
	return cq->size - 1 - nvme_queue_unread(cq) - cq->reserved;
}

/* ---- life ---- */

static void find_top(struct nvme *n)
{
	while (n->top && !n->sq[n->top].live && !n->cq[n->top].live)
		n->top--;
}

static void queue_up(struct nvme *n, unsigned id)
{
	if (id > n->top)
		n->top = id;
}

/* 5.3: the checks of the command were done. Return: a status. */
uint16_t nvme_queue_create_cq(struct nvme *n, unsigned id, uint64_t base, uint32_t size,
			      bool ien, uint16_t vector)
{
	nvme_queue_post(n);		/* one of that id may have been deleted just now */
	n->cq[id] = (struct nvme_cq){
		.live = true, .ien = ien, .phase = true, .vector = vector,
		.size = size, .base = base,
	};
	nvme_reg_store32(n, doorbell(id, true), 0);
	nvme_dirty_queue(n, id);
	queue_up(n, id);
	return ST_OK;
}

/* 5.4 */
uint16_t nvme_queue_create_sq(struct nvme *n, unsigned id, uint64_t base, uint32_t size,
			      unsigned cqid)
{
	nvme_queue_post(n);
	n->sq[id] = (struct nvme_sq){
		.live = true, .cqid = (uint16_t)cqid, .size = size, .base = base,
	};
	n->cq[cqid].n_sqs++;
	nvme_reg_store32(n, doorbell(id, false), 0);
	nvme_dirty_queue(n, id);
	queue_up(n, id);
	return ST_OK;
}

/* 5.5: submission queues must go first. */
uint16_t nvme_queue_delete_cq(struct nvme *n, unsigned id)
{
	if (!id || id > n->n_queues || !n->cq[id].live)
		return ST_QID | ST_DNR;
	if (n->cq[id].n_sqs)
		return ST_QUEUE_DELETION | ST_DNR;
	nvme_queue_post(n);
	n->cq[id].live = false;
	n->cq[id].wipe = n->wipe = true;
	nvme_dirty_queue(n, id);
	n->irq_dirty = true;
	find_top(n);
	return ST_OK;
}

/* 5.6: commands that wait for the disk are answered with "aborted due to SQ deletion". */
uint16_t nvme_queue_delete_sq(struct nvme *n, unsigned id)
{
	if (!id || id > n->n_queues || !n->sq[id].live)
		return ST_QID | ST_DNR;
	nvme_io_drop_sq(n, (uint16_t)id);
	nvme_queue_room(n, 1);		/* from here on it is all or nothing */
	n->sq[id].live = false;
	n->cq[n->sq[id].cqid].n_sqs--;
	n->sq[id].wipe = n->wipe = true;
	nvme_dirty_queue(n, id);
	find_top(n);
	return ST_OK;
}

/* Doorbells of queues that were deleted, or (@all) do not exist, read 0. Not before that was
 * saved: a queue that exists takes a cleared doorbell for news. */
void nvme_queue_wipe(struct nvme *n, bool all)
{
	n->wipe = false;
	for (unsigned id = 0; id <= n->n_queues; id++) {
		struct nvme_sq *sq = &n->sq[id];
		struct nvme_cq *cq = &n->cq[id];

		if (!sq->live && (all || sq->wipe))
			nvme_reg_store32(n, doorbell(id, false), 0);
		if (!cq->live && (all || cq->wipe))
			nvme_reg_store32(n, doorbell(id, true), 0);
		sq->wipe = cq->wipe = false;
	}
}

/* No queue exists afterwards, admin ones included; doorbells read 0; the line is low. */
void nvme_queue_reset(struct nvme *n)
{
	for (unsigned id = 0; id <= n->top; id++)
		nvme_dirty_queue(n, id);
	nvme_dirty_post(n);
	n->wipe = false;
	memset(n->sq, 0, sizeof(n->sq));
	memset(n->cq, 0, sizeof(n->cq));
	n->top = n->turn = 0;
	n->stage.n = 0;
	n->batch_n = n->batch_next = 0;
	n->again_left = false;
	for (unsigned off = NVME_DOORBELLS; off < NVME_MSIX_TABLE; off += 4)
		nvme_reg_store32(n, off, 0);
	if (n->timer_armed)
		n->svc->timer_arm(n->port, 0, 0);
	n->timer_armed = false;
	n->irq_dirty = true;
	nvme_queue_irq(n);
}

/* ---- doorbells ---- */

/* Before the value is put back: what has gone from there can be found by nobody else. */
static void bad_doorbell(struct nvme *n, unsigned id, bool cq, uint32_t v, unsigned info)
{
	cused_log(CUSED_LOG_DEBUG, "nvme", "%s: %s doorbell of queue %u: bad value %#x",
		  n->svc->name(n->port), cq ? "completion" : "submission", id, v);
	nvme_log_error(n, NULL, 0);
	nvme_log_event(n, AE_ERROR, info, LOG_ERROR);
	nvme_save_now(n);
}

static bool sq_doorbell(struct nvme *n, unsigned id)
{
	struct nvme_sq *sq = &n->sq[id];
	uint32_t v = nvme_reg_load32(n, doorbell(id, false));

	if (v == sq->tail)
		return false;
	if (v >= sq->size) {
		bad_doorbell(n, id, false, v, AE_ERROR_DB_VALUE);
		nvme_reg_swap32(n, doorbell(id, false), v, sq->tail);
		return true;
	}
	sq->tail = v;
	return true;
}

static bool cq_doorbell(struct nvme *n, unsigned id)
{
	struct nvme_cq *cq = &n->cq[id];
	uint32_t v = nvme_reg_load32(n, doorbell(id, true));

	if (v == cq->head)
		return false;
	/* A head may only move over entries that were posted. */
	if (v >= cq->size ||
	    distance(cq->head, v, cq->size) > nvme_queue_unread(cq)) {
		bad_doorbell(n, id, true, v, AE_ERROR_DB_VALUE);
		nvme_reg_swap32(n, doorbell(id, true), v, cq->head);
		return true;
	}
	cq->head = v;
	n->irq_dirty = true;
	return true;
}

/* Look at the doorbells of all queues. Return: true if any had moved. */
bool nvme_queue_doorbells(struct nvme *n)
{
	bool moved = false;

	for (unsigned id = 0; id <= n->top; id++) {
		if (n->sq[id].live)
			moved |= sq_doorbell(n, id);
		if (n->cq[id].live)
			moved |= cq_doorbell(n, id);
	}
	return moved;
}

/* The rare look at doorbells that belong to no queue. */
void nvme_queue_scan(struct nvme *n)
{
	for (unsigned off = NVME_DOORBELLS; off < NVME_MSIX_TABLE; off += 4) {
		unsigned id = (off - NVME_DOORBELLS) / 8;
		bool cq = off & 4;
		uint32_t v = nvme_reg_load32(n, off);

		if (!v || (id <= n->n_queues && (cq ? n->cq[id].live : n->sq[id].live)))
			continue;
		if (n->csts & CSTS_RDY)
			bad_doorbell(n, id, cq, v, AE_ERROR_DB_REGISTER);
		nvme_reg_swap32(n, off, v, 0);
	}
}

/* ---- fetching ---- */

static uint32_t sq_pending(const struct nvme_sq *sq)
{
	return distance(sq->head, sq->tail, sq->size);
}

/* Pieces that cover @count entries from the head. Return: their number, 1 or 2. */
static unsigned sq_pieces(const struct nvme_sq *sq, uint32_t count, struct nvme_sqe *to,
			  struct cused_dma ret[2])
{
	uint32_t end = sq->size - sq->head;

	ret[0] = (struct cused_dma){
		.iova = sq->base + ((uint64_t)sq->head << SQE_SHIFT),
		.buf = to,
		.len = (size_t)(count < end ? count : end) << SQE_SHIFT,
	};
	if (count <= end)
		return 1;
	ret[1] = (struct cused_dma){
		.iova = sq->base, .buf = to + end, .len = (size_t)(count - end) << SQE_SHIFT,
	};
	return 2;
}

static bool fetch(struct nvme *n, const struct cused_dma *v, unsigned count)
{
	int rc = n->svc->dma_read(n->port, v, count, NULL);

	if (!rc)
		return true;
	if (rc != -EACCES)	/* bus mastering off: the commands wait for it */
		nvme_ctrl_fatal(n, "a submission queue cannot be read");
	return false;
}

static uint32_t min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Shares of one batch, round robin with the arbitration burst (4.13.1), kept in @take;
 * a completion slot is reserved for each. Return: their sum. */
static unsigned arbitrate(struct nvme *n, const uint16_t *ids, uint8_t *take, unsigned count)
{
	unsigned ab = n->feat.arbitration & 7, total = 0, before;
	uint32_t burst = ab == 7 ? NVME_BATCH : 1u << ab;

	do {
		before = total;
		for (unsigned i = 0; i < count && total < NVME_BATCH; i++) {
			struct nvme_sq *sq = &n->sq[ids[i]];
			struct nvme_cq *cq = &n->cq[sq->cqid];
			uint32_t k = min32(burst, NVME_BATCH - total);

			k = min32(k, sq_pending(sq) - take[i]);
			k = min32(k, cq_room(cq));
			take[i] = (uint8_t)(take[i] + k);
			cq->reserved += k;
			total += k;
			if (k)
				n->turn = ids[i];
		}
	} while (total > before && total < NVME_BATCH);
	return total;
}

/* Fill the batch from I/O queues. Return: commands in it. */
unsigned nvme_queue_fetch_io(struct nvme *n)
{
	uint16_t ids[NVME_QUEUES_MAX];
	uint8_t take[NVME_QUEUES_MAX] = { 0 };
	struct cused_dma v[2 * NVME_BATCH];
	unsigned count = 0, n_v = 0, done = 0, total, turn = n->turn;

	n->batch_n = n->batch_next = 0;
	if (n->n_async_free < NVME_BATCH)
		return 0;
	for (unsigned i = 0; i < n->top; i++) {
		unsigned id = 1 + (turn + i) % n->top;

		if (n->sq[id].live && n->sq[id].head != n->sq[id].tail)
			ids[count++] = (uint16_t)id;
	}
	total = count ? arbitrate(n, ids, take, count) : 0;
	if (!total)
		return 0;
	for (unsigned i = 0; i < count; done += take[i], i++)
		if (take[i])
			n_v += sq_pieces(&n->sq[ids[i]], take[i], n->fetched + done,
					 v + n_v);
	if (!fetch(n, v, n_v)) {
		for (unsigned i = 0; i < count; i++)
			n->cq[n->sq[ids[i]].cqid].reserved -= take[i];
		return 0;
	}
	for (unsigned i = 0; i < count; i++) {
		struct nvme_sq *sq = &n->sq[ids[i]];

		for (unsigned k = 0; k < take[i]; k++) {
			struct nvme_cmd *c = &n->batch[n->batch_n];

			memset(c, 0, sizeof(*c));
			c->e = n->fetched[n->batch_n++];
			c->sqid = ids[i];
			sqe_decode(&c->e);
		}
		sq->head = (sq->head + take[i]) % sq->size;
	}
	return total;
}

/* Admin commands into n->fetched. Return: how many. */
unsigned nvme_queue_fetch_admin(struct nvme *n)
{
	struct nvme_sq *sq = &n->sq[0];
	struct cused_dma v[2];
	uint32_t count;

	count = min32(sq_pending(sq), min32(cq_room(&n->cq[0]), NVME_ADMIN_BATCH));
	if (!count || !fetch(n, v, sq_pieces(sq, count, n->fetched, v)))
		return 0;
	n->cq[0].reserved += count;
	sq->head = (sq->head + count) % sq->size;
	for (unsigned i = 0; i < count; i++)
		sqe_decode(&n->fetched[i]);
	return count;
}

/* The next command of the queue will be completed or waits: what has to be saved with that.
 * Room for a completion was made before. */
void nvme_queue_consumed(struct nvme *n, uint16_t sqid)
{
	struct nvme_sq *sq = &n->sq[sqid];

	sq->done = (sq->done + 1) % sq->size;
	nvme_dirty_queue(n, sqid);
	nvme_dirty_queue(n, sq->cqid);	/* what waits has a slot there: its head counts */
}

/* ---- completions ---- */

static void stage(struct nvme *n, uint16_t sqid, uint16_t cid, uint16_t status,
		  uint32_t result)
{
	uint16_t cqid = n->sq[sqid].cqid;
	struct nvme_cq *cq = &n->cq[cqid];
	struct nvme_stage *s = &n->stage;
	uint16_t word = (uint16_t)(status << 1);
	struct nvme_cqe e = {
		.result = htole32(result),
		.sqhd = htole16((uint16_t)n->sq[sqid].done),
		.sqid = htole16(sqid),
		.cid = htole16(cid),
	};

	nvme_queue_room(n, 1);
	s->before[s->n] = s->after[s->n] = e;
	s->before[s->n].status = htole16(word | !cq->phase);
	s->after[s->n].status = htole16(word | cq->phase);
	s->iova[s->n] = cq->base + ((uint64_t)cq->tail << CQE_SHIFT);
	s->slot[s->n] = cq->tail;
	s->cqid[s->n++] = cqid;
	nvme_dirty_post(n);
	nvme_dirty_queue(n, cqid);
	if (++cq->tail == cq->size) {
		cq->tail = 0;
		cq->phase = !cq->phase;
	}
	cq->dirty = true;
	cq->unsignalled++;
}

/* For @count completions: so that none of them posts, halfway through a change, what was
 * staged before. */
void nvme_queue_room(struct nvme *n, unsigned count)
{
	if (n->stage.n + count > NVME_STAGE)
		nvme_queue_post(n);
}

/* Completion of a fetched command; goes out with the next nvme_queue_post(). */
void nvme_queue_complete(struct nvme *n, uint16_t sqid, uint16_t cid, uint16_t status,
			 uint32_t result)
{
	nvme_queue_release_slot(n, sqid);
	stage(n, sqid, cid, status, result);
}

/* Completion of a command that gave its slot back. Return: false if there is no room. */
bool nvme_queue_complete_aer(struct nvme *n, uint16_t cid, uint16_t status, uint32_t result)
{
	if (!cq_room(&n->cq[0]))
		return false;
	stage(n, 0, cid, status, result);
	return true;
}

void nvme_queue_release_slot(struct nvme *n, uint16_t sqid)
{
	n->cq[n->sq[sqid].cqid].reserved--;
}

static unsigned runs(const struct nvme_stage *s, const struct nvme_cqe *from,
		     struct cused_dma *v)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n; i++) {
		if (n && v[n - 1].iova + v[n - 1].len == s->iova[i]) {
			v[n - 1].len += sizeof(*from);
			continue;
		}
		v[n++] = (struct cused_dma){
			.iova = s->iova[i], .buf = (void *)(from + i), .len = sizeof(*from),
		};
	}
	return n;
}

static void signal_cq(struct nvme *n, struct nvme_cq *cq)
{
	uint32_t thr = n->feat.coalescing & 0xff, time = n->feat.coalescing >> 8 & 0xff;

	cq->dirty = false;
	if (!cq->ien)
		return;
	if (!n->svc->irq_is_message(n->port)) {
		n->irq_dirty = true;
		return;
	}
	/* INTMS covers MSI too; with MSI-X clients leave it alone (3.1.3). */
	if (cq->vector < 32 && n->intmask >> cq->vector & 1)
		return;
	if (thr && time && cq != &n->cq[0] && !n->feat.vector_cd[cq->vector] &&
	    cq->unsignalled < thr + 1) {
		if (!n->timer_armed)
			n->svc->timer_arm(n->port, 0, (uint64_t)time * 100000);
		n->timer_armed = true;
		return;
	}
	cq->unsignalled = 0;
	n->svc->irq_raise(n->port, cq->vector);
}

/* Write out staged completions and tell the client, once all that led to them is saved. */
void nvme_queue_post(struct nvme *n)
{
	struct cused_dma v[2 * NVME_STAGE];
	struct nvme_stage *s = &n->stage;
	unsigned n_v, count = s->n;

	if (!count && !n->wipe)
		return;
	nvme_save_now(n);
	if (n->wipe)
		nvme_queue_wipe(n, false);
	if (!count)
		return;
	n_v = runs(s, s->before, v);
	n_v += runs(s, s->after, v + n_v);
	s->n = 0;
	if (n->svc->dma_write(n->port, v, n_v, NULL)) {
		nvme_ctrl_fatal(n, "a completion queue cannot be written");
		return;
	}
	for (unsigned i = 0; i < count; i++)
		if (n->cq[s->cqid[i]].dirty)
			signal_cq(n, &n->cq[s->cqid[i]]);
}

/* Bring the INTx line to what the queues and INTMS say (7.5.1.1). */
void nvme_queue_irq(struct nvme *n)
{
	bool want = false;

	n->irq_dirty = false;
	if (!n->svc->irq_is_message(n->port))
		for (unsigned id = 0; id <= n->top; id++) {
			const struct nvme_cq *cq = &n->cq[id];

			want |= cq->live && cq->ien && cq->head != cq->tail &&
				!(n->intmask >> (cq->vector & 31) & 1);
		}
	if (want != n->level || n->resumed)
		n->svc->irq_level(n->port, want);
	n->level = want;
}

/* The first poll after another process has posted its completions again: was the client told
 * of them? */
void nvme_queue_resume(struct nvme *n)
{
	for (unsigned id = 0; id <= n->top; id++)
		if (n->cq[id].live)
			n->cq[id].unsignalled = nvme_queue_unread(&n->cq[id]);
	nvme_queue_timer(n);
}

/* The aggregation time is over, or a mask was lifted: tell of all that is untold. */
void nvme_queue_timer(struct nvme *n)
{
	n->timer_armed = false;
	n->irq_dirty = true;
	if (!n->svc->irq_is_message(n->port))
		return;
	for (unsigned id = 0; id <= n->top; id++) {
		struct nvme_cq *cq = &n->cq[id];

		if (!cq->live || !cq->ien || !cq->unsignalled || cq->head == cq->tail)
			continue;
		if (cq->vector < 32 && n->intmask >> cq->vector & 1)
			continue;
		cq->unsignalled = 0;
		n->svc->irq_raise(n->port, cq->vector);
	}
}
