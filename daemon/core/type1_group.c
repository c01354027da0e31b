/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Groups of a type1 container, and the layout of IOVAs that follows from them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <core/type1.h>
#include <util/range.h>

void type1_layout_none(struct type1_layout *ret)
{
	/* Every size that the processor's page divides: the rule of section 1. */
	ret->page_sizes = ~(TYPE1_PAGE - 1);
	ret->n = 0;
}

/* Take @hole out of the ranges. Return: 0, -ENOMEM too many pieces. */
static int layout_exclude(struct type1_layout *l, struct cused_range hole)
{
	for (unsigned i = 0; i < l->n; i++) {
		struct cused_range *r = &l->ranges[i];
		bool low = r->first < hole.first, high = r->last > hole.last;

		if (!range_overlaps(*r, hole))
			continue;
		if (low && high) {
			if (l->n == TYPE1_RANGES_MAX)
				return -ENOMEM;
			memmove(r + 1, r, (l->n++ - i) * sizeof(*r));
			r[0].last = hole.first - 1;
			r[1].first = hole.last + 1;
			return 0;	/* what follows lies above the hole */
		}
		if (low) {
			r->last = hole.first - 1;
		} else if (high) {
			r->first = hole.last + 1;
		} else {
			memmove(r, r + 1, (--l->n - i) * sizeof(*r));
			i--;
		}
	}
	return 0;
}

/* What a group lets through; the first one starts the layout. Return: 0, -EINVAL. */
static int layout_narrow(struct type1_layout *l, const struct cused_iommu_geometry *g)
{
	uint64_t sizes = g->page_sizes;

	if (sizes & (TYPE1_PAGE - 1))
		sizes = (sizes & ~(TYPE1_PAGE - 1)) | TYPE1_PAGE;
	if (l->n == 0) {
		l->n = 1;
		l->ranges[0] = g->aperture;
	} else {
		if (!range_overlaps(l->ranges[0], g->aperture))
			return -EINVAL;					/* T1-118 */
		if (g->aperture.first > l->ranges[0].first)
			l->ranges[0].first = g->aperture.first;
		if (g->aperture.last < l->ranges[0].last)
			l->ranges[0].last = g->aperture.last;
	}
	l->page_sizes &= sizes;
	return l->page_sizes ? 0 : -EINVAL;				/* T1-117 */
}

static int layout_reserve(struct type1_layout *l, const struct cused_iommu_geometry *g)
{
	for (unsigned i = 0; i < g->n_resv; i++) {
		int r;

		if (g->resv[i].type == CUSED_RESV_DIRECT_RELAXABLE)
			continue;
		r = layout_exclude(l, g->resv[i].range);
		if (r)
			return r;
	}
	return l->n ? 0 : -EINVAL;					/* T1-120 */
}

/* The layout of the groups attached. Return: 0; -EINVAL; -ENOMEM. */
static int layout_of(const struct type1 *t, struct type1_layout *ret)
{
	int r = 0;

	type1_layout_none(ret);
	/* All apertures first: what is left is one range until holes are cut into it. */
	list_for_each(it, &t->groups) {
		struct type1_group *g = container_of(it, struct type1_group, link);

		if (g->real && r == 0)
			r = layout_narrow(ret, &g->geometry);
	}
	list_for_each(it, &t->groups) {
		struct type1_group *g = container_of(it, struct type1_group, link);

		if (g->real && r == 0)
			r = layout_reserve(ret, &g->geometry);
	}
	return r;
}

/* Does every mapping lie in a valid range? (T1-118, T1-119) */
static bool layout_admits(const struct type1_layout *l, struct ioas *ioas)
{
	struct ioas_mapping m;
	uint64_t from = 0;

	for (unsigned i = 0; i < l->n; i++) {
		if (l->ranges[i].first > from &&
		    ioas_find(ioas, (struct cused_range){ from, l->ranges[i].first - 1 }, &m))
			return false;
		if (l->ranges[i].last == UINT64_MAX)
			return true;
		from = l->ranges[i].last + 1;
	}
	return !ioas_find(ioas, (struct cused_range){ from, UINT64_MAX }, &m);
}

/* A backend with larger pages came: a mapping that they do not divide cannot be
 * programmed (T1-123). */
static bool layout_divides(const struct type1_layout *l, struct ioas *ioas)
{
	uint64_t pgsize = l->page_sizes & -l->page_sizes;
	struct cused_range rest = { 0, UINT64_MAX };
	struct ioas_mapping m;

	while (ioas_find(ioas, rest, &m)) {
		if (!is_aligned(m.iova.first | range_size(m.iova) | m.vaddr, pgsize))
			return false;
		if (m.iova.last == UINT64_MAX)
			break;
		rest.first = m.iova.last + 1;
	}
	return true;
}

/* Unpin the mappings below @end. */
static void replay_undo(struct type1 *t, uint64_t end)
{
	struct cused_range rest = { 0, end - 1 };
	struct ioas_mapping m;

	while (end > 0 && rest.first <= rest.last && ioas_find(t->ioas, rest, &m)) {
		type1_unpin(t, &m);
		if (m.iova.last >= rest.last)
			break;
		rest.first = m.iova.last + 1;
	}
}

/* T1-051, T1-123: records become real mappings, charged within the limit of the process
 * that attaches. */
static int replay(struct type1 *t, const struct caller *caller)
{
	struct cused_range rest = { 0, UINT64_MAX };
	struct ioas_mapping m;

	while (ioas_find(t->ioas, rest, &m)) {
		int r = type1_pin(t, &m, caller);

		if (r) {
			replay_undo(t, m.iova.first);
			return r;
		}
		if (m.iova.last == UINT64_MAX)
			break;
		rest.first = m.iova.last + 1;
	}
	return 0;
}

/* Check the layout with the group in the list, and put it in force. */
static int attach_layout(struct type1 *t, const struct caller *caller)
{
	struct type1_layout layout;
	int r = layout_of(t, &layout);

	if (r)
		return r;
	if (!layout_admits(&layout, t->ioas))
		return -EINVAL;						/* T1-118, T1-119 */
	if ((layout.page_sizes & -layout.page_sizes) > type1_pgsize(t) &&
	    !layout_divides(&layout, t->ioas))
		return -EINVAL;						/* T1-123 */
	if (t->n_real == 0) {
		r = replay(t, caller);
		if (r)
			return r;
		type1_dirty_real(t, true);
	}
	t->layout = layout;						/* T1-124 */
	return 0;
}

void type1_domain_free(struct type1 *t)
{
	struct backend_files *files = topology_params(t->topology)->files;

	t->backend->domain_free(t->domain);
	if (t->kept)
		files->drop(files, t->kept);
	t->kept = NULL;
	t->file = 0;
	t->domain = NULL;
	t->backend = NULL;
}

/* Without real groups there is no domain, unless the client has it. */
static void domain_done(struct type1 *t)
{
	if (t->n_real == 0 && !t->swapped)
		type1_domain_free(t);
}

/* Return: 0; -ENOENT its file was not kept; of domain_restore(). */
static int domain_restore(struct type1 *t, const struct domain_record *was)
{
	struct backend_files *files = topology_params(t->topology)->files;
	intptr_t file;
	int r;

	if (!files || !CUSED_HAS(t->backend, domain_restore))
		return -ENOENT;
	r = files->take(files, was->file, &file, &t->kept);
	if (r)
		return r;
	r = t->backend->domain_restore(t->backend_state, file, was->number, was->swapped,
				       &t->domain);
	if (r) {
		files->drop(files, t->kept);
		t->kept = NULL;
		return r;
	}
	t->file = was->file;
	return 0;
}

int type1_restore_domain(struct type1 *t, const struct domain_record *was)
{
	struct group *group = topology_find_group(t->topology, was->group, false);
	int r;

	if (!group || group_kind(group) != GROUP_REAL)
		return -ENOENT;
	t->backend = group_iommu(group, &t->backend_state);
	t->group_id = was->group;
	t->swapped = was->swapped;
	r = domain_restore(t, was);
	if (r)
		t->backend = NULL;
	return r;
}

static int domain_new(struct type1 *t)
{
	struct backend_files *files = topology_params(t->topology)->files;
	uint64_t number;
	int r = t->backend->domain_new(t->backend_state, &t->domain);

	if (r == 0 && files && CUSED_HAS(t->backend, domain_restore))
		t->file = files->keep(files, t->backend->domain_file(t->domain, &number),
				      &t->kept);
	return r;
}

/* T1-116 … T1-124. @g is in the list. */
static int attach_real(struct type1 *t, struct type1_group *g, const struct caller *caller)
{
	unsigned id = group_id(g->group);
	void *state;
	const struct cused_iommu_ops *backend = group_iommu(g->group, &state);
	int r;

	if (!t->domain) {
		t->backend = backend;
		t->backend_state = state;
		r = caller->domain ? domain_restore(t, caller->domain) : domain_new(t);
		if (r)
			return r;					/* T1-116 */
	} else if (t->backend != backend) {
		return -EINVAL;						/* T1-117 */
	}
	r = caller->domain ? backend->attach_again(t->domain, id) :
			     backend->attach(t->domain, id);
	if (r)
		goto err_domain;					/* T1-117 */
	r = backend->geometry(state, id, &g->geometry);
	if (r)
		goto err_detach;
	r = attach_layout(t, caller);
	if (r)
		goto err_detach;
	t->n_real++;
	t->group_id = id;
	return 0;

err_detach:
	backend->detach(t->domain, id);
err_domain:
	domain_done(t);
	return r;
}

static struct type1_group *find_group(struct type1 *t, const struct group *group)
{
	list_for_each(it, &t->groups) {
		struct type1_group *g = container_of(it, struct type1_group, link);

		if (g->group == group)
			return g;
	}
	return NULL;
}

int type1_attach_group(void *data, struct group *group, const struct caller *caller)
{
	struct type1 *t = data;
	struct type1_group *g;
	int r = 0;

	if (t->n_invalid > 0)
		return -EBUSY;						/* T1-082, T1-112 */
	if (find_group(t, group))
		return -EINVAL;						/* T1-113 */
	if (t->swapped && group_kind(group) != GROUP_REAL)
		return -EINVAL;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;						/* T1-114 */
	g->group = group;
	g->real = group_kind(group) == GROUP_REAL;
	list_push_back(&t->groups, &g->link);
	if (g->real)
		r = attach_real(t, g, caller);
	else
		t->n_emulated++;					/* T1-115 */
	if (r) {
		list_remove(&g->link);
		free(g);
	}
	return r;
}

static void detach_real(struct type1 *t, struct type1_group *g)
{
	const struct cused_iommu_ops *backend = t->backend;
	struct type1_layout layout;

	if (t->n_real == 1)
		replay_undo(t, UINT64_MAX);				/* T1-126 */
	backend->detach(t->domain, group_id(g->group));
	t->n_real--;
	domain_done(t);
	if (t->n_real == 0)
		type1_dirty_real(t, false);
	/* T1-127, T1-128. Only TYPE1_RANGES_MAX can be in the way (a large hole that went
	 * had covered many small ones); the narrower layout then stays in force. */
	if (layout_of(t, &layout) == 0)
		t->layout = layout;
}

void type1_detach_group(void *data, struct group *group)
{
	struct type1 *t = data;
	struct type1_group *g = find_group(t, group);

	if (t->groups.next == &g->link && t->groups.prev == &g->link)
		type1_unmap_all(t);					/* T1-125 */
	list_remove(&g->link);
	if (g->real)
		detach_real(t, g);
	else
		t->n_emulated--;
	free(g);
}
