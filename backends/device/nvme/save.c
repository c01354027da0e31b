/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nvme/save.c - what outlives the process, and how another one takes over.
 *
 * Theory of operation
 *
 *   Pieces, each saved when it has changed:
 *
 *       controller   registers, features, events and their requests
 *       post         completions of the last post with their slots, and SMART counts
 *       errors       the error log
 *       queue        one for each pair: what it is, how far it got
 *       waiting      one for each command that waits for the disk
 *
 *   So a batch of commands costs the post and its queues, some hundred bytes, and nothing
 *   of what it has not touched. All pieces of one nvme_save_now(), or of a callback, count
 *   together. The order is always
 *
 *       effect on disk and client memory ─ nvme_save_now() ─ completions ─ interrupt
 *
 *   and the same for what a client sees in BAR memory: CSTS, masks, doorbells of deleted
 *   queues change after what they tell of was saved. A bar_write() that is cut short comes
 *   again, so it publishes no CSTS: the poll that follows does.
 *
 *   Who takes over writes the completions of the last post into the same slots once more,
 *   since it cannot know whether they got there, and raises the interrupt of each queue
 *   that has unread entries. Heads of submission queues stand behind the last command that
 *   was completed or is waiting (nvme_sq.done; that is also what completions tell the
 *   client, so that it does not use the entries again). What was fetched and not saved is
 *   fetched and executed again. Why that is safe:
 *
 *       Read, Write, Write Zeroes, deallocation    the client has not seen them complete: they
 *               and every other command that it has open are in no order, so doing them twice
 *               is one of the things that could have happened. Those that wait for the helper
 *               are saved with their entry, and begin again.
 *       Compare   has no effect. What it compares with may have changed meanwhile, by a
 *               command that was open at the same time.
 *       FUA, Flush    wait as a Flush: the data is in the page cache and is not written
 *               again. The new process knows of no sync, so the first flush makes one. A sync
 *               that failed is not forgotten: its status is saved.
 *       Asynchronous Event Request, Abort, queues, features, log pages    change what is here
 *               and nothing else. The change and the completion (or, of a request that
 *               waits, the head behind it) count together: either all of it was saved, or the
 *               command is new. What Abort completes is in the same piece as its answer.
 *               Delete Queue may complete so many commands that they are posted before it is
 *               done: then it finds the others, and the queue, when it is executed again.
 *
 *   Doorbell tails and heads, CC, masks and the admin queue's registers are in BAR memory,
 *   and are looked at as always. A bad doorbell value is reported before it is put back; it
 *   may be reported twice. Interrupt coalescing begins anew, with an interrupt.
 *
 *   Pieces may come from anywhere: each number is checked before it is used as an index or
 *   a length, and pieces that contradict each other are refused.
 */
#include <errno.h>

#include "nvme.h"

#define PIECE_VERSION 1u

enum {
	PIECE_CTRL, PIECE_POST, PIECE_ERRORS,
	PIECE_QUEUE = 0x100,		/* + queue id */
	PIECE_WAITING = 0x200,		/* + index in nvme.async */
};
static_assert(PIECE_QUEUE + NVME_QUEUES_MAX < PIECE_WAITING, "ids");

struct piece_ctrl {
	uint32_t version, cc, csts, intmask;
	uint32_t n_aer, n_events;
	uint64_t born, power_cycles, unsafe_shutdowns;
	uint32_t events[NVME_EVENTS];
	uint16_t aer[NVME_AERL + 1];
	uint8_t event_masked[AE_TYPES];
	uint8_t mps;			/* the page size in force; a client can write another to CC */
	uint8_t unused[4];
	struct nvme_features feat;
};

struct piece_post {
	uint64_t reads, writes, units_read, units_written;
	uint32_t n, unused;
	struct {
		struct nvme_cqe e;
		uint32_t slot;
		uint16_t cqid, unused;
	} v[NVME_STAGE];
};

struct piece_errors {
	uint64_t count;
	uint64_t valid;
	struct nvme_error v[NVME_ERRORS];
};

struct piece_queue {
	uint64_t sq_base, cq_base;
	uint32_t sq_size, sq_done, sq_tail;
	uint32_t cq_size, cq_head, cq_tail;
	uint16_t cqid, vector;
	uint8_t sq_live, cq_live, ien, phase;
};

struct piece_waiting {
	struct nvme_sqe e;		/* decoded */
	uint16_t sqid, status;
	uint32_t unused;
};

static_assert(sizeof(struct piece_post) < CUSED_SAVE_MAX &&
	      sizeof(struct piece_errors) < CUSED_SAVE_MAX, "device.h");

/* ---- saving ---- */

static void put(struct nvme *n, unsigned id, const void *data, size_t size)
{
	n->svc->save(n->port, id, data, size);
}

static void save_ctrl(struct nvme *n)
{
	struct piece_ctrl p = {
		.version = PIECE_VERSION, .cc = n->cc, .csts = n->csts,
		.intmask = n->intmask, .n_aer = n->n_aer, .n_events = n->n_events,
		.born = n->born, .power_cycles = n->power_cycles,
		.unsafe_shutdowns = n->unsafe_shutdowns, .feat = n->feat,
		.mps = (uint8_t)(n->page_shift ? n->page_shift - 12 : 0),
	};

	memcpy(p.events, n->events, n->n_events * sizeof(*p.events));
	memcpy(p.aer, n->aer, n->n_aer * sizeof(*p.aer));
	for (unsigned i = 0; i < AE_TYPES; i++)
		p.event_masked[i] = n->event_masked[i];
	put(n, PIECE_CTRL, &p, sizeof(p));
}

static size_t post_size(uint32_t count)
{
	return offsetof(struct piece_post, v) +
	       count * sizeof(((struct piece_post *)NULL)->v[0]);
}

static void save_post(struct nvme *n)
{
	const struct nvme_stage *s = &n->stage;
	struct piece_post p;

	p.reads = n->reads;
	p.writes = n->writes;
	p.units_read = n->units_read;
	p.units_written = n->units_written;
	p.n = s->n;
	p.unused = 0;
	for (unsigned i = 0; i < s->n; i++) {
		p.v[i].e = s->after[i];
		p.v[i].slot = s->slot[i];
		p.v[i].cqid = s->cqid[i];
		p.v[i].unused = 0;
	}
	put(n, PIECE_POST, &p, post_size(s->n));
}

static void save_errors(struct nvme *n)
{
	struct piece_errors p = { .count = n->error_count, .valid = n->errors_valid };

	memcpy(p.v, n->errors, sizeof(p.v));
	put(n, PIECE_ERRORS, &p, sizeof(p));
}

static void save_queue(struct nvme *n, unsigned id)
{
	const struct nvme_sq *sq = &n->sq[id];
	const struct nvme_cq *cq = &n->cq[id];
	struct piece_queue p = { .sq_live = sq->live, .cq_live = cq->live };

	if (sq->live) {
		p.cqid = sq->cqid;
		p.sq_base = sq->base;
		p.sq_size = sq->size;
		p.sq_done = sq->done;
		p.sq_tail = sq->tail;
	}
	if (cq->live) {
		p.ien = cq->ien;
		p.phase = cq->phase;
		p.vector = cq->vector;
		p.cq_base = cq->base;
		p.cq_size = cq->size;
		p.cq_head = cq->head;
		p.cq_tail = cq->tail;
	}
	if (sq->live || cq->live)
		put(n, PIECE_QUEUE + id, &p, sizeof(p));
	else
		put(n, PIECE_QUEUE + id, NULL, 0);
}

static void save_waiting(struct nvme *n, unsigned i)
{
	const struct nvme_async *a = &n->async[i];
	struct piece_waiting p = { .e = a->e, .sqid = a->sqid, .status = a->status };

	if (a->used && a->live)
		put(n, PIECE_WAITING + i, &p, sizeof(p));
	else
		put(n, PIECE_WAITING + i, NULL, 0);
}

static void each_bit(struct nvme *n, uint64_t *bits, unsigned words,
		     void (*fn)(struct nvme *n, unsigned i))
{
	for (unsigned w = 0; w < words; w++)
		for (; bits[w]; bits[w] &= bits[w] - 1)
			fn(n, w * 64 + (unsigned)__builtin_ctzll(bits[w]));
}

/* Save what has changed. It counts when the callback returns. */
void nvme_save(struct nvme *n)
{
	struct nvme_dirty *d = &n->dirty;

	if (!n->saves || !d->any)
		return;
	d->any = false;
	if (d->ctrl)
		save_ctrl(n);
	if (d->post)
		save_post(n);
	if (d->errors)
		save_errors(n);
	d->ctrl = d->post = d->errors = false;
	each_bit(n, d->queues, sizeof(d->queues) / sizeof(*d->queues), save_queue);
	each_bit(n, d->waiting, sizeof(d->waiting) / sizeof(*d->waiting), save_waiting);
}

/* The same; in poll() it counts from here on. */
void nvme_save_now(struct nvme *n)
{
	if (!n->saves || !n->dirty.any)
		return;
	nvme_save(n);
	n->svc->save_now(n->port);
}

/* An open that begins: nothing of an earlier one is left. */
void nvme_save_all(struct nvme *n)
{
	n->dirty.any = n->dirty.ctrl = n->dirty.post = n->dirty.errors = true;
	nvme_save(n);
}

/* The last close: there is nothing to take over. */
void nvme_save_nothing(struct nvme *n)
{
	nvme_save(n);
	if (!n->saves)
		return;
	put(n, PIECE_CTRL, NULL, 0);
	put(n, PIECE_POST, NULL, 0);
	put(n, PIECE_ERRORS, NULL, 0);
}

/* ---- restoring ---- */

static int restore_features(struct nvme *n, const struct nvme_features *f)
{
	if (f->timestamp_set > 1 || f->timestamp_at > n->svc->now(n->port))
		return -EBADMSG;
	for (unsigned i = 0; i < sizeof(f->vector_cd); i++)
		if (f->vector_cd[i] > 1)
			return -EBADMSG;
	n->feat = *f;
	return 0;
}

/* Values of CC and CSTS that this controller can have together. */
static bool states_agree(const struct piece_ctrl *p)
{
	bool en = p->cc & CC_EN, ready = p->csts & CSTS_RDY, failed = p->csts & CSTS_CFS;

	if (p->cc & ~CC_VALID ||
	    p->csts & ~(CSTS_RDY | CSTS_CFS | CSTS_SHST_BUSY | CSTS_SHST_DONE))
		return false;
	if ((p->csts & CSTS_SHST_BUSY) && (p->csts & CSTS_SHST_DONE))
		return false;
	return en ? ready || failed : !ready;
}

static int restore_ctrl(struct nvme *n, const void *data, size_t size)
{
	struct piece_ctrl p;

	if (size != sizeof(p))
		return -EBADMSG;
	memcpy(&p, data, sizeof(p));
	if (p.version != PIECE_VERSION || !states_agree(&p) || p.n_aer > NVME_AERL + 1 ||
	    p.n_events > NVME_EVENTS || p.mps > NVME_MPS_MAX || p.born > n->svc->now(n->port))
		return -EBADMSG;
	for (unsigned i = 0; i < p.n_events; i++)
		if ((p.events[i] & 7) >= AE_TYPES)
			return -EBADMSG;
	for (unsigned i = 0; i < AE_TYPES; i++) {
		if (p.event_masked[i] > 1)
			return -EBADMSG;
		n->event_masked[i] = p.event_masked[i];
	}
	n->cc = p.cc;
	n->csts = p.csts;
	n->page_shift = 12u + p.mps;
	n->intmask = p.intmask;
	n->n_aer = p.n_aer;
	n->n_events = p.n_events;
	n->born = p.born;
	n->power_cycles = p.power_cycles;
	n->unsafe_shutdowns = p.unsafe_shutdowns;
	memcpy(n->events, p.events, sizeof(n->events));
	memcpy(n->aer, p.aer, sizeof(n->aer));
	n->restored = true;
	return restore_features(n, &p.feat);
}

/* Into the stage: the first poll posts them. Slots are checked when queues are known. */
static int restore_post(struct nvme *n, const void *data, size_t size)
{
	struct piece_post p;

	if (size < post_size(0) || size > sizeof(p))
		return -EBADMSG;
	memcpy(&p, data, size);
	if (p.n > NVME_STAGE || size != post_size(p.n))
		return -EBADMSG;
	n->reads = p.reads;
	n->writes = p.writes;
	n->units_read = p.units_read;
	n->units_written = p.units_written;
	for (unsigned i = 0; i < p.n; i++) {
		if (p.v[i].cqid > n->n_queues)
			return -EBADMSG;
		n->stage.after[i] = p.v[i].e;
		n->stage.before[i] = p.v[i].e;
		n->stage.before[i].status ^= htole16(1);
		n->stage.slot[i] = p.v[i].slot;
		n->stage.cqid[i] = p.v[i].cqid;
	}
	n->stage.n = p.n;
	return 0;
}

static int restore_errors(struct nvme *n, const void *data, size_t size)
{
	struct piece_errors p;

	if (size != sizeof(p))
		return -EBADMSG;
	memcpy(&p, data, sizeof(p));
	if (p.valid > NVME_ERRORS || p.valid > p.count)
		return -EBADMSG;
	n->error_count = p.count;
	n->errors_valid = (unsigned)p.valid;
	memcpy(n->errors, p.v, sizeof(n->errors));
	return 0;
}

static int restore_queue(struct nvme *n, unsigned id, const void *data, size_t size)
{
	uint32_t most = id ? NVME_QUEUE_ENTRIES : NVME_ADMIN_ENTRIES;
	struct piece_queue p;

	if (id > n->n_queues || size != sizeof(p))
		return -EBADMSG;
	memcpy(&p, data, sizeof(p));
	if (p.sq_live > 1 || p.cq_live > 1 || p.ien > 1 || p.phase > 1)
		return -EBADMSG;
	if (p.sq_live && (p.sq_size < 2 || p.sq_size > most || p.sq_done >= p.sq_size ||
			  p.sq_tail >= p.sq_size || p.cqid > n->n_queues || !id != !p.cqid))
		return -EBADMSG;
	if (p.cq_live && (p.cq_size < 2 || p.cq_size > most || p.cq_head >= p.cq_size ||
			  p.cq_tail >= p.cq_size || p.vector >= n->vectors))
		return -EBADMSG;
	if (p.sq_live)
		n->sq[id] = (struct nvme_sq){
			.live = true, .cqid = p.cqid, .size = p.sq_size, .base = p.sq_base,
			.head = p.sq_done, .done = p.sq_done, .tail = p.sq_tail,
		};
	if (p.cq_live)
		n->cq[id] = (struct nvme_cq){
			.live = true, .ien = p.ien, .phase = p.phase, .vector = p.vector,
			.size = p.cq_size, .base = p.cq_base, .head = p.cq_head,
			.tail = p.cq_tail,
		};
	if (id > n->top)
		n->top = id;
	return 0;
}

static int restore_waiting(struct nvme *n, unsigned i, const void *data, size_t size)
{
	struct piece_waiting p;

	if (i >= NVME_ASYNC || size != sizeof(p))
		return -EBADMSG;
	memcpy(&p, data, sizeof(p));
	if (!p.sqid || p.sqid > n->n_queues)
		return -EBADMSG;
	n->async[i] = (struct nvme_async){
		.used = true, .live = true, .again = true, .sqid = p.sqid, .cid = p.e.cid,
		.status = p.status, .e = p.e,
	};
	return 0;
}

/* ops.restore. Return: 0; -EBADMSG. */
int nvme_save_restore(void *state, unsigned id, const void *data, size_t size)
{
	struct nvme *n = state;

	if (id >= PIECE_WAITING)
		return restore_waiting(n, id - PIECE_WAITING, data, size);
	if (id >= PIECE_QUEUE)
		return restore_queue(n, id - PIECE_QUEUE, data, size);
	switch (id) {
	case PIECE_CTRL:
		return restore_ctrl(n, data, size);
	case PIECE_POST:
		return restore_post(n, data, size);
	case PIECE_ERRORS:
		return restore_errors(n, data, size);
	}
	return -EBADMSG;
}

/* ---- all of it together ---- */

static int check_queues(struct nvme *n)
{
	bool ready = n->csts & CSTS_RDY;

	if (n->sq[0].live != ready || n->cq[0].live != ready || (n->top && !ready))
		return -EBADMSG;
	for (unsigned id = 0; id <= n->top; id++) {
		if (!n->sq[id].live)
			continue;
		if (!n->cq[n->sq[id].cqid].live)
			return -EBADMSG;
		n->cq[n->sq[id].cqid].n_sqs++;
	}
	return 0;
}

/* Slots of commands that wait are reserved again. */
static int check_waiting(struct nvme *n)
{
	for (unsigned i = 0; i < NVME_ASYNC; i++) {
		const struct nvme_async *a = &n->async[i];

		if (!a->again)
			continue;
		if (!n->sq[a->sqid].live)
			return -EBADMSG;
		n->cq[n->sq[a->sqid].cqid].reserved++;
		n->again_left = true;
	}
	for (unsigned id = 0; id <= n->top; id++) {
		const struct nvme_cq *cq = &n->cq[id];

		if (cq->live && cq->reserved + nvme_queue_unread(cq) > cq->size - 1)
			return -EBADMSG;
	}
	return 0;
}

static int check_stage(struct nvme *n)
{
	struct nvme_stage *s = &n->stage;

	for (unsigned i = 0; i < s->n; i++) {
		struct nvme_cq *cq = &n->cq[s->cqid[i]];

		if (!cq->live || s->slot[i] >= cq->size)
			return -EBADMSG;
		s->iova[i] = cq->base + ((uint64_t)s->slot[i] << CQE_SHIFT);
		cq->dirty = true;
	}
	return 0;
}

/* What is in use is not free. */
static void rebuild_free(struct nvme *n)
{
	n->async_free = NULL;
	n->n_async_free = 0;
	for (unsigned i = 0; i < NVME_ASYNC; i++) {
		if (n->async[i].used)
			continue;
		n->async[i].next = n->async_free;
		n->async_free = &n->async[i];
		n->n_async_free++;
	}
}

static int check_all(struct nvme *n)
{
	int rc = n->restored ? 0 : -EBADMSG;

	if (!rc)
		rc = check_queues(n);
	if (!rc)
		rc = check_waiting(n);
	if (!rc)
		rc = check_stage(n);
	/* Namespaces in memory of the process that has gone are empty now. */
	for (unsigned i = 0; i < n->n_ns; i++)
		if (n->ns[i].mem && !n->ns[i].mem_kept)
			rc = -EBADMSG;
	return rc;
}

/*
 * ops.resume: make a controller of the pieces; the first poll goes on with it.
 * Return: 0; -ENOMEM; -EBADMSG pieces are missing, or contradict each other.
 */
int nvme_save_resume(void *state)
{
	struct nvme *n = state;
	int rc = check_all(n);

	if (rc)
		return rc;
	n->bar = n->svc->bar_memory(n->port, 0);
	if (!n->bar)
		return -ENOMEM;
	rebuild_free(n);
	/* Writes of before may be in the page cache only. */
	for (unsigned i = 0; i < n->n_ns; i++)
		n->ns[i].written = !n->ns[i].readonly;
	n->shutting = n->csts & CSTS_SHST_BUSY;
	n->resumed = true;
	nvme_queue_wipe(n, true);
	if (n->shutting) {
		nvme_store_need(n, (1u << n->n_ns) - 1, &n->shutdown);
		nvme_ctrl_synced(n);
	}
	return 0;
}
