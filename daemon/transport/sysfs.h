/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/sysfs.h - what a client is shown under /sys.
 *
 * Two steps. The supervisor makes a *plan*, a tree of directories, files and links in
 * memory, from a description of the simulated devices (sysfs.c; no I/O but the few host
 * facts in struct sysfs_host). The child that becomes the client lays it over the
 * machine's own /sys in a mount namespace of its own (sysfs_mount.c). The service lays it
 * over the host's own /sys, changes it (sysfs_update.c) and takes it away again
 * (sysfs_unmount.c).
 */
#ifndef TRANSPORT_SYSFS_H
#define TRANSPORT_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vfio-cused/cused.h>
#include <vfio-cused/iommu.h>
#include <vfio-cused/pci.h>
#include <core/topology.h>

/* One simulated device; everything is copied. */
struct sysfs_device {
	struct pci_address address;
	struct cused_pci pci;
	struct cused_range bars[7];	/* host addresses, [6] is the ROM; 0,0: none */
	uint8_t config[4096];		/* physical configuration space */
	unsigned config_size;		/* 256 or 4096 */
	unsigned group;			/* index into sysfs_desc.groups */
};

struct sysfs_group {
	unsigned id;
	bool noiommu;
	unsigned n_resv;		/* SD-004: any order, merged by the plan */
	struct cused_resv resv[CUSED_IOMMU_RESV_MAX];
};

/* Facts of the machine that the simulated entries have to agree with. */
struct sysfs_host {
	unsigned n_cpus;		/* the highest online CPU + 1 */
	unsigned iommu_number;		/* N of the first free /sys/class/iommu/dmarN */
};

struct sysfs_desc {
	const struct sysfs_device *devices;
	size_t n_devices;
	const struct sysfs_group *groups;
	size_t n_groups;
	unsigned address_bits;		/* width of the IOMMU's aperture, for dmarN's "cap" */
	uint32_t dma_entry_limit;	/* SD-034 */
	bool unsafe_noiommu;		/* SD-033 */
	bool own_driver;		/* the machine has vfio-pci: its devices are bound there */
	struct sysfs_host host;
};

enum sysfs_kind { SYSFS_DIR, SYSFS_FILE, SYSFS_LINK };

struct sysfs_node {
	enum sysfs_kind kind;
	unsigned mode;			/* permission bits of a file */
	char *name;
	char *data;			/* a file's bytes, a link's target; also NUL-terminated */
	size_t len;
	uint64_t size;			/* a file's apparent size, >= len */
	struct sysfs_node *children, *next;
};

struct sysfs_plan;

/*
 * sysfs_host_read - look at the machine.
 * @root: "/sys", or a test's copy; what is missing there counts as none
 * Locks: none.
 */
void sysfs_host_read(const char *root, struct sysfs_host *ret);

/*
 * sysfs_plan_new - compute the tree (SD-001 … SD-009, SD-022 … SD-036, SD-074 … SD-078).
 * Return: 0, -ENOMEM.  Locks: none.
 */
int sysfs_plan_new(const struct sysfs_desc *desc, struct sysfs_plan **ret);
void sysfs_plan_free(struct sysfs_plan *plan);		/* NULL is allowed */

/* The directory that stands for /sys. Valid as long as the plan. */
const struct sysfs_node *sysfs_plan_root(const struct sysfs_plan *plan);
/* @path: relative to /sys, links are not followed. NULL if there is none. */
const struct sysfs_node *sysfs_plan_find(const struct sysfs_plan *plan, const char *path);

/*
 * A plan as bytes, for another process (sysfs_pack.c). Who takes it apart does not trust it.
 */
#define SYSFS_PACK_MAX (64u << 20)	/* of one plan; 300 devices take some 2 MiB */
#define SYSFS_PACK_DEPTH 32u		/* directories in directories */

/* @ret: to be freed. Return: 0; -EFBIG more than SYSFS_PACK_MAX; -ENOMEM. */
int sysfs_plan_pack(const struct sysfs_plan *plan, uint8_t **ret, size_t *ret_size);
/* Return: 0; -EBADMSG it is no plan: cut off, too deep, a name that leads elsewhere, …; -ENOMEM. */
int sysfs_plan_unpack(const uint8_t *data, size_t size, struct sysfs_plan **ret);

/* By this source, and by being a tmpfs, mountinfo tells our mounts from others. */
#define SYSFS_MOUNT_SOURCE "vfio-cused"

/*
 * sysfs_mount - lay the plan over @root in the caller's mount namespace.
 * @root: "/sys" for a client
 *
 * The caller has CAP_SYS_ADMIN over its mount namespace. For a client that namespace is its
 * own, and the mount of "/" and all below it were made slaves or private; if they are
 * shared, other namespaces see the overlay as well. Changes the umask and puts it back.
 * Call while single-threaded.
 * Return: 0; -ENOENT no @root; -EFBIG the limit on file sizes is too low; -ENOSYS and
 * -EPERM of a sandbox that forbids open_tree(2), mount_setattr(2) or move_mount(2); another
 * errno of these and of mount(2). @err is set on failure; what was mounted until then stays:
 * see sysfs_unmount().
 */
int sysfs_mount(const struct sysfs_plan *plan, const char *root, struct cused_error *err);

/*
 * sysfs_update - change what sysfs_mount() has laid over @root from one plan to another, where
 * what is in both is there all the time.
 * @old: what is laid there
 * The caller has CAP_SYS_ADMIN. Changes the umask and puts it back.
 * Return: 0; -EXDEV the plans do not cover the same directories; -EEXIST one of the machine's
 * own has the name; another errno of making entries. @err is set on failure, and part may
 * have been done: then sysfs_unmount() and sysfs_mount() make it whole.
 */
int sysfs_update(const struct sysfs_plan *old, const struct sysfs_plan *new, const char *root,
		 struct cused_error *err);

/*
 * sysfs_unmount - take away what sysfs_mount() has laid over @root, in the caller's mount
 * namespace and in all to which it was propagated.
 * @root: as sysfs_mount() had it; without symbolic links or a slash at the end
 *
 * Whoever made it, and however often it was made: a service begins with this call, in case
 * another was killed. Files that processes have open there stay valid. A mount that
 * somebody made below a directory of the machine's own that was shown in an overlay lives
 * in the overlay, and goes with it. Nothing else is touched. Needs /proc.
 * Return: 0, also if there was nothing; -EBUSY a mount of somebody else covers one of
 * ours; -EPERM; -ENOMEM; another errno of reading mountinfo. @err is set on failure.
 * Locks: none.
 */
int sysfs_unmount(const char *root, struct cused_error *err);

#endif
