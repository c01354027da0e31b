#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Several groups of the machine in containers: two in one, with the same memory for both; one that
# leaves; two clients; every order of closing; and simulated ones beside. $ONE and $TWO are
# devices (edu) alone in their groups.
# shellcheck source=lib.sh
. /vm/lib.sh
# shellcheck source=actors.sh
. /vm/actors.sh
: "${ONE:?}" "${TWO:?}"

nothing_left()
{
	wait_for 20 nothing_is_pinned || fail "$(pinned) pages are pinned after $*"
}

free_of()
{
	! in_use "$1"
}

for bdf in $ONE $TWO; do
	vfio_bind "$bdf"
done
start_service --service replace=on --device "host,bdf=$ONE" --device "host,bdf=$TWO" \
	--device "edu,bdf=$EDU" --device "edu,bdf=$EDU2"

# both NAME: $ONE and $TWO in a container, devices 0 and 1, areas 0 (private) and 1 (shared)
both()
{
	takes "$1" "$ONE"
	ok "$1" map 0 0 private
	ok "$1" group 1 "$TWO"
	ok "$1" attach 1 0
	ok "$1" device 1 1 "$TWO"
	ok "$1" map 0 1 shared
}

# ---- one container: what is mapped is there for both, before and after the second came ----
actor A
both A
for device in 0 1; do
	ok A dma $device 0 1
	ok A dma $device 1 0
done
# What is unmapped is gone for both.
ok A unmap 0 1
expect wrong A dma 0 0 1
expect wrong A dma 1 0 1
ok A map 0 1 private
ok A dma 1 0 1
# One leaves, the other has its memory still (CG-116, CG-134); and comes back.
ok A close device 1
ok A unset 1
ok A dma 0 0 1
ok A attach 1 0
ok A device 1 1 "$TWO"
ok A dma 1 1 0
ok A close device 0
ok A close group 0
ok A dma 1 0 1
ok A close device 1
ok A close group 1
# The last has left (CG-114): nothing is mapped, and the container begins anew.
expect -22 A map 0 2 private
nothing_left "the last group"
ok A group 0 "$TWO"
ok A attach 0 0
ok A iommu 0
ok A map 0 2 private
ok A map 0 0 private
ok A device 0 0 "$TWO"
ok A dma 0 0 2
ends A
nothing_left "a client of one container"
echo "two groups in one container have the same memory"

# ---- a container each, of one client and of two: memory of its own at the same addresses ----
actor A
actor B
takes A "$ONE"
takes B "$TWO"
for name in A B; do
	ok $name map 0 0 private
	ok $name map 0 1 shared
	ok $name dma 0 0 1
done
ok A dma 0 1 0
expect -16 A group 1 "$TWO"
expect -16 B group 1 "$ONE"
ends B KILL
ok A dma 0 0 1
ok A container 1
wait_for 20 free_of "$TWO" || fail "the killed client has its group still"
ok A group 1 "$TWO"
ok A attach 1 1
ok A iommu 1
ok A device 1 1 "$TWO"
# Only the container of its own counts.
expect wrong A dma 1 0 1
ok A map 1 2 private
ok A map 1 3 shared
ok A dma 1 2 3
expect wrong A dma 0 2 3
ends A
nothing_left "two containers"
echo "each container has memory of its own"

# ---- orders of closing, of a container, two groups and two devices: each fifth of the 120, as
# opening a device takes its time ----
# permutations WORDS…: each order on a line
permutations()
{
	[ $# -gt 0 ] || { echo; return; }
	for word in "$@"; do
		rest=""
		for other in "$@"; do
			[ "$other" = "$word" ] || rest="$rest $other"
		done
		# shellcheck disable=SC2086
		permutations $rest | while read -r line; do
			echo "$word $line"
		done
	done
}

permutations container,0 group,0 group,1 device,0 device,1 >/tmp/orders
[ "$(wc -l </tmp/orders)" = 120 ] || fail "not 120 orders"
awk 'NR % 5 == 1' /tmp/orders >/tmp/some
actor A
n=0
while read -r order <&4; do
	both A
	devices=" 0 1 "
	for step in $order; do
		ok A close "${step%,*}" "${step#*,}"
		[ "${step%,*}" != device ] || devices=$(echo "$devices" | sed "s/ ${step#*,} / /")
		# Whatever else is closed, who is open has all the memory (CG-126).
		for device in $devices; do
			ok A look "$device"
			[ $((n % 6)) != 0 ] || ok A dma "$device" 0 1
		done
	done
	nothing_left "closing in the order $order"
	n=$((n + 1))
done 4</tmp/some
ends A
echo "$n orders of closing"

# ---- simulated ones beside, and not in the same container ----
actor A
takes A "$ONE"
ok A map 0 0 private
ok A map 0 1 shared
ok A group 1 "$EDU"
expect -22 A attach 1 0
ok A dma 0 0 1
ok A container 1
ok A attach 1 1
ok A iommu 1
ok A device 1 1 "$EDU"
ok A map 1 2 private
ok A map 1 3 shared
ok A dma 1 2 3
ok A group 2 "$TWO"
expect -22 A attach 2 1
ok A attach 2 0
ok A device 2 2 "$TWO"
ok A dma 2 0 1
ok A dma 1 3 2
# Both kinds before SET_IOMMU: that is refused, and works when one has left.
ok A container 2
ok A group 3 "$EDU2"
ok A attach 3 2
ok A close device 2
ok A unset 2
ok A attach 2 2
expect -22 A iommu 2
ok A unset 3
ok A iommu 2
ok A device 2 2 "$TWO"
expect -22 A attach 3 2
ends A
nothing_left "both kinds"
stop_service
no_processes || fail "left: $(processes)"
echo "simulated ones are beside"
