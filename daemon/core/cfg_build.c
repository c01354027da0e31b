/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration space out of a model's description. Layouts: PCI Local Bus 3.0, PCI Power
 * Management 1.2, PCI Express Base 3.0, Advanced Capabilities ECN; numbers from
 * linux/pci_regs.h. Where things lie is our own choice:
 *
 *     0x40 power management   0x50 MSI   0x70 PCI Express   0xb0 MSI-X   0xc0 AF
 *     0x100 advanced error reporting   0x150 device serial number
 */
#include <errno.h>
#include <string.h>

#include <linux/pci_regs.h>

#include <core/cfgspace.h>
#include <util/range.h>

#define BAR_SIZE_MAX (1ull << 39)	/* a region has 40 bits of offset */
#define ROM_SIZE_MAX (16u << 20)	/* PCI Firmware 3.0: bits 31…24 stay an address */
#define EXP_V2_SIZE 52			/* endpoint with a link, no slot; PCI-236 */

/* ---- is the description possible? ---- */

static bool is_power_of_two(uint64_t v)
{
	return v && (v & (v - 1)) == 0;
}

static int check_areas(const struct cused_bar *bar, unsigned i, const char *name,
		       uint64_t page, struct cused_error *err)
{
	uint64_t next = 0;

	if (bar->n_areas > CUSED_PCI_BAR_AREAS || (bar->n_areas && (bar->flags & CUSED_BAR_IO)))
		return cused_error_set(err, -EINVAL,
				       "%s: BAR%u has %u memory areas; use at most %d, "
				       "and none for I/O",
				       name, i, bar->n_areas, CUSED_PCI_BAR_AREAS);
	for (unsigned a = 0; a < bar->n_areas; a++) {
		struct cused_range r = bar->areas[a];
		bool end_ok = r.last == bar->size - 1 || is_aligned(r.last + 1, page);

		if (r.first > r.last || r.first < next || r.last >= bar->size ||
		    !is_aligned(r.first, page) || !end_ok)
			return cused_error_set(err, -EINVAL,
					       "%s: BAR%u area %u (%#llx-%#llx) is not a "
					       "run of whole pages in order inside the BAR",
					       name, i, a, (unsigned long long)r.first,
					       (unsigned long long)r.last);
		next = r.last + 1;
	}
	return 0;
}

static int check_bar(const struct cused_pci *pci, unsigned i, const char *name,
		     uint64_t page, struct cused_error *err)
{
	const struct cused_bar *bar = &pci->bars[i];
	bool io = bar->flags & CUSED_BAR_IO;

	if (!bar->size)
		return 0;
	if (!is_power_of_two(bar->size) || bar->size < (io ? 4 : 16) ||
	    bar->size > (io ? 256 : BAR_SIZE_MAX))
		return cused_error_set(err, -EINVAL,
				       "%s: BAR%u has size %#llx; use a power of two from "
				       "16 bytes to 512G, or 4 to 256 bytes of I/O",
				       name, i, (unsigned long long)bar->size);
	if (!(bar->flags & CUSED_BAR_64)) {
		if (bar->size > 1u << 31)
			return cused_error_set(err, -EINVAL,
					       "%s: BAR%u has size %#llx, too much for 32 "
					       "bits; make it a 64-bit BAR",
					       name, i, (unsigned long long)bar->size);
	} else if (io || i + 1 >= CUSED_PCI_BARS || pci->bars[i + 1].size) {
		return cused_error_set(err, -EINVAL,
				       "%s: BAR%u is 64 bits wide, so it must be memory "
				       "and BAR%u must be unused",
				       name, i, i + 1);
	}
	return check_areas(bar, i, name, page, err);
}

static int check_msix_part(const struct cused_pci *pci, const char *what, unsigned bar,
			   uint64_t offset, uint64_t len, const char *name,
			   struct cused_error *err)
{
	if (bar < CUSED_PCI_BARS && !(pci->bars[bar].flags & CUSED_BAR_IO) &&
	    is_aligned(offset, 8) && span_fits(offset, len, pci->bars[bar].size))
		return 0;
	return cused_error_set(err, -EINVAL,
			       "%s: MSI-X %s at %#llx in BAR%u (%llu bytes) does not lie "
			       "inside a memory BAR at a multiple of 8",
			       name, what, (unsigned long long)offset, bar,
			       (unsigned long long)len);
}

static int check_interrupts(const struct cused_pci *pci, const char *name,
			    struct cused_error *err)
{
	unsigned n = pci->msix.vectors;
	int r;

	if (pci->interrupt_pin > 4)
		return cused_error_set(err, -EINVAL, "%s: interrupt pin %u; use 0 to 4",
				       name, pci->interrupt_pin);
	if (pci->msi.vectors && (!is_power_of_two(pci->msi.vectors) || pci->msi.vectors > 32))
		return cused_error_set(err, -EINVAL,
				       "%s: %u MSI vectors; use 0, 1, 2, 4, 8, 16 or 32",
				       name, pci->msi.vectors);
	if (!n)
		return 0;
	if (n > 2048)
		return cused_error_set(err, -EINVAL, "%s: %u MSI-X vectors; use at most "
		"2048",
				       name, n);
	r = check_msix_part(pci, "table", pci->msix.table_bar, pci->msix.table_offset,
			    (uint64_t)n * PCI_MSIX_ENTRY_SIZE, name, err);
	if (r < 0)
		return r;
	return check_msix_part(pci, "pending bits", pci->msix.pba_bar, pci->msix.pba_offset,
			       (n + 63) / 64 * 8, name, err);
}

int cfg_check(const struct cused_pci *pci, const char *name, uint64_t page,
	      struct cused_error *err)
{
	for (unsigned i = 0; i < CUSED_PCI_BARS; i++) {
		int r = check_bar(pci, i, name, page, err);

		if (r < 0)
			return r;
	}
	if (pci->rom_size > ROM_SIZE_MAX || (pci->rom_size && !pci->rom))
		return cused_error_set(err, -EINVAL,
				       "%s: ROM image of %u bytes; give an image of at "
				       "most 16M",
				       name, pci->rom_size);
	return check_interrupts(pci, name, err);
}

/* ---- setting bytes and masks ---- */

static void put(uint8_t *bytes, unsigned pos, unsigned len, uint32_t v)
{
	for (unsigned i = 0; i < len; i++)
		bytes[pos + i] = (uint8_t)(v >> 8 * i);
}

/* What the function holds, and which of these bits it lets be changed. */
static void field(struct cfgspace *cfg, unsigned pos, unsigned len, uint32_t v, uint32_t rw)
{
	put(cfg->hw, pos, len, v);
	put(cfg->hw_rw, pos, len, rw);
}

/* How the client's accesses go. */
static void rule(struct cfgspace *cfg, unsigned pos, unsigned len, uint32_t is_virt,
		 uint32_t writable)
{
	put(cfg->is_virt, pos, len, is_virt);
	put(cfg->writable, pos, len, writable);
}

#define ALL UINT32_MAX

static void add_cap(struct cfgspace *cfg, enum cfg_kind kind, unsigned start, unsigned len)
{
	cfg->caps[cfg->n_caps++] = (struct cfg_cap){ kind, start, len };
	/* No longer raw: from here only what a rule() allows can be written. */
	memset(cfg->writable + start, 0, len);
}

/* Links a capability into the list and claims its bytes; PCI-228. */
static unsigned add_std(struct cfgspace *cfg, enum cfg_kind kind, unsigned id,
			unsigned start, unsigned len, unsigned link)
{
	add_cap(cfg, kind, start, len);
	cfg->hw[start] = (uint8_t)id;
	cfg->hw[link] = (uint8_t)start;
	rule(cfg, start + PCI_CAP_LIST_NEXT, 1, ALL, 0);
	return start + PCI_CAP_LIST_NEXT;
}

/* ---- header, 12.1 ---- */

static void build_bars(struct cfgspace *cfg, const struct cused_pci *pci,
		       const uint64_t bars[CFG_BARS])
{
	for (unsigned i = 0; i < CUSED_PCI_BARS; i++) {
		const struct cused_bar *bar = &pci->bars[i];
		unsigned pos = PCI_BASE_ADDRESS_0 + 4 * i;

		if (!bar->size)
			continue;
		cfg->bar_size[i] = bar->size;
		if (bar->flags & CUSED_BAR_IO)
			cfg->bar_type[i] = PCI_BASE_ADDRESS_SPACE_IO;
		if (bar->flags & CUSED_BAR_PREFETCH)
			cfg->bar_type[i] |= PCI_BASE_ADDRESS_MEM_PREFETCH;
		if (bar->flags & CUSED_BAR_64)
			cfg->bar_type[i] |= PCI_BASE_ADDRESS_MEM_TYPE_64;
		field(cfg, pos, 4, (uint32_t)bars[i] | cfg->bar_type[i], 0);
		if (bar->flags & CUSED_BAR_64)
			field(cfg, pos + 4, 4, (uint32_t)(bars[i] >> 32), 0);
	}
	if (pci->rom) {
		cfg->bar_size[CFG_ROM] = 2048;	/* the smallest that bits 31…11 can say */
		while (cfg->bar_size[CFG_ROM] < pci->rom_size)
			cfg->bar_size[CFG_ROM] <<= 1;
		field(cfg, PCI_ROM_ADDRESS, 4, (uint32_t)bars[CFG_ROM], 0);
	}
	rule(cfg, PCI_ROM_ADDRESS, 4, ALL, ALL);			/* PCI-215 */
	for (unsigned i = 0; i < CUSED_PCI_BARS; i++)
		rule(cfg, PCI_BASE_ADDRESS_0 + 4 * i, 4, ALL, ALL);	/* PCI-213 */
}

static void build_header(struct cfgspace *cfg, const struct cused_pci *pci,
			 const uint64_t bars[CFG_BARS])
{
	uint16_t decode = 0;

	add_cap(cfg, CFG_HEADER, 0, PCI_STD_HEADER_SIZEOF);
	for (unsigned i = 0; i < CUSED_PCI_BARS; i++)
		if (pci->bars[i].size)
			decode |= pci->bars[i].flags & CUSED_BAR_IO ? PCI_COMMAND_IO :
								      PCI_COMMAND_MEMORY;
	if (pci->rom)
		decode |= PCI_COMMAND_MEMORY;

	field(cfg, PCI_VENDOR_ID, 2, pci->vendor, 0);
	field(cfg, PCI_DEVICE_ID, 2, pci->device, 0);
	rule(cfg, PCI_VENDOR_ID, 4, ALL, 0);				/* PCI-207 */
	field(cfg, PCI_COMMAND, 2, decode,				/* PCI-012 */
	      decode | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR);
	rule(cfg, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE, ALL);	/* PCI-208 */
	rule(cfg, PCI_STATUS, 2, PCI_STATUS_CAP_LIST, 0);		/* PCI-209 */
	field(cfg, PCI_CLASS_REVISION, 4, pci->class_code << 8 | pci->revision, 0);
	field(cfg, PCI_CACHE_LINE_SIZE, 1, 0, ALL);
	rule(cfg, PCI_CACHE_LINE_SIZE, 2, 0, ALL);			/* PCI-211 */
	if (!pci->pcie)		/* PCI Express 7.5.1.1.6: hardwired to 0 */
		field(cfg, PCI_LATENCY_TIMER, 1, 0, ALL);
	rule(cfg, PCI_BIST, 1, 0, ALL);
	build_bars(cfg, pci, bars);
	field(cfg, PCI_SUBSYSTEM_VENDOR_ID, 2, pci->subvendor, 0);
	field(cfg, PCI_SUBSYSTEM_ID, 2, pci->subdevice, 0);
	rule(cfg, PCI_CAPABILITY_LIST, 1, ALL, 0);			/* PCI-216 */
	rule(cfg, PCI_INTERRUPT_LINE, 1, ALL, ALL);			/* PCI-218 */
	field(cfg, PCI_INTERRUPT_LINE, 1, pci->interrupt_pin ? 0xff : 0, ALL);
	field(cfg, PCI_INTERRUPT_PIN, 1, pci->interrupt_pin, 0);
	rule(cfg, PCI_INTERRUPT_PIN, 1, ALL, 0);			/* PCI-219 */
}

/* ---- standard capabilities, 12.2 ---- */

static unsigned build_pm(struct cfgspace *cfg, unsigned link)
{
	unsigned at = 0x40;

	link = add_std(cfg, CFG_PM, PCI_CAP_ID_PM, at, PCI_PM_SIZEOF, link);
	/* Version 3, no PME. No soft reset: D3hot to D0 keeps the registers. */
	field(cfg, at + PCI_PM_PMC, 2, 3, 0);
	field(cfg, at + PCI_PM_CTRL, 2, PCI_PM_CTRL_NO_SOFT_RESET, 0);
	rule(cfg, at + PCI_PM_PMC, 2, PCI_PM_CAP_PME_MASK, 0);		/* PCI-229 */
	rule(cfg, at + PCI_PM_CTRL, 4, PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS,
	     ~(uint32_t)(PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS |
			 PCI_PM_CTRL_STATE_MASK));
	return link;
}

static unsigned build_msi(struct cfgspace *cfg, const struct cused_pci *pci, unsigned link)
{
	unsigned at = 0x50, log2 = (unsigned)__builtin_ctz(pci->msi.vectors);
	unsigned len = pci->msi.maskable ? PCI_MSI_PENDING_64 + 4 : PCI_MSI_DATA_64 + 2;
	uint32_t bits = pci->msi.vectors == 32 ? ALL : (1u << pci->msi.vectors) - 1;

	link = add_std(cfg, CFG_MSI, PCI_CAP_ID_MSI, at, len, link);
	field(cfg, at + PCI_MSI_FLAGS, 2,
	      PCI_MSI_FLAGS_64BIT | log2 << 1 |
		      (pci->msi.maskable ? PCI_MSI_FLAGS_MASKBIT : 0),
	      PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
	rule(cfg, at + PCI_MSI_FLAGS, 1, ALL, ALL);			/* PCI-232 */
	rule(cfg, at + PCI_MSI_ADDRESS_LO, 4, ALL, ALL);
	rule(cfg, at + PCI_MSI_ADDRESS_HI, 4, ALL, ALL);
	rule(cfg, at + PCI_MSI_DATA_64, 2, ALL, ALL);
	if (pci->msi.maskable) {
		field(cfg, at + PCI_MSI_MASK_64, 4, 0, bits);
		rule(cfg, at + PCI_MSI_MASK_64, 4, 0, ALL);
		rule(cfg, at + PCI_MSI_PENDING_64, 4, 0, ALL);
	}
	return link;
}

static unsigned build_exp(struct cfgspace *cfg, const struct cused_pci *pci, unsigned link)
{
	unsigned at = 0x70;

	link = add_std(cfg, CFG_EXP, PCI_CAP_ID_EXP, at, EXP_V2_SIZE, link);
	field(cfg, at + PCI_EXP_FLAGS, 2, 2 | PCI_EXP_TYPE_ENDPOINT << 4, 0);
	field(cfg, at + PCI_EXP_DEVCAP, 4,
	      PCI_EXP_DEVCAP_RBER | (pci->flr ? PCI_EXP_DEVCAP_FLR : 0), 0);
	/* Relaxed ordering, no snoop, 512-byte read requests: the power-on defaults. */
	field(cfg, at + PCI_EXP_DEVCTL, 2,
	      PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN | PCI_EXP_DEVCTL_READRQ_512B,
	      PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE |
		      PCI_EXP_DEVCTL_URRE | PCI_EXP_DEVCTL_RELAX_EN |
		      PCI_EXP_DEVCTL_NOSNOOP_EN);
	rule(cfg, at + PCI_EXP_DEVCTL, 2,				/* PCI-236 */
	     PCI_EXP_DEVCTL_BCR_FLR | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_READRQ,
	     ~(uint32_t)PCI_EXP_DEVCTL_PHANTOM);
	/* A link of 8 GT/s by four lanes, up. */
	field(cfg, at + PCI_EXP_LNKCAP, 4, PCI_EXP_LNKCAP_SLS_8_0GB | 4 << 4, 0);
	field(cfg, at + PCI_EXP_LNKSTA, 2, PCI_EXP_LNKSTA_CLS_8_0GB | 4 << 4, 0);
	field(cfg, at + PCI_EXP_DEVCAP2, 4, PCI_EXP_DEVCAP2_COMP_TMOUT_DIS, 0);
	field(cfg, at + PCI_EXP_DEVCTL2, 2, 0, PCI_EXP_DEVCTL2_COMP_TMOUT_DIS);
	rule(cfg, at + PCI_EXP_DEVCTL2, 2, 0, ~(uint32_t)PCI_EXP_DEVCTL2_ARI);
	field(cfg, at + PCI_EXP_LNKCAP2, 4,
	      PCI_EXP_LNKCAP2_SLS_2_5GB | PCI_EXP_LNKCAP2_SLS_5_0GB | PCI_EXP_LNKCAP2_SLS_8_0GB,
	      0);
	field(cfg, at + PCI_EXP_LNKCTL2, 2, PCI_EXP_LNKCTL2_TLS_8_0GT, 0);
	return link;
}

static unsigned build_msix(struct cfgspace *cfg, const struct cused_pci *pci, unsigned link)
{
	unsigned at = 0xb0;

	link = add_std(cfg, CFG_MSIX, PCI_CAP_ID_MSIX, at, PCI_CAP_MSIX_SIZEOF, link);
	field(cfg, at + PCI_MSIX_FLAGS, 2, pci->msix.vectors - 1u, 0);
	field(cfg, at + PCI_MSIX_TABLE, 4, pci->msix.table_offset | pci->msix.table_bar, 0);
	field(cfg, at + PCI_MSIX_PBA, 4, pci->msix.pba_offset | pci->msix.pba_bar, 0);
	return link;							/* PCI-237 */
}

static unsigned build_af(struct cfgspace *cfg, unsigned link)
{
	unsigned at = 0xc0;

	link = add_std(cfg, CFG_AF, PCI_CAP_ID_AF, at, PCI_CAP_AF_SIZEOF, link);
	field(cfg, at + PCI_AF_LENGTH, 1, PCI_CAP_AF_SIZEOF, 0);
	field(cfg, at + PCI_AF_CAP, 1, PCI_AF_CAP_TP | PCI_AF_CAP_FLR, 0);
	rule(cfg, at + PCI_AF_CTRL, 1, PCI_AF_CTRL_FLR, PCI_AF_CTRL_FLR);	/* PCI-239 */
	return link;
}

/* ---- extended capabilities, 12.3 ---- */

static void build_aer(struct cfgspace *cfg, unsigned at)
{
	/* Data link, poisoned, completion, overflow, malformed, unsupported request. */
	uint32_t unc = 0x001ff010, cor = 0x000031c1;

	add_cap(cfg, CFG_AER, at, PCI_ERR_ROOT_COMMAND);
	rule(cfg, at, 4, ALL, 0);					/* PCI-241 */
	put(cfg->hw_w1c, at + PCI_ERR_UNCOR_STATUS, 4, unc);
	rule(cfg, at + PCI_ERR_UNCOR_STATUS, 4, 0, unc);		/* PCI-242 */
	field(cfg, at + PCI_ERR_UNCOR_MASK, 4, 0, unc);
	rule(cfg, at + PCI_ERR_UNCOR_MASK, 4, 0, unc);
	field(cfg, at + PCI_ERR_UNCOR_SEVER, 4, 0x00062010, unc);
	rule(cfg, at + PCI_ERR_UNCOR_SEVER, 4, 0, unc);
	put(cfg->hw_w1c, at + PCI_ERR_COR_STATUS, 4, cor);
	rule(cfg, at + PCI_ERR_COR_STATUS, 4, 0, cor);
	field(cfg, at + PCI_ERR_COR_MASK, 4, PCI_ERR_COR_ADV_NFAT, cor);
	rule(cfg, at + PCI_ERR_COR_MASK, 4, 0, cor);
	rule(cfg, at + PCI_ERR_CAP, 4, 0, PCI_ERR_CAP_ECRC_GENE | PCI_ERR_CAP_ECRC_CHKE);
}

static void build_extended(struct cfgspace *cfg, const struct cused_pci *pci)
{
	unsigned aer = 0x100, dsn = 0x150;

	build_aer(cfg, aer);
	field(cfg, aer, 4, PCI_EXT_CAP_ID_ERR | 1 << 16 | (pci->serial ? dsn << 20 : 0), 0);
	if (!pci->serial)
		return;
	add_cap(cfg, CFG_DSN, dsn, PCI_EXT_CAP_DSN_SIZEOF);
	field(cfg, dsn, 4, PCI_EXT_CAP_ID_DSN | 1 << 16, 0);
	field(cfg, dsn + 4, 4, (uint32_t)pci->serial, 0);
	field(cfg, dsn + 8, 4, (uint32_t)(pci->serial >> 32), 0);
	rule(cfg, dsn, 4, ALL, 0);
}

void cfg_build(struct cfgspace *cfg, const struct cused_pci *pci,
	       const uint64_t bars[CFG_BARS])
{
	unsigned link = PCI_CAPABILITY_LIST;

	memset(cfg, 0, sizeof(*cfg));
	cfg->size = pci->pcie ? CFG_SIZE_PCIE : CFG_SIZE_PCI;
	memset(cfg->writable, 0xff, cfg->size);		/* raw until claimed */
	build_header(cfg, pci, bars);
	if (pci->pm)
		link = build_pm(cfg, link);
	if (pci->msi.vectors)
		link = build_msi(cfg, pci, link);
	if (pci->pcie)
		link = build_exp(cfg, pci, link);
	if (pci->msix.vectors)
		link = build_msix(cfg, pci, link);
	if (pci->flr && !pci->pcie)
		link = build_af(cfg, link);
	if (link != PCI_CAPABILITY_LIST)		/* PCI-227 */
		field(cfg, PCI_STATUS, 2, PCI_STATUS_CAP_LIST, 0);
	if (pci->pcie)
		build_extended(cfg, pci);
	memcpy(cfg->virt, cfg->hw, sizeof(cfg->virt));
	cfg->bars_dirty = true;
}
