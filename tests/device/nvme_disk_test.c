/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk that is slow, full, broken or without holes: this program has a disk of its own
 * in place of four functions of the C library. Flush is NVMe 1.4, 6.8; FUA 6.15; media
 * errors 4.6.1.2.3.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <device/nvme_client.h>

static struct client c;

/* ---- the disk ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t change;
	bool stopped;			/* fdatasync and fallocate wait */
	unsigned waiting, syncs;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER };
/* what the next calls return; 0: they work */
static _Atomic int sync_errno, fallocate_errno, write_errno, read_errno, thread_errno;
static unsigned short_io, fail_alloc;

static void disk_pass(unsigned *count)
{
	pthread_mutex_lock(&disk.lock);
	if (count)
		++*count;
	disk.waiting++;
	pthread_cond_broadcast(&disk.change);
	while (disk.stopped)
		pthread_cond_wait(&disk.change, &disk.lock);
	disk.waiting--;
	pthread_mutex_unlock(&disk.lock);
}

static void disk_stop(bool stopped)
{
	pthread_mutex_lock(&disk.lock);
	disk.stopped = stopped;
	pthread_cond_broadcast(&disk.change);
	pthread_mutex_unlock(&disk.lock);
}

/* Until the helper thread stands in the disk's queue. */
static void disk_wait(void)
{
	pthread_mutex_lock(&disk.lock);
	while (!disk.waiting)
		pthread_cond_wait(&disk.change, &disk.lock);
	pthread_mutex_unlock(&disk.lock);
}

static int fails(int code)
{
	errno = code;
	return code;
}

int fdatasync(int fd)
{
	disk_pass(&disk.syncs);
	return fails(sync_errno) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	disk_pass(NULL);
	return fails(fallocate_errno) ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset)
{
	if (short_io && n > 512 && short_io-- & 1)
		return fails(EINTR) ? -1 : 0;
	return fails(write_errno) ? -1 :
	       syscall(SYS_pwrite64, fd, buf, short_io && n > 512 ? 512 : n, offset);
}

ssize_t pread(int fd, void *buf, size_t n, off_t offset)
{
	if (short_io && n > 512 && short_io-- & 1)
		return fails(EINTR) ? -1 : 0;
	return fails(read_errno) ? -1 :
	       syscall(SYS_pread64, fd, buf, short_io && n > 512 ? 512 : n, offset);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
		   void *arg)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (thread_errno)
		return thread_errno;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return real(thread, attr, start, arg);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	void *p = NULL;

	if (fail_alloc && !--fail_alloc)
		return NULL;
	return posix_memalign(&p, alignment, size) ? NULL : p;
}

/* ---- helpers ---- */

static void start(const char *more)
{
	client_start_on(&c, true, more);
}

static void push(struct sqe e)
{
	client_push(&c, 1, e);
	client_ring(&c, 1);
}

static const struct sqe flush = { .opcode = 0, .nsid = 1 };

static struct sqe write1(uint64_t lba, bool fua)
{
	struct sqe e = rw(1, 1, lba, 1, DATA, 0);

	e.cdw12 |= fua ? 1u << 30 : 0;
	return e;
}

static void nothing_yet(void)
{
	struct cqe e;

	fake_poll(&c.p, 100);
	ck_assert(!client_reap(&c, 1, &e));
}

static void answers(unsigned n, unsigned status)
{
	while (n--)
		ck_assert_uint_eq(client_wait(&c, 1).status >> 1 & ~MORE, status);
	nothing_yet();
}

/* ---- slow ---- */

/* A flush waits, reads and writes do not; it covers what came before it, no more. */
START_TEST(flush_waits_alone)
{
	start("");
	disk_stop(true);
	ck_assert_uint_eq(client_do(&c, 1, write1(0, false)), 0);
	push(flush);
	nothing_yet();
	disk_wait();
	ck_assert_uint_eq(client_do(&c, 1, write1(1, false)), 0);
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 0, 8, DATA, 0)), 0);
	push(flush);				/* needs a second fdatasync */
	nothing_yet();
	disk_stop(false);
	answers(2, 0);
	ck_assert_uint_eq(disk.syncs, 2);
	ck_assert_uint_eq(client_do(&c, 1, flush), 0);	/* nothing written since */
	ck_assert_uint_eq(disk.syncs, 2);
	client_stop(&c);
}
END_TEST

/* Many flushes and FUA writes share few fdatasyncs. */
START_TEST(flushes_share)
{
	start("");
	disk_stop(true);
	for (unsigned i = 0; i < 20; i++) {
		push(write1(i, true));
		push(flush);
	}
	nothing_yet();
	disk_wait();
	disk_stop(false);
	answers(40, 0);
	ck_assert_uint_le(disk.syncs, 3);
	client_stop(&c);
}
END_TEST

/* 5.1: the waiting command is aborted, its sync goes on. */
START_TEST(abort_waiting)
{
	uint16_t cid;

	start("");
	disk_stop(true);
	ck_assert_uint_eq(client_do(&c, 1, write1(0, false)), 0);
	cid = client_push(&c, 1, flush);
	client_ring(&c, 1);
	nothing_yet();
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 8,
						  .cdw10 = (uint32_t)cid << 16 | 1 }), 0);
	ck_assert_uint_eq(c.last.result, 0);
	answers(1, 7);
	/* in the helper's hands: zeroing */
	cid = client_push(&c, 1, rw(8, 1, 0, 8, 0, 0));
	client_ring(&c, 1);
	nothing_yet();
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 8,
						  .cdw10 = (uint32_t)cid << 16 | 1 }), 0);
	ck_assert_uint_eq(c.last.result, 0);
	answers(1, 7);
	disk_stop(false);
	answers(0, 0);
	ck_assert_uint_eq(client_do(&c, 1, flush), 0);
	client_stop(&c);
}
END_TEST

/* 5.6: more waiting commands than one post takes; all are answered, once. */
START_TEST(delete_queue_waiting)
{
	start("");
	client_io_queue(&c, 2, 256);
	disk_stop(true);
	ck_assert_uint_eq(client_do(&c, 2, write1(0, false)), 0);
	for (unsigned i = 0; i < 150; i++)
		client_push(&c, 2, i & 1 ? rw(8, 1, i, 1, 0, 0) : flush);
	client_ring(&c, 2);
	fake_poll(&c.p, 100);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 0, .cdw10 = 2 }), 0);
	for (unsigned i = 0; i < 150; i++)
		ck_assert_uint_eq(client_wait(&c, 2).status >> 1 & ~MORE, 8);
	disk_stop(false);
	ck_assert_uint_eq(create_sq(&c, 2, 256, 2), 0);
	c.q[2].sq_tail = 0;
	ck_assert_uint_eq(client_do(&c, 2, flush), 0);
	ck_assert_uint_eq(client_do(&c, 2, flush), 0);
	client_stop(&c);
}
END_TEST

/* More commands than may wait: the others wait in their queue. */
START_TEST(waiting_commands_limited)
{
	start("");
	ck_assert_uint_eq(create_cq(&c, 2, 1024, 1), 0);
	ck_assert_uint_eq(create_sq(&c, 2, 1024, 2), 0);
	disk_stop(true);
	for (unsigned i = 0; i < 1000; i++)
		client_push(&c, 2, write1(i, true));
	client_ring(&c, 2);
	fake_poll(&c.p, 1000);
	disk_stop(false);
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_uint_eq(client_wait(&c, 2).status >> 1, 0);
	client_stop(&c);
}
END_TEST

/* 7.3.2: after a reset nothing of before is answered; the data is there all the same. */
START_TEST(reset_waiting)
{
	start("");
	disk_stop(true);
	push(write1(0, true));
	push(rw(8, 1, 8, 8, 0, 0));
	push(flush);
	nothing_yet();
	client_disable(&c);
	client_enable(&c, 32);
	client_io_queue(&c, 1, 64);
	push(flush);
	nothing_yet();
	disk_stop(false);
	answers(1, 0);
	disk_stop(true);
	push(rw(8, 1, 8, 8, 0, 0));
	push(rw(8, 1, 8, 8, 0, 0));
	nothing_yet();
	disk_wait();
	fake_close(&c.p);
	disk_stop(false);
	client_stop(&c);			/* jobs that never ran are dropped */
}
END_TEST

/* 7.6.2: SHST says "occurring" until the disk has all. */
START_TEST(shutdown_waits)
{
	start("");
	disk_stop(true);
	ck_assert_uint_eq(client_do(&c, 1, write1(0, false)), 0);
	fake_poke32(&c.p, 0, CC, CC_ON | 1 << 14);
	fake_poll(&c.p, 10);
	disk_wait();
	ck_assert_uint_eq(fake_read32(&c.p, 0, CSTS), 1 | 1 << 2);
	sync_errno = EIO;			/* even if it fails: it is over */
	disk_stop(false);
	while (fake_read32(&c.p, 0, CSTS) == (1 | 1 << 2))
		fake_poll(&c.p, 10);
	ck_assert_uint_eq(fake_read32(&c.p, 0, CSTS), 1 | 2 << 2);
	client_stop(&c);
}
END_TEST

/* vwc=off: there is no cache, each write is on the disk before it completes. */
START_TEST(no_write_cache)
{
	start("vwc=off");
	for (unsigned i = 1; i < 5; i++) {
		ck_assert_uint_eq(client_do(&c, 1, write1(i, false)), 0);
		ck_assert_uint_eq(disk.syncs, i);
	}
	ck_assert_uint_eq(client_do(&c, 1, rw(8, 1, 0, 8, 0, 0)), 0);
	ck_assert_uint_eq(disk.syncs, 5);
	client_stop(&c);
}
END_TEST

/* No thread to be had: the work is done on the spot. */
START_TEST(no_helper_thread)
{
	thread_errno = EAGAIN;
	start("");
	ck_assert_uint_eq(client_do(&c, 1, write1(0, true)), 0);
	ck_assert_uint_eq(client_do(&c, 1, write1(0, false)), 0);
	ck_assert_uint_eq(client_do(&c, 1, flush), 0);
	ck_assert_uint_eq(client_do(&c, 1, rw(8, 1, 0, 8, 0, 0)), 0);
	ck_assert_uint_eq(disk.syncs, 2);
	client_stop(&c);
}
END_TEST

/* ---- broken ---- */

/* A failed sync fails what waited for it; it is tried again by the next flush. */
START_TEST(sync_fails)
{
	start("");
	sync_errno = EIO;
	ck_assert_uint_eq(client_do(&c, 1, write1(0, false)), 0);
	ck_assert_uint_eq(client_do(&c, 1, flush), 0x280);
	ck_assert_uint_eq(client_do(&c, 1, write1(0, true)), 0x280);
	sync_errno = 0;
	disk.syncs = 0;
	ck_assert_uint_eq(client_do(&c, 1, flush), 0);
	ck_assert_uint_eq(disk.syncs, 1);
	/* those who came while it failed get a sync of their own */
	disk_stop(true);
	ck_assert_uint_eq(client_do(&c, 1, write1(0, false)), 0);
	push(flush);
	nothing_yet();
	disk_wait();
	push(write1(1, true));
	nothing_yet();
	sync_errno = ENOSPC;
	disk_stop(false);
	ck_assert_uint_eq(client_wait(&c, 1).status >> 1 & ~MORE, 0x81);
	ck_assert_uint_eq(client_wait(&c, 1).status >> 1 & ~MORE, 0x81);
	client_stop(&c);
}
END_TEST

START_TEST(write_fails)
{
	start("");
	write_errno = ENOSPC;
	ck_assert_uint_eq(client_do(&c, 1, write1(0, false)), 0x81);
	write_errno = EDQUOT;
	ck_assert_uint_eq(client_do(&c, 1, write1(0, true)), 0x81);
	write_errno = EIO;
	ck_assert_uint_eq(client_do(&c, 1, write1(0, false)), 0x280);
	write_errno = 0;
	read_errno = EIO;
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 0, 1, DATA, 0)), 0x281);
	ck_assert_uint_eq(client_do(&c, 1, rw(5, 1, 0, 1, DATA, 0)), 0x281);
	client_stop(&c);
}
END_TEST

/* EINTR and short counts are gone on from. */
START_TEST(short_counts)
{
	start("");
	pattern(fake_mem(&c.p, DATA), 8192, 3);
	short_io = 20;
	ck_assert_uint_eq(client_do(&c, 1, rw(1, 1, 0, 16, DATA, DATA + 4096)), 0);
	short_io = 20;
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 0, 16, DATA + 0x10000, DATA + 0x11000)), 0);
	short_io = 0;
	ck_assert(!memcmp(fake_mem(&c.p, DATA), fake_mem(&c.p, DATA + 0x10000), 8192));
	client_stop(&c);
}
END_TEST

static const struct sqe dsm = { .opcode = 9, .nsid = 1, .prp1 = LIST, .cdw11 = 4 };

static void one_range(uint32_t blocks)
{
	((uint32_t *)fake_mem(&c.p, LIST))[1] = blocks;
}

/* Without holes: zeroes are written, deallocation is the hint that it is (6.7). */
START_TEST(no_holes)
{
	uint8_t *p;

	fallocate_errno = EOPNOTSUPP;
	start("");
	p = fake_mem(&c.p, DATA);
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 6, .nsid = 1, .prp1 = DATA }), 0);
	ck_assert_uint_eq(p[33], 0);			/* DLFEAT: not said */
	memset(p, 0x77, 8192);
	ck_assert_uint_eq(client_do(&c, 1, rw(1, 1, 0, 16, DATA, DATA + 4096)), 0);
	one_range(16);
	ck_assert_uint_eq(client_do(&c, 1, dsm), 0);
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 0, 8, DATA, 0)), 0);
	ck_assert_uint_eq(p[0], 0x77);
	ck_assert_uint_eq(client_do(&c, 1, rw(8, 1, 0, 1000, 0, 0)), 0);
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 8, 8, DATA, 0)), 0);
	for (unsigned i = 0; i < 4096; i++)
		ck_assert_uint_eq(p[i], 0);
	write_errno = EIO;
	ck_assert_uint_eq(client_do(&c, 1, rw(8, 1, 0, 1000, 0, 0)), 0x280);
	client_stop(&c);
}
END_TEST

START_TEST(deallocation_fails)
{
	start("");
	one_range(16);
	fallocate_errno = EIO;
	ck_assert_uint_eq(client_do(&c, 1, dsm), 0x280);
	fallocate_errno = EOPNOTSUPP;			/* it could, once */
	ck_assert_uint_eq(client_do(&c, 1, dsm), 0);
	client_stop(&c);
}
END_TEST

START_TEST(create_without_memory)
{
	for (unsigned i = 1; i <= 2; i++) {
		fail_alloc = i;
		ck_assert_int_eq(fake_create(&c.p, "nvme", "mdts=8", MEM, 0), -ENOMEM);
		ck_assert(strstr(c.p.error.text, "mdts=8"));
	}
	ck_assert_int_eq(fake_create(&c.p, "nvme", "size=1024T", MEM, 0), -ENOMEM);
	ck_assert(strstr(c.p.error.text, "image=FILE"));
}
END_TEST

CLIENT_MAIN("nvme_disk", flush_waits_alone, flushes_share, abort_waiting,
	    delete_queue_waiting, waiting_commands_limited, reset_waiting, shutdown_waits,
	    no_write_cache, no_helper_thread, sync_fails, write_fails, short_counts, no_holes,
	    deallocation_fails, create_without_memory)
