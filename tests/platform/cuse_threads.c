/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: several threads may read one descriptor of a CUSE device. While all but one
 * are kept by a client each, the last one serves the others.
 */
#include "cuse.h"

int main(void)
{
	struct device d = device_start(DEVICE_NAME);
	pid_t pid[DEVICE_THREADS - 1];
	int fd = device_open();

	for (unsigned i = 0; i < DEVICE_THREADS - 1; i++) {
		pid[i] = fork_ioctl(fd, CMD_BLOCK);
		await(&d.seen->blocked, i + 1);
	}
	for (unsigned i = 0; i < 100; i++)
		EXPECT(ioctl(fd, CMD_FIVE, 0) == 5);
	for (unsigned i = 0; i < DEVICE_THREADS - 1; i++)
		device_go(&d, 'b');
	for (unsigned i = 0; i < DEVICE_THREADS - 1; i++)
		EXPECT(join_child(pid[i]) == 5);
	close(fd);
	device_stop(&d);
	return 0;
}
