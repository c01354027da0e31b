/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/client.h - a client process in miniature: memory, a table of fds, and ioctl().
 * It stands where a transport stands, and does for call_step() what proto.h asks for.
 */
#ifndef UNIT_CLIENT_H
#define UNIT_CLIENT_H

#include <proto/proto.h>
#include <unit/fake_event.h>
#include <unit/paged_mm.h>

#define CLIENT_FDS 64
#define CLIENT_PAGES 64

/* An open file; the copies of its fd share it (CG-130). */
struct client_file {
	atomic_uint refs;
	struct object object;		/* OBJECT_NONE: an eventfd, or a file of another kind */
	struct fake_eventfd *eventfd;
};

struct client {
	struct paged_mm memory;
	struct caller caller;
	struct client_file *fds[CLIENT_FDS];	/* 0 … 2 are taken */
	unsigned copies_until_fault;	/* copies to the client that still work; 0: all */
	unsigned heap_used;		/* pieces of heap that the last call took */
	unsigned steps;			/* of the last call */
	uint32_t span;			/* at its CALL_READY */
	bool ready;			/* it came to CALL_READY */
	bool hold, give_up;		/* stop calls at CALL_READY; and give them up there */
	bool no_room;			/* calls find no room within them, as large ones do */
	bool beyond_span;		/* an answer lay outside of what CALL_READY said */
	void (*between)(struct client *c);	/* called before each fetch */
};

static inline void client_init(struct client *c)
{
	memset(c, 0, sizeof(*c));
	paged_mm_init(&c->memory, CLIENT_PAGES);
	c->caller = (struct caller){ .mm = &c->memory.mm, .memlock_limit = UINT64_MAX };
}

/* ---- fds ---- */

static inline int client_install(struct client *c, struct object object,
				 struct fake_eventfd *eventfd)
{
	struct client_file *file = calloc(1, sizeof(*file));

	if (!file)
		return -ENOMEM;
	atomic_init(&file->refs, 1);
	file->object = object;
	file->eventfd = eventfd;
	for (int fd = 3; fd < CLIENT_FDS; fd++) {
		if (!c->fds[fd]) {
			c->fds[fd] = file;
			return fd;
		}
	}
	free(file);
	return -EMFILE;
}

static inline struct client_file *client_file(struct client *c, int fd)
{
	return fd >= 0 && fd < CLIENT_FDS ? c->fds[fd] : NULL;
}

static inline void client_file_put(struct client_file *file)
{
	if (atomic_fetch_sub(&file->refs, 1) != 1)
		return;
	if (file->object.kind == OBJECT_CONTAINER)
		container_release(file->object.container);
	else if (file->object.kind == OBJECT_GROUP)
		group_release(file->object.group);
	else if (file->object.kind == OBJECT_DEVICE)
		device_file_release(file->object.device);
	fake_eventfd_unref(file->eventfd);
	free(file);
}

static inline int client_close(struct client *c, int fd)
{
	struct client_file *file = client_file(c, fd);

	if (!file)
		return -EBADF;
	c->fds[fd] = NULL;
	client_file_put(file);
	return 0;
}

static inline int client_dup(struct client *c, int fd)
{
	struct client_file *file = client_file(c, fd);

	if (!file)
		return -EBADF;
	for (int to = 3; to < CLIENT_FDS; to++) {
		if (!c->fds[to]) {
			atomic_fetch_add(&file->refs, 1);
			c->fds[to] = file;
			return to;
		}
	}
	return -EMFILE;
}

/* All fds are closed, lowest first, and the memory goes. Return: true if nothing holds a
 * reference to the memory any more. */
static inline bool client_exit(struct client *c)
{
	for (int fd = 0; fd < CLIENT_FDS; fd++)
		client_close(c, fd);
	return paged_mm_done(&c->memory);
}

static inline int client_open_container(struct client *c, struct topology *topology)
{
	struct object object = { .kind = OBJECT_CONTAINER };
	int r = container_open(topology, &object.container);

	if (r)
		return r;
	r = client_install(c, object, NULL);
	if (r < 0)
		container_release(object.container);
	return r;
}

static inline int client_open_group(struct client *c, struct group *group)
{
	struct object object = { .kind = OBJECT_GROUP, .group = group };
	int r = group_open(group, &c->caller);

	if (r)
		return r;
	r = client_install(c, object, NULL);
	if (r < 0)
		group_release(group);
	return r;
}

static inline int client_eventfd(struct client *c)
{
	struct fake_eventfd *eventfd = fake_eventfd_new();
	int fd;

	if (!eventfd)
		return -ENOMEM;
	fd = client_install(c, (struct object){ 0 }, eventfd);
	if (fd < 0)
		fake_eventfd_unref(eventfd);
	return fd;
}

/* A file that is nothing of ours and no eventfd. */
static inline int client_other_file(struct client *c)
{
	return client_install(c, (struct object){ 0 }, NULL);
}

static inline void client_pump(struct client *c)
{
	for (int fd = 0; fd < CLIENT_FDS; fd++) {
		if (c->fds[fd] && c->fds[fd]->eventfd)
			fake_eventfd_pump(c->fds[fd]->eventfd);
	}
}

static inline void client_signal(struct client *c, int fd)
{
	atomic_fetch_add(&c->fds[fd]->eventfd->count, 1);
	client_pump(c);
}

/* read() of an eventfd: the count, which becomes 0. */
static inline uint64_t client_drain(struct client *c, int fd)
{
	return atomic_exchange(&c->fds[fd]->eventfd->count, 0);
}

/* ---- memory ---- */

/* Address of page @n of the client. */
static inline uint64_t client_page(unsigned n)
{
	return PAGED_MM_BASE + (uint64_t)n * PAGED_MM_PAGE;
}

/* Our view of client memory, whatever its rights. */
static inline void *client_at(struct client *c, uint64_t addr)
{
	return c->memory.bytes + (addr - c->memory.base);
}

/* ---- ioctl ---- */

static inline void client_fetch(struct client *c, struct call *call)
{
	uint64_t reach = paged_mm_reach(&c->memory, call->fetch_addr, call->fetch_len, 1);

	call->fault = reach < call->fetch_len;
	if (!call->fault)
		memcpy(call->fetch_buf, client_at(c, call->fetch_addr), call->fetch_len);
}

static inline void client_fetch_str(struct client *c, struct call *call)
{
	uint64_t reach = paged_mm_reach(&c->memory, call->fetch_addr, call->fetch_len, 1);

	if (reach)
		memcpy(call->fetch_buf, client_at(c, call->fetch_addr), reach);
	call->fetched = reach;
	call->fault = reach < call->fetch_len && !memchr(call->fetch_buf, 0, reach);
}

static inline void client_fetch_fds(struct client *c, struct call *call)
{
	for (size_t i = 0; i < call->n_fds; i++) {
		struct call_fd *fd = &call->fds[i];
		struct client_file *file = client_file(c, fd->fd);

		if (!file) {
			fd->err = -EBADF;
			continue;
		}
		fd->object = file->object;
		if (fd->want_event && file->eventfd) {
			fd->event = fake_event_new(file->eventfd);
			if (!fd->event)
				fd->err = -ENOMEM;
		}
	}
}

static inline int client_copy_out(struct client *c, const struct call *call)
{
	for (unsigned i = 0; i < call->n_out; i++) {
		const struct call_out *out = &call->out[i];
		struct iovec local = { (void *)(uintptr_t)out->buf, out->len };
		struct iovec remote = { (void *)(uintptr_t)out->addr, out->len };

		if (c->copies_until_fault && --c->copies_until_fault == 0)
			return -EFAULT;
		if (paged_mm_write(&c->memory.mm, &local, 1, &remote, 1))
			return -EFAULT;
	}
	return 0;
}

static inline int64_t client_finish(struct client *c, struct call *call)
{
	struct object object = { .kind = OBJECT_DEVICE, .device = call->grant };
	int fd;

	if (client_copy_out(c, call))
		return -EFAULT;
	if (!call->grant)
		return call->result;
	fd = client_install(c, object, NULL);
	if (fd >= 0)
		call->grant = NULL;
	return fd;
}

/* An ioctl on an object, whether the client has an fd of it or not. */
static inline int64_t client_call(struct client *c, struct object object, unsigned cmd,
				  uint64_t arg)
{
	struct call call;
	enum call_want want;
	int64_t result;

	c->steps = 0;
	c->ready = false;
	call_init(&call, object, cmd, arg, &c->caller);
	call.hold = c->hold;
	call.room_used = c->no_room ? sizeof(call.room) : 0;
	while ((want = call_step(&call)) != CALL_DONE) {
		c->steps++;
		if (c->between)
			c->between(c);
		if (want == CALL_FETCH)
			client_fetch(c, &call);
		else if (want == CALL_FETCH_STR)
			client_fetch_str(c, &call);
		else if (want == CALL_FETCH_FDS)
			client_fetch_fds(c, &call);
		if (want != CALL_READY)
			continue;
		c->ready = true;
		c->span = call.span;
		if (c->give_up)
			break;
	}
	for (unsigned i = 0; call.hold && want == CALL_DONE && i < call.n_out; i++)
		c->beyond_span |= call.out[i].addr - call.arg + call.out[i].len > call.span;
	result = want == CALL_DONE ? client_finish(c, &call) : -EINTR;
	c->heap_used = 0;
	for (unsigned i = 0; i < sizeof(call.heap) / sizeof(call.heap[0]); i++)
		c->heap_used += call.heap[i] != NULL;
	call_done(&call);
	client_pump(c);
	return result;
}

static inline int64_t client_ioctl(struct client *c, int fd, unsigned cmd, uint64_t arg)
{
	struct client_file *file = client_file(c, fd);

	if (!file)
		return -EBADF;
	if (file->object.kind == OBJECT_NONE)
		return -ENOTTY;
	return client_call(c, file->object, cmd, arg);
}

/* The argument of an ioctl is copied to client memory first, and back afterwards. */
static inline int64_t client_ioctl_struct(struct client *c, int fd, unsigned cmd, void *arg,
					  size_t len)
{
	uint64_t addr = client_page(0);
	int64_t r;

	memcpy(client_at(c, addr), arg, len);
	r = client_ioctl(c, fd, cmd, addr);
	memcpy(arg, client_at(c, addr), len);
	return r;
}

#endif
