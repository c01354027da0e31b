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
 * Who does that often names a *place* instead, a number that it has drawn and keeps to itself:
 * a folder of that file system which exists by being named. SERVICE_IOC_DEVICE_PLACE puts the
 * device file there, and opening a file without a name (O_TMPFILE) fetches it: one request
 * where the name of a token takes a look-up and an open, and leaves its name in the kernel's
 * memory. A place has one file at most; a new one takes the place of one that nobody fetched.
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

/* On a device file, by whoever has opened it: no client has got it. The close that follows is
 * waited for then, as that of a client is. */
#define SERVICE_IOC_UNDELIVERED	 _IO(0xC5, 3)	/* no argument */

/*
 * By a courier whose service has gone before it said what the thread's call returns (courier.h),
 * through that thread, to whoever serves now: what came of it? Result: 1 less the call's result,
 * which is 0 or an errno below 0; or what the kernel has for unknown commands: there was no effect,
 * or the thread has heard of it.
 */
#define SERVICE_IOC_LENT	 _IO(0xC5, 5)	/* arg: agent_job.call, by value */

#define SERVICE_TOKEN_SIZE 16

/* VFIO_GROUP_GET_DEVICE_FD whose answer is a token instead of an fd.
 * Result: 0 with the token written, or the errno of GET_DEVICE_FD. */
struct service_device_token {
	uint64_t name;				/* in: address of the NUL-terminated name,
						 * in the caller */
	uint8_t token[SERVICE_TOKEN_SIZE];	/* out */
};

/* The same, with the file put in a place. Result: 0; -EINVAL it is no place; or as above. */
#define SERVICE_IOC_DEVICE_PLACE _IO(0xC5, 4)	/* arg: struct service_device_place */
struct service_device_place {
	uint64_t name;				/* in: as above */
	uint64_t place;				/* in: 1 to SERVICE_PLACE_MAX */
};
#define SERVICE_PLACE_MAX INT64_MAX

/* The name of a place's folder, "p" and 16 hexadecimal digits. */
#define SERVICE_PLACE_NAME_SIZE 18

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
