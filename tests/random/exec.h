/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * random/exec.h - runs operations (op.h) on a /dev/vfio and writes what it answers.
 *
 * What "a /dev/vfio" is, is behind struct exec_sys: the system calls of this process
 * (sys.c), or the core itself in a unit test.
 */
#ifndef RANDOM_EXEC_H
#define RANDOM_EXEC_H

#include <stdio.h>

#include "op.h"

/* Where the arena is. Results are 0 or more, or -errno. */
struct exec_sys {
	uint64_t arena;			/* a client's address of it */
	void *(*at)(struct exec_sys *sys, uint64_t addr);	/* ours of a client's */
	void (*writable)(struct exec_sys *sys, uint64_t page, bool yes);
	int (*open_container)(struct exec_sys *sys);
	int (*open_group)(struct exec_sys *sys, unsigned which);
	int (*open_eventfd)(struct exec_sys *sys, unsigned count);
	int (*open_other)(struct exec_sys *sys);
	int (*close)(struct exec_sys *sys, int fd);
	int (*dup)(struct exec_sys *sys, int fd);
	int64_t (*ioctl)(struct exec_sys *sys, int fd, unsigned cmd, uint64_t arg);
	int64_t (*read)(struct exec_sys *sys, int fd, uint64_t pos, void *buf, size_t len);
	int64_t (*write)(struct exec_sys *sys, int fd, uint64_t pos, const void *buf,
			 size_t len);
	int64_t (*mmap)(struct exec_sys *sys, int fd, uint64_t pos, uint64_t len, int prot,
			int flags);	/* and unmaps at once */
	int64_t (*drain)(struct exec_sys *sys, int fd, uint64_t *ret_count);
	int64_t (*signal)(struct exec_sys *sys, int fd);
	/* A child that has all fds. What follows is its, until end(); this returns 1 where
	 * it runs, and 0 in its parent when it has gone. */
	int (*fork)(struct exec_sys *sys);
	void (*end)(struct exec_sys *sys);
	/* A child that has all fds and does nothing, until unhold(). */
	int (*hold)(struct exec_sys *sys);
	void (*unhold)(struct exec_sys *sys);
	const char *bdf[DEVICES];
};

/* Runs @n operations, from nothing open to nothing open, and writes a line for each to
 * @out (not if NULL): "NUMBER OPERATION = RESULT". */
void exec_run(struct exec_sys *sys, const struct op *ops, size_t n, FILE *out);

#endif
