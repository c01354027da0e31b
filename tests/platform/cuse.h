/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cuse.h - a CUSE device with libfuse3 whose behaviour is chosen by the command of an ioctl.
 *
 * The server is a process of its own: a process that holds the last file of its own device
 * cannot end. It shares a page with the test, struct seen, in which it counts what arrives.
 * Threads of it read one descriptor; its main thread waits for a byte on the control socket
 * and then answers the ioctls that are held.
 *
 * No file of this is used outside of guests: a kernel without CUSE skips the test.
 */
#ifndef TESTS_PLATFORM_CUSE_H
#define TESTS_PLATFORM_CUSE_H

#include <sys/sysmacros.h>

#include "session.h"

#define DEVICE_NAME "cused-fact"
#define DEVICE_PATH "/dev/" DEVICE_NAME
#define DEVICE_DATA 32			/* bytes in and out of the commands with data */
#define DEVICE_THREADS 3
#define DEVICE_HELD 8

/* Commands without size and direction, as VFIO's are. */
enum {
	CMD_FIVE = _IO('c', 1),		/* answers 5 */
	CMD_HOLD = _IO('c', 2),		/* answers 5 when the test says so */
	CMD_COPY = _IO('c', 3),		/* turns data's bits over by process_vm_* */
	CMD_RETRY = _IO('c', 4),	/* the same by FUSE's retry */
	CMD_BLOCK = _IO('c', 5),	/* keeps its thread until the test says so */
	CMD_ERROR = _IO('c', 6),	/* fails with EBADFD */
};

/* What the server saw. */
struct seen {
	_Atomic unsigned opens, releases, reads, writes, ioctls, rounds;
	_Atomic unsigned blocked;
	/* of the last ioctl */
	_Atomic int pid;
	_Atomic unsigned uid, flags, cmd;
	_Atomic uint64_t arg;
	/* of the last read or write */
	_Atomic uint64_t offset, size;
};

struct device {
	pid_t pid;
	int control;		/* socket to the server */
	struct seen *seen;
};

/* ---- the server ---- */

static struct seen *server_seen;
static fuse_req_t server_held[DEVICE_HELD];
static unsigned server_n_held;
static pthread_mutex_t server_lock = PTHREAD_MUTEX_INITIALIZER;
static int server_gate[2];	/* what CMD_BLOCK waits for */

static inline void server_open(fuse_req_t req, struct fuse_file_info *fi)
{
	server_seen->opens++;
	fuse_reply_open(req, fi);
}

static inline void server_release(fuse_req_t req, struct fuse_file_info *fi)
{
	server_seen->releases++;
	fuse_reply_err(req, 0);
}

static inline void server_read(fuse_req_t req, size_t size, off_t off,
			       struct fuse_file_info *fi)
{
	char c = 'x';

	server_seen->reads++;
	server_seen->offset = (uint64_t)off;
	server_seen->size = size;
	fuse_reply_buf(req, &c, 1);
}

static inline void server_write(fuse_req_t req, const char *buf, size_t size, off_t off,
				struct fuse_file_info *fi)
{
	server_seen->writes++;
	server_seen->offset = (uint64_t)off;
	server_seen->size = size;
	fuse_reply_write(req, size);
}

static inline void turn_over(uint8_t *data)
{
	for (unsigned i = 0; i < DEVICE_DATA; i++)
		data[i] = (uint8_t)~data[i];
}

static inline void server_copy(fuse_req_t req, void *arg)
{
	uint8_t data[DEVICE_DATA];
	struct iovec ours = { data, sizeof(data) }, theirs = { arg, sizeof(data) };
	pid_t pid = fuse_req_ctx(req)->pid;

	if (process_vm_readv(pid, &ours, 1, &theirs, 1, 0) != sizeof(data)) {
		fuse_reply_err(req, errno);
		return;
	}
	turn_over(data);
	if (process_vm_writev(pid, &ours, 1, &theirs, 1, 0) != sizeof(data))
		fuse_reply_err(req, errno);
	else
		fuse_reply_ioctl(req, 0, NULL, 0);
}

static inline void server_retry(fuse_req_t req, void *arg, const void *in, size_t in_size)
{
	struct iovec all = { arg, DEVICE_DATA };
	uint8_t data[DEVICE_DATA];

	if (!in_size) {
		fuse_reply_ioctl_retry(req, &all, 1, &all, 1);
		return;
	}
	memcpy(data, in, sizeof(data));
	turn_over(data);
	fuse_reply_ioctl(req, 0, data, sizeof(data));
}

static inline void server_ioctl(fuse_req_t req, int cmd, void *arg,
				struct fuse_file_info *fi, unsigned flags, const void *in,
				size_t in_size, size_t out_size)
{
	const struct fuse_ctx *caller = fuse_req_ctx(req);
	char c;

	server_seen->pid = caller->pid;
	server_seen->uid = caller->uid;
	server_seen->flags = flags;
	server_seen->cmd = (unsigned)cmd;
	server_seen->arg = (uintptr_t)arg;
	server_seen->rounds++;
	switch ((unsigned)cmd) {
	case CMD_FIVE:
		fuse_reply_ioctl(req, 5, NULL, 0);
		break;
	case CMD_HOLD:
		pthread_mutex_lock(&server_lock);
		server_held[server_n_held++ % DEVICE_HELD] = req;
		pthread_mutex_unlock(&server_lock);
		break;
	case CMD_COPY:
		server_copy(req, arg);
		break;
	case CMD_RETRY:
		server_retry(req, arg, in, in_size);
		break;
	case CMD_BLOCK:
		server_seen->blocked++;
		EXPECT(read(server_gate[0], &c, 1) == 1);
		fuse_reply_ioctl(req, 5, NULL, 0);
		break;
	case CMD_ERROR:
		fuse_reply_err(req, EBADFD);
		break;
	default:
		fuse_reply_ioctl(req, 0, NULL, 0);
	}
	/* The last, so that who sees the number finds the rest. */
	server_seen->ioctls++;
}

static const struct cuse_lowlevel_ops server_ops = {
	.open = server_open, .release = server_release, .read = server_read,
	.write = server_write, .ioctl = server_ioctl,
};

/*
 * A node /dev/@name; @major 0: one is chosen. When this returns, INIT has been answered.
 * Return: its session; its descriptor in @ret_fd.
 */
static inline struct fuse_session *cuse_session(const char *name, unsigned major_number,
						unsigned minor_number, int *ret_fd)
{
	static const struct fuse_custom_io io = { .writev = io_writev, .read = io_read };
	char devname[128], program[] = "server", *argv[] = { program, NULL };
	const char *info[] = { devname };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct cuse_info ci = { .dev_major = major_number, .dev_minor = minor_number,
				.dev_info_argc = 1, .dev_info_argv = info,
				.flags = CUSE_UNRESTRICTED_IOCTL };
	struct fuse_session *se;
	int fd = open("/dev/cuse", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		SKIP("no /dev/cuse: %s", strerror(errno));
	snprintf(devname, sizeof(devname), "DEVNAME=%s", name);
	se = cuse_lowlevel_new(&args, &ci, &server_ops, NULL);
	EXPECT(se != NULL);
	EXPECT(fuse_session_custom_io(se, &io, fd) == 0);
	EXPECT(session_step(se));
	*ret_fd = fd;
	return se;
}

static inline void server_main(int control, const char *name)
{
	struct fuse_session *se;
	pthread_t thread;
	char command;
	int fd;

	EXPECT(pipe2(server_gate, O_CLOEXEC) == 0);
	se = cuse_session(name, 0, 0, &fd);
	tell(control, 1);
	for (unsigned i = 0; i < DEVICE_THREADS; i++)
		EXPECT(pthread_create(&thread, NULL, session_thread, se) == 0);
	while (read(control, &command, 1) == 1) {
		if (command == 'b') {
			EXPECT(write(server_gate[1], "b", 1) == 1);
			continue;
		}
		pthread_mutex_lock(&server_lock);
		while (server_n_held)
			fuse_reply_ioctl(server_held[--server_n_held], 5, NULL, 0);
		pthread_mutex_unlock(&server_lock);
	}
	_exit(0);
}

/* ---- the test's side ---- */

/* Skips where CUSE is missing. The device ends with device_stop(), or with this process. */
static inline struct device device_start(const char *name)
{
	struct device d;
	struct meeting m;
	int probe = open("/dev/cuse", O_RDWR | O_CLOEXEC);

	if (probe < 0)
		SKIP("no /dev/cuse: %s", strerror(errno));
	close(probe);
	d.seen = mmap(NULL, sizeof(*d.seen), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	EXPECT(d.seen != MAP_FAILED);
	meeting_init(&m);
	d.pid = fork_child();
	if (d.pid == 0) {
		close(m.ours);
		server_seen = d.seen;
		server_main(m.theirs, name);
	}
	close(m.theirs);
	d.control = m.ours;
	EXPECT(hear(d.control) == 1);
	return d;
}

/* Answers what is held ('a'), or lets one blocked thread go ('b'). */
static inline void device_go(const struct device *d, char what)
{
	EXPECT(write(d->control, &what, 1) == 1);
}

static inline void device_stop(struct device *d)
{
	int status;

	kill(d->pid, SIGKILL);
	EXPECT(waitpid(d->pid, &status, 0) == d->pid);
	close(d->control);
}

static inline int device_open(void)
{
	int fd = open(DEVICE_PATH, O_RDWR | O_CLOEXEC);

	EXPECT(fd >= 0);
	return fd;
}

/* A process that does one ioctl on @fd and ends with its result, or 100 + errno. */
static inline pid_t fork_ioctl(int fd, unsigned cmd)
{
	pid_t pid = fork_child();

	if (pid == 0) {
		int r = ioctl(fd, cmd, 0);

		_exit(r < 0 ? 100 + errno : r);
	}
	return pid;
}

#endif
