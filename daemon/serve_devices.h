/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serve_devices.h - the devices and groups of a running service, and how they change.
 *
 * Theory of operation
 *
 *   There is a configuration that is *wanted*, and devices that are there. A device that is
 *   wanted and not there is made. One that is there and not wanted, or not as it is, leaves,
 *   as in the kernel when a driver is unbound from a device in use:
 *
 *     hidden    no client can open it any more; who has it open keeps it
 *     asked     its client gets the REQ interrupt, at once and every SERVE_ASK_MS
 *     closed    it is freed; with the last device of a group its node goes, and who has that
 *               open is answered as by a group without devices
 *
 *   A client that never closes it keeps it, and its address. What is wanted in its place (the
 *   same id, address or image) is made when it has gone. Whatever is the same in both is not
 *   touched.
 *
 *   By hand (vfio-cused ctl) devices are added and dismissed one by one. One that is dismissed
 *   leaves in the same way. That may be hurried: it is revoked, by a thread of its own, since
 *   a client can hold that up, and is out of all this when that has been done; only the memory
 *   stays, until its files are closed. What is wanted by hand counts until the next
 *   configuration, which has the last word on all devices.
 *
 *   A device of the machine follows the machine (serve_host.c). One that is unbound from its
 *   VFIO driver, or taken out, leaves in the same way; the kernel waits with that until its
 *   client has closed it, and asks the client itself. What is wanted of the machine and cannot
 *   be had is *awaited*: it is tried again whenever something has changed there, and, if it
 *   was in use, every SERVE_RETRY_MS.
 *
 *   A device uses the values of the configuration that it was made from, so a configuration
 *   lives as long as one of its devices, or as it is wanted.
 *
 *   Each simulated device has a number that none ever had before, by which it is found again in
 *   a process that takes over: a record (conf_keep.h), and the memfd of its memory. The new process
 *   makes all of them again, those that were leaving, too, and then wants the configuration as
 *   it is by then. One that was revoked has no record any more.
 *
 *   No lock: one thread at a time, see serve_internal.h.
 */
#ifndef SERVE_DEVICES_H
#define SERVE_DEVICES_H

#include <transport/service.h>

#include "conf.h"
#include "instance.h"

#define SERVE_ASK_MS 10000u	/* as the kernel's vfio */
#define SERVE_RETRY_MS 2000u	/* between two tries to have what another program has */

struct serve_devices;

/* What outlives the process, and who holds the files; borrowed. All NULL and 0: nothing does. */
struct serve_devices_keep {
	struct keep *keep;
	struct fd_keep *fds;
	uint64_t last_id;		/* highest number of a device of those before */
};

/* @conf: wanted from the beginning, finished; it has to outlive the devices.
 * @keep: as service_params has it; NULL: nothing
 * Return: 0; -errno with @err set. */
int serve_devices_new(const struct conf *conf, struct service *service,
		      const struct serve_devices_keep *keep, struct serve_devices **ret,
		      struct cused_error *err);
/* After service_stop(). NULL is allowed. */
void serve_devices_free(struct serve_devices *all);
struct instance *serve_devices_instance(const struct serve_devices *all);
/* Of those that are not leaving. */
size_t serve_devices_count(const struct serve_devices *all);
/* The highest number of a device so far, see struct serve_devices_keep. */
uint64_t serve_devices_last_id(const struct serve_devices *all);

/* Make all that is wanted. Return: 0; -errno of the first that cannot be and may not be awaited
 * (conf_waits()), with @err set. */
int serve_devices_make(struct serve_devices *all, struct cused_error *err);
/*
 * serve_devices_restore - make, in its place, what the process before had, as it was (see
 * conf_keep.h): before service_start(). What is wanted is another matter, see
 * serve_devices_want().
 * Return: 0; -EBADMSG; -errno of making one; with @err set.
 */
int serve_devices_restore(struct serve_devices *all, struct cused_error *err);
/* After service_start(), which has taken over the nodes of the process before: whose they are.
 * Return: 0, -ENOMEM with @err set. */
int serve_devices_adopt(struct serve_devices *all, struct cused_error *err);
/* Make the nodes of their groups, with the rights that are wanted, and give those that are
 * there new ones. Return: 0; -errno of the first that failed, with @err set. */
int serve_devices_show(struct serve_devices *all, struct cused_error *err);

/* What conf_finish() has to know of the devices that are there. @ret: for free().
 * Return: 0, -ENOMEM. */
int serve_devices_running(const struct serve_devices *all, struct conf_running **ret,
			  size_t *ret_n);
/* Want @conf, which is finished and, on success, theirs (all is moved out of it). Rights are
 * changed at once, the rest by the next serve_devices_settle(). Return: 0, -ENOMEM. */
int serve_devices_want(struct serve_devices *all, struct conf *conf);

/*
 * Go on with what is to be made and what leaves. What cannot be made is logged, once.
 * @ret_changed: devices or groups came or went
 * Return: true: somebody has to be waited for; come again after some time.
 */
bool serve_devices_settle(struct serve_devices *all, bool *ret_changed);
/* Free what revoked devices and groups without devices had, where clients have closed it.
 * Return: true: there is some left. */
bool serve_devices_reap(struct serve_devices *all);

/* When to call serve_devices_follow() though nothing was told, because another program had
 * something; in milliseconds, -1: never. */
int serve_devices_retry_ms(const struct serve_devices *all);

/*
 * serve_devices_follow - the machine has changed: see which of its devices have gone, which
 * groups are viable (SD-067), and have the next serve_devices_settle() try what is awaited.
 * @sysfs: the machine's
 * What cannot be read is logged, and everything stays.
 */
void serve_devices_follow(struct serve_devices *all, const char *sysfs);
/* Call for each device of the machine that is there or was wanted, until it returns true.
 * Return: did it? */
bool serve_devices_each_host(const struct serve_devices *all,
			     bool (*fn)(const char *bdf, void *arg), void *arg);

/* ---- by hand ---- */

/*
 * Make a device beside those that are there, and its group's node.
 * @conf: that has it alone, finished beside them; all is moved out of it
 * @ret: it, in its new place
 * Return: 0; -ENOSPC there are CONF_DEVICES_MAX; -errno with @err set. The device may be
 * leaving then.
 */
int serve_devices_add(struct serve_devices *all, struct conf *conf,
		      const struct conf_device **ret, struct cused_error *err);
/*
 * Let devices go; serve_devices_settle() does the rest.
 * @name: "group=7", "group=noiommu-7", an address or an id; NULL: all of them. If one of that
 * address or id is leaving already, it is meant, and not what comes in its place
 * @take: do not wait for clients
 * @job: greater than 0 and than those before
 * Return: 0; -ENOENT no such device, -EAGAIN, with @err set.
 */
int serve_devices_dismiss(struct serve_devices *all, const char *name, bool take, uint64_t job,
			  struct cused_error *err);
/* Have all gone that were dismissed for it? @job: 0: for any. */
bool serve_devices_is_done(const struct serve_devices *all, uint64_t job);
/* The name of the device at an address ("0000:01:00.0"); the newest; NULL: none. */
const char *serve_devices_id(const struct serve_devices *all, const char *bdf);
/* Before the end. Return: 0; -EBUSY a client holds up who revokes its device: then nothing may
 * be freed. NULL is allowed. */
int serve_devices_end(struct serve_devices *all);

#endif
