/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <transport/confine.h>

/* ---- capabilities ---- */

#define CAP(name) (1ull << CAP_##name)

/* Of the service alone, of its agent, of a courier. */
#define SERVICE_CAPABILITIES                                                                    \
	(CAP(SYS_ADMIN) | CAP(SYS_PTRACE) | CAP(DAC_OVERRIDE) | CAP(CHOWN) | CAP(FOWNER) |      \
	 CAP(MKNOD) | CAP(SYS_RESOURCE))
#define AGENT_CAPABILITIES                                                                      \
	(CAP(SYS_ADMIN) | CAP(SYS_PTRACE) | CAP(DAC_OVERRIDE) | CAP(CHOWN) | CAP(FOWNER) |      \
	 CAP(MKNOD) | CAP(SYS_RESOURCE))
#define COURIER_CAPABILITIES                                                                    \
	(CAP(SYS_ADMIN) | CAP(SYS_PTRACE) | CAP(DAC_OVERRIDE) | CAP(SYS_RESOURCE))

static const uint64_t kept[CONFINE_WHO] = {
	[CONFINE_SERVICE] = SERVICE_CAPABILITIES,
	[CONFINE_SERVICE_AND_AGENT] = SERVICE_CAPABILITIES | AGENT_CAPABILITIES,
	[CONFINE_AGENT] = AGENT_CAPABILITIES,
	[CONFINE_COURIER] = COURIER_CAPABILITIES,
};

/* Where the bounding set may not be changed, it is a manager's, and changes nothing for who can
 * get no capability by executing a program. */
static int bounding_set(uint64_t keep)
{
	for (unsigned cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (cap < 64 && (keep & 1ull << cap))
			continue;
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 &&
		    prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) && errno != EPERM)
			return -errno;
	}
	return 0;
}

/* Return: 0; -errno. */
static int own_sets(uint64_t keep)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	for (unsigned i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(keep >> 32 * i);
		data[i].effective &= data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

int confine_capabilities(enum confine_who who, struct cused_error *err)
{
	int r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;

	/* Bounds and ambient ones matter to who executes a program. A courier does not, and a
	 * client waits for it. */
	if (r == 0 && who != CONFINE_COURIER) {
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
		r = bounding_set(kept[who]);
	}
	if (r == 0)
		r = own_sets(kept[who]);
	return r ? cused_error_set(err, r, "cannot give up capabilities: %s", strerror(-r)) : 0;
}

/* ---- system calls ---- */

#define CALL(name) SCMP_SYS(name)

/* Nobody's work. Some are behind capabilities that are gone; who finds a way around those
 * stands before these. */
static const int nobodys[] = {
	/* the kernel, other kernels, its modules and programs */
	CALL(init_module), CALL(finit_module), CALL(delete_module), CALL(kexec_load),
	CALL(kexec_file_load), CALL(reboot), CALL(bpf), CALL(perf_event_open),
	CALL(userfaultfd), CALL(io_uring_setup), CALL(syslog), CALL(iopl), CALL(ioperm),
	CALL(modify_ldt), CALL(personality), CALL(vhangup), CALL(lookup_dcookie),
	/* the machine's clocks, names, disks */
	CALL(settimeofday), CALL(clock_settime), CALL(clock_adjtime), CALL(adjtimex),
	CALL(sethostname), CALL(setdomainname), CALL(swapon), CALL(swapoff), CALL(acct),
	CALL(quotactl),
	/* another user, another view of the file system, files without a path */
	CALL(setuid), CALL(setgid), CALL(setreuid), CALL(setregid), CALL(setresuid),
	CALL(setresgid), CALL(setfsuid), CALL(setfsgid), CALL(setgroups), CALL(setns),
	CALL(unshare), CALL(chroot), CALL(pivot_root), CALL(open_by_handle_at),
	/* keys */
	CALL(add_key), CALL(request_key), CALL(keyctl),
	/* where pages of others are */
	CALL(process_madvise), CALL(move_pages), CALL(migrate_pages),
};

/* The devices' file system is there before a service's calls are confined. */
static const int mounting_of_service[] = {
	CALL(fsopen), CALL(fsconfig), CALL(fsmount), CALL(fspick),
};

/* What its agent does for /sys and for clients. */
static const int agents[] = {
	CALL(mount), CALL(umount2), CALL(open_tree), CALL(move_mount), CALL(mount_setattr),
	CALL(ptrace),
};

static const int executing[] = { CALL(execve), CALL(execveat) };

static int refuse(scmp_filter_ctx filter, const int *calls, size_t n)
{
	int r = 0;

	/* One that this architecture lacks is refused anyway. */
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (calls[i] >= 0)
			r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
	}
	return r;
}

#define REFUSE(filter, calls) refuse(filter, calls, sizeof(calls) / sizeof((calls)[0]))

/* A service asks whether two files of its own are one (backends/device/host); its agent, whether
 * those of clients are. */
static int refuse_comparing_others(scmp_filter_ctx filter)
{
	scmp_datum_t own = (scmp_datum_t)getpid();
	int r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), CALL(kcmp), 1,
				 SCMP_A0(SCMP_CMP_NE, own, 0));

	return r ? r : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), CALL(kcmp), 1,
					SCMP_A1(SCMP_CMP_NE, own, 0));
}

static int build(scmp_filter_ctx filter)
{
	int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	/* Calls of another architecture have other numbers. */
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
	if (r == 0)
		r = REFUSE(filter, nobodys);
	if (r == 0)
		r = REFUSE(filter, mounting_of_service);
	if (r == 0)
		r = REFUSE(filter, executing);
	if (r == 0)
		r = REFUSE(filter, agents);
	if (r == 0)
		r = refuse_comparing_others(filter);
	return r ? r : seccomp_load(filter);
}

int confine_calls(enum confine_who who, struct cused_error *err)
{
	scmp_filter_ctx filter;
	int r;

	if (who != CONFINE_SERVICE)
		return 0;
	filter = seccomp_init(SCMP_ACT_ALLOW);
	r = filter ? build(filter) : -ENOMEM;
	if (filter)
		seccomp_release(filter);
	return r ? cused_error_set(err, r, "cannot give up system calls: %s (seccomp is needed)",
				   strerror(-r)) : 0;
}
