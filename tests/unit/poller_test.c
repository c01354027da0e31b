/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device's thread: what makes it look, how soon, and that it lets others through. */
#include <linux/pci_regs.h>

#include "unit/device_rig.h"

/* A write to BAR5 at 8 × id arms a timer from where models do: inside a callback. */
static void arm_timer(uint64_t offset, uint64_t value)
{
	model.services->timer_arm(model.port, (unsigned)(offset / 8), value);
}

static void arm(unsigned id, uint64_t ns)
{
	ck_assert_int_eq(device_write(rig_file, REGION(5, 8 * id), &ns, 8), 0);
}

static void with_thread(void)
{
	rig_model_init();
	rig_ops.poll = rig_poll;
	rig_ops.timer = rig_timer;
	model.on_write = arm_timer;
	rig_up();
}

static unsigned polls(void)
{
	return atomic_load(&model.polls);
}

static uint64_t now(void)
{
	return model.services->now(model.port);
}

/* Until the thread has gone to sleep for long: 20 ms without more than a few looks. */
static void let_idle(void)
{
	for (;;) {
		uint64_t start = now();
		unsigned before = polls();

		while (now() - start < 20000000)
			sched_yield();
		if (polls() - before < 20)
			return;
	}
}

START_TEST(polls_from_open_to_close)
{
	unsigned n;

	rig_await(polls() > 3);
	device_close(rig_file);
	rig_file = NULL;
	n = polls();
	ck_assert_int_eq(device_open(rig_device, NULL, &rig_file), 0);
	rig_await(polls() > n);
}
END_TEST

/* Work is gone on with at once: a thousand looks in a row. */
START_TEST(work_is_polled_on)
{
	let_idle();
	atomic_store(&model.work, 1000);
	rig_await(atomic_load(&model.work) == 0);
}
END_TEST

/* An idle device is looked at no more than 250 times a second or so. */
START_TEST(idle_is_cheap)
{
	uint64_t start;
	unsigned before;

	let_idle();
	start = now();
	before = polls();
	while (now() - start < 200000000)
		sched_yield();
	ck_assert_uint_le(polls() - before, 100);
	ck_assert_uint_ge(polls() - before, 1);
}
END_TEST

/* kick() and a write end the sleep: two looks, of which one may have been due. */
START_TEST(kick_and_write_wake)
{
	for (unsigned i = 0; i < 20; i++) {
		uint32_t v = 1;
		unsigned n;

		let_idle();
		n = polls();
		if (i % 2)
			model.services->kick(model.port);
		else
			ck_assert_int_eq(device_write(rig_file, REGION(5, 0), &v, 4), 0);
		rig_await(polls() > n + 1);	/* and it goes on looking for a while */
	}
}
END_TEST

START_TEST(timers)
{
	uint64_t start = now();

	arm(3, 2000000);
	rig_await(atomic_load(&model.timers) == 1);
	ck_assert_uint_ge(now() - start, 2000000);
	ck_assert_uint_eq(model.last_timer, 3);
	/* Replaced, disarmed, out of range, for ever: only the one counts. */
	arm(0, 3600000000000);
	arm(0, 1000);
	arm(1, UINT64_MAX);
	arm(2, 50000000);
	arm(2, 0);
	arm(CUSED_TIMERS, 1);
	rig_await(atomic_load(&model.timers) == 2);
	ck_assert_uint_eq(model.last_timer, 0);
	/* Gone with a reset. */
	arm(4, 20000000);
	ck_assert_int_eq(device_reset(rig_file), 0);
	arm(5, 40000000);
	rig_await(atomic_load(&model.timers) == 3);
	ck_assert_uint_eq(model.last_timer, 5);
}
END_TEST

/* A model with timers alone is not polled, and its thread needs no time. */
START_TEST(timers_alone)
{
	struct device_counters before, after;
	unsigned n;

	rig_down();
	n = polls();
	rig_ops.poll = NULL;
	rig_up();
	arm(7, 30000000);
	device_get_counters(rig_device, &before);
	rig_await(atomic_load(&model.timers) == 1);
	device_get_counters(rig_device, &after);
	ck_assert_uint_eq(polls(), n);
	ck_assert_uint_le(after.polls - before.polls, 5);
}
END_TEST

/* PCI-014: armed timers do not outlive the last close. */
START_TEST(pci_014_timers_end)
{
	arm(1, 20000000);
	device_close(rig_file);
	ck_assert_int_eq(device_open(rig_device, NULL, &rig_file), 0);
	arm(2, 40000000);
	rig_await(atomic_load(&model.timers) == 1);
	ck_assert_uint_eq(model.last_timer, 2);
}
END_TEST

/* PCI-229: asleep, nothing runs; awake again, what was due does. */
START_TEST(d3hot_stops)
{
	unsigned n, ran;

	arm(1, 5000000);
	cfg_put(0x40 + PCI_PM_CTRL, 2, 3);
	n = polls();
	ran = atomic_load(&model.timers);	/* 1 if this thread was held up that long */
	let_idle();
	ck_assert_uint_eq(polls(), n);
	ck_assert_uint_eq(model.timers, ran);
	cfg_put(0x40 + PCI_PM_CTRL, 2, 0);
	rig_await(atomic_load(&model.timers) == 1 && polls() > n);
}
END_TEST

/* A poll that always finds work holds up an access by one poll, not by many. */
static atomic_uint access_waits, polls_since;

static void on_poll(void)
{
	uint64_t start = now();

	if (atomic_load(&access_waits))
		atomic_fetch_add(&polls_since, 1);
	while (now() - start < 200000)		/* longer than a model may */
		;
}

START_TEST(accesses_get_their_turn)
{
	unsigned in_turn = 0;

	rig_down();
	model.on_poll = on_poll;
	rig_up();
	atomic_store(&model.work, UINT32_MAX);
	rig_await(polls() > 1);
	for (unsigned i = 0; i < 100; i++) {
		uint32_t v;

		atomic_store(&polls_since, 0);
		atomic_store(&access_waits, 1);
		ck_assert_int_eq(device_read(rig_file, REGION(5, 0), &v, 4), 0);
		atomic_store(&access_waits, 0);
		in_turn += polls_since <= 2;
	}
	/* One under way, and one that began before the access asked for the lock. More
	 * only where this thread was not scheduled in between. */
	ck_assert_uint_ge(in_turn, 50);
	atomic_store(&model.work, 0);
}
END_TEST

static void fill(Suite *s)
{
	TCase *tc = tcase_create("poller");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, with_thread, rig_down);
	tcase_add_test(tc, polls_from_open_to_close);
	tcase_add_test(tc, work_is_polled_on);
	tcase_add_test(tc, idle_is_cheap);
	tcase_add_test(tc, kick_and_write_wake);
	tcase_add_test(tc, timers);
	tcase_add_test(tc, timers_alone);
	tcase_add_test(tc, pci_014_timers_end);
	tcase_add_test(tc, d3hot_stops);
	tcase_add_test(tc, accesses_get_their_turn);
	suite_add_tcase(s, tc);
}

RIG_MAIN("poller", fill)
