/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vfioc.h - cases of the test client and how they say what they saw.
 *
 * Each case runs in a process of its own with a deadline, so that it begins without open
 * files and cannot hang the others. EXPECT notes a failure and goes on; REQUIRE ends the
 * case. A case that finds nothing to test calls SKIP.
 */
#ifndef SYSTEM_VFIOC_H
#define SYSTEM_VFIOC_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "vc.h"

enum { NEEDS_ANY, NEEDS_EDU, NEEDS_NVME };

struct vcase {
	const char *name;
	const char *rows;	/* of the specification */
	void (*fn)(const struct vc_where *where);
	int needs;
	unsigned seconds;	/* deadline; 0: 20 */
	const char *gap;	/* not NULL: known to differ from the kernel, and why */
};

extern const struct vcase cases_container[], cases_group[], cases_type1[], cases_device[],
	cases_irq[], cases_dma[], cases_share[], cases_stress[], cases_nvme[], cases_peer[],
	cases_gaps[];

extern unsigned vfioc_failures;		/* of the case that runs */
extern unsigned long vfioc_iterations;	/* --iterations, for the stress cases */
extern const char *vfioc_peer;		/* --peer, a second device, or NULL */

#define EXIT_SKIP 77

#define EXPECT(cond) do { \
	if (!(cond)) { \
		printf("# %s:%d: not true: %s\n", __FILE__, __LINE__, #cond); \
		vfioc_failures++; \
	} } while (0)

#define EXPECT_EQ(is, want) do { \
	long long is_ = (long long)(is), want_ = (long long)(want); \
	if (is_ != want_) { \
		printf("# %s:%d: %s is %lld (0x%llx), not %lld (0x%llx)\n", __FILE__, \
		       __LINE__, #is, is_, is_, want_, want_); \
		vfioc_failures++; \
	} } while (0)

#define REQUIRE(cond) do { \
	if (!(cond)) { \
		printf("# %s:%d: not true: %s (errno %d)\n", __FILE__, __LINE__, #cond, \
		       errno); \
		fflush(stdout); \
		_Exit(1); \
	} } while (0)

#define REQUIRE_EQ(is, want) do { \
	long long ris_ = (long long)(is), rwant_ = (long long)(want); \
	if (ris_ != rwant_) { \
		printf("# %s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #is, ris_, \
		       rwant_); \
		fflush(stdout); \
		_Exit(1); \
	} } while (0)

#define SKIP(why) do { \
	printf("# skip: %s\n", why); \
	fflush(stdout); \
	_Exit(EXIT_SKIP); \
	} while (0)

/* Opens all of it with type1 v2, or ends the case. */
struct vc vfioc_open(const struct vc_where *where);
/* Anonymous memory of @size bytes filled with a pattern that depends on @seed. */
uint8_t *vfioc_memory(size_t size, unsigned seed);
/* An address that is never mapped; a call, so that the compiler does not warn. */
void *vfioc_bad_address(void);
#define BAD_ADDRESS vfioc_bad_address()

#endif
