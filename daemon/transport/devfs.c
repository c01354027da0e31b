/* SPDX-License-Identifier: GPL-2.0-or-later */
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <transport/devfs_internal.h>
#include <transport/devfs_wire.h>
#include <transport/fd_keep.h>
#include <transport/thread.h>
#include <util/cleanup.h>
#include <util/keep.h>
#include <vfio-cused/log.h>

/* As whoever keeps them knows them. */
#define NAME_FUSE "devfs"
#define NAME_MOUNT "devfs-mount"
#define ATTR_SECONDS 3600.0	/* attributes never change */

/* ---- operations ---- */

static struct devfs *devfs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	conn->max_write = CHANNEL_DATA_MAX;
}

static void fill_attr(fuse_ino_t ino, struct stat *ret)
{
	*ret = (struct stat){ .st_ino = ino, .st_nlink = 1 };
	if (ino == FUSE_ROOT_ID || ino & DEVFS_INO_PLACE) {
		ret->st_mode = S_IFDIR | 0700;
		return;
	}
	ret->st_mode = S_IFREG | 0600;
	ret->st_size = INT64_MAX;	/* so that no write lies behind the end */
}

/* Return: the place whose folder has that name; 0: it is none. */
static uint64_t place_of(const char *name)
{
	char again[SERVICE_PLACE_NAME_SIZE];
	uint64_t place;

	if (*name != 'p')
		return 0;
	place = strtoull(name + 1, NULL, 16);
	snprintf(again, sizeof(again), "p%016" PRIx64, place);
	return strcmp(name, again) == 0 && place <= SERVICE_PLACE_MAX ? place : 0;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .generation = 1, .attr_timeout = ATTR_SECONDS };
	struct devfs *devfs = devfs_of(req);
	struct devfs_file *file;

	pthread_mutex_lock(&devfs->lock);
	file = parent == FUSE_ROOT_ID ? devfs_file_named(devfs, name) : NULL;
	if (file && file->state == STATE_GRANTED) {
		entry.ino = file->ino;
	} else if (parent == FUSE_ROOT_ID && place_of(name)) {
		entry.ino = DEVFS_INO_PLACE | place_of(name);
	}
	pthread_mutex_unlock(&devfs->lock);
	if (!entry.ino) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fill_attr(entry.ino, &entry.attr);
	fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	fill_attr(ino, &st);
	fuse_reply_attr(req, &st, ATTR_SECONDS);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	fuse_reply_err(req, EINVAL);
}

/* The kernel has it no more. */
static void file_release(struct devfs *devfs, fuse_ino_t ino)
{
	struct devfs_file *file;

	pthread_mutex_lock(&devfs->lock);
	file = devfs_file_find(devfs, ino);
	if (file)
		devfs_file_end(devfs, file);
	pthread_mutex_unlock(&devfs->lock);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct devfs *devfs = devfs_of(req);
	uint32_t backing_id = 0;
	struct devfs_file *file;

	pthread_mutex_lock(&devfs->lock);
	file = devfs_file_find(devfs, ino);
	if (file && file->state == STATE_GRANTED) {
		file->state = STATE_OPEN;
		file->opener = fuse_req_ctx(req)->pid;
		backing_id = file->backing_id;
		devfs_keep_file(devfs, file);
	} else {
		file = NULL;
	}
	pthread_mutex_unlock(&devfs->lock);
	if (!file) {
		/* By a link in /proc, which leads to no kernel VFIO device either. */
		fuse_reply_err(req, ENXIO);
		return;
	}
	devfs_wire_open(backing_id);
	if (fuse_reply_open(req, fi))
		/* Who opened it was killed: there will be no RELEASE. */
		file_release(devfs, ino);
}

/* Begin a call on a file, which stays until file_unuse(). Return: NULL: it is answered. */
static struct devfs_file *file_use(struct devfs *devfs, fuse_req_t req, fuse_ino_t ino)
{
	struct devfs_file *file;

	pthread_mutex_lock(&devfs->lock);
	file = devfs_file_find(devfs, ino);
	if (file && file->state == STATE_CLOSED)
		file = NULL;
	if (file)
		file->uses++;
	pthread_mutex_unlock(&devfs->lock);
	if (!file)
		fuse_reply_err(req, ENODEV);
	return file;
}

static void file_unuse(struct devfs *devfs, struct devfs_file *file)
{
	pthread_mutex_lock(&devfs->lock);
	if (--file->uses == 0 && file->state == STATE_CLOSING)
		devfs_file_end(devfs, file);
	pthread_mutex_unlock(&devfs->lock);
}

/* Of O_TMPFILE, see devfs_wire.h: the file in a place. Its name is one that no file can have. */
static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	struct fuse_entry_param entry = { .generation = 1, .attr_timeout = ATTR_SECONDS };
	struct devfs *devfs = devfs_of(req);
	struct devfs_file *file = NULL;

	if (strcmp(name, "/") != 0) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	pthread_mutex_lock(&devfs->lock);
	if (parent & DEVFS_INO_PLACE)
		file = devfs_file_at(devfs, parent & ~DEVFS_INO_PLACE);
	if (file) {
		file->state = STATE_OPEN;
		file->opener = fuse_req_ctx(req)->pid;
		entry.ino = file->ino;
		devfs_wire_open(file->backing_id);
		devfs_keep_file(devfs, file);
	}
	pthread_mutex_unlock(&devfs->lock);
	if (!file) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fill_attr(entry.ino, &entry.attr);
	if (fuse_reply_create(req, &entry, fi))
		file_release(devfs, entry.ino);		/* as for an open */
}

/* The root leads to names that are known, and is nothing in itself: whoever has a descriptor
 * of it gets no open directory, and so no ioctl and no list. */
static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, EACCES);
}

/* Return: true: go on; false: it is answered. */
static bool is_allowed(struct devfs_file *file, struct request *request)
{
	if (!file->access || access_allows(file->access, &file->seen, request))
		return true;
	request_error(request, EACCES);
	return false;
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct devfs *devfs = devfs_of(req);
	struct devfs_file *file = file_use(devfs, req, ino);
	cleanup_free void *buf = NULL;
	struct request request;
	ssize_t n;
	int r = 0;

	if (!file)
		return;
	request_begin(&request, devfs->server, req, false);
	if (!is_allowed(file, &request))
		goto end;
	n = device_rw_check(file->device, (uint64_t)off, size, false);
	if (n > 0) {
		buf = malloc((size_t)n);
		r = buf ? device_read(file->device, (uint64_t)off, buf, (size_t)n) : -ENOMEM;
		if (r)
			n = r;
	}
	if (n < 0)
		request_error(&request, (int)-n);
	else if (request_take(&request))
		fuse_reply_buf(req, buf, (size_t)n);
end:
	request_end(&request);
	file_unuse(devfs, file);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	struct devfs *devfs = devfs_of(req);
	struct devfs_file *file = file_use(devfs, req, ino);
	struct request request;
	ssize_t n;
	int r;

	if (!file)
		return;
	request_begin(&request, devfs->server, req, false);
	if (!is_allowed(file, &request))
		goto end;
	n = device_rw_check(file->device, (uint64_t)off, size, true);
	if (n > 0) {
		r = device_write(file->device, (uint64_t)off, buf, (size_t)n);
		if (r)
			n = r;
	}
	if (n < 0)
		request_error(&request, (int)-n);
	else if (request_take(&request))
		fuse_reply_write(req, (size_t)n);
end:
	request_end(&request);
	file_unuse(devfs, file);
}

/* With the lock. */
static bool is_opener(const struct devfs_file *file, fuse_req_t req)
{
	return file->opener && file->opener == fuse_req_ctx(req)->pid;
}

static bool was_undelivered(struct devfs *devfs, fuse_ino_t ino, fuse_req_t req)
{
	struct devfs_file *file;
	bool was;

	pthread_mutex_lock(&devfs->lock);
	file = devfs_file_find(devfs, ino);
	was = file && is_opener(file, req);
	if (was) {
		devfs_file_flushed(devfs, file);
		devfs_keep_file(devfs, file);
	}
	pthread_mutex_unlock(&devfs->lock);
	return was;
}

static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
		     struct fuse_file_info *fi, unsigned flags, const void *in_buf,
		     size_t in_size, size_t out_size)
{
	struct devfs *devfs = devfs_of(req);
	struct request request;
	struct devfs_file *file;

	if (cmd == SERVICE_IOC_UNDELIVERED && was_undelivered(devfs, ino, req)) {
		fuse_reply_ioctl(req, 0, NULL, 0);
		return;
	}
	file = file_use(devfs, req, ino);
	if (!file)
		return;
	request_begin(&request, devfs->server, req, false);
	if (is_allowed(file, &request))
		devfs->ioctl(devfs->ioctl_arg, &request, file->device, cmd, (uintptr_t)arg);
	request_end(&request);
	file_unuse(devfs, file);
}

/* With the lock. */
static void close_begins(struct devfs *devfs, struct devfs_file *file, fuse_req_t req)
{
	bool was = file->flushed, by_opener = is_opener(file, req);

	if (by_opener)
		file->opener = 0;
	/* Who fetches from a place tells of a file that has come to no client. */
	if (!by_opener || was || !file->place)
		devfs_file_flushed(devfs, file);
	file->by_opener = by_opener && !was;
	devfs_keep_file(devfs, file);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct devfs *devfs = devfs_of(req);
	struct devfs_file *file;

	pthread_mutex_lock(&devfs->lock);
	file = devfs_file_find(devfs, ino);
	if (file)
		close_begins(devfs, file, req);
	pthread_mutex_unlock(&devfs->lock);
	fuse_reply_err(req, 0);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	file_release(devfs_of(req), ino);
	fuse_reply_err(req, 0);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
	fuse_reply_err(req, EINVAL);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
			 struct fuse_file_info *fi)
{
	fuse_reply_err(req, ENODEV);
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.open = op_open,
	.create = op_create,
	.opendir = op_opendir,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.fallocate = op_fallocate,
	.ioctl = op_ioctl,
};

/* ---- life ---- */

/* A mount that is nowhere. Return: its descriptor or -errno. */
static int mount_new(int fuse_fd)
{
	static const char *const words[][2] = {
		{ "source", "vfio-cused" }, { "subtype", "vfio" }, { "rootmode", "040700" },
		{ "user_id", "0" }, { "group_id", "0" },
	};
	/* CAP_SYS_ADMIN: a file system for clients outside of any namespace of ours. */
	cleanup_close int context = fsopen("fuse", FSOPEN_CLOEXEC);
	char number[16];
	int mount;

	if (context < 0)
		return -errno;
	snprintf(number, sizeof(number), "%d", fuse_fd);
	if (fsconfig(context, FSCONFIG_SET_STRING, "fd", number, 0))
		return -errno;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (fsconfig(context, FSCONFIG_SET_STRING, words[i][0], words[i][1], 0))
			return -errno;
	/* A device file belongs to whoever has it, not to the user that mounted. */
	if (fsconfig(context, FSCONFIG_SET_FLAG, "allow_other", NULL, 0) ||
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	mount = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	return mount < 0 ? -errno : mount;
}

static void look(void *arg, void *bytes, size_t size)
{
	const struct fuse_in_header *header = bytes;
	struct devfs *devfs = arg;

	devfs_wire_tmpfile(bytes, size);
	if (size < sizeof(*header) || header->opcode != FUSE_INIT)
		return;
	devfs->offered = devfs_wire_offered(bytes, size);
	if (devfs->offered)
		devfs_wire_accept();
}

/* The two files that the file system is. Return: 0; -errno with @err set. */
static int files_new(struct devfs *devfs, struct cused_error *err)
{
	devfs->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (devfs->fd < 0)
		return cused_error_set(err, -errno, "cannot open /dev/fuse: %s; is the module "
				       "fuse there (modprobe fuse)?", strerror(errno));
	devfs->mount = mount_new(devfs->fd);
	if (devfs->mount < 0)
		return cused_error_set(err, devfs->mount, "cannot make the devices' file system: "
				       "%s; it needs CAP_SYS_ADMIN and FUSE",
				       strerror(-devfs->mount));
	return 0;
}

/* Those of a process before. */
static int files_adopt(struct devfs *devfs, struct cused_error *err)
{
	devfs->fd = devfs->fds->take(devfs->fds, NAME_FUSE);
	devfs->mount = devfs->fds->take(devfs->fds, NAME_MOUNT);
	if (devfs->fd < 0 || devfs->mount < 0)
		return cused_error_set(err, -ESTALE, "the devices' file system of the process "
				       "before was not kept (%s)",
				       devfs->fd < 0 ? NAME_FUSE : NAME_MOUNT);
	/* Whatever it has given, a number is not as high as nanoseconds of the clock. */
	devfs->last_ino = thread_now_ns();
	devfs->kept = true;
	return 0;
}

static void files_keep(struct devfs *devfs, const struct greeting *greeting)
{
	if (!devfs->keep)
		return;
	devfs->fds->put(devfs->fds, NAME_FUSE, devfs->fd);
	devfs->fds->put(devfs->fds, NAME_MOUNT, devfs->mount);
	devfs->kept = true;
	keep_put(devfs->keep, KEEP_DEVFS, DEVFS_GREETING, greeting->bytes, greeting->size);
}

/* The end of the connection is that of the last copy of its file. */
static void files_drop(struct devfs *devfs)
{
	if (!devfs->kept)
		return;
	keep_drop(devfs->keep, KEEP_DEVFS, DEVFS_GREETING);
	devfs->fds->drop(devfs->fds, NAME_MOUNT);
	devfs->fds->drop(devfs->fds, NAME_FUSE);
}

static int session_new(struct devfs *devfs, struct greeting *greeting, struct cused_error *err)
{
	char *argv[] = { (char[]){ "vfio-cused" }, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct channel_params params = { .fd = devfs->fd, .id = CHANNEL_DEVFS,
					 .adopt = devfs->adopted, .greeting = greeting,
					 .look = look, .look_arg = devfs };
	int r;

	params.session = fuse_session_new(&args, &operations, sizeof(operations), devfs);
	fuse_opt_free_args(&args);
	if (!params.session ||
	    fuse_session_custom_io(params.session, &devfs_wire_io, devfs->fd)) {
		if (params.session)
			fuse_session_destroy(params.session);
		return cused_error_set(err, -ENOMEM, "libfuse makes no session");
	}
	r = channel_new(devfs->server, &params, &devfs->channel);
	if (r) {
		cused_error_set(err, r, "cannot serve the devices' file system: %s", strerror(-r));
		fuse_session_destroy(params.session);	/* closes the file */
		devfs->fd = -1;
	}
	return r;
}

static int begin(struct devfs *devfs, struct cused_error *err)
{
	struct greeting greeting = { 0 };
	long size = keep_get(devfs->keep, KEEP_DEVFS, DEVFS_GREETING, greeting.bytes,
			     sizeof(greeting.bytes));
	int r;

	devfs->adopted = size >= 0;
	r = devfs->adopted ? files_adopt(devfs, err) : files_new(devfs, err);
	if (r)
		return r;
	if (devfs->adopted)
		greeting.size = (size_t)size;
	r = session_new(devfs, &greeting, err);
	if (r == 0 && devfs->adopted) {
		r = devfs_backed_adopt(devfs);
		if (r)
			cused_error_set(err, r, "cannot take over the memory of devices: %s",
					strerror(-r));
	} else if (r == 0) {
		files_keep(devfs, &greeting);
	}
	return r;
}

int devfs_new(struct server *server, devfs_ioctl_fn *ioctl, void *arg, struct keep *keep,
	      struct fd_keep *fds, struct devfs **ret, struct cused_error *err)
{
	struct devfs *devfs = calloc(1, sizeof(*devfs));
	int r;

	if (!devfs)
		return cused_error_set(err, -ENOMEM, "out of memory");
	devfs->server = server;
	devfs->keep = keep;
	devfs->fds = fds;
	devfs->ioctl = ioctl;
	devfs->ioctl_arg = arg;
	devfs->fd = -1;
	devfs->mount = -1;
	devfs->last_ino = FUSE_ROOT_ID;
	list_init(&devfs->backed);
	list_init(&devfs->files);
	for (unsigned i = 0; i < DEVFS_CHAINS; i++)
		list_init(&devfs->chains[i]);
	pthread_mutex_init(&devfs->lock, NULL);
	thread_cond_init(&devfs->changed);
	r = begin(devfs, err);
	if (r) {
		devfs_free(devfs);
		return r;
	}
	*ret = devfs;
	return 0;
}

int devfs_resume(struct devfs *devfs)
{
	if (!devfs->adopted)
		return 0;
	devfs_backed_sweep(devfs);
	/* While nobody served, nobody came to use a token, and no RELEASE was read. */
	pthread_mutex_lock(&devfs->lock);
	list_for_each(it, &devfs->files)
		devfs_file_restart_clock(container_of(it, struct devfs_file, item));
	pthread_mutex_unlock(&devfs->lock);
	devfs->adopted = false;
	return channel_resume(devfs->channel);
}

int devfs_free(struct devfs *devfs)
{
	int r;

	if (!devfs)
		return 0;
	files_drop(devfs);
	if (devfs->mount >= 0)
		close(steal_fd(&devfs->mount));
	if (!devfs->channel && devfs->fd >= 0)
		close(devfs->fd);
	r = channel_free(devfs->channel);
	if (r)
		return r;
	pthread_mutex_lock(&devfs->lock);
	while (!list_empty(&devfs->files))
		devfs_file_end(devfs, container_of(devfs->files.next, struct devfs_file, item));
	pthread_mutex_unlock(&devfs->lock);
	devfs_backed_free(devfs);
	pthread_cond_destroy(&devfs->changed);
	pthread_mutex_destroy(&devfs->lock);
	free(devfs);
	return 0;
}

bool devfs_can_map(const struct devfs *devfs)
{
	return devfs->offered;
}

int devfs_mount(const struct devfs *devfs)
{
	return devfs->mount;
}
