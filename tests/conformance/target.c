/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The target of system calls: the machine's own /dev/vfio, or who stands in for it. */
#include "conf.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "system/vc.h"

static struct vc_where where(unsigned which)
{
	return (struct vc_where){ .dir = conf_where.dir, .bdf = conf_where.bdf[which],
		.group = conf_where.group[which] };
}

static int start(void)
{
	return 0;
}

static void stop(void)
{
}

static int open_container(void)
{
	struct vc_where w = where(0);

	return vc_open_container(&w);
}

static int open_group(unsigned which)
{
	struct vc_where w = where(which);

	return vc_open_group(&w);
}

static int64_t do_ioctl(int fd, unsigned long cmd, uint64_t arg)
{
	return vc_ioctl(fd, cmd, (uintptr_t)arg);
}

static int do_close(int fd)
{
	return close(fd) ? -errno : 0;
}

static int do_dup(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

static int64_t do_pread(int fd, uint64_t addr, size_t len, uint64_t pos)
{
	ssize_t n = pread(fd, (void *)(uintptr_t)addr, len, (off_t)pos);

	return n < 0 ? -errno : n;
}

static int64_t do_pwrite(int fd, uint64_t addr, size_t len, uint64_t pos)
{
	ssize_t n = pwrite(fd, (void *)(uintptr_t)addr, len, (off_t)pos);

	return n < 0 ? -errno : n;
}

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static uint64_t event_take(int fd)
{
	return vc_event_wait(fd, 0);
}

static void event_signal(int fd)
{
	eventfd_write(fd, 1);
}

static int other_file(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static uint64_t memory(unsigned pages)
{
	void *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		conf_abort("mmap of memory", -errno);
	return (uintptr_t)p;
}

static void *at(uint64_t addr)
{
	return (void *)(uintptr_t)addr;
}

static void protect(uint64_t addr, unsigned pages, unsigned rights)
{
	/* Rights to write alone do not exist on this machine. */
	int prot = rights & RIGHTS_WRITE ? PROT_READ | PROT_WRITE :
		   rights & RIGHTS_READ ? PROT_READ : PROT_NONE;

	if (mprotect(at(addr), pages * PAGE, prot))
		conf_abort("mprotect", -errno);
}

const struct conf_target conf_target = {
	.start = start,
	.stop = stop,
	.open_container = open_container,
	.open_group = open_group,
	.ioctl = do_ioctl,
	.close = do_close,
	.dup = do_dup,
	.pread = do_pread,
	.pwrite = do_pwrite,
	.eventfd = new_eventfd,
	.event_take = event_take,
	.event_signal = event_signal,
	.other_file = other_file,
	.memory = memory,
	.at = at,
	.protect = protect,
};
