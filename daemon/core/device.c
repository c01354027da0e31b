/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Life of a device: made, opened, closed, freed; and its constant facts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <core/device_priv.h>

/* ---- locks ---- */

void fair_lock_init(struct fair_lock *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
	pthread_cond_init(&lock->turn, NULL);
	lock->next = lock->serving = 0;
}

void fair_lock_done(struct fair_lock *lock)
{
	pthread_cond_destroy(&lock->turn);
	pthread_mutex_destroy(&lock->mutex);
}

void device_lock(struct device *device)
{
	struct fair_lock *lock = &device->lock;
	uint64_t ticket;

	pthread_mutex_lock(&lock->mutex);
	ticket = lock->next++;
	while (lock->serving != ticket)
		pthread_cond_wait(&lock->turn, &lock->mutex);
	pthread_mutex_unlock(&lock->mutex);
	keep_begin(device->keep, &device->batch);
}

void device_unlock(struct device *device)
{
	struct fair_lock *lock = &device->lock;
	bool waiting;

	keep_end(&device->batch);
	pthread_mutex_lock(&lock->mutex);
	waiting = ++lock->serving != lock->next;
	if (waiting)
		pthread_cond_broadcast(&lock->turn);
	pthread_mutex_unlock(&lock->mutex);
}

int device_lock_alive(struct device *device)
{
	device_lock(device);
	if (!atomic_load_explicit(&device->revoked, memory_order_relaxed))
		return 0;
	device_unlock(device);
	return -ENODEV;
}

uint64_t device_new_cookie(struct device *device)
{
	return atomic_fetch_add(&device->next_cookie, 1) + 1;
}

/* ---- new, free ---- */

static void rebuild_config(struct device *device)
{
	uint64_t hosts[CFG_BARS];

	for (unsigned i = 0; i < CFG_BARS; i++)
		hosts[i] = device->bars[i].host;
	cfg_build(&device->cfg, &device->pci, hosts);
}

void device_free(struct device *device)
{
	if (!device)
		return;
	if (device->state)
		device->ops->destroy(device->state);
	device_free_memories(device);
	device_free_bars(device);
	irq_done(device);
	poller_done(&device->poller);
	fair_lock_done(&device->lock);
	free(device->power_on);
	free(device->saved);
	free(device);
}

struct device *device_alloc(struct topology *topology, struct group *group,
			    const struct device_params *params)
{
	const struct pci_address *a = &params->address;
	struct device *device = calloc(1, sizeof(*device));

	if (!device)
		return NULL;
	device->topology = topology;
	device->group = group;
	device->address = *a;
	snprintf(device->name, sizeof(device->name), "%04x:%02x:%02x.%x", a->segment,
		 a->bus, a->slot & 0x1fu, a->function & 7u);
	device->ops = params->ops;
	device->backing = params->backing;
	device->backing_arg = params->backing_arg;
	device->offset_base = params->offset_base;
	device->no_mmap = params->no_mmap;
	device->port.device = device;
	device->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	fair_lock_init(&device->lock);
	poller_init(&device->poller);
	list_init(&device->ioeventfds);
	pthread_mutex_init(&device->irq.lock, NULL);
	device->irq.mode = IRQ_NONE;
	if (params->keep_id) {
		device->keep = topology_keep(topology);
		device->keep_id = params->keep_id;
	}
	return device;
}

/* What stands in no record, as it is always there. */
static int remember_power_on(struct device *device, struct cused_error *err)
{
	if (!device->keep)
		return 0;
	device->power_on = malloc(sizeof(*device->power_on));
	if (!device->power_on)
		return cused_error_set(err, -ENOMEM, "%s: out of memory", device->name);
	*device->power_on = device->cfg;
	return 0;
}

int device_new(struct topology *topology, struct group *group,
	       const struct device_params *params, struct device **ret,
	       struct cused_error *err)
{
	struct device *device = device_alloc(topology, group, params);
	const struct cused_services *services;
	int r;

	if (!device)
		return cused_error_set(err, -ENOMEM, "%s: out of memory",
				       params->ops->name);
	device->host = params->host;
	services = device->keep ? &device_services : &device_services_unkept;
	r = params->ops->create(services, &device->port, params->values, &device->pci,
				&device->state, err);
	device->host = NULL;
	if (r < 0) {
		device->state = NULL;
		goto err_free;
	}
	r = cfg_check(&device->pci, device->name, device->page_size, err);
	if (r < 0)
		goto err_free;
	rebuild_config(device);
	device->config_size = device->cfg.size;
	for (unsigned i = 0; i < CFG_BARS; i++)
		device->bars[i].size = device->cfg.bar_size[i];
	r = device_place_bars(device, params->bar_base, err);
	if (r == 0)
		r = device_alloc_bars(device, err);
	if (r < 0)
		goto err_free;
	r = irq_init(device);
	if (r < 0) {
		cused_error_set(err, r, "%s: out of memory", device->name);
		goto err_free;
	}
	rebuild_config(device);
	r = remember_power_on(device, err);
	if (r == 0)
		r = device_check_memories(device, err);
	if (r < 0)
		goto err_free;
	if (!device_record_bars(device, NULL))
		device_record_files(device);
	*ret = device;
	return 0;
err_free:
	device_free(device);
	return r;
}

/* ---- open, close ---- */

static int first_open(struct device *device, struct ioas *ioas)
{
	int r = 0;

	device_lock(device);
	rebuild_config(device);			/* PCI-011 */
	device->ioas = ioas;
	if (device->ops->open)
		r = device->ops->open(device->state);
	if (r == 0)
		atomic_store(&device->open_count, 1);
	else
		device->ioas = NULL;
	device_unlock(device);
	return r;
}

/* PCI-014. The poller is gone by now, or never ran. */
static void last_close(struct device *device)
{
	device_lock(device);
	irq_off(device);
	ioeventfd_remove_all(device);
	device_leave_low_power(device);
	if (device->restoring)
		device->restoring = false;	/* the model knows of nothing */
	else if (device->ops->close)
		device->ops->close(device->state);
	else if (device->ops->reset)
		device->ops->reset(device->state);
	poller_reset(device);
	irq_off(device);			/* what close() may have raised */
	device->ioas = NULL;
	rebuild_config(device);
	atomic_store(&device->open_count, 0);
	device_record_closed(device);
	device_unlock(device);
}

int device_open(struct device *device, struct ioas *ioas, struct device_file **ret)
{
	struct device_file *file = malloc(sizeof(*file));
	int r;

	if (!file)
		return -ENOMEM;
	file->device = device;
	if (atomic_load(&device->open_count) > 0) {	/* PCI-013 */
		atomic_fetch_add(&device->open_count, 1);
		atomic_fetch_add(&device->files, 1);
		device_record_files(device);
		*ret = file;
		return 0;
	}
	r = first_open(device, ioas);
	if (r < 0)
		goto err_free;
	r = poller_start(device);
	if (r < 0)
		goto err_close;
	atomic_fetch_add(&device->files, 1);
	device_record_files(device);
	*ret = file;
	return 0;
err_close:
	last_close(device);
err_free:
	free(file);
	return r;
}

bool device_close(struct device_file *file)
{
	struct device *device = file->device;
	unsigned count = atomic_load(&device->open_count);

	free(file);
	if (count > 1)
		atomic_fetch_sub(&device->open_count, 1);
	if (count == 1) {
		poller_stop(device);
		last_close(device);
	}
	if (count > 0)
		device_record_files(device);
	/* 0: it was revoked. From here on it can be gone. */
	atomic_fetch_sub(&device->files, 1);
	return count == 1;
}

/* ---- taking away ---- */

bool device_has_files(struct device *device)
{
	return atomic_load(&device->files) > 0;
}

bool device_is_revoked(const struct device *device)
{
	return atomic_load_explicit(&device->revoked, memory_order_relaxed);
}

int device_file_check(const struct device_file *file)
{
	return device_is_revoked(file->device) ? -ENODEV : 0;
}

void device_shut(struct device *device)
{
	poller_stop(device);
	last_close(device);
}

void device_revoke(struct device *device)
{
	atomic_store(&device->revoked, true);
	/* A function that sleeps makes no requests: device_is_awake(). */
	atomic_store(&device->low_power, true);
	group_revoke_device(device->group, device);
	device_lock(device);
	device_record_gone(device);
	device_unlock(device);
}

void device_file_release(struct device_file *file)
{
	group_close_device(file->device->group, file);
}

/* ---- facts ---- */

struct device *device_file_device(struct device_file *file)
{
	return file->device;
}

const char *device_name(const struct device *device)
{
	return device->name;
}

uint64_t device_keep_id(const struct device *device)
{
	return device->keep_id;
}

struct pci_address device_address(const struct device *device)
{
	return device->address;
}

struct group *device_group(const struct device *device)
{
	return device->group;
}

const struct cused_pci *device_pci(const struct device *device)
{
	return &device->pci;
}

const struct cused_device_ops *device_ops(const struct device *device)
{
	return device->ops;
}

uint64_t device_offset_base(const struct device *device)
{
	return device->offset_base;
}

struct cused_range device_bar_resource(const struct device *device, unsigned bar)
{
	if (bar >= CFG_BARS || !device->bars[bar].size)
		return (struct cused_range){ 0, 0 };
	return (struct cused_range){ device->bars[bar].host,
				     device->bars[bar].host + (device->bars[bar].size - 1) };
}

bool device_is_open(struct device *device)
{
	return atomic_load(&device->open_count) > 0;
}

bool device_is_host(const struct device *device)
{
	return device->ops->size > offsetof(struct cused_device_ops, flags) &&
	       device->ops->flags & CUSED_DEVICE_HOST;
}

int device_take_file(struct device_file *file, intptr_t *ret)
{
	struct device *device = file->device;
	int r;

	device_lock(device);
	r = device->ops->take_file(device->state, ret);
	device_unlock(device);
	return r;
}

/* CG-104 … CG-107, CG-113: a simulated function is neither physical nor virtual function
 * of SR-IOV, so that every option, well formed or not, ends in the same answer. */
int device_match_name(const struct device *device, const char *name)
{
	size_t len = strlen(device->name);

	if (strncmp(name, device->name, len) != 0)
		return -ENODEV;
	name += len;
	if (*name != '\0' && *name != ' ')
		return -ENODEV;
	return name[strspn(name, " ")] == '\0' ? 0 : -EINVAL;
}

void device_get_counters(struct device *device, struct device_counters *ret)
{
	*ret = (struct device_counters){
		.dma_read_bytes = atomic_load(&device->counters.dma_read),
		.dma_write_bytes = atomic_load(&device->counters.dma_write),
		.dma_faults = atomic_load(&device->counters.faults),
		.dma_refused = atomic_load(&device->counters.refused),
		.interrupts = atomic_load(&device->counters.interrupts),
		.polls = atomic_load(&device->counters.polls),
	};
}

void device_get_status(struct device *device, struct device_status *ret)
{
	*ret = (struct device_status){
		.open_files = atomic_load(&device->files),
		.low_power = atomic_load(&device->low_power),
		.revoked = atomic_load(&device->revoked),
	};
	irq_get_status(device, ret);
	device_get_counters(device, &ret->counters);
}
