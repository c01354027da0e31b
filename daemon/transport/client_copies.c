/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/client_copies.c - all processes are gone through: an open file can have been passed
 * to any. Only fds of the same inode are compared, and to see that nobody is asked who serves a
 * file (AT_STATX_DONT_SYNC). Some microseconds per fd of the machine.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <transport/client.h>
#include <transport/client_copies.h>
#include <transport/thread.h>

struct search {
	pid_t tid;
	int fd;
	dev_t dev;			/* of its inode, as ino */
	uint64_t ino;
	int64_t end;
	int *found;
	size_t n;
};

static long compare(pid_t a, pid_t b, int what, int at_a, int at_b)
{
	long r = syscall(SYS_kcmp, a, b, what, (long)at_a, (long)at_b);

	return r < 0 ? -errno : r;
}

int client_same_file(pid_t tid, int fd, pid_t other, int other_fd)
{
	long r = compare(tid, other, KCMP_FILE, fd, other_fd);

	return r < 0 ? (int)r : r == 0;
}

/* Is it that inode? */
static bool is_inode(const struct search *s, const struct statx *st)
{
	return st->stx_ino == s->ino &&
	       makedev(st->stx_dev_major, st->stx_dev_minor) == s->dev;
}

static bool is_number(const char *name)
{
	return *name && strspn(name, "0123456789") == strlen(name);
}

/* Fds of the open file, in a folder of /proc. @add: note them. Return: how many; -E2BIG;
 * -ETIMEDOUT; errors of kcmp(). */
static int walk_fds(struct search *s, const char *path, pid_t pid, bool add)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int count = 0, r = 0;
	struct statx st;

	/* It has ended, or is not to be looked into by anybody. */
	while (dir && r >= 0 && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if ((int64_t)thread_now_ns() > s->end)
			r = -ETIMEDOUT;
		if (r < 0 || !is_number(entry->d_name) ||
		    statx(dirfd(dir), entry->d_name, AT_STATX_DONT_SYNC, STATX_INO, &st) ||
		    !is_inode(s, &st))
			continue;
		r = client_same_file(s->tid, s->fd, pid, fd);
		if (r == -EBADF || r == -ESRCH)
			r = 0;
		if (r <= 0)
			continue;
		count++;
		if (!add || fd == s->fd)
			continue;
		/* The last place is kept for the fd itself. */
		if (s->n == CLIENT_COPIES_MAX - 1)
			r = -E2BIG;
		else
			s->found[s->n++] = fd;
	}
	if (dir)
		closedir(dir);
	return r < 0 ? r : count;
}

/* Return: 0; -EBUSY; -ETIMEDOUT; errors of kcmp(). */
static int check_others(struct search *s, const char *path, pid_t pid)
{
	int r;

	if (compare(s->tid, pid, KCMP_FILES, 0, 0) == 0)
		return 0;		/* the same table is no other */
	r = walk_fds(s, path, pid, false);
	return r > 0 ? -EBUSY : r;
}

/* The processes or threads in a folder of /proc. @skip: a name there; NULL: none.
 * Return: 0; -EBUSY; -ETIMEDOUT; -errno of the folder; errors of kcmp(). */
static int walk_tasks(struct search *s, const char *path, const char *skip)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (entry = readdir(dir))) {
		pid_t pid = (pid_t)atoi(entry->d_name);
		char fds[300];

		if (!is_number(entry->d_name) || pid == getpid() || pid == getppid() ||
		    (skip && !strcmp(skip, entry->d_name)))
			continue;
		snprintf(fds, sizeof(fds), "%s/%s/fd", path, entry->d_name);
		r = check_others(s, fds, pid);
	}
	closedir(dir);
	return r;
}

int client_copies(pid_t tid, int fd, dev_t node, int64_t end, int ret[CLIENT_COPIES_MAX])
{
	struct search s = { .tid = tid, .fd = fd, .end = end, .found = ret };
	pid_t tgid = client_tgid(tid);
	char path[64], own[16];
	struct statx st;
	int r;

	if (tgid < 0)
		return (int)tgid;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)tid, fd);
	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO, &st) ||
	    makedev(st.stx_rdev_major, st.stx_rdev_minor) != node)
		return -EBADF;
	s.dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	s.ino = st.stx_ino;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/fd", (int)tgid, (int)tid);
	r = walk_fds(&s, path, tid, true);
	if (r < 0)
		return r;
	if (r != (int)s.n + 1)
		return -EBADF;		/* the fd itself is not among them */
	ret[s.n++] = fd;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)tgid);
	r = walk_tasks(&s, path, NULL);
	snprintf(own, sizeof(own), "%d", (int)tgid);
	if (r == 0)
		r = walk_tasks(&s, "/proc", own);
	return r ? r : (int)s.n;
}
