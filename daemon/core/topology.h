/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/topology.h - which groups and devices exist, and the settings they share.
 *
 * Lock order of the whole core: topology → group → (container) → device → ioas → irq.
 * See daemon/README.md. A lock is taken only in the file that declares it.
 */
#ifndef CORE_TOPOLOGY_H
#define CORE_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>
#include <vfio-cused/device.h>
#include <vfio-cused/iommu.h>

struct topology;
struct group;
struct device;
struct iommu_driver;
struct keep;

enum group_kind { GROUP_REAL, GROUP_EMULATED, GROUP_NOIOMMU };

/* Where the bytes of a BAR's memory pages live, so that a transport can let clients map
 * them. Without it the core uses memory of its own. */
struct backing_ops {
	/* @bar: 0 … 5; @size: bytes, a multiple of the page size; zeroed memory.
	 * Return: 0, -ENOMEM, or another errno of the transport's. */
	int (*alloc)(void *arg, unsigned bar, uint64_t size, void **ret_base);
	void (*free)(void *arg, unsigned bar, uint64_t size, void *base);
	/*
	 * Memory of the model's own, of devices with a keep_id in a topology with records; both
	 * NULL: there is none. Called while the device is made, and freed after its model.
	 * @id: below CUSED_MEMORIES; @size: as above; zeroed, or what a process before had left
	 * Return: 0; -EBADMSG there was such a process, and what it had is not there: the device
	 * is not made; or another errno: the model gets none.
	 */
	int (*alloc_own)(void *arg, unsigned id, uint64_t size, void **ret_base);
	void (*free_own)(void *arg, unsigned id, uint64_t size, void *base);
};

/* Files of IOMMU backends that outlive the process, with the records of topology_params.keep; the
 * transport's. */
struct backend_files {
	/* Keep a copy of @file. Return: the number that records know it by; 0: it cannot be, and the
	 * records are broken. @ret_kept: for drop(). */
	uint64_t (*keep)(struct backend_files *files, intptr_t file, void **ret_kept);
	/* It is kept no more when the batch has ended that this is part of. NULL is allowed. */
	void (*drop)(struct backend_files *files, void *kept);
	/* What a process before has kept, once. @ret_file: the caller's. Return: 0; -ENOENT. */
	int (*take)(struct backend_files *files, uint64_t id, intptr_t *ret_file, void **ret_kept);
};

struct pci_address {
	uint16_t segment;
	uint8_t bus, slot, function;
};

struct topology_params {
	const struct cused_iommu_ops *iommu;	/* backend of real groups; see group_set_iommu() */
	void *iommu_state;			/* from its create(); topology does not own it */
	uint32_t dma_entry_limit;		/* 0: 65535, the kernel's default */
	bool unsafe_noiommu;			/* enable_unsafe_noiommu_mode */
	bool memlock_enforced;			/* false: charges are counted, never refused */
	bool reports_nesting;			/* CG-030: id 6 as Linux <= 6.12 answers it */
	struct keep *keep;			/* borrowed; NULL: nothing outlives the process */
	struct backend_files *files;		/* borrowed; NULL: those of backends do not */
};

/* Return: 0, -ENOMEM.  Registers no IOMMU driver: see iommu_driver.h. */
int topology_new(const struct topology_params *params, struct topology **ret);
/* All devices must be closed. Frees groups and devices too. NULL is allowed. */
void topology_free(struct topology *topology);
const struct topology_params *topology_params(const struct topology *topology);

/* Return: 0, -EEXIST (number in use, within the noiommu or the other groups), -ENOMEM. */
int topology_add_group(struct topology *topology, unsigned id, enum group_kind kind,
		       struct group **ret);
/* NULL if there is none. @noiommu selects "noiommu-<id>". Groups are not freed before
 * the topology, so the pointer stays good. */
struct group *topology_find_group(struct topology *topology, unsigned id, bool noiommu);

struct device_params {
	struct pci_address address;
	const struct cused_device_ops *ops;
	const struct cused_value *values;	/* parallel to ops->params; must outlive it */
	const struct backing_ops *backing;	/* or NULL */
	void *backing_arg;
	uint64_t offset_base;	/* added to index << 40 in GET_REGION_INFO; accesses come
				 * with it already taken off. Low 44 bits 0. */
	bool no_mmap;		/* the transport cannot map: no region offers MMAP */
	const struct cused_host *host;	/* of a device of the machine, for as long as it is made */
	uint64_t keep_id;	/* of its records; never another device's. 0: none are kept */
	uint64_t bar_base;	/* host address shown in BAR0; further BARs follow. 0: chosen */
};

/*
 * Make a model and put it in a group. Published or aborted, never half visible.
 * Return: 0; -EEXIST the address is taken; an error of the model's, with @err set in all
 * cases.
 */
int topology_add_device(struct topology *topology, struct group *group,
			const struct device_params *params, struct device **ret,
			struct cused_error *err);

/*
 * Take a device away, in two steps, as the kernel does when a driver is unbound. First it is
 * hidden: no walk finds it, so no client can open it (CG-091, CG-137). Who has it open keeps
 * it, and keeps its address taken, unless it is revoked meanwhile (device.h). When all its
 * files are closed, it can be freed. A group stays when its last device goes: it answers
 * ENODEV (CG-049, CG-059, CG-067, CG-089), lets go of its container (CG-114), and can get
 * devices again.
 * topology_hide_device() - waits for walks that are under way.
 * topology_free_device() - of a hidden one. Return: 0; -EBUSY a client has it open, or did not
 * close it yet after it was revoked.
 * Locks: none held, in particular not in a walk.
 */
void topology_hide_device(struct topology *topology, struct device *device);
int topology_free_device(struct topology *topology, struct device *device);

/* Walks, oldest first. Stops at the first non-zero return and returns it. The callback may
 * take any lock; what it is given stays at least until the walk's end. What is added
 * meanwhile may or may not be seen. */
int topology_each_group(struct topology *topology,
			int (*fn)(struct group *group, void *arg), void *arg);
int topology_each_device(struct topology *topology, struct group *group_or_null,
			 int (*fn)(struct device *device, void *arg), void *arg);
/* Those of a group that are hidden and not freed, for status. */
int topology_each_hidden_device(struct topology *topology, struct group *group,
				int (*fn)(struct device *device, void *arg), void *arg);

#endif
