/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/fd_message.h - one message and some descriptors over a Unix socket. */
#ifndef TRANSPORT_FD_MESSAGE_H
#define TRANSPORT_FD_MESSAGE_H

#include <stddef.h>

#define FD_MESSAGE_FDS 64	/* at most, in one message */

/* @fds: stay the caller's. Return: 0, -EPIPE nobody is there any more, -errno. */
int fd_message_send(int socket, const void *data, size_t size, const int *fds, size_t n);

/*
 * @n_fds: in: how many are welcome, further ones are closed; out: how many came
 *         (CLOEXEC, the caller's)
 * Return: bytes, 0 at the end; -EMFILE some did not fit into our table (none is kept);
 * -EINTR and other errnos of recvmsg().
 */
int fd_message_receive(int socket, void *data, size_t size, int *ret_fds, size_t *n_fds);

#endif
