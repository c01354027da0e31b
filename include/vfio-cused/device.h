/* SPDX-License-Identifier: MIT */
/*
 * vfio-cused/device.h - interface between the core and a device model.
 *
 * Theory of operation
 *
 *   A model is registers and nothing else. The core has checked everything before it
 *   calls: the range lies inside the BAR, the access is 1, 2, 4 or 8 bytes and
 *   naturally aligned, memory decode is on. It owns configuration space, interrupt
 *   routing, the IOVA map and reset of all of these.
 *
 *   Order of calls:
 *
 *       create ─ ( open ─ ( bar_read | bar_write | reset | poll | timer )* ─ close )* ─ destroy
 *
 *   No two calls into one instance overlap: the core holds the device's lock around
 *   each. A model may therefore keep plain state, and must not block: it does its work
 *   in small pieces and returns. Everything in struct cused_services may be called from
 *   inside any callback between open and close (log and errors also outside).
 *
 *   A BAR page that clients mmap is polled: while the device is open the core calls
 *   ops->poll() from the device's thread, at once again while it reports work, then
 *   less and less often (it sleeps some milliseconds once idle for long), and at once
 *   after services->kick() or a bar_write().
 *
 *   A device with CUSED_DEVICE_HOST is no model but a device of this machine, at the address
 *   and in the group that it has there. Its open file comes from take_file() and goes to the
 *   client as it is: what is done with it, nobody here sees but its last close. Of the other
 *   callbacks there are create, destroy, open and close. Its group is behind ops->iommu.
 *
 *   Bus mastering is the core's: DMA and interrupts of a device whose bus master bit is
 *   clear fail (-EACCES) or are dropped.
 */
#ifndef CUSED_DEVICE_H
#define CUSED_DEVICE_H

#include <vfio-cused/cused.h>
#include <vfio-cused/iommu.h>
#include <vfio-cused/pci.h>

struct cused_port;			/* the core's side of one device, opaque */

/* One piece of a batch of DMA. */
struct cused_dma {
	uint64_t iova;
	void *buf;
	size_t len;			/* bytes; 0 is allowed and does nothing */
};

#define CUSED_SAVE_MAX 65536	/* bytes of one piece that a model saves; ids are below this, too */
#define CUSED_TIMERS 8			/* timers of one device, ids 0 … 7 */
#define CUSED_MEMORIES 4		/* kept memories of one device, ids 0 … 3 */
#define CUSED_DMA_BATCH_MAX 4096	/* pieces in one call; more is -E2BIG */

/* A device of this machine, as whoever makes it has found it (CUSED_DEVICE_HOST). */
struct cused_host {
	size_t size;
	unsigned group;			/* its IOMMU group there */
	const char *node;		/* "/dev/vfio/devices/vfio0" */
	uint16_t vendor, device;
	uint32_t class_code;
	bool again;			/* a process before had it: a client may have it open */
};

/* What the core does for a model. Tests give a model a fake of this table. */
struct cused_services {
	size_t size;
	unsigned version;

	/*
	 * Copy from (dma_read) or to (dma_write) the client's memory by IOVA. Each piece
	 * is translated and checked; a piece may cross mappings. All pieces are checked
	 * before the first byte moves. Pieces that cover the same bytes move in order;
	 * others may move in any.
	 * Return: 0; -EACCES bus mastering is off; -EFAULT an IOVA is not mapped with the
	 * right permission, or the client's memory is gone; -E2BIG too many pieces.
	 * @ret_bad, if not NULL, is set on -EFAULT to the index of the first bad piece.
	 * Locks: called with the device's lock held; takes the IOVA map's lock for reading.
	 */
	int (*dma_read)(struct cused_port *port, const struct cused_dma *v, size_t n,
			size_t *ret_bad);
	int (*dma_write)(struct cused_port *port, const struct cused_dma *v, size_t n,
			 size_t *ret_bad);

	/* Message signalled interrupt @vector, through MSI-X or MSI, whichever the client
	 * enabled. Vectors that exist in neither are dropped. Never blocks. */
	void (*irq_raise)(struct cused_port *port, unsigned vector);

	/* Level of the INTx line. The core masks, signals and re-signals as VFIO does. */
	void (*irq_level)(struct cused_port *port, bool asserted);

	/* True if MSI or MSI-X is enabled, i.e. irq_raise() goes somewhere and the INTx
	 * line must not be used (PCI 3.0, 6.8.1). */
	bool (*irq_is_message)(struct cused_port *port);

	/* The bytes behind a BAR's memory pages; indexed by offset in the BAR, valid from
	 * create's return to destroy. Bytes of trapped pages may be used freely by the
	 * model. NULL if the BAR does not exist or has no areas. Clients store to these
	 * bytes at any time: read each value once, with atomic loads. */
	void *(*bar_memory)(struct cused_port *port, unsigned bar);

	/* Run ops->poll() soon, from any thread. */
	void (*kick)(struct cused_port *port);

	/* Call ops->timer(state, id) once, @ns nanoseconds from now on the monotonic
	 * clock; replaces an armed timer of that id. @ns 0 disarms. */
	void (*timer_arm)(struct cused_port *port, unsigned id, uint64_t ns);

	/* Monotonic nanoseconds (tests give a clock of their own). */
	uint64_t (*now)(struct cused_port *port);

	/* "0000:01:00.0", for log lines and serial numbers. */
	const char *(*name)(struct cused_port *port);

	/* Of a host device, for the length of its create(); else NULL. */
	const struct cused_host *(*host)(struct cused_port *port);

	/*
	 * Remember @size bytes for a model that takes over after the process was killed: see
	 * restore(). The same @id again replaces them; @data NULL forgets them. What is saved in
	 * one callback counts as a whole, when it returns; in poll() and timer(), also at each
	 * save_now(): then it is safe before anything that follows is seen by the client.
	 * At most CUSED_SAVE_MAX bytes. NULL where nothing outlives the process, as memory() is then: a
	 * model asks by CUSED_HAS().
	 */
	void (*save)(struct cused_port *port, unsigned id, const void *data, size_t size);
	void (*save_now)(struct cused_port *port);

	/*
	 * For create() alone: @size bytes of the model's own, which whoever takes over finds as
	 * they were, as BAR memory; all zero before. The core takes them back after destroy().
	 * @id: 0 … CUSED_MEMORIES - 1, each once
	 * Return: page aligned, and shared memory of a file (madvise() MADV_REMOVE works); NULL:
	 * nothing outlives this process, or there is no memory: then the model takes its own, and
	 * in resume() says -EBADMSG of it.
	 */
	void *(*memory)(struct cused_port *port, unsigned id, uint64_t size);
};

enum cused_device_flags {
	CUSED_DEVICE_HOST = 1 << 0,	/* see above */
};
/* A parameter of such a device, on or off: may it be missing, and come later? */
#define CUSED_HOST_WAIT "wait"

struct cused_device_ops {
	size_t size;
	unsigned version;		/* CUSED_API_VERSION */
	const char *name;		/* the word after --device */
	const char *summary;		/* one line for `vfio-cused list` and help */
	const char *description;	/* paragraphs for `vfio-cused help NAME` */
	const struct cused_param *params;
	size_t n_params;

	/*
	 * Make an instance.
	 * @values: parallel to @params
	 * @ret_pci: zeroed by the caller; to be filled in
	 * Return: 0, or a negative errno with @err saying what to do about it.
	 */
	int (*create)(const struct cused_services *services, struct cused_port *port,
		      const struct cused_value *values, struct cused_pci *ret_pci,
		      void **ret_state, struct cused_error *err);
	void (*destroy)(void *state);

	/* First open and last close of the device by clients. After close() the model
	 * must be back in its power-on state. Either may be NULL. */
	int (*open)(void *state);
	void (*close)(void *state);

	/* Function level, bus or VFIO reset: power-on register state, memory pages of
	 * BARs included; work in progress is dropped. */
	void (*reset)(void *state);

	/*
	 * Trapped pages: the access itself. Memory pages: bar_read is not called; bar_write
	 * is called after the bytes were stored.
	 * @offset: inside the BAR, aligned to @len; @len: 1, 2, 4 or 8
	 * @value: host order
	 */
	uint64_t (*bar_read)(void *state, unsigned bar, uint64_t offset, unsigned len);
	void (*bar_write)(void *state, unsigned bar, uint64_t offset, unsigned len,
			  uint64_t value);

	/* Look at polled pages and do some work, at most about 50 us of it.
	 * Return: true if anything was done. NULL: the device is never polled. */
	bool (*poll)(void *state);
	void (*timer)(void *state, unsigned id);

	unsigned flags;			/* enum cused_device_flags */
	const struct cused_iommu_ops *iommu;	/* of host devices */

	/*
	 * Host devices, while open: the file that becomes the client's. There is one at a time.
	 * @ret_file: what the transport knows how to make an fd of the client of; the caller's
	 * from now on
	 * Return: 0; -EBUSY it was taken before, and is still open; -errno.
	 */
	int (*take_file)(void *state, intptr_t *ret_file);

	/*
	 * Take over from a process that was killed, after create(), in place of open(): first
	 * each piece that was saved, lowest id first, then resume(). BAR memory is as it was, and
	 * interrupts and configuration space are. Between the pieces nothing of the services may
	 * be called but now() and name(); resume() may call all, as open() may. What the model had
	 * begun and not saved as done is begun again, so it saves before the client sees what cannot
	 * be done twice. A bar_write() or reset() that was cut short comes again after resume(); a
	 * poll() may come before it, and sees what had been stored to BAR memory by then. No timer
	 * is armed.
	 * NULL: the model has no state but BAR memory, and open() is called.
	 * Return: 0; -EBADMSG these are not its bytes: then destroy() follows.
	 */
	int (*restore)(void *state, unsigned id, const void *data, size_t size);
	int (*resume)(void *state);
};

/* Registers a model with the program that it is linked into. */
#define CUSED_DEVICE(ops_) \
	static const struct cused_device_ops *const cused_device_entry_ \
	__attribute__((used, section("cused_devices"))) = &(ops_)

#endif
