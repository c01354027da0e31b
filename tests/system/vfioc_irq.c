/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of SET_IRQS: errnos, loop-back, and interrupts that a device really raises. */
#include "vfioc.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "edu_user.h"

enum { NONE = VFIO_IRQ_SET_DATA_NONE, BOOL = VFIO_IRQ_SET_DATA_BOOL,
       EVENT = VFIO_IRQ_SET_DATA_EVENTFD, MASK = VFIO_IRQ_SET_ACTION_MASK,
       UNMASK = VFIO_IRQ_SET_ACTION_UNMASK, TRIGGER = VFIO_IRQ_SET_ACTION_TRIGGER };
enum { INTX, MSI, MSIX, ERR, REQ };

#define QUIET_MS 50		/* how long "no interrupt" is watched */
#define WAIT_MS 5000

static int new_event(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	REQUIRE(fd >= 0);
	return fd;
}

static int set0(int device, uint32_t flags, uint32_t index, uint32_t start, uint32_t count)
{
	return vc_set_irqs(device, flags | NONE, index, start, count, NULL, 0);
}

static int set_event(int device, uint32_t action, uint32_t index, int fd)
{
	return vc_set_irqs(device, action | EVENT, index, 0, 1, &fd, sizeof(fd));
}

static int set_bool(int device, uint32_t action, uint32_t index, uint8_t on)
{
	return vc_set_irqs(device, action | BOOL, index, 0, 1, &on, 1);
}

/* The message index that the device has: MSI-X, else MSI. */
static uint32_t message_index(int device, uint32_t *ret_count)
{
	struct vfio_irq_info i;

	REQUIRE_EQ(vc_irq(device, MSIX, &i), 0);
	*ret_count = i.count;
	if (i.count)
		return MSIX;
	REQUIRE_EQ(vc_irq(device, MSI, &i), 0);
	*ret_count = i.count;
	if (!i.count)
		SKIP("the device has neither MSI nor MSI-X");
	return MSI;
}

static void irq_errnos(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	struct vfio_irq_set s = { .argsz = 19, .flags = TRIGGER | NONE };
	int d = vc.device, fd = new_event(), bad = 987, null = open("/dev/null", O_RDONLY);
	uint32_t count, msg = message_index(d, &count);

	EXPECT_EQ(VC(d, VFIO_DEVICE_SET_IRQS, BAD_ADDRESS), -EFAULT);	/* PCI-052 */
	EXPECT_EQ(VC(d, VFIO_DEVICE_SET_IRQS, &s), -EINVAL);		/* PCI-053 */
	EXPECT_EQ(set0(d, TRIGGER, 5, 0, 0), -EINVAL);
	EXPECT_EQ(set0(d, TRIGGER, msg, 1, ~0u - 1), -EINVAL);
	EXPECT_EQ(set0(d, TRIGGER | 64, msg, 0, 0), -EINVAL);
	EXPECT_EQ(set0(d, TRIGGER, msg, count, 0), -EINVAL);		/* PCI-054 */
	EXPECT_EQ(set0(d, TRIGGER, msg, 0, count + 1), -EINVAL);	/* PCI-055 */
	EXPECT_EQ(set0(d, TRIGGER | BOOL, msg, 0, 1), -EINVAL);		/* PCI-056 */
	EXPECT_EQ(vc_set_irqs(d, TRIGGER, msg, 0, 1, NULL, 0), -EINVAL);
	/* PCI-057 */
	EXPECT_EQ(vc_set_irqs(d, TRIGGER | EVENT, msg, 0, 1, &fd, 3), -EINVAL);
	EXPECT_EQ(set0(d, MASK, msg, 0, 1), -ENOTTY);			/* PCI-059 */
	EXPECT_EQ(set0(d, MASK | TRIGGER, INTX, 0, 1), -ENOTTY);
	EXPECT_EQ(set0(d, 0, INTX, 0, 1), -ENOTTY);
	EXPECT_EQ(set0(d, TRIGGER, msg, 0, 1), -EINVAL);		/* PCI-093 */
	EXPECT_EQ(set0(d, TRIGGER, msg, 0, 0), -EINVAL);		/* 6.5: mode none */
	EXPECT_EQ(set_event(d, TRIGGER, msg, bad), -EBADF);		/* PCI-091 */
	EXPECT_EQ(set_event(d, TRIGGER, msg, null), -EINVAL);
	EXPECT_EQ(set_event(d, TRIGGER, msg, fd), 0);			/* PCI-085 */
	EXPECT_EQ(set_event(d, TRIGGER, msg == MSI ? MSIX : MSI, fd), -EINVAL);
	EXPECT_EQ(set0(d, TRIGGER, msg, 0, 0), 0);			/* PCI-080 */
}

/* PCI-094: SET_IRQS signals the eventfds itself. */
static void irq_message_loopback(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint32_t count, msg = message_index(vc.device, &count);
	uint32_t n = count < 4 ? count : 4;
	uint8_t second_only[4] = { 0, 1, 0, 0 };
	int fds[4], minus = -1;

	for (uint32_t i = 0; i < n; i++)
		fds[i] = new_event();
	REQUIRE_EQ(vc_irq_eventfds(vc.device, msg, 0, n, fds), 0);
	EXPECT_EQ(set0(vc.device, TRIGGER, msg, 0, n), 0);
	for (uint32_t i = 0; i < n; i++)
		EXPECT_EQ(vc_event_wait(fds[i], WAIT_MS), 1);
	if (n > 1) {
		EXPECT_EQ(vc_set_irqs(vc.device, TRIGGER | BOOL, msg, 0, n, second_only, n), 0);
		EXPECT_EQ(vc_event_wait(fds[1], WAIT_MS), 1);
		EXPECT_EQ(vc_event_wait(fds[0], QUIET_MS), 0);
	}
	EXPECT_EQ(vc_irq_eventfds(vc.device, msg, 0, 1, &minus), 0);	/* PCI-088 */
	EXPECT_EQ(set0(vc.device, TRIGGER, msg, 0, 1), 0);
	EXPECT_EQ(vc_event_wait(fds[0], QUIET_MS), 0);
	EXPECT_EQ(vc_irq_disable(vc.device, msg), 0);
	EXPECT_EQ(vc_irq_disable(vc.device, msg), -EINVAL);
}

/* The eventfd stays ours even if the client has closed its number. */
static void irq_closed_eventfd(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	uint32_t count, msg = message_index(vc.device, &count);
	int fd = new_event(), copy = dup(fd);

	REQUIRE_EQ(set_event(vc.device, TRIGGER, msg, fd), 0);
	close(fd);
	EXPECT_EQ(set0(vc.device, TRIGGER, msg, 0, 1), 0);
	EXPECT_EQ(vc_event_wait(copy, WAIT_MS), 1);
}

static void irq_err_req(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	int d = vc.device, fd = new_event();
	struct vfio_irq_info err;

	EXPECT_EQ(set0(d, TRIGGER, REQ, 0, 1), -EINVAL);		/* PCI-096 */
	EXPECT_EQ(set_bool(d, TRIGGER, REQ, 1), 0);			/* PCI-100 */
	EXPECT_EQ(set_event(d, TRIGGER, REQ, -1), 0);			/* PCI-102 */
	EXPECT_EQ(set_event(d, TRIGGER, REQ, 987), -EBADF);		/* PCI-104 */
	EXPECT_EQ(set_event(d, TRIGGER, REQ, fd), 0);
	EXPECT_EQ(set_event(d, TRIGGER, REQ, -2), -EINVAL);		/* PCI-103 */
	EXPECT_EQ(set0(d, TRIGGER, REQ, 0, 1), 0);			/* PCI-097 */
	EXPECT_EQ(vc_event_wait(fd, WAIT_MS), 1);
	EXPECT_EQ(set_bool(d, TRIGGER, REQ, 1), 0);
	EXPECT_EQ(vc_event_wait(fd, WAIT_MS), 1);
	EXPECT_EQ(set0(d, TRIGGER, REQ, 0, 0), 0);			/* PCI-098 */
	EXPECT_EQ(set0(d, TRIGGER, REQ, 0, 0), -EINVAL);
	if (vc_irq(d, ERR, &err) == 0) {				/* PCI-047 */
		EXPECT_EQ(set_event(d, TRIGGER, ERR, fd), 0);
		EXPECT_EQ(set0(d, TRIGGER, ERR, 0, 1), 0);
		EXPECT_EQ(vc_event_wait(fd, WAIT_MS), 1);
	}
}

static void irq_intx_errnos(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	int d = vc.device, fd = new_event(), other = new_event();
	struct vfio_irq_info i;

	REQUIRE_EQ(vc_irq(d, INTX, &i), 0);
	if (!i.count)
		SKIP("the device has no INTx");
	EXPECT_EQ(set0(d, MASK, INTX, 0, 1), -EINVAL);			/* PCI-061 */
	EXPECT_EQ(set0(d, TRIGGER, INTX, 0, 0), -EINVAL);		/* PCI-071 */
	EXPECT_EQ(set0(d, TRIGGER, INTX, 0, 1), -EINVAL);		/* PCI-078 */
	EXPECT_EQ(set_event(d, TRIGGER, INTX, 987), -EBADF);		/* PCI-072 */
	EXPECT_EQ(set_event(d, TRIGGER, INTX, fd), 0);			/* PCI-075 */
	EXPECT_EQ(set0(d, TRIGGER, INTX, 0, 1), 0);			/* PCI-079 */
	EXPECT_EQ(vc_event_wait(fd, WAIT_MS), 1);
	EXPECT_EQ(set0(d, MASK, INTX, 0, 1), 0);			/* PCI-062 */
	EXPECT_EQ(set0(d, MASK, INTX, 0, 1), 0);
	EXPECT_EQ(set_bool(d, MASK, INTX, 0), 0);			/* PCI-063 */
	EXPECT_EQ(set_event(d, MASK, INTX, other), -ENOTTY);		/* PCI-064 */
	EXPECT_EQ(set_event(d, UNMASK, INTX, 987), -EBADF);		/* PCI-066 */
	EXPECT_EQ(set_event(d, UNMASK, INTX, other), 0);		/* PCI-068 */
	EXPECT_EQ(set_event(d, UNMASK, INTX, other), -EBUSY);		/* PCI-067 */
	EXPECT_EQ(set_event(d, UNMASK, INTX, -1), 0);			/* PCI-069 */
	EXPECT_EQ(set_event(d, TRIGGER, INTX, -1), 0);			/* PCI-077 */
	EXPECT_EQ(set0(d, TRIGGER, INTX, 0, 0), 0);			/* PCI-070 */
}

/* INTx as a level: masked when delivered, again on unmask while still asserted. */
static void irq_intx_delivery(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	int d = vc.device, fd = new_event(), resample = new_event();
	uint64_t one = 1;
	uint32_t status;

	/* a device that no reset reaches still has what its last user left */
	REQUIRE_EQ(edu_write32(d, EDU_IRQ_ACK, ~0u), 0);
	REQUIRE_EQ(set_event(d, TRIGGER, INTX, fd), 0);
	EXPECT_EQ(edu_write32(d, EDU_IRQ_RAISE, 4), 0);
	EXPECT_EQ(vc_event_wait(fd, WAIT_MS), 1);
	EXPECT_EQ(edu_write32(d, EDU_IRQ_RAISE, 2), 0);
	EXPECT_EQ(vc_event_wait(fd, QUIET_MS), 0);			/* masked */
	EXPECT_EQ(set0(d, UNMASK, INTX, 0, 1), 0);			/* PCI-065 */
	EXPECT_EQ(vc_event_wait(fd, WAIT_MS), 1);
	EXPECT_EQ(edu_read32(d, EDU_IRQ_STATUS, &status), 0);
	EXPECT_EQ(status, 6);
	EXPECT_EQ(edu_write32(d, EDU_IRQ_ACK, 6), 0);
	EXPECT_EQ(set0(d, UNMASK, INTX, 0, 1), 0);
	EXPECT_EQ(vc_event_wait(fd, QUIET_MS), 0);			/* not asserted */
	REQUIRE_EQ(set_event(d, UNMASK, INTX, resample), 0);		/* PCI-068 */
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(edu_write32(d, EDU_IRQ_RAISE, 1), 0);
		EXPECT_EQ(vc_event_wait(fd, WAIT_MS), 1);
		EXPECT_EQ(edu_write32(d, EDU_IRQ_ACK, 1), 0);
		EXPECT_EQ(write(resample, &one, 8), 8);
	}
	/* PCI-226: INTX_DISABLE in the command register keeps it quiet */
	EXPECT_EQ(vc_cfg16_set(d, 4, vc_cfg16(d, 4) | 0x400), 0);
	EXPECT_EQ(edu_write32(d, EDU_IRQ_RAISE, 1), 0);
	EXPECT_EQ(vc_event_wait(fd, QUIET_MS), 0);
	EXPECT_EQ(vc_cfg16_set(d, 4, vc_cfg16(d, 4) & ~0x400), 0);
	EXPECT_EQ(vc_event_wait(fd, WAIT_MS), 1);
}

static void irq_msi_delivery(const struct vc_where *w)
{
	struct vc vc = vfioc_open(w);
	int d = vc.device, fd = new_event(), next = new_event();
	uint64_t sum = 0;

	REQUIRE_EQ(vc_bus_master(d, true), 0);
	REQUIRE_EQ(set_event(d, TRIGGER, MSI, fd), 0);
	for (int i = 0; i < 100; i++) {
		EXPECT_EQ(edu_write32(d, EDU_IRQ_RAISE, 1), 0);
		sum += vc_event_wait(fd, WAIT_MS);
		EXPECT_EQ(edu_write32(d, EDU_IRQ_ACK, 1), 0);
	}
	EXPECT_EQ(sum, 100);
	REQUIRE_EQ(set_event(d, TRIGGER, MSI, next), 0); /* another eventfd */
	EXPECT_EQ(edu_write32(d, EDU_IRQ_RAISE, 1), 0);
	EXPECT_EQ(vc_event_wait(next, WAIT_MS), 1);
	EXPECT_EQ(vc_event_wait(fd, QUIET_MS), 0);
	EXPECT_EQ(edu_write32(d, EDU_IRQ_ACK, 1), 0);
	/* a device that is no bus master cannot send messages */
	REQUIRE_EQ(vc_bus_master(d, false), 0);
	EXPECT_EQ(edu_write32(d, EDU_IRQ_RAISE, 1), 0);
	EXPECT_EQ(vc_event_wait(next, QUIET_MS), 0);
}

const struct vcase cases_irq[] = {
	{ .name = "irq_errnos", .rows = "PCI-052 PCI-053 PCI-054 PCI-055 PCI-056 PCI-057 "
	  "PCI-059 PCI-080 PCI-085 PCI-091 PCI-093", .fn = irq_errnos },
	{ .name = "irq_message_loopback", .rows = "PCI-080 PCI-088 PCI-094",
	  .fn = irq_message_loopback },
	{ .name = "irq_closed_eventfd",
	  .rows = "PCI-085 PCI-094", .fn = irq_closed_eventfd },
	{ .name = "irq_err_req", .rows = "PCI-047 PCI-096 PCI-097 PCI-098 PCI-100 PCI-102 "
	  "PCI-103 PCI-104", .fn = irq_err_req },
	{ .name = "irq_intx_errnos",
	  .rows = "PCI-061 PCI-062 PCI-063 PCI-064 PCI-066 PCI-067 "
	  "PCI-068 PCI-069 PCI-070 PCI-071 PCI-072 PCI-075 PCI-077 PCI-078 PCI-079",
	  .fn = irq_intx_errnos },
	{ .name = "irq_intx_delivery", .rows = "PCI-065 PCI-068 PCI-226",
	  .fn = irq_intx_delivery, .needs = NEEDS_EDU },
	{ .name = "irq_msi_delivery", .rows = "PCI-085 PCI-088", .fn = irq_msi_delivery,
	  .needs = NEEDS_EDU },
	{ .name = NULL },
};
