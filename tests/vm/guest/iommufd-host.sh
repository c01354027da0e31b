#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What `list` and `check iommufd` say of the guest's devices is what the kernel's VFIO does
# with them, and the commands that check writes are the cure. $AT_EDU is a device alone in its
# group, $AT_PAIR one that shares its group with $AT_SIBLING, which a driver of the kernel has.
# shellcheck source=lib.sh
. /vm/lib.sh
: "${AT_EDU:?}" "${AT_PAIR:?}" "${AT_SIBLING:?}"

# look STATUS [BDF]: what check says, in /tmp/said, with that status
look()
{
	look_is=0
	vfio-cused check iommufd ${2+"$2"} >/tmp/said 2>&1 || look_is=$?
	[ $look_is = "$1" ] || { cat /tmp/said; fail "check iommufd ${2-} ended with $look_is, not $1"; }
}

says()
{
	grep -qE "$1" /tmp/said || { cat /tmp/said; fail "it does not say \"$1\""; }
}

# The commands of what was said last, as its reader would type them. There is no modprobe
# here: everything is built in.
obey()
{
	sed -n 's/^           //p' /tmp/said | grep -v '^modprobe ' >/tmp/commands
	[ -s /tmp/commands ] || { cat /tmp/said; fail "no commands were written"; }
	cat /tmp/commands
	sh -e /tmp/commands || fail "the commands do not work"
}

# client BDF: whether the kernel lets a client have the device
client()
{
	vfioc-static --bdf "$1" --only device_info >/tmp/client 2>&1
}

node()
{
	ls "/sys/bus/pci/devices/$1/vfio-dev"
}

# ---- nothing is bound ----
[ -c /dev/iommu ] || fail "no /dev/iommu"
look 1
says '^ok       iommufd  .*/dev/iommu can be opened, and maps files'
says '^ok       IOMMU  .*dmar0'
says '^ok       device nodes '
says '^missing  device  .*none is bound'
says '^\?        group  '
look 1 "$AT_EDU"
says "^missing  device  .*$AT_EDU has no driver"
obey

# ---- a device alone in its group ----
[ "$(basename "$(readlink "/sys/bus/pci/devices/$AT_EDU/driver")")" = vfio-pci ] ||
	fail "$AT_EDU is not bound"
[ -c "/dev/vfio/devices/$(node "$AT_EDU")" ] || fail "$AT_EDU has no node"
look 0 "$AT_EDU"
says "^ok       group  .*$(group_of "$AT_EDU") is viable"
says "^ok       node of the device  .*/dev/vfio/devices/$(node "$AT_EDU") can be opened"
says '^forwarding to iommufd works here'
client "$AT_EDU" || { cat /tmp/client; fail "a client cannot have $AT_EDU"; }
vfio-cused list >/tmp/said || fail "list"
says "^  group $(group_of "$AT_EDU")  /dev/vfio/$(group_of "$AT_EDU")  ready"
says "^    $AT_EDU  driver vfio-pci  .*/dev/vfio/devices/$(node "$AT_EDU")  "
says "^    $AT_SIBLING  driver virtio-pci "

# ---- a group that the kernel has a part of ----
look 1 "$AT_PAIR"
says "^missing  device  "
obey
look 1 "$AT_PAIR"
says "^missing  group  .*not viable: $AT_SIBLING has the driver virtio-pci"
! client "$AT_PAIR" || { cat /tmp/client; fail "a client can have $AT_PAIR"; }
look 0
says "^limited  group  .*$(group_of "$AT_EDU") is viable, but $(group_of "$AT_PAIR"): not viable"
vfio-cused list >/tmp/said || fail "list"
says "^  group $(group_of "$AT_PAIR")  .*not viable: $AT_SIBLING has the driver virtio-pci"
look 1 "$AT_PAIR"
obey
look 0 "$AT_PAIR"
client "$AT_PAIR" || { cat /tmp/client; fail "a client cannot have $AT_PAIR"; }

# ---- rights ----
as_user()
{
	user_is=0
	su user -c "vfio-cused check iommufd $AT_EDU" >/tmp/said 2>&1 || user_is=$?
	[ $user_is = "$1" ] || { cat /tmp/said; fail "as a user, check ended with $user_is"; }
}
as_user 1
says '^missing  iommufd  .*/dev/iommu: Permission denied'
says '^missing  node of the device  .*Permission denied'
chown user /dev/iommu "/dev/vfio/devices/$(node "$AT_EDU")"
as_user 0
chown root /dev/iommu "/dev/vfio/devices/$(node "$AT_EDU")"

# ---- unbound, and gone ----
echo "$AT_EDU" >/sys/bus/pci/drivers/vfio-pci/unbind
look 1 "$AT_EDU"
says "^missing  device  .*$AT_EDU has no driver"
echo 1 >"/sys/bus/pci/devices/$AT_EDU/remove"
look 1 "$AT_EDU"
says "^missing  device  .*$AT_EDU is not there"
echo 1 >/sys/bus/pci/rescan
look 1 "$AT_EDU"
says "^missing  device  .*$AT_EDU has no driver"
