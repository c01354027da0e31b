/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/agent.h - the second process of the service: what touches clients' fds.
 *
 * Theory of operation
 *
 *   A process that holds a file on a node that it serves itself can never end: its exit
 *   closes the file, and the close waits for its answer. So copies of clients' fds, which
 *   may be of our own nodes, and device files on their way to a client are only ever held
 *   by the agent. It knows no VFIO.
 *
 *     service                              agent
 *     a call needs fds 5, 7 of thread T ─▶ look: eventfds are copied and sent back; what
 *                                          is a node of ours is asked who it is, by an
 *                                          ioctl with a cookie, which the service gets
 *                                          beside the open file it came through
 *     thread T is to get a device file  ─▶ a *courier*, a child, opens the file by its
 *                                          token and hands it over (courier.h); a file of
 *                                          the kernel's comes with the job instead. One is
 *                                          kept for a while, for the next token; who comes
 *                                          while it works gets one for this one job
 *     exec connects to the socket       ─▶ it gets the root of the devices' file system
 *     a plan of /sys                    ─▶ a child lays it over the machine's /sys, or
 *                                          changes what lies there
 *
 *   Each job has a socket of its own for its answer, so that the service sees at once when
 *   whoever worked on it has died. The agent may be killed at any time: jobs that it has not
 *   begun are given to a new one, others fail. Couriers do not die with it, because half a delivery
 *   would harm the client. When the service ends, however it ends, the agent takes away
 *   what the service had laid over /sys, and ends. If another process takes over from the service,
 *   it starts an agent of its own, and the old one ends without that; see serve_kept.h.
 *
 *   The service starts its agent, or a service manager does: then the two can have different
 *   rights, and different views of the file system: the mounts over /sys are in the agent's,
 *   which is the machine's. The manager listens at a socket, `connect` of the parameters, and
 *   starts an agent for each connection, which is its socket for jobs. The first message
 *   there, a *hello*, brings what it would else find (AGENT_FD_…, its arguments); its answer,
 *   who it is (agent_unit.c).
 *
 *   A client's fd can be a file of a file system that its owner serves and stalls. Nothing
 *   that could ask that file system is done before the file was found to be an eventfd or
 *   a node of ours; who swaps it in between stalls an agent, which is then given up after it
 *   has answered nobody for AGENT_ANSWER_MS.
 */
#ifndef TRANSPORT_AGENT_H
#define TRANSPORT_AGENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <transport/service_abi.h>
#include <transport/sysfs.h>
#include <vfio-cused/cused.h>
#include <vfio-cused/iommu.h>

#define AGENT_ANSWER_MS 2000u	/* without any answer; a debugger takes time */
#define COURIER_DEADLINE_MS 3000u	/* see courier.h; a busy machine takes time */
#define COURIER_ANSWER_MS 10000u	/* to hear of one who was in time */
#define LEND_CALL_MS 20000u	/* for one ioctl of a client: the pinning of 1 GiB, at most */
#define LEND_SWAP_MS 10000u	/* for a swap: the fds of all processes are looked at */
#define LEND_ANSWER_MS 26000u	/* for the word of either */
#define AGENT_FDS_MAX 64u	/* looked at in one job */
#define AGENT_START_MS 10000u	/* for a service manager to start one */
#define SYSFS_ANSWER_MS 30000u	/* for changes of /sys: a thousand mounts, on a busy machine */
#define AGENT_ATTEMPTS 3u	/* agents that a job is given to, if they die before it is begun */
#define AGENT_RESTARTS_MAX 1000u /* in the life of a service */

struct agent;

struct agent_params {
	const char *connect;	/* socket of a service manager that starts it; NULL: we do */
	const char *program;		/* path of the agent's; borrowed, as the rest */
	const char *const *argv;	/* of it, NULL-terminated */
	int listener;		/* SERVICE_AGENT_SOCKET, or -1; borrowed */
	int mount;		/* the devices' file system, see devfs.h; borrowed */
};

/* Start the agent. Return: 0; -errno with @err set.  Locks: none. */
int agent_new(const struct agent_params *params, struct agent **ret,
	      struct cused_error *err);
/* Tells the agent to end. NULL is allowed. */
void agent_free(struct agent *agent);

/* A client's fd, and what it is. */
struct agent_fd {
	int fd;			/* in: the client's number */
	uint64_t cookie;	/* in: what to say to a node of ours */
	int err;		/* out: 0; -EBADF not open; -EIO could not be asked */
	int event;		/* out: a copy, if it is an eventfd; else -1 */
	int iommu;		/* out: a copy, if it is a file of @iommu; else -1 */
};

/*
 * agent_look - what are these fds of thread @tid?
 * @major: of our nodes
 * @iommu: number of /dev/iommu, if its files are asked for; 0: they are like others
 * Return: 0; -EIO no agent, or it died or is stalled; -EMFILE; -ENOMEM.
 * Locks: takes the agent's, not while it waits. Waits for the agent.
 */
int agent_look(struct agent *agent, pid_t tid, unsigned major, dev_t iommu,
	       struct agent_fd *fds, size_t n);

/*
 * agent_deliver - make the device file of a token a new fd of thread @tid, which waits in
 * a system call.
 * @armed: called when the thread will stop on its way out: answer the call, with an error
 * Return: the client's fd; or -errno, before or after armed(): see courier.h.
 */
int agent_deliver(struct agent *agent, pid_t tid, const uint8_t token[SERVICE_TOKEN_SIZE],
		  void (*armed)(void *arg), void *arg);

/*
 * agent_deliver_file - the same with a file that exists.
 * @fd: closed here, when the agent has it: if the client's copy is the only one or none is
 * when this returns, depends on the agent being alive
 * Return: as agent_deliver().
 */
int agent_deliver_file(struct agent *agent, pid_t tid, int fd, void (*armed)(void *arg),
		       void *arg);

/*
 * agent_deliver_copy - the same with a copy of a file that a client has.
 * @from: a thread of that client; @node: of the file, whose description holds a lock on its
 * first byte (host_file.h)
 * Return: as agent_deliver(); -EBUSY, before armed(), there is no such file there.
 */
int agent_deliver_copy(struct agent *agent, pid_t tid, pid_t from, dev_t node,
		       void (*armed)(void *arg), void *arg);

/*
 * A thread that waits in a system call makes ioctls for us, on files that it is lent: the
 * courier, who has stopped it, waits for our word.
 *
 *   agent_lend_begin ─ ( agent_lend_call | agent_lend_swap )* ─ agent_lend_end
 */
struct agent_lending;

/*
 * If this process ends before agent_lend_end(), the thread asks whoever serves its file then, by
 * SERVICE_IOC_LENT: its call returns what that tells, or is made again.
 * @node: number of the device that the file of the thread's call is; @call: what it asks with
 * @armed: as agent_deliver()
 * Return: 0 after armed(); -ENOMEM; as agent_deliver(). Waits.
 */
int agent_lend_begin(struct agent *agent, pid_t tid, dev_t node, uint64_t call,
		     void (*armed)(void *arg), void *arg, struct agent_lending **ret);
/*
 * @arg: @len bytes, at most CUSED_LENDER_ARG, copied to the client and back
 * @ret_result: what the ioctl returned, or its -errno
 * Return: 0; -E2BIG @len; -ESRCH it is gone; -EIO the courier is; others of
 * courier_ioctl(). After an error nothing is known of the ioctl but that it is over.
 */
int agent_lend_call(struct agent_lending *lending, int fd, unsigned long cmd, void *arg,
		    size_t len, int *ret_result);
/*
 * The file that the thread's own call is on becomes @fd, for good, wherever its process has it.
 * @node: number of the device that it is
 * Return: 0; as courier_swap(), but with -ESRCH also if the courier is gone: it may have been
 * done or not.
 */
int agent_lend_swap(struct agent_lending *lending, int fd, dev_t node);
/* The thread's own call returns @result. Frees. */
void agent_lend_end(struct agent_lending *lending, int result);

/*
 * agent_sysfs - lay a plan over /sys where the agent is, change or take away what lies there.
 * @old: what lies there; NULL: nothing of ours
 * @new: what is to; NULL: nothing
 * Return: 0; as sysfs_mount(), sysfs_update(), sysfs_unmount(); -EIO the agent died; -ETIMEDOUT;
 * -EFBIG, -ENOMEM, -EMFILE. @err is set on failure.  Locks: as agent_look().
 */
int agent_sysfs(struct agent *agent, const struct sysfs_plan *old,
		const struct sysfs_plan *new, const char *root, struct cused_error *err);

/*
 * agent_sysfs_clear - take away what a killed service left over /sys, where there is no agent
 * of ours yet, but a service manager that starts one, for this alone.
 * @connect: as of the parameters
 * Return: as agent_sysfs(); an errno of connecting.  Locks: none.
 */
int agent_sysfs_clear(const char *connect, const char *root, struct cused_error *err);

/*
 * agent_ensure - see to it that there is an agent for those who come to the socket: who
 * has no job for it would not find out that it is dead.
 * Return: 0, -errno of starting one.  Locks: takes the agent's.
 */
int agent_ensure(struct agent *agent);

/* The agent's process, for tests and logs. */
pid_t agent_pid(struct agent *agent);

/* ---- the agent's program ---- */

/* Descriptors that it finds. */
enum { AGENT_FD_JOBS = 3, AGENT_FD_LISTENER, AGENT_FD_MOUNT, AGENT_FDS };

/*
 * agent_serve - work until the service has gone.
 * @gone: called once when the service has gone; @orderly: it cleans up itself
 * Return: an exit status.
 */
int agent_serve(void (*gone)(bool orderly));

#define AGENT_ARGS_SIZE 1024u	/* of arguments that come with a hello, NULs included */
#define AGENT_ARGS_MAX 8u

/* Was this process started by a service manager for a connection? */
bool agent_is_unit(void);
/*
 * agent_unit_hello - take the hello of the service at the other end, and answer it.
 * @ret_args: what stands behind the program's name and "agent", NULL-terminated; borrowed from
 * memory that stays
 * Return: 1 agent_serve() may follow; 0 all that was wanted is done; -EPERM it is not root's;
 * -EBADMSG; an errno of receiving.
 */
int agent_unit_hello(char *ret_args[AGENT_ARGS_MAX]);

/* ---- between the two ---- */

enum agent_job_kind {
	AGENT_JOB_LOOK, AGENT_JOB_DELIVER, AGENT_JOB_DELIVER_FILE, AGENT_JOB_DELIVER_COPY,
	AGENT_JOB_LEND, AGENT_JOB_SYSFS,
	AGENT_JOB_END,		/* the service cleans up itself; no answer, nothing beside it */
};

#define AGENT_HELLO_VERSION 1u

enum agent_hello_kind { AGENT_HELLO_SERVE, AGENT_HELLO_CLEAR };

/* The first message to an agent of a service manager; beside it the mount, and then, if there
 * is one, the listener. CLEAR: args is what lies over sysfs, nothing is beside it. */
struct agent_hello {
	uint32_t version, kind;
	uint32_t args_size;		/* of strings, one behind the other, each with its NUL */
	char args[AGENT_ARGS_SIZE];
};

/* Its answer, and that to a job for /sys. Beside that to a hello: a pidfd of the agent. */
struct agent_said {
	int32_t result;
	int32_t pid;
	char text[sizeof(((struct cused_error *)0)->text)];
};

/* The file of a job for /sys: this, and two plans behind it (sysfs_pack.c); sizes of 0: none. */
struct agent_sysfs_file {
	uint64_t old_size, new_size;
	char root[256];
};

/* What the child does for such a job, and answers. (agent_sysfs.c) */
void agent_sysfs_work(int socket, int file);
/* The service's side of a hello. @fds: the mount, and then the listener or nothing. @argv: of the
 * agent's program. Return: 0, with the socket for jobs; -errno.  (agent_unit.c) */
int agent_unit_connect(const char *path, const char *const *argv, const int *fds, size_t n_fds,
		       int *ret_jobs, int *ret_pidfd, pid_t *ret_pid);

/* To the agent; the socket for the answers comes beside it, and then the file. */
struct agent_job {
	uint32_t kind;
	int32_t tid;
	int32_t from;			/* of a copy */
	uint32_t major, minor, n;	/* of a node: of a copy, of who is lent out */
	uint64_t call;			/* of who is lent out: for SERVICE_IOC_LENT */
	uint32_t iommu_major, iommu_minor;	/* of a look; 0: not asked for */
	uint8_t token[SERVICE_TOKEN_SIZE];
	struct {
		int32_t fd;
		uint64_t cookie;
	} fds[AGENT_FDS_MAX];
};

enum agent_stage { AGENT_ARMED, AGENT_CALLED, AGENT_DONE };
enum agent_copy { AGENT_NO_COPY, AGENT_COPY_EVENT, AGENT_COPY_IOMMU };

/* From it; of a look, copies come beside it, in order, for those that say so. */
struct agent_result {
	uint32_t stage;
	int32_t result;
	struct {
		int32_t err;
		uint32_t copy;		/* enum agent_copy */
	} fds[AGENT_FDS_MAX];
	int32_t call_result;		/* of AGENT_CALLED, if result is 0 */
	uint8_t arg[CUSED_LENDER_ARG];
};

enum agent_word_kind { AGENT_WORD_END, AGENT_WORD_CALL, AGENT_WORD_SWAP };

/* To a courier that lends, over the job's socket; a file comes beside all but the end. */
struct agent_word {
	uint32_t kind, len;
	int32_t result;			/* of the end: what the client's ioctl returns */
	uint32_t major, minor;		/* of a swap: the node whose file is replaced */
	uint64_t cmd;
	uint8_t arg[CUSED_LENDER_ARG];
};

/*
 * agent_send_job - a dead agent is replaced once.
 * @file: that goes with it, stays the caller's; or -1
 * @ret: the socket for the answers; @ret_pid: the agent that has the job
 * Return: 0; -EMFILE; -EIO no agent can be had.  Locks: takes the agent's.
 */
int agent_send_job(struct agent *agent, const struct agent_job *job, int file, int *ret,
		   pid_t *ret_pid);

#endif
