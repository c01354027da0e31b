/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/removal_test.c - devices that are taken away from clients who use them. */
#include <check.h>
#include <pthread.h>
#include <semaphore.h>

#include <core/iommu_type1.h>
#include <unit/harness.h>

#define BDF "0000:02:00.0"

static struct world world;
static struct client client;
static int container, group, device;

/* As a service does it. Return: of topology_free_device(). */
static int take(struct device *d)
{
	topology_hide_device(world.topology, d);
	device_revoke(d);
	return topology_free_device(world.topology, d);
}

static void setup(void)
{
	world_init(&world, NULL);
	client_init(&client);
	container = client_open_container(&client, world.topology);
	group = client_open_group(&client, world.g2);
	ck_assert_int_eq(client_set_container(&client, group, container), 0);
	ck_assert_int_eq(client_ioctl(&client, container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
			 0);
	device = client_get_device(&client, group, BDF);
	ck_assert_int_ge(device, 0);
	ck_assert_int_eq(client_map(&client, container, 3, client_page(1), 0x10000, 4096), 0);
	ck_assert_int_eq(client_bus_master(&client, device, true), 0);
}

static void teardown(void)
{
	ck_assert(client_exit(&client));
	world_done(&world);
}

static int64_t group_status(int fd)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int64_t r = client_ioctl_struct(&client, fd, VFIO_GROUP_GET_STATUS, &status,
					sizeof(status));

	return r ? r : status.flags;
}

static int64_t device_info(int fd)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	return client_ioctl_struct(&client, fd, VFIO_DEVICE_GET_INFO, &info, sizeof(info));
}

static struct container_status container_now(void)
{
	struct container_status status;

	container_get_status(client.fds[container]->object.container, &status);
	return status;
}

static int add_again(struct device **ret)
{
	struct device_params params = { .ops = &scratch_ops, .address = { .bus = 2 } };
	struct cused_error err;

	return topology_add_device(world.topology, world.g2, &params, ret, &err);
}

/* CG-091 CG-137: new opens stop, those that are there work on. */
START_TEST(a_hidden_device_works_on)
{
	uint32_t word = 0;

	topology_hide_device(world.topology, world.d20);
	ck_assert_int_eq(client_get_device(&client, group, BDF), -ENODEV);
	ck_assert_int_eq(device_info(device), 0);
	ck_assert_int_eq(client_read(&client, device, CLIENT_CONFIG, &word, 4), 0);
	ck_assert_uint_eq(word, 0x56781234);
	ck_assert_int_eq(group_status(group), 3);
	client_close(&client, device);
	ck_assert(!device_is_open(world.d20));
	ck_assert_int_eq(topology_free_device(world.topology, world.d20), 0);
	ck_assert_int_eq(group_status(group), -ENODEV);
}
END_TEST

/* CG-049 CG-059 CG-067 CG-089 CG-114: the group's last device goes. */
START_TEST(a_group_without_its_last_device)
{
	struct device *again;

	client_close(&client, device);
	topology_hide_device(world.topology, world.d20);
	ck_assert_uint_eq(container_now().groups, 1);
	ck_assert_int_eq(topology_free_device(world.topology, world.d20), 0);
	ck_assert_uint_eq(container_now().groups, 0);
	ck_assert_uint_eq(container_now().mappings, 0);
	ck_assert_ptr_null(container_now().driver);
	ck_assert_int_eq(group_status(group), -ENODEV);
	ck_assert_int_eq(client_get_device(&client, group, BDF), -ENODEV);
	ck_assert_int_eq(client_set_container(&client, group, container), -ENODEV);
	ck_assert_int_eq(client_ioctl(&client, group, VFIO_GROUP_UNSET_CONTAINER, 0), -EINVAL);
	client_close(&client, group);
	ck_assert_int_eq(client_open_group(&client, world.g2), -ENODEV);
	/* It can have devices again. */
	ck_assert_int_eq(add_again(&again), 0);
	group = client_open_group(&client, world.g2);
	ck_assert_int_ge(group, 0);
	ck_assert_int_eq(client_set_container(&client, group, container), 0);
}
END_TEST

/* CG-114: while another device of the group is there, nothing changes for it. */
START_TEST(a_group_with_other_devices)
{
	int c = client_open_container(&client, world.topology);
	int g = client_open_group(&client, world.g1), d;

	ck_assert_int_eq(client_set_container(&client, g, c), 0);
	ck_assert_int_eq(client_ioctl(&client, c, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	d = client_get_device(&client, g, "0000:01:00.1");
	ck_assert_int_ge(d, 0);
	ck_assert_int_eq(take(world.d10), 0);	/* closed: nothing to take away */
	ck_assert_int_eq(client_get_device(&client, g, "0000:01:00.0"), -ENODEV);
	ck_assert_int_eq(group_status(g), 3);
	ck_assert_int_eq(device_info(d), 0);
}
END_TEST

/* Each call fails with ENODEV, and DMA and interrupts end. */
START_TEST(a_revoked_device)
{
	struct vfio_region_info region = { .argsz = sizeof(region) };
	struct vfio_irq_info irq = { .argsz = sizeof(irq) };
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} irqs = { { .argsz = sizeof(irqs), .flags = VFIO_IRQ_SET_DATA_EVENTFD |
		     VFIO_IRQ_SET_ACTION_TRIGGER, .index = VFIO_PCI_REQ_IRQ_INDEX, .count = 1 },
		   client_eventfd(&client) };
	struct device *again;
	uint32_t word = 0;
	int copy;

	ck_assert_int_eq(client_ioctl_struct(&client, device, VFIO_DEVICE_SET_IRQS, &irqs,
					     sizeof(irqs)), 0);
	device_signal_req(world.d20);
	ck_assert_uint_eq(client_drain(&client, irqs.fd), 1);
	copy = client_get_device(&client, group, BDF);
	ck_assert_int_ge(copy, 0);
	topology_hide_device(world.topology, world.d20);
	ck_assert_int_eq(add_again(&again), -EEXIST);
	ck_assert_uint_eq(container_now().groups, 1);
	device_revoke(world.d20);
	ck_assert(!device_is_open(world.d20));
	for (int fd = device; ; fd = copy) {
		ck_assert_int_eq(device_info(fd), -ENODEV);
		ck_assert_int_eq(client_ioctl_struct(&client, fd, VFIO_DEVICE_GET_REGION_INFO,
						     &region, sizeof(region)), -ENODEV);
		ck_assert_int_eq(client_ioctl_struct(&client, fd, VFIO_DEVICE_GET_IRQ_INFO,
						     &irq, sizeof(irq)), -ENODEV);
		ck_assert_int_eq(client_ioctl_struct(&client, fd, VFIO_DEVICE_SET_IRQS, &irqs,
						     sizeof(irqs)), -ENODEV);
		ck_assert_int_eq(client_ioctl(&client, fd, VFIO_DEVICE_RESET, 0), -ENODEV);
		ck_assert_int_eq(client_read(&client, fd, CLIENT_CONFIG, &word, 4), -ENODEV);
		ck_assert_int_eq(client_write(&client, fd, CLIENT_CONFIG + 4, &word, 2),
				 -ENODEV);
		ck_assert_int_eq(device_mmap_check(client.fds[fd]->object.device, 0x1000, 4096,
						   true), -ENODEV);
		if (fd == copy)
			break;
	}
	device_signal_req(world.d20);
	ck_assert_uint_eq(client_drain(&client, irqs.fd), 0);
	ck_assert_int_eq(client_get_device(&client, group, BDF), -ENODEV);
	/* The group is let go of when it has no device left. */
	ck_assert_uint_eq(container_now().groups, 0);
	ck_assert_int_eq(group_status(group), -ENODEV);
	/* The device is kept for its files; its address is free at once. */
	ck_assert_int_eq(topology_free_device(world.topology, world.d20), -EBUSY);
	ck_assert_int_eq(add_again(&again), 0);
	ck_assert_int_eq(device_info(device), -ENODEV);
	client_close(&client, device);
	ck_assert_int_eq(topology_free_device(world.topology, world.d20), -EBUSY);
	client_close(&client, copy);
	ck_assert_int_eq(topology_free_device(world.topology, world.d20), 0);
	/* The group is the old one, and open. */
	ck_assert_int_eq(client_open_group(&client, world.g2), -EBUSY);
	ck_assert_int_eq(client_set_container(&client, group, container), 0);
	ck_assert_int_eq(client_ioctl(&client, container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
			 0);
	ck_assert_int_ge(client_get_device(&client, group, BDF), 0);
}
END_TEST

/* The group's file is closed first, and the device's last file ends it all. */
START_TEST(a_revoked_device_outlives_its_group)
{
	client_close(&client, group);
	client_close(&client, container);
	ck_assert_int_eq(take(world.d20), -EBUSY);
	ck_assert_int_eq(device_info(device), -ENODEV);
	client_close(&client, device);
	ck_assert_int_eq(topology_free_device(world.topology, world.d20), 0);
}
END_TEST

/* The topology ends with a revoked device that nobody freed. */
START_TEST(revoked_devices_end_with_the_topology)
{
	ck_assert_int_eq(take(world.d20), -EBUSY);
	client_close(&client, device);
}
END_TEST

static int count(struct device *d, void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

static unsigned hidden(struct group *of)
{
	unsigned n = 0;

	topology_each_hidden_device(world.topology, of, count, &n);
	return n;
}

/* What status output walks over. */
START_TEST(hidden_devices_are_walked_over)
{
	struct device_status status;

	ck_assert_uint_eq(hidden(world.g2), 0);
	topology_hide_device(world.topology, world.d20);
	ck_assert_uint_eq(hidden(world.g2), 1);
	ck_assert_uint_eq(hidden(world.g1), 0);
	device_get_status(world.d20, &status);
	ck_assert_uint_eq(status.open_files, 1);
	ck_assert(!status.revoked);
	device_revoke(world.d20);
	ck_assert_uint_eq(hidden(world.g2), 1);
	device_get_status(world.d20, &status);
	ck_assert_uint_eq(status.open_files, 1);
	ck_assert(status.revoked);
	client_close(&client, device);
	ck_assert_int_eq(topology_free_device(world.topology, world.d20), 0);
	ck_assert_uint_eq(hidden(world.g2), 0);
}
END_TEST

/* ---- all at once ---- */

static atomic_bool stop;

static void *look_around(void *arg)
{
	unsigned n;

	while (!atomic_load(&stop)) {
		n = 0;
		topology_each_device(world.topology, NULL, count, &n);
	}
	return NULL;
}

static void *use_it(void *arg)
{
	struct device_file *file = arg;
	uint64_t word;

	while (!atomic_load(&stop)) {
		if (device_rw_check(file, 0, 8, false) > 0)
			device_read(file, SCRATCH_DATA, &word, 8);
		device_reset(file);
	}
	return NULL;
}

/* Add, use, revoke and remove, beside walks and calls. */
START_TEST(threads_and_removals)
{
	pthread_t walker, user;

	ck_assert_int_eq(pthread_create(&walker, NULL, look_around, NULL), 0);
	for (int i = 0; i < 50; i++) {
		struct device *d = world_device(&world, world.g2, 8, 0);
		int fd = client_get_device(&client, group, "0000:08:00.0");

		ck_assert_int_ge(fd, 0);
		atomic_store(&stop, false);
		ck_assert_int_eq(pthread_create(&user, NULL, use_it,
						client.fds[fd]->object.device), 0);
		ck_assert_int_eq(take(d), -EBUSY);
		atomic_store(&stop, true);
		pthread_join(user, NULL);
		client_close(&client, fd);
		ck_assert_int_eq(topology_free_device(world.topology, d), 0);
		pthread_join(walker, NULL);
		atomic_store(&stop, false);
		ck_assert_int_eq(pthread_create(&walker, NULL, look_around, NULL), 0);
	}
	atomic_store(&stop, true);
	pthread_join(walker, NULL);
}
END_TEST

/* ---- a client that stalls its memory ---- */

static sem_t stalled, go_on;
static struct mm_ops stalling;

static int stall(struct mm *mm, const struct iovec *local, size_t n_local,
		 const struct iovec *remote, size_t n_remote)
{
	sem_post(&stalled);
	while (sem_wait(&go_on))
		;
	return paged_mm_ops.read(mm, local, n_local, remote, n_remote);
}

static void *write_dma(void *arg)
{
	const uint64_t one = 1;
	int *ret = arg;

	*ret = device_write(client.fds[device]->object.device, SCRATCH_DMA, &one, 8);
	return NULL;
}

static void *revoke(void *arg)
{
	device_revoke(arg);
	return NULL;
}

static void *get_again(void *arg)
{
	struct device_file *file;
	int *ret = arg;

	*ret = group_get_device(world.g2, &(struct caller){ 0 }, BDF, &file);
	return NULL;
}

static void *unmap(void *arg)
{
	const struct caller caller = { .mm = &client.memory.mm };
	uint64_t size;
	int *ret = arg;

	*ret = type1_unmap(client.fds[container]->object.container, &caller, 0, 0x10000, 4096,
			   NULL, &size);
	return NULL;
}

static bool group_is_busy(void)
{
	struct group_state state;

	group_get_state(world.g2, &state);
	return state.busy;
}

/* Nobody but the client waits for it: who looks, who revokes, and calls that come later. */
START_TEST(a_stalled_client)
{
	pthread_t dma, revoker, unmapper, opener;
	struct container_status status;
	struct device_status d;
	int written = 1, unmapped = 1, opened = 1;
	uint32_t word;

	sem_init(&stalled, 0, 0);
	sem_init(&go_on, 0, 0);
	client_put(&client, device, SCRATCH_IOVA, 0x10000);
	stalling = paged_mm_ops;
	stalling.read = stall;
	client.memory.mm.ops = &stalling;
	ck_assert_int_eq(pthread_create(&dma, NULL, write_dma, &written), 0);
	while (sem_wait(&stalled))
		;
	/* It has the device's lock, and the map's for reading. */
	container_get_status(client.fds[container]->object.container, &status);
	ck_assert(!status.busy);
	ck_assert_uint_eq(status.mappings, 1);
	device_get_status(world.d20, &d);
	ck_assert_uint_eq(d.open_files, 1);
	ck_assert(!group_is_busy());
	/* An unmap waits, with the container's lock. */
	ck_assert_int_eq(pthread_create(&unmapper, NULL, unmap, &unmapped), 0);
	do {
		container_get_status(client.fds[container]->object.container, &status);
	} while (!status.busy);
	topology_hide_device(world.topology, world.d20);
	/* To revoke waits, with the group's lock; what it means is there at once. */
	ck_assert_int_eq(pthread_create(&revoker, NULL, revoke, world.d20), 0);
	while (!group_is_busy())
		;
	ck_assert_int_eq(device_info(device), -ENODEV);
	ck_assert_int_eq(client_read(&client, device, CLIENT_CONFIG, &word, 4), -ENODEV);
	device_get_status(world.d20, &d);
	ck_assert(d.revoked);
	/* Who waits for the group's lock does not keep others from taking devices away. */
	ck_assert_int_eq(pthread_create(&opener, NULL, get_again, &opened), 0);
	topology_hide_device(world.topology, world.d10);
	ck_assert_int_eq(topology_free_device(world.topology, world.d10), 0);
	sem_post(&go_on);
	pthread_join(dma, NULL);
	pthread_join(unmapper, NULL);
	pthread_join(revoker, NULL);
	pthread_join(opener, NULL);
	ck_assert_int_eq(opened, -ENODEV);
	ck_assert_int_eq(written, 0);
	ck_assert_int_eq(unmapped, 0);
	ck_assert(!device_is_open(world.d20));
	client.memory.mm.ops = &paged_mm_ops;
	sem_destroy(&stalled);
	sem_destroy(&go_on);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("removal");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_hidden_device_works_on);
	tcase_add_test(tc, a_group_without_its_last_device);
	tcase_add_test(tc, a_group_with_other_devices);
	tcase_add_test(tc, a_revoked_device);
	tcase_add_test(tc, a_revoked_device_outlives_its_group);
	tcase_add_test(tc, revoked_devices_end_with_the_topology);
	tcase_add_test(tc, hidden_devices_are_walked_over);
	tcase_add_test(tc, threads_and_removals);
	tcase_add_test(tc, a_stalled_client);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
