#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel has groups, and its own vfio is loaded: the service takes the names of the groups that
# it serves, and /dev/vfio/vfio, and gives them back as they were, however it ends. $ONE and
# $TWO are devices (edu) alone in their groups; $TWO is not served.
# shellcheck source=lib.sh
. /vm/lib.sh
# shellcheck source=actors.sh
. /vm/actors.sh
: "${ONE:?}" "${TWO:?}"

nodes()
{
	stat -c '%n %F %a %u:%g %t:%T' /dev/vfio/*
	ls -d /run/vfio-cused/nodes 2>/dev/null
}

as_before()
{
	[ "$(nodes)" = "$before" ]
}

# given_back WHEN
given_back()
{
	wait_for 20 as_before || { nodes; echo "-- before:"; echo "$before"; fail "not as before $1"; }
}

for bdf in $ONE $TWO; do
	vfio_bind "$bdf"
done
group=$(group_of "$ONE")
node=/dev/vfio/$group
chown user "$node"
chmod 640 "$node"
before=$(nodes) kernel_number=$(stat -c %t:%T "$node")

# Without being told, it touches nothing.
! timeout 20 vfio-cused serve --device "host,bdf=$ONE" >/tmp/refused 2>&1 || fail "it serves"
grep -q "replace=on" /tmp/refused || { cat /tmp/refused; fail "no cure"; }
given_back "after a refusal"
# Another prefix is beside. (The kernel's own and ours exclude each other by device only.)
start_service --device "host,bdf=$ONE" --prefix vfio-ours
[ "$(stat -c %t:%T "$node")" = "$kernel_number" ] || fail "the kernel's node was touched"
[ -c "/dev/vfio-ours/$group" ] || fail "no node"
stop_service
given_back "after --prefix"

for signal in TERM KILL; do
	start_service --device "host,bdf=$ONE" --service replace=on --group "$group,owner=0"
	[ "$(stat -c %t:%T "$node")" != "$kernel_number" ] || fail "not replaced"
	[ "$(stat -c %a:%u "$node")" = 600:0 ] || fail "its rights are $(stat -c %a:%u "$node")"
	client vfioc-static "$ONE" --only dma_private || { cat /tmp/out; fail "$signal"; }
	kill -$signal "$service"
	wait "$service" 2>/dev/null || :
	given_back "after SIG$signal"
	wait_for 20 no_processes || fail "left: $(processes)"
	# And the kernel's own VFIO has its client again.
	client vfioc-static "$ONE" --only dma_private ||
		{ cat /tmp/out; fail "a client of the kernel after SIG$signal"; }
done
# Killed while a client has all: the name is back, and the kernel's group, with the client.
start_service --device "host,bdf=$ONE" --service replace=on
actor A
takes A "$ONE"
ok A map 0 0 private
ok A map 0 1 shared
kill -KILL "$service"
wait "$service" 2>/dev/null || :
given_back "after SIGKILL with a client"
ok A dma 0 0 1
ends A
client vfioc-static "$ONE" --only dma_private || { cat /tmp/out; fail "after the client"; }
# With ctl one group's name goes and comes, and the group may have another number then.
start_service --device "edu,bdf=$EDU" --service replace=on
vfio-cused ctl add "host,bdf=$ONE" || fail "ctl add"
[ "$(stat -c %t:%T "$node")" != "$kernel_number" ] || fail "not replaced by ctl add"
echo "$ONE" >/sys/bus/pci/drivers/vfio-pci/unbind
without_it()
{
	[ ! -e "$node" ]
}
wait_for 20 without_it || fail "there is a node of a group without devices"
echo "$TWO" >/sys/bus/pci/drivers/vfio-pci/unbind
echo "$ONE" >/sys/bus/pci/drivers_probe
echo "$TWO" >/sys/bus/pci/drivers_probe
taken_again()
{
	vfio-cused ctl status 2>&1 | grep -q "$ONE"
}
wait_for 20 taken_again || fail "it does not come back"
vfio-cused ctl remove "$ONE" || fail "ctl remove"
node=/dev/vfio/$(group_of "$ONE")
[ "$(stat -c %t "$node")" = "${kernel_number%:*}" ] || { nodes; fail "not the kernel's node"; }
stop_service
[ ! -e /run/vfio-cused/nodes ] || fail "there are records left"
client vfioc-static "$ONE" --only dma_private ||
	{ cat /tmp/out; nodes; fail "the kernel's node after ctl remove"; }
