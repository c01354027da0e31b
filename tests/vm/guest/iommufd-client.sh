#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The test client on devices of the machine, served: those of $DEVICES ("NAME=BDF …"). What the
# client finds is for the caller to judge.
# shellcheck source=lib.sh
. /vm/lib.sh
devices=""
for device in $DEVICES; do
	bdf=${device#*=}
	vfio_bind "$bdf"
	# The kernel's own nodes have the names of ours.
	rm -f "/dev/vfio/$(group_of "$bdf")"
	devices="$devices --device host,bdf=$bdf"
done
# shellcheck disable=SC2086
start_service --service "replace=on,dma=${DMA-auto}" $devices
for device in $DEVICES; do
	chown user "/dev/vfio/$(group_of "${device#*=}")"
done
uname -r
# shellcheck disable=SC3045
ulimit -l 262144
for device in $DEVICES; do
	for other in $DEVICES; do
		[ "$other" = "$device" ] || peer=${other#*=}
	done
	echo "device ${device%%=*}"
	# 65535 mappings, each by a stopped client: minutes.
	su user -c "exec vfioc-static --bdf ${device#*=} --peer $peer \
		--iterations $ITERATIONS --without ${WITHOUT-type1_budget}" || :
	su user -c "exec vm-answers ${device#*=}"
done >/tmp/tap 2>&1
cat /tmp/tap
stop_service
