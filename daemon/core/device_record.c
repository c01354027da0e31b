/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process that takes over has to know of a device: see core/restore.h. Interrupts are in
 * irq_record.c, ioeventfds in ioeventfd.c.
 *
 *   KEEP_DEVICE    from device_new() on
 *   KEEP_CONFIG    while it is open, when something is not as power-on leaves it
 *   KEEP_TIMERS    while a timer is armed
 *   KEEP_MODEL     what its model saves
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <core/device_priv.h>
#include <vfio-cused/log.h>

/* ---- files and addresses ---- */

struct device_record {
	uint32_t files;
	uint32_t pad;
	uint64_t bars[CFG_BARS];	/* host addresses */
};

bool device_record_bars(struct device *device, uint64_t ret_bars[CFG_BARS])
{
	struct device_record rec;

	if (keep_get(device->keep, KEEP_DEVICE, device->keep_id, &rec, sizeof(rec)) !=
	    (long)sizeof(rec))
		return false;
	if (ret_bars)
		memcpy(ret_bars, rec.bars, sizeof(rec.bars));
	return true;
}

void device_record_files(struct device *device)
{
	struct device_record rec = { .files = atomic_load(&device->open_count) };

	if (!device->keep || device_is_revoked(device))
		return;
	for (unsigned i = 0; i < CFG_BARS; i++)
		rec.bars[i] = device->bars[i].host;
	keep_put(device->keep, KEEP_DEVICE, device->keep_id, &rec, sizeof(rec));
}

int device_record_parse(const void *data, size_t size, unsigned *ret_files)
{
	const struct device_record *rec = data;

	/* Each file is a descriptor of a process. */
	if (size != sizeof(*rec) || rec->files > INT32_MAX)
		return -EBADMSG;
	*ret_files = rec->files;
	return 0;
}

/* ---- configuration space and power ---- */

/* What is not as power-on leaves it. */
struct config_byte {
	uint16_t at;
	uint8_t hw, virt;
};

struct config_record {
	uint64_t wakeup;		/* an event; 0: none */
	uint32_t n;			/* bytes */
	uint8_t msi_mode, msi_qmax;
	uint8_t low_power;
	uint8_t pad;
	struct config_byte bytes[CFG_SIZE_PCIE];
};

void device_record_config(struct device *device)
{
	const struct cfgspace *cfg = &device->cfg, *was = device->power_on;
	struct config_record rec;

	if (!device->keep || device_is_revoked(device) || !device_is_open(device))
		return;
	memset(&rec, 0, offsetof(struct config_record, bytes));
	rec.wakeup = event_keep(device->wakeup);
	rec.msi_mode = cfg->msi_mode;
	rec.msi_qmax = (uint8_t)cfg->msi_qmax;
	rec.low_power = atomic_load(&device->low_power);
	for (unsigned i = 0; i < cfg->size; i++) {
		if (cfg->hw[i] != was->hw[i] || cfg->virt[i] != was->virt[i])
			rec.bytes[rec.n++] = (struct config_byte){ (uint16_t)i, cfg->hw[i],
								   cfg->virt[i] };
	}
	keep_put(device->keep, KEEP_CONFIG, device->keep_id, &rec,
		 offsetof(struct config_record, bytes) + rec.n * sizeof(rec.bytes[0]));
}

int device_restore_config(struct device *device, const struct restore *restore)
{
	struct cfgspace *cfg = &device->cfg;
	struct config_record rec;
	long size = keep_get(device->keep, KEEP_CONFIG, device->keep_id, &rec, sizeof(rec));

	*cfg = *device->power_on;
	if (size == -ENOENT)
		return 0;
	if (size < (long)offsetof(struct config_record, bytes) || rec.n > cfg->size ||
	    (size_t)size != offsetof(struct config_record, bytes) +
				    rec.n * sizeof(rec.bytes[0]) ||
	    rec.msi_mode > 1 || rec.msi_qmax > 5 || rec.low_power > 1)
		return -EBADMSG;
	cfg->msi_mode = rec.msi_mode;
	cfg->msi_qmax = rec.msi_qmax;
	for (unsigned i = 0; i < rec.n; i++) {
		if (rec.bytes[i].at >= cfg->size)
			return -EBADMSG;
		cfg->hw[rec.bytes[i].at] = rec.bytes[i].hw;
		cfg->virt[rec.bytes[i].at] = rec.bytes[i].virt;
	}
	atomic_store(&device->low_power, rec.low_power);
	device->wakeup = rec.low_power ? restore_event(restore, rec.wakeup) : NULL;
	return 0;
}

/* ---- timers ---- */

void device_record_timers(struct device *device)
{
	const struct poller *poller = &device->poller;

	if (!device->keep || device_is_revoked(device) || !device_is_open(device))
		return;
	for (unsigned i = 0; i < CUSED_TIMERS; i++) {
		if (poller->timers[i]) {
			keep_put(device->keep, KEEP_TIMERS, device->keep_id, poller->timers,
				 sizeof(poller->timers));
			return;
		}
	}
	keep_drop(device->keep, KEEP_TIMERS, device->keep_id);
}

int device_restore_timers(struct device *device)
{
	struct poller *poller = &device->poller;
	long size = keep_get(device->keep, KEEP_TIMERS, device->keep_id, poller->timers,
			     sizeof(poller->timers));

	return size == -ENOENT || size == (long)sizeof(poller->timers) ? 0 : -EBADMSG;
}

/* ---- what models save ---- */

#define SAVED_WORDS (CUSED_SAVE_MAX / 64)

static uint64_t piece_number(const struct device *device, unsigned id)
{
	return device->keep_id << 16 | id;
}

/* Return: 0, -ENOMEM. */
static int mark_saved(struct device *device, unsigned id)
{
	if (!device->saved)
		device->saved = calloc(SAVED_WORDS, sizeof(*device->saved));
	if (!device->saved)
		return -ENOMEM;
	device->saved[id / 64] |= 1ull << id % 64;
	return 0;
}

void device_save(struct device *device, unsigned id, const void *data, size_t size)
{
	if (device_is_revoked(device))
		return;
	if (id >= CUSED_SAVE_MAX || size > CUSED_SAVE_MAX) {
		cused_log(CUSED_LOG_ERROR, device->ops->name,
			  "%s: its model saves piece %u of %zu bytes, which is more than %u in "
			  "one of both: what clients have open ends with the next restart",
			  device->name, id, size, CUSED_SAVE_MAX);
		keep_break(device->keep);
		return;
	}
	if (!data) {
		if (device->saved)
			device->saved[id / 64] &= ~(1ull << id % 64);
		keep_drop(device->keep, KEEP_MODEL, piece_number(device, id));
		return;
	}
	if (mark_saved(device, id)) {
		keep_break(device->keep);
		return;
	}
	keep_put(device->keep, KEEP_MODEL, piece_number(device, id), data, size);
}

void device_forget_saved(struct device *device)
{
	if (!device->saved)
		return;
	for (unsigned w = 0; w < SAVED_WORDS; w++) {
		for (; device->saved[w]; device->saved[w] &= device->saved[w] - 1) {
			unsigned id = w * 64 + (unsigned)__builtin_ctzll(device->saved[w]);

			keep_drop(device->keep, KEEP_MODEL, piece_number(device, id));
		}
	}
}

int device_restore_piece(struct device *device, unsigned id, const void *data, size_t size)
{
	int r = 0;

	device_lock(device);
	if (CUSED_HAS(device->ops, restore)) {
		r = mark_saved(device, id);
		if (r == 0)
			r = device->ops->restore(device->state, id, data, size);
	} else {
		keep_drop(device->keep, KEEP_MODEL, piece_number(device, id));
	}
	device_unlock(device);
	return r;
}

/* ---- the end ---- */

void device_record_closed(struct device *device)
{
	keep_drop(device->keep, KEEP_IRQ, device->keep_id);
	keep_drop(device->keep, KEEP_CONFIG, device->keep_id);
	keep_drop(device->keep, KEEP_TIMERS, device->keep_id);
	device_forget_saved(device);
}

void device_record_gone(struct device *device)
{
	device_record_closed(device);
	keep_drop(device->keep, KEEP_DEVICE, device->keep_id);
}
