/* SPDX-License-Identifier: GPL-2.0-or-later */
#define SD_JOURNAL_SUPPRESS_LOCATION	/* it would be that of this file */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include <vfio-cused/cused.h>
#include <util/log.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define FIELD_SIZE 96
#define FIELDS_MAX 9

#define NO_LEVEL (-1)

static atomic_int log_level = CUSED_LOG_WARNING;
static atomic_int highest = CUSED_LOG_WARNING;	/* of all modules */
/* Modules that had a level once; they are never taken out. */
static struct {
	const char *name;
	atomic_int level;		/* or NO_LEVEL */
} modules[LOG_MODULES_MAX];
static atomic_uint n_modules;
static const char *log_name = "vfio-cused";
static pthread_once_t journal_once = PTHREAD_ONCE_INIT;
static bool is_journal;

static atomic_int *level_of(const char *module)
{
	unsigned n = atomic_load(&n_modules);

	for (unsigned i = 0; i < n; i++)
		if (!strcmp(modules[i].name, module))
			return &modules[i].level;
	return NULL;
}

static void find_highest(void)
{
	int most = atomic_load(&log_level), level;

	for (unsigned i = 0; i < atomic_load(&n_modules); i++) {
		level = atomic_load(&modules[i].level);
		most = level > most ? level : most;
	}
	atomic_store(&highest, most);
}

void log_set_level(enum cused_log_level level)
{
	atomic_store(&log_level, level);
	find_highest();
}

static void set_module(const char *module, int level)
{
	unsigned n = atomic_load(&n_modules);
	atomic_int *have = level_of(module);

	if (have) {
		atomic_store(have, level);
	} else if (level != NO_LEVEL && n < LOG_MODULES_MAX) {
		modules[n].name = module;
		atomic_store(&modules[n].level, level);
		atomic_store(&n_modules, n + 1);
	}
	find_highest();
}

void log_set_module(const char *module, enum cused_log_level level)
{
	set_module(module, (int)level);
}

void log_unset_module(const char *module)
{
	set_module(module, NO_LEVEL);
}

bool log_wants(enum cused_log_level level, const char *module)
{
	atomic_int *have;
	int most;

	/* What most lines end with, that nobody wants. */
	if ((int)level > atomic_load_explicit(&highest, memory_order_relaxed))
		return false;
	have = level_of(module);
	most = have ? atomic_load(have) : NO_LEVEL;
	return (int)level <= (most == NO_LEVEL ? atomic_load(&log_level) : most);
}

void log_set_name(const char *name)
{
	log_name = name;
}

/* ---- the journal ---- */

/* systemd names the stream that it gave us; standard error may be another by now. */
static void journal_look(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	is_journal = stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
		     fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

struct fields {
	char text[FIELDS_MAX][FIELD_SIZE];
	char message[sizeof("MESSAGE=") + LOG_LINE_SIZE];
	struct iovec iov[FIELDS_MAX + 1];
	int n;
};

__attribute__((format(printf, 2, 3)))
static void field(struct fields *fields, const char *fmt, ...)
{
	char *text = fields->text[fields->n];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, FIELD_SIZE, fmt, ap);
	va_end(ap);
	fields->iov[fields->n++] = (struct iovec){ text, strlen(text) };
}

/* Return: 0, or -errno: it is not there, or does not take it. */
static int journal_write(const struct log_about *about, enum cused_log_level level,
			 const char *module, const char *message)
{
	static const int priorities[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
	struct fields fields = { .n = 0 };

	/* The library would say that all is well. */
	if (access(JOURNAL_SOCKET, W_OK))
		return -errno;
	field(&fields, "PRIORITY=%d", priorities[level]);
	field(&fields, "SYSLOG_IDENTIFIER=%s", log_name);
	field(&fields, "CUSED_MODULE=%s", module);
	if (about->pid)
		field(&fields, "OBJECT_PID=%d", (int)about->pid);
	if (about->group)
		field(&fields, "CUSED_GROUP=%s", about->group);
	if (about->device)
		field(&fields, "CUSED_DEVICE=%s", about->device);
	if (about->row)
		field(&fields, "CUSED_ROW=%s", about->row);
	snprintf(fields.message, sizeof(fields.message), "MESSAGE=%s", message);
	fields.iov[fields.n++] = (struct iovec){ fields.message, strlen(fields.message) };
	return sd_journal_sendv(fields.iov, fields.n);
}

/* ---- lines ---- */

static void line_write(enum cused_log_level level, const char *module, const char *message)
{
	static const char *const words[] = { "error", "warning", "info", "debug" };
	char line[LOG_LINE_SIZE + 128];
	int n = snprintf(line, sizeof(line) - 1, "%s: %s: %s: %s", log_name, words[level],
			 module, message);

	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	/* One write, so that lines of several threads and processes do not mix. */
	while (write(STDERR_FILENO, line, (size_t)n) < 0 && errno == EINTR)
		;
}

void log_write(const struct log_about *about, enum cused_log_level level, const char *module,
	       const char *message)
{
	pthread_once(&journal_once, journal_look);
	if (!is_journal || journal_write(about, level, module, message) < 0)
		line_write(level, module, message);
}

static void put(const struct log_about *about, enum cused_log_level level, const char *module,
		const char *message)
{
	if (!log_queue(about, level, module, message))
		log_write(about, level, module, message);
}

static void tell_left_out(const struct log_about *about, const unsigned left_out[2],
			  enum cused_log_level level, const char *module)
{
	char message[128];

	if (left_out[0]) {
		snprintf(message, sizeof(message), "%u more lines about process %d were left "
			 "out", left_out[0], (int)about->pid);
		put(about, level, module, message);
	}
	if (left_out[1]) {
		snprintf(message, sizeof(message), "%u more lines about other clients were left "
			 "out", left_out[1]);
		put(&(struct log_about){ 0 }, level, module, message);
	}
}

__attribute__((format(printf, 4, 0)))
static void vlog(const struct log_about *about, enum cused_log_level level, const char *module,
		 const char *fmt, va_list ap)
{
	unsigned left_out[2] = { 0 };
	int saved = errno;
	char message[LOG_LINE_SIZE];
	struct timespec now;

	if (!log_wants(level, module))
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (about->pid && !log_limit(about->pid, (unsigned)now.tv_sec, left_out))
		return;
	errno = saved;			/* for %m */
	if (vsnprintf(message, sizeof(message), fmt, ap) < 0)
		message[0] = '\0';
	tell_left_out(about, left_out, level, module);
	put(about, level, module, message);
	errno = saved;
}

void cused_log(enum cused_log_level level, const char *module, const char *fmt, ...)
{
	static const struct log_about nothing;
	va_list ap;

	va_start(ap, fmt);
	vlog(&nothing, level, module, fmt, ap);
	va_end(ap);
}

void log_about(const struct log_about *about, enum cused_log_level level, const char *module,
	       const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(about, level, module, fmt, ap);
	va_end(ap);
}

int cused_error_set(struct cused_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		vsnprintf(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
	}
	return code;
}
