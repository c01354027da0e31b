/* SPDX-License-Identifier: GPL-2.0-or-later */
/* proto/call_container.c - the container's ioctls that no driver has a part in. */
#include <linux/vfio.h>

#include <proto/call.h>

int64_t call_container_version(struct call *call)
{
	return VFIO_API_VERSION;	/* CG-019 */
}

int64_t call_container_extension(struct call *call)
{
	return container_check_extension(call->object.container, call->arg);
}

int64_t call_container_set_iommu(struct call *call)
{
	return container_set_iommu(call->object.container, &call->caller, call->arg);
}
