/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: RELEASE of a CUSE file comes once, with the last close, whichever way the
 * file was shared: dup, fork, a message over a socket, exec, a killed process. What ended
 * it (close, exec, the process's end) waits until the server has answered.
 */
#include "cuse.h"

static struct device d;
static unsigned opened;

static int open_one(void)
{
	int fd = device_open();

	opened++;
	EXPECT(d.seen->opens == opened && d.seen->releases == opened - 1);
	return fd;
}

/* With the last close done, and not before. */
static void closed(void)
{
	EXPECT(d.seen->releases == opened);
}

static void not_closed(void)
{
	EXPECT(d.seen->releases == opened - 1);
}

static void by_dup(void)
{
	int fd = open_one(), copy = dup(fd);

	EXPECT(copy >= 0 && close(fd) == 0);
	not_closed();
	EXPECT(ioctl(copy, CMD_FIVE, 0) == 5);
	close(copy);
	closed();
}

static void by_fork(void)
{
	int fd = open_one();
	struct meeting m;
	pid_t pid;

	meeting_init(&m);
	pid = fork_child();
	if (pid == 0) {
		hear(m.theirs);
		_exit(ioctl(fd, CMD_FIVE, 0));
	}
	close(fd);
	not_closed();
	tell(m.ours, 1);
	EXPECT(join_child(pid) == 5);
	closed();
}

static void by_kill(void)
{
	int fd = open_one(), status;
	pid_t pid = fork_child();

	if (pid == 0)
		for (;;)
			pause();
	close(fd);
	not_closed();
	kill(pid, SIGKILL);
	EXPECT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	closed();
}

static void by_message(void)
{
	int fd = open_one();
	struct meeting m;

	meeting_init(&m);
	send_fd(m.ours, fd);
	close(fd);
	not_closed();			/* in flight it is open */
	fd = take_fd(m.theirs);
	EXPECT(ioctl(fd, CMD_FIVE, 0) == 5);
	send_fd(m.ours, fd);
	close(fd);
	not_closed();
	close(m.ours);
	close(m.theirs);		/* thrown away unread */
	closed();
}

/* The program that by_exec() starts: says that it runs, and waits. */
static int started(int socket)
{
	tell(socket, 1);
	hear(socket);
	return 0;
}

static void by_exec(const char *program, bool keep)
{
	int fd = open_one();
	struct meeting m;
	char number[16];
	pid_t pid;

	meeting_init(&m);
	pid = fork_child();
	if (pid == 0) {
		snprintf(number, sizeof(number), "%d", m.theirs);
		fcntl(m.theirs, F_SETFD, 0);
		if (keep)
			fcntl(fd, F_SETFD, 0);
		execl(program, program, number, NULL);
		_exit(1);
	}
	close(fd);
	hear(m.ours);
	if (keep)
		not_closed();
	else
		closed();
	tell(m.ours, 1);
	EXPECT(join_child(pid) == 0);
	closed();
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return started(atoi(argv[1]));
	d = device_start(DEVICE_NAME);
	by_dup();
	by_fork();
	by_kill();
	by_message();
	by_exec("/proc/self/exe", true);
	by_exec("/proc/self/exe", false);
	device_stop(&d);
	return 0;
}
