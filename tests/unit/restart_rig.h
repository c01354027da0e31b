/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/restart_rig.h - services that are killed, and others that take over, in the rig of
 * cuse_rig.h. For programs that are also linked with --wrap for the functions at the end.
 *
 * A service is killed in the midst of a call by the thread that serves it, which stands still
 * from then on: at the point, and as often, as restart_die() has said. Whoever waits for the
 * answer has another service take over. What the first one still does is of no effect: its
 * records are a copy's, and its files are nowhere. It is freed at the end of the test.
 */
#ifndef UNIT_RESTART_RIG_H
#define UNIT_RESTART_RIG_H

#include <unit/cuse_rig.h>
#include <unit/fd_keep_fake.h>

#define RESTART_PROCESSES 5u

enum restart_point {
	DIE_NOT,
	DIE_BEFORE_COMMIT,	/* there is an effect, and no record of it */
	DIE_BEFORE_COPY,	/* the client's memory was not written */
	DIE_AFTER_COPY,
	DIE_BEFORE_REPLY,
	DIE_IN_CLOSE,		/* of a group */
	DIE_BEFORE_COURIER,	/* a device file is there for it */
	DIE_AFTER_COURIER,	/* it has answered, the service knows nothing of it */
};

static struct {
	struct fake_kept kept[RESTART_PROCESSES];
	struct {
		struct service *service;
		struct world world;
		unsigned standing;	/* threads that stand still */
	} dead[RESTART_PROCESSES];
	unsigned process;		/* that runs: 0 … */
	_Atomic unsigned standing;
	int taken[RIG_CHANNELS];	/* files of channels that it has taken over */
	unsigned n_taken;
	sem_t grave;
	_Atomic enum restart_point point;
	_Atomic unsigned deaths;	/* to come */
} restart;

static inline void restart_die(enum restart_point point, unsigned deaths)
{
	restart.deaths = deaths;
	restart.point = point;
}

/* By a thread of the service. Returns at the end of the test. */
static inline void restart_point(enum restart_point point)
{
	uint64_t one = 1;

	if (restart.point != point || restart.deaths == 0)
		return;
	restart.deaths--;
	restart.standing++;
	RIG_INSIST(write(rig.death, &one, sizeof(one)) == sizeof(one));
	while (sem_wait(&restart.grave))
		;
}

static inline int restart_take(struct fd_keep *fds, const char *name)
{
	int fd = fake_kept_take(fds, name);

	if (fd >= 0 && (!strncmp(name, "cuse-", 5) || !strcmp(name, "devfs"))) {
		RIG_INSIST(restart.n_taken < RIG_CHANNELS);
		restart.taken[restart.n_taken++] = fd;
	}
	return fd;
}

static inline void restart_bury(const int *fds, unsigned n)
{
	int nowhere = __real_open64("/dev/null", O_RDWR | O_CLOEXEC);

	for (unsigned i = 0; i < n; i++)
		RIG_INSIST(dup3(nowhere, fds[i], O_CLOEXEC) >= 0);
	close(nowhere);
}

/* What the process has kept is there for the next. */
static inline void restart_kill(void)
{
	unsigned now = restart.process;

	RIG_INSIST(now + 1 < RESTART_PROCESSES);
	fake_kept_killed(&restart.kept[now], &restart.kept[now + 1]);
	restart.kept[now + 1].fds.take = restart_take;
	restart.dead[now].service = rig.service;
	restart.dead[now].world = rig.world;
	restart.dead[now].standing = restart.standing;
	restart.standing = 0;
	rig.mine.lost = !rig.mine.done;
	service_leave(rig.service);
	if (now == 0)
		restart_bury(rig.served, (unsigned)rig.n_channels);
	else
		restart_bury(restart.taken, restart.n_taken);
	restart.n_taken = 0;
	restart.process++;
	rig.keep = restart.kept[now + 1].keep;
	rig.fds = &restart.kept[now + 1].fds;
	rig.restore = true;
}

static inline void restart_world(void)
{
	struct topology_params params = { .unsafe_noiommu = true, .keep = rig.keep };

	world_init(&rig.world, &params);
}

/* Another one takes over. Return: of service_start(). */
static inline int restart_take_over(struct cused_error *err)
{
	rig_service(false);
	restart_world();
	return service_start(rig.service, rig.world.topology, err);
}

static inline void restart_now(void)
{
	struct cused_error err;
	int r;

	restart_kill();
	r = restart_take_over(&err);
	if (r)
		fprintf(stderr, "%s\n", err.text);
	RIG_INSIST(r == 0);
	rig_add_groups();
}

/* The service dies when nobody waits for it. */
static inline void restart_after_death(void)
{
	uint64_t deaths;

	RIG_INSIST(read(rig.death, &deaths, sizeof(deaths)) == sizeof(deaths));
	restart_now();
}

static inline bool restart_courier(bool armed)
{
	struct keep *process = rig.keep;

	restart_point(armed ? DIE_AFTER_COURIER : DIE_BEFORE_COURIER);
	return process == rig.keep;
}

static inline void restart_start(bool retry)
{
	struct cused_error err;

	memset(&restart, 0, sizeof(restart));
	sem_init(&restart.grave, 0, 0);
	rig_init();
	rig.death = eventfd(0, EFD_CLOEXEC);
	rig.died = restart_now;
	rig.courier = restart_courier;
	fake_kept_init(&restart.kept[0]);
	rig.keep = restart.kept[0].keep;
	rig.fds = &restart.kept[0].fds;
	rig_service(retry);
	RIG_INSIST(rig_answer() == 0);
	restart_world();
	RIG_INSIST(service_start(rig.service, rig.world.topology, &err) == 0);
	rig_add_groups();
}

/* After rig_stop(), or what stands for it. */
static inline void restart_end(void)
{
	for (unsigned i = 0; i < restart.process; i++) {
		for (unsigned n = 0; n < restart.dead[i].standing; n++)
			sem_post(&restart.grave);
		RIG_INSIST(service_stop(restart.dead[i].service) == 0);
		world_done(&restart.dead[i].world);
	}
	for (unsigned i = 0; i <= restart.process; i++)
		fake_kept_done(&restart.kept[i]);
	close(rig.death);
}

/* ---- where a service can be killed ---- */

void __real_replay_reply(const struct iovec *iov, int count);
void __wrap_replay_reply(const struct iovec *iov, int count);
void __real_replay_answer(int32_t result, const struct iovec *local,
			  const struct iovec *remote, size_t n);
void __wrap_replay_answer(int32_t result, const struct iovec *local,
			  const struct iovec *remote, size_t n);
int __real_client_writev(pid_t tid, const struct iovec *local, const struct iovec *remote,
			 size_t n);
int __wrap_client_writev(pid_t tid, const struct iovec *local, const struct iovec *remote,
			 size_t n);

void __real_group_release(struct group *group);
void __wrap_group_release(struct group *group);

void __wrap_group_release(struct group *group)
{
	restart_point(DIE_IN_CLOSE);
	__real_group_release(group);
}

void __wrap_replay_reply(const struct iovec *iov, int count)
{
	const struct fuse_out_header *header = iov[0].iov_base;
	bool mine = header->unique == rig.mine.unique;

	if (mine && replay_is_effect())
		restart_point(DIE_BEFORE_COMMIT);
	__real_replay_reply(iov, count);
	if (mine)
		restart_point(DIE_BEFORE_REPLY);
}

void __wrap_replay_answer(int32_t result, const struct iovec *local,
			  const struct iovec *remote, size_t n)
{
	if (replay_is_effect())
		restart_point(DIE_BEFORE_COMMIT);
	__real_replay_answer(result, local, remote, n);
}

int __wrap_client_writev(pid_t tid, const struct iovec *local, const struct iovec *remote,
			 size_t n)
{
	int r;

	/* The client sees nothing that does not count yet. */
	RIG_INSIST(!replay_is_effect());
	restart_point(DIE_BEFORE_COPY);
	r = __real_client_writev(tid, local, remote, n);
	restart_point(DIE_AFTER_COPY);
	return r;
}

#endif
