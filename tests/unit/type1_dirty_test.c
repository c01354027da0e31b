/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/type1_dirty_test.c - DIRTY_PAGES and UNMAP_DMA with GET_DIRTY_BITMAP. */
#include "unit/type1_fixture.h"

/* Where the client keeps its bitmap. */
#define BITMAP (CLIENT + 2 * MIB)

static uint64_t *words;		/* the same place, here */

static struct type1_bitmap bitmap_of(uint64_t pgsize, uint64_t addr, uint64_t size)
{
	return (struct type1_bitmap){ pgsize, { &client.mm, addr, size } };
}

static int get(uint64_t iova, uint64_t size, uint64_t bytes)
{
	struct type1_bitmap bitmap = bitmap_of(PAGE, BITMAP, bytes);

	return type1_dirty_get(container, &caller, iova, size, &bitmap);
}

static int64_t unmap_get(uint64_t iova, uint64_t size, const struct type1_bitmap *bitmap)
{
	uint64_t done = 0;
	int r = type1_unmap(container, &caller, UNMAP_BITMAP, iova, size, bitmap, &done);

	return r ? r : (int64_t)done;
}

static void start_tracking(void)
{
	words = (uint64_t *)(void *)(client.bytes + (BITMAP - CLIENT));
	ck_assert_int_eq(type1_dirty_start(container), 0);
}

/* T1-083 */
START_TEST(v1_has_no_tracking)
{
	struct type1_bitmap bitmap = bitmap_of(PAGE, BITMAP, 8);

	ck_assert_int_eq(type1_dirty_allowed(container), -EACCES);
	ck_assert_int_eq(type1_dirty_start(container), -EACCES);
	ck_assert_int_eq(type1_dirty_stop(container), -EACCES);
	ck_assert_int_eq(get(0, PAGE, 8), -EACCES);
	ck_assert_int_eq(unmap_get(0, PAGE, &bitmap), -EINVAL);	/* T1-065 */
}
END_TEST

/* T1-087 T1-090 T1-091 T1-102 T1-065 */
START_TEST(tracking_starts_and_stops)
{
	struct type1_bitmap bitmap = bitmap_of(PAGE, BITMAP, 8);

	ck_assert_int_eq(type1_dirty_allowed(container), 0);
	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), 0);
	ck_assert_int_eq(type1_dirty_stop(container), 0);
	ck_assert_int_eq(get(0, PAGE, 8), -EINVAL);
	ck_assert_int_eq(unmap_get(0, PAGE, &bitmap), -EINVAL);
	start_tracking();
	ck_assert_int_eq(type1_dirty_start(container), 0);
	ck_assert_int_eq(get(0, PAGE, 8), 0);
	ck_assert_uint_eq(words[0], 1);
	ck_assert_int_eq(type1_dirty_stop(container), 0);
	ck_assert_int_eq(get(0, PAGE, 8), -EINVAL);
}
END_TEST

static const struct row {
	uint64_t iova, size, pgsize, addr, bytes;
	int get, unmap;
} rows[] = {
	{ 0, 0, PAGE, BITMAP, 8, -EINVAL, -EINVAL },		/* T1-095 T1-058 */
	{ 0ull - PAGE, 2 * PAGE, PAGE, BITMAP, 8, -EOVERFLOW, -EOVERFLOW },	/* T1-096 */
	{ 0, PAGE, PAGE, MEM_TASK_SIZE - 7, 8, -EINVAL, -EINVAL },	/* T1-097 T1-057 */
	{ 0, PAGE, PAGE, MEM_TASK_SIZE + 8, 8, -EINVAL, -EINVAL },	/* T1-097 T1-057 */
	{ 0, PAGE, PAGE, UINT64_MAX - 3, 8, -EINVAL, -EINVAL },	/* T1-097 T1-057 */
	{ 0, PAGE, PAGE, BITMAP, 0, -EINVAL, -EINVAL },		/* T1-098 T1-058 */
	{ 0, PAGE, PAGE, BITMAP, 7, -EINVAL, -EINVAL },		/* T1-098 T1-058 */
	{ 0, 65 * PAGE, PAGE, BITMAP, 15, -EINVAL, -EINVAL },	/* T1-098 T1-058 */
	{ 0, PAGE, PAGE, BITMAP, (1 << 28) + 1, -EINVAL, -EINVAL },	/* T1-098 T1-058 */
	{ 0, PAGE, 2 * PAGE, BITMAP, 8, -EINVAL, -EINVAL },	/* T1-098: no page */
	{ 0, UINT64_MAX, 1, BITMAP, 8, -EINVAL, -EINVAL },	/* T1-098: not 0 by wrapping */
	{ 0, PAGE, 0, BITMAP, 8, -EINVAL, -EINVAL },		/* T1-099 T1-065 */
	{ 0, 2 * PAGE, 2 * PAGE, BITMAP, 8, -EINVAL, -EINVAL },	/* T1-099 T1-065 */
	{ 0, PAGE, 512, BITMAP, 8, -EINVAL, -EINVAL },		/* T1-099 T1-065 */
	{ 1, PAGE, PAGE, BITMAP, 8, -EINVAL, -EINVAL },		/* T1-100 */
	{ 0, PAGE + 1, PAGE, BITMAP, 8, -EINVAL, -EINVAL },	/* T1-101 */
	{ 5 * PAGE, 3 * PAGE, PAGE, BITMAP, 8, -EINVAL, -EINVAL },	/* T1-103 */
	{ 0, 7 * PAGE, PAGE, BITMAP, 8, -EINVAL, -EINVAL },	/* T1-103 */
	{ 4 * PAGE, 4 * PAGE, PAGE, CLIENT - 4, 8, -EFAULT, -EFAULT },	/* T1-104 */
	{ 12 * PAGE, 4 * PAGE, PAGE, CLIENT - 4, 8, 0, 0 },	/* T1-109: no mapping, no copy */
	{ 4 * PAGE, 4 * PAGE, PAGE, BITMAP, 1 << 28, 0, 4 * PAGE },	/* T1-105 */
};

START_TEST(each_bad_argument_has_its_answer)
{
	const struct row *row = &rows[_i];
	struct type1_bitmap bitmap = bitmap_of(row->pgsize, row->addr, row->bytes);

	ck_assert_int_eq(map(RW, CLIENT, 4 * PAGE, 4 * PAGE), 0);
	start_tracking();
	ck_assert_int_eq(type1_dirty_get(container, &caller, row->iova, row->size, &bitmap),
			 row->get);
	ck_assert_int_eq(unmap_get(row->iova, row->size, &bitmap), row->unmap);
	ck_assert_uint_eq(mappings(), row->unmap != 4 * PAGE);
}
END_TEST

/* T1-106: everything, always, also after it was read; T1-110: bit order. */
START_TEST(real_groups_make_everything_dirty)
{
	ck_assert_int_eq(map(R, CLIENT, 64 * PAGE, 3 * PAGE), 0);
	ck_assert_int_eq(map(RW, CLIENT, 130 * PAGE, PAGE), 0);
	start_tracking();
	for (int i = 0; i < 3; i++) {
		memset(words, 0, 32);
		ck_assert_int_eq(get(0, 192 * PAGE, 24), 0);
		ck_assert_uint_eq(words[0], 0);
		ck_assert_uint_eq(words[1], 7);
		ck_assert_uint_eq(words[2], 4);
		ck_assert_uint_eq(words[3], 0);
	}
	/* T1-110: counted from the request's iova. */
	memset(words, 0, 32);
	ck_assert_int_eq(get(63 * PAGE, 66 * PAGE, 16), 0);
	ck_assert_uint_eq(words[0], 7 << 1);
	ck_assert_uint_eq(words[1], 0);
	/* New ones count as well. */
	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), 0);
	ck_assert_int_eq(get(0, 64 * PAGE, 8), 0);
	ck_assert_uint_eq(words[0], 1);
}
END_TEST

/* T1-108 T1-109: which words are written, and which of their bits stay. As random runs
 * showed, the kernel keeps all of the word that a mapping begins in the middle of. */
START_TEST(words_are_overwritten)
{
	ck_assert_int_eq(map(RW, CLIENT, 70 * PAGE, 70 * PAGE), 0);	/* words 1 and 2 */
	ck_assert_int_eq(map(RW, CLIENT, 200 * PAGE, 2 * PAGE), 0);	/* word 3 */
	ck_assert_int_eq(map(RW, CLIENT, 202 * PAGE, PAGE), 0);		/* word 3 again */
	start_tracking();
	memset(words, 0xa5, 64);
	ck_assert_int_eq(get(0, 512 * PAGE, 64), 0);
	ck_assert_uint_eq(words[0], 0xa5a5a5a5a5a5a5a5);
	ck_assert_uint_eq(words[1], 0xffffffffffffffc0 | 0x25);
	ck_assert_uint_eq(words[2], (1 << 12) - 1);	/* bits above: not preserved */
	ck_assert_uint_eq(words[3], 0xa5a5a5a5a5a5a5a5 | 0x700);
	ck_assert_uint_eq(words[4], 0xa5a5a5a5a5a5a5a5);
}
END_TEST

/* T1-108: a mapping that begins with a word takes the bits above with it, but the next one
 * in that word keeps all. */
START_TEST(neighbours_share_a_word)
{
	start_tracking();
	for (unsigned i = 0; i < 64; i += 2)
		ck_assert_int_eq(map(RW, CLIENT, i * PAGE, PAGE), 0);
	words[0] = UINT64_MAX;
	ck_assert_int_eq(get(0, 64 * PAGE, 8), 0);
	ck_assert_uint_eq(words[0], 0x5555555555555555);
	ck_assert_uint_eq(client.reads, 0);	/* nothing below the first was to be kept */
}
END_TEST

/* Larger than any buffer: 64 GiB is a bitmap of 2 MiB. */
START_TEST(large_bitmaps_are_written_in_pieces)
{
	uint64_t n = 63 * GIB / PAGE;

	client.check_all = true;
	ck_assert_int_eq(map(RW, GIB, 4 * GIB + 8 * PAGE, 64 * GIB), 0);
	start_tracking();
	ck_assert_int_eq(get(4 * GIB, 64 * GIB + 64 * PAGE, 2 * MIB + 8), -EFAULT);
	memset(words, 0x11, 2 * MIB);
	ck_assert_int_eq(unmap(UNMAP_ALL, 0, 0), 64 * GIB);
	ck_assert_int_eq(map(RW, GIB, 4 * GIB + 8 * PAGE, 63 * GIB), 0);
	ck_assert_int_eq(get(4 * GIB, 64 * GIB, 2 * MIB), 0);
	ck_assert_uint_eq(words[0], 0xffffffffffffff11);
	for (uint64_t i = 1; i < n / 64; i++)
		ck_assert_uint_eq(words[i], UINT64_MAX);
	ck_assert_uint_eq(words[n / 64], 0xff);
	ck_assert_uint_eq(words[n / 64 + 1], 0x1111111111111111);
}
END_TEST

/* 4.3 T1-057 T1-058 T1-068 */
START_TEST(unmap_reports_what_it_removes)
{
	struct type1_bitmap bitmap = bitmap_of(PAGE, BITMAP, 16);

	ck_assert_int_eq(map(RW, CLIENT, 0, 2 * PAGE), 0);
	ck_assert_int_eq(map(RW, CLIENT, 66 * PAGE, PAGE), 0);
	ck_assert_int_eq(map(RW, CLIENT, 200 * PAGE, PAGE), 0);
	start_tracking();
	ck_assert_int_eq(unmap_get(0, 128 * PAGE, &bitmap), 3 * PAGE);
	ck_assert_uint_eq(words[0], 3);
	ck_assert_uint_eq(words[1], 4);
	ck_assert_uint_eq(mappings(), 1);
	ck_assert_int_eq(unmap_get(0, 128 * PAGE, &bitmap), 0);
	/* T1-066 */
	ck_assert_int_eq(map(RW, CLIENT, 0, 2 * PAGE), 0);
	ck_assert_int_eq(unmap_get(PAGE, PAGE, &bitmap), -EINVAL);
}
END_TEST

/* 4.3: what went before a fault stays gone. T1-069 */
START_TEST(unmap_stops_where_the_bitmap_does)
{
	struct type1_bitmap bitmap = bitmap_of(PAGE, BITMAP, 8);

	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), 0);
	ck_assert_int_eq(map(RW, CLIENT, PAGE, PAGE), 0);
	ck_assert_int_eq(map(RW, CLIENT, 2 * PAGE, PAGE), 0);
	start_tracking();
	client.fail_after = 4;	/* write; read and write; read */
	ck_assert_int_eq(unmap_get(0, 64 * PAGE, &bitmap), -EFAULT);
	ck_assert_uint_eq(mappings(), 1);
	ck_assert_uint_eq(words[0], 3);
	ck_assert_int_eq(programmed(), 1);
	ck_assert_uint_eq(info().dma_avail, 65534);
}
END_TEST

/* T1-036 T1-088: (2^31 - 1) pages are 8 TiB less one. */
START_TEST(some_mappings_are_too_large_to_track)
{
	params = (struct topology_params){ 0 };
	fixture_start();
	backend.geometry[0].aperture.last = UINT64_MAX;
	with(real[0], VFIO_TYPE1v2_IOMMU);
	client.check_all = true;
	ck_assert_int_eq(map(RW, PAGE, 8 * TIB, 8 * TIB), 0);
	ck_assert_int_eq(type1_dirty_start(container), -EINVAL);
	ck_assert_int_eq(get(0, PAGE, 8), -EINVAL);		/* stays off: T1-102 */
	ck_assert_int_eq(unmap(UNMAP_ALL, 0, 0), 8 * TIB);
	ck_assert_int_eq(map(RW, PAGE, 8 * TIB, 8 * TIB - PAGE), 0);
	ck_assert_int_eq(type1_dirty_start(container), 0);
	ck_assert_int_eq(map(RW, PAGE, 16 * TIB, 8 * TIB), -EINVAL);
	ck_assert_int_eq(programmed(), 1);
	ck_assert_uint_eq(client.mm.locked_pages, 0x7fffffff);
	ck_assert_int_eq(map(RW, PAGE, 16 * TIB, 8 * TIB - PAGE), 0);
	fixture_end(&real[0], 1);
}
END_TEST

/* T1-107: what devices of emulated groups wrote, until it is read. T1-089 T1-090 */
START_TEST(emulated_groups_report_what_was_written)
{
	char buf[2] = "x";

	ck_assert_int_eq(map(RW, CLIENT, 0, 8 * PAGE), 0);
	ck_assert_int_eq(map(RW, CLIENT, 70 * PAGE, 80 * PAGE), 0);
	ck_assert_int_eq(dma(PAGE, buf, 1, true), 0);		/* before: not seen */
	start_tracking();
	ck_assert_int_eq(get(0, 192 * PAGE, 24), 0);
	ck_assert_uint_eq(words[0] | words[1] | words[2], 0);
	ck_assert_int_eq(dma(3 * PAGE - 1, buf, 2, true), 0);	/* two pages */
	ck_assert_int_eq(dma(5 * PAGE, buf, 1, false), 0);	/* read only */
	ck_assert_int_eq(dma(8 * PAGE - 1, buf, 2, true), -EFAULT);
	ck_assert_int_eq(dma(100 * PAGE, buf, 1, true), 0);
	ck_assert_int_eq(dma(128 * PAGE, buf, 1, true), 0);
	ck_assert_int_eq(get(70 * PAGE, 80 * PAGE, 16), 0);
	ck_assert_uint_eq(words[0], 1ull << 30 | 1ull << 58);
	ck_assert_uint_eq(words[1], 0);
	ck_assert_int_eq(get(0, 192 * PAGE, 24), 0);
	ck_assert_uint_eq(words[0], 3 << 2);
	ck_assert_uint_eq(words[1], 0);
	ck_assert_int_eq(get(0, 192 * PAGE, 24), 0);
	ck_assert_uint_eq(words[0], 0);
	/* A page is clean again once its mapping is another. */
	ck_assert_int_eq(dma(PAGE, buf, 1, true), 0);
	ck_assert_int_eq(unmap(0, 0, 8 * PAGE), 8 * PAGE);
	ck_assert_int_eq(map(RW, CLIENT, 0, 8 * PAGE), 0);
	ck_assert_int_eq(get(0, 64 * PAGE, 8), 0);
	ck_assert_uint_eq(words[0], 0);
	/* STOP forgets. T1-091 */
	ck_assert_int_eq(dma(PAGE, buf, 1, true), 0);
	ck_assert_int_eq(type1_dirty_stop(container), 0);
	start_tracking();
	ck_assert_int_eq(get(0, 64 * PAGE, 8), 0);
	ck_assert_uint_eq(words[0], 0);
}
END_TEST

/* A report that did not arrive is not lost. T1-104 */
START_TEST(a_fault_forgets_nothing)
{
	struct type1_bitmap nowhere = bitmap_of(PAGE, CLIENT - 4, 8);
	char buf[2] = "x";

	ck_assert_int_eq(map(RW, CLIENT, 0, 8 * PAGE), 0);
	start_tracking();
	ck_assert_int_eq(dma(PAGE, buf, 1, true), 0);
	ck_assert_int_eq(type1_dirty_get(container, &caller, 0, 64 * PAGE, &nowhere),
			 -EFAULT);
	ck_assert_int_eq(get(0, 64 * PAGE, 8), 0);
	ck_assert_uint_ne(words[0] & 2, 0);
	ck_assert_int_eq(get(0, 64 * PAGE, 8), 0);
	ck_assert_uint_eq(words[0], 0);
}
END_TEST

/* T1-107: the chunks of the log, over a range that has several. */
START_TEST(the_log_has_no_seams)
{
	char *buf = calloc(1, 3 * PAGE);
	uint64_t at = 128 * MIB - PAGE;		/* a chunk ends at 128 MiB */

	client.check_all = true;
	ck_assert_int_eq(map(RW, CLIENT, 128 * MIB - PAGE, 4 * PAGE), 0);
	start_tracking();
	ck_assert_int_eq(dma(at + 5, buf, PAGE, true), 0);
	ck_assert_int_eq(get(at, 4 * PAGE, 8), 0);
	ck_assert_uint_eq(words[0], 3);
	ck_assert_int_eq(dma(at, buf, 3 * PAGE, true), 0);
	ck_assert_int_eq(unmap(0, at, 4 * PAGE), 4 * PAGE);
	ck_assert_int_eq(map(RW, CLIENT, at, 4 * PAGE), 0);
	ck_assert_int_eq(get(at, 4 * PAGE, 8), 0);
	ck_assert_uint_eq(words[0], 0);
	free(buf);
}
END_TEST

/* T1-111: the last real group leaves; everything is dirty once more, then T1-107. */
START_TEST(a_leaving_group_leaves_dirt)
{
	char buf[2] = "x";

	ck_assert_int_eq(attach(real[0]), 0);
	ck_assert_int_eq(map(RW, CLIENT, 0, 2 * PAGE), 0);
	ck_assert_int_eq(map(RW, CLIENT, 4 * PAGE, 2 * PAGE), 0);
	start_tracking();
	ck_assert_int_eq(get(0, 64 * PAGE, 8), 0);
	ck_assert_uint_eq(words[0], 0x33);		/* T1-106 */
	detach(real[0]);
	ck_assert_int_eq(map(RW, CLIENT, 8 * PAGE, PAGE), 0);	/* not there at the time */
	ck_assert_int_eq(get(4 * PAGE, 2 * PAGE, 8), 0);
	ck_assert_uint_eq(words[0], 3);
	ck_assert_int_eq(get(0, 64 * PAGE, 8), 0);
	ck_assert_uint_eq(words[0], 3);
	ck_assert_int_eq(dma(4 * PAGE, buf, 1, true), 0);
	ck_assert_int_eq(get(0, 64 * PAGE, 8), 0);
	ck_assert_uint_eq(words[0], 0x10);
	/* With a real group again: T1-106 again. */
	ck_assert_int_eq(attach(real[0]), 0);
	ck_assert_int_eq(get(0, 64 * PAGE, 8), 0);
	ck_assert_uint_eq(words[0], 0x133);
	detach(real[0]);
}
END_TEST

/* T1-107 with 4.3: the report of what is removed. */
START_TEST(unmap_reports_what_was_written)
{
	struct type1_bitmap bitmap = bitmap_of(PAGE, BITMAP, 8);
	char buf[2] = "x";

	ck_assert_int_eq(map(RW, CLIENT, 0, 8 * PAGE), 0);
	start_tracking();
	ck_assert_int_eq(dma(6 * PAGE, buf, 1, true), 0);
	ck_assert_int_eq(unmap_get(0, 64 * PAGE, &bitmap), 8 * PAGE);
	ck_assert_uint_eq(words[0], 0x40);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("type1_dirty");
	TCase *v2 = tcase_create("v2"), *v1 = tcase_create("v1"),
	      *emu = tcase_create("emulated"), *bare = tcase_create("bare");

	tcase_add_checked_fixture(v2, setup_v2, teardown_real);
	tcase_add_checked_fixture(v1, setup_v1, teardown_real);
	tcase_add_checked_fixture(emu, setup_emulated, teardown_emulated);
	tcase_add_test(v1, v1_has_no_tracking);
	tcase_add_test(v2, tracking_starts_and_stops);
	tcase_add_loop_test(v2, each_bad_argument_has_its_answer, 0,
			    sizeof(rows) / sizeof(rows[0]));
	tcase_add_test(v2, real_groups_make_everything_dirty);
	tcase_add_test(v2, words_are_overwritten);
	tcase_add_test(v2, neighbours_share_a_word);
	tcase_add_test(v2, large_bitmaps_are_written_in_pieces);
	tcase_add_test(v2, unmap_reports_what_it_removes);
	tcase_add_test(v2, unmap_stops_where_the_bitmap_does);
	tcase_add_test(bare, some_mappings_are_too_large_to_track);
	tcase_add_test(emu, emulated_groups_report_what_was_written);
	tcase_add_test(emu, a_fault_forgets_nothing);
	tcase_add_test(emu, the_log_has_no_seams);
	tcase_add_test(emu, a_leaving_group_leaves_dirt);
	tcase_add_test(emu, unmap_reports_what_was_written);
	suite_add_tcase(suite, v2);
	suite_add_tcase(suite, v1);
	suite_add_tcase(suite, emu);
	suite_add_tcase(suite, bare);
	return run_suite(suite);
}
