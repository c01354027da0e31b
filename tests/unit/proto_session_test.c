/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/proto_session_test.c - what whole clients do, through every layer below the
 * transport: type1, the simulated IOMMU and a device of the scratch model.
 */
#include <check.h>
#include <pthread.h>
#include <sched.h>

#include "unit/harness.h"

static struct world world;
static struct client client;
static int container_fd, group_fd, device_fd;

#define IOVA 0x400000

static void setup(void)
{
	world_init(&world, NULL);
	client_init(&client);
	client.caller.cap_sys_rawio = true;
	container_fd = client_open_container(&client, world.topology);
	ck_assert_int_ge(container_fd, 0);
}

static void teardown(void)
{
	ck_assert(client_exit(&client));
	world_done(&world);
}

static void start(struct group *group, const char *name, unsigned iommu)
{
	group_fd = client_open_group(&client, group);
	ck_assert_int_eq(client_set_container(&client, group_fd, container_fd), 0);
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_SET_IOMMU, iommu), 0);
	device_fd = client_get_device(&client, group_fd, name);
	ck_assert_int_ge(device_fd, 0);
}

/* ---- CHECK_EXTENSION, the whole table ---- */

#define EXTENSIONS 13

static void check_extensions(const int expected[EXTENSIONS])
{
	for (uint64_t id = 0; id < EXTENSIONS; id++) {
		int64_t r = client_ioctl(&client, container_fd, VFIO_CHECK_EXTENSION, id);

		ck_assert_msg(r == expected[id], "extension %d: %d", (int)id, (int)r);
	}
}

/* CG-025 CG-026 CG-027 CG-028 CG-029 CG-030 CG-031 CG-032 CG-033 CG-034 CG-035: columns
 * "none", "type1 set" and "noiommu set"; spapr is not registered. */
START_TEST(extensions)
{
	static const int none[EXTENSIONS] = { [1] = 1, [3] = 1, [8] = 1, [9] = 1 };
	static const int real[EXTENSIONS] = { [1] = 1, [3] = 1, [9] = 1 };
	static const int type1[EXTENSIONS] = { [1] = 1, [3] = 1, [4] = 1, [9] = 1, [10] = 1 };
	static const int emulated[EXTENSIONS] = { [1] = 1, [3] = 1, [4] = 1, [9] = 1 };
	static const int noiommu[EXTENSIONS] = { [8] = 1 };
	int group;

	check_extensions(none);
	group = client_open_group(&client, world.g1);
	client_set_container(&client, group, container_fd);
	check_extensions(real);
	client_ioctl(&client, container_fd, VFIO_SET_IOMMU, 1);
	check_extensions(type1);
	client_close(&client, group);
	check_extensions(none);

	group = client_open_group(&client, world.emulated);
	client_set_container(&client, group, container_fd);
	check_extensions(real);
	client_ioctl(&client, container_fd, VFIO_SET_IOMMU, 3);
	check_extensions(emulated);
	client_close(&client, group);

	group = client_open_group(&client, world.noiommu);
	client_set_container(&client, group, container_fd);
	check_extensions(noiommu);
	client_ioctl(&client, container_fd, VFIO_SET_IOMMU, 8);
	check_extensions(noiommu);
}
END_TEST

/* CG-039 CG-040 CG-044: the examples of section 4.3. */
START_TEST(set_iommu_examples)
{
	static const struct { uint64_t id; int expected; } cases[] = {
		{ 0, -ENODEV }, { 2, -ENODEV }, { 4, -ENODEV }, { 5, -ENODEV },
		{ 6, -ENODEV }, { 7, -ENODEV }, { 8, -ENODEV }, { 9, -EINVAL },
		{ 10, -ENODEV }, { 11, -ENODEV }, { 1ull << 32 | 1, -ENODEV }, { 1, 0 },
	};
	int group = client_open_group(&client, world.g1);

	client_set_container(&client, group, container_fd);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t r = client_ioctl(&client, container_fd, VFIO_SET_IOMMU, cases[i].id);

		ck_assert_msg(r == cases[i].expected, "id %#llx: %d",
			      (unsigned long long)cases[i].id, (int)r);
	}
}
END_TEST

/* CG-048 T1-014 T1-037 T1-068 PCI-012: map, DMA both ways, unmap. */
START_TEST(dma)
{
	uint64_t value = 0x0123456789abcdef, seen, size;

	start(world.g1, "0000:01:00.0", 3);
	ck_assert_int_eq(client_map(&client, container_fd, 3, client_page(4), IOVA, 8192), 0);
	memcpy(client_at(&client, client_page(4) + 64), &value, 8);
	ck_assert_int_eq(client_device_dma(&client, device_fd, IOVA + 64, &seen), -EACCES);
	client_bus_master(&client, device_fd, true);
	ck_assert_int_eq(client_device_dma(&client, device_fd, IOVA + 64, &seen), 0);
	ck_assert_uint_eq(seen, value);
	client_put(&client, device_fd, SCRATCH_DATA, ~value);
	client_put(&client, device_fd, SCRATCH_IOVA, IOVA + 4096 - 4);
	client_put(&client, device_fd, SCRATCH_DMA, 2);
	memcpy(&seen, client_at(&client, client_page(5) - 4), 8);
	ck_assert_uint_eq(seen, ~value);
	ck_assert_int_eq(client_unmap(&client, container_fd, 0, IOVA, 8192, &size), 0);
	ck_assert_uint_eq(size, 8192);
	ck_assert_int_eq(client_device_dma(&client, device_fd, IOVA + 64, &seen), -EFAULT);
}
END_TEST

/* CG-146: a noiommu device has no map to go through. */
START_TEST(noiommu_dma)
{
	uint64_t seen;

	start(world.noiommu, "0000:04:00.0", 8);
	client_bus_master(&client, device_fd, true);
	ck_assert_int_eq(client_device_dma(&client, device_fd, IOVA, &seen), -EFAULT);
	ck_assert_int_eq(client_map(&client, container_fd, 3, client_page(4), IOVA, 4096),
			 -ENOTTY);
}
END_TEST

static int64_t set_irqs(uint32_t flags, uint32_t index, uint32_t start_at, uint32_t count,
			const int32_t *fds)
{
	struct {
		struct vfio_irq_set set;
		int32_t fds[16];
	} arg = { .set = { .argsz = sizeof(arg), .flags = flags, .index = index,
		.start = start_at, .count = count } };

	for (uint32_t i = 0; fds && i < count; i++)
		arg.fds[i] = fds[i];
	return client_ioctl_struct(&client, device_fd, VFIO_DEVICE_SET_IRQS, &arg, sizeof(arg));
}

#define TRIGGER(data) (VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_##data)
#define UNMASK(data) (VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_##data)

/* PCI-080 PCI-085 PCI-092 PCI-094: MSI-X from SET_IRQS to the client's eventfds. */
START_TEST(msix)
{
	int32_t fds[SCRATCH_VECTORS];

	start(world.g1, "0000:01:00.1", 1);
	client_bus_master(&client, device_fd, true);
	for (int i = 0; i < SCRATCH_VECTORS; i++)
		fds[i] = client_eventfd(&client);
	ck_assert_int_eq(set_irqs(TRIGGER(EVENTFD), VFIO_PCI_MSIX_IRQ_INDEX, 0,
				  SCRATCH_VECTORS, fds), 0);
	client_put(&client, device_fd, SCRATCH_MSI, 5);
	for (int i = 0; i < SCRATCH_VECTORS; i++)
		ck_assert_uint_eq(client_drain(&client, fds[i]), i == 5);
	ck_assert_int_eq(set_irqs(TRIGGER(NONE), VFIO_PCI_MSIX_IRQ_INDEX, 2, 2, NULL), 0);
	ck_assert_uint_eq(client_drain(&client, fds[2]), 1);
	ck_assert_uint_eq(client_drain(&client, fds[3]), 1);

	fds[1] = 63;			/* not open: what came before it is lost as well */
	ck_assert_int_eq(set_irqs(TRIGGER(EVENTFD), VFIO_PCI_MSIX_IRQ_INDEX, 0, 3, fds),
			 -EBADF);
	client_put(&client, device_fd, SCRATCH_MSI, 0);
	client_put(&client, device_fd, SCRATCH_MSI, 2);
	ck_assert_uint_eq(client_drain(&client, fds[0]), 0);
	ck_assert_uint_eq(client_drain(&client, fds[2]), 1);
	ck_assert_int_eq(set_irqs(TRIGGER(NONE), VFIO_PCI_MSIX_IRQ_INDEX, 0, 0, NULL), 0);
	for (int i = 2; i < SCRATCH_VECTORS; i++)
		ck_assert_int_eq(client.fds[fds[i]]->eventfd->refs, 1);
}
END_TEST

/* PCI-065 PCI-068 PCI-075: INTx is masked when it fires, and an eventfd unmasks it. */
START_TEST(intx)
{
	int32_t trigger = client_eventfd(&client), unmask = client_eventfd(&client);

	start(world.g1, "0000:01:00.0", 1);
	ck_assert_int_eq(set_irqs(TRIGGER(EVENTFD), VFIO_PCI_INTX_IRQ_INDEX, 0, 1, &trigger),
			 0);
	ck_assert_int_eq(set_irqs(UNMASK(EVENTFD), VFIO_PCI_INTX_IRQ_INDEX, 0, 1, &unmask), 0);
	client_put(&client, device_fd, SCRATCH_INTX, 1);
	ck_assert_uint_eq(client_drain(&client, trigger), 1);
	client_signal(&client, unmask);		/* still asserted: fires again */
	ck_assert_uint_eq(client_drain(&client, trigger), 1);
	ck_assert_uint_eq(client_drain(&client, unmask), 0);
	client_put(&client, device_fd, SCRATCH_INTX, 0);
	client_signal(&client, unmask);
	ck_assert_uint_eq(client_drain(&client, trigger), 0);
}
END_TEST

/* PCI-097 PCI-104: the host asks for the device. */
START_TEST(request)
{
	int32_t event = client_eventfd(&client);

	start(world.g1, "0000:01:00.0", 1);
	ck_assert_int_eq(set_irqs(TRIGGER(EVENTFD), VFIO_PCI_REQ_IRQ_INDEX, 0, 1, &event), 0);
	device_signal_req(world.d10);
	ck_assert_uint_eq(client_drain(&client, event), 1);
}
END_TEST

/* PCI-139 PCI-140 PCI-144: a signal writes a register. */
START_TEST(ioeventfd)
{
	struct vfio_device_ioeventfd arg = { .argsz = sizeof(arg),
		.flags = VFIO_DEVICE_IOEVENTFD_32, .offset = SCRATCH_DATA, .data = 77 };
	int event = client_eventfd(&client);

	start(world.g1, "0000:01:00.0", 1);
	arg.fd = event;
	ck_assert_int_eq(client_ioctl_struct(&client, device_fd, VFIO_DEVICE_IOEVENTFD, &arg,
					     sizeof(arg)), 0);
	ck_assert_int_eq(client_ioctl_struct(&client, device_fd, VFIO_DEVICE_IOEVENTFD, &arg,
					     sizeof(arg)), -EEXIST);
	client_signal(&client, event);
	ck_assert_uint_eq(client_get(&client, device_fd, SCRATCH_DATA), 77);
	arg.fd = -1;
	ck_assert_int_eq(client_ioctl_struct(&client, device_fd, VFIO_DEVICE_IOEVENTFD, &arg,
					     sizeof(arg)), 0);
	ck_assert_int_eq(client.fds[event]->eventfd->refs, 1);
}
END_TEST

struct hot_reset {
	struct vfio_pci_hot_reset reset;
	int32_t fds[4];
};

static int64_t hot_reset(uint32_t count, int32_t a, int32_t b)
{
	struct hot_reset arg = { .reset = { .argsz = 12, .count = count }, .fds = { a, b } };

	return client_ioctl_struct(&client, device_fd, VFIO_DEVICE_PCI_HOT_RESET, &arg,
				   sizeof(arg));
}

/* PCI-116 PCI-122 PCI-124 PCI-125 PCI-127 PCI-129 */
START_TEST(hot_resets)
{
	struct {
		struct vfio_pci_hot_reset_info info;
		struct vfio_pci_dependent_device devices[4];
	} arg = { .info = { .argsz = sizeof(arg) } };
	int other;

	start(world.g1, "0000:01:00.0", 1);
	other = client_open_group(&client, world.g2);
	ck_assert_int_eq(client_ioctl_struct(&client, device_fd,
					     VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &arg,
					     sizeof(arg)), 0);
	ck_assert_uint_eq(arg.info.count, 2);
	ck_assert_uint_eq(arg.devices[1].group_id, 1);
	ck_assert_uint_eq(arg.devices[1].bus, 1);
	ck_assert_uint_eq(arg.devices[1].devfn, 1);
	ck_assert_int_eq(hot_reset(1, other, -1), -EINVAL);
	ck_assert_int_eq(hot_reset(1, -1, -1), -EBADF);
	ck_assert_int_eq(hot_reset(1, container_fd, -1), -EINVAL);
	ck_assert_int_eq(hot_reset(3, group_fd, other), -EINVAL);
	client_put(&client, device_fd, SCRATCH_DATA, 5);
	ck_assert_int_eq(hot_reset(1, group_fd, -1), 0);
	ck_assert_uint_eq(client_get(&client, device_fd, SCRATCH_DATA), 0);
}
END_TEST

/* ---- threads ---- */

#define THREADS 4
#define OPENS 100		/* of a device, by each */

struct racer {
	struct client client;
	pthread_t thread;
	unsigned seed;
	unsigned opened, mapped;	/* how often that came off */
};

static void race_devices(struct racer *racer, int container, int group)
{
	struct client *c = &racer->client;
	int device = client_get_device(c, group, "0000:01:00.0");
	int event = client_eventfd(c);
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} irq = { { .argsz = sizeof(irq), .flags = TRIGGER(EVENTFD), .count = 1,
		    .index = VFIO_PCI_MSIX_IRQ_INDEX }, event };
	uint64_t iova = IOVA + (racer->seed >> 20) * 0x10000ull, value = 1, data;

	racer->mapped += !client_map(c, container, 3, client_page(4), iova, 4096);
	racer->opened += device >= 0;
	if (device >= 0) {
		client_write(c, device, SCRATCH_IOVA, &iova, 8);
		client_write(c, device, SCRATCH_DMA, &value, 8);
		client_ioctl_struct(c, device, VFIO_DEVICE_SET_IRQS, &irq, sizeof(irq));
		client_write(c, device, SCRATCH_MSI, &value, 8);
		client_read(c, device, SCRATCH_DATA, &data, 8);
		client_ioctl(c, device, VFIO_DEVICE_RESET, 0);
	}
	client_unmap(c, container, 0, iova, 4096, NULL);
	/* Which goes first changes from round to round. */
	client_close(c, racer->seed & 1 ? group : device);
	client_close(c, racer->seed & 1 ? device : group);
	client_close(c, event);
}

static void *race(void *arg)
{
	struct racer *racer = arg;
	struct client *c = &racer->client;
	int shared = 3;

	while (racer->opened < OPENS) {
		int own, group;

		racer->seed = racer->seed * 1103515245u + 12345u;
		own = client_open_container(c, world.topology);
		group = client_open_group(c, racer->seed >> 16 & 1 ? world.g1 : world.g2);
		if (group >= 0) {
			int container = racer->seed >> 17 & 1 ? own : shared;

			client_set_container(c, group, container);
			client_ioctl(c, container, VFIO_SET_IOMMU, 3);
			race_devices(racer, container, group);
		} else {
			sched_yield();		/* another has it */
		}
		client_ioctl(c, shared, VFIO_CHECK_EXTENSION, 1);
		client_close(c, own);
	}
	return NULL;
}

/* CG-133: clients in threads share a container, groups and a device, and come and go as
 * they like. Run under the thread sanitizer. */
START_TEST(clients_may_race)
{
	static struct racer racers[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		client_init(&racers[i].client);
		racers[i].seed = i * 7919 + 1;
		racers[i].client.fds[3] = client.fds[container_fd];
		atomic_fetch_add(&client.fds[container_fd]->refs, 1);
	}
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(racers[i].thread, NULL);
	for (unsigned i = 0; i < THREADS; i++) {
		ck_assert_uint_ge(racers[i].mapped, OPENS);
		ck_assert(client_exit(&racers[i].client));
	}
	ck_assert_int_eq(container_driver(client.fds[container_fd]->object.container),
			 CONTAINER_DRIVER_NONE);
	ck_assert(!device_is_open(world.d10));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("proto_session");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, extensions);
	tcase_add_test(tc, set_iommu_examples);
	tcase_add_test(tc, dma);
	tcase_add_test(tc, noiommu_dma);
	tcase_add_test(tc, msix);
	tcase_add_test(tc, intx);
	tcase_add_test(tc, request);
	tcase_add_test(tc, ioeventfd);
	tcase_add_test(tc, hot_resets);
	tcase_add_test(tc, clients_may_race);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
