#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The control socket of `vfio-cused serve`, in a guest, also with an older kernel, where devices
# cannot be mapped: see guest/service-ctl.sh.
. "$(dirname "$0")/lib.sh"

cp "$SYSTEM_BIN/holder-static" "$work/holder"

boot()
{
	vm --kernel "$1" --memory 1024 --smp 2 --seconds 400 --quiet --module cuse \
		--module fuse --program "$VFIO_CUSED" --program "$SYSTEM_BIN/vfioc-static" \
		--program "$work/holder" --file "$vm_dir/guest/lib.sh:/vm/lib.sh" \
		"$vm_dir/guest/service-ctl.sh" || fail "see above"
}

boot "$VM_KERNEL"
if [[ -s $GUEST_DIR/vmlinuz && ! $GUEST_DIR -ef $VM_KERNEL ]]; then
	boot "$GUEST_DIR"
fi
