/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restart_load.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

const unsigned load_limits_ms[LOAD_LIMITS] = { 1, 10, 100, 1000, 10000 };

unsigned load_draw(struct load *l, unsigned n)
{
	return (unsigned)rand_r(&l->seed) % n;
}

bool load_stops(const struct load *l)
{
	return atomic_load_explicit(l->stop, memory_order_relaxed);
}

void load_fail(struct load *l, const char *call, const char *format, ...)
{
	struct load_stats *s = l->stats;
	va_list args;
	int n;

	n = snprintf(s->error, sizeof(s->error), "%s: %s, request %llu, after %.2f s: ", l->name,
		     call, (unsigned long long)atomic_load(&s->requests),
		     (double)(vc_now_ns() - l->began_ns) / 1e9);
	va_start(args, format);
	vsnprintf(s->error + n, sizeof(s->error) - (size_t)n, format, args);
	va_end(args);
	atomic_store(&s->since_ns, 0);
	atomic_store(&s->state, LOAD_FAILED);
	_exit(1);
}

void load_ready(struct load *l)
{
	l->began_ns = l->next_ns = vc_now_ns();
	atomic_store(&l->stats->state, LOAD_RUNS);
}

static void wait_until(uint64_t ns)
{
	uint64_t now;

	while ((now = vc_now_ns()) < ns) {
		struct timespec left = { .tv_sec = (time_t)((ns - now) / 1000000000u),
					 .tv_nsec = (long)((ns - now) % 1000000000u) };

		(void)ppoll(NULL, 0, &left, NULL);
	}
}

enum load_fault_kind load_begin(struct load *l, const char *call)
{
	struct load_stats *s = l->stats;
	uint64_t now;

	if (atomic_load(&s->state) == LOAD_RUNS && !load_stops(l)) {
		wait_until(l->next_ns);
		now = vc_now_ns();
		if (now - l->next_ns > s->late_ns)
			s->late_ns = now - l->next_ns;
		l->next_ns += l->interval_ns;
	}
	atomic_store(&s->call, call);
	atomic_store(&s->since_ns, vc_now_ns());
	if (!l->fault.call || strcmp(l->fault.call, call) || ++l->fault_seen != l->fault.at)
		return FAULT_NONE;
	return l->fault.kind;
}

void load_end(struct load *l, const char *call)
{
	struct load_stats *s = l->stats;
	uint64_t since = atomic_load(&s->since_ns), took = vc_now_ns() - since;

	atomic_store(&s->since_ns, 0);
	atomic_fetch_add(&s->requests, 1);
	for (unsigned i = 0; i < LOAD_LIMITS; i++)
		s->over[i] += took > load_limits_ms[i] * 1000000ull;
	if (took > s->longest_ns) {
		s->longest_ns = took;
		s->longest_at_ns = since - l->began_ns;
		s->longest_call = call;
	}
}

static const char *result_text(char *buf, size_t size, long r)
{
	const char *name = r < 0 ? strerrorname_np((int)-r) : NULL;

	if (name)
		return name;
	snprintf(buf, size, "%ld", r);
	return buf;
}

int load_result(struct load *l, const char *call, long is, long want)
{
	char a[24], b[24];

	if (is != want)
		load_fail(l, call, "%s, expected %s", result_text(a, sizeof(a), is),
			  result_text(b, sizeof(b), want));
	return (int)is;
}

/* What is a file if it is @want, 0. */
static int file_result(struct load *l, const char *call, int fd, int want)
{
	char text[24];

	if (want) {
		load_result(l, call, fd, want);
		return -1;
	}
	if (fd < 0)
		load_fail(l, call, "%s, expected a file", result_text(text, sizeof(text), fd));
	return fd;
}

static int call_open(struct load *l, const char *call, const char *path)
{
	enum load_fault_kind fault = load_begin(l, call);
	int fd = -ENOTCONN;

	if (fault != FAULT_ERROR)
		fd = open(path, O_RDWR | O_CLOEXEC);
	if (fault == FAULT_TWICE)
		fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd == -1)
		fd = -errno;
	load_end(l, call);
	return fd;
}

int load_open(struct load *l, const char *call, const char *path, int want)
{
	return file_result(l, call, call_open(l, call, path), want);
}

/* A busy answer, and there is patience left: tries again. */
static bool busy(struct load *l, long r, uint64_t end)
{
	if (r != -EBUSY || vc_now_ns() > end)
		return false;
	l->stats->busy++;
	vc_pause(1);
	return true;
}

static uint64_t patience_end(const struct load *l)
{
	return vc_now_ns() + (uint64_t)l->patience_ms * 1000000u;
}

int load_open_soon(struct load *l, const char *call, const char *path)
{
	uint64_t end = patience_end(l);
	int fd;

	do
		fd = call_open(l, call, path);
	while (busy(l, fd, end));
	return file_result(l, call, fd, 0);
}

void load_close(struct load *l, const char *call, int *fd)
{
	enum load_fault_kind fault = load_begin(l, call);
	int r = 0;

	if (fault == FAULT_ERROR)
		r = -ENOTCONN;
	else if (fault != FAULT_LOST && close(*fd))
		r = -errno;
	load_end(l, call);
	*fd = -1;
	load_result(l, call, r, 0);
}

static long call_ioctl(struct load *l, const char *call, int fd, unsigned long cmd, void *arg,
		       size_t size)
{
	struct vfio_iommu_type1_dma_unmap all = { .argsz = sizeof(all),
						  .flags = VFIO_DMA_UNMAP_FLAG_ALL };
	enum load_fault_kind fault = load_begin(l, call);
	long r = 0;

	if (fault == FAULT_FORGOTTEN)
		(void)ioctl(fd, VFIO_IOMMU_UNMAP_DMA, &all);
	if (fault == FAULT_ERROR)
		r = -ENOTCONN;
	else if (fault != FAULT_LOST)
		r = vc_ioctl(fd, cmd, (uintptr_t)arg);
	if (fault == FAULT_TWICE)
		r = vc_ioctl(fd, cmd, (uintptr_t)arg);
	if (fault == FAULT_WRONG && size)
		((uint8_t *)arg)[size - 1] ^= 1;
	load_end(l, call);
	return r;
}

/* The first bytes that differ, as numbers of 4 bytes. */
_Noreturn static void fail_bytes(struct load *l, const char *call, const uint8_t *is,
				 const uint8_t *want, size_t len)
{
	uint32_t a = 0, b = 0;
	size_t at = 0, n;

	while (at + 4 < len && !memcmp(is + at, want + at, 4))
		at += 4;
	n = len - at < 4 ? len - at : 4;
	memcpy(&a, is + at, n);
	memcpy(&b, want + at, n);
	load_fail(l, call, "0x%x at byte %zu of %zu, expected 0x%x", a, at, len, b);
}

int load_ioctl(struct load *l, const char *call, int fd, unsigned long cmd, void *arg,
	       size_t size, const void *want_arg, long want)
{
	long r = call_ioctl(l, call, fd, cmd, arg, size);

	load_result(l, call, r, want);
	if (want_arg && memcmp(arg, want_arg, size))
		fail_bytes(l, call, arg, want_arg, size);
	return (int)r;
}

int load_ioctl_number(struct load *l, const char *call, int fd, unsigned long cmd,
		      unsigned long arg, long want)
{
	return load_result(l, call, call_ioctl(l, call, fd, cmd, (void *)arg, 0), want);
}

void load_ioctl_soon(struct load *l, const char *call, int fd, unsigned long cmd)
{
	uint64_t end = patience_end(l);
	long r;

	do
		r = call_ioctl(l, call, fd, cmd, NULL, 0);
	while (busy(l, r, end));
	load_result(l, call, r, 0);
}

int load_get_device(struct load *l, int group, const char *bdf, int want)
{
	char name[64];

	snprintf(name, sizeof(name), "%s", bdf);
	return file_result(
		l, "GET_DEVICE_FD",
		(int)call_ioctl(l, "GET_DEVICE_FD", group, VFIO_GROUP_GET_DEVICE_FD, name, 0),
		want);
}

void load_read(struct load *l, const char *call, int fd, uint64_t at, void *buf, size_t len)
{
	enum load_fault_kind fault = load_begin(l, call);
	ssize_t n = -ENOTCONN;

	if (fault != FAULT_ERROR) {
		n = pread(fd, buf, len, (off_t)at);
		if (n < 0)
			n = -errno;
	}
	if (fault == FAULT_WRONG)
		((uint8_t *)buf)[len - 1] ^= 1;
	load_end(l, call);
	load_result(l, call, n, (long)len);
}

void load_write(struct load *l, const char *call, int fd, uint64_t at, const void *buf,
		size_t len)
{
	enum load_fault_kind fault = load_begin(l, call);
	ssize_t n = (ssize_t)len;

	if (fault == FAULT_ERROR) {
		n = -ENOTCONN;
	} else if (fault != FAULT_LOST) {
		n = pwrite(fd, buf, len, (off_t)at);
		if (n < 0)
			n = -errno;
	}
	if (fault == FAULT_TWICE)
		n = pwrite(fd, buf, len, (off_t)at);
	load_end(l, call);
	load_result(l, call, n, (long)len);
}

void load_quiet(struct load *l, int event)
{
	uint64_t n;

	if (read(event, &n, sizeof(n)) == sizeof(n))
		l->stats->spurious += n;
}

/* One request may bring more than one interrupt, if its first answer was lost: a driver
 * bears that, as it bears a line that it shares. What it does not bear is none. */
void load_event(struct load *l, const char *call, int event)
{
	enum load_fault_kind fault = load_begin(l, call);
	struct pollfd p = { .fd = event, .events = POLLIN };
	uint64_t n = 0;

	if (fault == FAULT_LOST && poll(&p, 1, l->patience_ms) == 1)
		load_quiet(l, event);
	if (poll(&p, 1, l->patience_ms) != 1 || read(event, &n, sizeof(n)) != sizeof(n))
		load_fail(l, call, "no interrupt within %d ms", l->patience_ms);
	load_end(l, call);
	l->stats->spurious += n - 1;
}

void load_same(struct load *l, const char *call, void *is, const void *want, size_t len)
{
	if (l->fault.call && !strcmp(l->fault.call, call) && l->fault.kind == FAULT_WRONG &&
	    ++l->fault_seen == l->fault.at)
		((uint8_t *)is)[len / 2] ^= 1;
	if (memcmp(is, want, len))
		fail_bytes(l, call, is, want, len);
}

void load_open_device(struct load *l, const char *bdf, struct vc *ret, struct vc_where *ret_where)
{
	struct vc_where where = { .dir = "/dev/vfio", .bdf = bdf, .group = vc_sysfs_group(bdf) };
	char path[64];

	if (where.group < 0)
		load_fail(l, "iommu_group", "%s in /sys: %s", bdf, strerror(-where.group));
	snprintf(path, sizeof(path), "/dev/vfio/%d", where.group);
	ret->container = load_open(l, "open container", "/dev/vfio/vfio", 0);
	ret->group = load_open(l, "open group", path, 0);
	load_ioctl(l, "SET_CONTAINER", ret->group, VFIO_GROUP_SET_CONTAINER, &ret->container,
		   sizeof(ret->container), &(int){ ret->container }, 0);
	load_ioctl_number(l, "SET_IOMMU", ret->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU, 0);
	ret->device = load_get_device(l, ret->group, bdf, 0);
	*ret_where = where;
}
