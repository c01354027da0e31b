/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of the group file. */
#include "conf.h"

#include <limits.h>

static int container = -1, group = -1, device = -1;

static void fresh(void)
{
	T->close(device);
	device = -1;
	T->close(group);
	T->close(container);
	container = conf_container();
	group = conf_group(0);
}

static void must(const char *what, int64_t r)
{
	if (r < 0)
		conf_abort(what, r);
}

static void leave(void)
{
	T->ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0);
}

static void status(const char *when)
{
	struct vfio_group_status s = { .argsz = sizeof(s), .flags = 0xffffffff };
	int64_t r = CALL(group, VFIO_GROUP_GET_STATUS, &s);

	conf_step("CG-060 CG-061 CG-062", r,
		  conf_text("flags 0x%x argsz %u", s.flags, s.argsz), "GET_STATUS %s",
		  when);
}

static void group_status(void)
{
	struct vfio_group_status arg = { .argsz = sizeof(arg) };
	struct conf_struct s = { .name = "GET_STATUS", .cmd = VFIO_GROUP_GET_STATUS,
		.arg = &arg, .len = sizeof(arg), .min = sizeof(arg) };

	fresh();
	s.fd = group;
	conf_try_pointers("CG-001 CG-057 CG-063", &s);
	conf_try_argsz("CG-002 CG-003 CG-004 CG-058", &s);
	conf_try_flags("CG-061", &s);
	status("of a fresh group");
	must("SET_CONTAINER", conf_attach(group, container));
	status("in a container");
	conf_try_pointers("CG-001 CG-057 CG-060 CG-063", &s);
	must("SET_IOMMU", T->ioctl(container, VFIO_SET_IOMMU, 3));
	status("with a driver");
	device = conf_get_device(group, conf_where.bdf[0]);
	must("GET_DEVICE_FD", device);
	status("with a device");
	fresh();
	must("SET_CONTAINER", conf_attach(group, container));
	T->close(container);
	status("with its container closed");
	STEP("CG-123", T->ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0), "UNSET_CONTAINER");
	status("after UNSET_CONTAINER");
}

/* An fd of each kind, and numbers that are none. */
static void try_fds(const char *when)
{
	int closed = T->open_container(), other = T->other_file(), event = T->eventfd();
	const struct { const char *name; int fd;
	} values[] = {
		{ "-1", -1 },
		{ "-2", -2 },
		{ "INT_MIN", INT_MIN },
		{ "INT_MAX", INT_MAX },
		{ "1000000", 1000000 },
		{ "a closed fd", closed },
		{ "another file", other },
		{ "an eventfd", event },
		{ "the group itself", group },
		{ "a device", device },
	};

	T->close(closed);
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
		if (device >= 0 || i + 1 < sizeof(values) / sizeof(*values))
			STEP("CG-065 CG-066 CG-070", conf_attach(group, values[i].fd),
			     "%s: SET_CONTAINER with %s", when, values[i].name);
	T->close(other);
	T->close(event);
}

static void group_set_container(void)
{
	int32_t arg;
	struct conf_struct s = { .name = "SET_CONTAINER", .cmd = VFIO_GROUP_SET_CONTAINER,
		.arg = &arg, .len = sizeof(arg), .min = sizeof(arg), .undo = leave,
		.no_argsz = true };
	int copy, second;

	fresh();
	s.fd = group;
	arg = container;
	try_fds("fresh");
	for (int i = 0; i < 3; i++) {
		STEP("CG-068 CG-077", conf_attach(group, container), "SET_CONTAINER (%d)", i);
		STEP("CG-085", T->ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0),
		     "UNSET_CONTAINER (%d)", i);
	}
	copy = T->dup(container);
	STEP("CG-130", conf_attach(group, copy), "SET_CONTAINER with a copy");
	second = conf_container();
	STEP("CG-066", conf_attach(group, container), "again");
	STEP("CG-066", conf_attach(group, second), "with another container");
	try_fds("attached");
	STEP("CG-066", T->ioctl(group, VFIO_GROUP_SET_CONTAINER, conf_nowhere()),
	     "attached: SET_CONTAINER where nothing may be read");
	must("SET_IOMMU", T->ioctl(container, VFIO_SET_IOMMU, 3));
	device = conf_get_device(group, conf_where.bdf[0]);
	must("GET_DEVICE_FD", device);
	try_fds("with a device");
	STEP("CG-066", conf_attach(group, second), "with a device: another container");
	T->close(device);
	device = -1;
	STEP("CG-085", T->ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0), "UNSET_CONTAINER");
	STEP("CG-077", conf_attach(group, second), "with another container, after UNSET");
	leave();
	conf_try_pointers("CG-001 CG-064 CG-065", &s);
}

static void group_unset_container(void)
{
	const uint64_t args[] = { 0, 1, UINT64_MAX, conf_nowhere() };
	int first, second;

	fresh();
	for (size_t i = 0; i < sizeof(args) / sizeof(*args); i++) {
		STEP("CG-083", T->ioctl(group, VFIO_GROUP_UNSET_CONTAINER, args[i]),
		     "fresh, argument %zu", i);
		must("SET_CONTAINER", conf_attach(group, container));
		STEP("CG-085", T->ioctl(group, VFIO_GROUP_UNSET_CONTAINER, args[i]),
		     "attached, argument %zu", i);
	}
	must("SET_CONTAINER", conf_attach(group, container));
	must("SET_IOMMU", T->ioctl(container, VFIO_SET_IOMMU, 3));
	first = conf_get_device(group, conf_where.bdf[0]);
	second = conf_get_device(group, conf_where.bdf[0]);
	STEP("CG-103", second < 0 ? second : 0, "a second fd of the device");
	STEP("CG-084 CG-118", T->ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0),
	     "two fds open");
	T->close(first);
	STEP("CG-084 CG-128", T->ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0),
	     "one fd open");
	T->close(second);
	STEP("CG-085 CG-127", T->ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0), "no fd open");
	STEP("CG-083", T->ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0), "again");
	STEP("CG-045", T->ioctl(container, VFIO_IOMMU_GET_INFO, conf_nowhere()),
	     "GET_INFO of the emptied container");
}

/* ---- GET_DEVICE_FD ---- */

#define UUID "12345678-9abc-def0-1234-56789abcdef0"

/* "@" stands for the device's address. */
static const char *const names[] = {
	"@", "", " ", "@ ", "@  ", " @", "@\t", "@\n", "@x", "@0", "@.0", "@,", "@/", "@ @",
	"@ x", "@  x", "@ vf_token", "@ vf_token=", "@ vf_token=x", "@ vf_token=" UUID,
	"@  vf_token=" UUID " ", "@ vf_token=" UUID "x", "@ vf_token=" UUID " x",
	"@ vf_token=" UUID " vf_token=" UUID, "@ vf_token=" UUID " vf_token=",
	"@ vf_token=12345678-9abc-def0-1234-56789abcdef", "@ VF_TOKEN=" UUID,
	"@ vf_token=12345678_9abc_def0_1234_56789abcdef0",
	"@ vf_token=g2345678-9abc-def0-1234-56789abcdef0",
	"@ vf_token=" UUID "0", "@vf_token=" UUID, "@ token=" UUID, "@ vf_token =" UUID,
	"0000:00:00.0", "ffff:ff:1f.7", "vfio-pci", "../../@", "0000:@", "1234:56:78.9",
};

/* The device's address for "@". Return: the name, which fits into @size bytes. */
static void expand(char *to, size_t size, const char *name)
{
	const char *at = strchr(name, '@');

	if (!at)
		snprintf(to, size, "%s", name);
	else
		snprintf(to, size, "%.*s%s%s", (int)(at - name), name, conf_where.bdf[0],
			 strcmp(at + 1, " @") ? at + 1 : " @@");
}

static const char *printable(const char *name)
{
	return !strcmp(name, "@\t") ? "@<tab>" : !strcmp(name, "@\n") ? "@<newline>" : name;
}

static void try_names(const char *when)
{
	uint64_t addr = T->memory(3);
	char *p = conf_at(addr), shorter[32];
	size_t len;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		expand(p, PAGE, names[i]);
		STEP("CG-089 CG-090 CG-102 CG-104 CG-105 CG-106 CG-107 CG-108 CG-113",
		     conf_fd(T->ioctl(group, VFIO_GROUP_GET_DEVICE_FD, addr)),
		     "%s: GET_DEVICE_FD \"%s\"", when, printable(names[i]));
	}
	snprintf(shorter, sizeof(shorter), "%s", conf_where.bdf[0]);
	for (size_t n = strlen(shorter); n-- > 0;) {
		shorter[n] = 0;
		snprintf(p, PAGE, "%s", shorter);
		STEP("CG-104", conf_fd(T->ioctl(group, VFIO_GROUP_GET_DEVICE_FD, addr)),
		     "%s: GET_DEVICE_FD with %zu letters of it", when, n);
	}
	/* Names that end, or do not end, about where a page does. */
	for (len = PAGE - 2; len <= PAGE + 1; len++) {
		memset(p, ' ', 2 * PAGE);
		memcpy(p, conf_where.bdf[0], strlen(conf_where.bdf[0]));
		p[len] = 0;
		STEP("CG-088 CG-106",
		     conf_fd(T->ioctl(group, VFIO_GROUP_GET_DEVICE_FD, addr)),
		     "%s: GET_DEVICE_FD of %zu letters", when, len);
	}
	memset(p, 'x', 3 * PAGE);
	STEP("CG-088", T->ioctl(group, VFIO_GROUP_GET_DEVICE_FD, addr), "%s: no end", when);
	T->protect(addr + PAGE, 1, RIGHTS_NONE);
	STEP("CG-087", T->ioctl(group, VFIO_GROUP_GET_DEVICE_FD, addr + 1),
	     "%s: no end in what can be read", when);
	STEP("CG-087", T->ioctl(group, VFIO_GROUP_GET_DEVICE_FD, addr + PAGE - 3),
	     "%s: three letters that can be read", when);
	expand(p + PAGE - strlen(conf_where.bdf[0]) - 1, 64, "@");
	STEP("CG-087", conf_fd(T->ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
					addr + PAGE - strlen(conf_where.bdf[0]) - 1)),
	     "%s: a name that ends where nothing can be read", when);
	for (unsigned i = 0; i < 3; i++) {
		const uint64_t bad[] = { 0, conf_nowhere(), UINT64_MAX };

		STEP("CG-087", T->ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bad[i]),
		     "%s: bad pointer %u", when, i);
	}
}

/* Which error wins in each state (CG-089 before CG-094 before CG-097). */
static void group_device_names(void)
{
	fresh();
	try_names("fresh");
	must("SET_CONTAINER", conf_attach(group, container));
	try_names("attached");		/* CG-097 */
	leave();
	STEP("CG-094", conf_fd(conf_get_device(group, conf_where.bdf[0])), "after UNSET");
	must("SET_CONTAINER", conf_attach(group, container));
	must("SET_IOMMU", T->ioctl(container, VFIO_SET_IOMMU, 3));
	device = conf_get_device(group, conf_where.bdf[0]);
	must("GET_DEVICE_FD", device);
	try_names("with a device");	/* CG-103 */
}

static void group_open(void)
{
	int second, copy;

	fresh();
	second = T->open_group(0);
	STEP("CG-052", conf_fd(second), "a second open");
	copy = T->dup(group);
	T->close(group);
	STEP("CG-052 CG-130", conf_fd(T->open_group(0)), "with a copy left");
	T->close(copy);
	group = T->open_group(0);
	STEP("CG-056", group < 0 ? group : 0, "after the last copy");
	must("SET_CONTAINER", conf_attach(group, container));
	T->close(group);
	group = T->open_group(0);
	STEP("CG-056", group < 0 ? group : 0, "after it was closed in a container");
	status("after it was closed in a container");
	STEP("CG-036 CG-115", T->ioctl(container, VFIO_SET_IOMMU, 1),
	     "SET_IOMMU of the container that it left");
	must("SET_CONTAINER", conf_attach(group, container));
	must("SET_IOMMU", T->ioctl(container, VFIO_SET_IOMMU, 1));
	device = conf_get_device(group, conf_where.bdf[0]);
	T->close(group);
	STEP("CG-124", conf_fd(T->open_group(0)), "with its device open");
	T->close(device);
	device = -1;
	group = T->open_group(0);
	STEP("CG-125", group < 0 ? group : 0, "after the device was closed");
	STEP("CG-114 CG-125", T->ioctl(container, VFIO_IOMMU_GET_INFO, conf_nowhere()),
	     "GET_INFO of the container");
}

/* CG-055 in every state */
static void group_numbers(void)
{
	fresh();
	conf_try_numbers("CG-055 CG-057 CG-083", "fresh", group);
	must("SET_CONTAINER", conf_attach(group, container));
	conf_try_numbers("CG-055 CG-057 CG-085", "attached", group);
}

const struct conf_case cases_group[] = {
	CASE(group_status, "CG-057 to CG-063"),
	CASE(group_set_container, "CG-064 to CG-077"),
	CASE(group_unset_container, "CG-083 to CG-085"),
	CASE(group_device_names, "CG-087 to CG-108 CG-113"),
	CASE(group_open, "CG-052 CG-056 CG-124 CG-125"),
	CASE(group_numbers, "CG-055"),
	{ .name = NULL },
};
