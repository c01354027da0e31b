/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/ioas_model_test.c - random operations from a seed, on the map and on a plain model
 * of it. IOAS_SEED=N repeats a run, IOAS_OPS=N makes it longer.
 */
#include <check.h>
#include <inttypes.h>

#include "unit/ioas_model.h"

static uint64_t rng_state;

static uint64_t rng(void)
{
	uint64_t z = rng_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static uint64_t number_from(const char *name, uint64_t preset)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 0) : preset;
}

/* Mostly crowded, so that overlaps and neighbours are common; sometimes at the top. */
static uint64_t some_iova(void)
{
	uint64_t iova = rng() % 20000 * 64;

	return rng() % 8 == 0 ? UINT64_MAX - iova : iova;
}

static struct ioas_mapping some_mapping(struct model *s)
{
	struct ioas_mapping m = { .iova = { some_iova(), 0 } };
	uint64_t size = 1 + rng() % 200;

	m.iova.last = m.iova.first > UINT64_MAX - size ? UINT64_MAX : m.iova.first + size - 1;
	m.vaddr = MODEL_BASE + rng() % (MODEL_MEMORY - 256);
	m.prot = 1 + rng() % 3;
	m.vaddr_invalid = rng() % 16 == 0;
	m.lock_exempt = rng() % 2;
	m.mm = &s->mms[rng() % MODEL_MMS].mm;
	return m;
}

static void some_operation(struct model *s, bool shrink)
{
	struct ioas_mapping m;
	uint64_t a;

	switch (rng() % 8) {
	case 0: case 1: case 2:
		if (!shrink || rng() % 4 == 0)
			model_map(s, some_mapping(s));
		break;
	case 3: case 4:
		if (s->n && (shrink || rng() % 3 == 0))
			model_unmap(s, s->m[rng() % s->n].iova.first);
		else
			model_unmap(s, some_iova());
		break;
	case 5:
		a = some_iova();
		model_look(s, (struct cused_range){ a, a | 0xfff });
		model_look(s, (struct cused_range){ a / 2, a });
		break;
	case 6:
		m = some_mapping(s);
		if (s->n && rng() % 2)
			m.iova = s->m[rng() % s->n].iova;
		model_update(s, m);
		break;
	default:
		a = s->n ? s->m[rng() % s->n].iova.first + rng() % 64 : some_iova();
		model_dma(s, a, rng() % 400, rng() % 3, rng() % 2, (uint8_t)rng());
	}
}

START_TEST(the_map_and_its_model_agree)
{
	uint64_t seed = number_from("IOAS_SEED", 20260000u + (unsigned)_i);
	uint64_t ops = number_from("IOAS_OPS", 20000);
	struct model *s = model_new();

	rng_state = seed;
	fprintf(stderr, "IOAS_SEED=%" PRIu64 "\n", seed);
	for (uint64_t i = 0; i < ops; i++) {
		some_operation(s, i / 4000 % 2);
		if (i % 512 == 0)
			model_compare(s);
	}
	model_compare(s);
	while (s->n)
		model_unmap(s, s->m[rng() % s->n].iova.first);
	model_compare(s);
	model_free(s);
}
END_TEST

enum order { UPWARDS, DOWNWARDS, SHUFFLED, ZIGZAG };

/* Fill and empty in an order; the structure holds after each step. */
START_TEST(every_order_keeps_the_structure)
{
	enum { N = 20000 };
	uint64_t *keys = calloc(N, sizeof(*keys));
	struct fake_mm mm;
	struct ioas *ioas;

	rng_state = 1;
	fake_mm_init(&mm, 0, 0);
	ck_assert_int_eq(ioas_new(&ioas), 0);
	for (unsigned i = 0; i < N; i++)
		keys[i] = 4096ull * (_i == DOWNWARDS ? N - i :
				     _i == ZIGZAG ? (i % 2 ? i : 2 * N - i) : i);
	for (unsigned i = N - 1; _i == SHUFFLED && i > 0; i--) {
		unsigned j = rng() % (i + 1);
		uint64_t t = keys[i];

		keys[i] = keys[j];
		keys[j] = t;
	}
	for (unsigned i = 0; i < N; i++) {
		struct ioas_mapping m = { .iova = { keys[i], keys[i] + 4095 }, .mm = &mm.mm };

		ck_assert_int_eq(ioas_map(ioas, &m), 0);
		if (i % 1000 == 0)
			ck_assert(ioas_tree_check(&ioas->tree));
	}
	ck_assert(ioas_tree_check(&ioas->tree));
	/* The promise of ioas.h. */
	ck_assert_uint_le(ioas_memory(ioas) / N, 96);
	for (unsigned i = 0; i < N; i++) {
		ck_assert_int_eq(ioas_unmap(ioas, keys[i]), 0);
		if (i % 1000 == 0)
			ck_assert(ioas_tree_check(&ioas->tree));
	}
	ck_assert(ioas_tree_check(&ioas->tree));
	ioas_free(ioas);
	ck_assert_uint_eq(fake_mm_done(&mm), 1);
	free(keys);
}
END_TEST

/* Leaves of one mapping each would be the dearest that a client can do: it must not be
 * able to make them by always adding just below what it added before, whatever the number
 * of mappings (_i) that lie below all these. */
START_TEST(descending_runs_above_a_base_stay_cheap)
{
	enum { LENGTH = 3000 };
	uint64_t base = (uint64_t)_i;
	struct fake_mm mm;
	struct ioas *ioas;

	fake_mm_init(&mm, 0, 0);
	ck_assert_int_eq(ioas_new(&ioas), 0);
	for (uint64_t i = 0; i < base + LENGTH; i++) {
		uint64_t at = (i < base ? i : 2 * base + LENGTH - i) * 4096;
		struct ioas_mapping m = { .iova = { at, at + 4095 }, .mm = &mm.mm };

		ck_assert_int_eq(ioas_map(ioas, &m), 0);
	}
	ck_assert(ioas_tree_check(&ioas->tree));
	ck_assert_uint_le(ioas->tree.bytes / (base + LENGTH), 96);
	ioas_free(ioas);
	fake_mm_done(&mm);
}
END_TEST

/* ---- the tree alone, large, in long runs: inner nodes split, empty and join ---- */

enum { KEYS = 1 << 16 };

static struct ioas_tree tree;
static bool present[KEYS];
static size_t n_present;

static void tree_set(uint64_t key, bool on)
{
	struct ioas_value value = { .last = key };
	struct ioas_pos pos;

	if (on && !present[key])
		ck_assert_int_eq(ioas_tree_insert(&tree, key, &value, 0, 0), 0);
	if (!on && ioas_tree_remove(&tree, key) != present[key])
		ck_abort_msg("key %u", (unsigned)key);
	n_present += (size_t)on - (size_t)present[key];
	present[key] = on;
	if (ioas_tree_seek(&tree, (struct cused_range){ key, key }, &pos) != on)
		ck_abort_msg("key %u after", (unsigned)key);
}

START_TEST(long_runs_keep_the_structure)
{
	rng_state = 7 + (unsigned)_i;
	for (unsigned round = 0; round < 400; round++) {
		unsigned first = rng() % KEYS, n = rng() % (1u << (4 + rng() % 11));
		unsigned step = rng() % 2 ? 1 : 1 + (unsigned)(rng() % 7);
		bool on = rng() % 16 < (round % 100 < 50 ? 11 : 5), down = rng() % 2;

		for (unsigned i = 0; i < n; i++) {
			unsigned key = down ? first - i * step : first + i * step;

			tree_set(key % KEYS, on);
		}
		ck_assert_uint_eq(tree.count, n_present);
		ck_assert(n_present == 0 || ioas_tree_check(&tree));
	}
	ioas_tree_clear(&tree);
}
END_TEST

/* Built upwards, the last inner node may have one child: emptied from the end, and from
 * the start, at every size around such a split. */
START_TEST(ends_come_off_cleanly)
{
	enum { AROUND = IOAS_LEAF_MAX * IOAS_INNER_MAX };

	for (unsigned size = AROUND - 40; size < AROUND + 80; size += 3) {
		for (unsigned i = 0; i < size; i++)
			tree_set(i, true);
		for (unsigned i = 0; i < size; i++) {
			tree_set(_i ? i : size - 1 - i, false);
			if (i < 100 || i + 100 > size)
				ck_assert(ioas_tree_check(&tree));
		}
		ck_assert_ptr_null(tree.root);
	}
}
END_TEST

/* Large enough for slabs: the budget holds on the way there and beyond, and slabs go
 * back when their nodes do. */
START_TEST(large_maps_keep_the_budget)
{
	enum { N = 400000 };
	uint64_t *keys = calloc(N, sizeof(*keys));
	struct ioas_value value = { 0 };
	struct ioas_tree large = { 0 };
	size_t peak;

	rng_state = 3;
	for (unsigned i = 0; i < N; i++)
		keys[i] = i;
	for (unsigned i = N - 1; _i && i > 0; i--) {
		unsigned j = rng() % (i + 1);
		uint64_t t = keys[i];

		keys[i] = keys[j];
		keys[j] = t;
	}
	for (unsigned i = 0; i < N; i++) {
		value.last = keys[i];
		ck_assert_int_eq(ioas_tree_insert(&large, keys[i], &value, 0, 0), 0);
		if (i % 4096 == 4095)
			ck_assert_uint_le(large.bytes / (i + 1), 96);
	}
	ck_assert(ioas_tree_check(&large));
	ck_assert_ptr_nonnull(large.slabs.partial);
	peak = large.bytes;
	for (unsigned i = 0; i < N; i++) {
		if (!ioas_tree_remove(&large, keys[i]))
			ck_abort_msg("key %u", (unsigned)keys[i]);
		if (i == N / 2)		/* nodes are used again */
			for (unsigned k = 0; k <= N / 2; k++) {
				value.last = keys[k];
				ck_assert_int_eq(ioas_tree_insert(&large, keys[k], &value,
								  0, 0), 0);
				ioas_tree_remove(&large, keys[k]);
			}
		if (i % 65536 == 0)
			ck_assert(ioas_tree_check(&large));
	}
	ck_assert_uint_eq(large.bytes, 0);
	ck_assert_ptr_null(large.slabs.partial);
	ck_assert_uint_gt(peak, 4u << 20);
	/* Thrown away as a whole. */
	for (unsigned i = 0; i < N; i++) {
		value.last = keys[i];
		ioas_tree_insert(&large, keys[i], &value, 0, 0);
	}
	ioas_tree_clear(&large);
	ck_assert(ioas_tree_check(&large));
	free(keys);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ioas_model");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, the_map_and_its_model_agree, 0, 3);
	tcase_add_loop_test(tc, every_order_keeps_the_structure, 0, ZIGZAG + 1);
	tcase_add_loop_test(tc, descending_runs_above_a_base_stay_cheap, 0,
			    2 * IOAS_LEAF_MAX);
	tcase_add_loop_test(tc, long_runs_keep_the_structure, 0, 4);
	tcase_add_loop_test(tc, ends_come_off_cleanly, 0, 2);
	tcase_add_loop_test(tc, large_maps_keep_the_budget, 0, 2);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
