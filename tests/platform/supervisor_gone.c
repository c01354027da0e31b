/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: when the listener is closed, as by kill -9 of the supervisor, a trapped call
 * in flight and all later ones end with ENOSYS; nothing hangs.
 */
#include "platform.h"

static void body(int socket)
{
	(void)socket;
	EXPECT(syscall(TRAPPED) == -1 && errno == ENOSYS);
	EXPECT(syscall(TRAPPED) == -1 && errno == ENOSYS);
}

int main(void)
{
	int listener, socket;
	pid_t pid;

	need_listener(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	pid = fork_trapped(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, body, &listener, &socket);
	receive(listener);
	close(listener);
	return join_child(pid);
}
