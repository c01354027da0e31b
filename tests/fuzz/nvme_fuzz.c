/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz/nvme_fuzz.c - registers, doorbells, queue entries and client memory of the NVMe
 * model, stored in any order between its polls. Whatever a client does, the model stays
 * within its buffers, stores to mapped memory only, keeps its registers, and gets idle; and
 * what it saves is what the next process takes.
 *
 * Input: a byte of configuration, then records of 24 bytes, see struct record. Most
 * values are chosen from what hits something; the rest is taken as it is.
 */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/fake_services.h"

#define BASE     0x100000ull
#define MEM_SIZE 0x40000u		/* queues 0 … 3 take 32 KiB, the rest is data */
#define SQ(q)    (BASE + (q) * 0x2000u)
#define CQ(q)    (SQ(q) + 0x1000u)
#define DATA     (BASE + 0x8000u)
#define QUEUES   4
#define ENTRIES  16
#define CC_ON    0x00460001u
#define POLLS    20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct record {
	uint8_t what, queue, opcode, flags;
	uint8_t nsid, where1, where2, small;
	uint32_t cdw10, cdw11;
	uint32_t cdw12;
	uint32_t value;
};

static struct cused_port port;
static uint32_t tail[QUEUES];
static uint16_t next_cid;

/* Addresses: pages, offsets, lists, the ends of memory, nowhere. */
static uint64_t address(uint8_t where, uint32_t value)
{
	switch (where & 7) {
	case 0 ... 2:
		return DATA + (where >> 3) * 0x1000u;
	case 3:
		return DATA + (value & 0x3ffff);
	case 4:
		return DATA + (where >> 3) * 0x1000u + 0xff0 + (value & 15);
	case 5:
		return BASE + MEM_SIZE - (value & 0x1fff);
	case 6:
		return (uint64_t)value << 12;
	default:
		return ~(uint64_t)value;
	}
}

static void poke(unsigned off, uint32_t v)
{
	fake_poke32(&port, 0, off, v);
}

static void enable(void)
{
	poke(0x24, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	fake_poke(&port, 0, 0x28, 8, SQ(0));
	fake_poke(&port, 0, 0x30, 8, CQ(0));
	poke(0x14, CC_ON);
	memset(tail, 0, sizeof(tail));
	port.ops->poll(port.state);
}

static void push(unsigned q, const void *sqe)
{
	memcpy(fake_mem(&port, SQ(q) + 64 * tail[q]), sqe, 64);
	tail[q] = (tail[q] + 1) % ENTRIES;
	poke(0x1000 + 8 * q, tail[q]);
}

static void command(unsigned q, const struct record *r)
{
	struct {
		uint8_t opcode, flags;
		uint16_t cid;
		uint32_t nsid, cdw2, cdw3;
		uint64_t mptr, prp1, prp2;
		uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
	} e = {
		.opcode = r->opcode % 16, .flags = r->flags & 0xc0, .cid = next_cid++,
		.nsid = r->nsid & 128 ? 0xffffffff : r->nsid & 3,
		.prp1 = address(r->where1, r->value), .prp2 = address(r->where2, r->value),
		.cdw10 = r->cdw10, .cdw11 = r->cdw11, .cdw12 = r->cdw12, .cdw13 = r->value,
	};

	if (r->small & 1)
		e.opcode = r->opcode;
	if (r->small & 2)
		e.flags = r->flags;
	if (q && !(r->small & 4)) {		/* an LBA range that is there */
		e.cdw10 = r->cdw10 & 0x7f;
		e.cdw11 = 0;
		e.cdw12 &= 0xff0000ff;
	}
	if (!q && !(r->small & 8))
		e.cdw10 = (r->cdw10 & 0xff) | (r->cdw10 & 0x1ff0000);
	if (r->flags >> 6 == 1) {		/* SGL: a length and a type */
		e.prp2 = (r->cdw11 & 0x1fff) | (uint64_t)(r->where2 & 0x70) << 56;
		if (r->small & 16)
			e.prp2 = (r->cdw11 & 0xf0) | (uint64_t)(r->where2 & 0x30) << 56;
	}
	push(q, &e);
}

/* Queues 1 … 3 as a driver makes them. */
static void make_queues(void)
{
	for (uint32_t q = 1; q < QUEUES; q++) {
		uint8_t e[64] = { 5 };
		uint64_t at = CQ(q);
		uint32_t cdw10 = (ENTRIES - 1) << 16 | q, cq = q << 16 | 3, sq = q << 16 | 1;

		memcpy(e + 24, &at, 8);
		memcpy(e + 40, &cdw10, 4);
		memcpy(e + 44, &cq, 4);
		push(0, e);
		e[0] = 1;
		at = SQ(q);
		memcpy(e + 24, &at, 8);
		memcpy(e + 44, &sq, 4);
		push(0, e);
	}
	fake_poll(&port, POLLS);
	poke(0x1004, 6);		/* all six completions were read */
}

static void fill(const struct record *r)
{
	uint64_t at = DATA + (r->where1 & 31) * 0x1000u + (r->value & 0xff8);

	for (unsigned i = 0; i < (r->small & 63u) && at + 16 <= BASE + MEM_SIZE; i++, at += 16) {
		uint64_t v[2] = { address((uint8_t)(r->where2 + (i & 1)), r->cdw10 + i), 0 };

		v[1] = r->flags & 1 ? address(r->where2, r->cdw11) :
		       (r->cdw11 & 0xfff) | (uint64_t)(r->flags & 0x70) << 56;
		memcpy(fake_mem(&port, at), v, sizeof(v));
	}
}

static void hazards(const struct record *r)
{
	port.intx = r->small & 1;
	port.no_bus_master = (r->small & 6) == 6;
	port.fail_dma = r->small >> 3 & 7;
	port.n_holes = 0;
	if (r->flags & 1)
		fake_unmap(&port, DATA + (r->where1 & 31) * 0x1000u,
			   DATA + (r->where1 & 31) * 0x1000u + 0xfff);
}

static void step(const struct record *r)
{
	static const uint8_t regs[] = { 0, 8, 0xc, 0x10, 0x14, 0x1c, 0x20, 0x24, 0x28, 0x30 };
	unsigned q = r->queue % QUEUES;

	switch (r->what % 16) {
	case 0 ... 4:
		command(q, r);
		break;
	case 5:
		command(0, r);
		break;
	case 6:
		fill(r);
		break;
	case 7:
		memcpy(fake_mem(&port, DATA + (r->value & 0x1fff0)), r, sizeof(*r));
		break;
	case 8:			/* the client has read some completions */
		poke(0x1004 + 8 * q, r->small % ENTRIES);
		break;
	case 9:
		poke(0x1000 + (r->value & 0xffc), r->cdw10 >> (r->small & 31));
		break;
	case 10:
		poke(regs[r->queue % sizeof(regs)], r->value);
		break;
	case 11:
		if (r->small & 1)
			fake_write(&port, 0, r->value & 0x1ff8, 8, r->cdw10);
		else
			poke(0x14, r->small & 2 ? CC_ON | (r->value & 0xc780) : 0);
		break;
	case 12:
		enable();
		make_queues();
		break;
	case 13:
		hazards(r);
		break;
	case 14:
		fake_advance(&port, r->value);
		break;
	case 15:
		if (r->small & 1)
			fake_reset(&port);
		else if (r->small & 2)
			fake_close(&port), fake_open(&port);
		else if (r->small & 4)	/* killed a little later */
			port.kill_at = port.calls + 1 + r->value % 64;
		break;
	}
	for (unsigned i = r->what >> 4; i < 16 && port.ops->poll(port.state); i++)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char params[100] = "size=64K,queues=4,mdts=4";
	uint8_t config = size ? data[0] : 0;
	struct record r;
	int fd = -1;

	if (!(config & 15)) {		/* seldom: files are slow */
		fd = memfd_create("image", MFD_CLOEXEC);
		if (fd < 0 || ftruncate(fd, 65536))
			abort();
		snprintf(params, sizeof(params), "image=/proc/self/fd/%d,queues=4,mdts=4", fd);
	}
	if (config & 16)
		strcat(params, ",lba=4096");
	if (config & 32)
		strcat(params, ",size2=1M");
	if (fake_create(&port, "nvme", params, BASE, MEM_SIZE))
		abort();
	fake_open(&port);
	next_cid = 0;
	memset(tail, 0, sizeof(tail));
	if (config & 64) {
		enable();
		make_queues();
	}
	if (size)
		data++, size--;
	for (; size >= sizeof(r); data += sizeof(r), size -= sizeof(r)) {
		memcpy(&r, data, sizeof(r));
		step(&r);
	}
	/* Whatever runs, ends; fixed registers hold. */
	fake_poll(&port, POLLS);
	if (fake_read32(&port, 0, 8) != 0x00010400 || fake_read32(&port, 0, 0x1c) & ~0xfu)
		abort();
	fake_destroy(&port);
	if (fd >= 0)
		close(fd);
	return 0;
}
