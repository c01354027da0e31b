/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf_keep.h - what a service was made from, as records that outlive it (util/keep.h).
 *
 * Theory of operation
 *
 *   KEEP_CONF_DEVICE   a device: its section of a configuration file, with what was chosen for
 *                      it (address, group, name), so that it can be made again as it is, whatever
 *                      the configuration says by then. Presets are not written down: a release
 *                      with others has another KEEP_VERSION.
 *   KEEP_SERVICE       the sections [iommu] and [service], which stand for all that clients have
 *                      open, and the highest number of a device so far.
 *
 *   Of a device of the machine, which group it is in is the machine's to say, when it is made again;
 *   it may be there no more. A device that is leaving is kept, and leaves again, as it is not wanted
 *   any more.
 */
#ifndef CONF_KEEP_H
#define CONF_KEEP_H

#include <util/keep.h>

#include "conf.h"

/* Put a device's record, and the service's with @id, the highest number by now. @settings:
 * finished, as @device is. Without memory, the records are broken.  Locks: none. */
void conf_keep_device(struct keep *keep, uint64_t id, const struct conf_device *device,
		      const struct conf *settings);
void conf_keep_drop(struct keep *keep, uint64_t id);
/* The service's record. @left_at: when the process made way for another, monotonic nanoseconds;
 * 0: it did not */
void conf_keep_settings(struct keep *keep, const struct conf *settings, uint64_t last_id,
			uint64_t left_at);

/*
 * conf_kept_settings - read that back.
 * @ret: has no devices, and is finished; for conf_done(), also on failure
 * Return: 0; -EBADMSG; -ENOMEM; each with @err set.
 */
int conf_kept_settings(struct keep *keep, struct conf *ret, uint64_t *ret_last_id,
		       uint64_t *ret_left_at, struct cused_error *err);
/*
 * conf_kept_devices - call @fn for each device, lowest number first, until it returns other than 0.
 * @conf: has it alone, finished; may be moved
 * Return: 0; of @fn; -EBADMSG, -ENOMEM with @err set.
 */
typedef int conf_kept_fn(void *arg, uint64_t id, struct conf *conf, struct cused_error *err);
int conf_kept_devices(struct keep *keep, const struct conf *settings, conf_kept_fn *fn,
		      void *arg, struct cused_error *err);

#endif
