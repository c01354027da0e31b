/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/courier_regs_test.c - registers and structs of clients, of all processors on any. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <transport/courier_regs.h>

static const uint64_t args[COURIER_ARGS] = {
	0xa0, 0xffffffffa1a1a1a1, 0xa2, 0xa3, 0xa4, 0xa5,
};
static const uint8_t syscall_code[] = { 0x90, 0x90, 0x0f, 0x05 };
static const uint8_t int80_code[] = { 0x90, 0x90, 0xcd, 0x80 };
static const uint8_t svc_code[] = { 0x01, 0x00, 0x00, 0xd4 };

/* Registers whose bytes all differ from each other's neighbours. */
static struct courier_regs filled(size_t len)
{
	struct courier_regs regs = { .len = len };
	uint8_t *bytes = (uint8_t *)&regs.x86_64;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 7 + 1);
	return regs;
}

static const struct courier_abi *find(size_t len, const uint8_t *code)
{
	const struct courier_regs regs = filled(len);

	return courier_abi_find(&regs, code);
}

static const struct courier_abi *x86_64(void)
{
	return find(sizeof(struct courier_regs_x86_64), syscall_code);
}

static const struct courier_abi *x86_64_int80(void)
{
	return find(sizeof(struct courier_regs_x86_64), int80_code);
}

static const struct courier_abi *i386(void)
{
	return find(sizeof(struct courier_regs_i386), int80_code);
}

static const struct courier_abi *aarch64(void)
{
	return find(sizeof(struct courier_regs_aarch64), svc_code);
}

START_TEST(a_variant_is_found_by_registers_and_instruction)
{
	static const uint8_t none[COURIER_CODE] = { 0x0f, 0x05, 0x90, 0x90 };
	struct courier_regs regs;
	uint64_t pc;

	ck_assert_str_eq(x86_64()->name, "x86-64");
	ck_assert_str_eq(x86_64_int80()->name, "x86-64/32");
	ck_assert_str_eq(i386()->name, "i386");
	ck_assert_str_eq(aarch64()->name, "aarch64");
	ck_assert_ptr_null(find(sizeof(struct courier_regs_x86_64), none));
	ck_assert_ptr_null(find(sizeof(struct courier_regs_x86_64), svc_code));
	ck_assert_ptr_null(find(sizeof(struct courier_regs_i386), syscall_code));
	ck_assert_ptr_null(find(sizeof(struct courier_regs_aarch64), int80_code));
	ck_assert_ptr_null(find(72, svc_code));		/* 32-bit Arm */

	regs = filled(sizeof(struct courier_regs_x86_64));
	ck_assert_int_eq(courier_regs_pc(&regs, &pc), 0);
	ck_assert_uint_eq(pc, regs.x86_64.rip);
	regs = filled(sizeof(struct courier_regs_i386));
	ck_assert_int_eq(courier_regs_pc(&regs, &pc), 0);
	ck_assert_uint_eq(pc, regs.i386.eip);
	regs = filled(sizeof(struct courier_regs_aarch64));
	ck_assert_int_eq(courier_regs_pc(&regs, &pc), 0);
	ck_assert_uint_eq(pc, regs.aarch64.pc);
	regs.len = 72;
	ck_assert_int_eq(courier_regs_pc(&regs, &pc), -EIO);
}
END_TEST

START_TEST(x86_64_calls)
{
	struct courier_regs regs = filled(sizeof(struct courier_regs_x86_64));
	struct courier_regs expected = regs;
	struct courier_regs_x86_64 *e = &expected.x86_64;

	x86_64()->set_call(&regs, 47, args);
	e->rax = 47;
	e->orig_rax = UINT64_MAX;
	e->rdi = args[0];
	e->rsi = args[1];
	e->rdx = args[2];
	e->r10 = args[3];
	e->r8 = args[4];
	e->r9 = args[5];
	e->rip -= 2;
	ck_assert_mem_eq(&regs, &expected, sizeof(regs));

	regs = expected = filled(sizeof(struct courier_regs_x86_64));
	x86_64()->set_result(&regs, -EMFILE);
	e->rax = (uint64_t)-EMFILE;
	e->orig_rax = UINT64_MAX;
	ck_assert_mem_eq(&regs, &expected, sizeof(regs));

	regs = expected = filled(sizeof(struct courier_regs_x86_64));
	x86_64()->set_again(&regs);
	e->rax = e->orig_rax;
	e->orig_rax = UINT64_MAX;
	e->rip -= 2;
	ck_assert_mem_eq(&regs, &expected, sizeof(regs));
	ck_assert_int_eq(x86_64()->ioctl_fd(&expected), (int)e->rdi);
	ck_assert_int_eq(x86_64_int80()->ioctl_fd(&expected), (int)e->rbx);
}
END_TEST

START_TEST(narrow_calls_of_x86_64)
{
	struct courier_regs regs = filled(sizeof(struct courier_regs_x86_64));
	struct courier_regs expected = regs;
	struct courier_regs_x86_64 *e = &expected.x86_64;

	x86_64_int80()->set_call(&regs, 372, args);
	e->rax = 372;
	e->orig_rax = UINT64_MAX;
	e->rbx = args[0];
	e->rcx = 0xa1a1a1a1;
	e->rdx = args[2];
	e->rsi = args[3];
	e->rdi = args[4];
	e->rbp = args[5];
	e->rip -= 2;
	ck_assert_mem_eq(&regs, &expected, sizeof(regs));
}
END_TEST

START_TEST(i386_calls)
{
	struct courier_regs regs = filled(sizeof(struct courier_regs_i386));
	struct courier_regs expected = regs;
	struct courier_regs_i386 *e = &expected.i386;

	i386()->set_call(&regs, 372, args);
	e->eax = 372;
	e->orig_eax = UINT32_MAX;
	e->ebx = 0xa0;
	e->ecx = 0xa1a1a1a1;
	e->edx = 0xa2;
	e->esi = 0xa3;
	e->edi = 0xa4;
	e->ebp = 0xa5;
	e->eip -= 2;
	ck_assert_mem_eq(&regs, &expected, sizeof(regs));

	regs = expected = filled(sizeof(struct courier_regs_i386));
	i386()->set_result(&regs, -EMFILE);
	e->eax = (uint32_t)-EMFILE;
	e->orig_eax = UINT32_MAX;
	ck_assert_mem_eq(&regs, &expected, sizeof(regs));

	regs = expected = filled(sizeof(struct courier_regs_i386));
	i386()->set_again(&regs);
	e->eax = e->orig_eax;
	e->orig_eax = UINT32_MAX;
	e->eip -= 2;
	ck_assert_mem_eq(&regs, &expected, sizeof(regs));
	ck_assert_int_eq(i386()->ioctl_fd(&expected), (int)e->ebx);
}
END_TEST

START_TEST(aarch64_calls)
{
	struct courier_regs regs = filled(sizeof(struct courier_regs_aarch64));
	struct courier_regs expected = regs;
	struct courier_regs_aarch64 *e = &expected.aarch64;

	aarch64()->set_call(&regs, 212, args);
	for (int i = 0; i < COURIER_ARGS; i++)
		e->x[i] = args[i];
	e->x[8] = 212;
	e->pc -= 4;
	ck_assert_mem_eq(&regs, &expected, sizeof(regs));

	regs = expected = filled(sizeof(struct courier_regs_aarch64));
	aarch64()->set_result(&regs, 17);
	e->x[0] = 17;
	ck_assert_mem_eq(&regs, &expected, sizeof(regs));
}
END_TEST

START_TEST(another_call_is_not_ioctl)
{
	struct courier_regs regs = filled(sizeof(struct courier_regs_x86_64));

	regs.x86_64.orig_rax = 16;
	ck_assert(x86_64()->in_ioctl(&regs) && !x86_64_int80()->in_ioctl(&regs));
	regs.x86_64.orig_rax = 0x40000000 | 514;
	ck_assert(x86_64()->in_ioctl(&regs));
	regs.x86_64.orig_rax = 54;			/* setsockopt there */
	ck_assert(!x86_64()->in_ioctl(&regs) && x86_64_int80()->in_ioctl(&regs));
	regs.x86_64.orig_rax = UINT64_MAX;
	ck_assert(!x86_64()->in_ioctl(&regs) && !x86_64_int80()->in_ioctl(&regs));
	regs = filled(sizeof(struct courier_regs_i386));
	ck_assert(!i386()->in_ioctl(&regs));
	regs.i386.orig_eax = 54;
	ck_assert(i386()->in_ioctl(&regs));
	regs = filled(sizeof(struct courier_regs_aarch64));
	ck_assert(!aarch64()->in_ioctl(&regs));
	regs.aarch64.x[8] = 29;
	ck_assert(aarch64()->in_ioctl(&regs));
}
END_TEST

START_TEST(addresses_and_errnos_are_told_apart)
{
	ck_assert_int_eq(courier_abi_value(x86_64(), -EBADF), -EBADF);
	ck_assert_int_eq(courier_abi_value(x86_64(), 0x7ffff7fff000), 0x7ffff7fff000);
	ck_assert_int_eq(courier_abi_value(i386(), -EBADF), -EBADF);
	ck_assert_int_eq(courier_abi_value(i386(), (uint32_t)-EBADF), -EBADF);
	ck_assert_int_eq(courier_abi_value(i386(), 0xf7fff000), 0xf7fff000);
	ck_assert_int_eq(courier_abi_value(i386(), (int32_t)0xf7fff000), 0xf7fff000);
	ck_assert_int_eq(courier_abi_value(i386(), 5), 5);
}
END_TEST

/* The block is what <sys/socket.h> of this machine makes, if it is of that kind. */
START_TEST(a_block_is_a_msghdr)
{
	_Alignas(16) uint8_t block[COURIER_BLOCK_SIZE];
	const struct courier_abi *abi = sizeof(void *) == 8 ? x86_64() : i386();
	struct msghdr msg;
	struct cmsghdr *cmsg;
	int pair[2], fd;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	courier_block_fill(abi, (uintptr_t)block, block);
	memcpy(&msg, block + COURIER_BLOCK_MSG, sizeof(msg));
	ck_assert_ptr_null(msg.msg_name);
	ck_assert_uint_eq(msg.msg_iovlen, 1);
	ck_assert_uint_eq(msg.msg_iov->iov_len, 1);
	ck_assert_uint_eq(msg.msg_controllen, CMSG_SPACE(sizeof(int)));
	/* It is good for sending, and what comes is understood. */
	cmsg = CMSG_FIRSTHDR(&msg);
	*cmsg = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(cmsg), &pair[0], sizeof(int));
	ck_assert_int_eq(sendmsg(pair[0], &msg, 0), 1);
	courier_block_fill(abi, (uintptr_t)block, block);
	ck_assert_int_eq(recvmsg(pair[1], (struct msghdr *)(block + COURIER_BLOCK_MSG), 0), 1);
	ck_assert_int_eq(courier_block_fd(abi, block, &fd), 0);
	ck_assert_int_eq(fd, pair[1] + 1);
	/* Nothing came. */
	courier_block_fill(abi, (uintptr_t)block, block);
	ck_assert_int_eq(courier_block_fd(abi, block, &fd), -EIO);
	((struct msghdr *)(block + COURIER_BLOCK_MSG))->msg_controllen = 0;
	ck_assert_int_eq(courier_block_fd(abi, block, &fd), -EMFILE);
}
END_TEST

START_TEST(a_narrow_block)
{
	const uint32_t at = 0x10000;
	uint8_t block[COURIER_BLOCK_SIZE];
	uint32_t msg[7], iov[2], control[4] = { 16, SOL_SOCKET, SCM_RIGHTS, 9 };
	int fd = -1;

	courier_block_fill(i386(), at, block);
	memcpy(msg, block + COURIER_BLOCK_MSG, sizeof(msg));
	ck_assert_uint_eq(msg[0], 0);
	ck_assert_uint_eq(msg[1], 0);
	ck_assert_uint_eq(msg[3], 1);
	ck_assert_uint_eq(msg[5], 16);
	ck_assert_uint_eq(msg[6], 0);
	memcpy(iov, block + (msg[2] - at), sizeof(iov));
	ck_assert_uint_lt(iov[0] - at, COURIER_BLOCK_SIZE);
	ck_assert_uint_eq(iov[1], 1);
	memcpy(block + (msg[4] - at), control, sizeof(control));
	ck_assert_int_eq(courier_block_fd(i386(), block, &fd), 0);
	ck_assert_int_eq(fd, 9);

	/* What a client could write there instead. */
	for (int i = 0; i < 4; i++) {
		uint32_t wrong[4];

		memcpy(wrong, control, sizeof(wrong));
		wrong[i] ^= 0x80000000;
		memcpy(block + (msg[4] - at), wrong, sizeof(wrong));
		ck_assert_int_eq(courier_block_fd(i386(), block, &fd), -EIO);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("courier_regs");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, a_variant_is_found_by_registers_and_instruction);
	tcase_add_test(tc, x86_64_calls);
	tcase_add_test(tc, narrow_calls_of_x86_64);
	tcase_add_test(tc, i386_calls);
	tcase_add_test(tc, aarch64_calls);
	tcase_add_test(tc, another_call_is_not_ioctl);
	tcase_add_test(tc, addresses_and_errnos_are_told_apart);
	tcase_add_test(tc, a_block_is_a_msghdr);
	tcase_add_test(tc, a_narrow_block);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
