/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/agent_client.c and agent_server.c: the test is the service, and its own
 * program, started as "agent", the agent. Clients are remotes; device files are those of
 * devfs. Skipped (77) without root or /dev/fuse.
 */
#include <linux/fuse.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <transport/agent.h>
#include <transport/client_copies.h>
#include <transport/fd_message.h>
#include <unit/devfs_rig.h>

#define CONNECTIONS 40u
#define NO_MAJOR 0xfffu		/* there are no nodes here */

static char dir[] = "/tmp/cused-agent-XXXXXX";
static char socket_path[64], gone_path[64];
static const char *agent_argv[] = { "agent_test", "agent", gone_path, NULL };
static struct agent *agent;
static int listener;
static struct cused_error err;

/* ---- the service ---- */

static void setup(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct agent_params params = { .program = "/proc/self/exe", .argv = agent_argv };

	rig_start();
	strcpy(address.sun_path, socket_path);
	unlink(socket_path);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_msg(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0,
		      "bind to %s: %s", socket_path, strerror(errno));
	ck_assert_int_eq(listen(listener, 64), 0);
	params.listener = listener;
	params.mount = devfs_mount(rig.devfs);
	ck_assert_msg(agent_new(&params, &agent, &err) == 0, "%s", err.text);
}

static void teardown(void)
{
	rig_stop();		/* before the agent, which its threads use */
	agent_free(agent);
	close(listener);
	unlink(socket_path);
	unlink(gone_path);
	/* No process is left: neither an agent nor a courier. */
	UNTIL(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static int look(unsigned i, struct agent_fd *fds, size_t n)
{
	return agent_look(agent, remotes.pids[i], NO_MAJOR, 0, fds, n);
}

static struct agent_fd look_one(unsigned i, long fd)
{
	struct agent_fd ret = { .fd = (int)fd, .event = -1 };

	ck_assert_int_eq(look(i, &ret, 1), 0);
	return ret;
}

/* ---- looking at fds ---- */

/* The copy is that of remote 0's @fd: what is added to one is in the other. */
static void is_copy(int copy, int fd, uint64_t value)
{
	uint64_t *word = remote_alloc(8);

	ck_assert_int_ge(copy, 0);
	ck_assert_int_eq(fcntl(copy, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(write(copy, &value, sizeof(value)), 8);
	ck_assert_int_eq(remote_call(0, SYS_read, fd, word, 8), 8);
	ck_assert_uint_eq(*word, value);
	close(copy);
}

START_TEST(an_eventfd_is_copied)
{
	long fd = remote_call(0, SYS_eventfd2, 0, 0);
	struct agent_fd found = look_one(0, fd);

	ck_assert_int_eq(found.err, 0);
	is_copy(found.event, (int)fd, 42);
}
END_TEST

START_TEST(other_files_are_not_copied)
{
	char *null = remote_string("/dev/null"), *exe = remote_string("/proc/self/exe");
	int *ends = remote_alloc(2 * sizeof(int));
	long fds[8];
	size_t n = 0;

	fds[n++] = remote_call(0, SYS_openat, AT_FDCWD, null, O_RDWR);
	fds[n++] = remote_call(0, SYS_openat, AT_FDCWD, exe, O_RDONLY);
	fds[n++] = remote_call(0, SYS_openat, AT_FDCWD, exe, O_PATH);
	fds[n++] = remote_call(0, SYS_socket, AF_UNIX, SOCK_STREAM, 0);
	fds[n++] = remote_call(0, SYS_memfd_create, remote_string("anon_inode:[eventfd]"),
			       0);
	fds[n++] = remote_call(0, SYS_epoll_create1, 0);
	ck_assert_int_eq(remote_call(0, SYS_pipe2, ends, 0), 0);
	fds[n++] = ends[0];
	fds[n++] = rig_file(0, rig.device);
	for (size_t i = 0; i < n; i++) {
		struct agent_fd found = look_one(0, fds[i]);

		ck_assert_msg(found.err == 0 && found.event == -1, "file %zu: %d, %d", i,
			      found.err, found.event);
	}
	ck_assert_int_eq(look_one(0, 555).err, -EBADF);
	ck_assert_int_eq(look_one(0, -1).err, -EBADF);
	ck_assert_int_eq(look_one(0, INT32_MAX).err, -EBADF);
	/* A number that is nobody's has nothing open. */
	remote_fork(0, 1);
	{
		struct agent_fd found = { .fd = 0 };
		pid_t pid = remotes.pids[1];

		remote_kill(1);
		ck_assert_int_eq(agent_look(agent, pid, NO_MAJOR, 0, &found, 1), 0);
		ck_assert_int_eq(found.err, -EBADF);
	}
}
END_TEST

START_TEST(many_fds_in_their_order)
{
	static const size_t numbers[] = { 1, 64, 65, 300 };
	struct agent_fd fds[300];
	unsigned before;

	/* Numbers in remote 0 from 500 on, where nothing else is. */
	for (int k = 0; k < 300; k++) {
		long fd = remote_call(0, SYS_eventfd2, 0, EFD_NONBLOCK);

		ck_assert_int_eq(remote_call(0, SYS_dup3, fd, 500 + k, O_CLOEXEC), 500 + k);
		ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		before = rig_count_entries("/proc/self/fd");
		for (size_t k = 0; k < numbers[i]; k++)
			fds[k] = (struct agent_fd){ .fd = k % 7 == 3 ? 5555 : 500 + (int)k,
						    .event = -1 };
		ck_assert_int_eq(look(0, fds, numbers[i]), 0);
		for (size_t k = 0; k < numbers[i]; k++) {
			size_t used = remotes.used;

			ck_assert_int_eq(fds[k].err, k % 7 == 3 ? -EBADF : 0);
			if (k % 7 != 3)
				is_copy(fds[k].event, 500 + (int)k, k + 1);
			else
				ck_assert_int_eq(fds[k].event, -1);
			remotes.used = used;
		}
		ck_assert_uint_eq(rig_count_entries("/proc/self/fd"), before);
	}
}
END_TEST

START_TEST(no_room_for_copies)
{
	struct agent_fd fds[20];
	struct rlimit old, few;
	unsigned before;
	int lowest;

	for (size_t i = 0; i < 20; i++) {
		fds[i] = (struct agent_fd){ .event = -1 };
		fds[i].fd = (int)remote_call(0, SYS_eventfd2, 0, 0);
	}
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	before = rig_count_entries("/proc/self/fd");
	lowest = dup(0);
	close(lowest);
	few = old;
	few.rlim_cur = (rlim_t)lowest + 8;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	ck_assert_int_eq(look(0, fds, 20), -EMFILE);
	few.rlim_cur = (rlim_t)lowest + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	ck_assert_int_eq(look(0, fds, 20), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_uint_eq(rig_count_entries("/proc/self/fd"), before);
	ck_assert_int_eq(look(0, fds, 20), 0);
	for (size_t i = 0; i < 20; i++)
		close(fds[i].event);
}
END_TEST

/* ---- a file system that answers nothing but the open of one file ---- */

static void fuse_answer(int fd, uint64_t unique, const void *data, size_t size)
{
	struct fuse_out_header header = { .len = (uint32_t)(sizeof(header) + size),
					  .unique = unique };
	struct iovec iov[] = { { &header, sizeof(header) }, { (void *)(uintptr_t)data,
							      size } };

	ck_assert_int_eq(writev(fd, iov, 2), header.len);
}

/* Serve until the file is open. */
static void fuse_serve_open(int fd)
{
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION, .minor = 31,
				      .max_write = 4096 };
	struct fuse_entry_out entry = { .nodeid = 2, .attr = { .ino = 2, .nlink = 1,
					.mode = S_IFREG | 0600 } };
	struct fuse_open_out opened = { .fh = 1 };
	char bytes[1 << 16];

	for (;;) {
		const struct fuse_in_header *in = (const void *)bytes;
		struct pollfd p = { .fd = fd, .events = POLLIN };

		ck_assert_int_eq(poll(&p, 1, REMOTE_MS), 1);
		ck_assert_int_ge(read(fd, bytes, sizeof(bytes)), (long)sizeof(*in));
		if (in->opcode == FUSE_INIT)
			fuse_answer(fd, in->unique, &init, sizeof(init));
		else if (in->opcode == FUSE_LOOKUP)
			fuse_answer(fd, in->unique, &entry, sizeof(entry));
		else if (in->opcode == FUSE_OPEN)
			break;
	}
	fuse_answer(fd, ((const struct fuse_in_header *)bytes)->unique, &opened,
		    sizeof(opened));
}

START_TEST(a_file_of_a_stalled_file_system_is_not_asked)
{
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC), mount, there;
	int context = fsopen("fuse", FSOPEN_CLOEXEC);
	struct stat *st = remote_alloc(sizeof(*st));
	struct agent_fd found;
	char number[16];
	long fd;

	snprintf(number, sizeof(number), "%d", fuse);
	ck_assert_int_eq(fsconfig(context, FSCONFIG_SET_STRING, "fd", number, 0), 0);
	ck_assert_int_eq(fsconfig(context, FSCONFIG_SET_STRING, "rootmode", "040700", 0),
			 0);
	ck_assert_int_eq(fsconfig(context, FSCONFIG_SET_STRING, "user_id", "0", 0), 0);
	ck_assert_int_eq(fsconfig(context, FSCONFIG_SET_STRING, "group_id", "0", 0), 0);
	ck_assert_int_eq(fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0), 0);
	mount = fsmount(context, FSMOUNT_CLOEXEC, 0);
	ck_assert_int_ge(mount, 0);
	there = remote_give_fd(0, mount);
	close(mount);
	close(context);
	remote_begin(0, SYS_openat, there, remote_string("file"), O_RDWR);
	fuse_serve_open(fuse);
	fd = remote_end(0);
	ck_assert_int_ge(fd, 0);
	/* It does stall whoever asks it, … */
	remote_fork(0, 1);
	remote_begin(1, SYS_fstat, fd, st);
	UNTIL(remote_waits_in(1, SYS_fstat));
	/* … but not the agent, nor those who wait for it. */
	found = look_one(0, fd);
	ck_assert_int_eq(found.event, -1);
	ck_assert_int_eq(found.err, 0);
	found = look_one(0, remote_call(0, SYS_eventfd2, 0, 0));
	ck_assert_int_ge(found.event, 0);
	close(found.event);
	close(fuse);			/* and all is over */
	ck_assert_int_lt(remote_end(1), 0);
}
END_TEST

/* ---- the life of agents ---- */

START_TEST(an_agent_that_was_killed_is_replaced)
{
	long fd = remote_call(0, SYS_eventfd2, 0, 0);

	for (unsigned i = 0; i < 20; i++) {
		struct agent_fd found = { .fd = (int)fd, .event = -1 };
		pid_t old = agent_pid(agent);

		/* It may have the job by then, and not have begun: then that is the next one's. */
		ck_assert_int_eq(kill(old, SIGKILL), 0);
		ck_assert_int_eq(look(0, &found, 1), 0);
		ck_assert_int_ge(found.event, 0);
		close(found.event);
		ck_assert_int_ne(agent_pid(agent), old);
	}
}
END_TEST

START_TEST(an_agent_ends_with_its_service)
{
	struct agent *free_me = agent;
	pid_t pid = agent_pid(agent);
	char bytes[8];
	int fd;

	look_one(0, 0);
	ck_assert_int_eq(access(gone_path, F_OK), -1);
	agent = NULL;
	agent_free(free_me);
	ck_assert_int_eq(kill(pid, 0), -1);
	fd = open(gone_path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(read(fd, bytes, sizeof(bytes)), 1);
	ck_assert_int_eq(bytes[0], 'o');
	close(fd);
}
END_TEST

/* Jobs that wait for an agent that is at work on others are no sign that it is stalled. */
#define SLOW_JOBS 4u
#define SLOW_MS (AGENT_ANSWER_MS * 7 / 10)

static void slow_agent(void)
{
	const struct agent_result result = { .stage = AGENT_DONE };
	struct agent_job job;
	int socket;

	for (;;) {
		size_t n = 1;

		if (fd_message_receive(AGENT_FD_JOBS, &job, sizeof(job), &socket, &n) !=
			    (int)sizeof(job) || n != 1)
			return;
		poll(NULL, 0, SLOW_MS);
		fd_message_send(socket, &result, sizeof(result), NULL, 0);
		close(socket);
	}
}

static void *look_slowly(void *other)
{
	struct agent_fd fd = { .event = -1 };

	return (void *)(intptr_t)agent_look(other, getpid(), NO_MAJOR, 0, &fd, 1);
}

START_TEST(an_agent_that_is_busy_is_not_replaced)
{
	static const char *const argv[] = { "agent_test", "slow", "agent", NULL };
	struct agent_params params = { .program = "/proc/self/exe", .argv = argv,
				       .listener = -1, .mount = devfs_mount(rig.devfs) };
	pthread_t threads[SLOW_JOBS];
	struct agent *other;
	void *result;
	pid_t pid;

	ck_assert_int_eq(agent_new(&params, &other, &err), 0);
	pid = agent_pid(other);
	for (unsigned i = 0; i < SLOW_JOBS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, look_slowly, other), 0);
	for (unsigned i = 0; i < SLOW_JOBS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &result), 0);
		ck_assert_int_eq((intptr_t)result, 0);
	}
	ck_assert_int_eq(agent_pid(other), pid);
	agent_free(other);
}
END_TEST

START_TEST(an_agent_that_cannot_be_started)
{
	struct agent_params params = { .program = "/no/such/program", .argv = agent_argv,
				       .listener = -1, .mount = devfs_mount(rig.devfs) };
	struct agent *other;

	ck_assert_int_eq(agent_new(&params, &other, &err), -ENOENT);
	ck_assert_ptr_ne(strstr(err.text, params.program), NULL);
}
END_TEST

/* ---- device files by the courier ---- */

static atomic_int delivered;	/* what agent_deliver() returned */
static atomic_int on_armed;	/* a signal for the client */
static atomic_bool kill_agent;
static atomic_bool armed_waits;	/* for another delivery */
static atomic_int killed;	/* the agent that was */
static atomic_uint deliveries;

static void armed(void *arg)
{
	struct request *request = arg;

	if (atomic_exchange(&armed_waits, false))
		UNTIL(deliveries > 1);
	if (on_armed)
		kill(request->tid, on_armed);
	if (kill_agent) {
		killed = agent_pid(agent);
		kill(killed, SIGKILL);
	}
	request_error(request, EIO);
}

static void deliver(struct request *request)
{
	uint8_t token[SERVICE_TOKEN_SIZE];
	int r = devfs_grant(rig.devfs, rig_open(rig.plain), NULL, NULL, token);

	if (r == 0)
		r = agent_deliver(agent, request->tid, token, armed, request);
	if (r >= 0) {
		devfs_delivered(rig.devfs, token);
	} else {
		devfs_revoke(rig.devfs, token);
		request_error(request, -r);
	}
	delivered = r;
	deliveries++;
}

static int hook_setup(void (*hook)(struct request *request))
{
	delivered = -1;
	rig.hook = hook;
	return rig_file(0, rig.device);
}

static int deliver_setup(void)
{
	return hook_setup(deliver);
}

START_TEST(a_device_file_is_delivered)
{
	int fd = deliver_setup();
	long expected = remote_call(0, SYS_dup, 0), got;
	const struct group *group;

	remote_call(0, SYS_close, expected);
	for (unsigned i = 0; i < 20; i++) {
		got = remote_ioctl(0, fd, RIG_HOOK);
		ck_assert_int_eq(got, expected);
		UNTIL(deliveries == i + 1);
		ck_assert_int_eq(delivered, got);
		/* The courier's close of its copy holds nobody up. */
		ck_assert_uint_eq(devfs_unsettled(rig.devfs, &group, 1), 0);
		ck_assert_int_eq(remote_call(0, SYS_fcntl, got, F_GETFD), FD_CLOEXEC);
		ck_assert_int_eq(remote_ioctl(0, got, RIG_RECORD, i), RIG_RESULT);
		ck_assert(device_is_open(rig.plain));
		/* The client's is the only one. */
		ck_assert_int_eq(remote_call(0, SYS_close, got), 0);
		devfs_settle(rig.devfs, NULL);
		ck_assert(!device_is_open(rig.plain));
	}
}
END_TEST

START_TEST(a_delivery_outlives_the_agent)
{
	int fd = deliver_setup();
	siginfo_t info;
	long got;

	kill_agent = true;
	got = remote_ioctl(0, fd, RIG_HOOK);
	ck_assert_msg(got > fd, "%ld", got);
	UNTIL(deliveries == 1);
	ck_assert_int_eq(delivered, got);
	kill_agent = false;
	/* One that is about to die would take the next job with it. */
	ck_assert_int_eq(waitid(P_PID, (id_t)killed, &info, WEXITED | WNOWAIT), 0);
	got = remote_ioctl(0, fd, RIG_HOOK);
	ck_assert_msg(got > fd, "%ld", got);
}
END_TEST

START_TEST(a_client_is_killed_as_it_gets_a_file)
{
	int fd = deliver_setup();

	on_armed = SIGKILL;
	for (unsigned i = 0; i < 10; i++) {
		remote_fork(0, 1);
		remote_begin(1, SYS_ioctl, fd, RIG_HOOK);
		remote_wait(1);
		UNTIL(deliveries == i + 1);
		ck_assert_int_lt(delivered, 0);
		UNTIL(!device_is_open(rig.plain));
	}
	on_armed = 0;
	/* At any other time. */
	for (unsigned i = 10; i < 30; i++) {
		remote_fork(0, 1);
		remote_begin(1, SYS_ioctl, fd, RIG_HOOK);
		for (unsigned n = 0; n < i * 40; n++)
			sched_yield();
		remote_kill(1);
		UNTIL(!device_is_open(rig.plain));
	}
	UNTIL(devfs_count(rig.devfs) == 1);
	ck_assert_int_gt(remote_ioctl(0, fd, RIG_HOOK), fd);
}
END_TEST

START_TEST(a_debugged_client_gets_no_file)
{
	int fd = deliver_setup();
	long got;

	remote_fork(0, 1);
	ck_assert_int_eq(remote_call(1, SYS_ptrace, PTRACE_SEIZE, remotes.pids[0], 0, 0),
			 0);
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_HOOK), -EPERM);
	UNTIL(deliveries == 1);
	ck_assert_int_eq(delivered, -EPERM);
	devfs_settle(rig.devfs, NULL);	/* the courier had opened it */
	ck_assert(!device_is_open(rig.plain));
	remote_kill(1);
	got = remote_ioctl(0, fd, RIG_HOOK);
	ck_assert_msg(got > fd, "%ld", got);
}
END_TEST

/* Children of the agent. Return: how many; @ret: one of them. */
static unsigned couriers(pid_t *ret)
{
	DIR *proc = opendir("/proc");
	unsigned n = 0;

	ck_assert_ptr_ne(proc, NULL);
	for (struct dirent *e; (e = readdir(proc));) {
		char path[300], text[512] = "";
		int fd, parent = 0;

		snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, text, sizeof(text) - 1) > 0 && strrchr(text, ')'))
			sscanf(strrchr(text, ')'), ") %*c %d", &parent);
		close(fd);
		if (parent != agent_pid(agent))
			continue;
		*ret = atoi(e->d_name);
		n++;
	}
	closedir(proc);
	return n;
}

/* The one that is left when all has been delivered. */
static pid_t kept_courier(void)
{
	pid_t pid = 0;

	UNTIL(couriers(&pid) == 1);
	return pid;
}

START_TEST(a_courier_is_kept)
{
	int fd = deliver_setup();
	pid_t first, pid;

	ck_assert_int_gt(remote_ioctl(0, fd, RIG_HOOK), fd);
	UNTIL(deliveries == 1);
	first = kept_courier();
	for (unsigned i = 2; i < 10; i++) {
		ck_assert_int_gt(remote_ioctl(0, fd, RIG_HOOK), fd);
		UNTIL(deliveries == i);
		ck_assert_int_eq(kept_courier(), first);
	}
	/* Not longer than it makes sense. */
	UNTIL(couriers(&pid) == 0);
	ck_assert_int_gt(remote_ioctl(0, fd, RIG_HOOK), fd);
	ck_assert_int_ne(kept_courier(), first);
}
END_TEST

START_TEST(a_kept_courier_is_killed)
{
	int fd = deliver_setup();
	pid_t pid;

	for (unsigned i = 1; i < 10; i++) {
		ck_assert_int_gt(remote_ioctl(0, fd, RIG_HOOK), fd);
		UNTIL(deliveries == i);
		ck_assert_int_eq(kill(kept_courier(), SIGKILL), 0);
		UNTIL(couriers(&pid) == 0);
	}
}
END_TEST

START_TEST(a_kept_courier_is_busy)
{
	int fd = deliver_setup();

	ck_assert_int_gt(remote_ioctl(0, fd, RIG_HOOK), fd);
	UNTIL(deliveries == 1);
	kept_courier();
	atomic_store(&armed_waits, true);
	remote_fork(0, 1);
	remote_begin(1, SYS_ioctl, fd, RIG_HOOK);
	UNTIL(!armed_waits);
	/* Meanwhile there is another one. */
	ck_assert_int_gt(remote_ioctl(0, fd, RIG_HOOK), fd);
	ck_assert_int_gt(remote_end(1), fd);
	UNTIL(deliveries == 3);
	kept_courier();
}
END_TEST

START_TEST(a_courier_that_fails_is_not_kept)
{
	int fd = deliver_setup();
	pid_t first;

	ck_assert_int_gt(remote_ioctl(0, fd, RIG_HOOK), fd);
	UNTIL(deliveries == 1);
	first = kept_courier();
	remote_fork(0, 1);
	ck_assert_int_eq(remote_call(1, SYS_ptrace, PTRACE_SEIZE, remotes.pids[0], 0, 0), 0);
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_HOOK), -EPERM);
	remote_kill(1);
	ck_assert_int_gt(remote_ioctl(0, fd, RIG_HOOK), fd);
	ck_assert_int_ne(kept_courier(), first);
}
END_TEST

START_TEST(a_delivery_without_a_token)
{
	uint8_t token[SERVICE_TOKEN_SIZE] = { 1 };

	ck_assert_int_eq(agent_deliver(agent, remotes.pids[0], token, armed, NULL),
			 -ENOENT);
}
END_TEST

/* ---- device files by the socket ---- */

static int connected(unsigned i)
{
	struct sockaddr_un *address = remote_alloc(sizeof(*address));
	long fd = remote_call(i, SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	address->sun_family = AF_UNIX;
	strcpy(address->sun_path, socket_path);
	ck_assert_int_eq(remote_call(i, SYS_connect, fd, address, sizeof(*address)), 0);
	return (int)fd;
}

/* What the agent gives to whoever comes: the root of the devices' files. */
static int root_of(unsigned i)
{
	struct remote_message *m = remote_message_new();
	struct agent_greeting *greeting = remote_alloc(sizeof(*greeting));
	int sock = connected(i), root;

	m->iov = (struct iovec){ greeting, sizeof(*greeting) };
	ck_assert_int_eq(remote_call(i, SYS_recvmsg, sock, m, 0), sizeof(*greeting));
	ck_assert_uint_eq(greeting->version, AGENT_GREETING_VERSION);
	ck_assert_ptr_nonnull(CMSG_FIRSTHDR(&m->msg));
	memcpy(&root, CMSG_DATA(CMSG_FIRSTHDR(&m->msg)), sizeof(int));
	ck_assert_int_eq(remote_call(i, SYS_recvmsg, sock, m, 0), 0);
	ck_assert_int_eq(remote_call(i, SYS_close, sock), 0);
	return root;
}

static long open_at(unsigned i, int root, const char *name, int flags)
{
	return remote_call(i, SYS_openat, root, name, flags | O_CLOEXEC);
}

static void token_works(unsigned i, int root)
{
	const char *name = rig_grant(rig.plain);
	long fd = open_at(i, root, name, O_RDWR);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(remote_ioctl(i, fd, RIG_RECORD, 0), RIG_RESULT);
	/* Once. */
	ck_assert_int_eq(open_at(i, root, name, O_RDWR), -ENOENT);
	/* The client's close is the last. */
	ck_assert_int_eq(remote_call(i, SYS_close, fd), 0);
	devfs_settle(rig.devfs, NULL);
	ck_assert(!device_is_open(rig.plain));
}

START_TEST(a_token_names_a_file)
{
	int root = root_of(0);

	for (unsigned i = 0; i < 20; i++)
		token_works(0, root);
	token_works(0, root_of(0));
}
END_TEST

/* Without a token the root is of no use, to whoever has it. */
START_TEST(the_root_leads_nowhere_else)
{
	static const char *const names[] = { "0", "00000000000000000000000000000000", "vfio",
					     "../vfio" };
	int root = root_of(0);
	char *path = remote_alloc(64);

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_int_eq(open_at(0, root, remote_string(names[i]), O_RDWR), -ENOENT);
	ck_assert_int_eq(open_at(0, root, remote_string("."), O_RDONLY | O_DIRECTORY), -EACCES);
	snprintf(path, 64, "/proc/self/fd/%d", root);
	ck_assert_int_eq(open_at(0, root, path, O_RDONLY), -EACCES);
	ck_assert_int_eq(remote_call(0, SYS_getdents64, root, path, 64), -EBADF);
	ck_assert_int_eq(remote_ioctl(0, root, RIG_RECORD, 0), -EBADF);
	ck_assert_int_eq(open_at(0, root, remote_string("new"), O_RDWR | O_CREAT), -ENOSYS);
	ck_assert_int_eq(open_at(0, root, remote_string("."), O_RDWR | O_TMPFILE), -ENOENT);
	ck_assert_int_eq(remote_call(0, SYS_mkdirat, root, remote_string("new"), 0700),
			 -ENOSYS);
	ck_assert_int_eq(remote_call(0, SYS_fchmodat, root, remote_string("."), 0777), -EINVAL);
	token_works(0, root);
}
END_TEST

START_TEST(idle_connections_keep_nobody_out)
{
	for (unsigned i = 0; i < CONNECTIONS; i++)
		connected(0);
	token_works(0, root_of(0));
	/* Nor do those who talk, or leave without a word. */
	remote_fork(0, 1);
	for (unsigned i = 0; i < CONNECTIONS; i++)
		remote_call(1, SYS_sendto, connected(1), remote_alloc(64), 64, MSG_NOSIGNAL, 0,
			    0);
	remote_kill(1);
	token_works(0, root_of(0));
}
END_TEST

/* Who comes by the socket makes no job, and so does not find out that the agent is dead. */
START_TEST(a_new_agent_has_the_socket)
{
	pid_t old = agent_pid(agent);
	siginfo_t info;

	ck_assert_int_eq(agent_ensure(agent), 0);
	ck_assert_int_eq(agent_pid(agent), old);
	ck_assert_int_eq(kill(old, SIGKILL), 0);
	ck_assert_int_eq(waitid(P_PID, (id_t)old, &info, WEXITED | WNOWAIT), 0);
	ck_assert_int_eq(agent_ensure(agent), 0);
	ck_assert_int_ne(agent_pid(agent), old);
	token_works(0, root_of(0));
}
END_TEST

/* ---- files of the kernel's ---- */

static atomic_int probe = -1;	/* sees whether the file that was delivered is open */

static bool file_is_open(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_len = 1 };

	ck_assert_int_eq(fcntl(probe, F_OFD_GETLK, &lock), 0);
	return lock.l_type != F_UNLCK;
}

static void deliver_file(struct request *request)
{
	struct flock lock = { .l_type = F_WRLCK, .l_len = 1 };
	int fd = memfd_create("file", MFD_CLOEXEC), r;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	probe = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
	r = agent_deliver_file(agent, request->tid, fd, armed, request);
	if (r < 0)
		request_error(request, -r);
	delivered = r;
	deliveries++;
}

START_TEST(a_file_of_the_kernels_is_delivered)
{
	int fd = hook_setup(deliver_file);
	long expected = remote_call(0, SYS_dup, 0), got;

	remote_call(0, SYS_close, expected);
	for (unsigned i = 0; i < 50; i++) {
		got = remote_ioctl(0, fd, RIG_HOOK);
		ck_assert_int_eq(got, expected);
		ck_assert(file_is_open());
		/* The client's is the only one, when its call returns. */
		ck_assert_int_eq(remote_call(0, SYS_close, got), 0);
		ck_assert(!file_is_open());
		UNTIL(deliveries == i + 1);
		close(probe);
	}
}
END_TEST

START_TEST(a_file_that_nobody_takes_is_closed)
{
	int fd = hook_setup(deliver_file);

	on_armed = SIGKILL;
	remote_fork(0, 1);
	remote_begin(1, SYS_ioctl, fd, RIG_HOOK);
	remote_wait(1);
	UNTIL(deliveries == 1);
	ck_assert_int_lt(delivered, 0);
	UNTIL(!file_is_open());
	on_armed = 0;
	close(probe);
}
END_TEST

/* ---- lending ---- */

#define LENT_BYTES 5
#define LENT_RESULT 1234

static atomic_int lent_r[3], lent_result[3], lent_arg[3];
static atomic_int lent_end;

/* A pipe with some bytes, a file that knows no ioctl, and a pipe again. */
static void lend(struct request *request)
{
	struct agent_lending *lending = NULL;
	int ends[2], memfd = memfd_create("lent", MFD_CLOEXEC), r;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(write(ends[1], "12345", LENT_BYTES), LENT_BYTES);
	r = agent_lend_begin(agent, request->tid, 0, 0, armed, request, &lending);
	delivered = r;
	for (unsigned i = 0; r == 0 && i < 3; i++) {
		int arg = -1, result = -1;

		lent_r[i] = agent_lend_call(lending, i == 1 ? memfd : ends[0],
					    i == 1 ? 0x5401 : FIONREAD, &arg, sizeof(arg),
					    &result);
		lent_result[i] = result;
		lent_arg[i] = arg;
	}
	close(ends[0]);
	close(ends[1]);
	close(memfd);
	if (r)
		request_error(request, -r);
	else
		agent_lend_end(lending, lent_end);
	deliveries++;
}

START_TEST(a_client_makes_ioctls_for_us)
{
	int fd = hook_setup(lend);
	long lowest = remote_call(0, SYS_dup, 0);

	remote_call(0, SYS_close, lowest);
	for (unsigned i = 0; i < 20; i++) {
		/* Its own call returns what we say, an errno or not. */
		lent_end = i % 2 ? -ENOSPC : LENT_RESULT;
		ck_assert_int_eq(remote_ioctl(0, fd, RIG_HOOK), lent_end);
		UNTIL(deliveries == i + 1);
		ck_assert_int_eq(delivered, 0);
		for (unsigned k = 0; k < 3; k++) {
			ck_assert_int_eq(lent_r[k], 0);
			ck_assert_int_eq(lent_result[k], k == 1 ? -ENOTTY : 0);
			ck_assert_int_eq(lent_arg[k], k == 1 ? -1 : LENT_BYTES);
		}
		/* Nothing of it stays with the client. */
		ck_assert_int_eq(remote_call(0, SYS_dup, 0), lowest);
		remote_call(0, SYS_close, lowest);
	}
}
END_TEST

static atomic_int at_limit, beyond_limit;

/* The largest argument, one byte more, and what was to be done after that. */
static void lend_much(struct request *request)
{
	uint8_t arg[CUSED_LENDER_ARG + 1];
	struct agent_lending *lending;
	int ends[2], result = -1, r;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	memset(arg, 0x5a, sizeof(arg));
	r = agent_lend_begin(agent, request->tid, 0, 0, armed, request, &lending);
	ck_assert_int_eq(r, 0);
	beyond_limit = agent_lend_call(lending, ends[0], FIONREAD, arg, sizeof(arg), &result);
	at_limit = agent_lend_call(lending, ends[0], FIONREAD, arg, CUSED_LENDER_ARG, &result);
	lent_arg[0] = arg[0];
	lent_arg[1] = arg[CUSED_LENDER_ARG - 1];
	close(ends[0]);
	close(ends[1]);
	agent_lend_end(lending, LENT_RESULT);
	deliveries++;
}

START_TEST(arguments_have_a_limit)
{
	int fd = hook_setup(lend_much);

	ck_assert_int_eq(remote_ioctl(0, fd, RIG_HOOK), LENT_RESULT);
	UNTIL(deliveries == 1);
	ck_assert_int_eq(beyond_limit, -E2BIG);
	ck_assert_int_eq(at_limit, 0);
	ck_assert_int_eq(lent_arg[0], 0);
	ck_assert_int_eq(lent_arg[1], 0x5a);
}
END_TEST

START_TEST(a_client_is_killed_as_it_makes_ioctls)
{
	int fd = hook_setup(lend);

	on_armed = SIGKILL;
	for (unsigned i = 0; i < 10; i++) {
		remote_fork(0, 1);
		remote_begin(1, SYS_ioctl, fd, RIG_HOOK);
		remote_wait(1);
		UNTIL(deliveries == i + 1);
		ck_assert_int_lt(lent_r[0], 0);
		ck_assert_int_lt(lent_r[2], 0);
	}
	on_armed = 0;
	/* At any other time. */
	for (unsigned i = 10; i < 30; i++) {
		remote_fork(0, 1);
		remote_begin(1, SYS_ioctl, fd, RIG_HOOK);
		for (unsigned n = 0; n < i * 40; n++)
			sched_yield();
		remote_kill(1);
	}
	lent_end = LENT_RESULT;
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_HOOK), LENT_RESULT);
}
END_TEST

START_TEST(lending_outlives_the_agent)
{
	int fd = hook_setup(lend);

	lent_end = LENT_RESULT;
	kill_agent = true;
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_HOOK), LENT_RESULT);
	UNTIL(deliveries == 1);
	ck_assert_int_eq(lent_arg[2], LENT_BYTES);
	kill_agent = false;
}
END_TEST

START_TEST(a_debugged_client_makes_no_ioctl)
{
	int fd = hook_setup(lend);

	remote_fork(0, 1);
	ck_assert_int_eq(remote_call(1, SYS_ptrace, PTRACE_SEIZE, remotes.pids[0], 0, 0),
			 0);
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_HOOK), -EPERM);
	UNTIL(deliveries == 1);
	ck_assert_int_eq(delivered, -EPERM);
	remote_kill(1);
}
END_TEST

/* ---- swapping ---- */

#define SWAPPED "what is there instead"

static atomic_int swap_result;
static _Atomic dev_t swap_node;	/* what the file is said to be; those of the rig have no number */

static void swap(struct request *request)
{
	int memfd = memfd_create("swapped", MFD_CLOEXEC), r;
	struct agent_lending *lending;

	ck_assert_int_eq(write(memfd, SWAPPED, sizeof(SWAPPED)), sizeof(SWAPPED));
	r = agent_lend_begin(agent, request->tid, 0, 0, armed, request, &lending);
	swap_result = r ? r : agent_lend_swap(lending, memfd, swap_node);
	close(memfd);
	if (r)			/* the client was killed before */
		request_error(request, -r);
	else
		agent_lend_end(lending, LENT_RESULT);
	deliveries++;
}

static bool is_swapped(unsigned i, long fd)
{
	char *text = remote_alloc(sizeof(SWAPPED));

	return remote_call(i, SYS_pread64, fd, text, sizeof(SWAPPED), 0) == sizeof(SWAPPED) &&
	       !strcmp(text, SWAPPED);
}

/* In all fds of the file and in no other, which stay as they are towards exec. */
START_TEST(a_file_is_swapped)
{
	int fd = hook_setup(swap), other = rig_file(0, rig.device);
	long copy = remote_call(0, SYS_dup, fd), last;
	long cloexec = remote_call(0, SYS_fcntl, fd, F_DUPFD_CLOEXEC, 500);
	long lowest = remote_call(0, SYS_dup, 0);

	ck_assert_int_eq(cloexec, 500);
	remote_call(0, SYS_close, lowest);
	ck_assert_int_eq(remote_call(0, SYS_fcntl, fd, F_SETFD, 0), 0);
	/* By a copy, as well as by the first. */
	ck_assert_int_eq(remote_ioctl(0, copy, RIG_HOOK), LENT_RESULT);
	UNTIL(deliveries == 1);
	ck_assert_int_eq(swap_result, 0);
	ck_assert(is_swapped(0, fd) && is_swapped(0, copy) && is_swapped(0, cloexec));
	ck_assert_int_eq(remote_call(0, SYS_fcntl, fd, F_GETFD), 0);
	ck_assert_int_eq(remote_call(0, SYS_fcntl, copy, F_GETFD), 0);
	ck_assert_int_eq(remote_call(0, SYS_fcntl, cloexec, F_GETFD), FD_CLOEXEC);
	/* Another open file of the same inode is another file, and nothing is left. */
	ck_assert_int_eq(remote_ioctl(0, other, RIG_RECORD, 1), RIG_RESULT);
	last = remote_call(0, SYS_dup, 0);
	ck_assert_int_eq(last, lowest);
	/* It was the last of the old file. */
	ck_assert_int_eq(remote_call(0, SYS_close, other), 0);
	devfs_settle(rig.devfs, NULL);
	ck_assert(!device_is_open(rig.device));
}
END_TEST

START_TEST(a_file_of_two_processes_is_not_swapped)
{
	int fd = hook_setup(swap);

	remote_fork(0, 1);
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_HOOK), LENT_RESULT);
	UNTIL(deliveries == 1);
	ck_assert_int_eq(swap_result, -EBUSY);
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, 1), RIG_RESULT);
	ck_assert_int_eq(remote_ioctl(1, fd, RIG_RECORD, 1), RIG_RESULT);
	remote_kill(1);
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_HOOK), LENT_RESULT);
	UNTIL(deliveries == 2);
	ck_assert_int_eq(swap_result, 0);
	ck_assert(is_swapped(0, fd));
}
END_TEST

/* CLIENT_COPIES_MAX, and one more. */
START_TEST(copies_have_a_limit)
{
	int fd = hook_setup(swap);

	for (unsigned i = 1; i <= CLIENT_COPIES_MAX; i++)
		ck_assert_int_eq(remote_call(0, SYS_fcntl, fd, F_DUPFD, 600 + i), 600 + i);
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_HOOK), LENT_RESULT);
	UNTIL(deliveries == 1);
	ck_assert_int_eq(swap_result, -E2BIG);
	ck_assert_int_eq(remote_ioctl(0, 601, RIG_RECORD, 1), RIG_RESULT);
	ck_assert_int_eq(remote_call(0, SYS_close, 601), 0);
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_HOOK), LENT_RESULT);
	UNTIL(deliveries == 2);
	ck_assert_int_eq(swap_result, 0);
	for (unsigned i = 2; i <= CLIENT_COPIES_MAX; i++)
		ck_assert(is_swapped(0, 600 + i));
}
END_TEST

START_TEST(a_search_has_a_deadline)
{
	int fd = rig_file(0, rig.device), found[CLIENT_COPIES_MAX];
	struct timespec t;
	int64_t now;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now = t.tv_sec * 1000000000ll + t.tv_nsec;
	ck_assert_int_eq(client_copies(remotes.pids[0], fd, 0, now - 1, found), -ETIMEDOUT);
	ck_assert_int_eq(client_copies(remotes.pids[0], fd, 0, now + 60000000000ll, found), 1);
	ck_assert_int_eq(found[0], fd);
	ck_assert_int_eq(client_copies(remotes.pids[0], 7777, 0, now + 60000000000ll, found),
			 -EBADF);
}
END_TEST

START_TEST(another_device_is_not_swapped)
{
	int fd = hook_setup(swap);

	swap_node = makedev(1, 3);
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_HOOK), LENT_RESULT);
	swap_node = 0;
	UNTIL(deliveries == 1);
	ck_assert_int_eq(swap_result, -EBADF);
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, 1), RIG_RESULT);
}
END_TEST

START_TEST(a_client_is_killed_as_its_file_is_swapped)
{
	int fd = hook_setup(swap), own;

	for (unsigned i = 0; i < 20; i++) {
		remote_fork(0, 1);
		own = rig_file(1, rig.device);
		for (unsigned n = 0; n < CLIENT_COPIES_MAX / 2; n++)
			remote_call(1, SYS_fcntl, own, F_DUPFD, 600);
		/* At once, and at any other time. */
		on_armed = i < 5 ? SIGKILL : 0;
		remote_begin(1, SYS_ioctl, own, RIG_HOOK);
		for (unsigned n = 0; n < i * 200; n++)
			sched_yield();
		if (on_armed) {
			remote_wait(1);
			UNTIL(deliveries == i + 1);
			ck_assert_int_lt(swap_result, 0);
		} else {
			remote_kill(1);
		}
	}
	on_armed = 0;
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_HOOK), LENT_RESULT);
	ck_assert(is_swapped(0, fd));
}
END_TEST

/* ---- a service that ends as it lends ---- */

#define CALL 0x123456789abcull
#define TOLD (1 - RIG_RESULT)		/* what it is that RIG_RESULT tells */

static bool swaps;
static atomic_uint calls;		/* as deliveries, but as they begin */

/* By name, as another thread may be closing that number: TSan takes a call that is given it
 * for a race. */
static bool is_socket(int fd)
{
	static const char kind[] = "socket:";
	char path[64], target[sizeof(kind) - 1];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, target, sizeof(target)) == sizeof(target) &&
	       memcmp(target, kind, sizeof(target)) == 0;
}

/* What the courier sees of the end of the service's process. */
static void vanish(const bool before[256])
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++) {
		if (is_socket(fd) && !before[fd])
			n += shutdown(fd, SHUT_RDWR) == 0;
	}
	ck_assert_uint_eq(n, 1);
}

/* The first call is lent out, and gets no end; another is answered. */
static void lend_without_end(struct request *request)
{
	int memfd = memfd_create("lent", MFD_CLOEXEC), arg = 0, result = -1;
	struct agent_lending *lending;
	bool before[256];

	if (calls++) {
		if (request_take(request))
			fuse_reply_ioctl(request->fuse, LENT_RESULT, NULL, 0);
		deliveries++;
		close(memfd);
		return;
	}
	for (int fd = 0; fd < 256; fd++)
		before[fd] = is_socket(fd);
	ck_assert_int_eq(write(memfd, SWAPPED, sizeof(SWAPPED)), sizeof(SWAPPED));
	ck_assert_int_eq(agent_lend_begin(agent, request->tid, 0, CALL, armed, request, &lending),
			 0);
	if (swaps)
		swap_result = agent_lend_swap(lending, memfd, 0);
	else
		lent_r[0] = agent_lend_call(lending, memfd, 0x5401, &arg, sizeof(arg), &result);
	close(memfd);
	vanish(before);
	agent_lend_end(lending, LENT_RESULT);
	deliveries++;
}

/* @lent: an errno; 0: there is an answer. Return: the client's result. */
static long without_end(int fd, bool swap_first, int lent)
{
	swaps = swap_first;
	rig.lent = lent;
	swap_result = lent_r[0] = -1;
	calls = 0;
	return remote_ioctl(0, fd, RIG_HOOK);
}

START_TEST(what_came_of_a_call_is_asked_for)
{
	int fd = hook_setup(lend_without_end);
	long lowest = remote_call(0, SYS_dup, 0);

	remote_call(0, SYS_close, lowest);
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_int_eq(without_end(fd, false, 0), TOLD);
		ck_assert_int_eq(lent_r[0], 0);
		ck_assert_uint_eq(calls, 1);
		ck_assert_uint_eq(rig.cmd, SERVICE_IOC_LENT);
		ck_assert_uint_eq(rig.arg, CALL);
		UNTIL(deliveries == i + 1);
		ck_assert_int_eq(remote_call(0, SYS_dup, 0), lowest);
		remote_call(0, SYS_close, lowest);
	}
}
END_TEST

START_TEST(a_call_without_effect_is_made_again)
{
	int fd = hook_setup(lend_without_end);
	long lowest = remote_call(0, SYS_dup, 0);

	remote_call(0, SYS_close, lowest);
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_int_eq(without_end(fd, false, ENOTTY), LENT_RESULT);
		ck_assert_uint_eq(calls, 2);
		UNTIL(deliveries == 2 * (i + 1));
		ck_assert_int_eq(remote_call(0, SYS_dup, 0), lowest);
		remote_call(0, SYS_close, lowest);
	}
	/* The courier has no copy of the file left. */
	ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
	devfs_settle(rig.devfs, NULL);
	ck_assert(!device_is_open(rig.device));
}
END_TEST

START_TEST(a_swap_that_had_its_effect_stays)
{
	int fd = hook_setup(lend_without_end);
	long copy = remote_call(0, SYS_dup, fd);

	ck_assert_int_eq(without_end(fd, true, 0), TOLD);
	ck_assert_int_eq(swap_result, 0);
	ck_assert_uint_eq(rig.arg, CALL);
	ck_assert(is_swapped(0, fd) && is_swapped(0, copy));
	devfs_settle(rig.devfs, NULL);
	ck_assert(!device_is_open(rig.device));
	UNTIL(deliveries == 1);
}
END_TEST

START_TEST(a_swap_without_effect_is_taken_back)
{
	int fd = hook_setup(lend_without_end);
	long copy = remote_call(0, SYS_fcntl, fd, F_DUPFD_CLOEXEC, 500);
	long lowest = remote_call(0, SYS_dup, 0);

	remote_call(0, SYS_close, lowest);
	ck_assert_int_eq(remote_call(0, SYS_fcntl, fd, F_SETFD, 0), 0);
	ck_assert_int_eq(without_end(fd, true, ENOTTY), LENT_RESULT);
	ck_assert_int_eq(swap_result, 0);
	ck_assert_uint_eq(calls, 2);
	UNTIL(deliveries == 2);
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, 1), RIG_RESULT);
	ck_assert_int_eq(remote_ioctl(0, (int)copy, RIG_RECORD, 1), RIG_RESULT);
	ck_assert_int_eq(remote_call(0, SYS_fcntl, fd, F_GETFD), 0);
	ck_assert_int_eq(remote_call(0, SYS_fcntl, copy, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(remote_call(0, SYS_dup, 0), lowest);
	/* It can be swapped again: nobody else has a copy. */
	ck_assert_int_eq(without_end(fd, true, 0), TOLD);
	ck_assert_int_eq(swap_result, 0);
	ck_assert(is_swapped(0, fd));
}
END_TEST

/* Nobody serves; and then the client gives up. */
START_TEST(a_client_is_killed_as_it_asks)
{
	int fd = hook_setup(lend_without_end);
	unsigned before;

	rig.lent = 0;
	for (unsigned i = 0; i < 2; i++) {
		remote_fork(0, 1);
		calls = 0;
		swaps = i;
		rig.stalls_lent = true;
		before = rig.entered;
		remote_begin(1, SYS_ioctl, i ? rig_file(1, rig.device) : fd, RIG_HOOK);
		UNTIL(rig.entered == before + 1);
		remote_kill(1);
		rig.stalls_lent = false;
		rig_let_pass();
		UNTIL(deliveries == i + 1);
	}
	ck_assert_int_eq(without_end(fd, false, ENOTTY), LENT_RESULT);
}
END_TEST

START_TEST(an_iommufd_is_copied_if_it_is_asked_for)
{
	long null = remote_call(0, SYS_openat, AT_FDCWD, remote_string("/dev/null"), O_RDWR);
	struct agent_fd fds[3] = { { .fd = (int)null }, { .fd = (int)null }, { .fd = 7777 } };
	struct stat st;

	ck_assert_int_eq(agent_look(agent, remotes.pids[0], NO_MAJOR, makedev(1, 3), fds, 3), 0);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(fds[i].err, 0);
		ck_assert_int_eq(fds[i].event, -1);
		ck_assert_int_eq(fstat(fds[i].iommu, &st), 0);
		ck_assert_uint_eq(st.st_rdev, makedev(1, 3));
		ck_assert_int_eq(fcntl(fds[i].iommu, F_GETFD), FD_CLOEXEC);
		close(fds[i].iommu);
	}
	ck_assert_int_eq(fds[2].err, -EBADF);
	ck_assert_int_eq(fds[2].iommu, -1);
	ck_assert_int_eq(agent_look(agent, remotes.pids[0], NO_MAJOR, 0, fds, 1), 0);
	ck_assert_int_eq(fds[0].iommu, -1);
}
END_TEST

/* ---- the program ---- */

static const char *agent_says_gone;

static void gone(bool orderly)
{
	int fd = open(agent_says_gone, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (write(fd, orderly ? "o" : "g", 1) != 1)
		abort();
	close(fd);
}

int main(int argc, char **argv)
{
	SRunner *runner;
	Suite *suite;
	TCase *tc;
	int failed;

	if (argc > 2 && !strcmp(argv[1], "agent")) {
		agent_says_gone = argv[2];
		return agent_serve(gone);
	}
	if (argc > 1 && !strcmp(argv[1], "slow")) {
		slow_agent();
		return 0;
	}
	if (!rig_is_possible())
		return 77;
	if (!mkdtemp(dir))
		return 1;
	suite = suite_create("agent");
	tc = tcase_create("all");
	snprintf(socket_path, sizeof(socket_path), "%s/agent", dir);
	snprintf(gone_path, sizeof(gone_path), "%s/gone", dir);
	tcase_set_timeout(tc, 100);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_eventfd_is_copied);
	tcase_add_test(tc, other_files_are_not_copied);
	tcase_add_test(tc, many_fds_in_their_order);
	tcase_add_test(tc, no_room_for_copies);
	tcase_add_test(tc, a_file_of_a_stalled_file_system_is_not_asked);
	tcase_add_test(tc, an_agent_that_was_killed_is_replaced);
	tcase_add_test(tc, an_agent_ends_with_its_service);
	tcase_add_test(tc, an_agent_that_is_busy_is_not_replaced);
	tcase_add_test(tc, an_agent_that_cannot_be_started);
	tcase_add_test(tc, a_device_file_is_delivered);
	tcase_add_test(tc, a_delivery_outlives_the_agent);
	tcase_add_test(tc, a_client_is_killed_as_it_gets_a_file);
	tcase_add_test(tc, a_debugged_client_gets_no_file);
	tcase_add_test(tc, a_courier_is_kept);
	tcase_add_test(tc, a_kept_courier_is_killed);
	tcase_add_test(tc, a_kept_courier_is_busy);
	tcase_add_test(tc, a_courier_that_fails_is_not_kept);
	tcase_add_test(tc, a_delivery_without_a_token);
	tcase_add_test(tc, a_file_of_the_kernels_is_delivered);
	tcase_add_test(tc, a_file_that_nobody_takes_is_closed);
	tcase_add_test(tc, a_client_makes_ioctls_for_us);
	tcase_add_test(tc, arguments_have_a_limit);
	tcase_add_test(tc, a_client_is_killed_as_it_makes_ioctls);
	tcase_add_test(tc, lending_outlives_the_agent);
	tcase_add_test(tc, what_came_of_a_call_is_asked_for);
	tcase_add_test(tc, a_call_without_effect_is_made_again);
	tcase_add_test(tc, a_swap_that_had_its_effect_stays);
	tcase_add_test(tc, a_swap_without_effect_is_taken_back);
	tcase_add_test(tc, a_client_is_killed_as_it_asks);
	tcase_add_test(tc, a_debugged_client_makes_no_ioctl);
	tcase_add_test(tc, a_file_is_swapped);
	tcase_add_test(tc, a_file_of_two_processes_is_not_swapped);
	tcase_add_test(tc, copies_have_a_limit);
	tcase_add_test(tc, a_search_has_a_deadline);
	tcase_add_test(tc, another_device_is_not_swapped);
	tcase_add_test(tc, a_client_is_killed_as_its_file_is_swapped);
	tcase_add_test(tc, an_iommufd_is_copied_if_it_is_asked_for);
	tcase_add_test(tc, a_token_names_a_file);
	tcase_add_test(tc, the_root_leads_nowhere_else);
	tcase_add_test(tc, idle_connections_keep_nobody_out);
	tcase_add_test(tc, a_new_agent_has_the_socket);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	unlink(socket_path);
	unlink(gone_path);
	rmdir(dir);
	return failed ? 1 : 0;
}
