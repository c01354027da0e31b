/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conf_log.c - which lines are written: --log, [log] and -v. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <util/log.h>

#include "conf.h"
#include "registry.h"

#define ALL 0u			/* the place of the key of that name */

/* The modules of the program that speak with these levels: vfio-cused exec and the agent do
 * not. Those of backends have the names of the backends. */
static const struct cused_param program_modules[] = {
	[ALL] = { .name = "all", .text = "every module that has no level of its own; -v and -vv "
					 "count beside it, and the more talkative does" },
	{ .name = "access", .text = "who is refused a group" },
	{ .name = "call", .text = "calls of clients that fail, at debug" },
	{ .name = "ctl", .text = "the control socket" },
	{ .name = "handle", .text = "device files of clients" },
	{ .name = "run", .text = "the run command" },
	{ .name = "serve", .text = "start, configuration and end of the service" },
	{ .name = "server", .text = "the connections to the kernel" },
	{ .name = "service", .text = "nodes, and device files brought to clients" },
	{ .name = "trap", .text = "system calls of clients of run" },
};
#define N_PROGRAM (sizeof(program_modules) / sizeof(program_modules[0]))

static struct cused_param params[CONF_LOG_KEYS_MAX];
static size_t n_params;

static bool is_there(const char *name)
{
	for (size_t i = 0; i < n_params; i++)
		if (!strcmp(params[i].name, name))
			return true;
	return false;
}

static void params_make(void)
{
	const struct cused_device_ops *device;

	for (; n_params < N_PROGRAM; n_params++)
		params[n_params] = program_modules[n_params];
	for (size_t i = 0; n_params < CONF_LOG_KEYS_MAX && (device = registry_device(i)); i++)
		if (!is_there(device->name))
			params[n_params++] = (struct cused_param){
				.name = device->name, .text = device->summary };
	for (size_t i = 0; i < n_params; i++)
		params[i].type = CUSED_PARAM_STRING;
}

const struct cused_param *conf_log_params(size_t *ret_n)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, params_make);
	*ret_n = n_params;
	return params;
}

/* Return: 0, -EINVAL. */
static int parse_level(const char *text, enum cused_log_level *ret)
{
	static const char *const words[] = {
		[CUSED_LOG_ERROR] = "error", [CUSED_LOG_WARNING] = "warning",
		[CUSED_LOG_INFO] = "info", [CUSED_LOG_DEBUG] = "debug",
	};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(text, words[i])) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

int conf_take_log(struct conf *conf, struct params_list *list, struct cused_error *err)
{
	struct cused_value values[CONF_LOG_KEYS_MAX];
	struct params_table table = { .values = values };
	enum cused_log_level level;
	struct params_place place;
	int r = params_lay(list, &conf->log_list, err);

	table.params = conf_log_params(&table.n_params);
	if (r == 0)
		r = params_parse(list, &table, 1, err);
	for (size_t i = 0; r == 0 && i < table.n_params; i++) {
		const char *key = table.params[i].name;

		if (values[i].set && parse_level(values[i].string, &level))
			r = cused_error_set(err, -EINVAL, "%s: %s=%.60s is no level; write error, "
					    "warning, info or debug",
					    params_place(list, key, &place), key,
					    values[i].string);
	}
	params_lay_end(list, &conf->log_list, r == 0);
	if (r == 0)
		memcpy(conf->log, values, table.n_params * sizeof(values[0]));
	return r;
}

int conf_set_log(struct conf *conf, const char *text, struct cused_error *err)
{
	return conf_set_nameless(conf, "--log", text, conf_take_log, err);
}

void conf_log_apply(const struct conf *conf, enum cused_log_level usual)
{
	enum cused_log_level all = usual, said = CUSED_LOG_ERROR, level;
	size_t n;

	conf_log_params(&n);
	if (conf->verbose)
		said = conf->verbose > 1 ? CUSED_LOG_DEBUG : CUSED_LOG_INFO;
	if (conf->log[ALL].set)
		parse_level(conf->log[ALL].string, &all);
	log_set_level(said > all ? said : all);
	for (size_t i = ALL + 1; i < n; i++) {
		if (conf->log[i].set && parse_level(conf->log[i].string, &level) == 0)
			log_set_module(params[i].name, level);
		else
			log_unset_module(params[i].name);
	}
}
