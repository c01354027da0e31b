/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-nvme-vector - makes QEMU's emulated NVMe drive tell of completions by MSI-X.
 *
 *     vm-nvme-vector BDF
 *
 * The drive sends a queue's messages only if the queue was made while MSI-X was on, but
 * counts users of a vector wrongly: it forgets a user whose MSI-X was switched off before its
 * queues went. A client that turns the drive on before MSI-X, as qemu-img does, gets no
 * message for its admin queue and hangs, unless it happens to poll in time; each such client
 * that ends by a reset also takes one user away. So here is one that leaves a user behind: it
 * has MSI-X on before the drive, and ends without turning the drive off.
 *
 * An error is written as its number, and the status is 1.
 */
#include <stdio.h>

#include "system/nvme_user.h"
#include "system/vc.h"

static int failed(const char *what, int error)
{
	printf("%s: %d\n", what, error);
	return 1;
}

int main(int argc, char **argv)
{
	struct vc_where where = { .dir = "/dev/vfio" };
	struct vc vc = VC_NONE;
	struct nvme n;
	int r;

	if (argc != 2)
		return 2;
	where.bdf = argv[1];
	where.group = vc_sysfs_group(where.bdf);
	r = vc_open(&vc, &where, VFIO_TYPE1v2_IOMMU);
	if (r)
		return failed("open", r);
	r = nvme_open(&n, &vc, &(struct nvme_options){ .depth = 2, .data = NVME_PAGE,
						       .interrupts = true });
	if (r)
		return failed("nvme_open", r);
	vc_close(&vc);
	return 0;
}
