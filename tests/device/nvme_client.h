/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tests/device/nvme_client.h - a small NVMe driver over fake_services.h.
 *
 * Client memory begins at IOVA MEM: queues first (64 KiB each), data from DATA on.
 */
#ifndef TESTS_DEVICE_NVME_CLIENT_H
#define TESTS_DEVICE_NVME_CLIENT_H

#include <check.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <device/fake_services.h>

#define MEM      0x10000000ull
#define MEM_SIZE (24u << 20)
#define SQ_IOVA(q) (MEM + (uint64_t)(q) * 0x20000)
#define CQ_IOVA(q) (SQ_IOVA(q) + 0x10000)
#define CLIENT_QUEUES 16
#define DATA     (MEM + (8u << 20))
#define LIST     (MEM + (6u << 20))

/* Offsets of registers and values, NVMe 1.4, 3.1 */
enum {
	CAP = 0, VS = 8, INTMS = 0xc, INTMC = 0x10, CC = 0x14, CSTS = 0x1c, NSSR = 0x20,
	AQA = 0x24, ASQ = 0x28, ACQ = 0x30,
};
#define CC_ON 0x00460001u		/* EN, IOSQES 6, IOCQES 4 */
#define SQ_DB(q) (0x1000u + 8u * (q))
#define CQ_DB(q) (0x1004u + 8u * (q))
#define DNR  0x4000
#define MORE 0x2000

struct sqe {
	uint8_t opcode, flags;
	uint16_t cid;
	uint32_t nsid, cdw2, cdw3;
	uint64_t mptr, prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
struct cqe {
	uint32_t result, reserved;
	uint16_t sqhd, sqid, cid, status;
};
_Static_assert(sizeof(struct sqe) == 64 && sizeof(struct cqe) == 16, "4.2, 4.6");

struct client_queue {
	uint32_t sq_size, sq_tail, cq_size, cq_head;
	bool phase;
};

struct client {
	struct cused_port p;
	struct client_queue q[CLIENT_QUEUES];
	uint16_t cid;
	struct cqe last;		/* what client_do() got */
};

static inline void client_queue_init(struct client *c, unsigned q, uint32_t size)
{
	c->q[q] = (struct client_queue){ .sq_size = size, .cq_size = size, .phase = true };
	memset(fake_mem(&c->p, CQ_IOVA(q)), 0, 0x10000);
}

/* Put a command into the ring without telling. Return: its id. */
static inline uint16_t client_push(struct client *c, unsigned q, struct sqe e)
{
	struct client_queue *k = &c->q[q];

	e.cid = c->cid = (uint16_t)(c->cid % 0xfff0 + 1);
	memcpy(fake_mem(&c->p, SQ_IOVA(q) + 64ull * k->sq_tail), &e, sizeof(e));
	k->sq_tail = (k->sq_tail + 1) % k->sq_size;
	return e.cid;
}

static inline void client_ring(struct client *c, unsigned q)
{
	fake_poke32(&c->p, 0, SQ_DB(q), c->q[q].sq_tail);
}

/* Take one completion without moving the head doorbell. */
static inline bool client_peek(struct client *c, unsigned q, struct cqe *ret)
{
	struct client_queue *k = &c->q[q];

	memcpy(ret, fake_mem(&c->p, CQ_IOVA(q) + 16ull * k->cq_head), sizeof(*ret));
	if ((ret->status & 1) != k->phase)
		return false;
	k->cq_head = (k->cq_head + 1) % k->cq_size;
	if (!k->cq_head)
		k->phase = !k->phase;
	return true;
}

static inline bool client_reap(struct client *c, unsigned q, struct cqe *ret)
{
	if (!client_peek(c, q, ret))
		return false;
	fake_poke32(&c->p, 0, CQ_DB(q), c->q[q].cq_head);
	return true;
}

/* Poll the model until queue @q has a completion; the helper thread may have a part in
 * it, so this waits up to ten seconds. */
static inline struct cqe client_wait(struct client *c, unsigned q)
{
	struct timespec t;
	time_t end;
	struct cqe e = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &t);
	end = t.tv_sec + 10;
	for (;;) {
		fake_poll(&c->p, 100000);
		if (client_reap(c, q, &e))
			return e;
		clock_gettime(CLOCK_MONOTONIC, &t);
		ck_assert_msg(t.tv_sec < end, "no completion on queue %u", q);
		sched_yield();
	}
}

/* Run one command. Return: its status without the More bit. */
static inline unsigned client_do(struct client *c, unsigned q, struct sqe e)
{
	uint16_t cid = client_push(c, q, e);

	client_ring(c, q);
	c->last = client_wait(c, q);
	ck_assert_uint_eq(c->last.cid, cid);
	ck_assert_uint_eq(c->last.sqid, q);
	return c->last.status >> 1 & ~MORE;
}

static inline unsigned admin(struct client *c, struct sqe e)
{
	return client_do(c, 0, e);
}

static inline void client_create(struct client *c, const char *params)
{
	int rc;

	memset(c->q, 0, sizeof(c->q));
	c->cid = 0;
	rc = fake_create(&c->p, "nvme", params, MEM, MEM_SIZE);
	ck_assert_msg(!rc, "create: %d %s", rc, c->p.error.text);
	ck_assert_int_eq(fake_open(&c->p), 0);
}

/* Admin queues of @size entries; waits for ready. */
static inline void client_enable(struct client *c, uint32_t size)
{
	client_queue_init(c, 0, size);
	fake_poke32(&c->p, 0, AQA, (size - 1) << 16 | (size - 1));
	fake_poke(&c->p, 0, ASQ, 8, SQ_IOVA(0));
	fake_poke(&c->p, 0, ACQ, 8, CQ_IOVA(0));
	fake_poke32(&c->p, 0, CC, CC_ON);
	fake_poll(&c->p, 10);
	ck_assert_uint_eq(fake_read32(&c->p, 0, CSTS), 1);
}

static inline void client_disable(struct client *c)
{
	fake_poke32(&c->p, 0, CC, CC_ON & ~1u);
	fake_poll(&c->p, 10);
	ck_assert_uint_eq(fake_read32(&c->p, 0, CSTS), 0);
}

static inline unsigned create_cq(struct client *c, unsigned q, uint32_t size, unsigned vector)
{
	client_queue_init(c, q, size);
	return admin(c, (struct sqe){ .opcode = 5, .prp1 = CQ_IOVA(q),
				      .cdw10 = (size - 1) << 16 | q,
				      .cdw11 = vector << 16 | 3 });
}

static inline unsigned create_sq(struct client *c, unsigned q, uint32_t size, unsigned cq)
{
	return admin(c, (struct sqe){ .opcode = 1, .prp1 = SQ_IOVA(q),
				      .cdw10 = (size - 1) << 16 | q, .cdw11 = cq << 16 | 1 });
}

static inline void client_io_queue(struct client *c, unsigned q, uint32_t size)
{
	ck_assert_uint_eq(create_cq(c, q, size, q), 0);
	ck_assert_uint_eq(create_sq(c, q, size, q), 0);
}

/* Created, enabled, with I/O queue pair 1 of 64 entries. */
static inline void client_start(struct client *c, const char *params)
{
	client_create(c, params);
	client_enable(c, 32);
	client_io_queue(c, 1, 64);
}

/* The same with 8 MiB in memory or in an image, which has no name any more. */
static inline void client_start_on(struct client *c, bool on_image, const char *more)
{
	char image[] = "/tmp/nvme_test.XXXXXX", params[200];
	int fd = -1;

	snprintf(params, sizeof(params), "size=8M,%s", more);
	if (on_image) {
		fd = mkstemp(image);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(ftruncate(fd, 8 << 20), 0);
		close(fd);
		snprintf(params, sizeof(params), "image=%s,%s", image, more);
	}
	client_create(c, params);
	if (on_image)
		unlink(image);
	client_enable(c, 32);
	client_io_queue(c, 1, 64);
}

static inline void client_stop(struct client *c)
{
	fake_destroy(&c->p);
}

/* Read (2), write (1) or compare (5) of @blocks at @lba of namespace @nsid. */
static inline struct sqe rw(uint8_t opcode, uint32_t nsid, uint64_t lba, uint32_t blocks,
			    uint64_t prp1, uint64_t prp2)
{
	return (struct sqe){
		.opcode = opcode, .nsid = nsid, .prp1 = prp1, .prp2 = prp2,
		.cdw10 = (uint32_t)lba, .cdw11 = (uint32_t)(lba >> 32),
		.cdw12 = blocks - 1,
	};
}

static inline void pattern(void *p, size_t len, uint32_t seed)
{
	uint8_t *b = p;

	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		b[i] = (uint8_t)(seed >> 24);
	}
}

static inline uint16_t get16(const void *p, unsigned off)
{
	uint16_t v;

	memcpy(&v, (const uint8_t *)p + off, sizeof(v));
	return v;
}

static inline uint32_t get32(const void *p, unsigned off)
{
	uint32_t v;

	memcpy(&v, (const uint8_t *)p + off, sizeof(v));
	return v;
}

static inline uint64_t get64(const void *p, unsigned off)
{
	uint64_t v;

	memcpy(&v, (const uint8_t *)p + off, sizeof(v));
	return v;
}

/* Runs the cases of one suite: @twice with _i 0 and 1, @once. */
static inline int client_main2(const char *name, const TTest *const *twice, unsigned n_twice,
			       const TTest *const *once, unsigned n_once)
{
	Suite *s = suite_create(name);
	TCase *t = tcase_create(name);
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	for (unsigned i = 0; i < n_twice; i++)
		tcase_add_loop_test(t, twice[i], 0, 2);
	for (unsigned i = 0; i < n_once; i++)
		tcase_add_test(t, once[i]);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
#define CLIENT_MAIN(name, ...) \
int main(void) \
{ \
	const TTest *const tests[] = { __VA_ARGS__ }; \
\
	return client_main2(name, NULL, 0, tests, sizeof(tests) / sizeof(*tests)); \
}

#endif
