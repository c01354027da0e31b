/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/trap_open.c - open() of a container or group node.
 *
 * Trapped so that a second open of a group fails with EBUSY right there (CG-052) and each
 * open of the container node is told apart from the start. Most opens of a client are of
 * other files and are waved through after a look at the last component of the path. A
 * path that gets past us (through a symbolic link of another name, or in a mode that is
 * not trapped) opens the plain file; it becomes ours at its first VFIO ioctl.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <transport/trap_internal.h>
#include <util/cleanup.h>

#define PATH_BYTES	4096	/* PATH_MAX, with the NUL */
#define WALKS_IN_CACHE	3

bool trap_open_name_matches(const char *path)
{
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	if (strcmp(name, "vfio") == 0)
		return true;
	if (strncmp(name, "noiommu-", 8) == 0)
		name += 8;
	return *name && name[strspn(name, "0123456789")] == '\0' && strlen(name) <= 10;
}

/*
 * Walk the path as the client would, without opening anything. Magic links would mean our
 * own files in /proc/self/fd.
 *
 * Our nodes are in the cache of names; a walk that goes beyond it could have to wait for
 * a file system of the client's. But a walk in the cache also gives up when the tree
 * changes under it, anywhere on the machine, so in the end the other kind is made: at
 * worst it stalls this receiver (trap.h).
 * Return: an O_PATH fd, or -errno.
 */
static int resolve(struct client_thread *thread, pid_t tid, int dirfd, const char *path,
		   bool nofollow)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC | (nofollow ? O_NOFOLLOW : 0),
				.resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_CACHED };
	cleanup_close int base = -1;
	char proc[64];
	long fd;

	if (*path == '/') {
		how.resolve |= RESOLVE_IN_ROOT;
		snprintf(proc, sizeof(proc), "/proc/%d/root", (int)tid);
		base = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
	} else if (dirfd == AT_FDCWD) {
		snprintf(proc, sizeof(proc), "/proc/%d/cwd", (int)tid);
		base = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
	} else {
		base = client_dup_fd(thread, dirfd);
	}
	if (base < 0)
		return -EBADF;
	for (unsigned tries = 0; tries < WALKS_IN_CACHE; tries++) {
		fd = syscall(SYS_openat2, base, path, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			return fd < 0 ? -errno : (int)fd;
	}
	how.resolve &= ~(uint64_t)RESOLVE_CACHED;
	fd = syscall(SYS_openat2, base, path, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

/* The node of ours that the path leads to, or NULL. */
static struct node *find_node(struct trap_call *call, struct client_thread *thread,
			      int dirfd, const char *path, int flags, int *ret_via)
{
	int via = resolve(thread, (pid_t)call->req->pid, dirfd, path, flags & O_NOFOLLOW);
	struct node *node = NULL;
	struct stat st;

	if (via < 0)
		return NULL;
	if (fstat(via, &st) == 0)
		node = handles_node(call->trap->handles, st.st_dev, st.st_ino);
	if (!node || node_kind(node) == OBJECT_DEVICE) {
		close(via);
		return NULL;
	}
	*ret_via = via;
	return node;
}

static int open_node(struct trap_call *call, struct client_thread *thread,
		     struct node *node, int via, int flags)
{
	struct handles *handles = call->trap->handles;
	struct client_who who;
	struct object object;
	int fd, r;

	handles_sync(handles);		/* CG-052: a file closed before is closed */
	r = trap_open_object(call, thread, node, &object);
	if (r)
		return r;
	client_who((pid_t)call->req->pid, &who);
	r = handle_new(handles, node, via, object, &who, &fd);
	if (r) {
		trap_release_object(object);
		return r;
	}
	if (flags & (O_NONBLOCK | O_APPEND))
		fcntl(fd, F_SETFL, flags & (O_NONBLOCK | O_APPEND));
	r = trap_give_fd(call, fd, flags & O_CLOEXEC);
	if (r < 0)
		handles_sync(handles);
	return r;
}

void trap_open(struct trap_call *call, int dirfd, uint64_t path_addr, int flags)
{
	pid_t tid = (pid_t)call->req->pid;
	struct client_thread *thread;
	char path[PATH_BYTES];
	struct node *node;
	size_t n;
	int via;

	trap_continue(call);
	n = client_read_str(tid, path_addr, path, sizeof(path));
	if (!memchr(path, '\0', n) || !trap_open_name_matches(path) || !trap_valid(call))
		return;
	if (client_get(call->trap->clients, tid, true, &thread))
		return;
	node = find_node(call, thread, dirfd, path, flags, &via);
	if (node) {
		trap_answer(call, open_node(call, thread, node, via, flags));
		close(via);
	}
	client_put(thread);
}
