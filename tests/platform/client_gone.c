/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: SIGKILL ends a process inside of a trapped call that was received; the
 * answer then gets ENOENT, and the listener reports POLLHUP once no one is under it.
 */
#include <poll.h>

#include "platform.h"

static void body(int socket)
{
	(void)socket;
	syscall(TRAPPED);
}

int main(void)
{
	struct pollfd poll_fd = { .events = POLLIN };
	struct seccomp_notif notif;
	int listener, socket, status;
	pid_t pid;

	need_listener(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	pid = fork_trapped(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, body, &listener, &socket);
	notif = receive(listener);
	EXPECT(kill(pid, SIGKILL) == 0);
	EXPECT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	EXPECT(answer(listener, notif.id, 0, 0) < 0 && errno == ENOENT);
	poll_fd.fd = listener;
	EXPECT(poll(&poll_fd, 1, 10000) == 1);
	EXPECT(poll_fd.revents & POLLHUP);
	return 0;
}
