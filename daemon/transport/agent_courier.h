/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/agent_courier.h - the agent's children: couriers (courier.h) with a job of the
 * service, see agent.h.
 */
#ifndef TRANSPORT_AGENT_COURIER_H
#define TRANSPORT_AGENT_COURIER_H

#include <transport/agent.h>
#include <transport/client.h>

/*
 * agent_courier - in a child of the agent: do the job, and further ones that come; ends.
 * @socket: of the job, for its answers
 * @file: of the job, or -1
 * @parent: a pipe that ends when the agent has no copy of @file any more
 * @agent: to the agent, if it keeps this courier, or -1: it is sent a byte when the courier is
 *         free, sends jobs by token with their sockets, and closes it in the end
 */
void agent_courier(struct clients *clients, struct agent_job job, int socket, int file,
		   int parent, int agent) __attribute__((noreturn));

/* Tell the service how the job ended, as agent_deliver() returns it. */
void agent_tell_done(int socket, int result);

#endif
