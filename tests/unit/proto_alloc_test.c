/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/proto_alloc_test.c - the 1st, 2nd, 3rd … allocation of each call fails, until the
 * call gets through. A call that failed says ENOMEM and has changed nothing: the same
 * call made again works, and in the end nothing is held.
 */
#include <check.h>

#include "unit/alloc_fail.h"
#include "unit/harness.h"

enum { CONTAINER, GROUP1, GROUP2, DEVICE, EVENT, FILES };

static struct world world;
static struct client client;
static int fds[FILES];

#define IOVA 0x200000

/* ---- how far things are set up before the call ---- */

enum readiness { NOTHING, OPEN, ATTACHED, DRIVER, EVERYTHING };

static void prepare(enum readiness readiness)
{
	client_init(&client);
	if (readiness >= OPEN) {
		fds[CONTAINER] = client_open_container(&client, world.topology);
		fds[GROUP1] = client_open_group(&client, world.g1);
		fds[GROUP2] = client_open_group(&client, world.g2);
		fds[EVENT] = client_eventfd(&client);
	}
	if (readiness >= ATTACHED)
		ck_assert_int_eq(client_set_container(&client, fds[GROUP1],
						      fds[CONTAINER]), 0);
	if (readiness >= DRIVER) {
		ck_assert_int_eq(client_ioctl(&client, fds[CONTAINER], VFIO_SET_IOMMU, 3), 0);
		ck_assert_int_eq(client_map(&client, fds[CONTAINER], 3, client_page(8),
					    IOVA, 4096), 0);
	}
	if (readiness >= EVERYTHING) {
		fds[DEVICE] = client_get_device(&client, fds[GROUP1], "0000:01:00.0");
		ck_assert_int_ge(fds[DEVICE], 0);
	}
}

/* ---- the calls ---- */

static int64_t open_container(void)
{
	return client_open_container(&client, world.topology);
}

static int64_t open_group(void)
{
	return client_open_group(&client, world.g1);
}

static int64_t set_container(void)
{
	return client_set_container(&client, fds[GROUP1], fds[CONTAINER]);
}

/* CG-076 CG-120: into a container with a driver and mappings. */
static int64_t set_second_container(void)
{
	return client_set_container(&client, fds[GROUP2], fds[CONTAINER]);
}

static int64_t set_iommu(void)
{
	return client_ioctl(&client, fds[CONTAINER], VFIO_SET_IOMMU, 1);
}

/* CG-093 */
static int64_t get_device(void)
{
	return client_get_device(&client, fds[GROUP1], "0000:01:00.0");
}

static int64_t get_status(void)
{
	struct vfio_group_status arg = { .argsz = sizeof(arg) };

	return client_ioctl_struct(&client, fds[GROUP1], VFIO_GROUP_GET_STATUS, &arg,
				   sizeof(arg));
}

/* T1-003 */
static int64_t get_iommu_info(void)
{
	uint32_t arg[64] = { sizeof(arg) };

	return client_ioctl_struct(&client, fds[CONTAINER], VFIO_IOMMU_GET_INFO, arg,
				   sizeof(arg));
}

/* T1-029 T1-039 */
static int64_t map(void)
{
	return client_map(&client, fds[CONTAINER], 3, client_page(9), IOVA + 4096, 8192);
}

static int64_t unmap(void)
{
	return client_unmap(&client, fds[CONTAINER], 0, IOVA, 4096, NULL);
}

static int64_t dirty(uint32_t flags)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap dirty;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} arg = { { .argsz = sizeof(arg), .flags = flags },
		  { IOVA, 4096, { 4096, 8, (void *)(uintptr_t)client_page(10) } } };

	return client_ioctl_struct(&client, fds[CONTAINER], VFIO_IOMMU_DIRTY_PAGES, &arg,
				   sizeof(arg));
}

static int64_t dirty_start(void)
{
	return dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
}

static int64_t dirty_all(void)
{
	int64_t r = dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START);

	if (!r)
		r = dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP);
	return r ? r : dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
}

static int64_t device_infos(void)
{
	uint32_t arg[64] = { sizeof(arg) };
	int64_t r = client_ioctl_struct(&client, fds[DEVICE], VFIO_DEVICE_GET_INFO, arg,
					sizeof(arg));

	arg[2] = 0;
	if (!r)
		r = client_ioctl_struct(&client, fds[DEVICE], VFIO_DEVICE_GET_REGION_INFO,
					arg, sizeof(arg));
	arg[0] = sizeof(arg);
	arg[2] = VFIO_PCI_MSIX_IRQ_INDEX;
	return r ? r : client_ioctl_struct(&client, fds[DEVICE], VFIO_DEVICE_GET_IRQ_INFO,
					   arg, sizeof(arg));
}

static int64_t irqs(uint32_t index, uint32_t action, uint32_t count)
{
	struct {
		struct vfio_irq_set set;
		int32_t fds[SCRATCH_VECTORS];
	} arg = { .set = { .argsz = sizeof(arg), .index = index, .count = count,
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | action } };

	for (unsigned i = 0; i < SCRATCH_VECTORS; i++)
		arg.fds[i] = fds[EVENT];
	return client_ioctl_struct(&client, fds[DEVICE], VFIO_DEVICE_SET_IRQS, &arg,
				   sizeof(arg));
}

static int64_t irqs_msix(void)
{
	return irqs(VFIO_PCI_MSIX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, SCRATCH_VECTORS);
}

static int64_t irqs_intx(void)
{
	return irqs(VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, 1);
}

static int64_t irqs_err(void)
{
	return irqs(VFIO_PCI_ERR_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, 1);
}

static int64_t irqs_req(void)
{
	return irqs(VFIO_PCI_REQ_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, 1);
}

static int64_t ioeventfd(void)
{
	struct vfio_device_ioeventfd arg = { .argsz = sizeof(arg),
		.flags = VFIO_DEVICE_IOEVENTFD_32, .offset = SCRATCH_DATA, .data = 7,
		.fd = fds[EVENT] };

	return client_ioctl_struct(&client, fds[DEVICE], VFIO_DEVICE_IOEVENTFD, &arg,
				   sizeof(arg));
}

static int64_t low_power(void)
{
	struct {
		uint32_t argsz, flags;
		int32_t fd;
		uint32_t reserved;
	} arg = { sizeof(arg), VFIO_DEVICE_FEATURE_SET | 4, fds[EVENT], 0 };

	return client_ioctl_struct(&client, fds[DEVICE], VFIO_DEVICE_FEATURE, &arg,
				   sizeof(arg));
}

static int64_t device_reset_call(void)
{
	return client_ioctl(&client, fds[DEVICE], VFIO_DEVICE_RESET, 0);
}

static int64_t hot_reset_info(void)
{
	uint32_t arg[64] = { sizeof(arg) };

	return client_ioctl_struct(&client, fds[DEVICE], VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
				   arg, sizeof(arg));
}

static int64_t hot_reset(void)
{
	struct {
		struct vfio_pci_hot_reset reset;
		int32_t fds[1];
	} arg = { .reset = { .argsz = sizeof(arg), .count = 1 }, .fds = { fds[GROUP1] } };

	return client_ioctl_struct(&client, fds[DEVICE], VFIO_DEVICE_PCI_HOT_RESET, &arg,
				   sizeof(arg));
}

struct sweep {
	const char *name;
	enum readiness readiness;
	int64_t (*call)(void);
	int allocations;	/* at least so many, so that the sweep is one */
};

static const struct sweep sweeps[] = {
	{ "open container", NOTHING, open_container, 2 },
	{ "open group", NOTHING, open_group, 1 },
	{ "GROUP_GET_STATUS", OPEN, get_status, 0 },
	{ "GROUP_SET_CONTAINER", OPEN, set_container, 1 },
	{ "GROUP_SET_CONTAINER with driver", DRIVER, set_second_container, 1 },
	{ "SET_IOMMU", ATTACHED, set_iommu, 1 },
	{ "GROUP_GET_DEVICE_FD", DRIVER, get_device, 3 },
	{ "IOMMU_GET_INFO", DRIVER, get_iommu_info, 0 },
	{ "MAP_DMA", DRIVER, map, 0 },
	{ "UNMAP_DMA", DRIVER, unmap, 0 },
	{ "DIRTY_PAGES start", DRIVER, dirty_start, 0 },
	{ "DIRTY_PAGES", DRIVER, dirty_all, 0 },
	{ "device information", EVERYTHING, device_infos, 0 },
	{ "SET_IRQS MSI-X", EVERYTHING, irqs_msix, SCRATCH_VECTORS + 1 },
	{ "SET_IRQS INTx", EVERYTHING, irqs_intx, 1 },
	{ "SET_IRQS ERR", EVERYTHING, irqs_err, 1 },
	{ "SET_IRQS REQ", EVERYTHING, irqs_req, 1 },
	{ "IOEVENTFD", EVERYTHING, ioeventfd, 2 },
	{ "FEATURE low power", EVERYTHING, low_power, 1 },
	{ "RESET", EVERYTHING, device_reset_call, 0 },
	{ "PCI_HOT_RESET_INFO", EVERYTHING, hot_reset_info, 0 },
	{ "PCI_HOT_RESET", EVERYTHING, hot_reset, 0 },
};

#define N_SWEEPS (sizeof(sweeps) / sizeof(sweeps[0]))

static struct container_status status_of_container(void)
{
	struct container_status status = { 0 };

	if (client_file(&client, fds[CONTAINER]))
		container_get_status(client.fds[fds[CONTAINER]]->object.container, &status);
	return status;
}

/* Return: whether the n-th allocation of the call was reached. */
static bool sweep_one(const struct sweep *sweep, unsigned nth)
{
	struct container_status before, after;
	int64_t r;
	bool hit;

	memset(fds, -1, sizeof(fds));
	prepare(sweep->readiness);
	before = status_of_container();
	alloc_fail_arm(nth);
	r = sweep->call();
	hit = alloc_fail_disarm();
	if (hit && r < 0) {
		ck_assert_msg(r == -ENOMEM, "%s, allocation %u: %d", sweep->name, nth, (int)r);
		after = status_of_container();
		ck_assert_uint_eq(after.groups, before.groups);
		ck_assert_uint_eq(after.mappings, before.mappings);
		ck_assert_uint_eq(after.mapped_bytes, before.mapped_bytes);
		r = sweep->call();
	}
	ck_assert_msg(r >= 0, "%s after allocation %u: %d", sweep->name, nth, (int)r);
	ck_assert_msg(client_exit(&client), "%s, allocation %u: memory is held",
		      sweep->name, nth);
	ck_assert(!device_is_open(world.d10));
	return hit;
}

/* CG-093 T1-003 T1-029 T1-039 T1-114 */
START_TEST(every_allocation_fails_once)
{
	const struct sweep *sweep = &sweeps[_i];
	unsigned nth = 1;

	world_init(&world, NULL);
	while (sweep_one(sweep, nth))
		ck_assert_uint_lt(++nth, 1000);
	ck_assert_msg((int)nth - 1 >= sweep->allocations, "%s made %u allocations only",
		      sweep->name, nth - 1);
	world_done(&world);
}
END_TEST

/* The fast path: small calls do not allocate. */
START_TEST(small_calls_do_not_allocate)
{
	static int64_t (*const calls[])(void) = { get_status, get_iommu_info, unmap,
		device_infos, device_reset_call };

	world_init(&world, NULL);
	prepare(EVERYTHING);
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int64_t r;
		bool hit;

		alloc_fail_arm(1);
		r = calls[i]();
		hit = alloc_fail_disarm();
		ck_assert_msg(!hit && r == 0, "call %u: %d, allocates: %d", i, (int)r, hit);
	}
	ck_assert(client_exit(&client));
	world_done(&world);
}
END_TEST

/* A world that could not be made leaves nothing behind either. */
static int make_world(void)
{
	struct topology_params params = { 0 };
	struct device_params device_params = { .ops = &scratch_ops };
	struct cused_error err = { "" };
	struct topology *topology;
	struct device *device;
	struct group *group;
	int r = topology_new(&params, &topology);

	if (r)
		return r;
	r = iommu_driver_register(topology, &iommu_noiommu_driver);
	if (!r)
		r = topology_add_group(topology, 1, GROUP_REAL, &group);
	if (!r) {
		r = topology_add_device(topology, group, &device_params, &device, &err);
		if (r && !err.text[0])
			r = -EPROTO;	/* a failure without a reason */
	}
	topology_free(topology);
	return r;
}

START_TEST(worlds_fail_whole)
{
	unsigned nth = 0;
	bool hit;
	int r;

	do {
		alloc_fail_arm(++nth);
		r = make_world();
		hit = alloc_fail_disarm();
		ck_assert_int_eq(r, hit ? -ENOMEM : 0);
	} while (hit);
	ck_assert_uint_gt(nth, 5);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("proto_alloc");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, every_allocation_fails_once, 0, N_SWEEPS);
	tcase_add_test(tc, small_calls_do_not_allocate);
	tcase_add_test(tc, worlds_fail_whole);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
