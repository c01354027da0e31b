/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers, reset, shutdown, interrupts of the NVMe controller (NVMe 1.4, 3 and 7). */
#include <device/nvme_client.h>

static struct client c;

/* Section 3.1: values after power on. */
START_TEST(power_on_registers)
{
	uint64_t cap;

	client_create(&c, "size=1M");
	cap = fake_read(&c.p, 0, CAP, 8);
	ck_assert_uint_eq(cap & 0xffff, 1023);			/* MQES */
	ck_assert(cap >> 16 & 1);				/* CQR */
	ck_assert_uint_ne(cap >> 24 & 0xff, 0);			/* TO */
	ck_assert_uint_eq(cap >> 32 & 15, 0);			/* DSTRD */
	ck_assert_uint_eq(cap >> 36 & 1, 0);			/* NSSRS */
	ck_assert_uint_eq(cap >> 37 & 0xff, 1);			/* CSS: NVM */
	ck_assert_uint_eq(cap >> 48 & 15, 0);			/* MPSMIN 4 KiB */
	ck_assert_uint_eq(fake_read32(&c.p, 0, VS), 0x00010400);
	for (unsigned off = INTMS; off < 0x2000; off += 4)
		ck_assert_uint_eq(fake_read32(&c.p, 0, off), 0);
	client_stop(&c);
}
END_TEST

/* What the core is told of the PCI function. */
START_TEST(pci_description)
{
	client_create(&c, "size=1M,queues=8");
	ck_assert_uint_eq(c.p.pci.vendor, 0x1b36);
	ck_assert_uint_eq(c.p.pci.device, 0x0010);
	ck_assert_uint_eq(c.p.pci.class_code, 0x010802);
	ck_assert_uint_eq(c.p.pci.bars[0].size, 0x4000);
	ck_assert_uint_eq(c.p.pci.bars[0].flags, CUSED_BAR_64);
	ck_assert_uint_eq(c.p.pci.bars[0].n_areas, 1);
	ck_assert_uint_eq(c.p.pci.bars[0].areas[0].last, 0x3fff);
	ck_assert_uint_eq(c.p.pci.msix.vectors, 9);
	ck_assert_uint_eq(c.p.pci.msix.table_offset, 0x2000);
	ck_assert_uint_eq(c.p.pci.msix.pba_offset, 0x3000);
	ck_assert_uint_eq(c.p.pci.msi.vectors, 32);
	ck_assert_uint_eq(c.p.pci.interrupt_pin, 1);
	ck_assert(c.p.pci.flr && c.p.pci.pcie && c.p.pci.pm);
	client_stop(&c);
	client_create(&c, "vendor=0x8086,device=0x5845,msix=0,msi=4");
	ck_assert_uint_eq(c.p.pci.vendor, 0x8086);
	ck_assert_uint_eq(c.p.pci.device, 0x5845);
	ck_assert_uint_eq(c.p.pci.msix.vectors, 0);
	ck_assert_uint_eq(c.p.pci.msi.vectors, 4);
	client_stop(&c);
}
END_TEST

/* 3.1.1, 3.1.2, 3.1.6: stores to what is read only are put right. */
START_TEST(read_only_registers)
{
	client_create(&c, NULL);
	for (unsigned off = 0; off < 0x1000; off += 4)
		if (off != CC && off != AQA && off != ASQ && off != ASQ + 4 && off != ACQ &&
		    off != ACQ + 4 && off != INTMS && off != INTMC)
			fake_poke32(&c.p, 0, off, 0xa5a5a5a5);
	for (unsigned i = 0; i < 2000; i++)
		c.p.ops->poll(c.p.state);
	ck_assert_uint_eq(fake_read32(&c.p, 0, CAP) & 0xffff, 1023);
	ck_assert_uint_eq(fake_read32(&c.p, 0, CAP + 4) & 0xff, 0x20);
	ck_assert_uint_eq(fake_read32(&c.p, 0, VS), 0x00010400);
	ck_assert_uint_eq(fake_read32(&c.p, 0, CSTS), 0);
	ck_assert_uint_eq(fake_read32(&c.p, 0, NSSR), 0);
	for (unsigned off = 0x38; off < 0x1000; off += 4)
		ck_assert_uint_eq(fake_read32(&c.p, 0, off), 0);
	/* The same at once when the store came through the file. */
	fake_write32(&c.p, 0, VS, 7);
	ck_assert_uint_eq(fake_read32(&c.p, 0, VS), 0x00010400);
	fake_write(&c.p, 0, 0x40, 8, ~0ull);
	ck_assert_uint_eq(fake_read(&c.p, 0, 0x40, 8), 0);
	fake_write32(&c.p, 0, 0x2000, 5);		/* the MSI-X table is the core's */
	ck_assert_uint_eq(fake_read32(&c.p, 0, 0x2000), 5);
	fake_write32(&c.p, 0, NSSR, 0x4e564d65);	/* NSSRS 0: nothing happens */
	ck_assert_uint_eq(fake_read32(&c.p, 0, NSSR), 0);
	client_stop(&c);
}
END_TEST

/* 3.1.5: EN 0 → 1 → 0, through the map and through the file; CSTS shows it with the poll that
 * follows. */
START_TEST(enable_disable)
{
	client_create(&c, NULL);
	client_enable(&c, 32);
	client_disable(&c);
	fake_write32(&c.p, 0, CC, CC_ON);
	ck_assert_uint_eq(fake_read32(&c.p, 0, CSTS), 0);
	c.p.ops->poll(c.p.state);
	ck_assert_uint_eq(fake_read32(&c.p, 0, CSTS), 1);
	fake_write32(&c.p, 0, CC, CC_ON | 0xff00000eu);	/* reserved bits read 0 */
	ck_assert_uint_eq(fake_read32(&c.p, 0, CC), CC_ON);
	fake_write32(&c.p, 0, CC, 0);
	c.p.ops->poll(c.p.state);
	ck_assert_uint_eq(fake_read32(&c.p, 0, CSTS), 0);
	client_stop(&c);
}
END_TEST

static void refused(uint32_t cc, uint32_t aqa, uint64_t asq, uint64_t acq)
{
	client_create(&c, NULL);
	fake_poke32(&c.p, 0, AQA, aqa);
	fake_poke(&c.p, 0, ASQ, 8, asq);
	fake_poke(&c.p, 0, ACQ, 8, acq);
	fake_poke32(&c.p, 0, CC, cc);
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(fake_read32(&c.p, 0, CSTS), 2);	/* CFS, not ready */
	fake_poke32(&c.p, 0, CC, 0);
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(fake_read32(&c.p, 0, CSTS), 0);
	client_enable(&c, 16);
	client_stop(&c);
}

/* 3.1.5, 3.1.8 … 3.1.10: what cannot be enabled is a fatal status, cured by EN 0. */
START_TEST(enable_refused)
{
	refused(CC_ON | 1 << 4, 0x1f001f, SQ_IOVA(0), CQ_IOVA(0));	/* CSS */
	refused(CC_ON | 1 << 11, 0x1f001f, SQ_IOVA(0), CQ_IOVA(0));	/* AMS */
	refused(CC_ON | 5 << 7, 0x1f001f, SQ_IOVA(0), CQ_IOVA(0));	/* MPS */
	refused(CC_ON, 0x00001f, SQ_IOVA(0), CQ_IOVA(0));		/* ACQS 0 */
	refused(CC_ON, 0x1f0000, SQ_IOVA(0), CQ_IOVA(0));		/* ASQS 0 */
	refused(CC_ON, 0x1f001f, SQ_IOVA(0) + 64, CQ_IOVA(0));
	refused(CC_ON, 0x1f001f, SQ_IOVA(0), CQ_IOVA(0) + 8);
	refused(CC_ON, 0x1f001f, 0, CQ_IOVA(0));
	refused(CC_ON | 1 << 7, 0x1f001f, SQ_IOVA(0) + 4096, CQ_IOVA(0));
}
END_TEST

/* 9.5: queues in memory that is not there. */
START_TEST(queue_memory_gone)
{
	client_start(&c, NULL);
	fake_unmap(&c.p, SQ_IOVA(1), SQ_IOVA(1) + 0xffff);
	client_push(&c, 1, rw(2, 1, 0, 1, DATA, 0));
	client_ring(&c, 1);
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(fake_read32(&c.p, 0, CSTS), 3);
	c.p.n_holes = 0;
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(fake_read32(&c.p, 0, CSTS), 3);	/* until reset */
	client_disable(&c);
	client_enable(&c, 32);
	client_io_queue(&c, 1, 16);
	fake_map_readonly(&c.p, CQ_IOVA(1), CQ_IOVA(1) + 0xffff);
	client_push(&c, 1, rw(2, 1, 0, 1, DATA, 0));
	client_ring(&c, 1);
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(fake_read32(&c.p, 0, CSTS), 3);
	client_stop(&c);
}
END_TEST

/* Without bus mastering commands wait; they are not lost. */
START_TEST(bus_master_off)
{
	struct cqe e;

	client_start(&c, NULL);
	c.p.no_bus_master = true;
	client_push(&c, 1, rw(2, 1, 0, 1, DATA, 0));
	client_ring(&c, 1);
	fake_poll(&c.p, 10);
	ck_assert(!client_reap(&c, 1, &e));
	ck_assert_uint_eq(fake_read32(&c.p, 0, CSTS), 1);
	c.p.no_bus_master = false;
	e = client_wait(&c, 1);
	ck_assert_uint_eq(e.status >> 1, 0);
	client_stop(&c);
}
END_TEST

/* 7.3.2: a controller reset deletes queues and clears doorbells. */
START_TEST(reset_drops_queues)
{
	struct cqe e;

	client_start(&c, NULL);
	client_push(&c, 1, rw(2, 1, 0, 1, DATA, 0));
	client_ring(&c, 1);
	fake_poke32(&c.p, 0, CC, CC_ON & ~1u);
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(fake_read32(&c.p, 0, SQ_DB(1)), 0);
	ck_assert(!client_reap(&c, 1, &e));
	client_enable(&c, 32);
	ck_assert_uint_eq(create_sq(&c, 1, 16, 1), 0x100 | DNR);	/* CQ 1 is gone */
	client_stop(&c);
}
END_TEST

static void all_zero_but_fixed(void)
{
	for (unsigned off = INTMS; off < 0x2000; off += 4)
		ck_assert_uint_eq(fake_read32(&c.p, 0, off), 0);
	ck_assert_uint_eq(fake_read32(&c.p, 0, VS), 0x00010400);
}

/* Function level reset, and close with open, give the power-on state. */
START_TEST(reset_and_close)
{
	client_start(&c, NULL);
	fake_reset(&c.p);
	all_zero_but_fixed();
	client_enable(&c, 32);
	client_io_queue(&c, 1, 16);
	fake_poke32(&c.p, 0, INTMS, 0xffff);
	fake_close(&c.p);
	ck_assert_int_eq(fake_open(&c.p), 0);
	all_zero_but_fixed();
	client_enable(&c, 32);
	client_io_queue(&c, 1, 16);
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 0, 8, DATA, 0)), 0);
	client_stop(&c);
}
END_TEST

/* 7.6.2: shutdown, then restart by reset. */
START_TEST(shutdown_notification)
{
	struct cqe e;

	client_start(&c, NULL);
	fake_poke32(&c.p, 0, CC, CC_ON | 1 << 14);
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(fake_read32(&c.p, 0, CSTS), 1 | 2 << 2);
	client_push(&c, 1, rw(2, 1, 0, 1, DATA, 0));
	client_ring(&c, 1);
	fake_poll(&c.p, 10);
	ck_assert(!client_reap(&c, 1, &e));
	client_disable(&c);
	client_enable(&c, 32);
	fake_poke32(&c.p, 0, CC, CC_ON | 2 << 14);		/* abrupt */
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(fake_read32(&c.p, 0, CSTS), 1 | 2 << 2);
	client_stop(&c);
}
END_TEST

/* 7.5: one message per completion queue and batch, on its vector. */
START_TEST(msix_per_queue)
{
	uint64_t before;

	client_start(&c, NULL);
	client_io_queue(&c, 2, 64);
	before = c.p.irqs[0];
	ck_assert_uint_eq(c.p.irqs[1], 0);
	for (unsigned i = 0; i < 8; i++) {
		client_push(&c, 1, rw(2, 1, i, 1, DATA, 0));
		client_push(&c, 2, rw(2, 1, i, 1, DATA, 0));
	}
	client_ring(&c, 1);
	client_ring(&c, 2);
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(c.p.irqs[0], before);
	ck_assert_uint_eq(c.p.irqs[1], 1);
	ck_assert_uint_eq(c.p.irqs[2], 1);
	client_stop(&c);
}
END_TEST

/* 5.3: IEN clear, no interrupt. */
START_TEST(interrupts_disabled_for_queue)
{
	client_create(&c, NULL);
	client_enable(&c, 32);
	client_queue_init(&c, 1, 16);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 5, .prp1 = CQ_IOVA(1),
						  .cdw10 = 15 << 16 | 1, .cdw11 = 1 }), 0);
	ck_assert_uint_eq(create_sq(&c, 1, 16, 1), 0);
	c.p.irqs_total = 0;
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 0, 1, DATA, 0)), 0);
	ck_assert_uint_eq(c.p.irqs_total, 0);
	client_stop(&c);
}
END_TEST

/* 3.1.3, 3.1.4, 7.5.1.1: the line follows unread entries and the mask. */
START_TEST(intx_line_and_mask)
{
	struct cqe e;

	client_create(&c, NULL);
	c.p.intx = true;
	client_enable(&c, 32);
	ck_assert(!c.p.level);
	client_push(&c, 0, (struct sqe){ .opcode = 6, .cdw10 = 1, .prp1 = DATA });
	client_ring(&c, 0);
	fake_poll(&c.p, 10);
	ck_assert(c.p.level);
	fake_poke32(&c.p, 0, INTMS, 1);
	fake_poll(&c.p, 10);
	ck_assert(!c.p.level);
	ck_assert_uint_eq(fake_read32(&c.p, 0, INTMS), 1);
	fake_poke32(&c.p, 0, INTMC, 1);
	fake_poll(&c.p, 10);
	ck_assert(c.p.level);
	ck_assert_uint_eq(fake_read32(&c.p, 0, INTMS), 0);
	ck_assert(client_reap(&c, 0, &e));
	fake_poll(&c.p, 10);
	ck_assert(!c.p.level);
	/* Asserted when the client turns to messages: the line is let go. */
	client_push(&c, 0, (struct sqe){ .opcode = 6, .cdw10 = 1, .prp1 = DATA });
	client_ring(&c, 0);
	fake_poll(&c.p, 10);
	ck_assert(c.p.level);
	c.p.intx = false;
	fake_poll(&c.p, 10);
	ck_assert(!c.p.level);
	client_stop(&c);
}
END_TEST

/* 3.1.3: INTMS holds MSI messages back, INTMC lets them go. */
START_TEST(msi_mask)
{
	client_start(&c, NULL);
	fake_poke32(&c.p, 0, INTMS, 1 << 1);
	client_push(&c, 1, rw(2, 1, 0, 1, DATA, 0));
	client_ring(&c, 1);
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(c.p.irqs[1], 0);
	fake_write32(&c.p, 0, INTMC, 1 << 1);
	ck_assert_uint_eq(c.p.irqs[1], 1);
	ck_assert_uint_eq(fake_read32(&c.p, 0, INTMS), 0);
	client_stop(&c);
}
END_TEST

/* 7.5.1: coalescing waits for the threshold or the time. */
START_TEST(interrupt_coalescing)
{
	client_start(&c, NULL);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 9, .cdw10 = 8,
						  .cdw11 = 2 << 8 | 3 }), 0);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 0, 1, DATA, 0)), 0);
	ck_assert_uint_eq(c.p.irqs[1], 0);
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 0, 1, DATA, 0)), 0);
	ck_assert_uint_eq(c.p.irqs[1], 1);		/* threshold 3 is four entries */
	fake_advance(&c.p, 1000000);
	client_push(&c, 1, rw(2, 1, 0, 1, DATA, 0));
	client_ring(&c, 1);
	fake_poll(&c.p, 10);
	ck_assert_uint_eq(c.p.irqs[1], 1);
	fake_advance(&c.p, 199999);
	ck_assert_uint_eq(c.p.irqs[1], 1);
	fake_advance(&c.p, 1);
	ck_assert_uint_eq(c.p.irqs[1], 2);
	/* Coalescing disabled for the vector: at once. */
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 9, .cdw10 = 9,
						  .cdw11 = 1 << 16 | 1 }), 0);
	client_wait(&c, 1);
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 0, 1, DATA, 0)), 0);
	ck_assert_uint_eq(c.p.irqs[1], 3);
	/* A reset in between: the timer is off, nothing is told. */
	client_io_queue(&c, 2, 16);
	ck_assert_uint_eq(client_do(&c, 2, rw(2, 1, 0, 1, DATA, 0)), 0);
	client_disable(&c);
	fake_advance(&c.p, 1000000);
	ck_assert_uint_eq(c.p.irqs[2], 0);
	client_stop(&c);
}
END_TEST

/* An idle device says so, so that the core may let its thread sleep. */
START_TEST(idle_poll)
{
	client_start(&c, NULL);
	fake_poll(&c.p, 10);
	for (unsigned i = 0; i < 3000; i++)
		ck_assert(!c.p.ops->poll(c.p.state));
	client_stop(&c);
}
END_TEST

CLIENT_MAIN("nvme_ctrl", power_on_registers, pci_description, read_only_registers,
	    enable_disable, enable_refused, queue_memory_gone, bus_master_off,
	    reset_drops_queues, reset_and_close, shutdown_notification, msix_per_queue,
	    interrupts_disabled_for_queue, intx_line_and_mask, msi_mask,
	    interrupt_coalescing, idle_poll)
