/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Regions: what they are, and read, write and mmap of them (sections 4, 11 and 13).
 *
 * Bytes travel in the client's order, which is the bus's: little-endian. A model gets and
 * gives numbers, so they are turned round where a model is called, and nowhere else.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include <core/device_priv.h>
#include <util/range.h>

_Static_assert(VFIO_PCI_ROM_REGION_INDEX == CFG_ROM, "regions 0 to 6 are indices of bars[]");

#define NO_REGION(index) ((index) >= DEVICE_REGIONS)

static unsigned index_of(uint64_t pos)
{
	uint64_t index = pos >> REGION_SHIFT;

	return NO_REGION(index) ? DEVICE_REGIONS : (unsigned)index;
}

/* ---- what is where ---- */

bool region_msix_table(const struct device *device, unsigned bar, struct cused_range *ret)
{
	uint64_t n = device->pci.msix.vectors, at = device->pci.msix.table_offset;

	if (!n || device->pci.msix.table_bar != bar)
		return false;
	*ret = (struct cused_range){ at, at + n * 16 - 1 };
	return true;
}

static bool msix_pba(const struct device *device, unsigned bar, struct cused_range *ret)
{
	uint64_t n = device->pci.msix.vectors, at = device->pci.msix.pba_offset;

	if (!n || device->pci.msix.pba_bar != bar)
		return false;
	*ret = (struct cused_range){ at, at + (n + 63) / 64 * 8 - 1 };
	return true;
}

static bool in_memory_page(const struct cused_bar *bar, uint64_t off)
{
	for (unsigned i = 0; i < bar->n_areas; i++)
		if (range_has(bar->areas[i], off))
			return true;
	return false;
}

static bool covers_whole(const struct cused_bar *bar)
{
	uint64_t next = 0;

	for (unsigned i = 0; i < bar->n_areas; i++) {
		if (bar->areas[i].first != next)
			return false;
		next = bar->areas[i].last + 1;
	}
	return next == bar->size;
}

static void bar_info(const struct device *device, unsigned i, struct region_info *ret)
{
	const struct cused_bar *bar = &device->pci.bars[i];

	ret->size = bar->size;
	if (!bar->size)						/* PCI-034 */
		return;
	ret->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	if (!bar->n_areas || device->no_mmap)		/* PCI-035, PCI-038 */
		return;
	ret->flags |= VFIO_REGION_INFO_FLAG_MMAP;		/* PCI-036, PCI-037 */
	ret->msix_mappable = device->pci.msix.vectors &&	/* PCI-039 */
			     device->pci.msix.table_bar == i;
	if (covers_whole(bar))
		return;
	ret->n_areas = bar->n_areas;
	memcpy(ret->areas, bar->areas, sizeof(ret->areas));
}

int device_get_region_info(struct device_file *file, uint32_t index,
			   struct region_info *ret)
{
	struct device *device = file->device;
	struct region_info info = { 0 };

	device_wake(device);
	if (NO_REGION(index) || index == VFIO_PCI_VGA_REGION_INDEX)	/* PCI-028 */
		return -EINVAL;
	info.offset = device->offset_base + ((uint64_t)index << REGION_SHIFT);
	if (index == VFIO_PCI_CONFIG_REGION_INDEX) {		/* PCI-033 */
		info.size = device->config_size;
		info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	} else if (index == VFIO_PCI_ROM_REGION_INDEX) {	/* PCI-040, PCI-042 */
		info.size = device->bars[CFG_ROM].size;
		info.flags = info.size ? VFIO_REGION_INFO_FLAG_READ : 0;
	} else {
		bar_info(device, index, &info);
	}
	*ret = info;
	return 0;
}

/* ---- BARs ---- */

/* One naturally aligned unit. PCI-203 */
static uint64_t memory_load(const uint8_t *p, unsigned len)
{
	switch (len) {
	case 8:
		return le64toh(__atomic_load_n((const uint64_t *)p, __ATOMIC_ACQUIRE));
	case 4:
		return le32toh(__atomic_load_n((const uint32_t *)p, __ATOMIC_ACQUIRE));
	case 2:
		return le16toh(__atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE));
	default:
		return __atomic_load_n(p, __ATOMIC_ACQUIRE);
	}
}

static void memory_store(uint8_t *p, unsigned len, uint64_t v)
{
	switch (len) {
	case 8:
		__atomic_store_n((uint64_t *)p, htole64(v), __ATOMIC_RELEASE);
		break;
	case 4:
		__atomic_store_n((uint32_t *)p, htole32((uint32_t)v), __ATOMIC_RELEASE);
		break;
	case 2:
		__atomic_store_n((uint16_t *)p, htole16((uint16_t)v), __ATOMIC_RELEASE);
		break;
	default:
		__atomic_store_n(p, (uint8_t)v, __ATOMIC_RELEASE);
	}
}

static uint64_t load_le(const uint8_t *buf, unsigned len)
{
	uint64_t v = 0;

	memcpy(&v, buf, len);
	return le64toh(v);
}

static void store_le(uint8_t *buf, unsigned len, uint64_t v)
{
	v = htole64(v);
	memcpy(buf, &v, len);
}

static uint64_t pba_load(const struct device *device, uint64_t off, unsigned len)
{
	uint64_t v = 0;

	for (uint64_t bit = off * 8; bit < (off + len) * 8; bit++)
		if (bit < device->pci.msix.vectors && device->irq.vectors[bit].pending)
			v |= 1ull << (bit - off * 8);
	return v;
}

static uint64_t unit_read(struct device *device, unsigned i, uint64_t off, unsigned len)
{
	struct cused_range pba;

	if (msix_pba(device, i, &pba) && range_has(pba, off))
		return device->irq.mode == IRQ_MSIX ?
			       pba_load(device, off - pba.first, len) :
			       0;
	if (in_memory_page(&device->pci.bars[i], off))
		return memory_load(device->bars[i].memory + off, len);
	if (!device->ops->bar_read)
		return 0;
	return device->ops->bar_read(device->state, i, off, len);
}

static void unit_write(struct device *device, unsigned i, uint64_t off, unsigned len,
		       uint64_t v)
{
	struct cused_range pba;

	if (msix_pba(device, i, &pba) && range_has(pba, off))
		return;				/* read-only: PCI 3.0, 6.8.2 */
	if (in_memory_page(&device->pci.bars[i], off))
		memory_store(device->bars[i].memory + off, len, v);
	if (device->ops->bar_write)
		device->ops->bar_write(device->state, i, off, len, v);
}

/* Bytes from @off that lie in the table (*ret_table), or that lie before it. */
static size_t run_at(const struct device *device, unsigned i, uint64_t off, size_t len,
		     bool *ret_table)
{
	struct cused_range table;
	uint64_t n = len;

	*ret_table = false;
	if (!region_msix_table(device, i, &table) || off > table.last)
		return len;
	*ret_table = off >= table.first;
	n = *ret_table ? table.last - off + 1 : table.first - off;
	return n < len ? (size_t)n : len;
}

static unsigned unit_at(uint64_t off, size_t len, unsigned widest)
{
	unsigned unit = widest;

	while (unit > len || !is_aligned(off, unit))
		unit >>= 1;
	return unit;
}

static bool decode_is_on(const struct device *device, unsigned i)
{
	/* PCI-200: I/O is not gated */
	return (i < CUSED_PCI_BARS && (device->pci.bars[i].flags & CUSED_BAR_IO)) ||
	       cfgspace_memory_enabled(&device->cfg);
}

/* PCI-199. What lies in the MSI-X table alone does not reach the device (PCI-204), and so
 * does not ask for its decoding. */
static bool bar_answers(const struct device *device, unsigned i, uint64_t off, size_t len)
{
	bool table;

	return decode_is_on(device, i) || (run_at(device, i, off, len, &table) == len && table);
}

static int bar_read(struct device *device, unsigned i, uint64_t off, uint8_t *buf,
		    size_t len)
{
	if (!bar_answers(device, i, off, len))			/* PCI-199 */
		return -EIO;
	while (len) {
		bool table;
		size_t n = run_at(device, i, off, len, &table);

		if (table) {					/* PCI-204 */
			memset(buf, 0xff, n);
		} else {
			n = unit_at(off, n, 8);
			store_le(buf, (unsigned)n, unit_read(device, i, off, (unsigned)n));
		}
		off += n;
		buf += n;
		len -= n;
	}
	return 0;
}

int region_bar_write(struct device *device, unsigned bar, uint64_t off, const void *buf,
		     size_t len)
{
	const uint8_t *p = buf;

	if (!bar_answers(device, bar, off, len))		/* PCI-199 */
		return -EIO;
	while (len) {
		bool table;
		size_t n = run_at(device, bar, off, len, &table);

		if (!table) {					/* PCI-204 */
			n = unit_at(off, n, 8);
			unit_write(device, bar, off, (unsigned)n, load_le(p, (unsigned)n));
		}
		off += n;
		p += n;
		len -= n;
	}
	return 0;
}

static int rom_read(struct device *device, uint64_t off, uint8_t *buf, size_t len)
{
	size_t have = 0;

	if (!decode_is_on(device, CFG_ROM))			/* PCI-199 */
		return -EIO;
	if (off < device->pci.rom_size)
		have = device->pci.rom_size - off;
	if (have > len)
		have = len;
	if (have)
		memcpy(buf, (const uint8_t *)device->pci.rom + off, have);
	memset(buf + have, 0xff, len - have);			/* PCI-205 */
	return 0;
}

/* ---- configuration space ---- */

static void config_read(struct device *device, uint64_t off, uint8_t *buf, size_t len)
{
	while (len) {
		size_t n = cfgspace_read(&device->cfg, (unsigned)off, buf, len);

		off += n;
		buf += n;
		len -= n;
	}
}

static void carry_out(struct device *device, unsigned effects)
{
	if (effects & CFG_EFFECT_RESET)
		device_reset_locked(device);
	if (effects & CFG_EFFECT_INTX)
		irq_update_disable(device);
	if (effects & CFG_EFFECT_MSI)
		irq_update_masks(device);
	if (effects & (CFG_EFFECT_POWER | CFG_EFFECT_RESET))
		poller_kick(device);
}

static void config_write(struct device *device, uint64_t off, const uint8_t *buf, size_t len)
{
	while (len) {
		unsigned effects;
		size_t n = cfgspace_write(&device->cfg, (unsigned)off, buf, len, &effects);

		carry_out(device, effects);
		off += n;
		buf += n;
		len -= n;
	}
	device_record_config(device);
}

/* ---- read, write, mmap ---- */

ssize_t device_rw_check(struct device_file *file, uint64_t pos, size_t count, bool write)
{
	struct device *device = file->device;
	unsigned index = index_of(pos);
	uint64_t off = pos & REGION_MASK, size;

	if (device_file_check(file))
		return -ENODEV;
	if (count == 0)						/* PCI-188 */
		return 0;
	if (NO_REGION(index))					/* PCI-189 */
		return -EINVAL;
	device_wake(device);
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)		/* PCI-191 */
		return span_fits(off, count, device->config_size) ? (ssize_t)count : -EFAULT;
	if (index == VFIO_PCI_VGA_REGION_INDEX)			/* PCI-201 */
		return -EINVAL;
	if (index == VFIO_PCI_ROM_REGION_INDEX && write)	/* PCI-193 */
		return -EINVAL;
	size = device->bars[index].size;
	if (off >= size)					/* PCI-194, PCI-195 */
		return -EINVAL;
	if (count > size - off)					/* PCI-196 */
		count = size - off;
	return (ssize_t)count;
}

/* Return: 1: there is something to do, and the device is locked; 0: nothing; -errno. */
static int rw_begin(struct device_file *file, uint64_t pos, size_t len, bool write)
{
	ssize_t n = device_rw_check(file, pos, len, write);
	int r;

	if (n < 0 || (size_t)n != len)
		return n < 0 ? (int)n : -EINVAL;
	if (!len)
		return 0;
	r = device_lock_alive(file->device);
	return r ? r : 1;
}

int device_read(struct device_file *file, uint64_t pos, void *buf, size_t len)
{
	struct device *device = file->device;
	uint64_t off = pos & REGION_MASK;
	int r = rw_begin(file, pos, len, false);

	if (r <= 0)
		return r;
	r = 0;
	switch (index_of(pos)) {
	case VFIO_PCI_CONFIG_REGION_INDEX:
		config_read(device, off, buf, len);
		break;
	case VFIO_PCI_ROM_REGION_INDEX:
		r = rom_read(device, off, buf, len);
		break;
	default:
		r = bar_read(device, index_of(pos), off, buf, len);
	}
	device_unlock(device);
	return r;
}

int device_write(struct device_file *file, uint64_t pos, const void *buf, size_t len)
{
	struct device *device = file->device;
	uint64_t off = pos & REGION_MASK;
	int r = rw_begin(file, pos, len, true);

	if (r <= 0)
		return r;
	r = 0;
	if (index_of(pos) == VFIO_PCI_CONFIG_REGION_INDEX)
		config_write(device, off, buf, len);
	else
		r = region_bar_write(device, index_of(pos), off, buf, len);
	device_unlock(device);
	/* Timers kick for themselves; to wake a thread costs as much as the access. */
	if (r == 0 && index_of(pos) != VFIO_PCI_CONFIG_REGION_INDEX && device->ops->poll)
		poller_kick(device);
	return r;
}

int device_mmap_check(struct device_file *file, uint64_t pos, uint64_t len, bool shared)
{
	struct device *device = file->device;
	uint64_t page = device->page_size, off = pos & REGION_MASK, size;
	const struct cused_bar *bar;

	if (device_file_check(file))
		return -ENODEV;
	if (index_of(pos) >= VFIO_PCI_ROM_REGION_INDEX)		/* PCI-249, PCI-252 */
		return -EINVAL;
	if (!shared)						/* PCI-250 */
		return -EINVAL;
	bar = &device->pci.bars[index_of(pos)];
	if (!bar->n_areas || device->no_mmap)			/* PCI-253 */
		return -EINVAL;
	size = (bar->size + page - 1) & ~(page - 1);
	if (!len || !span_fits(off, len, size))			/* PCI-254 */
		return -EINVAL;
	/* Only pages whose bytes a store reaches: the areas of the sparse mmap capability. */
	for (unsigned i = 0; i < bar->n_areas && len; i++) {
		uint64_t end = (bar->areas[i].last + page) & ~(page - 1), n;

		if (off < bar->areas[i].first || off >= end)
			continue;
		n = end - off < len ? end - off : len;
		off += n;
		len -= n;
	}
	return len ? -EINVAL : 0;
}
