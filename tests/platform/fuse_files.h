/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse_files.h - a FUSE mount without a mount point, served by a process of its own, with
 * one file "f" of direct I/O; and what libfuse before 3.17 cannot ask for: a file whose
 * mmap goes to another file (passthrough).
 *
 * Passthrough is agreed on in the reply to INIT and named in the reply to OPEN. The library
 * knows neither, so both replies are completed on their way to the kernel. Structures are
 * those of linux/fuse.h of Linux 6.9, which older headers do not have.
 */
#ifndef TESTS_PLATFORM_FUSE_FILES_H
#define TESTS_PLATFORM_FUSE_FILES_H

#include <linux/mount.h>
#include <sys/mount.h>

#include "session.h"

#define FILE_SIZE (1ll << 61)
#define PASSTHROUGH_FLAG2 (1u << 5)		/* FUSE_PASSTHROUGH, bit 37 */
#define OPEN_PASSTHROUGH (1u << 7)		/* FOPEN_PASSTHROUGH */
#define BACKING_OPEN _IOW(229, 1, struct backing_map)

struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

/* The tail of struct fuse_init_out, from flags2 on. */
struct init_tail {
	uint32_t flags2, max_stack_depth;
};

/* struct fuse_open_out */
struct open_answer {
	uint64_t fh;
	uint32_t open_flags;
	int32_t backing_id;
};

struct file_seen {
	_Atomic unsigned opens, releases, reads, writes, ioctls;
	_Atomic int pid;
	_Atomic unsigned cmd, flags;
	_Atomic uint64_t arg, offset, size;
	_Atomic int backing_errno;	/* of asking for passthrough */
};

struct files {
	pid_t pid;
	int control;		/* socket to the server */
	int mount;		/* the mount, which is nowhere */
	struct file_seen *seen;
};

enum { FILE_FIVE = _IO(';', 1), FILE_COPY = _IO(';', 2), FILE_RETRY = _IO(';', 3),
       FILE_NOSYS = _IO(';', 4) };

/* ---- the server ---- */

static struct file_seen *files_seen;
static int files_backing = -1;		/* what to pass through to, or -1 */
static int files_backing_id;
static bool files_init_done, files_opening;

static inline void files_attr(struct stat *st, fuse_ino_t ino)
{
	*st = (struct stat){ .st_ino = ino, .st_nlink = 1, .st_mode = S_IFREG | 0666,
			     .st_size = FILE_SIZE };
	if (ino == FUSE_ROOT_ID)
		st->st_mode = S_IFDIR | 0755;
}

static inline void files_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .ino = 2 };

	if (strcmp(name, "f")) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	files_attr(&e.attr, e.ino);
	fuse_reply_entry(req, &e);
}

static inline void files_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	files_attr(&st, ino);
	fuse_reply_attr(req, &st, 0);
}

static inline void files_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->direct_io = 1;
	fi->noflush = 1;
	files_seen->opens++;
	files_opening = true;
	fuse_reply_open(req, fi);
	files_opening = false;
}

static inline void files_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	files_seen->releases++;
	fuse_reply_err(req, 0);
}

static inline void files_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			      struct fuse_file_info *fi)
{
	char bytes[64] = "read by the server";

	files_seen->offset = (uint64_t)off;
	files_seen->size = size;
	files_seen->pid = fuse_req_ctx(req)->pid;
	files_seen->reads++;
	fuse_reply_buf(req, bytes, size < sizeof(bytes) ? size : sizeof(bytes));
}

static inline void files_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
			       off_t off, struct fuse_file_info *fi)
{
	files_seen->offset = (uint64_t)off;
	files_seen->size = size;
	files_seen->writes++;
	fuse_reply_write(req, size);
}

static inline void files_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
			       struct fuse_file_info *fi, unsigned flags, const void *in,
			       size_t in_size, size_t out_size)
{
	struct iovec ours, theirs = { arg, sizeof(uint64_t) };
	pid_t pid = fuse_req_ctx(req)->pid;
	uint64_t word = 0;

	files_seen->pid = pid;
	files_seen->cmd = cmd;
	files_seen->flags = flags;
	files_seen->arg = (uintptr_t)arg;
	files_seen->ioctls++;
	ours = (struct iovec){ &word, sizeof(word) };
	switch (cmd) {
	case FILE_FIVE:
		fuse_reply_ioctl(req, 5, NULL, 0);
		break;
	case FILE_COPY:
		EXPECT(process_vm_readv(pid, &ours, 1, &theirs, 1, 0) == sizeof(word));
		word = ~word;
		EXPECT(process_vm_writev(pid, &ours, 1, &theirs, 1, 0) == sizeof(word));
		fuse_reply_ioctl(req, 0, NULL, 0);
		break;
	case FILE_RETRY:
		fuse_reply_ioctl_retry(req, &theirs, 1, NULL, 0);
		break;
	default:
		fuse_reply_err(req, ENOSYS);
	}
}

static const struct fuse_lowlevel_ops files_ops = {
	.lookup = files_lookup, .getattr = files_getattr, .open = files_open,
	.release = files_release, .read = files_read, .write = files_write,
	.ioctl = files_ioctl,
};

/* The reply to INIT and those to OPEN are completed here. */
static inline ssize_t files_writev(int fd, struct iovec *iov, int count, void *user)
{
	if (files_backing >= 0 && !files_init_done && count > 1) {
		struct fuse_init_out *out = iov[1].iov_base;
		struct init_tail *tail = (void *)&out->flags2;

		EXPECT(iov[1].iov_len == sizeof(*out));
		out->flags |= FUSE_INIT_EXT;
		tail->flags2 |= PASSTHROUGH_FLAG2;
		tail->max_stack_depth = 1;
	} else if (files_backing >= 0 && files_opening && count > 1 && files_backing_id > 0) {
		struct open_answer *out = iov[1].iov_base;

		EXPECT(iov[1].iov_len == sizeof(*out));
		out->open_flags |= OPEN_PASSTHROUGH;
		out->backing_id = files_backing_id;
	}
	files_init_done = true;
	return writev(fd, iov, count);
}

/*
 * Serves requests; bytes on the control socket: 'h' take no further request, 'l' say
 * whether there is one, and serve it, 'g' go on.
 */
static inline void files_main(int control, int fd)
{
	static const struct fuse_custom_io io = { .writev = files_writev, .read = io_read };
	char program[] = "server", *argv[] = { program, NULL }, command;
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct pollfd p[2] = { { control, POLLIN, 0 }, { fd, POLLIN, 0 } };
	struct backing_map map = { .fd = files_backing };
	struct fuse_session *se = fuse_session_new(&args, &files_ops, sizeof(files_ops), NULL);
	bool hold = false;

	EXPECT(se != NULL);
	EXPECT(fuse_session_custom_io(se, &io, fd) == 0);
	EXPECT(session_step(se));
	if (files_backing >= 0) {
		files_backing_id = ioctl(fd, BACKING_OPEN, &map);
		files_seen->backing_errno = files_backing_id < 0 ? errno : 0;
	}
	tell(control, 1);
	for (;;) {
		EXPECT(poll(p, hold ? 1 : 2, -1) > 0);
		if (p[0].revents) {
			if (read(control, &command, 1) != 1)
				_exit(0);
			hold = command != 'g';
			if (command == 'l') {
				EXPECT(poll(&p[1], 1, 0) >= 0);
				if (p[1].revents)
					session_step(se);
				tell(control, p[1].revents != 0);
			} else {
				tell(control, 1);
			}
		} else if (!session_step(se)) {
			_exit(0);
		}
	}
}

/* ---- the test's side ---- */

/* A descriptor of a mount of @fuse that is nowhere, or -1. */
static inline int detached_mount(int fuse)
{
	int fs = fsopen("fuse", FSOPEN_CLOEXEC), r = -1;
	char number[16];

	snprintf(number, sizeof(number), "%d", fuse);
	if (fs >= 0 && !fsconfig(fs, FSCONFIG_SET_STRING, "fd", number, 0)
	    && !fsconfig(fs, FSCONFIG_SET_STRING, "rootmode", "40000", 0)
	    && !fsconfig(fs, FSCONFIG_SET_STRING, "user_id", "0", 0)
	    && !fsconfig(fs, FSCONFIG_SET_STRING, "group_id", "0", 0)
	    && !fsconfig(fs, FSCONFIG_SET_FLAG, "allow_other", NULL, 0)
	    && !fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		r = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (fs >= 0)
		close(fs);
	return r;
}

/* @backing: a file to pass mmap through to, or -1. Skips where FUSE cannot be had. */
static inline struct files files_start(int backing)
{
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	struct meeting m;
	struct files f;

	if (fuse < 0)
		SKIP("no /dev/fuse: %s", strerror(errno));
	f.mount = detached_mount(fuse);
	if (f.mount < 0)
		SKIP("may not mount: %s", strerror(errno));
	f.seen = mmap(NULL, sizeof(*f.seen), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	EXPECT(f.seen != MAP_FAILED);
	meeting_init(&m);
	f.pid = fork_child();
	if (f.pid == 0) {
		close(m.ours);
		close(f.mount);
		files_backing = backing;
		files_seen = f.seen;
		files_main(m.theirs, fuse);
	}
	close(fuse);
	close(m.theirs);
	f.control = m.ours;
	EXPECT(hear(f.control) == 1);
	return f;
}

static inline int files_open_one(const struct files *f)
{
	int fd = openat(f->mount, "f", O_RDWR | O_CLOEXEC);

	EXPECT(fd >= 0);
	return fd;
}

/* Return: what the server says. */
static inline int files_command(const struct files *f, char command)
{
	EXPECT(write(f->control, &command, 1) == 1);
	return hear(f->control);
}

static inline void files_stop(struct files *f)
{
	int status;

	close(f->mount);
	kill(f->pid, SIGKILL);
	EXPECT(waitpid(f->pid, &status, 0) == f->pid);
	close(f->control);
}

#endif
