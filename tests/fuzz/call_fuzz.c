/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz/call_fuzz.c - a client that does anything, in any order, to the real core.
 *
 * The input is a list of actions: opens, closes, copies of fds, ioctls with any argument
 * in memory of which some pages are closed and which may change between the fetches of a
 * call, reads and writes of devices, signals of eventfds, DMA. Calls may be stopped before
 * they act, and given up there. Half of the actions know what a sensible argument looks like, so that
 * the states behind the first checks are reached; the other half do not.
 *
 * What must hold whatever happens: no step faults, an answer is an errno or a small
 * number and lies where it was said to, and when all fds are closed nothing of the client is held any more.
 */
#include <stdio.h>

#define HARNESS_NO_THREADS	/* they would take most of the time */
#include "unit/harness.h"

#define MAX_ACTIONS 300

struct input {
	const uint8_t *at;
	size_t left;
};

static uint64_t take(struct input *in, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++) {
		if (!in->left)
			break;
		v |= (uint64_t)*in->at++ << (8 * i);
		in->left--;
	}
	return v;
}

/* ---- the world ---- */

/* One where RLIMIT_MEMLOCK counts and one where it does not. They are made once: an input
 * leaves everything closed, so the next one finds them as new. */
static struct world worlds[2], world;
static struct client client;
static struct paged_mm other_memory;	/* of another process with the same fds */

#define INSIST(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); \
			abort(); \
		} \
	} while (0)

static void check_result(int64_t r)
{
	INSIST(r >= -4095 && r <= 65535);
}

/* Bytes at the start of page 0, where most arguments are, change before a fetch. */
static struct input *changes_from;
static unsigned changes;

static void change_memory(struct client *c)
{
	if (!changes || !changes_from)
		return;
	changes--;
	for (unsigned n = (unsigned)take(changes_from, 1) % 4; n; n--) {
		size_t at = take(changes_from, 1) % 64;

		c->memory.bytes[at] = (uint8_t)take(changes_from, 1);
	}
}

static int take_fd(struct input *in)
{
	uint8_t v = (uint8_t)take(in, 1);

	return v < 0xf0 ? 3 + v % 16 : (int)(int8_t)v;
}

static struct client_file *take_device(struct input *in, int *ret_fd)
{
	int fd = take_fd(in);
	struct client_file *file = client_file(&client, fd);

	*ret_fd = fd;
	return file && file->object.kind == OBJECT_DEVICE ? file : NULL;
}

static struct group *take_group(struct input *in)
{
	struct group *const groups[] = { world.g1, world.g2, world.emulated, world.noiommu };

	return groups[take(in, 1) % 4];
}

/* A number of pages, or now and then anything. */
static uint64_t take_pages(struct input *in)
{
	uint8_t v = (uint8_t)take(in, 1);

	return v < 0xf0 ? (uint64_t)(v % 32) * PAGED_MM_PAGE : take(in, 8);
}

static uint64_t take_vaddr(struct input *in)
{
	return PAGED_MM_BASE + take_pages(in);
}

/* ---- actions ---- */

static void do_open_container(struct input *in)
{
	client_open_container(&client, world.topology);
}

static void do_open_group(struct input *in)
{
	client_open_group(&client, take_group(in));
}

static void do_close(struct input *in)
{
	client_close(&client, take_fd(in));
}

static void do_dup(struct input *in)
{
	client_dup(&client, take_fd(in));
}

static void do_eventfd(struct input *in)
{
	if (take(in, 1) % 8)
		client_eventfd(&client);
	else
		client_other_file(&client);
}

static void do_signal(struct input *in)
{
	int fd = take_fd(in);

	if (client_file(&client, fd) && client_file(&client, fd)->eventfd)
		client_signal(&client, fd);
}

static void do_raw_ioctl(struct input *in)
{
	int fd = take_fd(in);
	uint8_t nr = (uint8_t)take(in, 1), how = (uint8_t)take(in, 1);
	unsigned cmd = nr < 0xf0 ? _IO(VFIO_TYPE, 100 + nr % 24) : (unsigned)take(in, 4);
	uint64_t arg;

	if (how < 0x20) {
		arg = take(in, 8);
	} else {
		size_t len = take(in, 1) % 64;
		uint8_t *bytes;

		arg = client_page(how % 4) + take(in, 2) % PAGED_MM_PAGE;
		bytes = client_at(&client, arg);
		for (size_t i = 0; i < len; i++)
			bytes[i] = (uint8_t)take(in, 1);
	}
	check_result(client_ioctl(&client, fd, cmd, arg));
}

static void do_set_container(struct input *in)
{
	int group = take_fd(in);

	check_result(client_set_container(&client, group, take_fd(in)));
}

static void do_set_iommu(struct input *in)
{
	int fd = take_fd(in);
	uint8_t id = (uint8_t)take(in, 1);

	check_result(client_ioctl(&client, fd, id & 0x80 ? VFIO_CHECK_EXTENSION :
				  VFIO_SET_IOMMU, id & 15));
}

static void do_get_device(struct input *in)
{
	static const char *const names[] = { "0000:01:00.0", "0000:01:00.1", "0000:02:00.0",
		"0000:03:00.0", "0000:04:00.0", "", "0000:01:00.0 ",
		"0000:02:00.0 vf_token=00112233-4455-6677-8899-aabbccddeeff", "0000:01:00.01" };
	int fd = take_fd(in);

	check_result(client_get_device(&client, fd,
				       names[take(in, 1) % (sizeof(names) / sizeof(names[0]))]));
}

static void do_map(struct input *in)
{
	int fd = take_fd(in);
	unsigned flags = (unsigned)take(in, 1) % 9;
	uint64_t vaddr = take_vaddr(in), iova = take_pages(in), size = take_pages(in);

	check_result(client_map(&client, fd, flags, vaddr, iova, size));
}

static void do_unmap(struct input *in)
{
	struct {
		struct vfio_iommu_type1_dma_unmap unmap;
		struct vfio_bitmap bitmap;
	} arg = { { .argsz = sizeof(arg) }, { .pgsize = PAGED_MM_PAGE } };
	int fd = take_fd(in);

	arg.unmap.flags = (uint32_t)take(in, 1) % 9;
	arg.unmap.iova = take_pages(in);
	arg.unmap.size = take_pages(in);
	arg.bitmap.size = take(in, 1) % 16;
	arg.bitmap.data = (void *)(uintptr_t)(take_vaddr(in) + take(in, 1));
	check_result(client_ioctl_struct(&client, fd, VFIO_IOMMU_UNMAP_DMA, &arg, sizeof(arg)));
}

static void do_dirty(struct input *in)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap dirty;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} arg = { { .argsz = sizeof(arg) }, { .bitmap = { .pgsize = PAGED_MM_PAGE } } };
	int fd = take_fd(in);

	arg.dirty.flags = (uint32_t)take(in, 1) % 8;
	arg.get.iova = take_pages(in);
	arg.get.size = take_pages(in);
	arg.get.bitmap.size = take(in, 1) % 64;
	arg.get.bitmap.data = (void *)(uintptr_t)(take_vaddr(in) + take(in, 1));
	check_result(client_ioctl_struct(&client, fd, VFIO_IOMMU_DIRTY_PAGES, &arg,
					 sizeof(arg)));
}

static void do_irqs(struct input *in)
{
	struct {
		struct vfio_irq_set set;
		int32_t fds[16];
	} arg = { .set = { .argsz = sizeof(arg) } };
	int fd = take_fd(in);

	arg.set.flags = (uint32_t)take(in, 1) % 64;
	arg.set.index = (uint32_t)take(in, 1) % 6;
	arg.set.start = (uint32_t)take(in, 1) % 10;
	arg.set.count = (uint32_t)take(in, 1) % 10;
	for (unsigned i = 0; i < arg.set.count; i++)
		arg.fds[i] = take_fd(in);
	check_result(client_ioctl_struct(&client, fd, VFIO_DEVICE_SET_IRQS, &arg, sizeof(arg)));
}

static void do_ioeventfd(struct input *in)
{
	struct vfio_device_ioeventfd arg = { .argsz = sizeof(arg) };
	int fd = take_fd(in);

	arg.flags = (uint32_t)take(in, 1) % 17;
	arg.offset = CLIENT_REGION(take(in, 1) % 8) + take(in, 2);
	arg.data = take(in, 1);
	arg.fd = take_fd(in);
	check_result(client_ioctl_struct(&client, fd, VFIO_DEVICE_IOEVENTFD, &arg, sizeof(arg)));
}

static void do_feature(struct input *in)
{
	struct {
		uint32_t argsz, flags;
		int32_t data[4];
	} arg = { .argsz = sizeof(arg) };
	int fd = take_fd(in);

	arg.flags = ((uint32_t)take(in, 1) % 8) << 16 | (uint32_t)take(in, 1) % 14;
	arg.data[0] = take_fd(in);
	check_result(client_ioctl_struct(&client, fd, VFIO_DEVICE_FEATURE, &arg, sizeof(arg)));
}

static void do_hot_reset(struct input *in)
{
	struct {
		struct vfio_pci_hot_reset reset;
		int32_t fds[4];
	} arg = { .reset = { .argsz = sizeof(arg) } };
	int fd = take_fd(in);

	arg.reset.count = (uint32_t)take(in, 1) % 4;
	for (unsigned i = 0; i < arg.reset.count; i++)
		arg.fds[i] = take_fd(in);
	check_result(client_ioctl_struct(&client, fd, VFIO_DEVICE_PCI_HOT_RESET, &arg,
					 sizeof(arg)));
}

static void do_access(struct input *in)
{
	static uint8_t bytes[512];
	int fd;
	struct client_file *file = take_device(in, &fd);
	uint8_t region = (uint8_t)take(in, 1);
	uint64_t pos = CLIENT_REGION(region % 11);
	size_t len = take(in, 1);

	pos += region & 0x80 ? take(in, 5) : take(in, 2) % 0x4100;
	if (!file)
		return;
	if (region & 0x40) {
		for (size_t i = 0; i < len && i < 8; i++)
			bytes[i] = (uint8_t)take(in, 1);
		check_result(client_write(&client, fd, pos, bytes, len));
	} else {
		check_result(client_read(&client, fd, pos, bytes, len));
	}
}

static void do_mmap(struct input *in)
{
	int fd;
	struct client_file *file = take_device(in, &fd);
	uint64_t pos = CLIENT_REGION(take(in, 1) % 11) + take_pages(in), len = take_pages(in);

	if (file)
		check_result(device_mmap_check(file->object.device, pos, len,
					       take(in, 1) % 8));
}

static void do_dma(struct input *in)
{
	int fd;
	struct client_file *file = take_device(in, &fd);
	uint64_t iova = take_pages(in) + take(in, 1);
	uint64_t way = 1 + take(in, 1) % 2;

	if (!file)
		return;
	client_bus_master(&client, fd, take(in, 1) % 8);
	client_write(&client, fd, SCRATCH_IOVA, &iova, sizeof(iova));
	client_write(&client, fd, SCRATCH_DMA, &way, sizeof(way));
}

static void do_protect(struct input *in)
{
	unsigned first = (unsigned)take(in, 1) % CLIENT_PAGES;
	unsigned count = (unsigned)take(in, 1) % 8;

	if (count > CLIENT_PAGES - first)
		count = CLIENT_PAGES - first;
	paged_mm_protect(&client.memory, client_page(first), count, take(in, 1) % 4);
}

static void do_rights(struct input *in)
{
	uint8_t v = (uint8_t)take(in, 1);

	client.caller.cap_sys_rawio = v & 1;
	client.caller.cap_ipc_lock = v & 2;
	client.caller.memlock_limit = v & 4 ? (v >> 4) * 4ull * PAGED_MM_PAGE : UINT64_MAX;
	client.caller.mm = v & 8 ? &other_memory.mm : &client.memory.mm;
	client.memory.shareable = v & 0x80;
}

/* How calls go from now on. */
static void do_way(struct input *in)
{
	uint8_t v = (uint8_t)take(in, 1);

	client.hold = v & 1;
	client.give_up = (v & 3) == 3 && v & 0x80;
	changes = v & 4 ? v >> 3 : 0;
}

static void do_owner(struct input *in)
{
	struct group *group = take_group(in);

	group_set_foreign_owner(group, take(in, 1) % 4 == 0);
}

static void do_request(struct input *in)
{
	struct device *const devices[] = { world.d10, world.d20, world.d30, world.d40 };
	uint8_t v = (uint8_t)take(in, 1);

	if (v & 4)
		device_signal_req(devices[v % 4]);
	else
		device_signal_err(devices[v % 4]);
}

/* One bundle of calls makes a device usable, so that inputs need not find it again. */
static void do_all(struct input *in)
{
	struct group *const groups[] = { world.g1, world.g2, world.emulated };
	static const char *const names[] = { "0000:01:00.0", "0000:02:00.0", "0000:03:00.0" };
	uint8_t v = (uint8_t)take(in, 1);
	int container = client_open_container(&client, world.topology);
	int group = client_open_group(&client, groups[v % 3]);

	client_set_container(&client, group, container);
	client_ioctl(&client, container, VFIO_SET_IOMMU, v & 0x80 ? 1 : 3);
	client_get_device(&client, group, names[v % 3]);
}

static void (*const actions[])(struct input *in) = {
	do_open_container, do_open_group, do_close, do_close, do_dup, do_eventfd, do_signal,
	do_raw_ioctl, do_raw_ioctl, do_raw_ioctl, do_set_container, do_set_container,
	do_set_iommu, do_get_device, do_map, do_map, do_unmap, do_dirty, do_irqs, do_irqs,
	do_irqs, do_ioeventfd, do_feature, do_hot_reset, do_access, do_access, do_access,
	do_mmap, do_dma, do_protect, do_rights, do_owner, do_request, do_all, do_all,
	do_way,
};

static void check_end(void)
{
	for (int fd = 0; fd < CLIENT_FDS; fd++)
		client_close(&client, fd);
	INSIST(!client.beyond_span);
	INSIST(!device_is_open(world.d10) && !device_is_open(world.d11));
	INSIST(!device_is_open(world.d20) && !device_is_open(world.d30));
	INSIST(!device_is_open(world.d40));
	INSIST(client.memory.mm.locked_pages == 0 && other_memory.mm.locked_pages == 0);
	INSIST(client.memory.shares == 0 && other_memory.shares == 0);
	INSIST(client_exit(&client));
	INSIST(paged_mm_done(&other_memory));
	group_set_foreign_owner(world.g1, false);
	group_set_foreign_owner(world.g2, false);
}

static void choose_world(bool memlock_enforced)
{
	struct topology_params params = { .unsafe_noiommu = true, .dma_entry_limit = 8,
		.memlock_enforced = memlock_enforced };
	struct world *w = &worlds[memlock_enforced];

	if (!w->topology)
		world_init(w, &params);
	world = *w;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	choose_world(take(&in, 1) & 1);
	client_init(&client);
	client.between = change_memory;
	changes_from = &in;
	changes = 0;
	paged_mm_init(&other_memory, CLIENT_PAGES);
	for (unsigned i = 0; i < MAX_ACTIONS && in.left; i++)
		actions[take(&in, 1) % (sizeof(actions) / sizeof(actions[0]))](&in);
	changes_from = NULL;
	check_end();
	return 0;
}
