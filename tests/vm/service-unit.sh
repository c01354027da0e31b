#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# transport/service.h in a guest that has CUSE; see service_test.c.
. "$(dirname "$0")/lib.sh"

vm --module cuse --smp 2 --seconds 240 \
	--program "$(dirname "$VFIO_CUSED")/tests/vm/vm-service-test" \
	"$vm_dir/guest/service-unit.sh"
