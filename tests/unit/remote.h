/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/remote.h - client processes that make system calls for a test.
 *
 * Theory of operation
 *
 *   A process that serves files must never touch them itself. So a test has *remotes*: each
 *   is a process that reads numbers and arguments of system calls from a socket, makes the
 *   calls, and sends back what they answered. Memory for arguments is the arena, which all
 *   share at the same address: the test writes what a call reads, and sees what it wrote.
 *
 *   Remote 0 is forked by remotes_init(), before the test has threads; the others are
 *   forked by a remote, so that a copy of its fds can be had at any time. All are children
 *   of the test. A remote ends when the test does, however it does.
 *
 *   remote_begin() only sends; so a call that does not return keeps nobody waiting, and
 *   remote_end() has a deadline. A remote makes one call at a time.
 */
#ifndef UNIT_REMOTE_H
#define UNIT_REMOTE_H

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REMOTES 64
#define REMOTE_MS 20000		/* deadline for all that is to happen */
#define REMOTE_ARENA (8ul << 20)
#define REMOTE_LINK 900		/* and 901: a pair of sockets that all remotes have */

/* Not numbers of system calls. */
enum { REMOTE_FORK = -1, REMOTE_COPY = -2, REMOTE_EXIT = -3, REMOTE_REPEAT = -4 };

struct remote_order {
	long number;
	long args[6];
};

/* What must hold in the end; 20 seconds. */
#define UNTIL(condition) \
	do { \
		time_t until_ = time(NULL) + REMOTE_MS / 1000; \
		bool holds_; \
\
		while (!(holds_ = (condition)) && time(NULL) < until_) \
			sched_yield(); \
		ck_assert_msg(holds_, "not within the deadline: " #condition); \
	} while (0)

static struct {
	int ours[REMOTES], theirs[REMOTES];
	pid_t pids[REMOTES];		/* 0: it does not run */
	char *arena;
	size_t used;
} remotes;

/* ---- in a remote ---- */

static inline void remote_on_signal(int number)
{
}

static inline void remote_serve(unsigned i) __attribute__((noreturn));

static inline long remote_do(const struct remote_order *order)
{
	const long *a = order->args;
	long r;

	switch (order->number) {
	case REMOTE_FORK:
		/* Of one thread, so nothing is lost with the others. */
		r = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
		if (r == 0)
			remote_serve((unsigned)a[0]);
		break;
	case REMOTE_COPY:
		memcpy((void *)a[0], (const void *)a[1], (size_t)a[2]);
		return 0;
	case REMOTE_EXIT:
		_exit(0);
	case REMOTE_REPEAT:
		/* Three arguments; until it fails or the flag is set: how often. */
		for (long n = 0;; n++) {
			if (__atomic_load_n((const int *)a[0], __ATOMIC_ACQUIRE))
				return n;
			if (syscall(a[1], a[2], a[3], a[4]) == -1)
				return -errno;
		}
	default:
		r = syscall(order->number, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
	return r == -1 ? -errno : r;
}

static inline void remote_serve(unsigned i)
{
	struct sigaction action = { .sa_handler = remote_on_signal };	/* no SA_RESTART */
	struct remote_order order;
	long answer;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGUSR1, &action, NULL);
	for (;;) {
		ssize_t n = recv(remotes.theirs[i], &order, sizeof(order), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(order))
			_exit(0);
		answer = remote_do(&order);
		while (send(remotes.theirs[i], &answer, sizeof(answer), MSG_NOSIGNAL) < 0) {
			if (errno != EINTR)
				_exit(0);
		}
	}
}

/* ---- in the test ---- */

/* Memory that all share, of zeroes. */
static inline void *remote_alloc(size_t size)
{
	void *p = remotes.arena + remotes.used;

	remotes.used += (size + 63) & ~63ul;
	ck_assert_uint_le(remotes.used, REMOTE_ARENA);
	return p;
}

static inline char *remote_string(const char *text)
{
	return memcpy(remote_alloc(strlen(text) + 1), text, strlen(text) + 1);
}

/* Remote 0. Call while single-threaded. */
static inline void remotes_init(void)
{
	int pair[2], link[2];
	pid_t pid;

	memset(&remotes, 0, sizeof(remotes));
	remotes.arena = mmap(NULL, REMOTE_ARENA, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(remotes.arena, MAP_FAILED);
	for (unsigned i = 0; i < REMOTES; i++) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
					    pair), 0);
		remotes.ours[i] = pair[0];
		remotes.theirs[i] = pair[1];
	}
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link), 0);
	pid = fork();
	if (pid == 0) {
		for (unsigned i = 0; i < REMOTES; i++)
			close(remotes.ours[i]);
		dup2(link[0], REMOTE_LINK);
		dup2(link[1], REMOTE_LINK + 1);
		close(link[0]);
		close(link[1]);
		remote_serve(0);
	}
	ck_assert_int_gt(pid, 0);
	remotes.pids[0] = pid;
	close(link[0]);
	close(link[1]);
}

static inline void remote_begin_args(unsigned i, const struct remote_order *order)
{
	ck_assert_int_ne(remotes.pids[i], 0);
	ck_assert_int_eq(send(remotes.ours[i], order, sizeof(*order), MSG_NOSIGNAL),
			 sizeof(*order));
}

#define remote_begin(i, ...) \
	remote_begin_args(i, &(struct remote_order) \
			  { REMOTE_ORDER(__VA_ARGS__, 0, 0, 0, 0, 0, 0) })
#define REMOTE_ORDER(n, a, b, c, d, e, f, ...) \
	(n), { (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f) }

/* Has it answered? Waits for @ms at most. */
static inline bool remote_is_back(unsigned i, int ms)
{
	struct pollfd p = { .fd = remotes.ours[i], .events = POLLIN };

	return poll(&p, 1, ms) == 1 && (p.revents & POLLIN);
}

/* The result of the call, or -errno. */
static inline long remote_end(unsigned i)
{
	long answer;

	ck_assert_msg(remote_is_back(i, REMOTE_MS), "remote %u does not come back", i);
	ck_assert_int_eq(recv(remotes.ours[i], &answer, sizeof(answer), 0), sizeof(answer));
	return answer;
}

#define remote_call(i, ...) (remote_begin(i, __VA_ARGS__), remote_end(i))

/* Like ioctl(), with an argument or without. */
#define remote_ioctl(i, ...) remote_call(i, SYS_ioctl, __VA_ARGS__)

/* Remote @to becomes a copy of @from. */
static inline void remote_fork(unsigned from, unsigned to)
{
	long pid = remote_call(from, REMOTE_FORK, to);

	ck_assert_int_gt(pid, 0);
	remotes.pids[to] = (pid_t)pid;
}

/* Wait for its end. Return: milliseconds that took. */
static inline unsigned remote_wait(unsigned i)
{
	int pidfd = (int)syscall(SYS_pidfd_open, remotes.pids[i], 0);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	struct timespec a, b;
	char byte[sizeof(long)];

	ck_assert_int_ge(pidfd, 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	ck_assert_msg(poll(&p, 1, REMOTE_MS) == 1, "remote %u does not end", i);
	clock_gettime(CLOCK_MONOTONIC, &b);
	close(pidfd);
	ck_assert_int_eq(waitpid(remotes.pids[i], NULL, 0), remotes.pids[i]);
	remotes.pids[i] = 0;
	/* The number may be used again. */
	while (recv(remotes.ours[i], byte, sizeof(byte), MSG_DONTWAIT) > 0)
		;
	return (unsigned)((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000);
}

static inline unsigned remote_kill(unsigned i)
{
	ck_assert_int_eq(kill(remotes.pids[i], SIGKILL), 0);
	return remote_wait(i);
}

/* All end, and so do their calls. */
static inline void remotes_done(void)
{
	for (unsigned i = 0; i < REMOTES; i++) {
		if (remotes.pids[i])
			remote_kill(i);
		close(remotes.ours[i]);
		close(remotes.theirs[i]);
	}
	munmap(remotes.arena, REMOTE_ARENA);
}

/* ---- what remotes do often ---- */

struct remote_message {
	struct msghdr msg;
	struct iovec iov;
	char byte;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

static inline struct remote_message *remote_message_new(void)
{
	struct remote_message *m = remote_alloc(sizeof(*m));

	m->iov = (struct iovec){ &m->byte, 1 };
	m->msg = (struct msghdr){ .msg_iov = &m->iov, .msg_iovlen = 1,
				  .msg_control = m->control,
				  .msg_controllen = sizeof(m->control) };
	return m;
}

/* Through the sockets that all have: the fd is on its way until remote_receive_fd(). */
static inline void remote_send_fd(unsigned i, int fd)
{
	struct remote_message *m = remote_message_new();
	struct cmsghdr *c = CMSG_FIRSTHDR(&m->msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	ck_assert_int_eq(remote_call(i, SYS_sendmsg, REMOTE_LINK, m, 0), 1);
}

static inline int remote_receive_fd(unsigned i)
{
	struct remote_message *m = remote_message_new();
	int fd;

	ck_assert_int_eq(remote_call(i, SYS_recvmsg, REMOTE_LINK + 1, m, 0), 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m->msg)), sizeof(int));
	return fd;
}

/* A copy of an fd of the test's own, given while it may not yet be had by inheritance. */
static inline int remote_give_fd(unsigned i, int fd)
{
	long pidfd = remote_call(i, SYS_pidfd_open, getpid(), 0);
	long copy;

	ck_assert_int_ge(pidfd, 0);
	copy = remote_call(i, SYS_pidfd_getfd, pidfd, fd, 0);
	ck_assert_int_ge(copy, 0);
	ck_assert_int_eq(remote_call(i, SYS_close, pidfd), 0);
	return (int)copy;
}

/* Does it wait in system call @number? */
static inline bool remote_waits_in(unsigned i, long number)
{
	char path[64], text[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)remotes.pids[i]);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	return text[0] != 'r' && text[0] && strtol(text, NULL, 10) == number;
}


#endif
