#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The conformance program on devices of the machine, served: those of $DEVICES ("NAME=BDF …"),
# each with the other one as its peer. What it is answered is for the caller to judge.
# shellcheck source=lib.sh
. /vm/lib.sh

stuck()
{
	tail -n 3 /tmp/tap /tmp/record
	for thread in /proc/[0-9]*/task/*; do
		echo "$(cat "$thread/comm"): $(cat "$thread/wchan") $(cat "$thread/syscall")"
	done 2>/dev/null
	fail "the client does not end"
}

devices=""
for device in $DEVICES; do
	bdf=${device#*=}
	vfio_bind "$bdf"
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
	# On a machine that is busy enough a client is late for the service's patience with a courier
	# (ETIMEDOUT): that, and nothing else, is tried again.
	for _ in 1 2 3; do
		rm -f /tmp/record
		# Without the cases of very many steps: a guest without KVM is slow enough.
		conformance-static --bdf "${device#*=}" --peer "$peer" --short \
			--record /tmp/record >/tmp/tap 2>&1 &
		client=$!
		# A minute is usual. What all wait for is worth more than the guest's own deadline.
		wait_for 300 gone $client || stuck
		grep -q '^# .*ETIMEDOUT' /tmp/tap || break
	done
	cat /tmp/tap /tmp/record
done
stop_service
