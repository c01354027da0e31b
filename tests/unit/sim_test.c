/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/sim_test.c - the simulated IOMMU: its parameters and what it says of itself. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vfio-cused/iommu.h>

extern const struct cused_iommu_ops *const __start_cused_iommus[];
extern const struct cused_iommu_ops *const __stop_cused_iommus[];

static const struct cused_iommu_ops *sim;
static struct cused_value values[8];
static struct cused_error err;
static void *state;

static struct cused_value *value_of(const char *name)
{
	for (size_t i = 0; i < sim->n_params; i++)
		if (strcmp(sim->params[i].name, name) == 0)
			return &values[i];
	ck_abort_msg("no parameter %s", name);
	return NULL;
}

/* As the program does: presets, parsed by their type. */
static void setup(void)
{
	for (const struct cused_iommu_ops *const *p = __start_cused_iommus;
	     p < __stop_cused_iommus; p++)
		if (strcmp((*p)->name, "sim") == 0)
			sim = *p;
	ck_assert_ptr_nonnull(sim);
	ck_assert_uint_le(sim->n_params, 8);
	for (size_t i = 0; i < sim->n_params; i++) {
		values[i] = (struct cused_value){ .set = true, .string = sim->params[i].preset };
		if (sim->params[i].type == CUSED_PARAM_UINT)
			values[i].number = strtoull(sim->params[i].preset, NULL, 0);
		if (sim->params[i].type == CUSED_PARAM_BOOL)
			values[i].number = strcmp(sim->params[i].preset, "on") == 0;
	}
	state = NULL;
	err.text[0] = 0;
}

static int create(void)
{
	return sim->create(values, &state, &err);
}

static struct cused_iommu_geometry geometry(void)
{
	struct cused_iommu_geometry g;

	ck_assert_int_eq(create(), 0);
	ck_assert_int_eq(sim->geometry(state, 5, &g), 0);
	sim->destroy(state);
	return g;
}

/* SD-006: the MSI window; T1-009 T1-013: what GET_INFO makes of the rest. */
START_TEST(presets)
{
	struct cused_iommu_geometry g = geometry();

	ck_assert_uint_eq(g.page_sizes, 0x40201000);
	ck_assert_uint_eq(g.aperture.first, 0);
	ck_assert_uint_eq(g.aperture.last, 0x7fffffffff);
	ck_assert_uint_eq(g.n_resv, 1);
	ck_assert_uint_eq(g.resv[0].range.first, 0xfee00000);
	ck_assert_uint_eq(g.resv[0].range.last, 0xfeefffff);
	ck_assert_int_eq(g.resv[0].type, CUSED_RESV_MSI);
	ck_assert_int_eq(create(), 0);
	ck_assert_uint_eq(sim->flags(state), CUSED_IOMMU_SIMULATED | CUSED_IOMMU_COHERENT);
	ck_assert_ptr_null(sim->map);
	ck_assert_ptr_null(sim->unmap);
	sim->destroy(state);
}
END_TEST

START_TEST(coherency)
{
	value_of("coherent")->number = 0;
	ck_assert_int_eq(create(), 0);
	ck_assert_uint_eq(sim->flags(state), CUSED_IOMMU_SIMULATED);
	sim->destroy(state);
}
END_TEST

START_TEST(domains)
{
	void *a, *b;

	ck_assert_int_eq(create(), 0);
	ck_assert_int_eq(sim->domain_new(state, &a), 0);
	ck_assert_int_eq(sim->domain_new(state, &b), 0);
	ck_assert_ptr_ne(a, b);
	ck_assert_int_eq(sim->attach(a, 1), 0);
	sim->detach(a, 1);
	sim->domain_free(a);
	sim->domain_free(b);
	sim->destroy(state);
}
END_TEST

static const struct { const char *text; uint64_t sizes; } sizes[] = {
	{ "4K", 4096 }, { "4096", 4096 }, { "0x1000", 4096 }, { "2M+1G", 0x40200000 },
	{ "4k,2m,1g", 0x40201000 }, { "1T", 1ull << 40 }, { "64K+64K", 65536 },
	{ "", 0 }, { "4K+", 0 }, { "+4K", 0 }, { "3K", 0 }, { "2K", 0 }, { "0", 0 },
	{ "4KK", 0 }, { "4Q", 0 }, { "K", 0 }, { "0x", 0 }, { "4K 2M", 0 }, { "-4K", 0 },
	{ "99999999999999999999", 0 }, { "16777216T", 0 }, { "12K", 0 },
};

START_TEST(page_sizes)
{
	value_of("page_sizes")->string = sizes[_i].text;
	value_of("aperture")->number = 64;
	if (sizes[_i].sizes) {
		ck_assert_uint_eq(geometry().page_sizes, sizes[_i].sizes);
		return;
	}
	ck_assert_int_eq(create(), -EINVAL);
	/* The thing and the cure. */
	ck_assert_ptr_nonnull(strstr(err.text, "page_sizes"));
	ck_assert_ptr_nonnull(strstr(err.text, "give powers of two"));
}
END_TEST

START_TEST(apertures)
{
	value_of("aperture")->number = 64;
	ck_assert_uint_eq(geometry().aperture.last, UINT64_MAX);
	value_of("aperture")->number = 48;
	ck_assert_uint_eq(geometry().aperture.last, (1ull << 48) - 1);
	value_of("aperture")->number = 16;
	ck_assert_uint_eq(geometry().aperture.last, 0xffff);
	value_of("page_sizes")->string = "2M";
	ck_assert_int_eq(create(), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "16 bits"));
	value_of("aperture")->number = 21;
	ck_assert_uint_eq(geometry().aperture.last, 2 * 1024 * 1024 - 1);
}
END_TEST

/* SD-004: sorted; ranges of one type that touch or overlap are one. SD-005: the types. */
START_TEST(reserved_ranges)
{
	struct cused_iommu_geometry g;

	value_of("reserved")->string =
		"0x9000-0x9fff:reserved+0x1000-0x1fff:direct,0x5000-0x5fff:direct-relaxable+"
		"0xa000-0xbfff:reserved+0x1800-0x2fff:direct+0x1000-0x10ff:msi";
	g = geometry();
	ck_assert_uint_eq(g.n_resv, 4);
	ck_assert_uint_eq(g.resv[0].range.first, 0x1000);
	ck_assert_uint_eq(g.resv[1].range.first, 0x1000);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_uint_eq(g.resv[i].range.last,
				  g.resv[i].type == CUSED_RESV_MSI ? 0x10ff : 0x2fff);
	ck_assert_uint_eq(g.resv[2].range.first, 0x5000);
	ck_assert_int_eq(g.resv[2].type, CUSED_RESV_DIRECT_RELAXABLE);
	ck_assert_uint_eq(g.resv[3].range.first, 0x9000);
	ck_assert_uint_eq(g.resv[3].range.last, 0xbfff);
	ck_assert_int_eq(g.resv[3].type, CUSED_RESV_RESERVED);
	value_of("reserved")->string = "none";
	ck_assert_uint_eq(geometry().n_resv, 0);
	value_of("reserved")->string = "";
	ck_assert_uint_eq(geometry().n_resv, 0);
	/* One that joins two others; and one at the very end. */
	value_of("reserved")->string =
		"0x1000-0x1fff:msi+0x3000-0x3fff:msi+0x2000-0x2fff:msi+"
		"0xffffffffffff0000-0xffffffffffffffff:msi";
	g = geometry();
	ck_assert_uint_eq(g.n_resv, 2);
	ck_assert_uint_eq(g.resv[0].range.last, 0x3fff);
	ck_assert_uint_eq(g.resv[1].range.last, UINT64_MAX);
}
END_TEST

static const char *const bad_reserved[] = {
	"0x1000", "0x1000-0x1fff", "0x1000-0x1fff:", "0x1000-0x1fff:other", "0x2000-0x1fff:msi",
	"x-0x1fff:msi", "0x1000-:msi", "0x1000-0x1fff:msi+", "0x1000:msi", "-0x1fff:msi",
	"0x1000-0x1fff:MSI", "0x1000-0x10000000000000000:msi", "0x1000-0x1fff :msi",
};

START_TEST(bad_reserved_ranges)
{
	value_of("reserved")->string = bad_reserved[_i];
	ck_assert_int_eq(create(), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "reserved"));
	ck_assert_ptr_nonnull(strstr(err.text, "FIRST-LAST:TYPE"));
}
END_TEST

START_TEST(too_many_reserved_ranges)
{
	static char list[100 * 32];
	size_t n = 0;

	for (unsigned i = 0; i < CUSED_IOMMU_RESV_MAX; i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%#x-%#x:msi", i ? "+" : "",
				      0x2000 * (i + 1), 0x2000 * (i + 1) + 0xfff);
	value_of("reserved")->string = list;
	ck_assert_uint_eq(geometry().n_resv, CUSED_IOMMU_RESV_MAX);
	snprintf(list + n, sizeof(list) - n, "+0x1-0x2:msi");
	ck_assert_int_eq(create(), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "at most 64"));
	ck_assert_ptr_nonnull(strstr(err.text, "0x1-0x2:msi"));
}
END_TEST

/* T1-120 could only say EINVAL; here is the place for a reason. */
START_TEST(nothing_left)
{
	value_of("reserved")->string = "0-0xffff:msi+0x10000-0x7fffffffff:reserved";
	ck_assert_int_eq(create(), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "leaves no IOVA"));
	value_of("aperture")->number = 40;
	ck_assert_uint_eq(geometry().n_resv, 2);
	value_of("aperture")->number = 39;
	value_of("reserved")->string = "0-0x7fffffffff:direct-relaxable";
	ck_assert_uint_eq(geometry().n_resv, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, presets);
	tcase_add_test(tc, coherency);
	tcase_add_test(tc, domains);
	tcase_add_loop_test(tc, page_sizes, 0, sizeof(sizes) / sizeof(sizes[0]));
	tcase_add_test(tc, apertures);
	tcase_add_test(tc, reserved_ranges);
	tcase_add_loop_test(tc, bad_reserved_ranges, 0,
			    sizeof(bad_reserved) / sizeof(bad_reserved[0]));
	tcase_add_test(tc, too_many_reserved_ranges);
	tcase_add_test(tc, nothing_left);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
