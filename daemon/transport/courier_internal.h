/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/courier_internal.h - between the courier_*.c files: courier.c has the thread and
 * delivers; courier_lend.c is what can be done with it meanwhile.
 */
#ifndef TRANSPORT_COURIER_INTERNAL_H
#define TRANSPORT_COURIER_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <transport/client_copies.h>
#include <transport/courier.h>
#include <transport/courier_regs.h>

#define COURIER_ARG_AT 256u		/* in the client's page, of courier_ioctl() */
#define NS_PER_MS 1000000ll

struct courier {
	const struct courier_job *job;
	int fd;				/* ours, that the client gets */
	bool cloexec;
	pid_t tid;
	int pidfd;
	int lost;			/* an errno: no longer there, or no longer stopped */
	bool suspended;			/* its seccomp filters */
	bool late;			/* the deadline passed: undo */
	int64_t end;			/* of waiting; CLOCK_MONOTONIC, ns */

	/* From the first stop on. */
	const struct courier_abi *abi;
	struct courier_regs saved;
	uint64_t page;			/* address in the client */

	/* Of a swap, until it cannot be taken back: all fds of the thread's file, which is
	 * @before. */
	int copies[CLIENT_COPIES_MAX], n_copies;
	int before;			/* a copy of ours, or -1 */
};

int64_t courier_now(void);		/* CLOCK_MONOTONIC, ns */

/*
 * Have the client make a call.
 * Return: 0, with what it returned to the client; -ESRCH; -ETIMEDOUT it is still in it;
 * -EIO something else happened. If it is 0 the deadline may have passed nevertheless: @c is
 * late then.
 */
int courier_make(struct courier *c, enum courier_call call, const uint64_t args[COURIER_ARGS],
		 int64_t *ret);
/* A call whose errors are ours. */
int courier_make_ok(struct courier *c, enum courier_call call,
		    const uint64_t args[COURIER_ARGS], int64_t *ret);
/*
 * The same of a 64-bit ioctl, for a 32-bit client: iommufd has no 32-bit ioctls. But a thread of a
 * 32-bit program may run 64-bit code, if there is some: a page of ours with nothing but the
 * instruction, that nobody can write.
 * @args: of ioctl()
 * Return: as courier_make(); -EOPNOTSUPP the client may not have such a page.
 */
int courier_make_wide(struct courier *c, const uint64_t args[COURIER_ARGS], int64_t *ret);
/* The client closes an fd. For undoing: there is nothing to be done about an error. */
void courier_close(struct courier *c, int fd);
/* Bring @c->fd to the client, before @c->end. Return: the client's number, or an error. */
int courier_carry(struct courier *c);

#endif
