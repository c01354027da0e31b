/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <util/cleanup.h>

#include "conf.h"
#include "ctl.h"
#include "registry.h"

const struct cused_param conf_device_params[CONF_DEVICE_KEYS] = {
	[CONF_DEVICE_BDF] = {
		.name = "bdf", .type = CUSED_PARAM_STRING,
		.text = "PCI address, [SSSS:]BB:DD.F in hex digits; left out: the first bus "
			"from 0000:01 that nothing else uses",
	},
	[CONF_DEVICE_GROUP] = {
		.name = "group", .type = CUSED_PARAM_UINT, .max = CONF_GROUP_MAX,
		.text = "number of the IOMMU group, which several devices may share; left "
			"out: the first number that nothing else uses",
	},
	[CONF_DEVICE_ID] = {
		.name = "id", .type = CUSED_PARAM_STRING,
		.text = "name of the device in messages and output; left out: the model and "
			"a number",
	},
	[CONF_DEVICE_NOIOMMU] = {
		.name = "noiommu", .type = CUSED_PARAM_BOOL, .preset = "off",
		.text = "put the device in a noiommu group, /dev/vfio/noiommu-GROUP; needs "
			"--iommu with unsafe_noiommu=on",
	},
};

const struct cused_param conf_iommu_params[CONF_IOMMU_KEYS] = {
	[CONF_IOMMU_DMA_ENTRY_LIMIT] = {
		.name = "dma_entry_limit", .type = CUSED_PARAM_UINT, .preset = "65535",
		.min = 1, .max = UINT32_MAX,
		.text = "most mappings in one container, as the kernel module's parameter of "
			"this name",
	},
	[CONF_IOMMU_MEMLOCK] = {
		.name = "memlock", .type = CUSED_PARAM_STRING, .preset = "off",
		.text = "enforce or off: whether mappings beyond the client's RLIMIT_MEMLOCK "
			"fail, as they do where the kernel pins memory; nothing is pinned here",
	},
	[CONF_IOMMU_UNSAFE_NOIOMMU] = {
		.name = "unsafe_noiommu", .type = CUSED_PARAM_BOOL, .preset = "off",
		.text = "what enable_unsafe_noiommu_mode is to the kernel: allow noiommu groups",
	},
	[CONF_IOMMU_NESTING] = {
		.name = "nesting", .type = CUSED_PARAM_BOOL, .preset = "off",
		.text = "answer the nesting extension (id 6) as Linux 6.12 and older do",
	},
};

const struct cused_param conf_service_params[CONF_SERVICE_KEYS] = {
	[CONF_SERVICE_MEMORY] = {
		.name = "memory", .type = CUSED_PARAM_STRING, .preset = "auto",
		.text = "auto or retry: how the arguments of calls on containers and groups "
			"are copied; auto: by the service, where it may, in one round trip; "
			"retry: by the kernel, in several",
	},
	[CONF_SERVICE_COURIER] = {
		.name = "courier", .type = CUSED_PARAM_BOOL, .preset = "on",
		.text = "bring device files to any client, by stopping it for a moment as a "
			"debugger does; off: only to clients that vfio-cused exec has started",
	},
	[CONF_SERVICE_SYSFS] = {
		.name = "sysfs", .type = CUSED_PARAM_BOOL, .preset = "on",
		.text = "show the devices in the machine's /sys, where clients look for them",
	},
	[CONF_SERVICE_PREFIX] = {
		.name = "prefix", .type = CUSED_PARAM_STRING, .preset = "vfio",
		.text = "the directory of /dev for the nodes, as --prefix; where it is not vfio, "
			"clients need it at /dev/vfio (a bind mount, a container's device)",
	},
	[CONF_SERVICE_REPLACE] = {
		.name = "replace", .type = CUSED_PARAM_BOOL, .preset = "off",
		.text = "take the name /dev/vfio/vfio from the kernel's own vfio where that is "
			"loaded, and those of its groups that are served, and put its nodes "
			"back at the end; meanwhile no program can begin to use the kernel's "
			"VFIO, what is open goes on",
	},
	[CONF_SERVICE_DMA] = {
		.name = "dma", .type = CUSED_PARAM_STRING, .preset = "auto",
		.text = "auto, file, courier or swap: how memory is mapped for devices of the machine; "
			"file: by the file behind it, for shared memory alone; courier: by the "
			"client itself, which is stopped for a moment; auto: by file where "
			"possible, else by courier; swap: the client gets the kernel's iommufd in "
			"place of its container, and maps without the service, where that is "
			"possible, else as auto",
	},
	[CONF_SERVICE_CTL] = {
		.name = "ctl", .type = CUSED_PARAM_PATH, .preset = CTL_SOCKET,
		.text = "the control socket, for vfio-cused ctl; off: there is none",
	},
	[CONF_SERVICE_CTL_MODE] = {
		.name = "ctl_mode", .type = CUSED_PARAM_STRING, .preset = "0600",
		.text = "mode of the control socket, octal: who may write to it may ask; "
			"changes are for root and its owner alone",
	},
	[CONF_SERVICE_CTL_OWNER] = {
		.name = "ctl_owner", .type = CUSED_PARAM_STRING, .preset = "0",
		.text = "owner of the control socket, a name or a number",
	},
	[CONF_SERVICE_CTL_GROUP] = {
		.name = "ctl_group", .type = CUSED_PARAM_STRING, .preset = "0",
		.text = "group of the control socket, a name or a number",
	},
	[CONF_SERVICE_AGENT] = {
		.name = "agent", .type = CUSED_PARAM_PATH, .preset = "off",
		.text = "socket of a service manager that starts the agent, as systemd's "
			"vfio-cused-agent.socket does; off: the service starts it",
	},
};

const struct cused_param conf_group_params[CONF_GROUP_KEYS] = {
	[CONF_GROUP_MODE] = {
		.name = "mode", .type = CUSED_PARAM_STRING, .preset = "0600",
		.text = "permission bits of the group's node, three octal digits, or four that "
			"begin with 0",
	},
	[CONF_GROUP_OWNER] = {
		.name = "owner", .type = CUSED_PARAM_STRING, .preset = "0",
		.text = "user that the node belongs to: a name or a number",
	},
	[CONF_GROUP_GROUP] = {
		.name = "group", .type = CUSED_PARAM_STRING, .preset = "0",
		.text = "group of users that the node belongs to: a name or a number",
	},
};

void conf_init(struct conf *conf)
{
	memset(conf, 0, sizeof(*conf));
}

static void device_done(struct conf_device *device)
{
	params_list_done(&device->list);
	free(device->values);
}

void conf_done(struct conf *conf)
{
	for (size_t i = 0; i < conf->n_devices; i++)
		device_done(&conf->devices[i]);
	free(conf->devices);
	for (size_t i = 0; i < conf->n_groups; i++)
		params_list_done(&conf->groups[i].list);
	free(conf->groups);
	params_list_done(&conf->iommu_list);
	free(conf->iommu_values);
	params_list_done(&conf->service_list);
	params_list_done(&conf->log_list);
	conf_init(conf);
}

int conf_parse_bdf(const char *text, struct pci_address *ret)
{
	static const unsigned widths[4] = { 4, 2, 2, 1 };	/* SSSS BB DD F */
	static const unsigned limits[4] = { 0xffff, 0xff, 0x1f, 7 };
	unsigned v[4] = { 0 };
	const char *first = strchr(text, ':');
	unsigned part = first && strchr(first + 1, ':') ? 0 : 1;

	for (; part < 4; part++) {
		unsigned n = 0;

		for (; isxdigit((unsigned char)*text); text++, n++) {
			if (n == widths[part])
				return -EINVAL;
			v[part] = v[part] * 16 + (isdigit((unsigned char)*text) ?
				(unsigned)(*text - '0') :
				(unsigned)(tolower((unsigned char)*text) - 'a' + 10));
		}
		if (n == 0 || v[part] > limits[part] || *text != ("::.")[part])
			return -EINVAL;
		text++;		/* at the last part this steps over the NUL, unread */
	}
	*ret = (struct pci_address){ (uint16_t)v[0], (uint8_t)v[1], (uint8_t)v[2],
				     (uint8_t)v[3] };
	return 0;
}

static int check_id(const struct params_list *list, const char *id, struct cused_error *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.-";
	struct params_place place;

	if (strlen(id) >= sizeof(((struct conf_device *)0)->id))
		return cused_error_set(err, -EINVAL, "%s: id=%.60s is longer than %zu "
				       "characters; shorten it", params_place(list, "id", &place),
				       id, sizeof(((struct conf_device *)0)->id) - 1);
	if (id[strspn(id, allowed)])
		return cused_error_set(err, -EINVAL, "%s: id=%s has a character other than "
				       "letters, digits, '_', '.' and '-'; rename it",
				       params_place(list, "id", &place), id);
	return 0;
}

bool conf_is_host(const struct conf_device *device)
{
	return CUSED_HAS(device->ops, flags) && device->ops->flags & CUSED_DEVICE_HOST;
}

bool conf_waits(const struct conf_device *device)
{
	for (size_t i = 0; conf_is_host(device) && i < device->ops->n_params; i++)
		if (!strcmp(device->ops->params[i].name, CUSED_HOST_WAIT))
			return device->values[i].number;
	return false;
}

/* A device of the machine is where it is. */
static int check_host(const struct conf_device *device, struct cused_error *err)
{
	const struct cused_value *common = device->common;
	struct params_place place;

	if (!common[CONF_DEVICE_BDF].string)
		return cused_error_set(err, -EINVAL, "%s: no bdf; say which device of this "
				       "machine, as lspci -D writes it: bdf=0000:01:00.0",
				       params_place(&device->list, NULL, &place));
	if (common[CONF_DEVICE_GROUP].given)
		return cused_error_set(err, -EINVAL, "%s: group=%llu cannot be chosen: it is the "
				       "machine's; leave it out",
				       params_place(&device->list, "group", &place),
				       (unsigned long long)common[CONF_DEVICE_GROUP].number);
	if (common[CONF_DEVICE_NOIOMMU].number)
		return cused_error_set(err, -EINVAL, "%s: noiommu=on is for simulated devices; "
				       "leave it out",
				       params_place(&device->list, "noiommu", &place));
	return 0;
}

/* What can be judged of one device alone. */
static int check_device(struct conf_device *device, struct cused_error *err)
{
	const struct cused_value *common = device->common;
	const char *bdf = common[CONF_DEVICE_BDF].string;
	struct params_place place;
	int r = conf_is_host(device) ? check_host(device, err) : 0;

	if (r)
		return r;
	if (bdf && conf_parse_bdf(bdf, &device->address) < 0)
		return cused_error_set(err, -EINVAL, "%s: bdf=%.60s is not a PCI address; write "
				       "it like 0000:01:00.0",
				       params_place(&device->list, "bdf", &place), bdf);
	if (common[CONF_DEVICE_ID].string)
		return check_id(&device->list, common[CONF_DEVICE_ID].string, err);
	return 0;
}

static void known_names(bool iommus, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; at < size; i++) {
		const struct cused_device_ops *device = iommus ? NULL : registry_device(i);
		const struct cused_iommu_ops *iommu = iommus ? registry_iommu(i) : NULL;

		if (!device && !iommu)
			break;
		at += (size_t)snprintf(buf + at, size - at, "%s%s", at ? ", " : "",
				       device ? device->name : iommu->name);
	}
}

void conf_known_devices(char *buf, size_t size)
{
	known_names(false, buf, size);
}

void conf_known_iommus(char *buf, size_t size)
{
	known_names(true, buf, size);
}

static int unknown_name(const struct params_list *list, bool iommus, struct cused_error *err)
{
	struct params_place place;
	char known[256];

	known_names(iommus, known, sizeof(known));
	if (!list->file)
		return cused_error_set(err, -ENOENT, "--%s %.200s: no such %s; known are %s",
				       iommus ? "iommu" : "device", list->name,
				       iommus ? "backend" : "device", known);
	return cused_error_set(err, -ENOENT, "%s: backend = %.60s: no such %s; known are %s",
			       params_place(list, NULL, &place), list->name,
			       iommus ? "backend" : "device", known);
}

static int no_memory(const struct params_list *list, struct cused_error *err)
{
	struct params_place place;

	return cused_error_set(err, -ENOMEM, "%s: out of memory",
			       params_place(list, NULL, &place));
}

/* ---- devices ---- */

/* A device of a file in whose stead @device is. NULL: none. */
static struct conf_device *device_below(struct conf *conf, const struct conf_device *device)
{
	const char *id = device->common[CONF_DEVICE_ID].string;

	for (size_t i = 0; !device->list.file && id && i < conf->n_devices; i++) {
		struct conf_device *other = &conf->devices[i];

		if (other->list.file && !strcmp(other->common[CONF_DEVICE_ID].string, id))
			return other;
	}
	return NULL;
}

static int device_append(struct conf *conf, const struct conf_device *device,
			 struct cused_error *err)
{
	struct params_place place;
	struct conf_device *grown;

	if (conf->n_devices == CONF_DEVICES_MAX)
		return cused_error_set(err, -E2BIG, "%s: there are %d devices already, and that "
				       "is the most; leave one out",
				       params_place(&device->list, NULL, &place),
				       CONF_DEVICES_MAX);
	grown = realloc(conf->devices, (conf->n_devices + 1) * sizeof(*grown));
	if (!grown)
		return no_memory(&device->list, err);
	conf->devices = grown;
	conf->devices[conf->n_devices++] = *device;
	return 0;
}

int conf_take_device(struct conf *conf, struct params_list *list, struct cused_error *err)
{
	struct conf_device device = { .list = *list }, *below;
	struct params_table tables[2];
	int r = 0;

	memset(list, 0, sizeof(*list));
	device.ops = registry_find_device(device.list.name);
	if (!device.ops)
		r = unknown_name(&device.list, false, err);
	if (r == 0) {
		device.values = calloc(device.ops->n_params + 1, sizeof(*device.values));
		if (!device.values)
			r = no_memory(&device.list, err);
	}
	if (r == 0) {
		tables[0] = (struct params_table){ conf_device_params, CONF_DEVICE_KEYS,
						   device.common };
		tables[1] = (struct params_table){ device.ops->params, device.ops->n_params,
						   device.values };
		r = params_parse(&device.list, tables, 2, err);
	}
	if (r == 0)
		r = check_device(&device, err);
	if (r == 0) {
		device.noiommu = device.common[CONF_DEVICE_NOIOMMU].number;
		below = device_below(conf, &device);
		if (below) {
			device_done(below);
			*below = device;
		} else {
			r = device_append(conf, &device, err);
		}
	}
	if (r)
		device_done(&device);
	return r;
}

int conf_add_device(struct conf *conf, const char *text, struct cused_error *err)
{
	struct params_list list;
	int r = params_split("--device", text, &list, err);

	return r ? r : conf_take_device(conf, &list, err);
}

/* ---- what there is once ---- */

/* A word out of two. */
static int check_choice(const struct params_list *list, const char *key, const char *value,
			const char *one, const char *other, struct cused_error *err)
{
	struct params_place place;

	if (!strcmp(value, one) || !strcmp(value, other))
		return 0;
	return cused_error_set(err, -EINVAL, "%s: %s=%.60s is neither %s nor %s; write one of "
			       "them", params_place(list, key, &place), key, value, one, other);
}

int conf_take_iommu(struct conf *conf, struct params_list *list, struct cused_error *err)
{
	struct cused_value *values = NULL, common[CONF_IOMMU_KEYS];
	const struct cused_iommu_ops *ops = registry_find_iommu(list->name);
	struct params_table tables[2];
	int r = ops ? 0 : unknown_name(list, true, err);

	if (r == 0 && ops == conf->iommu)
		r = params_lay(list, &conf->iommu_list, err);
	if (r == 0) {
		values = calloc(ops->n_params + 1, sizeof(*values));
		if (!values)
			r = no_memory(list, err);
	}
	if (r == 0) {
		tables[0] = (struct params_table){ conf_iommu_params, CONF_IOMMU_KEYS, common };
		tables[1] = (struct params_table){ ops->params, ops->n_params, values };
		r = params_parse(list, tables, 2, err);
	}
	if (r == 0)
		r = check_choice(list, "memlock", common[CONF_IOMMU_MEMLOCK].string, "off",
				 "enforce", err);
	params_lay_end(list, &conf->iommu_list, r == 0);
	if (r) {
		free(values);
		return r;
	}
	free(conf->iommu_values);
	conf->iommu = ops;
	conf->iommu_values = values;
	memcpy(conf->iommu_common, common, sizeof(common));
	return 0;
}

int conf_set_iommu(struct conf *conf, const char *text, struct cused_error *err)
{
	struct params_list list;
	int r = params_split("--iommu", text, &list, err);

	return r ? r : conf_take_iommu(conf, &list, err);
}

/* The name of a directory of /dev, as "vfio" or "/dev/vfio". */
static int parse_prefix(const char *option, const char *text, const char **ret,
			struct cused_error *err)
{
	const char *name = strncmp(text, "/dev/", 5) ? text : text + 5;
	size_t length = strlen(name);

	if (!length || length > CONF_PREFIX_MAX || name[0] == '.' ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
	    length)
		return cused_error_set(err, -EINVAL, "%s%s is not the name of one directory "
				       "of /dev; write 1 to %d letters, digits, '.', '_', '-', "
				       "such as vfio-simulated", option, text, CONF_PREFIX_MAX);
	*ret = name;
	return 0;
}

static int check_dma(const struct params_list *list, const struct cused_value *values,
		     struct cused_error *err)
{
	const char *value = values[CONF_SERVICE_DMA].string;
	bool swap = !strcmp(value, "swap");
	struct params_place place;

	if (swap && !values[CONF_SERVICE_COURIER].number)
		return cused_error_set(err, -EINVAL, "%s: dma=swap needs the courier, and "
				       "courier=off; leave one of them out",
				       params_place(list, "dma", &place));
	if (swap || !strcmp(value, "auto") || !strcmp(value, "file") ||
	    !strcmp(value, "courier"))
		return 0;
	return cused_error_set(err, -EINVAL, "%s: dma=%.60s is none of auto, file, courier and "
			       "swap; write one of them", params_place(list, "dma", &place),
			       value);
}

int conf_take_service(struct conf *conf, struct params_list *list, struct cused_error *err)
{
	struct cused_value values[CONF_SERVICE_KEYS];
	struct params_table table = { conf_service_params, CONF_SERVICE_KEYS, values };
	struct ctl_socket where;
	struct params_place place;
	char option[sizeof(place.text) + sizeof(": prefix=")];
	int r = params_lay(list, &conf->service_list, err);

	if (r == 0)
		r = params_parse(list, &table, 1, err);
	if (r == 0)
		r = check_choice(list, "memory", values[CONF_SERVICE_MEMORY].string, "auto",
				 "retry", err);
	if (r == 0)
		r = check_dma(list, values, err);
	snprintf(option, sizeof(option), "%s: prefix=", params_place(list, "prefix", &place));
	if (r == 0)
		r = parse_prefix(option, values[CONF_SERVICE_PREFIX].string,
				 &values[CONF_SERVICE_PREFIX].string, err);
	if (r == 0)
		r = ctl_socket_of(list, values, &where, err);
	if (r > 0)
		r = 0;
	params_lay_end(list, &conf->service_list, r == 0);
	if (r == 0)
		memcpy(conf->service, values, sizeof(values));
	return r;
}

int conf_set_prefix(struct conf *conf, const char *text, struct cused_error *err)
{
	return parse_prefix("--prefix ", text, &conf->prefix, err);
}

int conf_set_nameless(struct conf *conf, const char *option, const char *text,
		      int (*take)(struct conf *conf, struct params_list *list,
				  struct cused_error *err), struct cused_error *err)
{
	struct params_list list;
	char *named;
	int r;

	if (asprintf(&named, "%s%s", *text ? "," : "", text) < 0)
		return cused_error_set(err, -ENOMEM, "%s: out of memory", option);
	r = params_split(option, named, &list, err);
	free(named);
	return r ? r : take(conf, &list, err);
}

int conf_set_service(struct conf *conf, const char *text, struct cused_error *err)
{
	return conf_set_nameless(conf, "--service", text, conf_take_service, err);
}

/* ---- what has changed ---- */

static bool same_values(const struct cused_param *params, size_t n, const struct cused_value *a,
			const struct cused_value *b)
{
	for (size_t i = 0; i < n; i++) {
		bool text = params[i].type == CUSED_PARAM_STRING ||
			    params[i].type == CUSED_PARAM_PATH;

		if (a[i].set != b[i].set)
			return false;
		if (a[i].set && (text ? strcmp(a[i].string, b[i].string) != 0 :
					a[i].number != b[i].number))
			return false;
	}
	return true;
}

/* Which group a device of the machine is in, is nothing that was asked for. */
bool conf_device_same(const struct conf_device *a, const struct conf_device *b)
{
	return a->ops == b->ops && !strcmp(a->id, b->id) && !strcmp(a->bdf, b->bdf) &&
	       (a->group == b->group || conf_is_host(a)) && a->noiommu == b->noiommu &&
	       same_values(a->ops->params, a->ops->n_params, a->values, b->values);
}

bool conf_settings_same(const struct conf *a, const struct conf *b)
{
	return a->iommu == b->iommu &&
	       same_values(conf_iommu_params, CONF_IOMMU_KEYS, a->iommu_common,
			   b->iommu_common) &&
	       same_values(a->iommu->params, a->iommu->n_params, a->iommu_values,
			   b->iommu_values) &&
	       same_values(conf_service_params, CONF_SERVICE_KEYS, a->service, b->service);
}

/* ---- what is shown ---- */

/* @given: without what has its preset */
static void dump_table(FILE *f, const struct cused_param *params, size_t n,
		       const struct cused_value *values, bool given)
{
	for (size_t i = 0; i < n; i++) {
		if (given ? !values[i].given : !values[i].set)
			continue;
		fprintf(f, "%s = ", params[i].name);
		params_print_value(f, &params[i], &values[i]);
		fputc('\n', f);
	}
}

void conf_dump_device(const struct conf_device *device, bool given, FILE *f)
{
	fprintf(f, "[device \"%s\"]\nbackend = %s\nbdf = %s\n", device->id, device->ops->name,
		device->bdf);
	if (!conf_is_host(device))
		fprintf(f, "group = %u\nnoiommu = %s\n", device->group,
			device->noiommu ? "on" : "off");
	dump_table(f, device->ops->params, device->ops->n_params, device->values, given);
}

void conf_dump_settings(const struct conf *conf, FILE *f)
{
	fprintf(f, "[iommu]\nbackend = %s\n", conf->iommu->name);
	dump_table(f, conf_iommu_params, CONF_IOMMU_KEYS, conf->iommu_common, false);
	dump_table(f, conf->iommu->params, conf->iommu->n_params, conf->iommu_values, false);
	fputs("\n[service]\n", f);
	dump_table(f, conf_service_params, CONF_SERVICE_KEYS, conf->service, false);
}

/* Nothing of it is chosen by us, so what nobody has set has no line. */
static void dump_log(const struct conf *conf, FILE *f)
{
	const struct cused_param *params;
	bool any = false;
	size_t n;

	params = conf_log_params(&n);
	for (size_t i = 0; i < n; i++)
		any = any || conf->log[i].set;
	if (!any)
		return;
	fputs("\n[log]\n", f);
	dump_table(f, params, n, conf->log, false);
}

void conf_dump(const struct conf *conf, FILE *f)
{
	for (size_t i = 0; i < conf->n_devices; i++) {
		conf_dump_device(&conf->devices[i], false, f);
		fputc('\n', f);
	}
	for (size_t i = 0; i < conf->n_groups; i++) {
		fprintf(f, "[group \"%u\"]\n", conf->groups[i].id);
		dump_table(f, conf_group_params, CONF_GROUP_KEYS, conf->groups[i].values, false);
		fputc('\n', f);
	}
	conf_dump_settings(conf, f);
	dump_log(conf, f);
}
