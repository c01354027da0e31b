/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/trap_ioctl.c - ioctls: from an fd number to an object, through proto, back. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <proto/proto.h>
#include <transport/call_log.h>
#include <transport/trap_internal.h>
#include <util/cleanup.h>
#include <vfio-cused/log.h>

/* ---- from fd to object ---- */

int trap_open_object(struct trap_call *call, struct client_thread *thread,
		     struct node *node, struct object *ret)
{
	struct caller caller;
	int r;

	ret->kind = node_kind(node);
	if (ret->kind == OBJECT_CONTAINER)
		return container_open(call->trap->topology, &ret->container);
	r = client_caller(call->trap->clients, thread, &caller);
	if (r)
		return r;
	ret->group = node_group(node);
	return group_open(ret->group, &caller);
}

void trap_release_object(struct object object)
{
	if (object.kind == OBJECT_CONTAINER)
		container_release(object.container);
	else if (object.kind == OBJECT_GROUP)
		group_release(object.group);
}

/* A description that was opened without us asks for the first time. */
static int adopt(struct trap_call *call, struct client_thread *thread, struct node *node,
		 int copy, struct handle **ret)
{
	struct trap *trap = call->trap;
	struct client_who who;
	struct object object;
	int r;

	/* A memfd that was opened anew through /proc, while the device is closed. */
	if (node_kind(node) == OBJECT_DEVICE)
		return -ENODEV;
	pthread_mutex_lock(&trap->adopt_lock);
	r = handle_find(trap->handles, node, copy, ret);
	if (r == -ENOENT) {
		r = trap_open_object(call, thread, node, &object);
		if (r == 0) {
			client_who((pid_t)call->req->pid, &who);
			r = handle_adopt(trap->handles, node, object, &who, copy, ret);
			if (r)
				trap_release_object(object);
		}
	}
	pthread_mutex_unlock(&trap->adopt_lock);
	return r;
}

int trap_find(struct trap_call *call, struct client_thread *thread, int fd,
	      struct handle **ret)
{
	struct handles *handles = call->trap->handles;
	struct node *node;
	struct stat st;
	int copy, r;

	copy = client_dup_fd(thread, fd);
	if (copy < 0)
		return copy;
	node = fstat(copy, &st) ? NULL : handles_node(handles, st.st_dev, st.st_ino);
	if (!node) {
		close(copy);
		return 1;
	}
	/* What a container or group answers depends on which files are still open. */
	if (node_kind(node) != OBJECT_DEVICE)
		handles_sync(handles);
	r = handle_find(handles, node, copy, ret);
	if (r == -ENOENT)
		r = adopt(call, thread, node, copy, ret);
	close(copy);
	return r;
}

int trap_find_caller(struct trap_call *call, int fd, struct client_thread **ret_thread,
		     struct handle **ret)
{
	pid_t tid = (pid_t)call->req->pid;
	int r = -ESRCH;

	/* A remembered thread may be an earlier one of that number: then once more. */
	for (unsigned verify = 0; verify < 2 && r == -ESRCH; verify++) {
		r = client_get(call->trap->clients, tid, verify, ret_thread);
		if (r)
			return r;
		r = trap_find(call, *ret_thread, fd, ret);
		if (r)
			client_put(*ret_thread);
	}
	return r;
}

/* ---- the steps of a call ---- */

struct held {
	struct handle **handles;	/* found by fetch_fds(), parallel to call.fds */
	size_t n;
};

static void held_put(struct held *held)
{
	for (size_t i = 0; i < held->n; i++)
		handle_put(held->handles[i]);
	free(held->handles);
	*held = (struct held){ 0 };
}

static void fetch_event(struct trap_call *call, struct client_thread *thread,
			struct call_fd *fd)
{
	int copy = client_dup_fd(thread, fd->fd);

	if (copy < 0) {
		fd->err = copy == -ESRCH ? -EBADF : copy;
		return;
	}
	if (client_event_new(call->trap->events, copy, &fd->event) == -ENOMEM)
		fd->err = -ENOMEM;
}

static void fetch_fds(struct trap_call *call, struct client_thread *thread,
		      struct call *c, struct held *held)
{
	held_put(held);
	held->handles = calloc(c->n_fds ? c->n_fds : 1, sizeof(*held->handles));
	held->n = held->handles ? c->n_fds : 0;
	for (size_t i = 0; i < c->n_fds; i++) {
		struct call_fd *fd = &c->fds[i];
		int r;

		fd->err = 0;
		fd->event = NULL;
		fd->object.kind = OBJECT_NONE;
		if (fd->fd < 0 || !held->handles) {
			fd->err = fd->fd < 0 ? -EBADF : -ENOMEM;
		} else if (fd->want_event) {
			fetch_event(call, thread, fd);
		} else {
			r = trap_find(call, thread, fd->fd, &held->handles[i]);
			if (r < 0)
				fd->err = r == -ESRCH ? -EBADF : r;
			else if (r == 0)
				fd->object = handle_object(held->handles[i]);
		}
	}
}

static void fetch_str(pid_t tid, struct call *c)
{
	const char *p = c->fetch_buf;

	c->fetched = client_read_str(tid, c->fetch_addr, c->fetch_buf, c->fetch_len);
	c->fault = true;
	for (size_t i = 0; i < c->fetched; i++) {
		if (p[i] == '\0')
			c->fault = false;
	}
	if (c->fetched == c->fetch_len)
		c->fault = false;
}

/* An open file of a device becomes an fd of the client. Return: its number or -errno. */
static int grant(struct trap_call *call, struct call *c)
{
	struct trap *trap = call->trap;
	struct object object = { .kind = OBJECT_DEVICE, .device = c->grant };
	struct node *node = handles_device_node(trap->handles, device_file_device(c->grant));
	struct client_who who;
	int fd, r;

	client_who((pid_t)call->req->pid, &who);
	r = node ? handle_new(trap->handles, node, -1, object, &who, &fd) : -ENODEV;
	if (r)
		return r;	/* call_done() releases the grant */
	c->grant = NULL;
	r = trap_give_fd(call, fd, true);	/* CG-102: close-on-exec */
	if (r < 0)
		handles_sync(trap->handles);	/* CG-092: gone before the answer is */
	return r;
}

static int64_t finish(struct trap_call *call, struct call *c)
{
	pid_t tid = (pid_t)call->req->pid;

	if ((c->n_out || c->grant) && !trap_valid(call))
		return -EINTR;
	for (unsigned i = 0; i < c->n_out; i++) {
		if (client_write(tid, c->out[i].addr, c->out[i].buf, c->out[i].len))
			return -EFAULT;
	}
	return c->grant ? grant(call, c) : c->result;
}

static int64_t run_call(struct trap_call *call, struct client_thread *thread,
			struct object object)
{
	pid_t tid = (pid_t)call->req->pid;
	const __u64 *args = call->req->data.args;
	struct held held = { 0 };
	struct caller caller = { 0 };
	struct call c;
	int64_t result;
	int r = 0;

	if (call_needs_caller(object.kind, (unsigned)args[1]))
		r = client_caller(call->trap->clients, thread, &caller);
	if (r)
		return r;
	call_init(&c, object, (unsigned)args[1], args[2], &caller);
	for (;;) {
		enum call_want want = call_step(&c);

		if (want == CALL_DONE)
			break;
		if (want == CALL_FETCH)
			c.fault = client_read(tid, c.fetch_addr, c.fetch_buf, c.fetch_len);
		else if (want == CALL_FETCH_STR)
			fetch_str(tid, &c);
		else
			fetch_fds(call, thread, &c, &held);
		if (!trap_valid(call)) {
			c.result = -EINTR;
			c.n_out = 0;
			break;
		}
	}
	result = finish(call, &c);
	call_done(&c);
	held_put(&held);
	return result;
}

/* A 32-bit client: its offsets end at 2^44, so it could not reach a device. */
static void refuse_32bit(struct trap_call *call)
{
	if (!atomic_exchange(&call->trap->told_32bit, true))
		cused_log(CUSED_LOG_ERROR, "trap",
			  "process %d is a 32-bit program; its VFIO calls fail with ENOTTY: "
			  "use a 64-bit build of it", (int)call->req->pid);
}

void trap_ioctl(struct trap_call *call)
{
	const struct seccomp_data *data = &call->req->data;
	struct client_thread *thread;
	struct handle *handle;
	int r;

	r = trap_find_caller(call, (int)data->args[0], &thread, &handle);
	if (r < 0 && r != -EBADF && r != -ESRCH) {
		trap_answer(call, r);
		return;
	}
	trap_continue(call);		/* another's ioctl, or none at all */
	if (r)
		return;
	if (data->arch == TRAP_ARCH) {
		int64_t result = run_call(call, thread, handle_object(handle));

		call_log((pid_t)call->req->pid, handle_object(handle), (unsigned)data->args[1],
			 result);
		handle_put(handle);
		trap_answer(call, result);
	} else {
		refuse_32bit(call);
		handle_put(handle);
	}
	client_put(thread);
}
