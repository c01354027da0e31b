/* SPDX-License-Identifier: GPL-2.0-or-later */
/* list.c - `vfio-cused list`: simulated devices, what can be had, the machine's own. */
#include <pci/pci.h>
#include <stdarg.h>
#include <stdlib.h>

#include "cli.h"
#include "host.h"
#include "registry.h"

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

static void list_host_device(struct pci_access *names, const struct host_device *device)
{
	char class_name[128], device_name[256];

	printf("    %s  driver %-12s ", device->name, device->driver[0] ? device->driver : "-");
	if (device->node[0])
		printf("/dev/vfio/devices/%s  ", device->node);
	if (!device->pci) {
		puts("not a PCI device");
		return;
	}
	printf("%s: %s\n",
	       pci_lookup_name(names, class_name, sizeof(class_name),
			       PCI_LOOKUP_CLASS | PCI_LOOKUP_NO_HWDB,
			       (int)(device->class_code >> 8)),
	       pci_lookup_name(names, device_name, sizeof(device_name),
			       PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE | PCI_LOOKUP_NO_HWDB,
			       (int)device->vendor, (int)device->id));
}

static void list_host_group(struct pci_access *names, const struct host_group *group)
{
	char text[192];

	if (group->number == HOST_NO_GROUP)
		puts("  in no group");
	else if (group->state == HOST_UNBOUND)
		printf("  group %ld\n", group->number);
	else
		printf("  group %ld  /dev/vfio/%s%ld  %s\n", group->number,
		       group->noiommu ? "noiommu-" : "", group->number,
		       host_state_text(group, text, sizeof(text)));
	for (size_t i = 0; i < group->n_devices; i++)
		list_host_device(names, &group->devices[i]);
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

static int list_host(void)
{
	struct cused_error err;
	struct pci_access *names;
	struct host host;

	if (host_read("/sys", &host, &err) < 0)
		return cli_complain("list: %s", err.text);
	names = pci_alloc();
	names->error = pci_fatal;
	names->warning = pci_quiet;
	names->debug = pci_quiet;
	fputs("\nThis machine's own PCI devices, by IOMMU group:\n", stdout);
	for (size_t i = 0; i < host.n_groups; i++)
		list_host_group(names, &host.groups[i]);
	if (host.n_groups == 0)
		fputs("  none\n", stdout);
	pci_cleanup(names);
	host_free(&host);
	return 0;
}

int list_command(const struct conf *conf, char **args)
{
	(void)args;
	list_simulated(conf);
	list_backends();
	return list_host();
}
