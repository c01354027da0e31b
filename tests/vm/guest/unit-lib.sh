# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# unit-lib.sh - for scripts in a guest with systemd (bash): the installed package's unit, and a
# client that has a device open. The test on the host puts it at /vm/unit-lib.sh.
# shellcheck source=lib.sh
. /vm/lib.sh
unit=vfio-cused.service
conf=/etc/vfio-cused.conf
# What makes a command an ordinary user's. In the background it is used itself, not as_user: $! is
# then the command's.
user=(setpriv --reuid user --regid user --clear-groups)
# The machine before there was a service, see machine(); what one lays over /sys, see mounts().
before="" laid=""
: "$conf"

fail()
{
	echo "failed: $*"
	systemctl status --no-pager -n 0 'vfio-cused*'
	journalctl --no-pager -o cat -b -n 60 -u $unit -u 'vfio-cused-agent*'
	exit 1
}

step()
{
	echo "[$(cut -d' ' -f1 /proc/uptime)] $*"
}

as_user()
{
	"${user[@]}" "$@"
}

# show PROPERTY: of the unit
show()
{
	systemctl show -P "$1" $unit
}

main_pid()
{
	show MainPID
}

# status TEXT: what systemd was told
status()
{
	[[ $(show StatusText) == "$1" ]]
}

agents()
{
	agent_pids "/usr/bin/vfio-cused agent" | wc -l
}

one_agent()
{
	[[ $(agents) == 1 ]]
}

# What is laid over /sys, as everybody sees it.
mounts()
{
	grep -c ' - tmpfs vfio-cused ' /proc/self/mountinfo
}

# The machine, as far as the service changes it.
machine()
{
	cut -d' ' -f4- /proc/self/mountinfo | grep -v credentials
	find /dev/vfio -exec stat -c '%n %F %a %u:%g %t:%T' {} + 2>/dev/null | sort
	ls /sys/bus/pci/devices /sys/kernel/iommu_groups
	ls /sys/class/cuse 2>/dev/null | sed 's/^/cuse: /'	# the folder comes with the module
	echo "processes: $(processes)"
}

as_before()
{
	[[ $(machine) == "$before" ]]
}

# What of it is other than $before.
machine_now()
{
	machine >/tmp/machine-after
	diff <(echo "$before") /tmp/machine-after
}

# restarted PID: another process serves, and all is there again
restarted()
{
	[[ $(main_pid) != "$1" && $(main_pid) != 0 && $(show SubState) == running ]] &&
		one_agent && [[ $(mounts) == "$laid" ]]
}

# A client that has a device open, and looks at it for each line that it is given: $client
hold()
{
	rm -f /tmp/to-holder
	mkfifo /tmp/to-holder
	exec 7<>/tmp/to-holder
	"${user[@]}" vm-holder "$NVME" 7 look >/tmp/holder.out 2>&1 </tmp/to-holder 7>&- &
	client=$!
	wait_for 30 grep -q open /tmp/holder.out || fail "the holder does not open its device"
}

# client_sees GROUP DEVICE: errors of its calls on the two
client_sees()
{
	local lines

	lines=$(wc -l </tmp/holder.out)
	echo >&7
	wait_for 20 eval "[[ \$(wc -l </tmp/holder.out) -gt $lines ]]" || fail "the client hangs"
	[[ $(tail -n 1 /tmp/holder.out) == "group $1 device $2" ]] ||
		fail "the client sees $(tail -n 1 /tmp/holder.out), not $1 and $2"
}

client_ends()
{
	kill "$client"
	wait_for 20 gone "$client" || fail "the client cannot end"
}
