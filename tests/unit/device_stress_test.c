/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several threads at one device while its own thread runs: configuration space, BARs,
 * SET_IRQS, resets, unmask eventfds. The model checks that it is never entered twice; the
 * thread sanitizer checks the rest.
 */
#include <linux/pci_regs.h>

#include "unit/device_rig.h"

#define ROUNDS 3000
#define THREADS 5

static struct rig_event trigger, resample, vectors[4];

static void *config_thread(void *arg)
{
	uint8_t all[256];

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t v = 6 | (i & 1 ? PCI_COMMAND_INTX_DISABLE : 0);

		device_write(rig_file, CONFIG(PCI_COMMAND), &v, 2);
		device_read(rig_file, CONFIG(0), all, sizeof(all));
		v = i % 64 == 0 ? 3 : 0;
		device_write(rig_file, CONFIG(0x40 + PCI_PM_CTRL), &v, 2);
	}
	return NULL;
}

static void *bar_thread(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t v = i;

		device_write(rig_file, REGION(0, 0x1000 + i % 64 * 8), &v, 8);
		device_read(rig_file, REGION(0, i % 512 * 8), &v, 8);
		device_read(rig_file, REGION(0, RIG_PBA), &v, 8);
	}
	return NULL;
}

static void set(uint32_t flags, uint32_t index, uint32_t count, const struct event_arg *args)
{
	device_set_irqs(rig_file, flags, index, 0, count, NULL, args);
}

static void *irq_thread(void *arg)
{
	const uint32_t on = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	const uint32_t off = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
	const uint32_t unmask = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK;
	struct event_arg one = { .fd = 3, .event = &trigger.ev };
	struct event_arg again = { .fd = 3, .event = &resample.ev };
	struct event_arg many[4];

	for (unsigned i = 0; i < 4; i++)
		many[i] = (struct event_arg){ .fd = 3, .event = &vectors[i].ev };
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t index = i % 3;

		set(on, index, index ? 4 : 1, index ? many : &one);
		if (index == 0)
			set(unmask, index, 1, &again);
		set(off, index, index ? 4 : 1, NULL);
		set(off, index, 0, NULL);
	}
	return NULL;
}

static void *reset_thread(void *arg)
{
	for (unsigned i = 0; i < ROUNDS / 10; i++) {
		struct event_arg event = { .fd = 3, .event = &trigger.ev };

		device_reset(rig_file);
		device_signal_req(rig_device);
		device_feature(rig_file, 4, true, NULL, &event);
		device_feature(rig_file, 5, true, NULL, NULL);
	}
	return NULL;
}

/* The transport's event thread: unmask signals, some of them late. */
static void *event_thread(void *arg)
{
	struct event_arg event = { .fd = 3, .event = &trigger.ev };
	uint8_t bytes[4096];
	unsigned size;

	for (unsigned i = 0; i < ROUNDS; i++) {
		void (*fn)(void *, uint64_t) = resample.fn;

		if (fn)
			fn(resample.arg, resample.cookie);
		model.services->kick(model.port);
		device_ioeventfd(rig_file, 4, REGION(5, 0), 1, &event);
		event.fd = event.fd < 0 ? 3 : -1;
		device_config_snapshot(rig_device, bytes, &size);
	}
	return NULL;
}

static void *(*const bodies[THREADS])(void *) = {
	config_thread, bar_thread, irq_thread, reset_thread, event_thread,
};

/* From inside the model, as models do. */
static void raise_all(void)
{
	static unsigned n;

	model.services->irq_level(model.port, ++n & 4);
	model.services->irq_raise(model.port, n % 6);
	model.services->irq_is_message(model.port);
	model.services->timer_arm(model.port, n % CUSED_TIMERS, 1000 * (n % 16));
	model.services->dma_read(model.port, NULL, 0, NULL);
}

START_TEST(all_at_once)
{
	pthread_t threads[THREADS];

	rig_event(&trigger);
	rig_event(&resample);
	for (unsigned i = 0; i < 4; i++)
		rig_event(&vectors[i]);
	rig_model_init();
	rig_ops.poll = rig_poll;
	rig_ops.timer = rig_timer;
	model.on_poll = raise_all;
	rig_up();
	atomic_store(&model.work, UINT32_MAX);
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, bodies[i], NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_gt(atomic_load(&model.polls), 0);
	ck_assert_uint_gt(atomic_load(&vectors[0].signals), 0);
	ck_assert_uint_gt(model.resets, 0);
	rig_down();
	ck_assert_uint_eq(rig_refs(&trigger) + rig_refs(&resample), 0);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(rig_refs(&vectors[i]), 0);
}
END_TEST

static void arm_timer(uint64_t offset, uint64_t value)
{
	model.services->timer_arm(model.port, 0, value);
}

/* Opened and closed while the thread is in the middle of something. */
START_TEST(open_and_close)
{
	rig_model_init();
	rig_ops.poll = rig_poll;
	rig_ops.timer = rig_timer;
	model.on_write = arm_timer;
	rig_up();
	for (unsigned i = 0; i < 200; i++) {
		uint32_t ns = 1 + i * 100;

		atomic_store(&model.work, i % 3 ? UINT32_MAX : 0);
		ck_assert_int_eq(device_write(rig_file, REGION(5, 0), &ns, 4), 0);
		device_close(rig_file);
		ck_assert_int_eq(device_open(rig_device, NULL, &rig_file), 0);
	}
	ck_assert_uint_eq(model.opens, 201);
	ck_assert_uint_eq(model.closes, 200);
	rig_down();
}
END_TEST

static void fill(Suite *s)
{
	TCase *tc = tcase_create("stress");

	tcase_set_timeout(tc, 100);
	tcase_add_test(tc, all_at_once);
	tcase_add_test(tc, open_and_close);
	suite_add_tcase(s, tc);
}

RIG_MAIN("device_stress", fill)
