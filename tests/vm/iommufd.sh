#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Devices of the machine by `vfio-cused serve`, in a guest whose kernel has iommufd, with QEMU's
# edu and NVMe devices behind its emulated IOMMU: the test client on the kernel's own VFIO
# of that guest and on ours, compared; and guest/iommufd-life.sh.
. "$(dirname "$0")/lib.sh"
. "$vm_dir/judge.sh"
: "${VM_IOMMUFD_KERNEL:=$vm_dir/../../build/guest-iommufd}"
need qemu-img
[[ -s $VM_IOMMUFD_KERNEL/vmlinuz ]] ||
	skip "no guest kernel with iommufd in $VM_IOMMUFD_KERNEL: run ./bootstrap guest"
iterations=20
tools=$(dirname "$VM_INIT")

truncate -s 16M "$work/drive.img"
boot()
{
	vm --kernel "$VM_IOMMUFD_KERNEL" --smp 2 --memory 1024 --seconds 700 --quiet \
		--append intel_iommu=on --device intel-iommu,intremap=on \
		--device pcie-root-port,id=port1,chassis=1,addr=10.0 --device edu,bus=port1 \
		--device pcie-root-port,id=port2,chassis=2,addr=11.0 \
		--drive "if=none,id=drive,format=raw,file=$work/drive.img" \
		--device nvme,bus=port2,drive=drive,serial=reference \
		--file "$vm_dir/guest/lib.sh:/vm/lib.sh" --program "$VFIO_CUSED" \
		--program "$SYSTEM_BIN/vfioc-static" --program "$answers" "$@"
}

bad=0
cp "$vm_dir/guest/reference.sh" "$work/kernel.sh"
boot --env "DEVICES=edu=0000:01:00.0 nvme=0000:02:00.0" --env ITERATIONS=$iterations \
	"$work/kernel.sh" "$vm_dir/guest/iommufd-client.sh" || bad=1
# The judge is this kernel, not the recording of an older one.
VM_RECORDING=$work/recording
VM_KNOWN=$vm_dir/known-differences-iommufd
mkdir "$VM_RECORDING"
cp "$work/results/kernel.out" "$VM_RECORDING/kernel.tap" || bad=1
[[ $(<"$work/results/iommufd-client.status") != 0 ]] 2>/dev/null ||
	judge iommufd kernel "$work/results/iommufd-client.out" type1_budget || bad=1

boot --program qemu-img --program "$tools/vm-pinner" \
	--program "$tools/vm-nvme-vector" --env HOST_EDU=0000:01:00.0 \
	--env HOST_NVME=0000:02:00.0 "$vm_dir/guest/iommufd-life.sh" || bad=1
# What qemu-img has written there is on the drive.
awk -v size=$((16 << 20)) 'BEGIN { for (n = 0; n < size; n += 32) printf "byte %-26d\n", n }' |
	cmp - "$work/drive.img" || bad=1
grep -E 'pages pinned|nothing is pinned' "$work/results/iommufd-life.out" || bad=1
((bad == 0)) || fail "see above"
