/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cused_bench_null - a CUSE device that does nothing, by libfuse's own plain loop: the floor
 * under every call of the service.
 *
 *     cused_bench_null NAME
 *
 * ioctl 0 answers 0; ioctl 1 answers 32 bytes after it has taken 32 (bench_service.h).
 * Says "ready" on standard error.
 */
#define FUSE_USE_VERSION 314

#include <errno.h>
#include <fuse3/cuse_lowlevel.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>
#include "bench_service.h"

static void null_open(fuse_req_t req, struct fuse_file_info *fi)
{
	fuse_reply_open(req, fi);
}

static void null_ioctl(fuse_req_t req, int cmd, void *arg, struct fuse_file_info *fi,
		       unsigned flags, const void *in, size_t in_size, size_t out_size)
{
	char data[NULL_BYTES];
	struct iovec ours = { data, sizeof(data) }, theirs = { arg, sizeof(data) };
	pid_t pid = fuse_req_ctx(req)->pid;

	if ((unsigned)cmd == NULL_DATA &&
	    (process_vm_readv(pid, &ours, 1, &theirs, 1, 0) != NULL_BYTES ||
	     process_vm_writev(pid, &ours, 1, &theirs, 1, 0) != NULL_BYTES))
		fuse_reply_err(req, EFAULT);
	else
		fuse_reply_ioctl(req, 0, NULL, 0);
}

static void null_ready(void *user)
{
	fprintf(stderr, "ready\n");
}

int main(int argc, char **argv)
{
	static const struct cuse_lowlevel_ops ops = {
		.open = null_open, .ioctl = null_ioctl, .init_done = null_ready,
	};
	char name[64], *own[] = { argv[0], (char[]){ "-f" }, (char[]){ "-s" }, NULL };
	const char *info[] = { name };
	struct cuse_info ci = { .dev_info_argc = 1, .dev_info_argv = info,
				.flags = CUSE_UNRESTRICTED_IOCTL };

	if (argc != 2)
		return 2;
	snprintf(name, sizeof(name), "DEVNAME=%s", argv[1]);
	return cuse_lowlevel_main(3, own, &ci, &ops, NULL);
}
