/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/exec_trap.c: GET_DEVICE_FD of a client under the filter of exec. The service is
 * played by the test: a plain file for the group, whose answers are a function, a thread for
 * the agent, behind a real socket, and a folder for the devices' files. A device's file is a
 * FIFO, so that its last close can be seen.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <transport/exec_trap.h>
#include <transport/fd_message.h>
#include <transport/trap_filter.h>

#define PAGE 4096ul
#define BDF "0000:09:00.0"
#define MS 10000			/* deadline for everything */

static char dir[] = "/tmp/cused-exec-XXXXXX";
static char group_path[64], socket_path[64], device_path[128];
static void *volatile bad = (void *)8;	/* volatile, so that compilers do not say so */

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not true in the client: %s (errno %d)\n", \
				__FILE__, __LINE__, #condition, errno); \
			_exit(1); \
		} \
	} while (0)
#define CHECK_FAILS(call, code) CHECK((errno = 0, (call)) == -1 && errno == (code))

/* ---- the service ---- */

/* The name of a device says what is to happen. */
static bool fake_may_be_group(const struct stat *st)
{
	struct stat group;

	return stat(group_path, &group) == 0 && st->st_ino == group.st_ino;
}

/* How the agent behaves: see agent_greet(). */
static atomic_int mood;
enum { GOOD, SILENT, EMPTY, OTHER_VERSION };

/* A byte is written for the name "wait", and one is awaited. */
static int asked[2], go[2];

static int fake_wait(void)
{
	char c = 'w';

	return write(asked[1], &c, 1) == 1 && read(go[0], &c, 1) == 1 ? 0 : -errno;
}

static int fake_token(int group, const char *name, uint64_t place,
		      uint8_t ret_token[SERVICE_TOKEN_SIZE])
{
	if (fcntl(group, F_GETFL) & O_PATH)	/* as ioctl() has it */
		return -EBADF;
	if (!name)
		return -EFAULT;
	if (strlen(name) >= 4096)
		return -EINVAL;
	if (strcmp(name, "foreign") == 0)
		return -ENOTTY;
	if (strcmp(name, "none") == 0)
		return -ENODEV;
	if (strcmp(name, "wait") == 0 && fake_wait())
		return -EINTR;		/* as an ioctl on a service that stalls */
	if (strcmp(name, "wait") == 0 || name[0] == 'x')
		name = BDF;
	memset(ret_token, 0, SERVICE_TOKEN_SIZE);
	memcpy(ret_token, name, strnlen(name, SERVICE_TOKEN_SIZE));
	return 0;
}

static const struct exec_trap_node fake_node = { fake_may_be_group, fake_token };

struct agent {
	int listening;
	int root;			/* the folder */
	pthread_t thread;
};

static void agent_greet(const struct agent *agent, int sock)
{
	struct agent_greeting greeting = { AGENT_GREETING_VERSION };

	switch (atomic_load(&mood)) {
	case GOOD:
		fd_message_send(sock, &greeting, sizeof(greeting), &agent->root, 1);
		break;
	case EMPTY:
		fd_message_send(sock, &greeting, sizeof(greeting), NULL, 0);
		break;
	case OTHER_VERSION:
		greeting.version++;
		fd_message_send(sock, &greeting, sizeof(greeting), &agent->root, 1);
		break;
	default:
		break;
	}
}

static void *agent_main(void *arg)
{
	const struct agent *agent = arg;
	int sock;

	while ((sock = accept(agent->listening, NULL, NULL)) >= 0) {
		agent_greet(agent, sock);
		close(sock);
	}
	return NULL;
}

/* ---- the rig ---- */

struct rig {
	struct agent agent;
	struct exec_trap *trap;
	pid_t child;
	int device;			/* the FIFO's other end */
	int hold;			/* closed: the client's cue, see wait_cue() */
};

static int cue = -1;			/* in the client */

static void wait_cue(void)
{
	char c;

	CHECK(read(cue, &c, 1) == 0);
}

static void agent_start(struct rig *rig)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	unlink(socket_path);		/* of a case that failed */
	strcpy(address.sun_path, socket_path);
	rig->agent.listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(rig->agent.listening, (struct sockaddr *)&address,
			      sizeof(address)), 0);
	ck_assert_int_eq(listen(rig->agent.listening, 8), 0);
	rig->agent.root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(rig->agent.root, 0);
	rig->device = open(device_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(rig->device, 0);
	ck_assert_int_eq(pthread_create(&rig->agent.thread, NULL, agent_main, &rig->agent), 0);
}

static void agent_stop(struct rig *rig)
{
	shutdown(rig->agent.listening, SHUT_RDWR);
	pthread_join(rig->agent.thread, NULL);
	close(rig->agent.listening);
	close(rig->agent.root);
	unlink(socket_path);
}

static void child_main(int sock, const struct sock_fprog *program, void (*fn)(void))
	__attribute__((noreturn));
static void child_main(int sock, const struct sock_fprog *program, void (*fn)(void))
{
	int listener;
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	listener = trap_filter_install(program);
	CHECK(send(sock, &listener, sizeof(listener), 0) == sizeof(listener));
	CHECK(listener >= 0 && recv(sock, &c, 1, 0) == 1);
	close(listener);
	close(sock);
	fn();
	_exit(0);
}

/* Before the agent's files are there, so that the client inherits none of them. */
static void rig_start(struct rig *rig, void (*fn)(void))
{
	struct exec_trap_params params = { .socket = socket_path, .node = &fake_node };
	int pair[2], hold[2], theirs, pidfd;
	struct sock_fprog program;
	struct cused_error err;

	memset(rig, 0, sizeof(*rig));
	ck_assert_int_eq(pipe2(asked, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	ck_assert_int_eq(trap_filter_build_exec(&program, &err), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(pipe2(hold, O_CLOEXEC), 0);
	rig->child = fork();
	if (rig->child == 0) {
		close(pair[0]);
		close(hold[1]);
		cue = hold[0];
		child_main(pair[1], &program, fn);
	}
	close(pair[1]);
	close(hold[0]);
	rig->hold = hold[1];
	free(program.filter);
	ck_assert_int_eq(recv(pair[0], &theirs, sizeof(theirs), 0), sizeof(theirs));
	ck_assert_msg(theirs >= 0, "filter: %s", trap_filter_cure(theirs));
	pidfd = (int)syscall(SYS_pidfd_open, rig->child, 0);
	params.listener = (int)syscall(SYS_pidfd_getfd, pidfd, theirs, 0);
	close(pidfd);
	agent_start(rig);
	ck_assert_msg(exec_trap_start(&params, &rig->trap, &err) == 0, "%s", err.text);
	ck_assert_int_eq(send(pair[0], "g", 1, 0), 1);
	close(pair[0]);
}

static void rig_wait(struct rig *rig)
{
	int status;

	ck_assert_int_eq(waitpid(rig->child, &status, 0), rig->child);
	ck_assert_msg(WIFEXITED(status), "the client ended by signal %d", WTERMSIG(status));
	ck_assert_msg(WEXITSTATUS(status) == 0, "the client failed, see above");
}

static void await(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	ck_assert_int_eq(poll(&p, 1, MS), 1);
	ck_assert(p.revents & events);
}

/* Everything ended: no copy of a device's file is left on our side. */
static void rig_stop(struct rig *rig)
{
	ck_assert_int_eq(exec_trap_stop(rig->trap), 0);
	agent_stop(rig);
	/* There is none only if there has been one. */
	close(open(device_path, O_WRONLY | O_CLOEXEC));
	await(rig->device, POLLHUP);
	close(rig->device);
}

static void rig_run(void (*fn)(void))
{
	struct rig rig;

	rig_start(&rig, fn);
	rig_wait(&rig);
	rig_stop(&rig);
}

static int get(int group, const char *name)
{
	return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
}

static int open_group(void)
{
	int fd = open(group_path, O_RDWR);

	CHECK(fd >= 0);
	return fd;
}

/* ---- cases ---- */

static void receive_device(void)
{
	int group = open_group(), lowest = dup(group), device;
	struct stat st;

	CHECK(close(lowest) == 0);
	device = get(group, BDF);
	CHECK(device == lowest);		/* as open() would */
	CHECK(fcntl(device, F_GETFD) == FD_CLOEXEC);
	CHECK(fstat(device, &st) == 0 && S_ISFIFO(st.st_mode));
	CHECK(get(group, BDF) > device);
}

START_TEST(cg_102_device_file_arrives)
{
	rig_run(receive_device);
}
END_TEST

static void close_and_lock(void)
{
	/* A flock belongs to the open file: it goes with the last copy, ours too. */
	for (int i = 0; i < 200; i++) {
		int group = open_group();

		CHECK(flock(group, LOCK_EX | LOCK_NB) == 0);
		close(get(group, i % 2 ? BDF : "none"));
		close(group);
	}
}

START_TEST(nothing_is_held_after_the_answer)
{
	rig_run(close_and_lock);
}
END_TEST

static void errors(void)
{
	int group = open_group(), other = open("/dev/null", O_RDWR), pipe_fds[2];

	CHECK_FAILS(get(group, "none"), ENODEV);
	CHECK_FAILS(get(group, "used"), ENOENT);
	/* These reach the file, which says what it says without us. */
	CHECK_FAILS(get(group, "foreign"), ENOTTY);
	CHECK_FAILS(get(other, BDF), ENOTTY);
	CHECK(pipe(pipe_fds) == 0);
	CHECK_FAILS(get(pipe_fds[0], BDF), ENOTTY);
	CHECK_FAILS(get(999, BDF), EBADF);
	CHECK_FAILS(get(-1, BDF), EBADF);
	CHECK_FAILS(get(open(group_path, O_PATH), BDF), EBADF);
}

START_TEST(errors_are_those_of_the_file)
{
	rig_run(errors);
}
END_TEST

/* CG-088 */
static void names(void)
{
	char *map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	int group = open_group();

	CHECK(map != MAP_FAILED && munmap(map + 3 * PAGE, PAGE) == 0);
	CHECK_FAILS(get(group, bad), EFAULT);
	CHECK_FAILS(get(group, NULL), EFAULT);
	memset(map, 'x', 3 * PAGE);
	CHECK_FAILS(get(group, map), EINVAL);			/* no end within a page */
	CHECK_FAILS(get(group, map + 2 * PAGE + 1), EFAULT);	/* no end before the hole */
	strcpy(map + 3 * PAGE - sizeof(BDF), BDF);		/* ends just before it */
	CHECK(get(group, map + 3 * PAGE - sizeof(BDF)) >= 0);
	map[4095] = '\0';
	CHECK(get(group, map) >= 0);
}

START_TEST(cg_088_names)
{
	rig_run(names);
}
END_TEST

static void no_room(void)
{
	int group = open_group();
	int lowest = dup(group);
	struct rlimit limit = { (rlim_t)lowest, (rlim_t)lowest };

	CHECK(close(lowest) == 0);
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK_FAILS(get(group, BDF), EMFILE);
}

START_TEST(cg_092_no_room_for_the_fd)
{
	rig_run(no_room);
}
END_TEST

static void gets_eio(void)
{
	int group = open_group();

	CHECK_FAILS(get(group, BDF), EIO);
	CHECK_FAILS(get(group, "none"), ENODEV);
}

/* The agent says nothing, or not what it should; and then it is not there at all. */
START_TEST(agent_misbehaves)
{
	struct rig rig;

	atomic_store(&mood, _i);
	rig_start(&rig, gets_eio);
	rig_wait(&rig);
	rig_stop(&rig);
}
END_TEST

static void gets_eio_after_cue(void)
{
	wait_cue();
	gets_eio();
}

START_TEST(agent_is_missing)
{
	struct rig rig;

	rig_start(&rig, gets_eio_after_cue);
	agent_stop(&rig);
	close(rig.hold);
	rig_wait(&rig);
	ck_assert_int_eq(exec_trap_stop(rig.trap), 0);
	close(rig.device);
}
END_TEST

static void gets_again_after_cue(void)
{
	int group = open_group(), device = get(group, BDF);

	CHECK(device >= 0 && write(device, "x", 1) == 1);
	wait_cue();
	CHECK(get(group, BDF) >= 0);
}

/* It is needed once. */
START_TEST(agent_ends_later)
{
	struct rig rig;

	rig_start(&rig, gets_again_after_cue);
	await(rig.device, POLLIN);
	agent_stop(&rig);
	close(rig.hold);
	rig_wait(&rig);
	ck_assert_int_eq(exec_trap_stop(rig.trap), 0);
	await(rig.device, POLLHUP);
	close(rig.device);
}
END_TEST

static void gets_after_cue(void)
{
	wait_cue();
	CHECK(get(open_group(), BDF) >= 0);
}

/* Another process takes over: there is a socket that nobody listens at, then another one. */
START_TEST(agent_is_started_anew)
{
	struct rig rig;

	rig_start(&rig, gets_after_cue);
	shutdown(rig.agent.listening, SHUT_RDWR);
	pthread_join(rig.agent.thread, NULL);
	close(rig.agent.listening);
	close(rig.agent.root);
	close(rig.device);
	close(rig.hold);
	/* Most of the time the client has asked by then; the end is the same either way. */
	poll(NULL, 0, 100);
	agent_start(&rig);
	rig_wait(&rig);
	rig_stop(&rig);
}
END_TEST

START_TEST(agent_does_not_come_again)
{
	struct rig rig;

	rig_start(&rig, gets_eio_after_cue);
	shutdown(rig.agent.listening, SHUT_RDWR);
	pthread_join(rig.agent.thread, NULL);
	close(rig.agent.listening);
	close(rig.agent.root);
	close(rig.hold);
	rig_wait(&rig);
	ck_assert_int_eq(exec_trap_stop(rig.trap), 0);
	close(rig.device);
	unlink(socket_path);
}
END_TEST

static void *thread_gets(void *arg)
{
	int group = *(int *)arg;

	for (int i = 0; i < 100; i++) {
		int device = get(group, BDF);

		CHECK(device >= 0);
		CHECK(close(device) == 0);
		CHECK_FAILS(get(group, "none"), ENODEV);
	}
	return NULL;
}

static void threads(void)
{
	int group = open_group();
	pthread_t ids[4];

	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&ids[i], NULL, thread_gets, &group) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(ids[i], NULL) == 0);
}

START_TEST(many_threads)
{
	rig_run(threads);
}
END_TEST

static void descendants(void)
{
	for (int i = 0; i < 50; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			receive_device();
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	}
}

START_TEST(descendants_are_served)
{
	rig_run(descendants);
}
END_TEST

static void wait_in_call(void)
{
	get(open_group(), "wait");
}

START_TEST(client_is_killed_in_the_call)
{
	struct rig rig;
	int status;

	rig_start(&rig, wait_in_call);
	await(asked[0], POLLIN);
	ck_assert_int_eq(kill(rig.child, SIGKILL), 0);
	/* It need not wait for the agent. */
	ck_assert_int_eq(waitpid(rig.child, &status, 0), rig.child);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(write(go[1], "g", 1), 1);
	rig_stop(&rig);
}
END_TEST

START_TEST(stop_in_the_call)
{
	struct rig rig;
	int status;

	rig_start(&rig, wait_in_call);
	await(asked[0], POLLIN);
	ck_assert_int_eq(exec_trap_stop(rig.trap), 0);
	ck_assert_int_eq(waitpid(rig.child, &status, 0), rig.child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(write(go[1], "g", 1), 1);
	agent_stop(&rig);
	close(rig.device);
}
END_TEST

static void after_the_stop(void)
{
	int group = open_group();

	wait_cue();
	CHECK_FAILS(get(group, BDF), ENOSYS);
}

START_TEST(calls_after_the_stop)
{
	struct rig rig;

	rig_start(&rig, after_the_stop);
	ck_assert_int_eq(exec_trap_stop(rig.trap), 0);
	close(rig.hold);
	rig_wait(&rig);
	agent_stop(&rig);
}
END_TEST

static int prepare(void)
{
	uint8_t token[SERVICE_TOKEN_SIZE] = { 0 };
	char name[SERVICE_TOKEN_NAME_SIZE];
	int fd;

	if (!mkdtemp(dir))
		return -1;
	snprintf(group_path, sizeof(group_path), "%s/group", dir);
	snprintf(socket_path, sizeof(socket_path), "%s/agent", dir);
	memcpy(token, BDF, sizeof(BDF));
	service_token_name(token, name);
	snprintf(device_path, sizeof(device_path), "%s/%s", dir, name);
	if (mkfifo(device_path, 0600))
		return -1;
	fd = open(group_path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	return fd < 0 ? -1 : close(fd);
}

int main(void)
{
	Suite *suite = suite_create("exec_trap");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	if (prepare())
		return 1;
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, cg_102_device_file_arrives);
	tcase_add_test(tc, nothing_is_held_after_the_answer);
	tcase_add_test(tc, errors_are_those_of_the_file);
	tcase_add_test(tc, cg_088_names);
	tcase_add_test(tc, cg_092_no_room_for_the_fd);
	tcase_add_loop_test(tc, agent_misbehaves, SILENT, OTHER_VERSION + 1);
	tcase_add_test(tc, agent_is_missing);
	tcase_add_test(tc, agent_ends_later);
	tcase_add_test(tc, agent_is_started_anew);
	tcase_add_test(tc, agent_does_not_come_again);
	tcase_add_test(tc, many_threads);
	tcase_add_test(tc, descendants_are_served);
	tcase_add_test(tc, client_is_killed_in_the_call);
	tcase_add_test(tc, stop_in_the_call);
	tcase_add_test(tc, calls_after_the_stop);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	unlink(socket_path);
	unlink(group_path);
	unlink(device_path);
	rmdir(dir);
	return failed ? 1 : 0;
}
