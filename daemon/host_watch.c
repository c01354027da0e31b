/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host_watch.c - see host_watch.h. */
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <util/cleanup.h>

#include "host_watch.h"

#define KERNEL_GROUP 1		/* of NETLINK_KOBJECT_UEVENT; others are udev's */
#define MESSAGE_MAX 8192	/* the kernel's own buffer has 2048 bytes and the header */
#define NODE_FOLDER "/vfio-dev/"

struct host_watch {
	int fd;
};

int host_watch_new(struct host_watch **ret)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP };
	cleanup_free struct host_watch *watch = malloc(sizeof(*watch));
	cleanup_close int fd = -1;

	if (!watch)
		return -ENOMEM;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    NETLINK_KOBJECT_UEVENT);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	watch->fd = steal_fd(&fd);
	*ret = steal_ptr(watch);
	return 0;
}

void host_watch_free(struct host_watch *watch)
{
	if (!watch)
		return;
	close(watch->fd);
	free(watch);
}

int host_watch_fd(const struct host_watch *watch)
{
	return watch->fd;
}

/* ---- messages ---- */

/* @text ends with a NUL, whatever came. Return: the value of a key, or NULL. */
static const char *value_of(const char *text, size_t len, const char *key)
{
	size_t n = strlen(key);

	for (const char *at = text; at < text + len; at += strlen(at) + 1)
		if (strncmp(at, key, n) == 0 && at[n] == '=')
			return at + n + 1;
	return NULL;
}

static bool copy_name(char *to, size_t size, const char *from, size_t len)
{
	if (len == 0 || len >= size)
		return false;
	memcpy(to, from, len);
	to[len] = '\0';
	return true;
}

/* "/devices/…/0000:01:00.0/vfio-dev/vfio0", where the device is a PCI one or not. */
static bool parse_node(const char *path, struct host_event *ret)
{
	const char *folder = strstr(path, NODE_FOLDER), *name, *device;

	if (!folder)
		return false;
	name = folder + strlen(NODE_FOLDER);
	device = folder;
	while (device > path && device[-1] != '/')
		device--;
	return !strchr(name, '/') && copy_name(ret->node, sizeof(ret->node), name, strlen(name)) &&
	       copy_name(ret->device, sizeof(ret->device), device, (size_t)(folder - device));
}

static bool parse_device(const char *path, struct host_event *ret)
{
	const char *name = strrchr(path, '/');

	return name && copy_name(ret->device, sizeof(ret->device), name + 1, strlen(name + 1));
}

static const struct {
	const char *subsystem, *action;
	enum host_event_kind kind;
	bool (*parse)(const char *path, struct host_event *ret);
} kinds[] = {
	{ "pci", "add", HOST_EVENT_ADDED, parse_device },
	{ "pci", "remove", HOST_EVENT_REMOVED, parse_device },
	{ "pci", "bind", HOST_EVENT_BOUND, parse_device },
	{ "pci", "unbind", HOST_EVENT_UNBOUND, parse_device },
	{ "vfio-dev", "add", HOST_EVENT_NODE_ADDED, parse_node },
	{ "vfio-dev", "remove", HOST_EVENT_NODE_REMOVED, parse_node },
};

bool host_watch_parse(const char *text, size_t len, struct host_event *ret)
{
	const char *action, *path, *subsystem;
	struct host_event event = { 0 };

	if (len == 0 || text[len - 1] != '\0')
		return false;
	action = value_of(text, len, "ACTION");
	path = value_of(text, len, "DEVPATH");
	subsystem = value_of(text, len, "SUBSYSTEM");
	if (!action || !path || !subsystem)
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(subsystem, kinds[i].subsystem) != 0 ||
		    strcmp(action, kinds[i].action) != 0)
			continue;
		event.kind = kinds[i].kind;
		if (!kinds[i].parse(path, &event))
			return false;
		*ret = event;
		return true;
	}
	return false;
}

/* Return: 1 with a message of the kernel, 0 with one that is not, or -errno. */
static int receive(int fd, char *buf, size_t size, size_t *ret_len)
{
	struct sockaddr_nl from = { 0 };
	struct iovec part = { buf, size };
	struct msghdr message = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &part, .msg_iovlen = 1,
	};
	ssize_t n = recvmsg(fd, &message, 0);

	if (n < 0)
		return -errno;
	*ret_len = (size_t)n;
	return message.msg_namelen == sizeof(from) && from.nl_pid == 0 &&
	       !(message.msg_flags & MSG_TRUNC);
}

int host_watch_take(struct host_watch *watch, struct host_event *ret)
{
	char buf[MESSAGE_MAX];
	size_t len = 0;

	for (;;) {
		int r = receive(watch->fd, buf, sizeof(buf), &len);

		if (r == -EINTR)
			continue;
		if (r < 0)
			return r == -EAGAIN ? 0 : r;
		if (r && host_watch_parse(buf, len, ret))
			return 1;
	}
}
