/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host - devices of this machine, through the kernel's iommufd.
 *
 * Theory of operation
 *
 *   Clients speak the old API to us, groups and containers; the kernel knows a device node
 *   (/dev/vfio/devices/vfioN) and an iommufd. What goes where:
 *
 *     container, type1's rules     the core's; its map of IOVAs says what is mapped
 *     domain, one per container    an iommufd with one IOAS                  (iommu.c)
 *     device                       a file of its node, bound to that iommufd
 *                                  and attached to that IOAS                 (device.c)
 *     the client's device fd       that file, handed over: regions, interrupts, mmap and
 *                                  reset are between the client and the kernel
 *
 *   A node's file binds once. So there is one at a time, in its *seat*:
 *
 *     EMPTY ─attach (SET_IOMMU), or open─▶ SEATED ─take_file (GET_DEVICE_FD)─▶ TAKEN
 *       ▲                                    │                                   │
 *       └──────────── detach ────────────────┴──────────── close ────────────────┘
 *
 *   Bind and attach come with SET_IOMMU, not with GET_DEVICE_FD: without a device in it an
 *   IOAS takes every address and pins nothing, so that mistakes of MAP_DMA would come up
 *   in GET_DEVICE_FD, and a mapping over the MSI window would lock the device out. Once the
 *   file is taken there is no copy of it here, so that the client's last close is the
 *   kernel's last close: the device is reset, and the transport, who watches the file,
 *   tells the core. While the container still has the group, the next open fills the
 *   seat again.
 *
 *   A device that comes to a group in use (hot-plugged, or bound again, beside another of
 *   the group) is of the group's domain at once, and its seat is filled when it is opened.
 *
 *   Mapping. The kernel maps memory of the caller, and the caller is us. Hence two ways, by
 *   what the client's transport lends (struct cused_lender):
 *
 *     file      IOAS_MAP_FILE with the file behind the client's shared mapping
 *     by call   the client's own thread makes IOAS_MAP, on our iommufd
 *
 *   The first where it can be had, else the second. What cannot be had is EFAULT, as
 *   memory that cannot be pinned is to type1 (T1-032), and a warning with the cure. Pinned
 *   pages count for whoever made the call: by the second way it is the client, with its
 *   limit; by the first it is us, so the core holds the client's limit itself.
 *
 *   Or the client does it all itself: *swap*. At SET_IOMMU the transport replaces the client's
 *   container file by our iommufd (lender->swap). The IOAS is its compatibility IOAS, so
 *   VFIO's ioctls on it are answered by the kernel, and the rules are those of its
 *   compatibility layer (CD-163 …). Groups stay ours: one that joins later is told the iommufd
 *   as its container, which is recognised by comparing open files, and goes into the same IOAS;
 *   the kernel keeps reserved ranges and mappings apart (EADDRINUSE). What it has mapped ends
 *   with the IOAS, when the last group leaves; a new one takes its place for the next. If our
 *   end comes first, its device files keep the IOAS busy: then all stays as it is, until
 *   the client closes it.
 *
 *   Else, unmapping is always ours, by IOAS_UNMAP, which returns when no device reaches the range
 *   any more: the kernel takes the IOMMU's entries away and flushes its caches before it
 *   unpins. A mapping that a client has put elsewhere meanwhile (it has the iommufd for the
 *   length of a call, and its threads can reach it) is in nobody's way but its own, and
 *   goes with the domain.
 *
 *   Closing, in any order. The domain ends when the last group has left the container. All
 *   of the IOAS is unmapped then, and our copy of the iommufd closed; the kernel keeps what
 *   a client holds on to (its device file, a copy of the iommufd), with nothing mapped.
 *   If the service is killed, the client's device file keeps the iommufd and its mappings
 *   until it is closed.
 *
 *   Another process. Who takes over from one that was killed has the iommufd that was kept, and
 *   in it the IOAS with all that is mapped. A file in a seat was that process's, and went with
 *   it; so each device of a group is bound and attached again, and one that a client has stays
 *   TAKEN, as it cannot be bound twice. What a call of MAP_DMA has mapped that was cut short is in
 *   the way of the same call when it comes again (EEXIST): it is unmapped then.
 *
 *   Locks: `list`, for reading by those who look for a group's devices; then a device's
 *   `lock`, over its seat, across the calls that fill and empty it. Taken last of all, from
 *   callbacks that the core makes with its own locks held.
 */
#ifndef HOST_DEVICE_H
#define HOST_DEVICE_H

#include <pthread.h>
#include <vfio-cused/device.h>
#include <vfio-cused/iommu.h>

/* How the backend reaches the machine; a test has a machine of its own. */
struct host_machine {
	const char *dev;		/* "/dev" */
	int (*open)(const char *path);	/* for reading and writing. Return: an fd, -errno */
	int (*ioctl)(int fd, unsigned long cmd, void *arg);	/* Return: >= 0, -errno */
	void (*close)(int fd);
	void (*pause)(void);		/* some milliseconds */
	bool (*same)(int a, int b);	/* the same open file? */
};
extern const struct host_machine *host_machine;

#define HOST_SEAT_TRIES 200u		/* for a file that is being closed: 1 s of pauses */

struct host_domain {
	int iommufd;
	uint32_t ioas;
	bool swapped;			/* the client has the iommufd in place of its container */
	bool told_memory;		/* what cannot be mapped was told once */
	bool restored;			/* of a process before: there may be mappings of no record */
};

struct host_device {
	struct host_device *next;	/* list */
	char bdf[16];
	unsigned group;
	char node[64];			/* "/dev/vfio/devices/vfio0" */
	pthread_mutex_t lock;
	struct host_domain *domain;	/* lock; NULL: the group is in no container */
	int seat;			/* lock; -1: empty, or its file was taken */
};

/* ---- device.c ---- */

/*
 * Call for each device of @group, until it does not return 0.
 * Return: what it returned last; -ENODEV there is no device.
 * Locks: takes `list` for reading.
 */
int host_each(unsigned group, int (*fn)(struct host_device *device, void *arg), void *arg);
/* Bind and attach a file. @domain: of the container that the group is in; stays the device's
 * until host_vacate(). Return: 0; -EBUSY held by others; -errno. Locks: takes the device's. */
int host_seat(struct host_device *device, struct host_domain *domain);
/* The same of a group that was attached by a process before: its file may be a client's.
 * Locks: as above. */
void host_seat_again(struct host_device *device, struct host_domain *domain);
/* The group leaves the container. Locks: takes the device's. */
void host_vacate(struct host_device *device);

/* ---- iommu.c ---- */

extern const struct cused_iommu_ops host_iommu_ops;

/* An iommufd with an IOAS. Return: 0; -errno with @err set. */
int host_domain_open(struct host_domain *ret, struct cused_error *err);
void host_domain_close(struct host_domain *domain);

#endif
