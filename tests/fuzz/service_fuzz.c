/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz/service_fuzz.c - a client of the service that does anything: the requests that the
 * kernel makes of its calls go to the real service (unit/cuse_rig.h).
 *
 * The input is a list of actions: opens and closes, ioctls of ours and VFIO's with
 * arguments in memory that changes between the rounds of a retry, tokens good and bad,
 * reads and writes of device files, calls of clients that cannot be looked at.
 *
 * What must hold: each request is answered once and in the form that the kernel wants
 * (the rig sees to that), and when all is closed, nothing is open.
 */
#define HARNESS_NO_THREADS	/* they would take most of the time */
#include <unit/cuse_rig.h>

#define MAX_ACTIONS 60

struct input {
	const uint8_t *at;
	size_t left;
};

static struct input in;
static unsigned changes;		/* of the memory between two rounds, at most */
/* All that came; each is brought in the end, so that no device waits for it. */
static uint8_t tokens[MAX_ACTIONS][SERVICE_TOKEN_SIZE];
static unsigned n_tokens;

static uint64_t take(size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n && in.left; i++, in.left--)
		v |= (uint64_t)*in.at++ << (8 * i);
	return v;
}

static int take_fd(void)
{
	uint8_t v = (uint8_t)take(1);

	return v < 0xf0 ? RIG_FD + v % (RIG_FILES + 2) : v < 0xf8 ? RIG_EVENTFD : -1;
}

/* Mostly at the start of a page, at its end, or near a page that is closed. */
static uint64_t take_address(void)
{
	uint8_t v = (uint8_t)take(1);

	if (v >= 0xf0)
		return rig.tid ? RIG_BASE - v : take(8);
	return RIG_BASE + (v % RIG_PAGES) * RIG_PAGE + (v & 0x40 ? RIG_PAGE - v % 64 : 0);
}

static void poke(uint64_t addr, uint8_t byte)
{
	if (addr - RIG_BASE < RIG_PAGES * RIG_PAGE)
		rig_memory[addr - RIG_BASE] = byte;
}

static uint64_t where;			/* the argument of the ioctl at work */

static void change_memory(void)
{
	if (changes == 0)
		return;
	changes--;
	for (unsigned n = take(1) % 8; n; n--) {
		uint64_t at = where + take(1) % 40;

		poke(at, (uint8_t)take(1));
	}
}

static int call(int fd, uint32_t cmd, uint64_t arg)
{
	int r;

	where = arg;
	changes = 4;
	r = rig_ioctl(fd, cmd, arg);
	RIG_INSIST(r >= -4095 && r <= 65535);
	if (r == 0 && cmd == SERVICE_IOC_DEVICE_TOKEN)
		RIG_INSIST(rig_copy(arg + offsetof(struct service_device_token, token),
				    tokens[n_tokens++], SERVICE_TOKEN_SIZE, false));
	return r;
}

static void do_open(void)
{
	rig_open(rig_node((enum rig_node)(take(1) % RIG_NODES)));
}

static void do_close(void)
{
	rig_close(take_fd());
}

static void do_ioctl(void)
{
	int fd = take_fd();
	uint8_t nr = (uint8_t)take(1);
	uint64_t arg = take_address();
	uint32_t cmd = nr < 0xe0 ? (uint32_t)_IO(VFIO_TYPE, 100 + nr % 22) :
		       nr < 0xe8 ? (uint32_t)SERVICE_IOC_DEVICE_TOKEN :
		       nr < 0xec ? (uint32_t)SERVICE_IOC_IDENTIFY : (uint32_t)take(4);

	for (size_t i = 0, n = take(1) % 64; i < n; i++)
		poke(arg + i, (uint8_t)take(1));
	call(fd, cmd, arg);
}

static void do_argsz(void)
{
	uint64_t arg = take_address();

	for (unsigned i = 0; i < 8; i++)
		poke(arg + i, i < 4 ? (uint8_t)take(1) : 0);
	call(take_fd(), (uint32_t)_IO(VFIO_TYPE, 100 + take(1) % 22), arg);
}

static void do_set_container(void)
{
	int group = take_fd();
	int32_t fd = take_fd();

	memcpy(rig_memory, &fd, sizeof(fd));
	call(group, VFIO_GROUP_SET_CONTAINER, RIG_BASE);
}

static void do_set_iommu(void)
{
	int fd = take_fd();

	call(fd, VFIO_SET_IOMMU, take(1) % 10);
}

static void put_name(uint64_t addr)
{
	static const char *const names[] = { "0000:01:00.0", "0000:01:00.1", "0000:02:00.0",
					     "0000:03:00.0", "nothing" };
	const char *name = names[take(1) % 5];

	for (size_t i = 0; i <= strlen(name); i++)
		poke(addr + i, (uint8_t)name[i]);
}

static void do_get_device(void)
{
	uint64_t addr = take_address();
	int fd = take_fd();

	put_name(addr);
	call(fd, VFIO_GROUP_GET_DEVICE_FD, addr);
}

static void do_token(void)
{
	struct service_device_token arg = { .name = take_address() };
	uint64_t addr = take_address();
	int fd = take_fd();

	put_name(arg.name);
	for (size_t i = 0; i < sizeof(arg); i++)
		poke(addr + i, ((uint8_t *)&arg)[i]);
	call(fd, SERVICE_IOC_DEVICE_TOKEN, addr);
}

/* As exec does it, with a token that was perhaps used, or is wrong. */
static void do_redeem(void)
{
	uint8_t which = (uint8_t)take(1), spoil = (uint8_t)take(1);
	uint8_t token[SERVICE_TOKEN_SIZE] = { 0 };

	if (n_tokens)
		memcpy(token, tokens[which % n_tokens], sizeof(token));
	if (spoil >= 0xc0)
		token[spoil % sizeof(token)] ^= 1;
	rig_take_device(token, &rig.mine, rig_answer);
}

static void do_rw(void)
{
	static uint8_t bytes[8192];
	int fd = take_fd();
	uint8_t how = (uint8_t)take(1);
	uint64_t pos = ((uint64_t)(how % 11) << 40) + (how & 0x40 ? take(8) : take(2));
	uint32_t size = how & 0x20 ? (uint32_t)take(2) % sizeof(bytes) : (uint32_t)take(1) % 9;

	for (size_t i = 0; how & 0x80 && i < size && i < 8; i++)
		bytes[i] = (uint8_t)take(1);
	/* The kernel gives no position beyond what a file can have. */
	rig_rw(fd, how & 0x80, pos & INT64_MAX, bytes, size);
}

static void do_irqs(void)
{
	struct {
		struct vfio_irq_set set;
		int32_t fds[8];
	} arg = { .set = { .argsz = sizeof(arg), .flags = (uint32_t)take(1) % 64,
			   .index = (uint32_t)take(1) % 5, .start = (uint32_t)take(1) % 4,
			   .count = (uint32_t)take(1) % 9 } };
	int fd = take_fd();

	for (unsigned i = 0; i < 8; i++)
		arg.fds[i] = take_fd();
	memcpy(rig_memory, &arg, sizeof(arg));
	call(fd, VFIO_DEVICE_SET_IRQS, RIG_BASE);
}

/* Who calls from now on: the client, or one of another pid namespace. */
static void do_caller(void)
{
	rig.tid = take(1) & 1 ? rig.client : 0;
	rig.uid = (unsigned)take(1) % 3;
}

static void do_all(void)
{
	pid_t tid = rig.tid;
	int container = rig_open(rig_node(RIG_CONTAINER)), group;
	int32_t fd = container;

	rig.tid = rig.client;
	group = rig_open(rig_node(RIG_GROUP1));
	memcpy(rig_memory, &fd, sizeof(fd));
	call(group, VFIO_GROUP_SET_CONTAINER, RIG_BASE);
	call(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	strcpy((char *)rig_memory + 64, "0000:01:00.0");
	call(group, VFIO_GROUP_GET_DEVICE_FD, RIG_BASE + 64);
	rig.tid = tid;
}

static void (*const actions[])(void) = {
	do_open, do_close, do_ioctl, do_ioctl, do_argsz, do_argsz, do_set_container,
	do_set_iommu, do_get_device, do_token, do_redeem, do_rw, do_rw, do_irqs, do_caller,
	do_all,
};

static void close_all(void)
{
	for (int i = 0; i < RIG_FILES; i++)
		rig_close(i + RIG_FD);
}

static bool anything_open(void)
{
	struct service_status status;

	service_get_status(rig.service, &status);
	return status.open_files || status.device_files || device_is_open(rig.world.d10) ||
	       device_is_open(rig.world.d11) || device_is_open(rig.world.d20) ||
	       device_is_open(rig.world.d30);
}

static void check_end(void)
{
	close_all();
	while (n_tokens) {
		rig_take_device(tokens[--n_tokens], &rig.mine, rig_answer);
		rig_close(RIG_FD);
	}
	/* Whoever delivers a device file may still be at work after the call was answered. */
	for (unsigned tries = 0; tries < 100000 && anything_open(); tries++)
		sched_yield();
	RIG_INSIST(!anything_open());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!rig.service) {
		rig_start(false);
		rig.between = change_memory;
		atexit(rig_stop);
	}
	in = (struct input){ data, size };
	rig.tid = rig.client;
	rig.uid = 0;
	memset(rig_memory, 0, RIG_PAGES * RIG_PAGE);
	for (unsigned i = 0; i < MAX_ACTIONS && in.left; i++)
		actions[take(1) % (sizeof(actions) / sizeof(actions[0]))]();
	check_end();
	return 0;
}
