/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/devnode.h - the name of a character device of ours under /dev.
 *
 * Theory of operation
 *
 *   The kernel makes /dev/NAME itself when a CUSE device appears, if there is a devtmpfs and
 *   nothing has that name; else it says nothing. Two things can have it: the static node of
 *   /dev/vfio/vfio (10:196), which is made at boot so that the first open loads the
 *   kernel's module, and what a service left that was killed. Both have a number that
 *   nobody serves, so they are replaced. A number that somebody serves is not touched, with
 *   one exception: where the administrator says so, the node of the kernel's own vfio gives
 *   way, and those of its groups (of CONFIG_VFIO_GROUP). The name is ours then; whoever has it
 *   open already is not disturbed. A group that goes and comes again has another number, and no
 *   node while we have its name, so what is given back has the number of that moment.
 *
 *   Who serves a number is read from /sys/dev/char, where simulated devices never appear.
 *   A node is replaced by a rename, so that the name is always there.
 *
 *   The kernel removes its own node with the device, but none that we made; whatever is
 *   still there afterwards with our number is ours to remove.
 */
#ifndef TRANSPORT_DEVNODE_H
#define TRANSPORT_DEVNODE_H

#include <stdbool.h>
#include <sys/types.h>
#include <vfio-cused/cused.h>

#define DEVNODE_PATH_SIZE 256

/* What devnode_restore() undoes. */
struct devnode {
	char path[DEVNODE_PATH_SIZE];	/* empty: nothing to undo */
	char root[DEVNODE_PATH_SIZE], name[64];	/* as they were given */
	char record[DEVNODE_PATH_SIZE];	/* of what was replaced; empty: there is none */
	dev_t dev;
	bool made_directory;
	bool has_old;			/* a node of the kernel's was replaced: */
	dev_t old_dev;
	mode_t old_mode;
	uid_t old_uid;
	gid_t old_gid;
};

struct devnode_wish {
	const char *name;		/* below /dev, with one directory at most: "vfio/1" */
	dev_t dev;
	mode_t mode;			/* permission bits, also of a node of the kernel's */
	uid_t uid;
	gid_t gid;
	bool replace;			/* also the kernel's vfio that is loaded, and its groups */
};

/*
 * devnode_ensure - see to it that /dev/@wish->name is the character device @wish->dev.
 * @root: "" for the machine; a test's directory, with dev/ and sys/ in it
 * @ret: for devnode_restore()
 * Call after the device exists. On failure nothing has changed, but perhaps a directory
 * was made, or rights were set.
 * Return: 0; -EEXIST the name is another's, who is named in @err with the cure;
 * -ENAMETOOLONG; -errno of mknod() and others. @err is set on failure.  Locks: none.
 */
int devnode_ensure(const char *root, const struct devnode_wish *wish, struct devnode *ret,
		   struct cused_error *err);

/* What is known of the kernel's nodes that were replaced, for whoever cleans up after a service
 * that was killed: a file for each, "vfio!7". In it "major:minor mode uid gid", mode in octal. */
#define DEVNODE_RECORDS "/run/vfio-cused/nodes"

/*
 * devnode_recover - put back the kernel's nodes that a killed service has replaced.
 * Of no effect if there are no records.
 * @root: as devnode_ensure() had it
 * Return: 0; -EBUSY somebody serves what has a name of these: call again later; -EINVAL a
 * record that nobody wrote; -errno of making one.  Locks: none.
 */
int devnode_recover(const char *root);

/*
 * devnode_restore - remove the node, and put the kernel's back.
 * Call after the device has gone. What has another number by now is left alone. May be
 * called again, and for a struct of zeroes.
 * Return: 0; -errno: something could not be put back.  Locks: none.
 */
int devnode_restore(struct devnode *node);

#endif
