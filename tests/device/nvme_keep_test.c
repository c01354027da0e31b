/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device/nvme_keep_test.c - the process of the NVMe controller is killed after each single
 * call of a service (and after each piece of a DMA), and a client sees nothing of it: each
 * command is answered once and as without it, the data is where it was written, no interrupt
 * is lost. The client is strict: it fills the entries of the submission queue with rubbish as
 * soon as a completion gives them back. Rules: device.h, restore(); order: nvme/save.c.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <device/nvme_client.h>
#include <device/spoil.h>

#define POINTS_MAX 20000		/* more than a run has */
/* Between points. ThreadSanitizer takes ten times as long for a run, and looks for races, which
 * are the same at all points. */
#if defined(__SANITIZE_THREAD__)
#define STEP 11
#else
#define STEP 1
#endif
#define BYTES      (256u << 10)		/* of a namespace */
#define BLOCK      512u
#define BATCH_MAX  128

static struct client c;
static uint8_t disk[2][BYTES];		/* what namespaces hold */
static uint64_t reads, writes;		/* commands that SMART counts */
static uint64_t irqs_seen[4];
static uint32_t scrubbed[4];		/* next entry of a queue that is not rubbish yet */
static int image = -1;

/* ---- a disk that can be told to wait ---- */

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_change = PTHREAD_COND_INITIALIZER;
static bool gate_shut, gate_broken;

int fdatasync(int fd)
{
	pthread_mutex_lock(&gate_lock);
	while (gate_shut && !gate_broken)
		pthread_cond_wait(&gate_change, &gate_lock);
	pthread_mutex_unlock(&gate_lock);
	return (int)syscall(SYS_fdatasync, fd);
}

static void gate(bool *what, bool value)
{
	pthread_mutex_lock(&gate_lock);
	*what = value;
	pthread_cond_broadcast(&gate_change);
	pthread_mutex_unlock(&gate_lock);
}

/* Who is killed waits for nothing. */
static void dying(bool begins)
{
	gate(&gate_broken, begins);
}

/* ---- the client ---- */

static void start(unsigned point, bool intx, bool poll_first)
{
	char params[100];

	memset(disk, 0, sizeof(disk));
	memset(scrubbed, 0, sizeof(scrubbed));
	memset(irqs_seen, 0, sizeof(irqs_seen));
	memset(&c, 0, sizeof(c));
	reads = writes = 0;
	image = memfd_create("image", MFD_CLOEXEC);
	ck_assert_int_ge(image, 0);
	ck_assert_int_eq(ftruncate(image, BYTES), 0);
	snprintf(params, sizeof(params), "image=/proc/self/fd/%d,size2=256K,queues=4", image);
	ck_assert_int_eq(fake_create(&c.p, "nvme", params, MEM, MEM_SIZE), 0);
	c.p.intx = intx;
	c.p.poll_first = poll_first;
	c.p.dying = dying;
	c.p.kill_at = point;
	ck_assert_int_eq(fake_open(&c.p), 0);
}

/* The image holds what it should. Return: true if the process was killed. */
static bool end(void)
{
	static uint8_t now[BYTES];
	bool killed = c.p.kills;

	ck_assert_int_eq(pread(image, now, BYTES, 0), BYTES);
	ck_assert(!memcmp(now, disk[0], BYTES));
	fake_destroy(&c.p);
	close(image);
	return killed;
}

static void take(unsigned q, const struct cqe *e)
{
	ck_assert_uint_eq(e->sqid, q);
	ck_assert_uint_lt(e->sqhd, c.q[q].sq_size);
	for (; scrubbed[q] != e->sqhd; scrubbed[q] = (scrubbed[q] + 1) % c.q[q].sq_size)
		memset(fake_mem(&c.p, SQ_IOVA(q) + 64ull * scrubbed[q]), 0xee, 64);
}

/* Was the client told of what it has just found? */
static void check_irq(unsigned q)
{
	if (c.p.intx)
		ck_assert(c.p.level);
	else
		ck_assert_uint_gt(c.p.irqs[q], irqs_seen[q]);
}

static void nothing_more(unsigned q)
{
	struct cqe e;

	fake_poll(&c.p, 1000);
	ck_assert_msg(!client_peek(&c, q, &e), "queue %u: cid %u was answered once more", q, e.cid);
	irqs_seen[q] = c.p.irqs[q];
	if (c.p.intx)
		ck_assert(!c.p.level);
}

struct work {
	struct sqe e;
	uint16_t status;		/* that it shall have */
	uint16_t cid;
	uint32_t result;
	bool done;
};

static void push(unsigned q, struct work *w, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		w[i].cid = client_push(&c, q, w[i].e);
		w[i].done = false;
	}
	client_ring(&c, q);
}

/* One completion, as soon as it is there. */
static void answered(unsigned q, struct work *w, unsigned count)
{
	struct timespec now;
	struct cqe e;
	time_t until;

	clock_gettime(CLOCK_MONOTONIC, &now);
	until = now.tv_sec + 30;
	while (!client_reap(&c, q, &e)) {
		if (fake_poll_once(&c.p))
			continue;
		sched_yield();
		clock_gettime(CLOCK_MONOTONIC, &now);
		ck_assert_msg(now.tv_sec < until, "queue %u: an answer is missing", q);
	}
	take(q, &e);
	for (unsigned i = 0; i < count; i++) {
		if (w[i].cid != e.cid)
			continue;
		ck_assert_msg(!w[i].done, "cid %u was answered twice", e.cid);
		w[i].done = true;
		w[i].result = e.result;
		ck_assert_msg((e.status >> 1 & ~MORE) == w[i].status,
			      "opcode %u: status %x, not %x", w[i].e.opcode,
			      e.status >> 1 & ~MORE, w[i].status);
		return;
	}
	ck_abort_msg("queue %u: cid %u was answered: there is none", q, e.cid);
}

static void collect(unsigned q, struct work *w, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		answered(q, w, count);
		if (!i)
			check_irq(q);
	}
	nothing_more(q);
}

static void run(unsigned q, struct work *w, unsigned count)
{
	push(q, w, count);
	collect(q, w, count);
}

static uint32_t one(unsigned q, uint16_t status, struct sqe e)
{
	struct work w = { .e = e, .status = status };

	run(q, &w, 1);
	return w.result;
}

static void enable(void)
{
	memset(scrubbed, 0, sizeof(scrubbed));
	client_enable(&c, 16);
}

static void make_queue(unsigned q, uint32_t size)
{
	client_queue_init(&c, q, size);
	scrubbed[q] = 0;
	one(0, 0, (struct sqe){ .opcode = 5, .prp1 = CQ_IOVA(q), .cdw10 = (size - 1) << 16 | q,
				.cdw11 = q << 16 | 3 });
	one(0, 0, (struct sqe){ .opcode = 1, .prp1 = SQ_IOVA(q), .cdw10 = (size - 1) << 16 | q,
				.cdw11 = q << 16 | 1 });
}

/* ---- I/O ---- */

/* Up to three pages; of more, LIST + @i pages is the list. */
static struct work data(uint8_t opcode, uint32_t nsid, uint32_t lba, uint32_t blocks,
			uint64_t at, unsigned i)
{
	uint64_t list = LIST + i * 4096, *entries = fake_mem(&c.p, list);
	struct work w = { .e = rw(opcode, nsid, lba, blocks, at, at + 4096) };

	if (blocks * BLOCK > 8192) {
		entries[0] = at + 4096;
		entries[1] = at + 8192;
		w.e.prp2 = list;
	}
	*(opcode == 1 ? &writes : &reads) += 1;
	return w;
}

static struct work write_new(uint32_t nsid, uint32_t lba, uint32_t blocks, unsigned i)
{
	uint64_t at = DATA + i * 0x4000;

	pattern(fake_mem(&c.p, at), blocks * BLOCK, lba * 7 + i + 1);
	memcpy(disk[nsid - 1] + lba * BLOCK, fake_mem(&c.p, at), blocks * BLOCK);
	return data(1, nsid, lba, blocks, at, i);
}

/* All that was ever written, read in one go. */
static void verify(unsigned q, uint32_t nsid)
{
	struct work w[20];
	const uint8_t *p = fake_mem(&c.p, DATA + 0x400000);

	memset(fake_mem(&c.p, DATA + 0x400000), 0xcc, 20 * 0x4000);
	for (unsigned i = 0; i < 20; i++)
		w[i] = data(2, nsid, i * 24, 24, DATA + 0x400000 + i * 0x4000, i);
	run(q, w, 20);
	for (unsigned i = 0; i < 20; i++)
		ck_assert(!memcmp(p + i * 0x4000, disk[nsid - 1] + i * 24 * BLOCK, 24 * BLOCK));
}

static void io(uint32_t nsid)
{
	struct work w[BATCH_MAX] = { 0 };
	uint32_t *ranges = fake_mem(&c.p, DATA + 0x300000);
	const struct sqe flush = { .opcode = 0, .nsid = nsid };

	for (unsigned i = 0; i < 20; i++)
		w[i] = write_new(nsid, i * 24, i + 1, i);
	run(1, w, 20);
	/* What waits for the disk, between what does not; errors. */
	w[0] = write_new(nsid, 4, 8, 0);
	w[0].e.cdw12 |= 1u << 30;
	w[1] = (struct work){ .e = flush };
	w[2] = write_new(nsid, 100, 24, 1);
	w[3] = (struct work){ .e = rw(8, nsid, 200, 16, 0, 0) };
	memset(disk[nsid - 1] + 200 * BLOCK, 0, 16 * BLOCK);
	w[4] = (struct work){ .e = rw(8, nsid, 240, 5, 0, 0) };
	w[4].e.cdw12 |= 1u << 30;
	memset(disk[nsid - 1] + 240 * BLOCK, 0, 5 * BLOCK);
	for (unsigned i = 0; i < 3; i++) {
		ranges[i * 4] = ranges[i * 4 + 3] = 0;
		ranges[i * 4 + 1] = 8;
		ranges[i * 4 + 2] = 300 + i * 16;
		memset(disk[nsid - 1] + (300 + i * 16) * BLOCK, 0, 8 * BLOCK);
	}
	w[5] = (struct work){ .e = { .opcode = 9, .nsid = nsid, .prp1 = DATA + 0x300000,
				     .cdw10 = 2, .cdw11 = 4 } };
	w[6] = (struct work){ .e = rw(2, nsid, BYTES / BLOCK, 1, DATA, 0), .status = 0x80 | DNR };
	w[7] = (struct work){ .e = { .opcode = 0x7f, .nsid = nsid }, .status = 1 | DNR };
	w[8] = (struct work){ .e = flush };
	run(1, w, 9);
	memcpy(fake_mem(&c.p, DATA), disk[nsid - 1] + 400 * BLOCK, 4096);
	w[0] = data(5, nsid, 400, 8, DATA, 0);
	w[1] = data(5, nsid, 401, 8, DATA, 1);
	w[1].status = 0x285;
	w[2] = data(2, nsid, 0, 8, 0, 0);		/* nowhere */
	w[2].status = 4 | DNR;
	run(1, w, 3);
	verify(1, nsid);
}

static void io_workload(unsigned unused)
{
	uint8_t *page = fake_mem(&c.p, DATA + 0x300000);

	enable();
	make_queue(1, 32);
	io(1);
	io(2);
	/* SMART, NVMe 1.4, 5.14.1.2 */
	one(0, 0, (struct sqe){ .opcode = 2, .cdw10 = 127u << 16 | 2, .prp1 = DATA + 0x300000 });
	ck_assert_uint_eq(get64(page, 64), reads);
	ck_assert_uint_eq(get64(page, 80), writes);
	ck_assert_uint_eq(get64(page, 112), 1);
	one(0, 0, (struct sqe){ .opcode = 2, .cdw10 = 127u << 16 | 1, .prp1 = DATA + 0x300000 });
	ck_assert_uint_eq(get64(page, 0), 8);		/* four errors of each namespace */
	fake_close(&c.p);
	ck_assert_uint_eq(fake_pieces_count(&c.p.pieces), 0);
}

/* ---- commands that are not the same when done twice ---- */

static void set(uint32_t feature, uint32_t value)
{
	one(0, 0, (struct sqe){ .opcode = 9, .cdw10 = feature, .cdw11 = value });
}

static uint32_t get(uint32_t feature, uint32_t value)
{
	return one(0, 0, (struct sqe){ .opcode = 10, .cdw10 = feature, .cdw11 = value });
}

static void features(void)
{
	uint8_t *p = fake_mem(&c.p, DATA);

	set(1, 0x01020303);
	set(8, 0x0102);
	set(9, 1 << 16 | 1);
	set(0xa, 1);
	set(6, 0);
	memcpy(p, (uint8_t[8]){ 1, 2, 3, 4, 5, 0 }, 8);
	one(0, 0, (struct sqe){ .opcode = 9, .cdw10 = 0xe, .prp1 = DATA });
	ck_assert_uint_eq(get(1, 0), 0x01020303);
	ck_assert_uint_eq(get(8, 0), 0x0102);
	ck_assert_uint_eq(get(9, 1), 1 << 16 | 1);
	ck_assert_uint_eq(get(9, 2), 2);
	ck_assert_uint_eq(get(0xa, 0), 1);
	ck_assert_uint_eq(get(6, 0), 0);
	memset(p, 0, 8);
	one(0, 0, (struct sqe){ .opcode = 10, .cdw10 = 0xe, .prp1 = DATA });
	ck_assert(!memcmp(p, (uint8_t[8]){ 1, 2, 3, 4, 5, 0, 2, 0 }, 8));
	set(8, 0);
	set(6, 1);
}

static void queues(void)
{
	static const struct sqe delete_sq2 = { .opcode = 0, .cdw10 = 2 };
	static const struct sqe delete_cq2 = { .opcode = 4, .cdw10 = 2 };
	struct work w[3];

	for (unsigned i = 0; i < 2; i++) {
		make_queue(2, 8);
		for (unsigned k = 0; k < 5; k++) {
			w[k % 3] = write_new(1, k * 8, 8, k);
			run(2, &w[k % 3], 1);
		}
		one(0, 0x10c | DNR, delete_cq2);
		one(0, 0, delete_sq2);
		one(0, 0x101 | DNR, delete_sq2);
		one(0, 0, delete_cq2);
		one(0, 0x101 | DNR, delete_cq2);
	}
	/* All in one go. */
	make_queue(2, 8);
	run(2, (struct work[]){ write_new(1, 0, 8, 0), write_new(1, 8, 8, 1) }, 2);
	w[0] = (struct work){ .e = delete_sq2 };
	w[1] = (struct work){ .e = { .opcode = 1, .prp1 = SQ_IOVA(2), .cdw10 = 7 << 16 | 2,
				     .cdw11 = 2 << 16 | 1 } };
	w[2] = (struct work){ .e = delete_sq2 };
	run(0, w, 3);
	one(0, 0, delete_cq2);
	one(0, 0x101 | DNR, delete_sq2);
}

/* NVMe 1.4, 5.2: requests wait, events complete them, once each; more than four are refused. */
static void events(void)
{
	struct work w[5];

	for (unsigned i = 0; i < 5; i++)
		w[i] = (struct work){ .e = { .opcode = 12 } };
	push(0, w, 4);
	fake_poll(&c.p, 100);
	one(0, 0x105 | DNR, w[4].e);
	fake_poke32(&c.p, 0, SQ_DB(1), 999);
	fake_poll(&c.p, 100);
	answered(0, w, 4);
	check_irq(0);
	nothing_more(0);
	ck_assert(w[0].done);
	ck_assert_uint_eq(w[0].result, 1 << 16 | 1 << 8);
	one(0, 0, (struct sqe){ .opcode = 2, .cdw10 = 15u << 16 | 1, .prp1 = DATA });
	nothing_more(0);
	/* too warm, from now on */
	w[4] = (struct work){ .e = { .opcode = 9, .cdw10 = 0xb, .cdw11 = 2 } };
	run(0, &w[4], 1);
	w[0] = (struct work){ .e = { .opcode = 9, .cdw10 = 4, .cdw11 = 300 } };
	push(0, w, 1);
	for (unsigned i = 0; i < 2; i++)
		answered(0, w, 4);
	check_irq(0);
	nothing_more(0);
	ck_assert(w[0].done && w[1].done);
	ck_assert_uint_eq(w[1].result, 2 << 16 | 1 << 8 | 1);
	/* Abort the third; it and the abort are answered. */
	w[0] = (struct work){ .e = { .opcode = 8, .cdw10 = (uint32_t)w[2].cid << 16 } };
	w[2].status = 7;
	push(0, w, 1);
	for (unsigned i = 0; i < 2; i++)
		answered(0, w, 4);
	check_irq(0);
	nothing_more(0);
	ck_assert(w[0].done && w[2].done && !w[3].done);
	ck_assert_uint_eq(w[0].result, 0);
	ck_assert_uint_eq(one(0, 0, w[0].e), 1);
}

static void admin_workload(unsigned unused)
{
	enable();
	make_queue(1, 16);
	features();
	queues();
	events();
	run(1, (struct work[]){ write_new(1, 3, 8, 0), write_new(1, 30, 8, 1) }, 2);
}

/* ---- registers ---- */

static void masks(bool through_file)
{
	struct work w = write_new(2, 0, 1, 0);
	void (*store)(struct cused_port *p, unsigned bar, uint64_t off, uint32_t v) =
		through_file ? fake_write32 : fake_poke32;

	store(&c.p, 0, INTMS, 1 << 1);
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(fake_read32(&c.p, 0, INTMS), 2);
	store(&c.p, 0, INTMS, 1 << 2);
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(fake_read32(&c.p, 0, INTMS), 6);
	push(1, &w, 1);
	irqs_seen[1] = c.p.irqs[1];
	fake_poll(&c.p, 100);
	ck_assert_uint_eq(c.p.irqs[1], irqs_seen[1]);
	ck_assert(!c.p.level);
	store(&c.p, 0, INTMC, 1 << 1);
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(fake_read32(&c.p, 0, INTMS), 4);
	check_irq(1);
	collect(1, &w, 1);
	store(&c.p, 0, INTMC, 1 << 2);
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(fake_read32(&c.p, 0, INTMS), 0);
	ck_assert_uint_eq(fake_read32(&c.p, 0, INTMC), 0);
}

/* A queue full of writes that were never submitted: who takes a cleared doorbell for news
 * executes them. */
static void leave_behind(void)
{
	struct sqe poison = rw(1, 1, 500, 1, DATA + 0x380000, 0);
	struct work w[5];

	for (unsigned i = 0; i < 5; i++)
		w[i] = write_new(2, i * 8, 8, i);
	run(1, w, 5);
	push(1, (struct work[]){ { .e = { .opcode = 2 } }, { .e = { .opcode = 2 } } }, 2);
	fake_poll_once(&c.p);
	memset(fake_mem(&c.p, DATA + 0x380000), 0x5a, BLOCK);
	for (unsigned i = 0; i < 16; i++)
		memcpy(fake_mem(&c.p, SQ_IOVA(1) + i * 64), &poison, 64);
}

static void back_again(void)
{
	ck_assert_uint_eq(fake_read32(&c.p, 0, CSTS), 0);
	enable();
	make_queue(1, 16);
	nothing_more(1);
	run(1, (struct work[]){ write_new(1, 0, 8, 0), write_new(2, 0, 8, 1) }, 2);
}

static void shut_down(void)
{
	struct work w = write_new(1, 60, 8, 2);

	run(1, &w, 1);
	fake_poke32(&c.p, 0, CC, CC_ON | 1 << 14);
	do
		fake_poll(&c.p, 100);
	while (fake_read32(&c.p, 0, CSTS) == (1 | 1 << 2));
	ck_assert_uint_eq(fake_read32(&c.p, 0, CSTS), 1 | 2 << 2);
}

static void register_workload(unsigned unused)
{
	enable();
	make_queue(1, 16);
	masks(false);
	masks(true);
	leave_behind();
	fake_poke32(&c.p, 0, CC, 0);
	fake_poll(&c.p, 100);
	back_again();
	leave_behind();
	fake_write32(&c.p, 0, CC, 0);
	fake_poll(&c.p, 100);
	back_again();
	leave_behind();
	fake_reset(&c.p);
	fake_poll(&c.p, 100);
	back_again();
	shut_down();
	fake_write32(&c.p, 0, CC, 0);
	fake_poll(&c.p, 100);
	back_again();
	leave_behind();
	fake_close(&c.p);
	ck_assert_int_eq(fake_open(&c.p), 0);
	back_again();
}

/* ---- commands that wait ---- */

enum { DISK_ENDS, ABORT, DELETE, DELETE_FULL, DISK_ENDS_FULL, ENDS };
#define POST 64				/* completions of one post */

/* @how the waiting ends; more than one post takes, or just as many, when an admin command
 * comes with it. */
static void waiting_workload(unsigned how)
{
	static const unsigned counts[ENDS] = { 20, 20, 100, POST, POST };
	bool deleted = how == DELETE || how == DELETE_FULL;
	struct work w[100], admin = { .e = { .opcode = 9, .cdw10 = 1, .cdw11 = 7 } };
	unsigned count = counts[how], kicks;

	enable();
	make_queue(1, 128);
	run(1, (struct work[]){ write_new(1, 0, 8, 0) }, 1);
	gate(&gate_shut, true);
	for (unsigned i = 0; i < count; i++) {
		w[i] = (struct work){ .e = { .opcode = 0, .nsid = 1 } };
		if (i % 4 == 1 && how != DISK_ENDS_FULL) {	/* those all end at once */
			w[i] = write_new(1, i * 4, 3, i);
			w[i].e.cdw12 |= 1u << 30;
		}
		w[i].status = deleted ? 8 : 0;
	}
	push(1, w, count);
	fake_poll(&c.p, 1000);
	if (how == ABORT) {
		w[10].status = 7;
		admin.e = (struct sqe){ .opcode = 8, .cdw10 = (uint32_t)w[10].cid << 16 | 1 };
	}
	if (deleted)
		admin.e = (struct sqe){ .opcode = 0, .cdw10 = 1 };
	if (how == DISK_ENDS_FULL) {
		push(0, &admin, 1);
		kicks = c.p.kicks;
		gate(&gate_shut, false);
		while (c.p.kicks == kicks && !c.p.kills)
			sched_yield();
		collect(0, &admin, 1);
	} else {
		run(0, &admin, 1);
		ck_assert_uint_eq(admin.result, 0);
		gate(&gate_shut, false);
	}
	collect(1, w, count);
}

/* ---- each point ---- */

static void everywhere(void (*workload)(unsigned arg), unsigned arg, bool intx, bool poll_first)
{
	unsigned point = 1;

	for (;; point += STEP) {
		ck_assert_uint_lt(point, POINTS_MAX);
		start(point, intx, poll_first);
		workload(arg);
		if (!end())
			break;
	}
	ck_assert_uint_gt(point, 40);
}

/* Loops: messages, INTx; the poll comes before or after what comes again. */
START_TEST(killed_in_io)
{
	everywhere(io_workload, 0, _i, false);
}
END_TEST

START_TEST(killed_in_admin)
{
	everywhere(admin_workload, 0, _i, false);
}
END_TEST

START_TEST(killed_in_registers)
{
	everywhere(register_workload, 0, _i & 1, _i >> 1);
}
END_TEST

START_TEST(killed_while_waiting)
{
	everywhere(waiting_workload, (unsigned)_i, false, false);
}
END_TEST

START_TEST(killed_again_and_again)
{
	static void (*const workloads[])(unsigned) = { io_workload, admin_workload,
						       register_workload };

	for (unsigned every = 60; every < 100; every += STEP) {
		start(every, every & 1, every & 2);
		c.p.kill_every = every;
		workloads[_i](0);
		c.p.kill_at = 0;
		ck_assert_uint_ge(c.p.kills, 2);
		end();
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nvme_keep");
	TCase *t = tcase_create("nvme_keep");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 300);
	tcase_add_loop_test(t, killed_in_io, 0, 2);
	tcase_add_loop_test(t, killed_in_admin, 0, 2);
	tcase_add_loop_test(t, killed_in_registers, 0, 4);
	tcase_add_loop_test(t, killed_while_waiting, 0, ENDS);
	tcase_add_loop_test(t, killed_again_and_again, 0, 3);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
