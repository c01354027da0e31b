/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/agent_client.c - the service's side of agent.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <transport/agent.h>
#include <transport/fd_message.h>
#include <util/cleanup.h>
#include <vfio-cused/log.h>

extern char **environ;

#define DROPPED_MAX 16

struct agent {
	struct agent_params params;
	pthread_mutex_t lock;
	int jobs;			/* lock; -1: no agent runs */
	pid_t pid;			/* lock */
	int pidfd;			/* lock; of the agent, while one runs: its number can be
					 * another's when a service manager has reaped it */
	unsigned starts;		/* lock */
	atomic_uint looks;		/* that were answered, by whichever agent */
	pid_t dropped[DROPPED_MAX];	/* lock; killed, to be reaped when they have ended */
};

/* ---- life ---- */

/* The child's descriptors, in the order of AGENT_FD_…; a listener that is not there is
 * left closed. First out of the way of each other, then to their places. */
static int spawn_with(struct agent *agent, int jobs)
{
	const int from[] = { jobs, agent->params.listener, agent->params.mount };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int high[3], r = 0;

	posix_spawn_file_actions_init(&actions);
	for (int i = 0; i < 3; i++) {
		high[i] = from[i] < 0 ? -1 : fcntl(from[i], F_DUPFD_CLOEXEC, AGENT_FDS + 3);
		if (from[i] >= 0 && high[i] < 0)
			r = -errno;
		if (high[i] >= 0)
			posix_spawn_file_actions_adddup2(&actions, high[i],
							 AGENT_FD_JOBS + i);
	}
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	/* A session of its own: keys on the service's terminal are not for it. */
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
				 POSIX_SPAWN_SETSID);
	if (r == 0)
		r = -posix_spawn(&agent->pid, agent->params.program, &actions, &attr,
				 (char *const *)(uintptr_t)agent->params.argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	for (int i = 0; i < 3; i++) {
		if (high[i] >= 0)
			close(high[i]);
	}
	return r;
}

static int spawn(struct agent *agent)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	r = spawn_with(agent, pair[1]);
	close(pair[1]);
	if (r == 0) {
		agent->pidfd = (int)syscall(SYS_pidfd_open, agent->pid, 0);
		r = agent->pidfd < 0 ? -errno : 0;
	}
	if (r) {
		close(pair[0]);		/* and that is the end of one that was started */
		return r;
	}
	agent->jobs = pair[0];
	return 0;
}

/* One that a service manager starts. */
static int join(struct agent *agent)
{
	const int fds[] = { agent->params.mount, agent->params.listener };

	return agent_unit_connect(agent->params.connect, agent->params.argv, fds,
				  agent->params.listener < 0 ? 1 : 2, &agent->jobs,
				  &agent->pidfd, &agent->pid);
}

/* With the lock. */
static void reap(struct agent *agent)
{
	for (unsigned i = 0; i < DROPPED_MAX; i++) {
		if (agent->dropped[i] && waitpid(agent->dropped[i], NULL, WNOHANG))
			agent->dropped[i] = 0;
	}
}

/* With the lock. */
static int start(struct agent *agent)
{
	/* A job is small; who takes that long does not take any. */
	const struct timeval patience = { .tv_sec = AGENT_ANSWER_MS / 1000 };
	int r;

	reap(agent);
	if (agent->starts >= AGENT_RESTARTS_MAX)
		return -EIO;
	r = agent->params.connect ? join(agent) : spawn(agent);
	if (r)
		return r;
	setsockopt(agent->jobs, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	agent->starts++;
	return 0;
}

static void end_now(struct agent *agent)
{
	syscall(SYS_pidfd_send_signal, agent->pidfd, SIGKILL, NULL, 0);
}

/* With the lock. One that is stalled in a system call may outlive its SIGKILL a while; it
 * is not waited for. */
static void drop(struct agent *agent)
{
	if (agent->jobs < 0)
		return;
	close(steal_fd(&agent->jobs));
	end_now(agent);
	close(steal_fd(&agent->pidfd));
	agent->dropped[agent->starts % DROPPED_MAX] = agent->pid;
	agent->pid = 0;
}

int agent_new(const struct agent_params *params, struct agent **ret,
	      struct cused_error *err)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	int r;

	if (!agent)
		return cused_error_set(err, -ENOMEM, "out of memory");
	agent->params = *params;
	agent->jobs = agent->pidfd = -1;
	pthread_mutex_init(&agent->lock, NULL);
	r = start(agent);
	if (r) {
		cused_error_set(err, r, "cannot start the agent, %s: %s",
				params->connect ? params->connect : params->program,
				strerror(-r));
		pthread_mutex_destroy(&agent->lock);
		free(agent);
		return r;
	}
	*ret = agent;
	return 0;
}

/* Wait for a while. */
static bool has_ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, AGENT_ANSWER_MS) != 0;
}

void agent_free(struct agent *agent)
{
	const struct agent_job end = { .kind = AGENT_JOB_END };

	if (!agent)
		return;
	if (agent->jobs >= 0) {
		/* Else it waits until nobody has the service's lock, to clean up after it. */
		fd_message_send(agent->jobs, &end, sizeof(end), NULL, 0);
		close(agent->jobs);
		/* It ends when it sees that, and its couriers have ended. */
		if (!has_ended(agent->pidfd))
			end_now(agent);
		close(agent->pidfd);
		waitpid(agent->pid, NULL, WNOHANG);
	}
	reap(agent);
	pthread_mutex_destroy(&agent->lock);
	free(agent);
}

pid_t agent_pid(struct agent *agent)
{
	pid_t pid;

	pthread_mutex_lock(&agent->lock);
	pid = agent->pid;
	pthread_mutex_unlock(&agent->lock);
	return pid;
}

int agent_ensure(struct agent *agent)
{
	struct pollfd p;
	int r = 0;

	pthread_mutex_lock(&agent->lock);
	p = (struct pollfd){ .fd = agent->jobs };
	if (agent->jobs >= 0 && poll(&p, 1, 0) > 0)	/* POLLHUP: the other end is closed */
		drop(agent);
	if (agent->jobs < 0)
		r = start(agent);
	pthread_mutex_unlock(&agent->lock);
	return r;
}

/* ---- jobs ---- */

int agent_send_job(struct agent *agent, const struct agent_job *job, int file, int *ret,
		   pid_t *ret_pid)
{
	int pair[2], fds[2], r = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return errno == EMFILE ? -EMFILE : -EIO;
	fds[0] = pair[1];
	fds[1] = file;
	pthread_mutex_lock(&agent->lock);
	for (unsigned attempt = 0; attempt < 2; attempt++) {
		r = agent->jobs < 0 ? start(agent) : 0;
		if (r == 0)
			r = fd_message_send(agent->jobs, job, sizeof(*job), fds,
					    file < 0 ? 1 : 2);
		if (r == 0)
			break;
		drop(agent);
	}
	*ret_pid = agent->pid;
	pthread_mutex_unlock(&agent->lock);
	close(pair[1]);
	if (r) {
		cused_log(CUSED_LOG_ERROR, "agent", "no agent can be had: %s", strerror(-r));
		close(pair[0]);
		return -EIO;
	}
	*ret = pair[0];
	return 0;
}

/* It does not answer. Unless another thread has found that out before. */
static void replace(struct agent *agent, pid_t pid)
{
	pthread_mutex_lock(&agent->lock);
	if (agent->pid == pid) {
		cused_log(CUSED_LOG_WARNING, "agent", "an agent did not answer within %u ms; "
			  "it is replaced", AGENT_ANSWER_MS);
		drop(agent);
	}
	pthread_mutex_unlock(&agent->lock);
}

/* One answer. Return: 0; -ETIMEDOUT; -EMFILE; -EIO whoever worked on it has died. */
static int job_receive(int socket, unsigned ms, struct agent_result *ret, int *fds,
		       size_t *n_fds)
{
	struct pollfd p = { .fd = socket, .events = POLLIN };
	int r;

	do {
		r = poll(&p, 1, (int)ms);
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		return -ETIMEDOUT;
	do {
		r = fd_message_receive(socket, ret, sizeof(*ret), fds, n_fds);
	} while (r == -EINTR);
	return r == (int)sizeof(*ret) ? 0 : r == -EMFILE ? r : -EIO;
}

/* The copy that came for @fd. Return: 0; -EMFILE it did not. */
static int take_copy(struct agent_fd *fd, uint32_t kind, const int *copies, size_t n,
		     size_t *next)
{
	fd->event = fd->iommu = -1;
	if (kind == AGENT_NO_COPY)
		return 0;
	if (*next == n)
		return -EMFILE;
	if (kind == AGENT_COPY_EVENT)
		fd->event = copies[(*next)++];
	else
		fd->iommu = copies[(*next)++];
	return 0;
}

/* An agent that is killed loses the jobs that it has not begun. They are given to the next one; a
 * job by which agents die is not given to all that can be had. */
static bool is_lost(int r, unsigned *attempt)
{
	return r == -EIO && ++*attempt < AGENT_ATTEMPTS;
}

static int look_some(struct agent *agent, pid_t tid, unsigned major_, dev_t iommu,
		     struct agent_fd *fds, size_t n)
{
	struct agent_job job = { .kind = AGENT_JOB_LOOK, .tid = tid, .major = major_,
				 .iommu_major = major(iommu), .iommu_minor = minor(iommu),
				 .n = (uint32_t)n };
	int copies[AGENT_FDS_MAX], r, socket;
	pid_t pid;
	struct agent_result result;
	unsigned looks, attempt = 0;
	size_t n_copies, next = 0;

	for (size_t i = 0; i < n; i++) {
		job.fds[i].fd = fds[i].fd;
		job.fds[i].cookie = fds[i].cookie;
	}
	do {
		r = agent_send_job(agent, &job, -1, &socket, &pid);
		if (r)
			return r;
		/* One that answers others is busy, and comes to this job in its turn. */
		do {
			looks = atomic_load(&agent->looks);
			n_copies = AGENT_FDS_MAX;
			r = job_receive(socket, AGENT_ANSWER_MS, &result, copies, &n_copies);
		} while (r == -ETIMEDOUT && looks != atomic_load(&agent->looks));
		close(socket);
	} while (is_lost(r, &attempt));
	if (r == 0)
		atomic_fetch_add(&agent->looks, 1);
	if (r == -ETIMEDOUT) {
		replace(agent, pid);
		r = -EIO;
	}
	if (r)
		return r;
	for (size_t i = 0; i < n; i++) {
		fds[i].err = result.fds[i].err;
		r = take_copy(&fds[i], result.fds[i].copy, copies, n_copies, &next);
		if (r)
			fds[i].err = r;
	}
	return 0;
}

int agent_look(struct agent *agent, pid_t tid, unsigned major_, dev_t iommu,
	       struct agent_fd *fds, size_t n)
{
	for (size_t done = 0; done < n;) {
		size_t some = n - done < AGENT_FDS_MAX ? n - done : AGENT_FDS_MAX;
		int r = look_some(agent, tid, major_, iommu, fds + done, some);

		if (r) {
			for (size_t i = 0; i < done; i++) {
				if (fds[i].event >= 0)
					close(steal_fd(&fds[i].event));
				if (fds[i].iommu >= 0)
					close(steal_fd(&fds[i].iommu));
			}
			return r;
		}
		done += some;
	}
	return 0;
}

/* One attempt. @file: closed here; -1: none. @ret_armed: once that is true, it cannot be made again */
static int deliver_once(struct agent *agent, const struct agent_job *job, int file,
			void (*armed)(void *arg), void *arg, bool *ret_armed)
{
	struct agent_result result;
	size_t none;
	int r, socket;
	pid_t pid;

	r = agent_send_job(agent, job, file, &socket, &pid);
	if (file >= 0)
		close(file);
	if (r)
		return r;
	do {
		none = 0;
		r = job_receive(socket, COURIER_ANSWER_MS, &result, NULL, &none);
		if (r == 0 && result.stage == AGENT_ARMED) {
			armed(arg);
			*ret_armed = true;
		}
	} while (r == 0 && result.stage != AGENT_DONE);
	close(socket);
	*ret_armed |= r == 0;
	return r ? r : result.result;
}

static int deliver(struct agent *agent, const struct agent_job *job, void (*armed)(void *arg),
		   void *arg)
{
	bool was_armed = false;
	unsigned attempt = 0;
	int r;

	do {
		r = deliver_once(agent, job, -1, armed, arg, &was_armed);
	} while (!was_armed && is_lost(r, &attempt));
	return r;
}

int agent_deliver(struct agent *agent, pid_t tid, const uint8_t token[SERVICE_TOKEN_SIZE],
		  void (*armed)(void *arg), void *arg)
{
	struct agent_job job = { .kind = AGENT_JOB_DELIVER, .tid = tid };

	memcpy(job.token, token, SERVICE_TOKEN_SIZE);
	return deliver(agent, &job, armed, arg);
}

int agent_deliver_file(struct agent *agent, pid_t tid, int fd, void (*armed)(void *arg),
		       void *arg)
{
	const struct agent_job job = { .kind = AGENT_JOB_DELIVER_FILE, .tid = tid };
	bool was_armed = false;

	/* Not again: whether the client has a copy by then, nobody knows. */
	return deliver_once(agent, &job, fd, armed, arg, &was_armed);
}

int agent_deliver_copy(struct agent *agent, pid_t tid, pid_t from, dev_t node,
		       void (*armed)(void *arg), void *arg)
{
	const struct agent_job job = { .kind = AGENT_JOB_DELIVER_COPY, .tid = tid,
				       .from = from, .major = major(node),
				       .minor = minor(node) };

	return deliver(agent, &job, armed, arg);
}

/* ---- lending ---- */

struct agent_lending {
	int socket;			/* to the courier */
	bool over;			/* it has given up */
};

int agent_lend_begin(struct agent *agent, pid_t tid, dev_t node, uint64_t call,
		     void (*armed)(void *arg), void *arg, struct agent_lending **ret)
{
	const struct agent_job job = { .kind = AGENT_JOB_LEND, .tid = tid, .call = call,
				       .major = major(node), .minor = minor(node) };
	struct agent_lending *lending = calloc(1, sizeof(*lending));
	struct agent_result result;
	unsigned attempt = 0;
	size_t none;
	pid_t pid;
	int r;

	if (!lending)
		return -ENOMEM;
	do {
		none = 0;
		r = agent_send_job(agent, &job, -1, &lending->socket, &pid);
		if (r)
			break;
		r = job_receive(lending->socket, COURIER_ANSWER_MS, &result, NULL, &none);
		if (r)
			close(lending->socket);
	} while (is_lost(r, &attempt));
	if (r == 0 && result.stage != AGENT_ARMED) {
		r = result.result < 0 ? result.result : -EIO;
		close(lending->socket);
	}
	if (r) {
		free(lending);
		return r;
	}
	armed(arg);
	*ret = lending;
	return 0;
}

/* A word to the courier, and its answer. Return: 0; what came of the word; -EIO. */
static int lend_word(struct agent_lending *lending, const struct agent_word *word, int fd,
		     struct agent_result *result)
{
	size_t none = 0;
	int r;

	if (lending->over)
		return -EIO;
	r = fd_message_send(lending->socket, word, sizeof(*word), &fd, 1);
	if (r == 0)
		r = job_receive(lending->socket, LEND_ANSWER_MS, result, NULL, &none);
	lending->over = r || result->stage != AGENT_CALLED;
	if (lending->over)
		return !r && result->result < 0 ? result->result : -EIO;
	return result->result;
}

int agent_lend_call(struct agent_lending *lending, int fd, unsigned long cmd, void *arg,
		    size_t len, int *ret_result)
{
	struct agent_word word = { .kind = AGENT_WORD_CALL, .len = (uint32_t)len, .cmd = cmd };
	struct agent_result result;
	int r;

	if (len > sizeof(word.arg))
		return -E2BIG;
	memcpy(word.arg, arg, len);
	r = lend_word(lending, &word, fd, &result);
	if (r)
		return r;
	memcpy(arg, result.arg, len);
	*ret_result = result.call_result;
	return 0;
}

int agent_lend_swap(struct agent_lending *lending, int fd, dev_t node)
{
	const struct agent_word word = { .kind = AGENT_WORD_SWAP, .major = major(node),
					 .minor = minor(node) };
	struct agent_result result;
	int r = lend_word(lending, &word, fd, &result);

	return lending->over ? -ESRCH : r;
}

void agent_lend_end(struct agent_lending *lending, int result)
{
	const struct agent_word word = { .result = result };

	/* Also to one that was too late: without a word it takes us for dead. */
	fd_message_send(lending->socket, &word, sizeof(word), NULL, 0);
	close(lending->socket);
	free(lending);
}
