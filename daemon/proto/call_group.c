/* SPDX-License-Identifier: GPL-2.0-or-later */
/* proto/call_group.c - ioctls of a group. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <linux/vfio.h>

#include <proto/call.h>

static_assert(sizeof(struct vfio_group_status) == 8, "CG-057");

int64_t call_group_status(struct call *call)
{
	struct vfio_group_status *status = (void *)call->in;
	int r = group_get_status(call->object.group, &status->flags);

	if (r)
		return r;
	call_reply(call, 0, status, sizeof(*status));			/* CG-063 */
	return 0;
}

int call_group_container_fds(struct call *call)
{
	return call_want_fds(call, (const int32_t *)call->in, 1, false);
}

int64_t call_group_set_container(struct call *call)
{
	const struct call_fd *fd = &call->fds[0];
	struct container_arg arg = { .err = fd->err };

	/* iommufd (CG-069) would be one more kind of object here. */
	if (!arg.err && fd->object.kind == OBJECT_CONTAINER)
		arg.container = fd->object.container;			/* CG-068 */
	else if (!arg.err)
		arg.err = -EBADFD;					/* CG-070 */
	return group_set_container(call->object.group, &call->caller, &arg);
}

int64_t call_group_unset_container(struct call *call)
{
	return group_unset_container(call->object.group);
}

int call_group_device_tail(struct call *call)
{
	return call_want_string(call);
}

int64_t call_group_device(struct call *call)
{
	const char *name = (const char *)call->tail;
	size_t fetched = call->fetched;

	if (fetched > CALL_STRING_MAX)
		fetched = CALL_STRING_MAX;
	if (!memchr(name, 0, fetched))		/* CG-087 was the transport's to see */
		return fetched == CALL_STRING_MAX ? -EINVAL : -EFAULT;	/* CG-088 */
	return group_get_device(call->object.group, &call->caller, name, &call->grant);
}
