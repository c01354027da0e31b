/* SPDX-License-Identifier: GPL-2.0-or-later */
/* DEVICE_GET_INFO and FEATURE of a device. */
#include <errno.h>
#include <string.h>

#include <core/device_priv.h>

/* Feature numbers; the newest are not in every linux/vfio.h. Section 10. */
enum {
	FEATURE_LOW_POWER_ENTRY = 3,
	FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP = 4,
	FEATURE_LOW_POWER_EXIT = 5,
	FEATURE_MIG_PRECOPY_INFO_V2 = 12,
};

void device_get_info(struct device_file *file, struct device_info *ret)
{
	device_wake(file->device);
	*ret = (struct device_info){
		.flags = VFIO_DEVICE_FLAGS_PCI |			/* PCI-021 */
			 (file->device->pci.flr ? VFIO_DEVICE_FLAGS_RESET : 0),
		.num_regions = DEVICE_REGIONS,				/* PCI-022 */
		.num_irqs = VFIO_PCI_NUM_IRQS,				/* PCI-023 */
	};
}

/* Physical bytes, with the one bit of COMMAND that interrupt delivery owns. */
void device_config_snapshot(struct device *device, uint8_t ret_bytes[4096],
			    unsigned *ret_size)
{
	device_lock(device);
	memcpy(ret_bytes, device->cfg.hw, sizeof(device->cfg.hw));
	*ret_size = device->cfg.size;
	pthread_mutex_lock(&device->irq.lock);
	if (device->irq.mode != IRQ_NONE &&
	    (device->irq.mode != IRQ_INTX || device->irq.intx.masked))
		ret_bytes[5] |= 0x04;			/* COMMAND: INTx disable */
	pthread_mutex_unlock(&device->irq.lock);
	device_unlock(device);
}

int device_feature_info(struct device_file *file, uint16_t id, struct feature_info *ret)
{
	device_wake(file->device);
	memset(ret, 0, sizeof(*ret));
	switch (id) {
	case FEATURE_LOW_POWER_ENTRY:				/* PCI-158 */
	case FEATURE_LOW_POWER_EXIT:				/* PCI-160 */
		ret->set = true;
		return 0;
	case FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:		/* PCI-159 */
		ret->set = true;
		ret->size = 8;
		ret->takes_eventfd = true;
		return 0;
	case FEATURE_MIG_PRECOPY_INFO_V2:			/* PCI-167 */
		return -EINVAL;
	default:		/* PCI-149, PCI-155 … PCI-157, PCI-161 … PCI-166 */
		return -ENOTTY;
	}
}

/* PCI-169. @wakeup: NULL for none; a reference is taken. */
static int enter_low_power(struct device *device, struct event *wakeup)
{
	int r = device_lock_alive(device);

	if (r)
		return r;
	r = -EINVAL;
	if (!atomic_load(&device->low_power)) {
		device->wakeup = wakeup ? event_ref(wakeup) : NULL;
		atomic_store(&device->low_power, true);
		device_record_config(device);
		r = 0;
	}
	device_unlock(device);
	return r;
}

static int leave_low_power(struct device *device)
{
	int r = device_lock_alive(device);

	if (r)
		return r;
	device_leave_low_power(device);
	device_record_config(device);
	device_unlock(device);
	poller_kick(device);
	return 0;
}

int device_feature(struct device_file *file, uint16_t id, bool set, void *data,
		   const struct event_arg *event)
{
	struct device *device = file->device;

	device_wake(device);
	if (!set)
		return -EINVAL;					/* PCI-150 */
	switch (id) {
	case FEATURE_LOW_POWER_ENTRY:
		return enter_low_power(device, NULL);
	case FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:
		if (!event || event->fd < 0)			/* PCI-170 */
			return -EINVAL;
		if (event->err)
			return event->err;
		return enter_low_power(device, event->event);
	case FEATURE_LOW_POWER_EXIT:				/* PCI-172 */
		return leave_low_power(device);
	default:
		return -ENOTTY;
	}
}
