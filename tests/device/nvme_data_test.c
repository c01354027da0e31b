/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a command's data lies: PRPs and SGLs (NVMe 1.4, 4.3 and 4.4). */
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

/* ---- PRP, 4.3 ---- */

/* Write @len bytes from a shape of pages and read them back into one straight run. */
static void shape(struct sqe e, const uint64_t *pages, unsigned n, uint32_t len)
{
	uint8_t *expect = malloc(len), *p = expect;
	uint32_t left = len;

	for (unsigned i = 0; i < n && left; i++) {
		uint32_t k = 4096 - (pages[i] & 4095);

		k = k < left ? k : left;
		pattern(fake_mem(&c.p, pages[i]), k, i + 100);
		memcpy(p, fake_mem(&c.p, pages[i]), k);
		p += k;
		left -= k;
	}
	ck_assert_uint_eq(left, 0);
	e.opcode = 1;
	e.nsid = 1;
	e.cdw10 = 64;
	e.cdw12 = len / 512 - 1;
	ck_assert_uint_eq(io(e), 0);
	for (uint32_t done = 0; done < len; done += 4096) {
		uint32_t k = len - done < 4096 ? len - done : 4096;

		ck_assert_uint_eq(io(rw(2, 1, 64 + done / 512, k / 512,
				       DATA + (12u << 20), 0)), 0);
		ck_assert(!memcmp(fake_mem(&c.p, DATA + (12u << 20)), expect + done, k));
	}
	/* and the other way */
	for (unsigned i = 0; i < n; i++)
		memset(fake_mem(&c.p, pages[i]), 0, 4096 - (pages[i] & 4095));
	e.opcode = 2;
	ck_assert_uint_eq(io(e), 0);
	for (unsigned i = 0, done = 0; i < n && done < len; i++) {
		uint32_t k = 4096 - (pages[i] & 4095);

		k = k < len - done ? k : len - done;
		ck_assert(!memcmp(fake_mem(&c.p, pages[i]), expect + done, k));
		done += k;
	}
	free(expect);
}

START_TEST(prp_shapes)
{
	uint64_t pages[130];
	uint64_t *list = NULL;

	start(_i, "mdts=7");
	list = fake_mem(&c.p, LIST);
	/* one page, at an offset */
	pages[0] = DATA + 0x404;
	shape((struct sqe){ .prp1 = pages[0] }, pages, 1, 2048);
	/* two pages, the first at an offset, far apart */
	pages[0] = DATA + 0x5800;
	pages[1] = DATA + 0x1000;
	shape((struct sqe){ .prp1 = pages[0], .prp2 = pages[1] }, pages, 2, 4096);
	pages[0] = DATA;
	shape((struct sqe){ .prp1 = pages[0], .prp2 = pages[1] }, pages, 2, 8192);
	/* a list: scattered, with an offset in the first page and a short end */
	for (unsigned i = 0; i < 130; i++)
		pages[i] = DATA + ((i * 7ull) % 131) * 0x2000 + 0x100000;
	pages[0] += 0xa00;
	memcpy(list, pages + 1, sizeof(pages) - 8);
	shape((struct sqe){ .prp1 = pages[0], .prp2 = LIST }, pages, 130, 512 << 10);
	/* neighbours: one piece */
	for (unsigned i = 0; i < 130; i++)
		pages[i] = DATA + i * 4096ull;
	memcpy(list, pages + 1, sizeof(pages) - 8);
	c.p.dma_pieces = 0;
	shape((struct sqe){ .prp1 = pages[0], .prp2 = LIST }, pages, 128, 512 << 10);
	ck_assert_uint_lt(c.p.dma_pieces, 700);	/* of which 128 commands check */
	/* a list that starts near the end of its page and is chained */
	memcpy(fake_mem(&c.p, LIST + 0xff0), pages + 1, 8);
	*(uint64_t *)fake_mem(&c.p, LIST + 0xff8) = LIST + 0x3000;
	memcpy(fake_mem(&c.p, LIST + 0x3000), pages + 2, sizeof(pages) - 16);
	shape((struct sqe){ .prp1 = pages[0], .prp2 = LIST + 0xff0 }, pages, 128, 512 << 10);
	/* a list that is nothing but a pointer */
	*(uint64_t *)fake_mem(&c.p, LIST + 0xff8) = LIST + 0x3000;
	memcpy(fake_mem(&c.p, LIST + 0x3000), pages + 1, sizeof(pages) - 8);
	shape((struct sqe){ .prp1 = pages[0], .prp2 = LIST + 0xff8 }, pages, 128, 512 << 10);
	/* ... whose last entry needs no pointer */
	*(uint64_t *)fake_mem(&c.p, LIST + 0xff0) = pages[1];
	*(uint64_t *)fake_mem(&c.p, LIST + 0xff8) = pages[2];
	shape((struct sqe){ .prp1 = pages[0], .prp2 = LIST + 0xff0 }, pages, 3, 3 * 4096);
	client_stop(&c);
}
END_TEST

START_TEST(prp_errors)
{
	uint64_t *list;

	start(_i, "mdts=7");
	list = fake_mem(&c.p, LIST);
	ck_assert_uint_eq(io(rw(2, 1, 0, 8, DATA + 1, 0)), 0x13 | DNR);
	ck_assert_uint_eq(io(rw(2, 1, 0, 16, DATA, DATA + 0x1200)), 0x13 | DNR);
	ck_assert_uint_eq(io(rw(2, 1, 0, 24, DATA, LIST + 4)), 0x13 | DNR);
	for (unsigned i = 0; i < 512; i++)
		list[i] = DATA + i * 4096ull;
	list[3] += 8;
	ck_assert_uint_eq(io(rw(1, 1, 0, 48, DATA, LIST)), 0x13 | DNR);
	/* list not there; page in the list not there; chain not there or not aligned */
	ck_assert_uint_eq(io(rw(1, 1, 0, 48, DATA, MEM - 8)), 4 | DNR);
	list[3] = MEM + MEM_SIZE;
	ck_assert_uint_eq(io(rw(1, 1, 0, 48, DATA, LIST)), 4 | DNR);
	ck_assert_uint_eq(io(rw(2, 1, 0, 48, DATA, LIST)), 4 | DNR);
	list[511] = MEM - 4096;
	ck_assert_uint_eq(io(rw(1, 1, 0, 48, DATA, LIST + 0xff8)), 4 | DNR);
	list[511] = LIST + 8;
	ck_assert_uint_eq(io(rw(1, 1, 0, 48, DATA, LIST + 0xff8)), 0x13 | DNR);
	/* a list that points to itself: entries, not a loop */
	list[511] = LIST;
	for (unsigned i = 0; i < 511; i++)
		list[i] = LIST;
	ck_assert_uint_eq(io(rw(2, 1, 0, 1024, DATA, LIST + 0xff8)), 0);
	/* nothing of a failed read moves */
	memset(fake_mem(&c.p, DATA), 0x33, 4096);
	ck_assert_uint_eq(io(rw(2, 1, 0, 16, DATA, MEM - 4096)), 4 | DNR);
	ck_assert_uint_eq(((uint8_t *)fake_mem(&c.p, DATA))[0], 0x33);
	/* read only memory: reads fail, writes do not */
	fake_map_readonly(&c.p, DATA, DATA + 4095);
	ck_assert_uint_eq(io(rw(2, 1, 0, 1, DATA, 0)), 4 | DNR);
	ck_assert_uint_eq(io(rw(1, 1, 0, 1, DATA, 0)), 0);
	client_stop(&c);
}
END_TEST

/* Pages of 8 KiB by CC.MPS. */
START_TEST(prp_large_pages)
{
	start(0, "mdts=7");
	client_disable(&c);
	client_queue_init(&c, 0, 32);
	fake_poke32(&c.p, 0, CC, CC_ON | 1 << 7);
	fake_poll(&c.p, 10);
	client_io_queue(&c, 1, 64);
	pattern(fake_mem(&c.p, DATA), 24576, 9);
	((uint64_t *)fake_mem(&c.p, LIST))[0] = DATA + 8192;
	((uint64_t *)fake_mem(&c.p, LIST))[1] = DATA + 16384;
	ck_assert_uint_eq(io(rw(1, 1, 0, 48, DATA, LIST)), 0);
	ck_assert_uint_eq(io(rw(2, 1, 0, 32, DATA + 0x100000, DATA + 0x102000)), 0);
	ck_assert(!memcmp(fake_mem(&c.p, DATA), fake_mem(&c.p, DATA + 0x100000), 16384));
	ck_assert_uint_eq(io(rw(2, 1, 0, 32, DATA + 0x100000, DATA + 0x101000)), 0x13 | DNR);
	client_stop(&c);
}
END_TEST

/* ---- SGL, 4.4 ---- */

struct sgl {
	uint64_t addr;
	uint32_t len;
	uint8_t rsvd[3], id;
} __attribute__((packed));		/* at any address */

static struct sqe with_sgl(struct sqe e, struct sgl d)
{
	e.flags = 1 << 6;
	memcpy(&e.prp1, &d, 16);
	return e;
}

START_TEST(sgl_shapes)
{
	struct sgl *a = NULL, *b = NULL;
	struct sqe w = rw(1, 1, 0, 8, 0, 0), r = rw(2, 1, 0, 8, 0, 0);
	uint8_t expect[4096];

	start(_i, "mdts=7");
	a = fake_mem(&c.p, LIST);
	b = fake_mem(&c.p, LIST + 0x5004);
	pattern(fake_mem(&c.p, DATA), 65536, 5);
	/* one data block, at any address; longer than needed is fine (SGLS bit 18) */
	ck_assert_uint_eq(io(with_sgl(w, (struct sgl){ DATA + 3, 4096, { 0 }, 0 })), 0);
	ck_assert_uint_eq(io(with_sgl(r, (struct sgl){ DATA + 0x20001, 9000, { 0 }, 0 })), 0);
	ck_assert(!memcmp(fake_mem(&c.p, DATA + 3), fake_mem(&c.p, DATA + 0x20001), 4096));
	/* segment, then last segment; odd lengths */
	a[0] = (struct sgl){ DATA + 100, 1, { 0 }, 0 };
	a[1] = (struct sgl){ DATA + 9000, 2000, { 0 }, 0 };
	a[2] = (struct sgl){ LIST + 0x5004, 32, { 0 }, 0x30 };
	b[0] = (struct sgl){ DATA + 201, 95, { 0 }, 0 };
	b[1] = (struct sgl){ DATA + 20000, 2000, { 0 }, 0 };
	memcpy(expect, fake_mem(&c.p, DATA + 100), 1);
	memcpy(expect + 1, fake_mem(&c.p, DATA + 9000), 2000);
	memcpy(expect + 2001, fake_mem(&c.p, DATA + 201), 95);
	memcpy(expect + 2096, fake_mem(&c.p, DATA + 20000), 2000);
	ck_assert_uint_eq(io(with_sgl(w, (struct sgl){ LIST, 48, { 0 }, 0x20 })), 0);
	ck_assert_uint_eq(io(rw(2, 1, 0, 8, DATA + 0x30000, 0)), 0);
	ck_assert(!memcmp(fake_mem(&c.p, DATA + 0x30000), expect, 4096));
	/* bit bucket: drops bytes of a read */
	a[0] = (struct sgl){ 0, 1000, { 0 }, 0x10 };
	a[1] = (struct sgl){ DATA + 0x40000, 3096, { 0 }, 0 };
	ck_assert_uint_eq(io(with_sgl(r, (struct sgl){ LIST, 32, { 0 }, 0x30 })), 0);
	ck_assert(!memcmp(fake_mem(&c.p, DATA + 0x40000), expect + 1000, 3096));
	/* ... is ignored in a write */
	a[1] = (struct sgl){ DATA, 4096, { 0 }, 0 };
	ck_assert_uint_eq(io(with_sgl(w, (struct sgl){ LIST, 32, { 0 }, 0x30 })), 0);
	ck_assert_uint_eq(io(rw(2, 1, 0, 8, DATA + 0x30000, 0)), 0);
	ck_assert(!memcmp(fake_mem(&c.p, DATA + 0x30000), fake_mem(&c.p, DATA), 4096));
	client_stop(&c);
}
END_TEST

START_TEST(sgl_errors)
{
	struct sgl *a = NULL;
	struct sqe w = rw(1, 1, 0, 8, 0, 0);

	start(_i, "mdts=7");
	a = fake_mem(&c.p, LIST);
#define SGL(...) io(with_sgl(w, (struct sgl){ __VA_ARGS__ }))
	ck_assert_uint_eq(SGL(DATA, 4095, { 0 }, 0), 0x0f | DNR);	/* too short */
	ck_assert_uint_eq(SGL(DATA, 4096, { 0 }, 0x40), 0x11 | DNR);	/* keyed */
	ck_assert_uint_eq(SGL(DATA, 4096, { 0 }, 0x01), 0x11 | DNR);	/* sub type */
	ck_assert_uint_eq(SGL(MEM - 4096, 4096, { 0 }, 0), 4 | DNR);
	ck_assert_uint_eq(SGL(~0ull, 4096, { 0 }, 0), 4 | DNR);
	ck_assert_uint_eq(SGL(LIST, 0, { 0 }, 0x20), 0x0d | DNR);
	ck_assert_uint_eq(SGL(LIST, 17, { 0 }, 0x30), 0x0d | DNR);
	ck_assert_uint_eq(SGL(LIST, 16 * 257, { 0 }, 0x30), 0x0e | DNR);
	ck_assert_uint_eq(SGL(MEM - 16, 16, { 0 }, 0x30), 4 | DNR);
	memset(a, 0, 4096);
	ck_assert_uint_eq(SGL(LIST, 4096, { 0 }, 0x30), 0x0f | DNR);	/* all empty */
	a[0] = (struct sgl){ DATA, 4096, { 0 }, 0 };
	ck_assert_uint_eq(SGL(LIST, 16, { 0 }, 0x20), 0x0d | DNR);	/* no pointer at end */
	a[0] = (struct sgl){ LIST, 16, { 0 }, 0x30 };
	ck_assert_uint_eq(SGL(LIST, 16, { 0 }, 0x30), 0x0d | DNR);	/* pointer in last */
	a[1] = (struct sgl){ DATA, 4096, { 0 }, 0 };
	ck_assert_uint_eq(SGL(LIST, 32, { 0 }, 0x20), 0x0d | DNR);	/* pointer midway */
	a[0] = (struct sgl){ LIST, 16, { 0 }, 0x20 };			/* to itself */
	ck_assert_uint_eq(SGL(LIST, 16, { 0 }, 0x20), 0x0e | DNR);
	a[0] = (struct sgl){ DATA, 4096, { 0 }, 0x50 };
	ck_assert_uint_eq(SGL(LIST, 16, { 0 }, 0x30), 0x11 | DNR);
#undef SGL
	client_stop(&c);
}
END_TEST

/* One command that points nowhere does not harm those fetched with it. */
START_TEST(bad_command_in_a_batch)
{
	struct cqe e;
	unsigned bad = 0;

	start(_i, "mdts=7");
	for (unsigned i = 0; i < 24; i++)
		client_push(&c, 1, rw(i % 3 ? 2 : 1, 1, i, 1,
				      i % 4 == 3 ? MEM - 4096 : DATA + i * 4096ull, 0));
	client_ring(&c, 1);
	for (unsigned i = 0; i < 24; i++) {
		e = client_wait(&c, 1);
		if (e.status >> 1)
			ck_assert_uint_eq(e.status >> 1, 4 | DNR | MORE);
		bad += e.status >> 1 != 0;
	}
	ck_assert_uint_eq(bad, 6);
	client_stop(&c);
}
END_TEST

int main(void)
{
	const TTest *const both[] = {
		prp_shapes, prp_errors, sgl_shapes, sgl_errors, bad_command_in_a_batch,
	};
	const TTest *const once[] = { prp_large_pages };

	return client_main2("nvme_data", both, sizeof(both) / sizeof(*both), once,
			    sizeof(once) / sizeof(*once));
}
