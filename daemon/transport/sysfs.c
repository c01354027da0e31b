/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/sysfs.c - the plan: which files a client has to find under /sys.
 *
 * What is in it was taken from a device bound to vfio-pci on a real kernel, less what
 * would promise something that is not there: no vfio-dev (there are no device nodes, so
 * that clients take the group path), no power/ and link/ directories. Depth of links is
 * that of the kernel's, because clients both resolve them and cut their text.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <util/cleanup.h>

#include "sysfs_internal.h"

/* SD-016: fixed by the kernel. SD-017: dynamic there; the last of the dynamic range. */
#define MISC_MAJOR 10
#define VFIO_MINOR 196
#define GROUP_MAJOR 511

/* Bits of a line of "resource" (linux/ioport.h). */
#define RES_IO 0x100u
#define RES_MEM 0x200u
#define RES_PREFETCH 0x2000u
#define RES_READONLY 0x4000u
#define RES_SIZEALIGN 0x40000u
#define RES_MEM_64 0x100000u

#define PCI_CAP_PCIE 0x10

/* ---- the tree ---- */

static void node_free_children(struct sysfs_node *node)
{
	struct sysfs_node *next;

	for (struct sysfs_node *child = node->children; child; child = next) {
		next = child->next;
		node_free_children(child);
		free(child->name);
		free(child->data);
		free(child);
	}
}

static struct sysfs_node *node_child(const struct sysfs_node *dir, const char *name,
				     size_t len)
{
	for (struct sysfs_node *child = dir->children; child; child = child->next)
		if (!strncmp(child->name, name, len) && !child->name[len])
			return child;
	return NULL;
}

/* The child of that name, made if there is none; NULL if @dir is NULL or memory is out. */
static struct sysfs_node *node_add(struct sysfs_plan *plan, struct sysfs_node *dir,
				   enum sysfs_kind kind, const char *name, size_t len)
{
	struct sysfs_node *node, **end;

	if (!dir)
		return NULL;
	node = node_child(dir, name, len);
	if (node)
		return node;
	node = calloc(1, sizeof(*node));
	if (node)
		node->name = strndup(name, len);
	if (!node || !node->name) {
		free(node);
		plan->failed = true;
		return NULL;
	}
	node->kind = kind;
	for (end = &dir->children; *end; end = &(*end)->next)
		;
	*end = node;
	return node;
}

/* A directory by its path from @dir, with all that lead to it. */
__attribute__((format(printf, 3, 4)))
static struct sysfs_node *add_dir(struct sysfs_plan *plan, struct sysfs_node *dir,
				  const char *fmt, ...)
{
	char path[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");

		dir = node_add(plan, dir, SYSFS_DIR, p, len);
		p += len + (p[len] == '/');
	}
	return dir;
}

static struct sysfs_node *add_bytes(struct sysfs_plan *plan, struct sysfs_node *dir,
				    enum sysfs_kind kind, const char *name, unsigned mode,
				    const void *data, size_t len)
{
	struct sysfs_node *node = node_add(plan, dir, kind, name, strlen(name));

	if (!node)
		return NULL;
	free(node->data);
	node->data = malloc(len + 1);
	if (!node->data) {
		plan->failed = true;
		return NULL;
	}
	if (len)
		memcpy(node->data, data, len);
	node->data[len] = '\0';
	node->len = len;
	node->size = len;
	node->mode = mode;
	return node;
}

__attribute__((format(printf, 5, 6)))
static void add_file(struct sysfs_plan *plan, struct sysfs_node *dir, const char *name,
		     unsigned mode, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add_bytes(plan, dir, SYSFS_FILE, name, mode, text,
		  n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

__attribute__((format(printf, 4, 5)))
static void add_link(struct sysfs_plan *plan, struct sysfs_node *dir, const char *name,
		     const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add_bytes(plan, dir, SYSFS_LINK, name, 0777, text, strlen(text));
}

/* ---- one device ---- */

struct names {
	char bus[16];		/* "pci0000:01" */
	char bdf[16];		/* "0000:01:00.0" */
};

static struct names device_names(const struct sysfs_device *device)
{
	const struct pci_address *a = &device->address;
	struct names names;

	snprintf(names.bus, sizeof(names.bus), "pci%04x:%02x", a->segment, a->bus);
	snprintf(names.bdf, sizeof(names.bdf), "%04x:%02x:%02x.%x", a->segment, a->bus,
		 a->slot, a->function);
	return names;
}

static uint64_t resource_flags(const struct sysfs_device *device, unsigned bar)
{
	unsigned flags;

	if (bar == CUSED_PCI_BARS)
		return RES_MEM | RES_SIZEALIGN | RES_PREFETCH | RES_READONLY;
	flags = device->pci.bars[bar].flags;
	/* The low bits are those of the base address register itself. */
	if (flags & CUSED_BAR_IO)
		return RES_IO | RES_SIZEALIGN | 1;
	return RES_MEM | RES_SIZEALIGN |
	       (flags & CUSED_BAR_64 ? RES_MEM_64 | 4 : 0) |
	       (flags & CUSED_BAR_PREFETCH ? RES_PREFETCH | 8 : 0);
}

static bool has_bar(const struct sysfs_device *device, unsigned bar)
{
	return device->bars[bar].first < device->bars[bar].last;
}

/* "resource" and, with the size of the region but no access, resource0 … and rom: bytes
 * read there would not be the device's. */
static void add_resources(struct sysfs_plan *plan, struct sysfs_node *dir,
			  const struct sysfs_device *device)
{
	struct sysfs_node *node;
	char text[7 * 57 + 1], name[16];
	size_t at = 0;

	for (unsigned bar = 0; bar < 7; bar++) {
		bool has = has_bar(device, bar);

		at += (size_t)snprintf(text + at, sizeof(text) - at,
			"0x%016llx 0x%016llx 0x%016llx\n",
			has ? (unsigned long long)device->bars[bar].first : 0,
			has ? (unsigned long long)device->bars[bar].last : 0,
			has ? (unsigned long long)resource_flags(device, bar) : 0);
		if (!has)
			continue;
		snprintf(name, sizeof(name), bar < CUSED_PCI_BARS ? "resource%u" : "rom", bar);
		node = add_bytes(plan, dir, SYSFS_FILE, name, 0, NULL, 0);
		if (node)
			node->size = device->bars[bar].last - device->bars[bar].first + 1;
	}
	add_file(plan, dir, "resource", 0444, "%s", text);
}

static unsigned config_word(const struct sysfs_device *device, unsigned offset)
{
	return device->config[offset] | (unsigned)device->config[offset + 1] << 8;
}

/* Offset of the PCI Express capability, 0 if there is none. */
static unsigned find_pcie(const struct sysfs_device *device)
{
	unsigned at = config_word(device, 6) & 0x10 ? device->config[0x34] & 0xfcu : 0;

	for (unsigned n = 0; at >= 0x40 && n < 48; n++) {
		if (device->config[at] == PCI_CAP_PCIE)
			return at <= 256 - 0x14 ? at : 0;
		at = device->config[at + 1] & 0xfcu;
	}
	return 0;
}

static void add_link_state(struct sysfs_plan *plan, struct sysfs_node *dir,
			   const struct sysfs_device *device)
{
	static const char *const speeds[16] = {
		"Unknown", "2.5 GT/s PCIe", "5.0 GT/s PCIe", "8.0 GT/s PCIe",
		"16.0 GT/s PCIe", "32.0 GT/s PCIe", "64.0 GT/s PCIe",
	};
	unsigned pcie = find_pcie(device), cap, status;
	const char *max, *now;

	if (!pcie)
		return;
	cap = config_word(device, pcie + 0x0c);
	status = config_word(device, pcie + 0x12);
	max = speeds[cap & 15] ? speeds[cap & 15] : speeds[0];
	now = speeds[status & 15] ? speeds[status & 15] : speeds[0];
	add_file(plan, dir, "max_link_speed", 0444, "%s\n", max);
	add_file(plan, dir, "max_link_width", 0444, "%u\n", cap >> 4 & 0x3f);
	add_file(plan, dir, "current_link_speed", 0444, "%s\n", now);
	add_file(plan, dir, "current_link_width", 0444, "%u\n", status >> 4 & 0x3f);
}

static void add_identity(struct sysfs_plan *plan, struct sysfs_node *dir,
			 const struct sysfs_device *device, const char *bdf)
{
	const struct cused_pci *pci = &device->pci;
	char modalias[64];

	snprintf(modalias, sizeof(modalias),
		 "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X", pci->vendor, pci->device,
		 pci->subvendor, pci->subdevice, pci->class_code >> 16 & 0xff,
		 pci->class_code >> 8 & 0xff, pci->class_code & 0xff);
	add_file(plan, dir, "vendor", 0444, "0x%04x\n", pci->vendor);
	add_file(plan, dir, "device", 0444, "0x%04x\n", pci->device);
	add_file(plan, dir, "subsystem_vendor", 0444, "0x%04x\n", pci->subvendor);
	add_file(plan, dir, "subsystem_device", 0444, "0x%04x\n", pci->subdevice);
	add_file(plan, dir, "class", 0444, "0x%06x\n", pci->class_code);
	add_file(plan, dir, "revision", 0444, "0x%02x\n", pci->revision);
	add_file(plan, dir, "modalias", 0444, "%s\n", modalias);
	add_file(plan, dir, "uevent", 0644,
		 "DRIVER=vfio-pci\nPCI_CLASS=%04X\nPCI_ID=%04X:%04X\nPCI_SUBSYS_ID=%04X:%04X\n"
		 "PCI_SLOT_NAME=%s\nMODALIAS=%s\n", pci->class_code, pci->vendor, pci->device,
		 pci->subvendor, pci->subdevice, bdf, modalias);
}

/* "ff,ffffffff": a mask of all CPUs, in words of 32 from the highest. */
static void add_cpus(struct sysfs_plan *plan, struct sysfs_node *dir, unsigned n_cpus)
{
	char mask[1024];
	size_t at = 0;
	unsigned words = (n_cpus + 31) / 32;

	for (unsigned w = words; w-- > 0 && at < sizeof(mask) - 16;) {
		unsigned bits = w == words - 1 ? n_cpus - w * 32 : 32;
		uint32_t v = bits == 32 ? UINT32_MAX : (1u << bits) - 1;

		at += (size_t)snprintf(mask + at, sizeof(mask) - at,
				       w == words - 1 ? "%x" : ",%08x", v);
	}
	add_file(plan, dir, "local_cpus", 0444, "%s\n", mask);
	if (n_cpus > 1)
		add_file(plan, dir, "local_cpulist", 0444, "0-%u\n", n_cpus - 1);
	else
		add_file(plan, dir, "local_cpulist", 0444, "0\n");
}

static void add_device(struct sysfs_plan *plan, const struct sysfs_desc *desc,
		       const struct sysfs_device *device)
{
	const struct sysfs_group *group = &desc->groups[device->group];
	struct names n = device_names(device);
	struct sysfs_node *root = &plan->root, *dir;

	dir = add_dir(plan, root, "devices/%s/%s", n.bus, n.bdf);
	add_identity(plan, dir, device, n.bdf);
	add_resources(plan, dir, device);
	add_link_state(plan, dir, device);
	add_cpus(plan, dir, desc->host.n_cpus);
	add_bytes(plan, dir, SYSFS_FILE, "config", 0644, device->config, device->config_size);
	add_file(plan, dir, "irq", 0444, "%u\n",
		 device->pci.interrupt_pin ? device->config[0x3c] : 0u);
	add_file(plan, dir, "numa_node", 0644, "-1\n");
	add_file(plan, dir, "enable", 0644, "0\n");
	add_file(plan, dir, "ari_enabled", 0444, "0\n");
	add_file(plan, dir, "broken_parity_status", 0644, "0\n");
	add_file(plan, dir, "dma_mask_bits", 0444, "32\n");
	add_file(plan, dir, "consistent_dma_mask_bits", 0444, "32\n");
	add_file(plan, dir, "msi_bus", 0644, "1\n");
	add_file(plan, dir, "power_state", 0444, "D0\n");
	add_file(plan, dir, "reset_method", 0644, "%s\n",
		 device->pci.flr ? "flr" : device->pci.pm ? "pm" : "bus");
	add_file(plan, dir, "driver_override", 0644, "vfio-pci\n");	/* SD-046 */
	add_file(plan, dir, "remove", 0220, "%s", "");
	add_file(plan, dir, "rescan", 0200, "%s", "");
	add_file(plan, dir, "reset", 0200, "%s", "");
	add_link(plan, dir, "subsystem", "../../../bus/pci");
	add_link(plan, dir, "driver", "../../../bus/pci/drivers/vfio-pci");
	/* SD-009, SD-074 */
	add_link(plan, dir, "iommu_group", "../../../kernel/iommu_groups/%u", group->id);
	if (!group->noiommu)	/* SD-027, SD-031 */
		add_link(plan, dir, "iommu", "../../virtual/iommu/dmar%u",
			 desc->host.iommu_number);

	add_file(plan, add_dir(plan, root, "devices/%s", n.bus), "uevent", 0644, "%s", "");
	add_link(plan, add_dir(plan, root, "bus/pci/devices"), n.bdf,
		 "../../../devices/%s/%s", n.bus, n.bdf);
	add_link(plan, add_dir(plan, root, "bus/pci/drivers/vfio-pci"), n.bdf,
		 "../../../../devices/%s/%s", n.bus, n.bdf);
	/* SD-003 */
	add_link(plan, add_dir(plan, root, "kernel/iommu_groups/%u/devices", group->id), n.bdf,
		 "../../../../devices/%s/%s", n.bus, n.bdf);
	if (!group->noiommu)
		add_link(plan, add_dir(plan, root, "devices/virtual/iommu/dmar%u/devices",
				       desc->host.iommu_number), n.bdf,
			 "../../../../%s/%s", n.bus, n.bdf);
}

/* ---- groups ---- */

static int compare_resv(const void *a, const void *b)
{
	const struct cused_resv *x = a, *y = b;

	if (x->range.first != y->range.first)
		return x->range.first < y->range.first ? -1 : 1;
	return (int)x->type - (int)y->type;
}

/* SD-004: sorted; neighbours of one type are one line. */
static void add_reserved(struct sysfs_plan *plan, struct sysfs_node *dir,
			 const struct sysfs_group *group)
{
	static const char *const words[] = {	/* SD-005 */
		[CUSED_RESV_DIRECT] = "direct",
		[CUSED_RESV_DIRECT_RELAXABLE] = "direct-relaxable",
		[CUSED_RESV_RESERVED] = "reserved",
		[CUSED_RESV_MSI] = "msi",
	};
	struct cused_resv merged[CUSED_IOMMU_RESV_MAX], sorted[CUSED_IOMMU_RESV_MAX];
	char text[CUSED_IOMMU_RESV_MAX * 64];
	unsigned n = 0;
	size_t at = 0;

	memcpy(sorted, group->resv, group->n_resv * sizeof(sorted[0]));
	qsort(sorted, group->n_resv, sizeof(sorted[0]), compare_resv);
	for (unsigned i = 0; i < group->n_resv; i++) {
		unsigned m = 0;

		while (m < n && (merged[m].type != sorted[i].type ||
				 (merged[m].range.last != UINT64_MAX &&
				  merged[m].range.last + 1 < sorted[i].range.first)))
			m++;
		if (m == n)
			merged[n++] = sorted[i];
		else if (merged[m].range.last < sorted[i].range.last)
			merged[m].range.last = sorted[i].range.last;
	}
	for (unsigned i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "0x%016llx 0x%016llx %s\n",
				       (unsigned long long)merged[i].range.first,
				       (unsigned long long)merged[i].range.last,
				       words[merged[i].type]);
	add_bytes(plan, dir, SYSFS_FILE, "reserved_regions", 0444, text, at);
}

static void add_group(struct sysfs_plan *plan, const struct sysfs_group *group,
		      unsigned minor)
{
	struct sysfs_node *root = &plan->root, *dir;
	char name[32];

	dir = add_dir(plan, root, "kernel/iommu_groups/%u", group->id);
	add_dir(plan, dir, "devices");
	add_reserved(plan, dir, group);
	/* SD-007: a group that VFIO made for noiommu has no default domain. */
	add_file(plan, dir, "type", 0644, "%s\n", group->noiommu ? "unknown" : "DMA");
	if (group->noiommu)	/* SD-008 */
		add_file(plan, dir, "name", 0444, "vfio-noiommu\n");

	/* SD-018, SD-022 */
	snprintf(name, sizeof(name), "%s%u", group->noiommu ? "noiommu-" : "", group->id);
	dir = add_dir(plan, root, "devices/virtual/vfio/%s", name);
	add_file(plan, dir, "dev", 0444, "%u:%u\n", GROUP_MAJOR, minor);
	add_file(plan, dir, "uevent", 0644, "MAJOR=%u\nMINOR=%u\nDEVNAME=vfio/%s\n",
		 GROUP_MAJOR, minor, name);
	add_link(plan, dir, "subsystem", "../../../../class/vfio");
	add_link(plan, add_dir(plan, root, "class/vfio"), name,
		 "../../devices/virtual/vfio/%s", name);
}

/* ---- what there is once ---- */

/*
 * The IOMMU, in the shape of Intel's: clients look there for the width of addresses
 * (SD-029). The bits of "cap" other than that width (21:16, width - 1) are those of the
 * unit that QEMU emulates.
 */
static void add_iommu(struct sysfs_plan *plan, const struct sysfs_desc *desc)
{
	unsigned n = desc->host.iommu_number;
	unsigned long long cap = 0xd2008c222f0686ull & ~(0x3full << 16);
	struct sysfs_node *dir = add_dir(plan, &plan->root, "devices/virtual/iommu/dmar%u", n);
	struct sysfs_node *intel = add_dir(plan, dir, "intel-iommu");

	cap |= (unsigned long long)((desc->address_bits - 1) & 0x3f) << 16;
	add_file(plan, dir, "uevent", 0644, "%s", "");
	add_link(plan, dir, "subsystem", "../../../../class/iommu");
	add_file(plan, intel, "version", 0444, "1:0\n");
	add_file(plan, intel, "address", 0444, "fed90000\n");
	add_file(plan, intel, "cap", 0444, "%llx\n", cap);
	add_file(plan, intel, "ecap", 0444, "f00f4a\n");
	add_file(plan, intel, "domains_supported", 0444, "65536\n");
	add_file(plan, intel, "domains_used", 0444, "%zu\n", desc->n_groups);
	{
		char name[32];

		snprintf(name, sizeof(name), "dmar%u", n);
		add_link(plan, add_dir(plan, &plan->root, "class/iommu"), name,
			 "../../devices/virtual/iommu/%s", name);
	}
}

/* SD-032 … SD-038, SD-077, SD-078 */
static void add_modules(struct sysfs_plan *plan, const struct sysfs_desc *desc)
{
	struct sysfs_node *root = &plan->root, *dir;

	dir = add_dir(plan, root, "module/vfio/parameters");
	add_file(plan, dir, "enable_unsafe_noiommu_mode", 0644, "%c\n",
		 desc->unsafe_noiommu ? 'Y' : 'N');
	dir = add_dir(plan, root, "module/vfio_iommu_type1/parameters");
	add_file(plan, dir, "dma_entry_limit", 0644, "%u\n", desc->dma_entry_limit);
	add_file(plan, dir, "allow_unsafe_interrupts", 0644, "N\n");
	add_file(plan, dir, "disable_hugepages", 0644, "N\n");
	dir = add_dir(plan, root, "module/vfio_pci");
	add_link(plan, add_dir(plan, dir, "drivers"), "pci:vfio-pci",
		 "../../../bus/pci/drivers/vfio-pci");
	dir = add_dir(plan, dir, "parameters");
	add_file(plan, dir, "nointxmask", 0644, "N\n");
	add_file(plan, dir, "disable_idle_d3", 0644, "N\n");
	add_file(plan, dir, "disable_vga", 0444, "N\n");
	add_file(plan, dir, "disable_denylist", 0444, "N\n");
}

static void add_driver(struct sysfs_plan *plan, bool own_driver)
{
	static const char *const files[] = { "bind", "unbind", "new_id", "remove_id", "uevent" };
	struct sysfs_node *dir = add_dir(plan, &plan->root, "bus/pci/drivers/vfio-pci");

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && !own_driver; i++)
		add_file(plan, dir, files[i], 0200, "%s", "");
	add_link(plan, dir, "module", "../../../../module/vfio_pci");
}

/* SD-024 */
static void add_misc(struct sysfs_plan *plan)
{
	struct sysfs_node *dir = add_dir(plan, &plan->root, "devices/virtual/misc/vfio");

	add_file(plan, dir, "dev", 0444, "%u:%u\n", MISC_MAJOR, VFIO_MINOR);
	add_file(plan, dir, "uevent", 0644,
		 "MAJOR=%u\nMINOR=%u\nDEVNAME=vfio/vfio\nDEVMODE=0666\n", MISC_MAJOR,
		 VFIO_MINOR);
	add_link(plan, dir, "subsystem", "../../../../class/misc");
	add_link(plan, add_dir(plan, &plan->root, "class/misc"), "vfio",
		 "../../devices/virtual/misc/vfio");
}

int sysfs_plan_new(const struct sysfs_desc *desc, struct sysfs_plan **ret)
{
	struct sysfs_plan *plan = calloc(1, sizeof(*plan));
	bool iommu = false;

	if (!plan)
		return -ENOMEM;
	for (size_t i = 0; i < desc->n_groups; i++) {
		add_group(plan, &desc->groups[i], (unsigned)i);
		iommu |= !desc->groups[i].noiommu;
	}
	if (iommu)
		add_iommu(plan, desc);
	for (size_t i = 0; i < desc->n_devices; i++)
		add_device(plan, desc, &desc->devices[i]);
	add_driver(plan, desc->own_driver);
	add_modules(plan, desc);
	add_misc(plan);
	if (plan->failed) {
		sysfs_plan_free(plan);
		return -ENOMEM;
	}
	*ret = plan;
	return 0;
}

void sysfs_plan_free(struct sysfs_plan *plan)
{
	if (!plan)
		return;
	node_free_children(&plan->root);
	free(plan);
}

const struct sysfs_node *sysfs_plan_root(const struct sysfs_plan *plan)
{
	return &plan->root;
}

const struct sysfs_node *sysfs_plan_find(const struct sysfs_plan *plan, const char *path)
{
	const struct sysfs_node *node = &plan->root;

	while (node && *path) {
		size_t len = strcspn(path, "/");

		node = node_child(node, path, len);
		path += len + (path[len] == '/');
	}
	return node;
}

void sysfs_host_read(const char *root, struct sysfs_host *ret)
{
	char path[512];
	unsigned first, last;
	FILE *f;

	*ret = (struct sysfs_host){ .n_cpus = 1 };
	snprintf(path, sizeof(path), "%s/devices/system/cpu/online", root);
	f = fopen(path, "re");
	/* "0-3,5-7": what counts is the last number. */
	while (f && fscanf(f, "%u", &first) == 1) {
		last = first;
		if (fscanf(f, "-%u", &last) < 0)
			last = first;
		if (last < 8192 && last + 1 > ret->n_cpus)
			ret->n_cpus = last + 1;
		if (fgetc(f) != ',')
			break;
	}
	if (f)
		fclose(f);
	for (;; ret->iommu_number++) {
		snprintf(path, sizeof(path), "%s/class/iommu/dmar%u", root, ret->iommu_number);
		if (access(path, F_OK) < 0)
			break;
	}
}
