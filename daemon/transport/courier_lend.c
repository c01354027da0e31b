/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/courier_lend.c - what a client does for us while the courier has its thread; see
 * courier.c. */
#include <errno.h>

#include <transport/client.h>
#include <transport/courier_internal.h>

int courier_ioctl(struct courier *c, int fd, unsigned long cmd, void *arg, size_t len,
		  unsigned deadline_ms, int *ret_result)
{
	uint64_t args[COURIER_ARGS] = { 0, cmd, c->page + COURIER_ARG_AT };
	int64_t value = 0;
	int theirs, r;

	if (c->abi->narrow)
		return -EOPNOTSUPP;
	if (len > COURIER_ARG_MAX)
		return -E2BIG;
	if (c->late)
		return -ETIMEDOUT;
	c->end = courier_now() + deadline_ms * NS_PER_MS;
	c->fd = fd;
	c->cloexec = true;
	theirs = courier_carry(c);
	if (theirs < 0)
		return theirs;
	args[0] = (uint32_t)theirs;
	r = client_write(c->tid, c->page + COURIER_ARG_AT, arg, len);
	if (r == 0)
		r = courier_make(c, COURIER_IOCTL, args, &value);
	if (r == 0)
		r = client_read(c->tid, c->page + COURIER_ARG_AT, arg, len);
	courier_close(c, theirs);
	if (r)
		return r;
	*ret_result = value <= -512 && value >= -516 ? -EINTR : (int)value;
	return c->lost;
}
