/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/service.h - /dev/vfio for everybody: character devices of CUSE.
 *
 * Theory of operation
 *
 *   Nodes. /dev/vfio/vfio and each /dev/vfio/<group> are a CUSE device with a channel of
 *   its own (server.h); all have one major number, which the kernel chose with the first.
 *   An open file of a client, however it is copied and passed on, is one struct open_file
 *   from OPEN to RELEASE, which is the last close, and which the close waits for.
 *
 *   Ioctls (service_call.c). CUSE hands us the number and the argument. What the argument
 *   points to is copied by process_vm_readv and _writev in the one round trip; where that
 *   is refused (other rights, Yama), the kernel is asked to copy and to call again
 *   (RETRY): then nothing may have been done yet, so the call stops before it acts until
 *   all that it reads has arrived and there is room for all that it could write.
 *
 *   Fds. A client's fd numbers are looked up by the agent (agent.h), and so is a new
 *   device fd brought to the client. A device fd is a file of devfs.h.
 *
 *   A client that is killed while its call is at work is let go at once (server.h). What
 *   the call uses, an open file or a device, is kept until it is done: `uses`.
 *
 *   Restart without loss. With a struct keep, nodes and what clients have open of them are
 *   records, and /dev/cuse of each node is held by somebody else, too. Effects and answers of
 *   requests are recorded as in replay.h.
 *
 *   Locks: a node's lock guards its open files and is innermost; none of this file is held
 *   across a call into core or the agent.
 */
#ifndef TRANSPORT_SERVICE_H
#define TRANSPORT_SERVICE_H

#include <core/topology.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <transport/access.h>
#include <vfio-cused/cused.h>

struct fd_keep;
struct keep;
struct service;
struct sysfs_plan;

struct service_params {
	const char *agent_connect;	/* these three: see agent.h; borrowed */
	const char *agent;
	const char *const *agent_argv;
	const char *socket;		/* for exec; NULL: none. Borrowed */
	const char *prefix;		/* directory of /dev for the nodes; "vfio". Borrowed */
	bool replace;			/* see devnode_ensure() */
	bool retry;			/* never copy client memory ourselves for a call */
	bool courier;			/* device fds for clients that exec did not start */
	/* How memory gets to devices of the machine; both: by file where possible. */
	bool dma_by_file, dma_by_courier;
	bool dma_swap;			/* first of all: clients get the iommufd itself */
	/* What outlives the process (util/keep.h), and who holds the files. Borrowed; both or none. */
	struct keep *keep;
	struct fd_keep *fds;
	bool restore;			/* they are of a process before, whose work goes on */
};

/*
 * Make what devices stand on: before the topology, because it decides whether device
 * memory can be mapped.
 * Return: 0; -errno with @err set.  Locks: none.
 */
int service_new(const struct service_params *params, struct service **ret,
		struct cused_error *err);
/* For the topology's parameters, until service_stop(). NULL: nothing outlives the process. */
struct backend_files *service_backend_files(const struct service *service);
/* Is there FUSE passthrough? */
bool service_can_map(const struct service *service);

/* A device's BAR memory, if clients can map. @memfd: borrowed. Return: 0, -errno. */
int service_add_device(struct service *service, const struct device *device, int memfd);
/* Before a device is freed: clients have closed it, or it was revoked. */
void service_remove_device(struct service *service, const struct device *device);

/*
 * Begin to serve: the agent and /dev/vfio/vfio (mode 0666). With service_params.restore, all that
 * the process before has served goes on: @topology has its devices, which were given to
 * service_add_device(), and gets its groups. Their nodes are there, with the rights that they had:
 * then service_set_rights(), service_hide_group() and service_remove_group() are for them, and
 * service_add_group() is as the former, once. Those of groups without a device that nobody asks for
 * are hidden by service_reap().
 * @topology: has to outlive the service
 * Return: 0; -errno with @err set: no /dev/cuse, the name is taken, …; nothing can be taken over:
 * service_stop(), and begin without.
 */
int service_start(struct service *service, struct topology *topology,
		  struct cused_error *err);
/* Add or remove /dev/vfio/<group>, at any time after the start. What clients have open of a
 * removed one fails with ENOTCONN from then on, and is released.
 * @rights: NULL: the kernel's, ACCESS_RIGHTS_DEFAULT
 * Return: 0; -EEXIST, -ENOENT; -errno with @err set. */
int service_add_group(struct service *service, struct group *group,
		      const struct access_rights *rights, struct cused_error *err);
/* New rights, and a name if it is hidden: of the node, and, if they are to be checked, of requests on what clients have
 * open already. Return: 0; -ENOENT; -errno of the node, with @err set. */
int service_set_rights(struct service *service, struct group *group,
		       const struct access_rights *rights, struct cused_error *err);
int service_remove_group(struct service *service, struct group *group,
			 struct cused_error *err);

/*
 * Like removal, but what clients have open of the group goes on, and answers as a group
 * without devices does, if it has none: its node is /dev/vfio/<group> no more. It can be
 * added again. Return: 0; -ENOENT, with @err set.
 */
int service_hide_group(struct service *service, struct group *group,
		       struct cused_error *err);
/* Free what hidden groups had, where no client has it open any more. Return: how many are
 * left. Not from several threads at a time. */
unsigned service_reap(struct service *service);

/* agent_sysfs(), by the service's agent. After service_start(). */
int service_sysfs(struct service *service, const struct sysfs_plan *old,
		  const struct sysfs_plan *new, const char *root, struct cused_error *err);

/* The device number of a node: "vfio", "7", "noiommu-7". 0 if there is none. */
dev_t service_node_number(struct service *service, const char *name);

/*
 * Take everything away. Clients' files fail with ENOTCONN. NULL is allowed.
 * Return: 0; -EBUSY a call is stalled by memory of its client. Then nothing more was
 * freed, and the program should end without freeing what the service uses.
 */
int service_stop(struct service *service);

#define SERVICE_LEAVE_MS 500u	/* for calls at work, when the process makes way for another */
/*
 * Make way for a process that takes over by what was kept: no more requests are taken, and nothing
 * is closed or told to anybody. The caller ends the process soon, and frees nothing.
 */
void service_leave(struct service *service);

/* For status and tests. */
struct service_status {
	unsigned nodes;			/* that are not hidden */
	unsigned open_files, device_files, stalled_calls;
	pid_t agent;
};
void service_get_status(struct service *service, struct service_status *ret);

struct open_notes;
/* What clients have open: containers and groups, then devices. Return: 0, -ENOMEM.
 * Locks: takes those of the service's nodes and of its devices' file system, in turn. */
int service_files(struct service *service, struct open_notes *ret);

#endif
