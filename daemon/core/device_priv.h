/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core/device_priv.h - what the files behind core/device.h share.
 *
 * Theory of operation
 *
 *   Two locks guard a device. The *device lock* is held around every callback into the
 *   model, so whoever reads or changes registers, configuration space or life state has
 *   it. It is handed on in order of arrival: the poller takes it anew for each poll(),
 *   and a client's access waits for one poll() at most. The *irq lock* comes last in the
 *   whole order (topology, group, container, device, ioas, irq); it is held for a few
 *   stores and signals, never across anything that blocks. An unmask eventfd needs it
 *   alone, so unmasking does not wait for a model at work.
 *
 *   Interrupt state is changed under both locks where it decides what a model sees (mode,
 *   vectors), so that a callback, which has the device lock, reads it without the other.
 *
 *   Life: new - (open - close)* - free. Open and close are called under the group's lock
 *   and so never overlap. The last close takes the poller down first, without the device
 *   lock, because the poller may be waiting for it.
 */
#ifndef CORE_DEVICE_PRIV_H
#define CORE_DEVICE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <linux/vfio.h>

#include <core/cfgspace.h>
#include <core/device.h>
#include <core/internal.h>
#include <core/restore.h>
#include <util/keep.h>
#include <util/list.h>

#define DEVICE_IOEVENTFD_MAX 1000	/* PCI-142 */
#define DEVICE_REGIONS VFIO_PCI_NUM_REGIONS
#define REGION_SHIFT 40
#define REGION_MASK ((1ull << REGION_SHIFT) - 1)

/* A lock that is handed on in order of arrival. */
struct fair_lock {
	pthread_mutex_t mutex;
	pthread_cond_t turn;
	uint64_t next, serving;		/* mutex */
};

/* ---- interrupts (irq.c, irq_msg.c) ---- */

enum irq_mode { IRQ_NONE = -1, IRQ_INTX = 0, IRQ_MSI = 1, IRQ_MSIX = 2 };

struct irq_vector {
	struct event *trigger;		/* NULL: none */
	bool allocated;			/* PCI-085 */
	bool pending;			/* raised while there was no trigger, or masked */
};

struct irq_state {
	pthread_mutex_t lock;
	/* Device lock and irq lock to change, either to read: */
	enum irq_mode mode;
	struct irq_vector *vectors;	/* of the larger of MSI and MSI-X */
	/* Irq lock: */
	struct {
		struct event *trigger;
		struct event *unmask;
		uint64_t unmask_cookie;	/* 0: not watched */
		bool masked;
		bool disabled;		/* virtual INTX_DISABLE, PCI-226 */
		bool level;		/* of the line */
	} intx;
	struct event *err, *req;
};

/* ---- the device's thread (poller.c) ---- */

struct poller {
	bool running;			/* group's lock (open and close) */
	pthread_t thread;
	atomic_bool stop;
	pthread_mutex_t nap;		/* for sleeping alone; a leaf */
	pthread_cond_t wake;
	atomic_uint word;		/* enum poller_word */
	uint64_t timers[CUSED_TIMERS];	/* device lock; deadline, 0: not armed */
};

struct cused_port {
	struct device *device;
};

struct device_bar {
	uint64_t size;			/* 0: not implemented */
	uint64_t host;			/* address */
	uint64_t alloc_size;
	uint8_t *memory;		/* NULL: no memory pages */
};

/* Of the model's own. */
struct device_memory {
	uint64_t size;			/* 0: none */
	void *base;			/* NULL: it is lost */
};

struct device {
	/* Constant after device_new(): */
	struct topology *topology;
	struct group *group;
	struct pci_address address;
	char name[16];
	const struct cused_device_ops *ops;
	const struct backing_ops *backing;
	void *backing_arg;
	uint64_t offset_base;
	bool no_mmap;
	struct cused_port port;
	const struct cused_host *host;	/* while it is made */
	void *state;
	struct cused_pci pci;
	struct device_bar bars[CFG_BARS];
	struct device_memory memories[CUSED_MEMORIES];
	int memory_error;		/* of one that its model did not get */
	uint64_t page_size;
	unsigned config_size;
	struct keep *keep;		/* of its records; NULL: none are kept */
	uint64_t keep_id;		/* device_params.keep_id; 0 without records */
	struct cfgspace *power_on;	/* with a keep: what `cfg` is after an open */

	struct fair_lock lock;
	/* Device lock: */
	struct ioas *ioas;
	struct cfgspace cfg;
	struct list ioeventfds;
	unsigned n_ioeventfds;
	struct event *wakeup;		/* of low power; NULL: without wakeup */
	atomic_bool low_power;		/* device lock to change, but to revoke */
	atomic_uint open_count;		/* device lock to change */
	atomic_uint files;		/* open; more than open_count once revoked */
	atomic_bool revoked;		/* never cleared */
	struct keep_batch batch;	/* device lock; from lock to unlock */
	uint64_t *saved;		/* device lock; bit i: the model has saved piece i; NULL: none */
	/* From topology_restore() to its end, when nobody else is there: */
	bool restoring;			/* open, and the model does not know yet */
	unsigned unclaimed;		/* open files that nobody has asked for */

	struct irq_state irq;
	struct poller poller;
	atomic_uint_fast64_t next_cookie;
	struct {
		atomic_uint_fast64_t dma_read, dma_write, faults, refused, interrupts, polls;
	} counters;
};

struct device_file {
	struct device *device;
};

/* ---- device.c ---- */

/* Everything that can be said before the model exists. Return: NULL: no memory. */
struct device *device_alloc(struct topology *topology, struct group *group,
			    const struct device_params *params);
/* ---- device_bars.c. Their sizes stand in `bars`; free takes what the others have made. ---- */

/* @bar_base: where the user wants the first memory BAR; 0: anywhere. Those of a process before
 * this one get the addresses that they had. Return: 0, -errno with @err set; so does the other. */
int device_place_bars(struct device *device, uint64_t bar_base, struct cused_error *err);
int device_alloc_bars(struct device *device, struct cused_error *err);
void device_free_bars(struct device *device);

/* ---- device_memory.c. Locks: none, nobody else knows the device. ---- */

/* The services of that name. */
void *device_memory(struct device *device, unsigned id, uint64_t size);
/* The end of making it: is all there that create() was to have? What there is no room for, breaks
 * the records, and is logged. Return: 0; -EBADMSG with @err set: what was kept is lost. */
int device_check_memories(struct device *device, struct cused_error *err);
void device_free_memories(struct device *device);

/* ---- device.c, locks ---- */

void fair_lock_init(struct fair_lock *lock);
void fair_lock_done(struct fair_lock *lock);
/* All that is done while it is held counts as a whole: it is a batch of records, within that of
 * the request, if there is one. */
void device_lock(struct device *device);
void device_unlock(struct device *device);
/* For calls of clients. Return: 0 with the lock held; -ENODEV revoked, without it. */
int device_lock_alive(struct device *device);
/* PCI-171: any use by a client wakes the device. Locks: takes the device's. */
void device_wake(struct device *device);
/* Can the function work: open, in D0, not in low power? Locks: device lock held. */
bool device_is_awake(const struct device *device);
/* Function reset, PCI-108. Locks: device lock held; the device is open. */
void device_reset_locked(struct device *device);
/* A number for event watches that no other watch of this device has. */
uint64_t device_new_cookie(struct device *device);

/* ---- device_record.c: what a process that takes over has to know ---- */

/* The host addresses that the BARs had in the process before; false: nothing is known.
 * @ret_bars: NULL is allowed */
bool device_record_bars(struct device *device, uint64_t ret_bars[CFG_BARS]);
/* How often it is open has changed, or it is new. Locks: group's held, or nobody knows it. */
void device_record_files(struct device *device);
/* Configuration space or power state have changed. Locks: device lock held, also below. */
void device_record_config(struct device *device);
/* With what was to wake its client. The record is the caller's. Locks: the device's held. */
void device_leave_low_power(struct device *device);
void device_record_timers(struct device *device);
void device_record_closed(struct device *device);	/* drops all but files and addresses */
/* The services of that name; @data NULL: forget. */
void device_save(struct device *device, unsigned id, const void *data, size_t size);
void device_forget_saved(struct device *device);

/* ---- restore_device.c ---- */

struct restore {
	struct topology *topology;
	const struct restore_ops *ops;
	void *arg;
};

struct event *restore_event(const struct restore *restore, uint64_t id);	/* 0: NULL */
/*
 * Open it as its records say, with @files of clients; it stands still until device_resume().
 * Locks: group's held, or nobody else is there; takes the device's.
 * Return: 0; -EBADMSG; -ENOMEM.
 */
int device_restore(struct device *device, struct ioas *ioas, unsigned files,
		   const struct restore *restore);
/* A piece that its model saved. Return: as its restore(). */
int device_restore_piece(struct device *device, unsigned id, const void *data, size_t size);
int device_resume(struct device *device, struct cused_error *err);
/* What a record says of how many files are open. Return: 0, -EBADMSG. */
int device_record_parse(const void *data, size_t size, unsigned *ret_files);
int device_restore_config(struct device *device, const struct restore *restore);
int device_restore_timers(struct device *device);

/* ---- region.c ---- */

/* Write to a BAR as a client does, decode checked. Locks: device lock held.
 * Return: 0; -EIO memory decode is off. @len bytes must lie inside the BAR. */
int region_bar_write(struct device *device, unsigned bar, uint64_t off, const void *buf,
		     size_t len);
/* Bytes of the MSI-X table inside @bar; false: there is no table. */
bool region_msix_table(const struct device *device, unsigned bar, struct cused_range *ret);

/* ---- irq.c, irq_msg.c ---- */

int irq_init(struct device *device);			/* Return: 0, -ENOMEM */
void irq_done(struct device *device);
/* Last close: no mode, no events (PCI-014). Locks: device lock held. */
void irq_off(struct device *device);
/* Reset: line low, nothing pending; mode and events stay (PCI-108). Device lock held. */
void irq_reset(struct device *device);
/* After a config write with CFG_EFFECT_INTX or CFG_EFFECT_MSI. Device lock held. */
void irq_update_disable(struct device *device);
void irq_update_masks(struct device *device);
void irq_set_level(struct device *device, bool asserted);	/* device lock held */
/* The members about interrupts. Locks: takes the irq lock. */
void irq_get_status(struct device *device, struct device_status *ret);
/* Count and signal. Locks: irq lock held. NULL is allowed. */
void irq_signal(struct device *device, struct event *event);
/* Drop a reference and forget. Locks: irq lock held. */
void irq_drop(struct event **event);
/* Mode, triggers or what is masked or pending have changed. Locks: irq lock held. */
void irq_record(struct device *device);
/* As it was, but for unmask events: they are watched from irq_resume() on, which may be called
 * without. Locks: device lock held. Return: 0, -EBADMSG, -ENOMEM; of the event. */
int irq_restore(struct device *device, const struct restore *restore);
int irq_resume(struct device *device);

/* One vector fires. Locks: device lock held. */
void irq_message(struct device *device, unsigned vector);
/* PCI-080 … PCI-094. Locks: device and irq lock held. */
int irq_message_set(struct device *device, enum irq_mode mode, uint32_t flags,
		    uint32_t start, uint32_t count, const uint8_t *bools,
		    const struct event_arg *events);
void irq_message_off(struct device *device);		/* device and irq lock held */
uint32_t irq_vectors(const struct device *device, enum irq_mode mode);

/* ---- ioeventfd.c ---- */

void ioeventfd_remove_all(struct device *device);	/* device lock held */
/* Which device has it. Return: 0, -EBADMSG. */
int ioeventfd_record_parse(const void *data, size_t size, uint64_t *ret_device);
/* One more, to be watched from ioeventfd_resume() on. Locks: device lock held in both.
 * Return: 0; -ENOENT its eventfd has gone; -EBADMSG, -ENOMEM; of the event. */
int ioeventfd_restore(struct device *device, uint64_t number, const void *data,
		      const struct restore *restore);
int ioeventfd_resume(struct device *device);

/* ---- dma.c ---- */

/* For a device whose state is kept, and for others: there a model has nothing to save. */
extern const struct cused_services device_services, device_services_unkept;

/* ---- poller.c ---- */

void poller_init(struct poller *poller);
void poller_done(struct poller *poller);
/* Start the thread if the model has anything to run. Locks: group's lock, not the
 * device's. Return: 0 or -errno. */
int poller_start(struct device *device);
/* Stop and join. Locks: group's lock; the device lock must not be held. */
void poller_stop(struct device *device);
void poller_kick(struct device *device);		/* any thread, any lock */
/* Locks: device lock held. */
void poller_arm(struct device *device, unsigned id, uint64_t ns);
void poller_reset(struct device *device);
uint64_t poller_now(void);

#endif
