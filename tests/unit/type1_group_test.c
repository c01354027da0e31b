/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/type1_group_test.c - groups come and go: layout, pinning, domains. */
#include "unit/type1_fixture.h"

static void start(void)
{
	params = (struct topology_params){ 0 };
	fixture_start();
}

static void aperture(unsigned group, uint64_t first, uint64_t last)
{
	backend.geometry[group].aperture = (struct cused_range){ first, last };
}

static void reserve(unsigned group, uint64_t first, uint64_t last, enum cused_resv_type type)
{
	struct cused_iommu_geometry *g = &backend.geometry[group];

	g->resv[g->n_resv++] = (struct cused_resv){ { first, last }, type };
}

/* The valid ranges are exactly these pairs, ended by 0,0. */
static void expect_ranges(const uint64_t (*pairs)[2])
{
	struct type1_info i = info();
	unsigned n = 0;

	for (; pairs[n][1]; n++) {
		ck_assert_uint_lt(n, i.n_ranges);
		ck_assert_uint_eq(i.ranges[n].first, pairs[n][0]);
		ck_assert_uint_eq(i.ranges[n].last, pairs[n][1]);
	}
	ck_assert_uint_eq(i.n_ranges, n);
}

#define RANGES(...) expect_ranges((const uint64_t[][2]){ __VA_ARGS__, { 0, 0 } })

/* T1-124 T1-127 T1-128 T1-134: holes of all groups, relaxable ones excepted; what one
 * group takes comes back when it leaves. */
START_TEST(layouts_narrow_and_widen)
{
	uint64_t top = (1ull << 39) - 1;

	start();
	aperture(1, PAGE, 0xffffffff);
	backend.geometry[1].page_sizes = PAGE | GIB;
	backend.geometry[1].n_resv = 0;
	reserve(1, 0x1000, 0x1fff, CUSED_RESV_DIRECT);
	reserve(1, 0x8000, 0x8fff, CUSED_RESV_DIRECT_RELAXABLE);
	reserve(1, 0xa000, 0xafff, CUSED_RESV_RESERVED);
	reserve(1, 0xfff00000, 0x1ffffffff, CUSED_RESV_RESERVED);
	with(real[0], VFIO_TYPE1v2_IOMMU);
	RANGES({ 0, 0xfedfffff }, { 0xfef00000, top });
	ck_assert_int_eq(attach(real[1]), 0);
	RANGES({ 0x2000, 0x9fff }, { 0xb000, 0xfedfffff }, { 0xfef00000, 0xffefffff });
	ck_assert_uint_eq(info().page_sizes, PAGE | GIB);
	ck_assert_int_eq(map(RW, CLIENT, 0x8000, PAGE), 0);
	ck_assert_int_eq(map(RW, CLIENT, 0xa000, PAGE), -EINVAL);
	detach(real[1]);
	RANGES({ 0, 0xfedfffff }, { 0xfef00000, top });
	ck_assert_uint_eq(info().page_sizes, PAGE | 2 * MIB | GIB);
	ck_assert_int_eq(map(RW, CLIENT, 0xa000, PAGE), 0);
	ck_assert_uint_eq(mappings(), 2);	/* CG-116 */
	fixture_end(&real[0], 1);
}
END_TEST

/* T1-128: a reserved range that two groups have stays while one of them does. */
START_TEST(shared_holes_stay)
{
	start();
	with(real[0], VFIO_TYPE1v2_IOMMU);
	ck_assert_int_eq(attach(real[1]), 0);
	ck_assert_int_eq(backend.domains, 1);	/* T1-122 */
	detach(real[0]);
	RANGES({ 0, 0xfedfffff }, { 0xfef00000, (1ull << 39) - 1 });
	fixture_end(&real[1], 1);
}
END_TEST

/* Every way in which a hole can lie to a range. */
START_TEST(holes_of_every_shape)
{
	start();
	aperture(0, 0x10000, 0x4ffff);
	backend.geometry[0].n_resv = 0;
	reserve(0, 0, 0x10fff, CUSED_RESV_RESERVED);		/* over its start */
	reserve(0, 0x4f000, UINT64_MAX, CUSED_RESV_RESERVED);	/* over its end */
	reserve(0, 0x20000, 0x20fff, CUSED_RESV_MSI);		/* inside */
	reserve(0, 0x20000, 0x21fff, CUSED_RESV_RESERVED);	/* over another */
	reserve(0, 0x30000, 0x30fff, CUSED_RESV_RESERVED);
	reserve(0, 0x31000, 0x31fff, CUSED_RESV_RESERVED);	/* touches another */
	reserve(0, 0x33000, 0x33fff, CUSED_RESV_RESERVED);
	reserve(0, 0x32000, 0x32fff, CUSED_RESV_RESERVED);	/* exactly a range */
	reserve(0, 0x100000, 0x1fffff, CUSED_RESV_RESERVED);	/* outside */
	with(real[0], VFIO_TYPE1_IOMMU);
	RANGES({ 0x11000, 0x1ffff }, { 0x22000, 0x2ffff }, { 0x34000, 0x4efff });
	fixture_end(&real[0], 1);
}
END_TEST

/* Section 1: sizes below the processor's page stand for that page. */
START_TEST(small_pages_are_rounded_up)
{
	start();
	backend.geometry[0].page_sizes = 512 | 2 * MIB;
	with(real[0], VFIO_TYPE1v2_IOMMU);
	ck_assert_uint_eq(info().page_sizes, PAGE | 2 * MIB);
	fixture_end(&real[0], 1);
}
END_TEST

/* T1-021 T1-038: the smallest size counts, whatever it is. */
START_TEST(large_pages_make_large_units)
{
	start();
	backend.geometry[0].page_sizes = 2 * MIB | GIB;
	with(real[0], VFIO_TYPE1v2_IOMMU);
	ck_assert_uint_eq(info().migration_pgsize, 2 * MIB);
	client.check_all = true;
	ck_assert_int_eq(map(RW, 2 * MIB, 0, PAGE), -EINVAL);
	ck_assert_int_eq(map(RW, 2 * MIB, PAGE, 2 * MIB), -EINVAL);
	ck_assert_int_eq(map(RW, PAGE, 0, 2 * MIB), -EINVAL);
	ck_assert_int_eq(map(RW, 2 * MIB, 4 * MIB, 2 * MIB), 0);
	ck_assert_int_eq(unmap(0, 4 * MIB + PAGE, 2 * MIB), -EINVAL);
	ck_assert_int_eq(unmap(0, 4 * MIB, PAGE), -EINVAL);
	ck_assert_int_eq(unmap(0, 4 * MIB, 2 * MIB), 2 * MIB);
	fixture_end(&real[0], 1);
}
END_TEST

/* What the container was before a refused attach, it still is. */
static void expect_unchanged(int attached)
{
	RANGES({ 0, 0xfedfffff }, { 0xfef00000, (1ull << 39) - 1 });
	ck_assert_uint_eq(info().page_sizes, PAGE | 2 * MIB | GIB);
	ck_assert_int_eq(backend.attached, attached);
	ck_assert_int_eq(backend.domains, attached > 0);
	ck_assert_int_eq(programmed(), (int)mappings());
}

/* T1-117 T1-118 T1-119 T1-120, and nothing changes (T1-123); CG-076 */
START_TEST(groups_that_do_not_fit)
{
	struct cused_iommu_geometry *g = &backend.geometry[1];

	start();
	with(real[0], VFIO_TYPE1v2_IOMMU);
	ck_assert_int_eq(map(RW, CLIENT, GIB, 4 * PAGE), 0);

	backend.attach_error = -EBUSY;				/* T1-117 */
	ck_assert_int_eq(attach(real[1]), -EBUSY);
	backend.attach_error = 0;
	backend.geometry_error = -EIO;
	ck_assert_int_eq(attach(real[1]), -EIO);
	backend.geometry_error = 0;
	aperture(1, 1ull << 39, 1ull << 40);			/* T1-118: disjoint */
	ck_assert_int_eq(attach(real[1]), -EINVAL);
	aperture(1, 0, GIB + 4 * PAGE - 2);			/* T1-118: mapping above */
	ck_assert_int_eq(attach(real[1]), -EINVAL);
	aperture(1, GIB + 1, 4 * GIB);				/* T1-118: mapping below */
	ck_assert_int_eq(attach(real[1]), -EINVAL);
	aperture(1, GIB, GIB + 4 * PAGE - 1);
	g->n_resv = 0;
	reserve(1, GIB + 3 * PAGE, GIB + 4 * PAGE, CUSED_RESV_RESERVED);	/* T1-119 */
	ck_assert_int_eq(attach(real[1]), -EINVAL);
	ck_assert_int_eq(unmap(UNMAP_ALL, 0, 0), 4 * PAGE);
	g->n_resv = 0;
	reserve(1, 0, 2 * GIB, CUSED_RESV_RESERVED);		/* T1-120 */
	ck_assert_int_eq(attach(real[1]), -EINVAL);
	g->n_resv = 0;
	g->page_sizes = 8192;					/* no page size in common */
	ck_assert_int_eq(attach(real[1]), -EINVAL);
	expect_unchanged(1);
	ck_assert_int_eq(map(RW, CLIENT, GIB, 4 * PAGE), 0);
	g->page_sizes = PAGE;
	reserve(1, GIB, GIB + PAGE, CUSED_RESV_DIRECT_RELAXABLE);	/* T1-119 */
	ck_assert_int_eq(attach(real[1]), 0);
	RANGES({ GIB, GIB + 4 * PAGE - 1 });
	detach(real[1]);
	fixture_end(&real[0], 1);
}
END_TEST

/* T1-113; the core never asks for it, so the driver is asked itself. */
START_TEST(a_group_attaches_once)
{
	void *data;

	start();
	ck_assert_int_eq(iommu_type1_driver.open(topology, &caller, 3, &data), 0);
	ck_assert_int_eq(iommu_type1_driver.attach_group(data, real[0], &caller), 0);
	ck_assert_int_eq(iommu_type1_driver.attach_group(data, real[0], &caller), -EINVAL);
	ck_assert_int_eq(iommu_type1_driver.attach_group(data, emulated[0], &caller), 0);
	ck_assert_int_eq(iommu_type1_driver.attach_group(data, emulated[0], &caller), -EINVAL);
	iommu_type1_driver.detach_group(data, real[0]);
	iommu_type1_driver.detach_group(data, emulated[0]);
	iommu_type1_driver.release(data);
	fixture_end(NULL, 0);
}
END_TEST

/* T1-116 CG-042: SET_IOMMU fails with it, and may be repeated (CG-044). */
START_TEST(domains_may_fail)
{
	start();
	ck_assert_int_eq(attach(real[0]), 0);
	backend.domain_error = -ENOMEM;
	ck_assert_int_eq(container_set_iommu(container, &caller, 3), -ENOMEM);
	backend.domain_error = 0;
	backend.attach_error = -ENODEV;
	ck_assert_int_eq(container_set_iommu(container, &caller, 3), -ENODEV);
	backend.attach_error = 0;
	ck_assert_int_eq(backend.domains, 0);
	ck_assert_int_eq(container_set_iommu(container, &caller, 3), 0);
	fixture_end(&real[0], 1);
}
END_TEST

/* More holes than the list of ranges can show: refused, not cut short. */
START_TEST(more_ranges_than_fit)
{
	start();
	with(real[0], VFIO_TYPE1v2_IOMMU);
	for (unsigned g = 1; g < TEST_GROUPS; g++) {
		backend.geometry[g].n_resv = 0;
		for (unsigned i = 0; i < CUSED_IOMMU_RESV_MAX; i++)
			reserve(g, (g * 64 + i) * 2 * PAGE, (g * 64 + i) * 2 * PAGE + PAGE - 1,
				CUSED_RESV_RESERVED);
	}
	ck_assert_int_eq(attach(real[1]), 0);
	ck_assert_uint_eq(info().n_ranges, 66);
	ck_assert_int_eq(attach(real[2]), -ENOMEM);
	ck_assert_uint_eq(info().n_ranges, 66);
	detach(real[1]);
	ck_assert_int_eq(attach(real[2]), 0);
	detach(real[2]);
	fixture_end(&real[0], 1);
}
END_TEST

/* T1-115 T1-051 T1-123: the first real group pins and charges all that was recorded. */
START_TEST(records_become_mappings)
{
	start();
	with(emulated[0], VFIO_TYPE1v2_IOMMU);
	ck_assert_int_eq(backend.domains, 0);			/* T1-115 */
	ck_assert_int_eq(map(RW, CLIENT, 0, 4 * PAGE), 0);
	ck_assert_int_eq(type1_map(container, &stranger, R, CLIENT, GIB, 2 * PAGE), 0);
	ck_assert_int_eq(programmed(), 0);
	ck_assert_int_eq(attach(real[0]), 0);
	ck_assert_int_eq(programmed(), 2);
	ck_assert_uint_eq(client.mm.locked_pages, 4);
	ck_assert_uint_eq(other.mm.locked_pages, 2);
	ck_assert_uint_eq(client.checks, 1);
	/* T1-126: and the last that leaves turns them back. */
	detach(real[0]);
	ck_assert_int_eq(programmed(), 0);
	ck_assert_uint_eq(client.mm.locked_pages, 0);
	ck_assert_uint_eq(other.mm.locked_pages, 0);
	ck_assert_uint_eq(mappings(), 2);
	ck_assert_uint_eq(info().n_ranges, 0);			/* T1-127 */
	ck_assert_uint_eq(info().page_sizes, ~(PAGE - 1));
	ck_assert_int_eq(map(RW, 0, 0xfee00000, PAGE), 0);	/* T1-030 again */
	fixture_end(&emulated[0], 1);
}
END_TEST

/* T1-051 T1-123: a replay that fails halfway leaves nothing pinned and no domain. */
START_TEST(replays_that_fail)
{
	params = (struct topology_params){ .memlock_enforced = true };
	fixture_start();
	with(emulated[0], VFIO_TYPE1v2_IOMMU);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(map(RW, CLIENT, i * 4 * PAGE, 2 * PAGE), 0);

	backend.map_fail_at = 3;
	backend.map_error = -ENOSPC;
	ck_assert_int_eq(attach(real[0]), -ENOSPC);
	caller.memlock_limit = 7 * PAGE;		/* of whoever attaches */
	ck_assert_int_eq(attach(real[0]), -ENOMEM);
	caller.memlock_limit = 8 * PAGE;
	client.check_error = -EFAULT;
	ck_assert_int_eq(attach(real[0]), -EFAULT);
	client.check_error = 0;
	backend.geometry[0].page_sizes = 2 * MIB;	/* nothing is a multiple of that */
	ck_assert_int_eq(attach(real[0]), -EINVAL);
	backend.geometry[0].page_sizes = PAGE;
	reserve(0, 5 * PAGE, 6 * PAGE - 1, CUSED_RESV_RESERVED);	/* T1-119 */
	ck_assert_int_eq(attach(real[0]), -EINVAL);
	backend.geometry[0].n_resv = 0;
	ck_assert_int_eq(programmed(), 0);
	ck_assert_uint_eq(client.mm.locked_pages, 0);
	ck_assert_int_eq(backend.domains, 0);
	ck_assert_uint_eq(info().n_ranges, 0);
	ck_assert_int_eq(attach(real[0]), 0);
	ck_assert_uint_eq(client.mm.locked_pages, 8);
	detach(emulated[0]);
	ck_assert_uint_eq(client.mm.locked_pages, 8);
	ck_assert_uint_eq(mappings(), 4);
	fixture_end(&real[0], 1);
}
END_TEST

/* T1-125 T1-050 CG-114: the last group of any kind takes everything with it. */
START_TEST(the_last_group_takes_everything)
{
	start();
	with(real[0], VFIO_TYPE1v2_IOMMU);
	ck_assert_int_eq(attach(real[1]), 0);
	ck_assert_int_eq(map(RW, CLIENT, 0, 4 * PAGE), 0);
	ck_assert_int_eq(map(RW, CLIENT, GIB, 4 * PAGE), 0);
	ck_assert_int_eq(unmap(UNMAP_VADDR, 0, 4 * PAGE), 4 * PAGE);
	detach(real[0]);
	ck_assert_uint_eq(mappings(), 2);
	ck_assert_int_eq(programmed(), 2);
	detach(real[1]);
	ck_assert_int_eq(programmed(), 0);
	ck_assert_uint_eq(client.mm.locked_pages, 0);
	ck_assert_int_eq(container_driver(container), CONTAINER_DRIVER_NONE);
	/* Like new: budget, tracking, marks. */
	with(real[0], VFIO_TYPE1v2_IOMMU);
	ck_assert_uint_eq(info().dma_avail, 65535);
	ck_assert_int_eq(attach(real[1]), 0);
	detach(real[1]);
	fixture_end(&real[0], 1);
}
END_TEST

/* T1-117: groups behind different backends are not for one container. */
START_TEST(backends_do_not_mix)
{
	struct cused_iommu_ops hardware = backend_ops;

	start();
	group_set_iommu(real[1], &hardware, &hardware);
	with(real[0], VFIO_TYPE1v2_IOMMU);
	ck_assert_int_eq(attach(real[1]), -EINVAL);
	ck_assert_int_eq(backend.attached, 1);
	detach(real[0]);
	/* The container is free for the other kind then. */
	with(real[1], VFIO_TYPE1v2_IOMMU);
	ck_assert_int_eq(attach(real[0]), -EINVAL);
	fixture_end(&real[1], 1);
}
END_TEST

static unsigned of_domain;

static unsigned flags_of_domain(void *domain)
{
	ck_assert_ptr_eq(domain, &backend.domains);
	return of_domain;
}

/* CG-028: what is coherent can depend on the groups, if the backend is new enough. */
START_TEST(coherency_of_a_domain)
{
	struct cused_iommu_ops hardware = backend_ops;

	start();
	hardware.domain_flags = flags_of_domain;
	group_set_iommu(real[0], &hardware, NULL);
	of_domain = 0;
	with(real[0], VFIO_TYPE1v2_IOMMU);
	ck_assert_int_eq(container_check_extension(container, VFIO_DMA_CC_IOMMU), 0);
	of_domain = CUSED_IOMMU_COHERENT;
	ck_assert_int_eq(container_check_extension(container, VFIO_DMA_CC_IOMMU), 1);
	of_domain = 0;
	hardware.size = offsetof(struct cused_iommu_ops, domain_flags);
	ck_assert_int_eq(container_check_extension(container, VFIO_DMA_CC_IOMMU), 1);
	fixture_end(&real[0], 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("type1_group");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, layouts_narrow_and_widen);
	tcase_add_test(tc, shared_holes_stay);
	tcase_add_test(tc, holes_of_every_shape);
	tcase_add_test(tc, small_pages_are_rounded_up);
	tcase_add_test(tc, large_pages_make_large_units);
	tcase_add_test(tc, groups_that_do_not_fit);
	tcase_add_test(tc, a_group_attaches_once);
	tcase_add_test(tc, domains_may_fail);
	tcase_add_test(tc, more_ranges_than_fit);
	tcase_add_test(tc, records_become_mappings);
	tcase_add_test(tc, replays_that_fail);
	tcase_add_test(tc, the_last_group_takes_everything);
	tcase_add_test(tc, backends_do_not_mix);
	tcase_add_test(tc, coherency_of_a_domain);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
