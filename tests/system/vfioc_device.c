/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of the device fd: information, configuration space, BARs, reset, features. */
#include "vfioc.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include "edu_user.h"

#define CFG VFIO_PCI_CONFIG_REGION_INDEX
#define BAR0 VFIO_PCI_BAR0_REGION_INDEX

static void device_info(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	struct vfio_device_info i = { .argsz = 15 };

	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_GET_INFO, BAD_ADDRESS), -EFAULT); /* PCI-016 */
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_GET_INFO, &i), -EINVAL); /* PCI-017 */
	i.argsz = sizeof(i);
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_GET_INFO, &i), 0);
	EXPECT_EQ(i.argsz, sizeof(i));
	EXPECT(i.flags & VFIO_DEVICE_FLAGS_PCI); /* PCI-021 */
	EXPECT_EQ(i.num_regions, 9); /* PCI-022 */
	EXPECT_EQ(i.num_irqs, 5); /* PCI-023 */
	EXPECT_EQ(VC(vc.device, _IO(';', 199), 0), -ENOTTY); /* PCI-005 */
	EXPECT_EQ(VC(vc.device, VFIO_GROUP_GET_STATUS, 0), -ENOTTY);
}

static void device_regions(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	struct vfio_region_info i = { .argsz = 31 };
	uint64_t base = 0;

	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_GET_REGION_INFO, BAD_ADDRESS),
		  -EFAULT); /* PCI-026 */
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_GET_REGION_INFO, &i), -EINVAL); /* PCI-027 */
	for (uint32_t n = 0; n < 8; n++) {
		REQUIRE_EQ(vc_region(vc.device, n, &i), 0);
		if (!n)
			base = i.offset;
		EXPECT_EQ(i.offset - base, (uint64_t)n << 40); /* PCI-032 */
	}
	EXPECT_EQ(vc_region(vc.device, 8, &i), -EINVAL); /* PCI-028 */
	EXPECT_EQ(vc_region(vc.device, 9, &i), -EINVAL);
	EXPECT_EQ(vc_region(vc.device, ~0u, &i), -EINVAL);
	REQUIRE_EQ(vc_region(vc.device, CFG, &i), 0); /* PCI-033 */
	EXPECT(i.size == 256 || i.size == 4096);
	EXPECT_EQ(i.flags, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE);
	i = (struct vfio_region_info){ .argsz = sizeof(i), .index = CFG, .cap_offset = 77 };
	REQUIRE_EQ(VC(vc.device, VFIO_DEVICE_GET_REGION_INFO, &i), 0);
	EXPECT_EQ(i.cap_offset, 77); /* PCI-031 */
	REQUIRE_EQ(vc_region(vc.device, BAR0, &i), 0);
	EXPECT(i.size >= 4096 && !(i.size & (i.size - 1)));
	EXPECT((i.flags & 3) == 3);
}

/* PCI-029, PCI-030, PCI-039: the capability chain of a region that has one. */
static void device_region_caps(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	unsigned seen = 0;

	for (uint32_t n = 0; n < 6; n++) {
		uint64_t buf[64] = { 0 };
		struct vfio_region_info *i = (void *)buf, head;

		REQUIRE_EQ(vc_region(vc.device, n, &head), 0);
		if (!(head.flags & VFIO_REGION_INFO_FLAG_CAPS))
			continue;
		seen++;
		EXPECT(head.argsz > 32 && head.cap_offset == 0); /* PCI-029 */
		REQUIRE(head.argsz <= sizeof(buf));
		i->argsz = head.argsz;
		i->index = n;
		REQUIRE_EQ(VC(vc.device, VFIO_DEVICE_GET_REGION_INFO, i), 0);
		EXPECT_EQ(i->cap_offset, 32); /* PCI-030 */
		for (uint32_t at = i->cap_offset; at;) {
			struct vfio_info_cap_header *h = (void *)((char *)buf + at);

			EXPECT(h->id == VFIO_REGION_INFO_CAP_SPARSE_MMAP
			       || h->id == VFIO_REGION_INFO_CAP_MSIX_MAPPABLE);
			EXPECT_EQ(h->version, 1);
			REQUIRE(!h->next || h->next > at);
			at = h->next;
		}
	}
	if (!seen)
		SKIP("no region of this device has capabilities");
}

static void device_irqs(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	struct vfio_irq_info i = { .argsz = 15 };

	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_GET_IRQ_INFO, BAD_ADDRESS),
		  -EFAULT); /* PCI-045 */
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_GET_IRQ_INFO, &i), -EINVAL); /* PCI-046 */
	EXPECT_EQ(vc_irq(vc.device, 5, &i), -EINVAL);
	REQUIRE_EQ(vc_irq(vc.device, VFIO_PCI_INTX_IRQ_INDEX, &i), 0); /* PCI-048 */
	EXPECT_EQ(i.flags, 7);
	EXPECT_EQ(i.count, (vc_cfg32(vc.device, 0x3c) >> 8 & 0xff) ? 1 : 0);
	REQUIRE_EQ(vc_irq(vc.device, VFIO_PCI_MSI_IRQ_INDEX, &i), 0); /* PCI-049 */
	EXPECT_EQ(i.flags, 9);
	REQUIRE_EQ(vc_irq(vc.device, VFIO_PCI_MSIX_IRQ_INDEX, &i), 0); /* PCI-050 */
	EXPECT(i.flags == 9 || i.flags == 1);
	REQUIRE_EQ(vc_irq(vc.device, VFIO_PCI_REQ_IRQ_INDEX, &i), 0); /* PCI-051 */
	EXPECT(i.flags == 9 && i.count == 1);
}

static void device_config(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	struct vfio_region_info i;
	uint8_t all[4096];
	uint32_t id, want[4];
	unsigned n = 0, at;

	REQUIRE_EQ(vc_region(vc.device, CFG, &i), 0);
	id = vc_cfg32(vc.device, 0);
	EXPECT(id != 0 && id != ~0u);
	EXPECT_EQ(vc_cfg32_set(vc.device, 0, 0), 0);			/* PCI-207 */
	EXPECT_EQ(vc_cfg32(vc.device, 0), id);
	EXPECT_EQ(pread(vc.device, all, i.size, (off_t)i.offset), i.size); /* PCI-192 */
	memcpy(want, all, 4);
	EXPECT_EQ(want[0], id);
	EXPECT(pread(vc.device, all, 8, (off_t)(i.offset + i.size - 4)) == -1
	       && errno == EFAULT); /* PCI-191 */
	EXPECT(pread(vc.device, all, 1, (off_t)(i.offset + i.size)) == -1 && errno == EFAULT);
	EXPECT_EQ(pread(vc.device, all, 0, (off_t)(i.offset + i.size)), 0); /* PCI-188 */
	EXPECT_EQ(vc_cfg16(vc.device, 4) & 4, 0); /* PCI-012 bus master off */
	EXPECT_EQ(vc_cfg16(vc.device, 4) & 0x400, 0);
	/* PCI-228: a chain of capabilities that ends */
	EXPECT(vc_cfg16(vc.device, 6) & 0x10);
	for (at = vc_cfg32(vc.device, 0x34) & 0xff; at && n < 48; n++)
		at = vc_cfg16(vc.device, at) >> 8;
	EXPECT(n > 0 && n < 48);
	EXPECT_EQ(vc_cfg16_set(vc.device, 0x3c, 0x0b), 0); /* PCI-218, PCI-219 */
	EXPECT_EQ(vc_cfg16(vc.device, 0x3c) & 0xff, 0x0b);
	/* odd sizes and places are split, never refused */
	memset(all, 0, 8);
	EXPECT_EQ(pread(vc.device, all, 3, (off_t)(i.offset + 1)), 3);
	EXPECT_EQ(all[0], id >> 8 & 0xff);
	EXPECT_EQ(all[1], id >> 16 & 0xff);
}

static void device_bar_sizing(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);

	for (uint32_t n = 0; n < 6; n++) {
		struct vfio_region_info i;
		uint32_t old, low, high = ~0u;
		uint64_t mask;

		REQUIRE_EQ(vc_region(vc.device, n, &i), 0);
		old = vc_cfg32(vc.device, 0x10 + 4 * n);
		EXPECT_EQ(vc_cfg32_set(vc.device, 0x10 + 4 * n, ~0u), 0);
		low = vc_cfg32(vc.device, 0x10 + 4 * n);
		if (!i.size) {
			EXPECT_EQ(low, 0); /* PCI-034, PCI-221 */
			continue;
		}
		EXPECT_EQ(old & 15, low & 15);
		if ((low & 7) == 4) {
			EXPECT_EQ(vc_cfg32_set(vc.device, 0x14 + 4 * n, ~0u), 0);
			high = vc_cfg32(vc.device, 0x14 + 4 * n);
		}
		mask = (uint64_t)high << 32 | (low & ((low & 1) ? ~3u : ~15u));
		EXPECT_EQ(~mask + 1, i.size);				/* PCI-221 */
		EXPECT_EQ(vc_cfg32_set(vc.device, 0x10 + 4 * n, 0xfe000000), 0);
		EXPECT_EQ(vc_cfg32(vc.device, 0x10 + 4 * n) & ~15u,
			  0xfe000000 & (uint32_t)mask);
		if ((low & 7) == 4)
			n++;
	}
}

static void device_memory_enable(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint16_t cmd = vc_cfg16(vc.device, 4);
	struct vfio_region_info i;
	uint32_t v;

	REQUIRE_EQ(vc_region(vc.device, BAR0, &i), 0);
	EXPECT(cmd & 2);						/* PCI-012 */
	EXPECT_EQ(vc_read(vc.device, BAR0, 0, &v, 4), 0);
	EXPECT_EQ(vc_cfg16_set(vc.device, 4, cmd & ~2), 0);		/* PCI-224 */
	/* PCI-199 */
	EXPECT(pread(vc.device, &v, 4, (off_t)i.offset) == -1 && errno == EIO);
	EXPECT(pwrite(vc.device, &v, 4, (off_t)i.offset + 8) == -1 && errno == EIO);
	EXPECT_EQ(vc_cfg16_set(vc.device, 4, cmd | 2), 0);
	EXPECT_EQ(vc_read(vc.device, BAR0, 0, &v, 4), 0);
}

static void device_access(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	struct vfio_region_info i, rom;
	char buf[64];

	REQUIRE_EQ(vc_region(vc.device, BAR0, &i), 0);
	EXPECT(pread(vc.device, buf, 4, (off_t)(i.offset + i.size)) == -1
	       && errno == EINVAL); /* PCI-195 */
	/* PCI-196 */
	EXPECT_EQ(pread(vc.device, buf, 16, (off_t)(i.offset + i.size - 4)), 4);
	/* PCI-188 */
	EXPECT_EQ(pread(vc.device, buf, 0, (off_t)(i.offset + (11ull << 40))), 0);
	EXPECT(pread(vc.device, buf, 4, (off_t)(i.offset + (9ull << 40))) == -1
	       && errno == EINVAL); /* PCI-189 */
	EXPECT(pread(vc.device, BAD_ADDRESS, 4, (off_t)i.offset) == -1 && errno == EFAULT);
	EXPECT(pwrite(vc.device, BAD_ADDRESS, 4, (off_t)i.offset) == -1 && errno == EFAULT);
	REQUIRE_EQ(vc_region(vc.device, VFIO_PCI_ROM_REGION_INDEX, &rom), 0);
	EXPECT(pwrite(vc.device, buf, 4, (off_t)rom.offset) == -1
	       && errno == EINVAL); /* PCI-193 */
	if (!rom.size)
		EXPECT(pread(vc.device, buf, 4, (off_t)rom.offset) == -1 && errno == EINVAL);
	EXPECT(pread(vc.device, buf, 4, (off_t)(i.offset + (8ull << 40))) == -1
	       && errno == EINVAL); /* PCI-201 */
}

static void device_vectored(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	struct vfio_region_info i;
	uint16_t vendor = 0, device = 0;
	struct iovec v[2] = { { &vendor, 2 }, { &device, 2 } };

	REQUIRE_EQ(vc_region(vc.device, CFG, &i), 0);
	EXPECT_EQ(preadv(vc.device, v, 2, (off_t)i.offset), 4);		/* PCI-192 */
	EXPECT_EQ((uint32_t)device << 16 | vendor, vc_cfg32(vc.device, 0));
}

/* Old copies of client libraries compute offsets instead of asking for them. */
static void device_computed_offset(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint32_t v = 0;

	EXPECT_EQ(pread(vc.device, &v, 4, (off_t)(7ull << 40)), 4);
	EXPECT_EQ(v, vc_cfg32(vc.device, 0));
	v = 0x04;
	EXPECT_EQ(pwrite(vc.device, &v, 2, (off_t)((7ull << 40) + 4)), 2);
	EXPECT_EQ(vc_cfg16(vc.device, 4) & 6, 4);
}

static void device_mmap(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	struct vfio_region_info i;

	for (uint32_t n = 0; n < 8; n++) {
		void *p;

		REQUIRE_EQ(vc_region(vc.device, n, &i), 0);
		if (i.flags & VFIO_REGION_INFO_FLAG_MMAP) {
			size_t past = (i.size + 4095) & ~4095ull;

			EXPECT(mmap(NULL, past + 4096, PROT_READ, MAP_SHARED, vc.device,
				/* PCI-254 */
				    (off_t)i.offset) == MAP_FAILED && errno == EINVAL);
			EXPECT(mmap(NULL, 4096, PROT_READ, MAP_SHARED, vc.device,
				    (off_t)(i.offset + past)) == MAP_FAILED && errno == EINVAL);
			EXPECT(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, vc.device,
				/* PCI-250 */
				    (off_t)i.offset) == MAP_FAILED && errno == EINVAL);
			continue;
		}
		p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, vc.device, (off_t)i.offset);
		EXPECT(p == MAP_FAILED && errno == EINVAL); /* PCI-252, PCI-253 */
	}
}

/* PCI-256: what one side stores the other reads, at once and without a trap. */
static void device_bar_coherent(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	volatile uint32_t *m = vc_mmap_region(vc.device, BAR0, NULL);
	uint32_t v = 0, old;

	REQUIRE(m);
	REQUIRE_EQ(vc_read(vc.device, BAR0, 0x24, &old, 4), 0);		/* NVMe: AQA */
	m[0x24 / 4] = 0x00070007;
	REQUIRE_EQ(vc_read(vc.device, BAR0, 0x24, &v, 4), 0);
	EXPECT_EQ(v, 0x00070007);
	v = 0x000f000f;
	REQUIRE_EQ(vc_write(vc.device, BAR0, 0x24, &v, 4), 0);
	EXPECT_EQ(m[0x24 / 4], 0x000f000f);
	/* PCI-262: the mapping outlives the fd */
	close(vc.device);
	vc.device = -1;
	EXPECT_EQ(m[0x24 / 4], 0x000f000f);
	EXPECT_EQ(VC(vc.group, VFIO_GROUP_UNSET_CONTAINER, 0), -EBUSY);
}

static void device_reset(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	struct vfio_device_info i = { .argsz = sizeof(i) };
	uint32_t bar;

	REQUIRE_EQ(VC(vc.device, VFIO_DEVICE_GET_INFO, &i), 0);
	if (!(i.flags & VFIO_DEVICE_FLAGS_RESET)) {
		EXPECT_EQ(VC(vc.device, VFIO_DEVICE_RESET, 0), -EINVAL); /* PCI-105 */
		return;
	}
	EXPECT_EQ(vc_cfg32_set(vc.device, 0x10, 0xc0000000), 0);
	bar = vc_cfg32(vc.device, 0x10);
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_RESET, 0), 0);		/* PCI-108 */
	EXPECT_EQ(vc_cfg32(vc.device, 0x10), bar);
}

static void device_hot_reset_info(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint64_t buf[300] = { 0 };
	struct vfio_pci_hot_reset_info *i = (void *)buf;
	int r;

	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, BAD_ADDRESS), -EFAULT);
	i->argsz = 11;
	/* PCI-110 */
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, i), -EINVAL);
	i->argsz = 12;
	r = VC(vc.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, i);
	if (r == -ENODEV)						/* PCI-111 */
		return;
	EXPECT_EQ(r, -ENOSPC);						/* PCI-112 */
	EXPECT(i->count >= 1 && i->flags == 0);
	i->argsz = sizeof(buf);
	REQUIRE_EQ(VC(vc.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, i), 0);
	EXPECT_EQ(i->devices[0].group_id, w->group);			/* PCI-116 */
}

static void device_feature(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint64_t buf[8] = { 0 };
	struct vfio_device_feature *f = (void *)buf;

	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_FEATURE, BAD_ADDRESS), -EFAULT); /* PCI-145 */
	f->argsz = 7;
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_FEATURE, f), -EINVAL); /* PCI-146 */
	f->argsz = sizeof(buf);
	f->flags = 1u << 19;
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_FEATURE, f), -EINVAL); /* PCI-147 */
	f->flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET | 3;
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_FEATURE, f), -EINVAL); /* PCI-148 */
	f->flags = VFIO_DEVICE_FEATURE_PROBE | 999;
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_FEATURE, f), -ENOTTY); /* PCI-149 */
	f->flags = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET | 1;
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_FEATURE, f), -ENOTTY);
}

/* PCI-130 … PCI-144: an eventfd that writes a register. */
static void device_ioeventfd(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	struct vfio_region_info bar;
	struct vfio_device_ioeventfd e;
	int event = eventfd(0, EFD_CLOEXEC);
	uint64_t one = 1, end = vc_now_ns() + 5000000000ull;
	uint32_t v = 0;

	REQUIRE_EQ(vc_region(vc.device, BAR0, &bar), 0);
	e = (struct vfio_device_ioeventfd){ .argsz = 27, .flags = 4, .fd = event,
		.offset = bar.offset + EDU_LIVE, .data = 0x12345678 };
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_IOEVENTFD, BAD_ADDRESS), -EFAULT); /* PCI-130 */
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_IOEVENTFD, &e), -EINVAL); /* PCI-131 */
	e.argsz = sizeof(e);
	e.flags = 6;
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_IOEVENTFD, &e), -EINVAL); /* PCI-133 */
	e.flags = 4;
	e.fd = -1;
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_IOEVENTFD, &e), -ENODEV); /* PCI-141 */
	e.fd = event;
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_IOEVENTFD, &e), 0); /* PCI-144 */
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_IOEVENTFD, &e), -EEXIST); /* PCI-140 */
	EXPECT_EQ(write(event, &one, 8), 8);
	do {
		REQUIRE_EQ(edu_read32(vc.device, EDU_LIVE, &v), 0);
	} while (v != ~0x12345678u && vc_now_ns() < end);
	EXPECT_EQ(v, ~0x12345678u);
	e.fd = -1;
	EXPECT_EQ(VC(vc.device, VFIO_DEVICE_IOEVENTFD, &e), 0); /* PCI-139 */
}

/* The registers that the device's manual promises. */
static void edu_registers(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint64_t end = vc_now_ns() + 5000000000ull;
	uint32_t v = 0;

	REQUIRE_EQ(edu_read32(vc.device, EDU_ID, &v), 0);
	EXPECT_EQ(v, 0x010000ed);
	EXPECT_EQ(edu_write32(vc.device, EDU_LIVE, 0x00ff00ff), 0);
	EXPECT_EQ(edu_read32(vc.device, EDU_LIVE, &v), 0);
	EXPECT_EQ(v, 0xff00ff00);
	EXPECT_EQ(edu_write32(vc.device, EDU_FACT, 10), 0);
	do {
		REQUIRE_EQ(edu_read32(vc.device, EDU_STATUS, &v), 0);
	} while ((v & 1) && vc_now_ns() < end);
	EXPECT_EQ(edu_read32(vc.device, EDU_FACT, &v), 0);
	EXPECT_EQ(v, 3628800);
}

const struct vcase cases_device[] = {
	{ .name = "device_info", .rows = "PCI-005 PCI-016 PCI-017 PCI-021 PCI-022 PCI-023",
	  .fn = device_info },
	{ .name = "device_regions",
	  .rows = "PCI-026 PCI-027 PCI-028 PCI-031 PCI-032 PCI-033",
	  .fn = device_regions },
	{ .name = "device_region_caps", .rows = "PCI-029 PCI-030 PCI-039",
	  .fn = device_region_caps },
	{ .name = "device_irqs", .rows = "PCI-045 PCI-046 PCI-048 PCI-049 PCI-050 PCI-051",
	  .fn = device_irqs },
	{ .name = "device_config",
	  .rows = "PCI-012 PCI-188 PCI-191 PCI-192 PCI-207 PCI-218 "
	  "PCI-219 PCI-228", .fn = device_config },
	{ .name = "device_bar_sizing", .rows = "PCI-034 PCI-221", .fn = device_bar_sizing },
	{ .name = "device_memory_enable", .rows = "PCI-012 PCI-199 PCI-224",
	  .fn = device_memory_enable },
	{ .name = "device_access",
	  .rows = "PCI-188 PCI-189 PCI-193 PCI-195 PCI-196 PCI-201",
	  .fn = device_access },
	{ .name = "device_vectored", .rows = "PCI-192", .fn = device_vectored },
	{ .name = "device_computed_offset", .rows = "PCI-032 PCI-192",
	  .fn = device_computed_offset },
	{ .name = "device_mmap",
	  .rows = "PCI-250 PCI-252 PCI-253 PCI-254", .fn = device_mmap },
	{ .name = "device_bar_coherent",
	  .rows = "PCI-256 PCI-262", .fn = device_bar_coherent,
	  .needs = NEEDS_NVME },
	{ .name = "device_reset", .rows = "PCI-105 PCI-108", .fn = device_reset },
	{ .name = "device_hot_reset_info",
	  .rows = "PCI-109 PCI-110 PCI-111 PCI-112 PCI-116",
	  .fn = device_hot_reset_info },
	{ .name = "device_feature", .rows = "PCI-145 PCI-146 PCI-147 PCI-148 PCI-149",
	  .fn = device_feature },
	{ .name = "device_ioeventfd",
	  .rows = "PCI-130 PCI-131 PCI-133 PCI-139 PCI-140 PCI-141 "
	  "PCI-144", .fn = device_ioeventfd, .needs = NEEDS_EDU },
	{ .name = "edu_registers", .rows = "PCI-192", .fn = edu_registers,
	  .needs = NEEDS_EDU },
	{ .name = NULL },
};
