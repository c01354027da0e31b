/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run_guard.c - no process of a run outlives it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <util/cleanup.h>

#include "run.h"
#include "run_ctl.h"

/* ---- the guard ---- */

#define GUARD_LOOKS	500	/* at most, 10 ms apart */
#define GUARD_FDS	2	/* from 3 on: the pipe, the client's /dev/vfio */

/*
 * Does the process see the file system on @dev, mounted anywhere? A process that makes a
 * mount namespace of its own takes a copy of all mounts along, so our /dev/vfio tells the
 * processes of a run better than the namespace does. mountinfo says so without touching a
 * file system, which might be one that the client serves.
 * Return: 1, 0, or -errno.
 */
static int process_sees(const char *pid, dev_t dev)
{
	char path[64], want[32], *line = NULL;
	size_t size = 0;
	int found = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%.20s/mountinfo", pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	snprintf(want, sizeof(want), "%u:%u", major(dev), minor(dev));
	while (!found && getline(&line, &size, file) > 0) {
		char number[32];

		found = sscanf(line, "%*d %*d %31s", number) == 1 && strcmp(number, want) == 0;
	}
	free(line);
	fclose(file);
	return found;
}

/* Return: number of processes found. */
static unsigned kill_seers(dev_t dev)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t own = getpid();
	unsigned n = 0;

	while (proc && (entry = readdir(proc))) {
		pid_t pid = (pid_t)atoi(entry->d_name);

		if (pid > 0 && pid != own && process_sees(entry->d_name, dev) == 1) {
			kill(pid, SIGKILL);
			n++;
		}
	}
	if (proc)
		closedir(proc);
	return n;
}

static void guard_main(int pipe_fd, int directory, dev_t dev, const struct run_ctl *ctl)
	__attribute__((noreturn));
static void guard_main(int pipe_fd, int directory, dev_t dev, const struct run_ctl *ctl)
{
	char byte;

	/* Nothing of the supervisor's may live on here, least of all the listener. But the
	 * directory is kept: with it @dev cannot become the number of another run. */
	pipe_fd = fcntl(pipe_fd, F_DUPFD, 3 + GUARD_FDS);
	directory = fcntl(directory, F_DUPFD, 3 + GUARD_FDS);
	if (pipe_fd < 0 || directory < 0 || dup2(pipe_fd, 3) < 0 || dup2(directory, 4) < 0 ||
	    close_range(3 + GUARD_FDS, ~0u, 0))
		_exit(1);
	prctl(PR_SET_NAME, "vfio-cused-grd");
	while (read(3, &byte, 1) < 0 && errno == EINTR)
		;
	run_ctl_remove(ctl);
	for (unsigned i = 0; i < GUARD_LOOKS && kill_seers(dev); i++) {
		struct timespec pause = { 0, 10000000 };

		nanosleep(&pause, NULL);
	}
	_exit(0);
}

bool run_proc_is_ours(void)
{
	char text[24] = "";

	return readlink("/proc/self", text, sizeof(text) - 1) > 0 &&
	       (pid_t)atoi(text) == getpid();
}

int run_guard_start(pid_t command, int directory, const struct run_ctl *ctl, int *ret_pipe,
		    struct cused_error *err)
{
	char number[24];
	struct stat st;
	int fds[2];
	pid_t pid;
	int r;

	snprintf(number, sizeof(number), "%d", (int)command);
	if (fstat(directory, &st))
		return cused_error_set(err, -errno, "cannot look at the client's /dev/vfio: %s",
				       strerror(errno));
	if (!run_proc_is_ours())
		return cused_error_set(err, -ESRCH, "/proc shows another PID namespace than the one "
				       "we are in: mount -t proc proc /proc (as root; "
				       "unshare(1) does it with --mount-proc)");
	r = process_sees(number, st.st_dev);
	/* Never what we share with the rest of the machine. */
	if (r != 1 || process_sees("self", st.st_dev) != 0)
		return cused_error_set(err, r < 0 ? r : -ESRCH, "cannot tell the client's "
				       "processes from others: %s",
				       r < 0 ? strerror(-r) : "its /dev/vfio is not its own");
	if (pipe2(fds, O_CLOEXEC))
		return cused_error_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		close(fds[1]);
		guard_main(fds[0], directory, st.st_dev, ctl);
	}
	close(fds[0]);
	if (pid < 0) {
		close(fds[1]);
		return cused_error_set(err, -EAGAIN, "cannot start the guard process: %s",
				       strerror(EAGAIN));
	}
	*ret_pipe = fds[1];
	return 0;
}
