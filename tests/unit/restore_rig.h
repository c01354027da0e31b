/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/restore_rig.h - the core twice: as a process had it that was killed, and as another one
 * makes it again out of its records. What was killed lives on, to be compared with.
 *
 *   group 1          0000:01:00.0 and 0000:01:00.1
 *   group 2          0000:02:00.0
 *   group 3          0000:03:00.0, emulated
 *   noiommu-1        0000:04:00.0
 */
#ifndef UNIT_RESTORE_RIG_H
#define UNIT_RESTORE_RIG_H

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <core/bar_space.h>
#include <core/device_priv.h>
#include <core/type1.h>
#include <core/container_priv.h>
#include <core/iommu_type1.h>
#include <core/restore.h>
#include "unit/fake_event.h"
#include "unit/fake_mm.h"
#include "unit/harness.h"

#define SIDE_DEVICES 5
#define SIDE_GROUPS 4
#define SIDE_CONTAINERS 4
#define SIDE_FILES 3			/* of one device */
#define RIG_EVENTS 8
#define RIG_MMS 2
#define RIG_VA 0x100000ull		/* of clients' memory */
#define RIG_VA_SIZE (16ull << 20)
#define RIG_PAGE 4096ull

/* ---- a model that saves ---- */

static int keeper_error;		/* of restore() and resume() */

/* Two pieces: what is in the first can be told from the second. */
static inline void keeper_save(const struct scratch *s)
{
	if (!CUSED_HAS(s->services, save))
		return;
	s->services->save(s->port, 0, &s->data, sizeof(s->data));
	s->services->save(s->port, CUSED_SAVE_MAX - 1, s, sizeof(*s));
}

static inline void keeper_save_now(const struct scratch *s)
{
	if (CUSED_HAS(s->services, save_now))
		s->services->save_now(s->port);
}

static inline void keeper_write(void *state, unsigned bar, uint64_t offset, unsigned len,
				uint64_t value)
{
	const struct scratch *s = state;

	scratch_write(state, bar, offset, len, value);
	keeper_save(state);
	if (offset == SCRATCH_IOVA)
		keeper_save_now(s);
}

static inline void keeper_timer(void *state, unsigned id)
{
	struct scratch *s = state;

	scratch_timer(state, id);
	keeper_save(state);
	keeper_save_now(s);
}

static inline int keeper_restore(void *state, unsigned id, const void *data, size_t size)
{
	struct scratch *s = state;
	const struct scratch *was = data;

	if (keeper_error)
		return keeper_error;
	if (id == 0 && size == sizeof(s->data)) {
		memcpy(&s->data, data, size);
		return 0;
	}
	if (id != CUSED_SAVE_MAX - 1 || size != sizeof(*was) || s->data != was->data)
		return -EBADMSG;
	s->iova = was->iova;
	s->timers = was->timers;
	s->dma_result = was->dma_result;
	return 0;
}

static inline int keeper_resume(void *state)
{
	return keeper_error;
}

static struct cused_device_ops keeper_ops;	/* scratch_ops with these */

/* ---- what both have ---- */

static uint8_t *bar_memory[SIDE_DEVICES][CUSED_PCI_BARS];
static struct fake_eventfd *eventfds[RIG_EVENTS];

static inline int rig_backing_alloc(void *arg, unsigned bar, uint64_t size, void **ret_base)
{
	uint8_t **memory = &bar_memory[(uintptr_t)arg][bar];

	if (!*memory)
		*memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
	*ret_base = *memory;
	return *memory == MAP_FAILED ? -ENOMEM : 0;
}

static inline void rig_backing_free(void *arg, unsigned bar, uint64_t size, void *base)
{
}

static const struct backing_ops rig_backing = {
	.alloc = rig_backing_alloc, .free = rig_backing_free,
};

/* ---- one of the two ---- */

static struct backend_files *rig_files;	/* of both; set before they are made */

struct side {
	struct keep *keep;
	const struct cused_iommu_ops *iommu;
	void *iommu_state;
	struct topology *topology;
	struct group *groups[SIDE_GROUPS];
	struct device *devices[SIDE_DEVICES];
	struct fake_mm mms[RIG_MMS];
	struct caller callers[RIG_MMS];
	/* What clients have open: */
	struct container *containers[SIDE_CONTAINERS];
	bool group_open[SIDE_GROUPS];
	struct device_file *files[SIDE_DEVICES][SIDE_FILES];
	/* Of restore: */
	unsigned gone_mms, gone_events;		/* masks */
	struct cused_error err;
};

static inline void side_up(struct side *s, struct keep *keep)
{
	static const struct {
		unsigned group;
		uint8_t bus, function;
	} where[SIDE_DEVICES] = { { 0, 1, 0 }, { 0, 1, 1 }, { 1, 2, 0 }, { 2, 3, 0 },
				  { 3, 4, 0 } };
	static const struct {
		unsigned id;
		enum group_kind kind;
	} groups[SIDE_GROUPS] = { { 1, GROUP_REAL }, { 2, GROUP_REAL }, { 3, GROUP_EMULATED },
				  { 1, GROUP_NOIOMMU } };
	struct topology_params params = { .unsafe_noiommu = true, .reports_nesting = true,
					  .dma_entry_limit = 64, .keep = keep,
					  .files = rig_files };

	memset(s, 0, sizeof(*s));
	s->keep = keep;
	s->iommu = harness_iommu("sim");
	s->iommu_state = harness_iommu_create(s->iommu, NULL, NULL);
	params.iommu = s->iommu;
	params.iommu_state = s->iommu_state;
	ck_assert_int_eq(topology_new(&params, &s->topology), 0);
	ck_assert_int_eq(iommu_driver_register(s->topology, &iommu_noiommu_driver), 0);
	ck_assert_int_eq(iommu_driver_register(s->topology, &iommu_type1_driver), 0);
	for (unsigned i = 0; i < SIDE_GROUPS; i++)
		ck_assert_int_eq(topology_add_group(s->topology, groups[i].id, groups[i].kind,
						    &s->groups[i]), 0);
	for (unsigned i = 0; i < SIDE_DEVICES; i++) {
		struct device_params d = {
			.ops = &keeper_ops, .backing = &rig_backing,
			.backing_arg = (void *)(uintptr_t)i, .keep_id = 100 + i,
			.address = { .bus = where[i].bus, .function = where[i].function },
		};

		ck_assert_int_eq(topology_add_device(s->topology, s->groups[where[i].group], &d,
						     &s->devices[i], NULL), 0);
	}
	for (unsigned i = 0; i < RIG_MMS; i++) {
		fake_mm_init(&s->mms[i], RIG_VA, RIG_VA_SIZE);
		s->mms[i].mm.keep_id = 200 + i;
		s->callers[i] = (struct caller){ .mm = &s->mms[i].mm,
						 .memlock_limit = UINT64_MAX,
						 .cap_ipc_lock = i, .cap_sys_rawio = true };
	}
}

/* Another process has the same addresses for itself. */
static inline void side_leave_addresses(struct side *s)
{
	for (unsigned i = 0; i < SIDE_DEVICES; i++)
		for (unsigned bar = 0; bar < CFG_BARS; bar++)
			bar_space_free(s->devices[i]->bars[bar].host);
}

/* All that clients have is closed. */
static inline void side_close(struct side *s)
{
	for (unsigned i = 0; i < SIDE_DEVICES; i++) {
		for (unsigned f = 0; f < SIDE_FILES; f++) {
			if (s->files[i][f])
				device_file_release(s->files[i][f]);
			s->files[i][f] = NULL;
		}
	}
	for (unsigned i = 0; i < SIDE_GROUPS; i++) {
		if (s->group_open[i])
			group_release(s->groups[i]);
		s->group_open[i] = false;
	}
	for (unsigned i = 0; i < SIDE_CONTAINERS; i++) {
		if (s->containers[i])
			container_release(s->containers[i]);
		s->containers[i] = NULL;
	}
}

static inline void side_down(struct side *s)
{
	side_close(s);
	topology_free(s->topology);
	s->iommu->destroy(s->iommu_state);
	for (unsigned i = 0; i < RIG_MMS; i++) {
		ck_assert_uint_eq(s->mms[i].mm.locked_pages, 0);
		ck_assert_uint_eq(fake_mm_done(&s->mms[i]), 1);
	}
	keep_free(s->keep);
}

/* ---- events ---- */

static inline struct event *new_event(unsigned i)
{
	struct event *event = fake_event_new(eventfds[i]);

	if (event)
		event->keep_id = 300 + i;
	return event;
}

/* ---- the records at this moment, as another process finds them ---- */

static inline struct keep *snapshot(struct keep *keep)
{
	int fd = memfd_create("snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING), from = keep_fd(keep);
	struct keep *copy;
	off_t at = 0, end;
	char buf[4096];

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)KEEP_SIZE_MAX), 0);
	while ((at = lseek(from, at, SEEK_DATA)) >= 0) {
		end = lseek(from, at, SEEK_HOLE);
		for (; at < end; at += (off_t)sizeof(buf)) {
			ssize_t n = pread(from, buf, sizeof(buf), at);

			ck_assert_int_gt(n, 0);
			ck_assert_int_eq(pwrite(fd, buf, (size_t)n, at), n);
		}
	}
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	ck_assert_int_eq(keep_open(fd, &copy), 0);
	return copy;
}

/* ---- restore ---- */

static inline struct mm *find_mm(void *arg, uint64_t id)
{
	struct side *s = arg;

	if (id < 200 || id >= 200 + RIG_MMS || s->gone_mms >> (id - 200) & 1)
		return NULL;
	return mm_ref(&s->mms[id - 200].mm);
}

static inline struct event *find_event(void *arg, uint64_t id)
{
	struct side *s = arg;

	if (id < 300 || id >= 300 + RIG_EVENTS || s->gone_events >> (id - 300) & 1)
		return NULL;
	return new_event((unsigned)(id - 300));
}

static const struct restore_ops rig_restore_ops = { find_mm, find_event };

static inline int side_restore(struct side *s)
{
	return topology_restore(s->topology, &rig_restore_ops, s, &s->err);
}

/* As the transport, which knows which files there are. */
static inline void side_claim(struct side *s, const struct side *was)
{
	for (unsigned i = 0; i < SIDE_CONTAINERS; i++) {
		uint64_t id = was->containers[i] ? container_id(was->containers[i]) : 0;

		if (id)
			s->containers[i] = container_restore_file(s->topology, id);
		ck_assert_int_eq(s->containers[i] != NULL, id != 0);
		if (id)
			ck_assert_ptr_null(container_restore_file(s->topology, id));
	}
	for (unsigned i = 0; i < SIDE_GROUPS; i++) {
		s->group_open[i] = group_restore_file(s->groups[i]);
		ck_assert_int_eq(s->group_open[i], was->group_open[i]);
		ck_assert(!group_restore_file(s->groups[i]));
	}
	for (unsigned i = 0; i < SIDE_DEVICES; i++) {
		struct device_file *more;

		for (unsigned f = 0; f < SIDE_FILES; f++)
			if (was->files[i][f])
				ck_assert_int_eq(device_restore_file(s->devices[i],
								     &s->files[i][f]), 0);
		ck_assert_int_eq(device_restore_file(s->devices[i], &more), -ENOENT);
	}
}

/* The process that takes over at this moment. */
static inline void side_take_over(struct side *s, struct side *was)
{
	side_leave_addresses(was);
	side_up(s, snapshot(was->keep));
	ck_assert_msg(side_restore(s) == 0, "%s", s->err.text);
	side_claim(s, was);
	ck_assert_msg(topology_restore_end(s->topology, &s->err) == 0, "%s", s->err.text);
}

static inline void rig_setup_all(void)
{
	keeper_ops = scratch_ops;
	keeper_ops.bar_write = keeper_write;
	keeper_ops.timer = keeper_timer;
	keeper_ops.restore = keeper_restore;
	keeper_ops.resume = keeper_resume;
	keeper_error = 0;
	for (unsigned i = 0; i < RIG_EVENTS; i++)
		eventfds[i] = fake_eventfd_new();
}

static inline void rig_teardown_all(void)
{
	for (unsigned i = 0; i < RIG_EVENTS; i++) {
		ck_assert_uint_eq(eventfds[i]->refs, 1);
		fake_eventfd_unref(eventfds[i]);
	}
}

/* ---- what a side answers, in words ---- */

static inline int print_container(struct container *c, void *arg)
{
	static const uint64_t ids[] = { 1, 3, 4, 6, 8, 9, 10 };
	struct cused_range rest = { 0, UINT64_MAX };
	struct container_status st;
	struct type1_info info;
	struct ioas_mapping m;
	struct ioas *ioas = NULL;
	FILE *f = arg;

	container_get_status(c, &st);
	fprintf(f, "container %llu: file %d groups %u driver %s mappings %llu bytes %llu\n",
		(unsigned long long)st.id, st.file_open, st.groups, st.driver,
		(unsigned long long)st.mappings, (unsigned long long)st.mapped_bytes);
	for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		fprintf(f, " %d", container_check_extension(c, ids[i]));
	if (container_driver(c) == CONTAINER_DRIVER_TYPE1) {
		ck_assert_int_eq(type1_get_info(c, &info), 0);
		fprintf(f, " sizes %#llx avail %u ranges %u dirty %d tracking %d",
			(unsigned long long)info.page_sizes, info.dma_avail, info.n_ranges,
			type1_dirty_allowed(c), ((struct type1 *)c->driver_data)->tracking);
		for (unsigned i = 0; i < info.n_ranges; i++)
			fprintf(f, " %#llx", (unsigned long long)info.ranges[i].first);
	}
	fputc('\n', f);
	if (container_get_ioas(c, &ioas) || !ioas)
		return 0;
	while (ioas_find(ioas, rest, &m)) {
		fprintf(f, "  %#llx-%#llx at %#llx prot %u invalid %d exempt %d of %llu number %llu\n",
			(unsigned long long)m.iova.first, (unsigned long long)m.iova.last,
			(unsigned long long)m.vaddr, m.prot, m.vaddr_invalid, m.lock_exempt,
			(unsigned long long)m.mm->keep_id, (unsigned long long)m.keep_id);
		if (m.iova.last == UINT64_MAX)
			break;
		rest.first = m.iova.last + 1;
	}
	return 0;
}

static inline void print_device(FILE *f, struct device *d)
{
	const struct scratch *s = d->state;
	struct irq_state *irq = &d->irq;
	struct cfgspace cfg;
	unsigned n, size;
	uint8_t bytes[4096];

	device_lock(d);
	cfg = d->cfg;
	fprintf(f, "%s: open %u low %d wakeup %llu ioas %d registers %llx %llx %llu %d\n",
		d->name, d->open_count, d->low_power,
		(unsigned long long)event_keep_id(d->wakeup), d->ioas != NULL,
		(unsigned long long)s->data, (unsigned long long)s->iova,
		(unsigned long long)s->timers, s->dma_result);
	for (unsigned i = 0; i < CUSED_TIMERS; i++)
		fprintf(f, " %llu", (unsigned long long)d->poller.timers[i]);
	for (unsigned i = 0; i < CFG_BARS; i++)
		fprintf(f, " %llx", (unsigned long long)d->bars[i].host);
	fprintf(f, "\n irq %d masked %d disabled %d level %d", irq->mode, irq->intx.masked,
		irq->intx.disabled, irq->intx.level);
	fprintf(f, " events %llu %llu %llu %llu\n ",
		(unsigned long long)event_keep_id(irq->intx.trigger),
		(unsigned long long)event_keep_id(irq->intx.unmask),
		(unsigned long long)event_keep_id(irq->err),
		(unsigned long long)event_keep_id(irq->req));
	n = irq_vectors(d, irq->mode);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, " %llu:%d:%d",
			(unsigned long long)event_keep_id(irq->vectors[i].trigger),
			irq->vectors[i].allocated, irq->vectors[i].pending);
	fprintf(f, "\n ioeventfds %u\n", d->n_ioeventfds);
	device_unlock(d);
	for (size_t at = 0; at < cfg.size; at += 4) {
		for (size_t done = 0; done < 4;)
			done += cfgspace_read(&cfg, (unsigned)(at + done), bytes + at + done,
					      4 - done);
		fprintf(f, "%s%02x%02x%02x%02x", at % 64 ? " " : "\n  ", bytes[at],
			bytes[at + 1], bytes[at + 2], bytes[at + 3]);
	}
	fprintf(f, "\n msi %d %u", cfg.msi_mode, cfg.msi_qmax);
	device_config_snapshot(d, bytes, &size);
	for (unsigned i = 0; i < size; i++)
		fprintf(f, "%s%02x", i % 64 ? "" : "\n  ", bytes[i]);
	fputc('\n', f);
}

/* To be freed. */
static inline char *side_answers(struct side *s)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	containers_each(s->topology, print_container, f);
	for (unsigned i = 0; i < SIDE_GROUPS; i++) {
		struct group_state st;
		uint32_t flags = 0;
		int r = group_get_status(s->groups[i], &flags);

		group_get_state(s->groups[i], &st);
		fprintf(f, "group %u: %d %u open %d in %llu devices %u viable %d\n", i, r, flags,
			st.open, (unsigned long long)st.container, st.open_devices, st.viable);
	}
	for (unsigned i = 0; i < SIDE_DEVICES; i++)
		print_device(f, s->devices[i]);
	for (unsigned i = 0; i < RIG_MMS; i++)
		fprintf(f, "mm %u: %llu pages\n", i,
			(unsigned long long)s->mms[i].mm.locked_pages);
	fclose(f);
	return text;
}

static inline void assert_same(struct side *a, struct side *b, const char *what)
{
	char *x = side_answers(a), *y = side_answers(b);

	if (strcmp(x, y) != 0) {
		size_t i = 0, line = 0;

		for (; x[i] == y[i]; i++)
			if (x[i] == '\n')
				line = i + 1;
		fprintf(stderr, "%s, before:\n%.400s\nafter:\n%.400s\n", what, x + line, y + line);
	}
	ck_assert_msg(strcmp(x, y) == 0, "%s", what);
	free(x);
	free(y);
}

#endif
