/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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

/* The kernel's groups: what is behind the number of such a node. */
#define GROUP_DIRECTORY	"vfio/"
#define GROUP_DEVICE	"/virtual/vfio/"
#define NOIOMMU_PREFIX	"noiommu-"

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

/* Is @number ("241:3") that of the kernel's group @name ("vfio/7")? */
static bool is_number_of_group(const char *root, const char *number, const char *name)
{
	char path[DEVNODE_PATH_SIZE + 64], link[256];
	const char *group = name + strlen(GROUP_DIRECTORY), *end;
	ssize_t n;

	if (strncmp(name, GROUP_DIRECTORY, strlen(GROUP_DIRECTORY)) != 0)
		return false;
	snprintf(path, sizeof(path), "%s/sys/dev/char/%.32s", root, number);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = '\0';
	end = strstr(link, GROUP_DEVICE);
	return end && strcmp(end + strlen(GROUP_DEVICE), group) == 0;
}

static bool is_group(const char *root, const char *name, const struct stat *st)
{
	char number[32];

	snprintf(number, sizeof(number), "%u:%u", major(st->st_rdev), minor(st->st_rdev));
	return S_ISCHR(st->st_mode) && is_number_of_group(root, number, name);
}

/* Is the device there, and bound? The kernel takes the link of its driver away first, then the
 * device, and then the group. */
static bool is_bound(int devices, const char *bdf)
{
	char path[320];
	struct stat st;

	snprintf(path, sizeof(path), "%.255s/driver", bdf);
	if (fstatat(devices, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	snprintf(path, sizeof(path), "%.255s/vfio-dev", bdf);
	return fstatat(devices, path, &st, 0) == 0;
}

/* Has the group a device of a VFIO driver left? One whose last was just unbound is still there for a
 * moment; a node that we made would stay when it has gone. */
static bool group_stays(const char *root, const char *name)
{
	char path[DEVNODE_PATH_SIZE + 64];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	name += strlen(GROUP_DIRECTORY);
	if (strncmp(name, NOIOMMU_PREFIX, strlen(NOIOMMU_PREFIX)) == 0)
		name += strlen(NOIOMMU_PREFIX);
	snprintf(path, sizeof(path), "%s/sys/kernel/iommu_groups/%.16s/devices", root, name);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir)))
		found = entry->d_name[0] != '.' && is_bound(dirfd(dir), entry->d_name);
	if (dir)
		closedir(dir);
	return found;
}

/* The number that the kernel's group has now; it is another one when it was gone meanwhile.
 * Return: false: there is no such group, or it goes. */
static bool find_group(const char *root, const char *name, dev_t *ret)
{
	char path[DEVNODE_PATH_SIZE + 16];
	unsigned major_, minor_;
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/sys/dev/char", root);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		found = sscanf(entry->d_name, "%u:%u", &major_, &minor_) == 2 &&
			is_number_of_group(root, entry->d_name, name);
	}
	if (dir)
		closedir(dir);
	if (found)
		*ret = makedev(major_, minor_);
	return found && group_stays(root, name);
}

static int refuse(const struct devnode *node, bool group, const struct stat *st,
		  struct cused_error *err)
{
	if (group)
		return cused_error_set(err, -EEXIST, "%s is the kernel's own group: let the "
			"service have the name (--service replace=on), or use another (--prefix "
			"DIR), or take a kernel without CONFIG_VFIO_GROUP", node->path);
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

/* "vfio/7" is "vfio!7" there. */
static void record_path(const char *root, const char *name, char ret[DEVNODE_PATH_SIZE])
{
	int n = snprintf(ret, DEVNODE_PATH_SIZE, "%s%s/", root, DEVNODE_RECORDS);

	for (char *at = ret + n; n < DEVNODE_PATH_SIZE; at++, name++, n++) {
		*at = *name == '/' ? '!' : *name;
		if (!*name)
			return;
	}
	ret[0] = '\0';
}

/* Without a record, a killed service leaves a node that nobody serves: no reason to fail. */
static void record_write(const struct devnode *node)
{
	char directory[DEVNODE_PATH_SIZE];
	FILE *f;

	if (!node->record[0])
		return;
	strcpy(directory, node->record);
	*strrchr(directory, '/') = '\0';
	mkdir(directory, 0755);
	f = fopen(node->record, "we");
	if (!f)
		return;
	fprintf(f, "%u:%u %o %u %u\n", major(node->old_dev), minor(node->old_dev),
		(unsigned)node->old_mode, node->old_uid, node->old_gid);
	fclose(f);
}

/* The last one takes the directory with it. */
static void record_remove(const struct devnode *node)
{
	char directory[DEVNODE_PATH_SIZE];

	if (!node->record[0] || unlink(node->record) < 0)
		return;
	strcpy(directory, node->record);
	*strrchr(directory, '/') = '\0';
	rmdir(directory);
}

/* Return: 0; -EINVAL it is none. */
static int record_read(struct devnode *node)
{
	unsigned major_, minor_, mode;
	FILE *f = fopen(node->record, "re");
	int n;

	if (!f)
		return -errno;
	n = fscanf(f, "%u:%u %o %u %u", &major_, &minor_, &mode, &node->old_uid, &node->old_gid);
	fclose(f);
	if (n != 5)
		return -EINVAL;
	node->old_dev = makedev(major_, minor_);
	node->old_mode = mode & PERMISSIONS;
	return 0;
}

/* The kernel's node again, with the rights that it had; or none, if its group has gone. */
static int put_old(const char *root, const struct devnode *node)
{
	dev_t dev = node->old_dev;

	if (strcmp(node->name, STATIC_NAME) != 0 && !find_group(root, node->name, &dev))
		return unlink(node->path) < 0 && errno != ENOENT ? -errno : 0;
	return put(node->path, dev, node->old_mode, node->old_uid, node->old_gid);
}

static int recover_one(const char *root, const char *record)
{
	struct devnode node = { 0 };
	struct stat st;
	int r;

	if (strlen(record) >= sizeof(node.name))
		return -EINVAL;
	strcpy(node.name, record);
	for (char *at = node.name; *at; at++)
		if (*at == '!')
			*at = '/';
	record_path(root, node.name, node.record);
	if (!node.record[0] ||
	    (size_t)snprintf(node.path, sizeof(node.path), "%s/dev/%s", root, node.name) >=
		    sizeof(node.path))
		return -EINVAL;
	r = record_read(&node);
	if (r == 0 && lstat(node.path, &st) == 0) {
		/* Somebody has put it back. */
		if (is_static(node.name, &st) || is_group(root, node.name, &st)) {
			record_remove(&node);
			return 0;
		}
		if (!S_ISCHR(st.st_mode) || !is_dead(root, st.st_rdev))
			return -EBUSY;
	}
	if (r == 0)
		r = make_directory(&node);
	if (r == 0)
		r = put_old(root, &node);
	record_remove(&node);
	return r;
}

int devnode_recover(const char *root)
{
	char path[DEVNODE_PATH_SIZE];
	struct dirent *entry;
	int r = 0, first = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s%s", root, DEVNODE_RECORDS);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		r = recover_one(root, entry->d_name);
		if (first == 0 || r == -EBUSY)
			first = r;
	}
	if (dir)
		closedir(dir);
	return first;
}

/* May what has the name be replaced? */
static bool gives_way(const char *root, const struct devnode_wish *wish, const struct stat *st)
{
	if (!S_ISCHR(st->st_mode))
		return false;
	return is_dead(root, st->st_rdev) ||
	       (wish->replace && (is_static(wish->name, st) || is_group(root, wish->name, st)));
}

/* What is taken from the kernel, and is to be given back. */
static void remember_old(const char *root, struct devnode *node, const struct stat *st)
{
	node->has_old = true;
	node->old_dev = st->st_rdev;
	node->old_mode = st->st_mode & PERMISSIONS;
	node->old_uid = st->st_uid;
	node->old_gid = st->st_gid;
	record_path(root, node->name, node->record);
	record_write(node);
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
	if ((size_t)snprintf(node.name, sizeof(node.name), "%s", wish->name) >=
	    sizeof(node.name))
		return cused_error_set(err, -ENAMETOOLONG, "the name %s is too long",
				       wish->name);
	snprintf(node.root, sizeof(node.root), "%s", root);
	r = lstat(node.path, &st) < 0 ? -errno : 0;
	if (r == 0 && has_number(&st, wish->dev)) {
		r = set_rights(node.path, wish->mode, wish->uid, wish->gid);
	} else if (r == 0 && !gives_way(root, wish, &st)) {
		return refuse(&node, is_group(root, wish->name, &st), &st, err);
	} else if (r == 0 || r == -ENOENT) {
		if (r == 0 && (is_static(wish->name, &st) || is_group(root, wish->name, &st)))
			remember_old(root, &node, &st);
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
		r = put_old(node->root, node);
	else if (has_number(&st, node->dev) && unlink(node->path) < 0)
		r = -errno;
	if (node->made_directory) {
		*strrchr(node->path, '/') = '\0';
		rmdir(node->path);	/* stays if there is something in it */
	}
	record_remove(node);
	node->path[0] = '\0';
	return r;
}
