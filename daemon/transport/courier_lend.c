/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/courier_lend.c - what a client does for us while the courier has its thread; see
 * courier.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <transport/client.h>
#include <transport/client_copies.h>
#include <transport/courier_internal.h>

/* Of all that one function does. Return: 0; -ETIMEDOUT it is too late for more. */
static int begin(struct courier *c, unsigned deadline_ms)
{
	if (c->late)
		return -ETIMEDOUT;
	c->end = courier_now() + deadline_ms * NS_PER_MS;
	return 0;
}

/* Bring a file of ours to the client, for what follows. Return: its number; an error. */
static int bring(struct courier *c, int fd)
{
	c->fd = fd;
	c->cloexec = true;
	return courier_carry(c);
}

static int make_ioctl(struct courier *c, int theirs, unsigned long cmd, uint64_t arg,
		      int *ret_result)
{
	const uint64_t args[COURIER_ARGS] = { (uint32_t)theirs, cmd, arg };
	int64_t value = 0;
	int r = c->abi->narrow ? courier_make_wide(c, args, &value) :
				 courier_make(c, COURIER_IOCTL, args, &value);

	*ret_result = value <= -512 && value >= -516 ? -EINTR : (int)value;
	return r;
}

int courier_ioctl(struct courier *c, int fd, unsigned long cmd, void *arg, size_t len,
		  unsigned deadline_ms, int *ret_result)
{
	uint64_t at = c->page + COURIER_ARG_AT;
	int theirs, r;

	if (len > COURIER_ARG_MAX)
		return -E2BIG;
	r = begin(c, deadline_ms);
	theirs = r ? r : bring(c, fd);
	if (theirs < 0)
		return theirs;
	r = client_write(c->tid, at, arg, len);
	if (r == 0)
		r = make_ioctl(c, theirs, cmd, at, ret_result);
	if (r == 0)
		r = client_read(c->tid, at, arg, len);
	courier_close(c, theirs);
	return r ? r : c->lost;
}

/* ---- its own file ---- */

/* Return: a copy of the file that its ioctl is on; -EBADF it is no file of @node; -EOPNOTSUPP. */
static int own_file(const struct courier *c, dev_t node)
{
	struct statx st;
	int copy;

	if (!c->abi->ioctl_fd)
		return -EOPNOTSUPP;
	copy = (int)syscall(SYS_pidfd_getfd, c->pidfd, c->abi->ioctl_fd(&c->saved), 0);
	if (copy < 0)
		return -errno;
	/* Another thread may have put another file there; that is not asked for anything. */
	if (statx(copy, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0 &&
	    makedev(st.stx_rdev_major, st.stx_rdev_minor) == node)
		return copy;
	close(copy);
	return -EBADF;
}

int courier_ask(struct courier *c, dev_t node, unsigned long cmd, uint64_t value,
		unsigned deadline_ms, int *ret_result)
{
	int theirs, r;

	if (c->before < 0)
		c->before = own_file(c, node);
	if (c->before < 0)
		return c->before;
	r = begin(c, deadline_ms);
	theirs = r ? r : bring(c, c->before);
	if (theirs < 0)
		return theirs;
	r = make_ioctl(c, theirs, cmd, value, ret_result);
	courier_close(c, theirs);
	return r ? r : c->lost;
}

/* ---- another file in all its fds ---- */

/* O_CLOEXEC, if the client's @fd has it; else 0. */
static unsigned cloexec_of(const struct courier *c, int fd)
{
	char path[64], line[128];
	unsigned flags = 0;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)c->tid, fd);
	info = fopen(path, "re");
	while (info && fgets(line, sizeof(line), info)) {
		if (!strncmp(line, "flags:", 6))
			flags = (unsigned)strtoul(line + 6, NULL, 8);
	}
	if (info)
		fclose(info);
	return flags & O_CLOEXEC;
}

/* The client's @to becomes a copy of its @from, and stays as it was towards exec. */
static int put_over(struct courier *c, int from, int to)
{
	const uint64_t args[COURIER_ARGS] = { (uint32_t)from, (uint32_t)to, cloexec_of(c, to) };
	int64_t value;

	return courier_make_ok(c, COURIER_DUP3, args, &value);
}

/* The last of @copies is the fd of the client's own ioctl: as long as that is there, all can be
 * undone. */
static int replace(struct courier *c, int theirs, const int *copies, int n)
{
	int own = copies[n - 1], done = 0, r = 0;

	while (r == 0 && done < n) {
		/* Another thread may have put another file there. */
		r = client_same_file(c->tid, own, c->tid, copies[done]);
		r = r == 1 ? put_over(c, theirs, copies[done]) : r ? r : -EBADF;
		if (r == 0 && ++done < n && c->late)
			r = -ETIMEDOUT;
	}
	while (r && done > 0)
		put_over(c, own, copies[--done]);
	return r;
}

/* All that are there become copies of @fd. */
static int replace_all(struct courier *c, int fd)
{
	int theirs = bring(c, fd), r;

	if (theirs < 0)
		return c->lost ? -ESRCH : theirs;
	r = replace(c, theirs, c->copies, c->n_copies);
	courier_close(c, theirs);
	return c->lost ? -ESRCH : r;
}

int courier_swap(struct courier *c, int fd, dev_t node, unsigned deadline_ms)
{
	int n, r;

	if (c->abi->narrow || !c->abi->ioctl_fd)
		return -EOPNOTSUPP;
	r = begin(c, deadline_ms);
	if (r)
		return r;
	n = client_copies(c->tid, c->abi->ioctl_fd(&c->saved), node, c->end, c->copies);
	if (n < 0)
		return n;
	c->before = own_file(c, node);
	if (c->before < 0)
		return c->before;
	c->n_copies = n;
	r = replace_all(c, fd);
	if (r)
		c->n_copies = 0;
	return r;
}

int courier_swap_back(struct courier *c, unsigned deadline_ms)
{
	int r;

	if (c->n_copies == 0)
		return 0;
	r = begin(c, deadline_ms);
	if (r == 0)
		r = replace_all(c, c->before);
	if (r == 0)
		c->n_copies = 0;
	return r;
}
