#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# transport/service.h in a guest that has CUSE, see service_test.c; and the whole service under
# a crowd of clients, and under clients that come and go.
. "$(dirname "$0")/lib.sh"

bin=$(dirname "$VFIO_CUSED")/tests/vm
vm --module cuse --module fuse --smp 2 --memory 1024 --seconds 240 --quiet \
	--program "$bin/vm-service-test" --program "$bin/vm-crowd" --program "$VFIO_CUSED" \
	--program "$SYSTEM_BIN/vfioc-static" --file "$vm_dir/guest/lib.sh:/vm/lib.sh" \
	--program "$bin/vm-soak" --env SOAK_SECONDS=10 --env SOAK_CLIENTS=50 \
	"$vm_dir/guest/service-unit.sh" "$vm_dir/guest/service-crowd.sh" \
	"$vm_dir/guest/service-soak.sh"
