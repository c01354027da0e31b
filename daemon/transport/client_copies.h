/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/client_copies.h - who else has a client's open file. */
#ifndef TRANSPORT_CLIENT_COPIES_H
#define TRANSPORT_CLIENT_COPIES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CLIENT_COPIES_MAX 64u	/* fds of one open file in one process */

/*
 * Is @other_fd of the thread @other the same open file as @fd of @tid? By kcmp(), so it takes
 * the right to look into both. Return: 1, 0; -EBADF an fd is not open; -ESRCH; -EPERM;
 * -ENOSYS.
 */
int client_same_file(pid_t tid, int fd, pid_t other, int other_fd);

/*
 * All fds of a thread's table that are copies of one. What cannot be found: copies on their way
 * through a socket, in a ring of io_uring, or made while this looks.
 * @tid: a thread whose table does not change by what we do
 * @fd: of it; @node: the number of the device that it is expected to be
 * @end: when to give up; CLOCK_MONOTONIC, ns
 * @ret: room for CLIENT_COPIES_MAX; @fd is the last of them
 * Return: how many, from 1; -EBADF @fd is no file of @node; -EBUSY another process, or a
 * thread with a table of its own, has a copy; -E2BIG there are more; -ETIMEDOUT; -ENOSYS, -EPERM no
 * kcmp(). The calling process and its parent are passed over.
 * Locks: none.
 */
int client_copies(pid_t tid, int fd, dev_t node, int64_t end, int ret[CLIENT_COPIES_MAX]);

#endif
