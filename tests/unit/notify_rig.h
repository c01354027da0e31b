/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/notify_rig.h - a service manager's notification socket. */
#ifndef UNIT_NOTIFY_RIG_H
#define UNIT_NOTIFY_RIG_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Make it, and set NOTIFY_SOCKET. @flags: of socket(), beside SOCK_CLOEXEC. Return: the manager's
 * end. */
static inline int notify_rig_open(int flags)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length = sizeof(address.sun_family);
	char name[64];
	int fd;

	/* The kernel chooses an abstract name: nothing is left in any folder. */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | flags, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, length), 0);
	length = sizeof(address);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	snprintf(name, sizeof(name), "@%.*s",
		 (int)(length - sizeof(address.sun_family) - 1), address.sun_path + 1);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

#endif
