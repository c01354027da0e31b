/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client that does anything at all to one device: configuration space, SET_IRQS, BARs,
 * ioeventfds, features and resets, while the model raises interrupts. What must hold
 * whatever it does is checked after each step and at the end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include <core/internal.h>

#define VECTORS 70
#define EVENTS 4
#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "does not hold: %s\n", #condition); \
			abort(); \
		} \
	} while (0)

/* ---- the model ---- */

static const struct cused_services *services;
static struct cused_port *port;
static unsigned inside;

static int model_create(const struct cused_services *s, struct cused_port *p,
			const struct cused_value *values, struct cused_pci *ret_pci,
			void **ret_state, struct cused_error *err)
{
	static uint8_t rom[100];
	static const struct cused_pci pci = {
		.vendor = 0x1234, .device = 0x5678, .interrupt_pin = 1,
		.pm = true, .pcie = true, .flr = true, .serial = 1,
		.msi = { .vectors = 16, .maskable = true },
		.msix = { VECTORS, 0, 0, 0x1000, 0x1800 },
		.rom = rom, .rom_size = sizeof(rom),
		.bars = {
			[0] = { .size = 0x2000, .flags = CUSED_BAR_64, .n_areas = 1,
				.areas = { { 0x1000, 0x1fff } } },
			[2] = { .size = 0x80, .flags = CUSED_BAR_IO },
			[3] = { .size = 0x100, .n_areas = 1, .areas = { { 0, 0xff } } },
		},
	};

	services = s;
	port = p;
	*ret_pci = pci;
	*ret_state = &inside;
	return 0;
}

static void model_destroy(void *state)
{
}

static void model_reset(void *state)
{
	CHECK(!inside);
}

static uint64_t model_read(void *state, unsigned bar, uint64_t offset, unsigned len)
{
	CHECK(len == 1 || len == 2 || len == 4 || len == 8);
	CHECK(offset % len == 0);
	CHECK((bar == 0 && offset + len <= 0x1000) || (bar == 2 && offset + len <= 0x80));
	return offset;
}

static void model_write(void *state, unsigned bar, uint64_t offset, unsigned len,
			uint64_t value)
{
	CHECK(len == 1 || len == 2 || len == 4 || len == 8);
	CHECK(offset % len == 0);
	CHECK(len == 8 || value >> 8 * len == 0);
	CHECK((bar == 0 && offset + len <= 0x2000) || (bar == 2 && offset + len <= 0x80) ||
	      (bar == 3 && offset + len <= 0x100));
	services->irq_raise(port, (unsigned)value);
	services->irq_level(port, value & 1);
}

static const struct cused_device_ops ops = {
	.size = sizeof(ops), .version = CUSED_API_VERSION, .name = "fuzzed",
	.create = model_create, .destroy = model_destroy, .reset = model_reset,
	.bar_read = model_read, .bar_write = model_write,
};

/* ---- eventfds ---- */

struct fuzz_event {
	struct event ev;		/* first */
	bool watched;
	void (*fn)(void *arg, uint64_t cookie);
	void *arg;
	uint64_t cookie;
};

static struct fuzz_event events[EVENTS];

static void event_signal(struct event *ev)
{
	CHECK(ev->refs > 1);
}

static int event_watch(struct event *ev, void (*fn)(void *arg, uint64_t cookie), void *arg,
		       uint64_t cookie)
{
	struct fuzz_event *e = (struct fuzz_event *)ev;

	if (e->watched)
		return -EBUSY;
	*e = (struct fuzz_event){ e->ev, true, fn, arg, cookie };
	return 0;
}

static void event_unwatch(struct event *ev)
{
	struct fuzz_event *e = (struct fuzz_event *)ev;

	CHECK(e->watched);
	e->watched = false;
}

static void event_free(struct event *ev)
{
	CHECK(!"the test holds a reference");
}

static const struct event_ops event_ops = {
	.signal = event_signal, .watch = event_watch, .unwatch = event_unwatch,
	.free = event_free,
};

/* ---- the input ---- */

struct input {
	const uint8_t *p;
	size_t left;
};

static uint32_t take(struct input *in, unsigned bytes)
{
	uint32_t v = 0;

	for (; bytes && in->left; bytes--, in->left--)
		v = v << 8 | *in->p++;
	return v;
}

static struct event_arg take_event(struct input *in)
{
	uint8_t v = (uint8_t)take(in, 1);

	if (v < 4)
		return (struct event_arg){ .fd = -(int)v - 1 };
	if (v < 16)
		return (struct event_arg){ .fd = 9, .err = v & 1 ? -EBADF : -EINVAL };
	return (struct event_arg){ .fd = 3, .event = &events[v % EVENTS].ev };
}

static void do_access(struct device_file *file, struct input *in, uint64_t base,
		      uint64_t reach)
{
	uint8_t buf[64];
	uint64_t pos = base + take(in, 2) % reach;
	size_t len = take(in, 1) % sizeof(buf);
	bool write = take(in, 1) & 1;
	ssize_t n = device_rw_check(file, pos, len, write);

	CHECK(n <= (ssize_t)len);
	if (n <= 0)
		return;
	for (ssize_t i = 0; write && i < n; i++)
		buf[i] = (uint8_t)take(in, 1);
	if (write)
		device_write(file, pos, buf, (size_t)n);
	else
		device_read(file, pos, buf, (size_t)n);
}

static void do_set_irqs(struct device_file *file, struct input *in)
{
	static const uint32_t data[] = { VFIO_IRQ_SET_DATA_NONE, VFIO_IRQ_SET_DATA_BOOL,
					 VFIO_IRQ_SET_DATA_EVENTFD };
	uint32_t flags = data[take(in, 1) % 3] | (take(in, 1) & 7) << 3;
	uint32_t index = take(in, 1) % 6, start = take(in, 1), count = take(in, 1);
	struct event_arg args[256];
	uint8_t bools[256];

	/* Half of them as a client that means well would ask. */
	if (start & 1) {
		flags = (flags & 7) | VFIO_IRQ_SET_ACTION_TRIGGER;
		start = 0;
		count %= 4;
	}
	for (uint32_t i = 0; i < count; i++) {
		args[i] = take_event(in);
		bools[i] = (uint8_t)args[i].fd;
	}
	device_set_irqs(file, flags, index, start, count, bools, args);
}

static void do_ioeventfd(struct device_file *file, struct input *in)
{
	uint32_t flags = take(in, 1) % 18;
	uint64_t offset = (uint64_t)(take(in, 1) % 8) << 40 | take(in, 2);
	struct event_arg arg = take_event(in);

	device_ioeventfd(file, flags, offset, take(in, 1), &arg);
}

static void do_feature(struct device_file *file, struct input *in)
{
	struct feature_info info;
	struct event_arg arg = take_event(in);
	uint16_t id = (uint16_t)(take(in, 1) % 14);
	uint8_t data[8] = { 0 };

	if (device_feature_info(file, id, &info) == 0)
		device_feature(file, id, info.set, data, &arg);
}

static void fire(struct input *in)
{
	struct fuzz_event *e = &events[take(in, 1) % EVENTS];

	if (e->fn)
		e->fn(e->arg, e->cookie);	/* some of them late */
}

/* ---- what must hold ---- */

static void check(struct device *device, struct device_file *file)
{
	uint8_t hw[4096], seen[64];
	unsigned size;

	device_config_snapshot(device, hw, &size);
	CHECK(size == 4096);
	CHECK(device_read(file, 7ull << 40, seen, sizeof(seen)) == 0);
	CHECK(memcmp(hw, "\x34\x12\x78\x56", 4) == 0 && memcmp(seen, hw, 4) == 0);
	CHECK(seen[PCI_BASE_ADDRESS_0] == PCI_BASE_ADDRESS_MEM_TYPE_64);
	CHECK((seen[PCI_BASE_ADDRESS_2] & 0x7f) == 1);
	CHECK(seen[PCI_BASE_ADDRESS_3] == 0);
	CHECK(((seen[PCI_COMMAND] | seen[PCI_COMMAND + 1] << 8) & ~0x0547) == 0);
	CHECK((hw[0xb0 + PCI_MSIX_FLAGS + 1] & 0x7f) == 0);
}

static void step(struct device *device, struct device_file *file, struct input *in)
{
	switch (take(in, 1) % 10) {
	case 0:
	case 1:
		do_access(file, in, 7ull << 40, 4100);
		break;
	case 2:
		do_access(file, in, 0, 0x2010);
		break;
	case 3:
		do_access(file, in, (uint64_t)(take(in, 1) % 10) << 40, 0x110);
		break;
	case 4:
	case 5:
		do_set_irqs(file, in);
		break;
	case 6:
		do_ioeventfd(file, in);
		break;
	case 7:
		do_feature(file, in);
		break;
	case 8:
		fire(in);
		device_signal_req(device);
		device_signal_err(device);
		break;
	default:
		if (take(in, 1) < 16)
			device_reset(file);
		device_mmap_check(file, (uint64_t)(take(in, 1) % 10) << 40 | take(in, 1) << 12,
				  take(in, 2), true);
	}
	check(device, file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct topology *topology;
	static struct group *group;
	static struct device *device;
	struct device_file *file;
	struct input in = { data, size };

	if (!topology) {
		const struct topology_params params = { 0 };
		const struct device_params device_params = {
			.address = { .bus = 1 }, .ops = &ops,
		};

		CHECK(topology_new(&params, &topology) == 0);
		CHECK(topology_add_group(topology, 1, GROUP_REAL, &group) == 0);
		CHECK(topology_add_device(topology, group, &device_params, &device, NULL) == 0);
	}
	memset(events, 0, sizeof(events));
	for (unsigned i = 0; i < EVENTS; i++)
		event_init(&events[i].ev, &event_ops);
	CHECK(device_open(device, NULL, &file) == 0);
	while (in.left)
		step(device, file, &in);
	device_close(file);
	for (unsigned i = 0; i < EVENTS; i++)		/* PCI-014 */
		CHECK(events[i].ev.refs == 1 && !events[i].watched);
	return 0;
}
