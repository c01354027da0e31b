/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz/ioas_fuzz.c - the input is a list of operations, carried out on the map of IOVAs
 * and on a plain model of it (unit/ioas_model.h), which must agree.
 *
 * Each operation is 8 bytes: what to do, and small numbers that make crowded IOVAs.
 */
#include "unit/ioas_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct operation {
	uint8_t what, size, prot, mm;
	uint16_t at, vaddr;
};

static struct ioas_mapping mapping_of(struct model *s, const struct operation *op)
{
	struct ioas_mapping m = { .iova = { op->at, 0 } };

	if (op->what & 0x80)			/* at the top of all addresses */
		m.iova.first = UINT64_MAX - op->at;
	m.iova.last = m.iova.first > UINT64_MAX - op->size ? UINT64_MAX :
							     m.iova.first + op->size;
	m.vaddr = MODEL_BASE + op->vaddr % (MODEL_MEMORY - 256);
	m.prot = op->prot % 4;
	m.vaddr_invalid = op->prot & 4;
	m.lock_exempt = op->prot & 8;
	m.mm = &s->mms[op->mm % MODEL_MMS].mm;
	return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model *s = model_new();
	struct operation op;

	for (; size >= sizeof(op); data += sizeof(op), size -= sizeof(op)) {
		struct ioas_mapping m;

		memcpy(&op, data, sizeof(op));
		m = mapping_of(s, &op);
		switch (op.what % 8) {
		case 0: case 1: case 2:
			model_map(s, m);
			break;
		case 3:
			model_unmap(s, m.iova.first);
			break;
		case 4:
			if (s->n)
				model_unmap(s, s->m[op.vaddr % s->n].iova.first);
			break;
		case 5:
			model_look(s, m.iova);
			break;
		case 6:
			if (s->n && op.size & 1)
				m.iova = s->m[op.vaddr % s->n].iova;
			model_update(s, m);
			break;
		default:
			model_dma(s, m.iova.first, op.vaddr, op.mm / MODEL_MMS % 3, op.prot & 1,
				  op.size);
		}
	}
	model_compare(s);
	model_free(s);
	return 0;
}
