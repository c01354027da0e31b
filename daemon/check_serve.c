/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_serve.c - what the service needs: rights, CUSE, FUSE, ptrace, free names. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <util/cleanup.h>

#include "checks.h"

#define YAMA_SCOPE	"/proc/sys/kernel/yama/ptrace_scope"
#define FUSE_ANSWER_MS	5000

/* linux/fuse.h, 6.9: bit 37 of the flags that the kernel offers. */
#define OFFERS_PASSTHROUGH (1u << (37 - 32))

/* Inode of the initial user namespace (PROC_USER_INIT_INO of the kernel's uapi). */
#define USER_NS_INITIAL_INO 0xEFFFFFFDu

/* ---- rights ---- */

static const struct {
	unsigned number;
	const char *name;
} capabilities[] = {
	{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN" }, { CAP_SYS_PTRACE, "CAP_SYS_PTRACE" },
	{ CAP_MKNOD, "CAP_MKNOD" }, { CAP_CHOWN, "CAP_CHOWN" }, { CAP_FOWNER, "CAP_FOWNER" },
};

void check_serve_rights(struct finding *f)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	char missing[128] = "";
	struct stat st;

	syscall(SYS_capget, &header, data);
	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
		unsigned number = capabilities[i].number;

		if (!(data[number / 32].effective & 1u << number % 32))
			snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing),
				 " %s", capabilities[i].name);
	}
	if (*missing) {
		check_found(f, "without%s", missing);
		check_cure(f, "start it as root, or as a service of systemd; in a container, it "
			   "needs these capabilities, too");
	} else if (stat("/proc/self/ns/user", &st) == 0 && st.st_ino != USER_NS_INITIAL_INO) {
		check_found(f, "root of a user namespace only");
		check_cure(f, "start it outside of user namespaces (rootless containers, "
			   "unshare -U)");
	} else {
		check_found(f, "there are the capabilities of root");
		f->ok = true;
	}
}

/* ---- CUSE and FUSE ---- */

static void check_node(struct finding *f, const char *path, const char *module,
		       const char *option)
{
	cleanup_close int fd = open(path, O_RDWR | O_CLOEXEC);
	int e = errno;

	f->ok = fd >= 0;
	if (f->ok) {
		check_found(f, "%s can be opened", path);
		return;
	}
	check_found(f, "%s: %s", path, strerror(e));
	if (e == EACCES || e == EPERM)
		check_cure(f, "start it as root; in a container, give it the device %s", path);
	else
		check_cure(f, "modprobe %s (as root; %s in the kernel's configuration); in a "
			   "container, on the host, and give it the device %s", module, option,
			   path);
}

void check_serve_cuse(struct finding *f)
{
	check_node(f, "/dev/cuse", "cuse", "CONFIG_CUSE");
}

void check_serve_fuse(struct finding *f)
{
	check_node(f, "/dev/fuse", "fuse", "CONFIG_FUSE_FS");
}

/* The kernel begins by telling what it can do, as soon as something is mounted. */
static int read_offer(int fuse)
{
	struct pollfd p = { .fd = fuse, .events = POLLIN };
	char space[FUSE_MIN_READ_BUFFER];
	struct fuse_init_in init = { 0 };
	ssize_t n;

	if (poll(&p, 1, FUSE_ANSWER_MS) <= 0)
		return ETIMEDOUT;
	n = read(fuse, space, sizeof(space));
	if (n < 0)
		return errno;
	if ((size_t)n < sizeof(struct fuse_in_header) + sizeof(init))
		return EOPNOTSUPP;	/* an old kernel, which has no second word of flags */
	memcpy(&init, space + sizeof(struct fuse_in_header), sizeof(init));
	return init.flags & FUSE_INIT_EXT && init.flags2 & OFFERS_PASSTHROUGH ? 0 : EOPNOTSUPP;
}

static int try_passthrough(void)
{
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[64];

	if (fuse < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return errno;
	/* Nobody looks into it: the place does not matter. It goes with the namespace. */
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	if (mount("check", "/proc", "fuse", MS_NOSUID | MS_NODEV, options) < 0)
		return errno;
	return read_offer(fuse);
}

void check_serve_passthrough(struct finding *f)
{
	int e = check_in_child(try_passthrough);

	f->ok = true;
	f->limited = e != 0;
	if (e == 0) {
		check_found(f, "regions can be mapped");
		return;
	}
	if (e == EOPNOTSUPP)
		check_found(f, "not offered; regions are offered without mmap");
	else
		check_found(f, "cannot be tried: %s", check_why(e));
	check_cure(f, "for mmap of regions, boot Linux 6.9 or later with "
		   "CONFIG_FUSE_PASSTHROUGH");
}

/* ---- the kernel's own ---- */

/* Not under /sys/class, where a running service of ours has an entry, too. */
void check_serve_vfio(struct finding *f)
{
	struct stat st;

	f->ok = lstat("/sys/dev/char/10:196", &st) < 0;
	check_found(f, f->ok ? "is not loaded" : "is loaded and has /dev/vfio/vfio");
	if (!f->ok)
		check_cure(f, "unload it: modprobe -r vfio_iommu_type1 vfio_pci vfio (as root); or "
			   "start the service with --service replace=on (it takes the name) or "
			   "--prefix DIR (it takes others); vfio-cused run works beside it");
}

/* ---- ptrace ---- */

/* The courier's way into a client, tried on a child. */
static int try_seize(void)
{
	int hold[2], e;
	pid_t pid;
	char c;

	if (pipe2(hold, O_CLOEXEC) < 0)
		return errno;
	pid = fork();
	if (pid == 0) {
		close(hold[1]);
		_exit(read(hold[0], &c, 1) < 0);
	}
	if (pid < 0)
		return errno;
	e = ptrace(PTRACE_SEIZE, pid, 0, 0) < 0 ? errno : 0;
	close(hold[1]);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return e;
}

void check_serve_ptrace(struct finding *f)
{
	int e = check_in_child(try_seize);

	f->ok = e == 0;
	check_found(f, e ? "cannot be used: %s" : "can be used", check_why(e));
	if (e == 0)
		return;
	if (check_read_number(YAMA_SCOPE) == 3)
		check_cure(f, "Yama forbids every look into a client: boot with kernel.yama."
			   "ptrace_scope at 2 or less");
	else
		check_cure(f, "start it as root; in a container, allow the system call ptrace");
}
