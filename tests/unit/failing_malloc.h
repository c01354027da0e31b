/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/failing_malloc.h - the allocation that fails can be chosen. For programs named
 * *_oom_test, which are linked with --wrap for these functions.
 */
#ifndef UNIT_FAILING_MALLOC_H
#define UNIT_FAILING_MALLOC_H

#include <stddef.h>

static unsigned malloc_fail_at;		/* > 0: counted down, fails at 0; and stays 0 */
static unsigned malloc_failed;		/* how many did */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static inline int malloc_fails(void)
{
	if (malloc_fail_at == 0 || --malloc_fail_at > 0)
		return 0;
	malloc_failed++;
	return 1;
}

void *__wrap_malloc(size_t size)
{
	return malloc_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return malloc_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return malloc_fails() ? NULL : __real_realloc(p, size);
}

/*
 * Run @step with the 1st, 2nd, … allocation failing, until none does. @step returns what
 * the call under test did; it must be @err if one failed, and the step must have put
 * everything back (a step that succeeds too).
 */
#define SWEEP(step, err) do { \
	for (unsigned nth_ = 1;; nth_++) { \
		int r_; \
\
		malloc_failed = 0; \
		malloc_fail_at = nth_; \
		r_ = (step); \
		malloc_fail_at = 0; \
		if (malloc_failed == 0) { \
			ck_assert_int_eq(r_, 0); \
			break; \
		} \
		ck_assert_int_eq(r_, (err)); \
		ck_assert_uint_lt(nth_, 100); \
	} \
} while (0)

#endif
