/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * holder.c - a client that has a device open and says what becomes of it.
 *
 *   holder BDF GROUP polite|stubborn|stalling
 *
 * It maps a page for DMA and asks for the REQ interrupt. Lines that it writes:
 *
 *   open            all is set up
 *   asked           REQ came. If it is polite, it closes all and ends
 *   info ERRNO      GET_INFO of the device answers otherwise than before (0 at first)
 *   read ERRNO      the same for pread() of configuration space
 *   status ERRNO    the same for the group's GET_STATUS
 *   again ERRNO     … and GET_DEVICE_FD of the same device
 *
 * A stubborn one goes on until it is killed. A stalling one has an edu device, too, read from
 * memory that never comes (userfaultfd), and does not wait for the device itself. It speaks
 * <linux/vfio.h> and knows nothing else.
 */
#include "vc.h"

#include "edu_user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOK_MS 20

static struct vc vc = VC_NONE;
static const char *bdf;

static void tell(const char *what, int *before, int now)
{
	if (now == *before)
		return;
	*before = now;
	printf("%s %s\n", what, now ? strerrorname_np(-now) : "0");
	fflush(stdout);
}

static int info(void)
{
	struct vfio_device_info arg = { .argsz = sizeof(arg) };

	return VC(vc.device, VFIO_DEVICE_GET_INFO, &arg);
}

static int read_config(void)
{
	struct vfio_region_info arg = { .argsz = sizeof(arg),
					.index = VFIO_PCI_CONFIG_REGION_INDEX };
	static off_t offset = -1;
	char bytes[4];

	if (offset < 0 && VC(vc.device, VFIO_DEVICE_GET_REGION_INFO, &arg) == 0)
		offset = (off_t)arg.offset;
	return pread(vc.device, bytes, sizeof(bytes), offset) == sizeof(bytes) ? 0 : -errno;
}

static int status(void)
{
	struct vfio_group_status arg = { .argsz = sizeof(arg) };

	return VC(vc.group, VFIO_GROUP_GET_STATUS, &arg);
}

static int again(void)
{
	int fd = vc_get_device(vc.group, bdf);

	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : fd;
}

static int set_up(const struct vc_where *where, int event)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);
	int r = vc_open(&vc, where, VFIO_TYPE1v2_IOMMU);

	if (r == 0)
		r = vc_map(vc.container, page, 0x10000, 4096, 3);
	if (r == 0)
		r = vc_irq_eventfds(vc.device, VFIO_PCI_REQ_IRQ_INDEX, 0, 1, &event);
	return r;
}

/* The device begins to read a page that nobody provides. */
static int stall(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register where = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	const uint64_t dma[][2] = { { EDU_DMA_SRC, 0x20000 }, { EDU_DMA_DST, EDU_DMA_BUF },
				    { EDU_DMA_COUNT, 8 }, { EDU_DMA_CMD, 1 } };
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), r;

	where.range.start = (uintptr_t)page;
	where.range.len = 4096;
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &where))
		return -errno;
	r = vc_map(vc.container, page, 0x20000, 4096, 3);
	if (r == 0)
		r = vc_bus_master(vc.device, true);
	for (unsigned i = 0; r == 0 && i < 4; i++)
		r = vc_write(vc.device, VFIO_PCI_BAR0_REGION_INDEX, dma[i][0], &dma[i][1], 8);
	return r;
}

int main(int argc, char **argv)
{
	struct vc_where where = { .dir = "/dev/vfio" };
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int infos = 0, reads = 0, states = 0, gets = 0, r;
	bool polite, stalling;

	if (argc != 4) {
		fputs("usage: holder BDF GROUP polite|stubborn|stalling\n", stderr);
		return 2;
	}
	where.bdf = bdf = argv[1];
	where.group = atoi(argv[2]);
	polite = !strcmp(argv[3], "polite");
	stalling = !strcmp(argv[3], "stalling");
	r = set_up(&where, event);
	if (r == 0 && stalling)
		r = stall();
	if (r) {
		printf("cannot open %s: %s\n", bdf, strerror(-r));
		return 1;
	}
	puts("open");
	fflush(stdout);
	for (;;) {
		if (vc_event_wait(event, LOOK_MS)) {
			puts("asked");
			fflush(stdout);
			if (polite)
				break;
		}
		tell("info", &infos, info());
		if (stalling)
			continue;
		tell("read", &reads, read_config());
		tell("status", &states, status());
		/* For who gets it is another file, which would be asked for, too. */
		if (!polite)
			tell("again", &gets, again());
	}
	vc_close(&vc);
	return 0;
}
