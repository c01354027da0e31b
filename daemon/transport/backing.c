/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <transport/backing.h>
#include <transport/fd_keep.h>
#include <transport/window.h>
#include <util/cleanup.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct backing {
	int fd;
	uint64_t base;
	bool adopted;
	struct fd_keep *fds;		/* where it is kept, or NULL, … */
	char name[FD_KEEP_NAME_SIZE];	/* … and as what */
	struct fd_keep *own_fds;	/* where its model's own memory is kept, or NULL */
	uint64_t own_id;
};

int backing_new(uint64_t base, struct backing **ret, struct cused_error *err)
{
	struct backing *backing = calloc(1, sizeof(*backing));
	int r;

	if (!backing)
		return cused_error_set(err, -ENOMEM, "out of memory");
	backing->base = base;
	/* SD-026: kernel VFIO shows anon_inode:[vfio-device]; this shows the name below. */
	backing->fd = memfd_create("vfio-device", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (backing->fd < 0) {
		r = cused_error_set(err, -errno, "cannot make a device file: memfd_create: %s",
				    strerror(errno));
		goto err;
	}
	if (ftruncate(backing->fd, INT64_MAX)) {
		r = -errno;
		if (r == -EFBIG)
			cused_error_set(err, r, "the limit on file sizes (ulimit -f) is too "
					"low for device files, which are sparse but long: "
					"start with ulimit -f unlimited");
		else
			cused_error_set(err, r, "cannot make a device file: ftruncate: %s",
					strerror(-r));
		goto err;
	}
	*ret = backing;
	return 0;
err:
	backing_free(backing);
	return r;
}

/* Whoever has held it could not change that: the seals are from before any client had it. */
static bool is_ours(int memfd, uint64_t size)
{
	struct stat st;

	return fstat(memfd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size &&
	       (fcntl(memfd, F_GET_SEALS) & SEALS) == SEALS;
}

int backing_adopt(uint64_t base, int memfd, struct backing **ret, struct cused_error *err)
{
	struct backing *backing;

	if (!is_ours(memfd, INT64_MAX))
		return cused_error_set(err, -EBADMSG, "what was kept as a device's memory is no "
				       "sealed memfd of %" PRIi64 " bytes", INT64_MAX);
	backing = calloc(1, sizeof(*backing));
	if (!backing)
		return cused_error_set(err, -ENOMEM, "out of memory");
	backing->base = base;
	backing->fd = memfd;
	backing->adopted = true;
	*ret = backing;
	return 0;
}

static void name_of(uint64_t keep_id, char ret[FD_KEEP_NAME_SIZE])
{
	snprintf(ret, FD_KEEP_NAME_SIZE, "bar-%" PRIu64, keep_id);
}

void backing_keep(struct backing *backing, struct fd_keep *fds, uint64_t keep_id)
{
	if (!fds)
		return;
	backing->fds = fds;
	name_of(keep_id, backing->name);
	if (!backing->adopted)
		fds->put(fds, backing->name, backing->fd);
}

int backing_kept(struct fd_keep *fds, uint64_t keep_id)
{
	char name[FD_KEEP_NAME_SIZE];

	name_of(keep_id, name);
	return fds ? fds->take(fds, name) : -1;
}

void backing_free(struct backing *backing)
{
	if (!backing)
		return;
	if (backing->fds)
		backing->fds->drop(backing->fds, backing->name);
	if (backing->fd >= 0)
		close(backing->fd);
	free(backing);
}

static off_t bar_offset(const struct backing *backing, unsigned bar)
{
	return (off_t)(backing->base | (uint64_t)bar << 40);
}

static int bar_alloc(void *arg, unsigned bar, uint64_t size, void **ret_base)
{
	struct backing *backing = arg;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, backing->fd,
		       bar_offset(backing, bar));

	if (p == MAP_FAILED)
		return -errno;
	*ret_base = p;
	return 0;
}

static void bar_free(void *arg, unsigned bar, uint64_t size, void *base)
{
	struct backing *backing = arg;

	munmap(base, size);
	/* A client outside of the run may still hold the fd: give the memory back. */
	fallocate(backing->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		  bar_offset(backing, bar), (off_t)size);
}

/* ---- memory of the model's own ---- */

void backing_keep_own(struct backing *backing, struct fd_keep *fds, uint64_t keep_id)
{
	backing->own_fds = fds;
	backing->own_id = keep_id;
}

static void own_name(const struct backing *backing, unsigned id, char ret[FD_KEEP_NAME_SIZE])
{
	snprintf(ret, FD_KEEP_NAME_SIZE, "mem-%" PRIu64 "-%u", backing->own_id, id);
}

/* Return: the file, sealed, all hole; -errno. */
static int own_new(uint64_t size)
{
	cleanup_close int fd = memfd_create("vfio-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)size) || fcntl(fd, F_ADD_SEALS, SEALS))
		return -errno;
	return steal_fd(&fd);
}

static int own_again(struct fd_keep *fds, const char *name, uint64_t size)
{
	cleanup_close int fd = fds->take(fds, name);

	return fd >= 0 && is_ours(fd, size) ? steal_fd(&fd) : -EBADMSG;
}

static int own_alloc(void *arg, unsigned id, uint64_t size, void **ret_base)
{
	struct backing *backing = arg;
	struct fd_keep *fds = backing->own_fds;
	char name[FD_KEEP_NAME_SIZE];
	cleanup_close int fd = -1;
	void *p;

	if (!fds)
		return -EOPNOTSUPP;
	own_name(backing, id, name);
	fd = backing->adopted ? own_again(fds, name, size) : own_new(size);
	if (fd < 0)
		return fd;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	/* From here on it is there as long as it is mapped, or kept. */
	if (p == MAP_FAILED)
		return -errno;
	if (!backing->adopted)
		fds->put(fds, name, fd);
	*ret_base = p;
	return 0;
}

static void own_free(void *arg, unsigned id, uint64_t size, void *base)
{
	struct backing *backing = arg;
	char name[FD_KEEP_NAME_SIZE];

	munmap(base, size);
	own_name(backing, id, name);
	backing->own_fds->drop(backing->own_fds, name);
}

const struct backing_ops backing_memfd_ops = {
	.alloc = bar_alloc, .free = bar_free, .alloc_own = own_alloc, .free_own = own_free,
};

int backing_seal(struct backing *backing)
{
	if (!is_ours(backing->fd, INT64_MAX) && fcntl(backing->fd, F_ADD_SEALS, SEALS))
		return -errno;
	return 0;
}

int backing_fd(const struct backing *backing)
{
	return backing->fd;
}

unsigned backing_number(const struct backing *backing)
{
	return window_device(backing->base);
}
