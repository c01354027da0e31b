/* SPDX-License-Identifier: GPL-2.0-or-later */
/* random/sys.h - operations by the system calls of this process, on a /dev/vfio. */
#ifndef RANDOM_SYS_H
#define RANDOM_SYS_H

#include "exec.h"

/* Of this process, once. NULL: a device has no IOMMU group, or there is no memory. */
struct exec_sys *sys_new(const char *dir, const char *bdf, const char *peer);

#endif
