/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <transport/backing.h>
#include <transport/sysfs.h>
#include <transport/trap.h>
#include <transport/trap_filter.h>
#include <transport/window.h>
#include <util/cleanup.h>
#include <vfio-cused/log.h>

#include "instance.h"
#include "run.h"

_Static_assert(CONF_DEVICES_MAX <= WINDOW_DEVICES, "each device has a window");

struct run {
	const struct conf *conf;
	struct backing *backings[CONF_DEVICES_MAX];
	struct cused_error backing_err;	/* what backing_make() cannot say through the core */
	struct instance *instance;
	struct sysfs_plan *sysfs;
	char **nodes;
	struct sock_fprog filter;
	struct run_inherited inherited;
	struct trap *trap;
	int signals;			/* signalfd */
	int socket;			/* to the child */
	int guard;			/* the guard's pipe */
	pid_t command;
	int status;			/* of the command, once ended */
	bool ended;
	pid_t before[RUN_CHILDREN_MAX];	/* children that we had already */
	unsigned n_before;
};

/* ---- set-up ---- */

static int backing_make(void *arg, unsigned index, const struct backing_ops **ret_ops,
			void **ret_arg, uint64_t *ret_offset_base)
{
	struct run *run = arg;
	int r = backing_new(index, &run->backings[index], &run->backing_err);

	if (r)
		return r;
	*ret_ops = &backing_memfd_ops;
	*ret_arg = run->backings[index];
	*ret_offset_base = window_base(index);
	return 0;
}

static char *node_name(const struct conf_device *device)
{
	char *name;

	return asprintf(&name, "%s%u", device->noiommu ? "noiommu-" : "",
			device->group) < 0 ? NULL : name;
}

/* "vfio" and every group once. */
static int nodes_make(struct run *run)
{
	size_t n = 0;

	run->nodes = calloc(run->conf->n_devices + 2, sizeof(char *));
	if (!run->nodes || !(run->nodes[n++] = strdup("vfio")))
		return -ENOMEM;
	for (size_t i = 0; i < run->conf->n_devices; i++) {
		char *name = node_name(&run->conf->devices[i]);
		bool seen = false;

		if (!name)
			return -ENOMEM;
		for (size_t k = 0; k < n; k++)
			seen = seen || strcmp(run->nodes[k], name) == 0;
		if (seen)
			free(name);
		else
			run->nodes[n++] = name;
	}
	return 0;
}

/* Lists for the command: addresses, and names of group nodes, separated by spaces. */
static int environment_set(const struct run *run)
{
	size_t size = run->conf->n_devices * sizeof(run->conf->devices[0].bdf) + 1;
	cleanup_free char *bdfs = calloc(1, size);
	cleanup_free char *groups = calloc(1, run->conf->n_devices * 24 + 1);

	if (!bdfs || !groups)
		return -ENOMEM;
	for (size_t i = 0; i < run->conf->n_devices; i++) {
		if (i)
			strcat(bdfs, " ");
		strcat(bdfs, run->conf->devices[i].bdf);
	}
	for (char **node = run->nodes + 1; *node; node++) {
		if (*groups)
			strcat(groups, " ");
		strcat(groups, *node);
	}
	if (setenv("VFIO_CUSED_BDF", bdfs, 1) || setenv("VFIO_CUSED_GROUP", groups, 1))
		return -ENOMEM;
	return 0;
}

/* Signals are read from a file, SIGCHLD too. */
static void signals_take_over(struct run *run)
{
	static const int taken[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1,
				     SIGUSR2 };
	sigset_t mask;

	sigemptyset(&mask);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaddset(&mask, taken[i]);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	run->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int prepare(struct run *run, char **argv, struct cused_error *err)
{
	int r = run_check_command(argv[0], err);

	if (r == 0 && run->signals < 0)
		r = cused_error_set(err, -EMFILE, "cannot make a signalfd");
	if (r == 0)
		r = instance_new(run->conf, backing_make, run, &run->instance, err);
	if (r && run->backing_err.text[0])
		*err = run->backing_err;
	for (size_t i = 0; r == 0 && i < run->conf->n_devices; i++) {
		r = backing_seal(run->backings[i]);
		if (r)
			cused_error_set(err, r, "cannot seal a device file: %s",
					strerror(-r));
	}
	if (r == 0)
		r = instance_sysfs(run->instance, "/sys", &run->sysfs, err);
	if (r == 0)
		r = trap_filter_build(&run->filter, err);
	if (r)
		return r;
	r = nodes_make(run);
	if (r == 0)
		r = environment_set(run);
	return r ? cused_error_set(err, r, "out of memory") : 0;
}

/* ---- the child ---- */

static int child_start(struct run *run, char **argv, struct cused_error *err)
{
	struct run_child child = {
		.argv = argv, .sysfs = run->sysfs, .nodes = run->nodes,
		.filter = run->filter, .inherited = run->inherited, .supervisor = getpid(),
	};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return cused_error_set(err, -errno, "socketpair: %s", strerror(errno));
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	/* Not fork(): with ThreadSanitizer it starts a thread in the child, and a process
	 * with threads gets no user namespace. We have one thread here. */
	run->command = _Fork();
	if (run->command == 0) {
		child.socket = pair[1];
		close(pair[0]);
		run_child(&child);
	}
	close(pair[1]);
	run->socket = pair[0];
	if (run->command < 0)
		return cused_error_set(err, -errno, "fork: %s", strerror(errno));
	return 0;
}

static int hello_receive(struct run *run, int ret_fds[RUN_FDS], struct cused_error *err)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(RUN_FDS * sizeof(int))];
	} control;
	struct run_hello hello;
	struct iovec iov = { &hello, sizeof(hello) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n;

	do {
		n = recvmsg(run->socket, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n != sizeof(hello))
		return cused_error_set(err, -ECHILD, "the child ended before it was set up");
	if (hello.code) {
		*err = hello.err;
		return hello.code;
	}
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_len != CMSG_LEN(RUN_FDS * sizeof(int)))
		return cused_error_set(err, -EMFILE, "cannot take over the child's files: the "
				       "limit on open files (ulimit -n) is too low");
	memcpy(ret_fds, CMSG_DATA(c), RUN_FDS * sizeof(int));
	return 0;
}

static int serve_start(struct run *run, struct cused_error *err)
{
	struct trap_device devices[CONF_DEVICES_MAX];
	struct trap_params params = {
		.topology = instance_topology(run->instance), .devices = devices,
		.n_devices = run->conf->n_devices,
	};
	int fds[RUN_FDS];
	int r;

	r = hello_receive(run, fds, err);
	if (r)
		return r;
	for (size_t i = 0; i < params.n_devices; i++)
		devices[i] = (struct trap_device){ instance_device(run->instance, i),
						   run->backings[i] };
	params.listener = fds[RUN_FD_LISTENER];
	params.directory = fds[RUN_FD_DIRECTORY];
	r = run_guard_start(run->command, params.directory, &run->guard, err);
	if (r) {
		close(params.listener);
		close(params.directory);
		return r;
	}
	r = trap_start(&params, &run->trap, err);
	close(params.directory);
	if (r == 0 && send(run->socket, "g", 1, MSG_NOSIGNAL) != 1)
		r = cused_error_set(err, -ECHILD, "the child ended before it could start");
	return r;
}

/* ---- while it runs ---- */

/* Collect ended children: the command, and orphans of which we are the reaper.
 * Return: are there any left? */
static bool reap(struct run *run)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == run->command) {
			run->status = status;
			run->ended = true;
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
static bool signal_take(struct run *run, int timeout_ms)
{
	struct pollfd p = { .fd = run->signals, .events = POLLIN };
	struct signalfd_siginfo info;
	bool child = false;

	if (poll(&p, 1, timeout_ms) <= 0)
		return false;
	while (read(run->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			child = true;
		else if (is_for_command(&info) && run->command > 0 && !run->ended)
			kill(run->command, (int)info.ssi_signo);
	}
	return child;
}

static void wait_command(struct run *run)
{
	while (!run->ended) {
		signal_take(run, -1);
		reap(run);
	}
}

/* ---- the end ---- */

/* A shell can have had children before it became us by exec: they are none of ours. */
static void children_note(struct run *run)
{
	siginfo_t info;

	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
		run->n_before = run_children(getpid(), run->before, RUN_CHILDREN_MAX);
}

static bool was_before(const struct run *run, pid_t pid)
{
	for (unsigned i = 0; i < run->n_before; i++) {
		if (run->before[i] == pid)
			return true;
	}
	return false;
}

/* What CMD left behind, and the guard. Killing a parent makes its children ours, so it is
 * repeated until there is nobody. */
static void leftovers_kill(struct run *run)
{
	pid_t pids[2 * RUN_CHILDREN_MAX];
	unsigned killed;

	while (reap(run)) {
		unsigned n = run_children(getpid(), pids, 2 * RUN_CHILDREN_MAX);

		killed = 0;
		for (unsigned i = 0; i < n; i++) {
			if (!was_before(run, pids[i]) && kill(pids[i], SIGKILL) == 0)
				killed++;
		}
		if (killed == 0)
			break;
		signal_take(run, 20);
	}
}

static void run_done(struct run *run, int status)
{
	if (trap_stop(run->trap)) {
		cused_log(CUSED_LOG_WARNING, "run", "a call is still stalled by memory that a "
			  "process outside of the run serves; ending nevertheless");
		_exit(status);
	}
	instance_free(run->instance);
	for (size_t i = 0; i < CONF_DEVICES_MAX; i++)
		backing_free(run->backings[i]);
	sysfs_plan_free(run->sysfs);
	for (char **node = run->nodes; node && *node; node++)
		free(*node);
	free(run->nodes);
	free(run->filter.filter);
	if (run->socket >= 0)
		close(run->socket);
	if (run->guard >= 0)
		close(run->guard);
	if (run->signals >= 0)
		close(run->signals);
	run_inherited_restore(&run->inherited);
}

int run_command(const struct conf *conf, char **argv)
{
	struct run run = { .conf = conf, .signals = -1, .socket = -1,
			   .guard = -1, .command = -1 };
	struct cused_error err;
	int r, status;

	run_inherited_save(&run.inherited);
	signals_take_over(&run);
	children_note(&run);
	r = prepare(&run, argv, &err);
	if (r == 0)
		r = child_start(&run, argv, &err);
	if (r == 0)
		r = serve_start(&run, &err);
	if (r == 0) {
		wait_command(&run);
	} else {
		cused_log(CUSED_LOG_ERROR, "run", "%s", err.text);
		if (run.socket >= 0)
			close(steal_fd(&run.socket));	/* a waiting child gives up */
	}
	leftovers_kill(&run);
	if (r)
		status = RUN_EXIT_FAILED;
	else
		status = WIFSIGNALED(run.status) ? 128 + WTERMSIG(run.status) :
						   WEXITSTATUS(run.status);
	run_done(&run, status);
	return status;
}
