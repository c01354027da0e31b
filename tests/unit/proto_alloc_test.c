/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/proto_alloc_test.c - the 1st, 2nd, 3rd … allocation of each call fails, until the
 * call gets through, for each row of ioctls.def and in each state that a client can call
 * it in. A call that failed says ENOMEM and has changed nothing: the same call made again
 * answers as if there had been no failure, and leaves as much behind. In the end nothing
 * is held. Small calls have room within them, so each is swept a second time without it,
 * as a large one would be.
 */
#include <check.h>
#include <stdio.h>

#include "unit/alloc_fail.h"
#include "unit/harness.h"

enum { CONTAINER, GROUP1, GROUP2, DEVICE, EVENT, FILES };

static struct world world;
static struct client client;
static int fds[FILES];
static bool no_room;

#define IOVA 0x200000
/* Linux 6.12; not in older headers. */
#define CALL_BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)

/* ---- how far things are set up before the call ---- */

enum readiness { NOTHING, OPEN, ATTACHED, DRIVER, EVERYTHING, BUSY, READINESS };

static const char *const readiness_names[READINESS] = {
	"nothing", "open", "attached", "driver", "device", "busy",
};

static int64_t irqs_msix(void);
static int64_t ioeventfd(void);
static int64_t dirty_start(void);

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
	if (readiness >= BUSY) {
		ck_assert_int_eq(irqs_msix(), 0);
		ck_assert_int_eq(ioeventfd(), 0);
		ck_assert_int_eq(dirty_start(), 0);
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

static int64_t dirty_get(void)
{
	return dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP);
}

static int64_t dirty_stop(void)
{
	return dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
}

/* One that fills a struct from argsz on. */
static int64_t ask(int fd, unsigned cmd, uint32_t index)
{
	uint32_t arg[64] = { sizeof(arg), 0, index };

	return client_ioctl_struct(&client, fd, cmd, arg, sizeof(arg));
}

static int64_t get_info(void)
{
	return ask(fds[DEVICE], VFIO_DEVICE_GET_INFO, 0);
}

static int64_t region_info(void)
{
	return ask(fds[DEVICE], VFIO_DEVICE_GET_REGION_INFO, 0);
}

static int64_t irq_info(void)
{
	return ask(fds[DEVICE], VFIO_DEVICE_GET_IRQ_INFO, VFIO_PCI_MSIX_IRQ_INDEX);
}

static int64_t get_api_version(void)
{
	return client_ioctl(&client, fds[CONTAINER], VFIO_GET_API_VERSION, 0);
}

static int64_t check_extension(void)
{
	return client_ioctl(&client, fds[CONTAINER], VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU);
}

static int64_t unset_container(void)
{
	return client_ioctl(&client, fds[GROUP1], VFIO_GROUP_UNSET_CONTAINER, 0);
}

/* PCI-001 CD-011 */
static int64_t bind_iommufd(void)
{
	uint32_t arg[4096 / 4] = { sizeof(arg) };

	return client_ioctl_struct(&client, fds[DEVICE], CALL_BIND_IOMMUFD, arg, sizeof(arg));
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

static int64_t irqs_none(void)
{
	return irqs(VFIO_PCI_MSIX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, 0);
}

static int64_t irqs_msi(void)
{
	return irqs(VFIO_PCI_MSI_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, 4);
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
	return ask(fds[DEVICE], VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, 0);
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

/* ---- the sweeps ---- */

struct sweep {
	const char *name;
	unsigned cmd;			/* 0: an open() */
	enum readiness from;		/* the first state that there is an fd for it in */
	enum readiness apt;		/* where it works, READINESS: nowhere; there it makes */
	int64_t (*call)(void);
	int allocations;		/* so many or more, so that the sweep is one */
};

static const struct sweep sweeps[] = {
	{ "open container", 0, NOTHING, NOTHING, open_container, 2 },
	{ "open group", 0, NOTHING, NOTHING, open_group, 1 },
	{ "GET_API_VERSION", VFIO_GET_API_VERSION, OPEN, OPEN, get_api_version, 0 },
	{ "CHECK_EXTENSION", VFIO_CHECK_EXTENSION, OPEN, OPEN, check_extension, 0 },
	{ "SET_IOMMU", VFIO_SET_IOMMU, OPEN, ATTACHED, set_iommu, 1 },
	{ "IOMMU_GET_INFO", VFIO_IOMMU_GET_INFO, OPEN, DRIVER, get_iommu_info, 0 },
	{ "MAP_DMA", VFIO_IOMMU_MAP_DMA, OPEN, DRIVER, map, 0 },
	{ "UNMAP_DMA", VFIO_IOMMU_UNMAP_DMA, OPEN, DRIVER, unmap, 0 },
	{ "DIRTY_PAGES start", VFIO_IOMMU_DIRTY_PAGES, OPEN, DRIVER, dirty_start, 0 },
	{ "DIRTY_PAGES get", VFIO_IOMMU_DIRTY_PAGES, OPEN, BUSY, dirty_get, 0 },
	{ "DIRTY_PAGES stop", VFIO_IOMMU_DIRTY_PAGES, OPEN, BUSY, dirty_stop, 0 },
	{ "GROUP_GET_STATUS", VFIO_GROUP_GET_STATUS, OPEN, OPEN, get_status, 0 },
	{ "SET_CONTAINER", VFIO_GROUP_SET_CONTAINER, OPEN, OPEN, set_container, 1 },
	{ "SET_CONTAINER, 2nd group", VFIO_GROUP_SET_CONTAINER, OPEN, DRIVER,
	  set_second_container, 1 },
	{ "UNSET_CONTAINER", VFIO_GROUP_UNSET_CONTAINER, OPEN, DRIVER, unset_container, 0 },
	{ "GET_DEVICE_FD", VFIO_GROUP_GET_DEVICE_FD, OPEN, DRIVER, get_device, 3 },
	{ "DEVICE_GET_INFO", VFIO_DEVICE_GET_INFO, EVERYTHING, EVERYTHING, get_info, 0 },
	{ "GET_REGION_INFO", VFIO_DEVICE_GET_REGION_INFO, EVERYTHING, EVERYTHING,
	  region_info, 0 },
	{ "GET_IRQ_INFO", VFIO_DEVICE_GET_IRQ_INFO, EVERYTHING, EVERYTHING, irq_info, 0 },
	{ "SET_IRQS MSI-X", VFIO_DEVICE_SET_IRQS, EVERYTHING, EVERYTHING, irqs_msix,
	  SCRATCH_VECTORS + 1 },
	{ "SET_IRQS none", VFIO_DEVICE_SET_IRQS, EVERYTHING, BUSY, irqs_none, 0 },
	{ "SET_IRQS MSI", VFIO_DEVICE_SET_IRQS, EVERYTHING, EVERYTHING, irqs_msi, 4 },
	{ "SET_IRQS INTx", VFIO_DEVICE_SET_IRQS, EVERYTHING, EVERYTHING, irqs_intx, 1 },
	{ "SET_IRQS ERR", VFIO_DEVICE_SET_IRQS, EVERYTHING, EVERYTHING, irqs_err, 1 },
	{ "SET_IRQS REQ", VFIO_DEVICE_SET_IRQS, EVERYTHING, EVERYTHING, irqs_req, 1 },
	{ "DEVICE_RESET", VFIO_DEVICE_RESET, EVERYTHING, EVERYTHING, device_reset_call, 0 },
	{ "PCI_HOT_RESET_INFO", VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, EVERYTHING, EVERYTHING,
	  hot_reset_info, 0 },
	{ "PCI_HOT_RESET", VFIO_DEVICE_PCI_HOT_RESET, EVERYTHING, EVERYTHING, hot_reset, 0 },
	{ "IOEVENTFD", VFIO_DEVICE_IOEVENTFD, EVERYTHING, EVERYTHING, ioeventfd, 2 },
	{ "FEATURE low power", VFIO_DEVICE_FEATURE, EVERYTHING, EVERYTHING, low_power, 1 },
	{ "BIND_IOMMUFD", CALL_BIND_IOMMUFD, EVERYTHING, READINESS, bind_iommufd, 1 },
};

#define N_SWEEPS (sizeof(sweeps) / sizeof(sweeps[0]))

/* What can be counted from outside, before and after. */
struct counts {
	struct container_status container;
	int64_t viable;			/* and flags of the group's status */
	unsigned fds;
	bool open;
};

static struct counts count(void)
{
	struct vfio_group_status arg = { .argsz = sizeof(arg) };
	struct counts counts;

	memset(&counts, 0, sizeof(counts));
	if (client_file(&client, fds[CONTAINER]))
		container_get_status(client.fds[fds[CONTAINER]]->object.container,
				     &counts.container);
	if (client_file(&client, fds[GROUP1])) {
		client_ioctl_struct(&client, fds[GROUP1], VFIO_GROUP_GET_STATUS, &arg,
				    sizeof(arg));
		counts.viable = arg.flags;
	}
	for (unsigned fd = 0; fd < CLIENT_FDS; fd++)
		counts.fds += client.fds[fd] != NULL;
	counts.open = device_is_open(world.d10);
	return counts;
}

static bool counts_equal(const struct counts *a, const struct counts *b)
{
	return a->container.groups == b->container.groups &&
	       a->container.mappings == b->container.mappings &&
	       a->container.mapped_bytes == b->container.mapped_bytes &&
	       a->viable == b->viable && a->fds == b->fds && a->open == b->open;
}

/* What the call does when there is memory. */
struct outcome {
	int64_t result;
	struct counts counts;
};

static void finish(const struct sweep *sweep, enum readiness state, unsigned nth)
{
	ck_assert_msg(client_exit(&client), "%s, %s, allocation %u: memory is held",
		      sweep->name, readiness_names[state], nth);
	ck_assert(!device_is_open(world.d10));
}

static struct outcome without_failure(const struct sweep *sweep, enum readiness state)
{
	struct outcome outcome;

	memset(fds, -1, sizeof(fds));
	prepare(state);
	outcome.result = sweep->call();
	outcome.counts = count();
	finish(sweep, state, 0);
	return outcome;
}

/* Return: whether the n-th allocation of the call was reached. */
static bool sweep_one(const struct sweep *sweep, enum readiness state, unsigned nth,
		      const struct outcome *expected)
{
	struct counts before, after;
	int64_t r;
	bool hit;

	memset(fds, -1, sizeof(fds));
	prepare(state);
	before = count();
	client.no_room = no_room;
	alloc_fail_arm(nth);
	r = sweep->call();
	hit = alloc_fail_disarm();
	if (hit && r == -ENOMEM) {
		after = count();
		ck_assert_msg(counts_equal(&before, &after), "%s, %s, allocation %u: half done",
			      sweep->name, readiness_names[state], nth);
		r = sweep->call();
	}
	after = count();
	ck_assert_msg(r == expected->result, "%s, %s, allocation %u: %d, without failure %d",
		      sweep->name, readiness_names[state], nth, (int)r,
		      (int)expected->result);
	ck_assert_msg(counts_equal(&after, &expected->counts),
		      "%s, %s, allocation %u: leaves something else behind", sweep->name,
		      readiness_names[state], nth);
	finish(sweep, state, nth);
	return hit;
}

/* Return: how many allocations there were. */
static unsigned sweep_state(const struct sweep *sweep, enum readiness state,
			    const struct outcome *expected)
{
	unsigned nth = 1;

	while (sweep_one(sweep, state, nth, expected))
		ck_assert_uint_lt(++nth, 1000);
	return nth - 1;
}

/* CG-093 T1-003 T1-029 T1-039 T1-114 */
START_TEST(every_allocation_fails_once)
{
	const struct sweep *sweep = &sweeps[_i];
	enum readiness last = sweep->from == NOTHING ? NOTHING : BUSY;
	char line[256];
	size_t at = (size_t)snprintf(line, sizeof(line), "%-26s", sweep->name);

	world_init(&world, NULL);
	for (enum readiness state = sweep->from; state <= last; state++) {
		struct outcome expected = without_failure(sweep, state);
		unsigned small, large;

		no_room = false;
		small = sweep_state(sweep, state, &expected);
		no_room = true;
		large = sweep_state(sweep, state, &expected);
		at += (size_t)snprintf(line + at, sizeof(line) - at, "  %s %u/%u",
				       readiness_names[state], small, large);
		if (state != sweep->apt)
			continue;
		ck_assert_msg(expected.result >= 0, "%s: %d", sweep->name,
			      (int)expected.result);
		ck_assert_msg((int)small >= sweep->allocations,
			      "%s made %u allocations only", sweep->name, small);
	}
	printf("%s\n", line);
	world_done(&world);
}
END_TEST

/* A row of ioctls.def without a sweep. */
START_TEST(every_row_is_swept)
{
#define BY_VALUE(object, command, ...) { command, #command },
#define POINTER(object, command, ...) { command, #command },
#define ARGSZ(object, command, ...) { command, #command },
	static const struct { unsigned cmd; const char *name; } rows[] = {
#include <proto/ioctls.def>
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned n = 0;

		for (unsigned j = 0; j < N_SWEEPS; j++)
			n += sweeps[j].cmd == rows[i].cmd;
		ck_assert_msg(n > 0, "%s of ioctls.def has no sweep", rows[i].name);
	}
}
END_TEST

/* The fast path: small calls do not allocate. */
START_TEST(small_calls_do_not_allocate)
{
	static int64_t (*const calls[])(void) = { get_status, get_iommu_info, unmap,
		get_info, region_info, irq_info, device_reset_call };

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
	tcase_add_test(tc, every_row_is_swept);
	tcase_add_test(tc, small_calls_do_not_allocate);
	tcase_add_test(tc, worlds_fail_whole);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
