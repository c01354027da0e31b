/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core/caller.h - who makes a call: all that the rules of the API ask about a process. */
#ifndef CORE_CALLER_H
#define CORE_CALLER_H

#include <stdbool.h>
#include <stdint.h>
#include <core/mem.h>
#include <vfio-cused/iommu.h>

/* What a process that takes over has to know of a container's domain; all 0: there is nothing. */
struct domain_record {
	uint64_t file;			/* of backend_files */
	uint64_t number;		/* domain_file()'s */
	uint64_t mm;			/* of the client that it was swapped for */
	uint32_t group;			/* one behind the same backend */
	uint8_t swapped;
	uint8_t pad[3];
};

struct caller {
	struct mm *mm;			/* borrowed for the length of the call */
	uint64_t memlock_limit;		/* bytes (RLIMIT_MEMLOCK); UINT64_MAX: none */
	bool cap_ipc_lock;		/* T1-047 */
	bool cap_sys_rawio;		/* CG-050, CG-071, CG-098, CG-145 */
	struct cused_lender *lender;	/* passed on to IOMMU backends; NULL: none */
	const struct domain_record *domain;	/* of restore.h alone: what there was; or NULL */
};

#endif
