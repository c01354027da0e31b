/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exec.h - `vfio-cused exec -- CMD`: a command that is a client of the running service.
 *
 * Theory of operation
 *
 *   CMD uses the service's nodes as any program does. It runs under a filter that stops
 *   GET_DEVICE_FD alone, which is answered here (transport/exec_trap.h) instead of by the
 *   service's courier: quicker, without ptrace, and so also under a debugger.
 *
 *   We are CMD's parent and the same user; there are no namespaces and no rights to be
 *   had. Signals, exit statuses and messages are those of `run` (supervise.h). When CMD
 *   ends, what it left behind is killed: nobody would answer its calls any more, and a
 *   wrapper that stayed for daemons would be a surprise in a script.
 *
 *   If we are killed, the kernel kills CMD. Its descendants live on with the devices that
 *   they have; opening another one fails with ENOSYS.
 */
#ifndef EXEC_H
#define EXEC_H

#include "conf.h"

/*
 * exec_command - run a command as a client of the service.
 * @conf: agent_socket is used, nothing else
 * @argv: the command, NULL-terminated; at least its name
 * Return: the exit status for main(), as run_command().
 * Locks: none held. Call from the main thread, before any other thread was started.
 */
int exec_command(const struct conf *conf, char **argv);

#endif
