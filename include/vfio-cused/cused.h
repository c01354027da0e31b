/* SPDX-License-Identifier: MIT */
/*
 * vfio-cused/cused.h - version and conventions shared by all public headers.
 *
 * Conventions
 *   Returns   0 or a negative errno. Results come back through ret_ arguments,
 *             which are set on success only.
 *   Ranges    { first, last }, both inclusive, so that a range can end at 2^64-1.
 *   Sizes     bytes, unless the name says otherwise.
 *   Endian    register contents are little-endian on the wire and are converted
 *             at the edge; numbers in these structs are in host order.
 *   Growth    an ops struct begins with its own size and a version. Members are
 *             only ever added at the end; a member beyond the given size is absent.
 */
#ifndef CUSED_CUSED_H
#define CUSED_CUSED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CUSED_API_VERSION 1

/* Does the backend whose ops these are have a callback that may be left out, or that is
 * younger than the backend? */
#define CUSED_HAS(ops, member)							\
	((ops)->size >= offsetof(__typeof__(*(ops)), member) + sizeof((ops)->member) &&	\
	 (ops)->member)

/* An inclusive range of addresses or offsets. Valid only if first <= last. */
struct cused_range {
	uint64_t first;
	uint64_t last;
};

/* Where a constructor puts the sentence that a user will read: what was wrong,
 * the value that was wrong, and what to do about it. Never longer than the array. */
struct cused_error {
	char text[512];
};

/*
 * cused_error_set - write an error text.
 * @err: where to; NULL is allowed and drops the text
 * @code: a negative errno, handed back so that callers can return it in one line
 * @fmt: printf format naming the thing, the value and the cure
 * Return: @code.  Locks: none.
 */
int cused_error_set(struct cused_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- parameters of a backend: one table makes parsing, help and the manual ---- */

enum cused_param_type {
	CUSED_PARAM_STRING,
	CUSED_PARAM_PATH,	/* a file name; relative to the caller's directory */
	CUSED_PARAM_BOOL,	/* on|off, yes|no, true|false, 1|0 */
	CUSED_PARAM_UINT,	/* decimal or 0x hex, within [min, max] */
	CUSED_PARAM_SIZE,	/* like UINT, with a binary suffix K, M, G or T */
};

struct cused_param {
	const char *name;
	enum cused_param_type type;
	const char *preset;	/* default, in the same syntax; NULL: none, value is unset */
	uint64_t min, max;	/* for UINT and SIZE, both inclusive; max 0 means no limit */
	const char *text;	/* one sentence, without a final full stop */
};

/* A parsed value; the array given to a constructor is parallel to its table. */
struct cused_value {
	bool set;		/* given by the user or by a preset */
	bool given;		/* given by the user */
	const char *string;	/* STRING and PATH; lives as long as the instance */
	uint64_t number;	/* UINT and SIZE, and BOOL as 0 or 1 */
};

#endif
