/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/sysfs_unmount.c - take the overlays of sysfs_mount() away.
 *
 * A path names the mount that was last put there, which need not be ours. So a path from
 * mountinfo is opened, the kernel is asked which mount that is, and only if it has the
 * number of one of ours is it detached, through the descriptor. Our mounts can be stacked;
 * mountinfo is read again until a reading brings none that could be detached.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <util/cleanup.h>

#include "sysfs.h"

/* mountinfo writes blank, tab, newline and backslash as three octal digits. In place. */
static void unescape(char *text)
{
	char *to = text;

	while (*text) {
		unsigned byte;

		if (*text == '\\' && sscanf(text, "\\%3o", &byte) == 1) {
			*to++ = (char)byte;
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

static bool is_below(const char *path, const char *root)
{
	size_t length = strlen(root);

	return strncmp(path, root, length) == 0 && (!path[length] || path[length] == '/');
}

/*
 * A line of mountinfo: is it an overlay of ours?
 * @ret_path: points into @line, which is changed
 */
static bool is_ours(char *line, const char *root, uint64_t *ret_id, char **ret_path)
{
	static const char type[] = " - tmpfs " SYSFS_MOUNT_SOURCE " ";
	char *path = line, *end;

	if (!strstr(line, type))
		return false;
	*ret_id = strtoull(line, NULL, 10);
	for (unsigned field = 0; path && field < 4; field++) {
		path = strchr(path, ' ');
		path += path != NULL;
	}
	end = path ? strchr(path, ' ') : NULL;
	if (!end)
		return false;
	*end = '\0';
	unescape(path);
	*ret_path = path;
	return is_below(path, root);
}

/* Return: 0; -EBUSY @path is another mount by now; -errno. */
static int detach(const char *path, uint64_t id)
{
	cleanup_close int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char link[32];
	struct statx stx;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0)
		return -errno;
	if (!(stx.stx_mask & STATX_MNT_ID) || stx.stx_mnt_id != id)
		return -EBUSY;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return umount2(link, MNT_DETACH) < 0 ? -errno : 0;
}

/*
 * Once through mountinfo.
 * @ret_left: whether one of ours was there that could not be detached; then @err says why
 * Return: the number of detached mounts, or -errno with @err set.
 */
static int detach_all(const char *root, int *ret_left, struct cused_error *err)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;
	int n = 0;

	if (!file)
		return cused_error_set(err, -errno, "cannot read /proc/self/mountinfo: %s",
				       strerror(errno));
	*ret_left = 0;
	while (getline(&line, &size, file) > 0) {
		uint64_t id;
		char *path;
		int r;

		if (!is_ours(line, root, &id, &path))
			continue;
		r = detach(path, id);
		if (r == 0)
			n++;
		else if (r == -EBUSY)
			*ret_left = cused_error_set(err, r, "cannot take away the simulated "
				"devices in %s: another mount lies over it; unmount that one "
				"first", path);
		else
			*ret_left = cused_error_set(err, r, "cannot unmount %s: %s", path,
						    strerror(-r));
	}
	free(line);
	fclose(file);
	return n;
}

int sysfs_unmount(const char *root, struct cused_error *err)
{
	int left = 0, n;

	do {
		n = detach_all(root, &left, err);
	} while (n > 0);
	return n < 0 ? n : left;
}
