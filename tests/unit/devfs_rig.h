/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/devfs_rig.h - the real file system of devices, the real core, and remotes.
 *
 * The world of harness.h, and in group 2, bus 9:
 *   0000:09:00.0   BARs 0 and 2 (1 MiB) can be mapped
 *   0000:09:00.1   nothing can be mapped
 * An ioctl on a device file is answered by rig_ioctl(): see its numbers.
 * With rig_keeps, what there is outlives the "process": see rig_kill().
 */
#ifndef UNIT_DEVFS_RIG_H
#define UNIT_DEVFS_RIG_H

#define FUSE_USE_VERSION 35
#include <dirent.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include <transport/backing.h>
#include <transport/devfs.h>
#include <transport/thread.h>
#include <unit/fd_keep_fake.h>
#include <unit/harness.h>
#include <unit/remote.h>

#define RIG_BAR2 (1ul << 20)
#define RIG_RESULT 77
#define RIG_KEEP_ID 21		/* of the device, and of the plain one */
#define RIG_KEEP_ID_PLAIN 22

enum rig_command {
	RIG_RECORD = 0x3b70,		/* remember number and argument */
	RIG_STALL = 0x3b71,		/* wait for rig_open_gate() */
	RIG_ERROR = 0x3b72,		/* fail with the errno of the argument */
	RIG_HOOK = 0x3b73,		/* rig.hook answers */
};

#define RIG_ORDER 128

struct rig {
	struct world world;
	struct client client;		/* opens devices; its files are the test's own */
	int group, container;
	struct backing *backing;
	struct device *device, *plain;
	struct server *server;
	struct devfs *devfs;
	int mount;			/* number in remote 0 and its copies */
	void (*hook)(struct request *request);
	atomic_bool stalls_lent;	/* SERVICE_IOC_LENT is as RIG_STALL */
	atomic_int lent;		/* an errno, for SERVICE_IOC_LENT; 0: it is recorded */
	unsigned threads;		/* of this process before there was a server */
	struct fake_kept kept[3];	/* of processes, one after the other */
	unsigned process;

	pthread_mutex_t lock;		/* all below; what is atomic is also read without */
	pthread_cond_t changed;
	bool gate;			/* open: stalled calls go on, … */
	unsigned passes;		/* … or as many of them */
	atomic_uint entered, left;	/* stalled calls */
	long order[RIG_ORDER];		/* arguments of stalled calls, as they began */
	atomic_uint cmd;		/* the last recorded */
	atomic_ulong arg;
	atomic_uint uid;
};

static struct rig rig;

/* ---- devices ---- */

static inline int rig_create_mapped(const struct cused_services *services,
				    struct cused_port *port, const struct cused_value *values,
				    struct cused_pci *ret_pci, void **ret_state,
				    struct cused_error *err)
{
	int r = scratch_create(services, port, values, ret_pci, ret_state, err);

	if (r)
		return r;
	ret_pci->bars[2].size = RIG_BAR2;
	ret_pci->bars[2].areas[0].last = RIG_BAR2 - 1;
	return 0;
}

static inline int rig_create_plain(const struct cused_services *services,
				   struct cused_port *port, const struct cused_value *values,
				   struct cused_pci *ret_pci, void **ret_state,
				   struct cused_error *err)
{
	int r = scratch_create(services, port, values, ret_pci, ret_state, err);

	if (r)
		return r;
	ret_pci->bars[0].n_areas = 0;
	ret_pci->bars[2].n_areas = 0;
	return 0;
}

static struct cused_device_ops rig_mapped_ops, rig_plain_ops;

static inline void rig_world(void)
{
	struct device_params params = { .ops = &rig_mapped_ops, .address = { .bus = 9 },
					.backing = &backing_memfd_ops, .keep_id = RIG_KEEP_ID };
	struct device_params plain = { .ops = &rig_plain_ops,
				       .address = { .bus = 9, .function = 1 },
				       .keep_id = RIG_KEEP_ID_PLAIN };
	struct cused_error err;

	rig_mapped_ops = rig_plain_ops = scratch_ops;
	rig_mapped_ops.create = rig_create_mapped;
	rig_plain_ops.create = rig_create_plain;
	world_init(&rig.world, NULL);
	ck_assert_int_eq(backing_new(0, &rig.backing, &err), 0);
	params.backing_arg = rig.backing;
	ck_assert_int_eq(topology_add_device(rig.world.topology, rig.world.g2, &params,
					     &rig.device, &err), 0);
	ck_assert_int_eq(backing_seal(rig.backing), 0);
	ck_assert_int_eq(topology_add_device(rig.world.topology, rig.world.g2, &plain,
					     &rig.plain, &err), 0);
	client_init(&rig.client);
	rig.container = client_open_container(&rig.client, rig.world.topology);
	rig.group = client_open_group(&rig.client, rig.world.g2);
	ck_assert_int_eq(client_set_container(&rig.client, rig.group, rig.container), 0);
	ck_assert_int_eq(client_ioctl(&rig.client, rig.container, VFIO_SET_IOMMU,
				      VFIO_TYPE1v2_IOMMU), 0);
}

/* A new open file of a device of group 2. */
static inline struct device_file *rig_open(struct device *device)
{
	struct device_file *file;

	ck_assert_int_eq(group_get_device(rig.world.g2, &rig.client.caller,
					  device_name(device), &file), 0);
	return file;
}

/* ---- ioctls ---- */

static inline void rig_stall(uint64_t arg)
{
	pthread_mutex_lock(&rig.lock);
	if (rig.entered < RIG_ORDER)
		rig.order[rig.entered] = (long)arg;
	rig.entered++;
	pthread_cond_broadcast(&rig.changed);
	while (!rig.gate && !rig.passes)
		pthread_cond_wait(&rig.changed, &rig.lock);
	rig.passes -= rig.passes ? 1 : 0;
	rig.left++;
	pthread_cond_broadcast(&rig.changed);
	pthread_mutex_unlock(&rig.lock);
}

static inline void rig_ioctl(void *arg, struct request *request, struct device_file *file,
			     unsigned cmd, uint64_t arg64)
{
	if (cmd == RIG_ERROR) {
		request_error(request, (int)arg64);
		return;
	}
	if (cmd == RIG_HOOK) {
		rig.hook(request);
		return;
	}
	if (cmd == SERVICE_IOC_LENT && rig.lent) {
		request_error(request, rig.lent);
		return;
	}
	if (cmd == RIG_STALL || (cmd == SERVICE_IOC_LENT && rig.stalls_lent)) {
		rig_stall(arg64);
	} else {
		rig.cmd = cmd;
		rig.arg = arg64;
		rig.uid = request->uid;
	}
	if (request_take(request))
		fuse_reply_ioctl(request->fuse, RIG_RESULT, NULL, 0);
}

static inline void rig_open_gate(void)
{
	pthread_mutex_lock(&rig.lock);
	rig.gate = true;
	pthread_cond_broadcast(&rig.changed);
	pthread_mutex_unlock(&rig.lock);
}

/* One stalled call goes on. */
static inline void rig_let_pass(void)
{
	pthread_mutex_lock(&rig.lock);
	rig.passes++;
	pthread_cond_broadcast(&rig.changed);
	pthread_mutex_unlock(&rig.lock);
}

/* Wait until so many stalled calls have begun, or have gone on. */
static inline bool rig_wait(const atomic_uint *count, unsigned n)
{
	struct timespec deadline = thread_deadline(CLOCK_REALTIME, REMOTE_MS);
	bool reached;

	pthread_mutex_lock(&rig.lock);
	while (*count < n && pthread_cond_timedwait(&rig.changed, &rig.lock,
						    &deadline) == 0)
		;
	reached = *count >= n;
	pthread_mutex_unlock(&rig.lock);
	return reached;
}

/* ---- life ---- */

static inline unsigned rig_count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	ck_assert_ptr_ne(dir, NULL);
	for (struct dirent *e; (e = readdir(dir));)
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

static inline unsigned rig_threads(void)
{
	return rig_count_entries("/proc/self/task");
}

static inline void *rig_no_thread(void *arg)
{
	return NULL;
}

static bool rig_lone_readers;	/* see server.h; whatever the machine is */
static bool rig_keeps;

/* What a process begins with. Return: of devfs_new(). */
static inline int rig_serve(struct cused_error *err)
{
	struct fake_kept *kept = rig_keeps ? &rig.kept[rig.process] : NULL;

	ck_assert_int_eq(server_new(&rig.server), 0);
	server_lone_readers(rig.server, rig_lone_readers);
	ck_assert_int_eq(server_keep(rig.server, kept ? kept->keep : NULL), 0);
	return devfs_new(rig.server, rig_ioctl, &rig, kept ? kept->keep : NULL,
			 kept ? &kept->fds : NULL, &rig.devfs, err);
}

static inline void rig_add_devices(void)
{
	ck_assert_int_eq(devfs_add_device(rig.devfs, rig.device, backing_fd(rig.backing)),
			 0);
	ck_assert_int_eq(devfs_add_device(rig.devfs, rig.plain, -1), 0);
}

/* The process is killed. */
static inline void rig_kill(void)
{
	fake_kept_killed(&rig.kept[rig.process], &rig.kept[rig.process + 1]);
	rig.process++;
	ck_assert_int_eq(devfs_free(rig.devfs), 0);
	server_free(rig.server);
	rig.devfs = NULL;
	ck_assert(!device_is_open(rig.device) && !device_is_open(rig.plain));
}

static inline void rig_start(void)
{
	struct cused_error err;
	pthread_t thread;

	memset(&rig, 0, sizeof(rig));
	pthread_mutex_init(&rig.lock, NULL);
	pthread_cond_init(&rig.changed, NULL);
	remotes_init();
	rig_world();
	/* With the first thread come those of a sanitizer. */
	ck_assert_int_eq(thread_start(&thread, 0, false, rig_no_thread, NULL), 0);
	pthread_join(thread, NULL);
	rig.threads = rig_threads();
	if (rig_keeps)
		fake_kept_init(&rig.kept[0]);
	ck_assert_msg(rig_serve(&err) == 0, "%s", err.text);
	rig_add_devices();
	rig.mount = remote_give_fd(0, devfs_mount(rig.devfs));
}

/* What is left when everything has been released. */
static inline void rig_stop(void)
{
	remotes_done();
	UNTIL(devfs_count(rig.devfs) == 0);
	ck_assert_int_eq(devfs_free(rig.devfs), 0);
	server_free(rig.server);
	ck_assert(!device_is_open(rig.device));
	ck_assert(!device_is_open(rig.plain));
	ck_assert(client_exit(&rig.client));
	world_done(&rig.world);
	backing_free(rig.backing);
	UNTIL(rig_threads() == rig.threads);
	for (unsigned i = 0; rig_keeps && i <= rig.process; i++)
		fake_kept_done(&rig.kept[i]);
}

/* ---- device files ---- */

/* The name of a token, in the arena. */
static inline char *rig_name(const uint8_t token[SERVICE_TOKEN_SIZE])
{
	char *name = remote_alloc(SERVICE_TOKEN_NAME_SIZE);

	service_token_name(token, name);
	return name;
}

static inline char *rig_grant(struct device *device)
{
	uint8_t token[SERVICE_TOKEN_SIZE];

	ck_assert_int_eq(devfs_grant(rig.devfs, rig_open(device), NULL, NULL, token), 0);
	return rig_name(token);
}

/* A device file of remote @i. Return: its fd there. */
static inline int rig_file(unsigned i, struct device *device)
{
	long fd = remote_call(i, SYS_openat, rig.mount, rig_grant(device),
			      O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return (int)fd;
}

/* For main(). Return: may be run here; else a line was printed. */
static inline bool rig_is_possible(void)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (geteuid() == 0 && fd >= 0)
		return close(fd) == 0;
	printf("skip (host): it takes root and /dev/fuse: %s\n",
	       geteuid() ? "not root" : strerror(errno));
	return false;
}

#endif
