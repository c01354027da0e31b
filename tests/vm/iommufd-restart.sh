#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Restart without loss with devices of the machine, in a guest with systemd whose kernel has
# iommufd, and two of QEMU's edu devices behind its emulated IOMMU: see guest/iommufd-restart.sh.
#
#   RESTART_SEED (1)    a number, or "new"    RESTART_KILLS (6)   in each of two ways
#   RESTART_PACKAGE     a .deb to take, instead of building one
. "$(dirname "$0")/lib.sh"
: "${VM_IOMMUFD_KERNEL:=$vm_dir/../../build/guest-iommufd}"
: "${RESTART_SEED:=1}" "${RESTART_KILLS:=6}"
need dpkg-buildpackage dh depmod
[[ -s $VM_DEBIAN ]] || skip "no user space $VM_DEBIAN: run ./bootstrap guest"
[[ -s $VM_IOMMUFD_KERNEL/vmlinuz ]] ||
	skip "no guest kernel with iommufd in $VM_IOMMUFD_KERNEL: run ./bootstrap guest"
[[ $RESTART_SEED != new ]] || RESTART_SEED=$RANDOM
package=${RESTART_PACKAGE-}
if [[ -z $package ]]; then
	"$vm_dir/debian/package.sh" "$work/package" || fail "the package cannot be built"
	package=$(echo "$work"/package/vfio-cused_*.deb)
fi
# One CPU: see systemd.sh.
vm --kernel "$VM_IOMMUFD_KERNEL" --root "$VM_DEBIAN" --memory 1024 --seconds $((420 + RESTART_KILLS * 20)) \
	--append intel_iommu=on --device intel-iommu,intremap=on \
	--device pcie-root-port,id=port1,chassis=1,addr=10.0 --device edu,bus=port1 \
	--device pcie-root-port,id=port2,chassis=2,addr=11.0 --device edu,bus=port2 \
	--env ONE=0000:01:00.0 --env TWO=0000:02:00.0 \
	--env RESTART_SEED="$RESTART_SEED" --env RESTART_KILLS="$RESTART_KILLS" \
	--program "$(dirname "$VM_INIT")/vm-actor" --file "$package:/vm/package.deb" \
	--file "$vm_dir/guest/lib.sh:/vm/lib.sh" --file "$vm_dir/guest/unit-lib.sh:/vm/unit-lib.sh" \
	--file "$vm_dir/guest/actors.sh:/vm/actors.sh" \
	"$vm_dir/guest/iommufd-restart.sh"
