/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <linux/vfio.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <transport/trap_filter.h>
#include <transport/window.h>
#include <util/cleanup.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/* All VFIO commands are _IO(';', n); the kernel looks at 32 bits of the number. */
#define COMMAND_MASK 0xffffff00u
#define COMMAND_TYPE 0x3b00u

struct rule {
	int nr;
	unsigned arg;
	uint64_t mask, value;
};

static const struct rule native_rules[] = {
	{ SCMP_SYS(pread64), 3, WINDOW_TAG_MASK, WINDOW_TAG },
	{ SCMP_SYS(pread64), 3, WINDOW_LEGACY_MASK, WINDOW_LEGACY },
	{ SCMP_SYS(pwrite64), 3, WINDOW_TAG_MASK, WINDOW_TAG },
	{ SCMP_SYS(pwrite64), 3, WINDOW_LEGACY_MASK, WINDOW_LEGACY },
	{ SCMP_SYS(preadv), 3, WINDOW_TAG_MASK, WINDOW_TAG },
	{ SCMP_SYS(preadv), 3, WINDOW_LEGACY_MASK, WINDOW_LEGACY },
	{ SCMP_SYS(pwritev), 3, WINDOW_TAG_MASK, WINDOW_TAG },
	{ SCMP_SYS(pwritev), 3, WINDOW_LEGACY_MASK, WINDOW_LEGACY },
	{ SCMP_SYS(preadv2), 3, WINDOW_TAG_MASK, WINDOW_TAG },
	{ SCMP_SYS(preadv2), 3, WINDOW_LEGACY_MASK, WINDOW_LEGACY },
	{ SCMP_SYS(pwritev2), 3, WINDOW_TAG_MASK, WINDOW_TAG },
	{ SCMP_SYS(pwritev2), 3, WINDOW_LEGACY_MASK, WINDOW_LEGACY },
	{ SCMP_SYS(ioctl), 1, COMMAND_MASK, COMMAND_TYPE },
	{ SCMP_SYS(mmap), 5, WINDOW_TAG_MASK, WINDOW_TAG },
	{ SCMP_SYS(openat), 2, TRAP_OPEN_MASK, O_RDWR },
	{ SCMP_SYS(open), 1, TRAP_OPEN_MASK, O_RDWR },
};

/* For exec: native calls only. Those of other tables go through to the service's node. */
static const struct rule exec_rules[] = {
	{ SCMP_SYS(ioctl), 1, 0xffffffffu, VFIO_GROUP_GET_DEVICE_FD },
};

static const struct rule i386_rules[] = {
	{ SCMP_SYS(ioctl), 1, COMMAND_MASK, COMMAND_TYPE },
};

static int rules_add(scmp_filter_ctx ctx, const struct rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, rules[i].nr, 1,
					 SCMP_CMP64(rules[i].arg, SCMP_CMP_MASKED_EQ,
						    rules[i].mask, rules[i].value));
		if (r)
			return r;
	}
	return 0;
}

static scmp_filter_ctx context_new(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	/* Another architecture's calls reach plain files only. */
	if (ctx && seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW)) {
		seccomp_release(ctx);
		ctx = NULL;
	}
	return ctx;
}

#ifdef __x86_64__
static int i386_merge(scmp_filter_ctx ctx)
{
	scmp_filter_ctx other = context_new();
	int r;

	if (!other)
		return -ENOMEM;
	r = seccomp_arch_remove(other, SCMP_ARCH_NATIVE);
	if (!r)
		r = seccomp_arch_add(other, SCMP_ARCH_X86);
	if (!r)
		r = rules_add(other, i386_rules, sizeof(i386_rules) / sizeof(i386_rules[0]));
	if (!r)
		r = seccomp_merge(ctx, other);	/* frees it */
	if (r)
		seccomp_release(other);
	return r;
}
#else
static int i386_merge(scmp_filter_ctx ctx)
{
	return 0;
}
#endif

static int program_export(scmp_filter_ctx ctx, struct sock_fprog *ret)
{
	cleanup_close int fd = memfd_create("vfio-cused-filter", MFD_CLOEXEC);
	struct sock_filter *code;
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	r = seccomp_export_bpf(ctx, fd);
	if (r)
		return r;
	if (fstat(fd, &st))
		return -errno;
	code = malloc((size_t)st.st_size);
	if (!code)
		return -ENOMEM;
	if (pread(fd, code, (size_t)st.st_size, 0) != st.st_size) {
		free(code);
		return -EIO;
	}
	ret->filter = code;
	ret->len = (unsigned short)((size_t)st.st_size / sizeof(*code));
	return 0;
}

static int build(const struct rule *rules, size_t n, bool with_i386, struct sock_fprog *ret,
		 struct cused_error *err)
{
	scmp_filter_ctx ctx = context_new();
	int r = -ENOMEM;

	if (ctx)
		r = rules_add(ctx, rules, n);
	if (!r && with_i386)
		r = i386_merge(ctx);
	if (!r)
		r = program_export(ctx, ret);
	seccomp_release(ctx);
	if (r)
		return cused_error_set(err, r,
				       "cannot make the seccomp filter: %s (needs libseccomp "
				       "2.5 and a kernel with seccomp user notification)",
				       strerror(-r));
	return 0;
}

int trap_filter_build(struct sock_fprog *ret, struct cused_error *err)
{
	return build(native_rules, sizeof(native_rules) / sizeof(native_rules[0]), true, ret,
		     err);
}

int trap_filter_build_exec(struct sock_fprog *ret, struct cused_error *err)
{
	return build(exec_rules, sizeof(exec_rules) / sizeof(exec_rules[0]), false, ret, err);
}

int trap_filter_install(const struct sock_fprog *program)
{
	/* SPEC_ALLOW: the client's speculation is nobody's business but its own. */
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER |
			      SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV |
			      SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);

	return fd < 0 ? -errno : (int)fd;
}

const char *trap_filter_cure(int code)
{
	switch (code) {
	case -EINVAL:
		return "this kernel is too old: Linux 5.19 or later with seccomp user "
		       "notification is needed";
	case -EBUSY:
		return "this process runs under another seccomp supervisor already "
		       "(vfio-cused run inside vfio-cused run, or a container manager that "
		       "listens): start it from outside";
	case -EACCES:
		return "no_new_privs is off and CAP_SYS_ADMIN is missing";
	case -ENOSYS:
		return "this kernel is built without CONFIG_SECCOMP_FILTER";
	default:
		return strerror(-code);
	}
}
