/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: an eventfd taken from another process is the same eventfd: what we write
 * there wakes the other's read. "eventfd-id:" in fdinfo is the same for two descriptors of
 * one eventfd and differs between two eventfds.
 */
#include <sys/eventfd.h>

#include "platform.h"

/* The number in a line of /proc/self/fdinfo/FD; -1 if there is none. */
static long identity(int fd)
{
	char path[64], line[128];
	long id = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "eventfd-id: %ld", &id);
	if (f)
		fclose(f);
	return id;
}

int main(void)
{
	int other = eventfd(0, EFD_CLOEXEC), number, pidfd, fd;
	uint64_t value = 5;
	struct meeting m;
	pid_t pid;

	need_namespaces();
	EXPECT(other >= 0);
	meeting_init(&m);
	pid = fork_child();
	if (pid == 0) {
		EXPECT(enter_namespaces() == 0);
		number = eventfd(0, 0);
		tell(m.theirs, number);
		tell(m.theirs, (int)identity(number));
		EXPECT(read(number, &value, sizeof(value)) == sizeof(value) && value == 5);
		_exit(0);
	}
	number = hear(m.ours);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	EXPECT(fd >= 0);
	if (identity(fd) < 0)
		SKIP("no eventfd-id in fdinfo (Linux 5.2)");
	EXPECT(identity(fd) == hear(m.ours));
	EXPECT(identity(fd) != identity(other));
	EXPECT(write(fd, &value, sizeof(value)) == sizeof(value));
	return join_child(pid);
}
