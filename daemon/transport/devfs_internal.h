/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/devfs_internal.h - between the devfs_*.c files. */
#ifndef TRANSPORT_DEVFS_INTERNAL_H
#define TRANSPORT_DEVFS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <transport/devfs.h>
#include <util/list.h>

#define DEVFS_CHAINS 1024u	/* numbers follow each other, so they are of equal length */
/* Number of the folder of a place: this, and the place. No file gets as far. */
#define DEVFS_INO_PLACE (1ull << 63)

/* CLOSING: the kernel has released it, but a call of a thread that was killed still works
 * on it; see server.h. */
enum devfs_state { STATE_GRANTED, STATE_OPEN, STATE_CLOSING, STATE_CLOSED };	/* in records */

#define DEVFS_GREETING 0u	/* KEEP_DEVFS: the greeting; others are backing ids, by keep_id */

struct devfs_backed {
	struct list item;		/* devfs->backed */
	const struct device *device;	/* NULL: of a process before */
	uint64_t keep_id;		/* of the device, or 0 */
	uint32_t backing_id;
};

struct devfs_file {
	struct list item;		/* devfs->files */
	struct list chain;		/* devfs->chains[], by ino */
	uint64_t ino;			/* never another's */
	char name[SERVICE_TOKEN_NAME_SIZE];	/* "" of one in a place */
	uint64_t place;			/* 0: none */
	struct device_file *device;
	const struct group *group;	/* of the device */
	struct access *access;		/* NULL: no rules */
	struct access_seen seen;	/* access's lock */
	struct client_who who;		/* constant */
	uint32_t backing_id;
	enum devfs_state state;
	pid_t opener;			/* has a copy that is no client's; 0: not any more */
	unsigned uses;			/* calls at work */
	bool by_opener;			/* flushed: it was the close of its copy */
	bool flushed;			/* a RELEASE may be on its way, or is at work, … */
	struct timespec until;		/* … until then; of a granted one: its end */
};

struct devfs {
	struct server *server;
	struct keep *keep;		/* or NULL, as the next */
	struct fd_keep *fds;
	bool adopted;			/* and not resumed yet */
	bool kept;			/* fds have the files */
	struct channel *channel;
	devfs_ioctl_fn *ioctl;
	void *ioctl_arg;
	int fd;				/* /dev/fuse; the channel's */
	int mount;
	bool offered;			/* passthrough */
	/* Perhaps a file is granted or flushed; set with the lock, read by calls without. */
	atomic_bool restless;
	pthread_mutex_t lock;		/* all below; never held in core */
	pthread_cond_t changed;
	struct list backed, files;
	struct list chains[DEVFS_CHAINS];	/* of the files, by ino */
	uint64_t last_ino;
};

/* ---- devfs_keep.c ---- */

/* The file has changed. With the lock. */
void devfs_keep_file(struct devfs *devfs, const struct devfs_file *file);
void devfs_keep_closed(struct devfs *devfs, const struct devfs_file *file);

/* ---- devfs_backed.c ---- */

/* Have memory again that a process before told the kernel of. Return: 0, -ENOMEM, -EBADMSG. */
int devfs_backed_adopt(struct devfs *devfs);
/* The kernel forgets that of devices which are no more. */
void devfs_backed_sweep(struct devfs *devfs);
/* At the end, of the connection, too. */
void devfs_backed_free(struct devfs *devfs);

/* ---- devfs_file.c; all with the lock ---- */

/* Who serves a request knows a file by its number: the kernel may ask about one that is closed,
 * whose inode it has still. Return: NULL: it is not there. */
struct devfs_file *devfs_file_find(struct devfs *devfs, uint64_t ino);
/* Of a token, whatever its state; or that waits in a place. Return: NULL: there is none. */
struct devfs_file *devfs_file_named(struct devfs *devfs, const char *name);
struct devfs_file *devfs_file_at(struct devfs *devfs, uint64_t place);
/* From here on it can be found, by its number. */
void devfs_file_add(struct devfs *devfs, struct devfs_file *file);
/* The end of a file that is closed or was never opened, and of its device's use. The lock is given
 * up meanwhile; the file may be gone then. */
void devfs_file_end(struct devfs *devfs, struct devfs_file *file);
/* What is waited for, or waits, has its full time from now on. */
void devfs_file_restart_clock(struct devfs_file *file);
/* A last close may be on its way. */
void devfs_file_flushed(struct devfs *devfs, struct devfs_file *file);

#endif
