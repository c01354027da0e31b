/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * util/keep.h - records that outlive the process, in a memfd that somebody else holds, too.
 *
 * Theory of operation
 *
 *   What a service has to know after it was killed stands in records: a kind, a number, bytes. A
 *   record is put when what it tells of has changed, and dropped with it. The memfd is a log of
 *   both; the last word on a record counts. When most of the log is of no interest any more, what
 *   is left is written anew, behind or before it, and one store makes that the log.
 *
 *   A process can be killed at any instruction, and what it has stored by then is in the file. So
 *   records are written first, and made part of the log by a store of its end.
 *
 *   Batches. All that a thread puts and drops between keep_begin() and keep_end() becomes part of
 *   the log at once, or not at all: the effect of a client's call, and the answer to it. They nest;
 *   the outermost counts. Batches of several threads end in any order, and then the word that was
 *   said last counts, not that of the batch that ended last. So keep_put() is called under the lock
 *   that guards what it tells of.
 *
 *   Numbers are never used twice for one kind, unless what they stand for is the same.
 *
 *   Out of room or memory, a store is *broken*: nobody can rely on it any more, and whoever opens
 *   it is told.
 *
 *   A keep of NULL keeps nothing: all functions return at once.
 *
 *   Locks: one inside, the innermost of all. Writes of the log cost no system call.
 */
#ifndef UTIL_KEEP_H
#define UTIL_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <util/list.h>

/* The file's size; memory is taken as far as it is written. A third of it is for records that
 * count, as what is written anew stands beside the log; those that never change may take more. */
#define KEEP_SIZE_MAX (1ull << 30)
/* Of one record. */
#define KEEP_RECORD_MAX (1u << 20)
/* Of the format, the kinds and what records of them hold: files of another one are refused. */
#define KEEP_VERSION 3u

/* Whose record it is; the struct is where it is put. */
enum keep_kind {
	KEEP_SERVICE = 1,	/* program: what is configured for good, one record */
	KEEP_CONF_DEVICE,	/* program: a device's words; its number is device_params.keep_id */
	KEEP_CONTAINER,		/* core, by container_id() */
	KEEP_GROUP,		/* core, by number and kind of the group */
	KEEP_MAPPING,		/* core, by a number of its own */
	KEEP_DEVICE,		/* core, by keep_id */
	KEEP_IRQ,		/* core, by keep_id */
	KEEP_CONFIG,		/* core: configuration space, by keep_id */
	KEEP_TIMERS,		/* core: a model's, by keep_id */
	KEEP_IOEVENTFD,		/* core, by a number of its own */
	KEEP_MODEL,		/* core, of a model's: keep_id << 16 | the model's own number */
	KEEP_MM,		/* transport, by mm.keep_id */
	KEEP_EVENT,		/* transport, by event.keep_id */
	KEEP_NODE,		/* transport, by minor */
	KEEP_OPEN_FILE,		/* transport, by file handle */
	KEEP_DEVFS,		/* transport, one record */
	KEEP_DEVICE_FILE,	/* transport, by inode */
	KEEP_ANSWER,		/* transport, by the thread that served */
	KEEP_IOMMU_FILE,	/* transport, by the number of backend_files */
	KEEP_HOST_PROBE,	/* transport, by a number of its own */
	KEEP_HOST_FILE,		/* transport, by that number */
	KEEP_KINDS
};

struct keep;

/* A new, empty one. Return: 0, -ENOMEM, -errno of memfd_create(). */
int keep_new(struct keep **ret);
/*
 * That of a process which has ended.
 * @memfd: owned from now on, on success
 * Return: 0; -ESTALE of another version, or broken; -EBADMSG it is none; -ENOMEM; -errno.
 */
int keep_open(int memfd, struct keep **ret);
void keep_free(struct keep *keep);	/* NULL is allowed; the file stays for who has it */
int keep_fd(const struct keep *keep);	/* borrowed; -1 of NULL */

/* A batch; on the stack. */
struct keep_batch {
	struct keep *keep;
	struct keep_batch *outer;	/* of the same keep; then the rest is not used */
	struct keep_batch *before;	/* of this thread and another keep */
	struct list item;		/* of the keep, by age, when something was said */
	uint64_t first;			/* when that was */
	unsigned char *bytes;		/* records */
	size_t size, room;
	bool flushed;			/* had some before, too */
	_Alignas(8) unsigned char some[512];
};
void keep_begin(struct keep *keep, struct keep_batch *ret);
/* Was anything put or dropped in it, or the one that it is in? Also if it was flushed. */
bool keep_is_changed(const struct keep_batch *batch);
void keep_end(struct keep_batch *batch);
/* What was said so far in the batch that the thread is in, the outermost, becomes part of the log;
 * what follows is another. Without a batch there is nothing to do. */
void keep_flush(struct keep *keep);

/* Outside of a batch, each is one. @size: at most KEEP_RECORD_MAX */
void keep_put(struct keep *keep, enum keep_kind kind, uint64_t id, const void *data, size_t size);
void keep_drop(struct keep *keep, enum keep_kind kind, uint64_t id);
/* Part of the log at once, whatever batch the thread is in: for what batches of other threads, which
 * may end sooner, refer to. */
void keep_put_now(struct keep *keep, enum keep_kind kind, uint64_t id, const void *data,
		  size_t size);

/* Not to be relied on any more, from now on. */
void keep_break(struct keep *keep);
bool keep_is_broken(const struct keep *keep);

/*
 * Read back: records of @kind by their numbers, lowest first, until @fn returns other than 0, which
 * is returned. @fn may put and drop. Records of a batch that has not ended are not among them.
 * Return: 0; -ENOMEM; of @fn.
 */
typedef int keep_fn(void *arg, uint64_t id, const void *data, size_t size);
int keep_each(struct keep *keep, enum keep_kind kind, keep_fn *fn, void *arg);
/* One record. Return: its size, of which at most @size bytes are copied; -ENOENT. */
long keep_get(struct keep *keep, enum keep_kind kind, uint64_t id, void *buf, size_t size);

/* For tests and benches: bytes of the log, and of the records that count. */
void keep_usage(struct keep *keep, uint64_t *ret_log, uint64_t *ret_live);

#endif
