# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# lib.sh - what the tests share that boot a guest; see vm.sh and ../system/lib.sh.
#
#   VM_INIT    process 1 of guests     VM_KERNEL  kernel for guests (./bootstrap guest)
#   VM_DEBIAN  user space for guests with systemd (the same)
. "$(dirname "${BASH_SOURCE[0]}")/../system/lib.sh"
vm_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${VM_INIT:=$(dirname "$VFIO_CUSED")/tests/vm/vm-init}"
: "${VM_KERNEL:=$vm_dir/../../build/guest-backports}"
: "${VM_DEBIAN:=$vm_dir/../../build/guest-debian/root.cpio}"
export VM_INIT VM_KERNEL
need qemu-system-x86_64 busybox cpio setpriv xz
[[ -s $VM_KERNEL/vmlinuz ]] || skip "no guest kernel in $VM_KERNEL: run ./bootstrap guest"

# Boots a guest: vm [OPTION OF vm.sh…] SCRIPT…; results are in $work/results
vm()
{
	"$vm_dir/vm.sh" --out "$work/results" "$@" </dev/null
}
