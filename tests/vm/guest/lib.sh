# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# lib.sh - for scripts in a guest (busybox's sh): waiting, and a service to be a client of.
# The test on the host puts it at /vm/lib.sh.
#
#   EDU NVME EDU2   where start_service's callers put their devices
EDU=0000:e0:00.0 NVME=0000:e1:00.0 EDU2=0000:e2:00.0
service="" service_log=/tmp/service.log
: "$EDU" "$NVME" "$EDU2"

[ -p /tmp/quiet ] || mkfifo /tmp/quiet
exec 9<>/tmp/quiet

fail()
{
	echo "failed: $*"
	[ ! -s "$service_log" ] || { echo "-- the service said:"; tail -n 30 "$service_log"; }
	exit 1
}

# Between two looks at something: pause SECONDS
pause()
{
	# shellcheck disable=SC3045
	read -r -t "$1" _ <&9 || :
}

now()
{
	cut -d. -f1 /proc/uptime
}

# wait_for SECONDS COMMAND…: until the command succeeds
wait_for()
{
	wait_end=$(($(now) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now)" -lt "$wait_end" ] || return 1
		pause 0.05
	done
}

running()
{
	kill -0 "$1" 2>/dev/null && ! grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null
}

ready_or_gone()
{
	grep -q ready "$service_log" || ! running "$service"
}

# Starts `vfio-cused serve ARGUMENTS` and waits until it serves.
start_service()
{
	: >"$service_log"
	vfio-cused serve "$@" </dev/null >>"$service_log" 2>&1 &
	service=$!
	wait_for 20 ready_or_gone || fail "the service is not ready after 20 s"
	grep -q ready "$service_log" || fail "the service did not start: serve $*"
}

gone()
{
	! running "$1"
}

# Stops it as systemd does; its status is to be 0.
stop_service()
{
	kill -TERM "$service"
	wait_for 20 gone "$service" || fail "the service is still there 20 s after SIGTERM"
	service_status=0
	wait "$service" || service_status=$?
	[ "$service_status" = 0 ] || fail "the service ended with $service_status"
	service=""
}

# How often the service said something: lines WHAT
lines()
{
	grep -c "$1" "$service_log" || :
}

said_more()
{
	[ "$(lines "$1")" -gt "$2" ]
}

# reload WHAT: a new configuration; wait until the service says WHAT (once more)
reload()
{
	reload_before=$(lines "$1")
	kill -HUP "$service"
	wait_for 20 said_more "$1" "$reload_before" || fail "after SIGHUP it does not say: $1"
}

# The group's number of the device at $1
group_of()
{
	basename "$(readlink "/sys/bus/pci/devices/$1/iommu_group")"
}

# Whether somebody has the group of the device at $1 open.
in_use()
{
	in_use_node=/dev/vfio/$(group_of "$1")
	for in_use_fd in /proc/[0-9]*/fd/*; do
		[ "$(readlink "$in_use_fd")" != "$in_use_node" ] || return 0
	done
	return 1
}

# Process numbers of the program whose name (of 15 letters at most) is $1
pids_of()
{
	for pids_dir in /proc/[0-9]*; do
		[ "$(cat "$pids_dir/comm" 2>/dev/null)" != "$1" ] ||
			grep -q '^State:.*Z' "$pids_dir/status" 2>/dev/null || echo "${pids_dir#/proc/}"
	done
}

# Process numbers of those whose command line begins with $1
pids_named()
{
	for pids_dir in /proc/[0-9]*; do
		case $(tr '\0' ' ' 2>/dev/null <"$pids_dir/cmdline") in
		"$1"*) echo "${pids_dir#/proc/}" ;;
		esac
	done
}

# The agent's process. Its couriers have its command line, and one may be kept for some time.
agent_pids()
{
	for agent in $(pids_named "${1:-vfio-cused agent}"); do
		grep -qx vfio-courier "/proc/$agent/comm" 2>/dev/null || echo "$agent"
	done
}

# The service's processes, as far as the names tell.
processes()
{
	for pids_dir in /proc/[0-9]*; do
		case $(cat "$pids_dir/comm" 2>/dev/null) in
		vfio-cused* | cused*)
			grep -q '^State:.*Z' "$pids_dir/status" 2>/dev/null ||
				printf '%s ' "$(tr '\0' ' ' 2>/dev/null <"$pids_dir/cmdline")"
			;;
		esac
	done
}

no_processes()
{
	[ -z "$(processes)" ]
}

# ---- devices of the machine ----

# vfio_bind BDF: to vfio-pci, unless a driver has it
vfio_bind()
{
	[ ! -e "/sys/bus/pci/devices/$1/driver" ] || return 0
	echo vfio-pci >"/sys/bus/pci/devices/$1/driver_override"
	echo "$1" >/sys/bus/pci/drivers_probe
}

# Pages that are pinned in all the machine at the moment. Each processor counts for itself, until
# it is asked.
pinned()
{
	cat /proc/sys/vm/stat_refresh
	awk '$1 == "nr_foll_pin_acquired" { n += $2 } $1 == "nr_foll_pin_released" { n -= $2 }
		END { print n + 0 }' /proc/vmstat
}

nothing_is_pinned()
{
	[ "$(pinned)" = 0 ]
}

# limited KIND MIB LIMIT-KIB RESULT: what vm-pinner says, as the user, of the device $HOST_EDU
limited()
{
	(
		# shellcheck disable=SC3045
		ulimit -l "$3"
		exec su user -c "exec vm-pinner $HOST_EDU $1 $2"
	) </dev/null >/tmp/out 2>&1 || :
	grep -q "$4" /tmp/out || fail "$1, $2 MiB, limit $3 KiB: $(cat /tmp/out)"
	wait_for 20 nothing_is_pinned || fail "$(pinned) pages are still pinned"
}

# RLIMIT_MEMLOCK is the client's, to the page.
limits_are_kept()
{
	for kind in shared private; do
		limited $kind 4 4096 '^mapped$'
		limited $kind 4 4092 'map: -12'
	done
	limited both 4 8192 '^mapped$'
	limited both 4 8188 'map: -12'
}
