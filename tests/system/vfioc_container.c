/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of the container fd and of the group fd. */
#include "vfioc.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- container ---- */

static void container_version(const struct vc_where *w)
{
	int a = vc_open_container(w), b = vc_open_container(w), ro;
	char path[256];

	REQUIRE(a >= 0 && b >= 0);
	EXPECT_EQ(VC(a, VFIO_GET_API_VERSION, 0), 0);			/* CG-019 */
	EXPECT_EQ(VC(b, VFIO_GET_API_VERSION, ~0ul), 0);
	snprintf(path, sizeof(path), "%s/vfio", w->dir);
	ro = open(path, O_RDONLY);					/* CG-005 */
	REQUIRE(ro >= 0);
	EXPECT_EQ(VC(ro, VFIO_GET_API_VERSION, 0), 0);
	EXPECT_EQ(VC(ro, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU), 1);
}

static void container_extensions(const struct vc_where *w)
{
	int c = vc_open_container(w);
	struct vc vc;

	REQUIRE(c >= 0);
	EXPECT_EQ(VC(c, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU), 1);	/* CG-025 */
	EXPECT_EQ(VC(c, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), 1);	/* CG-027 */
	EXPECT_EQ(VC(c, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU), 0);	/* CG-028 */
	EXPECT_EQ(VC(c, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL), 1);	/* CG-033 */
	EXPECT_EQ(VC(c, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR), 0);	/* CG-034 */
	EXPECT_EQ(VC(c, VFIO_CHECK_EXTENSION, 0), 0);			/* CG-024 */
	EXPECT_EQ(VC(c, VFIO_CHECK_EXTENSION, 11), 0);
	/* a number that an int would cut off; a 32-bit client cannot say it */
	if (sizeof(long) == 8)
		EXPECT_EQ(vc_ioctl(c, VFIO_CHECK_EXTENSION,
				   (uintptr_t)0x7fffffff00000001ull), 0);
	vc = vfioc_open(w);
	EXPECT_EQ(VC(vc.container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU), 1);
	EXPECT_EQ(VC(vc.container, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL), 1);
	EXPECT_EQ(VC(vc.container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR), 1);
	EXPECT_EQ(VC(vc.container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU), 0);
}

static void container_set_iommu(const struct vc_where *w)
{
	int c = vc_open_container(w), g;

	REQUIRE(c >= 0);
	EXPECT_EQ(VC(c, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), -EINVAL);	/* CG-036 */
	g = vc_open_group_wait(w);
	REQUIRE(g >= 0);
	REQUIRE_EQ(vc_attach(g, c), 0);
	EXPECT_EQ(VC(c, VFIO_SET_IOMMU, 9), -EINVAL);			/* CG-040 */
	EXPECT_EQ(VC(c, VFIO_SET_IOMMU, 0), -ENODEV);			/* CG-044 */
	EXPECT_EQ(VC(c, VFIO_SET_IOMMU, 11), -ENODEV);
	EXPECT_EQ(VC(c, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU), -ENODEV);	/* CG-038 */
	EXPECT_EQ(VC(c, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), 0);		/* CG-043 */
	EXPECT_EQ(VC(c, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), -EINVAL);	/* CG-037 */
	EXPECT_EQ(VC(c, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), -EINVAL);
	/* the last group leaves: a fresh container again */
	EXPECT_EQ(VC(g, VFIO_GROUP_UNSET_CONTAINER, 0), 0);
	EXPECT_EQ(VC(c, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), -EINVAL);	/* CG-114 */
	EXPECT_EQ(VC(c, VFIO_IOMMU_GET_INFO, 0), -EINVAL);
	REQUIRE_EQ(vc_attach(g, c), 0);
	EXPECT_EQ(VC(c, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
}

static void container_other_commands(const struct vc_where *w)
{
	int c = vc_open_container(w);
	struct vc vc;

	REQUIRE(c >= 0);
	EXPECT_EQ(VC(c, VFIO_IOMMU_MAP_DMA, BAD_ADDRESS), -EINVAL);	/* CG-045 */
	EXPECT_EQ(VC(c, VFIO_GROUP_GET_STATUS, 0), -EINVAL);
	EXPECT_EQ(VC(c, VFIO_DEVICE_RESET, 0), -EINVAL);
	EXPECT_EQ(VC(c, _IO(';', 199), 0), -EINVAL);
	vc = vfioc_open(w);
	EXPECT_EQ(VC(vc.container, VFIO_GROUP_GET_STATUS, 0), -ENOTTY);	/* CG-046 */
	EXPECT_EQ(VC(vc.container, VFIO_IOMMU_ENABLE, 0), -ENOTTY);
	EXPECT_EQ(VC(vc.container, _IO(';', 199), 0), -ENOTTY);
}

/* The part of a plain file's behaviour that is also theirs. */
static void container_file_operations(const struct vc_where *w)
{
	int fds[] = { vc_open_container(w), vc_open_group_wait(w) };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN };

	for (int i = 0; i < 2; i++) {
		struct pollfd p = { .fd = fds[i], .events = POLLIN | POLLOUT };

		REQUIRE(fds[i] >= 0);
		EXPECT(poll(&p, 1, 0) == 1 && p.revents == (POLLIN | POLLOUT)); /* CG-011 */
		EXPECT(epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &ev) == -1 &&
		       errno == EPERM);					/* CG-012 */
	}
}

const struct vcase cases_container[] = {
	{ .name = "container_version", .rows = "CG-005 CG-019", .fn = container_version },
	{ .name = "container_extensions",
	  .rows = "CG-020 CG-021 CG-024 CG-025 CG-027 CG-028 "
	  "CG-033 CG-034", .fn = container_extensions },
	{ .name = "container_set_iommu",
	  .rows = "CG-036 CG-037 CG-038 CG-040 CG-043 CG-044 "
	  "CG-114", .fn = container_set_iommu },
	{ .name = "container_other_commands", .rows = "CG-045 CG-046",
	  .fn = container_other_commands },
	{ .name = "container_file_operations", .rows = "CG-011 CG-012",
	  .fn = container_file_operations },
	{ .name = NULL },
};

/* ---- group ---- */

static void group_status(const struct vc_where *w)
{
	struct vfio_group_status st = { .argsz = sizeof(st) };
	int c = vc_open_container(w), g = vc_open_group_wait(w);

	REQUIRE(c >= 0 && g >= 0);
	EXPECT_EQ(VC(g, VFIO_GROUP_GET_STATUS, BAD_ADDRESS), -EFAULT);	/* CG-057 */
	st.argsz = 7;
	EXPECT_EQ(VC(g, VFIO_GROUP_GET_STATUS, &st), -EINVAL);		/* CG-058 */
	st = (struct vfio_group_status){ .argsz = 4096, .flags = ~0u };
	EXPECT_EQ(VC(g, VFIO_GROUP_GET_STATUS, &st), 0);		/* CG-061, CG-003 */
	EXPECT_EQ(st.flags, VFIO_GROUP_FLAGS_VIABLE);
	EXPECT_EQ(st.argsz, 4096);					/* CG-004 */
	REQUIRE_EQ(vc_attach(g, c), 0);
	EXPECT_EQ(VC(g, VFIO_GROUP_GET_STATUS, &st), 0);		/* CG-060 */
	EXPECT_EQ(st.flags, VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
	EXPECT_EQ(VC(g, VFIO_GROUP_UNSET_CONTAINER, 0), 0);
	EXPECT_EQ(VC(g, VFIO_GROUP_GET_STATUS, &st), 0);
	EXPECT_EQ(st.flags, VFIO_GROUP_FLAGS_VIABLE);
	EXPECT_EQ(VC(g, _IO(';', 199), 0), -ENOTTY);			/* CG-055 */
	EXPECT_EQ(VC(g, VFIO_DEVICE_RESET, 0), -ENOTTY);
	EXPECT_EQ(VC(g, VFIO_GET_API_VERSION, 0), -ENOTTY);
}

static void group_second_open(const struct vc_where *w)
{
	int g = vc_open_group_wait(w), copy;

	REQUIRE(g >= 0);
	EXPECT_EQ(vc_open_group(w), -EBUSY);				/* CG-052 */
	copy = dup(g);
	close(g);
	EXPECT_EQ(vc_open_group(w), -EBUSY);				/* CG-130 */
	close(copy);
	g = vc_open_group_wait(w);
	EXPECT(g >= 0);							/* CG-056 */
}

static void group_reopen_at_once(const struct vc_where *w)
{
	for (int i = 0; i < 200; i++) {
		int g = i ? vc_open_group(w) : vc_open_group_wait(w);

		REQUIRE(g >= 0);					/* CG-056 */
		close(g);
	}
}

static void group_set_container(const struct vc_where *w)
{
	int c = vc_open_container(w), g = vc_open_group_wait(w), number, other[2];

	REQUIRE(c >= 0 && g >= 0);
	REQUIRE(!pipe(other));
	EXPECT_EQ(VC(g, VFIO_GROUP_SET_CONTAINER, BAD_ADDRESS), -EFAULT); /* CG-064 */
	number = -1;
	EXPECT_EQ(VC(g, VFIO_GROUP_SET_CONTAINER, &number), -EBADF);	/* CG-065 */
	number = 987;
	EXPECT_EQ(VC(g, VFIO_GROUP_SET_CONTAINER, &number), -EBADF);
	EXPECT_EQ(VC(g, VFIO_GROUP_SET_CONTAINER, &other[0]), -EBADFD);	/* CG-070 */
	EXPECT_EQ(VC(g, VFIO_GROUP_SET_CONTAINER, &g), -EBADFD);
	EXPECT_EQ(VC(g, VFIO_GROUP_UNSET_CONTAINER, 0), -EINVAL);	/* CG-083 */
	EXPECT_EQ(VC(g, VFIO_GROUP_SET_CONTAINER, &c), 0);		/* CG-077 */
	EXPECT_EQ(VC(g, VFIO_GROUP_SET_CONTAINER, &c), -EINVAL);	/* CG-066 */
	EXPECT_EQ(VC(g, VFIO_GROUP_SET_CONTAINER, &other[0]), -EINVAL);
	EXPECT_EQ(VC(g, VFIO_GROUP_UNSET_CONTAINER, 0), 0);		/* CG-085 */
	EXPECT_EQ(VC(g, VFIO_GROUP_UNSET_CONTAINER, 0), -EINVAL);
}

static int device_named(int group, const char *bdf, const char *rest)
{
	char name[256];

	snprintf(name, sizeof(name), "%s%s", bdf, rest);
	return vc_get_device(group, name);
}

static void group_get_device_names(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	int fd;

	REQUIRE(page != MAP_FAILED);
	memset(page, 'x', 8192);
	/* CG-087 */
	EXPECT_EQ(VC(vc.group, VFIO_GROUP_GET_DEVICE_FD, BAD_ADDRESS), -EFAULT);
	EXPECT_EQ(VC(vc.group, VFIO_GROUP_GET_DEVICE_FD, page), -EINVAL);	/* CG-088 */
	EXPECT_EQ(vc_get_device(vc.group, ""), -ENODEV);			/* CG-089 */
	EXPECT_EQ(vc_get_device(vc.group, "ffff:ff:1f.7"), -ENODEV);		/* CG-104 */
	EXPECT_EQ(device_named(vc.group, w->bdf, "x"), -ENODEV);		/* CG-105 */
	fd = device_named(vc.group, w->bdf, "  ");				/* CG-106 */
	EXPECT(fd >= 0);
	close(fd);
	EXPECT_EQ(device_named(vc.group, w->bdf, " foo=1"), -EINVAL);		/* CG-107 */
	EXPECT_EQ(device_named(vc.group, w->bdf, " vf_token=abc"), -EINVAL);	/* CG-108 */
	EXPECT_EQ(device_named(vc.group, w->bdf,
			       " vf_token=2ab74924-c335-45f4-9b16-8569e5b08258"),
		  -EINVAL);							/* CG-113 */
	/* a name that ends with the last readable byte */
	REQUIRE(!munmap(page + 4096, 4096));
	memcpy(page + 4096 - strlen(w->bdf) - 1, w->bdf, strlen(w->bdf) + 1);
	fd = vc_get_device(vc.group, page + 4096 - strlen(w->bdf) - 1);
	EXPECT(fd >= 0);
}

static void group_get_device_states(const struct vc_where *w)
{
	int c = vc_open_container(w), g = vc_open_group_wait(w), d, e, flags;

	REQUIRE(c >= 0 && g >= 0);
	EXPECT_EQ(vc_get_device(g, "nothing"), -ENODEV);		/* CG-089 first */
	EXPECT_EQ(vc_get_device(g, w->bdf), -EINVAL);			/* CG-094 */
	REQUIRE_EQ(vc_attach(g, c), 0);
	EXPECT_EQ(vc_get_device(g, w->bdf), -EINVAL);			/* CG-097 */
	REQUIRE_EQ(VC(c, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	d = vc_get_device(g, w->bdf);
	REQUIRE(d >= 0);						/* CG-102 */
	flags = fcntl(d, F_GETFD);
	EXPECT_EQ(flags, FD_CLOEXEC);
	EXPECT_EQ(fcntl(d, F_GETFL) & O_ACCMODE, O_RDWR);
	e = vc_get_device(g, w->bdf);					/* CG-103 */
	EXPECT(e >= 0 && e != d);
	EXPECT_EQ(VC(g, VFIO_GROUP_UNSET_CONTAINER, 0), -EBUSY);	/* CG-084 */
	close(d);
	EXPECT_EQ(VC(g, VFIO_GROUP_UNSET_CONTAINER, 0), -EBUSY);	/* CG-128 */
	EXPECT_EQ(vc_cfg32(e, 0) == ~0u, 0);
	close(e);
}

/* CG-127: users go back to one as soon as close() returned. */
static void group_unset_after_close(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);

	for (int i = 0; i < 100; i++) {
		close(vc.device);
		REQUIRE_EQ(VC(vc.group, VFIO_GROUP_UNSET_CONTAINER, 0), 0);
		REQUIRE_EQ(vc_attach(vc.group, vc.container), 0);
		REQUIRE_EQ(VC(vc.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
		vc.device = vc_get_device(vc.group, w->bdf);
		REQUIRE(vc.device >= 0);
	}
}

static void group_no_fd_left(const struct vc_where *w)
{
	int c = vc_open_container(w), g = vc_open_group_wait(w), d;
	struct rlimit old, low;

	REQUIRE(c >= 0 && g >= 0);
	REQUIRE_EQ(vc_attach(g, c), 0);
	REQUIRE_EQ(VC(c, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	REQUIRE(!getrlimit(RLIMIT_NOFILE, &old));
	low = old;
	low.rlim_cur = (rlim_t)(c > g ? c : g) + 1;
	REQUIRE(!setrlimit(RLIMIT_NOFILE, &low));
	/* fill what may be free below */
	while (dup(0) >= 0)
		;
	EXPECT_EQ(vc_get_device(g, w->bdf), -EMFILE);			/* CG-092 */
	REQUIRE(!setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(VC(g, VFIO_GROUP_UNSET_CONTAINER, 0), 0);	/* it did not stay open */
	REQUIRE_EQ(vc_attach(g, c), 0);
	REQUIRE_EQ(VC(c, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	d = vc_get_device(g, w->bdf);
	EXPECT(d >= 0);
}

const struct vcase cases_group[] = {
	{ .name = "group_status",
	  .rows = "CG-003 CG-004 CG-055 CG-057 CG-058 CG-060 CG-061",
	  .fn = group_status },
	{ .name = "group_second_open", .rows = "CG-052 CG-056 CG-130",
	  .fn = group_second_open },
	{ .name = "group_reopen_at_once", .rows = "CG-056", .fn = group_reopen_at_once },
	{ .name = "group_set_container",
	  .rows = "CG-064 CG-065 CG-066 CG-070 CG-077 CG-083 "
	  "CG-085", .fn = group_set_container },
	{ .name = "group_get_device_names", .rows = "CG-087 CG-088 CG-089 CG-104 CG-105 "
	  "CG-106 CG-107 CG-108 CG-113", .fn = group_get_device_names },
	{ .name = "group_get_device_states", .rows = "CG-084 CG-089 CG-094 CG-097 CG-102 "
	  "CG-103 CG-128", .fn = group_get_device_states },
	{ .name = "group_unset_after_close", .rows = "CG-085 CG-127",
	  .fn = group_unset_after_close, .seconds = 60 },
	{ .name = "group_no_fd_left", .rows = "CG-092", .fn = group_no_fd_left },
	{ .name = NULL },
};
