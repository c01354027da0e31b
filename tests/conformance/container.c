/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of the container, and of the two files that are only nodes: container and group. */
#include "conf.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#define R(call) conf_errno_or(call)

/* The result of a system call, or -errno. */
static int64_t conf_errno_or(int64_t r)
{
	return r < 0 ? -errno : r;
}

/* ---- files ---- */

static int64_t try_mmap(int fd, int prot, int flags)
{
	void *p = mmap(NULL, PAGE, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, PAGE);
	return 0;
}

static void read_and_write(const char *who, int fd)
{
	char bytes[16] = "";
	struct iovec iov = { bytes, sizeof(bytes) };

	for (size_t n = 0; n <= sizeof(bytes); n += n < 2 ? 1 : 14) {
		STEP("CG-007 CG-008", R(read(fd, bytes, n)), "%s: read %zu", who, n);
		STEP("CG-007 CG-008", R(write(fd, bytes, n)), "%s: write %zu", who, n);
		STEP("CG-008", R(pread(fd, bytes, n, 0)), "%s: pread %zu at 0", who, n);
		STEP("CG-008", R(pwrite(fd, bytes, n, 4096)), "%s: pwrite %zu at 4096", who,
		     n);
		STEP("CG-008", R(pread(fd, bytes, n, -1)), "%s: pread %zu at -1", who, n);
	}
	STEP("CG-008", R(readv(fd, &iov, 1)), "%s: readv", who);
	STEP("CG-008", R(writev(fd, &iov, 1)), "%s: writev", who);
	STEP("CG-008", R(readv(fd, &iov, 0)), "%s: readv of nothing", who);
	for (int whence = SEEK_SET; whence <= SEEK_END; whence++)
		STEP("CG-009", R(lseek(fd, 0, whence)), "%s: lseek with whence %d", who,
		     whence);
	STEP("CG-010", try_mmap(fd, PROT_READ, MAP_SHARED), "%s: mmap shared", who);
	STEP("CG-010", try_mmap(fd, PROT_READ | PROT_WRITE, MAP_SHARED),
	     "%s: mmap shared, writable", who);
	STEP("CG-010", try_mmap(fd, PROT_READ, MAP_PRIVATE), "%s: mmap private", who);
	STEP("CG-013", R(fsync(fd)), "%s: fsync", who);
	STEP("CG-013", R(fdatasync(fd)), "%s: fdatasync", who);
	STEP("CG-014", R(fallocate(fd, 0, 0, 1)), "%s: fallocate", who);
	STEP("CG-014", R(ftruncate(fd, 0)), "%s: ftruncate", who);
}

static void wait_and_control(const char *who, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI };
	struct timeval none = { 0 };
	int ep = epoll_create1(EPOLL_CLOEXEC), on = 1, off = 0, n = 0;
	struct termios t;
	fd_set in, out;

	STEP("CG-011", R(poll(&p, 1, 0)), "%s: poll", who);
	STEP("CG-011", p.revents, "%s: events of poll", who);
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fd, &in);
	FD_SET(fd, &out);
	STEP("CG-011", R(select(fd + 1, &in, &out, NULL, &none)), "%s: select", who);
	STEP("CG-012", R(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event)), "%s: epoll_ctl", who);
	close(ep);
	STEP("CG-015", R(ioctl(fd, FIOASYNC, &on)), "%s: FIOASYNC on", who);
	STEP("CG-015", R(ioctl(fd, FIOASYNC, &off)), "%s: FIOASYNC off", who);
	STEP("CG-016", R(ioctl(fd, FIONBIO, &on)), "%s: FIONBIO on", who);
	STEP("CG-016", R(fcntl(fd, F_GETFL) & O_NONBLOCK), "%s: O_NONBLOCK", who);
	STEP("CG-016", R(ioctl(fd, FIONBIO, &off)), "%s: FIONBIO off", who);
	STEP("CG-016", R(ioctl(fd, FIONCLEX)), "%s: FIONCLEX", who);
	STEP("CG-016", R(fcntl(fd, F_GETFD)), "%s: F_GETFD after FIONCLEX", who);
	STEP("CG-016", R(ioctl(fd, FIOCLEX)), "%s: FIOCLEX", who);
	STEP("CG-016", R(fcntl(fd, F_GETFD)), "%s: F_GETFD after FIOCLEX", who);
	STEP("CG-016", R(ioctl(fd, FIONREAD, &n)), "%s: FIONREAD", who);
	STEP("CG-045 CG-055", R(ioctl(fd, TCGETS, &t)), "%s: TCGETS", who);
}

static void container_files(void)
{
	int fd = conf_container();

	read_and_write("container", fd);
	wait_and_control("container", fd);
}

static void group_files(void)
{
	int fd = conf_group(0);			/* CG-054 */

	read_and_write("group", fd);
	wait_and_control("group", fd);
}

/* An access mode matters to read and write only (CG-007 CG-053). */
static void node_modes(void)
{
	static const struct { const char *name; int flags;
	} modes[] = {
		{ "O_RDONLY", O_RDONLY },
		{ "O_WRONLY", O_WRONLY },
		{ "O_RDWR", O_RDWR },
		{ "O_PATH", O_PATH },
		{ "O_RDWR|O_NONBLOCK", O_RDWR | O_NONBLOCK },
		{ "O_RDWR|O_APPEND", O_RDWR | O_APPEND },
		{ "O_RDWR|O_TRUNC", O_RDWR | O_TRUNC },
		{ "O_RDWR|O_CREAT", O_RDWR | O_CREAT },
		{ "O_RDWR|O_CREAT|O_EXCL", O_RDWR | O_CREAT | O_EXCL },
		{ "O_RDONLY|O_DIRECTORY", O_RDONLY | O_DIRECTORY },
	};
	const char *const nodes[] = { conf_text("%s/vfio", conf_where.dir),
		conf_text("%s/%d", conf_where.dir, conf_where.group[0]) };

	for (size_t i = 0; i < 2 * sizeof(modes) / sizeof(*modes); i++) {
		const char *mode = modes[i / 2].name, *node = i % 2 ? "group" : "container";
		int fd = open(nodes[i % 2], modes[i / 2].flags | O_CLOEXEC, 0600);
		struct vfio_group_status status = { .argsz = sizeof(status) };
		char byte = 0;

		STEP("CG-005 CG-053", fd < 0 ? -errno : 0, "%s: open with %s", node, mode);
		if (fd < 0)
			continue;
		STEP("CG-007", R(read(fd, &byte, 1)), "%s with %s: read", node, mode);
		STEP("CG-007", R(write(fd, &byte, 1)), "%s with %s: write", node, mode);
		STEP("CG-010", try_mmap(fd, PROT_READ, MAP_SHARED), "%s with %s: mmap",
		     node, mode);
		STEP("CG-053",
		     i % 2 ? CALL(fd, VFIO_GROUP_GET_STATUS, &status)
			   : T->ioctl(fd, VFIO_GET_API_VERSION, 0),
		     "%s with %s: ioctl", node, mode);
		close(fd);
	}
	for (int n = -1; n < 2; n++) {
		int fd = open(conf_text("%s/%d", conf_where.dir, 99990 + n),
			      O_RDWR | O_CLOEXEC);

		STEP("SD-075", fd < 0 ? -errno : 0,
		     "open of a group that is not there (%d)", n);
	}
}

/* ---- states of a container ---- */

enum state { EMPTY, ATTACHED, WITH_V1, WITH_V2, EMPTIED, STATES };
static const char *const states[] = { "empty", "attached", "v1", "v2", "emptied" };

/* Group and container: whatever was there before is closed. */
static struct conf_files enter(enum state state)
{
	static struct conf_files f = { -1, -1, -1 };

	conf_close(&f);
	f = (struct conf_files){ conf_container(), conf_group(0), -1 };
	if (state != EMPTY && conf_attach(f.group, f.container))
		conf_abort("SET_CONTAINER", -1);
	if (state >= WITH_V1 && T->ioctl(f.container, VFIO_SET_IOMMU,
					 state == WITH_V1 ? VFIO_TYPE1_IOMMU :
							    VFIO_TYPE1v2_IOMMU))
		conf_abort("SET_IOMMU", -1);
	if (state == EMPTIED && T->ioctl(f.group, VFIO_GROUP_UNSET_CONTAINER, 0))
		conf_abort("UNSET_CONTAINER", -1);
	return f;
}

/* What a container of today answers does not depend on other containers (CG-005). */
static void container_version(void)
{
	const uint64_t args[] = { 0, 1, 8, conf_nowhere(), UINT64_MAX };

	for (enum state s = EMPTY; s < STATES; s++) {
		struct conf_files f = enter(s);

		for (size_t i = 0; i < sizeof(args) / sizeof(*args); i++)
			STEP("CG-019", T->ioctl(f.container, VFIO_GET_API_VERSION, args[i]),
			     "%s: GET_API_VERSION, argument %zu", states[s], i);
	}
}

/*
 * CG-020 CG-021 CG-022 CG-024 CG-025 CG-026 CG-027 CG-028 CG-029 CG-030 CG-031 CG-032 CG-033
 * CG-034 CG-035
 */
static void container_extensions(void)
{
	static const uint64_t far[] = { 63, 64, 127, 255, 256,
					65535, 0x7fffffff, 0x80000000, 0xffffffff };

	for (enum state s = EMPTY; s < STATES; s++) {
		struct conf_files f = enter(s);

		for (unsigned i = 0; i < 24; i++)
			STEP(i && i < 11 ? conf_text("CG-%03u CG-020 CG-021", 24 + i) :
			     "CG-024 CG-035",
			     T->ioctl(f.container, VFIO_CHECK_EXTENSION, i),
			     "%s: extension %u", states[s], i);
		for (size_t i = 0; i < sizeof(far) / sizeof(*far); i++)
			STEP("CG-024", T->ioctl(f.container, VFIO_CHECK_EXTENSION, far[i]),
			     "%s: extension 0x%llx", states[s], (unsigned long long)far[i]);
	}
}

/* Numbers whose low half is one that is known (CG-017 CG-024 CG-044). */
static void container_wide(void)
{
	static const uint64_t wide[] = { 1ull << 32, 1ull << 32 | 1, 1ull << 32 | 3,
		1ull << 63 | 1, UINT64_MAX, UINT64_MAX << 32 | 9 };
	struct conf_files f = enter(EMPTY);

	for (size_t i = 0; i < sizeof(wide) / sizeof(*wide); i++)
		STEP("CG-024", T->ioctl(f.container, VFIO_CHECK_EXTENSION, wide[i]),
		     "extension 0x%llx", (unsigned long long)wide[i]);
	f = enter(ATTACHED);
	for (size_t i = 0; i < sizeof(wide) / sizeof(*wide); i++)
		STEP("CG-044", T->ioctl(f.container, VFIO_SET_IOMMU, wide[i]),
		     "SET_IOMMU 0x%llx", (unsigned long long)wide[i]);
}

static void container_set_iommu(void)
{
	static const uint64_t ids[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 64, 255,
		0x7fffffff, 0xffffffff };

	for (enum state s = EMPTY; s < STATES; s++) {
		struct conf_files f = enter(s);

		for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
			int64_t r = T->ioctl(f.container, VFIO_SET_IOMMU, ids[i]);

			STEP("CG-036 CG-037 CG-038 CG-039 CG-040 CG-043 CG-044", r,
			     "%s: SET_IOMMU %llu", states[s], (unsigned long long)ids[i]);
			if (s != ATTACHED || r)
				continue;
			for (size_t j = 0; j < sizeof(ids) / sizeof(*ids); j++)
				STEP("CG-037 CG-121",
				     T->ioctl(f.container, VFIO_SET_IOMMU, ids[j]),
				     "SET_IOMMU %llu after %llu",
				     (unsigned long long)ids[j],
				     (unsigned long long)ids[i]);
			STEP("CG-085 CG-114",
			     T->ioctl(f.group, VFIO_GROUP_UNSET_CONTAINER, 0),
			     "UNSET_CONTAINER after SET_IOMMU %llu",
			     (unsigned long long)ids[i]);
			STEP("CG-114", T->ioctl(f.container, VFIO_CHECK_EXTENSION, 10),
			     "extension 10 when emptied after SET_IOMMU %llu",
			     (unsigned long long)ids[i]);
			f = enter(s);
		}
	}
}

/* CG-001 CG-045 CG-046 CG-048: every number in every state. */
static void container_numbers(void)
{
	for (enum state s = EMPTY; s < STATES; s++)
		conf_try_numbers("CG-045 CG-046 CG-048 CG-114", states[s],
				 enter(s).container);
}

/* Containers are independent, and there may be many (CG-005). */
static void container_many(void)
{
	struct conf_files f = enter(WITH_V2);
	int fds[20];

	for (unsigned i = 0; i < 20; i++) {
		fds[i] = T->open_container();
		STEP("CG-005", fds[i] < 0 ? fds[i] : 0, "open of container %u", i);
	}
	STEP("CG-020", T->ioctl(f.container, VFIO_CHECK_EXTENSION, 10),
	     "the one with a driver");
	STEP("CG-005", T->ioctl(fds[0], VFIO_CHECK_EXTENSION, 10), "the first");
	STEP("CG-005", T->ioctl(fds[19], VFIO_IOMMU_GET_INFO, 0), "GET_INFO of the last");
	for (unsigned i = 0; i < 20; i++)
		T->close(fds[i]);
	STEP("CG-020", T->ioctl(f.container, VFIO_CHECK_EXTENSION, 10), "after the others");
}

const struct conf_case cases_container[] = {
	CASE(container_files, "CG-007 to CG-016", .needs = NEEDS_SYSCALLS),
	CASE(group_files, "CG-054", .needs = NEEDS_SYSCALLS),
	CASE(node_modes, "CG-005 CG-007 CG-053", .needs = NEEDS_SYSCALLS),
	CASE(container_version, "CG-019"),
	CASE(container_extensions, "CG-020 to CG-035"),
	CASE(container_wide, "CG-017 CG-024 CG-044", .needs = NEEDS_64),
	CASE(container_set_iommu, "CG-036 to CG-044"),
	CASE(container_numbers, "CG-045 CG-046 CG-048"),
	CASE(container_many, "CG-005"),
	{ .name = NULL },
};
