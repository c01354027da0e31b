/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host/device.c - a device of the machine: its seat; see host_device.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vfio-cused/log.h>

#include "abi.h"
#include "host_device.h"

static pthread_rwlock_t list = PTHREAD_RWLOCK_INITIALIZER;
static struct host_device *devices;	/* list */

/* ---- the machine ---- */

static int machine_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int machine_ioctl(int fd, unsigned long cmd, void *arg)
{
	int r = ioctl(fd, cmd, arg);

	return r < 0 ? -errno : r;
}

static void machine_close(int fd)
{
	close(fd);
}

static void machine_pause(void)
{
	poll(NULL, 0, 5);
}

static bool machine_same(int a, int b)
{
	long own = getpid();

	return syscall(SYS_kcmp, own, own, (long)KCMP_FILE, (long)a, (long)b) == 0;
}

static const struct host_machine this_machine = {
	.dev = "/dev", .open = machine_open, .ioctl = machine_ioctl,
	.close = machine_close, .pause = machine_pause, .same = machine_same,
};
const struct host_machine *host_machine = &this_machine;

/* ---- the seat ---- */

/* Return: a file that is bound and attached; -errno. */
static int bind_and_attach(const struct host_device *device, const struct host_domain *domain)
{
	struct host_bind bind = { .argsz = sizeof(bind), .iommufd = domain->iommufd };
	struct host_attach attach = { .argsz = sizeof(attach), .pt_id = domain->ioas };
	int fd = host_machine->open(device->node), r;

	/* Of a device that leaves the machine, the node goes first. */
	if (fd < 0)
		return fd == -ENOENT ? -ENODEV : fd;
	r = host_machine->ioctl(fd, HOST_DEVICE_BIND, &bind);
	if (r >= 0)
		r = host_machine->ioctl(fd, HOST_DEVICE_ATTACH, &attach);
	if (r >= 0)
		return fd;
	host_machine->close(fd);
	return r;
}

/* Another file of the node is bound (EINVAL), its group is open (EBUSY) or another's (EPERM):
 * it may be one that a client has closed, and that the kernel is not done with. */
static int seat_new(const struct host_device *device, const struct host_domain *domain)
{
	int fd;

	for (unsigned i = 0;; i++) {
		fd = bind_and_attach(device, domain);
		if ((fd != -EINVAL && fd != -EBUSY && fd != -EPERM) || i == HOST_SEAT_TRIES)
			break;
		host_machine->pause();
	}
	return fd == -EINVAL ? -EBUSY : fd;
}

/* Locks: the device's held. */
static int fill(struct host_device *device)
{
	int fd = seat_new(device, device->domain);

	if (fd >= 0) {
		device->seat = fd;
		return 0;
	}
	cused_log(CUSED_LOG_WARNING, "host", "%s cannot be had: %s; see who has %s or a device "
		  "of group %u open, and, if nobody has, whether interrupts are isolated "
		  "(iommufd.allow_unsafe_interrupts)", device->bdf, strerror(-fd), device->node,
		  device->group);
	return fd;
}

int host_each(unsigned group, int (*fn)(struct host_device *device, void *arg), void *arg)
{
	bool found = false;
	int r = 0;

	pthread_rwlock_rdlock(&list);
	for (struct host_device *it = devices; it && r == 0; it = it->next) {
		if (it->group != group)
			continue;
		found = true;
		r = fn(it, arg);
	}
	pthread_rwlock_unlock(&list);
	return found ? r : -ENODEV;
}

int host_seat(struct host_device *device, struct host_domain *domain)
{
	int r;

	pthread_mutex_lock(&device->lock);
	device->domain = domain;
	r = fill(device);
	if (r)
		device->domain = NULL;
	pthread_mutex_unlock(&device->lock);
	return r;
}

void host_seat_again(struct host_device *device, struct host_domain *domain)
{
	int fd;

	pthread_mutex_lock(&device->lock);
	device->domain = domain;
	fd = bind_and_attach(device, domain);
	if (fd >= 0)
		device->seat = fd;
	else
		cused_log(CUSED_LOG_DEBUG, "host", "%s is a client's, or cannot be had again: %s",
			  device->bdf, strerror(-fd));
	pthread_mutex_unlock(&device->lock);
}

void host_vacate(struct host_device *device)
{
	struct host_detach detach = { .argsz = sizeof(detach) };

	pthread_mutex_lock(&device->lock);
	if (device->seat >= 0) {
		host_machine->ioctl(device->seat, HOST_DEVICE_DETACH, &detach);
		host_machine->close(device->seat);
	}
	device->seat = -1;
	device->domain = NULL;
	pthread_mutex_unlock(&device->lock);
}

/* The core opens devices only while their group is in a container. */
static int device_open(void *state)
{
	struct host_device *device = state;
	int r = 0;

	pthread_mutex_lock(&device->lock);
	if (device->seat < 0)
		r = device->domain ? fill(device) : -ENODEV;
	pthread_mutex_unlock(&device->lock);
	return r;
}

static int device_take_file(void *state, intptr_t *ret_file)
{
	struct host_device *device = state;
	int fd;

	pthread_mutex_lock(&device->lock);
	fd = device->seat;
	device->seat = -1;
	/* Taken: only if that was closed there can be another, and it can at once. */
	if (fd < 0)
		fd = device->domain ? bind_and_attach(device, device->domain) : -ENODEV;
	pthread_mutex_unlock(&device->lock);
	if (fd < 0)
		return fd == -EINVAL || fd == -EPERM ? -EBUSY : fd;
	*ret_file = fd;
	return 0;
}

/* ---- made and destroyed ---- */

/* What can be wrong comes up now, not when the first client comes. */
static int try_it(const struct host_device *device, struct cused_error *err)
{
	struct host_domain domain;
	int r = host_domain_open(&domain, err), fd;

	if (r)
		return r;
	fd = bind_and_attach(device, &domain);
	if (fd >= 0)
		host_machine->close(fd);
	host_domain_close(&domain);
	switch (fd) {
	case -EINVAL:
	case -EBUSY:
		return cused_error_set(err, -EBUSY, "--device host: %s is in use: %s or group %u "
				       "is open in another program (fuser -v %s), a client has "
				       "the group, or a driver of the machine does DMA in it; "
				       "end that first", device->bdf, device->node, device->group, device->node);
	case -EPERM:
		return cused_error_set(err, -EPERM, "--device host: %s may not be had: group %u "
				       "belongs to another program or to a client, or the machine "
				       "does not isolate interrupts; end that, or load iommufd "
				       "with allow_unsafe_interrupts=1", device->bdf,
				       device->group);
	default:
		return fd >= 0 ? 0 : cused_error_set(err, fd, "--device host: %s (%s) cannot be "
						     "bound: %s", device->bdf, device->node,
						     strerror(-fd));
	}
}

/* The domain that the group is in, by another device of it. Locks: `list` held. */
static struct host_domain *domain_of(unsigned group)
{
	struct host_domain *domain = NULL;

	for (struct host_device *it = devices; it && !domain; it = it->next) {
		if (it->group != group)
			continue;
		pthread_mutex_lock(&it->lock);
		domain = it->domain;
		pthread_mutex_unlock(&it->lock);
	}
	return domain;
}

/* Into the list, and where its group is: who detaches that finds it. A domain ends after the
 * group was detached, for which the list is gone through. Return: is the group in a container? */
static bool join(struct host_device *device, bool only_attached)
{
	bool attached;

	pthread_rwlock_wrlock(&list);
	device->domain = domain_of(device->group);
	attached = device->domain != NULL;
	if (attached || !only_attached) {
		device->next = devices;
		devices = device;
	}
	pthread_rwlock_unlock(&list);
	return attached;
}

static int device_create(const struct cused_services *services, struct cused_port *port,
			 const struct cused_value *values, struct cused_pci *ret_pci,
			 void **ret_state, struct cused_error *err)
{
	const struct cused_host *host = services->host(port);
	struct host_device *device = calloc(1, sizeof(*device));
	int r;

	(void)values;		/* how it is waited for is the program's business */
	if (!device)
		return cused_error_set(err, -ENOMEM, "--device host: out of memory");
	snprintf(device->bdf, sizeof(device->bdf), "%s", services->name(port));
	snprintf(device->node, sizeof(device->node), "%s", host->node);
	device->group = host->group;
	device->seat = -1;
	pthread_mutex_init(&device->lock, NULL);
	*ret_pci = (struct cused_pci){ .vendor = host->vendor, .device = host->device,
				       .class_code = host->class_code };
	/* One that comes to a group in use: a try with another iommufd would be refused. So it would
	 * be if a client has it since before a restart. */
	if (join(device, !CUSED_HAS(host, again)) || CUSED_HAS(host, again)) {
		*ret_state = device;
		return 0;
	}
	r = try_it(device, err);
	if (r) {
		pthread_mutex_destroy(&device->lock);
		free(device);
		return r;
	}
	join(device, false);
	*ret_state = device;
	return 0;
}

static void device_destroy(void *state)
{
	struct host_device *device = state;

	pthread_rwlock_wrlock(&list);
	for (struct host_device **at = &devices; *at; at = &(*at)->next) {
		if (*at == device) {
			*at = device->next;
			break;
		}
	}
	pthread_rwlock_unlock(&list);
	host_vacate(device);
	pthread_mutex_destroy(&device->lock);
	free(device);
}

/* Nothing is saved of it, and while its file is a client's there is nothing to open. */
static int device_restore(void *state, unsigned id, const void *data, size_t size)
{
	(void)state;
	(void)id;
	(void)data;
	(void)size;
	return -EBADMSG;
}

static const struct cused_param params[] = {
	{ CUSED_HOST_WAIT, CUSED_PARAM_BOOL, "off", 0, 1,
	  "Begin without the device, and take it when it is there and bound" },
};

static const struct cused_device_ops host_ops = {
	.size = sizeof(host_ops),
	.version = CUSED_API_VERSION,
	.name = "host",
	.summary = "a PCI device of this machine, bound to vfio-pci",
	.description =
		"For serve alone: gives a real device to programs that speak the old interface, "
		"on kernels that offer device nodes and iommufd only. bdf is the device's "
		"address, and its group is the machine's; what else of the group clients shall "
		"have is added by --device host as well.\n\n"
		"It needs a kernel with iommufd and VFIO device nodes, an IOMMU, and the device "
		"bound to vfio-pci. The client gets the kernel's own file: regions, interrupts, "
		"mmap and reset are the kernel's, at its speed.\n\n"
		"The service follows the machine: a device that is unbound or unplugged leaves, "
		"and comes back when it is bound again.",
	.params = params,
	.n_params = sizeof(params) / sizeof(params[0]),
	.create = device_create,
	.destroy = device_destroy,
	.open = device_open,
	.flags = CUSED_DEVICE_HOST,
	.iommu = &host_iommu_ops,
	.take_file = device_take_file,
	.restore = device_restore,
};
CUSED_DEVICE(host_ops);
