/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * proto/call_event.c - ioctls of a device that take eventfds: SET_IRQS, IOEVENTFD and
 * FEATURE. An fd that is not an eventfd goes to the core as such, because the core knows
 * which error comes first.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <linux/vfio.h>

#include <proto/call.h>

static_assert(sizeof(struct vfio_irq_set) == 20, "PCI-052");
static_assert(sizeof(struct vfio_device_ioeventfd) == 32, "PCI-130");
static_assert(offsetof(struct vfio_device_ioeventfd, fd) + 4 == 28, "PCI-130");
static_assert(sizeof(struct vfio_device_feature) == 8, "PCI-145");

/* ---- SET_IRQS ---- */

int call_event_irqs_tail(struct call *call)
{
	const struct vfio_irq_set *set = (void *)call->in;
	uint32_t n, each;

	if (set->index >= VFIO_PCI_NUM_IRQS || set->count >= UINT32_MAX - set->start)
		return -EINVAL;						/* PCI-053 */
	n = device_irq_count(call->object.device, set->index);
	if (set->start >= n || set->start + set->count > n)
		return -EINVAL;						/* PCI-054, PCI-055 */
	switch (set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		return 0;
	case VFIO_IRQ_SET_DATA_BOOL:
		each = sizeof(uint8_t);
		break;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		each = sizeof(int32_t);
		break;
	default:
		return -EINVAL;						/* PCI-056 */
	}
	if ((set->argsz - sizeof(*set)) / each < set->count)
		return -EINVAL;						/* PCI-057 */
	return set->count ? call_want_tail(call, sizeof(*set), set->count * each) : 0;
}

static bool any_fd(const int32_t *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fds[i] >= 0)
			return true;
	}
	return false;
}

int call_event_irqs_fds(struct call *call)
{
	const struct vfio_irq_set *set = (void *)call->in;
	const int32_t *fds = (const void *)call->tail;

	if (!(set->flags & VFIO_IRQ_SET_DATA_EVENTFD) || !any_fd(fds, set->count))
		return 0;
	return call_want_fds(call, fds, set->count, true);
}

int64_t call_event_irqs(struct call *call)
{
	const struct vfio_irq_set *set = (void *)call->in;
	const int32_t *fds = (const void *)call->tail;
	struct event_arg *events = NULL;

	if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		events = call_take(call, set->count * sizeof(*events));
		if (!events)
			return -ENOMEM;
		for (uint32_t i = 0; i < set->count; i++)
			events[i] = call_event_arg(call, i, fds[i]);
	}
	return device_set_irqs(call->object.device, set->flags, set->index, set->start,
			       set->count, events ? NULL : call->tail, events);
}

/* ---- IOEVENTFD ---- */

int call_event_ioeventfd_fds(struct call *call)
{
	const struct vfio_device_ioeventfd *io = (void *)call->in;

	return io->fd < 0 ? 0 : call_want_fds(call, &io->fd, 1, true);
}

int64_t call_event_ioeventfd(struct call *call)
{
	const struct vfio_device_ioeventfd *io = (void *)call->in;
	struct event_arg event = call_event_arg(call, 0, io->fd);

	/* The client gives the offset that GET_REGION_INFO told. */
	return device_ioeventfd(call->object.device, io->flags, io->offset -
				device_offset_base(device_file_device(call->object.device)),
				io->data, &event);
}

/* ---- FEATURE ---- */

static uint32_t feature_flags(const struct call *call)
{
	return ((const struct vfio_device_feature *)call->in)->flags;
}

int call_event_feature_tail(struct call *call)
{
	const struct vfio_device_feature *in = (void *)call->in;
	bool get = in->flags & VFIO_DEVICE_FEATURE_GET;
	bool set = in->flags & VFIO_DEVICE_FEATURE_SET;
	bool probe = in->flags & VFIO_DEVICE_FEATURE_PROBE;
	struct feature_info info;
	int r;

	if (get && set && !probe)
		return -EINVAL;						/* PCI-148 */
	r = device_feature_info(call->object.device,
				in->flags & VFIO_DEVICE_FEATURE_MASK, &info);
	if (r)
		return r;						/* PCI-149 */
	if ((get && !info.get) || (set && !info.set))
		return -EINVAL;						/* PCI-150 */
	if (probe)
		return 0;						/* PCI-151 */
	if (!get && !set)
		return -EINVAL;						/* PCI-152 */
	if (in->argsz - sizeof(*in) < info.size)
		return -EINVAL;						/* PCI-153 */
	return info.size ? call_want_tail(call, sizeof(*in), info.size) : 0;
}

int call_event_feature_fds(struct call *call)
{
	struct feature_info info;
	int32_t fd;

	if (!call->tail || device_feature_info(call->object.device, feature_flags(call) &
					       VFIO_DEVICE_FEATURE_MASK, &info))
		return 0;
	if (!info.takes_eventfd || call->tail_len < sizeof(fd))
		return 0;
	memcpy(&fd, call->tail, sizeof(fd));
	return fd < 0 ? 0 : call_want_fds(call, &fd, 1, true);
}

int64_t call_event_feature(struct call *call)
{
	uint32_t flags = feature_flags(call);
	bool set = flags & VFIO_DEVICE_FEATURE_SET;
	struct event_arg event = { .fd = -1 };
	int r;

	if (flags & VFIO_DEVICE_FEATURE_PROBE)
		return 0;						/* PCI-151 */
	if (call->tail_len >= sizeof(int32_t)) {
		int32_t fd;

		memcpy(&fd, call->tail, sizeof(fd));
		event = call_event_arg(call, 0, fd);
	}
	r = device_feature(call->object.device, flags & VFIO_DEVICE_FEATURE_MASK, set,
			   call->tail, &event);
	if (r)
		return r;
	if (!set && call->tail_len)
		call_reply(call, sizeof(struct vfio_device_feature), call->tail,
			   call->tail_len);
	return 0;
}
