/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/pci_regs.h>

#include "unit/device_rig.h"

#define NONE VFIO_IRQ_SET_DATA_NONE
#define BOOL VFIO_IRQ_SET_DATA_BOOL
#define EVENTFD VFIO_IRQ_SET_DATA_EVENTFD
#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER
#define MASK VFIO_IRQ_SET_ACTION_MASK
#define UNMASK VFIO_IRQ_SET_ACTION_UNMASK

enum { INTX, MSI, MSIX, ERR, REQ };

static struct rig_event ea, eb;
static struct event_arg a, b;

static void setup(void)
{
	rig_setup();
	a = rig_event(&ea);
	b = rig_event(&eb);
	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void teardown(void)
{
	rig_down();
	/* PCI-014: nothing of the client's is kept. */
	ck_assert_uint_eq(rig_refs(&ea), 0);
	ck_assert_uint_eq(rig_refs(&eb), 0);
	ck_assert(!ea.watched);
	ck_assert(!eb.watched);
}

static int none(uint32_t index, uint32_t action, uint32_t start, uint32_t count)
{
	return device_set_irqs(rig_file, NONE | action, index, start, count, NULL, NULL);
}

static int bools(uint32_t index, uint32_t action, uint32_t start, uint32_t count,
		 const char *v)
{
	return device_set_irqs(rig_file, BOOL | action, index, start, count,
			       (const uint8_t *)v, NULL);
}

static int event(uint32_t index, uint32_t action, struct event_arg arg)
{
	return device_set_irqs(rig_file, EVENTFD | action, index, 0, 1, NULL, &arg);
}

static int events(uint32_t index, uint32_t start, uint32_t count,
		  const struct event_arg *args)
{
	return device_set_irqs(rig_file, EVENTFD | TRIGGER, index, start, count, NULL, args);
}

static void line(bool high)
{
	model.services->irq_level(model.port, high);
}

static void raise_vector(unsigned vector)
{
	model.services->irq_raise(model.port, vector);
}

static unsigned signals(struct rig_event *e)
{
	return atomic_exchange(&e->signals, 0);
}

static bool is_message(void)
{
	return model.services->irq_is_message(model.port);
}

/* ---- GET_IRQ_INFO ---- */

/* PCI-046, PCI-048, PCI-049, PCI-050, PCI-051 */
START_TEST(pci_046_info)
{
	static const struct irq_info want[] = {
		{ 7, 1 }, { 9, 8 }, { 1, RIG_VECTORS }, { 9, 1 }, { 9, 1 },
	};
	struct irq_info info;

	for (uint32_t i = 0; i < 5; i++) {
		ck_assert_int_eq(device_get_irq_info(rig_file, i, &info), 0);
		ck_assert_uint_eq(info.flags, want[i].flags);
		ck_assert_uint_eq(info.count, want[i].count);
		ck_assert_uint_eq(device_irq_count(rig_file, i), want[i].count);
	}
	ck_assert_int_eq(device_get_irq_info(rig_file, 5, &info), -EINVAL);
	ck_assert_uint_eq(device_irq_count(rig_file, 5), 0);
}
END_TEST

/* PCI-047 … PCI-050: a conventional function without any interrupt; PCI-073: a
 * line that is not there has no count, so asking for it is out of range. */
START_TEST(pci_047_no_interrupts)
{
	struct irq_info info;

	rig_down();
	model.pci.pcie = false;
	model.pci.interrupt_pin = 0;
	model.pci.msi.vectors = 0;
	model.pci.msix.vectors = 0;
	rig_up();
	ck_assert_int_eq(device_get_irq_info(rig_file, ERR, &info), -EINVAL);
	for (uint32_t i = INTX; i <= MSIX; i++) {
		ck_assert_int_eq(device_get_irq_info(rig_file, i, &info), 0);
		ck_assert_uint_eq(info.count, 0);
		ck_assert_uint_eq(info.flags, i == INTX ? 7 : 9);	/* PCI-050 */
		ck_assert_int_eq(event(i, TRIGGER, a), -EINVAL);
	}
	ck_assert_int_eq(event(ERR, TRIGGER, a), -EINVAL);
	line(true);			/* nowhere to go */
	raise_vector(0);
	ck_assert_uint_eq(cfg_get(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 0);
}
END_TEST

/* ---- requests in general ---- */

/* PCI-054, PCI-055, PCI-059, PCI-060 */
START_TEST(pci_059_actions)
{
	ck_assert_int_eq(none(INTX, TRIGGER, 1, 0), -EINVAL);
	ck_assert_int_eq(none(MSI, TRIGGER, 4, 5), -EINVAL);
	ck_assert_int_eq(none(MSI, TRIGGER, 4, UINT32_MAX), -EINVAL);
	ck_assert_int_eq(none(INTX, 0, 0, 1), -ENOTTY);
	ck_assert_int_eq(none(INTX, MASK | UNMASK, 0, 1), -ENOTTY);
	for (uint32_t i = MSI; i <= REQ; i++) {
		ck_assert_int_eq(none(i, MASK, 0, 1), -ENOTTY);
		ck_assert_int_eq(none(i, UNMASK, 0, 1), -ENOTTY);
		ck_assert_int_eq(none(i, 0, 0, 1), -ENOTTY);
	}
}
END_TEST

/* Section 6.5: which mode lets in which request. PCI-071, PCI-081, PCI-093 */
START_TEST(pci_081_one_mode_at_a_time)
{
	for (uint32_t i = INTX; i <= MSIX; i++)
		ck_assert_int_eq(none(i, TRIGGER, 0, 0), -EINVAL);
	for (uint32_t i = INTX; i <= MSIX; i++) {
		ck_assert_int_eq(event(i, TRIGGER, a), 0);
		ck_assert_int_eq(is_message(), i != INTX);
		for (uint32_t j = INTX; j <= MSIX; j++)
			if (j != i) {
				ck_assert_int_eq(event(j, TRIGGER, b), -EINVAL);
				ck_assert_int_eq(none(j, TRIGGER, 0, 0), -EINVAL);
				ck_assert_int_eq(none(j, TRIGGER, 0, 1), -EINVAL);
			}
		ck_assert_int_eq(none(i, TRIGGER, 0, 0), 0);
		ck_assert_int_eq(none(i, TRIGGER, 0, 0), -EINVAL);
		ck_assert_uint_eq(rig_refs(&ea), 0);
		ck_assert(!is_message());
	}
}
END_TEST

/* ---- INTx ---- */

/* PCI-061, PCI-064, PCI-078 */
START_TEST(pci_061_intx_needs_its_mode)
{
	ck_assert_int_eq(none(INTX, MASK, 0, 1), -EINVAL);
	ck_assert_int_eq(none(INTX, UNMASK, 0, 1), -EINVAL);
	ck_assert_int_eq(none(INTX, TRIGGER, 0, 1), -EINVAL);
	ck_assert_int_eq(bools(INTX, TRIGGER, 0, 1, "\1"), -EINVAL);
	ck_assert_int_eq(event(INTX, TRIGGER, a), 0);
	ck_assert_int_eq(none(INTX, MASK, 0, 0), -EINVAL);
	ck_assert_int_eq(event(INTX, MASK, b), -ENOTTY);
	ck_assert_int_eq(event(MSI, TRIGGER, b), -EINVAL);
}
END_TEST

/* PCI-075, PCI-065: masked as it is signalled; nothing more until unmask, then at once if
 * the line is still high. */
START_TEST(pci_065_level_and_automask)
{
	ck_assert_int_eq(event(INTX, TRIGGER, a), 0);
	line(true);
	line(true);
	ck_assert_uint_eq(signals(&ea), 1);
	ck_assert_int_eq(none(INTX, UNMASK, 0, 1), 0);
	ck_assert_uint_eq(signals(&ea), 1);
	line(false);
	ck_assert_int_eq(none(INTX, UNMASK, 0, 1), 0);
	ck_assert_uint_eq(signals(&ea), 0);
	line(true);
	ck_assert_uint_eq(signals(&ea), 1);
}
END_TEST

/* PCI-062, PCI-063, and BOOL in the place of NONE. */
START_TEST(pci_062_mask)
{
	ck_assert_int_eq(event(INTX, TRIGGER, a), 0);
	ck_assert_int_eq(bools(INTX, MASK, 0, 1, "\0"), 0);
	line(true);
	ck_assert_uint_eq(signals(&ea), 1);
	line(false);
	ck_assert_int_eq(bools(INTX, UNMASK, 0, 1, "\0"), 0);
	line(true);
	ck_assert_uint_eq(signals(&ea), 0);
	ck_assert_int_eq(bools(INTX, UNMASK, 0, 1, "\1"), 0);
	ck_assert_uint_eq(signals(&ea), 1);
	line(false);
	ck_assert_int_eq(none(INTX, UNMASK, 0, 1), 0);
	ck_assert_int_eq(bools(INTX, MASK, 0, 1, "\1"), 0);
	ck_assert_int_eq(none(INTX, MASK, 0, 1), 0);
	line(true);
	ck_assert_uint_eq(signals(&ea), 0);
}
END_TEST

/* PCI-066, PCI-067, PCI-068, PCI-069: QEMU's resample eventfd. */
START_TEST(pci_068_unmask_eventfd)
{
	ck_assert_int_eq(event(INTX, TRIGGER, a), 0);
	ck_assert_int_eq(event(INTX, UNMASK, rig_fd(9, -EBADF)), -EBADF);
	ck_assert_int_eq(event(INTX, UNMASK, rig_fd(9, -EINVAL)), -EINVAL);
	ck_assert_int_eq(event(INTX, UNMASK, rig_fd(-1, 0)), 0);
	ck_assert_int_eq(event(INTX, UNMASK, b), 0);
	ck_assert(eb.watched);
	ck_assert_int_eq(event(INTX, UNMASK, a), -EBUSY);
	ck_assert_int_eq(event(INTX, UNMASK, rig_fd(9, -EBADF)), -EBADF);
	line(true);
	signals(&ea);
	eb.fn(eb.arg, eb.cookie);
	ck_assert_uint_eq(signals(&ea), 1);
	line(false);
	eb.fn(eb.arg, eb.cookie);
	line(true);
	ck_assert_uint_eq(signals(&ea), 1);
	ck_assert_int_eq(event(INTX, UNMASK, rig_fd(-7, 0)), 0);
	ck_assert(!eb.watched);
	ck_assert_uint_eq(rig_refs(&eb), 0);
	eb.fn(eb.arg, eb.cookie);		/* a late one is ignored */
	ck_assert_uint_eq(signals(&ea), 0);
}
END_TEST

/* PCI-066: a watch that cannot be had leaves nothing behind. */
START_TEST(pci_066_watch_refused)
{
	ck_assert_int_eq(event(INTX, TRIGGER, a), 0);
	eb.watched = true;
	ck_assert_int_eq(event(INTX, UNMASK, b), -EBUSY);
	ck_assert_uint_eq(rig_refs(&eb), 0);
	eb.watched = false;
	ck_assert_int_eq(event(INTX, UNMASK, b), 0);
}
END_TEST

/* PCI-070: off, with the unmask eventfd; the next start is unmasked. */
START_TEST(pci_070_intx_off)
{
	ck_assert_int_eq(event(INTX, TRIGGER, a), 0);
	ck_assert_int_eq(event(INTX, UNMASK, b), 0);
	ck_assert_int_eq(none(INTX, MASK, 0, 1), 0);
	ck_assert_int_eq(none(INTX, TRIGGER, 0, 0), 0);
	ck_assert_uint_eq(rig_refs(&ea) + rig_refs(&eb), 0);
	ck_assert(!eb.watched);
	line(true);
	ck_assert_int_eq(event(INTX, TRIGGER, a), 0);
	ck_assert_uint_eq(signals(&ea), 1);
}
END_TEST

/* PCI-072, PCI-076, PCI-077, PCI-079 */
START_TEST(pci_077_intx_trigger)
{
	ck_assert_int_eq(event(INTX, TRIGGER, rig_fd(9, -EBADF)), -EBADF);
	ck_assert_int_eq(event(INTX, TRIGGER, rig_fd(9, -EINVAL)), -EINVAL);
	ck_assert_int_eq(none(INTX, MASK, 0, 1), -EINVAL);	/* still no mode */
	ck_assert_int_eq(event(INTX, TRIGGER, rig_fd(-5, 0)), 0);
	ck_assert_int_eq(none(INTX, TRIGGER, 0, 1), 0);		/* active, no signal */
	line(true);						/* masked silently */
	ck_assert_int_eq(event(INTX, TRIGGER, a), 0);
	ck_assert_uint_eq(signals(&ea), 0);
	ck_assert_int_eq(none(INTX, UNMASK, 0, 1), 0);
	ck_assert_uint_eq(signals(&ea), 1);
	ck_assert_int_eq(event(INTX, TRIGGER, b), 0);		/* swapped, mask kept */
	ck_assert_uint_eq(rig_refs(&ea), 0);
	ck_assert_uint_eq(signals(&eb), 0);
	ck_assert_int_eq(none(INTX, TRIGGER, 0, 1), 0);
	ck_assert_int_eq(bools(INTX, TRIGGER, 0, 1, "\1"), 0);
	ck_assert_int_eq(bools(INTX, TRIGGER, 0, 1, "\0"), 0);
	ck_assert_uint_eq(signals(&eb), 2);
	ck_assert_int_eq(event(INTX, TRIGGER, rig_fd(9, -EBADF)), -EBADF);
	ck_assert_uint_eq(rig_refs(&eb), 1);			/* kept */
	ck_assert_int_eq(event(INTX, TRIGGER, rig_fd(-1, 0)), 0);
	ck_assert_uint_eq(rig_refs(&eb), 0);
	ck_assert_int_eq(none(INTX, MASK, 0, 1), 0);		/* mode stays */
}
END_TEST

/* PCI-226, PCI-075, PCI-079, PCI-065 under the virtual INTX_DISABLE bit. */
START_TEST(pci_226_intx_disable)
{
	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	line(true);
	ck_assert_int_eq(event(INTX, TRIGGER, a), 0);
	ck_assert_int_eq(none(INTX, TRIGGER, 0, 1), 0);
	ck_assert_int_eq(none(INTX, UNMASK, 0, 1), 0);
	ck_assert_uint_eq(signals(&ea), 0);
	cfg_put(PCI_COMMAND + 1, 1, 0);
	ck_assert_uint_eq(signals(&ea), 1);
	line(false);
	ck_assert_int_eq(none(INTX, UNMASK, 0, 1), 0);
	cfg_put(PCI_COMMAND + 1, 1, PCI_COMMAND_INTX_DISABLE >> 8);
	line(true);
	ck_assert_uint_eq(signals(&ea), 0);
	cfg_put(PCI_COMMAND, 2, 0);
	ck_assert_uint_eq(signals(&ea), 1);
}
END_TEST

/* ---- MSI and MSI-X ---- */

/* PCI-082, PCI-084 */
START_TEST(pci_082_entering)
{
	unsigned pm = 0x40;

	ck_assert_int_eq(events(MSI, 0, 0, NULL), -ERANGE);
	ck_assert_int_eq(events(MSIX, 0, 0, NULL), -ERANGE);
	cfg_put(pm + PCI_PM_CTRL, 2, 3);
	ck_assert_int_eq(events(MSI, 0, 1, &a), -EINVAL);
	cfg_put(pm + PCI_PM_CTRL, 2, 0);
	ck_assert_int_eq(events(MSI, 0, 1, &a), 0);
}
END_TEST

/* PCI-085, PCI-089: vectors 0 … start + count - 1 are allocated, and no more for MSI. */
START_TEST(pci_089_msi_does_not_grow)
{
	ck_assert_int_eq(events(MSI, 2, 2, (struct event_arg[]){ a, b }), 0);
	raise_vector(2);
	raise_vector(3);
	ck_assert_uint_eq(signals(&ea), 1);
	ck_assert_uint_eq(signals(&eb), 1);
	ck_assert_int_eq(events(MSI, 0, 1, &b), 0);
	ck_assert_int_eq(events(MSI, 4, 1, &b), -EINVAL);
	ck_assert_int_eq(events(MSI, 4, 1, (struct event_arg[]){ rig_fd(9, -EBADF) }),
			 -EINVAL);
	raise_vector(0);
	raise_vector(4);
	ck_assert_uint_eq(signals(&eb), 1);
}
END_TEST

/* PCI-080, PCI-085, PCI-232: leaving MSI gives back what was allocated, and the function's
 * enable bit. */
START_TEST(pci_080_msi_off)
{
	uint8_t hw[4096];
	unsigned size;

	ck_assert_int_eq(none(MSI, TRIGGER, 0, 0), -EINVAL);
	ck_assert_int_eq(events(MSI, 3, 1, &a), 0);
	device_config_snapshot(rig_device, hw, &size);
	ck_assert_uint_eq(hw[0x50 + PCI_MSI_FLAGS], 0x80 | 2 << 4 | 6 | 1);
	ck_assert_uint_eq(hw[PCI_COMMAND + 1] & 4, 4);
	ck_assert_int_eq(none(MSI, TRIGGER, 0, 0), 0);
	device_config_snapshot(rig_device, hw, &size);
	ck_assert_uint_eq(hw[0x50 + PCI_MSI_FLAGS], 0x86);
	ck_assert_uint_eq(hw[PCI_COMMAND + 1] & 4, 0);
	ck_assert_int_eq(events(MSI, 0, 1, &a), 0);
	ck_assert_int_eq(events(MSI, 3, 1, &b), -EINVAL);
}
END_TEST

static void raise_line(void)
{
	line(true);
}

/* PCI-014: a line that close() leaves high is not seen by the next client. */
START_TEST(pci_014_line_left_high)
{
	model.on_close = raise_line;
	device_close(rig_file);
	ck_assert_int_eq(device_open(rig_device, NULL, &rig_file), 0);
	ck_assert_int_eq(event(INTX, TRIGGER, a), 0);
	ck_assert_uint_eq(signals(&ea), 0);
}
END_TEST

/* PCI-090: MSI-X does. PCI-087: count 0 does nothing. */
START_TEST(pci_090_msix_grows)
{
	ck_assert_int_eq(events(MSIX, 0, 1, &a), 0);
	ck_assert_int_eq(events(MSIX, 5, 0, NULL), 0);
	ck_assert_int_eq(events(MSIX, RIG_VECTORS - 1, 1, &b), 0);
	raise_vector(RIG_VECTORS - 1);
	raise_vector(RIG_VECTORS);
	raise_vector(UINT32_MAX);
	ck_assert_uint_eq(signals(&ea), 0);
	ck_assert_uint_eq(signals(&eb), 1);
}
END_TEST

/* PCI-086, PCI-088: a mode without signals; what was raised meanwhile is delivered when
 * the vector gets one. */
START_TEST(pci_086_no_signals)
{
	struct event_arg off[2] = { rig_fd(-1, 0), rig_fd(-3, 0) };

	ck_assert_int_eq(events(MSIX, 0, 2, off), 0);
	ck_assert(is_message());
	raise_vector(1);
	ck_assert_int_eq(events(MSIX, 1, 1, &a), 0);
	ck_assert_uint_eq(signals(&ea), 1);
	ck_assert_int_eq(events(MSIX, 1, 1, off), 0);
	ck_assert_uint_eq(rig_refs(&ea), 0);
	ck_assert_int_eq(events(MSIX, 7, 1, off), 0);	/* never set */
	ck_assert_int_eq(events(MSIX, 1, 1, &a), 0);
	ck_assert_uint_eq(signals(&ea), 0);
}
END_TEST

/* PCI-085, PCI-091: entering fails as a whole. */
START_TEST(pci_091_entering_fails)
{
	ck_assert_int_eq(events(MSIX, 0, 2, (struct event_arg[]){ a, rig_fd(9, -EINVAL) }),
			 -EINVAL);
	ck_assert(!is_message());
	ck_assert_uint_eq(rig_refs(&ea), 0);
	ck_assert_int_eq(events(MSI, 0, 1, (struct event_arg[]){ rig_fd(9, -EBADF) }), -EBADF);
	ck_assert_int_eq(event(INTX, TRIGGER, a), 0);	/* no mode was left on */
}
END_TEST

/* PCI-092: from start to the failing one all are lost, those behind it are not. */
START_TEST(pci_092_one_fails)
{
	static struct rig_event e[5];
	struct event_arg args[5];

	for (unsigned i = 0; i < 5; i++)
		args[i] = rig_event(&e[i]);
	ck_assert_int_eq(events(MSIX, 0, 5, args), 0);
	ck_assert_int_eq(events(MSIX, 1, 3,
				(struct event_arg[]){ a, rig_fd(9, -EBADF), b }),
			 -EBADF);
	ck_assert_uint_eq(rig_refs(&ea) + rig_refs(&eb), 0);
	for (unsigned i = 0; i < 5; i++) {
		raise_vector(i);
		ck_assert_uint_eq(signals(&e[i]), i == 0 || i > 2);
	}
	ck_assert(is_message());
	ck_assert_int_eq(none(MSIX, TRIGGER, 0, 0), 0);		/* PCI-080 */
	for (unsigned i = 0; i < 5; i++)
		ck_assert_uint_eq(rig_refs(&e[i]), 0);
}
END_TEST

/* PCI-093, PCI-094: loop back, and beyond what is allocated there is nothing to do. */
START_TEST(pci_094_loop_back)
{
	ck_assert_int_eq(none(MSIX, TRIGGER, 0, 1), -EINVAL);
	ck_assert_int_eq(bools(MSIX, TRIGGER, 0, 1, "\1"), -EINVAL);
	ck_assert_int_eq(events(MSIX, 0, 2, (struct event_arg[]){ a, b }), 0);
	ck_assert_int_eq(none(MSIX, TRIGGER, 0, 4), 0);
	ck_assert_int_eq(bools(MSIX, TRIGGER, 0, 2, "\0\1"), 0);
	ck_assert_uint_eq(signals(&ea), 1);
	ck_assert_uint_eq(signals(&eb), 2);
}
END_TEST

/* Messages are memory writes: without bus mastering, or asleep, there are none. */
START_TEST(messages_need_bus_mastering)
{
	ck_assert_int_eq(events(MSIX, 0, 1, &a), 0);
	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	raise_vector(0);
	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	cfg_put(0x40 + PCI_PM_CTRL, 2, 3);
	raise_vector(0);
	cfg_put(0x40 + PCI_PM_CTRL, 2, 0);
	ck_assert_uint_eq(signals(&ea), 0);
	raise_vector(0);
	ck_assert_uint_eq(signals(&ea), 1);
}
END_TEST

/* PCI-232: the mask register holds back, shows pending, and lets go. */
START_TEST(pci_232_msi_mask_bits)
{
	unsigned mask = 0x50 + PCI_MSI_MASK_64, pending = 0x50 + PCI_MSI_PENDING_64;

	ck_assert_int_eq(events(MSI, 0, 2, (struct event_arg[]){ a, b }), 0);
	cfg_put(mask, 4, 0xffffffff);
	ck_assert_uint_eq(cfg_get(mask, 4), 0xff);
	raise_vector(1);
	raise_vector(1);
	ck_assert_uint_eq(signals(&eb), 0);
	ck_assert_uint_eq(cfg_get(pending, 4), 2);
	cfg_put(pending, 4, 0);
	ck_assert_uint_eq(cfg_get(pending, 4), 2);
	cfg_put(mask, 1, 0xfd);
	ck_assert_uint_eq(signals(&eb), 1);
	ck_assert_uint_eq(cfg_get(pending, 4), 0);
	ck_assert_int_eq(none(MSI, TRIGGER, 0, 0), 0);
	ck_assert_uint_eq(cfg_get(mask, 4), 0);
}
END_TEST

/* An MSI function that cannot mask drops what nobody takes. */
START_TEST(msi_without_masking)
{
	rig_down();
	model.pci.msi.maskable = false;
	rig_up();
	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	ck_assert_int_eq(events(MSI, 0, 1, (struct event_arg[]){ rig_fd(-1, 0) }), 0);
	raise_vector(0);
	ck_assert_int_eq(events(MSI, 0, 1, &a), 0);
	ck_assert_uint_eq(signals(&ea), 0);
	raise_vector(0);
	ck_assert_uint_eq(signals(&ea), 1);
}
END_TEST

/* PCI-108: reset keeps mode and eventfds; the line and what is pending are gone. */
START_TEST(pci_108_reset_keeps_interrupts)
{
	ck_assert_int_eq(event(INTX, TRIGGER, a), 0);
	line(true);
	signals(&ea);
	ck_assert_int_eq(device_reset(rig_file), 0);
	ck_assert_int_eq(none(INTX, UNMASK, 0, 1), 0);
	ck_assert_uint_eq(signals(&ea), 0);
	line(true);
	ck_assert_uint_eq(signals(&ea), 1);
	ck_assert_int_eq(none(INTX, TRIGGER, 0, 0), 0);

	ck_assert_int_eq(events(MSIX, 0, 1, &a), 0);
	raise_vector(5);
	ck_assert_int_eq(device_reset(rig_file), 0);
	ck_assert_int_eq(events(MSIX, 5, 1, &b), 0);
	ck_assert_uint_eq(signals(&eb), 0);
	raise_vector(0);
	ck_assert_uint_eq(signals(&ea), 1);
}
END_TEST

/* ---- ERR and REQ ---- */

/* PCI-095 … PCI-104: PCI-095, PCI-096, PCI-097, PCI-098, PCI-099, PCI-100, PCI-101,
 * PCI-102, PCI-103, PCI-104 */
START_TEST(pci_104_err_and_req)
{
	static void (*const fire[])(struct device *) = {
		[ERR] = device_signal_err, [REQ] = device_signal_req,
	};

	ck_assert_int_eq(event(INTX, TRIGGER, b), 0);		/* whatever the mode */
	for (uint32_t i = ERR; i <= REQ; i++) {
		ck_assert_int_eq(none(i, TRIGGER, 1, 0), -EINVAL);
		ck_assert_int_eq(none(i, TRIGGER, 0, 2), -EINVAL);
		ck_assert_int_eq(none(i, TRIGGER, 0, 0), -EINVAL);
		ck_assert_int_eq(none(i, TRIGGER, 0, 1), -EINVAL);
		ck_assert_int_eq(bools(i, TRIGGER, 0, 0, ""), -EINVAL);
		ck_assert_int_eq(bools(i, TRIGGER, 0, 1, "\1"), 0);
		ck_assert_int_eq(events(i, 0, 0, NULL), -EINVAL);
		ck_assert_int_eq(event(i, TRIGGER, rig_fd(-1, 0)), 0);
		ck_assert_int_eq(event(i, TRIGGER, rig_fd(-2, 0)), -EINVAL);
		ck_assert_int_eq(event(i, TRIGGER, rig_fd(9, -EBADF)), -EBADF);
		ck_assert_int_eq(event(i, TRIGGER, rig_fd(9, -EINVAL)), -EINVAL);
		fire[i](rig_device);
		ck_assert_int_eq(event(i, TRIGGER, a), 0);
		ck_assert_int_eq(event(i, TRIGGER, rig_fd(9, -EBADF)), -EBADF);
		ck_assert_int_eq(none(i, TRIGGER, 0, 1), 0);
		ck_assert_int_eq(bools(i, TRIGGER, 0, 1, "\1"), 0);
		ck_assert_int_eq(bools(i, TRIGGER, 0, 1, "\0"), 0);
		fire[i](rig_device);
		ck_assert_uint_eq(signals(&ea), 3);
		ck_assert_int_eq(event(i, TRIGGER, a), 0);	/* replaced by itself */
		ck_assert_uint_eq(rig_refs(&ea), 1);
		ck_assert_int_eq(none(i, TRIGGER, 0, 0), 0);
		ck_assert_uint_eq(rig_refs(&ea), 0);
		ck_assert_int_eq(event(i, TRIGGER, a), 0);
		ck_assert_int_eq(event(i, TRIGGER, rig_fd(-1, 0)), 0);
		ck_assert_uint_eq(rig_refs(&ea), 0);
		ck_assert_int_eq(event(i, TRIGGER, a), 0);	/* left to the last close */
		ck_assert_uint_eq(rig_refs(&ea), 1);
		ck_assert_int_eq(none(i, TRIGGER, 0, 0), 0);
	}
	ck_assert_int_eq(event(REQ, TRIGGER, a), 0);
	ck_assert_int_eq(event(ERR, TRIGGER, a), 0);
}
END_TEST

/* What status output tells of them. */
START_TEST(status_of_interrupts)
{
	const struct event_arg three[] = { a, rig_fd(-1, 0), b };
	struct device_status status;

	device_get_status(rig_device, &status);
	ck_assert_int_eq(status.irq_mode, -1);
	ck_assert_uint_eq(status.irq_vectors, 0);
	ck_assert_uint_eq(status.open_files, 1);
	ck_assert(!status.low_power && !status.err_set && !status.req_set);
	ck_assert_int_eq(events(MSIX, 0, 3, three), 0);
	ck_assert_int_eq(event(REQ, TRIGGER, a), 0);
	raise_vector(0);
	device_get_status(rig_device, &status);
	ck_assert_int_eq(status.irq_mode, MSIX);
	ck_assert_uint_eq(status.irq_vectors, 2);
	ck_assert_uint_eq(status.counters.interrupts, 1);
	ck_assert(status.req_set && !status.err_set);
	ck_assert_int_eq(none(MSIX, TRIGGER, 0, 0), 0);
	ck_assert_int_eq(event(INTX, TRIGGER, a), 0);
	line(true);
	device_get_status(rig_device, &status);
	ck_assert_int_eq(status.irq_mode, INTX);
	ck_assert_uint_eq(status.irq_vectors, 1);
	ck_assert(status.intx_masked);
	ck_assert_uint_eq(status.counters.interrupts, 2);
}
END_TEST

static void fill(Suite *s)
{
	TCase *tc = tcase_create("interrupts");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, pci_046_info);
	tcase_add_test(tc, pci_047_no_interrupts);
	tcase_add_test(tc, pci_059_actions);
	tcase_add_test(tc, pci_081_one_mode_at_a_time);
	tcase_add_test(tc, pci_061_intx_needs_its_mode);
	tcase_add_test(tc, pci_065_level_and_automask);
	tcase_add_test(tc, pci_062_mask);
	tcase_add_test(tc, pci_068_unmask_eventfd);
	tcase_add_test(tc, pci_066_watch_refused);
	tcase_add_test(tc, pci_070_intx_off);
	tcase_add_test(tc, pci_077_intx_trigger);
	tcase_add_test(tc, pci_226_intx_disable);
	tcase_add_test(tc, pci_082_entering);
	tcase_add_test(tc, pci_089_msi_does_not_grow);
	tcase_add_test(tc, pci_080_msi_off);
	tcase_add_test(tc, pci_014_line_left_high);
	tcase_add_test(tc, pci_090_msix_grows);
	tcase_add_test(tc, pci_086_no_signals);
	tcase_add_test(tc, pci_091_entering_fails);
	tcase_add_test(tc, pci_092_one_fails);
	tcase_add_test(tc, pci_094_loop_back);
	tcase_add_test(tc, messages_need_bus_mastering);
	tcase_add_test(tc, pci_232_msi_mask_bits);
	tcase_add_test(tc, msi_without_masking);
	tcase_add_test(tc, pci_108_reset_keeps_interrupts);
	tcase_add_test(tc, pci_104_err_and_req);
	tcase_add_test(tc, status_of_interrupts);
	suite_add_tcase(s, tc);
}

RIG_MAIN("irq", fill)
