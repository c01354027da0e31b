/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/service_node.c - one character device: open, close, and what else a client can
 * do with its file. */
#define FUSE_USE_VERSION 35
#include <cuse_lowlevel.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <core/group.h>
#include <transport/service_abi.h>
#include <transport/service_internal.h>
#include <transport/thread.h>
#include <util/cleanup.h>

#define CONTAINER_MODE 0666		/* SD-016 */

/* ---- operations ---- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	conn->max_read = CHANNEL_DATA_MAX;
	conn->max_write = CHANNEL_DATA_MAX;
}

static void op_open(fuse_req_t req, struct fuse_file_info *fi)
{
	struct node *node = fuse_req_userdata(req);
	struct client_thread *thread = NULL;
	struct access_seen seen = { 0 };
	struct request request;
	struct open_file *file;
	struct client_who who;
	struct caller caller;
	int r;

	request_begin(&request, node->service->server, req, false);
	if (node->access && !access_allows(node->access, &seen, &request)) {
		request_error(&request, EACCES);
		request_end(&request);
		return;
	}
	if (node->kind == OBJECT_GROUP) {				/* CG-052 */
		devfs_settle(node->service->devfs, node->group);
		host_files_settle(node->service->host_files, node->group);
	}
	/* Who cannot be looked at may have no rights; most opens need none. */
	service_caller(node->service, &request, &thread, &caller);
	service_who(&request, thread, &who);
	r = open_file_new(node, &caller, &seen, &who, &file);
	client_put(thread);
	if (r) {
		request_error(&request, -r);
	} else {
		fi->fh = file->id;
		/* Not taken, or not wanted any more: there will be no RELEASE. */
		if (!request_take(&request) || fuse_reply_open(req, fi))
			open_file_close(node, fi->fh);
	}
	request_end(&request);
}

static void op_release(fuse_req_t req, struct fuse_file_info *fi)
{
	struct node *node = fuse_req_userdata(req);
	struct request request;

	request_begin(&request, node->service->server, req, true);
	open_file_close(node, fi->fh);
	request_error(&request, 0);
	request_end(&request);
}

/* CG-008 */
static void op_read(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi)
{
	fuse_reply_err(req, EINVAL);
}

static void op_write(fuse_req_t req, const char *buf, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	fuse_reply_err(req, EINVAL);
}

/* CG-013 */
static void op_fsync(fuse_req_t req, int data_only, struct fuse_file_info *fi)
{
	fuse_reply_err(req, EINVAL);
}

/* The agent has a copy of this file, and asks for the client whose it is. */
static bool identify(struct open_file *file, uint64_t cookie)
{
	struct service *service = file->node->service;
	bool found = false;

	pthread_mutex_lock(&service->lock);
	list_for_each(it, &service->looks) {
		struct look *look = container_of(it, struct look, item);

		if (look->cookie == cookie && !look->found) {
			look->found = open_file_get(file->node, file->id);
			found = look->found != NULL;
			break;
		}
	}
	pthread_mutex_unlock(&service->lock);
	return found;
}

static void file_ioctl(fuse_req_t req, struct service_ioctl *call)
{
	struct request request;

	call->request = &request;
	request_begin(&request, call->service->server, req, false);
	if (!call->access || access_allows(call->access, &call->file->seen, &request))
		service_ioctl(call);
	else
		request_error(&request, EACCES);
	request_end(&request);
}

static void op_ioctl(fuse_req_t req, int cmd, void *arg, struct fuse_file_info *fi,
		     unsigned flags, const void *in, size_t in_size, size_t out_size)
{
	struct node *node = fuse_req_userdata(req);
	struct open_file *file = open_file_get(node, fi->fh);
	struct service_ioctl call = {
		.service = node->service, .access = node->access, .file = file,
		.cmd = (unsigned)cmd, .arg = (uintptr_t)arg, .may_retry = true,
		.in = in, .in_size = in_size, .out_size = out_size,
	};

	if (!file) {
		fuse_reply_err(req, EBADF);
		return;
	}
	call.object = file->object;
	if (call.cmd != SERVICE_IOC_IDENTIFY)
		file_ioctl(req, &call);
	else if (identify(file, call.arg))
		fuse_reply_ioctl(req, 0, NULL, 0);
	else
		fuse_reply_err(req, ENOTTY);
	open_file_unuse(file);
}

/* No poll: then the kernel answers for us, as CG-011 wants. */
static const struct cuse_lowlevel_ops operations = {
	.init = op_init,
	.open = op_open,
	.release = op_release,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.ioctl = op_ioctl,
};

/* ---- life ---- */

static void fd_name(const struct node *node, char ret[FD_KEEP_NAME_SIZE])
{
	snprintf(ret, FD_KEEP_NAME_SIZE, "cuse-%u", node->minor);
}

static void record_put(const struct node *node)
{
	struct node_record record = {
		.kind = node->kind, .hidden = node->hidden, .has_devnode = node->has_devnode,
		.checked = node->rights.checked, .mode = node->rights.mode,
		.uid = node->rights.uid, .gid = node->rights.gid, .number = node->number,
		.greeting_size = (uint32_t)node->greeting.size, .devnode = node->devnode,
	};

	if (node->group) {
		record.group = group_id(node->group);
		record.group_kind = group_kind(node->group);
	}
	memcpy(record.name, node->name, sizeof(record.name));
	memcpy(record.greeting, node->greeting.bytes, sizeof(record.greeting));
	keep_put(node->service->params.keep, KEEP_NODE, node->minor, &record, sizeof(record));
}

/* Before the record is put, and after it was dropped. */
static void fd_outlive(const struct node *node, bool on)
{
	struct fd_keep *fds = node->service->params.fds;
	char name[FD_KEEP_NAME_SIZE];

	fd_name(node, name);
	if (!fds)
		return;
	if (on) {
		fds->put(fds, name, node->fd);
		return;
	}
	fds->drop(fds, name);
	/* The device, and with it the name, goes with the last copy. */
	if (fds->settle)
		fds->settle(fds);
}

/* What the kernel made of it: the name's '/' is '!' in sysfs. */
static int read_number(struct node *node, struct cused_error *err)
{
	const char *slash = strchr(node->name, '/');
	char path[128], text[32] = "";
	cleanup_close int fd = -1;
	unsigned major_, minor_;

	snprintf(path, sizeof(path), "/sys/class/cuse/%.*s!%s/dev", (int)(slash - node->name),
		 node->name, slash + 1);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 ||
	    sscanf(text, "%u:%u", &major_, &minor_) != 2)
		return cused_error_set(err, -EIO, "cannot read the number of /dev/%s from %s",
				       node->name, path);
	node->number = makedev(major_, minor_);
	node->service->major = major_;
	return 0;
}

/* @fd: /dev/cuse, taken; @adopt: of a process before, whose greeting the node has */
static int channel_make(struct node *node, int fd, bool adopt, struct cused_error *err)
{
	char *argv[] = { (char[]){ "vfio-cused" }, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	char devname[NODE_NAME_SIZE + 16];
	const char *info[] = { devname };
	struct cuse_info cuse = { .dev_major = node->service->major,
				  .dev_minor = node->minor, .dev_info_argc = 1,
				  .dev_info_argv = info, .flags = CUSE_UNRESTRICTED_IOCTL };
	struct channel_params params = { .fd = fd, .id = node->minor, .cuse = true,
					 .adopt = adopt, .greeting = &node->greeting };
	int r;

	snprintf(devname, sizeof(devname), "DEVNAME=%s", node->name);
	params.session = cuse_lowlevel_new(&args, &cuse, &operations, node);
	fuse_opt_free_args(&args);
	if (!params.session || fuse_session_custom_io(params.session, &channel_io, fd)) {
		close(fd);
		if (params.session)
			fuse_session_destroy(params.session);
		return cused_error_set(err, -ENOMEM, "libfuse makes no session");
	}
	r = channel_new(node->service->server, &params, &node->channel);
	if (r) {
		fuse_session_destroy(params.session);
		return cused_error_set(err, r, "cannot make /dev/%s: %s", node->name,
				       r == -EADDRINUSE ? "a device of that name or number "
				       "exists; is another service running?" :
				       strerror(-r));
	}
	node->fd = fd;
	return 0;
}

static int device_make(struct node *node, struct cused_error *err)
{
	int fd = open("/dev/cuse", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return cused_error_set(err, -errno, "cannot open /dev/cuse: %s; %s",
				       strerror(errno), errno == ENOENT || errno == ENODEV ?
				       "load the kernel's module: modprobe cuse" :
				       "run as root, or see to its owner and mode");
	return channel_make(node, fd, false, err);
}

static int node_name(struct node *node, struct cused_error *err)
{
	const char *prefix = node->service->params.prefix;
	int n;

	if (node->kind == OBJECT_CONTAINER)
		n = snprintf(node->name, sizeof(node->name), "%s/vfio", prefix);
	else
		n = snprintf(node->name, sizeof(node->name), "%s/%s%u", prefix,
			     group_kind(node->group) == GROUP_NOIOMMU ? "noiommu-" : "",
			     group_id(node->group));
	return (size_t)n < sizeof(node->name) ? 0 :
		cused_error_set(err, -ENAMETOOLONG, "the name /dev/%s is too long", prefix);
}

/* The lowest that no node has. */
static unsigned free_minor(struct service *service)
{
	unsigned minor = 0;

again:
	list_for_each(it, &service->nodes) {
		if (container_of(it, struct node, item)->minor == minor) {
			minor++;
			goto again;
		}
	}
	return minor;
}

/* The file in /dev, with these rights. */
static int node_file(const struct node *node, const struct access_rights *rights,
		     struct devnode *ret, struct cused_error *err)
{
	struct devnode_wish wish = {
		.name = node->name, .dev = node->number, .mode = rights->mode,
		.uid = rights->uid, .gid = rights->gid,
		.replace = node->service->params.replace,
	};

	return devnode_ensure("", &wish, ret, err);
}

int node_set_rights(struct node *node, const struct access_rights *rights,
		    struct cused_error *err)
{
	struct devnode same;

	access_set(node->access, rights);
	node->rights = *rights;
	record_put(node);
	return node_file(node, rights, &same, err);
}

int node_show(struct node *node, const struct access_rights *rights, struct cused_error *err)
{
	int r;

	if (node->access)
		access_set(node->access, rights);
	r = node_file(node, rights, &node->devnode, err);
	if (r)
		return r;
	node->rights = *rights;
	node->has_devnode = true;
	node->hidden = false;
	record_put(node);
	return 0;
}

void node_hide(struct node *node)
{
	node->hidden = true;
	node->has_devnode = false;
	devnode_restore(&node->devnode);
	record_put(node);
}

/* Without a channel. @minor: NULL: the lowest that is free. Return: 0; -errno with @err set. */
static int node_begin(struct service *service, enum object_kind kind, struct group *group,
		      const struct access_rights *rights, const unsigned *minor,
		      struct node **ret, struct cused_error *err)
{
	struct node *node = calloc(1, sizeof(*node));
	int r;

	if (!node)
		return cused_error_set(err, -ENOMEM, "out of memory");
	node->service = service;
	node->kind = kind;
	node->group = group;
	node->rights = *rights;
	r = node_name(node, err);
	if (r) {
		free(node);
		return r;
	}
	if ((group && access_new(strchr(node->name, '/') + 1, rights, &node->access)) ||
	    open_files_init(&node->files)) {
		access_unref(node->access);
		free(node);
		return cused_error_set(err, -ENOMEM, "out of memory");
	}
	pthread_mutex_init(&node->lock, NULL);
	thread_cond_init(&node->changed);
	pthread_mutex_lock(&service->lock);
	node->minor = minor ? *minor : free_minor(service);
	list_push_back(&service->nodes, &node->item);
	pthread_mutex_unlock(&service->lock);
	*ret = node;
	return 0;
}

int node_new(struct service *service, enum object_kind kind, struct group *group,
	     const struct access_rights *rights, struct node **ret, struct cused_error *err)
{
	static const struct access_rights container = { .mode = CONTAINER_MODE };
	struct node *node = NULL;
	int r;

	if (kind == OBJECT_CONTAINER)
		rights = &container;
	r = node_begin(service, kind, group, rights, NULL, &node, err);
	if (r)
		return r;
	r = node->minor < SERVICE_MINORS ? device_make(node, err) :
		cused_error_set(err, -ENOSPC, "cannot make /dev/%s: there are %u nodes, and no "
				"more can be", node->name, SERVICE_MINORS);
	if (r == 0)
		r = read_number(node, err);
	if (r == 0) {
		fd_outlive(node, true);
		r = node_show(node, rights, err);
	}
	if (r) {
		node_free(node);
		return r;
	}
	*ret = node;
	return 0;
}

int node_adopt(struct service *service, struct group *group, unsigned minor,
	       const struct node_record *record, struct cused_error *err)
{
	struct access_rights rights = { .checked = record->checked, .mode = record->mode,
					.uid = record->uid, .gid = record->gid };
	char name[FD_KEEP_NAME_SIZE];
	struct node *node = NULL;
	int fd, r;

	r = node_begin(service, record->kind, group, &rights, &minor, &node, err);
	if (r)
		return r;
	node->adopted = true;
	node->hidden = record->hidden;
	node->number = record->number;
	node->has_devnode = record->has_devnode;
	node->devnode = record->devnode;
	memcpy(node->name, record->name, sizeof(node->name));
	node->greeting.size = record->greeting_size;
	memcpy(node->greeting.bytes, record->greeting, sizeof(record->greeting));
	service->major = major(node->number);
	fd_name(node, name);
	fd = service->params.fds->take(service->params.fds, name);
	if (fd < 0)
		return cused_error_set(err, -ENOENT, "the file of /dev/%s was not kept",
				       node->name);
	return channel_make(node, fd, true, err);
}

int node_free(struct node *node)
{
	struct service *service = node->service;
	int r;

	keep_drop(service->params.keep, KEEP_NODE, node->minor);
	r = channel_free(node->channel);
	fd_outlive(node, false);
	if (node->has_devnode)
		devnode_restore(&node->devnode);
	pthread_mutex_lock(&service->lock);
	list_remove(&node->item);
	pthread_mutex_unlock(&service->lock);
	open_files_abandon(node);
	if (r)
		return r;		/* a stalled call has one of them, and its node */
	open_files_done(&node->files);
	pthread_cond_destroy(&node->changed);
	pthread_mutex_destroy(&node->lock);
	access_unref(node->access);
	free(node);
	return 0;
}
