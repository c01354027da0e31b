/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz/irq_fuzz.c - SET_IRQS with any argument, interrupts of the device, masks and unmask
 * events, beside a plain model of section 6 of the contract's PCI part. Each result and
 * the count of each eventfd is compared after each step.
 *
 * The input is a list of actions. Half of the requests are made so that they can work.
 */
#include <stdio.h>

#include <linux/pci_regs.h>
#define HARNESS_NO_THREADS	/* they would take most of the time */
#include "unit/harness.h"
#include "fuzz.h"

#define EVENTS 5
#define OTHER EVENTS			/* a file that is no eventfd */
#define MSI_VECTORS 4u
#define NONE (-1)

#define SAME(a, b) \
	do { \
		long long a_ = (long long)(a), b_ = (long long)(b); \
\
		if (a_ != b_) { \
			fprintf(stderr, "%s:%d: %s is %lld, the model says %lld\n", __FILE__, \
				__LINE__, #a, a_, b_); \
			abort(); \
		} \
	} while (0)

static struct world world;
static struct client client;
static int device, events[EVENTS + 1];
static unsigned msi_at;			/* the capability */

/* ---- the model ---- */

struct vector {
	int trigger;
	bool allocated, pending;
};

static struct {
	int mode;			/* an index of VFIO, or NONE */
	struct vector v[SCRATCH_VECTORS];
	uint32_t msi_mask;
	int intx, unmask, err, req;	/* eventfds, or NONE */
	bool masked, level, disabled, bus_master;
	uint64_t count[EVENTS];
} m;

static void hit(int event)
{
	if (event != NONE)
		m.count[event]++;
}

static unsigned vectors(int mode)
{
	return mode == VFIO_PCI_MSI_IRQ_INDEX ? MSI_VECTORS : SCRATCH_VECTORS;
}

static bool is_message(int mode)
{
	return mode == VFIO_PCI_MSI_IRQ_INDEX || mode == VFIO_PCI_MSIX_IRQ_INDEX;
}

static void intx_look(void)
{
	if (m.mode != VFIO_PCI_INTX_IRQ_INDEX || !m.level || m.masked || m.disabled)
		return;
	m.masked = true;
	hit(m.intx);
}

static void intx_unmask(void)
{
	if (m.mode != VFIO_PCI_INTX_IRQ_INDEX || !m.masked || m.disabled)
		return;
	m.masked = false;
	intx_look();
}

static bool msi_masked(unsigned i)
{
	return m.mode == VFIO_PCI_MSI_IRQ_INDEX && (m.msi_mask >> i & 1);
}

static void deliver(unsigned i)
{
	if (!m.v[i].pending || m.v[i].trigger == NONE || msi_masked(i))
		return;
	m.v[i].pending = false;
	hit(m.v[i].trigger);
}

static void messages_off(void)
{
	for (unsigned i = 0; i < SCRATCH_VECTORS; i++)
		m.v[i] = (struct vector){ .trigger = NONE };
	if (m.mode == VFIO_PCI_MSI_IRQ_INDEX)
		m.msi_mask = 0;
	m.mode = NONE;
}

/* What a client's number is: *ret an eventfd or NONE. Return: 0 or -errno. */
static int event_of(int fd, int *ret)
{
	*ret = NONE;
	for (int i = 0; i < EVENTS; i++)
		*ret = fd == events[i] ? i : *ret;
	if (fd < 0 || *ret != NONE)
		return 0;
	return client_file(&client, fd) ? -EINVAL : -EBADF;
}

struct request {
	struct vfio_irq_set set;
	uint8_t data[64];
};

static int data_fd(const struct request *rq, unsigned i)
{
	int32_t fd;

	memcpy(&fd, rq->data + 4 * i, 4);
	return fd;
}

static bool wants(const struct request *rq, unsigned i)
{
	return rq->set.flags & VFIO_IRQ_SET_DATA_NONE || rq->data[i];
}

static int expect_intx(const struct request *rq, uint32_t action)
{
	bool on = m.mode == VFIO_PCI_INTX_IRQ_INDEX;
	bool by_event = rq->set.flags & VFIO_IRQ_SET_DATA_EVENTFD;
	int event, r;

	if (action != VFIO_IRQ_SET_ACTION_TRIGGER) {
		if (!on || rq->set.count != 1)
			return -EINVAL;						/* PCI-061 */
		if (by_event && action == VFIO_IRQ_SET_ACTION_MASK)
			return -ENOTTY;						/* PCI-064 */
		if (!by_event) {
			if (wants(rq, 0) && action == VFIO_IRQ_SET_ACTION_MASK)
				m.masked = true;
			else if (wants(rq, 0))
				intx_unmask();
			return 0;
		}
		r = event_of(data_fd(rq, 0), &event);
		if (r)
			return r;
		if (event != NONE && m.unmask != NONE)
			return -EBUSY;						/* PCI-067 */
		m.unmask = event;
		return 0;
	}
	if (on && rq->set.count == 0 && rq->set.flags & VFIO_IRQ_SET_DATA_NONE) {
		m.mode = m.intx = m.unmask = NONE;				/* PCI-070 */
		m.masked = false;
		return 0;
	}
	if ((!on && m.mode != NONE) || rq->set.count != 1)
		return -EINVAL;							/* PCI-071 */
	if (!by_event) {
		if (!on)
			return -EINVAL;						/* PCI-078 */
		if (wants(rq, 0) && !m.disabled)
			hit(m.intx);						/* PCI-079 */
		return 0;
	}
	r = event_of(data_fd(rq, 0), &event);
	if (r)
		return r;
	m.intx = event;								/* PCI-075, PCI-076 */
	if (!on) {
		m.mode = VFIO_PCI_INTX_IRQ_INDEX;
		m.masked = m.disabled;
		intx_look();
	}
	return 0;
}

static int expect_triggers(const struct request *rq)
{
	int mode = (int)rq->set.index;

	for (unsigned i = 0; i < rq->set.count; i++) {
		struct vector *v = &m.v[rq->set.start + i];
		int event, fd = data_fd(rq, i), r = event_of(fd, &event);

		v->trigger = NONE;						/* PCI-088 */
		if (fd < 0)
			continue;
		if (!v->allocated && mode == VFIO_PCI_MSI_IRQ_INDEX)
			r = -EINVAL;
		else
			v->allocated = true;
		if (r) {							/* PCI-092 */
			for (unsigned j = 0; j <= i; j++)
				m.v[rq->set.start + j].trigger = NONE;
			return r;
		}
		v->trigger = event;
		if (mode == VFIO_PCI_MSI_IRQ_INDEX)
			m.msi_mask &= ~(1u << (rq->set.start + i));
		deliver(rq->set.start + i);
	}
	return 0;
}

static int expect_message(const struct request *rq)
{
	int mode = (int)rq->set.index, r;
	bool none = rq->set.flags & VFIO_IRQ_SET_DATA_NONE;

	if (m.mode == mode && none && rq->set.count == 0) {
		messages_off();							/* PCI-080 */
		return 0;
	}
	if (m.mode != mode && m.mode != NONE)
		return -EINVAL;							/* PCI-081 */
	if (!(rq->set.flags & VFIO_IRQ_SET_DATA_EVENTFD)) {
		if (m.mode != mode)
			return -EINVAL;						/* PCI-093 */
		for (unsigned i = 0; i < rq->set.count; i++) {
			if (wants(rq, i))
				hit(m.v[rq->set.start + i].trigger);		/* PCI-094 */
		}
		return 0;
	}
	if (m.mode == mode)
		return expect_triggers(rq);					/* PCI-087 */
	if (rq->set.start + rq->set.count == 0)
		return -ERANGE;							/* PCI-082 */
	m.mode = mode;
	for (unsigned i = 0; i < rq->set.start + rq->set.count; i++)
		m.v[i].allocated = true;
	r = expect_triggers(rq);
	if (r)
		messages_off();							/* PCI-085 */
	return r;
}

static int expect_single(const struct request *rq, int *slot)
{
	int event, r;

	if (rq->set.flags & VFIO_IRQ_SET_DATA_NONE) {
		if (*slot == NONE)
			return -EINVAL;						/* PCI-096 */
		if (rq->set.count)
			hit(*slot);
		else
			*slot = NONE;
		return 0;
	}
	if (rq->set.count == 0)
		return -EINVAL;							/* PCI-099 */
	if (rq->set.flags & VFIO_IRQ_SET_DATA_BOOL) {
		if (rq->data[0])
			hit(*slot);
		return 0;
	}
	if (data_fd(rq, 0) < -1)
		return -EINVAL;							/* PCI-103 */
	r = event_of(data_fd(rq, 0), &event);
	if (r == 0)
		*slot = event;
	return r;
}

static int expect(const struct request *rq)
{
	static const uint32_t counts[] = { 1, MSI_VECTORS, SCRATCH_VECTORS, 1, 1 };
	uint32_t type = rq->set.flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
	uint32_t action = rq->set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK, each;

	if (rq->set.argsz < 20 || rq->set.flags & ~0x3fu || rq->set.index >= 5 ||
	    rq->set.count >= UINT32_MAX - rq->set.start)
		return -EINVAL;							/* PCI-053 */
	if (rq->set.start >= counts[rq->set.index] ||
	    rq->set.start + rq->set.count > counts[rq->set.index])
		return -EINVAL;							/* PCI-055 */
	if (type != 1 && type != 2 && type != 4)
		return -EINVAL;							/* PCI-056 */
	each = type == 2 ? 1 : 4;
	if (type != 1 && (rq->set.argsz - 20) / each < rq->set.count)
		return -EINVAL;							/* PCI-057 */
	if (action != VFIO_IRQ_SET_ACTION_TRIGGER &&
	    (rq->set.index != VFIO_PCI_INTX_IRQ_INDEX ||
	     (action != VFIO_IRQ_SET_ACTION_MASK && action != VFIO_IRQ_SET_ACTION_UNMASK)))
		return -ENOTTY;							/* PCI-059 */
	switch (rq->set.index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		return expect_intx(rq, action);
	case VFIO_PCI_MSI_IRQ_INDEX:
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return expect_message(rq);
	case VFIO_PCI_ERR_IRQ_INDEX:
		return expect_single(rq, &m.err);
	default:
		return expect_single(rq, &m.req);
	}
}

/* The client's event thread, after each call. */
static void pump(void)
{
	if (m.unmask == NONE || !m.count[m.unmask])
		return;
	m.count[m.unmask] = 0;
	intx_unmask();
}

static void compare(void)
{
	for (int i = 0; i < EVENTS; i++)
		SAME(atomic_load(&client.fds[events[i]]->eventfd->count), m.count[i]);
}

/* ---- actions ---- */

static int take_event(struct input *in)
{
	uint8_t v = (uint8_t)take(in, 1);

	return v < 0xc0 ? events[v % EVENTS] : v < 0xd0 ? events[OTHER] :
	       v < 0xe0 ? -1 : v < 0xf0 ? -2 : 50;
}

static void do_set_irqs(struct input *in)
{
	static const uint8_t types[] = { 4, 4, 1, 2 }, actions[] = { 0x20, 0x20, 8, 0x10 };
	struct request rq = { .set = { .argsz = sizeof(rq) } };
	uint8_t how = (uint8_t)take(in, 1);
	int r;

	rq.set.index = take(in, 1) % 6;
	if (how & 0x80) {
		rq.set.flags = take(in, 1) | (how & 1 ? take(in, 1) << 8 : 0);
		rq.set.start = take(in, 1) - 2;
		rq.set.count = take(in, 1) - 2;
		rq.set.argsz = how & 2 ? take(in, 1) : sizeof(rq);
	} else {
		rq.set.flags = types[how % 4] | (uint32_t)actions[how / 4 % 4];
		rq.set.start = rq.set.index && how & 0x40 ? take(in, 1) % 4 : 0;
		rq.set.count = take(in, 1) % (rq.set.index == 1 || rq.set.index == 2 ? 9 : 2);
	}
	for (unsigned i = 0; i < rq.set.count && i < 9; i++) {
		int32_t fd = take_event(in);

		if (rq.set.flags & VFIO_IRQ_SET_DATA_BOOL)
			rq.data[i] = (uint8_t)take(in, 1) & 1;
		else
			memcpy(rq.data + 4 * i, &fd, sizeof(fd));
	}
	r = expect(&rq);
	pump();
	SAME(client_ioctl_struct(&client, device, VFIO_DEVICE_SET_IRQS, &rq, sizeof(rq)), r);
}

static void do_message(struct input *in)
{
	unsigned i = take(in, 1) % 10;

	client_put(&client, device, SCRATCH_MSI, i);
	if (!is_message(m.mode) || i >= vectors(m.mode) || !m.bus_master)
		return;
	if (m.v[i].trigger != NONE && !msi_masked(i))
		hit(m.v[i].trigger);
	else
		m.v[i].pending = true;
}

static void do_level(struct input *in)
{
	m.level = take(in, 1) & 1;
	client_put(&client, device, SCRATCH_INTX, m.level);
	intx_look();
}

static void do_command(struct input *in)
{
	uint8_t v = (uint8_t)take(in, 1);
	bool disabled = v & 8;
	uint16_t command = (uint16_t)(PCI_COMMAND_MEMORY | (v & 3 ? PCI_COMMAND_MASTER : 0) |
				      (disabled ? PCI_COMMAND_INTX_DISABLE : 0));

	SAME(client_write(&client, device, CLIENT_CONFIG + PCI_COMMAND, &command, 2), 0);
	m.bus_master = v & 3;
	if (disabled == m.disabled)
		return;
	m.disabled = disabled;						/* PCI-226 */
	if (!disabled)
		intx_unmask();
	else if (m.mode == VFIO_PCI_INTX_IRQ_INDEX)
		m.masked = true;
}

static void do_msi_mask(struct input *in)
{
	uint32_t mask = take(in, 1) & 0xf, back;
	uint64_t at = CLIENT_CONFIG + msi_at + PCI_MSI_MASK_64;

	SAME(client_write(&client, device, at, &mask, 4), 0);
	SAME(client_read(&client, device, at, &back, 4), 0);
	m.msi_mask = back;
	for (unsigned i = 0; m.mode == VFIO_PCI_MSI_IRQ_INDEX && i < MSI_VECTORS; i++)
		deliver(i);
}

static void do_signal(struct input *in)
{
	int i = (int)(take(in, 1) % EVENTS);

	hit(i);
	pump();
	client_signal(&client, events[i]);
}

static void do_drain(struct input *in)
{
	int i = (int)(take(in, 1) % EVENTS);

	client_drain(&client, events[i]);
	m.count[i] = 0;
}

static void do_report(struct input *in)
{
	bool err = take(in, 1) & 1;

	if (err)
		device_signal_err(world.d10);
	else
		device_signal_req(world.d10);
	hit(err ? m.err : m.req);
}

static void (*const actions[])(struct input *in) = {
	do_set_irqs, do_set_irqs, do_set_irqs, do_set_irqs, do_message, do_message, do_level,
	do_command, do_msi_mask, do_signal, do_drain, do_report,
};

static void begin(void)
{
	int container, group;
	uint8_t next = 0, id = 0;

	if (!world.topology)
		world_init(&world, NULL);
	client_init(&client);
	container = client_open_container(&client, world.topology);
	group = client_open_group(&client, world.g1);
	SAME(client_set_container(&client, group, container), 0);
	SAME(client_ioctl(&client, container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	device = client_get_device(&client, group, "0000:01:00.0");
	for (int i = 0; i < EVENTS; i++)
		events[i] = client_eventfd(&client);
	events[OTHER] = client_other_file(&client);
	memset(&m, 0, sizeof(m));
	m.mode = m.intx = m.unmask = m.err = m.req = NONE;
	for (unsigned i = 0; i < SCRATCH_VECTORS; i++)
		m.v[i].trigger = NONE;
	client_bus_master(&client, device, true);
	m.bus_master = true;
	client_read(&client, device, CLIENT_CONFIG + PCI_CAPABILITY_LIST, &next, 1);
	for (; next; client_read(&client, device, CLIENT_CONFIG + next + 1, &next, 1)) {
		client_read(&client, device, CLIENT_CONFIG + next, &id, 1);
		if (id == PCI_CAP_ID_MSI)
			msi_at = next;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	begin();
	while (in.left) {
		actions[take(&in, 1) % (sizeof(actions) / sizeof(actions[0]))](&in);
		compare();
	}
	for (int fd = 3; fd < CLIENT_FDS; fd++) {	/* PCI-014 */
		if (client.fds[fd] && client.fds[fd]->object.kind == OBJECT_DEVICE)
			client_close(&client, fd);
	}
	for (int i = 0; i < EVENTS; i++)
		SAME(atomic_load(&client.fds[events[i]]->eventfd->refs), 1);
	SAME(client_exit(&client), true);
	return 0;
}
