/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/trap_rig.h - a child under the real filter, served by the real transport and core.
 *
 * The child runs a function of the test, with CHECK() instead of libcheck's macros. Nodes
 * are plain files of a directory that main() makes and removes; no namespace is needed.
 * The world of harness.h, and 0000:09:00.0 in group 2 whose BARs can be mapped.
 */
#ifndef UNIT_TRAP_RIG_H
#define UNIT_TRAP_RIG_H

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <transport/backing.h>
#include <transport/trap.h>
#include <transport/trap_filter.h>
#include <transport/window.h>
#include <unit/harness.h>

#define RIG_NUMBER 5u		/* of the device, in offsets */
#define RIG_BDF "0000:09:00.0"

static char rig_dir[] = "/tmp/cused-trap-XXXXXX";
static const char *const rig_nodes[] = { "vfio", "1", "2", "3", "noiommu-1" };

/* In the child: says what is wrong and ends it. */
#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not true in the client: %s (errno %d)\n", \
				__FILE__, __LINE__, #condition, errno); \
			_exit(1); \
		} \
	} while (0)
/* A call that fails with this errno. */
#define CHECK_FAILS(call, code) CHECK((errno = 0, (call)) == -1 && errno == (code))

struct rig {
	struct world world;
	struct backing *backing;
	struct device *device;
	struct trap *trap;
	pid_t child;
	int socket;
};

static inline void rig_world(struct rig *rig)
{
	struct device_params params = { .ops = &scratch_ops, .address = { .bus = 9 },
		.backing = &backing_memfd_ops, .offset_base = window_base(RIG_NUMBER) };
	struct cused_error err;

	world_init(&rig->world, NULL);
	ck_assert_int_eq(backing_new(window_base(RIG_NUMBER), &rig->backing, &err), 0);
	params.backing_arg = rig->backing;
	ck_assert_int_eq(topology_add_device(rig->world.topology, rig->world.g2, &params,
					     &rig->device, &err), 0);
	ck_assert_int_eq(backing_seal(rig->backing), 0);
}

static inline void rig_child(int sock, const struct sock_fprog *program,
			     void (*fn)(void)) __attribute__((noreturn));
static inline void rig_child(int sock, const struct sock_fprog *program, void (*fn)(void))
{
	int listener;
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	listener = trap_filter_install(program);
	CHECK(send(sock, &listener, sizeof(listener), 0) == sizeof(listener));
	if (listener < 0)
		_exit(0);
	CHECK(recv(sock, &go, 1, 0) == 1);
	close(listener);
	close(sock);
	fn();
	_exit(0);
}

static inline void rig_start(struct rig *rig, void (*fn)(void))
{
	struct trap_params params = { .n_devices = 1 };
	struct trap_device device;
	struct sock_fprog program;
	struct cused_error err;
	int pair[2], theirs, pidfd;

	memset(rig, 0, sizeof(*rig));
	rig_world(rig);
	ck_assert_int_eq(trap_filter_build(&program, &err), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	rig->child = fork();
	if (rig->child == 0) {
		close(pair[0]);
		rig_child(pair[1], &program, fn);
	}
	close(pair[1]);
	free(program.filter);
	ck_assert_int_eq(recv(pair[0], &theirs, sizeof(theirs), 0), sizeof(theirs));
	ck_assert_msg(theirs >= 0, "filter: %s", trap_filter_cure(theirs));
	pidfd = (int)syscall(SYS_pidfd_open, rig->child, 0);
	device = (struct trap_device){ rig->device, rig->backing };
	params.topology = rig->world.topology;
	params.devices = &device;
	params.listener = (int)syscall(SYS_pidfd_getfd, pidfd, theirs, 0);
	params.directory = open(rig_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(params.listener, 0);
	ck_assert_msg(trap_start(&params, &rig->trap, &err) == 0, "%s", err.text);
	close(params.directory);
	close(pidfd);
	ck_assert_int_eq(send(pair[0], "g", 1, 0), 1);
	rig->socket = pair[0];
}

static inline void rig_stop(struct rig *rig)
{
	trap_stop(rig->trap);
	world_done(&rig->world);
	backing_free(rig->backing);
	close(rig->socket);
}

/* Run @fn in a client; it has to end well. */
static inline void rig_run(void (*fn)(void))
{
	struct rig rig;
	int status;

	rig_start(&rig, fn);
	ck_assert_int_eq(waitpid(rig.child, &status, 0), rig.child);
	rig_stop(&rig);
	ck_assert_msg(WIFEXITED(status), "the client ended by signal %d", WTERMSIG(status));
	ck_assert_msg(WEXITSTATUS(status) == 0, "the client failed, see above");
}

static inline int rig_setup(void)
{
	char path[64];

	if (!mkdtemp(rig_dir))
		return -1;
	for (size_t i = 0; i < sizeof(rig_nodes) / sizeof(rig_nodes[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", rig_dir, rig_nodes[i]);
		close(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666));
	}
	return 0;
}

static inline void rig_teardown(void)
{
	char path[64];

	for (size_t i = 0; i < sizeof(rig_nodes) / sizeof(rig_nodes[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", rig_dir, rig_nodes[i]);
		unlink(path);
	}
	rmdir(rig_dir);
}

/* ---- what clients do ---- */

static inline int node(const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", rig_dir, name);
	return open(path, flags);
}

struct opened {
	int container, group, device;
};

static inline struct opened open_device(void)
{
	struct opened o = { node("vfio", O_RDWR), node("2", O_RDWR), -1 };

	CHECK(o.container >= 0);
	CHECK(o.group >= 0);
	CHECK(ioctl(o.group, VFIO_GROUP_SET_CONTAINER, &o.container) == 0);
	CHECK(ioctl(o.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
	o.device = ioctl(o.group, VFIO_GROUP_GET_DEVICE_FD, RIG_BDF);
	CHECK(o.device >= 0);
	return o;
}

static inline uint64_t region(int device, unsigned index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	CHECK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0);
	return info.offset;
}

static inline void memory_enable(int device)
{
	uint16_t command = 6;

	CHECK(pwrite(device, &command, 2,
		     (off_t)region(device, VFIO_PCI_CONFIG_REGION_INDEX) + 4) == 2);
}

#endif
