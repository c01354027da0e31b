/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run_ctl.h - the control socket of a `run`.
 *
 * It is `ctl` in a folder of its own, which only the user can reach, in $XDG_RUNTIME_DIR,
 * else in $TMPDIR, else in /tmp. The command finds its name in $VFIO_CUSED_CTL; so the name
 * is chosen before there is a command. Folder and socket are made later, when the guard is
 * there to take them away if we are killed. A run that can have none goes on without.
 */
#ifndef RUN_CTL_H
#define RUN_CTL_H

#include "ctl.h"

#define RUN_CTL_NAME_SIZE 96	/* what a socket's name can be, without the last part */

struct trap;

struct run_ctl {
	const struct conf *conf;
	struct trap *trap;
	char folder[RUN_CTL_NAME_SIZE];	/* "": none */
	char path[RUN_CTL_NAME_SIZE + 4];	/* of the socket */
	bool made;
	struct ctl_server *server;
};

/* Choose a name. The rest is zeroed. */
void run_ctl_choose(struct run_ctl *ctl, const struct conf *conf);
/* Make it and answer. @topology, @trap: have to outlive the answers. */
void run_ctl_start(struct run_ctl *ctl, struct topology *topology, struct trap *trap);
/* Return: 0; -EBUSY as ctl_server_stop(). */
int run_ctl_end(struct run_ctl *ctl);

/* Take folder and socket away; also from another process. */
void run_ctl_remove(const struct run_ctl *ctl);

#endif
