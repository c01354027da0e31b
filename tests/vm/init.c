/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-init - process 1 of a test guest; linked statically.
 *
 * Mounts what programs expect, loads the modules that /vm/modules lists, and runs the
 * tests that /vm/tests lists ("SECONDS NAME": /vm/t/NAME), one after the other. What a
 * test prints goes to the virtio port "vm.out" of all tests together; for each there is a
 * line "test NAME STATUS BYTES MILLISECONDS" on the port "vm.end", where BYTES says how
 * much of vm.out is its own. STATUS is 128 + N after signal N, 124 after the deadline; then
 * what each thread of the guest waits for is printed as well.
 * When the first process of a test is gone, so is every process that it left. If the kernel
 * dies, what a test had just printed may be lost with it. The last
 * line is "end TAINT" (/proc/sys/kernel/tainted); then the guest is switched off. Lines
 * "bad WHAT" tell what went wrong here.
 *
 * Where there is SYSTEMD (vm.sh --root), that is process 1 as soon as the modules are loaded. It
 * starts this program once more, as the service vm-tests, for the rest. Then only the tests' own
 * sessions are killed at their end: other processes are the system's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT_TRIES 200		/* of 50 ms, until the ports are there */
#define SYSTEMD "/usr/lib/systemd/systemd"
#define BEAT_MS 1000		/* vm.sh sees by it that the guest lives */
#define DRAIN_MS 200		/* for output after the death of all that could print */

static int out_fd = -1, end_fd = -1;
static char early[4096];	/* lines for vm.end before it is open */
static bool is_service;			/* of a systemd */

static void write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		data += n;
		size -= (size_t)n;
	}
}

__attribute__((format(printf, 1, 2))) static void report(const char *format, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line) - 1, format, ap);
	va_end(ap);
	strcat(line, "\n");
	dprintf(STDERR_FILENO, "vm-init: %s", line);
	if (end_fd >= 0)
		write_all(end_fd, line, strlen(line));
	else if (strlen(early) + strlen(line) < sizeof(early))
		strcat(early, line);
}

static void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void mount_one(const char *type, const char *where, const char *data)
{
	mkdir(where, 0755);
	if (mount(type, where, type, MS_NOSUID, data))
		report("bad mount of %s at %s: %s", type, where, strerror(errno));
}

static void mount_all(void)
{
	mount_one("proc", "/proc", NULL);
	mount_one("sysfs", "/sys", NULL);
	mount_one("devtmpfs", "/dev", "mode=0755");
	mount_one("devpts", "/dev/pts", NULL);
	mount_one("tmpfs", "/dev/shm", "mode=1777");
	mount_one("tmpfs", "/tmp", "mode=1777");
	mount_one("tmpfs", "/run", "mode=0755");
	if (symlink("/proc/self/fd", "/dev/fd") && errno != EEXIST)
		report("bad link /dev/fd: %s", strerror(errno));
}

/* Calls @fn for each line of a file, without its newline. */
static void each_line(const char *path, void (*fn)(char *line))
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;

	if (!f) {
		report("bad file %s: %s", path, strerror(errno));
		return;
	}
	while (getline(&line, &size, f) > 0) {
		line[strcspn(line, "\n")] = 0;
		if (*line)
			fn(line);
	}
	free(line);
	fclose(f);
}

static void load_module(char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/vm/m/%s.ko", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
		report("bad module %s: %s", name, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* Return: the virtio port of that name, or -1. */
static int port_open(const char *name)
{
	DIR *dir = opendir("/sys/class/virtio-ports");
	struct dirent *e;
	int fd = -1;

	while (dir && fd < 0 && (e = readdir(dir))) {
		char path[320], is[64] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", e->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%63s", is) == 1 && !strcmp(is, name)) {
			snprintf(path, sizeof(path), "/dev/%s", e->d_name);
			fd = open(path, O_WRONLY | O_CLOEXEC);
		}
		fclose(f);
	}
	if (dir)
		closedir(dir);
	return fd;
}

static void open_ports(void)
{
	for (int i = 0; i < PORT_TRIES && (out_fd < 0 || end_fd < 0); i++) {
		if (out_fd < 0)
			out_fd = port_open("vm.out");
		if (end_fd < 0)
			end_fd = port_open("vm.end");
		if (out_fd < 0 || end_fd < 0)
			poll(NULL, 0, 50);
	}
	if (out_fd < 0 || end_fd < 0) {
		report("bad ports: not there");
		power_off();
	}
	write_all(end_fd, early, strlen(early));
}

static void set_env(char *line)
{
	putenv(strdup(line));
}

static pid_t start(const char *name, int out)
{
	char path[256];
	sigset_t none;
	pid_t pid;

	snprintf(path, sizeof(path), "/vm/t/%s", name);
	pid = fork();
	if (pid)
		return pid;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	execl(path, name, (char *)NULL);
	execl("/bin/sh", "sh", path, (char *)NULL);
	fprintf(stderr, "cannot run %s: %s\n", path, strerror(errno));
	_exit(127);
}

/* Return: false at the end of the file, or if nothing came. */
static bool relay(int fd, unsigned long long *bytes)
{
	char data[8192];
	ssize_t n = read(fd, data, sizeof(data));

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	write_all(out_fd, data, (size_t)n);
	*bytes += (unsigned long long)n;
	return true;
}

/* Reaps whatever has ended. Return: whether @pid was among it, with its @ret_status. */
static bool reap(pid_t pid, int *ret_status)
{
	bool seen = false;
	int status;
	pid_t p;

	while ((p = waitpid(-1, &status, WNOHANG)) > 0)
		if (p == pid) {
			*ret_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
				WEXITSTATUS(status);
			seen = true;
		}
	return seen;
}

static void kill_all(pid_t test)
{
	kill(is_service ? -test : -1, SIGKILL);
}

/* ---- who hangs ---- */

/* A file of /proc in one line. */
static void read_line(const char *dir, const char *name, char ret[512])
{
	char path[64];
	ssize_t n = -1;
	int fd = -1;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path))
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, ret, 511);
		close(fd);
	}
	ret[n < 0 ? 0 : n] = 0;
	for (char *c = ret; *c; c++)
		*c = *c == '\n' ? ' ' : *c;
}

static void tell_thread(const char *dir, unsigned long long *bytes)
{
	static const char *const files[] = { "comm", "stat", "syscall", "stack" };
	char text[4][512], line[2800], *state;
	int n;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		read_line(dir, files[i], text[i]);
	state = strrchr(text[1], ')');
	n = snprintf(line, sizeof(line), "%s %s%.2s; %s; %s\n", dir, text[0],
		     state ? state + 1 : "", text[2], text[3]);
	write_all(out_fd, line, (size_t)n);
	*bytes += (unsigned long long)n;
}

/* @dir: in /proc, of entries that are numbers */
static void each_number(const char *dir, void (*fn)(const char *path, unsigned long long *bytes),
			unsigned long long *bytes)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[64];

	while (d && (e = readdir(d))) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) < (int)sizeof(path))
			fn(path, bytes);
	}
	if (d)
		closedir(d);
}

static void tell_process(const char *dir, unsigned long long *bytes)
{
	char command[512], tasks[64];

	read_line(dir, "cmdline", command);
	if (!*command)		/* a thread of the kernel, or dead */
		return;
	if (snprintf(tasks, sizeof(tasks), "%s/task", dir) < (int)sizeof(tasks))
		each_number(tasks, tell_thread, bytes);
}

/* Return: status of the test. Output of what it left running is cut off. */
static int watch(pid_t pid, int fd, int signals, long long deadline, unsigned long long *bytes)
{
	struct pollfd p[2] = { { fd, POLLIN, 0 }, { signals, POLLIN, 0 } };
	struct signalfd_siginfo info;
	int status = 0;

	while (!reap(pid, &status)) {
		long long left = deadline - now_ms();

		if (left <= 0) {
			each_number("/proc", tell_process, bytes);
			kill_all(pid);
			return 124;
		}
		if (poll(p, 2, (int)(left < BEAT_MS ? left : BEAT_MS)) <= 0)
			continue;
		if (p[0].revents && !relay(fd, bytes))
			p[0].fd = -1;
		if (p[1].revents && read(signals, &info, sizeof(info)) < 0)
			report("bad signalfd: %s", strerror(errno));
	}
	return status;
}

static void run_test(char *line)
{
	long long begin = now_ms(), deadline;
	unsigned long long bytes = 0;
	sigset_t child;
	char name[128];
	int seconds, signals, status, fds[2];
	struct pollfd p;
	pid_t pid;

	if (sscanf(line, "%d %127s", &seconds, name) != 2 || pipe2(fds, O_CLOEXEC)) {
		report("bad test \"%s\"", line);
		return;
	}
	deadline = begin + seconds * 1000LL;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	dprintf(STDERR_FILENO, "vm-init: runs %s\n", name);
	pid = start(name, fds[1]);
	close(fds[1]);
	status = watch(pid, fds[0], signals, deadline, &bytes);
	kill_all(pid);
	p = (struct pollfd){ fds[0], POLLIN, 0 };
	while (poll(&p, 1, DRAIN_MS) > 0 && relay(fds[0], &bytes))
		;
	reap(-1, &status);
	close(fds[0]);
	close(signals);
	report("test %s %d %llu %lld", name, status, bytes, now_ms() - begin);
}

static void boot(void)
{
	mount_all();
	if (access(SYSTEMD, X_OK) == 0) {
		each_line("/vm/modules", load_module);
		execl(SYSTEMD, SYSTEMD, (char *)NULL);
		report("bad start of %s: %s", SYSTEMD, strerror(errno));
	}
	if (!fork()) {
		execl("/bin/busybox", "busybox", "--install", "-s", (char *)NULL);
		_exit(127);
	}
	wait(NULL);
	each_line("/vm/modules", load_module);
}

int main(void)
{
	unsigned taint = 0;
	FILE *f;

	is_service = getpid() != 1;
	if (!is_service)
		boot();
	setenv("PATH", "/usr/local/bin:/bin:/sbin:/usr/bin:/usr/sbin", 1);
	setenv("HOME", "/", 1);
	setenv("TMPDIR", "/tmp", 1);
	each_line("/vm/env", set_env);
	open_ports();
	each_line("/vm/tests", run_test);
	f = fopen("/proc/sys/kernel/tainted", "re");
	if (!f || fscanf(f, "%u", &taint) != 1)
		report("bad file /proc/sys/kernel/tainted");
	report("end %u", taint);
	power_off();
}
