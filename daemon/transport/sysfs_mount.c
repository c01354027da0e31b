/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/sysfs_mount.c - lay a plan over the machine's /sys.
 *
 * sysfs itself takes no new entries, so a directory that gets one is *mirrored*: a tmpfs
 * is mounted on it that holds the plan's entries and, for each of the machine's own, the
 * same link, or a bind mount of the same directory or file. Directories that get nothing
 * stay as they are, and of a mirrored directory's children only those that are in the
 * plan too are looked into. The highest directory that needs it gets the tmpfs; mirrored
 * directories below it live in the same one.
 *
 *     /sys/bus/pci/devices       links of real devices copied, ours added
 *     /sys/devices               real children bound, pci0000:01 added
 *     /sys/devices/virtual       the same, in the tmpfs of /sys/devices
 *     /sys/module, /sys/class …  the same
 *
 * The covered directory is held open, and its children are bound by names relative to it,
 * which needs neither a staging place nor /proc. Binds are recursive, because a user
 * namespace may not show what lies below a mount it inherited. Each tmpfs ends up
 * read-only: nothing would act on a write, and EROFS says so.
 *
 * On the host (the service), the mounts below "/" are shared, and what is mounted here
 * appears in other mount namespaces too. Two things follow. A plain bind would be a peer of
 * the machine's sysfs, so that taking it away takes mounts below the original away as well;
 * so it is made a slave before it gets its place. And the tmpfs is made read-only as a file
 * system, because flags of a mount stay in one namespace.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <transport/sysfs_internal.h>
#include <util/cleanup.h>

/* Enough for the links and small files of CONF_DEVICES_MAX devices; sparse files do not
 * count. */
#define TMPFS_OPTIONS "mode=0755,size=64m"
/* Without times of access, which a reader would write: the file system cannot be made read-only at
 * that moment. */
#define MOUNT_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME)
#define REMOUNT_TRIES 200		/* of 5 ms, while somebody writes */

int sysfs_fail(struct sysfs_mounting *m, const char *what, const char *name)
{
	int e = errno;

	if (e == EFBIG)
		return cused_error_set(m->err, -EFBIG, "cannot make %s/%s: the limit on file "
			"sizes (ulimit -f) is too low; raise it or set it to unlimited",
			m->path, name);
	return cused_error_set(m->err, -e, "cannot %s %s/%s: %s", what, m->path, name,
			       strerror(e));
}

const struct sysfs_node *sysfs_find_child(const struct sysfs_node *dir, const char *name)
{
	for (const struct sysfs_node *child = dir->children; child; child = child->next)
		if (!strcmp(child->name, name))
			return child;
	return NULL;
}

static bool is_dot(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

int sysfs_path_push(struct sysfs_mounting *m, const char *name, size_t *ret_length)
{
	size_t length = strlen(m->path);

	if (length + 1 + strlen(name) >= SYSFS_PATH_SIZE) {
		errno = ENAMETOOLONG;
		return sysfs_fail(m, "enter", name);
	}
	m->path[length] = '/';
	strcpy(m->path + length + 1, name);
	*ret_length = length;
	return 0;
}

static int write_file(struct sysfs_mounting *m, int dir, const struct sysfs_node *node)
{
	cleanup_close int fd = openat(dir, node->name,
				      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				      0600);
	ssize_t n = fd >= 0 && node->len ? write(fd, node->data, node->len) : 0;

	/* A write across the limit on file sizes is cut short without an errno. */
	if (n >= 0 && (size_t)n < node->len)
		errno = EFBIG;
	if (fd < 0 || n < (ssize_t)node->len ||
	    (node->size > node->len && ftruncate(fd, (off_t)node->size) < 0) ||
	    fchmod(fd, node->mode) < 0)
		return sysfs_fail(m, "make", node->name);
	return 0;
}

/* What is at @name in @real, and all mounts below, at @path too. Return: -1 with errno. */
static int bind_slave(int real, const char *name, const char *path)
{
	struct mount_attr attr = { .propagation = MS_SLAVE };
	cleanup_close int tree = open_tree(real, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
					   AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);

	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
				      sizeof(attr)) < 0)
		return -1;
	return move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH);
}

/* One entry of the machine's own that the plan does not have: show it in @dir too. */
static int show_real(struct sysfs_mounting *m, int real, int dir, const char *name)
{
	char target[SYSFS_PATH_SIZE], path[SYSFS_PATH_SIZE];
	struct stat st;
	ssize_t n;

	if (fstatat(real, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : sysfs_fail(m, "look at", name);	/* gone: hot-plug */
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(real, name, target, sizeof(target) - 1);
		if (n < 0)
			return errno == ENOENT ? 0 : sysfs_fail(m, "read", name);
		target[n] = '\0';
		return symlinkat(target, dir, name) < 0 ? sysfs_fail(m, "make", name) : 0;
	}
	if (S_ISDIR(st.st_mode)) {
		if (mkdirat(dir, name, 0755) < 0)
			return sysfs_fail(m, "make", name);
	} else {
		cleanup_close int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL |
					      O_NOFOLLOW | O_CLOEXEC, 0600);

		if (fd < 0)
			return sysfs_fail(m, "make", name);
	}
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", m->path, name) >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return sysfs_fail(m, "bind", name);
	}
	return bind_slave(real, name, path) < 0 && errno != ENOENT ? sysfs_fail(m, "bind", name) : 0;
}

static int fill(struct sysfs_mounting *m, int real, int dir, const struct sysfs_node *node);

int sysfs_show(struct sysfs_mounting *m, int real, int dir,
			const struct sysfs_node *node)
{
	cleanup_close int real_child = -1;
	cleanup_close int child = -1;
	size_t length = 0;
	int r;

	switch (node->kind) {
	case SYSFS_FILE:
		return write_file(m, dir, node);
	case SYSFS_LINK:
		return symlinkat(node->data, dir, node->name) < 0 ?
			sysfs_fail(m, "make", node->name) : 0;
	case SYSFS_DIR:
		break;
	}
	if (mkdirat(dir, node->name, 0755) < 0)
		return sysfs_fail(m, "make", node->name);
	child = openat(dir, node->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (child < 0)
		return sysfs_fail(m, "open", node->name);
	if (real >= 0)
		real_child = openat(real, node->name,
				    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = sysfs_path_push(m, node->name, &length);
	if (r == 0) {
		r = fill(m, real_child, child, node);
		m->path[length] = '\0';
	}
	return r;
}

/* Fill the directory @dir of ours with what the machine has in @real and the plan in
 * @node. */
static int fill(struct sysfs_mounting *m, int real, int dir, const struct sysfs_node *node)
{
	struct dirent *entry;
	DIR *stream = NULL;
	int fd, r = 0;

	if (real >= 0) {
		fd = fcntl(real, F_DUPFD_CLOEXEC, 0);
		stream = fd >= 0 ? fdopendir(fd) : NULL;
		if (!stream) {
			if (fd >= 0)
				close(fd);
			return sysfs_fail(m, "list", ".");
		}
	}
	while (r == 0 && stream && (entry = readdir(stream)))
		if (!is_dot(entry->d_name) && !sysfs_find_child(node, entry->d_name))
			r = show_real(m, real, dir, entry->d_name);
	if (stream)
		closedir(stream);
	for (const struct sysfs_node *child = node->children; r == 0 && child;
	     child = child->next)
		r = sysfs_show(m, real, dir, child);
	return r;
}

int sysfs_remount(struct sysfs_mounting *m, bool writable)
{
	unsigned long flags = MS_REMOUNT | MOUNT_FLAGS | (writable ? 0 : MS_RDONLY);

	for (unsigned i = 0; mount(NULL, m->path, NULL, flags, NULL) < 0; i++) {
		if (errno != EBUSY || i == REMOUNT_TRIES)
			return sysfs_fail(m, writable ? "make writable" : "make read-only", ".");
		poll(NULL, 0, 5);
	}
	return 0;
}

/* Cover m->path, which is open as @real, with a tmpfs. */
static int mirror(struct sysfs_mounting *m, int real, const struct sysfs_node *node)
{
	cleanup_close int dir = -1;
	int r;

	/* CAP_SYS_ADMIN: mounts over /sys; the agent's. */
	if (mount(SYSFS_MOUNT_SOURCE, m->path, "tmpfs", MOUNT_FLAGS, TMPFS_OPTIONS) < 0)
		return sysfs_fail(m, "mount a tmpfs on", ".");
	dir = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return sysfs_fail(m, "open", ".");
	r = fill(m, real, dir, node);
	return r < 0 ? r : sysfs_remount(m, false);
}

/* Does the plan add anything right here, or only further down? */
static bool needs_mirror(int real, const struct sysfs_node *node)
{
	struct stat st;

	for (const struct sysfs_node *child = node->children; child; child = child->next)
		if (child->kind != SYSFS_DIR ||
		    fstatat(real, child->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISDIR(st.st_mode))
			return true;
	return false;
}

static int lay(struct sysfs_mounting *m, const struct sysfs_node *node)
{
	cleanup_close int real = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t length = 0;
	int r = 0;

	if (real < 0)
		return sysfs_fail(m, "open", ".");
	if (needs_mirror(real, node))
		return mirror(m, real, node);
	for (const struct sysfs_node *child = node->children; r == 0 && child;
	     child = child->next) {
		r = sysfs_path_push(m, child->name, &length);
		if (r == 0) {
			r = lay(m, child);
			m->path[length] = '\0';
		}
	}
	return r;
}

int sysfs_mount(const struct sysfs_plan *plan, const char *root, struct cused_error *err)
{
	struct sysfs_mounting m = { .err = err };
	struct sigaction ignore = { .sa_handler = SIG_IGN }, saved;
	mode_t mask;
	int r;

	if (strlen(root) >= SYSFS_PATH_SIZE / 2)
		return cused_error_set(err, -ENAMETOOLONG, "the path %s is too long", root);
	if (access(root, F_OK) < 0)
		return cused_error_set(err, -ENOENT, "there is no %s to show simulated devices "
			"in; mount sysfs there, or make it an empty directory", root);
	strcpy(m.path, root);
	mask = umask(0);
	/* With `ulimit -f`, a write would kill us before it could be said why. */
	sigaction(SIGXFSZ, &ignore, &saved);
	r = lay(&m, sysfs_plan_root(plan));
	sigaction(SIGXFSZ, &saved, NULL);
	umask(mask);
	return r;
}
