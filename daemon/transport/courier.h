/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/courier.h - an fd for a client that waits in an ioctl, by ptrace.
 *
 * A client that did not come through our filter asks for a device and expects a new fd as
 * the result of its ioctl. The kernel offers us no way to give it one, so the courier
 * attaches to the thread and has it fetch the fd itself; see courier.c.
 *
 * The courier belongs in a process of its own, with one thread, that ends if it was not
 * successful:
 *   - the daemon must not wait for a client, and may be killed; a courier that is killed
 *     between two steps leaves its client in the middle of a call it never made;
 *   - a thread that could not be stopped in time stays attached until the process ends;
 *   - SIGCHLD, SIGALRM and its timer are the courier's while it works;
 *   - whoever started it should kill it some time after the deadline: a client that puts
 *     a file of its own in the courier's way can hold it up in close().
 * It needs CAP_SYS_PTRACE; for clients under a seccomp filter CAP_SYS_ADMIN, and no such
 * filter over itself; for clients that have only one free number left CAP_SYS_RESOURCE
 * (their soft limit can be raised without, if they are of the same user).
 */
#ifndef TRANSPORT_COURIER_H
#define TRANSPORT_COURIER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct courier;

#define COURIER_AGAIN INT_MIN	/* the thread makes its ioctl again, as if it had not yet made it */

struct courier_job {
	pid_t tid;			/* the thread that waits in ioctl() */
	int fd;				/* ours; to become the client's; stays ours */
	bool cloexec;			/* of the client's fd */
	/* For attaching, and again for everything after armed(), in milliseconds; not 0.
	 * What was begun by then is undone, for which there are 30 seconds more. */
	unsigned deadline_ms;
	/*
	 * Called once, when the thread is attached and will stop on its way out of the
	 * call. From then on the call may be answered, with an error, which the client gets
	 * if the courier is killed. (A FUSE_INTERRUPT for the call may come before: it has
	 * no meaning.) < 0: give up; courier_deliver() returns the same.
	 */
	int (*armed)(void *arg);
	/* Called before the thread goes on, after armed(): let go of what must not outlive
	 * the client's copy, as the next close of that may have to be the last. NULL: nothing. */
	void (*leaving)(void *arg);
	/*
	 * Not NULL: there is no fd to be delivered. Called while the thread is in our hands, to
	 * have it make calls by courier_ioctl(); what it returns is the result of the client's
	 * own ioctl, or COURIER_AGAIN. The thread is stopped for as long as this takes.
	 */
	int (*work)(struct courier *courier, void *arg);
	void *arg;
};

/*
 * Make @job->fd an fd of the client, with the lowest free number, and its ioctl return
 * that number. Signals and stops that come meanwhile take effect afterwards.
 *
 * Return: the number; or
 *   -ESRCH      the client is gone
 *   -EPERM      it may not be attached to (a debugger has it, Yama forbids it), or it has a
 *               seccomp filter, which cannot be suspended here
 *   -EMFILE     it has no free number
 *   -ETIMEDOUT  it did not come out of the call, or was too slow; or another thread of it
 *               is about to execute a program, for which this one has to end first
 *   -EIO        it is not in an ioctl, or not of a kind we know, or played tricks; or on this
 *               processor nothing is made again
 *   others      of armed(), or of a call that the client made for us
 * After an error before armed() the client is untouched, and the call is still to be
 * answered. After one that came later, the ioctl returns the same error if it can be made
 * to, and otherwise what it was answered with; the client has no fd more than before
 * (if its other threads let us).
 * Locks: none; see above for threads and signals.
 */
int courier_deliver(const struct courier_job *job);

#define COURIER_ARG_MAX 256u		/* bytes of an argument */

/*
 * From inside of work(): the client makes an ioctl, as itself, on a file of ours, of which it
 * has an fd for that long. Its other threads can reach that and the argument meanwhile.
 * @arg: @len bytes, at most COURIER_ARG_MAX, copied to the client and back
 * @deadline_ms: for all of it
 * @ret_result: what the ioctl returned, or its -errno
 * It is a 64-bit ioctl whatever the client is, as not all have others; the pointers in @arg are
 * 64-bit ones then, too.
 * Return: 0; -EOPNOTSUPP a 32-bit client that may not have a page of code of ours; errors of
 * courier_deliver(): whether the ioctl was made is not known then.
 * Locks: none.
 */
int courier_ioctl(struct courier *courier, int fd, unsigned long cmd, void *arg, size_t len,
		  unsigned deadline_ms, int *ret_result);

/*
 * From inside of work(): the file that the thread's ioctl is on is replaced by one of ours, in
 * all fds of the client. What the client's other threads do to their fds meanwhile is not
 * defended against: they harm the client.
 * @fd: ours; stays ours
 * @node: number of the device that is expected there
 * @deadline_ms: for all of it
 * Return: 0; -EBUSY another process, or a thread with a table of its own, has a copy of the
 * file; -E2BIG the client has more than CLIENT_COPIES_MAX; -EBADF it is no file of @node any
 * more; -EOPNOTSUPP for a 32-bit call, or on a processor that hides the fd; -ENOSYS a kernel
 * without kcmp(); -ESRCH it is gone or out of our hands, and its ioctl fails; errors of
 * courier_deliver(). After an error the client has its file as before, if it can be given
 * back.
 * Locks: none.
 */
int courier_swap(struct courier *courier, int fd, dev_t node, unsigned deadline_ms);

/*
 * From inside of work(): the file that the thread's ioctl is on, be it swapped or not, is made an
 * ioctl of our own by the thread.
 * @node: number of the device that it is on
 * @cmd, @value: of the ioctl; what it reads or writes in memory is not there
 * @deadline_ms: for all of it
 * @ret_result: what the ioctl returned, or its -errno
 * Return: as courier_ioctl(); -EBADF it is no file of @node any more; -EOPNOTSUPP also on a
 * processor that hides the fd.
 * Locks: none.
 */
int courier_ask(struct courier *courier, dev_t node, unsigned long cmd, uint64_t value,
		unsigned deadline_ms, int *ret_result);

/*
 * From inside of work(): the client gets its file back in place of what courier_swap() has given
 * it, if it has.
 * Return: 0; as courier_swap(): then it has it in some of its fds.
 */
int courier_swap_back(struct courier *courier, unsigned deadline_ms);

#endif
