/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <transport/courier_regs.h>

static_assert(sizeof(struct courier_regs_x86_64) == 27 * 8, "NT_PRSTATUS of x86-64");
static_assert(sizeof(struct courier_regs_i386) == 17 * 4, "NT_PRSTATUS of i386");
static_assert(sizeof(struct courier_regs_aarch64) == 34 * 8, "NT_PRSTATUS of aarch64");

/* ---- x86-64 ---- */

#define X86_64_IOCTL	16
#define X32_IOCTL	(0x40000000 | 514)
#define I386_IOCTL	54

static bool x86_64_in_ioctl(const struct courier_regs *regs)
{
	return regs->x86_64.orig_rax == X86_64_IOCTL || regs->x86_64.orig_rax == X32_IOCTL;
}

static int x86_64_ioctl_fd(const struct courier_regs *regs)
{
	return (int)regs->x86_64.rdi;
}

static void x86_64_set_call(struct courier_regs *regs, long nr,
			    const uint64_t args[COURIER_ARGS])
{
	struct courier_regs_x86_64 *r = &regs->x86_64;

	r->rax = (uint64_t)nr;
	r->rdi = args[0];
	r->rsi = args[1];
	r->rdx = args[2];
	r->r10 = args[3];
	r->r8 = args[4];
	r->r9 = args[5];
	r->rip -= 2;
	r->orig_rax = UINT64_MAX;
}

static void x86_64_set_result(struct courier_regs *regs, int64_t value)
{
	regs->x86_64.rax = (uint64_t)value;
	regs->x86_64.orig_rax = UINT64_MAX;
}

/* But for the result, a call leaves its registers as they were. */
static void x86_64_set_again(struct courier_regs *regs)
{
	regs->x86_64.rax = regs->x86_64.orig_rax;
	regs->x86_64.rip -= 2;
	regs->x86_64.orig_rax = UINT64_MAX;
}

/* ---- 32-bit calls from 64-bit code ---- */

static bool x86_64_int80_in_ioctl(const struct courier_regs *regs)
{
	return regs->x86_64.orig_rax == I386_IOCTL;
}

static int x86_64_int80_ioctl_fd(const struct courier_regs *regs)
{
	return (int)regs->x86_64.rbx;
}

static void x86_64_int80_set_call(struct courier_regs *regs, long nr,
				  const uint64_t args[COURIER_ARGS])
{
	struct courier_regs_x86_64 *r = &regs->x86_64;

	r->rax = (uint64_t)nr;
	r->rbx = (uint32_t)args[0];
	r->rcx = (uint32_t)args[1];
	r->rdx = (uint32_t)args[2];
	r->rsi = (uint32_t)args[3];
	r->rdi = (uint32_t)args[4];
	r->rbp = (uint32_t)args[5];
	r->rip -= 2;
	r->orig_rax = UINT64_MAX;
}

/* ---- i386 ---- */

static bool i386_in_ioctl(const struct courier_regs *regs)
{
	return regs->i386.orig_eax == I386_IOCTL;
}

static int i386_ioctl_fd(const struct courier_regs *regs)
{
	return (int)regs->i386.ebx;
}

static void i386_set_call(struct courier_regs *regs, long nr,
			  const uint64_t args[COURIER_ARGS])
{
	struct courier_regs_i386 *r = &regs->i386;

	r->eax = (uint32_t)nr;
	r->ebx = (uint32_t)args[0];
	r->ecx = (uint32_t)args[1];
	r->edx = (uint32_t)args[2];
	r->esi = (uint32_t)args[3];
	r->edi = (uint32_t)args[4];
	r->ebp = (uint32_t)args[5];
	r->eip -= 2;
	r->orig_eax = UINT32_MAX;
}

static void i386_set_result(struct courier_regs *regs, int64_t value)
{
	regs->i386.eax = (uint32_t)value;
	regs->i386.orig_eax = UINT32_MAX;
}

static void i386_set_again(struct courier_regs *regs)
{
	regs->i386.eax = regs->i386.orig_eax;
	regs->i386.eip -= 2;
	regs->i386.orig_eax = UINT32_MAX;
}

/* ---- aarch64 ---- */

#define AARCH64_IOCTL	29

/* The kernel has forgotten the number when the thread stops on its way out, but a call
 * leaves x8 as it was. In x0, where the fd was, is the result. */
static bool aarch64_in_ioctl(const struct courier_regs *regs)
{
	return regs->aarch64.x[8] == AARCH64_IOCTL;
}

static void aarch64_set_call(struct courier_regs *regs, long nr,
			     const uint64_t args[COURIER_ARGS])
{
	struct courier_regs_aarch64 *r = &regs->aarch64;

	/* x7 must stay: at stops around a call the kernel keeps it elsewhere, and what is
	 * written to it then is lost. */
	memcpy(r->x, args, COURIER_ARGS * sizeof(args[0]));
	r->x[8] = (uint64_t)nr;
	r->pc -= 4;
}

static void aarch64_set_result(struct courier_regs *regs, int64_t value)
{
	regs->aarch64.x[0] = (uint64_t)value;
}

/* ---- all ---- */

#define I386_CALLS { [COURIER_MMAP] = 192 /* mmap2 */, [COURIER_MUNMAP] = 91,		\
		     [COURIER_SOCKETPAIR] = 360, [COURIER_RECVMSG] = 372,		\
		     [COURIER_CLOSE] = 6, [COURIER_IOCTL] = 54, [COURIER_DUP3] = 330 }

static const struct courier_abi abis[] = {
	{
		.name = "x86-64",
		.regs_len = sizeof(struct courier_regs_x86_64),
		.code_len = 2, .code = { 0x0f, 0x05 },
		.nr = { [COURIER_MMAP] = 9, [COURIER_MUNMAP] = 11,
			[COURIER_SOCKETPAIR] = 53, [COURIER_RECVMSG] = 47,
			[COURIER_CLOSE] = 3, [COURIER_IOCTL] = 16,
			[COURIER_DUP3] = 292 },
		.in_ioctl = x86_64_in_ioctl,
		.ioctl_fd = x86_64_ioctl_fd,
		.set_call = x86_64_set_call,
		.set_result = x86_64_set_result,
		.set_again = x86_64_set_again,
	},
	{
		.name = "x86-64/32",
		.regs_len = sizeof(struct courier_regs_x86_64),
		.code_len = 2, .code = { 0xcd, 0x80 },
		.narrow = true,
		.nr = I386_CALLS,
		.in_ioctl = x86_64_int80_in_ioctl,
		.ioctl_fd = x86_64_int80_ioctl_fd,
		.set_call = x86_64_int80_set_call,
		.set_result = x86_64_set_result,
		.set_again = x86_64_set_again,
	},
	{
		.name = "i386",
		.regs_len = sizeof(struct courier_regs_i386),
		.code_len = 2, .code = { 0xcd, 0x80 },
		.narrow = true,
		.nr = I386_CALLS,
		.in_ioctl = i386_in_ioctl,
		.ioctl_fd = i386_ioctl_fd,
		.set_call = i386_set_call,
		.set_result = i386_set_result,
		.set_again = i386_set_again,
	},
	{
		.name = "aarch64",
		.regs_len = sizeof(struct courier_regs_aarch64),
		.code_len = 4, .code = { 0x01, 0x00, 0x00, 0xd4 },
		.nr = { [COURIER_MMAP] = 222, [COURIER_MUNMAP] = 215,
			[COURIER_SOCKETPAIR] = 199, [COURIER_RECVMSG] = 212,
			[COURIER_CLOSE] = 57, [COURIER_IOCTL] = 29,
			[COURIER_DUP3] = 24 },
		.in_ioctl = aarch64_in_ioctl,
		.set_call = aarch64_set_call,
		.set_result = aarch64_set_result,
	},
};

int courier_regs_pc(const struct courier_regs *regs, uint64_t *ret)
{
	switch (regs->len) {
	case sizeof(struct courier_regs_x86_64):
		*ret = regs->x86_64.rip;
		return 0;
	case sizeof(struct courier_regs_i386):
		*ret = regs->i386.eip;
		return 0;
	case sizeof(struct courier_regs_aarch64):
		*ret = regs->aarch64.pc;
		return 0;
	default:
		return -EIO;
	}
}

const struct courier_abi *courier_abi_find(const struct courier_regs *regs,
					   const uint8_t code[COURIER_CODE])
{
	for (size_t i = 0; i < sizeof(abis) / sizeof(abis[0]); i++) {
		const struct courier_abi *abi = &abis[i];

		if (abi->regs_len == regs->len &&
		    memcmp(abi->code, code + COURIER_CODE - abi->code_len,
			   abi->code_len) == 0)
			return abi;
	}
	return NULL;
}

int64_t courier_abi_value(const struct courier_abi *abi, int64_t value)
{
	if (!abi->narrow)
		return value;
	/* The last page holds no memory: there the errnos are. */
	return (uint32_t)value >= (uint32_t)-4095 ? (int32_t)value : (int64_t)(uint32_t)value;
}

/* ---- the block ---- */

/* recvmsg()'s structs, as a client with 32 and with 64 bits has them. Between them and
 * behind them there is one byte of data and room for a control message with one fd. */
struct msg32 {
	uint32_t name, namelen, iov, iovlen, control, controllen, flags;
};

struct msg64 {
	uint64_t name;
	uint32_t namelen, pad;
	uint64_t iov, iovlen, control, controllen;
	uint32_t flags, pad2;
};

struct control32 {
	uint32_t len;
	int32_t level, type, fd;
};

struct control64 {
	uint64_t len;
	int32_t level, type, fd, pad;
};

#define BLOCK_IOV	80
#define BLOCK_DATA	96
#define BLOCK_CONTROL	104

static_assert(sizeof(struct msg32) == 28 && sizeof(struct msg64) == 56, "struct msghdr");
static_assert(sizeof(struct control32) == 16 && sizeof(struct control64) == 24,
	      "struct cmsghdr with an int");
static_assert(COURIER_BLOCK_MSG + sizeof(struct msg64) <= BLOCK_IOV, "the block overlaps");
static_assert(BLOCK_CONTROL + sizeof(struct control64) <= COURIER_BLOCK_SIZE,
	      "the block is too small");

void courier_block_fill(const struct courier_abi *abi, uint64_t addr,
			uint8_t block[COURIER_BLOCK_SIZE])
{
	memset(block, 0, COURIER_BLOCK_SIZE);
	if (abi->narrow) {
		const uint32_t iov[2] = { (uint32_t)addr + BLOCK_DATA, 1 };
		const struct msg32 msg = {
			.iov = (uint32_t)addr + BLOCK_IOV, .iovlen = 1,
			.control = (uint32_t)addr + BLOCK_CONTROL,
			.controllen = sizeof(struct control32),
		};

		memcpy(block + BLOCK_IOV, iov, sizeof(iov));
		memcpy(block + COURIER_BLOCK_MSG, &msg, sizeof(msg));
	} else {
		const uint64_t iov[2] = { addr + BLOCK_DATA, 1 };
		const struct msg64 msg = {
			.iov = addr + BLOCK_IOV, .iovlen = 1,
			.control = addr + BLOCK_CONTROL,
			.controllen = sizeof(struct control64),
		};

		memcpy(block + BLOCK_IOV, iov, sizeof(iov));
		memcpy(block + COURIER_BLOCK_MSG, &msg, sizeof(msg));
	}
}

int courier_block_fd(const struct courier_abi *abi,
		     const uint8_t block[COURIER_BLOCK_SIZE], int *ret)
{
	struct control64 control = { 0 };
	uint64_t used, expected;

	if (abi->narrow) {
		struct control32 c;
		struct msg32 msg;

		memcpy(&msg, block + COURIER_BLOCK_MSG, sizeof(msg));
		memcpy(&c, block + BLOCK_CONTROL, sizeof(c));
		used = msg.controllen;
		control = (struct control64){ c.len, c.level, c.type, c.fd, 0 };
		expected = offsetof(struct control32, fd) + sizeof(int);
	} else {
		struct msg64 msg;

		memcpy(&msg, block + COURIER_BLOCK_MSG, sizeof(msg));
		memcpy(&control, block + BLOCK_CONTROL, sizeof(control));
		used = msg.controllen;
		expected = offsetof(struct control64, fd) + sizeof(int);
	}
	if (used == 0)
		return -EMFILE;
	if (used < expected || control.len != expected || control.level != SOL_SOCKET ||
	    control.type != SCM_RIGHTS || control.fd < 0)
		return -EIO;
	*ret = control.fd;
	return 0;
}
