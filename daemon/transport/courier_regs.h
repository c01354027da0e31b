/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/courier_regs.h - what the courier knows of processors: where a stopped thread
 * keeps its system call, and how a call of ours is laid out for it.
 *
 * Everything here works on copies and calls nothing, and all variants are built on every
 * processor, so that each is tested on any. A thread's variant is found by the length of
 * its general registers (NT_PRSTATUS), which follows the mode that it is in, and by the
 * instruction that it entered the kernel with:
 *
 *   x86-64      syscall            64-bit calls (an x32 program may make them too)
 *   x86-64/32   int $0x80          32-bit calls from 64-bit code
 *   i386        int $0x80          also for sysenter and syscall, which return behind
 *                                  the int $0x80 that the vDSO keeps for this
 *   aarch64     svc #0
 */
#ifndef TRANSPORT_COURIER_REGS_H
#define TRANSPORT_COURIER_REGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The general registers as PTRACE_GETREGSET gives them; @len tells which member it is. */
struct courier_regs {
	size_t len;			/* bytes */
	union {
		struct courier_regs_x86_64 {
			uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
			uint64_t rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs, eflags;
			uint64_t rsp, ss, fs_base, gs_base, ds, es, fs, gs;
		} x86_64;
		struct courier_regs_i386 {
			uint32_t ebx, ecx, edx, esi, edi, ebp, eax, ds, es, fs, gs;
			uint32_t orig_eax, eip, cs, eflags, esp, ss;
		} i386;
		struct courier_regs_aarch64 {
			uint64_t x[31], sp, pc, pstate;
		} aarch64;
	};
};

enum courier_call {
	COURIER_MMAP,
	COURIER_MUNMAP,
	COURIER_SOCKETPAIR,
	COURIER_RECVMSG,
	COURIER_CLOSE,
	COURIER_IOCTL,
	COURIER_DUP3,
	COURIER_CALLS
};

#define COURIER_ARGS 6			/* of each call; those not used are 0 */
#define COURIER_CODE 4			/* bytes of code before the pc that are looked at */

struct courier_abi {
	const char *name;
	size_t regs_len;		/* of struct courier_regs */
	size_t code_len;		/* of the instruction, at most COURIER_CODE */
	uint8_t code[COURIER_CODE];
	bool narrow;			/* pointers and sizes have 32 bits */
	long nr[COURIER_CALLS];
	/* Is it (still) in ioctl()? */
	bool (*in_ioctl)(const struct courier_regs *regs);
	/* The fd that it called ioctl() with. NULL: the processor keeps it
	 * nowhere. */
	int (*ioctl_fd)(const struct courier_regs *regs);
	/* Make the thread go back to the instruction and call @nr; no restart of the call
	 * that it was in. */
	void (*set_call)(struct courier_regs *regs, long nr,
			 const uint64_t args[COURIER_ARGS]);
	/* Make the call that it was in return @value, and never be restarted. */
	void (*set_result)(struct courier_regs *regs, int64_t value);
	/* Make the thread go back to the instruction, for the call that it was in. NULL: what it
	 * takes is kept nowhere. */
	void (*set_again)(struct courier_regs *regs);
};

/* Return: 0; -EIO no variant has registers of this length. */
int courier_regs_pc(const struct courier_regs *regs, uint64_t *ret);

/*
 * @code: the bytes before the pc
 * Return: the variant; NULL if the instruction there makes no system call.
 */
const struct courier_abi *courier_abi_find(const struct courier_regs *regs,
					   const uint8_t code[COURIER_CODE]);

/* What a call returned, from the value that ptrace reports: an errno is negative, and an
 * address of a narrow client is not. */
int64_t courier_abi_value(const struct courier_abi *abi, int64_t value);

/*
 * The memory that the calls need, as one block.
 *   socketpair() writes two ints at COURIER_BLOCK_ENDS;
 *   recvmsg() is given the struct at COURIER_BLOCK_MSG, with room for one fd.
 */
#define COURIER_BLOCK_ENDS	0
#define COURIER_BLOCK_MSG	16
#define COURIER_BLOCK_SIZE	128

/* @addr: where the client will have the block; below 4 GiB for a narrow one */
void courier_block_fill(const struct courier_abi *abi, uint64_t addr,
			uint8_t block[COURIER_BLOCK_SIZE]);

/*
 * After recvmsg() returned 1 in the client. The client can write there, so the number is
 * no more than a hint.
 * Return: 0; -EMFILE there was no room for the fd; -EIO it is not as the kernel writes it.
 */
int courier_block_fd(const struct courier_abi *abi,
		     const uint8_t block[COURIER_BLOCK_SIZE], int *ret);

#endif
