/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * supervise.h - a command under a supervisor: what `run` and `exec` have in common.
 *
 * Theory of operation
 *
 *   supervise_begin()       signals are read from a file from now on; children that the
 *                           process has already are noted, they are none of ours
 *   supervise_fork()        the child is to become the command. What it says and hands
 *                           over first is a hello, on a socket: hello_send(),
 *                           hello_receive(). Then it waits for supervise_go(), and ends
 *                           by supervise_exec()
 *   supervise_wait()        passes signals on until the command has ended
 *   supervise_kill_left()   kills what it left behind
 *   supervise_end()
 *
 *   The supervisor is a subreaper: a descendant of the command whose parent has ended
 *   becomes its child, and is killed when the command has ended.
 *
 *   Signals. TERM, INT, HUP, QUIT, USR1 and USR2 that a process sends to us are passed
 *   on to the command.
 *   Those that a terminal sends reach the whole foreground group, the command among it,
 *   and are not passed on twice; but a terminal that hangs up tells its session's leader
 *   alone, so that leaders pass it on.
 */
#ifndef SUPERVISE_H
#define SUPERVISE_H

#include <stdbool.h>
#include <sys/types.h>
#include <vfio-cused/cused.h>

#include "run.h"

#define SUPERVISE_CHILDREN_MAX	64	/* looked at in one go */

struct supervisor {
	struct run_inherited inherited;
	int signals;			/* signalfd */
	int socket;			/* to the child */
	pid_t command;
	int status;			/* of the command, once ended, as of waitpid() */
	bool ended;
	pid_t before[SUPERVISE_CHILDREN_MAX];	/* children that we had already */
	unsigned n_before;
};

/* The first thing that the child says. The fds travel beside it if code is 0. */
struct hello {
	int code;			/* 0 or -errno */
	struct cused_error err;
};

/* Call from the main thread, before any other was started; supervise_end() in any case.
 * Return: 0; -EMFILE with @err set. */
int supervise_begin(struct supervisor *s, struct cused_error *err);

/*
 * Call while single-threaded.
 * @ret_socket: in the child, its end of the socket
 * Return: 0 in the child; 1 in the supervisor; -errno with @err set.
 */
int supervise_fork(struct supervisor *s, int *ret_socket, struct cused_error *err);
/* Return: 0; -errno with @err set, which can be the child's. */
int hello_receive(int sock, int *ret_fds, unsigned n, struct cused_error *err);
/* Let the child go on to its command. Return: 0; -ECHILD with @err set. */
int supervise_go(const struct supervisor *s, struct cused_error *err);
/* A child that waits gives up. */
void supervise_hang_up(struct supervisor *s);

/* In the child. Return: 0, -errno. */
int hello_send(int sock, const struct hello *hello, const int *fds, unsigned n);
/*
 * In the child: wait for leave, and become the command.
 * @area: names us in the message if the command cannot be run
 */
void supervise_exec(int sock, const struct run_inherited *inherited, char **argv,
		    const char *area) __attribute__((noreturn));

void supervise_wait(struct supervisor *s);
/* Also other children made after supervise_begin(). */
void supervise_kill_left(struct supervisor *s);
/* The command's end as an exit status: its own, or 128 + signal. */
int supervise_status(const struct supervisor *s);
/* Gives signals and limits back. */
void supervise_end(struct supervisor *s);

#endif
