/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "op.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	const char *args[OP_ARGS + 1];
} forms[OP_CODES] = {
	[OP_CONTAINER] = { "container", { "s" } },
	[OP_GROUP] = { "group", { "s", "which" } },
	[OP_DEVICE] = { "device", { "s", "t", "name", "at" } },
	[OP_CLOSE] = { "close", { "s" } },
	[OP_DUP] = { "dup", { "s", "t" } },
	[OP_ATTACH] = { "attach", { "s", "fd", "at" } },
	[OP_DETACH] = { "detach", { "s" } },
	[OP_STATUS] = { "status", { "s", "argsz", "at" } },
	[OP_IOMMU] = { "iommu", { "s", "id" } },
	[OP_EXTENSION] = { "extension", { "s", "id" } },
	[OP_VERSION] = { "version", { "s" } },
	[OP_INFO] = { "info", { "s", "argsz", "at" } },
	[OP_MAP] = { "map", { "s", "argsz", "flags", "vaddr", "iova", "size", "at" } },
	[OP_UNMAP] = { "unmap", { "s", "argsz", "flags", "iova", "size", "pgsize", "bytes",
		"data", "at" } },
	[OP_DIRTY] = { "dirty", { "s", "argsz", "flags", "iova", "size", "pgsize", "bytes",
		"data", "at" } },
	[OP_IOCTL] = { "ioctl", { "s", "nr", "argsz", "at" } },
	[OP_DEV_INFO] = { "dev_info", { "s", "argsz", "at" } },
	[OP_REGION_INFO] = { "region_info", { "s", "argsz", "index", "at" } },
	[OP_IRQ_INFO] = { "irq_info", { "s", "argsz", "index", "at" } },
	[OP_IRQS] = { "irqs", { "s", "argsz", "flags", "index", "start", "count", "d0", "d1",
		"d2", "d3", "at" } },
	[OP_READ] = { "read", { "s", "region", "offset", "len" } },
	[OP_WRITE] = { "write", { "s", "region", "offset", "len", "value" } },
	[OP_CFG] = { "cfg", { "s", "offset", "len" } },
	[OP_CFG_SET] = { "cfg_set", { "s", "offset", "len", "value" } },
	[OP_CAP_SET] = { "cap_set", { "s", "cap", "offset", "len", "value" } },
	[OP_RESET] = { "reset", { "s" } },
	[OP_HOT_INFO] = { "hot_info", { "s", "argsz", "at" } },
	[OP_HOT_RESET] = { "hot_reset", { "s", "argsz", "flags", "count", "d0", "d1", "at" } },
	[OP_IOEVENTFD] = { "ioeventfd", { "s", "argsz", "flags", "region", "offset", "data",
		"fd", "at" } },
	[OP_FEATURE] = { "feature", { "s", "argsz", "flags", "fd", "at" } },
	[OP_EVENTFD] = { "eventfd", { "s", "value" } },
	[OP_COUNT] = { "count", { "s" } },
	[OP_SIGNAL] = { "signal", { "s" } },
	[OP_MMAP] = { "mmap", { "s", "region", "offset", "len", "prot", "flags" } },
	[OP_FORK] = { "fork", { NULL } },
	[OP_END] = { "end", { NULL } },
	[OP_HOLD] = { "hold", { NULL } },
	[OP_UNHOLD] = { "unhold", { NULL } },
};

static const char *const slots[SLOT_NAMES] = {
	"c0", "c1", "c2", "g0", "g1", "g2", "g3", "d0", "d1", "d2", "d3",
	"e0", "e1", "e2", "e3", "u0", "u1", "x0", "m1", "m2", "bad",
};

const char *op_name(enum op_code code)
{
	return forms[code].name;
}

const char *op_arg_name(enum op_code code, unsigned n)
{
	return forms[code].args[n];
}

bool op_arg_is_slot(enum op_code code, unsigned n)
{
	const char *name = forms[code].args[n];

	return !strcmp(name, "s") || !strcmp(name, "t") || !strcmp(name, "fd") ||
		(name[0] == 'd' && name[1] >= '0' && name[1] <= '3');
}

void op_print(const struct op *op, char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "%s", op_name(op->code));

	for (unsigned i = 0; op_arg_name(op->code, i) && used < size; i++) {
		const char *name = op_arg_name(op->code, i);

		if (!strcmp(name, "s") || !strcmp(name, "t"))
			used += (size_t)snprintf(text + used, size - used, " %s",
						 slots[op->arg[i]]);
		else if (op_arg_is_slot(op->code, i))
			used += (size_t)snprintf(text + used, size - used, " %s=%s", name,
						 slots[op->arg[i]]);
		else
			used += (size_t)snprintf(text + used, size - used, " %s=0x%" PRIx64,
						 name, op->arg[i]);
	}
}

static bool parse_slot(const char *word, uint64_t *ret_slot)
{
	for (unsigned i = 0; i < SLOT_NAMES; i++)
		if (!strcmp(word, slots[i])) {
			*ret_slot = i;
			return true;
		}
	return false;
}

static bool parse_number(const char *word, uint64_t *ret_number)
{
	char *end;

	*ret_number = strtoull(word, &end, 0);
	return *word && !*end;
}

bool op_parse(const char *line, struct op *ret_op)
{
	struct op op = { 0 };
	char copy[512], *at = copy, *word;

	snprintf(copy, sizeof(copy), "%s", line);
	word = strsep(&at, " ");
	while (op.code < OP_CODES && strcmp(word, op_name(op.code)))
		op.code++;
	if (op.code == OP_CODES)
		return false;
	for (unsigned i = 0; op_arg_name(op.code, i); i++) {
		char *value;

		word = strsep(&at, " ");
		if (!word)
			return false;
		value = strchr(word, '=');
		value = value ? value + 1 : word;
		if (!(op_arg_is_slot(op.code, i) ? parse_slot(value, &op.arg[i]) :
		      parse_number(value, &op.arg[i])))
			return false;
	}
	*ret_op = op;
	return !at;
}
