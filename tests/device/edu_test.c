/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device/edu_test.c - each register of the educational device, its two timed jobs, its
 * interrupts in both kinds, DMA good and bad, reset and close. What is expected is what
 * QEMU's docs/specs/edu says; where that is silent, what the head of edu.c says.
 */
#include <check.h>

#include "device/fake_services.h"

#define IOVA 0x100000u
#define MEM_SIZE 0x4000u
#define DELAY_NS 100001u		/* the default delay of 100 us, and the rounding */

enum { ID = 0x00, LIVE = 0x04, FACT = 0x08, STATUS = 0x20, IRQ = 0x24, RAISE = 0x60,
       ACK = 0x64, SRC = 0x80, DST = 0x88, COUNT = 0x90, CMD = 0x98, BUF = 0x40000 };
enum { COMPUTING = 0x01, STATUS_IRQ = 0x80 };
enum { RUN = 1, TO_MEMORY = 2, DMA_IRQ = 4 };

static struct cused_port port;

static void start(const char *params)
{
	ck_assert_int_eq(fake_create(&port, "edu", params, IOVA, MEM_SIZE), 0);
	ck_assert_int_eq(fake_open(&port), 0);
}

static void setup(void)
{
	start(NULL);
}

static void teardown(void)
{
	fake_destroy(&port);
}

static void fill(uint8_t *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8) + seed);
}

static void dma_start(uint64_t src, uint64_t dst, uint64_t count, uint64_t cmd)
{
	fake_write(&port, 0, SRC, 8, src);
	fake_write(&port, 0, DST, 8, dst);
	fake_write(&port, 0, COUNT, 8, count);
	fake_write(&port, 0, CMD, 8, cmd);
}

static void dma(uint64_t src, uint64_t dst, uint64_t count, uint64_t cmd)
{
	dma_start(src, dst, count, cmd);
	ck_assert_uint_eq(fake_read(&port, 0, CMD, 8), cmd);
	fake_advance(&port, DELAY_NS);
	ck_assert_uint_eq(fake_read(&port, 0, CMD, 8), cmd & ~(uint64_t)RUN);
}

/* ---- what it says about itself ---- */

START_TEST(pci_description)
{
	const struct cused_pci *pci = &port.pci;

	ck_assert_uint_eq(pci->vendor, 0x1234);
	ck_assert_uint_eq(pci->device, 0x11e8);
	ck_assert_uint_eq(pci->revision, 0x10);
	ck_assert_uint_eq(pci->class_code, 0x00ff00);
	ck_assert_uint_eq(pci->interrupt_pin, 1);
	ck_assert_uint_eq(pci->bars[0].size, 1 << 20);
	ck_assert_uint_eq(pci->bars[0].flags, 0);
	ck_assert_uint_eq(pci->bars[0].n_areas, 0);
	for (unsigned i = 1; i < CUSED_PCI_BARS; i++)
		ck_assert_uint_eq(pci->bars[i].size, 0);
	ck_assert_uint_eq(pci->msi.vectors, 1);
	ck_assert_uint_eq(pci->msix.vectors, 0);
	ck_assert(!pci->pcie && !pci->flr && !pci->pm);
}
END_TEST

START_TEST(parameters)
{
	fake_destroy(&port);
	ck_assert_int_eq(fake_create(&port, "edu", "delay=10000001", IOVA, 0), -EINVAL);
	ck_assert_int_eq(fake_create(&port, "edu", "speed=1", IOVA, 0), -EINVAL);
	start("delay=0");
	fake_write32(&port, 0, FACT, 3);
	fake_advance(&port, 1);
	ck_assert_uint_eq(fake_read32(&port, 0, FACT), 6);
}
END_TEST

/* ---- plain registers ---- */

START_TEST(identification_is_read_only)
{
	ck_assert_uint_eq(fake_read32(&port, 0, ID), 0x010000edu);
	fake_write32(&port, 0, ID, 5);
	ck_assert_uint_eq(fake_read32(&port, 0, ID), 0x010000edu);
}
END_TEST

START_TEST(liveness_inverts)
{
	ck_assert_uint_eq(fake_read32(&port, 0, LIVE), 0);
	fake_write32(&port, 0, LIVE, 0x12345678u);
	ck_assert_uint_eq(fake_read32(&port, 0, LIVE), 0xedcba987u);
}
END_TEST

START_TEST(dma_registers_keep_64_bits)
{
	static const unsigned regs[] = { SRC, DST, COUNT };

	for (unsigned i = 0; i < 3; i++) {
		fake_write(&port, 0, regs[i], 8, 0x8877665544332211u);
		ck_assert_uint_eq(fake_read(&port, 0, regs[i], 8), 0x8877665544332211u);
		fake_write(&port, 0, regs[i], 4, 0xa5a5a5a5u);
		ck_assert_uint_eq(fake_read(&port, 0, regs[i], 8), 0xa5a5a5a5u);
	}
	/* A command without the run bit is not kept. */
	fake_write(&port, 0, CMD, 8, TO_MEMORY | DMA_IRQ);
	ck_assert_uint_eq(fake_read(&port, 0, CMD, 8), 0);
}
END_TEST

START_TEST(wrong_widths_find_no_register)
{
	static const struct { unsigned offset, len; } cases[] = {
		{ LIVE, 1 }, { LIVE, 2 }, { ID, 8 }, { FACT, 8 }, { STATUS, 8 },
		{ 0x78, 8 }, { SRC, 1 }, { SRC, 2 }, { CMD, 1 }, { CMD, 2 },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t ones = UINT64_MAX >> (64 - 8 * cases[i].len);
		uint64_t got = fake_read(&port, 0, cases[i].offset, cases[i].len);

		ck_assert_msg((got & ones) == ones, "case %u", i);
		fake_write(&port, 0, cases[i].offset, cases[i].len, 1);
	}
	ck_assert_uint_eq(fake_read32(&port, 0, LIVE), 0);
	ck_assert_uint_eq(fake_read32(&port, 0, STATUS), 0);
	ck_assert_uint_eq(fake_read(&port, 0, SRC, 8), 0);
	ck_assert_uint_eq(fake_read(&port, 0, CMD, 8), 0);
}
END_TEST

/* Holes, registers that only take writes, and the buffer, which is for DMA alone. */
START_TEST(other_addresses_read_ones)
{
	static const unsigned offsets[] = { 0x0c, 0x28, RAISE, ACK, 0x70, 0xa0, BUF,
					    BUF + 0xffc, 0xffffc };

	for (unsigned i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		fake_write32(&port, 0, offsets[i] == RAISE ? 0x68 : offsets[i], 0);
		ck_assert_uint_eq(fake_read32(&port, 0, offsets[i]), UINT32_MAX);
	}
	ck_assert_uint_eq(port.irqs_total, 0);
}
END_TEST

/* ---- factorial ---- */

START_TEST(factorial_table)
{
	static const struct { uint32_t n, result; } cases[] = {
		{ 0, 1 }, { 1, 1 }, { 2, 2 }, { 5, 120 }, { 12, 479001600 },
		{ 13, 1932053504 }, { 33, 0x80000000u }, { 34, 0 }, { UINT32_MAX, 0 },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_write32(&port, 0, FACT, cases[i].n);
		ck_assert_uint_eq(fake_read32(&port, 0, STATUS), COMPUTING);
		fake_advance(&port, DELAY_NS);
		ck_assert_uint_eq(fake_read32(&port, 0, STATUS), 0);
		ck_assert_uint_eq(fake_read32(&port, 0, FACT), cases[i].result);
	}
	ck_assert_uint_eq(port.irqs_total, 0);
}
END_TEST

START_TEST(factorial_takes_its_time)
{
	fake_write32(&port, 0, FACT, 4);
	fake_write32(&port, 0, FACT, 5);		/* lost */
	fake_advance(&port, DELAY_NS - 1);
	ck_assert_uint_eq(fake_read32(&port, 0, STATUS), COMPUTING);
	ck_assert_uint_eq(fake_read32(&port, 0, FACT), 4);
	fake_advance(&port, 1);
	ck_assert_uint_eq(fake_read32(&port, 0, STATUS), 0);
	ck_assert_uint_eq(fake_read32(&port, 0, FACT), 24);
}
END_TEST

START_TEST(factorial_interrupt)
{
	fake_write32(&port, 0, STATUS, 0xffffffffu);
	ck_assert_uint_eq(fake_read32(&port, 0, STATUS), STATUS_IRQ);
	fake_write32(&port, 0, FACT, 4);
	ck_assert_uint_eq(fake_read32(&port, 0, STATUS), STATUS_IRQ | COMPUTING);
	/* The computing bit cannot be cleared by a write. */
	fake_write32(&port, 0, STATUS, STATUS_IRQ);
	ck_assert_uint_eq(fake_read32(&port, 0, STATUS), STATUS_IRQ | COMPUTING);
	fake_advance(&port, DELAY_NS);
	ck_assert_uint_eq(fake_read32(&port, 0, IRQ), 0x001);
	ck_assert_uint_eq(port.irqs[0], 1);

	/* The bit counts at the end, not at the start. */
	fake_write32(&port, 0, ACK, 0x001);
	fake_write32(&port, 0, FACT, 4);
	fake_write32(&port, 0, STATUS, 0);
	fake_advance(&port, DELAY_NS);
	ck_assert_uint_eq(fake_read32(&port, 0, IRQ), 0);
	ck_assert_uint_eq(port.irqs[0], 1);
}
END_TEST

/* ---- interrupts ---- */

START_TEST(message_per_raise)
{
	fake_write32(&port, 0, RAISE, 0x12);
	fake_write32(&port, 0, RAISE, 0x01);
	ck_assert_uint_eq(fake_read32(&port, 0, IRQ), 0x13);
	ck_assert_uint_eq(port.irqs[0], 2);
	ck_assert_uint_eq(port.level_changes, 0);
	fake_write32(&port, 0, ACK, 0x02);
	ck_assert_uint_eq(fake_read32(&port, 0, IRQ), 0x11);
	fake_write32(&port, 0, ACK, 0xffffffffu);
	ck_assert_uint_eq(fake_read32(&port, 0, IRQ), 0);
	ck_assert_uint_eq(port.irqs[0], 2);
	ck_assert_uint_eq(port.level_changes, 0);
}
END_TEST

START_TEST(nothing_raised_is_nothing)
{
	fake_write32(&port, 0, RAISE, 0);
	ck_assert_uint_eq(port.irqs_total, 0);
	port.intx = true;
	fake_write32(&port, 0, RAISE, 0);
	ck_assert_uint_eq(port.level_changes, 0);
}
END_TEST

START_TEST(line_until_all_acknowledged)
{
	port.intx = true;
	fake_write32(&port, 0, RAISE, 0x3);
	ck_assert(port.level);
	fake_write32(&port, 0, ACK, 0x1);
	ck_assert(port.level);
	fake_write32(&port, 0, ACK, 0x2);
	ck_assert(!port.level);
	ck_assert_uint_eq(port.level_changes, 2);
	ck_assert_uint_eq(port.irqs_total, 0);
}
END_TEST

/* ---- DMA ---- */

START_TEST(dma_there_and_back)
{
	uint8_t *in = fake_mem(&port, IOVA), *out = fake_mem(&port, IOVA + 0x2000);

	fill(in, 4096, 1);
	dma(IOVA, BUF, 4096, RUN);
	dma(BUF, IOVA + 0x2000, 4096, RUN | TO_MEMORY);
	ck_assert_mem_eq(in, out, 4096);
	ck_assert_uint_eq(port.irqs_total, 0);
	ck_assert_uint_eq(port.dma_reads, 1);
	ck_assert_uint_eq(port.dma_writes, 1);
}
END_TEST

START_TEST(dma_parts_of_the_buffer)
{
	uint8_t *in = fake_mem(&port, IOVA + 3), *out = fake_mem(&port, IOVA + 0x2001);

	fill(in, 100, 9);
	dma(IOVA + 3, BUF + 4096 - 100, 100, RUN);
	dma(BUF + 4096 - 90, IOVA + 0x2001, 90, RUN | TO_MEMORY);
	ck_assert_mem_eq(in + 10, out, 90);
	ck_assert_uint_eq(out[90], 0);
}
END_TEST

/* Nothing moves before the delay is over, and a running engine takes no orders. */
START_TEST(dma_takes_its_time)
{
	uint8_t *in = fake_mem(&port, IOVA), *out = fake_mem(&port, IOVA + 0x2000);

	fill(in, 16, 3);
	dma_start(IOVA, BUF, 8, RUN);
	dma_start(IOVA + 8, BUF + 8, 9, RUN | TO_MEMORY | DMA_IRQ);	/* lost */
	ck_assert_uint_eq(fake_read(&port, 0, SRC, 8), IOVA);
	ck_assert_uint_eq(fake_read(&port, 0, DST, 8), BUF);
	ck_assert_uint_eq(fake_read(&port, 0, COUNT, 8), 8);
	fake_advance(&port, DELAY_NS - 1);
	ck_assert_uint_eq(port.dma_reads, 0);
	ck_assert_uint_eq(fake_read(&port, 0, CMD, 8), RUN);
	fill(in, 16, 4);				/* seen: the bytes move at the end */
	fake_advance(&port, 1);
	ck_assert_uint_eq(port.dma_reads, 1);
	ck_assert_uint_eq(fake_read(&port, 0, CMD, 8), 0);
	dma(BUF, IOVA + 0x2000, 16, RUN | TO_MEMORY);
	ck_assert_mem_eq(in, out, 8);
	ck_assert_uint_eq(out[8], 0);
}
END_TEST

START_TEST(dma_interrupt)
{
	dma(IOVA, BUF, 16, RUN | DMA_IRQ);
	ck_assert_uint_eq(fake_read32(&port, 0, IRQ), 0x100);
	ck_assert_uint_eq(port.irqs[0], 1);
	fake_write32(&port, 0, ACK, 0x100);
	port.intx = true;
	dma(BUF, IOVA, 16, RUN | TO_MEMORY | DMA_IRQ);
	ck_assert(port.level);
	fake_write32(&port, 0, ACK, 0x100);
	ck_assert(!port.level);
}
END_TEST

START_TEST(dma_outside_of_the_buffer)
{
	static const struct { uint64_t at, count; } cases[] = {
		{ BUF - 1, 1 }, { BUF, 4097 }, { BUF + 1, 4096 }, { BUF + 4095, 2 },
		{ BUF + 4096, 1 }, { 0, 1 }, { UINT64_MAX, 2 }, { BUF, UINT64_MAX },
		{ BUF + 8, UINT64_MAX - 4 }, { BUF + 4096, 0 }, { BUF, 0 },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		dma(IOVA, cases[i].at, cases[i].count, RUN | DMA_IRQ);
		ck_assert_uint_eq(port.irqs[0], 2 * i + 1);
		dma(cases[i].at, IOVA, cases[i].count, RUN | TO_MEMORY | DMA_IRQ);
		ck_assert_uint_eq(port.irqs[0], 2 * i + 2);
	}
	ck_assert_uint_eq(port.dma_reads + port.dma_writes, 0);
}
END_TEST

START_TEST(dma_to_unmapped_memory)
{
	uint8_t *out = fake_mem(&port, IOVA + 0x2000);
	uint8_t ones[8];

	memset(ones, 0xff, sizeof(ones));
	memset(out, 0x55, 16);
	fake_unmap(&port, IOVA + 0x1000, IOVA + 0x1fff);
	/* A failed read leaves all ones in the buffer … */
	dma(IOVA + 0x1000, BUF, 8, RUN | DMA_IRQ);
	ck_assert_uint_eq(port.irqs[0], 1);
	dma(BUF, IOVA + 0x2000, 16, RUN | TO_MEMORY);
	ck_assert_mem_eq(out, ones, 8);
	ck_assert_uint_eq(out[8], 0);
	/* … a failed write is lost. */
	dma(BUF, IOVA + 0x1ffc, 8, RUN | TO_MEMORY | DMA_IRQ);
	ck_assert_uint_eq(port.irqs[0], 2);
	fake_map_readonly(&port, IOVA + 0x3000, IOVA + 0x3fff);
	dma(BUF, IOVA + 0x3000, 8, RUN | TO_MEMORY);
	ck_assert_uint_eq(*(uint8_t *)fake_mem(&port, IOVA + 0x3000), 0);
}
END_TEST

START_TEST(dma_without_bus_master)
{
	port.no_bus_master = true;
	dma(BUF, IOVA, 8, RUN | TO_MEMORY | DMA_IRQ);
	ck_assert_uint_eq(*(uint8_t *)fake_mem(&port, IOVA), 0);
	ck_assert_uint_eq(fake_read32(&port, 0, IRQ), 0x100);
}
END_TEST

/* 28 bits unless told otherwise. */
START_TEST(dma_mask_clears_address_bits)
{
	uint8_t *in = fake_mem(&port, IOVA), *out = fake_mem(&port, IOVA + 0x2000);

	fill(in, 8, 5);
	dma(0xabc0000000000000u | 0x10000000u | IOVA, BUF, 8, RUN);
	dma(BUF, 0x70000000u | (IOVA + 0x2000), 8, RUN | TO_MEMORY);
	ck_assert_mem_eq(in, out, 8);
}
END_TEST

START_TEST(dma_mask_is_a_parameter)
{
	uint8_t *out;

	fake_destroy(&port);
	ck_assert_int_eq(fake_create(&port, "edu", "dma_mask=0xffffffffffffffff",
				     0xfedcba9800000000u, MEM_SIZE), 0);
	ck_assert_int_eq(fake_open(&port), 0);
	fill(fake_mem(&port, 0xfedcba9800000000u), 8, 6);
	dma(0xfedcba9800000000u, BUF, 8, RUN);
	out = fake_mem(&port, 0xfedcba9800001000u);
	dma(BUF, 0xfedcba9800001000u, 8, RUN | TO_MEMORY);
	ck_assert_mem_eq(fake_mem(&port, 0xfedcba9800000000u), out, 8);
}
END_TEST

/* ---- reset and close ---- */

static void make_dirty(void)
{
	fill(fake_mem(&port, IOVA), 16, 1);
	dma(IOVA, BUF, 16, RUN);
	memset(fake_mem(&port, IOVA), 0, 16);
	fake_write32(&port, 0, LIVE, 1);
	fake_write32(&port, 0, STATUS, STATUS_IRQ);
	fake_write32(&port, 0, RAISE, 0x10);
	fake_write32(&port, 0, FACT, 5);
	dma_start(IOVA, BUF, 16, RUN | DMA_IRQ);
}

static void expect_power_on(void)
{
	static const uint8_t zeros[16];
	uint64_t irqs = port.irqs_total, reads = port.dma_reads;

	fake_advance(&port, 1000000000);	/* no job is left over */
	ck_assert_uint_eq(port.irqs_total, irqs);
	ck_assert_uint_eq(port.dma_reads, reads);
	ck_assert_uint_eq(fake_read32(&port, 0, LIVE), 0);
	ck_assert_uint_eq(fake_read32(&port, 0, FACT), 0);
	ck_assert_uint_eq(fake_read32(&port, 0, STATUS), 0);
	ck_assert_uint_eq(fake_read32(&port, 0, IRQ), 0);
	for (unsigned reg = SRC; reg <= CMD; reg += 8)
		ck_assert_uint_eq(fake_read(&port, 0, reg, 8), 0);
	memset(fake_mem(&port, IOVA), 0x77, 16);
	dma(BUF, IOVA, 16, RUN | TO_MEMORY);
	ck_assert_mem_eq(fake_mem(&port, IOVA), zeros, 16);
}

START_TEST(reset_drops_all)
{
	make_dirty();
	fake_reset(&port);
	for (unsigned i = 0; i < CUSED_TIMERS; i++)
		ck_assert_uint_eq(port.deadline[i], 0);
	expect_power_on();
}
END_TEST

START_TEST(close_drops_all)
{
	make_dirty();
	fake_close(&port);
	ck_assert_int_eq(fake_open(&port), 0);
	expect_power_on();
}
END_TEST

/* A timer that was under way when a reset came finds nothing to do. */
START_TEST(late_timer_does_nothing)
{
	make_dirty();
	fake_reset(&port);
	port.irqs_total = 0;
	port.ops->timer(port.state, 0);
	port.ops->timer(port.state, 1);
	ck_assert_uint_eq(fake_read32(&port, 0, FACT), 0);
	ck_assert_uint_eq(port.irqs_total, 0);
}
END_TEST

static Suite *edu_suite(void)
{
	Suite *suite = suite_create("edu");
	TCase *tc = tcase_create("edu");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, pci_description);
	tcase_add_test(tc, parameters);
	tcase_add_test(tc, identification_is_read_only);
	tcase_add_test(tc, liveness_inverts);
	tcase_add_test(tc, dma_registers_keep_64_bits);
	tcase_add_test(tc, wrong_widths_find_no_register);
	tcase_add_test(tc, other_addresses_read_ones);
	tcase_add_test(tc, factorial_table);
	tcase_add_test(tc, factorial_takes_its_time);
	tcase_add_test(tc, factorial_interrupt);
	tcase_add_test(tc, message_per_raise);
	tcase_add_test(tc, nothing_raised_is_nothing);
	tcase_add_test(tc, line_until_all_acknowledged);
	tcase_add_test(tc, dma_there_and_back);
	tcase_add_test(tc, dma_parts_of_the_buffer);
	tcase_add_test(tc, dma_takes_its_time);
	tcase_add_test(tc, dma_interrupt);
	tcase_add_test(tc, dma_outside_of_the_buffer);
	tcase_add_test(tc, dma_to_unmapped_memory);
	tcase_add_test(tc, dma_without_bus_master);
	tcase_add_test(tc, dma_mask_clears_address_bits);
	tcase_add_test(tc, dma_mask_is_a_parameter);
	tcase_add_test(tc, reset_drops_all);
	tcase_add_test(tc, close_drops_all);
	tcase_add_test(tc, late_timer_does_nothing);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(edu_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
