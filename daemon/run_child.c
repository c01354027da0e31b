/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run_child.c - from fork to exec: namespaces, mounts, filter. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <transport/sysfs.h>
#include <transport/trap_filter.h>
#include <util/cleanup.h>

#include "run.h"
#include "supervise.h"

/* ---- before the fork: is it a program that we can serve? ---- */

/* As execvp() finds it. Return: an open file or -1. */
static int open_command(const char *name)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX];

	if (strchr(name, '/'))
		return open(name, O_RDONLY | O_CLOEXEC);
	if (!path)
		path = "/bin:/usr/bin";
	while (*path) {
		int len = (int)strcspn(path, ":");

		snprintf(file, sizeof(file), "%.*s/%s", len ? len : 1, len ? path : ".", name);
		if (access(file, X_OK) == 0)
			return open(file, O_RDONLY | O_CLOEXEC);
		path += len;
		path += *path == ':';
	}
	return -1;
}

int run_check_command(const char *name, struct cused_error *err)
{
	cleanup_close int fd = open_command(name);
	unsigned char ident[EI_NIDENT];
	struct stat st;

	/* Not a fifo, whose read would wait. */
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) ||
	    pread(fd, ident, sizeof(ident), 0) != sizeof(ident) ||
	    memcmp(ident, ELFMAG, SELFMAG) != 0 || ident[EI_CLASS] == ELFCLASS64)
		return 0;
	return cused_error_set(err, -ENOEXEC, "%s is a 32-bit program, which run cannot serve: "
			       "use a 64-bit build of it", name);
}

/* ---- namespaces ---- */

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

static int map_ids(uid_t uid, gid_t gid, struct cused_error *err)
{
	char text[64];
	int r;

	write_file("/proc/self/setgroups", "deny");
	snprintf(text, sizeof(text), "%u %u 1", gid, gid);
	r = write_file("/proc/self/gid_map", text);
	if (r == 0) {
		snprintf(text, sizeof(text), "%u %u 1", uid, uid);
		r = write_file("/proc/self/uid_map", text);
	}
	return r ? cused_error_set(err, r, "cannot map the user into its namespace: %s",
				   strerror(-r)) : 0;
}

/*
 * A mount namespace; for those who may not have one just so, in a user namespace.
 * @ret_privileged: there was no need of a user namespace
 */
static int namespaces_enter(bool *ret_privileged, struct cused_error *err)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r = 0;

	*ret_privileged = unshare(CLONE_NEWNS) == 0;
	if (!*ret_privileged) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
			return cused_error_set(err, -errno,
				"cannot make a user namespace: %s (see sysctl user."
				"max_user_namespaces, kernel.unprivileged_userns_clone and "
				"kernel.apparmor_restrict_unprivileged_userns, the container "
				"manager's seccomp profile; or run as root)",
				strerror(errno));
		r = map_ids(uid, gid, err);
	}
	if (r == 0 && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
		r = cused_error_set(err, -errno, "cannot make the mounts of the client its "
				    "own: %s%s", strerror(errno), errno == EACCES ?
				    " (kernel.apparmor_restrict_unprivileged_userns = 0 "
				    "would allow it)" : errno == EINVAL ?
				    " (/ is no mount point, as after chroot: "
				    "mount --bind ROOT ROOT before it)" : "");
	return r;
}

/* ---- the child ---- */

static int prepare(const struct run_child *child, int ret_fds[RUN_FDS],
		   struct cused_error *err)
{
	bool privileged;
	int r;

	r = namespaces_enter(&privileged, err);
	if (r)
		return r;
	/* After the user namespace, whose making clears it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != child->supervisor)
		_exit(RUN_EXIT_FAILED);
	r = sysfs_mount(child->sysfs, "/sys", err);
	if (r == 0)
		r = run_dev_mount(child->nodes, err);
	if (r)
		return r;
	ret_fds[RUN_FD_DIRECTORY] = open("/dev/vfio", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ret_fds[RUN_FD_DIRECTORY] < 0)
		return cused_error_set(err, -errno, "cannot open /dev/vfio: %s",
				       strerror(errno));
	if (!privileged && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return cused_error_set(err, -errno, "cannot set no_new_privs: %s",
				       strerror(errno));
	r = trap_filter_install(&child->filter);
	if (r < 0)
		return cused_error_set(err, r, "cannot install the seccomp filter: %s",
				       trap_filter_cure(r));
	ret_fds[RUN_FD_LISTENER] = r;
	return 0;
}

void run_child(const struct run_child *child)
{
	int fds[RUN_FDS] = { -1, -1 };
	struct hello hello = { 0 };

	hello.code = prepare(child, fds, &hello.err);
	if (hello_send(child->socket, &hello, fds, RUN_FDS) || hello.code)
		_exit(RUN_EXIT_FAILED);
	close(fds[RUN_FD_LISTENER]);
	close(fds[RUN_FD_DIRECTORY]);
	supervise_exec(child->socket, &child->inherited, child->argv, "run");
}
