/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check_run.c - what `run` needs: a kernel, seccomp notification, namespaces, mounts, access
 * to a client from outside, long files. Some of it the service needs, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include <util/cleanup.h>

#include "checks.h"
#include "run.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)	/* linux/seccomp.h, 5.19 */
#endif

#define KERNEL_MAJOR 5
#define KERNEL_MINOR 19

/* ---- kernel ---- */

void check_kernel(struct finding *f)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	uname(&u);
	if (sscanf(u.release, "%u.%u", &major, &minor) != 2)
		major = 0;
	check_found(f, "%s %s, %s", u.sysname, u.release, u.machine);
	f->ok = major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR);
	if (!f->ok)
		check_cure(f, "boot Linux %u.%u or later", KERNEL_MAJOR, KERNEL_MINOR);
#ifndef __x86_64__
	f->ok = false;
	check_cure(f, "use an x86-64 machine: no other kind is supported");
#endif
}

/* ---- seccomp user notification ---- */

static int install_listener(unsigned long flags)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return errno;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) < 0)
		return errno;
	return 0;
}

static int try_listener(void)
{
	return install_listener(SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

static int try_killable_listener(void)
{
	return install_listener(SECCOMP_FILTER_FLAG_NEW_LISTENER |
				SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
}

void check_notification(struct finding *f)
{
	int e = check_in_child(try_killable_listener);

	f->ok = e == 0;
	if (e == 0) {
		check_found(f, "works, with WAIT_KILLABLE_RECV");
	} else if (e == EBUSY) {
		check_found(f, "this shell is under a listener already");
		check_cure(f, "start vfio-cused outside of the other `vfio-cused run`, container or "
			"sandbox: the kernel allows one listener per process");
	} else if (e == EINVAL && check_in_child(try_listener) == 0) {
		check_found(f, "works, but without WAIT_KILLABLE_RECV");
		check_cure(f, "boot Linux %u.%u or later; without it an interrupted call would be "
			"carried out twice", KERNEL_MAJOR, KERNEL_MINOR);
	} else {
		check_found(f, "seccomp: %s", check_why(e));
		check_cure(f, "boot a kernel with CONFIG_SECCOMP_FILTER; in a container, allow the "
			"system call seccomp");
	}
}

/* ---- namespaces ---- */

static int write_text(const char *path, const char *text)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : errno;
}

/* As run does: those who may make a mount namespace need no user namespace. */
static int enter_namespaces(void)
{
	unsigned uid = geteuid(), gid = getegid();
	char map[64];
	int e;

	if (unshare(CLONE_NEWNS) == 0)
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return errno;
	snprintf(map, sizeof(map), "%u %u 1\n", uid, uid);
	e = write_text("/proc/self/setgroups", "deny");
	if (e == 0)
		e = write_text("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "%u %u 1\n", gid, gid);
	return e ? e : write_text("/proc/self/gid_map", map);
}

static int enter_and_mount(void)
{
	int e = enter_namespaces();

	if (e)
		return e;
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
	    mount("check", "/sys", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0)
		return errno;
	return 0;
}

static void cure_namespaces(struct finding *f, int e)
{
	if (check_read_number("/proc/sys/user/max_user_namespaces") == 0)
		check_cure(f, "allow them: sysctl -w user.max_user_namespaces=10000 (as root)");
	else if (check_read_number("/proc/sys/kernel/unprivileged_userns_clone") == 0)
		check_cure(f, "allow them: sysctl -w kernel.unprivileged_userns_clone=1 (as root)");
	else if (check_read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
		check_cure(f, "AppArmor restricts them: sysctl -w "
			"kernel.apparmor_restrict_unprivileged_userns=0, or give this program "
			"an AppArmor profile with the rule \"userns,\" (as root)");
	else if (e == ENOSPC || e == EUSERS)
		check_cure(f, "too many namespaces exist, or too deep: raise user."
			"max_user_namespaces and user.max_mnt_namespaces with sysctl (as root)");
	else if (e == EINVAL || e == ENOSYS)
		check_cure(f, "boot a kernel with CONFIG_USER_NS");
	else
		check_cure(f, "in a container, let it use the system calls unshare and mount (Docker: "
			"--security-opt seccomp=unconfined --security-opt apparmor=unconfined "
			"--security-opt systempaths=unconfined)");
}

void check_namespaces(struct finding *f)
{
	int e = check_in_child(enter_namespaces);

	f->ok = e == 0;
	check_found(f, e ? "cannot be made: %s" : "can be made", check_why(e));
	if (e)
		cure_namespaces(f, e);
}

void check_mounts(struct finding *f)
{
	int e = check_in_child(enter_and_mount);

	f->ok = e == 0;
	check_found(f, e ? "cannot mount a tmpfs in a namespace of its own: %s" :
	      "can be made in a namespace of its own", check_why(e));
	if (e == EINVAL)
		check_cure(f, "/ is no mount point, as after chroot: mount --bind ROOT ROOT before it");
	else if (e)
		cure_namespaces(f, e);
}

void check_sysfs(struct finding *f)
{
	struct stat st;

	f->ok = stat("/sys", &st) == 0 && S_ISDIR(st.st_mode);
	check_found(f, f->ok ? "/sys is there" : "/sys is not there");
	if (!f->ok)
		check_cure(f, "mkdir /sys, and mount -t sysfs sysfs /sys (as root)");
}

void check_proc(struct finding *f)
{
	bool there = access("/proc/self/uid_map", W_OK) == 0;
	int e = errno;

	f->ok = there && run_proc_is_ours();
	if (there)
		check_found(f, f->ok ? "/proc is mounted" : "/proc is of another PID namespace");
	else
		check_found(f, "/proc/self/uid_map: %s", strerror(e));
	if (!f->ok)
		check_cure(f, "mount -t proc proc /proc (as root)");
}

/* ---- the client's memory and descriptors, seen from outside its namespace ---- */

struct client {
	pid_t pid;
	int hold;		/* closed: the child ends */
};

static uint64_t probe_word;	/* private to each process after fork() */
#define PROBE_VALUE 0x564649304355u

static void client_stop(struct client *client)
{
	if (client->hold >= 0)
		close(client->hold);
	if (client->pid > 0)
		while (waitpid(client->pid, NULL, 0) < 0 && errno == EINTR)
			;
}

static void client_body(int ready, int hold)
{
	int e = enter_namespaces();
	char c;

	probe_word = PROBE_VALUE;
	if (write(ready, &e, sizeof(e)) == sizeof(e))
		while (read(hold, &c, 1) < 0 && errno == EINTR)
			;
	_exit(0);
}

/* A child in namespaces of its own that waits to be looked at. */
static int client_start(struct client *client)
{
	int ready[2] = { -1, -1 }, hold[2] = { -1, -1 };
	int e = 0;

	*client = (struct client){ .pid = -1, .hold = -1 };
	if (pipe2(ready, O_CLOEXEC) < 0)
		return errno;
	if (pipe2(hold, O_CLOEXEC) < 0) {
		e = errno;
		close(ready[0]);
		close(ready[1]);
		return e;
	}
	fflush(NULL);
	client->pid = fork();
	if (client->pid == 0) {
		close(ready[0]);
		close(hold[1]);
		client_body(ready[1], hold[0]);
	}
	if (client->pid < 0)
		e = errno;
	close(ready[1]);
	close(hold[0]);
	client->hold = hold[1];
	if (e == 0 && read(ready[0], &e, sizeof(e)) != sizeof(e))
		e = EIO;
	close(ready[0]);
	return e;
}

static int try_memory(pid_t pid)
{
	uint64_t value = 0;
	struct iovec local = { &value, sizeof(value) };
	struct iovec remote = { &probe_word, sizeof(probe_word) };

	if (process_vm_readv(pid, &local, 1, &remote, 1, 0) != sizeof(value) ||
	    process_vm_writev(pid, &local, 1, &remote, 1, 0) != sizeof(value))
		return errno;
	return value == PROBE_VALUE ? 0 : EIO;
}

static int try_descriptor(pid_t pid)
{
	cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	cleanup_close int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, 2, 0);

	return fd < 0 ? errno : 0;
}

static void check_access(struct finding *f, int (*attempt)(pid_t), const char *calls)
{
	struct client client;
	int e = client_start(&client);

	if (e == 0)
		e = attempt(client.pid);
	client_stop(&client);
	f->ok = e == 0;
	if (e == 0) {
		check_found(f, "%s work", calls);
		return;
	}
	check_found(f, "%s: %s", calls, check_why(e));
	if (check_read_number("/proc/sys/kernel/yama/ptrace_scope") == 3)
		check_cure(f, "Yama forbids it: boot with kernel.yama.ptrace_scope at 2 or less");
	else if (e == ENOSYS)
		check_cure(f, "boot a kernel with CONFIG_CROSS_MEMORY_ATTACH");
	else
		check_cure(f, "in a container, allow the system calls %s", calls);
}

void check_memory(struct finding *f)
{
	check_access(f, try_memory, "process_vm_readv and process_vm_writev");
}

void check_descriptors(struct finding *f)
{
	check_access(f, try_descriptor, "pidfd_open and pidfd_getfd");
}

/* ---- device files ---- */

/* As run does: it raises the soft limit for itself, as far as it may. */
static void raise_file_size(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
	signal(SIGXFSZ, SIG_IGN);
}

static int try_memfd(void)
{
	int fd = memfd_create("check", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	raise_file_size();
	if (fd < 0 || ftruncate(fd, INT64_MAX) < 0)
		return errno;
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 (off_t)(0x564ull << 52)) == MAP_FAILED)
		return errno;
	return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0 ?
		errno : 0;
}

void check_memfd(struct finding *f)
{
	int e = check_in_child(try_memfd);

	f->ok = e == 0;
	check_found(f, e ? "cannot make a long sparse memfd: %s" : "can be made", check_why(e));
	if (e == EFBIG)
		check_cure(f, "the hard limit on file sizes is in the way; start where `ulimit -Hf` "
			"says unlimited");
	else if (e == EACCES)
		check_cure(f, "sysctl -w vm.memfd_noexec=0 (as root)");
	else if (e)
		check_cure(f, "boot a kernel with CONFIG_MEMFD_CREATE and CONFIG_TMPFS");
}
