#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Facts of CUSE and of FUSE device files that `serve` leans on, on each guest kernel: the
# programs of ../platform that are named cuse_* and fuse_*, each the script of a test.
. "$(dirname "$0")/lib.sh"
: "${PLATFORM_BIN:=$(dirname "$VM_INIT")/../platform}"

# Passthrough of FUSE files is younger than the older kernel, which has to say so.
young="fuse_passthrough"

# facts KERNEL: boots it with all programs and prints a line for each
facts()
{
	local kernel=$1 scripts=() options=() program name status

	rm -rf "$work/results" "$work/scripts"
	mkdir "$work/scripts"
	# Where the kernel's own vfio is built in, it has that name.
	printf '#!/bin/sh\nrm -f /dev/vfio/vfio\n' >"$work/scripts/0-room.sh"
	scripts=("$work/scripts/0-room.sh")
	for program in "$PLATFORM_BIN"/platform_{cuse,fuse}_*; do
		name=${program##*/platform_}
		options+=(--program "$program")
		printf '#!/bin/sh\nexec platform_%s %s\n' "$name" "$([[ $name != cuse_compat ]] ||
			echo /usr/local/bin/client32)" >"$work/scripts/$name.sh"
		scripts+=("$work/scripts/$name.sh")
	done
	[[ ! -x $SYSTEM_BIN/client32 ]] || options+=(--program "$SYSTEM_BIN/client32")
	((${#scripts[@]} > 1)) || fail "no programs in $PLATFORM_BIN"
	vm --kernel "$kernel" --module cuse --module fuse --seconds 30 --quiet \
		"${options[@]}" "${scripts[@]}" || fail "a fact does not hold on $(<"$kernel/version")"
	for program in "${scripts[@]:1}"; do
		name=$(basename "$program" .sh)
		status=$(<"$work/results/$name.status")
		printf '%-22s %-18s %s\n' "$(<"$kernel/version")" "$name" \
			"$( ((status)) && cat "$work/results/$name.out" || echo holds)"
		((status == 0)) || [[ $kernel == "$GUEST_DIR" && " $young " == *" $name "* ]] ||
			fail "$name was skipped"
	done
}

facts "$VM_KERNEL"
[[ ! -s $GUEST_DIR/vmlinuz || $GUEST_DIR -ef $VM_KERNEL ]] || facts "$GUEST_DIR"
: "${VM_IOMMUFD_KERNEL:=$vm_dir/../../build/guest-iommufd}"
[[ ! -s $VM_IOMMUFD_KERNEL/vmlinuz ]] || facts "$VM_IOMMUFD_KERNEL"
