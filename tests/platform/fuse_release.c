/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: when close() of a FUSE file returns, or the process that had it is gone,
 * RELEASE waits in the server's queue: one who asks the server later finds it first, though
 * close() does not wait for the answer.
 */
#include "fuse_files.h"

int main(void)
{
	struct files f = files_start(-1);
	int fd = files_open_one(&f), copy, status;
	pid_t pid;

	copy = dup(fd);
	EXPECT(files_command(&f, 'h') == 1);
	close(fd);
	EXPECT(files_command(&f, 'l') == 0 && f.seen->releases == 0);
	close(copy);
	EXPECT(f.seen->releases == 0);
	EXPECT(files_command(&f, 'l') == 1 && f.seen->releases == 1);
	EXPECT(files_command(&f, 'g') == 1);

	fd = files_open_one(&f);
	EXPECT(files_command(&f, 'h') == 1);
	pid = fork_child();
	if (pid == 0)
		for (;;)
			pause();
	close(fd);
	EXPECT(files_command(&f, 'l') == 0);
	kill(pid, SIGKILL);
	EXPECT(waitpid(pid, &status, 0) == pid);
	EXPECT(files_command(&f, 'l') == 1 && f.seen->releases == 2);
	files_stop(&f);
	return 0;
}
