/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nvme/log.c - log pages (5.14), the error log, asynchronous events (5.2).
 *
 * Theory of operation
 *
 *   An event waits in a short queue until there is an Asynchronous Event Request to
 *   complete with it. After one was reported, events of its type are held back until the
 *   client reads the log page that the event named (without RAE). Events beyond the
 *   queue's length are lost, which 5.2 allows; the error log has them all the same.
 */
#include "nvme.h"

/* ---- error log, 5.14.1.1 ---- */

/* @c: the command that failed, or NULL for an error of no command (doorbells). */
void nvme_log_error(struct nvme *n, const struct nvme_cmd *c, uint16_t status)
{
	struct nvme_error *e = &n->errors[n->error_count % NVME_ERRORS];

	nvme_dirty_errors(n);
	if (n->errors_valid < NVME_ERRORS)
		n->errors_valid++;
	*e = (struct nvme_error){
		.count = ++n->error_count,
		.sqid = c ? c->sqid : 0xffff,
		.cid = c ? c->e.cid : 0xffff,
		.status = (uint16_t)(status << 1),
		.lba = c && c->ns ? (uint64_t)c->e.cdw11 << 32 | c->e.cdw10 : 0,
		.nsid = c ? c->e.nsid : 0,
	};
}

static void error_page(const struct nvme *n, uint8_t *p)
{
	for (unsigned i = 0; i < n->errors_valid; i++, p += 64) {	/* newest first */
		const struct nvme_error *e =
			&n->errors[(n->error_count - 1 - i) % NVME_ERRORS];

		put64(p, 0, e->count);
		put16(p, 8, e->sqid);
		put16(p, 10, e->cid);
		put16(p, 12, e->status);
		put16(p, 14, 0xffff);			/* no parameter location */
		put64(p, 16, e->lba);
		put32(p, 24, e->nsid);
	}
}

/* ---- SMART, 5.14.1.2 ---- */

static bool too_warm(const struct nvme *n)
{
	return NVME_TEMPERATURE >= n->feat.temperature_over ||
	       NVME_TEMPERATURE <= n->feat.temperature_under;
}

/* Thresholds or the configuration changed (5.21.1.4). */
void nvme_log_temperature(struct nvme *n)
{
	if (too_warm(n) && n->feat.async_event & 1 << 1)
		nvme_log_event(n, AE_SMART, AE_SMART_TEMPERATURE, LOG_SMART);
}

static void smart_page(struct nvme *n, uint8_t *p)
{
	uint64_t hours = (n->svc->now(n->port) - n->born) / 3600000000000ull;

	p[0] = too_warm(n) ? 1 << 1 : 0;
	put16(p, 1, NVME_TEMPERATURE);
	p[3] = 100;					/* spare, per cent */
	p[4] = 10;					/* spare threshold */
	put64(p, 32, (n->units_read + 999) / 1000);	/* thousands of 512 bytes */
	put64(p, 48, (n->units_written + 999) / 1000);
	put64(p, 64, n->reads);
	put64(p, 80, n->writes);
	put64(p, 112, n->power_cycles);
	put64(p, 128, hours);
	put64(p, 144, n->unsafe_shutdowns);
	put64(p, 176, n->error_count);
}

/* ---- firmware slot, commands and effects ---- */

static void firmware_page(uint8_t *p)
{
	p[0] = 1;					/* slot 1 is active */
	put_text(p, 8, 8, "1.0");
}

static void effects_page(uint8_t *p)
{
	static const uint8_t admin[] = {
		ADM_DELETE_SQ, ADM_CREATE_SQ, ADM_GET_LOG, ADM_DELETE_CQ, ADM_CREATE_CQ,
		ADM_IDENTIFY, ADM_ABORT, ADM_SET_FEATURES, ADM_GET_FEATURES,
		ADM_ASYNC_EVENT,
	};
	static const uint8_t io[] = {
		IO_FLUSH, IO_WRITE, IO_READ, IO_COMPARE, IO_WRITE_ZEROES, IO_DSM,
	};

	for (unsigned i = 0; i < sizeof(admin); i++)
		put32(p, admin[i] * 4u, 1);		/* CSUPP */
	for (unsigned i = 0; i < sizeof(io); i++)
		put32(p, 1024 + io[i] * 4u,
		      io[i] == IO_WRITE || io[i] == IO_WRITE_ZEROES || io[i] == IO_DSM ?
		      3 : 1);				/* LBCC: content changes */
}

/*
 * nvme_log_page - fill @page (all zero) with the log that cdw10 names.
 * @ret_size: bytes that the log has
 * Return: a status.
 */
uint16_t nvme_log_page(struct nvme *n, const struct nvme_sqe *e, uint8_t page[4096],
		       uint32_t *ret_size)
{
	/* Logs of single namespaces are not offered (LPA bit 0). */
	if (e->nsid && e->nsid != NVME_NSID_ALL)
		return ST_FIELD | ST_DNR;
	switch (e->cdw10 & 0xff) {
	case LOG_ERROR:
		error_page(n, page);
		*ret_size = NVME_ERRORS * 64;
		return ST_OK;
	case LOG_SMART:
		smart_page(n, page);
		*ret_size = 512;
		return ST_OK;
	case LOG_FIRMWARE:
		firmware_page(page);
		*ret_size = 512;
		return ST_OK;
	case LOG_NS_CHANGED:			/* namespaces never change: empty */
		*ret_size = 4096;
		return ST_OK;
	case LOG_EFFECTS:
		effects_page(page);
		*ret_size = 4096;
		return ST_OK;
	default:
		return ST_LOG_PAGE | ST_DNR;
	}
}

/* ---- asynchronous events ---- */

/* The client has read a log: its events may be reported again, unless RAE is set. */
void nvme_log_read_done(struct nvme *n, const struct nvme_sqe *e)
{
	uint8_t page = e->cdw10 & 0xff;

	if (e->cdw10 >> 15 & 1)
		return;
	if (page == LOG_ERROR)
		n->event_masked[AE_ERROR] = false;
	if (page == LOG_SMART)
		n->event_masked[AE_SMART] = false;
}

/* Something happened: @type and @info of figure 147, @page to read. */
void nvme_log_event(struct nvme *n, unsigned type, unsigned info, unsigned page)
{
	uint32_t word = type | info << 8 | page << 16;

	for (unsigned i = 0; i < n->n_events; i++)
		if (n->events[i] == word)
			return;
	if (n->n_events < NVME_EVENTS)
		n->events[n->n_events++] = word;
	nvme_dirty_ctrl(n);
}

/* Complete requests with events. Return: true if any was. */
bool nvme_log_deliver(struct nvme *n)
{
	bool any = false;

	for (unsigned i = 0; i < n->n_events && n->n_aer;) {
		uint32_t word = n->events[i];

		if (n->event_masked[word & 7]) {
			i++;
			continue;
		}
		if (!nvme_queue_complete_aer(n, n->aer[0], ST_OK, word))
			break;
		nvme_dirty_ctrl(n);
		n->event_masked[word & 7] = true;
		memmove(n->aer, n->aer + 1, --n->n_aer * sizeof(*n->aer));
		memmove(n->events + i, n->events + i + 1,
			(--n->n_events - i) * sizeof(*n->events));
		any = true;
	}
	return any;
}

/* Asynchronous Event Request. Return: a status; OK: the command waits. */
uint16_t nvme_log_aer(struct nvme *n, uint16_t cid)
{
	if (n->n_aer > NVME_AERL)
		return ST_AER_LIMIT | ST_DNR;
	n->aer[n->n_aer++] = cid;
	nvme_queue_release_slot(n, 0);
	return ST_OK;
}

/* Return: true if a request of that id waited and is now aborted. */
bool nvme_log_aer_abort(struct nvme *n, uint16_t cid)
{
	for (unsigned i = 0; i < n->n_aer; i++) {
		if (n->aer[i] != cid)
			continue;
		if (!nvme_queue_complete_aer(n, cid, ST_ABORTED, 0))
			return false;
		memmove(n->aer + i, n->aer + i + 1,
			(--n->n_aer - i) * sizeof(*n->aer));
		return true;
	}
	return false;
}
