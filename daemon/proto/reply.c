/* SPDX-License-Identifier: GPL-2.0-or-later */
/* proto/reply.c - chains of capabilities behind the structs of GET_INFO calls. */
#include <assert.h>
#include <string.h>
#include <linux/vfio.h>

#include <proto/call.h>

static_assert(sizeof(struct vfio_info_cap_header) == 8, "id, version, next");

size_t reply_cap_size(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

void *reply_cap_add(struct reply_chain *chain, uint16_t id, uint16_t version, size_t size)
{
	struct vfio_info_cap_header *header = (void *)(chain->buf + chain->size);
	struct vfio_info_cap_header *before = (void *)(chain->buf + chain->last);

	memset(header, 0, reply_cap_size(size));
	header->id = id;
	header->version = version;
	if (chain->size)
		before->next = chain->base + (uint32_t)chain->size;
	chain->last = chain->size;
	chain->size += reply_cap_size(size);
	return header;
}

void reply_cap_put(struct call *call, const struct reply_chain *chain, uint32_t *argsz,
		   uint32_t *cap_offset)
{
	if (*argsz < chain->base + chain->size) {
		*argsz = chain->base + (uint32_t)chain->size;
		*cap_offset = 0;
		return;
	}
	*cap_offset = chain->base;
	call_reply(call, chain->base, chain->buf, chain->size);
}
