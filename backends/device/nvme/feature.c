/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nvme/feature.c - Get Features and Set Features (5.13, 5.21).
 *
 * A table says of each feature whether it can be changed and whether it belongs to a
 * namespace. Nothing is saved across resets: saved values are the defaults.
 */
#include "nvme.h"

#define CAP_NS     2u			/* capabilities, figure 271 */
#define CAP_CHANGE 4u

#define ARBITRATION_DEFAULT 7u		/* no limit */
#define TEMPERATURE_OVER    343

struct feature {
	uint8_t id;
	uint8_t caps;
};

static const struct feature features[] = {
	{ FEAT_ARBITRATION, CAP_CHANGE },
	{ FEAT_POWER, CAP_CHANGE },
	{ FEAT_TEMPERATURE, CAP_CHANGE },
	{ FEAT_ERROR_RECOVERY, CAP_CHANGE | CAP_NS },
	{ FEAT_WRITE_CACHE, CAP_CHANGE },
	{ FEAT_QUEUES, CAP_CHANGE },
	{ FEAT_COALESCING, CAP_CHANGE },
	{ FEAT_VECTOR, CAP_CHANGE },
	{ FEAT_ATOMICITY, CAP_CHANGE },
	{ FEAT_ASYNC_EVENT, CAP_CHANGE },
	{ FEAT_TIMESTAMP, CAP_CHANGE },
};

static const struct feature *find(const struct nvme *n, uint8_t id)
{
	if (id == FEAT_WRITE_CACHE && !n->vwc)
		return NULL;
	for (unsigned i = 0; i < sizeof(features) / sizeof(*features); i++)
		if (features[i].id == id)
			return &features[i];
	return NULL;
}

void nvme_feature_reset(struct nvme *n)
{
	n->feat = (struct nvme_features){
		.arbitration = ARBITRATION_DEFAULT,
		.write_cache = n->vwc,
		.temperature_over = TEMPERATURE_OVER,
	};
}

/* @e names a namespace: is that allowed? */
static uint16_t check_nsid(const struct nvme *n, const struct feature *f,
			   const struct nvme_sqe *e, bool set)
{
	if (f->caps & CAP_NS) {
		if (set && e->nsid == NVME_NSID_ALL)
			return ST_OK;
		return e->nsid && e->nsid <= n->n_ns ? ST_OK : ST_NAMESPACE | ST_DNR;
	}
	if (!e->nsid || e->nsid == NVME_NSID_ALL || !set)
		return ST_OK;
	if (e->nsid > n->n_ns)
		return ST_NAMESPACE | ST_DNR;
	/* QEMU's nvme:// driver names its namespace when it turns the write cache on or
	 * off; refusing that, as 5.21 wants, would shut out cache=none. */
	return f->id == FEAT_WRITE_CACHE ? ST_OK : ST_NOT_NS_SPECIFIC | ST_DNR;
}

/* ---- get ---- */

static uint64_t timestamp(struct nvme *n)
{
	uint64_t ms = (n->svc->now(n->port) - n->feat.timestamp_at) / 1000000;

	return (n->feat.timestamp + ms) & 0xffffffffffffull;
}

/* The value of a feature in @feat. Return: a status. */
static uint16_t value(struct nvme *n, const struct nvme_features *feat,
		      const struct nvme_sqe *e, uint32_t *ret)
{
	unsigned vector = e->cdw11 & 0xffff, threshold = e->cdw11 >> 20 & 3;
	unsigned sensor = e->cdw11 >> 16 & 15;

	switch (e->cdw10 & 0xff) {
	case FEAT_ARBITRATION:
		*ret = feat->arbitration;
		return ST_OK;
	case FEAT_POWER:
		*ret = feat->power;
		return ST_OK;
	case FEAT_TEMPERATURE:
		if (sensor || threshold > 1)	/* the composite one is the only one */
			return ST_FIELD | ST_DNR;
		*ret = threshold ? feat->temperature_under : feat->temperature_over;
		return ST_OK;
	case FEAT_ERROR_RECOVERY:
		*ret = feat->error_recovery[e->nsid - 1];
		return ST_OK;
	case FEAT_WRITE_CACHE:
		*ret = feat->write_cache;
		return ST_OK;
	case FEAT_QUEUES:
		*ret = (n->n_queues - 1) << 16 | (n->n_queues - 1);
		return ST_OK;
	case FEAT_COALESCING:
		*ret = feat->coalescing;
		return ST_OK;
	case FEAT_VECTOR:
		if (vector >= n->vectors)
			return ST_FIELD | ST_DNR;
		*ret = vector | (uint32_t)feat->vector_cd[vector] << 16;
		return ST_OK;
	case FEAT_ATOMICITY:
		*ret = feat->atomicity;
		return ST_OK;
	case FEAT_ASYNC_EVENT:
		*ret = feat->async_event;
		return ST_OK;
	default:
		*ret = 0;
		return ST_OK;
	}
}

/*
 * nvme_feature_get - Get Features.
 * @ret_len: bytes in @data that go to the client's buffer
 * Return: a status.
 */
uint16_t nvme_feature_get(struct nvme *n, const struct nvme_sqe *e, uint32_t *ret_result,
			  uint8_t data[8], uint32_t *ret_len)
{
	const struct feature *f = find(n, e->cdw10 & 0xff);
	unsigned select = e->cdw10 >> 8 & 7;
	struct nvme_features saved;
	uint16_t status;

	if (!f || select > 3)
		return ST_FIELD | ST_DNR;
	if (select == 3) {
		*ret_result = f->caps;
		return ST_OK;
	}
	status = check_nsid(n, f, e, false);
	if (status)
		return status;
	if (f->id == FEAT_TIMESTAMP) {
		memset(data, 0, 8);
		if (!select) {
			put64(data, 0, timestamp(n));
			data[6] = n->feat.timestamp_set ? 1 << 1 : 0;
			data[7] = 0;
		}
		*ret_len = 8;
		return ST_OK;
	}
	if (!select)
		return value(n, &n->feat, e, ret_result);
	saved = n->feat;
	nvme_feature_reset(n);
	status = value(n, &n->feat, e, ret_result);
	n->feat = saved;
	return status;
}

/* ---- set ---- */

static uint16_t set_temperature(struct nvme *n, uint32_t v)
{
	unsigned threshold = v >> 20 & 3, sensor = v >> 16 & 15;

	if (threshold > 1 || (sensor && sensor != 15))
		return ST_FIELD | ST_DNR;
	if (threshold)
		n->feat.temperature_under = v & 0xffff;
	else
		n->feat.temperature_over = v & 0xffff;
	nvme_log_temperature(n);
	return ST_OK;
}

static uint16_t set_vector(struct nvme *n, uint32_t v)
{
	unsigned vector = v & 0xffff;

	if (vector >= n->vectors)
		return ST_FIELD | ST_DNR;
	n->feat.vector_cd[vector] = v >> 16 & 1;
	return ST_OK;
}

/* 5.21.1.7: once, before there are I/O queues; all are allocated whatever is asked. */
static uint16_t set_queues(struct nvme *n, uint32_t v, uint32_t *ret_result)
{
	if ((v & 0xffff) == 0xffff || v >> 16 == 0xffff)
		return ST_FIELD | ST_DNR;
	if (n->top)
		return ST_SEQUENCE | ST_DNR;
	*ret_result = (n->n_queues - 1) << 16 | (n->n_queues - 1);
	return ST_OK;
}

static uint16_t set_error_recovery(struct nvme *n, const struct nvme_sqe *e)
{
	if (e->cdw11 >> 16 & 1)			/* DULBE: NSFEAT does not offer it */
		return ST_FIELD | ST_DNR;
	for (unsigned i = 0; i < n->n_ns; i++)
		if (e->nsid == NVME_NSID_ALL || e->nsid == i + 1)
			n->feat.error_recovery[i] = e->cdw11 & 0xffff;
	return ST_OK;
}

static void set_timestamp(struct nvme *n, const uint8_t data[8])
{
	n->feat.timestamp = 0;
	for (unsigned i = 0; i < 6; i++)
		n->feat.timestamp |= (uint64_t)data[i] << 8 * i;
	n->feat.timestamp_at = n->svc->now(n->port);
	n->feat.timestamp_set = 1;
}

/*
 * nvme_feature_set - Set Features.
 * @data: what the client's buffer held, for features that have data
 * Return: a status.
 */
uint16_t nvme_feature_set(struct nvme *n, const struct nvme_sqe *e, uint32_t *ret_result,
			  const uint8_t data[8])
{
	const struct feature *f = find(n, e->cdw10 & 0xff);
	uint32_t v = e->cdw11;
	uint16_t status;

	if (!f)
		return ST_FIELD | ST_DNR;
	if (e->cdw10 >> 31)
		return ST_NOT_SAVEABLE | ST_DNR;
	status = check_nsid(n, f, e, true);
	if (status)
		return status;
	switch (f->id) {
	case FEAT_ARBITRATION:
		n->feat.arbitration = v & 0xffffff07;
		return ST_OK;
	case FEAT_POWER:
		if (v & 31)			/* one power state */
			return ST_FIELD | ST_DNR;
		n->feat.power = v & 0xff;
		return ST_OK;
	case FEAT_TEMPERATURE:
		return set_temperature(n, v);
	case FEAT_ERROR_RECOVERY:
		return set_error_recovery(n, e);
	case FEAT_WRITE_CACHE:
		n->feat.write_cache = v & 1;
		return ST_OK;
	case FEAT_QUEUES:
		return set_queues(n, v, ret_result);
	case FEAT_COALESCING:
		n->feat.coalescing = v & 0xffff;
		return ST_OK;
	case FEAT_VECTOR:
		return set_vector(n, v);
	case FEAT_ATOMICITY:
		n->feat.atomicity = v & 1;
		return ST_OK;
	case FEAT_ASYNC_EVENT:
		n->feat.async_event = v & 0xff;
		nvme_log_temperature(n);
		return ST_OK;
	default:
		set_timestamp(n, data);
		return ST_OK;
	}
}
