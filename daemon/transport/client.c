/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <transport/client.h>
#include <transport/client_mm.h>
#include <transport/kept_files.h>
#include <util/cleanup.h>
#include <util/list.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

/* Threads remembered at a time, at most. A collision costs a new look-up. They are not
 * noticed to have gone, so what they hold, a file or two each, is bounded by a share of the
 * limit, too: 1/FILES_SHARE of it for one file each. */
#define CLIENT_THREADS_KEPT 256
#define FILES_SHARE 8
/* At address spaces of a process before, when a client comes for the first time. */
#define RESTORED_LOOKS 16u

/* Inode of the initial user namespace (PROC_USER_INIT_INO of the kernel's uapi). */
#define USER_NS_INITIAL_INO 0xEFFFFFFDu

struct client_thread {
	atomic_uint refs;
	pid_t tid, tgid;
	int pidfd;
	struct mm *mm;			/* clients->lock; NULL until first asked for */

	/* Of the one call that the thread can be in; the kernel orders these calls. */
	_Atomic uint32_t rights_seen;	/* capabilities when the namespace was looked at */
	_Atomic bool initial_ns;
};

struct clients {
	pthread_mutex_t lock;
	unsigned kept;						/* slots in use, at least 1 */
	struct client_thread *slots[CLIENT_THREADS_KEPT];	/* lock; each holds a ref */
	struct kept_files *files;				/* or NULL */
	struct list restored;					/* lock; struct restored */
};

/* An address space that another process has kept, and no thread of which has been here yet. */
struct restored {
	struct list item;		/* clients->restored */
	struct mm *mm;			/* a reference */
};

static unsigned threads_kept(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 1;
	limit.rlim_cur /= FILES_SHARE;
	if (limit.rlim_cur < 1)
		return 1;
	return limit.rlim_cur < CLIENT_THREADS_KEPT ? (unsigned)limit.rlim_cur :
						      CLIENT_THREADS_KEPT;
}

int clients_new(struct clients **ret)
{
	struct clients *clients = calloc(1, sizeof(*clients));

	if (!clients)
		return -ENOMEM;
	pthread_mutex_init(&clients->lock, NULL);
	clients->kept = threads_kept();
	list_init(&clients->restored);
	*ret = clients;
	return 0;
}

static int restore_mm(void *arg, struct kept *kept, uint64_t id, int fd, uint64_t word)
{
	struct clients *clients = arg;
	struct restored *restored = calloc(1, sizeof(*restored));
	int r;

	if (!restored)
		return -ENOMEM;
	r = client_mm_renew(clients->files, kept, id, fd, word, &restored->mm);
	if (r)
		free(restored);
	else
		list_push_back(&clients->restored, &restored->item);
	return r;
}

int clients_keep(struct clients *clients, struct keep *keep, struct fd_keep *fds)
{
	int r = kept_files_new(KEEP_MM, "mm", NULL, keep, fds, &clients->files);

	return r ? r : kept_restore(clients->files, restore_mm, clients);
}

struct mm *client_mm_restore(struct clients *clients, uint64_t id)
{
	struct mm *mm = NULL;

	pthread_mutex_lock(&clients->lock);
	list_for_each(it, &clients->restored) {
		struct restored *restored = container_of(it, struct restored, item);

		if (restored->mm->keep_id == id)
			mm = mm_ref(restored->mm);
	}
	pthread_mutex_unlock(&clients->lock);
	return mm;
}

/* Forget all threads. Those in use stay until they are put. */
static void forget_all(struct clients *clients)
{
	struct client_thread *threads[CLIENT_THREADS_KEPT];

	pthread_mutex_lock(&clients->lock);
	memcpy(threads, clients->slots, sizeof(threads));
	memset(clients->slots, 0, sizeof(clients->slots));
	pthread_mutex_unlock(&clients->lock);
	for (size_t i = 0; i < CLIENT_THREADS_KEPT; i++)
		client_put(threads[i]);
}

static void restored_free(struct restored *restored)
{
	list_remove(&restored->item);
	mm_unref(restored->mm);
	free(restored);
}

void clients_free(struct clients *clients)
{
	if (!clients)
		return;
	forget_all(clients);
	list_for_each_safe(it, tmp, &clients->restored)
		restored_free(container_of(it, struct restored, item));
	kept_files_unref(clients->files);
	pthread_mutex_destroy(&clients->lock);
	free(clients);
}

void client_put(struct client_thread *thread)
{
	if (!thread || atomic_fetch_sub(&thread->refs, 1) != 1)
		return;
	close(thread->pidfd);
	mm_unref(thread->mm);
	free(thread);
}

/* Line by line: that of groups can be longer than any buffer. A part of it is numbers, and
 * so no name. */
int client_status(pid_t tid, const char *name, char *ret, size_t size)
{
	size_t length = strlen(name);
	char path[64], line[256];
	FILE *f;

	*ret = '\0';
	/* CAP_DAC_OVERRIDE: folders of other users' processes, fd/ above all; and images. */
	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? -ESRCH : -errno;
	errno = 0;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, length) || line[length] != ':')
			continue;
		length += 1 + strspn(line + length + 1, "\t ");
		snprintf(ret, size, "%.*s", (int)strcspn(line + length, "\n"), line + length);
		break;
	}
	length = (size_t)errno;		/* ESRCH: it has gone since */
	fclose(f);
	return *ret ? 0 : -(int)length;
}

pid_t client_tgid(pid_t tid)
{
	char tgid[16];
	int r = client_status(tid, "Tgid", tgid, sizeof(tgid));

	if (r)
		return r;
	r = atoi(tgid);
	return r > 0 ? r : -ESRCH;
}

pid_t client_thread_tgid(const struct client_thread *thread)
{
	return thread->tgid;
}

/* @ret_keep: the pidfd tells when the thread is gone, so the entry may be kept. */
static int thread_new(pid_t tid, struct client_thread **ret, bool *ret_keep)
{
	struct client_thread *thread;
	pid_t tgid = client_tgid(tid);
	int pidfd;

	if (tgid < 0)
		return (int)tgid;
	*ret_keep = true;
	pidfd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
	if (pidfd < 0 && errno == EINVAL) {
		pidfd = (int)syscall(SYS_pidfd_open, tgid, 0);
		*ret_keep = tid == tgid;
	}
	if (pidfd < 0)
		return -errno;
	thread = calloc(1, sizeof(*thread));
	if (!thread) {
		close(pidfd);
		return -ENOMEM;
	}
	atomic_init(&thread->refs, 1);
	thread->tid = tid;
	thread->tgid = tgid;
	thread->pidfd = pidfd;
	*ret = thread;
	return 0;
}

/* Signal 0 through the pidfd: is it still that thread? */
static bool thread_alive(const struct client_thread *thread)
{
	return syscall(SYS_pidfd_send_signal, thread->pidfd, 0, NULL, 0) == 0 ||
	       errno != ESRCH;
}

static bool no_files(int r)
{
	return r == -EMFILE || r == -ENFILE;
}

int client_get(struct clients *clients, pid_t tid, bool verify, struct client_thread **ret)
{
	struct client_thread **slot = &clients->slots[(unsigned)tid % clients->kept];
	struct client_thread *thread, *old = NULL;
	bool keep;
	int r;

	pthread_mutex_lock(&clients->lock);
	thread = *slot;
	if (thread && thread->tid == tid)
		atomic_fetch_add(&thread->refs, 1);
	else
		thread = NULL;
	pthread_mutex_unlock(&clients->lock);
	if (thread) {
		if (!verify || thread_alive(thread)) {
			*ret = thread;
			return 0;
		}
		client_put(thread);
	}

	r = thread_new(tid, &thread, &keep);
	if (no_files(r)) {
		forget_all(clients);
		r = thread_new(tid, &thread, &keep);
	}
	if (r)
		return r;
	if (keep) {
		pthread_mutex_lock(&clients->lock);
		old = *slot;
		*slot = thread;
		atomic_fetch_add(&thread->refs, 1);
		pthread_mutex_unlock(&clients->lock);
		client_put(old);
	}
	*ret = thread;
	return 0;
}

int client_dup_fd(struct client_thread *thread, int fd)
{
	int copy = (int)syscall(SYS_pidfd_getfd, thread->pidfd, fd, 0);

	return copy < 0 ? -errno : copy;
}

#define RIGHTS (1u << CAP_IPC_LOCK | 1u << CAP_SYS_RAWIO)

/*
 * Capabilities count in the initial user namespace only. capget() speaks of the set that
 * the thread holds in its own namespace, so that one is looked at if it matters, which
 * costs more than all the rest: once, and again when the set has changed, as it does for
 * a thread that gains rights by a new namespace.
 */
static bool in_initial_ns(struct client_thread *thread, uint32_t effective)
{
	char path[64];
	struct stat st;

	if (!(effective & RIGHTS))
		return false;
	if (thread->rights_seen != effective) {
		snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)thread->tid);
		thread->initial_ns = stat(path, &st) == 0 && st.st_ino == USER_NS_INITIAL_INO;
		thread->rights_seen = effective;
	}
	return thread->initial_ns;
}

static void caller_rights(struct client_thread *thread, struct caller *caller)
{
	pid_t tid = thread->tid;
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3, .pid = tid,
	};
	struct __user_cap_data_struct data[2] = { 0 };
	struct rlimit64 limit;

	caller->memlock_limit = 0;
	/* CAP_SYS_RESOURCE: to read a limit of another user's. */
	if (prlimit64(tid, RLIMIT_MEMLOCK, NULL, &limit) == 0)
		caller->memlock_limit = limit.rlim_cur == RLIM64_INFINITY ?
						UINT64_MAX : limit.rlim_cur;
	if (syscall(SYS_capget, &header, data))
		return;
	if (!in_initial_ns(thread, data[0].effective))
		return;
	caller->cap_ipc_lock = data[0].effective & 1u << CAP_IPC_LOCK;
	caller->cap_sys_rawio = data[0].effective & 1u << CAP_SYS_RAWIO;
}

/* Let go of those whose process is no more, some at a time. With the lock. */
static void restored_sweep(struct clients *clients)
{
	for (unsigned i = 0; i < RESTORED_LOOKS && !list_empty(&clients->restored); i++) {
		struct restored *restored = container_of(clients->restored.next,
							 struct restored, item);

		if (restored->mm->ops->alive(restored->mm)) {
			list_remove(&restored->item);
			list_push_back(&clients->restored, &restored->item);
		} else {
			restored_free(restored);
		}
	}
}

/* Of a thread that comes for the first time: was its address space here before us? With the
 * lock; so nothing is asked that another process could stall. */
static struct mm *mm_find_restored(struct clients *clients, pid_t tgid)
{
	struct mm *found = NULL;

	list_for_each_safe(it, tmp, &clients->restored) {
		struct restored *restored = container_of(it, struct restored, item);

		if (client_mm_tgid(restored->mm) != tgid)
			continue;
		if (!found && client_mm_alive(restored->mm))
			found = mm_ref(restored->mm);
		restored_free(restored);
	}
	restored_sweep(clients);
	return found;
}

/* An address space that another thread of the process has asked for already. */
static struct mm *mm_find(struct clients *clients, pid_t tgid)
{
	for (size_t i = 0; i < CLIENT_THREADS_KEPT; i++) {
		struct client_thread *thread = clients->slots[i];

		if (thread && thread->tgid == tgid && thread->mm &&
		    client_mm_alive(thread->mm))
			return mm_ref(thread->mm);
	}
	return NULL;
}

/* @ret: valid as long as the caller's reference to @thread. */
static int thread_mm(struct clients *clients, struct client_thread *thread, struct mm **ret)
{
	struct mm *old = NULL;
	int r = 0;

	pthread_mutex_lock(&clients->lock);
	if (thread->mm && !client_mm_alive(thread->mm))
		old = steal_ptr(thread->mm);
	if (!thread->mm)
		thread->mm = mm_find(clients, thread->tgid);
	if (!thread->mm)
		thread->mm = mm_find_restored(clients, thread->tgid);
	if (!thread->mm)
		r = client_mm_new(thread->tgid, clients->files, &thread->mm);
	*ret = thread->mm;
	pthread_mutex_unlock(&clients->lock);
	mm_unref(old);
	return r;
}

int client_caller(struct clients *clients, struct client_thread *thread,
		  struct caller *ret)
{
	int r;

	*ret = (struct caller){ 0 };
	r = thread_mm(clients, thread, &ret->mm);
	if (no_files(r)) {
		forget_all(clients);
		r = thread_mm(clients, thread, &ret->mm);
	}
	caller_rights(thread, ret);
	return r;
}

int client_read(pid_t tid, uint64_t addr, void *buf, size_t len)
{
	struct iovec local = { buf, len }, remote = { (void *)(uintptr_t)addr, len };
	ssize_t n;

	if (len == 0)
		return 0;
	n = process_vm_readv(tid, &local, 1, &remote, 1, 0);
	if (n < 0)
		return errno == ESRCH || errno == EPERM ? -errno : -EFAULT;
	return (size_t)n == len ? 0 : -EFAULT;
}

int client_writev(pid_t tid, const struct iovec *local, const struct iovec *remote, size_t n)
{
	size_t total = 0;
	ssize_t done;

	for (size_t i = 0; i < n; i++)
		total += local[i].iov_len;
	if (total == 0)
		return 0;
	done = process_vm_writev(tid, local, n, remote, n, 0);
	if (done < 0)
		return errno == ESRCH || errno == EPERM ? -errno : -EFAULT;
	return (size_t)done == total ? 0 : -EFAULT;
}

int client_write(pid_t tid, uint64_t addr, const void *buf, size_t len)
{
	struct iovec local = { (void *)(uintptr_t)buf, len };
	struct iovec remote = { (void *)(uintptr_t)addr, len };

	return client_writev(tid, &local, &remote, 1);
}

size_t client_read_str(pid_t tid, uint64_t addr, char *buf, size_t len)
{
	size_t done = 0, page = 4096;

	while (done < len) {
		size_t chunk = page - (size_t)((addr + done) & (page - 1));

		if (chunk > len - done)
			chunk = len - done;
		if (client_read(tid, addr + done, buf + done, chunk))
			break;
		done += chunk;
		if (memchr(buf + done - chunk, '\0', chunk))
			break;
	}
	return done;
}
