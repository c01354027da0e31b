/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/fake_calls.h - the functions of device.h and iommu_type1.h that proto calls: they
 * write down what they were given and answer as they are told. For tests of decoding;
 * what the real ones answer is tested with the real ones.
 */
#ifndef UNIT_FAKE_CALLS_H
#define UNIT_FAKE_CALLS_H

#include <linux/vfio.h>

#include <core/iommu_type1.h>
#include <unit/client.h>
#include <unit/fake_device.h>

#define FAKE_IRQS 64

static struct fake_calls {
	int count;			/* calls that got through decoding */
	int error;			/* what they answer */

	struct type1_info info;
	int dirty_allowed;
	uint32_t flags;			/* of the last call, as are those below */
	uint64_t vaddr, iova, size, unmapped;
	bool has_bitmap;
	struct type1_bitmap bitmap;
	const char *dirty;

	bool device_gone;
	struct device_info device_info;
	struct region_info region;
	struct irq_info irq;
	uint32_t irq_counts[5];
	uint32_t index, start, n;
	bool has_bools, has_events;
	uint8_t bools[FAKE_IRQS];
	struct event_arg events[FAKE_IRQS];
	int affected;			/* by a hot reset, or -errno */
	struct group_arg groups[HOT_RESET_MAX];
	uint64_t offset, data;
	struct event_arg event;
	struct feature_info feature;
	int feature_error;
	uint16_t feature_id;
	bool set;
	uint8_t feature_data[64];
} fake;

/* ---- iommu_type1.h ---- */

int type1_get_info(struct container *container, struct type1_info *ret)
{
	fake.count++;
	*ret = fake.info;
	return fake.error;
}

int type1_map(struct container *container, const struct caller *caller, uint32_t flags,
	      uint64_t vaddr, uint64_t iova, uint64_t size)
{
	fake.count++;
	fake.flags = flags;
	fake.vaddr = vaddr;
	fake.iova = iova;
	fake.size = size;
	return fake.error;
}

static int note_range(const struct caller *caller, uint64_t iova, uint64_t size,
		      const struct type1_bitmap *bitmap)
{
	fake.count++;
	fake.iova = iova;
	fake.size = size;
	fake.has_bitmap = bitmap;
	if (bitmap)
		fake.bitmap = *bitmap;
	return fake.error;
}

int type1_unmap(struct container *container, const struct caller *caller, uint32_t flags,
		uint64_t iova, uint64_t size, const struct type1_bitmap *bitmap,
		uint64_t *ret_size)
{
	fake.flags = flags;
	if (!fake.error)
		*ret_size = fake.unmapped;
	return note_range(caller, iova, size, bitmap);
}

int type1_dirty_allowed(struct container *container)
{
	return fake.dirty_allowed;
}

int type1_dirty_start(struct container *container)
{
	fake.count++;
	fake.dirty = "start";
	return fake.error;
}

int type1_dirty_stop(struct container *container)
{
	fake.count++;
	fake.dirty = "stop";
	return fake.error;
}

int type1_dirty_get(struct container *container, const struct caller *caller,
		    uint64_t iova, uint64_t size, const struct type1_bitmap *bitmap)
{
	fake.dirty = "get";
	return note_range(caller, iova, size, bitmap);
}

/* ---- device.h ---- */

int device_file_check(const struct device_file *file)
{
	return fake.device_gone ? -ENODEV : 0;
}

void device_get_info(struct device_file *file, struct device_info *ret)
{
	fake.count++;
	*ret = fake.device_info;
}

int device_get_region_info(struct device_file *file, uint32_t index,
			   struct region_info *ret)
{
	fake.count++;
	fake.index = index;
	if (!fake.error)
		*ret = fake.region;
	return fake.error;
}

int device_get_irq_info(struct device_file *file, uint32_t index, struct irq_info *ret)
{
	fake.count++;
	fake.index = index;
	if (!fake.error)
		*ret = fake.irq;
	return fake.error;
}

uint32_t device_irq_count(struct device_file *file, uint32_t index)
{
	return index < 5 ? fake.irq_counts[index] : 0;
}

int device_set_irqs(struct device_file *file, uint32_t flags, uint32_t index,
		    uint32_t start, uint32_t count, const uint8_t *bools,
		    const struct event_arg *events)
{
	fake.count++;
	fake.flags = flags;
	fake.index = index;
	fake.start = start;
	fake.n = count;
	fake.has_bools = bools;
	fake.has_events = events;
	for (uint32_t i = 0; i < count && i < FAKE_IRQS; i++) {
		if (bools)
			fake.bools[i] = bools[i];
		if (events)
			fake.events[i] = events[i];
		if (events && events[i].event)
			events[i].event->ops->signal(events[i].event);
	}
	return fake.error;
}

int device_reset(struct device_file *file)
{
	fake.count++;
	return fake.error;
}

int device_hot_reset_info(struct device_file *file,
			  struct hot_reset_entry ret_entries[HOT_RESET_MAX])
{
	for (int i = 0; i < fake.affected; i++)
		ret_entries[i] = (struct hot_reset_entry){ .group = 100 + (uint32_t)i,
			.segment = 1, .bus = 2, .devfn = (uint8_t)i };
	return fake.affected;
}

int device_hot_reset(struct device_file *file, const struct group_arg *groups, unsigned n)
{
	fake.count++;
	fake.n = n;
	memcpy(fake.groups, groups, n * sizeof(groups[0]));
	return fake.error;
}

struct device *device_file_device(struct device_file *file)
{
	return NULL;
}

uint64_t device_offset_base(const struct device *device)
{
	return 0;
}

int device_ioeventfd(struct device_file *file, uint32_t flags, uint64_t offset,
		     uint64_t data, const struct event_arg *event)
{
	fake.count++;
	fake.flags = flags;
	fake.offset = offset;
	fake.data = data;
	fake.event = *event;
	return fake.error;
}

int device_feature_info(struct device_file *file, uint16_t id, struct feature_info *ret)
{
	fake.feature_id = id;
	if (!fake.feature_error)
		*ret = fake.feature;
	return fake.feature_error;
}

int device_feature(struct device_file *file, uint16_t id, bool set, void *data,
		   const struct event_arg *event)
{
	fake.count++;
	fake.set = set;
	fake.event = *event;
	if (set && fake.feature.size)
		memcpy(fake.feature_data, data, fake.feature.size);
	else if (fake.feature.size)
		memset(data, 0x5a, fake.feature.size);
	return fake.error;
}

/* ---- a client with everything open ---- */

static struct topology *topology;
static struct group *group, *noiommu;
static struct client client;
static int container_fd, group_fd, device_fd;

static void fake_world_start(void)
{
	struct topology_params params = { .unsafe_noiommu = true };
	struct device_params one = { .address = { .bus = 1 } }, two = { .address = { .bus = 2 } };
	struct device *device;

	fake_drivers_reset();
	memset(&fake, 0, sizeof(fake));
	ck_assert_int_eq(topology_new(&params, &topology), 0);
	ck_assert_int_eq(iommu_driver_register(topology, &iommu_noiommu_driver), 0);
	ck_assert_int_eq(iommu_driver_register(topology, &fake_a.ops), 0);
	ck_assert_int_eq(topology_add_group(topology, 1, GROUP_REAL, &group), 0);
	ck_assert_int_eq(topology_add_group(topology, 2, GROUP_NOIOMMU, &noiommu), 0);
	ck_assert_int_eq(topology_add_device(topology, group, &one, &device, NULL), 0);
	ck_assert_int_eq(topology_add_device(topology, noiommu, &two, &device, NULL), 0);
	client_init(&client);
	container_fd = client_open_container(&client, topology);
	group_fd = client_open_group(&client, group);
	ck_assert_int_ge(container_fd, 0);
	ck_assert_int_ge(group_fd, 0);
	device_fd = -1;
}

static int64_t fake_set_container(int group_number, int container_number)
{
	int32_t fd = container_number;

	return client_ioctl_struct(&client, group_number, VFIO_GROUP_SET_CONTAINER, &fd, 4);
}

static int64_t fake_get_device(int group_number, const char *name)
{
	char copy[64];

	snprintf(copy, sizeof(copy), "%s", name);
	return client_ioctl_struct(&client, group_number, VFIO_GROUP_GET_DEVICE_FD, copy,
				   sizeof(copy));
}

static void fake_world_start_ready(void)
{
	fake_world_start();
	ck_assert_int_eq(fake_set_container(group_fd, container_fd), 0);
	ck_assert_int_eq(client_ioctl(&client, container_fd, VFIO_SET_IOMMU, 1), 0);
	device_fd = (int)fake_get_device(group_fd, "0000:01:00.0");
	ck_assert_int_ge(device_fd, 0);
}

static void fake_world_stop(void)
{
	ck_assert(client_exit(&client));
	topology_free(topology);
	ck_assert_int_eq(fake_devices, 0);
	ck_assert_int_eq(fake_a.opens, fake_a.releases);
}

#endif
