/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a client does all day, and what is tried on every ioctl. */
#include "conf.h"

#include <sys/ioctl.h>

#define SCRATCH 4		/* pages for structs */

static uint64_t scratch(void)
{
	static uint64_t addr;

	if (!addr)
		addr = T->memory(SCRATCH);
	return addr;
}

uint64_t conf_nowhere(void)
{
	static uint64_t addr;

	if (!addr) {
		addr = T->memory(1);
		T->protect(addr, 1, RIGHTS_NONE);
	}
	return addr;
}

int64_t conf_fd(int64_t result)
{
	if (result < 0)
		return result;
	T->close((int)result);
	return 0;
}

int64_t conf_call(int fd, unsigned long cmd, void *arg, size_t len)
{
	uint64_t addr = scratch();
	int64_t r;

	memcpy(conf_at(addr), arg, len);
	r = T->ioctl(fd, cmd, addr);
	memcpy(arg, conf_at(addr), len);
	return r;
}

int conf_container(void)
{
	int fd = T->open_container();

	if (fd < 0)
		conf_abort("open of a container", fd);
	return fd;
}

int conf_group(unsigned which)
{
	int fd = T->open_group(which);

	if (fd < 0)
		conf_abort("open of a group", fd);
	return fd;
}

int64_t conf_attach(int group, int container)
{
	int32_t fd = container;

	return CALL(group, VFIO_GROUP_SET_CONTAINER, &fd);
}

int conf_get_device(int group, const char *name)
{
	char arg[64] = "";

	snprintf(arg, sizeof(arg), "%s", name);
	return (int)CALL(group, VFIO_GROUP_GET_DEVICE_FD, &arg);
}

struct conf_files conf_open(int type)
{
	struct conf_files f = { .container = conf_container(), .group = conf_group(0) };
	int64_t r = conf_attach(f.group, f.container);

	if (!r)
		r = T->ioctl(f.container, VFIO_SET_IOMMU, (uint64_t)type);
	if (!r)
		r = f.device = conf_get_device(f.group, conf_where.bdf[0]);
	if (r < 0)
		conf_abort("opening", r);
	return f;
}

void conf_close(struct conf_files *files)
{
	T->close(files->device);
	T->close(files->group);
	T->close(files->container);
}

int64_t conf_map(int container, uint32_t flags, uint64_t vaddr, uint64_t iova,
		 uint64_t size)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = flags,
		.vaddr = vaddr, .iova = iova, .size = size };

	return CALL(container, VFIO_IOMMU_MAP_DMA, &map);
}

int64_t conf_unmap(int container, uint32_t flags, uint64_t iova, uint64_t size,
		   uint64_t *ret_size)
{
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .flags = flags,
		.iova = iova, .size = size };
	int64_t r = CALL(container, VFIO_IOMMU_UNMAP_DMA, &unmap);

	if (ret_size)
		*ret_size = unmap.size;
	return r;
}

int64_t conf_region(int device, uint32_t index, struct vfio_region_info *ret)
{
	*ret = (struct vfio_region_info){ .argsz = sizeof(*ret), .index = index };
	return CALL(device, VFIO_DEVICE_GET_REGION_INFO, ret);
}

int64_t conf_irq(int device, uint32_t index, struct vfio_irq_info *ret)
{
	*ret = (struct vfio_irq_info){ .argsz = sizeof(*ret), .index = index };
	return CALL(device, VFIO_DEVICE_GET_IRQ_INFO, ret);
}

int64_t conf_set_irqs(int device, uint32_t flags, uint32_t index, uint32_t start,
		      uint32_t count, const void *data, size_t len)
{
	char space[PAGE] = "";
	struct vfio_irq_set *set = (void *)space;

	if (sizeof(*set) + len > sizeof(space))
		conf_abort("too much data for SET_IRQS", (int64_t)len);
	*set = (struct vfio_irq_set){ .argsz = (uint32_t)(sizeof(*set) + len),
		.flags = flags, .index = index, .start = start, .count = count };
	if (len)
		memcpy(space + sizeof(*set), data, len);
	return conf_call(device, VFIO_DEVICE_SET_IRQS, space, sizeof(*set) + len);
}

uint64_t conf_offset(int device, uint32_t index)
{
	struct vfio_region_info info;
	int64_t r = conf_region(device, index, &info);

	if (r < 0)
		conf_abort("GET_REGION_INFO", r);
	return info.offset;
}

uint32_t conf_cfg(int device, unsigned at, unsigned len)
{
	uint64_t addr = scratch(),
		 pos = conf_offset(device, VFIO_PCI_CONFIG_REGION_INDEX) + at;
	uint32_t value = 0;
	int64_t r = T->pread(device, addr, len, pos);

	if (r != len)
		conf_abort("a read of config space", r);
	memcpy(&value, conf_at(addr), len);
	return value;
}

int64_t conf_cfg_set(int device, unsigned at, unsigned len, uint32_t value)
{
	uint64_t addr = scratch(),
		 pos = conf_offset(device, VFIO_PCI_CONFIG_REGION_INDEX) + at;

	memcpy(conf_at(addr), &value, len);
	return T->pwrite(device, addr, len, pos);
}

unsigned conf_cap(int device, uint8_t id)
{
	unsigned at = conf_cfg(device, 0x34, 1);

	for (unsigned n = 0; at >= 0x40 && n < 48; n++) {
		if (conf_cfg(device, at, 1) == id)
			return at;
		at = conf_cfg(device, at + 1, 1) & 0xfc;
	}
	return 0;
}

/* ---- pointers ---- */

static int64_t try_at(const struct conf_struct *s, uint64_t addr)
{
	int64_t r = T->ioctl(s->fd, s->cmd, addr);

	if (r >= 0 && s->undo)
		s->undo();
	return r;
}

/* The first @n bytes of the struct end where nothing can be read. */
static int64_t try_end(const struct conf_struct *s, size_t n)
{
	static uint64_t pages;
	uint64_t addr;

	if (!pages) {
		pages = T->memory(3);
		T->protect(pages + 2 * PAGE, 1, RIGHTS_NONE);
	}
	addr = pages + 2 * PAGE - n;
	memcpy(conf_at(addr), s->arg, n);
	return try_at(s, addr);
}

void conf_try_pointers(const char *rows, const struct conf_struct *s)
{
	static const struct { const char *name; uint64_t addr; } bad[] = {
		{ "NULL", 0 }, { "8", 8 }, { "the last byte", UINT64_MAX },
		{ "the kernel's half", 0xffff888000000000 },
	};
	uint64_t addr = T->memory(1);
	uint32_t argsz = (uint32_t)s->min;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		STEP(rows, try_at(s, bad[i].addr), "%s at %s", s->name, bad[i].name);
	STEP(rows, try_at(s, conf_nowhere()), "%s where nothing may be read", s->name);
	for (size_t n = 1; n < s->min; n += n < 8 ? 3 : 4)
		STEP(rows, try_end(s, n), "%s with %zu bytes readable", s->name, n);
	STEP(rows, try_end(s, s->min - 1), "%s with all bytes but one readable", s->name);
	memcpy(conf_at(addr), s->arg, s->len);
	T->protect(addr, 1, RIGHTS_READ);
	STEP(rows, try_at(s, addr), "%s that cannot be written", s->name);
	T->protect(addr, 1, RIGHTS_BOTH);
	if (!s->no_argsz) {
		memcpy(conf_at(addr), &argsz, sizeof(argsz));
		T->protect(addr, 1, RIGHTS_READ);
		STEP(rows, try_at(s, addr),
		     "%s of the smallest size that cannot be written", s->name);
		T->protect(addr, 1, RIGHTS_BOTH);
	}
	memcpy((char *)conf_at(addr) + 1, s->arg, s->len);
	STEP(rows, try_at(s, addr + 1), "%s at an odd address", s->name);
}

/* ---- argsz ---- */

/* The struct is followed by a pattern, so that it can be said what was written. */
void conf_try_argsz(const char *rows, const struct conf_struct *s)
{
	const uint32_t min = (uint32_t)s->min, len = (uint32_t)s->len;
	const uint32_t sizes[] = { 0, 1, 4, 7, 8,
				   min - 4, min - 1, min, min + 1, min + 4,
				   len - 1, len, len + 1, len + 8, len + 16,
				   64, 256, PAGE, 0x10000, 0x7fffffff,
				   0x80000000, 0xffffffff };
	uint64_t addr = T->memory(2);
	uint8_t *p = conf_at(addr), before[2 * PAGE];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		size_t end = sizeof(before), known = i;
		uint32_t argsz;
		int64_t r;

		while (known-- && sizes[known] != sizes[i])
			;
		if (known < i)
			continue;		/* tried already */
		memset(p, 0xa5, sizeof(before));
		memcpy(p, s->arg, s->len);
		memcpy(p, &sizes[i], 4);
		memcpy(before, p, sizeof(before));
		r = T->ioctl(s->fd, s->cmd, addr);
		while (end && p[end - 1] == before[end - 1])
			end--;
		memcpy(&argsz, p, 4);
		if (r >= 0 && s->undo)
			s->undo();
		conf_step(rows, r, argsz == sizes[i] ? conf_text("written %zu", end) :
			  conf_text("written %zu, argsz %u", end, argsz), "%s of argsz %u",
			  s->name, sizes[i]);
	}
}

void conf_try_flags(const char *rows, const struct conf_struct *s)
{
	static const uint32_t more[] = { 0xffffffff, 0xfffffff0, 0x55555555, 0xaaaaaaaa };
	uint64_t addr = T->memory(1);
	uint32_t flags, given;

	memcpy(&given, (const char *)s->arg + 4, 4);
	for (unsigned i = 0; i < 32 + sizeof(more) / sizeof(*more); i++) {
		flags = i < 32 ? given | 1u << i : more[i - 32];
		if (i < 32 && s->known_flags & 1u << i)
			continue;
		memcpy(conf_at(addr), s->arg, s->len);
		memcpy((char *)conf_at(addr) + 4, &flags, 4);
		STEP(rows, try_at(s, addr), "%s of flags 0x%x", s->name, flags);
	}
}

/* ---- numbers ---- */

#define FIRST_IOCTL 100		/* VFIO_BASE */
#define LAST_IOCTL 124

void conf_try_numbers(const char *rows, const char *what, int fd)
{
	const unsigned long foreign[] = { _IO(VFIO_TYPE, 0), _IO(VFIO_TYPE, 99),
		_IO(VFIO_TYPE, 199), _IO(VFIO_TYPE, 255), _IO(':', 103), _IO('<', 103),
		_IOR(VFIO_TYPE, 100, int), _IOW(VFIO_TYPE, 104, int),
		_IOWR(VFIO_TYPE, 112, uint64_t), 0x54ff, ~0ul };
	uint32_t argsz = 256;
	int32_t no_fd = -1;

	for (unsigned nr = FIRST_IOCTL; nr <= LAST_IOCTL; nr++) {
		unsigned long cmd = _IO(VFIO_TYPE, nr);
		char buf[256] = "";
		int64_t none = T->ioctl(fd, cmd, 0), zero, sized;

		/* Zero would be an fd, which is whatever this program was started with. */
		if (cmd == VFIO_GROUP_SET_CONTAINER)
			memcpy(buf, &no_fd, sizeof(no_fd));
		zero = CALL(fd, cmd, &buf);
		memset(buf, 0, sizeof(buf));
		memcpy(buf, &argsz, sizeof(argsz));
		sized = CALL(fd, cmd, &buf);
		STEP(rows, none, "%s: ioctl %u without an argument", what, nr);
		STEP(rows, zero, "%s: ioctl %u with zeroes", what, nr);
		STEP(rows, sized, "%s: ioctl %u with argsz alone", what, nr);
	}
	for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++)
		STEP(rows, T->ioctl(fd, foreign[i], conf_nowhere()), "%s: ioctl 0x%x", what,
		     (unsigned)foreign[i]);
}
