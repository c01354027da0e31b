/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check_iommufd.c - what it takes to hand devices of this machine to clients through the
 * kernel's iommufd: iommufd itself, an IOMMU, device nodes, and a device whose group can be
 * given away.
 *
 * Nothing is bound or attached to find out, because that resets a device.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <util/cleanup.h>
#include <vfio-cused/cused.h>

#include "checks.h"
#include "host.h"

/* linux/iommufd.h, which is younger than the headers of some distributions. */
#define IOMMUFD_IOAS_ALLOC	_IO(';', 0x81)
#define IOMMUFD_IOAS_MAP_FILE	_IO(';', 0x8f)

struct ioas_alloc {
	uint32_t size, flags, out_id;
};

#define BRIDGE_CLASS 0x0604	/* of PCI to PCI, in the upper bits of the class code */

struct subject {
	const struct check_roots *roots;
	struct host host;
	const char *name;			/* the device asked for, or NULL: any */
	const struct host_device *device;	/* that, if it is there */
};

/* ---- the kernel ---- */

static void find_iommufd(const struct subject *s, struct finding *f)
{
	struct ioas_alloc alloc = { .size = sizeof(alloc) };
	cleanup_close int fd = -1;
	uint32_t no_size = 0;
	char path[256];

	snprintf(path, sizeof(path), "%s/iommu", s->roots->dev);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		int e = errno;

		check_found(f, "%s: %s", path, strerror(e));
		if (e == EACCES || e == EPERM)
			check_cure(f, "start it as root, or give %s to its user or group", path);
		else
			check_cure(f, "modprobe iommufd (as root; CONFIG_IOMMUFD in the kernel's "
				   "configuration, since Linux 6.2)");
		return;
	}
	if (ioctl(fd, IOMMUFD_IOAS_ALLOC, &alloc) < 0) {
		check_found(f, "%s makes no address space: %s", path, strerror(errno));
		check_cure(f, "the file should be the kernel's: remove it, and modprobe iommufd "
			   "(as root)");
		return;
	}
	f->ok = true;
	/* A command that is known looks at its size first (CD-060, CD-061). */
	f->limited = ioctl(fd, IOMMUFD_IOAS_MAP_FILE, &no_size) < 0 && errno != EINVAL;
	check_found(f, f->limited ? "%s can be opened, but maps no files" :
		    "%s can be opened, and maps files", path);
	if (f->limited)
		check_cure(f, "for mappings of shared memory that leave the client alone, boot "
			   "Linux 6.13 or later");
}

static void find_iommu(const struct subject *s, struct finding *f)
{
	char path[256], first[64] = "";
	const struct dirent *entry;
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/class/iommu", s->roots->sysfs);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && n++ == 0)
			snprintf(first, sizeof(first), "%.63s", entry->d_name);
	if (dir)
		closedir(dir);
	f->ok = n > 0;
	if (n) {
		check_found(f, n > 1 ? "%s and %u more" : "%s", first, n - 1);
		return;
	}
	check_found(f, "%s has none", path);
	check_cure(f, "enable it in the firmware (VT-d, AMD-Vi, SMMU), and with Intel boot with "
		   "intel_iommu=on");
}

/* The number under which a kind of character device is registered; false: it is not. */
static bool registered(const char *proc, const char *kind)
{
	char path[256], line[128], name[64];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "%s/devices", proc);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "%*u %63s", name) == 1 && strcmp(name, kind) == 0;
	if (file)
		fclose(file);
	return found;
}

static void find_nodes(const struct subject *s, struct finding *f)
{
	f->ok = registered(s->roots->proc, "vfio-dev");
	if (f->ok) {
		check_found(f, "the kernel's vfio makes them");
	} else if (registered(s->roots->proc, "vfio")) {
		check_found(f, "the kernel's vfio makes none");
		check_cure(f, "boot a kernel with CONFIG_VFIO_DEVICE_CDEV, since Linux 6.6");
	} else {
		check_found(f, "the kernel's vfio is not loaded");
		check_cure(f, "modprobe vfio-pci (as root)");
	}
}

/* ---- a device ---- */

static void find_this_device(const struct subject *s, struct finding *f)
{
	const struct host_device *device = s->device;

	if (!device) {
		check_found(f, "%s is not there", s->name);
		check_cure(f, "vfio-cused list writes the addresses of this machine");
		return;
	}
	f->ok = device->use == HOST_USE_VFIO;
	if (f->ok) {
		check_found(f, "%s is bound to %s", device->name, device->driver);
	} else if (device->class_code >> 8 == BRIDGE_CLASS) {
		check_found(f, "%s is a bridge, which VFIO does not take", device->name);
		check_cure(f, "choose a device behind it: vfio-cused list");
	} else {
		if (device->driver[0])
			check_found(f, "%s has the driver %s", device->name, device->driver);
		else
			check_found(f, "%s has no driver", device->name);
		check_cure(f, "give it to vfio-pci, if the machine can do without it (as root):");
		host_bind_command(device, f->commands, sizeof(f->commands));
	}
}

static void find_any_device(const struct subject *s, struct finding *f)
{
	const struct host_device any = { .name = "BDF", .pci = true, .driver = "its own" };
	const struct host_device *first = NULL;
	unsigned n = 0;

	for (size_t i = 0; i < s->host.n_devices; i++) {
		if (s->host.devices[i].use == HOST_USE_VFIO && n++ == 0)
			first = &s->host.devices[i];
	}
	f->ok = n > 0;
	if (n) {
		check_found(f, n > 1 ? "%s is bound to %s, and %u more" : "%s is bound to %s",
			    first->name, first->driver, n - 1);
		return;
	}
	check_found(f, "none is bound to a VFIO driver");
	check_cure(f, "choose one from vfio-cused list that the machine can do without; for its "
		   "address BDF (as root):");
	host_bind_command(&any, f->commands, sizeof(f->commands));
}

static void find_device(const struct subject *s, struct finding *f)
{
	if (s->name)
		find_this_device(s, f);
	else
		find_any_device(s, f);
}

/* ---- its group ---- */

/* Is that group one which is asked about? */
static bool concerned(const struct subject *s, const struct host_group *group)
{
	return s->device ? group->number == s->device->group : group->state != HOST_UNBOUND;
}

static void cure_group(const struct host_group *group, struct finding *f)
{
	char command[HOST_COMMAND_MAX];
	size_t at = 0;

	switch (group->state) {
	case HOST_NOT_VIABLE:
		check_cure(f, "all devices of a group are given away together: take the others "
			   "from their drivers, if the machine can do without them (as root):");
		/* As many as there is room for: check is run again afterwards. */
		for (size_t i = 0; i < group->n_devices; i++) {
			if (group->devices[i].use != HOST_USE_TAKEN)
				continue;
			host_unbind_command(&group->devices[i], command, sizeof(command));
			if (at + strlen(command) >= sizeof(f->commands))
				break;
			strcpy(f->commands + at, command);
			at += strlen(command);
		}
		break;
	case HOST_NOIOMMU:
		check_cure(f, "iommufd does not take it: boot with an IOMMU");
		break;
	case HOST_NO_NODES:
		check_cure(f, "boot a kernel with CONFIG_VFIO_DEVICE_CDEV, since Linux 6.6");
		break;
	case HOST_UNBOUND:
	case HOST_READY:
		break;
	}
}

static void find_group(const struct subject *s, struct finding *f)
{
	const struct host_group *ready = NULL, *bad = NULL;
	char text[192];

	for (size_t i = 0; i < s->host.n_groups; i++) {
		const struct host_group *group = &s->host.groups[i];

		if (!concerned(s, group))
			continue;
		if (group->state == HOST_READY)
			ready = ready ? ready : group;
		else
			bad = bad ? bad : group;
	}
	f->ok = ready;
	f->limited = ready && bad;
	if (!bad) {
		check_found(f, "%ld is viable", ready ? ready->number : HOST_NO_GROUP);
		return;
	}
	host_state_text(bad, text, sizeof(text));
	if (ready)
		check_found(f, "%ld is viable, but %ld: %s", ready->number, bad->number, text);
	else if (bad->number == HOST_NO_GROUP)
		check_found(f, "%s", text);
	else
		check_found(f, "%ld: %s", bad->number, text);
	cure_group(bad, f);
}

/* ---- its node ---- */

/* Return: whether the node can be used, else with what is wrong in @f. */
static bool try_node(const struct subject *s, const struct host_device *device,
		     struct finding *f)
{
	cleanup_close int fd = -1;
	struct stat st;
	char path[256];

	snprintf(path, sizeof(path), "%s/vfio/devices/%s", s->roots->dev, device->node);
	if (stat(path, &st) < 0) {
		check_found(f, "%s: %s", path, strerror(errno));
		check_cure(f, "mount devtmpfs at %s, or make the node (as root):", s->roots->dev);
		snprintf(f->commands, sizeof(f->commands),
			 "mkdir -p %s/vfio/devices\nmknod %s c %u %u\n", s->roots->dev, path,
			 major(device->number), minor(device->number));
		return false;
	}
	if (!S_ISCHR(st.st_mode) || st.st_rdev != device->number) {
		check_found(f, "%s is not the device %u:%u", path, major(device->number),
			    minor(device->number));
		check_cure(f, "it is left over from something else: make it anew (as root):");
		snprintf(f->commands, sizeof(f->commands), "rm %s\nmknod %s c %u %u\n", path, path,
			 major(device->number), minor(device->number));
		return false;
	}
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		check_found(f, "%s: %s", path, strerror(errno));
		check_cure(f, "start it as root, or give the node to its user (as root): chown "
			   "USER %s; in a container, give it the device", path);
		return false;
	}
	check_found(f, "%s can be opened", path);
	return true;
}

static void find_node(const struct subject *s, struct finding *f)
{
	struct finding good = { 0 }, bad = { 0 };
	unsigned n_good = 0, n_bad = 0;

	for (size_t i = 0; i < s->host.n_devices; i++) {
		const struct host_device *device = &s->host.devices[i];
		struct finding one = { 0 };

		if (!device->node[0] || (s->device && device != s->device))
			continue;
		if (try_node(s, device, &one)) {
			if (n_good++ == 0)
				good = one;
		} else if (n_bad++ == 0) {
			bad = one;
		}
	}
	if (n_good + n_bad == 0) {
		check_found(f, "there is none");
		check_cure(f, "see above");
		return;
	}
	*f = n_bad ? bad : good;
	f->ok = n_good > 0;
	f->limited = n_good > 0 && n_bad > 0;
}

/* ---- all of it ---- */

static const struct {
	const char *name;
	void (*find)(const struct subject *s, struct finding *f);
	bool of_device;			/* cannot be looked at without one */
} needs[] = {
	{ "iommufd", find_iommufd, false },
	{ "IOMMU", find_iommu, false },
	{ "device nodes", find_nodes, false },
	{ "device", find_device, false },
	{ "group", find_group, true },
	{ "node of the device", find_node, true },
};

int check_iommufd(const struct check_roots *roots, const char *name, check_report_fn report,
		  void *arg, unsigned *ret_missing, struct cused_error *err)
{
	struct subject s = { .roots = roots, .name = name };
	bool device = false;
	char full[64];
	int r;

	r = host_read(roots->sysfs, &s.host, err);
	if (r < 0)
		return r;
	if (name)
		s.device = host_find_device(&s.host, name);
	if (name && !s.device) {
		snprintf(full, sizeof(full), "0000:%s", name);
		s.device = host_find_device(&s.host, full);
	}
	*ret_missing = 0;
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		struct finding f = { 0 };

		if (needs[i].of_device && !device) {
			report(arg, needs[i].name, NULL);
			continue;
		}
		needs[i].find(&s, &f);
		report(arg, needs[i].name, &f);
		*ret_missing += !f.ok;
		if (needs[i].find == find_device)
			device = f.ok;
	}
	host_free(&s.host);
	return 0;
}
