#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs sequences of operations that come through the virtio port vm.random, and sends the
# answers back by it, until it is told to quit. Named random-kernel, on the kernel's own
# VFIO, with the devices of $DEVICES; named random-serve, on the service's.
# shellcheck source=lib.sh
. /vm/lib.sh
case $0 in
*-kernel)
	for bdf in $DEVICES; do
		at=/sys/bus/pci/devices/$bdf
		[ -e "$at/iommu_group" ] || fail "$bdf has no IOMMU group"
		[ ! -e "$at/driver" ] || echo "$bdf" >"$at/driver/unbind"
		# The port of a bus is reset otherwise, which takes a second each time.
		[ ! -w "$at/reset_method" ] || [ "$bdf" != "${DEVICES%% *}" ] ||
			echo >"$at/reset_method"
		echo vfio-pci >"$at/driver_override"
		echo "$bdf" >/sys/bus/pci/drivers_probe
	done
	# shellcheck disable=SC2086
	set -- $DEVICES ;;
*)
	start_service --device "edu,bdf=$EDU" --device "nvme,size=16M,bdf=$NVME,msi=0,msix=65"
	set -- "$EDU" "$NVME" ;;
esac
for port in /sys/class/virtio-ports/*; do
	[ "$(cat "$port/name")" != vm.random ] || node=/dev/${port##*/}
done
uname -r
vfio-random --bdf "$1" --peer "$2" --serve "$node"
[ -z "$service" ] || stop_service
