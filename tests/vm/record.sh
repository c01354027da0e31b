#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the kernel's own VFIO answers to the test client, with QEMU's edu and NVMe devices
# behind its emulated IOMMU: recorded once for all tests that compare with it, see judge.sh.
# The 32-bit client is judged here as well: the kernel answers it as it does the other.
. "$(dirname "$0")/lib.sh"
. "$vm_dir/judge.sh"

clients=(vfioc-static:vm-answers)
[[ ! -x $SYSTEM_BIN/vfioc-32 ]] || clients+=(vfioc-32:vm-answers-32)
truncate -s 16M "$work/drive.img"
programs=() scripts=()
for pair in "${clients[@]}"; do
	programs+=(--program "$SYSTEM_BIN/${pair%:*}" --program "$(dirname "$answers")/${pair#*:}")
done
for name in kernel kernel-32; do
	scripts+=("$work/$name.sh")
	cp "$vm_dir/guest/reference.sh" "$work/$name.sh"
done
mkdir -p "$VM_RECORDING"
rm -f "$VM_RECORDING"/*.tap
vm --smp 2 --seconds 200 --quiet "${programs[@]}" \
	--module vfio-pci --module vfio_iommu_type1 --append intel_iommu=on \
	--device intel-iommu,intremap=on \
	--device pcie-root-port,id=port1,chassis=1,addr=10.0 --device edu,bus=port1 \
	--device pcie-root-port,id=port2,chassis=2,addr=11.0 \
	--drive "if=none,id=drive,format=raw,file=$work/drive.img" \
	--device nvme,bus=port2,drive=drive,serial=reference \
	--env "DEVICES=edu=0000:01:00.0 nvme=0000:02:00.0" --env ITERATIONS=$iterations \
	"${scripts[@]:0:${#clients[@]}}" >"$work/vm.out" 2>&1 ||
	{ cat "$work/vm.out"; fail "the guest"; }
cp "$work/results/kernel.out" "$VM_RECORDING/kernel.tap"
grep '^not ok' "$VM_RECORDING/kernel.tap" || :

[[ -x $SYSTEM_BIN/vfioc-32 ]] || skip "gcc-i686-linux-gnu is not installed: no 32-bit client"
cp "$work/results/kernel-32.out" "$VM_RECORDING/kernel-32.tap"
judge 32 kernel "$VM_RECORDING/kernel-32.tap" || fail "the 32-bit client is answered otherwise"
