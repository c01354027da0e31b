/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/iommu_file.c: files of backends, in the process after. Memfds stand in for them. */
#include <inttypes.h>

#include <transport/iommu_file.h>
#include <unit/fd_keep_fake.h>

static struct fake_kept kept[2];
static struct backend_files *files, *after;

static int new_file(void)
{
	int fd = memfd_create("iommufd", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static bool is_same(int a, int b)
{
	return syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b) == 0;
}

static void setup(void)
{
	fake_kept_init(&kept[0]);
	ck_assert_int_eq(iommu_files_new(kept[0].keep, &kept[0].fds, &files), 0);
	after = NULL;
}

static void teardown(void)
{
	iommu_files_free(files);
	iommu_files_free(after);
	if (after)
		fake_kept_done(&kept[1]);
	fake_kept_done(&kept[0]);
}

static void restart(void)
{
	fake_kept_killed(&kept[0], &kept[1]);
	ck_assert_int_eq(iommu_files_new(kept[1].keep, &kept[1].fds, &after), 0);
}

START_TEST(nobody_keeps)
{
	struct backend_files *none;

	ck_assert_int_eq(iommu_files_new(NULL, NULL, &none), 0);
	ck_assert_ptr_null(none);
	iommu_files_restored(NULL);
	iommu_files_free(NULL);
}
END_TEST

START_TEST(a_file_is_there_until_it_is_dropped)
{
	int fd = new_file();
	void *it;

	ck_assert_uint_ne(files->keep(files, fd, &it), 0);
	ck_assert_uint_eq(kept[0].n, 1);
	ck_assert_int_eq(strncmp(kept[0].files[0].name, "iommufd-", 8), 0);
	ck_assert(is_same(kept[0].files[0].fd, fd));
	files->drop(files, it);
	ck_assert_uint_eq(kept[0].n, 0);
	files->drop(files, NULL);
	close(fd);
}
END_TEST

/* Records of the same batch refer to it. */
START_TEST(it_is_there_until_the_batch_counts)
{
	struct keep_batch batch;
	int fd = new_file();
	void *it, *other;

	files->keep(files, fd, &it);
	keep_begin(kept[0].keep, &batch);
	files->drop(files, it);
	ck_assert_uint_eq(kept[0].n, 1);
	keep_end(&batch);
	close(fd);
	fd = new_file();
	files->keep(files, fd, &other);
	ck_assert_uint_eq(kept[0].n, 1);
	files->drop(files, other);
	close(fd);
}
END_TEST

START_TEST(another_process_takes_it_once)
{
	int fds[3] = { new_file(), new_file(), new_file() };
	uint64_t ids[3];
	void *it, *its[3];
	intptr_t file;

	for (unsigned i = 0; i < 3; i++)
		ids[i] = files->keep(files, fds[i], &its[i]);
	files->drop(files, its[2]);
	restart();
	/* Of no effect on what the other one finds. */
	files->drop(files, its[0]);
	files->drop(files, its[1]);
	ck_assert_int_eq(after->take(after, ids[2], &file, &it), -ENOENT);
	ck_assert_int_eq(after->take(after, ids[1], &file, &it), 0);
	ck_assert(is_same((int)file, fds[1]));
	ck_assert_int_eq(after->take(after, ids[1], &(intptr_t){ 0 }, &(void *){ NULL }), -ENOENT);
	/* The one that nobody wants goes. */
	ck_assert_uint_eq(kept[1].n, 2);
	iommu_files_restored(after);
	ck_assert_uint_eq(kept[1].n, 1);
	ck_assert(is_same(kept[1].files[0].fd, fds[1]));
	ck_assert_int_eq(after->take(after, ids[0], &(intptr_t){ 0 }, &(void *){ NULL }), -ENOENT);
	after->drop(after, it);
	ck_assert_uint_eq(kept[1].n, 0);
	ck_assert_uint_eq(fake_kept_count(&kept[1], KEEP_IOMMU_FILE), 0);
	close((int)file);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
}
END_TEST

START_TEST(records_that_are_none)
{
	struct backend_files *none;

	fake_kept_killed(&kept[0], &kept[1]);
	keep_put(kept[1].keep, KEEP_IOMMU_FILE, 5, "x", 1);
	ck_assert_int_eq(iommu_files_new(kept[1].keep, &kept[1].fds, &none), -EBADMSG);
	fake_kept_done(&kept[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("iommu_file");
	TCase *tc = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nobody_keeps);
	tcase_add_test(tc, a_file_is_there_until_it_is_dropped);
	tcase_add_test(tc, it_is_there_until_the_batch_counts);
	tcase_add_test(tc, another_process_takes_it_once);
	tcase_add_test(tc, records_that_are_none);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
