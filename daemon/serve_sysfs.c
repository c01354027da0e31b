/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serve_sysfs.c - what a service lays over the machine's /sys. */
#include <stdio.h>

#include <transport/service.h>
#include <transport/sysfs.h>
#include <util/cleanup.h>
#include <util/log.h>

#include "serve_devices.h"
#include "serve_internal.h"

/* A group of the machine whose number a simulated one has: that one is shown. */
static bool group_is_ours(const struct serve *serve, const char *link)
{
	char number[32], path[64];

	host_sysfs_link(&serve->sysfs, link, number, sizeof(number));
	snprintf(path, sizeof(path), "kernel/iommu_groups/%s", number);
	return number[0] && sysfs_plan_find(serve->plan, path);
}

/* What lies over /sys shows the machine as it was when that was laid there. */
static bool shows_wrong(const char *bdf, void *arg)
{
	const struct serve *serve = arg;
	char device[64], group[64];

	snprintf(device, sizeof(device), "bus/pci/devices/%s", bdf);
	snprintf(group, sizeof(group), "bus/pci/devices/%s/iommu_group", bdf);
	return host_sysfs_differs(&serve->sysfs, SERVE_SYSFS, device) ||
	       (!group_is_ours(serve, group) &&
		host_sysfs_differs(&serve->sysfs, SERVE_SYSFS, group)) ||
	       (host_sysfs_has(&serve->sysfs, INSTANCE_DRIVER) &&
		host_sysfs_differs(&serve->sysfs, SERVE_SYSFS, INSTANCE_DRIVER));
}

bool serve_sysfs_shows_wrong(struct serve *serve)
{
	return serve->plan && serve_devices_each_host(serve->devices, shows_wrong, serve);
}

/* Lay what there is over /sys, or change what lies there to it. */
static int sysfs_lay(struct serve *serve, struct cused_error *err)
{
	struct instance *instance = serve_devices_instance(serve->devices);
	struct sysfs_plan *plan;
	struct cused_error why = { 0 };
	int r;

	/* The machine's own are there without us. */
	if (!serve->plan && instance_n_simulated(instance) == 0)
		return 0;
	r = instance_sysfs(instance, SERVE_SYSFS, &plan, err);
	if (r)
		return r;
	if (serve->plan && !serve_sysfs_shows_wrong(serve) &&
	    service_sysfs(serve->service, serve->plan, plan, SERVE_SYSFS, &why) == 0) {
		sysfs_plan_free(serve->plan);
		serve->plan = plan;
		return 0;
	}
	if (serve->plan) {
		/* For a moment there is nothing. */
		cused_log(CUSED_LOG_INFO, "serve", "%s is laid anew%s%s", SERVE_SYSFS,
			  why.text[0] ? ": " : "", why.text);
		sysfs_plan_free(steal_ptr(serve->plan));
		r = service_sysfs(serve->service, NULL, NULL, SERVE_SYSFS, err);
	}
	if (r == 0)
		r = service_sysfs(serve->service, NULL, plan, SERVE_SYSFS, err);
	if (r) {
		sysfs_plan_free(plan);
		service_sysfs(serve->service, NULL, NULL, SERVE_SYSFS, &why);
	} else {
		serve->plan = plan;
	}
	return r;
}

int serve_sysfs(struct serve *serve, struct cused_error *err)
{
	return serve->conf->service[CONF_SERVICE_SYSFS].number ? sysfs_lay(serve, err) : 0;
}
