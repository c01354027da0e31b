/* SPDX-License-Identifier: GPL-2.0-or-later */
/* util/cleanup.h - scope cleanup, and stealing when ownership moves. */
#ifndef UTIL_CLEANUP_H
#define UTIL_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_fn(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close_fn(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define cleanup_free __attribute__((cleanup(cleanup_free_fn)))
#define cleanup_close __attribute__((cleanup(cleanup_close_fn)))

/* Take the pointer out of a variable that would be cleaned up. */
#define steal_ptr(p) ({ __typeof__(p) tmp_ = (p); (p) = NULL; tmp_; })

static inline int steal_fd(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

#endif
