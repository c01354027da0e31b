/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of DMA by the edu device: bytes arrive, and nowhere that was not mapped. */
#include "vfioc.h"

#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "edu_user.h"

#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define P 4096ull
#define IOVA 0x1000000ull	/* edu reaches 28 bits of address */

static struct vc open_master(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);

	REQUIRE_EQ(vc_bus_master(vc.device, true), 0);
	return vc;
}

/* memory[from] → device → memory[to], through both directions of the engine */
static void round_trip(struct vc *vc, uint8_t *p, size_t from, size_t to, uint32_t len)
{
	REQUIRE_EQ(edu_dma(vc->device, IOVA + from, 0, len, false, false), 0);
	REQUIRE_EQ(edu_dma(vc->device, IOVA + to, 0, len, true, false), 0);
	EXPECT(!memcmp(p + from, p + to, len));
}

static void dma_private(const struct vc_where *w)
{
	struct vc vc = open_master(w);
	uint8_t *p = vfioc_memory(8 * P, 3);

	REQUIRE_EQ(vc_map(vc.container, p, IOVA, 8 * P, RW), 0);
	round_trip(&vc, p, 0, 2 * P, 2048);
	round_trip(&vc, p, 100, 5 * P + 777, 1);
	round_trip(&vc, p, P - 3, 6 * P - 5, 1000);	/* across pages */
}

static void dma_memfd(const struct vc_where *w)
{
	struct vc vc = open_master(w);
	int fd = memfd_create("dma", MFD_CLOEXEC);
	uint8_t *p, *again;

	REQUIRE(fd >= 0 && !ftruncate(fd, 8 * P));
	p = mmap(NULL, 8 * P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	again = mmap(NULL, 8 * P, PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(p != MAP_FAILED && again != MAP_FAILED);
	for (size_t i = 0; i < 8 * P; i++)
		p[i] = (uint8_t)(i * 7);
	REQUIRE_EQ(vc_map(vc.container, p, IOVA, 8 * P, RW), 0);
	round_trip(&vc, p, 3, 3 * P + 1, 2000);
	EXPECT(!memcmp(again + 3, again + 3 * P + 1, 2000));
	/* The client may do as it likes with its file: a device must survive that. */
	REQUIRE(!ftruncate(fd, 0));
	(void)edu_dma(vc.device, IOVA, 0, 64, false, false);
	(void)edu_dma(vc.device, IOVA, 0, 64, true, false);
	REQUIRE_EQ(vc_unmap(vc.container, IOVA, 8 * P, NULL), 0);
	REQUIRE(!ftruncate(fd, 8 * P));
	memset(p, 0x5a, P);
	REQUIRE_EQ(vc_map(vc.container, p, IOVA, 8 * P, RW), 0);
	round_trip(&vc, p, 0, P, 64);
}

static void dma_blocked(const struct vc_where *w)
{
	struct vc vc = open_master(w);
	uint8_t *p = vfioc_memory(4 * P, 5), *copy = vfioc_memory(4 * P, 5);

	REQUIRE_EQ(vc_map(vc.container, p, IOVA, P, RW), 0);
	REQUIRE_EQ(vc_map(vc.container, p + P, IOVA + P, P, VFIO_DMA_MAP_FLAG_READ), 0);
	memset(p, 0x11, 256);
	memset(copy, 0x11, 256);
	REQUIRE_EQ(edu_dma(vc.device, IOVA, 0, 256, false, false), 0);
	/* not mapped, and mapped for reading only */
	(void)edu_dma(vc.device, IOVA + 2 * P, 0, 256, true, false);
	(void)edu_dma(vc.device, IOVA + P, 0, 256, true, false);
	EXPECT(!memcmp(p, copy, 4 * P));
	/* after UNMAP the device does not get there any more */
	REQUIRE_EQ(vc_unmap(vc.container, IOVA, P, NULL), 0);
	memset(p, 0x22, 256);
	memset(copy, 0x22, 256);
	(void)edu_dma(vc.device, IOVA, 0, 256, true, false);
	EXPECT(!memcmp(p, copy, 4 * P));
	/* bus master off */
	REQUIRE_EQ(vc_map(vc.container, p, IOVA, P, RW), 0);
	REQUIRE_EQ(vc_bus_master(vc.device, false), 0);
	(void)edu_dma(vc.device, IOVA, 0, 256, true, false);
	EXPECT(!memcmp(p, copy, 4 * P));
	REQUIRE_EQ(vc_bus_master(vc.device, true), 0);
	REQUIRE_EQ(edu_dma(vc.device, IOVA, 0, 256, true, false), 0);
	EXPECT(memcmp(p, copy, 256));		/* and now it does */
}

/* One transfer over two mappings whose memory lies apart. */
static void dma_two_mappings(const struct vc_where *w)
{
	struct vc vc = open_master(w);
	uint8_t *a = vfioc_memory(P, 1), *b = vfioc_memory(P, 2), *c = vfioc_memory(P, 9);

	REQUIRE_EQ(vc_map(vc.container, a, IOVA, P, RW), 0);
	REQUIRE_EQ(vc_map(vc.container, b, IOVA + P, P, RW), 0);
	REQUIRE_EQ(vc_map(vc.container, c, IOVA + 4 * P, P, RW), 0);
	REQUIRE_EQ(edu_dma(vc.device, IOVA + P - 100, 0, 300, false, false), 0);
	REQUIRE_EQ(edu_dma(vc.device, IOVA + 4 * P, 0, 300, true, false), 0);
	EXPECT(!memcmp(c, a + P - 100, 100));
	EXPECT(!memcmp(c + 100, b, 200));
}

/* CG-131, T1-041: a child maps its own memory into the shared container. */
static void dma_of_child(const struct vc_where *w)
{
	struct vc vc = open_master(w);
	uint8_t *p = vfioc_memory(2 * P, 4);
	int ready[2], status;
	pid_t pid;
	char byte;

	REQUIRE(!pipe(ready));
	REQUIRE_EQ(vc_map(vc.container, p, IOVA, P, RW), 0);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		memset(p + P, 0xc4, P);
		if (vc_map(vc.container, p + P, IOVA + P, P, RW))
			_exit(1);
		if (write(ready[1], "x", 1) != 1)
			_exit(2);
		for (;;)
			pause();
	}
	REQUIRE(read(ready[0], &byte, 1) == 1);
	REQUIRE_EQ(edu_dma(vc.device, IOVA + P, 0, 512, false, false), 0);
	REQUIRE_EQ(edu_dma(vc.device, IOVA, 0, 512, true, false), 0);
	EXPECT_EQ(p[0], 0xc4);
	EXPECT_EQ(p[511], 0xc4);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	EXPECT_EQ(vc_unmap(vc.container, IOVA + P, P, NULL), 0);		/* T1-077 */
	round_trip(&vc, p, 0, 512, 100);
}

static void dma_interrupt(const struct vc_where *w)
{
	struct vc vc = open_master(w);
	uint8_t *p = vfioc_memory(P, 6);
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint32_t status = 0;

	REQUIRE_EQ(vc_map(vc.container, p, IOVA, P, RW), 0);
	REQUIRE_EQ(edu_write32(vc.device, EDU_IRQ_ACK, ~0u), 0);
	REQUIRE_EQ(vc_irq_eventfds(vc.device, VFIO_PCI_MSI_IRQ_INDEX, 0, 1, &event), 0);
	REQUIRE_EQ(edu_dma(vc.device, IOVA, 0, 1024, false, true), 0);
	EXPECT_EQ(vc_event_wait(event, 5000), 1);
	REQUIRE_EQ(edu_read32(vc.device, EDU_IRQ_STATUS, &status), 0);
	EXPECT_EQ(status, EDU_DMA_IRQ);
}

const struct vcase cases_dma[] = {
	{ .name = "dma_private", .rows = "T1-037", .fn = dma_private, .needs = NEEDS_EDU },
	{ .name = "dma_memfd", .rows = "T1-037", .fn = dma_memfd, .needs = NEEDS_EDU },
	{ .name = "dma_blocked", .rows = "T1-070 PCI-208", .fn = dma_blocked,
	  .needs = NEEDS_EDU },
	{ .name = "dma_two_mappings", .rows = "T1-043", .fn = dma_two_mappings,
	  .needs = NEEDS_EDU },
	{ .name = "dma_of_child", .rows = "CG-131 T1-041 T1-077", .fn = dma_of_child,
	  .needs = NEEDS_EDU },
	{ .name = "dma_interrupt", .rows = "PCI-085", .fn = dma_interrupt,
	  .needs = NEEDS_EDU },
	{ .name = NULL },
};
