/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/type1_alloc_test.c - memory runs out at each allocation in turn: the call says
 * ENOMEM, nothing is half done and nothing leaks (the sanitizer builds see to that).
 */
#include "unit/type1_fixture.h"
#include "unit/alloc_fail.h"

#include <core/ioas_internal.h>

extern const struct cused_iommu_ops *const __start_cused_iommus[];

static void start(void)
{
	params = (struct topology_params){ 0 };
	fixture_start();
}

/* T1-029 T1-039 T1-129: some maps make nodes; each is tried with each of its
 * allocations failing. */
START_TEST(map_fails_whole)
{
	for (uint64_t i = 0; i < 5000; i++) {
		uint64_t iova = GIB + i * 7919 % 5000 * PAGE;
		unsigned nth = 0;
		bool failed;
		int r;

		do {
			alloc_fail_arm(++nth);
			r = map(RW, CLIENT, iova, PAGE);
			failed = alloc_fail_disarm();
			if (failed) {
				ck_assert_int_eq(r, -ENOMEM);
				ck_assert_uint_eq(mappings(), i);
				ck_assert_int_eq(programmed(), (int)i);
				ck_assert_uint_eq(client.mm.locked_pages, i);
				ck_assert_uint_eq(info().dma_avail, 65535 - i);
			}
		} while (failed);
		ck_assert_int_eq(r, 0);
	}
	/* Removing needs no memory at all. */
	alloc_fail_arm(1);
	for (uint64_t i = 0; i < 5000; i += 3)
		REQUIRE(unmap(0, GIB + i * PAGE, PAGE) == PAGE);
	REQUIRE(unmap(UNMAP_VADDR | UNMAP_ALL, 0, 0) == 3333 * PAGE);
	REQUIRE(unmap(UNMAP_ALL, 0, 0) == 3333 * PAGE);
	ck_assert(!alloc_fail_disarm());
}
END_TEST

/* The tree holds after a failure at every step of its growth. */
START_TEST(a_tree_that_could_not_grow_is_good)
{
	struct ioas_tree tree = { 0 };
	struct ioas_value value = { 0 };

	for (uint64_t i = 0; i < 20000; i++) {
		uint64_t first = i * 7919 % 20000;
		int r;

		value.last = first;
		for (unsigned n = 1;; n++) {
			alloc_fail_arm(n);
			r = ioas_tree_insert(&tree, first, &value, 0, 0);
			if (!alloc_fail_disarm())
				break;
			ck_assert_int_eq(r, -ENOMEM);
			ck_assert(tree.count == 0 || ioas_tree_check(&tree));
		}
		ck_assert_int_eq(r, 0);
	}
	ck_assert(ioas_tree_check(&tree));
	ck_assert_uint_eq(tree.count, 20000);
	ioas_tree_clear(&tree);
	ck_assert(ioas_tree_check(&tree));
}
END_TEST

/* T1-114 T1-116 CG-042 CG-044 */
static int set_and_leave(uint64_t id)
{
	int r = container_set_iommu(container, &caller, id);

	if (r)
		return r;
	/* Detaching releases the driver: attach anew for the next round. */
	detach(real[0]);
	alloc_fail_pause();
	ck_assert_int_eq(attach(real[0]), 0);
	return 0;
}

START_TEST(set_iommu_fails_whole)
{
	start();
	ck_assert_int_eq(attach(real[0]), 0);
	SWEEP(set_and_leave(VFIO_TYPE1v2_IOMMU), -ENOMEM);
	ck_assert_int_eq(backend.domains, 0);
	fixture_end(&real[0], 1);
}
END_TEST

static int attach_and_leave(struct group *group)
{
	int r = attach(group);

	if (r == 0)
		detach(group);
	return r;
}

/* T1-114 T1-123: nothing is pinned by an attach that failed. */
START_TEST(attach_fails_whole)
{
	start();
	with(emulated[0], VFIO_TYPE1v2_IOMMU);
	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), 0);
	SWEEP(attach_and_leave(real[0]), -ENOMEM);
	SWEEP(attach_and_leave(emulated[1]), -ENOMEM);
	ck_assert_int_eq(programmed(), 0);
	ck_assert_uint_eq(client.mm.locked_pages, 0);
	fixture_end(&emulated[0], 1);
}
END_TEST

static int get_info_once(void)
{
	struct type1_info i;

	return type1_get_info(container, &i);
}

static int track_once(void)
{
	struct type1_bitmap bitmap = { PAGE, { &client.mm, CLIENT, 8 } };
	int r = type1_dirty_start(container);

	if (r == 0)
		r = type1_dirty_get(container, &caller, 0, 64 * PAGE, &bitmap);
	return r ? r : type1_dirty_stop(container);
}

/* T1-089: tracking needs no memory to start, so that it cannot fail. */
START_TEST(reports_need_no_memory)
{
	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), 0);
	ck_assert_uint_eq(SWEEP(get_info_once(), 0), 0);
	ck_assert_uint_eq(SWEEP(track_once(), 0), 0);
}
END_TEST

/* T1-107: a write that cannot be noted makes everything dirty rather than nothing. */
START_TEST(writes_that_cannot_be_noted)
{
	struct type1_bitmap bitmap = { PAGE, { &client.mm, CLIENT, 8 } };
	uint64_t *word = (uint64_t *)(void *)client.bytes;
	char buf[1] = "x";

	ck_assert_int_eq(map(RW, CLIENT + MIB, 0, 4 * PAGE), 0);
	ck_assert_int_eq(type1_dirty_start(container), 0);
	/* The first DMA also tries to share; its failure means "copy". */
	alloc_fail_arm(2);
	REQUIRE(dma(0, buf, 1, true) == 0);
	ck_assert(alloc_fail_disarm());
	ck_assert_int_eq(type1_dirty_get(container, &caller, 0, 64 * PAGE, &bitmap), 0);
	ck_assert_uint_eq(*word, 0xf);
	ck_assert_int_eq(type1_dirty_stop(container), 0);
	ck_assert_int_eq(type1_dirty_start(container), 0);
	ck_assert_int_eq(type1_dirty_get(container, &caller, 0, 64 * PAGE, &bitmap), 0);
	ck_assert_uint_eq(*word, 0);
}
END_TEST

static int dma_once(void)
{
	char buf[8] = { 0 };
	int r = map(RW, CLIENT, 0, PAGE);

	if (r)
		return r;
	r = dma(0, buf, 8, true);	/* copies if it cannot note a shared map */
	REQUIRE(r == 0);
	REQUIRE(unmap(0, 0, PAGE) == PAGE);
	return 0;
}

START_TEST(dma_needs_no_memory)
{
	client.share_base = client.bytes;
	for (unsigned n = 1; n <= 4; n++) {
		int r;

		alloc_fail_arm(n);
		r = dma_once();
		alloc_fail_disarm();
		ck_assert_int_eq(r, n == 1 ? -ENOMEM : 0);
	}
	ck_assert_uint_eq(client.shares, client.unshares);
	ck_assert_uint_gt(client.shares, 0);
	ck_assert_uint_gt(client.writes, 0);
}
END_TEST

static int sim_once(void)
{
	const struct cused_iommu_ops *sim = __start_cused_iommus[0];
	struct cused_value values[8] = { { 0 } };
	struct cused_error err;
	void *state, *domain;
	int r;

	for (size_t i = 0; i < sim->n_params; i++)
		values[i] = (struct cused_value){ .string = sim->params[i].preset,
						  .number = 39 };
	r = sim->create(values, &state, &err);
	if (r)
		return r;
	r = sim->domain_new(state, &domain);
	if (r == 0)
		sim->domain_free(domain);
	sim->destroy(state);
	return r;
}

START_TEST(sim_fails_whole)
{
	SWEEP(sim_once(), -ENOMEM);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("type1_alloc");
	TCase *v2 = tcase_create("v2"), *emu = tcase_create("emulated"),
	      *bare = tcase_create("bare");

	tcase_add_checked_fixture(v2, setup_v2, teardown_real);
	tcase_add_checked_fixture(emu, setup_emulated, teardown_emulated);
	tcase_add_test(v2, map_fails_whole);
	tcase_add_test(v2, reports_need_no_memory);
	tcase_add_test(v2, dma_needs_no_memory);
	tcase_add_test(emu, writes_that_cannot_be_noted);
	tcase_add_test(bare, a_tree_that_could_not_grow_is_good);
	tcase_add_test(bare, set_iommu_fails_whole);
	tcase_add_test(bare, attach_fails_whole);
	tcase_add_test(bare, sim_fails_whole);
	suite_add_tcase(suite, v2);
	suite_add_tcase(suite, emu);
	suite_add_tcase(suite, bare);
	return run_suite(suite);
}
