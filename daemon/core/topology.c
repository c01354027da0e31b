/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/topology.c - the lists of groups, devices and IOMMU drivers.
 *
 * Theory of operation
 *
 *   An entry is complete before a release store links it, so walks run beside adds without
 *   a lock: a callback may take any lock of the core, and a model's callback may run under
 *   a walk. The lock serialises those who add and remove.
 *
 *   Groups and drivers stay until topology_free(). Devices can go before, and a walk must
 *   not meet one that is freed. So walks of devices are counted, and who takes a device
 *   away waits until there is none. A walk never waits for who waits for walks, so that
 *   walks may be nested, and may wait for any lock, whoever holds it. A device that is
 *   hidden stands in `hidden` until it is freed. One that was revoked is there only because
 *   of files that clients have not closed: neither its group nor its address know it.
 *
 *   A device is made by its model (create() may open files and take its time), hence
 *   without a lock. So that two adds do not both make a device for one address, the
 *   address is reserved in `pending` meanwhile.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <core/internal.h>
#include <util/cleanup.h>
#include <util/list.h>

struct node {
	_Atomic(struct node *) next;
	struct list link;			/* topology.hidden */
	union {
		struct group *group;
		struct {
			struct device *device;
			struct group *device_group;
			struct pci_address address;
		};
		const struct iommu_driver *driver;
	};
};

struct chain {
	_Atomic(struct node *) first;
	_Atomic(struct node *) *tail;		/* topology.lock */
};

struct reservation {
	struct list link;
	struct pci_address address;
};

struct topology {
	struct topology_params params;		/* constant */
	pthread_mutex_t lock;
	struct chain groups, devices;		/* oldest first */
	_Atomic(struct node *) drivers;		/* newest first */
	struct list pending;			/* struct reservation; lock */
	struct list hidden;			/* struct node; lock, and no walks, to change */
	pthread_mutex_t walks_lock;		/* innermost */
	pthread_cond_t walks_ended;		/* walks_lock */
	unsigned walks;				/* walks_lock; of devices, under way */
	struct container_list containers;
	atomic_uint_fast64_t last_number;	/* topology_keep_number() */
	struct device *revoked;			/* see topology_revoked(); set before others are there */
};

static void chain_init(struct chain *chain)
{
	atomic_init(&chain->first, NULL);
	chain->tail = &chain->first;
}

static void chain_append(struct chain *chain, struct node *node)
{
	atomic_init(&node->next, NULL);
	atomic_store_explicit(chain->tail, node, memory_order_release);
	chain->tail = &node->next;
}

/* Locks: topology.lock, and there are no walks. */
static void chain_remove(struct chain *chain, struct node *node)
{
	_Atomic(struct node *) *at = &chain->first;

	while (atomic_load(at) != node)
		at = &atomic_load(at)->next;
	atomic_store(at, atomic_load(&node->next));
	if (chain->tail == &node->next)
		chain->tail = at;
}

static struct node *load(_Atomic(struct node *) *at)
{
	return atomic_load_explicit(at, memory_order_acquire);
}

#define node_for_each(it, first) \
	for (struct node *it = load(first); it; it = load(&it->next))

static void nodes_free(_Atomic(struct node *) *first, void (*fn)(struct node *node))
{
	struct node *next;

	for (struct node *it = load(first); it; it = next) {
		next = load(&it->next);
		if (fn)
			fn(it);
		free(it);
	}
}

int topology_new(const struct topology_params *params, struct topology **ret)
{
	struct topology *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->params = *params;
	if (t->params.dma_entry_limit == 0)
		t->params.dma_entry_limit = 65535;
	pthread_mutex_init(&t->lock, NULL);
	chain_init(&t->groups);
	chain_init(&t->devices);
	atomic_init(&t->drivers, NULL);
	list_init(&t->pending);
	list_init(&t->hidden);
	pthread_mutex_init(&t->walks_lock, NULL);
	pthread_cond_init(&t->walks_ended, NULL);
	pthread_mutex_init(&t->containers.lock, NULL);
	list_init(&t->containers.containers);
	list_init(&t->containers.kept);
	*ret = t;
	return 0;
}

static void free_device(struct node *node)
{
	device_free(node->device);
}

static void free_group(struct node *node)
{
	group_free(node->group);
}

void topology_free(struct topology *topology)
{
	if (!topology)
		return;
	containers_trim(topology, 0);
	if (topology->revoked) {
		struct group *group = device_group(topology->revoked);

		device_free(topology->revoked);
		group_free(group);
	}
	list_for_each_safe(it, tmp, &topology->hidden) {
		free_device(container_of(it, struct node, link));
		free(container_of(it, struct node, link));
	}
	nodes_free(&topology->devices.first, free_device);
	nodes_free(&topology->groups.first, free_group);
	nodes_free(&topology->drivers, NULL);
	pthread_cond_destroy(&topology->walks_ended);
	pthread_mutex_destroy(&topology->walks_lock);
	pthread_mutex_destroy(&topology->containers.lock);
	pthread_mutex_destroy(&topology->lock);
	free(topology);
}

struct container_list *topology_containers(struct topology *topology)
{
	return &topology->containers;
}

const struct topology_params *topology_params(const struct topology *topology)
{
	return &topology->params;
}

struct keep *topology_keep(const struct topology *topology)
{
	return topology->params.keep;
}

uint64_t topology_keep_number(struct topology *topology)
{
	return topology->params.keep ? atomic_fetch_add(&topology->last_number, 1) + 1 : 0;
}

void topology_keep_number_seen(struct topology *topology, uint64_t number)
{
	if (number > atomic_load(&topology->last_number))
		atomic_store(&topology->last_number, number);
}

/* ---- groups ---- */

struct group *topology_find_group(struct topology *topology, unsigned id, bool noiommu)
{
	node_for_each(it, &topology->groups.first) {
		if (group_id(it->group) == id &&
		    (group_kind(it->group) == GROUP_NOIOMMU) == noiommu)
			return it->group;
	}
	return NULL;
}

int topology_add_group(struct topology *topology, unsigned id, enum group_kind kind,
		       struct group **ret)
{
	cleanup_free struct node *node = calloc(1, sizeof(*node));
	struct group *group;
	int r;

	if (!node)
		return -ENOMEM;
	pthread_mutex_lock(&topology->lock);
	r = topology_find_group(topology, id, kind == GROUP_NOIOMMU) ? -EEXIST : 0;
	if (!r)
		r = group_new(topology, id, kind, &group);
	if (!r) {
		node->group = group;
		chain_append(&topology->groups, steal_ptr(node));
	}
	pthread_mutex_unlock(&topology->lock);
	if (!r)
		*ret = group;
	return r;
}

int topology_each_group(struct topology *topology,
			int (*fn)(struct group *group, void *arg), void *arg)
{
	node_for_each(it, &topology->groups.first) {
		int r = fn(it->group, arg);

		if (r)
			return r;
	}
	return 0;
}

/* ---- devices ---- */

static bool address_eq(struct pci_address a, struct pci_address b)
{
	return a.segment == b.segment && a.bus == b.bus && a.slot == b.slot &&
	       a.function == b.function;
}

/* Locks: topology.lock held. */
static bool address_taken(struct topology *topology, struct pci_address address)
{
	node_for_each(it, &topology->devices.first) {
		if (address_eq(it->address, address))
			return true;
	}
	list_for_each(it, &topology->hidden) {
		const struct node *node = container_of(it, struct node, link);

		if (address_eq(node->address, address) && !device_is_revoked(node->device))
			return true;
	}
	list_for_each(it, &topology->pending) {
		if (address_eq(container_of(it, struct reservation, link)->address,
			       address))
			return true;
	}
	return false;
}

static int reserve(struct topology *topology, struct reservation *reservation)
{
	int r = 0;

	pthread_mutex_lock(&topology->lock);
	if (address_taken(topology, reservation->address))
		r = -EEXIST;
	else
		list_push_back(&topology->pending, &reservation->link);
	pthread_mutex_unlock(&topology->lock);
	return r;
}

int topology_add_device(struct topology *topology, struct group *group,
			const struct device_params *params, struct device **ret,
			struct cused_error *err)
{
	struct reservation reservation = { .address = params->address };
	cleanup_free struct node *node = calloc(1, sizeof(*node));
	struct device *device = NULL;
	int r;

	if (!node)
		return cused_error_set(err, -ENOMEM, "out of memory for a device");
	r = reserve(topology, &reservation);
	if (r)
		return cused_error_set(err, r,
			"PCI address %04x:%02x:%02x.%x is used by two devices; give one of them another address",
			params->address.segment, params->address.bus,
			params->address.slot, params->address.function);
	r = device_new(topology, group, params, &device, err);

	pthread_mutex_lock(&topology->lock);
	list_remove(&reservation.link);
	if (!r) {
		node->device = device;
		node->device_group = group;
		node->address = params->address;
		chain_append(&topology->devices, steal_ptr(node));
	}
	pthread_mutex_unlock(&topology->lock);
	if (!r)
		*ret = device;
	return r;
}

/* Wait until nobody walks, and keep new walks out until walks_resume(). Locks: topology.lock
 * held. */
static void walks_stop(struct topology *topology)
{
	pthread_mutex_lock(&topology->walks_lock);
	while (topology->walks)
		pthread_cond_wait(&topology->walks_ended, &topology->walks_lock);
}

static void walks_resume(struct topology *topology)
{
	pthread_mutex_unlock(&topology->walks_lock);
}

void topology_hide_device(struct topology *topology, struct device *device)
{
	struct node *node = NULL;

	pthread_mutex_lock(&topology->lock);
	node_for_each(it, &topology->devices.first) {
		if (it->device == device)
			node = it;
	}
	if (node) {
		walks_stop(topology);
		chain_remove(&topology->devices, node);
		list_push_back(&topology->hidden, &node->link);
		walks_resume(topology);
	}
	pthread_mutex_unlock(&topology->lock);
}

int topology_free_device(struct topology *topology, struct device *device)
{
	struct node *node = NULL;

	if (device_has_files(device))
		return -EBUSY;
	pthread_mutex_lock(&topology->lock);
	list_for_each(it, &topology->hidden) {
		if (container_of(it, struct node, link)->device == device)
			node = container_of(it, struct node, link);
	}
	if (node) {
		walks_stop(topology);
		list_remove(&node->link);
		walks_resume(topology);
	}
	pthread_mutex_unlock(&topology->lock);
	if (node) {
		/* A last close can be on its way out of its group's lock, with the device. */
		group_device_gone(node->device_group);
		device_record_gone(node->device);
		free_device(node);
		free(node);
	}
	return 0;
}

struct device *topology_revoked(struct topology *topology)
{
	return topology->revoked;
}

void topology_set_revoked(struct topology *topology, struct device *device)
{
	topology->revoked = device;
}

int topology_each_present(struct topology *topology,
			  int (*fn)(struct device *device, void *arg), void *arg)
{
	int r;

	topology_hold(topology);
	r = topology_each_device(topology, NULL, fn, arg);
	for (struct list *it = topology->hidden.next; r == 0 && it != &topology->hidden;
	     it = it->next) {
		struct device *device = container_of(it, struct node, link)->device;

		if (!device_is_revoked(device))
			r = fn(device, arg);
	}
	topology_let_go(topology);
	return r;
}

void topology_hold(struct topology *topology)
{
	pthread_mutex_lock(&topology->walks_lock);
	topology->walks++;
	pthread_mutex_unlock(&topology->walks_lock);
}

void topology_let_go(struct topology *topology)
{
	pthread_mutex_lock(&topology->walks_lock);
	if (--topology->walks == 0)
		pthread_cond_broadcast(&topology->walks_ended);
	pthread_mutex_unlock(&topology->walks_lock);
}

int topology_each_device(struct topology *topology, struct group *group_or_null,
			 int (*fn)(struct device *device, void *arg), void *arg)
{
	int r = 0;

	topology_hold(topology);
	node_for_each(it, &topology->devices.first) {
		if (group_or_null && it->device_group != group_or_null)
			continue;
		r = fn(it->device, arg);
		if (r)
			break;
	}
	topology_let_go(topology);
	return r;
}

int topology_each_hidden_device(struct topology *topology, struct group *group,
				int (*fn)(struct device *device, void *arg), void *arg)
{
	int r = 0;

	topology_hold(topology);
	for (struct list *it = topology->hidden.next; r == 0 && it != &topology->hidden;
	     it = it->next) {
		const struct node *node = container_of(it, struct node, link);

		if (node->device_group == group)
			r = fn(node->device, arg);
	}
	topology_let_go(topology);
	return r;
}

/* ---- IOMMU drivers ---- */

int iommu_driver_register(struct topology *topology, const struct iommu_driver *driver)
{
	cleanup_free struct node *node = calloc(1, sizeof(*node));
	int r = 0;

	if (!node)
		return -ENOMEM;
	node->driver = driver;
	pthread_mutex_lock(&topology->lock);
	node_for_each(it, &topology->drivers) {
		if (it->driver == driver)
			r = -EEXIST;
	}
	if (!r) {
		atomic_init(&node->next, load(&topology->drivers));
		atomic_store_explicit(&topology->drivers, steal_ptr(node),
				      memory_order_release);
	}
	pthread_mutex_unlock(&topology->lock);
	return r;
}

int topology_each_driver(struct topology *topology,
			 int (*fn)(const struct iommu_driver *driver, void *arg), void *arg)
{
	node_for_each(it, &topology->drivers) {
		int r = fn(it->driver, arg);

		if (r)
			return r;
	}
	return 0;
}
