/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/alloc_fail.h - make the n-th allocation fail. For programs named *_alloc_test,
 * which are linked with --wrap for these functions. Include it once.
 *
 * Only the thread that armed it is hit: a device's own thread goes on as usual.
 */
#ifndef UNIT_ALLOC_FAIL_H
#define UNIT_ALLOC_FAIL_H

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static __thread unsigned alloc_fail_at;		/* 0: none */
static __thread unsigned alloc_seen;
static __thread bool alloc_paused;

static void alloc_fail_arm(unsigned nth)
{
	alloc_seen = 0;
	alloc_paused = false;
	alloc_fail_at = nth;
}

/* Return: whether the n-th allocation came to pass. */
static bool alloc_fail_disarm(void)
{
	bool hit = alloc_seen >= alloc_fail_at;

	alloc_fail_at = 0;
	return hit;
}

/* The call under test is over, though not the step around it: nothing fails from here to
 * alloc_fail_disarm(), which still tells what came to pass before. */
static inline void alloc_fail_pause(void)
{
	alloc_paused = true;
}

static bool alloc_fails(void)
{
	return alloc_fail_at && !alloc_paused && ++alloc_seen == alloc_fail_at;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
int __real_posix_memalign(void **ret, size_t align, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
int __wrap_posix_memalign(void **ret, size_t align, size_t size);
void *__real_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_asprintf(char **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));

void *__wrap_malloc(size_t size)
{
	return alloc_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return alloc_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return alloc_fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return alloc_fails() ? NULL : __real_reallocarray(p, n, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return alloc_fails() ? NULL : __real_aligned_alloc(align, size);
}

int __wrap_posix_memalign(void **ret, size_t align, size_t size)
{
	return alloc_fails() ? ENOMEM : __real_posix_memalign(ret, align, size);
}

char *__wrap_strdup(const char *s)
{
	return alloc_fails() ? NULL : __real_strdup(s);
}

void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (!alloc_fails())
		return __real_mmap64(addr, len, prot, flags, fd, offset);
	errno = ENOMEM;
	return MAP_FAILED;
}

char *__wrap_strndup(const char *s, size_t n)
{
	return alloc_fails() ? NULL : __real_strndup(s, n);
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
	va_list args;
	int n = -1;

	va_start(args, format);
	if (!alloc_fails())
		n = vasprintf(ret, format, args);
	va_end(args);
	return n;
}

/*
 * Run @step with the 1st, 2nd, … allocation failing, until none does. @step returns what
 * the call under test did; it must be @err if one failed, and the step must have put
 * everything back (a step that succeeds too). Value: how many allocations there were.
 */
#define SWEEP(step, err) ({ \
	unsigned nth_ = 0; \
	bool failed_; \
	do { \
		int r_; \
\
		alloc_fail_arm(++nth_); \
		r_ = (step); \
		failed_ = alloc_fail_disarm(); \
		ck_assert_int_eq(r_, failed_ ? (err) : 0); \
		ck_assert_uint_lt(nth_, 100); \
	} while (failed_); \
	nth_ - 1; })

static inline unsigned alloc_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* A sweep of ENOMEM after which there are as many open files as before; it is printed. */
#define SWEEP_FILES(step, at_least) \
	do { \
		unsigned before_ = alloc_open_fds(), n_ = SWEEP(step, -ENOMEM); \
\
		ck_assert_uint_eq(alloc_open_fds(), before_); \
		printf("%-40s %u allocations\n", #step, n_); \
		ck_assert_uint_ge(n_, at_least); \
	} while (0)

#endif
