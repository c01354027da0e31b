/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device/edu_keep_test.c - the process of the educational device is killed after each single
 * call of a service, and a client sees nothing of it: the rules of device.h, restore().
 */
#include <check.h>

#include <device/fake_services.h>
#include <device/spoil.h>

#define IOVA 0x100000u
#define MEM_SIZE 0x4000u
#define WAIT_NS 1000000u
#define POINTS_MAX 2000			/* more than a run has */

enum { LIVE = 0x04, FACT = 0x08, STATUS = 0x20, IRQ = 0x24, RAISE = 0x60, ACK = 0x64,
       SRC = 0x80, DST = 0x88, COUNT = 0x90, CMD = 0x98, BUF = 0x40000 };
enum { COMPUTING = 0x01, STATUS_IRQ = 0x80 };
enum { RUN = 1, TO_MEMORY = 2, DMA_IRQ = 4 };

static struct cused_port port;
static uint64_t irqs_seen;

static void start(void)
{
	ck_assert_int_eq(fake_create(&port, "edu", NULL, IOVA, MEM_SIZE), 0);
	irqs_seen = 0;
}

/* Until @busy is clear in the register: a time that began is not begun again for ever. */
static void wait_for(unsigned reg, uint32_t busy)
{
	fake_advance(&port, WAIT_NS);
	ck_assert_uint_eq(fake_read32(&port, 0, reg) & busy, 0);
}

/* The causes are there, and the client was told. */
static void expect_irq(uint32_t causes)
{
	ck_assert_uint_eq(fake_read32(&port, 0, IRQ), causes);
	if (port.intx)
		ck_assert(port.level);
	else
		ck_assert_uint_gt(port.irqs[0], irqs_seen);
	fake_write32(&port, 0, ACK, causes);
	ck_assert_uint_eq(fake_read32(&port, 0, IRQ), 0);
	ck_assert(!port.level);
	irqs_seen = port.irqs[0];
}

static void dma_start(uint64_t src, uint64_t dst, uint64_t count, uint64_t cmd)
{
	fake_write(&port, 0, SRC, 8, src);
	fake_write(&port, 0, DST, 8, dst);
	fake_write(&port, 0, COUNT, 8, count);
	fake_write(&port, 0, CMD, 8, cmd);
	ck_assert_uint_eq(fake_read(&port, 0, CMD, 8), cmd);
}

static void dma(uint64_t src, uint64_t dst, uint64_t count, uint64_t cmd)
{
	dma_start(src, dst, count, cmd);
	wait_for(CMD, RUN);
	if (cmd & DMA_IRQ)
		expect_irq(0x100);
	ck_assert_uint_eq(fake_read(&port, 0, SRC, 8), src);
	ck_assert_uint_eq(fake_read(&port, 0, DST, 8), dst);
	ck_assert_uint_eq(fake_read(&port, 0, COUNT, 8), count);
}

static void fill(uint8_t *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8) + seed);
}

/* All that the device can do, with what a client sees of it. */
static void workload(void)
{
	uint8_t *mem = fake_mem(&port, IOVA), expect[4096];

	ck_assert_int_eq(fake_open(&port), 0);
	ck_assert_uint_eq(fake_read32(&port, 0, LIVE), 0);
	fake_write32(&port, 0, LIVE, 0x12345678);
	fake_write32(&port, 0, STATUS, STATUS_IRQ);
	fake_write32(&port, 0, FACT, 10);
	ck_assert_uint_eq(fake_read32(&port, 0, STATUS), STATUS_IRQ | COMPUTING);
	wait_for(STATUS, COMPUTING);
	ck_assert_uint_eq(fake_read32(&port, 0, FACT), 3628800);
	expect_irq(1);
	fill(mem, 4096, 1);
	memcpy(expect, mem, 4096);
	dma(IOVA, BUF, 4096, RUN | DMA_IRQ);
	memset(mem, 0, 4096);
	fake_write32(&port, 0, RAISE, 0x30);
	ck_assert_uint_eq(fake_read32(&port, 0, LIVE), ~0x12345678u);
	expect_irq(0x30);
	/* Two jobs at once, and what a failed read leaves. */
	fake_write32(&port, 0, STATUS, 0);
	fake_write32(&port, 0, FACT, 5);
	dma(BUF, IOVA + 4096, 4096, RUN | TO_MEMORY | DMA_IRQ);
	ck_assert_uint_eq(fake_read32(&port, 0, FACT), 120);
	ck_assert_uint_eq(fake_read32(&port, 0, IRQ), 0);
	ck_assert(!memcmp(mem + 4096, expect, 4096));
	dma(0, BUF + 100, 50, RUN);
	memset(expect + 100, 0xff, 50);
	dma(BUF, IOVA, 4096, RUN | TO_MEMORY);
	ck_assert(!memcmp(mem, expect, 4096));
	/* Nothing of before is left, whatever ran. */
	fake_write32(&port, 0, RAISE, 2);
	dma_start(BUF, IOVA, 4096, RUN | TO_MEMORY);
	fake_reset(&port);
	irqs_seen = port.irqs[0];
	memset(mem, 0x55, 4096);
	fake_advance(&port, WAIT_NS);
	ck_assert_uint_eq(mem[0], 0x55);
	ck_assert_uint_eq(port.irqs[0], irqs_seen);
	ck_assert_uint_eq(fake_read32(&port, 0, LIVE), 0);
	ck_assert_uint_eq(fake_read32(&port, 0, IRQ), 0);
	dma(BUF, IOVA, 4096, RUN | TO_MEMORY);
	for (unsigned i = 0; i < 4096; i++)
		ck_assert_uint_eq(mem[i], 0);
	fake_write32(&port, 0, LIVE, 1);
	fake_close(&port);
	ck_assert_uint_eq(fake_pieces_count(&port.pieces), 0);
	ck_assert_int_eq(fake_open(&port), 0);
	ck_assert_uint_eq(fake_read32(&port, 0, LIVE), 0);
}

/* Loop: messages, INTx. */
START_TEST(killed_anywhere)
{
	unsigned point = 0;

	do {
		ck_assert_uint_lt(++point, POINTS_MAX);
		start();
		port.intx = _i;
		port.kill_at = point;
		workload();
		ck_assert(!port.kill_at || port.calls < point);
		fake_destroy(&port);
	} while (port.kills);
	ck_assert_uint_gt(point, 50);
}
END_TEST

START_TEST(killed_again_and_again)
{
	for (unsigned every = 8; every < 30; every++) {
		start();
		port.intx = _i;
		port.kill_at = port.kill_every = every;
		workload();
		port.kill_at = 0;
		ck_assert_uint_ge(port.kills, 2);
		fake_destroy(&port);
	}
}
END_TEST

/* The rest of a job's time is what is waited for, by the clock. */
START_TEST(time_goes_on)
{
	start();
	ck_assert_int_eq(fake_open(&port), 0);
	fake_write32(&port, 0, FACT, 3);
	fake_advance(&port, 60000);
	port.mortal = false;
	fake_replace(&port);
	ck_assert_int_eq(fake_restore(&port), 0);
	fake_advance(&port, 39000);
	ck_assert_uint_eq(fake_read32(&port, 0, STATUS), COMPUTING);
	fake_advance(&port, 2000);
	ck_assert_uint_eq(fake_read32(&port, 0, STATUS), 0);
	ck_assert_uint_eq(fake_read32(&port, 0, FACT), 6);
	fake_destroy(&port);
}
END_TEST

/* ---- what is not ours ---- */

static void use(struct cused_port *p)
{
	for (unsigned off = 0; off < 0xa0; off += 4)
		fake_read32(p, 0, off);
	fake_advance(p, 20000000);
	ck_assert_uint_eq(fake_read32(p, 0, STATUS) & COMPUTING, 0);
	ck_assert_uint_eq(fake_read(p, 0, CMD, 8) & RUN, 0);
}

START_TEST(spoiled)
{
	start();
	ck_assert_int_eq(fake_open(&port), 0);
	dma(IOVA, BUF, 4096, RUN | DMA_IRQ);
	fake_write32(&port, 0, RAISE, 5);
	fake_write32(&port, 0, FACT, 7);
	dma_start(BUF, IOVA, 64, RUN | TO_MEMORY | DMA_IRQ);
	spoil_all(&port, use);
	fake_destroy(&port);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("edu_keep");
	TCase *t = tcase_create("edu_keep");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, killed_anywhere, 0, 2);
	tcase_add_loop_test(t, killed_again_and_again, 0, 2);
	tcase_add_test(t, time_goes_on);
	tcase_add_test(t, spoiled);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
