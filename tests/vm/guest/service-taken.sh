#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Where the kernel's vfio is loaded, /dev/vfio/vfio is its: the service says so, ends, and
# leaves everything as it was.
# shellcheck source=lib.sh
. /vm/lib.sh

machine()
{
	cat /proc/self/mountinfo
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
