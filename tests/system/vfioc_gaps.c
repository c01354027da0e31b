/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cases that hold for the kernel's VFIO and do not hold here: they fail, and are expected
 * to. What is cited in this file is no evidence, and tests/lint/rows.sh does not count it.
 */
#include "vfioc.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

static void gap_foreign_ioctl(const struct vc_where *w)
{
	int c = vc_open_container(w);
	struct termios t;
	struct vc vc;

	REQUIRE(c >= 0);
	EXPECT_EQ(VC(c, TCGETS, &t), -EINVAL);				/* CG-045 */
	vc = vfioc_open(w);
	EXPECT_EQ(VC(vc.container, TCGETS, &t), -ENOTTY);		/* CG-046 */
}

static void gap_file_operations(const struct vc_where *w)
{
	int fds[] = { vc_open_container(w), vc_open_group_wait(w) };	/* CG-054 */
	char byte = 0;

	for (int i = 0; i < 2; i++) {
		int fd = fds[i];

		REQUIRE(fd >= 0);
		EXPECT(read(fd, &byte, 1) == -1 && errno == EINVAL);	/* CG-008 */
		EXPECT(write(fd, &byte, 1) == -1 && errno == EINVAL);
		EXPECT(lseek(fd, 0, SEEK_SET) == -1 && errno == ESPIPE); /* CG-009 */
		EXPECT(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED &&
		       errno == ENODEV);				/* CG-010 */
		EXPECT(fsync(fd) == -1 && errno == EINVAL);		/* CG-013 */
		EXPECT(fallocate(fd, 0, 0, 1) == -1 && errno == ENODEV); /* CG-014 */
	}
}

static void gap_device_file(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);

	EXPECT(lseek(vc.device, 4, SEEK_SET) == -1 && errno == ESPIPE);	/* PCI-006 */
}

const struct vcase cases_gaps[] = {
	{ .name = "gap_foreign_ioctl", .rows = "CG-045 CG-046", .fn = gap_foreign_ioctl,
	  .gap = "foreign commands reach the plain file" },
	{ .name = "gap_file_operations",
	  .rows = "CG-008 CG-009 CG-010 CG-013 CG-014 CG-054", .fn = gap_file_operations,
	  .gap = "read, write, seek and others reach the plain file" },
	{ .name = "gap_device_file", .rows = "PCI-006", .fn = gap_device_file,
	  .gap = "the device fd is a memfd, whose seek is not trapped" },
	{ .name = NULL },
};
