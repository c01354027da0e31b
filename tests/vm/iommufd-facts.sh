#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel with iommufd that ./bootstrap guest builds, with QEMU's devices behind its
# emulated IOMMU: /dev/iommu and device nodes are there, `list` and `check iommufd` say of the
# machine what the kernel does with it (guest/iommufd-host.sh), and its own /dev/vfio is fit
# to be a judge. For that the conformance program runs on it, and on the kernel that
# conformance.sh asks; whatever differs stands with its reason in tests/conformance/known.
# It is of the version that the contract was read from, so vfio-cused's core is compared with
# it, too, and then nothing may be excused by the age of a kernel. (Where the archive has a
# later one only, that is asked, and what it answers otherwise is found here.)
# And it judges `vfio-cused serve`, which gives clients the devices of that same machine, by its
# iommufd and device nodes; there tests/conformance/known-host has what may differ.
#
# KEEP=FOLDER keeps the recordings there.
. "$(dirname "$0")/lib.sh"
. "$vm_dir/judge.sh"
: "${CONFORMANCE_BIN:=$(dirname "$VM_INIT")/../conformance}"
: "${VM_IOMMUFD_KERNEL:=$vm_dir/../../build/guest-iommufd}"
[[ -s $VM_IOMMUFD_KERNEL/vmlinuz ]] ||
	skip "no guest kernel in $VM_IOMMUFD_KERNEL: run ./bootstrap guest"
known=$vm_dir/../conformance/known
version=7.2
bad=0

machine=(--smp 2 --quiet --append intel_iommu=on --device "intel-iommu,intremap=on"
	--module vfio-pci --module vfio_iommu_type1
	--device "pcie-root-port,id=port1,chassis=1,addr=10.0" --device "edu,bus=port1")

# ---- what list and check say ----
vm --kernel "$VM_IOMMUFD_KERNEL" "${machine[@]}" --module iommufd \
	--device edu,addr=12.0,multifunction=on --device virtio-rng-pci,addr=12.1 \
	--program "$VFIO_CUSED" --program "$SYSTEM_BIN/vfioc-static" \
	--program "$(dirname "$VM_INIT")/vm-host-watch" \
	--file "$vm_dir/guest/lib.sh:/vm/lib.sh" \
	--env AT_EDU=0000:01:00.0 --env AT_PAIR=0000:00:12.0 --env AT_SIBLING=0000:00:12.1 \
	"$vm_dir/guest/iommufd-host.sh" "$vm_dir/guest/host-watch.sh" || bad=1

# ---- what clients are answered ----
# answers KERNEL FILE [SCRIPT OPTION OF vm.sh…]
answers()
{
	local script=${3-$work/kernel.sh}

	truncate -s 16M "$work/drive.img"
	cp "$vm_dir/guest/reference.sh" "$work/kernel.sh"
	vm --kernel "$1" "${machine[@]}" --seconds 700 "${@:4}" \
		--program "$CONFORMANCE_BIN/conformance-static" \
		--device pcie-root-port,id=port2,chassis=2,addr=11.0 \
		--drive "if=none,id=drive,format=raw,file=$work/drive.img" \
		--device nvme,bus=port2,drive=drive,serial=reference \
		--env "DEVICES=edu=0000:01:00.0 nvme=0000:02:00.0" --env CLIENT=conformance \
		"$script" >"$work/vm.out" 2>&1 ||
		{ tail -n 60 "$work/vm.out"; fail "the guest"; }
	mv "$work/results/$(basename "$script" .sh).out" "$2"
}
answers "$VM_KERNEL" "$work/backports.out"
answers "$VM_IOMMUFD_KERNEL" "$work/iommufd.out"
printf -- '-- %s beside %s\n' "$(head -n 1 "$work/iommufd.out")" \
	"$(head -n 1 "$work/backports.out")"
judge_recordings "$version" "$work/backports.out" "$work/iommufd.out" "$known" || bad=1

edu=0000:e0:00.0 nvme=0000:e1:00.0
for pair in "edu $edu $nvme" "nvme $nvme $edu"; do
	read -r name at peer <<<"$pair"
	printf 'device %s\n' "$name"
	rm -f "$work/record"
	timeout 300 "$CONFORMANCE_BIN/conformance-inside" --bdf "$at" --peer "$peer" \
		--record "$work/record" </dev/null || :
	cat "$work/record"
done >"$work/inside.out" 2>&1
echo "-- vfio-cused's core beside $version"
grep -v "^[^|]*${version/./\\.}" "$known" >"$work/known"
judge_recordings process "$work/iommufd.out" "$work/inside.out" "$work/known" skips || bad=1

answers "$VM_IOMMUFD_KERNEL" "$work/host.out" "$vm_dir/guest/iommufd-conformance.sh" \
	--memory 768 --program "$VFIO_CUSED" --file "$vm_dir/guest/lib.sh:/vm/lib.sh"
echo "-- devices of the machine, by vfio-cused serve, beside $version"
failures=$(grep -A1 -B2 '^not ok' "$work/host.out" || :)
[[ -z $failures ]] || { printf '%s\n' "$failures" | head -n 20; bad=1; }
judge_recordings host "$work/iommufd.out" "$work/host.out" "$known-host" skips || bad=1

[[ -z ${KEEP-} ]] || cp "$work"/{backports,iommufd,inside,host}.out "$KEEP"
((bad == 0)) || fail "see above"
