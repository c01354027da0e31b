/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <core/container.h>
#include <core/device.h>
#include <core/group.h>
#include <transport/client.h>
#include <transport/open_notes.h>

/* A name is the client's, and ends up on terminals. */
static void copy_name(const char *from, char ret[16])
{
	size_t n = 0;

	for (; from[n] && n < 15; n++)
		ret[n] = from[n] >= ' ' && from[n] <= '~' ? from[n] : '?';
	ret[n] = '\0';
}

void client_who(pid_t tid, struct client_who *ret)
{
	char path[64], line[128], name[64] = "";
	FILE *f = NULL;
	int pid = 0;

	*ret = (struct client_who){ .uid = (uid_t)-1 };
	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	if (tid > 0)
		f = fopen(path, "re");
	if (!f)
		return;
	/* Name comes first, then Tgid, then Uid: real, effective, saved, of files. */
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "Name:\t%63[^\n]", name);
		sscanf(line, "Tgid:\t%d", &pid);
		if (sscanf(line, "Uid:\t%*u\t%u", &ret->uid) == 1)
			break;
	}
	fclose(f);
	/* A thread can have a name of its own. */
	if (pid > 0 && pid != tid)
		client_status(pid, "Name", name, sizeof(name));
	ret->pid = pid;
	copy_name(name, ret->name);
}

int open_notes_add(struct open_notes *files, const struct client_who *who,
		     struct object object)
{
	struct open_note *file;
	const struct group *group = NULL;

	if (files->n == files->room) {
		size_t room = files->room ? 2 * files->room : 64;
		struct open_note *grown = reallocarray(files->files, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		files->files = grown;
		files->room = room;
	}
	file = &files->files[files->n++];
	*file = (struct open_note){ .who = *who, .kind = object.kind };
	if (object.kind == OBJECT_CONTAINER) {
		file->container = container_id(object.container);
	} else if (object.kind == OBJECT_GROUP) {
		group = object.group;
	} else {
		const struct device *device = device_file_device(object.device);

		group = device_group(device);
		snprintf(file->device, sizeof(file->device), "%s", device_name(device));
	}
	if (group) {
		file->group = group_id(group);
		file->noiommu = group_kind(group) == GROUP_NOIOMMU;
	}
	return 0;
}

void open_notes_done(struct open_notes *files)
{
	free(files->files);
	*files = (struct open_notes){ 0 };
}
