/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/transport_alloc_test.c - each allocation of a transport's books fails once: handles,
 * backings, the start of the trap, and what the service stands on. A call that failed says
 * ENOMEM; the next one works, and nothing leaks (ASan sees to that) or is left open.
 */
#include <check.h>
#include <sys/stat.h>

#include "unit/alloc_fail.h"
#include <transport/agent.h>
#include <transport/devfs.h>
#include <transport/handle.h>
#include <transport/server.h>
#include <transport/service.h>
#include <transport/service_abi.h>
#include <unit/trap_rig.h>

static struct cused_error err;

/* ---- open files ---- */

static int probe(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", rig_dir, name);
	return open(path, O_RDWR | O_CLOEXEC);
}

static struct world world;

/* A new open file of the node, and one that is adopted. */
static int use_node(struct handles *handles)
{
	struct object object = { .kind = OBJECT_CONTAINER };
	struct handle *adopted;
	struct node *found;
	int fd = probe("vfio"), given = -1, r;
	struct stat st;

	if (fstat(fd, &st))
		abort();
	found = handles_node(handles, st.st_dev, st.st_ino);
	r = container_open(world.topology, &object.container);
	if (r == 0) {
		r = handle_new(handles, found, -1, object, NULL, &given);
		if (r)
			container_release(object.container);
		else
			close(given);
	}
	if (r == 0)
		r = container_open(world.topology, &object.container);
	if (r == 0) {
		r = handle_adopt(handles, found, object, NULL, fd, &adopted);
		if (r)
			container_release(object.container);
		else
			handle_put(adopted);
	}
	close(fd);
	return r;
}

static int use_handles(void)
{
	struct handles *handles = NULL;
	int r = handles_new(&handles);

	if (r)
		return r;
	r = handles_add_container(handles, probe("vfio"));
	if (r == 0)
		r = handles_add_group(handles, probe("1"), world.g1);
	if (r == 0)
		r = handles_add_device(handles, probe("2"), world.d10, 3);
	if (r == 0)
		r = use_node(handles);
	if (r == 0)
		handles_sync(handles);
	handles_free(handles);
	return r;
}

static int use_backing(void)
{
	struct backing *backing = NULL;
	int r = backing_new(window_base(RIG_NUMBER), &backing, &err);

	backing_free(backing);
	return r;
}

START_TEST(handles_and_backings)
{
	world_init(&world, NULL);
	SWEEP_FILES(use_handles(), 8);
	SWEEP_FILES(use_backing(), 1);
	world_done(&world);
}
END_TEST

/* ---- the start of the trap ---- */

static void wait_for_nothing(void)
{
}

static int start_again(struct rig *rig, int listener)
{
	struct trap_device device = { rig->device, rig->backing };
	struct trap_params params = { .topology = rig->world.topology, .devices = &device,
		.n_devices = 1, .listener = fcntl(listener, F_DUPFD_CLOEXEC, 3) };
	struct trap *trap;
	int r;

	params.directory = open(rig_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	err.text[0] = 0;
	r = trap_start(&params, &trap, &err);
	alloc_fail_pause();
	close(params.directory);
	ck_assert(r == 0 || err.text[0]);
	if (r == 0)
		ck_assert_int_eq(trap_stop(trap), 0);
	return r;
}

/* Its client makes no call meanwhile. */
START_TEST(the_trap_starts_whole)
{
	struct trap_params params = { 0 };
	struct sock_fprog program;
	int pair[2], listener, status;
	struct rig rig;
	pid_t child;

	memset(&rig, 0, sizeof(rig));
	rig_world(&rig);
	ck_assert_int_eq(trap_filter_build(&program, &err), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	child = fork();
	if (child == 0) {
		close(pair[0]);
		rig_child(pair[1], &program, wait_for_nothing);
	}
	close(pair[1]);
	free(program.filter);
	ck_assert_int_eq(recv(pair[0], &listener, sizeof(listener), 0), sizeof(listener));
	ck_assert_int_ge(listener, 0);
	params.listener = (int)syscall(SYS_pidfd_open, child, 0);
	listener = (int)syscall(SYS_pidfd_getfd, params.listener, listener, 0);
	ck_assert_int_ge(listener, 0);
	close(params.listener);
	SWEEP_FILES(start_again(&rig, listener), 8);
	ck_assert_int_eq(send(pair[0], "g", 1, 0), 1);
	close(pair[0]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	close(listener);
	world_done(&rig.world);
	backing_free(rig.backing);
}
END_TEST

/* ---- the service ---- */

static int use_agent(int mount)
{
	static const char *const argv[] = { "true", NULL };
	const struct agent_params params = { .program = "/bin/true", .argv = argv,
					     .listener = -1, .mount = mount };
	struct agent *agent;
	int r = agent_new(&params, &agent, &err);

	alloc_fail_pause();
	if (r == 0)
		agent_free(agent);
	return r;
}

static int use_server(void)
{
	struct server *server = NULL;
	int r = server_new(&server);

	server_free(server);
	return r;
}

static void no_ioctl(void *arg, struct request *request, struct device_file *file,
		     unsigned cmd, uint64_t arg64)
{
}

static int use_devfs(struct server *server)
{
	uint8_t token[SERVICE_TOKEN_SIZE];
	struct devfs *devfs = NULL;
	struct device_file *file;
	int r = devfs_new(server, no_ioctl, NULL, NULL, NULL, &devfs, &err);

	if (r)
		return r;
	r = device_open(world.d10, NULL, &file);
	if (r == 0) {
		r = devfs_grant(devfs, file, NULL, NULL, token);
		if (r)
			device_close(file);
		else
			devfs_revoke(devfs, token);
	}
	devfs_free(devfs);
	return r;
}

static int use_service(void)
{
	struct service_params params = { .prefix = "vfio" };
	struct service *service = NULL;
	int r;

	err.text[0] = 0;
	r = service_new(&params, &service, &err);
	alloc_fail_pause();
	ck_assert(r == 0 || err.text[0]);
	service_stop(service);
	return r;
}

START_TEST(what_the_service_stands_on)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct service_params params = { .prefix = "vfio" };
	struct service *service = NULL;
	struct server *server;
	int r;

	SWEEP_FILES(use_server(), 1);
	SWEEP_FILES(use_agent(null), 1);
	close(null);
	r = service_new(&params, &service, &err);
	if (r) {
		printf("the rest needs root and /dev/fuse: %s\n", err.text);
		return;
	}
	service_stop(service);
	world_init(&world, NULL);
	ck_assert_int_eq(server_new(&server), 0);
	SWEEP_FILES(use_devfs(server), 5);
	server_free(server);
	SWEEP_FILES(use_service(), 6);
	world_done(&world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("transport_alloc");
	TCase *tc = tcase_create("transport_alloc");
	SRunner *runner;
	int n;

	signal(SIGXFSZ, SIG_IGN);
	if (rig_setup())
		return 1;
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, handles_and_backings);
	tcase_add_test(tc, the_trap_starts_whole);
	tcase_add_test(tc, what_the_service_stands_on);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	n = srunner_ntests_failed(runner);
	srunner_free(runner);
	rig_teardown();
	return n ? EXIT_FAILURE : EXIT_SUCCESS;
}
