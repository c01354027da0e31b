/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/group.c - a group's open file, its container and its open devices.
 *
 * Theory of operation
 *
 *   CLOSED ──open──▶ OPEN ──set_container──▶ ATTACHED ──get_device──▶ devices open
 *     ▲                │  ◀─unset_container──    │                        │
 *     └── last of: the open file, each open device ── (detaches first) ───┘
 *
 *   Two counts, which the rules treat differently:
 *     file_refs        1 for the open file, 1 per device that is open. The group is
 *                      "open", and stays attached, until it drops to 0 (CG-119, CG-124).
 *     container_users  1 for the container, 1 per device that is open. UNSET_CONTAINER
 *                      needs exactly 1 (CG-084).
 *   A device counts once, however many files it has (CG-103, CG-128).
 *
 *   The struct itself lives as long as the topology, so nobody needs a reference to it.
 *   iommufd as a second thing that a group can be attached to would be a second member
 *   beside `container`, judged where `container` is.
 *
 *   Locks: `lock`, over everything that changes; taken before the container's and the
 *   device's. It is held across the open and close callbacks of a device's model, so that
 *   counts and device agree, and across no other.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <linux/vfio.h>

#include <core/internal.h>
#include <core/restore.h>
#include <util/keep.h>

struct group {
	struct topology *topology;	/* constant, as are id and kind */
	unsigned id;
	enum group_kind kind;
	const struct cused_iommu_ops *iommu;	/* constant once there are devices */
	void *iommu_state;
	pthread_mutex_t lock;
	unsigned file_refs;		/* lock */
	struct container *container;	/* a reference, or NULL; lock */
	unsigned container_users;	/* lock */
	bool dma_claimed;		/* by our container; lock */
	bool foreign_owner;		/* a host driver does DMA (CG-138); lock */
	bool unclaimed;			/* restored: its file is open, nobody has asked for it; lock */
};

/* KEEP_GROUP. Which devices are open they know themselves. */
struct group_record {
	uint64_t container;		/* container_id(); 0: in none */
	uint8_t file_open;
	uint8_t apart;			/* group_is_apart() */
	uint8_t pad[6];
};

#define KIND_BITS 2			/* of a record's number, lowest */

int group_new(struct topology *topology, unsigned id, enum group_kind kind,
	      struct group **ret)
{
	struct group *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->topology = topology;
	g->id = id;
	g->kind = kind;
	g->iommu = topology_params(topology)->iommu;
	g->iommu_state = topology_params(topology)->iommu_state;
	pthread_mutex_init(&g->lock, NULL);
	*ret = g;
	return 0;
}

void group_free(struct group *group)
{
	if (!group)
		return;
	pthread_mutex_destroy(&group->lock);
	free(group);
}

unsigned group_id(const struct group *group)
{
	return group->id;
}

enum group_kind group_kind(const struct group *group)
{
	return group->kind;
}

struct topology *group_topology(const struct group *group)
{
	return group->topology;
}

const struct cused_iommu_ops *group_iommu(const struct group *group, void **ret_state)
{
	*ret_state = group->iommu_state;
	return group->iommu;
}

void group_set_iommu(struct group *group, const struct cused_iommu_ops *ops, void *state)
{
	group->iommu = ops;
	group->iommu_state = state;
}

static int is_ours(struct device *device, void *arg)
{
	return device_group(device) == arg;
}

/* As in the kernel, a device that is being taken away is one of the group's until it is
 * closed. */
bool group_has_devices(struct group *group)
{
	return topology_each_present(group->topology, is_ours, group);
}

/* ---- records ---- */

bool group_is_apart(const struct group *group)
{
	return group->iommu != topology_params(group->topology)->iommu;
}

bool group_is_kept(const struct group *group)
{
	return !group_is_apart(group) || (topology_params(group->topology)->files &&
					  CUSED_HAS(group->iommu, domain_restore));
}

/* Locks: group's held. */
static void record(struct group *group)
{
	unsigned open_devices = group->container ? group->container_users - 1 : 0;
	struct group_record rec = {
		.container = group->container ? container_id(group->container) : 0,
		.file_open = group->file_refs > open_devices,
		.apart = group_is_apart(group),
	};
	uint64_t number = (uint64_t)group->id << KIND_BITS | group->kind;
	struct keep *keep = topology_keep(group->topology);

	if (!keep || !group_is_kept(group))
		return;
	if (rec.container || rec.file_open)
		keep_put(keep, KEEP_GROUP, number, &rec, sizeof(rec));
	else
		keep_drop(keep, KEEP_GROUP, number);
}

int group_record_parse(uint64_t number, const void *data, size_t size, unsigned *ret_id,
		       enum group_kind *ret_kind, uint64_t *ret_container, bool *ret_file_open,
		       bool *ret_apart)
{
	const struct group_record *rec = data;

	*ret_id = (unsigned)(number >> KIND_BITS);
	*ret_kind = number & ((1u << KIND_BITS) - 1);
	if (size != sizeof(*rec) || number >> KIND_BITS > UINT32_MAX ||
	    *ret_kind > GROUP_NOIOMMU || rec->file_open > 1 || rec->apart > 1)
		return -EBADMSG;
	*ret_container = rec->container;
	*ret_file_open = rec->file_open;
	*ret_apart = rec->apart;
	return 0;
}

/* ---- ownership of DMA; called back by container.c with the lock held ---- */

int group_claim_dma(struct group *group)
{
	if (group->kind != GROUP_REAL)
		return 0;
	if (group->foreign_owner || group->dma_claimed)
		return -EPERM;						/* CG-073 */
	group->dma_claimed = true;
	return 0;
}

void group_disclaim_dma(struct group *group)
{
	group->dma_claimed = false;
}

int group_set_foreign_owner(struct group *group, bool owned)
{
	int r = 0;

	pthread_mutex_lock(&group->lock);
	if (owned && group->dma_claimed)
		r = -EBUSY;						/* CG-141 */
	else
		group->foreign_owner = owned;
	pthread_mutex_unlock(&group->lock);
	return r;
}

/* ---- open and close ---- */

int group_open(struct group *group, const struct caller *caller)
{
	int r = 0;

	pthread_mutex_lock(&group->lock);
	if (!group_has_devices(group))
		r = -ENODEV;						/* CG-049 */
	else if (group->kind == GROUP_NOIOMMU && !caller->cap_sys_rawio)
		r = -EPERM;						/* CG-050 */
	else if (group->file_refs)
		r = -EBUSY;						/* CG-052 */
	else
		group->file_refs = 1;
	if (r == 0)
		record(group);
	pthread_mutex_unlock(&group->lock);
	return r;
}

/* Locks: group's held. */
static void detach(struct group *group)
{
	struct container *container = group->container;

	group->container = NULL;
	group->container_users = 0;
	container_detach_group(container, group);
}

/* One reference to the open file less. Locks: group's held. */
static void put_file(struct group *group)
{
	if (--group->file_refs == 0 && group->container)
		detach(group);						/* CG-056, CG-125 */
	record(group);
}

/* What follows counts as a whole, up to the end of the batch. */
static void lock(struct group *group, struct keep_batch *batch)
{
	keep_begin(topology_keep(group->topology), batch);
	pthread_mutex_lock(&group->lock);
}

static void unlock(struct group *group, struct keep_batch *batch)
{
	pthread_mutex_unlock(&group->lock);
	keep_end(batch);
}

void group_release(struct group *group)
{
	struct keep_batch batch;

	lock(group, &batch);
	put_file(group);
	unlock(group, &batch);
}

/* ---- ioctls ---- */

int group_get_status(struct group *group, uint32_t *ret_flags)
{
	int r = 0;

	pthread_mutex_lock(&group->lock);
	if (!group_has_devices(group))
		r = -ENODEV;						/* CG-059 */
	else if (group->container)					/* CG-060 */
		*ret_flags = VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET;
	else								/* CG-061, CG-062 */
		*ret_flags = group->foreign_owner ? 0 : VFIO_GROUP_FLAGS_VIABLE;
	pthread_mutex_unlock(&group->lock);
	return r;
}

int group_set_container(struct group *group, const struct caller *caller,
			const struct container_arg *arg)
{
	struct keep_batch batch;
	int r;

	if (arg->err == -EBADF)
		return -EBADF;						/* CG-065 */
	lock(group, &batch);
	if (group->container)
		r = -EINVAL;						/* CG-066 */
	else if (!group_has_devices(group))
		r = -ENODEV;						/* CG-067 */
	else if (arg->err)
		r = arg->err;						/* CG-070 */
	else
		r = container_attach_group(arg->container, group, caller);
	if (!r) {
		group->container = arg->container;
		group->container_users = 1;
		record(group);
	}
	unlock(group, &batch);
	return r;
}

int group_unset_container(struct group *group)
{
	struct keep_batch batch;
	int r = 0;

	lock(group, &batch);
	if (!group->container)
		r = -EINVAL;						/* CG-083 */
	else if (group->container_users != 1)
		r = -EBUSY;						/* CG-084 */
	else
		detach(group);						/* CG-085 */
	if (r == 0)
		record(group);
	unlock(group, &batch);
	return r;
}

void group_get_state(struct group *group, struct group_state *ret)
{
	*ret = (struct group_state){ .busy = !status_lock(&group->lock) };
	if (ret->busy)
		return;
	ret->open = group->file_refs > 0;
	if (group->container) {
		ret->container = container_id(group->container);
		ret->open_devices = group->container_users - 1;
	}
	ret->viable = !group->foreign_owner;
	pthread_mutex_unlock(&group->lock);
}

/* ---- devices ---- */

struct name_walk {
	const char *name;
	struct device *found;
};

static int match_device(struct device *device, void *arg)
{
	struct name_walk *walk = arg;
	int r = device_match_name(device, walk->name);

	if (r == -ENODEV)
		return 0;
	if (!r)
		walk->found = device;
	return r ? r : 1;
}

/* First open of a device: what its DMA goes through. Locks: group's held. */
static int first_open_ioas(struct group *group, const struct caller *caller,
			   struct ioas **ret_ioas)
{
	int r = container_get_ioas(group->container, ret_ioas);

	if (r)
		return r;						/* CG-097 */
	if (group->kind == GROUP_NOIOMMU && !caller->cap_sys_rawio)
		return -EPERM;						/* CG-098 */
	return 0;
}

static int get_device_locked(struct group *group, const struct caller *caller,
			     struct device *device, struct device_file **ret)
{
	struct ioas *ioas = NULL;
	bool first;
	int r;

	if (!group->container)
		return -EINVAL;						/* CG-094 */
	first = !device_is_open(device);
	if (first) {
		r = first_open_ioas(group, caller, &ioas);
		if (r)
			return r;
	}
	r = device_open(device, ioas, ret);				/* CG-100, CG-102 */
	if (!r && first) {
		group->container_users++;
		group->file_refs++;
	}
	return r;
}

int group_get_device(struct group *group, const struct caller *caller, const char *name,
		     struct device_file **ret)
{
	struct name_walk walk = { name, NULL };
	int r;

	/* What was found is not to go before it is open. Who takes a device away waits for that,
	 * and not for us to get the lock, which a client can keep for long. */
	pthread_mutex_lock(&group->lock);
	topology_hold(group->topology);
	r = topology_each_device(group->topology, group, match_device, &walk);
	if (r >= 0)							/* CG-090 */
		r = walk.found ? get_device_locked(group, caller, walk.found, ret) :
				 -ENODEV;				/* CG-089, CG-091 */
	topology_let_go(group->topology);
	pthread_mutex_unlock(&group->lock);
	return r;
}

/* Locks: group's held. */
static void leave_if_empty(struct group *group)
{
	if (group->container && !group_has_devices(group)) {
		detach(group);						/* CG-114 */
		record(group);
	}
}

void group_revoke_device(struct group *group, struct device *device)
{
	struct keep_batch batch;

	lock(group, &batch);
	if (device_is_open(device)) {
		device_shut(device);
		group->container_users--;
		put_file(group);
	}
	leave_if_empty(group);
	unlock(group, &batch);
}

void group_device_gone(struct group *group)
{
	struct keep_batch batch;

	lock(group, &batch);
	leave_if_empty(group);
	unlock(group, &batch);
}

void group_close_device(struct group *group, struct device_file *file)
{
	struct keep_batch batch;

	lock(group, &batch);
	if (device_close(file)) {					/* CG-127 */
		group->container_users--;
		put_file(group);
	}
	unlock(group, &batch);
}

/* ---- restore ---- */

int group_restore(struct group *group, struct container *container, bool file_open,
		  const struct caller *caller)
{
	int r = 0;

	pthread_mutex_lock(&group->lock);
	if (container)
		r = container_attach_group(container, group, caller);
	if (!r) {
		group->container = container;
		group->container_users = container ? 1 : 0;
		group->file_refs = file_open;
		group->unclaimed = file_open;
		record(group);
	}
	pthread_mutex_unlock(&group->lock);
	return r;
}

int group_restore_device(struct group *group, struct ioas **ret_ioas)
{
	int r = -ENOENT;

	pthread_mutex_lock(&group->lock);
	if (group->container && container_get_ioas(group->container, ret_ioas) == 0) {
		group->container_users++;
		group->file_refs++;
		r = 0;
	}
	pthread_mutex_unlock(&group->lock);
	return r;
}

void group_restored(struct group *group)
{
	pthread_mutex_lock(&group->lock);
	if (group->container && (group->file_refs == 0 || !group_has_devices(group))) {
		detach(group);
		record(group);
	}
	pthread_mutex_unlock(&group->lock);
}

bool group_restore_file(struct group *group)
{
	bool open;

	pthread_mutex_lock(&group->lock);
	open = group->unclaimed;
	group->unclaimed = false;
	pthread_mutex_unlock(&group->lock);
	return open;
}
