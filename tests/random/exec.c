/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running operations.
 *
 * What is written down is what two implementations must agree on: results, errnos, and the
 * bytes of an answer; of configuration space and registers those that do not depend on the
 * model or on the machine. A fd is written as "fd", whatever its number.
 */
#include "exec_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <string.h>


/* ---- writing ---- */

__attribute__((format(printf, 2, 3))) void exec_say(struct exec *e, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(e->text + e->used, sizeof(e->text) - e->used, format, ap);
	va_end(ap);
	e->used += (size_t)n;
	if (e->used >= sizeof(e->text))
		e->used = sizeof(e->text) - 1;
}

bool exec_result(struct exec *e, int64_t r)
{
	const char *name = r < 0 ? strerrorname_np((int)-r) : NULL;

	if (name)
		exec_say(e, "%s", name);
	else
		exec_say(e, "%" PRId64, r);
	return r >= 0;
}

static void result_fd(struct exec *e, int r)
{
	if (r >= 0)
		exec_say(e, "fd");
	else
		exec_result(e, r);
}

void exec_dump(struct exec *e, const char *name, const void *data, size_t len)
{
	const uint8_t *p = data;

	exec_say(e, " %s=", name);
	for (size_t i = 0; i < len; i++)
		exec_say(e, "%02x", p[i]);
}

/* ---- files and memory ---- */

int exec_fd(struct exec *e, uint64_t slot)
{
	static const int none[] = { -1, -2, 999 };

	return slot < SLOTS ? e->fds[slot] : slot < SLOT_NAMES ? none[slot - SLOTS] : -1;
}

static void put_fd(struct exec *e, uint64_t slot, int fd, unsigned kind)
{
	int old;

	if (slot >= SLOTS) {
		if (fd >= 0)
			e->sys->close(e->sys, fd);
		return;
	}
	old = e->fds[slot];
	e->fds[slot] = fd >= 0 ? fd : -1;
	e->kind[slot] = (uint8_t)kind;
	if (old >= 0)
		e->sys->close(e->sys, old);
}

static uint64_t address(struct exec *e, uint64_t addr)
{
	return addr < ARENA_RAW ? e->sys->arena + addr : addr;
}

/* Puts an argument of @len bytes at @place. */
static void put_arg(struct exec *e, uint64_t place, const void *bytes, size_t len)
{
	uint64_t ro = e->sys->arena + ARENA_ARG_RO * ARENA_PAGE;

	e->bytes = NULL;
	switch (place) {
	case AT_ARG:
		e->arg = e->sys->arena + ARENA_ARG * ARENA_PAGE;
		break;
	case AT_RO:
		e->arg = ro;
		break;
	case AT_EDGE:
		e->arg = ro - 16;
		break;
	case AT_HOLE:
		e->arg = e->sys->arena + ARENA_HOLE * ARENA_PAGE;
		return;
	case AT_NULL:
		e->arg = 0;
		return;
	default:
		e->arg = 0xffff800000000000;
		return;
	}
	e->bytes = e->sys->at(e->sys, e->arg);
	e->sys->writable(e->sys, ARENA_ARG_RO, true);
	memcpy(e->bytes, bytes, len);
	e->sys->writable(e->sys, ARENA_ARG_RO, false);
}

int64_t exec_call(struct exec *e, unsigned cmd, uint64_t place, const void *arg, size_t len)
{
	memset(e->raw, 0x55, sizeof(e->raw));
	memcpy(e->raw, arg, len);
	put_arg(e, place, e->raw, 512 > len ? 512 : len);
	return e->sys->ioctl(e->sys, exec_fd(e, e->a[0]), cmd, e->arg);
}

/* ---- operations: files ---- */

static void do_container(struct exec *e)
{
	int fd = e->sys->open_container(e->sys);

	result_fd(e, fd);
	put_fd(e, e->a[0], fd, 0);
}

static void do_group(struct exec *e)
{
	int fd = e->sys->open_group(e->sys, e->a[1] % DEVICES);

	result_fd(e, fd);
	put_fd(e, e->a[0], fd, 0);
}

static void do_device(struct exec *e)
{
	const char *a = e->sys->bdf[DEVICE_A], *b = e->sys->bdf[DEVICE_B];
	char name[128] = "";
	int fd;

	switch (e->a[2] % OP_NAMES) {
	case 0: snprintf(name, sizeof(name), "%s", a); break;
	case 1: snprintf(name, sizeof(name), "%s", b); break;
	case 2: snprintf(name, sizeof(name), "%s  ", a); break;
	case 3: break;
	case 4: snprintf(name, sizeof(name), "%.11s", a); break;
	case 5: snprintf(name, sizeof(name), "%s0", a); break;
	case 6: snprintf(name, sizeof(name),
			 "%s vf_token=83d8f4f2-509f-382f-3c1e-e6bfe0fa1001", a); break;
	case 7: snprintf(name, sizeof(name), "%s no_such=1", b); break;
	case 8: snprintf(name, sizeof(name), "%s vf_token=83d8f4f2-509f", b); break;
	default: memset(name, 'x', sizeof(name) - 1); break;
	}
	fd = (int)exec_call(e, VFIO_GROUP_GET_DEVICE_FD, e->a[3], name, strlen(name) + 1);
	result_fd(e, fd);
	put_fd(e, e->a[1], fd, e->a[2] == 1 ? DEVICE_B : DEVICE_A);
}

static void do_close(struct exec *e)
{
	exec_say(e, "%s", exec_fd(e, e->a[0]) >= 0 ? "0" : "EBADF");
	put_fd(e, e->a[0], -1, 0);
}

static void do_dup(struct exec *e)
{
	int fd = e->sys->dup(e->sys, exec_fd(e, e->a[0]));

	result_fd(e, fd);
	put_fd(e, e->a[1], fd, e->a[0] < SLOTS ? e->kind[e->a[0]] : 0);
}

static void do_eventfd(struct exec *e)
{
	int fd = e->sys->open_eventfd(e->sys, (unsigned)e->a[1]);

	result_fd(e, fd);
	put_fd(e, e->a[0], fd, 0);
}

/* Plain read() and write() of other files are not what these runs are about. */
static bool is_eventfd(struct exec *e)
{
	if (e->a[0] >= SLOT_EVENT && e->a[0] < SLOT_OTHER && e->fds[e->a[0]] >= 0)
		return true;
	exec_say(e, "no eventfd");
	return false;
}

static void do_count(struct exec *e)
{
	uint64_t count = 0;
	int64_t r;

	if (!is_eventfd(e))
		return;
	r = e->sys->drain(e->sys, exec_fd(e, e->a[0]), &count);
	if (exec_result(e, r))
		exec_say(e, " count=%" PRIu64, count);
}

static void do_signal(struct exec *e)
{
	if (is_eventfd(e))
		exec_result(e, e->sys->signal(e->sys, exec_fd(e, e->a[0])));
}

/* ---- containers and groups ---- */

static void do_attach(struct exec *e)
{
	int32_t fd = exec_fd(e, e->a[1]);

	exec_result(e, exec_call(e, VFIO_GROUP_SET_CONTAINER, e->a[2], &fd, sizeof(fd)));
}

void exec_by_value(struct exec *e, unsigned cmd, uint64_t arg)
{
	exec_result(e, e->sys->ioctl(e->sys, exec_fd(e, e->a[0]), cmd, arg));
}

static void do_detach(struct exec *e)
{
	exec_by_value(e, VFIO_GROUP_UNSET_CONTAINER, 0);
}

static void do_iommu(struct exec *e)
{
	exec_by_value(e, VFIO_SET_IOMMU, e->a[1]);
}

static void do_extension(struct exec *e)
{
	exec_by_value(e, VFIO_CHECK_EXTENSION, e->a[1]);
}

static void do_version(struct exec *e)
{
	exec_by_value(e, VFIO_GET_API_VERSION, 0);
}

bool exec_is_kind(struct exec *e, uint64_t first, uint64_t end)
{
	return e->a[0] >= first && e->a[0] < end;
}

void exec_sized(struct exec *e, unsigned cmd, uint64_t place, const uint32_t *words,
		  size_t n_words, size_t shown)
{
	int64_t r = exec_call(e, cmd, place, words, n_words * sizeof(*words));

	if (exec_result(e, r) && e->bytes && shown)
		exec_dump(e, "arg", e->bytes, shown);
}

static void do_status(struct exec *e)
{
	uint32_t arg[2] = { (uint32_t)e->a[1], ~0u };

	exec_sized(e, VFIO_GROUP_GET_STATUS, e->a[2], arg, 2, 12);
}

static void do_info(struct exec *e)
{
	uint32_t arg[6] = { (uint32_t)e->a[1] };

	exec_sized(e, VFIO_IOMMU_GET_INFO, e->a[2], arg, 6,
	      exec_is_kind(e, SLOT_CONTAINER, SLOT_GROUP) ? 144 : 0);
}

static void do_map(struct exec *e)
{
	struct vfio_iommu_type1_dma_map arg = { (uint32_t)e->a[1], (uint32_t)e->a[2],
		address(e, e->a[3]), e->a[4], e->a[5] };

	exec_result(e, exec_call(e, VFIO_IOMMU_MAP_DMA, e->a[6], &arg, sizeof(arg)));
}

/* Bitmaps of an earlier operation are gone. */
static void clear_bitmaps(struct exec *e)
{
	memset(e->sys->at(e->sys, e->sys->arena + ARENA_BITMAP * ARENA_PAGE), 0x55,
	       (ARENA_PAGES - ARENA_BITMAP) * ARENA_PAGE);
}

static void dump_bitmap(struct exec *e, uint64_t data)
{
	if (data >= ARENA_BITMAP * ARENA_PAGE && data < ARENA_PAGES * ARENA_PAGE - 64)
		exec_dump(e, "bits", e->sys->at(e->sys, address(e, data)), 48);
}

static void do_unmap(struct exec *e)
{
	struct {
		struct vfio_iommu_type1_dma_unmap unmap;
		struct vfio_bitmap bitmap;
	} arg = { { (uint32_t)e->a[1], (uint32_t)e->a[2], e->a[3], e->a[4] },
		{ e->a[5], e->a[6], (void *)(uintptr_t)address(e, e->a[7]) } };
	int64_t r;

	clear_bitmaps(e);
	r = exec_call(e, VFIO_IOMMU_UNMAP_DMA, e->a[8], &arg, sizeof(arg));
	exec_result(e, r);
	if (e->bytes && r != -EFAULT) {
		memcpy(&arg, e->bytes, sizeof(arg));
		exec_say(e, " size=0x%" PRIx64, (uint64_t)arg.unmap.size);
	}
	if (!r && e->a[2] & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)
		dump_bitmap(e, e->a[7]);
}

static void do_dirty(struct exec *e)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap dirty;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} arg = { { (uint32_t)e->a[1], (uint32_t)e->a[2] }, { e->a[3], e->a[4],
		{ e->a[5], e->a[6], (void *)(uintptr_t)address(e, e->a[7]) } } };
	int64_t r;

	clear_bitmaps(e);
	r = exec_call(e, VFIO_IOMMU_DIRTY_PAGES, e->a[8], &arg, sizeof(arg));
	if (exec_result(e, r) && e->a[2] == VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP)
		dump_bitmap(e, e->a[7]);
}

static void do_ioctl(struct exec *e)
{
	uint32_t arg[64] = { (uint32_t)e->a[2] };

	unsigned cmd = _IO(VFIO_TYPE, (unsigned)e->a[1]);

	exec_result(e, exec_call(e, cmd, e->a[3], arg, sizeof(arg)));
}

/* ---- processes ---- */

static void do_hold(struct exec *e)
{
	if (e->child || e->held) {
		exec_say(e, "not now");
		return;
	}
	e->held = exec_result(e, e->sys->hold(e->sys));
}

static void do_unhold(struct exec *e)
{
	if (e->child || !e->held) {
		exec_say(e, "not now");
		return;
	}
	e->held = false;
	e->sys->unhold(e->sys);
	exec_say(e, "0");
}

static void (*const actions[OP_CODES])(struct exec *e) = {
	[OP_CONTAINER] = do_container, [OP_GROUP] = do_group, [OP_DEVICE] = do_device,
	[OP_CLOSE] = do_close, [OP_DUP] = do_dup, [OP_ATTACH] = do_attach,
	[OP_DETACH] = do_detach, [OP_STATUS] = do_status, [OP_IOMMU] = do_iommu,
	[OP_EXTENSION] = do_extension, [OP_VERSION] = do_version, [OP_INFO] = do_info,
	[OP_MAP] = do_map, [OP_UNMAP] = do_unmap, [OP_DIRTY] = do_dirty,
	[OP_IOCTL] = do_ioctl, [OP_DEV_INFO] = exec_do_dev_info,
	[OP_REGION_INFO] = exec_do_region_info, [OP_IRQ_INFO] = exec_do_irq_info,
	[OP_IRQS] = exec_do_irqs, [OP_READ] = exec_do_read, [OP_WRITE] = exec_do_write,
	[OP_CFG] = exec_do_cfg, [OP_CFG_SET] = exec_do_cfg_set,
	[OP_CAP_SET] = exec_do_cap_set, [OP_RESET] = exec_do_reset,
	[OP_HOT_INFO] = exec_do_hot_info, [OP_HOT_RESET] = exec_do_hot_reset,
	[OP_IOEVENTFD] = exec_do_ioeventfd, [OP_FEATURE] = exec_do_feature,
	[OP_EVENTFD] = do_eventfd, [OP_COUNT] = do_count, [OP_SIGNAL] = do_signal,
	[OP_MMAP] = exec_do_mmap, [OP_HOLD] = do_hold, [OP_UNHOLD] = do_unhold,
};

static void line(struct exec *e, size_t number, const struct op *op)
{
	char text[512];

	if (!e->out)
		return;
	op_print(op, text, sizeof(text));
	fprintf(e->out, "%zu %s = %s\n", number, text, e->text);
}

/* The child's operations end, whether the sequence says so or not. */
static void end_child(struct exec *e)
{
	if (e->out)
		fflush(e->out);
	e->sys->end(e->sys);		/* does not return in a process of its own */
	memcpy(e->fds, e->saved_fds, sizeof(e->fds));
	memcpy(e->kind, e->saved_kind, sizeof(e->kind));
	e->child = false;
}

/* Return: the operation to go on with. */
static size_t do_fork(struct exec *e, const struct op *ops, size_t n, size_t at)
{
	int r;

	if (e->child) {
		exec_say(e, "not now");
		line(e, at, &ops[at]);
		return at + 1;
	}
	exec_say(e, "0");
	line(e, at, &ops[at]);
	if (e->out)
		fflush(e->out);
	r = e->sys->fork(e->sys);
	if (r > 0) {
		e->child = true;
		memcpy(e->saved_fds, e->fds, sizeof(e->fds));
		memcpy(e->saved_kind, e->kind, sizeof(e->kind));
		return at + 1;
	}
	while (++at < n && ops[at].code != OP_END)
		;
	return at + 1;
}

void exec_run(struct exec_sys *sys, const struct op *ops, size_t n, FILE *out)
{
	static struct exec state;
	struct exec *e = &state;

	memset(e, 0, sizeof(*e));
	e->sys = sys;
	e->out = out;
	for (unsigned i = 0; i < SLOTS; i++)
		e->fds[i] = -1;
	e->fds[SLOT_OTHER] = sys->open_other(sys);
	for (size_t i = 0; i < n;) {
		e->a = ops[i].arg;
		e->used = 0;
		e->text[0] = 0;
		if (ops[i].code == OP_FORK) {
			i = do_fork(e, ops, n, i);
			continue;
		}
		if (ops[i].code == OP_END) {
			if (e->child)
				end_child(e);
			i++;
			continue;
		}
		actions[ops[i].code](e);
		line(e, i, &ops[i]);
		i++;
	}
	if (e->child)
		end_child(e);
	for (unsigned i = 0; i < SLOTS; i++)
		if (e->fds[i] >= 0)
			sys->close(sys, e->fds[i]);
	if (e->held)
		sys->unhold(sys);
}
