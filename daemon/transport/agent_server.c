/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/agent_server.c - the agent's side of agent.h: one loop, and children that deliver.
 *
 * Connections of exec get their message at once and are closed: nobody can keep others out.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <transport/agent.h>
#include <transport/agent_courier.h>
#include <transport/client.h>
#include <transport/fd_message.h>
#include <util/cleanup.h>
#include <vfio-cused/log.h>

#define COURIER_KEPT_MS 5000		/* without a job */

struct server_state {
	struct clients *clients;
	int kept;			/* to the courier that is kept, or -1 */
	bool kept_is_free;
	bool orderly;			/* the service has said that it ends */
};

/* ---- looking at fds ---- */

enum kind { KIND_OTHER, KIND_EVENTFD, KIND_NODE, KIND_IOMMU };

/* What a link in /proc names, without asking the file system that the file is on.
 * Return: 0, -EBADF, -EIO. */
static int kind_of(const char *path, const struct agent_job *job, enum kind *ret)
{
	char target[64];
	struct statx st;
	ssize_t n;

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_TYPE, &st))
		return errno == ENOENT ? -EBADF : -EIO;
	*ret = KIND_OTHER;
	if (S_ISCHR(st.stx_mode) && st.stx_rdev_major == job->major) {
		*ret = KIND_NODE;
		return 0;
	}
	if (S_ISCHR(st.stx_mode) && job->iommu_major &&
	    st.stx_rdev_major == job->iommu_major && st.stx_rdev_minor == job->iommu_minor) {
		*ret = KIND_IOMMU;
		return 0;
	}
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return errno == ENOENT ? -EBADF : -EIO;
	target[n] = '\0';
	if (!strcmp(target, "anon_inode:[eventfd]"))
		*ret = KIND_EVENTFD;
	return 0;
}

/* Return: a copy of the client's fd that is of @kind; -EBADF; -EIO. */
static int copy(struct server_state *state, const struct agent_job *job, int fd,
		enum kind kind)
{
	struct client_thread *thread;
	enum kind is = KIND_OTHER;
	char path[64];
	int r, got;

	r = client_get(state->clients, job->tid, true, &thread);
	if (r)
		return -EBADF;
	got = client_dup_fd(thread, fd);
	client_put(thread);
	if (got < 0)
		return got == -EBADF || got == -ESRCH ? -EBADF : -EIO;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", got);
	r = kind_of(path, job, &is);
	if (r == 0 && is == kind)
		return got;
	close(got);	/* the client put another file in its place meanwhile */
	return -EBADF;
}

/* Return: a copy to be sent, with *ret_copy set; -1 there is none, with *ret_err set. */
static int look_one(struct server_state *state, const struct agent_job *job, size_t i,
		    uint32_t *ret_copy, int32_t *ret_err)
{
	enum kind kind = KIND_OTHER;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)job->tid, (int)job->fds[i].fd);
	*ret_err = kind_of(path, job, &kind);
	if (*ret_err || kind == KIND_OTHER)
		return -1;
	fd = copy(state, job, job->fds[i].fd, kind);
	if (fd < 0) {
		*ret_err = fd;
		return -1;
	}
	if (kind != KIND_NODE) {
		*ret_copy = kind == KIND_EVENTFD ? AGENT_COPY_EVENT : AGENT_COPY_IOMMU;
		return fd;
	}
	/* CG-065: a descriptor made by O_PATH is none. */
	if (ioctl(fd, SERVICE_IOC_IDENTIFY, job->fds[i].cookie) && errno == EBADF)
		*ret_err = -EBADF;
	close(fd);
	return -1;
}

static void look(struct server_state *state, const struct agent_job *job, int socket)
{
	struct agent_result result = { .stage = AGENT_DONE };
	int copies[AGENT_FDS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < job->n && i < AGENT_FDS_MAX; i++) {
		int fd = look_one(state, job, i, &result.fds[i].copy, &result.fds[i].err);

		if (fd >= 0)
			copies[n++] = fd;
	}
	fd_message_send(socket, &result, sizeof(result), copies, n);
	for (size_t i = 0; i < n; i++)
		close(copies[i]);
}

/* ---- couriers ---- */

static void kept_end(struct server_state *state)
{
	if (state->kept >= 0)
		close(steal_fd(&state->kept));
	state->kept_is_free = false;
}

/* Return: true: the courier that is kept has the job. */
static bool kept_take(struct server_state *state, const struct agent_job *job, int socket)
{
	if (!state->kept_is_free || job->kind != AGENT_JOB_DELIVER)
		return false;
	state->kept_is_free = false;
	if (fd_message_send(state->kept, job, sizeof(*job), &socket, 1) == 0)
		return true;
	kept_end(state);
	return false;
}

/* It says that it is free, or has ended. */
static void kept_hear(struct server_state *state)
{
	size_t none = 0;
	char is_free;

	if (fd_message_receive(state->kept, &is_free, sizeof(is_free), NULL, &none) > 0)
		state->kept_is_free = true;
	else
		kept_end(state);
}

/* How many files come with it, the socket for the answers included. */
static size_t job_files(const struct agent_job *job)
{
	if (job->kind == AGENT_JOB_END)
		return 0;
	return job->kind == AGENT_JOB_DELIVER_FILE || job->kind == AGENT_JOB_SYSFS ? 2 : 1;
}

/* @file: of the job, which the client's copy has to outlive; -1: none. Closed here. */
static void deliver_start(struct server_state *state, const struct agent_job *job, int socket,
			  int file)
{
	bool keep = state->kept < 0 && job->kind == AGENT_JOB_DELIVER;
	int ends[2] = { -1, -1 }, kept[2] = { -1, -1 };
	pid_t pid = -1;

	if (pipe2(ends, O_CLOEXEC) == 0 &&
	    (!keep || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, kept) == 0))
		pid = fork();
	if (pid == 0) {
		close(ends[1]);
		if (kept[0] >= 0)
			close(kept[0]);
		if (state->kept >= 0)
			close(state->kept);
		agent_courier(state->clients, *job, socket, file, ends[0], kept[1]);
	}
	if (pid > 0)
		state->kept = keep ? steal_fd(&kept[0]) : state->kept;
	else
		agent_tell_done(socket, -EAGAIN);
	if (file >= 0)
		close(file);
	for (int i = 0; i < 2; i++) {
		if (ends[i] >= 0)
			close(ends[i]);
		if (kept[i] >= 0)
			close(kept[i]);
	}
}

/* ---- exec ---- */

/* The descriptor is opened anew: that of fsmount() ends the mount with its last copy. */
static void connection_serve(void)
{
	struct agent_greeting greeting = { AGENT_GREETING_VERSION };
	int socket = accept4(AGENT_FD_LISTENER, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int root;

	if (socket < 0)
		return;
	root = openat(AGENT_FD_MOUNT, ".", O_PATH | O_CLOEXEC);
	if (root >= 0) {
		fd_message_send(socket, &greeting, sizeof(greeting), &root, 1);
		close(root);
	}
	close(socket);
}

/* ---- the loop ---- */

/* Return: false: the service has gone. */
static bool job_take(struct server_state *state)
{
	struct agent_job job;
	size_t n = 2;
	int fds[2] = { -1, -1 };
	int r = fd_message_receive(AGENT_FD_JOBS, &job, sizeof(job), fds, &n);

	if (r == -EINTR)
		return true;
	if (r == 0 || r == -ECONNRESET)
		return false;
	if (r != (int)sizeof(job) || n != job_files(&job)) {
		for (size_t i = 0; r > 0 && i < n; i++)
			close(fds[i]);
		return r != -EPIPE;
	}
	if (job.kind == AGENT_JOB_END) {
		state->orderly = true;
		return false;
	}
	if (job.kind == AGENT_JOB_LOOK)
		look(state, &job, fds[0]);
	else if (!kept_take(state, &job, fds[0]))
		deliver_start(state, &job, fds[0], fds[1]);
	close(fds[0]);
	return true;
}

static bool fd_is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void work(struct server_state *state)
{
	struct pollfd fds[] = {
		{ .fd = AGENT_FD_JOBS, .events = POLLIN },
		{ .fd = fd_is_open(AGENT_FD_LISTENER) ? AGENT_FD_LISTENER : -1,
		  .events = POLLIN },
		{ .events = POLLIN },
	};

	for (;;) {
		int n;

		fds[2].fd = state->kept;
		n = poll(fds, sizeof(fds) / sizeof(fds[0]),
			 state->kept_is_free ? COURIER_KEPT_MS : -1);
		if (n == 0)
			kept_end(state);
		if (n <= 0)
			continue;
		/* First: the job may be for it. */
		if (fds[2].revents)
			kept_hear(state);
		if (fds[0].revents && !job_take(state))
			return;
		if (fds[1].revents)
			connection_serve();
	}
}

int agent_serve(void (*gone)(bool orderly))
{
	struct server_state state = { .kept = -1 };
	bool listens = fd_is_open(AGENT_FD_LISTENER);

	if (!fd_is_open(AGENT_FD_JOBS) || !fd_is_open(AGENT_FD_MOUNT) ||
	    clients_new(&state.clients))
		return 1;
	for (int fd = AGENT_FD_JOBS; fd < AGENT_FDS; fd++) {
		if (fd_is_open(fd))
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);	/* couriers report by their sockets */
	work(&state);
	kept_end(&state);
	/* Nobody serves who connects from now on: a new service has a socket of its own. */
	if (listens)
		close(AGENT_FD_LISTENER);
	gone(state.orderly);
	clients_free(state.clients);
	while (waitpid(-1, NULL, 0) >= 0 || errno == EINTR)
		;
	return 0;
}
