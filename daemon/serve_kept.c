/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <transport/thread.h>
#include <util/cleanup.h>
#include <util/log.h>

#include "conf_keep.h"
#include "manager.h"
#include "serve_kept.h"

/* Does FUSE send requests again (FUSE_NOTIFY_RESEND)? No call tells before there is a device. */
static bool kernel_resends(void)
{
	unsigned major, minor;
	struct utsname name;

	if (uname(&name) || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		return false;
	return major > 6 || (major == 6 && minor >= 9);
}

/* How many descriptors may be kept. */
static unsigned room(const struct conf *conf, const char **ret_why)
{
	const char *agent = conf->service[CONF_SERVICE_AGENT].string;
	const char *passed = getenv("LISTEN_FDS");
	unsigned max;

	*ret_why = NULL;
	if (!getenv("NOTIFY_SOCKET"))
		return 0;
	*ret_why = "Linux is older than 6.9";
	if (!kernel_resends())
		return 0;
	*ret_why = "the agent is started by the service (agent=off)";
	if (!agent || !strcmp(agent, "off"))
		return 0;
	*ret_why = "the service manager keeps no descriptors (FileDescriptorStoreMax=)";
	if (manager_fd_store_max(manager_buses, &max) == 0)
		return max;
	*ret_why = "the service manager cannot be asked how many descriptors it keeps";
	/* Some, as it has passed them. */
	return passed && strcmp(passed, "0") != 0 ? FD_STORE_MAX : 0;
}

/* ---- what is found ---- */

/* The records, and in them what is needed first. Return: 0; -errno with @err set. */
static int read_state(struct serve_kept *kept, struct cused_error *err)
{
	uint64_t left_at;
	int fd = kept->fds->take(kept->fds, FD_STORE_STATE), r;

	if (fd < 0)
		return cused_error_set(err, -ENOENT, "there is none");
	r = keep_open(fd, &kept->keep);
	if (r) {
		close(fd);
		return cused_error_set(err, r, r == -ESTALE ? "it is of another version, or was "
				       "given up" : "its records cannot be read: %s", strerror(-r));
	}
	r = conf_kept_settings(kept->keep, &kept->settings, &kept->last_id, &left_at, err);
	if (r == 0 && left_at)
		kept->since = left_at;
	return r;
}

static void forget(struct serve_kept *kept)
{
	fd_store_drop_all(kept->store);
	fd_store_set_keep(kept->store, NULL);
	keep_free(steal_ptr(kept->keep));
	conf_done(&kept->settings);
	kept->again = false;
}

void serve_kept_open(struct serve_kept *kept, const struct conf *conf)
{
	struct cused_error err;
	int r = fd_store_new(room(conf, &kept->why), &kept->store);

	kept->sysfs.fd = -1;
	kept->since = thread_now_ns();
	conf_init(&kept->settings);
	if (r) {
		cused_log(CUSED_LOG_WARNING, "serve", "a restart of the service will be one that "
			  "clients notice: what the service manager has passed cannot be taken: %s",
			  strerror(-r));
		return;
	}
	kept->fds = fd_store_files(kept->store);
	if (fd_store_count(kept->store) == 0)
		return;
	r = read_state(kept, &err);
	if (r == 0) {
		kept->again = true;
		fd_store_set_keep(kept->store, kept->keep);
		/* What lies over /sys stays, and the machine's has to be looked at. */
		if (host_sysfs_open(&kept->sysfs, &err))
			host_sysfs_close(&kept->sysfs);
		return;
	}
	cused_log(CUSED_LOG_WARNING, "serve", "the service begins afresh, and what clients have open "
		  "is lost; the state of the process before cannot be used: %s", err.text);
	forget(kept);
}

static int any(void *arg, uint64_t id, const void *data, size_t size)
{
	return 1;
}

bool serve_kept_fits(struct serve_kept *kept, const struct conf *conf)
{
	static const enum keep_kind open[] = { KEEP_OPEN_FILE, KEEP_DEVICE_FILE, KEEP_CONTAINER };

	if (!kept->again)
		return false;
	if (conf_settings_same(&kept->settings, conf))
		return true;
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
		if (keep_each(kept->keep, open[i], any, NULL))
			return true;
	}
	cused_log(CUSED_LOG_INFO, "serve", "settings of [iommu] or [service] have changed, and no "
		  "client has anything open: the service begins afresh");
	forget(kept);
	return false;
}

/* ---- to keep ---- */

void serve_kept_begin(struct serve_kept *kept, const struct conf *conf)
{
	bool may = kept->store && fd_store_room(kept->store);
	int r;

	if (kept->again)
		return;
	kept->fds = NULL;
	if (!may && kept->why)
		cused_log(CUSED_LOG_INFO, "serve", "a restart of the service will be one that clients "
			  "notice: %s", kept->why);
	if (!may)
		return;
	r = keep_new(&kept->keep);
	if (r) {
		cused_log(CUSED_LOG_WARNING, "serve", "a restart of the service will be one that "
			  "clients notice: there can be no records: %s", strerror(-r));
		return;
	}
	kept->fds = fd_store_files(kept->store);
	fd_store_set_keep(kept->store, kept->keep);
	conf_keep_settings(kept->keep, conf, 0, 0);
	kept->fds->put(kept->fds, FD_STORE_STATE, keep_fd(kept->keep));
}

void serve_kept_drop(struct serve_kept *kept)
{
	if (kept->store)
		fd_store_drop_all(kept->store);
}
