/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <transport/backing.h>
#include <transport/window.h>

struct backing {
	int fd;
	uint64_t base;
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

void backing_free(struct backing *backing)
{
	if (!backing)
		return;
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

const struct backing_ops backing_memfd_ops = { .alloc = bar_alloc, .free = bar_free };

int backing_seal(struct backing *backing)
{
	if (fcntl(backing->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
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
