/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/service_restore.c - what a process before has served, again.
 *
 * All is made before anything is read: the groups of nodes that have no device any more, the
 * topology's own state (core/restore.h), nodes around their kept /dev/cuse, what clients have
 * open of them, device files. Then, with the agent there, the kernel sends again what was not
 * answered (service_resume()).
 *
 * A file whose container or group is not as it was (of a device of the machine that has left it
 * meanwhile) is closed for us: the client's calls on it are EBADF, and its close is of no effect. Of a
 * node without its file nothing can be served, so that is an error.
 */
#include <errno.h>
#include <string.h>

#include <core/device.h>
#include <core/restore.h>
#include <transport/service_internal.h>
#include <vfio-cused/log.h>

struct restoring {
	struct service *service;
	struct cused_error *err;
};

static int bad_record(const struct restoring *restoring, const char *what, uint64_t id)
{
	return cused_error_set(restoring->err, -EBADMSG, "the record of %s %llu is none", what,
			       (unsigned long long)id);
}

/* ---- what records refer to ---- */

static struct mm *find_mm(void *arg, uint64_t id)
{
	const struct service *service = arg;

	return client_mm_restore(service->clients, id);
}

static struct event *find_event(void *arg, uint64_t id)
{
	const struct service *service = arg;

	return client_event_restore(service->events, id);
}

static const struct restore_ops restore_ops = { .mm = find_mm, .event = find_event };

/* ---- nodes ---- */

static bool is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool is_node(uint64_t minor, const struct node_record *record, size_t size)
{
	return size == sizeof(*record) && minor < SERVICE_MINORS &&
	       (record->kind == OBJECT_CONTAINER || record->kind == OBJECT_GROUP) &&
	       record->group_kind <= GROUP_NOIOMMU &&
	       record->greeting_size <= sizeof(record->greeting) &&
	       is_text(record->name, sizeof(record->name)) && strchr(record->name, '/') &&
	       is_text(record->devnode.path, sizeof(record->devnode.path)) &&
	       is_text(record->devnode.root, sizeof(record->devnode.root)) &&
	       is_text(record->devnode.name, sizeof(record->devnode.name)) &&
	       is_text(record->devnode.record, sizeof(record->devnode.record));
}

static struct group *group_of(const struct service *service, const struct node_record *record)
{
	return topology_find_group(service->topology, record->group,
				   record->group_kind == GROUP_NOIOMMU);
}

/* A group that has no device any more is there as long as a client has it open. */
static int group_again(void *arg, uint64_t minor, const void *data, size_t size)
{
	const struct restoring *restoring = arg;
	struct service *service = restoring->service;
	struct node_record record;
	struct group *group;
	int r;

	if (size == sizeof(record))
		memcpy(&record, data, size);
	if (size != sizeof(record) || !is_node(minor, &record, size))
		return bad_record(restoring, "node", minor);
	if (record.kind != OBJECT_GROUP || group_of(service, &record))
		return 0;
	r = topology_add_group(service->topology, record.group, record.group_kind, &group);
	return r ? cused_error_set(restoring->err, r, "cannot make group %u: %s", record.group,
				   strerror(-r)) : 0;
}

static int node_again(void *arg, uint64_t minor, const void *data, size_t size)
{
	const struct restoring *restoring = arg;
	struct service *service = restoring->service;
	struct node_record record;

	memcpy(&record, data, sizeof(record));		/* group_again() has looked at it */
	return node_adopt(service, record.kind == OBJECT_GROUP ? group_of(service, &record) : NULL,
			  (unsigned)minor, &record, restoring->err);
}

/* ---- what clients have open ---- */

static struct node *find_node(struct service *service, uint64_t minor)
{
	list_for_each(it, &service->nodes) {
		struct node *node = container_of(it, struct node, item);

		if (node->minor == minor)
			return node;
	}
	return NULL;
}

/* Return: OBJECT_NONE: it is not there. */
static struct object object_again(const struct node *node, const struct file_record *record)
{
	struct object object = { .kind = OBJECT_NONE };

	if (node->kind == OBJECT_CONTAINER) {
		object.container = container_restore_file(node->service->topology,
							  record->container);
		if (object.container)
			object.kind = OBJECT_CONTAINER;
	} else if (group_restore_file(node->group)) {
		object.group = node->group;
		object.kind = OBJECT_GROUP;
	}
	return object;
}

static int file_again(void *arg, uint64_t id, const void *data, size_t size)
{
	const struct restoring *restoring = arg;
	struct service *service = restoring->service;
	struct file_record record;
	struct object object;
	struct node *node;
	int r;

	if (size != sizeof(record))
		return bad_record(restoring, "open file", id);
	memcpy(&record, data, size);
	record.name[sizeof(record.name) - 1] = '\0';
	node = find_node(service, record.minor);
	object.kind = OBJECT_NONE;
	if (node)			/* else it was being taken away */
		object = object_again(node, &record);
	if (object.kind == OBJECT_NONE) {
		keep_drop(service->params.keep, KEEP_OPEN_FILE, id);
		return 0;
	}
	r = open_file_adopt(node, id, object, &record);
	return r ? cused_error_set(restoring->err, r, "out of memory") : 0;
}

/* ---- device files ---- */

struct wanted {
	uint64_t id;
	struct device *device;
};

static int is_wanted(struct device *device, void *arg)
{
	struct wanted *wanted = arg;

	if (device_keep_id(device) != wanted->id)
		return 0;
	wanted->device = device;
	return 1;
}

/* A devfs_restore_fn. */
static struct device_file *device_file_again(void *arg, uint64_t id, bool wants_access,
					     struct access **ret_access)
{
	struct service *service = arg;
	struct wanted wanted = { .id = id };
	struct device_file *file;
	struct group *group;

	*ret_access = NULL;
	topology_each_device(service->topology, NULL, is_wanted, &wanted);
	if (!wanted.device || device_restore_file(wanted.device, &file))
		return NULL;
	group = device_group(wanted.device);
	list_for_each(it, &service->nodes) {
		struct node *node = container_of(it, struct node, item);

		if (wants_access && node->group == group)
			*ret_access = node->access;
	}
	return file;
}

/* A host_files_fn. */
static struct device_file *host_file_again(void *arg, uint64_t id)
{
	struct access *access;

	return device_file_again(arg, id, false, &access);
}

/* ---- all ---- */

/* Return: r, with @err set. */
static int tell(struct cused_error *err, int r, const char *what)
{
	return r ? cused_error_set(err, r, "cannot take over %s: %s", what, strerror(-r)) : 0;
}

int service_restore(struct service *service, struct cused_error *err)
{
	struct restoring restoring = { service, err };
	struct keep *keep = service->params.keep;
	int r;

	if (!service->params.restore)
		return 0;
	r = keep_each(keep, KEEP_NODE, group_again, &restoring);
	if (r == 0)
		r = topology_restore(service->topology, &restore_ops, service, err);
	if (r == 0)
		r = keep_each(keep, KEEP_NODE, node_again, &restoring);
	if (r == 0)
		r = keep_each(keep, KEEP_OPEN_FILE, file_again, &restoring);
	if (r == 0)
		r = tell(err, devfs_restore(service->devfs, device_file_again, service),
			 "device files");
	if (r == 0)
		r = tell(err, host_files_restore(service->host_files, host_file_again, service),
			 "device files of the machine");
	if (r == 0)
		r = topology_restore_end(service->topology, err);
	if (r == 0)
		r = tell(err, host_files_resume(service->host_files), "waiting for their close");
	if (r == 0) {
		iommu_files_restored(service->iommu_files);
		client_events_restored(service->events);
	}
	return r;
}

int service_resume(struct service *service, struct cused_error *err)
{
	int r;

	if (!service->params.restore)
		return 0;
	list_for_each(it, &service->nodes) {
		struct node *node = container_of(it, struct node, item);

		r = node->adopted ? channel_resume(node->channel) : 0;
		if (r)
			return cused_error_set(err, r, "cannot go on with /dev/%s: %s", node->name,
					       r == -EINVAL ? "the kernel sends no requests again "
					       "(Linux 6.9 does)" : strerror(-r));
	}
	return tell(err, devfs_resume(service->devfs), "device files");
}
