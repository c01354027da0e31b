/* SPDX-License-Identifier: MIT */
/* vfio-cused/log.h - what a backend may say. The program decides where it goes. */
#ifndef CUSED_LOG_H
#define CUSED_LOG_H

enum cused_log_level {
	CUSED_LOG_ERROR,	/* something the user must mend */
	CUSED_LOG_WARNING,
	CUSED_LOG_INFO,
	CUSED_LOG_DEBUG,	/* a client's mistake is a debug line, never more */
};

/*
 * cused_log - write one line.
 * @level: see above; lines above the level in force are dropped before formatting
 * @module: short name of the speaker ("nvme", "trap", "type1")
 * Locks: none needed; may be called with any lock held, from any thread.
 */
void cused_log(enum cused_log_level level, const char *module, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
