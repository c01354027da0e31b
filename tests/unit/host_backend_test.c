/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backends/device/host against a machine of the test's own: the few ioctls of device nodes and
 * iommufd, with the rules of theirs that matter. The real ones are those of vm/iommufd.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/vfio.h>

#include "../../backends/device/host/abi.h"
#include "../../backends/device/host/host_device.h"

#include <registry.h>

#define BDF "0000:00:04.0"
#define GROUP 7u
#define FILES 512

/* ---- the machine ---- */

enum kind { CLOSED, IOMMUFD, DEVICE, MEMORY };

static struct machine {
	struct {
		enum kind kind;
		int iommufd;		/* of a device: bound to */
		bool attached;
		unsigned ioas;		/* of an iommufd: alive */
		unsigned maps;
	} files[FILES];
	unsigned pauses, by_process;
	int release_after;		/* pauses until another program's file is gone; -1 never */
	bool held;			/* by another program */
	int bind_error, attach_error, map_file_error, open_iommu_error;
	unsigned n_ranges;
	struct iommu_iova_range ranges[80];
	uint64_t page_sizes;
	uint64_t map_iova, map_length, map_start;
	uint32_t map_flags;
	unsigned map_files, unmaps;
	uint64_t version;		/* of the last SET_IOMMU */
	unsigned busy;			/* how often an IOAS is in use still */
	bool stray;			/* something is mapped where the core knows of nothing */
} machine;

static unsigned open_files(void)
{
	unsigned n = 0;

	for (int i = 0; i < FILES; i++)
		n += machine.files[i].kind != CLOSED;
	return n;
}

static int file_new(enum kind kind)
{
	for (int i = 3; i < FILES; i++) {
		if (machine.files[i].kind != CLOSED)
			continue;
		memset(&machine.files[i], 0, sizeof(machine.files[i]));
		machine.files[i].kind = kind;
		return i;
	}
	return -EMFILE;
}

static int fake_open(const char *path)
{
	if (strstr(path, "/iommu"))
		return machine.open_iommu_error ? machine.open_iommu_error : file_new(IOMMUFD);
	ck_assert_msg(strstr(path, "/vfio/devices/vfio3") != NULL, "%s", path);
	return file_new(DEVICE);
}

static bool is_bound(void)
{
	for (int i = 0; i < FILES; i++) {
		if (machine.files[i].kind == DEVICE && machine.files[i].iommufd)
			return true;
	}
	return machine.held;
}

static int bind(int fd, const struct host_bind *arg)
{
	ck_assert_uint_eq(arg->argsz, sizeof(*arg));
	if (machine.bind_error)
		return machine.bind_error;
	if (is_bound())
		return -EINVAL;						/* CD-022 */
	ck_assert_int_eq(machine.files[arg->iommufd].kind, IOMMUFD);
	machine.files[fd].iommufd = arg->iommufd;
	return 0;
}

static int device_ioctl(int fd, unsigned long cmd, void *arg)
{
	switch (cmd) {
	case HOST_DEVICE_BIND:
		return bind(fd, arg);
	case HOST_DEVICE_ATTACH:
		ck_assert_int_ne(machine.files[fd].iommufd, 0);
		ck_assert_uint_eq(((struct host_attach *)arg)->pt_id, 1);
		if (machine.attach_error)
			return machine.attach_error;
		machine.files[fd].attached = true;
		return 0;
	case HOST_DEVICE_DETACH:
		machine.files[fd].attached = false;
		return 0;
	default:
		return -ENOTTY;
	}
}

static int iova_ranges(struct iommu_ioas_iova_ranges *arg)
{
	struct iommu_iova_range *to = (void *)(uintptr_t)arg->allowed_iovas;

	for (unsigned i = 0; i < machine.n_ranges && i < arg->num_iovas; i++)
		to[i] = machine.ranges[i];
	if (machine.n_ranges > arg->num_iovas)
		return -EMSGSIZE;
	arg->num_iovas = machine.n_ranges;
	return 0;
}

static int map_file(int fd, const struct iommu_ioas_map_file *arg)
{
	ck_assert_int_eq(machine.files[arg->fd].kind, MEMORY);
	if (machine.map_file_error)
		return machine.map_file_error;
	if (machine.stray)
		return -EEXIST;
	machine.map_files++;
	machine.files[fd].maps++;
	machine.map_iova = arg->iova;
	machine.map_length = arg->length;
	machine.map_start = arg->start;
	machine.map_flags = arg->flags;
	return 0;
}

static int unmap(int fd, const struct iommu_ioas_unmap *arg)
{
	machine.unmaps++;
	machine.stray = false;
	if (machine.files[fd].maps == 0)
		return arg->length == UINT64_MAX ? 0 : -ENOENT;
	machine.files[fd].maps = arg->length == UINT64_MAX ? 0 : machine.files[fd].maps - 1;
	machine.map_iova = arg->iova;
	machine.map_length = arg->length;
	return 0;
}

static int iommu_ioctl(int fd, unsigned long cmd, void *arg)
{
	switch (cmd) {
	case IOMMU_OPTION:
		machine.by_process += ((struct iommu_option *)arg)->val64 == 1;
		return 0;
	case IOMMU_IOAS_ALLOC:
		((struct iommu_ioas_alloc *)arg)->out_ioas_id = 1;
		machine.files[fd].ioas = 1;
		return 0;
	case IOMMU_VFIO_IOAS:
		return ((struct iommu_vfio_ioas *)arg)->ioas_id == 1 ? 0 : -ENOENT;
	case IOMMU_DESTROY:
		if (machine.busy) {
			machine.busy--;
			return -EBUSY;
		}
		machine.files[fd].ioas = 0;
		machine.files[fd].maps = 0;
		return 0;
	case VFIO_SET_IOMMU:
		machine.version = (uintptr_t)arg;
		return 0;
	case IOMMU_IOAS_IOVA_RANGES:
		return iova_ranges(arg);
	case VFIO_IOMMU_GET_INFO:
		((struct vfio_iommu_type1_info *)arg)->iova_pgsizes = machine.page_sizes;
		return 0;
	case VFIO_CHECK_EXTENSION:
		return (uintptr_t)arg == VFIO_DMA_CC_IOMMU;
	case IOMMU_IOAS_MAP_FILE:
		return map_file(fd, arg);
	case IOMMU_IOAS_UNMAP:
		return unmap(fd, arg);
	default:
		return -ENOTTY;
	}
}

static int fake_ioctl(int fd, unsigned long cmd, void *arg)
{
	ck_assert_int_ne(machine.files[fd].kind, CLOSED);
	return machine.files[fd].kind == DEVICE ? device_ioctl(fd, cmd, arg) :
						  iommu_ioctl(fd, cmd, arg);
}

static void fake_close(int fd)
{
	ck_assert_int_ne(machine.files[fd].kind, CLOSED);
	machine.files[fd].kind = CLOSED;
}

static void fake_pause(void)
{
	machine.pauses++;
	if (machine.release_after >= 0 && machine.pauses >= (unsigned)machine.release_after)
		machine.held = false;
}

/* A copy of a file has a number of its own; here it is FILES more. */
static bool fake_same(int a, int b)
{
	return a % FILES == b % FILES;
}

static const struct host_machine fake_machine = {
	.dev = "/dev", .open = fake_open, .ioctl = fake_ioctl,
	.close = fake_close, .pause = fake_pause, .same = fake_same,
};

static void setup(void)
{
	machine = (struct machine){
		.release_after = -1, .n_ranges = 2, .page_sizes = 0x40201000,
		.ranges = { { 0, 0xfedfffff }, { 0xfef00000, (1ull << 39) - 1 } },
	};
	host_machine = &fake_machine;
}

static void teardown(void)
{
	ck_assert_uint_eq(open_files(), 0);
}

/* ---- the device ---- */

static const char *name(struct cused_port *port)
{
	return BDF;
}

static struct cused_host place = {
	.size = sizeof(place), .group = GROUP, .node = "/dev/vfio/devices/vfio3",
	.vendor = 0x1234, .device = 0x11e8,
};

static const struct cused_host *host(struct cused_port *port)
{
	return &place;
}

static const struct cused_services services = {
	.size = sizeof(services), .name = name, .host = host,
};
static const struct cused_device_ops *ops;
static const struct cused_iommu_ops *iommu = &host_iommu_ops;
static struct cused_error err;

static int create(void **ret)
{
	struct cused_pci pci = { 0 };
	int r;

	ops = registry_find_device("host");
	err.text[0] = '\0';
	r = ops->create(&services, NULL, NULL, &pci, ret, &err);
	if (r == 0) {
		ck_assert_uint_eq(pci.vendor, 0x1234);
		ck_assert_uint_eq(pci.device, 0x11e8);
	}
	return r;
}

static void says(const char *part)
{
	ck_assert_msg(strstr(err.text, part) != NULL, "no \"%s\" in \"%s\"", part, err.text);
}

START_TEST(each_need_is_named)
{
	void *state;

	machine.open_iommu_error = -ENOENT;
	ck_assert_int_eq(iommu->create(NULL, &state, &err), -ENOENT);
	says("/iommu");
	says("CONFIG_IOMMUFD");
	ck_assert_int_eq(create(&state), -ENOENT);
	says("CONFIG_IOMMUFD");
	machine.open_iommu_error = 0;
}
END_TEST

START_TEST(devices_of_others)
{
	void *state;

	machine.held = true;
	ck_assert_int_eq(create(&state), -EBUSY);
	says("in use");
	machine.held = false;
	machine.bind_error = -EPERM;
	ck_assert_int_eq(create(&state), -EPERM);
	says("allow_unsafe_interrupts");
	machine.bind_error = -EIO;
	ck_assert_int_eq(create(&state), -EIO);
	says("/vfio/devices/vfio3");
}
END_TEST

/* ---- the seat ---- */

static void *device, *state, *domain;

static void setup_seated(void)
{
	setup();
	ck_assert_int_eq(create(&device), 0);
	ck_assert_int_eq(iommu->create(NULL, &state, &err), 0);
	ck_assert_int_eq(iommu->domain_new(state, &domain), 0);
	ck_assert_uint_eq(open_files(), 1);
	ck_assert_int_eq(iommu->attach(domain, GROUP), 0);
	ck_assert_uint_eq(open_files(), 2);
}

static void teardown_seated(void)
{
	iommu->detach(domain, GROUP);
	iommu->domain_free(domain);
	iommu->destroy(state);
	ops->destroy(device);
	teardown();
}

/* One that is plugged in, or bound again, beside another of its group that a client has: a try by
 * an iommufd of its own would be refused. */
START_TEST(a_device_comes_into_a_group_in_use)
{
	void *second;
	intptr_t fd;

	ck_assert_int_eq(create(&second), 0);
	ck_assert_uint_eq(open_files(), 2);
	/* This machine has one node for both. */
	ck_assert_int_eq(ops->take_file(device, &fd), 0);
	fake_close((int)fd);
	ck_assert_int_eq(ops->open(second), 0);
	ck_assert_int_eq(ops->take_file(second, &fd), 0);
	ck_assert(machine.files[fd].attached);
	ck_assert_int_ne(machine.files[fd].iommufd, 0);
	fake_close((int)fd);
	/* It leaves with its group. */
	iommu->detach(domain, GROUP);
	ck_assert_int_eq(ops->open(second), -ENODEV);
	ops->destroy(second);
	ck_assert_int_eq(iommu->attach(domain, GROUP), 0);
	ck_assert_uint_eq(open_files(), 2);
}
END_TEST

START_TEST(a_file_is_taken_once)
{
	intptr_t fd, other;

	ck_assert_int_eq(ops->open(device), 0);
	ck_assert_int_eq(ops->take_file(device, &fd), 0);
	ck_assert(machine.files[fd].attached);
	ck_assert_int_eq(ops->take_file(device, &other), -EBUSY);
	ck_assert_uint_eq(machine.pauses, 0);
	/* The client's last close, of which we may not have heard. */
	fake_close((int)fd);
	ck_assert_int_eq(ops->take_file(device, &fd), 0);
	fake_close((int)fd);
	/* Opened again in the same container. */
	ck_assert_int_eq(ops->open(device), 0);
	ck_assert_int_eq(ops->take_file(device, &fd), 0);
	ck_assert(machine.files[fd].attached);
	fake_close((int)fd);
}
END_TEST

START_TEST(a_file_that_is_being_closed_is_waited_for)
{
	intptr_t fd;

	ck_assert_int_eq(ops->take_file(device, &fd), 0);
	fake_close((int)fd);
	machine.held = true;
	machine.release_after = 3;
	ck_assert_int_eq(ops->open(device), 0);
	ck_assert_uint_eq(machine.pauses, 3);
}
END_TEST

/* HOST_SEAT_TRIES, and not one more. */
START_TEST(but_not_for_ever)
{
	intptr_t fd;

	ck_assert_int_eq(ops->take_file(device, &fd), 0);
	machine.held = true;
	ck_assert_int_eq(ops->open(device), -EBUSY);
	ck_assert_uint_eq(machine.pauses, HOST_SEAT_TRIES);
	machine.held = false;
	fake_close((int)fd);
}
END_TEST

START_TEST(nothing_is_left_of_an_attach_that_fails)
{
	iommu->detach(domain, GROUP);
	machine.attach_error = -EADDRINUSE;
	ck_assert_int_eq(iommu->attach(domain, GROUP), -EADDRINUSE);
	ck_assert_uint_eq(open_files(), 1);
	machine.attach_error = 0;
	ck_assert_int_eq(iommu->attach(domain, GROUP + 1), -ENODEV);
	/* Whose group is in no container cannot be opened. */
	ck_assert_int_eq(ops->open(device), -ENODEV);
}
END_TEST

/* The client keeps its file: then nothing is mapped any more. */
START_TEST(a_group_leaves_with_its_device_open)
{
	intptr_t fd;

	ck_assert_int_eq(ops->take_file(device, &fd), 0);
	machine.files[machine.files[fd].iommufd].maps = 2;
	iommu->detach(domain, GROUP);
	iommu->domain_free(domain);
	ck_assert_int_eq(machine.files[machine.files[fd].iommufd].kind, CLOSED);
	ck_assert_uint_eq(machine.files[machine.files[fd].iommufd].maps, 0);
	fake_close((int)fd);
	ck_assert_int_eq(iommu->domain_new(state, &domain), 0);
}
END_TEST

/* ---- properties ---- */

START_TEST(what_can_be_mapped)
{
	struct cused_iommu_geometry g;

	ck_assert_int_eq(iommu->geometry(state, GROUP, &g), 0);
	ck_assert_uint_eq(g.page_sizes, 0x40201000);
	ck_assert_uint_eq(g.aperture.first, 0);
	ck_assert_uint_eq(g.aperture.last, (1ull << 39) - 1);
	ck_assert_uint_eq(g.n_resv, 1);
	ck_assert_uint_eq(g.resv[0].range.first, 0xfee00000);
	ck_assert_uint_eq(g.resv[0].range.last, 0xfeefffff);
	ck_assert_uint_eq(iommu->flags(state), 0);
	ck_assert_uint_eq(iommu->domain_flags(domain), CUSED_IOMMU_COHERENT);
	ck_assert_uint_gt(machine.by_process, 0);
	iommu->detach(domain, GROUP);
	ck_assert_int_eq(iommu->geometry(state, GROUP, &g), -ENODEV);
}
END_TEST

/* As many holes as a geometry has room for, and one more. */
START_TEST(many_reserved_ranges)
{
	struct cused_iommu_geometry g;

	machine.n_ranges = CUSED_IOMMU_RESV_MAX + 1;
	for (unsigned i = 0; i < 80; i++)
		machine.ranges[i] = (struct iommu_iova_range){ i * 0x10000ull,
							       i * 0x10000ull + 0xfff };
	ck_assert_int_eq(iommu->geometry(state, GROUP, &g), 0);
	ck_assert_uint_eq(g.n_resv, CUSED_IOMMU_RESV_MAX);
	machine.n_ranges++;
	ck_assert_int_eq(iommu->geometry(state, GROUP, &g), -EMSGSIZE);
}
END_TEST

/* ---- mapping ---- */

static struct {
	int file_error, call_error, result;
	unsigned fail_at;		/* the call that fails, from 1 */
	unsigned calls;
	struct iommu_ioas_map last;
} lent;

static int lend_file(struct cused_lender *lender, uint64_t vaddr, uint64_t len, unsigned prot,
		     int *ret_fd, uint64_t *ret_offset)
{
	if (lent.file_error)
		return lent.file_error;
	*ret_fd = file_new(MEMORY);
	*ret_offset = vaddr + 0x100000;
	return 0;
}

static int lend_call(struct cused_lender *lender, int fd, unsigned long cmd, void *arg,
		     size_t len, int *ret_result)
{
	ck_assert_uint_eq(cmd, IOMMU_IOAS_MAP);
	ck_assert_uint_le(len, CUSED_LENDER_ARG);
	ck_assert_int_eq(machine.files[fd].kind, IOMMUFD);
	lent.calls++;
	memcpy(&lent.last, arg, sizeof(lent.last));
	if (lent.fail_at && lent.calls < lent.fail_at) {
		*ret_result = 0;
		machine.files[fd].maps++;
		return 0;
	}
	if (lent.call_error)
		return lent.call_error;
	*ret_result = lent.result;
	if (lent.result == 0)
		machine.files[fd].maps++;
	return 0;
}

static struct cused_lender lender = { .size = sizeof(lender), .file = lend_file,
				      .call = lend_call };

static int map(uint64_t iova, uint64_t size, unsigned prot, struct cused_lender *by)
{
	struct cused_iommu_map m = { .iova = { iova, iova + size - 1 }, .vaddr = 0x5000,
				     .prot = prot, .lender = by };

	return iommu->map(domain, &m);
}

static void setup_lender(void)
{
	memset(&lent, 0, sizeof(lent));
	setup_seated();
}

START_TEST(by_file_where_possible)
{
	ck_assert_int_eq(map(0x10000, 0x3000, CUSED_PROT_READ, &lender), 0);
	ck_assert_uint_eq(machine.map_files, 1);
	ck_assert_uint_eq(lent.calls, 0);
	ck_assert_uint_eq(machine.map_iova, 0x10000);
	ck_assert_uint_eq(machine.map_length, 0x3000);
	ck_assert_uint_eq(machine.map_start, 0x105000);
	ck_assert_uint_eq(machine.map_flags, IOMMU_MAP_FIXED_IOVA | IOMMU_MAP_READABLE);
	ck_assert_uint_eq(open_files(), 2);	/* the memory's is closed */
	iommu->unmap(domain, (struct cused_range){ 0x10000, 0x12fff });
	ck_assert_uint_eq(machine.map_length, 0x3000);
}
END_TEST

START_TEST(else_by_call)
{
	static const int others[] = { -ENOTTY, -EOPNOTSUPP, -EINVAL, -EFAULT };

	lent.file_error = -EOPNOTSUPP;
	ck_assert_int_eq(map(0x10000, 0x3000, CUSED_PROT_READ | CUSED_PROT_WRITE, &lender), 0);
	ck_assert_uint_eq(lent.calls, 1);
	ck_assert_uint_eq(lent.last.user_va, 0x5000);
	ck_assert_uint_eq(lent.last.iova, 0x10000);
	ck_assert_uint_eq(lent.last.length, 0x3000);
	ck_assert_uint_eq(lent.last.flags, IOMMU_MAP_FIXED_IOVA | IOMMU_MAP_READABLE |
					   IOMMU_MAP_WRITEABLE);
	/* Where the kernel does not map the file. */
	lent.file_error = 0;
	for (unsigned i = 0; i < 4; i++) {
		machine.map_file_error = others[i];
		ck_assert_int_eq(map(0x20000 + i * 0x1000, 0x1000, 1, &lender), 0);
		ck_assert_uint_eq(lent.calls, i + 2);
	}
	machine.map_file_error = -ENOMEM;
	ck_assert_int_eq(map(0x40000, 0x1000, 1, &lender), -ENOMEM);
	lent.file_error = -EFAULT;
	ck_assert_int_eq(map(0x40000, 0x1000, 1, &lender), -EFAULT);
	ck_assert_uint_eq(lent.calls, 5);
}
END_TEST

START_TEST(much_memory_by_several_calls)
{
	uint64_t gib = 1ull << 30;

	lent.file_error = -EOPNOTSUPP;
	ck_assert_int_eq(map(gib, 2 * gib + 0x1000, 3, &lender), 0);
	ck_assert_uint_eq(lent.calls, 3);
	ck_assert_uint_eq(lent.last.iova, 3 * gib);
	ck_assert_uint_eq(lent.last.user_va, 0x5000 + 2 * gib);
	ck_assert_uint_eq(lent.last.length, 0x1000);
	lent.calls = 0;
	ck_assert_int_eq(map(8 * gib, gib, 3, &lender), 0);
	ck_assert_uint_eq(lent.calls, 1);
}
END_TEST

/* What one call has mapped is taken back if the next fails, however it does. */
START_TEST(calls_that_fail_leave_nothing)
{
	uint64_t gib = 1ull << 30;

	lent.file_error = -EOPNOTSUPP;
	lent.fail_at = 2;
	lent.result = -ENOMEM;
	machine.unmaps = 0;
	ck_assert_int_eq(map(gib, 2 * gib, 3, &lender), -ENOMEM);
	ck_assert_uint_eq(machine.unmaps, 1);
	ck_assert_uint_eq(machine.map_iova, gib);
	ck_assert_uint_eq(machine.map_length, 2 * gib);
	lent.calls = 0;
	lent.fail_at = 0;
	lent.call_error = -ESRCH;
	ck_assert_int_eq(map(gib, 0x1000, 3, &lender), -ESRCH);
	ck_assert_uint_eq(machine.unmaps, 2);
}
END_TEST

/* T1-032 */
START_TEST(memory_that_cannot_be_had)
{
	ck_assert_int_eq(map(0x1000, 0x1000, 3, NULL), -EFAULT);
	lent.file_error = lent.call_error = -EOPNOTSUPP;
	ck_assert_int_eq(map(0x1000, 0x1000, 3, &lender), -EFAULT);
}
END_TEST

/* ---- swap ---- */

static int swap_result, given;

static int lend_swap(struct cused_lender *by, int fd)
{
	ck_assert_int_eq(machine.files[fd].kind, IOMMUFD);
	/* The version is for what comes after. */
	ck_assert_uint_eq(machine.version, 0);
	given = fd;
	return swap_result;
}

static struct cused_lender swapper = { .size = sizeof(swapper), .swap = lend_swap };

START_TEST(a_container_becomes_an_iommufd)
{
	struct cused_lender old = swapper;
	intptr_t fd;

	old.size = offsetof(struct cused_lender, swap);
	ck_assert_int_eq(iommu->swap(domain, &old, 2), 0);
	ck_assert_int_eq(iommu->swap(domain, &lender, 2), 0);
	swap_result = 0;
	given = -1;
	ck_assert_int_eq(iommu->swap(domain, &swapper, 1), 1);
	ck_assert_uint_eq(machine.version, VFIO_TYPE1_IOMMU);
	ck_assert(iommu->is_file(domain, given + FILES));
	ck_assert(!iommu->is_file(domain, given + 1));
	/* Its device's, and what it maps, are the client's until it closes them. */
	ck_assert_int_eq(ops->take_file(device, &fd), 0);
	machine.files[given].maps = 2;
	machine.unmaps = 0;
	machine.busy = 1;
	iommu->detach(domain, GROUP);
	iommu->domain_free(domain);
	ck_assert_uint_eq(machine.unmaps, 0);
	ck_assert_uint_eq(machine.files[given].maps, 2);
	ck_assert_int_eq(machine.files[given].kind, CLOSED);	/* ours */
	fake_close((int)fd);
	ck_assert_int_eq(iommu->domain_new(state, &domain), 0);
}
END_TEST

START_TEST(a_swap_that_is_refused)
{
	swap_result = -EBUSY;
	ck_assert_int_eq(iommu->swap(domain, &swapper, 2), 0);
	swap_result = -EIO;
	ck_assert_int_eq(iommu->swap(domain, &swapper, 2), -EIO);
	ck_assert_uint_eq(machine.version, 0);
	machine.files[given].maps = 2;
	machine.unmaps = 0;
	iommu->detach(domain, GROUP);
	iommu->domain_free(domain);
	ck_assert_uint_eq(machine.unmaps, 1);
	ck_assert_int_eq(iommu->domain_new(state, &domain), 0);
}
END_TEST

/* The kernel takes its time to close a device: HOST_SEAT_TRIES, and not one more. */
START_TEST(as_new_for_further_groups)
{
	swap_result = 0;
	ck_assert_int_eq(iommu->swap(domain, &swapper, 2), 1);
	ck_assert_uint_eq(machine.version, VFIO_TYPE1v2_IOMMU);
	machine.files[given].maps = 3;
	iommu->detach(domain, GROUP);
	machine.busy = HOST_SEAT_TRIES;
	ck_assert_int_eq(iommu->renew(domain), 0);
	ck_assert_uint_eq(machine.pauses, HOST_SEAT_TRIES);
	ck_assert_uint_eq(machine.files[given].maps, 0);
	ck_assert_uint_eq(machine.files[given].ioas, 1);
	ck_assert_int_eq(iommu->attach(domain, GROUP), 0);
	iommu->detach(domain, GROUP);
	machine.busy = HOST_SEAT_TRIES + 1;
	ck_assert_int_eq(iommu->renew(domain), -EBUSY);
	ck_assert_uint_eq(machine.busy, 0);
}
END_TEST

/* ---- another process ---- */

/* What was kept of the domain is all that the next one has, and the client's file. @taken: it has
 * one. Return: that. */
static intptr_t restart(bool taken)
{
	uint64_t number = 0;
	intptr_t iommufd = iommu->domain_file(domain, &number), fd = -1;

	ck_assert_uint_eq(number, 1);
	machine.files[iommufd].maps = 2;
	if (taken)
		ck_assert_int_eq(ops->take_file(device, &fd), 0);
	else
		iommu->detach(domain, GROUP);
	free(domain);
	/* The list of devices is one in this process. */
	ops->destroy(device);
	place.again = true;
	ck_assert_int_eq(create(&device), 0);
	place.again = false;
	ck_assert_int_eq(iommu->domain_restore(state, iommufd, number, false, &domain), 0);
	ck_assert_int_eq(iommu->attach_again(domain, GROUP + 1), -ENODEV);
	ck_assert_int_eq(iommu->attach_again(domain, GROUP), 0);
	ck_assert_uint_eq(machine.files[iommufd].maps, 2);
	ck_assert_uint_eq(machine.pauses, 0);
	ck_assert_uint_eq(open_files(), 2);
	return fd;
}

START_TEST(a_file_that_a_client_has_is_not_bound_again)
{
	struct cused_iommu_geometry g;
	intptr_t fd = restart(true), other;

	ck_assert_int_eq(iommu->geometry(state, GROUP, &g), 0);
	ck_assert_int_eq(ops->take_file(device, &other), -EBUSY);
	fake_close((int)fd);
	ck_assert_int_eq(ops->open(device), 0);
	ck_assert_int_eq(ops->take_file(device, &fd), 0);
	ck_assert(machine.files[fd].attached);
	fake_close((int)fd);
	ck_assert_int_eq(ops->restore(device, 0, "", 1), -EBADMSG);
}
END_TEST

START_TEST(one_that_went_with_the_process_is)
{
	intptr_t fd;

	restart(false);
	ck_assert_int_eq(ops->open(device), 0);
	ck_assert_int_eq(ops->take_file(device, &fd), 0);
	ck_assert(machine.files[fd].attached);
	fake_close((int)fd);
}
END_TEST

/* A call that was cut short has mapped it already. */
START_TEST(what_no_record_tells_of_gives_way)
{
	machine.stray = true;
	ck_assert_int_eq(map(0x10000, 0x3000, CUSED_PROT_READ, &lender), -EEXIST);
	fake_close((int)restart(true));
	machine.unmaps = 0;
	ck_assert_int_eq(map(0x10000, 0x3000, CUSED_PROT_READ, &lender), 0);
	ck_assert_uint_eq(machine.unmaps, 1);
	ck_assert_uint_eq(machine.map_files, 1);
	ck_assert_uint_eq(machine.map_iova, 0x10000);
	ck_assert_uint_eq(machine.map_length, 0x3000);
	/* What the client has put there itself, by parts, is in its own way. */
	machine.map_file_error = -EEXIST;
	ck_assert_int_eq(map(0x10000, 0x3000, CUSED_PROT_READ, &lender), -EEXIST);
}
END_TEST

START_TEST(a_swapped_domain_is_as_it_was)
{
	uint64_t number;
	intptr_t iommufd = iommu->domain_file(domain, &number);

	iommu->detach(domain, GROUP);
	free(domain);
	ck_assert_int_eq(iommu->domain_restore(state, iommufd, number, true, &domain), 0);
	ck_assert_int_eq(iommu->attach_again(domain, GROUP), 0);
	ck_assert(iommu->is_file(domain, iommufd + FILES));
	/* What the client has mapped stays its own. */
	machine.files[iommufd].maps = 2;
	machine.unmaps = 0;
	machine.busy = 1;
	iommu->detach(domain, GROUP);
	iommu->domain_free(domain);
	ck_assert_uint_eq(machine.unmaps, 0);
	ck_assert_uint_eq(machine.files[iommufd].maps, 2);
	ck_assert_int_eq(iommu->domain_new(state, &domain), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host");
	TCase *bare = tcase_create("needs"), *seat = tcase_create("seat"),
	      *mapping = tcase_create("mapping");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(bare, setup, teardown);
	tcase_add_test(bare, each_need_is_named);
	tcase_add_test(bare, devices_of_others);
	tcase_add_checked_fixture(seat, setup_seated, teardown_seated);
	tcase_add_test(seat, a_file_is_taken_once);
	tcase_add_test(seat, a_device_comes_into_a_group_in_use);
	tcase_add_test(seat, a_file_that_is_being_closed_is_waited_for);
	tcase_add_test(seat, but_not_for_ever);
	tcase_add_test(seat, nothing_is_left_of_an_attach_that_fails);
	tcase_add_test(seat, a_group_leaves_with_its_device_open);
	tcase_add_test(seat, what_can_be_mapped);
	tcase_add_test(seat, many_reserved_ranges);
	tcase_add_test(seat, a_container_becomes_an_iommufd);
	tcase_add_test(seat, a_swap_that_is_refused);
	tcase_add_test(seat, as_new_for_further_groups);
	tcase_add_test(seat, a_file_that_a_client_has_is_not_bound_again);
	tcase_add_test(seat, one_that_went_with_the_process_is);
	tcase_add_test(seat, a_swapped_domain_is_as_it_was);
	tcase_add_checked_fixture(mapping, setup_lender, teardown_seated);
	tcase_add_test(mapping, by_file_where_possible);
	tcase_add_test(mapping, else_by_call);
	tcase_add_test(mapping, much_memory_by_several_calls);
	tcase_add_test(mapping, calls_that_fail_leave_nothing);
	tcase_add_test(mapping, memory_that_cannot_be_had);
	tcase_add_test(mapping, what_no_record_tells_of_gives_way);
	suite_add_tcase(suite, bare);
	suite_add_tcase(suite, seat);
	suite_add_tcase(suite, mapping);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
