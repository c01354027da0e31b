/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serve_sysfs.c - what a service lays over the machine's /sys. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <transport/agent.h>
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

/* ---- for the process after this one ---- */

#define KEPT_NAME "sysfs"

static void plan_forget(struct serve *serve)
{
	if (serve->kept->fds)
		serve->kept->fds->drop(serve->kept->fds, KEPT_NAME);
}

static bool write_all(int fd, const uint8_t *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);

		if (n <= 0 && errno != EINTR)
			return false;
		if (n > 0) {
			data += n;
			size -= (size_t)n;
		}
	}
	return true;
}

/* Who does not find it lays all anew, so a failure is none. */
static void plan_keep(struct serve *serve)
{
	cleanup_close int fd = -1;
	cleanup_free uint8_t *data = NULL;
	size_t size;

	if (!serve->kept->fds || !serve->plan || sysfs_plan_pack(serve->plan, &data, &size))
		return;
	fd = memfd_create("vfio-cused-sysfs", MFD_CLOEXEC);
	if (fd >= 0 && write_all(fd, data, size))
		serve->kept->fds->put(serve->kept->fds, KEPT_NAME, fd);
}

/* NULL: it cannot be had. */
static struct sysfs_plan *plan_read(int fd)
{
	struct sysfs_plan *plan = NULL;
	struct stat st;
	void *data;

	if (fd < 0 || fstat(fd, &st) || st.st_size <= 0 || st.st_size > SYSFS_PACK_MAX)
		return NULL;
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return NULL;
	if (sysfs_plan_unpack(data, (size_t)st.st_size, &plan))
		plan = NULL;
	munmap(data, (size_t)st.st_size);
	return plan;
}

/* An agent may have cleaned up meanwhile. */
static bool plan_lies_there(const struct sysfs_plan *plan)
{
	const struct sysfs_node *devices = sysfs_plan_find(plan, "bus/pci/devices");
	char path[512];
	struct stat st;

	if (!devices || !devices->children)
		return false;
	snprintf(path, sizeof(path), SERVE_SYSFS "/bus/pci/devices/%s", devices->children->name);
	return lstat(path, &st) == 0;
}

int serve_sysfs_adopt(struct serve *serve, struct cused_error *err)
{
	struct fd_keep *fds = serve->kept->fds;
	cleanup_close int fd = fds->take(fds, KEPT_NAME);
	struct sysfs_plan *plan = plan_read(fd);

	if (plan && plan_lies_there(plan)) {
		serve->plan = plan;
		return 0;
	}
	sysfs_plan_free(plan);
	plan_forget(serve);
	return serve_sysfs_clear(serve->conf, err);
}

/* Where the agent is a unit of its own, the mounts are in its view of the file system. */
int serve_sysfs_clear(const struct conf *conf, struct cused_error *err)
{
	const char *connect = serve_agent_connect(conf);

	return connect ? agent_sysfs_clear(connect, SERVE_SYSFS, err) :
			 sysfs_unmount(SERVE_SYSFS, err);
}

/* ---- changes ---- */

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
	r = instance_sysfs(instance, serve->sysfs.path, &plan, err);
	if (r)
		return r;
	/* Until it is done, nobody can know what lies there. */
	plan_forget(serve);
	if (serve->plan && !serve_sysfs_shows_wrong(serve) &&
	    service_sysfs(serve->service, serve->plan, plan, SERVE_SYSFS, &why) == 0) {
		sysfs_plan_free(serve->plan);
		serve->plan = plan;
		plan_keep(serve);
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
		plan_keep(serve);
	}
	return r;
}

int serve_sysfs(struct serve *serve, struct cused_error *err)
{
	return serve->conf->service[CONF_SERVICE_SYSFS].number ? sysfs_lay(serve, err) : 0;
}
