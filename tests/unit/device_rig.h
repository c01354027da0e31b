/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/device_rig.h - a device of the core's with a model that keeps a diary, and eventfds
 * that count. For tests of what is behind a device fd.
 *
 * The model: BAR0 64 bits, 16 KiB: page 0 memory, page 1 trapped, page 2 memory with the
 * MSI-X table at 0x2000 and the pending bits at 0x2800, page 3 memory. BAR2 256 bytes, all
 * memory. BAR3 32 bytes of I/O. BAR4 not implemented, BAR5 4 KiB trapped.
 */
#ifndef UNIT_DEVICE_RIG_H
#define UNIT_DEVICE_RIG_H

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/vfio.h>

#include <core/internal.h>

#define RIG_VECTORS 80		/* more than one word of pending bits */
#define RIG_TABLE 0x2000u
#define RIG_PBA 0x2800u
#define REGION(index, off) (((uint64_t)(index) << 40) | (off))
#define CONFIG(off) REGION(VFIO_PCI_CONFIG_REGION_INDEX, off)

/* ---- the model ---- */

struct rig_model {
	const struct cused_services *services;
	struct cused_port *port;
	struct cused_pci pci;		/* what the next create() describes */
	int open_error;
	unsigned opens, closes, resets, destroys;
	unsigned reads, writes;
	unsigned bar, len;		/* of the latest access */
	uint64_t offset, value;
	uint64_t answer;		/* to bar_read */
	atomic_uint polls, timers;
	atomic_uint inside;		/* callbacks under way: never 2 */
	atomic_uint work;		/* polls that will report work */
	atomic_uint last_timer;
	void (*on_close)(void);
	void (*on_poll)(void);		/* both set before the device is opened */
	void (*on_write)(uint64_t offset, uint64_t value);
};

static struct rig_model model;

static inline void rig_enter(void)
{
	ck_assert_uint_eq(atomic_fetch_add(&model.inside, 1), 0);
}

static inline void rig_leave(void)
{
	atomic_fetch_sub(&model.inside, 1);
}

static inline int rig_create(const struct cused_services *services, struct cused_port *port,
			     const struct cused_value *values, struct cused_pci *ret_pci,
			     void **ret_state, struct cused_error *err)
{
	model.services = services;
	model.port = port;
	*ret_pci = model.pci;
	*ret_state = &model;
	return 0;
}

static inline void rig_destroy(void *state)
{
	model.destroys++;
}

static inline int rig_model_open(void *state)
{
	rig_enter();
	model.opens++;
	rig_leave();
	return model.open_error;
}

static inline void rig_model_close(void *state)
{
	rig_enter();
	model.closes++;
	if (model.on_close)
		model.on_close();
	rig_leave();
}

static inline void rig_model_reset(void *state)
{
	rig_enter();
	model.resets++;
	rig_leave();
}

static inline uint64_t rig_bar_read(void *state, unsigned bar, uint64_t offset, unsigned len)
{
	rig_enter();
	model.reads++;
	model.bar = bar;
	model.offset = offset;
	model.len = len;
	rig_leave();
	return model.answer;
}

static inline void rig_bar_write(void *state, unsigned bar, uint64_t offset, unsigned len,
				 uint64_t value)
{
	rig_enter();
	model.writes++;
	model.bar = bar;
	model.offset = offset;
	model.len = len;
	model.value = value;
	if (model.on_write)
		model.on_write(offset, value);
	rig_leave();
}

static inline bool rig_poll(void *state)
{
	bool worked = atomic_load(&model.work) > 0;

	rig_enter();
	if (worked)
		atomic_fetch_sub(&model.work, 1);
	if (model.on_poll)
		model.on_poll();
	atomic_fetch_add(&model.polls, 1);
	rig_leave();
	return worked;
}

static inline void rig_timer(void *state, unsigned id)
{
	rig_enter();
	atomic_store(&model.last_timer, id);
	atomic_fetch_add(&model.timers, 1);
	rig_leave();
}

/* Without poll and timer there is no thread, and the tests see no callback of its. */
static struct cused_device_ops rig_ops = {
	.size = sizeof(rig_ops),
	.version = CUSED_API_VERSION,
	.name = "rig",
	.create = rig_create,
	.destroy = rig_destroy,
	.open = rig_model_open,
	.close = rig_model_close,
	.reset = rig_model_reset,
	.bar_read = rig_bar_read,
	.bar_write = rig_bar_write,
};

static inline void rig_model_init(void)
{
	static const uint8_t rom[3000] = { 0x55, 0xaa, 6 };

	memset(&model, 0, sizeof(model));
	model.pci = (struct cused_pci){
		.vendor = 0x1234, .device = 0x5678, .subvendor = 0x9abc, .subdevice = 0xdef0,
		.revision = 7, .class_code = 0x010802, .interrupt_pin = 1,
		.pm = true, .pcie = true, .flr = true, .serial = 0x1122334455667788,
		.msi = { .vectors = 8, .maskable = true },
		.msix = { RIG_VECTORS, 0, 0, RIG_TABLE, RIG_PBA },
		.rom = rom, .rom_size = sizeof(rom),
	};
	model.pci.bars[0] = (struct cused_bar){
		.size = 0x4000, .flags = CUSED_BAR_64 | CUSED_BAR_PREFETCH, .n_areas = 2,
		.areas = { { 0, 0xfff }, { 0x2000, 0x3fff } },
	};
	model.pci.bars[2] = (struct cused_bar){
		.size = 0x100, .n_areas = 1, .areas = { { 0, 0xff } },
	};
	model.pci.bars[3] = (struct cused_bar){ .size = 32, .flags = CUSED_BAR_IO };
	model.pci.bars[5] = (struct cused_bar){ .size = 0x1000 };
	rig_ops.poll = NULL;
	rig_ops.timer = NULL;
}

/* ---- the device ---- */

static struct topology *rig_topology;
static struct group *rig_group;
static struct device *rig_device;
static struct device_file *rig_file;

static inline struct device *rig_add(uint8_t bus, uint8_t slot, struct group *group)
{
	const struct device_params params = {
		.address = { .bus = bus, .slot = slot },
		.ops = &rig_ops,
		.offset_base = 5ull << 44,
	};
	struct cused_error err = { "" };
	struct device *device;

	ck_assert_msg(topology_add_device(rig_topology, group, &params, &device, &err) == 0,
		      "%s", err.text);
	return device;
}

/* With what rig_model_init() and the test put into model.pci. */
static inline void rig_up(void)
{
	const struct topology_params params = { 0 };

	ck_assert_int_eq(topology_new(&params, &rig_topology), 0);
	ck_assert_int_eq(topology_add_group(rig_topology, 7, GROUP_REAL, &rig_group), 0);
	rig_device = rig_add(1, 0, rig_group);
	ck_assert_int_eq(device_open(rig_device, NULL, &rig_file), 0);
}

static inline void rig_setup(void)
{
	rig_model_init();
	rig_up();
}

static inline void rig_down(void)
{
	if (rig_file)
		device_close(rig_file);
	rig_file = NULL;
	topology_free(rig_topology);
	rig_topology = NULL;
}

/* ---- eventfds that count ---- */

struct rig_event {
	struct event ev;		/* first */
	atomic_uint signals;
	bool watched;
	void (*_Atomic fn)(void *arg, uint64_t cookie);
	void *_Atomic arg;
	atomic_uint_fast64_t cookie;
	unsigned frees;
};

static inline void rig_signal(struct event *ev)
{
	atomic_fetch_add(&((struct rig_event *)ev)->signals, 1);
}

static inline int rig_watch(struct event *ev, void (*fn)(void *arg, uint64_t cookie),
			    void *arg, uint64_t cookie)
{
	struct rig_event *e = (struct rig_event *)ev;

	if (e->watched)
		return -EBUSY;
	e->watched = true;
	e->arg = arg;
	e->cookie = cookie;
	e->fn = fn;
	return 0;
}

static inline void rig_unwatch(struct event *ev)
{
	((struct rig_event *)ev)->watched = false;
}

static inline void rig_event_free(struct event *ev)
{
	((struct rig_event *)ev)->frees++;
}

static const struct event_ops rig_event_ops = {
	.signal = rig_signal, .watch = rig_watch, .unwatch = rig_unwatch,
	.free = rig_event_free,
};

/* Reset by rig_event(): a reference is the test's own. */
static inline struct event_arg rig_event(struct rig_event *e)
{
	memset(e, 0, sizeof(*e));
	event_init(&e->ev, &rig_event_ops);
	return (struct event_arg){ .fd = 3, .event = &e->ev };
}

/* How many references the core holds. */
static inline unsigned rig_refs(struct rig_event *e)
{
	return atomic_load(&e->ev.refs) - 1;
}

static inline struct event_arg rig_fd(int fd, int err)
{
	return (struct event_arg){ .fd = fd, .err = err };
}

/* ---- shorthands ---- */

static inline uint32_t cfg_get(unsigned off, unsigned len)
{
	uint32_t v = 0;

	ck_assert_int_eq(device_read(rig_file, CONFIG(off), &v, len), 0);
	return v;
}

static inline void cfg_put(unsigned off, unsigned len, uint32_t v)
{
	ck_assert_int_eq(device_write(rig_file, CONFIG(off), &v, len), 0);
}

/* Let other threads run until they have brought the condition about; 10 seconds. */
#define rig_await(condition) \
	do { \
		time_t until_ = time(NULL) + 10; \
\
		while (!(condition) && time(NULL) < until_) \
			sched_yield(); \
		ck_assert_msg(condition, "not within the deadline: " #condition); \
	} while (0)

/* main() of a test program out of a function that fills the suite. */
#define RIG_MAIN(suite_name, fill) \
	int main(void) \
	{ \
		Suite *s = suite_create(suite_name); \
		SRunner *sr; \
		int failed; \
\
		fill(s); \
		sr = srunner_create(s); \
		srunner_run_all(sr, CK_NORMAL); \
		failed = srunner_ntests_failed(sr); \
		srunner_free(sr); \
		return failed ? 1 : 0; \
	}

#endif
