/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/access.h - may this caller use this group?
 *
 * The kernel asks a node's owner and mode once, at open(). An open file can be passed on, and
 * the rules can change while it is open; so where a configuration gives a group rules, each
 * request is judged by them again: opens of the node, ioctls on it, and ioctls, reads and
 * writes on files of its devices. The caller is known by the user and group of its request
 * (fsuid and fsgid, in the initial user namespace), and by its supplementary groups, which
 * have to be read from /proc. That takes longer than most calls, so the last caller that was
 * allowed is remembered per open file: who comes again with the same user and group needs no
 * other look until the rules change. (A process of the same user with fewer groups passes;
 * such processes can do to each other what they like.)
 *
 * Who is refused is an info line, limited per client (util/log.h).
 *
 * Not asked: closing, mmap() of a device file, which the kernel does by itself, and the use
 * of memory that is mapped.
 *
 * Locks: an access has one, innermost; it is not held while /proc is read.
 */
#ifndef TRANSPORT_ACCESS_H
#define TRANSPORT_ACCESS_H

#include <stdbool.h>
#include <sys/types.h>
#include <transport/server.h>

#define ACCESS_GROUPS_MAX 65536u	/* supplementary groups, NGROUPS_MAX of the kernel */

/* Of a group's node. */
struct access_rights {
	bool checked;			/* at each request; else only by the kernel at open() */
	mode_t mode;			/* permission bits */
	uid_t uid;
	gid_t gid;
};
#define ACCESS_RIGHTS_DEFAULT ((struct access_rights){ .mode = 0600 })	/* SD-017 */

/* The rules of one group; counted, as device files outlive the group's node. */
struct access;

/* Of one open file: who was allowed last. All zeroes: nobody. Guarded by the access's lock. */
struct access_seen {
	uid_t uid;
	gid_t gid;
	unsigned rules;			/* number of the rules; 0: of none */
};

/* @group: name of its node, for messages. Return: 0, -ENOMEM. */
int access_new(const char *group, const struct access_rights *rights, struct access **ret);
struct access *access_ref(struct access *access);
void access_unref(struct access *access);		/* NULL is allowed */
/* New rules, for every request that comes from now on. */
void access_set(struct access *access, const struct access_rights *rights);

/* May the caller of @request, which has begun and is not answered yet, go on? By the rules a
 * caller needs one of the bits for reading and writing; user 0 needs none. */
bool access_allows(struct access *access, struct access_seen *seen,
		   const struct request *request);

#endif
