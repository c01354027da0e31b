/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host.h"
#include "host_place.h"

/* Commands, a line each, as one line. */
static const char *on_one_line(const char *commands, char *buf, size_t size)
{
	size_t at = 0;

	for (; *commands && at + 3 <= size; commands++) {
		if (*commands != '\n')
			buf[at++] = *commands;
		else if (commands[1])
			at += (size_t)snprintf(buf + at, size - at, "; ");
	}
	buf[at] = '\0';
	return buf;
}

static int not_viable(const struct host_device *device, const struct host_device *taken,
		      struct cused_error *err)
{
	char command[HOST_COMMAND_MAX], line[HOST_COMMAND_MAX];

	host_unbind_command(taken, command, sizeof(command));
	return cused_error_set(err, -EBUSY, "group %ld of %s is not viable: %s, which is in it "
			       "too, is bound to %s; unbind it: %s", device->group, device->name,
			       taken->name, taken->driver,
			       on_one_line(command, line, sizeof(line)));
}

static int not_bound(const struct host_device *device, struct cused_error *err)
{
	char command[HOST_COMMAND_MAX], line[HOST_COMMAND_MAX];

	host_bind_command(device, command, sizeof(command));
	return cused_error_set(err, -ENODEV, "%s is bound to %s, not to a VFIO driver; bind it: "
			       "%s", device->name,
			       device->driver[0] ? device->driver : "no driver",
			       on_one_line(command, line, sizeof(line)));
}

static int judge(const struct host_device *device, const struct host_group *group,
		 struct cused_error *err)
{
	if (!group || group->number == HOST_NO_GROUP || group->noiommu)
		return cused_error_set(err, -ENODEV, "%s has no IOMMU group: this machine has no "
				       "IOMMU, or it is off; switch it on in the firmware and on "
				       "the kernel's command line (intel_iommu=on)",
				       device->name);
	if (device->use != HOST_USE_VFIO)
		return not_bound(device, err);
	if (host_taken(group))
		return not_viable(device, host_taken(group), err);
	return 0;
}

static int fill(const struct host_device *device, const char *dev, struct host_place *ret,
		struct cused_error *err)
{
	*ret = (struct host_place){ 0 };
	snprintf(ret->node, sizeof(ret->node), "%s/vfio/devices/%s", dev, device->node);
	if (!device->node[0] || access(ret->node, F_OK))
		return cused_error_set(err, -ENODEV, "%s has no device node in %s/vfio/devices; "
				       "take a kernel that has CONFIG_VFIO_DEVICE_CDEV (Linux 6.6 "
				       "or later)", device->name, dev);
	ret->host = (struct cused_host){
		.size = sizeof(ret->host), .group = (unsigned)device->group,
		.node = ret->node, .vendor = (uint16_t)device->vendor,
		.device = (uint16_t)device->id, .class_code = device->class_code,
	};
	return 0;
}

int host_place(const char *sysfs, const char *dev, const char *bdf, struct host_place *ret,
	       struct cused_error *err)
{
	const struct host_device *device;
	struct host host;
	int r = host_read(sysfs, &host, err);

	if (r)
		return r;
	device = host_find_device(&host, bdf);
	r = device ? judge(device, host_find_group(&host, device->group), err) :
		     cused_error_set(err, -ENODEV, "%s is no device of this machine; vfio-cused "
				     "list shows them", bdf);
	if (r == 0)
		r = fill(device, dev, ret, err);
	host_free(&host);
	return r;
}
