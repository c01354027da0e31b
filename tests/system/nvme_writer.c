/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nvme_writer - writes to a drive and keeps a journal of what was acknowledged, so that
 * after any death the image can be compared with what it must hold.
 *
 *     nvme_writer write BDF JOURNAL      until it is killed
 *     nvme_writer verify IMAGE JOURNAL
 *
 * The journal is a shared mapping of a file: it survives the death of its writer. Block
 * @b was last issued, acknowledged and flushed with number issued[b] >= acked[b] >=
 * flushed[b]; each block written holds its own number and the number of the write.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "nvme_user.h"

#define BLOCKS 1024u
#define BLOCK 4096u
#define DEPTH 8u
#define FLUSH_EVERY 16

struct journal {
	volatile uint64_t rounds;	/* flushes that returned */
	volatile uint64_t issued[BLOCKS], acked[BLOCKS], flushed[BLOCKS];
};

static int die(const char *what, int err)
{
	fprintf(stderr, "nvme_writer: %s: %s\n", what, strerror(-err));
	return 1;
}

static struct journal *journal_open(const char *path, bool create)
{
	int fd = open(path, create ? O_RDWR | O_CREAT | O_CLOEXEC : O_RDWR | O_CLOEXEC, 0666);
	void *p;

	if (fd < 0 || (create && ftruncate(fd, sizeof(struct journal))))
		return NULL;
	p = mmap(NULL, sizeof(struct journal), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

static void stamp(uint64_t *page, uint64_t block, uint64_t number)
{
	for (unsigned i = 0; i < BLOCK / 8; i += 2) {
		page[i] = block;
		page[i + 1] = number;
	}
}

/* One batch: DEPTH writes to random blocks, all waited for. */
static int batch(struct nvme *n, struct journal *j, uint64_t *number, unsigned *seed)
{
	unsigned per = BLOCK / n->block_size, blocks[DEPTH];
	uint64_t numbers[DEPTH];

	for (unsigned i = 0; i < DEPTH; i++) {
		struct nvme_sqe sqe;
		bool again = true;

		while (again) {			/* each block once in a batch */
			blocks[i] = (unsigned)rand_r(seed) % BLOCKS;
			again = false;
			for (unsigned k = 0; k < i; k++)
				again |= blocks[k] == blocks[i];
		}
		numbers[i] = ++*number;
		j->issued[blocks[i]] = numbers[i];
		stamp((uint64_t *)(n->data + i * BLOCK), blocks[i], numbers[i]);
		nvme_prepare_rw(n, 1, &sqe, i, true, (uint64_t)blocks[i] * per, per,
				n->data_iova + i * BLOCK);
		nvme_submit(n, 1, &sqe, i == DEPTH - 1);
	}
	for (unsigned got = 0; got < DEPTH;) {
		struct nvme_cqe cqe;

		if (!nvme_reap(n, 1, &cqe))
			continue;
		if (cqe.status >> 1)
			return -EIO;
		j->acked[blocks[cqe.cid]] = numbers[cqe.cid];
		got++;
	}
	return 0;
}

static int do_write(const char *bdf, const char *path)
{
	struct vc_where where = { .dir = "/dev/vfio", .bdf = bdf,
				  .group = vc_sysfs_group(bdf) };
	struct journal *j = journal_open(path, true);
	static uint64_t acked[BLOCKS];
	uint64_t number = 0;
	unsigned seed = 1;
	struct nvme n;
	struct vc vc;
	int r;

	if (!j)
		return die(path, -errno);
	for (unsigned i = 0; i < BLOCKS; i++)
		if (number < j->issued[i])
			number = j->issued[i];
	r = vc_open(&vc, &where, VFIO_TYPE1v2_IOMMU);
	if (r)
		return die(bdf, r);
	r = nvme_open(&n, &vc, &(struct nvme_options){ .io_queues = 1, .depth = 16,
						       .data = DEPTH * BLOCK });
	if (r)
		return die("nvme_open", r);
	for (;;) {
		for (unsigned i = 0; i < FLUSH_EVERY; i++) {
			r = batch(&n, j, &number, &seed);
			if (r)
				return die("write", r);
		}
		for (unsigned i = 0; i < BLOCKS; i++)
			acked[i] = j->acked[i];
		r = nvme_flush(&n, 1);
		if (r)
			return die("flush", r < 0 ? r : -EIO);
		for (unsigned i = 0; i < BLOCKS; i++)
			j->flushed[i] = acked[i];
		j->rounds++;
	}
}

static int do_verify(const char *image, const char *path)
{
	struct journal *j = journal_open(path, false);
	int fd = open(image, O_RDONLY | O_CLOEXEC);
	unsigned bad = 0, written = 0;

	if (!j || fd < 0)
		return die(j ? image : path, -errno);
	for (unsigned b = 0; b < BLOCKS; b++) {
		uint64_t page[BLOCK / 8], want[BLOCK / 8];

		if (pread(fd, page, BLOCK, (off_t)b * BLOCK) != BLOCK)
			return die(image, -EIO);
		if (!j->issued[b])
			continue;
		written++;
		if (!j->acked[b] && !page[1])
			continue;	/* the first write did not arrive */
		stamp(want, b, page[1]);
		/* A write in flight may have been cut in two; an acknowledged one never. */
		if ((j->issued[b] == j->acked[b] && memcmp(page, want, BLOCK))
		    || page[1] < j->acked[b] || page[1] < j->flushed[b]
		    || page[1] > j->issued[b]) {
			printf("block %u holds write %llu: flushed %llu, acknowledged %llu, "
			       "issued %llu\n", b, (unsigned long long)page[1],
			       (unsigned long long)j->flushed[b],
			       (unsigned long long)j->acked[b],
			       (unsigned long long)j->issued[b]);
			bad++;
		}
	}
	printf("%u blocks written, %llu flushes, %u bad\n", written,
	       (unsigned long long)j->rounds, bad);
	return bad || !written ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "write"))
		return do_write(argv[2], argv[3]);
	if (argc == 4 && !strcmp(argv[1], "verify"))
		return do_verify(argv[2], argv[3]);
	fprintf(stderr, "usage: nvme_writer write BDF JOURNAL | verify IMAGE JOURNAL\n");
	return 2;
}
