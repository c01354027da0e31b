#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Devices of the machine by `vfio-cused serve`, in a guest whose kernel has iommufd: the service
# follows what comes, goes, is bound and unbound (guest/iommufd-machine.sh), and several groups
# are in containers in every way (guest/iommufd-groups.sh). The kernel has groups, too, and gives
# their names away and gets them back (guest/iommufd-taken.sh). 32-bit clients: guest/iommufd-32.sh.
. "$(dirname "$0")/lib.sh"
: "${VM_IOMMUFD_KERNEL:=$vm_dir/../../build/guest-iommufd}"
[[ -s $VM_IOMMUFD_KERNEL/vmlinuz ]] ||
	skip "no guest kernel with iommufd in $VM_IOMMUFD_KERNEL: run ./bootstrap guest"
tools=$(dirname "$VM_INIT")
scripts=("$vm_dir"/guest/iommufd-{taken,machine,groups}.sh) narrow=()
if [[ -x $tools/vm-actor-32 ]]; then
	scripts+=("$vm_dir/guest/iommufd-32.sh")
	narrow=(--program "$tools/vm-actor-32" --program "$SYSTEM_BIN/vfioc-32")
fi

vm --kernel "$VM_IOMMUFD_KERNEL" --smp 2 --memory 768 --seconds 300 --quiet \
	--append intel_iommu=on --device intel-iommu,intremap=on \
	--device pcie-root-port,id=port1,chassis=1,addr=10.0 --device edu,bus=port1 \
	--device pcie-root-port,id=port2,chassis=2,addr=11.0 --device edu,bus=port2 \
	--device edu,addr=12.0,multifunction=on --device edu,addr=12.1 \
	--device edu,addr=13.0,multifunction=on --device virtio-rng-pci,addr=13.1 \
	--file "$vm_dir/guest/lib.sh:/vm/lib.sh" --file "$vm_dir/guest/actors.sh:/vm/actors.sh" \
	--program "$VFIO_CUSED" --program "$SYSTEM_BIN/vfioc-static" --program "$tools/vm-actor" \
	--env ONE=0000:01:00.0 --env TWO=0000:02:00.0 --env PAIR=0000:00:12.0 \
	--env TWIN=0000:00:12.1 --env LEFT=0000:00:13.0 --env RIGHT=0000:00:13.1 \
	"${narrow[@]}" "${scripts[@]}" || fail "see above"
