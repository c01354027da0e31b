/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <vfio-cused/cused.h>
#include <util/log.h>

static atomic_int log_level = CUSED_LOG_WARNING;
static const char *log_name = "vfio-cused";

void log_set_level(enum cused_log_level level)
{
	atomic_store(&log_level, level);
}

void log_set_name(const char *name)
{
	log_name = name;
}

void cused_log(enum cused_log_level level, const char *module, const char *fmt, ...)
{
	static const char *const words[] = { "error", "warning", "info", "debug" };
	int saved = errno;
	char line[1024];
	va_list ap;
	int n, m;

	if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed))
		return;
	n = snprintf(line, sizeof(line), "%s: %s: %s: ", log_name, words[level], module);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		m = 0;
	n += m;
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	/* One write, so that lines of several threads and processes do not mix. */
	while (write(STDERR_FILENO, line, (size_t)n) < 0 && errno == EINTR)
		;
	errno = saved;
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
