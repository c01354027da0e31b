/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/fd_keep_fake.h - records and files that outlive a "process", which is a struct here.
 *
 * fake_kept_killed() is its end: what it puts and drops afterwards, in the course of freeing
 * what a killed process leaves to the kernel, is of no effect on the next one.
 *
 * As the service manager's store does, it takes an open file once, and refuses names that are no
 * names.
 */
#ifndef UNIT_FD_KEEP_FAKE_H
#define UNIT_FD_KEEP_FAKE_H

#include <check.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <transport/fd_keep.h>
#include <util/keep.h>
#include <util/list.h>

#define FAKE_KEPT_MAX 64

/* An assertion that allocates nothing, for tests in which that is to fail. */
#define FAKE_CHECK(condition) \
	do { \
		if (!(condition)) \
			ck_abort_msg("%s", #condition); \
	} while (0)

struct fake_kept {
	struct fd_keep fds;		/* first */
	struct keep *keep;
	pthread_mutex_t lock;		/* all below */
	struct {
		char name[FD_KEEP_NAME_SIZE];
		int fd;
	} files[FAKE_KEPT_MAX];
	unsigned n, puts;
	bool dead;
};

static inline int fake_kept_find(const struct fake_kept *kept, const char *name)
{
	for (unsigned i = 0; i < kept->n; i++) {
		if (!strcmp(kept->files[i].name, name))
			return (int)i;
	}
	return -1;
}

static inline void fake_kept_put(struct fd_keep *fds, const char *name, int fd)
{
	struct fake_kept *kept = (struct fake_kept *)fds;

	FAKE_CHECK(strlen(name) < FD_KEEP_NAME_SIZE);
	for (const char *c = name; *c; c++)
		FAKE_CHECK(isprint((unsigned char)*c) && *c != ':');
	pthread_mutex_lock(&kept->lock);
	if (!kept->dead) {
		FAKE_CHECK(fake_kept_find(kept, name) == -1);
		FAKE_CHECK(kept->n < FAKE_KEPT_MAX);
		for (unsigned i = 0; i < kept->n; i++)
			FAKE_CHECK(syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE,
					   kept->files[i].fd, fd) != 0);
		strcpy(kept->files[kept->n].name, name);
		kept->files[kept->n].fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		FAKE_CHECK(kept->files[kept->n].fd >= 0);
		kept->n++;
		kept->puts++;
	}
	pthread_mutex_unlock(&kept->lock);
}

static inline void fake_kept_drop(struct fd_keep *fds, const char *name)
{
	struct fake_kept *kept = (struct fake_kept *)fds;
	int i;

	pthread_mutex_lock(&kept->lock);
	if (!kept->dead) {
		i = fake_kept_find(kept, name);
		FAKE_CHECK(i >= 0);
		close(kept->files[i].fd);
		kept->files[i] = kept->files[--kept->n];
	}
	pthread_mutex_unlock(&kept->lock);
}

static inline int fake_kept_take(struct fd_keep *fds, const char *name)
{
	struct fake_kept *kept = (struct fake_kept *)fds;
	int i, fd = -1;

	pthread_mutex_lock(&kept->lock);
	i = fake_kept_find(kept, name);
	if (i >= 0)
		fd = fcntl(kept->files[i].fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&kept->lock);
	return fd;
}

static inline void fake_kept_begin(struct fake_kept *kept)
{
	memset(kept, 0, sizeof(*kept));
	kept->fds = (struct fd_keep){ .put = fake_kept_put, .drop = fake_kept_drop,
				      .take = fake_kept_take };
	pthread_mutex_init(&kept->lock, NULL);
}

static inline void fake_kept_init(struct fake_kept *kept)
{
	fake_kept_begin(kept);
	ck_assert_int_eq(keep_new(&kept->keep), 0);
}

/* The records as they are now, in a file of their own. */
static inline int fake_kept_copy(struct keep *keep)
{
	int fd = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	static char bytes[1 << 16];
	off_t at = 0;

	FAKE_CHECK(fd >= 0);
	FAKE_CHECK(ftruncate(fd, (off_t)KEEP_SIZE_MAX) == 0);
	/* Of a memfd that is nearly all hole. */
	while ((at = lseek(keep_fd(keep), at, SEEK_DATA)) >= 0) {
		ssize_t n = pread(keep_fd(keep), bytes, sizeof(bytes), at);

		FAKE_CHECK(n > 0 && pwrite(fd, bytes, (size_t)n, at) == n);
		at += n;
	}
	FAKE_CHECK(errno == ENXIO);
	FAKE_CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	return fd;
}

/* @next: what the process after @kept finds. */
static inline void fake_kept_killed(struct fake_kept *kept, struct fake_kept *next)
{
	fake_kept_begin(next);
	pthread_mutex_lock(&kept->lock);
	memcpy(next->files, kept->files, sizeof(next->files));
	next->n = kept->n;
	kept->n = 0;
	kept->dead = true;
	pthread_mutex_unlock(&kept->lock);
	ck_assert_int_eq(keep_open(fake_kept_copy(kept->keep), &next->keep), 0);
}

static inline void fake_kept_done(struct fake_kept *kept)
{
	ck_assert(kept->dead || !keep_is_broken(kept->keep));
	for (unsigned i = 0; i < kept->n; i++)
		close(kept->files[i].fd);
	keep_free(kept->keep);
	pthread_mutex_destroy(&kept->lock);
}

static inline int fake_kept_count_one(void *arg, uint64_t id, const void *data, size_t size)
{
	++*(unsigned *)arg;
	return 0;
}

/* Return: how many records of a kind there are. */
static inline unsigned fake_kept_count(const struct fake_kept *kept, enum keep_kind kind)
{
	unsigned n = 0;

	ck_assert_int_eq(keep_each(kept->keep, kind, fake_kept_count_one, &n), 0);
	return n;
}

#endif
