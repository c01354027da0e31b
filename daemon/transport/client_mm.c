/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/client_mm.c - struct mm of a client process.
 *
 * Copies use process_vm_readv/writev. /proc/PID/mem would be tied to the address space,
 * which is what we want, but it copies a page at a time through a bounce buffer and takes
 * one range per call.
 *
 * What lies where is asked of the open maps file with PROCMAP_QUERY (Linux 6.11), else by
 * reading its text.
 */
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <transport/client.h>
#include <transport/client_mm.h>
#include <transport/kept_files.h>
#include <util/cleanup.h>
#include <util/list.h>
#include <util/range.h>
#include <vfio-cused/iommu.h>

/* From the kernel's uapi linux/fs.h, which our oldest headers lack. */
struct procmap_query {
	uint64_t size, query_flags, query_addr;
	uint64_t vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
	uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
	uint64_t vma_name_addr, build_id_addr;
};
_Static_assert(sizeof(struct procmap_query) == 104, "layout of PROCMAP_QUERY");
#define PROCMAP_QUERY_IOCTL _IOWR('f', 17, struct procmap_query)

struct client_mm {
	struct mm mm;
	pid_t tgid;
	int maps;			/* pins the address space's identity */
	int mem;			/* for kernels without PROCMAP_QUERY, else -1 */
	bool has_query;
	struct kept_files *files;	/* or NULL */
	struct kept *kept;		/* the files' lock */
};

/* Of a kept one, beside its number of process: the file is mem, not maps. */
#define WORD_MEM (1ull << 32)

static struct client_mm *client_mm_of(const struct mm *mm)
{
	return container_of(mm, struct client_mm, mm);
}

pid_t client_mm_tgid(const struct mm *mm)
{
	return client_mm_of(mm)->tgid;
}

static int open_proc(pid_t pid, const char *name, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? (errno == ENOENT ? -ESRCH : -errno) : fd;
}

/* ---- layout ---- */

/* Return: 0 and the VMA that covers @addr; -EFAULT none does; -ESRCH gone. */
static int vma_query(const struct client_mm *mm, uint64_t addr, struct client_vma *ret)
{
	struct procmap_query q = { .size = sizeof(q), .query_addr = addr };

	if (ioctl(mm->maps, PROCMAP_QUERY_IOCTL, &q))
		return errno == ENOENT ? -EFAULT : -errno;
	*ret = (struct client_vma){ .start = q.vma_start, .end = q.vma_end,
			     .offset = q.vma_offset, .inode = q.inode,
			     .flags = (unsigned)q.vma_flags,
			     .dev = makedev(q.dev_major, q.dev_minor) };
	return 0;
}

static bool vma_parse(const char *line, struct client_vma *ret)
{
	unsigned long long start, end, offset, inode;
	unsigned major_, minor_;
	char perms[5];

	if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu", &start, &end, perms, &offset,
		   &major_, &minor_, &inode) != 7)
		return false;
	*ret = (struct client_vma){ .start = start, .end = end, .offset = offset, .inode = inode,
			     .flags = (perms[0] == 'r' ? CLIENT_VMA_READABLE : 0) |
				      (perms[1] == 'w' ? CLIENT_VMA_WRITABLE : 0) |
				      (perms[3] == 's' ? CLIENT_VMA_SHARED : 0),
			     .dev = makedev(major_, minor_) };
	return true;
}

/* The same from the text. A file of its own, because readers share the position. */
static int vma_scan(const struct client_mm *mm, uint64_t addr, struct client_vma *ret)
{
	char path[64], *line = NULL;
	size_t size = 0;
	FILE *maps;
	int r = -EFAULT;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)mm->tgid);
	maps = fopen(path, "re");
	if (!maps)
		return -ESRCH;
	while (getline(&line, &size, maps) > 0) {
		if (!vma_parse(line, ret) || ret->end <= addr)
			continue;
		if (ret->start <= addr)
			r = 0;
		break;
	}
	free(line);
	fclose(maps);
	return r;
}

static int vma_find(const struct client_mm *mm, uint64_t addr, struct client_vma *ret)
{
	return mm->has_query ? vma_query(mm, addr, ret) : vma_scan(mm, addr, ret);
}

int client_mm_vma(const struct mm *mm, uint64_t addr, struct client_vma *ret)
{
	return vma_find(client_mm_of(mm), addr, ret);
}

bool client_mm_alive(struct mm *base)
{
	struct client_mm *mm = client_mm_of(base);
	struct client_vma vma;
	char byte;

	if (mm->has_query) {
		int r = vma_query(mm, 0, &vma);

		return r == 0 || r == -EFAULT;
	}
	/* 0 bytes: the address space has no user left; an unmapped address is EIO. */
	return pread(mm->mem, &byte, 1, 4096) != 0;
}

/*
 * T1-032: a shared mapping of a file whose file system wants to know of each write cannot
 * be pinned for writing. Memory file systems do not want to; those of the kernel's own
 * (memfd, hugetlbfs without a mount) are in no list of mounts.
 */
static bool tracks_dirty_pages(const struct client_mm *mm, const struct client_vma *vma)
{
	static const char *const memory[] = { "tmpfs", "ramfs", "hugetlbfs", "devtmpfs" };
	char path[64], type[32], *line = NULL, *rest;
	unsigned major_, minor_;
	size_t size = 0;
	bool r = false;
	FILE *mounts;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)mm->tgid);
	mounts = fopen(path, "re");
	while (mounts && getline(&line, &size, mounts) > 0) {
		rest = strstr(line, " - ");
		if (!rest || sscanf(line, "%*d %*d %u:%u", &major_, &minor_) != 2 ||
		    makedev(major_, minor_) != vma->dev || sscanf(rest, " - %31s", type) != 1)
			continue;
		r = true;
		for (size_t i = 0; i < sizeof(memory) / sizeof(memory[0]); i++)
			r = r && strcmp(type, memory[i]) != 0;
		break;
	}
	free(line);
	if (mounts)
		fclose(mounts);
	return r;
}

/* By the number of its process, which another may have by now. client_mm_alive() is exact, but
 * waits for who changes the layout. */
static bool mm_alive(struct mm *base)
{
	char state[4];

	return client_status(client_mm_of(base)->tgid, "State", state, sizeof(state)) == 0 &&
	       *state != 'Z' && *state != 'X';
}

static int mm_check(struct mm *base, uint64_t addr, uint64_t size, unsigned prot)
{
	struct client_mm *mm = client_mm_of(base);
	unsigned need = (prot & CUSED_PROT_READ ? CLIENT_VMA_READABLE : 0) |
			(prot & CUSED_PROT_WRITE ? CLIENT_VMA_WRITABLE : 0);
	struct cused_range range;
	struct client_vma vma;

	if (range_from_size(addr, size, &range))
		return -EFAULT;
	for (uint64_t at = range.first;; at = vma.end) {
		if (vma_find(mm, at, &vma))
			return -EFAULT;		/* T1-032: nothing mapped, or gone */
		if ((vma.flags & need) != need)
			return -EFAULT;		/* T1-032: rights */
		if ((prot & CUSED_PROT_WRITE) && (vma.flags & CLIENT_VMA_SHARED) &&
		    vma.inode && tracks_dirty_pages(mm, &vma))
			return -EFAULT;
		if (vma.end - 1 >= range.last)
			return 0;
	}
}

/* ---- copies ---- */

/* Some thread of the process that has memory; the leader may have exited before others. */
static pid_t live_thread(const struct client_mm *mm)
{
	char path[64];
	struct dirent *entry;
	pid_t found = -ESRCH;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)mm->tgid);
	dir = opendir(path);
	if (!dir)
		return -ESRCH;
	while (found < 0 && (entry = readdir(dir))) {
		struct iovec iov = { (char[1]){ 0 }, 1 }, none = { NULL, 1 };
		pid_t tid = (pid_t)atoi(entry->d_name);

		/* Address 0 is never mapped: EFAULT means that there is memory at all. */
		if (tid > 0 && process_vm_readv(tid, &iov, 1, &none, 1, 0) < 0 &&
		    errno == EFAULT)
			found = tid;
	}
	closedir(dir);
	return found;
}

static size_t iov_total(const struct iovec *iov, size_t n)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += iov[i].iov_len;
	return total;
}

typedef ssize_t copy_fn(pid_t, const struct iovec *, unsigned long, const struct iovec *,
			unsigned long, unsigned long);

static int mm_copy(struct mm *base, copy_fn *fn, const struct iovec *local, size_t n_local,
		   const struct iovec *remote, size_t n_remote)
{
	struct client_mm *mm = client_mm_of(base);
	size_t total = iov_total(remote, n_remote);
	ssize_t n;
	pid_t tid;

	if (!client_mm_alive(base))
		return -EFAULT;
	n = fn(mm->tgid, local, n_local, remote, n_remote, 0);
	if (n < 0 && errno == ESRCH) {
		tid = live_thread(mm);
		if (tid > 0)
			n = fn(tid, local, n_local, remote, n_remote, 0);
	}
	return n >= 0 && (size_t)n == total ? 0 : -EFAULT;
}

/* CAP_SYS_PTRACE: copies from and to memory of processes of all users. */
static int mm_read(struct mm *mm, const struct iovec *local, size_t n_local,
		   const struct iovec *remote, size_t n_remote)
{
	return mm_copy(mm, process_vm_readv, local, n_local, remote, n_remote);
}

static int mm_write(struct mm *mm, const struct iovec *local, size_t n_local,
		    const struct iovec *remote, size_t n_remote)
{
	return mm_copy(mm, process_vm_writev, local, n_local, remote, n_remote);
}

/* ---- sharing ---- */

/* Files whose pages we may map: memory that no other program has a say in. A file of a
 * FUSE mount could stop us for ever. Return: its mapping granularity, or 0. */
static uint64_t share_granularity(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return 0;
	if (fs.f_type == TMPFS_MAGIC)
		return (uint64_t)sysconf(_SC_PAGESIZE);
	if (fs.f_type == HUGETLBFS_MAGIC)
		return (uint64_t)fs.f_bsize;
	return 0;
}

/* Without asking the file's file system, which the client may serve itself and stall. */
static bool is_file_of(int dir, const char *name, const struct client_vma *vma)
{
	struct statx st;

	return statx(dir, name, AT_STATX_DONT_SYNC, STATX_INO, &st) == 0 &&
	       st.stx_ino == vma->inode &&
	       makedev(st.stx_dev_major, st.stx_dev_minor) == vma->dev;
}

/* The client's fd of the file that a VMA maps: a copy, or -EOPNOTSUPP. */
static int share_fd(const struct client_mm *mm, const struct client_vma *vma)
{
	cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, mm->tgid, 0);
	char path[64];
	struct dirent *entry;
	struct stat st;
	int found = -EOPNOTSUPP;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)mm->tgid);
	dir = pidfd < 0 ? NULL : opendir(path);
	if (!dir)
		return -EOPNOTSUPP;
	while (found < 0 && (entry = readdir(dir))) {
		int fd;

		if (entry->d_name[0] == '.' ||
		    !is_file_of(dirfd(dir), entry->d_name, vma))
			continue;
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(entry->d_name), 0);
		if (fd < 0)
			continue;
		/* The number may mean another file by now. */
		if (fstat(fd, &st) || st.st_ino != vma->inode || st.st_dev != vma->dev ||
		    (fcntl(fd, F_GETFL) & O_PATH))
			close(fd);
		else
			found = fd;
	}
	closedir(dir);
	return found;
}

struct share_map {
	void *base;
	size_t size;
};

static int mm_share(struct mm *base, uint64_t addr, uint64_t size, unsigned prot,
		    struct mm_share *ret)
{
	struct client_mm *mm = client_mm_of(base);
	int rights = (prot & CUSED_PROT_READ ? PROT_READ : 0) |
		     (prot & CUSED_PROT_WRITE ? PROT_WRITE | PROT_READ : 0);
	cleanup_close int fd = -1;
	struct share_map *map;
	struct cused_range range;
	struct client_vma vma;
	uint64_t unit, from, skip;
	void *p;

	if (range_from_size(addr, size, &range) || vma_find(mm, addr, &vma) ||
	    !(vma.flags & CLIENT_VMA_SHARED) || vma.end - 1 < range.last)
		return -EOPNOTSUPP;
	from = vma.offset + (addr - vma.start);
	fd = share_fd(mm, &vma);
	/* It has closed its fd, or we may not copy fds: with more rights there is another way. */
	if (fd < 0 && client_mm_file(base, mm->tgid, addr, size, prot, &fd, &from))
		return -EOPNOTSUPP;
	unit = share_granularity(fd);
	if (unit == 0)
		return -EOPNOTSUPP;
	skip = from & (unit - 1);
	map = malloc(sizeof(*map));
	if (!map)
		return -ENOMEM;
	map->size = (size_t)((skip + size + unit - 1) & ~(unit - 1));
	p = mmap(NULL, map->size, rights, MAP_SHARED, fd, (off_t)(from - skip));
	if (p == MAP_FAILED) {
		free(map);
		return -EOPNOTSUPP;
	}
	map->base = p;
	ret->base = (char *)p + skip;
	ret->priv = map;
	return 0;
}

static void mm_unshare(struct mm *base, struct mm_share *share, uint64_t size)
{
	struct share_map *map = share->priv;

	munmap(map->base, map->size);
	free(map);
	*share = (struct mm_share){ 0 };
}

static void mm_free(struct mm *base)
{
	struct client_mm *mm = client_mm_of(base);

	kept_drop(mm->files, mm->kept);
	kept_files_unref(mm->files);
	if (mm->maps >= 0)
		close(mm->maps);
	if (mm->mem >= 0)
		close(mm->mem);
	free(mm);
}

/* The file that tells whether the address space is there. */
static uint64_t mm_keep_op(struct mm *base)
{
	struct client_mm *mm = client_mm_of(base);
	uint64_t word = (uint64_t)mm->tgid | (mm->has_query ? 0 : WORD_MEM);

	return kept_put(mm->files, &mm->kept, &base->keep_id,
			mm->has_query ? mm->maps : mm->mem, word);
}

static const struct mm_ops client_mm_ops = {
	.read = mm_read,
	.write = mm_write,
	.check = mm_check,
	.alive = mm_alive,
	.share = mm_share,
	.unshare = mm_unshare,
	.free = mm_free,
	.keep = mm_keep_op,
};

int client_mm_new(pid_t tgid, struct kept_files *files, struct mm **ret)
{
	struct client_mm *mm = calloc(1, sizeof(*mm));
	struct client_vma vma;
	int r;

	if (!mm)
		return -ENOMEM;
	mm->tgid = tgid;
	mm->mem = -1;
	mm->maps = open_proc(tgid, "maps", O_RDONLY);
	if (mm->maps < 0) {
		r = mm->maps;
		free(mm);
		return r;
	}
	r = vma_query(mm, 0, &vma);
	mm->has_query = r == 0 || r == -EFAULT || r == -ESRCH;
	if (!mm->has_query) {
		mm->mem = open_proc(tgid, "mem", O_RDONLY);
		if (mm->mem < 0) {
			r = mm->mem;
			close(mm->maps);
			free(mm);
			return r;
		}
	}
	mm->files = kept_files_ref(files);
	mm_init(&mm->mm, &client_mm_ops);
	*ret = &mm->mm;
	return 0;
}

int client_mm_renew(struct kept_files *files, struct kept *kept, uint64_t id, int fd,
		    uint64_t word, struct mm **ret)
{
	struct client_mm *mm = calloc(1, sizeof(*mm));

	if (!mm)
		return -ENOMEM;
	mm->tgid = (pid_t)(uint32_t)word;
	mm->has_query = !(word & WORD_MEM);
	mm->maps = mm->has_query ? fd : -1;
	mm->mem = mm->has_query ? -1 : fd;
	mm->files = kept_files_ref(files);
	mm->kept = kept;
	mm_init(&mm->mm, &client_mm_ops);
	mm->mm.keep_id = id;
	*ret = &mm->mm;
	return 0;
}

/* ---- nobody's ---- */

static int none_copy(struct mm *mm, const struct iovec *local, size_t n_local,
		     const struct iovec *remote, size_t n_remote)
{
	return -EFAULT;
}

static int none_check(struct mm *mm, uint64_t addr, uint64_t size, unsigned prot)
{
	return -EFAULT;
}

static int none_share(struct mm *mm, uint64_t addr, uint64_t size, unsigned prot,
		      struct mm_share *ret)
{
	return -EOPNOTSUPP;
}

static void none_free(struct mm *mm)
{
}

struct mm *client_mm_none(void)
{
	static const struct mm_ops none_ops = {
		.read = none_copy, .write = none_copy, .check = none_check,
		.share = none_share, .free = none_free,
	};
	/* A reference that nobody drops. */
	static struct mm none = { .ops = &none_ops, .refs = 1 };

	return &none;
}
