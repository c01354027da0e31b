/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tests/device/fake_services.h - a core for one device model, made of arrays.
 *
 * A test makes a port, creates a model by the name that it registered, and plays the
 * client: it stores to BAR memory as mmap does (fake_poke), as pwrite does (fake_write),
 * lets the model poll, moves the clock, and looks at client memory, at interrupts and at
 * counts of DMA calls. The rules of device.h are kept: ranges, alignment, no call before
 * create or after destroy. Everything is freed by fake_destroy(), so that a leak in the
 * model shows under ASan.
 *
 * The process that the model is in can be killed: p->kill_at counts calls of services, and
 * right after that one a new instance takes over with what was saved by then (fake_pieces.h),
 * while the client's call goes on: a write, a reset or a close comes again, as the kernel
 * sends it again; polls and timers follow. BAR memory, client memory and interrupts stay.
 */
#ifndef TESTS_DEVICE_FAKE_SERVICES_H
#define TESTS_DEVICE_FAKE_SERVICES_H

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <device/fake_pieces.h>
#include <vfio-cused/device.h>
#include <vfio-cused/log.h>

#define FAKE_VECTORS 2048
#define FAKE_HOLES   8
#define FAKE_PARAMS  64

/* The fake is the port itself: a model only ever hands it back. */
struct cused_port {
	/* client memory: IOVA [base, base + size), less the holes */
	uint8_t *mem;
	uint64_t base;
	size_t size;
	struct cused_range holes[FAKE_HOLES];	/* not mapped at all */
	unsigned n_holes;
	struct cused_range readonly[FAKE_HOLES];/* mapped for reading by the device */
	unsigned n_readonly;
	bool no_bus_master;			/* DMA is -EACCES */
	uint64_t fail_dma;			/* n: the n-th call from now is -EFAULT */

	/* what the model did */
	uint64_t dma_reads, dma_writes;		/* calls */
	uint64_t dma_pieces, dma_bytes;
	uint64_t irqs[FAKE_VECTORS];		/* messages, per vector */
	uint64_t irqs_total;
	bool level;				/* INTx line */
	uint64_t level_changes;
	bool intx;				/* true: no message interrupt is enabled */
	atomic_uint kicks;

	/* clock */
	uint64_t clock;				/* ns */
	uint64_t deadline[CUSED_TIMERS];	/* 0: not armed */

	/* the model */
	const struct cused_services *services;
	const struct cused_device_ops *ops;
	void *state;
	bool is_open;
	struct cused_pci pci;
	struct cused_error error;
	uint8_t *bars[CUSED_PCI_BARS];
	char *strings[FAKE_PARAMS];
	struct cused_value values[FAKE_PARAMS];
	struct {
		void *base;
		size_t size;
	} memories[CUSED_MEMORIES];

	/* what outlives it, and when it dies */
	struct fake_pieces pieces;
	uint64_t calls;				/* of services that something is seen of */
	uint64_t kill_at;			/* after this one; 0: never */
	uint64_t kill_every;			/* then again after so many; 0: once */
	bool poll_first;			/* before a write comes again */
	unsigned kills;
	void (*dying)(bool begins);		/* around the end of a process; or NULL */
	bool no_memory;				/* that is kept */
	bool mortal;				/* inside of a callback */
	bool counts_now;			/* … where save_now() has an effect */
	jmp_buf killed;
};

/* ---- services ---- */

/* The end of a service's call: is it the last one of this process? */
static inline void fake_point_(struct cused_port *p)
{
	if (!p->mortal || ++p->calls != p->kill_at)
		return;
	p->kill_at = p->kill_every ? p->calls + p->kill_every : 0;
	longjmp(p->killed, 1);
}

static inline bool fake_mapped_(struct cused_port *p, uint64_t iova, size_t len, bool write)
{
	struct cused_range r = { iova, iova + (len - 1) };
	unsigned i;

	if (r.last < r.first || iova < p->base || iova - p->base > p->size ||
	    len > p->size - (iova - p->base))
		return false;
	for (i = 0; i < p->n_holes; i++)
		if (r.first <= p->holes[i].last && p->holes[i].first <= r.last)
			return false;
	for (i = 0; write && i < p->n_readonly; i++)
		if (r.first <= p->readonly[i].last && p->readonly[i].first <= r.last)
			return false;
	return true;
}

static inline int fake_dma_check_(struct cused_port *p, const struct cused_dma *v, size_t n,
				  size_t *ret_bad, bool write)
{
	if (p->no_bus_master)
		return -EACCES;
	if (n > CUSED_DMA_BATCH_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n; i++) {
		if (!v[i].len)
			continue;
		if (fake_mapped_(p, v[i].iova, v[i].len, write))
			continue;
		if (ret_bad)
			*ret_bad = i;
		return -EFAULT;
	}
	if (p->fail_dma && --p->fail_dma == 0) {
		if (ret_bad)
			*ret_bad = 0;
		return -EFAULT;
	}
	return 0;
}

static inline int fake_dma_read_(struct cused_port *p, const struct cused_dma *v, size_t n,
				 size_t *ret_bad)
{
	int rc = fake_dma_check_(p, v, n, ret_bad, false);

	p->dma_reads++;
	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {
		if (v[i].len)
			memcpy(v[i].buf, p->mem + (v[i].iova - p->base), v[i].len);
		p->dma_pieces++;
		p->dma_bytes += v[i].len;
	}
	fake_point_(p);
	return 0;
}

static inline int fake_dma_write_(struct cused_port *p, const struct cused_dma *v, size_t n,
				  size_t *ret_bad)
{
	int rc = fake_dma_check_(p, v, n, ret_bad, true);

	p->dma_writes++;
	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {
		if (v[i].len)
			memcpy(p->mem + (v[i].iova - p->base), v[i].buf, v[i].len);
		p->dma_pieces++;
		p->dma_bytes += v[i].len;
		fake_point_(p);			/* the copy may have got to here */
	}
	return 0;
}

static inline void fake_irq_raise_(struct cused_port *p, unsigned vector)
{
	if (p->intx || vector >= FAKE_VECTORS)
		return;
	p->irqs[vector]++;
	p->irqs_total++;
	fake_point_(p);
}

static inline void fake_irq_level_(struct cused_port *p, bool asserted)
{
	if (p->level != asserted)
		p->level_changes++;
	p->level = asserted;
	fake_point_(p);
}

static inline bool fake_irq_is_message_(struct cused_port *p)
{
	return !p->intx;
}

static inline void *fake_bar_memory_(struct cused_port *p, unsigned bar)
{
	return bar < CUSED_PCI_BARS ? p->bars[bar] : NULL;
}

static inline void fake_kick_(struct cused_port *p)
{
	atomic_fetch_add(&p->kicks, 1);
}

static inline void fake_timer_arm_(struct cused_port *p, unsigned id, uint64_t ns)
{
	if (id >= CUSED_TIMERS)
		abort();
	p->deadline[id] = ns ? p->clock + ns : 0;
	fake_point_(p);
}

static inline uint64_t fake_now_(struct cused_port *p)
{
	return p->clock;
}

static inline const char *fake_name_(struct cused_port *p)
{
	return "0000:01:00.0";
}

static inline void fake_save_(struct cused_port *p, unsigned id, const void *data, size_t size)
{
	if (id >= CUSED_SAVE_MAX || size > CUSED_SAVE_MAX)
		abort();
	fake_pieces_save(&p->pieces, id, data, size);
	fake_point_(p);
}

static inline void fake_save_now_(struct cused_port *p)
{
	if (p->counts_now)
		fake_pieces_commit(&p->pieces);
	fake_point_(p);
}

static inline void *fake_memory_(struct cused_port *p, unsigned id, uint64_t size)
{
	void *base;

	if (id >= CUSED_MEMORIES)
		abort();
	if (p->no_memory)
		return NULL;
	if (p->memories[id].base)
		return p->memories[id].size == size ? p->memories[id].base : NULL;
	base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	p->memories[id].base = base;
	p->memories[id].size = size;
	return base;
}

static const struct cused_services fake_services = {
	.size = sizeof(struct cused_services),
	.version = CUSED_API_VERSION,
	.dma_read = fake_dma_read_,
	.dma_write = fake_dma_write_,
	.irq_raise = fake_irq_raise_,
	.irq_level = fake_irq_level_,
	.irq_is_message = fake_irq_is_message_,
	.bar_memory = fake_bar_memory_,
	.kick = fake_kick_,
	.timer_arm = fake_timer_arm_,
	.now = fake_now_,
	.name = fake_name_,
	.save = fake_save_,
	.save_now = fake_save_now_,
	.memory = fake_memory_,
};

/* Set before fake_create(): a core that is older than save(), or keeps nothing. */
static bool fake_is_old, fake_has_no_memory;

/* ---- parameters: the program's parser has tests of its own; this one is small ---- */

static inline int fake_value_(const struct cused_param *param, const char *text,
			      struct cused_value *ret)
{
	static const char *const yes[] = { "on", "yes", "true", "1" };
	char *end;

	*ret = (struct cused_value){ .set = true, .string = text };
	switch (param->type) {
	case CUSED_PARAM_STRING:
	case CUSED_PARAM_PATH:
		return 0;
	case CUSED_PARAM_BOOL:
		for (unsigned i = 0; i < 4; i++)
			ret->number |= !strcmp(text, yes[i]);
		return 0;
	case CUSED_PARAM_SIZE:
	case CUSED_PARAM_UINT:
		ret->number = strtoull(text, &end, 0);
		if (param->type == CUSED_PARAM_SIZE && *end) {
			const char *units = "KMGT", *u = strchr(units, *end);

			if (!u)
				return -EINVAL;
			ret->number <<= 10 * (u - units + 1);
			end++;
		}
		if (*end || ret->number < param->min ||
		    (param->max && ret->number > param->max))
			return -EINVAL;
		return 0;
	}
	return -EINVAL;
}

/* ---- life ---- */

extern const struct cused_device_ops *const __start_cused_devices[];
extern const struct cused_device_ops *const __stop_cused_devices[];

/* The model of that name, or NULL. */
static inline const struct cused_device_ops *fake_find(const char *name)
{
	const struct cused_device_ops *const *p;

	for (p = __start_cused_devices; p < __stop_cused_devices; p++)
		if (!strcmp((*p)->name, name))
			return *p;
	return NULL;
}

static inline void fake_release_(struct cused_port *p)
{
	for (unsigned i = 0; i < CUSED_PCI_BARS; i++) {
		free(p->bars[i]);
		p->bars[i] = NULL;
	}
	for (unsigned i = 0; i < FAKE_PARAMS; i++) {
		free(p->strings[i]);
		p->strings[i] = NULL;
	}
	for (unsigned i = 0; i < CUSED_MEMORIES; i++) {
		if (p->memories[i].base)
			munmap(p->memories[i].base, p->memories[i].size);
		p->memories[i].base = NULL;
	}
	fake_pieces_free(&p->pieces);
	free(p->mem);
	p->mem = NULL;
}

/*
 * fake_create - an instance of model @name, with @mem_size bytes of client memory at
 * IOVA @base.
 * @params: "key=value,key=value" as behind --device NAME, or NULL
 * Return: what create returned (-ENODEV: no such model, -EINVAL: no such key or a value
 * outside the table's limits); on failure everything is freed, p->error stays.
 */
static inline int fake_create(struct cused_port *p, const char *name, const char *params,
			      uint64_t base, size_t mem_size)
{
	static struct cused_services old;
	struct cused_value *values = p->values;
	char *copy, *word, *save = NULL;
	unsigned n_strings = 0;
	int rc = 0;
	size_t i;

	memset(p, 0, sizeof(*p));
	old = fake_services;
	old.size = offsetof(struct cused_services, save);
	p->services = fake_is_old ? &old : &fake_services;
	p->no_memory = fake_has_no_memory;
	p->ops = fake_find(name);
	p->clock = 1000000000;
	if (!p->ops)
		return -ENODEV;
	if (p->ops->n_params > FAKE_PARAMS)
		abort();
	for (i = 0; i < p->ops->n_params; i++)
		if (p->ops->params[i].preset &&
		    fake_value_(&p->ops->params[i], p->ops->params[i].preset, &values[i]))
			abort();	/* a preset that its own table refuses */
	copy = strdup(params ? params : "");
	p->strings[n_strings++] = copy;
	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		char *eq = strchr(word, '=');

		if (eq)
			*eq = 0;
		for (i = 0; i < p->ops->n_params; i++)
			if (!strcmp(p->ops->params[i].name, word))
				break;
		if (!eq || i == p->ops->n_params ||
		    fake_value_(&p->ops->params[i], eq + 1, &values[i])) {
			fake_release_(p);
			return -EINVAL;
		}
		values[i].given = true;
	}
	rc = p->ops->create(p->services, p, values, &p->pci, &p->state, &p->error);
	if (rc) {
		fake_release_(p);
		return rc;
	}
	p->base = base;
	p->size = mem_size;
	p->mem = calloc(1, mem_size ? mem_size : 1);
	for (i = 0; i < CUSED_PCI_BARS; i++)
		if (p->pci.bars[i].size && p->pci.bars[i].n_areas)
			p->bars[i] = calloc(1, p->pci.bars[i].size);
	return 0;
}

/* ---- callbacks ---- */

enum fake_callback { FAKE_OPEN, FAKE_CLOSE, FAKE_RESET, FAKE_WRITE, FAKE_POLL, FAKE_TIMER };

struct fake_call {
	enum fake_callback what;
	unsigned bar, len;		/* of a write */
	uint64_t offset, value;
	unsigned timer;
};

/* What was saved, into a new instance, as far as it goes: for tests that spoil it, too. */
static inline int fake_restore(struct cused_port *p)
{
	for (unsigned i = 0; i < p->pieces.n; i++) {
		const struct fake_piece *piece = &p->pieces.v[i];
		int rc;

		if (!piece->data)
			continue;
		rc = p->ops->restore(p->state, piece->id, piece->data, piece->size);
		if (rc)
			return rc;
	}
	return p->ops->resume ? p->ops->resume(p->state) : 0;
}

/* The process has gone: what it had in memory with it, and nothing else happens. */
static inline void fake_replace(struct cused_port *p)
{
	struct cused_pci pci = { 0 };
	uint64_t calls = p->calls;

	p->mortal = false;
	if (p->dying)
		p->dying(true);
	p->ops->destroy(p->state);
	if (p->dying)
		p->dying(false);
	if (p->calls != calls)
		abort();
	fake_pieces_drop(&p->pieces);
	memset(p->deadline, 0, sizeof(p->deadline));
	if (p->ops->create(p->services, p, p->values, &pci, &p->state, &p->error))
		abort();
}

static inline bool fake_is_memory_(struct cused_port *p, unsigned bar, uint64_t off)
{
	const struct cused_bar *b = &p->pci.bars[bar];

	for (unsigned i = 0; i < b->n_areas; i++)
		if (b->areas[i].first <= off && off <= b->areas[i].last)
			return true;
	return false;
}

static inline uint64_t fake_callback_(struct cused_port *p, const struct fake_call *c)
{
	switch (c->what) {
	case FAKE_OPEN:
		return p->ops->open ? (uint64_t)-p->ops->open(p->state) : 0;
	case FAKE_CLOSE:
		if (p->ops->close)
			p->ops->close(p->state);
		return 0;
	case FAKE_RESET:
		p->ops->reset(p->state);
		return 0;
	case FAKE_WRITE:
		if (fake_is_memory_(p, c->bar, c->offset))
			memcpy(p->bars[c->bar] + c->offset, &c->value, c->len);
		p->ops->bar_write(p->state, c->bar, c->offset, c->len, c->value);
		return 0;
	case FAKE_POLL:
		return p->ops->poll(p->state);
	case FAKE_TIMER:
		p->ops->timer(p->state, c->timer);
		return 0;
	}
	return 0;
}

/* One callback, however many processes it takes. Return: of the last one. */
static inline uint64_t fake_call_(struct cused_port *p, const struct fake_call *c)
{
	uint64_t rc;

	if (setjmp(p->killed)) {	/* of this one, or of those that took over */
		p->kills++;
		fake_replace(p);
		if (p->is_open) {
			p->mortal = true;
			p->counts_now = false;
			if (fake_restore(p))
				abort();
			fake_pieces_commit(&p->pieces);
			p->counts_now = true;
			if (p->poll_first && p->ops->poll)
				p->ops->poll(p->state);
			fake_pieces_commit(&p->pieces);
			p->mortal = false;
		}
		/* Its timer is armed anew, if it still matters. */
		if (c->what == FAKE_TIMER)
			return 0;
	}
	p->counts_now = c->what == FAKE_POLL || c->what == FAKE_TIMER;
	p->mortal = true;
	rc = fake_callback_(p, c);
	fake_pieces_commit(&p->pieces);
	p->mortal = false;
	return rc;
}

static inline int fake_open(struct cused_port *p)
{
	int rc = -(int)fake_call_(p, &(struct fake_call){ .what = FAKE_OPEN });

	p->is_open = rc == 0;
	return rc;
}

static inline void fake_close(struct cused_port *p)
{
	if (p->is_open)
		fake_call_(p, &(struct fake_call){ .what = FAKE_CLOSE });
	p->is_open = false;
	memset(p->deadline, 0, sizeof(p->deadline));
	p->level = false;
}

static inline void fake_reset(struct cused_port *p)
{
	fake_call_(p, &(struct fake_call){ .what = FAKE_RESET });
	p->level = false;
}

/* Closes first if need be. The port may be created again afterwards. */
static inline void fake_destroy(struct cused_port *p)
{
	fake_close(p);
	p->ops->destroy(p->state);
	p->state = NULL;
	fake_release_(p);
}

/* ---- playing the client ---- */

static inline void fake_check_(struct cused_port *p, unsigned bar, uint64_t off, unsigned len)
{
	if (!p->is_open || off + len > p->pci.bars[bar].size || (off & (len - 1)) ||
	    (len != 1 && len != 2 && len != 4 && len != 8))
		abort();	/* the test broke a rule that the core would have kept */
}

/* A read through the file or the map (they are the same for memory pages). */
static inline uint64_t fake_read(struct cused_port *p, unsigned bar, uint64_t off, unsigned len)
{
	uint64_t v = 0;

	fake_check_(p, bar, off, len);
	if (!fake_is_memory_(p, bar, off))
		return p->ops->bar_read(p->state, bar, off, len);
	memcpy(&v, p->bars[bar] + off, len);
	return v;
}

/* A store through the client's map: nobody is told. */
static inline void fake_poke(struct cused_port *p, unsigned bar, uint64_t off, unsigned len,
			     uint64_t v)
{
	fake_check_(p, bar, off, len);
	if (!fake_is_memory_(p, bar, off))
		abort();
	memcpy(p->bars[bar] + off, &v, len);
}

/* A write through the file. */
static inline void fake_write(struct cused_port *p, unsigned bar, uint64_t off, unsigned len,
			      uint64_t v)
{
	struct fake_call c = { .what = FAKE_WRITE, .bar = bar, .len = len, .offset = off,
			       .value = v };

	fake_check_(p, bar, off, len);
	fake_call_(p, &c);
}

static inline uint32_t fake_read32(struct cused_port *p, unsigned bar, uint64_t off)
{
	return (uint32_t)fake_read(p, bar, off, 4);
}

static inline void fake_write32(struct cused_port *p, unsigned bar, uint64_t off, uint32_t v)
{
	fake_write(p, bar, off, 4, v);
}

static inline void fake_poke32(struct cused_port *p, unsigned bar, uint64_t off, uint32_t v)
{
	fake_poke(p, bar, off, 4, v);
}

static inline bool fake_poll_once(struct cused_port *p)
{
	return fake_call_(p, &(struct fake_call){ .what = FAKE_POLL });
}

/* Poll until there is nothing to do. Return: polls that did something; aborts the test
 * after @max of them (a model that never gets idle). */
static inline unsigned fake_poll(struct cused_port *p, unsigned max)
{
	unsigned n = 0;

	while (p->ops->poll && fake_poll_once(p))
		if (++n > max)
			abort();
	return n;
}

/* Move the clock on, firing timers in order of their deadlines. */
static inline void fake_advance(struct cused_port *p, uint64_t ns)
{
	uint64_t until = p->clock + ns;

	for (;;) {
		unsigned id = CUSED_TIMERS;

		for (unsigned i = 0; i < CUSED_TIMERS; i++)
			if (p->deadline[i] && p->deadline[i] <= until &&
			    (id == CUSED_TIMERS || p->deadline[i] < p->deadline[id]))
				id = i;
		if (id == CUSED_TIMERS)
			break;
		p->clock = p->deadline[id];
		p->deadline[id] = 0;
		fake_call_(p, &(struct fake_call){ .what = FAKE_TIMER, .timer = id });
	}
	p->clock = until;
}

/* Client memory at an IOVA. */
static inline void *fake_mem(struct cused_port *p, uint64_t iova)
{
	if (iova < p->base || iova - p->base >= p->size)
		abort();
	return p->mem + (iova - p->base);
}

static inline void fake_unmap(struct cused_port *p, uint64_t first, uint64_t last)
{
	if (p->n_holes == FAKE_HOLES)
		abort();
	p->holes[p->n_holes++] = (struct cused_range){ first, last };
}

static inline void fake_map_readonly(struct cused_port *p, uint64_t first, uint64_t last)
{
	if (p->n_readonly == FAKE_HOLES)
		abort();
	p->readonly[p->n_readonly++] = (struct cused_range){ first, last };
}

#endif
