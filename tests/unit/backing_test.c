/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/backing.c: a device's memory that outlives the process. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <transport/backing.h>
#include <unit/fd_keep_fake.h>

#define SIZE 8192ul
#define BAR 2u

static struct cused_error err;

static struct backing *backing_begin(void **ret_memory)
{
	struct backing *backing;

	ck_assert_int_eq(backing_new(0, &backing, &err), 0);
	ck_assert_int_eq(backing_memfd_ops.alloc(backing, BAR, SIZE, ret_memory), 0);
	ck_assert_int_eq(backing_seal(backing), 0);
	return backing;
}

static void backing_end(struct backing *backing, void *memory)
{
	backing_memfd_ops.free(backing, BAR, SIZE, memory);
	backing_free(backing);
}

START_TEST(memory_is_as_it_was)
{
	struct fake_kept kept, next;
	struct backing *backing, *before;
	char *memory, *again;
	void *p;
	int fd;

	fake_kept_init(&kept);
	backing = backing_begin(&p);
	memory = p;
	backing_keep(backing, &kept.fds, 12);
	ck_assert_uint_eq(kept.n, 1);
	ck_assert_str_eq(kept.files[0].name, "bar-12");
	strcpy(memory + 100, "before");
	fake_kept_killed(&kept, &next);
	before = backing;
	ck_assert_int_eq(backing_kept(&next.fds, 13), -1);
	fd = backing_kept(&next.fds, 12);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(backing_adopt(0, fd, &backing, &err), 0);
	ck_assert_int_eq(backing_fd(backing), fd);
	ck_assert_int_eq(backing_memfd_ops.alloc(backing, BAR, SIZE, &p), 0);
	again = p;
	ck_assert_str_eq(again + 100, "before");
	ck_assert_int_eq(backing_seal(backing), 0);
	backing_keep(backing, &next.fds, 12);
	ck_assert_uint_eq(next.puts, 0);
	/* A client has it mapped all the while. */
	strcpy(memory + 4096, "meanwhile");
	ck_assert_str_eq(again + 4096, "meanwhile");
	backing_end(backing, again);
	ck_assert_uint_eq(next.n, 0);
	/* At the end its memory is given back. */
	ck_assert_int_eq(memory[100], 0);
	backing_end(before, memory);
	fake_kept_done(&next);
	fake_kept_done(&kept);
}
END_TEST

START_TEST(other_files_are_refused)
{
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC), fds[3];
	struct backing *backing = NULL;

	for (unsigned i = 0; i < 3; i++)
		fds[i] = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* Not sealed; sealed by somebody else; of another size. */
	ck_assert_int_eq(ftruncate(fds[0], INT64_MAX), 0);
	ck_assert_int_eq(ftruncate(fds[1], INT64_MAX), 0);
	ck_assert_int_eq(fcntl(fds[1], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL), 0);
	ck_assert_int_eq(ftruncate(fds[2], 4096), 0);
	ck_assert_int_eq(fcntl(fds[2], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	for (unsigned i = 0; i < 3; i++) {
		err.text[0] = '\0';
		ck_assert_int_eq(backing_adopt(0, fds[i], &backing, &err), -EBADMSG);
		ck_assert_ptr_ne(strstr(err.text, "memfd"), NULL);
		/* It is the caller's still. */
		ck_assert_int_eq(close(fds[i]), 0);
	}
	ck_assert_int_eq(backing_adopt(0, zero, &backing, &err), -EBADMSG);
	ck_assert_int_eq(close(zero), 0);
	ck_assert_int_eq(backing_adopt(0, -1, &backing, &err), -EBADMSG);
	ck_assert_ptr_eq(backing, NULL);
}
END_TEST

START_TEST(without_a_store_nothing_is_kept)
{
	struct backing *backing;
	void *memory;

	backing = backing_begin(&memory);
	backing_keep(backing, NULL, 12);
	ck_assert_int_eq(backing_kept(NULL, 12), -1);
	backing_end(backing, memory);
}
END_TEST

/* ---- memory of the model's own; all of it: own_memory_test.c ---- */

START_TEST(own_memory_is_kept)
{
	struct fake_kept kept, next;
	struct backing *before, *after;
	void *memory, *again;

	fake_kept_init(&kept);
	ck_assert_int_eq(backing_new(0, &before, &err), 0);
	ck_assert_int_eq(backing_memfd_ops.alloc_own(before, 1, SIZE, &memory), -EOPNOTSUPP);
	backing_keep_own(before, &kept.fds, 12);
	ck_assert_int_eq(backing_memfd_ops.alloc_own(before, 1, SIZE, &memory), 0);
	ck_assert_str_eq(kept.files[0].name, "mem-12-1");
	ck_assert_int_eq(backing_seal(before), 0);
	backing_keep(before, &kept.fds, 12);
	strcpy(memory, "before");
	fake_kept_killed(&kept, &next);
	ck_assert_int_eq(backing_adopt(0, backing_kept(&next.fds, 12), &after, &err), 0);
	backing_keep_own(after, &next.fds, 12);
	/* Another one, another size, and the one. */
	ck_assert_int_eq(backing_memfd_ops.alloc_own(after, 0, SIZE, &again), -EBADMSG);
	ck_assert_int_eq(backing_memfd_ops.alloc_own(after, 1, SIZE - 4096, &again), -EBADMSG);
	ck_assert_int_eq(backing_memfd_ops.alloc_own(after, 1, SIZE + 4096, &again), -EBADMSG);
	ck_assert_int_eq(backing_memfd_ops.alloc_own(after, 1, SIZE, &again), 0);
	ck_assert_str_eq(again, "before");
	backing_keep(after, &next.fds, 12);
	ck_assert_uint_eq(next.puts, 0);
	backing_memfd_ops.free_own(after, 1, SIZE, again);
	ck_assert_uint_eq(next.n, 1);
	backing_free(after);
	ck_assert_uint_eq(next.n, 0);
	backing_memfd_ops.free_own(before, 1, SIZE, memory);
	backing_free(before);
	fake_kept_done(&next);
	fake_kept_done(&kept);
}
END_TEST

/* A file that cannot be made, as there is no descriptor for it. */
START_TEST(own_memory_cannot_be_made)
{
	struct rlimit old, none = { 0, 0 };
	struct fake_kept kept;
	struct backing *backing;
	void *memory;

	fake_kept_init(&kept);
	ck_assert_int_eq(backing_new(0, &backing, &err), 0);
	backing_keep_own(backing, &kept.fds, 12);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none.rlim_max = old.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(backing_memfd_ops.alloc_own(backing, 0, SIZE, &memory), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	/* No addresses, though a file. */
	ck_assert_int_eq(backing_memfd_ops.alloc_own(backing, 0, 1ull << 62, &memory), -ENOMEM);
	/* No file is that long. */
	ck_assert_int_eq(backing_memfd_ops.alloc_own(backing, 0, 1ull << 63, &memory), -EINVAL);
	ck_assert_uint_eq(kept.n, 0);
	backing_free(backing);
	fake_kept_done(&kept);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("backing");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	signal(SIGXFSZ, SIG_IGN);
	tcase_add_test(tc, memory_is_as_it_was);
	tcase_add_test(tc, other_files_are_refused);
	tcase_add_test(tc, without_a_store_nothing_is_kept);
	tcase_add_test(tc, own_memory_is_kept);
	tcase_add_test(tc, own_memory_cannot_be_made);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
