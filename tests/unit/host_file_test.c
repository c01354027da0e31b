/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/host_file.c: when a file that was given away counts as closed. A memfd stands in
 * for the kernel's file; devices are those of harness.h.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <transport/host_file.h>
#include <unit/harness.h>
#include <unit/remote.h>

static struct world world;
static struct client client;
static struct host_files *files;

static void setup(void)
{
	int container, group;

	world_init(&world, NULL);
	client_init(&client);
	container = client_open_container(&client, world.topology);
	group = client_open_group(&client, world.g1);
	ck_assert_int_eq(client_set_container(&client, group, container), 0);
	ck_assert_int_eq(client_ioctl(&client, container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
			 0);
	ck_assert_int_eq(host_files_new(&files), 0);
}

static void teardown(void)
{
	host_files_free(files);
	ck_assert(!device_is_open(world.d10));
	ck_assert(!device_is_open(world.d11));
	ck_assert(client_exit(&client));
	world_done(&world);
}

static struct device_file *open_device(struct device *device)
{
	struct device_file *file;

	ck_assert_int_eq(group_get_device(world.g1, &client.caller, device_name(device), &file),
			 0);
	return file;
}

/* Return: the fd, which is the client's. */
static int add(struct device *device, uint64_t *ret_id)
{
	int fd = memfd_create("host-file", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(host_files_add(files, open_device(device), fd, 4711, ret_id), 0);
	return fd;
}

START_TEST(a_look_finds_what_was_closed)
{
	uint64_t id;

	for (unsigned i = 0; i < 200; i++) {
		int fd = add(world.d10, &id);

		host_files_delivered(files, id);
		host_files_settle(files, world.g1);
		ck_assert(device_is_open(world.d10));
		close(fd);
		host_files_settle(files, world.g1);
		ck_assert(!device_is_open(world.d10));
	}
	UNTIL(host_files_count(files) == 0);
}
END_TEST

START_TEST(nobody_need_look)
{
	uint64_t id;
	int fd = add(world.d10, &id);

	close(fd);
	UNTIL(!device_is_open(world.d10));
	UNTIL(host_files_count(files) == 0);
}
END_TEST

START_TEST(the_last_copy_counts)
{
	uint64_t id;
	int fd = add(world.d10, &id), copy = dup(fd), go[2];
	pid_t child;
	char *page;

	/* A process that has it, and a mapping. */
	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	child = fork();
	if (child == 0) {
		char byte;

		close(go[1]);
		_exit(read(go[0], &byte, 1) != 0);
	}
	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(page, MAP_FAILED);
	close(fd);
	host_files_settle(files, world.g1);
	ck_assert(device_is_open(world.d10));
	close(copy);
	host_files_settle(files, world.g1);
	ck_assert(device_is_open(world.d10));
	close(go[1]);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	host_files_settle(files, world.g1);
	ck_assert(device_is_open(world.d10));
	munmap(page, 4096);
	host_files_settle(files, world.g1);
	ck_assert(!device_is_open(world.d10));
	close(go[0]);
}
END_TEST

START_TEST(groups_are_settled_one_by_one)
{
	const struct group *groups[4] = { NULL };
	uint64_t id;
	int fd = add(world.d10, &id), other = add(world.d11, &id);

	ck_assert_uint_eq(host_files_unsettled(files, groups, 4), 0);
	close(fd);
	host_files_settle(files, world.g2);
	host_files_settle(files, world.g1);
	ck_assert(!device_is_open(world.d10));
	ck_assert(device_is_open(world.d11));
	ck_assert_uint_eq(host_files_unsettled(files, groups, 4), 0);
	close(other);
	UNTIL(host_files_count(files) == 0);
}
END_TEST

START_TEST(who_has_it)
{
	uint64_t id;
	int fd = add(world.d10, &id);
	pid_t pid = 0;
	dev_t node = 1;

	host_files_delivered(files, id);
	ck_assert(!host_files_find(files, world.d11, &pid, &node));
	ck_assert(host_files_find(files, world.d10, &pid, &node));
	ck_assert_int_eq(pid, 4711);
	ck_assert_uint_eq(node, 0);
	close(fd);
	ck_assert(!host_files_find(files, world.d10, &pid, &node));
}
END_TEST

static void *find(void *arg)
{
	pid_t pid;
	dev_t node;

	*(atomic_int *)arg = host_files_find(files, world.d10, &pid, &node);
	return NULL;
}

START_TEST(a_delivery_is_waited_for)
{
	atomic_int found = -1;
	pthread_t thread;
	uint64_t id;
	int fd = add(world.d10, &id);

	ck_assert_int_eq(pthread_create(&thread, NULL, find, &found), 0);
	for (unsigned i = 0; i < 1000; i++)
		sched_yield();
	ck_assert_int_eq(found, -1);
	host_files_delivered(files, id);
	pthread_join(thread, NULL);
	ck_assert_int_eq(found, 1);
	close(fd);
}
END_TEST

/* Limit and limit + 1. */
START_TEST(as_many_as_there_may_be)
{
	struct device_file *file = open_device(world.d10);
	int fds[HOST_FILES_MAX], fd = memfd_create("one-more", MFD_CLOEXEC);
	uint64_t id;

	for (unsigned i = 0; i < HOST_FILES_MAX; i++)
		fds[i] = add(world.d10, &id);
	ck_assert_int_eq(host_files_add(files, file, fd, 1, &id), -ENFILE);
	ck_assert_uint_eq(host_files_count(files), HOST_FILES_MAX);
	close(fds[0]);
	UNTIL(host_files_count(files) < HOST_FILES_MAX);
	close(fd);
	fd = memfd_create("one-more", MFD_CLOEXEC);
	ck_assert_int_eq(host_files_add(files, file, fd, 1, &id), 0);
	for (unsigned i = 1; i < HOST_FILES_MAX; i++)
		close(fds[i]);
	close(fd);
}
END_TEST

START_TEST(files_that_cannot_be_watched)
{
	struct device_file *file = open_device(world.d10);
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint64_t id;

	ck_assert_int_lt(host_files_add(files, file, fd, 1, &id), 0);
	ck_assert_uint_eq(host_files_count(files), 0);
	close(fd);
	device_file_release(file);
}
END_TEST

/* What a client still has when the service ends stays with the client. */
START_TEST(the_end_waits_for_no_client)
{
	uint64_t id;
	int fd = add(world.d10, &id);

	host_files_free(files);
	files = NULL;
	ck_assert(!device_is_open(world.d10));
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host_file");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_look_finds_what_was_closed);
	tcase_add_test(tc, nobody_need_look);
	tcase_add_test(tc, the_last_copy_counts);
	tcase_add_test(tc, groups_are_settled_one_by_one);
	tcase_add_test(tc, who_has_it);
	tcase_add_test(tc, a_delivery_is_waited_for);
	tcase_add_test(tc, as_many_as_there_may_be);
	tcase_add_test(tc, files_that_cannot_be_watched);
	tcase_add_test(tc, the_end_waits_for_no_client);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
