/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/courier_rig.h - a file whose ioctl is answered as that of a CUSE node is, clients
 * that call it, and couriers.
 *
 * The file is the root of a FUSE file system that is mounted nowhere. The test is its
 * server, and starts a courier, a process of its own, for each ioctl; the courier's armed()
 * answers the ioctl. Clients are unit/courier_client.c; they find the file as fd 3.
 */
#ifndef UNIT_COURIER_RIG_H
#define UNIT_COURIER_RIG_H

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <transport/courier.h>

#define RIG_NODE 3			/* of clients */
#define RIG_ERROR ENODEV		/* what ioctls are answered with */
#define RIG_DEADLINE_MS 10000

/* What a courier reports when it is done; comes over a pipe. */
struct rig_report {
	pid_t courier;
	int result;			/* of courier_deliver() */
	bool armed;			/* armed() was called */
	uint64_t unique;		/* of the request */
	int64_t ns;			/* that courier_deliver() took */
};

struct rig {
	int fuse, mount;
	int reports[2];
	unsigned couriers;		/* at work */

	/* What the test may choose. */
	bool cloexec;
	unsigned deadline_ms;
	enum { RIG_ANSWER, RIG_SILENT, RIG_GIVE_UP } armed;
	int deliver;			/* this file; -1: a memfd for each call */
	void (*in_courier)(pid_t tid);	/* before it delivers */
	int (*work)(struct courier *courier, void *arg);	/* instead of delivering */
	void (*on_ioctl)(struct rig *rig, pid_t courier);	/* it was started */
	pid_t client;

	/* What came of it. */
	struct rig_report last;
	unsigned delivered, failed;
	int64_t *times;			/* of deliveries; room for as many as there are */
	size_t n_times;
};

struct rig_armed {
	const struct rig *rig;
	uint64_t unique;
	bool called;
};

static inline int64_t rig_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static inline int rig_reply(const struct rig *rig, uint64_t unique, int error,
			    const void *data, size_t len)
{
	char buf[256];
	struct fuse_out_header header = { (uint32_t)(sizeof(header) + len), -error, unique };

	memcpy(buf, &header, sizeof(header));
	if (len)
		memcpy(buf + sizeof(header), data, len);
	return write(rig->fuse, buf, header.len) == (ssize_t)header.len ? 0 : -errno;
}

/* Return: 0, or an errno: there is no FUSE here. */
static inline int rig_open(struct rig *rig)
{
	char fd[16];
	int fs;

	*rig = (struct rig){ .deliver = -1, .deadline_ms = RIG_DEADLINE_MS };
	rig->fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (rig->fuse < 0)
		return errno;
	snprintf(fd, sizeof(fd), "%d", rig->fuse);
	fs = fsopen("fuse", FSOPEN_CLOEXEC);
	if (fs < 0)
		return errno;
	if (fsconfig(fs, FSCONFIG_SET_STRING, "fd", fd, 0) ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "rootmode", "100666", 0) ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "user_id", "0", 0) ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "group_id", "0", 0) ||
	    fsconfig(fs, FSCONFIG_SET_FLAG, "allow_other", NULL, 0) ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return errno;
	rig->mount = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (rig->mount < 0)
		return errno;
	close(fs);
	return pipe2(rig->reports, O_CLOEXEC) ? errno : 0;
}

static inline void rig_close(struct rig *rig)
{
	close(rig->fuse);
	close(rig->mount);
	close(rig->reports[0]);
	close(rig->reports[1]);
}

/* In a child of the test: become the client. */
static inline void rig_exec(struct rig *rig, const char *const argv[]) __attribute__((noreturn));
static inline void rig_exec(struct rig *rig, const char *const argv[])
{
	char path[32];
	int fd, null = open("/dev/null", O_RDWR);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", rig->mount);
	fd = open(path, O_RDWR);
	if (fd < 0 || dup2(null, 0) != 0 || dup2(fd, 1000) != 1000 ||
	    dup2(1000, RIG_NODE) != RIG_NODE ||
	    close_range(RIG_NODE + 1, ~0u, CLOSE_RANGE_CLOEXEC)) {
		perror("the client");
		_exit(3);
	}
	execv(argv[0], (char *const *)(uintptr_t)argv);
	perror(argv[0]);
	_exit(3);
}

static inline pid_t rig_start(struct rig *rig, const char *const argv[])
{
	rig->client = fork();
	ck_assert_int_ge(rig->client, 0);
	if (rig->client == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		rig_exec(rig, argv);
	}
	return rig->client;
}

/* ---- couriers ---- */

static inline int rig_armed(void *arg)
{
	struct rig_armed *armed = arg;

	armed->called = true;
	switch (armed->rig->armed) {
	case RIG_ANSWER:
		return rig_reply(armed->rig, armed->unique, RIG_ERROR, NULL, 0);
	case RIG_GIVE_UP:
		return -ECANCELED;
	default:
		return 0;
	}
}

static inline void rig_courier(struct rig *rig, pid_t tid, uint64_t unique, uint64_t text)
{
	struct rig_armed armed = { rig, unique, false };
	struct courier_job job = {
		.tid = tid, .fd = rig->deliver, .cloexec = rig->cloexec,
		.deadline_ms = rig->deadline_ms, .armed = rig_armed, .work = rig->work,
		.arg = &armed,
	};
	struct rig_report report = { .unique = unique };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (job.fd < 0) {
		job.fd = memfd_create("courier-test", MFD_CLOEXEC);
		if (write(job.fd, &text, sizeof(text)) != sizeof(text))
			_exit(1);
	}
	if (rig->in_courier)
		rig->in_courier(tid);
	report.courier = getpid();
	report.ns = -rig_now();
	report.result = courier_deliver(&job);
	report.ns += rig_now();
	report.armed = armed.called;
	/* All is closed when the report comes. */
	close(job.fd);
	_exit(write(rig->reports[1], &report, sizeof(report)) != sizeof(report));
}

static inline void rig_reported(struct rig *rig)
{
	int status;

	ck_assert_int_eq(read(rig->reports[0], &rig->last, sizeof(rig->last)),
			 sizeof(rig->last));
	ck_assert_int_eq(waitpid(rig->last.courier, &status, 0), rig->last.courier);
	ck_assert_int_eq(status, 0);
	rig->couriers--;
	if (rig->last.result >= 0) {
		if (rig->times)
			rig->times[rig->n_times++] = rig->last.ns;
		rig->delivered++;
	} else {
		rig->failed++;
	}
	/* Still unanswered; the client may be gone. */
	if (!rig->last.armed || rig->armed != RIG_ANSWER)
		rig_reply(rig, rig->last.unique, RIG_ERROR, NULL, 0);
}

/* ---- the server ---- */

static inline void rig_request(struct rig *rig)
{
	_Alignas(8) char buf[FUSE_MIN_READ_BUFFER + 131072];
	const struct fuse_in_header *in = (const void *)buf;
	const struct fuse_ioctl_in *call = (const void *)(in + 1);
	const struct fuse_init_in *init = (const void *)(in + 1);
	ssize_t n = read(rig->fuse, buf, sizeof(buf));

	if (n < 0) {
		ck_assert(errno == EINTR || errno == ENOENT || errno == EAGAIN);
		return;
	}
	switch (in->opcode) {
	case FUSE_INIT: {
		struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION,
			.minor = FUSE_KERNEL_MINOR_VERSION, .max_write = 4096 };

		if (out.minor > init->minor)
			out.minor = init->minor;
		rig_reply(rig, in->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_OPEN: {
		const struct fuse_open_out out = { .open_flags = FOPEN_DIRECT_IO };

		rig_reply(rig, in->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_GETATTR: {
		const struct fuse_attr_out out = {
			.attr = { .ino = 1, .mode = S_IFREG | 0666, .nlink = 1 },
		};

		rig_reply(rig, in->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_IOCTL: {
		pid_t pid, tid = (pid_t)in->pid;

		pid = fork();
		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			rig_courier(rig, tid, in->unique, call->arg);
		rig->couriers++;
		if (rig->on_ioctl)
			rig->on_ioctl(rig, pid);
		break;
	}
	case FUSE_INTERRUPT:
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		break;
	case FUSE_RELEASE:
		rig_reply(rig, in->unique, 0, NULL, 0);
		break;
	default:
		rig_reply(rig, in->unique, ENOSYS, NULL, 0);
	}
}

/* Serve until @pid, a child, has ended and all couriers have. Return: its status. */
static inline int rig_serve(struct rig *rig, pid_t pid)
{
	const int64_t end = rig_now() + 100000000000ll;
	int pidfd = pidfd_open(pid, 0), status;
	struct pollfd fds[] = {
		{ rig->fuse, POLLIN, 0 }, { rig->reports[0], POLLIN, 0 }, { pidfd, POLLIN, 0 },
	};

	ck_assert_int_ge(pidfd, 0);
	while (fds[2].fd >= 0 || rig->couriers) {
		ck_assert_int_lt(rig_now(), end);
		ck_assert(poll(fds, 3, 1000) >= 0 || errno == EINTR);
		if (fds[0].revents & POLLIN)
			rig_request(rig);
		if (fds[1].revents & POLLIN)
			rig_reported(rig);
		/* A negative number is passed over by poll(). */
		if (fds[2].revents & POLLIN)
			fds[2].fd = -1;
	}
	close(pidfd);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* A client from start to end; it has to end well. */
static inline void rig_run(struct rig *rig, const char *const argv[])
{
	int status = rig_serve(rig, rig_start(rig, argv));

	ck_assert_msg(WIFEXITED(status), "the client ended by signal %d", WTERMSIG(status));
	ck_assert_msg(WEXITSTATUS(status) == 0, "the client failed, see above");
}

#endif
