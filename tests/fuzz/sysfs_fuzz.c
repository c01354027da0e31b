/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz/sysfs_fuzz.c - the plan of /sys from any description of devices: numbers, ranges,
 * and configuration space that is no such thing.
 *
 * Whatever it says, names are names, of one length of path, and once in their directory;
 * contents are as long as they say; and every node can be found again by its path.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <transport/sysfs.h>
#include "fuzz.h"

#define DEVICES 5
#define GROUPS 4
#define DEPTH 16

/* Small numbers, the largest ones, and all others. */
static uint64_t take_number(struct input *in)
{
	uint8_t v = (uint8_t)take(in, 1);

	return v < 0x80 ? v : v < 0xa0 ? UINT64_MAX - (v & 0x1f) : take(in, 8);
}

static struct cused_range take_range(struct input *in)
{
	struct cused_range r = { take_number(in), take_number(in) };

	return r.first <= r.last ? r : (struct cused_range){ r.last, r.first };
}

static void take_device(struct input *in, struct sysfs_device *d, unsigned n_groups)
{
	uint16_t at = 0;

	memset(d, 0, sizeof(*d));
	d->address.segment = (uint16_t)take(in, 2);
	d->address.bus = (uint8_t)take(in, 1);
	d->address.slot = (uint8_t)take(in, 1) % 32;
	d->address.function = (uint8_t)take(in, 1) % 8;
	d->group = (unsigned)take(in, 1) % n_groups;
	d->config_size = take(in, 1) & 1 ? 4096 : 256;
	d->pci.vendor = (uint16_t)take(in, 2);
	d->pci.device = (uint16_t)take(in, 2);
	d->pci.class_code = (uint32_t)take(in, 3);
	d->pci.interrupt_pin = (uint8_t)take(in, 1) % 5;
	d->pci.msix.vectors = (uint16_t)take(in, 2) % 2049;
	for (unsigned i = 0; i < 7; i++) {
		if (i < 6)
			d->pci.bars[i].flags = (unsigned)take(in, 1) & 7;
		if (take(in, 1) & 1)
			d->bars[i] = take_range(in);
	}
	for (unsigned n = (unsigned)take(in, 1) % 64; n; n--) {
		at = (uint16_t)(at + take(in, 1));
		d->config[at % sizeof(d->config)] = (uint8_t)take(in, 1);
	}
}

static unsigned check_tree(const struct sysfs_plan *plan, const struct sysfs_node *dir,
			   char *path, size_t length, unsigned depth)
{
	unsigned n = 1;

	INSIST(depth < DEPTH);
	for (const struct sysfs_node *node = dir->children; node; node = node->next) {
		size_t more = strlen(node->name);

		INSIST(more > 0 && more < 256 && length + more + 2 < 1024);
		INSIST(!strchr(node->name, '/') && strcmp(node->name, ".") &&
		       strcmp(node->name, ".."));
		snprintf(path + length, 1024 - length, "%s%s", length ? "/" : "", node->name);
		/* The first of its name is found, so there is one of it only. */
		INSIST(sysfs_plan_find(plan, path) == node);
		if (node->kind == SYSFS_DIR) {
			n += check_tree(plan, node, path, strlen(path), depth + 1);
		} else {
			INSIST(node->data && node->data[node->len] == '\0');
			INSIST(node->kind == SYSFS_FILE || (node->len && node->len < 4096));
			INSIST(node->kind == SYSFS_LINK || node->size >= node->len);
			n++;
		}
		path[length] = '\0';
	}
	return n;
}

static bool same_address(const struct pci_address *a, const struct pci_address *b)
{
	return a->segment == b->segment && a->bus == b->bus && a->slot == b->slot &&
	       a->function == b->function;
}

/* As bytes and back, it is the same; and the input itself can be taken for such bytes. */
static void check_pack(const struct sysfs_plan *plan, const uint8_t *data, size_t size)
{
	uint8_t *packed, *again;
	size_t n_packed, n_again;
	struct sysfs_plan *other;

	INSIST(sysfs_plan_pack(plan, &packed, &n_packed) == 0);
	INSIST(sysfs_plan_unpack(packed, n_packed, &other) == 0);
	INSIST(sysfs_plan_pack(other, &again, &n_again) == 0);
	INSIST(n_again == n_packed && memcmp(again, packed, n_packed) == 0);
	sysfs_plan_free(other);
	/* And with one byte that the input chooses. */
	if (size >= 5) {
		uint32_t at;

		memcpy(&at, data, sizeof(at));
		packed[at % n_packed] = data[4];
		if (sysfs_plan_unpack(packed, n_packed, &other) == 0)
			sysfs_plan_free(other);
	}
	if (sysfs_plan_unpack(data, size, &other) == 0)
		sysfs_plan_free(other);
	free(packed);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sysfs_device devices[DEVICES];
	static struct sysfs_group groups[GROUPS];
	struct input in = { data, size };
	struct sysfs_desc desc = { .devices = devices, .groups = groups };
	struct sysfs_plan *plan;
	char path[1024] = "";

	desc.n_groups = 1 + take(&in, 1) % GROUPS;
	desc.address_bits = (unsigned)take(&in, 1);
	desc.dma_entry_limit = (uint32_t)take(&in, 4);
	desc.unsafe_noiommu = take(&in, 1) & 1;
	desc.host.n_cpus = (unsigned)take(&in, 2);
	desc.host.iommu_number = (unsigned)take(&in, 4);
	for (unsigned i = 0; i < desc.n_groups; i++) {
		/* The core gives each a number of its own. */
		groups[i] = (struct sysfs_group){ .id = (unsigned)take(&in, 2) * GROUPS + i,
						  .noiommu = take(&in, 1) & 1 };
		groups[i].n_resv = (unsigned)take(&in, 1) % (CUSED_IOMMU_RESV_MAX + 1);
		for (unsigned j = 0; j < groups[i].n_resv; j++) {
			groups[i].resv[j].range = take_range(&in);
			groups[i].resv[j].type = (enum cused_resv_type)(take(&in, 1) % 3);
		}
	}
	for (unsigned n = (unsigned)take(&in, 1) % (DEVICES + 1); n; n--) {
		struct sysfs_device *d = &devices[desc.n_devices++];

		take_device(&in, d, (unsigned)desc.n_groups);
		/* And each device an address of its own. */
		for (size_t i = 0; i + 1 < desc.n_devices; i++) {
			if (same_address(&d->address, &devices[i].address)) {
				desc.n_devices--;
				break;
			}
		}
	}
	INSIST(sysfs_plan_new(&desc, &plan) == 0);
	INSIST(check_tree(plan, sysfs_plan_root(plan), path, 0, 0) > 10);
	check_pack(plan, data, size);
	sysfs_plan_free(plan);
	return 0;
}
