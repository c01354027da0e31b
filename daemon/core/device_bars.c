/* SPDX-License-Identifier: GPL-2.0-or-later */
/* BARs of a device: the host addresses that clients see, and the memory behind their pages. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <core/bar_space.h>
#include <core/device_priv.h>
#include <util/range.h>

static enum bar_window bar_window(const struct cused_pci *pci, unsigned i)
{
	if (i == CFG_ROM)
		return BAR_WINDOW_32;
	if (pci->bars[i].flags & CUSED_BAR_IO)
		return BAR_WINDOW_IO;
	return pci->bars[i].flags & CUSED_BAR_64 ? BAR_WINDOW_64 : BAR_WINDOW_32;
}

/* @next: where the user wants the next memory BAR; 0: anywhere. */
static int place_bar(struct device *device, unsigned i, uint64_t *next,
		     struct cused_error *err)
{
	uint64_t size = device->bars[i].size, base = *next;
	enum bar_window window = bar_window(&device->pci, i);
	int r;

	if (!base || window == BAR_WINDOW_IO) {
		r = bar_space_alloc(window, size, &device->bars[i].host);
		if (r < 0)
			cused_error_set(err, r,
					"%s: no room for BAR%u (%llu bytes) among the "
					"addresses of its kind; use fewer or smaller "
					"devices",
					device->name, i, (unsigned long long)size);
		return r;
	}
	base = (base + size - 1) & ~(size - 1);
	if (window == BAR_WINDOW_32 && base + size > 1ull << 32)
		r = -EINVAL;
	else
		r = bar_space_claim(base, size);
	if (r < 0)
		return cused_error_set(err, r,
				       "%s: BAR%u (%llu bytes) cannot be at %#llx: %s; "
				       "choose another address",
				       device->name, i, (unsigned long long)size,
				       (unsigned long long)base,
				       r == -EEXIST ? "another device is there" :
						      "below 1M or out of its reach");
	device->bars[i].host = base;
	*next = base + (size < device->page_size ? device->page_size : size);
	return 0;
}

/* Where they were before a restart, if all can be there again. */
static bool place_again(struct device *device)
{
	uint64_t bars[CFG_BARS];

	if (!device_record_bars(device, bars))
		return false;
	for (unsigned i = 0; i < CFG_BARS; i++) {
		uint64_t size = device->bars[i].size;

		if (!size != !bars[i] ||
		    (size && bar_space_reclaim(bar_window(&device->pci, i), size, bars[i]))) {
			while (i-- > 0) {
				bar_space_free(device->bars[i].host);
				device->bars[i].host = 0;
			}
			return false;
		}
		device->bars[i].host = bars[i];
	}
	return true;
}

int device_place_bars(struct device *device, uint64_t bar_base, struct cused_error *err)
{
	if (place_again(device))
		return 0;
	if (bar_base && !is_aligned(bar_base, device->page_size))
		return cused_error_set(err, -EINVAL,
				       "%s: BAR address %#llx is not a multiple of the "
				       "page size; round it",
				       device->name, (unsigned long long)bar_base);
	for (unsigned i = 0; i < CFG_BARS; i++) {
		int r;

		if (!device->bars[i].size)
			continue;
		r = place_bar(device, i, &bar_base, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int device_alloc_bars(struct device *device, struct cused_error *err)
{
	for (unsigned i = 0; i < CUSED_PCI_BARS; i++) {
		struct device_bar *bar = &device->bars[i];
		uint64_t size = device->pci.bars[i].size;
		void *base = NULL;
		int r = 0;

		if (!size || !device->pci.bars[i].n_areas)
			continue;
		size = (size + device->page_size - 1) & ~(device->page_size - 1);
		if (device->backing) {
			r = device->backing->alloc(device->backing_arg, i, size, &base);
		} else {
			base = mmap(NULL, size, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
			if (base == MAP_FAILED)
				r = -errno;
		}
		if (r < 0)
			return cused_error_set(err, r,
					       "%s: no memory for BAR%u (%llu bytes): %s; "
					       "use a smaller BAR",
					       device->name, i, (unsigned long long)size,
					       strerror(-r));
		bar->memory = base;
		bar->alloc_size = size;
	}
	return 0;
}

void device_free_bars(struct device *device)
{
	for (unsigned i = 0; i < CFG_BARS; i++) {
		struct device_bar *bar = &device->bars[i];

		bar_space_free(bar->host);
		if (!bar->memory)
			continue;
		if (device->backing)
			device->backing->free(device->backing_arg, i, bar->alloc_size,
					      bar->memory);
		else
			munmap(bar->memory, bar->alloc_size);
	}
}
