/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: when the write of a CUSE device's INIT reply has returned, devtmpfs has its
 * node, root's alone, in a folder if its name has one. Several nodes may share one major
 * with minors of our choice. A name or a number that is taken fails no write; the
 * descriptor polls POLLERR instead. The node goes with the descriptor.
 */
#include "cuse.h"

static dev_t node(const char *path)
{
	struct stat st;

	EXPECT(stat(path, &st) == 0);
	EXPECT(S_ISCHR(st.st_mode) && (st.st_mode & 0777) == 0600 && st.st_uid == 0);
	return st.st_rdev;
}

static bool refused(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	EXPECT(poll(&p, 1, 0) >= 0);
	return p.revents & POLLERR;
}

int main(void)
{
	int fd[5];
	struct fuse_session *se[5];
	char name[32], path[64];
	dev_t first;

	server_seen = &(struct seen){ 0 };
	se[0] = cuse_session("cused-fact/0", 0, 0, &fd[0]);
	first = node("/dev/cused-fact/0");
	EXPECT(!refused(fd[0]));
	EXPECT(minor(first) == 0);
	for (unsigned i = 1; i < 4; i++) {
		snprintf(name, sizeof(name), "cused-fact/%u", i);
		snprintf(path, sizeof(path), "/dev/%s", name);
		se[i] = cuse_session(name, major(first), 10 * i, &fd[i]);
		EXPECT(node(path) == makedev(major(first), 10 * i));
		EXPECT(!refused(fd[i]));
	}
	se[4] = cuse_session("cused-fact/4", major(first), 10, &fd[4]);
	EXPECT(refused(fd[4]));			/* the number is taken */
	fuse_session_destroy(se[4]);
	se[4] = cuse_session("cused-fact/1", major(first), 4, &fd[4]);
	EXPECT(refused(fd[4]));			/* the name is taken */
	fuse_session_destroy(se[4]);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "/dev/cused-fact/%u", i);
		fuse_session_destroy(se[i]);
		EXPECT(access(path, F_OK) < 0 && errno == ENOENT);
	}
	return 0;
}
