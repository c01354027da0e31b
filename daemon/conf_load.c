/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf_load.c - see conf_load.h.
 *
 * libinih splits lines into keys and values and knows comments. It cuts names of sections
 * without a word, says nothing of empty sections, and takes any bytes. So each line passes
 * through line_next() on its way to it, which looks at what it holds and notes where a
 * section begins; and keys belong to the section noted last.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <util/cleanup.h>

#include "conf_load.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"
#define SECTIONS "[device \"ID\"], [group \"NUMBER\"], [iommu], [service] and [log]"

enum section {
	SECTION_NONE, SECTION_DEVICE, SECTION_GROUP, SECTION_IOMMU, SECTION_SERVICE, SECTION_LOG
};

static const struct {
	const char *word;
	bool has_name;
	bool has_backend;
	int (*take)(struct conf *conf, struct params_list *list, struct cused_error *err);
} sections[] = {
	[SECTION_DEVICE] = { "device", true, true, conf_take_device },
	[SECTION_GROUP] = { "group", true, false, conf_take_group },
	[SECTION_IOMMU] = { "iommu", false, true, conf_take_iommu },
	[SECTION_SERVICE] = { "service", false, false, conf_take_service },
	[SECTION_LOG] = { "log", false, false, conf_take_log },
};
#define N_SECTIONS (sizeof(sections) / sizeof(sections[0]))

struct reading {
	struct conf *conf;
	const char *name;
	const char *at, *end;		/* what has not been read */
	unsigned line;
	enum section section;
	struct params_list list;	/* of the section */
	bool backend;			/* it has one */
	struct cused_error *err;
	int r;				/* the first error, and the last */
};

__attribute__((format(printf, 3, 4)))
static int bad_line(struct reading *in, int code, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return cused_error_set(in->err, code, "%.200s:%u: %s", in->name, in->line, text);
}

/* ---- sections ---- */

/* The keys are complete: the configuration takes them. */
static int section_end(struct reading *in)
{
	enum section section = in->section;
	struct params_place place;
	char known[256];

	if (section == SECTION_NONE)
		return 0;
	in->section = SECTION_NONE;
	if (sections[section].has_backend && !in->backend) {
		if (section == SECTION_DEVICE)
			conf_known_devices(known, sizeof(known));
		else
			conf_known_iommus(known, sizeof(known));
		cused_error_set(in->err, -EINVAL, "%s: no backend is named; add backend = NAME, "
				"known are %s", params_place(&in->list, NULL, &place), known);
		params_list_done(&in->list);
		return -EINVAL;
	}
	return sections[section].take(in->conf, &in->list, in->err);
}

/* "device "ID"" in @head, which is changed. Return: the section, with *ret_name the name that
 * it has or NULL; SECTION_NONE if it is not so. */
static enum section section_parse(char *head, char **ret_name)
{
	size_t word = strcspn(head, " \t");
	char *name = head + word + strspn(head + word, " \t");
	size_t length = strlen(name);

	for (unsigned s = SECTION_NONE + 1; s < N_SECTIONS; s++) {
		if (strlen(sections[s].word) != word || strncmp(head, sections[s].word, word))
			continue;
		*ret_name = NULL;
		if (!sections[s].has_name)
			return *name ? SECTION_NONE : s;
		if (length < 3 || name[0] != '"' || name[length - 1] != '"')
			return SECTION_NONE;
		name[length - 1] = '\0';
		*ret_name = name + 1;
		return s;
	}
	return SECTION_NONE;
}

/* Is there such a section in this file? */
static const struct params_list *section_before(const struct reading *in, enum section section,
						const char *name)
{
	const struct conf *conf = in->conf;

	for (size_t i = 0; section == SECTION_DEVICE && i < conf->n_devices; i++)
		if (!strcmp(conf->devices[i].common[CONF_DEVICE_ID].string, name))
			return &conf->devices[i].list;
	for (size_t i = 0; section == SECTION_GROUP && i < conf->n_groups; i++)
		if (!strcmp(conf->groups[i].list.name, name))
			return &conf->groups[i].list;
	if (section == SECTION_IOMMU && conf->iommu)
		return &conf->iommu_list;
	if (section == SECTION_SERVICE && conf->service_list.name)
		return &conf->service_list;
	if (section == SECTION_LOG && conf->log_list.name)
		return &conf->log_list;
	return NULL;
}

/* @head: what stands between the brackets; changed. */
static int section_begin(struct reading *in, char *head)
{
	char what[PARAMS_WHAT_SIZE], *name;
	const struct params_list *before;
	int r = section_end(in);

	if (r)
		return r;
	snprintf(what, sizeof(what), "[%.48s]", head);
	in->section = section_parse(head, &name);
	if (in->section == SECTION_NONE)
		return bad_line(in, -EINVAL, "%s is no section; known are " SECTIONS, what);
	before = section_before(in, in->section, name);
	if (before) {
		in->section = SECTION_NONE;
		return bad_line(in, -EINVAL, "%s is there already, at line %u; put all of its "
				"keys into one", what, before->line);
	}
	in->backend = false;
	r = params_begin(in->name, in->line, what,
			 in->section == SECTION_GROUP ? name : "", &in->list, in->err);
	if (r)
		in->section = SECTION_NONE;
	else if (in->section == SECTION_DEVICE)
		r = params_add(&in->list, "id", name, in->line, in->err);
	return r;
}

/* ---- lines ---- */

/* A line that begins with '['. */
static int take_head(struct reading *in, const char *line, size_t length)
{
	const char *end = memchr(line, ']', length);
	cleanup_free char *head = NULL;

	if (!end)
		return bad_line(in, -EINVAL, "'%.*s' has no ']'", (int)(length < 60 ? length : 60),
				line);
	for (const char *p = end + 1; p < line + length; p++)
		if (!isspace((unsigned char)*p))
			return bad_line(in, -EINVAL, "something stands behind '%.*s'; give it a "
					"line of its own",
					(int)(end - line < 60 ? end - line + 1 : 60), line);
	head = strndup(line + 1, (size_t)(end - line) - 1);
	return head ? section_begin(in, head) : bad_line(in, -ENOMEM, "out of memory");
}

/* UTF-8 is what it looks like; other control characters than blanks are no text. */
static int check_bytes(struct reading *in, const char *line, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)line[i];

		if (iscntrl(c) && c != '\t' && !(c == '\r' && i + 1 == length))
			return bad_line(in, -EINVAL, "a control character (code %u) at byte %zu; "
					"is this a text file?", c, i + 1);
	}
	return 0;
}

/* fgets() of libinih's, which makes *to of @size bytes a line, or NULL at the end. */
static char *line_next(char *to, int size, void *stream)
{
	struct reading *in = stream;
	const char *newline = memchr(in->at, '\n', (size_t)(in->end - in->at)), *line = in->at;
	size_t length = (size_t)((newline ? newline : in->end) - in->at), blanks = 0;

	if (in->r || in->at == in->end)
		return NULL;
	in->line++;
	in->at = newline ? newline + 1 : in->end;
	if (length > CONF_LINE_MAX || length + 2 > (size_t)size)
		in->r = bad_line(in, -E2BIG, "the line is %zu bytes long; at most %u are allowed",
				 length, CONF_LINE_MAX);
	else
		in->r = check_bytes(in, line, length);
	if (in->r)
		return NULL;
	memcpy(to, line, length);
	to[length] = '\n';
	to[length + 1] = '\0';
	while (isspace((unsigned char)to[blanks]))
		blanks++;
	if (blanks < length && to[blanks] == '[')
		in->r = take_head(in, line + blanks, length - blanks);
	return in->r ? NULL : to;
}

/* Return: as libinih wants, 0 is a failure. */
static int take_key(void *arg, const char *section, const char *key, const char *value)
{
	struct reading *in = arg;
	size_t length = strlen(value);

	if (in->r)
		return 0;
	if (in->section == SECTION_NONE) {
		in->r = bad_line(in, -EINVAL, "%s stands in no section; known are " SECTIONS,
				 key);
	} else if (!strcmp(key, "backend") && sections[in->section].has_backend) {
		if (in->backend) {
			in->r = bad_line(in, -EINVAL, "%s: backend is given twice; keep one",
					 in->list.what);
			return 0;
		}
		free(in->list.name);
		in->list.name = strdup(value);
		in->backend = true;
		if (!in->list.name)
			in->r = bad_line(in, -ENOMEM, "out of memory");
	} else if (length > PARAMS_TEXT_MAX) {
		in->r = bad_line(in, -E2BIG, "the value of %s is %zu bytes long; at most %d are "
				 "allowed", key, length, PARAMS_TEXT_MAX);
	} else {
		in->r = params_add(&in->list, key, value, in->line, in->err);
	}
	return in->r == 0;
}

int conf_parse(struct conf *conf, const char *name, const char *text, size_t size,
	       struct cused_error *err)
{
	struct reading in = { .conf = conf, .name = name, .at = text, .end = text + size,
			      .err = err };
	int r;

	if (size >= strlen(BYTE_ORDER_MARK) &&
	    !memcmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)))
		in.at += strlen(BYTE_ORDER_MARK);
	/* Settings of the library; of the build that Debian has, these are variables. */
	ini_use_stack = false;
	ini_initial_alloc = ini_max_line = (int)CONF_LINE_MAX + 3;
	ini_allow_realloc = false;
	ini_allow_multiline = false;
	ini_allow_inline_comments = false;
	ini_allow_no_value = false;
	ini_allow_bom = false;
	ini_stop_on_first_error = true;
	r = ini_parse_stream(line_next, &in, take_key, &in);
	if (in.r == 0 && r < 0)
		in.r = bad_line(&in, -ENOMEM, "out of memory");
	else if (in.r == 0 && r > 0)
		in.r = bad_line(&in, -EINVAL, "this is neither [SECTION] nor KEY = VALUE; a "
				"comment begins with ';' or '#'");
	if (in.r == 0)
		in.r = section_end(&in);
	else if (in.section != SECTION_NONE)
		params_list_done(&in.list);
	return in.r;
}

/* ---- files ---- */

/* Return: the file; -errno with @err set. */
static int file_open(const char *path, size_t *ret_size, struct cused_error *err)
{
	/* Not to wait for the other end of a pipe, which is refused below. */
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return cused_error_set(err, -errno, "cannot read %.200s: %s", path,
				       strerror(errno));
	if (!S_ISREG(st.st_mode))
		return cused_error_set(err, -EINVAL, "%.200s is no regular file; give one", path);
	if (st.st_size > CONF_FILE_MAX)
		return cused_error_set(err, -E2BIG, "%.200s is %lld bytes long; at most %u are "
				       "allowed", path, (long long)st.st_size, CONF_FILE_MAX);
	*ret_size = (size_t)st.st_size;
	return steal_fd(&fd);
}

static int file_read(struct conf *conf, const char *path, struct cused_error *err)
{
	cleanup_free char *text = NULL;
	cleanup_close int fd = -1;
	size_t size = 0, done = 0;
	ssize_t n = 1;

	fd = file_open(path, &size, err);
	if (fd < 0)
		return fd;
	text = malloc(size + 1);
	if (!text)
		return cused_error_set(err, -ENOMEM, "cannot read %.200s: out of memory", path);
	while (done < size && n > 0) {
		n = read(fd, text + done, size - done);
		if (n < 0)
			return cused_error_set(err, -errno, "cannot read %.200s: %s", path,
					       strerror(errno));
		done += (size_t)n;
	}
	text[done] = '\0';
	conf->file_read = true;
	return conf_parse(conf, path, text, done, err);
}

int conf_load(struct conf *conf, const struct conf_source *source, struct cused_error *err)
{
	int r = source->file ? file_read(conf, source->file, err) : 0;

	if (r == -ENOENT && source->may_be_missing && !conf->file_read)
		r = 0;
	for (size_t i = 0; r == 0 && i < source->n_options; i++)
		r = source->options[i].take(conf, source->options[i].text, err);
	return r;
}
