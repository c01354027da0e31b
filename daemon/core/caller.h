/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core/caller.h - who makes a call: all that the rules of the API ask about a process. */
#ifndef CORE_CALLER_H
#define CORE_CALLER_H

#include <stdbool.h>
#include <stdint.h>
#include <core/mem.h>
#include <vfio-cused/iommu.h>

struct caller {
	struct mm *mm;			/* borrowed for the length of the call */
	uint64_t memlock_limit;		/* bytes (RLIMIT_MEMLOCK); UINT64_MAX: none */
	bool cap_ipc_lock;		/* T1-047 */
	bool cap_sys_rawio;		/* CG-050, CG-071, CG-098, CG-145 */
	struct cused_lender *lender;	/* passed on to IOMMU backends; NULL: none */
};

#endif
