/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nvme_user.h - a small NVMe driver over VFIO, for tests and benchmarks.
 *
 * Theory of operation
 *
 *   One buffer, mapped at a fixed IOVA, holds the queues, one page for a PRP list per
 *   command slot and the data. Registers and doorbells are reached through an mmap of
 *   BAR 0; completions are found by polling the phase bit, or by waiting for the queue's
 *   eventfd first. One thread drives one queue; different queues may be driven by
 *   different threads.
 *
 *   Numbers and layouts: NVM Express base specification 1.4.
 */
#ifndef SYSTEM_NVME_USER_H
#define SYSTEM_NVME_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vc.h"

#define NVME_MAX_QUEUES 9		/* admin and eight more */
#define NVME_PAGE 4096u

struct nvme_sqe {
	uint8_t opcode, flags;
	uint16_t cid;
	uint32_t nsid;
	uint32_t cdw2, cdw3;
	uint64_t mptr, prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

struct nvme_cqe {
	uint32_t result, reserved;
	uint16_t sqhd, sqid, cid;
	uint16_t status;		/* bit 0 is the phase */
};

struct nvme_queue {
	struct nvme_sqe *sq;
	volatile struct nvme_cqe *cq;
	volatile uint32_t *sq_doorbell, *cq_doorbell;
	unsigned depth, sq_tail, cq_head, phase;
	uint64_t *prp_lists;		/* one page per slot */
	uint64_t prp_iova;
	int event;			/* -1: polled */
};

struct nvme_options {
	unsigned io_queues;	/* 0 … 8 */
	unsigned depth;		/* entries of an I/O queue, 2 … 64 */
	size_t data;		/* bytes of data buffer, a multiple of NVME_PAGE */
	bool memfd;		/* buffer in a memfd instead of private memory */
	bool interrupts;	/* MSI-X, one vector per queue */
	uint64_t iova;		/* where to map; 0: NVME_IOVA */
};

#define NVME_IOVA 0x10000000ull

struct nvme {
	struct vc *vc;
	volatile uint8_t *bar;
	size_t bar_size;
	uint64_t cap;
	unsigned doorbell_stride, n_queues;
	struct nvme_queue queues[NVME_MAX_QUEUES];
	uint8_t *memory;
	int memfd;		/* -1: private memory */
	size_t memory_size;
	uint64_t iova;
	uint8_t *data;		/* the data buffer and its IOVA */
	uint64_t data_iova;
	uint64_t blocks;	/* of namespace 1 */
	unsigned block_size;
	char model[41], serial[21];
};

/* Bring the controller up, make the queues. Return: 0, -ETIMEDOUT, -EIO, other errno. */
int nvme_open(struct nvme *n, struct vc *vc, const struct nvme_options *options);
/* Shut down in order and unmap. */
void nvme_close(struct nvme *n);

/* Put a command into a queue and ring (or leave the bell for nvme_ring()). */
void nvme_submit(struct nvme *n, unsigned queue, const struct nvme_sqe *sqe, bool ring);
void nvme_ring(struct nvme *n, unsigned queue);
/* Take at most one completion. Return: true if there was one. Frees the CQ slot. */
bool nvme_reap(struct nvme *n, unsigned queue, struct nvme_cqe *ret);

/* Submit one and wait for it, at most ten seconds.
 * Return: 0; the NVMe status code (> 0, type and code); -ETIMEDOUT. */
int nvme_command(struct nvme *n, unsigned queue, struct nvme_sqe *sqe, uint32_t *result);

int nvme_identify(struct nvme *n, uint8_t cns, uint32_t nsid, uint64_t iova);
/* Read or write @count blocks through pages starting at @iova, PRP list included. */
void nvme_prepare_rw(struct nvme *n, unsigned queue, struct nvme_sqe *sqe, unsigned slot,
		     bool write, uint64_t lba, unsigned count, uint64_t iova);
int nvme_rw(struct nvme *n, unsigned queue, bool write, uint64_t lba, unsigned count,
	    uint64_t iova);
int nvme_flush(struct nvme *n, unsigned queue);

#endif
