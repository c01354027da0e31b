/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <transport/open_notes.h>
#include <transport/thread.h>
#include <transport/trap.h>
#include <vfio-cused/log.h>

#include "conf.h"
#include "run_ctl.h"

static int files(void *arg, struct open_notes *ret)
{
	const struct run_ctl *ctl = arg;

	return trap_files(ctl->trap, ret);
}

static const char *device_id(void *arg, const char *bdf)
{
	const struct run_ctl *ctl = arg;

	for (size_t i = 0; i < ctl->conf->n_devices; i++)
		if (!strcmp(ctl->conf->devices[i].bdf, bdf))
			return ctl->conf->devices[i].id;
	return NULL;
}

static const struct ctl_ops ops = { .mode = "run", .files = files, .device_id = device_id };

/* The first that can be written to. */
static const char *choose_parent(void)
{
	const char *places[] = { getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		/* Its name has to mean the same to the command. */
		if (places[i] && places[i][0] == '/' && access(places[i], W_OK | X_OK) == 0)
			return places[i];
	}
	return NULL;
}

void run_ctl_choose(struct run_ctl *ctl, const struct conf *conf)
{
	const char *parent = choose_parent();
	uint64_t number;
	size_t n;

	*ctl = (struct run_ctl){ .conf = conf };
	if (!parent || getrandom(&number, sizeof(number), 0) != sizeof(number))
		return;
	n = (size_t)snprintf(ctl->folder, sizeof(ctl->folder), "%s/vfio-cused-%016llx", parent,
			     (unsigned long long)number);
	if (n >= sizeof(ctl->folder)) {
		ctl->folder[0] = '\0';
		return;
	}
	snprintf(ctl->path, sizeof(ctl->path), "%s/ctl", ctl->folder);
}

static int start(struct run_ctl *ctl, struct topology *topology, struct cused_error *err)
{
	struct ctl_socket where = { ctl->path, 0600, (uid_t)-1, (gid_t)-1 };
	struct ctl control = { &ops, ctl, topology, thread_now_ns() };
	int listener, r;

	/* Nobody can have made it before: the name cannot be guessed. */
	if (mkdir(ctl->folder, 0700))
		return cused_error_set(err, -errno, "cannot make %s: %s", ctl->folder,
				       strerror(errno));
	ctl->made = true;
	r = ctl_listen(&where, &listener, err);
	if (r)
		return r;
	r = ctl_server_start(&control, listener, geteuid(), &ctl->server);
	return r ? cused_error_set(err, r, "cannot serve the control socket: %s",
				   strerror(-r)) : 0;
}

void run_ctl_start(struct run_ctl *ctl, struct topology *topology, struct trap *trap)
{
	struct cused_error err;

	if (!ctl->folder[0]) {
		cused_log(CUSED_LOG_INFO, "run", "there is no control socket: no folder for it "
			  "can be written to, or its name is too long; see XDG_RUNTIME_DIR");
		return;
	}
	ctl->trap = trap;
	if (start(ctl, topology, &err))
		cused_log(CUSED_LOG_INFO, "run", "there is no control socket: %s", err.text);
}

void run_ctl_remove(const struct run_ctl *ctl)
{
	if (!ctl->folder[0])
		return;
	unlink(ctl->path);
	rmdir(ctl->folder);
}

int run_ctl_end(struct run_ctl *ctl)
{
	int r = ctl_server_stop(ctl->server);

	if (ctl->made)
		run_ctl_remove(ctl);
	return r;
}
