/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run.h - `vfio-cused run -- CMD`: a command that finds simulated devices.
 *
 * Theory of operation
 *
 *   supervisor (us, outside of the client's namespaces)      child, becomes CMD
 *   ---------------------------------------------------      --------------------------
 *   makes devices, plans sysfs, builds the filter
 *   fork                                                ───▶ run_child():
 *                                                            own namespaces, sysfs and
 *                                                            /dev/vfio mounted, filter on
 *   receives the listener and /dev/vfio         ◀─ socket ── sends both, or what failed
 *   starts the trap transport
 *   says go                                      ── socket ─▶ exec CMD
 *   waits: children, signals
 *   CMD has ended: kills what it left behind, stops the transport, passes on the status
 *
 *   What the supervisor does as such is in supervise.h. As it is a subreaper and kills
 *   what is left, `run` leaves no process behind, and daemons started under it end with it.
 *
 *   If the supervisor is killed, the kernel kills CMD (parent death signal), and a guard
 *   kills the other processes of the run: a child of the supervisor that sleeps in
 *   read() on a pipe whose other end only the supervisor has. Their trapped calls fail
 *   with ENOSYS in between.
 */
#ifndef RUN_H
#define RUN_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <signal.h>
#include <vfio-cused/cused.h>

#include "conf.h"

#define RUN_EXIT_FAILED		125	/* we failed; as env(1), nohup(1) */
#define RUN_EXIT_CANNOT		126	/* CMD was found but could not be run */
#define RUN_EXIT_NOT_FOUND	127

/*
 * run_command - run a command against the devices of a configuration.
 * @conf: after conf_finish()
 * @argv: the command, NULL-terminated; at least its name
 * Return: the exit status for main(): the command's; 128 + n if signal n ended it; 125,
 * 126 or 127, with a message on standard error.
 * Locks: none held. Call from the main thread, before any other thread was started.
 */
int run_command(const struct conf *conf, char **argv);

/* ---- between run.c, run_child.c, run_dev.c and run_guard.c ---- */

struct run_ctl;
struct sysfs_plan;

#define RUN_ACTIONS 3		/* signals whose disposition is changed */

/* What the supervisor changed for itself, and CMD gets back. */
struct run_inherited {
	sigset_t mask;
	struct sigaction actions[RUN_ACTIONS];
	struct rlimit fsize, nofile;
};

void run_inherited_save(struct run_inherited *ret);
void run_inherited_restore(const struct run_inherited *inherited);


struct run_child {
	char **argv;
	const struct sysfs_plan *sysfs;
	char *const *nodes;		/* names in /dev/vfio, NULL-terminated */
	struct sock_fprog filter;
	struct run_inherited inherited;
	pid_t supervisor;
	int socket;
};

/* What travels with the child's hello. */
enum { RUN_FD_LISTENER, RUN_FD_DIRECTORY, RUN_FDS };

/* In the child, after fork. Never returns. */
void run_child(const struct run_child *child) __attribute__((noreturn));

/*
 * run_dev_mount - /dev/vfio with plain files of these names, over the machine's.
 * Where /dev/vfio does not exist, /dev becomes a tmpfs that has it, and a bind mount of
 * every other entry; entries made on the machine's /dev later are not seen there.
 * Return: 0, -errno with @err set.
 */
int run_dev_mount(char *const *names, struct cused_error *err);

/* Does /proc show the PID namespace that we are in? */
bool run_proc_is_ours(void);

/*
 * Start the guard: a child that waits until the pipe is closed, by our end or by our
 * death, and then kills the processes that see the mount on which @directory is, which
 * is the /dev/vfio of @command; also in mount namespaces made later. And it takes the
 * control socket away.
 * Call while single-threaded. Return: 0; -errno with @err set.
 */
int run_guard_start(pid_t command, int directory, const struct run_ctl *ctl, int *ret_pipe,
		    struct cused_error *err);

/*
 * Look at the command before anything is set up.
 * Return: 0 go on (also if it does not exist: exec will tell); -ENOEXEC a 32-bit program,
 * with @err set.
 */
int run_check_command(const char *name, struct cused_error *err);

#endif
