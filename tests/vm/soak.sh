#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Clients of `vfio-cused serve` that come and go for a long time, in a guest: memory and fds of
# the service stay as they are. Of ./bootstrap nightly; vm/service-unit has ten seconds of it.
#
#   SOAK_SECONDS (600), SOAK_CLIENTS (200), SOAK_GROUPS (24)
. "$(dirname "$0")/lib.sh"
: "${SOAK_SECONDS:=600}" "${SOAK_CLIENTS:=200}" "${SOAK_GROUPS:=24}"
vm --module cuse --module fuse --smp 2 --memory 1024 --seconds $((SOAK_SECONDS + 300)) \
	--env SOAK_SECONDS="$SOAK_SECONDS" --env SOAK_CLIENTS="$SOAK_CLIENTS" \
	--env SOAK_GROUPS="$SOAK_GROUPS" --program "$(dirname "$VM_INIT")/vm-soak" \
	--program "$VFIO_CUSED" --program "$SYSTEM_BIN/vfioc-static" \
	--file "$vm_dir/guest/lib.sh:/vm/lib.sh" "$vm_dir/guest/service-soak.sh"
