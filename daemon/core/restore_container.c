/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A container that clients have open, again: see core/restore.h. */
#include <errno.h>

#include <core/container_priv.h>
#include <core/iommu_driver.h>
#include <core/type1.h>

int container_restore(struct topology *topology, uint64_t id, const void *data, size_t size)
{
	const struct container_record *rec = data;
	struct container *c;

	if (size != sizeof(*rec) || id == 0 || rec->file_open > 1 || rec->tracking > 1 ||
	    rec->domain.swapped > 1)
		return -EBADMSG;
	c = container_new(topology, id);
	if (!c)
		return -ENOMEM;
	c->record = *rec;
	c->restoring = true;
	c->unclaimed = rec->file_open;
	atomic_store(&c->file_open, rec->file_open);
	return 0;
}

struct id_walk {
	uint64_t id;
	struct container *found;
};

static int match_id(struct container *container, void *arg)
{
	struct id_walk *walk = arg;

	if (container->id == walk->id)
		walk->found = container;
	return walk->found != NULL;
}

struct container *container_restored(struct topology *topology, uint64_t id)
{
	struct id_walk walk = { id, NULL };

	if (id)
		containers_each(topology, match_id, &walk);
	return walk.found;
}

/* Its client has a file in its place, and no group is in it. The reference is that of the list of
 * those kept. Return: 0, also if it cannot be had; -ENOMEM. */
static int restore_kept(struct container *container, const struct caller *caller, struct mm *mm)
{
	const struct container_record rec = container->record;
	void *data;
	int r = iommu_type1_driver.open(container->topology, caller, rec.driver, &data);

	if (r == 0) {
		r = type1_restore_domain(data, &rec.domain);
		if (r)
			iommu_type1_driver.release(data);
	}
	if (r) {
		container_record_driver(container, 0);
		return r == -ENOMEM ? r : 0;
	}
	container->driver = &iommu_type1_driver;
	container->driver_data = data;
	container->swapped = true;
	container->mm = mm_ref(mm);
	container_keep_renewed(container_ref(container));
	return 0;
}

int container_restore_driver(struct container *container, const struct caller *caller,
			     struct mm *swapped_for)
{
	struct container_record rec = container->record;
	struct caller again = *caller;
	int r;

	if (!rec.driver)
		return 0;
	if (list_empty(&container->groups) && rec.domain.swapped && swapped_for)
		return restore_kept(container, caller, swapped_for);
	if (list_empty(&container->groups)) {
		container_record_driver(container, 0);
		return 0;
	}
	if (rec.domain.file)
		again.domain = &rec.domain;
	if (swapped_for)
		again.mm = swapped_for;
	r = container_set_iommu(container, &again, rec.driver);
	if (again.domain && (r == -ENOENT || r == -ENODEV)) {
		container_record_driver(container, 0);
		return 0;
	}
	if (r == 0)
		container->restore_tracking = rec.tracking;
	return r;
}

int container_restore_tracking(struct container *container)
{
	return container->restore_tracking ? type1_restore_tracking(container) : 0;
}

static int end(struct container *container, void *arg)
{
	/* The reference that a file would have. */
	if (container->restoring && !atomic_load(&container->file_open))
		container_unref(container);
	container->restoring = false;
	return 0;
}

void containers_restored(struct topology *topology)
{
	containers_each(topology, end, NULL);
}

bool container_claim(struct container *container)
{
	bool unclaimed = container->unclaimed;

	container->unclaimed = false;
	return unclaimed;
}
