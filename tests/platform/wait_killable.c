/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: with SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV a trapped call that was received
 * is not interrupted by a signal with a handler: it returns our answer, once, and the
 * handler runs after it. (Without the flag the call would be made again.)
 */
#include <poll.h>

#include "platform.h"

static volatile sig_atomic_t handled;

static void on_signal(int signal_number)
{
	(void)signal_number;
	handled = 1;
}

static void body(int socket)
{
	struct sigaction action = { .sa_handler = on_signal };	/* no SA_RESTART */

	EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
	tell(socket, 1);
	EXPECT(syscall(TRAPPED) == 1234);
	EXPECT(handled == 1);
}

int main(void)
{
	struct pollfd poll_fd = { .events = POLLIN };
	struct seccomp_notif notif;
	int listener, socket;
	pid_t pid;

	need_listener(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	pid = fork_trapped(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, body, &listener, &socket);
	hear(socket);
	notif = receive(listener);
	EXPECT(kill(pid, SIGUSR1) == 0);
	/* Without the flag the child would be back at once, and gone by its own EXPECT. */
	poll_fd.fd = listener;
	EXPECT(poll(&poll_fd, 1, 300) == 0);
	EXPECT(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &notif.id) == 0);
	EXPECT(answer(listener, notif.id, 0, 1234) == 0);
	return join_child(pid);
}
