/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/agent_sysfs.c - changes of /sys, which the agent's side makes: the service may be
 * in a mount namespace of its own, where nobody would see them.
 *
 * Plans go in a memfd. The agent's side has more rights than the service's, and takes what
 * comes for what it is: bytes.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <transport/agent.h>
#include <transport/fd_message.h>
#include <util/cleanup.h>

/* ---- the service's side ---- */

static int write_all(int fd, const void *data, size_t size)
{
	const uint8_t *at = data;

	while (size > 0) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			at += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

static int write_plan(int fd, const struct sysfs_plan *plan, uint64_t *ret_size)
{
	cleanup_free uint8_t *data = NULL;
	size_t size;
	int r;

	if (!plan)
		return 0;
	r = sysfs_plan_pack(plan, &data, &size);
	if (r)
		return r;
	*ret_size = size;
	return write_all(fd, data, size);
}

/* Return: a memfd; -errno. */
static int make_file(const struct sysfs_plan *old, const struct sysfs_plan *new,
		     const char *root)
{
	cleanup_close int fd = memfd_create("vfio-cused-sysfs", MFD_CLOEXEC);
	struct agent_sysfs_file head = { 0 };
	int r;

	if (fd < 0)
		return -errno;
	if (strlen(root) >= sizeof(head.root))
		return -ENAMETOOLONG;
	strcpy(head.root, root);
	r = lseek(fd, sizeof(head), SEEK_SET) < 0 ? -errno : 0;
	if (r == 0)
		r = write_plan(fd, old, &head.old_size);
	if (r == 0)
		r = write_plan(fd, new, &head.new_size);
	if (r == 0 && pwrite(fd, &head, sizeof(head), 0) != sizeof(head))
		r = -EIO;
	return r ? r : steal_fd(&fd);
}

static int receive(int socket, struct cused_error *err)
{
	struct pollfd p = { .fd = socket, .events = POLLIN };
	struct agent_said said;
	size_t none = 0;
	int r;

	do {
		r = poll(&p, 1, SYSFS_ANSWER_MS);
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		return cused_error_set(err, -ETIMEDOUT, "the agent has not changed /sys within %u "
				       "ms", SYSFS_ANSWER_MS);
	r = fd_message_receive(socket, &said, sizeof(said), NULL, &none);
	if (r != (int)sizeof(said))
		return cused_error_set(err, -EIO, "the agent died while it changed /sys");
	if (said.result == 0)
		return 0;
	return cused_error_set(err, said.result < 0 ? said.result : -EIO, "%.*s",
			       (int)sizeof(said.text) - 1, said.text);
}

int agent_sysfs(struct agent *agent, const struct sysfs_plan *old,
		const struct sysfs_plan *new, const char *root, struct cused_error *err)
{
	const struct agent_job job = { .kind = AGENT_JOB_SYSFS };
	cleanup_close int file = make_file(old, new, root), socket = -1;
	pid_t pid;
	int r;

	if (file < 0)
		return cused_error_set(err, file, "cannot send the plan of %s: %s", root,
				       strerror(-file));
	r = agent_send_job(agent, &job, file, &socket, &pid);
	if (r)
		return cused_error_set(err, r, "cannot change %s: no agent can be had", root);
	return receive(socket, err);
}

int agent_sysfs_clear(const char *connect, const char *root, struct cused_error *err)
{
	const char *const argv[] = { "vfio-cused", "agent", root, NULL };
	cleanup_close int jobs = -1, pidfd = -1;
	pid_t pid;
	int r = agent_unit_connect(connect, argv, NULL, 0, &jobs, &pidfd, &pid);

	if (r)
		return cused_error_set(err, r, "cannot have an agent from %s: %s (is "
				       "vfio-cused-agent.socket started?)", connect, strerror(-r));
	return receive(jobs, err);
}

/* ---- the agent's side ---- */

/* @map: of the whole file. Return: as agent_sysfs(). */
static int work(const uint8_t *map, uint64_t size, struct cused_error *err)
{
	struct sysfs_plan *old = NULL, *new = NULL;
	struct agent_sysfs_file head;
	int r = 0;

	memcpy(&head, map, sizeof(head));
	size -= sizeof(head);
	map += sizeof(head);
	if (head.old_size > size || head.new_size > size - head.old_size ||
	    head.root[0] != '/' || strnlen(head.root, sizeof(head.root)) == sizeof(head.root))
		return cused_error_set(err, -EBADMSG, "a job for /sys that is none");
	if (head.old_size)
		r = sysfs_plan_unpack(map, head.old_size, &old);
	if (r == 0 && head.new_size)
		r = sysfs_plan_unpack(map + head.old_size, head.new_size, &new);
	if (r)
		cused_error_set(err, r, "cannot take the plan of %s apart: %s", head.root,
				strerror(-r));
	else if (!new)
		r = sysfs_unmount(head.root, err);
	else if (old)
		r = sysfs_update(old, new, head.root, err);
	else
		r = sysfs_mount(new, head.root, err);
	sysfs_plan_free(old);
	sysfs_plan_free(new);
	return r;
}

/* Its own copy: what the other side changes meanwhile is not looked at. */
static uint8_t *read_file(int fd, size_t *ret_size)
{
	struct stat st;
	uint8_t *data;
	size_t size;

	if (fstat(fd, &st) || st.st_size < (off_t)sizeof(struct agent_sysfs_file) ||
	    st.st_size > (off_t)(sizeof(struct agent_sysfs_file) + 2ull * SYSFS_PACK_MAX))
		return NULL;
	size = (size_t)st.st_size;
	data = malloc(size);
	for (size_t done = 0; data && done < size;) {
		ssize_t n = pread(fd, data + done, size - done, (off_t)done);

		if (n == 0 || (n < 0 && errno != EINTR)) {
			free(data);
			return NULL;
		}
		done += n > 0 ? (size_t)n : 0;
	}
	*ret_size = size;
	return data;
}

void agent_sysfs_work(int socket, int file)
{
	struct agent_said said = { .pid = getpid() };
	cleanup_free uint8_t *data = NULL;
	struct cused_error err = { "" };
	size_t size;

	data = read_file(file, &size);
	if (data)
		said.result = work(data, size, &err);
	else
		said.result = cused_error_set(&err, -EBADMSG, "a job for /sys without its file");
	memcpy(said.text, err.text, sizeof(said.text));
	fd_message_send(socket, &said, sizeof(said), NULL, 0);
}
