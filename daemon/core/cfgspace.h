/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/cfgspace.h - configuration space of one function, for the core alone.
 *
 * Theory of operation
 *
 *   There are two copies of every byte. `hw` is what the function holds: what the host
 *   would read, and what sysfs shows. `virt` is what the client was told. Four masks with
 *   one bit per bit say what an access does (Linux vfio_pci_config.c works the same way):
 *
 *       is_virt    1: the client sees and changes virt;  0: hw
 *       writable   1: the client's write gets through to where is_virt points
 *       hw_rw      1: the function keeps what is written (read-only bits have neither)
 *       hw_w1c     1: the function clears the bit when a 1 is written
 *
 *   What lies between capabilities is raw: writable, not virtual. The function implements
 *   no bits there, so it reads 0 and keeps nothing.
 *
 *   A few fields do more than keep bits. After the masks did their work a hook of the
 *   capability runs and reports effects, which the device carries out: nothing here calls
 *   out, so the file can be tested alone.
 *
 * Locks: none inside; the device's lock guards the whole struct.
 */
#ifndef CORE_CFGSPACE_H
#define CORE_CFGSPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vfio-cused/pci.h>

#define CFG_SIZE_PCI 256
#define CFG_SIZE_PCIE 4096
#define CFG_CAPS_MAX 10
#define CFG_BARS (CUSED_PCI_BARS + 1)	/* the last is the expansion ROM's */
#define CFG_ROM CUSED_PCI_BARS

enum cfg_kind {
	CFG_HEADER,
	CFG_PM,
	CFG_MSI,
	CFG_EXP,
	CFG_MSIX,
	CFG_AF,
	CFG_AER,
	CFG_DSN,
};

struct cfg_cap {
	enum cfg_kind kind;
	unsigned start, len;
};

struct cfgspace {
	unsigned size;			/* CFG_SIZE_… */
	uint64_t bar_size[CFG_BARS];	/* 0: not implemented */
	uint32_t bar_type[CFG_BARS];	/* low bits that a BAR always reads */
	unsigned n_caps;
	struct cfg_cap caps[CFG_CAPS_MAX];

	bool bars_dirty;		/* PCI-221: fix up at the next read */
	bool msi_mode;			/* PCI-232: SET_IRQS turned MSI on */
	unsigned msi_qmax;		/* log2 of the vectors turned on */

	uint8_t hw[CFG_SIZE_PCIE], virt[CFG_SIZE_PCIE];
	uint8_t is_virt[CFG_SIZE_PCIE], writable[CFG_SIZE_PCIE];
	uint8_t hw_rw[CFG_SIZE_PCIE], hw_w1c[CFG_SIZE_PCIE];
};

/* ---- cfg_build.c ---- */

/*
 * Is a model's description possible?
 * @page: bytes in a page of the host
 * Return: 0; -EINVAL with @err set.
 */
int cfg_check(const struct cused_pci *pci, const char *name, uint64_t page,
	      struct cused_error *err);
/* Power-on contents, as a client finds them after the first open (PCI-011, PCI-012).
 * @bars: host address of each BAR, the ROM's last; 0 for none. */
void cfg_build(struct cfgspace *cfg, const struct cused_pci *pci,
	       const uint64_t bars[CFG_BARS]);

/* ---- cfgspace.c ---- */

/* What a write asks of the device; a mask. */
enum cfg_effect {
	CFG_EFFECT_INTX = 1 << 0,	/* virtual INTX_DISABLE may have changed, PCI-226 */
	CFG_EFFECT_RESET = 1 << 1,	/* function level reset, PCI-236, PCI-239 */
	CFG_EFFECT_POWER = 1 << 2,	/* power state changed, PCI-229 */
	CFG_EFFECT_MSI = 1 << 3,	/* MSI mask bits may have changed, PCI-232 */
};

/*
 * One naturally aligned piece of 4, 2 or 1 bytes that stays inside a capability.
 * @pos + @len must lie inside cfg->size; @len is at least 1
 * Return: bytes done; the caller goes on behind them.
 */
size_t cfgspace_read(struct cfgspace *cfg, unsigned pos, uint8_t *buf, size_t len);
size_t cfgspace_write(struct cfgspace *cfg, unsigned pos, const uint8_t *buf, size_t len,
		      unsigned *ret_effects);

/* Start of a capability, 0 if the function has none of that kind. */
unsigned cfgspace_find(const struct cfgspace *cfg, enum cfg_kind kind);

bool cfgspace_memory_enabled(const struct cfgspace *cfg);	/* PCI-199 */
bool cfgspace_bus_master(const struct cfgspace *cfg);
bool cfgspace_d3hot(const struct cfgspace *cfg);
bool cfgspace_intx_disabled(const struct cfgspace *cfg);	/* the virtual bit */
void cfgspace_power_up(struct cfgspace *cfg);			/* to D0, as a reset does */

/* The function's own side, when SET_IRQS enters or leaves a mode. @n: vectors, 0 off. */
void cfgspace_set_msi(struct cfgspace *cfg, unsigned n);
void cfgspace_set_msix(struct cfgspace *cfg, bool on);
bool cfgspace_msi_enabled(const struct cfgspace *cfg);		/* in hw */
/* Mask and pending registers; no masking: mask 0, and pending is dropped. */
bool cfgspace_msi_maskable(const struct cfgspace *cfg);
uint32_t cfgspace_msi_mask(const struct cfgspace *cfg);
void cfgspace_set_msi_mask(struct cfgspace *cfg, uint32_t mask);
void cfgspace_set_msi_pending(struct cfgspace *cfg, uint32_t pending);
/* STATUS bit 3, the state of the INTx line. */
void cfgspace_set_intx_status(struct cfgspace *cfg, bool asserted);

#endif
