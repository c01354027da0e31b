#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What programs find by walking /sys and /dev, from the group of a device to its node, and
# that the simulated IOMMU says the same there as it does.
. "$(dirname "$0")/lib.sh"
iommu=sim,aperture=48,dma_entry_limit=77,unsafe_noiommu=on
iommu+=,reserved=0x1000-0x1fff:direct+0xfee00000-0xfeefffff:msi
run=(cused run --iommu "$iommu" --device "nvme,size=16M,bdf=$bdf,group=$group"
	--device "edu,group=$group" --device "edu,group=99,noiommu=on" --)

cat >"$work/walk" <<'END'
set -e
bdf=$1 group=$2
device=/sys/bus/pci/devices/$bdf
is() { [ "$1" = "$2" ] || { echo "failed: \"$1\" is not \"$2\""; exit 1; }; }

# SD-074, SD-075: from the device to its group's node; one that is not there is ENOENT
link=$(readlink "$device/iommu_group")
is "$link" "../../../kernel/iommu_groups/$group"
is "${link##*/}" "$group"
: <>"/dev/vfio/$group"
[ ! -e /dev/vfio/4711 ] || exit 1
LC_ALL=C cat /dev/vfio/4711 2>&1 | grep -q 'No such file' || exit 1
[ -e /dev/vfio/noiommu-99 ] && [ ! -e /dev/vfio/99 ] # SD-018
# SD-016, SD-026: the container's node, and what a link to it says
exec 5<>/dev/vfio/vfio
is "$(readlink /proc/self/fd/5)" /dev/vfio/vfio
exec 6<>"/dev/vfio/$group"
is "$(readlink /proc/self/fd/6)" "/dev/vfio/$group"
exec 5>&- 6>&-

# SD-001, SD-002, SD-003, SD-076: groups and their members
is "$(ls /sys/kernel/iommu_groups | grep -x "$group")" "$group"
is "$(ls "$device/iommu_group/devices" | wc -l)" 2
[ -e "$device/iommu_group/devices/$bdf/vendor" ]
is "$(cat "$device/iommu_group/type")" DMA
is "$(cat /sys/kernel/iommu_groups/99/name)" vfio-noiommu
# SD-004, SD-080: reserved ranges are those of the options
is "$(cat "$device/iommu_group/reserved_regions")" "0x0000000000001000 0x0000000000001fff direct
0x00000000fee00000 0x00000000feefffff msi"
# SD-029, SD-031: the IOMMU's width; bits 21:16 are the width - 1
cap=$(cat "$device/iommu/intel-iommu/cap")
is "$(((0x$cap >> 16 & 0x3f) + 1))" 48
[ -n "$(ls /sys/class/iommu)" ]
# SD-022, SD-033, SD-034, SD-077, SD-078
is "$(readlink -f "/sys/class/vfio/$group")" "/sys/devices/virtual/vfio/$group"
is "$(cat /sys/module/vfio/parameters/enable_unsafe_noiommu_mode)" Y
is "$(cat /sys/module/vfio_iommu_type1/parameters/dma_entry_limit)" 77
[ -d /sys/module/vfio_pci ]
# SD-046: an override that says vfio-pci, and the driver that it asks for
is "$(cat "$device/driver_override")" vfio-pci
is "$(basename "$(readlink -f "$device/driver")")" vfio-pci
is "$(basename "$(readlink -f "/sys/bus/pci/drivers/vfio-pci/$bdf")")" "$bdf"
# the same facts in "config" and beside it
is "0x$(od -An -tx2 -N2 "$device/config" | tr -d ' ')" "$(cat "$device/vendor")"
is "$(stat -L -c %s "$device/config")" 4096
# a BAR's line and file have the same size
read -r first last flags <"$device/resource"
is "$((last - first + 1))" "$(stat -L -c %s "$device/resource0")"
is "$((flags & 0x200))" 512
if [ "$(id -u)" != 0 ]; then
	! cat "$device/resource0" 2>/dev/null || exit 1
fi
! (echo x >"$device/driver_override") 2>/dev/null || exit 1
END
expect 0 "${run[@]}" sh "$work/walk" "$bdf" "$group"
! [[ -s $work/out ]] || fail "$(<"$work/out")"

# nothing of it is outside
[[ ! -e /sys/bus/pci/devices/$bdf ]] || fail "$bdf is outside"
