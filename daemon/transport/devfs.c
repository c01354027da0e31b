/* SPDX-License-Identifier: GPL-2.0-or-later */
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <transport/devfs.h>
#include <transport/devfs_wire.h>
#include <transport/thread.h>
#include <util/cleanup.h>
#include <vfio-cused/log.h>

#define ATTR_SECONDS 3600.0	/* attributes never change */
#define FILE_CHAINS 1024u	/* numbers follow each other, so they are of equal length */
/* Number of the folder of a place: this, and the place. No file gets as far. */
#define INO_PLACE (1ull << 63)

/* CLOSING: the kernel has released it, but a call of a thread that was killed still works
 * on it; see server.h. */
enum state { STATE_GRANTED, STATE_OPEN, STATE_CLOSING, STATE_CLOSED };

struct backed {
	struct list item;		/* devfs->backed */
	const struct device *device;
	uint32_t backing_id;
};

struct file {
	struct list item;		/* devfs->files */
	struct list chain;		/* devfs->chains[], by ino */
	fuse_ino_t ino;			/* never another's */
	char name[SERVICE_TOKEN_NAME_SIZE];	/* "" of one in a place */
	uint64_t place;			/* 0: none */
	struct device_file *device;
	const struct group *group;	/* of the device */
	struct access *access;		/* NULL: no rules */
	struct access_seen seen;	/* access's lock */
	struct client_who who;		/* constant */
	uint32_t backing_id;
	enum state state;
	pid_t opener;			/* has a copy that is no client's; 0: not any more */
	unsigned uses;			/* calls at work */
	bool by_opener;			/* flushed: it was the close of its copy */
	bool flushed;			/* a RELEASE may be on its way, or is at work, … */
	struct timespec until;		/* … until then; of a granted one: its end */
};

struct devfs {
	struct server *server;
	struct channel *channel;
	devfs_ioctl_fn *ioctl;
	void *ioctl_arg;
	int fd;				/* /dev/fuse; the channel's */
	int mount;
	bool offered;			/* passthrough */
	/* Perhaps a file is granted or flushed; set with the lock, read by calls without. */
	atomic_bool restless;
	pthread_mutex_t lock;		/* all below; never held in core */
	pthread_cond_t changed;
	struct list backed, files;
	struct list chains[FILE_CHAINS];	/* of the files, by ino */
	fuse_ino_t last_ino;
};

/* ---- files ---- */

/* Who serves a request knows a file by its number: the kernel may ask about one that is closed,
 * whose inode it has still. */
static struct file *file_find(struct devfs *devfs, fuse_ino_t ino)
{
	list_for_each(it, &devfs->chains[ino % FILE_CHAINS]) {
		struct file *file = container_of(it, struct file, chain);

		if (file->ino == ino)
			return file;
	}
	return NULL;
}

static struct file *file_find_name(struct devfs *devfs, const char *name)
{
	list_for_each(it, &devfs->files) {
		struct file *file = container_of(it, struct file, item);

		if (!strcmp(file->name, name))
			return file;
	}
	return NULL;
}

/* The end of a file that is closed or was never opened, and of its device's use. With the lock,
 * which is given up meanwhile; the file may be gone then. */
static void file_release_locked(struct devfs *devfs, struct file *file)
{
	struct device_file *device = file->device;

	if (file->state == STATE_CLOSED)
		return;
	if (file->uses) {
		file->state = STATE_CLOSING;
		return;
	}
	file->state = STATE_CLOSED;
	atomic_store(&devfs->restless, true);
	file->flushed = true;
	file->until = thread_deadline(CLOCK_MONOTONIC, DEVFS_RELEASE_MS);
	pthread_mutex_unlock(&devfs->lock);
	device_file_release(device);
	pthread_mutex_lock(&devfs->lock);
	list_remove(&file->item);
	list_remove(&file->chain);
	pthread_cond_broadcast(&devfs->changed);
	access_unref(file->access);
	free(file);
}

static struct file *file_find_place(struct devfs *devfs, uint64_t place)
{
	list_for_each(it, &devfs->files) {
		struct file *file = container_of(it, struct file, item);

		if (file->state == STATE_GRANTED && place && file->place == place)
			return file;
	}
	return NULL;
}

static struct file *file_new(struct device_file *device, struct access *access,
			     const struct client_who *who)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	if (who)
		file->who = *who;
	file->device = device;
	file->group = device_group(device_file_device(device));
	file->access = access ? access_ref(access) : NULL;
	file->state = STATE_GRANTED;
	file->until = thread_deadline(CLOCK_MONOTONIC, DEVFS_TOKEN_MS);
	return file;
}

/* From here on it can be found. With the lock. */
static void file_publish(struct devfs *devfs, struct file *file)
{
	list_for_each(it, &devfs->backed) {
		struct backed *backed = container_of(it, struct backed, item);

		if (backed->device == device_file_device(file->device))
			file->backing_id = backed->backing_id;
	}
	atomic_store(&devfs->restless, true);
	file->ino = ++devfs->last_ino;
	list_push_back(&devfs->files, &file->item);
	list_push_back(&devfs->chains[file->ino % FILE_CHAINS], &file->chain);
}

int devfs_grant(struct devfs *devfs, struct device_file *device, struct access *access,
		const struct client_who *who,
		uint8_t ret_token[SERVICE_TOKEN_SIZE])
{
	struct file *file;

	if (getrandom(ret_token, SERVICE_TOKEN_SIZE, 0) != SERVICE_TOKEN_SIZE)
		return -EIO;
	file = file_new(device, access, who);
	if (!file)
		return -ENOMEM;
	service_token_name(ret_token, file->name);
	pthread_mutex_lock(&devfs->lock);
	file_publish(devfs, file);
	pthread_mutex_unlock(&devfs->lock);
	return 0;
}

int devfs_grant_place(struct devfs *devfs, struct device_file *device, struct access *access,
		      const struct client_who *who, uint64_t place)
{
	struct file *file, *before;

	if (place == 0 || place > SERVICE_PLACE_MAX)
		return -EINVAL;
	file = file_new(device, access, who);
	if (!file)
		return -ENOMEM;
	file->place = place;
	pthread_mutex_lock(&devfs->lock);
	while ((before = file_find_place(devfs, place)))
		file_release_locked(devfs, before);
	file_publish(devfs, file);
	pthread_mutex_unlock(&devfs->lock);
	return 0;
}

/* A last close may be on its way. With the lock. */
static void file_flushed(struct devfs *devfs, struct file *file)
{
	atomic_store(&devfs->restless, true);
	file->flushed = true;
	file->by_opener = false;
	file->until = thread_deadline(CLOCK_MONOTONIC, file->opener ? DEVFS_RELEASE_MS :
								      DEVFS_SETTLE_MS);
}

void devfs_delivered(struct devfs *devfs, const uint8_t token[SERVICE_TOKEN_SIZE])
{
	char name[SERVICE_TOKEN_NAME_SIZE];
	struct file *file;

	service_token_name(token, name);
	pthread_mutex_lock(&devfs->lock);
	file = file_find_name(devfs, name);
	if (file && file->flushed && file->by_opener) {
		file->flushed = false;
		pthread_cond_broadcast(&devfs->changed);
	}
	pthread_mutex_unlock(&devfs->lock);
}

void devfs_revoke(struct devfs *devfs, const uint8_t token[SERVICE_TOKEN_SIZE])
{
	char name[SERVICE_TOKEN_NAME_SIZE];
	struct file *file;

	service_token_name(token, name);
	pthread_mutex_lock(&devfs->lock);
	file = file_find_name(devfs, name);
	if (file && file->state == STATE_GRANTED)
		file_release_locked(devfs, file);
	pthread_mutex_unlock(&devfs->lock);
}

static bool is_over(const struct timespec *until)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > until->tv_sec ||
	       (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec);
}

static bool is_unsettled(const struct file *file)
{
	return file->flushed || (file->state == STATE_GRANTED && is_over(&file->until));
}

/* One file, of @group or of all, about which there is something to wait for or to do. With
 * the lock. */
static struct file *unsettled(struct devfs *devfs, const struct group *group)
{
	list_for_each(it, &devfs->files) {
		struct file *file = container_of(it, struct file, item);

		if (group && file->group != group)
			continue;
		if (is_unsettled(file))
			return file;
	}
	return NULL;
}

static bool is_among(const struct group *group, const struct group **groups, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (groups[i] == group)
			return true;
	}
	return false;
}

unsigned devfs_unsettled(struct devfs *devfs, const struct group **ret, unsigned max)
{
	bool restless = false;
	unsigned n = 0;

	if (!atomic_load(&devfs->restless))
		return 0;
	pthread_mutex_lock(&devfs->lock);
	list_for_each(it, &devfs->files) {
		struct file *file = container_of(it, struct file, item);

		restless |= file->flushed || file->state == STATE_GRANTED;
		if (n < max && is_unsettled(file) && !is_among(file->group, ret, n))
			ret[n++] = file->group;
	}
	atomic_store(&devfs->restless, restless);
	pthread_mutex_unlock(&devfs->lock);
	return n;
}

void devfs_settle(struct devfs *devfs, const struct group *group)
{
	struct timespec until;
	struct file *file;

	pthread_mutex_lock(&devfs->lock);
	while ((file = unsettled(devfs, group))) {
		until = file->until;
		if (file->state == STATE_GRANTED)
			file_release_locked(devfs, file);
		/* A copy of the fd was closed, and another one is still open. */
		else if (is_over(&until))
			file->flushed = false;
		else
			pthread_cond_timedwait(&devfs->changed, &devfs->lock, &until);
	}
	pthread_mutex_unlock(&devfs->lock);
}

unsigned devfs_count(struct devfs *devfs)
{
	unsigned n = 0;

	pthread_mutex_lock(&devfs->lock);
	list_for_each(it, &devfs->files)
		n++;
	pthread_mutex_unlock(&devfs->lock);
	return n;
}

int devfs_files(struct devfs *devfs, struct open_notes *ret)
{
	int r = 0;

	pthread_mutex_lock(&devfs->lock);
	list_for_each(it, &devfs->files) {
		struct file *file = container_of(it, struct file, item);
		struct object object = { .kind = OBJECT_DEVICE, .device = file->device };

		/* The device of a closed one is being released. */
		if (r == 0 && file->state != STATE_CLOSED)
			r = open_notes_add(ret, &file->who, object);
	}
	pthread_mutex_unlock(&devfs->lock);
	return r;
}

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
	if (ino == FUSE_ROOT_ID || ino & INO_PLACE) {
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
	struct file *file;

	pthread_mutex_lock(&devfs->lock);
	file = parent == FUSE_ROOT_ID ? file_find_name(devfs, name) : NULL;
	if (file && file->state == STATE_GRANTED) {
		entry.ino = file->ino;
	} else if (parent == FUSE_ROOT_ID && place_of(name)) {
		entry.ino = INO_PLACE | place_of(name);
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
	struct file *file;

	pthread_mutex_lock(&devfs->lock);
	file = file_find(devfs, ino);
	if (file)
		file_release_locked(devfs, file);
	pthread_mutex_unlock(&devfs->lock);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct devfs *devfs = devfs_of(req);
	uint32_t backing_id = 0;
	struct file *file;

	pthread_mutex_lock(&devfs->lock);
	file = file_find(devfs, ino);
	if (file && file->state == STATE_GRANTED) {
		file->state = STATE_OPEN;
		file->opener = fuse_req_ctx(req)->pid;
		backing_id = file->backing_id;
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
static struct file *file_use(struct devfs *devfs, fuse_req_t req, fuse_ino_t ino)
{
	struct file *file;

	pthread_mutex_lock(&devfs->lock);
	file = file_find(devfs, ino);
	if (file && file->state == STATE_CLOSED)
		file = NULL;
	if (file)
		file->uses++;
	pthread_mutex_unlock(&devfs->lock);
	if (!file)
		fuse_reply_err(req, ENODEV);
	return file;
}

static void file_unuse(struct devfs *devfs, struct file *file)
{
	pthread_mutex_lock(&devfs->lock);
	if (--file->uses == 0 && file->state == STATE_CLOSING)
		file_release_locked(devfs, file);
	pthread_mutex_unlock(&devfs->lock);
}

/* Of O_TMPFILE, see devfs_wire.h: the file in a place. Its name is one that no file can have. */
static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	struct fuse_entry_param entry = { .generation = 1, .attr_timeout = ATTR_SECONDS };
	struct devfs *devfs = devfs_of(req);
	struct file *file = NULL;

	if (strcmp(name, "/") != 0) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	pthread_mutex_lock(&devfs->lock);
	if (parent & INO_PLACE)
		file = file_find_place(devfs, parent & ~INO_PLACE);
	if (file) {
		file->state = STATE_OPEN;
		file->opener = fuse_req_ctx(req)->pid;
		entry.ino = file->ino;
		devfs_wire_open(file->backing_id);
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
static bool is_allowed(struct file *file, struct request *request)
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
	struct file *file = file_use(devfs, req, ino);
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
	struct file *file = file_use(devfs, req, ino);
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
static bool is_opener(const struct file *file, fuse_req_t req)
{
	return file->opener && file->opener == fuse_req_ctx(req)->pid;
}

static bool was_undelivered(struct devfs *devfs, fuse_ino_t ino, fuse_req_t req)
{
	struct file *file;
	bool was;

	pthread_mutex_lock(&devfs->lock);
	file = file_find(devfs, ino);
	was = file && is_opener(file, req);
	if (was)
		file_flushed(devfs, file);
	pthread_mutex_unlock(&devfs->lock);
	return was;
}

static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
		     struct fuse_file_info *fi, unsigned flags, const void *in_buf,
		     size_t in_size, size_t out_size)
{
	struct devfs *devfs = devfs_of(req);
	struct request request;
	struct file *file;

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
static void close_begins(struct devfs *devfs, struct file *file, fuse_req_t req)
{
	bool was = file->flushed, by_opener = is_opener(file, req);

	if (by_opener)
		file->opener = 0;
	/* Who fetches from a place tells of a file that has come to no client. */
	if (!by_opener || was || !file->place)
		file_flushed(devfs, file);
	file->by_opener = by_opener && !was;
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct devfs *devfs = devfs_of(req);
	struct file *file;

	pthread_mutex_lock(&devfs->lock);
	file = file_find(devfs, ino);
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

static int session_new(struct devfs *devfs, struct cused_error *err)
{
	char *argv[] = { (char[]){ "vfio-cused" }, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct fuse_session *session;
	int r;

	devfs->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (devfs->fd < 0)
		return cused_error_set(err, -errno, "cannot open /dev/fuse: %s; is the module "
				       "fuse there (modprobe fuse)?", strerror(errno));
	session = fuse_session_new(&args, &operations, sizeof(operations), devfs);
	fuse_opt_free_args(&args);
	if (!session || fuse_session_custom_io(session, &devfs_wire_io, devfs->fd)) {
		close(devfs->fd);
		if (session)
			fuse_session_destroy(session);
		return cused_error_set(err, -ENOMEM, "libfuse makes no session");
	}
	devfs->mount = mount_new(devfs->fd);
	if (devfs->mount < 0) {
		r = cused_error_set(err, devfs->mount, "cannot make the devices' file system: "
				    "%s; it needs CAP_SYS_ADMIN and FUSE",
				    strerror(-devfs->mount));
	} else {
		struct channel_params params = { .session = session, .fd = devfs->fd,
						 .id = CHANNEL_DEVFS, .look = look,
						 .look_arg = devfs };

		r = channel_new(devfs->server, &params, &devfs->channel);
		if (r)
			cused_error_set(err, r, "cannot serve the devices' file system: %s",
					strerror(-r));
	}
	if (r)
		fuse_session_destroy(session);
	return r;
}

int devfs_new(struct server *server, devfs_ioctl_fn *ioctl, void *arg, struct devfs **ret,
	      struct cused_error *err)
{
	struct devfs *devfs = calloc(1, sizeof(*devfs));
	int r;

	if (!devfs)
		return cused_error_set(err, -ENOMEM, "out of memory");
	devfs->server = server;
	devfs->ioctl = ioctl;
	devfs->ioctl_arg = arg;
	devfs->mount = -1;
	devfs->last_ino = FUSE_ROOT_ID;
	list_init(&devfs->backed);
	list_init(&devfs->files);
	for (unsigned i = 0; i < FILE_CHAINS; i++)
		list_init(&devfs->chains[i]);
	pthread_mutex_init(&devfs->lock, NULL);
	thread_cond_init(&devfs->changed);
	r = session_new(devfs, err);
	if (r) {
		devfs_free(devfs);
		return r;
	}
	*ret = devfs;
	return 0;
}

int devfs_free(struct devfs *devfs)
{
	int r;

	if (!devfs)
		return 0;
	if (devfs->mount >= 0)
		close(steal_fd(&devfs->mount));
	r = channel_free(devfs->channel);
	if (r)
		return r;
	pthread_mutex_lock(&devfs->lock);
	while (!list_empty(&devfs->files))
		file_release_locked(devfs, container_of(devfs->files.next, struct file, item));
	pthread_mutex_unlock(&devfs->lock);
	list_for_each_safe(it, tmp, &devfs->backed)
		free(container_of(it, struct backed, item));
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

/* A device without memory to map is better off without passthrough: mmap fails. */
static bool is_mappable(const struct device *device)
{
	const struct cused_pci *pci = device_pci(device);

	for (unsigned i = 0; i < sizeof(pci->bars) / sizeof(pci->bars[0]); i++) {
		if (pci->bars[i].n_areas)
			return true;
	}
	return false;
}

int devfs_add_device(struct devfs *devfs, const struct device *device, int memfd)
{
	struct backed *backed;
	int id;

	if (!devfs->offered || !is_mappable(device))
		return 0;
	backed = calloc(1, sizeof(*backed));
	if (!backed)
		return -ENOMEM;
	id = devfs_wire_backing(devfs->fd, memfd);
	if (id < 0) {
		free(backed);
		return id;
	}
	backed->device = device;
	backed->backing_id = (uint32_t)id;
	pthread_mutex_lock(&devfs->lock);
	list_push_back(&devfs->backed, &backed->item);
	pthread_mutex_unlock(&devfs->lock);
	return 0;
}

void devfs_remove_device(struct devfs *devfs, const struct device *device)
{
	struct backed *found = NULL;

	pthread_mutex_lock(&devfs->lock);
	list_for_each(it, &devfs->backed) {
		if (container_of(it, struct backed, item)->device == device)
			found = container_of(it, struct backed, item);
	}
	if (found)
		list_remove(&found->item);
	pthread_mutex_unlock(&devfs->lock);
	if (found)
		devfs_wire_backing_close(devfs->fd, found->backing_id);
	free(found);
}
