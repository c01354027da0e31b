/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "edu_user.h"

#include <errno.h>
#include <sched.h>
#include "vc.h"

int edu_read32(int device, uint64_t reg, uint32_t *ret)
{
	return vc_read(device, VFIO_PCI_BAR0_REGION_INDEX, reg, ret, 4);
}

int edu_write32(int device, uint64_t reg, uint32_t value)
{
	return vc_write(device, VFIO_PCI_BAR0_REGION_INDEX, reg, &value, 4);
}

static int write64(int device, uint64_t reg, uint64_t value)
{
	return vc_write(device, VFIO_PCI_BAR0_REGION_INDEX, reg, &value, 8);
}

int edu_dma(int device, uint64_t iova, uint32_t at, uint32_t len, bool to_memory,
	    bool interrupt)
{
	uint64_t end = vc_now_ns() + 5000000000ull, cmd;
	uint64_t buf = EDU_DMA_BUF + at;
	int r;

	r = write64(device, EDU_DMA_SRC, to_memory ? buf : iova);
	if (!r)
		r = write64(device, EDU_DMA_DST, to_memory ? iova : buf);
	if (!r)
		r = write64(device, EDU_DMA_COUNT, len);
	if (!r)
		r = write64(device, EDU_DMA_CMD,
			    1 | (to_memory ? 2 : 0) | (interrupt ? 4 : 0));
	while (!r) {
		r = vc_read(device, VFIO_PCI_BAR0_REGION_INDEX, EDU_DMA_CMD, &cmd, 8);
		if (r || !(cmd & 1))
			break;
		if (vc_now_ns() > end)
			return -ETIMEDOUT;
		sched_yield();
	}
	return r;
}
