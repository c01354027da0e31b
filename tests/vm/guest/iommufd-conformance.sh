#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The conformance program on devices of the machine, served: those of $DEVICES ("NAME=BDF …"),
# each with the next one as its peer. $PROGRAM is the program, $ARGUMENTS its own. What it is
# answered is for the caller to judge.
# shellcheck source=lib.sh
. /vm/lib.sh
devices=""
for device in $DEVICES; do
	bdf=${device#*=}
	[ -e "/sys/bus/pci/devices/$bdf/driver" ] || {
		echo vfio-pci >"/sys/bus/pci/devices/$bdf/driver_override"
		echo "$bdf" >/sys/bus/pci/drivers_probe
	}
	rm -f "/dev/vfio/$(group_of "$bdf")"
	devices="$devices --device host,bdf=$bdf"
done
# shellcheck disable=SC2086
start_service --service replace=on $devices
uname -r
for device in $DEVICES; do
	for other in $DEVICES; do
		[ "$other" = "$device" ] || peer=${other#*=}
	done
	echo "device ${device%%=*}"
	rm -f /tmp/record
	# shellcheck disable=SC2086
	$PROGRAM --bdf "${device#*=}" --peer "$peer" --record /tmp/record ${ARGUMENTS-} || :
	cat /tmp/record
done >/tmp/tap 2>&1
cat /tmp/tap
stop_service
