/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cases of configuration space. Models of one device differ in what they hold, so what is
 * recorded is mostly which bits stay as they were written.
 */
#include "conf.h"

#define CONFIG VFIO_PCI_CONFIG_REGION_INDEX

static struct conf_files f;
static uint64_t config, memory;

static void open_it(void)
{
	f = conf_open(VFIO_TYPE1v2_IOMMU);
	config = conf_offset(f.device, CONFIG);
	memory = T->memory(1);
}

static const char *header_rows(unsigned at)
{
	return at < 4       ? "PCI-207"
	       : at < 6     ? "PCI-208"
	       : at < 8     ? "PCI-209"
	       : at < 12    ? "PCI-210"
	       : at == 14   ? "PCI-212"
	       : at < 16    ? "PCI-211"
	       : at < 0x28  ? "PCI-213 PCI-221"
	       : at < 0x30  ? "PCI-214"
	       : at < 0x34  ? "PCI-215 PCI-222"
	       : at == 0x34 ? "PCI-216"
	       : at < 0x3c  ? "PCI-217"
	       : at == 0x3c ? "PCI-218"
	       : at == 0x3d ? "PCI-219"
			    : "PCI-220";
}

/* Which bits of a field can be made one and zero; it is as before afterwards. */
static void try_bits(const char *rows, const char *what, unsigned at, unsigned len)
{
	uint32_t before = conf_cfg(f.device, at, len), ones, zeroes;
	int64_t r = conf_cfg_set(f.device, at, len, ~0u);

	ones = conf_cfg(f.device, at, len);
	conf_cfg_set(f.device, at, len, 0);
	zeroes = conf_cfg(f.device, at, len);
	conf_cfg_set(f.device, at, len, before);
	conf_step(rows, r, conf_text("bits 0x%0*x", (int)(2 * len), ones ^ zeroes),
		  "%s, %u bytes", what, len);
}

static void cfg_header(void)
{
	open_it();
	for (unsigned len = 1; len <= 4; len *= 2)
		for (unsigned at = 0; at < 0x40; at += len)
			try_bits(header_rows(at), conf_text("0x%02x", at), at, len);
	STEP("PCI-212", conf_cfg(f.device, 0xe, 1) & 0x7f, "header type");
	STEP("PCI-209", conf_cfg(f.device, 6, 2) & 0x10, "capability list");
	STEP("PCI-012", conf_cfg(f.device, 4, 2) & 0x406, "command");
	STEP("PCI-219", conf_cfg(f.device, 0x3d, 1), "interrupt pin");
}

/* Each bit of COMMAND on its own (PCI-208). */
static void cfg_command(void)
{
	open_it();
	for (unsigned bit = 0; bit < 16; bit++) {
		STEP("PCI-208", conf_cfg_set(f.device, 4, 2, 1u << bit), "write bit %u",
		     bit);
		STEP("PCI-208", conf_cfg(f.device, 4, 2), "read after bit %u", bit);
	}
	conf_cfg_set(f.device, 4, 2, 2);
	for (unsigned bit = 0; bit < 16; bit++) {
		uint32_t before = conf_cfg(f.device, 6, 2);

		conf_cfg_set(f.device, 6, 2, 1u << bit);
		STEP("PCI-209", conf_cfg(f.device, 6, 2) == before,
		     "status is the same, bit %u", bit);
	}
}

static void cfg_bars(void)
{
	static const uint32_t values[] = { 0, 0xffffffff, 0xfffffff0,
					   0xf, 0x12345678, 0x80000000,
					   0xfffff801, 0x100000, 0xfe000004 };

	open_it();
	for (unsigned at = 0x10; at <= 0x30; at += at == 0x24 ? 12 : 4)
		for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
			STEP("PCI-213 PCI-215", conf_cfg_set(f.device, at, 4, values[i]),
			     "write 0x%x at 0x%x", values[i], at);
			conf_step("PCI-221 PCI-222 PCI-223", 0,
				  conf_text("0x%08x, next 0x%08x",
					    conf_cfg(f.device, at, 4),
					    conf_cfg(f.device, at + 4, 4)),
				  "0x%x after 0x%x", at, values[i]);
			STEP("PCI-213", conf_cfg_set(f.device, at + 1, 1, 0xa5),
			     "write a byte at 0x%x", at + 1);
			conf_step("PCI-221", 0,
				  conf_text("0x%08x", conf_cfg(f.device, at, 4)),
				  "0x%x after a byte, after 0x%x", at, values[i]);
		}
	/* The regions are where they were. */
	STEP("PCI-213", T->pread(f.device, memory, 4, conf_offset(f.device, 0)),
	     "BAR 0 is read");
}

/* Any width at any place is split, never refused (PCI-192). */
static void cfg_widths(void)
{
	uint8_t bytes[64];

	open_it();
	for (unsigned at = 0; at < 64; at++)
		bytes[at] = (uint8_t)conf_cfg(f.device, at, 1);
	for (unsigned at = 0; at < 20; at++)
		for (unsigned len = 0; len < 20; len++) {
			int64_t r = T->pread(f.device, memory, len, config + at);

			conf_step("PCI-192", r,
				  memcmp(conf_at(memory), bytes + at, len) ? "other bytes"
									   : "the bytes",
				  "read %u at %u", len, at);
		}
	for (unsigned at = 0; at < 4; at++)
		for (unsigned len = 0; len < 12; len++)
			STEP("PCI-192 PCI-207",
			     T->pwrite(f.device, memory, len, config + 0x28 + at),
			     "write %u at 0x%x", len, 0x28 + at);
	STEP("PCI-192", T->pread(f.device, memory, 256, config), "read 256");
	STEP("PCI-191", T->pread(f.device, memory, PAGE, config), "read %u", PAGE);
}

/* ---- capabilities ---- */

static const struct { uint8_t id, len; const char *rows, *name;
} caps[] = {
	{ 0x01, 8, "PCI-228 PCI-229", "PM" },
	{ 0x05, 14, "PCI-228 PCI-232", "MSI" },
	{ 0x10, 52, "PCI-228 PCI-236", "PCI Express" },
	{ 0x11, 12, "PCI-228 PCI-237", "MSI-X" },
};

static void cfg_capabilities(void)
{
	open_it();
	for (size_t i = 0; i < sizeof(caps) / sizeof(*caps); i++) {
		unsigned at = conf_cap(f.device, caps[i].id);

		STEP(caps[i].rows, at != 0, "has %s", caps[i].name);
		/* Not the FLR bit, which would make the next answer late: see cfg_flr. */
		for (unsigned n = 0; at && n < caps[i].len; n++)
			if (caps[i].id != 0x10 || n != 9)
				try_bits(caps[i].rows,
					 conf_text("%s + %u", caps[i].name, n), at + n, 1);
		for (unsigned n = 0; at && n + 2 <= caps[i].len; n += 2)
			if (caps[i].id != 0x10 || n != 8)
				try_bits(caps[i].rows,
					 conf_text("%s + %u", caps[i].name, n), at + n, 2);
	}
	STEP("PCI-241", conf_cfg(f.device, 0xfc, 4) == 0xffffffff,
	     "the last dword is all ones");
}

static void cfg_flr(void)
{
	unsigned at;

	open_it();
	at = conf_cap(f.device, 0x10);
	if (!at)
		conf_skip("no PCI Express capability");
	conf_cfg_set(f.device, 0x3c, 1, 0x77);
	conf_cfg_set(f.device, at + 8, 2, 0x8000 | conf_cfg(f.device, at + 8, 2));
	STEP("PCI-236", conf_cfg(f.device, at + 8, 2) & 0x8000, "the FLR bit");
	STEP("PCI-236", conf_cfg(f.device, 0x3c, 1), "interrupt line after FLR");
	STEP("PCI-236", T->pread(f.device, memory, 4, conf_offset(f.device, 0)),
	     "BAR 0 after FLR");
	for (uint32_t size = 0; size < 8; size++) {
		conf_cfg_set(f.device, at + 8, 2, size << 5);
		STEP("PCI-236", conf_cfg(f.device, at + 8, 2) >> 5 & 7, "payload size %u",
		     size);
		conf_cfg_set(f.device, at + 8, 2, size << 12 & 0x7000);
		STEP("PCI-236", conf_cfg(f.device, at + 8, 2) >> 12 & 7,
		     "read request size %u", size);
	}
}

/* D3hot and back (PCI-199 PCI-229). */
static void cfg_power(void)
{
	static const uint8_t states[] = { 0, 1, 2, 3, 0, 3, 3, 0 };
	unsigned at;

	open_it();
	at = conf_cap(f.device, 1);
	if (!at)
		conf_skip("no power management capability");
	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
		STEP("PCI-229", conf_cfg_set(f.device, at + 4, 2, states[i]), "to D%u",
		     states[i]);
		STEP("PCI-229", conf_cfg(f.device, at + 4, 2) & 3, "state (%zu)", i);
		STEP("PCI-199 PCI-229",
		     T->pread(f.device, memory, 4, conf_offset(f.device, 0)), "BAR 0 (%zu)",
		     i);
		STEP("PCI-229", conf_cfg(f.device, 4, 2) & 2, "memory enable (%zu)", i);
	}
	conf_cfg_set(f.device, at + 4, 2, 3);
	STEP("PCI-229", T->ioctl(f.device, VFIO_DEVICE_RESET, 0), "RESET in D3hot");
	STEP("PCI-229", conf_cfg(f.device, at + 4, 2) & 3, "state after RESET");
	STEP("PCI-158", conf_cfg_set(f.device, at + 4, 1, 0), "to D0 by a byte");
	STEP("PCI-229", conf_cfg(f.device, at + 4, 2) & 3, "state after it");
}

/* What a first open begins with, whatever the last client wrote (PCI-011 PCI-014). */
static void cfg_reopened(void)
{
	open_it();
	STEP("PCI-012", conf_cfg(f.device, 4, 2) & 0x406, "command");
	conf_cfg_set(f.device, 4, 2, 0x405);
	conf_cfg_set(f.device, 0x3c, 1, 0x99);
	conf_cfg_set(f.device, 0x10, 4, 0x55500000);
	T->close(f.device);
	f.device = conf_get_device(f.group, conf_where.bdf[0]);
	STEP("PCI-011 PCI-012", conf_cfg(f.device, 4, 2) & 0x406, "command, opened again");
	STEP("PCI-011", conf_cfg(f.device, 0x3c, 1) == 0x99,
	     "interrupt line, opened again");
	STEP("PCI-011", conf_cfg(f.device, 0x10, 4) >> 20 == 0x555, "BAR 0, opened again");
}

/* A second file of the device is the same device (PCI-013). */
static void cfg_second_file(void)
{
	int second;

	open_it();
	conf_cfg_set(f.device, 0x3c, 1, 0x99);
	conf_cfg_set(f.device, 4, 2, 0x404);
	second = conf_get_device(f.group, conf_where.bdf[0]);
	STEP("PCI-013", conf_cfg(second, 0x3c, 1), "interrupt line");
	STEP("PCI-013", conf_cfg(second, 4, 2) & 0x406, "command");
	conf_cfg_set(second, 0x3c, 1, 0x11);
	STEP("PCI-013", T->close(second), "close of the second");
	STEP("PCI-013", conf_cfg(f.device, 0x3c, 1), "interrupt line, by the first");
	STEP("PCI-013", conf_cfg(f.device, 4, 2) & 0x406, "command, by the first");
}

const struct conf_case cases_cfgspace[] = {
	CASE(cfg_header, "PCI-207 to PCI-222"),
	CASE(cfg_command, "PCI-208 PCI-209"),
	CASE(cfg_bars, "PCI-213 PCI-215 PCI-221 to PCI-223"),
	CASE(cfg_widths, "PCI-191 PCI-192", .needs = MANY_STEPS),
	CASE(cfg_capabilities, "PCI-228 to PCI-237"),
	CASE(cfg_flr, "PCI-236"),
	CASE(cfg_power, "PCI-199 PCI-229"),
	CASE(cfg_reopened, "PCI-011 PCI-012 PCI-014"),
	CASE(cfg_second_file, "PCI-013"),
	{ .name = NULL },
};
