/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nvme/ctrl.c - an NVM Express 1.4 controller: life, registers, the poll loop.
 *
 * Theory of operation
 *
 *   All of BAR 0 is memory, so that a client maps it as a whole and never traps: page 0
 *   holds the registers, page 1 the doorbells, pages 2 and 3 the MSI-X table and pending
 *   bits, which are the core's. The model learns of stores by looking:
 *
 *       poll ─ registers ─ helper's results ─ doorbells ─ admin commands ─ a part of the
 *              I/O batch ─ events ─ completions ─ interrupts
 *
 *   A register that only the controller may change is put right when it is found
 *   different. INTMS and INTMC share a mask; a store to either is told from what stands
 *   there, so INTMS shows the mask and INTMC reads 0 (3.1.4 has it show the mask, but
 *   then a store of the same value could not be seen).
 *
 *   States (3.1.5, 3.1.6):
 *       disabled   CC.EN 0, RDY 0                nothing is looked at but registers
 *       ready      CC.EN 1, RDY 1                commands are fetched
 *       failed     CFS 1                         nothing is fetched until EN goes 0
 *       shut down  SHST 01b or 10b               nothing is fetched until EN goes 0
 *   EN 1 → 0 drops queues, waiting commands, events and features. Reset and close do the
 *   same, and clear registers and the error log. Data, SMART counters and a sync under
 *   way are the drive's, not the controller's: they stay.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme.h"

#define SCAN_POLLS 1024			/* between looks at reserved registers */

/* ---- parameters ---- */

enum {
	P_IMAGE, P_IMAGE2, P_IMAGE3, P_IMAGE4, P_SIZE, P_SIZE2, P_SIZE3, P_SIZE4,
	P_LBA, P_READONLY, P_SERIAL, P_MODEL, P_QUEUES, P_MDTS, P_VWC, P_MSIX, P_MSI,
	P_VENDOR, P_DEVICE, P_COUNT
};

#define SIZE_MAX_PARAM (1ull << 50)
#define SIZE_WITHOUT (64ull << 20)	/* of namespace 1 when nothing is said of it */

static const struct cused_param params[P_COUNT] = {
	[P_IMAGE] = { "image", CUSED_PARAM_PATH, NULL, 0, 0,
		"File or block device that holds namespace 1; it must exist" },
	[P_IMAGE2] = { "image2", CUSED_PARAM_PATH, NULL, 0, 0, "The same for namespace 2" },
	[P_IMAGE3] = { "image3", CUSED_PARAM_PATH, NULL, 0, 0, "The same for namespace 3" },
	[P_IMAGE4] = { "image4", CUSED_PARAM_PATH, NULL, 0, 0, "The same for namespace 4" },
	/* Not a preset, as with an image there is none. */
	[P_SIZE] = { "size", CUSED_PARAM_SIZE, NULL, 512, SIZE_MAX_PARAM,
		"Size of namespace 1 when it has no image and is kept in memory; "
		"64M if neither is given" },
	[P_SIZE2] = { "size2", CUSED_PARAM_SIZE, NULL, 512, SIZE_MAX_PARAM,
		"The same for namespace 2" },
	[P_SIZE3] = { "size3", CUSED_PARAM_SIZE, NULL, 512, SIZE_MAX_PARAM,
		"The same for namespace 3" },
	[P_SIZE4] = { "size4", CUSED_PARAM_SIZE, NULL, 512, SIZE_MAX_PARAM,
		"The same for namespace 4" },
	[P_LBA] = { "lba", CUSED_PARAM_UINT, "512", 512, 4096,
		"Bytes of a logical block, 512 or 4096" },
	[P_READONLY] = { "readonly", CUSED_PARAM_BOOL, "off", 0, 1,
		"Open images for reading only; namespaces are write protected" },
	[P_SERIAL] = { "serial", CUSED_PARAM_STRING, NULL, 0, 0,
		"Serial number, up to 20 characters (default: made from the address)" },
	[P_MODEL] = { "model", CUSED_PARAM_STRING, "vfio-cused NVMe", 0, 0,
		"Model number, up to 40 characters" },
	[P_QUEUES] = { "queues", CUSED_PARAM_UINT, "64", 1, NVME_QUEUES_MAX,
		"I/O queue pairs" },
	[P_MDTS] = { "mdts", CUSED_PARAM_UINT, "7", 1, NVME_MDTS_MAX,
		"Largest transfer, as a power of two of 4 KiB" },
	[P_VWC] = { "vwc", CUSED_PARAM_BOOL, "on", 0, 1,
		"Volatile write cache; off: a write completes when it is on the disk" },
	[P_MSIX] = { "msix", CUSED_PARAM_UINT, NULL, 0, NVME_QUEUES_MAX + 1,
		"MSI-X vectors, 0 for none (default: one more than queues)" },
	[P_MSI] = { "msi", CUSED_PARAM_UINT, "32", 0, 32,
		"MSI vectors: 0 for none, 1, 2, 4, 8, 16 or 32" },
	[P_VENDOR] = { "vendor", CUSED_PARAM_UINT, "0x1b36", 0, 0xfffe, "PCI vendor id" },
	[P_DEVICE] = { "device", CUSED_PARAM_UINT, "0x0010", 0, 0xffff, "PCI device id" },
};

/* ---- registers ---- */

static uint32_t *reg(struct nvme *n, unsigned off)
{
	return (uint32_t *)(void *)(n->bar + off);
}

/* One load: the client may store at any time. */
uint32_t nvme_reg_load32(struct nvme *n, unsigned off)
{
	return le32toh(__atomic_load_n(reg(n, off), __ATOMIC_ACQUIRE));
}

void nvme_reg_store32(struct nvme *n, unsigned off, uint32_t v)
{
	__atomic_store_n(reg(n, off), htole32(v), __ATOMIC_RELEASE);
}

/* Replaces @old by @v unless the client has stored something else meanwhile, which will
 * be seen by the next poll. */
bool nvme_reg_swap32(struct nvme *n, unsigned off, uint32_t old, uint32_t v)
{
	old = htole32(old);
	return __atomic_compare_exchange_n(reg(n, off), &old, htole32(v), false,
					   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static uint64_t load64(struct nvme *n, unsigned off)
{
	return nvme_reg_load32(n, off) | (uint64_t)nvme_reg_load32(n, off + 4) << 32;
}

/* The client sees it when it was saved. */
static void set_csts(struct nvme *n, uint32_t v)
{
	n->csts = v;
	n->csts_told = false;
	nvme_dirty_ctrl(n);
}

static void tell_csts(struct nvme *n)
{
	if (n->csts_told)
		return;
	nvme_save_now(n);
	nvme_reg_store32(n, REG_CSTS, n->csts);
	n->csts_told = true;
}

/* Controller Fatal Status (9.5): queues cannot be used any more. */
void nvme_ctrl_fatal(struct nvme *n, const char *why)
{
	cused_log(CUSED_LOG_DEBUG, "nvme", "%s: controller fatal status: %s",
		  n->svc->name(n->port), why);
	n->stage.n = 0;
	set_csts(n, n->csts | CSTS_CFS);
}

/* 7.3.2: what EN 1 → 0 does. */
static void controller_reset(struct nvme *n)
{
	nvme_io_drop(n);
	nvme_queue_reset(n);
	nvme_feature_reset(n);
	n->n_aer = n->n_events = 0;
	memset(n->event_masked, 0, sizeof(n->event_masked));
	n->shutting = false;
	n->shutdown.mask = 0;
	set_csts(n, 0);
}

static const char *enable_problem(struct nvme *n, uint32_t aqa, uint64_t asq, uint64_t acq)
{
	uint64_t page = 4096ull << CC_MPS(n->cc);

	if (CC_CSS(n->cc))
		return "CC.CSS is not 0";
	if (CC_AMS(n->cc))
		return "CC.AMS is not 0";
	if (CC_MPS(n->cc) > NVME_MPS_MAX)
		return "CC.MPS is above CAP.MPSMAX";
	if (!(aqa & 0xfff) || !(aqa >> 16 & 0xfff))
		return "AQA gives an admin queue less than two entries";
	if (!asq || !acq || asq & (page - 1) || acq & (page - 1))
		return "ASQ or ACQ is 0 or not aligned to CC.MPS";
	return NULL;
}

static void enable(struct nvme *n)
{
	uint32_t aqa = nvme_reg_load32(n, REG_AQA);
	uint64_t asq = load64(n, REG_ASQ), acq = load64(n, REG_ACQ);
	const char *why = enable_problem(n, aqa, asq, acq);

	nvme_queue_reset(n);
	if (why) {
		nvme_ctrl_fatal(n, why);
		return;
	}
	n->page_shift = 12 + CC_MPS(n->cc);
	nvme_queue_create_cq(n, 0, acq, (aqa >> 16 & 0xfff) + 1, true, 0);
	nvme_queue_create_sq(n, 0, asq, (aqa & 0xfff) + 1, 0);
	set_csts(n, CSTS_RDY);
}

/* 7.6.2: complete when all that was written is on the disk. */
static void start_shutdown(struct nvme *n)
{
	nvme_store_need(n, (1u << n->n_ns) - 1, &n->shutdown);
	n->shutting = true;
	n->batch_n = n->batch_next = 0;
	set_csts(n, (n->csts & ~CSTS_SHST_DONE) | CSTS_SHST_BUSY);
	nvme_ctrl_synced(n);
}

/* Syncs have come back: is the shutdown complete? */
void nvme_ctrl_synced(struct nvme *n)
{
	if (!n->shutting || !nvme_store_met(n, &n->shutdown))
		return;
	n->shutting = false;
	set_csts(n, (n->csts & ~CSTS_SHST_BUSY) | CSTS_SHST_DONE);
}

static bool cc_changed(struct nvme *n, uint32_t raw)
{
	uint32_t old = n->cc;

	if (raw & ~CC_VALID)
		nvme_reg_swap32(n, REG_CC, raw, raw & CC_VALID);
	if ((raw & CC_VALID) == old)
		return false;
	n->cc = raw & CC_VALID;
	nvme_dirty_ctrl(n);
	if (old & CC_EN && !(n->cc & CC_EN))
		controller_reset(n);
	if (!(old & CC_EN) && n->cc & CC_EN)
		enable(n);
	if (CC_SHN(n->cc) && !CC_SHN(old))
		start_shutdown(n);
	return true;
}

static bool masks_changed(struct nvme *n, uint32_t set, uint32_t clear)
{
	n->intmask = (n->intmask | set) & ~clear;
	/* Another process tells from the registers what it has to do. */
	nvme_dirty_ctrl(n);
	nvme_save_now(n);
	nvme_reg_swap32(n, REG_INTMS, set, n->intmask);
	nvme_reg_swap32(n, REG_INTMC, clear, 0);
	nvme_queue_timer(n);		/* tell what was masked until now */
	return true;
}

/* Look at the registers that have a meaning. Return: true if the client changed any. */
static bool look_at_registers(struct nvme *n)
{
	static const uint8_t fixed[] = {
		REG_CAP, REG_CAP + 4, REG_VS, REG_CSTS, REG_NSSR, REG_CMBLOC, REG_CMBSZ,
	};
	const uint32_t values[] = {
		(uint32_t)n->cap, (uint32_t)(n->cap >> 32), NVME_VERSION, n->csts, 0, 0, 0,
	};
	uint32_t ms = nvme_reg_load32(n, REG_INTMS), mc = nvme_reg_load32(n, REG_INTMC);
	uint32_t cc = nvme_reg_load32(n, REG_CC);
	bool changed = false;

	for (unsigned i = 0; i < sizeof(fixed); i++)
		if (nvme_reg_load32(n, fixed[i]) != values[i])
			nvme_reg_store32(n, fixed[i], values[i]);
	if (ms != n->intmask || mc)
		changed |= masks_changed(n, ms, mc);
	if (cc != n->cc)
		changed |= cc_changed(n, cc);
	return changed;
}

/* The rare look at all the rest. */
static void scan(struct nvme *n)
{
	n->scan = 0;
	for (unsigned off = REG_NAMED; off < NVME_DOORBELLS; off += 4)
		if (nvme_reg_load32(n, off))
			nvme_reg_store32(n, off, 0);
	nvme_queue_scan(n);
}

static void power_on(struct nvme *n)
{
	if (n->csts & CSTS_RDY && !(n->csts & CSTS_SHST_DONE))
		n->unsafe_shutdowns++;
	/* First, so that another process never takes cleared doorbells for news. */
	nvme_reg_store32(n, REG_CC, 0);
	controller_reset(n);
	n->cc = n->intmask = 0;
	n->errors_valid = 0;
	nvme_dirty_errors(n);
	for (unsigned off = 0; off < NVME_DOORBELLS; off += 4)
		nvme_reg_store32(n, off, 0);
	n->scan = 0;
	look_at_registers(n);		/* puts CAP and VS there */
}

/* ---- callbacks ---- */

static bool work(struct nvme *n)
{
	bool worked = nvme_queue_doorbells(n);
	unsigned count;

	if (n->batch_next == n->batch_n && !nvme_io_again(n)) {
		count = nvme_queue_fetch_admin(n);
		if (count)
			nvme_admin_run(n, count);
		worked |= count > 0;
		if (!(n->csts & CSTS_CFS))
			nvme_queue_fetch_io(n);
	}
	if (n->batch_next < n->batch_n) {
		nvme_io_run(n);
		worked = true;
	}
	return worked | nvme_log_deliver(n);
}

static bool nvme_poll(void *state)
{
	struct nvme *n = state;
	bool worked = look_at_registers(n);

	if (++n->scan >= SCAN_POLLS)
		scan(n);
	worked |= nvme_io_reap(n);
	if (n->csts == CSTS_RDY)		/* not failed, not shut down */
		worked |= work(n);
	nvme_queue_post(n);
	tell_csts(n);
	if (n->resumed)
		nvme_queue_resume(n);
	if (n->irq_dirty || n->level)
		nvme_queue_irq(n);
	n->resumed = false;
	nvme_save(n);
	return worked;
}

static uint64_t nvme_bar_read(void *state, unsigned bar, uint64_t offset, unsigned len)
{
	return 0;	/* all pages are memory */
}

/* The bytes are stored already. Doorbells, and a CSTS that changes, are left to the poll
 * that follows: save.c tells why. */
static void nvme_bar_write(void *state, unsigned bar, uint64_t offset, unsigned len,
			   uint64_t value)
{
	struct nvme *n = state;

	if (offset >= NVME_MSIX_TABLE)
		return;
	if (offset < REG_NAMED)
		look_at_registers(n);
	else
		scan(n);
	if (n->irq_dirty)
		nvme_queue_irq(n);
	nvme_save(n);
}

static void nvme_timer(void *state, unsigned id)
{
	struct nvme *n = state;

	nvme_queue_timer(n);
	nvme_queue_irq(n);
}

static int nvme_open(void *state)
{
	struct nvme *n = state;

	n->bar = n->svc->bar_memory(n->port, 0);
	if (!n->bar)
		return -ENOMEM;
	n->power_cycles++;
	power_on(n);
	nvme_save_all(n);
	return 0;
}

static void nvme_reset(void *state)
{
	power_on(state);
	nvme_save(state);
}

static void nvme_close(void *state)
{
	power_on(state);
	nvme_save_nothing(state);
}

/* ---- create and destroy ---- */

static uint64_t hash(uint64_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 0x100000001b3ull;	/* FNV-1a */
	return h;
}

/* Identifiers that are the same whenever the same serial number is given. */
static void make_id(const struct nvme *n, struct nvme_ns *ns)
{
	char text[64];

	snprintf(text, sizeof(text), "%s/%" PRIu32, n->serial, ns->nsid);
	put64(ns->id, 0, hash(0xcbf29ce484222325ull, text));
	put64(ns->id, 8, hash(0x9ae16a3b2f90404full, text));
	ns->id[6] = (ns->id[6] & 0x0f) | 0x80;		/* UUID version 8, RFC 9562 */
	ns->id[8] = (ns->id[8] & 0x3f) | 0x80;
}

static int take_text(char *to, size_t max, const char *what, const char *from,
		     struct cused_error *err)
{
	for (const char *p = from; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			return cused_error_set(err, -EINVAL, "nvme: %s '%s' has characters "
					       "other than printable ASCII: leave them out",
					       what, from);
	if (!*from || strlen(from) > max)
		return cused_error_set(err, -EINVAL, "nvme: %s '%s' has %zu characters: use "
				       "1 to %zu", what, from, strlen(from), max);
	strcpy(to, from);
	return 0;
}

static int take_params(struct nvme *n, const struct cused_value *v, struct cused_error *err)
{
	uint64_t lba = v[P_LBA].number, msi = v[P_MSI].number;
	char serial[21];
	int rc;

	if (lba != 512 && lba != 4096)
		return cused_error_set(err, -EINVAL, "nvme: lba=%" PRIu64 " is not a block "
				       "size: use 512 or 4096", lba);
	if (msi & (msi - 1))
		return cused_error_set(err, -EINVAL, "nvme: msi=%" PRIu64 " is not a power of "
				       "two: use 0, 1, 2, 4, 8, 16 or 32", msi);
	snprintf(serial, sizeof(serial), "CUSED-%.14s", n->svc->name(n->port));
	rc = take_text(n->serial, 20, "serial", v[P_SERIAL].set ? v[P_SERIAL].string : serial,
		       err);
	if (!rc)
		rc = take_text(n->model, 40, "model", v[P_MODEL].string, err);
	n->n_queues = (unsigned)v[P_QUEUES].number;
	n->mdts = (unsigned)v[P_MDTS].number;
	n->vwc = v[P_VWC].number;
	n->vendor = (uint16_t)v[P_VENDOR].number;
	n->subvendor = n->vendor;
	return rc;
}

static int open_namespaces(struct nvme *n, const struct cused_value *v,
			   struct cused_error *err)
{
	unsigned shift = v[P_LBA].number == 4096 ? 12 : 9;
	int rc;

	for (unsigned i = 0; i < NVME_NAMESPACES; i++) {
		const struct cused_value *image = &v[P_IMAGE + i], *size = &v[P_SIZE + i];
		struct nvme_ns *ns = &n->ns[i];

		if (i > 0 && !image->set && !size->set)
			continue;
		if (i != n->n_ns)
			return cused_error_set(err, -EINVAL, "nvme: %s%u= given without "
					       "namespace %u: give image%u= or size%u= too",
					       image->set ? "image" : "size", i + 1, i, i, i);
		if (image->set && size->set)
			return cused_error_set(err, -EINVAL, "nvme: namespace %u has both an "
					       "image ('%s') and a size: leave one of them "
					       "out", i + 1, image->string);
		ns->nsid = ++n->n_ns;
		rc = nvme_store_open(n, ns, image->set ? image->string : NULL,
				     size->set ? size->number : SIZE_WITHOUT, shift,
				     v[P_READONLY].number, err);
		if (rc)
			return rc;
		n->bytes_total += ns->bytes;
		make_id(n, ns);
	}
	return 0;
}

static void describe(struct nvme *n, const struct cused_value *v, struct cused_pci *pci)
{
	unsigned msix = v[P_MSIX].set ? (unsigned)v[P_MSIX].number : n->n_queues + 1;

	n->vectors = msix ? msix : 1;
	if (n->vectors < v[P_MSI].number)
		n->vectors = (unsigned)v[P_MSI].number;
	pci->vendor = pci->subvendor = n->vendor;
	pci->device = pci->subdevice = (uint16_t)v[P_DEVICE].number;
	pci->revision = 1;
	pci->class_code = 0x010802;
	pci->interrupt_pin = 1;
	pci->bars[0] = (struct cused_bar){
		.size = NVME_BAR_SIZE, .flags = CUSED_BAR_64, .n_areas = 1,
		.areas = { { 0, NVME_BAR_SIZE - 1 } },
	};
	pci->pm = pci->pcie = pci->flr = true;
	pci->serial = hash(0xcbf29ce484222325ull, n->serial);
	pci->msi.vectors = (uint8_t)v[P_MSI].number;
	pci->msi.maskable = true;
	pci->msix.vectors = (uint16_t)msix;
	pci->msix.table_offset = NVME_MSIX_TABLE;
	pci->msix.pba_offset = NVME_MSIX_PBA;
}

static void nvme_destroy(void *state)
{
	struct nvme *n = state;

	nvme_store_done(n);
	for (unsigned i = 0; i < NVME_ASYNC; i++)
		if (n->async[i].ranges != &n->async[i].one)
			free(n->async[i].ranges);
	for (unsigned i = 0; i < NVME_NAMESPACES; i++)
		nvme_store_close(&n->ns[i]);
	free(n->bounce);
	free(n->scratch);
	free(n);
}

static int nvme_create(const struct cused_services *services, struct cused_port *port,
		       const struct cused_value *values, struct cused_pci *ret_pci,
		       void **ret_state, struct cused_error *err)
{
	struct nvme *n = calloc(1, sizeof(*n));
	size_t largest;
	int rc;

	if (!n)
		return cused_error_set(err, -ENOMEM, "nvme: out of memory");
	n->svc = services;
	n->port = port;
	n->born = services->now(port);
	n->saves = CUSED_HAS(services, save) && CUSED_HAS(services, save_now);
	for (unsigned i = 0; i < NVME_NAMESPACES; i++)
		n->ns[i].fd = -1;
	for (unsigned i = 0; i < NVME_ASYNC; i++) {
		n->async[i].next = n->async_free;
		n->async_free = &n->async[i];
		n->n_async_free++;
	}
	nvme_store_init(n);
	rc = take_params(n, values, err);
	if (!rc)
		rc = open_namespaces(n, values, err);
	if (rc)
		goto err_destroy;
	largest = (size_t)4096 << n->mdts;
	n->bounce_size = largest > NVME_PART_BYTES ? largest : NVME_PART_BYTES;
	n->bounce = aligned_alloc(4096, n->bounce_size);
	n->scratch = aligned_alloc(4096, largest);
	if (!n->bounce || !n->scratch) {
		rc = cused_error_set(err, -ENOMEM, "nvme: no memory for mdts=%u: make it "
				     "smaller", n->mdts);
		goto err_destroy;
	}
	n->cap = (NVME_QUEUE_ENTRIES - 1) | CAP_CQR | CAP_TO(20) | CAP_CSS_NVM |
		 CAP_MPSMAX(NVME_MPS_MAX);
	nvme_feature_reset(n);
	describe(n, values, ret_pci);
	*ret_state = n;
	return 0;

err_destroy:
	nvme_destroy(n);
	return rc;
}

static const struct cused_device_ops nvme_ops = {
	.size = sizeof(nvme_ops),
	.version = CUSED_API_VERSION,
	.name = "nvme",
	.summary = "NVM Express 1.4 drive, kept in a file or in memory",
	.description =
		"A PCI Express NVMe controller with up to four namespaces. Each is an image "
		"file or a block device (image, image2, ...), or memory (size, size2, ...) "
		"that starts as zeroes and lasts as long as the device: of a service under "
		"systemd, also while that is restarted, not stopped. An image is locked while "
		"it is in use; its size must be a multiple of lba.\n"
		"\n"
		"A write that was acknowledged survives the death of vfio-cused; one that was "
		"flushed, or written with FUA, is on the disk. Deallocated blocks become "
		"holes of the image.\n"
		"\n"
		"Interrupts: MSI-X, MSI and INTx. Registers and doorbells can be mapped as a "
		"whole; nothing traps.",
	.params = params,
	.n_params = P_COUNT,
	.create = nvme_create,
	.destroy = nvme_destroy,
	.open = nvme_open,
	.close = nvme_close,
	.reset = nvme_reset,
	.bar_read = nvme_bar_read,
	.bar_write = nvme_bar_write,
	.poll = nvme_poll,
	.timer = nvme_timer,
	.restore = nvme_save_restore,
	.resume = nvme_save_resume,
};
CUSED_DEVICE(nvme_ops);
