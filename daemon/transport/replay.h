/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/replay.h - requests that come again after a restart, and effects that happen once.
 *
 * Theory of operation
 *
 *   A process that is killed leaves requests that it has read and not answered. Whoever takes
 *   over asks the kernel for them (FUSE_NOTIFY_RESEND, Linux 6.9); they come with a mark in
 *   their number, before all that are new. Some had taken effect already:
 *
 *       batch of records opens ─ effect ─ answer becomes a record ─ batch counts ─
 *       bytes for the client's memory ─ reply
 *
 *   What an effect puts and drops (util/keep.h) and the answer are in one batch, so a request
 *   that comes again either has an answer, of which only the last two steps are repeated, or it
 *   has had no effect, and is served like any other. What changes no record is no effect. The
 *   server (server.c) opens and closes the batch of each request, and every reply goes through
 *   replay_reply(); handlers need none of this, but where they write to a client's memory
 *   themselves, or let others see an effect before the reply.
 *
 *   Answers are records by the number of a thread, which serves one request at a time: it
 *   overwrites an answer when that has been given. What the process before has left is kept
 *   until it was given, or until it is known that its request does not come.
 *
 *   A request whose caller is lent out (courier_lend.c) was answered by what nobody is to see, and
 *   the kernel does not send it again. It has an answer of its own kind, that the courier asks for
 *   if the process ends before it has told the courier; and if there is none, the call is made
 *   again. So what stands between the two processes and the courier is exact:
 *
 *       effect ─ replay_lent(): it and its answer count ─ the courier is told ─ replay_told()
 *
 *   Without records (a keep of NULL) nothing happens here. Which request it is about, is the
 *   one that the calling thread serves.
 *
 *   Locks: one of struct replays, innermost but for that of the records.
 */
#ifndef TRANSPORT_REPLAY_H
#define TRANSPORT_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <util/keep.h>

#define REPLAY_MARK (1ull << 63)	/* FUSE_UNIQUE_RESEND, in the number of a request */
#define REPLAY_OUTS_MAX 3u		/* pieces of client memory beside an answer */
/* Bytes of a piece. A longer one is written to the client before replay_answer(), so that it
 * is written again if it comes to that. */
#define REPLAY_OUT_MAX 4096u

struct replays;
struct old_answer;

/* ---- by the server ---- */

/*
 * @keep: borrowed; its answers are those of the process before. NULL: *ret is NULL, which all
 * functions take
 * Return: 0; -ENOMEM; -EBADMSG an answer that nobody wrote.
 */
int replays_new(struct keep *keep, struct replays **ret);
void replays_free(struct replays *replays);
/* Have the answers of @channel that its requests may come for. */
bool replays_wait(struct replays *replays, uint32_t channel);
/*
 * A request was read, and all that were before it in the channel's queue. One without a mark
 * tells that no other with a mark follows. Return: do more answers wait?
 */
bool replays_seen(struct replays *replays, uint32_t channel, uint64_t unique);
/* The calling thread serves no more: others may use its number. */
void replays_thread_end(struct replays *replays);

/* A request at work; on the stack of the thread that serves it. */
struct replay {
	struct replays *replays;
	uint32_t channel;
	uint64_t unique;		/* without the mark */
	bool again;
	bool lends;			/* no reply is its answer */
	struct old_answer *old;		/* of the process before; or NULL */
	struct keep_batch batch;
};

/* Return: true: there is an answer; of it, replay_outs() and replay_bytes() are to be repeated.
 * Either way replay_end() follows. */
bool replay_begin(struct replay *replay, struct replays *replays, uint32_t channel,
		  uint64_t unique);
void replay_end(struct replay *replay);
/* Pieces for the client's memory. Return: how many. Both borrow until replay_end(). */
size_t replay_outs(const struct replay *replay, struct iovec ret_local[REPLAY_OUTS_MAX],
		   struct iovec ret_remote[REPLAY_OUTS_MAX]);
/* The reply, with its header. Return: its size. */
size_t replay_bytes(const struct replay *replay, const void **ret);
/* The reply is about to be written: it and the effect count now. */
void replay_reply(const struct iovec *iov, int count);

/* ---- by handlers ---- */

/* Has the request changed records so far? */
bool replay_is_effect(void);
/* What it has done so far counts now, and without an answer: for what may be done again. */
void replay_commit(void);
/*
 * The answer to an ioctl that is about to be given, by writing to the client's memory and a
 * reply: it and the effect count now. Of no effect if there was none.
 * @local, @remote: @n pieces, at most REPLAY_OUTS_MAX, of REPLAY_OUT_MAX bytes at most
 */
void replay_answer(int32_t result, const struct iovec *local, const struct iovec *remote,
		   size_t n);
/* A word to whoever serves this request again, if it is not answered: what was done counts now,
 * and can be undone by it. It stays until the next of these functions, or the reply. */
void replay_note(const void *note, size_t size);
/* Was there one? Return: its size, of which @size bytes are copied; 0. */
size_t replay_noted(void *ret, size_t size);

/* ---- callers that are lent out ---- */

/* By which replay_ask() will find the answer. Return: 0: there are no records. */
uint64_t replay_number(void);
/* The caller of the request is lent out: what it is replied does not count. */
void replay_lend(void);
/* What it has done counts now, and @result is its answer, which replay_ask() gives. */
void replay_lent(pid_t tid, int32_t result);
/* Who has the caller knows that. */
void replay_told(void);
/* What did the process before answer to the @call of thread @tid? Return: false: it had no effect,
 * or this is known to be told. It is forgotten when the request that asks was replied to. */
bool replay_ask(pid_t tid, uint64_t call, int32_t *ret_result);

#endif
