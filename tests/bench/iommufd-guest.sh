#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The half of iommufd.sh in the guest: $KERNEL_EDU, $BARE_EDU and $HOST_EDU are its devices.
# shellcheck source=../vm/guest/lib.sh
. /vm/lib.sh
dir=vfio-served

for device in "$KERNEL_EDU" "$BARE_EDU" "$HOST_EDU"; do
	echo vfio-pci >"/sys/bus/pci/devices/$device/driver_override"
	echo "$device" >/sys/bus/pci/drivers_probe
done
printf '\ndevices of the machine, one CPU, by instructions: beside the kernel'"'"'s own VFIO\n'
for way in swap file courier; do
	kind=private
	[ $way != file ] || kind=shared
	start_service --prefix $dir --service dma=$way --device "host,bdf=$HOST_EDU"
	cused_bench_iommufd maps $way $kind /dev/$dir "$HOST_EDU" "$KERNEL_EDU" "$BARE_EDU" ||
		fail "mappings by $way"
	[ $way != swap ] || grep -q 'is swapped' "$service_log" || fail "nothing was swapped"
	stop_service
done
start_service --prefix $dir --device "host,bdf=$HOST_EDU"
cused_bench_iommufd device /dev/$dir "$HOST_EDU" "$KERNEL_EDU" || fail "the device's file"
stop_service
