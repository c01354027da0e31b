/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The target in process: the same cases over the core of vfio-cused, without a transport.
 * Devices are those of the program, made by its own configuration; the client is the one in
 * miniature of tests/unit/client.h, in whose place a transport has a process.
 *
 * --bdf and --peer name the devices: 0000:e0:00.0 is an edu, 0000:e1:00.0 a drive.
 */
#include <instance.h>
#include <unit/client.h>

#include "conf.h"

static struct conf configuration;
static struct instance *instance;
static struct client client;
static unsigned pages_used;

static void need(int r, const struct cused_error *err)
{
	if (r < 0) {
		printf("# %s\n", err->text);
		conf_abort("making the devices", r);
	}
}

static int start(void)
{
	struct cused_error err = { 0 };

	conf_init(&configuration);
	need(conf_set_iommu(&configuration, "sim,memlock=enforce", &err), &err);
	need(conf_add_device(&configuration, "edu,bdf=0000:e0:00.0", &err), &err);
	need(conf_add_device(&configuration, "nvme,size=16M,bdf=0000:e1:00.0", &err), &err);
	need(conf_finish(&configuration, "/sys", &err), &err);
	need(instance_new(&configuration, NULL, NULL, &instance, &err), &err);
	client_init(&client);
	return 0;
}

static void stop(void)
{
	if (!client_exit(&client))
		conf_abort("something still holds the client's memory", -EBUSY);
	instance_free(instance);
	conf_done(&configuration);
}

static int open_container(void)
{
	return client_open_container(&client, instance_topology(instance));
}

static struct device *device_of(unsigned which)
{
	for (size_t i = 0; i < instance_n_devices(instance); i++) {
		struct device *device = instance_device(instance, i);

		if (!strcmp(device_name(device), conf_where.bdf[which]))
			return device;
	}
	conf_abort("there is no such device", -ENODEV);
}

static int open_group(unsigned which)
{
	struct group *group = device_group(device_of(which));

	conf_where.group[which] = (int)group_id(group);
	return client_open_group(&client, group);
}

static int64_t do_ioctl(int fd, unsigned long cmd, uint64_t arg)
{
	return client_ioctl(&client, fd, (unsigned)cmd, arg);
}

static int do_close(int fd)
{
	return client_close(&client, fd);
}

static int do_dup(int fd)
{
	return client_dup(&client, fd);
}

/* What a transport does: the rules first, then the bytes, then the device. */
static int64_t move(int fd, uint64_t addr, size_t len, uint64_t pos, bool write)
{
	static uint8_t bytes[CLIENT_PAGES * PAGED_MM_PAGE];
	struct client_file *file = client_file(&client, fd);
	struct iovec local = { bytes, 0 }, remote = { (void *)(uintptr_t)addr, 0 };
	struct device_file *device;
	ssize_t n;
	int r = 0;

	if (!file)
		return -EBADF;
	if (file->object.kind != OBJECT_DEVICE || (int64_t)pos < 0)
		return -EINVAL;
	device = file->object.device;
	n = device_rw_check(device, pos, len, write);
	if (n <= 0)
		return n;
	if ((size_t)n > sizeof(bytes))
		return -EFAULT;
	local.iov_len = remote.iov_len = (size_t)n;
	if (write)
		r = paged_mm_read(&client.memory.mm, &local, 1, &remote, 1);
	if (!r)
		r = write ? device_write(device, pos, bytes, (size_t)n) :
			    device_read(device, pos, bytes, (size_t)n);
	if (!r && !write)
		r = paged_mm_write(&client.memory.mm, &local, 1, &remote, 1);
	client_pump(&client);
	return r ? r : n;
}

static int64_t do_pread(int fd, uint64_t addr, size_t len, uint64_t pos)
{
	return move(fd, addr, len, pos, false);
}

static int64_t do_pwrite(int fd, uint64_t addr, size_t len, uint64_t pos)
{
	return move(fd, addr, len, pos, true);
}

static int new_eventfd(void)
{
	return client_eventfd(&client);
}

static uint64_t event_take(int fd)
{
	return client_drain(&client, fd);
}

static void event_signal(int fd)
{
	client_signal(&client, fd);
}

static int other_file(void)
{
	return client_other_file(&client);
}

static uint64_t memory(unsigned pages)
{
	uint64_t addr = client_page(pages_used);

	pages_used += pages;
	if (pages_used > CLIENT_PAGES)
		conf_abort("the client has no more memory", -ENOMEM);
	return addr;
}

static void *at(uint64_t addr)
{
	return client_at(&client, addr);
}

static void protect(uint64_t addr, unsigned pages, unsigned rights)
{
	paged_mm_protect(&client.memory, addr, pages, rights);
}

const struct conf_target conf_target = {
	.no_syscalls = "in process",
	.start = start,
	.stop = stop,
	.open_container = open_container,
	.open_group = open_group,
	.ioctl = do_ioctl,
	.close = do_close,
	.dup = do_dup,
	.pread = do_pread,
	.pwrite = do_pwrite,
	.eventfd = new_eventfd,
	.event_take = event_take,
	.event_signal = event_signal,
	.other_file = other_file,
	.memory = memory,
	.at = at,
	.protect = protect,
};
