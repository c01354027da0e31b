/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz/text_fuzz.c - the texts of --device, --iommu and --service. The input is a list of
 * lines; the first letter of a line says which option it is.
 *
 * Whatever is refused is refused with a sentence, and changes nothing: the next text finds
 * the configuration as if there had been none. What was taken has values inside their
 * ranges, and can be written down.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <conf.h>
#include "fuzz.h"

#define LINES 12

/* A key's value is what its table allows. */
static void check_values(const struct cused_param *params, size_t n,
			 const struct cused_value *values)
{
	for (size_t i = 0; i < n; i++) {
		if (!values[i].set)
			continue;
		if (params[i].type == CUSED_PARAM_STRING)
			INSIST(values[i].string);
		if (params[i].type == CUSED_PARAM_BOOL)
			INSIST(values[i].number <= 1);
		if (params[i].type == CUSED_PARAM_UINT)
			INSIST(values[i].number >= params[i].min &&
			       (!params[i].max || values[i].number <= params[i].max));
	}
}

static int one_line(struct conf *conf, const char *line, struct cused_error *err)
{
	struct pci_address address;
	size_t before = conf->n_devices;
	int r;

	switch (line[0]) {
	case 'i':
		return conf_set_iommu(conf, line + 1, err);
	case 's':
		return conf_set_service(conf, line + 1, err);
	case 'b':
		r = conf_parse_bdf(line + 1, &address);
		INSIST(r == -EINVAL || (r == 0 && address.slot < 32 && address.function < 8));
		return 0;
	default:
		r = conf_add_device(conf, line, err);
		INSIST(conf->n_devices == before + (r == 0));
		return r;
	}
}

static void check_finished(const struct conf *conf)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	INSIST(f);
	conf_dump(conf, f);
	fclose(f);
	INSIST(size > 0);
	free(text);
	for (size_t i = 0; i < conf->n_devices; i++) {
		const struct conf_device *d = &conf->devices[i];

		INSIST(d->group <= CONF_GROUP_MAX && d->id[0] && strlen(d->bdf) >= 12);
		check_values(conf_device_params, CONF_DEVICE_KEYS, d->common);
		check_values(d->ops->params, d->ops->n_params, d->values);
		for (size_t j = 0; j < i; j++)
			INSIST(strcmp(d->id, conf->devices[j].id) &&
			       strcmp(d->bdf, conf->devices[j].bdf));
	}
	check_values(conf_iommu_params, CONF_IOMMU_KEYS, conf->iommu_common);
	check_values(conf->iommu->params, conf->iommu->n_params, conf->iommu_values);
	check_values(conf_service_params, CONF_SERVICE_KEYS, conf->service);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *save = NULL;
	struct cused_error err;
	struct conf conf;
	unsigned n = 0;
	int r;

	INSIST(text);
	memcpy(text, data, size);
	text[size] = '\0';
	conf_init(&conf);
	for (char *line = strtok_r(text, "\n", &save); line && n < LINES;
	     line = strtok_r(NULL, "\n", &save), n++) {
		err.text[0] = '\0';
		r = one_line(&conf, line, &err);
		INSIST(r == 0 || (r < 0 && err.text[0]));
	}
	err.text[0] = '\0';
	r = conf_finish(&conf, "/nonexistent", &err);
	INSIST(r == 0 || (r < 0 && err.text[0]));
	if (r == 0)
		check_finished(&conf);
	conf_done(&conf);
	free(text);
	return 0;
}
