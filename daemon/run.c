/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <transport/backing.h>
#include <transport/sysfs.h>
#include <transport/trap.h>
#include <transport/trap_filter.h>
#include <transport/window.h>
#include <util/cleanup.h>
#include <vfio-cused/log.h>

#include "instance.h"
#include "run.h"
#include "run_ctl.h"
#include "supervise.h"

_Static_assert(CONF_DEVICES_MAX <= WINDOW_DEVICES, "each device has a window");

struct run {
	const struct conf *conf;
	struct backing *backings[CONF_DEVICES_MAX];
	struct cused_error backing_err;	/* what backing_make() cannot say through the core */
	struct instance *instance;
	struct sysfs_plan *sysfs;
	char **nodes;
	struct sock_fprog filter;
	struct supervisor supervisor;
	struct trap *trap;
	struct run_ctl ctl;
	int guard;			/* the guard's pipe */
};

/* ---- set-up ---- */

static int backing_make(void *arg, unsigned index, struct instance_backing *ret)
{
	struct run *run = arg;
	int r = backing_new(window_base(index), &run->backings[index], &run->backing_err);

	if (r)
		return r;
	ret->ops = &backing_memfd_ops;
	ret->arg = run->backings[index];
	ret->offset_base = window_base(index);
	return 0;
}

static char *node_name(const struct conf_device *device)
{
	char *name;

	return asprintf(&name, "%s%u", device->noiommu ? "noiommu-" : "",
			device->group) < 0 ? NULL : name;
}

/* "vfio" and every group once. */
static int nodes_make(struct run *run)
{
	size_t n = 0;

	run->nodes = calloc(run->conf->n_devices + 2, sizeof(char *));
	if (!run->nodes || !(run->nodes[n++] = strdup("vfio")))
		return -ENOMEM;
	for (size_t i = 0; i < run->conf->n_devices; i++) {
		char *name = node_name(&run->conf->devices[i]);
		bool seen = false;

		if (!name)
			return -ENOMEM;
		for (size_t k = 0; k < n; k++)
			seen = seen || strcmp(run->nodes[k], name) == 0;
		if (seen)
			free(name);
		else
			run->nodes[n++] = name;
	}
	return 0;
}

/* Lists for the command: addresses, and names of group nodes, separated by spaces. */
static int environment_set(const struct run *run)
{
	size_t size = run->conf->n_devices * sizeof(run->conf->devices[0].bdf) + 1;
	cleanup_free char *bdfs = calloc(1, size);
	cleanup_free char *groups = calloc(1, run->conf->n_devices * 24 + 1);

	if (!bdfs || !groups)
		return -ENOMEM;
	for (size_t i = 0; i < run->conf->n_devices; i++) {
		if (i)
			strcat(bdfs, " ");
		strcat(bdfs, run->conf->devices[i].bdf);
	}
	for (char **node = run->nodes + 1; *node; node++) {
		if (*groups)
			strcat(groups, " ");
		strcat(groups, *node);
	}
	if (setenv("VFIO_CUSED_BDF", bdfs, 1) || setenv("VFIO_CUSED_GROUP", groups, 1))
		return -ENOMEM;
	if (run->ctl.folder[0])
		return setenv(CTL_ENVIRONMENT, run->ctl.path, 1) ? -ENOMEM : 0;
	/* That of another one is not ours. */
	return unsetenv(CTL_ENVIRONMENT) ? -ENOMEM : 0;
}

static int prepare(struct run *run, char **argv, struct cused_error *err)
{
	int r = run_check_command(argv[0], err);

	if (r == 0)
		r = instance_new(run->conf, backing_make, run, &run->instance, err);
	if (r && run->backing_err.text[0])
		*err = run->backing_err;
	for (size_t i = 0; r == 0 && i < run->conf->n_devices; i++) {
		r = backing_seal(run->backings[i]);
		if (r)
			cused_error_set(err, r, "cannot seal a device file: %s",
					strerror(-r));
	}
	if (r == 0)
		r = instance_sysfs(run->instance, "/sys", &run->sysfs, err);
	if (r == 0)
		r = trap_filter_build(&run->filter, err);
	if (r)
		return r;
	r = nodes_make(run);
	run_ctl_choose(&run->ctl, run->conf);
	if (r == 0)
		r = environment_set(run);
	return r ? cused_error_set(err, r, "out of memory") : 0;
}

/* ---- the child ---- */

static int child_start(struct run *run, char **argv, struct cused_error *err)
{
	struct run_child child = {
		.argv = argv, .sysfs = run->sysfs, .nodes = run->nodes,
		.filter = run->filter, .inherited = run->supervisor.inherited,
		.supervisor = getpid(),
	};
	int r = supervise_fork(&run->supervisor, &child.socket, err);

	if (r == 0)
		run_child(&child);
	return r < 0 ? r : 0;
}

static int serve_start(struct run *run, struct cused_error *err)
{
	struct trap_device devices[CONF_DEVICES_MAX];
	struct trap_params params = {
		.topology = instance_topology(run->instance), .devices = devices,
		.n_devices = run->conf->n_devices,
	};
	int fds[RUN_FDS];
	int r;

	r = hello_receive(run->supervisor.socket, fds, RUN_FDS, err);
	if (r)
		return r;
	for (size_t i = 0; i < params.n_devices; i++)
		devices[i] = (struct trap_device){ instance_device(run->instance, i),
						   run->backings[i] };
	params.listener = fds[RUN_FD_LISTENER];
	params.directory = fds[RUN_FD_DIRECTORY];
	r = run_guard_start(run->supervisor.command, params.directory, &run->ctl, &run->guard,
			    err);
	if (r) {
		close(params.listener);
		close(params.directory);
		return r;
	}
	r = trap_start(&params, &run->trap, err);
	close(params.directory);
	if (r)
		return r;
	run_ctl_start(&run->ctl, params.topology, run->trap);
	return supervise_go(&run->supervisor, err);
}

/* ---- the end ---- */

static void run_done(struct run *run, int status)
{
	if (run_ctl_end(&run->ctl) || trap_stop(run->trap)) {
		cused_log(CUSED_LOG_WARNING, "run", "a call is still stalled by memory that a "
			  "process outside of the run serves; ending nevertheless");
		_exit(status);
	}
	instance_free(run->instance);
	for (size_t i = 0; i < CONF_DEVICES_MAX; i++)
		backing_free(run->backings[i]);
	sysfs_plan_free(run->sysfs);
	for (char **node = run->nodes; node && *node; node++)
		free(*node);
	free(run->nodes);
	free(run->filter.filter);
	if (run->guard >= 0)
		close(run->guard);
	supervise_end(&run->supervisor);
}

/* A command of run has no right to the machine's devices that it could give away. */
static int refuse_host(const struct conf *conf, struct cused_error *err)
{
	for (size_t i = 0; i < conf->n_devices; i++) {
		const struct conf_device *device = &conf->devices[i];

		if (conf_is_host(device))
			return cused_error_set(err, -EINVAL, "--device %s: %s is a device of this "
					       "machine, which only vfio-cused serve gives to "
					       "clients; use that", device->ops->name,
					       device->bdf);
	}
	return 0;
}

int run_command(const struct conf *conf, char **argv)
{
	struct run run = { .conf = conf, .guard = -1 };
	struct cused_error err;
	int r, status;

	r = refuse_host(conf, &err);
	if (r) {
		cused_log(CUSED_LOG_ERROR, "run", "%s", err.text);
		return RUN_EXIT_FAILED;
	}
	r = supervise_begin(&run.supervisor, &err);
	if (r == 0)
		r = prepare(&run, argv, &err);
	if (r == 0)
		r = child_start(&run, argv, &err);
	if (r == 0)
		r = serve_start(&run, &err);
	if (r == 0) {
		supervise_wait(&run.supervisor);
	} else {
		cused_log(CUSED_LOG_ERROR, "run", "%s", err.text);
		supervise_hang_up(&run.supervisor);
	}
	supervise_kill_left(&run.supervisor);	/* and the guard */
	status = r ? RUN_EXIT_FAILED : supervise_status(&run.supervisor);
	run_done(&run, status);
	return status;
}
