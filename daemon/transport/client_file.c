/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/client_file.c - the file behind a client's shared memory, for a device of the
 * machine.
 *
 * The file is opened through /proc/PID/map_files, which also finds files that have no name
 * and no fd: shared anonymous memory, a memfd whose fd was closed. A client can put a file of
 * a file system of its own there, and opening that could take for ever. So its device number is
 * compared first with those of memory file systems, and what is then opened is held by an
 * O_PATH descriptor, of which nobody is asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <transport/client_mm.h>
#include <util/cleanup.h>
#include <util/range.h>
#include <vfio-cused/iommu.h>

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21u << 26)
#endif
#ifndef MFD_HUGE_1GB
#define MFD_HUGE_1GB (30u << 26)
#endif

/* The file systems that the kernel has mounted for itself, which are in no list of mounts:
 * those of memfds, which serve shared anonymous and System V memory as well. */
static bool is_kernels(dev_t dev)
{
	static const unsigned kinds[] = { 0, MFD_HUGETLB | MFD_HUGE_2MB,
					  MFD_HUGETLB | MFD_HUGE_1GB };
	bool r = false;

	for (size_t i = 0; !r && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int fd = memfd_create("vfio-cused", MFD_CLOEXEC | kinds[i]);
		struct stat st;

		if (fd < 0)
			continue;
		r = fstat(fd, &st) == 0 && st.st_dev == dev;
		close(fd);
	}
	return r;
}

/* A tmpfs or hugetlbfs among the client's mounts. */
static bool is_mounted(pid_t tid, dev_t dev)
{
	char path[64], type[32], *line = NULL, *rest;
	unsigned major_, minor_;
	size_t size = 0;
	bool r = false;
	FILE *mounts;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)tid);
	mounts = fopen(path, "re");
	while (mounts && !r && getline(&line, &size, mounts) > 0) {
		rest = strstr(line, " - ");
		r = rest && sscanf(line, "%*d %*d %u:%u", &major_, &minor_) == 2 &&
		    makedev(major_, minor_) == dev && sscanf(rest, " - %31s", type) == 1 &&
		    (!strcmp(type, "tmpfs") || !strcmp(type, "hugetlbfs"));
	}
	free(line);
	if (mounts)
		fclose(mounts);
	return r;
}

/* Return: an fd; -EOPNOTSUPP. */
static int open_behind(pid_t tid, const struct client_vma *vma, unsigned prot)
{
	cleanup_close int path_fd = -1;
	struct statx st;
	char path[80];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", (int)tid,
		 (unsigned long long)vma->start, (unsigned long long)vma->end);
	path_fd = open(path, O_PATH | O_CLOEXEC);
	if (path_fd < 0 ||
	    statx(path_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) ||
	    st.stx_ino != vma->inode || makedev(st.stx_dev_major, st.stx_dev_minor) != vma->dev)
		return -EOPNOTSUPP;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
	/* CAP_SYS_ADMIN: it is in map_files of another process, see above. */
	fd = open(path, O_CLOEXEC | (prot & CUSED_PROT_WRITE ? O_RDWR : O_RDONLY));
	return fd < 0 ? -EOPNOTSUPP : fd;
}

int client_mm_file(const struct mm *mm, pid_t tid, uint64_t addr, uint64_t len, unsigned prot,
		   int *ret_fd, uint64_t *ret_offset)
{
	unsigned need = (prot & CUSED_PROT_READ ? CLIENT_VMA_READABLE : 0) |
			(prot & CUSED_PROT_WRITE ? CLIENT_VMA_WRITABLE : 0);
	struct cused_range range;
	struct client_vma vma;
	int fd;

	if (range_from_size(addr, len, &range) || client_mm_vma(mm, addr, &vma))
		return -EFAULT;
	if ((vma.flags & need) != need)
		return -EFAULT;
	if (!(vma.flags & CLIENT_VMA_SHARED) || !vma.inode || vma.end - 1 < range.last ||
	    !(is_kernels(vma.dev) || is_mounted(tid, vma.dev)))
		return -EOPNOTSUPP;
	fd = open_behind(tid, &vma, prot);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	*ret_offset = vma.offset + (addr - vma.start);
	return 0;
}
