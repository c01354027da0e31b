/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: what else a CUSE file answers. As VFIO's container and group do: poll says
 * ready, mmap ENODEV, fsync EINVAL, fallocate ENODEV. Unlike them: read and write reach the
 * server, without the offset, and only if they are about a byte at least; lseek answers 0;
 * epoll works.
 */
#include <sys/epoll.h>

#include "cuse.h"

int main(void)
{
	struct device d = device_start(DEVICE_NAME);
	int fd = device_open(), ep = epoll_create1(EPOLL_CLOEXEC);
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
	struct epoll_event ev = { .events = EPOLLIN };
	char c = 0;

	EXPECT(poll(&p, 1, 0) == 1 && p.revents == (POLLIN | POLLOUT));
	EXPECT(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	EXPECT(epoll_wait(ep, &ev, 1, 0) == 1 && ev.events == EPOLLIN);
	EXPECT(read(fd, &c, 0) == 0 && write(fd, &c, 0) == 0);
	EXPECT(d.seen->reads == 0 && d.seen->writes == 0);
	EXPECT(read(fd, &c, 1) == 1 && c == 'x');
	EXPECT(write(fd, &c, 1) == 1);
	EXPECT(d.seen->reads == 1 && d.seen->writes == 1);
	EXPECT(pread(fd, &c, 1, 4096) == 1 && d.seen->reads == 2 && d.seen->offset == 0);
	EXPECT(lseek(fd, 4096, SEEK_SET) == 0);
	EXPECT(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV);
	EXPECT(fsync(fd) < 0 && errno == EINVAL);
	EXPECT(fallocate(fd, 0, 0, 1) < 0 && errno == ENODEV);
	close(ep);
	close(fd);
	device_stop(&d);
	return 0;
}
