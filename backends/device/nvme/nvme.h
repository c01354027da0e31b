/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nvme/nvme.h - what the files of the NVMe model share. Theory of operation: ctrl.c.
 *
 *   ctrl.c      parameters, life, registers, reset, shutdown, the poll loop
 *   queue.c     queue pairs, doorbells, fetching commands, posting completions, interrupts
 *   prp.c       where a command's data lies: PRP lists and SGLs
 *   io.c        the NVM command set
 *   admin.c     the admin command set;  identify.c, feature.c, log.c: its larger parts
 *   store.c     images, memory, the helper thread that waits for the disk
 *   save.c      what outlives the process
 */
#ifndef NVME_NVME_H
#define NVME_NVME_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vfio-cused/device.h>
#include <vfio-cused/log.h>
#include "regs.h"

/* ---- limits ---- */
#define NVME_NAMESPACES    4
#define NVME_QUEUES_MAX    255		/* pairs; doorbells and MSI-X fit a page each */
#define NVME_QUEUE_ENTRIES 1024		/* CAP.MQES + 1, I/O queues */
#define NVME_ADMIN_ENTRIES 4096		/* what AQA can say */
#define NVME_MPS_MAX       4		/* 64 KiB pages */
#define NVME_MDTS_MAX      8		/* 1 MiB */
#define NVME_BATCH         32		/* I/O commands fetched at once */
#define NVME_ADMIN_BATCH   8
#define NVME_PART          16		/* … and worked off in one poll */
#define NVME_PART_BYTES    (128u << 10)	/* data of one poll, unless one command has more */
#define NVME_PIECES        CUSED_DMA_BATCH_MAX
#define NVME_PRP_MAX       ((1u << NVME_MDTS_MAX) + 1)
#define NVME_SGL_MAX       256		/* descriptors of one command */
#define NVME_ASYNC         512		/* commands waiting for the disk */
#define NVME_STAGE         64		/* completions posted with one DMA call */
#define NVME_AERL          3		/* 0's based: four requests may wait */
#define NVME_EVENTS        8		/* events waiting for a request */
#define NVME_ERRORS        64		/* error log entries */
#define NVME_DSM_RANGES    256

#define NVME_NSID_ALL      0xffffffffu
#define NVME_TEMPERATURE   303		/* kelvin; the drive never gets warmer */

struct nvme;

/* ---- store.c ---- */

/* A namespace's bytes: an image file or block device (fd), or memory. */
struct nvme_ns {
	uint32_t nsid;			/* 1 … n_ns */
	int fd;				/* -1: memory */
	uint8_t *mem;			/* @bytes of it, or NULL */
	bool mem_kept;			/* of the core's, which outlives the process */
	const char *path;		/* for messages */
	uint64_t bytes, blocks;
	unsigned lba_shift;
	bool readonly;
	bool can_punch;			/* deallocated blocks read as zeroes */
	bool error_logged;
	uint8_t id[16];			/* UUID and NGUID; EUI64 is its second half */

	/* Which writes are on the disk. A flush covers the writes that completed before
	 * it; it needs @synced to reach the @written of its start. */
	uint64_t written, synced;
	uint64_t wanted;		/* the highest count that somebody waits for */
	bool sync_busy;
	uint64_t sync_target;		/* what the running sync will prove */
};

/* What somebody waits for before an answer may be given. */
struct nvme_need {
	unsigned mask;			/* bit i: namespace i has not got there */
	uint64_t seq[NVME_NAMESPACES];
};

struct nvme_range {
	uint64_t offset, len;		/* bytes */
};

enum nvme_work {
	WORK_NONE,			/* waits for a sync that somebody else runs */
	WORK_SYNC,			/* fdatasync */
	WORK_ZERO,			/* write zeroes, keep the blocks */
	WORK_PUNCH,			/* give the blocks back */
};

/*
 * A command that waits for the disk. In the hands of the helper thread from
 * nvme_store_submit() until it comes out of nvme_store_reap(); @busy tells which.
 * Its owner is the device's thread at all other times.
 */
struct nvme_async {
	struct nvme_async *next;	/* free list, or lists of the helper (helper's lock) */
	bool used, busy;
	bool live;			/* a completion is owed to sqid, cid */
	bool again;			/* of another process; @e is to be executed again */
	uint16_t sqid, cid;
	struct nvme_sqe e;		/* what another process would have to execute */
	bool then_sync;			/* durable before it completes (FUA) */
	uint16_t status;
	struct nvme_need need;
	/* for the helper */
	enum nvme_work work;
	struct nvme_ns *ns;
	struct nvme_range *ranges;	/* malloc()ed, or &one */
	struct nvme_range one;
	unsigned n_ranges;
	int result;			/* 0 or -errno */
};

struct nvme_store {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool running;			/* device's thread alone */
	bool stop;			/* lock */
	struct nvme_async *todo, **todo_tail;	/* lock */
	struct nvme_async *done, **done_tail;	/* lock */
	_Atomic bool has_done;
	struct nvme_async syncs[NVME_NAMESPACES];	/* as nvme_async: @busy */
};

/* ---- queue.c ---- */

struct nvme_sq {
	bool live, wipe;		/* wipe: see nvme_queue_wipe() */
	uint16_t cqid;
	uint32_t size;			/* entries */
	uint32_t head, tail;
	uint32_t done;			/* behind what was completed or waits; up to @head is
					 * fetched only */
	uint64_t base;
};

struct nvme_cq {
	bool live, wipe, ien;
	bool phase;			/* of the next entry */
	bool dirty;			/* entries staged, interrupt owed */
	uint16_t vector;
	uint32_t size;
	uint32_t head, tail;
	uint32_t reserved;		/* slots promised to fetched commands */
	uint32_t n_sqs;
	uint32_t unsignalled;		/* entries since the last interrupt, coalescing */
	uint64_t base;
};

/* A fetched command. */
enum nvme_kind { KIND_DONE, KIND_READ, KIND_WRITE, KIND_COMPARE, KIND_DSM, KIND_ADMIN_OUT,
		 KIND_ADMIN_IN, KIND_ASYNC };

struct nvme_cmd {
	struct nvme_sqe e;		/* copied once; the client may change its own */
	uint16_t sqid;
	uint16_t status;
	uint32_t result;
	enum nvme_kind kind;
	struct nvme_ns *ns;
	bool fua;
	uint64_t offset;		/* in the namespace, bytes */
	uint32_t len;			/* of the data */
	uint8_t *buf;			/* @len bytes on our side */
	/* mapping: pieces [first, first + count) of the direction's array */
	uint32_t first, count;
	uint32_t mapped;		/* bytes */
	struct nvme_async *again;	/* it waited in another process, with this; or NULL */
	uint64_t list;			/* PRP list to be read next, 0 none */
	uint32_t list_left;		/* entries still wanted */
	uint32_t list_got;
};

struct nvme_pieces {
	struct cused_dma v[NVME_PIECES];
	uint32_t n;
};

struct nvme_stage {			/* completions on their way */
	struct nvme_cqe before[NVME_STAGE];	/* with the phase that hides them */
	struct nvme_cqe after[NVME_STAGE];
	uint64_t iova[NVME_STAGE];
	uint32_t slot[NVME_STAGE];
	uint16_t cqid[NVME_STAGE];
	unsigned n;
};

/* ---- log.c ---- */

struct nvme_error {
	uint64_t count;
	uint16_t sqid, cid, status;	/* 0xffff: not of one command */
	uint64_t lba;
	uint32_t nsid;
};

struct nvme_features {
	uint32_t arbitration, power, error_recovery[NVME_NAMESPACES], write_cache;
	uint32_t coalescing, atomicity, async_event;
	uint16_t temperature_over, temperature_under;
	uint64_t timestamp, timestamp_at;	/* ms; ns of the monotonic clock */
	uint8_t timestamp_set;			/* 0, 1 */
	uint8_t vector_cd[NVME_QUEUES_MAX + 1];	/* 0, 1 */
};

/* ---- save.c ---- */

struct nvme_dirty {			/* not saved yet */
	bool any;			/* of what follows */
	bool ctrl, post, errors;
	uint64_t queues[(NVME_QUEUES_MAX + 1) / 64];
	uint64_t waiting[NVME_ASYNC / 64];
};
static_assert((NVME_QUEUES_MAX + 1) % 64 == 0 && NVME_ASYNC % 64 == 0, "whole words");

struct nvme {
	const struct cused_services *svc;
	struct cused_port *port;
	uint8_t *bar;			/* clients store to it at any time */

	/* from parameters */
	unsigned n_queues, vectors, mdts, n_ns;
	bool vwc;
	char serial[21], model[41];
	uint16_t vendor, subvendor;
	uint64_t bytes_total;
	uint64_t born;			/* now() at create */

	/* registers */
	uint64_t cap;
	uint32_t cc, csts, intmask;
	unsigned page_shift;		/* CC.MPS */
	unsigned scan;			/* polls until reserved registers are looked at */
	bool shutting;
	struct nvme_need shutdown;
	bool level;			/* INTx as last told */
	bool irq_dirty;			/* INTx may have to change */
	bool timer_armed;
	bool csts_told;			/* CSTS in the BAR is @csts */
	bool wipe;			/* some queue's is set */

	bool saves;			/* the core can save */
	bool restored;			/* there was a piece of the controller */
	bool resumed;			/* no poll yet since another process was here */
	struct nvme_dirty dirty;

	struct nvme_sq sq[NVME_QUEUES_MAX + 1];
	struct nvme_cq cq[NVME_QUEUES_MAX + 1];
	unsigned top;			/* highest queue id in use */
	unsigned turn;			/* round robin */

	struct nvme_cmd batch[NVME_BATCH];
	unsigned batch_n, batch_next;
	struct nvme_cmd admin;
	struct nvme_sqe fetched[NVME_BATCH];
	struct nvme_stage stage;
	struct nvme_pieces to_client, from_client;
	uint64_t lists[NVME_BATCH][NVME_PRP_MAX];
	uint8_t *bounce;		/* data of a batch */
	size_t bounce_size;
	uint8_t *scratch;		/* one command's, for Compare */

	struct nvme_ns ns[NVME_NAMESPACES];
	struct nvme_store store;
	struct nvme_async async[NVME_ASYNC];
	struct nvme_async *async_free;
	unsigned n_async_free;
	bool again_left;		/* some are nvme_async.again, from @again_next on */
	unsigned again_next;

	struct nvme_features feat;
	uint16_t aer[NVME_AERL + 1];	/* command ids */
	unsigned n_aer;
	uint32_t events[NVME_EVENTS];	/* dword 0 of the completion */
	unsigned n_events;
	bool event_masked[AE_TYPES];	/* until its log page is read */

	struct nvme_error errors[NVME_ERRORS];
	uint64_t error_count;		/* of its life */
	unsigned errors_valid;		/* since power on */
	uint64_t units_read, units_written;	/* 512 bytes */
	uint64_t reads, writes, power_cycles, unsafe_shutdowns;
};

/* ctrl.c */
uint32_t nvme_reg_load32(struct nvme *n, unsigned off);
void nvme_reg_store32(struct nvme *n, unsigned off, uint32_t v);
bool nvme_reg_swap32(struct nvme *n, unsigned off, uint32_t old, uint32_t v);
void nvme_ctrl_fatal(struct nvme *n, const char *why);
void nvme_ctrl_synced(struct nvme *n);

/* queue.c */
uint32_t nvme_queue_unread(const struct nvme_cq *cq);
uint16_t nvme_queue_create_cq(struct nvme *n, unsigned id, uint64_t base, uint32_t size,
			      bool ien, uint16_t vector);
uint16_t nvme_queue_create_sq(struct nvme *n, unsigned id, uint64_t base, uint32_t size,
			      unsigned cqid);
uint16_t nvme_queue_delete_cq(struct nvme *n, unsigned id);
uint16_t nvme_queue_delete_sq(struct nvme *n, unsigned id);
void nvme_queue_reset(struct nvme *n);
bool nvme_queue_doorbells(struct nvme *n);
void nvme_queue_scan(struct nvme *n);
unsigned nvme_queue_fetch_io(struct nvme *n);
unsigned nvme_queue_fetch_admin(struct nvme *n);
void nvme_queue_consumed(struct nvme *n, uint16_t sqid);
void nvme_queue_room(struct nvme *n, unsigned count);
void nvme_queue_wipe(struct nvme *n, bool all);
void nvme_queue_resume(struct nvme *n);
void nvme_queue_complete(struct nvme *n, uint16_t sqid, uint16_t cid, uint16_t status,
			 uint32_t result);
bool nvme_queue_complete_aer(struct nvme *n, uint16_t cid, uint16_t status,
			     uint32_t result);
void nvme_queue_release_slot(struct nvme *n, uint16_t sqid);
void nvme_queue_post(struct nvme *n);
void nvme_queue_irq(struct nvme *n);
void nvme_queue_timer(struct nvme *n);

/* prp.c */
void nvme_prp_map(struct nvme *n, struct nvme_cmd *const *cmds, unsigned count);
uint32_t nvme_prp_worst(const struct nvme_cmd *c);
void nvme_prp_transfer(struct nvme *n, struct nvme_cmd *const *cmds, unsigned count,
		       bool to_client);
void nvme_prp_drop(struct nvme *n, struct nvme_cmd *c);

/* io.c */
bool nvme_io_again(struct nvme *n);
void nvme_io_run(struct nvme *n);
void nvme_io_finish(struct nvme *n, struct nvme_cmd *c);
bool nvme_io_reap(struct nvme *n);
void nvme_io_drop(struct nvme *n);
void nvme_io_drop_sq(struct nvme *n, uint16_t sqid);
bool nvme_io_abort(struct nvme *n, uint16_t sqid, uint16_t cid);

/* admin.c, identify.c, feature.c, log.c */
void nvme_admin_run(struct nvme *n, unsigned count);
uint16_t nvme_identify(struct nvme *n, const struct nvme_sqe *e, uint8_t page[4096]);
uint16_t nvme_feature_get(struct nvme *n, const struct nvme_sqe *e, uint32_t *ret_result,
			  uint8_t data[8], uint32_t *ret_len);
uint16_t nvme_feature_set(struct nvme *n, const struct nvme_sqe *e, uint32_t *ret_result,
			  const uint8_t data[8]);
void nvme_feature_reset(struct nvme *n);
uint16_t nvme_log_page(struct nvme *n, const struct nvme_sqe *e, uint8_t page[4096],
		       uint32_t *ret_size);
void nvme_log_read_done(struct nvme *n, const struct nvme_sqe *e);
void nvme_log_error(struct nvme *n, const struct nvme_cmd *c, uint16_t status);
void nvme_log_event(struct nvme *n, unsigned type, unsigned info, unsigned page);
uint16_t nvme_log_aer(struct nvme *n, uint16_t cid);
bool nvme_log_aer_abort(struct nvme *n, uint16_t cid);
bool nvme_log_deliver(struct nvme *n);
void nvme_log_temperature(struct nvme *n);

/* store.c */
int nvme_store_open(struct nvme *n, struct nvme_ns *ns, const char *path, uint64_t size,
		    unsigned lba_shift, bool readonly, struct cused_error *err);
void nvme_store_close(struct nvme_ns *ns);
uint16_t nvme_store_read(struct nvme *n, struct nvme_ns *ns, uint64_t off, uint8_t *buf,
			 uint32_t len);
uint16_t nvme_store_write(struct nvme *n, struct nvme_ns *ns, uint64_t off,
			  const uint8_t *buf, uint32_t len);
uint16_t nvme_store_status(struct nvme *n, struct nvme_ns *ns, int err, bool write);
void nvme_store_zero_memory(struct nvme_ns *ns, const struct nvme_range *r);
void nvme_store_init(struct nvme *n);
void nvme_store_done(struct nvme *n);
void nvme_store_submit(struct nvme *n, struct nvme_async *a);
struct nvme_async *nvme_store_reap(struct nvme *n);
void nvme_store_need(struct nvme *n, unsigned mask, struct nvme_need *ret);
uint16_t nvme_store_sync_done(struct nvme *n, struct nvme_async *a);
void nvme_store_sync_more(struct nvme *n, struct nvme_ns *ns);
bool nvme_store_met(const struct nvme *n, struct nvme_need *need);

/* save.c */
void nvme_save(struct nvme *n);
void nvme_save_now(struct nvme *n);
void nvme_save_all(struct nvme *n);
void nvme_save_nothing(struct nvme *n);
int nvme_save_restore(void *state, unsigned id, const void *data, size_t size);
int nvme_save_resume(void *state);

static inline void nvme_dirty_ctrl(struct nvme *n)
{
	n->dirty.any = n->dirty.ctrl = true;
}

static inline void nvme_dirty_post(struct nvme *n)
{
	n->dirty.any = n->dirty.post = true;
}

static inline void nvme_dirty_errors(struct nvme *n)
{
	n->dirty.any = n->dirty.errors = true;
}

static inline void nvme_dirty_queue(struct nvme *n, unsigned id)
{
	n->dirty.any = true;
	n->dirty.queues[id / 64] |= 1ull << id % 64;
}

static inline void nvme_dirty_waiting(struct nvme *n, const struct nvme_async *a)
{
	unsigned i = (unsigned)(a - n->async);

	n->dirty.any = true;
	n->dirty.waiting[i / 64] |= 1ull << i % 64;
}

#endif
