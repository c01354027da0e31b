/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: the creator of a user namespace can take descriptors (pidfd_getfd) of a
 * program in it, without capabilities of its own, even if the program is not dumpable. The
 * copy is the same open file description.
 *
 * The program has to have been started (execve) inside of the namespace: that is when its
 * memory becomes the namespace's. A process that entered by unshare() and made itself not
 * dumpable is out of reach (EPERM).
 */
#include <sys/mman.h>

#include "platform.h"

static int program(int socket)
{
	int fd = memfd_create("test", 0);

	EXPECT(prctl(PR_SET_DUMPABLE, 0) == 0);
	EXPECT(fd >= 0);
	tell(socket, fd);
	hear(socket);
	EXPECT(lseek(fd, 4321, SEEK_CUR) == 2 * 4321);
	return 0;
}

int main(int argc, char **argv)
{
	struct meeting m;
	int pidfd, fd, number;
	char socket[16];
	pid_t pid;

	if (argc > 1)
		return program(atoi(argv[1]));
	need_namespaces();
	meeting_init(&m);
	pid = fork_child();
	if (pid == 0) {
		close(m.ours);
		EXPECT(enter_namespaces() == 0);
		EXPECT(fcntl(m.theirs, F_SETFD, 0) == 0);
		snprintf(socket, sizeof(socket), "%d", m.theirs);
		execl("/proc/self/exe", argv[0], socket, NULL);
		EXPECT(!"exec");
	}
	close(m.theirs);
	number = hear(m.ours);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	EXPECT(pidfd >= 0);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	EXPECT(fd >= 0);
	EXPECT(lseek(fd, 4321, SEEK_SET) == 4321);
	tell(m.ours, 1);
	return join_child(pid);
}
