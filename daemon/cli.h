/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cli.h - the command line: options and commands, their tables, and what the program's
 * files offer each other to carry them out.
 */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "conf.h"

/* Exit status for everything that is our failure and not the command's, as env(1). */
#define CLI_FAILURE 125

struct cli_option {
	const char *name;		/* without the dashes */
	char letter;			/* 0: none */
	const char *argument;		/* NULL: takes none */
	const char *text;
};

struct cli_command {
	const char *name;
	const char *arguments;		/* "[OPTION]… -- CMD [ARG]…" */
	const char *text;
	unsigned min_args, max_args;	/* words after the options */
	bool mixes;			/* options may stand between the words, too */
	bool takes_conf;		/* --config, --device, --iommu, --dump-config make sense */
	/* Before the configuration is finished, not for --dump-config; NULL: nothing. It may set
	 * conf->sysfs. Return: 0 or an exit status. */
	int (*prepare)(struct conf *conf);
	/* Return: the program's exit status. @conf is finished if takes_conf. */
	int (*run)(const struct conf *conf, char **args);
};

/* Both end with an entry without a name. */
extern const struct cli_option cli_options[];
extern const struct cli_command cli_commands[];

/* The whole program. Return: its exit status. */
int cli_main(int argc, char **argv);

/* On standard error, "vfio-cused: …". Return: CLI_FAILURE. */
__attribute__((format(printf, 1, 2)))
int cli_complain(const char *fmt, ...);

/* ---- commands besides run (run.h) and exec (exec.h); each returns an exit status ---- */

/* check.c: 0 if `run`, or what args[0] names, would work here, else 1. */
int check_command(const struct conf *conf, char **args);
/* list.c */
int list_command(const struct conf *conf, char **args);
/* help.c: args[0] names a topic; NULL: the overview. */
int help_command(const struct conf *conf, char **args);

/* ---- help.c ---- */

/* The overview: usage, options, commands, topics. */
void help_overview(FILE *f);
/* Paragraphs of @text, wrapped, each line after @indent blanks. */
void help_wrap(FILE *f, unsigned indent, const char *text);

#endif
