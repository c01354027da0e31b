/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of what is found under /sys and /dev. Nothing here takes a device from its driver.
 */
#include "conf.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *device_path(const char *name)
{
	return conf_text("/sys/bus/pci/devices/%s/%s", conf_where.bdf[0], name);
}

static const char *group_path(const char *name)
{
	return conf_text("/sys/kernel/iommu_groups/%d/%s", conf_where.group[0], name);
}

/* The group's number as a part of a path becomes N, the device's address BDF, and line ends
 * become "; ". */
static const char *plain(const char *s)
{
	const char *number = conf_text("%d", conf_where.group[0]);
	char text[512] = "";
	size_t n = 0;

	while (*s && n < sizeof(text) - 8) {
		if (!strncmp(s, conf_where.bdf[0], strlen(conf_where.bdf[0]))) {
			n += (size_t)sprintf(text + n, "BDF");
			s += strlen(conf_where.bdf[0]);
		} else if (!strncmp(s, number, strlen(number)) &&
			   n && text[n - 1] == '/' && !s[strlen(number)]) {
			text[n++] = 'N';
			s += strlen(number);
		} else if (*s == '\n') {
			n += (size_t)sprintf(text + n, "; ");
			s++;
		} else {
			text[n++] = *s++;
		}
	}
	text[n] = 0;
	return conf_text("%s", text);
}

static void read_file(const char *rows, const char *name, const char *path)
{
	char text[1024] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	int64_t r = n < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	conf_step(rows, r, plain(text), "read %s", name);
}

/* @tail: the last parts of what it points to are looked at. */
static void read_link(const char *rows, const char *name, const char *path, unsigned tail)
{
	char text[PATH_MAX] = "";
	ssize_t n = readlink(path, text, sizeof(text) - 1);
	int64_t r = n < 0 ? -errno : 0;
	char *from = text + strlen(text);

	while (n > 0 && from > text && (from[-1] != '/' || --tail))
		from--;
	conf_step(rows, r, plain(from), "link %s", name);
}

static void look(const char *rows, const char *name, const char *path)
{
	struct stat st = { 0 };
	int64_t r = lstat(path, &st) ? -errno : 0;

	conf_step(rows, r,
		  conf_text("type %o mode %o", (st.st_mode & S_IFMT) >> 12,
			    S_ISLNK(st.st_mode) ? 0 : st.st_mode & 07777),
		  "stat of %s", name);
}

static void discovery_groups(void)
{
	static const char *const attributes[] = { "version", "address", "cap", "ecap",
		"domains_supported", "domains_used" };

	look("SD-001", "iommu_groups", "/sys/kernel/iommu_groups");
	look("SD-002", "the group", group_path("."));
	look("SD-003", "its devices", group_path("devices"));
	read_link("SD-003", "devices/BDF",
		  group_path(conf_text("devices/%s", conf_where.bdf[0])), 1);
	look("SD-004", "reserved_regions", group_path("reserved_regions"));
	read_file("SD-004 SD-005 SD-006", "reserved_regions",
		  group_path("reserved_regions"));
	look("SD-007", "type", group_path("type"));
	read_file("SD-007", "type", group_path("type"));
	read_file("SD-008", "name", group_path("name"));
	read_link("SD-009 SD-074", "iommu_group", device_path("iommu_group"), 2);
	read_link("SD-027", "iommu", device_path("iommu"), 1);
	look("SD-027 SD-031", "/sys/class/iommu", "/sys/class/iommu");
	for (size_t i = 0; i < sizeof(attributes) / sizeof(*attributes); i++)
		look("SD-028 SD-029", attributes[i],
		     device_path(conf_text("iommu/intel-iommu/%s", attributes[i])));
	read_file("SD-029", "version", device_path("iommu/intel-iommu/version"));
	read_file("SD-058", "drivers_autoprobe", "/sys/bus/pci/drivers_autoprobe");
}

static void discovery_device(void)
{
	static const char *const files[] = { "vendor",
					     "device",
					     "class",
					     "revision",
					     "subsystem_vendor",
					     "subsystem_device",
					     "config",
					     "resource",
					     "irq",
					     "enable",
					     "modalias",
					     "uevent",
					     "numa_node",
					     "reset",
					     "remove",
					     "rescan",
					     "resource0",
					     "rom",
					     "msi_bus",
					     "dma_mask_bits",
					     "consistent_dma_mask_bits",
					     "broken_parity_status",
					     "driver_override",
					     "local_cpulist",
					     "power",
					     "d3cold_allowed",
					     "ari_enabled",
					     "vfio-dev",
					     "nothing" };

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		look("SD-074", files[i], device_path(files[i]));
	read_file("SD-074", "vendor", device_path("vendor"));
	read_file("SD-074", "class", device_path("class"));
	read_file("SD-043 SD-046", "driver_override", device_path("driver_override"));
	read_link("SD-074", "driver", device_path("driver"), 2);
	read_link("SD-074", "subsystem", device_path("subsystem"), 2);
	read_file("SD-074", "enable", device_path("enable"));
}

static void discovery_nodes(void)
{
	static const char *const names[] = { "vfio", "devices", "noiommu-0" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		look("SD-016 SD-018 SD-019", names[i],
		     conf_text("%s/%s", conf_where.dir, names[i]));
	look("SD-017", "the group's node",
	     conf_text("%s/%d", conf_where.dir, conf_where.group[0]));
	look("SD-022", "its class entry",
	     conf_text("/sys/class/vfio/%d", conf_where.group[0]));
	look("SD-024", "misc/vfio", "/sys/class/misc/vfio");
	read_file("SD-024", "misc/vfio/dev", "/sys/class/misc/vfio/dev");
}

static void discovery_modules(void)
{
	static const char *const paths[] = {
		"vfio",
		"vfio_pci",
		"vfio_iommu_type1",
		"vfio_iommu_spapr_tce",
		"vfio_iommu_type1/parameters/dma_entry_limit",
		"vfio_iommu_type1/parameters/allow_unsafe_interrupts",
		"vfio_iommu_type1/parameters/disable_hugepages",
		"vfio/parameters/enable_unsafe_noiommu_mode",
		"vfio_pci/parameters/nointxmask",
		"vfio_pci/parameters/disable_idle_d3",
		"vfio_pci/parameters/disable_vga",
		"vfio_pci/parameters/disable_denylist",
		"vfio_pci/parameters/enable_sriov",
		"vfio_pci/parameters/ids"
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		const char *path = conf_text("/sys/module/%s", paths[i]);

		look("SD-032 SD-033 SD-034 SD-035 SD-036 SD-038 SD-039 SD-077 SD-078",
		     paths[i], path);
		if (strchr(paths[i], '/'))
			read_file("SD-033 SD-034 SD-035 SD-036 SD-038", paths[i], path);
	}
}

/* Text that no driver takes (SD-047 SD-051 SD-052 SD-055). */
static void discovery_refusals(void)
{
	static const struct { const char *rows, *file, *text; } writes[] = {
		{ "SD-047", "drivers/vfio-pci/new_id", "" },
		{ "SD-047", "drivers/vfio-pci/new_id", "1234" },
		{ "SD-047", "drivers/vfio-pci/new_id", "text text" },
		{ "SD-051", "drivers/vfio-pci/remove_id", "1234" },
		{ "SD-051", "drivers/vfio-pci/remove_id", "fffe fffe" },
		{ "SD-052", "drivers/vfio-pci/bind", "ffff:ff:1f.7" },
		{ "SD-052", "drivers/vfio-pci/bind", "" },
		{ "SD-055", "drivers/vfio-pci/unbind", "ffff:ff:1f.7" },
		{ "SD-055", "drivers/vfio-pci/unbind", "text" },
	};

	for (size_t i = 0; i < sizeof(writes) / sizeof(*writes); i++) {
		int fd = open(conf_text("/sys/bus/pci/%s", writes[i].file),
			      O_WRONLY | O_CLOEXEC);
		int64_t r = fd < 0 ? -errno : 0;

		if (fd >= 0) {
			r = write(fd, writes[i].text, strlen(writes[i].text));
			r = r < 0 ? -errno : r;
			close(fd);
		}
		STEP(writes[i].rows, r, "\"%s\" to %s", writes[i].text, writes[i].file);
	}
}

/* SD-026 and the names under /proc/self/fd. */
static void discovery_links(void)
{
	struct conf_files f = conf_open(VFIO_TYPE1v2_IOMMU);

	read_link("SD-026", "the container's fd",
		  conf_text("/proc/self/fd/%d", f.container), 3);
	read_link("SD-026", "the group's fd", conf_text("/proc/self/fd/%d", f.group), 3);
	read_link("SD-026 CG-102", "the device's fd",
		  conf_text("/proc/self/fd/%d", f.device), 1);
}

const struct conf_case cases_discovery[] = {
	CASE(discovery_groups, "SD-001 to SD-009 SD-027", .needs = NEEDS_SYSCALLS),
	CASE(discovery_device, "SD-043 SD-046 SD-074", .needs = NEEDS_SYSCALLS),
	CASE(discovery_nodes, "SD-016 to SD-024", .needs = NEEDS_SYSCALLS),
	CASE(discovery_modules, "SD-032 to SD-039", .needs = NEEDS_SYSCALLS),
	CASE(discovery_refusals, "SD-047 SD-051 SD-052 SD-055", .needs = NEEDS_SYSCALLS),
	CASE(discovery_links, "SD-026", .needs = NEEDS_SYSCALLS),
	{ .name = NULL },
};
