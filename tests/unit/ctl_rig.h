/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit/ctl_rig.h - a control over the world of harness.h, whose changes are written down. */
#ifndef UNIT_CTL_RIG_H
#define UNIT_CTL_RIG_H

#include <check.h>
#include <stdatomic.h>
#include <string.h>

#include <ctl.h>
#include <transport/open_notes.h>
#include <transport/thread.h>
#include <unit/harness.h>

static struct {
	struct world world;
	struct open_note notes[4];	/* what clients have open */
	size_t n_notes;
	size_t n_processes;		/* further ones, each with a container */
	size_t n_containers;		/* … and further ones of the first of these */
	char said[256];			/* the last change that was asked for */
	int error;			/* what the next change comes to */
	atomic_uint asked;		/* changes so far */
	atomic_ullong jobs, done;	/* begun; done up to this one */
	struct ctl ctl;
} rig;

static int rig_files(void *arg, struct open_notes *ret)
{
	size_t n = rig.n_notes + rig.n_processes + rig.n_containers;

	ret->files = calloc(n + 1, sizeof(ret->files[0]));
	if (!ret->files)
		return -ENOMEM;
	for (; ret->n < n; ret->n++) {
		size_t i = ret->n - rig.n_notes;

		if (ret->n < rig.n_notes)
			ret->files[ret->n] = rig.notes[ret->n];
		else
			ret->files[ret->n] = (struct open_note){
				{ i < rig.n_processes ? (pid_t)(1000 + i) : 1000, 0, "many" },
				OBJECT_CONTAINER, .container = i + 1 };
	}
	return 0;
}

static const char *rig_device_id(void *arg, const char *bdf)
{
	return strcmp(bdf, "0000:01:00.0") ? NULL : "scratch0";
}

static int rig_change(struct cused_error *err)
{
	int r = rig.error;

	rig.error = 0;
	atomic_fetch_add(&rig.asked, 1);
	return r ? cused_error_set(err, r, "it is \"said\" with \xff and \n") : 0;
}

static int rig_add(void *arg, const char *text, char ret_bdf[16], char ret_group[32],
		   struct cused_error *err)
{
	snprintf(rig.said, sizeof(rig.said), "add %s", text);
	strcpy(ret_bdf, "0000:07:00.0");
	strcpy(ret_group, "noiommu-7");
	return rig_change(err);
}

static int rig_remove(void *arg, const char *name, bool revoke, uint64_t *ret_job,
		      struct cused_error *err)
{
	snprintf(rig.said, sizeof(rig.said), "remove %s %d", name, revoke);
	*ret_job = atomic_fetch_add(&rig.jobs, 1) + 1;
	return rig_change(err);
}

static int rig_stop_it(void *arg, bool revoke, uint64_t *ret_job, struct cused_error *err)
{
	snprintf(rig.said, sizeof(rig.said), "stop %d", revoke);
	*ret_job = atomic_fetch_add(&rig.jobs, 1) + 1;
	return rig_change(err);
}

static bool rig_tick(void *arg)
{
	return atomic_load(&rig.done) < atomic_load(&rig.jobs);
}

static bool rig_is_done(void *arg, uint64_t job)
{
	return job <= atomic_load(&rig.done);
}

static const struct ctl_ops rig_service = {
	.mode = "serve", .files = rig_files, .device_id = rig_device_id, .add = rig_add,
	.remove = rig_remove, .stop = rig_stop_it, .tick = rig_tick, .is_done = rig_is_done,
};

static inline void rig_begin(const struct ctl_ops *ops)
{
	memset(&rig, 0, sizeof(rig));
	world_init(&rig.world, NULL);
	rig.ctl = (struct ctl){ ops, NULL, rig.world.topology, thread_now_ns() };
}

static inline void rig_end(void)
{
	world_done(&rig.world);
}

#endif
