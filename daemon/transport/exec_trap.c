/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <proto/call.h>
#include <transport/client.h>
#include <transport/exec_trap.h>
#include <transport/fd_message.h>
#include <transport/thread.h>
#include <util/cleanup.h>
#include <vfio-cused/log.h>

/* The answer is not ours to give: the call goes on to the file. No errno has this value. */
#define GO_ON INT64_MIN
/* It has been given, with a file. */
#define ANSWERED (INT64_MIN + 1)

_Static_assert(sizeof(struct service_device_token) == 24, "layout of service_device_token");

struct exec_trap {
	int listener;
	const char *socket;
	const struct exec_trap_node *node;
	struct clients *clients;
	pthread_t thread;
	atomic_bool stop;
	int root;			/* of the devices' files, or -1; the thread's own */
	uint64_t place;			/* drawn once; 0: none. The thread's own, as … */
	int folder;			/* … its folder; -1: files come by tokens, and … */
	bool place_tried;		/* … whether one has been looked for */
	bool told;			/* the agent's absence; the thread's own */
};

/* ---- the service's node ---- */

static bool is_character_device(const struct stat *st)
{
	return S_ISCHR(st->st_mode);
}

static int token_from_node(int group, const char *name, uint64_t place,
			   uint8_t ret_token[SERVICE_TOKEN_SIZE])
{
	struct service_device_token token = { .name = (uintptr_t)name };
	struct service_device_place in = { .name = (uintptr_t)name, .place = place };

	if (place)
		return ioctl(group, SERVICE_IOC_DEVICE_PLACE, &in) < 0 ? -errno : 0;

	if (ioctl(group, SERVICE_IOC_DEVICE_TOKEN, &token) < 0)
		return -errno;
	memcpy(ret_token, token.token, SERVICE_TOKEN_SIZE);
	return 0;
}

static const struct exec_trap_node service_node = {
	.may_be_group = is_character_device,
	.token = token_from_node,
};

/* ---- the agent ---- */

/* Return: a connection, or -errno. */
static int agent_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = EXEC_TRAP_AGENT_S };
	cleanup_close int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	return steal_fd(&fd);
}

/* Return: the root of the devices' files, or -errno. */
static int root_fetch(const char *path)
{
	cleanup_close int sock = agent_connect(path);
	struct agent_greeting greeting = { 0 };
	int fd = -1, n;
	size_t n_fds = 1;

	if (sock < 0)
		return sock;
	n = fd_message_receive(sock, &greeting, sizeof(greeting), &fd, &n_fds);
	if (n == sizeof(greeting) && greeting.version == AGENT_GREETING_VERSION && n_fds == 1)
		return fd;
	if (n > 0 && n_fds)
		close(fd);
	return n < 0 ? n : n == 0 ? -ECONNRESET : -EPROTO;
}

static void tell_agent_missing(struct exec_trap *trap, int code)
{
	if (trap->told)
		return;
	trap->told = true;
	cused_log(CUSED_LOG_ERROR, "exec", "a device was opened, but its file cannot be fetched "
		  "from the service's agent at %s: %s; start it (systemctl start vfio-cused), "
		  "or name its socket with --socket", trap->socket, strerror(-code));
}

/* Return: the folder of a place, or -errno. */
static int folder_open(const struct exec_trap *trap, uint64_t place)
{
	char name[SERVICE_PLACE_NAME_SIZE];
	int fd;

	snprintf(name, sizeof(name), "p%016" PRIx64, place);
	fd = openat(trap->root, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* Return: the device file that is in the place, or -errno: -ENOENT there is none; others, if
 * neither the kernel nor the service knows places. */
static int fetch(int folder)
{
	int fd = openat(folder, ".", O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

/* The descriptors are those of a service that has ended. */
static void root_forget(struct exec_trap *trap)
{
	close(steal_fd(&trap->root));
	if (trap->folder >= 0)
		close(steal_fd(&trap->folder));
}

/* Return: 0, -errno. */
static int root_ensure(struct exec_trap *trap)
{
	int r;

	if (trap->root >= 0)
		return 0;
	trap->root = root_fetch(trap->socket);
	if (trap->root < 0) {
		r = trap->root;
		trap->root = -1;
		return r;
	}
	if (!trap->place)
		return 0;
	trap->folder = folder_open(trap, trap->place);
	return trap->folder < 0 ? trap->folder : 0;
}

#define RESTART_PAUSE_MS 20

/* The same for a service whose node has just answered: a process of it that takes over opens its
 * socket soon. */
static int root_await(struct exec_trap *trap)
{
	uint64_t until = thread_now_ns() + EXEC_TRAP_RESTART_MS * 1000000ull;
	bool reset = false;

	for (;;) {
		int r = root_ensure(trap);

		/* One that has taken the connection, and ended, is gone the next time. */
		if (r != -ECONNREFUSED && (r != -ECONNRESET || reset))
			return r;
		reset = reset || r == -ECONNRESET;
		if (atomic_load(&trap->stop) || thread_now_ns() >= until)
			return r;
		poll(NULL, 0, RESTART_PAUSE_MS);
	}
}

/* From now on, if it can be, files come from a place. That is tried in another one. Whether there
 * is an agent at all is told by the first file. */
static void place_find(struct exec_trap *trap)
{
	uint64_t places[2];
	cleanup_close int other = -1;
	int folder;

	/* An agent that takes long takes long once. */
	trap->place_tried = true;
	if (root_ensure(trap))
		return;
	if (getrandom(places, sizeof(places), 0) != sizeof(places))
		return;
	places[0] = places[0] % SERVICE_PLACE_MAX + 1;
	other = folder_open(trap, places[1] % SERVICE_PLACE_MAX + 1);
	if (other < 0 || fetch(other) != -ENOENT)
		return;
	folder = folder_open(trap, places[0]);
	if (folder < 0)
		return;
	trap->place = places[0];
	trap->folder = folder;
}

/* @token: NULL: it is in our place. Return: the device file, or the errno for the client. */
static int redeem(struct exec_trap *trap, const uint8_t *token)
{
	char name[SERVICE_TOKEN_NAME_SIZE];
	int fd = -ENOTCONN, r;

	if (token)
		service_token_name(token, name);
	for (unsigned attempt = 0; attempt < 2 && fd == -ENOTCONN; attempt++) {
		r = root_await(trap);
		if (r) {
			if (!atomic_load(&trap->stop))
				tell_agent_missing(trap, r);
			return -EIO;
		}
		if (token) {
			fd = openat(trap->root, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
			if (fd < 0)
				fd = -errno;
		} else {
			fd = fetch(trap->folder);
		}
		if (fd == -ENOTCONN)
			root_forget(trap);
	}
	return fd;
}

/* ---- one call ---- */

static bool still_valid(const struct exec_trap *trap, __u64 id)
{
	return ioctl(trap->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/* Return: a copy of the client's fd, or -errno. */
static int copy_group(struct exec_trap *trap, pid_t tid, int fd)
{
	struct client_thread *thread;
	int r = -ESRCH;

	/* A remembered thread may be an earlier one of that number: then once more. */
	for (unsigned verify = 0; verify < 2 && r == -ESRCH; verify++) {
		r = client_get(trap->clients, tid, verify, &thread);
		if (r)
			return r;
		r = client_dup_fd(thread, fd);
		client_put(thread);
	}
	return r;
}

/* Return: 0 with a token, or the file in our place; GO_ON, or the errno for the client. */
static int64_t ask_node(struct exec_trap *trap, const struct seccomp_notif *req,
			uint8_t ret_token[SERVICE_TOKEN_SIZE])
{
	pid_t tid = (pid_t)req->pid;
	cleanup_close int group = copy_group(trap, tid, (int)req->data.args[0]);
	char name[CALL_STRING_MAX + 1];
	struct stat st;
	size_t n;
	int r;

	if (group < 0 || fstat(group, &st) || !trap->node->may_be_group(&st))
		return GO_ON;
	if (!trap->place_tried)
		place_find(trap);
	/* The service judges what is too long or not readable (CG-088). */
	n = client_read_str(tid, req->data.args[2], name, CALL_STRING_MAX);
	if (!still_valid(trap, req->id))
		return GO_ON;
	name[n] = '\0';
	r = trap->node->token(group, n == CALL_STRING_MAX || memchr(name, '\0', n) ?
			      name : NULL, trap->place, ret_token);
	return r == -ENOTTY ? GO_ON : r;
}

/* The file and the answer in one go, for which the client is woken once. Close-on-exec: CG-102.
 * Return: ANSWERED, or the errno for the client. */
static int64_t give_file(struct exec_trap *trap, __u64 id, int fd)
{
	struct seccomp_notif_addfd add = { .id = id, .flags = SECCOMP_ADDFD_FLAG_SEND,
					   .srcfd = (__u32)fd, .newfd_flags = O_CLOEXEC };
	int64_t r = ANSWERED;

	if (ioctl(trap->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0) {
		r = -errno;
		ioctl(fd, SERVICE_IOC_UNDELIVERED);
	}
	close(fd);
	return r;
}

static int64_t get_device(struct exec_trap *trap, const struct seccomp_notif *req)
{
	uint8_t token[SERVICE_TOKEN_SIZE];
	int64_t r = ask_node(trap, req, token);
	int fd;

	if (r)
		return r;
	fd = redeem(trap, trap->place ? NULL : token);
	return fd < 0 ? fd : give_file(trap, req->id, fd);
}

static void serve(struct exec_trap *trap, const struct seccomp_notif *req)
{
	struct seccomp_notif_resp resp = { .id = req->id };
	int64_t r = get_device(trap, req);

	if (r == ANSWERED)
		return;
	if (r == GO_ON)
		resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else
		resp.error = (int)r;
	if (ioctl(trap->listener, SECCOMP_IOCTL_NOTIF_SEND, &resp) && errno != ENOENT)
		cused_log(CUSED_LOG_ERROR, "exec", "cannot answer a call: %s",
			  strerror(errno));
}

/* ---- the thread ---- */

static void *serve_main(void *arg)
{
	struct exec_trap *trap = arg;
	struct pollfd p = { .fd = trap->listener, .events = POLLIN };

	while (!atomic_load(&trap->stop)) {
		struct seccomp_notif req = { 0 };

		if (poll(&p, 1, -1) < 0)
			continue;		/* SIGURG: perhaps we are to stop */
		if (p.revents & POLLIN) {
			/* ENOENT: the client was killed before we had it. */
			if (ioctl(trap->listener, SECCOMP_IOCTL_NOTIF_RECV, &req) == 0)
				serve(trap, &req);
		} else if (p.revents) {
			break;			/* nobody is under the filter any more */
		}
	}
	return NULL;
}

static void trap_free(struct exec_trap *trap)
{
	close(trap->listener);
	if (trap->root >= 0)
		root_forget(trap);
	clients_free(trap->clients);
	free(trap);
}

int exec_trap_start(const struct exec_trap_params *params, struct exec_trap **ret,
		    struct cused_error *err)
{
	struct exec_trap *trap = calloc(1, sizeof(*trap));
	int r;

	if (!trap) {
		close(params->listener);
		return cused_error_set(err, -ENOMEM, "out of memory");
	}
	trap->listener = params->listener;
	trap->root = -1;
	trap->folder = -1;
	trap->socket = params->socket;
	trap->node = params->node ? params->node : &service_node;
	r = clients_new(&trap->clients);
	if (r == 0) {
		thread_interruptible();
		r = thread_start(&trap->thread, 0, false, serve_main, trap);
	}
	if (r) {
		trap_free(trap);
		return cused_error_set(err, r, "cannot serve clients: %s", strerror(-r));
	}
	*ret = trap;
	return 0;
}

int exec_trap_stop(struct exec_trap *trap)
{
	if (!trap)
		return 0;
	atomic_store(&trap->stop, true);
	/* A signal that comes before the wait is lost, so it is repeated. */
	for (unsigned ms = 0; ms < EXEC_TRAP_STOP_MS; ms += 2) {
		struct timespec deadline = thread_deadline(CLOCK_REALTIME, 2);

		pthread_kill(trap->thread, SIGURG);
		if (pthread_timedjoin_np(trap->thread, NULL, &deadline) == 0) {
			trap_free(trap);
			return 0;
		}
	}
	return -EBUSY;
}
