/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/service_abi.h - between the service, its agent and `vfio-cused exec`.
 *
 * A character device answers an ioctl with a number and bytes, never with a file. So who
 * may add a file to a client asks the group's node, through a copy of the client's fd, for
 * a token instead: SERVICE_IOC_DEVICE_TOKEN does all that GET_DEVICE_FD does, and the
 * service keeps the new device file for whoever brings the token to the agent's socket.
 * The token is used once. It is a secret: the node says who may open the device, the
 * socket asks for nothing else.
 *
 * The numbers are not VFIO's, so that the kernel's own VFIO answers ENOTTY.
 */
#ifndef TRANSPORT_SERVICE_ABI_H
#define TRANSPORT_SERVICE_ABI_H

#include <linux/ioctl.h>
#include <stdint.h>

/* Commands of our own on container and group files of the service. Not VFIO's type byte. */
#define SERVICE_IOC_IDENTIFY	 _IO(0xC5, 1)	/* arg: a cookie by value; agent only */
#define SERVICE_IOC_DEVICE_TOKEN _IO(0xC5, 2)	/* arg: struct service_device_token */

#define SERVICE_TOKEN_SIZE 16

/* VFIO_GROUP_GET_DEVICE_FD whose answer is a token instead of an fd.
 * Result: 0 with the token written, or the errno of GET_DEVICE_FD. */
struct service_device_token {
	uint64_t name;				/* in: address of the NUL-terminated name,
						 * in the caller */
	uint8_t token[SERVICE_TOKEN_SIZE];	/* out */
};

/* SOCK_SEQPACKET: a token goes in, a struct agent_token_answer comes out, then the end, when
 * the agent has closed its own copy of the file. */
#define SERVICE_AGENT_SOCKET "/run/vfio-cused/agent"

/* Answer to a token sent to the agent's socket; the file comes as SCM_RIGHTS if err is 0. */
struct agent_token_answer {
	int32_t err;				/* 0, -ENOENT unknown or used token, -errno */
};

#endif
