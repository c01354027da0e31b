/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host.c - see host.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <util/cleanup.h>
#include <vfio-cused/cused.h>

#include "host.h"

#define VFIO_PCI "vfio-pci"
#define NODE_PREFIX "vfio"
#define NOIOMMU_GROUP "vfio-noiommu"	/* SD-008 */

static const char *const harmless[] = { "pcieport", "pci-stub" };

static void cleanup_dir_fn(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

#define cleanup_dir __attribute__((cleanup(cleanup_dir_fn)))

/* ---- files of sysfs ---- */

/* Return: length of what was read, without the newline at its end; 0 if there is nothing. */
static size_t read_text(int dir, const char *name, char *buf, size_t size)
{
	cleanup_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, buf, size - 1) : -1;

	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return strlen(buf);
}

static uint32_t read_number(int dir, const char *name)
{
	char text[32];

	return read_text(dir, name, text, sizeof(text)) ? (uint32_t)strtoul(text, NULL, 0) : 0;
}

/* The last component of a link; "" if there is none, or it is too long for @buf. */
static void read_link_name(int dir, const char *name, char *buf, size_t size)
{
	char target[1024];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);
	const char *slash;

	target[n > 0 ? n : 0] = '\0';
	slash = strrchr(target, '/');
	if ((size_t)snprintf(buf, size, "%s", slash ? slash + 1 : target) >= size)
		buf[0] = '\0';
}

static long read_group_number(int dir)
{
	char text[32], *end;
	long number;

	read_link_name(dir, "iommu_group", text, sizeof(text));
	number = strtol(text, &end, 10);
	return *text && !*end && number >= 0 ? number : HOST_NO_GROUP;
}

/* Return: 0 with @ret_dir, NULL if there is no such directory; or -errno, with @err. */
static int open_dir(const char *path, DIR **ret_dir, struct cused_error *err)
{
	DIR *dir = opendir(path);

	if (!dir && errno != ENOENT && errno != ENOTDIR)
		return cused_error_set(err, -errno, "cannot read %s: %s", path,
				       strerror(errno));
	*ret_dir = dir;
	return 0;
}

/* Return: the next name that does not begin with a dot, or NULL. */
static const char *next_name(DIR *dir)
{
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			return entry->d_name;
	return NULL;
}

/* ---- devices ---- */

/* The directory that VFIO makes in a device that it has, and in it the node's name. */
static bool read_node(int device, struct host_device *ret)
{
	int fd = openat(device, "vfio-dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	unsigned major, minor;
	const char *name;
	char path[64], text[32];

	if (fd >= 0 && !dir)
		close(fd);
	while ((name = next_name(dir))) {
		if (strncmp(name, NODE_PREFIX, strlen(NODE_PREFIX)) != 0 ||
		    strlen(name) >= sizeof(ret->node))
			continue;
		/* Without a number there is no node: SD-023. */
		snprintf(path, sizeof(path), "vfio-dev/%s/dev", name);
		if (read_text(device, path, text, sizeof(text)) &&
		    sscanf(text, "%u:%u", &major, &minor) == 2) {
			strcpy(ret->node, name);
			ret->number = makedev(major, minor);
		}
		return true;
	}
	return false;
}

static enum host_use use_of(const struct host_device *device, bool vfio)
{
	if (!device->driver[0])
		return HOST_USE_NONE;
	/* Before Linux 6.1 a device of VFIO has no directory. */
	if (vfio || strcmp(device->driver, VFIO_PCI) == 0)
		return HOST_USE_VFIO;
	for (size_t i = 0; device->pci && i < sizeof(harmless) / sizeof(harmless[0]); i++)
		if (strcmp(device->driver, harmless[i]) == 0)
			return HOST_USE_HARMLESS;
	return HOST_USE_TAKEN;
}

/* Return: false if the device has gone. */
static bool read_device(int dir, const char *name, struct host_device *ret)
{
	cleanup_close int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char bus[16];
	bool vfio;

	if (fd < 0 || strlen(name) >= sizeof(ret->name))
		return false;
	*ret = (struct host_device){ 0 };
	strcpy(ret->name, name);
	read_link_name(fd, "subsystem", bus, sizeof(bus));
	ret->pci = strcmp(bus, "pci") == 0;
	ret->group = read_group_number(fd);
	read_link_name(fd, "driver", ret->driver, sizeof(ret->driver));
	vfio = read_node(fd, ret);
	ret->use = use_of(ret, vfio);
	ret->class_code = read_number(fd, "class");
	ret->vendor = read_number(fd, "vendor");
	ret->id = read_number(fd, "device");
	return true;
}

static const struct host_device *find(const struct host *host, const char *name)
{
	for (size_t i = 0; i < host->n_devices; i++)
		if (strcmp(host->devices[i].name, name) == 0)
			return &host->devices[i];
	return NULL;
}

/* Add those devices of a directory that are not there yet. */
static int add_devices(struct host *host, const char *path, struct cused_error *err)
{
	struct host_device device, *more;
	cleanup_dir DIR *dir = NULL;
	const char *name;
	int r = open_dir(path, &dir, err);

	while (r == 0 && (name = next_name(dir))) {
		if (find(host, name) || !read_device(dirfd(dir), name, &device))
			continue;
		more = reallocarray(host->devices, host->n_devices + 1, sizeof(*more));
		if (!more)
			return cused_error_set(err, -ENOMEM, "no memory for devices of %s",
					       path);
		host->devices = more;
		more[host->n_devices++] = device;
	}
	return r;
}

static int read_devices(struct host *host, const char *sysfs, struct cused_error *err)
{
	cleanup_dir DIR *groups = NULL;
	const char *name;
	char path[1024];
	int r;

	snprintf(path, sizeof(path), "%s/bus/pci/devices", sysfs);
	r = add_devices(host, path, err);
	if (r < 0)
		return r;
	/* Members of groups that are on other buses. */
	snprintf(path, sizeof(path), "%s/kernel/iommu_groups", sysfs);
	r = open_dir(path, &groups, err);
	while (r == 0 && (name = next_name(groups))) {
		snprintf(path, sizeof(path), "%s/kernel/iommu_groups/%s/devices", sysfs, name);
		r = add_devices(host, path, err);
	}
	return r;
}

/* ---- groups ---- */

/* HOST_NO_GROUP is the highest number then. */
static int compare_devices(const void *a_, const void *b_)
{
	const struct host_device *a = a_, *b = b_;
	unsigned long left = (unsigned long)a->group, right = (unsigned long)b->group;

	return left != right ? (left > right) - (left < right) : strcmp(a->name, b->name);
}

const struct host_device *host_taken(const struct host_group *group)
{
	for (size_t i = 0; i < group->n_devices; i++)
		if (group->devices[i].use == HOST_USE_TAKEN)
			return &group->devices[i];
	return NULL;
}

static enum host_state state_of(const struct host_group *group)
{
	bool bound = false, node = false;

	for (size_t i = 0; i < group->n_devices; i++) {
		bound |= group->devices[i].use == HOST_USE_VFIO;
		node |= group->devices[i].node[0] != '\0';
	}
	if (!bound)
		return HOST_UNBOUND;
	if (group->noiommu || group->number == HOST_NO_GROUP)
		return HOST_NOIOMMU;
	if (host_taken(group))
		return HOST_NOT_VIABLE;
	return node ? HOST_READY : HOST_NO_NODES;
}

static bool made_by_vfio(const char *sysfs, long number)
{
	char path[512], name[32];

	snprintf(path, sizeof(path), "%s/kernel/iommu_groups/%ld/name", sysfs, number);
	return read_text(AT_FDCWD, path, name, sizeof(name)) &&
	       strcmp(name, NOIOMMU_GROUP) == 0;
}

static int make_groups(struct host *host, const char *sysfs, struct cused_error *err)
{
	struct host_group *group = NULL;

	if (host->n_devices == 0)
		return 0;
	qsort(host->devices, host->n_devices, sizeof(*host->devices), compare_devices);
	host->groups = calloc(host->n_devices, sizeof(*host->groups));
	if (!host->groups)
		return cused_error_set(err, -ENOMEM, "no memory for IOMMU groups");
	for (size_t i = 0; i < host->n_devices; i++) {
		const struct host_device *device = &host->devices[i];

		if (!group || group->number != device->group) {
			group = &host->groups[host->n_groups++];
			group->number = device->group;
			group->devices = device;
		}
		group->n_devices++;
	}
	for (size_t i = 0; i < host->n_groups; i++) {
		group = &host->groups[i];
		group->noiommu = group->number != HOST_NO_GROUP &&
				 made_by_vfio(sysfs, group->number);
		group->state = state_of(group);
	}
	return 0;
}

int host_read(const char *sysfs, struct host *ret, struct cused_error *err)
{
	struct host host = { 0 };
	int r = read_devices(&host, sysfs, err);

	if (r == 0)
		r = make_groups(&host, sysfs, err);
	if (r < 0) {
		host_free(&host);
		return r;
	}
	*ret = host;
	return 0;
}

void host_free(struct host *host)
{
	free(host->devices);
	free(host->groups);
	*host = (struct host){ 0 };
}

const struct host_group *host_find_group(const struct host *host, long number)
{
	for (size_t i = 0; i < host->n_groups; i++)
		if (host->groups[i].number == number)
			return &host->groups[i];
	return NULL;
}

const struct host_device *host_find_device(const struct host *host, const char *name)
{
	const struct host_device *device = find(host, name);

	return device && device->pci ? device : NULL;
}

/* ---- for users ---- */

const char *host_state_text(const struct host_group *group, char *buf, size_t size)
{
	const struct host_device *taken = host_taken(group);

	switch (group->state) {
	case HOST_UNBOUND:
		snprintf(buf, size, "no device is bound to a VFIO driver");
		break;
	case HOST_NOIOMMU:
		snprintf(buf, size, "bound, but no IOMMU is behind it");
		break;
	case HOST_NOT_VIABLE:
		snprintf(buf, size, "not viable: %s has the driver %s",
			 taken ? taken->name : "a device", taken ? taken->driver : "?");
		break;
	case HOST_NO_NODES:
		snprintf(buf, size, "bound, but the kernel makes no device nodes");
		break;
	case HOST_READY:
		snprintf(buf, size, "ready");
		break;
	}
	return buf;
}

const char *host_unbind_command(const struct host_device *device, char *buf, size_t size)
{
	if (device->pci)
		snprintf(buf, size, "echo %s >/sys/bus/pci/devices/%s/driver/unbind\n",
			 device->name, device->name);
	else
		snprintf(buf, size,
			 "echo %s >/sys/kernel/iommu_groups/%ld/devices/%s/driver/unbind\n",
			 device->name, device->group, device->name);
	return buf;
}

const char *host_bind_command(const struct host_device *device, char *buf, size_t size)
{
	char unbind[HOST_COMMAND_MAX] = "";

	if (device->driver[0])
		host_unbind_command(device, unbind, sizeof(unbind));
	snprintf(buf, size,
		 "modprobe " VFIO_PCI "\n"
		 "echo " VFIO_PCI " >/sys/bus/pci/devices/%s/driver_override\n"
		 "%s"
		 "echo %s >/sys/bus/pci/drivers_probe\n",
		 device->name, unbind, device->name);
	return buf;
}
