/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * params.h - keys and values: from text to checked values and back.
 *
 * A list comes from the command line, "name,key=value,key=value" with a comma inside a value
 * written twice, or from a section of a configuration file, key by key. It knows where it
 * was written, so that every message can tell. Tables of struct cused_param say which keys
 * there are; several tables can share one list (the keys of every device and the keys of
 * one model), each with an array of values parallel to it.
 */
#ifndef PARAMS_H
#define PARAMS_H

#include <stdio.h>
#include <vfio-cused/cused.h>

#define PARAMS_TEXT_MAX 8192	/* bytes in one option's text */
#define PARAMS_WHAT_SIZE 64

struct params_pair {
	char *key;
	const char *value;		/* in the same memory */
	unsigned line;			/* of the file */
};

struct params_list {
	char *name;			/* before the first comma, or "backend"; may be empty */
	struct params_pair *pairs;
	size_t n_pairs;
	char what[PARAMS_WHAT_SIZE];	/* "--device nvme", "[device "disk"]" */
	char *file;			/* NULL: the command line */
	unsigned line;			/* where the section begins */
	struct params_list *under;	/* has what this one does not give; NULL: nothing */
};

/*
 * params_split - take a text of the command line apart.
 * @option: what the user wrote it behind ("--device"), for messages
 * Return: 0; -EINVAL a part without "=" or without a key, or a key given twice; -E2BIG
 * longer than PARAMS_TEXT_MAX; -ENOMEM.
 */
int params_split(const char *option, const char *text, struct params_list *ret,
		 struct cused_error *err);

/*
 * params_begin - an empty list for a section of a file; params_add() puts keys into it.
 * @what: the section as the user wrote it, for messages
 * @name: see struct params_list
 * Return: 0, -ENOMEM with @err set.
 */
int params_begin(const char *file, unsigned line, const char *what, const char *name,
		 struct params_list *ret, struct cused_error *err);
/* Return: 0; -EINVAL @key is there already; -ENOMEM; each with @err set. */
int params_add(struct params_list *list, const char *key, const char *value, unsigned line,
	       struct cused_error *err);
void params_list_done(struct params_list *list);

/*
 * A list of the command line stands over one of a file, key by key: before @list is parsed,
 * params_lay() puts @old, if it is of a file and @list is not, under it. When that is done,
 * params_lay_end() makes @list the new @old if all was @good, and else takes it away and
 * has @old as it was. Either way @list is empty then.
 * Return: 0; -ENOMEM with @err set.
 */
int params_lay(struct params_list *list, struct params_list *old, struct cused_error *err);
void params_lay_end(struct params_list *list, struct params_list *old, bool good);

/* Where a key was written, for the beginning of a message: "--device nvme", or
 * "/etc/x.conf:12: [device "disk"]". @key: NULL, or not given: the list as a whole. */
struct params_place {
	char text[320];
};
const char *params_place(const struct params_list *list, const char *key,
			 struct params_place *buf);

struct params_table {
	const struct cused_param *params;
	size_t n_params;
	struct cused_value *values;	/* parallel; filled in by params_parse() */
};

/*
 * params_parse - look each key up in the tables, check its value, then fill in presets.
 * @list: strings of values point into it, so it has to live as long as they
 * Return: 0; -EINVAL an unknown key (the message lists the known ones) or a bad value, which
 * a word is that a file could not hold: with control characters, or a blank at an end;
 * -ERANGE a number outside its range.
 */
int params_parse(const struct params_list *list, const struct params_table *tables,
		 size_t n_tables, struct cused_error *err);

/* Write a value as the user could have given it (INI form: commas not doubled). */
void params_print_value(FILE *f, const struct cused_param *param,
			const struct cused_value *value);
/* "a number", "on or off", …; for help and the manual. */
const char *params_type_name(enum cused_param_type type);

#endif
