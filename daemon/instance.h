/* SPDX-License-Identifier: GPL-2.0-or-later */
/* instance.h - a running set of simulated devices, made from a configuration. */
#ifndef INSTANCE_H
#define INSTANCE_H

#include <stddef.h>
#include <stdint.h>
#include <core/topology.h>
#include <transport/sysfs.h>

#include "conf.h"

struct instance;

/* Where a device's BAR memory lives, and at which file offsets clients find its regions:
 * members of struct device_params. All zero leaves the memory to the core. */
struct instance_backing {
	const struct backing_ops *ops;
	void *arg;
	uint64_t offset_base;
	bool no_mmap;
	uint64_t keep_id;
	bool again;		/* a process before had the device */
};

/*
 * Asked once per device, before it is made.
 * @index: position in conf->devices, and among the instance's
 * @ret: zeroed
 * Return: 0 or a negative errno, which instance_new() passes on.
 */
typedef int (*instance_backing_fn)(void *arg, unsigned index,
				   struct instance_backing *ret);

/*
 * instance_new - make the topology, the IOMMU backend, its drivers, groups and devices.
 * @conf: after conf_finish(); has to outlive the instance
 * @backing: NULL: the core's own memory for all
 * Return: 0; errors of the models and of the core, with @err set in all cases.
 * Locks: none held.
 */
int instance_new(const struct conf *conf, instance_backing_fn backing, void *backing_arg,
		 struct instance **ret, struct cused_error *err);
/* The same without any device yet. @keep, @files: of its topology, or NULL; borrowed. Return: as
 * instance_new(). */
int instance_begin(const struct conf *conf, struct keep *keep, struct backend_files *files,
		   struct instance **ret, struct cused_error *err);

/*
 * instance_add_device - make one more, and its group if there is none.
 * @device: of a finished configuration, which has to outlive the device
 * @where: see instance_backing_fn
 * Return: 0; -EEXIST its address is taken, or its group's number by one of the other kind,
 * simulated or the machine's; of host_place(); errors of the model and of the core, with @err set
 * in all cases.  Locks: none held; not from several threads at once.
 */
int instance_add_device(struct instance *instance, const struct conf_device *device,
			const struct instance_backing *where, struct device **ret,
			struct cused_error *err);
/* A file that there is where the machine has the driver that its devices are bound to. */
#define INSTANCE_DRIVER "bus/pci/drivers/vfio-pci/unbind"

/* Where the machine's own devices are found, "/sys" and "/dev" otherwise, and that they come and
 * go: their driver's files are shown, not ones of ours. Both have to outlive the instance. */
void instance_look_at(struct instance *instance, const char *sysfs, const char *dev);
/* Of a device that was hidden, see topology.h. Devices behind it move up by one.
 * Return: 0; -EBUSY a client has it open. */
int instance_free_device(struct instance *instance, struct device *device);
/* Of one that was revoked, and is freed by topology_free_device() when its files are closed. */
void instance_forget_device(struct instance *instance, struct device *device);

/* All devices must be closed. NULL is allowed. */
void instance_free(struct instance *instance);

struct topology *instance_topology(const struct instance *instance);
/* Without the machine's own. */
size_t instance_n_simulated(const struct instance *instance);
/* The name of its node in /dev/vfio/devices; "" of a simulated one. @device: one of them. */
const char *instance_node(const struct instance *instance, const struct device *device);
size_t instance_n_devices(const struct instance *instance);
struct device *instance_device(const struct instance *instance, size_t index);

/* The plan of what clients see under /sys; see sysfs_mount(). @sysfs: "/sys", which is looked
 * at by the first call alone, as later ones would find what was laid over it.
 * Return: 0, -ENOMEM, with @err set. */
int instance_sysfs(struct instance *instance, const char *sysfs,
		   struct sysfs_plan **ret, struct cused_error *err);

#endif
