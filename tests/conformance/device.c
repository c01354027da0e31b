/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of the device file: information, reset, features, ioeventfds. */
#include "conf.h"

#define CONFIG VFIO_PCI_CONFIG_REGION_INDEX

static struct conf_files f;

static void device_info(void)
{
	/* Its size differs between programs and between headers. */
	union { struct vfio_device_info head; uint32_t words[6]; } u = {
		.words = { 24, ~0u, ~0u, ~0u, ~0u, ~0u } };
	struct vfio_device_info arg = { .argsz = 20 };
	struct conf_struct s = { .name = "GET_INFO", .cmd = VFIO_DEVICE_GET_INFO, .arg = &u,
		.len = 24, .min = 16 };

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	s.fd = f.device;
	conf_try_pointers("CG-001 PCI-016 PCI-020", &s);
	conf_try_argsz("CG-002 CG-003 CG-004 PCI-017 PCI-020 PCI-024", &s);
	conf_try_flags("PCI-020", &s);
	STEP("PCI-021", CALL(f.device, VFIO_DEVICE_GET_INFO, &arg), "GET_INFO");
	STEP("PCI-021", arg.flags, "flags");
	STEP("PCI-022", arg.num_regions, "regions");
	STEP("PCI-023", arg.num_irqs, "interrupts");
	STEP("PCI-024", arg.cap_offset, "first capability");
}

static void device_regions(void)
{
	static const uint32_t far[] = { 9, 10, 11, 16, 255, 256, 0x7fffffff, 0x80000000,
		0xffffffff };
	struct vfio_region_info arg = { .argsz = sizeof(arg), .index = CONFIG,
		.size = ~0ull, .offset = ~0ull };
	struct conf_struct s = { .name = "GET_REGION_INFO",
				 .cmd = VFIO_DEVICE_GET_REGION_INFO,
				 .arg = &arg,
				 .len = sizeof(arg),
				 .min = 32 };
	uint64_t first;

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	first = conf_offset(f.device, 0);
	s.fd = f.device;
	conf_try_pointers("CG-001 PCI-026", &s);
	conf_try_argsz("CG-002 CG-003 CG-004 PCI-027", &s);
	conf_try_flags("PCI-032", &s);
	for (uint32_t i = 0; i < 9; i++) {
		struct { struct vfio_region_info head; uint8_t chain[256]; } wide = {
			.head = { .argsz = sizeof(wide), .index = i, .cap_offset = 99 } };
		struct vfio_region_info info = { .argsz = sizeof(info), .index = i,
			.cap_offset = 99 };
		int64_t r = CALL(f.device, VFIO_DEVICE_GET_REGION_INFO, &info);
		struct vfio_info_cap_header *cap;

		conf_step("PCI-028 PCI-029 PCI-031 PCI-032 PCI-033 PCI-034 PCI-036 PCI-039 "
			  "PCI-042",
			  r,
			  conf_text("flags 0x%x size 0x%llx offset 0x%llx argsz %u cap %u",
				    info.flags, (unsigned long long)info.size,
				    (unsigned long long)(r ? 0 : info.offset - first),
				    info.argsz, info.cap_offset),
			  "region %u", i);
		r = CALL(f.device, VFIO_DEVICE_GET_REGION_INFO, &wide);
		cap = (void *)((char *)&wide + 32);
		conf_step("PCI-030 PCI-031 PCI-039", r,
			  wide.head.flags & VFIO_REGION_INFO_FLAG_CAPS
				  ? conf_text("cap at %u id %u version %u next %u",
					      wide.head.cap_offset, cap->id, cap->version,
					      cap->next)
				  : conf_text("cap at %u", wide.head.cap_offset),
			  "region %u with space for capabilities", i);
		arg.index = i;
		snprintf(s.name, sizeof(s.name), "GET_REGION_INFO of %u", i);
		conf_try_argsz("PCI-027 PCI-029 PCI-031", &s);
	}
	for (size_t i = 0; i < sizeof(far) / sizeof(*far); i++) {
		struct vfio_region_info info = { .argsz = sizeof(info),
						 .index = far[i],
						 .size = 7 };
		int64_t r = CALL(f.device, VFIO_DEVICE_GET_REGION_INFO, &info);

		conf_step("PCI-028", r,
			  conf_text("size %llu", (unsigned long long)info.size),
			  "region 0x%x", far[i]);
	}
}

static void device_irqs(void)
{
	static const uint32_t indexes[] = {
		0, 1, 2, 3, 4, 5, 6, 255, 0x80000000, 0xffffffff
	};
	struct vfio_irq_info arg = { .argsz = sizeof(arg), .index = VFIO_PCI_REQ_IRQ_INDEX,
		.count = ~0u };
	struct conf_struct s = { .name = "GET_IRQ_INFO", .cmd = VFIO_DEVICE_GET_IRQ_INFO,
		.arg = &arg, .len = sizeof(arg), .min = 16 };

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	s.fd = f.device;
	conf_try_pointers("CG-001 PCI-045", &s);
	conf_try_argsz("CG-002 CG-003 CG-004 PCI-046", &s);
	conf_try_flags("PCI-051", &s);
	for (size_t i = 0; i < sizeof(indexes) / sizeof(*indexes); i++) {
		struct vfio_irq_info info = { .argsz = sizeof(info), .index = indexes[i],
			.flags = 0x77, .count = 99 };
		int64_t r = CALL(f.device, VFIO_DEVICE_GET_IRQ_INFO, &info);

		conf_step("PCI-046 PCI-047 PCI-048 PCI-049 PCI-050 PCI-051", r,
			  conf_text("flags 0x%x count %u", info.flags, info.count),
			  "interrupt 0x%x", indexes[i]);
	}
}

/* PCI-001 PCI-004 PCI-005: RESET, BIND_IOMMUFD and others among them. */
static void device_numbers(void)
{
	f = conf_open(VFIO_TYPE1v2_IOMMU);
	conf_try_numbers("PCI-001 PCI-004 PCI-005 PCI-052 PCI-109 PCI-118 PCI-130 PCI-145",
			 "device", f.device);
}

/* What a RESET leaves as it was, and what not (PCI-108). */
static void device_reset(void)
{
	const uint64_t args[] = { 0, 1, conf_nowhere(), UINT64_MAX };
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int event = T->eventfd();

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	STEP("PCI-021", CALL(f.device, VFIO_DEVICE_GET_INFO, &info), "GET_INFO");
	for (size_t i = 0; i < sizeof(args) / sizeof(*args); i++)
		STEP("PCI-105 PCI-108", T->ioctl(f.device, VFIO_DEVICE_RESET, args[i]),
		     "RESET, argument %zu", i);
	conf_cfg_set(f.device, 0x10, 4, 0x12340000);
	conf_cfg_set(f.device, 0x3c, 1, 0x5a);
	conf_cfg_set(f.device, 4, 2, 0x406);
	STEP("PCI-108",
	     conf_set_irqs(f.device,
			   VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			   VFIO_PCI_REQ_IRQ_INDEX, 0, 1, &event, 4),
	     "REQ");
	STEP("PCI-105 PCI-108", T->ioctl(f.device, VFIO_DEVICE_RESET, 0), "RESET");
	STEP("PCI-108", conf_cfg(f.device, 0x12, 2), "upper half of BAR 0");
	STEP("PCI-108", conf_cfg(f.device, 0x3c, 1), "interrupt line");
	STEP("PCI-108", conf_cfg(f.device, 4, 2) & 0x407, "command");
	STEP("PCI-108", conf_set_irqs(f.device, VFIO_IRQ_SET_DATA_NONE |
		VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_PCI_REQ_IRQ_INDEX, 0, 1, NULL, 0),
	     "REQ is signalled by hand");
	STEP("PCI-108", T->event_take(event), "signals of REQ");
}

/* ---- hot reset ---- */

static void device_hot_reset_info(void)
{
	struct { struct vfio_pci_hot_reset_info head; uint32_t entry[2 * 8]; } arg = {
		.head.argsz = sizeof(arg) };
	struct conf_struct s = { .name = "GET_PCI_HOT_RESET_INFO",
		.cmd = VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, .arg = &arg, .len = sizeof(arg),
		.min = 12 };
	int64_t r;

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	s.fd = f.device;
	conf_try_pointers("CG-001 PCI-109 PCI-115", &s);
	conf_try_argsz("PCI-110 PCI-112", &s);
	conf_try_flags("PCI-116", &s);
	r = CALL(f.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &arg);
	conf_step("PCI-116", r,
		  conf_text("flags %u count %u", arg.head.flags, arg.head.count),
		  "GET_PCI_HOT_RESET_INFO");
	STEP("PCI-116", arg.entry[0] == (uint32_t)conf_where.group[0], "its group");
	STEP("PCI-116", arg.entry[1] >> 24, "its device and function");
}

static void device_hot_reset(void)
{
	struct { struct vfio_pci_hot_reset head; int32_t fds[32]; } arg;
	int other = T->other_file(), event = T->eventfd(), container = conf_container();
	int32_t good[4], kinds[] = { -1, -2, 1000000, other, event, container };
	struct conf_struct s = { .name = "PCI_HOT_RESET", .cmd = VFIO_DEVICE_PCI_HOT_RESET,
		.arg = &arg, .len = 12, .min = 12 };
	uint64_t page;

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	good[0] = f.group;
	s.fd = f.device;
	memset(&arg, 0, sizeof(arg));
	arg.head.argsz = 12;
	conf_try_pointers("CG-001 PCI-118 PCI-120", &s);
	conf_try_argsz("PCI-119 PCI-120", &s);
	conf_try_flags("PCI-119", &s);
	for (uint32_t count = 0; count < 40; count += count < 4 ? 1 : 7) {
		memset(arg.fds, 0xff, sizeof(arg.fds));
		arg.head.count = count;
		STEP("PCI-120 PCI-122 PCI-124",
		     CALL(f.device, VFIO_DEVICE_PCI_HOT_RESET, &arg), "%u fds of -1",
		     count);
	}
	arg.head.count = 0xffffffff;
	STEP("PCI-122", CALL(f.device, VFIO_DEVICE_PCI_HOT_RESET, &arg), "most fds");
	arg.head.count = 1;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		arg.fds[0] = kinds[i];
		STEP("PCI-124 PCI-125", CALL(f.device, VFIO_DEVICE_PCI_HOT_RESET, &arg),
		     "an fd of kind %zu", i);
	}
	arg.fds[0] = f.device;
	STEP("PCI-125", CALL(f.device, VFIO_DEVICE_PCI_HOT_RESET, &arg), "the device's fd");
	arg.fds[0] = good[0];
	arg.head.flags = 1;
	STEP("PCI-119", CALL(f.device, VFIO_DEVICE_PCI_HOT_RESET, &arg), "flags 1");
	arg.head.flags = 0;
	for (uint32_t argsz = 0; argsz < 20; argsz += 4) {
		arg.head.argsz = argsz;
		STEP("PCI-119 PCI-122 PCI-129",
		     CALL(f.device, VFIO_DEVICE_PCI_HOT_RESET, &arg),
		     "the group's fd, argsz %u", argsz);
	}
	page = T->memory(2);
	T->protect(page + PAGE, 1, RIGHTS_NONE);
	for (uint32_t count = 0; count < 40; count += count < 3 ? 1 : 12) {
		arg.head.argsz = 12;
		arg.head.count = count;
		memcpy(conf_at(page + PAGE - 12), &arg, 12);
		STEP("PCI-120 PCI-122 PCI-123",
		     T->ioctl(f.device, VFIO_DEVICE_PCI_HOT_RESET, page + PAGE - 12),
		     "%u fds that cannot be read", count);
	}
	arg.head.count = 1;
	if (conf_where.bdf[1]) {
		arg.fds[0] = conf_group(1);
		STEP("PCI-127", CALL(f.device, VFIO_DEVICE_PCI_HOT_RESET, &arg),
		     "another group's fd");
	}
}

/* ---- FEATURE ---- */

struct feature {
	uint32_t argsz, flags;
	uint8_t data[64];
};

static void device_feature_flags(void)
{
	static const uint32_t ops[] = { 0,
					VFIO_DEVICE_FEATURE_PROBE,
					VFIO_DEVICE_FEATURE_GET,
					VFIO_DEVICE_FEATURE_SET,
					VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET,
					VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET,
					VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET,
					VFIO_DEVICE_FEATURE_PROBE |
						VFIO_DEVICE_FEATURE_GET |
						VFIO_DEVICE_FEATURE_SET,
					VFIO_DEVICE_FEATURE_PROBE | 1 << 19,
					1u << 31,
					VFIO_DEVICE_FEATURE_GET | 1 << 20 };
	static const uint32_t ids[] = { 0, 1, 2, 3, 4, 5, 6,
					7, 8, 9, 10, 11, 12, 13,
					14, 100, 255, 256, 0x7fff, 0x8000, 0xffff };
	struct feature arg = { .argsz = 8, .flags = VFIO_DEVICE_FEATURE_PROBE | 3 };
	struct conf_struct s = { .name = "FEATURE", .cmd = VFIO_DEVICE_FEATURE, .arg = &arg,
		.len = 8, .min = 8 };

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	s.fd = f.device;
	conf_try_pointers("CG-001 PCI-145", &s);
	conf_try_argsz("PCI-146 PCI-151", &s);
	conf_try_flags("PCI-147 PCI-149 PCI-150", &s);
	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
		for (size_t j = 0; j < sizeof(ops) / sizeof(*ops); j++)
			for (uint32_t len = 0; len <= 64; len += 8 + len) {
				arg = (struct feature){ .argsz = 8 + len,
							.flags = ids[i] | ops[j] };
				memset(arg.data, 0xff, sizeof(arg.data));	/* no fd */
				STEP("PCI-147 PCI-148 PCI-149 PCI-150 PCI-151 PCI-152 "
				     "PCI-153 PCI-158 "
				     "PCI-160",
				     CALL(f.device, VFIO_DEVICE_FEATURE, &arg),
				     "feature %u with 0x%x and %u bytes", ids[i], ops[j],
				     len);
				/* Whatever low power it was brought to is left again. */
				arg.argsz = 8;
				arg.flags = VFIO_DEVICE_FEATURE_SET |
					VFIO_DEVICE_FEATURE_LOW_POWER_EXIT;
				CALL(f.device, VFIO_DEVICE_FEATURE, &arg);
			}
}

static int64_t feature_set(uint32_t id, int32_t event, uint32_t len)
{
	struct feature arg = { .argsz = 8 + len, .flags = VFIO_DEVICE_FEATURE_SET | id };

	memcpy(arg.data, &event, 4);
	return CALL(f.device, VFIO_DEVICE_FEATURE, &arg);
}

static void device_low_power(void)
{
	enum { ENTRY = VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
	       WAKE = VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
	       EXIT = VFIO_DEVICE_FEATURE_LOW_POWER_EXIT };
	int event = T->eventfd(), other = T->other_file();
	const int32_t kinds[] = { -1, -2, INT32_MIN, 1000000, other };

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	STEP("PCI-172", feature_set(EXIT, 0, 0), "EXIT at first");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		for (uint32_t len = 0; len <= 16; len += 4)
			STEP("PCI-153 PCI-170", feature_set(WAKE, kinds[i], len),
			     "WITH_WAKEUP of an fd of kind %zu in %u bytes", i, len);
	for (unsigned i = 0; i < 3; i++)
		STEP("PCI-158 PCI-169", feature_set(ENTRY, 0, 0), "ENTRY (%u)", i);
	STEP("PCI-169", feature_set(WAKE, event, 8), "WITH_WAKEUP after ENTRY");
	STEP("PCI-171", conf_cfg(f.device, 0xe, 1) & 0x7f, "a read in low power");
	STEP("PCI-172", feature_set(EXIT, 0, 0), "EXIT");
	STEP("PCI-172", feature_set(EXIT, 0, 0), "EXIT again");
	STEP("PCI-159 PCI-170", feature_set(WAKE, event, 8), "WITH_WAKEUP");
	STEP("PCI-172", feature_set(EXIT, 0, 0), "EXIT after WITH_WAKEUP");
	STEP("PCI-159", feature_set(WAKE, event, 8), "WITH_WAKEUP again");
	STEP("PCI-172", feature_set(EXIT, 0, 0), "EXIT after it");
}

/* ---- IOEVENTFD ---- */

static int64_t ioeventfd(uint32_t flags, uint64_t offset, uint64_t data, int fd)
{
	struct vfio_device_ioeventfd arg = { .argsz = sizeof(arg), .flags = flags,
		.offset = offset, .data = data, .fd = fd };

	return CALL(f.device, VFIO_DEVICE_IOEVENTFD, &arg);
}

static void device_ioeventfd(void)
{
	static const uint64_t places[] = { 0,
					   1,
					   2,
					   4,
					   6,
					   8,
					   0x1000,
					   0x1ffc,
					   0x2000,
					   0x3ffc,
					   0xffff8,
					   0xffffc,
					   0xffffe,
					   0xfffff,
					   0x100000,
					   1ull << 39,
					   (1ull << 40) - 4 };
	int event = T->eventfd(), other = T->other_file();
	union { struct vfio_device_ioeventfd head; uint8_t space[32]; } arg = {
		.head = { .argsz = 32, .flags = 4, .fd = -1 } };
	struct conf_struct s = { .name = "IOEVENTFD",
				 .cmd = VFIO_DEVICE_IOEVENTFD,
				 .arg = &arg,
				 .len = 32,
				 .min = 28 };
	uint64_t bar;

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	bar = conf_offset(f.device, 0);
	arg.head.offset = bar;
	s.fd = f.device;
	conf_try_pointers("CG-001 PCI-130 PCI-141", &s);
	conf_try_argsz("PCI-131 PCI-141", &s);
	conf_try_flags("PCI-132 PCI-133 PCI-137", &s);
	for (uint32_t flags = 0; flags < 32; flags++)
		STEP("PCI-132 PCI-133 PCI-141", ioeventfd(flags, bar, 0, -1),
		     "flags %u, fd -1", flags);
	for (uint32_t width = 1; width <= 8; width *= 2)
		for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
			uint64_t at = bar + places[i];

			STEP("PCI-134 PCI-135 PCI-136 PCI-137 PCI-144",
			     ioeventfd(width, at, 1, event), "%u bytes at 0x%llx", width,
			     (unsigned long long)places[i]);
			STEP("PCI-140", ioeventfd(width, at, 1, event),
			     "again %u bytes at 0x%llx", width,
			     (unsigned long long)places[i]);
			STEP("PCI-141", ioeventfd(width, at, 2, -1),
			     "other data away, %u bytes at 0x%llx", width,
			     (unsigned long long)places[i]);
			STEP("PCI-139", ioeventfd(width, at, 1, -1),
			     "away, %u bytes at 0x%llx", width,
			     (unsigned long long)places[i]);
			STEP("PCI-141", ioeventfd(width, at, 1, -1),
			     "away again, %u bytes at 0x%llx", width,
			     (unsigned long long)places[i]);
		}
	for (uint32_t region = 0; region < 12; region++)
		STEP("PCI-134 PCI-135",
		     ioeventfd(4, bar + ((uint64_t)region << 40), 1, event),
		     "at the begin of region %u", region);
	ioeventfd(4, bar, 1, -1);
	/* Not offsets with bit 63: kernels up to 6.12 at least take those for a region
	 * before the first, and write to what they find there. */
	STEP("PCI-134", ioeventfd(4, INT64_MAX - 3, 1, event), "at the last bytes");
	STEP("PCI-133", ioeventfd(4, bar, 1, -2), "fd -2");
	STEP("PCI-133", ioeventfd(4, bar, 1, INT32_MIN), "the smallest fd");
	STEP("PCI-143", ioeventfd(4, bar, 1, 1000000), "an fd that is not open");
	STEP("PCI-143", ioeventfd(4, bar, 1, other), "a file that is no eventfd");
	STEP("PCI-143", ioeventfd(4, bar, 1, f.group), "a group");
}

/* How many there can be (PCI-142). */
static void device_ioeventfd_many(void)
{
	int event = T->eventfd();
	unsigned n = 0;
	int64_t r = 0;
	uint64_t bar;

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	bar = conf_offset(f.device, 0);
	while (n < 2000 && !(r = ioeventfd(4, bar, n, event)))
		n++;
	STEP("PCI-142", r, "one more than can be");
	STEP("PCI-142", n, "how many there were");
	STEP("PCI-140", ioeventfd(4, bar, 5, event), "one that exists, when full");
	STEP("PCI-139", ioeventfd(4, bar, 5, -1), "one less");
	STEP("PCI-144", ioeventfd(4, bar, n, event), "one more, then");
}

const struct conf_case cases_device[] = {
	CASE(device_info, "PCI-016 to PCI-024"),
	CASE(device_regions, "PCI-026 to PCI-042"),
	CASE(device_irqs, "PCI-045 to PCI-051"),
	CASE(device_numbers, "PCI-001 PCI-004 PCI-005"),
	CASE(device_reset, "PCI-105 PCI-108"),
	CASE(device_hot_reset_info, "PCI-109 to PCI-116"),
	CASE(device_hot_reset, "PCI-118 to PCI-129"),
	CASE(device_feature_flags, "PCI-145 to PCI-154 PCI-158 to PCI-160 PCI-167",
	     .needs = MANY_STEPS),
	CASE(device_low_power, "PCI-158 to PCI-160 PCI-169 to PCI-172"),
	CASE(device_ioeventfd, "PCI-130 to PCI-144"),
	CASE(device_ioeventfd_many, "PCI-142", .needs = MANY_STEPS),
	{ .name = NULL },
};
