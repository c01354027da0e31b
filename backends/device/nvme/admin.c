/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nvme/admin.c - the admin command set (5).
 *
 * Admin commands run one after the other, and only while no fetched I/O command is
 * unfinished (except those that wait for the disk), so that deleting a queue or changing
 * a feature never meets a command halfway. Optional commands that are absent - firmware
 * download and commit, format, namespace management, sanitize, self-test, security,
 * directives, virtualization, keep alive, doorbell buffers - are Invalid Command Opcode,
 * as Identify (OACS, SANICAP, KAS) says.
 */
#include "nvme.h"

/* ---- data ---- */

static uint16_t transfer(struct nvme *n, struct nvme_cmd *c, enum nvme_kind kind,
			 uint32_t len)
{
	c->kind = kind;
	c->len = len;
	c->buf = n->bounce;
	nvme_prp_map(n, &c, 1);
	if (!c->status)
		nvme_prp_transfer(n, &c, 1, kind == KIND_ADMIN_OUT);
	return c->status;
}

/* @have bytes of n->scratch from @offset on, zero-filled to @len. */
static uint16_t send(struct nvme *n, struct nvme_cmd *c, uint32_t offset, uint32_t have,
		     uint32_t len)
{
	uint32_t k = have > offset ? have - offset : 0;

	if (k > len)
		k = len;
	memcpy(n->bounce, n->scratch + offset, k);
	memset(n->bounce + k, 0, len - k);
	return transfer(n, c, KIND_ADMIN_OUT, len);
}

/* ---- queues, 5.3 … 5.6 ---- */

static uint16_t create_cq(struct nvme *n, const struct nvme_sqe *e)
{
	unsigned id = e->cdw10 & 0xffff, vector = e->cdw11 >> 16;
	uint32_t size = (e->cdw10 >> 16) + 1;

	if (!id || id > n->n_queues || n->cq[id].live)
		return ST_QID | ST_DNR;
	if (size < 2 || size > NVME_QUEUE_ENTRIES || CC_IOCQES(n->cc) != CQE_SHIFT)
		return ST_QSIZE | ST_DNR;
	if (!(e->cdw11 & 1))			/* CAP.CQR: contiguous only */
		return ST_FIELD | ST_DNR;
	if (vector >= n->vectors)
		return ST_VECTOR | ST_DNR;
	if (e->dptr[0] & ((1ull << n->page_shift) - 1))
		return ST_PRP_OFFSET | ST_DNR;
	return nvme_queue_create_cq(n, id, e->dptr[0], size, e->cdw11 >> 1 & 1,
				    (uint16_t)vector);
}

static uint16_t create_sq(struct nvme *n, const struct nvme_sqe *e)
{
	unsigned id = e->cdw10 & 0xffff, cqid = e->cdw11 >> 16;
	uint32_t size = (e->cdw10 >> 16) + 1;

	if (!id || id > n->n_queues || n->sq[id].live)
		return ST_QID | ST_DNR;
	if (!cqid || cqid > n->n_queues)
		return ST_QID | ST_DNR;
	if (!n->cq[cqid].live)
		return ST_CQ_INVALID | ST_DNR;
	if (size < 2 || size > NVME_QUEUE_ENTRIES || CC_IOSQES(n->cc) != SQE_SHIFT)
		return ST_QSIZE | ST_DNR;
	if (!(e->cdw11 & 1))
		return ST_FIELD | ST_DNR;
	if (e->dptr[0] & ((1ull << n->page_shift) - 1))
		return ST_PRP_OFFSET | ST_DNR;
	return nvme_queue_create_sq(n, id, e->dptr[0], size, cqid);
}

/* ---- the others ---- */

/* 5.1: result bit 0 is clear if the command was found and aborted. */
static uint16_t abort_command(struct nvme *n, struct nvme_cmd *c)
{
	uint16_t sqid = c->e.cdw10 & 0xffff, cid = (uint16_t)(c->e.cdw10 >> 16);
	bool found;

	found = sqid ? nvme_io_abort(n, sqid, cid) : nvme_log_aer_abort(n, cid);
	c->result = !found;
	return ST_OK;
}

static uint16_t identify(struct nvme *n, struct nvme_cmd *c)
{
	uint16_t status;

	memset(n->scratch, 0, 4096);
	status = nvme_identify(n, &c->e, n->scratch);
	return status ? status : send(n, c, 0, 4096, 4096);
}

/* 5.14: @len is what the client wants, @size what the page has. */
static uint16_t get_log(struct nvme *n, struct nvme_cmd *c)
{
	uint64_t numd = ((uint64_t)(c->e.cdw11 & 0xffff) << 16 | c->e.cdw10 >> 16) + 1;
	uint64_t offset = (uint64_t)c->e.cdw13 << 32 | c->e.cdw12;
	uint32_t size = 0;
	uint16_t status;

	memset(n->scratch, 0, 4096);
	status = nvme_log_page(n, &c->e, n->scratch, &size);
	if (status)
		return status;
	if (numd > 1024ull << n->mdts || offset & 3 || offset > size)
		return ST_FIELD | ST_DNR;
	status = send(n, c, (uint32_t)offset, size, (uint32_t)(numd * 4));
	if (!status)
		nvme_log_read_done(n, &c->e);
	return status;
}

static uint16_t get_features(struct nvme *n, struct nvme_cmd *c)
{
	uint32_t len = 0;
	uint16_t status;

	status = nvme_feature_get(n, &c->e, &c->result, n->scratch, &len);
	return status || !len ? status : send(n, c, 0, len, len);
}

static uint16_t set_features(struct nvme *n, struct nvme_cmd *c)
{
	uint16_t status;

	if ((c->e.cdw10 & 0xff) == FEAT_TIMESTAMP) {
		status = transfer(n, c, KIND_ADMIN_IN, 8);
		if (status)
			return status;
	}
	return nvme_feature_set(n, &c->e, &c->result, n->bounce);
}

static uint16_t dispatch(struct nvme *n, struct nvme_cmd *c)
{
	/* Fused commands do not exist here; admin commands use PRPs (4.4). */
	bool bad_flags = c->e.flags & 0xc3;

	switch (c->e.opcode) {
	case ADM_DELETE_SQ: case ADM_CREATE_SQ: case ADM_GET_LOG: case ADM_DELETE_CQ:
	case ADM_CREATE_CQ: case ADM_IDENTIFY: case ADM_ABORT: case ADM_SET_FEATURES:
	case ADM_GET_FEATURES: case ADM_ASYNC_EVENT:
		break;
	default:
		return ST_OPCODE | ST_DNR;
	}
	if (bad_flags)
		return ST_FIELD | ST_DNR;
	switch (c->e.opcode) {
	case ADM_DELETE_SQ:
		return nvme_queue_delete_sq(n, c->e.cdw10 & 0xffff);
	case ADM_CREATE_SQ:
		return create_sq(n, &c->e);
	case ADM_GET_LOG:
		return get_log(n, c);
	case ADM_DELETE_CQ:
		return nvme_queue_delete_cq(n, c->e.cdw10 & 0xffff);
	case ADM_CREATE_CQ:
		return create_cq(n, &c->e);
	case ADM_IDENTIFY:
		return identify(n, c);
	case ADM_ABORT:
		return abort_command(n, c);
	case ADM_SET_FEATURES:
		return set_features(n, c);
	case ADM_GET_FEATURES:
		return get_features(n, c);
	default:
		c->kind = KIND_ASYNC;
		return nvme_log_aer(n, c->e.cid);
	}
}

/* Run the @count commands that nvme_queue_fetch_admin() left in n->fetched. */
void nvme_admin_run(struct nvme *n, unsigned count)
{
	for (unsigned i = 0; i < count && !(n->csts & CSTS_CFS); i++) {
		struct nvme_cmd *c = &n->admin;

		memset(c, 0, sizeof(*c));
		c->e = n->fetched[i];
		/* For it and one that it aborts: save.c tells why. */
		nvme_queue_room(n, 2);
		c->status = dispatch(n, c);
		nvme_queue_consumed(n, 0);
		nvme_dirty_ctrl(n);
		if (c->status || c->kind != KIND_ASYNC)
			nvme_io_finish(n, c);
	}
}
