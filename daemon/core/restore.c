/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All that clients have open, again, out of the records of a process that was killed.
 *
 * What contradicts itself
 *
 *   A record tells of one object, and the last word on it counts. The calls of several clients
 *   are batches that end in any order, and one may have been cut off whose effect another one
 *   has seen: then records of two objects do not fit. This is put right by what must have
 *   happened: a group whose container has gone is in none, a device whose group is in none is
 *   closed, mappings of a container without a driver are unmapped. A record that no call can
 *   have left is -EBADMSG.
 *
 *   All is one batch: whoever is killed meanwhile leaves the records as they were found.
 */
#include <errno.h>
#include <stdlib.h>

#include <core/container_priv.h>
#include <core/device_priv.h>
#include <core/iommu_type1.h>
#include <core/type1.h>

/* ---- a client that has gone ---- */

static int gone_copy(struct mm *mm, const struct iovec *local, size_t n_local,
		     const struct iovec *remote, size_t n_remote)
{
	return -EFAULT;
}

static int gone_check(struct mm *mm, uint64_t addr, uint64_t size, unsigned prot)
{
	return -EFAULT;
}

static int gone_share(struct mm *mm, uint64_t addr, uint64_t size, unsigned prot,
		      struct mm_share *ret_share)
{
	return -EOPNOTSUPP;
}

static bool gone_alive(struct mm *mm)
{
	return false;
}

static const struct mm_ops gone_ops = {
	.read = gone_copy,
	.write = gone_copy,
	.check = gone_check,
	.share = gone_share,
	.alive = gone_alive,
};

/* The process's own reference is never dropped. */
static struct mm gone = { .ops = &gone_ops, .refs = 1 };

/* Who may do all that was done before. */
static const struct caller restorer = {
	.mm = &gone,
	.memlock_limit = UINT64_MAX,
	.cap_ipc_lock = true,
	.cap_sys_rawio = true,
};

/* ---- containers and groups ---- */

static int restore_group(void *arg, uint64_t number, const void *data, size_t size)
{
	const struct restore *restore = arg;
	struct topology *topology = restore->topology;
	struct container *container;
	enum group_kind kind;
	struct group *group;
	uint64_t in;
	bool open, apart;
	unsigned id;

	if (group_record_parse(number, data, size, &id, &kind, &in, &open, &apart))
		return -EBADMSG;
	group = topology_find_group(topology, id, kind == GROUP_NOIOMMU);
	if (!group || group_kind(group) != kind || !group_is_kept(group)) {
		keep_drop(topology_keep(topology), KEEP_GROUP, number);
		return 0;
	}
	/* A device of the machine has gone, or come, in its place. */
	container = apart == group_is_apart(group) ? container_restored(topology, in) : NULL;
	return group_restore(group, container, open, &restorer);
}

static int end_group(struct group *group, void *arg)
{
	group_restored(group);
	return 0;
}

static int restore_container(void *arg, uint64_t id, const void *data, size_t size)
{
	const struct restore *restore = arg;

	return container_restore(restore->topology, id, data, size);
}

static int restore_driver(struct container *container, void *arg)
{
	const struct restore *restore = arg;
	uint64_t id = container->record.domain.mm;
	struct mm *mm = id ? restore->ops->mm(restore->arg, id) : NULL;
	int r = container_restore_driver(container, &restorer, mm);

	mm_unref(mm);
	return r;
}

static int restore_tracking(struct container *container, void *arg)
{
	return container_restore_tracking(container);
}

/* ---- mappings ---- */

struct mapping_walk {
	const struct restore *restore;
	struct container *container;	/* of the latest; NULL */
};

static int restore_mapping(void *arg, uint64_t number, const void *data, size_t size)
{
	struct mapping_walk *walk = arg;
	struct topology *topology = walk->restore->topology;
	struct ioas_mapping m;
	uint64_t in, owner;
	struct mm *mm = NULL;
	int r;

	if (type1_record_parse(data, size, &in, &owner, &m))
		return -EBADMSG;
	topology_keep_number_seen(topology, number);
	if (!walk->container || container_id(walk->container) != in)
		walk->container = container_restored(topology, in);
	if (owner)
		mm = walk->restore->ops->mm(walk->restore->arg, owner);
	m.mm = mm ? mm : &gone;
	m.keep_id = number;
	r = walk->container ? type1_restore_mapping(walk->container, &m) : -ENOENT;
	mm_unref(mm);				/* the map has one */
	if (r == -ENOENT) {
		keep_drop(topology_keep(topology), KEEP_MAPPING, number);
		r = 0;
	}
	return r;
}

/* ---- devices ---- */

static int restore_device(struct device *device, void *arg)
{
	const struct restore *restore = arg;
	unsigned char rec[256];
	struct ioas *ioas = NULL;
	unsigned files;
	long size = keep_get(device->keep, KEEP_DEVICE, device->keep_id, rec, sizeof(rec));

	if (size < 0)
		return 0;			/* none are kept of it */
	if (device_record_parse(rec, (size_t)size, &files))
		return -EBADMSG;
	if (files && group_restore_device(device_group(device), &ioas) == 0)
		return device_restore(device, ioas, files, restore);
	device_record_files(device);
	return 0;
}

struct find_walk {
	uint64_t keep_id;
	struct device *found;
};

static int match_keep_id(struct device *device, void *arg)
{
	struct find_walk *walk = arg;

	if (device->keep && device->keep_id == walk->keep_id)
		walk->found = device;
	return walk->found != NULL;
}

/* NULL: there is none. */
static struct device *find_device(const struct restore *restore, uint64_t keep_id)
{
	struct find_walk walk = { keep_id, NULL };

	topology_each_device(restore->topology, NULL, match_keep_id, &walk);
	return walk.found;
}

static struct device *find_open_device(const struct restore *restore, uint64_t keep_id)
{
	struct device *device = find_device(restore, keep_id);

	return device && device_is_open(device) ? device : NULL;
}

static int restore_piece(void *arg, uint64_t number, const void *data, size_t size)
{
	const struct restore *restore = arg;
	struct device *device = find_open_device(restore, number >> 16);

	if (device)
		return device_restore_piece(device, number & 0xffff, data, size);
	keep_drop(topology_keep(restore->topology), KEEP_MODEL, number);
	return 0;
}

static int restore_ioeventfd(void *arg, uint64_t number, const void *data, size_t size)
{
	const struct restore *restore = arg;
	struct device *device;
	uint64_t of;
	int r;

	if (ioeventfd_record_parse(data, size, &of))
		return -EBADMSG;
	topology_keep_number_seen(restore->topology, number);
	device = find_open_device(restore, of);
	if (!device) {
		keep_drop(topology_keep(restore->topology), KEEP_IOEVENTFD, number);
		return 0;
	}
	device_lock(device);
	r = ioeventfd_restore(device, number, data, restore);
	device_unlock(device);
	return r == -ENOENT ? 0 : r;
}

/* ---- records of what is not there ---- */

struct sweep {
	const struct restore *restore;
	enum keep_kind kind;
};

static int sweep_record(void *arg, uint64_t number, const void *data, size_t size)
{
	const struct sweep *sweep = arg;
	struct device *device = find_device(sweep->restore, number);

	if (!device || (sweep->kind != KEEP_DEVICE && !device_is_open(device)))
		keep_drop(topology_keep(sweep->restore->topology), sweep->kind, number);
	return 0;
}

static int sweep_records(const struct restore *restore)
{
	static const enum keep_kind kinds[] = { KEEP_DEVICE, KEEP_IRQ, KEEP_CONFIG, KEEP_TIMERS };
	int r = 0;

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && r == 0; i++) {
		struct sweep sweep = { restore, kinds[i] };

		r = keep_each(topology_keep(restore->topology), kinds[i], sweep_record, &sweep);
	}
	return r;
}

/* ---- what nobody has a file of ---- */

static int drop_device(struct device *device, void *arg)
{
	struct device_file *file;
	int r;

	while ((r = device_restore_file(device, &file)) == 0)
		device_file_release(file);
	return r == -ENOENT ? 0 : r;
}

static int drop_group(struct group *group, void *arg)
{
	if (group_restore_file(group))
		group_release(group);
	return 0;
}

static int drop_container(struct container *container, void *arg)
{
	if (container_claim(container))
		container_release(container);
	return 0;
}

static int drop_unclaimed(struct topology *topology)
{
	int r = topology_each_device(topology, NULL, drop_device, NULL);

	if (r == 0)
		topology_each_group(topology, drop_group, NULL);
	if (r == 0)
		containers_each(topology, drop_container, NULL);
	return r;
}

/* ---- all of it ---- */

static int restore_all(struct restore *restore, const char **ret_what)
{
	struct topology *topology = restore->topology;
	struct mapping_walk walk = { restore, NULL };
	struct keep *keep = topology_keep(topology);
	int r;

	*ret_what = "a container";
	r = keep_each(keep, KEEP_CONTAINER, restore_container, restore);
	if (r)
		return r;
	*ret_what = "a group";
	r = keep_each(keep, KEEP_GROUP, restore_group, restore);
	if (r)
		return r;
	*ret_what = "a container's driver";
	r = containers_each(topology, restore_driver, restore);
	if (r)
		return r;
	*ret_what = "a mapping";
	r = keep_each(keep, KEEP_MAPPING, restore_mapping, &walk);
	if (r == 0)
		r = containers_each(topology, restore_tracking, NULL);
	if (r)
		return r;
	*ret_what = "a device";
	r = topology_each_device(topology, NULL, restore_device, restore);
	if (r)
		return r;
	*ret_what = "an ioeventfd";
	r = keep_each(keep, KEEP_IOEVENTFD, restore_ioeventfd, restore);
	if (r)
		return r;
	*ret_what = "a model's state";
	r = keep_each(keep, KEEP_MODEL, restore_piece, restore);
	if (r)
		return r;
	*ret_what = "what is closed";
	return sweep_records(restore);
}

int topology_restore(struct topology *topology, const struct restore_ops *ops, void *arg,
		     struct cused_error *err)
{
	struct restore restore = { topology, ops, arg };
	struct keep_batch batch;
	const char *what;
	int r;

	if (!topology_keep(topology))
		return 0;
	keep_begin(topology_keep(topology), &batch);
	r = restore_all(&restore, &what);
	if (r == 0) {
		topology_each_group(topology, end_group, NULL);
		containers_restored(topology);
	} else {
		containers_restored(topology);
		drop_unclaimed(topology);
		topology_each_group(topology, end_group, NULL);
		if (r != -ENOMEM)
			r = -EBADMSG;
	}
	keep_end(&batch);
	if (r == -ENOMEM)
		return cused_error_set(err, r, "out of memory for what clients have open");
	return r ? cused_error_set(err, r, "the state that was kept is broken: %s in it cannot be",
				   what) : 0;
}

struct container *container_restore_file(struct topology *topology, uint64_t id)
{
	struct container *container = container_restored(topology, id);

	return container && container_claim(container) ? container : NULL;
}

static int resume_device(struct device *device, void *arg)
{
	return device_resume(device, arg);
}

int topology_restore_end(struct topology *topology, struct cused_error *err)
{
	int r = topology_each_device(topology, NULL, resume_device, err);

	if (r)
		return r;
	r = drop_unclaimed(topology);
	return r ? cused_error_set(err, r, "out of memory to close what no client has open") : 0;
}
