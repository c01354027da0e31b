/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz/ctl_fuzz.c - requests at the control socket, and a status for people.
 *
 * The first byte: bit 0: the peer may change things; bit 1: changes fail; bit 2: the rest is
 * no request, but what a status is printed from. An answer is one line of JSON, of ASCII, in
 * the form that the manual describes; a change is made by whom may only, with what was asked.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ctl.h>
#include <transport/open_notes.h>
#include "fuzz.h"

static struct {
	bool fails;
	unsigned changes, jobs;
} asked;

static int files(void *arg, struct open_notes *ret)
{
	return 0;
}

static const char *device_id(void *arg, const char *bdf)
{
	return NULL;
}

static int change(struct cused_error *err, const char *text)
{
	INSIST(text);
	asked.changes++;
	return asked.fails ? cused_error_set(err, -ENOENT, "there is no %s", text) : 0;
}

static int add(void *arg, const char *text, char ret_bdf[16], char ret_group[32],
	       struct cused_error *err)
{
	strcpy(ret_bdf, "0000:01:00.0");
	strcpy(ret_group, "1");
	return change(err, text);
}

static int remove_it(void *arg, const char *name, bool revoke, uint64_t *ret_job,
		     struct cused_error *err)
{
	*ret_job = 1;
	asked.jobs++;
	return change(err, name);
}

static int stop(void *arg, bool revoke, uint64_t *ret_job, struct cused_error *err)
{
	*ret_job = 1;
	asked.jobs++;
	return change(err, "stop");
}

static const struct ctl_ops ops = {
	.mode = "serve", .files = files, .device_id = device_id, .add = add,
	.remove = remove_it, .stop = stop,
};

static void print(const uint8_t *data, size_t size)
{
	json_t *json = json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL);
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	INSIST(f);
	ctl_print_status(f, json);
	fclose(f);
	INSIST(n > 0 && text[n - 1] == '\n');
	free(text);
	json_decref(json);
}

static void check_answer(const char *line)
{
	size_t n = strlen(line);
	json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	const json_t *ok = json_object_get(json, "ok");

	INSIST(n > 1 && strchr(line, '\n') == line + n - 1);
	for (size_t i = 0; i + 1 < n; i++)
		INSIST(line[i] >= ' ' && line[i] <= '~');
	INSIST(json_integer_value(json_object_get(json, "v")) == CTL_VERSION);
	INSIST(json_is_boolean(ok));
	if (json_is_true(ok)) {
		INSIST(json_is_object(json_object_get(json, "result")));
	} else {
		INSIST(json_string_length(json_object_get(json, "error")) > 1);
		INSIST(json_string_length(json_object_get(json, "text")) > 1);
	}
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct topology *topology;
	static const struct topology_params params;
	struct ctl ctl = { .ops = &ops };
	uint64_t job = 0;
	char *line = NULL;
	bool may;
	int r;

	if (!topology)
		INSIST(topology_new(&params, &topology) == 0);
	ctl.topology = topology;
	if (size == 0)
		return 0;
	if (data[0] & 4) {
		print(data + 1, size - 1);
		return 0;
	}
	may = data[0] & 1;
	asked.fails = data[0] & 2;
	asked.changes = asked.jobs = 0;
	r = ctl_request(&ctl, (const char *)data + 1, size - 1, may, &line, &job);
	INSIST(r == 0);
	INSIST(asked.changes <= (may ? 1 : 0));
	INSIST((job != 0) == (asked.jobs && !asked.fails));
	INSIST((line == NULL) == (job != 0));
	if (line)
		check_answer(line);
	free(line);
	return 0;
}
