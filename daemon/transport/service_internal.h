/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/service_internal.h - between the service_*.c files. */
#ifndef TRANSPORT_SERVICE_INTERNAL_H
#define TRANSPORT_SERVICE_INTERNAL_H

#include <pthread.h>
#include <proto/proto.h>
#include <stdatomic.h>
#include <transport/access.h>
#include <transport/agent.h>
#include <transport/client.h>
#include <transport/client_event.h>
#include <transport/devfs.h>
#include <transport/devnode.h>
#include <transport/fd_keep.h>
#include <transport/host_file.h>
#include <transport/iommu_file.h>
#include <transport/open_notes.h>
#include <transport/server.h>
#include <transport/service.h>
#include <util/keep.h>
#include <util/list.h>

#define NODE_NAME_SIZE 64		/* "PREFIX/noiommu-4294967295" */
#define SERVICE_MINORS 65536u		/* nodes at a time */

struct service {
	struct service_params params;
	struct server *server;
	struct clients *clients;
	struct client_events *events;
	struct devfs *devfs;
	struct host_files *host_files;
	struct backend_files *iommu_files;	/* or NULL */
	struct agent *agent;
	struct topology *topology;
	int listener;			/* of the agent's socket, or -1 */
	unsigned major;			/* of the nodes; 0 until there is one */
	dev_t iommu;			/* of /dev/iommu, if clients may have it; else 0 */
	pthread_mutex_t lock;		/* nodes, looks */
	struct list nodes;
	struct list looks;		/* struct look: cookies that are asked for */
	atomic_uint_fast64_t next_file;	/* open_file.id */
	atomic_bool told_memory, told_shortage, told_courier;
};

/* What clients have open of a node. */
struct open_files {
	struct list all;		/* struct open_file; also those that are closing */
	struct open_file **buckets;	/* by number; a chain each */
	size_t n, n_buckets;		/* n_buckets: a power of 2 */
};

struct node {
	struct list item;		/* service->lock */
	struct service *service;
	enum object_kind kind;
	struct group *group;		/* of a group node */
	struct access *access;		/* of a group node */
	struct access_rights rights;	/* of whoever adds and removes */
	char name[NODE_NAME_SIZE];	/* below /dev: "vfio/7" */
	unsigned minor;
	dev_t number;
	struct channel *channel;
	int fd;				/* the channel's */
	struct greeting greeting;
	struct devnode devnode;
	bool has_devnode;
	bool hidden;			/* of whoever adds and removes: a node without a name */
	bool adopted;			/* it is of a process before */
	bool claimed;			/* of whoever adds and removes: asked for since then */
	pthread_mutex_t lock;		/* files */
	pthread_cond_t changed;		/* lock; a file that is closing has one use left */
	struct open_files files;
};

/* A record of KEEP_NODE. */
struct node_record {
	uint32_t kind;			/* enum object_kind */
	uint32_t group, group_kind;	/* of a group; enum group_kind */
	uint32_t hidden, has_devnode;
	uint32_t checked, mode, uid, gid;	/* of its rights */
	uint32_t greeting_size;
	uint64_t number;		/* of the device */
	char name[NODE_NAME_SIZE];
	struct devnode devnode;
	unsigned char greeting[GREETING_MAX];
};

/* A record of KEEP_OPEN_FILE. Whether its user was let pass is found out anew. */
struct file_record {
	uint32_t minor;			/* of its node */
	int32_t pid;			/* these three: client_who */
	uint32_t uid;
	char name[16];
	uint32_t pad;
	uint64_t container;		/* container_id(), of a container */
};

/* What a client's open() of a node made. */
struct open_file {
	struct list item;		/* node->lock */
	struct open_file *next;		/* node->lock; of the bucket */
	uint64_t id;			/* fuse_file_info.fh; no other file of the node ever has it */
	struct node *node;
	struct object object;
	struct access_seen seen;	/* of node->access */
	struct client_who who;		/* constant */
	unsigned uses;			/* node->lock; 1 for the client, 1 per call */
	bool closing;			/* node->lock */
	bool swapped;			/* node->lock; its close is no client's doing */
};

/* A question to the agent that is under way. */
struct look {
	struct list item;		/* service->lock */
	uint64_t cookie;
	struct open_file *found;	/* service->lock; a use, for whoever asked */
};

/* ---- service_node.c ---- */

/* @kind: OBJECT_CONTAINER or OBJECT_GROUP; @rights: of a group. Return: 0; -errno with @err
 * set. */
int node_new(struct service *service, enum object_kind kind, struct group *group,
	     const struct access_rights *rights, struct node **ret, struct cused_error *err);
/* One of a process before, which does not serve yet. @group: NULL: it is of containers.
 * Return: 0; -ENOENT its file was not kept; -EBADMSG; -errno; all with @err set. */
int node_adopt(struct service *service, struct group *group, unsigned minor,
	       const struct node_record *record, struct cused_error *err);
/* Of a group. Return: 0; -errno with @err set. */
int node_set_rights(struct node *node, const struct access_rights *rights,
		    struct cused_error *err);
/* Take its name away, and give it back with these rights. Return: 0; -errno with @err set. */
void node_hide(struct node *node);
int node_show(struct node *node, const struct access_rights *rights, struct cused_error *err);
/* Return: 0; -EBUSY as channel_free(). */
int node_free(struct node *node);

/* ---- service_file.c ---- */

/* The tables of one node; files have to be gone by the end. Return: 0, -ENOMEM. */
int open_files_init(struct open_files *files);
void open_files_done(struct open_files *files);
/* Clients will not release what they have open any more. */
void open_files_abandon(struct node *node);

/* Where numbers start: a process begins behind all that those before it have given away. */
uint64_t open_file_first_id(void);
/* Return: 0, with the client's use; -ENOMEM; -errno of opening the object. */
int open_file_new(struct node *node, const struct caller *caller, const struct access_seen *seen,
		  const struct client_who *who, struct open_file **ret);
/* One of a process before. @object: as it was opened. Return: 0, -ENOMEM. */
int open_file_adopt(struct node *node, uint64_t id, struct object object,
		    const struct file_record *record);
/* With a use. Return: NULL: there is none of that number, or it is closed. */
struct open_file *open_file_get(struct node *node, uint64_t id);
void open_file_unuse(struct open_file *file);	/* NULL is allowed */
/* The client's last close; waits for calls at work. Of no effect the second time. */
void open_file_close(struct node *node, uint64_t id);
/* Its client is to get another file in its place: the close that comes of it is not to wait for the
 * call that it comes from. @on: false: it did not. */
void open_file_swap(struct open_file *file, bool on);

/* ---- service_restore.c ---- */

/* What is told by records, if they are of a process before. Return: 0; -errno with @err set: what
 * has been made by then is to be taken away. */
int service_restore(struct service *service, struct cused_error *err);
/* Begin to serve that. Return: 0; -errno with @err set. */
int service_resume(struct service *service, struct cused_error *err);

/* ---- service_call.c ---- */

/* An ioctl, to its answer. @in, @in_size, @out_size: what a RETRY brought, else 0. */
struct service_ioctl {
	struct service *service;
	struct request *request;
	struct object object;
	struct access *access;		/* of a group's node, for files of its devices */
	struct open_file *file;		/* NULL: of a device */
	unsigned cmd;
	uint64_t arg;
	bool may_retry;			/* CUSE can, FUSE cannot */
	const void *in;
	size_t in_size, out_size;
};
void service_ioctl(struct service_ioctl *call);

/* Who opens or calls. Return: 0, with a reference for client_put(); -errno. *ret is
 * good in either case, as one without memory and rights. */
int service_caller(struct service *service, const struct request *request,
		   struct client_thread **ret_thread, struct caller *ret);
/* The same for status. @thread: of service_caller(); NULL: not to be had. */
void service_who(const struct request *request, const struct client_thread *thread,
		 struct client_who *ret);

/* ---- service_lender.c ---- */

/* What the caller gives for a device of the machine, for the length of one call. */
struct service_lender {
	struct cused_lender lender;	/* first */
	struct service_ioctl *ioctl;
	struct mm *mm;			/* the caller's; borrowed */
	struct agent_lending *lending;	/* by the courier, who has the thread: then
					 * service_lend_end() answers the call */
};
struct service_lender service_lender(struct service_ioctl *ioctl, struct mm *mm);
/* What was done counts, and the call of a thread that is lent out returns @result. */
void service_lend_end(struct service_lender *lender, int result);
/* For couriers: the thread will stop. @arg: the request, which is answered by what its client
 * sees if the courier dies half-way. */
void service_armed(void *arg);
/* The courier cannot serve the client: told once. */
void service_tell_courier(const struct service_ioctl *ioctl, int r);

#endif
