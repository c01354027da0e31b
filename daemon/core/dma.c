/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the core does for a model: struct cused_services. */
#include <errno.h>

#include <core/device_priv.h>

static int dma(struct cused_port *port, const struct cused_dma *v, size_t n, bool to_client,
	       size_t *ret_bad)
{
	struct device *device = port->device;
	size_t bad = 0;
	uint64_t bytes = 0;
	int r;

	if (n > CUSED_DMA_BATCH_MAX)
		return -E2BIG;
	/* A function without bus mastering, or asleep, makes no requests. */
	if (!cfgspace_bus_master(&device->cfg) || !device_is_awake(device)) {
		atomic_fetch_add_explicit(&device->counters.refused, 1, memory_order_relaxed);
		return -EACCES;
	}
	/* Without an IOMMU there is no map, and no address that a model could reach. */
	r = device->ioas ? ioas_dma(device->ioas, v, n, to_client, &bad) : -EFAULT;
	if (r < 0) {
		atomic_fetch_add_explicit(&device->counters.faults, 1, memory_order_relaxed);
		if (r == -EFAULT && ret_bad)
			*ret_bad = bad;
		return r;
	}
	for (size_t i = 0; i < n; i++)
		bytes += v[i].len;
	atomic_fetch_add_explicit(to_client ? &device->counters.dma_write :
					      &device->counters.dma_read,
				  bytes, memory_order_relaxed);
	return 0;
}

static int service_dma_read(struct cused_port *port, const struct cused_dma *v, size_t n,
			    size_t *ret_bad)
{
	return dma(port, v, n, false, ret_bad);
}

static int service_dma_write(struct cused_port *port, const struct cused_dma *v, size_t n,
			     size_t *ret_bad)
{
	return dma(port, v, n, true, ret_bad);
}

static void service_irq_raise(struct cused_port *port, unsigned vector)
{
	irq_message(port->device, vector);
}

static void service_irq_level(struct cused_port *port, bool asserted)
{
	irq_set_level(port->device, asserted);
}

static bool service_irq_is_message(struct cused_port *port)
{
	const struct device *device = port->device;

	return device->irq.mode == IRQ_MSIX ||
	       (device->irq.mode == IRQ_MSI && cfgspace_msi_enabled(&device->cfg));
}

static void *service_bar_memory(struct cused_port *port, unsigned bar)
{
	return bar < CUSED_PCI_BARS ? port->device->bars[bar].memory : NULL;
}

static void service_kick(struct cused_port *port)
{
	poller_kick(port->device);
}

static void service_timer_arm(struct cused_port *port, unsigned id, uint64_t ns)
{
	poller_arm(port->device, id, ns);
}

static uint64_t service_now(struct cused_port *port)
{
	return poller_now();
}

static const char *service_name(struct cused_port *port)
{
	return port->device->name;
}

static const struct cused_host *service_host(struct cused_port *port)
{
	return port->device->host;
}

static void service_save(struct cused_port *port, unsigned id, const void *data, size_t size)
{
	device_save(port->device, id, data, size);
}

static void service_save_now(struct cused_port *port)
{
	keep_flush(port->device->keep);
}

static void *service_memory(struct cused_port *port, unsigned id, uint64_t size)
{
	return device_memory(port->device, id, size);
}

#define ALL_HAVE \
	.size = sizeof(struct cused_services), \
	.version = CUSED_API_VERSION, \
	.dma_read = service_dma_read, \
	.dma_write = service_dma_write, \
	.irq_raise = service_irq_raise, \
	.irq_level = service_irq_level, \
	.irq_is_message = service_irq_is_message, \
	.bar_memory = service_bar_memory, \
	.kick = service_kick, \
	.timer_arm = service_timer_arm, \
	.now = service_now, \
	.name = service_name, \
	.host = service_host

const struct cused_services device_services = {
	ALL_HAVE,
	.save = service_save,
	.save_now = service_save_now,
	.memory = service_memory,
};

const struct cused_services device_services_unkept = { ALL_HAVE };
