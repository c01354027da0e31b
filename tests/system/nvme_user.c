/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nvme_user.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum { REG_CAP = 0x00, REG_CC = 0x14, REG_CSTS = 0x1c, REG_AQA = 0x24, REG_ASQ = 0x28,
       REG_ACQ = 0x30, REG_DOORBELLS = 0x1000 };
enum { ADMIN_CREATE_SQ = 0x01, ADMIN_CREATE_CQ = 0x05, ADMIN_IDENTIFY = 0x06 };
enum { IO_FLUSH = 0x00, IO_WRITE = 0x01, IO_READ = 0x02 };

#define ADMIN_DEPTH 16u
#define MAX_DEPTH 64u
#define COMMAND_TIMEOUT_NS 10000000000ull

_Static_assert(sizeof(struct nvme_sqe) == 64, "NVMe 1.4, figure 104");
_Static_assert(sizeof(struct nvme_cqe) == 16, "NVMe 1.4, figure 121");

static volatile uint32_t *reg32(struct nvme *n, unsigned reg)
{
	return (volatile uint32_t *)(n->bar + reg);
}

static volatile uint64_t *reg64(struct nvme *n, unsigned reg)
{
	return (volatile uint64_t *)(n->bar + reg);
}

static int wait_ready(struct nvme *n, bool ready)
{
	uint64_t end = vc_now_ns() + COMMAND_TIMEOUT_NS;

	while ((*reg32(n, REG_CSTS) & 1) != (uint32_t)ready) {
		if (vc_now_ns() > end)
			return -ETIMEDOUT;
		sched_yield();
	}
	return 0;
}

/* Bytes of one queue: SQ and CQ a page each, then a page of PRP list per slot. */
static size_t queue_bytes(unsigned depth)
{
	return 2 * NVME_PAGE + (size_t)depth * NVME_PAGE;
}

static void queue_place(struct nvme *n, unsigned id, unsigned depth, size_t at)
{
	struct nvme_queue *q = &n->queues[id];

	q->sq = (struct nvme_sqe *)(n->memory + at);
	q->cq = (volatile struct nvme_cqe *)(n->memory + at + NVME_PAGE);
	q->prp_lists = (uint64_t *)(n->memory + at + 2 * NVME_PAGE);
	q->prp_iova = n->iova + at + 2 * NVME_PAGE;
	q->depth = depth;
	q->phase = 1;
	q->sq_doorbell = reg32(n, REG_DOORBELLS + 2 * id * n->doorbell_stride);
	q->cq_doorbell = reg32(n, REG_DOORBELLS + (2 * id + 1) * n->doorbell_stride);
}

static int memory_map(struct nvme *n, const struct nvme_options *o)
{
	size_t size = queue_bytes(ADMIN_DEPTH) + o->io_queues * queue_bytes(o->depth);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS, fd = -1;

	n->memory_size = size + o->data + NVME_PAGE;	/* a page for identify */
	n->iova = o->iova ? o->iova : NVME_IOVA;
	if (o->memfd) {
		flags = MAP_SHARED;
		/* Kept open: the memory of a memfd whose owner closed it cannot be shared. */
		fd = n->memfd = memfd_create("nvme_user", MFD_CLOEXEC);
		if (fd < 0 || ftruncate(fd, (off_t)n->memory_size))
			return -errno;
	}
	n->memory = mmap(NULL, n->memory_size, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (n->memory == MAP_FAILED) {
		n->memory = NULL;
		return -errno;
	}
	n->data = n->memory + size + NVME_PAGE;
	n->data_iova = n->iova + size + NVME_PAGE;
	return vc_map(n->vc->container, n->memory, n->iova, n->memory_size,
		      VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
}

static int interrupts_on(struct nvme *n, unsigned queues)
{
	int fds[NVME_MAX_QUEUES];

	for (unsigned i = 0; i < queues; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (fds[i] < 0)
			return -errno;
		n->queues[i].event = fds[i];
	}
	return vc_irq_eventfds(n->vc->device, VFIO_PCI_MSIX_IRQ_INDEX, 0, queues, fds);
}

static int create_io_queue(struct nvme *n, unsigned id)
{
	struct nvme_queue *q = &n->queues[id];
	uint64_t at = n->iova + (uint64_t)((uint8_t *)q->sq - n->memory);
	struct nvme_sqe cq = {
		.opcode = ADMIN_CREATE_CQ, .prp1 = at + NVME_PAGE,
		.cdw10 = (q->depth - 1) << 16 | id,
		.cdw11 = 1 | (q->event >= 0 ? 2 | id << 16 : 0),
	};
	struct nvme_sqe sq = {
		.opcode = ADMIN_CREATE_SQ, .prp1 = at,
		.cdw10 = (q->depth - 1) << 16 | id, .cdw11 = id << 16 | 1,
	};
	int r = nvme_command(n, 0, &cq, NULL);

	return r ? r : nvme_command(n, 0, &sq, NULL);
}

static void copy_text(char *to, const uint8_t *from, size_t len)
{
	memcpy(to, from, len);
	to[len] = 0;
	while (len && to[len - 1] == ' ')
		to[--len] = 0;
}

static int read_identity(struct nvme *n)
{
	uint8_t *page = n->data - NVME_PAGE;
	uint64_t iova = n->data_iova - NVME_PAGE;
	uint32_t format;
	int r = nvme_identify(n, 1, 0, iova);

	if (r)
		return r;
	copy_text(n->serial, page + 4, 20);
	copy_text(n->model, page + 24, 40);
	r = nvme_identify(n, 0, 1, iova);
	if (r)
		return r;
	memcpy(&n->blocks, page, 8);
	memcpy(&format, page + 128 + 4 * (page[26] & 15), 4);
	n->block_size = 1u << (format >> 16 & 0xff);
	return 0;
}

static int controller_enable(struct nvme *n)
{
	int r;

	*reg32(n, REG_CC) = 0;
	r = wait_ready(n, false);
	if (r)
		return r;
	*reg32(n, REG_AQA) = (ADMIN_DEPTH - 1) << 16 | (ADMIN_DEPTH - 1);
	*reg64(n, REG_ASQ) = n->iova;
	*reg64(n, REG_ACQ) = n->iova + NVME_PAGE;
	/* CQ entries of 16 bytes, SQ entries of 64, pages of 4 KiB, enable */
	*reg32(n, REG_CC) = 4 << 20 | 6 << 16 | 1;
	return wait_ready(n, true);
}

int nvme_open(struct nvme *n, struct vc *vc, const struct nvme_options *o)
{
	size_t at = 0;
	int r;

	memset(n, 0, sizeof(*n));
	n->vc = vc;
	n->memfd = -1;
	for (unsigned i = 0; i < NVME_MAX_QUEUES; i++)
		n->queues[i].event = -1;
	if (o->io_queues >= NVME_MAX_QUEUES || o->depth > MAX_DEPTH)
		return -EINVAL;
	r = vc_bus_master(vc->device, true);
	if (r)
		return r;
	n->bar = vc_mmap_region(vc->device, VFIO_PCI_BAR0_REGION_INDEX, &n->bar_size);
	if (!n->bar)
		return -errno;
	n->cap = *reg64(n, REG_CAP);
	n->doorbell_stride = 4u << (n->cap >> 32 & 15);
	r = memory_map(n, o);
	for (unsigned i = 0; !r && i <= o->io_queues; i++) {
		unsigned depth = i ? o->depth : ADMIN_DEPTH;

		queue_place(n, i, depth, at);
		at += queue_bytes(depth);
	}
	if (!r && o->interrupts)
		r = interrupts_on(n, o->io_queues + 1);
	if (!r)
		r = controller_enable(n);
	n->n_queues = 1;
	if (!r)
		r = read_identity(n);
	for (unsigned i = 1; !r && i <= o->io_queues; i++) {
		r = create_io_queue(n, i);
		n->n_queues++;
	}
	if (r) {
		nvme_close(n);
		return r > 0 ? -EIO : r;
	}
	return 0;
}

void nvme_close(struct nvme *n)
{
	if (n->bar) {
		*reg32(n, REG_CC) = 0;
		(void)wait_ready(n, false);
		munmap((void *)n->bar, n->bar_size);
		n->bar = NULL;
	}
	if (n->memory) {
		(void)vc_unmap(n->vc->container, n->iova, n->memory_size, NULL);
		munmap(n->memory, n->memory_size);
		n->memory = NULL;
	}
	if (n->memfd >= 0)
		close(n->memfd);
	n->memfd = -1;
	for (unsigned i = 0; i < NVME_MAX_QUEUES; i++) {
		if (n->queues[i].event >= 0)
			close(n->queues[i].event);
		n->queues[i].event = -1;
	}
}

void nvme_ring(struct nvme *n, unsigned queue)
{
	struct nvme_queue *q = &n->queues[queue];

	__atomic_thread_fence(__ATOMIC_RELEASE);
	*q->sq_doorbell = q->sq_tail;
}

void nvme_submit(struct nvme *n, unsigned queue, const struct nvme_sqe *sqe, bool ring)
{
	struct nvme_queue *q = &n->queues[queue];

	q->sq[q->sq_tail] = *sqe;
	q->sq_tail = (q->sq_tail + 1) % q->depth;
	if (ring)
		nvme_ring(n, queue);
}

bool nvme_reap(struct nvme *n, unsigned queue, struct nvme_cqe *ret)
{
	struct nvme_queue *q = &n->queues[queue];
	volatile struct nvme_cqe *e = &q->cq[q->cq_head];

	if ((__atomic_load_n(&e->status, __ATOMIC_ACQUIRE) & 1u) != q->phase)
		return false;
	ret->result = e->result;
	ret->sqhd = e->sqhd;
	ret->sqid = e->sqid;
	ret->cid = e->cid;
	ret->status = e->status;
	if (++q->cq_head == q->depth) {
		q->cq_head = 0;
		q->phase ^= 1;
	}
	*q->cq_doorbell = q->cq_head;
	return true;
}

int nvme_command(struct nvme *n, unsigned queue, struct nvme_sqe *sqe, uint32_t *result)
{
	struct nvme_queue *q = &n->queues[queue];
	uint64_t end = vc_now_ns() + COMMAND_TIMEOUT_NS;
	struct nvme_cqe cqe;

	sqe->cid = (uint16_t)(q->sq_tail | 0x4000);
	nvme_submit(n, queue, sqe, true);
	if (q->event >= 0 && !vc_event_wait(q->event, COMMAND_TIMEOUT_NS / 1000000))
		return -ETIMEDOUT;
	while (!nvme_reap(n, queue, &cqe)) {
		if (vc_now_ns() > end)
			return -ETIMEDOUT;
		sched_yield();
	}
	if (cqe.cid != sqe->cid)
		return -EIO;
	if (result)
		*result = cqe.result;
	return cqe.status >> 1 & 0x7ff;
}

int nvme_identify(struct nvme *n, uint8_t cns, uint32_t nsid, uint64_t iova)
{
	struct nvme_sqe sqe = { .opcode = ADMIN_IDENTIFY, .nsid = nsid, .prp1 = iova,
				.cdw10 = cns };

	return nvme_command(n, 0, &sqe, NULL);
}

void nvme_prepare_rw(struct nvme *n, unsigned queue, struct nvme_sqe *sqe, unsigned slot,
		     bool write, uint64_t lba, unsigned count, uint64_t iova)
{
	struct nvme_queue *q = &n->queues[queue];
	uint64_t *list = q->prp_lists + slot * (NVME_PAGE / 8);
	uint64_t end = iova + (uint64_t)count * n->block_size;
	uint64_t second = (iova / NVME_PAGE + 1) * NVME_PAGE;

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = write ? IO_WRITE : IO_READ;
	sqe->cid = (uint16_t)slot;
	sqe->nsid = 1;
	sqe->prp1 = iova;
	sqe->cdw10 = (uint32_t)lba;
	sqe->cdw11 = (uint32_t)(lba >> 32);
	sqe->cdw12 = count - 1;
	if (second >= end)
		return;
	if (second + NVME_PAGE >= end) {
		sqe->prp2 = second;
		return;
	}
	for (unsigned i = 0; second < end; second += NVME_PAGE)
		list[i++] = second;
	sqe->prp2 = q->prp_iova + (uint64_t)slot * NVME_PAGE;
}

int nvme_rw(struct nvme *n, unsigned queue, bool write, uint64_t lba, unsigned count,
	    uint64_t iova)
{
	struct nvme_sqe sqe;

	nvme_prepare_rw(n, queue, &sqe, n->queues[queue].sq_tail, write, lba, count, iova);
	return nvme_command(n, queue, &sqe, NULL);
}

int nvme_flush(struct nvme *n, unsigned queue)
{
	struct nvme_sqe sqe = { .opcode = IO_FLUSH, .nsid = 1 };

	return nvme_command(n, queue, &sqe, NULL);
}
