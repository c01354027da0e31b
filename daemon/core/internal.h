/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/internal.h - calls between the files of the core, for the core alone.
 */
#ifndef CORE_INTERNAL_H
#define CORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <core/container.h>
#include <core/device.h>
#include <core/group.h>
#include <core/ioas.h>
#include <core/iommu_driver.h>
#include <core/topology.h>
#include <util/list.h>

/* ---- status.c ---- */

/*
 * Take a lock in order to tell what it guards, if that can be had soon: somebody may hold
 * it for as long as a client likes.
 * Return: true: it is held; false: not after STATUS_TRIES tries, STATUS_PAUSE_US apart.
 */
#define STATUS_TRIES 5u
#define STATUS_PAUSE_US 1000u
bool status_lock(pthread_mutex_t *lock);

/* ---- topology.c: records (util/keep.h) ---- */

struct keep *topology_keep(const struct topology *topology);	/* NULL: none are kept */
/* For a record of a kind that has numbers of its own: one that no other has. 0: none are kept.
 * Locks: none. */
uint64_t topology_keep_number(struct topology *topology);
/* Such a number was found in a record: further ones are higher. */
void topology_keep_number_seen(struct topology *topology, uint64_t number);

/* ---- device.c, for topology.c and group.c ---- */

/* Make and describe the model; nothing is published. Errors as topology_add_device(). */
int device_new(struct topology *topology, struct group *group,
	       const struct device_params *params, struct device **ret,
	       struct cused_error *err);
void device_free(struct device *device);	/* must be closed; NULL is allowed */

/* CG-104 … CG-113. Return: 0 it is this device; -ENODEV; -EINVAL, -EACCES (CG-090). */
int device_match_name(const struct device *device, const char *name);

/*
 * One more open file (CG-102, CG-103; the first: PCI-011).
 * @ioas: what the device's DMA goes through from the first open to the last close; NULL
 *        for a noiommu group
 * Locks: called with the group's lock held; takes the device's.
 * Return: 0; -ENOMEM; on the first open also the model's errors.
 */
int device_open(struct device *device, struct ioas *ioas, struct device_file **ret);
/* One open file less; frees it. Return: true if it was the last one (PCI-014).
 * Locks: as device_open(). */
bool device_close(struct device_file *file);

/* ---- group.c, for device.c ---- */

/* device_file_release(): close the file under the group's lock, then let go of the group
 * (CG-124 … CG-127). */
void group_close_device(struct group *group, struct device_file *file);

/* Has it an open file? Once revoked it can have, and is not open. Locks: none. */
bool device_has_files(struct device *device);
bool device_is_revoked(const struct device *device);
/* Close it, whatever files are open. Locks: called with the group's lock held; takes the
 * device's, and waits for the model. */
void device_shut(struct device *device);
/* All its records are dropped: whoever takes over does not know of it. */
void device_record_gone(struct device *device);

/* ---- group.c, topology.c and device.c between themselves ---- */

/* The group's part of device_revoke(): the device is closed, if it was open, and if it was
 * the last one, the container is left. Locks: takes the group's and the device's. */
void group_revoke_device(struct group *group, struct device *device);

int group_new(struct topology *topology, unsigned id, enum group_kind kind,
	      struct group **ret);
void group_free(struct group *group);
/* A device less: if it was the last one, the container is left (CG-114). After return, no
 * close of a device of the group is under way that began before. Locks: takes the group's. */
void group_device_gone(struct group *group);
struct topology *group_topology(const struct group *group);
/* What a walk has found stays until the end of this: no device goes that is not hidden yet.
 * May be nested, and lie around walks. Locks: any may be held, or be taken within. */
void topology_hold(struct topology *topology);
void topology_let_go(struct topology *topology);
/* As topology_each_device(), with hidden ones that are neither freed nor revoked yet. Locks: any
 * may be held. */
int topology_each_present(struct topology *topology,
			  int (*fn)(struct device *device, void *arg), void *arg);
/* For restore_device.c: all files of revoked devices that are not made again are of one device.
 * NULL: there is none yet. */
struct device *topology_revoked(struct topology *topology);
/* This is it, with a group of its own; no walk finds either. Both are the topology's from now on. */
void topology_set_revoked(struct topology *topology, struct device *device);
/* Newest first; as the walks of topology.h. */
int topology_each_driver(struct topology *topology,
			 int (*fn)(const struct iommu_driver *driver, void *arg),
			 void *arg);

/* ---- group.c, for restore.c ---- */

/*
 * As it was: attached to @container, or NULL, and its file open, or not; then its devices that are
 * open; then group_restored().
 * Return: 0; what container_attach_group() answers.
 */
int group_restore(struct group *group, struct container *container, bool file_open,
		  const struct caller *caller);
/* A device of it is open. Return: 0; -ENOENT it can not be, as the group has no container with a
 * driver. */
int group_restore_device(struct group *group, struct ioas **ret_ioas);
void group_restored(struct group *group);	/* what keeps nothing open is left */
/* Are there records of it? Not if it is behind a backend of its own whose domains do not outlive the
 * process. */
bool group_is_kept(const struct group *group);
/* Is it behind a backend of its own? */
bool group_is_apart(const struct group *group);
/* Group and kind by the number of a record, and what is in it. Return: 0, -EBADMSG. */
int group_record_parse(uint64_t number, const void *data, size_t size, unsigned *ret_id,
		       enum group_kind *ret_kind, uint64_t *ret_container, bool *ret_file_open,
		       bool *ret_apart);

/* ---- container.c, for iommu_type1.c and other drivers ---- */

/* While the driver is type1: is the log of dirty pages on? Locks: the container's held. */
void container_record_tracking(struct container *container, bool on);

/*
 * Run a typed call of an IOMMU driver: takes the container's lock and checks that @driver
 * is in force.
 * Return: 0 with the lock held and *ret_data set; -EINVAL no driver (CG-045); -ENOTTY
 * another driver (CG-046); in both cases without the lock.
 */
int container_driver_lock(struct container *container, const struct iommu_driver *driver,
			  void **ret_data);
void container_driver_unlock(struct container *container);

/* For group.c: attach and detach (6.2.1, CG-114 … CG-117). Locks: called with the group's
 * lock held; take the container's. */
int container_attach_group(struct container *container, struct group *group,
			   const struct caller *caller);
void container_detach_group(struct container *container, struct group *group);
/* container.c asks group.c back, while attaching and detaching, for the ownership of the
 * group's DMA. Locks: group's held. Return: 0, or -EPERM owned already (CG-073). */
int group_claim_dma(struct group *group);
void group_disclaim_dma(struct group *group);
/* All containers of a topology; for container.c. `lock` is a leaf. */
struct container_list {
	pthread_mutex_t lock;
	struct list containers;		/* struct container */
	struct list kept;		/* struct container, oldest first; a reference each */
	unsigned n_kept;
	atomic_bool ending;		/* none is kept any more */
	uint64_t last_id;
};
struct container_list *topology_containers(struct topology *topology);

/* Is a driver set, and what map do devices use? Return: 0, or -EINVAL (CG-097). */
int container_get_ioas(struct container *container, struct ioas **ret_ioas);
struct container *container_ref(struct container *container);
void container_unref(struct container *container);
/* Let go the oldest of those that are kept without groups, until there are @max, and those whose
 * client has gone. Locks: takes the list's, and theirs. */
void containers_trim(struct topology *topology, unsigned max);

#endif
