/* SPDX-License-Identifier: GPL-2.0-or-later */
/* proto/proto.c - the stages that every ioctl goes through; see call.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/vfio.h>

#include <proto/call.h>

/* Linux 6.12; not in older headers. */
#define CALL_BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)

/* Where rows are. Drivers give one number different meanings. */
enum table { TABLE_CONTAINER, TABLE_TYPE1, TABLE_GROUP, TABLE_DEVICE, N_TABLES };

#define FIRST _IO(VFIO_TYPE, VFIO_BASE)
#define NUMBERS 32u

#define AT(table_, cmd_) [TABLE_##table_][(cmd_) - FIRST]

#define BY_VALUE(object_, cmd_, run_, ...) \
	AT(object_, cmd_) = { .name = #cmd_, .run = (run_), __VA_ARGS__ },
#define POINTER(object_, cmd_, min_, ...) \
	AT(object_, cmd_) = { .name = #cmd_, .min = (min_), __VA_ARGS__ },
#define ARGSZ(object_, cmd_, min_, flags_, ...) \
	AT(object_, cmd_) = { .name = #cmd_, .min = (min_), .argsz = true, \
			      .flags = (flags_), __VA_ARGS__ },

static const struct call_row rows[N_TABLES][NUMBERS] = {
#include <proto/ioctls.def>
};

enum stage {
	STAGE_START,
	STAGE_FIXED,		/* the fixed part is in */
	STAGE_TAIL,		/* so is the tail */
	STAGE_FDS,		/* so are the fds */
	STAGE_RUN,
	STAGE_DONE,
};

/* NULL: there is none. */
static const struct call_row *row_in(enum table table, unsigned cmd)
{
	const struct call_row *row = &rows[table][(cmd - FIRST) % NUMBERS];

	return cmd - FIRST < NUMBERS && row->name ? row : NULL;
}

/* Whatever driver a container has. */
static const struct call_row *row_of(enum object_kind kind, unsigned cmd)
{
	const struct call_row *row;

	switch (kind) {
	case OBJECT_CONTAINER:
		row = row_in(TABLE_CONTAINER, cmd);
		return row ? row : row_in(TABLE_TYPE1, cmd);
	case OBJECT_GROUP:
		return row_in(TABLE_GROUP, cmd);
	case OBJECT_DEVICE:
		return row_in(TABLE_DEVICE, cmd);
	case OBJECT_NONE:
		break;
	}
	return NULL;
}

bool call_needs_caller(enum object_kind kind, unsigned cmd)
{
	const struct call_row *row = row_of(kind, cmd);

	return row && row->caller;
}

const char *call_name(enum object_kind kind, unsigned cmd)
{
	const struct call_row *row = row_of(kind, cmd);

	return row ? row->name : NULL;
}

void call_init(struct call *call, struct object object, unsigned cmd, uint64_t arg,
	       const struct caller *caller)
{
	/* in[] and room[] stay as they are: nothing of them is used before it is written. */
	memset(call, 0, offsetof(struct call, in));
	call->object = object;
	call->cmd = cmd;
	call->arg = arg;
	call->caller = *caller;
}

void *call_take(struct call *call, size_t size)
{
	void *p;

	size = (size + 7) & ~(size_t)7;
	if (size <= sizeof(call->room) - call->room_used) {
		p = call->room + call->room_used;
		call->room_used += size;
		return memset(p, 0, size);
	}
	for (unsigned i = 0; i < sizeof(call->heap) / sizeof(call->heap[0]); i++) {
		if (!call->heap[i])
			return call->heap[i] = calloc(1, size);
	}
	return NULL;
}

static int want(struct call *call, uint64_t addr, void *buf, size_t len)
{
	call->fetch_addr = addr;
	call->fetch_buf = buf;
	call->fetch_len = len;
	call->fetched = 0;
	call->fault = false;
	return 1;
}

int call_want_tail(struct call *call, uint64_t offset, size_t len)
{
	size_t at = (call->row->min + 7u) & ~7u;	/* aligned for any struct */

	if (len <= sizeof(call->in) - at)
		call->tail = call->in + at;
	else
		call->tail = call_take(call, len);
	if (!call->tail)
		return -ENOMEM;
	call->tail_len = len;
	return want(call, call->arg + offset, call->tail, len);
}

int call_want_string(struct call *call)
{
	call->tail = call_take(call, CALL_STRING_MAX);
	if (!call->tail)
		return -ENOMEM;
	return want(call, call->arg, call->tail, CALL_STRING_MAX);
}

int call_want_fds(struct call *call, const int32_t *fds, size_t n, bool events)
{
	struct call_fd *all = call_take(call, n * sizeof(*all));

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		all[i].fd = fds[i];
		all[i].want_event = events;
	}
	call->fds = all;
	call->n_fds = n;
	return 1;
}

struct event_arg call_event_arg(const struct call *call, size_t i, int32_t fd)
{
	struct event_arg arg = { .fd = fd };

	if (fd < 0 || i >= call->n_fds)
		return arg;
	arg.err = call->fds[i].err;
	if (!arg.err && !call->fds[i].event)
		arg.err = -EINVAL;	/* PCI-066: open, but not an eventfd */
	if (!arg.err)
		arg.event = call->fds[i].event;
	return arg;
}

void call_reply(struct call *call, uint64_t offset, const void *buf, size_t len)
{
	call->out[call->n_out++] = (struct call_out){ call->arg + offset, buf, len };
}

static enum call_want answer(struct call *call, int64_t result)
{
	call->result = result;
	call->stage = STAGE_DONE;
	return CALL_DONE;
}

/* Return: 0 with call->row set, or -errno. */
static int select_container_row(struct call *call)
{
	enum container_driver driver;

	call->row = row_in(TABLE_CONTAINER, call->cmd);
	if (call->row)
		return 0;
	driver = container_driver(call->object.container);
	if (driver == CONTAINER_DRIVER_TYPE1)
		call->row = row_in(TABLE_TYPE1, call->cmd);
	if (call->row)
		return 0;
	return driver == CONTAINER_DRIVER_NONE ? -EINVAL :	/* CG-045 */
						 -ENOTTY;	/* CG-046, CG-047 */
}

static int select_row(struct call *call)
{
	if (call->object.kind == OBJECT_CONTAINER)
		return select_container_row(call);
	call->row = row_of(call->object.kind, call->cmd);
	if (!call->row)
		return -ENOTTY;		/* CG-055, PCI-005 */
	return call->object.kind == OBJECT_DEVICE ? device_file_check(call->object.device) : 0;
}

/* CG-001, CG-002 and the flag mask: T1-015, T1-053, T1-085, PCI-053, PCI-119, PCI-147. */
static int judge_fixed(const struct call *call)
{
	uint32_t argsz, flags;

	if (!call->row->argsz)
		return 0;
	memcpy(&argsz, call->in, 4);
	if (argsz < call->row->min)
		return -EINVAL;
	memcpy(&flags, call->in + 4, 4);
	return flags & ~call->row->flags ? -EINVAL : 0;
}

/* What an answer may fill: the room that the client says it has. */
static uint32_t span_of(const struct call *call)
{
	uint32_t argsz;

	if (!call->row->argsz)
		return 0;
	memcpy(&argsz, call->in, 4);
	return argsz;
}

/* The first stage. Return: 1 the fixed part is wanted, 0 there is none, or -errno. */
static int start(struct call *call)
{
	int r = select_row(call);

	if (!r && call->row->ready)
		r = call->row->ready(call);
	if (r || !call->row->min)
		return r;
	return want(call, call->arg, call->in, call->row->min);
}

static int fixed_arrived(struct call *call)
{
	int r = judge_fixed(call);

	return r || !call->row->tail ? r : call->row->tail(call);
}

enum call_want call_step(struct call *call)
{
	int r = 0;

	if (call->fault && call->stage != STAGE_DONE)
		return answer(call, -EFAULT);
	switch ((enum stage)call->stage) {
	case STAGE_START:
		r = start(call);
		call->stage = STAGE_FIXED;
		if (r)
			return r < 0 ? answer(call, r) : CALL_FETCH;
		/* fall through */
	case STAGE_FIXED:
		r = fixed_arrived(call);
		call->stage = STAGE_TAIL;
		if (r < 0)
			return answer(call, r);
		if (r)
			return call->row->string ? CALL_FETCH_STR : CALL_FETCH;
		/* fall through */
	case STAGE_TAIL:
		r = call->row->fds ? call->row->fds(call) : 0;
		call->stage = STAGE_FDS;
		if (r)
			return r < 0 ? answer(call, r) : CALL_FETCH_FDS;
		/* fall through */
	case STAGE_FDS:
		call->stage = STAGE_RUN;
		if (call->hold) {
			call->span = span_of(call);
			return CALL_READY;
		}
		/* fall through */
	case STAGE_RUN:
		return answer(call, call->row->run(call));
	case STAGE_DONE:
		break;
	}
	return CALL_DONE;
}

void call_done(struct call *call)
{
	for (size_t i = 0; i < call->n_fds; i++)
		event_unref(call->fds[i].event);
	call->n_fds = 0;
	for (unsigned i = 0; i < sizeof(call->heap) / sizeof(call->heap[0]); i++) {
		free(call->heap[i]);
		call->heap[i] = NULL;
	}
	if (call->grant)
		device_file_release(call->grant);
	call->grant = NULL;
}
