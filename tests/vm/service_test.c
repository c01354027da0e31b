/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/service.h on the kernel's CUSE, for a guest. This process is the service (and,
 * started as "agent", the agent), the clients are remotes, and the core is the world of
 * unit/harness.h. Most cases run twice: client memory is copied by us, and by the kernel
 * (memory=retry).
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <transport/agent.h>
#include <transport/server.h>
#include <transport/service.h>
#include <unit/harness.h>
#include <unit/remote.h>

#define PAGE 4096ul
#define MANY_GROUPS 300u
#define CONFIG CLIENT_CONFIG

static struct world world;
static struct service *service;
static struct cused_error err;

/* ---- the service ---- */

static void service_begin(bool retry)
{
	static const char *const argv[] = { "vm-service-test", "agent", NULL };
	struct service_params params = { .agent = "/proc/self/exe", .agent_argv = argv,
					 .prefix = "vfio",
					 .retry = retry, .courier = true };

	world_init(&world, NULL);
	ck_assert_msg(service_new(&params, &service, &err) == 0, "%s", err.text);
	ck_assert_msg(service_start(service, world.topology, &err) == 0, "%s", err.text);
	ck_assert_msg(service_add_group(service, world.g1, NULL, &err) == 0, "%s", err.text);
	ck_assert_msg(service_add_group(service, world.g2, NULL, &err) == 0, "%s", err.text);
	ck_assert_msg(service_add_group(service, world.noiommu, NULL, &err) == 0, "%s", err.text);
}

static void begin(bool retry)
{
	remotes_init();
	service_begin(retry);
}

static struct service_status status(void)
{
	struct service_status ret;

	service_get_status(service, &ret);
	return ret;
}

static bool all_released(void)
{
	struct service_status s = status();

	return s.open_files == 0 && s.device_files == 0;
}

static void end(void)
{
	pid_t agent = status().agent;

	remotes_done();
	UNTIL(all_released());
	ck_assert_int_eq(service_stop(service), 0);
	ck_assert_int_eq(kill(agent, 0), -1);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);	/* there is no child */
	ck_assert_int_eq(access("/dev/vfio/vfio", F_OK), -1);
	ck_assert_int_eq(access("/dev/vfio/1", F_OK), -1);
	ck_assert(!device_is_open(world.d10));
	ck_assert(!device_is_open(world.d20));
	world_done(&world);
}

/* ---- what clients do ---- */

static int node(unsigned i, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/%s", name);
	return (int)remote_call(i, SYS_openat, AT_FDCWD, remote_string(path),
				O_RDWR | O_CLOEXEC);
}

static int node_ok(unsigned i, const char *name)
{
	int fd = node(i, name);

	ck_assert_msg(fd >= 0, "open of %s: %s", name, strerror(-fd));
	return fd;
}

static long set_container(unsigned i, int group, int container)
{
	int *arg = remote_alloc(sizeof(*arg));

	*arg = container;
	return remote_ioctl(i, group, VFIO_GROUP_SET_CONTAINER, arg);
}

/* Group @name of a container of its own, with its IOMMU. Return: the group. */
static int ready_group(unsigned i, const char *name, int *ret_container)
{
	int container = node_ok(i, "vfio"), group = node_ok(i, name);

	ck_assert_int_eq(set_container(i, group, container), 0);
	ck_assert_int_eq(remote_ioctl(i, container, VFIO_SET_IOMMU,
				     VFIO_TYPE1v2_IOMMU), 0);
	if (ret_container)
		*ret_container = container;
	return group;
}

static long group_flags(unsigned i, int group)
{
	struct vfio_group_status *arg = remote_alloc(sizeof(*arg));
	long r;

	arg->argsz = sizeof(*arg);
	r = remote_ioctl(i, group, VFIO_GROUP_GET_STATUS, arg);
	return r ? r : (long)arg->flags;
}

static long get_device(unsigned i, int group, const char *name)
{
	return remote_ioctl(i, group, VFIO_GROUP_GET_DEVICE_FD, remote_string(name));
}

/* Pages of the remote, not of the arena. */
static char *pages(unsigned i, unsigned n)
{
	long at = remote_call(i, SYS_mmap, 0, n * PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_int_gt(at, 0);
	return (char *)at;
}

/* ---- life of a client ---- */

START_TEST(a_client_drives_a_device)
{
	struct vfio_iommu_type1_dma_map *map;
	struct vfio_iommu_type1_dma_unmap *unmap;
	struct vfio_device_info *info;
	struct {
		struct vfio_irq_set set;
		int fds[3];
	} *irqs;
	uint64_t *word;
	char *memory;
	int container, group;
	long device, event;

	begin(_i);
	map = remote_alloc(sizeof(*map));
	unmap = remote_alloc(sizeof(*unmap));
	info = remote_alloc(sizeof(*info));
	irqs = remote_alloc(sizeof(*irqs));
	word = remote_alloc(8);
	group = ready_group(0, "2", &container);
	ck_assert_int_eq(remote_ioctl(0, container, VFIO_GET_API_VERSION), 0);
	ck_assert_int_eq(group_flags(0, group), 3);
	device = get_device(0, group, "0000:02:00.0");
	ck_assert_msg(device > group, "GET_DEVICE_FD: %ld", device);
	ck_assert_int_eq(remote_call(0, SYS_fcntl, device, F_GETFD), FD_CLOEXEC);
	info->argsz = sizeof(*info);
	ck_assert_int_eq(remote_ioctl(0, device, VFIO_DEVICE_GET_INFO, info), 0);
	ck_assert_uint_eq(info->num_regions, 9);
	ck_assert_int_eq(remote_call(0, SYS_pread64, device, word, 4, CONFIG), 4);
	ck_assert_uint_eq(*word & 0xffffffff, 0x56781234);

	/* DMA from the client's memory. */
	memory = pages(0, 1);
	*word = 0x123456789abcdef0ull;
	ck_assert_int_eq(remote_call(0, REMOTE_COPY, memory + 64, word, 8), 0);
	*map = (struct vfio_iommu_type1_dma_map){ .argsz = sizeof(*map), .flags = 3,
		.vaddr = (uintptr_t)memory, .iova = 0x10000, .size = PAGE };
	ck_assert_int_eq(remote_ioctl(0, container, VFIO_IOMMU_MAP_DMA, map), 0);
	ck_assert_int_eq(remote_ioctl(0, container, VFIO_IOMMU_MAP_DMA, map), -EEXIST);
	*word = 6;
	ck_assert_int_eq(remote_call(0, SYS_pwrite64, device, word, 2, CONFIG + 4), 2);
	*word = 0x10040;
	ck_assert_int_eq(remote_call(0, SYS_pwrite64, device, word, 8, SCRATCH_IOVA), 8);
	*word = 1;
	ck_assert_int_eq(remote_call(0, SYS_pwrite64, device, word, 8, SCRATCH_DMA), 8);
	ck_assert_int_eq(remote_call(0, SYS_pread64, device, word, 8, SCRATCH_DATA), 8);
	ck_assert_uint_eq(*word, 0x123456789abcdef0ull);
	*unmap = (struct vfio_iommu_type1_dma_unmap){ .argsz = sizeof(*unmap), .iova = 0x10000,
						      .size = PAGE };
	ck_assert_int_eq(remote_ioctl(0, container, VFIO_IOMMU_UNMAP_DMA, unmap), 0);
	ck_assert_uint_eq(unmap->size, PAGE);

	/* Interrupts by eventfd; the second vector has none. */
	event = remote_call(0, SYS_eventfd2, 0, EFD_NONBLOCK);
	ck_assert_int_ge(event, 0);
	irqs->set = (struct vfio_irq_set){ .argsz = sizeof(*irqs),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSIX_IRQ_INDEX, .count = 3 };
	irqs->fds[0] = (int)event;
	irqs->fds[1] = -1;
	irqs->fds[2] = (int)event;
	ck_assert_int_eq(remote_ioctl(0, device, VFIO_DEVICE_SET_IRQS, irqs), 0);
	for (*word = 0; *word < 3; ++*word)
		ck_assert_int_eq(remote_call(0, SYS_pwrite64, device, word, 8, SCRATCH_MSI),
				 8);
	ck_assert_int_eq(remote_call(0, SYS_read, event, word, 8), 8);
	ck_assert_uint_eq(*word, 2);
	/* What is no eventfd; what is not open. */
	irqs->fds[2] = container;
	ck_assert_int_eq(remote_ioctl(0, device, VFIO_DEVICE_SET_IRQS, irqs), -EINVAL);
	irqs->fds[2] = 555;
	ck_assert_int_eq(remote_ioctl(0, device, VFIO_DEVICE_SET_IRQS, irqs), -EBADF);

	ck_assert_int_eq(remote_call(0, SYS_close, device), 0);
	ck_assert_int_eq(remote_ioctl(0, group, VFIO_GROUP_UNSET_CONTAINER), 0);
	ck_assert(!device_is_open(world.d20));
	end();
}
END_TEST

START_TEST(bad_memory_is_efault)
{
	static const unsigned commands[] = { VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA,
					     VFIO_IOMMU_GET_INFO };
	struct vfio_iommu_type1_info *info;
	int container, group;
	char *memory, *argument;
	long device;

	begin(_i);
	group = ready_group(0, "2", &container);
	memory = pages(0, 2);
	ck_assert_int_eq(remote_call(0, SYS_mprotect, memory + PAGE, PAGE, PROT_NONE), 0);
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		ck_assert_int_eq(remote_ioctl(0, container, commands[i], 8), -EFAULT);
		ck_assert_int_eq(remote_ioctl(0, container, commands[i], -8l), -EFAULT);
		/* The end of it is on the page that cannot be read. */
		ck_assert_int_eq(remote_ioctl(0, container, commands[i],
					     memory + PAGE - 8), -EFAULT);
	}
	ck_assert_int_eq(remote_ioctl(0, group, VFIO_GROUP_GET_STATUS, 8), -EFAULT);
	ck_assert_int_eq(remote_ioctl(0, group, VFIO_GROUP_SET_CONTAINER, 8), -EFAULT);
	ck_assert_int_eq(remote_ioctl(0, group, VFIO_GROUP_GET_DEVICE_FD, 8), -EFAULT);
	/* It can be read, but not be written. */
	info = remote_alloc(sizeof(*info));
	info->argsz = sizeof(*info);
	ck_assert_int_eq(remote_call(0, REMOTE_COPY, memory, info, sizeof(*info)), 0);
	ck_assert_int_eq(remote_call(0, SYS_mprotect, memory, PAGE, PROT_READ), 0);
	ck_assert_int_eq(remote_ioctl(0, container, VFIO_IOMMU_GET_INFO, memory),
			 -EFAULT);
	ck_assert_int_eq(remote_call(0, SYS_mprotect, memory, PAGE, PROT_READ | PROT_WRITE),
			 0);
	ck_assert_int_eq(remote_ioctl(0, container, VFIO_IOMMU_GET_INFO, memory), 0);
	/* More room than there is memory for, and than an answer needs. */
	ck_assert_int_eq(remote_call(0, REMOTE_COPY, info, memory, sizeof(*info)), 0);
	ck_assert_uint_eq(info->iova_pgsizes & PAGE, PAGE);

	/* A name of 13 bytes with its NUL, at the very end of the page, and over it. */
	argument = remote_string("0000:02:00.0");
	ck_assert_int_eq(remote_call(0, REMOTE_COPY, memory + PAGE - 13, argument, 13), 0);
	device = remote_ioctl(0, group, VFIO_GROUP_GET_DEVICE_FD, memory + PAGE - 13);
	ck_assert_msg(device >= 0, "%ld", device);
	ck_assert_int_eq(remote_call(0, REMOTE_COPY, memory + PAGE - 12, argument, 12), 0);
	ck_assert_int_eq(remote_ioctl(0, group, VFIO_GROUP_GET_DEVICE_FD,
				     memory + PAGE - 12), -EFAULT);
	ck_assert_int_eq(remote_call(0, SYS_mprotect, memory + PAGE, PAGE,
				     PROT_READ | PROT_WRITE), 0);
	for (unsigned before = 1; before < 13; before += 5) {
		ck_assert_int_eq(remote_call(0, REMOTE_COPY, memory + PAGE - before,
					     argument,
					     13), 0);
		device = remote_ioctl(0, group, VFIO_GROUP_GET_DEVICE_FD,
				     memory + PAGE - before);
		ck_assert_msg(device >= 0, "%ld", device);
	}
	end();
}
END_TEST

/* ---- open files ---- */

START_TEST(a_group_is_open_until_the_last_close)
{
	int group, copy;

	begin(false);
	group = node_ok(0, "1");
	remote_fork(0, 1);
	ck_assert_int_eq(node(1, "1"), -EBUSY);
	copy = (int)remote_call(0, SYS_dup, group);
	ck_assert_int_eq(remote_call(0, SYS_close, group), 0);
	ck_assert_int_eq(remote_call(1, SYS_close, group), 0);
	ck_assert_int_eq(node(1, "1"), -EBUSY);
	remote_send_fd(0, copy);
	ck_assert_int_eq(remote_call(0, SYS_close, copy), 0);
	ck_assert_int_eq(node(1, "1"), -EBUSY);
	copy = remote_receive_fd(1);
	ck_assert_uint_eq(status().open_files, 1);
	ck_assert_int_eq(group_flags(1, copy), 1);
	/* The close waits for its effect. */
	for (unsigned n = 0; n < 300; n++) {
		size_t used = remotes.used;

		ck_assert_int_eq(group_flags(1, copy), 1);
		ck_assert_int_eq(remote_call(1, SYS_close, copy), 0);
		copy = node_ok(1, "1");
		remotes.used = used;
	}
	remote_kill(1);
	ck_assert_int_ge(node(0, "1"), 0);
	ck_assert_uint_eq(status().open_files, 1);
	end();
}
END_TEST

START_TEST(a_group_is_for_its_owner)
{
	int group, container;

	begin(false);
	ck_assert_int_eq(remote_call(0, SYS_fchmodat, AT_FDCWD, remote_string("/dev/vfio/2"),
				     0660), 0);
	ck_assert_int_eq(remote_call(0, SYS_fchownat, AT_FDCWD, remote_string("/dev/vfio/2"),
				     1000, 0, 0), 0);
	remote_fork(0, 1);
	ck_assert_int_eq(remote_call(1, SYS_setresuid, 1000, 1000, 1000), 0);
	ck_assert_int_eq(node(1, "1"), -EACCES);
	ck_assert_int_eq(node(1, "noiommu-1"), -EACCES);
	group = ready_group(1, "2", &container);
	ck_assert_int_ge(get_device(1, group, "0000:02:00.0"), 0);
	end();
}
END_TEST

START_TEST(set_container_takes_containers_alone)
{
	int container, group, other, passed;
	long fd;

	begin(_i);
	container = node_ok(0, "vfio");
	group = node_ok(0, "1");
	ck_assert_int_eq(set_container(0, group, -1), -EBADF);
	ck_assert_int_eq(set_container(0, group, 555), -EBADF);
	ck_assert_int_eq(set_container(0, group, group), -EBADFD);
	fd = remote_call(0, SYS_openat, AT_FDCWD, remote_string("/dev/vfio/vfio"), O_PATH);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(set_container(0, group, (int)fd), -EBADF);		/* CG-065 */
	fd = remote_call(0, SYS_openat, AT_FDCWD, remote_string("/dev/null"), O_RDWR);
	ck_assert_int_eq(set_container(0, group, (int)fd), -EBADFD);
	fd = remote_call(0, SYS_socket, AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(set_container(0, group, (int)fd), -EBADFD);
	fd = remote_call(0, SYS_eventfd2, 0, 0);
	ck_assert_int_eq(set_container(0, group, (int)fd), -EBADFD);
	fd = remote_call(0, SYS_memfd_create, remote_string("x"), 0);
	ck_assert_int_eq(set_container(0, group, (int)fd), -EBADFD);
	other = ready_group(0, "2", NULL);
	fd = get_device(0, other, "0000:02:00.0");
	ck_assert_msg(fd >= 0, "%ld", fd);
	ck_assert_int_eq(set_container(0, group, (int)fd), -EBADFD);
	/* A copy is the same container; and so is one that another process opened. */
	remote_fork(0, 1);
	fd = remote_call(0, SYS_dup, container);
	ck_assert_int_eq(remote_call(0, SYS_close, container), 0);
	ck_assert_int_eq(set_container(0, group, (int)fd), 0);
	ck_assert_int_eq(set_container(0, group, (int)fd), -EINVAL);
	ck_assert_int_eq(remote_ioctl(0, group, VFIO_GROUP_UNSET_CONTAINER), 0);
	ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
	ck_assert_int_eq(set_container(0, group, (int)fd), -EBADF);
	passed = node_ok(1, "vfio");
	remote_send_fd(1, passed);
	fd = remote_receive_fd(0);
	ck_assert_int_eq(remote_call(1, SYS_close, passed), 0);
	ck_assert_int_eq(set_container(0, group, (int)fd), 0);
	ck_assert_int_eq(remote_ioctl(0, fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	end();
}
END_TEST

/* ---- groups come and go ---- */

START_TEST(groups_come_and_go_beside_a_busy_one)
{
	struct vfio_group_status *arg;
	int *stop, group, busy, other;
	long n;

	begin(false);
	arg = remote_alloc(sizeof(*arg));
	stop = remote_alloc(sizeof(*stop));
	arg->argsz = sizeof(*arg);
	remote_fork(0, 1);
	busy = node_ok(1, "2");
	remote_begin(1, REMOTE_REPEAT, stop, SYS_ioctl, busy, VFIO_GROUP_GET_STATUS, arg);
	for (unsigned i = 0; i < 10; i++) {
		remote_fork(0, 2);
		group = ready_group(2, "1", NULL);
		ck_assert_int_ge(get_device(2, group, "0000:01:00.0"), 0);
		ck_assert_int_eq(service_add_group(service, world.g1, NULL, &err), -EEXIST);
		ck_assert_msg(service_remove_group(service, world.g1, &err) == 0, "%s",
			      err.text);
		ck_assert_int_eq(service_remove_group(service, world.g1, &err), -ENOENT);
		ck_assert_int_eq(access("/dev/vfio/1", F_OK), -1);
		ck_assert_uint_eq(service_node_number(service, "1"), 0);
		ck_assert_int_eq(group_flags(2, group), -ENOTCONN);
		ck_assert_msg(service_add_group(service, world.g1, NULL, &err) == 0, "%s",
			      err.text);
		/* An open device keeps its group open (CG-119), removed or not. */
		ck_assert_int_eq(node(0, "1"), -EBUSY);
		remote_kill(2);
		UNTIL((other = node(0, "1")) >= 0);
		ck_assert_int_eq(remote_call(0, SYS_close, other), 0);
	}
	__atomic_store_n(stop, 1, __ATOMIC_RELEASE);
	n = remote_end(1);
	ck_assert_int_gt(n, 0);
	end();
}
END_TEST

START_TEST(three_hundred_groups)
{
	struct timespec a, b;
	struct stat st;
	char path[64];

	begin(false);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (unsigned i = 0; i < MANY_GROUPS; i++) {
		struct group *group = world_group(&world, 1000 + i, GROUP_REAL);

		ck_assert_msg(service_add_group(service, group, NULL, &err) == 0, "%s", err.text);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%u groups: %ld ms\n", MANY_GROUPS,
	       (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000);
	ck_assert_uint_eq(status().nodes, MANY_GROUPS + 4);
	for (unsigned i = 0; i < MANY_GROUPS; i++) {
		snprintf(path, sizeof(path), "/dev/vfio/%u", 1000 + i);
		ck_assert_int_eq(stat(path, &st), 0);
		ck_assert(S_ISCHR(st.st_mode));
		ck_assert_uint_eq(st.st_mode & 0777, 0600);
		ck_assert_uint_eq(major(st.st_rdev),
				  major(service_node_number(service, "vfio")));
		ck_assert_uint_eq(st.st_rdev, service_node_number(service, path + 10));
	}
	ck_assert_int_eq(node(0, "1299"), -ENODEV);	/* it has no device */
	ck_assert_int_eq(stat("/dev/vfio/vfio", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0666);
	clock_gettime(CLOCK_MONOTONIC, &a);
	end();
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("and their end: %ld ms\n",
	       (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000);
}
END_TEST

/* ---- stalls ---- */

/* A page of remote @i that is never filled. */
static char *endless_page(unsigned i)
{
	struct uffdio_api *api = remote_alloc(sizeof(*api));
	struct uffdio_register *reg = remote_alloc(sizeof(*reg));
	char *page = pages(i, 1);
	long uffd = remote_call(i, SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	ck_assert_msg(uffd >= 0, "userfaultfd: %ld", uffd);
	api->api = UFFD_API;
	ck_assert_int_eq(remote_ioctl(i, uffd, UFFDIO_API, api), 0);
	reg->range.start = (uintptr_t)page;
	reg->range.len = PAGE;
	reg->mode = UFFDIO_REGISTER_MODE_MISSING;
	ck_assert_int_eq(remote_ioctl(i, uffd, UFFDIO_REGISTER, reg), 0);
	return page;
}

START_TEST(stalled_memory_stalls_its_client_alone)
{
	int group, other;
	char *page;

	begin(_i);
	remote_fork(0, 1);
	group = node_ok(1, "1");
	page = endless_page(1);
	remote_begin(1, SYS_ioctl, group, VFIO_GROUP_GET_STATUS, page);
	if (!_i)
		UNTIL(status().stalled_calls == 1);
	else
		UNTIL(remote_waits_in(1, SYS_ioctl));
	other = node_ok(0, "2");
	for (unsigned n = 0; n < 50; n++)
		ck_assert_int_eq(group_flags(0, other), 1);
	ck_assert(!remote_is_back(1, 0));
	remote_kill(1);
	UNTIL(status().stalled_calls == 0);
	/* Its file is released, at the latest when the call is through. */
	UNTIL(status().open_files == 1);
	ck_assert_int_ge(node(0, "1"), 0);
	end();
}
END_TEST

START_TEST(a_stalled_call_on_a_device)
{
	int group, other;
	long device;
	char *page;

	begin(_i);
	remote_fork(0, 1);
	group = ready_group(1, "2", NULL);
	device = get_device(1, group, "0000:02:00.0");
	ck_assert_int_ge(device, 0);
	page = endless_page(1);
	remote_begin(1, SYS_ioctl, device, VFIO_DEVICE_GET_INFO, page);
	UNTIL(status().stalled_calls == 1);
	other = ready_group(0, "1", NULL);
	ck_assert_int_ge(get_device(0, other, "0000:01:00.0"), 0);
	remote_kill(1);
	UNTIL(!device_is_open(world.d20));
	UNTIL((group = node(0, "2")) >= 0);
	ck_assert_int_eq(group_flags(0, group), 1);
	end();
}
END_TEST

/* More than are served at a time, so that some die in the queue. */
START_TEST(many_stalled_clients_die)
{
	unsigned last = 1 + LANE_THREADS + 4;
	int group;

	begin(false);
	group = node_ok(0, "1");
	for (unsigned i = 1; i < last; i++) {
		remote_fork(0, i);
		remote_begin(i, SYS_ioctl, group, VFIO_GROUP_GET_STATUS, endless_page(i));
		UNTIL(remote_waits_in(i, SYS_ioctl));
	}
	UNTIL(status().stalled_calls == LANE_THREADS);
	/* Another user's call does not wait. */
	remote_fork(0, last);
	ck_assert_int_eq(remote_call(last, SYS_setresuid, 1000, 1000, 1000), 0);
	ck_assert_int_eq(remote_ioctl(last, node_ok(last, "vfio"), VFIO_GET_API_VERSION), 0);
	/* The last first: those that they wait for are alive. */
	for (unsigned i = last - 1; i > 0; i--)
		remote_kill(i);
	UNTIL(status().stalled_calls == 0);
	ck_assert_int_eq(group_flags(0, group), 1);
	end();
}
END_TEST

/* The memory belongs to a process that lives on: only the caller is killed. */
START_TEST(a_stalled_caller_dies_without_its_memory)
{
	int group;
	char *page;

	begin(false);
	remote_fork(0, 1);
	group = node_ok(1, "1");
	page = endless_page(1);
	remote_fork(1, 2);		/* has the userfaultfd, too */
	remote_begin(1, SYS_ioctl, group, VFIO_GROUP_GET_STATUS, page);
	UNTIL(status().stalled_calls == 1);
	ck_assert_int_eq(remote_call(2, SYS_close, group), 0);
	remote_kill(1);
	ck_assert_uint_eq(status().open_files, 1);
	ck_assert_int_eq(node(0, "1"), -EBUSY);
	remote_kill(2);
	UNTIL(status().open_files == 0);
	ck_assert_int_ge(node(0, "1"), 0);
	end();
}
END_TEST

START_TEST(a_removed_group_with_a_stalled_call)
{
	struct timespec a, b;
	int group;
	char *page;

	begin(false);
	remote_fork(0, 1);
	group = node_ok(1, "1");
	page = endless_page(1);
	remote_fork(1, 2);
	remote_begin(1, SYS_ioctl, group, VFIO_GROUP_GET_STATUS, page);
	UNTIL(status().stalled_calls == 1);
	clock_gettime(CLOCK_MONOTONIC, &a);
	ck_assert_int_eq(service_remove_group(service, world.g1, &err), -EBUSY);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ck_assert_int_lt((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000,
			 4000);
	ck_assert_int_lt(remote_end(1), 0);
	ck_assert_int_eq(access("/dev/vfio/1", F_OK), -1);
	ck_assert_int_eq(group_flags(0, node_ok(0, "2")), 1);
	/* As long as the call is stalled, its group is open, and the service cannot end. */
	ck_assert_msg(service_add_group(service, world.g1, NULL, &err) == 0, "%s", err.text);
	ck_assert_int_eq(node(0, "1"), -EBUSY);
	remotes_done();
	UNTIL(status().stalled_calls == 0);
	UNTIL(all_released());
	ck_assert_int_eq(service_stop(service), 0);
}
END_TEST

START_TEST(the_service_ends_over_a_stalled_call_of_a_removed_group)
{
	int group;
	char *page;

	begin(false);
	remote_fork(0, 1);
	group = node_ok(1, "1");
	page = endless_page(1);
	remote_fork(1, 2);
	remote_begin(1, SYS_ioctl, group, VFIO_GROUP_GET_STATUS, page);
	UNTIL(status().stalled_calls == 1);
	ck_assert_int_eq(service_remove_group(service, world.g1, &err), -EBUSY);
	ck_assert_int_eq(service_stop(service), -EBUSY);
	ck_assert_int_lt(remote_end(1), 0);
	/* Nothing that the call needs was freed. */
	remotes_done();
	UNTIL(status().stalled_calls == 0);
	ck_assert_int_eq(kill(status().agent, SIGKILL), 0);
}
END_TEST

START_TEST(the_service_ends_under_its_clients)
{
	int container, group;
	long device;
	uint64_t *word;
	pid_t agent;

	begin(false);
	word = remote_alloc(8);
	group = ready_group(0, "2", &container);
	device = get_device(0, group, "0000:02:00.0");
	ck_assert_int_ge(device, 0);
	agent = status().agent;
	ck_assert_int_eq(service_stop(service), 0);
	ck_assert(!device_is_open(world.d20));
	ck_assert_int_eq(group_flags(0, group), -ENOTCONN);
	ck_assert_int_eq(remote_ioctl(0, container, VFIO_GET_API_VERSION), -ENOTCONN);
	ck_assert_int_eq(remote_call(0, SYS_pread64, device, word, 4, CONFIG), -ENOTCONN);
	ck_assert_int_eq(access("/dev/vfio/2", F_OK), -1);
	ck_assert_int_eq(kill(agent, 0), -1);
	/* And a new one can start while they have the old files. */
	world_done(&world);
	service_begin(false);
	ck_assert_int_eq(group_flags(0, group), -ENOTCONN);
	ck_assert_int_ge(node(0, "2"), 0);
	end();
}
END_TEST

START_TEST(an_agent_that_is_killed_is_replaced)
{
	int group, container;
	pid_t old;
	long r;

	begin(false);
	group = node_ok(0, "1");
	container = node_ok(0, "vfio");
	for (unsigned i = 0; i < 10; i++) {
		old = status().agent;
		ck_assert_int_eq(kill(old, SIGKILL), 0);
		r = set_container(0, group, container);
		ck_assert_msg(r == 0 || r == -EIO, "%ld", r);
		if (r)
			ck_assert_int_eq(set_container(0, group, container), 0);
		ck_assert_int_ne(status().agent, old);
		ck_assert_int_eq(remote_ioctl(0, group, VFIO_GROUP_UNSET_CONTAINER), 0);
	}
	end();
}
END_TEST

/* A stopped one does not answer. */
START_TEST(an_agent_that_stalls_is_replaced)
{
	int group, container;
	pid_t old;

	begin(false);
	group = node_ok(0, "1");
	container = node_ok(0, "vfio");
	old = status().agent;
	ck_assert_int_eq(kill(old, SIGSTOP), 0);
	ck_assert_int_eq(set_container(0, group, container), -EIO);
	ck_assert_int_eq(set_container(0, group, container), 0);
	ck_assert_int_ne(status().agent, old);
	end();
}
END_TEST

/* ---- pid namespaces ---- */

/* What a client can do whose number we know, or do not. */
static void use_device(unsigned i, bool known)
{
	int container = node_ok(i, "vfio"), group = node_ok(i, "2");
	struct vfio_iommu_type1_info *info = remote_alloc(sizeof(*info));
	long r;

	ck_assert_int_eq(remote_ioctl(i, container, VFIO_GET_API_VERSION), 0);
	ck_assert_int_eq(group_flags(i, group), 1);
	r = set_container(i, group, container);
	if (!known) {
		ck_assert_msg(r == -EBADF || r == -EIO, "SET_CONTAINER: %ld", r);
		r = get_device(i, group, "0000:02:00.0");
		ck_assert_msg(r < 0, "GET_DEVICE_FD: %ld", r);
		return;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(remote_ioctl(i, container, VFIO_SET_IOMMU,
				     VFIO_TYPE1v2_IOMMU), 0);
	info->argsz = sizeof(*info);
	ck_assert_int_eq(remote_ioctl(i, container, VFIO_IOMMU_GET_INFO, info), 0);
	r = get_device(i, group, "0000:02:00.0");
	ck_assert_msg(r >= 0, "GET_DEVICE_FD: %ld", r);
}

START_TEST(a_client_in_a_child_namespace)
{
	begin(_i);
	remote_fork(0, 1);
	ck_assert_int_eq(remote_call(1, SYS_unshare, CLONE_NEWPID), 0);
	remote_fork(1, 2);
	use_device(2, true);
	/* A process of its own ends by signal as any. */
	remote_kill(2);
	end();
}
END_TEST

/* The service in a namespace of its own, beside that of its client. */
static void serve_beside(void)
{
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("proc", "/proc", "proc", 0, NULL), 0);
	service_begin(false);
	use_device(0, false);
	remote_begin(0, REMOTE_EXIT);
	UNTIL(all_released());
	ck_assert_int_eq(service_stop(service), 0);
	world_done(&world);
}

START_TEST(a_client_in_a_sibling_namespace)
{
	int result;
	pid_t pid;

	remotes_init();
	ck_assert_int_eq(unshare(CLONE_NEWPID | CLONE_NEWNS), 0);
	pid = fork();
	if (pid == 0) {
		serve_beside();
		_exit(0);
	}
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &result, 0), pid);
	ck_assert_int_eq(result, 0);
	remote_wait(0);
}
END_TEST

/* ---- the program ---- */

static void nothing(bool orderly)
{
}

int main(int argc, char **argv)
{
	SRunner *runner;
	Suite *suite;
	TCase *tc;
	int failed;

	if (argc > 1 && !strcmp(argv[1], "agent"))
		return agent_serve(nothing);
	signal(SIGPIPE, SIG_IGN);
	suite = suite_create("service");
	tc = tcase_create("all");
	tcase_set_timeout(tc, 100);
	tcase_add_loop_test(tc, a_client_drives_a_device, 0, 2);
	tcase_add_loop_test(tc, bad_memory_is_efault, 0, 2);
	tcase_add_test(tc, a_group_is_open_until_the_last_close);
	tcase_add_test(tc, a_group_is_for_its_owner);
	tcase_add_loop_test(tc, set_container_takes_containers_alone, 0, 2);
	tcase_add_test(tc, groups_come_and_go_beside_a_busy_one);
	tcase_add_test(tc, three_hundred_groups);
	tcase_add_loop_test(tc, stalled_memory_stalls_its_client_alone, 0, 2);
	tcase_add_loop_test(tc, a_stalled_call_on_a_device, 0, 2);
	tcase_add_test(tc, many_stalled_clients_die);
	tcase_add_test(tc, a_stalled_caller_dies_without_its_memory);
	tcase_add_test(tc, a_removed_group_with_a_stalled_call);
	tcase_add_test(tc, the_service_ends_over_a_stalled_call_of_a_removed_group);
	tcase_add_test(tc, the_service_ends_under_its_clients);
	tcase_add_test(tc, an_agent_that_is_killed_is_replaced);
	tcase_add_test(tc, an_agent_that_stalls_is_replaced);
	tcase_add_loop_test(tc, a_client_in_a_child_namespace, 0, 2);
	tcase_add_test(tc, a_client_in_a_sibling_namespace);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
