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
	struct cused_lender *lender;	/* for map() alone; NULL: there is none */
};

/*
 * What hardware needs of the process whose memory is mapped, and only that process, or who
 * may look into it, can give. Made by a transport, for the length of one call of map().
 */
struct cused_lender {
	size_t size;

	/*
	 * The memory as a file: it is one shared mapping of a file of memory (memfd, shared
	 * anonymous memory, tmpfs, hugetlbfs), with all of @prot.
	 * @ret_fd: to be closed; @ret_offset: in the file, of @vaddr
	 * Return: 0; -EOPNOTSUPP it is other memory, or this way is not open; -errno.
	 */
	int (*file)(struct cused_lender *lender, uint64_t vaddr, uint64_t len, unsigned prot,
		    int *ret_fd, uint64_t *ret_offset);

	/*
	 * Have the owner itself make an ioctl, on a file of ours that it has for that long.
	 * Others in the process can reach the file and @arg meanwhile.
	 * @cmd: its argument is @arg, @len bytes (at most CUSED_LENDER_ARG), copied there and back
	 * @ret_result: what the ioctl returned, or its -errno
	 * Return: 0; -EOPNOTSUPP this way is not open; -errno: the ioctl may or may not have
	 * been made, but is over.
	 */
	int (*call)(struct cused_lender *lender, int fd, unsigned long cmd, void *arg,
		    size_t len, int *ret_result);

	/*
	 * Have the owner's container file replaced by @fd, in all its fds and for good: what it
	 * asks of its container from then on, it asks of that file.
	 * Return: 0; -EOPNOTSUPP this way is not open; -EIO nothing is known but that the
	 * owner's call fails; other -errno, of which the transport has told: the owner has its
	 * file as before.
	 */
	int (*swap)(struct cused_lender *lender, int fd);
};

#define CUSED_LENDER_ARG 64

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

	/* What flags() says, where it depends on the groups attached. NULL: it does not. */
	unsigned (*domain_flags)(void *domain);

	/*
	 * Called once, when the container has got its driver and all its groups are attached:
	 * the backend may give the client a file of its own in place of the container
	 * (lender->swap). From then on map() and unmap() are called only for those who still
	 * have the container's file. @version: of type1, 1 or 2. NULL: it never does.
	 * Return: 1 it was done; 0 it was not, and all goes on by map() and unmap(); -errno the
	 * container gets no driver.
	 */
	int (*swap)(void *domain, struct cused_lender *lender, unsigned version);
	/*
	 * The last group has left a domain that swap() has given away: what is mapped there
	 * goes, and further groups may come. NULL: it ends.
	 * Return: 0; -EBUSY devices of it are in use still; -errno: domain_free() follows.
	 */
	int (*renew)(void *domain);
	/* Is this a copy of the file that swap() gave? NULL: no. */
	bool (*is_file)(void *domain, intptr_t file);

	/*
	 * Domains that outlive the process. All three; or NULL, then groups begin anew in the next.
	 * domain_file(): the file that a domain is around, as long as it is there, borrowed; and a
	 * number that another process needs with it, which may be another after swap() and renew().
	 */
	intptr_t (*domain_file)(void *domain, uint64_t *ret_number);
	/*
	 * The domain of a process that was killed. Its groups come by attach_again(), and all that is
	 * mapped in it is so already: map() is not called again. What a map() that was cut short has
	 * left there gives way to the next one at its place.
	 * @file: owned from now on, also on failure; @number: the last of domain_file()
	 * @swapped: swap() had returned 1
	 * Return: 0; -ENOMEM.
	 */
	int (*domain_restore)(void *state, intptr_t file, uint64_t number, bool swapped,
			      void **ret_domain);
	/* attach() of a group that is so already, as far as clients have its devices. Return: 0;
	 * -ENODEV. */
	int (*attach_again)(void *domain, unsigned group);
};

#define CUSED_IOMMU(ops_) \
	static const struct cused_iommu_ops *const cused_iommu_entry_ \
	__attribute__((used, section("cused_iommus"))) = &(ops_)

#endif
