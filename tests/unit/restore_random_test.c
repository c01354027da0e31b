/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls at random, another process that takes over in the midst of them, and records that are
 * damaged: see restore_test.c. */
#include "unit/restore_calls.h"

static uint64_t rng_state;

static unsigned rnd(unsigned n)
{
	uint64_t z = rng_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (unsigned)((z ^ z >> 31) >> 33) % n;
}

static void random_irqs(struct side *s, unsigned d)
{
	uint32_t index = rnd(5), start = rnd(3), count = rnd(4);
	static const uint32_t flags[] = { ON, ON, ON, OFF, OFF, UNMASK,
		VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK,
		VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK };

	if (index != VFIO_PCI_MSI_IRQ_INDEX && index != VFIO_PCI_MSIX_IRQ_INDEX) {
		start = 0;
		count = rnd(2);
	}
	set_irqs(s, d, flags[rnd(8)], index, start, count, rnd(4) ? (int)rnd(8) : -1);
}

static void random_config(struct side *s, unsigned d)
{
	static const struct {
		unsigned at, len;
		uint32_t mask;
	} writes[] = {
		{ PCI_COMMAND, 2, 0x406 }, { PCI_BASE_ADDRESS_0, 4, ~0u },
		{ PCI_INTERRUPT_LINE, 1, ~0u }, { 0x40 + PCI_PM_CTRL, 2, 3 },
		{ 0x50 + PCI_MSI_FLAGS, 2, ~0u }, { 0x50 + PCI_MSI_ADDRESS_LO, 4, ~0u },
		{ 0x50 + PCI_MSI_MASK_64, 4, 0xf }, { 0x70 + PCI_EXP_DEVCTL, 2, 0x7fff },
		{ 0x100 + PCI_ERR_UNCOR_MASK, 4, ~0u }, { PCI_COMMAND, 2, 6 },
	};
	unsigned i = rnd(sizeof(writes) / sizeof(writes[0]));

	put(s, d, CONFIG(writes[i].at), rnd(0x7fffffff) & writes[i].mask, writes[i].len);
}

static void random_device(struct side *s, unsigned d)
{
	static const uint8_t registers[] = { SCRATCH_DATA, SCRATCH_MSI, SCRATCH_INTX,
					     SCRATCH_IOVA, SCRATCH_DMA };
	struct event_arg wake = { .fd = 3 };
	uint8_t data[8] = { 0 };

	switch (rnd(9)) {
	case 0:
	case 1:
		random_irqs(s, d);
		break;
	case 2:
	case 3:
		random_config(s, d);
		break;
	case 4:
	case 5:
		put(s, d, BAR0 + registers[rnd(5)], rnd(6), 8);
		break;
	case 6:
		put(s, d, BAR0 + SCRATCH_TIMER, rnd(2) ? NEVER_NS : 0, 8);
		break;
	case 7:
		ioeventfd(s, d, 4, BAR0 + 8 * rnd(2), rnd(3), rnd(2) ? (int)rnd(8) : -1);
		break;
	case 8:
		wake.event = new_event(rnd(RIG_EVENTS));
		if (rnd(3) == 0)
			device_reset(s->files[d][0]);
		else
			device_feature(s->files[d][0], (uint16_t)(3 + rnd(3)), true, data, &wake);
		event_unref(wake.event);
		break;
	}
}

static void random_mapping(struct side *s, unsigned c)
{
	uint64_t iova = rnd(12) * RIG_PAGE, size = (1 + rnd(3)) * RIG_PAGE;
	uint64_t vaddr = RIG_VA + rnd(64) * RIG_PAGE;
	static const uint32_t prots[] = { RW, RW, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_VADDR };

	switch (rnd(8)) {
	case 0:
		unmap(s, c, 0, iova, size);
		break;
	case 1:
		unmap(s, c, VFIO_DMA_UNMAP_FLAG_VADDR, iova, size);
		break;
	case 2:
		unmap(s, c, rnd(4) ? VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_ALL :
				     VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);
		break;
	case 3:
		if (rnd(2))
			type1_dirty_start(s->containers[c]);
		else
			type1_dirty_stop(s->containers[c]);
		break;
	default:
		type1_map(s->containers[c], &s->callers[rnd(RIG_MMS)], prots[rnd(4)], vaddr, iova,
			  size);
	}
}

static void random_step(struct side *s)
{
	static const uint64_t drivers[] = { VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, 6,
					    VFIO_NOIOMMU_IOMMU, VFIO_TYPE1v2_IOMMU };
	unsigned c = rnd(SIDE_CONTAINERS), g = rnd(SIDE_GROUPS), d = rnd(SIDE_DEVICES);
	unsigned f = rnd(SIDE_FILES);

	switch (rnd(20)) {
	case 0:
		if (s->containers[c] && rnd(4) == 0) {
			container_release(s->containers[c]);
			s->containers[c] = NULL;
		} else if (!s->containers[c]) {
			open_container(s, c);
		}
		break;
	case 1:
		if (s->group_open[g] && rnd(4) == 0) {
			group_release(s->groups[g]);
			s->group_open[g] = false;
		} else if (!s->group_open[g]) {
			s->group_open[g] = group_open(s->groups[g], &s->callers[0]) == 0;
		}
		break;
	case 2:
	case 3:
		if (s->group_open[g] && s->containers[c])
			set_container(s, g, c);
		break;
	case 4:
		if (s->group_open[g] && rnd(4) == 0)
			group_unset_container(s->groups[g]);
		break;
	case 5:
	case 6:
		if (s->containers[c])
			container_set_iommu(s->containers[c], &s->callers[0], drivers[rnd(5)]);
		break;
	case 7:
	case 8:
		/* The first of them is what other calls are made by. */
		f = s->files[d][0] ? f : 0;
		if (!s->files[d][f]) {
			if (group_get_device(device_group(s->devices[d]), &s->callers[0],
					     device_name(s->devices[d]), &s->files[d][f]))
				s->files[d][f] = NULL;
		} else if (rnd(3) == 0 && f > 0) {
			device_file_release(s->files[d][f]);
			s->files[d][f] = NULL;
		} else if (rnd(12) == 0 && !s->files[d][1] && !s->files[d][2]) {
			device_file_release(s->files[d][0]);
			s->files[d][0] = NULL;
		}
		break;
	case 9:
	case 10:
	case 11:
	case 12:
	case 13:
		if (s->containers[c])
			random_mapping(s, c);
		break;
	default:
		if (s->files[d][0])
			random_device(s, d);
	}
}

#define SEEDS 8
#define STEPS 600
#define LOOK 30			/* one in so many */

START_TEST(random_calls)
{
	rng_state = (uint64_t)_i + 1;
	for (unsigned i = 0; i < STEPS; i++) {
		char what[64];

		/* As the transport does: a request is a batch. */
		struct keep_batch batch;

		keep_begin(before.keep, &batch);
		random_step(&before);
		keep_end(&batch);
		if (rnd(LOOK))
			continue;
		snprintf(what, sizeof(what), "seed %d, step %u", _i, i);
		side_take_over(&after, &before);
		assert_same(&before, &after, what);
		/* Who goes on may be killed as well. */
		if (rnd(2)) {
			struct side third;

			side_take_over(&third, &after);
			assert_same(&after, &third, what);
			side_down(&third);
		}
		side_down(&after);
	}
}
END_TEST

/* ---- records that were not written here ---- */

struct damage {
	struct keep *keep;
	enum keep_kind kind;
};

static int damage_record(void *arg, uint64_t id, const void *data, size_t size)
{
	const struct damage *damage = arg;
	unsigned char bytes[8192];

	if (size > sizeof(bytes) || rnd(4))
		return 0;
	memcpy(bytes, data, size);
	switch (rnd(4)) {
	case 0:
		size = size ? rnd((unsigned)size) : 1;
		break;
	case 1:
		memset(bytes + size, 0, 8);
		size += 8;
		break;
	default:
		for (unsigned i = 0; size && i <= rnd(3); i++)
			bytes[rnd((unsigned)size)] = (uint8_t)(rnd(2) ? 0xff : rnd(256));
	}
	keep_put(damage->keep, damage->kind, rnd(8) ? id : id + rnd(3), bytes, size);
	return 0;
}

START_TEST(broken_records_are_refused)
{
	unsigned refused = 0, taken = 0;

	rng_state = (uint64_t)_i + 1000;
	for (unsigned i = 0; i < STEPS; i++) {
		random_step(&before);
		if (rnd(12))
			continue;
		side_leave_addresses(&before);
		side_up(&after, snapshot(before.keep));
		for (int kind = KEEP_CONTAINER; kind <= KEEP_MODEL; kind++) {
			struct damage damage = { after.keep, (enum keep_kind)kind };

			if (rnd(3) == 0)
				keep_each(after.keep, (enum keep_kind)kind, damage_record, &damage);
		}
		if (side_restore(&after) == 0) {
			taken++;
			ck_assert_int_eq(topology_restore_end(after.topology, &after.err), 0);
		} else {
			refused++;
			ck_assert_str_ne(after.err.text, "");
		}
		side_down(&after);
	}
	ck_assert_uint_gt(refused, 0);
	ck_assert_uint_gt(taken, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("restore_random");
	TCase *random = tcase_create("random");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(random, setup, teardown);
	tcase_set_timeout(random, 100);
	tcase_add_loop_test(random, random_calls, 0, SEEDS);
	tcase_add_loop_test(random, broken_records_are_refused, 0, SEEDS / 2);
	suite_add_tcase(suite, random);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
