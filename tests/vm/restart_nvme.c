/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker that has a drive: two queues with interrupts. Each block that is written holds
 * its own number and how often it was written; what is read must hold the latest.
 */
#include "restart_load.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "system/nvme_user.h"

#define BLOCK 4096u
#define BLOCKS 256u
#define DATA_BLOCKS 8u
#define QUEUES 2u
#define OPCODE_FLUSH 0u

struct drive {
	struct load *load;
	struct vc vc;
	struct nvme nvme;
	uint64_t written[BLOCKS];	/* how often */
	uint64_t cap, bar;
};

static void stamp(uint8_t *page, uint64_t block, uint64_t number)
{
	uint64_t words[2] = { block, number };

	for (unsigned i = 0; i < BLOCK; i += sizeof(words))
		memcpy(page + i, words, sizeof(words));
}

/*
 * Submits a command and waits for its interrupt, and then for what that announces: an interrupt
 * may come once too often, but not without its completion or never. Return: 0; the status of the
 * command; -ETIMEDOUT; -EIO another one was completed.
 */
static int drive_command(struct drive *d, unsigned queue, struct nvme_sqe *sqe)
{
	struct nvme_queue *q = &d->nvme.queues[queue];
	struct nvme_cqe cqe;

	sqe->cid = (uint16_t)(q->sq_tail | 0x4000);
	nvme_submit(&d->nvme, queue, sqe, true);
	do {
		if (!vc_event_wait(q->event, d->load->patience_ms))
			return -ETIMEDOUT;
	} while (!nvme_reap(&d->nvme, queue, &cqe));
	return cqe.cid != sqe->cid ? -EIO : cqe.status >> 1 & 0x7ff;
}

static int drive_rw(struct drive *d, unsigned queue, bool write, unsigned block, unsigned n)
{
	unsigned per = BLOCK / d->nvme.block_size;
	struct nvme_sqe sqe;

	nvme_prepare_rw(&d->nvme, queue, &sqe, d->nvme.queues[queue].sq_tail, write,
			(uint64_t)block * per, n * per, d->nvme.data_iova);
	return drive_command(d, queue, &sqe);
}

static void drive_write(struct drive *d, unsigned queue, unsigned block, unsigned n)
{
	enum load_fault_kind fault;
	int r = 0;

	for (unsigned i = 0; i < n; i++)
		stamp(d->nvme.data + (size_t)i * BLOCK, block + i, ++d->written[block + i]);
	fault = load_begin(d->load, "drive write");
	if (fault != FAULT_LOST)
		r = drive_rw(d, queue, true, block, n);
	load_end(d->load, "drive write");
	load_result(d->load, "drive write", r, 0);
}

static void drive_read(struct drive *d, unsigned queue, unsigned block, unsigned n)
{
	uint8_t want[BLOCK];
	int r;

	memset(d->nvme.data, 0xee, (size_t)n * BLOCK);
	(void)load_begin(d->load, "drive read");
	r = drive_rw(d, queue, false, block, n);
	load_end(d->load, "drive read");
	load_result(d->load, "drive read", r, 0);
	for (unsigned i = 0; i < n; i++) {
		stamp(want, block + i, d->written[block + i]);
		load_same(d->load, "drive content", d->nvme.data + (size_t)i * BLOCK, want,
			  BLOCK);
	}
}

static void drive_flush(struct drive *d, unsigned queue)
{
	struct nvme_sqe sqe = { .opcode = OPCODE_FLUSH, .nsid = 1 };
	int r;

	(void)load_begin(d->load, "drive flush");
	r = drive_command(d, queue, &sqe);
	load_end(d->load, "drive flush");
	load_result(d->load, "drive flush", r, 0);
}

/* A register by pread, by the mapping that has been there all the time, and by a new one.
 */
static void drive_registers(struct drive *d)
{
	uint64_t cap;
	void *bar;

	load_read(d->load, "read CAP", d->vc.device, d->bar, &cap, sizeof(cap));
	load_same(d->load, "read CAP", &cap, &d->cap, sizeof(cap));
	cap = *(volatile uint64_t *)d->nvme.bar;
	load_same(d->load, "mapped CAP", &cap, &d->cap, sizeof(cap));
	(void)load_begin(d->load, "mmap");
	bar = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, d->vc.device, (off_t)d->bar);
	load_end(d->load, "mmap");
	load_result(d->load, "mmap", bar == MAP_FAILED ? -errno : 0, 0);
	cap = *(volatile uint64_t *)bar;
	load_same(d->load, "mapped CAP", &cap, &d->cap, sizeof(cap));
	munmap(bar, BLOCK);
}

static void drive_step(struct drive *d)
{
	unsigned queue = 1 + load_draw(d->load, QUEUES), n = 1 + load_draw(d->load, DATA_BLOCKS);
	unsigned block = load_draw(d->load, BLOCKS - n), what = load_draw(d->load, 20);

	if (what < 5) {
		drive_write(d, queue, block, n);
		/* One that is lost is not to be found only if the next one comes late. */
		if (load_draw(d->load, 2))
			drive_read(d, queue, block, n);
	} else if (what < 17) {
		drive_read(d, queue, block, n);
	} else if (what < 18) {
		drive_flush(d, queue);
	} else {
		drive_registers(d);
	}
}

void load_nvme(struct load *l, const char *bdf)
{
	struct nvme_options options = {
		.io_queues = QUEUES, .depth = 8, .data = DATA_BLOCKS * BLOCK, .interrupts = true
	};
	struct vfio_region_info bar;
	static struct drive d;
	struct vc_where where;
	int r;

	d = (struct drive){ .load = l, .vc = VC_NONE };
	load_open_device(l, bdf, &d.vc, &where);
	r = nvme_open(&d.nvme, &d.vc, &options);
	if (!r)
		r = vc_region(d.vc.device, VFIO_PCI_BAR0_REGION_INDEX, &bar);
	if (r < 0)
		load_fail(l, "nvme_open", "%s", strerror(-r));
	if (d.nvme.blocks * d.nvme.block_size < (uint64_t)BLOCKS * BLOCK)
		load_fail(l, "nvme_open", "a drive of less than %u bytes", BLOCKS * BLOCK);
	d.cap = d.nvme.cap;
	d.bar = bar.offset;
	/* So that each block is known. */
	for (unsigned i = 0; i < BLOCKS; i += DATA_BLOCKS)
		drive_write(&d, 1, i, DATA_BLOCKS);
	load_ready(l);
	while (!load_stops(l))
		drive_step(&d);
	for (unsigned i = 0; i < BLOCKS; i += DATA_BLOCKS)
		drive_read(&d, 1, i, DATA_BLOCKS);
}
