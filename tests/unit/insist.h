/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/insist.h - a check in a child of a test. */
#ifndef UNIT_INSIST_H
#define UNIT_INSIST_H

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* A child says by its status what went wrong; 0: nothing. */
#define INSIST(condition)                                                                       \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			dprintf(2, "line %d: %s, errno %d\n", __LINE__, #condition, errno);     \
			_exit(1);                                                               \
		}                                                                               \
	} while (0)

#endif
