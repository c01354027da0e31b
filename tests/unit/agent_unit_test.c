/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/agent_unit.c: an agent that a service manager starts. The manager is a child of the
 * test, which listens at a socket and starts this program, as "agent", for each connection;
 * see agent_test.c for what agents do.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <transport/agent.h>
#include <transport/fd_message.h>

#define NO_MAJOR 0xfffu

static char dir[] = "/tmp/cused-unit-XXXXXX";
static char path[64], gone_path[64];
static const char *const argv[] = { "vfio-cused", "agent", gone_path, "two words", "", NULL };
static pid_t manager;
static struct agent *agent;
static struct cused_error err;
static int mount_fd, listener;

/* ---- the agent's program ---- */

static char *unit_args[AGENT_ARGS_MAX];

static void gone(bool orderly)
{
	int fd = open(unit_args[0], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (write(fd, orderly ? "o" : "g", 1) != 1)
		abort();
	close(fd);
}

/* Its arguments are to be those of argv above, and nothing else. */
static int agent_main(void)
{
	int r;

	if (!agent_is_unit())
		return 1;
	r = agent_unit_hello(unit_args);
	if (r <= 0)
		return r ? 1 : 0;
	if (!unit_args[0] || !unit_args[1] || strcmp(unit_args[1], "two words") != 0 ||
	    !unit_args[2] || *unit_args[2] || unit_args[3])
		return 1;
	return agent_serve(gone);
}

/* ---- the service manager ---- */

static void manage(int socket)
{
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = accept4(socket, NULL, NULL, SOCK_CLOEXEC);
		char pid[32];

		if (fd < 0)
			_exit(1);
		if (fork() == 0) {
			snprintf(pid, sizeof(pid), "%d", (int)getpid());
			setenv("LISTEN_PID", pid, 1);
			setenv("LISTEN_FDS", "1", 1);
			fd = fcntl(fd, F_DUPFD_CLOEXEC, AGENT_FDS + 2);
			for (int i = AGENT_FD_JOBS; i < AGENT_FDS; i++)
				close(i);
			dup2(fd, AGENT_FD_JOBS);
			/* Those who are killed with the test leave nobody behind. */
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			execl("/proc/self/exe", "agent_unit_test", "agent", (char *)NULL);
			_exit(1);
		}
		close(fd);
	}
}

static void setup(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int socket_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	unlink(path);
	ck_assert_int_eq(bind(socket_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(socket_fd, 16), 0);
	manager = fork();
	ck_assert_int_ge(manager, 0);
	if (manager == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		manage(socket_fd);
	}
	close(socket_fd);
	mount_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	agent = NULL;
}

static void teardown(void)
{
	agent_free(agent);
	kill(manager, SIGKILL);
	ck_assert_int_eq(waitpid(manager, NULL, 0), manager);
	close(mount_fd);
	close(listener);
	unlink(path);
	unlink(gone_path);
}

static int start(const char *connect)
{
	const struct agent_params params = { .connect = connect, .argv = argv,
					     .mount = mount_fd, .listener = -1 };

	return agent_new(&params, &agent, &err);
}

/* An eventfd of this process. */
static void works(void)
{
	struct agent_fd fd = { .fd = eventfd(0, EFD_CLOEXEC), .event = -1 };

	ck_assert_int_eq(agent_look(agent, getpid(), NO_MAJOR, 0, &fd, 1), 0);
	ck_assert_int_eq(fd.err, 0);
	ck_assert_int_ge(fd.event, 0);
	close(fd.event);
	close(fd.fd);
}

/* ---- cases ---- */

START_TEST(one_is_started_and_works)
{
	ck_assert_msg(start(path) == 0, "%s", err.text);
	ck_assert_int_gt(agent_pid(agent), 0);
	ck_assert_int_ne(agent_pid(agent), manager);
	works();
	works();
}
END_TEST

START_TEST(one_with_a_listener)
{
	const struct agent_params params = { .connect = path, .argv = argv, .mount = mount_fd,
					     .listener = listener };

	ck_assert_int_eq(agent_new(&params, &agent, &err), 0);
	works();
}
END_TEST

/* It is no child of ours, so it is the manager who reaps it. */
START_TEST(one_that_was_killed_is_replaced)
{
	pid_t old;

	ck_assert_int_eq(start(path), 0);
	old = agent_pid(agent);
	ck_assert_int_eq(kill(old, SIGKILL), 0);
	while (kill(old, 0) == 0)
		poll(NULL, 0, 1);
	works();
	ck_assert_int_ne(agent_pid(agent), old);
	ck_assert_int_eq(agent_ensure(agent), 0);
	works();
}
END_TEST

/* Nobody else may be hit: the number of the one that hangs is not what it is killed by. */
START_TEST(one_that_hangs_is_replaced)
{
	struct agent_fd fd = { .fd = 0 };
	pid_t old;

	ck_assert_int_eq(start(path), 0);
	old = agent_pid(agent);
	ck_assert_int_eq(kill(old, SIGSTOP), 0);
	ck_assert_int_eq(agent_look(agent, getpid(), NO_MAJOR, 0, &fd, 1), -EIO);
	while (kill(old, 0) == 0)
		poll(NULL, 0, 1);
	works();
}
END_TEST

/* Wait for an agent's last word: 'o' the service ended in order, 'g' it has gone. */
static char last_word(void)
{
	char word = 0;
	int fd;

	while (!word) {
		fd = open(gone_path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, &word, 1) < 0)
			break;
		if (fd >= 0)
			close(fd);
		poll(NULL, 0, 1);
	}
	return word;
}

START_TEST(it_ends_with_its_service)
{
	pid_t pid;

	ck_assert_int_eq(start(path), 0);
	pid = agent_pid(agent);
	agent_free(agent);
	agent = NULL;
	while (kill(pid, 0) == 0)
		poll(NULL, 0, 1);
	ck_assert_int_eq(last_word(), 'o');
}
END_TEST

START_TEST(nobody_listens)
{
	ck_assert_int_eq(start("/tmp/no/such/socket"), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "/tmp/no/such/socket"));
	ck_assert_int_eq(start(gone_path), -ENOENT);
}
END_TEST

START_TEST(arguments_have_limits)
{
	static char big[AGENT_ARGS_SIZE + 1];
	const char *const with_big[] = { "vfio-cused", "agent", big, NULL };
	struct agent_params params = { .connect = path, .argv = with_big, .mount = mount_fd,
				       .listener = -1 };

	memset(big, 'x', AGENT_ARGS_SIZE);
	ck_assert_int_eq(agent_new(&params, &agent, &err), -E2BIG);
	big[AGENT_ARGS_SIZE - 1] = '\0';
	/* It comes, and is none that this test's agent wants: it says nothing more. */
	ck_assert_int_eq(agent_new(&params, &agent, &err), 0);
}
END_TEST

/* ---- who says hello in other words ---- */

static int connect_raw(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Return: bytes of an answer; 0: the agent has gone without one. */
static int answer_to(const void *data, size_t size, const int *fds, size_t n)
{
	struct agent_said said;
	int fd = connect_raw(), got = -1, r;
	size_t n_got = 1;

	ck_assert_int_eq(fd_message_send(fd, data, size, fds, n), 0);
	r = fd_message_receive(fd, &said, sizeof(said), &got, &n_got);
	if (r > 0 && n_got)
		close(got);
	close(fd);
	return r == -ECONNRESET ? 0 : r;
}

static const struct agent_hello good = { .version = AGENT_HELLO_VERSION, .args_size = 4,
					 .args = "abc" };

START_TEST(a_hello_that_is_none)
{
	struct agent_hello hello = good;
	const int fds[] = { mount_fd, mount_fd };

	ck_assert_int_eq(answer_to(&hello, sizeof(hello), fds, 1), sizeof(struct agent_said));
	ck_assert_int_eq(answer_to(&hello, sizeof(hello) - 1, fds, 1), 0);
	ck_assert_int_eq(answer_to(&hello, sizeof(hello), fds, 0), 0);
	hello.version++;
	ck_assert_int_eq(answer_to(&hello, sizeof(hello), fds, 1), 0);
	hello = good;
	hello.kind = AGENT_HELLO_CLEAR;
	ck_assert_int_eq(answer_to(&hello, sizeof(hello), fds, 1), 0);
	hello.kind = AGENT_HELLO_CLEAR + 1;
	ck_assert_int_eq(answer_to(&hello, sizeof(hello), fds, 0), 0);
	hello = good;
	hello.args_size = 3;		/* without the NUL */
	ck_assert_int_eq(answer_to(&hello, sizeof(hello), fds, 1), 0);
	hello.args_size = AGENT_ARGS_SIZE + 1;
	ck_assert_int_eq(answer_to(&hello, sizeof(hello), fds, 1), 0);
	memset(hello.args, 0, sizeof(hello.args));
	hello.args_size = AGENT_ARGS_MAX - 1;
	ck_assert_int_eq(answer_to(&hello, sizeof(hello), fds, 1), sizeof(struct agent_said));
	hello.args_size = AGENT_ARGS_MAX;
	ck_assert_int_eq(answer_to(&hello, sizeof(hello), fds, 1), 0);
	/* And the next one is served. */
	ck_assert_int_eq(start(path), 0);
	works();
}
END_TEST

START_TEST(a_service_that_is_killed)
{
	struct agent_hello hello = good;
	int fd = connect_raw(), pidfd = -1;
	struct agent_said said;
	size_t n = 1;

	hello.args_size = (uint32_t)snprintf(hello.args, sizeof(hello.args), "%s%ctwo words%c",
					     gone_path, 0, 0) + 1;
	ck_assert_int_eq(fd_message_send(fd, &hello, sizeof(hello), &mount_fd, 1), 0);
	ck_assert_int_eq(fd_message_receive(fd, &said, sizeof(said), &pidfd, &n), sizeof(said));
	close(pidfd);
	close(fd);
	ck_assert_int_eq(last_word(), 'g');
}
END_TEST

START_TEST(another_user)
{
	pid_t child;
	int status;

	ck_assert_int_eq(chmod(path, 0666), 0);
	child = fork();
	if (child == 0) {
		if (setresuid(1, 1, 1))
			_exit(2);
		_exit(answer_to(&good, sizeof(good), &mount_fd, 1) == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* ---- /sys ---- */

START_TEST(what_it_says_of_sysfs)
{
	const char *const nowhere = "/nowhere";
	struct sysfs_plan *plan;
	const struct sysfs_desc desc = { .host = { .n_cpus = 1 } };

	ck_assert_int_eq(sysfs_plan_new(&desc, &plan), 0);
	ck_assert_int_eq(start(path), 0);
	ck_assert_int_eq(agent_sysfs(agent, NULL, NULL, nowhere, &err), 0);
	ck_assert_int_eq(agent_sysfs(agent, NULL, plan, nowhere, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, nowhere));
	ck_assert_int_lt(agent_sysfs(agent, plan, plan, nowhere, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, nowhere));
	sysfs_plan_free(plan);
	works();
}
END_TEST

START_TEST(cleared_without_an_agent)
{
	ck_assert_int_eq(agent_sysfs_clear(path, "/nowhere", &err), 0);
	ck_assert_int_eq(agent_sysfs_clear("/tmp/no/such/socket", "/nowhere", &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "vfio-cused-agent.socket"));
}
END_TEST

/* A job whose file is none. */
static int sysfs_job(int file)
{
	const struct agent_job job = { .kind = AGENT_JOB_SYSFS };
	struct agent_said said = { 0 };
	size_t none = 0;
	int socket_fd;
	pid_t pid;

	ck_assert_int_eq(agent_send_job(agent, &job, file, &socket_fd, &pid), 0);
	ck_assert_int_eq(fd_message_receive(socket_fd, &said, sizeof(said), NULL, &none),
			 sizeof(said));
	close(socket_fd);
	ck_assert_int_gt(strlen(said.text), 0);
	return said.result;
}

START_TEST(a_job_for_sysfs_that_is_none)
{
	struct agent_sysfs_file head = { .root = "/nowhere" };
	int file = open(gone_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), pipes[2];

	ck_assert_int_eq(start(path), 0);
	ck_assert_int_eq(sysfs_job(file), -EBADMSG);	/* it is empty */
	head.old_size = 1;
	ck_assert_int_eq(pwrite(file, &head, sizeof(head), 0), sizeof(head));
	ck_assert_int_eq(sysfs_job(file), -EBADMSG);	/* shorter than it says */
	head.old_size = UINT64_MAX;
	head.new_size = 1;
	ck_assert_int_eq(pwrite(file, &head, sizeof(head), 0), sizeof(head));
	ck_assert_int_eq(sysfs_job(file), -EBADMSG);
	head.old_size = head.new_size = 0;
	memset(head.root, '/', sizeof(head.root));	/* without an end */
	ck_assert_int_eq(pwrite(file, &head, sizeof(head), 0), sizeof(head));
	ck_assert_int_eq(sysfs_job(file), -EBADMSG);
	head = (struct agent_sysfs_file){ .new_size = 1, .root = "/nowhere" };
	ck_assert_int_eq(pwrite(file, &head, sizeof(head), 0), sizeof(head));
	ck_assert_int_eq(ftruncate(file, sizeof(head) + 1), 0);
	ck_assert_int_eq(sysfs_job(file), -EBADMSG);	/* no plan */
	ck_assert_int_eq(ftruncate(file, sizeof(head) + 2ll * SYSFS_PACK_MAX + 1), 0);
	ck_assert_int_eq(sysfs_job(file), -EBADMSG);	/* too big */
	close(file);
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	ck_assert_int_eq(sysfs_job(pipes[0]), -EBADMSG);
	close(pipes[0]);
	close(pipes[1]);
	works();
}
END_TEST

int main(int argc, char **args)
{
	Suite *suite;
	TCase *tc;
	SRunner *runner;
	int failed;

	if (argc == 2 && !strcmp(args[1], "agent"))
		return agent_main();
	if (geteuid() != 0) {
		puts("skip (host): an agent is root's");
		return 77;
	}
	if (!mkdtemp(dir) || chmod(dir, 0755))
		return 1;
	snprintf(path, sizeof(path), "%s/jobs", dir);
	snprintf(gone_path, sizeof(gone_path), "%s/gone", dir);
	suite = suite_create("agent_unit");
	tc = tcase_create("all");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, one_is_started_and_works);
	tcase_add_test(tc, one_with_a_listener);
	tcase_add_test(tc, one_that_was_killed_is_replaced);
	tcase_add_test(tc, one_that_hangs_is_replaced);
	tcase_add_test(tc, it_ends_with_its_service);
	tcase_add_test(tc, nobody_listens);
	tcase_add_test(tc, arguments_have_limits);
	tcase_add_test(tc, a_hello_that_is_none);
	tcase_add_test(tc, a_service_that_is_killed);
	tcase_add_test(tc, another_user);
	tcase_add_test(tc, what_it_says_of_sysfs);
	tcase_add_test(tc, cleared_without_an_agent);
	tcase_add_test(tc, a_job_for_sysfs_that_is_none);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	rmdir(dir);
	return failed ? 1 : 0;
}
