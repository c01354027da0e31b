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
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <transport/agent_courier.h>
#include <transport/confine.h>
#include <transport/courier.h>
#include <transport/fd_message.h>
#include <util/cleanup.h>
#include <vfio-cused/log.h>

#define COURIER_LIFE_S 60
/* For the service to say what comes next, or to be there again. One that hangs is killed by the
 * watchdog long before. */
#define LEND_WAIT_MS 600000
#define LEND_WAIT_LIFE_S (COURIER_LIFE_S + LEND_WAIT_MS / 1000)

static int device_open_token(const uint8_t token[SERVICE_TOKEN_SIZE])
{
	char name[SERVICE_TOKEN_NAME_SIZE];
	int fd;

	service_token_name(token, name);
	fd = openat(AGENT_FD_MOUNT, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* Return: a copy of that fd, if it is the file whose description has the lock; -EBUSY. */
static int copy_locked(const struct agent_job *job, struct clients *clients, int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	struct client_thread *thread;
	struct stat st;
	int got;

	if (client_get(clients, job->from, true, &thread))
		return -EBUSY;
	got = client_dup_fd(thread, fd);
	client_put(thread);
	if (got < 0)
		return -EBUSY;
	if (fstat(got, &st) == 0 && S_ISCHR(st.st_mode) &&
	    st.st_rdev == makedev(job->major, job->minor) &&
	    fcntl(got, F_OFD_SETLK, &lock) == 0)
		return got;
	close(got);
	return -EBUSY;
}

/* The file is looked for among the client's: it may have any number by now. */
static int device_open_copy(const struct agent_job *job, struct clients *clients)
{
	struct dirent *entry;
	int found = -EBUSY;
	struct statx st;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)job->from);
	dir = opendir(path);
	while (dir && found < 0 && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.' &&
		    statx(dirfd(dir), entry->d_name, AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0 &&
		    S_ISCHR(st.stx_mode) && st.stx_rdev_major == job->major &&
		    st.stx_rdev_minor == job->minor)
			found = copy_locked(job, clients, atoi(entry->d_name));
	}
	if (dir)
		closedir(dir);
	return found;
}

struct delivery {
	int socket;			/* for the answers */
	int file;
	int parent;			/* a pipe's end: it ends when the agent has no copy;
					 * -1: it never has one */
	const struct agent_job *job;
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
	char byte;

	close(steal_fd(&delivery->file));
	if (delivery->parent < 0)
		return;
	while (read(delivery->parent, &byte, sizeof(byte)) < 0 && errno == EINTR)
		;
}

/* A client can hang its courier, in the close of a file of a file system of the client's.
 * Long after the courier's own deadlines, there is nothing to lose. 0: there is no job. */
static void end_in_time(time_t seconds)
{
	static bool made;
	static timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	struct itimerspec when = { .it_value.tv_sec = seconds };

	if (!made)
		made = timer_create(CLOCK_MONOTONIC, &event, &timer) == 0;
	if (made)
		timer_settime(timer, 0, &when, NULL);
}

static int file_for(const struct agent_job *job, struct clients *clients, int file)
{
	switch (job->kind) {
	case AGENT_JOB_DELIVER_FILE:
		return file;
	case AGENT_JOB_DELIVER_COPY:
		return device_open_copy(job, clients);
	default:
		return device_open_token(job->token);
	}
}

/* In a child of its own. Return: the result, of which the service is still to be told. */
static int deliver(const struct agent_job *job, struct clients *clients, int socket, int file,
		   int parent)
{
	struct delivery delivery = { socket, file_for(job, clients, file), parent, job };
	struct courier_job courier = { .tid = job->tid, .fd = delivery.file,
				       .cloexec = true,	/* CG-102 */
				       .deadline_ms = COURIER_DEADLINE_MS, .armed = armed,
				       .leaving = leaving, .arg = &delivery };
	int r = courier.fd < 0 ? courier.fd : courier_deliver(&courier);

	if (delivery.file >= 0)
		close(delivery.file);
	return r;
}

static int lend_result(struct courier *courier, struct agent_word *word, int fd,
		       int32_t *ret_call)
{
	if (fd < 0 || word->len > sizeof(word->arg))
		return -EINVAL;
	if (word->kind == AGENT_WORD_SWAP)
		return courier_swap(courier, fd, makedev(word->major, word->minor),
				    LEND_SWAP_MS);
	return courier_ioctl(courier, fd, word->cmd, word->arg, word->len, LEND_CALL_MS,
			     ret_call);
}

/* One ioctl of the client, or a swap, as the service has ordered. If it does not listen any more,
 * that is found when its next word is taken. */
static void lend_call(struct courier *courier, struct agent_word *word, int fd, int socket)
{
	struct agent_result result = { .stage = AGENT_CALLED };

	result.result = lend_result(courier, word, fd, &result.call_result);
	memcpy(result.arg, word->arg, sizeof(result.arg));
	fd_message_send(socket, &result, sizeof(result), NULL, 0);
}

/* The service has gone before it said what the thread's call returns: that has had its effect, or
 * none. Whoever serves now knows. */
static int lend_ask(struct courier *courier, const struct agent_job *job)
{
	int result, r;

	end_in_time(LEND_WAIT_LIFE_S);
	r = courier_ask(courier, makedev(job->major, job->minor), SERVICE_IOC_LENT, job->call,
			LEND_WAIT_MS, &result);
	if (r == 0 && result > 0)
		return 1 - result;
	end_in_time(COURIER_LIFE_S);
	if (courier_swap_back(courier, LEND_SWAP_MS) || r)
		return -EIO;
	return COURIER_AGAIN;
}

static int lend_work(struct courier *courier, void *arg)
{
	const struct delivery *delivery = arg;
	struct pollfd p = { .fd = delivery->socket, .events = POLLIN };
	struct agent_word word;

	for (;;) {
		size_t n = 1;
		int fd = -1, r;

		end_in_time(LEND_WAIT_LIFE_S);
		r = poll(&p, 1, LEND_WAIT_MS);
		end_in_time(COURIER_LIFE_S);
		if (r <= 0)
			return -EIO;	/* it is stuck, and nobody ends it */
		if (fd_message_receive(delivery->socket, &word, sizeof(word), &fd, &n) !=
		    (int)sizeof(word))
			return lend_ask(courier, delivery->job);
		if (word.kind == AGENT_WORD_END)
			return word.result;
		lend_call(courier, &word, n ? fd : -1, delivery->socket);
		if (n)
			close(fd);
	}
}

/* As deliver(). */
static int lend(const struct agent_job *job, int socket)
{
	struct delivery delivery = { .socket = socket, .file = -1, .job = job };
	struct courier_job courier = { .tid = job->tid, .fd = -1,
				       .deadline_ms = COURIER_DEADLINE_MS, .armed = armed,
				       .work = lend_work, .arg = &delivery };

	return courier_deliver(&courier);
}

void agent_tell_done(int socket, int r)
{
	struct agent_result result = { .stage = AGENT_DONE, .result = r };

	fd_message_send(socket, &result, sizeof(result), NULL, 0);
}

/*
 * The end of a job. To fork a courier, and to let it end, takes twice as long as all that it
 * does; so one is kept for further jobs by token. A delivery that went wrong may have left the
 * client in its hands, and is its last.
 * @agent: the socket of one that is kept, which the agent closes when there have been no jobs
 * for a while; -1: of others
 * Return: true: @ret_job is the next, with its @ret_socket.
 */
static bool job_next(int agent, int socket, int r, struct agent_job *ret_job, int *ret_socket)
{
	const char is_free = 1;
	size_t n = 1;
	bool more;

	end_in_time(0);
	/* Before the service hears of it, so that the agent knows first. */
	more = agent >= 0 && r >= 0 &&
	       fd_message_send(agent, &is_free, sizeof(is_free), NULL, 0) == 0;
	agent_tell_done(socket, r);
	close(socket);
	return more && fd_message_receive(agent, ret_job, sizeof(*ret_job), ret_socket, &n) ==
			       (int)sizeof(*ret_job) && n == 1;
}

void agent_courier(struct clients *clients, struct agent_job job, int socket, int file,
		   int parent, int agent)
{
	struct cused_error err;
	int r;

	close(AGENT_FD_JOBS);
	prctl(PR_SET_NAME, "vfio-courier");
	end_in_time(COURIER_LIFE_S);
	if (job.kind == AGENT_JOB_SYSFS) {
		agent_sysfs_work(socket, file);
		_exit(0);
	}
	/* It makes no nodes. One that keeps the right to do so delivers as well. */
	if (confine_capabilities(CONFINE_COURIER, &err))
		cused_log(CUSED_LOG_WARNING, "agent", "%s", err.text);
	r = job.kind == AGENT_JOB_LEND ? lend(&job, socket) :
					 deliver(&job, clients, socket, file, parent);
	while (job_next(agent, socket, r, &job, &socket)) {
		end_in_time(COURIER_LIFE_S);
		r = deliver(&job, clients, socket, -1, -1);
	}
	_exit(0);
}
