/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/service_abi.h - between the service, its agent and `vfio-cused exec`.
 *
 * A character device answers an ioctl with a number and bytes, never with a file. So who
 * may add a file to a client asks the group's node, through a copy of the client's fd, for
 * a token instead: SERVICE_IOC_DEVICE_TOKEN does all that GET_DEVICE_FD does, and the
 * service keeps the new device file for whoever opens it by the token's name in the devices'
 * file system (devfs.h). That is mounted nowhere; the agent's socket gives a descriptor of
 * its root to anybody, because it leads to nothing but files whose names are known. The
 * token is used once. It is a secret: the node says who may open the device, the file
 * system asks for nothing else.
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

/* The name of a token's file: its bytes in hex. */
#define SERVICE_TOKEN_NAME_SIZE (2 * SERVICE_TOKEN_SIZE + 1)
static inline void service_token_name(const uint8_t token[SERVICE_TOKEN_SIZE],
				      char ret[SERVICE_TOKEN_NAME_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < SERVICE_TOKEN_SIZE; i++) {
		ret[2 * i] = digits[token[i] >> 4];
		ret[2 * i + 1] = digits[token[i] & 15];
	}
	ret[2 * SERVICE_TOKEN_SIZE] = '\0';
}

/* SOCK_SEQPACKET: who connects is sent one message, then the end; nothing is read. */
#define SERVICE_AGENT_SOCKET "/run/vfio-cused/agent"

/* That message. The root, an O_PATH descriptor, comes as SCM_RIGHTS. */
struct agent_greeting {
	uint32_t version;
};
#define AGENT_GREETING_VERSION 1u

#endif
