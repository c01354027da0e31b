/* SPDX-License-Identifier: GPL-2.0-or-later */
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <transport/client.h>
#include <transport/replay.h>
#include <transport/server.h>
#include <transport/service_abi.h>
#include <transport/thread.h>
#include <vfio-cused/log.h>

#define STACK (512u * 1024)
/* What a request can have beside its data. */
#define HEADER_MAX 4096u
#define BUFFER_SIZE (CHANNEL_DATA_MAX + HEADER_MAX)
/* The watch goes to sleep after this many looks at nothing. */
#define WATCH_IDLE_LOOKS 20u
/* At so many calls in a queue at a time. */
#define WATCH_QUEUE_LOOKS 32u
/* A channel has too few readers when calls were waiting at that many looks, where one at which none
 * did takes seven away: a reader that serves two clients in turn does not get there. */
#define BACKLOG_LOOKS 32u
/* Or when so many calls were slow, of which one is forgotten after so many looks. */
#define SLOW_CALLS 4u
#define SLOW_LOOKS 20u
/* Calls that came from another thread than the one before, at most; at half of it, a channel is busy. */
#define TURNS_MAX 8u

/* A request that waits for its turn: a copy of its bytes. */
struct waiting {
	struct list item;		/* lane->queue */
	struct channel *channel;
	uint64_t number;		/* in the order of arrival, from 1 */
	size_t size;
	char bytes[];
};

struct lane {
	struct list item;		/* server->lanes */
	uid_t uid;
	unsigned busy;
	struct list queue;		/* struct waiting */
	uint64_t arrived, looked;	/* numbers: of the last; of the last looked at */
};

struct server {
	pthread_mutex_t lock;		/* all below, and the channels' counts */
	pthread_cond_t changed;
	struct list channels;
	struct list lanes;
	struct lane *spare_lane;	/* the last that was not needed, or NULL */
	struct list requests;		/* at work */
	unsigned threads;		/* that have a channel */
	struct list parked;		/* struct reader: threads without one */
	unsigned n_parked;
	unsigned abandoned;		/* channels: closed, but a call is stalled */
	pthread_t watch;
	atomic_bool watch_sleeps;	/* changed with the lock */
	bool stop;
	bool leaving;
	bool lone;			/* these are constant while there are channels: see server.h */
	struct replays *replays;
};

struct channel {
	struct list item;		/* server->channels */
	unsigned long calls, seen;	/* server->lock; seen: by the watch, at its last look */
	struct server *server;
	struct fuse_session *session;
	int fd;
	uint32_t id;
	unsigned threads, idle;		/* server->lock; idle: they read or are about to */
	unsigned serving;		/* server->lock; read, but not yet served */
	unsigned backlog, slow, wary, looks;	/* server->lock; see look_at_channel() */
	unsigned last_caller, turns;	/* server->lock */
	atomic_bool stop;
	bool abandoned;			/* server->lock */
	struct list readers;		/* server->lock; struct reader */
	channel_look_fn *look;		/* constant, as its argument */
	void *look_arg;
	atomic_bool resends;		/* requests may come again that have an answer, so they
					 * are read in turn, with: */
	pthread_mutex_t turn;
};

struct reader {
	struct list item;		/* channel->readers or server->parked */
	pthread_t thread;
	struct server *server;
	struct channel *channel;	/* server->lock; NULL: it is parked */
	pthread_cond_t wanted;		/* server->lock; it has a channel again, or is to end */
	char *bytes;			/* BUFFER_SIZE */
};

/* ---- requests at work ---- */

/* The channel whose reader the thread is. */
static _Thread_local struct channel *served_channel;

static void request_enter(struct request *request)
{
	struct server *server = request->server;

	request->served_by = served_channel;
	request->seen = 0;
	request->slow = false;
	atomic_init(&request->taken, false);
	pthread_mutex_lock(&server->lock);
	list_push_back(&server->requests, &request->item);
	if (atomic_load_explicit(&server->watch_sleeps, memory_order_relaxed)) {
		atomic_store(&server->watch_sleeps, false);
		pthread_cond_broadcast(&server->changed);
	}
	pthread_mutex_unlock(&server->lock);
}

void request_begin(struct request *request, struct server *server, struct fuse_req *fuse,
		   bool release)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(fuse);

	request->fuse = fuse;
	request->server = server;
	request->tid = ctx->pid;
	request->release = release;
	request->uid = ctx->uid;
	request->gid = ctx->gid;
	request_enter(request);
}

bool request_take(struct request *request)
{
	return !atomic_exchange(&request->taken, true);
}

bool request_is_gone(const struct request *request)
{
	return atomic_load(&request->taken);
}

/* An answer that libfuse does not know of. */
static void reply_error(struct channel *channel, uint64_t unique, int err)
{
	struct fuse_out_header out = { .len = sizeof(out), .error = -err, .unique = unique };
	struct iovec iov = { &out, sizeof(out) };

	channel_writev(channel->fd, &iov, 1, NULL);
}

/* Whoever has taken it. */
static void request_reply(struct request *request, int err)
{
	if (request->fuse)
		fuse_reply_err(request->fuse, err);
	else
		reply_error(request->channel, request->unique, err);
}

void request_error(struct request *request, int err)
{
	if (request_take(request))
		request_reply(request, err);
}

void request_end(struct request *request)
{
	pthread_mutex_lock(&request->server->lock);
	list_remove(&request->item);
	pthread_mutex_unlock(&request->server->lock);
}

/* ---- the watch ---- */

static bool is_dying(pid_t tid)
{
	char pending[32];
	int r = client_status(tid, "SigPnd", pending, sizeof(pending));

	if (r)
		return r == -ESRCH;
	/* Who ends a process puts SIGKILL among the signals of each thread of it. */
	return strtoull(pending, NULL, 16) & 1ull << (SIGKILL - 1);
}

static int reader_start(struct channel *channel);

/* With the lock. */
static void reader_add(struct channel *channel)
{
	if (channel->idle == 0 && !atomic_load(&channel->stop) &&
	    channel->server->threads < SERVER_THREADS_MAX)
		reader_start(channel);
}

/* More readers, for a while. With the lock. */
static void beware(struct channel *channel)
{
	channel->backlog = channel->slow = 0;
	channel->wary = CHANNEL_WARY_MS / WATCH_LOOK_MS;
	reader_add(channel);
}

/* A call takes longer than a look. With the lock. */
static void note_slow(struct channel *channel)
{
	if (channel->wary || ++channel->slow == SLOW_CALLS)
		beware(channel);
	else
		reader_add(channel);
}

/* With the lock, which keeps the request from ending under us. */
static void look_at(struct request *request, uint64_t now)
{
	uint64_t ms;

	if (!request->seen)
		request->seen = now;
	ms = (now - request->seen) / 1000000;
	if (ms < WATCH_LOOK_MS || request_is_gone(request))
		return;
	if (!request->slow && request->served_by)
		note_slow(request->served_by);
	request->slow = true;
	if (ms < WATCH_STALL_MS)
		return;
	/* Whether one without a number is dying cannot be known. */
	if (request->release ? ms < WATCH_RELEASE_MS :
			       !request->tid || !is_dying(request->tid))
		return;
	if (!request_take(request))
		return;
	cused_log(CUSED_LOG_DEBUG, "server", "a call of thread %d is let go",
		  (int)request->tid);
	request_reply(request, request->release ? 0 : EINTR);
}

/* The last call of an abandoned channel may be over. With the lock. */
static void abandoned_end(struct channel *channel)
{
	if (!channel->abandoned || channel->threads || channel->serving)
		return;
	channel->abandoned = false;
	channel->server->abandoned--;
}

static void waiting_free(struct waiting *waiting)
{
	struct channel *channel = waiting->channel;

	if (--channel->serving == 0)
		pthread_cond_broadcast(&channel->server->changed);
	abandoned_end(channel);
	free(waiting);
}

/* Answer a call that was not served, as request_error() would. With the lock. */
static void let_go(struct waiting *waiting)
{
	const struct fuse_in_header *header = (const void *)waiting->bytes;

	list_remove(&waiting->item);
	reply_error(waiting->channel, header->unique, EINTR);
	waiting_free(waiting);
}

/* A queue is as long as its user likes, so it is looked at piece by piece. With the lock. */
static void look_at_queue(struct lane *lane)
{
	unsigned looks = 0;

	list_for_each_safe(it, tmp, &lane->queue) {
		struct waiting *waiting = container_of(it, struct waiting, item);
		const struct fuse_in_header *header = (const void *)waiting->bytes;

		if (waiting->number <= lane->looked)
			continue;
		if (looks++ == WATCH_QUEUE_LOOKS)
			return;
		lane->looked = waiting->number;
		if (header->pid && is_dying((pid_t)header->pid))
			let_go(waiting);
	}
	lane->looked = 0;
}

/* Do calls wait for a reader? */
static bool is_pending(const struct channel *channel)
{
	struct pollfd p = { .fd = channel->fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0 && (p.revents & POLLIN);
}

/* Do calls wait for a reader most of the time? With the lock. */
static void look_at_channel(struct channel *channel)
{
	if (channel->wary)
		channel->wary--;
	if (++channel->looks % SLOW_LOOKS == 0 && channel->slow)
		channel->slow--;
	if (channel->calls != channel->seen && is_pending(channel))
		channel->backlog++;
	else
		channel->backlog -= channel->backlog < 7 ? channel->backlog : 7;
	if (channel->backlog == BACKLOG_LOOKS)
		beware(channel);
	/* Also a call that is answered can go on, as one that a courier brings something. */
	if (channel->serving && channel->calls == channel->seen)
		reader_add(channel);
	channel->seen = channel->calls;
}

/* Has it more than one reader to spare? With the lock. */
static bool has_many_readers(const struct channel *channel)
{
	return channel->wary && !channel->server->lone;
}

static void *watch_main(void *arg)
{
	struct server *server = arg;
	unsigned idle = 0;

	pthread_mutex_lock(&server->lock);
	while (!server->stop) {
		struct timespec deadline = thread_deadline(CLOCK_MONOTONIC, WATCH_LOOK_MS);
		uint64_t now = thread_now_ns();

		idle = list_empty(&server->requests) ? idle + 1 : 0;
		list_for_each(it, &server->requests)
			look_at(container_of(it, struct request, item), now);
		list_for_each(it, &server->channels)
			look_at_channel(container_of(it, struct channel, item));
		list_for_each(it, &server->lanes)
			look_at_queue(container_of(it, struct lane, item));
		if (idle < WATCH_IDLE_LOOKS) {
			pthread_cond_timedwait(&server->changed, &server->lock, &deadline);
			continue;
		}
		atomic_store(&server->watch_sleeps, true);
		while (atomic_load(&server->watch_sleeps) && !server->stop)
			pthread_cond_wait(&server->changed, &server->lock);
		idle = 0;
	}
	pthread_mutex_unlock(&server->lock);
	return NULL;
}

bool server_is_busy(struct server *server)
{
	bool busy;

	pthread_mutex_lock(&server->lock);
	busy = server->abandoned > 0;
	pthread_mutex_unlock(&server->lock);
	return busy;
}

unsigned server_stalled(struct server *server)
{
	uint64_t now;
	unsigned n = 0;

	pthread_mutex_lock(&server->lock);
	/* With the lock, so that it is not before the watch has seen a request. */
	now = thread_now_ns();
	list_for_each(it, &server->requests) {
		struct request *request = container_of(it, struct request, item);

		n += request->seen && (now - request->seen) / 1000000 >= WATCH_STALL_MS;
	}
	pthread_mutex_unlock(&server->lock);
	return n;
}

unsigned server_wary(struct server *server)
{
	unsigned n = 0;

	pthread_mutex_lock(&server->lock);
	list_for_each(it, &server->channels)
		n += has_many_readers(container_of(it, struct channel, item));
	pthread_mutex_unlock(&server->lock);
	return n;
}

unsigned server_queued(struct server *server)
{
	unsigned n = 0;

	pthread_mutex_lock(&server->lock);
	list_for_each(it, &server->lanes) {
		list_for_each(w, &container_of(it, struct lane, item)->queue)
			n++;
	}
	pthread_mutex_unlock(&server->lock);
	return n;
}

int server_new(struct server **ret)
{
	struct server *server = calloc(1, sizeof(*server));
	cpu_set_t cpus;
	int r;

	if (!server)
		return -ENOMEM;
	pthread_mutex_init(&server->lock, NULL);
	thread_cond_init(&server->changed);
	list_init(&server->channels);
	list_init(&server->lanes);
	list_init(&server->requests);
	list_init(&server->parked);
	server->lone = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) == 1;
	thread_interruptible();
	r = thread_start(&server->watch, 0, false, watch_main, server);
	if (r) {
		pthread_cond_destroy(&server->changed);
		pthread_mutex_destroy(&server->lock);
		free(server);
		return r;
	}
	*ret = server;
	return 0;
}

void server_lone_readers(struct server *server, bool on)
{
	pthread_mutex_lock(&server->lock);
	server->lone = on;
	pthread_mutex_unlock(&server->lock);
}

int server_keep(struct server *server, struct keep *keep)
{
	return replays_new(keep, &server->replays);
}

void server_free(struct server *server)
{
	if (!server)
		return;
	pthread_mutex_lock(&server->lock);
	server->stop = true;
	pthread_cond_broadcast(&server->changed);
	list_for_each(it, &server->parked)
		pthread_cond_signal(&container_of(it, struct reader, item)->wanted);
	while (server->n_parked)
		pthread_cond_wait(&server->changed, &server->lock);
	pthread_mutex_unlock(&server->lock);
	pthread_join(server->watch, NULL);
	pthread_cond_destroy(&server->changed);
	pthread_mutex_destroy(&server->lock);
	free(server->spare_lane);
	replays_free(server->replays);
	free(server);
}

/* ---- lanes ---- */

/* Calls that a client can make take long. Our own (an identification by the agent) and
 * all that a handler answers at once go past. */
static bool has_lane(const char *bytes, size_t size)
{
	const struct fuse_in_header *header = (const void *)bytes;
	const struct fuse_ioctl_in *in = (const void *)(header + 1);

	if (size < sizeof(*header))
		return false;
	switch (header->opcode) {
	case FUSE_READ:
	case FUSE_WRITE:
		return true;
	case FUSE_IOCTL:
		return size < sizeof(*header) + sizeof(*in) ||
		       in->cmd != SERVICE_IOC_IDENTIFY;
	default:
		return false;
	}
}

static struct lane *lane_find(struct server *server, uid_t uid)
{
	struct lane *lane;

	list_for_each(it, &server->lanes) {
		lane = container_of(it, struct lane, item);
		if (lane->uid == uid)
			return lane;
	}
	lane = server->spare_lane ? server->spare_lane : malloc(sizeof(*lane));
	server->spare_lane = NULL;
	if (lane) {
		*lane = (struct lane){ .uid = uid };
		list_init(&lane->queue);
		list_push_front(&server->lanes, &lane->item);
	}
	return lane;
}

/*
 * Ask for a turn. Called with the lock.
 * Return: true: serve it now; false: it was put into the queue. Without memory nobody
 * waits: too many threads are better than a call that is never answered.
 */
static bool lane_enter(struct channel *channel, const char *bytes, size_t size,
		       struct lane **ret)
{
	const struct fuse_in_header *header = (const void *)bytes;
	struct waiting *waiting;

	*ret = has_lane(bytes, size) ? lane_find(channel->server, header->uid) : NULL;
	if (!*ret)
		return true;
	if ((*ret)->busy >= LANE_THREADS) {
		waiting = malloc(sizeof(*waiting) + size);
		if (waiting) {
			waiting->channel = channel;
			waiting->number = ++(*ret)->arrived;
			waiting->size = size;
			memcpy(waiting->bytes, bytes, size);
			list_push_back(&(*ret)->queue, &waiting->item);
			channel->serving++;
			return false;
		}
	}
	(*ret)->busy++;
	return true;
}

/* A turn is over. Called with the lock. Return: who is next, to be served by the caller. */
static struct waiting *lane_next(struct server *server, struct lane *lane)
{
	struct waiting *waiting;

	if (!lane)
		return NULL;
	/* Who leaves leaves those to the next process. */
	if (!list_empty(&lane->queue) && !server->leaving) {
		waiting = container_of(lane->queue.next, struct waiting, item);
		list_remove(&waiting->item);
		return waiting;
	}
	if (--lane->busy == 0 && list_empty(&lane->queue)) {
		list_remove(&lane->item);
		free(server->spare_lane);
		server->spare_lane = lane;
	}
	return NULL;
}

/* ---- readers ---- */

/* What it did was done by the process before: give the answer. */
static void answer_again(struct channel *channel, const struct fuse_in_header *header,
			 const struct replay *replay)
{
	struct request request = { .channel = channel, .unique = header->unique,
				   .server = channel->server, .tid = (pid_t)header->pid,
				   .release = header->opcode == FUSE_RELEASE };
	struct iovec local[REPLAY_OUTS_MAX], remote[REPLAY_OUTS_MAX], iov[2];
	struct fuse_out_header out;
	const void *bytes;
	size_t n, size;

	request_enter(&request);
	n = replay_outs(replay, local, remote);
	if (n && client_writev(request.tid, local, remote, n)) {
		request_error(&request, EFAULT);
	} else if (request_take(&request)) {
		size = replay_bytes(replay, &bytes);
		memcpy(&out, bytes, sizeof(out));
		out.unique = header->unique;	/* with its mark */
		iov[0] = (struct iovec){ &out, sizeof(out) };
		iov[1] = (struct iovec){ (char *)(uintptr_t)bytes + sizeof(out),
					 size - sizeof(out) };
		channel_writev(channel->fd, iov, iov[1].iov_len ? 2 : 1, NULL);
	}
	request_end(&request);
}

static void process(struct channel *channel, char *bytes, size_t size)
{
	const struct fuse_in_header *header = (const void *)bytes;
	struct fuse_buf buf = { .mem = bytes, .size = size };
	struct replay replay;

	if (size < sizeof(*header))
		return;
	if (channel->look)
		channel->look(channel->look_arg, bytes, size);
	if (replay_begin(&replay, channel->server->replays, channel->id, header->unique))
		answer_again(channel, header, &replay);
	else
		fuse_session_process_buf(channel->session, &buf);
	replay_end(&replay);
}

void server_will_wait(void)
{
	struct channel *channel = served_channel;

	if (!channel)
		return;
	pthread_mutex_lock(&channel->server->lock);
	reader_add(channel);
	pthread_mutex_unlock(&channel->server->lock);
}

/*
 * A signal came to somebody who waits for us. It means nothing here: signals do not end VFIO
 * calls, and of those who die the watch learns by itself. No answer is needed. libfuse
 * would keep one that comes after the answer of its call, for ever.
 */
static bool is_interrupt(const char *bytes, size_t size)
{
	const struct fuse_in_header *header = (const void *)bytes;

	return size >= sizeof(*header) && header->opcode == FUSE_INTERRUPT;
}

/* Do several threads call? With the lock. */
static void note_caller(struct channel *channel, const char *bytes, size_t size)
{
	const struct fuse_in_header *header = (const void *)bytes;

	if (size < sizeof(*header))
		return;
	if (header->pid != channel->last_caller)
		channel->turns += channel->turns < TURNS_MAX;
	else
		channel->turns -= channel->turns > 0;
	channel->last_caller = header->pid;
}

/* Look for the next call for a moment, as it will come soon. */
static void stay_awake(struct channel *channel)
{
	uint64_t until = thread_now_ns() + CHANNEL_AWAKE_US * 1000;

	while (!is_pending(channel) && !atomic_load(&channel->stop) && thread_now_ns() < until)
		;
}

/* Called with the lock; returns with it. */
static void serve(struct channel *channel, char *bytes, size_t size)
{
	struct server *server = channel->server;
	struct waiting *next;
	struct lane *lane;

	channel->idle--;
	channel->serving++;
	channel->calls++;
	note_caller(channel, bytes, size);
	if (lane_enter(channel, bytes, size, &lane)) {
		if (has_many_readers(channel))
			reader_add(channel);
		pthread_mutex_unlock(&server->lock);
		process(channel, bytes, size);
		pthread_mutex_lock(&server->lock);
		while ((next = lane_next(server, lane))) {
			pthread_mutex_unlock(&server->lock);
			process(next->channel, next->bytes, next->size);
			pthread_mutex_lock(&server->lock);
			waiting_free(next);
		}
	}
	channel->serving--;
	channel->idle++;
	/* Nobody else waits for that, and a broadcast wakes the watch. */
	if (channel->serving == 0 && atomic_load(&channel->stop))
		pthread_cond_broadcast(&server->changed);
}

/* Does it stand in the channel's queue like all others? */
static bool is_in_turn(const char *bytes, size_t size)
{
	const struct fuse_in_header *header = (const void *)bytes;

	return size >= sizeof(*header) && header->opcode != FUSE_INTERRUPT &&
	       header->opcode != FUSE_FORGET && header->opcode != FUSE_BATCH_FORGET;
}

/* Return: bytes, or -errno. */
static ssize_t channel_take(struct channel *channel, char *bytes)
{
	const struct fuse_in_header *header = (const void *)bytes;
	bool in_turn = atomic_load(&channel->resends);
	ssize_t n = -EINTR;

	if (in_turn)
		pthread_mutex_lock(&channel->turn);
	if (!in_turn || !atomic_load(&channel->stop)) {
		n = read(channel->fd, bytes, BUFFER_SIZE);
		n = n < 0 ? -errno : n;
	}
	if (in_turn && n > 0 && is_in_turn(bytes, (size_t)n) &&
	    !replays_seen(channel->server->replays, channel->id, header->unique))
		atomic_store(&channel->resends, false);
	if (in_turn)
		pthread_mutex_unlock(&channel->turn);
	return n;
}

/* Serve the channel until it has readers enough, or an end. With the lock. */
static void reader_serve(struct reader *reader)
{
	struct channel *channel = reader->channel;
	struct server *server = channel->server;
	ssize_t n = 0;
	bool busy;

	while (!atomic_load(&channel->stop) &&
	       channel->idle <= (has_many_readers(channel) ? CHANNEL_IDLE_MAX : 1)) {
		busy = channel->turns >= TURNS_MAX / 2 && channel->idle == 1 && !server->lone;
		pthread_mutex_unlock(&server->lock);
		if (busy)
			stay_awake(channel);
		n = channel_take(channel, reader->bytes);
		pthread_mutex_lock(&server->lock);
		if (n > 0 && is_interrupt(reader->bytes, (size_t)n))
			continue;
		if (n > 0)
			serve(channel, reader->bytes, (size_t)n);
		/* ENOENT: the request was taken back as we were about to read it. */
		else if (n != -EINTR && n != -ENOENT && n != -EAGAIN)
			break;
	}
	/* ENODEV: what we serve was taken away. */
	if (n < 0 && n != -ENODEV && !atomic_load(&channel->stop)) {
		cused_log(CUSED_LOG_ERROR, "server", "cannot read requests: %s",
			  strerror((int)-n));
	}
}

/* Called with the lock. */
static void reader_join(struct reader *reader, struct channel *channel)
{
	reader->channel = channel;
	list_push_back(&channel->readers, &reader->item);
	channel->idle++;
	channel->threads++;
	channel->server->threads++;
}

/* Called with the lock. The channel may be freed when it is given up. */
static void reader_leave(struct reader *reader)
{
	struct channel *channel = reader->channel;

	channel->idle--;
	channel->threads--;
	channel->server->threads--;
	list_remove(&reader->item);
	reader->channel = NULL;
	abandoned_end(channel);
	/* Nobody else waits for that, and a broadcast wakes the watch. */
	if (atomic_load(&channel->stop))
		pthread_cond_broadcast(&channel->server->changed);
}

/* Wait for another channel. With the lock. Return: false: there are enough that do, or this
 * is the end. */
static bool reader_park(struct reader *reader)
{
	struct server *server = reader->server;

	if (server->n_parked == READERS_PARKED_MAX || server->stop)
		return false;
	server->n_parked++;
	list_push_back(&server->parked, &reader->item);
	while (!reader->channel && !server->stop)
		pthread_cond_wait(&reader->wanted, &server->lock);
	if (reader->channel)
		return true;
	list_remove(&reader->item);
	if (--server->n_parked == 0)
		pthread_cond_broadcast(&server->changed);
	return false;
}

static void reader_free(struct reader *reader)
{
	pthread_cond_destroy(&reader->wanted);
	free(reader->bytes);
	free(reader);
}

static void *reader_main(void *arg)
{
	struct reader *reader = arg;
	struct server *server = reader->server;
	bool stopped;

	pthread_mutex_lock(&server->lock);
	do {
		served_channel = reader->channel;
		reader_serve(reader);
		stopped = atomic_load(&reader->channel->stop);
		reader_leave(reader);
	} while (!stopped && reader_park(reader));
	/* After the lock the server may be gone. */
	replays_thread_end(server->replays);
	pthread_mutex_unlock(&server->lock);
	reader_free(reader);
	return NULL;
}

static int reader_new(struct server *server, struct reader **ret)
{
	struct reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return -ENOMEM;
	reader->bytes = malloc(BUFFER_SIZE);
	if (!reader->bytes) {
		free(reader);
		return -ENOMEM;
	}
	reader->server = server;
	pthread_cond_init(&reader->wanted, NULL);
	*ret = reader;
	return 0;
}

/* A thread that has no channel, or a new one. Called with the lock. */
static int reader_start(struct channel *channel)
{
	struct server *server = channel->server;
	struct reader *reader;
	int r;

	if (!list_empty(&server->parked)) {
		reader = container_of(server->parked.next, struct reader, item);
		list_remove(&reader->item);
		server->n_parked--;
		reader_join(reader, channel);
		pthread_cond_signal(&reader->wanted);
		return 0;
	}
	r = reader_new(server, &reader);
	if (r)
		return r;
	reader_join(reader, channel);
	r = thread_start(&reader->thread, STACK, true, reader_main, reader);
	if (r) {
		reader_leave(reader);
		reader_free(reader);
	}
	return r;
}

/* ---- channels ---- */

/* What the calling thread writes goes nowhere: a greeting was answered long ago. */
static _Thread_local bool swallow;

ssize_t channel_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	ssize_t n = 0;

	for (int i = 0; swallow && i < count; i++)
		n += (ssize_t)iov[i].iov_len;
	if (swallow)
		return n;
	replay_reply(iov, count);
	do {
		n = writev(fd, iov, count);
	} while (n < 0 && errno == EINTR);
	return n;
}

static ssize_t channel_read(int fd, void *buf, size_t size, void *userdata)
{
	ssize_t n = read(fd, buf, size);

	return n < 0 ? -errno : n;
}

const struct fuse_custom_io channel_io = { .writev = channel_writev,
					   .read = channel_read };

/* The kernel's greeting, and our answer. */
static int greet(struct channel *channel, bool cuse, struct greeting *ret)
{
	struct pollfd p = { .fd = channel->fd };
	char *bytes = malloc(BUFFER_SIZE);
	ssize_t n;

	if (!bytes)
		return -ENOMEM;
	do {
		n = read(channel->fd, bytes, BUFFER_SIZE);
	} while (n < 0 && errno == EINTR);
	if (n > 0 && ret && (size_t)n <= sizeof(ret->bytes)) {
		ret->size = (size_t)n;
		memcpy(ret->bytes, bytes, (size_t)n);
	}
	if (n > 0)
		process(channel, bytes, (size_t)n);
	n = n < 0 ? -errno : 0;
	free(bytes);
	if (n == 0 && cuse && poll(&p, 1, 0) > 0 && (p.revents & POLLERR))
		n = -EADDRINUSE;
	return (int)n;
}

/* The same once more, to a new session. */
static int greet_again(struct channel *channel, const struct greeting *greeting)
{
	const struct fuse_in_header *header = (const void *)greeting->bytes;
	struct greeting copy = *greeting;	/* the session may change it */

	if (greeting->size < sizeof(*header) || greeting->size > sizeof(greeting->bytes) ||
	    header->len != greeting->size ||
	    (header->opcode != CUSE_INIT && header->opcode != FUSE_INIT))
		return -EBADMSG;
	swallow = true;
	process(channel, (char *)copy.bytes, copy.size);
	swallow = false;
	return 0;
}

/* Return: 0, -EAGAIN, -ENOMEM. */
static int channel_start(struct channel *channel)
{
	struct server *server = channel->server;
	int r;

	pthread_mutex_lock(&server->lock);
	r = reader_start(channel);
	if (r == 0)
		list_push_back(&server->channels, &channel->item);
	pthread_mutex_unlock(&server->lock);
	return r;
}

int channel_new(struct server *server, const struct channel_params *params,
		struct channel **ret)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	int r;

	if (!channel)
		return -ENOMEM;
	channel->server = server;
	channel->session = params->session;
	channel->fd = params->fd;
	channel->id = params->id;
	channel->look = params->look;
	channel->look_arg = params->look_arg;
	list_init(&channel->item);
	list_init(&channel->readers);
	pthread_mutex_init(&channel->turn, NULL);
	if (params->adopt)
		r = greet_again(channel, params->greeting);
	else
		r = greet(channel, params->cuse, params->greeting);
	if (r == 0 && !params->adopt)
		r = channel_start(channel);
	if (r) {
		pthread_mutex_destroy(&channel->turn);
		free(channel);
		return r;
	}
	*ret = channel;
	return 0;
}

int channel_resume(struct channel *channel)
{
	/* FUSE_NOTIFY_RESEND, of protocol 7.40; our oldest headers have 7.38. */
	struct fuse_out_header resend = { .len = sizeof(resend), .error = 7 };
	struct iovec iov = { &resend, sizeof(resend) };

	atomic_store(&channel->resends, replays_wait(channel->server->replays, channel->id));
	if (channel_writev(channel->fd, &iov, 1, NULL) < 0)
		return -errno;
	return channel_start(channel);
}

/* Called with the lock. */
static void readers_interrupt(struct channel *channel)
{
	list_for_each(it, &channel->readers)
		pthread_kill(container_of(it, struct reader, item)->thread, SIGURG);
}

/* Interrupt those that read until they have ended: a signal that comes before the wait is
 * lost, so it is repeated. Called with the lock. Return: true if all ended. */
static bool readers_stop(struct channel *channel)
{
	uint64_t until = thread_now_ns() + WATCH_RELEASE_MS * 1000000ull;

	while (channel->threads || channel->serving) {
		struct timespec deadline = thread_deadline(CLOCK_MONOTONIC, 2);

		if (thread_now_ns() > until)
			return false;
		readers_interrupt(channel);
		pthread_cond_timedwait(&channel->server->changed, &channel->server->lock,
				       &deadline);
	}
	return true;
}

void server_leave(struct server *server, unsigned ms)
{
	uint64_t until = thread_now_ns() + ms * 1000000ull;
	bool at_work = true;

	pthread_mutex_lock(&server->lock);
	server->leaving = true;
	list_for_each(it, &server->channels)
		atomic_store(&container_of(it, struct channel, item)->stop, true);
	while (at_work && thread_now_ns() < until) {
		struct timespec deadline = thread_deadline(CLOCK_MONOTONIC, 2);

		at_work = false;
		list_for_each(it, &server->channels) {
			struct channel *channel = container_of(it, struct channel, item);

			readers_interrupt(channel);
			at_work |= channel->threads > 0;
		}
		if (at_work)
			pthread_cond_timedwait(&server->changed, &server->lock, &deadline);
	}
	pthread_mutex_unlock(&server->lock);
}

int channel_free(struct channel *channel)
{
	struct server *server;
	int nowhere;
	bool ended;

	if (!channel)
		return 0;
	server = channel->server;
	atomic_store(&channel->stop, true);
	pthread_mutex_lock(&server->lock);
	list_remove(&channel->item);
	ended = readers_stop(channel);
	if (!ended) {
		channel->abandoned = true;
		server->abandoned++;
	}
	pthread_mutex_unlock(&server->lock);
	if (!ended) {
		/* The stalled thread will write its answer to this number, which must not
		 * become another file's. */
		nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (nowhere >= 0) {
			dup3(nowhere, channel->fd, O_CLOEXEC);
			close(nowhere);
		}
		return -EBUSY;
	}
	fuse_session_destroy(channel->session);		/* closes fd */
	pthread_mutex_destroy(&channel->turn);
	free(channel);
	return 0;
}
