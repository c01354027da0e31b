#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Containers that are swapped for the kernel's iommufd: which are and which are not, what is
# pinned and how it goes when clients end, and what they have when the service has ended
# before them. $HOST_EDU and $HOST_EDU2 are the devices' addresses.
# shellcheck source=lib.sh
. /vm/lib.sh

for device in "$HOST_EDU" "$HOST_EDU2"; do
	vfio_bind "$device"
	# The kernel's own nodes have the names of ours.
	rm "/dev/vfio/$(group_of "$device")"
done
rm /dev/vfio/vfio
group=$(group_of "$HOST_EDU")

serve()
{
	start_service --service dma=swap --device "host,bdf=$HOST_EDU" \
		--device "host,bdf=$HOST_EDU2" --device "edu,bdf=$EDU2"
	chown user "/dev/vfio/$group"
}

# pin COMMAND-LINE: runs vm-pinner in the background; its number is $pinner. The time that a courier
# has to stop its client may be too short on a busy machine (ETIMEDOUT): then once more.
pin()
{
	for try in 1 2 3 4; do
		rm -f /tmp/pin.in
		mkfifo /tmp/pin.in
		: >/tmp/pin.out
		# shellcheck disable=SC2086
		vm-pinner $1 </tmp/pin.in >/tmp/pin.out 2>&1 &
		pinner=$!
		exec 7>/tmp/pin.in
		wait_for 60 mapped_or_gone || fail "vm-pinner is not done: $(cat /tmp/pin.out)"
		! grep -q '^mapped' /tmp/pin.out || return 0
		wait "$pinner" || :
		exec 7>&-
		grep -q '^open: -110' /tmp/pin.out || fail "vm-pinner: $(cat /tmp/pin.out)"
		echo "vm-pinner $1: too late at try $try"
	done
	fail "vm-pinner is too late each time"
}

mapped_or_gone()
{
	grep -q '^mapped' /tmp/pin.out || ! running "$pinner"
}

closes()
{
	exec 7>&-
	wait_for 60 gone "$pinner" || fail "vm-pinner does not end"
	wait "$pinner" || fail "vm-pinner ended with $?"
	nothing_is_pinned || fail "$(pinned) pages are pinned after the last close"
}

killed()
{
	kill -KILL "$pinner"
	wait_for 60 gone "$pinner" || fail "vm-pinner does not end by SIGKILL"
	wait "$pinner" 2>/dev/null || :
	exec 7>&-
	wait_for 20 nothing_is_pinned || fail "$(pinned) pages are pinned after SIGKILL $1"
}

# ---- pinned as long as the client has it ----

serve
nothing_is_pinned || fail "$(pinned) pages are pinned before"
for kind in shared private both; do
	pages=8192
	[ $kind != both ] || pages=16384
	pin "$HOST_EDU $kind 32"
	[ "$(pinned)" -ge $pages ] || fail "$kind: only $(pinned) pages are pinned"
	echo "$kind by swap: $(pinned) pages pinned, VmPin $(awk '/^VmPin/ { print $2 }' \
		"/proc/$pinner/status") kB of the client"
	vfio-cused ctl status >/tmp/status || fail "ctl status: $?"
	grep -q 'type1.*swapped' /tmp/status || { cat /tmp/status; fail "status does not say so"; }
	killed "$kind"
	pin "$HOST_EDU $kind 32"
	closes
done
# Content, by a device that reads it and writes it back; and not after UNMAP.
vfioc-static --bdf "$HOST_EDU" --only dma_memfd --only dma_private --only dma_blocked \
	--only dma_two_mappings --only dma_of_child >/tmp/out 2>&1 || { cat /tmp/out; fail "DMA"; }

# Killed at any time, being swapped or not.
n=0
while [ $n -lt 16 ]; do
	vm-pinner "$HOST_EDU" both 8 100000 </dev/null >/dev/null 2>&1 &
	pinner=$!
	pause "0.0$((n * 4 % 10))$((n % 10))"
	killed "at a moment of its own"
	n=$((n + 1))
done
echo "$n clients were killed while they opened and mapped: nothing is pinned"

# ---- the limit is the client's ----

limits_are_kept

# ---- which are swapped, and which are not ----

# swapper CASE RESULT [WORDS]: with the words in the log
swapper()
{
	vm-swapper "$HOST_EDU" "$1" >/tmp/out 2>&1 || { cat /tmp/out; fail "vm-swapper $1"; }
	[ "$(cat /tmp/out)" = "$2" ] || { cat /tmp/out; fail "vm-swapper $1 is not $2"; }
	[ -z "${3-}" ] || grep -q "cannot be swapped: $3" "$service_log" ||
		fail "the service does not say: $3"
	wait_for 20 nothing_is_pinned || fail "$(pinned) pages are pinned after vm-swapper $1"
}
swapper copies iommufd
swapper many container "the process has too many"
swapper child container "another process"
swapper table container "another process"
# A simulated device's container has nothing to be swapped for.
vfioc-static --bdf "$EDU2" --only dma_private >/tmp/out 2>&1 || { cat /tmp/out; fail "edu"; }

# ---- devices that go ----

pin "$HOST_EDU both 8"
! vfio-cused ctl --revoke remove "$HOST_EDU" >/tmp/out 2>&1 || fail "a kernel's file was taken"
grep -q "$HOST_EDU.*cannot be taken" /tmp/out || { cat /tmp/out; fail "no reason"; }
[ "$(pinned)" -ge 4096 ] || fail "the client lost its mappings"
closes
vfio-cused ctl remove "$HOST_EDU" || fail "ctl remove: $?"
vfio-cused ctl add "host,bdf=$HOST_EDU" || fail "ctl add: $?"
vfioc-static --bdf "$HOST_EDU" --only dma_private >/tmp/out 2>&1 ||
	{ cat /tmp/out; fail "a device that was added"; }

# ---- the service ends before its client ----

# The iommufd is the client's own: what it has mapped stays until it closes it.
pin "$HOST_EDU both 8"
stop_service
[ "$(pinned)" -ge 4096 ] || fail "only $(pinned) pages are pinned after the service's end"
echo "after the service's end: $(pinned) pages pinned"
closes
serve
pin "$HOST_EDU both 8"
kill -KILL "$service"
wait_for 20 gone "$service" || fail "the service does not end by SIGKILL"
wait "$service" 2>/dev/null || :
wait_for 20 no_processes || fail "left: $(processes)"
[ "$(pinned)" -ge 4096 ] || fail "only $(pinned) pages are pinned after the service was killed"
echo "after the service was killed: $(pinned) pages pinned"
killed "after the service was killed"
# The devices are whole: they can be served again.
rm -f "/dev/vfio/$group"
serve
vfioc-static --bdf "$HOST_EDU" --only dma_private >/tmp/out 2>&1 ||
	{ cat /tmp/out; fail "a new service"; }
stop_service
no_processes || fail "left: $(processes)"
nothing_is_pinned || fail "$(pinned) pages are pinned at the end"
