/* SPDX-License-Identifier: GPL-2.0-or-later */
/* proto/call_device.c - ioctls of a device that deal with information and reset. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <linux/vfio.h>

#include <proto/call.h>

/* struct vfio_device_info as of Linux 6.12; it was 4 bytes shorter. */
struct info_reply {
	uint32_t argsz, flags, num_regions, num_irqs, cap_offset, pad;
};

static_assert(sizeof(struct info_reply) == 24, "PCI-020");
static_assert(sizeof(struct vfio_region_info) == 32, "PCI-026");
static_assert(sizeof(struct vfio_region_info_cap_sparse_mmap) == 16, "PCI-029");
static_assert(sizeof(struct vfio_irq_info) == 16, "PCI-045");
static_assert(sizeof(struct vfio_pci_hot_reset_info) == 12, "PCI-109");
static_assert(sizeof(struct vfio_pci_dependent_device) == 8, "PCI-116");
static_assert(sizeof(struct vfio_pci_hot_reset) == 12, "PCI-118");

int64_t call_device_info(struct call *call)
{
	struct info_reply *reply = (void *)call->in;
	uint32_t argsz = reply->argsz;
	struct device_info info;

	device_get_info(call->object.device, &info);
	*reply = (struct info_reply){
		.argsz = argsz,
		.flags = info.flags,
		.num_regions = info.num_regions,
		.num_irqs = info.num_irqs,
		/* PCI-024: no capability of a simulated device, so no chain. */
	};
	call_reply(call, 0, reply, argsz < sizeof(*reply) ? argsz : sizeof(*reply));
	return 0;
}

/* ---- GET_REGION_INFO ---- */

static void add_sparse_mmap(struct reply_chain *chain, const struct region_info *info)
{
	struct vfio_region_info_cap_sparse_mmap *cap;

	cap = reply_cap_add(chain, VFIO_REGION_INFO_CAP_SPARSE_MMAP, 1,
			    sizeof(*cap) + info->n_areas * sizeof(cap->areas[0]));
	cap->nr_areas = info->n_areas;
	for (unsigned i = 0; i < info->n_areas; i++) {
		cap->areas[i].offset = info->areas[i].first;
		cap->areas[i].size = info->areas[i].last - info->areas[i].first + 1;
	}
}

/* Room for every capability that a region can have. */
#define REGION_CAPS_MAX (sizeof(struct vfio_region_info_cap_sparse_mmap) + \
	CUSED_PCI_BAR_AREAS * sizeof(struct vfio_region_sparse_mmap_area) + \
	sizeof(struct vfio_info_cap_header))

int64_t call_device_region(struct call *call)
{
	struct vfio_region_info *reply = (void *)call->in;
	struct reply_chain chain = { .base = sizeof(*reply) };
	struct region_info info;
	int r;

	r = device_get_region_info(call->object.device, reply->index, &info);
	if (r)
		return r;						/* PCI-028 */
	reply->flags = info.flags;
	reply->size = info.size;
	reply->offset = info.offset;

	chain.buf = call_take(call, REGION_CAPS_MAX);
	if (!chain.buf)
		return -ENOMEM;
	if (info.n_areas)
		add_sparse_mmap(&chain, &info);
	if (info.msix_mappable)						/* PCI-039 */
		reply_cap_add(&chain, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 1,
			      sizeof(struct vfio_info_cap_header));
	if (chain.size) {						/* PCI-031 */
		reply->flags |= VFIO_REGION_INFO_FLAG_CAPS;
		reply_cap_put(call, &chain, &reply->argsz, &reply->cap_offset);
	}
	call_reply(call, 0, reply, sizeof(*reply));			/* PCI-032 */
	return 0;
}

int64_t call_device_irq_info(struct call *call)
{
	struct vfio_irq_info *reply = (void *)call->in;
	struct irq_info info;
	int r;

	r = device_get_irq_info(call->object.device, reply->index, &info);
	if (r)
		return r;						/* PCI-046 */
	reply->flags = info.flags;
	reply->count = info.count;
	call_reply(call, 0, reply, sizeof(*reply));
	return 0;
}

int64_t call_device_reset(struct call *call)
{
	return device_reset(call->object.device);
}

/* linux/vfio.h of 6.12: a struct of 24 bytes, of which 16 have to be there. The kernel looks
 * for zeros behind it as far as argsz says; here it is no further than a page. */
#define BIND_MIN 16
#define BIND_SIZE 24
#define BIND_MAX 4096

static uint32_t bind_len(const struct call *call)
{
	uint32_t argsz;

	memcpy(&argsz, call->in, sizeof(argsz));
	return argsz < BIND_MAX ? argsz : BIND_MAX;
}

/* The struct is read before anything else is asked: CD-009, CD-010, CD-012. */
int call_device_bind_tail(struct call *call)
{
	uint32_t len = bind_len(call);

	return len < BIND_MIN ? -EINVAL : call_want_tail(call, 0, len);
}

/* A device that was opened through its group is bound already: PCI-001, CD-014. */
int64_t call_device_bind(struct call *call)
{
	for (uint32_t i = BIND_SIZE; i < bind_len(call); i++)
		if (call->tail[i])
			return -E2BIG;					/* CD-011 */
	return -EINVAL;
}

/* ---- hot reset ---- */

int64_t call_device_reset_info(struct call *call)
{
	const struct vfio_pci_hot_reset_info *in = (void *)call->in;
	struct hot_reset_entry entries[HOT_RESET_MAX];
	struct vfio_pci_hot_reset_info *reply;
	int n = device_hot_reset_info(call->object.device, entries);
	bool fits;

	if (n < 0)
		return n;						/* PCI-111 */
	fits = (size_t)n <= (in->argsz - sizeof(*in)) / sizeof(reply->devices[0]);
	reply = call_take(call, sizeof(*reply) + (size_t)n * sizeof(reply->devices[0]));
	if (!reply)
		return -ENOMEM;
	reply->argsz = in->argsz;
	reply->count = (uint32_t)n;
	for (int i = 0; i < n; i++) {
		reply->devices[i].group_id = entries[i].group;
		reply->devices[i].segment = entries[i].segment;
		reply->devices[i].bus = entries[i].bus;
		reply->devices[i].devfn = entries[i].devfn;
	}
	/* The kernel writes the entries first; if that faults, the header is untouched. */
	if (fits)
		call_reply(call, sizeof(*reply), reply->devices,
			   (size_t)n * sizeof(reply->devices[0]));	/* PCI-115 */
	call_reply(call, 0, reply, sizeof(*reply));
	return fits ? 0 : -ENOSPC;					/* PCI-112 */
}

int call_device_hot_reset_tail(struct call *call)
{
	const struct vfio_pci_hot_reset *in = (void *)call->in;
	struct hot_reset_entry entries[HOT_RESET_MAX];
	int n;

	if (in->count == 0)
		return -EINVAL;						/* PCI-120 */
	n = device_hot_reset_info(call->object.device, entries);
	if (n < 0)
		return n;						/* PCI-121 */
	if (in->count > (unsigned)n)
		return -EINVAL;						/* PCI-122 */
	return call_want_tail(call, sizeof(*in), in->count * sizeof(int32_t));
}

int call_device_hot_reset_fds(struct call *call)
{
	const struct vfio_pci_hot_reset *in = (void *)call->in;

	return call_want_fds(call, (const int32_t *)call->tail, in->count, false);
}

int64_t call_device_hot_reset(struct call *call)
{
	struct group_arg groups[HOT_RESET_MAX];

	for (size_t i = 0; i < call->n_fds; i++) {
		const struct call_fd *fd = &call->fds[i];

		groups[i] = (struct group_arg){ .err = fd->err };
		if (!fd->err && fd->object.kind == OBJECT_GROUP)
			groups[i].group = fd->object.group;
		else if (!fd->err)
			groups[i].err = -EINVAL;			/* PCI-125 */
	}
	return device_hot_reset(call->object.device, groups, (unsigned)call->n_fds);
}
