#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# 32-bit clients of devices of the machine: they get the kernel's file and have their memory mapped
# as others do, though iommufd has no ioctls for them. $ONE and $TWO are devices (edu) alone in their groups.
# shellcheck source=lib.sh
. /vm/lib.sh
# shellcheck source=actors.sh
. /vm/actors.sh
: "${ONE:?}" "${TWO:?}"
actor_program=vm-actor-32

for bdf in $ONE $TWO; do
	vfio_bind "$bdf"
done

for way in auto file courier; do
	start_service --service "replace=on,dma=$way" --device "host,bdf=$ONE" \
		--device "host,bdf=$TWO"
	kind=private
	actor A
	takes A "$ONE"
	if [ $way = file ]; then
		kind=shared
		expect -14 A map 0 2 private
		grep -q "cannot be mapped" "$service_log" || fail "it does not say why"
	fi
	ok A map 0 0 $kind
	ok A map 0 1 shared
	[ "$(pinned)" -ge 32 ] || fail "only $(pinned) pages are pinned"
	ok A dma 0 0 1
	ok A group 1 "$TWO"
	ok A attach 1 0
	ok A device 1 1 "$TWO"
	ok A dma 1 1 0
	ok A unmap 0 1
	expect wrong A dma 0 0 1
	# A 64-bit client beside, of the same service.
	ok A close device 1
	ok A close group 1
	actor_program=vm-actor
	actor B
	takes B "$TWO"
	ok B map 0 0 $kind
	ok B map 0 1 shared
	ok B dma 0 0 1
	actor_program=vm-actor-32
	ok A map 0 1 $kind
	ok A dma 0 1 0
	ends A KILL
	ends B
	wait_for 20 nothing_is_pinned || fail "$(pinned) pages are pinned after a 32-bit client"
	cases="--only dma_memfd"
	[ $way = file ] || cases="$cases --only dma_private --only dma_of_child --only dma_blocked \
		--only type1v2_unmap --only type1_map"
	# shellcheck disable=SC2086
	client vfioc-32 "$ONE" --iterations 5 --only device_info --only irq_msi_delivery \
		--only close_group_first $cases ||
		{ cat /tmp/out; fail "vfioc-32 by $way"; }
	stop_service
done
