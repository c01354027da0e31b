/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/service_call.c - an ioctl of a client of the service, from its number to its
 * answer.
 *
 * Two ways of copying. *Direct*: by process_vm_readv and _writev, while the client waits.
 * *Retry*: the kernel copies, on request. A request for a retry names ranges to read and
 * to write, and the call comes again, from the start, with the bytes of the former; the
 * bytes to write go back with the answer. As the call is decoded anew each time, ranges are
 * asked for in the same order, and each round gets as far as what it was brought. Before
 * it acts, it needs room for its answer: all the argument (call.span), which is read as
 * well, so that what the answer leaves out stays as it was.
 */
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fuse_lowlevel.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <transport/call_log.h>
#include <transport/client_mm.h>
#include <transport/replay.h>
#include <transport/service_abi.h>
#include <transport/service_internal.h>
#include <util/cleanup.h>
#include <util/log.h>

#define RANGES_MAX 8		/* the fixed part, a tail, the answer; pages of a string */
#define PAGE_BYTES 4096u
#define HOST_TAKE_TRIES 8u
#define SETTLE_GROUPS_MAX 256u	/* whose devices are being closed at the same time */

_Static_assert(CALL_OUT_MAX <= REPLAY_OUTS_MAX, "an answer takes all pieces");

struct service_call {
	struct service_ioctl *ioctl;
	struct service_lender lender;
	struct client_thread *thread;	/* NULL: not needed, or not to be had */
	uint64_t place;			/* of SERVICE_IOC_DEVICE_PLACE, else 0 */
	struct open_file **held;	/* parallel to call.fds */
	size_t n_held;
	struct container *swapped;	/* that one of them stands for; or NULL */

	/* retry */
	bool retry;
	unsigned n_ranges;
	size_t used;			/* of ioctl->in */
	char *image;			/* the first span bytes of the argument */

	/* Large, and set up where they are used: what is before them is cleared for each call. */
	struct iovec ranges[RANGES_MAX];
	struct call call;		/* by call_init() */
};

/* ---- who calls ---- */

int service_caller(struct service *service, const struct request *request,
		   struct client_thread **ret_thread, struct caller *ret)
{
	int r;

	*ret = (struct caller){ 0 };
	/* 0: of a pid namespace that is not below ours. */
	r = request->tid ? client_get(service->clients, request->tid, true, ret_thread) :
			   -ESRCH;
	if (r == 0) {
		r = client_caller(service->clients, *ret_thread, ret);
		if (r)
			client_put(steal_ptr(*ret_thread));
	}
	if (!ret->mm)
		ret->mm = client_mm_none();
	return r;
}

void service_who(const struct request *request, const struct client_thread *thread,
		 struct client_who *ret)
{
	if (thread) {
		client_who_of(client_thread_tgid(thread), request->uid, ret);
		return;
	}
	client_who(request->tid, ret);
	ret->uid = request->uid;
}

static void tell_memory(struct service_call *c)
{
	struct log_about about = { .pid = c->ioctl->request->tid };

	if (!atomic_exchange(&c->ioctl->service->told_memory, true))
		log_about(&about, CUSED_LOG_WARNING, "service", "the memory of process %d may "
			  "not be looked at: its calls are slower, and devices cannot reach it; "
			  "give the service CAP_SYS_PTRACE, and see to "
			  "/proc/sys/kernel/yama/ptrace_scope (at most 2)", (int)about.pid);
}

/* Of ours: nothing about the client. */
static bool is_shortage(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

static void tell_shortage(struct service_call *c, int r)
{
	if (!atomic_exchange(&c->ioctl->service->told_shortage, true))
		cused_log(CUSED_LOG_WARNING, "service", "a call of process %d failed because the "
			  "service itself was short: %s; raise its limit of open files "
			  "(RLIMIT_NOFILE, LimitNOFILE= of its unit)",
			  (int)c->ioctl->request->tid, strerror(-r));
}

/* ---- copies ---- */

enum copied { COPIED, COPY_FAULT, COPY_LATER };

/* Retry: bytes that were brought, or a wish for them. */
static enum copied range_take(struct service_call *c, uint64_t addr, void *buf, size_t len)
{
	struct service_ioctl *ioctl = c->ioctl;

	if (c->n_ranges == RANGES_MAX || len > CHANNEL_DATA_MAX)
		return COPY_FAULT;
	c->ranges[c->n_ranges++] = (struct iovec){ (void *)(uintptr_t)addr, len };
	if (len > ioctl->in_size - c->used)
		return COPY_LATER;
	memcpy(buf, (const char *)ioctl->in + c->used, len);
	c->used += len;
	return COPIED;
}

static enum copied fetch(struct service_call *c)
{
	struct call *call = &c->call;
	int r;

	if (c->retry)
		return range_take(c, call->fetch_addr, call->fetch_buf, call->fetch_len);
	r = client_read(c->ioctl->request->tid, call->fetch_addr, call->fetch_buf,
			call->fetch_len);
	if (r != -EPERM || !c->ioctl->may_retry) {
		if (r == -EPERM)
			tell_memory(c);
		return r ? COPY_FAULT : COPIED;
	}
	tell_memory(c);
	c->retry = true;
	return fetch(c);
}

/* Page by page, as what lies behind the NUL need not be there. */
static enum copied fetch_str(struct service_call *c)
{
	struct call *call = &c->call;
	char *buf = call->fetch_buf;

	if (!c->retry)
		call->fetched = client_read_str(c->ioctl->request->tid, call->fetch_addr, buf,
						call->fetch_len);
	/* Refused, or a bad address? */
	if (!c->retry && call->fetched == 0 && c->ioctl->may_retry &&
	    client_read(c->ioctl->request->tid, call->fetch_addr, buf, 1) == -EPERM) {
		tell_memory(c);
		c->retry = true;
	}
	if (!c->retry)
		return memchr(buf, '\0', call->fetched) || call->fetched == call->fetch_len ?
			       COPIED : COPY_FAULT;
	while (call->fetched < call->fetch_len) {
		uint64_t addr = call->fetch_addr + call->fetched;
		size_t len = PAGE_BYTES - (size_t)(addr % PAGE_BYTES);
		enum copied r;

		if (len > call->fetch_len - call->fetched)
			len = call->fetch_len - call->fetched;
		r = range_take(c, addr, buf + call->fetched, len);
		if (r != COPIED)
			return r;
		call->fetched += len;
		if (memchr(buf + call->fetched - len, '\0', len))
			break;
	}
	return COPIED;
}

/* What is asked for of room that the answer may fill; more than the kernel copies is not:
 * no answer is that long. */
static size_t room_wanted(const struct service_call *c)
{
	size_t max = CHANNEL_DATA_MAX - PAGE_BYTES;

	return c->call.span < max ? c->call.span : max;
}

/*
 * Retry: is there room for the answer? The client may have changed its argument since the
 * round that asked for it. All the room that there is goes back, so it is filled with
 * what the client has there, even if by now the answer takes less.
 */
static enum copied room(struct service_call *c)
{
	size_t wanted = room_wanted(c), there = c->ioctl->out_size;
	size_t size = there > wanted ? there : wanted;

	if (!c->retry || size == 0)
		return COPIED;
	c->image = malloc(size);
	if (!c->image)
		return COPY_FAULT;
	if (there < wanted) {
		range_take(c, c->call.arg, c->image, size);
		return COPY_LATER;
	}
	return range_take(c, c->call.arg, c->image, size);
}

static void ask_again(struct service_call *c)
{
	struct iovec out = { (void *)(uintptr_t)c->call.arg, room_wanted(c) };
	bool with_out = c->image != NULL;

	if (request_take(c->ioctl->request))
		fuse_reply_ioctl_retry(c->ioctl->request->fuse, c->ranges, c->n_ranges,
				       &out, with_out);
}

/* ---- fds ---- */

static void held_put(struct service_call *c)
{
	for (size_t i = 0; i < c->n_held; i++)
		open_file_unuse(c->held[i]);
	free(c->held);
	c->held = NULL;
	c->n_held = 0;
	container_put(steal_ptr(c->swapped));
}

static void looks_begin(struct service *service, struct look *looks, struct agent_fd *fds,
			size_t n)
{
	pthread_mutex_lock(&service->lock);
	for (size_t i = 0; i < n; i++) {
		looks[i].cookie = fds[i].cookie;
		list_push_back(&service->looks, &looks[i].item);
	}
	pthread_mutex_unlock(&service->lock);
}

static void looks_end(struct service *service, struct look *looks, size_t n)
{
	pthread_mutex_lock(&service->lock);
	for (size_t i = 0; i < n; i++)
		list_remove(&looks[i].item);
	pthread_mutex_unlock(&service->lock);
}

static void fd_found(struct service_call *c, struct call_fd *fd, struct agent_fd *answer,
		     const struct look *look)
{
	struct service *service = c->ioctl->service;

	fd->err = answer->err;
	if (fd->err)
		return;
	if (fd->want_event && answer->event >= 0) {
		if (client_event_new(service->events, steal_fd(&answer->event),
				     &fd->event) == -ENOMEM)
			fd->err = -ENOMEM;
	} else if (!fd->want_event && look->found) {
		fd->object = look->found->object;
	} else if (!fd->want_event && answer->iommu >= 0 && !c->swapped) {
		/* CG-069. One is enough: no call takes several containers. */
		c->swapped = container_of_file(service->topology, answer->iommu);
		if (c->swapped)
			fd->object = (struct object){ .kind = OBJECT_CONTAINER,
						      .container = c->swapped };
	}
}

/* Return: 0; -EIO, -ENOMEM, -EMFILE. */
static int fetch_fds(struct service_call *c)
{
	struct service *service = c->ioctl->service;
	struct call *call = &c->call;
	size_t n = call->n_fds;
	cleanup_free struct agent_fd *fds = calloc(n + 1, sizeof(*fds));
	cleanup_free struct look *looks = calloc(n + 1, sizeof(*looks));
	int r = 0;

	held_put(c);
	c->held = calloc(n + 1, sizeof(*c->held));
	if (!fds || !looks || !c->held)
		return -ENOMEM;
	c->n_held = n;
	for (size_t i = 0; i < n; i++) {
		call->fds[i].err = 0;
		call->fds[i].event = NULL;
		call->fds[i].object.kind = OBJECT_NONE;
		fds[i] = (struct agent_fd){ .fd = call->fds[i].fd, .event = -1, .iommu = -1 };
		if (getrandom(&fds[i].cookie, sizeof(fds[i].cookie), 0) !=
		    sizeof(fds[i].cookie))
			return -EIO;
	}
	looks_begin(service, looks, fds, n);
	server_will_wait();
	r = agent_look(service->agent, c->ioctl->request->tid, service->major, service->iommu,
		       fds, n);
	looks_end(service, looks, n);
	for (size_t i = 0; i < n; i++) {
		c->held[i] = looks[i].found;
		if (r == 0)
			fd_found(c, &call->fds[i], &fds[i], &looks[i]);
		if (fds[i].event >= 0)
			close(fds[i].event);
		if (fds[i].iommu >= 0)
			close(fds[i].iommu);
	}
	return r;
}

/* ---- a new device fd ---- */

/* By the courier, who makes the client's number its result. */
static void grant_fd(struct service_ioctl *ioctl, const struct client_thread *thread,
		     struct device_file *file)
{
	struct service *service = ioctl->service;
	uint8_t token[SERVICE_TOKEN_SIZE];
	struct client_who who;
	int r;

	service_who(ioctl->request, thread, &who);
	r = devfs_grant(service->devfs, file, ioctl->access, &who, token);
	if (r) {
		device_file_release(file);
		request_error(ioctl->request, -r);
		return;
	}
	/* The courier comes for the file before the answer. */
	replay_note(token, sizeof(token));
	server_will_wait();
	r = service->params.courier && ioctl->request->tid ?
		agent_deliver(service->agent, ioctl->request->tid, token, service_armed,
			      ioctl->request) : -EPERM;
	if (r >= 0) {
		devfs_delivered(service->devfs, token);
		return;
	}
	devfs_revoke(service->devfs, token);
	if (r == -EPERM)
		service_tell_courier(ioctl, r);
	request_error(ioctl->request, -r);
}

/* Whoever has the device's file has it twice then. Return: as agent_deliver(). */
static int deliver_copy(struct service_ioctl *ioctl, struct device_file *file)
{
	struct service *service = ioctl->service;
	pid_t from;
	dev_t node;

	if (!host_files_find(service->host_files, device_file_device(file), &from, &node))
		return -EBUSY;
	return agent_deliver_copy(service->agent, ioctl->request->tid, from, node, service_armed,
				  ioctl->request);
}

/* What goes wrong closes the file, and so the device is released like after any other last
 * close. Return: as agent_deliver(); @file is the table's then. */
static int deliver_host(struct service_ioctl *ioctl, int fd, uint64_t id)
{
	struct service *service = ioctl->service;
	int r = agent_deliver_file(service->agent, ioctl->request->tid, fd, service_armed,
				   ioctl->request);

	host_files_delivered(service->host_files, id);
	return r;
}

/* The kernel's own file of a device of the machine. */
static void grant_host(struct service_ioctl *ioctl, struct device_file *file)
{
	struct service *service = ioctl->service;
	const struct group *group = device_group(device_file_device(file));
	struct device_file *ours = file;
	intptr_t fd = -1;
	uint64_t id;
	int r = service->params.courier && ioctl->request->tid ? -EBUSY : -EPERM;

	server_will_wait();
	/* It may be closed while we look who has it. */
	for (unsigned i = 0; r == -EBUSY && i < HOST_TAKE_TRIES; i++) {
		r = device_take_file(file, &fd);
		if (r == -EBUSY)
			r = deliver_copy(ioctl, file);
		if (r == -EBUSY)
			host_files_settle(service->host_files, group);
	}
	if (fd >= 0 && r == 0) {
		r = host_files_add(service->host_files, file, (int)fd, ioctl->request->tid, &id);
		if (r)
			close((int)fd);
		else
			ours = NULL;
		if (r == 0)
			r = deliver_host(ioctl, (int)fd, id);
	}
	if (ours)
		device_file_release(ours);
	if (r >= 0)
		return;
	if (r == -EPERM)
		service_tell_courier(ioctl, r);
	host_files_settle(service->host_files, group);
	request_error(ioctl->request, -r);
}

/* There is no token for a file of the kernel's: exec lets the client's own call go on. */
static void refuse_token(struct service_ioctl *ioctl, struct device_file *file)
{
	device_file_release(file);
	request_error(ioctl->request, ENOTTY);
}

/* Return: 0; -errno, the device is released by whoever it belongs to by then. */
static int put_token(struct service_ioctl *ioctl, struct device_file *file,
		     const struct client_who *who)
{
	struct service_device_token out;
	uint64_t at = ioctl->arg + offsetof(struct service_device_token, token);
	struct iovec local = { out.token, sizeof(out.token) };
	struct iovec remote = { (void *)(uintptr_t)at, sizeof(out.token) };
	int r = devfs_grant(ioctl->service->devfs, file, ioctl->access, who, out.token);

	if (r) {
		device_file_release(file);
		return r;
	}
	replay_answer(0, &local, &remote, 1);
	r = client_writev(ioctl->request->tid, &local, &remote, 1);
	if (r)
		devfs_revoke(ioctl->service->devfs, out.token);
	return r;
}

static int put_place(struct service_ioctl *ioctl, struct device_file *file,
		     const struct client_who *who, uint64_t place)
{
	int r = devfs_grant_place(ioctl->service->devfs, file, ioctl->access, who, place);

	if (r)
		device_file_release(file);
	return r;
}

/* By a token or in a place, for exec; the device is released again if nobody comes for it. */
static void grant_token(const struct service_call *c, struct device_file *file)
{
	struct service_ioctl *ioctl = c->ioctl;
	struct client_who who;
	int r = agent_ensure(ioctl->service->agent);

	service_who(ioctl->request, c->thread, &who);
	if (r)
		device_file_release(file);
	else if (c->place)
		r = put_place(ioctl, file, &who, c->place);
	else
		r = put_token(ioctl, file, &who);
	if (r)
		request_error(ioctl->request, -r);
	else if (request_take(ioctl->request))
		fuse_reply_ioctl(ioctl->request->fuse, 0, NULL, 0);
}

/* ---- the call ---- */

/* Retry: the kernel will copy the image. Return: 0, -EFAULT. */
static int write_image(struct service_call *c)
{
	for (unsigned i = 0; i < c->call.n_out; i++) {
		const struct call_out *out = &c->call.out[i];
		uint64_t at = out->addr - c->call.arg;

		if (!c->image || at + out->len > c->ioctl->out_size)
			return -EFAULT;
		memcpy(c->image + at, out->buf, out->len);
	}
	return 0;
}

/* Return: 0, -EFAULT. */
static int write_pieces(const struct service_call *c, const struct iovec *local,
			const struct iovec *remote, size_t n)
{
	if (n == 0)
		return 0;
	if (request_is_gone(c->ioctl->request))
		return -EFAULT;
	return client_writev(c->ioctl->request->tid, local, remote, n) ? -EFAULT : 0;
}

/*
 * Return: 0, -EFAULT. The answer of a call that had an effect is recorded first, but for what is
 * large: that is written before, and again if it comes to that.
 */
static int write_out(struct service_call *c)
{
	struct iovec local[CALL_OUT_MAX], remote[CALL_OUT_MAX];
	const struct call *call = &c->call;
	bool effect = replay_is_effect();
	size_t n = 0;

	if (c->retry)
		return write_image(c);
	for (unsigned i = 0; i < call->n_out; i++) {
		const struct call_out *out = &call->out[i];

		local[n] = (struct iovec){ (void *)(uintptr_t)out->buf, out->len };
		remote[n] = (struct iovec){ (void *)(uintptr_t)out->addr, out->len };
		if (!effect || out->len <= REPLAY_OUT_MAX)
			n++;
		else if (write_pieces(c, &local[n], &remote[n], 1))
			return -EFAULT;
	}
	if (effect && n && !call->grant)
		replay_answer((int32_t)call->result, local, remote, n);
	return write_pieces(c, local, remote, n);
}

/* Decode and run. Return: true: c->call.result is the result. */
static bool steps(struct service_call *c)
{
	struct call *call = &c->call;

	for (;;) {
		enum copied copied = COPIED;
		int r = 0;

		switch (call_step(call)) {
		case CALL_FETCH:
			copied = fetch(c);
			break;
		case CALL_FETCH_STR:
			copied = fetch_str(c);
			break;
		case CALL_FETCH_FDS:
			r = fetch_fds(c);
			break;
		case CALL_READY:
			copied = room(c);
			break;
		case CALL_DONE:
			return true;
		}
		if (request_is_gone(c->ioctl->request))
			r = -EINTR;
		if (copied == COPY_LATER) {
			ask_again(c);
			return false;
		}
		if (r) {
			call->result = r;
			return true;
		}
		call->fault = copied == COPY_FAULT;
	}
}

static void give(const struct service_call *c, struct device_file *grant, bool by_token)
{
	struct service_ioctl *ioctl = c->ioctl;
	bool is_host = device_is_host(device_file_device(grant));

	if (is_host && by_token)
		refuse_token(ioctl, grant);
	else if (is_host)
		grant_host(ioctl, grant);
	else if (by_token)
		grant_token(c, grant);
	else
		grant_fd(ioctl, c->thread, grant);
}

static void run(struct service_call *c, bool by_token)
{
	struct service_ioctl *ioctl = c->ioctl;
	struct device_file *grant = NULL;
	int64_t result;
	bool done;

	c->call.hold = true;
	done = steps(c);
	result = c->call.result;
	if (done && write_out(c))	/* some errors come with an answer, too: PCI-115 */
		result = -EFAULT;
	if (done && result >= 0)
		grant = steal_ptr(c->call.grant);
	if (done)
		call_log(ioctl->request->tid, ioctl->object, c->call.cmd, result);
	/* All that the call holds is given back before it is answered. */
	call_done(&c->call);
	held_put(c);
	if (c->lender.lending)
		service_lend_end(&c->lender, (int)result);
	else if (!done)
		;
	else if (grant)
		give(c, grant, by_token);
	else if (request_take(ioctl->request))
		fuse_reply_ioctl(ioctl->request->fuse, (int)result, c->image,
				 c->image ? ioctl->out_size : 0);
	free(c->image);
}

/* Closes of devices decide about their groups, and about containers that these leave with
 * their last device (CG-125). Those of strangers are not waited for. */
static void settle(const struct service_ioctl *ioctl)
{
	struct devfs *devfs = ioctl->service->devfs;
	const struct group *groups[SETTLE_GROUPS_MAX];
	unsigned n;

	if (ioctl->object.kind == OBJECT_GROUP) {
		devfs_settle(devfs, ioctl->object.group);
		host_files_settle(ioctl->service->host_files, ioctl->object.group);
	}
	if (ioctl->object.kind != OBJECT_CONTAINER)
		return;
	n = devfs_unsettled(devfs, groups, SETTLE_GROUPS_MAX);
	for (unsigned i = 0; i < n; i++) {
		if (container_has_group(ioctl->object.container, groups[i]))
			devfs_settle(devfs, groups[i]);
	}
	n = host_files_unsettled(ioctl->service->host_files, groups, SETTLE_GROUPS_MAX);
	for (unsigned i = 0; i < n; i++) {
		if (container_has_group(ioctl->object.container, groups[i]))
			host_files_settle(ioctl->service->host_files, groups[i]);
	}
}

/* A courier of the process before did not come to the answer: what it was to bring is void. */
static void revoke_before(const struct service_ioctl *ioctl)
{
	uint8_t token[SERVICE_TOKEN_SIZE];

	if (replay_noted(token, sizeof(token)) == sizeof(token))
		devfs_revoke(ioctl->service->devfs, token);
}

/* The arguments of exec's two commands. @ret_name: address of the name. Return: 0, -EFAULT,
 * -EINVAL. */
static int read_token_arg(struct service_call *c, uint64_t *ret_name)
{
	bool in_place = c->ioctl->cmd == SERVICE_IOC_DEVICE_PLACE;
	struct service_device_place arg = { 0 };

	/* The name is the first of both. */
	if (client_read(c->ioctl->request->tid, c->ioctl->arg, &arg,
			in_place ? sizeof(arg) : sizeof(arg.name)))
		return -EFAULT;
	if (in_place && (arg.place == 0 || arg.place > SERVICE_PLACE_MAX))
		return -EINVAL;
	*ret_name = arg.name;
	c->place = arg.place;
	return 0;
}

static void call_ioctl(struct service_ioctl *ioctl)
{
	struct service_call c;
	bool by_token = (ioctl->cmd == SERVICE_IOC_DEVICE_TOKEN ||
			 ioctl->cmd == SERVICE_IOC_DEVICE_PLACE) &&
			ioctl->object.kind == OBJECT_GROUP;
	unsigned cmd = by_token ? VFIO_GROUP_GET_DEVICE_FD : ioctl->cmd;
	struct caller caller = { 0 };
	uint64_t arg = ioctl->arg;
	int r;

	memset(&c, 0, offsetof(struct service_call, ranges));
	c.ioctl = ioctl;
	c.retry = ioctl->service->params.retry && ioctl->may_retry;
	/* The way was chosen at the first round; who has no number can only be so reached. */
	if (ioctl->in_size || (ioctl->request->tid == 0 && ioctl->may_retry))
		c.retry = true;
	revoke_before(ioctl);
	settle(ioctl);
	if (call_needs_caller(ioctl->object.kind, cmd)) {
		r = service_caller(ioctl->service, ioctl->request, &c.thread, &caller);

		if (is_shortage(r)) {
			tell_shortage(&c, r);
			request_error(ioctl->request, -r);
			return;
		}
		if (r)
			tell_memory(&c);
	}
	r = by_token ? read_token_arg(&c, &arg) : 0;
	if (r) {
		request_error(ioctl->request, -r);
		client_put(c.thread);
		return;
	}
	if (c.thread) {
		c.lender = service_lender(ioctl, caller.mm);
		caller.lender = &c.lender.lender;
	}
	call_init(&c.call, ioctl->object, cmd, arg, &caller);
	run(&c, by_token);
	client_put(c.thread);
}

void service_ioctl(struct service_ioctl *ioctl)
{
	struct request *request = ioctl->request;
	int32_t result;

	/* A courier of the process before has the thread, and did not hear what it is to return. */
	if (ioctl->cmd != SERVICE_IOC_LENT || !ioctl->file ||
	    !replay_ask(request->tid, ioctl->arg, &result))
		call_ioctl(ioctl);
	else if (request_take(request))
		fuse_reply_ioctl(request->fuse, 1 - result, NULL, 0);
}
