/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * edu_user.h - driver for the educational PCI device whose register page QEMU publishes
 * (docs/specs/edu). Registers by pread and pwrite on BAR 0.
 */
#ifndef SYSTEM_EDU_USER_H
#define SYSTEM_EDU_USER_H

#include <stdbool.h>
#include <stdint.h>

#define EDU_VENDOR_DEVICE 0x11e81234u

enum {
	EDU_ID = 0x00, EDU_LIVE = 0x04, EDU_FACT = 0x08, EDU_STATUS = 0x20,
	EDU_IRQ_STATUS = 0x24, EDU_IRQ_RAISE = 0x60, EDU_IRQ_ACK = 0x64,
	EDU_DMA_SRC = 0x80, EDU_DMA_DST = 0x88, EDU_DMA_COUNT = 0x90, EDU_DMA_CMD = 0x98,
	EDU_DMA_BUF = 0x40000,		/* 4096 bytes inside the device */
	EDU_DMA_BUF_SIZE = 4096,
};

#define EDU_DMA_IRQ 0x100		/* interrupt status of a finished DMA */

int edu_read32(int device, uint64_t reg, uint32_t *ret);
int edu_write32(int device, uint64_t reg, uint32_t value);

/*
 * Copy @len bytes between the client's memory at @iova and the device's buffer at offset
 * @at (to_memory: buffer to memory); waits for the end, at most five seconds.
 * Return: 0, -ETIMEDOUT, or the errno of a register access.
 */
int edu_dma(int device, uint64_t iova, uint32_t at, uint32_t len, bool to_memory,
	    bool interrupt);

#endif
