/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Expectation: under a listener, a second one is refused with EBUSY, for children too. */
#include "platform.h"

static void body(int socket)
{
	pid_t pid;

	(void)socket;
	EXPECT(install_listener(0) < 0 && errno == EBUSY);
	pid = fork_child();
	if (pid == 0) {
		EXPECT(install_listener(0) < 0 && errno == EBUSY);
		_exit(0);
	}
	EXPECT(join_child(pid) == 0);
}

int main(void)
{
	int listener, socket;

	need_listener(0);
	return join_child(fork_trapped(0, body, &listener, &socket));
}
