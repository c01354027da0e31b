/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/vc.h"

#define ARENA_AT 0x100000000000ull	/* far from everything of a process */

struct sys {
	struct exec_sys ops;		/* first */
	struct vc_where where[DEVICES];
	pid_t child, holder;		/* 0: none; in the child its own */
};

static struct sys *sys_of(struct exec_sys *ops)
{
	return (struct sys *)ops;
}

static int64_t answer(int64_t r)
{
	return r < 0 ? -errno : r;
}

static void *sys_at(struct exec_sys *ops, uint64_t addr)
{
	return (void *)(uintptr_t)addr;
}

static void sys_writable(struct exec_sys *ops, uint64_t page, bool yes)
{
	mprotect((void *)(uintptr_t)(ops->arena + page * ARENA_PAGE), ARENA_PAGE,
		 yes ? PROT_READ | PROT_WRITE : PROT_READ);
}

static int sys_open_container(struct exec_sys *ops)
{
	return vc_open_container(&sys_of(ops)->where[0]);
}

static int sys_open_group(struct exec_sys *ops, unsigned which)
{
	return vc_open_group(&sys_of(ops)->where[which]);
}

static int sys_open_eventfd(struct exec_sys *ops, unsigned count)
{
	return (int)answer(eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK));
}

static int sys_open_other(struct exec_sys *ops)
{
	return (int)answer(open("/dev/null", O_RDWR | O_CLOEXEC));
}

static int sys_close(struct exec_sys *ops, int fd)
{
	return (int)answer(close(fd));
}

static int sys_dup(struct exec_sys *ops, int fd)
{
	return (int)answer(fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

static int64_t sys_ioctl(struct exec_sys *ops, int fd, unsigned cmd, uint64_t arg)
{
	return vc_ioctl(fd, cmd, (uintptr_t)arg);
}

static int64_t sys_read(struct exec_sys *ops, int fd, uint64_t pos, void *buf, size_t len)
{
	return answer(pread(fd, buf, len, (off_t)pos));
}

static int64_t sys_write(struct exec_sys *ops, int fd, uint64_t pos, const void *buf,
			 size_t len)
{
	return answer(pwrite(fd, buf, len, (off_t)pos));
}

static int64_t sys_mmap(struct exec_sys *ops, int fd, uint64_t pos, uint64_t len, int prot,
			int flags)
{
	void *p = mmap(NULL, len, prot, flags, fd, (off_t)pos);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, len);
	return 0;
}

static int64_t sys_drain(struct exec_sys *ops, int fd, uint64_t *ret_count)
{
	ssize_t n = read(fd, ret_count, sizeof(*ret_count));

	return n < 0 ? -errno : 0;
}

static int64_t sys_signal(struct exec_sys *ops, int fd)
{
	uint64_t one = 1;

	return write(fd, &one, sizeof(one)) < 0 ? -errno : 0;
}

static int sys_fork(struct exec_sys *ops)
{
	struct sys *s = sys_of(ops);
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		return 1;
	}
	s->child = pid;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	s->child = 0;
	return 0;
}

static void sys_end(struct exec_sys *ops)
{
	_exit(0);
}

static int sys_hold(struct exec_sys *ops)
{
	struct sys *s = sys_of(ops);

	s->holder = fork();
	if (s->holder < 0)
		return -errno;
	if (!s->holder) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return 0;
}

static void sys_unhold(struct exec_sys *ops)
{
	struct sys *s = sys_of(ops);

	kill(s->holder, SIGKILL);
	while (waitpid(s->holder, NULL, 0) < 0 && errno == EINTR)
		;
}

static bool arena_make(void)
{
	char *at = mmap((void *)(uintptr_t)ARENA_AT, ARENA_PAGES * ARENA_PAGE,
			PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (at == MAP_FAILED)
		return false;
	memset(at, 0x11, ARENA_PAGES * ARENA_PAGE);
	return mmap(at + ARENA_SHARED * ARENA_PAGE, (ARENA_ARG - ARENA_SHARED) * ARENA_PAGE,
		    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
			MAP_FAILED &&
		!mprotect(at + ARENA_RO * ARENA_PAGE, (ARENA_NONE - ARENA_RO) * ARENA_PAGE,
			  PROT_READ) &&
		!mprotect(at + ARENA_NONE * ARENA_PAGE, (ARENA_HOLE - ARENA_NONE) * ARENA_PAGE,
			  PROT_NONE) &&
		!munmap(at + ARENA_HOLE * ARENA_PAGE, (ARENA_SHARED - ARENA_HOLE) * ARENA_PAGE);
}

struct exec_sys *sys_new(const char *dir, const char *bdf, const char *peer)
{
	static struct sys s = { .ops = {
		.arena = ARENA_AT, .at = sys_at, .writable = sys_writable,
		.open_container = sys_open_container, .open_group = sys_open_group,
		.open_eventfd = sys_open_eventfd, .open_other = sys_open_other,
		.close = sys_close, .dup = sys_dup, .ioctl = sys_ioctl, .read = sys_read,
		.write = sys_write, .mmap = sys_mmap, .drain = sys_drain, .signal = sys_signal,
		.fork = sys_fork, .end = sys_end, .hold = sys_hold, .unhold = sys_unhold,
	} };
	const char *const names[DEVICES] = { bdf, peer };

	for (unsigned i = 0; i < DEVICES; i++) {
		s.where[i] = (struct vc_where){ dir, names[i], vc_sysfs_group(names[i]) };
		s.ops.bdf[i] = names[i];
		if (s.where[i].group < 0)
			return NULL;
	}
	return arena_make() ? &s.ops : NULL;
}
