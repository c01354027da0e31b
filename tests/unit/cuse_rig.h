/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/cuse_rig.h - the service without a kernel that has CUSE: the real service, its
 * channels and its devices' file system, and instead of /dev/cuse and /dev/fuse sockets at
 * whose other ends a small kernel stands. For programs that are linked with --wrap for the
 * functions at the end; include it once.
 *
 * The small kernel does what the real one does with requests of one client: open() and
 * close(), ioctl() with all rounds of a retry, read and write, a device file by its token.
 * The client is a process of its own, which only lends its memory: RIG_PAGES pages at
 * RIG_BASE, of which some cannot be read or written; rig_memory is the same memory here.
 * Its "fds" are places of rig.files.
 *
 * The agent is a fake: it knows the client's fds from rig.files, asks nodes who they are
 * as the real one does, and delivers a device file into a free place.
 *
 * A node may be taken away: its channel ends, and its files are to be forgotten, not closed.
 *
 * One call at a time; a question of the agent is served in between.
 *
 * A request whose answer is awaited is sent again when another process asks for it, with its
 * mark: see restart_rig.h.
 */
#ifndef UNIT_CUSE_RIG_H
#define UNIT_CUSE_RIG_H

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <transport/agent.h>
#include <transport/devnode.h>
#include <transport/server.h>
#include <transport/service.h>
#include <transport/replay.h>
#include <transport/service_abi.h>
#include <unit/harness.h>

#define RIG_BASE 0x10000000ull
#define RIG_PAGES 16u
#define RIG_PAGE 4096u
#define RIG_HOLE 12u		/* this page is not there */
#define RIG_CLOSED 14u		/* this one can only be read */
#define RIG_FILES 16
#define RIG_FD 3		/* the first file's number */
#define RIG_EVENTFD 40		/* numbers from here on are eventfds */
#define RIG_CHANNELS 16
#define RIG_ROUNDS 8		/* of a retry, then the client is killed */
#define RIG_ARG_MAX (CHANNEL_DATA_MAX + 4096u)

#define RIG_INSIST(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
				#what); \
			abort(); \
		} \
	} while (0)

enum rig_node { RIG_CONTAINER, RIG_GROUP1, RIG_GROUP2, RIG_EMULATED, RIG_NODES };

/* A client's open file. */
struct rig_file {
	_Atomic bool open;		/* written last, as it may be by the agent */
	int channel;
	uint64_t ino, fh;		/* ino of a device file, else 0 */
};

/* A request whose answer is awaited, by the client's thread or by the agent. */
struct rig_wait {
	_Atomic uint64_t unique;
	bool done;
	sem_t posted;
	size_t size;			/* of bytes: the answer with its header */
	char bytes[RIG_ARG_MAX];
	bool lost;			/* these: a process that was killed has read it */
	int channel;
	size_t sent_size;
	char sent[RIG_ARG_MAX];
};


struct rig {
	struct world world;
	struct service *service;
	int kernel[RIG_CHANNELS];	/* our ends */
	int served[RIG_CHANNELS];	/* the other ends, as they were made */
	int n_channels, devices;	/* devices: the channel of device files */
	uint64_t unique;
	pid_t client;
	pid_t tid;			/* told in requests: client, or 0 */
	unsigned uid, gid;
	struct rig_file files[RIG_FILES];
	struct rig_wait mine, agents;
	bool agent_asks;
	bool (*courier)(bool armed);	/* before and after a delivery; false: it fails. Or NULL */
	void (*between)(void);		/* called between the rounds of a retry */
	unsigned rounds;		/* of the last ioctl */
	struct keep *keep;		/* of the service: or NULL */
	struct fd_keep *fds;
	bool restore;
	int death;			/* an eventfd: the service was killed; or -1 */
	void (*died)(void);		/* then */
};

static struct rig rig;
static uint8_t *rig_memory;

/* ---- the client's memory ---- */

static inline void rig_client_start(void)
{
	void *base = (void *)(uintptr_t)RIG_BASE;

	rig_memory = mmap(base, RIG_PAGES * RIG_PAGE, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	RIG_INSIST(rig_memory == base);
	rig.client = fork();
	RIG_INSIST(rig.client >= 0);
	if (rig.client == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		munmap((char *)base + RIG_HOLE * RIG_PAGE, RIG_PAGE);
		mprotect((char *)base + RIG_CLOSED * RIG_PAGE, RIG_PAGE, PROT_READ);
		for (;;)
			pause();
	}
}

static inline bool rig_copy(uint64_t addr, void *buf, size_t len, bool to_client)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t page = (addr + i - RIG_BASE) / RIG_PAGE;

		if (page >= RIG_PAGES || page == RIG_HOLE ||
		    (to_client && page == RIG_CLOSED))
			return false;
		if (to_client)
			rig_memory[addr + i - RIG_BASE] = ((uint8_t *)buf)[i];
		else
			((uint8_t *)buf)[i] = rig_memory[addr + i - RIG_BASE];
	}
	return true;
}

/* ---- requests and answers ---- */

static inline void rig_send(int channel, struct rig_wait *wait, uint32_t opcode,
			    uint64_t ino, const void *arg, size_t size, const void *data,
			    size_t data_size)
{
	struct fuse_in_header header = {
		.len = (uint32_t)(sizeof(header) + size + data_size), .opcode = opcode,
		.unique = __atomic_add_fetch(&rig.unique, 1, __ATOMIC_RELAXED) * 2,
		.nodeid = ino ? ino : 1, .uid = rig.uid, .gid = rig.gid,
		.pid = (uint32_t)rig.tid,
	};
	struct iovec iov[] = { { &header, sizeof(header) },
			       { (void *)(uintptr_t)arg, size },
			       { (void *)(uintptr_t)data, data_size } };

	wait->unique = header.unique;
	wait->done = false;
	wait->channel = channel;
	wait->sent_size = 0;
	for (int i = 0; rig.keep && i < 3; i++) {
		if (iov[i].iov_len)
			memcpy(wait->sent + wait->sent_size, iov[i].iov_base, iov[i].iov_len);
		wait->sent_size += iov[i].iov_len;
	}
	RIG_INSIST(writev(rig.kernel[channel], iov, 3) == (ssize_t)header.len);
}

/* The process that serves it has asked for what was not answered. */
static inline void rig_send_again(int channel)
{
	struct rig_wait *wait = &rig.mine;
	struct fuse_in_header *header = (void *)wait->sent;

	if (!wait->lost || wait->channel != channel)
		return;
	wait->lost = false;
	wait->unique |= REPLAY_MARK;
	header->unique = wait->unique;
	RIG_INSIST(write(rig.kernel[channel], wait->sent, wait->sent_size) ==
		   (ssize_t)wait->sent_size);
}

/* Take one answer, whosever it is. */
static inline void rig_take(int channel)
{
	static char bytes[RIG_ARG_MAX];
	struct fuse_out_header *header = (void *)bytes;
	ssize_t n = recv(rig.kernel[channel], bytes, sizeof(bytes), 0);
	struct rig_wait *wait;

	if (n == 0) {		/* the node was taken away */
		close(rig.kernel[channel]);
		rig.kernel[channel] = -1;
		return;
	}
	RIG_INSIST(n >= (ssize_t)sizeof(*header) && header->len == n);
	if (header->unique == 0 && header->error == 7) {	/* FUSE_NOTIFY_RESEND */
		rig_send_again(channel);
		return;
	}
	RIG_INSIST(header->error <= 0 && header->error > -1000);
	RIG_INSIST(header->error == 0 || n == (ssize_t)sizeof(*header));
	wait = header->unique == rig.mine.unique ? &rig.mine : &rig.agents;
	RIG_INSIST(header->unique == wait->unique && !wait->done);
	memcpy(wait->bytes, bytes, (size_t)n);
	wait->size = (size_t)n;
	wait->done = true;
	if (wait == &rig.agents)
		sem_post(&wait->posted);
}

/* Wait for the answer to rig.mine. Return: 0, or its errno, negative. */
static inline int rig_answer(void)
{
	while (!rig.mine.done) {
		struct pollfd p[RIG_CHANNELS + 1];
		uint64_t deaths;
		int n;

		for (int i = 0; i < rig.n_channels; i++)
			p[i] = (struct pollfd){ .fd = rig.kernel[i], .events = POLLIN };
		p[rig.n_channels] = (struct pollfd){ .fd = rig.death, .events = POLLIN };
		n = poll(p, (nfds_t)rig.n_channels + 1, 20000);
		RIG_INSIST(n > 0 || (n < 0 && errno == EINTR));
		for (int i = 0; n > 0 && i < rig.n_channels; i++) {
			if (p[i].revents) {
				rig_take(i);
				n--;
			}
		}
		/* What it has answered is answered. */
		if (n == 1 && !rig.mine.done) {
			RIG_INSIST(read(rig.death, &deaths, sizeof(deaths)) == sizeof(deaths));
			rig.died();
		}
	}
	return ((struct fuse_out_header *)(void *)rig.mine.bytes)->error;
}

static inline int rig_call(int channel, uint32_t opcode, uint64_t ino, const void *arg,
			   size_t size, const void *data, size_t data_size)
{
	rig_send(channel, &rig.mine, opcode, ino, arg, size, data, data_size);
	return rig_answer();
}

static inline void *rig_payload(struct rig_wait *wait)
{
	return wait->bytes + sizeof(struct fuse_out_header);
}

/* ---- what the client does ---- */

static inline int rig_free_place(void)
{
	for (int i = 0; i < RIG_FILES; i++) {
		if (!rig.files[i].open)
			return i;
	}
	return -1;
}

/* Return: its number. */
static inline int rig_file_new(int place, int channel, uint64_t ino, uint64_t fh)
{
	struct rig_file *file = &rig.files[place];

	file->channel = channel;
	file->ino = ino;
	file->fh = fh;
	file->open = true;
	return place + RIG_FD;
}

static inline struct rig_file *rig_file(int fd)
{
	int i = fd - RIG_FD;

	return i >= 0 && i < RIG_FILES && rig.files[i].open ? &rig.files[i] : NULL;
}

/* Return: the client's fd, or -errno. */
static inline int rig_open(int channel)
{
	struct fuse_open_in in = { .flags = O_RDWR };
	int place = rig_free_place(), r;

	if (place < 0)
		return -EMFILE;
	r = rig_call(channel, FUSE_OPEN, 0, &in, sizeof(in), NULL, 0);
	if (r)
		return r;
	return rig_file_new(place, channel, 0,
			    ((struct fuse_open_out *)rig_payload(&rig.mine))->fh);
}

static inline void rig_forget(uint64_t ino)
{
	struct fuse_forget_in in = { .nlookup = 1 };
	struct rig_wait nobody;

	rig_send(rig.devices, &nobody, FUSE_FORGET, ino, &in, sizeof(in), NULL, 0);
}

static inline void rig_close(int fd)
{
	struct rig_file *file = rig_file(fd);
	struct fuse_flush_in flush = { 0 };
	struct fuse_release_in in = { .flags = O_RDWR };

	if (!file)
		return;
	file->open = false;
	flush.fh = in.fh = file->fh;
	if (file->ino)
		rig_call(file->channel, FUSE_FLUSH, file->ino, &flush, sizeof(flush), NULL, 0);
	RIG_INSIST(rig_call(file->channel, FUSE_RELEASE, file->ino, &in, sizeof(in), NULL,
			    0) == 0);
	if (file->ino)
		rig_forget(file->ino);
}

/* The bytes that a retry asked for. Return: how many, or -errno. */
static inline ssize_t rig_gather(const struct fuse_ioctl_iovec *iov, unsigned n, char *to)
{
	size_t total = 0;

	for (unsigned i = 0; i < n; i++) {
		if (iov[i].len > CHANNEL_DATA_MAX || total + iov[i].len > CHANNEL_DATA_MAX)
			return -ENOMEM;
		if (!rig_copy(iov[i].base, to + total, iov[i].len, false))
			return -EFAULT;
		total += iov[i].len;
	}
	return (ssize_t)total;
}

/* An ioctl, as the kernel does it. Return: its result. */
static inline int rig_ioctl(int fd, uint32_t cmd, uint64_t arg)
{
	static char bytes[RIG_ARG_MAX];
	static struct fuse_ioctl_iovec iovs[FUSE_IOCTL_MAX_IOV];
	const struct rig_file *file = rig_file(fd);
	const struct fuse_ioctl_out *out = rig_payload(&rig.mine);
	unsigned n_in = 0, n_out = 0;
	struct fuse_ioctl_in in = { .cmd = cmd, .arg = arg };
	int r;

	if (!file)
		return -EBADF;
	in.flags = file->ino ? 0 : FUSE_IOCTL_UNRESTRICTED;
	in.fh = file->fh;
	for (rig.rounds = 1; rig.rounds <= RIG_ROUNDS; rig.rounds++) {
		size_t size;

		r = rig_call(file->channel, FUSE_IOCTL, file->ino, &in, sizeof(in), bytes,
			     in.in_size);
		if (r)
			return r;
		size = rig.mine.size - sizeof(struct fuse_out_header);
		RIG_INSIST(size >= sizeof(*out));
		size -= sizeof(*out);
		if (!(out->flags & FUSE_IOCTL_RETRY)) {
			RIG_INSIST(size <= in.out_size);
			RIG_INSIST(size == 0 || n_out == 1);
			if (size && out->result >= 0 &&
			    !rig_copy(iovs[n_in].base, (char *)(uintptr_t)(out + 1), size, true))
				return -EFAULT;
			return out->result;
		}
		RIG_INSIST(in.flags & FUSE_IOCTL_UNRESTRICTED);
		n_in = out->in_iovs;
		n_out = out->out_iovs;
		RIG_INSIST(n_in + n_out <= FUSE_IOCTL_MAX_IOV && n_out <= 1);
		RIG_INSIST(size == (n_in + n_out) * sizeof(iovs[0]));
		memcpy(iovs, out + 1, size);
		if (rig.between)
			rig.between();
		r = (int)rig_gather(iovs, n_in, bytes);
		if (r < 0)
			return r;
		in.in_size = (uint32_t)r;
		in.out_size = n_out ? iovs[n_in].len : 0;
		if (in.out_size > CHANNEL_DATA_MAX)
			return -ENOMEM;
	}
	return -EINTR;
}

/* ---- device files ---- */

/* By its token, through @wait; @answer gets the answer. Return: the fd or -errno. */
static inline int rig_take_device(const uint8_t token[SERVICE_TOKEN_SIZE],
				  struct rig_wait *wait, int (*answer)(void))
{
	char name[SERVICE_TOKEN_NAME_SIZE];
	struct fuse_open_in in = { .flags = O_RDWR };
	int place = rig_free_place(), r;
	uint64_t ino;

	service_token_name(token, name);
	if (place < 0)
		return -EMFILE;
	rig_send(rig.devices, wait, FUSE_LOOKUP, 1, NULL, 0, name, sizeof(name));
	r = answer();
	if (r)
		return r;
	ino = ((struct fuse_entry_out *)rig_payload(wait))->nodeid;
	rig_send(rig.devices, wait, FUSE_OPEN, ino, &in, sizeof(in), NULL, 0);
	r = answer();
	if (r) {
		rig_forget(ino);
		return r;
	}
	return rig_file_new(place, rig.devices, ino,
			    ((struct fuse_open_out *)rig_payload(wait))->fh);
}

/* From a place, by O_TMPFILE. Return: as above. */
static inline int rig_take_place(uint64_t number)
{
	struct fuse_create_in in = { .flags = O_RDWR, .mode = S_IFREG | 0600 };
	int place = rig_free_place(), r;
	char name[SERVICE_PLACE_NAME_SIZE];
	uint64_t folder;
	const char *out;

	snprintf(name, sizeof(name), "p%016llx", (unsigned long long)number);
	r = rig_call(rig.devices, FUSE_LOOKUP, 1, NULL, 0, name, sizeof(name));
	if (r || place < 0)
		return r ? r : -EMFILE;
	folder = ((struct fuse_entry_out *)rig_payload(&rig.mine))->nodeid;
	r = rig_call(rig.devices, FUSE_TMPFILE, folder, &in, sizeof(in), "/", 2);
	if (r)
		return r;
	out = rig_payload(&rig.mine);
	return rig_file_new(place, rig.devices,
			    ((const struct fuse_entry_out *)(const void *)out)->nodeid,
			    ((const struct fuse_open_out *)(const void *)(out +
				sizeof(struct fuse_entry_out)))->fh);
}

/* Return: bytes, or -errno. */
static inline int rig_rw(int fd, bool write, uint64_t pos, void *buf, uint32_t size)
{
	const struct rig_file *file = rig_file(fd);
	struct fuse_read_in in = { .offset = pos, .size = size };
	int r;

	_Static_assert(sizeof(struct fuse_read_in) == sizeof(struct fuse_write_in), "size");
	if (!file)
		return -EBADF;
	in.fh = file->fh;
	r = rig_call(file->channel, write ? FUSE_WRITE : FUSE_READ, file->ino, &in, sizeof(in),
		     buf, write ? size : 0);
	if (r)
		return r;
	if (write)
		return (int)((struct fuse_write_out *)rig_payload(&rig.mine))->size;
	r = (int)(rig.mine.size - sizeof(struct fuse_out_header));
	RIG_INSIST(r <= (int)size);
	memcpy(buf, rig_payload(&rig.mine), (size_t)r);
	return r;
}

/* ---- the agent ---- */

static inline int rig_agent_answer(void)
{
	while (sem_wait(&rig.agents.posted))
		;
	return ((struct fuse_out_header *)(void *)rig.agents.bytes)->error;
}

int __wrap_agent_new(const struct agent_params *params, struct agent **ret,
		     struct cused_error *err);
void __wrap_agent_free(struct agent *agent);
int __wrap_agent_ensure(struct agent *agent);
pid_t __wrap_agent_pid(struct agent *agent);
int __wrap_agent_look(struct agent *agent, pid_t tid, unsigned major, dev_t iommu,
		      struct agent_fd *fds, size_t n);
int __wrap_agent_deliver(struct agent *agent, pid_t tid,
			 const uint8_t token[SERVICE_TOKEN_SIZE], void (*armed)(void *arg),
			 void *arg);

int __wrap_agent_new(const struct agent_params *params, struct agent **ret,
		     struct cused_error *err)
{
	*ret = (struct agent *)&rig;
	return 0;
}

void __wrap_agent_free(struct agent *agent)
{
}

int __wrap_agent_ensure(struct agent *agent)
{
	return 0;
}

pid_t __wrap_agent_pid(struct agent *agent)
{
	return 0;
}

int __wrap_agent_look(struct agent *agent, pid_t tid, unsigned major, dev_t iommu,
		      struct agent_fd *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct rig_file *file = rig_file(fds[i].fd);
		struct fuse_ioctl_in in = { .cmd = SERVICE_IOC_IDENTIFY,
					    .flags = FUSE_IOCTL_UNRESTRICTED,
					    .arg = fds[i].cookie };

		fds[i].err = 0;
		fds[i].iommu = -1;
		fds[i].event = fds[i].fd >= RIG_EVENTFD ? eventfd(0, EFD_CLOEXEC) : -1;
		if (!file && fds[i].fd < RIG_EVENTFD)
			fds[i].err = -EBADF;
		if (!file || file->ino)
			continue;
		in.fh = file->fh;
		rig_send(file->channel, &rig.agents, FUSE_IOCTL, 0, &in, sizeof(in), NULL, 0);
		rig_agent_answer();
	}
	return 0;
}

/* The client's call is answered by armed(), and what it returned with does not matter. */
int __wrap_agent_deliver(struct agent *agent, pid_t tid,
			 const uint8_t token[SERVICE_TOKEN_SIZE], void (*armed)(void *arg),
			 void *arg)
{
	int fd;

	if (rig.courier && !rig.courier(false))
		return -EIO;
	fd = rig_take_device(token, &rig.agents, rig_agent_answer);
	if (fd >= 0)
		armed(arg);
	if (rig.courier)
		rig.courier(true);
	return fd;
}

/* ---- the kernel's files ---- */

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_devnode_ensure(const char *root, const char *name, dev_t dev, mode_t mode,
			  uid_t uid, gid_t gid, struct devnode *ret, struct cused_error *err);
int __wrap_devnode_restore(struct devnode *node);
int __wrap_fsopen(const char *name, unsigned flags);
int __wrap_fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux);
int __wrap_fsmount(int fd, unsigned flags, unsigned attributes);

/* A new channel, with the kernel's greeting in it. */
static inline int rig_channel(bool cuse)
{
	struct cuse_init_in cuse_in = { FUSE_KERNEL_VERSION, FUSE_KERNEL_MINOR_VERSION, 0,
					CUSE_UNRESTRICTED_IOCTL };
	struct fuse_init_in fuse_in = { .major = FUSE_KERNEL_VERSION,
					.minor = FUSE_KERNEL_MINOR_VERSION };
	int pair[2];

	RIG_INSIST(rig.n_channels < RIG_CHANNELS);
	RIG_INSIST(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	rig.kernel[rig.n_channels] = pair[0];
	rig.served[rig.n_channels] = pair[1];
	if (!cuse)
		rig.devices = rig.n_channels;
	rig_send(rig.n_channels, &rig.mine, cuse ? CUSE_INIT : FUSE_INIT, 0,
		 cuse ? (void *)&cuse_in : (void *)&fuse_in,
		 cuse ? sizeof(cuse_in) : sizeof(fuse_in), NULL, 0);
	rig.n_channels++;
	return pair[1];
}

int __wrap_open64(const char *path, int flags, ...)
{
	int fd;

	if (!strcmp(path, "/dev/cuse") || !strcmp(path, "/dev/fuse"))
		return rig_channel(!strcmp(path, "/dev/cuse"));
	if (strncmp(path, "/sys/class/cuse/", 16))
		return __real_open64(path, flags, 0600);
	fd = memfd_create("dev", MFD_CLOEXEC);
	RIG_INSIST(fd >= 0 && pwrite(fd, "240:1\n", 6, 0) == 6);
	/* The answer to the greeting has come. */
	RIG_INSIST(rig_answer() == 0);
	return fd;
}

int __wrap_devnode_ensure(const char *root, const char *name, dev_t dev, mode_t mode,
			  uid_t uid, gid_t gid, struct devnode *ret, struct cused_error *err)
{
	return 0;
}

int __wrap_devnode_restore(struct devnode *node)
{
	return 0;
}

int __wrap_fsopen(const char *name, unsigned flags)
{
	return __real_open64("/dev/null", O_RDWR | O_CLOEXEC);
}

int __wrap_fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux)
{
	return 0;
}

int __wrap_fsmount(int fd, unsigned flags, unsigned attributes)
{
	return __real_open64("/dev/null", O_RDWR | O_CLOEXEC);
}

/* ---- life ---- */

static inline void rig_service(bool retry)
{
	struct service_params params = { .prefix = "vfio", .retry = retry, .courier = true,
					 .keep = rig.keep, .fds = rig.fds,
					 .restore = rig.restore };
	struct cused_error err;

	RIG_INSIST(service_new(&params, &rig.service, &err) == 0);
}

static inline void rig_init(void)
{
	memset(&rig, 0, sizeof(rig));
	sem_init(&rig.mine.posted, 0, 0);
	sem_init(&rig.agents.posted, 0, 0);
	rig.death = -1;
	rig_client_start();
	rig.tid = rig.client;
}

/* The service, without what it serves. @retry: service_params.retry */
static inline void rig_begin(bool retry)
{
	rig_init();
	rig_service(retry);
	RIG_INSIST(rig_answer() == 0);
}

static inline void rig_add_groups(void)
{
	struct cused_error err;

	RIG_INSIST(service_add_group(rig.service, rig.world.g1, NULL, &err) == 0);
	RIG_INSIST(service_add_group(rig.service, rig.world.g2, NULL, &err) == 0);
	RIG_INSIST(service_add_group(rig.service, rig.world.emulated, NULL, &err) == 0);
}

static inline void rig_start(bool retry)
{
	struct cused_error err;

	rig_begin(retry);
	world_init(&rig.world, NULL);
	RIG_INSIST(service_start(rig.service, rig.world.topology, &err) == 0);
	rig_add_groups();
}

/* The channel of a node; the first is that of device files. */
static inline int rig_node(enum rig_node node)
{
	return 1 + (int)node;
}

/* The service has stopped, and what it served is gone. */
static inline void rig_end(void)
{
	for (int i = 0; i < rig.n_channels; i++) {
		if (rig.kernel[i] >= 0)
			close(rig.kernel[i]);
	}
	kill(rig.client, SIGKILL);
	waitpid(rig.client, NULL, 0);
	munmap(rig_memory, RIG_PAGES * RIG_PAGE);
}

static inline void rig_stop(void)
{
	for (int i = 0; i < RIG_FILES; i++)
		rig_close(i + RIG_FD);
	RIG_INSIST(service_stop(rig.service) == 0);
	world_done(&rig.world);
	rig_end();
}

#endif
