/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/bar_space.h - host addresses for BARs, for the core alone.
 *
 * Clients see these in BARs and in sysfs; nothing decodes them. A machine has one address
 * space, so this is one per process: BARs never overlap, whatever topology they are in.
 */
#ifndef CORE_BAR_SPACE_H
#define CORE_BAR_SPACE_H

#include <stdint.h>

enum bar_window { BAR_WINDOW_IO, BAR_WINDOW_32, BAR_WINDOW_64 };

/*
 * Claim @size bytes (a power of two), naturally aligned and on pages of their own.
 * Return: 0; -ENOSPC the window is full; -ENOMEM.  Locks: its own, a leaf.
 */
int bar_space_alloc(enum bar_window window, uint64_t size, uint64_t *ret_base);
/* The same at a given place. Return: 0; -EINVAL not aligned, below 1M or past 2^63; -EEXIST taken;
 * -ENOMEM. */
int bar_space_claim(uint64_t base, uint64_t size);
/* What bar_space_alloc() or bar_space_claim() gave to a process before this one. Return: as
 * bar_space_claim(). */
int bar_space_reclaim(enum bar_window window, uint64_t size, uint64_t base);
/* Give back what starts at @base; 0 is allowed and does nothing. */
void bar_space_free(uint64_t base);

#endif
