/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: the ioctl of a 32-bit program arrives like any other, with the flag that
 * says so.
 *
 *     cuse_compat PROGRAM       a 32-bit program that opens /dev/vfio/vfio and asks for
 *                               the version of its API (tests/system/client32.S)
 */
#include "cuse.h"

#define GET_API_VERSION _IO(';', 100)

int main(int argc, char **argv)
{
	struct device d;
	pid_t pid;

	if (argc != 2)
		SKIP("no 32-bit program given");
	d = device_start("vfio/vfio");
	pid = fork_child();
	if (pid == 0) {
		execl(argv[1], argv[1], NULL);
		_exit(1);
	}
	EXPECT(join_child(pid) == 0);
	EXPECT(d.seen->opens == 1);
	/* It is counted after the answer. */
	await(&d.seen->ioctls, 1);
	EXPECT(d.seen->rounds == 1);
	EXPECT(d.seen->releases == 1);
	EXPECT(d.seen->cmd == GET_API_VERSION);
	EXPECT(d.seen->pid == pid);
	EXPECT(d.seen->flags & FUSE_IOCTL_COMPAT);
	device_stop(&d);
	return 0;
}
