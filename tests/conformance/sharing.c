/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of files that are shared: copies, other processes, and two groups in a container.
 */
#include "conf.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define IOVA 0x100000

static void must(const char *what, int64_t r)
{
	if (r < 0)
		conf_abort(what, r);
}

/* ---- other processes ---- */

/* Runs @fn in a child. Return: what it returned, or -errno. */
static int64_t in_child(int64_t (*fn)(struct conf_files *f), struct conf_files *f)
{
	int64_t result = -EPIPE;
	int pipes[2], status;
	pid_t pid;

	must("pipe", pipe(pipes) ? -errno : 0);
	pid = fork();
	if (!pid) {
		result = fn(f);
		if (write(pipes[1], &result, sizeof(result)) < 0)
			_exit(1);
		_exit(0);
	}
	close(pipes[1]);
	if (read(pipes[0], &result, sizeof(result)) != sizeof(result))
		result = -EPIPE;
	close(pipes[0]);
	waitpid(pid, &status, 0);
	return result;
}

static int64_t child_status(struct conf_files *f)
{
	struct vfio_group_status s = { .argsz = sizeof(s) };
	int64_t r = CALL(f->group, VFIO_GROUP_GET_STATUS, &s);

	return r ? r : s.flags;
}

static int64_t child_map(struct conf_files *f)
{
	return conf_map(f->container, 3, T->memory(1), IOVA, PAGE);
}

static int64_t child_unmap(struct conf_files *f)
{
	uint64_t size;
	int64_t r = conf_unmap(f->container, 0, IOVA, PAGE, &size);

	return r ? r : (int64_t)size;
}

static int64_t child_read(struct conf_files *f)
{
	return conf_cfg(f->device, 0xe, 1) & 0x7f;	/* header type */
}

static int64_t child_close(struct conf_files *f)
{
	conf_close(f);
	return 0;
}

static int64_t child_open_group(struct conf_files *f)
{
	return conf_fd(T->open_group(0));
}

static int64_t child_device(struct conf_files *f)
{
	return conf_fd(conf_get_device(f->group, conf_where.bdf[0]));
}

static void sharing_fork(void)
{
	struct conf_files f = conf_open(VFIO_TYPE1v2_IOMMU);

	STEP("CG-131", in_child(child_status, &f), "child: GET_STATUS");
	STEP("CG-131", in_child(child_read, &f), "child: a read of the device");
	STEP("CG-131", in_child(child_device, &f), "child: another fd of the device");
	STEP("CG-052", in_child(child_open_group, &f), "child: open of the group");
	STEP("CG-131 T1-041", in_child(child_map, &f), "child: MAP of its own memory");
	STEP("T1-041 T1-026", conf_map(f.container, 3, T->memory(1), IOVA, PAGE),
	     "MAP at the same place");
	STEP("T1-077", child_unmap(&f), "UNMAP of what the child mapped");
	must("MAP", conf_map(f.container, 3, T->memory(1), IOVA, PAGE));
	STEP("T1-077", in_child(child_unmap, &f), "child: UNMAP of what the parent mapped");
	STEP("CG-131", in_child(child_close, &f), "child: closes all");
	STEP("CG-131", child_read(&f), "a read of the device");
	STEP("CG-131", child_status(&f), "GET_STATUS");
}

/* Closed by the parent, kept by a child (CG-130 CG-133). */
static void sharing_child_keeps(void)
{
	struct conf_files f = conf_open(VFIO_TYPE1v2_IOMMU);
	int group, tries = 0, status;
	pid_t pid = fork();

	if (!pid) {
		pause();
		_exit(0);
	}
	conf_close(&f);
	STEP("CG-052 CG-130", conf_fd(T->open_group(0)), "open while a child has it");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	/* The release of a killed process's files may take a moment. */
	while ((group = T->open_group(0)) == -EBUSY && tries++ < 100000)
		sched_yield();
	STEP("CG-133", group < 0 ? group : 0, "open after the child was killed");
	f.container = conf_container();
	STEP("CG-133", conf_attach(group, f.container), "SET_CONTAINER after it");
	STEP("CG-133", T->ioctl(f.container, VFIO_SET_IOMMU, 1), "SET_IOMMU after it");
}

/* Whether an fd of a device is closed by exec, and one of a node is not (CG-102 CG-132). */
static void sharing_exec(void)
{
	struct conf_files f = conf_open(VFIO_TYPE1v2_IOMMU);
	const int flags = fcntl(f.device, F_GETFD);
	int open_flags = fcntl(f.device, F_GETFL);

	STEP("CG-102 CG-132", flags, "F_GETFD of a device");
	STEP("CG-102", open_flags & O_ACCMODE, "access mode of a device");
	STEP("CG-132", fcntl(f.group, F_GETFD), "F_GETFD of a group opened with O_CLOEXEC");
	close(f.device);
	close(f.group);
	f.group = open(conf_text("%s/%d", conf_where.dir, conf_where.group[0]), O_RDWR);
	STEP("CG-132", f.group < 0 ? -errno : fcntl(f.group, F_GETFD), "opened without");
}

/* An fd that went through a socket is the same file (CG-130). */
static void sharing_scm_rights(void)
{
	struct conf_files f = conf_open(VFIO_TYPE1v2_IOMMU);
	int sockets[2], *own[] = { &f.container, &f.group, &f.device };
	union { struct cmsghdr head; char space[CMSG_SPACE(sizeof(int))]; } control = { 0 };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control) };

	must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) ? -errno : 0);
	for (unsigned i = 0; i < 3; i++) {
		control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
			.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.head), own[i], sizeof(int));
		message.msg_controllen = sizeof(control);
		STEP("CG-130", sendmsg(sockets[0], &message, 0), "sendmsg %u", i);
		close(*own[i]);
		message.msg_controllen = sizeof(control);
		STEP("CG-130", recvmsg(sockets[1], &message, MSG_CMSG_CLOEXEC),
		     "recvmsg %u", i);
		memcpy(own[i], CMSG_DATA(&control.head), sizeof(int));
	}
	STEP("CG-130", child_status(&f), "GET_STATUS");
	STEP("CG-130", child_map(&f), "MAP");
	STEP("CG-130", child_read(&f), "a read of the device");
	STEP("CG-052", conf_fd(T->open_group(0)), "a second open of the group");
}

/* No free number for an fd comes before every reason of the group's (CG-092). */
static void sharing_no_fd(void)
{
	struct conf_files f = { conf_container(), conf_group(0), -1 };
	struct rlimit limit = { 256, 256 };
	int fillers = 0;

	must("setrlimit", setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0);
	while (dup(0) >= 0)
		fillers++;
	STEP("CG-092", conf_get_device(f.group, conf_where.bdf[0]), "without a container");
	STEP("CG-089", conf_get_device(f.group, "no such device"), "a name that is none");
	must("SET_CONTAINER", conf_attach(f.group, f.container));
	STEP("CG-092", conf_get_device(f.group, conf_where.bdf[0]), "without a driver");
	must("SET_IOMMU", T->ioctl(f.container, VFIO_SET_IOMMU, 3));
	STEP("CG-092", conf_get_device(f.group, conf_where.bdf[0]), "with a driver");
	STEP("CG-085", T->ioctl(f.group, VFIO_GROUP_UNSET_CONTAINER, 0), "UNSET_CONTAINER");
	STEP("CG-092", fillers > 100, "there were many");
}

/* ---- two groups ---- */

struct two {
	int c, g[2];
};

static struct two two_open(void)
{
	return (struct two){ conf_container(), { conf_group(0), conf_group(1) } };
}

static void two_status(const char *rows, const struct two *t, const char *when)
{
	char text[64] = "";

	for (unsigned i = 0; i < 2; i++) {
		struct vfio_group_status s = { .argsz = sizeof(s) };
		int64_t r = CALL(t->g[i], VFIO_GROUP_GET_STATUS, &s);

		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "group %u: %lld %u ", i, (long long)r, s.flags);
	}
	conf_step(rows, T->ioctl(t->c, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU), text,
		  "status %s", when);
}

static void peer_attach(void)
{
	struct two t = two_open();
	uint64_t memory = T->memory(1);
	int other = conf_container();

	two_status("CG-061", &t, "of both, fresh");
	STEP("CG-077", conf_attach(t.g[0], t.c), "the first");
	two_status("CG-060", &t, "with one");
	STEP("CG-043 CG-120", T->ioctl(t.c, VFIO_SET_IOMMU, 3), "SET_IOMMU");
	STEP("CG-045", conf_map(t.c, 3, memory, IOVA, PAGE), "MAP");
	STEP("CG-094", conf_fd(conf_get_device(t.g[1], conf_where.bdf[1])),
	     "a device of the other, outside");
	STEP("CG-089", conf_fd(conf_get_device(t.g[0], conf_where.bdf[1])),
	     "a device of the other, by the first");
	STEP("CG-077 CG-120 T1-122 T1-123", conf_attach(t.g[1], t.c), "the second");
	two_status("CG-060", &t, "with both");
	STEP("CG-066", conf_attach(t.g[1], other), "the second, to another container");
	STEP("CG-102", conf_fd(conf_get_device(t.g[1], conf_where.bdf[1])), "its device");
	STEP("CG-116 CG-134", T->ioctl(t.g[0], VFIO_GROUP_UNSET_CONTAINER, 0),
	     "UNSET of the first");
	STEP("CG-116 T1-026", conf_map(t.c, 3, memory, IOVA, PAGE), "MAP is still there");
	STEP("CG-077", conf_attach(t.g[0], t.c), "the first again");
	T->close(t.g[0]);
	STEP("CG-134 T1-026", conf_map(t.c, 3, memory, IOVA, PAGE),
	     "MAP, the first closed");
	t.g[0] = T->open_group(0);
	STEP("CG-056", t.g[0] < 0 ? t.g[0] : 0, "open of the first");
	STEP("CG-114", T->ioctl(t.g[1], VFIO_GROUP_UNSET_CONTAINER, 0),
	     "UNSET of the last");
	STEP("CG-114 T1-125", conf_map(t.c, 3, memory, IOVA, PAGE), "MAP in the emptied");
	STEP("CG-036", T->ioctl(t.c, VFIO_SET_IOMMU, 3), "SET_IOMMU of the emptied");
	two_status("CG-061", &t, "at the end");
}

/* Both attached before the driver; two containers; the same IOVA in both (CG-120). */
static void peer_containers(void)
{
	struct two t = two_open();
	uint64_t memory = T->memory(1);
	int other = conf_container();

	STEP("CG-077", conf_attach(t.g[0], t.c), "the first");
	STEP("CG-077", conf_attach(t.g[1], t.c), "the second");
	STEP("CG-120", T->ioctl(t.c, VFIO_SET_IOMMU, 1), "SET_IOMMU");
	STEP("T1-124", conf_map(t.c, 3, memory, IOVA, PAGE), "MAP");
	STEP("CG-085", T->ioctl(t.g[1], VFIO_GROUP_UNSET_CONTAINER, 0),
	     "UNSET of the second");
	STEP("CG-077", conf_attach(t.g[1], other), "the second elsewhere");
	STEP("CG-043", T->ioctl(other, VFIO_SET_IOMMU, 3),
	     "SET_IOMMU of the other container");
	STEP("CG-005", conf_map(other, 3, memory, IOVA, PAGE), "MAP at the same IOVA");
	STEP("T1-026", conf_map(other, 3, memory, IOVA, PAGE), "again");
	T->close(t.c);
	STEP("CG-122", conf_fd(conf_get_device(t.g[0], conf_where.bdf[0])),
	     "the first's device, its container closed");
	T->close(other);
	STEP("CG-122", conf_fd(conf_get_device(t.g[1], conf_where.bdf[1])),
	     "the second's device, its container closed");
	STEP("CG-123", T->ioctl(t.g[0], VFIO_GROUP_UNSET_CONTAINER, 0),
	     "UNSET of the first");
	STEP("CG-123", T->ioctl(t.g[1], VFIO_GROUP_UNSET_CONTAINER, 0),
	     "UNSET of the second");
}

/* A mapping whose vaddr is invalid keeps groups out (T1-082 T1-112). */
static void peer_invalid_vaddr(void)
{
	struct two t = two_open();
	uint64_t memory = T->memory(1), size;

	must("SET_CONTAINER", conf_attach(t.g[0], t.c));
	must("SET_IOMMU", T->ioctl(t.c, VFIO_SET_IOMMU, 3));
	must("MAP", conf_map(t.c, 3, memory, IOVA, PAGE));
	STEP("T1-079", conf_unmap(t.c, VFIO_DMA_UNMAP_FLAG_VADDR, IOVA, PAGE, &size),
	     "UNMAP of the vaddr");
	STEP("CG-076 T1-082 T1-112", conf_attach(t.g[1], t.c), "the second");
	two_status("T1-082", &t, "after it");
	STEP("T1-025", conf_map(t.c, VFIO_DMA_MAP_FLAG_VADDR, memory, IOVA, PAGE),
	     "MAP of the vaddr");
	STEP("CG-077", conf_attach(t.g[1], t.c), "the second, then");
}

const struct conf_case cases_sharing[] = {
	CASE(sharing_fork, "CG-131 T1-041 T1-077", .needs = NEEDS_SYSCALLS),
	CASE(sharing_child_keeps, "CG-130 CG-133", .needs = NEEDS_SYSCALLS),
	CASE(sharing_exec, "CG-102 CG-132", .needs = NEEDS_SYSCALLS),
	CASE(sharing_scm_rights, "CG-130", .needs = NEEDS_SYSCALLS),
	CASE(sharing_no_fd, "CG-092", .needs = NEEDS_SYSCALLS),
	CASE(peer_attach, "CG-077 CG-116 CG-120 CG-134", .needs = NEEDS_PEER),
	CASE(peer_containers, "CG-120 CG-122 CG-123", .needs = NEEDS_PEER),
	CASE(peer_invalid_vaddr, "T1-082 T1-112", .needs = NEEDS_PEER),
	{ .name = NULL },
};
