/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 *   The client's thread sits in ioctl(), and nobody has answered. Then:
 *
 *     courier                            client's thread
 *     SEIZE, INTERRUPT                   in ioctl(), will stop on the way out
 *     armed(): the call is answered      stops, registers say what ioctl() returns
 *     save registers and signal mask,
 *     block all signals
 *                                        mmap()          a page for what follows
 *                                        socketpair()    a, b; a is the lowest free number
 *     a copy of end a: pidfd_getfd()     close(a)
 *     sendmsg(SCM_RIGHTS)                recvmsg(b)      the fd takes the place of a
 *     is it our file?                    close(b), munmap()
 *     registers and mask as before,
 *     result = the number, DETACH        returns from ioctl()
 *
 *   Calls. The thread is about to return to user mode, right behind the instruction that
 *   made the call. It is sent back onto the instruction with the registers of another
 *   call, runs with PTRACE_SYSCALL to the stop on the way in and on to that on the way
 *   out, where the result is, and where it can be sent back again. So no code is put into
 *   the client; and the page is its own, so no byte of its memory is borrowed: below the
 *   stack pointer there may be no stack (small stacks of coroutines, 32-bit calls from
 *   64-bit code), or another thread's data.
 *
 *   The number. Letting the fd take the place of a, instead of moving it there, makes it
 *   the kernel that picks the lowest number and enforces the limit, in the same step as
 *   its own call would; and the client never has, nor closes, a second fd of the file,
 *   which might need the daemon to answer.
 *
 *   Lending. Instead of an fd that stays, the client can be given a file for the length of a
 *   call that it makes for us, as nobody else can make it: courier_ioctl(). All as above,
 *   but between recvmsg() and the end there are ioctl() and close(). Whoever ordered the
 *   calls decides what the client's own ioctl returns. He may also have it made again, by the
 *   registers that the kernel itself restarts a call with: for one that had no effect.
 *
 *   Limits. The client has to have room for the fd alone, but socketpair() wants two
 *   numbers, and mmap() may meet limits of memory: if so, the limit is raised for the
 *   moment of that call. recvmsg() runs under the limit that the client has set.
 *
 *   Signals. All are blocked, so they stay pending with the kernel and arrive after DETACH.
 *   SIGSTOP cannot be blocked. It is passed on at once: the kernel stops the other threads,
 *   reports another stop of ours, lets us go on, and on DETACH puts the thread into the
 *   stop, unless SIGCONT has ended it by then. So the order of SIGSTOP and SIGCONT is
 *   kept by the kernel, and nothing has to be sent again.
 *
 *   Seccomp. PTRACE_O_SUSPEND_SECCOMP keeps the client's filters out of calls that are
 *   ours. Without it a client with a filter is left alone, as the filter may kill.
 *
 *   Errors. Each step that was made has its counter-step, and whatever happens the saved
 *   registers and mask come back, if the thread is there and stopped. Both cease to be true
 *   at any time: SIGKILL and exec take the thread away (requests fail with ESRCH, the wait
 *   tells the rest), and a thread that does not stop in time cannot be changed any more. Let
 *   go in the middle of a call of ours, it would take what that returns for the result of its
 *   ioctl. So the time for that is much longer than what a busy machine makes of a call that
 *   does not wait.
 *
 *   Trust. Other threads of the client can do anything between two steps: read the page and
 *   write to it, close the sockets or put other files there. Numbers read from the page are
 *   used on the client's own table only, and the one that is returned is compared with our
 *   file first. What a client can reach is to get the fd at another number, or to lose it.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#ifdef __x86_64__
#include <sys/user.h>
#endif
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <transport/client.h>
#include <transport/courier_internal.h>
#include <util/cleanup.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

#define SCRATCH_SIZE 4096u		/* of the client's page; the kernel rounds it up */
#define FDS_LENT 64			/* numbers above the limit, while socketpair() runs */
#define UNDO_MS 30000			/* after the deadline; see courier.h */
#define LOOK_AGAIN_NS (20 * NS_PER_MS)

/* ---- requests and stops ---- */

int64_t courier_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* A request about the stopped thread. Return: 0, -errno; what it was lost by, if it was. */
static int request(struct courier *c, enum __ptrace_request what, uintptr_t addr,
		   const void *data)
{
	if (c->lost)
		return c->lost;
	if (ptrace(what, c->tid, addr, data) >= 0)
		return 0;
	if (errno == ESRCH)
		c->lost = -ESRCH;
	return -errno;
}

/*
 * Wait for the next stop. SIGCHLD is blocked, so that none is missed between looking and
 * sleeping. Return: 0; -ESRCH, -ETIMEDOUT.
 */
static int wait_stop(struct courier *c, int *ret_status)
{
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	for (;;) {
		pid_t pid = waitpid(c->tid, ret_status, __WALL | WNOHANG);
		struct timespec left = { 0 };
		int64_t ns;

		if (pid < 0 && errno != EINTR)
			return -ESRCH;
		if (pid == c->tid)
			return WIFSTOPPED(*ret_status) ? 0 : -ESRCH;
		ns = c->end - courier_now();
		if (ns <= 0)
			return -ETIMEDOUT;
		/* A main thread that another thread's exec replaces goes without a signal. */
		left.tv_nsec = ns < LOOK_AGAIN_NS ? ns : LOOK_AGAIN_NS;
		sigtimedwait(&chld, NULL, &left);
	}
}

/* Let it run to the next stop, of a call or other. */
static int run_on(struct courier *c, int signal_number, int *ret_status)
{
	int r;

	if (c->lost)
		return c->lost;
	/* It may have been killed, of which the wait tells. */
	ptrace(PTRACE_SYSCALL, c->tid, 0, signal_number);
	r = wait_stop(c, ret_status);
	if (r == -ETIMEDOUT && !c->late) {
		c->late = true;
		c->end = courier_now() + UNDO_MS * NS_PER_MS;
		r = wait_stop(c, ret_status);
	}
	c->lost = r;
	return r;
}

/* ---- registers and memory ---- */

static int get_regs(struct courier *c, struct courier_regs *regs)
{
	struct iovec iov = {
		&regs->x86_64, sizeof(*regs) - offsetof(struct courier_regs, x86_64),
	};
	int r = request(c, PTRACE_GETREGSET, NT_PRSTATUS, &iov);

	regs->len = r ? 0 : iov.iov_len;
	return r;
}

static int set_regs(struct courier *c, struct courier_regs *regs)
{
	struct iovec iov = { &regs->x86_64, regs->len };

	return request(c, PTRACE_SETREGSET, NT_PRSTATUS, &iov);
}

/* The bytes before @pc. Code may be readable to nobody but ptrace. */
static int read_code(struct courier *c, uint64_t pc, uint8_t code[COURIER_CODE])
{
	const size_t word = sizeof(long);
	long value;

	memset(code, 0, COURIER_CODE);
	errno = 0;
	value = ptrace(PTRACE_PEEKTEXT, c->tid, (uintptr_t)(pc - word), NULL);
	if (!errno) {
		memcpy(code, (uint8_t *)&value + word - COURIER_CODE, COURIER_CODE);
		return 0;
	}
	/* A page may begin between there and the instruction. */
	errno = 0;
	value = ptrace(PTRACE_PEEKTEXT, c->tid, (uintptr_t)(pc - 2), NULL);
	if (errno)
		return -errno;
	memcpy(code + COURIER_CODE - 2, &value, 2);
	return 0;
}

/* ---- a call by the client ---- */

static bool is_call_stop(int status)
{
	return status >> 8 == (SIGTRAP | 0x80);
}

/* A stop of all threads, its end, or the one that INTERRUPT asked for. */
static bool is_group_stop(int status)
{
	return status >> 16 == PTRACE_EVENT_STOP;
}

/* Run the client, whose registers are set for it, through call @nr; as courier_make(). */
static int run_call(struct courier *c, uint64_t nr, int64_t *ret)
{
	struct __ptrace_syscall_info info;
	int status, signal_number = 0, r;
	bool entered = false;

	for (;;) {
		r = run_on(c, signal_number, &status);
		if (r)
			return r;
		signal_number = 0;
		if (is_group_stop(status))
			continue;
		if (!is_call_stop(status)) {
			if (status >> 8 != SIGSTOP)
				return -EIO;	/* its code has gone, say */
			signal_number = SIGSTOP;
			continue;
		}
		r = request(c, PTRACE_GET_SYSCALL_INFO, sizeof(info), &info);
		if (r)
			return r;
		if (info.op == PTRACE_SYSCALL_INFO_EXIT && entered)
			break;
		if (info.op != PTRACE_SYSCALL_INFO_ENTRY || entered || info.entry.nr != nr)
			return -EIO;
		entered = true;
	}
	*ret = info.exit.rval;
	return 0;
}

int courier_make(struct courier *c, enum courier_call call,
		 const uint64_t args[COURIER_ARGS], int64_t *ret)
{
	struct courier_regs regs = c->saved;
	int64_t value = 0;
	int r;

	c->abi->set_call(&regs, c->abi->nr[call], args);
	r = set_regs(c, &regs);
	if (r == 0)
		r = run_call(c, (uint64_t)c->abi->nr[call], &value);
	if (r == 0)
		*ret = courier_abi_value(c->abi, value);
	return r;
}

int courier_make_ok(struct courier *c, enum courier_call call,
		    const uint64_t args[COURIER_ARGS], int64_t *ret)
{
	int r = courier_make(c, call, args, ret);

	if (r)
		return r;
	if (*ret <= -512 && *ret >= -516)
		return -EINTR;		/* the kernel's own codes for calls to be restarted */
	return *ret < 0 && *ret >= -4095 ? (int)*ret : 0;
}

void courier_close(struct courier *c, int fd)
{
	const uint64_t args[COURIER_ARGS] = { (uint32_t)fd };
	int64_t value;

	courier_make(c, COURIER_CLOSE, args, &value);
}

/* ---- limits ---- */

struct lent {
	int resource;
	struct rlimit64 own, during;
	bool on;
};

/* Raise a limit of the client by @more, or as far as we may. */
static void limit_lend(struct courier *c, struct lent *lent, int resource, uint64_t more)
{
	struct rlimit64 *during = &lent->during;

	*lent = (struct lent){ .resource = resource };
	/* CAP_SYS_RESOURCE: a limit of another user's, and over what he may have. */
	if (prlimit64(c->tid, resource, NULL, &lent->own))
		return;
	*during = lent->own;
	during->rlim_cur += RLIM64_INFINITY - during->rlim_cur < more ?
				    RLIM64_INFINITY - during->rlim_cur : more;
	if (during->rlim_max < during->rlim_cur)
		during->rlim_max = during->rlim_cur;
	lent->on = prlimit64(c->tid, resource, during, NULL) == 0;
	if (lent->on || lent->own.rlim_cur >= lent->own.rlim_max)
		return;
	*during = (struct rlimit64){ lent->own.rlim_max, lent->own.rlim_max };
	lent->on = prlimit64(c->tid, resource, during, NULL) == 0;
}

/* Unless the client has changed it meanwhile. */
static void limit_return(struct courier *c, struct lent *lent)
{
	struct rlimit64 is;

	if (lent->on && prlimit64(c->tid, lent->resource, NULL, &is) == 0 &&
	    is.rlim_cur == lent->during.rlim_cur && is.rlim_max == lent->during.rlim_max)
		prlimit64(c->tid, lent->resource, &lent->own, NULL);
}

/* ---- the steps ---- */

/* A page of the client: for what its calls read and write, or for code. */
static int map_page(struct courier *c, unsigned prot, uint64_t *ret)
{
	static const int resources[] = { RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK };
	const uint64_t args[COURIER_ARGS] = {
		0, SCRATCH_SIZE, prot, MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX, 0,
	};
	struct lent lent[sizeof(resources) / sizeof(resources[0])];
	int64_t value = 0;
	int r = courier_make_ok(c, COURIER_MMAP, args, &value);

	if (r == -ENOMEM || r == -EAGAIN) {
		for (size_t i = 0; i < sizeof(lent) / sizeof(lent[0]); i++)
			limit_lend(c, &lent[i], resources[i], RLIM64_INFINITY);
		r = courier_make_ok(c, COURIER_MMAP, args, &value);
		for (size_t i = 0; i < sizeof(lent) / sizeof(lent[0]); i++)
			limit_return(c, &lent[i]);
	}
	if (r == 0)
		*ret = (uint64_t)value;
	return r;
}

static void unmap_page(struct courier *c, uint64_t page)
{
	const uint64_t args[COURIER_ARGS] = { page, SCRATCH_SIZE };
	int64_t value;

	courier_make(c, COURIER_MUNMAP, args, &value);
}

/* Two sockets of the client. The first has the lowest free number. */
static int make_sockets(struct courier *c, int ends[2])
{
	const uint64_t args[COURIER_ARGS] = {
		AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c->page + COURIER_BLOCK_ENDS,
	};
	struct lent lent = { .on = false };
	int64_t value;
	int r = courier_make_ok(c, COURIER_SOCKETPAIR, args, &value);

	if (r == -EMFILE) {
		limit_lend(c, &lent, RLIMIT_NOFILE, FDS_LENT);
		if (!lent.on)
			return -EMFILE;
		r = courier_make_ok(c, COURIER_SOCKETPAIR, args, &value);
		limit_return(c, &lent);
	}
	if (r)
		return r;
	r = client_read(c->tid, c->page + COURIER_BLOCK_ENDS, ends, 2 * sizeof(int));
	if (r)
		return r;
	if (lent.on && (uint64_t)(unsigned)ends[0] >= lent.own.rlim_cur) {
		courier_close(c, ends[0]);
		courier_close(c, ends[1]);
		return -EMFILE;
	}
	return 0;
}

static int send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, data = 0;
	struct iovec iov = { &data, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&m);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(socket, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

/* Is the client's @fd our file? */
static bool same_file(struct courier *c, int fd)
{
	struct statx ours, theirs;
	cleanup_close int copy = -1;
	long r = syscall(SYS_kcmp, getpid(), c->tid, KCMP_FILE, (long)c->fd, (long)fd);

	if (r >= 0)
		return r == 0;
	/* A kernel without kcmp(). Whoever serves the file is not asked. */
	copy = (int)syscall(SYS_pidfd_getfd, c->pidfd, fd, 0);
	return copy >= 0 &&
	       statx(copy, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &theirs) == 0 &&
	       statx(c->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO,
		     &ours) == 0 &&
	       ours.stx_ino == theirs.stx_ino && ours.stx_dev_major == theirs.stx_dev_major &&
	       ours.stx_dev_minor == theirs.stx_dev_minor;
}

/* The fd waits in the socket @end of the client. Return: its number, or an error. */
static int receive_fd(struct courier *c, int end)
{
	const uint64_t args[COURIER_ARGS] = {
		(uint32_t)end, c->page + COURIER_BLOCK_MSG,
		MSG_DONTWAIT | (c->cloexec ? (unsigned)MSG_CMSG_CLOEXEC : 0),
	};
	uint8_t block[COURIER_BLOCK_SIZE];
	int64_t value;
	int fd, r;

	courier_block_fill(c->abi, c->page, block);
	r = client_write(c->tid, c->page, block, sizeof(block));
	if (r)
		return r;
	r = courier_make_ok(c, COURIER_RECVMSG, args, &value);
	if (r)
		return r;
	r = client_read(c->tid, c->page, block, sizeof(block));
	if (r)
		return r;
	r = courier_block_fd(c->abi, block, &fd);
	if (r)
		return r;
	return same_file(c, fd) ? fd : -EIO;
}

/* Return: the client's number, or an error. */
static int carry(struct courier *c)
{
	cleanup_close int ours = -1;
	int ends[2], r;

	r = make_sockets(c, ends);
	if (r)
		return r;
	ours = (int)syscall(SYS_pidfd_getfd, c->pidfd, ends[0], 0);
	r = ours < 0 ? -errno : send_fd(ours, c->fd);
	courier_close(c, ends[0]);
	if (r == 0)
		r = c->late ? -ETIMEDOUT : receive_fd(c, ends[1]);
	courier_close(c, ends[1]);
	return r;
}

int courier_carry(struct courier *c)
{
	int r = carry(c);

	if (r < 0 || !c->late)
		return r;
	courier_close(c, r);
	return -ETIMEDOUT;
}

/* ---- 64-bit ioctls of 32-bit clients ---- */

#ifdef __x86_64__

#define WIDE_CS 0x33			/* of 64-bit code, whatever a program was started as */

/* The registers are asked for by the old requests, whose layout is that of who asks. Those of
 * before come back also after an error, unless the thread is lost. */
static int run_wide(struct courier *c, uint64_t code, const uint64_t args[COURIER_ARGS],
		    int64_t *ret)
{
	struct user_regs_struct before, regs;
	int r = request(c, PTRACE_GETREGS, 0, &before);

	if (r)
		return r;
	before.orig_rax = UINT64_MAX;	/* no restart of the call that it was in */
	regs = before;
	regs.cs = WIDE_CS;
	regs.rip = code;
	regs.rax = SYS_ioctl;
	regs.rdi = args[0];
	regs.rsi = args[1];
	regs.rdx = args[2];
	r = request(c, PTRACE_SETREGS, 0, &regs);
	if (r)
		return r;
	r = run_call(c, SYS_ioctl, ret);
	request(c, PTRACE_SETREGS, 0, &before);
	return r;
}

int courier_make_wide(struct courier *c, const uint64_t args[COURIER_ARGS], int64_t *ret)
{
	static const uint8_t text[sizeof(long)] = { 0x0f, 0x05, 0xcc, 0xcc };	/* syscall */
	uint64_t code;
	long word;
	int r = map_page(c, PROT_READ | PROT_EXEC, &code);

	if (r)
		return c->lost ? r : -EOPNOTSUPP;
	memcpy(&word, text, sizeof(word));
	r = request(c, PTRACE_POKETEXT, code, (const void *)word);
	r = r && !c->lost ? -EOPNOTSUPP : r ? r : run_wide(c, code, args, ret);
	unmap_page(c, code);
	return r;
}

#else

int courier_make_wide(struct courier *c, const uint64_t args[COURIER_ARGS], int64_t *ret)
{
	return -EOPNOTSUPP;
}

#endif

/* What is asked for, and then time to take it all back. */
static int work(struct courier *c)
{
	int r = c->job->work(c, c->job->arg);

	/* Before the thread can close its own copy, or another courier looks for copies. */
	if (c->before >= 0)
		close(steal_fd(&c->before));
	c->end = courier_now() + c->job->deadline_ms * NS_PER_MS;
	return c->lost ? c->lost : r;
}

/* The thread is in the call that it shall return from. Return: its number, or an error. */
static int carry_undisturbed(struct courier *c)
{
	const uint64_t all = UINT64_MAX;
	uint64_t mask = 0;
	int r;

	r = request(c, PTRACE_GETSIGMASK, sizeof(mask), &mask);
	if (r == 0)
		r = request(c, PTRACE_SETSIGMASK, sizeof(all), &all);
	if (r)
		return r;
	r = map_page(c, PROT_READ | PROT_WRITE, &c->page);
	if (r == 0) {
		r = c->late ? -ETIMEDOUT : c->job->work ? work(c) : courier_carry(c);
		unmap_page(c, c->page);
	}
	request(c, PTRACE_SETSIGMASK, sizeof(mask), &mask);
	return r;
}

/* ---- attaching ---- */

/* What /proc tells of the thread. Return: 0; -ESRCH it is gone, or has ended. */
static int read_status(pid_t tid, int *ret_seccomp)
{
	char text[32];
	int r = client_status(tid, "State", text, sizeof(text));

	if (r == 0 && (*text == 'Z' || *text == 'X'))
		r = -ESRCH;
	if (r == 0)
		r = client_status(tid, "Seccomp", text, sizeof(text));
	*ret_seccomp = r == 0 ? atoi(text) : 0;
	return r;
}

static sigjmp_buf attach_late;

static void on_attach_late(int signal_number)
{
	siglongjmp(attach_late, 1);
}

/*
 * PTRACE_SEIZE waits for an exec in the client, and the exec for the end of all other
 * threads, so for ours, so for the answer to its call, and thus for us. A signal does not
 * end the wait, but its handler need not return into it. If it comes just after the wait,
 * the thread stays attached, which does no harm until it stops.
 */
static int seize(struct courier *c, uintptr_t options)
{
	const struct itimerval none = { 0 }, deadline = {
		.it_value = { c->job->deadline_ms / 1000, c->job->deadline_ms % 1000 * 1000 },
	};
	const struct sigaction jump = { .sa_handler = on_attach_late };
	struct sigaction before;
	sigset_t alarm, mask;
	volatile int r = -ETIMEDOUT;

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigaction(SIGALRM, &jump, &before);
	sigprocmask(SIG_UNBLOCK, &alarm, &mask);
	if (sigsetjmp(attach_late, 1) == 0) {
		setitimer(ITIMER_REAL, &deadline, NULL);
		/* CAP_SYS_PTRACE: a client of any user is stopped. */
		r = ptrace(PTRACE_SEIZE, c->tid, 0, options) ? -errno : 0;
		setitimer(ITIMER_REAL, &none, NULL);
	}
	sigprocmask(SIG_SETMASK, &mask, NULL);
	sigaction(SIGALRM, &before, NULL);
	return r;
}

static int attach(struct courier *c)
{
	const uintptr_t options = PTRACE_O_TRACESYSGOOD;
	int seccomp, r;

	/* CAP_SYS_ADMIN: of a client under a filter, to suspend it. */
	r = seize(c, options | PTRACE_O_SUSPEND_SECCOMP);
	if (r == -ETIMEDOUT)
		return r;
	c->suspended = r == 0;
	if (r) {
		/* It may be the option that we have no right to, or the thread. */
		r = read_status(c->tid, &seccomp);
		if (r)
			return r;
		if (seccomp)
			return -EPERM;
		r = seize(c, options);
		if (r)
			return r;
	}
	return ptrace(PTRACE_INTERRUPT, c->tid, 0, 0) ? -errno : 0;
}

/* The stop on the way out of the call, with registers saved. Errors leave c->abi NULL if
 * the thread is not where it was said to be. */
static int first_stop(struct courier *c)
{
	const struct courier_abi *abi;
	uint8_t code[COURIER_CODE];
	int status, seccomp, r;
	uint64_t pc;

	for (;;) {
		c->lost = r = wait_stop(c, &status);
		if (r)
			return r;
		if (is_group_stop(status))
			break;
		/* A signal that came before us: not in a call, then. */
		ptrace(PTRACE_CONT, c->tid, 0, status >> 8);
	}
	r = get_regs(c, &c->saved);
	if (r == 0)
		r = courier_regs_pc(&c->saved, &pc);
	if (r == 0)
		r = read_code(c, pc, code);
	if (r)
		return r;
	abi = courier_abi_find(&c->saved, code);
	if (!abi || !abi->in_ioctl(&c->saved))
		return -EIO;
	c->abi = abi;
	if (c->suspended)
		return 0;
	/* Another thread may have put a filter on this one meanwhile. */
	r = read_status(c->tid, &seccomp);
	return r == 0 && seccomp ? -EPERM : r;
}

/* Let it return @result, and go. */
static int finish(struct courier *c, int result)
{
	struct courier_regs regs = c->saved;
	int status;

	if (result == COURIER_AGAIN && c->abi && !c->abi->set_again)
		result = -EIO;
	if (c->abi) {
		if (result == COURIER_AGAIN)
			c->abi->set_again(&regs);
		else
			c->abi->set_result(&regs, result);
		set_regs(c, &regs);
	}
	if (c->job->leaving)
		c->job->leaving(c->job->arg);
	request(c, PTRACE_DETACH, 0, NULL);
	/* Its parent does not hear of its death before we have. */
	while (c->lost == -ESRCH && wait_stop(c, &status) == 0)
		;
	return c->lost ? c->lost : result;
}

static int deliver(struct courier *c)
{
	int r = attach(c);

	if (r == 0)
		r = c->job->armed(c->job->arg);
	if (r)
		return r;
	c->end = courier_now() + c->job->deadline_ms * NS_PER_MS;
	r = first_stop(c);
	if (r == 0)
		r = carry_undisturbed(c);
	return finish(c, r);
}

static int open_thread(pid_t tid)
{
	int fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);

	if (fd < 0 && errno == EINVAL) {
		pid_t tgid = client_tgid(tid);		/* before Linux 6.9 */

		if (tgid < 0)
			return (int)tgid;
		fd = (int)syscall(SYS_pidfd_open, tgid, 0);
	}
	return fd < 0 ? -errno : fd;
}

int courier_deliver(const struct courier_job *job)
{
	const struct sigaction standard = { .sa_handler = SIG_DFL };
	struct courier c = { .job = job, .fd = job->fd, .cloexec = job->cloexec,
			     .tid = job->tid, .before = -1 };
	struct sigaction action_before;
	sigset_t chld, mask_before;
	int r;

	c.pidfd = open_thread(job->tid);
	if (c.pidfd < 0)
		return c.pidfd;
	/* An ignored SIGCHLD would not tell of stops. */
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &mask_before);
	sigaction(SIGCHLD, &standard, &action_before);
	r = deliver(&c);
	sigaction(SIGCHLD, &action_before, NULL);
	sigprocmask(SIG_SETMASK, &mask_before, NULL);
	close(c.pidfd);
	return r;
}
