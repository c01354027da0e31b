/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ctl.h - the control socket of `serve` and `run`: telling and changing what is served.
 *
 * Theory of operation
 *
 *   A Unix stream socket. A request is a line with one JSON object, and so is its answer;
 *   vfio-cused-ctl(7) describes them. Requests of a connection are answered in order.
 *
 *   One thread (ctl_server.c) has all connections and does what they ask, one request at a
 *   time, so that changes need no lock among themselves. It is not one of those that serve
 *   clients, and shares only locks with them that are held for moments, or that it gives up
 *   on (core/status.c). What takes long (a device whose clients are to close it first) is a
 *   job: the request is answered when the job is done, meanwhile others are served.
 *
 *   Whoever may connect, by the socket's mode and owner, may ask. Only root and the socket's
 *   owner may change: the kernel tells who the peer is (SO_PEERCRED). Peers are hostile: a
 *   connection may be silent, slow, or one of many. Lines, connections and time have limits,
 *   and those who may only ask cannot use up all the connections.
 *
 *   ctl_request.c turns a line into a call of struct ctl_ops and its result into a line; it
 *   knows no socket. ctl_status.c describes objects. ctl_socket.c makes and finds sockets.
 *   ctl_command.c is the other end, `vfio-cused ctl`; ctl_print.c is its output for people.
 */
#ifndef CTL_H
#define CTL_H

#include <core/topology.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <vfio-cused/cused.h>

#define CTL_VERSION 1			/* of the protocol */
#define CTL_SOCKET "/run/vfio-cused/ctl"
#define CTL_ENVIRONMENT "VFIO_CUSED_CTL"	/* names the socket, in the environment */

#define CTL_REQUEST_MAX 65536u		/* bytes of a request, with its newline */
#define CTL_CONNECTIONS_MAX 16u
#define CTL_READERS_MAX 8u		/* … of those who may not change anything */
#define CTL_REQUEST_MS 5000u		/* from a request's first byte to its last, and for
					 * taking an answer */
#define CTL_IDLE_MS 60000u		/* between requests */
#define CTL_LIST_MAX 4096u		/* containers, and clients, that status lists */
#define CTL_TICK_MS 100u		/* between two looks at a job */

/* ---- what is controlled ---- */

struct conf;
struct open_notes;
struct params_list;

/* Called by the control's thread alone. Members marked so may be NULL: then that cannot be
 * done here. Jobs are numbered from 1. */
struct ctl_ops {
	const char *mode;		/* "run", "serve" */
	/* May be NULL. Keep others from changing what the rest tells and does, until leave().
	 * Return: 0; -EBUSY they take long. */
	int (*enter)(void *arg);
	void (*leave)(void *arg);
	/* What clients have open; see transport/open_notes.h. Return: 0, -ENOMEM. */
	int (*files)(void *arg, struct open_notes *ret);
	/* The name of a device in the configuration ("nvme0"); NULL: none. */
	const char *(*device_id)(void *arg, const char *bdf);
	/* Members of the status that are this mode's own. May be NULL. Return: 0, -ENOMEM. */
	int (*status)(void *arg, json_t *into);
	/*
	 * May be NULL. Make a device, and its group if there is none.
	 * @text: as of --device
	 * @ret_bdf: where it is, and, @ret_group, the name of its node
	 * Return: 0; -errno with @err set.
	 */
	int (*add)(void *arg, const char *text, char ret_bdf[16], char ret_group[32],
		   struct cused_error *err);
	/*
	 * May be NULL. Begin to take a device away, and its group with the last one.
	 * @name: "group=N" for a whole group; else an address or a name
	 * @revoke: do not wait for clients to close
	 * Return: 0 with a job in @ret_job; -errno with @err set.
	 */
	int (*remove)(void *arg, const char *name, bool revoke, uint64_t *ret_job,
		      struct cused_error *err);
	/* May be NULL. Begin to end. Its job is done when the program ends, not before.
	 * Return: as remove(). */
	int (*stop)(void *arg, bool revoke, uint64_t *ret_job, struct cused_error *err);
	/* May be NULL. Is there a job that is not done? Without enter(). */
	bool (*tick)(void *arg);
	bool (*is_done)(void *arg, uint64_t job);	/* NULL if tick is */
};

struct ctl {
	const struct ctl_ops *ops;
	void *arg;
	struct topology *topology;
	uint64_t began;			/* monotonic nanoseconds */
};

/* ---- ctl_request.c ---- */

/*
 * ctl_request - carry a request out.
 * @line: without its newline; any bytes
 * @may_change: is the peer root or the owner?
 * @ret_answer: a line with its newline, for free(); NULL if there is a job
 * @ret_job: 0, or the job whose end is the answer, see ctl_done()
 * Return: 0; -ENOMEM, with nothing in @ret_answer.  Locks: none held.
 */
int ctl_request(const struct ctl *ctl, const char *line, size_t size, bool may_change,
		char **ret_answer, uint64_t *ret_job);
/* The answer to a request whose job is done. NULL: no memory. */
char *ctl_done(void);
/* An answer that says no. @code: negative errno. NULL: no memory. */
char *ctl_refusal(int code, const char *text);

/* ---- ctl_status.c ---- */

/* A new object, or NULL: no memory. */
json_t *ctl_status(const struct ctl *ctl);

/* ---- ctl_socket.c ---- */

struct ctl_socket {
	const char *path;
	mode_t mode;
	uid_t uid;			/* its owner, who may change things; -1: leave it */
	gid_t gid;			/* -1: leave it */
};

/*
 * What the keys of --service say.
 * @list: where they are from, for errors
 * @service: values of conf_service_params; strings are borrowed
 * Return: 0; 1 there is to be none; -EINVAL a mode, -ENOENT a user or group that there is
 * not, with @err set.
 */
int ctl_socket_of(const struct params_list *list, const struct cused_value *service,
		  struct ctl_socket *ret, struct cused_error *err);
/*
 * ctl_listen - make a control socket.
 * A socket of that name at which nobody listens any more is replaced.
 * Return: 0 with a non-blocking fd; -errno with @err set: -EADDRINUSE somebody listens;
 * -EEXIST there is something else; -ENAMETOOLONG; others of bind(2), chown(2), chmod(2).
 */
int ctl_listen(const struct ctl_socket *where, int *ret, struct cused_error *err);
/* Return: 0 with a blocking fd; -errno with @err set. */
int ctl_connect(const char *path, int *ret, struct cused_error *err);

/* ---- ctl_server.c ---- */

struct ctl_server;

/*
 * ctl_server_start - answer from now on.
 * @ctl: copied; what it points to has to outlive the server
 * @listener: of ctl_listen(); owned by the server from now on, also on failure
 * @owner: who may change things, beside root
 * Return: 0; -ENOMEM, -EAGAIN, -EMFILE.
 */
int ctl_server_start(const struct ctl *ctl, int listener, uid_t owner,
		     struct ctl_server **ret);
/*
 * Ends the thread. Who waits for a job is told that it is done; connections that wait for
 * the end of the program are closed by that. NULL is allowed.
 * Return: 0; -EBUSY a request is stalled: then nothing was freed.
 */
int ctl_server_stop(struct ctl_server *server);

/* ---- ctl_command.c ---- */

#define CTL_REFUSED 1			/* exit status: it was asked, and said no */

/* `vfio-cused ctl`. @args: a word, and what belongs to it. Return: an exit status. */
int ctl_command(const struct conf *conf, char **args);

/* ---- ctl_print.c ---- */

/* A status for people. @status: of any shape: what is missing is left out. */
void ctl_print_status(FILE *f, const json_t *status);

#endif
