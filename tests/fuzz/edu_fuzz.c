/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz/edu_fuzz.c - register accesses, timers and resets of the educational device, in
 * any order. Whatever a client does, the model stays within its buffer, asks for DMA only
 * inside its mask, and ends each job.
 *
 * Input: records of 16 bytes {what, register, width, -, delay u32, value u64}.
 */
#include <stdint.h>
#include <string.h>

#include "device/fake_services.h"

#define IOVA 0x1000u
#define MEM_SIZE 0x3000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct record {
	uint8_t what, reg, width, unused;
	uint32_t delay;
	uint64_t value;
};

/* Every register, and the places between and behind them. */
static uint64_t pick_register(const struct record *r, unsigned len)
{
	uint64_t offset = r->reg < 0xf0 ? r->reg : 0x40000u + r->delay % 0xc0000u;

	return offset & ~(uint64_t)(len - 1);
}

/* Small numbers and addresses that hit something are worth more than random ones. */
static uint64_t pick_value(const struct record *r)
{
	switch (r->unused & 3) {
	case 0:
		return r->value & 0xff;
	case 1:
		return 0x40000u + (r->value & 0x1fff);
	case 2:
		return IOVA + (r->value & 0x3fff);
	}
	return r->value;
}

static void step(struct cused_port *port, const struct record *r)
{
	unsigned len = 1u << (r->width & 3);
	uint64_t offset = pick_register(r, len);

	switch (r->what % 8) {
	case 0 ... 3:
		fake_write(port, 0, offset, len, pick_value(r));
		break;
	case 4:
		fake_read(port, 0, offset, len);
		break;
	case 5:
		fake_advance(port, r->delay % 200000);
		break;
	case 6:
		port->intx = r->value & 1;
		port->no_bus_master = r->value & 2;
		port->fail_dma = r->value >> 2 & 3;
		break;
	case 7:
		if (r->value & 2) {
			port->kill_at = port->calls + 1 + r->delay % 16;
		} else if (r->value & 1) {
			fake_reset(port);
		} else {
			fake_close(port);
			fake_open(port);
		}
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cused_port port;
	struct record r;

	if (fake_create(&port, "edu", NULL, IOVA, MEM_SIZE))
		abort();
	fake_open(&port);
	for (; size >= sizeof(r); data += sizeof(r), size -= sizeof(r)) {
		memcpy(&r, data, sizeof(r));
		step(&port, &r);
	}
	/* Whatever runs, ends. */
	fake_advance(&port, 1000000);
	if (fake_read32(&port, 0, 0x20) & 1 || fake_read(&port, 0, 0x98, 8) & 1)
		abort();
	fake_destroy(&port);
	return 0;
}
