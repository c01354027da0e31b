/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * platform.h - what the programs of this folder share: verdicts, a child in a user
 * namespace of its own, a child under a listener. A child ends when its parent does.
 */
#ifndef TESTS_PLATFORM_H
#define TESTS_PLATFORM_H

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)	/* linux/seccomp.h, 5.19 */
#endif
#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND (1UL << 1)
#endif

#define EXPECT(what) do {							\
	if (!(what)) {								\
		printf("failed: line %d: %s (%s)\n", __LINE__, #what, strerror(errno)); \
		fflush(stdout);							\
		_exit(1);							\
	}									\
} while (0)

#define SKIP(...) do {								\
	printf("skip (host): " __VA_ARGS__);					\
	putchar('\n');								\
	exit(77);								\
} while (0)

/* A pair of ends: each side tells the other that it got somewhere. */
struct meeting {
	int ours, theirs;
};

static inline void meeting_init(struct meeting *m)
{
	int fds[2];

	EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	*m = (struct meeting){ fds[0], fds[1] };
}

static inline void tell(int fd, int value)
{
	EXPECT(write(fd, &value, sizeof(value)) == sizeof(value));
}

static inline int hear(int fd)
{
	int value;

	EXPECT(read(fd, &value, sizeof(value)) == sizeof(value));
	return value;
}

/* fork(), with a child that cannot outlive its parent. */
static inline pid_t fork_child(void)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	EXPECT(pid >= 0);
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* The exit status of a child that ended by itself. */
static inline int join_child(pid_t pid)
{
	int status;

	EXPECT(waitpid(pid, &status, 0) == pid);
	EXPECT(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static inline int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int r = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;

	if (fd >= 0)
		close(fd);
	return r;
}

/* As a client is started: a user and a mount namespace of its own. Return: 0 or -1. */
static inline int enter_namespaces(void)
{
	unsigned uid = getuid(), gid = getgid();
	char map[64];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -1;
	snprintf(map, sizeof(map), "%u %u 1\n", uid, uid);
	if (write_text("/proc/self/setgroups", "deny") || write_text("/proc/self/uid_map", map))
		return -1;
	snprintf(map, sizeof(map), "%u %u 1\n", gid, gid);
	return write_text("/proc/self/gid_map", map);
}

/* Skip unless namespaces can be made. */
static inline void need_namespaces(void)
{
	pid_t pid = fork_child();

	if (pid == 0)
		_exit(enter_namespaces() ? 1 : 0);
	if (join_child(pid))
		SKIP("no user namespaces here");
}

/* ---- seccomp ---- */

/* The system call that stops; nothing here makes it otherwise. */
#define TRAPPED SYS_vhangup

/* Return: the listener, or -1. */
static inline int install_listener(unsigned long flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TRAPPED, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			    SECCOMP_FILTER_FLAG_NEW_LISTENER | flags, &program);
}

/* Skip unless a listener can be had. */
static inline void need_listener(unsigned long flags)
{
	pid_t pid = fork_child();
	int e;

	if (pid == 0)
		_exit(install_listener(flags) < 0 ? errno : 0);
	e = join_child(pid);
	if (e)
		SKIP("no seccomp listener here: %s", strerror(e));
}

/* Send and take a descriptor. */
static inline void send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, c = 0;
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&m);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	EXPECT(sendmsg(socket, &m, 0) == 1);
}

static inline int take_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))], c;
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	int fd;

	EXPECT(recvmsg(socket, &m, MSG_CMSG_CLOEXEC) == 1);
	EXPECT(CMSG_FIRSTHDR(&m) != NULL);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

/* A child under a listener that runs @body after it sent us the listener. */
static inline pid_t fork_trapped(unsigned long flags, void (*body)(int socket),
				 int *ret_listener, int *ret_socket)
{
	struct meeting m;
	pid_t pid;

	meeting_init(&m);
	pid = fork_child();
	if (pid == 0) {
		int listener;

		close(m.ours);
		listener = install_listener(flags);
		EXPECT(listener >= 0);
		send_fd(m.theirs, listener);
		close(listener);
		body(m.theirs);
		_exit(0);
	}
	close(m.theirs);
	*ret_listener = take_fd(m.ours);
	*ret_socket = m.ours;
	return pid;
}

/* The next trapped call. */
static inline struct seccomp_notif receive(int listener)
{
	struct seccomp_notif notif;
	int r;

	do {
		memset(&notif, 0, sizeof(notif));
		r = ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notif);
	} while (r < 0 && errno == EINTR);
	EXPECT(r == 0);
	return notif;
}

static inline int answer(int listener, uint64_t id, int error, int64_t value)
{
	struct seccomp_notif_resp resp = { .id = id, .error = error, .val = value };

	return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

#endif
