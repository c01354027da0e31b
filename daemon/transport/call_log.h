/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/call_log.h - calls of clients that failed: debug lines. */
#ifndef TRANSPORT_CALL_LOG_H
#define TRANSPORT_CALL_LOG_H

#include <proto/proto.h>
#include <sys/types.h>

/* An ioctl of thread @tid on @object, which is still held, had @result. Of no cost unless such
 * lines are wanted and it failed. */
void call_log(pid_t tid, struct object object, unsigned cmd, int64_t result);

#endif
