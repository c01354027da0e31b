/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <util/cleanup.h>

#include "params.h"

/* Cut the next part off at a single comma; doubled commas become one, in place. */
static char *next_part(char **cursor)
{
	char *in = *cursor, *out = in, *start = in;

	if (!in)
		return NULL;
	for (;; in++) {
		if (*in == ',' && in[1] == ',') {
			in++;
		} else if (*in == ',' || *in == '\0') {
			*cursor = *in ? in + 1 : NULL;
			*out = '\0';
			return start;
		}
		*out++ = *in;
	}
}

static int out_of_memory(const struct params_list *list, struct cused_error *err)
{
	struct params_place place;

	return cused_error_set(err, -ENOMEM, "%s: out of memory",
			       params_place(list, NULL, &place));
}

static const struct params_pair *find_pair(const struct params_list *list, const char *key)
{
	for (size_t i = 0; key && i < list->n_pairs; i++)
		if (!strcmp(list->pairs[i].key, key))
			return &list->pairs[i];
	return NULL;
}

static void place_at(const struct params_list *list, unsigned line, struct params_place *buf)
{
	if (list->file)
		snprintf(buf->text, sizeof(buf->text), "%.200s:%u: %s", list->file, line,
			 list->what);
	else
		snprintf(buf->text, sizeof(buf->text), "%s", list->what);
}

const char *params_place(const struct params_list *list, const char *key,
			 struct params_place *buf)
{
	const struct params_pair *pair = NULL;

	for (const struct params_list *l = list; l && !pair; l = l->under) {
		pair = find_pair(l, key);
		if (pair)
			list = l;
	}
	place_at(list, pair ? pair->line : list->line, buf);
	return buf->text;
}

int params_add(struct params_list *list, const char *key, const char *value, unsigned line,
	       struct cused_error *err)
{
	const struct params_pair *before = find_pair(list, key);
	size_t key_size = strlen(key) + 1, value_size = strlen(value) + 1;
	struct params_pair *grown;
	struct params_place place;
	char *text;

	if (before) {
		place_at(list, line, &place);
		return cused_error_set(err, -EINVAL, "%s: %.60s is given twice (%.60s and %.60s); "
				       "keep one", place.text, key, before->value, value);
	}
	grown = realloc(list->pairs, (list->n_pairs + 1) * sizeof(*grown));
	if (grown)
		list->pairs = grown;
	text = grown ? malloc(key_size + value_size) : NULL;
	if (!text)
		return out_of_memory(list, err);
	memcpy(text, key, key_size);
	memcpy(text + key_size, value, value_size);
	list->pairs[list->n_pairs++] = (struct params_pair){ text, text + key_size, line };
	return 0;
}

static int add_part(struct params_list *list, char *part, struct cused_error *err)
{
	char *equals = strchr(part, '=');

	if (!equals || equals == part)
		return cused_error_set(err, -EINVAL,
			"%s: '%.200s' is not of the form key=value; write key=value, and a "
			"comma inside a value twice", list->what, part);
	*equals = '\0';
	return params_add(list, part, equals + 1, 0, err);
}

int params_split(const char *option, const char *text, struct params_list *ret,
		 struct cused_error *err)
{
	struct params_list list = { 0 };
	cleanup_free char *copy = NULL;
	char *cursor, *part;
	int r = 0;

	if (strlen(text) > PARAMS_TEXT_MAX)
		return cused_error_set(err, -E2BIG,
			"%s: the text is %zu bytes long; at most %d are allowed", option,
			strlen(text), PARAMS_TEXT_MAX);
	copy = strdup(text);
	if (!copy)
		return cused_error_set(err, -ENOMEM, "%s: out of memory", option);
	cursor = copy;
	part = next_part(&cursor);
	snprintf(list.what, sizeof(list.what), "%s%s%s", option, *part ? " " : "", part);
	list.name = strdup(part);
	if (!list.name)
		r = out_of_memory(&list, err);
	while (r == 0 && (part = next_part(&cursor)))
		r = add_part(&list, part, err);
	if (r < 0) {
		params_list_done(&list);
		return r;
	}
	*ret = list;
	return 0;
}

int params_begin(const char *file, unsigned line, const char *what, const char *name,
		 struct params_list *ret, struct cused_error *err)
{
	struct params_list list = { .line = line };

	snprintf(list.what, sizeof(list.what), "%s", what);
	list.file = strdup(file);
	list.name = strdup(name);
	if (!list.file || !list.name) {
		out_of_memory(&list, err);
		params_list_done(&list);
		return -ENOMEM;
	}
	*ret = list;
	return 0;
}

void params_list_done(struct params_list *list)
{
	for (size_t i = 0; i < list->n_pairs; i++)
		free(list->pairs[i].key);
	free(list->pairs);
	free(list->name);
	free(list->file);
	if (list->under)
		params_list_done(list->under);
	free(list->under);
	memset(list, 0, sizeof(*list));
}

int params_lay(struct params_list *list, struct params_list *old, struct cused_error *err)
{
	if (list->file || !old->file)
		return 0;
	list->under = malloc(sizeof(*list->under));
	if (!list->under)
		return out_of_memory(list, err);
	*list->under = *old;
	memset(old, 0, sizeof(*old));
	return 0;
}

void params_lay_end(struct params_list *list, struct params_list *old, bool good)
{
	if (good) {
		params_list_done(old);
		*old = *list;
	} else {
		if (list->under) {
			*old = *list->under;
			free(steal_ptr(list->under));
		}
		params_list_done(list);
	}
	memset(list, 0, sizeof(*list));
}

static int parse_bool(const char *what, const char *key, const char *text,
		      uint64_t *ret, struct cused_error *err)
{
	static const char *const words[2][4] = {
		{ "off", "no", "false", "0" }, { "on", "yes", "true", "1" },
	};

	for (unsigned v = 0; v < 2; v++)
		for (unsigned i = 0; i < 4; i++)
			if (!strcmp(text, words[v][i])) {
				*ret = v;
				return 0;
			}
	return cused_error_set(err, -EINVAL, "%s: %s=%s is neither on nor off; write %s=on "
			       "or %s=off", what, key, text, key, key);
}

static int suffix_shift(char c)
{
	switch (c) {
	case 'k': case 'K': return 10;
	case 'm': case 'M': return 20;
	case 'g': case 'G': return 30;
	case 't': case 'T': return 40;
	default: return -1;
	}
}

static int parse_number(const char *what, const struct cused_param *param,
			const char *text, uint64_t *ret, struct cused_error *err)
{
	bool size = param->type == CUSED_PARAM_SIZE;
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	unsigned long long v;
	char *end;
	int shift;

	/* strtoull takes signs and blanks, which nobody means here. */
	if (!isdigit((unsigned char)text[0]))
		goto bad;
	errno = 0;
	v = strtoull(text, &end, hex ? 16 : 10);
	if (errno == ERANGE)
		goto range;
	if (size && *end && !end[1] && (shift = suffix_shift(*end)) >= 0) {
		if (v > UINT64_MAX >> shift)
			goto range;
		v <<= shift;
		end++;
	}
	if (*end || (hex && end == text + 1))
		goto bad;
	if (v < param->min || (param->max && v > param->max))
		goto range;
	*ret = v;
	return 0;
bad:
	return cused_error_set(err, -EINVAL, "%s: %s=%s is not %s; write digits%s", what,
			       param->name, text, params_type_name(param->type),
			       size ? ", perhaps followed by K, M, G or T" : " or 0x and "
			       "hex digits");
range:
	return cused_error_set(err, -ERANGE,
			       "%s: %s=%s is out of range; give a value from %" PRIu64
			       " to %" PRIu64, what, param->name, text, param->min,
			       param->max ? param->max : UINT64_MAX);
}

/* A file has one line for it, and blanks around it mean nothing. */
static int check_word(const char *what, const char *key, const char *text,
		      struct cused_error *err)
{
	for (const char *p = text; *p; p++)
		if (iscntrl((unsigned char)*p))
			return cused_error_set(err, -EINVAL, "%s: %s= has a control character "
					       "(code %u); rename the thing, or give a link to it",
					       what, key, (unsigned char)*p);
	if (*text == ' ' || text[strlen(text) - 1] == ' ')
		return cused_error_set(err, -EINVAL, "%s: %s='%.200s' begins or ends with a "
				       "blank; leave it out, or give a link to the thing", what,
				       key, text);
	return 0;
}

static int parse_value(const char *what, const struct cused_param *param,
		       const char *text, struct cused_value *value,
		       struct cused_error *err)
{
	int r = 0;

	switch (param->type) {
	case CUSED_PARAM_STRING:
	case CUSED_PARAM_PATH:
		if (!*text)
			return cused_error_set(err, -EINVAL, "%s: %s= is empty; give %s or "
					       "leave the key out", what, param->name,
					       params_type_name(param->type));
		r = check_word(what, param->name, text, err);
		value->string = text;
		break;
	case CUSED_PARAM_BOOL:
		r = parse_bool(what, param->name, text, &value->number, err);
		break;
	case CUSED_PARAM_UINT:
	case CUSED_PARAM_SIZE:
		r = parse_number(what, param, text, &value->number, err);
		break;
	}
	if (r == 0)
		value->set = true;
	return r;
}

/* "a, b, c" of all keys, cut short where @size ends. */
static void known_keys(const struct params_table *tables, size_t n_tables, char *buf,
		       size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t t = 0; t < n_tables; t++)
		for (size_t i = 0; i < tables[t].n_params && at < size; i++)
			at += (size_t)snprintf(buf + at, size - at, "%s%s", at ? ", " : "",
					       tables[t].params[i].name);
}

static int parse_pair(const struct params_list *list, const struct params_pair *pair,
		      const struct params_table *tables, size_t n_tables,
		      struct cused_error *err)
{
	struct params_place place;
	char known[400];
	int r;

	for (size_t t = 0; t < n_tables; t++)
		for (size_t i = 0; i < tables[t].n_params; i++) {
			const struct cused_param *param = &tables[t].params[i];
			struct cused_value *value = &tables[t].values[i];

			if (strcmp(param->name, pair->key))
				continue;
			if (value->given)	/* by a list over this one */
				return 0;
			r = parse_value(params_place(list, pair->key, &place), param,
					pair->value, value, err);
			value->given = r == 0;
			return r;
		}
	known_keys(tables, n_tables, known, sizeof(known));
	return cused_error_set(err, -EINVAL, "%s: unknown key %.60s; known are %s",
			       params_place(list, pair->key, &place), pair->key, known);
}

int params_parse(const struct params_list *list, const struct params_table *tables,
		 size_t n_tables, struct cused_error *err)
{
	int r;

	for (size_t t = 0; t < n_tables; t++)
		if (tables[t].n_params)
			memset(tables[t].values, 0,
			       tables[t].n_params * sizeof(*tables[t].values));

	for (const struct params_list *l = list; l; l = l->under)
		for (size_t p = 0; p < l->n_pairs; p++) {
			r = parse_pair(l, &l->pairs[p], tables, n_tables, err);
			if (r < 0)
				return r;
		}
	for (size_t t = 0; t < n_tables; t++)
		for (size_t i = 0; i < tables[t].n_params; i++) {
			const struct cused_param *param = &tables[t].params[i];

			if (tables[t].values[i].set || !param->preset)
				continue;
			r = parse_value(list->what, param, param->preset, &tables[t].values[i],
					err);
			if (r < 0)
				return r;
		}
	return 0;
}

void params_print_value(FILE *f, const struct cused_param *param,
			const struct cused_value *value)
{
	static const char suffixes[] = "KMGT";
	uint64_t v = value->number;
	int unit = -1;

	switch (param->type) {
	case CUSED_PARAM_STRING:
	case CUSED_PARAM_PATH:
		fputs(value->string, f);
		break;
	case CUSED_PARAM_BOOL:
		fputs(v ? "on" : "off", f);
		break;
	case CUSED_PARAM_SIZE:
		while (v && v % 1024 == 0 && unit < 3) {
			v /= 1024;
			unit++;
		}
		fprintf(f, "%" PRIu64 "%.1s", v, unit >= 0 ? &suffixes[unit] : "");
		break;
	case CUSED_PARAM_UINT:
		/* A preset in hex says that this is how people know the number. */
		if (param->preset && strncmp(param->preset, "0x", 2) == 0)
			fprintf(f, "0x%0*" PRIx64, (int)strlen(param->preset) - 2, v);
		else
			fprintf(f, "%" PRIu64, v);
		break;
	}
}

const char *params_type_name(enum cused_param_type type)
{
	switch (type) {
	case CUSED_PARAM_STRING: return "a word";
	case CUSED_PARAM_PATH: return "a file name";
	case CUSED_PARAM_BOOL: return "on or off";
	case CUSED_PARAM_UINT: return "a number";
	case CUSED_PARAM_SIZE: return "a size";
	}
	return "a value";
}
