/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz/restore_fuzz.c - pieces that a model never saved, given to the next process. It refuses
 * them with -EBADMSG, or takes them for a state of its own; then it works on with it, stays
 * within its buffers, gets idle and can be reset.
 *
 * Input: a byte, whose bit 0 chooses the model. Then a whole run of the model is killed, and
 * the rest changes what it had saved: records {piece u8, what u8, offset u16, value u32}.
 */
#include <stdint.h>
#include <string.h>

#include "device/fake_services.h"

#define BASE     0x100000ull
#define MEM_SIZE 0x20000u
#define CC_ON    0x00460001u
#define POLLS    20000
#define PIECE_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct record {
	uint8_t piece, what;
	uint16_t offset;
	uint32_t value;
};

static struct cused_port port;

static void push(unsigned q, unsigned slot, const uint32_t words[16])
{
	memcpy(fake_mem(&port, BASE + q * 0x2000 + slot * 64), words, 64);
	fake_poke32(&port, 0, 0x1000 + q * 8, slot + 1);
}

/* A queue, requests for events, an event and an error, commands that wait. */
static void nvme_run(void)
{
	uint32_t cq[16] = { 5, [6] = BASE + 0x3000, [10] = 15 << 16 | 1, [11] = 3 };
	uint32_t sq[16] = { 1, [6] = BASE + 0x2000, [10] = 15 << 16 | 1, [11] = 1 << 16 | 1 };
	uint32_t aer[16] = { 12 }, fua[16] = { 1, 1, [6] = BASE + 0x8000, [12] = 1u << 30 };

	fake_poke32(&port, 0, 0x24, 15 << 16 | 15);
	fake_poke(&port, 0, 0x28, 8, BASE);
	fake_poke(&port, 0, 0x30, 8, BASE + 0x1000);
	fake_poke32(&port, 0, 0x14, CC_ON);
	fake_poll_once(&port);
	push(0, 0, cq);
	push(0, 1, sq);
	push(0, 2, aer);
	push(0, 3, aer);
	fake_poll(&port, POLLS);
	fake_poke32(&port, 0, 0x1008, 999);
	fake_poll_once(&port);
	push(1, 0, fua);
	push(1, 1, fua);
	fake_poll_once(&port);
}

static void edu_run(void)
{
	fake_write(&port, 0, 0x80, 8, BASE);
	fake_write(&port, 0, 0x88, 8, 0x40000);
	fake_write(&port, 0, 0x90, 8, 4096);
	fake_write(&port, 0, 0x98, 8, 5);
	fake_advance(&port, 200000);
	fake_write32(&port, 0, 0x08, 9);
	fake_write(&port, 0, 0x98, 8, 5);
}

static void change(const struct record *r)
{
	struct fake_piece *p = &port.pieces.v[r->piece % port.pieces.n];
	uint8_t bytes[PIECE_MAX] = { 0 };
	size_t size = p->size, at;

	if (p->data)
		memcpy(bytes, p->data, size < PIECE_MAX ? size : PIECE_MAX);
	at = size ? r->offset % size : 0;
	if (at > PIECE_MAX - 4)
		at = PIECE_MAX - 4;
	switch (r->what % 4) {
	case 0:
		bytes[at] = (uint8_t)r->value;
		break;
	case 1:
		memcpy(bytes + at, &r->value, 4);
		break;
	case 2:			/* another size, or another piece's number */
		size = r->value % PIECE_MAX;
		break;
	case 3:
		fake_pieces_save(&port.pieces, r->value & 1 ? r->offset : 0x200 + r->piece,
				 bytes, size);
		fake_pieces_commit(&port.pieces);
		return;
	}
	fake_pieces_save(&port.pieces, p->id, r->value == 0 ? NULL : bytes, size);
	fake_pieces_commit(&port.pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool nvme = size && data[0] & 1;
	struct record r;
	int rc;

	if (fake_create(&port, nvme ? "nvme" : "edu", nvme ? "size=64K,queues=4,mdts=4" : NULL,
			BASE, MEM_SIZE))
		abort();
	fake_open(&port);
	if (nvme)
		nvme_run();
	else
		edu_run();
	if (size)
		data++, size--;
	for (; size >= sizeof(r); data += sizeof(r), size -= sizeof(r)) {
		memcpy(&r, data, sizeof(r));
		change(&r);
	}
	fake_replace(&port);
	rc = fake_restore(&port);
	if (rc && rc != -EBADMSG)
		abort();
	port.is_open = !rc;
	if (!rc) {
		fake_poll(&port, POLLS);
		fake_advance(&port, 1000000000);
		fake_poll(&port, POLLS);
		fake_reset(&port);
		fake_poll(&port, POLLS);
		if (fake_read32(&port, 0, nvme ? 0x1c : 0x20))
			abort();
	}
	fake_destroy(&port);
	return 0;
}
