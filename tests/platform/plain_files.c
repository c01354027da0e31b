/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: what a client does to a VFIO file without our seeing it, the kernel answers
 * for a memfd (which is what nodes and devices are: files of tmpfs) as it does for VFIO's
 * own: always ready (CG-011, PCI-008), no epoll (CG-012, PCI-008), no O_ASYNC (CG-015),
 * close-on-exec and non-blocking by ioctl (CG-016), no mapping of an fd that cannot be read
 * (PCI-248).
 */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "platform.h"

int main(void)
{
	int fd = memfd_create("plain", MFD_CLOEXEC), epoll = epoll_create1(EPOLL_CLOEXEC);
	struct pollfd ready = { .fd = fd, .events = POLLIN | POLLOUT };
	struct epoll_event event = { .events = EPOLLIN };
	char path[64];
	int on = 1, write_only;

	EXPECT(fd >= 0 && epoll >= 0);
	EXPECT(ftruncate(fd, 4096) == 0);
	EXPECT(poll(&ready, 1, 0) == 1 && ready.revents == (POLLIN | POLLOUT));
	EXPECT(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == -1 && errno == EPERM);
	EXPECT(ioctl(fd, FIOASYNC, &on) == -1 && errno == ENOTTY);

	EXPECT(ioctl(fd, FIONCLEX) == 0 && !(fcntl(fd, F_GETFD) & FD_CLOEXEC));
	EXPECT(ioctl(fd, FIOCLEX) == 0 && fcntl(fd, F_GETFD) & FD_CLOEXEC);
	EXPECT(ioctl(fd, FIONBIO, &on) == 0 && fcntl(fd, F_GETFL) & O_NONBLOCK);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	write_only = open(path, O_WRONLY | O_CLOEXEC);
	EXPECT(write_only >= 0);
	EXPECT(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, write_only, 0) == MAP_FAILED &&
	       errno == EACCES);
	return 0;
}
