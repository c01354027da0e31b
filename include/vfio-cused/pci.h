/* SPDX-License-Identifier: MIT */
/*
 * vfio-cused/pci.h - how a device model describes its PCI function.
 *
 * The core builds and owns configuration space from this description: header,
 * BAR sizing, capability chain, MSI and MSI-X state, reset. A model never touches
 * configuration space bytes.
 */
#ifndef CUSED_PCI_H
#define CUSED_PCI_H

#include <vfio-cused/cused.h>

#define CUSED_PCI_BARS 6
#define CUSED_PCI_BAR_AREAS 4

enum cused_bar_flags {
	CUSED_BAR_IO       = 1 << 0,	/* I/O space; otherwise memory space */
	CUSED_BAR_64       = 1 << 1,	/* 64-bit memory BAR; takes the next index too */
	CUSED_BAR_PREFETCH = 1 << 2,
};

/*
 * A base address register. Two kinds of pages:
 *   memory   the page's bytes are what a client reads and writes, through mmap or
 *            not. Nobody is told of a store made through mmap: the model polls.
 *            A store made with pwrite is followed by ops->bar_write().
 *   trapped  each access calls ops->bar_read() / ops->bar_write().
 * A page is memory when it lies in one of the areas. Areas are page aligned, sorted
 * and disjoint. Areas covering the whole BAR make it mappable as a whole; otherwise
 * clients are given a sparse mmap capability.
 */
struct cused_bar {
	uint64_t size;			/* 0: not implemented; else a power of two */
	unsigned flags;			/* enum cused_bar_flags */
	unsigned n_areas;
	struct cused_range areas[CUSED_PCI_BAR_AREAS];	/* offsets inside the BAR */
};

struct cused_pci {
	uint16_t vendor, device, subvendor, subdevice;
	uint8_t revision;
	uint32_t class_code;		/* 24 bits: base class, sub-class, interface */
	uint8_t interrupt_pin;		/* 0 none, 1 INTA */
	struct cused_bar bars[CUSED_PCI_BARS];

	bool pm;			/* power management capability, D0 and D3hot */
	bool pcie;			/* PCI Express endpoint, 4096 bytes of config space */
	bool flr;			/* function level reset; gives the RESET flag */
	uint64_t serial;		/* device serial number extended capability; 0 none */

	struct {
		uint8_t vectors;	/* 0 none; 1, 2, 4, 8, 16 or 32 */
		bool maskable;		/* per-vector masking */
	} msi;
	struct {
		uint16_t vectors;	/* 0 none; at most 2048 */
		uint8_t table_bar, pba_bar;
		uint32_t table_offset, pba_offset;	/* multiples of 8 */
	} msix;

	const void *rom;		/* expansion ROM image, or NULL; lives as long as the model */
	uint32_t rom_size;		/* bytes in the image; the BAR is the next power of two */
};

#endif
