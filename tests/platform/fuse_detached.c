/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: a FUSE file system needs no mount point. fsmount's descriptor is enough to
 * open files of it; no mount is to be seen; the files work on when it is closed, can be
 * passed on and opened again by /proc/self/fd, and reads and writes with direct I/O reach
 * the server.
 */
#include "fuse_files.h"

static unsigned mounts(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	unsigned n = 0;
	int c;

	EXPECT(file != NULL);
	while ((c = getc(file)) != EOF)
		n += c == '\n';
	fclose(file);
	return n;
}

int main(void)
{
	unsigned before = mounts();
	struct files f = files_start(-1);
	char path[64], bytes[18];
	int fd, again;

	EXPECT(mounts() == before);
	EXPECT(openat(f.mount, "g", O_RDWR | O_CLOEXEC) < 0 && errno == ENOENT);
	fd = files_open_one(&f);
	close(f.mount);
	f.mount = -1;
	EXPECT(pread(fd, bytes, sizeof(bytes), 100) == sizeof(bytes));
	EXPECT(!memcmp(bytes, "read by the server", sizeof(bytes)));
	EXPECT(pwrite(fd, bytes, 4, 200) == 4 && f.seen->writes == 1 && f.seen->offset == 200);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	EXPECT(again >= 0 && f.seen->opens == 2);
	EXPECT(pread(again, bytes, 4, 0) == 4 && f.seen->reads == 2);
	close(again);
	close(fd);
	files_stop(&f);
	return 0;
}
