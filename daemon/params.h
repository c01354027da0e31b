/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * params.h - "name,key=value,key=value": from text to checked values and back.
 *
 * A comma inside a value is written twice. Tables of struct cused_param say which keys
 * there are; several tables can share one text (the keys of every device and the keys of
 * one model), each with an array of values parallel to it.
 */
#ifndef PARAMS_H
#define PARAMS_H

#include <stdio.h>
#include <vfio-cused/cused.h>

#define PARAMS_TEXT_MAX 8192	/* bytes in one option's text */

struct params_pair {
	const char *key, *value;
};

/* A text taken apart; owns all the strings. */
struct params_list {
	char *name;		/* before the first comma; may be empty */
	struct params_pair *pairs;
	size_t n_pairs;
	char *text;
};

/*
 * params_split - take a text apart.
 * @option: what the user wrote it behind ("--device"), for messages
 * Return: 0; -EINVAL a part without "=" or without a key, or a key given twice; -E2BIG
 * longer than PARAMS_TEXT_MAX; -ENOMEM.
 */
int params_split(const char *option, const char *text, struct params_list *ret,
		 struct cused_error *err);
void params_list_done(struct params_list *list);

struct params_table {
	const struct cused_param *params;
	size_t n_params;
	struct cused_value *values;	/* parallel; filled in by params_parse() */
};

/*
 * params_parse - look each key up in the tables, check its value, then fill in presets.
 * @what: "--device nvme", for messages
 * @list: strings of values point into it, so it has to live as long as they
 * Return: 0; -EINVAL an unknown key (the message lists the known ones) or a bad value;
 * -ERANGE a number outside its range.
 */
int params_parse(const char *what, const struct params_list *list,
		 const struct params_table *tables, size_t n_tables,
		 struct cused_error *err);

/* Write a value as the user could have given it (INI form: commas not doubled). */
void params_print_value(FILE *f, const struct cused_param *param,
			const struct cused_value *value);
/* "a number", "on or off", …; for help and the manual. */
const char *params_type_name(enum cused_param_type type);

#endif
