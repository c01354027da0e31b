/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The admin command set of the NVMe controller (NVMe 1.4, 5). */
#include <device/nvme_client.h>

static struct client c;

static unsigned identify(unsigned cns, uint32_t nsid, uint64_t prp1)
{
	return admin(&c, (struct sqe){ .opcode = 6, .nsid = nsid, .cdw10 = cns,
				       .prp1 = prp1 });
}

static unsigned get_log(unsigned id, uint32_t dwords, uint64_t offset, uint32_t flags)
{
	return admin(&c, (struct sqe){ .opcode = 2, .nsid = 0xffffffff, .prp1 = DATA,
				       .cdw10 = (dwords - 1) << 16 | flags | id,
				       .cdw12 = (uint32_t)offset,
				       .cdw13 = (uint32_t)(offset >> 32) });
}

static unsigned set_feature(unsigned id, uint32_t nsid, uint32_t v)
{
	return admin(&c, (struct sqe){ .opcode = 9, .nsid = nsid, .cdw10 = id, .cdw11 = v });
}

static unsigned get_feature(unsigned id, uint32_t nsid, uint32_t v)
{
	return admin(&c, (struct sqe){ .opcode = 10, .nsid = nsid, .cdw10 = id, .cdw11 = v,
				       .prp1 = DATA });
}

/* ---- identify, 5.15 ---- */

START_TEST(identify_controller)
{
	const uint8_t *p;

	client_create(&c, "size=1M,size2=2M,serial=abc,model=Drive,mdts=5");
	client_enable(&c, 32);
	ck_assert_uint_eq(identify(1, 0, DATA), 0);
	p = fake_mem(&c.p, DATA);
	ck_assert_uint_eq(get16(p, 0), 0x1b36);
	ck_assert(!memcmp(p + 4, "abc                 ", 20));
	ck_assert(!memcmp(p + 24, "Drive                                   ", 40));
	ck_assert_uint_eq(p[77], 5);
	ck_assert_uint_eq(get32(p, 80), 0x00010400);
	ck_assert_uint_eq(p[111], 1);			/* CNTRLTYPE */
	ck_assert_uint_eq(get16(p, 256), 0);		/* OACS */
	ck_assert_uint_eq(p[259], 3);			/* AERL */
	ck_assert_uint_eq(p[512], 0x66);
	ck_assert_uint_eq(p[513], 0x44);
	ck_assert_uint_eq(get32(p, 516), 2);		/* NN */
	ck_assert_uint_eq(get16(p, 520), 0x5d);		/* ONCS */
	ck_assert_uint_eq(p[525], 7);			/* VWC */
	ck_assert_uint_eq(get32(p, 536), 0x50001);	/* SGLS */
	ck_assert(!memcmp(p + 768, "nqn.2014-08.org.nvmexpress:uuid:", 32));
	ck_assert_uint_eq(get64(p, 280), 3 << 20);
	client_stop(&c);
	client_create(&c, "vwc=off");
	client_enable(&c, 32);
	ck_assert_uint_eq(identify(1, 0, DATA), 0);
	p = fake_mem(&c.p, DATA);
	ck_assert_uint_eq(get64(p, 280), 64 << 20);	/* nothing was said of it */
	ck_assert_uint_eq(p[525] & 1, 0);
	ck_assert(!memcmp(p + 4, "CUSED-0000:01:00.0  ", 20));
	ck_assert_uint_eq(get_feature(6, 0, 0), 2 | DNR);
	client_stop(&c);
}
END_TEST

START_TEST(identify_namespace)
{
	const uint8_t *p;

	client_create(&c, "size=1M,size2=2M,lba=4096");
	client_enable(&c, 32);
	ck_assert_uint_eq(identify(0, 2, DATA), 0);
	p = fake_mem(&c.p, DATA);
	ck_assert_uint_eq(get64(p, 0), 512);
	ck_assert_uint_eq(get64(p, 8), 512);
	ck_assert_uint_eq(p[25], 0);
	ck_assert_uint_eq(p[128 + (p[26] & 15) * 4 + 2], 12);
	ck_assert_uint_eq(p[33], 9);
	ck_assert_uint_eq(p[99], 0);
	ck_assert_uint_ne(get64(p, 104), 0);
	/* 0, beyond NN, and all: no such namespace */
	ck_assert_uint_eq(identify(0, 0, DATA), 0x0b | DNR);
	ck_assert_uint_eq(identify(0, 3, DATA), 0x0b | DNR);
	ck_assert_uint_eq(identify(0, 0xffffffff, DATA), 0x0b | DNR);
	client_stop(&c);
}
END_TEST

START_TEST(identify_lists)
{
	uint8_t uuid[16];
	uint8_t *p;

	client_create(&c, "size=1M,size2=1M,size3=1M");
	client_enable(&c, 32);
	p = fake_mem(&c.p, DATA);
	memset(p, 0xff, 4096);
	ck_assert_uint_eq(identify(2, 0, DATA), 0);
	ck_assert_uint_eq(get32(p, 0), 1);
	ck_assert_uint_eq(get32(p, 8), 3);
	for (unsigned off = 12; off < 4096; off += 4)
		ck_assert_uint_eq(get32(p, off), 0);
	ck_assert_uint_eq(identify(2, 2, DATA), 0);
	ck_assert_uint_eq(get32(p, 0), 3);
	ck_assert_uint_eq(get32(p, 4), 0);
	ck_assert_uint_eq(identify(2, 0xfffffffe, DATA), 0x0b | DNR);
	ck_assert_uint_eq(identify(2, 0xffffffff, DATA), 0x0b | DNR);
	/* descriptors: EUI64, NGUID, UUID, end */
	ck_assert_uint_eq(identify(3, 1, DATA), 0);
	ck_assert_uint_eq(p[0], 1);
	ck_assert_uint_eq(p[1], 8);
	ck_assert_uint_eq(p[12], 2);
	ck_assert_uint_eq(p[13], 16);
	ck_assert_uint_eq(p[32], 3);
	ck_assert_uint_eq(p[52], 0);
	memcpy(uuid, p + 36, 16);
	ck_assert_uint_eq(identify(3, 2, DATA), 0);
	ck_assert(memcmp(uuid, p + 36, 16));
	ck_assert_uint_eq(identify(3, 9, DATA), 0x0b | DNR);
	/* the same with allocation instead of activity; controllers */
	ck_assert_uint_eq(identify(0x10, 1, DATA), 0);
	ck_assert_uint_eq(get32(p, 0), 2);
	ck_assert_uint_eq(identify(0x11, 1, DATA), 0);
	ck_assert_uint_eq(get64(p, 0), 2048);
	ck_assert_uint_eq(identify(0x12, 1, DATA), 0);
	ck_assert_uint_eq(get16(p, 0), 1);
	ck_assert_uint_eq(get16(p, 2), 1);
	ck_assert_uint_eq(identify(0x13 | 2 << 16, 0, DATA), 0);
	ck_assert_uint_eq(get16(p, 0), 0);
	ck_assert_uint_eq(identify(0x12, 0, DATA), 0x0b | DNR);
	ck_assert_uint_eq(identify(4, 0, DATA), 2 | DNR);
	ck_assert_uint_eq(identify(0xff, 0, DATA), 2 | DNR);
	client_stop(&c);
}
END_TEST

/* 4.3, 4.4: admin data by PRP, split over two pages; to nowhere; SGL refused. */
START_TEST(admin_data_pointers)
{
	struct sqe e = { .opcode = 6, .cdw10 = 1, .prp1 = DATA + 0xf00,
			 .prp2 = DATA + 0x3000 };

	client_create(&c, NULL);
	client_enable(&c, 32);
	ck_assert_uint_eq(admin(&c, e), 0);
	ck_assert_uint_eq(get16(fake_mem(&c.p, DATA + 0xf00), 0), 0x1b36);
	ck_assert_uint_eq(get32(fake_mem(&c.p, DATA + 0x3000), 516 - 0x100), 1);
	e.prp2 += 8;
	ck_assert_uint_eq(admin(&c, e), 0x13 | DNR);
	ck_assert_uint_eq(identify(1, 0, DATA + 2), 0x13 | DNR);
	ck_assert_uint_eq(identify(1, 0, MEM + MEM_SIZE), 4 | DNR);
	ck_assert_uint_eq(identify(1, 0, ~0xfffull), 4 | DNR);
	e.prp2 -= 8;
	e.flags = 1 << 6;
	ck_assert_uint_eq(admin(&c, e), 2 | DNR);
	e.flags = 1;
	ck_assert_uint_eq(admin(&c, e), 2 | DNR);
	client_stop(&c);
}
END_TEST

/* Opcodes that are not there (figure 139). */
START_TEST(unknown_opcodes)
{
	static const uint8_t there[] = { 0, 1, 2, 4, 5, 6, 8, 9, 10, 12 };

	client_create(&c, NULL);
	client_enable(&c, 32);
	for (unsigned op = 0; op < 256; op++)
		if (!memchr(there, (int)op, sizeof(there)))
			ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = (uint8_t)op }),
					  1 | DNR);
	client_stop(&c);
}
END_TEST

/* ---- features, 5.13, 5.21 ---- */

START_TEST(features_get_set)
{
	static const struct { uint8_t id; uint32_t preset, v, now; } f[] = {
		{ 1, 7, 0xffffffff, 0xffffff07 },	/* arbitration */
		{ 4, 343, 400, 400 },			/* temperature */
		{ 6, 1, 0, 0 },				/* write cache */
		{ 8, 0, 0x1234, 0x1234 },		/* coalescing */
		{ 10, 0, 1, 1 },			/* write atomicity */
		{ 11, 0, 0xff, 0xff },			/* async events */
	};

	client_create(&c, "queues=4");
	client_enable(&c, 32);
	for (unsigned i = 0; i < sizeof(f) / sizeof(*f); i++) {
		ck_assert_uint_eq(get_feature(f[i].id, 0, 0), 0);
		ck_assert_uint_eq(c.last.result, f[i].preset);
		ck_assert_uint_eq(set_feature(f[i].id, 0, f[i].v), 0);
		ck_assert_uint_eq(get_feature(f[i].id, 0, 0), 0);
		ck_assert_uint_eq(c.last.result, f[i].now);
		ck_assert_uint_eq(get_feature(f[i].id | 1 << 8, 0, 0), 0);	/* default */
		ck_assert_uint_eq(c.last.result, f[i].preset);
		ck_assert_uint_eq(get_feature(f[i].id | 2 << 8, 0, 0), 0);	/* saved */
		ck_assert_uint_eq(c.last.result, f[i].preset);
		ck_assert_uint_eq(get_feature(f[i].id | 3 << 8, 0, 0), 0);
		ck_assert_uint_eq(c.last.result, 4);				/* changeable */
		ck_assert_uint_eq(get_feature(f[i].id | 4 << 8, 0, 0), 2 | DNR);
		ck_assert_uint_eq(set_feature(f[i].id | 1u << 31, 0, 0), 0x10d | DNR);
		if (f[i].id != 6)
			ck_assert_uint_eq(set_feature(f[i].id, 1, 0), 0x10f | DNR);
		ck_assert_uint_eq(set_feature(f[i].id, 7, 0), 0x0b | DNR);
	}
	client_disable(&c);					/* reset: defaults again */
	client_enable(&c, 32);
	ck_assert_uint_eq(get_feature(8, 0, 0), 0);
	ck_assert_uint_eq(c.last.result, 0);
	/* QEMU's driver names its namespace here */
	ck_assert_uint_eq(set_feature(6, 1, 0), 0);
	client_stop(&c);
}
END_TEST

START_TEST(feature_limits)
{
	client_create(&c, "queues=4,msi=0");
	client_enable(&c, 32);
	ck_assert_uint_eq(set_feature(2, 0, 0), 0);		/* power */
	ck_assert_uint_eq(set_feature(2, 0, 1), 2 | DNR);
	ck_assert_uint_eq(set_feature(2, 0, 1 << 5), 0);	/* workload hint */
	ck_assert_uint_eq(get_feature(2, 0, 0), 0);
	ck_assert_uint_eq(c.last.result, 1 << 5);
	ck_assert_uint_eq(set_feature(4, 0, 1 << 20 | 5), 0);	/* under threshold */
	ck_assert_uint_eq(get_feature(4, 0, 1 << 20), 0);
	ck_assert_uint_eq(c.last.result, 5);
	ck_assert_uint_eq(set_feature(4, 0, 2 << 20 | 5), 2 | DNR);
	ck_assert_uint_eq(set_feature(4, 0, 1 << 16 | 5), 2 | DNR);
	ck_assert_uint_eq(get_feature(4, 0, 3 << 20), 2 | DNR);
	ck_assert_uint_eq(set_feature(5, 1, 1 << 16), 2 | DNR);	/* DULBE */
	ck_assert_uint_eq(set_feature(5, 1, 77), 0);
	ck_assert_uint_eq(get_feature(5, 1, 0), 0);
	ck_assert_uint_eq(c.last.result, 77);
	ck_assert_uint_eq(set_feature(5, 0xffffffff, 78), 0);
	ck_assert_uint_eq(get_feature(5, 1, 0), 0);
	ck_assert_uint_eq(c.last.result, 78);
	ck_assert_uint_eq(set_feature(5, 0, 1), 0x0b | DNR);
	ck_assert_uint_eq(get_feature(5, 2, 0), 0x0b | DNR);
	ck_assert_uint_eq(get_feature(5, 0xffffffff, 0), 0x0b | DNR);
	ck_assert_uint_eq(set_feature(9, 0, 5), 2 | DNR);	/* vectors 0 … 4 */
	ck_assert_uint_eq(set_feature(9, 0, 1 << 16 | 4), 0);
	ck_assert_uint_eq(get_feature(9, 0, 4), 0);
	ck_assert_uint_eq(c.last.result, 1 << 16 | 4);
	ck_assert_uint_eq(get_feature(9, 0, 5), 2 | DNR);
	for (unsigned id = 0; id < 256; id++)
		if (!id || id == 3 || id == 12 || id == 13 || id > 14) {
			ck_assert_uint_eq(get_feature(id, 0, 0), 2 | DNR);
			ck_assert_uint_eq(set_feature(id, 0, 0), 2 | DNR);
		}
	client_stop(&c);
}
END_TEST

START_TEST(feature_number_of_queues)
{
	client_create(&c, "queues=6");
	client_enable(&c, 32);
	ck_assert_uint_eq(set_feature(7, 0, 0xffff), 2 | DNR);
	ck_assert_uint_eq(set_feature(7, 0, 0xffff0000), 2 | DNR);
	ck_assert_uint_eq(set_feature(7, 0, 1 << 16 | 1), 0);
	ck_assert_uint_eq(c.last.result, 5 << 16 | 5);
	ck_assert_uint_eq(get_feature(7, 0, 0), 0);
	ck_assert_uint_eq(c.last.result, 5 << 16 | 5);
	client_io_queue(&c, 1, 16);
	ck_assert_uint_eq(set_feature(7, 0, 1 << 16 | 1), 0x0c | DNR);
	client_stop(&c);
}
END_TEST

START_TEST(feature_timestamp)
{
	uint8_t *p;

	client_create(&c, NULL);
	client_enable(&c, 32);
	p = fake_mem(&c.p, DATA);
	memcpy(p, "\x00\xe4\x0b\x54\x02\x00\xff\xff", 8);	/* 10000000000 */
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 9, .cdw10 = 14,
						  .prp1 = DATA }), 0);
	fake_advance(&c.p, 5000000000ull);
	ck_assert_uint_eq(get_feature(14, 0, 0), 0);
	ck_assert_uint_eq(get64(p, 0) & 0xffffffffffff, 10000000000ull + 5000);
	ck_assert_uint_eq(p[6] >> 1 & 7, 1);
	ck_assert_uint_eq(get_feature(14 | 1 << 8, 0, 0), 0);
	ck_assert_uint_eq(get64(p, 0), 0);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 9, .cdw10 = 14,
						  .prp1 = MEM - 4096 }), 4 | DNR);
	client_stop(&c);
}
END_TEST

/* ---- logs, 5.14 ---- */

START_TEST(log_pages)
{
	uint8_t *p;

	client_start(&c, NULL);
	p = fake_mem(&c.p, DATA);
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 0, 8, DATA, 0)), 0);
	ck_assert_uint_eq(client_do(&c, 1, rw(1, 1, 0, 8, DATA, 0)), 0);
	memset(p, 0xff, 8192);
	ck_assert_uint_eq(get_log(2, 128, 0, 0), 0);		/* SMART */
	ck_assert_uint_eq(p[0], 0);
	ck_assert_uint_eq(get16(p, 1), 303);
	ck_assert_uint_eq(p[3], 100);
	ck_assert_uint_eq(get64(p, 32), 1);
	ck_assert_uint_eq(get64(p, 64), 1);
	ck_assert_uint_eq(get64(p, 80), 1);
	ck_assert_uint_eq(get64(p, 112), 1);			/* power cycles */
	ck_assert_uint_eq(p[512], 0xff);
	ck_assert_uint_eq(get_log(3, 128, 0, 0), 0);		/* firmware */
	ck_assert_uint_eq(p[0], 1);
	ck_assert(!memcmp(p + 8, "1.0     ", 8));
	ck_assert_uint_eq(get_log(4, 1024, 0, 0), 0);		/* changed namespaces */
	ck_assert_uint_eq(get32(p, 0), 0);
	ck_assert_uint_eq(get_log(5, 1024, 0, 0), 0);		/* effects */
	ck_assert_uint_eq(get32(p, 6 * 4), 1);
	ck_assert_uint_eq(get32(p, 7 * 4), 0);
	ck_assert_uint_eq(get32(p, 1024 + 1 * 4), 3);
	/* from an offset; to the end; beyond it */
	ck_assert_uint_eq(get_log(5, 2, 1024, 0), 0);
	ck_assert_uint_eq(get32(p, 4), 3);
	memset(p, 0xff, 64);
	ck_assert_uint_eq(get_log(2, 2, 512, 0), 0);
	ck_assert_uint_eq(get64(p, 0), 0);
	ck_assert_uint_eq(get_log(2, 2, 516, 0), 2 | DNR);
	ck_assert_uint_eq(get_log(2, 2, 2, 0), 2 | DNR);
	ck_assert_uint_eq(get_log(2, 2, 1ull << 32, 0), 2 | DNR);
	/* errors: unknown page, one namespace, too long */
	ck_assert_uint_eq(get_log(0, 1, 0, 0), 0x109 | DNR);
	ck_assert_uint_eq(get_log(0x80, 1, 0, 0), 0x109 | DNR);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 2, .nsid = 1, .prp1 = DATA,
						  .cdw10 = 127 << 16 | 2 }), 2 | DNR);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 2, .prp1 = DATA,
						  .cdw10 = 0xffff0002, .cdw11 = 0xffff }),
			  2 | DNR);
	client_stop(&c);
}
END_TEST

/* 5.14.1.1: newest first; the More bit points here. */
START_TEST(error_log)
{
	uint8_t *p;
	uint16_t cid;

	client_start(&c, NULL);
	p = fake_mem(&c.p, DATA);
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 1ull << 40, 1, DATA, 0)), 0x80 | DNR);
	ck_assert(c.last.status >> 1 & MORE);
	cid = c.last.cid;
	ck_assert_uint_eq(get_log(1, 1024, 0, 0), 0);
	ck_assert_uint_eq(get64(p, 0), 1);
	ck_assert_uint_eq(get16(p, 8), 1);
	ck_assert_uint_eq(get16(p, 10), cid);
	ck_assert_uint_eq(get16(p, 12) >> 1 & 0xff, 0x80);
	ck_assert_uint_eq(get64(p, 16), 1ull << 40);
	ck_assert_uint_eq(get32(p, 24), 1);
	ck_assert_uint_eq(get64(p, 64), 0);
	for (unsigned i = 0; i < 70; i++)
		ck_assert_uint_eq(client_do(&c, 1, rw(2, 9, i, 1, DATA, 0)), 0x0b | DNR);
	ck_assert_uint_eq(get_log(1, 1024, 0, 0), 0);
	ck_assert_uint_eq(get64(p, 0), 71);
	ck_assert_uint_eq(get64(p, 63 * 64), 8);
	fake_close(&c.p);					/* power cycle: empty */
	fake_open(&c.p);
	client_enable(&c, 32);
	ck_assert_uint_eq(get_log(1, 1024, 0, 0), 0);
	ck_assert_uint_eq(get64(p, 0), 0);
	ck_assert_uint_eq(get_log(2, 128, 0, 0), 0);		/* SMART: of its life */
	ck_assert_uint_eq(get64(p, 176), 71);
	ck_assert_uint_eq(get64(p, 112), 2);
	ck_assert_uint_eq(get64(p, 144), 1);			/* without shutdown */
	client_stop(&c);
}
END_TEST

/* ---- events, 5.2, and abort, 5.1 ---- */

START_TEST(async_event_limit)
{
	struct cqe e;

	client_create(&c, NULL);
	client_enable(&c, 32);
	for (unsigned i = 0; i < 4; i++)
		client_push(&c, 0, (struct sqe){ .opcode = 12 });
	client_ring(&c, 0);
	fake_poll(&c.p, 10);
	ck_assert(!client_reap(&c, 0, &e));
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 12 }), 0x105 | DNR);
	client_stop(&c);
}
END_TEST

/* Invalid doorbells: restored and reported, once until the log is read. */
START_TEST(async_event_doorbell)
{
	struct cqe e;
	uint16_t first;

	client_start(&c, NULL);
	first = client_push(&c, 0, (struct sqe){ .opcode = 12 });
	client_push(&c, 0, (struct sqe){ .opcode = 12 });
	client_ring(&c, 0);
	fake_poll(&c.p, 10);
	fake_poke32(&c.p, 0, SQ_DB(1), 64);		/* size is 64 */
	e = client_wait(&c, 0);
	ck_assert_uint_eq(e.cid, first);
	ck_assert_uint_eq(e.status >> 1, 0);
	ck_assert_uint_eq(e.result, 1 << 16 | 1 << 8 | 0);	/* log 1, value, error */
	ck_assert_uint_eq(fake_read32(&c.p, 0, SQ_DB(1)), 0);
	fake_poke32(&c.p, 0, CQ_DB(1), 5);		/* nothing was posted there */
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(fake_read32(&c.p, 0, CQ_DB(1)), 0);
	ck_assert(!client_reap(&c, 0, &e));		/* held back */
	ck_assert_uint_eq(get_log(1, 16, 0, 1 << 15), 0);	/* RAE: still */
	fake_poll(&c.p, 10);
	ck_assert(!client_reap(&c, 0, &e));
	ck_assert_uint_eq(get_log(1, 16, 0, 0), 0);
	e = client_wait(&c, 0);
	ck_assert_uint_eq(e.result, 1 << 16 | 1 << 8 | 0);
	/* A doorbell that belongs to no queue. */
	client_push(&c, 0, (struct sqe){ .opcode = 12 });
	client_ring(&c, 0);
	ck_assert_uint_eq(get_log(1, 16, 0, 0), 0);
	fake_write32(&c.p, 0, SQ_DB(7), 3);
	e = client_wait(&c, 0);
	ck_assert_uint_eq(e.result, 1 << 16 | 0 << 8 | 0);
	ck_assert_uint_eq(fake_read32(&c.p, 0, SQ_DB(7)), 0);
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 0, 1, DATA, 0)), 0);
	/* A reset lets events through again without the log having been read. */
	client_disable(&c);
	client_enable(&c, 32);
	client_push(&c, 0, (struct sqe){ .opcode = 12 });
	client_ring(&c, 0);
	fake_poll(&c.p, 10);
	fake_write32(&c.p, 0, SQ_DB(7), 3);
	e = client_wait(&c, 0);
	ck_assert_uint_eq(e.result, 1 << 16 | 0 << 8 | 0);
	client_stop(&c);
}
END_TEST

/* An event waits for room in the completion queue; the same event counts once. */
START_TEST(async_event_without_room)
{
	struct cqe e;

	client_create(&c, NULL);
	client_enable(&c, 3);			/* two completions fit */
	client_push(&c, 0, (struct sqe){ .opcode = 12 });
	client_ring(&c, 0);
	fake_poll(&c.p, 10);
	for (unsigned i = 0; i < 2; i++) {
		client_push(&c, 0, (struct sqe){ .opcode = 6, .cdw10 = 1, .prp1 = DATA });
		client_ring(&c, 0);
		fake_poll(&c.p, 10);
		fake_write32(&c.p, 0, SQ_DB(9), 1);
	}
	ck_assert(client_peek(&c, 0, &e) && e.cid == 2);
	ck_assert(client_peek(&c, 0, &e) && e.cid == 3);
	fake_poll(&c.p, 10);
	ck_assert(!client_peek(&c, 0, &e));
	fake_poke32(&c.p, 0, CQ_DB(0), c.q[0].cq_head);
	fake_poll(&c.p, 10);
	ck_assert(client_reap(&c, 0, &e));
	ck_assert_uint_eq(e.cid, 1);
	ck_assert_uint_eq(e.result, 1 << 16);
	client_stop(&c);
}
END_TEST

START_TEST(async_event_temperature)
{
	struct cqe e;

	client_create(&c, NULL);
	client_enable(&c, 32);
	client_push(&c, 0, (struct sqe){ .opcode = 12 });
	ck_assert_uint_eq(set_feature(4, 0, 300), 0);	/* 303 K is above */
	ck_assert(!client_reap(&c, 0, &e));		/* not asked for yet */
	ck_assert_uint_eq(get_log(2, 128, 0, 0), 0);
	ck_assert_uint_eq(((uint8_t *)fake_mem(&c.p, DATA))[0], 2);
	ck_assert_uint_eq(set_feature(11, 0, 1 << 1), 0);
	e = client_wait(&c, 0);
	ck_assert_uint_eq(e.result, 2 << 16 | 1 << 8 | 1);
	client_stop(&c);
}
END_TEST

START_TEST(abort_command)
{
	struct cqe e;
	uint16_t aer;

	client_start(&c, NULL);
	aer = client_push(&c, 0, (struct sqe){ .opcode = 12 });
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 8, .cdw10 = 0x7777 << 16 | 1 }), 0);
	ck_assert_uint_eq(c.last.result, 1);		/* not found */
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 8, .cdw10 = 0x7777 << 16 }), 0);
	ck_assert_uint_eq(c.last.result, 1);
	client_push(&c, 0, (struct sqe){ .opcode = 8, .cdw10 = (uint32_t)aer << 16 });
	client_ring(&c, 0);
	e = client_wait(&c, 0);
	ck_assert_uint_eq(e.cid, aer);
	ck_assert_uint_eq(e.status >> 1, 7);
	e = client_wait(&c, 0);
	ck_assert_uint_eq(e.status >> 1, 0);
	ck_assert_uint_eq(e.result, 0);
	client_stop(&c);
}
END_TEST

CLIENT_MAIN("nvme_admin", identify_controller, identify_namespace, identify_lists,
	    admin_data_pointers, unknown_opcodes, features_get_set, feature_limits,
	    feature_number_of_queues, feature_timestamp, log_pages, error_log,
	    async_event_limit, async_event_doorbell, async_event_without_room,
	    async_event_temperature, abort_command)
