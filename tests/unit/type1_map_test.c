/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/type1_map_test.c - GET_INFO, MAP_DMA and the accounting of memory. */
#include "unit/type1_fixture.h"

/* T1-009 T1-011 T1-012 T1-013 T1-129 */
START_TEST(info_reports_what_the_groups_allow)
{
	struct type1_info i = info();

	ck_assert_uint_eq(i.page_sizes, PAGE | 2 * MIB | GIB);
	ck_assert_uint_eq(i.migration_pgsize, PAGE);
	ck_assert_uint_eq(i.max_bitmap_size, 268435456);
	ck_assert_uint_eq(i.dma_avail, 65535);
	ck_assert_uint_eq(i.n_ranges, 2);
	ck_assert_uint_eq(i.ranges[0].first, 0);
	ck_assert_uint_eq(i.ranges[0].last, 0xfedfffff);
	ck_assert_uint_eq(i.ranges[1].first, 0xfef00000);
	ck_assert_uint_eq(i.ranges[1].last, 0x7fffffffff);
	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), 0);
	ck_assert_uint_eq(info().dma_avail, 65534);
	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), -EEXIST);
	ck_assert_int_eq(map(RW, CLIENT - PAGE, PAGE, PAGE), -EFAULT);
	ck_assert_uint_eq(info().dma_avail, 65534);
	ck_assert_int_eq(unmap(0, 0, PAGE), PAGE);
	ck_assert_uint_eq(info().dma_avail, 65535);
}
END_TEST

/* T1-013: everything is valid with emulated groups alone, and nothing is listed. */
START_TEST(info_of_emulated_groups)
{
	struct type1_info i = info();

	ck_assert_uint_eq(i.n_ranges, 0);
	ck_assert_uint_eq(i.page_sizes, 0xfffffffffffff000);
	ck_assert_uint_eq(i.migration_pgsize, PAGE);
}
END_TEST

/* CG-045 */
START_TEST(calls_without_the_driver)
{
	struct type1_info i;
	struct type1_bitmap bitmap = { 0 };
	uint64_t size;

	params = (struct topology_params){ 0 };
	fixture_start();
	ck_assert_int_eq(type1_get_info(container, &i), -EINVAL);
	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), -EINVAL);
	ck_assert_int_eq(type1_unmap(container, &caller, 0, 0, PAGE, NULL, &size), -EINVAL);
	ck_assert_int_eq(type1_dirty_allowed(container), -EINVAL);
	ck_assert_int_eq(type1_dirty_start(container), -EINVAL);
	ck_assert_int_eq(type1_dirty_stop(container), -EINVAL);
	ck_assert_int_eq(type1_dirty_get(container, &caller, 0, PAGE, &bitmap), -EINVAL);
	fixture_end(NULL, 0);
}
END_TEST

/* CG-046 */
START_TEST(calls_with_another_driver)
{
	struct type1_info i;
	struct type1_bitmap bitmap = { 0 };
	struct group *group;
	uint64_t size;

	params = (struct topology_params){ .unsafe_noiommu = true };
	fixture_start();
	caller.cap_sys_rawio = true;
	ck_assert_int_eq(topology_add_group(topology, 0, GROUP_NOIOMMU, &group), 0);
	with(group, VFIO_NOIOMMU_IOMMU);
	ck_assert_int_eq(type1_get_info(container, &i), -ENOTTY);
	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), -ENOTTY);
	ck_assert_int_eq(type1_unmap(container, &caller, 0, 0, PAGE, NULL, &size), -ENOTTY);
	ck_assert_int_eq(type1_dirty_allowed(container), -ENOTTY);
	ck_assert_int_eq(type1_dirty_start(container), -ENOTTY);
	ck_assert_int_eq(type1_dirty_stop(container), -ENOTTY);
	ck_assert_int_eq(type1_dirty_get(container, &caller, 0, PAGE, &bitmap), -ENOTTY);
	fixture_end(&group, 1);
}
END_TEST

static const struct row {
	uint32_t flags;
	uint64_t vaddr, iova, size;
	int result;
} rows[] = {
	{ RW, CLIENT, 0, 0, -EINVAL },				/* T1-017 */
	{ 0, CLIENT, 1, 0, -EINVAL },				/* T1-017 */
	{ RW, CLIENT, UINT64_MAX - PAGE + 2, PAGE, -EOVERFLOW },	/* T1-018 */
	{ RW, UINT64_MAX - PAGE + 2, 0, PAGE, -EOVERFLOW },	/* T1-018 */
	{ 0, CLIENT, UINT64_MAX, 3, -EOVERFLOW },		/* T1-018 T1-131: before flags */
	{ 0, CLIENT, 0, PAGE, -EINVAL },			/* T1-019 */
	{ VADDR | R, CLIENT, 0, PAGE, -EINVAL },		/* T1-020 */
	{ VADDR | W, CLIENT, 0, PAGE, -EINVAL },		/* T1-020 */
	{ VADDR | RW, CLIENT, 0, PAGE, -EINVAL },		/* T1-020 */
	{ RW, CLIENT, 0, PAGE + 1, -EINVAL },			/* T1-021 */
	{ RW, CLIENT, 0, PAGE - 1, -EINVAL },			/* T1-021 */
	{ RW, CLIENT, 512, PAGE, -EINVAL },			/* T1-021 */
	{ RW, CLIENT + 1, 0, PAGE, -EINVAL },			/* T1-021 */
	{ VADDR, CLIENT + 1, 0, PAGE, -EINVAL },		/* T1-021 before T1-022 */
	{ VADDR, CLIENT, 0, PAGE, -ENOENT },			/* T1-022 */
	{ RW, CLIENT, 0xfee00000, PAGE, -EINVAL },		/* T1-028 */
	{ RW, CLIENT, 0xfedff000, 2 * PAGE, -EINVAL },		/* T1-028 */
	{ RW, CLIENT, 0xfed00000, 3 * MIB, -EINVAL },		/* T1-028: across the hole */
	{ RW, CLIENT, 1ull << 39, PAGE, -EINVAL },		/* T1-028 */
	{ RW, CLIENT, (1ull << 39) - PAGE, 2 * PAGE, -EINVAL },	/* T1-028 */
	{ RW, CLIENT - PAGE, 0, PAGE, -EFAULT },		/* T1-032 */
	{ RW, CLIENT + CLIENT_SIZE - PAGE, 0, 2 * PAGE, -EFAULT },	/* T1-032 */
	{ R, CLIENT, 0, PAGE, 0 },				/* T1-037 */
	{ W, CLIENT, 0, PAGE, 0 },
	{ RW, CLIENT, 0, CLIENT_SIZE, 0 },
	{ RW, CLIENT, 0xfedff000, PAGE, 0 },
	{ RW, CLIENT, 0xfef00000, PAGE, 0 },
	{ RW, CLIENT, (1ull << 39) - PAGE, PAGE, 0 },
	{ RW, CLIENT + 3 * PAGE, 3 * PAGE, 5 * PAGE, 0 },	/* T1-038: 4K is enough */
};

START_TEST(each_bad_argument_has_its_answer)
{
	const struct row *row = &rows[_i];

	ck_assert_int_eq(map(row->flags, row->vaddr, row->iova, row->size), row->result);
	/* T1-039 */
	ck_assert_uint_eq(mappings(), row->result == 0);
	ck_assert_uint_eq(info().dma_avail, 65535u - (row->result == 0));
	ck_assert_int_eq(programmed(), row->result == 0);
	ck_assert_uint_eq(client.mm.locked_pages, row->result ? 0 : row->size / PAGE);
}
END_TEST

/* T1-026: any overlap. T1-130: it is looked at before the budget and the range. */
START_TEST(overlaps_are_refused)
{
	ck_assert_int_eq(map(RW, CLIENT, 4 * PAGE, 4 * PAGE), 0);
	ck_assert_int_eq(map(RW, CLIENT, 4 * PAGE, 4 * PAGE), -EEXIST);
	ck_assert_int_eq(map(RW, CLIENT, 3 * PAGE, 2 * PAGE), -EEXIST);
	ck_assert_int_eq(map(RW, CLIENT, 7 * PAGE, 2 * PAGE), -EEXIST);
	ck_assert_int_eq(map(RW, CLIENT, 5 * PAGE, PAGE), -EEXIST);
	ck_assert_int_eq(map(RW, CLIENT, 0, 1ull << 40), -EEXIST);
	ck_assert_int_eq(map(RW, CLIENT - PAGE, 4 * PAGE, PAGE), -EEXIST);
	ck_assert_int_eq(map(RW, CLIENT, 3 * PAGE, PAGE), 0);
	ck_assert_int_eq(map(RW, CLIENT, 8 * PAGE, PAGE), 0);
	ck_assert_uint_eq(mappings(), 3);			/* T1-043 */
	ck_assert_uint_eq(info().dma_avail, 65532);
}
END_TEST

static void setup_small_budget(void)
{
	params = (struct topology_params){ .dma_entry_limit = 2 };
	fixture_start();
	with(real[0], VFIO_TYPE1v2_IOMMU);
}

/* T1-027 T1-130: a full budget after the overlap, before the range. */
START_TEST(the_budget_runs_out)
{
	ck_assert_uint_eq(info().dma_avail, 2);
	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), 0);
	ck_assert_int_eq(map(RW, CLIENT, PAGE, PAGE), 0);
	ck_assert_uint_eq(info().dma_avail, 0);
	ck_assert_int_eq(map(RW, CLIENT, 2 * PAGE, PAGE), -ENOSPC);
	ck_assert_int_eq(map(RW, CLIENT, PAGE, PAGE), -EEXIST);
	ck_assert_int_eq(map(RW, CLIENT, 0xfee00000, PAGE), -ENOSPC);
	ck_assert_int_eq(map(RW, CLIENT, 1, PAGE), -EINVAL);
	ck_assert_int_eq(unmap(0, 0, PAGE), PAGE);
	ck_assert_int_eq(map(RW, CLIENT, 2 * PAGE, PAGE), 0);
}
END_TEST

/* T1-032: rights; T1-034: a signal; T1-035: the backend. All undone: T1-039. */
START_TEST(failed_pins_leave_nothing)
{
	client.prot = CUSED_PROT_READ;
	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), -EFAULT);
	ck_assert_int_eq(map(W, CLIENT, 0, PAGE), -EFAULT);
	client.prot = CUSED_PROT_WRITE;
	ck_assert_int_eq(map(R, CLIENT, 0, PAGE), -EFAULT);
	client.prot = CUSED_PROT_READ | CUSED_PROT_WRITE;
	client.check_error = -EINTR;
	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), -EINTR);
	client.check_error = 0;
	backend.map_fail_at = 1;
	backend.map_error = -EIO;
	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), -EIO);
	ck_assert_int_eq(programmed(), 0);
	ck_assert_uint_eq(mappings(), 0);
	ck_assert_uint_eq(client.mm.locked_pages, 0);
	ck_assert_uint_eq(info().dma_avail, 65535);
}
END_TEST

/* The backend learns what is to be programmed. T1-068 when it goes. */
START_TEST(the_backend_is_programmed)
{
	ck_assert_int_eq(map(W, CLIENT + PAGE, 7 * PAGE, 2 * PAGE), 0);
	ck_assert_uint_eq(backend.last_map.iova.first, 7 * PAGE);
	ck_assert_uint_eq(backend.last_map.iova.last, 9 * PAGE - 1);
	ck_assert_uint_eq(backend.last_map.vaddr, CLIENT + PAGE);
	ck_assert_uint_eq(backend.last_map.prot, CUSED_PROT_WRITE);
	ck_assert_ptr_eq(backend.last_map.memory, &client.mm);
	ck_assert_int_eq(unmap(0, 7 * PAGE, 2 * PAGE), 2 * PAGE);
	ck_assert_int_eq(programmed(), 0);
}
END_TEST

/* Rights are seen from the device (section 3); T1-041: whose memory it is. */
START_TEST(devices_reach_what_is_mapped)
{
	uint8_t buf[16] = "0123456789abcde";

	ck_assert_int_eq(map(R, CLIENT, 0, PAGE), 0);
	ck_assert_int_eq(map(W, CLIENT + PAGE, PAGE, PAGE), 0);
	ck_assert_int_eq(type1_map(container, &stranger, RW, CLIENT, 2 * PAGE, PAGE), 0);
	ck_assert_int_eq(dma(0, buf, 16, true), -EFAULT);
	ck_assert_int_eq(dma(PAGE, buf, 16, true), 0);
	ck_assert_mem_eq(client.bytes + PAGE, buf, 16);
	ck_assert_int_eq(dma(PAGE, buf, 16, false), -EFAULT);
	ck_assert_int_eq(dma(2 * PAGE, buf, 16, true), 0);
	ck_assert_mem_eq(other.bytes, buf, 16);
	client.bytes[5] = 77;
	ck_assert_int_eq(dma(5, buf, 1, false), 0);
	ck_assert_uint_eq(buf[0], 77);
	ck_assert_int_eq(unmap(0, 0, PAGE), PAGE);
	ck_assert_int_eq(dma(5, buf, 1, false), -EFAULT);
	ck_assert_int_eq(unmap(0, 0, 4 * PAGE), 2 * PAGE);	/* T1-077 */
}
END_TEST

/* T1-042: the last page of all. */
START_TEST(the_top_of_the_address_space)
{
	struct cused_iommu_geometry *g = &backend.geometry[1];

	params = (struct topology_params){ 0 };
	fixture_start();
	g->aperture.last = UINT64_MAX;
	with(real[1], VFIO_TYPE1v2_IOMMU);
	ck_assert_int_eq(map(RW, CLIENT, 0ull - PAGE, PAGE), 0);
	ck_assert_int_eq(map(RW, CLIENT, 0ull - PAGE, PAGE), -EEXIST);
	ck_assert_int_eq(map(RW, CLIENT, 0ull - 2 * PAGE, 2 * PAGE), -EEXIST);
	ck_assert_int_eq(map(RW, CLIENT, 0ull - 2 * PAGE, PAGE), 0);
	ck_assert_int_eq(unmap(0, 0ull - PAGE, PAGE), PAGE);
	ck_assert_int_eq(unmap(UNMAP_ALL, 0, 0), PAGE);
	fixture_end(&real[1], 1);
}
END_TEST

/* T1-030: nothing is looked at, T1-051: nothing charged, T1-028: nor the range. */
START_TEST(emulated_groups_only_record)
{
	client.check_error = -EFAULT;
	ck_assert_int_eq(map(RW, 0x10000, 0, 16 * TIB), 0);
	ck_assert_int_eq(map(RW, 0, 0ull - PAGE, PAGE), 0);
	ck_assert_uint_eq(client.checks, 0);
	ck_assert_uint_eq(client.mm.locked_pages, 0);
	ck_assert_int_eq(programmed(), 0);
	ck_assert_uint_eq(mappings(), 2);
	ck_assert_uint_eq(info().dma_avail, 65533);
}
END_TEST

/* ---- 3.1 ---- */

static void setup_enforced(void)
{
	params = (struct topology_params){ .memlock_enforced = true };
	fixture_start();
	with(real[0], VFIO_TYPE1v2_IOMMU);
	caller.memlock_limit = 4 * PAGE + 100;
}

/* T1-045: what hardware pins is limited, whatever the settings say. */
START_TEST(hardware_is_always_limited)
{
	caller.memlock_limit = 2 * PAGE;
	ck_assert_int_eq(map(RW, CLIENT, 0, 3 * PAGE), 0);
	ck_assert_int_eq(unmap(UNMAP_ALL, 0, 0), 3 * PAGE);
	backend.flags = CUSED_IOMMU_COHERENT;
	ck_assert_int_eq(map(RW, CLIENT, 0, 3 * PAGE), -ENOMEM);
	ck_assert_int_eq(map(RW, CLIENT, 0, 2 * PAGE), 0);
	caller.cap_ipc_lock = true;
	ck_assert_int_eq(map(RW, CLIENT, GIB, PAGE), 0);
}
END_TEST

/* The backend gets what the caller's transport lends, and nobody else's. */
START_TEST(the_callers_lender_is_passed_on)
{
	struct cused_lender lender = { .size = sizeof(lender) };

	ck_assert_int_eq(attach(emulated[0]), 0);
	caller.lender = &lender;
	ck_assert_int_eq(map(RW, CLIENT, 0, PAGE), 0);
	ck_assert_ptr_eq(backend.last_map.lender, &lender);
	ck_assert_ptr_eq(backend.last_map.memory, &client.mm);
	/* Replayed, when another process attaches the first real group. */
	detach(real[0]);
	stranger.lender = &lender;
	ck_assert_int_eq(container_attach_group(container, real[0], &stranger), 0);
	ck_assert_int_eq(backend.maps, 2);
	ck_assert_ptr_null(backend.last_map.lender);
	detach(emulated[0]);
}
END_TEST

/* T1-031 T1-045 T1-046: up to the limit and not a page further. */
START_TEST(the_limit_can_be_reached)
{
	ck_assert_int_eq(map(RW, CLIENT, 0, 5 * PAGE), -ENOMEM);
	ck_assert_int_eq(map(RW, CLIENT, 0, 3 * PAGE), 0);
	ck_assert_int_eq(map(RW, CLIENT, 4 * PAGE, 2 * PAGE), -ENOMEM);
	ck_assert_int_eq(map(RW, CLIENT, 4 * PAGE, PAGE), 0);
	ck_assert_uint_eq(client.mm.locked_pages, 4);
	ck_assert_int_eq(map(RW, CLIENT, 8 * PAGE, PAGE), -ENOMEM);
	ck_assert_int_eq(unmap(0, 4 * PAGE, PAGE), PAGE);	/* T1-050 */
	ck_assert_int_eq(map(RW, CLIENT, 8 * PAGE, PAGE), 0);
	ck_assert_uint_eq(mappings(), 2);
	/* Another process has a limit and a count of its own. */
	ck_assert_int_eq(type1_map(container, &stranger, RW, CLIENT, GIB, 9 * PAGE), 0);
	ck_assert_uint_eq(other.mm.locked_pages, 9);
}
END_TEST

/* T1-047: exempt, but counted; what it counted weighs on those who are not. */
START_TEST(the_privileged_are_exempt)
{
	caller.cap_ipc_lock = true;
	ck_assert_int_eq(map(RW, CLIENT, 0, 9 * PAGE), 0);
	ck_assert_uint_eq(client.mm.locked_pages, 9);
	caller.cap_ipc_lock = false;
	ck_assert_int_eq(map(RW, CLIENT, GIB, PAGE), -ENOMEM);
	caller.memlock_limit = UINT64_MAX;
	ck_assert_int_eq(map(RW, CLIENT, GIB, PAGE), 0);
}
END_TEST

/* T1-048 T1-049: once per mapping, however often the memory and however many groups. */
START_TEST(charged_once_per_mapping)
{
	caller.memlock_limit = UINT64_MAX;
	ck_assert_int_eq(attach(real[1]), 0);
	ck_assert_int_eq(map(RW, CLIENT, 0, 2 * PAGE), 0);
	ck_assert_uint_eq(client.mm.locked_pages, 2);
	ck_assert_int_eq(map(RW, CLIENT, GIB, 2 * PAGE), 0);
	ck_assert_uint_eq(client.mm.locked_pages, 4);
	detach(real[1]);
	ck_assert_uint_eq(client.mm.locked_pages, 4);
}
END_TEST

/* T1-031 where nothing is refused: counted all the same. */
START_TEST(counted_when_not_enforced)
{
	caller.memlock_limit = 0;
	ck_assert_int_eq(map(RW, CLIENT, 0, 2 * PAGE), 0);
	ck_assert_uint_eq(client.mm.locked_pages, 2);
}
END_TEST

/* T1-041 T1-050: the process that was charged is gone; its account stays good. */
START_TEST(owners_may_go_first)
{
	struct fake_mm gone;
	struct caller c;

	fixture_caller(&c, &gone);
	ck_assert_int_eq(type1_map(container, &c, RW, CLIENT, 0, PAGE), 0);
	mm_unref(&gone.mm);
	ck_assert_uint_eq(gone.frees, 0);
	ck_assert_int_eq(unmap(0, 0, PAGE), PAGE);
	ck_assert_uint_eq(gone.frees, 1);
	ck_assert_uint_eq(gone.mm.locked_pages, 0);
	free(gone.bytes);
}
END_TEST

/* ---- extensions ---- */

/* CG-025 CG-027 CG-028 CG-030 CG-033 CG-034 CG-035 */
START_TEST(extensions)
{
	static const struct { uint64_t id; int before, after; } ids[] = {
		{ VFIO_TYPE1_IOMMU, 1, 1 }, { VFIO_TYPE1v2_IOMMU, 1, 1 },
		{ VFIO_DMA_CC_IOMMU, 0, 1 }, { VFIO_UNMAP_ALL, 1, 1 },
		{ VFIO_UPDATE_VADDR, 0, 1 }, { 6, 0, 0 }, { VFIO_SPAPR_TCE_IOMMU, 0, 0 },
		{ VFIO_EEH, 0, 0 }, { 99, 0, 0 }, { 1ull << 40 | 1, 0, 0 },
	};

	params = (struct topology_params){ 0 };
	fixture_start();
	for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		ck_assert_int_eq(container_check_extension(container, ids[i].id),
				 ids[i].before);
	with(real[0], VFIO_TYPE1_IOMMU);
	for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		ck_assert_int_eq(container_check_extension(container, ids[i].id),
				 ids[i].after);
	backend.flags = CUSED_IOMMU_SIMULATED;
	ck_assert_int_eq(container_check_extension(container, VFIO_DMA_CC_IOMMU), 0);
	ck_assert_int_eq(attach(emulated[0]), 0);
	ck_assert_int_eq(container_check_extension(container, VFIO_UPDATE_VADDR), 0);
	detach(real[0]);	/* CG-028: no domain is left to say no */
	ck_assert_int_eq(container_check_extension(container, VFIO_DMA_CC_IOMMU), 1);
	fixture_end(&emulated[0], 1);
}
END_TEST

/* CG-040: an extension that is no IOMMU. CG-039: those that nobody claims. */
START_TEST(ids_that_cannot_be_set)
{
	params = (struct topology_params){ 0 };
	fixture_start();
	ck_assert_int_eq(attach(real[0]), 0);
	ck_assert_int_eq(container_set_iommu(container, &caller, VFIO_UNMAP_ALL), -EINVAL);
	ck_assert_int_eq(container_set_iommu(container, &caller, 6), -ENODEV);
	ck_assert_int_eq(container_set_iommu(container, &caller, VFIO_UPDATE_VADDR), -ENODEV);
	ck_assert_int_eq(container_set_iommu(container, &caller, VFIO_TYPE1_IOMMU), 0);
	fixture_end(&real[0], 1);
}
END_TEST

/* CG-030 as Linux up to 6.12 has it: id 6 is a v2. */
START_TEST(nesting_where_it_is_reported)
{
	params = (struct topology_params){ .reports_nesting = true };
	fixture_start();
	ck_assert_int_eq(container_check_extension(container, 6), 1);
	with(real[0], 6);
	ck_assert_int_eq(container_check_extension(container, 6), 1);
	ck_assert_int_eq(type1_dirty_allowed(container), 0);
	fixture_end(&real[0], 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("type1_map");
	TCase *v2 = tcase_create("v2"), *emu = tcase_create("emulated"),
	      *budget = tcase_create("budget"), *limit = tcase_create("limit"),
	      *bare = tcase_create("bare");

	tcase_add_checked_fixture(v2, setup_v2, teardown_real);
	tcase_add_checked_fixture(emu, setup_emulated, teardown_emulated);
	tcase_add_checked_fixture(budget, setup_small_budget, teardown_real);
	tcase_add_checked_fixture(limit, setup_enforced, teardown_real);
	tcase_add_test(v2, info_reports_what_the_groups_allow);
	tcase_add_loop_test(v2, each_bad_argument_has_its_answer, 0,
			    sizeof(rows) / sizeof(rows[0]));
	tcase_add_test(v2, overlaps_are_refused);
	tcase_add_test(v2, failed_pins_leave_nothing);
	tcase_add_test(v2, the_backend_is_programmed);
	tcase_add_test(v2, devices_reach_what_is_mapped);
	tcase_add_test(v2, counted_when_not_enforced);
	tcase_add_test(v2, owners_may_go_first);
	tcase_add_test(emu, info_of_emulated_groups);
	tcase_add_test(emu, emulated_groups_only_record);
	tcase_add_test(budget, the_budget_runs_out);
	tcase_add_test(v2, hardware_is_always_limited);
	tcase_add_test(v2, the_callers_lender_is_passed_on);
	tcase_add_test(limit, the_limit_can_be_reached);
	tcase_add_test(limit, the_privileged_are_exempt);
	tcase_add_test(limit, charged_once_per_mapping);
	tcase_add_test(bare, calls_without_the_driver);
	tcase_add_test(bare, calls_with_another_driver);
	tcase_add_test(bare, the_top_of_the_address_space);
	tcase_add_test(bare, extensions);
	tcase_add_test(bare, ids_that_cannot_be_set);
	tcase_add_test(bare, nesting_where_it_is_reported);
	suite_add_tcase(suite, v2);
	suite_add_tcase(suite, emu);
	suite_add_tcase(suite, budget);
	suite_add_tcase(suite, limit);
	suite_add_tcase(suite, bare);
	return run_suite(suite);
}
