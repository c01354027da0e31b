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

#include <core/container.h>
#include <core/group.h>
#include <transport/service_abi.h>
#include <transport/service_internal.h>
#include <transport/thread.h>
#include <util/cleanup.h>

#define CONTAINER_MODE 0666		/* SD-016 */
#define SETTLE_MS 200u			/* for calls at work on a file that is closed */

/* ---- open files ---- */

static void object_release(struct object object)
{
	if (object.kind == OBJECT_CONTAINER)
		container_release(object.container);
	else
		group_release(object.group);
}

static void open_file_use(struct open_file *file)
{
	pthread_mutex_lock(&file->node->lock);
	file->uses++;
	pthread_mutex_unlock(&file->node->lock);
}

void open_file_unuse(struct open_file *file)
{
	struct node *node;
	bool last;

	if (!file)
		return;
	node = file->node;
	pthread_mutex_lock(&node->lock);
	last = --file->uses == 0;
	if (last)
		list_remove(&file->item);
	else if (file->closing && file->uses == 1)
		pthread_cond_broadcast(&node->changed);
	pthread_mutex_unlock(&node->lock);
	if (!last)
		return;
	object_release(file->object);
	free(file);
}

void open_file_swap(struct open_file *file, bool on)
{
	pthread_mutex_lock(&file->node->lock);
	file->swapped = on;
	pthread_mutex_unlock(&file->node->lock);
}

static int object_open(struct node *node, const struct caller *caller, struct object *ret)
{
	ret->kind = node->kind;
	if (node->kind == OBJECT_CONTAINER)
		return container_open(node->service->topology, &ret->container);
	ret->group = node->group;
	return group_open(node->group, caller);
}

static int open_file_new(struct node *node, const struct caller *caller,
			 const struct access_seen *seen, const struct client_who *who,
			 struct open_file **ret)
{
	struct open_file *file = calloc(1, sizeof(*file));
	int r;

	if (!file)
		return -ENOMEM;
	r = object_open(node, caller, &file->object);
	if (r) {
		free(file);
		return r;
	}
	file->node = node;
	file->seen = *seen;
	file->who = *who;
	file->uses = 1;
	pthread_mutex_lock(&node->lock);
	list_push_back(&node->files, &file->item);
	pthread_mutex_unlock(&node->lock);
	*ret = file;
	return 0;
}

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
		fi->fh = (uintptr_t)file;
		/* Not taken, or not wanted any more: there will be no RELEASE. */
		if (!request_take(&request) || fuse_reply_open(req, fi))
			open_file_unuse(file);
	}
	request_end(&request);
}

static struct open_file *file_of(const struct fuse_file_info *fi)
{
	return (struct open_file *)(uintptr_t)fi->fh;
}

/* The thread of a call that was just answered has the file a little longer than the client.
 * Wait for it, as the close is to have taken effect; but not for a call that is stalled. */
static void open_file_settle(struct open_file *file)
{
	struct timespec deadline = thread_deadline(CLOCK_MONOTONIC, SETTLE_MS);
	struct node *node = file->node;

	pthread_mutex_lock(&node->lock);
	file->closing = true;
	while (file->uses > 1 && !file->swapped &&
	       pthread_cond_timedwait(&node->changed, &node->lock, &deadline) == 0)
		;
	pthread_mutex_unlock(&node->lock);
}

static void op_release(fuse_req_t req, struct fuse_file_info *fi)
{
	struct node *node = fuse_req_userdata(req);
	struct request request;

	request_begin(&request, node->service->server, req, true);
	open_file_settle(file_of(fi));
	open_file_unuse(file_of(fi));
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
static void identify(fuse_req_t req, struct open_file *file, uint64_t cookie)
{
	struct service *service = file->node->service;
	bool found = false;

	pthread_mutex_lock(&service->lock);
	list_for_each(it, &service->looks) {
		struct look *look = container_of(it, struct look, item);

		if (look->cookie == cookie && !look->found) {
			open_file_use(file);
			look->found = file;
			found = true;
			break;
		}
	}
	pthread_mutex_unlock(&service->lock);
	if (found)
		fuse_reply_ioctl(req, 0, NULL, 0);
	else
		fuse_reply_err(req, ENOTTY);
}

static void op_ioctl(fuse_req_t req, int cmd, void *arg, struct fuse_file_info *fi,
		     unsigned flags, const void *in, size_t in_size, size_t out_size)
{
	struct open_file *file = file_of(fi);
	struct request request;
	struct service_ioctl call = {
		.service = file->node->service, .request = &request, .object = file->object,
		.access = file->node->access, .file = file, .cmd = (unsigned)cmd, .arg = (uintptr_t)arg,
		.may_retry = true,
		.in = in, .in_size = in_size, .out_size = out_size,
	};

	if (call.cmd == SERVICE_IOC_IDENTIFY) {
		identify(req, file, call.arg);
		return;
	}
	open_file_use(file);
	request_begin(&request, call.service->server, req, false);
	if (!call.access || access_allows(call.access, &file->seen, &request))
		service_ioctl(&call);
	else
		request_error(&request, EACCES);
	request_end(&request);
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

static int channel_make(struct node *node, struct cused_error *err)
{
	char *argv[] = { (char[]){ "vfio-cused" }, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	char devname[NODE_NAME_SIZE + 16];
	const char *info[] = { devname };
	struct cuse_info cuse = { .dev_major = node->service->major,
				  .dev_minor = node->minor, .dev_info_argc = 1,
				  .dev_info_argv = info, .flags = CUSE_UNRESTRICTED_IOCTL };
	struct fuse_session *session;
	struct channel_params params;
	int fd, r;

	fd = open("/dev/cuse", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return cused_error_set(err, -errno, "cannot open /dev/cuse: %s; %s",
				       strerror(errno), errno == ENOENT || errno == ENODEV ?
				       "load the kernel's module: modprobe cuse" :
				       "run as root, or see to its owner and mode");
	snprintf(devname, sizeof(devname), "DEVNAME=%s", node->name);
	session = cuse_lowlevel_new(&args, &cuse, &operations, node);
	fuse_opt_free_args(&args);
	if (!session || fuse_session_custom_io(session, &channel_io, fd)) {
		close(fd);
		if (session)
			fuse_session_destroy(session);
		return cused_error_set(err, -ENOMEM, "libfuse makes no session");
	}
	params = (struct channel_params){ .session = session, .fd = fd, .id = node->minor,
					  .cuse = true };
	r = channel_new(node->service->server, &params, &node->channel);
	if (r) {
		fuse_session_destroy(session);
		return cused_error_set(err, r, "cannot make /dev/%s: %s", node->name,
				       r == -EADDRINUSE ? "a device of that name or number "
				       "exists; is another service running?" :
				       strerror(-r));
	}
	return 0;
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
	node->has_devnode = true;
	node->hidden = false;
	return 0;
}

void node_hide(struct node *node)
{
	node->hidden = true;
	node->has_devnode = false;
	devnode_restore(&node->devnode);
}

int node_new(struct service *service, enum object_kind kind, struct group *group,
	     const struct access_rights *rights, struct node **ret, struct cused_error *err)
{
	static const struct access_rights container = { .mode = CONTAINER_MODE };
	struct node *node = calloc(1, sizeof(*node));
	int r;

	if (!node)
		return cused_error_set(err, -ENOMEM, "out of memory");
	node->service = service;
	node->kind = kind;
	node->group = group;
	r = node_name(node, err);
	if (r) {
		free(node);
		return r;
	}
	if (kind == OBJECT_CONTAINER) {
		rights = &container;
	} else if (access_new(strchr(node->name, '/') + 1, rights, &node->access)) {
		free(node);
		return cused_error_set(err, -ENOMEM, "out of memory");
	}
	list_init(&node->files);
	pthread_mutex_init(&node->lock, NULL);
	thread_cond_init(&node->changed);
	pthread_mutex_lock(&service->lock);
	node->minor = free_minor(service);
	list_push_back(&service->nodes, &node->item);
	pthread_mutex_unlock(&service->lock);
	r = node->minor < SERVICE_MINORS ? channel_make(node, err) :
		cused_error_set(err, -ENOSPC, "cannot make /dev/%s: there are %u nodes, and no "
				"more can be", node->name, SERVICE_MINORS);
	if (r == 0)
		r = read_number(node, err);
	if (r == 0)
		r = node_show(node, rights, err);
	if (r) {
		node_free(node);
		return r;
	}
	*ret = node;
	return 0;
}

/* Clients will not release what they have open any more. */
static void files_abandon(struct node *node)
{
	struct open_file *file;

	pthread_mutex_lock(&node->lock);
	while (!list_empty(&node->files)) {
		file = container_of(node->files.next, struct open_file, item);
		list_remove(&file->item);	/* and again, harmlessly, by the last use */
		pthread_mutex_unlock(&node->lock);
		open_file_unuse(file);
		pthread_mutex_lock(&node->lock);
	}
	pthread_mutex_unlock(&node->lock);
}

int node_free(struct node *node)
{
	struct service *service = node->service;
	int r = channel_free(node->channel);

	if (node->has_devnode)
		devnode_restore(&node->devnode);
	pthread_mutex_lock(&service->lock);
	list_remove(&node->item);
	pthread_mutex_unlock(&service->lock);
	files_abandon(node);
	if (r)
		return r;		/* a stalled call has one of them, and its node */
	pthread_cond_destroy(&node->changed);
	pthread_mutex_destroy(&node->lock);
	access_unref(node->access);
	free(node);
	return 0;
}
