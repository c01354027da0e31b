/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bench_util.h - medians, pinning, and the results of one run. */
#ifndef BENCH_UTIL_H
#define BENCH_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_BATCHES 9

/*
 * Time @n calls of @fn(arg), BENCH_BATCHES times, after one batch that is not counted.
 * Return: nanoseconds per call of the median batch.
 */
double bench_time(void (*fn)(void *arg), void *arg, unsigned long n);
double bench_median(double *v, size_t n);	/* sorts @v */
/* Keep this process and its children on one CPU; -1: on all that there are. */
void bench_pin(int cpu);

/* Ordinary system calls of a client; results are reported through @report. */
void bench_ordinary(void (*report)(const char *name, double ns));

#endif
