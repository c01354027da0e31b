/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of sharing and closing: dup, fork, passing over a socket, exec, close orders. */
#include "vfioc.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "edu_user.h"

/* Waits until the group can be opened and attached again: all was released. */
static void expect_all_free(const struct vc_where *w)
{
	int g = vc_open_group_wait(w), c = vc_open_container(w);
	uint64_t end = vc_now_ns() + 2000000000ull;
	int r;

	EXPECT(g >= 0 && c >= 0);
	while ((r = vc_attach(g, c)) == -EPERM && vc_now_ns() < end)
		vc_pause(1);
	EXPECT_EQ(r, 0);
	close(g);
	close(c);
}

static int child_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void share_dup(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	int c = dup(vc.container), d = dup(vc.device);
	int g = fcntl(vc.group, F_DUPFD_CLOEXEC, 100);

	REQUIRE(c >= 0 && g >= 100 && d >= 0);
	vc_close(&vc);
	EXPECT_EQ(VC(c, VFIO_IOMMU_ENABLE, 0), -ENOTTY); /* CG-130: driver still set */
	EXPECT_EQ(VC(g, VFIO_GROUP_UNSET_CONTAINER, 0), -EBUSY);
	EXPECT(vc_cfg32(d, 0) != ~0u);
	EXPECT_EQ(vc_open_group(w), -EBUSY);
	close(d);
	close(g);
	close(c);
	expect_all_free(w);
}

static void share_fork(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint32_t id = vc_cfg32(vc.device, 0);
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (!pid) {
		if (vc_cfg32(vc.device, 0) != id)
			_exit(1);
		if (VC(vc.container, VFIO_GET_API_VERSION, 0))
			_exit(2);
		vc_close(&vc);
		_exit(0);
	}
	EXPECT_EQ(child_status(pid), 0);
	EXPECT_EQ(vc_cfg32(vc.device, 0), id);				/* CG-131 */
	EXPECT_EQ(VC(vc.group, VFIO_GROUP_UNSET_CONTAINER, 0), -EBUSY);
	pid = fork();						/* the child keeps all */
	REQUIRE(pid >= 0);
	if (!pid) {
		for (;;)
			pause();
	}
	vc_close(&vc);
	EXPECT_EQ(vc_open_group(w), -EBUSY);
	kill(pid, SIGKILL);						/* CG-133 */
	child_status(pid);
	expect_all_free(w);
}

static int send_fd(int sock, int fd)
{
	union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } u = { 0 };
	char byte = 0;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &u,
			    .msg_controllen = sizeof(u) };

	u.h.cmsg_level = SOL_SOCKET;
	u.h.cmsg_type = SCM_RIGHTS;
	u.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&u.h), &fd, sizeof(fd));
	return sendmsg(sock, &m, 0) == 1 ? 0 : -errno;
}

static int receive_fd(int sock)
{
	union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } u = { 0 };
	char byte;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &u,
			    .msg_controllen = sizeof(u) };
	int fd = -1;

	if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) == 1 && m.msg_controllen)
		memcpy(&fd, CMSG_DATA(&u.h), sizeof(fd));
	return fd;
}

/* CG-130: fds that travel; while in flight they count, and the receiver can use them. */
static void share_scm_rights(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint32_t id = vc_cfg32(vc.device, 0);
	int s[2];
	pid_t pid;

	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	REQUIRE_EQ(send_fd(s[0], vc.container), 0);
	REQUIRE_EQ(send_fd(s[0], vc.group), 0);
	REQUIRE_EQ(send_fd(s[0], vc.device), 0);
	vc_close(&vc);
	EXPECT_EQ(vc_open_group(w), -EBUSY);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		int c = receive_fd(s[1]), g = receive_fd(s[1]), d = receive_fd(s[1]);

		if (VC(c, VFIO_IOMMU_ENABLE, 0) != -ENOTTY)
			_exit(1);
		if (VC(g, VFIO_GROUP_UNSET_CONTAINER, 0) != -EBUSY)
			_exit(2);
		_exit(vc_cfg32(d, 0) == id ? 0 : 3);
	}
	EXPECT_EQ(child_status(pid), 0);
	close(s[0]);
	close(s[1]);
	expect_all_free(w);
}

/* A program that was started finds container and group, but not the device. */
static void share_exec(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	char c[32], g[32], d[32];
	pid_t pid;

	REQUIRE(!fcntl(vc.container, F_SETFD, 0) && !fcntl(vc.group, F_SETFD, 0));
	snprintf(g, sizeof(g), "/proc/self/fd/%d", vc.group);
	snprintf(d, sizeof(d), "/proc/self/fd/%d", vc.device);
	snprintf(c, sizeof(c), "/proc/self/fd/%d", vc.container);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		execl("/bin/sh", "sh", "-c",
		      "[ -e \"$1\" ] && [ -e \"$2\" ] && ! [ -e \"$3\" ]",
		      "sh", c, g, d, NULL);
		_exit(127);
	}
	EXPECT_EQ(child_status(pid), 0);				/* CG-132 */
	EXPECT_EQ(VC(vc.group, VFIO_GROUP_UNSET_CONTAINER, 0), -EBUSY);
	EXPECT(vc_cfg32(vc.device, 0) != ~0u);
}

static void close_container_first(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	int again, c;

	close(vc.container);						/* CG-122 */
	EXPECT(vc_cfg32(vc.device, 0) != ~0u);
	again = vc_get_device(vc.group, w->bdf);
	EXPECT(again >= 0);
	close(again);
	c = vc_open_container(w);
	EXPECT_EQ(vc_attach(vc.group, c), -EINVAL);
	close(vc.device);
	EXPECT_EQ(VC(vc.group, VFIO_GROUP_UNSET_CONTAINER, 0), 0);	/* CG-123 */
	EXPECT_EQ(vc_attach(vc.group, c), 0);
}

static void close_group_first(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	int r;

	close(vc.group);						/* CG-124 */
	EXPECT_EQ(vc_open_group(w), -EBUSY);
	EXPECT(vc_cfg32(vc.device, 0) != ~0u);
	EXPECT_EQ(VC(vc.container, VFIO_IOMMU_ENABLE, 0), -ENOTTY);
	close(vc.device);						/* CG-125 */
	vc.group = vc_open_group_wait(w);
	REQUIRE(vc.group >= 0);
	EXPECT_EQ(VC(vc.container, VFIO_IOMMU_ENABLE, 0), -EINVAL);	/* empty again */
	r = vc_attach(vc.group, vc.container);
	EXPECT_EQ(r, 0);
}

static void close_all_but_device(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint8_t *p = vfioc_memory(8192, 3);
	uint16_t vendor;

	REQUIRE_EQ(vc_map(vc.container, p, 0x100000, 8192, 3), 0);
	close(vc.container);						/* CG-126 */
	close(vc.group);
	vendor = vc_cfg16(vc.device, 0);
	EXPECT(vendor != 0xffff);
	if (vendor == (EDU_VENDOR_DEVICE & 0xffff)) { /* DMA still works */
		REQUIRE_EQ(vc_bus_master(vc.device, true), 0);
		EXPECT_EQ(edu_dma(vc.device, 0x100000, 0, 1000, false, false), 0);
		EXPECT_EQ(edu_dma(vc.device, 0x101000, 0, 1000, true, false), 0);
		EXPECT(!memcmp(p, p + 4096, 1000));
	}
	close(vc.device);
	expect_all_free(w);
}

/* PCI-011, PCI-014: the device starts afresh after its last close. */
static void close_device_resets(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint32_t bar = vc_cfg32(vc.device, 0x10);

	REQUIRE_EQ(vc_bus_master(vc.device, true), 0);
	EXPECT_EQ(vc_cfg32_set(vc.device, 0x10, 0xd0000000), 0);
	close(vc.device);
	vc.device = vc_get_device(vc.group, w->bdf);
	REQUIRE(vc.device >= 0);
	EXPECT_EQ(vc_cfg16(vc.device, 4) & 4, 0);
	EXPECT_EQ(vc_cfg32(vc.device, 0x10), bar);
}

/* A client with a filter of its own, which refuses one call and allows the others. */
static void share_own_filter(const struct vc_where *w)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 4, .filter = code };
	uint8_t *p = vfioc_memory(8192, 3);
	struct vc vc;

	REQUIRE(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	REQUIRE(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
	EXPECT(syscall(SYS_getppid) == -1 && errno == EDOM);
	vc = vfioc_open(w);
	EXPECT(vc_cfg32(vc.device, 0) != ~0u);
	EXPECT_EQ(vc_map(vc.container, p, 0x100000, 8192, 3), 0);
	vc_close(&vc);
	expect_all_free(w);
}

/* A client that may not be traced (PR_SET_DUMPABLE 0), as after a change of user. */
static void share_not_dumpable(const struct vc_where *w)
{
	uint8_t *p = vfioc_memory(8192, 3);
	struct vc vc;

	REQUIRE(!prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
	vc = vfioc_open(w);
	EXPECT(vc_cfg32(vc.device, 0) != ~0u);
	EXPECT_EQ(vc_map(vc.container, p, 0x100000, 8192, 3), 0);
	if (vc_cfg32(vc.device, 0) == EDU_VENDOR_DEVICE) {
		REQUIRE_EQ(vc_bus_master(vc.device, true), 0);
		EXPECT_EQ(edu_dma(vc.device, 0x100000, 0, 1000, false, false), 0);
		EXPECT_EQ(edu_dma(vc.device, 0x101000, 0, 1000, true, false), 0);
		EXPECT(!memcmp(p, p + 4096, 1000));
	}
}

static void *private_files(void *arg)
{
	const struct vc_where *w = arg;
	struct vc vc = VC_NONE;

	if (unshare(CLONE_FILES) || vc_open(&vc, w, VFIO_TYPE1v2_IOMMU))
		return NULL;
	if (vc_cfg32(vc.device, 0) == ~0u
	    || VC(vc.group, VFIO_GROUP_UNSET_CONTAINER, 0) != -EBUSY)
		return NULL;
	vc_close(&vc);
	return arg;
}

/* A thread whose descriptors are its own: numbers mean something else to the leader. */
static void share_private_files(const struct vc_where *w)
{
	pthread_t thread;
	void *ok = NULL;
	int busy[3];

	for (int i = 0; i < 3; i++)
		busy[i] = dup(0);
	REQUIRE(!pthread_create(&thread, NULL, private_files, (void *)(uintptr_t)w));
	for (int i = 0; i < 3; i++)
		close(busy[i]);
	pthread_join(thread, &ok);
	EXPECT(ok != NULL);
	expect_all_free(w);
}

const struct vcase cases_share[] = {
	{ .name = "share_not_dumpable", .rows = "CG-102 T1-037", .fn = share_not_dumpable },
	{ .name = "share_private_files", .rows = "CG-005 CG-052", .fn = share_private_files },
	{ .name = "share_own_filter", .rows = "CG-102 T1-037", .fn = share_own_filter },
	{ .name = "share_dup", .rows = "CG-130", .fn = share_dup },
	{ .name = "share_fork", .rows = "CG-131 CG-133", .fn = share_fork },
	{ .name = "share_scm_rights", .rows = "CG-130", .fn = share_scm_rights },
	{ .name = "share_exec", .rows = "CG-132", .fn = share_exec },
	{ .name = "close_container_first", .rows = "CG-122 CG-123",
	  .fn = close_container_first },
	{ .name = "close_group_first", .rows = "CG-124 CG-125", .fn = close_group_first },
	{ .name = "close_all_but_device", .rows = "CG-126", .fn = close_all_but_device },
	{ .name = "close_device_resets", .rows = "CG-127 PCI-011 PCI-014",
	  .fn = close_device_resets },
	{ .name = NULL },
};
