/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every order of closing (section 9 of the container's rules).
 *
 * Some files are opened and then closed in an order; after each close it is recorded how
 * the group, the container, and the device answer. The orders of a set are all of its
 * permutations, in lexical order; where opening a device takes long, a case takes only
 * every n-th of them.
 */
#include "conf.h"

#include <sys/mman.h>

#define IOVA 0x100000ull
#define MOST 7

/* The letters of an order: large ones are copies. "m" is a map of a BAR. */
enum { GROUP = 'g', CONTAINER = 'c', DEVICE = 'd', GROUP_COPY = 'G', CONTAINER_COPY = 'C',
       DEVICE_COPY = 'D', MAP = 'm', GROUP2 = 'h', DEVICE2 = 'e' };

static int fds[128];
static void *map;
static uint64_t memory;

static bool is_open(int letter)
{
	return letter == MAP ? map != NULL : fds[letter] >= 0;
}

/* An fd that is still open, or -1. */
static int either(int one, int copy)
{
	return fds[one] >= 0 ? fds[one] : fds[copy];
}

static void open_set(const char *set)
{
	bool two = strchr(set, GROUP2);
	int64_t r;

	memset(fds, 0xff, sizeof(fds));
	map = NULL;
	fds[CONTAINER] = conf_container();
	fds[GROUP] = conf_group(0);
	if (two)
		fds[GROUP2] = conf_group(1);
	r = conf_attach(fds[GROUP], fds[CONTAINER]);
	if (r == 0 && two)
		r = conf_attach(fds[GROUP2], fds[CONTAINER]);
	if (r == 0)
		r = T->ioctl(fds[CONTAINER], VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	if (r == 0)
		r = conf_map(fds[CONTAINER], 3, memory, IOVA, PAGE);
	if (r)
		conf_abort("opening a set", r);
	if (strchr(set, DEVICE))
		fds[DEVICE] = conf_get_device(fds[GROUP], conf_where.bdf[0]);
	if (two)
		fds[DEVICE2] = conf_get_device(fds[GROUP2], conf_where.bdf[1]);
	if (strchr(set, GROUP_COPY))
		fds[GROUP_COPY] = T->dup(fds[GROUP]);
	if (strchr(set, CONTAINER_COPY))
		fds[CONTAINER_COPY] = T->dup(fds[CONTAINER]);
	if (strchr(set, DEVICE_COPY))
		fds[DEVICE_COPY] = T->dup(fds[DEVICE]);
	if (strchr(set, MAP)) {
		map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fds[DEVICE],
			   (off_t)conf_offset(fds[DEVICE], 0));
		if (map == MAP_FAILED)
			map = NULL;
	}
	for (const char *p = set; *p; p++)
		if (!is_open(*p) && *p != MAP)
			conf_abort("opening a file of the set", fds[(int)*p]);
}

static void close_one(int letter)
{
	if (letter != MAP) {
		T->close(fds[letter]);
		fds[letter] = -1;
	} else if (map) {
		munmap(map, PAGE);
		map = NULL;
	}
}

static const char *short_result(int64_t r)
{
	return r < 0 ? conf_errno(r) : conf_text("%lld", (long long)r);
}

static const char *probe_container(int container)
{
	int64_t info, mapped;

	if (container < 0)
		return "";
	info = T->ioctl(container, VFIO_IOMMU_GET_INFO, 0);	/* EFAULT with a driver */
	mapped = conf_map(container, 3, memory, IOVA, PAGE);
	if (!mapped)
		conf_unmap(container, 0, IOVA, PAGE, NULL);
	return conf_text(" info %s map %s set %s", short_result(info), short_result(mapped),
			 short_result(T->ioctl(container, VFIO_SET_IOMMU, 3)));
}

static const char *probe_group(unsigned which, int group, bool device_open)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	const char *reopened = short_result(conf_fd(T->open_group(which)));
	const char *unset = "";
	int64_t r;

	if (group < 0)
		return conf_text(" open %s", reopened);
	/* It would leave, if no device were open. */
	if (device_open)
		unset = short_result(T->ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0));
	r = CALL(group, VFIO_GROUP_GET_STATUS, &status);
	return conf_text(" open %s status %s 0x%x attach %s unset %s", reopened,
			 short_result(r), status.flags,
			 short_result(conf_attach(group, group)), unset);
}

static const char *probe_device(int device)
{
	if (device < 0)
		return "";
	return conf_text(" type %x irqs %s", conf_cfg(device, 0xe, 1) & 0x7f,
			 short_result(conf_set_irqs(device,
						    VFIO_IRQ_SET_DATA_NONE |
							    VFIO_IRQ_SET_ACTION_TRIGGER,
						    4, 0, 1, NULL, 0)));
}

static void one_order(const char *set, const char *order)
{
	open_set(set);
	for (const char *p = order; *p; p++) {
		bool two = strchr(set, GROUP2);
		bool device_open;

		close_one(*p);
		device_open = is_open(DEVICE) || is_open(DEVICE_COPY) || map;
		conf_step(
			"CG-018 CG-056 CG-114 CG-116 CG-119 CG-122 CG-124 CG-125 CG-126 "
			"CG-127 "
			"CG-130 CG-134 PCI-262",
			0,
			conf_text("c%s g%s d%s%s%s%s",
				  probe_container(either(CONTAINER, CONTAINER_COPY)),
				  probe_group(0, either(GROUP, GROUP_COPY), device_open),
				  probe_device(either(DEVICE, DEVICE_COPY)),
				  two ? " h" : "",
				  two ? probe_group(1, fds[GROUP2], is_open(DEVICE2)) : "",
				  two ? probe_device(fds[DEVICE2]) : ""),
			"%s: %.*s closed", order, (int)(p - order + 1), order);
	}
}

static void swap(char *a, char *b)
{
	char t = *a;

	*a = *b;
	*b = t;
}

/* The next permutation in lexical order. */
static bool permute(char *s, size_t n)
{
	size_t i = n - 1, j = n - 1;

	while (i && s[i - 1] >= s[i])
		i--;
	if (!i)
		return false;
	while (s[j] <= s[i - 1])
		j--;
	swap(&s[i - 1], &s[j]);
	for (j = n - 1; i < j; i++, j--)
		swap(&s[i], &s[j]);
	return true;
}

/* @set: its letters in lexical order. Every @stride-th order of it. */
static void all_orders(const char *set, unsigned stride)
{
	char order[MOST + 1] = "";
	unsigned n = 0;

	memory = T->memory(1);
	memcpy(order, set, strlen(set));
	do {
		if (n++ % stride == 0)
			one_order(set, order);
	} while (permute(order, strlen(order)));
}

static void closing_three(void)
{
	all_orders("cdg", 1);
}

static void closing_copies(void)
{
	all_orders("CDGcdg", 41);
}

static void closing_two_groups(void)
{
	all_orders("cdegh", 7);
}

static void closing_all_copies(void)
{
	all_orders("CDGcdg", 1);
}

static void closing_all_two_groups(void)
{
	all_orders("cdegh", 1);
}

/* CG-130 PCI-262: with a map of a BAR, where there is one that can be mapped. */
static void closing_mapped(void)
{
	all_orders("cdgm", 1);
}

static void closing_all_mapped(void)
{
	all_orders("CDGcdgm", 1);
}

const struct conf_case cases_closing[] = {
	CASE(closing_three, "CG-122 to CG-127"),
	CASE(closing_mapped, "CG-122 to CG-127 PCI-262", .needs = NEEDS_SYSCALLS),
	CASE(closing_copies, "CG-122 to CG-130"),
	CASE(closing_two_groups, "CG-116 CG-122 to CG-134", .needs = NEEDS_PEER),
	CASE(closing_all_copies, "CG-122 to CG-130", .seconds = 300, .needs = EXHAUSTIVE),
	CASE(closing_all_two_groups, "CG-116 CG-122 to CG-134", .seconds = 300,
	     .needs = EXHAUSTIVE | NEEDS_PEER),
	CASE(closing_all_mapped, "CG-122 to CG-130 PCI-262", .seconds = 600,
	     .needs = EXHAUSTIVE | NEEDS_SYSCALLS),
	{ .name = NULL },
};
