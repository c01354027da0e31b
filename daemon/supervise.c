/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <transport/fd_message.h>
#include <util/cleanup.h>
#include <vfio-cused/log.h>

#include "supervise.h"

/* ---- the beginning ---- */

/* Signals are read from a file, SIGCHLD too. */
static void signals_take_over(struct supervisor *s)
{
	static const int taken[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1,
				     SIGUSR2 };
	sigset_t mask;

	sigemptyset(&mask);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaddset(&mask, taken[i]);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	s->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

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

/* The processes whose parent is @parent, at most @max. Return: how many. */
static unsigned children_of(pid_t parent, pid_t *ret_pids, unsigned max)
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

/* A shell can have had children before it became us by exec: they are none of ours. */
static void children_note(struct supervisor *s)
{
	siginfo_t info;

	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
		s->n_before = children_of(getpid(), s->before, SUPERVISE_CHILDREN_MAX);
}

int supervise_begin(struct supervisor *s, struct cused_error *err)
{
	*s = (struct supervisor){ .socket = -1, .command = -1 };
	run_inherited_save(&s->inherited);
	signals_take_over(s);
	children_note(s);
	return s->signals < 0 ? cused_error_set(err, -EMFILE, "cannot make a signalfd") : 0;
}

/* ---- the child ---- */

int supervise_fork(struct supervisor *s, int *ret_socket, struct cused_error *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return cused_error_set(err, -errno, "socketpair: %s", strerror(errno));
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	/* Not fork(): with ThreadSanitizer it starts a thread in the child, and a process
	 * with threads gets no user namespace. We have one thread here. */
	s->command = _Fork();
	if (s->command == 0) {
		close(pair[0]);
		*ret_socket = pair[1];
		return 0;
	}
	close(pair[1]);
	s->socket = pair[0];
	if (s->command < 0)
		return cused_error_set(err, -errno, "fork: %s", strerror(errno));
	return 1;
}

int hello_receive(int sock, int *ret_fds, unsigned n, struct cused_error *err)
{
	struct hello hello;
	size_t n_fds = n;
	int got;

	do {
		got = fd_message_receive(sock, &hello, sizeof(hello), ret_fds, &n_fds);
	} while (got == -EINTR);
	if (got != sizeof(hello) && got != -EMFILE)
		return cused_error_set(err, -ECHILD, "the child ended before it was set up");
	if (got == sizeof(hello) && hello.code) {
		*err = hello.err;
		return hello.code;
	}
	if (got == -EMFILE || n_fds != n)
		return cused_error_set(err, -EMFILE, "cannot take over the child's files: the "
				       "limit on open files (ulimit -n) is too low");
	return 0;
}

int supervise_go(const struct supervisor *s, struct cused_error *err)
{
	if (send(s->socket, "g", 1, MSG_NOSIGNAL) != 1)
		return cused_error_set(err, -ECHILD, "the child ended before it could start");
	return 0;
}

void supervise_hang_up(struct supervisor *s)
{
	if (s->socket >= 0)
		close(steal_fd(&s->socket));
}

int hello_send(int sock, const struct hello *hello, const int *fds, unsigned n)
{
	return fd_message_send(sock, hello, sizeof(*hello), fds, hello->code ? 0 : n);
}

void supervise_exec(int sock, const struct run_inherited *inherited, char **argv,
		    const char *area)
{
	char go;
	int code;

	/* The supervisor says why, if it does not say go. */
	if (recv(sock, &go, 1, 0) != 1)
		_exit(RUN_EXIT_FAILED);
	run_inherited_restore(inherited);
	execvp(argv[0], argv);
	code = errno;
	cused_log(CUSED_LOG_ERROR, area, "cannot run '%s': %s", argv[0], strerror(code));
	_exit(code == ENOENT ? RUN_EXIT_NOT_FOUND : RUN_EXIT_CANNOT);
}

/* ---- while it runs ---- */

/* Collect ended children: the command, and orphans of which we are the reaper.
 * Return: are there any left? */
static bool reap(struct supervisor *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == s->command) {
			s->status = status;
			s->ended = true;
		}
	}
	return pid == 0;
}

/*
 * What comes from the kernel is a key on the terminal, and the command got it as well. The
 * exception is a terminal that hangs up: its session's leader alone is told, to tell the
 * others.
 */
static bool is_for_command(const struct signalfd_siginfo *info)
{
	return info->ssi_code != SI_KERNEL ||
	       (info->ssi_signo == SIGHUP && getsid(0) == getpid());
}

/* Wait for a signal. Return: true if it was SIGCHLD. */
static bool signal_take(struct supervisor *s, int timeout_ms)
{
	struct pollfd p = { .fd = s->signals, .events = POLLIN };
	struct signalfd_siginfo info;
	bool child = false;

	if (poll(&p, 1, timeout_ms) <= 0)
		return false;
	while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			child = true;
		else if (is_for_command(&info) && s->command > 0 && !s->ended)
			kill(s->command, (int)info.ssi_signo);
	}
	return child;
}

void supervise_wait(struct supervisor *s)
{
	while (!s->ended) {
		signal_take(s, -1);
		reap(s);
	}
}

/* ---- the end ---- */

static bool was_before(const struct supervisor *s, pid_t pid)
{
	for (unsigned i = 0; i < s->n_before; i++) {
		if (s->before[i] == pid)
			return true;
	}
	return false;
}

/* Killing a parent makes its children ours, so it is repeated until there is nobody. */
void supervise_kill_left(struct supervisor *s)
{
	pid_t pids[2 * SUPERVISE_CHILDREN_MAX];
	unsigned killed;

	while (reap(s)) {
		unsigned n = children_of(getpid(), pids, 2 * SUPERVISE_CHILDREN_MAX);

		killed = 0;
		for (unsigned i = 0; i < n; i++) {
			if (!was_before(s, pids[i]) && kill(pids[i], SIGKILL) == 0)
				killed++;
		}
		if (killed == 0)
			break;
		signal_take(s, 20);
	}
}

int supervise_status(const struct supervisor *s)
{
	return WIFSIGNALED(s->status) ? 128 + WTERMSIG(s->status) : WEXITSTATUS(s->status);
}

void supervise_end(struct supervisor *s)
{
	supervise_hang_up(s);
	if (s->signals >= 0)
		close(s->signals);
	run_inherited_restore(&s->inherited);
}
