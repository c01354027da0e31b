#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# lspci sees simulated devices beside the machine's own (SD-009, SD-074).
. "$(dirname "$0")/lib.sh"
need lspci

other=0000:e1:00.0
devices=(--device "nvme,size=16M,bdf=$bdf,group=$group" --device "edu,bdf=$other")
lspci -D >"$work/own" 2>/dev/null || :

expect 0 cused run "${devices[@]}" -- lspci -nnvvk -s "$bdf"
has out "[0108]" "Kernel driver in use: vfio-pci" "IOMMU group: $group" \
	"Region 0: Memory at" "MSI-X:"
expect 0 cused run "${devices[@]}" -- lspci -nnk -s "$other"
has out "[1234:11e8]" "Kernel driver in use: vfio-pci"
expect 0 cused run "${devices[@]}" -- lspci -D
has out "$bdf" "$other"
# what the machine itself has is still there
while read -r line; do
	has out "$line"
done <"$work/own"
# raw configuration space, from the file in sysfs
expect 0 cused run "${devices[@]}" -- lspci -xxx -s "$other"
has out "00: 34 12 e8 11"
# outside nothing is to be seen
! lspci -D 2>/dev/null | grep -qF "$bdf" || fail "$bdf is visible outside"
