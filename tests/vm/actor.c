/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-actor - a client that does what its standard input says, a line each, and answers each with
 * a line: "ok", or "-ERRNO", or a word. For tests of who has what open, in any order.
 *
 *     container C | group G BDF | attach G C | iommu C | device D G BDF
 *     map C AREA private|shared    a piece of memory of its own, at an address of its own
 *     unmap C AREA
 *     dma D FROM TO       edu copies an area to another: "ok" if what arrives is right
 *     status G            the flags of GET_STATUS
 *     unset G | close container|group|device N
 *     request D           from now on, be told that the device is wanted back
 *     asked D             wait until it is: "ok", or "no"
 *     look D              read its configuration space
 *
 * Containers, groups, devices and areas are numbers from 0 to 3.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../system/edu_user.h"
#include "../system/vc.h"

#define SLOTS 4
#define ASKED_MS 30000
#define AREA 0x10000u
#define IOVA(area) (0x1000000ull + (uint64_t)(area) * AREA)	/* edu has 28 bits of address */
#define BYTES 512u
#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

static const struct vc_where where = { .dir = "/dev/vfio" };
static int containers[SLOTS], groups[SLOTS], devices[SLOTS], requests[SLOTS];
static uint8_t *areas[SLOTS];

/* The slot that a word names. A script that asks for another is wrong. */
static int slot(const char *word)
{
	int n = word ? atoi(word) : -1;

	if (n < 0 || n >= SLOTS)
		exit(2);
	return n;
}

static int keep(int *at, int fd)
{
	if (fd < 0)
		return fd;
	*at = fd;
	return 0;
}

static int map(const char *container, const char *area, const char *kind)
{
	int n = slot(area);

	if (!kind)
		exit(2);
	areas[n] = mmap(NULL, AREA, PROT_READ | PROT_WRITE,
			MAP_ANONYMOUS | (!strcmp(kind, "shared") ? MAP_SHARED : MAP_PRIVATE), -1, 0);
	if (areas[n] == MAP_FAILED)
		return -errno;
	memset(areas[n], 0x11 * (n + 1), AREA);
	return vc_map(containers[slot(container)], areas[n], IOVA(n), AREA, RW);
}

static int dma(const char *device, const char *from, const char *to)
{
	int fd = devices[slot(device)], a = slot(from), b = slot(to), r;

	for (size_t i = 0; i < BYTES; i++)
		areas[a][i] = (uint8_t)(rand() >> 8);
	memset(areas[b], 0, BYTES);
	r = vc_bus_master(fd, true);
	if (r == 0)
		r = edu_dma(fd, IOVA(a), 0, BYTES, false, false);
	if (r == 0)
		r = edu_dma(fd, IOVA(b), 0, BYTES, true, false);
	if (r == 0 && memcmp(areas[a], areas[b], BYTES)) {
		puts("wrong");
		return 1;
	}
	return r;
}

static int status(const char *group)
{
	struct vfio_group_status arg = { .argsz = sizeof(arg) };
	int r = VC(groups[slot(group)], VFIO_GROUP_GET_STATUS, &arg);

	if (r)
		return r;
	printf("%u\n", arg.flags);
	return 1;
}

static int close_one(const char *kind, const char *number)
{
	int *slots = !kind ? NULL : !strcmp(kind, "container") ? containers :
		     !strcmp(kind, "group") ? groups : !strcmp(kind, "device") ? devices : NULL;

	if (!slots)
		exit(2);
	return close(slots[slot(number)]) ? -errno : 0;
}

static int request(const char *device)
{
	int n = slot(device);

	requests[n] = eventfd(0, EFD_CLOEXEC);
	return vc_irq_eventfds(devices[n], VFIO_PCI_REQ_IRQ_INDEX, 0, 1, &requests[n]);
}

static int asked(const char *device)
{
	puts(vc_event_wait(requests[slot(device)], ASKED_MS) ? "ok" : "no");
	return 1;
}

static int look(const char *device)
{
	uint32_t id;

	return vc_read(devices[slot(device)], VFIO_PCI_CONFIG_REGION_INDEX, 0, &id, sizeof(id));
}

static int open_group(const char *number, const char *bdf)
{
	struct vc_where at = where;

	at.bdf = bdf;
	at.group = bdf ? vc_sysfs_group(bdf) : -1;
	return at.group < 0 ? at.group : keep(&groups[slot(number)], vc_open_group(&at));
}

/* Return: 1: it is answered; 0; -errno. */
static int act(char *line)
{
	const char *word[5] = { strtok(line, " \n") };

	for (size_t i = 1; i < 5; i++)
		word[i] = strtok(NULL, " \n");
	if (!word[0])
		exit(2);
	if (!strcmp(word[0], "container"))
		return keep(&containers[slot(word[1])], vc_open_container(&where));
	if (!strcmp(word[0], "group"))
		return open_group(word[1], word[2]);
	if (!strcmp(word[0], "attach"))
		return vc_attach(groups[slot(word[1])], containers[slot(word[2])]);
	if (!strcmp(word[0], "iommu"))
		return VC(containers[slot(word[1])], VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	if (!strcmp(word[0], "device") && word[3])
		return keep(&devices[slot(word[1])],
			    vc_get_device(groups[slot(word[2])], word[3]));
	if (!strcmp(word[0], "map"))
		return map(word[1], word[2], word[3]);
	if (!strcmp(word[0], "unmap"))
		return vc_unmap(containers[slot(word[1])], IOVA(slot(word[2])), AREA, NULL);
	if (!strcmp(word[0], "dma"))
		return dma(word[1], word[2], word[3]);
	if (!strcmp(word[0], "status"))
		return status(word[1]);
	if (!strcmp(word[0], "unset"))
		return VC(groups[slot(word[1])], VFIO_GROUP_UNSET_CONTAINER, 0);
	if (!strcmp(word[0], "close"))
		return close_one(word[1], word[2]);
	if (!strcmp(word[0], "request"))
		return request(word[1]);
	if (!strcmp(word[0], "asked"))
		return asked(word[1]);
	if (!strcmp(word[0], "look"))
		return look(word[1]);
	exit(2);
}

int main(void)
{
	char line[128];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		int r = act(line);

		if (r < 0)
			printf("%d\n", r);
		else if (r == 0)
			puts("ok");
	}
	return 0;
}
