/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <core/container.h>
#include <core/device.h>
#include <core/group.h>
#include <transport/open_notes.h>
#include <util/cleanup.h>

/* A name is the client's, and ends up on terminals. */
static void copy_name(const char *from, char ret[16])
{
	size_t n = 0;

	for (; from[n] && n < 15; n++)
		ret[n] = from[n] >= ' ' && from[n] <= '~' ? from[n] : '?';
	ret[n] = '\0';
}

/* That of the process: a thread can have one of its own. */
static void read_name(pid_t tgid, char ret[16])
{
	char path[32], name[16] = "";
	cleanup_close int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)tgid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, name, sizeof(name));
	name[n > 0 ? n - 1 : 0] = '\0';		/* in place of the line's end */
	copy_name(name, ret);
}

void client_who_of(pid_t tgid, uid_t uid, struct client_who *ret)
{
	*ret = (struct client_who){ .pid = tgid, .uid = uid };
	read_name(tgid, ret->name);
}

void client_who(pid_t tid, struct client_who *ret)
{
	char path[64], line[128];
	FILE *f = NULL;
	int pid = 0;

	*ret = (struct client_who){ .uid = (uid_t)-1 };
	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	if (tid > 0)
		f = fopen(path, "re");
	if (!f)
		return;
	/* Tgid comes before Uid: real, effective, saved, of files. */
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "Tgid:\t%d", &pid);
		if (sscanf(line, "Uid:\t%*u\t%u", &ret->uid) == 1)
			break;
	}
	fclose(f);
	if (pid > 0)
		client_who_of(pid, ret->uid, ret);
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
