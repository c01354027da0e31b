#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A client under strace and under gdb behaves as it does alone.
. "$(dirname "$0")/lib.sh"
need strace gdb

some=()
for name in container_set_iommu group_status type1_map device_config irq_message_loopback \
	dma_private share_fork share_scm_rights; do
	some+=(--only "$name")
done
client=("$SYSTEM_BIN/vfioc" --bdf "$bdf" "${some[@]}")
run=(cused run --device "edu,bdf=$bdf" --)

strace -qq -e trace=none true 2>/dev/null || skip_host "ptrace is not allowed here"
expect 0 "${run[@]}" strace -f -o "$work/trace" "${client[@]}"
! grep -q '^not ok' "$work/out" || { cat "$work/out"; fail "a case under strace"; }
has trace VFIO_GROUP_GET_DEVICE_FD VFIO_IOMMU_MAP_DMA
expect 0 "${run[@]}" gdb --batch -nx -iex 'set debuginfod enabled off' -ex run \
	-ex 'printf "exit %d\n", $_exitcode' --args "${client[@]}"
! grep -q '^not ok' "$work/out" || { cat "$work/out"; fail "a case under gdb"; }
has out "exit 0"
# stopped at a breakpoint in the middle, and continued
expect 0 "${run[@]}" gdb --batch -nx -iex 'set debuginfod enabled off' -ex 'break vc_map' \
	-ex 'set follow-fork-mode child' -ex run -ex backtrace -ex delete -ex continue --args "$SYSTEM_BIN/vfioc-static" \
	--bdf "$bdf" --only dma_private
