/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: when the server of a CUSE device is killed, a call that it was at fails with
 * ECONNABORTED, later ones with ENOTCONN, the node is gone, and the file can be closed.
 */
#include "cuse.h"

int main(void)
{
	struct device d = device_start(DEVICE_NAME);
	int fd = device_open();
	pid_t pid = fork_ioctl(fd, CMD_HOLD);

	await(&d.seen->ioctls, 1);
	device_stop(&d);
	EXPECT(join_child(pid) == 100 + ECONNABORTED);
	EXPECT(ioctl(fd, CMD_FIVE, 0) < 0 && errno == ENOTCONN);
	EXPECT(access(DEVICE_PATH, F_OK) < 0 && errno == ENOENT);
	EXPECT(close(fd) == 0);
	d = device_start(DEVICE_NAME);		/* and the name is free */
	fd = device_open();
	EXPECT(ioctl(fd, CMD_FIVE, 0) == 5);
	close(fd);
	device_stop(&d);
	return 0;
}
