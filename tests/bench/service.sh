#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What clients of `vfio-cused serve` pay: boots a guest with one CPU for single calls, one with
# the kernel's own VFIO for mappings, and one with two CPUs for two clients at once, and prints
# what service-guest.sh measured there.
#
# Single calls are measured in instructions (a microsecond is 1000 of them), user's and
# kernel's of both sides, so that the figures are the same on a busy machine. Two clients at
# once are measured by the clock, on a machine with two processors to spare.
#
#   VFIO_CUSED  the program     BENCH_BIN  folder of cused_bench_*     VM_INIT, VM_KERNEL
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${VFIO_CUSED:=$here/../../build-bench/vfio-cused}"
: "${BENCH_BIN:=$here/../../build-bench/tests/bench}"
: "${VM_INIT:=$BENCH_BIN/../vm/vm-init}"
export VM_INIT

work=$(mktemp -d "${TMPDIR:-/tmp}/cused-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
status=0
for part in calls maps pair; do
	how=(--smp 1 --icount)
	[[ $part != pair ]] || how=(--smp 2)
	# 1 GiB that is pinned, in pages of 4 KiB.
	[[ $part != maps ]] ||
		how+=(--memory 2048 --module vfio-pci --module vfio_iommu_type1
			--append intel_iommu=on --device "intel-iommu,intremap=on"
			--device "pcie-root-port,id=port1,chassis=1,addr=10.0"
			--device "edu,bus=port1" --env KERNEL_EDU=0000:01:00.0)
	cp "$here/service-guest.sh" "$work/$part.sh"
	"$here/../vm/vm.sh" "${how[@]}" --seconds 400 --quiet --out "$work" --module cuse \
		--module fuse --program "$VFIO_CUSED" \
		--program "$BENCH_BIN/cused_bench_null" \
		--program "$BENCH_BIN/cused_bench_service" \
		--file "$here/../vm/guest/lib.sh:/vm/lib.sh" "$work/$part.sh" \
		</dev/null >"$work/log" 2>&1 || { cat "$work/log"; status=1; continue; }
	cat "$work/$part.out"
done
exit $status
