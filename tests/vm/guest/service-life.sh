#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The service's start and end: what it lays over /dev and /sys, with which rights, and that
# the machine is as before when it has gone, by whatever means.
# shellcheck source=lib.sh
. /vm/lib.sh

# The machine, as far as the service changes it.
machine()
{
	cut -d' ' -f4- /proc/self/mountinfo
	find /dev/vfio -exec stat -c '%n %F %a %u:%g %t:%T' {} + 2>/dev/null | sort
	ls /sys/bus/pci/devices /sys/kernel/iommu_groups /sys/class/cuse 2>/dev/null
	echo "processes: $(processes)"
	ls -A /tmp
	# The folder of its lock stays.
	find /run /var/run ! -name vfio-cused ! -path /run/vfio-cused/lock 2>/dev/null | sort
}

as_before()
{
	[ "$(machine)" = "$before" ]
}

# check WHAT CONDITION: how the machine has to become after WHAT
check()
{
	wait_for 10 "$2" || {
		machine >/tmp/machine-after
		printf '%s\n' "$before" | diff - /tmp/machine-after
		fail "$1: something is left"
	}
}

check_before()
{
	check "$1" as_before
}

# mode PATH WANTED ("MODE USER:GROUP")
mode()
{
	[ -c "$1" ] || fail "$1 is not a device"
	is=$(stat -c '%a %u:%g' "$1")
	[ "$is" = "$2" ] || fail "$1 is $is, not $2"
}

serve()
{
	start_service --device "edu,bdf=$EDU" --device "nvme,size=16M,bdf=$NVME"
}

# A client that calls for long, and ends with the first call that fails: $client
start_client()
{
	vfioc-static --bdf "$EDU" --only type1_budget >/tmp/tap 2>&1 &
	client=$!
	wait_for 10 in_use "$EDU" || fail "the client does not begin"
}

client_gone()
{
	wait_for 20 gone "$client" || fail "$1: the client hangs without its service"
	grep -q '^not ok' /tmp/tap || { cat /tmp/tap; fail "$1: the client was not told"; }
}

: >"$service_log"
: >/tmp/machine-after
: >/tmp/tap
# What systemd makes at boot, so that opening it loads the kernel's vfio.
mkdir -p /dev/vfio
mknod /dev/vfio/vfio c 10 196
chmod 600 /dev/vfio/vfio
before=$(machine)
serve
mode /dev/vfio/vfio "666 0:0"
mode "/dev/vfio/$(group_of "$EDU")" "600 0:0"
mode "/dev/vfio/$(group_of "$NVME")" "600 0:0"
[ "$(cat "/sys/bus/pci/devices/$EDU/vendor")" = 0x1234 ] || fail "edu is not in sysfs"
[ -e "/sys/kernel/iommu_groups/$(group_of "$NVME")/devices/$NVME" ] || fail "no group in sysfs"
[ "$(basename "$(readlink "/sys/bus/pci/devices/$NVME/driver")")" = vfio-pci ] ||
	fail "the driver of nvme is not vfio-pci"
su user -c "exec vfioc-static --bdf $EDU --only container_version" >/tmp/tap ||
	{ cat /tmp/tap; fail "everybody may open a container"; }
! su user -c "exec vfioc-static --bdf $EDU --only group_status" >/tmp/tap ||
	fail "not everybody may open a group"
# One service at a time on a machine: a second is refused with a reason, and harms nothing.
! vfio-cused serve --device "edu,bdf=$EDU2" >/tmp/second 2>&1 </dev/null ||
	fail "a second service serves"
[ -s /tmp/second ] || fail "the second service says nothing"
vfioc-static --bdf "$EDU" --only group_status >/tmp/tap || { cat /tmp/tap; fail "group_status"; }
stop_service
rm /tmp/second
check_before "SIGTERM"

serve
kill -INT "$service"
wait_for 20 gone "$service" || fail "it is still there 20 s after SIGINT"
wait "$service" || fail "status $? after SIGINT"
check_before "SIGINT"

# Clients that have it open do not hold it up, and are told.
serve
start_client
stop_service
client_gone SIGTERM
check_before "SIGTERM with a client"

# Killed without a chance to clear up.
serve
kill -KILL "$service"
wait "$service" 2>/dev/null || :
check_before "SIGKILL"
serve
start_client
kill -KILL "$service"
wait "$service" 2>/dev/null || :
client_gone SIGKILL
check_before "SIGKILL with a client"
serve
stop_service
check_before "the service after the killed one"

# The same where there is no such node.
rm -rf /dev/vfio
before=$(machine)
serve
mode /dev/vfio/vfio "666 0:0"
stop_service
check_before "SIGTERM without a static node"
