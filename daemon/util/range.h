/* SPDX-License-Identifier: GPL-2.0-or-later */
/* util/range.h - inclusive ranges; every overflow check of the program is here. */
#ifndef UTIL_RANGE_H
#define UTIL_RANGE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <vfio-cused/cused.h>

/* [start, start + size - 1]. Return: 0; -EINVAL size 0; -EOVERFLOW it wraps 2^64. */
static inline int range_from_size(uint64_t start, uint64_t size, struct cused_range *ret)
{
	if (size == 0)
		return -EINVAL;
	if (start + (size - 1) < start)
		return -EOVERFLOW;
	*ret = (struct cused_range){ start, start + (size - 1) };
	return 0;
}

/* Bytes in a range; 0 stands for 2^64. */
static inline uint64_t range_size(struct cused_range r)
{
	return r.last - r.first + 1;
}

static inline bool range_overlaps(struct cused_range a, struct cused_range b)
{
	return a.first <= b.last && b.first <= a.last;
}

/* Is @in wholly inside @out? */
static inline bool range_contains(struct cused_range out, struct cused_range in)
{
	return out.first <= in.first && in.last <= out.last;
}

static inline bool range_has(struct cused_range r, uint64_t v)
{
	return r.first <= v && v <= r.last;
}

/* @align is a power of two. */
static inline bool is_aligned(uint64_t v, uint64_t align)
{
	return (v & (align - 1)) == 0;
}

/* Does [off, off + len) lie inside [0, size)? */
static inline bool span_fits(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

#endif
