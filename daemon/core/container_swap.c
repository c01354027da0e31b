/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/container_swap.c - containers in whose place the client has a file of the backend's.
 *
 * Theory of operation
 *
 *   Swapped: a backend gave the client a file in place of the container (SET_IOMMU). The
 *   client closes ours thereby, so the container goes on by its groups, as one whose file was
 *   closed (CG-122), and further groups find it by that file. When the last group leaves, the
 *   client has the file still, may come with it and a group again, and will not tell us
 *   when it sets an IOMMU. So the container is kept, with a driver that is as new. That the
 *   client has closed its file nobody tells, either: a container goes at the next open of one
 *   after its client has ended, and the oldest of many.
 *
 *   Locks: a container's, then the list's. A container is `kept` exactly if it is on the list of
 *   those kept, which has a reference then; both change together, with both locks held.
 */
#include <core/container_priv.h>

void container_keep_renewed(struct container *container)
{
	struct container_list *all = topology_containers(container->topology);

	container->kept = true;
	pthread_mutex_lock(&all->lock);
	list_push_back(&all->kept, &container->kept_link);
	all->n_kept++;
	pthread_mutex_unlock(&all->lock);
}

bool container_keep(struct container *container)
{
	if (!container->swapped || atomic_load(&topology_containers(container->topology)->ending) ||
	    !container->driver->renew(container->driver_data))
		return false;
	container_keep_renewed(container);
	return true;
}

void container_unkeep(struct container *container)
{
	struct container_list *all = topology_containers(container->topology);

	container->kept = false;
	pthread_mutex_lock(&all->lock);
	list_remove(&container->kept_link);
	all->n_kept--;
	pthread_mutex_unlock(&all->lock);
}

void containers_end(struct topology *topology)
{
	atomic_store(&topology_containers(topology)->ending, true);
	containers_trim(topology, 0);
}

static bool is_gone(const struct container *container)
{
	struct mm *mm = container->mm;

	return mm->ops->alive && !mm->ops->alive(mm);
}

/* One that is to go, taken from the list with its lock held; NULL. One that is locked is at work,
 * and so are calls that wait for it: it is left alone. Locks: the list's held. */
static struct container *take(struct container_list *all, unsigned max)
{
	list_for_each(it, &all->kept) {
		struct container *c = container_of(it, struct container, kept_link);

		if (pthread_mutex_trylock(&c->lock))
			continue;
		if (all->n_kept > max || is_gone(c)) {
			list_remove(&c->kept_link);
			all->n_kept--;
			return c;
		}
		pthread_mutex_unlock(&c->lock);
	}
	return NULL;
}

void containers_trim(struct topology *topology, unsigned max)
{
	struct container_list *all = topology_containers(topology);
	struct container *c;

	for (;;) {
		pthread_mutex_lock(&all->lock);
		c = take(all, max);
		pthread_mutex_unlock(&all->lock);
		if (!c)
			return;
		c->kept = false;
		container_end_driver(c);
		pthread_mutex_unlock(&c->lock);
		container_unref(c);
	}
}

struct file_walk {
	intptr_t file;
	bool wait;			/* for containers that are at work */
	unsigned busy;			/* how many of those there were */
	struct container *found;
};

static int match_file(struct container *container, void *arg)
{
	struct file_walk *walk = arg;
	const struct iommu_driver *driver;

	/* Of others nobody has such a file, and their locks are held for as long as their clients
	 * like. */
	if (!container->swapped)
		return 0;
	if (walk->wait) {
		pthread_mutex_lock(&container->lock);
	} else if (!status_lock(&container->lock)) {
		walk->busy++;
		return 0;
	}
	driver = container->driver;
	if (driver && driver->is_file && driver->is_file(container->driver_data, walk->file))
		walk->found = container_ref(container);
	pthread_mutex_unlock(&container->lock);
	return walk->found != NULL;
}

struct container *container_of_file(struct topology *topology, intptr_t file)
{
	struct file_walk walk = { .file = file };

	/* A client does not wait for another's container, if its own is there. */
	containers_each(topology, match_file, &walk);
	if (!walk.found && walk.busy) {
		walk.wait = true;
		containers_each(topology, match_file, &walk);
	}
	return walk.found;
}

void container_put(struct container *container)
{
	if (container)
		container_unref(container);
}
