/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * util/log.h - where log lines go; speaking is vfio-cused/log.h.
 *
 * Under systemd, where standard error is a stream of the journal (JOURNAL_STREAM names it), a
 * line goes to the journal as an entry with fields:
 *
 *   MESSAGE, PRIORITY, SYSLOG_IDENTIFIER
 *   CUSED_MODULE    who speaks
 *   OBJECT_PID      the client; the journal adds what it knows of it (OBJECT_UID, OBJECT_COMM …)
 *   CUSED_GROUP     name of the group's node: "7", "noiommu-7"
 *   CUSED_DEVICE    address: "0000:05:00.0"
 *   CUSED_ROW       of the contract
 *
 * Anywhere else, and if the journal takes it not, it is one line on standard error.
 *
 * Lines about clients are limited, as a client decides how many there are: LOG_CLIENT_LINES of
 * each client and LOG_CLIENTS_LINES of all in LOG_CLIENT_SECONDS. How many were left out is
 * said with the next that is not.
 *
 * Who reads standard error, or the journal, may stop to read. So that no caller waits for that,
 * a thread can write: it takes lines from a queue of LOG_QUEUE_LINES. What comes while that is
 * full is lost, and how many were is said when there is room again. Before the thread starts and
 * after it has ended, and in a child process, the caller writes.
 */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H

#include <stdbool.h>
#include <sys/types.h>
#include <vfio-cused/log.h>

#define LOG_CLIENT_LINES 20u
#define LOG_CLIENTS_LINES 200u
#define LOG_CLIENT_SECONDS 10u
#define LOG_CLIENTS_KNOWN 64u	/* at a time; who is forgotten begins anew */
#define LOG_MODULES_MAX 64u
#define LOG_QUEUE_LINES 256u
#define LOG_LINE_SIZE 1024u	/* what is longer is cut */

/* What a line is about. Texts are borrowed; NULL, and 0: nothing. */
struct log_about {
	pid_t pid;
	const char *group, *device, *row;
};

/* cused_log() of something. Locks: none needed; may be called with any lock held. */
void log_about(const struct log_about *about, enum cused_log_level level, const char *module,
	       const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Would a line of this level and module be written? To save the work of making one. */
bool log_wants(enum cused_log_level level, const char *module);
/*
 * Most detailed level that is written of modules that have none of their own; default
 * CUSED_LOG_WARNING. Levels may be set while other threads write, by one thread at a time.
 */
void log_set_level(enum cused_log_level level);
/*
 * The same of one module.
 * @module: borrowed for ever. At most LOG_MODULES_MAX are known; of more, nothing happens.
 */
void log_set_module(const char *module, enum cused_log_level level);
void log_unset_module(const char *module);
/* Name in front of each line on standard error; default "vfio-cused". */
void log_set_name(const char *name);

/* Write a line that has passed the level and the limits, now; may wait for who reads. */
void log_write(const struct log_about *about, enum cused_log_level level, const char *module,
	       const char *message);

/* ---- log_writer.c ---- */

/*
 * Have a thread write, from now on. Not while one does.
 * Return: 0, -ENOMEM, -EAGAIN: then the caller of each line writes it, as before.
 */
int log_writer_start(void);
/* Write what is in the queue, @ms milliseconds at most, and end the thread. Without one,
 * nothing happens. */
void log_writer_end(unsigned ms);
/*
 * Give a line to the thread.
 * Return: false: there is none.
 * Locks: takes a leaf of its own.
 */
bool log_queue(const struct log_about *about, enum cused_log_level level, const char *module,
	       const char *message);

/* ---- log_limit.c ---- */

/*
 * May a line about client @pid be written?
 * @now: monotonic seconds
 * @ret_left_out: lines that were not, since the last one that was: of this client, and in the
 *                second number of all others
 * Locks: takes a leaf of its own.
 */
bool log_limit(pid_t pid, unsigned now, unsigned ret_left_out[2]);

#endif
