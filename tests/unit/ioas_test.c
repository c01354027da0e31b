/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/ioas_test.c - batches of DMA, shared maps, and changes while devices copy. */
#include <check.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <core/ioas_internal.h>
#include "unit/fake_mm.h"

#define PAGE 4096ull
#define BASE 0x100000ull
#define SIZE (4u << 20)

static struct fake_mm one, two;
static struct ioas *ioas;

static void setup(void)
{
	fake_mm_init(&one, BASE, SIZE);
	fake_mm_init(&two, BASE, SIZE);
	ck_assert_int_eq(ioas_new(&ioas), 0);
}

static void teardown(void)
{
	ioas_free(ioas);
	ck_assert_int_eq(one.shared, 0);
	ck_assert_int_eq(two.shared, 0);
	ck_assert_uint_eq(fake_mm_done(&one), 1);
	ck_assert_uint_eq(fake_mm_done(&two), 1);
}

static void map(struct fake_mm *f, uint64_t iova, uint64_t vaddr, uint64_t size, unsigned prot)
{
	struct ioas_mapping m = { .iova = { iova, iova + size - 1 }, .vaddr = vaddr,
				  .prot = prot, .mm = &f->mm };

	ck_assert_int_eq(ioas_map(ioas, &m), 0);
}

#define RW (CUSED_PROT_READ | CUSED_PROT_WRITE)

START_TEST(bad_mappings_are_refused)
{
	struct ioas_mapping m = { .iova = { PAGE, 0 }, .mm = &one.mm };

	ck_assert_int_eq(ioas_map(ioas, &m), -EINVAL);
	m.iova.last = PAGE;
	ck_assert_int_eq(ioas_map(ioas, &m), 0);
	ck_assert_int_eq(ioas_map(ioas, &m), -EEXIST);
	ck_assert_uint_eq(one.mm.refs, 2);
	ck_assert_int_eq(ioas_unmap(ioas, PAGE + 1), -ENOENT);
	ck_assert_int_eq(ioas_unmap(ioas, PAGE), 0);
	ck_assert_uint_eq(one.mm.refs, 1);
	ck_assert_int_eq(ioas_update(ioas, &m), -ENOENT);
	ck_assert_uint_eq(one.mm.refs, 1);
	ioas_free(NULL);
}
END_TEST

/* A batch is one call, however many pieces (up to MM_IOV_MAX on a side). */
START_TEST(a_batch_is_one_call)
{
	static struct cused_dma v[CUSED_DMA_BATCH_MAX + 1];
	static uint8_t buf[CUSED_DMA_BATCH_MAX][8];
	size_t bad = 77;

	map(&one, 0, BASE, SIZE, RW);
	for (unsigned i = 0; i < CUSED_DMA_BATCH_MAX; i++) {
		memset(buf[i], (int)i, 8);
		/* Apart there, together here. */
		v[i] = (struct cused_dma){ i * 64, buf[i], 8 };
	}
	ck_assert_int_eq(ioas_dma(ioas, v, MM_IOV_MAX, true, &bad), 0);
	ck_assert_uint_eq(one.writes, 1);
	ck_assert_uint_eq(one.max_pieces, MM_IOV_MAX);
	for (unsigned i = 0; i < MM_IOV_MAX; i++)
		ck_assert_uint_eq(one.bytes[i * 64 + 7], i & 255);
	ck_assert_int_eq(ioas_dma(ioas, v, CUSED_DMA_BATCH_MAX, true, &bad), 0);
	ck_assert_uint_eq(one.writes, 1 + CUSED_DMA_BATCH_MAX / MM_IOV_MAX);
	for (unsigned i = 0; i < CUSED_DMA_BATCH_MAX; i++)
		ck_assert_uint_eq(one.bytes[i * 64 + 7], i & 255);
	memset(buf, 0, sizeof(buf));
	ck_assert_int_eq(ioas_dma(ioas, v, CUSED_DMA_BATCH_MAX, false, &bad), 0);
	for (unsigned i = 0; i < CUSED_DMA_BATCH_MAX; i++)
		ck_assert_uint_eq(buf[i][7], i & 255);
	ck_assert_int_eq(ioas_dma(ioas, v, CUSED_DMA_BATCH_MAX + 1, true, &bad), -E2BIG);
	ck_assert_int_eq(ioas_dma(ioas, v, 0, true, &bad), 0);
	ck_assert_uint_eq(bad, 77);
}
END_TEST

/* Pieces that touch on either side are one vector there. */
START_TEST(touching_pieces_are_joined)
{
	uint8_t buf[8 * 64] = { 0 };
	struct cused_dma v[8];

	/* Eight mappings that continue each other in memory. */
	for (unsigned i = 0; i < 8; i++) {
		map(&one, i * 4 * PAGE, BASE + i * 64, 64, RW);
		v[i] = (struct cused_dma){ i * 4 * PAGE, buf + i * 64, 64 };
	}
	ck_assert_int_eq(ioas_dma(ioas, v, 8, true, NULL), 0);
	ck_assert_uint_eq(one.writes, 1);
	ck_assert_uint_eq(one.max_pieces, 1);
}
END_TEST

/* One piece over many mappings, of two clients; one call for each run of the same. */
START_TEST(a_piece_may_cross_mappings)
{
	static uint8_t buf[10 * PAGE];

	for (unsigned i = 0; i < 10; i++)
		map(i < 6 ? &one : &two, i * PAGE, BASE + (20 - i) * PAGE, PAGE, RW);
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i / PAGE + 1);
	ck_assert_int_eq(ioas_dma(ioas, &(struct cused_dma){ 5, buf, 10 * PAGE - 5 }, 1, true,
				  NULL), 0);
	ck_assert_uint_eq(one.writes, 1);
	ck_assert_uint_eq(two.writes, 1);
	ck_assert_uint_eq(one.bytes[20 * PAGE + 4], 0);
	ck_assert_uint_eq(one.bytes[20 * PAGE + 5], 1);
	ck_assert_uint_eq(one.bytes[15 * PAGE + 5], 6);
	ck_assert_uint_eq(two.bytes[11 * PAGE + 5], 10);
}
END_TEST

/* Nothing moves if any piece is bad, and the caller learns which. */
START_TEST(all_pieces_are_checked_first)
{
	uint8_t buf[4][16] = { "aaaa", "bbbb", "cccc", "dddd" };
	struct cused_dma v[4];
	size_t bad;

	map(&one, 0, BASE, PAGE, RW);
	map(&one, PAGE, BASE + PAGE, PAGE, CUSED_PROT_READ);
	map(&one, 4 * PAGE, BASE + 4 * PAGE, PAGE, CUSED_PROT_WRITE);
	for (unsigned i = 0; i < 4; i++)
		v[i] = (struct cused_dma){ i * 16, buf[i], 16 };

	v[2].iova = 3 * PAGE;				/* no mapping */
	ck_assert_int_eq(ioas_dma(ioas, v, 4, true, &bad), -EFAULT);
	ck_assert_uint_eq(bad, 2);
	v[2].iova = PAGE - 8;				/* runs into a page without the right */
	ck_assert_int_eq(ioas_dma(ioas, v, 4, true, &bad), -EFAULT);
	ck_assert_uint_eq(bad, 2);
	v[2].iova = 2 * PAGE - 8;			/* runs out of the last mapping */
	v[2].len = 16;
	ck_assert_int_eq(ioas_dma(ioas, v, 4, false, &bad), -EFAULT);
	v[2].iova = UINT64_MAX - 7;			/* wraps */
	ck_assert_int_eq(ioas_dma(ioas, v, 4, false, &bad), -EFAULT);
	ck_assert_uint_eq(bad, 2);
	v[2].iova = 4 * PAGE;				/* write only */
	ck_assert_int_eq(ioas_dma(ioas, v, 4, false, &bad), -EFAULT);
	ck_assert_uint_eq(one.reads + one.writes, 0);
	ck_assert_int_eq(ioas_dma(ioas, v, 4, true, NULL), 0);
	v[1].iova = 12345678;
	v[1].len = 0;					/* nothing is looked at */
	ck_assert_int_eq(ioas_dma(ioas, v, 2, true, &bad), 0);
}
END_TEST

/* A copy that fails is traced to its piece; whatever the client answers is a fault. */
START_TEST(failing_copies_are_traced)
{
	uint8_t buf[4][16] = { "aaaa" };
	struct cused_dma v[4];
	size_t bad = 77;

	map(&one, 0, BASE, 2 * SIZE, RW);
	for (unsigned i = 0; i < 4; i++)
		v[i] = (struct cused_dma){ i * 64, buf[i], 16 };
	v[3].iova = SIZE - 8;				/* half of it is not there */
	ck_assert_int_eq(ioas_dma(ioas, v, 4, true, &bad), -EFAULT);
	ck_assert_uint_eq(bad, 3);
	v[3].iova = 0;
	one.copy_error = -ESRCH;
	ck_assert_int_eq(ioas_dma(ioas, v, 4, true, &bad), -EFAULT);
	ck_assert_uint_eq(bad, 0);
	one.copy_error = 0;
	one.fail_after = 1;				/* a fault that went away again */
	ck_assert_int_eq(ioas_dma(ioas, v, 4, true, &bad), 0);
}
END_TEST

/* ---- shared maps ---- */

START_TEST(shared_maps_spare_the_kernel)
{
	uint8_t buf[16] = "0123456789abcde";
	struct ioas_mapping m;

	one.share_base = one.bytes;
	map(&one, 0, BASE + PAGE, PAGE, RW);
	map(&one, PAGE, BASE + 8 * PAGE, PAGE, RW);
	ck_assert_uint_eq(one.shares, 0);		/* not before it is used */
	ck_assert_int_eq(ioas_dma(ioas, &(struct cused_dma){ PAGE - 8, buf, 16 }, 1, true,
				  NULL), 0);
	ck_assert_uint_eq(one.shares, 2);
	ck_assert_uint_eq(one.writes, 0);
	ck_assert_mem_eq(one.bytes + 2 * PAGE - 8, buf, 8);
	ck_assert_mem_eq(one.bytes + 8 * PAGE, buf + 8, 8);
	memset(buf, 0, 16);
	ck_assert_int_eq(ioas_dma(ioas, &(struct cused_dma){ PAGE - 8, buf, 16 }, 1, false,
				  NULL), 0);
	ck_assert_mem_eq(buf, "0123456789abcde", 16);
	ck_assert_uint_eq(one.shares, 2);		/* remembered */
	ck_assert(ioas_find(ioas, (struct cused_range){ 0, 0 }, &m));
	ck_assert_ptr_eq(m.mm, &one.mm);
	ck_assert_int_eq(ioas_unmap(ioas, 0), 0);
	ck_assert_uint_eq(one.unshares, 1);
	/* A new vaddr needs a new map. */
	ck_assert(ioas_find(ioas, (struct cused_range){ PAGE, PAGE }, &m));
	m.vaddr = BASE;
	ck_assert_int_eq(ioas_update(ioas, &m), 0);
	ck_assert_uint_eq(one.unshares, 2);
	ck_assert_int_eq(ioas_dma(ioas, &(struct cused_dma){ PAGE, buf, 16 }, 1, true, NULL),
			 0);
	ck_assert_mem_eq(one.bytes, buf, 16);
	ck_assert_uint_eq(one.shares, 3);
}
END_TEST

START_TEST(refusals_are_remembered)
{
	uint8_t buf[16] = "0123456789abcde";

	map(&one, 0, BASE, PAGE, RW);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(ioas_dma(ioas, &(struct cused_dma){ 0, buf, 16 }, 1, true,
					  NULL), 0);
	ck_assert_uint_eq(one.shares, 1);
	ck_assert_uint_eq(one.writes, 10);
	/* A client that has only private memory is hardly asked any more. */
	for (uint64_t i = 1; i <= 1000; i++) {
		map(&one, i * PAGE, BASE, PAGE, RW);
		ck_assert_int_eq(ioas_dma(ioas, &(struct cused_dma){ i * PAGE, buf, 16 }, 1,
					  true, NULL), 0);
	}
	ck_assert_uint_lt(one.shares, 40);
	/* But it is, and one that can be shared brings it back. */
	one.share_base = one.bytes;
	for (uint64_t i = 1001; i <= 1100; i++) {
		map(&one, i * PAGE, BASE, PAGE, RW);
		ck_assert_int_eq(ioas_dma(ioas, &(struct cused_dma){ i * PAGE, buf, 16 }, 1,
					  true, NULL), 0);
	}
	ck_assert_uint_gt(one.shares, 40);
	ck_assert_uint_gt(ioas->share_bytes, 0);
	for (uint64_t i = 0; i <= 1100; i++)
		ck_assert_int_eq(ioas_unmap(ioas, i * PAGE), 0);
	ck_assert_uint_eq(ioas->share_bytes, 0);
}
END_TEST

/* Batches that mix shared and private memory, and are larger than the plan. */
START_TEST(shared_and_private_mix)
{
	static struct cused_dma v[3000];
	static uint8_t buf[3000][8];

	two.share_base = two.bytes;
	map(&one, 0, BASE, SIZE, RW);
	map(&two, SIZE, BASE, SIZE, RW);
	for (unsigned i = 0; i < 3000; i++) {
		memset(buf[i], (int)(i + 1), 8);
		v[i] = (struct cused_dma){ i * 64 + (i % 2 ? SIZE : 0), buf[i], 8 };
	}
	ck_assert_int_eq(ioas_dma(ioas, v, 3000, true, NULL), 0);
	for (unsigned i = 0; i < 3000; i++)
		ck_assert_uint_eq((i % 2 ? two : one).bytes[i * 64 + 7], (i + 1) & 255);
	ck_assert_uint_eq(two.writes, 0);
	ck_assert_uint_le(one.writes, 3);
	memset(buf, 0, sizeof(buf));
	ck_assert_int_eq(ioas_dma(ioas, v, 3000, false, NULL), 0);
	for (unsigned i = 0; i < 3000; i++)
		ck_assert_uint_eq(buf[i][7], (i + 1) & 255);
}
END_TEST

/* The client truncates the file behind a shared map. */
START_TEST(truncated_files_are_faults)
{
	uint8_t buf[2][16] = { "aaaa", "bbbb" };
	int fd = memfd_create("share", MFD_CLOEXEC);
	void *at;
	size_t bad = 77;

	ck_assert_int_eq(ftruncate(fd, 4 * PAGE), 0);
	at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(at, MAP_FAILED);
	one.share_base = at;
	map(&one, 0, BASE, 4 * PAGE, RW);
	ck_assert_int_eq(ioas_dma(ioas, (struct cused_dma[]){ { 0, buf[0], 16 },
				  { 3 * PAGE, buf[1], 16 } }, 2, true, &bad), 0);
	ck_assert_int_eq(ftruncate(fd, PAGE), 0);
	ck_assert_int_eq(ioas_dma(ioas, (struct cused_dma[]){ { 0, buf[0], 16 },
				  { 3 * PAGE, buf[1], 16 } }, 2, false, &bad), -EFAULT);
	ck_assert_uint_eq(bad, 1);
	ck_assert_int_eq(ioas_dma(ioas, &(struct cused_dma){ 0, buf[0], 16 }, 1, false, &bad),
			 0);
	ck_assert_mem_eq(buf[0], "aaaa", 4);
	ck_assert_int_eq(ioas_unmap(ioas, 0), 0);
	munmap(at, 4 * PAGE);
	close(fd);
}
END_TEST

/* ---- threads ---- */

static atomic_bool stop;
static atomic_uint_fast64_t copies, faults;

/* A device that never pauses. */
static void *poll_always(void *arg)
{
	uint8_t buf[64];

	while (!stop) {
		struct cused_dma v = { (uint64_t)(uintptr_t)arg, buf, sizeof(buf) };

		if (ioas_dma(ioas, &v, 1, false, NULL) == 0)
			copies++;
		else
			faults++;
	}
	return NULL;
}

/* Changes get through although several devices copy without a pause, and what was
 * unmapped is out of reach at once: the memory is gone right after. */
START_TEST(changes_are_not_starved)
{
	enum { THREADS = 3, ROUNDS = 2000 };
	pthread_t threads[THREADS];

	two.share_base = two.bytes;
	map(&one, 0, BASE, PAGE, RW);
	for (uintptr_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, poll_always,
						(void *)(i * PAGE)), 0);
	while (copies < 100)
		sched_yield();
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct fake_mm brief;

		/* Whose memory is freed right after the unmap: a late copy would touch it. */
		fake_mm_init(&brief, BASE, PAGE);
		brief.share_base = i % 2 ? brief.bytes : NULL;
		map(&brief, PAGE, BASE, PAGE, RW);
		map(&two, 2 * PAGE, BASE, PAGE, RW);
		ck_assert_int_eq(ioas_unmap(ioas, PAGE), 0);
		ck_assert_int_eq(ioas_unmap(ioas, 2 * PAGE), 0);
		ck_assert_uint_eq(fake_mm_done(&brief), 1);
	}
	stop = true;
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_gt(faults, 0);
}
END_TEST

/* While a change waits for a copy under way, the next copy waits for the change; else a
 * device that polls with two threads could keep an unmap out for ever. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool entered;

static int gated_read(struct mm *mm, const struct iovec *local, size_t n_local,
		      const struct iovec *remote, size_t n_remote)
{
	entered = true;
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	return 0;
}

static void *copy_once(void *arg)
{
	uint8_t buf[8];

	ioas_dma(ioas, &(struct cused_dma){ 0, buf, sizeof(buf) }, 1, false, NULL);
	return NULL;
}

static void *unmap_once(void *arg)
{
	ioas_unmap(ioas, PAGE);
	return NULL;
}

START_TEST(changes_come_before_new_copies)
{
	struct mm_ops ops = { .read = gated_read };
	struct mm mm;
	pthread_t reader, writer;
	struct ioas_mapping m = { .iova = { 0, PAGE - 1 }, .prot = RW, .mm = &mm };
	time_t deadline = time(NULL) + 20;

	mm_init(&mm, &ops);
	ck_assert_int_eq(ioas_map(ioas, &m), 0);
	map(&one, PAGE, BASE, PAGE, RW);
	pthread_mutex_lock(&gate);
	ck_assert_int_eq(pthread_create(&reader, NULL, copy_once, NULL), 0);
	while (!entered)
		sched_yield();
	ck_assert_int_eq(pthread_rwlock_tryrdlock(&ioas->rw), 0);
	pthread_rwlock_unlock(&ioas->rw);
	ck_assert_int_eq(pthread_create(&writer, NULL, unmap_once, NULL), 0);
	while (pthread_rwlock_tryrdlock(&ioas->rw) == 0) {	/* until it waits */
		pthread_rwlock_unlock(&ioas->rw);
		ck_assert_int_lt(time(NULL), deadline);
		sched_yield();
	}
	pthread_mutex_unlock(&gate);
	pthread_join(reader, NULL);
	pthread_join(writer, NULL);
	ck_assert_uint_eq(ioas_count(ioas), 1);
	ck_assert_int_eq(ioas_unmap(ioas, 0), 0);
}
END_TEST

/* The log: a page is in one report, not in none and not lost. T1-107 */
static void *write_always(void *arg)
{
	uint8_t buf[8] = { 0 };

	while (!stop) {
		struct cused_dma v = { 5 * PAGE, buf, sizeof(buf) };

		ioas_dma(ioas, &v, 1, true, NULL);
		copies++;
	}
	return NULL;
}

START_TEST(reports_lose_nothing)
{
	struct cused_range all = { 0, 64 * PAGE - 1 };
	pthread_t thread;
	uint64_t word;

	map(&one, 0, BASE, 64 * PAGE, RW);
	ioas_dirty_log(ioas, true);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_always, NULL), 0);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t before = copies;

		while (copies < before + 2)	/* one began and ended since the last report */
			sched_yield();
		ioas_dirty_take(ioas, all, &word);
		ck_assert_uint_eq(word, 1 << 5);
	}
	stop = true;
	pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ioas");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, bad_mappings_are_refused);
	tcase_add_test(tc, a_batch_is_one_call);
	tcase_add_test(tc, touching_pieces_are_joined);
	tcase_add_test(tc, a_piece_may_cross_mappings);
	tcase_add_test(tc, all_pieces_are_checked_first);
	tcase_add_test(tc, failing_copies_are_traced);
	tcase_add_test(tc, shared_maps_spare_the_kernel);
	tcase_add_test(tc, refusals_are_remembered);
	tcase_add_test(tc, shared_and_private_mix);
	tcase_add_test(tc, truncated_files_are_faults);
	tcase_add_test(tc, changes_are_not_starved);
	tcase_add_test(tc, changes_come_before_new_copies);
	tcase_add_test(tc, reports_lose_nothing);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
