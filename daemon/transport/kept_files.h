/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/kept_files.h - what is made of a client's file, and outlives the process with it.
 *
 * Theory of operation
 *
 *   A client's address space and its eventfds are structs around a file each. To have one again,
 *   another process needs the file, from a struct fd_keep, and a record (util/keep.h), by the
 *   number under which the core's records know it.
 *
 *   The file is put before the record. The record is put at once, not with the batch of who asks
 *   for it: as soon as it is there, others refer to it, and their batches may end sooner. It is
 *   dropped with the batch, which may never end; so the file goes when the end of the record
 *   stands in the log. That is looked at whenever something else comes or goes.
 *
 *   Who holds files for us may tell them apart by the open file that they are copies of, and take
 *   each but once. So what is made of copies of one file shares one that is kept; a key says which
 *   are.
 *
 *   Numbers begin at the clock's nanoseconds since the machine was started. No process before can
 *   have come that far, so that none of its names, whatever became of them, is used again.
 *
 *   A struct kept_files of NULL keeps nothing.
 *
 *   Locks: one inside, which fd_keep and keep are called with.
 */
#ifndef TRANSPORT_KEPT_FILES_H
#define TRANSPORT_KEPT_FILES_H

#include <stdint.h>
#include <transport/fd_keep.h>
#include <util/keep.h>

struct kept_files;	/* of one kind; counted */
struct kept;		/* one of them */

/*
 * @name: of the files, before "-NUMBER"; a constant
 * @key: of a file: the same for copies of one, 0: nothing is known of copies; or -errno.
 *       NULL: there are none
 * @keep, @fds: borrowed, until the last reference goes; @keep NULL: *@ret is NULL
 * Return: 0, -ENOMEM.
 */
int kept_files_new(enum keep_kind kind, const char *name, int (*key)(int fd, uint64_t *ret),
		   struct keep *keep, struct fd_keep *fds, struct kept_files **ret);
struct kept_files *kept_files_ref(struct kept_files *files);
void kept_files_unref(struct kept_files *files);

/*
 * kept_put - keep @fd, if *@kept is NULL.
 * @kept, @id: of what is made of @fd, NULL and 0 at first; written by this alone. Once there is a
 *             number, no lock is taken
 * @word: for kept_restore()
 * Return: *@id; 0: it is not kept. Without memory or files for it, the records are broken.
 */
uint64_t kept_put(struct kept_files *files, struct kept **kept, uint64_t *id, int fd,
		  uint64_t word);
/* @kept: NULL is allowed */
void kept_drop(struct kept_files *files, struct kept *kept);

/*
 * Make them again, lowest number first; before anything else is kept.
 * @fn: makes one. @kept, @fd: its own, on success.  Return: 0, -ENOMEM.
 * Return: 0; -ENOMEM; -EMFILE; -EBADMSG these are no records; of @fn. Whose file is not to be had is
 * dropped.
 */
typedef int kept_fn(void *arg, struct kept *kept, uint64_t id, int fd, uint64_t word);
int kept_restore(struct kept_files *files, kept_fn *fn, void *arg);

/* For who makes them one by one, as other records speak of them: they wait to be taken.
 * Return: as kept_restore(). */
int kept_restore_all(struct kept_files *files);
/* @ret_fd: the caller's from now on. Return: the caller's; NULL: it was not kept, or is taken. */
struct kept *kept_take(struct kept_files *files, uint64_t id, int *ret_fd);
/* Drop those that nobody has taken. Before the last reference goes. */
void kept_drop_untaken(struct kept_files *files);

#endif
