/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-crowd - many clients of a service at once; linked statically.
 *
 *   vm-crowd clients N      N processes that all have a container open at the same time;
 *                           every second one is killed, the others close
 *   vm-crowd containers N   one process with N containers open
 *   vm-crowd vectors NODE BDF INDEX N
 *                           sets 1, 2, … N eventfds of an interrupt of a device, until it
 *                           fails, and takes them away again
 *
 * Writes what happened as "word=number…"; status 1 if a call answered what it must not.
 * What the service answers when it is short of files itself (EMFILE) is counted apart.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS 2			/* of each client while all are there */
#define VECTORS_MAX 512

static int fail(const char *what)
{
	printf("failed: %s: %s\n", what, strerror(errno));
	return 1;
}

static int container_open(void)
{
	return open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
}

/* Does a fresh container answer as it must ('+')? 's': the service is short of files. */
static char container_answers(int fd)
{
	if (ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) != 1 ||
	    ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) != -1)
		return '-';
	return errno == EINVAL ? '+' : errno == EMFILE ? 's' : '-';
}

/* ---- clients ---- */

/* One byte on @up when it has begun and when it is done, an end of @down between. */
static void client(int up, int down)
{
	int fd = container_open();
	char c = fd >= 0 ? container_answers(fd) : '-';

	if (write(up, &c, 1) != 1 || read(down, &c, 1) != 0)
		_exit(1);
	c = '+';
	for (int i = 0; i < CALLS && c == '+'; i++)
		c = container_answers(fd);
	if (write(up, &c, 1) != 1)
		_exit(1);
	pause();
}

static unsigned count_good(int up, unsigned n, unsigned *short_)
{
	unsigned good = 0;
	char c;

	while (n-- && read(up, &c, 1) == 1) {
		good += c == '+';
		*short_ += c == 's';
	}
	return good;
}

static int clients(unsigned n)
{
	pid_t *pids = calloc(n, sizeof(*pids));
	unsigned began, done, ended = 0, short_ = 0;
	int up[2], down[2];

	if (!pids || pipe(up) || pipe(down))
		return fail("set-up");
	for (unsigned i = 0; i < n; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			return fail("fork");
		if (pids[i] == 0) {
			close(down[1]);
			client(up[1], down[0]);
		}
	}
	began = count_good(up[0], n, &short_);
	close(down[1]);
	done = count_good(up[0], n, &short_);
	for (unsigned i = 0; i < n; i++)
		kill(pids[i], i % 2 ? SIGKILL : SIGTERM);
	for (unsigned i = 0; i < n; i++)
		ended += waitpid(pids[i], NULL, 0) == pids[i];
	printf("clients=%u began=%u done=%u short=%u ended=%u\n", n, began, done, short_, ended);
	return began + done + short_ != 2 * n || ended != n;
}

/* ---- containers ---- */

static int containers(unsigned n)
{
	struct rlimit limit = { n + 64, n + 64 };
	int *fds = calloc(n, sizeof(*fds));
	unsigned good = 0;

	if (!fds || setrlimit(RLIMIT_NOFILE, &limit))
		return fail("set-up");
	for (unsigned i = 0; i < n; i++) {
		fds[i] = container_open();
		if (fds[i] < 0)
			return fail("open");
	}
	for (unsigned i = 0; i < n; i++)
		good += container_answers(fds[i]) == '+';
	/* In another order than they came, half of them by the end of the process. */
	for (unsigned i = 0; i < n; i += 2)
		close(fds[(i * 7ul) % n]);
	printf("containers=%u good=%u\n", n, good);
	return good != n;
}

/* ---- vectors ---- */

static int device_open(const char *node, const char *bdf)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int container = container_open(), group = open(node, O_RDWR | O_CLOEXEC);

	if (container < 0 || group < 0 || ioctl(group, VFIO_GROUP_GET_STATUS, &status) ||
	    ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return -1;
	return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
}

static int vectors(const char *node, const char *bdf, unsigned index, unsigned n)
{
	union {
		struct vfio_irq_set set;
		char space[sizeof(struct vfio_irq_set) + VECTORS_MAX * sizeof(int)];
	} u = { .set = { .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			 .index = index } };
	struct vfio_irq_set none = { .argsz = sizeof(none), .index = index,
		.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER };
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };
	int device = device_open(node, bdf), error = 0;
	unsigned set = 0;

	if (device < 0)
		return fail(bdf);
	for (unsigned i = 1; i <= n && i <= VECTORS_MAX && !error; i++) {
		int fd = eventfd(0, EFD_CLOEXEC);

		if (fd < 0)
			return fail("eventfd");
		memcpy(u.set.data + (i - 1) * sizeof(fd), &fd, sizeof(fd));
		u.set.count = i;
		u.set.argsz = (unsigned)(sizeof(u.set) + i * sizeof(fd));
		if (ioctl(device, VFIO_DEVICE_SET_IRQS, &u.set))
			error = errno;
		else
			set = i;
		if (!error && ioctl(device, VFIO_DEVICE_SET_IRQS, &none))
			return fail("none");
	}
	/* The device goes on, whatever the last one answered. */
	if (ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info))
		return fail("irq info");
	printf("vectors=%u error=%d\n", set, error);
	return 0;
}

int main(int argc, char **argv)
{
	int r;

	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && !strcmp(argv[1], "clients"))
		r = clients((unsigned)atoi(argv[2]));
	else if (argc == 3 && !strcmp(argv[1], "containers"))
		r = containers((unsigned)atoi(argv[2]));
	else if (argc == 6 && !strcmp(argv[1], "vectors"))
		r = vectors(argv[2], argv[3], (unsigned)atoi(argv[4]), (unsigned)atoi(argv[5]));
	else
		return 2;
	return fflush(stdout) ? 1 : r;
}
