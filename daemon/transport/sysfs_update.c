/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/sysfs_update.c - what is laid over /sys becomes another plan's.
 *
 * The directories of a plan lie in a few file systems of ours (sysfs_mount.c). Entries come
 * and go in these, so that whatever is in both plans is there all the time. First all that is
 * new is made, and what others point to, the devices, before what points there; then what
 * went is removed in the opposite order.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <transport/sysfs_internal.h>
#include <util/cleanup.h>

#define POINTED_TO "devices"

enum pass { PASS_MAKE, PASS_REMOVE };

struct update {
	struct sysfs_mounting m;
	enum pass pass;
};

static bool same_entry(const struct sysfs_node *a, const struct sysfs_node *b)
{
	if (a->kind != b->kind)
		return false;
	return a->kind == SYSFS_DIR ||
	       (a->mode == b->mode && a->size == b->size && a->len == b->len &&
		(a->len == 0 || !memcmp(a->data, b->data, a->len)));
}

/* Is there anything to do in this pass? */
static bool differs(enum pass pass, const struct sysfs_node *old, const struct sysfs_node *new)
{
	const struct sysfs_node *from = pass == PASS_MAKE ? new : old;
	const struct sysfs_node *other = pass == PASS_MAKE ? old : new;

	for (const struct sysfs_node *child = from->children; child; child = child->next) {
		const struct sysfs_node *twin = sysfs_find_child(other, child->name);

		if (!twin || !same_entry(child, twin))
			return true;
		if (child->kind == SYSFS_DIR &&
		    (pass == PASS_MAKE ? differs(pass, twin, child) :
					 differs(pass, child, twin)))
			return true;
	}
	return false;
}

/* ---- in a file system of ours ---- */

/* What else is in a directory, of the machine's own, stays, and the directory too. */
static int remove_entry(struct update *u, int dir, const struct sysfs_node *node)
{
	cleanup_close int fd = -1;
	int r = 0;

	if (node->kind != SYSFS_DIR)
		return unlinkat(dir, node->name, 0) ? sysfs_fail(&u->m, "remove", node->name) : 0;
	fd = openat(dir, node->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return sysfs_fail(&u->m, "open", node->name);
	for (const struct sysfs_node *child = node->children; r == 0 && child;
	     child = child->next)
		r = remove_entry(u, fd, child);
	if (r == 0 && unlinkat(dir, node->name, AT_REMOVEDIR) && errno != ENOTEMPTY)
		r = sysfs_fail(&u->m, "remove", node->name);
	return r;
}

static int update_inside(struct update *u, int dir, const struct sysfs_node *old,
			 const struct sysfs_node *new);

/* @old or @new: NULL: there is none. */
static int update_entry(struct update *u, int dir, const struct sysfs_node *old,
			const struct sysfs_node *new)
{
	cleanup_close int fd = -1;
	size_t length;
	int r;

	if (!new)
		return u->pass == PASS_REMOVE ? remove_entry(u, dir, old) : 0;
	if (!old)
		return u->pass == PASS_MAKE ? sysfs_show(&u->m, -1, dir, new) : 0;
	if (!same_entry(old, new)) {
		if (u->pass == PASS_REMOVE)
			return 0;
		r = remove_entry(u, dir, old);
		return r ? r : sysfs_show(&u->m, -1, dir, new);
	}
	if (new->kind != SYSFS_DIR || !differs(u->pass, old, new))
		return 0;
	fd = openat(dir, new->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return sysfs_fail(&u->m, "open", new->name);
	r = sysfs_path_push(&u->m, new->name, &length);
	if (r == 0) {
		r = update_inside(u, fd, old, new);
		u->m.path[length] = '\0';
	}
	return r;
}

static int update_inside(struct update *u, int dir, const struct sysfs_node *old,
			 const struct sysfs_node *new)
{
	int r = 0;

	for (const struct sysfs_node *child = new->children; r == 0 && child;
	     child = child->next)
		r = update_entry(u, dir, sysfs_find_child(old, child->name), child);
	for (const struct sysfs_node *child = old->children; r == 0 && child;
	     child = child->next) {
		if (!sysfs_find_child(new, child->name))
			r = update_entry(u, dir, child, NULL);
	}
	return r;
}

/* ---- on the way to those ---- */

/* Is the directory @fd the root of a file system of ours, whose parent is on @parent? */
static bool is_ours(int fd, dev_t parent)
{
	struct statfs fs;
	struct stat st;

	return fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC && fstat(fd, &st) == 0 &&
	       st.st_dev != parent;
}

/* m->path is a directory of the machine's, on @parent. */
static int update_outside(struct update *u, dev_t parent, const struct sysfs_node *old,
			  const struct sysfs_node *new)
{
	cleanup_close int fd = open(u->m.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	size_t length;
	int r = 0, r2;

	if (!differs(u->pass, old, new))
		return 0;
	if (fd < 0 || fstat(fd, &st))
		return sysfs_fail(&u->m, "open", ".");
	if (is_ours(fd, parent)) {
		r = sysfs_remount(&u->m, true);
		if (r)
			return r;
		r = update_inside(u, fd, old, new);
		r2 = sysfs_remount(&u->m, false);
		return r ? r : r2;
	}
	for (const struct sysfs_node *child = new->children; r == 0 && child;
	     child = child->next) {
		const struct sysfs_node *twin = sysfs_find_child(old, child->name);

		if (!twin || child->kind != SYSFS_DIR || twin->kind != SYSFS_DIR)
			return cused_error_set(u->m.err, -EXDEV, "%s/%s is new where nothing is "
					       "covered yet", u->m.path, child->name);
		r = sysfs_path_push(&u->m, child->name, &length);
		if (r)
			return r;
		r = update_outside(u, st.st_dev, twin, child);
		u->m.path[length] = '\0';
	}
	/* What the old plan has besides covers a directory that the new one leaves alone. */
	for (const struct sysfs_node *child = old->children; r == 0 && child;
	     child = child->next) {
		if (!sysfs_find_child(new, child->name))
			r = cused_error_set(u->m.err, -EXDEV, "%s/%s is covered and need not be "
					    "any more", u->m.path, child->name);
	}
	return r;
}

/* @pointed_to: that child of the root, or all others. */
static int update_part(struct update *u, bool pointed_to, const struct sysfs_node *old,
		       const struct sysfs_node *new)
{
	struct sysfs_node part_old = { 0 }, part_new = { 0 };
	struct stat st;
	size_t length;
	int r = 0;

	if (stat(u->m.path, &st))
		return sysfs_fail(&u->m, "look at", ".");
	for (const struct sysfs_node *child = new->children; r == 0 && child;
	     child = child->next) {
		const struct sysfs_node *twin = sysfs_find_child(old, child->name);

		if (!strcmp(child->name, POINTED_TO) != pointed_to)
			continue;
		if (!twin || twin->kind != SYSFS_DIR || child->kind != SYSFS_DIR)
			return cused_error_set(u->m.err, -EXDEV, "%s/%s is new", u->m.path,
					       child->name);
		part_old = *twin;
		part_new = *child;
		r = sysfs_path_push(&u->m, child->name, &length);
		if (r == 0) {
			r = update_outside(u, st.st_dev, &part_old, &part_new);
			u->m.path[length] = '\0';
		}
	}
	return r;
}

int sysfs_update(const struct sysfs_plan *old, const struct sysfs_plan *new, const char *root,
		 struct cused_error *err)
{
	const struct sysfs_node *a = sysfs_plan_root(old), *b = sysfs_plan_root(new);
	struct update u = { .m.err = err };
	struct stat st;
	mode_t mask;
	int r;

	if (strlen(root) >= SYSFS_PATH_SIZE / 2)
		return cused_error_set(err, -ENAMETOOLONG, "the path %s is too long", root);
	strcpy(u.m.path, root);
	for (const struct sysfs_node *child = a->children; child; child = child->next) {
		if (!sysfs_find_child(b, child->name))
			return cused_error_set(err, -EXDEV, "%s/%s is covered and need not be any "
					       "more", root, child->name);
	}
	if (stat(root, &st))
		return sysfs_fail(&u.m, "look at", ".");
	mask = umask(0);
	r = update_part(&u, true, a, b);
	if (r == 0)
		r = update_part(&u, false, a, b);
	u.pass = PASS_REMOVE;
	if (r == 0)
		r = update_part(&u, false, a, b);
	if (r == 0)
		r = update_part(&u, true, a, b);
	umask(mask);
	return r;
}
