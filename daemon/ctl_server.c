/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ctl_server.c - connections to the control socket.
 *
 * Theory of operation
 *
 *   A connection is in one of three states, each with its end:
 *
 *     reading    until a newline is there: CTL_IDLE_MS without a byte, CTL_REQUEST_MS from
 *                the first one
 *     waiting    for a job; no end but the job's and the peer's
 *     writing    an answer: CTL_REQUEST_MS. Then reading again, or closed
 *
 *   Nothing is read while an answer is owed, so a peer that does not read cannot make us
 *   keep more than one. What came behind a request waits in the buffer.
 *
 *   No lock: all is the thread's, but `stop` and the eventfd, by which others end it.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <transport/thread.h>
#include <util/cleanup.h>
#include <util/list.h>
#include <vfio-cused/log.h>

#include "ctl.h"

#define STOP_MS 5000u		/* for a request that is being carried out */
#define ACCEPT_PAUSE_MS 100u	/* when there was no file for a connection */

struct connection {
	struct list item;
	int fd;
	bool may_change;
	char *in;			/* CTL_REQUEST_MAX bytes */
	size_t n_in;
	char *out;			/* NULL: no answer is owed */
	size_t n_out, sent;
	bool last;			/* close when it is sent */
	bool eof;			/* nothing more will come */
	uint64_t job;			/* 0: none */
	uint64_t until;			/* monotonic nanoseconds; not while there is a job */
	short events;			/* of the last poll */
};

struct ctl_server {
	struct ctl ctl;
	int listener, wake;
	uid_t owner;
	pthread_t thread;
	atomic_bool stop;
	struct list connections;
	unsigned n, n_readers;
	uint64_t accept_from;		/* not before */
	bool jobs;			/* some job is not done */
};

static uint64_t deadline(unsigned ms)
{
	return thread_now_ns() + ms * 1000000ull;
}

/* ---- one connection ---- */

static void connection_close(struct ctl_server *server, struct connection *c)
{
	list_remove(&c->item);
	server->n--;
	server->n_readers -= !c->may_change;
	if (c->fd >= 0)
		close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
}

/* Owe an answer. @line: taken over; NULL: no memory, so that the peer sees the end. */
static void answer(struct connection *c, char *line, bool last)
{
	c->job = 0;
	c->out = line;
	c->n_out = line ? strlen(line) : 0;
	c->sent = 0;
	c->last = last || !line;
	c->until = deadline(CTL_REQUEST_MS);
}

static void refuse_size(struct connection *c)
{
	struct cused_error err;

	cused_error_set(&err, -E2BIG, "the request has more than %u bytes, which is the most; "
			"make it shorter", CTL_REQUEST_MAX);
	answer(c, ctl_refusal(-E2BIG, err.text), true);
}

static char *end_of_line(const struct connection *c)
{
	return memchr(c->in, '\n', c->n_in);
}

/* Carry out the first request of the buffer, whose newline is at @end. */
static void request(struct ctl_server *server, struct connection *c, const char *end)
{
	size_t size = (size_t)(end - c->in);
	char *line = NULL;

	if (ctl_request(&server->ctl, c->in, size, c->may_change, &line, &c->job))
		c->job = 0;
	/* Also after a failure there can be something to go on with. */
	server->jobs = server->ctl.ops->tick != NULL;
	if (!c->job)
		answer(c, line, false);
	c->n_in -= size + 1;
	memmove(c->in, end + 1, c->n_in);
}

/* Return: false: the peer has gone. */
static bool send_some(struct connection *c)
{
	ssize_t n = send(c->fd, c->out + c->sent, c->n_out - c->sent, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->sent += (size_t)n;
	if (c->sent < c->n_out)
		return true;
	free(steal_ptr(c->out));
	c->until = deadline(c->n_in ? CTL_REQUEST_MS : CTL_IDLE_MS);
	return !c->last;
}

/* There is no whole line yet, so there is room. Return: false: the peer has gone. */
static bool receive_some(struct connection *c)
{
	ssize_t n = recv(c->fd, c->in + c->n_in, CTL_REQUEST_MAX - c->n_in, 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n > 0 && c->n_in == 0)
		c->until = deadline(CTL_REQUEST_MS);
	c->n_in += (size_t)n;
	c->eof = n == 0;
	if (c->n_in == CTL_REQUEST_MAX && !end_of_line(c))
		refuse_size(c);
	return true;
}

static bool is_over(const struct connection *c)
{
	if (thread_now_ns() < c->until)
		return false;
	cused_log(CUSED_LOG_DEBUG, "ctl", "a connection is closed: its peer took too long");
	return true;
}

/* One step of each kind, so that no connection keeps others waiting for long.
 * Return: false: it is to be closed. */
static bool connection_go(struct ctl_server *server, struct connection *c)
{
	const char *end;

	if (c->events & (POLLERR | POLLNVAL) || (c->job && c->events & POLLHUP))
		return false;
	if (c->job) {
		if (!server->ctl.ops->is_done(server->ctl.arg, c->job))
			return true;
		answer(c, ctl_done(), false);
	}
	if (!c->out && !c->eof && !end_of_line(c) && c->events & (POLLIN | POLLHUP) &&
	    !receive_some(c))
		return false;
	end = c->out ? NULL : end_of_line(c);
	if (end)
		request(server, c, end);
	if (c->out && !send_some(c))
		return false;
	if (c->job)
		return true;
	if (!c->out && (c->last || (c->eof && !end_of_line(c))))
		return false;
	return !is_over(c);
}

/* ---- new ones ---- */

static void turn_away(int fd, const char *text)
{
	char *line = ctl_refusal(-EBUSY, text);

	if (line && send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		cused_log(CUSED_LOG_DEBUG, "ctl", "a peer did not hear that it is refused");
	free(line);
	close(fd);
}

static struct connection *connection_new(int fd, bool may_change)
{
	struct connection *c = calloc(1, sizeof(*c));
	char *in = malloc(CTL_REQUEST_MAX);

	if (!c || !in) {
		free(c);
		free(in);
		return NULL;
	}
	c->fd = fd;
	c->may_change = may_change;
	c->in = in;
	c->until = deadline(CTL_IDLE_MS);
	return c;
}

static void accept_one(struct ctl_server *server)
{
	int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct connection *c;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	bool may_change;

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			server->accept_from = deadline(ACCEPT_PAUSE_MS);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size)) {
		close(fd);
		return;
	}
	may_change = peer.uid == 0 || peer.uid == server->owner;
	if (server->n == CTL_CONNECTIONS_MAX) {
		turn_away(fd, "all connections of the control socket are in use; try again");
		return;
	}
	if (!may_change && server->n_readers == CTL_READERS_MAX) {
		turn_away(fd, "all connections of the control socket that are not for root or "
			  "its owner are in use; try again");
		return;
	}
	c = connection_new(fd, may_change);
	if (!c) {
		turn_away(fd, "out of memory");
		return;
	}
	list_push_back(&server->connections, &c->item);
	server->n++;
	server->n_readers += !may_change;
}

/* ---- the thread ---- */

/* Milliseconds until something is to be done without an event; -1: nothing is. */
static int patience(const struct ctl_server *server)
{
	uint64_t now = thread_now_ns(), first = UINT64_MAX;

	if (server->jobs)
		first = now + CTL_TICK_MS * 1000000ull;
	if (server->accept_from > now && server->accept_from < first)
		first = server->accept_from;
	list_for_each(it, &server->connections) {
		const struct connection *c = container_of(it, struct connection, item);

		if (!c->job && !c->out && end_of_line(c))
			return 0;
		if (!c->job && c->until < first)
			first = c->until;
		if (c->job && now + CTL_TICK_MS * 1000000ull < first)
			first = now + CTL_TICK_MS * 1000000ull;
	}
	if (first == UINT64_MAX)
		return -1;
	return first <= now ? 0 : (int)((first - now) / 1000000) + 1;
}

static void wait_for_events(struct ctl_server *server, bool *ret_accept)
{
	struct pollfd fds[CTL_CONNECTIONS_MAX + 2];
	unsigned n = 2;

	fds[0] = (struct pollfd){ server->wake, POLLIN, 0 };
	/* A negative number is passed over. */
	fds[1] = (struct pollfd){ server->accept_from > thread_now_ns() ? -1 :
				  server->listener, POLLIN, 0 };
	list_for_each(it, &server->connections) {
		const struct connection *c = container_of(it, struct connection, item);

		fds[n++] = (struct pollfd){ c->fd, c->job ? 0 : c->out ? POLLOUT : POLLIN, 0 };
	}
	if (poll(fds, n, patience(server)) < 0)
		for (unsigned i = 0; i < n; i++)
			fds[i].revents = 0;
	*ret_accept = fds[1].revents & POLLIN;
	n = 2;
	list_for_each(it, &server->connections)
		container_of(it, struct connection, item)->events = fds[n++].revents;
}

static void *server_main(void *arg)
{
	struct ctl_server *server = arg;
	bool may_accept;

	while (!atomic_load(&server->stop)) {
		wait_for_events(server, &may_accept);
		if (server->jobs)
			server->jobs = server->ctl.ops->tick(server->ctl.arg);
		list_for_each_safe(it, tmp, &server->connections) {
			struct connection *c = container_of(it, struct connection, item);

			if (!connection_go(server, c))
				connection_close(server, c);
		}
		if (may_accept)
			accept_one(server);
	}
	return NULL;
}

/* ---- life ---- */

static void server_free(struct ctl_server *server)
{
	close(server->listener);
	if (server->wake >= 0)
		close(server->wake);
	free(server);
}

int ctl_server_start(const struct ctl *ctl, int listener, uid_t owner,
		     struct ctl_server **ret)
{
	struct ctl_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server) {
		close(listener);
		return -ENOMEM;
	}
	server->ctl = *ctl;
	server->listener = listener;
	server->owner = owner;
	list_init(&server->connections);
	server->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = server->wake < 0 ? -errno :
			       thread_start(&server->thread, 0, false, server_main, server);
	if (r) {
		server_free(server);
		return r;
	}
	*ret = server;
	return 0;
}

/* Whoever waits for a job has waited for this, too. The peer sees from the end of the
 * connection that the program has ended, so the file is left to that. */
static void say_goodbye(struct connection *c)
{
	char *line = ctl_done();

	if (line && send(c->fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		cused_log(CUSED_LOG_DEBUG, "ctl", "a peer did not hear of the end");
	free(line);
	c->fd = -1;
}

int ctl_server_stop(struct ctl_server *server)
{
	struct timespec until;

	if (!server)
		return 0;
	atomic_store(&server->stop, true);
	eventfd_write(server->wake, 1);
	until = thread_deadline(CLOCK_REALTIME, STOP_MS);
	if (pthread_timedjoin_np(server->thread, NULL, &until))
		return -EBUSY;
	list_for_each_safe(it, tmp, &server->connections) {
		struct connection *c = container_of(it, struct connection, item);

		if (c->job)
			say_goodbye(c);
		connection_close(server, c);
	}
	server_free(server);
	return 0;
}
