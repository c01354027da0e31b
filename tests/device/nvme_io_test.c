/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The NVM command set of the NVMe controller (NVMe 1.4, 6). */
#include <device/nvme_client.h>

static struct client c;

static void start(int on_image, const char *more)
{
	client_start_on(&c, on_image, more);
}

static unsigned io(struct sqe e)
{
	return client_do(&c, 1, e);
}

static bool zero(uint64_t iova, size_t len)
{
	const uint8_t *p = fake_mem(&c.p, iova);

	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

/* ---- read and write ---- */

START_TEST(write_then_read)
{
	start(_i, "mdts=7");
	pattern(fake_mem(&c.p, DATA), 4096, 1);
	ck_assert_uint_eq(io(rw(1, 1, 8, 8, DATA, 0)), 0);
	ck_assert_uint_eq(io(rw(2, 1, 8, 8, DATA + 0x10000, 0)), 0);
	ck_assert(!memcmp(fake_mem(&c.p, DATA), fake_mem(&c.p, DATA + 0x10000), 4096));
	ck_assert_uint_eq(io(rw(2, 1, 9, 1, DATA + 0x20000, 0)), 0);
	ck_assert(!memcmp(fake_mem(&c.p, DATA + 512), fake_mem(&c.p, DATA + 0x20000), 512));
	ck_assert_uint_eq(io(rw(2, 1, 16, 8, DATA, 0)), 0);
	ck_assert(zero(DATA, 4096));
	client_stop(&c);
}
END_TEST

/* 6.9, 6.15: ranges, namespaces, sizes. */
START_TEST(range_errors)
{
	start(_i, "mdts=1");				/* 8 KiB */
	ck_assert_uint_eq(io(rw(2, 1, 16383, 1, DATA, 0)), 0);
	ck_assert_uint_eq(io(rw(2, 1, 16383, 2, DATA, 0)), 0x80 | DNR);
	ck_assert_uint_eq(io(rw(2, 1, 16384, 1, DATA, 0)), 0x80 | DNR);
	ck_assert_uint_eq(io(rw(1, 1, ~0ull, 1, DATA, 0)), 0x80 | DNR);
	ck_assert_uint_eq(io(rw(5, 1, 1ull << 55, 1, DATA, 0)), 0x80 | DNR);
	ck_assert_uint_eq(io(rw(2, 1, 0, 16, DATA, DATA + 4096)), 0);
	ck_assert_uint_eq(io(rw(2, 1, 0, 17, DATA, LIST)), 2 | DNR);
	ck_assert_uint_eq(io(rw(2, 1, 0, 65536, DATA, LIST)), 2 | DNR);
	ck_assert_uint_eq(io(rw(2, 0, 0, 1, DATA, 0)), 0x0b | DNR);
	ck_assert_uint_eq(io(rw(2, 2, 0, 1, DATA, 0)), 0x0b | DNR);
	ck_assert_uint_eq(io(rw(2, 0xffffffff, 0, 1, DATA, 0)), 0x0b | DNR);
	client_stop(&c);
}
END_TEST

START_TEST(unknown_opcodes)
{
	static const uint8_t there[] = { 0, 1, 2, 5, 8, 9 };

	start(0, "mdts=7");
	for (unsigned op = 0; op < 256; op++)
		if (!memchr(there, (int)op, sizeof(there)))
			ck_assert_uint_eq(io((struct sqe){ .opcode = (uint8_t)op, .nsid = 1 }),
					  1 | DNR);
	for (unsigned i = 0; i < sizeof(there); i++) {	/* fused, reserved PSDT */
		struct sqe e = rw(there[i], 1, 0, 1, DATA, 0);

		e.flags = 1;
		ck_assert_uint_eq(io(e), 2 | DNR);
		e.flags = 3 << 6;
		ck_assert_uint_eq(io(e), 2 | DNR);
	}
	client_stop(&c);
}
END_TEST

/* Several namespaces do not mix; blocks of 4096 bytes. */
START_TEST(namespaces)
{
	client_start(&c, "size=1M,size2=2M,lba=4096");
	pattern(fake_mem(&c.p, DATA), 4096, 7);
	ck_assert_uint_eq(io(rw(1, 2, 511, 1, DATA, 0)), 0);
	ck_assert_uint_eq(io(rw(2, 1, 511, 1, DATA, 0)), 0x80 | DNR);
	ck_assert_uint_eq(io(rw(2, 1, 255, 1, DATA + 4096, 0)), 0);
	ck_assert(zero(DATA + 4096, 4096));
	ck_assert_uint_eq(io(rw(2, 2, 511, 1, DATA + 4096, 0)), 0);
	ck_assert(!memcmp(fake_mem(&c.p, DATA), fake_mem(&c.p, DATA + 4096), 4096));
	client_stop(&c);
}
END_TEST

/* Memory keeps its bytes over reset and close, as a drive does. */
START_TEST(data_survives_reset)
{
	start(_i, "mdts=7");
	pattern(fake_mem(&c.p, DATA), 512, 3);
	ck_assert_uint_eq(io(rw(1, 1, 5, 1, DATA, 0)), 0);
	fake_reset(&c.p);
	fake_close(&c.p);
	fake_open(&c.p);
	client_enable(&c, 32);
	client_io_queue(&c, 1, 64);
	ck_assert_uint_eq(io(rw(2, 1, 5, 1, DATA + 4096, 0)), 0);
	ck_assert(!memcmp(fake_mem(&c.p, DATA), fake_mem(&c.p, DATA + 4096), 512));
	client_stop(&c);
}
END_TEST

/* ---- the other commands ---- */

START_TEST(flush)
{
	start(_i, "mdts=7");
	ck_assert_uint_eq(io((struct sqe){ .opcode = 0, .nsid = 1 }), 0);
	ck_assert_uint_eq(io(rw(1, 1, 0, 8, DATA, 0)), 0);
	ck_assert_uint_eq(io((struct sqe){ .opcode = 0, .nsid = 1 }), 0);
	ck_assert_uint_eq(io(rw(1, 1, 0, 8, DATA, 0)), 0);
	ck_assert_uint_eq(io((struct sqe){ .opcode = 0, .nsid = 0xffffffff }), 0);
	ck_assert_uint_eq(io((struct sqe){ .opcode = 0, .nsid = 0 }), 0x0b | DNR);
	ck_assert_uint_eq(io((struct sqe){ .opcode = 0, .nsid = 2 }), 0x0b | DNR);
	client_stop(&c);
}
END_TEST

/* FUA, and writes with the write cache off, wait for the disk. */
START_TEST(write_through)
{
	struct sqe e = rw(1, 1, 0, 8, DATA, 0);
	struct cqe got;

	start(_i, "mdts=7");
	e.cdw12 |= 1 << 30;
	ck_assert_uint_eq(io(e), 0);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 9, .cdw10 = 6 }), 0);
	for (unsigned i = 0; i < 40; i++)
		client_push(&c, 1, rw(1, 1, i, 1, DATA, 0));
	client_push(&c, 1, (struct sqe){ .opcode = 0, .nsid = 1 });
	client_ring(&c, 1);
	for (unsigned i = 0; i < 41; i++) {
		got = client_wait(&c, 1);
		ck_assert_uint_eq(got.status >> 1, 0);
	}
	client_stop(&c);
}
END_TEST

START_TEST(compare)
{
	start(_i, "mdts=7");
	pattern(fake_mem(&c.p, DATA), 8192, 4);
	ck_assert_uint_eq(io(rw(1, 1, 0, 16, DATA, DATA + 4096)), 0);
	ck_assert_uint_eq(io(rw(5, 1, 0, 16, DATA, DATA + 4096)), 0);
	((uint8_t *)fake_mem(&c.p, DATA))[8191] ^= 1;
	ck_assert_uint_eq(io(rw(5, 1, 0, 16, DATA, DATA + 4096)), 0x285);
	ck_assert_uint_eq(io(rw(5, 1, 0, 15, DATA, DATA + 4096)), 0);
	ck_assert_uint_eq(io(rw(5, 1, 0, 8, MEM - 4096, 0)), 4 | DNR);
	client_stop(&c);
}
END_TEST

START_TEST(write_zeroes)
{
	static const uint32_t flags[] = { 0, 1 << 25, 1 << 30 };	/* plain, DEAC, FUA */

	start(_i, "mdts=7");
	for (unsigned i = 0; i < 3; i++) {
		struct sqe e = rw(8, 1, 3, 1000, 0, 0);

		for (unsigned k = 0; k < 128; k++) {
			pattern(fake_mem(&c.p, DATA), 4096, k);
			ck_assert_uint_eq(io(rw(1, 1, k * 8, 8, DATA, 0)), 0);
		}
		e.cdw12 |= flags[i];
		ck_assert_uint_eq(io(e), 0);
		for (unsigned k = 0; k < 1024; k += 8) {
			unsigned edge = k == 0 ? 3 * 512 : 0;

			memset(fake_mem(&c.p, DATA + 4096), 1, 4096);
			ck_assert_uint_eq(io(rw(2, 1, k, 8, DATA + 4096, 0)), 0);
			if (k < 1000)
				ck_assert(zero(DATA + 4096 + edge, 4096 - edge));
			if (k == 1000)		/* blocks 1000 … 1002 are the end */
				ck_assert(zero(DATA + 4096, 3 * 512));
			pattern(fake_mem(&c.p, DATA), 4096, k / 8);
			ck_assert(k || !memcmp(fake_mem(&c.p, DATA),
					       fake_mem(&c.p, DATA + 4096), edge));
			ck_assert(k != 1000 || !memcmp(fake_mem(&c.p, DATA + 1536),
						       fake_mem(&c.p, DATA + 5632), 2560));
			ck_assert(k < 1008 || !memcmp(fake_mem(&c.p, DATA),
						      fake_mem(&c.p, DATA + 4096), 4096));
		}
	}
	ck_assert_uint_eq(io(rw(8, 1, 16383, 2, 0, 0)), 0x80 | DNR);
	ck_assert_uint_eq(io(rw(8, 2, 0, 2, 0, 0)), 0x0b | DNR);
	client_stop(&c);
}
END_TEST

struct dsm { uint32_t attr, blocks; uint64_t slba; };

START_TEST(dataset_management)
{
	struct dsm *d = NULL;
	struct sqe e = { .opcode = 9, .nsid = 1, .prp1 = LIST, .cdw10 = 2, .cdw11 = 4 };

	start(_i, "mdts=7");
	d = fake_mem(&c.p, LIST);
	for (unsigned k = 0; k < 8; k++) {
		pattern(fake_mem(&c.p, DATA + k * 4096), 4096, k);
		ck_assert_uint_eq(io(rw(1, 1, k * 8, 8, DATA + k * 4096, 0)), 0);
	}
	d[0] = (struct dsm){ 0, 8, 8 };
	d[1] = (struct dsm){ 0, 0, 16384 };		/* empty, at the very end */
	d[2] = (struct dsm){ 0, 16, 24 };
	ck_assert_uint_eq(io(e), 0);
	for (unsigned k = 0; k < 8; k++) {
		ck_assert_uint_eq(io(rw(2, 1, k * 8, 8, DATA + 0x100000, 0)), 0);
		if (k == 1 || k == 3 || k == 4)
			ck_assert(zero(DATA + 0x100000, 4096));
		else
			ck_assert(!memcmp(fake_mem(&c.p, DATA + k * 4096),
					  fake_mem(&c.p, DATA + 0x100000), 4096));
	}
	/* all ranges are checked first; hints alone do nothing */
	d[0] = (struct dsm){ 0, 8, 0 };
	d[2] = (struct dsm){ 0, 2, 16383 };
	ck_assert_uint_eq(io(e), 0x80 | DNR);
	d[2] = (struct dsm){ 0, 1, ~0ull };
	ck_assert_uint_eq(io(e), 0x80 | DNR);
	e.cdw11 = 3;
	ck_assert_uint_eq(io(e), 0);
	ck_assert_uint_eq(io(rw(2, 1, 0, 8, DATA + 0x100000, 0)), 0);
	ck_assert(!memcmp(fake_mem(&c.p, DATA), fake_mem(&c.p, DATA + 0x100000), 4096));
	e.cdw11 = 4;
	e.cdw10 = 0;
	ck_assert_uint_eq(io(e), 0);			/* one range */
	ck_assert_uint_eq(io(rw(2, 1, 0, 8, DATA + 0x100000, 0)), 0);
	ck_assert(zero(DATA + 0x100000, 4096));
	e.cdw10 = 255;					/* the most */
	memset(d, 0, 4096);
	ck_assert_uint_eq(io(e), 0);
	e.prp1 = MEM - 4096;
	ck_assert_uint_eq(io(e), 4 | DNR);
	e.nsid = 3;
	ck_assert_uint_eq(io(e), 0x0b | DNR);
	client_stop(&c);
}
END_TEST

/* Commands that wait for the disk, met by abort, queue deletion and reset. */
START_TEST(waiting_commands_dropped)
{
	struct cqe e;

	start(1, "mdts=7");
	for (unsigned round = 0; round < 20; round++) {
		unsigned answers = 0;

		for (unsigned i = 0; i < 10; i++) {
			struct sqe w = rw(i & 1 ? 8 : 1, 1, i, 1, DATA, 0);

			w.cdw12 |= 1 << 30;
			client_push(&c, 1, w);
		}
		client_push(&c, 1, (struct sqe){ .opcode = 0, .nsid = 1 });
		client_ring(&c, 1);
		c.p.ops->poll(c.p.state);
		if (round % 3 == 0) {
			ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 8,
				.cdw10 = (uint32_t)c.cid << 16 | 1 }), 0);
			for (; answers < 11; answers++)
				client_wait(&c, 1);
		} else if (round % 3 == 1) {
			ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 0,
								  .cdw10 = 1 }), 0);
			while (client_reap(&c, 1, &e))
				answers++;
			ck_assert_uint_eq(answers, 11);	/* each was answered */
			ck_assert_uint_eq(create_sq(&c, 1, 64, 1), 0);
			c.q[1].sq_tail = 0;
		} else {
			fake_reset(&c.p);
			client_enable(&c, 32);
			client_io_queue(&c, 1, 64);
		}
	}
	client_push(&c, 1, (struct sqe){ .opcode = 0, .nsid = 1 });
	client_stop(&c);
}
END_TEST

/* Shutdown completes when the disk has all. */
START_TEST(shutdown_syncs)
{
	struct timespec t;
	time_t end;

	start(1, "mdts=7");
	ck_assert_uint_eq(io(rw(1, 1, 0, 8, DATA, 0)), 0);
	fake_poke32(&c.p, 0, CC, CC_ON | 1 << 14);
	clock_gettime(CLOCK_MONOTONIC, &t);
	end = t.tv_sec + 10;
	do {
		fake_poll(&c.p, 10);
		clock_gettime(CLOCK_MONOTONIC, &t);
		ck_assert(t.tv_sec < end);
	} while (fake_read32(&c.p, 0, CSTS) != (1 | 2 << 2));
	ck_assert_uint_ge(c.p.kicks, 1);
	client_stop(&c);
}
END_TEST

int main(void)
{
	const TTest *const both[] = {
		write_then_read, range_errors, data_survives_reset, flush, write_through,
		compare, write_zeroes, dataset_management,
	};
	const TTest *const once[] = {
		unknown_opcodes, namespaces, waiting_commands_dropped, shutdown_syncs,
	};

	return client_main2("nvme_io", both, sizeof(both) / sizeof(*both), once,
			    sizeof(once) / sizeof(*once));
}
