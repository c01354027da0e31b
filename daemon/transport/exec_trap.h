/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/exec_trap.h - device files for clients of the service that we have started.
 *
 * Theory of operation
 *
 *   A client of the service calls the service's nodes directly. One call cannot be answered
 *   there: VFIO_GROUP_GET_DEVICE_FD, whose answer is a new fd. For any client the service
 *   delivers it by a courier, who stops the client like a debugger. A client that runs
 *   under our filter is spared that; the filter notifies this one call.
 *
 *     client           exec                          node (service)      devices' files
 *     GET_DEVICE_FD ─▶ copy of the group's fd
 *                      the name, read once
 *                      SERVICE_IOC_DEVICE_PLACE ───▶ all rules of the call
 *                      ◀──────────────────────────── errno, or it is there
 *                      copy closed
 *                      fetched from our place ──────────────────────────────▶
 *     ◀─────────────── ADDFD, with the answer
 *                      ours closed
 *
 *   The root of the devices' file system comes from the agent with the first call, and again
 *   when it turns out to be that of a service that has ended. Then, too, a place is drawn
 *   (service_abi.h); if the kernel or the service does not know that, files come by tokens.
 *
 *   A service that is restarted, with another process taking over, has no socket for a moment. Its
 *   node has just answered, so that is waited for.
 *
 *   Our copy of the group's fd is closed before the answer, so that the client's next close of
 *   it counts at once. That of the device file is closed after it, so that the client need not
 *   wait: the service knows who has opened the file, and that a client's close of it is not the
 *   last before we have closed ours (devfs.h).
 *
 *   The call goes on to the file itself (CONTINUE) if it is no character device, if that
 *   knows no tokens (the kernel's own VFIO, any other driver), or if we may not look into
 *   the client; at a node of the service, the courier then serves it. That is no decision
 *   about rights: whatever the client changes meanwhile, it gets what it would have had
 *   without us.
 *
 *   One thread serves, a call at a time. A client that stalls its own memory keeps the
 *   other processes of the same command waiting, and nobody else.
 */
#ifndef TRANSPORT_EXEC_TRAP_H
#define TRANSPORT_EXEC_TRAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <transport/service_abi.h>
#include <vfio-cused/cused.h>

#define EXEC_TRAP_STOP_MS	2000	/* how long exec_trap_stop() waits for a call */
#define EXEC_TRAP_AGENT_S	10	/* how long the agent may take */
#define EXEC_TRAP_RESTART_MS	3000	/* how long there may be no socket of a service that is there */

struct exec_trap;

/* How a group file is asked. There is one; a unit test has another. */
struct exec_trap_node {
	bool (*may_be_group)(const struct stat *st);
	/* @name: NULL if the client's cannot be read; @place: where the file is to be put, or
	 * 0: by a token. Return: 0; -ENOTTY not a file of the service; -errno for the client. */
	int (*token)(int group, const char *name, uint64_t place,
		     uint8_t ret_token[SERVICE_TOKEN_SIZE]);
};

struct exec_trap_params {
	int listener;			/* owned from exec_trap_start() on, on failure too */
	const char *socket;		/* path of the agent's; borrowed until the stop */
	const struct exec_trap_node *node;	/* NULL: character devices and ioctl() */
};

/*
 * exec_trap_start - serve, until no process is left under the filter.
 * Return: 0; -errno with @err set.  Locks: none.
 */
int exec_trap_start(const struct exec_trap_params *params, struct exec_trap **ret,
		    struct cused_error *err);

/*
 * exec_trap_stop - end it: the call in flight fails with some errno, later ones with ENOSYS.
 * NULL is allowed.
 * Return: 0; -EBUSY a call is stalled (by memory that somebody else serves, or by a stopped
 * service). Then nothing was freed.
 */
int exec_trap_stop(struct exec_trap *trap);

#endif
