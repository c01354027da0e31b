/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/trap_filter.c, window.h: which calls are notified, decided by an interpreter
 * of the filter program; and which paths are looked at. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include <transport/trap_filter.h>
#include <transport/trap_internal.h>
#include <transport/window.h>

static struct sock_fprog program, exec_program;

/* Classic BPF, as far as seccomp allows it and libseccomp uses it. */
static uint32_t interpret(const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (unsigned pc = 0; pc < program.len; pc++) {
		const struct sock_filter *f = &program.filter[pc];

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			ck_assert_uint_le(f->k + 4, sizeof(*data));
			memcpy(&a, (const char *)data + f->k, 4);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += f->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			pc += a > f->k ? f->jt : f->jf;
			break;
		case BPF_RET | BPF_K:
			return f->k;
		default:
			ck_abort_msg("instruction %u: code %#x", pc, f->code);
		}
	}
	ck_abort_msg("no return");
	return 0;
}

#define I386 AUDIT_ARCH_I386
#define OWN  TRAP_ARCH

static bool notified(uint32_t arch, int nr, unsigned arg, uint64_t value)
{
	struct seccomp_data data = { .nr = nr, .arch = arch };
	uint32_t action;

	/* The other arguments are noise. */
	for (unsigned i = 0; i < 6; i++)
		data.args[i] = 0x5a5a5a5a00000000ull + i;
	data.args[arg] = value;
	action = interpret(&data);
	ck_assert(action == SECCOMP_RET_USER_NOTIF || action == SECCOMP_RET_ALLOW);
	return action == SECCOMP_RET_USER_NOTIF;
}

static const int offset_calls[] = { SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev,
				    SYS_preadv2, SYS_pwritev2 };

START_TEST(accesses_are_notified_by_offset)
{
	for (size_t i = 0; i < sizeof(offset_calls) / sizeof(offset_calls[0]); i++) {
		int nr = offset_calls[i];

		ck_assert(notified(OWN, nr, 3, window_base(0)));
		ck_assert(notified(OWN, nr, 3, window_base(255) | WINDOW_POS_MASK));
		ck_assert(notified(OWN, nr, 3, 7ull << 40));
		ck_assert(notified(OWN, nr, 3, (7ull << 40) | 0xffffffffff));
		ck_assert(!notified(OWN, nr, 3, 0));
		ck_assert(!notified(OWN, nr, 3, UINT64_MAX));
		ck_assert(!notified(OWN, nr, 3, (7ull << 40) - 1));
		ck_assert(!notified(OWN, nr, 3, 8ull << 40));
		ck_assert(!notified(OWN, nr, 3, window_base(0) - 1));
		ck_assert(!notified(OWN, nr, 3, 0x565ull << 52));
		ck_assert(!notified(OWN, nr, 3, WINDOW_TAG | 1ull << 63));
		/* the right bits in the wrong argument */
		ck_assert(!notified(OWN, nr, 2, window_base(0)));
	}
}
END_TEST

START_TEST(ioctls_are_notified_by_command)
{
	ck_assert(notified(OWN, SYS_ioctl, 1, 0x3b00));
	ck_assert(notified(OWN, SYS_ioctl, 1, 0x3b64));
	ck_assert(notified(OWN, SYS_ioctl, 1, 0x3bff));
	/* The kernel takes 32 bits of the command; so must the filter. */
	ck_assert(notified(OWN, SYS_ioctl, 1, 0xffffffff00003b64));
	ck_assert(!notified(OWN, SYS_ioctl, 1, 0x3aff));
	ck_assert(!notified(OWN, SYS_ioctl, 1, 0x3c00));
	ck_assert(!notified(OWN, SYS_ioctl, 1, 0x40003b64));
	ck_assert(!notified(OWN, SYS_ioctl, 1, 0x5401));
}
END_TEST

START_TEST(mmap_is_notified_by_offset)
{
	ck_assert(notified(OWN, SYS_mmap, 5, window_base(3) | 2ull << 40));
	ck_assert(!notified(OWN, SYS_mmap, 5, 0));
	ck_assert(!notified(OWN, SYS_mmap, 5, 7ull << 40));
}
END_TEST

START_TEST(opens_are_notified_by_mode)
{
	static const struct {
		int flags;
		bool notified;
	} cases[] = {
		{ O_RDWR, true },
		{ O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, true },
		{ O_RDONLY, false }, { O_WRONLY, false }, { O_RDWR | O_CREAT, false },
		{ O_RDWR | O_PATH, false }, { O_RDWR | O_DIRECTORY, false },
		{ O_RDWR | O_TMPFILE, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_int_eq(notified(OWN, SYS_openat, 2, (unsigned)cases[i].flags),
				 cases[i].notified);
#ifdef SYS_open
		ck_assert_int_eq(notified(OWN, SYS_open, 1, (unsigned)cases[i].flags),
				 cases[i].notified);
#endif
	}
}
END_TEST

START_TEST(nothing_else_is_notified)
{
	static const int traced[] = { SYS_ioctl, SYS_mmap, SYS_openat,
#ifdef SYS_open
				      SYS_open,
#endif
	};

	for (int nr = 0; nr < 600; nr++) {
		bool known = false;

		for (size_t i = 0; i < sizeof(offset_calls) / sizeof(int); i++)
			known = known || nr == offset_calls[i];
		for (size_t i = 0; i < sizeof(traced) / sizeof(int); i++)
			known = known || nr == traced[i];
		for (unsigned arg = 0; arg < 6 && !known; arg++) {
			ck_assert(!notified(OWN, nr, arg, window_base(1)));
			ck_assert(!notified(OWN, nr, arg, 0x3b64));
			ck_assert(!notified(OWN, nr, arg, O_RDWR));
		}
	}
}
END_TEST

#ifdef __x86_64__
/* CG-017: 32-bit clients are told; only their VFIO commands are noticed. */
START_TEST(other_tables_of_calls)
{
	ck_assert(notified(I386, 54, 1, 0x3b64));		/* ioctl */
	ck_assert(!notified(I386, 54, 1, 0x5401));
	ck_assert(!notified(I386, 16, 1, 0x3b64));		/* lchown */
	ck_assert(!notified(I386, 17, 3, window_base(0)));
	ck_assert(!notified(I386, 257, 2, O_RDWR));
	ck_assert(!notified(AUDIT_ARCH_ARM, 54, 1, 0x3b64));
	/* x32: the same architecture, other numbers. */
	ck_assert(!notified(OWN, 0x40000000 | 514, 1, 0x3b64));
	ck_assert(!notified(OWN, -1, 1, 0x3b64));
}
END_TEST
#endif

/* exec: one command of one call, natively. */
START_TEST(exec_is_notified_of_one_command)
{
	struct sock_fprog run_program = program;

	program = exec_program;
	ck_assert(notified(OWN, SYS_ioctl, 1, 0x3b6a));
	ck_assert(notified(OWN, SYS_ioctl, 1, 0xffffffff00003b6a));
	for (uint64_t command = 0x3b00; command < 0x3c00; command++)
		ck_assert(command == 0x3b6a || !notified(OWN, SYS_ioctl, 1, command));
	ck_assert(!notified(OWN, SYS_ioctl, 1, 0xc0003b6a));
	for (int nr = 0; nr < 600; nr++)
		for (unsigned arg = 0; arg < 6; arg++)
			ck_assert((nr == SYS_ioctl && arg == 1) ||
				  !notified(OWN, nr, arg, 0x3b6a));
#ifdef __x86_64__
	ck_assert(!notified(I386, 54, 1, 0x3b6a));
	ck_assert(!notified(OWN, 0x40000000 | 514, 1, 0x3b6a));
#endif
	program = run_program;
}
END_TEST

START_TEST(offsets_name_device_and_place)
{
	for (unsigned number = 0; number < WINDOW_DEVICES; number++) {
		uint64_t base = window_base(number), pos = 9ull << 40 | 0x123456789a;

		ck_assert(window_has(base));
		ck_assert(window_has(base | WINDOW_POS_MASK));
		ck_assert_int_ge((int64_t)(base | WINDOW_POS_MASK), 0);
		ck_assert_uint_eq(window_device(base | pos), number);
		ck_assert_uint_eq(window_pos(base | pos), pos);
		ck_assert(!window_is_legacy(base));
	}
	ck_assert(window_is_legacy(7ull << 40 | 0x3f));
	ck_assert_uint_eq(window_pos(7ull << 40 | 0x3f), 7ull << 40 | 0x3f);
	ck_assert(!window_is_legacy(window_base(0) | 7ull << 40));
}
END_TEST

START_TEST(paths_are_looked_at_by_their_last_component)
{
	static const char *const yes[] = { "/dev/vfio/vfio", "vfio", "/dev/vfio/7", "7",
		"../12", "/x/noiommu-3", "/proc/self/fd/5", "/dev/vfio//65535" };
	static const char *const no[] = { "", "/", "/dev/vfio/", "/dev/null", "/dev/vfio/7a",
		"vfio0", "/etc/ld.so.cache", "noiommu-", "noiommu-x", "-3", "7 ",
		"/1/12345678901" };

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		ck_assert_msg(trap_open_name_matches(yes[i]), "%s", yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		ck_assert_msg(!trap_open_name_matches(no[i]), "%s", no[i]);
}
END_TEST

START_TEST(every_failure_has_a_cure)
{
	static const int codes[] = { -EINVAL, -EBUSY, -EACCES, -ENOSYS };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		ck_assert_uint_gt(strlen(trap_filter_cure(codes[i])), 30);
	ck_assert_str_eq(trap_filter_cure(-ENOMEM), strerror(ENOMEM));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trap_filter");
	TCase *tc = tcase_create("all");
	struct cused_error err;
	SRunner *runner;
	int failed;

	if (trap_filter_build(&program, &err) || trap_filter_build_exec(&exec_program, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	tcase_add_test(tc, accesses_are_notified_by_offset);
	tcase_add_test(tc, ioctls_are_notified_by_command);
	tcase_add_test(tc, mmap_is_notified_by_offset);
	tcase_add_test(tc, opens_are_notified_by_mode);
	tcase_add_test(tc, nothing_else_is_notified);
#ifdef __x86_64__
	tcase_add_test(tc, other_tables_of_calls);
#endif
	tcase_add_test(tc, exec_is_notified_of_one_command);
	tcase_add_test(tc, offsets_name_device_and_place);
	tcase_add_test(tc, paths_are_looked_at_by_their_last_component);
	tcase_add_test(tc, every_failure_has_a_cure);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	free(program.filter);
	free(exec_program.filter);
	return failed ? 1 : 0;
}
