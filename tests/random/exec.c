/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running operations.
 *
 * What is written down is what two implementations must agree on: results, errnos, and the
 * bytes of an answer; of configuration space and registers those that do not depend on the
 * model or on the machine. A fd is written as "fd", whatever its number.
 */
#include "exec.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <string.h>

#define RAW_BYTES 4096u
#define CAP_LOOPS 48
#define PCI_CAP_EXP 0x10		/* what of it works is the model's business */

struct exec {
	struct exec_sys *sys;
	FILE *out;
	int fds[SLOTS];
	uint8_t kind[SLOTS];		/* of device fds: DEVICE_A or DEVICE_B */
	int saved_fds[SLOTS];		/* while a child runs */
	uint8_t saved_kind[SLOTS];
	bool child, held;
	uint64_t arg;			/* address of the argument */
	void *bytes;			/* ours of it; NULL if nothing can stand there */
	const uint64_t *a;		/* the operation's */
	uint8_t raw[RAW_BYTES];
	char text[2048];		/* of the result */
	size_t used;
};

/* ---- writing ---- */

__attribute__((format(printf, 2, 3))) static void say(struct exec *e, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(e->text + e->used, sizeof(e->text) - e->used, format, ap);
	va_end(ap);
	e->used += (size_t)n;
	if (e->used >= sizeof(e->text))
		e->used = sizeof(e->text) - 1;
}

/* Return: whether it is no error. */
static bool result(struct exec *e, int64_t r)
{
	const char *name = r < 0 ? strerrorname_np((int)-r) : NULL;

	if (name)
		say(e, "%s", name);
	else
		say(e, "%" PRId64, r);
	return r >= 0;
}

static void result_fd(struct exec *e, int r)
{
	if (r >= 0)
		say(e, "fd");
	else
		result(e, r);
}

static void dump(struct exec *e, const char *name, const void *data, size_t len)
{
	const uint8_t *p = data;

	say(e, " %s=", name);
	for (size_t i = 0; i < len; i++)
		say(e, "%02x", p[i]);
}

/* ---- files and memory ---- */

static int fd_of(struct exec *e, uint64_t slot)
{
	static const int none[] = { -1, -2, 999 };

	return slot < SLOTS ? e->fds[slot] : slot < SLOT_NAMES ? none[slot - SLOTS] : -1;
}

static void put_fd(struct exec *e, uint64_t slot, int fd, unsigned kind)
{
	int old;

	if (slot >= SLOTS) {
		if (fd >= 0)
			e->sys->close(e->sys, fd);
		return;
	}
	old = e->fds[slot];
	e->fds[slot] = fd >= 0 ? fd : -1;
	e->kind[slot] = (uint8_t)kind;
	if (old >= 0)
		e->sys->close(e->sys, old);
}

static uint64_t address(struct exec *e, uint64_t addr)
{
	return addr < ARENA_RAW ? e->sys->arena + addr : addr;
}

/* Puts an argument of @len bytes at @place. */
static void put_arg(struct exec *e, uint64_t place, const void *bytes, size_t len)
{
	uint64_t ro = e->sys->arena + ARENA_ARG_RO * ARENA_PAGE;

	e->bytes = NULL;
	switch (place) {
	case AT_ARG:
		e->arg = e->sys->arena + ARENA_ARG * ARENA_PAGE;
		break;
	case AT_RO:
		e->arg = ro;
		break;
	case AT_EDGE:
		e->arg = ro - 16;
		break;
	case AT_HOLE:
		e->arg = e->sys->arena + ARENA_HOLE * ARENA_PAGE;
		return;
	case AT_NULL:
		e->arg = 0;
		return;
	default:
		e->arg = 0xffff800000000000;
		return;
	}
	e->bytes = e->sys->at(e->sys, e->arg);
	e->sys->writable(e->sys, ARENA_ARG_RO, true);
	memcpy(e->bytes, bytes, len);
	e->sys->writable(e->sys, ARENA_ARG_RO, false);
}

/* The same with the rest of the page behind it all 0x55, to see what is written. */
static int64_t call(struct exec *e, unsigned cmd, uint64_t place, const void *arg, size_t len)
{
	memset(e->raw, 0x55, sizeof(e->raw));
	memcpy(e->raw, arg, len);
	put_arg(e, place, e->raw, 512 > len ? 512 : len);
	return e->sys->ioctl(e->sys, fd_of(e, e->a[0]), cmd, e->arg);
}

/* ---- operations: files ---- */

static void do_container(struct exec *e)
{
	int fd = e->sys->open_container(e->sys);

	result_fd(e, fd);
	put_fd(e, e->a[0], fd, 0);
}

static void do_group(struct exec *e)
{
	int fd = e->sys->open_group(e->sys, e->a[1] % DEVICES);

	result_fd(e, fd);
	put_fd(e, e->a[0], fd, 0);
}

static void do_device(struct exec *e)
{
	const char *a = e->sys->bdf[DEVICE_A], *b = e->sys->bdf[DEVICE_B];
	char name[128] = "";
	int fd;

	switch (e->a[2] % OP_NAMES) {
	case 0: snprintf(name, sizeof(name), "%s", a); break;
	case 1: snprintf(name, sizeof(name), "%s", b); break;
	case 2: snprintf(name, sizeof(name), "%s  ", a); break;
	case 3: break;
	case 4: snprintf(name, sizeof(name), "%.11s", a); break;
	case 5: snprintf(name, sizeof(name), "%s0", a); break;
	case 6: snprintf(name, sizeof(name),
			 "%s vf_token=83d8f4f2-509f-382f-3c1e-e6bfe0fa1001", a); break;
	case 7: snprintf(name, sizeof(name), "%s no_such=1", b); break;
	case 8: snprintf(name, sizeof(name), "%s vf_token=83d8f4f2-509f", b); break;
	default: memset(name, 'x', sizeof(name) - 1); break;
	}
	fd = (int)call(e, VFIO_GROUP_GET_DEVICE_FD, e->a[3], name, strlen(name) + 1);
	result_fd(e, fd);
	put_fd(e, e->a[1], fd, e->a[2] == 1 ? DEVICE_B : DEVICE_A);
}

static void do_close(struct exec *e)
{
	say(e, "%s", fd_of(e, e->a[0]) >= 0 ? "0" : "EBADF");
	put_fd(e, e->a[0], -1, 0);
}

static void do_dup(struct exec *e)
{
	int fd = e->sys->dup(e->sys, fd_of(e, e->a[0]));

	result_fd(e, fd);
	put_fd(e, e->a[1], fd, e->a[0] < SLOTS ? e->kind[e->a[0]] : 0);
}

static void do_eventfd(struct exec *e)
{
	int fd = e->sys->open_eventfd(e->sys, (unsigned)e->a[1]);

	result_fd(e, fd);
	put_fd(e, e->a[0], fd, 0);
}

static void do_count(struct exec *e)
{
	uint64_t count = 0;
	int64_t r = fd_of(e, e->a[0]) < 0 ? -EBADF :
		e->sys->drain(e->sys, fd_of(e, e->a[0]), &count);

	if (result(e, r))
		say(e, " count=%" PRIu64, count);
}

static void do_signal(struct exec *e)
{
	result(e, fd_of(e, e->a[0]) < 0 ? -EBADF : e->sys->signal(e->sys, fd_of(e, e->a[0])));
}

/* ---- containers and groups ---- */

static void do_attach(struct exec *e)
{
	int32_t fd = fd_of(e, e->a[1]);

	result(e, call(e, VFIO_GROUP_SET_CONTAINER, e->a[2], &fd, sizeof(fd)));
}

static void by_value(struct exec *e, unsigned cmd, uint64_t arg)
{
	result(e, e->sys->ioctl(e->sys, fd_of(e, e->a[0]), cmd, arg));
}

static void do_detach(struct exec *e)
{
	by_value(e, VFIO_GROUP_UNSET_CONTAINER, 0);
}

static void do_iommu(struct exec *e)
{
	by_value(e, VFIO_SET_IOMMU, e->a[1]);
}

static void do_extension(struct exec *e)
{
	by_value(e, VFIO_CHECK_EXTENSION, e->a[1]);
}

static void do_version(struct exec *e)
{
	by_value(e, VFIO_GET_API_VERSION, 0);
}

static void do_reset(struct exec *e)
{
	by_value(e, VFIO_DEVICE_RESET, 0);
}

/* Whether the operation's slot is of the kind that begins at slot @first: the same number
 * means something else to another. */
static bool is_kind(struct exec *e, uint64_t first, uint64_t end)
{
	return e->a[0] >= first && e->a[0] < end;
}

/* An ioctl whose argument is argsz and numbers, and comes back with its first @shown bytes. */
static void sized(struct exec *e, unsigned cmd, uint64_t place, const uint32_t *words,
		  size_t n_words, size_t shown)
{
	if (result(e, call(e, cmd, place, words, n_words * sizeof(*words))) && e->bytes && shown)
		dump(e, "arg", e->bytes, shown);
}

static void do_status(struct exec *e)
{
	uint32_t arg[2] = { (uint32_t)e->a[1], ~0u };

	sized(e, VFIO_GROUP_GET_STATUS, e->a[2], arg, 2, 12);
}

static void do_info(struct exec *e)
{
	uint32_t arg[6] = { (uint32_t)e->a[1] };

	sized(e, VFIO_IOMMU_GET_INFO, e->a[2], arg, 6,
	      is_kind(e, SLOT_CONTAINER, SLOT_GROUP) ? 144 : 0);
}

static void do_map(struct exec *e)
{
	struct vfio_iommu_type1_dma_map arg = { (uint32_t)e->a[1], (uint32_t)e->a[2],
		address(e, e->a[3]), e->a[4], e->a[5] };

	result(e, call(e, VFIO_IOMMU_MAP_DMA, e->a[6], &arg, sizeof(arg)));
}

/* Bitmaps of an earlier operation are gone. */
static void clear_bitmaps(struct exec *e)
{
	memset(e->sys->at(e->sys, e->sys->arena + ARENA_BITMAP * ARENA_PAGE), 0x55,
	       (ARENA_PAGES - ARENA_BITMAP) * ARENA_PAGE);
}

static void dump_bitmap(struct exec *e, uint64_t data)
{
	if (data >= ARENA_BITMAP * ARENA_PAGE && data < ARENA_PAGES * ARENA_PAGE - 64)
		dump(e, "bits", e->sys->at(e->sys, address(e, data)), 48);
}

static void do_unmap(struct exec *e)
{
	struct {
		struct vfio_iommu_type1_dma_unmap unmap;
		struct vfio_bitmap bitmap;
	} arg = { { (uint32_t)e->a[1], (uint32_t)e->a[2], e->a[3], e->a[4] },
		{ e->a[5], e->a[6], (void *)(uintptr_t)address(e, e->a[7]) } };
	int64_t r;

	clear_bitmaps(e);
	r = call(e, VFIO_IOMMU_UNMAP_DMA, e->a[8], &arg, sizeof(arg));
	result(e, r);
	if (e->bytes && r != -EFAULT) {
		memcpy(&arg, e->bytes, sizeof(arg));
		say(e, " size=0x%" PRIx64, (uint64_t)arg.unmap.size);
	}
	if (!r && e->a[2] & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)
		dump_bitmap(e, e->a[7]);
}

static void do_dirty(struct exec *e)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap dirty;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} arg = { { (uint32_t)e->a[1], (uint32_t)e->a[2] }, { e->a[3], e->a[4],
		{ e->a[5], e->a[6], (void *)(uintptr_t)address(e, e->a[7]) } } };

	clear_bitmaps(e);
	if (result(e, call(e, VFIO_IOMMU_DIRTY_PAGES, e->a[8], &arg, sizeof(arg))) &&
	    e->a[2] == VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP)
		dump_bitmap(e, e->a[7]);
}

static void do_ioctl(struct exec *e)
{
	uint32_t arg[64] = { (uint32_t)e->a[2] };

	result(e, call(e, _IO(VFIO_TYPE, (unsigned)e->a[1]), e->a[3], arg, sizeof(arg)));
}

/* ---- devices ---- */

static void do_dev_info(struct exec *e)
{
	uint32_t arg[6] = { (uint32_t)e->a[1] };

	sized(e, VFIO_DEVICE_GET_INFO, e->a[2], arg, 6, 28);
}

/* Where the regions are is nobody's business but the device's. */
static void do_region_info(struct exec *e)
{
	struct vfio_region_info arg = { .argsz = (uint32_t)e->a[1], .index = (uint32_t)e->a[2],
		.cap_offset = 0x77 };

	if (!result(e, call(e, VFIO_DEVICE_GET_REGION_INFO, e->a[3], &arg, sizeof(arg))) ||
	    !e->bytes)
		return;
	memcpy(&arg, e->bytes, sizeof(arg));
	say(e, " argsz=%u flags=0x%x cap=0x%x size=0x%" PRIx64, arg.argsz, arg.flags,
	    arg.cap_offset, (uint64_t)arg.size);
	if (arg.cap_offset == sizeof(arg))
		dump(e, "caps", (uint8_t *)e->bytes + sizeof(arg), 8);
}

static void do_irq_info(struct exec *e)
{
	uint32_t arg[4] = { (uint32_t)e->a[1], ~0u, (uint32_t)e->a[2], ~0u };

	sized(e, VFIO_DEVICE_GET_IRQ_INFO, e->a[3], arg, 4, 20);
}

static void do_irqs(struct exec *e)
{
	struct {
		uint32_t words[5];
		union {
			int32_t fds[512];
			uint8_t bools[2048];
		} data;
	} arg = { { (uint32_t)e->a[1], (uint32_t)e->a[2], (uint32_t)e->a[3],
		(uint32_t)e->a[4], (uint32_t)e->a[5] }, { { 0 } } };

	for (unsigned i = 0; i < 512; i++) {
		if (e->a[2] & VFIO_IRQ_SET_DATA_EVENTFD)
			arg.data.fds[i] = fd_of(e, e->a[6 + i % 4]);
		else
			arg.data.bools[i] = e->a[6 + i % 4] & 1;
	}
	result(e, call(e, VFIO_DEVICE_SET_IRQS, e->a[10], &arg, sizeof(arg)));
}

static void do_hot_info(struct exec *e)
{
	uint32_t arg[8] = { (uint32_t)e->a[1] };

	/* Which devices share a bus is the machine's business. */
	result(e, call(e, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, e->a[2], arg, sizeof(arg)));
	if (e->bytes && is_kind(e, SLOT_DEVICE, SLOT_EVENT))
		dump(e, "arg", e->bytes, 12);
}

static void do_hot_reset(struct exec *e)
{
	uint32_t arg[5] = { (uint32_t)e->a[1], (uint32_t)e->a[2], (uint32_t)e->a[3],
		(uint32_t)fd_of(e, e->a[4]), (uint32_t)fd_of(e, e->a[5]) };

	result(e, call(e, VFIO_DEVICE_PCI_HOT_RESET, e->a[6], arg, sizeof(arg)));
}

/* Offset of a region: that of region 0 says where the device begins. */
static uint64_t region_at(struct exec *e, uint64_t region)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = 0 };

	if (call(e, VFIO_DEVICE_GET_REGION_INFO, AT_ARG, &info, sizeof(info)) < 0)
		info.offset = 0;
	else
		memcpy(&info, e->bytes, sizeof(info));
	return info.offset + (region << 40);
}

static void do_ioeventfd(struct exec *e)
{
	struct vfio_device_ioeventfd arg = { .argsz = (uint32_t)e->a[1],
		.flags = (uint32_t)e->a[2], .offset = region_at(e, e->a[3]) + e->a[4],
		.data = e->a[5], .fd = fd_of(e, e->a[6]) };

	result(e, call(e, VFIO_DEVICE_IOEVENTFD, e->a[7], &arg, sizeof(arg)));
}

static void do_feature(struct exec *e)
{
	uint32_t arg[8] = { (uint32_t)e->a[1], (uint32_t)e->a[2], (uint32_t)fd_of(e, e->a[3]) };

	result(e, call(e, VFIO_DEVICE_FEATURE, e->a[4], arg, sizeof(arg)));
}

/* Only on devices: a read of another file is a matter of that file. */
static bool is_device(struct exec *e)
{
	uint64_t slot = e->a[0];

	if (slot >= SLOT_DEVICE && slot < SLOT_EVENT && e->fds[slot] >= 0)
		return true;
	say(e, "no device");
	return false;
}

static size_t length(uint64_t len)
{
	return len < RAW_BYTES ? (size_t)len : RAW_BYTES;
}

/* Both edu devices tell who they are. */
static void do_read(struct exec *e)
{
	uint64_t at;
	int64_t r;

	if (!is_device(e))
		return;
	at = region_at(e, e->a[1]) + e->a[2];
	r = e->sys->read(e->sys, fd_of(e, e->a[0]), at, e->raw, length(e->a[3]));
	if (result(e, r) && e->kind[e->a[0]] == DEVICE_A && !e->a[1] && !e->a[2] && r == 4)
		dump(e, "data", e->raw, 4);
}

/* Both invert what is written to register 4. Elsewhere nothing is written that a device
 * listens to. */
static void do_write(struct exec *e)
{
	uint64_t at, region = e->a[1], offset = e->a[2];
	bool edu;

	if (!is_device(e))
		return;
	edu = e->kind[e->a[0]] == DEVICE_A;
	if (region == 7 || (!region && (edu ? offset != 4 && offset >= 0x20 && offset < 0x100 :
				       offset > 8 && offset < 0x2000))) {
		say(e, "not done");
		return;
	}
	at = region_at(e, region) + offset;
	memset(e->raw, 0, sizeof(e->raw));
	memcpy(e->raw, &e->a[4], sizeof(e->a[4]));
	if (result(e, e->sys->write(e->sys, fd_of(e, e->a[0]), at, e->raw,
				    e->a[3] > 8 ? 8 : length(e->a[3]))) &&
	    edu && !region && offset == 4 && e->a[3] == 4 &&
	    e->sys->read(e->sys, fd_of(e, e->a[0]), at, e->raw, 4) == 4)
		dump(e, "data", e->raw, 4);
}

static void do_mmap(struct exec *e)
{
	if (is_device(e))
		result(e, e->sys->mmap(e->sys, fd_of(e, e->a[0]), region_at(e, e->a[1]) + e->a[2],
				       e->a[3], (int)e->a[4], (int)e->a[5]));
}

/* ---- configuration space ---- */

/* What is the same in two models of the same device: see ../vm/known-differences. */
static const struct {
	uint16_t offset;
	uint16_t len;
	uint32_t mask;
} cfg_known[] = {
	{ 0x00, 4, ~0u }, { 0x00, 2, ~0u }, { 0x00, 1, ~0u }, { 0x04, 2, 0x0406 },
	{ 0x04, 1, 0x06 }, { 0x06, 2, 0x10 }, { 0x0e, 1, ~0u }, { 0x3d, 1, ~0u },
	{ 0x3e, 2, ~0u }, { 0x100, 4, 0 },
};

static int64_t cfg(struct exec *e, uint64_t offset, uint64_t len, uint32_t *value)
{
	uint64_t at = region_at(e, VFIO_PCI_CONFIG_REGION_INDEX) + offset;

	*value = 0;
	return e->sys->read(e->sys, fd_of(e, e->a[0]), at, value, len & 7 && len < 4 ? len : 4);
}

static int64_t cfg_write(struct exec *e, uint64_t offset, uint64_t len, uint32_t value)
{
	uint64_t at = region_at(e, VFIO_PCI_CONFIG_REGION_INDEX) + offset;

	return e->sys->write(e->sys, fd_of(e, e->a[0]), at, &value, len & 7 && len < 4 ? len : 4);
}

static void do_cfg(struct exec *e)
{
	uint32_t value;

	if (!is_device(e) || !result(e, cfg(e, e->a[1], e->a[2], &value)))
		return;
	for (size_t i = 0; i < sizeof(cfg_known) / sizeof(cfg_known[0]); i++)
		if (cfg_known[i].offset == e->a[1] && cfg_known[i].len == e->a[2])
			say(e, " value=0x%x", value & cfg_known[i].mask);
}

/* What was written is read again. Of the command register only what both models have; a BAR
 * shows its size. */
static void do_cfg_set(struct exec *e)
{
	uint64_t offset = e->a[1], len = e->a[2];
	uint32_t value = (uint32_t)e->a[3], mask = ~0u;
	bool bar;

	if (!is_device(e))
		return;
	if (offset < 8 && offset + len > 4) {
		if (offset != 4) {
			say(e, "not done");
			return;
		}
		value &= 0x0406;
		mask = 0x0406;
	}
	if (!result(e, cfg_write(e, offset, len, value)))
		return;
	bar = offset >= 0x10 && offset < 0x28 && !(offset & 3) && len == 4;
	if ((bar || offset == 4 || offset == 0x3c) && result(e, cfg(e, offset, len, &value)))
		say(e, " value=0x%x", offset == 0x3c ? value & 0xff : value & mask);
}

/* The capability may be elsewhere in another model, or not there. */
static void do_cap_set(struct exec *e)
{
	uint32_t at = 0, value;
	unsigned loops = 0;

	if (!is_device(e))
		return;
	if (cfg(e, 0x34, 1, &at) < 0)
		at = 0;
	while (at && loops++ < CAP_LOOPS && cfg(e, at, 2, &value) >= 0 &&
	       (value & 0xff) != e->a[1])
		at = value >> 8;
	if (!at || loops >= CAP_LOOPS) {
		say(e, "no capability");
		return;
	}
	if (result(e, cfg_write(e, at + e->a[2], e->a[3], (uint32_t)e->a[4])) &&
	    e->a[1] != PCI_CAP_EXP && result(e, cfg(e, at + e->a[2], e->a[3], &value)))
		say(e, " value=0x%x", value);
}

/* ---- processes ---- */

static void do_hold(struct exec *e)
{
	if (e->child || e->held) {
		say(e, "not now");
		return;
	}
	e->held = result(e, e->sys->hold(e->sys));
}

static void do_unhold(struct exec *e)
{
	if (e->child || !e->held) {
		say(e, "not now");
		return;
	}
	e->held = false;
	e->sys->unhold(e->sys);
	say(e, "0");
}

static void (*const actions[OP_CODES])(struct exec *e) = {
	[OP_CONTAINER] = do_container, [OP_GROUP] = do_group, [OP_DEVICE] = do_device,
	[OP_CLOSE] = do_close, [OP_DUP] = do_dup, [OP_ATTACH] = do_attach,
	[OP_DETACH] = do_detach, [OP_STATUS] = do_status, [OP_IOMMU] = do_iommu,
	[OP_EXTENSION] = do_extension, [OP_VERSION] = do_version, [OP_INFO] = do_info,
	[OP_MAP] = do_map, [OP_UNMAP] = do_unmap, [OP_DIRTY] = do_dirty, [OP_IOCTL] = do_ioctl,
	[OP_DEV_INFO] = do_dev_info, [OP_REGION_INFO] = do_region_info,
	[OP_IRQ_INFO] = do_irq_info, [OP_IRQS] = do_irqs, [OP_READ] = do_read,
	[OP_WRITE] = do_write, [OP_CFG] = do_cfg, [OP_CFG_SET] = do_cfg_set,
	[OP_CAP_SET] = do_cap_set, [OP_RESET] = do_reset, [OP_HOT_INFO] = do_hot_info,
	[OP_HOT_RESET] = do_hot_reset, [OP_IOEVENTFD] = do_ioeventfd,
	[OP_FEATURE] = do_feature, [OP_EVENTFD] = do_eventfd, [OP_COUNT] = do_count,
	[OP_SIGNAL] = do_signal, [OP_MMAP] = do_mmap, [OP_HOLD] = do_hold,
	[OP_UNHOLD] = do_unhold,
};

static void line(struct exec *e, size_t number, const struct op *op)
{
	char text[512];

	if (!e->out)
		return;
	op_print(op, text, sizeof(text));
	fprintf(e->out, "%zu %s = %s\n", number, text, e->text);
}

/* The child's operations end, whether the sequence says so or not. */
static void end_child(struct exec *e)
{
	if (e->out)
		fflush(e->out);
	e->sys->end(e->sys);		/* does not return in a process of its own */
	memcpy(e->fds, e->saved_fds, sizeof(e->fds));
	memcpy(e->kind, e->saved_kind, sizeof(e->kind));
	e->child = false;
}

/* Return: the operation to go on with. */
static size_t do_fork(struct exec *e, const struct op *ops, size_t n, size_t at)
{
	int r;

	if (e->child) {
		say(e, "not now");
		line(e, at, &ops[at]);
		return at + 1;
	}
	say(e, "0");
	line(e, at, &ops[at]);
	if (e->out)
		fflush(e->out);
	r = e->sys->fork(e->sys);
	if (r > 0) {
		e->child = true;
		memcpy(e->saved_fds, e->fds, sizeof(e->fds));
		memcpy(e->saved_kind, e->kind, sizeof(e->kind));
		return at + 1;
	}
	while (++at < n && ops[at].code != OP_END)
		;
	return at + 1;
}

void exec_run(struct exec_sys *sys, const struct op *ops, size_t n, FILE *out)
{
	static struct exec state;
	struct exec *e = &state;

	memset(e, 0, sizeof(*e));
	e->sys = sys;
	e->out = out;
	for (unsigned i = 0; i < SLOTS; i++)
		e->fds[i] = -1;
	e->fds[SLOT_OTHER] = sys->open_other(sys);
	for (size_t i = 0; i < n;) {
		e->a = ops[i].arg;
		e->used = 0;
		e->text[0] = 0;
		if (ops[i].code == OP_FORK) {
			i = do_fork(e, ops, n, i);
			continue;
		}
		if (ops[i].code == OP_END) {
			if (e->child)
				end_child(e);
			i++;
			continue;
		}
		actions[ops[i].code](e);
		line(e, i, &ops[i]);
		i++;
	}
	if (e->child)
		end_child(e);
	for (unsigned i = 0; i < SLOTS; i++)
		if (e->fds[i] >= 0)
			sys->close(sys, e->fds[i]);
	if (e->held)
		sys->unhold(sys);
}
