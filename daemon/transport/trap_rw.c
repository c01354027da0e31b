/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/trap_rw.c - pread, pwrite and their vector forms, and mmap, of a device.
 *
 * An offset of the first window names the device, so no fd is looked up: any process of
 * the run could reach the device anyway. The check that matters is that the device is
 * open; if it is not, the fd is looked up, and a file that is not ours is the kernel's.
 */
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <transport/trap_internal.h>
#include <transport/window.h>
#include <util/cleanup.h>
#include <util/range.h>

#define RW_CHUNK	8192		/* bytes on the way at a time; a multiple of 8 */
#define RW_COUNT_MAX	0x7ffff000ull	/* the kernel's MAX_RW_COUNT */
#define RW_SEGMENTS_MAX	1024		/* its UIO_MAXIOV */
#define PAGE_BYTES	4096ull

/* ---- one stretch of memory ---- */

static int chunk_copy(struct trap_call *call, struct device_file *file, bool write,
		      uint64_t pos, uint64_t addr, size_t len)
{
	pid_t tid = (pid_t)call->req->pid;
	uint8_t buf[RW_CHUNK];
	int r;

	if (write) {
		if (client_read(tid, addr, buf, len))
			return -EFAULT;
		if (!trap_valid(call))
			return -EINTR;
		return device_write(file, pos, buf, len);
	}
	r = device_read(file, pos, buf, len);
	if (r)
		return r;
	if (!trap_valid(call))
		return -EINTR;
	return client_write(tid, addr, buf, len) ? -EFAULT : 0;
}

/* Return: bytes moved; -errno, also after a part (PCI-206). */
static int64_t segment_rw(struct trap_call *call, struct device_file *file, bool write,
			  uint64_t pos, uint64_t addr, uint64_t count)
{
	ssize_t allowed;

	if (count > RW_COUNT_MAX)
		count = RW_COUNT_MAX;
	allowed = device_rw_check(file, pos, count, write);
	for (size_t done = 0; allowed > 0 && done < (size_t)allowed;) {
		size_t len = RW_CHUNK - ((pos + done) & 7);
		int r;

		if (len > (size_t)allowed - done)
			len = (size_t)allowed - done;
		r = chunk_copy(call, file, write, pos + done, addr + done, len);
		if (r)
			return r;
		done += len;
	}
	return allowed;
}

/* ---- several ---- */

/* The kernel's import_iovec(). Return: total bytes, cut at RW_COUNT_MAX; -errno. */
static int64_t segments_fetch(struct trap_call *call, uint64_t addr, uint64_t n,
			      struct iovec *ret)
{
	uint64_t total = 0;

	if (client_read((pid_t)call->req->pid, addr, ret, n * sizeof(*ret)))
		return -EFAULT;
	if (!trap_valid(call))
		return -EINTR;
	for (uint64_t i = 0; i < n; i++) {
		if ((ssize_t)ret[i].iov_len < 0)
			return -EINVAL;
		if (ret[i].iov_len > RW_COUNT_MAX - total)
			ret[i].iov_len = RW_COUNT_MAX - total;
		total += ret[i].iov_len;
	}
	return (int64_t)total;
}

/* Files without iterator functions are served segment by segment; a short one ends it,
 * an error counts only if nothing was moved before. */
static int64_t vector_rw(struct trap_call *call, struct device_file *file, bool write,
			 uint64_t pos, bool with_flags)
{
	const __u64 *args = call->req->data.args;
	cleanup_free struct iovec *segments = NULL;
	uint64_t n = args[2];
	int64_t done = 0, r;

	if (n > RW_SEGMENTS_MAX)
		return -EINVAL;
	segments = calloc(n ? n : 1, sizeof(*segments));
	if (!segments)
		return -ENOMEM;
	r = segments_fetch(call, args[1], n, segments);
	if (r <= 0)
		return r;
	if (with_flags && ((unsigned)args[5] & ~(unsigned)RWF_HIPRI))
		return -EOPNOTSUPP;
	for (uint64_t i = 0; i < n; i++) {
		r = segment_rw(call, file, write, pos + (uint64_t)done,
			       (uintptr_t)segments[i].iov_base, segments[i].iov_len);
		if (r < 0)
			return done ? done : r;
		done += r;
		if ((size_t)r != segments[i].iov_len)
			break;
	}
	return done;
}

/* ---- which device ---- */

/* Return: 0 with a handle to put; -EINVAL a window without a device; 1: the kernel may
 * answer. */
static int rw_find(struct trap_call *call, uint64_t offset, struct handle **ret)
{
	const __u64 *args = call->req->data.args;
	struct client_thread *thread;
	int r;

	if ((int)args[0] < 0)
		return 1;		/* EBADF */
	if (window_has(offset) &&
	    handle_get_device(call->trap->handles, window_device(offset), ret) == 0)
		return 0;
	r = trap_find_caller(call, (int)args[0], &thread, ret);
	if (r)
		return 1;
	client_put(thread);
	if (handle_object(*ret).kind == OBJECT_DEVICE && !window_has(offset))
		return 0;
	/* PCI-189: a device, at an offset that no region of it has. */
	r = handle_object(*ret).kind == OBJECT_DEVICE ? -EINVAL : 1;
	handle_put(*ret);
	return r;
}

void trap_rw(struct trap_call *call, bool write, bool vector, bool with_flags)
{
	const __u64 *args = call->req->data.args;
	struct device_file *file;
	struct handle *handle;
	int64_t result;

	int r = rw_find(call, args[3], &handle);

	if (r) {
		trap_continue(call);
		if (r < 0)
			trap_answer(call, r);
		return;
	}
	file = handle_object(handle).device;
	if (vector)
		result = vector_rw(call, file, write, window_pos(args[3]), with_flags);
	else if ((int64_t)args[2] < 0)
		result = -EINVAL;
	else
		result = segment_rw(call, file, write, window_pos(args[3]), args[1],
				    args[2]);
	handle_put(handle);
	trap_answer(call, result);
}

/* ---- mmap ---- */

/* A good mapping is made by the kernel: the memfd has the BAR at that very offset. */
void trap_mmap(struct trap_call *call)
{
	const __u64 *args = call->req->data.args;
	unsigned type = (unsigned)args[3] & MAP_TYPE;
	uint64_t len = (args[1] + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	struct client_thread *thread;
	struct handle *handle;
	int r;

	trap_continue(call);
	if ((args[3] & MAP_ANONYMOUS) || len == 0 || !is_aligned(args[5], PAGE_BYTES))
		return;
	r = trap_find_caller(call, (int)args[4], &thread, &handle);
	if (r)
		return;
	client_put(thread);
	if (handle_object(handle).kind == OBJECT_DEVICE) {
		r = -EINVAL;
		if (node_number(handle_node(handle)) == window_device(args[5]))
			r = device_mmap_check(handle_object(handle).device,
					      window_pos(args[5]), len,
					      type == MAP_SHARED ||
						      type == MAP_SHARED_VALIDATE);
		if (r)
			trap_answer(call, r);
	}
	handle_put(handle);
}
