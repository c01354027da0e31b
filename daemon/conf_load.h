/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf_load.h - a configuration out of a file and the options of the command line.
 *
 * The file is what conf_dump() writes: sections [device "ID"], [group "NUMBER"], [iommu] and
 * [service] of lines key = value, which libinih takes apart. "backend" is the name in front
 * of an option's first comma. A line that begins with ';' or '#' is a comment; there are no
 * comments behind values, no quotes and no continued lines, so that every value that a
 * command line can have can be written.
 *
 * The file is read first, then the options are laid over it. A source can be loaded again,
 * as a service does on SIGHUP.
 */
#ifndef CONF_LOAD_H
#define CONF_LOAD_H

#include "conf.h"

#define CONF_FILE_SERVE "/etc/vfio-cused.conf"	/* of serve, without --config */
#define CONF_FILE_MAX (1u << 20)		/* bytes */
#define CONF_LINE_MAX (PARAMS_TEXT_MAX + 256u)	/* bytes, without the newline */

struct conf_option {
	int (*take)(struct conf *conf, const char *text, struct cused_error *err);
	const char *text;
};

struct conf_source {
	const char *file;		/* NULL: none */
	bool may_be_missing;		/* it was not asked for by name */
	struct conf_option *options;	/* in the order of the command line */
	size_t n_options;
};

/*
 * conf_load - read the file and take the options.
 * @conf: after conf_init() and nothing else; conf_done() it, also on failure
 * Return: 0; errors of conf_add_device() and its like; -ENOENT no such file; -EINVAL no
 * regular file, no section, line or key that is known, binary; -E2BIG the file or a line
 * is too long; -errno of reading it; each with @err set, which begins with file and line.
 * Locks: none. Not from several threads at once: libinih has its settings in globals.
 */
int conf_load(struct conf *conf, const struct conf_source *source, struct cused_error *err);

/* The text of a file, which messages call @name. @text: @size bytes and a NUL. Errors as
 * conf_load(). */
int conf_parse(struct conf *conf, const char *name, const char *text, size_t size,
	       struct cused_error *err);

#endif
