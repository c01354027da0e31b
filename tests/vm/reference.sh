#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel's VFIO is the judge: the same test client ran in a guest on the kernel's own
# /dev/vfio, with QEMU's edu and NVMe devices behind its emulated IOMMU (record.sh), and runs
# here under vfio-cused with devices of the same kinds, each on a bus of its own. Where one
# of the two answers otherwise than the client expects and the other does not, that is a
# difference: it must be listed in known-differences with its reason, and what is listed
# must be seen.
. "$(dirname "$0")/lib.sh"
. "$vm_dir/judge.sh"
limit=200

edu=0000:e0:00.0 nvme=0000:e1:00.0
ours()
{
	local run=(cused run --device "edu,bdf=$edu" --device "nvme,size=16M,bdf=$nvme" --)

	printf 'device %s\n' "$1"
	"${run[@]}" "$SYSTEM_BIN/vfioc-static" --bdf "$2" --peer "$3" \
		--iterations $iterations || :
	"${run[@]}" "$answers" "$2"
}
{ ours edu $edu $nvme; ours nvme $nvme $edu; } >"$work/ours.tap" 2>&1
judge cused kernel "$work/ours.tap" ||
	fail "differences that tests/vm/known-differences does not explain"
