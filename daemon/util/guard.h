/* SPDX-License-Identifier: GPL-2.0-or-later */
/* util/guard.h - copies from and to memory that somebody else may take away. */
#ifndef UTIL_GUARD_H
#define UTIL_GUARD_H

#include <stddef.h>

/*
 * Copy between memory of ours and a shared map of a file that another process may
 * truncate at any moment; touching a page beyond its end raises SIGBUS.
 *
 * The first call installs a SIGBUS handler for the process. A SIGBUS that is not of a
 * copy under way on the same thread goes to the handler that was installed before, or
 * kills as by default.
 *
 * @dst, @src: do not overlap; either may be the shared side
 * @len: bytes; 0 is allowed
 * Return: 0; -EFAULT if a page of either side is not there (part of @dst may have been
 * written).  Locks: none; not from a signal handler.
 */
int guard_copy(void *dst, const void *src, size_t len);

#endif
