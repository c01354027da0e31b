/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run_dev.c - /dev/vfio in the mount namespace of a client.
 *
 * Where the machine has no /dev/vfio to mount on, /dev becomes a tmpfs in which every
 * entry of the old one is bound. That does not do for ptmx: the kernel looks for "pts"
 * beside it in the file system that it belongs to, and a bind mount of the node alone has
 * nothing beside it. So the old /dev is bound as a whole too, and ptmx is a link there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <util/cleanup.h>

#include "run.h"

#define DEV "/dev"
#define DEV_VFIO "/dev/vfio"
#define HIDDEN ".machine"	/* in the new /dev: the old one as a whole */

static int mount_tmpfs(const char *where, struct cused_error *err)
{
	if (mount("vfio-cused", where, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755"))
		return cused_error_set(err, -errno, "cannot mount a tmpfs on %s: %s", where,
				       strerror(errno));
	return 0;
}

/* With what is mounted below: a user namespace may not look under mounts. */
static int tree_clone(int from, const char *what)
{
	int tree = open_tree(from, what, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE |
					 AT_SYMLINK_NOFOLLOW);

	return tree < 0 ? -errno : tree;
}

static int tree_put(int tree, int to, const char *where)
{
	return move_mount(tree, "", to, where, MOVE_MOUNT_F_EMPTY_PATH) ? -errno : 0;
}

/* One entry of the old directory under the same name in the new one. */
static int bind_entry(int old, int new, const char *name)
{
	cleanup_close int tree = -1;
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (fstatat(old, name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (S_ISCHR(st.st_mode) && strcmp(name, "ptmx") == 0)
		return symlinkat(HIDDEN "/ptmx", new, name) ? -errno : 0;
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(old, name, target, sizeof(target) - 1);
		if (n < 0)
			return -errno;
		target[n] = '\0';
		return symlinkat(target, new, name) ? -errno : 0;
	}
	if (S_ISDIR(st.st_mode)) {
		if (mkdirat(new, name, 0755))
			return -errno;
	} else {
		int fd = openat(new, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

		if (fd < 0)
			return -errno;
		close(fd);
	}
	tree = tree_clone(old, name);
	return tree < 0 ? tree : tree_put(tree, new, name);
}

/* Cover /dev by a tmpfs with the same entries. */
static int dev_rebuild(struct cused_error *err)
{
	cleanup_close int new = -1, whole = -1;
	struct dirent *entry;
	DIR *old = opendir(DEV);
	int r;

	if (!old)
		return cused_error_set(err, -errno, "cannot read /dev: %s", strerror(errno));
	whole = tree_clone(AT_FDCWD, DEV);	/* before it is covered */
	r = mount_tmpfs(DEV, err);
	if (r)
		goto out;
	new = open(DEV, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (new < 0) {
		r = cused_error_set(err, -errno, "cannot open /dev: %s", strerror(errno));
		goto out;
	}
	r = whole < 0 ? whole : mkdirat(new, HIDDEN, 0755) ? -errno :
							   tree_put(whole, new, HIDDEN);
	if (r) {
		cused_error_set(err, r, "cannot bind /dev: %s", strerror(-r));
		goto out;
	}
	while ((entry = readdir(old))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    strcmp(entry->d_name, "vfio") == 0 || strcmp(entry->d_name, HIDDEN) == 0)
			continue;
		/* A device that goes away meanwhile is none of the client's. */
		r = bind_entry(dirfd(old), new, entry->d_name);
		if (r && r != -ENOENT) {
			cused_error_set(err, r, "cannot bind /dev/%s: %s", entry->d_name,
					strerror(-r));
			goto out;
		}
	}
	r = mkdirat(new, "vfio", 0755) ?
		cused_error_set(err, -errno, "cannot make /dev/vfio: %s", strerror(errno)) : 0;
out:
	closedir(old);
	return r;
}

int run_dev_mount(char *const *names, struct cused_error *err)
{
	cleanup_close int dir = -1;
	mode_t mask;
	int r;

	/* Also where there is a /dev/vfio: when the machine removes its own, as it does with
	 * the kernel's vfio module, a mount on it would go, too. */
	r = dev_rebuild(err);
	if (r == 0)
		r = mount_tmpfs(DEV_VFIO, err);
	if (r)
		return r;
	dir = open(DEV_VFIO, O_PATH | O_DIRECTORY | O_CLOEXEC);
	mask = umask(0);
	for (; *names && r == 0; names++) {
		/* SD-016, SD-017 */
		int fd = openat(dir, *names, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);

		if (fd < 0)
			r = cused_error_set(err, -errno, "cannot make /dev/vfio/%s: %s", *names,
					    strerror(errno));
		else
			close(fd);
	}
	umask(mask);
	return r;
}
