#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A service follows the machine: devices that are unbound, taken out, put in and bound while it
# runs and while clients have them, and groups that are viable and are not. $ONE is a device alone
# in its group, as is $TWO, $PAIR shares its group with $TWIN, both edu, and $LEFT with $RIGHT,
# which virtio-pci can have.
# shellcheck source=lib.sh
. /vm/lib.sh
# shellcheck source=actors.sh
. /vm/actors.sh
: "${ONE:?}" "${TWO:?}" "${PAIR:?}" "${TWIN:?}" "${LEFT:?}" "${RIGHT:?}"
drivers=/sys/bus/pci/drivers

bind()
{
	echo vfio-pci >"/sys/bus/pci/devices/$1/driver_override"
	echo "$1" >/sys/bus/pci/drivers_probe
}

unbind()
{
	echo "$1" >"$drivers/vfio-pci/unbind"
}

# unplug, and plug in all that is there
unplug()
{
	echo 1 >"/sys/bus/pci/devices/$1/remove"
}
plug()
{
	echo 1 >/sys/bus/pci/rescan
}

# In the background, as it waits for clients; its number is $waiting
in_background()
{
	"$@" 9>&- &
	waiting=$!
}

served()
{
	vfio-cused ctl status >/tmp/status 2>&1 && grep -q "$1" /tmp/status
}

not_served()
{
	vfio-cused ctl status >/tmp/status 2>&1 && ! grep -q "$1" /tmp/status
}

comes()
{
	wait_for 20 served "$1" || { cat /tmp/status; fail "$1 does not come $2"; }
}

goes()
{
	wait_for 20 not_served "$1" || { cat /tmp/status; fail "$1 does not go $2"; }
}

works()
{
	client vfioc-static "$1" --only dma_private --only dma_interrupt ||
		{ cat /tmp/out; fail "$1 does not work $2"; }
}

said()
{
	wait_for 20 grep -q "$1" "$service_log" || fail "the service does not say \"$1\""
}

# Where simulated devices are laid over /sys, what comes to the machine is seen a little later.
shown()
{
	wait_for 20 [ -e "/sys/bus/pci/devices/$1/driver_override" ] ||
		fail "/sys does not show $1"
}

# ended WHAT: what was begun in the background has ended
ended()
{
	wait_for 20 gone "$waiting" || fail "$1 does not end"
	wait "$waiting" || fail "$1 failed"
}

for bdf in $ONE $PAIR $TWIN $LEFT; do
	bind "$bdf"
done
echo "$RIGHT" >"$drivers/virtio-pci/unbind"
one_group=$(group_of "$ONE") left_group=$(group_of "$LEFT")
kernel_number=$(stat -c %t:%T "/dev/vfio/$left_group")

# ---- not there when the service begins ----
! timeout 20 vfio-cused serve --device "host,bdf=0000:77:00.0" >/tmp/refused 2>&1 ||
	fail "a device that is not there is served"
grep -q "0000:77:00.0 is no device.*wait=on" /tmp/refused || { cat /tmp/refused; fail "no cure"; }
unplug "$TWO"
start_service --service replace=on --device "host,bdf=$ONE" --device "host,bdf=$TWO,wait=on" \
	--device "host,bdf=$PAIR" --device "host,bdf=$TWIN" --device "host,bdf=$LEFT" \
	--device "edu,bdf=$EDU2" --device "host,bdf=0000:77:00.0,wait=on" --group 60000,owner=user
said "$TWO) is awaited: $TWO is no device of this machine"
served "$ONE" || fail "$ONE is not there"
not_served "$TWO" || fail "$TWO is there"
plug
said "$TWO) is awaited: $TWO is bound to no driver"
shown "$TWO"
bind "$TWO"
comes "$TWO" "when it is bound"
[ -e "/sys/bus/pci/devices/$TWO/iommu_group/devices/$TWO" ] || fail "/sys does not show $TWO"
[ -e "/sys/bus/pci/devices/$EDU2/iommu_group" ] || fail "/sys does not show $EDU2 any more"
works "$TWO" "after it has come"
echo "a device that was not there at the start has come"

# ---- unbound, with nobody there, and while a client has the group alone ----
unbind "$ONE"
goes "$ONE" "when it is unbound"
[ ! -e "/dev/vfio/$one_group" ] || fail "the node of its group is still there"
bind "$ONE"
comes "$ONE" "when it is bound again"
works "$ONE" "after it was bound again"
actor A
takes A "$ONE"
ok A map 0 0 private
ok A close device 0
in_background unbind "$ONE"
ended "unbind, while a client has the group"
goes "$ONE" "while a client has its group"
expect -19 A status 0
expect -19 A device 0 0 "$ONE"
# Its container is empty (CG-114).
expect -22 A map 0 1 private
ends A
bind "$ONE"
comes "$ONE" "after the client has ended"
works "$ONE" "after that"
echo "unbound and bound: gone and there"

# ---- a client that has the device is asked, and waited for ----
actor A
takes A "$ONE"
ok A map 0 0 private
ok A map 0 1 shared
ok A request 0
in_background unbind "$ONE"
ok A asked 0
said "$ONE) is in use: the kernel asks its client"
ok A dma 0 0 1
actor B
ok B group 1 "$TWO"
running "$waiting" || fail "unbind does not wait"
ok A close device 0
ended "unbind, when the client has closed the device"
goes "$ONE" "when its client has closed it"
ends A
bind "$ONE"
comes "$ONE" "once more"
# One that does not listen, and is killed.
actor A
takes A "$ONE"
in_background unplug "$ONE"
said "$ONE) leaves: it is bound to a VFIO driver no more"
expect -19 A device 1 0 "$ONE"
ok A look 0
ends A KILL
ended "remove, when the client was killed"
goes "$ONE" "with the client"
plug
shown "$ONE"
bind "$ONE"
comes "$ONE" "after it was taken out and put in"
works "$ONE" "after it was taken out and put in"
ends B
echo "a client is asked, and waited for"

# ---- another device in a group that is in use ----
actor A
takes A "$PAIR"
ok A map 0 0 private
ok A map 0 1 shared
unbind "$TWIN"
goes "$TWIN" "beside one in use"
ok A dma 0 0 1
expect -19 A device 1 0 "$TWIN"
bind "$TWIN"
comes "$TWIN" "into a group in use"
ok A device 1 0 "$TWIN"
ok A dma 1 1 0
ok A dma 0 0 1
ends A
works "$TWIN" "alone"
echo "a device has come into a group in use"

# ---- viable or not ----
actor A
ok A group 0 "$LEFT"
expect 1 A status 0
echo "$RIGHT" >"$drivers/virtio-pci/bind"
said "group $left_group is not viable: $RIGHT has the driver virtio-pci"
expect 0 A status 0
ok A container 0
expect -1 A attach 0 0
echo "$RIGHT" >"$drivers/virtio-pci/unbind"
said "group $left_group is viable again"
expect 1 A status 0
ok A attach 0 0
ok A iommu 0
# Who is in the container keeps the host's drivers out (SD-066, SD-067).
! echo "$RIGHT" >"$drivers/virtio-pci/bind" || fail "the host's driver got a group in use"
ends A
echo "viable or not is seen"

# ---- held by another program for a while, by the kernel's own group node ----
unbind "$TWO"
goes "$TWO" "when it is unbound"
vfio-cused ctl remove "$ONE" || fail "ctl remove"
actor A
node=/dev/vfio/$one_group
[ "$(stat -c %t "$node")" = "${kernel_number%:*}" ] || fail "the kernel's node is not back"
ok A group 0 "$ONE"
! vfio-cused ctl add "host,bdf=$ONE" >/tmp/out 2>&1 || fail "a device in use was added"
grep -q "is in use" /tmp/out || { cat /tmp/out; fail "ctl add does not say why"; }
ends A
vfio-cused ctl add "host,bdf=$ONE" >/tmp/out || fail "ctl add of a device that is free"
vfio-cused ctl remove "$ONE" || fail "ctl remove"
bind "$TWO"
comes "$TWO" "again"

# ---- by hand ----
goes "$ONE" "by ctl"
unbind "$ONE"
bind "$ONE"
vfio-cused ctl add "host,bdf=$ONE" >/tmp/out || fail "ctl add"
served "$ONE" || fail "ctl add has added nothing"
unbind "$ONE"
goes "$ONE" "when it is unbound, that was added by hand"
bind "$ONE"
comes "$ONE" "that was added by hand"
unbind "$ONE"
goes "$ONE" "for good"
vfio-cused ctl remove "$ONE" || fail "ctl remove of one that is awaited"
bind "$ONE"
unbind "$TWO"
goes "$TWO" "to see that $ONE had its time"
not_served "$ONE" || fail "$ONE came, though it was removed by hand"
bind "$TWO"
comes "$TWO" "after all"

# ---- a group's number that is one of ours by now ----
number=$(group_of "$TWO")
unplug "$TWO"
goes "$TWO" "when it is taken out"
vfio-cused ctl add "edu,bdf=$EDU,group=$number" || fail "ctl add of a simulated device"
plug
shown "$TWO"
bind "$TWO"
[ "$(group_of "$TWO")" = "$number" ] || echo "the group of $TWO has another number now"
said "group $number is the machine's group of this device, and that of a simulated one"
wait_for 20 [ -e "/sys/bus/pci/devices/$EDU/iommu_group" ] || fail "/sys does not show $EDU"
works "$EDU" "in the place of a group of the machine"
vfio-cused ctl remove "$EDU" || fail "ctl remove of the simulated device"
comes "$TWO" "when the number is free"
works "$TWO" "at the end"
stop_service
no_processes || fail "left: $(processes)"
[ "$(stat -c %t:%T "/dev/vfio/$left_group")" = "$kernel_number" ] ||
	fail "the kernel's node has not come back"
echo "a number that is taken is waited for"
