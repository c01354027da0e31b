/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/client_mm.h - the address space of a client process, as a struct mm. */
#ifndef TRANSPORT_CLIENT_MM_H
#define TRANSPORT_CLIENT_MM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <core/mem.h>

struct kept;
struct kept_files;

/* Of the process @tgid, as it is now. @files: where mm_keep() keeps it; NULL: nowhere.
 * Return: 0, -ESRCH, -EACCES, -ENOMEM. */
int client_mm_new(pid_t tgid, struct kept_files *files, struct mm **ret);
/* One that another process of ours has kept: a kept_fn; the result goes to @ret. */
int client_mm_renew(struct kept_files *files, struct kept *kept, uint64_t id, int fd,
		    uint64_t word, struct mm **ret);

/* Does the process still run in this address space? False after exit and after exec. */
bool client_mm_alive(struct mm *mm);

pid_t client_mm_tgid(const struct mm *mm);

/* What lies at an address; flags and numbers as the kernel's PROCMAP_QUERY has them. */
struct client_vma {
	uint64_t start, end;		/* end is one past the last byte */
	uint64_t offset, inode;		/* inode 0: no file */
	unsigned flags;			/* CLIENT_VMA_… */
	dev_t dev;
};
#define CLIENT_VMA_READABLE 1u
#define CLIENT_VMA_WRITABLE 2u
#define CLIENT_VMA_SHARED   8u

/* Return: 0 and what covers @addr; -EFAULT nothing does; -ESRCH the address space is gone. */
int client_mm_vma(const struct mm *mm, uint64_t addr, struct client_vma *ret);

/*
 * client_mm_file - the file behind a shared mapping of memory.
 * @tid: a thread of the process, that waits in a call
 * @prot: enum cused_prot; what the mapping must allow
 * @ret_fd: opened for no more than @prot; @ret_offset: of @addr in it
 * Return: 0; -EOPNOTSUPP no single shared mapping of a memory file (memfd, shared anonymous
 * memory, tmpfs, hugetlbfs) covers the range, or we may not open it (that takes
 * CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN); -EFAULT it does not allow @prot.
 * Locks: none. Asks no file system that a client could serve.
 */
int client_mm_file(const struct mm *mm, pid_t tid, uint64_t addr, uint64_t len, unsigned prot,
		   int *ret_fd, uint64_t *ret_offset);

/* For a caller whose memory cannot be had: every use is EFAULT. Borrowed, always there. */
struct mm *client_mm_none(void);

#endif
