/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/open_notes.h - which files of ours clients have open, for status output.
 *
 * Whose a file is, is noted when it is opened. It may have been passed on, or its opener may
 * have become another program, or have ended, since.
 */
#ifndef TRANSPORT_OPEN_NOTES_H
#define TRANSPORT_OPEN_NOTES_H

#include <proto/proto.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct client_who {
	pid_t pid;		/* of the process; 0: of another pid namespace, or gone */
	uid_t uid;		/* effective; of a request its fsuid, which follows that */
	char name[16];		/* what is no printable ASCII is '?' */
};

/*
 * client_who - who a thread belongs to.
 * @tid: its number in our pid namespace, of a call that is not answered yet, so that it cannot
 *       be another's; 0: nobody we know
 * @ret: number 0 and no name, and the user -1, for what cannot be told
 * Locks: none. Takes as long as some calls: client_who_of() is for who is known in part.
 */
void client_who(pid_t tid, struct client_who *ret);
/* The same of process @tgid, not 0, of a user that is known. Reads the name and nothing else. */
void client_who_of(pid_t tgid, uid_t uid, struct client_who *ret);

/* Facts, no references: what they are about may be gone. */
struct open_note {
	struct client_who who;
	enum object_kind kind;
	uint64_t container;	/* container_id(), of a container */
	unsigned group;		/* of a group or device */
	bool noiommu;
	char device[16];	/* "0000:01:00.0", of a device */
};

struct open_notes {
	struct open_note *files;
	size_t n, room;
};

/* Add one. @object: valid while this runs. Return: 0, -ENOMEM.  Locks: none taken. */
int open_notes_add(struct open_notes *files, const struct client_who *who,
		     struct object object);
void open_notes_done(struct open_notes *files);

#endif
