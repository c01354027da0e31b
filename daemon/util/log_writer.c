/* SPDX-License-Identifier: GPL-2.0-or-later */
/* util/log_writer.c - a thread that writes lines, so that nobody else waits for who reads them. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <util/log.h>

#define NAME_SIZE 64

struct line {
	enum cused_log_level level;
	pid_t pid;
	/* Empty: none. */
	char group[NAME_SIZE], device[NAME_SIZE], row[NAME_SIZE], module[NAME_SIZE];
	char message[LOG_LINE_SIZE];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static pthread_t thread;
static bool runs, ends;			/* lock */
static struct line *lines;		/* lock; the writer has the first one while it writes it */
static unsigned first, n_lines;		/* lock; of a ring */
static unsigned lost;			/* lock */

static void copy(char to[NAME_SIZE], const char *text)
{
	snprintf(to, NAME_SIZE, "%s", text ? text : "");
}

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

static void write_line(const struct line *line)
{
	struct log_about about = { line->pid, or_null(line->group), or_null(line->device),
				   or_null(line->row) };

	log_write(&about, line->level, line->module, line->message);
}

static void tell_lost(unsigned n)
{
	static const struct log_about nothing;
	char message[96];

	snprintf(message, sizeof(message), "%u lines were lost: they came quicker than they were "
		 "read", n);
	log_write(&nothing, CUSED_LOG_WARNING, "log", message);
}

static void *writer_main(void *unused)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	for (;;) {
		while (!n_lines && !ends)
			pthread_cond_wait(&changed, &lock);
		if (!n_lines)
			break;
		pthread_mutex_unlock(&lock);
		write_line(&lines[first]);
		pthread_mutex_lock(&lock);
		first = (first + 1) % LOG_QUEUE_LINES;
		n_lines--;
		n = n_lines > LOG_QUEUE_LINES / 2 ? 0 : lost;
		if (n) {
			lost = 0;
			pthread_mutex_unlock(&lock);
			tell_lost(n);
			pthread_mutex_lock(&lock);
		}
	}
	runs = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return unused;
}

/* A child has no writer; and the lock was taken before it, so that it is free there. */
static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
	runs = false;
	pthread_mutex_unlock(&lock);
}

static void prepare(void)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_atfork(before_fork, after_fork, in_child);
}

int log_writer_start(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	sigset_t all, before;
	int r;

	pthread_once(&once, prepare);
	lines = calloc(LOG_QUEUE_LINES, sizeof(*lines));
	if (!lines)
		return -ENOMEM;
	first = n_lines = lost = 0;
	ends = false;
	runs = true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, NULL, writer_main, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r) {
		runs = false;
		free(lines);
		lines = NULL;
	}
	return -r;
}

void log_writer_end(unsigned ms)
{
	struct timespec until;
	bool still;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&lock);
	if (!lines) {
		pthread_mutex_unlock(&lock);
		return;
	}
	ends = true;
	pthread_cond_broadcast(&changed);
	while (runs && pthread_cond_timedwait(&changed, &lock, &until) == 0)
		;
	still = runs;
	pthread_mutex_unlock(&lock);
	if (still) {
		/* It waits for who reads, and may for ever; what it uses stays. */
		pthread_detach(thread);
		return;
	}
	pthread_join(thread, NULL);
	free(lines);
	lines = NULL;
}

bool log_queue(const struct log_about *about, enum cused_log_level level, const char *module,
	       const char *message)
{
	struct line *line;
	bool taken;

	pthread_mutex_lock(&lock);
	taken = runs;
	if (taken && n_lines == LOG_QUEUE_LINES) {
		lost++;
	} else if (taken) {
		line = &lines[(first + n_lines++) % LOG_QUEUE_LINES];
		line->level = level;
		line->pid = about->pid;
		copy(line->group, about->group);
		copy(line->device, about->device);
		copy(line->row, about->row);
		copy(line->module, module);
		snprintf(line->message, sizeof(line->message), "%s", message);
		pthread_cond_signal(&changed);
	}
	pthread_mutex_unlock(&lock);
	return taken;
}
