/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/trap_filter.h - the seccomp filter of a client.
 *
 * Notified, in order of frequency:
 *   pread64 pwrite64 preadv pwritev preadv2 pwritev2   offset in a window (window.h)
 *   ioctl                                              command 0x3b00 … 0x3bff
 *   mmap                                               offset in the first window
 *   open openat                                        O_RDWR, not O_CREAT, not O_PATH
 *   ioctl of the i386 table                            command 0x3b00 … 0x3bff, so that
 *                                                      a 32-bit client can be told
 * Everything else is allowed: ordinary I/O never leaves the kernel.
 *
 * libseccomp expresses all of that. What it cannot (as of 2.5) is the load flag
 * WAIT_KILLABLE_RECV, without which a signal makes an interrupted call run twice; so the
 * program is exported and loaded here.
 */
#ifndef TRANSPORT_TRAP_FILTER_H
#define TRANSPORT_TRAP_FILTER_H

#include <linux/filter.h>
#include <vfio-cused/cused.h>

/* Flags of open and openat that decide whether the call is notified. */
#define TRAP_OPEN_MASK (O_ACCMODE | O_CREAT | O_PATH | O_DIRECTORY)

/*
 * Make the program. Return: 0, with ret->filter to be freed; -errno with @err set.
 * Locks: none.
 */
int trap_filter_build(struct sock_fprog *ret, struct cused_error *err);

/*
 * The same for a client of the service (exec_trap.h): VFIO_GROUP_GET_DEVICE_FD alone is
 * notified, of the native table.
 */
int trap_filter_build_exec(struct sock_fprog *ret, struct cused_error *err);

/*
 * Put the calling process under the filter, for good.
 * Only system calls: may be called between fork and exec.
 * Return: the listener (close-on-exec), or -errno: -EINVAL the kernel lacks
 * WAIT_KILLABLE_RECV, -EBUSY the process is under a listener already, -EACCES neither
 * no_new_privs nor CAP_SYS_ADMIN.
 */
int trap_filter_install(const struct sock_fprog *program);

/* What went wrong in trap_filter_install(), for the user. */
const char *trap_filter_cure(int code);

#endif
