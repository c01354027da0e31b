/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nvme/identify.c - what the controller says of itself and its namespaces (5.15). */
#include <stdio.h>

#include "nvme.h"

enum {
	CNS_NAMESPACE = 0x00, CNS_CONTROLLER = 0x01, CNS_ACTIVE = 0x02, CNS_IDS = 0x03,
	CNS_ALLOCATED_LIST = 0x10, CNS_ALLOCATED = 0x11, CNS_ATTACHED_CTRLS = 0x12,
	CNS_CTRLS = 0x13,
};

#define CONTROLLER_ID 1

/* 5.15.2.1, figure 245 */
static void namespace_page(const struct nvme_ns *ns, uint8_t *p)
{
	put64(p, 0, ns->blocks);			/* NSZE */
	put64(p, 8, ns->blocks);			/* NCAP */
	put64(p, 16, ns->blocks);			/* NUSE */
	p[24] = 1 << 4;					/* NSFEAT: preferences follow */
	p[25] = p[26] = 0;				/* NLBAF, FLBAS: one format */
	p[33] = ns->can_punch ? 1 | 1 << 3 : 0;		/* DLFEAT: reads zero; WZ too */
	put64(p, 48, ns->bytes);			/* NVMCAP, 128 bits */
	put16(p, 64, (uint16_t)((4096 >> ns->lba_shift) - 1));	/* NPWG, 0's based */
	put16(p, 66, (uint16_t)((4096 >> ns->lba_shift) - 1));	/* NPWA */
	put16(p, 68, (uint16_t)((4096 >> ns->lba_shift) - 1));	/* NPDG */
	put16(p, 70, (uint16_t)((4096 >> ns->lba_shift) - 1));	/* NPDA */
	put16(p, 72, 0);				/* NOWS: not reported */
	p[99] = ns->readonly;				/* NSATTR: write protected */
	memcpy(p + 104, ns->id, 16);			/* NGUID */
	memcpy(p + 120, ns->id + 8, 8);			/* EUI64 */
	p[128 + 2] = (uint8_t)ns->lba_shift;		/* LBAF0: no metadata */
}

/* 5.15.2.2, figure 247 */
static void controller_page(const struct nvme *n, uint8_t *p)
{
	const uint8_t *id = n->ns[0].id;
	char nqn[224];

	put16(p, 0, n->vendor);
	put16(p, 2, n->subvendor);
	put_text(p, 4, 20, n->serial);
	put_text(p, 24, 40, n->model);
	put_text(p, 64, 8, "1.0");			/* FR */
	p[72] = 3;					/* RAB: 2^3 commands */
	p[77] = (uint8_t)n->mdts;
	put16(p, 78, CONTROLLER_ID);
	put32(p, 80, NVME_VERSION);
	put32(p, 92, 0);				/* OAES: no optional events */
	p[111] = 1;					/* CNTRLTYPE: I/O controller */
	put16(p, 256, 0);				/* OACS: none */
	p[258] = 3;					/* ACL, 0's based */
	p[259] = NVME_AERL;
	p[260] = 1 << 1 | 1;				/* FRMW: one slot, read only */
	p[261] = 1 << 1 | 1 << 2;			/* LPA: effects log, offsets */
	p[262] = NVME_ERRORS - 1;			/* ELPE */
	p[264] = 1;					/* AVSCC */
	put16(p, 266, 343);				/* WCTEMP, kelvin */
	put16(p, 268, 353);				/* CCTEMP */
	put64(p, 280, n->bytes_total);			/* TNVMCAP */
	p[512] = SQE_SHIFT << 4 | SQE_SHIFT;
	p[513] = CQE_SHIFT << 4 | CQE_SHIFT;
	put16(p, 514, NVME_QUEUE_ENTRIES);		/* MAXCMD */
	put32(p, 516, n->n_ns);				/* NN */
	/* ONCS: compare, dataset management, write zeroes, save/select, timestamp */
	put16(p, 520, 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6);
	p[525] = (n->vwc ? 1 : 0) | 3 << 1;		/* VWC; flush takes NSID all */
	p[530] = 1;					/* NVSCC */
	/* SGLS: any alignment, bit bucket, lists longer than the data */
	put32(p, 536, 1 | 1 << 16 | 1 << 18);
	snprintf(nqn, sizeof(nqn), "nqn.2014-08.org.nvmexpress:uuid:%02x%02x%02x%02x-%02x%02x-"
		 "%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", id[0], id[1], id[2], id[3],
		 id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11], id[12], id[13],
		 id[14], id[15]);
	memcpy(p + 768, nqn, strlen(nqn));		/* SUBNQN */
	put16(p, 2048, 900);				/* PSD0: 9 W */
	put32(p, 2048 + 4, 16);				/* ENLAT us */
	put32(p, 2048 + 8, 4);				/* EXLAT us */
}

/* 5.15.2.3: EUI64, NGUID, UUID descriptors */
static void ids_page(const struct nvme_ns *ns, uint8_t *p)
{
	p[0] = 1;
	p[1] = 8;
	memcpy(p + 4, ns->id + 8, 8);
	p += 12;
	p[0] = 2;
	p[1] = 16;
	memcpy(p + 4, ns->id, 16);
	p += 20;
	p[0] = 3;
	p[1] = 16;
	memcpy(p + 4, ns->id, 16);
}

static uint16_t ns_list(const struct nvme *n, uint32_t after, uint8_t *p)
{
	unsigned off = 0;

	if (after >= 0xfffffffe)
		return ST_NAMESPACE | ST_DNR;
	for (uint32_t id = after + 1; id <= n->n_ns; id++, off += 4)
		put32(p, off, id);
	return ST_OK;
}

/*
 * nvme_identify - fill @page (all zero) with what CNS asks for.
 * Every namespace up to NN exists and is attached, so allocated means active.
 * Return: a status.
 */
uint16_t nvme_identify(struct nvme *n, const struct nvme_sqe *e, uint8_t page[4096])
{
	bool known = e->nsid && e->nsid <= n->n_ns;
	const struct nvme_ns *ns = known ? &n->ns[e->nsid - 1] : NULL;

	switch (e->cdw10 & 0xff) {
	case CNS_NAMESPACE:
	case CNS_ALLOCATED:
		if (!ns)
			return ST_NAMESPACE | ST_DNR;
		namespace_page(ns, page);
		return ST_OK;
	case CNS_CONTROLLER:
		controller_page(n, page);
		return ST_OK;
	case CNS_ACTIVE:
	case CNS_ALLOCATED_LIST:
		return ns_list(n, e->nsid, page);
	case CNS_IDS:
		if (!ns)
			return ST_NAMESPACE | ST_DNR;
		ids_page(ns, page);
		return ST_OK;
	case CNS_ATTACHED_CTRLS:
		if (!ns)
			return ST_NAMESPACE | ST_DNR;
		/* fall through */
	case CNS_CTRLS:
		if (e->cdw10 >> 16 <= CONTROLLER_ID) {	/* ids from CNTID on */
			put16(page, 0, 1);
			put16(page, 2, CONTROLLER_ID);
		}
		return ST_OK;
	default:
		return ST_FIELD | ST_DNR;
	}
}
