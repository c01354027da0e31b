/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: an OFD write lock of an open file description goes away with the last
 * reference to it, be that a dup, another process's descriptor or an mmap, and a thread
 * that waits for the lock through a description of its own wakes up then, not before.
 */
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "platform.h"

static struct flock byte_lock(short type)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = 5,
			       .l_len = 1 };
}

static bool is_free(int fd)
{
	struct flock lock = byte_lock(F_WRLCK);

	EXPECT(fcntl(fd, F_OFD_GETLK, &lock) == 0);
	return lock.l_type == F_UNLCK;
}

static void *wait_for_lock(void *arg)
{
	struct flock lock = byte_lock(F_WRLCK);

	EXPECT(fcntl(*(int *)arg, F_OFD_SETLKW, &lock) == 0);
	return NULL;
}

int main(void)
{
	struct flock lock = byte_lock(F_WRLCK);
	int fd = memfd_create("test", MFD_CLOEXEC), opened, copy, look;
	struct meeting m;
	char path[64];
	pthread_t thread;
	pid_t pid;
	void *p;

	EXPECT(fd >= 0 && ftruncate(fd, 4096) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	opened = open(path, O_RDWR | O_CLOEXEC);
	look = open(path, O_RDWR | O_CLOEXEC);
	if (opened < 0 && errno == ENOENT)
		SKIP("/proc is not mounted");
	EXPECT(opened >= 0 && look >= 0);
	EXPECT(fcntl(opened, F_OFD_SETLK, &lock) == 0);

	meeting_init(&m);
	pid = fork_child();
	if (pid == 0) {
		hear(m.theirs);
		_exit(0);	/* closes its copy */
	}
	copy = dup(opened);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, opened, 0);
	EXPECT(copy >= 0 && p != MAP_FAILED);
	EXPECT(pthread_create(&thread, NULL, wait_for_lock, &fd) == 0);

	EXPECT(close(opened) == 0 && !is_free(look));
	EXPECT(close(copy) == 0 && !is_free(look));
	tell(m.ours, 1);
	EXPECT(join_child(pid) == 0 && !is_free(look));
	EXPECT(munmap(p, 4096) == 0);
	/* Ends by the test's time limit if the lock stays. */
	EXPECT(pthread_join(thread, NULL) == 0);
	return 0;
}
