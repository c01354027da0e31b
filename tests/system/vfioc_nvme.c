/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of an NVMe drive, driven by nvme_user. They overwrite its first blocks. */
#include "vfioc.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "nvme_user.h"

#define DATA (1u << 20)

static void start(struct nvme *n, struct vc *vc, const struct vc_where *w,
		  const struct nvme_options *o)
{
	*vc = vfioc_open(w);
	REQUIRE_EQ(nvme_open(n, vc, o), 0);
}

static void fill(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(seed * 31 + i + (i >> 9) * 3);
}

static void write_and_read(struct nvme *n, unsigned queue, uint64_t lba, size_t len,
			   size_t shift, unsigned seed)
{
	uint8_t *a = n->data + shift, *b = n->data + DATA / 2 + shift;
	uint64_t ia = n->data_iova + shift, ib = n->data_iova + DATA / 2 + shift;
	unsigned blocks = (unsigned)(len / n->block_size);

	fill(a, len, seed);
	memset(b, 0xaa, len);
	REQUIRE_EQ(nvme_rw(n, queue, true, lba, blocks, ia), 0);
	REQUIRE_EQ(nvme_rw(n, queue, false, lba, blocks, ib), 0);
	EXPECT(!memcmp(a, b, len));
}

static void all_sizes(struct nvme *n)
{
	write_and_read(n, 1, 0, n->block_size, 0, 1);
	write_and_read(n, 1, 8, 4096, 0, 2);
	write_and_read(n, 1, 16, 4096, 512, 3);		/* two pages by prp1 and prp2 */
	write_and_read(n, 1, 24, 8192, 0, 4);
	write_and_read(n, 1, 64, 65536, 0, 5);		/* a PRP list */
	write_and_read(n, 1, 256, 65536, 1024, 6);
	REQUIRE_EQ(nvme_flush(n, 1), 0);
}

static void nvme_identity(const struct vc_where *w)
{
	struct nvme n;
	struct vc vc;

	start(&n, &vc, w, &(struct nvme_options){ .data = DATA });
	EXPECT(n.model[0] && n.serial[0]);
	EXPECT(n.block_size == 512 || n.block_size == 4096);
	EXPECT(n.blocks > 0);
	printf("# %s, serial %s, %llu blocks of %u\n", n.model, n.serial,
	       (unsigned long long)n.blocks, n.block_size);
	nvme_close(&n);
}

static void nvme_polled(const struct vc_where *w)
{
	struct nvme n;
	struct vc vc;

	start(&n, &vc, w, &(struct nvme_options){ .io_queues = 1, .depth = 16, .data = DATA });
	all_sizes(&n);
	nvme_close(&n);
}

static void nvme_memfd(const struct vc_where *w)
{
	struct nvme n;
	struct vc vc;

	start(&n, &vc, w, &(struct nvme_options){ .io_queues = 1, .depth = 16, .data = DATA,
						  .memfd = true });
	all_sizes(&n);
	nvme_close(&n);
}

static void nvme_msix(const struct vc_where *w)
{
	struct nvme n;
	struct vc vc;

	start(&n, &vc, w, &(struct nvme_options){ .io_queues = 2, .depth = 16, .data = DATA,
						  .interrupts = true });
	all_sizes(&n);
	write_and_read(&n, 2, 512, 8192, 0, 7);
	nvme_close(&n);
}

static void nvme_errors(const struct vc_where *w)
{
	struct nvme_sqe sqe = { .opcode = 0x7f, .nsid = 1 };
	struct nvme n;
	struct vc vc;

	start(&n, &vc, w, &(struct nvme_options){ .io_queues = 1, .depth = 16, .data = DATA });
	EXPECT_EQ(nvme_command(&n, 1, &sqe, NULL), 0x01);	/* invalid opcode */
	EXPECT_EQ(nvme_rw(&n, 1, false, n.blocks, 1, n.data_iova), 0x80); /* LBA range */
	nvme_prepare_rw(&n, 1, &sqe, 0, false, 0, 1, n.data_iova);
	sqe.nsid = 0xfffffff0;
	EXPECT_EQ(nvme_command(&n, 1, &sqe, NULL), 0x0b);	/* invalid namespace */
	/* data outside all mappings: an error status, and the drive works on */
	EXPECT(nvme_rw(&n, 1, false, 0, 1, 0x7f00000000ull) > 0);
	all_sizes(&n);
	nvme_close(&n);
}

/* Many times up and down, with a reset by the client in between. */
static void nvme_restart(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	struct nvme n;

	for (int i = 0; i < 10; i++) {
		REQUIRE_EQ(nvme_open(&n, &vc, &(struct nvme_options){
			.io_queues = 2, .depth = 8, .data = DATA }), 0);
		write_and_read(&n, 1 + i % 2, 0, 4096, 0, i);
		if (i % 3 == 1)
			EXPECT_EQ(VC(vc.device, VFIO_DEVICE_RESET, 0), 0);
		nvme_close(&n);
		if (i % 3 == 2) {
			vc_close(&vc);
			vc = vfioc_open(w);
		}
	}
}

struct job {
	struct nvme *n;
	unsigned queue;
	unsigned long bad;
	pthread_t thread;
};

/* Eight commands in flight in a region of blocks of the queue's own; then compare. */
static void *deep_queue(void *arg)
{
	struct job *j = arg;
	struct nvme *n = j->n;
	size_t at = (j->queue - 1) * 8 * 4096;
	unsigned per = 4096 / n->block_size;
	uint64_t lba = (uint64_t)j->queue * 1024;

	for (unsigned long round = 0; round < vfioc_iterations / 100 + 1; round++) {
		for (int write = 1; write >= 0; write--) {
			uint64_t end = vc_now_ns() + 20000000000ull;

			for (unsigned i = 0; i < 8; i++) {
				uint8_t *page = n->data + at + i * 4096;
				struct nvme_sqe sqe;

				if (write)
					fill(page, 4096, (unsigned)(round * 8 + i + j->queue));
				else
					memset(page, 0, 4096);
				nvme_prepare_rw(n, j->queue, &sqe, i, write, lba + i * per,
						per, n->data_iova + at + i * 4096);
				nvme_submit(n, j->queue, &sqe, i == 7);
			}
			for (unsigned got = 0; got < 8 && vc_now_ns() < end;) {
				struct nvme_cqe cqe;

				if (!nvme_reap(n, j->queue, &cqe))
					continue;
				got++;
				j->bad += (cqe.status >> 1) != 0 || cqe.cid >= 8;
			}
		}
		for (unsigned i = 0; i < 8; i++) {
			uint8_t want[4096];

			fill(want, 4096, (unsigned)(round * 8 + i + j->queue));
			j->bad += memcmp(want, n->data + at + i * 4096, 4096) != 0;
		}
	}
	return NULL;
}

static void nvme_queues(const struct vc_where *w)
{
	struct job jobs[4] = { 0 };
	struct nvme n;
	struct vc vc;

	start(&n, &vc, w, &(struct nvme_options){ .io_queues = 4, .depth = 16, .data = DATA });
	for (unsigned i = 0; i < 4; i++) {
		jobs[i].n = &n;
		jobs[i].queue = i + 1;
		REQUIRE(!pthread_create(&jobs[i].thread, NULL, deep_queue, &jobs[i]));
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(jobs[i].thread, NULL);
		EXPECT_EQ(jobs[i].bad, 0);
	}
	nvme_close(&n);
}

/* DMA after the mapping went: the command fails, nothing is written to the old place. */
static void nvme_unmapped(const struct vc_where *w)
{
	struct nvme n;
	struct vc vc;
	uint8_t *p = vfioc_memory(4096, 9), *copy = vfioc_memory(4096, 9);

	start(&n, &vc, w, &(struct nvme_options){ .io_queues = 1, .depth = 16, .data = DATA });
	REQUIRE_EQ(vc_map(vc.container, p, 0x80000000, 4096, 3), 0);
	EXPECT_EQ(nvme_rw(&n, 1, true, 0, 1, 0x80000000), 0);
	REQUIRE_EQ(vc_unmap(vc.container, 0x80000000, 4096, NULL), 0);
	memset(p, 0x77, 4096);
	memset(copy, 0x77, 4096);
	EXPECT(nvme_rw(&n, 1, false, 0, 1, 0x80000000) > 0);
	EXPECT(!memcmp(p, copy, 4096));
	nvme_close(&n);
}

const struct vcase cases_nvme[] = {
	{ .name = "nvme_identity", .rows = "PCI-256", .fn = nvme_identity,
	  .needs = NEEDS_NVME },
	{ .name = "nvme_polled", .rows = "PCI-256 T1-037", .fn = nvme_polled,
	  .needs = NEEDS_NVME },
	{ .name = "nvme_memfd", .rows = "T1-037", .fn = nvme_memfd, .needs = NEEDS_NVME },
	{ .name = "nvme_msix", .rows = "PCI-085", .fn = nvme_msix, .needs = NEEDS_NVME },
	{ .name = "nvme_errors", .rows = "T1-028", .fn = nvme_errors, .needs = NEEDS_NVME },
	{ .name = "nvme_restart", .rows = "PCI-014 PCI-108", .fn = nvme_restart,
	  .needs = NEEDS_NVME, .seconds = 60 },
	{ .name = "nvme_queues", .rows = "PCI-256", .fn = nvme_queues, .needs = NEEDS_NVME,
	  .seconds = 120 },
	{ .name = "nvme_unmapped", .rows = "T1-070", .fn = nvme_unmapped,
	  .needs = NEEDS_NVME },
	{ .name = NULL },
};
