/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <util/cleanup.h>

#include "host_sysfs.h"

#define SYSFS "/sys"

int host_sysfs_open(struct host_sysfs *ret, struct cused_error *err)
{
	cleanup_close int fs = fsopen("sysfs", FSOPEN_CLOEXEC);
	int fd = -1;

	if (fs >= 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
			     MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	*ret = (struct host_sysfs){ .fd = fd, .path = SYSFS };
	if (fd < 0)
		return cused_error_set(err, -errno, "cannot mount sysfs aside: %s",
				       strerror(errno));
	snprintf(ret->path, sizeof(ret->path), "/proc/self/fd/%d", fd);
	return 0;
}

void host_sysfs_close(struct host_sysfs *sysfs)
{
	if (sysfs->fd >= 0)
		close(sysfs->fd);
	sysfs->fd = -1;
}

/* Return: the inode of a path, links followed; 0: there is none; 1: a link that leads nowhere. */
static ino_t inode_of(const char *sysfs, const char *name)
{
	char path[512];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", sysfs, name);
	if (stat(path, &st) == 0)
		return st.st_ino;
	return lstat(path, &st) == 0;
}

bool host_sysfs_differs(const struct host_sysfs *sysfs, const char *shown, const char *path)
{
	return inode_of(sysfs->path, path) != inode_of(shown, path);
}

bool host_sysfs_has(const struct host_sysfs *sysfs, const char *path)
{
	return inode_of(sysfs->path, path) > 1;
}

void host_sysfs_link(const struct host_sysfs *sysfs, const char *name, char *ret, size_t size)
{
	char path[512], target[512];
	const char *slash;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", sysfs->path, name);
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	slash = strrchr(target, '/');
	if ((size_t)snprintf(ret, size, "%s", slash ? slash + 1 : target) >= size)
		ret[0] = '\0';
}
