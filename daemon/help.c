/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * help.c - `vfio-cused help`: everything comes out of the tables that parsing uses.
 *
 * A key's line begins with two blanks and the key, and an option's with two blanks and
 * dashes: the test that compares help and manual looks for these.
 */
#include <string.h>

#include "cli.h"
#include "registry.h"

#define WIDTH 80

void help_wrap(FILE *f, unsigned indent, const char *text)
{
	unsigned column = 0;

	while (*text) {
		size_t len = strcspn(text, " \n");

		if (column && column + 1 + len > WIDTH) {
			fputc('\n', f);
			column = 0;
		}
		if (len) {
			if (column)
				fputc(' ', f);
			else
				fprintf(f, "%*s", (int)indent, "");
			column = (column ? column + 1 : indent) + (unsigned)len;
			fwrite(text, 1, len, f);
			text += len;
		}
		/* One newline is a blank, two are a new paragraph. */
		if (text[0] == '\n' && text[1] == '\n') {
			fputs("\n\n", f);
			column = 0;
			text += 2;
		} else if (*text) {
			text++;
		}
	}
	if (column)
		fputc('\n', f);
}

static void print_option(FILE *f, const struct cli_option *option)
{
	char head[64] = "";
	size_t at = 0;

	if (option->letter)
		at = (size_t)snprintf(head, sizeof(head), "-%c, ", option->letter);
	snprintf(head + at, sizeof(head) - at, "--%s%s%s", option->name,
		 option->argument ? " " : "", option->argument ? option->argument : "");
	fprintf(f, "  %s\n", head);
	help_wrap(f, 6, option->text);
}

static void print_number(FILE *f, const struct cused_param *param, uint64_t number)
{
	struct cused_value value = { .set = true, .number = number };

	params_print_value(f, param, &value);
}

static void print_param(FILE *f, const struct cused_param *param)
{
	bool number = param->type == CUSED_PARAM_UINT || param->type == CUSED_PARAM_SIZE;

	fprintf(f, "  %s=  (%s", param->name, params_type_name(param->type));
	if (number && (param->min || param->max)) {
		fputs(param->max ? ", " : ", at least ", f);
		print_number(f, param, param->min);
		if (param->max)
			fputs(" to ", f);
		if (param->max)
			print_number(f, param, param->max);
	}
	if (param->preset)
		fprintf(f, "; default %s", param->preset);
	fputs(")\n", f);
	help_wrap(f, 6, param->text);
}

static void print_params(FILE *f, const char *title, const struct cused_param *params,
			 size_t n)
{
	if (n == 0)
		return;
	fprintf(f, "\n%s\n", title);
	for (size_t i = 0; i < n; i++)
		print_param(f, &params[i]);
}

void help_overview(FILE *f)
{
	const struct cused_device_ops *device;
	const struct cused_iommu_ops *iommu;

	fputs("Run unmodified VFIO programs with simulated PCI devices.\n\nUsage:\n", f);
	for (const struct cli_command *c = cli_commands; c->name; c++) {
		fprintf(f, "  vfio-cused %s%s%s\n", c->name, *c->arguments ? " " : "",
			c->arguments);
		help_wrap(f, 6, c->text);
	}
	fputs("\nOptions:\n", f);
	for (const struct cli_option *o = cli_options; o->name; o++)
		print_option(f, o);
	fputs("\nDevices (vfio-cused help NAME):\n", f);
	for (size_t i = 0; (device = registry_device(i)); i++)
		fprintf(f, "  %-8s %s\n", device->name, device->summary);
	fputs("\nIOMMU backends (vfio-cused help NAME):\n", f);
	for (size_t i = 0; (iommu = registry_iommu(i)); i++)
		fprintf(f, "  %-8s %s\n", iommu->name, iommu->summary);
	fputs("\nThe manual: vfio-cused(1), vfio-cused.conf(5), vfio-cused-serve(8), "
	      "vfio-cused-ctl(7), "
	      "vfio-cused-backends(7).\n", f);
}

static void help_device(const struct cused_device_ops *ops)
{
	printf("%s - %s\n\n", ops->name, ops->summary);
	if (ops->description)
		help_wrap(stdout, 0, ops->description);
	if (ops->n_params)
		print_params(stdout, "Keys of this model:", ops->params, ops->n_params);
	print_params(stdout, "Keys of every device:", conf_device_params, CONF_DEVICE_KEYS);
	if (CUSED_HAS(ops, flags) && ops->flags & CUSED_DEVICE_HOST)
		printf("\nExample: vfio-cused serve --device %s,bdf=0000:01:00.0\n", ops->name);
	else
		printf("\nExample: vfio-cused run --device %s -- lspci -nnk\n", ops->name);
}

static void help_iommu(const struct cused_iommu_ops *ops)
{
	printf("%s - %s\n\n", ops->name, ops->summary);
	if (ops->description)
		help_wrap(stdout, 0, ops->description);
	print_params(stdout, "Keys of this backend:", ops->params, ops->n_params);
	print_params(stdout, "Keys of every IOMMU:", conf_iommu_params, CONF_IOMMU_KEYS);
}

static const struct cli_command *find_command(const char *name)
{
	for (const struct cli_command *c = cli_commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static int unknown(const char *name)
{
	const struct cused_device_ops *device;
	const struct cused_iommu_ops *iommu;

	fprintf(stderr, "vfio-cused: help %s: no such topic; known are", name);
	for (const struct cli_command *c = cli_commands; c->name; c++)
		fprintf(stderr, " %s,", c->name);
	for (size_t i = 0; (device = registry_device(i)); i++)
		fprintf(stderr, " %s,", device->name);
	for (size_t i = 0; (iommu = registry_iommu(i)); i++)
		fprintf(stderr, " %s,", iommu->name);
	fputs(" device, group, iommu, log, service\n", stderr);
	return CLI_FAILURE;
}

int help_command(const struct conf *conf, char **args)
{
	const struct cused_device_ops *device;
	const struct cused_iommu_ops *iommu;
	const struct cli_command *command;
	const char *name = args[0];

	(void)conf;
	if (!name) {
		help_overview(stdout);
	} else if ((device = registry_find_device(name))) {
		help_device(device);
	} else if ((iommu = registry_find_iommu(name))) {
		help_iommu(iommu);
	} else if ((command = find_command(name))) {
		printf("vfio-cused %s %s\n\n", command->name, command->arguments);
		help_wrap(stdout, 0, command->text);
	} else if (!strcmp(name, "device")) {
		print_params(stdout, "Keys of every device:", conf_device_params,
			     CONF_DEVICE_KEYS);
	} else if (!strcmp(name, "iommu")) {
		print_params(stdout, "Keys of every IOMMU:", conf_iommu_params,
			     CONF_IOMMU_KEYS);
	} else if (!strcmp(name, "group")) {
		print_params(stdout, "Keys of --group:", conf_group_params, CONF_GROUP_KEYS);
	} else if (!strcmp(name, "log")) {
		size_t n;
		const struct cused_param *params = conf_log_params(&n);

		print_params(stdout, "Keys of --log:", params, n);
	} else if (!strcmp(name, "service")) {
		print_params(stdout, "Keys of --service:", conf_service_params,
			     CONF_SERVICE_KEYS);
	} else {
		return unknown(name);
	}
	return 0;
}
