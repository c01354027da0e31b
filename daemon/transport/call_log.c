/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include <core/device.h>
#include <core/group.h>
#include <transport/call_log.h>
#include <util/log.h>

static void group_text(const struct group *group, char *buf, size_t size)
{
	snprintf(buf, size, "%s%u", group_kind(group) == GROUP_NOIOMMU ? "noiommu-" : "",
		 group_id(group));
}

void call_log(pid_t tid, struct object object, unsigned cmd, int64_t result)
{
	const char *name, *kind = "a container";
	struct log_about about = { .pid = tid };
	char group[32], what[48];

	/* Who has no number here cannot be told from others, and so has no limit. */
	if (result >= 0 || tid == 0 || !log_wants(CUSED_LOG_DEBUG, "call"))
		return;
	if (object.kind == OBJECT_GROUP) {
		group_text(object.group, group, sizeof(group));
		about.group = group;
		snprintf(what, sizeof(what), "group %s", group);
		kind = what;
	} else if (object.kind == OBJECT_DEVICE) {
		struct device *device = device_file_device(object.device);

		group_text(device_group(device), group, sizeof(group));
		about.group = group;
		about.device = device_name(device);
		snprintf(what, sizeof(what), "device %s", about.device);
		kind = what;
	}
	name = call_name(object.kind, cmd);
	if (name)
		log_about(&about, CUSED_LOG_DEBUG, "call", "%s of process %d on %s: %s", name,
			  (int)tid, kind, strerror((int)-result));
	else
		log_about(&about, CUSED_LOG_DEBUG, "call", "ioctl 0x%x of process %d on %s: %s",
			  cmd, (int)tid, kind, strerror((int)-result));
}
