/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include <linux/pci_regs.h>

#include <core/cfgspace.h>

static uint32_t get(const uint8_t *bytes, unsigned pos, unsigned len)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < len; i++)
		v |= (uint32_t)bytes[pos + i] << 8 * i;
	return v;
}

static void put(uint8_t *bytes, unsigned pos, unsigned len, uint32_t v)
{
	for (unsigned i = 0; i < len; i++)
		bytes[pos + i] = (uint8_t)(v >> 8 * i);
}

/* Replace the bits of @mask in one byte. */
static void merge(uint8_t *byte, uint8_t v, uint8_t mask)
{
	*byte = (uint8_t)((*byte & ~mask) | (v & mask));
}

static const struct cfg_cap *cap_at(const struct cfgspace *cfg, unsigned pos)
{
	for (unsigned i = 0; i < cfg->n_caps; i++)
		if (pos - cfg->caps[i].start < cfg->caps[i].len)
			return &cfg->caps[i];
	return NULL;
}

unsigned cfgspace_find(const struct cfgspace *cfg, enum cfg_kind kind)
{
	for (unsigned i = 0; i < cfg->n_caps; i++)
		if (cfg->caps[i].kind == kind)
			return cfg->caps[i].start;
	return 0;
}

/* The piece that an access at @pos begins with: within a dword, aligned, and on one side
 * of a capability's edges. */
static unsigned piece_at(const struct cfgspace *cfg, unsigned pos, size_t len)
{
	const struct cfg_cap *cap = cap_at(cfg, pos);
	unsigned n = 4 - pos % 4;

	if (n > len)
		n = (unsigned)len;
	for (unsigned i = 1; i < n; i++)
		if (cap_at(cfg, pos + i) != cap) {
			n = i;
			break;
		}
	if (n >= 4)
		return 4;
	return n >= 2 && pos % 2 == 0 ? 2 : 1;
}

/* ---- state that the masks cannot say ---- */

static uint16_t virt_command(const struct cfgspace *cfg)
{
	return (uint16_t)get(cfg->virt, PCI_COMMAND, 2);
}

bool cfgspace_d3hot(const struct cfgspace *cfg)
{
	unsigned pm = cfgspace_find(cfg, CFG_PM);

	return pm && (cfg->hw[pm + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK) == 3;
}

bool cfgspace_memory_enabled(const struct cfgspace *cfg)
{
	return (virt_command(cfg) & PCI_COMMAND_MEMORY) && !cfgspace_d3hot(cfg);
}

bool cfgspace_bus_master(const struct cfgspace *cfg)
{
	return cfg->hw[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

bool cfgspace_intx_disabled(const struct cfgspace *cfg)
{
	return virt_command(cfg) & PCI_COMMAND_INTX_DISABLE;
}

static void set_power(struct cfgspace *cfg, unsigned state)
{
	unsigned pm = cfgspace_find(cfg, CFG_PM);

	if (pm)
		merge(&cfg->hw[pm + PCI_PM_CTRL], (uint8_t)state, PCI_PM_CTRL_STATE_MASK);
}

void cfgspace_power_up(struct cfgspace *cfg)
{
	set_power(cfg, 0);
}

void cfgspace_set_msi(struct cfgspace *cfg, unsigned n)
{
	unsigned at = cfgspace_find(cfg, CFG_MSI);
	unsigned log2 = 0;

	while (1u << log2 < n)
		log2++;
	cfg->msi_mode = n > 0;
	cfg->msi_qmax = log2;
	if (at)
		put(cfg->hw, at + PCI_MSI_FLAGS, 2,
		    (get(cfg->hw, at + PCI_MSI_FLAGS, 2) &
		     ~(uint32_t)(PCI_MSI_FLAGS_QSIZE | PCI_MSI_FLAGS_ENABLE)) |
			    log2 << 4 | (n ? PCI_MSI_FLAGS_ENABLE : 0));
}

bool cfgspace_msi_enabled(const struct cfgspace *cfg)
{
	unsigned at = cfgspace_find(cfg, CFG_MSI);

	return at && (cfg->hw[at + PCI_MSI_FLAGS] & PCI_MSI_FLAGS_ENABLE);
}

bool cfgspace_msi_maskable(const struct cfgspace *cfg)
{
	unsigned at = cfgspace_find(cfg, CFG_MSI);

	return at && (get(cfg->hw, at + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_MASKBIT);
}

uint32_t cfgspace_msi_mask(const struct cfgspace *cfg)
{
	return cfgspace_msi_maskable(cfg) ?
		       get(cfg->hw, cfgspace_find(cfg, CFG_MSI) + PCI_MSI_MASK_64, 4) :
		       0;
}

void cfgspace_set_msi_mask(struct cfgspace *cfg, uint32_t mask)
{
	if (cfgspace_msi_maskable(cfg))
		put(cfg->hw, cfgspace_find(cfg, CFG_MSI) + PCI_MSI_MASK_64, 4, mask);
}

void cfgspace_set_msi_pending(struct cfgspace *cfg, uint32_t pending)
{
	if (cfgspace_msi_maskable(cfg))
		put(cfg->hw, cfgspace_find(cfg, CFG_MSI) + PCI_MSI_PENDING_64, 4, pending);
}

void cfgspace_set_msix(struct cfgspace *cfg, bool on)
{
	unsigned at = cfgspace_find(cfg, CFG_MSIX);

	if (at)
		merge(&cfg->hw[at + PCI_MSIX_FLAGS + 1],
		      (uint8_t)(on ? PCI_MSIX_FLAGS_ENABLE >> 8 : 0),
		      PCI_MSIX_FLAGS_ENABLE >> 8);
}

void cfgspace_set_intx_status(struct cfgspace *cfg, bool asserted)
{
	merge(&cfg->hw[PCI_STATUS], asserted ? PCI_STATUS_INTERRUPT : 0,
	      PCI_STATUS_INTERRUPT);
}

/* ---- BARs, PCI-221 … PCI-223 ---- */

static void fix_bars(struct cfgspace *cfg)
{
	for (unsigned i = 0; i < CUSED_PCI_BARS; i++) {
		unsigned pos = PCI_BASE_ADDRESS_0 + 4 * i;
		uint64_t mask = ~(cfg->bar_size[i] - 1);

		if (!cfg->bar_size[i]) {
			put(cfg->virt, pos, 4, 0);
			continue;
		}
		put(cfg->virt, pos, 4,
		    (get(cfg->virt, pos, 4) & (uint32_t)mask) | cfg->bar_type[i]);
		/* PCI-223: Linux looks at the bit alone, so that 4 bytes of I/O written with
		 * it set pass for 64 bits wide. */
		if (get(cfg->virt, pos, 4) & PCI_BASE_ADDRESS_MEM_TYPE_64) {
			pos += 4;
			i++;
			put(cfg->virt, pos, 4,
			    get(cfg->virt, pos, 4) & (uint32_t)(mask >> 32));
		}
	}
	/* PCI-222 */
	if (cfg->bar_size[CFG_ROM])
		put(cfg->virt, PCI_ROM_ADDRESS, 4,
		    get(cfg->virt, PCI_ROM_ADDRESS, 4) &
			    ((uint32_t)~(cfg->bar_size[CFG_ROM] - 1) |
			     PCI_ROM_ADDRESS_ENABLE));
	else
		put(cfg->virt, PCI_ROM_ADDRESS, 4, 0);
	cfg->bars_dirty = false;
}

/* Linux treats everything from BAR0 to the dword of the ROM BAR's end alike. */
static bool touches_bars(unsigned pos)
{
	return (pos >= PCI_BASE_ADDRESS_0 && pos < PCI_BASE_ADDRESS_0 + 4 * CUSED_PCI_BARS) ||
	       (pos >= PCI_ROM_ADDRESS && pos < PCI_ROM_ADDRESS + 4);
}

/* ---- what a write does beyond keeping bits ---- */

static unsigned wrote_header(struct cfgspace *cfg, unsigned pos, unsigned len, uint32_t v)
{
	const uint16_t decode = PCI_COMMAND_MEMORY | PCI_COMMAND_IO;

	if (touches_bars(pos))
		cfg->bars_dirty = true;
	if (pos == PCI_COMMAND)			/* PCI-224: only if it starts here */
		put(cfg->virt, PCI_COMMAND, 2, (virt_command(cfg) & ~decode) | (v & decode));
	return pos == PCI_COMMAND || pos == PCI_COMMAND + 1 ? CFG_EFFECT_INTX : 0;
}

/* PCI-229. There is no D1 and no D2: the kernel refuses them and nothing changes. */
static unsigned wrote_pm(struct cfgspace *cfg, unsigned off, uint32_t v)
{
	unsigned state = v & PCI_PM_CTRL_STATE_MASK;

	if (off != PCI_PM_CTRL || (state != 0 && state != 3))
		return 0;
	set_power(cfg, state);
	return CFG_EFFECT_POWER;
}

/* PCI-232. Enabling is SET_IRQS' business, and it decides how many. */
static unsigned wrote_msi(struct cfgspace *cfg, unsigned start, unsigned off, unsigned len)
{
	uint32_t flags = get(cfg->virt, start + PCI_MSI_FLAGS, 2);
	uint32_t kept;

	if (off >= PCI_MSI_FLAGS + 2 || off + len <= PCI_MSI_FLAGS)
		return CFG_EFFECT_MSI;
	if (!cfg->msi_mode)
		flags &= ~(uint32_t)PCI_MSI_FLAGS_ENABLE;
	if ((flags & PCI_MSI_FLAGS_QSIZE) >> 4 > cfg->msi_qmax)
		flags = (flags & ~(uint32_t)PCI_MSI_FLAGS_QSIZE) | cfg->msi_qmax << 4;
	put(cfg->virt, start + PCI_MSI_FLAGS, 2, flags);
	kept = get(cfg->hw_rw, start + PCI_MSI_FLAGS, 2);
	put(cfg->hw, start + PCI_MSI_FLAGS, 2,
	    (get(cfg->hw, start + PCI_MSI_FLAGS, 2) & ~kept) | (flags & kept));
	return CFG_EFFECT_MSI;
}

/* PCI-236 */
static unsigned wrote_exp(struct cfgspace *cfg, unsigned start)
{
	uint8_t *ctl = &cfg->virt[start + PCI_EXP_DEVCTL];
	const uint8_t flr = PCI_EXP_DEVCTL_BCR_FLR >> 8, readrq = PCI_EXP_DEVCTL_READRQ >> 8;
	bool reset = (ctl[1] & flr) &&
		     (get(cfg->hw, start + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);

	ctl[1] &= (uint8_t)~flr;
	/* The payload size in hw is 128 bytes, the smallest read request: any will do. */
	merge(&cfg->hw[start + PCI_EXP_DEVCTL + 1], ctl[1], readrq);
	return reset ? CFG_EFFECT_RESET : 0;
}

/* PCI-239 */
static unsigned wrote_af(struct cfgspace *cfg, unsigned start)
{
	uint8_t *ctl = &cfg->virt[start + PCI_AF_CTRL];
	bool reset = *ctl & PCI_AF_CTRL_FLR;

	*ctl &= (uint8_t)~PCI_AF_CTRL_FLR;
	return reset ? CFG_EFFECT_RESET : 0;
}

static unsigned run_hook(struct cfgspace *cfg, unsigned pos, unsigned len, uint32_t v)
{
	const struct cfg_cap *cap = cap_at(cfg, pos);

	if (!cap)
		return 0;
	switch (cap->kind) {
	case CFG_HEADER:
		return wrote_header(cfg, pos, len, v);
	case CFG_PM:
		return wrote_pm(cfg, pos - cap->start, v);
	case CFG_MSI:
		return wrote_msi(cfg, cap->start, pos - cap->start, len);
	case CFG_EXP:
		return wrote_exp(cfg, cap->start);
	case CFG_AF:
		return wrote_af(cfg, cap->start);
	default:
		return 0;
	}
}

/* ---- accesses ---- */

size_t cfgspace_read(struct cfgspace *cfg, unsigned pos, uint8_t *buf, size_t len)
{
	unsigned n = piece_at(cfg, pos, len);

	if (cfg->bars_dirty && pos < PCI_STD_HEADER_SIZEOF)
		fix_bars(cfg);
	for (unsigned i = 0; i < n; i++) {
		uint8_t is_virt = cfg->is_virt[pos + i];

		buf[i] = (uint8_t)((cfg->virt[pos + i] & is_virt) |
				   (cfg->hw[pos + i] & ~is_virt));
	}
	return n;
}

size_t cfgspace_write(struct cfgspace *cfg, unsigned pos, const uint8_t *buf, size_t len,
		      unsigned *ret_effects)
{
	unsigned n = piece_at(cfg, pos, len);

	for (unsigned i = 0; i < n; i++) {
		unsigned p = pos + i;
		uint8_t through = (uint8_t)(cfg->writable[p] & ~cfg->is_virt[p]);

		merge(&cfg->virt[p], buf[i], cfg->writable[p] & cfg->is_virt[p]);
		cfg->hw[p] &= (uint8_t)~(buf[i] & through & cfg->hw_w1c[p]);
		merge(&cfg->hw[p], buf[i], through & cfg->hw_rw[p]);
	}
	*ret_effects = run_hook(cfg, pos, n, get(buf, 0, n));
	return n;
}
