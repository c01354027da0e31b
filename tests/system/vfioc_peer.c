/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of two devices (--peer): groups that share a container or do not, resets. */
#include "vfioc.h"

#include <string.h>
#include <unistd.h>
#include "edu_user.h"

#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define P 4096ull
#define IOVA 0x1000000ull

const char *vfioc_peer;

/* The other device, or the end of the case. */
static struct vc_where peer_of(const struct vc_where *w, bool same_group)
{
	struct vc_where peer = *w;

	if (!vfioc_peer)
		SKIP("there is no --peer");
	peer.bdf = vfioc_peer;
	peer.group = vc_sysfs_group(vfioc_peer);
	REQUIRE(peer.group >= 0);
	if ((peer.group == w->group) != same_group)
		SKIP(same_group ? "the peer is in another group"
				: "the peer is in the same group");
	return peer;
}

/* CG-120, CG-134: one container, two groups, one of which leaves and comes back. */
static void peer_shared_container(const struct vc_where *w)
{
	struct vc_where pw = peer_of(w, false);
	struct vc vc = vfioc_open(w);
	uint8_t *p = vfioc_memory(2 * P, 3);
	int g, d;

	REQUIRE_EQ(vc_map(vc.container, p, IOVA, 2 * P, RW), 0);
	g = vc_open_group_wait(&pw);
	REQUIRE(g >= 0);
	REQUIRE_EQ(vc_attach(g, vc.container), 0);			/* driver is set already */
	d = vc_get_device(g, pw.bdf);
	REQUIRE(d >= 0);
	EXPECT_EQ(VC(g, VFIO_GROUP_UNSET_CONTAINER, 0), -EBUSY);
	/* the other group's device name is unknown to this group */
	EXPECT_EQ(vc_get_device(g, w->bdf), -ENODEV);			/* CG-089 */
	if (vc_cfg32(vc.device, 0) == EDU_VENDOR_DEVICE
	    && vc_cfg32(d, 0) == EDU_VENDOR_DEVICE) {
		REQUIRE_EQ(vc_bus_master(vc.device, true), 0);
		REQUIRE_EQ(vc_bus_master(d, true), 0);
		REQUIRE_EQ(edu_dma(d, IOVA, 0, 100, false, false), 0);
		REQUIRE_EQ(edu_dma(d, IOVA + P, 0, 100, true, false), 0);
		EXPECT(!memcmp(p, p + P, 100));
	}
	close(d);
	close(g);
	/* G2 left: the mappings remain for the first */
	EXPECT_EQ(vc_map(vc.container, p, IOVA, P, RW), -EEXIST);
	g = vc_open_group_wait(&pw);
	REQUIRE(g >= 0);
	EXPECT_EQ(vc_attach(g, vc.container), 0);
	/* and when the first leaves, for the second */
	close(vc.device);
	EXPECT_EQ(VC(vc.group, VFIO_GROUP_UNSET_CONTAINER, 0), 0);
	EXPECT_EQ(vc_map(vc.container, p, IOVA, P, RW), -EEXIST);	/* CG-116 */
	EXPECT_EQ(VC(g, VFIO_GROUP_UNSET_CONTAINER, 0), 0);
	EXPECT_EQ(vc_map(vc.container, p, IOVA, P, RW), -EINVAL);	/* CG-114 */
}

/* Two containers know nothing of each other: the same IOVA means two things. */
static void peer_own_container(const struct vc_where *w)
{
	struct vc_where pw = peer_of(w, false);
	struct vc a = vfioc_open(w), b = vfioc_open(&pw);
	uint8_t *p = vfioc_memory(P, 3), *q = vfioc_memory(P, 9);

	EXPECT_EQ(vc_attach(a.group, b.container), -EINVAL);		/* CG-066 */
	REQUIRE_EQ(vc_map(a.container, p, IOVA, P, RW), 0);
	EXPECT_EQ(vc_unmap(b.container, IOVA, P, NULL), 0);
	REQUIRE_EQ(vc_map(b.container, q, IOVA, P, RW), 0);
	if (vc_cfg32(a.device, 0) == EDU_VENDOR_DEVICE) {
		REQUIRE_EQ(vc_bus_master(a.device, true), 0);
		memset(p, 0x31, 64);
		REQUIRE_EQ(edu_dma(a.device, IOVA, 0, 64, false, false), 0);
		REQUIRE_EQ(edu_dma(a.device, IOVA + 512, 0, 64, true, false), 0);
		EXPECT(!memcmp(p, p + 512, 64));
		EXPECT(memcmp(q + 512, p + 512, 64));
	}
}

/* CG-129: a group with two devices stays until both are closed. */
static void peer_same_group(const struct vc_where *w)
{
	struct vc_where pw = peer_of(w, true);
	struct vc vc = vfioc_open(w);
	int d = vc_get_device(vc.group, pw.bdf);

	REQUIRE(d >= 0);
	EXPECT_EQ(vc_open_group(&pw), -EBUSY);				/* CG-052 */
	EXPECT_EQ(VC(vc.group, VFIO_GROUP_UNSET_CONTAINER, 0), -EBUSY);
	close(vc.device);
	EXPECT_EQ(VC(vc.group, VFIO_GROUP_UNSET_CONTAINER, 0), -EBUSY);
	EXPECT(vc_cfg32(d, 0) != ~0u);
	close(d);
	EXPECT_EQ(VC(vc.group, VFIO_GROUP_UNSET_CONTAINER, 0), 0);
}

/* PCI-116, PCI-118 … PCI-129: a bus reset takes all groups of the bus. */
static void peer_hot_reset(const struct vc_where *w)
{
	struct vc_where pw = peer_of(w, false);
	struct vc vc = vfioc_open(w);
	uint64_t buf[64] = { 0 };
	struct vfio_pci_hot_reset_info *i = (void *)buf;
	struct vfio_pci_hot_reset *r = (void *)buf;
	int g = vc_open_group_wait(&pw), *fds = r->group_fds;
	bool listed = false;

	REQUIRE(g >= 0);
	i->argsz = sizeof(buf);
	if (VC(vc.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, i))
		SKIP("this bus cannot be reset");
	for (unsigned n = 0; n < i->count; n++)
		listed |= (int)i->devices[n].group_id == pw.group;
	if (!listed)
		SKIP("the peer is on another bus");
	memset(buf, 0, sizeof(buf));
	r->argsz = sizeof(*r) + 8;
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_PCI_HOT_RESET, r), -EINVAL);	/* PCI-120 */
	r->count = 1;
	fds[0] = 987;
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_PCI_HOT_RESET, r), -EBADF);		/* PCI-124 */
	fds[0] = vc.container;
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_PCI_HOT_RESET, r), -EINVAL);	/* PCI-125 */
	fds[0] = vc.group;
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_PCI_HOT_RESET, r), -EINVAL);	/* PCI-127 */
	r->count = 2;
	fds[1] = g;
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_PCI_HOT_RESET, r), 0);		/* PCI-129 */
	r->count = 3;
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_PCI_HOT_RESET, r), -EINVAL);	/* PCI-122 */
}

const struct vcase cases_peer[] = {
	{ .name = "peer_shared_container", .rows = "CG-089 CG-114 CG-116 CG-120 CG-134",
	  .fn = peer_shared_container },
	{ .name = "peer_own_container", .rows = "CG-005 CG-066", .fn = peer_own_container },
	{ .name = "peer_same_group", .rows = "CG-052 CG-084 CG-129", .fn = peer_same_group },
	{ .name = "peer_hot_reset", .rows = "PCI-116 PCI-120 PCI-122 PCI-124 PCI-125 PCI-127 "
	  "PCI-129", .fn = peer_hot_reset },
	{ .name = NULL },
};
