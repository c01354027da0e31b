#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The half of service.sh in the guest. Its name says what is measured: "calls", "pair"
# or "maps" (beside the kernel's own VFIO, with edu at $KERNEL_EDU).
# shellcheck source=../vm/guest/lib.sh
. /vm/lib.sh
null=/dev/cused-null
devices="--device edu,bdf=$EDU --device edu,bdf=$EDU2"

# null_device NAME
null_device()
{
	cused_bench_null "$1" </dev/null >"/tmp/$1.log" 2>&1 &
	wait_for 10 grep -q ready "/tmp/$1.log" || { cat "/tmp/$1.log"; fail "the null device"; }
}
null_device cused-null

case $0 in
*pair)
	printf '\nservice, two CPUs: two clients at once, each with a device of its own\n'
	# shellcheck disable=SC2086
	start_service $devices
	null_device cused-null2
	cused_bench_service pair $null ${null}2 "$EDU" "$EDU2" || fail "two clients"
	stop_service
	;;
*maps)
	printf '\nservice beside the kernel, one CPU, by instructions: mappings\n'
	at=/sys/bus/pci/devices/$KERNEL_EDU
	echo vfio-pci >"$at/driver_override"
	echo "$KERNEL_EDU" >/sys/bus/pci/drivers_probe
	# shellcheck disable=SC2086
	start_service --prefix vfio-simulated $devices
	cused_bench_service maps $null "$EDU" /dev/vfio-simulated "$KERNEL_EDU" || fail "mappings"
	stop_service
	;;
*)
	printf '\nservice, one CPU, by instructions: ratios to an ioctl of a CUSE device that does nothing\n'
	cused_bench_service floor $null || fail "the floor"
	# shellcheck disable=SC2086
	start_service $devices
	cused_bench_service calls $null "$EDU" || fail "calls"
	cused_bench_service device-fd $null "$EDU" "GET_DEVICE_FD, by courier" ||
		fail "the courier"
	vfio-cused exec -- cused_bench_service device-fd $null "$EDU" \
		"GET_DEVICE_FD, by exec" || fail "exec"
	stop_service
	printf 'service, one CPU, --service memory=retry\n'
	# shellcheck disable=SC2086
	start_service --service memory=retry $devices
	cused_bench_service calls $null "$EDU" || fail "calls by retry"
	stop_service
	;;
esac
