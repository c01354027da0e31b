/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bench_service.h - what the null device and its client agree on. */
#ifndef BENCH_SERVICE_H
#define BENCH_SERVICE_H

#include <linux/ioctl.h>

#define NULL_NOTHING _IO('n', 0)
#define NULL_DATA _IO('n', 1)
#define NULL_BYTES 32

#endif
