/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/window.h - which device and region a file offset means.
 *
 *   63 62        52 51      44 43      40 39            0
 *    0 | 0x564     | device   | region   | offset inside |
 *
 * The offset that GET_REGION_INFO reports carries the number of the device, so that the
 * filter recognises a device access by its offset alone and the supervisor need not look
 * the fd up. Bit 63 is clear (file offsets are signed); the constant is far above the
 * size of any real file.
 *
 * Old clients compute the offset of configuration space as 7 << 40 instead of asking.
 * That terabyte is a second window, in which the fd is looked up.
 */
#ifndef TRANSPORT_WINDOW_H
#define TRANSPORT_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_TAG		(0x564ull << 52)
#define WINDOW_TAG_MASK		(0xfffull << 52)
#define WINDOW_DEVICE_SHIFT	44
#define WINDOW_DEVICES		256u
#define WINDOW_POS_MASK		((1ull << WINDOW_DEVICE_SHIFT) - 1)

#define WINDOW_LEGACY		(7ull << 40)
#define WINDOW_LEGACY_MASK	(~0ull << 40)

/* The offset_base of device @number (< WINDOW_DEVICES). */
static inline uint64_t window_base(unsigned number)
{
	return WINDOW_TAG | (uint64_t)number << WINDOW_DEVICE_SHIFT;
}

static inline bool window_has(uint64_t offset)
{
	return (offset & WINDOW_TAG_MASK) == WINDOW_TAG;
}

static inline bool window_is_legacy(uint64_t offset)
{
	return (offset & WINDOW_LEGACY_MASK) == WINDOW_LEGACY;
}

static inline unsigned window_device(uint64_t offset)
{
	return (unsigned)(offset >> WINDOW_DEVICE_SHIFT) & (WINDOW_DEVICES - 1);
}

/* The offset as kernel VFIO has it: region << 40 | offset inside. */
static inline uint64_t window_pos(uint64_t offset)
{
	return offset & WINDOW_POS_MASK;
}

#endif
