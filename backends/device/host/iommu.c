/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host/iommu.c - a container's iommufd: geometry, map, unmap; see host_device.h. */
#include <errno.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vfio-cused/log.h>

#include "abi.h"
#include "host_device.h"

/* IOAS_MAP in one call of the client's thread, which is stopped for that long. */
#define CALL_BYTES_MAX (1ull << 30)

static int host_ioctl(const struct host_domain *domain, unsigned long cmd, void *arg)
{
	return host_machine->ioctl(domain->iommufd, cmd, arg);
}

/* ---- life of a domain ---- */

/* Account pinned pages to the process that maps, as type1 does (CD-220); by default they go
 * to the user. Takes CAP_SYS_RESOURCE; without, the limit is another, but is kept. */
static void count_by_process(struct host_domain *domain)
{
	struct iommu_option option = { .size = sizeof(option),
				       .option_id = IOMMU_OPTION_RLIMIT_MODE,
				       .op = IOMMU_OPTION_SET, .val64 = 1 };

	if (host_ioctl(domain, IOMMU_OPTION, &option) < 0)
		cused_log(CUSED_LOG_DEBUG, "host", "pinned pages are counted by user");
}

/* The compatibility layer says of it what page sizes and coherency are, and is what a client
 * meets that gets the iommufd. */
static int ioas_new(struct host_domain *domain)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct iommu_vfio_ioas compat = { .size = sizeof(compat), .op = IOMMU_VFIO_IOAS_SET };
	int r = host_ioctl(domain, IOMMU_IOAS_ALLOC, &alloc);

	if (r < 0)
		return r;
	domain->ioas = compat.ioas_id = alloc.out_ioas_id;
	r = host_ioctl(domain, IOMMU_VFIO_IOAS, &compat);
	return r < 0 ? r : 0;
}

int host_domain_open(struct host_domain *ret, struct cused_error *err)
{
	char path[64];
	int r;

	snprintf(path, sizeof(path), "%s/iommu", host_machine->dev);
	*ret = (struct host_domain){ .iommufd = host_machine->open(path) };
	if (ret->iommufd < 0)
		return cused_error_set(err, ret->iommufd, "%s: %s; a device of the machine needs "
				       "iommufd: load the module iommufd, or take a kernel that "
				       "has CONFIG_IOMMUFD", path, strerror(-ret->iommufd));
	count_by_process(ret);
	r = ioas_new(ret);
	if (r == 0)
		return 0;
	host_machine->close(ret->iommufd);
	return cused_error_set(err, r, "%s gives no address space: %s", path, strerror(-r));
}

/* Who has the iommufd, too, keeps it, and the IOAS while a device of his is attached: without
 * anything mapped, unless it was to have it all. */
void host_domain_close(struct host_domain *domain)
{
	struct iommu_ioas_unmap all = { .size = sizeof(all), .ioas_id = domain->ioas,
					.length = UINT64_MAX };
	struct iommu_destroy destroy = { .size = sizeof(destroy), .id = domain->ioas };
	int r = domain->swapped ? 0 : host_ioctl(domain, IOMMU_IOAS_UNMAP, &all);

	if (r < 0 && r != -ENOENT)
		cused_log(CUSED_LOG_WARNING, "host", "cannot unmap what a container has left: %s",
			  strerror(-r));
	host_ioctl(domain, IOMMU_DESTROY, &destroy);
	host_machine->close(domain->iommufd);
}

static int iommu_domain_new(void *state, void **ret_domain)
{
	struct host_domain *domain = malloc(sizeof(*domain));
	struct cused_error err;
	int r;

	(void)state;
	if (!domain)
		return -ENOMEM;
	r = host_domain_open(domain, &err);
	if (r) {
		cused_log(CUSED_LOG_ERROR, "host", "%s", err.text);
		free(domain);
		return r;
	}
	*ret_domain = domain;
	return 0;
}

static void iommu_domain_free(void *domain)
{
	host_domain_close(domain);
	free(domain);
}

/* Nothing is common to all domains but that there is a /dev/iommu. */
static int iommu_create(const struct cused_value *values, void **ret_state,
			struct cused_error *err)
{
	static char state;
	struct host_domain domain;
	int r = host_domain_open(&domain, err);

	(void)values;
	if (r)
		return r;
	host_domain_close(&domain);
	*ret_state = &state;
	return 0;
}

static void iommu_destroy(void *state)
{
	(void)state;
}

/* ---- groups ---- */

static int vacate(struct host_device *device, void *arg)
{
	(void)arg;
	host_vacate(device);
	return 0;
}

static int seat(struct host_device *device, void *arg)
{
	return host_seat(device, arg);
}

static void iommu_detach(void *domain, unsigned group)
{
	(void)domain;
	host_each(group, vacate, NULL);
}

static int iommu_attach(void *domain, unsigned group)
{
	int r = host_each(group, seat, domain);

	if (r)
		iommu_detach(domain, group);
	return r;
}

/* ---- properties ---- */

static int find_domain(struct host_device *device, void *arg)
{
	struct host_domain **ret = arg;

	pthread_mutex_lock(&device->lock);
	*ret = device->domain;
	pthread_mutex_unlock(&device->lock);
	return 0;
}

/* The gaps between the ranges that can be mapped. Return: 0, -ENOSPC. */
static int gaps(const struct iommu_iova_range *ranges, unsigned n,
		struct cused_iommu_geometry *ret)
{
	ret->aperture = (struct cused_range){ ranges[0].start, ranges[n - 1].last };
	for (unsigned i = 0; i + 1 < n; i++) {
		if (ret->n_resv == CUSED_IOMMU_RESV_MAX)
			return -ENOSPC;
		ret->resv[ret->n_resv++] = (struct cused_resv){
			{ ranges[i].last + 1, ranges[i + 1].start - 1 }, CUSED_RESV_RESERVED,
		};
	}
	return 0;
}

/* While the group is attached; before, the kernel does not tell. */
static int iommu_geometry(void *state, unsigned group, struct cused_iommu_geometry *ret)
{
	struct iommu_iova_range ranges[CUSED_IOMMU_RESV_MAX + 1] = { { 0 } };
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	struct iommu_ioas_iova_ranges query = {
		.size = sizeof(query), .num_iovas = CUSED_IOMMU_RESV_MAX + 1,
		.allowed_iovas = (uintptr_t)ranges,
	};
	struct host_domain *domain = NULL;
	int r = host_each(group, find_domain, &domain);

	(void)state;
	if (r == 0 && !domain)
		r = -ENODEV;
	if (r)
		return r;
	query.ioas_id = domain->ioas;
	r = host_ioctl(domain, IOMMU_IOAS_IOVA_RANGES, &query);
	if (r >= 0)
		r = host_ioctl(domain, VFIO_IOMMU_GET_INFO, &info);
	if (r < 0)
		return r;
	if (query.num_iovas == 0 || info.iova_pgsizes == 0)
		return -EINVAL;
	*ret = (struct cused_iommu_geometry){ .page_sizes = info.iova_pgsizes };
	return gaps(ranges, query.num_iovas, ret);
}

static unsigned iommu_flags(void *state)
{
	(void)state;
	return 0;
}

static unsigned iommu_domain_flags(void *domain)
{
	int r = host_ioctl(domain, VFIO_CHECK_EXTENSION, (void *)VFIO_DMA_CC_IOMMU);

	return r > 0 ? CUSED_IOMMU_COHERENT : 0;			/* CD-166 */
}

/* ---- map ---- */

static void unmap_range(struct host_domain *domain, struct cused_range iova)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas_id = domain->ioas, .iova = iova.first,
		.length = iova.last - iova.first + 1,
	};
	int r = host_ioctl(domain, IOMMU_IOAS_UNMAP, &unmap);

	/* ENOENT: its owner has been there before us. */
	if (r < 0 && r != -ENOENT)
		cused_log(CUSED_LOG_WARNING, "host", "cannot unmap %#llx-%#llx: %s",
			  (unsigned long long)iova.first, (unsigned long long)iova.last,
			  strerror(-r));
}

static uint32_t map_flags(const struct cused_iommu_map *map)
{
	return IOMMU_MAP_FIXED_IOVA |
	       (map->prot & CUSED_PROT_READ ? IOMMU_MAP_READABLE : 0) |
	       (map->prot & CUSED_PROT_WRITE ? IOMMU_MAP_WRITEABLE : 0);
}

/* Return: 0; -EOPNOTSUPP try the other way; -errno. */
static int map_by_file(struct host_domain *domain, const struct cused_iommu_map *map)
{
	struct iommu_ioas_map_file arg = {
		.size = sizeof(arg), .flags = map_flags(map), .ioas_id = domain->ioas,
		.length = map->iova.last - map->iova.first + 1, .iova = map->iova.first,
	};
	int r;

	r = map->lender->file(map->lender, map->vaddr, arg.length, map->prot, &arg.fd,
			      &arg.start);
	if (r)
		return r;
	r = host_ioctl(domain, IOMMU_IOAS_MAP_FILE, &arg);
	host_machine->close(arg.fd);
	switch (r) {
	case -ENOTTY:		/* before Linux 6.13 */
	case -EOPNOTSUPP:
	case -EINVAL:		/* a file whose pages it does not pin, or that is too short */
	case -EFAULT:
		return -EOPNOTSUPP;
	default:
		return r < 0 ? r : 0;
	}
}

/* A part of the mapping. Return: 0; -EOPNOTSUPP; -errno. */
static int map_part(struct host_domain *domain, const struct cused_iommu_map *map,
		    uint64_t at, uint64_t length)
{
	struct iommu_ioas_map arg = {
		.size = sizeof(arg), .flags = map_flags(map), .ioas_id = domain->ioas,
		.user_va = map->vaddr + at, .length = length, .iova = map->iova.first + at,
	};
	int result = 0;
	int r = map->lender->call(map->lender, domain->iommufd, IOMMU_IOAS_MAP, &arg,
				  sizeof(arg), &result);

	return r ? r : result < 0 ? result : 0;
}

static int map_by_call(struct host_domain *domain, const struct cused_iommu_map *map)
{
	uint64_t size = map->iova.last - map->iova.first + 1;
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < size; at += CALL_BYTES_MAX) {
		uint64_t left = size - at;

		r = map_part(domain, map, at, left < CALL_BYTES_MAX ? left : CALL_BYTES_MAX);
	}
	/* Also what a call has mapped that did not come back. */
	if (r)
		unmap_range(domain, map->iova);
	return r;
}

/* Return: 0; -EOPNOTSUPP it cannot be had; -errno. */
static int map_either(struct host_domain *domain, const struct cused_iommu_map *map)
{
	int r = -EOPNOTSUPP;

	if (map->lender)
		r = map_by_file(domain, map);
	if (r == -EOPNOTSUPP && map->lender)
		r = map_by_call(domain, map);
	return r;
}

static int iommu_map(void *data, const struct cused_iommu_map *map)
{
	struct host_domain *domain = data;
	int r = map_either(domain, map);

	/* The core has nothing there. */
	if (r == -EEXIST && domain->restored) {
		unmap_range(domain, map->iova);
		r = map_either(domain, map);
	}
	if (r != -EOPNOTSUPP)
		return r;
	if (!domain->told_memory)
		cused_log(CUSED_LOG_WARNING, "host", "memory of a client at %#llx cannot be "
			  "mapped for a device of the machine: it is not shared memory, or the "
			  "kernel cannot map files (before Linux 6.13), and the courier is off "
			  "or may not stop this client; see vfio-cused-serve(8)",
			  (unsigned long long)map->vaddr);
	domain->told_memory = true;
	return -EFAULT;							/* T1-032 */
}

static void iommu_unmap(void *domain, struct cused_range iova)
{
	unmap_range(domain, iova);
}

/* ---- swap ---- */

static int iommu_swap(void *data, struct cused_lender *lender, unsigned version)
{
	struct host_domain *domain = data;
	uintptr_t id = version == 1 ? VFIO_TYPE1_IOMMU : VFIO_TYPE1v2_IOMMU;
	int r = CUSED_HAS(lender, swap) ? lender->swap(lender, domain->iommufd) : -EOPNOTSUPP;

	if (r)
		return r == -EIO ? r : 0;
	/* Version 1 may unmap parts of what it has mapped (CD-172, CD-190). The client waits in
	 * its own call still, so nothing is mapped yet. */
	if (host_ioctl(domain, VFIO_SET_IOMMU, (void *)id) < 0)
		cused_log(CUSED_LOG_DEBUG, "host", "the kernel takes no version of type1");
	domain->swapped = true;
	return 1;
}

/* Its devices keep an IOAS busy until the kernel is done with closing them, which we are told
 * of as it begins. */
static int iommu_renew(void *data)
{
	struct host_domain *domain = data;
	struct iommu_destroy destroy = { .size = sizeof(destroy), .id = domain->ioas };
	int r;

	for (unsigned i = 0;; i++) {
		r = host_ioctl(domain, IOMMU_DESTROY, &destroy);
		if (r != -EBUSY || i == HOST_SEAT_TRIES)
			break;
		host_machine->pause();
	}
	/* It may have destroyed it itself. */
	return r < 0 && r != -ENOENT ? r : ioas_new(domain);
}

static bool iommu_is_file(void *data, intptr_t file)
{
	const struct host_domain *domain = data;

	return host_machine->same(domain->iommufd, (int)file);
}

/* ---- another process ---- */

static intptr_t iommu_domain_file(void *data, uint64_t *ret_number)
{
	const struct host_domain *domain = data;

	*ret_number = domain->ioas;
	return domain->iommufd;
}

static int iommu_domain_restore(void *state, intptr_t file, uint64_t number, bool swapped,
				void **ret_domain)
{
	struct host_domain *domain = malloc(sizeof(*domain));

	(void)state;
	if (!domain) {
		host_machine->close((int)file);
		return -ENOMEM;
	}
	*domain = (struct host_domain){
		.iommufd = (int)file, .ioas = (uint32_t)number,
		.swapped = swapped, .restored = true,
	};
	*ret_domain = domain;
	return 0;
}

static int seat_again(struct host_device *device, void *arg)
{
	host_seat_again(device, arg);
	return 0;
}

static int iommu_attach_again(void *domain, unsigned group)
{
	return host_each(group, seat_again, domain);
}

const struct cused_iommu_ops host_iommu_ops = {
	.size = sizeof(host_iommu_ops),
	.version = CUSED_API_VERSION,
	.name = "iommufd",
	.summary = "the machine's own IOMMU, by the kernel's iommufd",
	.description = "",
	.create = iommu_create,
	.destroy = iommu_destroy,
	.flags = iommu_flags,
	.geometry = iommu_geometry,
	.domain_new = iommu_domain_new,
	.domain_free = iommu_domain_free,
	.attach = iommu_attach,
	.detach = iommu_detach,
	.map = iommu_map,
	.unmap = iommu_unmap,
	.domain_flags = iommu_domain_flags,
	.swap = iommu_swap,
	.renew = iommu_renew,
	.is_file = iommu_is_file,
	.domain_file = iommu_domain_file,
	.domain_restore = iommu_domain_restore,
	.attach_again = iommu_attach_again,
};
