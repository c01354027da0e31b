/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/harness.h - the real core with a simulated IOMMU, devices of a small model, and
 * clients in miniature. Nothing below the transport is faked.
 *
 *   group 1          0000:01:00.0 and 0000:01:00.1
 *   group 2          0000:02:00.0
 *   group 3          0000:03:00.0, emulated
 *   noiommu-1        0000:04:00.0
 */
#ifndef UNIT_HARNESS_H
#define UNIT_HARNESS_H

#include <linux/vfio.h>

#include <core/internal.h>
#include <unit/client.h>

/* ---- a model with a register for each service ---- */

enum scratch_register {
	SCRATCH_DATA = 0x00,		/* 8 bytes; DMA goes from and to here */
	SCRATCH_MSI = 0x08,		/* write: raise this vector */
	SCRATCH_INTX = 0x10,		/* write: level of the line */
	SCRATCH_IOVA = 0x18,
	SCRATCH_DMA = 0x20,		/* write: 1 read, 2 write; read: errno of the last */
	SCRATCH_TIMER = 0x28,		/* write: arm, nanoseconds; read: how often it ran */
};

#define SCRATCH_MEMORY 0x1000		/* page of BAR 0 that is memory */
#define SCRATCH_VECTORS 8		/* of MSI-X; MSI has 4 */

struct scratch {
	const struct cused_services *services;
	struct cused_port *port;
	uint64_t data, iova, timers;
	int dma_result;
};

static const uint8_t scratch_rom[512] = { 0x55, 0xaa, 1 };

static inline int scratch_create(const struct cused_services *services,
				 struct cused_port *port, const struct cused_value *values,
				 struct cused_pci *ret_pci, void **ret_state,
				 struct cused_error *err)
{
	struct scratch *s = calloc(1, sizeof(*s));

	if (!s)
		return cused_error_set(err, -ENOMEM, "out of memory");
	s->services = services;
	s->port = port;
	*ret_pci = (struct cused_pci){
		.vendor = 0x1234, .device = 0x5678, .class_code = 0xff0000,
		.interrupt_pin = 1, .pm = true, .pcie = true, .flr = true,
		.bars = {
			[0] = { .size = 0x4000, .flags = CUSED_BAR_64, .n_areas = 1,
				.areas = { { SCRATCH_MEMORY, SCRATCH_MEMORY + 0xfff } } },
			[2] = { .size = 0x1000, .n_areas = 1, .areas = { { 0, 0xfff } } },
			[3] = { .size = 0x20, .flags = CUSED_BAR_IO },
		},
		.msi = { .vectors = 4, .maskable = true },
		.msix = { .vectors = SCRATCH_VECTORS, .table_bar = 0, .pba_bar = 0,
			  .table_offset = 0x2000, .pba_offset = 0x3000 },
		.rom = scratch_rom, .rom_size = sizeof(scratch_rom),
	};
	*ret_state = s;
	return 0;
}

static inline void scratch_destroy(void *state)
{
	free(state);
}

static inline void scratch_reset(void *state)
{
	struct scratch *s = state;

	s->data = s->iova = s->timers = 0;
	s->dma_result = 0;
	for (unsigned i = 0; i < CUSED_TIMERS; i++)
		s->services->timer_arm(s->port, i, 0);
	s->services->irq_level(s->port, false);
}

static inline uint64_t scratch_read(void *state, unsigned bar, uint64_t offset, unsigned len)
{
	const struct scratch *s = state;

	switch (bar ? UINT64_MAX : offset) {
	case SCRATCH_DATA:
		return s->data;
	case SCRATCH_IOVA:
		return s->iova;
	case SCRATCH_DMA:
		return (uint64_t)-s->dma_result;
	case SCRATCH_TIMER:
		return s->timers;
	default:
		return 0;
	}
}

static inline void scratch_write(void *state, unsigned bar, uint64_t offset, unsigned len,
				 uint64_t value)
{
	struct scratch *s = state;
	struct cused_dma piece = { .iova = s->iova, .buf = &s->data, .len = sizeof(s->data) };

	switch (bar ? UINT64_MAX : offset) {
	case SCRATCH_DATA:
		s->data = value;
		break;
	case SCRATCH_MSI:
		s->services->irq_raise(s->port, (unsigned)value);
		break;
	case SCRATCH_INTX:
		s->services->irq_level(s->port, value);
		break;
	case SCRATCH_IOVA:
		s->iova = value;
		break;
	case SCRATCH_DMA:
		s->dma_result = value == 1 ?
			s->services->dma_read(s->port, &piece, 1, NULL) :
			s->services->dma_write(s->port, &piece, 1, NULL);
		break;
	case SCRATCH_TIMER:
		s->services->timer_arm(s->port, 0, value);
		break;
	default:
		break;
	}
}

static inline void scratch_timer(void *state, unsigned id)
{
	((struct scratch *)state)->timers++;
}

static const struct cused_device_ops scratch_ops = {
	.size = sizeof(scratch_ops),
	.version = CUSED_API_VERSION,
	.name = "scratch",
	.summary = "a register for each service",
	.description = "For tests.",
	.create = scratch_create,
	.destroy = scratch_destroy,
	.reset = scratch_reset,
	.close = scratch_reset,
	.bar_read = scratch_read,
	.bar_write = scratch_write,
#ifndef HARNESS_NO_THREADS		/* a device without timers has none */
	.timer = scratch_timer,
#endif
};

/* ---- the IOMMU ---- */

extern const struct cused_iommu_ops *const __start_cused_iommus[];
extern const struct cused_iommu_ops *const __stop_cused_iommus[];

#define HARNESS_VALUES 16

static inline const struct cused_iommu_ops *harness_iommu(const char *name)
{
	for (const struct cused_iommu_ops *const *p = __start_cused_iommus;
	     p < __stop_cused_iommus; p++) {
		if (!strcmp((*p)->name, name))
			return *p;
	}
	abort();
}

/* Presets only; a string "NAME=VALUE" sets a parameter of text or number. */
static inline void *harness_iommu_create(const struct cused_iommu_ops *ops,
					 const char *name, const char *value)
{
	struct cused_value values[HARNESS_VALUES] = { 0 };
	struct cused_error err;
	void *state;

	for (size_t i = 0; i < ops->n_params && i < HARNESS_VALUES; i++) {
		const struct cused_param *param = &ops->params[i];
		bool given = name && !strcmp(name, param->name);
		const char *text = given ? value : param->preset;

		if (!text)
			continue;
		values[i] = (struct cused_value){ .set = true, .given = given, .string = text,
			.number = !strcmp(text, "on") ? 1 : strtoull(text, NULL, 0) };
	}
	if (ops->create(values, &state, &err))
		abort();
	return state;
}

/* ---- the world ---- */

struct world {
	const struct cused_iommu_ops *iommu;
	void *iommu_state;
	struct topology *topology;
	struct group *g1, *g2, *emulated, *noiommu;
	struct device *d10, *d11, *d20, *d30, *d40;
};

static inline struct group *world_group(struct world *w, unsigned id, enum group_kind kind)
{
	struct group *group;

	if (topology_add_group(w->topology, id, kind, &group))
		abort();
	return group;
}

static inline struct device *world_device(struct world *w, struct group *group, unsigned bus,
					  unsigned function)
{
	struct device_params params = { .ops = &scratch_ops, .address = {
		.bus = (uint8_t)bus, .function = (uint8_t)function } };
	struct device *device;

	if (topology_params(w->topology)->keep)
		params.keep_id = bus * 8 + function;
	if (topology_add_device(w->topology, group, &params, &device, NULL))
		abort();
	return device;
}

/* @params: its iommu members are filled in; NULL: all defaults, noiommu allowed. */
static inline void world_init(struct world *w, const struct topology_params *params)
{
	struct topology_params p = { .unsafe_noiommu = true };

	memset(w, 0, sizeof(*w));
	if (params)
		p = *params;
	w->iommu = harness_iommu("sim");
	w->iommu_state = harness_iommu_create(w->iommu, NULL, NULL);
	p.iommu = w->iommu;
	p.iommu_state = w->iommu_state;
	if (topology_new(&p, &w->topology) ||
	    iommu_driver_register(w->topology, &iommu_noiommu_driver) ||
	    iommu_driver_register(w->topology, &iommu_type1_driver))
		abort();
	w->g1 = world_group(w, 1, GROUP_REAL);
	w->g2 = world_group(w, 2, GROUP_REAL);
	w->emulated = world_group(w, 3, GROUP_EMULATED);
	w->noiommu = world_group(w, 1, GROUP_NOIOMMU);
	w->d10 = world_device(w, w->g1, 1, 0);
	w->d11 = world_device(w, w->g1, 1, 1);
	w->d20 = world_device(w, w->g2, 2, 0);
	w->d30 = world_device(w, w->emulated, 3, 0);
	w->d40 = world_device(w, w->noiommu, 4, 0);
}

static inline void world_done(struct world *w)
{
	topology_free(w->topology);
	w->iommu->destroy(w->iommu_state);
}

/* ---- what clients do all day ---- */

static inline int64_t client_set_container(struct client *c, int group, int container)
{
	int32_t fd = container;

	return client_ioctl_struct(c, group, VFIO_GROUP_SET_CONTAINER, &fd, sizeof(fd));
}

static inline int client_get_device(struct client *c, int group, const char *name)
{
	char arg[64] = { 0 };

	strncpy(arg, name, sizeof(arg) - 1);
	return (int)client_ioctl_struct(c, group, VFIO_GROUP_GET_DEVICE_FD, arg, sizeof(arg));
}

static inline int64_t client_map(struct client *c, int container, unsigned flags,
				 uint64_t vaddr, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = flags,
		.vaddr = vaddr, .iova = iova, .size = size };

	return client_ioctl_struct(c, container, VFIO_IOMMU_MAP_DMA, &map, sizeof(map));
}

/* Return: 0 with the size in *ret_size, if not NULL. */
static inline int64_t client_unmap(struct client *c, int container, unsigned flags,
				   uint64_t iova, uint64_t size, uint64_t *ret_size)
{
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .flags = flags,
		.iova = iova, .size = size };
	int64_t r = client_ioctl_struct(c, container, VFIO_IOMMU_UNMAP_DMA, &unmap,
					sizeof(unmap));

	if (!r && ret_size)
		*ret_size = unmap.size;
	return r;
}

#define CLIENT_REGION(index) ((uint64_t)(index) << 40)
#define CLIENT_CONFIG CLIENT_REGION(VFIO_PCI_CONFIG_REGION_INDEX)

/* pread() and pwrite() of a device file; whole or an errno. */
static inline int client_read(struct client *c, int fd, uint64_t pos, void *buf, size_t len)
{
	ssize_t n = device_rw_check(client_file(c, fd)->object.device, pos, len, false);

	if (n <= 0)
		return (int)n;
	return device_read(client_file(c, fd)->object.device, pos, buf, (size_t)n);
}

static inline int client_write(struct client *c, int fd, uint64_t pos, const void *buf,
			       size_t len)
{
	ssize_t n = device_rw_check(client_file(c, fd)->object.device, pos, len, true);

	if (n <= 0)
		return (int)n;
	return device_write(client_file(c, fd)->object.device, pos, buf, (size_t)n);
}

static inline int client_bus_master(struct client *c, int fd, bool on)
{
	uint16_t command = on ? 0x6 : 0x2;

	return client_write(c, fd, CLIENT_CONFIG + 4, &command, sizeof(command));
}

/* A register of the scratch model. */
static inline uint64_t client_get(struct client *c, int fd, unsigned reg)
{
	uint64_t value = UINT64_MAX;

	if (client_read(c, fd, reg, &value, sizeof(value)))
		abort();
	return value;
}

static inline void client_put(struct client *c, int fd, unsigned reg, uint64_t value)
{
	if (client_write(c, fd, reg, &value, sizeof(value)))
		abort();
}

/* The device reads 8 bytes at @iova. Return: 0 or -errno of the DMA. */
static inline int client_device_dma(struct client *c, int fd, uint64_t iova,
				    uint64_t *ret_data)
{
	client_put(c, fd, SCRATCH_IOVA, iova);
	client_put(c, fd, SCRATCH_DMA, 1);
	*ret_data = client_get(c, fd, SCRATCH_DATA);
	return -(int)client_get(c, fd, SCRATCH_DMA);
}

#endif
