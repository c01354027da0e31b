/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/container.c - a set of groups that share an IOMMU driver and its mappings.
 *
 * Theory of operation
 *
 *   EMPTY ──attach──▶ HAS_GROUPS ──set_iommu──▶ DRIVER_SET
 *     ▲                   │                         │
 *     └─── last detach ───┴────── last detach ──────┘
 *
 *   References: one of the open file, one per attached group. So a container outlives
 *   its file as long as a group is attached (CG-122), and an attached group keeps the
 *   driver, because only the last detach releases it (CG-114).
 *
 *   Locks: `lock` orders everything that happens to one container (T1-132), the driver's
 *   callbacks included. Drivers learn of a group its number and kind, which are constant,
 *   because set_iommu attaches groups without their locks.
 *
 *   The topology has a list of all containers, for status. It holds no reference: a walk
 *   takes one where there is one left to share, and the last unref unlinks.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <core/container_priv.h>
#include <util/cleanup.h>
#include <util/keep.h>
#include <util/list.h>

struct attachment {
	struct list link;
	struct group *group;
};

struct container *container_new(struct topology *topology, uint64_t id)
{
	struct container_list *all = topology_containers(topology);
	struct container *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->topology = topology;
	atomic_init(&c->refs, 1);
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->record_lock, NULL);
	list_init(&c->groups);
	pthread_mutex_lock(&all->lock);
	c->id = id ? id : all->last_id + 1;
	if (c->id > all->last_id)
		all->last_id = c->id;
	list_push_back(&all->containers, &c->link);
	pthread_mutex_unlock(&all->lock);
	return c;
}

int container_open(struct topology *topology, struct container **ret)
{
	struct container *c = container_new(topology, 0);

	if (!c)
		return -ENOMEM;
	containers_trim(topology, CONTAINER_KEPT_MAX);
	atomic_init(&c->file_open, true);
	container_record_file(c, true);
	*ret = c;
	return 0;
}

struct container *container_ref(struct container *container)
{
	atomic_fetch_add_explicit(&container->refs, 1, memory_order_relaxed);
	return container;
}

/* For a walk over the list, whose lock is held. Return: false: it is on its way out. */
static bool container_ref_if_alive(struct container *container)
{
	unsigned refs = atomic_load_explicit(&container->refs, memory_order_relaxed);

	while (refs && !atomic_compare_exchange_weak(&container->refs, &refs, refs + 1))
		;
	return refs > 0;
}

void container_unref(struct container *container)
{
	struct container_list *all;

	if (atomic_fetch_sub_explicit(&container->refs, 1, memory_order_acq_rel) != 1)
		return;
	all = topology_containers(container->topology);
	pthread_mutex_lock(&all->lock);
	list_remove(&container->link);
	pthread_mutex_unlock(&all->lock);
	/* Each attached group has a reference, so none is left, and no driver either. */
	container_record_gone(container);
	pthread_mutex_destroy(&container->record_lock);
	pthread_mutex_destroy(&container->lock);
	free(container);
}

void container_release(struct container *container)
{
	struct keep_batch batch;

	atomic_store_explicit(&container->file_open, false, memory_order_relaxed);
	keep_begin(topology_keep(container->topology), &batch);
	container_record_file(container, false);
	container_unref(container);
	keep_end(&batch);
}

enum container_driver container_driver(struct container *container)
{
	enum container_driver kind;

	pthread_mutex_lock(&container->lock);
	kind = container->driver ? container->driver->kind : CONTAINER_DRIVER_NONE;
	pthread_mutex_unlock(&container->lock);
	return kind;
}

/* ---- CHECK_EXTENSION ---- */

/* CG-022, CG-038: noiommu containers and others never meet each other's drivers. */
static bool driver_allowed(const struct container *container,
			   const struct iommu_driver *driver)
{
	return list_empty(&container->groups) || container->noiommu == driver->noiommu;
}

struct extension_walk {
	struct container *container;
	uint64_t id;
};

static int ask_driver(const struct iommu_driver *driver, void *arg)
{
	const struct extension_walk *walk = arg;

	if (!driver_allowed(walk->container, driver))
		return 0;
	return driver->check_extension(walk->container->topology, NULL, walk->id);
}

int container_check_extension(struct container *container, uint64_t id)
{
	struct extension_walk walk = { container, id };
	int r;

	pthread_mutex_lock(&container->lock);
	if (container->driver)	/* CG-020 */
		r = container->driver->check_extension(container->topology,
						       container->driver_data, id);
	else			/* CG-021 */
		r = topology_each_driver(container->topology, ask_driver, &walk);
	pthread_mutex_unlock(&container->lock);
	return r;
}

/* ---- SET_IOMMU ---- */

/* The groups before @end, last first. */
static void detach_before(struct container *container, const struct iommu_driver *driver,
			  void *data, struct list *end)
{
	for (struct list *it = end->prev; it != &container->groups; it = it->prev)
		driver->detach_group(data, container_of(it, struct attachment,
							link)->group);
}

/* CG-042: all of the container's groups or none. */
static int attach_all(struct container *container, const struct iommu_driver *driver,
		      void *data, const struct caller *caller)
{

	list_for_each(it, &container->groups) {
		struct group *group = container_of(it, struct attachment, link)->group;
		int r = driver->attach_group(data, group, caller);

		if (r) {
			detach_before(container, driver, data, it);
			return r;
		}
	}
	return 0;
}

struct set_walk {
	struct container *container;
	const struct caller *caller;
	uint64_t id;
	int err;			/* CG-044: of the driver that failed last */
};

/* Return: 1 the driver is in force; 0 try the next one. */
static int try_driver(const struct iommu_driver *driver, void *arg)
{
	struct set_walk *walk = arg;
	struct container *c = walk->container;
	void *data = NULL;
	int r;

	if (!driver_allowed(c, driver))					/* CG-038 */
		return 0;
	if (driver->check_extension(c->topology, NULL, walk->id) <= 0)	/* CG-039 */
		return 0;
	r = driver->open(c->topology, walk->caller, walk->id, &data);
	if (r) {							/* CG-040 */
		walk->err = r;
		return 0;
	}
	r = attach_all(c, driver, data, walk->caller);
	if (r == 0 && driver->swap) {
		r = driver->swap(data, walk->caller);
		if (r < 0)
			detach_before(c, driver, data, &c->groups);
	}
	if (r < 0) {							/* CG-042 */
		driver->release(data);
		walk->err = r;
		return 0;
	}
	c->driver = driver;						/* CG-043 */
	c->driver_data = data;
	c->swapped = r > 0;
	if (c->swapped)
		c->mm = mm_ref(walk->caller->mm);
	container_record_driver(c, walk->id);
	return 1;
}

int container_set_iommu(struct container *container, const struct caller *caller,
			uint64_t id)
{
	struct set_walk walk = { container, caller, id, -ENODEV };
	int r;

	pthread_mutex_lock(&container->lock);
	if (list_empty(&container->groups) || container->driver)
		r = -EINVAL;						/* CG-036, CG-037 */
	else if (topology_each_driver(container->topology, try_driver, &walk))
		r = 0;
	else
		r = walk.err;						/* CG-044 */
	pthread_mutex_unlock(&container->lock);
	return r;
}

/* ---- for drivers and groups ---- */

int container_driver_lock(struct container *container, const struct iommu_driver *driver,
			  void **ret_data)
{
	int r = 0;

	pthread_mutex_lock(&container->lock);
	if (!container->driver)
		r = -EINVAL;						/* CG-045 */
	else if (container->driver != driver)
		r = -ENOTTY;						/* CG-046 */
	if (r)
		pthread_mutex_unlock(&container->lock);
	else
		*ret_data = container->driver_data;
	return r;
}

void container_driver_unlock(struct container *container)
{
	pthread_mutex_unlock(&container->lock);
}

/* CG-072 … CG-076. Locks: group's and container's held. */
static int attach_locked(struct container *container, struct group *group,
			 const struct caller *caller, struct attachment *attachment)
{
	bool noiommu = group_kind(group) == GROUP_NOIOMMU;
	int r;

	if (!list_empty(&container->groups) && container->noiommu != noiommu)
		return -EPERM;						/* CG-072 */
	r = group_claim_dma(group);					/* CG-073 */
	if (r)
		return r;
	if (container->driver) {
		r = container->driver->attach_group(container->driver_data, group, caller);
		if (r) {						/* CG-076 */
			group_disclaim_dma(group);
			return r;
		}
	}
	container->noiommu = noiommu;
	attachment->group = group;
	list_push_back(&container->groups, &attachment->link);
	container_record_domain(container);
	return 0;
}

int container_attach_group(struct container *container, struct group *group,
			   const struct caller *caller)
{
	cleanup_free struct attachment *attachment = NULL;
	bool unkept = false;
	int r;

	if (group_kind(group) == GROUP_NOIOMMU && !caller->cap_sys_rawio)
		return -EPERM;						/* CG-071 */
	attachment = calloc(1, sizeof(*attachment));
	if (!attachment)
		return -ENOMEM;
	pthread_mutex_lock(&container->lock);
	r = attach_locked(container, group, caller, attachment);
	if (!r) {
		container_ref(container);				/* CG-077 */
		attachment = NULL;	/* the list's now */
		unkept = container->kept;
		if (unkept)
			container_unkeep(container);
	}
	pthread_mutex_unlock(&container->lock);
	if (unkept)
		container_unref(container);
	return r;
}

static struct attachment *find_attachment(struct container *container,
					  const struct group *group)
{
	list_for_each(it, &container->groups) {
		struct attachment *a = container_of(it, struct attachment, link);

		if (a->group == group)
			return a;
	}
	return NULL;
}

void container_end_driver(struct container *container)
{
	container->driver->release(container->driver_data);
	container->driver = NULL;
	container->driver_data = NULL;
	container->swapped = false;
	mm_unref(container->mm);
	container->mm = NULL;
	container_record_driver(container, 0);
}

void container_detach_group(struct container *container, struct group *group)
{
	struct topology *topology = container->topology;
	struct attachment *attachment;
	bool kept = false;

	pthread_mutex_lock(&container->lock);
	if (container->driver)
		container->driver->detach_group(container->driver_data, group);
	group_disclaim_dma(group);
	attachment = find_attachment(container, group);
	list_remove(&attachment->link);
	if (list_empty(&container->groups) && container->driver) {
		kept = container_keep(container);
		if (!kept)
			container_end_driver(container);				/* CG-114 */
	}
	container_record_domain(container);
	pthread_mutex_unlock(&container->lock);
	free(attachment);
	if (kept)
		containers_trim(topology, CONTAINER_KEPT_MAX);
	else
		container_unref(container);
}

int container_get_ioas(struct container *container, struct ioas **ret_ioas)
{
	int r = 0;

	pthread_mutex_lock(&container->lock);
	if (!container->driver)
		r = -EINVAL;						/* CG-097 */
	else
		*ret_ioas = container->driver->ioas ?
			container->driver->ioas(container->driver_data) : NULL;
	pthread_mutex_unlock(&container->lock);
	return r;
}

bool container_has_group(struct container *container, const struct group *group)
{
	bool found;

	pthread_mutex_lock(&container->lock);
	found = find_attachment(container, group) != NULL;
	pthread_mutex_unlock(&container->lock);
	return found;
}

/* ---- status ---- */

uint64_t container_id(const struct container *container)
{
	return container->id;
}

void container_get_status(struct container *container, struct container_status *ret)
{
	const struct iommu_driver *driver;

	*ret = (struct container_status){
		.id = container->id,
		.file_open = atomic_load_explicit(&container->file_open, memory_order_relaxed),
		.busy = !status_lock(&container->lock),
	};
	if (ret->busy)
		return;
	driver = container->driver;
	list_for_each(it, &container->groups)
		ret->groups++;
	ret->driver = driver ? driver->name : NULL;
	ret->swapped = container->swapped;
	ret->kept = container->kept;
	if (driver && driver->ioas)
		ioas_totals(driver->ioas(container->driver_data), &ret->mappings,
			    &ret->mapped_bytes);
	pthread_mutex_unlock(&container->lock);
}

int containers_each(struct topology *topology,
		    int (*fn)(struct container *container, void *arg), void *arg)
{
	struct container_list *all = topology_containers(topology);
	struct container *held = NULL;
	int r = 0;

	pthread_mutex_lock(&all->lock);
	for (struct list *it = all->containers.next; r == 0 && it != &all->containers;) {
		struct container *c = container_of(it, struct container, link);
		struct container *before = held;

		if (!container_ref_if_alive(c)) {
			it = it->next;
			continue;
		}
		held = c;
		pthread_mutex_unlock(&all->lock);
		if (before)
			container_unref(before);
		r = fn(c, arg);
		pthread_mutex_lock(&all->lock);
		it = it->next;		/* it is in the list still: we have a reference */
	}
	pthread_mutex_unlock(&all->lock);
	if (held)
		container_unref(held);
	return r;
}
