#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The configuration file of `vfio-cused serve` in a guest that has CUSE: rights of groups, and
# a new configuration while clients have devices open.
. "$(dirname "$0")/lib.sh"

programs=()
for program in "$VFIO_CUSED" "$SYSTEM_BIN/vfioc-static" \
	"$(dirname "$VFIO_CUSED")"/tests/vm/vm-{holder,journal}; do
	programs+=(--program "$program")
done
vm --module cuse --module fuse --smp 2 --memory 1024 --seconds 300 "${programs[@]}" \
	--file "$vm_dir/guest/lib.sh:/vm/lib.sh" "$vm_dir/guest/service-conf.sh"
