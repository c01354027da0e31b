#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `vfio-cused serve --service dma=swap` in a guest whose kernel has iommufd, with two of QEMU's
# edu devices behind its emulated IOMMU: the test client, whose containers are iommufds there,
# against the kernel's own VFIO of that guest; and guest/iommufd-swap.sh.
. "$(dirname "$0")/lib.sh"
. "$vm_dir/judge.sh"
: "${VM_IOMMUFD_KERNEL:=$vm_dir/../../build/guest-iommufd}"
[[ -s $VM_IOMMUFD_KERNEL/vmlinuz ]] ||
	skip "no guest kernel with iommufd in $VM_IOMMUFD_KERNEL: run ./bootstrap guest"
iterations=20
programs=$(dirname "$VM_INIT")

boot()
{
	vm --kernel "$VM_IOMMUFD_KERNEL" --smp 2 --memory 1024 --seconds 400 --quiet \
		--append intel_iommu=on --device intel-iommu,intremap=on \
		--device pcie-root-port,id=port1,chassis=1,addr=10.0 --device edu,bus=port1 \
		--device pcie-root-port,id=port2,chassis=2,addr=11.0 --device edu,bus=port2 \
		--file "$vm_dir/guest/lib.sh:/vm/lib.sh" --program "$VFIO_CUSED" \
		--program "$SYSTEM_BIN/vfioc-static" --program "$answers" "$@"
}

bad=0
cp "$vm_dir/guest/reference.sh" "$work/kernel.sh"
# The kernel's compatibility layer lets type1_map through to the IOMMU driver with a mapping
# that is neither readable nor writable, which that driver reports as its own fault (WARN).
boot --env "DEVICES=edu=0000:01:00.0 edu2=0000:02:00.0" --env ITERATIONS=$iterations \
	--env DMA=swap --env WITHOUT=type1_map \
	"$work/kernel.sh" "$vm_dir/guest/iommufd-client.sh" || bad=1
VM_RECORDING=$work/recording
VM_KNOWN=$vm_dir/known-differences-swap
mkdir "$VM_RECORDING"
cp "$work/results/kernel.out" "$VM_RECORDING/kernel.tap" || bad=1
[[ $(<"$work/results/iommufd-client.status") != 0 ]] 2>/dev/null ||
	judge swap kernel "$work/results/iommufd-client.out" type1_map || bad=1

boot --program "$programs/vm-pinner" --program "$programs/vm-swapper" \
	--env HOST_EDU=0000:01:00.0 --env HOST_EDU2=0000:02:00.0 \
	"$vm_dir/guest/iommufd-swap.sh" || bad=1
grep -E 'pages pinned|nothing is pinned' "$work/results/iommufd-swap.out" || bad=1
((bad == 0)) || fail "see above"
