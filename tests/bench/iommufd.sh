#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What clients of devices of the machine pay: boots a guest with iommufd and three edu devices
# behind its IOMMU, one for the kernel's own VFIO, one for a bare iommufd and one that is
# served, and prints what iommufd-guest.sh measured there; by instructions, as service.sh.
#
#   VFIO_CUSED  the program     BENCH_BIN  folder of cused_bench_*
#   VM_INIT     process 1       VM_IOMMUFD_KERNEL  the guest's kernel
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${VFIO_CUSED:=$here/../../build-bench/vfio-cused}"
: "${BENCH_BIN:=$here/../../build-bench/tests/bench}"
: "${VM_INIT:=$BENCH_BIN/../vm/vm-init}"
: "${VM_IOMMUFD_KERNEL:=$here/../../build/guest-iommufd}"
export VM_INIT

work=$(mktemp -d "${TMPDIR:-/tmp}/cused-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
how=()
for i in 1 2 3; do
	how+=(--device "pcie-root-port,id=port$i,chassis=$i,addr=1$i.0" --device "edu,bus=port$i")
done
# 1 GiB in pages of 2 MiB is set aside at the start, and there is 1 GiB in pages of 4 KiB.
"$here/../vm/vm.sh" --kernel "$VM_IOMMUFD_KERNEL" --smp 1 --icount --memory 3072 --seconds 900 \
	--quiet --out "$work" --append "intel_iommu=on hugepages=520" \
	--device intel-iommu,intremap=on "${how[@]}" --program "$VFIO_CUSED" \
	--program "$BENCH_BIN/cused_bench_iommufd" --env KERNEL_EDU=0000:01:00.0 \
	--env BARE_EDU=0000:02:00.0 --env HOST_EDU=0000:03:00.0 \
	--file "$here/../vm/guest/lib.sh:/vm/lib.sh" "$here/iommufd-guest.sh" </dev/null \
	>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
cat "$work/iommufd-guest.out"
