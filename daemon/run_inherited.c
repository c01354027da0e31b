/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run_inherited.c - what a supervisor changes for itself, and its command gets back. */
#include <fcntl.h>
#include <unistd.h>

#include "run.h"

/* Device files are long, if sparse (XFSZ). Whoever read our messages may be gone (PIPE).
 * An ignored CHLD, as some parents leave it, would lose the command's status. */
static const struct {
	int number;
	void (*handler)(int);
} actions[RUN_ACTIONS] = {
	{ SIGXFSZ, SIG_IGN }, { SIGPIPE, SIG_IGN }, { SIGCHLD, SIG_DFL },
};

/* Ours alone: long files, many fds. */
static void limit_raise(int resource, struct rlimit *ret)
{
	struct rlimit limit;

	getrlimit(resource, ret);
	limit = *ret;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(resource, &limit);
}

void run_inherited_save(struct run_inherited *ret)
{
	int fd;

	/* So that no file of ours gets the number that messages go to. CMD finds them
	 * closed, as we did. */
	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	for (size_t i = 0; i < RUN_ACTIONS; i++)
		sigaction(actions[i].number, &(struct sigaction){
			.sa_handler = actions[i].handler }, &ret->actions[i]);
	limit_raise(RLIMIT_FSIZE, &ret->fsize);
	limit_raise(RLIMIT_NOFILE, &ret->nofile);
	sigprocmask(SIG_BLOCK, NULL, &ret->mask);
}

void run_inherited_restore(const struct run_inherited *inherited)
{
	setrlimit(RLIMIT_FSIZE, &inherited->fsize);
	setrlimit(RLIMIT_NOFILE, &inherited->nofile);
	for (size_t i = 0; i < RUN_ACTIONS; i++)
		sigaction(actions[i].number, &inherited->actions[i], NULL);
	sigprocmask(SIG_SETMASK, &inherited->mask, NULL);
}
