/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session.h - a session of libfuse3 over a descriptor of our own, read by our own threads;
 * and waiting for what other processes do. For cuse.h and fuse_files.h.
 */
#ifndef TESTS_PLATFORM_SESSION_H
#define TESTS_PLATFORM_SESSION_H

#define FUSE_USE_VERSION 314

#include <fuse3/cuse_lowlevel.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "platform.h"

static inline ssize_t io_writev(int fd, struct iovec *iov, int count, void *user)
{
	return writev(fd, iov, count);
}

static inline ssize_t io_read(int fd, void *buf, size_t size, void *user)
{
	return read(fd, buf, size);
}

/* One request. Return: false when the device has gone. */
static inline bool session_step(struct fuse_session *se)
{
	struct fuse_buf buf = { 0 };
	int r;

	do
		r = fuse_session_receive_buf(se, &buf);
	while (r == -EINTR);
	if (r > 0)
		fuse_session_process_buf(se, &buf);
	free(buf.mem);
	return r > 0;
}

static inline void *session_thread(void *se)
{
	while (session_step(se))
		;
	return NULL;
}

/* Waits, ten seconds at most, until @what has been counted up to @n. */
static inline void await(_Atomic unsigned *what, unsigned n)
{
	for (unsigned i = 0; *what < n; i++) {
		EXPECT(i < 10000);
		poll(NULL, 0, 1);
	}
}

/* Whether the process ends within @ms. */
static inline bool ends_within(pid_t pid, int ms)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	int r;

	EXPECT(p.fd >= 0);
	r = poll(&p, 1, ms);
	close(p.fd);
	return r == 1;
}

#endif
