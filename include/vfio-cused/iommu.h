/* SPDX-License-Identifier: MIT */
/*
 * vfio-cused/iommu.h - interface between the core and an IOMMU backend.
 *
 * Theory of operation
 *
 *   Two layers lie under a container. The IOMMU *driver* (type1, noiommu, …) is part of
 *   the core: it decides the rules and errnos of the VFIO API. The IOMMU *backend* is
 *   where a mapping goes. A backend never sees an ioctl.
 *
 *   A backend instance makes one *domain* per container. The core keeps the map of
 *   IOVAs itself (for rules, and for the DMA of simulated devices). A backend with
 *   CUSED_IOMMU_SIMULATED needs no map of its own: devices in its domains are models,
 *   whose DMA the core translates through its map under the map's lock. Any other
 *   backend programs hardware in map() and unmap().
 *
 *       create ─ ( domain_new ─ ( attach | detach | map | unmap )* ─ domain_free )* ─ destroy
 *
 *   Calls on one domain never overlap. When unmap() has returned, no device reaches the
 *   range any more.
 */
#ifndef CUSED_IOMMU_H
#define CUSED_IOMMU_H

#include <vfio-cused/cused.h>

enum cused_iommu_flags {
	CUSED_IOMMU_SIMULATED = 1 << 0,
	CUSED_IOMMU_COHERENT  = 1 << 1,	/* enforces cache coherency: DMA_CC_IOMMU is 1 */
};

enum cused_resv_type {
	CUSED_RESV_DIRECT,		/* "direct" */
	CUSED_RESV_DIRECT_RELAXABLE,	/* "direct-relaxable": listed, but mappable */
	CUSED_RESV_RESERVED,		/* "reserved" */
	CUSED_RESV_MSI,			/* "msi" */
};

struct cused_resv {
	struct cused_range range;
	enum cused_resv_type type;
};

#define CUSED_IOMMU_RESV_MAX 64

struct cused_iommu_geometry {
	uint64_t page_sizes;		/* bitmap, never 0 */
	struct cused_range aperture;
	unsigned n_resv;		/* sorted by first */
	struct cused_resv resv[CUSED_IOMMU_RESV_MAX];
};

enum cused_prot { CUSED_PROT_READ = 1, CUSED_PROT_WRITE = 2 };	/* seen from the device */

/* A mapping to be programmed. @memory names the address space @vaddr belongs to; it is
 * meaningful only to the backend and the transport that made it. */
struct cused_iommu_map {
	struct cused_range iova;
	uint64_t vaddr;
	unsigned prot;
	void *memory;
};

struct cused_iommu_ops {
	size_t size;
	unsigned version;
	const char *name;		/* the word after --iommu */
	const char *summary;
	const char *description;
	const struct cused_param *params;
	size_t n_params;

	int (*create)(const struct cused_value *values, void **ret_state,
		      struct cused_error *err);
	void (*destroy)(void *state);
	unsigned (*flags)(void *state);		/* enum cused_iommu_flags */

	/* Geometry for one group: aperture, page sizes, reserved regions. */
	int (*geometry)(void *state, unsigned group, struct cused_iommu_geometry *ret);

	int (*domain_new)(void *state, void **ret_domain);
	void (*domain_free)(void *domain);
	int (*attach)(void *domain, unsigned group);
	void (*detach)(void *domain, unsigned group);
	/* NULL for a simulated backend that has nothing to program. */
	int (*map)(void *domain, const struct cused_iommu_map *map);
	void (*unmap)(void *domain, struct cused_range iova);
};

#define CUSED_IOMMU(ops_) \
	static const struct cused_iommu_ops *const cused_iommu_entry_ \
	__attribute__((used, section("cused_iommus"))) = &(ops_)

#endif
