/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <core/device.h>
#include <core/group.h>
#include <core/iommu_driver.h>
#include <util/cleanup.h>

#include "host_place.h"
#include "instance.h"


/* As sysfs shows it. Remembered, because who asks the device waits for what it has under way,
 * which a client can stall. */
struct config {
	uint8_t bytes[4096];
	unsigned size;
	char node[32];			/* of a device of the machine: "vfio0" */
};

struct instance {
	const struct conf *conf;
	const char *sysfs, *dev;	/* where the machine's own devices are */
	bool follows;			/* they may be bound and unbound */
	void *iommu_state;
	const struct cused_iommu_ops *host_iommu;	/* of the machine's devices, or NULL */
	void *host_iommu_state;
	struct topology *topology;
	size_t n_devices;
	struct sysfs_host host;		/* of the machine, without us */
	bool host_known;
	struct device **devices;	/* the topology owns them */
	struct config **configs;	/* parallel to devices */
};

/* The kernel's noiommu driver registers with the container code, type1 with its module
 * later, so that a walk, newest first, asks type1 first (CG-036). */
static const struct iommu_driver *const drivers[] = {
	&iommu_noiommu_driver, &iommu_type1_driver,
};

static int make_topology(struct instance *instance, struct keep *keep,
			 struct backend_files *files, struct cused_error *err)
{
	const struct conf *conf = instance->conf;
	const struct cused_value *common = conf->iommu_common;
	struct topology_params params = {
		.iommu = conf->iommu, .keep = keep, .files = files,
		.dma_entry_limit = (uint32_t)common[CONF_IOMMU_DMA_ENTRY_LIMIT].number,
		.unsafe_noiommu = common[CONF_IOMMU_UNSAFE_NOIOMMU].number,
		.memlock_enforced = !strcmp(common[CONF_IOMMU_MEMLOCK].string, "enforce"),
		.reports_nesting = common[CONF_IOMMU_NESTING].number,
	};
	int r;

	r = conf->iommu->create(conf->iommu_values, &instance->iommu_state, err);
	if (r < 0)
		return r;
	params.iommu_state = instance->iommu_state;
	r = topology_new(&params, &instance->topology);
	if (r < 0)
		return cused_error_set(err, r, "cannot make the topology: %s", strerror(-r));
	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		r = iommu_driver_register(instance->topology, drivers[i]);
		if (r < 0)
			return cused_error_set(err, r, "cannot register the IOMMU driver %s: "
					       "%s", drivers[i]->name, strerror(-r));
	}
	return 0;
}

/* Room for one more. */
static int grow(struct instance *instance, struct cused_error *err)
{
	struct device **grown = realloc(instance->devices,
					(instance->n_devices + 1) * sizeof(*grown));
	struct config **configs;

	if (!grown)
		return cused_error_set(err, -ENOMEM, "out of memory");
	instance->devices = grown;
	configs = realloc(instance->configs, (instance->n_devices + 1) * sizeof(*configs));
	if (!configs)
		return cused_error_set(err, -ENOMEM, "out of memory");
	instance->configs = configs;
	return 0;
}

/* The backend that devices of the machine are behind. */
static int need_host_iommu(struct instance *instance, const struct conf_device *device,
			   struct cused_error *err)
{
	const struct cused_iommu_ops *iommu = device->ops->iommu;
	int r;

	if (instance->host_iommu)
		return 0;
	r = iommu->create(NULL, &instance->host_iommu_state, err);
	if (r == 0)
		instance->host_iommu = iommu;
	return r;
}

/* Numbers of the machine's groups come and go, so one of ours can be in the way. */
static int check_kind(const struct instance *instance, const struct group *group,
		      const struct conf_device *device, struct cused_error *err)
{
	void *state;
	bool is_host = group_iommu(group, &state) == instance->host_iommu;

	if (is_host == conf_is_host(device))
		return 0;
	return cused_error_set(err, -EEXIST, "device %s (%s): group %u is %s; give the simulated "
			       "devices another number, by group=", device->id, device->bdf,
			       group_id(group), is_host ? "the machine's" :
			       "the machine's group of this device, and that of a simulated one");
}

/* Make it, if there is none. */
static int find_group(struct instance *instance, const struct conf_device *device,
		      unsigned number, struct group **ret, struct cused_error *err)
{
	bool is_host = conf_is_host(device);
	int r;

	*ret = topology_find_group(instance->topology, number, device->noiommu);
	/* Of one without devices the number is free. */
	if (*ret && group_has_devices(*ret))
		return check_kind(instance, *ret, device, err);
	if (!*ret) {
		r = topology_add_group(instance->topology, number,
				       device->noiommu ? GROUP_NOIOMMU : GROUP_REAL, ret);
		if (r < 0)
			return cused_error_set(err, r, "device %s: cannot make group %u: %s",
					       device->id, number, strerror(-r));
	}
	/* Who owned it before, owned a group that has gone. */
	group_set_foreign_owner(*ret, false);
	if (is_host)
		group_set_iommu(*ret, instance->host_iommu, instance->host_iommu_state);
	else
		group_set_iommu(*ret, instance->conf->iommu, instance->iommu_state);
	return 0;
}

int instance_add_device(struct instance *instance, const struct conf_device *device,
			const struct instance_backing *where, struct device **ret,
			struct cused_error *err)
{
	struct device_params params = {
		.address = device->address, .ops = device->ops, .values = device->values,
		.backing = where->ops, .backing_arg = where->arg,
		.offset_base = where->offset_base, .no_mmap = where->no_mmap,
		.keep_id = where->keep_id,
	};
	bool is_host = conf_is_host(device);
	unsigned number = device->group;
	struct host_place place;
	cleanup_free struct config *config = calloc(1, sizeof(*config));
	struct group *group;
	int r = grow(instance, err);

	if (r == 0 && is_host)
		r = need_host_iommu(instance, device, err);
	if (r == 0 && is_host)
		r = host_place(instance->sysfs, instance->dev, device->bdf, &place, err);
	if (r)
		return r;
	if (is_host) {
		place.host.again = where->again;
		params.host = &place.host;
		number = place.host.group;
	}
	if (!config)
		return cused_error_set(err, -ENOMEM, "out of memory");
	r = find_group(instance, device, number, &group, err);
	if (r)
		return r;
	r = topology_add_device(instance->topology, group, &params,
				&instance->devices[instance->n_devices], err);
	if (r)
		return r;
	*ret = instance->devices[instance->n_devices];
	if (is_host)
		snprintf(config->node, sizeof(config->node), "%s",
			 strrchr(place.node, '/') + 1);
	else
		device_config_snapshot(*ret, config->bytes, &config->size);
	instance->configs[instance->n_devices++] = steal_ptr(config);
	return 0;
}

void instance_look_at(struct instance *instance, const char *sysfs, const char *dev)
{
	instance->sysfs = sysfs;
	instance->dev = dev;
	instance->follows = true;
}

static bool has_own_driver(const struct instance *instance)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/" INSTANCE_DRIVER, instance->sysfs);
	return instance->follows && access(path, F_OK) == 0;
}

void instance_forget_device(struct instance *instance, struct device *device)
{
	size_t i = 0;

	while (instance->devices[i] != device)
		i++;
	instance->n_devices--;
	free(instance->configs[i]);
	memmove(&instance->devices[i], &instance->devices[i + 1],
		(instance->n_devices - i) * sizeof(instance->devices[0]));
	memmove(&instance->configs[i], &instance->configs[i + 1],
		(instance->n_devices - i) * sizeof(instance->configs[0]));
}

int instance_free_device(struct instance *instance, struct device *device)
{
	int r = topology_free_device(instance->topology, device);

	if (r == 0)
		instance_forget_device(instance, device);
	return r;
}

int instance_begin(const struct conf *conf, struct keep *keep, struct backend_files *files,
		   struct instance **ret, struct cused_error *err)
{
	struct instance *instance = calloc(1, sizeof(*instance));
	int r;

	if (!instance)
		return cused_error_set(err, -ENOMEM, "out of memory");
	instance->conf = conf;
	instance->sysfs = "/sys";
	instance->dev = "/dev";
	r = make_topology(instance, keep, files, err);
	if (r < 0) {
		instance_free(instance);
		return r;
	}
	*ret = instance;
	return 0;
}

int instance_new(const struct conf *conf, instance_backing_fn backing, void *backing_arg,
		 struct instance **ret, struct cused_error *err)
{
	struct instance *instance;
	int r = instance_begin(conf, NULL, NULL, &instance, err);

	if (r)
		return r;
	for (size_t i = 0; r == 0 && i < conf->n_devices; i++) {
		struct instance_backing where = { 0 };
		struct device *device;

		if (backing)
			r = backing(backing_arg, (unsigned)i, &where);
		if (r < 0)
			cused_error_set(err, r, "device %s: cannot make its BAR memory: %s",
					conf->devices[i].id, strerror(-r));
		else
			r = instance_add_device(instance, &conf->devices[i], &where, &device,
						err);
	}
	if (r < 0) {
		instance_free(instance);
		return r;
	}
	*ret = instance;
	return 0;
}

void instance_free(struct instance *instance)
{
	if (!instance)
		return;
	topology_free(instance->topology);
	if (instance->iommu_state && instance->conf->iommu->destroy)
		instance->conf->iommu->destroy(instance->iommu_state);
	if (instance->host_iommu)
		instance->host_iommu->destroy(instance->host_iommu_state);
	for (size_t i = 0; i < instance->n_devices; i++)
		free(instance->configs[i]);
	free(instance->configs);
	free(instance->devices);
	free(instance);
}

struct topology *instance_topology(const struct instance *instance)
{
	return instance->topology;
}

size_t instance_n_simulated(const struct instance *instance)
{
	size_t n = 0;

	for (size_t i = 0; i < instance->n_devices; i++)
		n += !device_is_host(instance->devices[i]);
	return n;
}

const char *instance_node(const struct instance *instance, const struct device *device)
{
	size_t i = 0;

	while (instance->devices[i] != device)
		i++;
	return instance->configs[i]->node;
}

size_t instance_n_devices(const struct instance *instance)
{
	return instance->n_devices;
}

struct device *instance_device(const struct instance *instance, size_t index)
{
	return instance->devices[index];
}

/* ---- what clients see under /sys ---- */

static int describe_group(const struct instance *instance, unsigned id, bool noiommu,
			  struct sysfs_group *ret, uint64_t *aperture_last)
{
	const struct cused_iommu_ops *iommu = instance->conf->iommu;
	struct cused_iommu_geometry geometry = { 0 };
	int r;

	*ret = (struct sysfs_group){ .id = id, .noiommu = noiommu };
	if (noiommu)
		return 0;
	r = iommu->geometry(instance->iommu_state, id, &geometry);
	if (r < 0)
		return r;
	ret->n_resv = geometry.n_resv;
	memcpy(ret->resv, geometry.resv, geometry.n_resv * sizeof(geometry.resv[0]));
	if (geometry.aperture.last > *aperture_last)
		*aperture_last = geometry.aperture.last;
	return 0;
}

static void describe_device(const struct instance *instance, size_t index,
			    struct sysfs_device *ret)
{
	struct device *device = instance->devices[index];

	ret->address = device_address(device);
	ret->pci = *device_pci(device);
	/* The last is the ROM's. */
	for (unsigned bar = 0; bar < sizeof(ret->bars) / sizeof(ret->bars[0]); bar++)
		ret->bars[bar] = device_bar_resource(device, bar);
	memcpy(ret->config, instance->configs[index]->bytes, sizeof(ret->config));
	ret->config_size = instance->configs[index]->size;
}

int instance_sysfs(struct instance *instance, const char *sysfs,
		   struct sysfs_plan **ret, struct cused_error *err)
{
	cleanup_free struct sysfs_device *devices = NULL;
	cleanup_free struct sysfs_group *groups = NULL;
	struct sysfs_desc desc = {
		.dma_entry_limit = topology_params(instance->topology)->dma_entry_limit,
		.unsafe_noiommu = topology_params(instance->topology)->unsafe_noiommu,
	};
	uint64_t aperture_last = 0;
	int r = 0;

	devices = calloc(instance->n_devices + 1, sizeof(*devices));
	groups = calloc(instance->n_devices + 1, sizeof(*groups));
	if (!devices || !groups)
		return cused_error_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < instance->n_devices; i++) {
		const struct group *group = device_group(instance->devices[i]);
		size_t g = 0;

		if (device_is_host(instance->devices[i]))
			continue;	/* the machine shows it itself */
		while (g < desc.n_groups && groups[g].id != group_id(group))
			g++;
		if (g == desc.n_groups)
			r = describe_group(instance, group_id(group),
					   group_kind(group) == GROUP_NOIOMMU,
					   &groups[desc.n_groups++], &aperture_last);
		describe_device(instance, i, &devices[desc.n_devices]);
		devices[desc.n_devices++].group = (unsigned)g;
	}
	desc.devices = devices;
	desc.groups = groups;
	desc.address_bits = aperture_last ? 64 - (unsigned)__builtin_clzll(aperture_last) : 48;
	if (!instance->host_known)
		sysfs_host_read(sysfs, &instance->host);
	instance->host_known = true;
	desc.host = instance->host;
	desc.own_driver = has_own_driver(instance);
	if (r == 0)
		r = sysfs_plan_new(&desc, ret);
	if (r < 0)
		cused_error_set(err, r, "cannot compute the simulated sysfs: %s", strerror(-r));
	return r;
}
