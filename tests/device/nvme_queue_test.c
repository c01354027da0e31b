/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queues of the NVMe controller: made, deleted, wrapped, full, shared (NVMe 1.4, 4, 5). */
#include <device/nvme_client.h>

static struct client c;

/* ---- queues, 5.3 … 5.6 ---- */

static unsigned make_cq(unsigned id, unsigned size, uint32_t cdw11, uint64_t prp1)
{
	return admin(&c, (struct sqe){ .opcode = 5, .prp1 = prp1, .cdw11 = cdw11,
				       .cdw10 = (size - 1) << 16 | id });
}

static unsigned make_sq(unsigned id, unsigned size, uint32_t cdw11, uint64_t prp1)
{
	return admin(&c, (struct sqe){ .opcode = 1, .prp1 = prp1, .cdw11 = cdw11,
				       .cdw10 = (size - 1) << 16 | id });
}

START_TEST(create_queue_errors)
{
	client_create(&c, "queues=4,msi=0");
	client_enable(&c, 32);
	ck_assert_uint_eq(make_cq(0, 16, 3, CQ_IOVA(1)), 0x101 | DNR);
	ck_assert_uint_eq(make_cq(5, 16, 3, CQ_IOVA(1)), 0x101 | DNR);
	ck_assert_uint_eq(make_cq(1, 1, 3, CQ_IOVA(1)), 0x102 | DNR);
	ck_assert_uint_eq(make_cq(1, 1025, 3, CQ_IOVA(1)), 0x102 | DNR);
	ck_assert_uint_eq(make_cq(1, 65536, 3, CQ_IOVA(1)), 0x102 | DNR);
	ck_assert_uint_eq(make_cq(1, 16, 2, CQ_IOVA(1)), 2 | DNR);
	ck_assert_uint_eq(make_cq(1, 16, 5 << 16 | 3, CQ_IOVA(1)), 0x108 | DNR);
	ck_assert_uint_eq(make_cq(1, 16, 3, CQ_IOVA(1) + 16), 0x13 | DNR);
	ck_assert_uint_eq(make_cq(1, 1024, 4 << 16 | 3, CQ_IOVA(1)), 0);
	ck_assert_uint_eq(make_cq(1, 16, 3, CQ_IOVA(1)), 0x101 | DNR);
	ck_assert_uint_eq(make_sq(0, 16, 1 << 16 | 1, SQ_IOVA(1)), 0x101 | DNR);
	ck_assert_uint_eq(make_sq(5, 16, 1 << 16 | 1, SQ_IOVA(1)), 0x101 | DNR);
	ck_assert_uint_eq(make_sq(1, 16, 0 << 16 | 1, SQ_IOVA(1)), 0x101 | DNR);
	ck_assert_uint_eq(make_sq(1, 16, 5 << 16 | 1, SQ_IOVA(1)), 0x101 | DNR);
	ck_assert_uint_eq(make_sq(1, 16, 2 << 16 | 1, SQ_IOVA(1)), 0x100 | DNR);
	ck_assert_uint_eq(make_sq(1, 1, 1 << 16 | 1, SQ_IOVA(1)), 0x102 | DNR);
	ck_assert_uint_eq(make_sq(1, 1025, 1 << 16 | 1, SQ_IOVA(1)), 0x102 | DNR);
	ck_assert_uint_eq(make_sq(1, 16, 1 << 16, SQ_IOVA(1)), 2 | DNR);
	ck_assert_uint_eq(make_sq(1, 16, 1 << 16 | 1, SQ_IOVA(1) + 64), 0x13 | DNR);
	ck_assert_uint_eq(make_sq(1, 1024, 1 << 16 | 1, SQ_IOVA(1)), 0);
	ck_assert_uint_eq(make_sq(1, 16, 1 << 16 | 1, SQ_IOVA(1)), 0x101 | DNR);
	client_stop(&c);
}
END_TEST

/* CC.IOSQES and CC.IOCQES must be set before queues are made. */
START_TEST(create_queue_entry_sizes)
{
	client_create(&c, NULL);
	client_enable(&c, 32);
	fake_poke32(&c.p, 0, CC, 0x00400001);
	ck_assert_uint_eq(make_cq(1, 16, 3, CQ_IOVA(1)), 0);
	ck_assert_uint_eq(make_sq(1, 16, 1 << 16 | 1, SQ_IOVA(1)), 0x102 | DNR);
	fake_poke32(&c.p, 0, CC, 0x00060001);
	ck_assert_uint_eq(make_cq(2, 16, 3, CQ_IOVA(2)), 0x102 | DNR);
	ck_assert_uint_eq(make_sq(1, 16, 1 << 16 | 1, SQ_IOVA(1)), 0);
	client_stop(&c);
}
END_TEST

START_TEST(delete_queues)
{
	client_start(&c, "queues=4");
	ck_assert_uint_eq(create_sq(&c, 2, 16, 1), 0);	/* two queues, one CQ */
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 4, .cdw10 = 1 }), 0x10c | DNR);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 0, .cdw10 = 0 }), 0x101 | DNR);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 0, .cdw10 = 3 }), 0x101 | DNR);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 0, .cdw10 = 9 }), 0x101 | DNR);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 0, .cdw10 = 2 }), 0);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 0, .cdw10 = 2 }), 0x101 | DNR);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 4, .cdw10 = 1 }), 0x10c | DNR);
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 0, 1, DATA, 0)), 0);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 0, .cdw10 = 1 }), 0);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 4, .cdw10 = 1 }), 0);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 4, .cdw10 = 1 }), 0x101 | DNR);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 4, .cdw10 = 0 }), 0x101 | DNR);
	ck_assert_uint_eq(fake_read32(&c.p, 0, SQ_DB(1)), 0);
	ck_assert_uint_eq(fake_read32(&c.p, 0, CQ_DB(1)), 0);
	/* and again from the start, whatever was left in the doorbells */
	fake_poke32(&c.p, 0, SQ_DB(1), 5);
	fake_poke32(&c.p, 0, CQ_DB(1), 5);
	client_io_queue(&c, 1, 16);
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 0, 1, DATA, 0)), 0);
	client_stop(&c);
}
END_TEST

/* Admin queues of the smallest and of an odd size; wrap and phase. */
START_TEST(admin_queue_wraps)
{
	client_create(&c, NULL);
	client_enable(&c, 2);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 6, .cdw10 = 1,
							  .prp1 = DATA }), 0);
	client_disable(&c);
	client_enable(&c, 7);
	for (unsigned i = 0; i < 40; i++)
		ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 6, .cdw10 = 1,
							  .prp1 = DATA }), 0);
	client_stop(&c);
}
END_TEST

/* ---- I/O queues ---- */

/* A batch costs one call for commands, each half one for data and one for completions. */
START_TEST(batched_calls)
{
	struct cqe e;

	client_start(&c, NULL);
	for (unsigned i = 0; i < 32; i++)
		client_push(&c, 1, rw(2, 1, i * 8, 8, DATA + i * 4096ull, 0));
	c.p.dma_reads = c.p.dma_writes = 0;
	client_ring(&c, 1);
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(c.p.dma_reads, 1);
	ck_assert_uint_eq(c.p.dma_writes, 4);
	for (unsigned i = 0; i < 32; i++)
		ck_assert(client_reap(&c, 1, &e));
	client_stop(&c);
}
END_TEST

/* The completion queue is full: commands wait for room, none is lost, none too many. */
START_TEST(completion_queue_full)
{
	struct cqe e;
	unsigned got = 0;
	uint16_t next = 1;

	client_create(&c, NULL);
	client_enable(&c, 32);
	ck_assert_uint_eq(create_cq(&c, 1, 4, 1), 0);
	ck_assert_uint_eq(create_sq(&c, 1, 64, 1), 0);
	c.q[1].cq_size = 4;
	c.q[1].sq_size = 64;
	c.cid = 0;
	for (unsigned i = 0; i < 20; i++)
		client_push(&c, 1, rw(2, 1, i, 1, DATA, 0));
	client_ring(&c, 1);
	fake_poll(&c.p, 10);
	while (client_peek(&c, 1, &e))
		ck_assert_uint_eq(e.cid, next + got++);
	ck_assert_uint_eq(got, 3);
	fake_poke32(&c.p, 0, CQ_DB(1), c.q[1].cq_head);
	while (got < 20) {
		e = client_wait(&c, 1);
		ck_assert_uint_eq(e.cid, next + got++);
	}
	fake_poll(&c.p, 10);
	ck_assert(!client_reap(&c, 1, &e));
	client_stop(&c);
}
END_TEST

/* Two queues of one CQ, round robin; the phase turns many times. */
START_TEST(queues_share_and_wrap)
{
	struct cqe e;
	unsigned got[3] = { 0 };

	client_create(&c, "size=1M");
	client_enable(&c, 32);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 9, .cdw10 = 1 }), 0);	/* AB 0 */
	ck_assert_uint_eq(create_cq(&c, 1, 17, 1), 0);
	ck_assert_uint_eq(create_sq(&c, 1, 9, 1), 0);
	ck_assert_uint_eq(create_sq(&c, 2, 5, 1), 0);
	c.q[1].sq_size = 9;
	c.q[2].sq_size = 5;
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 4; i++) {
			client_push(&c, 1, rw(2, 1, i, 1, DATA, 0));
			client_push(&c, 2, rw(2, 1, i, 1, DATA, 0));
		}
		client_ring(&c, 1);
		client_ring(&c, 2);
		for (unsigned i = 0; i < 8; i++) {
			e = client_wait(&c, 1);
			ck_assert_uint_eq(e.status >> 1, 0);
			got[e.sqid]++;
		}
	}
	ck_assert_uint_eq(got[1], 200);
	ck_assert_uint_eq(got[2], 200);
	client_stop(&c);
}
END_TEST

CLIENT_MAIN("nvme_queue", create_queue_errors, create_queue_entry_sizes, delete_queues,
	    admin_queue_wraps, batched_calls, completion_queue_full, queues_share_and_wrap)
