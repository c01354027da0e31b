/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: if the trapped process has no descriptor left, ADDFD with SEND fails with
 * EMFILE in the supervisor, the call stays open, and the supervisor answers it itself.
 */
#include <sys/resource.h>

#include "platform.h"

static void body(int socket)
{
	struct rlimit limit = { 4, 4 };

	EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	while (dup(socket) >= 0)
		;
	EXPECT(syscall(TRAPPED) == -1 && errno == EMFILE);
}

int main(void)
{
	struct seccomp_notif_addfd addfd = { .flags = SECCOMP_ADDFD_FLAG_SEND };
	int listener, socket;
	pid_t pid;

	need_listener(0);
	pid = fork_trapped(0, body, &listener, &socket);
	addfd.id = receive(listener).id;
	addfd.srcfd = 1;
	EXPECT(ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd) < 0 && errno == EMFILE);
	EXPECT(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &addfd.id) == 0);
	EXPECT(answer(listener, addfd.id, -EMFILE, 0) == 0);
	return join_child(pid);
}
