/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nvme/store.c - the bytes of a namespace, and the helper thread that waits for the disk.
 *
 * Theory of operation
 *
 *   An image is used with pread and pwrite, so a write that was answered is in the page
 *   cache and survives any death of this process; it is locked as a whole (open file
 *   description lock) for as long as the model lives, against a second run and against
 *   programs that lock likewise.
 *
 *   A model must not block, and fdatasync blocks for as long as the disk likes. So one
 *   helper thread takes struct nvme_async from a list, works, puts it on another list and
 *   kicks the poller. The thread is started by the first job, touches nothing but the
 *   job and its file descriptor, and ends with the model; if it cannot be started, jobs
 *   are done on the spot.
 *
 *   Writes of a namespace are counted. A sync remembers the count at its start and
 *   proves all writes up to it; a flush wants the count at its own start. So many flushes
 *   share one fdatasync, and a flush without a write before it costs nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme.h"

/* ---- open and close ---- */

static int open_memory(struct nvme *n, struct nvme_ns *ns, uint64_t size,
		       struct cused_error *err)
{
	void *mem = NULL;

	if (size > SIZE_MAX / 2)
		return cused_error_set(err, -EFBIG, "nvme: size %" PRIu64 " is more than "
				       "memory can hold: use image=FILE", size);
	if (CUSED_HAS(n->svc, memory))
		mem = n->svc->memory(n->port, ns->nsid - 1, size);
	ns->mem_kept = mem;
	if (!mem)
		mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		return cused_error_set(err, -errno, "nvme: no memory for a namespace of %"
				       PRIu64 " bytes: make size smaller or use image=FILE",
				       size);
	ns->mem = mem;
	ns->bytes = size;
	ns->can_punch = true;
	return 0;
}

/* Nobody else may have the image open for writing; readers may share it. */
static int lock_image(struct nvme_ns *ns, struct cused_error *err)
{
	struct flock l = {
		.l_type = ns->readonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET,
	};

	if (!fcntl(ns->fd, F_OFD_SETLK, &l))
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return cused_error_set(err, -EBUSY, "nvme: image '%s' is in use: end the "
				       "program that has it open, or give each device an "
				       "image of its own", ns->path);
	cused_log(CUSED_LOG_WARNING, "nvme", "image '%s' cannot be locked (%m): make sure "
		  "that nobody else uses it", ns->path);
	return 0;
}

static int open_image(struct nvme_ns *ns, struct cused_error *err)
{
	struct rlimit fsize;
	struct stat st;
	off_t end;
	int rc, flags = (ns->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

	if (stat(ns->path, &st) && errno == ENOENT)
		return cused_error_set(err, -errno, "nvme: image '%s': %m; create it first, "
				       "for instance with: truncate -s 64M '%s'", ns->path,
				       ns->path);
	if (stat(ns->path, &st))
		return cused_error_set(err, -errno, "nvme: image '%s': %m; name a file that "
				       "can be reached", ns->path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return cused_error_set(err, -EINVAL, "nvme: image '%s' is neither a file nor "
				       "a block device: name one that is", ns->path);
	/* O_EXCL on a block device: not while it is mounted. */
	ns->fd = open(ns->path, flags | (S_ISBLK(st.st_mode) ? O_EXCL : 0));
	if (ns->fd < 0 && errno == EBUSY)
		return cused_error_set(err, -errno, "nvme: image '%s' is in use: unmount it, or "
				       "end the program that has it open", ns->path);
	if (ns->fd < 0)
		return cused_error_set(err, -errno, "nvme: image '%s': %m%s", ns->path,
				       (errno == EACCES || errno == EROFS) && !ns->readonly ?
				       "; make it writable or add readonly=on" : "");
	rc = lock_image(ns, err);
	if (rc)
		return rc;
	end = lseek(ns->fd, 0, SEEK_END);
	if (end < 0)
		return cused_error_set(err, -errno, "nvme: image '%s': its size cannot be "
				       "found: %m", ns->path);
	ns->bytes = (uint64_t)end;
	if (S_ISREG(st.st_mode) && !ns->readonly && !getrlimit(RLIMIT_FSIZE, &fsize) &&
	    fsize.rlim_cur != RLIM_INFINITY && fsize.rlim_cur < ns->bytes)
		return cused_error_set(err, -EFBIG, "nvme: image '%s' has %" PRIu64 " bytes, "
				       "but files may be written up to %" PRIu64 " only: "
				       "raise ulimit -f or add readonly=on", ns->path,
				       ns->bytes, (uint64_t)fsize.rlim_cur);
	/* Asked beyond the end, where there is nothing to lose. */
	ns->can_punch = !ns->readonly &&
		(!fallocate(ns->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, end, 4096) ||
		 errno != EOPNOTSUPP);
	return 0;
}

/*
 * nvme_store_open - make a namespace's bytes available.
 * @path: an existing image, or NULL for @size bytes of memory, all zero
 * Return: 0, or a negative errno with @err set; nvme_store_close() is due in any case.
 */
int nvme_store_open(struct nvme *n, struct nvme_ns *ns, const char *path, uint64_t size,
		    unsigned lba_shift, bool readonly, struct cused_error *err)
{
	uint64_t block = 1ull << lba_shift;
	int rc;

	ns->lba_shift = lba_shift;
	ns->readonly = readonly;
	ns->path = path;
	rc = path ? open_image(ns, err) : open_memory(n, ns, size, err);
	if (rc)
		return rc;
	ns->blocks = ns->bytes >> lba_shift;
	if (!ns->bytes)
		return cused_error_set(err, -EINVAL, "nvme: image '%s' is empty: give it a "
				       "size, for instance with: truncate -s 64M '%s'", path,
				       path);
	if (ns->bytes % block)
		return cused_error_set(err, -EINVAL, "nvme: %s%s%s has %" PRIu64 " bytes, "
				       "which is not a multiple of the block size %" PRIu64
				       ": %s%s", path ? "image '" : "namespace of size=",
				       path ? path : "", path ? "'" : "", ns->bytes, block,
				       path ? "extend it with truncate -s %4096 or " :
				       "choose another size or ",
				       lba_shift > 9 ? "use lba=512" : "take a whole number "
				       "of blocks");
	return 0;
}

void nvme_store_close(struct nvme_ns *ns)
{
	if (ns->mem && !ns->mem_kept)
		munmap(ns->mem, ns->bytes);
	if (ns->fd >= 0)
		close(ns->fd);
	ns->mem = NULL;
	ns->fd = -1;
}

/* ---- read and write ---- */

/* The status for an errno; the first one of a namespace is shown to the user. */
uint16_t nvme_store_status(struct nvme *n, struct nvme_ns *ns, int err, bool write)
{
	if (!ns->error_logged)
		cused_log(CUSED_LOG_ERROR, "nvme", "%s: image '%s': %s failed: %s (further "
			  "errors are not shown)", n->svc->name(n->port), ns->path,
			  write ? "write" : "read", err ? strerror(-err) : "end of file");
	ns->error_logged = true;
	if (!write)
		return ST_READ_ERROR;
	return err == -ENOSPC || err == -EDQUOT ? ST_CAPACITY : ST_WRITE_FAULT;
}

uint16_t nvme_store_read(struct nvme *n, struct nvme_ns *ns, uint64_t off, uint8_t *buf,
			 uint32_t len)
{
	while (len) {
		ssize_t got = pread(ns->fd, buf, len, (off_t)off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)	/* 0: somebody made the file shorter */
			return nvme_store_status(n, ns, got ? -errno : 0, false);
		buf += got;
		off += (uint64_t)got;
		len -= (uint32_t)got;
	}
	return ST_OK;
}

static int write_all(int fd, const uint8_t *buf, size_t len, uint64_t off)
{
	while (len) {
		ssize_t put = pwrite(fd, buf, len, (off_t)off);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put ? -errno : -EIO;
		buf += put;
		off += (uint64_t)put;
		len -= (size_t)put;
	}
	return 0;
}

uint16_t nvme_store_write(struct nvme *n, struct nvme_ns *ns, uint64_t off,
			  const uint8_t *buf, uint32_t len)
{
	int rc = write_all(ns->fd, buf, len, off);

	ns->written++;
	return rc ? nvme_store_status(n, ns, rc, true) : ST_OK;
}

/* Whole pages are given back to the system, the rest is cleared. */
void nvme_store_zero_memory(struct nvme_ns *ns, const struct nvme_range *r)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), end = r->offset + r->len;
	uint64_t first = (r->offset + page - 1) & ~(page - 1), last = end & ~(page - 1);
	int give_back = ns->mem_kept ? MADV_REMOVE : MADV_DONTNEED;

	if (last <= first || madvise(ns->mem + first, last - first, give_back)) {
		memset(ns->mem + r->offset, 0, r->len);
		return;
	}
	memset(ns->mem + r->offset, 0, first - r->offset);
	memset(ns->mem + last, 0, end - last);
}

/* ---- the helper ---- */

static int zero_range(int fd, const struct nvme_range *r)
{
	static const uint8_t zeroes[64 << 10];
	uint64_t done = 0;
	int rc = 0;

	if (!fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)r->offset,
		       (off_t)r->len) ||
	    !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)r->offset,
		       (off_t)r->len))
		return 0;
	while (done < r->len && !rc) {
		uint64_t k = r->len - done;

		if (k > sizeof(zeroes))
			k = sizeof(zeroes);
		rc = write_all(fd, zeroes, k, r->offset + done);
		done += k;
	}
	return rc;
}

static int punch(int fd, const struct nvme_range *r)
{
	if (!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)r->offset,
		       (off_t)r->len))
		return 0;
	return errno == EOPNOTSUPP ? zero_range(fd, r) : -errno;
}

static void work(struct nvme_async *a)
{
	a->result = 0;
	if (a->work == WORK_SYNC) {
		a->result = fdatasync(a->ns->fd) ? -errno : 0;
		return;
	}
	for (unsigned i = 0; i < a->n_ranges && !a->result; i++)
		a->result = a->work == WORK_ZERO ? zero_range(a->ns->fd, &a->ranges[i]) :
						   punch(a->ns->fd, &a->ranges[i]);
}

static void *helper(void *arg)
{
	struct nvme *n = arg;
	struct nvme_store *s = &n->store;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		struct nvme_async *a = s->todo;

		if (!a) {
			pthread_cond_wait(&s->wake, &s->lock);
			continue;
		}
		s->todo = a->next;
		if (!s->todo)
			s->todo_tail = &s->todo;
		pthread_mutex_unlock(&s->lock);
		work(a);
		pthread_mutex_lock(&s->lock);
		a->next = NULL;
		*s->done_tail = a;
		s->done_tail = &a->next;
		s->has_done = true;
		n->svc->kick(n->port);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

void nvme_store_init(struct nvme *n)
{
	struct nvme_store *s = &n->store;

	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	s->todo_tail = &s->todo;
	s->done_tail = &s->done;
}

/* Ends the helper after the job that it is at; the others are dropped. */
void nvme_store_done(struct nvme *n)
{
	struct nvme_store *s = &n->store;

	if (s->running) {
		pthread_mutex_lock(&s->lock);
		s->stop = true;
		pthread_cond_signal(&s->wake);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->thread, NULL);
	}
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
}

static bool start_helper(struct nvme *n)
{
	struct nvme_store *s = &n->store;
	sigset_t all, old;

	if (s->running)
		return true;
	/* Signals are for the program's own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	s->running = !pthread_create(&s->thread, NULL, helper, n);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return s->running;
}

/* Give @a (work, ns, ranges set) to the helper. Locks: takes the helper's lock. */
void nvme_store_submit(struct nvme *n, struct nvme_async *a)
{
	struct nvme_store *s = &n->store;
	bool helped = start_helper(n);

	a->busy = true;
	a->next = NULL;
	if (!helped)
		work(a);
	pthread_mutex_lock(&s->lock);
	if (helped) {
		*s->todo_tail = a;
		s->todo_tail = &a->next;
		pthread_cond_signal(&s->wake);
	} else {
		*s->done_tail = a;
		s->done_tail = &a->next;
		s->has_done = true;
	}
	pthread_mutex_unlock(&s->lock);
}

/* Return: finished jobs, linked by next, or NULL. Locks: takes the helper's lock. */
struct nvme_async *nvme_store_reap(struct nvme *n)
{
	struct nvme_store *s = &n->store;
	struct nvme_async *a;

	if (!s->has_done)
		return NULL;
	pthread_mutex_lock(&s->lock);
	a = s->done;
	s->done = NULL;
	s->done_tail = &s->done;
	s->has_done = false;
	pthread_mutex_unlock(&s->lock);
	return a;
}

/* ---- what is on the disk ---- */

static void start_sync(struct nvme *n, struct nvme_ns *ns)
{
	struct nvme_async *a = &n->store.syncs[ns->nsid - 1];

	ns->sync_busy = true;
	ns->sync_target = ns->written;
	*a = (struct nvme_async){ .work = WORK_SYNC, .ns = ns };
	nvme_store_submit(n, a);
}

/* What has to be waited for until all writes so far of the namespaces in @mask are on
 * the disk; starts to bring them there. ret->mask 0: nothing. */
void nvme_store_need(struct nvme *n, unsigned mask, struct nvme_need *ret)
{
	*ret = (struct nvme_need){ .mask = 0 };
	for (unsigned i = 0; i < n->n_ns; i++) {
		struct nvme_ns *ns = &n->ns[i];

		if (!(mask >> i & 1) || ns->fd < 0 || ns->synced >= ns->written)
			continue;
		ret->mask |= 1u << i;
		ret->seq[i] = ns->wanted = ns->written;
		if (!ns->sync_busy)
			start_sync(n, ns);
	}
}

/* A sync came back. Return: its status. */
uint16_t nvme_store_sync_done(struct nvme *n, struct nvme_async *a)
{
	struct nvme_ns *ns = a->ns;

	a->busy = ns->sync_busy = false;
	if (!a->result)
		ns->synced = ns->sync_target;
	return a->result ? nvme_store_status(n, ns, a->result, true) : ST_OK;
}

/* Start the next sync if somebody wants more than the last one proved. */
void nvme_store_sync_more(struct nvme *n, struct nvme_ns *ns)
{
	if (!ns->sync_busy && ns->wanted > ns->sync_target)
		start_sync(n, ns);
}

/* Return: true if nothing of @need is left; what was reached is taken out of it. */
bool nvme_store_met(const struct nvme *n, struct nvme_need *need)
{
	for (unsigned i = 0; i < n->n_ns; i++)
		if (need->mask >> i & 1 && n->ns[i].synced >= need->seq[i])
			need->mask &= ~(1u << i);
	return !need->mask;
}
