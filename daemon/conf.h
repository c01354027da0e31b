/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf.h - what the user asked for: devices, IOMMU, verbosity.
 *
 * conf_init ─ ( conf_add_device | conf_set_… | conf_take_… )* ─ conf_finish ─ … ─ conf_done
 *
 * Texts of the command line (conf_add_…, conf_set_…) and sections of a file (conf_take_…)
 * are checked as they come in, by the same tables; conf_finish() chooses what was left open
 * (addresses, group numbers, names) and refuses what cannot go together or beside the
 * machine's own devices. What comes from the command line stands over what came from a file
 * before: conf_load.h has the order.
 */
#ifndef CONF_H
#define CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <core/topology.h>
#include <vfio-cused/device.h>
#include <vfio-cused/iommu.h>
#include <vfio-cused/log.h>

#include "params.h"

#define CONF_DEVICES_MAX 128		/* one byte of a region offset names the device */
#define CONF_GROUPS_MAX CONF_DEVICES_MAX	/* with rights; each has a device */
#define CONF_LOG_KEYS_MAX 64u		/* modules that have a level, and "all" */
#define CONF_GROUP_MAX 65535u		/* highest group number */
#define CONF_GROUP_BESIDE 1000u		/* first that is chosen beside devices of the machine */
#define CONF_DEFAULT_DEVICE "nvme,size=64M"	/* for `run` without --device */

/* Keys of every --device, and their places in conf_device.common. */
enum conf_device_key {
	CONF_DEVICE_BDF, CONF_DEVICE_GROUP, CONF_DEVICE_ID, CONF_DEVICE_NOIOMMU,
	CONF_DEVICE_KEYS
};
extern const struct cused_param conf_device_params[CONF_DEVICE_KEYS];

/* Keys of every --iommu, and their places in conf.iommu_common. */
enum conf_iommu_key {
	CONF_IOMMU_DMA_ENTRY_LIMIT, CONF_IOMMU_MEMLOCK, CONF_IOMMU_UNSAFE_NOIOMMU,
	CONF_IOMMU_NESTING, CONF_IOMMU_KEYS
};
extern const struct cused_param conf_iommu_params[CONF_IOMMU_KEYS];

/* Keys of --service, and their places in conf.service. */
enum conf_service_key {
	CONF_SERVICE_MEMORY, CONF_SERVICE_COURIER, CONF_SERVICE_SYSFS, CONF_SERVICE_PREFIX,
	CONF_SERVICE_REPLACE, CONF_SERVICE_DMA, CONF_SERVICE_CTL, CONF_SERVICE_CTL_MODE,
	CONF_SERVICE_CTL_OWNER, CONF_SERVICE_CTL_GROUP, CONF_SERVICE_AGENT, CONF_SERVICE_KEYS
};
extern const struct cused_param conf_service_params[CONF_SERVICE_KEYS];

/* Keys of --group, and their places in conf_group.values. */
enum conf_group_key {
	CONF_GROUP_MODE, CONF_GROUP_OWNER, CONF_GROUP_GROUP, CONF_GROUP_KEYS
};
extern const struct cused_param conf_group_params[CONF_GROUP_KEYS];

/* Who may use a group's node. */
struct conf_rights {
	bool given;			/* else the default, and nothing is checked but by open() */
	unsigned mode;			/* permission bits, at most 0777 */
	unsigned uid, gid;
};
#define CONF_RIGHTS_DEFAULT ((struct conf_rights){ .mode = 0600 })	/* SD-017 */

struct conf_group {
	unsigned id;
	struct params_list list;
	struct cused_value values[CONF_GROUP_KEYS];
	struct conf_rights rights;
};

struct conf_device {
	const struct cused_device_ops *ops;
	struct params_list list;
	struct cused_value common[CONF_DEVICE_KEYS];
	struct cused_value *values;	/* parallel to ops->params */

	/* good after conf_finish() */
	struct pci_address address;
	char bdf[16];			/* "0000:01:00.0" */
	unsigned group;
	bool noiommu;
	bool absent;			/* of the machine, which does not have it: no group */
	char id[32];			/* "nvme0" unless given */
};

/* Is it a device of this machine (CUSED_DEVICE_HOST)? */
bool conf_is_host(const struct conf_device *device);
/* One that may be missing (wait=on): it is named by its address, and taken when it comes. */
bool conf_waits(const struct conf_device *device);

/* A device of ours that is there already, while a service runs and loads its configuration
 * again. */
struct conf_running {
	char id[32];
	const struct cused_device_ops *ops;
	struct pci_address address;
	unsigned group;
	bool noiommu;
};

struct conf {
	struct conf_device *devices;
	size_t n_devices;

	struct conf_group *groups;	/* those that are spoken of */
	size_t n_groups;

	const struct cused_iommu_ops *iommu;
	struct params_list iommu_list;
	struct cused_value iommu_common[CONF_IOMMU_KEYS];
	struct cused_value *iommu_values;	/* parallel to iommu->params */

	struct params_list service_list;
	struct cused_value service[CONF_SERVICE_KEYS];

	struct params_list log_list;
	struct cused_value log[CONF_LOG_KEYS_MAX];	/* parallel to conf_log_params() */

	const struct conf_source *source;	/* what it was loaded from; borrowed */
	const char *sysfs;		/* the machine's, for conf_finish(); borrowed; NULL: "/sys" */
	char **argv;			/* of the program; borrowed */
	bool file_read;			/* then there is no default device */
	const struct conf_running *running;	/* for conf_finish(); borrowed */
	size_t n_running;
	bool beside;			/* within conf_finish_beside() */
	bool kept;			/* of a process before: the machine is not asked */
	int verbose;			/* number of -v */
	const char *agent_socket;	/* --socket; borrowed; NULL: the default */
	const char *prefix;		/* --prefix; borrowed; NULL: what the service's key says */
	bool json, revoke;		/* of ctl */
};

void conf_init(struct conf *conf);
void conf_done(struct conf *conf);

/*
 * conf_add_device - one --device.
 * @text: "NAME[,key=value]…"
 * Return: 0; -EINVAL, -ERANGE, -ENOENT (no such model), -E2BIG (too many), -ENOMEM, each
 * with @err set.
 */
int conf_add_device(struct conf *conf, const char *text, struct cused_error *err);
/* --iommu; the last one wins. Errors as conf_add_device(). */
int conf_set_iommu(struct conf *conf, const char *text, struct cused_error *err);
/* --service; the last one wins. Errors as conf_add_device(). */
int conf_set_service(struct conf *conf, const char *text, struct cused_error *err);
/* --log; the last one wins. Errors as conf_add_device(). */
int conf_set_log(struct conf *conf, const char *text, struct cused_error *err);
/* --group, "NUMBER[,key=value]…"; the last one of a number wins. Errors as conf_add_device();
 * -ENOENT no such user or group of the machine; -E2BIG there are CONF_GROUPS_MAX. */
int conf_set_group(struct conf *conf, const char *text, struct cused_error *err);

/*
 * The same for lists, which are the configuration's from now on, also on failure. A list of
 * the command line that has the name (device: the id) of what a file said stands over it: of a
 * device in its stead, of others key by key.
 */
int conf_take_device(struct conf *conf, struct params_list *list, struct cused_error *err);
int conf_take_iommu(struct conf *conf, struct params_list *list, struct cused_error *err);
int conf_take_service(struct conf *conf, struct params_list *list, struct cused_error *err);
int conf_take_log(struct conf *conf, struct params_list *list, struct cused_error *err);
int conf_take_group(struct conf *conf, struct params_list *list, struct cused_error *err);

/* An option that has no name before its keys. @option: for messages. Errors as @take. */
int conf_set_nameless(struct conf *conf, const char *option, const char *text,
		      int (*take)(struct conf *conf, struct params_list *list,
				  struct cused_error *err), struct cused_error *err);

/* Keys of --log, in the order of conf.log: "all", the modules of the program, and backends,
 * whose lines have their names. */
const struct cused_param *conf_log_params(size_t *ret_n);
/* Have log lines written as the configuration says. @usual: the level of modules that it says
 * nothing of.  Locks: one thread at a time. */
void conf_log_apply(const struct conf *conf, enum cused_log_level usual);

/*
 * Permission bits, a user and a group as in the rights of a group of devices, for other keys
 * of a list: "0660"; a name or a number. @key: for the error.
 * Return: 0; -EINVAL; -ENOENT nobody of that name; -ENOMEM; with @err set.
 */
int conf_parse_mode(const struct params_list *list, const char *key, const char *text,
		    unsigned *ret, struct cused_error *err);
int conf_parse_who(const struct params_list *list, const char *key, const char *text, bool user,
		   unsigned *ret, struct cused_error *err);

/* What a configuration says of a group, or the default. After conf_finish(). */
struct conf_rights conf_rights(const struct conf *conf, unsigned group);

/* "a, b, c": the models, or the IOMMU backends, cut to @size. */
void conf_known_devices(char *buf, size_t size);
void conf_known_iommus(char *buf, size_t size);

#define CONF_PREFIX_MAX 32	/* bytes of the name of a directory of /dev */

/* --prefix, stronger than the key of --service. @text: borrowed; with "/dev/" or without.
 * Return: 0; -EINVAL with @err set. */
int conf_set_prefix(struct conf *conf, const char *text, struct cused_error *err);

/*
 * conf_finish - choose what was left open and check the whole.
 * @sysfs: the machine's own, "/sys"; a test gives a directory of its own
 *
 * What is running is not the machine's: its addresses and groups may be given again, and a
 * device of the same id and model gets its old ones unless others are given.
 * Addresses: the first free bus >= 1 of segment 0, slot 0, function 0; a bus is free if
 * neither the machine nor another simulated device has a device on it. Groups: the first
 * number that neither the machine nor another simulated device has. A device of the machine
 * has the address that was given and the group that it is in.
 * Return: 0; -EEXIST an address, id or group is taken; -EINVAL keys that exclude each
 * other; -ENOENT rights of a group without a device; -ENODEV the machine has no such device,
 * or has it in no group; -ENOSPC no bus or group is left; -ENOMEM; errors of reading
 * @sysfs; each with @err set.
 */
int conf_finish(struct conf *conf, const char *sysfs, struct cused_error *err);
/*
 * conf_finish_beside - the same for devices that come beside those that are running.
 * @other: settings come from there
 * What is running stays: its addresses and ids are taken, and its groups can be joined, but
 * noiommu groups. Errors as conf_finish().
 */
int conf_finish_beside(struct conf *conf, const struct conf *other, const char *sysfs,
		       struct cused_error *err);

/* Is it the same device, with the same values? After conf_finish() of both. */
bool conf_device_same(const struct conf_device *a, const struct conf_device *b);
/* Are all settings the same but devices and rights? After conf_finish() of both. */
bool conf_settings_same(const struct conf *a, const struct conf *b);

/* Write the effective configuration, a file that conf_load() takes and that gives the same
 * again: sections of key = value, in the words of the command line. After conf_finish(). */
void conf_dump(const struct conf *conf, FILE *f);
/* Parts of it: the section of a device, @given: without values that are presets; [iommu] and
 * [service]. */
void conf_dump_device(const struct conf_device *device, bool given, FILE *f);
void conf_dump_settings(const struct conf *conf, FILE *f);

/* "[SSSS:]BB:DD.F", hex. Return: 0, -EINVAL. */
int conf_parse_bdf(const char *text, struct pci_address *ret);

#endif
