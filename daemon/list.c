/* SPDX-License-Identifier: GPL-2.0-or-later */
/* list.c - `vfio-cused list`: simulated devices, what can be had, the machine's own. */
#include <dirent.h>
#include <fcntl.h>
#include <pci/pci.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <util/cleanup.h>

#include "cli.h"
#include "registry.h"

#define HOST_DEVICES "/sys/bus/pci/devices"

static void list_simulated(const struct conf *conf)
{
	fputs("Simulated devices of these options:\n", stdout);
	for (size_t i = 0; i < conf->n_devices; i++) {
		const struct conf_device *device = &conf->devices[i];

		printf("  %s  /dev/vfio/%s%u  %s: %s\n", device->bdf,
		       device->noiommu ? "noiommu-" : "", device->group, device->id,
		       device->ops->summary);
	}
}

static void list_backends(void)
{
	const struct cused_device_ops *device;
	const struct cused_iommu_ops *iommu;

	fputs("\nModels for --device:\n", stdout);
	for (size_t i = 0; (device = registry_device(i)); i++)
		printf("  %-8s %s\n", device->name, device->summary);
	fputs("\nBackends for --iommu:\n", stdout);
	for (size_t i = 0; (iommu = registry_iommu(i)); i++)
		printf("  %-8s %s\n", iommu->name, iommu->summary);
}

/* ---- the machine's own ---- */

static unsigned read_number(int device, const char *name)
{
	cleanup_close int fd = openat(device, name, O_RDONLY | O_CLOEXEC);
	char text[32] = "";
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	return n > 0 ? (unsigned)strtoul(text, NULL, 0) : 0;
}

/* The last component of a link, or "-". */
static void read_link_name(int device, const char *name, char *buf, size_t size)
{
	char target[256];
	ssize_t n = readlinkat(device, name, target, sizeof(target) - 1);
	const char *slash;

	target[n > 0 ? n : 0] = '\0';
	slash = strrchr(target, '/');
	snprintf(buf, size, "%s", slash ? slash + 1 : "-");
}

static void list_host_device(struct pci_access *names, int dir, const char *bdf)
{
	cleanup_close int fd = openat(dir, bdf, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char class_name[128], device_name[256], group[64], driver[64];

	if (fd < 0)
		return;
	read_link_name(fd, "iommu_group", group, sizeof(group));
	read_link_name(fd, "driver", driver, sizeof(driver));
	printf("  %s  group %-4s driver %-12s %s: %s\n", bdf, group, driver,
	       pci_lookup_name(names, class_name, sizeof(class_name),
			       PCI_LOOKUP_CLASS | PCI_LOOKUP_NO_HWDB,
			       (int)(read_number(fd, "class") >> 8)),
	       pci_lookup_name(names, device_name, sizeof(device_name),
			       PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE | PCI_LOOKUP_NO_HWDB,
			       (int)read_number(fd, "vendor"), (int)read_number(fd, "device")));
}

static int is_device(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* libpci calls these without looking whether they are there, unless pci_init() set them;
 * that would look for a way to reach devices, and end the program where there is none. */
__attribute__((noreturn, format(printf, 1, 2)))
static void pci_fatal(char *fmt, ...)
{
	va_list ap;

	fputs("vfio-cused: names of PCI devices: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(CLI_FAILURE);
}

__attribute__((format(printf, 1, 2)))
static void pci_quiet(char *fmt, ...)
{
	(void)fmt;
}

static void list_host(void)
{
	struct pci_access *names = pci_alloc();
	struct dirent **entries = NULL;
	int dir, n;

	names->error = pci_fatal;
	names->warning = pci_quiet;
	names->debug = pci_quiet;
	fputs("\nThis machine's own PCI devices:\n", stdout);
	n = scandir(HOST_DEVICES, &entries, is_device, alphasort);
	dir = open(HOST_DEVICES, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < n; i++) {
		if (dir >= 0)
			list_host_device(names, dir, entries[i]->d_name);
		free(entries[i]);
	}
	if (n <= 0)
		fputs("  none\n", stdout);
	free(entries);
	if (dir >= 0)
		close(dir);
	pci_cleanup(names);
}

int list_command(const struct conf *conf, char **args)
{
	(void)args;
	list_simulated(conf);
	list_backends();
	list_host();
	return 0;
}
