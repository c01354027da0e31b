#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Devices of the machine by `vfio-cused serve`: what it needs and says if it is not there, what
# clients pin and how it goes when they end, an ordinary user's qemu-img on a real drive, and
# simulated devices beside it. $HOST_EDU and $HOST_NVME are the devices' addresses.
# shellcheck source=lib.sh
. /vm/lib.sh
mib=16
url=nvme://$HOST_NVME/1

# refused WORD…: serve does not start, and its message has each word
refused()
{
	! timeout 20 vfio-cused serve --device "host,bdf=$HOST_EDU" >/tmp/refused 2>&1 ||
		fail "it serves, but should refuse: $*"
	for word in "$@"; do
		grep -q -- "$word" /tmp/refused || { cat /tmp/refused; fail "no \"$word\""; }
	done
}

# ---- bad input ----

refused "$HOST_EDU is bound to no driver" "echo vfio-pci" drivers_probe
vfio_bind "$HOST_EDU"
vfio_bind "$HOST_NVME"
edu_group=$(group_of "$HOST_EDU") nvme_group=$(group_of "$HOST_NVME")
refused /dev/vfio/vfio
# Another program has the kernel's group; then it is nobody's business any more.
tail -f /dev/null 8<>"/dev/vfio/$edu_group" &
holder=$!
wait_for 5 in_use "$HOST_EDU" || fail "the group is not open"
refused "$HOST_EDU is in use" "group $edu_group"
kill $holder
wait $holder || :
mv /dev/iommu /dev/iommu-away
refused /dev/iommu CONFIG_IOMMUFD
mv /dev/iommu-away /dev/iommu
mv /dev/vfio/devices /dev/vfio-devices
refused "has no device node" CONFIG_VFIO_DEVICE_CDEV
mv /dev/vfio-devices /dev/vfio/devices
! vfio-cused run --device "host,bdf=$HOST_EDU" -- true 2>/tmp/refused || fail "run takes it"
grep -q "vfio-cused serve" /tmp/refused || fail "run does not say who takes it"
# The kernel's own nodes have the names of ours.
rm "/dev/vfio/vfio" "/dev/vfio/$edu_group" "/dev/vfio/$nvme_group"
nothing_is_pinned || fail "$(pinned) pages are pinned before the start"

# serve_both [OPTION…]
serve_both()
{
	start_service "$@" --device "host,bdf=$HOST_EDU" --device "host,bdf=$HOST_NVME" \
		--device "edu,bdf=$EDU2"
	chown user "/dev/vfio/$edu_group" "/dev/vfio/$nvme_group" \
		"/dev/vfio/$(group_of "$EDU2")"
}

# pin COMMAND-LINE: runs vm-pinner in the background; its number is $pinner
pin()
{
	rm -f /tmp/pin.in
	mkfifo /tmp/pin.in
	: >/tmp/pin.out
	# shellcheck disable=SC2086
	vm-pinner $1 </tmp/pin.in >/tmp/pin.out 2>&1 &
	pinner=$!
	exec 7>/tmp/pin.in
}

mapped_or_gone()
{
	grep -q "${1:-mapped}" /tmp/pin.out || ! running "$pinner"
}

# is_mapped [WORD]
is_mapped()
{
	wait_for 60 mapped_or_gone "$@" || fail "vm-pinner is not done: $(cat /tmp/pin.out)"
	grep -q "${1:-mapped}" /tmp/pin.out || fail "vm-pinner: $(cat /tmp/pin.out)"
}

# ended WHEN: waits for the end of vm-pinner; else where it and the service are, for whoever looks
ended()
{
	wait_for 60 gone "$pinner" || {
		for task in "/proc/$pinner/task/"* "/proc/$service/task/"*; do
			echo "$task $(cat "$task/comm") $(cat "$task/wchan") $(cat "$task/syscall")"
		done
		fail "vm-pinner does not end $1"
	}
}

# closes: the input of vm-pinner ends, and it closes what it has
closes()
{
	exec 7>&-
	ended "after the end of its input"
	wait "$pinner" || fail "vm-pinner ended with $?"
}

# killed: SIGKILL to vm-pinner; nothing stays pinned
killed()
{
	kill -KILL "$pinner"
	ended "after SIGKILL $1"
	wait "$pinner" 2>/dev/null || :
	exec 7>&-
	wait_for 20 nothing_is_pinned ||
		fail "$(pinned) pages are still pinned after vm-pinner $1 was killed"
}

# ---- pinned as long as the client has it, by each way ----

for way in auto file courier; do
	serve_both --service "dma=$way"
	for kind in shared private both; do
		case $way-$kind in
		file-private | file-both) continue ;;
		esac
		size=32 pages=8192
		[ $kind != both ] || pages=16384
		pin "$HOST_EDU $kind $size"
		is_mapped
		[ "$(pinned)" -ge $pages ] || fail "$kind by $way: only $(pinned) pages are pinned"
		echo "$kind by $way: $(pinned) pages pinned, VmPin $(awk '/^VmPin/ { print $2 }' \
			"/proc/$pinner/status") kB of the client, $(awk '/^VmPin/ { print $2 }' \
			"/proc/$service/status") kB of the service"
		killed "$kind by $way"
		# And by closing.
		pin "$HOST_EDU $kind $size"
		is_mapped
		closes
		nothing_is_pinned || fail "$(pinned) pages are pinned after the last close"
	done
	# Content, by a device that reads it and writes it back; and not after UNMAP.
	cases="--only dma_memfd"
	[ $way = file ] || cases="$cases --only dma_private --only dma_blocked \
		--only dma_two_mappings --only dma_of_child --only type1v2_unmap"
	# shellcheck disable=SC2086
	vfioc-static --bdf "$HOST_EDU" $cases >/tmp/out 2>&1 ||
		{ cat /tmp/out; fail "DMA by $way"; }
	if [ $way = file ]; then
		pin "$HOST_EDU private 1"
		! wait "$pinner" || fail "private memory was mapped by file"
		exec 7>&-
		grep -q "map: -14" /tmp/pin.out || fail "not EFAULT: $(cat /tmp/pin.out)"
		grep -q "cannot be mapped" "$service_log" || fail "the service does not say why"
	fi
	stop_service
done

# ---- killed at any time, with its thread in the courier's hands or not ----

serve_both
n=0
while [ $n -lt 12 ]; do
	pin "$HOST_EDU both 8 100000"
	is_mapped mapping
	pause "0.0$((n * 4 % 10))$n"
	killed "in the middle of it"
	n=$((n + 1))
done
echo "$n clients were killed while they mapped: nothing is pinned"

# ---- the limit is the client's ----

limits_are_kept

# ---- unmodified programs, as the owner of the group ----

# shellcheck disable=SC3045
ulimit -l 65536

# as_user NAME COMMAND
as_user()
{
	name=$1
	shift
	timeout 120 su user -c "exec $*" >/tmp/out 2>&1 ||
		{ status=$?; cat /tmp/out; fail "$name: $status"; }
}

# qemu-img would hang without it; its source says why.
prepare_drive()
{
	vm-nvme-vector "$HOST_NVME" || fail "the drive is not prepared: $?"
}

# on_drive NAME COMMAND: as the user, with the drive
on_drive()
{
	prepare_drive
	as_user "$@"
}
awk -v size=$((mib << 20)) 'BEGIN { for (n = 0; n < size; n += 32) printf "byte %-26d\n", n }' \
	>/tmp/content.raw
on_drive info qemu-img info "$url"
grep -q "virtual size: $mib MiB" /tmp/out || { cat /tmp/out; fail "info"; }
on_drive "to the drive" qemu-img convert -n -f raw -O raw /tmp/content.raw "$url"
on_drive "from the drive" qemu-img convert -f raw -O raw "$url" /tmp/back.raw
cmp /tmp/content.raw /tmp/back.raw || fail "what was read differs"
rm /tmp/back.raw
on_drive "under exec" vfio-cused exec -- qemu-img convert -f raw -O raw "$url" /tmp/back.raw
cmp /tmp/content.raw /tmp/back.raw || fail "what was read under exec differs"
# Killed in the middle of its work.
much_is_pinned()
{
	[ "$(pinned)" -gt 100 ]
}
kill_qemu()
{
	for pid in $(pids_of qemu-img); do
		kill -KILL "$pid"
	done
	wait_for 20 nothing_is_pinned || fail "$(pinned) pages are pinned after qemu-img was killed"
}
prepare_drive
su user -c "exec qemu-img bench -c 100000000 -d 32 -f raw $url" >/tmp/out 2>&1 &
wait_for 60 much_is_pinned || fail "qemu-img pins nothing: $(cat /tmp/out)"
echo "qemu-img has $(pinned) pages pinned"
kill_qemu
on_drive "after that" qemu-img info "$url"

# ---- a simulated device beside, and the end ----

as_user "the simulated device" vfioc-static --bdf "$EDU2" --only dma_private --only dma_memfd
# What a client has when the service ends, it keeps, but nothing stays pinned.
pin "$HOST_EDU both 8"
is_mapped
stop_service
wait_for 20 nothing_is_pinned || fail "$(pinned) pages are pinned after the service's end"
killed "after the service's end"
no_processes || fail "left: $(processes)"
# The device is whole: it can be served again.
serve_both
as_user "a new service" vfioc-static --bdf "$HOST_EDU" --only dma_private
stop_service

# ---- a new configuration ----

conf=/tmp/service.conf
simulated()
{
	printf '[device "sim"]\nbackend = edu\nbdf = %s\n' "$EDU2"
}

both()
{
	simulated
	printf '[device "real"]\nbackend = host\nbdf = %s\n' "$HOST_EDU"
	printf '[group "%s"]\nowner = user\n' "$edu_group"
}

no_node()
{
	[ ! -e "/dev/vfio/$edu_group" ]
}
simulated >$conf
start_service -c $conf
no_node || fail "there is a group without a device"
both >$conf
reload "reloaded: .* 2 groups, 2 devices"
as_user "a device that has come" vfioc-static --bdf "$HOST_EDU" --only dma_private
pin "$HOST_EDU both 8"
is_mapped
# What a client has open of it is the kernel's: that is not taken, and nothing is begun.
! vfio-cused ctl --revoke remove "$HOST_EDU" >/tmp/out 2>&1 || fail "a kernel's file was taken"
grep -q "$HOST_EDU.*cannot be taken" /tmp/out || { cat /tmp/out; fail "no reason"; }
vfio-cused ctl status >/tmp/out || fail "ctl status: $?"
grep -q "$HOST_EDU" /tmp/out || { cat /tmp/out; fail "status does not tell of it"; }
simulated >$conf
reload "reloaded: .* 1 device, and others that leave"
grep -q "$HOST_EDU.* is in use: it stays until its client" "$service_log" ||
	fail "it does not say that it waits"
! su user -c "exec vfioc-static --bdf $HOST_EDU --only dma_private" >/tmp/out 2>&1 ||
	fail "a device that leaves was opened"
[ "$(pinned)" -ge 4096 ] || fail "the client lost its mappings"
closes
wait_for 20 no_node || fail "the group of a device that has gone is still there"
nothing_is_pinned || fail "$(pinned) pages are pinned after a device has gone"
both >$conf
reload "reloaded: .* 2 groups, 2 devices"
as_user "a device that is there again" vfioc-static --bdf "$HOST_EDU" --only dma_private
# By hand, too.
vfio-cused ctl remove "$HOST_EDU" || fail "ctl remove: $?"
no_node || fail "the group of a removed device is still there"
vfio-cused ctl add "host,bdf=$HOST_EDU" || fail "ctl add: $?"
vfioc-static --bdf "$HOST_EDU" --only dma_private >/tmp/out 2>&1 ||
	{ cat /tmp/out; fail "a device that was added"; }
# The place of a simulated device is not the machine's, though it is under /sys.
printf '[device "real"]\nbackend = host\nbdf = %s\n' "$EDU2" >$conf
reload "stays as it was: .*$EDU2 is no device of this machine"
stop_service
no_processes || fail "left: $(processes)"
