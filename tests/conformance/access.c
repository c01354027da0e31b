/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of the device file: read, write and mmap of its regions. */
#include "conf.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define CONFIG VFIO_PCI_CONFIG_REGION_INDEX

static struct conf_files f;
static uint64_t memory;

static int64_t or_errno(int64_t r)
{
	return r < 0 ? -errno : r;
}

/* Every region: before, about, and behind its end (PCI-188 to PCI-196). */
static void access_ends(void)
{
	static const size_t lengths[] = { 0, 1, 2, 3, 4, 8, 16, 64 };
	static const int64_t about[] = { -64, -16, -8, -4, -1, 0, 1, 4, PAGE };

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	memory = T->memory(1);
	for (uint32_t region = 0; region < 12; region++) {
		struct vfio_region_info info = { 0 };
		uint64_t begin = conf_offset(f.device, 0) + ((uint64_t)region << 40);

		conf_region(f.device, region, &info);
		for (size_t i = 0; i < sizeof(about) / sizeof(*about); i++) {
			if ((int64_t)info.size + about[i] < 0)
				continue;
			for (size_t j = 0; j < sizeof(lengths) / sizeof(*lengths); j++)
				STEP("PCI-188 PCI-189 PCI-191 PCI-192 PCI-194 PCI-195 "
				     "PCI-196 PCI-201",
				     T->pread(f.device, memory, lengths[j],
					      begin + info.size + (uint64_t)about[i]),
				     "region %u: read %zu at its end%+lld", region,
				     lengths[j], (long long)about[i]);
			/* Writes beyond the end alone: what is inside means something. */
			if (about[i] < 0 && region != CONFIG)
				continue;
			for (size_t j = 0; j < sizeof(lengths) / sizeof(*lengths); j++)
				if (about[i] >= 0 || (size_t)-about[i] < lengths[j])
					STEP("PCI-188 PCI-189 PCI-191 PCI-193 PCI-194 "
					     "PCI-195",
					     T->pwrite(f.device, memory, lengths[j],
						       begin + info.size +
							       (uint64_t)about[i]),
					     "region %u: write %zu at its end%+lld", region,
					     lengths[j], (long long)about[i]);
		}
		STEP("PCI-189 PCI-191 PCI-195",
		     T->pread(f.device, memory, 4, begin + (1ull << 40) - 4),
		     "region %u: read at the last bytes", region);
	}
	STEP("PCI-189", T->pread(f.device, memory, 4, (uint64_t)INT64_MAX - 3),
	     "read far away");
	STEP("PCI-189", T->pread(f.device, memory, 0, (uint64_t)INT64_MAX),
	     "read 0 far away");
}

/* A buffer that cannot be reached (PCI-199). */
static void access_buffers(void)
{
	uint64_t config, bar;
	const struct { const char *name; uint64_t addr;
	} bad[] = {
		{ "NULL", 0 },
		{ "nowhere", conf_nowhere() },
		{ "the last byte", UINT64_MAX },
	};

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	config = conf_offset(f.device, CONFIG);
	bar = conf_offset(f.device, 0);
	for (unsigned on = 0; on < 2; on++) {
		conf_cfg_set(f.device, 4, 2, on ? 2 : 0);
		for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
			for (size_t n = 0; n <= 8; n += 4) {
				STEP("PCI-188 PCI-192",
				     T->pread(f.device, bad[i].addr, n, config),
				     "memory %u: config to %s, %zu", on, bad[i].name, n);
				STEP("PCI-188 PCI-192",
				     T->pwrite(f.device, bad[i].addr, n, config),
				     "memory %u: config from %s, %zu", on, bad[i].name, n);
				STEP("PCI-188 PCI-199",
				     T->pread(f.device, bad[i].addr, n, bar),
				     "memory %u: BAR 0 to %s, %zu", on, bad[i].name, n);
				STEP("PCI-188 PCI-199",
				     T->pwrite(f.device, bad[i].addr, n, bar),
				     "memory %u: BAR 0 from %s, %zu", on, bad[i].name, n);
			}
	}
}

/* Where the memory-enable bit matters (PCI-199 PCI-224). */
static void access_memory_enable(void)
{
	static const struct { unsigned at, len; uint32_t value;
	} writes[] = {
		{ 4, 2, 0 },          { 4, 2, 2 },      { 4, 1, 0 }, { 4, 1, 2 },
		{ 5, 1, 0 },          { 4, 2, 4 },      { 5, 1, 2 }, { 4, 4, 2 },
		{ 4, 4, 0xffff0000 }, { 4, 2, 0xffff }, { 4, 2, 1 }, { 4, 2, 2 },
	};
	uint64_t bar;

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	memory = T->memory(1);
	bar = conf_offset(f.device, 0);
	STEP("PCI-012", conf_cfg(f.device, 4, 2) & 0x406, "command at first");
	for (size_t i = 0; i < sizeof(writes) / sizeof(*writes); i++) {
		STEP("PCI-208",
		     conf_cfg_set(f.device, writes[i].at, writes[i].len, writes[i].value),
		     "write 0x%x to 0x%x, %u bytes", writes[i].value, writes[i].at,
		     writes[i].len);
		STEP("PCI-208", conf_cfg(f.device, 4, 2) & 0x407, "command (%zu)", i);
		STEP("PCI-199 PCI-224", T->pread(f.device, memory, 4, bar), "BAR 0 (%zu)",
		     i);
		STEP("PCI-194", T->pread(f.device, memory, 4, bar + (5ull << 40)),
		     "BAR 5 (%zu)", i);
		STEP("PCI-192",
		     T->pread(f.device, memory, 4, conf_offset(f.device, CONFIG)),
		     "config (%zu)", i);
	}
}

/* The file itself (PCI-006 to PCI-008 PCI-248). */
static void access_file(void)
{
	struct pollfd p = { .events = POLLIN | POLLOUT };
	struct epoll_event event = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	char bytes[8];
	struct iovec iov[2] = { { bytes, 4 }, { bytes + 4, 4 } };
	uint64_t config;

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	config = conf_offset(f.device, CONFIG);
	p.fd = f.device;
	STEP("PCI-008", or_errno(poll(&p, 1, 0)), "poll");
	STEP("PCI-008", p.revents, "events of poll");
	STEP("PCI-008", or_errno(epoll_ctl(ep, EPOLL_CTL_ADD, f.device, &event)),
	     "epoll_ctl");
	for (int whence = SEEK_SET; whence <= SEEK_END; whence++)
		STEP("PCI-006", or_errno(lseek(f.device, 0, whence)),
		     "lseek with whence %d", whence);
	STEP("PCI-006", or_errno(lseek(f.device, (off_t)config, SEEK_SET)),
	     "lseek to config");
	STEP("PCI-192", or_errno(preadv(f.device, iov, 2, (off_t)config)),
	     "preadv of config");
	STEP("PCI-189", or_errno(pread(f.device, bytes, 4, -1)), "pread at -1");
	STEP("PCI-007", or_errno(read(f.device, bytes, 0)), "read 0");
	STEP("PCI-007", or_errno(read(f.device, bytes, 4)), "read 4");
	STEP("CG-013", or_errno(fsync(f.device)), "fsync");
	STEP("CG-014", or_errno(fallocate(f.device, 0, 0, 1)), "fallocate");
	STEP("CG-014", or_errno(ftruncate(f.device, 0)), "ftruncate");
	close(ep);
}

/* ---- mmap ---- */

static int64_t try_mmap(uint64_t pos, size_t len, int prot, int flags)
{
	void *p = mmap(NULL, len, prot, flags, f.device, (off_t)pos);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, len);
	return 0;
}

static void access_mmap(void)
{
	uint64_t first;

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	first = conf_offset(f.device, 0);
	for (uint32_t region = 0; region < 11; region++) {
		uint64_t begin = first + ((uint64_t)region << 40), size;
		struct vfio_region_info info = { 0 };

		conf_region(f.device, region, &info);
		size = info.size ? info.size : PAGE;
		for (int prot = PROT_NONE; prot <= (PROT_READ | PROT_WRITE); prot++)
			STEP("PCI-249 PCI-252 PCI-253 PCI-256",
			     try_mmap(begin, size, prot, MAP_SHARED),
			     "region %u: all of it, protection %d", region, prot);
		STEP("PCI-250", try_mmap(begin, size, PROT_READ, MAP_PRIVATE),
		     "region %u: private", region);
		STEP("PCI-254", try_mmap(begin, size + PAGE, PROT_READ, MAP_SHARED),
		     "region %u: a page more", region);
		STEP("PCI-254", try_mmap(begin + size, PAGE, PROT_READ, MAP_SHARED),
		     "region %u: behind it", region);
		STEP("PCI-254", try_mmap(begin + size - PAGE, PAGE, PROT_READ, MAP_SHARED),
		     "region %u: the last page", region);
		STEP("PCI-254", try_mmap(begin, 1, PROT_READ, MAP_SHARED),
		     "region %u: one byte", region);
		STEP("PCI-254",
		     try_mmap(begin + (1ull << 40) - PAGE, PAGE, PROT_READ, MAP_SHARED),
		     "region %u: the last page before the next", region);
	}
	conf_cfg_set(f.device, 4, 2, 0);
	STEP("PCI-256", try_mmap(first, PAGE, PROT_READ, MAP_SHARED),
	     "BAR 0, memory disabled");
}

static sigjmp_buf bus_jump;

static void on_bus(int sig)
{
	siglongjmp(bus_jump, 1);
}

/* Whether a mapped page can be read: 0, or -EFAULT for SIGBUS. */
static int64_t touch(const volatile uint32_t *p)
{
	if (sigsetjmp(bus_jump, 1))
		return -EFAULT;
	(void)*p;
	return 0;
}

static void access_mapping(void)
{
	size_t len = PAGE;
	void *p, *more;

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f.device,
		 (off_t)conf_offset(f.device, 0));
	if (p == MAP_FAILED)
		conf_skip("BAR 0 cannot be mapped");
	signal(SIGBUS, on_bus);
	STEP("PCI-256", touch(p), "touch");
	conf_cfg_set(f.device, 4, 2, 0);
	STEP("PCI-257 PCI-258", touch(p), "touch, memory disabled");
	conf_cfg_set(f.device, 4, 2, 2);
	STEP("PCI-257", touch(p), "touch, memory enabled again");
	STEP("PCI-108", T->ioctl(f.device, VFIO_DEVICE_RESET, 0), "RESET");
	STEP("PCI-108 PCI-258", touch(p), "touch after RESET");
	more = mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
	STEP("PCI-259", more == MAP_FAILED ? -errno : 0, "mremap to two pages");
	if (more != MAP_FAILED) {
		p = more;
		len = 2 * PAGE;
	}
	T->close(f.device);
	STEP("PCI-262", T->ioctl(f.group, VFIO_GROUP_UNSET_CONTAINER, 0),
	     "UNSET, still mapped");
	STEP("PCI-262", touch(p), "touch, fd closed");
	munmap(p, len);
	STEP("PCI-262", T->ioctl(f.group, VFIO_GROUP_UNSET_CONTAINER, 0),
	     "UNSET, unmapped");
}

/* The MSI-X table is not there for clients, the pending bits are (PCI-204). */
static void access_msix_table(void)
{
	uint8_t *bytes;
	uint32_t table;
	uint64_t place;
	unsigned at;

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	memory = T->memory(1);
	bytes = conf_at(memory);
	at = conf_cap(f.device, 0x11);
	if (!at)
		conf_skip("no MSI-X");
	table = conf_cfg(f.device, at + 4, 4);
	place = conf_offset(f.device, table & 7) + (table & ~7u);
	for (size_t len = 1; len <= 64; len *= 2)
		for (unsigned written = 0; written < 2; written++) {
			memset(bytes, 0x11, 64);
			STEP("PCI-204", T->pread(f.device, memory, len, place),
			     "read %zu, written %u", len, written);
			STEP("PCI-204", bytes[0] << 8 | bytes[len - 1],
			     "first and last of %zu, written %u", len, written);
			memset(bytes, 0x22, 64);
			STEP("PCI-204", T->pwrite(f.device, memory, len, place),
			     "write %zu, written %u", len, written);
		}
}

static void access_msix_page(void)
{
	uint32_t table;
	unsigned at;

	f = conf_open(VFIO_TYPE1v2_IOMMU);
	at = conf_cap(f.device, 0x11);
	if (!at)
		conf_skip("no MSI-X");
	table = conf_cfg(f.device, at + 4, 4);
	STEP("PCI-260", try_mmap(conf_offset(f.device, table & 7) + table / PAGE * PAGE, PAGE,
				 PROT_READ, MAP_SHARED), "mmap of the table's page");
}

const struct conf_case cases_access[] = {
	CASE(access_ends, "PCI-188 to PCI-196", .needs = MANY_STEPS),
	CASE(access_msix_table, "PCI-204"),
	CASE(access_msix_page, "PCI-260", .needs = NEEDS_SYSCALLS),
	CASE(access_buffers, "PCI-188 PCI-192 PCI-199"),
	CASE(access_memory_enable, "PCI-012 PCI-199 PCI-208 PCI-224"),
	CASE(access_file, "PCI-006 to PCI-008", .needs = NEEDS_SYSCALLS),
	CASE(access_mmap, "PCI-249 to PCI-256", .needs = NEEDS_SYSCALLS),
	CASE(access_mapping, "PCI-256 to PCI-259 PCI-262", .needs = NEEDS_SYSCALLS),
	{ .name = NULL },
};
