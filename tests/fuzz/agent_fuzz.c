/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz/agent_fuzz.c - what reaches the agent of the service from outside: whoever can
 * connect to its socket sends any bytes and files, in any order; and the service sends
 * jobs about any fds of any thread.
 *
 * Each connection and each job gets the one answer that it must have, or an end; and when
 * the service has gone, the agent ends and has no file open that it did not find.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <transport/agent.h>
#include <transport/fd_message.h>
#include "fuzz.h"

#define CONNECTIONS 40
#define ACTIONS 100
#define FILES 3				/* what tokens 0 … are names of */

static struct sockaddr_un address;
static socklen_t address_size;
static char folder[] = "/tmp/cused-agent-XXXXXX";
static int event, memory;		/* files of ours to look at */
static int listener;			/* a copy: the agent closes its own in the end */
static int connections[CONNECTIONS];
static unsigned n_connections;

/* ---- the agent's surroundings ---- */

static void token_name(uint8_t number, char name[64])
{
	snprintf(name, 64, "%02x%030x", number, 0);
}

static void clean_up(void)
{
	char name[64];

	for (uint8_t i = 0; i < FILES; i++) {
		token_name(i, name);
		unlinkat(AGENT_FD_MOUNT, name, 0);
	}
	rmdir(folder);
}

/* The agent's descriptors have fixed numbers, which the fuzzer's own files may not get. */
static void hold_numbers(void) __attribute__((constructor));
static void hold_numbers(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd < AGENT_FDS);
	close(fd);
}

static int out_of_the_way(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 20);

	INSIST(high >= 0);
	close(fd);
	return high;
}

static void put(int fd, int number)
{
	int high = out_of_the_way(fd);

	INSIST(dup2(high, number) == number);
	close(high);
}

static void set_up(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	char name[64];

	address.sun_family = AF_UNIX;
	/* Without a name of our own the kernel chooses one that no file has. */
	INSIST(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0);
	address_size = sizeof(address);
	INSIST(getsockname(fd, (struct sockaddr *)&address, &address_size) == 0);
	INSIST(listen(fd, 64) == 0);
	listener = out_of_the_way(fd);
	put(dup(listener), AGENT_FD_LISTENER);
	INSIST(mkdtemp(folder));
	put(open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), AGENT_FD_MOUNT);
	for (uint8_t i = 0; i < FILES; i++) {
		token_name(i, name);
		fd = openat(AGENT_FD_MOUNT, name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
		INSIST(fd >= 0);
		close(fd);
	}
	event = out_of_the_way(eventfd(0, EFD_CLOEXEC));
	memory = out_of_the_way(memfd_create("agent_fuzz", MFD_CLOEXEC));
	atexit(clean_up);
}

static unsigned open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	INSIST(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void gone(bool orderly)
{
}

/* Children are the fuzzer's, and would be waited for. */
pid_t __real_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
	if (pid != -1)
		return __real_waitpid(pid, status, options);
	errno = ECHILD;
	return -1;
}

static void *agent_main(void *arg)
{
	INSIST(agent_serve(gone) == 0);
	return NULL;
}

/* The fuzzer has a timer. */
static int receive(int socket, void *data, size_t size, int *files, size_t *n)
{
	size_t welcome = *n;
	int r;

	do {
		*n = welcome;
		r = fd_message_receive(socket, data, size, files, n);
	} while (r == -EINTR);
	return r;
}

/* ---- connections ---- */

static void do_connect(struct input *in)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (n_connections == CONNECTIONS) {
		close(connections[0]);
		memmove(connections, connections + 1, sizeof(connections) - sizeof(int));
		n_connections--;
	}
	while (connect(fd, (struct sockaddr *)&address, address_size))
		INSIST(errno == EINTR);
	connections[n_connections++] = fd;
}

/* The one message, or an end: nothing that was said before counts. */
static void check_greeting(int fd)
{
	struct agent_greeting greeting;
	int files[4], file;
	char name[64];
	size_t n = 4;
	int r = receive(fd, &greeting, sizeof(greeting), files, &n);

	/* Who spoke too early may find the connection reset. */
	if (r <= 0)
		return;
	INSIST(r == (int)sizeof(greeting) && greeting.version == AGENT_GREETING_VERSION);
	INSIST(n == 1);
	token_name(0, name);
	file = openat(files[0], name, O_RDWR | O_CLOEXEC);
	INSIST(file >= 0);
	close(file);
	close(files[0]);
	n = 4;
	INSIST(receive(fd, &greeting, sizeof(greeting), files, &n) <= 0);
}

/* Bytes of any length, perhaps with files. */
static void do_talk(struct input *in)
{
	uint8_t how = (uint8_t)take(in, 1), bytes[200] = { 0 };
	size_t size = take(in, 1) % sizeof(bytes);
	int files[FD_MESSAGE_FDS], fd;

	if (!n_connections)
		return;
	fd = connections[--n_connections];
	for (size_t i = 0; how & 1 && i < size; i++)
		bytes[i] = (uint8_t)take(in, 1);
	for (size_t i = 0; i < FD_MESSAGE_FDS; i++)
		files[i] = memory;
	if (how & 2) {
		/* EPIPE: it has had its message. */
		int r = fd_message_send(fd, bytes, size, files, how & 4 ? how % 32 : 0);

		INSIST(r == 0 || r == -EPIPE || r == -ECONNRESET);
	}
	check_greeting(fd);
	close(fd);
}

/* ---- jobs ---- */

static int take_number(struct input *in)
{
	uint8_t v = (uint8_t)take(in, 1);

	return v < 0x40 ? event : v < 0x80 ? memory : v < 0xf0 ? 200 + v : (int)take(in, 4);
}

static void do_look(struct input *in, int jobs)
{
	struct agent_job job = { .kind = AGENT_JOB_LOOK, .major = (uint32_t)take(in, 1) };
	int copies[AGENT_FDS_MAX], pair[2];
	struct agent_result result;
	size_t n = AGENT_FDS_MAX, events = 0;

	job.tid = take(in, 1) & 0x80 ? (int)take(in, 4) : getpid();
	job.n = (uint32_t)take(in, 1) % (AGENT_FDS_MAX + 1);
	for (unsigned i = 0; i < job.n; i++)
		job.fds[i].fd = take_number(in);
	INSIST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	INSIST(fd_message_send(jobs, &job, sizeof(job), &pair[1], 1) == 0);
	close(pair[1]);
	INSIST(receive(pair[0], &result, sizeof(result), copies, &n) == (int)sizeof(result));
	close(pair[0]);
	for (unsigned i = 0; i < job.n; i++) {
		events += result.fds[i].copy != AGENT_NO_COPY;
		if (job.tid == getpid() && job.fds[i].fd == event)
			INSIST(result.fds[i].copy == AGENT_COPY_EVENT && result.fds[i].err == 0);
		if (job.tid == getpid() && job.fds[i].fd == memory)
			INSIST(result.fds[i].copy == AGENT_NO_COPY && result.fds[i].err == 0);
	}
	INSIST(events == n);
	while (n)
		close(copies[--n]);
}

/* What the service never sends: it must be ignored. */
static void do_odd_job(struct input *in, int jobs)
{
	uint8_t bytes[100] = { 0 };
	size_t size = 1 + take(in, 1) % (sizeof(bytes) - 1);
	int files[FD_MESSAGE_FDS];

	for (size_t i = 0; i < FD_MESSAGE_FDS; i++)
		files[i] = memory;
	INSIST(fd_message_send(jobs, bytes, size, files, take(in, 1) % FD_MESSAGE_FDS) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	pthread_t thread;
	unsigned before;
	int pair[2], jobs;

	if (!address_size)
		set_up();
	INSIST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	jobs = out_of_the_way(pair[0]);
	put(pair[1], AGENT_FD_JOBS);
	before = open_files();
	INSIST(pthread_create(&thread, NULL, agent_main, NULL) == 0);
	for (unsigned i = 0; i < ACTIONS && in.left; i++) {
		switch (take(&in, 1) % 8) {
		case 0 ... 2:
			do_connect(&in);
			break;
		case 3 ... 5:
			do_talk(&in);
			break;
		case 6:
			do_look(&in, jobs);
			break;
		default:
			do_odd_job(&in, jobs);
		}
	}
	while (n_connections)
		close(connections[--n_connections]);
	close(jobs);
	INSIST(pthread_join(thread, NULL) == 0);
	INSIST(open_files() == before - 2);
	put(open("/dev/null", O_RDWR | O_CLOEXEC), AGENT_FD_JOBS);
	put(dup(listener), AGENT_FD_LISTENER);
	return 0;
}
