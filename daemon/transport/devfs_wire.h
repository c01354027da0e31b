/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/devfs_wire.h - what libfuse 3.14 cannot say to the kernel.
 *
 * Passthrough (Linux 6.9) is asked for in the answer to the greeting, FUSE_INIT, and in
 * each answer to OPEN; both have fields that this libfuse leaves zero. They are filled in
 * as the answer is written, by the thread that answers. With a libfuse that can (3.17),
 * this file goes. O_TMPFILE (Linux 6.1) is a request of its own, with the body and the answer
 * of FUSE_CREATE and the name "/".
 *
 * Layouts: the kernel's uapi linux/fuse.h, protocol 7.40; our oldest headers have 7.38.
 */
#ifndef TRANSPORT_DEVFS_WIRE_H
#define TRANSPORT_DEVFS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fuse_custom_io;

/* channel_io with the amendments. */
extern const struct fuse_custom_io devfs_wire_io;

/* Does the greeting (the request with its header) offer passthrough? */
bool devfs_wire_offered(const void *bytes, size_t size);

/* A request for a file without a name becomes one that libfuse knows. */
void devfs_wire_tmpfile(void *bytes, size_t size);

/* The next answer of this thread accepts passthrough; or is that of an OPEN or CREATE of a file that
 * @backing_id backs (0: none). Cleared when it is written. */
void devfs_wire_accept(void);
void devfs_wire_open(uint32_t backing_id);

/* Tell the kernel of a file that others are passed through to.
 * Return: an id > 0, or -errno. */
int devfs_wire_backing(int fuse_fd, int file);
/* The id is the kernel's to forget; files that were opened by it keep what is behind it. */
void devfs_wire_backing_close(int fuse_fd, uint32_t id);

#endif
