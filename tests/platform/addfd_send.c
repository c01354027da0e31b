/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: SECCOMP_IOCTL_NOTIF_ADDFD with ADDFD_FLAG_SEND makes a descriptor in the
 * trapped process, at the lowest free number and with the flags asked for, and answers the
 * call with that number.
 */
#include <sys/mman.h>

#include "platform.h"

static void body(int socket)
{
	int lowest = dup(socket);
	char c = 0;
	long fd;

	EXPECT(lowest >= 0 && close(lowest) == 0);
	fd = syscall(TRAPPED);
	EXPECT(fd == lowest);
	EXPECT(fcntl((int)fd, F_GETFD) == FD_CLOEXEC);
	EXPECT(pread((int)fd, &c, 1, 0) == 1 && c == 'x');
}

int main(void)
{
	struct seccomp_notif_addfd addfd = { .flags = SECCOMP_ADDFD_FLAG_SEND,
					     .newfd_flags = O_CLOEXEC };
	int listener, socket, fd, r;
	pid_t pid;

	need_listener(0);
	fd = memfd_create("test", MFD_CLOEXEC);
	EXPECT(fd >= 0 && write(fd, "x", 1) == 1);
	pid = fork_trapped(0, body, &listener, &socket);
	addfd.id = receive(listener).id;
	addfd.srcfd = (uint32_t)fd;
	r = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd);
	if (r < 0 && errno == EINVAL) {
		answer(listener, addfd.id, -ENOSYS, 0);
		kill(pid, SIGKILL);
		SKIP("no SECCOMP_ADDFD_FLAG_SEND (Linux 5.14)");
	}
	EXPECT(r >= 0);
	EXPECT(answer(listener, addfd.id, 0, 7) < 0 && errno == ENOENT);
	return join_child(pid);
}
