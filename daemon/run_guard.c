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
#include <time.h>
#include <unistd.h>

#include <util/cleanup.h>

#include "run.h"

/* The parent of @pid, or -1. */
static pid_t parent_of(pid_t pid)
{
	char path[64], text[512], *p;
	cleanup_close int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	p = strrchr(text, ')');		/* the name before it may hold anything */
	return p && strlen(p) > 4 ? (pid_t)atoi(p + 4) : -1;
}

unsigned run_children(pid_t parent, pid_t *ret_pids, unsigned max)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	unsigned n = 0;

	while (proc && n < max && (entry = readdir(proc))) {
		pid_t pid = (pid_t)atoi(entry->d_name);

		if (pid > 0 && parent_of(pid) == parent)
			ret_pids[n++] = pid;
	}
	if (proc)
		closedir(proc);
	return n;
}

/* ---- the guard ---- */

#define GUARD_LOOKS	500	/* at most, 10 ms apart */

static bool namespace_of(pid_t pid, ino_t *ret)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	if (stat(path, &st))
		return false;
	*ret = st.st_ino;
	return true;
}

/* Return: number of processes found in the namespace. */
static unsigned kill_namespace(ino_t namespace)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	unsigned n = 0;
	ino_t ino;

	while (proc && (entry = readdir(proc))) {
		pid_t pid = (pid_t)atoi(entry->d_name);

		if (pid > 0 && namespace_of(pid, &ino) && ino == namespace) {
			kill(pid, SIGKILL);
			n++;
		}
	}
	if (proc)
		closedir(proc);
	return n;
}

static void guard_main(int pipe_fd, ino_t namespace) __attribute__((noreturn));
static void guard_main(int pipe_fd, ino_t namespace)
{
	char byte;

	/* Nothing of the supervisor's may live on here, least of all the listener. */
	if (dup2(pipe_fd, 3) < 0 || close_range(4, ~0u, 0))
		_exit(1);
	prctl(PR_SET_NAME, "vfio-cused-grd");
	while (read(3, &byte, 1) < 0 && errno == EINTR)
		;
	for (unsigned i = 0; i < GUARD_LOOKS && kill_namespace(namespace); i++) {
		struct timespec pause = { 0, 10000000 };

		nanosleep(&pause, NULL);
	}
	_exit(0);
}

int run_guard_start(pid_t command, int *ret_pipe)
{
	ino_t namespace, own;
	int fds[2];
	pid_t pid;

	/* Never the namespace that we share with the rest of the machine. */
	if (!namespace_of(command, &namespace) || !namespace_of(getpid(), &own) ||
	    namespace == own)
		return -ESRCH;
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid == 0) {
		close(fds[1]);
		guard_main(fds[0], namespace);
	}
	close(fds[0]);
	if (pid < 0) {
		close(fds[1]);
		return -EAGAIN;
	}
	*ret_pipe = fds[1];
	return 0;
}
