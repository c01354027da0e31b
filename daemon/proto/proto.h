/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * proto/proto.h - decoding of ioctls: a pure function between a transport and the core.
 *
 * Theory of operation
 *
 *   A transport that was called with (object, cmd, arg) sets up a struct call and runs
 *   call_step() until it says CALL_DONE:
 *
 *     CALL_FETCH       copy fetch_len bytes from client address fetch_addr to fetch_buf,
 *                      then step again; on a fault set fault and step again.
 *     CALL_FETCH_STR   the same, but stop after a NUL byte; fetch_len is the most. The
 *                      bytes up to the end of a readable page count as fetched: set
 *                      fetched to how many there are; fault only if not even the bytes
 *                      up to the NUL (or the limit) are readable.
 *     CALL_FETCH_FDS   look up the n_fds client fd numbers in fds[].fd, fill the rest of
 *                      each entry, then step again.
 *     CALL_READY       only if hold was set: all that the call reads is there, and nothing
 *                      was done yet. All that will be written lies in the first span bytes
 *                      of the argument. Step again, or give the call up by call_done().
 *     CALL_DONE        result is the ioctl's return value (>= 0) or -errno. First copy
 *                      out[0 … n_out-1] to the client in order; if that faults the answer
 *                      is -EFAULT instead. Then, if grant is set, make a new fd of it
 *                      (close-on-exec); if there is none to be had, release it and answer
 *                      that errno.
 *
 *   Then call_done() frees what the call holds. The same function runs behind seccomp
 *   notification, behind CUSE, under a unit test and under a fuzzer: it does no I/O,
 *   except that GET_BITMAP data goes through caller.mm directly (up to 256 MiB).
 *
 *   Commands are rows of ioctls.def, selected by object and, for containers, by the IOMMU
 *   driver in force. The fixed part is fetched first (CG-001), then argsz is judged
 *   (CG-002), then the tail which argsz or a count announces.
 */
#ifndef PROTO_PROTO_H
#define PROTO_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <core/caller.h>
#include <core/container.h>
#include <core/device.h>
#include <core/event.h>
#include <core/group.h>

struct call_row;

enum object_kind { OBJECT_NONE, OBJECT_CONTAINER, OBJECT_GROUP, OBJECT_DEVICE };

struct object {
	enum object_kind kind;
	union {
		struct container *container;
		struct group *group;
		struct device_file *device;
	};
};

/* A client fd number and what the transport found behind it. References are borrowed
 * from the transport until call_done(), except event, which call_done() drops. */
struct call_fd {
	int fd;			/* in */
	bool want_event;	/* in: an eventfd is expected, make a struct event of it */
	int err;		/* -EBADF: not open; 0 otherwise, also for foreign files */
	struct object object;	/* ours, or OBJECT_NONE */
	struct event *event;	/* an eventfd, if want_event; owned by the call */
};

enum call_want { CALL_FETCH, CALL_FETCH_STR, CALL_FETCH_FDS, CALL_READY, CALL_DONE };

struct call_out {
	uint64_t addr;
	const void *buf;
	size_t len;
};

#define CALL_INLINE 256		/* bytes of argument kept inside the call */
#define CALL_OUT_MAX 3

struct call {
	/* set by the transport before the first step */
	struct object object;
	unsigned cmd;
	uint64_t arg;
	struct caller caller;
	bool hold;			/* may be set after call_init(): stop at CALL_READY */

	/* requests */
	uint64_t fetch_addr;
	void *fetch_buf;
	size_t fetch_len;
	size_t fetched;			/* CALL_FETCH_STR */
	bool fault;			/* answer to CALL_FETCH, CALL_FETCH_STR */
	struct call_fd *fds;
	size_t n_fds;
	uint32_t span;			/* at CALL_READY; bytes */

	/* the answer */
	int64_t result;
	struct call_out out[CALL_OUT_MAX];
	unsigned n_out;
	struct device_file *grant;

	/* proto's own */
	const struct call_row *row;
	unsigned stage;
	uint8_t *tail;			/* what was fetched beyond the fixed part */
	size_t tail_len;
	size_t room_used;		/* of room[] */
	void *heap[3];			/* freed by call_done() */
	_Alignas(8) uint8_t in[CALL_INLINE];	/* the fixed part, and small tails */
	_Alignas(8) uint8_t room[CALL_INLINE];	/* small replies and arrays */
};

/* Does it matter who makes this call? To find out takes some system calls; if not, the
 * caller may be all zero. No locks. */
bool call_needs_caller(enum object_kind kind, unsigned cmd);
/* "VFIO_GROUP_GET_STATUS"; NULL: there is no such call on this kind of object. No locks. */
const char *call_name(enum object_kind kind, unsigned cmd);
/* Prepare; only object, cmd, arg and caller are read. No allocation. */
void call_init(struct call *call, struct object object, unsigned cmd, uint64_t arg,
	       const struct caller *caller);
/* One step. Locks: none held by the caller. Never blocks on a client. */
enum call_want call_step(struct call *call);
/* Free; a grant that was not taken (grant still set) is released. */
void call_done(struct call *call);

#endif
