/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * holder.c - a client that has a device open while the service around it changes.
 *
 *   vm-holder BDF GROUP close      says "open", waits for the request interrupt (REQ), says
 *                                  "asked", and closes the device
 *   vm-holder BDF GROUP keep       the same, but closes nothing: says "works" if the device
 *                                  still does, and waits to be killed
 *   vm-holder BDF GROUP as UID     opens it, becomes another user, in a group of the same
 *                                  number alone, and says what calls on the group and the
 *                                  device give: "group ERRNO device ERRNO"
 *   vm-holder BDF GROUP look       says "group ERRNO device ERRNO" for each line that it reads
 */
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../system/vc.h"

#define ASKED_MS 60000

static int status(const struct vc *vc)
{
	struct vfio_group_status arg = { .argsz = sizeof(arg) };

	return VC(vc->group, VFIO_GROUP_GET_STATUS, &arg);
}

static int look(const struct vc *vc)
{
	uint32_t id = 0;

	return vc_read(vc->device, VFIO_PCI_CONFIG_REGION_INDEX, 0, &id, sizeof(id));
}

static void say(const struct vc *vc)
{
	printf("group %d device %d\n", -status(vc), -look(vc));
}

static int hold(struct vc *vc, bool keep)
{
	int asked = eventfd(0, EFD_CLOEXEC);

	if (vc_irq_eventfds(vc->device, VFIO_PCI_REQ_IRQ_INDEX, 0, 1, &asked))
		return 1;
	puts("open");
	if (vc_event_wait(asked, ASKED_MS) == 0)
		return 1;
	puts("asked");
	if (!keep) {
		vc_close(vc);
		return 0;
	}
	if (look(vc) == 0)
		puts("works");
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	struct vc_where where = { .dir = "/dev/vfio" };
	struct vc vc = VC_NONE;
	char line[16];
	int r;

	if (argc < 4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	where.bdf = argv[1];
	where.group = atoi(argv[2]);
	r = vc_open(&vc, &where, VFIO_TYPE1v2_IOMMU);
	if (r) {
		printf("open %d\n", -r);
		return 1;
	}
	if (!strcmp(argv[3], "as") && argc == 5) {
		unsigned uid = (unsigned)atoi(argv[4]);

		if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
			return 1;
		say(&vc);
		return 0;
	}
	if (!strcmp(argv[3], "look")) {
		puts("open");
		while (fgets(line, sizeof(line), stdin))
			say(&vc);
		return 0;
	}
	return hold(&vc, !strcmp(argv[3], "keep"));
}
