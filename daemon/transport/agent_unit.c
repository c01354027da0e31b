/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/agent_unit.c - an agent that a service manager starts: the hello of agent.h.
 *
 * The manager accepts connections and gives each to an agent of its own, as its descriptor 3,
 * where one that the service starts has its socket for jobs, too (sd_listen_fds(3)). So after
 * the hello there is no difference any more.
 *
 * Who says hello has to be root: the socket's mode says so, and the agent asks once more. The
 * pidfd in the answer is how the service ends an agent that is stalled: it is no parent, and the
 * number of a process that somebody else waits for is soon another's.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <transport/agent.h>
#include <transport/fd_message.h>
#include <util/cleanup.h>
#include <vfio-cused/log.h>

static_assert(SD_LISTEN_FDS_START == AGENT_FD_JOBS, "the connection is the socket for jobs");

/* ---- the service's side ---- */

static int pack_args(const char *const *argv, struct agent_hello *hello)
{
	/* The program's name and its command are there already. */
	for (size_t i = 2; argv[0] && argv[1] && argv[i]; i++) {
		size_t len = strlen(argv[i]) + 1;

		if (len > sizeof(hello->args) - hello->args_size)
			return -E2BIG;
		memcpy(hello->args + hello->args_size, argv[i], len);
		hello->args_size += (uint32_t)len;
	}
	return 0;
}

static int receive_answer(int socket, int *ret_pidfd, pid_t *ret_pid)
{
	struct pollfd p = { .fd = socket, .events = POLLIN };
	struct agent_said said;
	int fd = -1, r;
	size_t n = 1;

	do {
		r = poll(&p, 1, AGENT_START_MS);
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r ? -errno : -ETIMEDOUT;
	r = fd_message_receive(socket, &said, sizeof(said), &fd, &n);
	if (r != (int)sizeof(said) || n != 1 || said.result) {
		if (r >= 0 && n == 1)
			close(fd);
		return r < 0 ? r : r == (int)sizeof(said) && said.result < 0 ? said.result : -EIO;
	}
	*ret_pidfd = fd;
	*ret_pid = said.pid;
	return 0;
}

int agent_unit_connect(const char *path, const char *const *argv, const int *fds, size_t n_fds,
		       int *ret_jobs, int *ret_pidfd, pid_t *ret_pid)
{
	struct agent_hello hello = { .version = AGENT_HELLO_VERSION,
				     .kind = n_fds ? AGENT_HELLO_SERVE : AGENT_HELLO_CLEAR };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_close int fd = -1;
	int r = pack_args(argv, &hello);

	if (r)
		return r;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	r = fd_message_send(fd, &hello, sizeof(hello), fds, n_fds);
	if (r == 0)
		r = receive_answer(fd, ret_pidfd, ret_pid);
	if (r == 0)
		*ret_jobs = steal_fd(&fd);
	return r;
}

/* ---- the agent's side ---- */

bool agent_is_unit(void)
{
	return sd_listen_fds(0) == 1;
}

static int unpack_args(struct agent_hello *hello, char *ret[AGENT_ARGS_MAX])
{
	char *at = hello->args, *end;
	size_t n = 0;

	if (hello->args_size > sizeof(hello->args) ||
	    (hello->args_size && hello->args[hello->args_size - 1] != '\0'))
		return -EBADMSG;
	end = at + hello->args_size;
	while (at < end) {
		if (n + 1 >= AGENT_ARGS_MAX)
			return -EBADMSG;
		ret[n++] = at;
		at += strlen(at) + 1;
	}
	ret[n] = NULL;
	return 0;
}

/* What came, to the places where agent_serve() looks: first out of the way of each other. */
static int place(int *fds, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		int high = fcntl(fds[i], F_DUPFD_CLOEXEC, AGENT_FDS);

		if (high < 0)
			r = -errno;
		close(fds[i]);
		fds[i] = high;
	}
	for (size_t i = 0; i < n; i++) {
		if (r == 0 && dup3(fds[i], i ? AGENT_FD_LISTENER : AGENT_FD_MOUNT, O_CLOEXEC) < 0)
			r = -errno;
		if (fds[i] >= 0)
			close(fds[i]);
	}
	return r;
}

static bool is_roots(int socket)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == 0;
}

static int answer(int result)
{
	struct agent_said said = { .result = result, .pid = getpid() };
	cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (pidfd < 0)
		return -errno;
	return fd_message_send(AGENT_FD_JOBS, &said, sizeof(said), &pidfd, 1);
}

static int clear(const char *root)
{
	struct agent_said said = { .pid = getpid() };
	struct cused_error err = { "" };
	int r = answer(0);

	if (r)
		return r;
	said.result = sysfs_unmount(root, &err);
	memcpy(said.text, err.text, sizeof(said.text));
	return fd_message_send(AGENT_FD_JOBS, &said, sizeof(said), NULL, 0);
}

int agent_unit_hello(char *ret_args[AGENT_ARGS_MAX])
{
	static struct agent_hello hello;
	int fds[2], r;
	size_t n = 2;

	if (!is_roots(AGENT_FD_JOBS))
		return -EPERM;
	/* Those that are to come have free places then. */
	r = fd_message_receive(AGENT_FD_JOBS, &hello, sizeof(hello), fds, &n);
	if (r < 0)
		return r;
	if (r != (int)sizeof(hello) || hello.version != AGENT_HELLO_VERSION)
		r = -EBADMSG;
	else
		r = unpack_args(&hello, ret_args);
	if (r == 0 && hello.kind == AGENT_HELLO_CLEAR && n == 0 && ret_args[0])
		return clear(ret_args[0]);
	if (r == 0 && (hello.kind != AGENT_HELLO_SERVE || n == 0))
		r = -EBADMSG;
	if (r) {
		for (size_t i = 0; i < n; i++)
			close(fds[i]);
		return r;
	}
	r = place(fds, n);
	if (r == 0)
		r = answer(0);
	return r ? r : 1;
}
