/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <transport/exec_trap.h>
#include <transport/trap_filter.h>
#include <vfio-cused/log.h>

#include "exec.h"
#include "supervise.h"

/* Return: the listener, or -errno. */
static int filter_install(const struct sock_fprog *filter)
{
	int r = trap_filter_install(filter);

	/* Root can do without, and keeps programs that change the user. */
	if (r == -EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		r = trap_filter_install(filter);
	return r;
}

static void child_main(const struct supervisor *s, pid_t parent, int sock,
		       const struct sock_fprog *filter, char **argv) __attribute__((noreturn));
static void child_main(const struct supervisor *s, pid_t parent, int sock,
		       const struct sock_fprog *filter, char **argv)
{
	struct hello hello = { 0 };
	int listener;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(RUN_EXIT_FAILED);
	listener = filter_install(filter);
	if (listener < 0)
		hello.code = cused_error_set(&hello.err, listener, "cannot install the seccomp "
					     "filter: %s", trap_filter_cure(listener));
	if (hello_send(sock, &hello, &listener, 1) || hello.code)
		_exit(RUN_EXIT_FAILED);
	close(listener);
	supervise_exec(sock, &s->inherited, argv, "exec");
}

static int start(struct supervisor *s, const char *socket, char **argv,
		 struct exec_trap **ret, struct cused_error *err)
{
	struct exec_trap_params params = { .socket = socket };
	struct sock_fprog filter;
	pid_t self = getpid();
	int sock, r;

	r = trap_filter_build_exec(&filter, err);
	if (r)
		return r;
	r = supervise_fork(s, &sock, err);
	if (r == 0)
		child_main(s, self, sock, &filter, argv);
	free(filter.filter);
	if (r > 0)
		r = hello_receive(s->socket, &params.listener, 1, err);
	if (r == 0)
		r = exec_trap_start(&params, ret, err);
	return r == 0 ? supervise_go(s, err) : r;
}

int exec_command(const struct conf *conf, char **argv)
{
	const char *socket = conf->agent_socket ? conf->agent_socket : SERVICE_AGENT_SOCKET;
	struct exec_trap *trap = NULL;
	struct supervisor s;
	struct cused_error err;
	int r, status;

	r = supervise_begin(&s, &err);
	if (r == 0)
		r = start(&s, socket, argv, &trap, &err);
	if (r == 0) {
		supervise_wait(&s);
	} else {
		cused_log(CUSED_LOG_ERROR, "exec", "%s", err.text);
		supervise_hang_up(&s);
	}
	supervise_kill_left(&s);
	status = r ? RUN_EXIT_FAILED : supervise_status(&s);
	if (exec_trap_stop(trap)) {
		cused_log(CUSED_LOG_WARNING, "exec", "a call is still stalled, by the service or "
			  "by memory that another process serves; ending nevertheless");
		_exit(status);
	}
	supervise_end(&s);
	return status;
}
