/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host/abi.h - the kernel's iommufd and device nodes, as of Linux 7.2; our oldest headers
 * know nothing of either. Numbers in comments: rows of the contract.
 */
#ifndef HOST_ABI_H
#define HOST_ABI_H

#include <assert.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* ---- device nodes, /dev/vfio/devices/vfioN ---- */

struct host_bind {			/* CD-009 …; of 6.12 and later, without the token */
	uint32_t argsz, flags;
	int32_t iommufd;
	uint32_t out_devid;
};
struct host_attach {			/* CD-030 … */
	uint32_t argsz, flags, pt_id;
};
struct host_detach {			/* CD-044 … */
	uint32_t argsz, flags;
};
#define HOST_DEVICE_BIND   _IO(';', 100 + 18)
#define HOST_DEVICE_ATTACH _IO(';', 100 + 19)
#define HOST_DEVICE_DETACH _IO(';', 100 + 20)

/* ---- /dev/iommu ---- */

struct iommu_destroy {			/* CD-070 */
	uint32_t size, id;
};
struct iommu_ioas_alloc {		/* CD-068 */
	uint32_t size, flags, out_ioas_id;
};
struct iommu_iova_range {
	uint64_t start, last;
};
struct iommu_ioas_iova_ranges {		/* CD-073 */
	uint32_t size, ioas_id, num_iovas, reserved;
	uint64_t allowed_iovas;
	uint64_t out_iova_alignment;
};
struct iommu_ioas_map {			/* CD-082 */
	uint32_t size, flags, ioas_id, reserved;
	uint64_t user_va, length, iova;
};
struct iommu_ioas_map_file {
	uint32_t size, flags, ioas_id;
	int32_t fd;
	uint64_t start, length, iova;
};
struct iommu_ioas_unmap {		/* CD-114 */
	uint32_t size, ioas_id;
	uint64_t iova, length;
};
struct iommu_option {			/* CD-122 */
	uint32_t size, option_id;
	uint16_t op, reserved;
	uint32_t object_id;
	uint64_t val64;
};
struct iommu_vfio_ioas {		/* CD-131 */
	uint32_t size, ioas_id;
	uint16_t op, reserved;
};

#define IOMMU_MAP_FIXED_IOVA 1u
#define IOMMU_MAP_WRITEABLE  2u
#define IOMMU_MAP_READABLE   4u
#define IOMMU_OPTION_RLIMIT_MODE 0u
#define IOMMU_OPTION_SET 0u
#define IOMMU_VFIO_IOAS_SET 1u

#define IOMMU_DESTROY		_IO(';', 0x80)
#define IOMMU_IOAS_ALLOC	_IO(';', 0x81)
#define IOMMU_IOAS_IOVA_RANGES	_IO(';', 0x84)
#define IOMMU_IOAS_MAP		_IO(';', 0x85)
#define IOMMU_IOAS_UNMAP	_IO(';', 0x86)
#define IOMMU_OPTION		_IO(';', 0x87)
#define IOMMU_VFIO_IOAS		_IO(';', 0x88)
#define IOMMU_IOAS_MAP_FILE	_IO(';', 0x8f)

static_assert(sizeof(struct host_bind) == 16, "CD-010");
static_assert(sizeof(struct host_attach) == 12, "CD-031");
static_assert(sizeof(struct iommu_ioas_iova_ranges) == 32, "CD-073");
static_assert(sizeof(struct iommu_ioas_map) == 40, "CD-082");
static_assert(sizeof(struct iommu_ioas_map_file) == 40, "like IOAS_MAP");
static_assert(sizeof(struct iommu_ioas_unmap) == 24, "CD-114");
static_assert(sizeof(struct iommu_option) == 24, "CD-122");
static_assert(sizeof(struct iommu_vfio_ioas) == 12, "CD-131");

#endif
