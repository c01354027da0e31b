/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * proto/call.h - a row of ioctls.def, and what the row's functions work with. For the
 * files of proto alone.
 *
 * Theory of operation
 *
 *   call_step() takes each call through the same stages and asks the row at each:
 *
 *     start ─ ready? ─ fixed part ─ argsz, flags ─ tail? ─ fds? ─ run ─ done
 *
 *   ready, tail and fds are optional. Each returns -errno, which ends the call; tail and
 *   fds return 1 after asking for something with call_want_…(), 0 if there is nothing to
 *   ask for. run returns the result of the ioctl, after call_reply() for what the client
 *   is to find in its memory.
 *
 *   All memory of a call comes from call_take() and is zeroed, so that no byte of ours
 *   reaches a client by accident.
 */
#ifndef PROTO_CALL_H
#define PROTO_CALL_H

#include <proto/proto.h>

#define CALL_STRING_MAX 4096	/* CG-088: one page, the NUL included */

struct call_row {
	const char *name;
	uint16_t min;			/* fixed part, bytes; 0: the argument is a value */
	bool argsz;			/* starts with argsz and flags: CG-002 */
	uint32_t flags;			/* those that are known */
	bool string;			/* the tail is a string */
	bool caller;			/* who calls matters */

	int (*ready)(struct call *call);
	int (*tail)(struct call *call);
	int (*fds)(struct call *call);
	int64_t (*run)(struct call *call);
};

/* Zeroed memory until call_done(); NULL if there is none. At most three large pieces. */
void *call_take(struct call *call, size_t size);

/* For tail: fetch @len bytes at @offset from the argument; they arrive at call->tail.
 * Return: 1, -ENOMEM. */
int call_want_tail(struct call *call, uint64_t offset, size_t len);
/* The same for a string at the argument. */
int call_want_string(struct call *call);
/* For fds: look up @n fd numbers; @events: as eventfds. Return: 1, -ENOMEM. */
int call_want_fds(struct call *call, const int32_t *fds, size_t n, bool events);

/* Copy @len bytes to @offset from the argument when the call is done. @buf lives in the
 * call or comes from call_take(). */
void call_reply(struct call *call, uint64_t offset, const void *buf, size_t len);

/* The i-th fd as the core takes it. @fd: the client's number; below 0 it was not looked
 * up. */
struct event_arg call_event_arg(const struct call *call, size_t i, int32_t fd);

/* ---- capability chains (T1-011, PCI-018, PCI-029) ---- */

struct reply_chain {
	uint8_t *buf;		/* of size bytes, or more */
	size_t size;		/* so far; multiple of 8 */
	size_t last;		/* of the newest header, from buf */
	uint32_t base;		/* where buf goes, from the start of the info struct */
};

/* Room for one capability of @size bytes, header included. */
size_t reply_cap_size(size_t size);
/* Append a capability. Return: its zeroed bytes with the header filled in. */
void *reply_cap_add(struct reply_chain *chain, uint16_t id, uint16_t version, size_t size);
/*
 * The chain goes to the client if @argsz has room for it, otherwise the size that it
 * needs (T1-004, T1-006).
 * @argsz, @cap_offset: members of the reply
 */
void reply_cap_put(struct call *call, const struct reply_chain *chain, uint32_t *argsz,
		   uint32_t *cap_offset);

/* ---- the functions that ioctls.def names ---- */

int64_t call_container_version(struct call *call);
int64_t call_container_extension(struct call *call);
int64_t call_container_set_iommu(struct call *call);

int64_t call_type1_info(struct call *call);
int64_t call_type1_map(struct call *call);
int call_type1_unmap_tail(struct call *call);
int64_t call_type1_unmap(struct call *call);
int call_type1_dirty_ready(struct call *call);
int call_type1_dirty_tail(struct call *call);
int64_t call_type1_dirty(struct call *call);

int64_t call_group_status(struct call *call);
int call_group_container_fds(struct call *call);
int64_t call_group_set_container(struct call *call);
int64_t call_group_unset_container(struct call *call);
int call_group_device_tail(struct call *call);
int64_t call_group_device(struct call *call);

int64_t call_device_info(struct call *call);
int64_t call_device_region(struct call *call);
int64_t call_device_irq_info(struct call *call);
int64_t call_device_reset(struct call *call);
int64_t call_device_reset_info(struct call *call);
int call_device_hot_reset_tail(struct call *call);
int call_device_hot_reset_fds(struct call *call);
int64_t call_device_hot_reset(struct call *call);
int call_device_bind_tail(struct call *call);
int64_t call_device_bind(struct call *call);

int call_event_irqs_tail(struct call *call);
int call_event_irqs_fds(struct call *call);
int64_t call_event_irqs(struct call *call);
int call_event_ioeventfd_fds(struct call *call);
int64_t call_event_ioeventfd(struct call *call);
int call_event_feature_tail(struct call *call);
int call_event_feature_fds(struct call *call);
int64_t call_event_feature(struct call *call);

#endif
