/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serve.h - `vfio-cused serve`: simulated devices for every process of the machine.
 *
 * Theory of operation
 *
 *   serve is root's. It makes the devices of the configuration, /dev/vfio/vfio and a node
 *   for each group (transport/service.h), and lays what clients look for over the
 *   machine's /sys, last, so that who finds a device there can open it. It stays in the
 *   foreground until SIGTERM or SIGINT, then takes everything away again. SIGHUP makes it
 *   load its configuration again (serve_devices.h); one with a mistake changes nothing.
 *
 *   The agent, `vfio-cused agent`, is a child in a session of its own (transport/agent.h).
 *   It outlives a serve that is killed for as long as it takes to clean up /sys and to
 *   finish what couriers have begun.
 *
 *   Only one serve at a time: it holds a lock on a file beside the agent's socket. With the
 *   lock in hand, what lies over /sys is a killed serve's, and is taken away before the
 *   machine is looked at.
 *
 *   Under systemd a process takes over from one that was killed, or that ended for a restart, and
 *   clients do not notice: serve_kept.h. Then what lies over /sys, nodes, and sockets stay for it:
 *   an agent that is told so waits AGENT_GRACE_S for the next service before it cleans up.
 */
#ifndef SERVE_H
#define SERVE_H

#include "conf.h"

#define SERVE_LOCK "/run/vfio-cused/lock"
/* For a service manager to start another one. */
#define AGENT_GRACE_S 20u

/* Before the configuration is finished: take the lock, and what the process before has left
 * (serve_kept.h), or clear /sys. Return: 0 or an exit status, with a message on standard error. */
int serve_prepare(struct conf *conf);
/* Return: an exit status. After serve_prepare() and conf_finish(), single-threaded. */
int serve_command(const struct conf *conf, char **args);
/* What serve starts. args[0]: "sysfs" if /sys is to be cleaned up; args[1]: the socket; args[2]: the
 * control socket, or ""; args[3]: "keep": another service may take over. */
int agent_command(const struct conf *conf, char **args);

#endif
