/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of SET_IRQS. What a device raises by itself is not looked at: models differ. */
#include "conf.h"

#define NONE VFIO_IRQ_SET_DATA_NONE
#define BOOL VFIO_IRQ_SET_DATA_BOOL
#define EVENT VFIO_IRQ_SET_DATA_EVENTFD
#define MASK VFIO_IRQ_SET_ACTION_MASK
#define UNMASK VFIO_IRQ_SET_ACTION_UNMASK
#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER

enum { INTX, MSI, MSIX, ERR, REQ, INDEXES };
static const char *const indexes[] = { "INTx", "MSI", "MSI-X", "ERR", "REQ" };
static const char *const types[] = { "NONE", "BOOL", "EVENTFD" };
static const char *const actions[] = { "MASK", "UNMASK", "TRIGGER" };

static struct conf_files f;
static uint32_t counts[INDEXES];
static int events[8];
static bool entered;		/* some call succeeded since the last leave() */

static int64_t set(uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
		   const void *data, size_t len)
{
	int64_t r = conf_set_irqs(f.device, flags, index, start, count, data, len);

	entered |= r >= 0;
	return r;
}

/* Whichever mode there is, it is left. */
static void leave(void)
{
	static const int32_t none = -1;

	if (!entered)
		return;
	for (uint32_t i = INTX; i <= MSIX; i++)
		set(NONE | TRIGGER, i, 0, 0, NULL, 0);
	for (uint32_t i = ERR; i <= REQ; i++)
		set(EVENT | TRIGGER, i, 0, 1, &none, 4);
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
		T->event_take(events[i]);
	entered = false;
}

static void open_it(void)
{
	f = conf_open(VFIO_TYPE1v2_IOMMU);
	for (uint32_t i = 0; i < INDEXES; i++) {
		struct vfio_irq_info info;

		counts[i] = conf_irq(f.device, i, &info) ? 0 : info.count;
	}
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
		events[i] = T->eventfd();
}

/* Enters the mode of an index with its first vectors. Return: whether the device has it. */
static bool enter(uint32_t index, uint32_t n)
{
	leave();
	if (index > MSIX || counts[index] < n)
		return false;
	return set(EVENT | TRIGGER, index, 0, n, events, 4 * n) == 0;
}

/* Which of the first eventfds were signalled. */
static const char *signals(void)
{
	char text[64] = "signals";

	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %llu",
			 (unsigned long long)T->event_take(events[i]));
	return conf_text("%s", text);
}

static void irq_struct(void)
{
	struct vfio_irq_set arg = { .argsz = sizeof(arg), .flags = NONE | TRIGGER,
		.index = REQ, .count = 0 };
	struct conf_struct s = { .name = "SET_IRQS",
				 .cmd = VFIO_DEVICE_SET_IRQS,
				 .arg = &arg,
				 .len = sizeof(arg),
				 .min = sizeof(arg) };

	open_it();
	s.fd = f.device;
	conf_try_pointers("CG-001 PCI-052", &s);
	conf_try_argsz("CG-002 CG-003 PCI-053", &s);
	for (uint32_t i = 0; i < INDEXES; i++) {
		arg.flags = 0;
		arg.index = i;
		arg.count = 1;
		snprintf(s.name, sizeof(s.name), "SET_IRQS of %s", indexes[i]);
		conf_try_flags("PCI-053 PCI-056 PCI-059", &s);
	}
}

/* Every type, every action, and more than one of each (PCI-056 PCI-059). */
static void irq_flags(void)
{
	static const uint32_t sizes[] = { 0, 1, 3, 4, 8 };
	int32_t data[2] = { -1, -1 };

	open_it();
	for (uint32_t index = 0; index < INDEXES; index++)
		for (uint32_t flags = 0; flags < 64; flags++)
			for (uint32_t count = 0; count < 2; count++) {
				leave();
				STEP("PCI-056 PCI-059 PCI-061 PCI-064 PCI-069 PCI-071 "
				     "PCI-077 PCI-078 "
				     "PCI-082 PCI-086 PCI-093 PCI-096 PCI-099 PCI-100 "
				     "PCI-101 PCI-102",
				     set(flags, index, 0, count, data, 8),
				     "%s: flags 0x%x count %u", indexes[index], flags,
				     count);
			}
	for (uint32_t index = 0; index < INDEXES; index++)
		for (size_t t = 0; t < 3; t++)
			for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
				for (uint32_t count = 0; count < 3; count++) {
					leave();
					STEP("PCI-055 PCI-057",
					     set(NONE << t | TRIGGER, index, 0, count, data,
						 sizes[i]),
					     "%s: TRIGGER of %s, %u of them in %u bytes",
					     indexes[index], types[t], count, sizes[i]);
				}
}

/* start and count about their ends (PCI-053 to PCI-055). */
static void irq_ranges(void)
{
	uint8_t space[20 + 64] = "";
	uint64_t page = T->memory(2);

	open_it();
	memset(space + 20, 0xff, 64);
	for (uint32_t index = 0; index < 8; index++) {
		uint32_t n = index < INDEXES ? counts[index] : 0;
		const uint32_t starts[] = { 0, 1, n - 1, n, n + 1, 0x7fffffff, 0x80000000,
			0xfffffffe, 0xffffffff };
		const uint32_t lengths[] = { 0, 1, 2, n - 1,
					     n, n + 1, 0x7fffffff, 0x80000000,
					     0xfffffffe, 0xffffffff };

		for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++)
			for (size_t j = 0; j < sizeof(lengths) / sizeof(*lengths); j++)
				for (size_t t = 0; t < 3; t++) {
					struct vfio_irq_set *s = (void *)space;
					int64_t r;

					leave();
					*s = (struct vfio_irq_set){ .argsz = sizeof(space),
								    .flags = NONE << t |
									     TRIGGER,
								    .index = index,
								    .start = starts[i],
								    .count = lengths[j] };
					r = CALL(f.device, VFIO_DEVICE_SET_IRQS, &space);
					entered |= r >= 0;
					STEP("PCI-053 PCI-054 PCI-055 PCI-057 PCI-082 "
					     "PCI-086",
					     r, "index %u of %s: start #%zu count #%zu",
					     index, types[t], i, j);
				}
	}
	/* Data that cannot be read, behind a struct that can (PCI-058). */
	T->protect(page + PAGE, 1, RIGHTS_NONE);
	for (uint32_t index = 0; index < INDEXES; index++)
		for (size_t t = 0; t < 3; t++)
			for (uint32_t count = 0; count < 2; count++) {
				struct vfio_irq_set s = { .argsz = 28,
							  .flags = NONE << t | TRIGGER,
							  .index = index,
							  .count = count };
				int64_t r;

				leave();
				memcpy(conf_at(page + PAGE - 20), &s, 20);
				r = T->ioctl(f.device, VFIO_DEVICE_SET_IRQS,
					     page + PAGE - 20);
				entered |= r >= 0;
				STEP("PCI-058", r, "%s: %s of %u, data unreadable",
				     indexes[index], types[t], count);
			}
}

/* Every request in every mode (section 6.5). */
static void irq_modes(void)
{
	const int32_t none[4] = { -1, -1, -1, -1 };
	const uint8_t yes[4] = { 1, 1, 1, 1 }, no[4] = { 0 };

	open_it();
	for (uint32_t mode = INTX; mode <= MSIX + 1; mode++)
		for (uint32_t index = 0; index < INDEXES; index++)
			for (size_t action = 0; action < 3; action++)
				for (uint32_t count = 0; count < 3; count++)
					for (unsigned kind = 0; kind < 5; kind++) {
						uint32_t act = MASK << action;
						int64_t r;

						if (!enter(mode, 1) && mode <= MSIX)
							continue;
						r = kind == 0   ? set(NONE | act, index, 0,
								      count, NULL, 0)
						    : kind == 1 ? set(BOOL | act, index, 0,
								      count, yes, 4)
						    : kind == 2 ? set(BOOL | act, index, 0,
								      count, no, 4)
						    : kind == 3
							    ? set(EVENT | act, index, 0,
								  count, none, 16)
							    : set(EVENT | act, index, 0,
								  count, events + 2, 16);
						conf_step(
							"PCI-060 PCI-061 PCI-062 PCI-063 "
							"PCI-065 PCI-070 "
							"PCI-071 PCI-079 PCI-080 PCI-081 "
							"PCI-087 PCI-094 "
							"PCI-095 PCI-098",
							r, signals(),
							"mode %s: %s %s count %u, kind %u",
							mode <= MSIX ? indexes[mode]
								     : "none",
							actions[action], indexes[index],
							count, kind);
					}
}

/* Fds of every kind for each index (PCI-066 PCI-072 PCI-091 PCI-103 PCI-104). */
static void irq_fds(void)
{
	const int32_t kinds[] = { events[0], -1, -2, INT32_MIN, INT32_MAX, 1000000,
		T->other_file(), conf_container() };

	open_it();
	for (uint32_t index = 0; index < INDEXES; index++)
		for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
			for (unsigned there = 0; there < 2; there++) {
				int32_t fd = i ? kinds[i] : events[0];

				leave();
				if (there)
					set(EVENT | TRIGGER, index, 0, 1, &events[1], 4);
				STEP("PCI-066 PCI-072 PCI-075 PCI-076 PCI-077 PCI-088 "
				     "PCI-091 PCI-102 "
				     "PCI-103 PCI-104",
				     set(EVENT | TRIGGER, index, 0, 1, &fd, 4),
				     "%s: TRIGGER by an fd of kind %zu, one is %sthere",
				     indexes[index], i, there ? "" : "not ");
				conf_step("PCI-077 PCI-079 PCI-094 PCI-097",
					  set(NONE | TRIGGER, index, 0, 1, NULL, 0),
					  signals(), "%s: signalled by hand",
					  indexes[index]);
				STEP("PCI-070 PCI-080 PCI-098",
				     set(NONE | TRIGGER, index, 0, 0, NULL, 0), "%s: off",
				     indexes[index]);
			}
}

/* The unmask eventfd of INTx (PCI-066 to PCI-069). */
static void irq_unmask(void)
{
	const int32_t kinds[] = { -1, -2, 1000000, T->other_file() };

	open_it();
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		for (unsigned there = 0; there < 2; there++) {
			if (!enter(INTX, 1))
				conf_skip("no INTx");
			if (there)
				STEP("PCI-068",
				     set(EVENT | UNMASK, INTX, 0, 1, &events[1], 4),
				     "installed");
			STEP("PCI-066 PCI-067 PCI-069",
			     set(EVENT | UNMASK, INTX, 0, 1, &kinds[i], 4),
			     "UNMASK by an fd of kind %zu, one is %sthere", i,
			     there ? "" : "not ");
			STEP("PCI-067", set(EVENT | UNMASK, INTX, 0, 1, &events[2], 4),
			     "UNMASK by an eventfd then");
		}
	enter(INTX, 1);
	STEP("PCI-062", set(NONE | MASK, INTX, 0, 1, NULL, 0), "MASK");
	STEP("PCI-062", set(NONE | MASK, INTX, 0, 1, NULL, 0), "MASK again");
	conf_step("PCI-079", set(NONE | TRIGGER, INTX, 0, 1, NULL, 0), signals(),
		  "by hand while masked");
	STEP("PCI-065", set(NONE | UNMASK, INTX, 0, 1, NULL, 0), "UNMASK");
	STEP("PCI-065", set(NONE | UNMASK, INTX, 0, 1, NULL, 0), "UNMASK again");
	conf_cfg_set(f.device, 4, 2, 0x400);
	conf_step("PCI-079 PCI-226", set(NONE | TRIGGER, INTX, 0, 1, NULL, 0), signals(),
		  "by hand, INTx disabled");
	conf_step("PCI-226", set(NONE | UNMASK, INTX, 0, 1, NULL, 0), signals(),
		  "UNMASK, INTx disabled");
	conf_cfg_set(f.device, 4, 2, 2);
	conf_step("PCI-226", set(NONE | TRIGGER, INTX, 0, 1, NULL, 0), signals(),
		  "by hand, INTx enabled again");
}

/* Vectors one by one (PCI-083 to PCI-094). */
static void irq_vectors(void)
{
	const uint8_t some[4] = { 1, 0, 2, 0 };
	int32_t mixed[4];

	open_it();
	for (uint32_t index = MSI; index <= MSIX; index++) {
		uint32_t n = counts[index] < 4 ? counts[index] : 4;

		for (uint32_t have = 1; have <= n; have++)
			for (uint32_t start = 0; start < 4; start++)
				for (uint32_t count = 0; count <= 4; count++)
					for (uint32_t bad = 0; bad <= count; bad++) {
						int64_t r;

						enter(index, have);
						for (uint32_t i = 0; i < 4; i++)
							mixed[i] = bad && i + 1 == bad
									   ? 1000000
									   : events[4 + i];
						r = set(EVENT | TRIGGER, index, start,
							count, mixed, 16);
						conf_step("PCI-087 PCI-089 PCI-090 PCI-091 "
							  "PCI-092 PCI-094",
							  r,
							  conf_text("%lld %s",
								    (long long)set(
									    NONE | TRIGGER,
									    index, 0, n,
									    NULL, 0),
								    signals()),
							  "%s, %u of them: from %u, %u of "
							  "them, bad %u",
							  indexes[index], have, start,
							  count, bad);
					}
		if (n < 4)
			continue;
		enter(index, 4);
		conf_step("PCI-094", set(BOOL | TRIGGER, index, 0, 4, some, 4), signals(),
			  "%s: by a mask", indexes[index]);
		conf_step("PCI-094", set(NONE | TRIGGER, index, 1, 2, NULL, 0), signals(),
			  "%s: two by hand", indexes[index]);
		mixed[0] = mixed[1] = -1;
		STEP("PCI-088", set(EVENT | TRIGGER, index, 1, 2, mixed, 8), "%s: two away",
		     indexes[index]);
		conf_step("PCI-094", set(NONE | TRIGGER, index, 0, 4, NULL, 0), signals(),
			  "%s: all by hand", indexes[index]);
	}
}

/* What modes do to the capabilities that a client sees (PCI-085 PCI-086 PCI-232 PCI-237).
 */
static void irq_enable_bits(void)
{
	static const uint8_t ids[] = { 0, 5, 0x11 };
	const int32_t none = -1;

	open_it();
	for (uint32_t index = MSI; index <= MSIX; index++) {
		unsigned at = conf_cap(f.device, ids[index]);

		if (!at)
			continue;
		for (unsigned signal = 0; signal < 2; signal++) {
			leave();
			STEP("PCI-085 PCI-086", conf_cfg(f.device, at + 3, 1) & 0xc1,
			     "%s off", indexes[index]);
			set(EVENT | TRIGGER, index, 0, 1, signal ? &events[0] : &none, 4);
			STEP("PCI-085 PCI-086", conf_cfg(f.device, at + 2, 1) & 1 ||
			     conf_cfg(f.device, at + 3, 1) & 0x80, "%s on, signal %u",
			     indexes[index], signal);
			conf_cfg_set(f.device, at + 2, 2, 0);
			STEP("PCI-232 PCI-237", conf_cfg(f.device, at + 3, 1) & 0xc0,
			     "%s, 0 written", indexes[index]);
			conf_cfg_set(f.device, at + 2, 2, 0xffff);
			STEP("PCI-232 PCI-237", conf_cfg(f.device, at + 3, 1) & 0xc0,
			     "%s, ones written", indexes[index]);
			set(NONE | TRIGGER, index, 0, 0, NULL, 0);
			STEP("PCI-080", conf_cfg(f.device, at + 3, 1) & 0xc0,
			     "%s off again", indexes[index]);
		}
	}
}

const struct conf_case cases_irq[] = {
	CASE(irq_struct, "PCI-052 PCI-053"),
	CASE(irq_flags, "PCI-056 to PCI-059", .needs = MANY_STEPS),
	CASE(irq_ranges, "PCI-053 to PCI-058", .needs = MANY_STEPS),
	CASE(irq_modes, "PCI-060 to PCI-098", .needs = MANY_STEPS),
	CASE(irq_fds, "PCI-066 PCI-072 to PCI-077 PCI-091 PCI-102 to PCI-104"),
	CASE(irq_unmask, "PCI-061 to PCI-069 PCI-226"),
	CASE(irq_vectors, "PCI-083 to PCI-094", .needs = MANY_STEPS),
	CASE(irq_enable_bits, "PCI-085 PCI-086 PCI-232 PCI-237"),
	{ .name = NULL },
};
