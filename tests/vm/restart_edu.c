/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A worker that has an edu device, and threads that map in its container. */
#include "restart_load.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "system/edu_user.h"

#define REGIONS VFIO_PCI_NUM_REGIONS
#define IRQS VFIO_PCI_NUM_IRQS
#define CONFIG_BYTES 256u
#define CONFIG_COMMAND 0x04u
#define CONFIG_CACHE_LINE 0x0cu	/* one byte that is the driver's */
#define CONFIG_LINE 0x3cu	/* another one */
#define INFO_BYTES 512u
#define RUNNING 1u	/* of the command and the status register */

struct info {	/* of VFIO_IOMMU_GET_INFO, with what follows it */
	_Alignas(8) uint8_t bytes[INFO_BYTES];
};

struct edu_model {
	struct load *load;
	struct vc vc;
	bool alone;	/* in its container */
	int event;	/* -1: the interrupt is off */
	struct maps maps;
	uint64_t bar, config;	/* offsets of regions */
	/* What the device and the container answered first; nothing of it changes. */
	struct vfio_device_info device_info;
	struct vfio_region_info regions[REGIONS];
	struct vfio_irq_info irqs[IRQS];
	struct info iommu_info;
	unsigned avail_at;	/* where in it the number of further mappings stands */
	uint32_t avail;	/* that number, if there are none */
	uint8_t cfg[CONFIG_BYTES];
	/* What its registers hold. */
	uint32_t live;
	uint8_t buffer[EDU_DMA_BUF_SIZE];
};

/* ---- registers ---- */

static uint64_t reg_read(struct edu_model *e, const char *call, uint64_t reg, size_t len)
{
	uint64_t value = 0;

	load_read(e->load, call, e->vc.device, e->bar + reg, &value, len);
	return value;
}

static void reg_write(struct edu_model *e, const char *call, uint64_t reg, uint64_t value,
		      size_t len)
{
	load_write(e->load, call, e->vc.device, e->bar + reg, &value, len);
}

static void reg_compare(struct edu_model *e, const char *call, uint64_t reg, uint64_t is,
			uint64_t want)
{
	if (is != want)
		load_fail(e->load, call, "register 0x%x is 0x%llx, expected 0x%llx",
			  (unsigned)reg, (unsigned long long)is, (unsigned long long)want);
}

static void reg_expect(struct edu_model *e, const char *call, uint64_t reg, uint32_t want)
{
	reg_compare(e, call, reg, reg_read(e, call, reg, 4), want);
}

static void reg_expect64(struct edu_model *e, const char *call, uint64_t reg, uint64_t want)
{
	reg_compare(e, call, reg, reg_read(e, call, reg, 8), want);
}

/* Until a register's first bit is clear: a job of the device takes some time. */
static void reg_wait(struct edu_model *e, const char *call, uint64_t reg, size_t len)
{
	uint64_t end = vc_now_ns() + (uint64_t)e->load->patience_ms * 1000000u;

	while (reg_read(e, call, reg, len) & RUNNING) {
		if (vc_now_ns() > end)
			load_fail(e->load, call, "not done within %d ms", e->load->patience_ms);
	}
}

static void step_liveness(struct edu_model *e)
{
	if (load_draw(e->load, 2)) {
		e->live = (uint32_t)load_draw(e->load, RAND_MAX);
		reg_write(e, "write LIVE", EDU_LIVE, e->live, 4);
		e->live = ~e->live;
	}
	reg_expect(e, "read LIVE", EDU_LIVE, e->live);
}

static void step_factorial(struct edu_model *e)
{
	uint32_t n = load_draw(e->load, 40), product = 1;

	for (uint32_t i = 2; i <= n; i++)
		product *= i;
	reg_write(e, "write FACT", EDU_FACT, n, 4);
	reg_wait(e, "read STATUS", EDU_STATUS, 4);
	reg_expect(e, "read FACT", EDU_FACT, product);
}

static void step_config(struct edu_model *e)
{
	unsigned at = load_draw(e->load, CONFIG_BYTES / 4) * 4;
	uint32_t value;

	if (load_draw(e->load, 3) == 0) {
		at = load_draw(e->load, 2) ? CONFIG_LINE : CONFIG_CACHE_LINE;
		e->cfg[at] = (uint8_t)load_draw(e->load, 256);
		load_write(e->load, "write config", e->vc.device, e->config + at, &e->cfg[at], 1);
	}
	load_read(e->load, "read config", e->vc.device, e->config + at, &value, 4);
	if (memcmp(&value, e->cfg + at, 4))
		load_same(e->load, "read config", &value, e->cfg + at, 4);
}

/* ---- DMA ---- */

static void dma_run(struct edu_model *e, uint64_t from, uint64_t to, uint32_t len, unsigned flags)
{
	bool interrupt = e->event >= 0 && load_draw(e->load, 2);

	reg_write(e, "write DMA_SRC", EDU_DMA_SRC, from, 8);
	reg_write(e, "write DMA_DST", EDU_DMA_DST, to, 8);
	reg_write(e, "write DMA_COUNT", EDU_DMA_COUNT, len, 8);
	if (interrupt)
		load_quiet(e->load, e->event);
	reg_write(e, "write DMA_CMD", EDU_DMA_CMD, RUNNING | flags | (interrupt ? 4 : 0), 8);
	if (interrupt)
		load_event(e->load, "DMA interrupt", e->event);
	reg_wait(e, "read DMA_CMD", EDU_DMA_CMD, 8);
	reg_expect64(e, "read DMA_SRC", EDU_DMA_SRC, from);
	reg_expect64(e, "read DMA_DST", EDU_DMA_DST, to);
	reg_expect64(e, "read DMA_COUNT", EDU_DMA_COUNT, len);
	if (interrupt) {
		reg_expect(e, "read IRQ_STATUS", EDU_IRQ_STATUS, EDU_DMA_IRQ);
		reg_write(e, "write IRQ_ACK", EDU_IRQ_ACK, EDU_DMA_IRQ, 4);
	}
}

/* From a mapping into the device's buffer: all ones, if it is none. */
static void dma_in(struct edu_model *e, unsigned i, unsigned off, unsigned at, unsigned len)
{
	uint8_t *model = maps_model(&e->maps, i) + off;

	for (unsigned k = 0; k < len; k++)
		model[k] = (uint8_t)load_draw(e->load, 256);
	memcpy(maps_memory(&e->maps, i) + off, model, len);
	dma_run(e, maps_iova(&e->maps, i) + off, EDU_DMA_BUF + at, len, 0);
	if (e->maps.mapped[i])
		memcpy(e->buffer + at, model, len);
	else
		memset(e->buffer + at, 0xff, len);
}

/* From there into a mapping; nowhere, if it is none. */
static void dma_out(struct edu_model *e, unsigned i, unsigned off, unsigned at, unsigned len)
{
	dma_run(e, EDU_DMA_BUF + at, maps_iova(&e->maps, i) + off, len, 2);
	if (e->maps.mapped[i])
		memcpy(maps_model(&e->maps, i) + off, e->buffer + at, len);
	load_same(e->load, "DMA content", maps_memory(&e->maps, i), maps_model(&e->maps, i),
		  MAP_BYTES);
}

static void step_dma(struct edu_model *e)
{
	unsigned len = 1 + load_draw(e->load, EDU_DMA_BUF_SIZE);
	unsigned at = load_draw(e->load, EDU_DMA_BUF_SIZE + 1 - len);
	unsigned off = load_draw(e->load, MAP_BYTES + 1 - len), i = load_draw(e->load, MAPS);

	/* Most of them through a mapping. */
	if (load_draw(e->load, 4) && !e->maps.mapped[i])
		maps_map(&e->maps, i);
	if (load_draw(e->load, 2))
		dma_in(e, i, off, at, len);
	else
		dma_out(e, i, off, at, len);
}

/* ---- interrupts ---- */

struct irq_set {	/* one with room for a file */
	struct vfio_irq_set set;
	int fd;
};

_Static_assert(offsetof(struct irq_set, fd) == offsetof(struct vfio_irq_set, data), "no gap");

/* @fd: -2 none. @count 0: all off. */
static void set_irqs(struct edu_model *e, uint32_t count, int fd, int want)
{
	struct irq_set arg = {
		.set = { .argsz = sizeof(arg), .flags = VFIO_IRQ_SET_ACTION_TRIGGER,
			 .index = VFIO_PCI_MSI_IRQ_INDEX, .count = count },
		.fd = fd,
	}, before;

	arg.set.flags |= fd == -2 ? VFIO_IRQ_SET_DATA_NONE : VFIO_IRQ_SET_DATA_EVENTFD;
	before = arg;
	load_ioctl(e->load, "SET_IRQS", e->vc.device, VFIO_DEVICE_SET_IRQS, &arg, sizeof(arg),
		   &before, want);
}

static void interrupt_on(struct edu_model *e)
{
	e->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->event < 0)
		load_fail(e->load, "eventfd", "%s", strerror(errno));
	set_irqs(e, 1, e->event, 0);
}

static void interrupt_off(struct edu_model *e)
{
	set_irqs(e, 0, -2, 0);
	load_quiet(e->load, e->event);
	close(e->event);
	e->event = -1;
	set_irqs(e, 0, -2, -EINVAL);
}

static void step_interrupt(struct edu_model *e)
{
	uint32_t causes = 1 + load_draw(e->load, 255);

	if (load_draw(e->load, 8) == 0) {
		if (e->event >= 0)
			interrupt_off(e);
		else
			interrupt_on(e);
		return;
	}
	if (e->event < 0)
		return;
	load_quiet(e->load, e->event);
	if (load_draw(e->load, 3) == 0) {
		set_irqs(e, 1, -2, 0);
		load_event(e->load, "SET_IRQS interrupt", e->event);
		return;
	}
	reg_write(e, "write IRQ_RAISE", EDU_IRQ_RAISE, causes, 4);
	load_event(e->load, "interrupt", e->event);
	reg_expect(e, "read IRQ_STATUS", EDU_IRQ_STATUS, causes);
	reg_write(e, "write IRQ_ACK", EDU_IRQ_ACK, causes, 4);
	reg_expect(e, "read IRQ_STATUS", EDU_IRQ_STATUS, 0);
}

/* ---- what is told of the device and the container ---- */

/* @want may be @ret, at the first time. */
static void device_info(struct edu_model *e, struct vfio_device_info *ret, const void *want)
{
	*ret = (struct vfio_device_info){ .argsz = sizeof(*ret) };
	load_ioctl(e->load, "DEVICE_GET_INFO", e->vc.device, VFIO_DEVICE_GET_INFO, ret,
		   sizeof(*ret), want, 0);
}

static void region_info(struct edu_model *e, uint32_t i, struct vfio_region_info *ret,
			const void *want, int r)
{
	*ret = (struct vfio_region_info){ .argsz = sizeof(*ret), .index = i };
	load_ioctl(e->load, "GET_REGION_INFO", e->vc.device, VFIO_DEVICE_GET_REGION_INFO, ret,
		   sizeof(*ret), want, r);
}

static void irq_info(struct edu_model *e, uint32_t i, struct vfio_irq_info *ret, const void *want,
		     int r)
{
	*ret = (struct vfio_irq_info){ .argsz = sizeof(*ret), .index = i };
	load_ioctl(e->load, "GET_IRQ_INFO", e->vc.device, VFIO_DEVICE_GET_IRQ_INFO, ret,
		   sizeof(*ret), want, r);
}

static void iommu_info(struct edu_model *e, struct info *ret, const void *want)
{
	struct vfio_iommu_type1_info head = { .argsz = INFO_BYTES };

	memset(ret, 0, sizeof(*ret));
	memcpy(ret, &head, sizeof(head));
	load_ioctl(e->load, "IOMMU_GET_INFO", e->vc.container, VFIO_IOMMU_GET_INFO, ret,
		   sizeof(*ret), want, 0);
}

static void find_avail(struct edu_model *e)
{
	struct vfio_iommu_type1_info_dma_avail avail;
	struct vfio_iommu_type1_info head;
	const uint8_t *bytes = e->iommu_info.bytes;

	memcpy(&head, bytes, sizeof(head));
	for (uint32_t at = head.cap_offset; at && at + sizeof(avail) <= INFO_BYTES;) {
		memcpy(&avail, bytes + at, sizeof(avail));
		if (avail.header.id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL) {
			e->avail_at = at + (uint32_t)offsetof(typeof(avail), avail);
			e->avail = avail.avail;
		}
		at = avail.header.next;
	}
	if (!e->avail_at)
		load_fail(e->load, "IOMMU_GET_INFO", "no number of further mappings");
}

static void step_group(struct edu_model *e)
{
	struct vfio_group_status arg = { .argsz = sizeof(arg) }, want = arg;

	want.flags = VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET;
	load_ioctl(e->load, "GROUP_GET_STATUS", e->vc.group, VFIO_GROUP_GET_STATUS, &arg,
		   sizeof(arg), &want, 0);
}

static void step_info(struct edu_model *e)
{
	struct vfio_device_info device;
	struct vfio_region_info region;
	struct vfio_irq_info irq;
	struct info info, want;
	uint32_t i;

	switch (load_draw(e->load, 6)) {
	case 0:
		device_info(e, &device, &e->device_info);
		break;
	case 1:
		i = load_draw(e->load, REGIONS);
		region_info(e, i, &region, &e->regions[i],
			    i == VFIO_PCI_VGA_REGION_INDEX ? -EINVAL : 0);
		break;
	case 2:
		i = load_draw(e->load, IRQS);
		irq_info(e, i, &irq, &e->irqs[i], i == VFIO_PCI_ERR_IRQ_INDEX ? -EINVAL : 0);
		break;
	case 3:
		if (!e->alone)
			break;
		want = e->iommu_info;
		i = e->avail - maps_count(&e->maps);
		memcpy(want.bytes + e->avail_at, &i, sizeof(i));
		iommu_info(e, &info, &want);
		break;
	case 4:
		load_ioctl_number(e->load, "CHECK_EXTENSION", e->vc.container,
				  VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU, 1);
		break;
	case 5:
		step_group(e);
	}
}

/* What it answers at first, and that this is an edu. */
static void learn(struct edu_model *e)
{
	static const uint8_t edu_id[4] = { 0x34, 0x12, 0xe8, 0x11 };

	device_info(e, &e->device_info, NULL);
	for (uint32_t i = 0; i < REGIONS; i++)
		region_info(e, i, &e->regions[i], NULL,
			    i == VFIO_PCI_VGA_REGION_INDEX ? -EINVAL : 0);
	for (uint32_t i = 0; i < IRQS; i++)
		irq_info(e, i, &e->irqs[i], NULL, i == VFIO_PCI_ERR_IRQ_INDEX ? -EINVAL : 0);
	iommu_info(e, &e->iommu_info, NULL);
	find_avail(e);
	e->bar = e->regions[VFIO_PCI_BAR0_REGION_INDEX].offset;
	e->config = e->regions[VFIO_PCI_CONFIG_REGION_INDEX].offset;
	if (vc_bus_master(e->vc.device, true))
		load_fail(e->load, "bus master", "cannot be set");
	load_read(e->load, "read config", e->vc.device, e->config, e->cfg, CONFIG_BYTES);
	load_same(e->load, "read config", e->cfg, edu_id, sizeof(edu_id));
}

/* It has no way to be reset, and so stays as it is. */
static void step_reset(struct edu_model *e)
{
	load_ioctl_number(e->load, "DEVICE_RESET", e->vc.device, VFIO_DEVICE_RESET, 0, -EINVAL);
}

/* ---- the worker ---- */

static void *mapper(void *arg)
{
	struct maps *m = arg;

	load_ready(m->load);
	while (!load_stops(m->load)) {
		maps_step(m);
		if (load_draw(m->load, 50) == 0)
			maps_sweep(m);
	}
	maps_sweep(m);
	atomic_store(&m->load->stats->state, LOAD_DONE);
	return NULL;
}

static void step(struct edu_model *e)
{
	unsigned n = load_draw(e->load, 100);

	if (n < 30)
		maps_step(&e->maps);
	else if (n < 45)
		step_info(e);
	else if (n < 55)
		step_liveness(e);
	else if (n < 65)
		step_config(e);
	else if (n < 70)
		step_factorial(e);
	else if (n < 85)
		step_dma(e);
	else if (n < 97)
		step_interrupt(e);
	else if (n < 98)
		step_reset(e);
	else if (n < 99 && e->alone)
		maps_unmap_all(&e->maps);
	else
		maps_sweep(&e->maps);
}

void load_edu(struct load *l, const char *bdf, struct load *more, unsigned n_more)
{
	static struct maps maps[LOAD_THREADS_MAX];
	static struct edu_model e;
	pthread_t threads[LOAD_THREADS_MAX];
	struct vc_where where;
	int r;

	e = (struct edu_model){ .load = l, .alone = n_more == 0, .event = -1, .vc = VC_NONE };
	load_open_device(l, bdf, &e.vc, &where);
	maps_init(&e.maps, l, e.vc.container, 0);
	learn(&e);
	interrupt_on(&e);
	for (unsigned i = 0; i < n_more; i++) {
		maps_init(&maps[i], &more[i], e.vc.container, i + 1);
		r = pthread_create(&threads[i], NULL, mapper, &maps[i]);
		if (r)
			load_fail(l, "thread", "%s", strerror(r));
	}
	load_ready(l);
	while (!load_stops(l))
		step(&e);
	maps_sweep(&e.maps);
	step_liveness(&e);
	for (unsigned i = 0; i < MAPS; i++)
		load_same(l, "memory", maps_memory(&e.maps, i), maps_model(&e.maps, i),
			  MAP_BYTES);
	for (unsigned i = 0; i < n_more; i++)
		pthread_join(threads[i], NULL);
}
