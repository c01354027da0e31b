/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/client_mm.h - the address space of a client process, as a struct mm. */
#ifndef TRANSPORT_CLIENT_MM_H
#define TRANSPORT_CLIENT_MM_H

#include <stdbool.h>
#include <sys/types.h>
#include <core/mem.h>

/* Of the process @tgid, as it is now. Return: 0, -ESRCH, -EACCES, -ENOMEM. */
int client_mm_new(pid_t tgid, struct mm **ret);

/* Does the process still run in this address space? False after exit and after exec. */
bool client_mm_alive(struct mm *mm);

pid_t client_mm_tgid(const struct mm *mm);

/* For a caller whose memory cannot be had: every use is EFAULT. Borrowed, always there. */
struct mm *client_mm_none(void);

#endif
