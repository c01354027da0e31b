#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Clients that do not behave: traced, killed, stopped, and the service's agent killed.
# shellcheck source=lib.sh
. /vm/lib.sh

serve()
{
	start_service --device "edu,bdf=$EDU" --device "nvme,size=16M,bdf=$NVME"
}

# client SECONDS ARGUMENT…: the test client on edu, with a deadline; its output in /tmp/tap
client()
{
	seconds=$1
	shift
	timeout "$seconds" vfioc-static --bdf "$EDU" "$@" >/tmp/tap 2>&1
}

# The next client is served. Where the machine below is busy, the guest may be slower than
# the service's patience with a courier (ETIMEDOUT): that, and nothing else, is tried again.
well()
{
	for attempt in 1 2 3; do
		! client 60 --only group_get_device_states --only dma_private || return 0
		grep -q 'is -110' /tmp/tap || break
		echo "$1: attempt $attempt timed out"
	done
	cat /tmp/tap
	fail "$1: the next client is not served"
}

# A client that works for a long time, in a process group of its own: $worker
start_worker()
{
	setsid vfioc-static --bdf "$EDU" --iterations 100000000 "$@" >/tmp/worker 2>&1 &
	worker=$!
	wait_for 10 in_use "$EDU" || fail "the worker does not begin"
}

kill_worker()
{
	kill -KILL "-$worker"
	wait "$worker" 2>/dev/null || :
	for pid in $(pids_of vfioc-static); do
		kill -KILL "$pid"
	done
	wait_for 10 nobody vfioc-static || fail "a killed client stays"
}

nobody()
{
	[ -z "$(pids_of "$1")" ]
}

serve
for round in 1 2; do
	for case in stress_threads stress_maps stress_device_fds; do
		start_worker --only $case
		pause 0.0$((round * 3))
		kill_worker
		well "$case killed"
	done
done

# A stopped client is in nobody's way, and goes on.
start_worker --only stress_threads
for pid in $(pids_of vfioc-static); do
	kill -STOP "$pid"
done
timeout 60 vfioc-static --bdf "$NVME" --only device_config >/tmp/tap ||
	{ cat /tmp/tap; fail "a stopped client holds another up"; }
for pid in $(pids_of vfioc-static); do
	kill -CONT "$pid"
done
kill_worker
well "a stopped client killed"

# Stopped and continued while it is handed descriptors.
setsid vfioc-static --bdf "$EDU" --only stress_device_fds --iterations 400 >/tmp/worker 2>&1 &
worker=$!
while running $worker; do
	for pid in $(pids_of vfioc-static); do
		kill -STOP "$pid" 2>/dev/null || :
	done
	pause 0.02
	for pid in $(pids_of vfioc-static); do
		kill -CONT "$pid" 2>/dev/null || :
	done
	pause 0.05
done
wait $worker || { cat /tmp/worker; fail "stopped and continued, a descriptor was lost"; }

# A traced client cannot be handed a descriptor by a courier, and is told so.
traced=0
timeout 60 strace -f -o /tmp/trace vfioc-static --bdf "$EDU" --only group_get_device_states \
	>/tmp/tap 2>&1 || traced=$?
[ $traced != 143 ] && [ $traced != 124 ] || fail "a client under strace hangs"
answer=$(grep -E 'ioctl\([0-9]+, VFIO_GROUP_GET_DEVICE_FD' /tmp/trace | tail -n 1)
[ -n "$answer" ] || { tail -n 5 /tmp/trace; fail "strace saw no GET_DEVICE_FD"; }
echo "under strace: $answer"
[ $traced = 1 ] || fail "a client under strace has status $traced"
echo "$answer" | grep -qE '= -1 E[A-Z]+ ' || fail "that is no clear answer"
well "strace"
# Started by exec it needs no courier.
timeout 60 vfio-cused exec -- strace -f -o /tmp/trace vfioc-static --bdf "$EDU" \
	--only group_get_device_states >/tmp/tap 2>&1 ||
	{ cat /tmp/tap; fail "strace under exec"; }
well "strace under exec"

# At its limit of descriptors: EMFILE, whoever hands them over, and none is lost.
client 60 --only group_no_fd_left || { cat /tmp/tap; fail "at the limit of descriptors"; }
timeout 60 vfio-cused exec -- vfioc-static --bdf "$EDU" --only group_no_fd_left >/tmp/tap ||
	{ cat /tmp/tap; fail "at the limit of descriptors, under exec"; }

# Without its agent the service may end, or serve what it can; a client is answered.
agent=$(agent_pids)
[ -n "$agent" ] || fail "there is no process \"vfio-cused agent\""
start_worker --only stress_threads
# shellcheck disable=SC2086
kill -KILL $agent
timeout 60 vfioc-static --bdf "$NVME" --only group_get_device_states >/tmp/tap 2>&1 || :
! grep -q 'deadline' /tmp/tap || { cat /tmp/tap; fail "a client without an agent hangs"; }
grep -E '^(not )?ok|: not true|is -' /tmp/tap | head -n 3
kill_worker
if running "$service"; then
	echo "without its agent the service goes on"
	kill -TERM "$service"
	wait_for 20 gone "$service" || fail "it cannot be stopped without its agent"
else
	echo "without its agent the service ends"
fi
wait "$service" || echo "status $?"
wait_for 10 no_processes || fail "left: $(processes)"
[ ! -e "/sys/bus/pci/devices/$EDU" ] || fail "sysfs still has its device"
[ ! -e "/dev/vfio/$(group_of "$EDU")" ] || fail "its node is left"
serve
well "after the agent's death"
stop_service
