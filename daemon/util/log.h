/* SPDX-License-Identifier: GPL-2.0-or-later */
/* util/log.h - where log lines go; speaking is vfio-cused/log.h. */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H

#include <vfio-cused/log.h>

/* Most detailed level that is written; default CUSED_LOG_WARNING. Call before threads. */
void log_set_level(enum cused_log_level level);
/* Name in front of each line on standard error; default "vfio-cused". */
void log_set_name(const char *name);

#endif
