/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/type1_unmap_test.c - UNMAP_DMA of v1 and v2, and vaddrs that become invalid. */
#include "unit/type1_fixture.h"

/* Three mappings: [4,8) [8,12) [16,20) pages. */
static void map_three(void)
{
	ck_assert_int_eq(map(RW, CLIENT, 4 * PAGE, 4 * PAGE), 0);
	ck_assert_int_eq(map(RW, CLIENT, 8 * PAGE, 4 * PAGE), 0);
	ck_assert_int_eq(map(RW, CLIENT, 16 * PAGE, 4 * PAGE), 0);
}

static const struct row {
	uint32_t flags;
	uint64_t iova, size;
	int result;
} bad[] = {
	{ 0, 1, PAGE, -EINVAL },			/* T1-061 */
	{ UNMAP_ALL, 1, 0, -EINVAL },			/* T1-061 */
	{ UNMAP_ALL, PAGE, 0, -EINVAL },		/* T1-062 */
	{ UNMAP_ALL, 0, PAGE, -EINVAL },		/* T1-062 */
	{ 0, 4 * PAGE, 0, -EINVAL },			/* T1-063 */
	{ 0, 4 * PAGE, PAGE + 1, -EINVAL },		/* T1-063 */
	{ 0, 0ull - PAGE, 2 * PAGE, -EOVERFLOW },	/* T1-064 */
	{ UNMAP_VADDR, 0ull - PAGE, 2 * PAGE, -EOVERFLOW },	/* T1-064 */
};

START_TEST(each_bad_argument_has_its_answer)
{
	map_three();
	ck_assert_int_eq(unmap(bad[_i].flags, bad[_i].iova, bad[_i].size), bad[_i].result);
	ck_assert_uint_eq(mappings(), 3);
	ck_assert_int_eq(unmap(UNMAP_ALL, 0, 0), 12 * PAGE);
}
END_TEST

/* T1-066 T1-067 T1-072 */
START_TEST(v2_never_cuts)
{
	static const struct { unsigned first, n; } cuts[] = {
		{ 5, 3 }, { 5, 1 }, { 4, 3 }, { 4, 5 }, { 0, 5 }, { 11, 9 }, { 9, 11 },
		{ 0, 17 }, { 6, 11 },
	};

	map_three();
	for (unsigned i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++)
		ck_assert_int_eq(unmap(0, cuts[i].first * PAGE, cuts[i].n * PAGE), -EINVAL);
	ck_assert_uint_eq(mappings(), 3);
	ck_assert_int_eq(programmed(), 3);
}
END_TEST

/* T1-068 T1-070 T1-071 */
START_TEST(v2_takes_whole_mappings_and_gaps)
{
	map_three();
	ck_assert_int_eq(unmap(0, 12 * PAGE, 4 * PAGE), 0);
	ck_assert_int_eq(unmap(0, 0, 4 * PAGE), 0);
	ck_assert_int_eq(unmap(0, 20 * PAGE, GIB), 0);
	ck_assert_uint_eq(mappings(), 3);
	ck_assert_int_eq(unmap(0, 7 * PAGE + PAGE, 4 * PAGE), 4 * PAGE);
	ck_assert_int_eq(unmap(0, 0, 64 * PAGE), 8 * PAGE);
	ck_assert_uint_eq(mappings(), 0);
	ck_assert_int_eq(programmed(), 0);
	ck_assert_int_eq(unmap(0, 0, 64 * PAGE), 0);
	ck_assert_int_eq(unmap(UNMAP_ALL, 0, 0), 0);
}
END_TEST

/* T1-073 */
START_TEST(v1_does_nothing_when_the_first_starts_below)
{
	map_three();
	ck_assert_int_eq(unmap(0, 5 * PAGE, 15 * PAGE), 0);
	ck_assert_int_eq(unmap(0, 5 * PAGE, PAGE), 0);
	ck_assert_uint_eq(mappings(), 3);
}
END_TEST

/* T1-074 */
START_TEST(v1_removes_more_than_asked)
{
	map_three();
	ck_assert_int_eq(unmap(0, 16 * PAGE, PAGE), 4 * PAGE);
	ck_assert_int_eq(unmap(0, 0, 5 * PAGE), 4 * PAGE);
	ck_assert_uint_eq(mappings(), 1);
}
END_TEST

/* T1-075 T1-071 T1-076 */
START_TEST(v1_removes_all_that_start_inside)
{
	map_three();
	ck_assert_int_eq(unmap(0, 0, 4 * PAGE), 0);
	ck_assert_int_eq(unmap(0, 4 * PAGE, 13 * PAGE), 12 * PAGE);
	ck_assert_uint_eq(mappings(), 0);
	map_three();
	ck_assert_int_eq(unmap(UNMAP_ALL, 0, 0), 12 * PAGE);
}
END_TEST

/* T1-076: with the first of all addresses and the last. T1-077: of whomever. */
START_TEST(all_is_all)
{
	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), 0);
	ck_assert_int_eq(type1_map(container, &stranger, RW, CLIENT, (1ull << 39) - PAGE,
				   PAGE), 0);
	ck_assert_int_eq(unmap(UNMAP_ALL, 0, 0), 2 * PAGE);
	ck_assert_uint_eq(mappings(), 0);
	ck_assert_uint_eq(other.mm.locked_pages, 0);
	ck_assert_uint_eq(info().dma_avail, 65535);
}
END_TEST

/* T1-133: what the client frees stays mapped until it says so; the address then leads
 * nowhere, which is a fault of the device and of nobody else. */
START_TEST(freed_memory_stays_mapped)
{
	char buf[4];

	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), 0);
	client.size = 0;
	ck_assert_int_eq(dma(0, buf, 4, false), -EFAULT);
	ck_assert_uint_eq(mappings(), 1);
	ck_assert_int_eq(unmap(0, 0, PAGE), PAGE);
}
END_TEST

/* ---- 4.2 and VADDR of MAP_DMA ---- */

/* T1-079 T1-025: the IOMMU keeps its mapping, devices wait for a new vaddr. */
START_TEST(vaddrs_come_and_go)
{
	char buf[4] = "abc";

	map_three();
	ck_assert_int_eq(unmap(UNMAP_VADDR, 4 * PAGE, 8 * PAGE), 8 * PAGE);
	ck_assert_int_eq(programmed(), 3);
	ck_assert_uint_eq(client.mm.locked_pages, 12);
	ck_assert_int_eq(dma(4 * PAGE, buf, 4, true), -EFAULT);
	ck_assert_int_eq(dma(16 * PAGE, buf, 4, true), 0);
	ck_assert_int_eq(map(RW, CLIENT, 24 * PAGE, PAGE), 0);	/* T1-044 */
	ck_assert_int_eq(map(VADDR, CLIENT + MIB, 4 * PAGE, 4 * PAGE), 0);
	ck_assert_int_eq(dma(4 * PAGE, buf, 4, true), 0);
	ck_assert_mem_eq(client.bytes + MIB, "abc", 4);
	ck_assert_int_eq(dma(8 * PAGE, buf, 4, true), -EFAULT);
	ck_assert_int_eq(map(VADDR, CLIENT, 8 * PAGE, 4 * PAGE), 0);
	ck_assert_uint_eq(client.mm.locked_pages, 13);
	ck_assert_uint_eq(mappings(), 4);
}
END_TEST

/* T1-022 T1-023 */
START_TEST(new_vaddrs_must_fit)
{
	map_three();
	ck_assert_int_eq(map(VADDR, CLIENT, 12 * PAGE, 4 * PAGE), -ENOENT);
	ck_assert_int_eq(map(VADDR, CLIENT, 4 * PAGE, 4 * PAGE), -EINVAL);
	ck_assert_int_eq(unmap(UNMAP_VADDR | UNMAP_ALL, 0, 0), 12 * PAGE);	/* T1-079 */
	ck_assert_int_eq(map(VADDR, CLIENT, 4 * PAGE, 3 * PAGE), -EINVAL);
	ck_assert_int_eq(map(VADDR, CLIENT, 5 * PAGE, 3 * PAGE), -EINVAL);
	ck_assert_int_eq(map(VADDR, CLIENT, 4 * PAGE, 8 * PAGE), -EINVAL);
	ck_assert_int_eq(map(VADDR, CLIENT, 4 * PAGE, 5 * PAGE), -EINVAL);
	ck_assert_int_eq(map(VADDR, CLIENT, 4 * PAGE, 4 * PAGE), 0);
	ck_assert_int_eq(map(VADDR, CLIENT, 4 * PAGE, 4 * PAGE), -EINVAL);
}
END_TEST

/* T1-080 T1-081 */
START_TEST(marking_twice_takes_the_marks_back)
{
	char buf[4];

	map_three();
	ck_assert_int_eq(unmap(UNMAP_VADDR, 0, 4 * PAGE), 0);
	ck_assert_int_eq(unmap(UNMAP_VADDR, 16 * PAGE, 4 * PAGE), 4 * PAGE);
	ck_assert_int_eq(unmap(UNMAP_VADDR | UNMAP_ALL, 0, 0), -EINVAL);
	ck_assert_int_eq(dma(4 * PAGE, buf, 4, false), 0);
	ck_assert_int_eq(dma(8 * PAGE, buf, 4, false), 0);
	ck_assert_int_eq(dma(16 * PAGE, buf, 4, false), -EFAULT);
	/* The count is right as well: one mark keeps groups out (T1-112). */
	ck_assert_int_eq(attach(real[1]), -EBUSY);
	ck_assert_int_eq(map(VADDR, CLIENT, 16 * PAGE, 4 * PAGE), 0);
	ck_assert_int_eq(attach(real[1]), 0);
	detach(real[1]);
}
END_TEST

/* T1-078: and the mark goes with the mapping. T1-082 T1-112 */
START_TEST(invalid_mappings_can_be_removed)
{
	map_three();
	ck_assert_int_eq(unmap(UNMAP_VADDR, 4 * PAGE, 4 * PAGE), 4 * PAGE);
	ck_assert_int_eq(attach(real[1]), -EBUSY);
	ck_assert_int_eq(attach(emulated[0]), -EBUSY);
	ck_assert_int_eq(unmap(0, 4 * PAGE, 4 * PAGE), 4 * PAGE);
	ck_assert_int_eq(attach(emulated[0]), 0);
	/* T1-059: emulated drivers hold vaddrs. Before any look at the range. */
	ck_assert_int_eq(unmap(UNMAP_VADDR, 8 * PAGE, 4 * PAGE), -EBUSY);
	ck_assert_int_eq(unmap(UNMAP_VADDR, 1, 1), -EBUSY);
	ck_assert_int_eq(unmap(UNMAP_VADDR | UNMAP_ALL, 0, 0), -EBUSY);
	detach(emulated[0]);
	ck_assert_int_eq(unmap(UNMAP_VADDR | UNMAP_ALL, 0, 0), 8 * PAGE);
}
END_TEST

/* T1-025 T1-041: the account moves with the owner. */
START_TEST(a_new_process_takes_over)
{
	char buf[4] = "xyz";

	ck_assert_int_eq(map(RW, CLIENT, 0, 4 * PAGE), 0);
	ck_assert_int_eq(unmap(UNMAP_VADDR | UNMAP_ALL, 0, 0), 4 * PAGE);
	ck_assert_int_eq(type1_map(container, &stranger, VADDR, CLIENT + PAGE, 0, 4 * PAGE),
			 0);
	ck_assert_uint_eq(client.mm.locked_pages, 0);
	ck_assert_uint_eq(other.mm.locked_pages, 4);
	ck_assert_uint_eq(client.mm.refs, 1);
	ck_assert_int_eq(dma(0, buf, 4, true), 0);
	ck_assert_mem_eq(other.bytes + PAGE, "xyz", 4);
	ck_assert_int_eq(unmap(0, 0, 4 * PAGE), 4 * PAGE);
	ck_assert_uint_eq(other.mm.locked_pages, 0);
}
END_TEST

static void setup_enforced(void)
{
	params = (struct topology_params){ .memlock_enforced = true };
	fixture_start();
	with(real[0], VFIO_TYPE1v2_IOMMU);
}

/* T1-024; the same process is not charged again. */
START_TEST(a_new_process_must_afford_it)
{
	caller.memlock_limit = 4 * PAGE;
	stranger.memlock_limit = 3 * PAGE;
	ck_assert_int_eq(map(RW, CLIENT, 0, 4 * PAGE), 0);
	ck_assert_int_eq(unmap(UNMAP_VADDR | UNMAP_ALL, 0, 0), 4 * PAGE);
	ck_assert_int_eq(type1_map(container, &stranger, VADDR, CLIENT, 0, 4 * PAGE),
			 -ENOMEM);
	ck_assert_uint_eq(client.mm.locked_pages, 4);
	ck_assert_uint_eq(other.mm.locked_pages, 0);
	ck_assert_int_eq(map(VADDR, CLIENT, 0, 4 * PAGE), 0);
	ck_assert_int_eq(unmap(UNMAP_VADDR | UNMAP_ALL, 0, 0), 4 * PAGE);
	stranger.cap_ipc_lock = true;
	ck_assert_int_eq(type1_map(container, &stranger, VADDR, CLIENT, 0, 4 * PAGE), 0);
	ck_assert_uint_eq(other.mm.locked_pages, 4);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("type1_unmap");
	TCase *v2 = tcase_create("v2"), *v1 = tcase_create("v1"),
	      *limit = tcase_create("limit");

	tcase_add_checked_fixture(v2, setup_v2, teardown_real);
	tcase_add_checked_fixture(v1, setup_v1, teardown_real);
	tcase_add_checked_fixture(limit, setup_enforced, teardown_real);
	tcase_add_loop_test(v2, each_bad_argument_has_its_answer, 0,
			    sizeof(bad) / sizeof(bad[0]));
	tcase_add_loop_test(v1, each_bad_argument_has_its_answer, 0,
			    sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(v2, v2_never_cuts);
	tcase_add_test(v2, v2_takes_whole_mappings_and_gaps);
	tcase_add_test(v1, v1_does_nothing_when_the_first_starts_below);
	tcase_add_test(v1, v1_removes_more_than_asked);
	tcase_add_test(v1, v1_removes_all_that_start_inside);
	tcase_add_test(v2, all_is_all);
	tcase_add_test(v1, all_is_all);
	tcase_add_test(v2, freed_memory_stays_mapped);
	tcase_add_test(v2, vaddrs_come_and_go);
	tcase_add_test(v2, new_vaddrs_must_fit);
	tcase_add_test(v1, new_vaddrs_must_fit);
	tcase_add_test(v2, marking_twice_takes_the_marks_back);
	tcase_add_test(v2, invalid_mappings_can_be_removed);
	tcase_add_test(v2, a_new_process_takes_over);
	tcase_add_test(limit, a_new_process_must_afford_it);
	suite_add_tcase(suite, v2);
	suite_add_tcase(suite, v1);
	suite_add_tcase(suite, limit);
	return run_suite(suite);
}
