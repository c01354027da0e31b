/* SPDX-License-Identifier: GPL-2.0-or-later */
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <transport/devfs_wire.h>
#include <transport/server.h>

#define WIRE_PASSTHROUGH_2	(1u << 5)	/* FUSE_PASSTHROUGH, in flags2 */
#define WIRE_FOPEN_PASSTHROUGH	(1u << 7)

struct wire_backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define WIRE_BACKING_OPEN _IOW(229, 1, struct wire_backing_map)
#define WIRE_BACKING_CLOSE _IOW(229, 2, uint32_t)

/* fuse_init_out.max_stack_depth, the first of the unused words of older headers. */
#define WIRE_STACK_DEPTH unused[0]

_Static_assert(sizeof(struct fuse_init_out) == 64, "layout of the answer to INIT");
_Static_assert(sizeof(struct fuse_entry_out) == 128, "layout of the answer to CREATE");
_Static_assert(sizeof(struct fuse_open_out) == 16, "layout of the answer to OPEN");

enum amendment { AMEND_NOTHING, AMEND_GREETING, AMEND_OPEN };

static _Thread_local enum amendment amendment;
static _Thread_local uint32_t amendment_backing;

bool devfs_wire_offered(const void *bytes, size_t size)
{
	const struct fuse_init_in *in = (const void *)((const char *)bytes +
						       sizeof(struct fuse_in_header));

	return size >= sizeof(struct fuse_in_header) + sizeof(*in) &&
	       (in->flags & FUSE_INIT_EXT) && (in->flags2 & WIRE_PASSTHROUGH_2);
}

void devfs_wire_tmpfile(void *bytes, size_t size)
{
	struct fuse_in_header *header = bytes;

	if (size >= sizeof(*header) && header->opcode == FUSE_TMPFILE)
		header->opcode = FUSE_CREATE;
}

void devfs_wire_accept(void)
{
	amendment = AMEND_GREETING;
}

void devfs_wire_open(uint32_t backing_id)
{
	amendment = AMEND_OPEN;
	amendment_backing = backing_id;
}

void devfs_wire_backing_close(int fuse_fd, uint32_t id)
{
	/* It fails for an id that is not there, which is as good. */
	(void)ioctl(fuse_fd, WIRE_BACKING_CLOSE, &id);
}

int devfs_wire_backing(int fuse_fd, int file)
{
	struct wire_backing_map map = { .fd = file };
	/* CAP_SYS_ADMIN: passthrough of a file's memory, for each device. */
	int id = ioctl(fuse_fd, WIRE_BACKING_OPEN, &map);

	return id < 0 ? -errno : id;
}

static void amend_greeting(struct fuse_init_out *out)
{
	out->flags |= FUSE_INIT_EXT;
	out->flags2 |= WIRE_PASSTHROUGH_2;
	out->WIRE_STACK_DEPTH = 1;	/* a memfd stands on nothing */
}

static void amend_open(struct fuse_open_out *out)
{
	out->open_flags |= FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
	if (amendment_backing) {
		out->open_flags |= WIRE_FOPEN_PASSTHROUGH;
		out->padding = amendment_backing;	/* backing_id */
	}
}

/* An answer is a header and one struct, of CREATE two in one piece; errors have no struct. */
static ssize_t wire_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	enum amendment what = amendment;

	amendment = AMEND_NOTHING;
	if (what == AMEND_GREETING && count == 2 &&
	    iov[1].iov_len >= sizeof(struct fuse_init_out))
		amend_greeting(iov[1].iov_base);
	else if (what == AMEND_OPEN && count == 2 &&
		 iov[1].iov_len == sizeof(struct fuse_open_out))
		amend_open(iov[1].iov_base);
	else if (what == AMEND_OPEN && count == 2 &&
		 iov[1].iov_len == sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out))
		amend_open((void *)((char *)iov[1].iov_base + sizeof(struct fuse_entry_out)));
	return channel_writev(fd, iov, count, userdata);
}

static ssize_t wire_read(int fd, void *buf, size_t size, void *userdata)
{
	return channel_io.read(fd, buf, size, userdata);
}

const struct fuse_custom_io devfs_wire_io = { .writev = wire_writev, .read = wire_read };
