/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/agent_server.c - the agent's side of agent.h: one loop, and a child per
 * delivery.
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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <transport/agent.h>
#include <transport/client.h>
#include <transport/courier.h>
#include <transport/fd_message.h>
#include <util/cleanup.h>
#include <vfio-cused/log.h>

#define COURIER_DEADLINE_MS 1000u
#define COURIER_LIFE_S 30

struct server_state {
	struct clients *clients;
};

/* ---- looking at fds ---- */

enum kind { KIND_OTHER, KIND_EVENTFD, KIND_NODE };

/* What a link in /proc names, without asking the file system that the file is on.
 * Return: 0, -EBADF, -EIO. */
static int kind_of(const char *path, unsigned major, enum kind *ret)
{
	char target[64];
	struct statx st;
	ssize_t n;

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_TYPE, &st))
		return errno == ENOENT ? -EBADF : -EIO;
	*ret = KIND_OTHER;
	if (S_ISCHR(st.stx_mode) && st.stx_rdev_major == major) {
		*ret = KIND_NODE;
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
static int copy(struct server_state *state, pid_t tid, int fd, unsigned major,
		enum kind kind)
{
	struct client_thread *thread;
	enum kind is = KIND_OTHER;
	char path[64];
	int r, got;

	r = client_get(state->clients, tid, true, &thread);
	if (r)
		return -EBADF;
	got = client_dup_fd(thread, fd);
	client_put(thread);
	if (got < 0)
		return got == -EBADF || got == -ESRCH ? -EBADF : -EIO;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", got);
	r = kind_of(path, major, &is);
	if (r == 0 && is == kind)
		return got;
	close(got);	/* the client put another file in its place meanwhile */
	return -EBADF;
}

/* Return: an eventfd's copy to be sent; -1 there is none, with *ret_err set. */
static int look_one(struct server_state *state, const struct agent_job *job, size_t i,
		    int32_t *ret_err)
{
	enum kind kind = KIND_OTHER;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)job->tid, (int)job->fds[i].fd);
	*ret_err = kind_of(path, job->major, &kind);
	if (*ret_err || kind == KIND_OTHER)
		return -1;
	fd = copy(state, job->tid, job->fds[i].fd, job->major, kind);
	if (fd < 0) {
		*ret_err = fd;
		return -1;
	}
	if (kind == KIND_EVENTFD)
		return fd;
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
		int fd = look_one(state, job, i, &result.fds[i].err);

		result.fds[i].is_event = fd >= 0;
		if (fd >= 0)
			copies[n++] = fd;
	}
	fd_message_send(socket, &result, sizeof(result), copies, n);
	for (size_t i = 0; i < n; i++)
		close(copies[i]);
}

/* ---- device files ---- */

static int device_open_token(const uint8_t token[SERVICE_TOKEN_SIZE])
{
	char name[SERVICE_TOKEN_NAME_SIZE];
	int fd;

	service_token_name(token, name);
	fd = openat(AGENT_FD_MOUNT, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

struct delivery {
	int socket;			/* for the answers */
	int file;
};

static int armed(void *arg)
{
	const struct delivery *delivery = arg;
	struct agent_result result = { .stage = AGENT_ARMED };

	return fd_message_send(delivery->socket, &result, sizeof(result), NULL, 0);
}

static void leaving(void *arg)
{
	struct delivery *delivery = arg;

	close(steal_fd(&delivery->file));
}

/* A client can hang its courier, in the close of a file of a file system of the client's.
 * Long after the courier's own deadlines, there is nothing to lose. */
static void end_in_time(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	struct itimerspec when = { .it_value.tv_sec = COURIER_LIFE_S };
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
		timer_settime(timer, 0, &when, NULL);
}

/* In a child of its own. */
static void deliver(const struct agent_job *job, int socket)
{
	struct delivery delivery = { socket, device_open_token(job->token) };
	struct courier_job courier = { .tid = job->tid, .fd = delivery.file,
				       .cloexec = true,	/* CG-102 */
				       .deadline_ms = COURIER_DEADLINE_MS, .armed = armed,
				       .leaving = leaving, .arg = &delivery };
	struct agent_result result = { .stage = AGENT_DONE };

	result.result = courier.fd < 0 ? courier.fd : courier_deliver(&courier);
	if (delivery.file >= 0)
		close(delivery.file);
	fd_message_send(socket, &result, sizeof(result), NULL, 0);
}

static void deliver_start(const struct agent_job *job, int socket)
{
	struct agent_result result = { .stage = AGENT_DONE };
	pid_t pid = fork();

	if (pid == 0) {
		close(AGENT_FD_JOBS);
		prctl(PR_SET_NAME, "vfio-courier");
		end_in_time();
		deliver(job, socket);
		_exit(0);
	}
	if (pid > 0)
		return;
	result.result = -EAGAIN;
	fd_message_send(socket, &result, sizeof(result), NULL, 0);
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
	size_t n = 1;
	int socket = -1;
	int r = fd_message_receive(AGENT_FD_JOBS, &job, sizeof(job), &socket, &n);

	if (r == -EINTR)
		return true;
	if (r == 0 || r == -ECONNRESET)
		return false;
	if (r != (int)sizeof(job) || n != 1) {
		if (r > 0 && n == 1)
			close(socket);
		return r != -EPIPE;
	}
	if (job.kind == AGENT_JOB_LOOK)
		look(state, &job, socket);
	else
		deliver_start(&job, socket);
	close(socket);
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
	};

	for (;;) {
		if (poll(fds, sizeof(fds) / sizeof(fds[0]), -1) < 0)
			continue;
		if (fds[0].revents && !job_take(state))
			return;
		if (fds[1].revents)
			connection_serve();
	}
}

int agent_serve(void (*gone)(void))
{
	struct server_state state = { 0 };

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
	gone();
	clients_free(state.clients);
	while (waitpid(-1, NULL, 0) >= 0 || errno == EINTR)
		;
	return 0;
}
