/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/server.h - threads that serve CUSE and FUSE requests.
 *
 * Theory of operation
 *
 *   A *channel* is one /dev/cuse or /dev/fuse file with its libfuse session. Threads read
 *   it and serve what they read themselves: a hand-over would cost more than most calls.
 *   A channel always gets a thread that reads, as long as there may be more threads. So a call
 *   that takes long (client memory that the client stalls, a question to the agent) keeps
 *   nobody waiting but its caller.
 *
 *   One reader is the quickest, where calls are short: of several, FUSE wakes the one that has
 *   waited longest, so each call would be another thread's, often on another CPU than its
 *   client. So a channel has one, which serves clients in turn, and gets another when a call
 *   is about to wait (server_will_wait()), or is seen to take longer than a look of the watch,
 *   or when calls wait at most looks. In the last two cases it is *wary* from then on, until
 *   CHANNEL_WARY_MS pass without: then whoever takes a request and finds no other reader
 *   starts one before it serves, and up to CHANNEL_IDLE_MAX stay. So it is the first of such
 *   calls alone that may keep others waiting, for two looks.
 *
 *   Where there is one CPU, a second reader never makes anything quicker: it would be woken for
 *   the next call while the first is still on its way back from the last one, which is a fifth of
 *   its cost. There a channel is never wary. A thread that a channel has no more need of is
 *   parked, and serves the next channel that wants one: to make one for each call that waits
 *   would cost as much as three calls.
 *
 *   Lanes. Who could make many calls take long could use up the threads. So reads, writes
 *   and ioctls are counted by the user that makes them, and of one user at most
 *   LANE_THREADS are served at a time; further ones wait in a queue in their order of
 *   arrival, and are served by that user's threads as they get free.
 *
 *   The watch. A client that is killed in a call stays until the call is answered. And
 *   what the call waits for may be that client's end: its memory is served by a
 *   userfaultfd of its own, which is closed with its last thread. So a thread looks at
 *   calls that take longer than WATCH_STALL_MS, and answers those of dying threads with
 *   EINTR, which nobody sees; those that serve the call find out when they want to answer
 *   (request_take()), and undo. Calls in a queue are looked at as well, because those
 *   before them may wait for the end of the same client. A release that takes longer than
 *   WATCH_RELEASE_MS is answered, too: its close() is let go on, the work is finished later.
 *
 *   A thread number in a request cannot be handed out anew before the answer.
 *
 *   A restart without loss (replay.h). A channel can be that of a process before, whose file
 *   and greeting were kept (*adopted*): its session is told the greeting again, and the answer
 *   goes nowhere. Nothing is read until channel_resume(), which has the kernel send again what
 *   was not answered. Until the first request that is new has come, one thread reads at a time,
 *   so that it is known which ones came again.
 */
#ifndef TRANSPORT_SERVER_H
#define TRANSPORT_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <util/list.h>

#define SERVER_THREADS_MAX 512u	/* that have a channel; each channel may always have one */
#define LANE_THREADS 16u	/* calls of one user that are served at a time */
#define READERS_PARKED_MAX 4u	/* threads without a channel that are kept for the next */
#define CHANNEL_IDLE_MAX 3u	/* readers that a wary channel keeps: an answer overlaps the next call */
#define CHANNEL_WARY_MS 1000u
#define CHANNEL_AWAKE_US 50u	/* that the reader of several clients waits awake for the next call */
#define CHANNEL_DATA_MAX (128u * 1024)	/* bytes of data in a request: 32 pages */
#define WATCH_STALL_MS 20u
#define WATCH_LOOK_MS 5u	/* between two looks, while there are calls */
#define WATCH_RELEASE_MS 1000u

struct server;
struct channel;
struct fuse_custom_io;
struct fuse_session;
struct fuse_req;
struct iovec;
struct keep;

/* Return: 0, -ENOMEM, -EAGAIN (no thread).  Locks: none. */
int server_new(struct server **ret);
/* As on a machine with one CPU, or not; before channels are made. For tests. */
void server_lone_readers(struct server *server, bool on);
/* All channels must be closed. NULL is allowed. */
void server_free(struct server *server);

/*
 * Requests and their effects outlive the process; before channels are made.
 * @keep: borrowed. NULL: as if it was not called
 * Return: 0; -ENOMEM; -EBADMSG of answers of a process before.
 */
int server_keep(struct server *server, struct keep *keep);

/*
 * The end of a process whose successor goes on: no more requests are taken, and those at work
 * may be answered until @ms milliseconds have passed. Those that wait in a queue are not. After
 * return, readers may still be at work on what takes longer; whatever they answer counts. The
 * program is to end soon, without freeing anything.
 */
void server_leave(struct server *server, unsigned ms);

/* Files, as libfuse is to use them; for fuse_session_custom_io(). */
extern const struct fuse_custom_io channel_io;
ssize_t channel_writev(int fd, struct iovec *iov, int count, void *userdata);

/* Sees a request before libfuse does, and may change it. By the thread that serves it. */
typedef void channel_look_fn(void *arg, void *bytes, size_t size);

#define GREETING_MAX 256u
/* The request that a session begins with. */
struct greeting {
	size_t size;			/* 0: there is none */
	unsigned char bytes[GREETING_MAX];
};

#define CHANNEL_DEVFS UINT32_MAX	/* the id of that of device files; nodes have their minor's */

struct channel_params {
	struct fuse_session *session;
	int fd;			/* /dev/cuse or /dev/fuse; owned by the session, which is owned
				 * by the channel from success on */
	uint32_t id;		/* in records; no other channel's */
	bool cuse;		/* the kernel tells by an error on the file that it did not take
				 * the answer to the greeting */
	bool adopt;		/* see above: the greeting is in @greeting */
	struct greeting *greeting;	/* else it is copied there; NULL: nowhere */
	channel_look_fn *look;	/* for each request, the greeting is the first; NULL is allowed */
	void *look_arg;
};

/*
 * channel_new - serve a session.
 * The greeting is there or on its way, unless it is adopted.
 * Return: 0, with the greeting answered; -ENOMEM; -EAGAIN; -EADDRINUSE the name or number
 * of a CUSE device is taken; -errno of reading the greeting; -EBADMSG one that is adopted.
 */
int channel_new(struct server *server, const struct channel_params *params,
		struct channel **ret);
/*
 * Begin to read an adopted channel, with what the process before has left.
 * Return: 0; -EINVAL the kernel cannot send it again (before Linux 6.9), and nothing is read;
 * -EAGAIN (no thread); -errno of writing.  Locks: takes the server's.
 */
int channel_resume(struct channel *channel);
/*
 * No more requests are taken. Waits until those at work are answered, at most
 * WATCH_RELEASE_MS, and closes the file: later calls of clients fail with ENOTCONN.
 * Return: 0; -EBUSY a call is stalled: the file is closed as well, but what the stalled
 * thread uses stays for ever, and its answer goes nowhere.
 * NULL is allowed.
 */
int channel_free(struct channel *channel);

/* A request at work; on the stack of the thread that serves it. */
struct request {
	struct list item;		/* server->lock */
	struct fuse_req *fuse;		/* NULL: it comes again, and its answer is known: */
	struct channel *channel;
	uint64_t unique;
	struct server *server;
	struct channel *served_by;	/* whose reader serves it; NULL: not one of ours */
	bool slow;			/* server->lock; a look of the watch has seen it */
	pid_t tid;			/* 0: a client of another pid namespace */
	bool release;
	uid_t uid;			/* fsuid and fsgid, in the initial namespace */
	gid_t gid;
	uint64_t seen;			/* server->lock; by the first look of the watch, monotonic
					 * nanoseconds; 0: by none. Most calls need no clock */
	atomic_bool taken;		/* it is answered, or about to be */
};

/* In an operation of a session: begin to serve. @release: whoever it was closes; the
 * watch goes by the time. */
void request_begin(struct request *request, struct server *server, struct fuse_req *fuse,
		   bool release);
/* Return: true: the caller answers it; false: it has been answered. Once true. */
bool request_take(struct request *request);
/* Has the caller gone? Then its number means nothing. */
bool request_is_gone(const struct request *request);
/* Take, and answer with an errno (positive, 0: success). */
void request_error(struct request *request, int err);
/* After the answer. */
void request_end(struct request *request);

/* The calling thread, if it serves, is about to wait for another process: its channel gets
 * another reader now. Locks: takes the server's. */
void server_will_wait(void);

/* Does a stalled thread of a channel that was closed still use it? */
bool server_is_busy(struct server *server);

/* Requests at work that have waited for longer than WATCH_STALL_MS, for tests. */
unsigned server_stalled(struct server *server);
/* Channels that are wary, for tests. */
unsigned server_wary(struct server *server);
/* Requests that wait for their turn, for tests. */
unsigned server_queued(struct server *server);

#endif
