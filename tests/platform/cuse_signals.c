/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: a signal does not end an ioctl that the server is at: its handler runs when
 * the answer has come, and the result is the server's. A client that is killed meanwhile
 * stays until then, and ends with the signal.
 */
#include "cuse.h"

#define LONG_ENOUGH 200		/* ms in which nothing happens */

static volatile sig_atomic_t handled;

static void on_signal(int sig)
{
	handled = 1;
}

static void signalled(struct device *d, int fd, unsigned n)
{
	struct sigaction sa = { .sa_handler = on_signal };	/* without SA_RESTART */
	pid_t pid = fork_child();

	if (pid == 0) {
		EXPECT(sigaction(SIGUSR1, &sa, NULL) == 0);
		EXPECT(ioctl(fd, CMD_HOLD, 0) == 5);
		EXPECT(handled);
		_exit(0);
	}
	await(&d->seen->ioctls, n);
	EXPECT(kill(pid, SIGUSR1) == 0);
	EXPECT(!ends_within(pid, LONG_ENOUGH));
	device_go(d, 'a');
	EXPECT(join_child(pid) == 0);
	EXPECT(d->seen->ioctls == n);		/* it was done once */
}

static void killed(struct device *d, int fd, unsigned n)
{
	pid_t pid = fork_ioctl(fd, CMD_HOLD);
	int status;

	await(&d->seen->ioctls, n);
	EXPECT(kill(pid, SIGKILL) == 0);
	EXPECT(!ends_within(pid, LONG_ENOUGH));
	device_go(d, 'a');
	EXPECT(waitpid(pid, &status, 0) == pid);
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(void)
{
	struct device d = device_start(DEVICE_NAME);
	int fd = device_open();

	signalled(&d, fd, 1);
	killed(&d, fd, 2);
	EXPECT(ioctl(fd, CMD_FIVE, 0) == 5);
	close(fd);
	device_stop(&d);
	return 0;
}
