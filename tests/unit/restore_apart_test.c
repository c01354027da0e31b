/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/restore_apart_test.c - groups behind a backend of their own, whose domains outlive the
 * process; the backend is a fake, and what stands for the kernel's side of it outlives both. */
#include "unit/restore_calls.h"

#define DOMAINS 8u
#define TOKEN 1000			/* of the first domain's file */
#define FILE_ID 70u			/* of the first that is kept */

/* The kernel's. */
static struct {
	unsigned groups;		/* mask of those attached */
	unsigned maps, unmaps, again, renewals;	/* renewals: by the process after */
	struct cused_range unmapped;	/* the last */
} kernel[DOMAINS];
static unsigned domains;

struct hardware {
	unsigned index;
	uint64_t number;
	bool swapped;
};
static int restore_error;
static unsigned restored;
static int swap_answer;

static unsigned hardware_flags(void *state)
{
	return 0;
}

static int hardware_geometry(void *state, unsigned group, struct cused_iommu_geometry *ret)
{
	*ret = (struct cused_iommu_geometry){ .page_sizes = RIG_PAGE, .aperture = { 0, UINT32_MAX } };
	return 0;
}

static int hardware_make(unsigned index, uint64_t number, bool swapped, void **ret_domain)
{
	struct hardware *hardware = malloc(sizeof(*hardware));

	ck_assert_ptr_nonnull(hardware);
	*hardware = (struct hardware){ index, number, swapped };
	*ret_domain = hardware;
	return 0;
}

static int hardware_new(void *state, void **ret_domain)
{
	ck_assert_uint_lt(domains, DOMAINS);
	return hardware_make(domains++, 5, false, ret_domain);
}

static int hardware_attach(void *domain, unsigned group)
{
	kernel[((struct hardware *)domain)->index].groups |= 1u << group;
	return 0;
}

static int hardware_attach_again(void *domain, unsigned group)
{
	kernel[((struct hardware *)domain)->index].again |= 1u << group;
	return 0;
}

static void hardware_detach(void *domain, unsigned group)
{
	kernel[((struct hardware *)domain)->index].groups &= ~(1u << group);
}

static int hardware_map(void *domain, const struct cused_iommu_map *map)
{
	kernel[((struct hardware *)domain)->index].maps++;
	return 0;
}

static void hardware_unmap(void *domain, struct cused_range iova)
{
	kernel[((struct hardware *)domain)->index].unmaps++;
	kernel[((struct hardware *)domain)->index].unmapped = iova;
}

static int hardware_swap(void *domain, struct cused_lender *lender, unsigned version)
{
	((struct hardware *)domain)->swapped = swap_answer;
	return swap_answer;
}

static int hardware_renew(void *domain)
{
	kernel[((struct hardware *)domain)->index].renewals += restored > 0;
	((struct hardware *)domain)->number++;
	return 0;
}

static bool hardware_is_file(void *domain, intptr_t file)
{
	return file == TOKEN + ((struct hardware *)domain)->index;
}

static intptr_t hardware_file(void *domain, uint64_t *ret_number)
{
	*ret_number = ((struct hardware *)domain)->number;
	return TOKEN + ((struct hardware *)domain)->index;
}

static int hardware_restore(void *state, intptr_t file, uint64_t number, bool swapped,
			    void **ret_domain)
{
	restored++;
	return restore_error ? restore_error :
			       hardware_make((unsigned)(file - TOKEN), number, swapped, ret_domain);
}

static const struct cused_iommu_ops hardware_ops = {
	.size = sizeof(hardware_ops), .version = CUSED_API_VERSION, .name = "hardware",
	.flags = hardware_flags, .geometry = hardware_geometry, .domain_new = hardware_new,
	.domain_free = free, .attach = hardware_attach, .detach = hardware_detach,
	.map = hardware_map, .unmap = hardware_unmap, .swap = hardware_swap,
	.renew = hardware_renew, .is_file = hardware_is_file, .domain_file = hardware_file,
	.domain_restore = hardware_restore, .attach_again = hardware_attach_again,
};

/* ---- whoever keeps files: by FILE_ID … ---- */

static intptr_t kept[DOMAINS];
static unsigned n_kept, n_dropped;
static bool lost;

static uint64_t files_keep(struct backend_files *files, intptr_t file, void **ret_kept)
{
	ck_assert_uint_lt(n_kept, DOMAINS);
	kept[n_kept] = file;
	*ret_kept = &kept[n_kept];
	return FILE_ID + n_kept++;
}

static void files_drop(struct backend_files *files, void *it)
{
	ck_assert_ptr_nonnull(it);
	*(intptr_t *)it = 0;
	n_dropped++;
}

static int files_take(struct backend_files *files, uint64_t id, intptr_t *ret_file,
		      void **ret_kept)
{
	if (id < FILE_ID || id >= FILE_ID + n_kept || lost)
		return -ENOENT;
	*ret_file = kept[id - FILE_ID];
	*ret_kept = &kept[id - FILE_ID];
	return *ret_file ? 0 : -ENOENT;
}

static struct backend_files files = { files_keep, files_drop, files_take };
static struct cused_lender lender = { .size = sizeof(lender) };

static void setup_apart(void)
{
	memset(kernel, 0, sizeof(kernel));
	rig_files = &files;
	domains = n_kept = n_dropped = restored = 0;
	lost = false;
	restore_error = swap_answer = 0;
	setup();
	for (unsigned g = 0; g < 2; g++)
		group_set_iommu(before.groups[g], &hardware_ops, NULL);
}

static void teardown_apart(void)
{
	teardown();
	rig_files = NULL;
}

/* The process before is dead: what it closes is nobody's business. Then another one, up to its
 * groups. */
static void another(bool hardware)
{
	side_leave_addresses(&before);
	side_up(&after, snapshot(before.keep));
	for (unsigned g = 0; g < 2 && hardware; g++)
		group_set_iommu(after.groups[g], &hardware_ops, NULL);
}

static void restore(void)
{
	ck_assert_msg(side_restore(&after) == 0, "%s", after.err.text);
}

static void restore_end(void)
{
	ck_assert_msg(topology_restore_end(after.topology, &after.err) == 0, "%s",
		      after.err.text);
}

START_TEST(all_goes_on)
{
	struct container_status s;
	intptr_t file;

	usual(&before);
	ck_assert_int_eq(set_container(&before, 1, 0), 0);
	ck_assert_int_eq(map(&before, 0, 0, RIG_VA, 0x10000, 0x3000), 0);
	ck_assert_int_eq(map(&before, 0, 1, RIG_VA, 0x20000, 0x1000), 0);
	ck_assert_uint_eq(kernel[0].maps, 2);
	another(true);
	restore();
	side_claim(&after, &before);
	restore_end();
	/* Nothing was done to it. */
	ck_assert_uint_eq(restored, 1);
	ck_assert_uint_eq(domains, 1);
	ck_assert_uint_eq(kernel[0].again, 1u << 1 | 1u << 2);
	ck_assert_uint_eq(kernel[0].maps, 2);
	ck_assert_uint_eq(kernel[0].unmaps, 0);
	container_get_status(after.containers[0], &s);
	ck_assert_uint_eq(s.groups, 2);
	ck_assert_uint_eq(s.mappings, 2);
	ck_assert_str_eq(s.driver, "type1");
	ck_assert(device_is_open(after.devices[0]));
	ck_assert(!device_is_open(after.devices[1]));
	ck_assert_uint_eq(after.mms[0].mm.locked_pages, 3);
	/* And it goes on. */
	ck_assert_int_eq(unmap(&after, 0, 0, 0x10000, 0x3000), 0x3000);
	ck_assert_uint_eq(kernel[0].unmaps, 1);
	ck_assert_uint_eq(kernel[0].unmapped.last, 0x12fff);
	ck_assert_int_eq(map(&after, 0, 0, RIG_VA, 0x10000, 0x1000), 0);
	ck_assert_uint_eq(kernel[0].maps, 3);
	/* The last group takes the domain with it, and the file. */
	ck_assert_uint_eq(n_dropped, 0);
	side_close(&after);
	ck_assert_uint_eq(kernel[0].groups, 0);
	ck_assert_uint_eq(n_dropped, 1);
	ck_assert_int_eq(files.take(&files, FILE_ID, &file, &(void *){ NULL }), -ENOENT);
	side_down(&after);
}
END_TEST

/* Twice: what the second knows it has of the first. */
START_TEST(and_on)
{
	struct side third;

	usual(&before);
	ck_assert_int_eq(map(&before, 0, 0, RIG_VA, 0x10000, 0x3000), 0);
	another(true);
	restore();
	side_claim(&after, &before);
	restore_end();
	side_leave_addresses(&after);
	side_up(&third, snapshot(after.keep));
	group_set_iommu(third.groups[0], &hardware_ops, NULL);
	ck_assert_int_eq(side_restore(&third), 0);
	side_claim(&third, &after);
	ck_assert_int_eq(topology_restore_end(third.topology, &third.err), 0);
	ck_assert_int_eq(unmap(&third, 0, 0, 0x10000, 0x3000), 0x3000);
	ck_assert_uint_eq(restored, 2);
	ck_assert_uint_eq(kernel[0].maps, 1);
	side_down(&third);
	side_down(&after);
}
END_TEST

/* Who has swapped has no file of ours; the container lives by its groups. */
static void swapped(void)
{
	swap_answer = 1;
	before.callers[0].lender = &lender;
	usual(&before);
	container_release(before.containers[0]);
	before.containers[0] = NULL;
}

START_TEST(a_swapped_container_is_found_by_its_file)
{
	struct container_arg arg = { 0 };
	struct container_status s;
	struct container *it;

	swapped();
	another(true);
	restore();
	side_claim(&after, &before);
	restore_end();
	ck_assert_ptr_null(container_of_file(after.topology, TOKEN + 1));
	it = container_of_file(after.topology, TOKEN);
	ck_assert_ptr_nonnull(it);
	container_get_status(it, &s);
	ck_assert(s.swapped);
	ck_assert(!s.file_open);
	ck_assert_ptr_eq(it->mm, &after.mms[0].mm);
	/* Another group comes by it; all leave, and it is renewed and kept. */
	arg.container = it;
	ck_assert_int_eq(group_open(after.groups[1], &after.callers[0]), 0);
	after.group_open[1] = true;
	ck_assert_int_eq(group_set_container(after.groups[1], &after.callers[0], &arg), 0);
	ck_assert_uint_eq(kernel[0].groups & 1u << 2, 1u << 2);
	side_close(&after);
	container_get_status(it, &s);
	ck_assert(s.kept);
	ck_assert_uint_eq(it->record.domain.number, 6);
	container_put(it);
	containers_end(after.topology);
	side_down(&after);
	side_close(&before);
	containers_end(before.topology);
}
END_TEST

/* Its client has gone meanwhile. */
START_TEST(a_swapped_container_of_nobody)
{
	struct container *it;

	swapped();
	another(true);
	after.gone_mms = 1;
	restore();
	side_claim(&after, &before);
	restore_end();
	it = container_of_file(after.topology, TOKEN);
	ck_assert_ptr_nonnull(it);
	ck_assert(!it->mm->ops->alive(it->mm));
	container_put(it);
	containers_end(after.topology);
	side_down(&after);
	side_close(&before);
	containers_end(before.topology);
}
END_TEST

START_TEST(a_swapped_container_without_groups)
{
	struct container_arg arg = { 0 };
	struct container_status s;
	struct container *it;

	swapped();
	side_close(&before);
	another(true);
	restore();
	restore_end();
	it = container_of_file(after.topology, TOKEN);
	ck_assert_ptr_nonnull(it);
	container_get_status(it, &s);
	ck_assert(s.kept && s.swapped && !s.file_open);
	ck_assert_ptr_eq(it->mm, &after.mms[0].mm);
	ck_assert_uint_eq(it->record.domain.number, 6);
	ck_assert_uint_eq(kernel[0].renewals, 0);
	/* A group comes by the file, and leaves. */
	arg.container = it;
	ck_assert_int_eq(group_open(after.groups[1], &after.callers[0]), 0);
	after.group_open[1] = true;
	ck_assert_int_eq(group_set_container(after.groups[1], &after.callers[0], &arg), 0);
	ck_assert_uint_eq(kernel[0].groups, 1u << 2);
	container_get_status(it, &s);
	ck_assert(!s.kept);
	ck_assert_uint_eq(domains, 1);
	side_close(&after);
	container_get_status(it, &s);
	ck_assert(s.kept);
	container_put(it);
	ck_assert_uint_eq(n_dropped, 0);
	containers_end(after.topology);
	ck_assert_uint_eq(n_dropped, 1);
	ck_assert_int_eq(keep_get(after.keep, KEEP_CONTAINER, 1, NULL, 0), -ENOENT);
	side_down(&after);
	containers_end(before.topology);
}
END_TEST

/* _i: its group has left the machine; its file was not kept */
START_TEST(one_without_groups_is_forgotten)
{
	swapped();
	side_close(&before);
	another(_i != 0);
	lost = _i == 1;
	restore();
	restore_end();
	ck_assert_ptr_null(container_of_file(after.topology, TOKEN));
	ck_assert_int_eq(keep_get(after.keep, KEEP_CONTAINER, 1, NULL, 0), -ENOENT);
	side_down(&after);
	containers_end(before.topology);
}
END_TEST

/* Without what it is around, the container is one without a driver, and devices are closed. */
START_TEST(a_domain_that_was_not_kept)
{
	struct group_state group;

	usual(&before);
	ck_assert_int_eq(map(&before, 0, 0, RIG_VA, 0x10000, 0x3000), 0);
	another(true);
	lost = true;
	restore();
	after.containers[0] = container_restore_file(after.topology, 1);
	after.group_open[0] = group_restore_file(after.groups[0]);
	ck_assert_ptr_nonnull(after.containers[0]);
	ck_assert(after.group_open[0]);
	restore_end();
	ck_assert_int_eq(container_driver(after.containers[0]), CONTAINER_DRIVER_NONE);
	ck_assert(!device_is_open(after.devices[0]));
	group_get_state(after.groups[0], &group);
	ck_assert_uint_eq(group.container, 1);
	ck_assert_uint_eq(after.mms[0].mm.locked_pages, 0);
	ck_assert_uint_eq(domains, 1);
	/* The client can begin again. */
	ck_assert_int_eq(container_set_iommu(after.containers[0], &after.callers[0], 3), 0);
	ck_assert_uint_eq(domains, 2);
	side_down(&after);
}
END_TEST

START_TEST(memory_runs_out)
{
	usual(&before);
	another(true);
	restore_error = -ENOMEM;
	ck_assert_int_eq(side_restore(&after), -ENOMEM);
	ck_assert_uint_eq(n_dropped, 1);
	kept[0] = TOKEN;			/* the process before has it still */
	side_down(&after);
}
END_TEST

/* The device has gone from the machine, and a simulated one has its group's number, or nothing. */
START_TEST(another_kind_of_group_has_its_number)
{
	struct group_state group;

	usual(&before);
	another(false);
	restore();
	after.group_open[0] = group_restore_file(after.groups[0]);
	after.containers[0] = container_restore_file(after.topology, 1);
	restore_end();
	ck_assert(after.group_open[0]);
	group_get_state(after.groups[0], &group);
	ck_assert_uint_eq(group.container, 0);
	ck_assert_int_eq(container_driver(after.containers[0]), CONTAINER_DRIVER_NONE);
	ck_assert(!device_is_open(after.devices[0]));
	ck_assert_uint_eq(restored, 0);
	side_down(&after);
}
END_TEST

/* Nobody keeps the files of backends. */
START_TEST(without_files_it_begins_anew)
{
	side_down(&before);
	rig_teardown_all();
	rig_files = NULL;
	setup();
	group_set_iommu(before.groups[0], &hardware_ops, NULL);
	usual(&before);
	ck_assert_uint_eq(n_kept, 0);
	another(true);
	restore();
	ck_assert(!group_restore_file(after.groups[0]));
	restore_end();
	ck_assert_uint_eq(restored, 0);
	side_down(&after);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("restore_apart");
	TCase *cases = tcase_create("cases");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup_apart, teardown_apart);
	tcase_add_test(cases, all_goes_on);
	tcase_add_test(cases, and_on);
	tcase_add_test(cases, a_swapped_container_is_found_by_its_file);
	tcase_add_test(cases, a_swapped_container_of_nobody);
	tcase_add_test(cases, a_swapped_container_without_groups);
	tcase_add_loop_test(cases, one_without_groups_is_forgotten, 0, 2);
	tcase_add_test(cases, a_domain_that_was_not_kept);
	tcase_add_test(cases, memory_runs_out);
	tcase_add_test(cases, another_kind_of_group_has_its_number);
	tcase_add_test(cases, without_files_it_begins_anew);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
