/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/host_file.c: when a file that was given away counts as closed. A memfd stands in
 * for the kernel's file; devices are those of harness.h.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <transport/host_file.h>
#include <unit/fd_keep_fake.h>
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
	ck_assert_int_eq(host_files_new(NULL, NULL, &files), 0);
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

/* ---- another process ---- */

static struct fake_kept kept[2];
static struct host_files *before;	/* of the process that was killed */

static void setup_kept(void)
{
	struct topology_params params = { 0 };
	int container, group;

	before = NULL;
	fake_kept_init(&kept[0]);
	params.keep = kept[0].keep;
	world_init(&world, &params);
	client_init(&client);
	container = client_open_container(&client, world.topology);
	group = client_open_group(&client, world.g1);
	ck_assert_int_eq(client_set_container(&client, group, container), 0);
	ck_assert_int_eq(client_ioctl(&client, container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
			 0);
	ck_assert_int_eq(host_files_new(kept[0].keep, &kept[0].fds, &files), 0);
}

/* What the process before has open of the devices, it has still; so each is open once more. */
static void teardown_kept(void)
{
	host_files_free(before);
	teardown();
	if (before) {
		ck_assert_uint_eq(kept[1].n, 0);
		ck_assert_uint_eq(fake_kept_count(&kept[1], KEEP_HOST_PROBE), 0);
		ck_assert_uint_eq(fake_kept_count(&kept[1], KEEP_HOST_FILE), 0);
		fake_kept_done(&kept[1]);
	} else {
		ck_assert_uint_eq(kept[0].n, 0);
		ck_assert_uint_eq(fake_kept_count(&kept[0], KEEP_HOST_PROBE), 0);
		ck_assert_uint_eq(fake_kept_count(&kept[0], KEEP_HOST_FILE), 0);
	}
	fake_kept_done(&kept[0]);
}

static struct device *wanted;		/* NULL: it is not there any more */

static struct device_file *open_again(void *arg, uint64_t keep_id)
{
	ck_assert_ptr_eq(arg, &kept);
	ck_assert_uint_eq(keep_id, device_keep_id(world.d10));
	return wanted ? open_device(wanted) : NULL;
}

static void killed(void)
{
	fake_kept_killed(&kept[0], &kept[1]);
	before = files;
	files = NULL;
}

static void restored(struct device *device)
{
	wanted = device;
	ck_assert_int_eq(host_files_new(kept[1].keep, &kept[1].fds, &files), 0);
	ck_assert_int_eq(host_files_restore(files, open_again, &kept), 0);
}

START_TEST(nothing_is_kept_of_what_was_closed)
{
	uint64_t id;
	int fd = add(world.d10, &id);

	ck_assert_uint_eq(kept[0].n, 1);
	ck_assert_int_eq(strncmp(kept[0].files[0].name, "host-", 5), 0);
	ck_assert_uint_eq(fake_kept_count(&kept[0], KEEP_HOST_FILE), 1);
	close(fd);
	UNTIL(host_files_count(files) == 0);
}
END_TEST

START_TEST(another_process_waits_for_the_close)
{
	uint64_t id;
	int fd = add(world.d10, &id), other;
	struct stat st;
	pid_t who;
	dev_t node;

	ck_assert_int_eq(fstat(fd, &st), 0);
	killed();
	restored(world.d10);
	ck_assert_uint_eq(host_files_count(files), 1);
	host_files_free(before);
	before = NULL;
	host_files_settle(files, world.g1);
	ck_assert(device_is_open(world.d10));
	/* It is as if it were ours. */
	ck_assert(host_files_find(files, world.d10, &who, &node));
	ck_assert_int_eq(who, 4711);
	ck_assert_uint_eq(node, st.st_rdev);
	ck_assert_int_eq(host_files_resume(files), 0);
	other = add(world.d11, &id);
	close(fd);
	UNTIL(!device_is_open(world.d10));
	UNTIL(host_files_count(files) == 1);
	ck_assert(device_is_open(world.d11));
	close(other);
	UNTIL(host_files_count(files) == 0);
	ck_assert_int_eq(host_files_new(NULL, NULL, &before), 0);
}
END_TEST

/* The thread of the process before gets the lock, in the description that is kept. */
START_TEST(it_was_closed_while_nobody_was_there)
{
	uint64_t id;
	int fd = add(world.d10, &id);

	killed();
	close(fd);
	UNTIL(host_files_count(before) == 0);
	restored(world.d10);
	ck_assert(device_is_open(world.d10));
	host_files_settle(files, world.g1);
	ck_assert(!device_is_open(world.d10));
	ck_assert_int_eq(host_files_resume(files), 0);
	ck_assert_uint_eq(host_files_count(files), 0);
}
END_TEST

START_TEST(a_thread_sees_it_too)
{
	uint64_t id;
	int fd = add(world.d10, &id);

	killed();
	close(fd);
	UNTIL(host_files_count(before) == 0);
	restored(world.d10);
	ck_assert_int_eq(host_files_resume(files), 0);
	UNTIL(!device_is_open(world.d10));
	UNTIL(host_files_count(files) == 0);
}
END_TEST

START_TEST(a_device_that_has_gone_is_not_watched)
{
	uint64_t id;
	int fd = add(world.d10, &id);

	killed();
	restored(NULL);
	ck_assert_uint_eq(host_files_count(files), 0);
	ck_assert_uint_eq(kept[1].n, 0);
	close(fd);
}
END_TEST

/* Its end without one that goes on after it was restored, and without the record of it. */
START_TEST(an_end_before_the_beginning)
{
	uint64_t id;
	int fd = add(world.d10, &id);

	killed();
	restored(world.d10);
	host_files_free(files);
	files = NULL;
	close(fd);
}
END_TEST

START_TEST(a_probe_without_a_record)
{
	uint64_t id, number = 0;
	int fd = add(world.d10, &id);

	killed();
	ck_assert_int_eq(sscanf(kept[1].files[0].name, "host-%" SCNu64, &number), 1);
	keep_drop(kept[1].keep, KEEP_HOST_FILE, number);
	restored(world.d10);
	ck_assert_uint_eq(host_files_count(files), 0);
	close(fd);
}
END_TEST

START_TEST(a_record_that_is_none)
{
	uint64_t id, number = 0;
	int fd = add(world.d10, &id);

	killed();
	ck_assert_int_eq(sscanf(kept[1].files[0].name, "host-%" SCNu64, &number), 1);
	keep_put(kept[1].keep, KEEP_HOST_FILE, number, "x", 1);
	ck_assert_int_eq(host_files_new(kept[1].keep, &kept[1].fds, &files), 0);
	ck_assert_int_eq(host_files_restore(files, open_again, &kept), -EBADMSG);
	keep_drop(kept[1].keep, KEEP_HOST_FILE, number);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host_file");
	TCase *tc = tcase_create("all"), *again = tcase_create("another process");
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
	tcase_add_checked_fixture(again, setup_kept, teardown_kept);
	tcase_set_timeout(again, 60);
	tcase_add_test(again, nothing_is_kept_of_what_was_closed);
	tcase_add_test(again, another_process_waits_for_the_close);
	tcase_add_test(again, it_was_closed_while_nobody_was_there);
	tcase_add_test(again, a_thread_sees_it_too);
	tcase_add_test(again, a_device_that_has_gone_is_not_watched);
	tcase_add_test(again, an_end_before_the_beginning);
	tcase_add_test(again, a_probe_without_a_record);
	tcase_add_test(again, a_record_that_is_none);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, again);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
