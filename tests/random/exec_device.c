/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operations of devices, and of their configuration space. */
#include "exec_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <string.h>

#define CAP_LOOPS 48
#define PCI_CAP_EXP 0x10		/* what of it works is the model's business */

void exec_do_reset(struct exec *e)
{
	exec_by_value(e, VFIO_DEVICE_RESET, 0);
}

void exec_do_dev_info(struct exec *e)
{
	uint32_t arg[6] = { (uint32_t)e->a[1] };

	exec_sized(e, VFIO_DEVICE_GET_INFO, e->a[2], arg, 6, 28);
}

/* Where the regions are is nobody's business but the device's. */
void exec_do_region_info(struct exec *e)
{
	struct vfio_region_info arg = { .argsz = (uint32_t)e->a[1],
		.index = (uint32_t)e->a[2], .cap_offset = 0x77 };
	int64_t r = exec_call(e, VFIO_DEVICE_GET_REGION_INFO, e->a[3], &arg, sizeof(arg));

	if (!exec_result(e, r) || !e->bytes)
		return;
	memcpy(&arg, e->bytes, sizeof(arg));
	exec_say(e, " argsz=%u flags=0x%x cap=0x%x size=0x%" PRIx64, arg.argsz, arg.flags,
	    arg.cap_offset, (uint64_t)arg.size);
	if (arg.cap_offset == sizeof(arg))
		exec_dump(e, "caps", (uint8_t *)e->bytes + sizeof(arg), 8);
}

void exec_do_irq_info(struct exec *e)
{
	uint32_t arg[4] = { (uint32_t)e->a[1], ~0u, (uint32_t)e->a[2], ~0u };

	exec_sized(e, VFIO_DEVICE_GET_IRQ_INFO, e->a[3], arg, 4, 20);
}

void exec_do_irqs(struct exec *e)
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
			arg.data.fds[i] = exec_fd(e, e->a[6 + i % 4]);
		else
			arg.data.bools[i] = e->a[6 + i % 4] & 1;
	}
	exec_result(e, exec_call(e, VFIO_DEVICE_SET_IRQS, e->a[10], &arg, sizeof(arg)));
}

void exec_do_hot_info(struct exec *e)
{
	uint32_t arg[8] = { (uint32_t)e->a[1] };
	int64_t r = exec_call(e, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, e->a[2], arg,
			      sizeof(arg));

	/* Which devices share a bus is the machine's business. */
	exec_result(e, r);
	if (e->bytes && exec_is_kind(e, SLOT_DEVICE, SLOT_EVENT))
		exec_dump(e, "arg", e->bytes, 12);
}

void exec_do_hot_reset(struct exec *e)
{
	uint32_t arg[5] = { (uint32_t)e->a[1], (uint32_t)e->a[2], (uint32_t)e->a[3],
		(uint32_t)exec_fd(e, e->a[4]), (uint32_t)exec_fd(e, e->a[5]) };

	exec_result(e, exec_call(e, VFIO_DEVICE_PCI_HOT_RESET, e->a[6], arg, sizeof(arg)));
}

/* Offset of a region: that of region 0 says where the device begins. */
static uint64_t region_at(struct exec *e, uint64_t region)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = 0 };

	if (exec_call(e, VFIO_DEVICE_GET_REGION_INFO, AT_ARG, &info, sizeof(info)) < 0)
		info.offset = 0;
	else
		memcpy(&info, e->bytes, sizeof(info));
	return info.offset + (region << 40);
}

void exec_do_ioeventfd(struct exec *e)
{
	struct vfio_device_ioeventfd arg = { .argsz = (uint32_t)e->a[1],
		.flags = (uint32_t)e->a[2], .offset = region_at(e, e->a[3]) + e->a[4],
		.data = e->a[5], .fd = exec_fd(e, e->a[6]) };

	exec_result(e, exec_call(e, VFIO_DEVICE_IOEVENTFD, e->a[7], &arg, sizeof(arg)));
}

void exec_do_feature(struct exec *e)
{
	uint32_t arg[8] = { (uint32_t)e->a[1], (uint32_t)e->a[2],
		(uint32_t)exec_fd(e, e->a[3]) };

	exec_result(e, exec_call(e, VFIO_DEVICE_FEATURE, e->a[4], arg, sizeof(arg)));
}

/* Only on devices: a read of another file is a matter of that file. */
static bool is_device(struct exec *e)
{
	uint64_t slot = e->a[0];

	if (slot >= SLOT_DEVICE && slot < SLOT_EVENT && e->fds[slot] >= 0)
		return true;
	exec_say(e, "no device");
	return false;
}

static size_t length(uint64_t len)
{
	return len < RAW_BYTES ? (size_t)len : RAW_BYTES;
}

/* Both edu devices tell who they are. */
void exec_do_read(struct exec *e)
{
	uint64_t at;
	int64_t r;

	if (!is_device(e))
		return;
	at = region_at(e, e->a[1]) + e->a[2];
	r = e->sys->read(e->sys, exec_fd(e, e->a[0]), at, e->raw, length(e->a[3]));
	if (exec_result(e, r) && e->kind[e->a[0]] == DEVICE_A && !e->a[1] && !e->a[2] && r == 4)
		exec_dump(e, "data", e->raw, 4);
}

/* Both invert what is written to register 4. Elsewhere nothing is written that a device
 * listens to. */
void exec_do_write(struct exec *e)
{
	uint64_t at, region = e->a[1], offset = e->a[2];
	bool edu;

	if (!is_device(e))
		return;
	edu = e->kind[e->a[0]] == DEVICE_A;
	if (region == 7 || (!region && (edu ? offset != 4 && offset >= 0x20 && offset < 0x100 :
				       offset > 8 && offset < 0x2000))) {
		exec_say(e, "not done");
		return;
	}
	at = region_at(e, region) + offset;
	memset(e->raw, 0, sizeof(e->raw));
	memcpy(e->raw, &e->a[4], sizeof(e->a[4]));
	if (exec_result(e, e->sys->write(e->sys, exec_fd(e, e->a[0]), at, e->raw,
				    e->a[3] > 8 ? 8 : length(e->a[3]))) &&
	    edu && !region && offset == 4 && e->a[3] == 4 &&
	    e->sys->read(e->sys, exec_fd(e, e->a[0]), at, e->raw, 4) == 4)
		exec_dump(e, "data", e->raw, 4);
}

void exec_do_mmap(struct exec *e)
{
	if (is_device(e))
		exec_result(e, e->sys->mmap(e->sys, exec_fd(e, e->a[0]),
					    region_at(e, e->a[1]) + e->a[2], e->a[3],
					    (int)e->a[4], (int)e->a[5]));
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
	return e->sys->read(e->sys, exec_fd(e, e->a[0]), at, value, len && len < 4 ? len : 4);
}

static int64_t cfg_write(struct exec *e, uint64_t offset, uint64_t len, uint32_t value)
{
	uint64_t at = region_at(e, VFIO_PCI_CONFIG_REGION_INDEX) + offset;

	return e->sys->write(e->sys, exec_fd(e, e->a[0]), at, &value, len && len < 4 ? len : 4);
}

void exec_do_cfg(struct exec *e)
{
	uint32_t value;

	if (!is_device(e) || !exec_result(e, cfg(e, e->a[1], e->a[2], &value)))
		return;
	for (size_t i = 0; i < sizeof(cfg_known) / sizeof(cfg_known[0]); i++)
		if (cfg_known[i].offset == e->a[1] && cfg_known[i].len == e->a[2])
			exec_say(e, " value=0x%x", value & cfg_known[i].mask);
}

/* What was written is read again. Of the command register only what both models have; a BAR
 * shows its size. */
void exec_do_cfg_set(struct exec *e)
{
	uint64_t offset = e->a[1], len = e->a[2];
	uint32_t value = (uint32_t)e->a[3], mask = ~0u;
	bool bar;

	if (!is_device(e))
		return;
	if (offset < 8 && offset + len > 4) {
		if (offset != 4) {
			exec_say(e, "not done");
			return;
		}
		value &= 0x0406;
		mask = 0x0406;
	}
	if (!exec_result(e, cfg_write(e, offset, len, value)))
		return;
	bar = offset >= 0x10 && offset < 0x28 && !(offset & 3) && len == 4;
	if ((bar || offset == 4 || offset == 0x3c) &&
	    exec_result(e, cfg(e, offset, len, &value)))
		exec_say(e, " value=0x%x", offset == 0x3c ? value & 0xff : value & mask);
}

/* The capability may be elsewhere in another model, or not there. */
void exec_do_cap_set(struct exec *e)
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
		exec_say(e, "no capability");
		return;
	}
	if (exec_result(e, cfg_write(e, at + e->a[2], e->a[3], (uint32_t)e->a[4])) &&
	    e->a[1] != PCI_CAP_EXP && exec_result(e, cfg(e, at + e->a[2], e->a[3], &value)))
		exec_say(e, " value=0x%x", value);
}
