/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-answers - writes down what VFIO answers, without an opinion of its own.
 *
 *     vm-answers BDF
 *
 * For reference.sh, which compares what two implementations say: each answer is a line
 * "# answer:0: WHAT is VALUE", as the test client writes its findings. Every number of an
 * ioctl is tried on each kind of fd with no argument, with zeroes, and with argsz alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "system/vc.h"

#define FIRST_IOCTL 100		/* VFIO_BASE */
#define LAST_IOCTL 124
#define ARGSZ 256
#define EXTENSIONS 16
#define FEATURES 14

#define SAY(format, ...) printf("# answer:0: " format "\n", __VA_ARGS__)

static void sweep(const char *what, int fd)
{
	for (unsigned nr = FIRST_IOCTL; nr <= LAST_IOCTL; nr++) {
		unsigned long cmd = _IO(VFIO_TYPE, nr);
		uint32_t buf[ARGSZ] = { 0 };
		int none = vc_ioctl(fd, cmd, 0), zero, sized;

		zero = VC(fd, cmd, buf);
		memset(buf, 0, sizeof(buf));
		buf[0] = ARGSZ;
		sized = VC(fd, cmd, buf);
		SAY("%s ioctl %u is %d, %d, %d", what, nr, none, zero, sized);
	}
}

static void extensions(const char *what, int container)
{
	for (int i = 0; i <= EXTENSIONS; i++)
		SAY("%s extension %d is %d", what, i,
		    vc_ioctl(container, VFIO_CHECK_EXTENSION, (uintptr_t)i));
}

static void capabilities(const char *what, void *info, uint32_t offset)
{
	while (offset && offset < 4000) {
		struct vfio_info_cap_header *cap = (void *)((char *)info + offset);

		SAY("%s at %u is capability %u version %u", what, offset, cap->id,
		    cap->version);
		offset = cap->next;
	}
}

static void iommu(int container)
{
	union {
		struct vfio_iommu_type1_info info;
		char space[4096];
	} u = { .info.argsz = sizeof(u) };

	SAY("GET_INFO is %d", VC(container, VFIO_IOMMU_GET_INFO, &u));
	SAY("IOMMU flags is 0x%x, page sizes 0x%llx", u.info.flags,
	    (unsigned long long)u.info.iova_pgsizes);
	capabilities("IOMMU", &u, u.info.cap_offset);
}

static void device_infos(int device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	SAY("device GET_INFO is %d", VC(device, VFIO_DEVICE_GET_INFO, &info));
	SAY("device is flags 0x%x, argsz %u, caps %u, %u regions, %u interrupts", info.flags,
	    info.argsz, info.cap_offset, info.num_regions, info.num_irqs);
	for (uint32_t i = 0; i <= info.num_regions; i++) {
		static uint64_t first;	/* the offset of region 0: nobody's business */
		union {
			struct vfio_region_info info;
			char space[4096];
		} u = { .info = { .argsz = sizeof(u), .index = i } };
		int r = VC(device, VFIO_DEVICE_GET_REGION_INFO, &u);

		if (!i)
			first = u.info.offset;
		SAY("region %u is %d, flags 0x%x, size 0x%llx, offset 0x%llx, argsz %u", i, r,
		    u.info.flags, (unsigned long long)u.info.size,
		    (unsigned long long)(r ? 0 : u.info.offset - first), u.info.argsz);
		if (!r && u.info.flags & VFIO_REGION_INFO_FLAG_CAPS)
			capabilities("region", &u, u.info.cap_offset);
	}
	for (uint32_t i = 0; i <= info.num_irqs; i++) {
		struct vfio_irq_info irq = { .argsz = sizeof(irq), .index = i };
		int r = VC(device, VFIO_DEVICE_GET_IRQ_INFO, &irq);

		SAY("interrupt %u is %d, flags 0x%x, count %u", i, r, irq.flags, irq.count);
	}
}

static void features(int device)
{
	static const uint32_t ops[] = { VFIO_DEVICE_FEATURE_PROBE, VFIO_DEVICE_FEATURE_GET,
		VFIO_DEVICE_FEATURE_SET, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET,
		VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET };

	for (uint32_t i = 0; i <= FEATURES; i++)
		for (size_t j = 0; j < sizeof(ops) / sizeof(*ops); j++) {
			struct vfio_device_feature f = { .argsz = sizeof(f),
				.flags = i | ops[j] };

			SAY("feature %u with 0x%x is %d", i, ops[j],
			    VC(device, VFIO_DEVICE_FEATURE, &f));
		}
}

/* What stays in the standard header of what is written there. */
static void config_bits(int device)
{
	for (uint32_t at = 4; at < 0x40; at += 4) {
		uint32_t before = vc_cfg32(device, at), ones, zeroes;

		vc_cfg32_set(device, at, ~0u);
		ones = vc_cfg32(device, at);
		vc_cfg32_set(device, at, 0);
		zeroes = vc_cfg32(device, at);
		vc_cfg32_set(device, at, before);
		SAY("config 0x%02x is 0x%08x, after ones 0x%08x, after zeroes 0x%08x", at,
		    before, ones, zeroes);
	}
}

int main(int argc, char **argv)
{
	struct vc_where where = { .dir = "/dev/vfio", .bdf = argc == 2 ? argv[1] : "" };
	struct vc vc = VC_NONE;
	int container, group, r;

	where.group = vc_sysfs_group(where.bdf);
	if (where.group < 0) {
		fprintf(stderr, "vm-answers: no IOMMU group of a device \"%s\"\n", where.bdf);
		return 2;
	}
	container = vc_open_container(&where);
	group = vc_open_group(&where);
	extensions("empty container", container);
	sweep("empty container", container);
	sweep("group without container", group);
	close(group);
	close(container);
	r = vc_open(&vc, &where, VFIO_TYPE1v2_IOMMU);
	SAY("opening is %d", r);
	if (!r) {
		extensions("type1 container", vc.container);
		iommu(vc.container);
		device_infos(vc.device);
		features(vc.device);
		config_bits(vc.device);
		sweep("type1 container", vc.container);
		sweep("device", vc.device);
	}
	printf("ok 1 answers\n");
	return 0;
}
