/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz/file_fuzz.c - the bytes of a configuration file.
 *
 * What is refused is refused with a sentence that begins with the file's name. What is taken
 * can be dumped, the dump is taken in its turn, and it dumps the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <conf_load.h>
#include "fuzz.h"

#define NAME "F"

/* Return: the dump, or NULL if the whole cannot go together. */
static char *finish(struct conf *conf)
{
	struct cused_error err = { "" };
	char *text = NULL;
	size_t size;
	FILE *f;

	conf->file_read = true;
	if (conf_finish(conf, "/nonexistent", &err)) {
		INSIST(err.text[0]);
		return NULL;
	}
	f = open_memstream(&text, &size);
	INSIST(f);
	conf_dump(conf, f);
	fclose(f);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cused_error err = { "" };
	char *text = malloc(size + 1), *once = NULL, *again;
	struct conf conf;
	int r;

	INSIST(text);
	memcpy(text, data, size);
	text[size] = '\0';
	conf_init(&conf);
	r = conf_parse(&conf, NAME, text, size, &err);
	INSIST(r == 0 || (r < 0 && !strncmp(err.text, NAME ":", 2)));
	if (r == 0)
		once = finish(&conf);
	conf_done(&conf);
	if (once) {
		r = conf_parse(&conf, NAME, once, strlen(once), &err);
		INSIST(r == 0);
		again = finish(&conf);
		INSIST(again && !strcmp(once, again));
		conf_done(&conf);
		free(again);
	}
	free(once);
	free(text);
	return 0;
}
