/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: in a user and mount namespace of its own, an unprivileged process can mount
 * a tmpfs on a directory of /sys, and bind what the directory had into it, by a name
 * relative to a descriptor of the covered directory. The tmpfs can be made read-only.
 */
#include <sys/mount.h>
#include <sys/stat.h>

#include "platform.h"

int main(void)
{
	const char *over = "/sys/devices", *child = "system";
	char path[64];
	struct stat before, after;
	int fd;

	need_namespaces();
	if (access("/sys/devices/system", F_OK) < 0)
		SKIP("no /sys/devices/system here");
	EXPECT(stat("/sys/devices/system", &before) == 0);
	EXPECT(enter_namespaces() == 0);
	EXPECT(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0);
	fd = open(over, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	EXPECT(fd >= 0);
	EXPECT(mount("test", over, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") == 0);
	snprintf(path, sizeof(path), "%s/%s", over, child);
	EXPECT(mkdir(path, 0755) == 0);
	EXPECT(fchdir(fd) == 0);
	EXPECT(mount(child, path, NULL, MS_BIND | MS_REC, NULL) == 0);
	EXPECT(stat(path, &after) == 0);
	EXPECT(after.st_dev == before.st_dev && after.st_ino == before.st_ino);
	EXPECT(mount(NULL, over, NULL,
		     MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) == 0);
	EXPECT(mkdir("/sys/devices/x", 0755) < 0 && errno == EROFS);
	return 0;
}
