#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Where the kernel's vfio is loaded, /dev/vfio/vfio is its. The service says so, ends, and
# leaves everything as it was; or takes the name and gives it back; or has other names.
# shellcheck source=lib.sh
. /vm/lib.sh

machine()
{
	cut -d' ' -f4- /proc/self/mountinfo
	stat -c '%n %F %a %u:%g %t:%T' /dev/vfio/*
	ls /sys/bus/pci/devices
	processes
}

[ -c /dev/vfio/vfio ] || fail "the kernel's vfio has no node"
before=$(machine)
status=0
timeout 20 vfio-cused serve --device "edu,bdf=$EDU" </dev/null >/tmp/out 2>&1 || status=$?
cat /tmp/out
[ $status = 125 ] || fail "status $status, not 125"
grep -q "/dev/vfio/vfio belongs to the kernel's own vfio module" /tmp/out || fail "no reason"
[ "$(machine)" = "$before" ] || fail "something is left"

as_before()
{
	[ "$(machine)" = "$before" ]
}

check_before()
{
	wait_for 20 as_before || { machine | diff /tmp/before -; fail "$1: something is left"; }
}

printf '%s\n' "$before" >/tmp/before
kernel_number=$(stat -c %t:%T /dev/vfio/vfio)

# The name is taken, and given back at the end, however that comes.
for signal in TERM KILL; do
	start_service --device "edu,bdf=$EDU" --service replace=on
	[ "$(stat -c %t:%T /dev/vfio/vfio)" != "$kernel_number" ] || fail "not replaced"
	[ "$(stat -c %a /dev/vfio/vfio)" = 666 ] || fail "wrong mode"
	vfioc-static --bdf "$EDU" --only device_info >/tmp/tap ||
		{ cat /tmp/tap; fail "a client of the replaced node"; }
	kill -$signal "$service"
	wait "$service" 2>/dev/null || :
	check_before "replace=on and SIG$signal"
done

# Other names, which a client's own view of /dev can show at the usual place.
start_service --device "edu,bdf=$EDU" --prefix vfio-simulated
[ "$(stat -c %t:%T /dev/vfio/vfio)" = "$kernel_number" ] || fail "the kernel's node was touched"
[ "$(stat -c %a /dev/vfio-simulated/vfio)" = 666 ] || fail "wrong mode of the container"
group=$(group_of "$EDU")
[ "$(stat -c %a "/dev/vfio-simulated/$group")" = 600 ] || fail "wrong mode of the group"
unshare -m sh -c "mount --bind /dev/vfio-simulated /dev/vfio &&
	exec vfioc-static --bdf $EDU --only device_info" >/tmp/tap ||
	{ cat /tmp/tap; fail "a client of the other names"; }
stop_service
check_before "--prefix"
[ ! -e /dev/vfio-simulated ] || fail "the directory is left"
