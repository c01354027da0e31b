/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/client.h - the threads and address spaces of clients.
 *
 * Theory of operation
 *
 *   A notification names a thread by its number in our pid namespace. What we keep per
 *   thread is a pidfd, so that a number that was handed out anew is recognised: the old
 *   pidfd answers ESRCH and the entry is made again. (A pidfd of a thread needs Linux 6.9;
 *   before that only thread group leaders are kept, others are looked up each time.)
 *
 *   What we keep per address space is a struct mm, shared by the threads of a process. It
 *   holds an open /proc/PID/maps, which stays tied to the address space it was opened
 *   for: after exec it answers "gone". That is asked before each copy made on behalf of
 *   a device, so that DMA set up by a program never reaches the one that took its place.
 *
 *   Copies for a system call in progress go by thread number: the thread cannot go away
 *   or exec as long as the notification is valid, which the caller checks afterwards.
 */
#ifndef TRANSPORT_CLIENT_H
#define TRANSPORT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <core/caller.h>

struct clients;			/* all of one run */
struct client_thread;
struct fd_keep;
struct keep;

/* Return: 0, -ENOMEM. */
int clients_new(struct clients **ret);
void clients_free(struct clients *clients);	/* NULL is allowed */

/*
 * clients_keep - address spaces that records refer to outlive the process (mm_keep()); those that
 * another process has kept are there again.
 * @keep, @fds: borrowed, for as long as there are struct mm; @keep NULL: nothing of it
 * Return: 0; -ENOMEM; -EMFILE; -EBADMSG these are no records.  Locks: none; nobody uses @clients
 * yet.
 */
int clients_keep(struct clients *clients, struct keep *keep, struct fd_keep *fds);
/* One of those, whether its process is there or not. Return: a reference; NULL: there was none. */
struct mm *client_mm_restore(struct clients *clients, uint64_t id);

/*
 * The thread behind a number, from a notification that is still valid.
 * @verify: make sure that a remembered entry is not of a thread that had the number
 *          before. Without, client_dup_fd() tells by -ESRCH, and the call is repeated.
 * Return: 0, with a reference for client_put(); -ESRCH it is gone; -ENOMEM; -EMFILE,
 * although all that were remembered are forgotten; other errors of pidfd_open().
 */
int client_get(struct clients *clients, pid_t tid, bool verify, struct client_thread **ret);
void client_put(struct client_thread *thread);

/* A copy (CLOEXEC) of the client's fd. Return: the fd; -EBADF not open; -ESRCH the thread
 * is gone; -EPERM we may not; -EMFILE. */
int client_dup_fd(struct client_thread *thread, int fd);

/*
 * Who calls. ret->mm is valid until client_put(). Takes some microseconds.
 * Return: 0; -ESRCH, -ENOMEM, -EMFILE, -EACCES we may not look at its memory: then ret->mm is NULL,
 * and the rest is there.
 */
int client_caller(struct clients *clients, struct client_thread *thread,
		  struct caller *ret);

/* Copy for a system call in progress. Return: 0, -EFAULT, -ESRCH, -EPERM we may not. */
int client_read(pid_t tid, uint64_t addr, void *buf, size_t len);
int client_write(pid_t tid, uint64_t addr, const void *buf, size_t len);
/* Several pieces, in order, in one go. @local, @remote: @n of each, in pairs of equal length,
 * @n at most 8. */
int client_writev(pid_t tid, const struct iovec *local, const struct iovec *remote, size_t n);
/* As much as is readable, page by page, at most @len; stops after a page that holds a
 * NUL. Return: bytes (0 if the first is not readable). */
size_t client_read_str(pid_t tid, uint64_t addr, char *buf, size_t len);

/* The group leader's number, or -errno. */
pid_t client_tgid(pid_t tid);
/* The same of a thread that is known; no question to the kernel. */
pid_t client_thread_tgid(const struct client_thread *thread);

/* A line of /proc/TID/status. @ret: what stands behind "@name:", cut to @size; "" if there is
 * no such line. Return: 0; -ESRCH the thread is gone; -errno it cannot be read here. */
int client_status(pid_t tid, const char *name, char *ret, size_t size);

#endif
