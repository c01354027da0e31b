/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <core/device.h>
#include <core/group.h>
#include <transport/backing.h>
#include <transport/thread.h>
#include <transport/trap_internal.h>
#include <util/cleanup.h>
#include <vfio-cused/log.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS	SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

/* A receiver spins this long for the next call, if the last one came that soon. */
#define SPIN_NS			40000ull
#define NUMBER_REUSE_NS		1000000ull
/* The watcher goes to sleep after this many looks without a call. */
#define WATCHER_IDLE_LOOKS	20

_Static_assert(sizeof(struct seccomp_notif) == 80, "layout of seccomp_notif");
_Static_assert(sizeof(struct seccomp_notif_resp) == 24, "layout of seccomp_notif_resp");

/* ---- one call ---- */

/* Not asked of the kernel while a thread number cannot have been handed out anew: even
 * where there are only some hundred numbers, a round of them takes longer than that. */
bool trap_valid(const struct trap_call *call)
{
	__u64 id = call->req->id;

	if (thread_now_ns() - call->received < NUMBER_REUSE_NS)
		return true;
	return ioctl(call->trap->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

int trap_give_fd(const struct trap_call *call, int fd, bool cloexec)
{
	struct seccomp_notif_addfd add = {
		.id = call->req->id,
		.srcfd = (__u32)fd,
		.newfd_flags = cloexec ? O_CLOEXEC : 0,
	};
	int r = ioctl(call->trap->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);

	if (r < 0)
		r = -errno;
	/* Not with ADDFD_FLAG_SEND: the client could close its copy and open again while
	 * ours is still there. Only a fatal signal comes in between. */
	close(fd);
	return r;
}

static void dispatch(struct trap_call *call)
{
	const struct seccomp_data *data = &call->req->data;

	if (data->arch != TRAP_ARCH) {
		trap_ioctl(call);	/* the only call that is notified */
		return;
	}
	switch (data->nr) {
	case SYS_pread64:
		trap_rw(call, false, false, false);
		break;
	case SYS_pwrite64:
		trap_rw(call, true, false, false);
		break;
	case SYS_ioctl:
		trap_ioctl(call);
		break;
	case SYS_preadv:
		trap_rw(call, false, true, false);
		break;
	case SYS_pwritev:
		trap_rw(call, true, true, false);
		break;
	case SYS_preadv2:
		trap_rw(call, false, true, true);
		break;
	case SYS_pwritev2:
		trap_rw(call, true, true, true);
		break;
	case SYS_mmap:
		trap_mmap(call);
		break;
	case SYS_openat:
		trap_open(call, (int)data->args[0], data->args[1], (int)data->args[2]);
		break;
#ifdef SYS_open
	case SYS_open:
		trap_open(call, AT_FDCWD, data->args[0], (int)data->args[1]);
		break;
#endif
	default:
		trap_continue(call);
		break;
	}
}

static void serve(struct trap *trap, const struct seccomp_notif *req)
{
	struct trap_call call = { .trap = trap, .req = req, .resp = { .id = req->id },
				  .received = thread_now_ns() };

	dispatch(&call);
	if (ioctl(trap->listener, SECCOMP_IOCTL_NOTIF_SEND, &call.resp) && errno != ENOENT)
		cused_log(CUSED_LOG_ERROR, "trap", "cannot answer a call: %s",
			  strerror(errno));
}

/* ---- receivers ---- */

static short listener_poll(const struct trap *trap)
{
	struct pollfd p = { .fd = trap->listener, .events = POLLIN };

	return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

/* Return: true as soon as there is something to receive. */
static bool spin(struct trap *trap, uint64_t until)
{
	do {
		if (listener_poll(trap))
			return true;
	} while (thread_now_ns() < until &&
		 !atomic_load_explicit(&trap->stop, memory_order_relaxed));
	return false;
}

/* Return: 0; -EAGAIN nothing, try again; -EPIPE no client is left. */
static int receive(struct trap *trap, struct seccomp_notif *req)
{
	memset(req, 0, sizeof(*req));
	if (ioctl(trap->listener, SECCOMP_IOCTL_NOTIF_RECV, req) == 0)
		return 0;
	/* EINTR: we are to stop. ENOENT: the client was killed before we had it, or there
	 * is no client any more. */
	if (errno == ENOENT && (listener_poll(trap) & POLLHUP))
		return -EPIPE;
	return -EAGAIN;
}

static void watcher_wake(struct trap *trap)
{
	pthread_mutex_lock(&trap->lock);
	atomic_store(&trap->watcher_sleeps, false);
	pthread_cond_broadcast(&trap->changed);
	pthread_mutex_unlock(&trap->lock);
}

/* Serve until the role is lost or there is nothing more to serve. */
static void receiver_loop(struct trap *trap, int self)
{
	struct seccomp_notif req;
	uint64_t last = 0;
	bool hot = false;

	while (atomic_load(&trap->receiver) == self && !atomic_load(&trap->stop)) {
		int r;

		if (hot && trap->may_spin)
			hot = spin(trap, last + SPIN_NS);
		r = receive(trap, &req);
		if (r == -EPIPE) {
			atomic_store(&trap->stop, true);
			watcher_wake(trap);
			return;
		}
		if (r)
			continue;
		atomic_fetch_add(&trap->calls, 1);
		atomic_store(&trap->busy, true);
		if (atomic_load(&trap->watcher_sleeps))
			watcher_wake(trap);
		serve(trap, &req);
		/* Once the role is lost, busy is the new receiver's. */
		if (atomic_load(&trap->receiver) == self)
			atomic_store(&trap->busy, false);
		if (trap->may_spin) {
			uint64_t t = thread_now_ns();

			hot = t - last < 2 * SPIN_NS;
			last = t;
		}
	}
}

/* Wait with the lock held. @ms 0: until something changes. */
static void wait_changed(struct trap *trap, unsigned ms)
{
	struct timespec t;

	if (ms == 0) {
		pthread_cond_wait(&trap->changed, &trap->lock);
		return;
	}
	t = thread_deadline(CLOCK_MONOTONIC, ms);
	pthread_cond_timedwait(&trap->changed, &trap->lock, &t);
}

/* Watch until the receiver is stalled or it is time to stop. Called with the lock. */
static void watcher_loop(struct trap *trap)
{
	unsigned long seen = 0;
	unsigned idle = 0;

	while (!atomic_load(&trap->stop)) {
		unsigned long calls = atomic_load(&trap->calls);
		bool busy = atomic_load(&trap->busy);

		if (busy && calls == seen)
			return;
		idle = calls == seen ? idle + 1 : 0;
		seen = calls;
		if (idle < WATCHER_IDLE_LOOKS) {
			wait_changed(trap, RECEIVER_STALL_MS);
			continue;
		}
		atomic_store(&trap->watcher_sleeps, true);
		while (atomic_load(&trap->watcher_sleeps) && !atomic_load(&trap->busy) &&
		       !atomic_load(&trap->stop))
			wait_changed(trap, 0);
		atomic_store(&trap->watcher_sleeps, false);
		idle = 0;
	}
}

static void *receiver_main(void *arg)
{
	struct trap *trap = arg;
	int self = 0;

	pthread_mutex_lock(&trap->lock);
	while (!pthread_equal(trap->threads[self], pthread_self()))
		self++;
	while (!atomic_load(&trap->stop)) {
		if (atomic_load(&trap->receiver) == NOBODY) {
			atomic_store(&trap->busy, false);
			atomic_store(&trap->receiver, self);
			pthread_mutex_unlock(&trap->lock);
			receiver_loop(trap, self);
			pthread_mutex_lock(&trap->lock);
		} else if (trap->watcher == NOBODY) {
			trap->watcher = self;
			watcher_loop(trap);
			trap->watcher = NOBODY;
			if (!atomic_load(&trap->stop)) {
				cused_log(CUSED_LOG_DEBUG, "trap",
					  "a call takes long; another thread receives");
				atomic_store(&trap->receiver, NOBODY);
				pthread_cond_broadcast(&trap->changed);
			}
		} else {
			wait_changed(trap, 0);
		}
	}
	pthread_mutex_unlock(&trap->lock);
	return NULL;
}

/* ---- start and stop ---- */

struct start {
	struct trap *trap;
	int directory;
	struct cused_error *err;
};

static int open_node_file(const struct start *start, const char *name)
{
	int fd = openat(start->directory, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? cused_error_set(start->err, -errno, "cannot open /dev/vfio/%s of the "
					"client: %s", name, strerror(errno)) : fd;
}

static int add_group(struct group *group, void *arg)
{
	const struct start *start = arg;
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "%s%u",
		 group_kind(group) == GROUP_NOIOMMU ? "noiommu-" : "", group_id(group));
	fd = open_node_file(start, name);
	return fd < 0 ? fd : handles_add_group(start->trap->handles, fd, group);
}

static int add_device(struct trap *trap, const struct backing *backing,
		      struct device *device)
{
	char path[64];
	int fd;

	/* A description of our own, so that its locks are not a client's. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", backing_fd(backing));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return handles_add_device(trap->handles, fd, device, backing_number(backing));
}

static int add_nodes(struct trap *trap, const struct trap_params *params,
		     struct cused_error *err)
{
	struct start start = { trap, params->directory, err };
	int fd = open_node_file(&start, "vfio");
	int r = fd < 0 ? fd : handles_add_container(trap->handles, fd);

	if (r == 0)
		r = topology_each_group(trap->topology, add_group, &start);
	for (size_t i = 0; r == 0 && i < params->n_devices; i++)
		r = add_device(trap, params->devices[i].backing, params->devices[i].device);
	return r;
}

static int start_receivers(struct trap *trap)
{
	int r = 0;

	pthread_mutex_lock(&trap->lock);
	while (r == 0 && trap->n_threads < TRAP_RECEIVERS) {
		r = thread_start(&trap->threads[trap->n_threads], 0, false, receiver_main,
				 trap);
		if (r == 0)
			trap->n_threads++;
	}
	pthread_mutex_unlock(&trap->lock);
	return r;
}

static void trap_init(struct trap *trap, const struct trap_params *params)
{
	cpu_set_t cpus;

	trap->listener = params->listener;
	trap->topology = params->topology;
	pthread_mutex_init(&trap->adopt_lock, NULL);
	pthread_mutex_init(&trap->lock, NULL);
	thread_cond_init(&trap->changed);
	atomic_init(&trap->receiver, NOBODY);
	trap->watcher = NOBODY;
	trap->may_spin = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 &&
			 CPU_COUNT(&cpus) > 1;
	/* Linux 6.6: wake the other side on the same CPU, as it is about to sleep. */
	if (!trap->may_spin)
		ioctl(trap->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
		      SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}

int trap_start(const struct trap_params *params, struct trap **ret,
	       struct cused_error *err)
{
	struct trap *trap = calloc(1, sizeof(*trap));
	int r;

	if (!trap) {
		close(params->listener);
		return cused_error_set(err, -ENOMEM, "out of memory");
	}
	cused_error_set(err, 0, "cannot serve clients");
	trap_init(trap, params);
	r = handles_new(&trap->handles);
	if (!r)
		r = clients_new(&trap->clients);
	if (!r)
		r = client_events_new(&trap->events);
	if (!r)
		r = add_nodes(trap, params, err);
	if (!r)
		r = start_receivers(trap);
	if (r) {
		trap_stop(trap);
		return r;
	}
	*ret = trap;
	return 0;
}

/* A signal that comes before the wait is lost, so it is repeated.
 * Return: did all threads end? */
static bool stop_receivers(struct trap *trap)
{
	uint64_t until = thread_now_ns() + TRAP_STOP_MS * 1000000ull;

	thread_interruptible();
	atomic_store(&trap->stop, true);
	watcher_wake(trap);
	for (unsigned i = 0; i < trap->n_threads; i++) {
		struct timespec deadline;

		do {
			if (thread_now_ns() > until)
				return false;
			pthread_kill(trap->threads[i], SIGURG);
			deadline = thread_deadline(CLOCK_REALTIME, 2);
		} while (pthread_timedjoin_np(trap->threads[i], NULL, &deadline));
	}
	return true;
}

int trap_stop(struct trap *trap)
{
	if (!trap)
		return 0;
	if (!stop_receivers(trap))
		return -EBUSY;
	close(trap->listener);
	handles_free(trap->handles);
	clients_free(trap->clients);
	client_events_free(trap->events);
	pthread_cond_destroy(&trap->changed);
	pthread_mutex_destroy(&trap->lock);
	pthread_mutex_destroy(&trap->adopt_lock);
	free(trap);
	return 0;
}

unsigned long trap_calls(const struct trap *trap)
{
	return atomic_load(&trap->calls);
}

int trap_files(struct trap *trap, struct open_notes *ret)
{
	return handles_files(trap->handles, ret);
}
