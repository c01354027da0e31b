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
 *     closed    it is freed; with the last device of a group its node goes, and what clients
 *               have open of that fails with ENOTCONN
 *
 *   A client that never closes it keeps it, and its address. What is wanted in its place (the
 *   same id, address or image) is made when it has gone. Whatever is the same in both is not
 *   touched.
 *
 *   A device uses the values of the configuration that it was made from, so a configuration
 *   lives as long as one of its devices, or as it is wanted.
 *
 *   All of it is done by the main thread.
 */
#ifndef SERVE_DEVICES_H
#define SERVE_DEVICES_H

#include <transport/service.h>

#include "conf.h"
#include "instance.h"

#define SERVE_ASK_MS 10000u	/* as the kernel's vfio */

struct serve_devices;

/* @conf: wanted from the beginning, finished; it has to outlive the devices.
 * Return: 0; -errno with @err set. */
int serve_devices_new(const struct conf *conf, struct service *service,
		      struct serve_devices **ret, struct cused_error *err);
/* After service_stop(). NULL is allowed. */
void serve_devices_free(struct serve_devices *all);
struct instance *serve_devices_instance(const struct serve_devices *all);
/* Of those that are not leaving. */
size_t serve_devices_count(const struct serve_devices *all);

/* Make all that is wanted. Return: 0; -errno of the first that cannot be, with @err set. */
int serve_devices_make(struct serve_devices *all, struct cused_error *err);
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

#endif
