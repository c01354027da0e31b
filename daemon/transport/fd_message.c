/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <transport/fd_message.h>

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(FD_MESSAGE_FDS * sizeof(int))];
};

int fd_message_send(int socket, const void *data, size_t size, const int *fds, size_t n)
{
	struct iovec iov = { (void *)(uintptr_t)data, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;
	struct cmsghdr *c;
	ssize_t sent;

	if (n) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	do {
		sent = sendmsg(socket, &msg, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

int fd_message_receive(int socket, void *data, size_t size, int *ret_fds, size_t *n_fds)
{
	struct iovec iov = { data, size };
	union control control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	size_t welcome = *n_fds, n = 0;
	int fds[FD_MESSAGE_FDS];
	struct cmsghdr *c;
	ssize_t got;

	got = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	if (got < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	}
	if (msg.msg_flags & MSG_CTRUNC) {
		close_all(fds, n);
		return -EMFILE;
	}
	if (n > welcome) {
		close_all(fds + welcome, n - welcome);
		n = welcome;
	}
	if (n)
		memcpy(ret_fds, fds, n * sizeof(int));
	*n_fds = n;
	return (int)got;
}
