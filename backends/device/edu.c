/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * edu - the register page of QEMU's educational PCI device.
 *
 * Theory of operation
 *
 *   The register page is the one that QEMU publishes in docs/specs/edu: a device made to
 *   write first drivers against. It has all that a driver can meet in small: registers
 *   that answer at once, a computation that takes time, a DMA engine and an interrupt
 *   with a cause register. BAR 0 is trapped as a whole, so each access arrives here.
 *
 *     0x00  identification       read only
 *     0x04  liveness             reads back inverted
 *     0x08  factorial            write n, read n! modulo 2^32 once STATUS_COMPUTING is 0
 *     0x20  status               STATUS_COMPUTING (read only), STATUS_IRQ
 *     0x24  interrupt status     causes not acknowledged yet; read only
 *     0x60  interrupt raise      causes to add; write only
 *     0x64  interrupt acknowledge  causes to take away; write only
 *     0x80  DMA source           \
 *     0x88  DMA destination       | one end in memory, one in the device's buffer,
 *     0x90  DMA count             | which DMA sees at 0x40000 … 0x40fff
 *     0x98  DMA command          /  DMA_RUN, DMA_TO_MEMORY, DMA_IRQ
 *
 *   Below 0x80 accesses have 4 bytes, from there on 4 or 8. Others, and reads of
 *   addresses that are not in the table, find no register: all ones, writes are lost.
 *
 *   Two jobs take time and are finished by a timer each, `delay` after they began:
 *
 *     factorial  STATUS_COMPUTING is set by the write to 0x08 and cleared by the timer,
 *                with IRQ_FACTORIAL if STATUS_IRQ is set by then. Writes to 0x08 in
 *                between are lost.
 *     DMA        DMA_RUN is set by the write to 0x98 and cleared by the timer, with
 *                IRQ_DMA if DMA_IRQ is set. Writes to the DMA registers in between are
 *                lost. The bytes move in the timer, all at once: 4096 at most.
 *
 *   Where the published page is silent: a transfer that does not fit the buffer, or has
 *   no bytes, moves nothing and finishes as usual; a read from memory that fails puts
 *   all ones in the buffer, as a read that no one answers does on a bus; a write to
 *   memory that fails is lost. (QEMU stops the machine in the first case.)
 *
 *   Interrupts: each new cause is a message, if the client enabled MSI; otherwise the
 *   line is up as long as any cause is not acknowledged.
 *
 *   A process that takes over finds two pieces: the registers, saved by each write and each
 *   end of a job, and the buffer, once DMA has changed it. A job ends in this order: bytes
 *   move, its end is saved, the client is told. So one that was cut short is done again as
 *   a whole, before the client could see that it had ended; and a cause that was saved is
 *   signalled again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <vfio-cused/device.h>
#include <vfio-cused/log.h>

#define BAR_SIZE (1u << 20)

enum {
	REG_ID		= 0x00,
	REG_LIVENESS	= 0x04,
	REG_FACTORIAL	= 0x08,
	REG_STATUS	= 0x20,
	REG_IRQ_STATUS	= 0x24,
	REG_IRQ_RAISE	= 0x60,
	REG_IRQ_ACK	= 0x64,
	REG_DMA_SRC	= 0x80,		/* 4 or 8 bytes from here on */
	REG_DMA_DST	= 0x88,
	REG_DMA_COUNT	= 0x90,
	REG_DMA_CMD	= 0x98,
};

#define ID_VALUE 0x010000edu		/* version 1.0 */

#define STATUS_COMPUTING 0x01u
#define STATUS_IRQ 0x80u

#define DMA_RUN 0x1u
#define DMA_TO_MEMORY 0x2u
#define DMA_IRQ 0x4u

#define IRQ_FACTORIAL 0x001u
#define IRQ_DMA 0x100u

#define BUFFER_BASE 0x40000u		/* where DMA sees the buffer */
#define BUFFER_SIZE 4096u

enum { TIMER_FACTORIAL, TIMER_DMA, TIMERS };

enum { PARAM_DMA_MASK, PARAM_DELAY };

static const struct cused_param edu_params[] = {
	[PARAM_DMA_MASK] = { "dma_mask", CUSED_PARAM_UINT, "0xfffffff", 0, 0,
		"address bits that the DMA engine drives; the others are cleared" },
	[PARAM_DELAY] = { "delay", CUSED_PARAM_UINT, "100", 0, 10000000,
		"microseconds that a factorial or a DMA transfer takes" },
};

enum { PIECE_REGISTERS, PIECE_BUFFER };

#define PIECE_VERSION 1u

struct edu_registers {
	uint32_t version;
	uint32_t liveness;
	uint32_t factorial;
	uint32_t status;
	uint32_t irq_status;
	uint32_t unused;
	uint64_t dma_src, dma_dst, dma_count, dma_cmd;
	uint64_t due[TIMERS];		/* monotonic ns */
};

/* All under the core's lock of the device. */
struct edu {
	const struct cused_services *services;
	struct cused_port *port;
	uint64_t dma_mask;
	uint64_t delay_ns;

	uint32_t liveness;
	uint32_t factorial;
	uint32_t status;
	uint32_t irq_status;
	uint64_t dma_src, dma_dst, dma_count, dma_cmd;
	uint64_t due[TIMERS];		/* monotonic ns, of jobs that run */
	uint8_t buffer[BUFFER_SIZE];
};

static void edu_power_on(struct edu *edu)
{
	edu->liveness = 0;
	edu->factorial = 0;
	edu->status = 0;
	edu->irq_status = 0;
	edu->dma_src = 0;
	edu->dma_dst = 0;
	edu->dma_count = 0;
	edu->dma_cmd = 0;
	memset(edu->due, 0, sizeof(edu->due));
	memset(edu->buffer, 0, sizeof(edu->buffer));
}

/* ---- what outlives the process ---- */

static void edu_save(struct edu *edu, unsigned id, const void *data, size_t size)
{
	if (CUSED_HAS(edu->services, save))
		edu->services->save(edu->port, id, data, size);
}

static void edu_save_registers(struct edu *edu)
{
	const struct edu_registers r = {
		.version = PIECE_VERSION,
		.liveness = edu->liveness,
		.factorial = edu->factorial,
		.status = edu->status,
		.irq_status = edu->irq_status,
		.dma_src = edu->dma_src,
		.dma_dst = edu->dma_dst,
		.dma_count = edu->dma_count,
		.dma_cmd = edu->dma_cmd,
		.due = { edu->due[0], edu->due[1] },
	};

	edu_save(edu, PIECE_REGISTERS, &r, sizeof(r));
}

/* What was saved counts, before the client sees anything of it. */
static void edu_save_now(struct edu *edu)
{
	edu_save_registers(edu);
	if (CUSED_HAS(edu->services, save_now))
		edu->services->save_now(edu->port);
}

/* Whoever takes over finds a device that was just switched on. */
static void edu_save_nothing(struct edu *edu)
{
	edu_save(edu, PIECE_REGISTERS, NULL, 0);
	edu_save(edu, PIECE_BUFFER, NULL, 0);
}

static int edu_restore_registers(struct edu *edu, const void *data, size_t size)
{
	struct edu_registers r;

	if (size != sizeof(r))
		return -EBADMSG;
	memcpy(&r, data, sizeof(r));
	if (r.version != PIECE_VERSION || r.unused ||
	    r.status & ~(STATUS_COMPUTING | STATUS_IRQ))
		return -EBADMSG;
	edu->liveness = r.liveness;
	edu->factorial = r.factorial;
	edu->status = r.status;
	edu->irq_status = r.irq_status;
	edu->dma_src = r.dma_src;
	edu->dma_dst = r.dma_dst;
	edu->dma_count = r.dma_count;
	edu->dma_cmd = r.dma_cmd;
	memcpy(edu->due, r.due, sizeof(edu->due));
	return 0;
}

static int edu_restore(void *state, unsigned id, const void *data, size_t size)
{
	struct edu *edu = state;

	switch (id) {
	case PIECE_REGISTERS:
		return edu_restore_registers(edu, data, size);
	case PIECE_BUFFER:
		if (size != sizeof(edu->buffer))
			return -EBADMSG;
		memcpy(edu->buffer, data, size);
		return 0;
	}
	return -EBADMSG;
}

/* ---- timers ---- */

static void edu_timer_start(struct edu *edu, unsigned id)
{
	edu->due[id] = edu->services->now(edu->port) + edu->delay_ns;
	edu->services->timer_arm(edu->port, id, edu->delay_ns);
}

/* The rest of a time that began in another process; never more than the whole. */
static void edu_timer_resume(struct edu *edu, unsigned id)
{
	uint64_t now = edu->services->now(edu->port);
	uint64_t rest = edu->due[id] > now ? edu->due[id] - now : 1;

	if (rest > edu->delay_ns)
		rest = edu->delay_ns;
	edu->services->timer_arm(edu->port, id, rest);
}

/* ---- interrupts ---- */

/* Tell of causes that are not acknowledged. */
static void edu_irq_signal(struct edu *edu)
{
	if (!edu->irq_status)
		return;
	if (edu->services->irq_is_message(edu->port))
		edu->services->irq_raise(edu->port, 0);
	else
		edu->services->irq_level(edu->port, true);
}

static void edu_irq_raise(struct edu *edu, uint32_t causes)
{
	edu->irq_status |= causes;
	edu_save_now(edu);
	edu_irq_signal(edu);
}

static void edu_irq_ack(struct edu *edu, uint32_t causes)
{
	edu->irq_status &= ~causes;
	if (!edu->irq_status && !edu->services->irq_is_message(edu->port))
		edu->services->irq_level(edu->port, false);
}

/* ---- factorial ---- */

/* n! modulo 2^32. 34! is the first that 2^32 divides, so this ends soon for any n. */
static uint32_t edu_factorial(uint32_t n)
{
	uint32_t product = 1;

	while (n > 1 && product)
		product *= n--;
	return product;
}

static void edu_factorial_start(struct edu *edu, uint32_t n)
{
	if (edu->status & STATUS_COMPUTING)
		return;
	edu->factorial = n;
	edu->status |= STATUS_COMPUTING;
	edu_timer_start(edu, TIMER_FACTORIAL);
}

static void edu_factorial_finish(struct edu *edu)
{
	edu->factorial = edu_factorial(edu->factorial);
	edu->status &= ~STATUS_COMPUTING;
	if (edu->status & STATUS_IRQ)
		edu_irq_raise(edu, IRQ_FACTORIAL);
}

/* ---- DMA ---- */

static void edu_dma_write_reg(struct edu *edu, uint64_t *reg, uint64_t value)
{
	if (!(edu->dma_cmd & DMA_RUN))
		*reg = value;
}

static void edu_dma_start(struct edu *edu, uint64_t cmd)
{
	if ((edu->dma_cmd & DMA_RUN) || !(cmd & DMA_RUN))
		return;
	edu->dma_cmd = cmd;
	edu_timer_start(edu, TIMER_DMA);
}

/* The part of the buffer at DMA address @addr, or NULL if the transfer does not fit. */
static uint8_t *edu_dma_buffer(struct edu *edu, uint64_t addr)
{
	if (addr < BUFFER_BASE || addr - BUFFER_BASE > BUFFER_SIZE ||
	    edu->dma_count > BUFFER_SIZE - (addr - BUFFER_BASE)) {
		cused_log(CUSED_LOG_DEBUG, "edu",
			  "%s: DMA of %" PRIu64 " bytes at 0x%" PRIx64 " misses the buffer",
			  edu->services->name(edu->port), edu->dma_count, addr);
		return NULL;
	}
	return edu->buffer + (addr - BUFFER_BASE);
}

/* The bits of @addr that the engine drives. */
static uint64_t edu_dma_clamp(const struct edu *edu, uint64_t addr)
{
	if (addr & ~edu->dma_mask)
		cused_log(CUSED_LOG_DEBUG, "edu",
			  "%s: DMA address 0x%" PRIx64 " has bits outside of 0x%" PRIx64,
			  edu->services->name(edu->port), addr, edu->dma_mask);
	return addr & edu->dma_mask;
}

static void edu_dma_move(struct edu *edu)
{
	bool to_memory = edu->dma_cmd & DMA_TO_MEMORY;
	struct cused_dma piece = {
		.iova = edu_dma_clamp(edu, to_memory ? edu->dma_dst : edu->dma_src),
		.buf = edu_dma_buffer(edu, to_memory ? edu->dma_src : edu->dma_dst),
		.len = edu->dma_count,
	};
	int r;

	if (!piece.buf || !piece.len)
		return;
	if (to_memory) {
		r = edu->services->dma_write(edu->port, &piece, 1, NULL);
	} else {
		r = edu->services->dma_read(edu->port, &piece, 1, NULL);
		if (r < 0)
			memset(piece.buf, 0xff, piece.len);
		edu_save(edu, PIECE_BUFFER, edu->buffer, sizeof(edu->buffer));
	}
	if (r < 0)
		cused_log(CUSED_LOG_DEBUG, "edu", "%s: DMA of %zu bytes at IOVA 0x%" PRIx64
			  ": %s", edu->services->name(edu->port), piece.len, piece.iova,
			  strerror(-r));
}

static void edu_dma_finish(struct edu *edu)
{
	edu_dma_move(edu);
	edu->dma_cmd &= ~(uint64_t)DMA_RUN;
	if (edu->dma_cmd & DMA_IRQ)
		edu_irq_raise(edu, IRQ_DMA);
}

/* ---- registers ---- */

static bool edu_access_ok(uint64_t offset, unsigned len)
{
	return len == 4 || (len == 8 && offset >= REG_DMA_SRC);
}

static uint64_t edu_bar_read(void *state, unsigned bar, uint64_t offset, unsigned len)
{
	const struct edu *edu = state;

	if (!edu_access_ok(offset, len))
		return UINT64_MAX;
	switch (offset) {
	case REG_ID:
		return ID_VALUE;
	case REG_LIVENESS:
		return edu->liveness;
	case REG_FACTORIAL:
		return edu->factorial;
	case REG_STATUS:
		return edu->status;
	case REG_IRQ_STATUS:
		return edu->irq_status;
	case REG_DMA_SRC:
		return edu->dma_src;
	case REG_DMA_DST:
		return edu->dma_dst;
	case REG_DMA_COUNT:
		return edu->dma_count;
	case REG_DMA_CMD:
		return edu->dma_cmd;
	}
	return UINT64_MAX;
}

static void edu_bar_write(void *state, unsigned bar, uint64_t offset, unsigned len,
			  uint64_t value)
{
	struct edu *edu = state;

	if (!edu_access_ok(offset, len))
		return;
	switch (offset) {
	case REG_LIVENESS:
		edu->liveness = ~(uint32_t)value;
		break;
	case REG_FACTORIAL:
		edu_factorial_start(edu, value);
		break;
	case REG_STATUS:
		edu->status = (edu->status & STATUS_COMPUTING) | (value & STATUS_IRQ);
		break;
	case REG_IRQ_RAISE:
		edu_irq_raise(edu, value);
		break;
	case REG_IRQ_ACK:
		edu_irq_ack(edu, value);
		break;
	case REG_DMA_SRC:
		edu_dma_write_reg(edu, &edu->dma_src, value);
		break;
	case REG_DMA_DST:
		edu_dma_write_reg(edu, &edu->dma_dst, value);
		break;
	case REG_DMA_COUNT:
		edu_dma_write_reg(edu, &edu->dma_count, value);
		break;
	case REG_DMA_CMD:
		edu_dma_start(edu, value);
		break;
	}
	edu_save_registers(edu);
}

static void edu_timer(void *state, unsigned id)
{
	struct edu *edu = state;

	/* A reset may have dropped the job since the timer was armed. */
	if (id == TIMER_FACTORIAL && (edu->status & STATUS_COMPUTING))
		edu_factorial_finish(edu);
	if (id == TIMER_DMA && (edu->dma_cmd & DMA_RUN))
		edu_dma_finish(edu);
	edu_save_registers(edu);
}

static void edu_reset(void *state)
{
	struct edu *edu = state;

	edu->services->timer_arm(edu->port, TIMER_FACTORIAL, 0);
	edu->services->timer_arm(edu->port, TIMER_DMA, 0);
	edu_power_on(edu);
	edu_save_nothing(edu);
}

/* ---- life ---- */

static void edu_close(void *state)
{
	edu_power_on(state);
	edu_save_nothing(state);
}

static int edu_resume(void *state)
{
	struct edu *edu = state;

	if (edu->status & STATUS_COMPUTING)
		edu_timer_resume(edu, TIMER_FACTORIAL);
	if (edu->dma_cmd & DMA_RUN)
		edu_timer_resume(edu, TIMER_DMA);
	/* It may have been saved, and not been told of any more. */
	edu_irq_signal(edu);
	return 0;
}

static int edu_create(const struct cused_services *services, struct cused_port *port,
		      const struct cused_value *values, struct cused_pci *ret_pci,
		      void **ret_state, struct cused_error *err)
{
	struct edu *edu = calloc(1, sizeof(*edu));

	if (!edu)
		return cused_error_set(err, -ENOMEM, "no memory for an edu device");
	edu->services = services;
	edu->port = port;
	edu->dma_mask = values[PARAM_DMA_MASK].number;
	/* A timer of 0 would never fire. */
	edu->delay_ns = values[PARAM_DELAY].number * 1000 + 1;

	ret_pci->vendor = 0x1234;
	ret_pci->device = 0x11e8;
	ret_pci->subvendor = 0x1af4;
	ret_pci->subdevice = 0x1100;
	ret_pci->revision = 0x10;
	ret_pci->class_code = 0x00ff00;
	ret_pci->interrupt_pin = 1;
	ret_pci->bars[0].size = BAR_SIZE;
	ret_pci->msi.vectors = 1;
	*ret_state = edu;
	return 0;
}

static void edu_destroy(void *state)
{
	free(state);
}

static const struct cused_device_ops edu_ops = {
	.size = sizeof(edu_ops),
	.version = CUSED_API_VERSION,
	.name = "edu",
	.summary = "QEMU's educational device: factorial, DMA engine, MSI or INTx",
	.description =
		"The register page that QEMU publishes for writing first drivers: PCI ID "
		"1234:11e8, one BAR of 1 MiB, each access of which is trapped, one MSI "
		"vector or INTx.\n"
		"\n"
		"Drivers written for QEMU's device run unchanged. As there, DMA reaches the "
		"lowest 256 MiB of IOVAs unless dma_mask says otherwise. A transfer that "
		"does not fit the device's buffer of 4096 bytes moves nothing.",
	.params = edu_params,
	.n_params = sizeof(edu_params) / sizeof(edu_params[0]),
	.create = edu_create,
	.destroy = edu_destroy,
	.close = edu_close,
	.reset = edu_reset,
	.bar_read = edu_bar_read,
	.bar_write = edu_bar_write,
	.timer = edu_timer,
	.restore = edu_restore,
	.resume = edu_resume,
};
CUSED_DEVICE(edu_ops);
