/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <transport/devnode.h>

/* The kernel's /dev/vfio/vfio: VFIO_MINOR of the miscellaneous devices. */
#define STATIC_NAME	"vfio/vfio"
#define STATIC_MAJOR	10
#define STATIC_MINOR	196

#define PERMISSIONS	07777

static bool has_number(const struct stat *st, dev_t dev)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == dev;
}

/* Is it the kernel's own /dev/vfio/vfio, loaded or not? */
static bool is_static(const char *name, const struct stat *st)
{
	return strcmp(name, STATIC_NAME) == 0 &&
	       has_number(st, makedev(STATIC_MAJOR, STATIC_MINOR));
}

/* Is there nobody behind the number? False if that cannot be told. */
static bool is_dead(const char *root, dev_t dev)
{
	char path[DEVNODE_PATH_SIZE + 64];
	struct stat st;

	snprintf(path, sizeof(path), "%s/sys/dev/char", root);
	if (lstat(path, &st) < 0)
		return false;
	snprintf(path, sizeof(path), "%s/sys/dev/char/%u:%u", root, major(dev), minor(dev));
	return lstat(path, &st) < 0 && errno == ENOENT;
}

static int refuse(const struct devnode *node, const struct stat *st, struct cused_error *err)
{
	if (has_number(st, makedev(STATIC_MAJOR, STATIC_MINOR)))
		return cused_error_set(err, -EEXIST, "%s belongs to the kernel's own vfio "
			"module: unload it (modprobe -r vfio_iommu_type1 vfio_pci vfio), or let "
			"the service have the name (--service replace=on), or use another "
			"(--prefix DIR), or use vfio-cused run, which does not need it",
			node->path);
	if (S_ISCHR(st->st_mode))
		return cused_error_set(err, -EEXIST, "%s is a device of somebody else (%u:%u): "
			"choose another group, or end what serves it (the kernel's vfio: "
			"modprobe -r vfio_pci vfio)", node->path, major(st->st_rdev),
			minor(st->st_rdev));
	return cused_error_set(err, -EEXIST, "%s is there and is no character device: remove it",
			       node->path);
}

static int make_directory(struct devnode *node)
{
	char path[DEVNODE_PATH_SIZE];

	strcpy(path, node->path);
	*strrchr(path, '/') = '\0';
	if (mkdir(path, 0755) < 0)
		return errno == EEXIST ? 0 : -errno;
	node->made_directory = true;
	return chmod(path, 0755) < 0 ? -errno : 0;	/* whatever the umask is */
}

static int set_rights(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	/* The owner first: a change of it can clear bits of the mode. CAP_CHOWN: to whom the
	 * configuration says; CAP_FOWNER: the mode of what is not root's any more. */
	return lchown(path, uid, gid) < 0 || chmod(path, mode) < 0 ? -errno : 0;
}

/* Make a node, complete, and give it the name. */
static int put(const char *path, dev_t dev, mode_t mode, uid_t uid, gid_t gid)
{
	char other[DEVNODE_PATH_SIZE + 8];
	int r;

	snprintf(other, sizeof(other), "%s.new", path);
	if (unlink(other) < 0 && errno != ENOENT)	/* of one that was killed just here */
		return -errno;
	/* CAP_MKNOD: where the kernel makes none, as the name was another's. */
	if (mknod(other, S_IFCHR | 0600, dev) < 0)
		return -errno;
	r = set_rights(other, mode, uid, gid);
	if (r == 0 && rename(other, path) < 0)
		r = -errno;
	if (r)
		unlink(other);
	return r;
}

static void record_path(const char *root, char ret[DEVNODE_PATH_SIZE])
{
	snprintf(ret, DEVNODE_PATH_SIZE, "%s%s", root, DEVNODE_RECORD);
}

/* Without a record, a killed service leaves a node that nobody serves: no reason to fail. */
static void record_write(const struct devnode *node)
{
	FILE *f = fopen(node->record, "we");

	if (!f)
		return;
	fprintf(f, "%u:%u %o %u %u\n", major(node->old_dev), minor(node->old_dev),
		(unsigned)node->old_mode, node->old_uid, node->old_gid);
	fclose(f);
}

int devnode_recover(const char *root)
{
	char record[DEVNODE_PATH_SIZE];
	unsigned major_, minor_, mode, uid, gid;
	struct stat st;
	struct devnode node = { 0 };
	int r = 0;
	FILE *f;

	record_path(root, record);
	f = fopen(record, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%u:%u %o %u %u", &major_, &minor_, &mode, &uid, &gid) != 5)
		r = -EINVAL;
	fclose(f);
	snprintf(node.path, sizeof(node.path), "%s/dev/%s", root, STATIC_NAME);
	if (r == 0 && lstat(node.path, &st) == 0 &&
	    (!S_ISCHR(st.st_mode) || !is_dead(root, st.st_rdev)))
		return -EBUSY;
	if (r == 0)
		r = make_directory(&node);
	if (r == 0)
		r = put(node.path, makedev(major_, minor_), mode & PERMISSIONS, uid, gid);
	unlink(record);
	return r;
}

/* May what has the name be replaced? */
static bool gives_way(const char *root, const struct devnode_wish *wish, const struct stat *st)
{
	if (!S_ISCHR(st->st_mode))
		return false;
	return is_dead(root, st->st_rdev) || (wish->replace && is_static(wish->name, st));
}

int devnode_ensure(const char *root, const struct devnode_wish *wish, struct devnode *ret,
		   struct cused_error *err)
{
	struct devnode node = { .dev = wish->dev };
	struct stat st;
	int r;

	if ((size_t)snprintf(node.path, sizeof(node.path), "%s/dev/%s", root, wish->name) >=
	    sizeof(node.path))
		return cused_error_set(err, -ENAMETOOLONG, "the name %s is too long",
				       wish->name);
	r = lstat(node.path, &st) < 0 ? -errno : 0;
	if (r == 0 && has_number(&st, wish->dev)) {
		r = set_rights(node.path, wish->mode, wish->uid, wish->gid);
	} else if (r == 0 && !gives_way(root, wish, &st)) {
		return refuse(&node, &st, err);
	} else if (r == 0 || r == -ENOENT) {
		node.has_old = r == 0 && is_static(wish->name, &st);
		if (node.has_old) {
			node.old_dev = st.st_rdev;
			node.old_mode = st.st_mode & PERMISSIONS;
			node.old_uid = st.st_uid;
			node.old_gid = st.st_gid;
			record_path(root, node.record);
			record_write(&node);
		}
		r = make_directory(&node);
		if (r == 0)
			r = put(node.path, wish->dev, wish->mode, wish->uid, wish->gid);
	}
	if (r)
		return cused_error_set(err, r, "cannot make the device file %s: %s", node.path,
				       strerror(-r));
	*ret = node;
	return 0;
}

int devnode_restore(struct devnode *node)
{
	struct stat st;
	int r = 0;

	if (!node->path[0])
		return 0;
	if (lstat(node->path, &st) < 0)
		st.st_mode = 0;
	/* Also if the kernel has removed a node of its own meanwhile. */
	if (node->has_old && (!st.st_mode || has_number(&st, node->dev)))
		r = put(node->path, node->old_dev, node->old_mode, node->old_uid,
			node->old_gid);
	else if (has_number(&st, node->dev) && unlink(node->path) < 0)
		r = -errno;
	if (node->made_directory) {
		*strrchr(node->path, '/') = '\0';
		rmdir(node->path);	/* stays if there is something in it */
	}
	if (node->record[0])
		unlink(node->record);
	node->path[0] = '\0';
	return r;
}
