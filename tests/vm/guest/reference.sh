#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The test client on the kernel's own VFIO: each device of $DEVICES ("NAME=BDF …") goes to
# vfio-pci, then the client runs on each, with the next one as its peer. The name of this
# script says which client: "kernel" or "kernel-32"; $CLIENT "conformance", that it is the
# conformance program, which gets $ARGUMENTS as well.
set -e
case ${CLIENT-}$0 in
conformance*-32) client=conformance-32 ;;
conformance*) client=conformance-static ;;
*-32) client=vfioc-32 answers=vm-answers-32 ;;
*) client=vfioc-static answers=vm-answers ;;
esac
for device in $DEVICES; do
	bdf=${device#*=}
	at=/sys/bus/pci/devices/$bdf
	[ -e "$at/iommu_group" ] || { echo "$device has no IOMMU group"; exit 1; }
	[ ! -e "$at/driver" ] || echo "$bdf" >"$at/driver/unbind"
	echo vfio-pci >"$at/driver_override"
	echo "$bdf" >/sys/bus/pci/drivers_probe
	[ "$(basename "$(readlink "$at/driver")")" = vfio-pci ]
done
uname -r
# What the client finds is for the caller to judge, so its status is not ours.
for device in $DEVICES; do
	for other in $DEVICES; do
		[ "$other" = "$device" ] || peer=${other#*=}
	done
	echo "device ${device%%=*}"
	if [ -n "${CLIENT-}" ]; then
		rm -f /tmp/record
		# shellcheck disable=SC2086
		$client --bdf "${device#*=}" --peer "$peer" --record /tmp/record ${ARGUMENTS-} || :
		cat /tmp/record
		continue
	fi
	$client --bdf "${device#*=}" --peer "$peer" --iterations "$ITERATIONS" || :
	$answers "${device#*=}"
done
